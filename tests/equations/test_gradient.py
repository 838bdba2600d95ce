"""engine/equations/backward.py, and the whole gradient against three independent ones."""

import itertools

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Network
from engine.equations import backward
from engine.equations.backends import BACKENDS
from tests import cases, high_precision, oracle, tiled


def gradient(case, data, backend, dtype="float64"):
    return cases.network_of(case).cost_and_gradient(
        data.theta.astype(dtype),
        data.X.astype(dtype),
        data.Y,
        sample_weight=data.sample_weight,
        alpha=data.alpha,
        backend=backend,
    )[1]


@pytest.mark.parametrize("case", cases.GRID, ids=str)
def test_gradient_equals_the_oracle(case, backend):
    """L5 L11 L12 L13 L14, B1 B2 B3 B4 B5 B6 B7 B8 B9 B10, against automatic differentiation."""
    for weighted, alpha, dtype in cases.settings():
        data = cases.data_of(case, weighted, alpha)
        expected = cases.expected_gradient(case, weighted, alpha)
        got = gradient(case, data, backend, dtype)
        assert got.dtype == dtype
        np.testing.assert_allclose(
            got, expected, rtol=0, atol=cases.tolerance(case, dtype, expected)
        )


@pytest.mark.parametrize("case", cases.THINNED, ids=str)
def test_gradient_equals_central_differences(case, backend):
    """The cost of the oracle, differenced: knows nothing of any derivative."""
    data = cases.data_of(case, True, 0.5)

    def cost(theta):
        return oracle.cost(theta, *cases.described(case), *data[1:], case.loss)

    expected = oracle.gradient_by_differences(cost, data.theta)
    np.testing.assert_allclose(gradient(case, data, backend), expected, rtol=1e-9, atol=1e-9)


SMALL = [
    cases.Case((2, *[3] * depth, 2), (hidden,) * depth, output, 3)
    for depth, hidden, output in itertools.product(
        (0, 1, 2), ("tanh", "sigmoid", "relu"), cases.OUTPUTS
    )
    if depth or hidden == "tanh"
]
SMALL += [case._replace(n_samples=3) for case in cases.EACH_LOSS]


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_directional_derivative_agrees_in_forty_digits(case, backend):
    """dJ/dtheta along a random direction to 1e-12, against differences of an exact cost."""
    data = cases.data_of(case, True, 0.5)
    direction = np.random.default_rng(1).normal(size=data.theta.size)
    expected = high_precision.directional_derivative(
        data.theta, direction, *cases.described(case), *data[1:], case.loss
    )
    got = gradient(case, data, backend)
    along = mpmath.fsum(mpmath.mpf(g) * mpmath.mpf(v) for g, v in zip(got, direction))
    scale = max(1, float(np.abs(got * direction).sum()))
    assert abs(along - expected) <= 1e-12 * scale


def test_layer_gradients_by_hand(backend):
    """B1 B2 B3 on numbers that are worked out on paper, added to what stood there."""
    W = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    dZ = np.array([[1.0, -1.0], [0.0, 2.0], [0.5, 0.0]])
    A_prev = np.array([[1.0, 2.0], [3.0, 4.0]])
    dW, db, dA_prev = np.full((3, 2), 100.0), np.full(3, 100.0), np.full((2, 2), np.nan)
    if backend == "tiled":
        (dZ, m), (A_prev, _), (below, _) = map(tiled.padded, (dZ, A_prev, dA_prev))
        backward.parameter_gradient_tiled(dZ, A_prev, dW, db, np.full_like(A_prev, np.nan), m)
        backward.input_gradient_tiled(W, dZ, below, m)
        dA_prev = below[:, :2]
    else:
        forms = {
            "numpy": (backward.parameter_gradient_numpy, backward.input_gradient_numpy),
            "loops": (backward.parameter_gradient_loops, backward.input_gradient_loops),
        }
        parameter_gradient, input_gradient = forms[backend]
        parameter_gradient(dZ, A_prev, dW, db)
        input_gradient(W, dZ, dA_prev)
    np.testing.assert_array_equal(dW - 100, [[-1, -1], [4, 8], [0.5, 1.5]])
    np.testing.assert_array_equal(db - 100, [0, 2, 0.5])
    np.testing.assert_array_equal(dA_prev, [[3.5, 5], [5, 6]])


def test_the_two_lines_that_the_seed_leaves_out(backend):
    """B1 B2 for layer 1 of the 2-4-1 network: dW[1] = dZ[1] X^T / m, db[1] = row sums / m."""
    network = Network((2, 4, 1))
    theta = network.initial_parameters(seed=3)
    X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
    Y = np.array([[1.0, 0.0, 0.0, 1.0]])
    (W1, b1), (W2, b2) = network.views(theta)
    A1 = np.tanh(W1 @ X + b1[:, None])
    A2 = 1 / (1 + np.exp(-(W2 @ A1 + b2[:, None])))
    dZ2 = (A2 - Y) / 4
    dZ1 = (W2.T @ dZ2) * (1 - A1**2)
    _, dtheta = network.cost_and_gradient(theta, X, Y, backend=backend)
    (dW1, db1), (dW2, db2) = network.views(dtheta)
    for got, expected in (
        (dW1, dZ1 @ X.T),
        (db1, dZ1.sum(axis=1)),
        (dW2, dZ2 @ A1.T),
        (db2, dZ2.sum(axis=1)),
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-16)


