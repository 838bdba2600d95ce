"""BLAS has one thread while a fit uses it, in any Python thread, and its own number afterwards."""

import contextlib
import os
import sys
import threading

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  # brings a BLAS of its own
import threadpoolctl
from joblib import Parallel, delayed

from engine import Checkpoint, MLPRegressor, Network, train
from engine.sums import blas
from engine.sums.blas import hold_blas, one_blas_thread
from engine.sums.workers import ArrayWorker

pytestmark = pytest.mark.compiled

THREADS_OF_BLAS = 3  # whatever the machine has
WIDE = Network((66, 68, 65, 44), ["tanh", "tanh"], "identity")
BY_BLAS = [{"solver": "lbfgs"}, {"solver": "adam", "backend": "numpy", "batch_size": 100}]


def numbers():
    """How many threads each BLAS uses."""
    found = threadpoolctl.threadpool_info()
    return [library["num_threads"] for library in found if library["user_api"] == "blas"]


def set_by_user(number):
    """A limit that nobody takes back, set by this thread."""
    for library in threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers:
        getattr(library, "clear_controlling_thread", lambda force: None)(force=True)
        library.set_num_threads(number)


@pytest.fixture(autouse=True)
def several_threads_of_blas():
    before = numbers()
    set_by_user(THREADS_OF_BLAS)  # which makes this the one thread that threadpoolctl listens to
    if set(numbers()) != {THREADS_OF_BLAS}:
        pytest.skip("a BLAS that takes no number of threads")
    yield
    after = numbers()
    set_by_user(max(before))
    assert after == [THREADS_OF_BLAS] * len(before)


def data():
    random = np.random.default_rng(0)
    return random.standard_normal((66, 300)), random.standard_normal((44, 300))


def in_thread(call, *arguments, **named):
    """What a call returns in a thread of its own."""
    returned = []
    thread = threading.Thread(target=lambda: returned.append(call(*arguments, **named)))
    thread.start()
    thread.join()
    return returned[0]


@contextlib.contextmanager
def held_by_another_thread():
    """Another thread holds BLAS at one thread until the block ends."""
    begun, end = threading.Event(), threading.Event()

    def hold():
        with one_blas_thread():
            begun.set()
            end.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert begun.wait(60)
    try:
        yield
    finally:
        end.set()
        thread.join()


def trained(solver="lbfgs", **settings):
    """The bits of a run, and how many threads BLAS had in it."""
    within = []

    def look(told):
        within.extend(numbers())

    settings = {"max_iter": 4, "n_threads": 1, **settings}
    result = train(WIDE, *data(), solver=solver, **settings, callback=look)
    assert within
    return result.fingerprint, set(within)


@pytest.mark.sample(1)
@pytest.mark.parametrize("settings", BY_BLAS)
def test_a_run_has_the_same_bits_in_any_thread_and_gives_blas_its_threads_back(settings):
    here = trained(**settings)
    assert here[1] == {1}
    assert numbers() == [THREADS_OF_BLAS] * len(numbers())
    for _ in range(2):
        assert in_thread(trained, **settings) == here
        assert numbers() == [THREADS_OF_BLAS] * len(numbers())


@pytest.mark.sample(1)
@pytest.mark.parametrize("settings", BY_BLAS)
def test_runs_in_a_pool_of_threads_have_the_bits_of_runs_alone(settings):
    alone = trained(**settings)
    found = Parallel(n_jobs=3, backend="threading")(delayed(trained)(**settings) for _ in range(6))
    assert found == [alone] * 6


@pytest.mark.sample(1)
@pytest.mark.filterwarnings("ignore::UserWarning")  # it has not converged
@pytest.mark.parametrize("settings", BY_BLAS)
def test_an_estimator_fits_to_the_same_bits_in_any_thread(settings):
    X, Y = data()
    settings = {name: value for name, value in settings.items() if name != "batch_size"}

    def fitted():
        return MLPRegressor(
            hidden_layer_sizes=(68, 65), max_iter=4, random_state=0, **settings
        ).fit(X.T, Y.T)

    assert fitted().fingerprint_ == in_thread(fitted).fingerprint_


@pytest.mark.sample(1)
@pytest.mark.parametrize("settings", BY_BLAS)
def test_a_checkpoint_of_one_thread_is_gone_on_with_in_another(settings, tmp_path):
    whole = trained(max_iter=8, **settings)[0]
    told = {"checkpoint": Checkpoint(tmp_path / "run.ckpt", epochs=1), "n_threads": 1, **settings}

    def stop(at):
        if at.epoch == 4:
            raise KeyboardInterrupt

    assert train(WIDE, *data(), max_iter=8, callback=stop, **told).stopped == "interrupted"
    assert in_thread(train, WIDE, *data(), max_iter=8, **told).fingerprint == whole


