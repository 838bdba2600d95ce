"""engine/training/: the steps, what is written down about them, and why they end."""

import contextlib
import functools
import hashlib
import itertools
import math
import pickle
import signal
import subprocess
import sys
import time
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from engine import DivergedError, Network, train
from engine.equations.activations import activate_loops, derive_loops
from engine.equations.backward import input_gradient_loops, parameter_gradient_loops
from engine.equations.forward import affine_loops
from engine.equations.losses import cost_sum_loops, output_gradient_loops
from engine.equations.units import HIDDEN_UNITS, OUTPUT_UNITS, UNITS
from engine.losses import default_for
from engine.solvers.solver import Progress
from engine.solvers.state import PLAIN, STAGNANT, Settings, new_state
from engine.solvers.stopping import count_improvement
from engine.sums.blas import one_blas_thread
from engine.sums.chunks import ChunkSums
from engine.training.watch import TrainingWatch
from tests import oracle, processes

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])
HISTORY = {"cost", "gradient_norm", "seconds", "validation_cost"}

NETWORK = Network((2, 3, 1))
XNOR_X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
XNOR_Y = np.array([1, 0, 0, 1])
# One weight, one bias, one sample: J = 1/2 (w - y)^2 + ..., so its costs are known in advance.
LINE = Network((1, 1), output="identity")


def descend(X=XNOR_X, Y=XNOR_Y, network=NETWORK, **others):
    settings = {"solver": "gd", "learning_rate": 0.5, "max_iter": 5, **others}
    return train(network, X, Y, **settings)


def line(y=1.0, **others):
    """The parabola J = 1/2 (b - y)^2: with x = 0 only the bias b matters, and moves."""
    theta = np.array([0.0, others.pop("b", 0.0)])
    return descend([[0.0]], [y], LINE, **{"theta": theta, **others})


def random_data(n_samples, n_in=2, seed=0):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n_in, n_samples)).astype(np.float32).astype(np.float64)
    return X, (X.sum(axis=0) + random.normal(size=n_samples) > 0).astype(float)


def interrupt(told):
    raise KeyboardInterrupt


def at_step(number, action):
    """A callback that does something at one step."""
    return lambda told: action(told) if told.step == number else None


def same(one, other):
    """Whether two results are the same, times apart."""
    clocks = [result.history.pop("seconds") for result in (one, other)]
    histories = [
        {name: column.tobytes() for name, column in result.history.items()}
        for result in (one, other)
    ]
    for result, clock in zip((one, other), clocks):
        result.history["seconds"] = clock
    facts = [(result.n_iter, result.stopped, result.cost, result.plan) for result in (one, other)]
    bits = [result.theta.tobytes() for result in (one, other)]
    return histories[0] == histories[1] and facts[0] == facts[1] and bits[0] == bits[1]


# The steps


STEPS = 12
RATE = 0.25  # a power of two, which both dtypes hold


@functools.cache
def by_hand(network, weighted, alpha):
    """Parameters, costs and gradient norms of plain gradient descent on the oracle's gradient."""
    X, Y, weights = problem(network, weighted)
    described = (network.sizes, network.hidden, network.output, X, Y, weights, alpha)
    theta = network.initial_parameters(seed=3, dtype="float32").astype(float).tolist()
    costs, norms = [], []
    for _ in range(STEPS):
        dtheta = oracle.gradient(theta, *described)
        costs.append(oracle.cost(theta, *described))
        norms.append(math.hypot(*dtheta))
        theta = [number - RATE * slope for number, slope in zip(theta, dtheta)]
    return theta, costs, norms


def problem(network, weighted):
    """Six samples of the kind that the output unit takes, in numbers that float32 holds."""
    X, _ = random_data(6, network.sizes[0], seed=7)
    n_out = network.sizes[-1]
    Y = {
        "sigmoid": [[0, 1, 0.5, 1, 0, 1]] * n_out,
        "softmax": np.eye(n_out)[:, [0, 1, 2, 1, 0, 2]] if n_out == 3 else None,
        "identity": [[0.5, -1, 0, 0.25, 1, 2]] * n_out,
        "exp": [[0, 1, 3, 0, 2, 1]] * n_out,
    }[network.output]
    return X, Y, [1, 0.5, 2, 0, 1.5, 1] if weighted else None


@DTYPES
@pytest.mark.parametrize(("weighted", "alpha"), [(False, 0.0), (True, 0.5)])
@pytest.mark.parametrize(
    "network",
    [
        NETWORK,
        Network((2, 3), output="softmax"),
        Network((2, 3, 2, 2), hidden=("sigmoid", "tanh"), output="identity"),
        Network((3, 2, 1), hidden="tanh", output="exp"),
    ],
    ids=lambda network: network.output,
)
def test_train_is_plain_gradient_descent(network, weighted, alpha, dtype, backend):
    """U1, step after step, on the gradient of the oracle."""
    X, Y, weights = problem(network, weighted)
    result = descend(
        X.astype(dtype),
        Y,
        network,
        learning_rate=RATE,
        max_iter=STEPS,
        alpha=alpha,
        sample_weight=weights,
        theta=network.initial_parameters(seed=3, dtype="float32").astype(dtype),
        backend=backend,
    )
    theta, costs, norms = by_hand(network, weighted, alpha)
    close = {"rtol": 0, "atol": 500 * np.finfo(dtype).eps}
    assert result.theta.dtype == dtype
    np.testing.assert_allclose(result.theta, theta, **close)
    np.testing.assert_allclose(result.history["cost"], costs, **close)
    np.testing.assert_allclose(result.history["gradient_norm"], norms, **close)


