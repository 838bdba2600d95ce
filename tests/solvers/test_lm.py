"""engine/solvers/lm.py and damped_step.py: each step against plain NumPy, and why it ends."""

import math
from itertools import pairwise

import numpy as np
import pytest

from engine import DivergedError, Network, losses, train
from engine.equations.backends import BACKENDS
from engine.solvers import damped_step, lm
from engine.solvers.solver import SOLVERS, Budget, Problem
from engine.solvers.state import CLOSING_STEPS, DAMPED, MU, NU, UNDAMPED, Settings, new_state
from tests.gauss_newton_oracle import Damping, Model, accepted_step
from tests.sums.test_normal_equations import INTERPRETED, KINDS, problem
from tests.training.test_training import HISTORY, at_step, interrupt

CHUNK = 1024
X = np.random.default_rng(5).normal(size=(2, 30))
NOISE = 0.1 * np.random.default_rng(6).normal(size=30)
Y = np.sin(2 * X[0]) - X[1] * X[0] + NOISE
WEIGHTS = np.linspace(0.25, 2, 30)
NETWORK = Network((2, 4, 1), output="identity")
LINE = Network((1, 1), output="identity")


def fit(network=NETWORK, X=X, Y=Y, **others):
    return train(network, X, Y, **{"solver": "lm", "max_iter": 8, "seed": 1, **others})


def begun(network, samples, theta, alpha=0.0, backend="tiled", n_threads=1):
    """The solver before its first step."""
    numbers = Settings(DAMPED, samples.n_samples, alpha=alpha, full_batch=1)
    state = new_state(theta.copy(), numbers, samples.n_samples, 0, ordered=False)
    one = Problem(BACKENDS[backend], network.layers, samples, alpha, n_threads)
    return SOLVERS["lm"].start(one, state, numbers)


def one_step(solver):
    """The parameters and the damping before and after a step."""
    state = solver.state
    before = state.theta.copy(), damping_of(state)
    progress = solver.advance(Budget(1.0, 1))
    return before, (state.theta.copy(), damping_of(state)), progress


def damping_of(state):
    mu, nu, undamped = (float(state.first[place]) for place in (MU, NU, UNDAMPED))
    return Damping(mu, nu, bool(undamped))


def log_of_squares(z, y):
    """A loss whose second derivative is below 0 more than 1 from the target."""
    e = z - y
    return math.log(1 + e * e), 2 * e / (1 + e * e), 2 * (1 - e * e) / (1 + e * e) ** 2


def counts_without_constant(z, y):
    """Poisson deviance less a constant: its values may be below 0."""
    return math.exp(z) - y * z, math.exp(z) - y, math.exp(z)


def infinite_curvature(z, y):
    return 0.5 * (z - y) ** 2, z - y, math.inf


def turns_at_2(z, y):
    return 0.5 * (z - y) ** 2, z - y, 1.0 if z < 2 else -1.0


# Each step, from where the one before it ended


def agrees_with_the_oracle(network, samples, theta, model, alpha, backend, n_steps=12):
    """How many steps were compared, and how many points were rejected on the way."""
    model.alpha = alpha
    solver = begun(network, samples, theta, alpha, backend)
    n_compared = n_rejected = n_damped = 0
    for _ in range(n_steps):
        (at, damping), (found, after), progress = one_step(solver)
        if solver.ended is not None or model.E(at) < 1e-10:
            break
        expected = accepted_step(model, at, damping)
        cost, norm = progress.rows[0]
        assert cost == pytest.approx(model.E(at) / model.s.sum(), rel=1e-11)
        assert norm == pytest.approx(np.linalg.norm(model.g(at)) / model.s.sum(), rel=1e-7)
        length = np.linalg.norm(expected.theta - at)
        if length < 1e-6 * np.linalg.norm(at):
            break  # only rounding is left to compare
        assert np.linalg.norm(found - expected.theta) < 1e-6 * length
        assert after.undamped == expected.damping.undamped
        assert after.nu == expected.damping.nu
        assert after.mu == pytest.approx(expected.damping.mu, rel=1e-5)
        n_compared += 1
        n_rejected += expected.n_rejected
        n_damped += not after.undamped
    return n_compared, n_rejected, n_damped


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("kind", KINDS)
def test_steps_and_damping_are_those_of_numpy(kind, weighted, alpha, backend):
    """N3 N4 N5: the accepted points, mu and nu."""
    sizes = (2, 3, 2)
    network, samples, theta, model = problem(kind, sizes, 40, weighted)
    n_steps, _, _ = agrees_with_the_oracle(network, samples, theta, model, alpha, backend)
    assert n_steps >= 4


