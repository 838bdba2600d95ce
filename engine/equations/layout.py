"""Where a layer lies in the flat arrays: its parameters in theta, its units in a workspace.

    theta      (n_parameters,)         W[1] row by row, b[1], W[2] row by row, b[2], ...
    workspace  (n_0 + ... + n_L, m)    A[0] = X, A[1], ..., A[L], one unit a row

`sizes` is the int64 array (n_0, ..., n_L). All that is returned is a view, never a copy.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from engine.compiler.jit import inlined
from engine.compiler.views import matrix_at, rows_at, vector_at


def parameters_of(theta: Any, sizes: Any, l: int) -> tuple[Any, Any]:
    """W[l] (n_l, n_{l-1}) and b[l] (n_l,) of a flat vector; l counts from 1."""
    start = 0
    for below in range(l - 1):
        start += sizes[below + 1] * (sizes[below] + 1)
    n_in, n_out = sizes[l - 1], sizes[l]
    W = matrix_at(theta, start, n_out, n_in)
    b = vector_at(theta, start + n_out * n_in, n_out)
    return W, b


def units_of(workspace: Any, sizes: Any, l: int) -> Any:
    """The rows (n_l, m) of layer l in a workspace; l = 0 is the input."""
    first = 0
    for below in range(l):
        first += sizes[below]
    return rows_at(workspace, first, sizes[l])


def n_parameters_of(sizes: Any) -> int:
    """The length of theta, without the parameters of embeddings."""
    total = 0
    for l in range(1, len(sizes)):
        total += sizes[l] * (sizes[l - 1] + 1)
    return total


def views_of(theta: Any, sizes: Sequence[int]) -> list[tuple[Any, Any]]:
    """W[l] and b[l] of all layers, as views of a NumPy vector."""
    views, start = [], 0
    for n_in, n_out in pairwise(sizes):
        stop = start + n_out * n_in
        b = theta[stop : stop + n_out]
        views.append((theta[start:stop].reshape(n_out, n_in), b))
        start = stop + n_out
    return views


# The same for compiled callers.
parameters_of_loops = inlined(parameters_of)
units_of_loops = inlined(units_of)
n_parameters_of_loops = inlined(n_parameters_of)


# Rows below the units of a tiled workspace: intermediate results of the output layer.
SCRATCH_ROWS = 4


@inlined
def scratch_of(workspace, sizes):
    """The scratch rows of a workspace."""
    n_units = 0
    for l in range(sizes.size):
        n_units += sizes[l]
    return rows_at(workspace, n_units, SCRATCH_ROWS)