def test_steps_on_a_parabola_are_the_known_ones():
    """b <- b - (b - 1) / 2: from 0 to 1/2, 3/4, 7/8, exactly."""
    seen = []
    result = line(max_iter=4, callback=lambda told: seen.append(told.theta[1]))
    assert seen == [1 / 2, 3 / 4, 7 / 8, 15 / 16]
    assert result.theta.tolist() == [0, 15 / 16]
    assert result.history["cost"].tolist() == [1 / 2, 1 / 8, 1 / 32, 1 / 128]
    assert result.history["gradient_norm"].tolist() == [1, 1 / 2, 1 / 4, 1 / 8]
    assert result.cost == 1 / 512


@DTYPES
def test_training_finds_xnor(dtype, backend):
    network = Network((2, 4, 1))
    result = descend(
        XNOR_X.astype(dtype), network=network, learning_rate=2.0, max_iter=400, backend=backend
    )
    X = XNOR_X.astype(dtype)
    np.testing.assert_array_equal(network.forward(result.theta, X).round(), [[1, 0, 0, 1]])
    assert result.cost < 0.1 < result.history["cost"][0]


@DTYPES
def test_so_many_steps_and_then_more_are_all_of_them_at_once(dtype, backend):
    X, Y = random_data(9)
    common = {"alpha": 0.1, "sample_weight": np.arange(9), "backend": backend}
    at_once = descend(X.astype(dtype), Y, max_iter=9, **common)
    first = descend(X.astype(dtype), Y, max_iter=4, **common)
    second = descend(X.astype(dtype), Y, max_iter=5, theta=first.theta, **common)
    assert second.fingerprint == at_once.fingerprint
    assert second.theta.tobytes() == at_once.theta.tobytes()
    costs = np.concatenate([first.history["cost"], second.history["cost"]])
    assert costs.tobytes() == at_once.history["cost"].tobytes()
    assert second.history["cost"][0] == first.cost
    assert second.cost == at_once.cost


def test_settings_of_minibatch_solvers_change_nothing():
    others = {"batch_size": 2, "momentum": 0.1, "nesterov": False, "beta_1": 0.5, "shuffle": False}
    assert same(descend(), descend(**others))


# What comes back


@DTYPES
def test_cost_is_the_cost_at_the_parameters_that_come_back(dtype, backend):
    for n_samples, alpha in itertools.product((3, 1030), (0.0, 0.3)):
        X, Y = random_data(n_samples)
        given = {"alpha": alpha, "sample_weight": np.arange(n_samples), "backend": backend}
        result = descend(X.astype(dtype), Y, max_iter=2, **given)
        J, _ = NETWORK.cost_and_gradient(result.theta, X.astype(dtype), Y, **given)
        assert result.cost == J
        assert type(result.cost) is float


@DTYPES
def test_history_begins_with_the_cost_and_gradient_of_the_initial_parameters(dtype, backend):
    X, Y = random_data(7)
    X = X.astype(dtype)
    theta = NETWORK.initial_parameters(seed=4, dtype=dtype)
    J, dtheta = NETWORK.cost_and_gradient(theta, X, Y, alpha=0.2, backend=backend)
    result = descend(X, Y, alpha=0.2, seed=4, backend=backend)
    assert result.history["cost"][0] == J
    assert result.history["gradient_norm"][0] == pytest.approx(
        np.linalg.norm(dtheta.astype(float)), rel=1e-14
    )


@DTYPES
@pytest.mark.parametrize("validated", [True, False])
def test_history_has_a_number_for_each_step(validated, dtype, backend):
    validation = {"X_val": [[0.5, 1], [0.5, 0]], "Y_val": [1, 0]} if validated else {}
    result = descend(XNOR_X.astype(dtype), max_iter=6, backend=backend, **validation)
    assert result.n_iter == 6
    assert set(result.history) == HISTORY
    for name, column in result.history.items():
        assert column.dtype == np.float64
        assert column.shape == ((0,) if name == "validation_cost" and not validated else (6,))
    seconds = result.history["seconds"]
    assert seconds[0] > 0
    assert (np.diff(seconds) >= 0).all()
    assert seconds[-1] > seconds[0]


def test_seconds_are_seconds():
    began = time.perf_counter()
    result = descend(max_iter=3, callback=lambda told: time.sleep(0.02))
    elapsed = time.perf_counter() - began
    assert 0.04 <= result.history["seconds"][-1] <= elapsed


