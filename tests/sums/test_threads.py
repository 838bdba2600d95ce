"""Threads: the same bits on any number of them, as many as asked for, and none left behind."""

import _thread
import contextlib
import functools
import gc
import itertools
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from engine import Network, train
from engine.equations.backends import BACKENDS
from engine.sums import thread_count, thread_team
from engine.sums.chunks import ChunkSums
from engine.sums.samples import Samples
from engine.sums.thread_count import PAYS_FROM, choose, most_threads, quota, usable_cores
from engine.sums.thread_team import ThreadTeam
from engine.sums.workers import ArrayWorker, TiledWorker
from engine.system import control_groups
from tests import processes

THREADS = (1, 2, 3, 5, 8)
CHUNK = 1024
NETWORK = Network((3, 5, 2), hidden="tanh", output="sigmoid")
NINE_CHUNKS = 8 * CHUNK + 300  # the last one short: more chunks than the most threads
TIMEOUT = 60  # seconds; what takes longer hangs


posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@pytest.fixture(autouse=True)
def no_hanging():
    """A test that waits for ever fails, where the system has alarms."""

    def hangs(number, frame):
        raise TimeoutError("hangs")

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, hangs)
    signal.setitimer(signal.ITIMER_REAL, 3 * TIMEOUT, 5)  # time to compile, and again and again
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@functools.cache
def problem(network=NETWORK, n_samples=NINE_CHUNKS, dtype="float64", seed=0):
    """Inputs, targets of the kind that the output unit takes, and weights, some of them 0."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(network.sizes[0], n_samples)).astype(dtype)
    n_out = network.sizes[-1]
    if network.output == "softmax":
        Y = random.integers(0, n_out, n_samples)
    elif network.output == "exp":
        Y = random.poisson(1.5, (n_out, n_samples)).astype(float)
    elif network.output == "identity":
        Y = random.normal(size=(n_out, n_samples))
    else:
        Y = (random.random((n_out, n_samples)) < 0.5).astype(float)
    weights = random.uniform(0, 2, n_samples)
    weights[::7] = 0
    for array in (X, Y, weights):
        array.flags.writeable = False
    return X, Y, weights


def bits(result):
    """All of a result that must not depend on threads."""
    history = {name: column.tobytes() for name, column in result.history.items()}
    del history["seconds"]
    return result.fingerprint, result.theta.tobytes(), result.cost, result.n_iter, history


def fit(network=NETWORK, n_samples=NINE_CHUNKS, dtype="float64", weighted=True, seed=0, **others):
    X, Y, weights = problem(network, n_samples, dtype, seed)
    told = {"solver": "gd", "learning_rate": 0.05, "max_iter": 2, "backend": "tiled", **others}
    return train(network, X, Y, sample_weight=weights if weighted else None, **told)


def evaluated(objective, network=NETWORK):
    """J, its gradient and J alone, as bits."""
    theta = network.initial_parameters(seed=1, dtype=objective.samples.X.dtype)
    J, dtheta = objective.cost_and_gradient(theta)
    return J, dtheta.tobytes(), objective.cost(theta)


def objective_of(n_threads, backend="numpy", n_samples=NINE_CHUNKS):
    X, Y, weights = problem(NETWORK, n_samples)
    return NETWORK.objective(X, Y, sample_weight=weights, backend=backend, n_threads=n_threads)


# The same bits


RUNS = [
    {"solver": "gd"},
    {"solver": "gd", "alpha": 0.5, "weighted": False},
    {"solver": "lbfgs"},
    {"solver": "lbfgs", "alpha": 0.5, "weighted": False, "n_samples": 5001},
    {"solver": "sgd", "batch_size": None},
    {"solver": "sgd", "batch_size": 3000, "alpha": 0.5},
    {"solver": "sgd", "batch_size": 2500, "nesterov": False, "n_samples": 5001},
    {"solver": "sgd", "batch_size": 2500, "momentum": 0.0, "shuffle": False},
    {"solver": "sgd", "batch_size": 300},
    {"solver": "adam", "batch_size": None, "alpha": 0.5},
    {"solver": "adam", "batch_size": 8500, "weighted": False},
    {"solver": "adam", "batch_size": CHUNK + 1, "n_samples": 5 * CHUNK + 1},
]


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "run", RUNS, ids=lambda run: "-".join(str(value) for value in run.values())
)
def test_training_has_the_same_bits_on_any_number_of_threads(run, dtype):
    alone, *others = (bits(fit(dtype=dtype, n_threads=n, **run)) for n in THREADS)
    assert others == [alone] * len(others)


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "network",
    [
        NETWORK,
        Network((2, 1)),
        Network((4, 3), output="softmax"),
        Network((1, 9, 7, 2), hidden=("relu", "sigmoid"), output="identity"),
        Network((20, 17, 1), hidden="relu", output="exp"),
    ],
    ids=lambda network: "-".join(map(str, network.sizes)),
)
def test_an_evaluation_has_the_same_bits_on_any_number_of_threads(network, dtype, backend):
    for n_samples, weighted in [(NINE_CHUNKS, True), (2 * CHUNK, False), (CHUNK + 1, True)]:
        X, Y, weights = problem(network, n_samples, dtype)
        theta = network.initial_parameters(seed=1, dtype=dtype)
        found = set()
        for n_threads in THREADS:
            J, dtheta = network.cost_and_gradient(
                theta,
                X,
                Y,
                sample_weight=weights if weighted else None,
                alpha=0.5,
                backend=backend,
                n_threads=n_threads,
            )
            found.add((J, dtheta.tobytes()))
        assert len(found) == 1


@pytest.mark.compiled
def test_training_of_each_backend_has_the_same_bits_on_any_number_of_threads(backend):
    for solver, batch_size in [("gd", None), ("adam", 2500), ("sgd", 700)]:
        told = {"solver": solver, "batch_size": batch_size, "backend": backend, "max_iter": 1}
        assert len({bits(fit(n_threads=n, **told))[0] for n in THREADS}) == 1


@pytest.mark.compiled
@pytest.mark.parametrize("n_threads", [2, 3])
def test_a_forward_pass_has_the_same_bits_on_any_number_of_threads(n_threads, monkeypatch, backend):
    X, _, _ = problem(n_samples=2 * n_threads * CHUNK)
    theta = NETWORK.initial_parameters(seed=1)
    expected = NETWORK.forward(theta, X, backend).tobytes()
    monkeypatch.setattr(thread_count, "PAYS_FROM", 0)
    monkeypatch.setattr(thread_count, "most_threads", lambda: n_threads)
    with running(TiledWorker, ArrayWorker, at_once=n_threads) as seen:
        assert NETWORK.forward(theta, X, backend).tobytes() == expected
    assert len(seen) == n_threads


def test_sums_are_added_in_the_order_of_the_chunks_whichever_is_done_first(monkeypatch):
    """1e16 + 1 - 1e16 is 0 and 1e16 - 1e16 + 1 is 1: in that order, the first done last."""

    def slow(theta, sizes, units, loss, A, Y, s):
        time.sleep({0: 0.06, 1: 0.03, 2: 0}[int(A[1, 0])])
        return float(A[0, 0])

    def slow_gradient(theta, sizes, units, loss, A, dZ, Y, s, dtheta):
        dtheta[:] = slow(theta, sizes, units, loss, A, Y, s)
        return float(A[0, 0])

    backend = BACKENDS["numpy"]._replace(cost_pass=slow, gradient_pass=slow_gradient)
    for values, total in [((1e16, 1, -1e16), 0), ((1e16, -1e16, 1), 1), ((1, -1e16, 1e16), 0)]:
        X = np.repeat([values, range(3)], CHUNK, axis=1)
        sums = ChunkSums(backend, Network((2, 1)).layers, Samples(X, X[:1]), n_threads=3)
        assert sums.cost(np.zeros(3)) == total
        cost, gradient = sums.cost_and_gradient(np.zeros(3))
        assert (cost, gradient.tolist()) == (total, [total] * 3)


def test_the_cut_does_not_depend_on_the_number_of_threads(monkeypatch):
    cuts = []
    for n_threads in THREADS:
        cut: list[tuple[int, int]] = []

        def noted(worker, task, theta, order, first, last, activations, cut=cut):
            cut.append((first, last))
            worker.gradient_sum[:] = 0
            return 0.0

        monkeypatch.setattr(ArrayWorker, "run", noted)
        evaluated(objective_of(n_threads))
        cuts.append(sorted(cut))
    assert len(cuts[0]) == 2 * 9
    assert cuts == cuts[:1] * len(cuts)


def fingerprints(n_threads):
    """Of runs whose products BLAS would share among its own threads, and of their costs."""
    wide = Network((60, 64, 3), hidden="relu", output="softmax")
    found = []
    for backend, (solver, batch_size) in itertools.product(
        BACKENDS, [("gd", None), ("lbfgs", None), ("adam", 2200), ("sgd", 500)]
    ):
        told = {"backend": backend, "solver": solver, "batch_size": batch_size, "max_iter": 1}
        result = fit(wide, 2 * CHUNK + 300, n_threads=n_threads, alpha=0.1, **told)
        found.append((result.fingerprint, result.cost.hex(), result.history["cost"][0].hex()))
    return found


@pytest.mark.proof
@pytest.mark.compiled
def test_fresh_processes_train_to_the_same_bits_whatever_their_threads_and_those_of_blas():
    found = [
        processes.result_of(fingerprints, n_threads, env={"OPENBLAS_NUM_THREADS": of_blas})
        for n_threads, of_blas in [(1, "1"), (3, "1"), (2, "2")]
    ]
    assert found == found[:1] * len(found)


# As many threads as asked for


@contextlib.contextmanager
def running(*kinds, at_once=1):
    """The threads that run chunks. Each chunk waits until as many run at once."""
    seen, patch = set(), pytest.MonkeyPatch()
    meeting = threading.Barrier(at_once)

    def patched(run):
        def noted(worker, *arguments):
            seen.add(threading.get_ident())
            meeting.wait(TIMEOUT)
            return run(worker, *arguments)

        return noted

    for kind in kinds:
        patch.setattr(kind, "run", patched(kind.run))
    with patch.context():
        yield seen
    patch.undo()


@pytest.mark.parametrize("n_threads", THREADS)
def test_as_many_threads_run_chunks_as_were_asked_for(n_threads):
    with running(ArrayWorker, at_once=n_threads) as seen:
        objective = objective_of(n_threads, n_samples=n_threads * CHUNK)
        evaluated(objective)
    assert len(seen) == n_threads
    assert objective.threads == (n_threads, "as asked")


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("solver", "batch_size"), [("gd", None), ("sgd", 3 * CHUNK), ("adam", None)]
)
def test_training_runs_chunks_on_as_many_threads_as_were_asked_for(solver, batch_size):
    told = {"solver": solver, "batch_size": batch_size, "n_threads": 3, "max_iter": 1}
    with running(TiledWorker, at_once=3) as seen:
        result = fit(n_samples=6 * CHUNK, **told)
    assert len(seen) == 3
    assert result.plan.n_threads == 3
    assert "threads 3: as asked" in result.plan.why


def test_one_thread_is_the_callers_own():
    with running(ArrayWorker) as seen:
        evaluated(objective_of(1))
    assert seen == {threading.get_ident()}


def test_more_threads_than_chunks_start_no_more_than_there_are_chunks(team_threads):
    objective = objective_of(1000, n_samples=2 * CHUNK)
    assert evaluated(objective) == evaluated(objective_of(1, n_samples=2 * CHUNK))
    assert team_threads() == 1  # and the caller's


REFUSED = [
    (0, ValueError, r"^n_threads must be at least 1; got 0\.$"),
    (-1, ValueError, r"^n_threads must be at least 1; got -1\.$"),
    (1.5, TypeError, r"^n_threads must be a whole number; got 1\.5\.$"),
    (True, TypeError, r"^n_threads must be a whole number; got True\.$"),
    ("2", TypeError, r"^n_threads must be a whole number; got '2'\.$"),
]


@pytest.mark.parametrize(("n_threads", "kind", "message"), REFUSED)
def test_a_bad_number_of_threads_is_refused(n_threads, kind, message):
    X, Y = np.zeros((3, 4)), np.zeros((2, 4))
    theta = NETWORK.initial_parameters()
    for call in (
        lambda: NETWORK.cost_and_gradient(theta, X, Y, n_threads=n_threads),
        lambda: NETWORK.objective(X, Y, n_threads=n_threads),
        lambda: train(NETWORK, X, Y, n_threads=n_threads),
    ):
        with pytest.raises(kind, match=message):
            call()


def test_a_whole_number_of_numpy_is_a_number_of_threads():
    assert objective_of(np.int64(2)).threads == (2, "as asked")


# As many threads as pay


def version_2(folder, text):
    (folder / "cpu.max").write_text(text)
    return folder


def version_1(folder, granted, period):
    (folder / "cpu.cfs_quota_us").write_text(granted)
    (folder / "cpu.cfs_period_us").write_text(period)
    return folder


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 1.5),
        ("50000 100000\n", 0.5),
        ("max 100000\n", math.inf),
        ("", math.inf),
        ("200000", math.inf),
        ("many few\n", math.inf),
        ("-1 100000\n", math.inf),
        ("1 2 3\n", math.inf),
        ("nan 100000\n", math.inf),
        ("200000 0\n", math.inf),
    ],
)
def test_a_quota_of_version_2_is_read_and_nonsense_is_no_limit(tmp_path, text, cores):
    assert quota(version_2(tmp_path, text)) == cores


@pytest.mark.parametrize(
    ("granted", "period", "cores"),
    [
        ("300000\n", "100000\n", 3),
        ("25000\n", "50000\n", 0.5),
        ("-1\n", "100000\n", math.inf),
        ("few\n", "100000\n", math.inf),
        ("", "", math.inf),
        ("1000", "0", math.inf),
    ],
)
def test_a_quota_of_version_1_is_read_and_nonsense_is_no_limit(tmp_path, granted, period, cores):
    assert quota(version_1(tmp_path, granted, period)) == cores


def test_no_control_group_is_no_limit(tmp_path):
    assert quota(tmp_path) == math.inf
    assert quota(tmp_path / "nowhere") == math.inf
    version_1(tmp_path, "300000", "100000")
    (tmp_path / "cpu.cfs_period_us").unlink()
    assert quota(tmp_path) == math.inf


@pytest.mark.parametrize(
    ("allowed", "text", "cores"),
    [
        (8, "max 100000", 8),
        (8, "250000 100000", 3),  # a part of a core is one more thread
        (8, "10000 100000", 1),
        (2, "800000 100000", 2),
        (1, "max 100000", 1),
    ],
)
def test_usable_cores_are_those_of_the_affinity_within_the_quota(
    tmp_path, monkeypatch, allowed, text, cores
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(allowed)), raising=False)
    monkeypatch.setattr(control_groups, "folders", lambda controller: [version_2(tmp_path, text)])
    assert usable_cores() == cores


def test_the_least_that_a_group_or_one_above_it_grants_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    texts = {"inner": "max 100000", "middle": "300000 100000", "outer": "600000 100000"}
    for name in texts:
        (tmp_path / name).mkdir()
    groups = [version_2(tmp_path / name, text) for name, text in texts.items()]
    for order in (groups, groups[::-1]):
        monkeypatch.setattr(control_groups, "folders", lambda controller, order=order: order)
        assert usable_cores() == 3


def test_usable_cores_without_affinity_are_all(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(control_groups, "folders", lambda controller: [])
    for count, cores in [(6, 6), (None, 1)]:
        monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
        assert usable_cores() == cores


@pytest.mark.parametrize(
    ("variable", "most"),
    [
        (None, 4),
        ("3", 3),
        ("1", 1),
        ("99", 4),
        ("0", 1),
        ("-2", 1),
        ("few", 4),
        ("", 4),
        ("2.5", 4),
        ("2,1", 2),
        (",", 4),
    ],
)
def test_omp_num_threads_lowers_the_most_threads(monkeypatch, variable, most):
    monkeypatch.setattr(thread_count, "usable_cores", lambda: 4)
    if variable is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert most_threads() == most


def test_without_a_number_work_and_cores_decide(monkeypatch):
    monkeypatch.setattr(thread_count, "most_threads", lambda: 4)
    assert choose(None, PAYS_FROM, 9) == (4, "9 chunks, 4 usable cores")
    assert choose(None, PAYS_FROM, 3) == (3, "3 chunks, 4 usable cores")
    assert choose(None, PAYS_FROM - 1, 9) == (
        1,
        "49,999,999 multiply-adds a step are fewer than the 50,000,000 that pay",
    )
    assert choose(None, 100 * PAYS_FROM, 1) == (1, "all samples of a step fit into one chunk")
    assert choose(7, 1, 1) == (7, "as asked")


def test_the_plan_says_why_small_work_stays_on_one_thread(monkeypatch):
    monkeypatch.setattr(thread_count, "most_threads", lambda: 4)
    few = fit(n_samples=10, backend="numpy")
    assert few.plan.n_threads == 1
    assert "threads 1: all samples of a step fit into one chunk" in few.plan.why
    with running(ArrayWorker) as seen:
        small = fit(backend="numpy")
    assert seen == {threading.get_ident()}
    assert small.plan.n_threads == 1
    assert "threads 1: " in small.plan.why
    assert "multiply-adds a step are fewer than the 50,000,000 that pay" in small.plan.why


def test_the_plan_says_why_large_work_is_shared(monkeypatch):
    monkeypatch.setattr(thread_count, "most_threads", lambda: 4)
    monkeypatch.setattr(thread_count, "PAYS_FROM", 1000)
    with running(ArrayWorker, at_once=4) as seen:
        result = fit(n_samples=8 * CHUNK, backend="numpy")
    assert len(seen) == 4
    assert result.plan.n_threads == 4
    assert "threads 4: 8 chunks, 4 usable cores" in result.plan.why


@pytest.mark.parametrize("n_threads", [None, 3])
@pytest.mark.parametrize(("batch_size", "used"), [(300, 1), (2 * CHUNK, 2)])
def test_the_plan_counts_the_threads_that_a_batch_has_work_for(
    monkeypatch, batch_size, used, n_threads
):
    """Not those that all samples would have."""
    monkeypatch.setattr(thread_count, "most_threads", lambda: 3)
    monkeypatch.setattr(thread_count, "PAYS_FROM", 1)
    told = {"solver": "sgd", "batch_size": batch_size, "max_iter": 1, "n_threads": n_threads}
    assert fit(n_samples=6 * CHUNK, backend="numpy", **told).plan.n_threads == used


def test_a_step_whose_batch_is_little_work_stays_on_one_thread(monkeypatch):
    monkeypatch.setattr(thread_count, "most_threads", lambda: 3)
    monkeypatch.setattr(thread_count, "PAYS_FROM", NETWORK.layers.multiply_adds * 3 * CHUNK)
    run, of_steps = ArrayWorker.run, set()

    def noted(worker, task, theta, order, *others):
        if order.size:  # else all samples at once, for the cost in the end: that may be shared
            of_steps.add(threading.get_ident())
        return run(worker, task, theta, order, *others)

    monkeypatch.setattr(ArrayWorker, "run", noted)
    told = {"solver": "sgd", "batch_size": 2 * CHUNK, "max_iter": 1}
    fit(n_samples=6 * CHUNK, backend="numpy", **told)
    assert of_steps == {threading.get_ident()}


# Errors and Ctrl-C


@contextlib.contextmanager
def failing(error, at=3 * CHUNK, kind=ArrayWorker):
    """One chunk raises; those after it are slow, so that they are under way."""
    run = kind.run

    def broken(worker, task, theta, order, first, last, activations):
        if first == at:
            raise error
        if first > at:
            time.sleep(0.01)
        return run(worker, task, theta, order, first, last, activations)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "run", broken)
        yield


def soon(condition, seconds=1.0):
    """Whether a condition comes true within that time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


