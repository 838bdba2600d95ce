"""engine/equations/products.py, engine/compiler/tiles.py: sums in tiles, at a matrix's edges."""

import numpy as np
import pytest

from engine.compiler import tiles
from engine.equations import products
from engine.equations.backends import NUMPY, TILED
from engine.sums.blocks import aligned
from tests import cases, tiled
from tests.processes import result_of

# Units above, units below, vectors of samples: whole tiles, what is left over, two blocks of units,
# samples transposed for dW in panels of several vectors and of one.
SHAPES = [
    (1, 1, 1),
    (3, 2, 2),
    (4, 4, 4),
    (5, 3, 5),
    (8, 17, 1),
    (9, 5, 7),
    (13, 33, 4),
    (2, 130, 5),
    (130, 3, 1),
    (8, 64, 1),
    (9, 100, 3),
    (13, 147, 9),
]


def whole_numbers(shape, dtype, seed):
    """Small whole numbers, so that sums are exact in any order."""
    array = aligned(shape, dtype)
    array[:] = np.random.default_rng(seed).integers(-8, 9, shape)
    return array


def samples(n_rows, m, dtype, seed):
    array = whole_numbers((n_rows, m + 64 // np.dtype(dtype).itemsize), dtype, seed)
    array[:, m:] = np.nan
    return array


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(("n_out", "n_in", "vectors"), SHAPES)
def test_products_are_exact_on_whole_numbers_and_touch_nothing_beyond(n_out, n_in, vectors, dtype):
    m = vectors * tiles.VECTOR_BYTES // np.dtype(dtype).itemsize
    W, b = whole_numbers((n_out, n_in), dtype, 1), whole_numbers((n_out,), dtype, 2)
    A, dZ = samples(n_in, m, dtype, 3), samples(n_out, m, dtype, 4)
    Z, dA = samples(n_out, m, dtype, 5), samples(n_in, m, dtype, 6)
    products.accumulate_over_units(W, b, A, Z, m)
    np.testing.assert_array_equal(Z[:, :m], W @ A[:, :m] + b[:, None])
    products.accumulate_over_units(W.T, b[:0], dZ, dA, m)
    np.testing.assert_array_equal(dA[:, :m], W.T @ dZ[:, :m])
    dW = whole_numbers((n_out, n_in), dtype, 7)
    expected = dW + dZ[:, :m] @ A[:, :m].T
    products.accumulate_over_samples(dZ, A, dW, np.full_like(A, np.nan), m)
    np.testing.assert_array_equal(dW, expected)
    for array in (A, dZ, Z, dA):
        assert np.isnan(array[:, m:]).all()


def test_a_tile_of_this_processor_fits_into_its_registers():
    n_columns = len(products.COLUMNS)
    assert 4 * n_columns + n_columns + 1 <= tiles.REGISTERS  # sums, samples, and a weight


def products_of_every_shape():
    for dtype in cases.DTYPES:
        for shape in SHAPES:
            test_products_are_exact_on_whole_numbers_and_touch_nothing_beyond(*shape, dtype)
    return tiles.VECTOR_BYTES


@pytest.mark.proof
@pytest.mark.compiled
def test_products_are_exact_where_vectors_have_sixteen_bytes(tmp_path):
    """On the same processor, told to do without its longer vectors."""
    generic = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": tmp_path,
    }
    assert result_of(products_of_every_shape, env=generic) == 16


def test_an_interpreted_tile_that_reaches_over_the_edge_is_refused():
    Z = np.zeros((5, 16))
    with pytest.raises(IndexError, match="reaches over the edge"):
        tiles.load(Z, 2, 0, products.FOUR, products.ONE)
    with pytest.raises(IndexError, match="reaches over the edge"):
        tiles.load(Z, 0, 16, products.ONE, products.ONE)


@pytest.mark.parametrize("case", cases.THINNED[::3], ids=str)
def test_a_tiled_pass_over_one_block_is_the_numpy_pass(case):
    """Forward, cost and gradient, on a block that is filled up with samples of weight 0."""
    data, network = cases.data_of(case, True, 0.0), cases.network_of(case)
    layers, n_units = network.layers, sum(case.sizes)
    Y = np.broadcast_to(data.Y, (case.sizes[-1], case.n_samples))  # for all levels of quantiles
    A = np.zeros((n_units, case.n_samples))
    A[: case.sizes[0]] = data.X
    dZ, dtheta = np.zeros_like(A), np.zeros_like(data.theta)
    padded_A, m = tiled.padded(np.concatenate([A, np.zeros((4, case.n_samples))]))
    padded_dZ, _ = tiled.padded(dZ)
    padded_Y, _ = tiled.padded(Y)
    padded_s = tiled.padded(data.sample_weight.reshape(1, -1))[0][0]
    of_tiles = np.zeros_like(data.theta)
    numpy_arguments = (data.theta, *layers[:3], A, dZ, Y, data.sample_weight, dtheta)
    expected = NUMPY.gradient_pass(*numpy_arguments)
    arguments = (data.theta, *layers[:3], padded_A, padded_dZ, padded_Y, padded_s, of_tiles, m)
    assert TILED.gradient_pass(*arguments) == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(of_tiles, dtheta, rtol=0, atol=1e-12 * max(1, abs(dtheta).max()))
    cost = TILED.cost_pass(data.theta, *layers[:3], padded_A, padded_Y, padded_s, m)
    assert cost == pytest.approx(expected, rel=1e-13)
    NUMPY.forward_pass(data.theta, layers.sizes, layers.units, A)
    TILED.forward_pass(data.theta, layers.sizes, layers.units, padded_A, m)
    output = slice(n_units - case.sizes[-1], n_units)
    np.testing.assert_allclose(
        padded_A[output, : case.n_samples], A[output], rtol=1e-12, atol=1e-15
    )
