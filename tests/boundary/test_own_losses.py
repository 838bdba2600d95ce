"""A derivative that cannot be that of the cost is warned of before training; a right one never."""

import math
import warnings

import numba
import numpy as np
import pytest

import engine
from engine import MLPRegressor, Network, losses
from engine.boundary.own_losses import APART
from tests import own_losses

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(40, 2))
Y = X[:, 0] + DRAW.normal(size=40) / 4
SCALES = (1e-9, 1e-3, 1.0, 30.0, 1e4, 1e7, 1e9)


def absolute(z, y):
    return abs(z - y), 1.0 if z > y else -1.0


def insensitive(z, y):
    """Flat near the target, with kinks just where one of the slopes is taken."""
    e = abs(z - y)
    return (0.0, 0.0) if e < APART[0] else (e - APART[0], math.copysign(1.0, z - y))


def welsch(z, y):
    """Flat far from the target."""
    e = z - y
    return 1 - math.exp(-e * e / 2), e * math.exp(-e * e / 2)


def narrow(z, y):
    """The same, and flat at once."""
    e = 23.5 * (z - y)
    return 1 - math.exp(-e * e / 2), 23.5 * e * math.exp(-e * e / 2)


def of_large_squares(z, y):
    """Half the squared error, with most of its digits lost."""
    return (z * z - 2 * z * y + y * y) / 2, z - y


def steep(z, y):
    return abs(1e9 * (z - y)), math.copysign(1e9, z - y)


def far_below_0(z, y):
    return (z - y) ** 2 / 2 - 1e9, z - y


def without_a_number(z, y):
    return math.nan * z, z - y


def flat(z, y):
    return 0 * z + y, 0 * z


def gamma(z, y):
    return y * math.exp(-z) + z, 1 - y * math.exp(-z)


FUNCTIONS = [own_losses.log_cosh, own_losses.huber, absolute, insensitive, welsch, narrow, steep]
FUNCTIONS += [of_large_squares, far_below_0, without_a_number, flat]
RIGHT = [(function, "identity") for function in (*FUNCTIONS, without_a_number, flat)]
RIGHT += [(own_losses.poisson, "exp"), (gamma, "exp"), (own_losses.brier, "sigmoid")]


def targets(output, scale, n):
    z = np.random.default_rng(n).normal(size=n)
    return {"identity": scale * z, "exp": scale * np.exp(z), "sigmoid": (z > 0).astype(float)}[
        output
    ]


@pytest.mark.parametrize(("function", "output"), RIGHT)
def test_a_right_derivative_is_silent_whatever_the_targets(function, output):
    loss = losses.Compiled(function, output)
    for scale in SCALES:
        for n in range(1, 200, 4):
            y = targets(output, scale, n)
            for given in (y, y.astype(np.float32), np.stack([y, y[::-1]]), 0 * y + y[0]):
                assert loss.wrong_derivative(given) == "", (scale, given)
    if output == "exp":
        assert loss.wrong_derivative(np.zeros(9)) == ""
    assert losses.Huber().wrong_derivative(np.zeros(9)) == ""


@pytest.mark.parametrize("factor", [-1.0, 2.0, 0.5, 0.0, 1.05])
@pytest.mark.parametrize(
    ("function", "output"),
    [
        (own_losses.log_cosh, "identity"),
        (absolute, "identity"),
        (gamma, "exp"),
        (own_losses.brier, "sigmoid"),
    ],
)
def test_a_wrong_factor_of_the_derivative_is_found(function, output, factor):
    right = numba.njit(function)

    def wrong(z, y):
        return right(z, y)[0], factor * right(z, y)[1]

    loss = losses.Compiled(wrong, output)
    for scale in (1e-3, 1.0, 30.0, 1e4):
        assert "The loss 'wrong' returns" in loss.wrong_derivative(targets(output, scale, 40))


def test_targets_that_leave_no_digits_for_differences_are_not_compared():
    loss = losses.Compiled(of_large_squares)
    draw = np.random.default_rng(0)
    assert not any(loss.wrong_derivative(1e7 * draw.normal(size=5)) for _ in range(500))


def wrong_sign(z, y):
    e = z - y
    return e * e, -2 * e, 2.0


def test_the_message_names_both_derivatives():
    assert losses.Compiled(wrong_sign).wrong_derivative(np.zeros(9)) == (
        "The loss 'wrong_sign' returns -0.74 as its derivative at z=0.37, y=0; from its cost it is "
        "0.74. Its second result must be the derivative of its first by z."
    )


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_training_and_fits_warn_where_they_are_called_and_train_all_the_same():
    loss = losses.Compiled(wrong_sign)
    network = Network((2, 3, 1), output="identity", loss=loss)
    model = MLPRegressor(loss, 3, max_iter=2, random_state=0)
    calls = [
        lambda: engine.train(network, X.T, Y, max_iter=2).theta,
        lambda: model.fit(X, Y).coefs_,
        lambda: model.partial_fit(X, Y).coefs_,
    ]
    for call in calls:
        with pytest.warns(UserWarning, match="'wrong_sign' returns .* as its deriv") as said:
            assert np.isfinite(call()[0]).all()
        (one,) = [one for one in said if "wrong_sign" in str(one.message)]
        assert one.filename == __file__
    right = losses.Compiled(own_losses.huber)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        engine.train(Network((2, 3, 1), output="identity", loss=right), X.T, Y, max_iter=2)
