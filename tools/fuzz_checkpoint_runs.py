"""Small runs whose checkpoints `tools.fuzz_checkpoints` forges: each solver and dtype.

Each run is stopped at several points: before its first step, within an epoch, at an end that a
larger `max_iter` takes further, and at the end of all its epochs.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from engine import Checkpoint, DivergedError, MLPClassifier, MLPRegressor, Network, train
from engine.training import checkpoint_files
from tools.reliability.jobs import digest_of

N_SAMPLES, MAX_ITER, ENDED = 40, 8, 5
NETWORK = Network((3, 4, 1))
GENERATOR = np.random.default_rng(0)
ROWS = GENERATOR.normal(size=(N_SAMPLES, 3))
CODES = (ROWS.sum(axis=1) + GENERATOR.normal(size=N_SAMPLES) > 0).astype(int)
WEIGHTS = np.where(np.arange(N_SAMPLES) % 8 < 6, 1.5, 0.0)
VALIDATED: dict[str, Any] = {"validated": True, "tol": 1e-9}

TRAINED: dict[str, dict[str, Any]] = {
    "adam": {"solver": "adam", "batch_size": 16},
    "adam, weights": {"solver": "adam", "batch_size": 2, "sample_weight": WEIGHTS},
    "adam, validated": {"solver": "adam", "batch_size": 16, **VALIDATED},
    "adam, all samples": {"solver": "adam"},
    "adam, in order": {"solver": "adam", "batch_size": 16, "shuffle": False},
    "adam, blocks, numpy": {
        "solver": "adam",
        "batch_size": 16,
        "shuffle": "blocks",
        "backend": "numpy",
    },
    "sgd, adaptive": {
        "solver": "sgd",
        "batch_size": 16,
        "schedule": "adaptive",
        "tol": 1e-2,
        "n_iter_no_change": 2,
    },
    "sgd, invscaling": {
        "solver": "sgd",
        "batch_size": 16,
        "schedule": "invscaling",
        "nesterov": False,
        "backend": "loops",
    },
    "sgd, plain": {"solver": "sgd", "batch_size": 16, "momentum": 0.0},
    "adam, average, cosine": {
        "batch_size": 16,
        "weight_decay": 0.1,
        "average": 0.9,
        "clip_norm": 0.1,
        "label_smoothing": 0.1,
        "schedule": "cosine",
    },
    "gd, average, validated": {"solver": "gd", "average": 0.5, **VALIDATED},
    "gd": {"solver": "gd"},
    "gd, validated": {"solver": "gd", **VALIDATED},
    "gd, stagnant": {"solver": "gd", "tol": 1.0, "n_iter_no_change": 4},
    "lbfgs": {"solver": "lbfgs"},
    "lbfgs, validated": {"solver": "lbfgs", **VALIDATED},
    "lm": {"solver": "lm", "alpha": 0.1},
    "lm, validated": {"solver": "lm", **VALIDATED},
    "lm, evidence": {"solver": "lm", "alpha": "evidence"},
}
FITTED: dict[str, tuple[Any, dict[str, Any]]] = {
    "MLPClassifier, adam": (MLPClassifier, {"batch_size": 16}),
    "MLPClassifier, early stopping": (MLPClassifier, {"early_stopping": True}),
    "MLPClassifier, lbfgs": (MLPClassifier, {"solver": "lbfgs"}),
    "MLPClassifier, no seed": (MLPClassifier, {"random_state": None}),
    "MLPRegressor, adaptive": (
        MLPRegressor,
        {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 2, "tol": 1e-2},
    ),
    "MLPClassifier, average": (
        MLPClassifier,
        {"batch_size": 16, "average": 0.9, "warm_start": True, "label_smoothing": 0.1},
    ),
    "MLPRegressor, validated": (MLPRegressor, {"validated": True, "batch_size": 16}),
    "MLPRegressor, lbfgs, validated": (MLPRegressor, {"solver": "lbfgs", "validated": True}),
    "MLPRegressor, gd": (MLPRegressor, {"solver": "gd"}),
    "MLPRegressor, lm": (MLPRegressor, {"solver": "lm", "activation": "tanh"}),
    "MLPRegressor, lm, kink": (MLPRegressor, {"solver": "lm", "loss": "absolute_error"}),
    "MLPClassifier, goes on": (MLPClassifier, {"warm_start": True, "batch_size": 16}),
}
# Where a run stops: after so many writes; or, for the last two, after so many epochs.
STAGES = {"begun": 1, "middle": 5, "late": 9, "ended": ENDED, "over": MAX_ITER}


class Stop(Exception):
    """Stands for a power cut."""


class Job(NamedTuple):
    """A run: `call(max_iter, checkpoint)` trains, and returns a digest of all its bits."""

    name: str
    solver: str
    call: Callable[..., str]


def jobs() -> dict[str, Job]:
    """All of them, by name."""
    found = []
    for dtype in ("float32", "float64"):
        for name, settings in TRAINED.items():
            solver = settings.get("solver", "adam")
            found.append(Job(f"{name}, {dtype}", solver, partial(trained, name, dtype)))
        for name, (_, settings) in FITTED.items():
            solver = settings.get("solver", "adam")
            found.append(Job(f"{name}, {dtype}", solver, partial(fitted, name, dtype)))
    return {job.name: job for job in found}


def trained(name: str, dtype: str, max_iter: int, kept: Any = None) -> str:
    """By `train`."""
    settings, X = dict(TRAINED[name]), ROWS.T.astype(dtype)
    if settings.pop("validated", False):
        settings |= {"X_val": X[:, :12], "Y_val": CODES[:12]}
    result = train(
        NETWORK, X, CODES, learning_rate=0.05, max_iter=max_iter, n_threads=1, checkpoint=kept,
        **settings,
    )  # fmt: skip
    numbers = [result.history[column] for column in ("cost", "gradient_norm", "validation_cost")]
    ended = [ord(letter) for letter in result.stopped]
    return digest_of([result.theta, *numbers, [result.cost, result.n_iter], ended])


def fitted(name: str, dtype: str, max_iter: int, kept: Any = None) -> str:
    """By an estimator."""
    kind, settings = FITTED[name]
    settings, X = {"random_state": 0, **settings}, ROWS.astype(dtype)
    y = CODES if kind is MLPClassifier else ROWS.sum(axis=1)
    held_out = {"X_val": X[:12], "y_val": y[:12]} if settings.pop("validated", False) else {}
    settings |= {"hidden_layer_sizes": (4,), "learning_rate_init": 0.05, "n_threads": 1}
    estimator = kind(max_iter=max_iter, **settings)
    np.random.seed(0)  # noqa: NPY002  # which is what no seed draws from
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if estimator.warm_start:
            estimator.set_params(max_iter=2).fit(X, y).set_params(max_iter=max_iter)
        estimator.set_params(checkpoint=kept).fit(X, y, **held_out)
    curves = (estimator.loss_curve_, estimator.validation_loss_curve_, estimator.validation_scores_)
    numbers = [curve or [] for curve in curves]
    ended = [estimator.n_iter_, estimator.loss_]
    return digest_of([*estimator.coefs_, *estimator.intercepts_, *numbers, ended])


def write_corpus(folder: Path, chosen: Iterable[Job]) -> list[Path]:
    """Checkpoints of these jobs, a folder for each job and stage."""
    # Steps of a slice by the clock: here two, so that slices end within epochs.
    with mock.patch("engine.training.watch.SECONDS_OF_AN_ADVANCE", 0.0):
        for job in chosen:
            for stage, number in STAGES.items():
                if stage == "ended" and "cosine" in job.name:
                    continue  # its rate has ended with max_iter: no larger one takes it further
                place = folder / f"{job.name}; {stage}"
                place.mkdir()
                _write(job, place / "run.ckpt", stage, number)
    return sorted(folder.iterdir())


def _write(job: Job, path: Path, stage: str, number: int) -> None:
    if stage in ("ended", "over"):
        job.call(number, Checkpoint(path))
        return
    write, written = checkpoint_files.write, []

    def write_and_stop(*arguments: Any) -> None:
        write(*arguments)
        written.append(stage)
        if len(written) == number:
            raise Stop

    stopped = contextlib.suppress(Stop)
    with mock.patch("engine.training.checkpoint.write", write_and_stop), stopped:
        job.call(MAX_ITER, Checkpoint(path, seconds=0))


def job_of(place: Path) -> Job:
    """The job whose checkpoint stands in that folder."""
    return jobs()[place.name.rpartition("; ")[0]]


# How a run may end that resumes from forged numbers.
DIVERGES = (DivergedError, ValueError)
