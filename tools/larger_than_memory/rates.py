"""How fast: rows a second, by the way through a file and by whether the file is cached.

Each way is gone in a process of its own: `python -m tools.larger_than_memory.rates WAY`, as JSON.
"""

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
from engine.system.mapped_files import mapping_of
from engine.training import run

FEATURES, HIDDEN, BATCH = 100, 16, 200
SECONDS = 3.0  # after which a way is not followed any further: while little of the file is cached
ROUNDS = 3
COLD, CACHED = "not cached", "cached"
WAYS: dict[str, dict[str, Any]] = {
    "gradient descent, all rows": {"solver": "gd"},
    "Adam, in the file's order": {"batch_size": BATCH, "shuffle": False},
    'Adam, shuffle="blocks"': {"batch_size": BATCH, "shuffle": "blocks"},
    "Adam, shuffle=True": {"batch_size": BATCH, "shuffle": True},
}


def rates(folder: Path, gigabytes: float) -> dict[str, Any]:
    """Rows a second of each way, in rounds."""
    n_rows = int(gigabytes * 1e9 / (4 * FEATURES))
    found: dict[str, dict[str, list[float]]] = {
        name: {COLD: [], CACHED: []} for name in ("dd", *WAYS)
    }
    with tempfile.TemporaryDirectory(dir=folder) as made:
        make(Path(made), n_rows)
        for _ in range(ROUNDS):
            found["dd"][COLD].append(read_plainly(Path(made, "X.npy")))
            for name, settings in WAYS.items():
                for state, rounds in found[name].items():
                    asked = {"folder": made, "settings": settings, "cold": state == COLD}
                    done = subprocess.run(
                        [sys.executable, "-m", __spec__.name, json.dumps(asked)],
                        capture_output=True, text=True, check=True,
                    )  # fmt: skip
                    told = json.loads(done.stdout)
                    rounds.append(told["rows"] / told["seconds"])
                    print(f"{name}, {state}: {rounds[-1]:,.0f} rows/s", flush=True)
    return {"rows": n_rows, "rates": found}


def table(found: dict[str, Any]) -> str:
    """The same, as the page shows it: medians."""

    def cells(rounds: list[float]) -> str:
        rate = float(np.median(rounds))
        return f"{rate:,.0f} | {rate * FEATURES * 4 / 1e6:,.0f}"

    n_rows = found["rows"]
    plainly = float(np.median(found["rates"]["dd"][COLD])) * FEATURES * 4 / 1e6
    lines = [
        f"{n_rows:,} rows of {FEATURES} float32: {n_rows * FEATURES * 4 / 1e9:.1f} GB; network "
        f"{FEATURES}-{HIDDEN}-1, batches of {BATCH}, one thread; medians of {ROUNDS} rounds; the "
        f"disk is read from front to back at {plainly:,.0f} MB/s",
        "",
        f"| way | {COLD}, rows/s | MB/s | {CACHED}, rows/s | MB/s |",
        "|---|--:|--:|--:|--:|",
    ]
    for name in WAYS:
        states = found["rates"][name]
        lines.append(f"| {name} | {cells(states[COLD])} | {cells(states[CACHED])} |")
    return "\n".join(lines)


def read_plainly(path: Path) -> float:
    """Rows a second of the disk itself: the first gigabyte, in order, not cached."""
    n_bytes, most = 0, 10**9
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        part = bytearray(1 << 22)
        start = time.perf_counter()
        while n_bytes < most and (n := file.readinto(part)):
            n_bytes += n
        seconds = time.perf_counter() - start
    return n_bytes / (4 * FEATURES) / seconds


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

    def watched(call: Any, rows: Any) -> Any:
        def begin(*arguments: Any, **named: Any) -> Any:
            if cold:
                evict(X)
            start = time.perf_counter()
            ended = call(*arguments, **named)
            found["seconds"] = time.perf_counter() - start
            found["rows"] = rows(*arguments)
            return ended

        return begin

    rows_a_step = settings.get("batch_size", len(y))
    to_its_end = watched(run.Run.to_its_end, lambda self: rows_a_step * self.solver.n_steps)
    setattr(run.Run, "to_its_end", to_its_end)  # noqa: B010
    train(network, X.T, y, **settings, max_iter=1, max_time=SECONDS, n_threads=1)
    return {name: float(value) for name, value in found.items()}


def evict(array: Any) -> None:
    """Take a mapped file out of this process and out of the system's cache."""
    mapping = mapping_of(array)
    mapping._mmap.madvise(4)  # MADV_DONTNEED
    with open(mapping.filename, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    print(json.dumps(way(**json.loads(sys.argv[1]))))
