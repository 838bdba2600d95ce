"""engine/equations/members.py: each lane has the bits of the tiled form of its own network."""

from typing import Any, NamedTuple

import numba
import numpy as np
import pytest

from engine import Network
from engine.compiler import tiles
from engine.equations import backward, forward, members, ordered_sums, passes, products
from engine.equations.backends import TILED
from engine.equations.layout import parameters_of
from engine.equations.ordered_sums import TOTALS
from engine.sums.blocks import aligned
from tests import cases, tiled
from tests.side_by_side import assert_same_bits, in_lanes, n_lanes, of_lane, vectors_in_lanes

# Units above and below: fewer and more than the 8 from which A is transposed for dW, and fewer and
# more than the columns of a tile, 64 at most; with what is left over of four, and of a vector.
SHAPES = [(1, 1), (3, 5), (4, 8), (7, 70), (8, 12), (8, 33), (9, 64), (13, 83), (10, 131)]
VECTORS = [1, 3, 8]  # of samples


def each_shape(test):
    """Both dtypes, all shapes, all numbers of samples; also with bounds checked."""
    test = pytest.mark.parametrize("backend", [TILED.name])(test)
    test = pytest.mark.parametrize("dtype", cases.DTYPES)(test)
    test = pytest.mark.parametrize(("n_out", "n_in"), SHAPES)(test)
    return pytest.mark.parametrize("vectors", VECTORS)(test)


class Layer(NamedTuple):
    """A layer of one network, as the tiled form takes it."""

    theta: Any
    dtheta: Any
    A_prev: Any
    dZ: Any


def layer_of_each(n_out, n_in, vectors, dtype):
    """A layer of each of K networks, their sizes and m. It is layer 2: theta begins below it."""
    sizes, m = np.array([2, n_in, n_out]), vectors * n_lanes(dtype)
    n_parameters = Network((2, n_in, n_out)).n_parameters
    layers = []
    for k in range(n_lanes(dtype)):
        random = np.random.default_rng([n_out, n_in, vectors, k])
        theta, dtheta = random.normal(size=(2, n_parameters)).astype(dtype)
        A_prev = tiled.padded(random.normal(size=(n_in, m)).astype(dtype))[0]
        dZ = tiled.padded(random.normal(size=(n_out, m)).astype(dtype))[0]
        A_prev[:, m:], dZ[:, m:] = np.nan, np.nan  # only the first m samples count
        layers.append(Layer(theta, dtheta, A_prev, dZ))
    return layers, sizes, m


def beside(layers):
    """The layers of K networks side by side."""
    theta, dtheta, A_prev, dZ = zip(*layers, strict=True)
    return vectors_in_lanes(theta), vectors_in_lanes(dtheta), in_lanes(A_prev), in_lanes(dZ)


def nowhere(n_rows, like):
    """A matrix of NaN with columns as another one has."""
    found = aligned((n_rows, like.shape[1]), like.dtype)
    found[:] = np.nan
    return found


@each_shape
def test_pre_activations_have_the_bits_of_each_network_alone(n_out, n_in, vectors, dtype, backend):
    """F1, and nothing is written beyond the first m samples."""
    layers, sizes, m = layer_of_each(n_out, n_in, vectors, dtype)
    theta, _, A_prev, dZ = beside(layers)
    Z = nowhere(n_out, dZ)
    members.affine_members(theta, sizes, 2, A_prev, Z, m)
    for k, layer in enumerate(layers):
        expected = nowhere(n_out, layer.dZ)
        forward.affine_tiled(*parameters_of(layer.theta, sizes, 2), layer.A_prev, expected, m)
        assert_same_bits(of_lane(Z, k), expected)
        assert np.isfinite(expected[:, :m]).all()


@each_shape
def test_gradients_by_inputs_have_the_bits_of_each_network_alone(
    n_out, n_in, vectors, dtype, backend
):
    """B3, and nothing is written beyond the first m samples."""
    layers, sizes, m = layer_of_each(n_out, n_in, vectors, dtype)
    theta, _, A_prev, dZ = beside(layers)
    dA_prev = nowhere(n_in, A_prev)
    members.input_gradient_members(theta, sizes, 2, dZ, dA_prev, m)
    for k, layer in enumerate(layers):
        W, _ = parameters_of(layer.theta, sizes, 2)
        expected = nowhere(n_in, layer.A_prev)
        backward.input_gradient_tiled(W, layer.dZ, expected, m)
        assert_same_bits(of_lane(dA_prev, k), expected)
        assert np.isfinite(expected[:, :m]).all()


@each_shape
def test_gradients_by_parameters_have_the_bits_of_each_network_alone(
    n_out, n_in, vectors, dtype, backend
):
    """B1 B2, added to what is there; the parameters of other layers keep theirs."""
    layers, sizes, m = layer_of_each(n_out, n_in, vectors, dtype)
    _, dtheta, A_prev, dZ = beside(layers)
    members.parameter_gradient_members(dtheta, sizes, 2, dZ, A_prev, m)
    for k, layer in enumerate(layers):
        dW, db = parameters_of(layer.dtheta, sizes, 2)
        scratch = nowhere(n_in, layer.A_prev)
        backward.parameter_gradient_tiled(layer.dZ, layer.A_prev, dW, db, scratch, m)
        assert_same_bits(dtheta[:, k], layer.dtheta)


