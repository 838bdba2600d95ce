"""Rows held out from training: the split for early stopping, their loss and their score."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from engine.estimators.rows import Rows
from engine.estimators.watch import Validation
from engine.mapped_files import check_copy_fits
from engine.objective import Objective


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

    def score(theta: NDArray[Any]) -> float:
        activations = objective.forward(theta).T
        with np.errstate(all="ignore"):  # squares that overflow
            return float(estimator._score_of(activations, rows))

    return Validation(objective.cost, score)


def _scorer(estimator: Any, rows: Rows) -> Any:
    """The scorer that the user asked for, as a function of theta."""
    scorer = check_scoring(estimator, scoring=estimator.scoring)
    y = estimator._labels_of(rows)
    weights = {} if rows.weights is None else {"sample_weight": rows.weights}

    def score(theta: NDArray[Any]) -> float:
        return float(scorer(estimator._as_of(theta), rows.X, y, **weights))

    return score
