"""`engine warmup`: afterwards, nothing is left to compile."""

import errno
import json
import warnings
from unittest import mock

import numpy as np
import pytest

from engine import MLPRegressor, Network, fit_many, train
from tests import processes

COMPILED = pytest.mark.compiled


def compiled_by_users():
    """Names of kernels that any of these calls compiles, in the dtype that was warmed up."""
    from numba.core import event

    names = []

    class Listener(event.Listener):  # type: ignore[misc]
        def on_start(self, started):
            names.append(started.data["dispatcher"].py_func.__name__)

        def on_end(self, ended):
            pass

    event.register("numba:compile", Listener())
    columns = np.random.default_rng(0).normal(size=(3, 1500)).astype("float32")
    rows = np.ascontiguousarray(columns.T).T
    labels, codes = (columns[0] > 0).astype(int), np.arange(1500) % 3
    weights = np.linspace(0.5, 2, 1500)
    binary, classes = Network((3, 4, 1)), Network((3, 5, 4, 3), hidden="relu", output="softmax")
    for X in (columns, rows, columns[:, ::-1], np.asfortranarray(columns)[:, ::2]):
        m = X.shape[1]
        train(binary, X, labels[:m], batch_size=50, max_iter=1)
        train(classes, X, codes[:m], solver="sgd", max_iter=1, sample_weight=weights[:m])
        train(
            classes, X, np.eye(3)[codes[:m]].T, batch_size=7, max_iter=1, X_val=X, Y_val=codes[:m]
        )
    for solver in ("gd", "lbfgs"):
        train(binary, rows, labels, solver=solver, max_iter=2, alpha=0.1)
    for settings in ({"momentum": 0.0}, {"nesterov": False, "schedule": "invscaling"}):
        train(binary, rows, labels, solver="sgd", max_iter=1, n_threads=2, **settings)
    theta = classes.initial_parameters(0, "float32")
    classes.forward(theta, columns)
    classes.cost_and_gradient(theta, rows, codes, sample_weight=weights)
    for solver, loss in (("adam", "squared_error"), ("sgd", "poisson")):
        models = [MLPRegressor(loss, (4,), solver=solver, max_iter=2) for _ in range(4)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they have not converged
            fit_many(models, rows.T[:50], codes[:50], sample_weight=weights[:50])
    return names


@pytest.mark.proof
@COMPILED
def test_after_a_warmup_nothing_is_compiled(tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path)}
    first = processes.engine("warmup", "--dtype", "float32", cwd=tmp_path, env=cache)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.count(" compiled") == 3
    assert "import numba" in first.stdout
    assert "float64" not in first.stdout
    assert "total" in first.stdout
    entries = {path.name for path in tmp_path.rglob("*.kernel")}
    assert any("descend_tiled" in name for name in entries)
    assert f"{len(entries)} kernels" in first.stdout
    assert processes.result_of(compiled_by_users, env=cache) == []
    again = processes.engine("warmup", "--dtype", "float32", cwd=tmp_path, env=cache)
    assert again.stdout.count("kept before") == 3
    assert " compiled" not in again.stdout
    assert {path.name for path in tmp_path.rglob("*.kernel")} == entries


def compiled_by_users_of_embeddings():
    """The same of networks with embeddings."""
    from numba.core import event

    from engine.embeddings import Levels, Pieces

    with event.install_recorder("numba:compile") as recorder:
        X = np.random.default_rng(0).normal(size=(1500, 3)).astype("float32")
        X[:, 1] = np.arange(1500) % 5
        embeddings = [Pieces([-1, 0, 1], 7, missing=True), Levels(5, 3), None]
        for solver in ("adam", "sgd", "lbfgs"):
            model = MLPRegressor(hidden_layer_sizes=(4,), solver=solver, max_iter=2)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they have not converged
                model.set_params(embeddings=embeddings).fit(X, X[:, 0])
            model.predict(X)
            model.predict(X[:1])
            model.predictor().predict(X[0])
    return [e.data["dispatcher"].py_func.__name__ for _, e in recorder.buffer if e.is_start]


@pytest.mark.proof
@COMPILED
def test_after_a_warmup_of_embeddings_nothing_is_compiled(tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path)}
    asked = ("warmup", "--dtype", "float32", "--embeddings")
    first = processes.engine(*asked, cwd=tmp_path, env=cache)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.count(" compiled") == 4
    assert "tiled: embeddings" in first.stdout
    assert processes.result_of(compiled_by_users_of_embeddings, env=cache) == []


@pytest.mark.proof
@COMPILED
def test_the_listener_sees_what_is_compiled(tmp_path):
    """The test above would not be worth much if this were empty."""
    code = (
        "import json; from tests.cli import test_warmup;"
        "print(json.dumps(test_warmup.compiled_by_users()))"
    )
    printed = processes.output("-c", code, env={"NUMBA_CACHE_DIR": str(tmp_path)})
    assert "descend_tiled" in json.loads(printed.splitlines()[-1])


@pytest.mark.proof
@COMPILED
def test_a_cache_that_cannot_be_kept_is_an_error_with_advice(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    done = processes.engine("warmup", cwd=tmp_path, env={"NUMBA_CACHE_DIR": str(blocked)})
    assert done.returncode == 2
    assert "compiled kernels cannot be kept in" in done.stderr
    assert "Set NUMBA_CACHE_DIR to a folder that can be written." in done.stderr
    assert done.stdout == ""


def warm_up_on_a_full_disk():
    """The folder can be made, and a small file in it, but no entry; status of the command."""
    from engine.cli import main

    full = OSError(errno.ENOSPC, "No space left on device")
    with mock.patch("os.replace", side_effect=full), pytest.raises(SystemExit) as end:
        main.main(["warmup", "--dtype", "float32", "--backend", "loops"])
    return end.value.code


@pytest.mark.proof
@COMPILED
def test_kernels_that_were_compiled_and_not_kept_are_an_error(tmp_path):
    done = processes.run_function(warm_up_on_a_full_disk, env={"NUMBA_CACHE_DIR": str(tmp_path)})
    assert done.stdout.strip() == "2"  # and no table that says that all is well
    assert "kernels were compiled, but only 0 could be kept in" in done.stderr
    assert "set NUMBA_CACHE_DIR to a folder on another one." in done.stderr


@pytest.mark.proof
@COMPILED
def test_without_the_compiler_there_is_nothing_to_warm_up(tmp_path):
    env = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "1"}
    done = processes.engine("warmup", cwd=tmp_path, env=env)
    assert (done.returncode, done.stdout) == (2, "")
    assert "NUMBA_DISABLE_JIT is set" in done.stderr
