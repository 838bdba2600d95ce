"""engine/solvers/lbfgs.py: SciPy's L-BFGS, against SciPy on the oracle's cost and gradient."""

import json
import math

import numpy as np
import pytest
from scipy.optimize import minimize

from engine import DivergedError, Network, train
from engine.sums.objective import Objective
from tests import oracle, processes
from tests.training.test_training import HISTORY, XNOR_X, XNOR_Y, at_step, interrupt

STEPS = 8
X = np.random.default_rng(5).normal(size=(2, 30)).astype("float32").astype(float)
WEIGHTS = np.linspace(0.25, 2, 30).round(2)
TARGETS = {
    "sigmoid": (X.sum(axis=0) > 0.3).astype(float)[None],
    "identity": np.stack([X[0] - X[1], X[0] * X[1]]).round(3),
    "softmax": np.eye(3)[:, (X[0] > 0.5).astype(int) + (X[1] > 0)],
    "exp": np.floor(np.exp(X[:1] / 2) * 2),
}
NETWORKS = [
    Network((2, 3, 1)),
    Network((2, 4, 3, 2), hidden="sigmoid", output="identity"),
    Network((2, 3, 3), output="softmax"),
    Network((2, 3, 1), output="exp"),
]


def fit(network=NETWORKS[0], **others):
    given = {"solver": "lbfgs", "max_iter": STEPS, "alpha": 0.05, "seed": 2, **others}
    return train(network, X.astype(given.pop("dtype", "float64")), TARGETS[network.output], **given)


def by_scipy(network, n_steps, weights=None):
    """Each step's parameters, and their costs, by SciPy on the oracle."""
    weights = [1.0] * X.shape[1] if weights is None else weights
    described = (network.sizes, network.hidden, network.output, X, TARGETS[network.output])
    visited = [network.initial_parameters(seed=2)]

    def cost_and_gradient(theta):
        arguments = (theta.tolist(), *described, weights, 0.05)
        return oracle.cost(*arguments), np.array(oracle.gradient(*arguments))

    minimize(
        cost_and_gradient,
        visited[0],
        method="L-BFGS-B",
        jac=True,
        callback=lambda theta: visited.append(theta.copy()),
        options={"maxiter": n_steps, "ftol": 0, "gtol": 0},
    )
    return visited, [cost_and_gradient(theta) for theta in visited]


@pytest.mark.sample(4)
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.output)
def test_steps_are_those_of_scipy_on_the_oracle(network, weights, backend):
    visited, evaluated = by_scipy(network, STEPS, weights)
    result = fit(network, backend=backend, sample_weight=weights)
    assert (result.n_iter, result.stopped) == (STEPS, "max_iter")
    np.testing.assert_allclose(result.theta, visited[-1], rtol=1e-7, atol=1e-9)
    costs = [cost for cost, _ in evaluated]
    norms = [math.hypot(*dtheta) for _, dtheta in evaluated]
    np.testing.assert_allclose(result.history["cost"], costs[:-1], rtol=1e-9)
    np.testing.assert_allclose(result.history["gradient_norm"], norms[:-1], rtol=1e-6)
    assert result.cost == pytest.approx(costs[-1], rel=1e-9)


def test_float32_stays_float32_and_comes_as_far(backend):
    exact = fit(max_iter=200, backend=backend)
    result = fit(max_iter=200, dtype="float32", backend=backend)
    assert result.theta.dtype == np.float32
    assert result.cost == pytest.approx(exact.cost, rel=1e-5)


def test_ends_by_itself_at_a_minimum(backend):
    result = fit(max_iter=5000, backend=backend)
    assert result.stopped == "converged"
    assert 10 < result.n_iter == len(result.history["cost"]) < 5000
    _, dtheta = NETWORKS[0].cost_and_gradient(
        result.theta, X, TARGETS["sigmoid"], alpha=0.05, backend=backend
    )
    assert np.abs(dtheta).max() < 1e-6 < result.history["gradient_norm"][0]


