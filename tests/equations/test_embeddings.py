"""engine/equations/embeddings.py: three forms against the definition, number by number."""

import math

import numpy as np
import pytest

from engine.boundary.embedded_inputs import refuse_wrong_inputs
from engine.equations.backends import BACKENDS
from engine.equations.embeddings import embed_loops, embed_numpy, pieces_numpy, takes
from engine.equations.mean import mean_gradient_tiled
from tests import embedding_cases as cases
from tests import embeddings_oracle, oracle
from tests.embedding_cases import GRID, INPUTS, SMALL, EmbeddedCase

each_case = pytest.mark.parametrize("case", GRID, ids=str)
both_dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])


def cost_and_gradient(case, data, backend, dtype):
    return case.network.cost_and_gradient(
        data.theta.astype(dtype),
        data.X.astype(dtype),
        data.Y,
        sample_weight=data.sample_weight,
        alpha=data.alpha,
        backend=backend,
    )


@each_case
@both_dtypes
def test_cost_and_gradient_equal_the_oracle(case, dtype, backend):
    """E1 E2 E3 E4 E5, against automatic differentiation of the definition."""
    data = cases.data_of(case)
    J = embeddings_oracle.cost(data.theta, *case.described, *data[1:])
    expected = cases.expected_gradient(case)
    got_J, got = cost_and_gradient(case, data, backend, dtype)
    assert got.dtype == dtype
    np.testing.assert_allclose(got_J, J, rtol=0, atol=cases.tolerance(case, dtype, J))
    atol = cases.tolerance(case, dtype, expected)
    np.testing.assert_allclose(got, expected, rtol=0, atol=atol)


@each_case
@both_dtypes
def test_forward_equals_the_oracle(case, dtype, backend):
    """E1 E2 E3, at breakpoints, outside both ends, and where a number is missing."""
    data = cases.data_of(case)
    described = (*case.described, data.X)
    expected = embeddings_oracle.forward(data.theta, *described)
    got = case.network.forward(data.theta.astype(dtype), data.X.astype(dtype), backend)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, rtol=0, atol=cases.tolerance(case, dtype, expected))


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_gradient_equals_central_differences(case, backend):
    """E4 E5: the cost of the oracle, differenced, knows nothing of any derivative."""
    data = cases.data_of(case)

    def cost(theta):
        return embeddings_oracle.cost(theta, *case.described, *data[1:])

    expected = oracle.gradient_by_differences(cost, data.theta)
    got = cost_and_gradient(case, data, backend, "float64")[1]
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_samples", [127, 1031, 2500])
@pytest.mark.parametrize("depth", [0, 1, 2])
@both_dtypes
def test_many_samples_have_the_gradient_of_few_with_their_weights(n_samples, depth, dtype, backend):
    """Several blocks and spans: samples that stand there often count as often as they stand."""
    case = EmbeddedCase("all kinds", 17, depth, weighted=True, alpha=0.5)
    data = cases.data_of(case)
    chosen = np.random.default_rng(0).integers(0, case.n_samples, n_samples)
    chosen[: case.n_samples] = range(case.n_samples)
    many = data._replace(
        X=data.X[:, chosen], Y=data.Y[:, chosen], sample_weight=data.sample_weight[chosen]
    )
    weights = np.bincount(chosen) * data.sample_weight
    expected = embeddings_oracle.gradient(
        data.theta, *case.described, data.X, data.Y, weights, data.alpha
    )
    got = cost_and_gradient(case, many, backend, dtype)[1]
    atol = cases.tolerance(case._replace(n_samples=1024), dtype, expected) / 4
    np.testing.assert_allclose(got, expected, rtol=0, atol=atol)


@both_dtypes
def test_a_layer_of_several_vectors_has_the_gradient_of_the_oracle(dtype, backend):
    """The tiled form takes four vectors of units at a time, and the rest one by one."""
    case = EmbeddedCase("all kinds", 67, 1, weighted=True, alpha=0.5)
    data = cases.data_of(case)
    expected = cases.expected_gradient(case)
    got = cost_and_gradient(case, data, backend, dtype)[1]
    np.testing.assert_allclose(got, expected, rtol=0, atol=cases.tolerance(case, dtype, expected))


@both_dtypes
def test_the_mean_of_a_batch_is_that_of_its_embeddings_too(dtype):
    """B10: what stands after the layers in theta is divided, and has no penalty."""
    random = np.random.default_rng(0)
    sizes = np.array([3, 2])
    summed, theta = (random.normal(size=13).astype(dtype) for _ in range(2))
    expected = np.empty_like(summed)
    BACKENDS["numpy"].mean_gradient(summed, theta, sizes, 0.5, 7.0, expected)
    for start, stop in [(0, 13), (4, 11), (9, 13), (0, 8)]:
        got = summed.copy()
        mean_gradient_tiled(got, theta, sizes, 0.5, 7.0, start, stop)
        np.testing.assert_allclose(got[start:stop], expected[start:stop], rtol=1e-6)
        np.testing.assert_array_equal(got[:start], summed[:start])
        np.testing.assert_array_equal(got[stop:], summed[stop:])


