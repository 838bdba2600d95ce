"""Fits on Dask: the bits of a fit here, on any cluster, whatever becomes of its workers."""

import functools
import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from dask.delayed import delayed
from distributed import Client, LocalCluster, futures_of, get_client, worker_client
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.utils.validation import check_is_fitted

from engine import MLPClassifier, MLPRegressor, distributed, losses
from engine.distributed import cluster, remote_chunks, training_data
from engine.distributed.cluster import ClusterError, WorkerLost
from engine.distributed.sums import DaskSums
from engine.equations.backends import TILED
from tests.dask_clusters import Received, by_hand
from tests.kernels import loaded_and_compiled
from tests.processes import ROOT, environment

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::engine.TrainingWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Dask's own, of processes that it ends
    pytest.mark.skipif(sys.platform == "win32", reason="processes are killed as POSIX does"),
]
CHUNK = 1024


@functools.cache
def rows(n_samples=3000, n_features=5, kind="binary", dtype="float64", seed=0):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n_samples, n_features)).astype(dtype)
    z = X @ random.normal(size=(n_features, 3)) + 0.1 * random.normal(size=(n_samples, 3))
    y = {
        "binary": lambda: np.where(z[:, 0] > 0, "yes", "no"),
        "classes": lambda: z.argmax(axis=1) * 10,
        "objects": lambda: np.array(["a", "bb", "ccc"], object)[z.argmax(axis=1)],
        "labels": lambda: (z > 0).astype(int),
        "numbers": lambda: z[:, 0],
        "outputs": lambda: z,
        "counts": lambda: np.floor(np.exp(np.clip(z[:, 0], -2, 2))),
    }[kind]()
    weights = random.uniform(0, 2, n_samples)
    weights[::7] = 0
    for array in (X, y, weights):
        array.flags.writeable = False
    return X, y, weights


def dask_of(*arrays, chunks=700):
    return [da.from_array(array, chunks=(chunks, *array.shape[1:])) for array in arrays]


def model(kind="binary", **parameters):
    asked = {
        "hidden_layer_sizes": (6,),
        "activation": "tanh",
        "solver": "gd",
        "max_iter": 5,
        "learning_rate_init": 0.05,
        "random_state": 0,
        **parameters,
    }
    if kind == "counts":
        asked["loss"] = "poisson"
    regression = kind in ("numbers", "outputs", "counts")
    return MLPRegressor(**asked) if regression else MLPClassifier(**asked)


def assert_same(there, here):
    """All that a fit leaves behind is the same, but for the plan."""
    assert there.fingerprint_ == here.fingerprint_
    assert set(vars(there)) == set(vars(here))
    for name, value in vars(here).items():
        other = getattr(there, name)
        if name in ("plan_", "n_threads_", "_draws", "_optimizer", "_labels", "_class_weights"):
            continue
        if name in ("coefs_", "intercepts_"):
            assert all(np.array_equal(a, b) for a, b in zip(other, value)), name
            assert {a.dtype for a in other} == {a.dtype for a in value}
        elif isinstance(value, np.ndarray):
            assert np.array_equal(other, value), name
            assert other.dtype == value.dtype, name
        else:
            assert other == value, name
    assert np.array_equal(there._draws.words(), here._draws.words())


def fit_both(estimator, X, y, weights=None, *, client):
    """Both fits, on Dask and here, of dask collections."""
    here = clone(estimator).fit(
        *(None if one is None else one.compute() for one in (X, y, weights))
    )
    there = distributed.fit(clone(estimator), X, y, weights, client=client)
    assert_same(there, here)
    return there, here


SOLVERS = {
    "gd": {},
    "lbfgs": {"solver": "lbfgs", "max_iter": 12},
    "adam": {"solver": "adam", "batch_size": 10**7},
    "sgd": {"solver": "sgd", "batch_size": 10**7, "learning_rate": "invscaling"},
}
SETTINGS_OF_STEPS = {
    "adam": {
        "solver": "adam",
        "batch_size": 3000,
        "learning_rate": "cosine",
        "weight_decay": 0.5,
        "average": 0.75,
        "clip_norm": 0.1,
        "label_smoothing": 0.125,
    },
    "gd": {"average": 0.75, "clip_norm": 0.01, "label_smoothing": 0.125},
    "lbfgs": {"solver": "lbfgs", "label_smoothing": 0.125},
    "lm": {"solver": "lm", "label_smoothing": 0.125},
}


@pytest.mark.parametrize("kind", ["binary", "classes", "labels"])
@pytest.mark.parametrize("solver", SETTINGS_OF_STEPS)
def test_settings_of_steps_and_smoothed_labels_have_the_bits_of_a_fit_here(client, solver, kind):
    X, y, weights = dask_of(*rows(kind=kind))
    estimator = model(kind, **SETTINGS_OF_STEPS[solver])
    there, _ = fit_both(estimator, X, y, weights, client=client)
    plain = clone(estimator).set_params(label_smoothing=0.0)
    assert distributed.fit(plain, X, y, weights, client=client).fingerprint_ != there.fingerprint_
    if solver in ("adam", "gd"):
        assert not np.array_equal(there._optimizer.theta, there._optimizer.average)


