"""engine/compiler/lane_tiles.py, tile_arithmetic.py, pointers.py: compiled as their NumPy twins."""

import numpy as np
import pytest

from engine.compiler import lane_tiles, tiles
from engine.compiler.jit import jit
from engine.compiler.pointers import numbers_at
from engine.compiler.tile_arithmetic import fused, root, where
from engine.equations.products import FOUR, ONE, TWO
from engine.sums.blocks import aligned
from tests import cases
from tests.side_by_side import assert_same_bits, n_lanes

each_dtype = pytest.mark.parametrize("dtype", cases.DTYPES)


def numbers(n_rows, n_vectors, dtype, seed=0):
    """Rows of whole vectors. Whole numbers, so that a fused product and sum rounds as two do."""
    found = aligned((n_rows, n_vectors * n_lanes(dtype)), dtype)
    found[:] = np.random.default_rng(seed).integers(-50, 51, found.shape)
    return found


def of_any_size(n_rows, n_vectors, dtype, seed=0):
    """Numbers of very different sizes, whose sum shows in which order they were added."""
    found = numbers(n_rows, n_vectors, dtype, seed)
    found *= (10.0 ** np.random.default_rng(seed + 1).integers(-6, 7, found.shape)).astype(dtype)
    return found


def run_both(kernel, *arrays):
    """Call a kernel compiled and as plain Python, on copies of its arrays; what both leave."""
    compiled = [array.copy() for array in arrays]
    plain = [array.copy() for array in arrays]
    kernel(*compiled)
    getattr(kernel, "py_func", kernel)(*plain)
    return compiled, plain


def assert_is_its_twin(kernel, *arrays):
    """The same arrays are left, and at least one of them has changed."""
    compiled, plain = run_both(kernel, *arrays)
    for found, expected in zip(compiled, plain, strict=True):
        assert_same_bits(found, expected)
    pairs = zip(plain, arrays, strict=True)
    assert any(not np.array_equal(now, before, equal_nan=True) for now, before in pairs)


@jit
def repeat_rows(Z, out):
    tiles.store(lane_tiles.repeat_rows(Z, 1, FOUR, TWO), out, 0, 0)


@jit
def outer_product_by_lane(theta, A, out):
    tile = tiles.load(out, 0, 0, FOUR, TWO)
    for k in range(A.shape[0]):
        tile = lane_tiles.add_outer_product_by_lane(tile, theta, 1 + k, 3, A, k, 0)
    tiles.store(tile, out, 0, 0)


@jit
def sum_of_blocks(Z, out):
    tile = lane_tiles.zeros_by_lane(Z)
    n = tiles.lanes(Z) * tiles.lanes(Z)
    for s in range(0, Z.shape[1], n):
        tile = lane_tiles.add_block(tile, Z, 1, s)
    lane_tiles.add_sum_of_vectors(tile, out, 1)


@jit
def sum_of_products(Z, A, out):
    tile = lane_tiles.zeros_by_lane(Z)
    n = tiles.lanes(Z) * tiles.lanes(Z)
    for s in range(0, Z.shape[1], n):
        tile = lane_tiles.add_block_products(tile, Z, 1, A, 2, s)
    lane_tiles.add_sum_of_vectors(tile, out, 1)


@each_dtype
def test_rows_are_repeated_in_each_column_of_a_tile(dtype):
    assert_is_its_twin(repeat_rows, numbers(6, 3, dtype), numbers(4, 2, dtype, 9))


@each_dtype
def test_each_lane_has_an_outer_product_of_its_own(dtype):
    theta, A, out = numbers(13, 1, dtype, 1), numbers(3, 2, dtype, 2), numbers(4, 2, dtype, 3)
    assert_is_its_twin(outer_product_by_lane, theta, A, out)
    (*_, found), _ = run_both(outer_product_by_lane, theta, A, out)
    K = n_lanes(dtype)
    for lane in range(K):
        W = theta[1:, lane].reshape(4, 3)
        expected = out[:, lane::K] + W @ A[:, lane::K]
        assert_same_bits(found[:, lane::K], expected)


@each_dtype
def test_vectors_are_added_as_the_lanes_of_one_vector_are(dtype):
    """`add_sum_of_vectors` and `tiles.add_sums_of_lanes`, on numbers that show their order."""
    K = n_lanes(dtype)
    Z, out = of_any_size(3, 2 * K, dtype), of_any_size(3, 1, dtype, 5)
    assert_is_its_twin(sum_of_blocks, Z, out)
    (_, found), _ = run_both(sum_of_blocks, Z, out)
    assert_same_bits(found[[0, 2]], out[[0, 2]])
    for lane in range(K):
        alone = np.ascontiguousarray(Z[:, lane::K]), out[1:2, lane : lane + 1].copy()
        sum_of_lanes(*alone)
        assert_same_bits(found[1, lane], alone[1][0, 0])


@jit
def sum_of_lanes(Z, out):
    tile = tiles.zeros(Z, ONE, ONE)
    for s in range(0, Z.shape[1], tiles.lanes(Z)):
        tile = tiles.add_rows(tile, Z, 1, s)
    tiles.add_sums_of_lanes(tile, out, 0, 0)


