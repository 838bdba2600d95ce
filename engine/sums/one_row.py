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
from engine.compiler.views import columns_before, matrix_at, rows_at, vector_at
from engine.equations.activations import activate_tiled
from engine.equations.embeddings import (
    EmbeddingWorkspace,
    copy_transposed,
    make_tables_tiled,
    takes,
)
from engine.equations.layout import parameters_of_loops, scratch_of, units_of_loops
from engine.equations.products import accumulate
from engine.sums.blocks import (
    activations_workspace,
    affine_embedded_inputs,
    aligned,
    allocate_embedded,
    block_samples,
)
from engine.sums.samples import Layers


@jit
def forward_row_tiled(
    row, thetas, turned, tables, rows, outputs, sizes, units, A, embeddings, embedded
):
    """A[L] of one sample by each of several networks, in `outputs`; whether the row is valid.

    The tables of embeddings stand in `tables` already, those of a network below each other.
    """
    control_word = flush_subnormals()
    valid = is_valid(row, embeddings)
    L, n_lanes, scratch = len(sizes) - 1, tiles.lanes(A), scratch_of(A, sizes)
    lowest = np.int64(1 if embeddings is None else 2)
    Z = units_of_loops(A, sizes, L)
    for network in range(thetas.shape[0] if valid else 0):
        theta = vector_at(thetas, network * thetas.shape[1], thetas.shape[1])
        of_network = vector_at(turned, network * turned.shape[1], turned.shape[1])
        n_first = first_rows(
            row, theta, network, tables, rows, sizes, units, A, embeddings, embedded
        )
        layers_of_row(theta, of_network, rows, sizes, units, n_first, lowest, scratch)
        for j in range(Z.shape[0]):
            for c in range(n_lanes):
                Z[j, c] = rows[L, j]
        activate_tiled(units[-1], Z, scratch, n_lanes)
        for j in range(Z.shape[0]):
            outputs[network, j] = Z[j, 0]
    restore(control_word)
    return valid


@jit
def layers_of_row(theta, turned, rows, sizes, units, n_below, lowest, scratch):
    """Row l of `rows` becomes A[l], or Z[L], from layer `lowest` on.

    The units of a layer are the lanes of vectors. Each z_j is summed in the order of many samples.
    """
    n_lanes, L = tiles.lanes(rows), len(sizes) - 1
    no_bias, start = vector_at(theta, 0, 0), 0
    for l in range(lowest, L + 1):
        width = sizes[l] + -sizes[l] % n_lanes
        Z = matrix_at(rows, l * rows.shape[1], 1, width)
        for j in range(width):
            Z[0, j] = turned[start + j]
        W_turned = matrix_at(turned, start + width, n_below, width)
        A_prev = matrix_at(rows, (l - 1) * rows.shape[1], 1, n_below)
        accumulate(
            columns_before(A_prev, n_below),
            no_bias,
            W_turned,
            Z,
            np.int64(0),
            width,
            np.bool_(True),
        )
        if l < L:
            activate_tiled(units[l - 1], Z, scratch, width)
        start += (n_below + 1) * width
        n_below = sizes[l]


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
def first_rows(row, theta, network, tables, rows, sizes, units, A, embeddings, embedded):
    """A[0] in row 0, or, with embeddings, A[1] (of no other layer, Z[1]) in row 1; its units."""
    if embeddings is None:
        for k in range(row.size):
            rows[0, k] = row[k]
        return np.int64(row.size)
    for k in range(row.size):
        A[k, 0] = row[k]
    n_rows = embedded.dtable.shape[0]
    of_network = EmbeddingWorkspace(
        embedded.places,
        embedded.shares,
        embedded.vectors,
        embedded.dvectors,
        rows_at(tables, network * n_rows, n_rows),
        embedded.dtable,
        embedded.W,
        embedded.dW,
        embedded.samples,
        embedded.bias,
    )
    affine_embedded_inputs(
        theta, sizes, A, embeddings, of_network, np.int64(1), np.int64(tiles.lanes(A))
    )
    Z = matrix_at(rows, rows.shape[1], 1, embedded.samples.shape[1])
    for j in range(Z.shape[1]):
        Z[0, j] = embedded.samples[0, j]
    if len(sizes) > 2:
        activate_tiled(units[0], Z, scratch_of(A, sizes), Z.shape[1])
    return np.int64(sizes[1])


