"""Blocks of samples for the tiled kernels: the workspace, and how a block of the data gets into it.

A block has enough samples for long innermost loops, but few enough that the activations of all
layers fit into the L2 cache. Its samples are read from the caller's arrays in place, by index if
they are shuffled, and are transposed so that each feature is a row.
"""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiler import tiles
from engine.compiler.jit import compiled_once, inlined, jit
from engine.compiler.views import rows_at, vector_at
from engine.equations.activations import activate_tiled
from engine.equations.embeddings import (
    EmbeddingWorkspace,
    KernelEmbeddings,
    add_to_tables_tiled,
    affine_embedded_tiled,
    gradient_of_tables_tiled,
    make_tables_tiled,
)
from engine.equations.layout import (
    SCRATCH_ROWS,
    parameters_of_loops,
    scratch_of,
    units_of_loops,
)
from engine.equations.losses import cost_sum_tiled, smooth_targets_loops
from engine.equations.passes import backward_pass_tiled, logits_tiled
from engine.equations.sparse import affine_sparse, parameter_gradient_sparse
from engine.sums.samples import Inputs, Layers, SparseColumns

# What a pass computes.
FORWARD, COST, GRADIENT, NORMAL, HESSIAN, INPUT_JACOBIAN, PARAMETER_JACOBIAN = range(7)

ROW_BYTES = 1024  # samples of one unit in a block: 256 float32, 128 float64
WORKSPACE_BYTES = 2**20  # activations of all units, where that leaves at least four vectors a row


def numbers_of_sums(n_parameters: int) -> int:
    """How many numbers gradient and G (N1) are."""
    return n_parameters * (n_parameters + 1)


class Workspace(NamedTuple):
    """Arrays for one block, in rows of `width` numbers that begin on the boundary of a vector."""

    A: NDArray[Any]  # (n_0 + ... + n_L + SCRATCH_ROWS, width)
    dZ: NDArray[Any]  # (n_0 + ... + n_L, width)
    Y: NDArray[Any]  # (n_L, width)
    s: NDArray[Any]  # (width,)
    starts: NDArray[np.int64]  # (width,) where each sample begins in the numbers of X
    dtheta: NDArray[Any]  # (n_parameters,)
    embedded: EmbeddingWorkspace | None  # without embeddings, None


