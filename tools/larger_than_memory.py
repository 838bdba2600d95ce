"""The figures of docs/larger-than-memory.md: `python -m tools.larger_than_memory disk | order`.

`disk` trains on a file of several gigabytes, each way of going through it in a process of its own,
with the file in the system's cache and without. `order` compares what the shuffles are worth on
rows that are sorted by their class.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from engine import Network, train
from engine.mapped_files import mapping_of
from engine.training import descent, full_batch, trainer
from engine.training.state import STEPS

FEATURES, HIDDEN, BATCH = 100, 16, 200
SECONDS = 3.0  # after which a way is not followed any further: while little of the file is cached
WAYS: dict[str, dict[str, Any]] = {
    "gradient descent, all rows": {"solver": "gd"},
    "Adam, in the file's order": {"batch_size": BATCH, "shuffle": False},
    'Adam, shuffle="blocks"': {"batch_size": BATCH, "shuffle": "blocks"},
    "Adam, shuffle=True": {"batch_size": BATCH, "shuffle": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["disk", "order", "way"])
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--asked", default="")
    given = parser.parse_args()
    if given.what == "disk":
        disk(given.folder, given.gigabytes)
    elif given.what == "order":
        order(given.rows)
    else:
        print(json.dumps(way(**json.loads(given.asked))))


# How fast.


def disk(folder: Path, gigabytes: float) -> None:
    """A table: rows a second, by the way and by whether the file is cached."""
    n_rows = int(gigabytes * 1e9 / (4 * FEATURES))
    with tempfile.TemporaryDirectory(dir=folder) as made:
        print(
            f"{n_rows:,} rows of {FEATURES} float32: {n_rows * FEATURES * 4 / 1e9:.1f} GB; ", end=""
        )
        print(f"network {FEATURES}-{HIDDEN}-1, batches of {BATCH}, one thread\n")
        make(Path(made), n_rows)
        print(f"| way | {' | '.join(f'{c}, rows/s | MB/s' for c in ('not cached', 'cached'))} "
              "|")  # fmt: skip
        print("|---|--:|--:|--:|--:|")
        for name, settings in WAYS.items():
            cells = []
            for cold in (True, False):
                asked = {"folder": made, "settings": settings, "cold": cold}
                done = subprocess.run(
                    [sys.executable, "-m", __spec__.name, "way", "--asked", json.dumps(asked)],
                    capture_output=True, text=True, check=True,
                )  # fmt: skip
                found = json.loads(done.stdout)
                rate = found["rows"] / found["seconds"]
                cells += [f"{rate:,.0f}", f"{rate * FEATURES * 4 / 1e6:,.0f}"]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


def make(folder: Path, n_rows: int) -> None:
    """Random rows, and a yes or no for each."""
    g = np.random.default_rng(0)
    with (folder / "X.npy").open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, FEATURES)}
        np.lib.format.write_array_header_1_0(file, header)
        labels = []
        for first in range(0, n_rows, 100_000):
            part = g.standard_normal((min(100_000, n_rows - first), FEATURES), np.float32)
            file.write(part.data)
            labels.append(part[:, 0] > part[:, 1])
        file.flush()
        os.fsync(file.fileno())
    np.save(folder / "y.npy", np.concatenate(labels).astype(np.float32))


def way(folder: str, settings: dict[str, Any], cold: bool) -> dict[str, float]:
    """Rows and seconds of the steps alone, in this process; the file out of the cache if `cold`."""
    X = np.load(Path(folder, "X.npy"), mmap_mode="r")
    y = np.load(Path(folder, "y.npy"))
    network = Network((FEATURES, HIDDEN, 1))
    train(network, np.array(X[:2048]).T, y[:2048], **settings, max_iter=1, n_threads=1)
    found: dict[str, float] = {}

    def watched(run: Any, rows: Any) -> Any:
        def begin(*arguments: Any) -> Any:
            if cold:
                evict(X)
            start = time.perf_counter()
            ended = run(*arguments)
            found["seconds"] = time.perf_counter() - start
            found["rows"] = rows(*arguments)
            return ended

        return begin

    run = descent.Descent.run
    setattr(descent.Descent, "run", watched(run, lambda self, _: BATCH * self._state.counts[STEPS]))  # noqa: B010
    by_all = watched(full_batch.gradient_descent, lambda *_: len(y))
    setattr(trainer, "gradient_descent", by_all)  # noqa: B010
    train(network, X.T, y, **settings, max_iter=1, max_time=SECONDS, n_threads=1)
    return {name: float(value) for name, value in found.items()}


def evict(array: Any) -> None:
    """Take a mapped file out of this process and out of the system's cache."""
    mapping = mapping_of(array)
    mapping._mmap.madvise(4)  # MADV_DONTNEED
    with open(mapping.filename, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


# How good.


def order(n_rows: int) -> None:
    """A table: the cost after each epoch, on sorted rows and on rows in random order."""
    n_classes, n_features = 10, 20
    g = np.random.default_rng(0)
    centres = g.standard_normal((n_classes, n_features), np.float32)
    classes = g.integers(n_classes, size=n_rows, dtype=np.int32)
    X = centres[classes] + 2 * g.standard_normal((n_rows, n_features), np.float32)
    network = Network((n_features, 32, n_classes), output="softmax")
    print(f"{n_rows:,} rows, {n_features} features, {n_classes} classes; network ", end="")
    print(f"{n_features}-32-{n_classes}, Adam, batches of {BATCH}\n")
    print("| rows in the file | shuffle | cost after 1 epoch | 2 | 3 |\n|---|---|--:|--:|--:|")
    places = np.argsort(classes, kind="stable")
    for name, rows, y in (
        ("at random", X, classes),
        ("sorted by class", X[places], classes[places]),
    ):
        for shuffle in (False, "blocks", True):
            costs: list[float] = []

            def note(told: Any, rows: Any = rows, y: Any = y, costs: Any = costs) -> None:
                costs.append(network.objective(rows.T, y).cost(told.theta))

            train(
                network, rows.T, y, batch_size=BATCH, max_iter=3, shuffle=shuffle, callback=note
            )  # fmt: skip
            said = repr(shuffle) if shuffle != "blocks" else '"blocks"'
            print(f"| {name} | {said} | {' | '.join(f'{c:.4f}' for c in costs)} |", flush=True)


if __name__ == "__main__":
    main()
