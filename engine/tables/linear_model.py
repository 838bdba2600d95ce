"""What a linear model gets on the same held-out rows: what a network has to beat.

Ridge regression for the squared error, logistic regression for classes, and a network without
hidden layers for the other losses: all of them on the inputs that the network gets (categories
one-hot encoded, numbers imputed and standardised).
"""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
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
ROWS_AT_A_TIME = 1 << 14  # that predictions are made for
MOST_LEVELS = 255  # of a category that have a column of their own, the most frequent ones


def linear_predictions(
    X: NDArray[Any],
    y: NDArray[Any],
    X_new: NDArray[Any],
    task: str,
    loss: Loss | None = None,
    class_weight: str | None = None,
    columns: Sequence[EncodedColumn] = (),
) -> Predicted:
    """A linear model's predictions for new rows.

    Parameters
    ----------
    X : ndarray (n_rows, n_inputs)
        Training rows.
    y : ndarray (n_rows,)
    X_new : ndarray (n_new, n_inputs)
    task : "classification" or "regression"
    loss : Loss, optional
        As a network of the task takes it.
    class_weight : "balanced", optional
    columns : sequence of EncodedColumn, optional
        Of a table, whose rows are as networks take them: `design` makes inputs of them.

    Notes
    -----
    It takes seconds at most, also with 1000 inputs: of many rows, a random sample is learnt from.
    Inputs are made of this sample, and of some new rows at a time: of all rows, 255 inputs of each
    category would not fit into memory.

    Examples
    --------
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array(["no", "no", "yes", "yes"])
    >>> linear_predictions(X, y, np.array([[-1.0], [4.0]]), "classification").values.tolist()
    ['no', 'yes']
    """
    classes = np.unique(y) if task == CLASSIFICATION else np.empty(0)
    n_outputs = max(1, len(classes), loss.n_outputs or 1 if loss is not None else 1)
    made = partial(design, columns) if columns else partial(np.asarray, dtype=np.float64)
    learnt = _sample(len(y), made(X[:1]).shape[1], n_outputs)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of convergence: it is good enough to compare with
        predict = _fitted(made(X[learnt]), y[learnt], classes, loss, class_weight)
        starts = range(0, len(X_new), ROWS_AT_A_TIME)
        found = np.concatenate([predict(made(X_new[k : k + ROWS_AT_A_TIME])) for k in starts])
    if task == CLASSIFICATION:
        return Predicted(classes[found.argmax(axis=1)], classes, found)
    return Predicted(found)


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
    X = inputs.of(encoding.encode_translated(frame))
    predicted = linear_predictions(
        X[learnt], y[learnt], X[judged], found.target.task, columns=encoding.columns
    )
    return scored(found.target.task, y[judged], predicted)


def _sample(n_rows: int, n_inputs: int, n_outputs: int) -> NDArray[np.int64]:
    """The numbers of the rows that are learnt from."""
    most = min(MOST_ROWS, max(LEAST_ROWS, MOST_PRODUCTS // (n_inputs * n_outputs)))
    if n_rows <= most:
        return np.arange(n_rows)
    return np.sort(np.random.Generator(np.random.PCG64(0)).choice(n_rows, most, replace=False))


def _fitted(
    X: NDArray[np.float64],
    y: NDArray[Any],
    classes: NDArray[Any],
    loss: Loss | None,
    class_weight: str | None,
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """From inputs to predictions: numbers, or the probability of each class."""
    if len(classes):
        return _fitted_to_classes(X, y, classes, class_weight)
    if loss is None:
        return Ridge().fit(X, y).predict  # type: ignore[no-any-return]
    mean, scale = (0.0, 1.0) if loss.output == "exp" else (y.mean(), y.std() or 1.0)
    network = MLPRegressor(
        loss, hidden_layer_sizes=(), solver="lbfgs", max_iter=MOST_ITERATIONS, random_state=0
    ).fit(X, (y - mean) / scale)
    return lambda X_new: network.predict(X_new) * scale + mean


def _fitted_to_classes(
    X: NDArray[np.float64], y: NDArray[Any], classes: NDArray[Any], class_weight: str | None
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Classes that these rows lack have the probability 0."""
    there = np.isin(classes, y)
    if there.sum() == 1:
        return lambda X_new: np.tile(there.astype(np.float64), (len(X_new), 1))
    model = LogisticRegression(class_weight=class_weight, max_iter=MOST_ITERATIONS).fit(X, y)

    def probabilities(X_new: NDArray[np.float64]) -> NDArray[np.float64]:
        found = np.zeros((len(X_new), len(classes)))
        found[:, there] = model.predict_proba(X_new)
        return found

    return probabilities
