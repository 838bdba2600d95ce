"""Who can be handed a task, and how: this package's backends, and its peers.

A peer's own process imports this module and what it needs of the peer, and nothing of the engine
that has to be compiled: it may run in an environment that has neither Numba nor SciPy.
"""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from engine.comparison.problems import Task

OURS = ("tiled", "loops", "numpy")  # the fastest first: the one that others are compared with


class Job(Protocol):
    """A task in the hands of one contender."""

    def prepare(self, epochs: int, shuffle: bool) -> Callable[[], Any]:
        """A function that trains from the initial parameters; calling it is what is timed."""

    def parameters(self, result: Any) -> NDArray[Any]:
        """The flat vector theta from what that function returned; not timed."""


class Peer(NamedTuple):
    """A library that is compared with this one, and the class that drives it."""

    label: str
    distribution: str
    imports: str  # the module that people import
    job: str  # module and class


PEERS = {
    "sklearn": Peer(
        "scikit-learn", "scikit-learn", "sklearn.neural_network", "sklearn_job.SklearnJob"
    ),
    "torch": Peer("PyTorch", "torch", "torch", "torch_job.TorchJob"),
    "torch-compiled": Peer(
        "PyTorch, compiled", "torch", "torch", "torch_compiled_job.TorchCompiledJob"
    ),
    "jax": Peer("JAX", "jax", "jax", "jax_job.JaxJob"),
}

KNOWN = (*OURS, *PEERS)


def job(name: str, task: Task) -> Job:
    """The task in the hands of a contender; its library is imported here."""
    if name not in PEERS:
        from engine.comparison.engine_job import EngineJob

        return EngineJob(task, name)
    module, _, kind = PEERS[name].job.partition(".")
    made: Job = getattr(importlib.import_module(f"engine.comparison.{module}"), kind)(task)
    return made
