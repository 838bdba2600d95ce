"""Whether anybody but the user and root may change a file whose content is run as code.

On Windows nothing is checked. There, access lists protect the folders of a user's profile, and this
module does not read them.
"""

import errno
import os
import shlex
import stat
from pathlib import Path
from typing import NamedTuple

IS_POSIX = os.name == "posix"
ROOT = 0


class Refusal(NamedTuple):
    """Why others could change a file or folder, and a command that prevents it, if there is one."""

    reason: str
    remedy: str | None


def refusal_of_folder(folder: Path) -> Refusal | None:
    """Why others could change the content of `folder`; None if they could not.

    They could if they own the folder or one above it, or may write to one of them. A folder above
    may have the sticky bit, as /tmp has: others cannot replace files there that are not theirs.

    `folder` is a path without links, as from os.path.realpath. The check begins at the top: once a
    folder has passed, others can no longer replace it. A folder that does not exist yet will be the
    user's own.

    Raises OSError if a folder cannot be examined.
    """
    if not IS_POSIX:
        return None
    for place in (*reversed(folder.parents), folder):
        try:
            status = place.lstat()
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(status.st_mode):  # made in the meantime, or a loop of links
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(place))
        is_above = place != folder
        found = _foreign_owner(place, status, is_above) or _foreign_writers(place, status, is_above)
        if found is not None:
            return found
    return None


def refusal_of_file(path: Path, status: os.stat_result) -> Refusal | None:
    """Why others could change the open file with this status; None if they could not."""
    return (_foreign_owner(path, status) or _foreign_writers(path, status)) if IS_POSIX else None


def _foreign_owner(place: Path, status: os.stat_result, is_above: bool = False) -> Refusal | None:
    owner = status.st_uid
    if owner in (ROOT, os.geteuid()) or (is_above and _stands_for_outsiders(owner)):
        return None
    return Refusal(f"{place} belongs to another user (uid {owner})", None)


def _foreign_writers(place: Path, status: os.stat_result, is_above: bool = False) -> Refusal | None:
    mode = stat.S_IMODE(status.st_mode)
    # The bits of the group are the most that an access list may allow, to whomever it names.
    of_user_alone = _is_own_group(status.st_gid) and not _has_access_list(place)
    by_group = mode & stat.S_IWGRP and not of_user_alone
    by_others = by_group or mode & stat.S_IWOTH
    if not by_others or (is_above and mode & stat.S_ISVTX):
        return None
    is_own = os.geteuid() in (ROOT, status.st_uid)
    remedy = f"chmod go-w {shlex.quote(str(place))}" if is_own else None
    return Refusal(f"{place} has mode {mode:04o}", remedy)


def _is_own_group(group_id: int) -> bool:
    """Whether a group has no member but the user, as on systems with a group for each user."""
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(group_id)
    except KeyError:
        return False
    own = user.pw_uid != ROOT and (group_id, group.gr_name) == (user.pw_gid, user.pw_name)
    return own and set(group.gr_mem) <= {user.pw_name}


def _has_access_list(place: Path) -> bool:
    """Whether a list beside the mode says who else may write, on Linux."""
    try:
        return bool(os.getxattr(place, "system.posix_acl_access", follow_symlinks=False))
    except (OSError, AttributeError):  # there is none, or the system has no such lists
        return False


def _stands_for_outsiders(owner: int) -> bool:
    """Whether Linux shows this id for users without an id in this container, such as root."""
    try:
        if owner != int(Path("/proc/sys/kernel/overflowuid").read_text()):
            return False
        maps = Path("/proc/self/uid_map").read_text().split()
    except OSError:
        return False
    ranges = zip(map(int, maps[::3]), map(int, maps[2::3]), strict=True)
    return not any(first <= owner < first + count for first, count in ranges)
