"""A lock on a file, for one process at a time; it is released however that process ends.

On POSIX it is a flock: unlike a record lock, it does not end when any descriptor of the file is
closed; and unlike a file whose existence is the lock, it does not outlive a killed process.
"""

import os
import sys
import weakref
from pathlib import Path

from engine.system.regular_files import open_regular


class InUse(Exception):
    """Another process holds the lock, or another run in this process."""


_held: "weakref.WeakSet[FileLock]" = weakref.WeakSet()


class FileLock:
    """Held from its creation until `release`. Raises InUse, or OSError if it cannot be made.

    The lock is a separate file, which `release` removes if it is empty. A process that is forked
    from the holder does not hold it.
    """

    _descriptor = -1

    def __init__(self, path: Path) -> None:
        self._path = path
        _held.add(self)
        try:
            while self._descriptor < 0:
                self._descriptor = open_regular(path, os.O_RDWR | os.O_CREAT)
                _lock(self._descriptor)
                if not self._is_at_path():  # the holder before removed it in between: once more
                    self._close()
        except BaseException:
            self._close()
            raise

    def _is_at_path(self) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._descriptor))

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor >= 0:
            try:
                is_ours = os.fstat(self._descriptor).st_size == 0  # not some program's own file
                if is_ours and sys.platform != "win32":  # where open files cannot be removed
                    self._path.unlink(missing_ok=True)
            except OSError:
                pass  # a folder that has become read-only: an empty file stays behind
            finally:
                self._close()

    def leave_to_parent(self) -> None:
        """In a forked child: the lock stays the parent's, and ends with it."""
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:  # Ctrl-C may come before anyone could release it
        self._close()


def _leave_all_to_parent() -> None:
    for lock in list(_held):
        lock.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all_to_parent)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            raise InUse from None
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse from None
