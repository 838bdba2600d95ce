"""Who takes part: this package's backends, and the peers that are installed somewhere."""

from collections.abc import Sequence
from typing import NamedTuple

from engine.comparison.environments import own_python
from engine.comparison.jobs import KNOWN, OURS, PEERS
from engine.comparison.machine import installed_version
from engine.equations.backends import BACKENDS


class Entrants(NamedTuple):
    """Names of those who can take part, and a line on each who cannot."""

    names: list[str]
    absent: list[str]


def entrants(wanted: Sequence[str] | None = None) -> Entrants:
    """Those of the `wanted` who can take part; None is everybody.

    A peer counts as installed if its distribution is, here or in an environment of its own: nothing
    is imported to find out.
    """
    for name in wanted or ():
        if name not in KNOWN:
            raise ValueError(f"--contenders must be of {', '.join(KNOWN)}; got {name!r}.")
    names, absent = [], []
    for name in wanted or KNOWN:
        if name in PEERS and not is_there(name):
            absent.append(
                f"{name} is not installed: pip install {PEERS[name].distribution}, or "
                f"engine compare environments {PEERS[name].distribution}"
            )
        elif name in OURS and name not in BACKENDS:
            if wanted is not None:
                absent.append(f"{name} is not a backend of this version")
        else:
            names.append(name)
    if not names:
        raise ValueError(f"there is nobody to compare: {'; '.join(absent)}.")
    return Entrants(names, absent)


def is_there(peer: str) -> bool:
    """Whether a peer is installed, here or in an environment of its own."""
    distribution = PEERS[peer].distribution
    return installed_version(distribution) is not None or own_python(distribution) is not None
