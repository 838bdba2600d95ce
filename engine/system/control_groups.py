"""The control groups of this process: where Linux says what a container or a service may use."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def folders(controller: str, root: Path = ROOT, membership: Path = MEMBERSHIP) -> list[Path]:
    """The folders with the limits of this process on "cpu" or "memory": its group and those above.

    All of these limits apply. Containers see their own group as the root, often under a path that
    is only valid outside of the container. Version 2 comes first, then version 1.
    """
    found = []
    for base, group in _groups(controller, root, membership):
        inner = base.joinpath(*group.strip("/").split("/"))
        above = [folder for folder in inner.parents if folder.is_relative_to(base)]
        found += [folder for folder in (inner, *above) if folder.is_dir()]
    return list(dict.fromkeys(found))


def number_in(path: Path) -> float | None:
    """The number in a file of a group; None if there is no file, or it says "max"."""
    try:
        return float(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _groups(controller: str, root: Path, membership: Path) -> Iterator[tuple[Path, str]]:
    """The hierarchies that may limit the controller, and this process's group within each."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):  # not Linux
        lines = []
    groups = {"": "/", controller: "/"}
    for line in lines:
        _, controllers, group = (*line.split(":", 2), "", "")[:3]
        for name in controllers.split(","):
            if name in groups and ".." not in group.split("/"):  # outside of what is seen here
                groups[name] = group
    yield root, groups[""]
    yield root / controller, groups[controller]
