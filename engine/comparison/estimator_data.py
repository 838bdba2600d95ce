"""The data that estimators are compared on: five sets that scikit-learn carries, as they come."""

from typing import Any, NamedTuple

from numpy.typing import NDArray

CLASSIFIER, REGRESSOR = "classifier", "regressor"
KINDS = {
    "iris": CLASSIFIER,
    "wine": CLASSIFIER,
    "breast_cancer": CLASSIFIER,
    "digits": CLASSIFIER,
    "diabetes": REGRESSOR,
}


class DataSet(NamedTuple):
    """Samples as rows, and their targets: class codes, or numbers of the dtype of the samples."""

    name: str
    kind: str
    dtype: str
    X: NDArray[Any]
    y: NDArray[Any]


def load(name: str, dtype: str) -> DataSet:
    """The data set of that name, not scaled: as most people try it first."""
    from sklearn import datasets

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    kind = KINDS[name]
    return DataSet(name, kind, dtype, X.astype(dtype), y.astype(dtype) if kind == REGRESSOR else y)
