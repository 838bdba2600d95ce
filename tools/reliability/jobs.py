"""The runs that faults happen to: every solver, both dtypes, by `train` and the estimators."""

import hashlib
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from engine import MLPClassifier, MLPRegressor, Network, train

N_SAMPLES, N_FEATURES = 1500, 12
NETWORK = Network((N_FEATURES, 24, 1))
GENERATOR = np.random.default_rng(0)
ROWS = GENERATOR.normal(size=(N_SAMPLES, N_FEATURES))
NUMBERS = ROWS[:, 0] * ROWS[:, 1] + ROWS[:, 2]
CODES = (NUMBERS > 0).astype(int)
HELD_OUT = slice(0, 300)

TRAINED: dict[str, dict[str, Any]] = {
    "adam, minibatches, validated": {"solver": "adam", "batch_size": 64, "tol": 1e-9},
    "adam, all samples": {"solver": "adam"},
    "sgd, nesterov, adaptive rate": {
        "solver": "sgd",
        "batch_size": 64,
        "schedule": "adaptive",
        "learning_rate": 0.1,
        "tol": 1e-9,
        "n_iter_no_change": 10**6,
    },
    "gd": {"solver": "gd", "learning_rate": 0.5},
    "lbfgs": {"solver": "lbfgs"},
}
FITTED: dict[str, tuple[Any, dict[str, Any]]] = {
    "MLPClassifier, adam, early stopping": (
        MLPClassifier,
        {"early_stopping": True, "n_iter_no_change": 10**6},
    ),
    "MLPRegressor, lbfgs": (MLPRegressor, {"solver": "lbfgs", "tol": 0.0}),
}


class Job(NamedTuple):
    """A run: `call(max_iter=..., checkpoint=...)` trains, and gives a digest of all its bits."""

    name: str
    call: Callable[..., str]


def jobs() -> Iterator[Job]:
    """All of them."""
    for dtype in ("float32", "float64"):
        for name in TRAINED:
            yield Job(f"{name}, {dtype}", partial(trained, name, dtype))
        for name in FITTED:
            yield Job(f"{name}, {dtype}", partial(fitted, name, dtype))


def jobs_for(times: int) -> list[Job]:
    """All of them; for a fault that happens fewer times, about so many, evenly spread."""
    every = list(jobs())
    return every[:: max(1, len(every) // times)]


def trained(name: str, dtype: str, **others: Any) -> str:
    """By `train`."""
    X = ROWS.T.astype(dtype)
    if "validated" in name:
        others |= {"X_val": X[:, HELD_OUT], "Y_val": CODES[HELD_OUT]}
    result = train(NETWORK, X, CODES, n_threads=1, **TRAINED[name], **others)
    numbers = [result.history[column] for column in ("cost", "gradient_norm", "validation_cost")]
    return digest_of([result.theta, *numbers, [result.cost, result.n_iter]])


def fitted(name: str, dtype: str, **others: Any) -> str:
    """By an estimator."""
    kind, parameters = FITTED[name]
    estimator = kind(hidden_layer_sizes=(24,), random_state=0, n_threads=1, **parameters, **others)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Stochastic Optimizer|lbfgs failed|The learning rate")
        estimator.fit(ROWS.astype(dtype), CODES if kind is MLPClassifier else NUMBERS)
    numbers = [estimator.loss_curve_, estimator.validation_scores_ or [], [estimator.n_iter_]]
    return digest_of([*estimator.coefs_, *estimator.intercepts_, *numbers])


def digest_of(arrays: list[Any]) -> str:
    """Of the bits of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def epochs_for(job: Job, seconds: float) -> int:
    """Epochs of a job that take about so long; the kernels are compiled by then."""
    job.call(max_iter=2)
    start = time.perf_counter()
    job.call(max_iter=12)
    an_epoch = max((time.perf_counter() - start) / 12, 1e-5)
    return max(12, min(int(seconds / an_epoch), 4000))