@jit
def prepare_rows(theta, turned, sizes, embeddings, embedded):
    """What is made of a network once for all rows: b[l], W[l]^T and the tables of embeddings."""
    control_word = flush_subnormals()
    n_lanes, start = tiles.lanes(theta), 0
    for l in range(1 if embeddings is None else 2, len(sizes)):
        W, b = parameters_of_loops(theta, sizes, l)
        width = sizes[l] + -sizes[l] % n_lanes
        for j in range(b.size):
            turned[start + j] = b[j]
        W_turned = matrix_at(turned, start + width, sizes[l - 1], width)
        copy_transposed(W, W.shape[0], W.shape[1], W_turned)
        start += (sizes[l - 1] + 1) * width
    make_tables_of_rows(theta, sizes, embeddings, embedded)
    restore(control_word)


@jit
def make_tables_of_rows(theta, sizes, embeddings, embedded):
    """The tables of embeddings."""
    if embeddings is not None:
        make_tables_tiled(theta, sizes, embeddings, embedded)


def lanes_of(dtype: Any) -> int:
    """How many numbers a vector holds."""
    return int(tiles.VECTOR_BYTES // np.dtype(dtype).itemsize)


class RowOfNetworks:
    """A[L] of one sample by each of several networks, with the same bits as a pass over many.

    Parameters
    ----------
    layers : Layers
        Of each of them.
    thetas : ndarray (n_networks, n_parameters)
        Not copied.

    Any number of threads may call it; they take turns.
    """

    def __init__(self, layers: Layers, thetas: NDArray[Any]) -> None:
        self._layers = layers
        self._thetas = thetas
        sizes, dtype = layers.sizes, thetas.dtype
        self._A = activations_workspace(sizes, dtype, block_samples(sizes, dtype, 1))
        self._row = np.empty(layers.n_inputs, dtype)
        n, lanes, embeddings = len(thetas), lanes_of(dtype), layers.embeddings
        units = sizes.tolist()
        padded = [size + -size % lanes for size in units]
        self._rows = np.empty((len(units), max(padded)), dtype)
        self._embedded: Any = None
        self._tables: Any = None
        n_rows, lowest = 0, 1
        if embeddings is not None:
            self._embedded = allocate_embedded(embeddings, units[1], dtype, self._A.shape[1])
            n_rows, width = self._embedded.table.shape
            self._tables, lowest = aligned((n * n_rows, width), dtype), 2
        n_turned = sum((units[l - 1] + 1) * padded[l] for l in range(lowest, len(units)))
        self._turned = np.zeros((n, n_turned), dtype)
        for k, theta in enumerate(thetas):
            prepare_rows(theta, self._turned[k], sizes, embeddings, self._embedded)
            if embeddings is not None:
                self._tables[k * n_rows : (k + 1) * n_rows] = self._embedded.table
        self._outputs = np.empty((n, units[-1]), dtype)
        self._lock = threading.Lock()

    def __call__(self, row: ArrayLike) -> NDArray[Any]:
        """A[L] (n_networks, n_L) for a row of inputs (n_0,); ValueError for what is no such row."""
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
                self._row, self._thetas, self._turned, self._tables, self._rows, self._outputs,
                sizes, units, self._A, embeddings, self._embedded,
            )  # fmt: skip
            outputs: NDArray[Any] = self._outputs.copy()
        if not valid:
            if embeddings is not None:
                takes = embeddings.levels, embeddings.missing
                refuse_wrong_inputs("The row", row[:, np.newaxis], *takes)
            raise ValueError(f"The row must be finite, but holds NaN or infinity: {row}.")
        return outputs

    def __reduce__(self) -> tuple[Any, ...]:
        return RowOfNetworks, (self._layers, self._thetas)


class OneRow:
    """A[L] (n_L,) of one sample by one network: what `RowOfNetworks` gives of it."""

    def __init__(self, layers: Layers, theta: NDArray[Any]) -> None:
        self.layers = layers
        self.theta = theta
        self._rows = RowOfNetworks(layers, theta[np.newaxis])

    def __call__(self, row: ArrayLike) -> NDArray[Any]:
        """A[L] for a row of inputs (n_0,). Raises ValueError for what is no such row."""
        output: NDArray[Any] = self._rows(row)[0]
        return output

    def __reduce__(self) -> tuple[Any, ...]:
        return OneRow, (self.layers, self.theta)


def _require_numbers(row: NDArray[Any]) -> None:
    """Refuse what NumPy would turn into numbers in silence: dates, time differences, complex."""
    kinds = {np.asarray(entry).dtype for entry in row.flat} if row.dtype == object else {row.dtype}
    wrong = sorted(str(dtype) for dtype in kinds if dtype.kind in "mMcV")
    if wrong:
        raise TypeError(f"A row must hold numbers; got {wrong[0]}. Turn it into numbers first.")
