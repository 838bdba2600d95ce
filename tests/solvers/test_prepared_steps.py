"""Prepared steps take the steps of any other descent."""

import gc
import weakref

import numpy as np
import pytest

from engine.network import Network
from engine.solvers.descent import CompiledSteps
from engine.solvers.prepared_steps import NOT_FINITE, OVERFLOWED, PreparedSteps
from engine.solvers.slices import DIVERGED, FINISHED
from engine.solvers.state import ADAM, MOMENTUM, NESTEROV, PLAIN, SEEN, Settings, new_state
from engine.sums.samples import Samples

RATES: dict[str, float] = {
    "learning_rate": 0.05,
    "beta_1": 0.9,
    "beta_2": 0.99,
    "epsilon": 1e-8,
    "momentum": 0.8,
}
CASES: dict[str, dict[str, float]] = {
    "adam": {"update": ADAM},
    "plain": {"update": PLAIN},
    "momentum": {"update": MOMENTUM, "alpha": 0.1},
    "nesterov": {"update": NESTEROV},
    "average": {"update": ADAM, "average": 0.7, "weight_decay": 0.1},
    "plain, average": {"update": PLAIN, "average": 0.7, "clip_norm": 0.1},
}


def made(case, output="identity", sizes=(3, 4, 2), n_samples=1, batch_size=8, dtype="float64"):
    """A network, settings, a state, and steps that begin there."""
    network = Network(sizes, hidden="tanh", output=output)
    settings = Settings(
        batch_size=batch_size, shuffle=1, counts_samples=1, **{**RATES, **CASES[case]}
    )
    state = new_state(network.initial_parameters(0, dtype), settings, n_samples, seed=1)
    steps = PreparedSteps(network.layers, settings, state, None, output == "softmax")
    return network, settings, state, steps


def require_same(steps, state):
    for name, mine in steps.state._asdict().items():
        assert mine.tobytes() == getattr(state, name).tobytes(), name


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n_samples", [1, 5])
@pytest.mark.parametrize("output", ["identity", "softmax", "sigmoid"])
@pytest.mark.parametrize("case", CASES)
def test_their_bits_are_those_of_compiled_steps(case, output, n_samples, dtype):
    network, settings, state, steps = made(case, output, n_samples=n_samples, batch_size=2)
    if dtype == "float32":
        network, settings, state, steps = made(
            case, output, n_samples=n_samples, batch_size=2, dtype=dtype
        )
    generator, history = np.random.default_rng(0), np.zeros((1, 2))
    for _ in range(6):
        X = generator.standard_normal((n_samples, 3)).astype(dtype)
        targets = generator.integers(0, 2, (n_samples, 2))
        steps.X[:] = X
        steps.targets[:] = targets[:, 0] if output == "softmax" else targets
        if output == "softmax":
            samples = Samples(X.T, None, targets[:, 0].astype(np.int32))
        else:
            samples = Samples(X.T, targets.T.astype(dtype))
        compiled = CompiledSteps(network.layers, samples, settings.batch_size)
        assert compiled.advance(state, settings, n_samples, 1, history) == FINISHED
        assert steps.take() == FINISHED
        require_same(steps, state)
        assert steps.history.tobytes() == history.tobytes()


@pytest.mark.parametrize("case", CASES)
def test_a_failed_epoch_leaves_all_as_it_was(case):
    *_, steps = made(case)
    steps.X[:], steps.targets[:] = 0.5, 1.0
    for _ in range(2):
        assert steps.take() == FINISHED
    before = steps.state.copy()
    steps.X[0, 1] = np.nan
    assert steps.take() == NOT_FINITE
    require_same(steps, before)
    steps.X[0, 1], steps.targets[0, 1] = 0.5, np.inf
    assert steps.take() == NOT_FINITE
    require_same(steps, before)
    steps.targets[0, 1] = 1e200
    assert steps.take() == DIVERGED
    require_same(steps, before)
    steps.targets[0, 1] = 1.0
    assert steps.take() == FINISHED


def test_parameters_that_overflow_are_put_back_and_the_samples_are_not_seen():
    network = Network((1, 1), output="identity")
    settings = Settings(MOMENTUM, 1, learning_rate=1e300, momentum=0.5, counts_samples=1)
    state = new_state(np.array([1e5, 0.0]), settings, 1, seed=0)
    steps = PreparedSteps(network.layers, settings, state, None, False)
    steps.X[:] = 1e5
    assert steps.take() == OVERFLOWED
    assert steps.state.theta.tolist() == [1e5, 0.0]
    assert steps.state.first.tolist() == [0.0, 0.0]
    assert steps.state.counts[SEEN] == 0


def test_an_average_that_was_changed_is_where_the_parameters_go_on_from():
    *_, steps = made("plain, average")
    steps.X[:], steps.targets[:] = 0.5, 1.0
    for _ in range(3):
        steps.take()
    assert (steps.state.theta != steps.state.average).any()
    steps.state.average[:] = 0
    steps.X[:] = steps.targets[:] = 0  # the cost is 0 where all parameters are
    steps.take()
    assert not steps.state.theta.any()


def test_another_state_can_be_loaded():
    *_, state, steps = made("adam")
    steps.X[:], steps.targets[:] = 0.5, 1.0
    steps.take()
    first = steps.state.copy()
    steps.load(state)
    steps.take()
    require_same(steps, first)


def test_what_the_kernel_writes_to_lives_as_long_as_the_function_that_calls_it():
    *_, steps = made("adam")
    workspace = weakref.ref(steps._call.arguments[5].dtheta)
    take = steps.take
    del steps
    gc.collect()
    assert workspace() is not None
    assert take() == FINISHED
    del take
    gc.collect()
    assert workspace() is None
