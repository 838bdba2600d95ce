"""Exact resume: engine/training/checkpoint.py and what it is made of."""

import contextlib
import copy
import errno
import functools
import json
import math
import os
import re
import signal
import time
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.metrics import f1_score, make_scorer, precision_score
from sklearn.model_selection import cross_val_score

from engine import (
    Checkpoint,
    CheckpointError,
    DivergedError,
    MLPClassifier,
    MLPRegressor,
    Network,
    train,
)
from engine.estimators.fit_identity import in_words
from engine.estimators.watch import FitWatch
from engine.solvers.state import POSITION
from engine.sums.objective import Objective
from engine.system.file_locks import FileLock, InUse
from engine.training import checkpoint_files, identity, lbfgs_evaluation_log
from engine.training.checkpoint import Keeper
from engine.training.environment import environment
from tests import processes

NETWORK = Network((3, 5, 1))
RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 150))
Y = (X.sum(axis=0) + RNG.normal(size=150) > 0).astype(float)
VALIDATION = {"X_val": X[:, :40], "Y_val": Y[:40]}
MISLEADING = {"X_val": X[:, :40], "Y_val": 1 - Y[:40], "n_iter_no_change": 99}
pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings(
        "ignore::sklearn.exceptions.ConvergenceWarning",
        "ignore::engine.TrainingWarning",
        "ignore:Training interrupted by user",
        "ignore:This process .* is multi-threaded:DeprecationWarning",
    ),
]

RUNS: dict[str, dict[str, Any]] = {
    "adam": {"solver": "adam", "batch_size": 16},
    "adam, validated": {"solver": "adam", "batch_size": 16, "tol": 1e-5, **VALIDATION},
    "adam, all samples": {"solver": "adam"},
    "nesterov, adaptive": {
        "solver": "sgd",
        "batch_size": 16,
        "schedule": "adaptive",
        "tol": 1e-3,
        "n_iter_no_change": 2,
        "learning_rate": 0.3,
    },
    "momentum, invscaling": {
        "solver": "sgd",
        "batch_size": 16,
        "nesterov": False,
        "schedule": "invscaling",
    },
    "adam, cosine": {
        "solver": "adam",
        "batch_size": 16,
        "schedule": "cosine",
        "weight_decay": 0.5,
        "average": 0.9,
        "clip_norm": 0.1,
        "label_smoothing": 0.1,
    },
    "adam, average, validated": {
        "solver": "adam",
        "batch_size": 16,
        "tol": 1e-5,
        "average": 0.9,
        **VALIDATION,
    },
    "nesterov, cosine": {
        "solver": "sgd",
        "batch_size": 16,
        "schedule": "cosine",
        "average": 0.5,
        "clip_norm": 0.1,
    },
    "adam, stagnant": {"solver": "adam", "batch_size": 16, "tol": 1.0, "n_iter_no_change": 12},
    "adam, best at first": {"solver": "adam", "batch_size": 16, "tol": 1e-5, **MISLEADING},
    "gd": {"solver": "gd", "learning_rate": 0.5},
    "gd, stagnant": {"solver": "gd", "tol": 1.0, "n_iter_no_change": 12},
    "gd, best at first": {"solver": "gd", "learning_rate": 0.5, "tol": 1e-9, **MISLEADING},
    "gd, validated": {"solver": "gd", "learning_rate": 0.5, "tol": 1e-6, **VALIDATION},
    "gd, average": {"solver": "gd", "learning_rate": 0.5, "average": 0.5, "clip_norm": 0.01},
    "gd, average, validated": {
        "solver": "gd",
        "learning_rate": 0.5,
        "average": 0.5,
        "tol": 1e-6,
        **VALIDATION,
    },
    "lbfgs": {"solver": "lbfgs"},
    "lbfgs, smoothed labels": {"solver": "lbfgs", "label_smoothing": 0.1},
    "lbfgs, validated": {"solver": "lbfgs", "tol": 1e-6, **VALIDATION},
}
FITS: dict[str, dict[str, Any]] = {
    "adam": {"solver": "adam", "batch_size": 16},
    "adam, early stopping": {"solver": "adam", "early_stopping": True, "n_iter_no_change": 5},
    "sgd, adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "learning_rate_init": 0.5,
        "n_iter_no_change": 2,
        "tol": 1e-3,
    },
    "adam, cosine": {
        "solver": "adam",
        "batch_size": 16,
        "learning_rate": "cosine",
        "weight_decay": 0.5,
        "average": 0.9,
        "clip_norm": 0.1,
    },
    "sgd, average, early stopping": {
        "solver": "sgd",
        "average": 0.9,
        "learning_rate": "cosine",
        "early_stopping": True,
    },
    "gd": {"solver": "gd"},
    "lbfgs": {"solver": "lbfgs"},
}
MAX_ITER = 24


class Crash(Exception):
    """Of a callback, say."""


def run(path=None, dtype="float64", seconds=0.0, **others):
    settings = {"max_iter": MAX_ITER, "learning_rate": 0.01, **others}
    for name in ("X_val",):
        if name in settings:
            settings[name] = settings[name].astype(dtype)
    checkpoint = None if path is None else Checkpoint(path, seconds)
    return train(NETWORK, X.astype(dtype), Y, checkpoint=checkpoint, **settings)


def stopping_at(epoch, error=KeyboardInterrupt):
    def stop(told):
        if told.epoch == epoch:
            raise error

    return stop