@pytest.fixture
def team_threads(monkeypatch):
    """How many threads that teams have started since still run: other threads do not count."""
    alive: list[object] = []

    def start(function, arguments):
        thread = object()

        def counted():
            try:
                function(*arguments)
            finally:
                alive.remove(thread)

        alive.append(thread)
        _thread.start_new_thread(counted, ())

    mine = SimpleNamespace(start_new_thread=start, allocate_lock=_thread.allocate_lock)
    monkeypatch.setattr(thread_team, "_thread", mine)
    return lambda: len(alive)


@pytest.mark.parametrize("error", [MemoryError("full"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("at", [0, 3, 8])
@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_after_an_error_in_a_chunk_the_next_evaluation_is_right(n_threads, at, error):
    objective = objective_of(n_threads)
    expected = evaluated(objective)
    theta = NETWORK.initial_parameters(seed=1)
    for call in (objective.cost, objective.cost_and_gradient):
        with failing(error, at * CHUNK), pytest.raises(type(error)) as raised:
            call(theta)
        assert raised.value is error
        assert evaluated(objective) == expected


@posix
@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_after_ctrl_c_no_thread_works_on_and_the_next_evaluation_is_right(n_threads):
    objective = objective_of(n_threads)
    expected = evaluated(objective)
    run, begun, under_way, pressed = ArrayWorker.run, [], set(), threading.Event()

    def slow(worker, task, theta, order, first, last, activations):
        begun.append(first)
        under_way.add(threading.get_ident())
        if first == CHUNK and not pressed.is_set():
            pressed.set()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(0.03)
        cost = run(worker, task, theta, order, first, last, activations)
        under_way.discard(threading.get_ident())
        return cost

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArrayWorker, "run", slow)
        with pytest.raises(KeyboardInterrupt):
            objective.cost_and_gradient(NETWORK.initial_parameters(seed=1))
        assert under_way <= {threading.get_ident()}
        assert len(begun) < 9
        pressed.set()
    assert evaluated(objective) == expected


def test_after_ctrl_c_while_chunks_are_handed_out_no_two_threads_share_a_worker():
    """A thread has begun, and the caller does not even know of it."""
    objective = objective_of(4)
    expected = evaluated(objective)
    hand_out, run, number = ThreadTeam.hand_out, ArrayWorker.run, itertools.count(1)
    at_work: list[ArrayWorker] = []
    shared = []

    def interrupted(team, calls):
        tasks = hand_out(team, calls)
        if next(number) == 1:
            assert soon(lambda: at_work)
            raise KeyboardInterrupt
        return tasks

    def slow(worker, *arguments):
        shared.append(worker in at_work)
        at_work.append(worker)
        time.sleep(0.05)
        cost = run(worker, *arguments)
        at_work.remove(worker)
        return cost

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArrayWorker, "run", slow)
        patch.setattr(ThreadTeam, "hand_out", interrupted)
        with pytest.raises(KeyboardInterrupt):
            objective.cost_and_gradient(NETWORK.initial_parameters(seed=1))
        assert evaluated(objective) == expected
        assert soon(lambda: not at_work)
    assert not any(shared)
    assert evaluated(objective) == expected


@pytest.mark.proof
@posix
@pytest.mark.compiled
@pytest.mark.parametrize("solver", ["gd", "adam"])
def test_ctrl_c_in_a_threaded_run_returns_its_best_and_ends_its_threads(solver, team_threads):
    run, count = TiledWorker.run, itertools.count()

    def pressed(worker, *arguments):
        if next(count) == 60:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.05)
        return run(worker, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TiledWorker, "run", pressed)
        result = fit(solver=solver, n_threads=3, max_iter=10_000)
    assert result.stopped == "interrupted"
    assert np.isfinite(result.theta).all()
    assert soon(lambda: team_threads() == 0)
    assert bits(fit(solver=solver, n_threads=3)) == bits(fit(solver=solver, n_threads=1))