@pytest.mark.parametrize("n_pieces", [1, 2, 5])
def test_pieces_by_hand(n_pieces):
    """E1: each piece goes from 0 to 1; the outer ones go on outside, also at the breakpoints."""
    b = np.array(cases.B[: n_pieces + 1])
    for x in [*b, b[0] - 3, b[-1] + 3, (b[0] + b[1]) / 2]:
        expected = embeddings_oracle.pieces(x, b.tolist())
        np.testing.assert_array_equal(pieces_numpy(np.array([x]), b)[:, 0], expected)
    assert embeddings_oracle.pieces(b[0], b.tolist()) == [0.0] * n_pieces
    assert embeddings_oracle.pieces(b[-1], b.tolist()) == [1.0] * n_pieces
    np.testing.assert_array_equal(pieces_numpy(np.array([math.nan]), b), np.zeros((n_pieces, 1)))


def test_a_number_in_pieces_on_paper(backend):
    """E2: 1 + 2 x, 10 more along [0, 1], 4 less along [1, 3]; missing, 1 - 5."""
    case = EmbeddedCase("one number, maybe missing", 1, 0)
    network = case.network
    theta = np.zeros(network.n_parameters)
    ((W, b),) = network.views(theta)
    ((c, w, u, V),) = network.embedding_views(theta)
    W[:], b[:] = [[1, 0, 0]], 0.5
    c[0], w[0], u[0], V[:, 0] = 1, 2, -5, [10, -4]
    x = np.array([-1.0, -0.25, 0.0, 0.25, -2.0, np.nan])  # breakpoints -1, -0.25, 0.25
    expected = [-1 + 0, 0.5 + 10, 1 + 10 - 2, 1.5 + 10 - 4, -3 - 10 / 0.75, -4]
    got = network.forward(theta, x[None, :], backend)[0]
    np.testing.assert_allclose(got, 0.5 + np.array(expected), rtol=1e-15)


@pytest.mark.parametrize("inputs", INPUTS)
def test_loops_and_numpy_make_the_same_numbers(inputs):
    """E2 E3: E itself, which the tiled form never makes."""
    case = EmbeddedCase(inputs, 3, 1, n_samples=50)
    data = cases.data_of(case)
    expected = embeddings_oracle.embedded_rows(
        INPUTS[inputs],
        embeddings_oracle.parts(INPUTS[inputs], case.sizes, data.theta)[1],
        data.X,
    )
    for embed in (embed_numpy, embed_loops):
        E = np.empty((case.network.dense_sizes[0], 50))
        embed(data.theta, case.network.layers.embeddings, data.X, E)
        np.testing.assert_allclose(E, expected, rtol=0, atol=1e-14 * np.abs(expected).max())


def test_a_straight_line_where_V_is_zero(backend):
    """E2: with V = 0 the network is the one without pieces, W w in place of W."""
    case = EmbeddedCase("one number", 3, 0, n_samples=20)
    data = cases.data_of(case)
    network, theta = case.network, data.theta.copy()
    ((W, b),) = network.views(theta)
    ((c, w, _, V),) = network.embedding_views(theta)
    V[:] = 0
    expected = W * w @ data.X + (W * c + b[:, None])
    np.testing.assert_allclose(network.forward(theta, data.X, backend), expected, atol=1e-14)


def test_levels_that_no_sample_has_get_no_gradient(backend):
    """E5."""
    case = EmbeddedCase("one category", 3, 1, n_samples=8)
    data = cases.data_of(case)
    X = np.where(data.X == 2, 1.0, data.X)
    _, gradient = case.network.cost_and_gradient(data.theta, X, data.Y, backend=backend)
    (dV,) = case.network.embedding_views(gradient)
    assert (dV[2] == 0).all()
    assert (dV[[0, 1, 3]] != 0).all()


def test_a_number_that_nowhere_is_missing_has_no_gradient_for_missing_ones(backend):
    """E4: du is 0, and so the vector stays as it was drawn."""
    case = EmbeddedCase("one number, maybe missing", 3, 1, n_samples=8)
    data = cases.data_of(case)
    X = np.nan_to_num(data.X, nan=0.5)
    _, gradient = case.network.cost_and_gradient(data.theta, X, data.Y, backend=backend)
    ((dc, dw, du, dV),) = case.network.embedding_views(gradient)
    assert (du == 0).all()
    assert (dc != 0).all()
    assert (dw != 0).all()
    assert (dV != 0).any()


@pytest.mark.parametrize("name", list(BACKENDS))
def test_samples_of_weight_0_count_for_nothing(name):
    """Also where their number is missing."""
    case = EmbeddedCase("all kinds", 17, 2, n_samples=30)
    data = cases.data_of(case)
    kept = np.arange(30) % 3 > 0
    got = case.network.cost_and_gradient(
        data.theta, data.X, data.Y, sample_weight=kept * 1.0, backend=name
    )
    expected = case.network.cost_and_gradient(
        data.theta, data.X[:, kept], data.Y[:, kept], backend=name
    )
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(got[1], expected[1], rtol=0, atol=1e-13)


@pytest.mark.parametrize("value", [-1, -0.5, 0, 0.5, 2, 3, 4, 1e300, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", range(7))
def test_kernels_and_boundary_take_the_same_numbers(place, value):
    """Of one row it is the kernel that looks; of many it is the boundary."""
    embeddings = EmbeddedCase("all kinds", 1, 0).network.layers.embeddings
    assert embeddings is not None
    X = np.zeros((7, 1))
    X[place] = value
    try:
        refuse_wrong_inputs("X", X, embeddings.levels, embeddings.missing)
        taken = True
    except ValueError:
        taken = False
    assert bool(takes(embeddings, place, float(value))) == taken
