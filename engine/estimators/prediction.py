"""Activations of the output layer for rows of users' data, in blocks of bounded size."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.equations.backends import TILED, Backend
from engine.estimators.rows import inputs_of
from engine.network import Network
from engine.sums.objective import forward
from engine.sums.one_row import OneRow
from engine.sums.samples import Samples

# Rows that go through the network at a time, so that memory stays bounded.
ROWS_AT_A_TIME = 65536


def blocks_of(
    network: Network, theta: NDArray[Any], X: Any, backend: Backend, n_threads: int | None
) -> Iterator[NDArray[Any]]:
    """A[L] (rows, n_outputs) of block after block of checked rows X (m, n_features)."""
    if X.shape[0] == 1 and backend is TILED and isinstance(X, np.ndarray):
        with np.errstate(over="ignore"):
            row = X[0].astype(theta.dtype)
        if np.isfinite(row).all():
            yield OneRow(network.layers, theta)(row)[np.newaxis, :]
            return
    if hasattr(X, "tocsr"):
        X = X.tocsr()
    for start in range(0, X.shape[0], ROWS_AT_A_TIME):
        samples = Samples(inputs_of(X[start : start + ROWS_AT_A_TIME], theta.dtype))
        yield forward(backend, network.layers, samples, theta, n_threads).T
