"""Who can be handed a task, and how: this package's backends, and other libraries.

Another library's own process imports this module and what it needs of that library, and nothing of
the engine that has to be compiled: it may run in an environment without Numba and SciPy.
"""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from numpy.typing import NDArray

from engine.comparison.problems import BETA_1, BETA_2, EPSILON, LEARNING_RATE, TrainingTask

if TYPE_CHECKING:
    from engine.training.result import TrainResult


OURS = ("tiled", "loops", "numpy")  # the fastest first: the one that others are compared with


class Job(Protocol):
    """A task in the hands of one library."""

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
    "torch-compiled": Peer("PyTorch, compiled", "torch", "torch", "torch_job.TorchCompiledJob"),
    "jax": Peer("JAX", "jax", "jax", "jax_job.JaxJob"),
}

KNOWN = (*OURS, *PEERS)

# Of `engine compare many`: many networks on the same data.
MANY_OURS = {"fit_many": "many_jobs.TogetherJob", "loop": "many_jobs.LoopJob"}
MANY_PEERS = {
    "jax-vmap": Peer("JAX, vmap", "jax", "jax", "jax_many_job.JaxVmapJob"),
    "jax-map": Peer("JAX, lax.map", "jax", "jax", "jax_many_job.JaxMapJob"),
    "jax-groups": Peer("JAX, lax.map of vmap", "jax", "jax", "jax_many_job.JaxGroupsJob"),
}

ALL_PEERS = {**PEERS, **MANY_PEERS}
JOBS = {**{name: peer.job for name, peer in ALL_PEERS.items()}, **MANY_OURS}


def job(name: str, task: TrainingTask) -> Job:
    """The task in the hands of a library, which is imported here."""
    if name not in JOBS:
        return EngineJob(task, name)
    module, _, kind = JOBS[name].partition(".")
    made: Job = getattr(importlib.import_module(f"engine.comparison.{module}"), kind)(task)
    return made


class EngineJob:
    """`engine.train` with one of the backends; the whole call is timed."""

    def __init__(self, task: TrainingTask, backend: str) -> None:
        self._task = task
        self._backend = backend

    def prepare(self, epochs: int, shuffle: bool) -> "Callable[[], TrainResult]":
        from engine.training.trainer import train

        task = self._task
        X, Y = task.data.rows.T, task.data.targets.T
        return lambda: train(
            task.network,
            X,
            Y,
            solver="adam",
            learning_rate=LEARNING_RATE,
            beta_1=BETA_1,
            beta_2=BETA_2,
            epsilon=EPSILON,
            batch_size=task.problem.batch_size,
            max_iter=epochs,
            theta=task.theta,
            shuffle=shuffle,
            seed=task.seed,
            backend=self._backend,
            n_threads=task.n_threads,
        )

    def parameters(self, result: "TrainResult") -> NDArray[Any]:
        return result.theta
