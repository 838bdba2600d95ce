"""engine/equations/update.py."""

import numpy as np
import pytest

from engine.equations.backends import BACKENDS
from engine.solvers.learning_rate import scale_rate
from engine.solvers.state import (
    ADAPTIVE,
    EVALUATE,
    INVSCALING,
    RATE,
    Settings,
    end_of_step,
    new_state,
)
from engine.solvers.stopping import count_improvement
from tests import cases


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_gradient_descent_is_theta_minus_eta_dtheta(backend, dtype):
    """U1, in place, with the gradient left as it is."""
    theta, dtheta = np.array([1, -2, 3], dtype), np.array([4, 8, -16], dtype)
    BACKENDS[backend].gradient_descent(theta, dtheta, theta.dtype.type(0.25))
    np.testing.assert_array_equal(theta, [0, -4, 7])
    np.testing.assert_array_equal(dtheta, [4, 8, -16])
    assert theta.dtype == dtype


each_table = pytest.mark.parametrize("table", BACKENDS.values(), ids=BACKENDS)


@each_table
def test_momentum_keeps_a_share_of_the_velocity(table):
    """U2 by hand, two steps with the gradient 1: v = -1/2, then -3/4."""
    theta, velocity = np.array([10.0]), np.zeros(1)
    for expected in (9.5, 8.75):
        table.momentum(theta, np.ones(1), velocity, 0.5, 0.5)
        assert theta.tolist() == [expected]
    assert velocity.tolist() == [-0.75]


@each_table
def test_nesterov_looks_ahead_by_the_new_velocity(table):
    """U3 by hand: v = -1/2, so theta moves by 1/2 v - 1/2; then v = -3/4."""
    theta, velocity = np.array([10.0]), np.zeros(1)
    for expected in (9.25, 8.375):
        table.nesterov(theta, np.ones(1), velocity, 0.5, 0.5)
        assert theta.tolist() == [expected]
    assert velocity.tolist() == [-0.75]


@each_table
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_adam_by_hand(table, dtype):
    """U4 U5 with beta_1 = 1/2, beta_2 = 3/4 and the gradient 2, then -2, in exact numbers.

    After step 1: m = 1, v = 1, the rate sqrt(1/4)/(1/2) = 1 times 1/(1 + 1). After step 2:
    m = -1/2, v = 7/4, the rate sqrt(7/16)/(3/4).
    """
    theta, first, second = (np.zeros(1, dtype) for _ in range(3))
    table.adam(theta, np.array([2], dtype), first, second, 1, 1.0, 0.5, 0.75, 1.0)
    assert (theta[0], first[0], second[0]) == (-0.5, 1, 1)
    table.adam(theta, np.array([-2], dtype), first, second, 2, 1.0, 0.5, 0.75, 1.0)
    step = (7 / 16) ** 0.5 / 0.75 * 0.5 / ((7 / 4) ** 0.5 + 1)
    assert (first[0], second[0]) == (-0.5, 1.75)
    assert float(theta[0]) == pytest.approx(-0.5 + step, rel=4 * float(np.finfo(dtype).eps))


def rates_of(n_epochs, costs, **given):
    """The learning rate after each epoch of 4 samples in batches of 2."""
    settings = Settings(EVALUATE, batch_size=2, learning_rate=1.0, **given)
    state = new_state(np.zeros(1), settings, 4, seed=0)
    rates = []
    for epoch in range(n_epochs):
        end_of_step(state, settings, costs[epoch], 2.0, 2)
        assert end_of_step(state, settings, costs[epoch], 2.0, 4) == costs[epoch]
        scale_rate(state, settings)
        count_improvement(state, settings, costs[epoch])
        rates.append(float(state.sums[RATE]))
    return rates


def test_the_rate_scales_with_the_samples_seen():
    """U6: 1/(4 + 1)^2, 1/(8 + 1)^2 after one and two epochs of four samples."""
    assert rates_of(2, [1.0, 1.0], schedule=INVSCALING, power_t=2.0) == [1 / 25, 1 / 81]


def test_the_rate_is_divided_by_five_when_nothing_improves():
    """U7 after two epochs in a row that do not improve; not below a millionth."""
    costs = [3.0, 3.5, 2.0, 2.5, 2.5, 1.0]
    rates = rates_of(6, costs, schedule=ADAPTIVE, patience=2)
    assert rates == [1, 1, 1, 1, 1 / 5, 1 / 5]
    assert 1e-6 / 5 < rates_of(50, list(range(50)), schedule=ADAPTIVE, patience=1)[-1] <= 1e-6
