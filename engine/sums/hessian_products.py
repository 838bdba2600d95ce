"""The Hessian of the summed cost times a vector, over a chunk of samples (N8)."""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from engine.compiler.jit import jit
from engine.compiler.subnormals import flush_subnormals, restore
from engine.equations.second_derivative import hessian_pass_tiled
from engine.sums.blocks import Workspace, aligned, allocate, block_samples, load_block
from engine.sums.samples import Layers


class HessianWorkspace(NamedTuple):
    """Arrays for one block."""

    block: Workspace
    n_samples: int  # of a block
    RA: NDArray[Any]  # as the dZ of a workspace
    RdZ: NDArray[Any]


def allocate_hessian(layers: Layers, dtype: Any, n_samples: int) -> HessianWorkspace:
    """A workspace for so many samples at most."""
    block = block_samples(layers.sizes, dtype, n_samples)
    workspace = allocate(layers, dtype, block)
    shape = workspace.dZ.shape
    return HessianWorkspace(workspace, block, aligned(shape, dtype), aligned(shape, dtype))


@jit
def run_chunk_hessian(theta, v, layers, data, order, first, last, span, workspace, product_sum):
    """H v of a chunk in `product_sum`: spans of samples are added up in float64."""
    control_word = flush_subnormals()
    sizes, units, loss, _ = layers
    A, dZ, Y, s, _, product, _ = workspace.block
    for p in range(product_sum.size):
        product_sum[p] = 0
    for start in range(first, last, span):
        stop = min(start + span, last)
        for p in range(product.size):
            product[p] = 0
        for begin in range(start, stop, workspace.n_samples):
            count = min(workspace.n_samples, stop - begin)
            m = load_block(data, order, begin, count, sizes, sizes[0], workspace.block)
            RA, RdZ = workspace.RA, workspace.RdZ
            hessian_pass_tiled(theta, v, sizes, units, loss, A, dZ, RA, RdZ, Y, s, product, m)
        for p in range(product.size):
            product_sum[p] += product[p]
    restore(control_word)