# No thread is left behind


def test_threads_end_with_their_objective(team_threads):
    objective = objective_of(3)
    assert team_threads() == 0  # until there is work
    evaluated(objective)
    assert team_threads() == 2
    gc.disable()
    try:
        del objective
        assert soon(lambda: team_threads() == 0)
    finally:
        gc.enable()


@pytest.mark.proof
def test_threads_end_with_their_objective_after_an_error_too(team_threads):
    objective = objective_of(3)
    gc.disable()
    try:
        with failing(MemoryError()), contextlib.suppress(MemoryError):
            evaluated(objective)
        del objective
        assert soon(lambda: team_threads() == 0)
    finally:
        gc.enable()
        gc.collect()


@pytest.mark.sample(1)
@pytest.mark.parametrize("solver", ["gd", "adam"])
def test_threads_end_when_train_returns_or_raises(solver, team_threads):
    told = {"solver": solver, "backend": "numpy", "n_threads": 3}
    fit(**told)
    assert soon(lambda: team_threads() == 0)
    with failing(MemoryError()), pytest.raises(MemoryError):
        fit(**told)
    gc.collect()
    assert soon(lambda: team_threads() == 0)


def test_threads_of_single_evaluations_end_with_their_network(team_threads):
    X, Y, _ = problem()
    network = Network(NETWORK.sizes, hidden="tanh", output="sigmoid")
    theta = network.initial_parameters(seed=1)
    for _ in range(2):
        network.cost_and_gradient(theta, X, Y, backend="numpy", n_threads=3)
        assert team_threads() == 2
    del network
    assert soon(lambda: team_threads() == 0)


