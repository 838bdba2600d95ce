"""engine/solvers/shared_steps.py, shared_slices.py, engine/compiler/barrier.py: shared batches."""

import math
import threading
import time
from typing import Any

import numpy as np
import pytest

from engine import Network, losses
from engine.compiler import barrier
from engine.compiler.clock import nanoseconds
from engine.solvers import descent, shared_steps
from engine.solvers.shared_slices import (
    PARAMETERS_TOGETHER,
    UNITS_TOGETHER,
    descend_shared_tiled,
    part_of,
)
from engine.solvers.shared_steps import SharedSteps, can_share, threads_that_pay
from engine.solvers.slices import DIVERGED, FINISHED, UNFINISHED
from engine.solvers.state import (
    ADAM,
    COSINE,
    MOMENTUM,
    NESTEROV,
    PLAIN,
    STEPS,
    Settings,
    new_state,
)
from engine.sums.samples import Samples
from tests import cases
from tests.conftest import PASS

N_SAMPLES = 45
SHAPES = {
    "no units to share": (3, 5, 1),
    "two parts, with a rest": (10, 19, 2),
    "a wide output": (4, 17, 20),
    "three layers": (17, 16, 33, 8),
    "wide inputs": (150, 24, 3),
}
SMALL = {"no units to share", "two parts, with a rest"}


def steps_of(network, settings, dtype, n_threads, weighted=False, adapts=False):
    """Compiled steps of that many threads on drawn samples, and a state to begin with."""
    random = np.random.default_rng(1)
    X = random.standard_normal((network.sizes[0], N_SAMPLES)).astype(dtype)
    Y = random.standard_normal((network.sizes[-1], N_SAMPLES)).astype(dtype)
    weights = (np.arange(N_SAMPLES) % 3).astype(dtype) if weighted else None
    alone = descent.CompiledSteps(network.layers, Samples(X, Y, None, weights), settings.batch_size)
    theta = network.initial_parameters(0, dtype)
    state = new_state(theta, settings, N_SAMPLES, seed=2)
    return (SharedSteps(alone, n_threads, adapts) if n_threads > 1 else alone), state


def taken(steps, state, settings, pieces=(2, 3, 1, 4)):
    """All of the state and the history after some slices."""
    found = []
    for n in pieces:
        history = np.zeros((9, 2))
        found.append([steps.advance(state, settings, n, 9, history), history.tolist()])
    return found, {name: array.tolist() for name, array in state._asdict().items()}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_steps_that_threads_share_have_the_bits_of_one_thread(shape, dtype):
    if PASS == "interpreted" and shape not in SMALL:
        pytest.skip("takes minutes in Python")
    network = Network(SHAPES[shape], output="identity", loss=losses.Huber(0.5))
    for update, weighted, alpha, size in (
        (ADAM, False, 0.5, 20),
        (PLAIN, True, 0.0, 7),
        (NESTEROV, False, 0.0, N_SAMPLES),
        (MOMENTUM, True, 0.1, 1),
    ):
        settings = Settings(
            update, size, 1, 0.01, momentum=0.9, beta_1=0.9, beta_2=0.999, epsilon=1e-8, alpha=alpha
        )
        expected = None
        for n_threads in (1, 2, 3):
            steps, state = steps_of(network, settings, dtype, n_threads, weighted)
            found = taken(steps, state, settings)
            expected = expected or found
            assert found == expected
        assert state.counts[STEPS] > 0


