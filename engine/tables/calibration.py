"""Predictions that are as often right as they say, by validation rows.

Probabilities have one temperature for all of them:

    p_k = q_k^(1/T) / sum_j q_j^(1/T)                                            (T1)

T minimises the log loss of validation rows: above 1 it makes probabilities more cautious. The order
of the classes stays. Source: Guo, Pleiss, Sun and Weinberger 2017, "On calibration of modern neural
networks", section 4.2.

Quantiles have one shift for each level l:

    q_l(x) + c_l,   c_l the quantile of level l of y - q_l(x)                    (T2)

Networks that stop early leave intervals too narrow, most of all on few rows. Source: Romano,
Patterson and Candes 2019, "Conformalized quantile regression", theorem 2, without its term for
finite samples.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from engine.estimators.held_out import best_constant
from engine.losses import Loss
from engine.tables.member_fits import Rows

HOTTEST = 10.0  # the largest T, and the inverse of the smallest
SMALLEST = 1e-30  # probabilities that underflowed


def calibrated(probabilities: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """Probabilities (m, n_classes) at a temperature (T1).

    >>> calibrated(np.array([[0.8, 0.2]]), 2.0).round(3)
    array([[0.667, 0.333]])
    """
    logarithms = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST)) / temperature
    powers = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))
    found: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)  # T1
    return found


def temperature_of(
    probabilities: NDArray[Any], codes: NDArray[Any], weights: NDArray[Any] | None = None
) -> float:
    """The temperature with the smallest log loss of rows with these classes; 1 without rows."""
    if not len(codes):
        return 1.0
    logarithms = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))
    own = logarithms[np.arange(len(codes)), codes]
    s = np.ones(len(codes)) if weights is None else np.asarray(weights, np.float64)

    def log_loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        highest = logarithms.max(axis=1) * scale
        sums = np.exp(logarithms * scale - highest[:, np.newaxis]).sum(axis=1)
        return float(s @ (np.log(sums) + highest - own * scale))

    limit = float(np.log(HOTTEST))
    found = minimize_scalar(log_loss, bounds=(-limit, limit), method="bounded")
    return float(np.exp(found.x))


def have_same_rows(tried: Sequence[tuple[NDArray[Any], Rows]]) -> bool:
    """Whether all networks were validated on the same rows, so that their mean is known there."""
    return len(tried) > 0 and all(rows.y is tried[0][1].y for _, rows in tried)


def shifts_of(
    loss: Loss, quantiles: NDArray[Any], y: NDArray[Any], weights: NDArray[Any] | None = None
) -> NDArray[np.float64]:
    """The shift (n_levels,) of quantiles (m,) or (m, n_levels) of rows with these targets (T2).

    >>> from engine.losses import Quantile
    >>> y = np.arange(101.0)
    >>> shifts_of(Quantile([0.1, 0.9]), np.full((101, 2), 50.0), y)
    array([-40.,  40.])
    """
    s = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)
    above = np.asarray(y, np.float64)[:, np.newaxis] - quantiles.reshape(len(y), -1)
    constants = [best_constant(loss, j, above[:, j], s) for j in range(above.shape[1])]  # T2
    return np.array(constants)
