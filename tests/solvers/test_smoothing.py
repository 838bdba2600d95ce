"""engine/solvers/smoothing.py: losses with a kink, minimised by ever less smoothing."""

import numpy as np
import pytest

from engine import Network, losses, train
from engine.solvers import smoothing
from engine.solvers.smoothing import DIVISOR, N_STAGES
from tests.training.test_training import at_step, interrupt

SOLVERS = pytest.mark.parametrize("solver", ["lbfgs", "lm"])
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 51))
Y = X[0] - 2 * X[1] + RANDOM.standard_t(2, size=51)
LINE = Network((2, 1), output="identity", loss="absolute_error")


def fit(solver, network=LINE, **others):
    return train(
        network,
        X,
        Y,
        **{"solver": solver, "max_iter": 5000, "seed": 1, "backend": "numpy", **others},
    )


def true_cost(theta, level=None):
    """The mean cost, without smoothing."""
    e = theta[:2] @ X + theta[2] - Y
    each = np.abs(e) if level is None else np.maximum(-level * e, (1 - level) * e)
    return each.mean()


@SOLVERS
@pytest.mark.parametrize("level", [None, 0.1, 0.5, 0.9])
def test_minimum_interpolates_as_many_samples_as_there_are_parameters(solver, level):
    """So a linear program has it; the cost that comes back is that of the loss itself."""
    loss = "absolute_error" if level is None else losses.Quantile(level)
    result = fit(solver, Network((2, 1), output="identity", loss=loss))
    residuals = np.abs(result.theta[:2] @ X + result.theta[2] - Y)
    assert (residuals < 1e-6).sum() == 3
    assert result.cost == pytest.approx(true_cost(result.theta, level), rel=1e-12)
    random = np.random.default_rng(0)
    for length in (1e-4, 1e-2, 1.0):
        for _ in range(30):
            other = result.theta + length * random.normal(size=3)
            assert true_cost(other, level) > result.cost - 1e-9


@SOLVERS
def test_widths_fall_from_the_mean_cost_by_tens(solver, monkeypatch):
    widths = []
    stage = smoothing.Smoothed._stage

    def seen(smoothed):
        widths.append(smoothed._width)
        return stage(smoothed)

    monkeypatch.setattr(smoothing.Smoothed, "_stage", seen)
    result = fit(solver, theta=np.zeros(3))
    first = np.abs(Y).mean()
    np.testing.assert_allclose(widths, first / DIVISOR ** np.arange(N_STAGES), rtol=1e-9)
    assert result.n_iter == len(result.history["cost"])


@SOLVERS
def test_all_stages_share_max_iter(solver):
    result = fit(solver, max_iter=4)
    assert (result.stopped, result.n_iter) == ("max_iter", 4)
    assert result.cost == pytest.approx(true_cost(result.theta), rel=1e-12)


@SOLVERS
def test_costs_are_above_those_of_the_loss_by_half_of_the_width_at_most(solver):
    told = []
    result = fit(solver, callback=lambda one: told.append(one.theta.copy()), theta=np.zeros(3))
    before = [np.zeros(3), *told[:-1]]
    above = result.history["cost"] - [true_cost(theta) for theta in before]
    width = np.abs(Y).mean()
    assert (above >= -1e-12).all()
    assert (above <= width / 2 + 1e-12).all()
    assert (above[-3:] <= 1e-8 * width).all()


@SOLVERS
def test_tol_ends_a_stage_and_only_in_the_last_one_the_run(solver):
    result = fit(solver, tol=1e-3, n_iter_no_change=3)
    loose, tight = fit(solver, tol=1e-3, n_iter_no_change=3), fit(solver)
    assert result.stopped in ("tol", "converged", "cost", "step", "gradient")
    assert loose.n_iter < tight.n_iter
    assert loose.cost < 1.01 * tight.cost


@SOLVERS
def test_a_callback_and_ctrl_c_stop_in_any_stage(solver):
    n_iter = fit(solver).n_iter
    for step in (1, n_iter // 2, n_iter - 1):
        stopped = fit(solver, callback=at_step(step, lambda _: True))
        assert (stopped.stopped, stopped.n_iter) == ("callback", step)
        cut = fit(solver, callback=at_step(step, interrupt))
        assert (cut.stopped, cut.n_iter) == ("interrupted", step)
        assert cut.cost == pytest.approx(true_cost(cut.theta), rel=1e-12)


@SOLVERS
def test_validation_data_are_judged_by_the_loss_itself(solver):
    data = {"X_val": X[:, :20], "Y_val": Y[:20]}
    told = []
    result = fit(
        solver, **data, tol=1e-9, callback=lambda one: told.append(one.theta.copy()), max_iter=200
    )
    theta = told[-2]
    e = theta[:2] @ X[:, :20] + theta[2] - Y[:20]
    assert result.history["validation_cost"][-1] == pytest.approx(np.abs(e).mean(), rel=1e-9)


@SOLVERS
@pytest.mark.parametrize("alpha", [0.5])
def test_penalty_is_kept_in_every_stage(solver, alpha):
    result = fit(solver, alpha=alpha)

    def penalised(theta):
        return true_cost(theta) + alpha * theta[:2] @ theta[:2] / 2 / 51

    assert result.cost == pytest.approx(penalised(result.theta), rel=1e-12)
    random = np.random.default_rng(0)
    for length in (1e-3, 1e-2, 0.1):
        for _ in range(30):
            assert penalised(result.theta + length * random.normal(size=3)) > result.cost - 1e-9


def test_a_start_without_error_is_smoothed_by_1():
    theta = np.array([1.0, 0.0, 0.0])
    result = train(LINE, X, X[0], solver="lm", theta=theta)
    assert result.cost < 1e-12
