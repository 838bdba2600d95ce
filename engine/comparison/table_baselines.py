"""What other libraries' defaults reach on the real tables, in what time.

Histograms of gradients (scikit-learn), LightGBM, and a linear model on columns prepared the usual
way; the last is the floor that all others should clear.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from engine.comparison.table_sets import Task

# Shuffles of the rows, by number of rows: larger tables need fewer for the same certainty.
FEW_ROWS, MANY_ROWS = 1000, 20000


class BaselineScore(TypedDict, total=False):
    """One fit: its score on the rows held out, and its seconds."""

    rmse: float
    r2: float
    log_loss: float
    accuracy: float
    seconds: float  # of fit
    predict_seconds: float


def split_seeds(rows: int) -> range:
    """The seeds of the splits into training and test rows.

    Parameters
    ----------
    rows : int

    Returns
    -------
    range
    """
    return range(5 if rows < FEW_ROWS else 1 if rows > MANY_ROWS else 3)


def split(X: Any, y: Any, task: Task, seed: int) -> tuple[Any, Any, Any, Any]:
    """A shuffle into 80 % training and 20 % test rows, for classes with each class's share.

    Parameters
    ----------
    X : pandas.DataFrame
    y : pandas.Series
    task : {"regression", "classes"}
    seed : int

    Returns
    -------
    X_train, X_test, y_train, y_test
    """
    from sklearn.model_selection import train_test_split

    classes = y if task == "classes" else None
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.2, random_state=seed, stratify=classes
    )
    return X_train, X_test, y_train, y_test


def score(task: Task, y: Any, predicted: NDArray[Any], classes: NDArray[Any]) -> BaselineScore:
    """How good predictions are.

    Parameters
    ----------
    task : {"regression", "classes"}
    y : pandas.Series
        The target of the test rows.
    predicted : ndarray
        Of regression the values, (rows,); of classes their probabilities, (rows, classes).
    classes : ndarray
        The classes in the order of the columns of `predicted`.

    Returns
    -------
    BaselineScore
    """
    if task == "regression":
        error = np.asarray(y) - predicted
        mse = float(np.mean(error**2))
        return {"rmse": mse**0.5, "r2": 1 - mse / float(np.var(np.asarray(y)))}
    probability = np.clip(predicted, 1e-15, 1)
    probability = probability / probability.sum(axis=1, keepdims=True)
    row_of = {label: i for i, label in enumerate(classes)}
    true = np.array([row_of[label] for label in y])
    chosen = probability[np.arange(len(true)), true]
    return {
        "log_loss": float(-np.mean(np.log(chosen))),
        "accuracy": float(np.mean(probability.argmax(axis=1) == true)),
    }


def as_categories(X: Any) -> Any:
    """A frame whose strings are pandas categories.

    Parameters
    ----------
    X : pandas.DataFrame

    Returns
    -------
    pandas.DataFrame
    """
    strings = [name for name in X.columns if X[name].dtype == object]
    return X.astype(dict.fromkeys(strings, "category"))


def _limited(X: Any) -> Any:
    """Categories of at most 254 levels, for HistGradientBoosting: rare ones become one."""
    X = X.copy()
    for name in X.columns:
        if X[name].dtype == object and X[name].nunique() > 254:
            kept = X[name].value_counts().index[:253]
            X[name] = X[name].where(X[name].isin(kept) | X[name].isna(), "(others)")
    return X


def hist_gradient_boosting(task: Task) -> tuple[Any, Callable[[Any], Any]]:
    """Scikit-learn's, with its defaults and categories by their dtype.

    Parameters
    ----------
    task : {"regression", "classes"}

    Returns
    -------
    estimator
    prepare : callable
        Makes a whole frame ready, once.
    """
    from sklearn import ensemble

    kind = "Regressor" if task == "regression" else "Classifier"
    made = getattr(ensemble, f"HistGradientBoosting{kind}")(
        categorical_features="from_dtype", random_state=0
    )
    return made, lambda X: as_categories(_limited(X))


def lightgbm(task: Task) -> tuple[Any, Callable[[Any], Any]]:
    """LightGBM with its defaults, on one thread.

    Parameters
    ----------
    task : {"regression", "classes"}

    Returns
    -------
    estimator
    prepare : callable
    """
    import lightgbm

    kind = "Regressor" if task == "regression" else "Classifier"
    made = getattr(lightgbm, f"LGBM{kind}")(n_jobs=1, verbose=-1, random_state=0)
    return made, as_categories


def linear(task: Task) -> tuple[Any, Callable[[Any], Any]]:
    """Ridge or logistic regression on one-hot, filled and standardised columns.

    Parameters
    ----------
    task : {"regression", "classes"}

    Returns
    -------
    estimator
    prepare : callable
    """
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = make_column_transformer(
        (
            OneHotEncoder(handle_unknown="ignore", min_frequency=5),
            make_column_selector(dtype_include=object),
        ),
        (
            make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()),
            make_column_selector(dtype_exclude=object),
        ),
    )
    last = Ridge() if task == "regression" else LogisticRegression(max_iter=200)
    return make_pipeline(columns, last), lambda X: X


BASELINES: dict[str, Callable[[Task], tuple[Any, Callable[[Any], Any]]]] = {
    "HistGradientBoosting": hist_gradient_boosting,
    "LightGBM": lightgbm,
    "linear": linear,
}


def measure(name: str, task: Task, parts: tuple[Any, Any, Any, Any]) -> BaselineScore:
    """Fit one of `BASELINES` and score it.

    Parameters
    ----------
    name : str
    task : {"regression", "classes"}
    parts : tuple
        As `split` returns them.

    Returns
    -------
    BaselineScore
    """
    return measured(BASELINES[name](task), task, parts)


def measured(
    made: tuple[Any, Callable[[Any], Any]], task: Task, parts: tuple[Any, Any, Any, Any]
) -> BaselineScore:
    """Fit an estimator and score it.

    Parameters
    ----------
    made : tuple
        The estimator, and what makes a whole frame ready for it.
    task : {"regression", "classes"}
    parts : tuple
        As `split` returns them.

    Returns
    -------
    BaselineScore
    """
    import pandas

    X_train, X_test, y_train, y_test = parts
    estimator, prepare = made
    # One frame, so that training and test rows share their categories.
    both = prepare(pandas.concat([X_train, X_test]))
    X_train, X_test = both.iloc[: len(y_train)], both.iloc[len(y_train) :]
    start = perf_counter()
    estimator.fit(X_train, y_train)
    seconds = perf_counter() - start
    start = perf_counter()
    predict = estimator.predict if task == "regression" else estimator.predict_proba
    predicted = predict(X_test)
    predict_seconds = perf_counter() - start
    found = score(task, y_test, predicted, getattr(estimator, "classes_", np.empty(0)))
    found["seconds"], found["predict_seconds"] = seconds, predict_seconds
    return found