LARGE_BATCH = pytest.mark.filterwarnings("ignore:Got `batch_size`:UserWarning")


@pytest.mark.sample(2)
@LARGE_BATCH
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_fit_on_dask_has_the_bits_of_a_fit_here(client, solver, dtype, weighted):
    X, y, weights = dask_of(*rows(7000, dtype=dtype))  # three chunks at least are added up here
    there, _ = fit_both(
        model(**SOLVERS[solver]), X, y, weights if weighted else None, client=client
    )
    assert there.coefs_[0].dtype == dtype
    assert there.n_threads_ == 2
    assert "2 Dask workers" in there.plan_.why


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "kind", ["binary", "classes", "objects", "labels", "numbers", "outputs", "counts"]
)
def test_every_kind_of_targets(client, kind):
    X, y, weights = dask_of(*rows(kind=kind, dtype="float32"))
    fit_both(model(kind), X, y, weights, client=client)


def own_loss():
    """A loss of the user's own that only cloudpickle can send: workers cannot import it."""
    scale = 0.5

    def squared(z, y):
        return scale * (z - y) ** 2, 2 * scale * (z - y), 2 * scale

    return losses.Compiled(squared)


LOSSES = {
    "huber": "huber",
    "gamma": "gamma",
    "tweedie": losses.Tweedie(1.5),
    "quantiles": losses.Quantile([0.1, 0.5, 0.9]),
    "compiled": own_loss(),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_every_loss(client, loss):
    X, y, weights = dask_of(*rows(kind="numbers", dtype="float32"))
    positive = loss in ("gamma", LOSSES["tweedie"])
    asked = model("numbers", loss=loss, solver="lbfgs", max_iter=4)
    fit_both(asked, X, da.exp(y / 4) if positive else y, weights, client=client)


def test_targets_that_a_loss_does_not_take_are_refused(client):
    X, y, _ = dask_of(*rows(kind="numbers"))
    with pytest.raises(ValueError, match="loss='gamma' needs y above 0"):
        distributed.fit(model("numbers", loss="gamma"), X, y, client=client)
    X, y, _ = dask_of(*rows(kind="outputs"))
    with pytest.raises(ValueError, match="3 quantiles needs y of one column; y has 3"):
        distributed.fit(model("numbers", loss=LOSSES["quantiles"]), X, y, client=client)


@pytest.mark.parametrize("backend", ["numpy", "loops"])
def test_every_backend(client, backend):
    X, y, _ = dask_of(*rows())
    fit_both(model(backend=backend), X, y, client=client)


@pytest.mark.parametrize("n_samples", [1, 40, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 3 * CHUNK + 30])
def test_sizes_around_the_borders_of_chunks(client, n_samples):
    X, y, _ = dask_of(*rows(n_samples, kind="numbers"), chunks=333)
    there, here = fit_both(model("numbers"), X, y, client=client)
    if n_samples <= CHUNK:  # fitted here
        assert there.plan_ == here.plan_


@pytest.mark.proof
@pytest.mark.parametrize("n_samples", [64 * CHUNK, 64 * CHUNK + 1, 64 * CHUNK + 5000])
def test_more_samples_than_64_chunks_of_the_smallest(client, n_samples):
    X, y, weights = dask_of(*rows(n_samples, 3, dtype="float32"), chunks=20_011)
    there, _ = fit_both(model(max_iter=2), X, y, weights, client=client)
    assert there.plan_.n_chunks == (64 if n_samples == 64 * CHUNK else -(-n_samples // 2048))


@pytest.mark.proof
@pytest.mark.parametrize("n_workers", [1, 3])
def test_any_number_of_workers(tmp_path, n_workers):
    X, y, weights = dask_of(*rows(10_000, kind="classes"), chunks=1700)
    estimator = model(solver="lbfgs", max_iter=8)
    with by_hand(tmp_path, n_workers) as (client, _):
        there, _ = fit_both(estimator, X, y, weights, client=client)
        assert there.n_threads_ == n_workers


@pytest.mark.proof
def test_several_threads_of_each_worker_and_no_more_than_asked_for():
    X, y, weights = dask_of(*rows(20_000, kind="classes"), chunks=3000)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=3, processes=True, dashboard_address="127.0.0.1:0"
        ) as local,
        Client(local, set_as_default=False) as client,
    ):
        for n_threads, used in ((None, 6), (2, 4)):
            estimator = model(max_iter=3, n_threads=n_threads)
            there, _ = fit_both(estimator, X, y, weights, client=client)
            assert there.n_threads_ == used


def test_partitions_of_any_length_empty_ones_and_several_blocks_of_columns(client):
    X, y, weights = rows(5000)
    lengths = (0, 1, 1500, 0, 3, 2496, 1000, 0)
    X = da.from_array(X, chunks=(lengths, (2, 3)))
    y = da.from_array(y, chunks=((4000, 1000),))
    weights = da.from_array(weights, chunks=(lengths[::-1],))
    fit_both(model(), X, y, weights, client=client)


@pytest.mark.proof
def test_a_dataframe_of_unknown_lengths(client):
    X, y, _ = rows(5000, kind="objects")
    frame = pd.DataFrame(X.copy(), columns=list("abcde"))
    frame["a"] = (100 * frame["a"]).astype("int32")
    frame["y"] = y
    table = dd.from_pandas(frame, npartitions=7)
    table = table[table["b"] > -1]
    there, _ = fit_both(model(), table[list("abcde")], table["y"], client=client)
    assert there.feature_names_in_.tolist() == list("abcde")
    _ = fit_both(model(), table[list("abcde")].values, table["y"], client=client)


def test_a_table_with_a_column_of_texts_for_targets(client):
    X, y, _ = rows(kind="objects")
    y = dd.from_pandas(pd.DataFrame({"y": y}), npartitions=3)
    with pytest.warns(DataConversionWarning):
        fit_both(model(), dask_of(X)[0], y, client=client)


def test_few_numbers_stand_for_all_whatever_the_number_of_partitions(client, monkeypatch):
    """X has a row of its width for each of them, in this process."""
    X, y, _ = rows(kind="outputs")
    seen = []
    original = MLPRegressor._checked_rows

    def look(self, X, y, *arguments, **named):
        seen.append(y)
        return original(self, X, y, *arguments, **named)

    monkeypatch.setattr(MLPRegressor, "_checked_rows", look)
    distributed.fit(model("outputs"), *dask_of(X, y, chunks=100), client=client)
    assert len(seen[0]) == 6
    assert np.array_equal(np.unique(seen[0], axis=0), np.sort([y.min(axis=0), y.max(axis=0)], 0))


@pytest.mark.sample(2)
@pytest.mark.parametrize("class_weight", ["balanced", {"no": 3.0}])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights(client, class_weight, weighted):
    X, y, weights = dask_of(*rows(4000))
    estimator = model(class_weight=class_weight)
    fit_both(estimator, X, y, weights if weighted else None, client=client)


@LARGE_BATCH
def test_a_fit_goes_on_from_the_last_one_wherever_that_was(client):
    X, y, _ = dask_of(*rows())
    here = model(solver="adam", batch_size=10**6, warm_start=True)
    there = clone(here)
    for one in (here, there):
        one.fit(X.compute(), y.compute())
    here.fit(X.compute(), y.compute())
    distributed.fit(there, X, y, client=client)
    assert_same(there, here)
    there.fit(X.compute(), y.compute())
    here.fit(X.compute(), y.compute())
    assert_same(there, here)


def test_a_column_of_targets_warns_as_here(client):
    X, y, _ = dask_of(*rows(kind="numbers"))
    with pytest.warns(DataConversionWarning):
        distributed.fit(model("numbers"), X, y[:, None], client=client)


def test_warnings_point_at_the_caller_s_line(client):
    X, y, _ = dask_of(*rows())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        distributed.fit(model(), X, y, client=client)
    (found,) = [one for one in caught if one.category is ConvergenceWarning]
    assert found.filename == __file__


# Which client.


@pytest.fixture
def _no_cluster_of_its_own(monkeypatch):
    def refuse(n_workers):
        raise AssertionError("processes were begun")

    monkeypatch.setattr(cluster, "processes_here", refuse)


@pytest.mark.usefixtures("_no_cluster_of_its_own")
def test_without_a_client_the_active_one_is_used(client):
    with Client(client.scheduler.address) as active:  # made last, and the default of its process
        X, y, _ = active.persist(dask_of(*rows()))
        fit_both(model(), X, y, client=None)
    X, y, _ = dask_of(*rows())
    with client.as_current():
        fit_both(model(), X, y, client=None)


def fitted_in_a_task(arrays, how):
    X, y, _ = dask_of(*arrays)
    if how == "worker_client":
        with worker_client() as own:
            return distributed.fit(model(), X, y, client=own).fingerprint_
    own = get_client() if how == "get_client" else None
    return distributed.fit(model(), X, y, client=own).fingerprint_


@pytest.mark.sample(1)
@pytest.mark.parametrize("how", ["worker_client", "get_client", "none"])
def test_a_fit_in_a_task_uses_the_cluster_that_the_task_runs_on(client, how):
    X, y, _ = rows()
    fits = [client.submit(fitted_in_a_task, rows(), how, pure=False) for _ in range(2)]
    here = model().fit(X, y).fingerprint_  # both workers have a thread each, and both are in a fit
    assert [fit.result(timeout=60) for fit in fits] == [here, here]


@pytest.mark.proof
@pytest.mark.usefixtures("_no_cluster_of_its_own")
def test_rows_that_another_cluster_holds_are_refused_at_once(client):
    X, y, _ = client.persist(dask_of(*rows()))
    elsewhere = client.scheduler.address
    with pytest.raises(ValueError, match=f"X is held by .* at {elsewhere}, and no client .*ive; p"):
        distributed.fit(model(), X, y)
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as local,
        Client(local, set_as_default=False) as other,
    ):
        message = f"y is held by the cluster at {elsewhere}, but .* at {local.scheduler_address};"
        with pytest.raises(ValueError, match=message):
            distributed.fit(model(), dask_of(*rows())[0], y, client=other)
    closed = Client(elsewhere, set_as_default=False)
    weights = closed.persist(dask_of(rows()[2])[0])
    closed.close()
    with pytest.raises(ValueError, match="sample_weight was persisted by a client that is closed"):
        distributed.fit(model(), X, y, weights, client=client)


