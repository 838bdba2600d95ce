"""scikit-learn's way to train a task: `fit` of MLPClassifier or MLPRegressor."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.comparison.problems import BETA_1, BETA_2, EPSILON, LEARNING_RATE, TrainingTask


class SklearnJob:
    """One `fit`, without early stopping, from the task's initial parameters."""

    def __init__(self, task: TrainingTask) -> None:
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        self._task = task
        self._estimator = MLPRegressor if task.problem.output == "identity" else MLPClassifier

    def prepare(self, epochs: int, shuffle: bool) -> Callable[[], Any]:
        problem, data = self._task.problem, self._task.data
        estimator = self._estimator(
            hidden_layer_sizes=problem.sizes[1:-1],
            activation=problem.hidden,
            solver="adam",
            alpha=0.0,
            batch_size=problem.batch_size,
            learning_rate_init=LEARNING_RATE,
            beta_1=BETA_1,
            beta_2=BETA_2,
            epsilon=EPSILON,
            max_iter=epochs,
            shuffle=shuffle,
            random_state=self._task.seed,
            tol=0.0,
            n_iter_no_change=epochs + 1,
        )

        def run() -> Any:
            # In place of random values: it asks layer by layer, in order.
            estimator._init_coef = _starting_from(self._task)
            with warnings.catch_warnings():
                # It warns of max_iter reached, and of a batch larger than the data.
                warnings.simplefilter("ignore")
                return estimator.fit(data.rows, data.targets)

        return run

    def parameters(self, estimator: Any) -> NDArray[Any]:
        layers = zip(estimator.coefs_, estimator.intercepts_, strict=True)
        return np.concatenate([part for W, b in layers for part in (W.T.ravel(), b)])


def _starting_from(task: TrainingTask) -> Callable[..., tuple[NDArray[Any], NDArray[Any]]]:
    layers = iter(task.layers)

    def of_next_layer(fan_in: int, fan_out: int, dtype: Any) -> Any:
        W, b = next(layers)
        assert (W.shape, W.dtype) == ((fan_out, fan_in), dtype)
        return W.T.copy(), b.copy()

    return of_next_layer