def assert_same_run(one, other):
    """Everything that is not a time."""
    assert one.fingerprint == other.fingerprint
    assert (one.cost, one.n_iter, one.stopped) == (other.cost, other.n_iter, other.stopped)
    for name in ("cost", "gradient_norm", "validation_cost"):
        np.testing.assert_array_equal(one.history[name], other.history[name])
    assert np.all(np.diff(one.history["seconds"]) >= 0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.ckpt"


# Runs that go on.


@pytest.mark.sample(12)
@pytest.mark.parametrize("backend", ["tiled", "numpy"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_was_stopped_ends_with_the_same_bits(path, name, dtype, backend):
    told = {**RUNS[name], "backend": backend}
    reference = run(dtype=dtype, **told)
    assert run(path, dtype, callback=stopping_at(3), **told).stopped == "interrupted"
    with pytest.raises(Crash):
        run(path, dtype, callback=stopping_at(7, Crash), **told)
    heard = []
    resumed = run(path, dtype, callback=lambda told: heard.append(told.epoch), **told)
    assert_same_run(resumed, reference)
    assert heard[0] in (7, 8)  # and not 1: it went on, and heard of no iteration twice
    assert heard == list(range(heard[0], reference.n_iter + 1))
    assert f"went on from {path}, epoch {heard[0] - 1}" in resumed.plan.why


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_had_ended_gives_its_result_once_more(path, name, dtype, monkeypatch):
    ended = run(path, dtype, **RUNS[name])
    assert_same_run(ended, run(dtype=dtype, **RUNS[name]))
    monkeypatch.setattr(Objective, "cost_and_gradient", None)  # nothing is computed
    assert_same_run(run(path, dtype, **RUNS[name]), ended)


@pytest.mark.parametrize(
    "name", [name for name in RUNS if "tol" not in RUNS[name] and "cosine" not in name]
)
def test_a_run_that_max_iter_ended_goes_on_for_more(path, name):
    run(path, **RUNS[name])
    assert_same_run(run(path, max_iter=35, **RUNS[name]), run(max_iter=35, **RUNS[name]))


def test_a_cosine_ends_where_it_ends(path):
    """Another max_iter is another learning rate from the first step on."""
    run(path, **RUNS["adam, cosine"])
    with pytest.raises(
        CheckpointError, match=r"steps of the cosine \(max_iter epochs\) is 350 and"
    ):
        run(path, max_iter=35, **RUNS["adam, cosine"])
    fit = path.with_name("fit.ckpt")
    fitted(MLPClassifier, fit, **FITS["adam, cosine"])
    model = fitted(MLPClassifier, None, **FITS["adam, cosine"])
    model.set_params(max_iter=MAX_ITER + 1, checkpoint=fit)
    with pytest.raises(CheckpointError, match="max_iter is 25 and was 24"):
        model.fit(X.T, Y.astype(int))


@pytest.mark.parametrize("solver", ["adam", "gd", "lbfgs"])
def test_a_run_that_its_time_limit_ended_goes_on(path, solver):
    told = {"solver": solver, "max_iter": 60}
    assert run(path, max_time=1e-9, **told).stopped == "max_time"
    assert_same_run(run(path, **told), run(**told))


@pytest.mark.proof
@pytest.mark.parametrize("backend", ["tiled", "numpy"])
@pytest.mark.parametrize("name", RUNS)
def test_a_time_limit_at_the_very_end_changes_nothing(path, name, backend):
    """A step or a slice a start: the last one comes when the run has come to its end as well."""
    told = {**RUNS[name], "backend": backend}
    for _ in range(12 * MAX_ITER):
        result = run(path, max_time=1e-9, **told)
        if result.stopped != "max_time":
            break
    assert_same_run(result, run(**told))
    assert_same_run(run(path, **told), result)


@pytest.mark.sample(1)
@pytest.mark.parametrize("solver", ["adam", "sgd", "gd", "lbfgs"])
def test_a_time_limit_at_the_very_end_of_a_fit_changes_nothing(path, solver):
    for _ in range(2 * MAX_ITER):
        result = fitted(MLPRegressor, path, solver=solver, max_time=1e-9)
        if result.n_iter_ == MAX_ITER:
            break
    again = fitted(MLPRegressor, path, solver=solver)
    assert_same_fit(again, fitted(MLPRegressor, solver=solver))


def test_a_run_that_tol_or_a_callback_ended_has_ended(path, tmp_path):
    told = {"solver": "gd", "tol": 1.0, "n_iter_no_change": 3}
    assert_same_run(run(path, **told, max_iter=99), run(path, **told))
    other = tmp_path / "other.ckpt"
    stopped = run(other, callback=lambda told: told.epoch == 5)
    assert stopped.stopped == "callback"
    assert_same_run(run(other, max_iter=99), stopped)


@pytest.mark.parametrize("name", ["adam", "adam, cosine", "nesterov, cosine"])
@pytest.mark.parametrize("step", [2, 3, 5])
def test_the_middle_of_an_epoch_is_a_place_to_go_on_from(path, step, name, monkeypatch):
    """Slices end anywhere: here each is two steps, and the run is stopped after some of them."""
    monkeypatch.setattr("engine.training.watch.SECONDS_OF_AN_ADVANCE", 0.0)
    told = {**RUNS[name], "max_iter": 3}
    reference, calls = run(**told), []
    write = checkpoint_files.write

    def write_and_crash(*arguments):
        write(*arguments)
        calls.append(arguments)
        if len(calls) == step:
            raise Crash

    with monkeypatch.context() as patched:
        patched.setattr("engine.training.checkpoint.write", write_and_crash)
        with pytest.raises(Crash):
            run(path, **told)
    saved = checkpoint_files.read(path)
    assert saved.arrays["state.counts"][POSITION] > 0
    assert_same_run(run(path, **told), reference)


@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_a_diverging_run_diverges_in_the_same_way(path, solver, batch_size):
    network = Network((3, 5, 1), output="identity")
    told = {"solver": solver, "batch_size": batch_size, "learning_rate": 40.0, "max_iter": 300}

    def diverge(**others):
        with pytest.raises(DivergedError) as caught:
            train(network, X, Y, momentum=0.0, **told, **others)
        return caught.value

    reference = diverge()
    assert reference.epoch > 3
    with pytest.raises(Crash):
        diverge(
            checkpoint=Checkpoint(path, epochs=1), callback=stopping_at(reference.epoch - 2, Crash)
        )
    resumed = diverge(checkpoint=path)
    assert (resumed.step, resumed.epoch) == (reference.step, reference.epoch)
    np.testing.assert_array_equal(resumed.theta, reference.theta)
    np.testing.assert_array_equal(resumed.history["cost"], reference.history["cost"])


@pytest.mark.parametrize("error", [KeyboardInterrupt, Crash])
@pytest.mark.parametrize("name", RUNS)
def test_what_was_reached_is_kept_without_a_write_before(path, name, error):
    """Written when the run ends, of a moment before: nothing that came later goes along."""
    with contextlib.suppress(Crash):
        run(path, seconds=1e6, callback=stopping_at(9, error), **RUNS[name])
    assert checkpoint_files.read(path).epochs in (8, 9)
    assert_same_run(run(path, **RUNS[name]), run(**RUNS[name]))


def test_the_parameters_of_a_caller_stay_as_they_are(path):
    theta = NETWORK.initial_parameters(3)
    kept = theta.copy()
    run(path, theta=theta, sample_weight=np.ones(150))
    run(path, theta=theta, sample_weight=np.ones(150), max_iter=30)
    np.testing.assert_array_equal(theta, kept)


# Fits that go on.


def fitted(kind, path=None, dtype="float64", held_out=None, seconds=0.0, seed=3, **others):
    estimator = kind(
        hidden_layer_sizes=(5,),
        max_iter=MAX_ITER,
        random_state=seed,
        checkpoint=path if not isinstance(path, Path) else Checkpoint(path, seconds, epochs=1),
        **others,
    )
    y = Y.astype(int) if kind is MLPClassifier else X.sum(axis=0)
    if held_out:
        held_out = {"X_val": X.T[:40].astype(dtype), "y_val": y[:40]}
    return estimator.fit(X.T.astype(dtype), y, **(held_out or {}))


@contextlib.contextmanager
def stopped_at(monkeypatch, epoch, error):
    consider = FitWatch.consider

    def consider_and_stop(self, *arguments):
        reason = consider(self, *arguments)
        if len(self.losses) >= epoch:
            raise error
        return reason

    with monkeypatch.context() as patched:
        patched.setattr(FitWatch, "consider", consider_and_stop)
        yield


def assert_same_fit(one, other, draws=True):
    attributes = {name: value for name, value in vars(one).items() if name.endswith("_")}
    assert attributes.keys() == {name for name in vars(other) if name.endswith("_")}
    for name, value in attributes.items():
        if name not in ("plan_", "n_threads_", "coefs_", "intercepts_"):
            assert repr(value) == repr(getattr(other, name)), name
    assert one.fingerprint_ == other.fingerprint_
    if draws:
        np.testing.assert_array_equal(one._draws.words(), other._draws.words())


@pytest.mark.sample(12)
@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("name", FITS)
def test_a_fit_that_was_stopped_ends_with_the_same_bits(
    path, name, kind, dtype, held_out, monkeypatch
):
    told: dict[str, Any] = {"dtype": dtype, "held_out": held_out, **FITS[name]}
    reference = fitted(kind, **told)
    with stopped_at(monkeypatch, 3, KeyboardInterrupt):
        assert fitted(kind, path, **told).n_iter_ < reference.n_iter_
    with stopped_at(monkeypatch, 5, Crash), pytest.raises(Crash):
        fitted(kind, path, **told)
    resumed = fitted(kind, path, **told)
    assert_same_fit(resumed, reference)
    assert "went on from" in resumed.plan_.why
    assert_same_fit(fitted(kind, path, **told), reference)


@pytest.mark.parametrize("name", FITS)
def test_what_a_fit_has_reached_is_kept_without_a_write_before(path, name, monkeypatch):
    told: dict[str, Any] = {"held_out": True, **FITS[name]}
    kept = Checkpoint(path)
    with stopped_at(monkeypatch, 6, Crash), pytest.raises(Crash):
        fitted(MLPRegressor, kept, **told)
    assert 4 <= checkpoint_files.read(path).epochs <= 6
    assert_same_fit(fitted(MLPRegressor, kept, **told), fitted(MLPRegressor, **told))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_fit_that_goes_on_says_no_line_twice(path, solver, monkeypatch, capsys):
    with stopped_at(monkeypatch, 6, Crash), pytest.raises(Crash):
        fitted(MLPRegressor, path, solver=solver, verbose=True)
    begun = capsys.readouterr().out.splitlines()
    resumed = fitted(MLPRegressor, path, solver=solver, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    numbers = [int(line.split()[1].rstrip(",")) for line in lines if "loss =" in line]
    assert numbers == list(range(numbers[0], resumed.n_iter_ + 1))
    assert 5 <= numbers[0] <= 6 <= len(begun)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("seed", ["none", "generator"])
def test_draws_that_come_from_a_generator_are_those_of_the_first_start(
    path, seed, early_stopping, monkeypatch
):
    """The split, the initial values and the order, wherever that generator stands now."""
    told = {"solver": "adam", "early_stopping": early_stopping, "batch_size": 16}

    def start(number):
        np.random.seed(number)  # noqa: NPY002
        return None if seed == "none" else np.random.RandomState(number)

    def drawn(state):  # where the caller's generator stands afterwards
        return (np.random.mtrand._rand if state is None else state).randint(2**30)

    state = start(5)
    reference = fitted(MLPClassifier, seed=state, **told)
    next_number = drawn(state)
    with stopped_at(monkeypatch, 3, Crash), pytest.raises(Crash):
        fitted(MLPClassifier, path, seed=start(5), **told)
    state = start(99 if seed == "none" else 5)
    assert_same_fit(fitted(MLPClassifier, path, seed=state, **told), reference, draws=False)
    assert drawn(state) == next_number
    if seed == "generator":
        with pytest.raises(CheckpointError, match="random_state is 'a generator in state"):
            fitted(MLPClassifier, path, seed=start(99), **told)


def test_a_fit_that_diverges_when_it_goes_on_keeps_the_same_parameters(path):
    """Its last epoch ended with a loss that nobody had seen yet: the next one is not finite."""

    def fit(max_iter, **others):
        estimator = MLPRegressor(
            hidden_layer_sizes=(5,),
            activation="tanh",
            solver="gd",
            learning_rate_init=40.0,
            max_iter=max_iter,
            random_state=0,
            **others,
        )
        with contextlib.suppress(ValueError):
            estimator.fit(X.T, X.sum(axis=0))
        return estimator

    reference = fit(500, n_iter_no_change=999)
    assert 2 < reference.n_iter_ < 500
    fit(reference.n_iter_ - 1, n_iter_no_change=999, checkpoint=path)
    resumed = fit(500, n_iter_no_change=999, checkpoint=path)
    assert resumed.n_iter_ == reference.n_iter_
    assert resumed.fingerprint_ == reference.fingerprint_


def test_sparse_rows_go_on_too(path, monkeypatch):
    rows = scipy.sparse.random(80, 20, 0.1, format="csr", random_state=0)
    y = (np.arange(80) % 2).astype(int)

    def fit(**others):
        return MLPClassifier((4,), random_state=0, max_iter=9, **others).fit(rows, y)

    reference = fit()
    with stopped_at(monkeypatch, 3, Crash), pytest.raises(Crash):
        fit(checkpoint=Checkpoint(path, epochs=1))
    assert_same_fit(fit(checkpoint=path), reference)
    rows.data[3] += 1
    with pytest.raises(CheckpointError, match="X holds other numbers"):
        fit(checkpoint=path)


def test_a_second_fit_with_warm_start_is_another_run(path):
    first = fitted(MLPClassifier, path, warm_start=True)
    with pytest.raises(CheckpointError, match=r"a fit to go on from \(warm_start\) was not given"):
        first.fit(X.T, Y.astype(int))
    assert first.n_iter_ == MAX_ITER  # as it was
    first.set_params(checkpoint=path.with_name("second.ckpt"))
    one = copy.deepcopy(first).fit(X.T, Y.astype(int))
    assert_same_fit(copy.deepcopy(first).fit(X.T, Y.astype(int)), one)


def test_partial_fit_writes_none(path):
    estimator = MLPClassifier((4,), random_state=0, checkpoint=path)
    estimator.partial_fit(X.T, Y.astype(int), classes=[0, 1])
    assert not path.exists()


def test_folds_of_a_cross_validation_do_not_go_on_from_each_other(path):
    estimator = MLPClassifier((4,), random_state=0, max_iter=5, checkpoint=path)
    with pytest.raises(ValueError, match=r"belongs to another run: X holds other numbers"):
        cross_val_score(estimator, X.T, Y.astype(int), cv=3, error_score="raise")


def test_estimators_with_checkpoints_can_be_cloned(path):
    estimator = MLPRegressor(checkpoint=Checkpoint(path, epochs=3))
    assert clone(estimator).checkpoint == Checkpoint(path, epochs=3)


# Runs that do not go on: another run's file.


def score(estimator, X, y, sample_weight=None):
    return estimator.score(X, y)


SCORERS = [
    make_scorer(f1_score),
    make_scorer(precision_score),
    make_scorer(f1_score, zero_division=0),
    score,
    lambda estimator, X, y, sample_weight=None: estimator.score(X, y) + 1,
    lambda estimator, X, y, sample_weight=None: estimator.score(X, y) + 2,
    lambda estimator, X, y, sample_weight=None: estimator.score(X, y) in {"a", "b", "c", "d"},
    functools.partial(score, sample_weight=None),
    functools.partial(score, sample_weight=1),
]


def scorers_in_words() -> list[str]:
    return [json.dumps(in_words(scorer)) for scorer in SCORERS]


@pytest.mark.proof
def test_scorers_are_told_apart_and_known_in_another_process():
    words = scorers_in_words()
    assert len(set(words)) == len(words)
    assert processes.result_of(scorers_in_words) == words


def test_another_scorer_is_another_fit(path):
    told = {"early_stopping": True, "solver": "adam"}
    fitted(MLPClassifier, path, scoring=SCORERS[0], **told)
    fitted(MLPClassifier, path, scoring=make_scorer(f1_score), **told)
    with pytest.raises(CheckpointError, match=r"scoring is 'sklearn\.metrics\._scorer\._Scorer"):
        fitted(MLPClassifier, path, scoring=SCORERS[1], **told)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"hidden_layer_sizes": (5,)}, {"hidden_layer_sizes": [np.int64(5)]}),
        ({"hidden_layer_sizes": 5}, {"hidden_layer_sizes": np.array([5])}),
        ({"activation": "relu"}, {"activation": ["relu"]}),
        ({"batch_size": "auto"}, {"batch_size": 150}),
        ({"class_weight": {0: 1, 1: 2}}, {"class_weight": {np.int64(1): 2.0, np.int64(0): 1.0}}),
        ({"alpha": 1e-3}, {"alpha": np.float64(1e-3)}),
        ({"n_iter_no_change": np.inf}, {"n_iter_no_change": math.inf}),
        ({"random_state": np.int64(3)}, {"random_state": 3}),
    ],
)
def test_what_means_the_same_is_the_same_fit(path, one, other):
    def fit(**told):
        told = {"hidden_layer_sizes": 5, "random_state": 3, "max_iter": 4, **told}
        return MLPClassifier(checkpoint=path, **told).fit(X.T, Y.astype(int))

    fit(**one)
    assert "went on" in fit(**other).plan_.why