@DTYPES
def test_validation_cost_is_a_mean_without_penalty_or_weights(dtype, backend):
    X, Y = random_data(6)
    X_val, Y_val = random_data(4, seed=1)
    seen = []
    result = descend(
        X.astype(dtype),
        Y,
        max_iter=4,
        alpha=0.7,
        sample_weight=[3, 1, 0, 2, 1, 1],
        X_val=X_val,
        Y_val=Y_val,
        callback=lambda told: seen.append(told.theta.copy()),
        backend=backend,
    )
    before = [NETWORK.initial_parameters(seed=0, dtype=dtype), *seen[:-1]]
    for theta, came in zip(before, result.history["validation_cost"], strict=True):
        theta = np.array(theta)
        expected = oracle.cost(theta, NETWORK.sizes, NETWORK.hidden, NETWORK.output, X_val, [Y_val])
        assert came == pytest.approx(expected, rel=20 * float(np.finfo(dtype).eps))


def test_validation_data_do_not_change_the_steps(backend):
    X_val, Y_val = random_data(4, seed=1)
    with_them = descend(X_val=X_val, Y_val=Y_val, backend=backend)
    assert with_them.fingerprint == descend(backend=backend).fingerprint


def test_validation_data_may_be_of_the_other_precision():
    single = XNOR_X.astype("float32")
    for X, X_val in [(XNOR_X, single), (single, XNOR_X)]:
        result = descend(X, X_val=X_val, Y_val=XNOR_Y)
        assert result.theta.dtype == X.dtype
        np.testing.assert_allclose(
            result.history["validation_cost"], result.history["cost"], rtol=1e-6
        )


def test_repr_says_how_it_went():
    assert repr(line(max_iter=1, backend="loops")) == (
        "<TrainResult: cost 0.125 after 1 step, stopped by max_iter, backend loops>"
    )
    assert "after 2 steps" in repr(line(max_iter=2))


# Why it stopped


def test_stops_after_max_iter_steps(backend):
    for max_iter in (1, 2, 7):
        result = descend(max_iter=max_iter, backend=backend)
        assert (result.stopped, result.n_iter) == ("max_iter", max_iter)


def test_stops_by_tol_after_so_many_iterations_without_enough_improvement(backend):
    """Costs 1/2, 1/8, 1/32, 1/128 ...: with tol 0.05 the fourth is the first that fails."""
    for patience, n_iter in [(1, 4), (2, 5), (5, 8)]:
        result = line(tol=0.05, n_iter_no_change=patience, max_iter=50, backend=backend)
        assert (result.stopped, result.n_iter) == ("tol", n_iter)
    result = line(tol=0.05, n_iter_no_change=5, max_iter=7, backend=backend)
    assert (result.stopped, result.n_iter) == ("max_iter", 7)


def test_tol_of_zero_never_stops(backend):
    """Even at the bottom, where nothing changes any more."""
    result = line(b=1.0, tol=0.0, n_iter_no_change=1, max_iter=60, backend=backend)
    assert (result.stopped, result.n_iter) == ("max_iter", 60)
    assert result.history["cost"].tolist() == [0.0] * 60


def test_stops_when_the_callback_returns_true(backend):
    result = descend(max_iter=50, callback=lambda told: told.step == 3, backend=backend)
    assert (result.stopped, result.n_iter) == ("callback", 3)
    assert result.fingerprint == descend(max_iter=3, backend=backend).fingerprint
    assert len(result.history["cost"]) == 3


def test_only_true_stops_not_what_is_as_good_as_true():
    for value in (1, "yes", [0], 1.0, None, False):
        assert descend(callback=lambda told, value=value: value).stopped == "max_iter"


def test_stops_after_max_time_but_takes_a_step(backend):
    result = descend(max_iter=10**9, max_time=1e-9, backend=backend)
    assert (result.stopped, result.n_iter) == ("max_time", 1)


def test_no_step_begins_after_max_time(monkeypatch, backend):
    """On a clock that goes on by a second after each step, in its callback."""
    seconds = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: seconds[0])

    def second_later(iteration):
        seconds[0] += 1

    told = {"max_iter": 9, "callback": second_later, "backend": backend}
    result = descend(max_time=3.5, **told)
    assert (result.stopped, result.n_iter) == ("max_time", 4)
    assert result.history["seconds"].tolist() == [0, 1, 2, 3]
    assert descend(max_time=4, **told).n_iter == 4


def test_interrupting_returns_the_best_so_far(backend):
    """With a learning rate of 2.5 the parabola's cost grows: the best is the first."""
    result = line(max_iter=50, learning_rate=2.5, callback=at_step(3, interrupt), backend=backend)
    assert (result.stopped, result.n_iter) == ("interrupted", 3)
    assert result.theta.tolist() == [0, 0]
    assert result.cost == 0.5 == result.history["cost"].min()
    assert len(result.history["cost"]) == 3


