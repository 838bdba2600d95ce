"""A network's forward pass for one sample at a time, in microseconds.

Besides the arithmetic, a call costs no more than one compiled call: the workspace, and theta in the
form that kernels take, are made once.
"""

import threading
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.boundary.embedded_inputs import refuse_wrong_inputs
from engine.compiler import tiles
from engine.compiler.jit import jit
from engine.compiler.subnormals import flush_subnormals, restore
from engine.equations.activations import activate_tiled
from engine.equations.embeddings import make_tables_tiled, takes
from engine.equations.layout import scratch_of, units_of, units_of_loops
from engine.equations.passes import logits_tiled
from engine.sums.blocks import (
    activations_workspace,
    affine_embedded_inputs,
    allocate_embedded,
    block_samples,
)
from engine.sums.samples import Layers


@jit
def forward_row_tiled(row, theta, sizes, units, A, embeddings, embedded):
    """Leave A[L] of one sample in the first column of the workspace; whether the row is valid.

    The tables of embeddings stand in `embedded` already.
    """
    control_word = flush_subnormals()
    n_lanes = tiles.lanes(A)
    valid = is_valid(row, embeddings)
    for k in range(row.size if valid else 0):
        for c in range(n_lanes):
            A[k, c] = row[k]
    if valid:
        lowest = np.int64(1 if embeddings is None else 2)
        first_layer_embedded(theta, sizes, units, A, embeddings, embedded, n_lanes)
        logits_tiled(theta, sizes, units, A, lowest, n_lanes)
        Z = units_of_loops(A, sizes, len(sizes) - 1)
        activate_tiled(units[-1], Z, scratch_of(A, sizes), n_lanes)
    restore(control_word)
    return valid


@jit
def is_valid(row, embeddings):
    """Whether each number is finite, or what its embedding takes."""
    valid = True
    if embeddings is None:
        for k in range(row.size):
            valid = valid and np.isfinite(row[k])
    else:
        for f in range(row.size):
            valid = valid and takes(embeddings, f, row[f])
    return valid


@jit
def first_layer_embedded(theta, sizes, units, A, embeddings, embedded, m):
    """A[1], or Z[1] if there is no other layer."""
    if embeddings is not None:
        affine_embedded_inputs(theta, sizes, A, embeddings, embedded, np.int64(1), m)
        if len(sizes) > 2:
            activate_tiled(units[0], units_of_loops(A, sizes, 1), scratch_of(A, sizes), m)


@jit
def make_tables_of_rows(theta, sizes, embeddings, embedded):
    """The tables of embeddings, once for all rows."""
    control_word = flush_subnormals()
    make_tables_tiled(theta, sizes, embeddings, embedded)
    restore(control_word)


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
        self._row = np.empty(layers.n_inputs, theta.dtype)
        self._embedded: Any = None
        if layers.embeddings is not None:
            of_rows = int(layers.sizes[1]), theta.dtype, self._A.shape[1]
            self._embedded = allocate_embedded(layers.embeddings, *of_rows)
            make_tables_of_rows(theta, layers.sizes, layers.embeddings, self._embedded)
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
            sizes, units, _, embeddings = self._layers
            valid = forward_row_tiled(
                self._row, self._theta, sizes, units, self._A, embeddings, self._embedded
            )
            output: NDArray[Any] = self._output.copy()
        if not valid:
            if embeddings is not None:
                takes = embeddings.levels, embeddings.missing
                refuse_wrong_inputs("The row", row[:, np.newaxis], *takes)
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
