"""A network's forward pass for one sample at a time, in microseconds.

Besides the arithmetic, a call costs no more than one compiled call: the workspace, and theta in the
form that kernels take, are made once.
"""

import threading
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.compiler import tiles
from engine.compiler.jit import jit
from engine.compiler.subnormals import flush_subnormals, restore
from engine.equations.layout import units_of, units_of_loops
from engine.equations.passes import forward_pass_tiled
from engine.sums.blocks import activations_workspace, block_samples
from engine.sums.samples import Layers


@jit
def forward_row_tiled(row, theta, sizes, units, A):
    """Leave A[L] of one sample in the first column of the workspace; whether the row is finite."""
    control_word = flush_subnormals()
    X = units_of_loops(A, sizes, 0)
    n_lanes = tiles.lanes(X)
    finite = True
    for k in range(row.size):
        finite = finite and np.isfinite(row[k])
        for c in range(n_lanes):
            X[k, c] = row[k]
    forward_pass_tiled(theta, sizes, units, A, n_lanes)
    restore(control_word)
    return finite


class OneRow:
    """A[L] of one sample, with the same bits as a pass over many.

    Parameters
    ----------
    layers : Layers
    theta : ndarray (n_parameters,)
        Not copied.

    Any number of threads may call it; they take turns.
    """

    def __init__(self, layers: Layers, theta: NDArray[Any]) -> None:
        self._layers = layers
        self._theta = theta
        block = block_samples(layers.sizes, theta.dtype, 1)
        self._A = activations_workspace(layers.sizes, theta.dtype, block)
        self._row = np.empty(int(layers.sizes[0]), theta.dtype)
        self._output = units_of(self._A, layers.sizes, len(layers.units))[:, 0]
        self._lock = threading.Lock()

    def __call__(self, row: ArrayLike) -> NDArray[Any]:
        """A[L] (n_L,) for a row of inputs (n_0,). Raises ValueError for what is no such row."""
        if not isinstance(row, np.ndarray):
            row = np.asarray(row)
        if row.dtype.kind not in "biuf":
            _require_numbers(row)
        if row.shape != self._row.shape:
            raise ValueError(
                f"A row must have shape {self._row.shape}, one number per feature; got shape "
                f"{row.shape}. Rows of a table go one at a time, or all at once to the estimator's "
                "predict."
            )
        with self._lock:
            self._row[:] = row
            sizes, units = self._layers.sizes, self._layers.units
            finite = forward_row_tiled(self._row, self._theta, sizes, units, self._A)
            output: NDArray[Any] = self._output.copy()
        if not finite:
            raise ValueError(f"The row must be finite, but holds NaN or infinity: {row}.")
        return output

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._layers, self._theta)


def _require_numbers(row: NDArray[Any]) -> None:
    """Refuse what NumPy would turn into numbers in silence: dates, time differences, complex."""
    kinds = {np.asarray(entry).dtype for entry in row.flat} if row.dtype == object else {row.dtype}
    wrong = sorted(str(dtype) for dtype in kinds if dtype.kind in "mMcV")
    if wrong:
        raise TypeError(f"A row must hold numbers; got {wrong[0]}. Turn it into numbers first.")
