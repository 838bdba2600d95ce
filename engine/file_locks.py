"""A lock on a file: one process at a time, and free again when that process ends, however it ends.

By flock on POSIX: unlike record locks it does not end with the first descriptor closed, and unlike
a file that is there or not it does not outlive a process that was killed.
"""

import os
import sys
from pathlib import Path


class InUse(Exception):
    """Another process holds the lock, or another run of this one."""


class FileLock:
    """Held from when it is made until `release`. Raises InUse, or OSError where it cannot be made.

    The lock is a file of its own, which is removed with it. A process forked from the holder
    shares the lock, and cannot release it.
    """

    _descriptor = -1

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process = os.getpid()
        try:
            while self._descriptor < 0:
                self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NOT_INHERITED, 0o666)
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
        """Let others have it."""
        if self._descriptor >= 0 and self._process == os.getpid():
            try:
                if sys.platform != "win32":  # where open files cannot be removed
                    self._path.unlink(missing_ok=True)
            except OSError:
                pass  # a folder that has become read-only: an empty file stays behind
            finally:
                self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:  # Ctrl-C may come before anyone could release it
        self._close()


if sys.platform == "win32":
    import msvcrt

    _NOT_INHERITED = os.O_NOINHERIT

    def _lock(descriptor: int) -> None:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            raise InUse from None
else:
    import fcntl

    _NOT_INHERITED = os.O_CLOEXEC

    def _lock(descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse from None