def test_the_rows_of_one_client_are_taken_by_another_of_the_same_cluster(client):
    X, y, _ = client.persist(dask_of(*rows()))
    with Client(client.scheduler.address, set_as_default=False) as other:
        there = distributed.fit(model(), X, y, client=other)
    assert_same(there, model().fit(*rows()[:2]))


def test_an_active_client_that_cannot_be_used_is_refused_by_name(client, monkeypatch):
    X, y, _ = dask_of(*rows())
    with client.as_current(), monkeypatch.context() as patched:
        patched.setattr(Client, "asynchronous", True)
        with pytest.raises(TypeError, match="the active client of Dask is asynchronous; pass clie"):
            distributed.fit(model(), X, y)
    closed = Client(client.scheduler.address, set_as_default=False)
    with closed.as_current():
        closed.close()
        with pytest.raises(ClusterError, match="the active client of Dask is closed"):
            distributed.fit(model(), X, y)


def test_activations_and_cost_of_all_rows(client):
    from engine.sums.chunks import ChunkSums

    X, y, _ = rows(5000, kind="numbers")
    estimator = model("numbers")
    found = {}
    original = DaskSums.cost_and_gradient

    def look(self, theta, *order):
        found["there"] = self.forward(theta), self.cost(theta)
        here = ChunkSums(
            TILED,
            self._layers,
            estimator._checked_rows(X, y, None, incremental=False, reset=False).samples("float64"),
        )
        found["here"] = here.forward(theta), here.cost(theta)
        return original(self, theta, *order)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DaskSums, "cost_and_gradient", look)
        distributed.fit(estimator, *dask_of(X, y), client=client)
    assert np.array_equal(found["there"][0], found["here"][0])
    assert found["there"][1] == found["here"][1]