def test_starts_at_a_minimum_and_stays_there():
    """b = y: the gradient is 0, and no step is taken."""
    network = Network((1, 1), output="identity")
    result = train(network, [[0.0]], [1.0], solver="lbfgs", theta=np.array([0.0, 1.0]))
    assert (result.stopped, result.n_iter, result.cost) == ("converged", 0, 0)
    assert result.theta.tolist() == [0, 1]
    assert all(result.history[name].shape == (0,) for name in HISTORY)


def test_finds_xnor(backend):
    network = Network((2, 4, 1))
    result = train(network, XNOR_X, XNOR_Y, solver="lbfgs", max_iter=100, backend=backend)
    assert network.forward(result.theta, XNOR_X).round().tolist() == [[1, 0, 0, 1]]


def test_each_evaluation_is_one_pass(monkeypatch):
    """The point that a step ends at has been tried before: nothing is evaluated twice."""
    points = []
    evaluate = Objective.cost_and_gradient

    def counted(objective, theta):
        points.append(theta.tobytes())
        return evaluate(objective, theta)

    monkeypatch.setattr(Objective, "cost_and_gradient", counted)
    fit()
    assert STEPS < len(points) == len(set(points)) < 3 * STEPS


# What is told of it, and why it ends


def test_the_callback_is_told_of_each_step(backend):
    told = []
    result = fit(callback=lambda step: told.append((step, step.theta.copy())), backend=backend)
    visited, _ = by_scipy(NETWORKS[0], STEPS)
    assert [(step.step, step.epoch) for step, _ in told] == [(n, n) for n in range(1, STEPS + 1)]
    assert [step.cost for step, _ in told] == result.history["cost"].tolist()
    for (_, theta), expected in zip(told, visited[1:], strict=True):
        np.testing.assert_allclose(theta, expected, rtol=1e-6, atol=1e-9)
    assert np.array_equal(told[-1][1], result.theta)


def test_a_callback_does_not_change_the_bits_and_stops_the_run():
    stopped = fit(callback=at_step(3, lambda told: True))
    assert (stopped.stopped, stopped.n_iter) == ("callback", 3)
    assert stopped.fingerprint == fit(max_iter=3).fingerprint


@pytest.mark.parametrize("kind", [StopIteration, RuntimeError])
def test_an_exception_of_the_callback_comes_through_whatever_its_type(kind):
    def end(told):
        raise kind("no more")

    with pytest.raises(kind, match="no more"):
        fit(callback=at_step(3, end))


def test_stops_after_max_time_but_takes_a_step():
    result = fit(max_time=1e-9)
    assert (result.stopped, result.n_iter) == ("max_time", 1)


def test_tol_counts_as_with_the_other_solvers():
    result = fit(max_iter=500, tol=1e-3, n_iter_no_change=3)
    assert result.stopped == "tol"
    gains = -np.diff(result.history["cost"])
    assert (gains[-3:] < 1e-3).all()
    assert result.n_iter < fit(max_iter=500, tol=1e-6, n_iter_no_change=3).n_iter


def test_with_tol_those_of_the_lowest_validation_cost_come_back():
    X_val, Y_val = X[:, :4], 1 - TARGETS["sigmoid"][:, :4]  # learning makes these worse
    told = {"X_val": X_val, "Y_val": Y_val}
    result = fit(max_iter=50, tol=1e-9, n_iter_no_change=5, **told)
    costs = result.history["validation_cost"]
    assert result.stopped == "tol"
    cost = NETWORKS[0].objective(X_val, Y_val).cost(result.theta)
    assert cost == pytest.approx(costs.min(), rel=1e-12)
    assert not np.array_equal(result.theta, fit(max_iter=result.n_iter).theta)
    assert fit(max_iter=4, **told).fingerprint == fit(max_iter=4).fingerprint


