"""Scores of predictions, and of a baseline that ignores the columns."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from engine.equations.losses import QUANTILE
from engine.estimators import held_out
from engine.losses import Loss
from engine.tables.column_kinds import SMALLEST
from engine.tables.target import CLASSIFICATION, REGRESSION

# Name, and whether more is better.
CLASSIFICATION_SCORES = {"accuracy": True, "balanced accuracy": True, "log loss": False}
REGRESSION_SCORES = {"RMSE": False, "MAE": False, "R2": True}
PINBALL, EXPLAINED = "pinball loss", "deviance explained"
# Why one may not be defined.
NOT_DEFINED = {
    "log loss": "these rows have a class that the training rows lack",
    "RMSE": "the errors are too large",
    "MAE": "the errors are too large",
    "R2": "the target is the same in all of these rows",
    PINBALL: "the errors are too large",
    EXPLAINED: "the target is the same in all of these rows, or the loss does not take it",
}

Scores = dict[str, float | None]


class ClassScore(NamedTuple):
    """How well one class is found."""

    label: str
    precision: float
    recall: float
    f1: float
    n_rows: int


class Predicted(NamedTuple):
    """Predictions, and, for classes, the probability of each."""

    values: NDArray[Any]
    classes: NDArray[Any] | None = None
    probabilities: NDArray[np.float64] | None = None


def score_names(task: str, loss: Loss | None) -> dict[str, bool]:
    """The scores of a task, and whether more is better; `loss` as `preprocessing.loss_of`."""
    if task == CLASSIFICATION:
        return CLASSIFICATION_SCORES
    if loss is None:
        return REGRESSION_SCORES
    of_values = {PINBALL: False} if loss.row.code == QUANTILE else REGRESSION_SCORES
    return {**of_values, EXPLAINED: True}


def scored(task: str, y: NDArray[Any], predicted: Predicted, loss: Loss | None = None) -> Scores:
    """The scores of a task by name; None where one is not defined for these rows, or infinite."""
    with np.errstate(all="ignore"):
        if task == CLASSIFICATION:
            found = _classification(y, predicted)
        else:
            found = _regression(y, predicted, loss)
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def check_scores(task: str, said: Any, loss: Loss | None = None) -> None:
    """ValueError if the scores in a file lack a score of the task, or are not numbers."""
    names = set(score_names(task, loss))
    for scores in said.values():
        if not names <= scores.keys() or not all(
            value is None or (type(value) in (int, float) and math.isfinite(value))
            for value in scores.values()
        ):
            raise ValueError(f"scores {scores!r:.120}")


def baseline(task: str, y: NDArray[Any], loss: Loss | None = None) -> dict[str, Any]:
    """The baseline: shares of the classes, or the mean of the target and the loss's best constants.

    Examples
    --------
    >>> baseline("regression", np.array([1.0, 2.0, 6.0]))
    {'mean': 3.0}
    """
    if task == CLASSIFICATION:
        classes, counts = np.unique(y, return_counts=True)
        return {"classes": classes.tolist(), "shares": (counts / counts.sum()).tolist()}
    found: dict[str, Any] = {"mean": float(np.mean(y))}
    if loss is not None:
        ones, n_outputs = np.ones(len(y)), loss.n_outputs or 1
        best = [held_out.best_constant(loss, j, y, ones) for j in range(n_outputs)]
        found["constants"] = best
    return found


def check_baseline(task: str, said: Any, classes: Any, n_outputs: int) -> None:
    """ValueError and the like if what a file says is not what `baseline` gives for such a model.

    Of classes, `classes` (n_classes,) are those of the estimator; of numbers, its networks have
    `n_outputs` units.
    """
    if task == CLASSIFICATION:
        numbers, names = said["shares"], {"classes", "shares"}
        are_whole = said["classes"] == classes.tolist() and len(numbers) == len(classes)
    else:
        constants, names = said.get("constants", [0.0]), {"mean", "constants"}
        numbers = [said["mean"], *constants]
        are_whole = len(constants) in (1, n_outputs)
    are_numbers = all(type(one) in (int, float) and math.isfinite(one) for one in numbers)
    if not (are_whole and are_numbers and said.keys() <= names):
        raise ValueError("baseline")


def baseline_predictions(known: dict[str, Any], n_rows: int) -> Predicted:
    """The most frequent class, or the mean or another constant, for every row."""
    if "constants" in known:
        values = np.tile(np.array(known["constants"], np.float64), (n_rows, 1))
        return Predicted(values if values.shape[1] > 1 else values[:, 0])
    if "mean" in known:
        return Predicted(np.full(n_rows, known["mean"]))
    classes, shares = np.array(known["classes"]), np.array(known["shares"])
    return Predicted(
        np.full(n_rows, classes[shares.argmax()]), classes, np.tile(shares, (n_rows, 1))
    )


def class_scores(y: NDArray[Any], values: NDArray[Any]) -> list[ClassScore]:
    """Precision, recall and F1 of each class among the rows or the predictions."""
    labels = np.union1d(y, values)
    columns = metrics.precision_recall_fscore_support(y, values, labels=labels, zero_division=0)
    return [
        ClassScore(label_of(label), float(precision), float(recall), float(f1), int(n_rows))
        for label, precision, recall, f1, n_rows in zip(labels, *columns, strict=True)
    ]


def shares_up_to(y: NDArray[Any], predicted: Predicted, loss: Loss | None) -> dict[float, float]:
    """The share of rows whose target is up to each quantile, by its level; empty without any.

    >>> from engine.losses import Quantile
    >>> y, tenth = np.arange(10.0), Predicted(np.full(10, 1.0))
    >>> shares_up_to(y, tenth, Quantile(0.1))
    {0.1: 0.2}
    """
    if loss is None or loss.row.code != QUANTILE:
        return {}
    shares = np.mean(y[:, np.newaxis] <= predicted.values.reshape(len(y), -1), axis=0)
    return dict(zip(loss.numbers, shares.tolist(), strict=True))


def minus_log_loss(
    classifier: Any, X: Any, y: NDArray[Any], sample_weight: NDArray[Any] | None = None
) -> float:
    """For early stopping: scikit-learn's own refuses rows that lack one of the classes."""
    shares = classifier.predict_proba(X)
    labels = classifier.classes_
    return -float(metrics.log_loss(y, shares, labels=labels, sample_weight=sample_weight))