# What is refused.


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"early_stopping": True}, "early_stopping=True is not supported on Dask"),
        ({"solver": "adam"}, "takes 200 of 3000 rows a step.*pass batch_size=3000"),
        ({"solver": "sgd", "batch_size": 2999}, "takes 2999 of 3000 rows"),
        ({"alpha": -1}, "'alpha' parameter"),
    ],
)
def test_what_is_not_supported_is_refused_before_any_work(parameters, message):
    X, y, _ = dask_of(*rows())
    with pytest.raises(ValueError, match=message):
        distributed.fit(model(**parameters), X, y, client=None)


def test_what_is_no_dask_collection_is_refused():
    X, y, _ = rows()
    with pytest.raises(TypeError, match=r"X is a ndarray; pass a dask array .*from_array"):
        distributed.fit(model(), X, y)
    with pytest.raises(TypeError, match="estimator is a str"):
        distributed.fit("mlp", *dask_of(X, y))  # type: ignore[type-var]
    with pytest.raises(TypeError, match=r"client must be a dask\.distributed\.Client"):
        distributed.fit(model(), *dask_of(X, y), client="tcp://127.0.0.1:8786")


def test_shapes_are_refused_before_any_work():
    X, y, weights = dask_of(*rows())
    frame = dd.from_pandas(pd.DataFrame({"w": [1.0, 2.0]}), npartitions=1)
    with pytest.raises(ValueError, match=r"X has 1 dimension; expected shape \(n_samples, n_feat"):
        distributed.fit(model(), X[:, 0], y)
    with pytest.raises(ValueError, match=r"sample_weight has 2 dimensions; .* \(n_samples,\)\."):
        distributed.fit(model(), X, y, weights[:, None])
    with pytest.raises(ValueError, match="sample_weight has 2 dimensions"):
        distributed.fit(model(), X, y, frame)
    with pytest.raises(ValueError, match=r"X has 1 dimension;"):
        distributed.fit(model(), frame["w"], y)
    with pytest.raises(TypeError, match="y is None; pass a dask array, series or dataframe"):
        distributed.fit(model(), X, None)