def block_samples(sizes: NDArray[np.int64], dtype: Any, n_samples: int) -> int:
    """Samples of a block, a whole number of vectors: all blocks but the last have as many.

    The bits of sums depend on it; so it depends on the network alone, unless one block holds all.

    >>> import numpy as np
    >>> block_samples(np.array([20, 100, 1]), "float32", 1024)
    256
    >>> block_samples(np.array([20, 100, 1]), "float32", 30)
    32
    """
    itemsize = int(np.dtype(dtype).itemsize)
    lanes = tiles.VECTOR_BYTES // itemsize
    most = ROW_BYTES // itemsize
    n_units = sum(sizes.tolist())
    while most > 4 * lanes and n_units * most * itemsize > WORKSPACE_BYTES:
        most //= 2
    return min(most, -(-n_samples // lanes) * lanes)


def block_for(layers: Layers, X: Inputs, n_samples: int) -> int:
    """Samples of a block; sparse inputs that stay so, and embedded ones, take no workspace."""
    sparse = isinstance(X, SparseColumns) and X.has_few_entries
    sizes = layers.sizes[1:] if sparse or layers.embeddings is not None else layers.sizes
    return block_samples(sizes, X.dtype, n_samples)


def allocate(layers: Layers, dtype: Any, block: int) -> Workspace:
    """A workspace for blocks of so many samples."""
    sizes, n_parameters = layers.sizes, layers.n_parameters
    n_units, n_out, width = sum(sizes.tolist()), int(sizes[-1]), row_width(dtype, block)
    shapes = (
        (n_units + SCRATCH_ROWS, width),
        (n_units, width),
        (n_out, width),
        (width,),
        (n_parameters,),
    )
    A, dZ, Y, s, dtheta = all_aligned(shapes, dtype)
    embedded = None
    if layers.embeddings is not None:
        embedded = allocate_embedded(layers.embeddings, int(sizes[1]), dtype, width)
    return Workspace(A, dZ, Y, s, np.zeros(width, np.int64), dtheta, embedded)


def allocate_embedded(
    embeddings: KernelEmbeddings, n_1: int, dtype: Any, width: int
) -> EmbeddingWorkspace:
    """The memory for embeddings, below a first layer of n_1 units; blocks have `width` samples."""
    lanes = tiles.VECTOR_BYTES // int(np.dtype(dtype).itemsize)
    padded = -(-n_1 // lanes) * lanes
    n_rows, n_numbers, n_all = (
        int(ends[-1]) for ends in (embeddings.rows, embeddings.starts, embeddings.numbers)
    )
    n = len(embeddings.kinds)
    shapes = (
        (n, width),
        (n_all,),
        (n_all,),
        (n_rows, padded),
        (n_rows, padded),
        (n_numbers, padded),
        (n_numbers, padded),
        (width, padded),
        (1, padded),
    )
    arrays = all_aligned(shapes, dtype)
    for array in arrays:  # what fills a row up is never written
        array[:] = 0
    return EmbeddingWorkspace(np.zeros((n, width), np.int64), *arrays)


def row_width(dtype: Any, block: int) -> int:
    """The row stride of a workspace, in numbers."""
    itemsize = int(np.dtype(dtype).itemsize)
    if block * itemsize % 256 == 0:
        # Rows a power of two apart compete for the same few sets of the cache.
        return int(block + tiles.CACHE_LINE_BYTES // itemsize)
    return block


def activations_workspace(sizes: NDArray[np.int64], dtype: Any, block: int) -> NDArray[Any]:
    """What a forward pass alone needs: the A of a workspace."""
    return aligned((sum(sizes.tolist()) + SCRATCH_ROWS, row_width(dtype, block)), dtype)


def aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An array that is aligned to 64 bytes, so that no vector crosses a cache line."""
    return all_aligned((shape,), dtype)[0]


def all_aligned(shapes: Sequence[tuple[int, ...]], dtype: Any) -> list[NDArray[Any]]:
    """The same of several arrays, in one piece of memory: asking for its address takes longest."""
    line, itemsize = tiles.CACHE_LINE_BYTES, np.dtype(dtype).itemsize
    n_bytes = [-(-math.prod(shape) * itemsize // line) * line for shape in shapes]
    memory = np.empty(sum(n_bytes) + line, np.uint8)
    firsts = accumulate(n_bytes, initial=-memory.ctypes.data % line)
    return [
        np.ndarray(shape, dtype, memory, first)
        for shape, first in zip(shapes, firsts, strict=False)
    ]


@compiled_once
def load_block(data, order, first, count, sizes, n_inputs, workspace):
    """Put samples first ... first + count - 1 into a workspace; returns m, the columns in use.

    If there is an order, these are positions in it: order[first] is the index of the first sample.
    The block is padded with samples of weight 0 to a whole number of vectors.
    """
    X = rows_at(workspace.A, 0, n_inputs)
    n_lanes = tiles.lanes(X)
    m = (count + n_lanes - 1) // n_lanes * n_lanes
    starts = workspace.starts
    for c in range(count):
        starts[c] = order[first + c] if order.size > 0 else first + c
    load_targets(data, starts, count, m, workspace.Y)
    for c in range(count):
        workspace.s[c] = data.weights[starts[c]] if data.weights.size > 0 else 1
    for c in range(count, m):
        workspace.s[c] = 0
    if data.starts.size > 0:
        if data.entries_alone == 0:
            load_sparse_inputs(data, starts, count, m, X)
        return m
    for c in range(count):
        starts[c] *= data.X.sample_step
    side_by_side = order.size == 0 and data.X.sample_step == 1
    load_inputs(data.X.numbers, data.X.unit_step, starts, count, m, side_by_side, X)
    return m


@jit
def load_targets(data, samples, count, m, Y):
    """The targets of the samples with these indices; class codes become one-hot columns."""
    numbers, unit_step, sample_step = data.Y
    one_hot = data.codes.size > 0
    for j in range(Y.shape[0]):
        for c in range(m):
            Y[j, c] = 0
        if numbers.size > 0:  # a forward pass has no targets
            for c in range(count):
                Y[j, c] = numbers[j * unit_step + samples[c] * sample_step]
    if one_hot:
        for c in range(count):
            Y[data.codes[samples[c]], c] = 1


@jit
def load_sparse_inputs(data, samples, count, m, X):
    """X[k, c] = feature k of sample samples[c]; 0 if it has no entry."""
    for k in range(X.shape[0]):
        for c in range(m):
            X[k, c] = 0
    for c in range(count):
        for place in range(data.starts[samples[c]], data.starts[samples[c] + 1]):
            X[data.features[place], c] += data.X.numbers[place]


@jit
def load_inputs(numbers, unit_step, starts, count, m, side_by_side, X):
    """X[k, c] = feature k of the sample that begins at starts[c].

    If the samples of a feature are adjacent in memory, its row is copied directly.
    """
    n_in = X.shape[0]
    n_lanes = tiles.lanes(X)
    squares = 0  # columns that are copied in squares of features x samples
    if unit_step == 1 and n_in >= n_lanes:
        squares = count - count % n_lanes
        for c in range(0, squares, n_lanes):
            for k in range(0, n_in - n_lanes + 1, n_lanes):
                tiles.copy_transposed(numbers, starts, c, k, X, c)
            if n_in % n_lanes > 0:  # the last square may overlap the one before
                tiles.copy_transposed(numbers, starts, c, n_in - n_lanes, X, c)
    for k in range(n_in):
        if side_by_side:
            row = vector_at(numbers, starts[0] + k * unit_step, count)
            for c in range(count):
                X[k, c] = row[c]
        else:
            for c in range(squares, count):
                X[k, c] = numbers[starts[c] + k * unit_step]
        for c in range(count, m):
            X[k, c] = 0


@inlined
def run_blocks_tiled(
    task,
    theta,
    layers,
    data,
    order,
    first,
    last,
    block,
    workspace,
    activations,
):
    """The summed cost of samples first ... last - 1; their gradient is added to dtheta."""
    sizes, units, loss, embeddings = layers
    A, dZ, Y, s, _, dtheta, embedded = workspace
    L = len(sizes) - 1
    cost = 0.0
    sparse = data.entries_alone == 1
    n_inputs = number_of_inputs(sizes, embeddings)
    apart = sparse or embeddings is not None  # layer 1 is computed in a way of its own
    begin_embedded(theta, sizes, embeddings, embedded)
    for start in range(first, last, block):
        count = min(block, last - start)
        m = load_block(data, order, start, count, sizes, n_inputs, workspace)
        if sparse:
            affine_sparse_inputs(theta, sizes, A, data, workspace.starts, count, m)
        else:
            affine_embedded_inputs(theta, sizes, A, embeddings, embedded, count, m)
        if apart and L > 1:
            activate_tiled(units[0], units_of_loops(A, sizes, 1), scratch_of(A, sizes), m)
        logits_tiled(theta, sizes, units, A, np.int64(2 if apart else 1), m)
        output = units_of_loops(A, sizes, L)
        if task == FORWARD:
            activate_tiled(units[L - 1], output, scratch_of(A, sizes), m)
            for j in range(output.shape[0]):
                for c in range(count):
                    activations[j, start + c] = output[j, c]
        else:
            smooth_targets_loops(loss, units[L - 1], Y, count)
            scratch = scratch_of(A, sizes)
            cost += cost_sum_tiled(loss, units[L - 1], output, Y, s, scratch, m)
        if task == GRADIENT:
            lowest = 2 if apart else 1
            backward_pass_tiled(theta, sizes, units, loss, A, dZ, Y, s, dtheta, lowest, m)
            if sparse:
                first_gradient_sparse(dtheta, sizes, dZ, data, workspace.starts, count)
            else:
                add_first_gradient_embedded(dtheta, sizes, dZ, embeddings, embedded, count, m)
    if task == GRADIENT:
        end_embedded(sizes, embeddings, embedded, dtheta)
    return cost


# Without embeddings these are compiled to nothing: `embeddings` is an argument, so that Numba knows
# from its type alone whether it is None.
@jit
def number_of_inputs(sizes, embeddings):
    """The features of a sample."""
    if embeddings is None:
        return sizes[0]
    return embeddings.kinds.size


@jit
def begin_embedded(theta, sizes, embeddings, embedded):
    """Make the tables of the embeddings, for all blocks of a call."""
    if embeddings is not None:
        make_tables_tiled(theta, sizes, embeddings, embedded)


@jit
def affine_embedded_inputs(theta, sizes, A, embeddings, embedded, count, m):
    """Z[1] from the inputs in the workspace, by way of their embeddings."""
    if embeddings is not None:
        X, Z = rows_at(A, 0, embeddings.kinds.size), units_of_loops(A, sizes, 1)
        affine_embedded_tiled(theta, sizes, embeddings, X, Z, embedded, count, m)


@jit
def add_first_gradient_embedded(dtheta, sizes, dZ, embeddings, embedded, count, m):
    """Add a block's part to the gradient by the tables, and by the biases of layer 1."""
    if embeddings is not None:
        _, db = parameters_of_loops(dtheta, sizes, 1)
        add_to_tables_tiled(units_of_loops(dZ, sizes, 1), embeddings, embedded, count, m, db)


@jit
def end_embedded(sizes, embeddings, embedded, dtheta):
    """From the gradient by the tables that by the parameters."""
    if embeddings is not None:
        gradient_of_tables_tiled(sizes, embeddings, embedded, dtheta)


@jit
def affine_sparse_inputs(theta, sizes, A, data, samples, count, m):
    """Z[1] from the sparse entries of the samples."""
    W, b = parameters_of_loops(theta, sizes, 1)
    Z = units_of_loops(A, sizes, 1)
    affine_sparse(W, b, data.X.numbers, data.features, data.starts, samples, count, Z, m)


@jit
def first_gradient_sparse(dtheta, sizes, dZ, data, samples, count):
    """Layer 1's part of the gradient, from its dZ in the workspace."""
    dW, db = parameters_of_loops(dtheta, sizes, 1)
    dZ_first = units_of_loops(dZ, sizes, 1)
    parameter_gradient_sparse(
        dZ_first, data.X.numbers, data.features, data.starts, samples, count, dW, db
    )
