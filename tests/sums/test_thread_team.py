"""Threads that share a pass: nobody waits for one that has not begun, and errors come through."""

import _thread
import threading
import time

import numpy as np
import pytest

from engine import Network
from engine.sums.chunks import Total
from engine.sums.thread_team import ThreadTeam

NETWORK = Network((3, 5, 2))


def evaluated(n_threads):
    X = np.random.default_rng(0).standard_normal((3, 5000))
    theta = NETWORK.initial_parameters()
    objective = NETWORK.objective(X, np.abs(np.sin(X[:2])), backend="numpy", n_threads=n_threads)
    cost, dtheta = objective.cost_and_gradient(theta)
    return cost, dtheta.tobytes()


def cannot_start(*arguments):
    raise RuntimeError("can't start new thread")


def has_no_memory(*arguments):
    raise MemoryError


def refused(*arguments):
    raise OSError


def dies_before_it_begins(*arguments):
    """As a thread does for which there is no memory left."""
    return 1


@pytest.mark.parametrize("start", [cannot_start, has_no_memory, dies_before_it_begins])
def test_work_goes_on_without_threads_that_do_not_begin(monkeypatch, start):
    expected = evaluated(1)
    monkeypatch.setattr(_thread, "start_new_thread", start)
    assert evaluated(3) == expected


def test_work_goes_on_without_a_thread_that_dies_as_it_prepares():
    team = ThreadTeam(has_no_memory)
    done = []
    tasks = team.hand_out([lambda: done.append(1), lambda: done.append(2)])
    assert [task.finish() for task in tasks] == [None, None]
    assert done == []


def test_no_thread_begins_where_the_process_may_map_no_memory(monkeypatch):
    expected = evaluated(1)
    monkeypatch.setattr(
        "engine.system.free_memory.mmap.mmap", lambda *arguments: (_ for _ in ()).throw(OSError)
    )
    monkeypatch.setattr(_thread, "start_new_thread", lambda *arguments: pytest.fail("a thread"))
    assert evaluated(3) == expected


@pytest.mark.parametrize("method", ["next_chunk", "add"])
@pytest.mark.parametrize("in_helper", [True, False])
def test_no_thread_waits_for_a_turn_that_memory_has_ended_before(monkeypatch, method, in_helper):
    caller, original = threading.get_ident(), getattr(Total, method)
    failed = threading.Event()

    def failing(total, *arguments):
        if (threading.get_ident() != caller) == in_helper and not failed.is_set():
            failed.set()
            raise MemoryError
        if not in_helper or failed.wait(60):
            return original(total, *arguments)
        return None

    monkeypatch.setattr(Total, method, failing)
    began = time.monotonic()
    with pytest.raises(MemoryError):
        evaluated(3)
    assert time.monotonic() - began < 30


def test_who_lacks_the_memory_to_wake_the_others_is_noticed_all_the_same(monkeypatch):
    total = Total(0, 2)
    waiting = threading.Thread(target=total.add, args=(1, 0.0, np.empty(0)))
    monkeypatch.setattr("engine.sums.chunks.MOST_ASIDE", 0)
    waiting.start()
    monkeypatch.setattr(total._turn, "notify_all", has_no_memory)
    total.give_up()
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_task_ends_once_and_gives_its_error_once():
    team, called = ThreadTeam(), []

    def fails():
        called.append(threading.get_ident())
        raise KeyError("x")

    (task,) = team.hand_out([fails])
    end = time.monotonic() + 30
    while not called and time.monotonic() < end:
        time.sleep(0.001)
    assert isinstance(task.finish(), KeyError)
    assert task.finish() is None
    task.run()
    assert len(called) == 1
    assert called[0] != threading.get_ident()


def test_a_team_begins_no_more_threads_than_it_has_tasks_at_once():
    before = _thread._count()
    team = ThreadTeam()
    for number in (1, 2, 1, 2):
        for task in team.hand_out([lambda: time.sleep(0.01)] * number):
            task.finish()
        assert _thread._count() <= before + 2
    del team, task
    end = time.monotonic() + 30
    while _thread._count() > before and time.monotonic() < end:
        time.sleep(0.005)
    assert _thread._count() <= before
