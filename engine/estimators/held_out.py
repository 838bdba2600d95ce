"""Validation rows: the split for early stopping, and their scores."""

import copy
import inspect
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import logit
from sklearn.metrics import accuracy_score, check_scoring
from sklearn.model_selection import train_test_split
from sklearn.utils.stats import _weighted_percentile

from engine.equations.losses import ABSOLUTE_ERROR, HUBER, WITH_KINK, sample_costs_numpy
from engine.equations.units import UNITS
from engine.estimators.findings import Finding
from engine.estimators.input_validation import Rows
from engine.estimators.labels import MULTILABEL, Labels
from engine.losses import Loss
from engine.system.mapped_files import check_copy_fits

LEAST_FOR_R2 = 2  # rows, and for D^2
# With fewer held-out rows, a score that decides when to stop is noise: on 20 rows, an accuracy of
# 0.9 has a standard error of 0.07, and one row is 0.05 (docs/decisions/0016-diagnosis.md).
FEW_ROWS = 20
MOST_HELD_OUT = 0.5  # the largest share that a message suggests


def require_together(X_val: Any, y_val: Any, sample_weight_val: Any) -> None:
    """ValueError for a part of validation rows: weights alone, or only one of X and y."""
    if (X_val is None) != (y_val is None) or (X_val is None and sample_weight_val is not None):
        raise ValueError(
            "X_val, y_val and sample_weight_val go together: pass X_val and y_val, or neither."
        )


def split(
    rows: Rows, fraction: float, generator: np.random.RandomState, stratify: bool
) -> tuple[Rows, Rows]:
    """Rows to train on, and rows for early stopping, as scikit-learn draws them.

    Rows of weight 0 are left out.
    """
    if isinstance(rows.X, np.ndarray):
        check_copy_fits(
            "X",
            rows.X,
            rows.X.dtype,
            "early_stopping copies rows to hold some out: pass your own as X_val and y_val.",
        )
    if rows.weights is not None and not np.all(rows.weights > 0):
        rows = rows.chosen(np.flatnonzero(rows.weights > 0))
    halves = train_test_split(
        rows.X,
        rows.targets,
        *([] if rows.weights is None else [rows.weights]),
        random_state=generator,
        test_size=fraction,
        stratify=rows.targets.astype(bool) if stratify else None,
    )
    if halves[1].shape[0] < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your "
            "dataset."
        )
    weights = halves[4:] or (None, None)
    training, held_out = (
        Rows(halves[h], halves[2 + h], weights[h], rows.n_outputs) for h in (0, 1)
    )
    return training, held_out


def refuse_too_few(n_rows: int, score: str) -> None:
    """Refuse validation rows for which the default score of a regressor is not defined."""
    if n_rows < LEAST_FOR_R2:
        raise ValueError(_undefined_score(score, n_rows, [], several=False))


def scorer_of(
    scoring: Any,
    estimator_at: Callable[[NDArray[Any]], Any],
    start: NDArray[Any],
    rows: Rows,
    y: Any,
    labels: Labels | None,
) -> Callable[[NDArray[Any]], float]:
    """The scorer that the user asked for, as a function of theta.

    If the rows lack a class, a scorer of scikit-learn receives all classes of the fit, if its
    metric takes them. It is called once before training, so that an undefined score is an error.

    Parameters
    ----------
    scoring : str or callable
        As scikit-learn takes it.
    estimator_at : callable
        From theta to the estimator with these parameters.
    start : ndarray (n_parameters,)
        The initial theta.
    rows : Rows
    y : array
        Of the rows, as the scorer takes it.
    labels : Labels or None
        Of a classifier.
    """
    scorer = check_scoring(estimator_at(start), scoring=scoring)
    weights = {} if rows.weights is None else {"sample_weight": rows.weights}
    absent = [] if labels is None else absent_classes(labels, rows)
    of_scikit_learn = getattr(getattr(scorer, "_score_func", None), "__module__", "") or ""
    doubtful = of_scikit_learn.startswith("sklearn.") and (absent or rows.n_rows < LEAST_FOR_R2)
    if doubtful and labels is not None and absent:
        scorer = _with_all_classes(scorer, labels)

    def score(theta: NDArray[Any], y: Any = y) -> float:
        return float(scorer(estimator_at(theta), rows.X, y, **weights))

    if doubtful:
        try:
            scored = _score_before_training(score, start, y)
        except ValueError:
            # If the rows are not the reason, this raises the scorer's own error.
            _score_before_training(score, start, _of_all_classes(labels, y))
            scored = math.nan
        if math.isnan(scored):
            several = labels is not None and labels.kind == MULTILABEL
            asked = f"scoring={scoring!r}"
            raise ValueError(_undefined_score(asked, rows.n_rows, absent, several))
    return score


