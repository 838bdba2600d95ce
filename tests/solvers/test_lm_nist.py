"""solver="lm" and inference on problems of NIST, whose answers are certified."""

import numpy as np
import pytest
from mpmath import mp
from scipy.optimize import least_squares
from scipy.special import expit

from engine import Network, inference, train
from tests import nist


def relative(found, expected):
    """The largest relative difference."""
    return float(np.max(np.abs(np.asarray(found) / np.asarray(expected) - 1)))


@pytest.mark.parametrize("start", nist.RAT42.starts, ids=["start 1", "start 2"])
def test_rat42_is_certified(start):
    """y = b_1 / (1 + exp(b_2 - b_3 x)) is a network of one logistic unit without output bias.

    A row far to the left, where the unit is 0, has a weight that holds the bias at 0. It is one
    observation more, and the bias one parameter more: the degrees of freedom stay the certified 6.
    """
    curve, certified = nist.CURVES["Rat42"], nist.RAT42
    X, y = np.append(-1e5, curve.x)[np.newaxis], np.append(0, curve.y)
    weight = np.append(1e10, np.ones(9))
    network = Network((1, 1, 1), hidden="sigmoid", output="identity")
    b_1, b_2, b_3 = start
    result = train(
        network,
        X,
        y,
        sample_weight=weight,
        solver="lm",
        theta=np.array([b_3, -b_2, b_1, 0]),
    )
    found = inference(network, result.theta, X, y, sample_weight=weight)
    b_3, minus_b_2, b_1, bias = result.theta
    assert abs(bias) < 1e-9
    assert found.degrees_of_freedom == 6
    assert 2 * result.cost * weight.sum() == pytest.approx(certified.sum_of_squares, rel=1e-10)
    assert relative([b_1, -minus_b_2, b_3], certified.parameters) < 1e-9
    assert relative(found.standard_errors[[2, 1, 0]], certified.errors) < 1e-9
    deviation = np.sqrt(found.residual_variance)
    assert deviation == pytest.approx(certified.residual_deviation, rel=1e-9)


def standardised(numbers):
    return (numbers - numbers.mean()) / numbers.std()


def certified_minimum(x, y, start):
    """The sum of squares of d + c s(a x + b) at its minimum, to 40 digits, by Newton's method."""
    mp.dps = 60
    x, y = [mp.mpf(float(v)) for v in x], [mp.mpf(float(v)) for v in y]
    theta = mp.matrix([mp.mpf(float(v)) for v in start])
    for _ in range(12):
        a, b, c, d = theta
        gradient, hessian, total = mp.zeros(4, 1), mp.zeros(4, 4), mp.mpf(0)
        for x_i, y_i in zip(x, y):
            s = 1 / (1 + mp.exp(-(a * x_i + b)))
            slope = s * (1 - s)
            bend = slope * (1 - 2 * s)
            e = c * s + d - y_i
            row = mp.matrix([c * slope * x_i, c * slope, s, 1])
            second = mp.zeros(4, 4)
            second[0, 0], second[0, 1], second[1, 1] = c * bend * x_i**2, c * bend * x_i, c * bend
            second[0, 2], second[1, 2] = slope * x_i, slope
            second[1, 0], second[2, 0], second[2, 1] = second[0, 1], second[0, 2], second[1, 2]
            gradient += e * row
            hessian += row * row.T + e * second
            total += e**2
        theta -= mp.lu_solve(hessian, gradient)
    assert max(abs(v) for v in gradient) < mp.mpf(10) ** -40
    mp.cholesky(hessian)  # raises unless this is a minimum
    return theta, total


@pytest.mark.compiled
@pytest.mark.parametrize("name", nist.CURVES)
def test_one_unit_finds_the_lowest_minimum_from_nearly_all_starts(name):
    x, y = map(standardised, nist.CURVES[name])
    network = Network((1, 1, 1), hidden="sigmoid", output="identity")

    def residuals(theta):
        return theta[3] + theta[2] * expit(theta[0] * x + theta[1]) - y

    random = np.random.default_rng(0)
    others = [least_squares(residuals, random.normal(size=4) * 2, method="lm") for _ in range(20)]
    lowest = min(others, key=lambda found: found.cost).x
    (a, b, c, d), minimum = certified_minimum(x, y, lowest)
    parameters = np.array([[a, b, c, d], [-a, -b, -c, c + d]], float)  # the same function
    n_found = 0
    for seed in range(30):
        result = train(network, x[np.newaxis], y, solver="lm", max_iter=500, seed=seed)
        same = np.max(np.abs(parameters / result.theta - 1), axis=1).min()
        lowest_one = abs(2 * result.cost * len(x) - minimum) < 5e-9 * minimum
        assert not lowest_one or same < 5e-8
        n_found += bool(lowest_one)
    assert n_found >= 28


@pytest.mark.parametrize("name", nist.LINEAR)
def test_linear_problems_of_nist_are_certified(name):
    X, y, coefficients, errors, sum_of_squares = nist.LINEAR[name]
    network = Network((len(X), 1), output="identity")
    result = train(network, X, y, solver="lm", max_iter=50)
    found = inference(network, result.theta, X, y)
    in_their_order = np.roll(np.arange(len(X) + 1), 1)
    assert 2 * result.cost * len(y) == pytest.approx(sum_of_squares, rel=1e-9)
    assert np.max(np.abs(result.theta[in_their_order] - coefficients) / errors) < 1e-9
    assert relative(found.standard_errors[in_their_order], errors) < 1e-9