@pytest.mark.parametrize("seed", range(3))
def test_damping_rises_and_falls_as_nielsen_has_it(seed, backend):
    """N5, from starts so far away that points are rejected."""
    random = np.random.default_rng(seed)
    theta = 3 * random.normal(size=NETWORK.n_parameters)
    samples = NETWORK.samples(X, Y, None)
    model = Model(NETWORK.sizes, "tanh", "identity", X, Y)
    found = agrees_with_the_oracle(NETWORK, samples, theta, model, 0.0, backend, 15)
    n_steps, n_rejected, n_damped = found
    assert n_steps > 6
    assert n_rejected > 2
    assert n_damped > 3


@INTERPRETED
@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("kind", KINDS)
def test_steps_of_fewer_residuals_than_parameters(kind, alpha):
    """N3 by the dual, with a row for each residual: the same steps as of the primal in NumPy."""
    network, samples, theta, model = problem(kind, (2, 5, 2), 4, weighted=True)
    assert model.s.size * 2 < theta.size
    n_steps, _, n_damped = agrees_with_the_oracle(network, samples, theta, model, alpha, "tiled", 6)
    assert n_damped == n_steps > 2


@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_dual_step_is_the_dense_solution(alpha):
    """N3: find_step_dual on random rows, against NumPy's solution of the whole system."""
    sizes, n_residuals, mu = np.array([2, 3, 2]), 4, 0.05
    random = np.random.default_rng(0)
    n = 3 * 3 + 2 * 4
    R, rho = random.normal(size=(n, n_residuals)), random.normal(size=n_residuals)
    theta = random.normal(size=n)
    equations = damped_step.equations_of(n, 0.0, n_residuals)
    equations.sums[:] = np.concatenate([R @ rho, rho, R.ravel()])
    assert damped_step.find_step_dual(theta, sizes, alpha, equations, mu)
    is_weight = np.repeat([1.0, 0, 1, 0], [6, 3, 6, 2])
    matrix = R @ R.T + np.diag(alpha * is_weight + mu)
    expected = np.linalg.solve(matrix, -R @ rho - alpha * is_weight * theta)
    np.testing.assert_allclose(equations.step, expected, rtol=1e-10, atol=1e-12)


def test_a_matrix_that_is_not_positive_definite_is_damped(backend):
    """Two units with the same parameters: no undamped step is tried, and no NaN comes of it."""
    samples = NETWORK.samples(X, Y, None)
    theta = np.tile([0.3, -0.2], 4).tolist() + [0.1] * 4 + [0.5] * 4 + [0.0]
    theta = np.array(theta)
    model = Model(NETWORK.sizes, "tanh", "identity", X, Y)
    n_steps, _, n_damped = agrees_with_the_oracle(NETWORK, samples, theta, model, 0.0, backend, 5)
    assert n_damped == n_steps > 2


def test_first_mu_is_a_hundredth_of_the_largest_curvature():
    """N5, once the undamped step was rejected."""
    theta = 4 * np.random.default_rng(1).normal(size=NETWORK.n_parameters)
    model = Model(NETWORK.sizes, "tanh", "identity", X, Y)
    G = model.G(theta)
    undamped = theta - np.linalg.solve(G, model.g(theta))
    assert model.E(undamped) > model.E(theta)
    solver = begun(NETWORK, NETWORK.samples(X, Y, None), theta)
    one_step(solver)
    mu, nu = solver.state.first[[MU, NU]]
    powers = [1e-2 * np.diag(G).max() * 2.0 ** (k * (k + 1) / 2) for k in range(20)]
    shares = [mu / power for power in powers]
    assert nu == 2
    assert any(1 / 3 - 1e-9 <= share <= 2 + 1e-9 for share in shares)


