"""Files that are written whole or not at all."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

LONGEST = 40  # letters of a file's name that stand in that of the one that is to replace it


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` once all is on the disk.

    If anything goes wrong before that, what stood at `path` stays as it was; an OSError says so.

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
    with _worded(path, target), _temporary_beside(target) as temporary:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_mode(target))
        temporary.replace(target)
    flush_folder(target.parent)


def written(file: BinaryIO, content: bytes) -> bytes:
    """Write all of a file that `replacing` gave, and read it back."""
    file.write(content)
    file.flush()
    return Path(file.name).read_bytes()


@contextmanager
def _worded(path: Path, target: Path) -> Iterator[None]:
    """Errors of the system with the name that the user knows, and what has become of the file."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # not the system's, but of who writes
            raise
        state = "is as it was" if target.exists() else "was not written"
        raise OSError(error.errno, f"{error.strerror}: {path} {state}") from error


@contextmanager
def _temporary_beside(target: Path) -> Iterator[Path]:
    """A new file in the same folder, that is gone if anything goes wrong."""
    prefix = f".{target.name[:LONGEST]}."
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=prefix, suffix=".tmp")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def replace_keeping(path: Path, previous: Path, write: Callable[[BinaryIO], None]) -> None:
    """Let `write` make a new file at `path`, and keep what stood there at `previous`.

    For a file that one process alone writes, again and again: what a process that was killed had
    begun to write is written over by the next. Whenever one stops, what stood at `path` is still
    there, or the new file is whole: there, or under the name that `new_of` gives.
    """
    new = new_of(path)
    try:
        with new.open("wb") as file:
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
    """Where a file is written that is to take the place of `path`."""
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


def _mode(target: Path) -> int:
    """The permissions of the file that is replaced, or those of a new one."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def flush_folder(folder: Path) -> None:
    """The new name reaches the disk as well, where folders can be flushed."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