def test_interrupting_a_run_that_improves_returns_the_last_parameters_with_a_known_cost():
    result = line(max_iter=50, callback=at_step(3, interrupt))
    assert result.theta.tolist() == [0, 3 / 4]
    assert result.cost == 1 / 32 == result.history["cost"][-1]


def test_interrupting_with_validation_data_returns_those_of_the_lowest_validation_cost():
    """Training goes to b = 1, validation wants 1/2: passed at once, and left behind."""
    result = line(X_val=[[0.0]], Y_val=[0.5], max_iter=9, callback=at_step(5, interrupt))
    assert result.stopped == "interrupted"
    assert result.theta.tolist() == [0, 1 / 2]
    assert result.cost == 1 / 8  # of the training data


def test_interrupting_before_anything_was_reached_is_passed_on(monkeypatch):
    monkeypatch.setattr(ChunkSums, "cost_and_gradient", lambda self, *_: interrupt(None))
    with pytest.raises(KeyboardInterrupt):
        descend()


# Of engine/, the files whose lines a run goes through again and again.
STEPPED_THROUGH = ("chunks.py", "descent.py", "run.py", "watch.py")


@contextlib.contextmanager
def interrupted_at_line(number):
    """Ctrl-C before the so many-th line of those files; yields the lines that went before it."""
    lines: list[str] = []

    def trace(frame, event, arg):
        code = frame.f_code
        if not code.co_filename.endswith(STEPPED_THROUGH) or "history" in code.co_qualname:
            return None
        if event == "line":
            lines.append(f"{code.co_name}:{frame.f_lineno}")
            if len(lines) == number:
                raise KeyboardInterrupt  # which ends the tracing as well
        return trace

    outer = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(outer)


@pytest.mark.proof
@pytest.mark.compiled
@pytest.mark.parametrize("n_samples", [7, 1030, 2048])
def test_ctrl_c_between_any_two_lines_returns_parameters_with_their_own_cost(n_samples):
    X, Y = random_data(n_samples)
    given = {"sample_weight": np.arange(n_samples), "alpha": 0.1, "backend": "numpy"}
    descend(X, Y, max_iter=1, **given)  # imports what it needs
    with interrupted_at_line(0) as lines:
        descend(X, Y, max_iter=3, **given)
    assert len(lines) > 100
    places: dict[str, list[int]] = {}
    for number, line in enumerate(lines, 1):
        places.setdefault(line, []).append(number)
    # Of few samples all lines; of more, the chunks go through each line again and again.
    some = {n for numbers in places.values() for n in (*numbers[:2], *numbers[-2:])}
    # Before the first step there is nothing to return; after the last cost, all is done.
    noted = next(place for place, line in enumerate(lines) if line.startswith("consider"))
    done = max(place for place, line in enumerate(lines) if line.startswith("cost_of"))
    for number in range(1, done + 1):
        if n_samples > 7 and number not in some:
            continue
        try:
            with interrupted_at_line(number):
                result = descend(X, Y, max_iter=3, **given)
        except KeyboardInterrupt:
            assert number <= noted, lines[number - 1]
            continue
        assert result.stopped == "interrupted"
        assert result.n_iter == len(result.history["cost"])
        J, _ = NETWORK.cost_and_gradient(result.theta, X, Y, **given)
        assert result.cost == J, lines[number - 1]
        assert result.cost <= min(result.history["cost"], default=math.inf)


LONG_RUN = """
import signal
import numpy as np
from engine import Network, train

# Python's own handler, whatever the process that runs the tests does with SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)

def callback(told):
    if told.step == 20:
        print("under way", flush=True)

X = np.random.default_rng(0).normal(size=(3, 3000))
Y = X.sum(axis=0) > 0
network = Network((3, 4, 1))
result = train(network, X, Y, solver="gd", learning_rate=0.1, max_iter=10**9, callback=callback,
               backend="loops")
J, _ = network.cost_and_gradient(result.theta, X, Y, backend="loops")
print(result.stopped, result.n_iter >= 20, len(result.history["cost"]) == result.n_iter)
print(result.cost == J <= result.history["cost"].min())
"""


@pytest.mark.proof
@pytest.mark.compiled
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_ctrl_c_in_a_long_run_returns_the_best_so_far():
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", LONG_RUN],
        cwd=processes.ROOT,
        env=processes.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "under way\n"
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=processes.TIMEOUT)
        finally:
            process.kill()
    assert (out, err) == ("interrupted True True\nTrue\n", "")
    assert process.returncode == 0


# The rule of tol


def stops_at(costs, tol, patience):
    """The place of the first cost at which a run is stagnant; None if it never is."""
    settings = Settings(PLAIN, 1, tol=tol, patience=patience, stops=int(tol > 0))
    state = new_state(np.zeros(1), settings, 1, seed=0)
    for place, cost in enumerate(costs):
        count_improvement(state, settings, cost)
        if state.counts[STAGNANT]:
            return place
    return None


