"""This package's two ways to fit many estimators: together, and one after another."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.comparison.estimator_agreement import CLASSIFIER, OURS, REGRESSOR, estimator, silent
from engine.comparison.problems import ALPHA, LEARNING_RATE, TrainingTask


def estimators_of(task: TrainingTask, epochs: int, shuffle: bool = True, **more: Any) -> list[Any]:
    """An estimator for each member, which differs from the others in its seed alone."""
    problem = task.problem
    kind = CLASSIFIER if problem.output == "softmax" else REGRESSOR
    settings = {
        "hidden_layer_sizes": problem.sizes[1:-1],
        "activation": problem.hidden,
        "alpha": ALPHA,
        "learning_rate_init": LEARNING_RATE,
        "batch_size": problem.batch_size,
        "max_iter": epochs,
        "tol": 0.0,
        "n_iter_no_change": epochs,
        "shuffle": shuffle,
        **more,
    }
    # The number of threads is left to the estimator: as many of those it has as pay.
    return [
        estimator(OURS, kind, None, random_state=seed, **settings)
        for seed in range(task.members or 1)
    ]


class TogetherJob:
    """`fit_many`; making the estimators is not timed."""

    def __init__(self, task: TrainingTask) -> None:
        self._task = task

    def prepare(self, epochs: int, shuffle: bool) -> Callable[[], Any]:
        estimators = estimators_of(self._task, epochs, shuffle)

        def run() -> Any:
            with silent():
                self._fit(estimators)
            return estimators

        return run

    def parameters(self, result: Any) -> NDArray[Any]:
        parts = (zip(model.coefs_, model.intercepts_, strict=True) for model in result)
        return np.concatenate([part for of in parts for W, b in of for part in (W.T.ravel(), b)])

    def _fit(self, estimators: Sequence[Any]) -> None:
        from engine import fit_many

        fit_many(estimators, *self._task.data, n_threads=self._task.n_threads)


class LoopJob(TogetherJob):
    """A loop of `fit`, as people write it."""

    def _fit(self, estimators: Sequence[Any]) -> None:
        for one in estimators:
            one.fit(*self._task.data)
