"""Child processes that faults happen to: forked, so that the kernels are there at once.

What a child does at the moment, it says in memory that it shares with its parent.
"""

import contextlib
import mmap
import os
import pickle
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from engine.training import checkpoint_files

COMPUTING, WRITING, RENAMING = range(3)
CELL = struct.Struct("<id")


class Ended(NamedTuple):
    """How a child ended: what its function returned, or raised, and the warnings on the way."""

    value: Any
    error: BaseException | None
    warned: list[str]


class Child:
    """A forked process that calls a function; pickled, what comes of it lies in a file."""

    def __init__(self, function: Callable[[], Any], folder: Path) -> None:
        self._shared = mmap.mmap(-1, CELL.size)
        self.say(COMPUTING, time.monotonic())
        descriptor, name = tempfile.mkstemp(dir=folder, prefix="ended-")
        os.close(descriptor)
        self._outcome = Path(name)
        sys.stdout.flush()
        self._over = False
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until there is who minds it
        self.pid = os.fork()
        if not self.pid:
            self._be(function)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def say(self, phase: int, kept: float) -> None:
        """What goes on, and of which time the state on the disk is."""
        self._shared[: CELL.size] = CELL.pack(phase, kept)

    @property
    def said(self) -> tuple[int, float]:
        """The same for the parent."""
        phase, kept = CELL.unpack(self._shared[: CELL.size])
        return phase, kept

    def _be(self, function: Callable[[], Any]) -> None:
        """In the child."""
        status = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            with warnings.catch_warnings(record=True) as caught, slow_writes(self):
                warnings.simplefilter("always")
                try:
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
                    ended = Ended(function(), None, [])
                    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
                except BaseException as error:
                    ended = Ended(None, error, [])
            ended = ended._replace(warned=[str(one.message) for one in caught])
            self._outcome.write_bytes(pickle.dumps(ended))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def ended(self, wait: float = 600.0) -> bool:
        """Whether it has ended, after so many seconds at most."""
        deadline = time.monotonic() + wait
        while not self._over:
            pid, self.status = os.waitpid(self.pid, os.WNOHANG)
            self._over = bool(pid)
            if not pid and time.monotonic() >= deadline:
                return False
            time.sleep(0.0005)
        return True

    def kill(self) -> tuple[int, float]:
        """End it at once; in which phase, and how many seconds of work are not on the disk."""
        if not self.ended(0.0):  # else the number may be another process's by now
            os.kill(self.pid, signal.SIGKILL)
        now = time.monotonic()
        self.ended()
        phase, kept = self.said
        return phase, now - kept

    def interrupt(self) -> None:
        """Ctrl-C."""
        if not self.ended(0.0):
            os.kill(self.pid, signal.SIGINT)

    @property
    def outcome(self) -> Ended:
        """What came of it; a child that ended by itself has left it."""
        content = self._outcome.read_bytes()
        if not content:
            return Ended(None, RuntimeError(f"the process ended by status {self.status}"), [])
        ended: Ended = pickle.loads(content)  # by our own child
        return ended


def struck(
    function: Callable[[], Any],
    folder: Path,
    times: int,
    seconds: float,
    generator: np.random.Generator,
) -> Iterator[Child]:
    """Children, one after the other, at random moments of their work; none after one has ended.

    Of a function that takes so many seconds, most is left each time, so that the next child has
    something to do.
    """
    for _ in range(times):
        child = Child(function, folder)
        if child.ended(generator.uniform(0.0, seconds / times)):
            return
        yield child


def outcome_of(function: Callable[[], Any], folder: Path) -> Ended:
    """What comes of a function in a child that nothing happens to from outside."""
    child = Child(function, folder)
    child.ended()
    return child.outcome


@contextlib.contextmanager
def slow_writes(child: Child) -> Iterator[None]:
    """Let writing a checkpoint take some milliseconds, and say what goes on."""
    write, fsync, replace = checkpoint_files.write, os.fsync, Path.replace

    def slow_write(path: Path, saved: Any) -> None:
        began = time.monotonic()
        _, kept = child.said
        child.say(WRITING, kept)
        write(path, saved)
        child.say(COMPUTING, began)

    def slow_fsync(descriptor: int) -> None:
        time.sleep(0.002)
        fsync(descriptor)

    def slow_replace(path: Path, target: Path) -> Path:
        renamed = replace(path, target)
        if str(target).endswith(checkpoint_files.PREVIOUS):  # the other one comes next
            child.say(RENAMING, child.said[1])
            time.sleep(0.002)
        return renamed

    with (
        mock.patch("engine.training.checkpoint.write", slow_write),
        mock.patch.object(os, "fsync", slow_fsync),
        mock.patch.object(Path, "replace", slow_replace),
    ):
        yield