def test_an_undamped_step_must_keep_three_quarters_of_its_promise(backend):
    """One that lowers the cost by less is not taken, and damping begins."""
    model, n_seen = Model(NETWORK.sizes, "tanh", "identity", X, Y), 0
    samples = NETWORK.samples(X, Y, None)
    for seed in range(200):
        theta = np.random.default_rng(seed).normal(size=NETWORK.n_parameters)
        g = model.g(theta)
        step = -np.linalg.solve(model.G(theta), g)
        rho = (model.E(theta) - model.E(theta + step)) / (-0.5 * step @ g)
        if 0.05 < rho < 0.7:
            solver = begun(NETWORK, samples, theta, backend=backend)
            _, (found, after), _ = one_step(solver)
            assert not after.undamped
            assert np.linalg.norm(found - theta) < 0.9 * np.linalg.norm(step)
            n_seen += 1
            if n_seen == 3:
                return
    raise AssertionError("no such start")


# The same bits


@pytest.mark.compiled
@pytest.mark.parametrize("loss", [None, "absolute_error"])
def test_same_bits_on_any_number_of_threads(loss, backend):
    random = np.random.default_rng(0)
    X = random.normal(size=(2, 3 * CHUNK + 100))
    network = Network((2, 3, 1), output="identity", loss=loss)
    y = np.sin(X[0]) + X[1] + 0.1 * random.normal(size=X.shape[1])
    runs = [
        fit(network, X, y, max_iter=6, backend=backend, n_threads=n, alpha=0.1) for n in (1, 2, 4)
    ]
    assert len({run.fingerprint for run in runs}) == 1
    assert all(np.array_equal(run.history["cost"], runs[0].history["cost"]) for run in runs)


@pytest.mark.compiled
@pytest.mark.parametrize("alpha", [0.0, 0.2, "evidence"])
@pytest.mark.parametrize("n_samples", [30, CHUNK + 50])
def test_backends_agree(n_samples, alpha):
    """At the minimum, to rounding."""
    random = np.random.default_rng(2)
    X = random.normal(size=(2, n_samples))
    y = np.sin(X[0]) + 0.5 * X[1] + 0.1 * random.normal(size=n_samples)
    network = Network((2, 2, 1), output="identity")
    runs = [fit(network, X, y, max_iter=300, backend=backend, alpha=alpha) for backend in BACKENDS]
    for run in runs:
        assert run.stopped in ("gradient", "step", "cost")
        rel = 1e-7 if alpha == "evidence" else 1e-11  # where alpha has settled
        assert run.cost == pytest.approx(runs[0].cost, rel=rel)
        np.testing.assert_allclose(run.theta, runs[0].theta, rtol=1e-5, atol=1e-6)


def test_many_iterations_a_call_are_the_same_as_one_a_call():
    """A callback makes each iteration a call of its own."""
    told = []
    one = fit(max_iter=20, callback=lambda iteration: told.append(iteration.cost))
    many = fit(max_iter=20)
    assert one.fingerprint == many.fingerprint
    assert told == many.history["cost"].tolist()
    assert np.array_equal(one.history["gradient_norm"], many.history["gradient_norm"])


# Weights and penalty


def test_weight_two_is_a_repeated_row(backend):
    repeated = np.r_[0:30, 0:30:3]
    weight = np.ones(30)
    weight[::3] = 2
    one = fit(X=X[:, repeated], Y=Y[repeated], max_iter=6, backend=backend)
    other = fit(sample_weight=weight, max_iter=6, backend=backend)
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(one.history["cost"], other.history["cost"], rtol=1e-9)


