"""Files that are written whole or not at all.

A new file has the mode that the system gives to any new file: by the umask, or by the folder's
access lists. One that replaces another gets that one's mode; before, only the user may open it.
"""

import errno
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from engine.system.regular_files import new_regular, other_kind

LONGEST = 40  # characters of a file's name that its temporary replacement's name has


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which replaces `path` once everything is on the disk.

    If anything fails before that, `path` stays as it was; an OSError says so.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "numbers.txt")
    >>> with replacing(path) as file:
    ...     _ = file.write(b"1 2 3")
    >>> path.read_bytes()
    b'1 2 3'
    >>> folder.cleanup()
    """
    target = path.resolve()  # the file that a link leads to, not the link
    if kind := other_kind(target):
        number = errno.EISDIR if target.is_dir() else errno.EINVAL
        raise OSError(number, f"{path} is {kind}, which cannot be replaced; name a file")
    mode = _mode(target)
    with _worded(path, target), _temporary_beside(target, _mode_at_first(mode)) as temporary:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(target)
    flush_folder(target.parent)


def written(file: BinaryIO, content: bytes) -> bytes:
    """Write all of a file that `replacing` gave, and read it back."""
    file.write(content)
    file.flush()
    return Path(file.name).read_bytes()


@contextmanager
def _worded(path: Path, target: Path) -> Iterator[None]:
    """Raise errors of the system with the name that the user knows, and the state of the file."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # raised by the writer, not by the system
            raise
        state = "is as it was" if target.exists() else "was not written"
        raise OSError(error.errno, f"{error.strerror}: {path} {state}") from error


@contextmanager
def _temporary_beside(target: Path, mode: int) -> Iterator[Path]:
    """A new file in the same folder, which is removed if anything goes wrong."""
    temporary = target.with_name(f".{target.name[:LONGEST]}.{uuid.uuid4().hex[:12]}.tmp")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        yield temporary
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def replace_keeping(path: Path, previous: Path, write: Callable[[BinaryIO], None]) -> None:
    """Let `write` make a new file at `path`, and keep what stood there at `previous`.

    For a file that only one process writes, again and again. If it is killed, the next process
    overwrites the unfinished file. At any moment, either the old file is still at `path`, or the
    new file is complete: at `path`, or under the name that `new_of` gives.
    """
    new = new_of(path)
    mode = _mode(path)
    descriptor = new_regular(new, _mode_at_first(mode))
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                new.chmod(mode)
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
    if path.exists():
        path.replace(previous)
    new.replace(path)
    flush_folder(path.parent)


def new_of(path: Path) -> Path:
    """The path at which the replacement of `path` is written."""
    return path.with_name(f"{path.name}.new")


def check_writable(path: Path) -> None:
    """Raise OSError or ValueError now, rather than after the work, if `path` cannot be written."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file.")
    try:
        with tempfile.TemporaryFile(dir=path.resolve().parent):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"{path} cannot be written: {reason}") from error


def _mode(path: Path) -> int | None:
    """The permissions of a file that is to be replaced; None if there is none."""
    return path.stat().st_mode & 0o777 if path.exists() else None


def _mode_at_first(mode: int | None) -> int:
    """The permissions of a new file until it has those of the file that it replaces.

    Whoever opened it before could read what is written later, so nobody else may open it.
    """
    return 0o666 if mode is None else 0o600


def flush_folder(folder: Path) -> None:
    """Flush a folder, so that new names reach the disk, where that is possible."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