def _score_before_training(score: Any, start: NDArray[Any], y: Any) -> float:
    """The score of the initial parameters."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return float(score(start, y))


def _of_all_classes(labels: Labels | None, y: Any) -> Any:
    """Labels in place of y, of the same length, with all classes if there are enough rows."""
    return y if labels is None or y.ndim == 2 else np.resize(labels.classes, len(y))


def validation_findings(
    scores: Sequence[float],
    rows: Rows,
    n_rows_in_all: int,
    labels: Labels | None,
    fraction: float,
    own: bool,
) -> list[Finding]:
    """Findings on the score that decided when to stop: few rows, no row of a class, or only NaN.

    `scores` are those of this fit, `fraction` is the share of rows that were held out, and `own`
    says that the user passed them. If there are few rows in all, no more of them can be held out,
    and there is no finding.
    """
    found = []
    if len(scores) and np.isnan(scores).all():
        found.append(
            Finding(
                f"The validation score was NaN in each of {len(scores)} epochs, so early "
                "stopping found no best epoch to keep.",
                "another score",
            )
        )
    absent = [] if labels is None else absent_classes(labels, rows)
    if n_rows_in_all < FEW_ROWS or (rows.n_rows >= FEW_ROWS and not absent):
        return found
    reasons, values = [], {}
    if rows.n_rows < FEW_ROWS:
        reasons.append("a score of so few rows is mostly chance")
    if absent:
        several = labels is not None and labels.kind == MULTILABEL
        lacking = "all have the same value of label" if several else "none is of class"
        says_nothing = f"says nothing about that {'label' if several else 'class'}"
        reasons.append(f"{lacking} {{label}}, so the score {says_nothing}")
        values["label"] = absent[0]
    fraction = max(2 * fraction, 0.2)
    remedy = "pass more rows" if own or fraction > MOST_HELD_OUT else "hold more rows out"
    found.append(
        Finding(
            f"Early stopping goes by {rows.n_rows} validation rows: {', and '.join(reasons)}.",
            remedy,
            {**values, "fraction": fraction},
        )
    )
    return found


def absent_classes(labels: Labels, rows: Rows) -> list[Any]:
    """The classes of the fit that no row has; of several labels, those with only one value."""
    if labels.kind == MULTILABEL:
        present = rows.targets.any(axis=0) & ~rows.targets.all(axis=0)
    else:
        present = np.isin(np.arange(len(labels.classes)), rows.targets.reshape(-1))
    absent: list[Any] = labels.classes[~present].tolist()
    return absent


def _with_all_classes(scorer: Any, labels: Labels) -> Any:
    """The scorer; with all classes if it scores probabilities and its metric takes `labels`."""
    takes_labels = "labels" in inspect.signature(scorer._score_func).parameters
    of_labels = labels.kind == MULTILABEL or scorer._response_method == "predict"
    if not takes_labels or of_labels or "labels" in scorer._kwargs:
        return scorer
    scorer = copy.copy(scorer)
    scorer._kwargs = {**scorer._kwargs, "labels": labels.classes}
    return scorer


def _undefined_score(asked: str, n_rows: int, absent: list[Any], several: bool) -> str:
    """A message: the score cannot be computed on the held-out rows, why, and what to do."""
    held_out = f"{n_rows} held-out row{'s' * (n_rows > 1)}"
    if not absent:
        return (
            f"{asked} is not defined for {held_out}; pass X_val and y_val of {LEAST_FOR_R2} rows "
            "or more, or another scoring."
        )
    named = ", ".join(map(repr, absent[:5])) + (", ..." if len(absent) > 5 else "")
    plural = "label" + "s" * (len(absent) > 1) if several else "class" + "es" * (len(absent) > 1)
    what = f"have one value only of the {plural}" if several else f"lack the {plural}"
    return (
        f"{asked} cannot be computed on the {held_out}, which {what} {named}. "
        "Pass X_val and y_val in which each class is found, raise validation_fraction, or choose "
        "another scoring."
    )


def mean(values: NDArray[Any], weights: NDArray[Any] | None) -> float:
    """The weighted mean."""
    return float(np.average(values, weights=weights))


def accuracy_of(y: Any, predicted: NDArray[Any], sample_weight: Any) -> float:
    """scikit-learn's `accuracy_score`, without its checks for plain arrays of labels."""
    if sample_weight is None and are_plain_labels(y, predicted):
        return accuracy(predicted, y, None)
    return float(accuracy_score(y, predicted, sample_weight=sample_weight))


def are_plain_labels(y: Any, predicted: NDArray[Any]) -> bool:
    """Whether both are arrays (m,) of whole numbers, or of text, and no check would refuse them."""
    if type(y) is not np.ndarray or y.ndim != 1 or y.shape != predicted.shape:
        return False
    kinds = {y.dtype.kind, predicted.dtype.kind}
    return kinds <= {"b", "i", "u"} or kinds == {"U"}