@each_dtype
def test_products_are_added_vector_by_vector(dtype):
    K = n_lanes(dtype)
    Z, A, out = numbers(2, 2 * K, dtype, 1), numbers(3, 2 * K, dtype, 2), numbers(2, 1, dtype, 3)
    assert_is_its_twin(sum_of_products, Z, A, out)
    (*_, found), _ = run_both(sum_of_products, Z, A, out)
    for lane in range(K):
        assert found[1, lane] == out[1, lane] + Z[1, lane::K] @ A[2, lane::K]


@jit
def all_operations(a, b, c, out):
    """A formula on tiles, and the same on numbers, in the rows below."""
    x, y = tiles.load(a, 0, 0, ONE, TWO), tiles.load(b, 0, 0, ONE, TWO)
    z = tiles.load(c, 0, 0, ONE, TWO)
    tiles.store(x + y - z, out, 0, 0)
    tiles.store(x * y, out, 1, 0)
    tiles.store(x / y, out, 2, 0)
    tiles.store(-x, out, 3, 0)
    tiles.store(fused(x, y, z), out, 4, 0)
    tiles.store(root(z), out, 5, 0)
    for i in range(a.shape[1]):
        out[6, i] = a[0, i] + b[0, i] - c[0, i]
        out[7, i] = a[0, i] * b[0, i]
        out[8, i] = a[0, i] / b[0, i]
        out[9, i] = -a[0, i]
        out[10, i] = fused(a[0, i], b[0, i], c[0, i])
        out[11, i] = root(c[0, i])


@each_dtype
def test_arithmetic_of_tiles_is_that_of_numbers(dtype):
    """Sums of products and quotients round once; zeros keep their signs, infinities too."""
    a, b, c = numbers(1, 2, dtype, 1), numbers(1, 2, dtype, 2), numbers(1, 2, dtype, 3)
    a[0, :3], b[0, :3] = [0, -0.0, np.inf], [3, 5, -2]
    b[b == 0] = 7
    c[0, :2] = [-1, 0.0]
    out = np.zeros((12, a.shape[1]), dtype)
    with np.errstate(invalid="ignore"):
        assert_is_its_twin(all_operations, a, b, c, out)
        (*_, found), _ = run_both(all_operations, a, b, c, out)
    assert_same_bits(found[:6], found[6:])


@jit
def choose(go, a, b, out):
    tile, other = tiles.load(a, 0, 0, ONE, TWO), tiles.load(b, 0, 0, ONE, TWO)
    tiles.store(where(tiles.load(go, 0, 0, ONE, TWO), tile, other), out, 0, 0)


@each_dtype
def test_a_lane_is_chosen_by_its_own_number(dtype):
    """A number that is not 0, were it NaN, chooses the first tile; nothing of the other is left."""
    a, b, go = numbers(1, 2, dtype, 1), numbers(1, 2, dtype, 2), numbers(1, 2, dtype, 3)
    go[0, :3], go[0, ::4] = [np.nan, 0, -0.0], 0
    a[go == 0], b[go != 0] = np.nan, np.inf
    out = np.zeros_like(a)
    assert_is_its_twin(choose, go, a, b, out)
    (*_, found), _ = run_both(choose, go, a, b, out)
    assert np.isfinite(found).all()


@jit
def double_numbers(addresses, like):
    for k in range(addresses.size):
        found = numbers_at(addresses[k], k + 1, like)
        for p in range(found.size):
            found[p] *= 2
    return numbers_at(addresses[0], 0, like).size


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint64"])
def test_numbers_at_an_address_are_those_of_the_array_there(dtype):
    """In the array's own memory, and not one beyond."""
    arrays = [np.arange(1, 6).astype(dtype) for _ in range(3)]
    addresses = np.array([array.ctypes.data for array in arrays])
    assert double_numbers(addresses, np.empty(0, dtype)) == 0
    assert [array.tolist() for array in arrays] == [
        [2, 2, 3, 4, 5],
        [2, 4, 3, 4, 5],
        [2, 4, 6, 4, 5],
    ]
    plain = numbers_at(addresses[2], 3, np.empty(0, dtype))
    assert (plain.dtype, plain.tolist()) == (np.dtype(dtype), [2, 4, 6])


@each_dtype
@pytest.mark.parametrize(
    "reach",
    [
        lambda tile, Z: lane_tiles.add_block(tile, Z, 0, 1),
        lambda tile, Z: lane_tiles.add_block_products(tile, Z, 2, Z, 0, 0),
        lambda tile, Z: lane_tiles.add_sum_of_vectors(tile, Z, 2),
        lambda tile, Z: lane_tiles.repeat_rows(Z, 1, FOUR, ONE),
        lambda tile, Z: lane_tiles.add_outer_product_by_lane(tile, Z, 1, 2, Z, 2, 0),
    ],
    ids=["block", "products", "sum", "rows", "outer product"],
)
def test_an_interpreted_tile_of_lanes_that_reaches_over_the_edge_is_refused(reach, dtype):
    Z = numbers(2, n_lanes(dtype), dtype)
    with pytest.raises(IndexError, match="reaches over the edge"):
        reach(lane_tiles.zeros_by_lane(Z), Z)
