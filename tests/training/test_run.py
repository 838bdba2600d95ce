"""engine/training/run.py: the loop of every run, and many runs in turns."""

import math
import os
import signal
import threading

import numpy as np
import pytest

from engine import Network, train
from engine.equations.backends import BACKENDS
from engine.solvers.lbfgs import Abandoned, Asked, Exchange
from engine.solvers.solver import SOLVERS, Problem
from engine.solvers.state import Settings, new_state
from engine.sums.samples import Samples
from engine.training.run import Run, begin
from engine.training.watch import TrainingWatch

N_SAMPLES = 200
NETWORK = Network((3, 6, 1), output="identity")
X = np.random.default_rng(0).normal(size=(3, N_SAMPLES))
Y = np.sin(X[:1]) + X[1:2] * X[2:]
RATE = 0.01


def run_of(name: str, max_iter: int, seed: int = 0, backend: str = "tiled") -> Run[TrainingWatch]:
    """A run as `train` begins it, but not advanced."""
    solver = SOLVERS[name]
    full = int(solver.full_batch)
    settings = Settings(
        update=solver.update_for(0.9, True),
        batch_size=N_SAMPLES if full else 32,
        shuffle=1 - full,
        learning_rate=RATE,
        momentum=0.9,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        full_batch=full,
    )
    problem = Problem(BACKENDS[backend], NETWORK.layers, Samples(X, Y), 0.0, 1)
    start = NETWORK.initial_parameters(seed=seed)
    state = new_state(start, settings, N_SAMPLES, seed, ordered=not full)
    watch = TrainingWatch(None, math.inf, None, solver.full_batch, "")
    return Run(begin(solver, problem, state, settings, watch).solver, watch, None, max_iter)


def alone(name: str, max_iter: int, seed: int, backend: str) -> np.ndarray:
    theta: np.ndarray = train(
        NETWORK,
        X,
        Y,
        solver=name,
        batch_size=32,
        learning_rate=RATE,
        max_iter=max_iter,
        seed=seed,
        backend=backend,
    ).theta
    return theta


@pytest.mark.parametrize("backend", ["tiled", "numpy"])
def test_runs_advanced_in_turns_have_the_bits_of_each_alone(monkeypatch, backend):
    """Two of each solver, of different lengths, by one scheduler; a turn takes few steps."""
    monkeypatch.setattr("engine.training.watch.SECONDS_OF_AN_ADVANCE", 0.0)
    asked = [(name, 3 + 2 * n, n) for n in range(2) for name in SOLVERS]
    waiting = {number: run_of(*one, backend=backend) for number, one in enumerate(asked)}
    ended: dict[int, str] = {}
    order = []
    runs = dict(waiting)
    while waiting:
        for number, run in list(waiting.items()):
            order.append(number)
            if (reason := run.advance()) is not None:
                ended[number] = reason
                run.solver.close()
                del waiting[number]
    assert order[: len(asked)] == list(range(len(asked)))
    assert len(order) > 3 * len(asked)
    assert set(ended.values()) == {"max_iter"}
    for number, (name, max_iter, seed) in enumerate(asked):
        assert runs[number].solver.n_iter == runs[number].watch.n_iter == max_iter
        expected = alone(name, max_iter, seed, backend)
        np.testing.assert_array_equal(runs[number].solver.theta, expected, err_msg=name)


def test_an_lbfgs_run_that_is_left_alone_leaves_no_thread(recwarn):
    """The thread of SciPy's loop ends with the run, also if nobody closes it."""
    import _thread
    import gc
    import time

    before = _thread._count()
    for _ in range(2):
        run = run_of("lbfgs", 10)
        run.advance()
        assert _thread._count() == before + 1
        del run
        gc.collect()
        end = time.monotonic() + 10
        while _thread._count() > before and time.monotonic() < end:
            time.sleep(0.01)
        assert _thread._count() == before