def expected_stop(costs, tol, patience):
    """The same, from the definition: each of the last `patience` costs failed to improve."""
    if tol == 0:
        return None

    def failed(place):
        return place > 0 and costs[place] > min(costs[:place]) - tol

    for place in range(len(costs)):
        last = range(place - patience + 1, place + 1)
        if last[0] >= 0 and all(failed(one) for one in last):
            return place
    return None


@pytest.mark.parametrize(
    ("costs", "tol", "patience", "place"),
    [
        ([9, 8, 7, 6, 5], 0.5, 1, None),
        ([9, 9], 0.5, 1, 1),
        ([9, 8, 8, 8], 0.5, 2, 3),
        ([9, 8, 8, 7, 7, 7], 0.5, 2, 5),  # an improvement in between starts the count anew
        ([9, 10, 10, 8, 10, 10, 10], 0.5, 3, 6),
        ([9, 8.75, 8.5, 8.25, 8.0], 0.5, 3, 3),  # each better than the last, none by enough
        ([9, 12, 9.5, 9.2], 0.5, 3, 3),  # better than the last, but not than the lowest
        ([5], 0.5, 1, None),  # the first cost has nothing to improve on
        ([9, 9, 9, 9, 9, 9], 0.0, 1, None),
        ([1, 2, 3, 4, 5, 6], 0.0, 1, None),
    ],
)
def test_tol_stops_exactly_there(costs, tol, patience, place):
    assert stops_at(costs, tol, patience) == place


# Quarters, so that a difference of two is exact and ties with tol do occur.
@given(
    costs=st.lists(st.integers(-12, 12).map(lambda n: n / 4), max_size=25),
    tol=st.integers(0, 4).map(lambda n: n / 4),
    patience=st.integers(1, 4),
)
def test_tol_stops_where_the_definition_says(costs, tol, patience):
    assert stops_at(costs, tol, patience) == expected_stop(costs, tol, patience)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_cost_that_is_no_number_is_no_improvement(bad):
    """Validation costs are not required to be finite; one that is not must not disable tol."""
    assert stops_at([9, bad, bad, bad], 0.5, 3) == 3
    assert stops_at([9, bad, 9, 9, 9], 0.5, 4) == 4
    assert stops_at([bad, 9, 9, 9], 0.5, 2) == 3


def test_a_validation_cost_that_is_no_number_is_never_the_best():
    validation_costs = iter([math.nan, 3.0, 2.0, math.nan, 4.0])
    watching = TrainingWatch(lambda theta: next(validation_costs), math.inf, None, True, "")
    solver = SimpleNamespace(observe=lambda cost: None)
    for step in range(5):
        before, after = np.array([float(step)]), np.array([step + 1.0])
        watching.consider(solver, Progress(np.array([[1.0, 0.0]]), after, step + 1, before))
    assert watching.best is not None
    assert watching.best.tolist() == [2.0]


# Which parameters come back


def visited(**others):
    """A result, and every theta that the run went through, the first and the last included."""
    seen = []
    callback = others.pop("callback", lambda told: None)

    def keep(told):
        seen.append(told.theta.copy())
        return callback(told)

    theta = np.array([0.0, others.pop("b", 0.0)])
    result = line(theta=theta, callback=keep, **others)
    return result, [theta, *seen]


@pytest.mark.parametrize(
    ("stopped", "others"),
    [
        ("tol", {"max_iter": 50}),
        ("max_iter", {"max_iter": 5}),
        ("callback", {"callback": lambda told: told.step == 5}),
        ("max_time", {"max_time": 0.02, "callback": lambda told: time.sleep(0.012)}),
        ("interrupted", {"callback": at_step(3, interrupt)}),
    ],
)
@pytest.mark.parametrize(
    ("y_val", "rate"),
    # Passed at the second step; in between; ever better; ever worse; better by less than tol;
    # passed within less than tol.
    [(0.5, 0.5), (0.8, 0.5), (1.0, 0.125), (-1.0, 0.5), (1.0, 1e-4), (0.02, 0.01)],
)
def test_with_tol_those_of_the_lowest_validation_cost_come_back(stopped, others, y_val, rate):
    """Whatever ended the run, as the docstring of train says; costs of the last step included."""
    patience = 6 if stopped != "tol" else 2
    result, thetas = visited(
        X_val=[[0.0]],
        Y_val=[y_val],
        tol=0.001,
        n_iter_no_change=patience,
        learning_rate=rate,
        **others,
    )
    assert result.stopped == stopped
    validation_costs = [0.5 * (theta[1] - y_val) ** 2 for theta in thetas]
    if stopped == "interrupted":
        del validation_costs[-1]  # not evaluated any more
    came = 0.5 * (result.theta[1] - y_val) ** 2
    assert came == min(validation_costs)
    assert result.cost == 0.5 * (result.theta[1] - 1.0) ** 2


def test_without_tol_the_last_parameters_come_back():
    result, thetas = visited(X_val=[[0.0]], Y_val=[0.5], max_iter=6, tol=0.0)
    assert result.theta.tobytes() == thetas[-1].tobytes()
    assert result.history["validation_cost"].argmin() == 1


