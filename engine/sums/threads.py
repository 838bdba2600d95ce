"""How many threads a computation uses, and threads that share the work of the calling thread.

`threading.Thread.start`, and so `ThreadPoolExecutor`, waits until the new thread reports that it
runs. If memory runs out before that, it waits forever. Here nobody waits for a thread that has not
started.
"""

import _thread
import math
import os
import queue
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from engine.system import control_groups

# Multiply-adds of one evaluation from which a second thread pays: about a millisecond of work,
# against the tens of microseconds that it takes to hand chunks to threads.
PAYS_FROM = 50_000_000


class Threads(NamedTuple):
    """A number of threads, and why that one."""

    number: int
    why: str


def usable_cores() -> int:
    """Cores that this process may use, by its affinity and the CPU quota of its control groups."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    granted = min(map(quota, control_groups.folders("cpu")), default=math.inf)
    return max(1, math.ceil(min(cores, granted)))


def quota(group: Path) -> float:
    """The CPU quota of a control group (version 2 or 1), in cores; infinity if it has none."""
    try:
        if (group / "cpu.max").exists():
            granted, period = (group / "cpu.max").read_text().split()
        else:
            granted = (group / "cpu.cfs_quota_us").read_text()
            period = (group / "cpu.cfs_period_us").read_text()
        return float(granted) / float(period) if float(granted) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # no such files, "max", or nonsense
        return math.inf


def most_threads() -> int:
    """The most threads to use by default: the usable cores, or OMP_NUM_THREADS if that is less.

    joblib sets that variable in its worker processes, so that together they do not use too many
    threads. In a list, with a number for each level of nested parallelism, the first one counts.
    """
    cores = usable_cores()
    try:
        return max(1, min(cores, int(os.environ["OMP_NUM_THREADS"].split(",")[0])))
    except (KeyError, ValueError):
        return cores


def choose(asked: int | None, multiply_adds: int, n_chunks: int) -> Threads:
    """As many threads as asked for, else as many as are worth it for an evaluation of that size."""
    if asked is not None:
        return Threads(asked, "as asked")
    if n_chunks == 1:
        return Threads(1, "all samples of a step fit into one chunk")
    if multiply_adds < PAYS_FROM:
        return Threads(
            1, f"{multiply_adds:,} multiply-adds a step are fewer than the {PAYS_FROM:,} that pay"
        )
    most = most_threads()  # it reads files, so not for small work
    return Threads(min(most, n_chunks), f"{n_chunks} chunks, {most} usable cores")


class Task:
    """A call for a thread of a team; it is dropped if no thread has started it by `finish`."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._taken = _thread.allocate_lock()
        self._ended = _thread.allocate_lock()
        self._ended.acquire()
        self._error: BaseException | None = None

    def run(self) -> None:
        """Make the call, unless a thread has started it already or `finish` was called."""
        if not self._taken.acquire(blocking=False):
            return
        try:
            self._call()
        except BaseException as error:
            self._error = error
        finally:
            self._ended.release()

    def finish(self) -> BaseException | None:
        """Wait for the call to end if a thread has started it, else drop it.

        Returns the exception that it raised, or None.
        """
        if self._taken.acquire(blocking=False):
            self._ended.release()
        with self._ended:  # Ctrl-C comes through
            pass
        error, self._error = self._error, None  # its traceback holds the task
        return error


class ThreadTeam:
    """A team of threads, as many as tasks were handed out at once; they end with this object.

    Parameters
    ----------
    prepare : callable, optional
        What each thread calls first.
    """

    def __init__(self, prepare: Callable[[], None] = lambda: None) -> None:
        self._prepare = prepare
        self._begun = 0
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        weakref.finalize(self, self._tasks.put, None)

    def hand_out(self, calls: Sequence[Callable[[], None]]) -> list[Task]:
        """A task for each call, for the threads to take on.

        If no thread could be started for a task, its `finish` drops it.
        """
        tasks = [Task(call) for call in calls]
        for task in tasks:
            self._tasks.put(task)
        # No memory or no thread left, or the process is about to end: fewer share the work.
        with suppress(RuntimeError, MemoryError):
            while self._begun < len(tasks):
                _thread.start_new_thread(_serve, (self._tasks, self._prepare))
                self._begun += 1
        return tasks


def _serve(tasks: "queue.SimpleQueue[Task | None]", prepare: Callable[[], None]) -> None:
    with suppress(MemoryError):  # this thread ends; whoever hands out tasks does not wait for it
        prepare()
        while (task := tasks.get()) is not None:
            task.run()
            del task  # what it holds is not kept while this thread waits
        tasks.put(None)  # for the next thread
