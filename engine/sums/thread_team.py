"""Threads that share the work of the calling thread.

`threading.Thread.start`, and so `ThreadPoolExecutor`, waits until the new thread reports that it
runs. If memory runs out before that, it waits forever. Here nobody waits for a thread that has not
started (docs/decisions/0036-thread-team.md).
"""

import _thread
import queue
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any


class Task:
    """A call for a thread of a team; it is dropped if no thread has started it by `finish`."""

    def __init__(self, call: Callable[[], Any]) -> None:
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

    def hand_out(self, calls: Sequence[Callable[[], Any]]) -> list[Task]:
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