def test_without_validation_data_the_last_parameters_come_back():
    result, thetas = visited(tol=0.05, n_iter_no_change=3, max_iter=50)
    assert result.stopped == "tol"
    assert result.theta.tobytes() == thetas[-1].tobytes()


def test_tol_looks_at_the_validation_cost_where_there_is_one():
    """The training cost still improves; that of the validation data, which want b = 0, does not."""
    common = {"learning_rate": 0.1, "tol": 1e-3, "n_iter_no_change": 3, "max_iter": 9}
    assert line(**common).stopped == "max_iter"
    result = line(X_val=[[0.0]], Y_val=[0.0], **common)
    assert (result.stopped, result.n_iter) == ("tol", 4)
    assert result.theta.tolist() == [0, 0]


# The callback


@DTYPES
def test_the_callback_is_told_of_each_step(dtype, backend):
    told_of = []

    def callback(told):
        told_of.append((told, told.theta.copy()))
        assert not told.theta.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            told.theta[0] = 1

    result = descend(
        XNOR_X.astype(dtype), X_val=XNOR_X, Y_val=XNOR_Y, callback=callback, backend=backend
    )
    assert [told.step for told, _ in told_of] == [1, 2, 3, 4, 5]
    for name in HISTORY:
        values = [
            getattr(told, name.removesuffix("s") + "s" * name.endswith("s")) for told, _ in told_of
        ]
        assert values == result.history[name].tolist()
    assert told_of[-1][1].tobytes() == result.theta.tobytes()
    assert (
        told_of[0][1].tobytes()
        == descend(XNOR_X.astype(dtype), max_iter=1, backend=backend).theta.tobytes()
    )


def test_the_callback_is_told_nan_where_there_are_no_validation_data():
    seen = []
    descend(callback=lambda told: seen.append(told.validation_cost))
    assert len(seen) == 5
    assert all(math.isnan(cost) for cost in seen)


def test_a_callback_does_not_change_the_bits():
    assert same(descend(), descend(callback=lambda told: None))


def test_an_error_in_the_callback_is_passed_on():
    def fail(told):
        raise LookupError("of the user's own")

    with pytest.raises(LookupError, match="of the user's own"):
        descend(callback=fail)


# Runs that diverge


def diverge(**others):
    """b <- b - 1e60 (b - 1): the cost overflows after a few steps."""
    given = {"learning_rate": 1e60, "max_iter": 50, **others}
    with pytest.raises(DivergedError) as caught:
        line(**given)
    return caught.value


def test_a_run_that_diverges_raises_with_the_step_and_advice(backend):
    """|b| is 1e60, 1e120, 1e180 after steps 1, 2 and 3, and 1e180 squared is too much."""
    error = diverge(backend=backend)
    assert (error.step, error.epoch) == (3, 3)
    message = str(error)
    assert "The cost stopped being finite at step 3 (inf)." in message
    assert "The learning rate 1e+60 is probably too large: try 1e+59" in message
    assert "this error's .theta" in message
    assert isinstance(error, ArithmeticError)


def test_a_run_that_diverges_leaves_its_last_parameters_with_a_finite_cost(backend):
    error = diverge(backend=backend)
    assert set(error.history) == HISTORY
    assert error.history["cost"].shape == (3,)
    assert np.isfinite(error.history["cost"]).all()
    J, _ = LINE.cost_and_gradient(error.theta, [[0.0]], [1.0], backend=backend)
    assert math.isfinite(J)
    assert error.history["cost"][-1] == J
    assert error.theta[1] == pytest.approx(-1e120, rel=1e-12)


def test_a_run_that_diverges_on_its_very_last_step_raises_too(backend):
    error = diverge(max_iter=3, backend=backend)
    assert error.step == 3
    assert error.theta[1] == pytest.approx(-1e120, rel=1e-12)
    result = line(learning_rate=1e60, max_iter=2, backend=backend)
    assert result.stopped == "max_iter"
    assert math.isfinite(result.cost)


@DTYPES
def test_a_network_that_diverges_raises(dtype, backend):
    network = Network((2, 3, 1), hidden="identity", output="identity")
    with pytest.raises(DivergedError) as caught:
        descend(
            XNOR_X.astype(dtype), network=network, learning_rate=10, max_iter=500, backend=backend
        )
    error = caught.value
    assert error.theta.dtype == dtype
    assert np.isfinite(error.theta).all()
    assert error.step == len(error.history["cost"])
    J, _ = network.cost_and_gradient(error.theta, XNOR_X.astype(dtype), XNOR_Y, backend=backend)
    assert error.history["cost"][-1] == J


def test_a_diverged_error_survives_pickling():
    error = diverge()
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is DivergedError
    assert str(copy) == str(error)
    assert (copy.step, copy.epoch) == (error.step, error.epoch)
    assert copy.theta.tobytes() == error.theta.tobytes()
    assert copy.history["cost"].tobytes() == error.history["cost"].tobytes()


