"""Threads that take work over from the thread that calls, where they can be had.

`threading.Thread.start`, and so `ThreadPoolExecutor`, waits until the new thread says that it runs:
for ever, where memory ends before it can say so. Here nobody waits for a thread that has not begun.
"""

import _thread
import queue
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress


class Task:
    """A call that a thread of a team takes on, if one is free before `finish`."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._taken = _thread.allocate_lock()
        self._ended = _thread.allocate_lock()
        self._ended.acquire()
        self._error: BaseException | None = None

    def run(self) -> None:
        """Call it, unless somebody has, or `finish` came before."""
        if not self._taken.acquire(blocking=False):
            return
        try:
            self._call()
        except BaseException as error:
            self._error = error
        finally:
            self._ended.release()

    def finish(self) -> BaseException | None:
        """Wait until it has ended, if a thread has begun it; if none has, none will.

        Returns what it raised.
        """
        if self._taken.acquire(blocking=False):
            self._ended.release()
        with self._ended:  # Ctrl-C comes through
            pass
        error, self._error = self._error, None  # its traceback holds the task
        return error


class ThreadTeam:
    """As many threads as were given tasks at once so far; they end with this object.

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

        A task that no thread could be begun for is left to its `finish`.
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
