"""Files that are opened only if they are files, and no link, pipe, socket, device or folder.

A pipe would be waited for, and what is written to a link goes to wherever it leads.
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
# A link is not followed, and a pipe not waited for, also one that came a moment ago.
CAREFULLY = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOINHERIT", 0)
    | getattr(os, "O_BINARY", 0)
)


def other_kind(path: Path, *, follow: bool = False) -> str | None:
    """What is at `path` in place of a regular file, in words; None for a file, or for nothing.

    With `follow`, what a link leads to counts. Raises OSError for a name that cannot be looked at.

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
    """A descriptor of a regular file; an OSError says what else is there.

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
    """A descriptor of a new, empty file, in the place of one that is there.

    The old file's content stays under any other name that it has. `mode` is as for `open_regular`.
    """
    if kind := other_kind(path):
        raise OSError(errno.EEXIST, f"it is {kind} and no regular file", str(path))
    path.unlink(missing_ok=True)
    return open_regular(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