def test_numbers_of_numpy_are_numbers(path):
    told = {"seed": np.int64(3), "batch_size": np.int32(16), "alpha": np.float32(0.5)}
    run(path, max_iter=np.int64(4), **told)
    told = {"seed": 3, "batch_size": 16, "alpha": 0.5}
    assert "went on" in run(path, max_iter=4, **told).plan.why


def test_another_blas_is_refused_where_it_takes_part(path, monkeypatch):
    run(path, backend="numpy")
    run(path.with_name("tiled"), backend="tiled")
    monkeypatch.setattr(identity, "identity_of_blas", lambda: ["abacus 1"])
    with pytest.raises(CheckpointError, match=r"BLAS is \['abacus 1'\] and was \['"):
        run(path, backend="numpy")
    assert "went on" in run(path.with_name("tiled"), backend="tiled").plan.why


def test_fewer_evaluations_than_were_made_are_refused(path):
    fitted(MLPRegressor, path, solver="lbfgs", max_fun=15)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"holds \d+ evaluations, and max_fun is 10\. Noth"):
        fitted(MLPRegressor, path, solver="lbfgs", max_fun=10)
    assert path.read_bytes() == before
    assert_same_fit(
        fitted(MLPRegressor, path, solver="lbfgs"), fitted(MLPRegressor, solver="lbfgs")
    )