def accuracy(labels: NDArray[Any], y: NDArray[Any], weights: NDArray[Any] | None) -> float:
    """The share of samples whose labels are all right."""
    right = labels == y
    return mean(right if right.ndim == 1 else right.all(axis=1), weights)


def r2(predicted: NDArray[Any], y: NDArray[Any], weights: NDArray[Any] | None) -> float:
    """Coefficient of determination, the mean over outputs (m, n_outputs); NaN if not finite.

    An output that does not vary counts 1 if it is predicted exactly, else 0.
    """
    if not np.isfinite(predicted).all():
        return float("nan")
    if len(y) < 2:
        return float("nan")
    s = np.ones((len(y), 1)) if weights is None else np.asarray(weights, np.float64)[:, None]
    y = y.astype(np.float64, copy=False)
    residual = (s * (y - predicted) ** 2).sum(axis=0)
    total = (s * (y - np.average(y, axis=0, weights=weights)) ** 2).sum(axis=0)
    varies = total != 0
    outputs = np.where(residual == 0, 1.0, 0.0)
    outputs[varies] = 1 - residual[varies] / total[varies]
    return float(outputs.mean())


def d2(loss: Loss, predicted: NDArray[Any], y: NDArray[Any], weights: NDArray[Any] | None) -> float:
    """The share of the deviance that predictions (m, n_L) explain; NaN if one is not finite.

    D^2 = 1 - J(predictions) / J(the best constant), the mean over outputs. Of several quantiles of
    a target (m, 1), both J are sums over the levels. An output that does not vary counts 1 if it
    is predicted exactly, else 0.
    """
    if len(y) < LEAST_FOR_R2 or not np.isfinite(predicted).all():
        return float("nan")
    s = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)
    if not (s > 0).any():
        return float("nan")
    y = np.broadcast_to(y.astype(np.float64, copy=False), predicted.shape)
    best = np.array([[best_constant(loss, j, y[:, j], s) for j in range(y.shape[1])]])
    with np.errstate(all="ignore"):
        left = cost_sums(loss, predicted.astype(np.float64), y, s)
        total = cost_sums(loss, np.broadcast_to(best, y.shape), y, s)
    varies, exact = np.ptp(y[s > 0], axis=0) > 0, (predicted == y)[s > 0].all(axis=0)
    if loss.n_outputs is not None:
        left, total = left.sum(keepdims=True), total.sum(keepdims=True)
        varies, exact = varies[:1], exact.all(keepdims=True)
    outputs = np.where(exact, 1.0, 0.0)
    outputs[varies] = 1 - left[varies] / total[varies]
    return float(outputs.mean())


def best_constant(loss: Loss, j: int, y: NDArray[Any], s: NDArray[Any]) -> float:
    """The prediction of output j that has the least cost if it is the same for all y (m,)."""
    code, number = loss.row.code, loss.for_kernels(j + 1).parameter[j]
    if code in WITH_KINK:
        level = 0.5 if code == ABSOLUTE_ERROR else number
        return float(_weighted_percentile(y, s, 100 * level, average=True))
    if code == HUBER:
        lowest, highest = float(y.min()), float(y.max())
        if lowest == highest:
            return lowest
        exact = max(1e-15 * (highest - lowest), float(np.finfo(np.float64).tiny))
        return float(
            brentq(lambda c: s @ np.clip(c - y, -number, number), lowest, highest, xtol=exact)
        )
    return float(np.average(y, weights=s))


def cost_sums(loss: Loss, A: NDArray[Any], y: NDArray[Any], s: NDArray[Any]) -> NDArray[np.float64]:
    """sum_i s_i J_i of each output (n_L,), from predictions and targets (m, n_L)."""
    return np.array([np.sum(s[s > 0] * of_output[s > 0]) for of_output in costs(loss, A, y).T])


def costs(loss: Loss, A: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """J_i of each sample and output (m, n_L), from predictions and targets (m, n_L)."""
    kernel, unit = loss.for_kernels(A.shape[1]), UNITS[loss.output].code
    with np.errstate(divide="ignore"):
        links = {"exp": np.log, "sigmoid": logit}
        Z = links[loss.output](A) if loss.output in links else A
    found = np.empty(A.shape)
    for j in range(A.shape[1]):
        one = kernel._replace(parameter=kernel.parameter[[j]])
        found[:, j] = sample_costs_numpy(one, unit, Z[None, :, j], y[None, :, j])  # type: ignore[no-untyped-call]
    return found


def mean_cost(loss: Loss, A: NDArray[Any], y: NDArray[Any], weights: NDArray[Any] | None) -> float:
    """J of predictions A (m, n_L) and targets (m, n_L), or (m, 1) for all; float64."""
    s = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)
    y = np.broadcast_to(y, A.shape).astype(np.float64)
    return float(cost_sums(loss, A.astype(np.float64), y, s).sum() / s.sum())
