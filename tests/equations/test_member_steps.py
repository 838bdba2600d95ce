"""engine/equations/member_steps.py: each lane has the bits of its own network's mean and step."""

import numpy as np
import pytest

from engine import Network
from engine.compiler.jit import jit
from engine.equations import mean, member_steps, update
from engine.equations.backends import TILED
from engine.equations.member_steps import N_RATES
from engine.equations.ordered_sums import TOTALS
from engine.sums.blocks import aligned
from tests import cases
from tests.side_by_side import assert_same_bits, n_lanes, numbers_in_lanes, vectors_in_lanes

SHAPES = [(1, 1), (2, 4, 1), (3, 5, 1, 4, 2)]


def each_shape(test):
    """Both dtypes, all shapes; also with bounds checked."""
    test = pytest.mark.parametrize("backend", [TILED.name])(test)
    test = pytest.mark.parametrize("dtype", cases.DTYPES)(test)
    return pytest.mark.parametrize("sizes", SHAPES, ids=str)(test)


def vectors_of_each(sizes, dtype, n_vectors):
    """So many vectors like theta for each of K networks."""
    n = Network(sizes).n_parameters
    random = np.random.default_rng([*sizes, n_vectors])
    found = random.normal(size=(n_vectors, n_lanes(dtype), n)).astype(dtype)
    return [list(of_each) for of_each in found]


def numbers_of_each(low, high, dtype, seed=0):
    """A number for each of K networks, as a float64."""
    return np.random.default_rng(seed).uniform(low, high, n_lanes(dtype)).tolist()


def going(dtype):
    """Which networks take the step: not the second of them, nor the last."""
    go = numbers_in_lanes([1] * n_lanes(dtype), dtype)
    go[[1, -1]] = 0
    return go


@each_shape
def test_mean_gradients_have_the_bits_of_each_network_alone(sizes, dtype, backend):
    """B9 B10, with an alpha and a total weight of each."""
    thetas, gradients = vectors_of_each(sizes, dtype, 2)
    alphas, totals = numbers_of_each(0, 1, dtype, 1), numbers_of_each(0.5, 40, dtype, 2)
    alphas[0] = 0.0
    dtheta = vectors_in_lanes(gradients)
    scale = numbers_in_lanes([1 / S for S in totals], dtype)
    decay = numbers_in_lanes(alphas, dtype)
    theta = vectors_in_lanes(thetas)
    member_steps.mean_gradient_members(dtheta, theta, np.array(sizes), decay, scale)
    for k, (alone, theta_k) in enumerate(zip(gradients, thetas, strict=True)):
        arguments = np.array(sizes), alphas[k], totals[k], 0, alone.size
        mean.mean_gradient_tiled(alone, theta_k, *arguments)
        assert_same_bits(dtheta[:, k], alone)


@each_shape
def test_penalties_have_the_bits_of_each_network_alone(sizes, dtype, backend):
    """L6. Where alpha is 0 so is the penalty, even if squares overflow."""
    (thetas,) = vectors_of_each(sizes, dtype, 1)
    alphas = np.array(numbers_of_each(0, 1, dtype))
    alphas[1], thetas[1][:] = 0, np.inf
    K = n_lanes(dtype)
    totals, squares, penalties = np.full((TOTALS, K), np.nan), np.full(K, np.nan), np.ones(K)
    theta = vectors_in_lanes(thetas)
    member_steps.penalties_members(theta, np.array(sizes), alphas, totals, squares, penalties)
    assert penalties[1] == 0
    for k, theta_k in enumerate(thetas):
        expected = mean.mean_cost_loops(0.0, theta_k, np.array(sizes), float(alphas[k]), 1.0)
        assert penalties[k] == expected


def rates_of(dtype, **numbers):
    """The `rates` of K networks, NaN in the rows that an update does not use."""
    rates = aligned((N_RATES, n_lanes(dtype)), dtype)
    rates[:] = np.nan
    for name, of_each in numbers.items():
        rates[getattr(member_steps, name)] = of_each
    return rates


def assert_steps_are_those_of_each_network(step_members, rates, step, n_vectors, sizes, dtype):
    """Three steps; networks that do not go on keep everything, whatever their gradients are."""
    go = going(dtype)
    vectors = vectors_of_each(sizes, dtype, n_vectors + 1)
    for memory in vectors[2:]:
        for array in memory:
            np.abs(array, out=array)  # a second moment is not below 0
    *gradients, _ = [vectors_of_each(sizes, dtype, 5 + t)[0] for t in range(4)]
    theta, *memories = [vectors_in_lanes(of_each) for of_each in (vectors[0], *vectors[2:])]
    for t, gradient in enumerate(gradients, start=1):
        for stays in np.flatnonzero(go == 0):
            gradient[stays][:] = np.nan
        arguments = theta, vectors_in_lanes(gradient), *memories, rates[t - 1], go
        step_members(*arguments)
    for k in range(len(go)):
        alone = [vectors[0][k], *(memory[k] for memory in vectors[2:])]
        if go[k]:
            for t, gradient in enumerate(gradients, start=1):
                step(k, t, alone[0], gradient[k], *alone[1:])
        for found, expected in zip((theta, *memories), alone, strict=True):
            assert_same_bits(found[:, k], expected)