# Beside other threads and processes


def job(number):
    """A run of its own, one of several kinds, on threads of its own."""
    networks = [NETWORK, Network((4, 6, 3), output="softmax")]
    solvers = [("gd", None), ("adam", None), ("sgd", 3000)]
    network, (solver, batch_size) = networks[number % 2], solvers[number % 3]
    dtype = "float32" if number % 4 == 3 else "float64"
    told = {"solver": solver, "batch_size": batch_size, "max_iter": 3, "n_threads": 1 + number % 3}
    return bits(fit(network, dtype=dtype, seed=number, **told))


@functools.cache
def alone(n_jobs):
    return [job(number) for number in range(n_jobs)]


@pytest.mark.compiled
def test_runs_in_several_threads_at_once_have_the_bits_of_runs_alone():
    with ThreadPoolExecutor(6) as pool:
        different = list(pool.map(job, range(6), timeout=TIMEOUT))
        same = list(pool.map(job, [1] * 6, timeout=TIMEOUT))
    assert different == alone(6)
    assert same == [alone(6)[1]] * 6


@pytest.mark.compiled
def test_runs_with_numpy_in_several_threads_at_once_have_the_bits_of_runs_alone():
    told = {"backend": "numpy", "n_threads": 2, "dtype": "float32"}
    expected = bits(fit(**told))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: bits(fit(**told)), range(4), timeout=TIMEOUT))
    assert found == [expected] * 4