@pytest.mark.parametrize(
    "others",
    [
        {"learning_rate": 1e60},  # the cost overflows
        {"b": 1e150, "learning_rate": 1e200},  # the step itself does
        {"y": 1e150, "learning_rate": 1e308},
    ],
)
def test_a_run_that_diverges_leaves_no_warning_behind(others, backend):
    """Under `python -W error` a RuntimeWarning would come in place of the DivergedError."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        diverge(backend=backend, **others)


def test_the_norm_of_a_very_large_gradient_is_right_and_warns_of_nothing(backend):
    """J = 5e305 for x = 1e3, w = 1e150; dJ/dw = 1e156, whose square float64 does not hold."""
    result = descend(
        [[1e3]],
        [0.0],
        LINE,
        theta=np.array([1e150, 0.0]),
        learning_rate=1e-12,
        max_iter=1,
        backend=backend,
    )
    assert result.history["gradient_norm"][0] == pytest.approx(1e156, rel=1e-5)


def test_initial_parameters_without_a_finite_cost_are_refused_with_advice(backend):
    with pytest.raises(ValueError, match="The cost of the initial parameters is inf") as caught:
        line(b=1e200, backend=backend)
    assert caught.type is ValueError
    assert "scale X" in str(caught.value)
    assert "or pass smaller initial parameters" in str(caught.value)


# The same seed, the same bits


def fingerprint_by_definition(network, theta):
    """SHA-256 over shape, dtype and little-endian bytes of W[1], b[1], W[2], ..."""
    digest = hashlib.sha256()
    start = 0
    for n_in, n_out in itertools.pairwise(network.sizes):
        for shape in [(n_out, n_in), (n_out,)]:
            size = math.prod(shape)
            values = theta[start : start + size]
            kind = {"float64": "<f8", "float32": "<f4"}[values.dtype.name]
            digest.update(f"{shape} {kind} ".encode())
            digest.update(b"".join(np.array(v, dtype=kind).tobytes() for v in values))
            start += size
    assert start == theta.size
    return digest.hexdigest()


@DTYPES
@pytest.mark.parametrize("network", [NETWORK, Network((2, 1)), Network((2, 3, 4, 1))])
def test_the_fingerprint_is_that_of_shapes_dtypes_and_bytes(network, dtype):
    result = descend(XNOR_X.astype(dtype), network=network)
    assert result.fingerprint == fingerprint_by_definition(network, result.theta)


@DTYPES
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(dtype, backend):
    X, Y = random_data(20)
    first, again, other = (
        descend(X.astype(dtype), Y, seed=seed, backend=backend) for seed in (5, 5, 6)
    )
    assert same(first, again)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert descend(X.astype(dtype), Y, backend=backend).fingerprint == (
        descend(X.astype(dtype), Y, seed=0, backend=backend).fingerprint
    )


def test_parameters_from_a_seed_are_those_of_initial_parameters():
    theta = NETWORK.initial_parameters(seed=9)
    assert same(descend(seed=9), descend(theta=theta))
    assert same(descend(seed=1, theta=theta), descend(seed=2, theta=theta))


def fingerprints_of_many_runs(kernels_first):
    """Of each activation and output in both dtypes; perhaps after calls of single kernels."""
    if kernels_first:
        call_kernels_by_themselves()
    found = {}
    for backend, dtype, hidden, output in itertools.product(
        ("loops", "numpy"), ("float64", "float32"), HIDDEN_UNITS, OUTPUT_UNITS
    ):
        network = Network((3, 5, 4, 2), hidden=(hidden, "tanh"), output=output)
        X, Y = random_data(1100 if hidden == "tanh" else 40, n_in=3)
        Y = Y if output == "softmax" else np.array([Y, 1 - Y])
        common = {"max_iter": 3, "learning_rate": 0.1, "alpha": 0.1, "backend": backend}
        result = descend(X.astype(dtype), Y, network, **common)
        found[f"{backend} {dtype} {hidden} {output}"] = [result.fingerprint, result.cost.hex()]
    return found


def call_kernels_by_themselves():
    """Each of the layer's kernels, before the passes that are made of them."""
    for dtype in (np.float64, np.float32):
        W, b, A, Z, s = (np.ones(n, dtype) for n in ((3, 2), 3, (2, 4), (3, 4), 4))
        affine_loops(W, b, A, Z)
        for unit in UNITS.values():
            activate_loops(unit.code, Z, Z)
        for name in HIDDEN_UNITS:
            derive_loops(UNITS[name].code, Z, Z, Z)
        for name in OUTPUT_UNITS:
            of = default_for(name).for_kernels(3), UNITS[name].code
            cost_sum_loops(*of, Z, Z.copy(), s)
            output_gradient_loops(*of, Z, Z.copy(), Z.copy(), s, Z)
        parameter_gradient_loops(Z, A, W, b)
        input_gradient_loops(W, Z, A)


