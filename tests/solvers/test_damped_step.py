"""engine/solvers/damped_step.py by itself: the equations N2 to N6 on numbers of a small network."""

import numpy as np
import pytest

from engine import Network
from engine.solvers import damped_step
from engine.solvers.damped_step import GAIN, GOES_ON, REJECTED, E, equations_of
from engine.solvers.state import ALPHA, MU, NU

NETWORK = Network((2, 2, 1), output="identity")
SIZES = NETWORK.layers.sizes
P = NETWORK.n_parameters
IS_WEIGHT = np.array([1.0] * 4 + [0.0] * 2 + [1.0] * 2 + [0.0])


def sums_of(n_rows):
    """theta; rows of a Jacobian, residuals, and what the passes sum of them."""
    random = np.random.default_rng(0)
    theta, rows = random.normal(size=P), random.normal(size=(n_rows, P))
    residuals = random.normal(size=n_rows)
    return theta, rows, residuals


def state_of(theta, rows, residuals, alpha, dual=False):
    """What the solver holds once the sums at theta are complete."""
    n_rows = len(rows)
    equations = equations_of(P, 0.0, n_rows if dual else 0)
    of_rows = [residuals, rows.T.ravel()] if dual else [(rows.T @ rows).ravel()]
    equations.sums[:] = np.concatenate([rows.T @ residuals, *of_rows])
    damping = np.zeros(64)
    damping[ALPHA], damping[MU], damping[NU] = alpha, 0.5, 2.0
    cost = residuals @ residuals / 2
    damped_step.begin_iteration(theta, SIZES, cost, equations, damping)
    return equations, damping


@pytest.mark.parametrize(("n_rows", "dual"), [(20, False), (5, True)])
def test_the_step_solves_the_damped_equations(n_rows, dual):
    """N2 N3: (G + alpha R + mu I) step = -g, by the larger system or the smaller one."""
    theta, rows, residuals = sums_of(n_rows)
    equations, damping = state_of(theta, rows, residuals, alpha=0.3, dual=dual)
    assert damped_step.propose(theta, SIZES, equations, damping) == GOES_ON
    g = rows.T @ residuals + 0.3 * IS_WEIGHT * theta
    matrix = rows.T @ rows + np.diag(0.3 * IS_WEIGHT + 0.5)
    np.testing.assert_allclose(equations.step, np.linalg.solve(matrix, -g), rtol=1e-12)
    np.testing.assert_array_equal(equations.trial, theta + equations.step)


@pytest.mark.parametrize("rho", [0.9, 0.5, 0.1])
def test_the_damping_follows_nielsens_rule(rho):
    """N4 N5: a cost that falls by rho times what the model says, and one that rises."""
    theta, rows, residuals = sums_of(20)
    equations, damping = state_of(theta, rows, residuals, alpha=0.0)
    damped_step.propose(theta, SIZES, equations, damping)
    step, before = equations.step.copy(), equations.numbers[E]
    gain = step @ (0.5 * step - rows.T @ residuals) / 2
    assert equations.numbers[GAIN] == pytest.approx(gain, rel=1e-12)
    assert damped_step.judge(theta, SIZES, before + 1, equations, damping) == REJECTED
    assert (damping[MU], damping[NU]) == (1.0, 4.0)
    damped_step.judge(theta, SIZES, before - rho * gain, equations, damping)
    assert damping[MU] == pytest.approx(max(1 / 3, 1 - (2 * rho - 1) ** 3), rel=1e-9)
    assert damping[NU] == 2


def test_alpha_is_the_one_that_the_evidence_asks_for():
    """N6, from the trace of an inverse that NumPy makes."""
    theta, rows, residuals = sums_of(20)
    equations, damping = state_of(theta, rows, residuals, alpha=0.3)
    equations = equations._replace(n_of_evidence=20)
    cost = residuals @ residuals / 2
    damped_step.improve_alpha(theta, SIZES, cost, equations, damping)
    inverse = np.linalg.inv(rows.T @ rows + 0.3 * np.diag(IS_WEIGHT))
    gamma_W = IS_WEIGHT.sum() - 0.3 * np.trace(inverse * IS_WEIGHT)
    gamma = gamma_W + (1 - IS_WEIGHT).sum()
    a = gamma_W / (2 * IS_WEIGHT @ theta**2)
    beta = (20 - gamma) / (2 * residuals @ residuals)
    assert damping[ALPHA] == pytest.approx(a / beta, rel=1e-6)
