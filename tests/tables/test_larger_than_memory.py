"""Data several times larger than memory may grow: trained, predicted and converted all the same."""

import json
import os
import re
import signal
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine import (
    MLPClassifier,
    MLPRegressor,
    Network,
    open_table,
    train,
)
from engine.boundary.arrays import non_finite
from engine.system import free_memory, mapped_files
from tests import limited_memory
from tests.limited_memory import MB
from tests.processes import result_of, run_function
from tools import memory_group

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts so on Linux alone"),
]

N_ROWS, N_FEATURES = 200_000, 128
# What is allowed beside the data (docs/performance.md): 16 bytes a sample, and 16 MB.
ALLOWED = 16 * N_ROWS + 16 * MB
# Whose own buffers would count.
FEW_THREADS = {"POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """100 MB of inputs: five times what memory may grow by."""
    folder = tmp_path_factory.mktemp("large")
    g = np.random.default_rng(0)
    shape = (N_ROWS, N_FEATURES)
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, shape)
    for first in range(0, N_ROWS, 10_000):
        X[first : first + 10_000] = g.standard_normal((10_000, N_FEATURES))
    np.save(folder / "y.npy", (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0))
    X.flush()
    assert X.nbytes > 4 * ALLOWED
    yield str(folder)
    del X
    for path in folder.iterdir():
        path.unlink()


SOLVERS = [
    {"solver": "gd"},
    {"solver": "lbfgs"},
    {"solver": "adam"},
    {"solver": "adam", "batch_size": 200},
    {"solver": "adam", "batch_size": 200, "shuffle": "blocks"},
    {"solver": "sgd", "batch_size": 3000, "shuffle": "blocks"},
]


@pytest.mark.proof
@pytest.mark.parametrize("settings", SOLVERS, ids=str)
def test_mapped_arrays_are_trained_without_a_copy_and_with_the_same_bits(folder, settings):
    limited = result_of(limited_memory.trained, folder, settings, ALLOWED)
    assert limited == result_of(limited_memory.trained, folder, settings, None)


@pytest.mark.proof
@pytest.mark.parametrize("backend", ["loops", "numpy"])
def test_the_other_backends_copy_nothing_either(folder, backend):
    settings = {"solver": "gd", "backend": backend}
    blas = 40 * MB * (backend == "numpy")  # OpenBLAS' buffer
    result_of(limited_memory.trained, folder, settings, ALLOWED + blas, env=FEW_THREADS)


@pytest.mark.proof
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize(
    "settings", [{"solver": "gd"}, {"solver": "lbfgs"}, {"shuffle": "blocks"}], ids=str
)
def test_estimators_fit_and_predict_mapped_arrays_with_the_same_bits(folder, kind, settings):
    limited = result_of(limited_memory.fitted, folder, kind, settings, ALLOWED)
    assert limited == result_of(limited_memory.fitted, folder, kind, settings, None)


@pytest.mark.proof
def test_a_copy_of_the_data_would_not_fit(folder):
    assert result_of(limited_memory.copied, folder, ALLOWED) == "MemoryError"
    assert result_of(limited_memory.copied, folder, 4 * ALLOWED + 64 * MB) != "MemoryError"


TABLE_ROWS, TABLE_COLUMNS = 400_000, 12
CONVERSION_ALLOWED = 56 * MB


def table(n_rows, first=0):
    g = np.random.default_rng(first)
    numbers = g.standard_normal((n_rows, TABLE_COLUMNS)).round(6)
    columns = {f"x{k}": numbers[:, k] for k in range(TABLE_COLUMNS)}
    towns = [f"town {k}" for k in g.integers(0, 30, n_rows)]
    notes = [f"{first + k}: {'as long as free text is, ' * 20}" for k in range(n_rows)]
    y = g.integers(0, 3, n_rows)
    return pl.DataFrame({**columns, "town": towns, "note": notes, "y": y})


@pytest.fixture(scope="module", params=[".csv", ".parquet"])
def tables(request, tmp_path_factory):
    """A large table, and a small one of the same columns."""
    folder = tmp_path_factory.mktemp("tables")
    ending, size = request.param, 40_000
    large, small = folder / "large", folder / f"small{ending}"
    large.mkdir()

    def write(frame, path):
        if ending == ".csv":
            frame.write_csv(path)
        else:
            frame.write_parquet(path, row_group_size=1000)  # a column of which is read as a whole

    for first in range(0, TABLE_ROWS, size):
        write(table(size, first), large / f"part-{first:07}{ending}")
    write(table(2000), small)
    yield str(large), str(small)
    for path in large.iterdir():
        path.unlink()


@pytest.mark.proof
def test_tables_are_converted_in_bounded_memory(tables, tmp_path):
    large, small = tables
    assert TABLE_ROWS / 1000 * table(1000).estimated_size() > 4 * CONVERSION_ALLOWED
    asked = (large, small, tmp_path, CONVERSION_ALLOWED, False)
    assert result_of(limited_memory.converted, *asked, env=FEW_THREADS) == TABLE_ROWS


# A limit that the system enforces, in which the cache of the files counts as well.

GROUP, GROUP_ROWS = 320 * MB, 2_600_000


@pytest.fixture(scope="module")
def very_large(tmp_path_factory):
    """1.3 GB of inputs, none of it in the system's cache."""
    folder = tmp_path_factory.mktemp("very-large")
    rows = np.random.default_rng(0).standard_normal((100_000, N_FEATURES), np.float32)
    shape = (GROUP_ROWS, N_FEATURES)
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, shape)
    labels = []
    for first in range(0, GROUP_ROWS, len(rows)):
        X[first : first + len(rows)] = rows + np.float32(first / GROUP_ROWS)
        labels.append(X[first : first + len(rows), :2].sum(axis=1) > 1)
    X.flush()
    np.save(folder / "y.npy", np.concatenate(labels).astype(np.int64))
    assert X.nbytes > 3.9 * GROUP
    del X
    yield folder
    for path in folder.iterdir():
        path.unlink()


