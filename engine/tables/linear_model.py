"""What a linear model gets on the same held-out rows: what a network has to beat.

Ridge regression for the squared error, logistic regression for classes, and a network without
hidden layers for the other losses: all of them on the inputs that the network gets (categories
one-hot encoded, numbers imputed and standardised).
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split

from engine.estimators.regressor import MLPRegressor
from engine.losses import Loss
from engine.tables import target as of_target
from engine.tables.column_kinds import CATEGORY
from engine.tables.column_statistics import TableStatistics
from engine.tables.network_inputs import NetworkInputs, TrainingNumbers
from engine.tables.scores import Predicted, Scores, scored
from engine.tables.table_description import described
from engine.tables.table_encoding import EncodedColumn, TableEncoding
from engine.tables.target import CLASSIFICATION

MOST_ROWS = 20_000  # training rows, drawn at random if there are more,
MOST_PRODUCTS = 1 << 24  # and no more than make so many products in a pass,
LEAST_ROWS = 1000  # but so many anyway
MOST_ITERATIONS = 200
MOST_LEVELS = 255  # of a category that have a column of their own, the most frequent ones


def linear_predictions(
    X: NDArray[Any],
    y: NDArray[Any],
    X_new: NDArray[Any],
    task: str,
    loss: Loss | None = None,
    class_weight: str | None = None,
) -> Predicted:
    """A linear model's predictions for new rows.

    Parameters
    ----------
    X : ndarray (n_rows, n_inputs)
        Training rows, as `design` makes them.
    y : ndarray (n_rows,)
    X_new : ndarray (n_new, n_inputs)
    task : "classification" or "regression"
    loss : Loss, optional
        As a network of the task takes it.
    class_weight : "balanced", optional

    Notes
    -----
    It takes seconds at most, also with 1000 inputs: of many rows, a random sample is learnt from.

    Examples
    --------
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array(["no", "no", "yes", "yes"])
    >>> linear_predictions(X, y, np.array([[-1.0], [4.0]]), "classification").values.tolist()
    ['no', 'yes']
    """
    classes = np.unique(y) if task == CLASSIFICATION else np.empty(0)
    n_outputs = max(1, len(classes), loss.n_outputs or 1 if loss is not None else 1)
    X, y = _sample(X, y, n_outputs)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of convergence: it is good enough to compare with
        if task == CLASSIFICATION:
            return _of_classes(X, y, X_new, classes, class_weight)
        if loss is None:
            return Predicted(Ridge().fit(X, y).predict(X_new))
        mean, scale = (0.0, 1.0) if loss.output == "exp" else (y.mean(), y.std() or 1.0)
        network = MLPRegressor(
            loss, hidden_layer_sizes=(), solver="lbfgs", max_iter=MOST_ITERATIONS, random_state=0
        )
        return Predicted(network.fit(X, (y - mean) / scale).predict(X_new) * scale + mean)


def design(columns: Sequence[EncodedColumn], X: NDArray[Any]) -> NDArray[np.float64]:
    """Rows as networks take them (m, n_columns) as a linear model does.

    A category has a column of 0 and 1 for each frequent level. A missing number is the mean,
    and a column says so if training rows lacked some.
    """
    made = []
    for column, values in zip(columns, X.T, strict=True):
        if column.role == CATEGORY:
            n_own = min(len(column.known), MOST_LEVELS)
            is_rare = (n_own < values) & (values <= len(column.known))
            codes = [*range(n_own + 1), *[column.n_levels - 1] * column.had_missing]
            made.append(np.where(is_rare, 0, values)[:, np.newaxis] == np.array(codes))
            continue
        missing = np.isnan(values)
        made.append(np.where(missing, 0.0, values)[:, np.newaxis])
        if column.had_missing:
            made.append(missing[:, np.newaxis])
    return np.concatenate(made, axis=1, dtype=np.float64)


def linear_scores(
    frame: pl.DataFrame,
    target: str,
    held_out: pl.DataFrame | None = None,
    task: str | None = None,
) -> Scores:
    """The scores of a linear model of a table, on rows that it has not seen.

    Parameters
    ----------
    frame : polars.DataFrame
        With null for missing values.
    target : str
    held_out : polars.DataFrame, optional
        The rows to be scored; a fifth of `frame`, drawn at random, if left out.
    task : "classification" or "regression", optional
        Inferred from the target if left out.

    Examples
    --------
    >>> frame = pl.DataFrame({"x": [k * k % 31 for k in range(60)], "town": ["a", "b"] * 30})
    >>> frame = frame.with_columns(y=2.5 * pl.col("x") + 30 * (pl.col("town") == "a"))
    >>> round(linear_scores(frame, "y")["R2"], 3)
    0.998
    """
    n_rows = frame.height
    whole = frame if held_out is None else pl.concat([frame, held_out])
    found = described(whole, target, task)
    assert found.target is not None
    is_known = found.frame[target].is_not_null()
    frame = found.frame.filter(is_known)
    y = of_target.values_of(frame[target], found.target)
    rows = np.flatnonzero(is_known.to_numpy())
    if held_out is None:
        learnt, judged = train_test_split(np.arange(len(y)), test_size=0.2, random_state=0)
    else:
        learnt, judged = np.flatnonzero(rows < n_rows), np.flatnonzero(rows >= n_rows)
    used = found.columns.used
    kinds = {column.name: CATEGORY for column in used if column.kind == CATEGORY}
    statistics = TableStatistics.of_frame(frame[learnt], target, kinds)
    encoding = TableEncoding.fitted(used, statistics)
    numbers = TrainingNumbers.of_statistics(encoding.columns, statistics)
    inputs = NetworkInputs.fitted(encoding.columns, numbers, 1, 1, 1)
    X = design(encoding.columns, inputs.of(encoding.encode_translated(frame)))
    predicted = linear_predictions(X[learnt], y[learnt], X[judged], found.target.task)
    return scored(found.target.task, y[judged], predicted)


def _sample(
    X: NDArray[Any], y: NDArray[Any], n_outputs: int
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    most = min(MOST_ROWS, max(LEAST_ROWS, MOST_PRODUCTS // (X.shape[1] * n_outputs)))
    if len(y) > most:
        rows = np.random.Generator(np.random.PCG64(0)).choice(len(y), most, replace=False)
        X, y = X[np.sort(rows)], y[np.sort(rows)]
    return X.astype(np.float64), y


def _of_classes(
    X: NDArray[Any],
    y: NDArray[Any],
    X_new: NDArray[Any],
    classes: NDArray[Any],
    class_weight: str | None,
) -> Predicted:
    """Classes that the sample lacks have the probability 0."""
    probabilities = np.zeros((len(X_new), len(classes)))
    there = np.unique(y)
    if len(there) > 1:
        model = LogisticRegression(class_weight=class_weight, max_iter=MOST_ITERATIONS).fit(X, y)
        probabilities[:, np.isin(classes, there)] = model.predict_proba(X_new)
    else:
        probabilities[:, classes == there[0]] = 1.0
    return Predicted(classes[probabilities.argmax(axis=1)], classes, probabilities)