def test_rows_that_were_sparse_are_named_so(path):
    def fit(rows):
        return MLPClassifier(4, random_state=0, max_iter=3, checkpoint=path).fit(rows, Y)

    fit(scipy.sparse.csr_array(X.T))
    with pytest.raises(CheckpointError, match="run: X is dense and was sparse"):
        fit(X.T)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.02}, "learning_rate is 0.02 and was 0.01"),
        ({"seed": 4}, "seed is 4 and was 0"),
        ({"alpha": 0.1}, "alpha is 0.1 and was 0.0"),
        ({"solver": "sgd"}, "solver is 'sgd' and was 'adam'; update is 'nesterov' and was 'adam'"),
        ({"weight_decay": 0.1}, "weight_decay is 0.1 and was 0.0"),
        ({"average": 0.5}, "average is 0.5 and was None"),
        ({"clip_norm": 0.5}, "clip_norm is 0.5 and was None"),
        ({"label_smoothing": 0.5}, "label_smoothing is 0.5 and was 0.0"),
        ({"schedule": "cosine"}, "schedule is 'cosine' and was 'constant'; steps of the cosine"),
        ({"backend": "numpy"}, "backend is 'numpy' and was 'tiled'"),
        ({"batch_size": 17}, "batch_size is 17 and was 16"),
        ({"shuffle": False}, "shuffle is False and was True"),
        ({"tol": 0.1}, "tol is 0.1 and was 0.0; stops is 1 and was 0"),
        ({"theta": NETWORK.initial_parameters(1)}, "theta was not given in that run"),
        ({"sample_weight": np.ones(150)}, "sample_weight was not given in that run"),
        (VALIDATION, "X_val was not given in that run; Y_val was not given in that run"),
        ({"dtype": "float32"}, "X is float32 and was float64"),
    ],
)
def test_other_settings_are_refused_and_named(path, changes, message):
    run(path, batch_size=16)
    before = path.read_bytes()
    with pytest.raises(CheckpointError) as caught:
        run(path, **{"batch_size": 16, **changes})
    assert str(caught.value).startswith(f"{path} belongs to another run: {message}")
    assert str(caught.value).endswith(
        "Nothing was changed. Pass what it was made with, name another file, or delete it. (Fits "
        "of a search or of a cross-validation cannot share one: pass checkpoint=None there.)"
    )
    assert path.read_bytes() == before
    assert sorted(os.listdir(path.parent)) == ["run.ckpt", "run.ckpt.previous"]


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (X + 1e-9, Y, "X holds other numbers."),
        (X, 1 - Y, "Y holds other numbers."),
        (X[:, :149], Y[:149], "X has shape (3, 149) and had (3, 150); Y has shape (1, 149) and"),
    ],
)
def test_other_data_are_refused(path, inputs, targets, message):
    train(NETWORK, X, Y, max_iter=2, checkpoint=path)
    with pytest.raises(CheckpointError, match=re.escape(f"run: {message}")):
        train(NETWORK, inputs, targets, max_iter=2, checkpoint=path)


