"""The sums of a Gauss-Newton step over a chunk of samples: cost, gradient, and G (N1, N2).

They are summed in float64, block by block, in one vector: the gradient first, then the rows of G.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiler.jit import jit
from engine.compiler.subnormals import flush_subnormals, restore
from engine.compiler.views import matrix_at, vector_at
from engine.equations.gauss_newton import normal_pass_tiled, rows_pass_tiled, scratch_numbers
from engine.equations.losses import smooth_targets_loops
from engine.sums.blocks import (
    Workspace,
    all_aligned,
    allocate,
    block_samples,
    load_block,
    row_width,
)
from engine.sums.samples import KernelSamples, Layers


class NormalWorkspace(NamedTuple):
    """Arrays for one block."""

    block: Workspace
    n_samples: int  # of a block
    H: NDArray[np.float64]  # (n_L, width)
    rows: NDArray[np.float64]  # (n_parameters, width)
    scratch: NDArray[np.float64]


def allocate_normal(layers: Layers, n_samples: int) -> NormalWorkspace:
    """A workspace for so many samples at most."""
    n_parameters = layers.n_parameters
    block = block_samples(layers.sizes, np.float64, n_samples)
    width = row_width(np.float64, block)
    shapes = (int(layers.sizes[-1]), width), (n_parameters, width), (scratch_numbers(block),)
    H, rows, scratch = all_aligned(shapes, np.float64)
    of_block = allocate(layers, np.float64, block)
    return NormalWorkspace(of_block, block, H, rows, scratch)


def dense(data: KernelSamples) -> KernelSamples:
    """The same samples; sparse ones are loaded as dense blocks."""
    return data._replace(entries_alone=0)


@jit
def run_chunk_normal(theta, layers, data, order, first, last, workspace, sums):
    """The summed cost of a chunk; gradient and G in `sums`."""
    control_word = flush_subnormals()
    cost = sum_normal_tiled(theta, layers, data, order, first, last, workspace, sums)
    restore(control_word)
    return cost


@jit
def sum_normal_tiled(theta, layers, data, order, first, last, workspace, sums):
    """The same, without the mode for subnormals."""
    sizes, units, loss, _ = layers
    A, dZ, Y, s, _, dtheta, _ = workspace.block
    n_parameters = theta.size
    gradient = vector_at(sums, 0, n_parameters)
    G = matrix_at(sums, n_parameters, n_parameters, n_parameters)
    for p in range(sums.size):
        sums[p] = 0
    for p in range(n_parameters):
        dtheta[p] = 0
    cost = 0.0
    for start in range(first, last, workspace.n_samples):
        count = min(workspace.n_samples, last - start)
        m = load_block(data, order, start, count, sizes, sizes[0], workspace.block)
        smooth_targets_loops(loss, units[len(units) - 1], Y, count)
        cost += normal_pass_tiled(
            theta,
            sizes,
            units,
            loss,
            A,
            dZ,
            Y,
            s,
            dtheta,
            workspace.H,
            workspace.rows,
            G,
            workspace.scratch,
            m,
        )
    for p in range(n_parameters):
        gradient[p] = dtheta[p]
    return cost


@jit
def sum_rows_tiled(theta, layers, data, order, n, workspace, sums):
    """The summed cost of n samples; in `sums` the gradient, rho and R (`rows_pass_tiled`)."""
    sizes, units, loss, _ = layers
    A, dZ, Y, s, _, dtheta, _ = workspace.block
    n_parameters, n_rows = theta.size, n * sizes[len(sizes) - 1]
    rho = vector_at(sums, n_parameters, n_rows)
    R = matrix_at(sums, n_parameters + n_rows, n_parameters, n_rows)
    for p in range(n_parameters):
        dtheta[p] = 0
    cost = 0.0
    for start in range(0, n, workspace.n_samples):
        count = min(workspace.n_samples, n - start)
        m = load_block(data, order, start, count, sizes, sizes[0], workspace.block)
        smooth_targets_loops(loss, units[len(units) - 1], Y, count)
        cost += rows_pass_tiled(
            theta,
            sizes,
            units,
            loss,
            A,
            dZ,
            Y,
            s,
            dtheta,
            workspace.H,
            workspace.rows,
            R,
            rho,
            start,
            count,
            m,
        )
    for p in range(n_parameters):
        sums[p] = dtheta[p]
    return cost