@each_shape
def test_gradient_descent_has_the_bits_of_each_network_alone(sizes, dtype, backend):
    """U1."""
    eta = numbers_of_each(0, 1, dtype)

    def step(k, t, theta, dtheta):
        update.gradient_descent_loops(theta, dtheta, eta[k])

    rates = [rates_of(dtype, ETA=eta)] * 3
    steps = member_steps.gradient_descent_members
    assert_steps_are_those_of_each_network(steps, rates, step, 1, sizes, dtype)


@each_shape
@pytest.mark.parametrize("kind", ["momentum", "nesterov"])
def test_momentum_has_the_bits_of_each_network_alone(kind, sizes, dtype, backend):
    """U2 U3."""
    eta, mu = numbers_of_each(0, 1, dtype, 1), numbers_of_each(0, 1, dtype, 2)
    alone = {"momentum": update.momentum_loops, "nesterov": update.nesterov_loops}[kind]
    steps = getattr(member_steps, f"{kind}_members")

    def step(k, t, theta, dtheta, velocity):
        alone(theta, dtheta, velocity, eta[k], mu[k])

    rates = [rates_of(dtype, ETA=eta, MU=mu)] * 3
    assert_steps_are_those_of_each_network(steps, rates, step, 2, sizes, dtype)


@jit
def compiled_rate(eta, beta_1, beta_2, t):
    """As kernels compute it: Python's powers have other last bits."""
    return update.adam_rate(eta, beta_1**t, beta_2**t)


@each_shape
def test_adam_has_the_bits_of_each_network_alone(sizes, dtype, backend):
    """U4 U5, with all numbers of each network's own."""
    eta = numbers_of_each(0, 1, dtype, 1)
    beta_1, beta_2 = numbers_of_each(0.5, 1, dtype, 2), numbers_of_each(0.5, 1, dtype, 3)
    epsilon = numbers_of_each(1e-9, 1e-3, dtype, 4)

    def step(k, t, theta, dtheta, first, second):
        numbers = t, eta[k], beta_1[k], beta_2[k], epsilon[k]
        update.adam_loops(theta, dtheta, first, second, *numbers)

    rates = [
        rates_of(
            dtype,
            ETA=[compiled_rate(*of_k, t) for of_k in zip(eta, beta_1, beta_2, strict=True)],
            KEEP_1=beta_1,
            ADD_1=[1 - beta for beta in beta_1],
            KEEP_2=beta_2,
            ADD_2=[1 - beta for beta in beta_2],
            EPSILON=epsilon,
        )
        for t in (1, 2, 3)
    ]
    steps = member_steps.adam_members
    assert_steps_are_those_of_each_network(steps, rates, step, 3, sizes, dtype)


@each_shape
def test_decay_has_the_bits_of_each_network_alone(sizes, dtype, backend):
    """U8."""
    share = numbers_of_each(0, 1, dtype)

    def step(k, t, theta, dtheta):
        update.decay_loops(theta, np.array(sizes), share[k])

    def steps(theta, dtheta, rates, go):
        member_steps.decay_members(theta, np.array(sizes), rates, go)

    rates = [rates_of(dtype, SHRINK=share)] * 3
    assert_steps_are_those_of_each_network(steps, rates, step, 1, sizes, dtype)


@each_shape
def test_averages_have_the_bits_of_each_network_alone(sizes, dtype, backend):
    """U9: the gradient stands for theta."""
    d = numbers_of_each(0.1, 0.9, dtype)

    def step(k, t, mean, theta):
        update.average_loops(mean, theta, t, d[k])

    of_steps = [[update.kept_share(one, t) for one in d] for t in (1, 2, 3)]
    rates = [
        rates_of(dtype, KEEP_MEAN=kept, ADD_MEAN=[1 - one for one in kept]) for kept in of_steps
    ]
    steps = member_steps.average_members
    assert_steps_are_those_of_each_network(steps, rates, step, 1, sizes, dtype)


@each_shape
def test_clipped_gradients_have_the_bits_of_each_network_alone(sizes, dtype, backend):
    """U10: some are too long, and others are not."""
    (gradients,) = vectors_of_each(sizes, dtype, 1)
    dtheta, c = vectors_in_lanes(gradients), numbers_of_each(0.1, 4, dtype)
    norms = [update.clip_loops(gradient, c[k]) for k, gradient in enumerate(gradients)]
    shares = [min(1.0, one / norm) for one, norm in zip(c, norms, strict=True)]
    assert len(sizes) < 3 or 1.0 in shares or min(shares) < 1
    member_steps.clip_members(dtheta, rates_of(dtype, SHORTEN=shares))
    for k, alone in enumerate(gradients):
        assert_same_bits(dtheta[:, k], alone)