def most_threads_here(_):
    return most_threads()


@pytest.mark.proof
@pytest.mark.compiled
@pytest.mark.parametrize("kind", ["loky", "threading"])
def test_runs_under_joblib_have_the_bits_of_runs_alone(kind):
    joblib = pytest.importorskip("joblib")
    try:
        with joblib.Parallel(n_jobs=2, backend=kind, timeout=TIMEOUT) as parallel:
            assert parallel(joblib.delayed(job)(number) for number in range(4)) == alone(6)[:4]
    finally:
        if kind == "loky":
            joblib.externals.loky.get_reusable_executor().shutdown(wait=True)


@pytest.mark.proof
@pytest.mark.compiled
def test_processes_of_joblib_take_their_share_of_the_cores():
    joblib = pytest.importorskip("joblib")
    try:
        with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=1):
            found = joblib.Parallel(timeout=TIMEOUT)(
                joblib.delayed(most_threads_here)(number) for number in range(2)
            )
    finally:
        joblib.externals.loky.get_reusable_executor().shutdown(wait=True)
    assert found == [1, 1]


@pytest.mark.proof
@pytest.mark.compiled
def test_runs_in_spawned_processes_have_the_bits_of_runs_alone():
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(job, range(4), timeout=TIMEOUT)) == alone(6)[:4]


