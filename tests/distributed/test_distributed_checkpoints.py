"""Checkpoints of fits on Dask: the same files as those of fits here, for the same bits."""

import re
import subprocess
import sys
import time

import dask.array as da
import numpy as np
import pytest
from sklearn.base import clone

from engine import Checkpoint, CheckpointError, MLPClassifier, distributed
from engine.distributed import cluster
from engine.distributed.cluster import ClusterError
from tests.dask_clusters import by_hand
from tests.distributed.test_distributed import kill_in_pass
from tests.processes import environment

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::engine.TrainingWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Dask's own, of processes that it ends
    pytest.mark.filterwarnings("ignore:Got `batch_size`:UserWarning"),
    pytest.mark.skipif(sys.platform == "win32", reason="processes are killed as POSIX does"),
]
N_ROWS = 3000
SOLVERS = {
    "gd": {},
    "lbfgs": {"solver": "lbfgs"},
    "adam": {"solver": "adam", "batch_size": N_ROWS},
    "sgd": {"solver": "sgd", "batch_size": N_ROWS, "learning_rate": "adaptive"},
    "gd, average": {"average": 0.75, "clip_norm": 0.01, "label_smoothing": 0.1},
}


def rows(n_rows=N_ROWS, dtype="float64"):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(n_rows, 5)).astype(dtype)
    y = np.where(X[:, 0] * X[:, 1] > 0, "yes", "no")
    return X, y, generator.uniform(0.5, 2, n_rows)


def model(**parameters):
    asked = {"solver": "gd", "max_iter": 12, "tol": 0.0, "random_state": 0, **parameters}
    return MLPClassifier(hidden_layer_sizes=6, **asked)


def on_dask(estimator, arrays, client, chunks=700):
    collections = [da.from_array(one, chunks=(chunks, *one.shape[1:])) for one in arrays]
    return distributed.fit(estimator, *collections, client=client)


@pytest.mark.sample(2)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("settings", SOLVERS.values(), ids=SOLVERS)
@pytest.mark.parametrize("places", ["there there", "there here", "here there"])
def test_a_fit_goes_on_wherever_it_was_begun(settings, dtype, places, client, tmp_path):
    arrays = rows(dtype=dtype)
    expected = model(**settings).fit(*arrays)
    asked = model(**settings, checkpoint=tmp_path / "run.ckpt")
    for place, max_iter in zip(places.split(), (5, 12), strict=True):
        estimator = clone(asked).set_params(max_iter=max_iter)
        if place == "there":
            on_dask(estimator, arrays, client)
        else:
            estimator.fit(*arrays)
    assert estimator.fingerprint_ == expected.fingerprint_
    assert estimator.loss_curve_ == expected.loss_curve_


def test_partitions_of_another_size_are_the_same_rows(client, tmp_path):
    arrays = rows()
    asked = model(checkpoint=tmp_path / "run.ckpt")
    on_dask(clone(asked).set_params(max_iter=5), arrays, client)
    assert (
        on_dask(clone(asked), arrays, client, chunks=1900).fingerprint_
        == model().fit(*arrays).fingerprint_
    )


@pytest.mark.sample(1)
@pytest.mark.parametrize("changed", ["X", "y", "sample_weight"])
def test_other_rows_are_refused_by_name(changed, client, tmp_path):
    arrays = dict(zip(("X", "y", "sample_weight"), rows(), strict=True))
    asked = model(checkpoint=tmp_path / "run.ckpt")
    on_dask(clone(asked), arrays.values(), client)
    kept = (tmp_path / "run.ckpt").read_bytes()
    other = arrays[changed].copy()
    other[-1] = ("no" if other[-1] == "yes" else "yes") if changed == "y" else 0.5
    with pytest.raises(CheckpointError, match=f"{changed} holds other numbers") as told:
        on_dask(clone(asked), {**arrays, changed: other}.values(), client)
    assert str(told.value).count("holds other numbers") == 1
    assert (tmp_path / "run.ckpt").read_bytes() == kept


LONG = {"max_iter": 10**6, "n_iter_no_change": 10**9}


def bits_after(n_iter, arrays, **parameters):
    return model(**{**LONG, "max_iter": n_iter}, **parameters).fit(*arrays).fingerprint_


@pytest.mark.proof
def test_where_no_worker_is_left_the_error_says_what_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "NEW_WORKER_SECONDS", 1.0)
    arrays, path = rows(20_000), tmp_path / "run.ckpt"
    estimator = model(**LONG, checkpoint=Checkpoint(path, epochs=2))
    with by_hand(tmp_path, 2) as (client, processes):
        patch = kill_in_pass(30, lambda: [process.kill() for process in processes[1:]])
        with pytest.raises(ClusterError, match="no worker of Dask is left") as told:
            on_dask(estimator, arrays, client, chunks=5000)
        patch.undo()
    (note,) = told.value.__notes__
    match = re.search(rf"{path} holds epoch (\d+): the same call goes on from there", note)
    assert match, note
    reached = int(match[1])
    assert reached > 20
    assert bits_after(reached + 3, arrays, checkpoint=path) == bits_after(reached + 3, arrays)


@pytest.mark.proof
def test_a_fit_whose_client_is_killed_goes_on_in_another(tmp_path):
    arrays, path = rows(20_000), tmp_path / "run.ckpt"
    np.savez(tmp_path / "arrays.npz", *arrays)
    code = """if True:
        import sys
        import numpy as np
        from distributed import Client
        from engine import Checkpoint
        from tests.distributed.test_distributed_checkpoints import LONG, model, on_dask
        arrays = np.load(sys.argv[2]).values()
        with Client(sys.argv[1]) as client:
            checkpoint = Checkpoint(sys.argv[3], seconds=0)
            on_dask(model(**LONG, checkpoint=checkpoint), arrays, client, chunks=5000)
    """
    with by_hand(tmp_path, 2) as (client, _):
        script = [sys.executable, "-c", code, client.scheduler.address]
        for _ in range(2):
            before = path.stat().st_mtime_ns if path.exists() else 0
            process = subprocess.Popen(
                [*script, str(tmp_path / "arrays.npz"), str(path)], env=environment()
            )
            try:
                end = time.monotonic() + 120
                while not path.exists() or path.stat().st_mtime_ns == before:
                    assert process.poll() is None
                    assert time.monotonic() < end
                    time.sleep(0.05)
                time.sleep(1)
            finally:
                process.kill()
                process.wait()
        with pytest.raises(CheckpointError, match=r"has reached epoch \d+") as told:
            on_dask(model(**{**LONG, "max_iter": 1}, checkpoint=path), arrays, client)
        reached = int(str(told.value).split("epoch ")[1].split(",")[0])
        asked = model(**{**LONG, "max_iter": reached + 5}, checkpoint=path)
        there = on_dask(asked, arrays, client).fingerprint_
    assert there == bits_after(reached + 5, arrays)
