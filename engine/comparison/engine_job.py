"""This package's own way to train a task."""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from engine.comparison.problems import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Task
from engine.training.result import TrainResult
from engine.training.trainer import train


class EngineJob:
    """`engine.train` with one of the backends; the whole call is timed."""

    def __init__(self, task: Task, backend: str) -> None:
        self._task = task
        self._backend = backend

    def prepare(self, epochs: int, shuffle: bool) -> Callable[[], TrainResult]:
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

    def parameters(self, result: TrainResult) -> NDArray[Any]:
        return result.theta
