"""Who takes part: this package's backends, and the peers that are installed."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from engine.comparison.engine_job import EngineJob
from engine.comparison.jax_job import JaxJob
from engine.comparison.machine import installed_version
from engine.comparison.problems import Task
from engine.comparison.sklearn_job import SklearnJob
from engine.comparison.torch_job import TorchJob
from engine.equations.backends import BACKENDS

OURS = ("tiled", "loops", "numpy")  # the fastest first: the one that others are compared with


class Job(Protocol):
    """A task in the hands of one contender."""

    def prepare(self, epochs: int, shuffle: bool) -> Callable[[], Any]:
        """A function that trains from the initial parameters; calling it is what is timed."""

    def parameters(self, result: Any) -> NDArray[Any]:
        """The flat vector theta from what that function returned; not timed."""


class Peer(NamedTuple):
    """A library that is compared with this one."""

    distribution: str
    job: Callable[[Task], Job]


PEERS = {
    "sklearn": Peer("scikit-learn", SklearnJob),
    "torch": Peer("torch", TorchJob),
    "jax": Peer("jax", JaxJob),
}

KNOWN = (*OURS, *PEERS)


class Entrants(NamedTuple):
    """Names of those who can take part, and a line on each who cannot."""

    names: list[str]
    absent: list[str]


def entrants(wanted: Sequence[str] | None = None) -> Entrants:
    """Those of the `wanted` who can take part; None is everybody.

    A peer counts as installed if its distribution is: nothing is imported to find out.
    """
    for name in wanted or ():
        if name not in KNOWN:
            raise ValueError(f"--contenders must be of {', '.join(KNOWN)}; got {name!r}.")
    names, absent = [], []
    for name in wanted or KNOWN:
        if name in PEERS and installed_version(PEERS[name].distribution) is None:
            absent.append(f"{name} is not installed: pip install {PEERS[name].distribution}")
        elif name in OURS and name not in BACKENDS:
            if wanted is not None:
                absent.append(f"{name} is not a backend of this version")
        else:
            names.append(name)
    if not names:
        raise ValueError(f"there is nobody to compare: {'; '.join(absent)}.")
    return Entrants(names, absent)


def job(name: str, task: Task) -> Job:
    """The task in the hands of a contender; its library is imported here."""
    return PEERS[name].job(task) if name in PEERS else EngineJob(task, name)