@pytest.mark.parametrize("where", ["here", "in a thread"])
def test_a_limit_of_the_users_own_is_left_as_it_was_found(where):
    call = trained if where == "here" else lambda: in_thread(trained)
    expected = trained()
    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        assert call() == expected
        assert set(numbers()) == {2}
    assert set(numbers()) == {THREADS_OF_BLAS}


def test_a_limit_that_another_thread_takes_back_during_a_run_changes_no_bit():
    """As scikit-learn's KMeans does when it ends; then its number is the one to be left."""
    expected = trained(solver="lbfgs")[0]
    set_by_user(1)  # by somebody whose limit ends in the midst of the run

    def take_back(told):
        if told.epoch == 1:
            in_thread(set_by_user, THREADS_OF_BLAS)
            assert set(numbers()) == {THREADS_OF_BLAS}

    result = train(WIDE, *data(), solver="lbfgs", max_iter=4, n_threads=1, callback=take_back)
    assert result.fingerprint == expected


def test_blas_is_held_again_before_each_use():
    with one_blas_thread():
        in_thread(set_by_user, 2)
        assert set(numbers()) == {2}
        hold_blas()
        assert set(numbers()) == {1}


def test_the_last_of_several_holders_gives_blas_its_threads_back():
    with contextlib.ExitStack() as another:
        with one_blas_thread():
            another.enter_context(held_by_another_thread())
        assert set(numbers()) == {1}
    assert set(numbers()) == {THREADS_OF_BLAS}


def test_without_a_controlling_thread_in_threadpoolctl_it_is_the_same(monkeypatch):
    """Before 3.8, every thread might set the number."""
    controller = threadpoolctl.OpenBLASController
    if not hasattr(controller, "clear_controlling_thread"):
        pytest.skip("this is such a version")
    monkeypatch.delattr(controller, "clear_controlling_thread")
    monkeypatch.setattr(controller, "set_num_threads", controller._real_set_num_threads)
    assert in_thread(trained) == trained()


def test_a_number_of_threads_that_cannot_be_set_is_said(monkeypatch):
    for kind in (threadpoolctl.OpenBLASController, threadpoolctl.MKLController):
        monkeypatch.setattr(kind, "set_num_threads", lambda library, number: None)
    with (
        pytest.warns(RuntimeWarning, match=r"number of threads of BLAS .* could not be set to 1\."),
        one_blas_thread(),
    ):
        pass


class OneForEachThread:
    """A BLAS whose number of threads is a setting of the thread that calls, such as MKL."""

    user_api, internal_api, filepath = "blas", "mkl", "libmkl"

    def __init__(self):
        self._of_thread = threading.local()

    def get_num_threads(self):
        return getattr(self._of_thread, "number", 4)

    def set_num_threads(self, number):
        self._of_thread.number = number


def test_a_blas_that_counts_for_each_thread_is_limited_in_each_and_given_back_by_each(monkeypatch):
    library = OneForEachThread()
    monkeypatch.setattr(blas, "_libraries", lambda: [library])

    def held():
        with one_blas_thread():
            within = library.get_num_threads()
        return within, library.get_num_threads()

    with one_blas_thread():
        assert library.get_num_threads() == 1
        assert in_thread(library.get_num_threads) == 4
        assert in_thread(held) == (1, 4)
    assert library.get_num_threads() == 4


def test_threads_that_share_a_pass_by_numpy_limit_such_a_blas_too(monkeypatch):
    library = OneForEachThread()
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(blas, "_libraries", lambda: [library])
    X = np.random.default_rng(0).standard_normal((3, 3 * 1024))  # a chunk for each thread
    objective = Network((3, 1)).objective(X, X[:1] > 0, backend="numpy", n_threads=3)
    run, meeting = ArrayWorker.run, threading.Barrier(3)

    def looking(worker, *arguments):
        meeting.wait(60)
        seen.append((threading.get_ident(), library.get_num_threads()))
        return run(worker, *arguments)

    monkeypatch.setattr(ArrayWorker, "run", looking)
    with one_blas_thread():
        objective.cost_and_gradient(np.zeros(4))
    assert len({ident for ident, _ in seen}) == 3
    assert {number for _, number in seen} == {1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_of_a_fork_in_the_midst_of_anothers_run_has_its_threads_of_blas():
    with held_by_another_thread():
        child = os.fork()
        if child == 0:
            os._exit(0 if set(numbers()) == {THREADS_OF_BLAS} else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_blas_is_looked_for_again_only_when_modules_were_imported(monkeypatch):
    looks = []

    class Counted(threadpoolctl.ThreadpoolController):  # type: ignore[misc]
        def __init__(self):
            looks.append(1)
            super().__init__()

    with one_blas_thread():
        pass  # whatever was imported before
    monkeypatch.setattr(threadpoolctl, "ThreadpoolController", Counted)
    with one_blas_thread():
        assert not looks
    monkeypatch.setitem(sys.modules, "a_module_that_loads_a_blas", sys)
    with one_blas_thread():
        assert len(looks) == 1