def test_a_client_that_is_closed_is_refused(client):
    closed = Client(client.scheduler.address, set_as_default=False)
    closed.close()
    X, y, _ = dask_of(*rows())
    with pytest.raises(ClusterError, match="client is closed; pass one that is connected"):
        distributed.fit(model(), X, y, client=closed)


def test_sparse_blocks_are_refused(client):
    X, y, _ = dask_of(*rows())
    sparse = X.map_blocks(scipy.sparse.csr_array, meta=scipy.sparse.csr_array((0, 0)))
    with pytest.raises(TypeError, match="X has sparse blocks"):
        distributed.fit(model(), sparse, y, client=client)


def bad(kind, *place, value):
    arrays = [array.copy() for array in rows(kind="numbers")]
    arrays[kind][place] = value
    return arrays


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (bad(0, 1500, 2, value=np.nan), r"X\[1500, 2\] is nan \(partition 2, row 100 there\)"),
        (bad(1, 2999, value=np.inf), r"y\[2999\] is inf"),
        (bad(2, 800, value=-1), r"sample_weight must not be negative; sample_weight\[800\] is -1"),
        (bad(2, slice(None), value=0), "sample_weight is 0 for every sample"),
    ],
)
def test_bad_entries_are_refused_with_their_place(client, arrays, message):
    X, y, weights = dask_of(*arrays)
    estimator = model("numbers")
    with pytest.raises(ValueError, match=message):
        distributed.fit(estimator, X, y, weights, client=client)
    assert not hasattr(estimator, "coefs_")


def test_lengths_that_do_not_agree_are_refused(client):
    X, y, _ = dask_of(*rows())
    with pytest.raises(ValueError, match="the same number of rows: X has 3000, y has 2999"):
        distributed.fit(model(), X, y[:-1], client=client)


def test_numbers_where_labels_belong_are_refused_as_here(client):
    X, y, _ = dask_of(*rows(kind="numbers"))
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        distributed.fit(model(), X, y, client=client)


# What the workers compile.


@pytest.mark.proof
def test_kernels_are_compiled_by_one_worker_of_a_host(tmp_path):
    X, y, _ = dask_of(*rows(5000))

    def of_chunks():
        from engine.sums.workers import run_chunk_tiled

        return loaded_and_compiled(run_chunk_tiled)

    with by_hand(tmp_path, 3, changes={"NUMBA_CACHE_DIR": tmp_path / "cache"}) as (client, _):
        distributed.fit(model(), X, y, client=client)
        found = client.run(of_chunks).values()
    assert sorted(found) == [[0, 1], [1, 0], [1, 0]]


# What travels, and what stays.