def test_the_memory_order_of_the_data_is_nobodys_business(path):
    train(NETWORK, X, Y, max_iter=2, checkpoint=path)
    again = train(NETWORK, np.asfortranarray(X), Y[None, :], max_iter=2, checkpoint=path)
    assert "went on" in again.plan.why


def test_another_network_is_refused(path):
    train(NETWORK, X, Y, max_iter=2, checkpoint=path)
    with pytest.raises(CheckpointError, match=r"sizes is \[3, 4, 1\] and was \[3, 5, 1\]"):
        train(Network((3, 4, 1)), X, Y, max_iter=2, checkpoint=path)


def test_another_machine_is_refused_unless_asked_for(path, monkeypatch):
    told = {"solver": "adam", "batch_size": 16}
    run(path, **told)
    there = {**identity.identity_of_machine(False), "numba": "0.1", "processor": "abacus"}
    monkeypatch.setattr(identity, "identity_of_machine", lambda blas: there)
    with pytest.raises(CheckpointError) as caught:
        run(path, **told)
    assert "numba is '0.1' and was '0." in str(caught.value)
    assert "processor is 'abacus' and was" in str(caught.value)
    assert str(caught.value).endswith("Checkpoint(..., any_machine=True) resumes anyway.")
    settings = {"max_iter": MAX_ITER, "learning_rate": 0.01, **told}
    anyway = train(NETWORK, X, Y, checkpoint=Checkpoint(path, any_machine=True), **settings)
    assert "went on" in anyway.plan.why