def test_an_error_of_scipys_loop_is_the_callers(monkeypatch):
    def fail(*arguments, **options):
        raise MemoryError("no room for its matrices")

    monkeypatch.setattr("engine.solvers.lbfgs.minimize", fail)
    with pytest.raises(MemoryError, match="no room for its matrices"):
        run_of("lbfgs", 5).to_its_end()
    with pytest.raises(MemoryError, match="no room for its matrices"):
        run_of("lbfgs", 5).advance()


def no_thread(function, arguments):
    raise RuntimeError("can't start new thread")


def test_where_no_thread_can_begin_lbfgs_says_so(monkeypatch):
    monkeypatch.setattr("engine.solvers.lbfgs._thread.start_new_thread", no_thread)
    assert run_of("lbfgs", 5).to_its_end() == "max_iter"  # alone, it needs none
    with pytest.raises(MemoryError, match="The thread that L-BFGS runs in could not be started"):
        run_of("lbfgs", 5).advance()


@pytest.mark.parametrize("lost", [0, 3])
def test_a_thread_that_ends_without_a_word_is_noticed(monkeypatch, lost):
    """Without memory a new thread ends before its first line, and a later one before it can say."""
    monkeypatch.setattr("engine.solvers.lbfgs.CHECK_SECONDS", 0.01)
    ended = threading.Event()

    def loop(evaluate, start, callback, options):
        for _ in range(lost):
            evaluate(start)
        ended.set()
        raise Abandoned  # in silence

    def never_runs(function, arguments):
        assert lost == 0

    monkeypatch.setattr("engine.solvers.lbfgs.minimise", loop)
    if lost == 0:
        monkeypatch.setattr("engine.solvers.lbfgs._thread.start_new_thread", never_runs)
    run = run_of("lbfgs", 5)
    with pytest.raises(MemoryError, match="The thread that L-BFGS runs in has ended: free memory"):
        run.advance()
    assert ended.is_set() == (lost > 0)


def test_without_memory_for_a_thread_none_is_started(monkeypatch):
    run = run_of("lbfgs", 5)
    with monkeypatch.context() as patched:
        patched.setattr("engine.solvers.lbfgs.can_map", lambda n_bytes: False)
        with pytest.raises(MemoryError, match="too little memory left for the thread of L-BFGS"):
            run.advance()
    assert run.to_its_end() == "max_iter"


def test_what_a_thread_says_as_it_ends_is_heard(monkeypatch):
    """Between the end of a wait and the look whether the thread is there."""
    monkeypatch.setattr("engine.solvers.lbfgs.CHECK_SECONDS", 0.01)
    exchange = Exchange(np.zeros(2), {})

    def ended():
        exchange._question = Asked(None, None, "the result")
        exchange._asked.release()

    exchange.alive = ended
    assert exchange.wait().result == "the result"


def test_a_run_whose_thread_could_not_begin_may_be_advanced_again(monkeypatch):
    run = run_of("lbfgs", 5)
    with monkeypatch.context() as patched:
        patched.setattr("engine.solvers.lbfgs._thread.start_new_thread", no_thread)
        with pytest.raises(MemoryError):
            run.advance()
    run.advance()
    run.to_its_end()
    assert run.solver.theta.tobytes() == alone("lbfgs", 5, 0, "tiled").tobytes()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_cannot_advance_its_parents_run(monkeypatch):
    monkeypatch.setattr("engine.solvers.lbfgs.CHECK_SECONDS", 0.01)
    run = run_of("lbfgs", 50)
    run.advance()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(20)
            run.advance()
        except RuntimeError as error:
            os._exit(7 if "belongs to the process that began it" in str(error) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert run.to_its_end() == "max_iter"


def test_a_run_that_was_closed_is_not_advanced():
    run = run_of("lbfgs", 10)
    run.advance()
    run.solver.close()
    with pytest.raises(RuntimeError, match="this run was closed"):
        run.to_its_end()


@pytest.mark.parametrize("name", SOLVERS)
def test_a_run_that_was_advanced_goes_to_its_end_with_the_same_bits(name):
    run = run_of(name, 7)
    run.advance()
    run.to_its_end()
    assert run.solver.theta.tobytes() == alone(name, 7, 0, "tiled").tobytes()