def test_weight_zero_is_no_row(backend):
    weight = np.where(np.arange(30) < 25, 1.0, 0.0)
    one = fit(X=X[:, :25], Y=Y[:25], max_iter=6, backend=backend)
    other = fit(sample_weight=weight, max_iter=6, backend=backend)
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("alpha", [1e-3, 2.0, 1e4])
def test_penalty_is_ridge_regression(alpha, weights, backend):
    """Weights are shrunk, the bias is not."""
    network = Network((2, 1), output="identity")
    result = fit(network, alpha=alpha, sample_weight=weights, backend=backend)
    rows, s = np.vstack([X, np.ones(30)]), np.ones(30) if weights is None else weights
    ridge = np.diag([alpha, alpha, 0])
    expected = np.linalg.solve((rows * s) @ rows.T + ridge, (rows * s) @ Y)
    np.testing.assert_allclose(result.theta, expected, rtol=1e-10)
    cost = s @ (expected @ rows - Y) ** 2 / 2 + alpha * expected[:2] @ expected[:2] / 2
    assert result.cost == pytest.approx(cost / s.sum(), rel=1e-12)


# Why it ends


def cost_of(theta, X, Y):
    return NETWORK.cost_and_gradient(theta, X, Y)[0]


@pytest.mark.parametrize("reason", ["gradient", "step", "cost"])
def test_each_reason_to_end_is_seen(reason, backend):
    """Regression: g is 0. A line without noise: nothing is left to compare g with. A network."""
    network, *data = {
        "gradient": (Network((2, 1), output="identity"), X, Y),
        "step": (LINE, X[:1], 2 * X[0] / 3 - 0.1),
        "cost": (Network((2, 2, 1), output="identity"), X, Y),
    }[reason]
    result = fit(network, *data, max_iter=1000, backend=backend)
    assert result.stopped == reason
    if reason != "cost":
        assert result.n_iter == 1 + CLOSING_STEPS


def test_starts_at_a_minimum_and_stays_there(backend):
    theta = np.linalg.lstsq(np.vstack([X, np.ones(30)]).T, Y)[0]
    result = fit(Network((2, 1), output="identity"), theta=theta, max_iter=50, backend=backend)
    assert result.stopped == "gradient"
    assert result.n_iter <= CLOSING_STEPS
    np.testing.assert_allclose(result.theta, theta, rtol=1e-12)


@pytest.mark.compiled
def test_ends_at_minima():
    """Wherever a run ends: a step would lower the cost by no more than rounding."""
    network, n_ended = Network((2, 2, 1), output="identity"), 0
    model = Model(network.sizes, "tanh", "identity", X, Y)
    for seed in range(30):
        result = fit(network, max_iter=1000, seed=seed)
        if result.stopped != "max_iter":
            g, G = model.g(result.theta), model.G(result.theta)
            gain = g @ np.linalg.pinv(G, rcond=1e-12) @ g / 2
            assert gain < 1e-10 * model.E(result.theta)
            n_ended += 1
    assert n_ended >= 10


def test_goes_on_for_as_long_as_it_may():
    result = fit(max_iter=3)
    assert (result.stopped, result.n_iter) == ("max_iter", 3)
    assert {name: len(column) for name, column in result.history.items()} == {
        **dict.fromkeys(HISTORY, 3),
        "validation_cost": 0,
    }


@pytest.mark.compiled
def test_cost_never_rises():
    for seed in range(5):
        result = fit(max_iter=200, seed=seed)
        costs = np.append(result.history["cost"], result.cost)
        assert (np.diff(costs) <= damped_step.CLOSING_RISE * costs[:-1]).all()


def test_closing_steps_leave_rounding_alone():
    """Targets of such a network with little noise: its parameters have nearly all their digits."""
    network = Network((2, 2, 1), output="identity")
    model = Model(network.sizes, "tanh", "identity", X, Y)
    teacher = np.array([1.0, -0.5, 0.3, 1.2, 0.2, -0.4, 1.5, -1.0, 0.3])
    model.Y = model.logits(teacher) + 0.01 * NOISE
    result = fit(network, Y=model.Y, theta=teacher + 0.1, max_iter=1000)
    assert result.stopped in ("gradient", "step", "cost")
    step = np.linalg.solve(model.G(result.theta), model.g(result.theta))
    assert np.linalg.norm(step) < 1e-13 * np.linalg.norm(result.theta)