def test_other_settings_of_the_compiler_and_features_of_the_processor_are_named(path, monkeypatch):
    ours = {**environment(), "processor's features": "+light"}  # of a processor in no class
    there = {**ours, "NUMBA_OPT": "7", "processor's features": "+light,+warp"}
    monkeypatch.setattr("engine.training.identity.environment", lambda: ours)
    run(path, solver="gd")
    monkeypatch.setattr("engine.training.identity.environment", lambda: there)
    with pytest.raises(CheckpointError) as caught:
        run(path, solver="gd")
    assert f"NUMBA_OPT is '7' and was '{ours['NUMBA_OPT']}'" in str(caught.value)
    assert "; processor's features: with warp. Nothing was changed" in str(caught.value)


def test_fewer_epochs_than_were_reached_are_refused(path):
    run(path)
    with pytest.raises(CheckpointError, match="has reached epoch 24, and max_iter is 10"):
        run(path, max_iter=10)
    with pytest.raises(CheckpointError, match="has reached epoch 24, and max_iter is 23"):
        run(path, max_iter=23)


def test_another_format_is_refused(path, monkeypatch):
    run(path)
    monkeypatch.setattr(checkpoint_files, "FORMAT", 3)
    with pytest.raises(
        CheckpointError, match=r"reads format 3\. Go on with the mlp-engine that wrote"
    ):
        run(path)


@pytest.mark.parametrize("given", [3, "", {"path": "a"}, True])
def test_what_is_no_file_name_is_refused(given):
    with pytest.raises(TypeError, match="checkpoint must be the name of a file; got"):
        train(NETWORK, X, Y, checkpoint=given)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seconds": -1}, "seconds must be finite and at least 0; got -1."),
        ({"seconds": math.nan}, "seconds must be finite and at least 0; got nan."),
        ({"epochs": 0}, "epochs must be at least 1; got 0."),
        ({"epochs": 1.5}, "epochs must be a whole number; got 1.5."),
        ({"any_machine": 1}, "any_machine must be True or False; got 1."),
    ],
)
def test_numbers_out_of_range_are_refused(settings, message):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        Checkpoint("run.ckpt", **settings)


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_what_cannot_be_the_name_of_a_file_is_refused(tmp_path, name):
    with pytest.raises(CheckpointError, match=r"no name for a file|File name too long"):
        run(tmp_path / name)


def test_a_loop_of_links_is_refused(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(CheckpointError, match=r"no name for a file|cannot be written"):
        run(tmp_path / "a")


def test_folders_that_are_not_there_are_named_before_any_work(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"cannot be written: No such file or directory\. Not"
    ):
        run(tmp_path / "nowhere" / "run.ckpt")
    with pytest.raises(CheckpointError, match="is a folder; name a file"):
        run(tmp_path)


# Files that are damaged.


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "other"])
def test_a_damaged_file_gives_way_to_the_one_before_it(path, damage):
    told = {"solver": "gd"}
    with pytest.raises(Crash):
        run(path, callback=stopping_at(9, Crash), **told)
    content = path.read_bytes()
    middle = len(content) // 2
    damaged = {
        "truncated": content[:middle],
        "flipped": content[:-1] + bytes([content[-1] ^ 1]),  # in the arrays
        "empty": b"",
        "other": b"some text" * 30,
    }[damage]
    path.write_bytes(damaged)
    with pytest.warns(UserWarning, match=r"damaged one .* goes on from run.ckpt.previous, of ep"):
        resumed = run(path, **told)
    assert path.with_name("run.ckpt.damaged").read_bytes() == damaged
    assert_same_run(resumed, run(**told))


def test_two_damaged_files_are_an_error_and_stay(path):
    run(path)
    for file in (path, checkpoint_files.previous_of(path)):
        file.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"is no checkpoint, or a damaged one .* start anew"):
        run(path)
    assert path.read_bytes() == b"nothing"
    path.unlink()
    assert_same_run(run(path), run())


def test_a_damaged_file_of_another_run_stays_where_it_is(path):
    with pytest.raises(Crash):
        run(path, solver="gd", callback=stopping_at(9, Crash))
    path.write_bytes(b"damage")
    with pytest.raises(CheckpointError, match="belongs to another run"):
        run(path, solver="gd", learning_rate=0.3)
    assert path.read_bytes() == b"damage"
    assert not path.with_name("run.ckpt.damaged").exists()


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_a_file_that_cannot_be_read_now_is_not_taken_for_damaged(path, error, monkeypatch):
    run(path, solver="gd")
    before = path.read_bytes()

    def fail(*_):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint_files, "_read", fail)
        with pytest.raises((CheckpointError, MemoryError), match="Nothing was trained, nothing ch"):
            run(path, solver="gd")
    assert path.read_bytes() == before
    assert_same_run(run(path, solver="gd"), run(solver="gd"))


def test_a_file_that_was_not_put_in_place_is_gone_on_from(path):
    """As a crash between the two renamings would leave it."""
    with pytest.raises(Crash):
        run(path, solver="gd", callback=stopping_at(9, Crash))
    path.rename(path.with_name("run.ckpt.new"))
    resumed = run(path, solver="gd")
    assert_same_run(resumed, run(solver="gd"))
    assert "went on from" in resumed.plan.why


@pytest.mark.parametrize("rest", [b"", b"the beginning of a checkpoint"])
def test_to_start_anew_one_deletes_the_file(path, rest):
    """What stands beside it is nobody's run, then."""
    run(path, solver="lbfgs")
    path.unlink()
    path.with_name("run.ckpt.new").write_bytes(rest)
    anew = run(path, solver="gd")
    assert "went on" not in anew.plan.why
    assert_same_run(anew, run(solver="gd"))


@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.99])
def test_every_part_of_the_file_is_under_the_checksum(path, place):
    run(path, solver="adam", batch_size=16)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        checkpoint_files.read(path)


def log_of(path):
    return path.with_name(path.name + ".evaluations")


def crash_lbfgs(path):
    with pytest.raises(Crash):
        run(path, solver="lbfgs", callback=stopping_at(9, Crash))