def test_blocks_of_a_batch_are_shared_one_after_the_other():
    """So many units that a block has fewer samples than a batch."""
    if PASS == "interpreted":
        pytest.skip("takes minutes in Python")
    network = Network((9, 4000, 1), output="identity")
    settings = Settings(ADAM, N_SAMPLES, 1, 0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-8)
    alone, begun = steps_of(network, settings, "float64", 1)
    assert alone.of_run[2] < N_SAMPLES
    shared, other = steps_of(network, settings, "float64", 2)
    assert taken(shared, other, settings, (2,)) == taken(alone, begun, settings, (2,))


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_cost_that_is_not_finite_ends_all_threads_before_their_step(n_threads):
    network = Network((3, 16, 1), output="identity")
    settings = Settings(PLAIN, 20, 1, 0.01)
    steps, state = steps_of(network, settings, "float64", n_threads)
    state.theta[-1] = np.inf
    history = np.zeros((9, 2))
    assert steps.advance(state, settings, 5, 9, history) == DIVERGED
    assert (state.counts[STEPS], math.isfinite(history[0, 0])) == (0, False)


def test_epochs_end_a_slice_of_all_threads():
    network = Network((3, 16, 1), output="identity")
    settings = Settings(PLAIN, 20, 1, 0.01)
    steps, state = steps_of(network, settings, "float64", 2)
    assert steps.advance(state, settings, 100, 2, np.zeros((2, 2))) == FINISHED
    assert state.counts[STEPS] == 6


def test_a_slice_that_takes_too_long_ends_after_a_step(monkeypatch):
    network = Network((3, 16, 1), output="identity")
    settings = Settings(PLAIN, 20, 1, 0.01)
    steps, state = steps_of(network, settings, "float64", 2, adapts=True)
    steps._seconds = {1: -1.0, 2: -1.0}
    assert steps._together(state, settings, 50, np.zeros((99, 2))) == UNFINISHED
    assert state.counts[STEPS] == 1


def test_without_other_threads_the_leader_takes_the_steps_alone(monkeypatch):
    network = Network((3, 16, 1), output="identity")
    settings = Settings(PLAIN, 20, 1, 0.01)
    alone, begun = steps_of(network, settings, "float64", 1)
    expected = taken(alone, begun, settings)
    steps, state = steps_of(network, settings, "float64", 3)
    monkeypatch.setattr(steps._threads, "hand_out", lambda calls: [])
    assert taken(steps, state, settings) == expected


def test_threads_that_have_joined_are_let_go_if_nobody_leads():
    """As if Ctrl-C came before the leader could begin."""
    network = Network((3, 16, 1), output="identity")
    settings = Settings(PLAIN, 20, 1, 0.01)
    steps, state = steps_of(network, settings, "float64", 2)
    steps.advance(state, settings, 1, 9, np.zeros((9, 2)))  # compiled
    before = state.theta.copy()
    descend = steps._descend

    def interrupted(team, told, leads, *others):
        if leads:
            while team[barrier.JOINED] == 0:  # until the other thread waits for this one
                pass
            raise KeyboardInterrupt
        return descend(team, told, leads, *others)

    steps._descend = interrupted
    with pytest.raises(KeyboardInterrupt):
        steps._together(state, settings, 5, np.zeros((9, 2)))
    np.testing.assert_array_equal(state.theta, before)


# Which way is faster.


class Clock:
    """Steps that take as long as is said."""

    def __init__(self, monkeypatch, alone, together):
        self.now, self.seconds, self.taken = 0.0, {1: alone, 2: together}, []
        self.steps: Any = None
        monkeypatch.setattr("engine.solvers.shared_steps.time.perf_counter", lambda: self.now)

    def way(self, n_threads):
        def advance(state, settings, n, *others):
            self.taken.append((n_threads, n))
            self.now += n * self.seconds[n_threads]
            state.counts[STEPS] += n
            return UNFINISHED

        return advance


@pytest.fixture
def timed(monkeypatch):
    def begin(alone, together):
        network = Network((3, 16, 1), output="identity")
        settings = Settings(PLAIN, 20, 1, 0.01)
        steps, state = steps_of(network, settings, "float64", 2, adapts=True)
        clock = Clock(monkeypatch, alone, together)
        clock.steps, steps._ready = steps, True
        monkeypatch.setattr(steps._alone, "advance", clock.way(1))
        together_way = clock.way(2)
        monkeypatch.setattr(
            steps,
            "_together",
            lambda state, settings, n, rows: together_way(state, settings, n, len(rows), rows),
        )

        def slice_of(n):
            clock.taken.clear()
            steps.advance(state, settings, n, 9, np.zeros((9, 2)))
            return list(clock.taken)

        return clock, slice_of

    return begin