@pytest.mark.proof
@pytest.mark.compiled
def test_runs_under_dask_have_the_bits_of_runs_alone():
    """dask is not among the packages of the tests: this one is for those who have it."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        futures = [client.submit(job, number, pure=False) for number in range(4)]
        assert client.gather(futures) == alone(6)[:4]


def in_a_fork(function):
    """What a function returns in a child by fork; "hangs" for one that takes too long."""
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    child = fork.Process(target=lambda: sender.send(function()))
    with warnings.catch_warnings():
        # Python 3.12+: fork of a process with threads. Just that is what this is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    try:
        return receiver.recv() if receiver.poll(TIMEOUT) else "hangs"
    finally:
        child.kill()
        child.join()


def forks(backend):
    """What children find, beside what this process does: a fit, and an objective taken along."""
    told = {"backend": backend, "n_threads": 3}
    expected, before = bits(fit(**told)), objective_of(3, backend)
    evaluation = evaluated(before)  # its threads wait, here, and are not there in the child

    def child():
        twice = [evaluated(before), evaluated(before)]
        return bits(fit(**told)) == expected, twice == [evaluation] * 2

    found = [in_a_fork(child) for _ in range(2)]
    found.append((bits(fit(**told)) == expected, evaluated(before) == evaluation))
    found.append(in_a_fork(lambda: in_a_fork(child)))
    return found


def forks_during_a_run(backend):
    """The same while another thread of the parent trains; a child from a callback as well."""
    told = {"backend": backend, "n_threads": 3}
    expected, found, done = bits(fit(**told)), [], threading.Event()
    trainer = threading.Thread(
        target=lambda: fit(max_iter=100_000, callback=lambda told: done.is_set(), **told)
    )
    trainer.start()
    for _ in range(5):
        time.sleep(0.01)
        found.append(in_a_fork(lambda: bits(fit(**told)) == expected))
    done.set()
    trainer.join()

    def fork_at(told_of):
        found.append(in_a_fork(lambda: bits(fit(**told)) == expected))

    assert bits(fit(callback=fork_at, **told)) == expected
    return found


@pytest.mark.proof
@needs_fork
@pytest.mark.compiled
def test_a_child_by_fork_of_a_threaded_process_trains_to_the_same_bits(backend):
    assert processes.result_of(forks, backend) == [[True, True]] * 4


@pytest.mark.proof
@needs_fork
@pytest.mark.compiled
def test_a_child_by_fork_in_the_middle_of_a_threaded_run_trains_to_the_same_bits():
    assert processes.result_of(forks_during_a_run, "tiled") == [True] * 7


@pytest.mark.proof
@pytest.mark.compiled
def test_a_thread_may_train_on_after_the_main_thread_has_ended():
    code = (
        "import threading, time\n"
        "from tests.sums.test_threads import fit\n"
        "def run():\n"
        "    threading.main_thread().join()\n"
        "    time.sleep(0.2)\n"  # the interpreter is shutting down by now
        "    print(fit(n_threads=2).fingerprint)\n"
        "expected = fit(n_threads=1).fingerprint\n"
        "print(expected)\n"
        "threading.Thread(target=run).start()\n"
    )
    one, two = processes.output("-c", code).split()
    assert one == two
