"""Jacobians of the outputs over a chunk of samples, block by block (B11 to B13)."""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from engine.compiler.jit import jit
from engine.compiler.subnormals import flush_subnormals, restore
from engine.equations.jacobians import input_jacobian_pass_tiled, parameter_jacobian_pass_tiled
from engine.sums.blocks import Workspace, aligned, allocate, block_samples, load_block, row_width
from engine.sums.samples import Layers


class JacobianWorkspace(NamedTuple):
    """Arrays for one block."""

    block: Workspace
    n_samples: int  # of a block
    rows: NDArray[Any]  # (n_parameters, width), or nothing


def allocate_jacobian(
    layers: Layers, dtype: Any, n_samples: int, of_parameters: bool
) -> JacobianWorkspace:
    """A workspace for so many samples at most."""
    block = block_samples(layers.sizes, dtype, n_samples)
    n_rows = layers.n_parameters if of_parameters else 0
    return JacobianWorkspace(
        allocate(layers, dtype, block),
        block,
        aligned((n_rows, row_width(dtype, block)), dtype),
    )


@jit
def run_chunk_input_jacobian(theta, layers, data, order, first, last, workspace, jacobian):
    """Fill jacobian[first] ... jacobian[last - 1] with dA[L]/dX."""
    control_word = flush_subnormals()
    sizes, units, _, _ = layers
    A, dZ = workspace.block.A, workspace.block.dZ
    for start in range(first, last, workspace.n_samples):
        count = min(workspace.n_samples, last - start)
        m = load_block(data, order, start, count, sizes, sizes[0], workspace.block)
        input_jacobian_pass_tiled(theta, sizes, units, A, dZ, jacobian, start, count, m)
    restore(control_word)


@jit
def run_chunk_parameter_jacobian(theta, layers, data, order, first, last, workspace, jacobian):
    """Fill jacobian[first] ... jacobian[last - 1] with dA[L]/dtheta."""
    control_word = flush_subnormals()
    sizes, units, _, _ = layers
    A, dZ, rows = workspace.block.A, workspace.block.dZ, workspace.rows
    for start in range(first, last, workspace.n_samples):
        count = min(workspace.n_samples, last - start)
        m = load_block(data, order, start, count, sizes, sizes[0], workspace.block)
        parameter_jacobian_pass_tiled(theta, sizes, units, A, dZ, rows, jacobian, start, count, m)
    restore(control_word)
