"""Scores of validation data, once an epoch: scikit-learn's numbers, without its checks of data."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Score = Callable[[NDArray[Any]], float]  # of activations (m, n_outputs)


def mean(values: NDArray[Any], weights: NDArray[Any] | None) -> float:
    """The weighted mean."""
    return float(np.average(values, weights=weights))


def accuracy(labels: NDArray[Any], y: NDArray[Any], weights: NDArray[Any] | None) -> float:
    """The share of samples whose labels, all of them, are right."""
    right = labels == y
    return mean(right if right.ndim == 1 else right.all(axis=1), weights)


def r2(predicted: NDArray[Any], y: NDArray[Any], weights: NDArray[Any] | None) -> float:
    """Coefficient of determination, the mean over outputs (m, n_outputs); NaN if not finite.

    An output that does not vary counts 1 where it is met exactly, else 0.
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
