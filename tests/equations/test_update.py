"""engine/equations/update.py."""

import numpy as np
import pytest
from mpmath import mp

from engine.equations import update
from engine.equations.backends import BACKENDS
from engine.network import Network
from engine.solvers.learning_rate import cosine_rate, follow_cosine, scale_rate
from engine.solvers.state import (
    ADAPTIVE,
    COSINE,
    EVALUATE,
    INVSCALING,
    RATE,
    STEPS,
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


SIZES = np.array([2, 3, 1])
N_PARAMETERS = 13  # 6 weights, 3 biases, 3 weights, 1 bias


@each_table
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_weights_decay_and_biases_do_not(table, dtype):
    """U8 by hand; three more parameters, which belong to no dense layer, do not decay either."""
    theta = np.arange(1, N_PARAMETERS + 4).astype(dtype) * 4
    expected = theta.copy()
    expected[[0, 1, 2, 3, 4, 5, 9, 10, 11]] *= 0.75
    table.decay(theta, SIZES, 0.25)
    np.testing.assert_array_equal(theta, expected)
    assert theta.dtype == dtype


@each_table
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_the_first_step_copies_and_others_blend(table, dtype):
    """U9 by hand with d = 3/4."""
    mean, theta = np.array([100, 7], dtype), np.array([4, -8], dtype)
    table.average(mean, theta, 1, 0.75)
    assert mean.tolist() == [4, -8]
    table.average(mean, np.array([8, 0], dtype), 2, 0.75)
    assert mean.tolist() == [5, -6]
    assert theta.tolist() == [4, -8]
    assert mean.dtype == dtype


@each_table
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_a_gradient_that_is_too_long_keeps_its_direction(table, dtype):
    """U10 by hand: 3, 4, 12 has the norm 13. A shorter one keeps its bits."""
    dtheta = np.array([3, -4, 12], dtype)
    assert table.clip(dtheta, 6.5) == pytest.approx(13, rel=1e-15)
    np.testing.assert_allclose(dtheta, [1.5, -2, 6], rtol=4 * float(np.finfo(dtype).eps))
    for c in (13.000001, np.inf):
        dtheta = np.array([3, -4, 12], dtype)
        assert table.clip(dtheta, c) == pytest.approx(13, rel=1e-15)
        assert dtheta.tolist() == [3, -4, 12]
    zeros = np.zeros(3, dtype)
    assert table.clip(zeros, 1e-9) == 0
    assert not zeros.any()


@each_table
@pytest.mark.parametrize("size", [1e-170, 1e200])
def test_a_gradient_whose_squares_overflow_or_underflow_is_clipped_too(table, size):
    """U10."""
    dtheta = np.array([3, -4, 12]) * size
    with np.errstate(over="ignore"):
        norm = table.clip(dtheta, 6.5 * size)
    assert norm == pytest.approx(13 * size, rel=1e-14, abs=0)
    np.testing.assert_allclose(dtheta, np.array([1.5, -2, 6]) * size, rtol=1e-14)


@pytest.mark.parametrize("backend", ["tiled"])
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("sizes", [(1, 1), (2, 3, 1), (5, 8, 3, 2)], ids=str)
@pytest.mark.parametrize(
    ("weight_decay", "d"), [(0.5, 0.0), (0.0, 0.75), (0.25, 0.9)], ids=["decay", "average", "both"]
)
def test_one_pass_has_the_bits_of_three(weight_decay, d, sizes, dtype, backend):
    """U4 U5 U8 U9, of parameters in pieces that end anywhere, and three beyond the layers."""
    random, n = np.random.default_rng(sizes), Network(sizes).n_parameters + 3
    numbers = 0.125, 0.5, 0.75, 1e-3
    vectors = [random.normal(size=n).astype(dtype) for _ in range(4)]
    np.abs(vectors[2], out=vectors[2])
    if d == 0:
        vectors[3] = vectors[3][:0]
    theta, first, second, mean = one_by_one = [vector.copy() for vector in vectors]
    for t in (1, 2):
        dtheta = random.normal(size=n).astype(dtype)
        if weight_decay > 0:
            update.decay_loops(theta, np.array(sizes), numbers[0] * weight_decay)
        update.adam_loops(theta, dtheta, first, second, t, *numbers)
        if d > 0:
            update.average_loops(mean, theta, t, d)
        for start in range(0, n, 5):
            stop = min(start + 5, n)
            of_pass = np.array(sizes), start, stop, t, *numbers, weight_decay, d
            update.adam_and_more_tiled(vectors[0], dtheta, *vectors[1:], *of_pass)
        for found, expected in zip(vectors, one_by_one, strict=True):
            assert found.tobytes() == expected.tobytes()


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


@pytest.mark.parametrize("n_steps", [1, 2, 3, 10, 1001, 10**6])
def test_the_rate_follows_a_cosine_from_step_to_step(n_steps):
    """U11, against forty digits: eta_0 itself at first, and 0 after the last step."""
    taken = np.unique(np.linspace(0, n_steps, 60).astype(int)).tolist()
    with mp.workdps(40):
        for t in taken:
            exact = mp.mpf("0.3") * (1 + mp.cos(mp.pi * t / n_steps)) / 2
            assert cosine_rate(0.3, t, n_steps) == pytest.approx(float(exact), rel=2e-15, abs=0)
    assert cosine_rate(0.3, 0, n_steps) == 0.3
    assert cosine_rate(0.3, n_steps, n_steps) == cosine_rate(0.3, n_steps + 1, n_steps) == 0


def test_a_cosine_counts_from_where_its_fit_began():
    """U11: 4 steps, of which 1 is taken after the 5 of an earlier fit."""
    settings = Settings(
        EVALUATE, 2, learning_rate=1.0, schedule=COSINE, schedule_from=5, schedule_steps=4
    )
    state = new_state(np.zeros(1), settings, 4, seed=0)
    state.counts[STEPS] = 6
    follow_cosine(state, settings)
    assert state.sums[RATE] == pytest.approx((1 + np.sqrt(0.5)) / 2, rel=1e-15)