def label_of(value: Any) -> str:
    """A class as it is written: true for True, 1 for 1.0."""
    return str(value).lower() if isinstance(value, bool | np.bool_) else str(value)


def _classification(y: NDArray[Any], predicted: Predicted) -> dict[str, float]:
    recalls = [score.recall for score in class_scores(y, predicted.values) if score.n_rows]
    return {
        "accuracy": float(np.mean(y == predicted.values)),
        "balanced accuracy": float(np.mean(recalls)),
        "log loss": _log_loss(y, predicted),
    }


def _log_loss(y: NDArray[Any], predicted: Predicted) -> float:
    """NaN where a class has no probability, as it was not learnt."""
    assert predicted.classes is not None
    if not np.isin(y, predicted.classes).all():
        return float("nan")
    return float(metrics.log_loss(y, predicted.probabilities, labels=predicted.classes))


def _regression(y: NDArray[Any], predicted: Predicted, loss: Loss | None) -> dict[str, float]:
    if not np.isfinite(predicted.values).all():
        return dict.fromkeys(score_names(REGRESSION, loss), float("nan"))
    found = {} if loss is None else _by_loss(y, predicted.values.reshape(len(y), -1), loss)
    if PINBALL in found:
        return found
    return {
        "RMSE": float(metrics.root_mean_squared_error(y, predicted.values)),
        "MAE": float(metrics.mean_absolute_error(y, predicted.values)),
        "R2": float(metrics.r2_score(y, predicted.values))
        if np.ptp(y) > SMALLEST
        else float("nan"),
        **found,
    }


def _by_loss(y: NDArray[Any], values: NDArray[Any], loss: Loss) -> dict[str, float]:
    """The share of deviance explained; of quantiles the mean pinball loss as well."""
    explained = held_out.d2(loss, values, y[:, np.newaxis], None)
    found = {EXPLAINED: explained if np.ptp(y) > SMALLEST else float("nan")}
    if loss.row.code != QUANTILE:
        return found
    targets = np.broadcast_to(y[:, np.newaxis], values.shape)
    costs = held_out.cost_sums(loss, values.astype(np.float64), targets, np.ones(len(y)))
    return {PINBALL: float(costs.sum() / values.size), **found}