def test_evaluations_are_replayed_and_not_computed(path):
    crash_lbfgs(path)
    evaluate = Objective.cost_and_gradient
    with mock.patch.object(Objective, "cost_and_gradient", autospec=True) as counted:
        counted.side_effect = evaluate
        resumed = run(path, solver="lbfgs")
        after = counted.call_count
        assert_same_run(run(solver="lbfgs"), resumed)
    assert after < counted.call_count - after - 8


def test_lost_or_damaged_evaluations_are_named(path):
    crash_lbfgs(path)
    log = log_of(path)
    content = log.read_bytes()
    log.write_bytes(content[:50])
    with pytest.raises(CheckpointError, match=r"run.ckpt.evaluations has lost evaluations: \d+ of"):
        run(path, solver="lbfgs")
    log.unlink()
    with pytest.raises(CheckpointError, match="has lost evaluations"):
        run(path, solver="lbfgs")
    log.write_bytes(content[:70] + b"\x00\x01\x02" + content[73:])
    with pytest.raises(CheckpointError, match=r"run\.ckpt\.evaluations is damaged at evaluation 0"):
        run(path, solver="lbfgs")
    log.write_bytes(content + b"a record that was begun")
    assert_same_run(run(path, solver="lbfgs"), run(solver="lbfgs"))


def test_another_way_of_scipys_is_noticed(path, monkeypatch):
    crash_lbfgs(path)
    monkeypatch.setattr(lbfgs_evaluation_log, "_digest", lambda theta: bytes(4))
    with pytest.raises(CheckpointError, match="evaluation 0 was at another point"):
        run(path, solver="lbfgs")


# Disks that fail.


@pytest.mark.sample(2)
@pytest.mark.parametrize("solver", ["adam", "gd", "lbfgs"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), MemoryError()])
def test_a_full_disk_ends_no_run_and_is_said_once(path, solver, error, monkeypatch):
    told = {"solver": solver, "batch_size": 16}
    with pytest.raises(Crash):
        run(path, callback=stopping_at(5, Crash), **told)
    kept = path.read_bytes()

    def fail(*_):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.warns(UserWarning, match="No checkpoint could be written to") as said:
            result = run(path, **told)
    assert len(said) == 1
    reason = "No space left on device" if isinstance(error, OSError) else "MemoryError"
    assert re.search(
        rf"run.ckpt: {reason}. Training goes on; the one of epoch \d is kept.", str(said[0].message)
    )
    assert_same_run(result, run(**told))
    assert path.read_bytes() == kept
    assert not path.with_name("run.ckpt.new").exists()
    assert_same_run(run(path, **told), result)


def test_where_warnings_are_errors_a_full_disk_ends_no_run_either(path, monkeypatch, caplog):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same_run(run(path, solver="gd"), run(solver="gd"))
    assert "No space left on device. Training goes on" in caplog.text


def test_an_error_says_what_is_kept(path):
    with pytest.raises(Crash) as caught:
        run(path, solver="gd", callback=stopping_at(9, Crash))
    assert caught.value.__notes__ == [f"{path} holds epoch 8: the same call goes on from there."]
    with pytest.raises(CheckpointError) as refused:
        run(path, solver="gd", max_iter=3)
    assert not hasattr(refused.value, "__notes__")


def test_a_disk_that_recovers_is_written_to_again(path, monkeypatch):
    """Evaluations that could not be written wait in memory."""
    fsync, failures = os.fsync, iter([True] * 4)

    def fail(descriptor):
        if next(failures, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with (
            pytest.warns(UserWarning, match="Training goes on; none was written before."),
            pytest.raises(Crash),
        ):
            run(path, solver="lbfgs", callback=stopping_at(15, Crash))
    assert checkpoint_files.read(path).epochs == 14
    assert_same_run(run(path, solver="lbfgs"), run(solver="lbfgs"))


def test_evaluations_in_memory_have_a_bound(path, monkeypatch):
    monkeypatch.setattr(lbfgs_evaluation_log, "MOST_WAITING", 800)
    monkeypatch.setattr(lbfgs_evaluation_log, "BYTES_A_WRITE", 200)

    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lbfgs_evaluation_log.EvaluationLog, "_write", fail)
    log = lbfgs_evaluation_log.EvaluationLog(path.with_name("log"), 10, "float64", 0)
    for _ in range(30):
        log.add(np.zeros(10), 0.0, np.zeros(10))
        assert sum(map(len, log._waiting)) < 900
    with pytest.raises(OSError, match="evaluations were lost while the disk was full"):
        log.flush()
    log.close()
    with pytest.warns(UserWarning, match="No space left on device|evaluations were lost"):
        result = run(path, solver="lbfgs")
    assert_same_run(result, run(solver="lbfgs"))


def test_ctrl_c_while_writing_leaves_what_was_there(path, monkeypatch):
    fsync = os.fsync
    with pytest.raises(Crash):
        run(path, solver="gd", callback=stopping_at(5, Crash))
    kept = path.read_bytes()

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(path, solver="gd")
    monkeypatch.setattr(os, "fsync", fsync)
    assert path.read_bytes() == kept
    assert sorted(os.listdir(path.parent)) == ["run.ckpt", "run.ckpt.previous"]
    assert_same_run(run(path, solver="gd"), run(solver="gd"))


# Several processes.


def test_a_file_in_use_is_refused(path):
    def start_another(told):
        with pytest.raises(CheckpointError, match="belongs to a run that is under way, in another"):
            run(path, solver="gd")
        return told.epoch == 3

    assert run(path, solver="gd", callback=start_another).stopped == "callback"
    assert not path.with_name("run.ckpt.lock").exists()


def test_a_file_in_use_is_refused_before_a_look_at_the_data(path, monkeypatch):
    lock = FileLock(path.with_name("run.ckpt.lock"))
    monkeypatch.setattr("engine.training.trainer.identity_of_training", None)
    with pytest.raises(CheckpointError, match="belongs to a run that is under way"):
        run(path)
    lock.release()


