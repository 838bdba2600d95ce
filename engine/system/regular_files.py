"""Open a path only if it is a regular file: no link, pipe, socket, device or folder.

Opening a pipe would wait for its other end, and writing to a link would change what it leads to.
"""

import errno
import os
import stat
from pathlib import Path

KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# Do not follow a link, and do not wait for a pipe, not even one that was made a moment ago.
CAREFULLY = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOINHERIT", 0)
    | getattr(os, "O_BINARY", 0)
)


def other_kind(path: Path, *, follow: bool = False) -> str | None:
    """What is at `path`, in words, if it is no regular file; None for a file, or for nothing.

    With `follow`, a link counts as what it leads to. Raises OSError if the path cannot be examined.

    Examples
    --------
    >>> other_kind(Path("/dev/null")), other_kind(Path("/"))
    ('a device', 'a folder')
    """
    try:
        mode = (path.stat() if follow else path.lstat()).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    return None if stat.S_ISREG(mode) else KINDS.get(stat.S_IFMT(mode), "no file")


def open_regular(path: Path, flags: int, mode: int = 0o666) -> int:
    """Open a regular file and return its descriptor; an OSError says what is there instead.

    A file that is created has the permissions `mode`, less what the umask takes away.
    """
    try:
        descriptor = os.open(path, flags | CAREFULLY, mode)
    except OSError as error:
        if kind := other_kind(path):
            raise OSError(error.errno, f"it is {kind} and no regular file", str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, f"it is {other_kind(path)} and no regular file", str(path))
    return descriptor


def new_regular(path: Path, mode: int = 0o666) -> int:
    """Create an empty file in the place of an old one, if there is one; return its descriptor.

    Other hard links to the old file keep its content. `mode` is as for `open_regular`.
    """
    if kind := other_kind(path):
        raise OSError(errno.EEXIST, f"it is {kind} and no regular file", str(path))
    path.unlink(missing_ok=True)
    return open_regular(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