@pytest.mark.proof
@pytest.mark.compiled
def test_bits_are_the_same_whether_kernels_are_compiled_or_kept_and_whatever_ran_before(tmp_path):
    """Of two copies of a helper a process uses the one it loaded first: both must be alike."""
    compiled, kept, after_others = (
        processes.result_of(
            fingerprints_of_many_runs,
            kernels_first,
            env={"NUMBA_CACHE_DIR": tmp_path, "PYTHONHASHSEED": seed},
        )
        for kernels_first, seed in [(False, "1"), (False, "2"), (True, "3")]
    )
    assert kept == compiled
    assert after_others == compiled
    assert fingerprints_of_many_runs(False) == compiled


# Weights and penalty


@DTYPES
def test_whole_weights_are_repeated_samples(dtype, backend):
    X, Y = random_data(6)
    times = np.array([1, 2, 0, 3, 1, 2])
    X = X.astype(dtype)
    weighted = descend(X, Y, sample_weight=times, alpha=0.3, backend=backend)
    repeated = descend(np.repeat(X, times, axis=1), np.repeat(Y, times), alpha=0.3, backend=backend)
    close = {"rtol": 0, "atol": 50 * np.finfo(dtype).eps}
    np.testing.assert_allclose(weighted.theta, repeated.theta, **close)
    np.testing.assert_allclose(weighted.history["cost"], repeated.history["cost"], **close)


@DTYPES
def test_a_weight_of_zero_leaves_the_sample_out(dtype, backend):
    X, Y = random_data(6)
    X = X.astype(dtype)
    kept = np.array([True, True, False, True, False, True])
    weighted = descend(X, Y, sample_weight=kept, backend=backend)
    left_out = descend(X[:, kept], Y[kept], backend=backend)
    close = {"rtol": 0, "atol": 50 * np.finfo(dtype).eps}
    np.testing.assert_allclose(weighted.theta, left_out.theta, **close)
    np.testing.assert_allclose(weighted.history["cost"], left_out.history["cost"], **close)


def test_weights_count_by_their_ratios_alone(backend):
    X, Y = random_data(5)
    weights = np.array([1, 2, 3, 4, 5.0])
    one = descend(X, Y, sample_weight=weights, backend=backend)
    other = descend(X, Y, sample_weight=8 * weights, backend=backend)
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-13)


def test_alpha_shrinks_the_weights(backend):
    X, Y = random_data(20)
    norms = []
    for alpha in (0.0, 1.0, 5.0, 25.0):
        result = descend(X, Y, alpha=alpha, max_iter=100, backend=backend)
        norms.append(sum(np.square(W).sum() for W, _ in NETWORK.views(result.theta)))
    assert norms[0] > norms[1] > norms[2] > norms[3] > 0


def test_alpha_leaves_biases_alone():
    """With x = 0 and b at its best, only the penalty moves anything: w, by 1 - eta alpha a step."""
    result = line(theta=np.array([1.0, 1.0]), alpha=0.5, learning_rate=0.5, max_iter=3)
    assert result.theta.tolist() == [0.75**3, 1.0]


# The plan


def test_the_plan_says_which_backend_and_that_it_was_asked_for(backend):
    X, Y = random_data(1025)
    plan = descend(X, Y, max_iter=1, backend=backend).plan
    assert (plan.backend, plan.n_threads, plan.chunk_samples) == (backend, 1, 1024)
    assert plan.n_chunks == 2
    assert f"backend {backend}: as asked" in plan.why
    assert "threads 1: " in plan.why


@pytest.mark.parametrize("n_samples", [1, 10_001])
def test_the_backend_left_to_the_engine_is_the_tiled_one(n_samples):
    plan = descend(np.zeros((1, n_samples)), np.zeros(n_samples), Network((1, 1)), max_iter=1).plan
    assert plan.backend == "tiled"
    assert "backend tiled: the fastest" in plan.why


def test_the_backend_left_to_the_engine_computes_what_the_plan_says():
    X, Y = random_data(50)
    result = descend(X, Y)
    assert result.fingerprint == descend(X, Y, backend=result.plan.backend).fingerprint


def test_a_numpy_true_from_the_callback_stops_the_run_too():
    """Which is what comparing two arrays' entries gives."""
    assert line(callback=lambda told: np.float64(told.step) >= 3, max_iter=9).n_iter == 3


def fingerprint_of_a_wide_run(dtype):
    X, Y = random_data(2000, n_in=20)
    network = Network((20, 100, 1))
    result = descend(X.astype(dtype), Y, network, max_iter=5, learning_rate=0.1, backend="numpy")
    return [result.fingerprint, result.cost.hex()]


@pytest.mark.proof
@pytest.mark.compiled
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bits_do_not_depend_on_the_number_of_threads_that_blas_may_use(dtype):
    one, two = (
        processes.result_of(fingerprint_of_a_wide_run, dtype, env={"OPENBLAS_NUM_THREADS": n})
        for n in ("1", "2")
    )
    assert one == two


def blas_threads():
    return [
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    ]


def test_blas_has_its_threads_back_after_overlapping_runs():
    before = blas_threads()
    first, second = one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert all(count == 1 for count in blas_threads())
    second.__exit__(None, None, None)
    assert blas_threads() == before