def test_tol_counts_iterations_without_improvement(backend):
    result = fit(max_iter=500, tol=1e-4, n_iter_no_change=3, backend=backend)
    assert result.stopped == "tol"
    costs = result.history["cost"]
    improved = [min(costs[:k]) - costs[k] >= 1e-4 for k in range(1, len(costs))]
    assert improved[-4:] == [True, False, False, False]


def test_tol_ends_one_call_of_many_iterations_as_it_ends_single_ones():
    one = fit(max_iter=500, tol=1e-4, n_iter_no_change=3)
    other = fit(max_iter=500, tol=1e-4, n_iter_no_change=3, callback=lambda _: None)
    assert (one.n_iter, one.fingerprint) == (other.n_iter, other.fingerprint)


def test_a_callback_hears_each_step_with_the_cost_before_it(backend):
    told = []

    def callback(iteration):
        told.append((iteration.step, iteration.cost, iteration.theta.copy()))
        return iteration.step == 4

    result = fit(callback=callback, backend=backend)
    assert (result.stopped, [step for step, _, _ in told]) == ("callback", [1, 2, 3, 4])
    costs = [cost_of(theta, X, Y) for _, _, theta in told]
    np.testing.assert_allclose([cost for _, cost, _ in told[1:]], costs[:-1], rtol=1e-12)
    assert np.array_equal(result.theta, told[-1][2])
    assert result.cost == pytest.approx(costs[-1], rel=1e-12)


def test_validation_data_decide_which_parameters_come_back(backend):
    X_val, Y_val = X[:, 20:], Y[20:]
    told = []
    result = fit(
        X=X[:, :20],
        Y=Y[:20],
        X_val=X_val,
        Y_val=Y_val,
        tol=1e-6,
        n_iter_no_change=5,
        max_iter=200,
        backend=backend,
        callback=lambda iteration: told.append(iteration.theta.copy()),
    )
    assert result.stopped == "tol"
    start = NETWORK.initial_parameters(1)
    costs = [cost_of(theta, X_val, Y_val) for theta in [start, *told]]
    np.testing.assert_allclose(result.history["validation_cost"], costs[:-1], rtol=1e-9)
    assert cost_of(result.theta, X_val, Y_val) == pytest.approx(min(costs), rel=1e-12)


def test_max_time_ends_a_run(backend):
    many = np.tile(X, 40)
    result = fit(X=many, Y=np.tile(Y, 40), max_iter=10**6, max_time=1e-6, backend=backend)
    assert result.stopped == "max_time"
    assert result.n_iter <= 1