def test_a_lock_is_free_again_and_its_file_gone(tmp_path):
    lock = tmp_path / "lock"
    first = FileLock(lock)
    with pytest.raises(InUse):
        FileLock(lock)
    first.release()
    first.release()
    assert not lock.exists()
    second = FileLock(lock)
    lock.unlink()  # a third may take the name, and not the lock that is held
    FileLock(lock).release()
    second.release()


def test_a_lock_whose_file_was_removed_before_it_was_got_is_taken_anew(tmp_path, monkeypatch):
    """By the holder before, who has just ended: else two would hold two files of one name."""
    lock, opened, times = tmp_path / "lock", os.open, []

    def open_and_remove(path, *told):
        descriptor = opened(path, *told)
        times.append(path)
        if len(times) == 1:
            os.unlink(path)
        return descriptor

    monkeypatch.setattr(os, "open", open_and_remove)
    held = FileLock(lock)
    with pytest.raises(InUse):
        FileLock(lock)
    assert len(times) == 3
    held.release()


def test_a_lock_ends_with_its_process_also_where_a_child_lives_on(tmp_path):
    code = f"""
import os, sys, time
from pathlib import Path
from engine.system.file_locks import FileLock
lock = FileLock(Path({str(tmp_path / "lock")!r}))
if child := os.fork():
    print(child, flush=True)
    os._exit(0)
os.close(1)
os.close(2)
time.sleep(60)
"""
    child = int(processes.output("-c", code))
    try:
        FileLock(tmp_path / "lock").release()
    finally:
        os.kill(child, signal.SIGKILL)  # an error if it has ended


def test_a_file_that_only_has_the_name_of_a_lock_stays(tmp_path):
    (tmp_path / "uv.lock").write_text("of another program")
    train(NETWORK, X, Y, max_iter=1, checkpoint=tmp_path / "uv")
    assert (tmp_path / "uv.lock").read_text() == "of another program"


def test_a_forked_child_writes_nothing_and_says_so(path):
    """The file is the parent's: the child trains on, and neither harms the other."""
    said = path.with_name("said.txt")

    def fork(told):
        if told.epoch != 5:
            return False
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            assert status == 0
        else:
            os.environ["IS_CHILD"] = "1"
        return False

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = run(path, solver="gd", callback=fork)
    if os.environ.pop("IS_CHILD", None):  # here the child ends
        messages = [str(one.message) for one in caught]
        said.write_text("\n".join([result.fingerprint, *messages]))
        os._exit(0)
    fingerprint, *messages = said.read_text().splitlines()
    assert fingerprint == result.fingerprint == run(solver="gd").fingerprint
    assert len(messages) == 1
    assert "it belongs to the process that this one was forked from" in messages[0]
    assert not caught
    assert checkpoint_files.read(path).epochs == MAX_ITER


# How often.


def test_checkpoints_come_after_so_many_epochs(path, monkeypatch):
    written = []
    write = checkpoint_files.write

    def count(place, saved):
        written.append((saved.epochs, saved.stopped))
        write(place, saved)

    monkeypatch.setattr("engine.training.checkpoint.write", count)
    for solver in ("adam", "gd", "lbfgs"):
        written.clear()
        kept = Checkpoint(path.with_name(solver), epochs=10)
        train(NETWORK, X, Y, solver=solver, max_iter=35, batch_size=16, checkpoint=kept)
        assert written == [(10, None), (20, None), (30, None), (35, "max_iter")]


def test_without_a_number_they_take_a_small_share_of_the_time(path, monkeypatch):
    """Thirty seconds apart, or a hundred times what writing takes."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    written = []

    def write(place, saved):
        written.append(now[0])
        now[0] += 2.0  # a slow disk

    monkeypatch.setattr("engine.training.checkpoint.write", write)
    keeper = Keeper(Checkpoint(path))
    keeper.open(dict)
    for epoch in range(500):
        now[0] += 1.0
        keeper.reached(epoch, dict)
    keeper.close()
    assert written == [30.0, 232.0, 434.0]


def test_the_file_can_be_read_without_the_package(path):
    """It is a safetensors file, as its description says."""
    import safetensors.numpy

    run(path, solver="adam", batch_size=16)
    arrays = safetensors.numpy.load_file(path)
    assert arrays["state.theta"].shape == (NETWORK.n_parameters,)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    assert header["mlp-engine"] == "checkpoint 2"
    assert json.loads(header["facts"])["run"]["learning_rate"] == 0.01


@pytest.mark.proof
def test_training_with_a_checkpoint_needs_no_scikit_learn(tmp_path):
    code = f"""
import sys, numpy as np
from engine import Network, train
train(Network((2, 1)), np.eye(2), [0, 1], max_iter=2, checkpoint={str(tmp_path / "a")!r})
print([name for name in sys.modules if name.startswith("sklearn")])
"""
    assert processes.output("-c", code).strip() == "[]"


def test_the_name_may_be_a_path_or_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(NETWORK, X, Y, max_iter=1, checkpoint="a.ckpt")
    assert "went on" in train(NETWORK, X, Y, max_iter=1, checkpoint=Path("a.ckpt")).plan.why


def test_a_checkpoint_of_gd_does_not_grow_with_the_samples(tmp_path):
    """Each step takes all samples, so there is no order to keep."""
    network, sizes = Network((1, 1), output="identity"), []
    for n_samples in (10, 100_000):
        path = tmp_path / f"{n_samples}.ckpt"
        X = np.linspace(0, 1, n_samples)[None]
        train(network, X, X, solver="gd", max_iter=2, checkpoint=path)
        sizes.append(path.stat().st_size)
        train(network, X, X, solver="gd", max_iter=4, checkpoint=path)  # it can be resumed
    assert max(sizes) < 10_000