def test_relu_has_slope_zero_at_zero(backend):
    """B7 at z = 0 exactly, where either side would do: 0, as scikit-learn and PyTorch have it."""
    network = Network((1, 1, 1), hidden="relu", output="identity")
    theta = np.array([1.0, 0.0, 1.0, 1.0])  # z[1] = x = 0
    _, dtheta = network.cost_and_gradient(theta, np.zeros((1, 1)), [0.0], backend=backend)
    np.testing.assert_array_equal(dtheta, [0, 0, 0, 1])


# Properties, on any small network and data.


@st.composite
def problems(draw):
    depth = draw(st.integers(0, 2))
    width = st.integers(1, 4)
    sizes = tuple(draw(width) for _ in range(depth + 2))
    hidden = tuple(draw(st.sampled_from(("tanh", "sigmoid", "identity"))) for _ in range(depth))
    output = draw(st.sampled_from(cases.OUTPUTS))
    # A number of quantiles comes with as many output units.
    others = [
        loss for loss, of in cases.LOSSES.items() if of[0] == output and of[1] in (0, sizes[-1])
    ]
    loss = draw(st.sampled_from([None, *others]))
    case = cases.Case(sizes, hidden, output, draw(st.integers(2, 6)), loss)
    return case, cases.data_of(case, False, draw(st.sampled_from((0.0, 0.5))))


def both(case, data, backend, columns, weights=None, total=None):
    """Cost and gradient on some of the columns, as sums rather than means."""
    cost, dtheta = cases.network_of(case).cost_and_gradient(
        data.theta,
        data.X[:, columns],
        data.Y[:, columns],
        sample_weight=weights,
        alpha=data.alpha,
        backend=backend,
    )
    total = len(columns) if total is None else total
    return np.concatenate([[cost], dtheta]) * total


BACKEND = st.sampled_from(list(BACKENDS))
PROPERTY = settings(max_examples=40, derandomize=True)


def close(left, right):
    np.testing.assert_allclose(left, right, rtol=1e-11, atol=1e-11)


@PROPERTY
@given(problems(), BACKEND, st.data())
def test_sums_add_over_any_cut_of_the_samples(problem, backend, choices):
    case, data = problem
    data = data._replace(alpha=0.0)
    cut = choices.draw(st.integers(1, case.n_samples - 1))
    everything = list(range(case.n_samples))
    close(
        both(case, data, backend, everything),
        both(case, data, backend, everything[:cut]) + both(case, data, backend, everything[cut:]),
    )


@PROPERTY
@given(problems(), BACKEND, st.data())
def test_the_order_of_the_samples_changes_nothing_but_rounding(problem, backend, choices):
    case, data = problem
    everything = list(range(case.n_samples))
    shuffled = choices.draw(st.permutations(everything))
    close(both(case, data, backend, everything), both(case, data, backend, shuffled))


@PROPERTY
@given(problems(), BACKEND, st.data())
def test_a_whole_weight_is_as_many_equal_columns(problem, backend, choices):
    """Weight 0 is the column left out."""
    case, data = problem
    counts = choices.draw(
        st.lists(st.integers(0, 3), min_size=case.n_samples, max_size=case.n_samples).filter(any)
    )
    repeated = np.repeat(np.arange(case.n_samples), counts).tolist()
    everything = list(range(case.n_samples))
    close(
        both(case, data, backend, everything, weights=counts, total=sum(counts)),
        both(case, data, backend, repeated),
    )


@PROPERTY
@given(problems(), st.sampled_from(cases.DTYPES), st.booleans())
def test_backends_agree(problem, dtype, weighted):
    case, data = problem
    if weighted:
        data = data._replace(sample_weight=np.arange(1, case.n_samples + 1) / 4)
    by_backend = [gradient(case, data, name, dtype) for name in BACKENDS]
    scale = max(1.0, float(np.abs(by_backend[0]).max()))
    for other in by_backend[1:]:
        np.testing.assert_allclose(
            other, by_backend[0], rtol=0, atol=cases.tolerance(case, dtype, by_backend[0]) * scale
        )


@PROPERTY
@given(problems(), BACKEND)
def test_a_small_step_against_the_gradient_lowers_the_cost(problem, backend):
    case, data = problem
    objective = cases.network_of(case).objective(data.X, data.Y, alpha=data.alpha, backend=backend)
    cost, dtheta = objective.cost_and_gradient(data.theta)
    slope = float(np.square(dtheta).sum())
    step = 1e-7 / max(1.0, np.sqrt(slope))
    lowered = objective.cost(data.theta - step * dtheta)
    assert lowered <= cost + 1e-13 * max(1.0, cost)
    assert cost - lowered == pytest.approx(step * slope, rel=1e-2, abs=1e-13 * max(1.0, cost))


def test_cost_alone_is_the_cost_with_its_gradient(backend):
    """`Objective.cost` leaves the backward pass out, and gives the same bits."""
    for case in cases.THINNED:
        data = cases.data_of(case, True, 0.5)
        objective = cases.network_of(case).objective(
            data.X, data.Y, sample_weight=data.sample_weight, alpha=data.alpha, backend=backend
        )
        assert objective.cost(data.theta) == objective.cost_and_gradient(data.theta)[0]