def in_a_group(folder, name, *arguments):
    """How a process ends, and the most that it and the files it reads held, within GROUP bytes."""
    try:
        with memory_group.memory_group(GROUP) as group:
            for path in folder.iterdir():
                memory_group.forget(path)
            done = run_function(limited_memory.in_group, group, name, str(folder), *arguments)
            return done, memory_group.peak(group)
    except memory_group.NoGroup as reason:
        pytest.skip(f"no control group with a limit of memory: {reason}")


@pytest.mark.proof
@pytest.mark.parametrize(
    "settings", [{"solver": "gd"}, {"batch_size": 200, "shuffle": "blocks"}], ids=str
)
def test_a_group_of_processes_with_a_quarter_of_the_memory_trains_to_the_same_bits(
    very_large, settings
):
    free = result_of(limited_memory.trained_as_it_lies, str(very_large), settings)
    done, held = in_a_group(very_large, "trained_as_it_lies", settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == free
    assert held > 0.9 * GROUP  # the limit was met, and files dropped from the cache


@pytest.mark.proof
def test_such_a_group_has_no_room_for_a_copy(very_large):
    done, _ = in_a_group(very_large, "copied", None)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.proof
@pytest.mark.parametrize("tables", [".parquet"], indirect=True)
def test_a_limit_on_addresses_is_none_on_conversions_and_is_named_where_files_are_mapped(
    tables, tmp_path
):
    # Addresses that polars takes and never uses differ from run to run.
    asked = (*tables, tmp_path, CONVERSION_ALLOWED + 32 * MB)
    done = run_function(limited_memory.converted_with_few_addresses, *asked, env=FEW_THREADS)
    converted, opened = json.loads(done.stdout.splitlines()[-1])
    assert converted == str(TABLE_ROWS)
    message = r"\.npy cannot be mapped: it needs .* of address space, but hardly any memory"
    assert re.search(message, opened)
    assert sum(open_table(tmp_path / "large").facts["rows"].values()) == TABLE_ROWS


# Faults in mapped files.


def test_a_file_that_was_cut_is_refused_before_it_is_read(tmp_path):
    X, y = np.ones((1000, 3), np.float32), np.arange(1000) % 2
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    os.truncate(tmp_path / "X.npy", 5000)
    message = r"X is mapped from .*X.npy, which had at least 12128 bytes .* and has 5000 now"
    with pytest.raises(ValueError, match=message):
        train(Network((3, 1)), mapped.T, y)
    with pytest.raises(ValueError, match=message):
        MLPClassifier().fit(mapped, y)
    with pytest.raises(ValueError, match=message):
        train(Network((3, 1)), mapped[:10].T, y[:10])


@pytest.mark.parametrize("argument", ["X", "y"])
def test_so_is_a_view_of_it_that_looks_like_any_array(tmp_path, argument):
    given = {"X": np.random.default_rng(0).standard_normal((1000, 3)), "y": np.arange(1000) % 2}
    fitted = MLPRegressor(solver="lbfgs").fit(np.eye(3), np.arange(3.0))
    path = tmp_path / "array.npy"
    np.save(path, given[argument])
    mapped = np.load(path, mmap_mode="r")
    os.truncate(path, 500)
    for view in (np.asarray(mapped), mapped.view(np.ndarray)[1:]):
        data = {**given, argument: view}
        data = {name: array[: len(view)] for name, array in data.items()}
        with pytest.raises(ValueError, match=rf"{argument} is mapped from .*array.npy, which had"):
            MLPClassifier().fit(**data)
        if argument == "X":
            with pytest.raises(ValueError, match=r"X is mapped from .*array.npy, which had"):
                fitted.predict(view)


def test_a_file_that_was_replaced_or_removed_stays_as_it_was(tmp_path):
    X, y = np.random.default_rng(0).standard_normal((1000, 3)), np.arange(1000) % 2
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    (tmp_path / "X.npy").unlink()
    network, given = Network((3, 1)), {"max_iter": 3, "batch_size": 10, "shuffle": "blocks"}
    assert (
        train(network, mapped.T, y, **given).fingerprint
        == train(network, X.T, y, **given).fingerprint
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_bad", [1, 3])
def test_a_nan_in_the_middle_is_named_with_its_row(tmp_path, dtype, n_bad):
    X = np.zeros((300_000, 8), dtype)
    X[250_001 : 250_001 + n_bad, 5] = np.nan
    np.save(tmp_path / "X.npy", X)
    mapped, y = np.load(tmp_path / "X.npy", mmap_mode="r"), np.arange(300_000) % 2
    where = r"the first .*at X\[5, 250001\]"
    with pytest.raises(ValueError, match=rf"{n_bad} of its 2400000 entries are NaN .*{where}"):
        train(Network((8, 1)), mapped.T, y)
    fitted = MLPRegressor(solver="lbfgs").fit(np.eye(8, dtype=dtype), np.arange(8.0))
    for rows in (mapped, X):
        with pytest.raises(ValueError, match=r"contains NaN(.|\n)*first nan at X\[250001, 5\]"):
            MLPClassifier().fit(rows, y)
        with pytest.raises(ValueError, match=r"contains NaN(.|\n)*first nan at X\[250001, 5\]"):
            fitted.predict(rows)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("entries", [1, 7, 1000])
def test_the_first_entry_that_is_not_finite_is_found_in_parts_as_in_the_whole(
    monkeypatch, order, entries
):
    monkeypatch.setattr("engine.boundary.arrays.ENTRIES_AT_A_TIME", entries)
    g = np.random.default_rng(entries)
    for shape in ((40, 13), (13, 40), (30,), (1, 1)):
        X = np.asarray(g.standard_normal(shape), order=order)
        assert non_finite(X) == (0, None)
        X[g.random(shape) < 0.1] = np.inf
        bad = np.argwhere(~np.isfinite(X))
        expected = tuple(bad[0].tolist()) if len(bad) else None
        assert non_finite(X) == (len(bad), expected)
        assert non_finite(X[::-1])[0] == len(bad)


# Mapped arrays that would have to be copied.


@pytest.fixture
def mapped_bytes(tmp_path):
    X = np.random.default_rng(0).integers(-9, 9, (600, 4)).astype(np.int8)
    np.save(tmp_path / "X.npy", X)
    return np.load(tmp_path / "X.npy", mmap_mode="r")


Y = np.arange(600) % 2


def test_what_must_be_converted_is_where_memory_is_left(mapped_bytes):
    network = Network((4, 1))
    one, other = (
        train(network, X.T, Y, max_iter=3).fingerprint
        for X in (mapped_bytes, np.array(mapped_bytes, dtype=float))
    )
    assert one == other


def test_what_must_be_converted_is_refused_with_advice_where_no_memory_is_left(
    mapped_bytes, monkeypatch
):
    monkeypatch.setattr(mapped_files, "memory_left", lambda: 10_000.0)
    message = (
        r"X is mapped from a file, and a copy of it in float64 would take 19200 bytes of the 10000 "
        r"bytes of memory that are left. X has dtype int8; only float32 and float64 in the byte "
        r"order of this machine .* docs/larger-than-memory.md"
    )
    with pytest.raises(ValueError, match=message):
        train(Network((4, 1)), mapped_bytes.T, Y)
    with pytest.raises(ValueError, match=message):
        MLPClassifier().fit(mapped_bytes, Y)
    with pytest.raises(ValueError, match=message):
        Network((4, 1)).forward(np.zeros(5), mapped_bytes.T)
    train(Network((4, 1)), np.array(mapped_bytes).T, Y, max_iter=1)  # which is in memory anyway


def test_what_is_backward_in_memory_is_refused_where_no_memory_is_left(tmp_path, monkeypatch):
    np.save(tmp_path / "X.npy", np.random.default_rng(0).standard_normal((600, 4)))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    monkeypatch.setattr(mapped_files, "memory_left", lambda: 10_000.0)
    for run in (
        lambda X: train(Network((4, 1)), X.T, Y, max_iter=1),
        lambda X: MLPClassifier(solver="gd", max_iter=1, n_iter_no_change=1).fit(X, Y),
    ):
        with pytest.raises(ValueError, match="It is backward in memory, or its numbers stand"):
            run(mapped[::-1])
    train(Network((4, 1)), mapped[::2].T, Y[::2], max_iter=1)


def test_early_stopping_that_would_copy_says_what_to_do(tmp_path, monkeypatch):
    np.save(tmp_path / "X.npy", np.random.default_rng(0).standard_normal((600, 4)))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    monkeypatch.setattr(mapped_files, "memory_left", lambda: 10_000.0)
    with pytest.raises(ValueError, match=r"early_stopping copies rows .* as X_val and y_val"):
        MLPClassifier(early_stopping=True).fit(mapped, Y)
    with pytest.warns(match="Maximum iterations"):
        MLPClassifier(early_stopping=True, max_iter=1).fit(
            mapped[:500], Y[:500], X_val=mapped[500:], y_val=Y[500:]
        )


def test_only_views_of_files_are_mapped(tmp_path):
    np.save(tmp_path / "X.npy", np.zeros((6, 4)))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    for view in (mapped, mapped.T, mapped[1:], np.asarray(mapped), mapped.view(np.ndarray)[::2]):
        assert mapped_files.mapping_of(view) is not None
    for array in (np.array(mapped), mapped + 0, mapped[[1, 2]], np.zeros(3), [1.0], None):
        assert mapped_files.mapping_of(array) is None


@pytest.mark.proof
def test_memory_that_is_left_is_known_and_limits_count():
    assert 0 < free_memory.memory_left() < 1e14
    assert result_of(_left_under_a_limit) <= 64 * MB


def _left_under_a_limit():
    limited_memory.limit_memory(64 * MB)
    return free_memory.memory_left()


@pytest.mark.proof
def test_a_conversion_that_kept_its_batches_would_not_fit(tables, tmp_path):
    asked = (*tables, tmp_path, CONVERSION_ALLOWED, True)
    done = run_function(limited_memory.converted, *asked, env=FEW_THREADS)
    assert done.returncode != 0
    assert "emory" in done.stderr
    assert not Path(tmp_path, "large").exists()