@pytest.mark.skipif(not numba.config.DISABLE_JIT, reason="compiled for this processor's vectors")
@pytest.mark.parametrize("vectors", [3, 4])
def test_vectors_of_two_numbers_and_many_registers_change_nothing(vectors, monkeypatch):
    """As NEON has them: neither samples nor inputs are a multiple of a tile's four vectors."""
    monkeypatch.setattr(tiles, "VECTOR_BYTES", 16)
    for module in (members, products):
        monkeypatch.setattr(module, "COLUMNS", products.FOUR)
        monkeypatch.setattr(module, "N_COLUMNS", 4)
    shape = 9, 18, vectors, "float64", TILED.name
    test_pre_activations_have_the_bits_of_each_network_alone(*shape)
    test_gradients_by_inputs_have_the_bits_of_each_network_alone(*shape)
    test_gradients_by_parameters_have_the_bits_of_each_network_alone(*shape)


class Block(NamedTuple):
    """What a pass of one network takes, as the tiled form has it."""

    theta: Any
    A: Any
    dZ: Any
    Y: Any
    s: Any


def block_of_each(case, m, dtype):
    """A block of each of K networks of a case: parameters, data and weights of their own."""
    data, n_samples = cases.data_of(case, True, 0.0), case.n_samples
    n_units, n_0 = sum(case.sizes), case.sizes[0]
    Y_of_case = np.broadcast_to(data.Y, (case.sizes[-1], n_samples))
    for k in range(n_lanes(dtype)):
        random = np.random.default_rng([m, k])
        chosen = random.integers(0, n_samples, m)
        A, dZ = np.full((n_units + 4, m), np.nan), np.full((n_units, m), np.nan)
        A[:n_0] = data.X[:, chosen] + random.normal(size=(n_0, m)) / 4
        s = data.sample_weight[chosen]
        s[-1] = 0  # as a sample that fills a block up
        theta = data.theta + random.normal(size=data.theta.size) / 4
        arrays = theta, A, dZ, Y_of_case[:, chosen], s
        yield Block(*(np.ascontiguousarray(array.astype(dtype)) for array in arrays))


CASES = [*cases.THINNED, *cases.EACH_LOSS]
WIDE = [
    cases.Case((70, 9, 2), ("tanh",), "identity", 7),
    cases.Case((3, 70, 13, 10), ("relu", "sigmoid"), "softmax", 7),
]


def assert_pass_is_that_of_each_network(case, vectors, dtype, upset=None):
    """Costs and gradients, each lane's against those of its own network."""
    m, K = vectors * n_lanes(dtype), n_lanes(dtype)
    sizes, units, loss, _ = cases.network_of(case).layers
    blocks = list(block_of_each(case, m, dtype))
    if upset is not None:
        blocks[upset].theta[:] = np.nan
    of_all = zip(*blocks, strict=True)
    thetas, As, dZs, Ys, weights = of_all
    theta, A, dZ, Y = vectors_in_lanes(thetas), in_lanes(As), in_lanes(dZs), in_lanes(Ys)
    s = vectors_in_lanes(weights).reshape(-1)
    dtheta = np.zeros_like(theta)
    members.gradient_pass_members(theta, sizes, units, loss, A, dZ, Y, s, dtheta, m)
    costs = np.zeros(K)
    members.add_in_order(np.full((TOTALS, K), np.nan), A[sum(case.sizes)], m, A, costs)
    for k, (theta_k, A_k, dZ_k, Y_k, s_k) in enumerate(blocks):
        alone = np.zeros_like(theta_k)
        cost = passes.gradient_pass_tiled(
            theta_k, sizes, units, loss, A_k, dZ_k, Y_k, s_k, alone, m
        )
        assert_same_bits(dtheta[:, k], alone)
        assert costs[k] == cost or np.isnan(cost)
        assert np.isfinite(cost) == (k != upset)


@pytest.mark.parametrize("backend", [TILED.name])
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("vectors", [1, 2])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_pass_has_the_bits_of_each_network_alone(case, vectors, dtype, backend):
    """Units and losses of every kind, 1 to 4 layers, weights that differ."""
    assert_pass_is_that_of_each_network(case, vectors, dtype)


@pytest.mark.compiled  # interpreted, loops over so many units take long
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("case", WIDE, ids=str)
def test_a_pass_of_wide_layers_has_the_bits_of_each_network_alone(case, dtype):
    assert_pass_is_that_of_each_network(case, 3, dtype)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_a_network_of_nan_changes_no_other(dtype):
    case = cases.Case((3, 5, 4, 2), ("tanh", "relu"), "softmax", 7)
    with np.errstate(all="ignore"):
        assert_pass_is_that_of_each_network(case, 1, dtype, upset=1)


def of_every_size(n, dtype):
    """Terms (n, K) of very different sizes, whose sum shows in which order they were added."""
    random = np.random.default_rng(n)
    shape = n, n_lanes(dtype)
    return (random.standard_normal(shape) * 10.0 ** random.integers(-6, 7, shape)).astype(dtype)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 40, 67])
def test_sums_of_lanes_have_the_order_of_one_network(n, dtype):
    terms = of_every_size(n, dtype)
    K = n_lanes(dtype)
    totals, sums, squares = np.full((TOTALS, K), np.nan), np.zeros(K), np.zeros(K)
    members.add_in_order(totals, terms.reshape(-1), n, terms, sums)
    members.add_squares_in_order(totals, terms, terms, squares)
    for k in range(K):
        alone = np.ascontiguousarray(terms[:, k])
        assert sums[k] == ordered_sums.sum_in_order(alone, n)
        assert squares[k] == ordered_sums.sum_of_squares_in_order(alone)
