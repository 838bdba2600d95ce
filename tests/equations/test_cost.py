"""engine/equations/losses.py and mean.py: the cost of samples, and J."""

import math

import numpy as np
import pytest

from engine import Network
from tests import cases, high_precision, oracle


@pytest.mark.parametrize("case", cases.GRID, ids=str)
def test_cost_equals_the_oracle(case, backend):
    """L1 L2 L3 L4 L7 L8 L9 L10 for each sample, L6 for their weighted mean with its penalty."""
    network = cases.network_of(case)
    for weighted, alpha, dtype in cases.settings():
        theta, X, Y, weights, alpha = cases.data_of(case, weighted, alpha)
        expected = cases.expected_cost(case, weighted, alpha)
        cost, _ = network.cost_and_gradient(
            theta.astype(dtype),
            X.astype(dtype),
            Y,
            sample_weight=weights,
            alpha=alpha,
            backend=backend,
        )
        assert isinstance(cost, float)
        assert abs(cost - expected) <= cases.tolerance(case, dtype, expected)


# Pre-activations of a single output unit, or of a softmax pair; targets that the unit accepts.
FAR = (1e4, 1e6, 750.0, 40.0, 18.0, 1e-8, 0.0)


@pytest.mark.parametrize("z", [*FAR, *(-z for z in FAR)])
@pytest.mark.parametrize("y", [0.0, 1.0, 0.25, 1 - 2**-53, 2**-60])
def test_cost_is_exact_far_from_zero(z, y, backend):
    """L1 L2 L3 L4: relative error of rounding alone, for |z| to 10^6, and tiny costs."""
    theta = np.array([1.0, 0.0])
    X = np.array([[z]])
    for output in ("sigmoid", "identity", "exp"):
        if output == "exp" and (z > 700 or abs(z) < 1e-6):
            continue  # e^z is infinite; near a = y the deviance cancels (docs/equations.md, L4)
        got, _ = Network((1, 1), output=output).cost_and_gradient(theta, X, [[y]], backend=backend)
        expected = oracle.cost(theta, (1, 1), (), output, X, [[y]])
        assert got == pytest.approx(expected, rel=2e-15, abs=0), output
    # A softmax of z and 0 is a sigmoid of z.
    got, _ = Network((1, 2), output="softmax").cost_and_gradient(
        np.array([1.0, 0.0, 0.0, 0.0]), X, [[y], [1 - y]], backend=backend
    )
    expected = oracle.cost(theta, (1, 1), (), "sigmoid", X, [[y]])
    assert got == pytest.approx(expected, rel=2e-15, abs=0)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_a_hopeless_sample_costs_as_much_as_its_z(dtype, backend):
    """L1 L2: no clipping constant caps the cost, in float32 neither."""
    one = np.ones((1, 1), dtype)
    theta = np.array([-1e4, 0], dtype)
    assert Network((1, 1)).cost_and_gradient(theta, one, [1], backend=backend)[0] == 1e4
    theta = np.array([-1e4, 1e4, 0, 0], dtype)
    network = Network((1, 2), output="softmax")
    assert network.cost_and_gradient(theta, one, [0], backend=backend)[0] == 2e4


def test_cost_agrees_with_the_definition_in_forty_digits(backend):
    """L1 L2 L3 L4 L7 L8 L9 L10 as the table defines them, from a and its logarithm."""
    for case in cases.THINNED[:: 4 if backend == "loops" else 5]:
        data = cases.data_of(case, True, 0.5)
        cost, _ = cases.network_of(case).cost_and_gradient(
            data.theta,
            data.X,
            data.Y,
            sample_weight=data.sample_weight,
            alpha=data.alpha,
            backend=backend,
        )
        expected = high_precision.cost(data.theta, *cases.described(case), *data[1:], case.loss)
        assert abs(cost - expected) <= cases.tolerance(case, "float64", cost)


def test_logistic_regression_at_zero_costs_log_2_on_xnor(backend):
    """The seed's numbers: a = 1/2 everywhere, J = log 2, and dJ/dtheta = 0."""
    X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
    cost, gradient = Network((2, 1)).cost_and_gradient(
        np.zeros(3), X, [1, 0, 0, 1], backend=backend
    )
    assert cost == pytest.approx(math.log(2), rel=1e-15)
    np.testing.assert_array_equal(gradient, 0)


def test_penalty_is_on_the_weights_alone_and_divided_by_the_total_weight(backend):
    """L6 by hand: W = [3, 4], b = 7, alpha = 2, weights 1 and 3, costs 0 at targets met."""
    network = Network((2, 1), output="identity")
    theta = np.array([3.0, 4.0, 7.0])
    X = np.array([[0.0, 1.0], [0.0, 1.0]])
    cost, _ = network.cost_and_gradient(
        theta, X, [7.0, 14.0], sample_weight=[1, 3], alpha=2.0, backend=backend
    )
    assert cost == 2 / 2 * 25 / 4
    cost, _ = network.cost_and_gradient(
        theta, X, [7.0, 12.0], sample_weight=[1, 3], alpha=0.0, backend=backend
    )
    assert cost == 3 * 0.5 * 2**2 / 4


def test_weights_whose_square_overflows_cost_nothing_without_a_penalty(backend):
    """L6: alpha = 0 means no penalty, not 0 times infinity."""
    network = Network((1, 1), output="identity")
    cost, _ = network.cost_and_gradient(
        np.array([1e200, 0.0]), np.array([[1e-200]]), [1.0], backend=backend
    )
    assert cost == 0
