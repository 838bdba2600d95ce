"""Who takes part: this package's backends, and the peers that are installed somewhere."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from engine.comparison.environments import own_python
from engine.comparison.jobs import KNOWN, PEERS
from engine.comparison.machine import installed_version
from engine.equations.backends import BACKENDS


class Entrants(NamedTuple):
    """Names of those who can take part, and a line on each who cannot."""

    names: list[str]
    absent: list[str]


def entrants(wanted: Sequence[str] | None = None, own: Collection[str] = ()) -> Entrants:
    """Those of the `wanted` who can take part; None is everybody.

    A peer counts as installed if its distribution is, here or in an environment of its own; there
    alone, if it is one of `own`. Nothing is imported to find out.
    """
    for name in wanted or ():
        if name not in KNOWN:
            raise ValueError(f"--contenders must be of {', '.join(KNOWN)}; got {name!r}.")
    names, absent = [], []
    for name in wanted or KNOWN:
        reason = why_absent(name, own)
        if reason is None:
            names.append(name)
        elif name in PEERS or wanted is not None:
            absent.append(f"{name} {reason}")
    if not names:
        raise ValueError(f"there is nobody to compare: {'; '.join(absent)}.")
    return Entrants(names, absent)


def why_absent(name: str, own: Collection[str] = ()) -> str | None:
    """Why a contender cannot take part, and what to do about it; None if it can."""
    if name not in PEERS:
        return None if name in BACKENDS else "is not a backend of this version"
    distribution = PEERS[name].distribution
    if own_python(distribution) is not None:
        return None
    if distribution in own:
        return f"has no environment of its own: engine compare environments {distribution}"
    if installed_version(distribution) is None:
        return (
            f"is not installed: pip install {distribution}, or "
            f"engine compare environments {distribution}"
        )
    return None