def past_the_beginning(slice_of):
    """Slices until the first trial is due: all on one thread."""
    for _ in range(20):  # 0.1 seconds
        assert slice_of(50) == [(1, 50)]


def test_a_short_run_takes_one_thread(timed):
    _, slice_of = timed(alone=1e-4, together=1e-9)
    past_the_beginning(slice_of)


def test_the_other_way_is_tried_and_the_faster_is_taken(timed):
    _, slice_of = timed(alone=1e-4, together=6e-5)
    past_the_beginning(slice_of)
    warm, (way, n_tried), rest = slice_of(1000)
    assert (warm, way, rest) == ((2, 1), 2, (2, 1000 - 1 - n_tried))
    assert n_tried <= 250
    assert slice_of(1000) == [(2, 1000)]  # not tried again in each slice
    _, slice_of = timed(alone=1e-4, together=3e-4)
    past_the_beginning(slice_of)
    assert [way for way, _ in slice_of(1000)] == [2, 2, 1]
    assert slice_of(1000) == [(1, 1000)]


def test_trials_become_rare_while_nothing_changes(timed):
    _, slice_of = timed(alone=1e-4, together=6e-5)
    past_the_beginning(slice_of)
    trials = [place for place in range(400) if len(slice_of(100)) > 1]
    pauses = np.diff(trials)
    assert (pauses[0], pauses.max()) == (
        shared_steps.FIRST_PAUSE + 1,
        shared_steps.LONGEST_PAUSE + 1,
    )
    assert (np.sort(pauses) == pauses).all()


def test_shared_steps_that_become_slow_are_given_up_in_the_next_slice(timed):
    clock, slice_of = timed(alone=1e-4, together=6e-5)
    past_the_beginning(slice_of)
    for _ in range(6):
        slice_of(100)
    clock.seconds[2] = 4e-4  # another program takes the other core
    assert slice_of(100) == [(2, 100)]
    assert {way for way, _ in slice_of(100)} == {1}
    assert slice_of(100) == [(1, 100)]


def test_few_steps_are_not_all_spent_on_a_trial(timed):
    _, slice_of = timed(alone=1e-4, together=6e-5)
    past_the_beginning(slice_of)
    assert sum(n for _, n in slice_of(3)) == 3
    assert sum(n for _, n in slice_of(1)) == 1


@pytest.mark.compiled
def test_a_kernel_that_has_to_be_compiled_is_made_beside_a_long_run(timed, monkeypatch):
    clock, slice_of = timed(alone=1e-4, together=6e-5)
    steps, made, may_end = clock.steps, [], threading.Event()

    def compile_kernel(signature):
        may_end.wait()
        made.append(signature)

    kernel: Any = descend_shared_tiled
    monkeypatch.setattr(kernel, "compile", compile_kernel)
    monkeypatch.setattr(kernel, "is_at_hand", lambda signature: False)
    steps._ready = False
    while clock.now < shared_steps.COMPILES_AFTER:
        assert slice_of(1000) == [(1, 1000)]
        assert steps._compiling is None
    for _ in range(9):
        assert slice_of(1000) == [(1, 1000)]
    may_end.set()
    steps._compiling.join()
    assert len(made) == 1
    assert slice_of(1000)[0] == (2, 1)


@pytest.mark.compiled
def test_the_kernel_that_is_made_is_the_one_that_is_called():
    network = Network((3, 16, 1), output="identity")
    settings = Settings(PLAIN, 20, 1, 0.01)
    steps, state = steps_of(network, settings, "float64", 2, adapts=True)
    kernel: Any = descend_shared_tiled
    history = np.zeros((9, 2))
    assert steps._together(state, settings, 1, history) == UNFINISHED
    known = set(kernel.overloads)
    assert steps._is_ready(state, settings, history)
    assert set(kernel.overloads) == known


