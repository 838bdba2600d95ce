"""The data that estimators are compared on: five sets that scikit-learn carries, standardised."""

from typing import Any, NamedTuple

from numpy.typing import ArrayLike, NDArray

CLASSIFIER, REGRESSOR = "classifier", "regressor"
KINDS = {
    "iris": CLASSIFIER,
    "wine": CLASSIFIER,
    "breast_cancer": CLASSIFIER,
    "digits": CLASSIFIER,
    "diabetes": REGRESSOR,
}


class DataSet(NamedTuple):
    """Samples as rows, and their targets: class codes, or numbers. `dtype` is that of the fits."""

    name: str
    kind: str
    dtype: str
    X: NDArray[Any]
    y: NDArray[Any]


def load(name: str, dtype: str) -> DataSet:
    """The data set of that name as it comes, in float64."""
    from sklearn import datasets

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return DataSet(name, KINDS[name], dtype, X, y)


def standardised(data: DataSet, training: ArrayLike | slice = slice(None)) -> DataSet:
    """The data in their dtype, inputs and targets that are numbers scaled by the training rows.

    Over these rows each then has mean 0 and variance 1; a column that is constant there, mean 0.
    """
    X = _scaled(data.X, training).astype(data.dtype)
    if data.kind != REGRESSOR:
        return data._replace(X=X)
    return data._replace(X=X, y=_scaled(data.y[:, None], training)[:, 0].astype(data.dtype))


def _scaled(columns: NDArray[Any], training: Any) -> NDArray[Any]:
    from sklearn.preprocessing import StandardScaler

    scaled: NDArray[Any] = StandardScaler().fit(columns[training]).transform(columns)
    return scaled
