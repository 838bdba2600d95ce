"""A control group with a hard limit of memory, the cache of the files that it reads included.

The system itself enforces it: beyond it, files are dropped from the cache, and where that does not
help, processes are killed.
"""

import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

from engine.system import control_groups

LIMIT = ("memory.max", "memory.limit_in_bytes")
PEAK = ("memory.peak", "memory.max_usage_in_bytes")
SWAP = ("memory.swap.max", "memory.swappiness")
numbers = itertools.count()


class NoGroup(Exception):
    """No group can be made here; the message says why."""


@contextlib.contextmanager
def memory_group(most: int) -> Iterator[Path]:
    """The folder of a group that may hold so many bytes; its processes must have ended in the end.

    Raises
    ------
    NoGroup
        Where this process may not make one: mostly, without the rights of root.
    """
    folder = _made(f"engine-{os.getpid()}-{next(numbers)}")
    try:
        _set(folder, LIMIT, most)
        with contextlib.suppress(NoGroup):
            _set(folder, SWAP, 0)
        yield folder
    finally:
        for _ in range(50):  # a process that has just ended is still counted for a moment
            try:
                folder.rmdir()
                break
            except OSError:
                time.sleep(0.1)


def enter(folder: Path | str) -> None:
    """Put this process into the group: what it allocates and reads from now on counts."""
    Path(folder, "cgroup.procs").write_text(f"{os.getpid()}\n")


def peak(folder: Path) -> int:
    """The most bytes that the group has held; files that could have been dropped count."""
    for name in PEAK:
        if (folder / name).exists():
            return int((folder / name).read_text())
    raise NoGroup("this system does not tell how much a group has held")


def forget(path: Path) -> None:
    """Take a file out of the system's cache, so that who reads it next is charged for it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _made(name: str) -> Path:
    """A group within this process's own, or as near as a limit can be set.

    In version 2 that is above it: groups with processes of their own have none with limits below.
    """
    reasons = []
    for above in control_groups.folders("memory"):
        folder = above / name
        try:
            folder.mkdir()
        except OSError as error:
            reasons.append(f"{above}: {error.strerror}")
            continue
        if any((folder / limit).exists() for limit in LIMIT):
            return folder
        folder.rmdir()
        reasons.append(f"{above}: no limit of memory can be set below it")
    raise NoGroup("; ".join(reasons) or "this system has no control groups")


def _set(folder: Path, names: tuple[str, ...], value: int) -> None:
    reason = "there is none"
    for name in names:
        if (folder / name).exists():
            try:
                (folder / name).write_text(f"{value}\n")
                return
            except OSError as error:
                reason = f"{error.strerror}"
    raise NoGroup(f"{folder / names[0]} cannot be set: {reason}")