# How many threads.

WIDE = Network((784, 256, 10)).layers


@pytest.fixture
def sixteen_cores(monkeypatch):
    monkeypatch.setattr(shared_steps, "cores_in", lambda second: 16)
    monkeypatch.setattr(shared_steps, "usable_cores", lambda: 16)


def test_as_many_threads_as_pay(sixteen_cores):
    assert threads_that_pay(None, WIDE, 256, "float32").number > 4
    assert threads_that_pay(None, Network((784, 32, 10)).layers, 256, "float32").number <= 4
    few = threads_that_pay(None, Network((20, 16, 1)).layers, 32, "float32")
    assert few.number == 1
    assert "too short to be shared" in few.why
    numbers = [threads_that_pay(None, WIDE, n, "float32").number for n in (1, 16, 64, 256, 1024)]
    assert numbers == sorted(numbers)


def test_a_number_that_is_asked_for_is_kept_if_there_are_units_and_cores_for_it(sixteen_cores):
    assert threads_that_pay(7, WIDE, 1, "float32") == (7, "as asked")
    of_units = "5 asked for, and no layer has units for more than 4"
    assert threads_that_pay(5, Network((784, 32, 10)).layers, 1, "float32") == (4, of_units)
    of_cores = "40 asked for, and 16 of the cores are usable"
    assert threads_that_pay(40, WIDE, 1, "float32") == (16, of_cores)


def test_plain_steps_on_dense_inputs_are_shared():
    X = np.zeros((784, 3))
    plain = Settings(ADAM, 20)
    assert can_share(plain, WIDE, X)
    for other in (
        {"weight_decay": 0.1},
        {"average": 0.9},
        {"clip_norm": 1.0},
        {"schedule": COSINE},
    ):
        assert not can_share(plain._replace(**other), WIDE, X)


@pytest.mark.parametrize("n", [1, 7, 8, 15, 16, 23, 100, 1000])
@pytest.mark.parametrize("together", [UNITS_TOGETHER, PARAMETERS_TOGETHER])
def test_parts_are_whole_and_cover_all(n, together):
    for n_threads in (1, 2, 3, 7, 40):
        parts = [part_of(n, together, me, n_threads) for me in range(n_threads)]
        assert [k for begin, end in parts for k in range(begin, end)] == list(range(n))
        assert parts[0][1] > 0  # thread 0 always has one
        sizes = [end - begin for begin, end in parts if end > begin]
        assert all(size >= min(n, together) for size in sizes)


# Waiting for each other.


@pytest.mark.parametrize("n_threads", [2, 3, 5])
def test_nobody_passes_a_barrier_before_all_have_come(n_threads):
    team, passed = barrier.new_team(), np.zeros((n_threads, 50), np.int64)

    def take_part(leads):
        while leads and team[barrier.JOINED] < n_threads - 1:  # however slowly threads start
            time.sleep(0)
        me = 0 if leads else barrier.join(team)
        n = barrier.lead(team, n_threads) if leads else barrier.wait_to_begin(team)
        turn = 0
        for place in range(50):
            passed[me, place] = nanoseconds()
            turn = barrier.wait(team, n, turn)
            came = passed[:n, place]
            assert came.all()  # of each thread

    errors = []

    def guarded():
        try:
            take_part(leads=False)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(n_threads - 1)]
    for thread in threads:
        thread.start()
    take_part(leads=True)
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_thread_that_is_late_is_not_waited_for():
    team = barrier.new_team()
    assert barrier.lead(team, 3) == 1
    assert barrier.join(team) == 0
    barrier.call_off(team)  # changes nothing any more
    assert barrier.wait_to_begin(team) == 1


def test_the_clock_goes_on():
    first = nanoseconds()
    while nanoseconds() == first:
        pass
    assert 0 < nanoseconds() - first < 10**9
