"""The main job on real data: from a table to a trained network that is judged on held-out samples.

The Wisconsin breast-cancer data, 569 samples of 30 measurements, come with scikit-learn.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from engine.examples import unless_interrupted
from engine.network import Network
from engine.training.result import TrainResult
from engine.training.trainer import train
from engine.training.watch import Callback

NETWORK = Network((30, 16, 1), hidden="tanh", output="sigmoid")
ROUNDS = 7  # of timing the backends, in turns
# Chosen on splits 100 to 119; the accuracies that are published are those of splits 0 to 19.
LEARNING_RATE = 0.5
ALPHA = 10.0
ITERATIONS = 300
HELD_OUT = 0.25


@dataclass(frozen=True)
class TrainTestData:
    """The data in two parts, samples as columns, standardised by the training part alone."""

    X: NDArray[np.float64]
    Y: NDArray[np.int64]
    X_test: NDArray[np.float64]
    Y_test: NDArray[np.int64]


def split(seed: int) -> TrainTestData:
    """A random quarter held out, with both classes in proportion."""
    rows, labels = load_breast_cancer(return_X_y=True)
    train_rows, test_rows, Y, Y_test = train_test_split(
        rows, labels, test_size=HELD_OUT, stratify=labels, random_state=seed
    )
    scaler = StandardScaler().fit(train_rows)
    return TrainTestData(scaler.transform(train_rows).T, Y, scaler.transform(test_rows).T, Y_test)


def fit(
    data: TrainTestData,
    seed: int = 0,
    backend: str | None = None,
    callback: Callback | None = None,
    max_iter: int = ITERATIONS,
) -> TrainResult:
    """Train the 30-16-1 network by gradient descent, with the held-out cost in the history."""
    result = train(
        NETWORK,
        data.X,
        data.Y,
        solver="gd",
        learning_rate=LEARNING_RATE,
        alpha=ALPHA,
        max_iter=max_iter,
        X_val=data.X_test,
        Y_val=data.Y_test,
        seed=seed,
        backend=backend,
        callback=callback,
    )
    return unless_interrupted(result)


def test_accuracy(data: TrainTestData, theta: NDArray[Any]) -> float:
    """Share of the held-out samples that the network classifies correctly."""
    says_1 = NETWORK.forward(theta, data.X_test)[0] >= 0.5
    return float(np.mean(says_1 == data.Y_test))


def logistic_regression_accuracy(data: TrainTestData) -> float:
    """The same of scikit-learn's logistic regression with its defaults."""
    model = LogisticRegression(max_iter=1000).fit(data.X.T, data.Y)
    return float(model.score(data.X_test.T, data.Y_test))


@dataclass(frozen=True)
class BackendTime:
    """Time of one backend.

    Attributes
    ----------
    backend : str
    first_call : float
        Seconds that the first iteration took more than a later one: compiling, or loading.
    per_iteration : float
        Seconds, median over the rounds.
    cost : float
        J at the end, to compare.
    """

    backend: str
    first_call: float
    per_iteration: float
    cost: float


def time_backends(data: TrainTestData, backends: list[str]) -> list[BackendTime]:
    """The same training run with each backend, in turns, on one thread."""
    first_call = {}
    seconds: dict[str, list[float]] = {name: [] for name in backends}
    costs = {}
    with threadpool_limits(limits=1):
        for name in backends:
            start = time.perf_counter()
            fit(data, backend=name, max_iter=1)
            first_call[name] = time.perf_counter() - start
        for _ in range(ROUNDS):
            for name in backends:
                start = time.perf_counter()
                costs[name] = fit(data, backend=name).cost
                seconds[name].append((time.perf_counter() - start) / ITERATIONS)
    return [
        BackendTime(
            name,
            max(first_call[name] - float(np.median(seconds[name])), 0.0),
            float(np.median(seconds[name])),
            costs[name],
        )
        for name in backends
    ]
