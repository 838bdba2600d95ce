"""Rows held out from training: the split for early stopping, their loss and their score."""

import copy
import inspect
import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from engine.estimators.labels import MULTILABEL
from engine.estimators.remedies import Finding
from engine.estimators.rows import Rows
from engine.sums.objective import Objective
from engine.system.mapped_files import check_copy_fits
from engine.training.watch import Validation

LEAST_FOR_R2 = 2  # rows
# With fewer held-out rows, a score that decides when to stop is noise: on 20 rows, an accuracy of
# 0.9 has a standard error of 0.07, and one row is 0.05 (docs/decisions/0016-diagnosis.md).
FEW_ROWS = 20
MOST_HELD_OUT = 0.5  # the largest share that a message suggests


def split(
    rows: Rows, fraction: float, generator: np.random.RandomState, stratify: bool
) -> tuple[Rows, Rows]:
    """Rows to train on, and rows for early stopping, as scikit-learn draws them.

    Rows of weight 0 are as good as left out, so they are.
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
    training, held_out = (Rows(halves[h], halves[2 + h], weights[h]) for h in (0, 1))
    return training, held_out


def validation_of(estimator: Any, rows: Rows) -> Validation:
    """Loss of held-out rows, and if that decides when to stop, the estimator's score."""
    samples = rows.samples(estimator._dtype)
    objective = Objective(
        estimator._backend,
        estimator._network.layers,
        samples,
        n_threads=estimator._threads_asked,
    )
    if not estimator._scored:
        return Validation(objective.cost, None)
    if estimator.scoring is not None:
        return Validation(objective.cost, _scorer(estimator, rows))
    if rows.n_rows < LEAST_FOR_R2 and not hasattr(estimator, "classes_"):
        raise ValueError(_undefined_score(estimator, rows, []))

    def score(theta: NDArray[Any]) -> float:
        activations = objective.forward(theta).T
        with np.errstate(all="ignore"):  # squares that overflow
            return float(estimator._score_of(activations, rows))

    return Validation(objective.cost, score)


def _scorer(estimator: Any, rows: Rows) -> Any:
    """The scorer that the user asked for, as a function of theta.

    If the rows lack a class, a scorer of scikit-learn gets all classes of the fit, if its metric
    takes them. It is tried before training, so that a score that is not defined is an error then.
    """
    scorer = check_scoring(estimator, scoring=estimator.scoring)
    y = estimator._labels_of(rows)
    weights = {} if rows.weights is None else {"sample_weight": rows.weights}
    absent = absent_classes(estimator, rows)
    of_scikit_learn = getattr(getattr(scorer, "_score_func", None), "__module__", "") or ""
    doubtful = of_scikit_learn.startswith("sklearn.") and (absent or rows.n_rows < LEAST_FOR_R2)
    if doubtful and absent:
        scorer = _with_all_classes(scorer, estimator)

    def score(theta: NDArray[Any], y: Any = y) -> float:
        return float(scorer(estimator._as_of(theta), rows.X, y, **weights))

    if doubtful:
        try:
            scored = _score_before_training(score, estimator, y)
        except ValueError:
            # If the rows are not to blame, this raises the scorer's own error.
            _score_before_training(score, estimator, _of_all_classes(estimator, y))
            scored = math.nan
        if math.isnan(scored):
            raise ValueError(_undefined_score(estimator, rows, absent))
    return score


def _score_before_training(score: Any, estimator: Any, y: Any) -> float:
    """The score of the initial parameters."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return float(score(estimator._theta(), y))


def _of_all_classes(estimator: Any, y: Any) -> Any:
    """As many labels, with each class among them if there are enough rows."""
    if not hasattr(estimator, "classes_") or y.ndim == 2:
        return y
    return np.resize(estimator.classes_, len(y))


def validation_findings(estimator: Any, rows: Rows, n_rows_in_all: int, own: bool) -> list[Finding]:
    """Findings on the score that decided when to stop: few rows, no row of a class, or only NaN.

    `own` says that the user passed the held-out rows. If there are few rows in all, no more of them
    can be held out, and nothing is said.
    """
    found = []
    of_this_fit = estimator.validation_scores_[-estimator.n_iter_ :] if estimator.n_iter_ else []
    if of_this_fit and np.isnan(of_this_fit).all():
        found.append(
            Finding(
                f"The validation score was NaN in each of {len(of_this_fit)} epochs, so early "
                "stopping found no best epoch to keep.",
                "another score",
            )
        )
    absent = absent_classes(estimator, rows)
    if n_rows_in_all < FEW_ROWS or (rows.n_rows >= FEW_ROWS and not absent):
        return found
    reasons, values = [], {}
    if rows.n_rows < FEW_ROWS:
        reasons.append("a score of so few rows is mostly chance")
    if absent:
        several = estimator._labels.kind == MULTILABEL
        lacking = "all have the same value of label" if several else "none is of class"
        says_nothing = f"says nothing about that {'label' if several else 'class'}"
        reasons.append(f"{lacking} {{label}}, so the score {says_nothing}")
        values["label"] = absent[0]
    fraction = max(2 * estimator.validation_fraction, 0.2)
    remedy = "pass more rows" if own or fraction > MOST_HELD_OUT else "hold more rows out"
    found.append(
        Finding(
            f"Early stopping goes by {rows.n_rows} validation rows: {', and '.join(reasons)}.",
            remedy,
            {**values, "fraction": fraction},
        )
    )
    return found


def absent_classes(estimator: Any, rows: Rows) -> list[Any]:
    """The classes of the fit that no row has; of several labels, those with only one value."""
    if not hasattr(estimator, "classes_"):
        return []
    if estimator._labels.kind == MULTILABEL:
        present = rows.targets.any(axis=0) & ~rows.targets.all(axis=0)
    else:
        present = np.isin(np.arange(len(estimator.classes_)), rows.targets.reshape(-1))
    absent: list[Any] = estimator.classes_[~present].tolist()
    return absent


def _with_all_classes(scorer: Any, estimator: Any) -> Any:
    """The scorer; with all classes if it scores probabilities and its metric takes `labels`."""
    takes_labels = "labels" in inspect.signature(scorer._score_func).parameters
    of_labels = estimator._labels.kind == MULTILABEL or scorer._response_method == "predict"
    if not takes_labels or of_labels or "labels" in scorer._kwargs:
        return scorer
    scorer = copy.copy(scorer)
    scorer._kwargs = {**scorer._kwargs, "labels": estimator.classes_}
    return scorer


def _undefined_score(estimator: Any, rows: Rows, absent: list[Any]) -> str:
    """A message: the score cannot be computed on the held-out rows, why, and what to do."""
    asked = "R^2" if estimator.scoring is None else f"scoring={estimator.scoring!r}"
    held_out = f"{rows.n_rows} held-out row{'s' * (rows.n_rows > 1)}"
    if not absent:
        return (
            f"{asked} is not defined for {held_out}; pass X_val and y_val of {LEAST_FOR_R2} rows "
            "or more, or another scoring."
        )
    several = estimator._labels.kind == MULTILABEL
    named = ", ".join(map(repr, absent[:5])) + (", ..." if len(absent) > 5 else "")
    plural = "label" + "s" * (len(absent) > 1) if several else "class" + "es" * (len(absent) > 1)
    what = f"have one value only of the {plural}" if several else f"lack the {plural}"
    return (
        f"{asked} cannot be computed on the {held_out}, which {what} {named}. "
        "Pass X_val and y_val in which each class is found, raise validation_fraction, or choose "
        "another scoring."
    )
