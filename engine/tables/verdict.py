"""How clearly predictions are better than those of a constant, or of a linear model.

Both predict the same rows, so each row has a difference of losses, d_i = other_i - own_i. Their
mean is compared with its standard error, sd(d) / sqrt(n): on few rows, chance alone makes a mean
above 0.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.estimators import held_out
from engine.losses import Loss
from engine.tables.column_kinds import SMALLEST
from engine.tables.scores import Predicted
from engine.tables.target import CLASSIFICATION

# Standard errors. Of models of pure noise, on 20 to 400 held-out rows, up to 3 % are that much
# better than the constant; up to 29 % by one standard error, and about half of them at all.
CLEARLY = 2.0


def margin(
    task: str,
    y: NDArray[Any],
    predicted: Predicted,
    other: Predicted,
    loss: Loss | None = None,
    class_weight: str | None = None,
) -> float | None:
    """By how many standard errors predictions are better than others; None if it is not defined.

    The loss of the training decides for numbers. For classes the better of log loss and accuracy
    does, or the balanced accuracy if classes are weighted. It is 0 or less if predictions are no
    better, and from `CLEARLY` on they are clearly better.

    Examples
    --------
    >>> y = np.array([1.0, 2.0, 3.0, 4.0])
    >>> near, mean = Predicted(y + [0.1, -0.2, 0.1, 0.3]), Predicted(np.full(4, 2.5))
    >>> round(margin("regression", y, near, mean), 2)
    2.13
    >>> round(margin("regression", y, mean, near), 2)
    -2.13
    """
    if len(y) < 2:
        return None
    own, others = (_losses(task, y, one, loss, class_weight) for one in (predicted, other))
    found = [
        _in_standard_errors(theirs - ours)
        for ours, theirs in zip(own, others, strict=True)
        if ours is not None and theirs is not None
    ]
    return max(found, default=None)


def _in_standard_errors(differences: NDArray[np.float64]) -> float:
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    if mean == 0 or spread == 0:
        return math.copysign(math.inf, mean) if mean else 0.0
    return mean / spread * math.sqrt(len(differences))


def _losses(
    task: str, y: NDArray[Any], predicted: Predicted, loss: Loss | None, class_weight: str | None
) -> list[NDArray[np.float64] | None]:
    """The loss of each row, by each measure that may decide; None for one that is not defined."""
    if task == CLASSIFICATION:
        wrong = (y != predicted.values).astype(np.float64)
        if class_weight is None:
            return [_log_losses(y, predicted), wrong]
        _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
        return [wrong * len(y) / (len(counts) * counts[codes])]
    if np.ptp(y) <= SMALLEST:
        return [None]
    with np.errstate(all="ignore"):
        if loss is None:
            found = np.square(y - predicted.values)
        else:
            values = predicted.values.reshape(len(y), -1).astype(np.float64)
            targets = np.broadcast_to(y[:, np.newaxis].astype(np.float64), values.shape)
            found = held_out.costs(loss, values, targets).sum(axis=1)
    return [found if np.isfinite(found).all() else None]


def _log_losses(y: NDArray[Any], predicted: Predicted) -> NDArray[np.float64] | None:
    """None if a class was not learnt."""
    assert predicted.classes is not None
    assert predicted.probabilities is not None
    is_class = y[:, np.newaxis] == predicted.classes
    if not is_class.any(axis=1).all():
        return None
    shares = predicted.probabilities[is_class]
    found: NDArray[np.float64] = -np.log(np.maximum(shares, np.finfo(shares.dtype).eps))
    return found