@pytest.mark.compiled
@pytest.mark.parametrize("n_samples", [30, 2 * CHUNK])
def test_ctrl_c_returns_what_was_found(n_samples, backend):
    repeat = -(-n_samples // 30)
    data = {"X": np.tile(X, repeat), "Y": np.tile(Y, repeat), "backend": backend}
    whole = fit(max_iter=3, **data)
    result = fit(callback=at_step(3, interrupt), **data)
    assert (result.stopped, result.n_iter) == ("interrupted", 3)
    assert result.fingerprint == whole.fingerprint
    assert result.cost == pytest.approx(whole.cost, rel=1e-12)


# What it refuses, and what it says


def test_float32_is_trained_in_float64_and_said_so():
    result = fit(X=X.astype("float32"), Y=Y.astype("float32"), max_iter=4)
    exact = fit(
        X=X.astype("float32").astype(float), Y=Y.astype("float32").astype(float), max_iter=4
    )
    assert result.theta.dtype == np.float64
    assert result.fingerprint == exact.fingerprint
    assert "float32 data are trained in float64" in result.plan.why
    assert "float32" not in exact.plan.why


def test_a_network_too_large_for_memory_is_refused(monkeypatch):
    monkeypatch.setattr(lm, "memory_left", lambda: 1e9)
    network = Network((300, 400, 1), output="identity")
    random = np.random.default_rng(0)
    data = random.normal(size=(300, 1100)), random.normal(size=1100)
    with pytest.raises(
        MemoryError,
        match=r"needs 700 GB for the matrices of 120,801 parameters, "
        r"and 1 GB are left. Pass solver='lbfgs' or 'adam', or use fewer units.",
    ):
        fit(network, *data, n_threads=1)


@pytest.mark.compiled
def test_a_large_network_on_few_samples_needs_little_memory(monkeypatch):
    """The dual has a row for each residual."""
    monkeypatch.setattr(lm, "memory_left", lambda: 1e9)
    network = Network((300, 400, 1), output="identity")
    random = np.random.default_rng(0)
    result = fit(network, random.normal(size=(300, 5)), random.normal(size=5), max_iter=30)
    assert result.cost < 1e-12
    with pytest.raises(MemoryError, match="needs 233 GB"):  # the evidence takes the whole matrix
        fit(network, random.normal(size=(300, 5)), random.normal(size=5), alpha="evidence")


def without_curvature(z, y):
    return 0.5 * (z - y) ** 2, z - y


def with_curvature(z, y):
    return 0.5 * (z - y) ** 2, z - y, 1.0


@pytest.mark.compiled
def test_a_loss_without_curvature_is_refused():
    network = Network((2, 4, 1), output="identity", loss=losses.Compiled(without_curvature))
    with pytest.raises(
        ValueError,
        match=r"needs the curvature of the loss: let its function "
        r"return a third number h, .*or pass solver='lbfgs'",
    ):
        fit(network)


@pytest.mark.compiled
def test_a_loss_with_curvature_is_trained(backend):
    network = Network((2, 4, 1), output="identity", loss=losses.Compiled(with_curvature))
    ours, built_in = fit(network, backend=backend), fit(backend=backend)
    np.testing.assert_allclose(ours.theta, built_in.theta, rtol=1e-9)


@pytest.mark.compiled
def test_costs_that_overflow_are_refused_or_avoided(backend):
    with pytest.raises(ValueError, match="The cost of the initial parameters is inf"):
        fit(Y=Y * 1e200, backend=backend)
    network = Network((2, 1), output="exp")
    result = fit(network, Y=np.round(np.exp(X[0])), theta=np.array([300.0, 0, 0]), max_iter=500)
    assert math.isfinite(result.cost)
    assert result.stopped in ("gradient", "step", "cost")


@pytest.mark.compiled
def test_damping_may_rise_as_far_as_it_must(backend):
    """Targets of 1e13 take a mu of 1e13 G, for steps of the first layer's weights that are short.

    It is slow, and no reason to call this a minimum.
    """
    result = fit(Y=1e13 * Y, max_iter=20, backend=backend)
    assert (result.stopped, result.n_iter) == ("max_iter", 20)
    assert result.cost < result.history["cost"][0]


def test_has_no_schedule():
    with pytest.raises(NotImplementedError, match="schedule"):
        fit(schedule="adaptive")


# A curvature that cannot be used, or that has underflowed


@pytest.mark.compiled
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("function", [log_of_squares, infinite_curvature])
def test_curvature_below_0_or_not_finite_is_refused(backend, function):
    """Of one sample already: the sum over all is above 0."""
    network = Network((2, 1), output="identity", loss=losses.Compiled(function))
    Y = np.where(np.arange(30) == 17, 10.0, 0.0)
    with pytest.raises(ValueError, match=r"number of at least 0 as h.*derivative / error"):
        fit(network, Y=Y, backend=backend, theta=[0.01, 0.0, 0.0])
    with pytest.raises(ValueError, match="finite and at least 0 for each z and y"):
        network.objective(X, Y, backend=backend).gauss_newton([0.01, 0.0, 0.0])


@pytest.mark.compiled
def test_curvature_below_0_on_the_way_loses_nothing():
    network = Network((1, 1), output="identity", loss=losses.Compiled(turns_at_2))
    with pytest.raises(DivergedError, match="at least 0 as h") as caught:
        fit(network, X[:1], np.full(30, 3.0), theta=[0.0, 0.0])
    assert caught.value.step == 1
    np.testing.assert_allclose(caught.value.theta, [0, 3], atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_goes_on_where_curvature_has_underflowed(backend):
    """From z = -800 an exp network has no curvature, but a slope."""
    network = Network((1, 1), output="exp")
    result = fit(network, X[:1], np.ones(30), theta=[0.0, -800.0], max_iter=100, backend=backend)
    np.testing.assert_allclose(result.theta, [0, 0], atol=1e-7)


def test_costs_below_0_end_at_the_minimum():
    counts = np.random.default_rng(0).poisson(np.exp(2 + X[0])).astype(float)
    own = losses.Compiled(counts_without_constant, output="exp")
    network = Network((2, 1), output="exp", loss=own)
    result = fit(network, Y=counts, max_iter=100)
    assert result.cost < 0
    expected = fit(Network((2, 1), output="exp"), Y=counts, max_iter=100)
    np.testing.assert_allclose(result.theta, expected.theta, rtol=1e-12)


@pytest.mark.parametrize("start", [50.0, 100.0])
def test_damping_of_a_far_start_is_forgotten(start):
    """With the first damping for ever, the step becomes short long before the minimum."""
    network = Network((1, 1), output="exp", loss=losses.Tweedie(1.5))
    x = np.random.default_rng(2).normal(size=(1, 60))
    y = np.abs(x[0]) + 0.1
    result = fit(network, x, y, theta=[0.0, start], max_iter=2000)
    norm = np.linalg.norm(network.cost_and_gradient(result.theta, x, y)[1])
    assert norm < 1e-7


def test_a_step_that_only_the_damping_keeps_short_ends_nothing():
    """Inputs of 30 in place of 1: predictions begin at some e^50, or at 0."""
    random = np.random.default_rng(14)
    x, y = 30 * random.normal(size=(2, 60)), np.exp(0.3 * random.normal(size=60))
    network = Network((2, 1), output="exp", loss="gamma")
    result = fit(network, x, y, seed=14, max_iter=2000)
    assert np.linalg.norm(network.cost_and_gradient(result.theta, x, y)[1]) < 1e-6


# The evidence's alpha


def test_evidence_of_an_exact_model_beats_all_others():
    exact = fit(LINE, X[:1], 2 * X[0] + 1, alpha="evidence", max_iter=100)
    assert exact.log_evidence > 500
    assert exact.alpha < 1e-20


def test_evidence_follows_the_scale_of_the_inputs():
    plain = fit(LINE, X[:1], X[0] + NOISE, alpha="evidence", max_iter=100)
    scaled = fit(LINE, 1e7 * X[:1], X[0] + NOISE, alpha="evidence", max_iter=100)
    assert scaled.alpha == pytest.approx(1e14 * plain.alpha, rel=1e-6)


def test_evidence_refuses_validation_data():
    with pytest.raises(ValueError, match=r"evidence.*validation data choose others"):
        fit(alpha="evidence", X_val=X, Y_val=Y)


# What a callback sees


@pytest.mark.parametrize("solver", ["lm", "lbfgs", "gd", "adam"])
def test_callback_sees_the_cost_after_the_step(solver):
    told = []

    def note(iteration):
        told.append((iteration.cost, iteration.cost_after, iteration.theta.copy()))

    fit(solver=solver, callback=note, max_iter=4)
    for (_, after, theta), (cost_of_next, _, _) in pairwise(told):
        if solver in ("lm", "lbfgs"):
            assert after == cost_of_next
            assert after == pytest.approx(NETWORK.cost_and_gradient(theta, X, Y)[0], rel=1e-12)
        else:
            assert math.isnan(after)