@pytest.mark.proof
def test_only_sums_travel_after_the_start(tmp_path, monkeypatch):
    n_samples, n_chunks = 32 * CHUNK, 32
    arrays = rows(n_samples, 20, kind="numbers")[:2]
    received, most = {}, {}
    with by_hand(tmp_path, 2) as (client, _):
        X, y = dask_of(*arrays, chunks=5000)
        for max_iter in (2, 12):
            before = sent_by_workers(client)
            count = Received(monkeypatch)
            estimator = model("numbers", hidden_layer_sizes=(30,), max_iter=max_iter, tol=0)
            distributed.fit(estimator, X, y, client=client)
            received[max_iter] = count.n_bytes
            most[max_iter] = sent_by_workers(client) - before
    n_parameters = 20 * 30 + 30 + 30 + 1
    gradients = (n_chunks // 2 + 1) * n_parameters * 8  # one worker adds its own up
    each = (received[12] - received[2]) / 10
    assert 0.95 * gradients < each < 1.05 * gradients + 5000
    # Between workers: rows at borders, at the start; the same however long the fit is.
    row = 20 * 8 + 8
    assert most[12] < most[2] + CHUNK * row
    assert most[2] - received[2] < 8 * CHUNK * row + 50_000


def sent_by_workers(client):
    def sent(dask_worker):
        return dask_worker.transfer_outgoing_bytes_total

    return sum(client.run(sent).values())


@pytest.mark.proof
def test_the_client_does_not_hold_the_rows(tmp_path):
    code = """
import resource, sys, warnings
import dask.array as da
from distributed import Client
from engine import MLPRegressor, distributed
warnings.simplefilter("ignore")
with Client(sys.argv[1]) as client:
    def megabytes():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    def fit(n_rows):
        X = da.random.default_rng(0).normal(size=(n_rows, 50), chunks=(20_000, 50))
        model = MLPRegressor(hidden_layer_sizes=4, solver="gd", max_iter=2, random_state=0)
        distributed.fit(model, X, X[:, 0], client=client)
    fit(20_000)
    before = megabytes()
    fit(400_000)  # 160 MB
    print(megabytes() - before)
"""
    with by_hand(tmp_path, 2) as (client, _):
        address = client.scheduler.address
        done = subprocess.run(
            [sys.executable, "-c", code, address],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
    assert float(done.stdout) < 60


# What becomes of workers.


def kill_in_pass(number, kill):
    """Have `kill` called in a pass over the rows."""
    patch = pytest.MonkeyPatch()
    original, passes = DaskSums._answers, []

    def counted(self, task, theta):
        passes.append(1)
        if len(passes) == number:
            threading.Timer(0.001, kill).start()
        return original(self, task, theta)

    patch.setattr(DaskSums, "_answers", counted)
    return patch


@pytest.mark.proof
@pytest.mark.parametrize("nanny", [False, True])
def test_a_worker_that_is_killed_changes_no_bit(tmp_path, nanny):
    X, y, weights = dask_of(*rows(20_000, kind="classes"), chunks=3000)
    estimator = model(solver="lbfgs", max_iter=12)
    with by_hand(tmp_path, 2, nanny) as (client, _):
        pids = list(client.run(os.getpid).values())
        killed = []

        def kill():
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

        patch = kill_in_pass(5, kill)
        try:
            fit_both(estimator, X, y, weights, client=client)
        finally:
            patch.undo()
        assert killed


@pytest.mark.proof
def test_a_worker_that_freezes_is_done_without(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "SILENT_SECONDS", 4.0)
    X = da.random.default_rng(0).normal(size=(20_000, 5), chunks=(3000, 5))
    estimator = model("numbers", max_iter=30)
    with by_hand(tmp_path, 2) as (client, _):
        pid = next(iter(client.run(os.getpid).values()))
        patch = kill_in_pass(5, lambda: os.kill(pid, signal.SIGSTOP))
        start = time.monotonic()
        try:
            fit_both(estimator, X, X[:, 0], client=client)
        finally:
            patch.undo()
            os.kill(pid, signal.SIGCONT)
        assert 4 < time.monotonic() - start < 150  # Dask would wait for 300 at least


@pytest.mark.proof
def test_where_no_worker_is_left_the_error_says_so_and_the_estimator_is_as_it_was(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(cluster, "NEW_WORKER_SECONDS", 1.0)
    X, y, _ = dask_of(*rows(20_000))
    estimator = model(max_iter=50, tol=0)
    with by_hand(tmp_path, 2) as (client, processes):
        patch = kill_in_pass(4, lambda: [process.kill() for process in processes[1:]])
        with pytest.raises(
            ClusterError, match=r"ended in iteration \d+: no worker of Dask is left"
        ):
            distributed.fit(estimator, X, y, client=client)
        patch.undo()
    with pytest.raises(Exception, match="not fitted"):
        check_is_fitted(estimator)
    assert estimator.get_params() == model(max_iter=50, tol=0).get_params()


@pytest.mark.proof
def test_a_scheduler_that_dies_is_an_error_and_no_hang(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "SCHEDULER_SECONDS", 10.0)
    X, y, _ = dask_of(*rows(20_000))
    with by_hand(tmp_path, 2) as (client, processes):
        patch = kill_in_pass(4, processes[0].kill)
        start = time.monotonic()
        with pytest.raises(
            ClusterError, match=r"iteration \d+: the scheduler of Dask does not answer"
        ):
            distributed.fit(model(max_iter=10**6, tol=0), X, y, client=client)
        patch.undo()
        assert time.monotonic() - start < 90


@pytest.mark.proof
def test_rows_that_cannot_be_computed_again_are_an_error(tmp_path):
    X, y, _ = rows(20_000)
    with by_hand(tmp_path, 2) as (client, _):
        workers = list(client.scheduler_info()["workers"])
        halves = [
            client.scatter(part, workers=[worker], hash=False)
            for part, worker in zip((X[:10_000], X[10_000:]), workers)
        ]
        parts = [da.from_delayed(half, (10_000, 5), X.dtype) for half in map(delayed, halves)]
        pids = client.run(os.getpid)
        patch = kill_in_pass(4, lambda: os.kill(pids[workers[0]], signal.SIGKILL))
        with pytest.raises(
            ClusterError, match=r"in iteration \d+: .* be recovered \(Dask gave it up: lost"
        ):
            distributed.fit(
                model(max_iter=10**4, tol=0), da.concatenate(parts), *dask_of(y), client=client
            )
        patch.undo()


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("broken", "kind", "message"),
    [
        (lambda block: b"\xff".decode(), ValueError, "partition 0: UnicodeDecodeError: utf-8"),
        (
            lambda block: np.add(block, "a"),
            TypeError,
            r"X, partition 0: UFuncTypeError: ufunc 'add'",
        ),
        (lambda block: float("9" * 10**4 + "x"), ValueError, r"X, partition 0: .{1000} \.\.\.$"),
    ],
)
def test_an_error_that_takes_more_than_a_message_still_says_what_went_wrong(
    client, broken, kind, message
):
    X, y, _ = dask_of(*rows())
    X = X.map_blocks(broken, dtype=X.dtype, meta=np.empty((0, 0)))
    with pytest.raises(kind, match=message):
        distributed.fit(model(), X, y, client=client)


def test_too_little_memory_is_told_with_what_to_do(client):
    def broken(block):
        raise MemoryError("Unable to allocate 9 TiB")

    X, y, _ = dask_of(*rows())
    with pytest.raises(
        ClusterError, match=r"Unable to allocate 9 TiB.*start more, or give each more"
    ):
        distributed.fit(model(), X.map_blocks(broken, dtype=X.dtype), y, client=client)


def test_an_error_of_the_rows_own_is_raised_as_it_is(client):
    def broken(block):
        raise KeyError("no such file")

    X, y, _ = dask_of(*rows())
    with pytest.raises(ClusterError, match=r"X, partition 0 could not be computed \(KeyError"):
        distributed.fit(model(), X.map_blocks(broken, dtype=X.dtype), y, client=client)


@pytest.mark.proof
def test_a_cluster_that_adapts_is_asked_for_workers_and_keeps_them(monkeypatch):
    here = cluster.identity_of_worker(False)

    def after_loading(blas):
        time.sleep(2)  # the package, on a slow machine
        return here

    monkeypatch.setattr(cluster, "identity_of_worker", after_loading)
    X, y, _ = dask_of(*rows(5000))
    with (
        LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address="127.0.0.1:0") as local,
        Client(local, set_as_default=False) as client,
    ):
        local.adapt(minimum=0, maximum=2, interval="200ms", wait_count=2)  # ends idle ones at once
        fit_both(model(), X, y, client=client)


# What is left behind.


def held_by(client):
    """Actors and data of each worker, and the client's own futures."""

    def held(dask_worker):
        return len(dask_worker.state.actors) + len(dask_worker.data)

    return [*client.run(held).values(), len(client.futures)]


@pytest.fixture
def without_collections_of_garbage():
    """What lies in circles of references stays until there is one."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def interrupted(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.sample(1)
@pytest.mark.parametrize("end", ["well", "diverged", "interrupted", "interrupted while it places"])
def test_a_fit_leaves_nothing_at_the_workers(
    client, monkeypatch, without_collections_of_garbage, end
):
    X, y, _ = dask_of(*rows(20_000))
    fit = functools.partial(distributed.fit, model(), X, y, client=client)
    if end == "well":
        fit()
    elif end == "diverged":
        with pytest.raises(ValueError, match="stopped being finite"):
            distributed.fit(
                model("numbers", learning_rate_init=1e30, activation="relu", max_iter=50),
                X,
                X[:, 0],
                client=client,
            )
    else:
        name = "value_of" if "places" in end else "near_their_rows"
        monkeypatch.setattr(remote_chunks, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit()
    for _ in range(50):  # workers hear of it a little later
        if not any(left := held_by(client)):
            break
        time.sleep(0.1)
    assert not any(left)


@pytest.mark.parametrize("held", ["as given", "by the same keys"])
def test_a_worker_lost_while_rows_are_looked_at_costs_users_nothing_that_they_hold(
    client, monkeypatch, held
):
    X, y, _ = dask_of(*rows(5000))
    persisted = client.persist(X)
    original, calls = vars(training_data)["wait_for"], []

    def lost_once(*arguments, **named):
        calls.append(1)
        if len(calls) == 2:
            raise WorkerLost("as if")
        return original(*arguments, **named)

    monkeypatch.setattr(training_data, "wait_for", lost_once)
    distributed.fit(model(), persisted if held == "as given" else X, y, client=client)
    assert len(calls) > 2
    assert {future.status for future in futures_of(persisted)} == {"finished"}


@pytest.mark.proof
def test_a_worker_lost_while_shards_are_built_leaves_the_scheduler_well(tmp_path):
    """Dask's scheduler drops a client that cancels what others depend on that nobody wants."""
    X, y, weights = dask_of(*rows(20_000))
    with by_hand(tmp_path, 2) as (client, _):
        patch, original, calls = pytest.MonkeyPatch(), vars(remote_chunks)["value_of"], []

        def lost_once(*arguments, **named):
            calls.append(1)
            if len(calls) == 1:
                raise WorkerLost("as if")
            return original(*arguments, **named)

        patch.setattr(remote_chunks, "value_of", lost_once)
        connected = client.scheduler_comm
        try:
            fit_both(model(), X, y, weights, client=client)
        finally:
            patch.undo()
        assert client.scheduler_comm is connected


# Workers that are not like this process.


@pytest.fixture
def mixed(client, monkeypatch):
    """One of the two workers tells of another processor."""
    address = min(client.scheduler_info()["workers"])
    original = client.run

    def run(function, *arguments, **named):
        found = original(function, *arguments, **named)
        if address in found and isinstance(found[address], dict):
            features = found[address]["processor's features"].replace("+sse2", "-sse2")
            found[address] |= {"processor": "older", "processor's features": features}
        return found

    monkeypatch.setattr(client, "run", run)
    return address


@pytest.mark.proof
def test_workers_with_another_processor_are_refused(client, mixed):
    X, y, _ = dask_of(*rows())
    message = (
        rf"Worker {re.escape(mixed)}: processor older, here \w+; processor's features: without"
    )
    with pytest.raises(ClusterError, match=message):
        distributed.fit(model(), X, y, client=client)


@pytest.mark.proof
def test_mixed_workers_may_be_taken_with_a_warning(client, mixed):
    X, y, _ = dask_of(*rows())
    with pytest.warns(UserWarning, match="may not be those of a fit here.*older") as caught:
        distributed.fit(model(), X, y, client=client, allow_mixed=True)
    assert caught[0].filename == __file__


WITHOUT_ENGINE = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "engine":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""


@pytest.mark.proof
def test_a_worker_without_the_package_is_named(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_ENGINE)
    X, y, _ = dask_of(*rows())
    with by_hand(tmp_path, 1, changes={"PYTHONPATH": tmp_path}) as (client, _):
        (address,) = client.scheduler_info()["workers"]
        message = rf"Worker {re.escape(address)} cannot load mlp-engine \(ModuleNotFoundError"
        with pytest.raises(ClusterError, match=message):
            distributed.fit(model(), X, y, client=client)


@pytest.mark.proof
def test_workers_with_another_blas_are_refused_where_it_computes(tmp_path):
    X, y, _ = dask_of(*rows())
    with by_hand(tmp_path, 2, changes={"OPENBLAS_CORETYPE": "Prescott"}) as (client, _):
        with pytest.raises(ClusterError, match=r"Workers .*: BLAS openblas .*, here openblas "):
            distributed.fit(model(backend="numpy"), X, y, client=client)
        fit_both(model(), X, y, client=client)


# A cluster of our own.

SCRIPT = """
import sys, time, warnings
import dask.array as da
from engine import MLPRegressor, distributed
warnings.simplefilter("ignore")
if __name__ == "__main__":
    X = da.random.default_rng(0).normal(size=(3000, 4), chunks=(1000, 4))
    y = X.sum(axis=1)
    model = MLPRegressor(hidden_layer_sizes=5, solver="gd", max_iter=int(sys.argv[1]), tol=0,
                         random_state=0, n_threads=2)
    warnings.showwarning = lambda message, *_: print(message, flush=True)
    warnings.simplefilter("default")
    print("begins", flush=True)
    if len(sys.argv) > 2:
        model.verbose = True
    distributed.fit(model, X, y)
    print(model.plan_.why)
    print(model.fingerprint_ == model.fit(X.compute(), y.compute()).fingerprint_)
"""


@pytest.mark.proof
def test_without_a_client_there_is_a_cluster_of_processes_for_the_fit_alone(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script, "3"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "2 Dask workers" in done.stdout
    assert done.stdout.splitlines()[-1] == "True"


@pytest.mark.proof
def test_a_script_without_the_line_for_its_processes_is_told_of_it(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace('if __name__ == "__main__":', "if True:"))
    done = subprocess.run(
        [sys.executable, script, "3"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "engine.distributed.cluster.ClusterError: The processes of a cluster on this machine did "
        "not start (RuntimeError: Nanny failed to start.). In a script, what calls fit must stand "
        'under the line if __name__ == "__main__": since each new process loads the script anew.'
    )
    assert done.stderr.count("An attempt has been made to start a new process") == 0


@pytest.mark.proof
def test_ctrl_c_ends_a_fit_with_a_warning_and_keeps_what_was_reached(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("model.fit(X.compute", "model and not model.fit(X.compute"))
    process = subprocess.Popen(
        [sys.executable, script, "1000000", "verbose"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Iteration 5,"):
            os.killpg(process.pid, signal.SIGINT)  # to all processes, as a terminal sends it
            break
    said = []
    for line in process.stdout:
        said.append(line)
        if "Dask workers" in line:  # the fit is over, and its cluster ended
            break
    process.kill()
    messages = process.communicate(timeout=60)[1]
    assert any("Training interrupted by user" in line for line in said), said[-3:]
    assert "Traceback" not in messages, messages


@pytest.mark.proof
def test_where_dask_is_not_installed_the_error_says_what_to_install(tmp_path):
    code = """
import sys
sys.modules["distributed"] = None
import importlib.util
importlib.util.find_spec = lambda name, found=importlib.util.find_spec: (
    None if name == "distributed" else found(name))
import engine
try:
    engine.distributed.fit(engine.MLPRegressor(), None, None)
except ImportError as error:
    print(error)
print("dask" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        "engine.distributed.fit needs distributed: "
        "pip install 'dask[array,dataframe,distributed]'.",
        "False",
    ], done.stderr