def test_ctrl_c_returns_the_best_so_far(backend):
    result = fit(callback=at_step(4, interrupt), backend=backend)
    assert (result.stopped, result.n_iter) == ("interrupted", 4)
    assert np.array_equal(result.theta, fit(max_iter=3, backend=backend).theta)


def test_ctrl_c_in_an_evaluation_returns_the_best_so_far(monkeypatch):
    evaluate, n_calls = Objective.cost_and_gradient, [0]

    def interrupted(objective, theta):
        n_calls[0] += 1
        if n_calls[0] == 7:
            raise KeyboardInterrupt
        return evaluate(objective, theta)

    monkeypatch.setattr(Objective, "cost_and_gradient", interrupted)
    result = fit()
    assert result.stopped == "interrupted"
    monkeypatch.undo()
    assert np.array_equal(result.theta, fit(max_iter=result.n_iter).theta)


def test_ctrl_c_before_anything_was_reached_is_passed_on(monkeypatch):
    monkeypatch.setattr(Objective, "cost_and_gradient", lambda *_: interrupt(None))
    with pytest.raises(KeyboardInterrupt):
        fit()


def test_a_trial_whose_cost_overflows_raises_and_loses_nothing(backend):
    """The first trial has length 1, along x = 1000: e^1000 is too large."""
    network = Network((1, 1), output="exp")
    start = np.array([0.0, 0.0])
    with pytest.raises(DivergedError) as caught:
        train(network, [[1000.0]], [2.0], solver="lbfgs", theta=start, backend=backend)
    error = caught.value
    assert "The cost stopped being finite at step 1 (inf). Try inputs of mean 0" in str(error)
    assert (error.step, error.theta.tolist(), start.tolist()) == (1, [0, 0], [0, 0])


def test_initial_parameters_without_a_finite_cost_are_refused():
    network = Network((1, 1), output="exp")
    with pytest.raises(ValueError, match="cost of the initial parameters is inf"):
        train(network, [[1.0]], [2.0], solver="lbfgs", theta=np.array([1000.0, 0.0]))


# The same bits


def bits_of_a_wide_run(n_threads, backend):
    """So many parameters that BLAS would share even a scalar product among its threads."""
    network = Network((60, 200, 1))
    random = np.random.default_rng(0)
    inputs, labels = random.normal(size=(60, 2500)), random.integers(0, 2, 2500)
    told = {"solver": "lbfgs", "max_iter": 6, "n_threads": n_threads, "backend": backend}
    result = train(network, inputs, labels, **told)
    return [result.fingerprint, result.cost.hex()]


@pytest.mark.proof
@pytest.mark.compiled
@pytest.mark.parametrize("backend_name", ["tiled", "numpy"])
def test_bits_do_not_depend_on_threads_nor_on_those_of_blas(backend_name):
    found = [
        processes.result_of(
            bits_of_a_wide_run, n_threads, backend_name, env={"OPENBLAS_NUM_THREADS": of_blas}
        )
        for n_threads, of_blas in [(1, "1"), (3, "2"), (1, "2")]
    ]
    assert found == found[:1] * len(found)


BLAS_THREADS_IN_THE_FIRST_RUN = """
import json
from threadpoolctl import threadpool_info
from engine import Network, train

def blas_threads():
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

before, during = blas_threads(), []
told = {"solver": "lbfgs", "max_iter": 1, "callback": lambda told: during.extend(blas_threads())}
train(Network((1, 1)), [[0.5]], [1.0], **told)
print(json.dumps([before, during, blas_threads()]))
"""


@pytest.mark.proof
@pytest.mark.compiled
def test_every_blas_is_held_at_one_thread_and_let_go_again():
    """SciPy's too, which the run itself is the first to load."""
    printed = processes.output(
        "-c", BLAS_THREADS_IN_THE_FIRST_RUN, env={"OPENBLAS_NUM_THREADS": "2"}
    )
    before, during, after = json.loads(printed)
    assert set(before) == set(after)
    assert during == [1] * len(after)
