"""How much memory: conversions and fits of files many times larger than what they may hold.

Each runs as a command, in a control group with a hard limit: beyond it the system drops files from
its cache, the group's own included, and where that does not help it kills. None of the data is in
the cache at the start.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from engine.system.free_memory import of_process
from tools.memory_group import enter, forget, memory_group

LIMIT, ALL = 768 << 20, 1 << 50
NUMBERS, CHOICES, PART = 40, 2, 250_000  # columns of numbers and of text; rows written at a time
EPOCHS = 2
# polars holds buffers for each of its threads.
FEW_THREADS = {"POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def runs(folder: Path, gigabytes: float) -> dict[str, Any]:
    """What each run took, and how it ended."""
    found = []
    with tempfile.TemporaryDirectory(dir=folder) as made:
        for ending in (".csv", ".parquet"):
            source, arrays = Path(made, f"source{ending}"), Path(made, "arrays")
            n_rows = write_table(source, gigabytes)
            told = {"rows": n_rows, "gigabytes": size_of(source)}
            convert = ["convert", source, "--target", "y", "--to", arrays]
            what = f"`engine convert` of {ending}"
            found.append({"what": what, **told, **limited("engine", convert, reads=source)})
            print(found[-1], flush=True)
            if ending == ".csv":
                shutil.rmtree(source)
                found += list(fits(arrays))
            shutil.rmtree(made, ignore_errors=True)
            Path(made).mkdir()
    return {"limit": LIMIT, "runs": found}


def fits(arrays: Path) -> Any:
    """Of the arrays that a conversion wrote: within the limit, and with all of the memory."""
    shape = np.load(arrays / "training-inputs.npy", mmap_mode="r").shape
    told = {"rows": shape[0], "gigabytes": size_of(arrays, "training-inputs.npy")}
    for what, settings in (
        ('`train(solver="gd")`', {"solver": "gd"}),
        ('`train(shuffle="blocks")`', {"batch_size": 200, "shuffle": "blocks"}),
    ):
        asked = [json.dumps({"folder": str(arrays), "settings": settings})]
        within, free = (limited(__spec__.name, asked, arrays, most) for most in (LIMIT, ALL))
        same = within["said"] == free["said"] != ""
        yield {"what": what, **told, **within, "same_bits": same, "free_seconds": free["seconds"]}
    model = arrays.parent / "model.skops"
    train = ["train", arrays, "--model", model, "--max-iter", str(EPOCHS)]
    yield {"what": "`engine train FOLDER`", **told, **limited("engine", train, reads=arrays)}


def trained(folder: str, settings: dict[str, Any]) -> str:
    """The fingerprint of a fit of the folder's arrays as they lie."""
    from engine import Network, open_table
    from engine import train as descend

    table = open_table(folder)
    X, y = table.training
    network = Network((X.shape[1], 32, 1), output="identity", embeddings=table.embeddings(width=2))
    return descend(network, X.T, y, max_iter=EPOCHS, n_threads=1, **settings).fingerprint


def limited(module: str, arguments: list[Any], reads: Path, most: int | None = None) -> Any:
    """What a module took that is run as a command within LIMIT, or `most`, bytes.

    `reads` is the folder of its data, which are taken out of the cache before.
    """
    for path in filter(Path.is_file, reads.rglob("*")):
        forget(path)
    with memory_group(LIMIT if most is None else most) as group:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            env={**os.environ, **FEW_THREADS}, preexec_fn=partial(enter, group),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        private = 0  # bytes that are no file's
        while process.poll() is None:
            private = max(private, of_process("RssAnon", process.pid) or 0)
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        said, complained = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{arguments} ended with {process.returncode}: {complained[-500:]}")
    return {"seconds": seconds, "private": private, "said": said.strip()[-64:]}


def size_of(folder: Path, pattern: str = "*") -> float:
    return sum(path.stat().st_size for path in folder.rglob(pattern)) / 1e9


def write_table(folder: Path, gigabytes: float) -> int:
    """Files of so many gigabytes together, in a new folder: numbers, words, and what to predict."""
    folder.mkdir()
    g = np.random.default_rng(0)
    n_rows = 0
    while size_of(folder) < gigabytes:
        numbers = g.standard_normal((PART, NUMBERS)).round(6)
        columns: dict[str, Any] = {f"x{k}": numbers[:, k] for k in range(NUMBERS)}
        for k in range(CHOICES):
            columns[f"word{k}"] = [f"choice {c}" for c in g.integers(0, 5, PART)]
        frame = pl.DataFrame({**columns, "y": numbers[:, 0] - numbers[:, 1] ** 2})
        path = folder / f"part-{n_rows:09}{folder.suffix}"
        if folder.suffix == ".csv":
            frame.write_csv(path)
        else:
            frame.write_parquet(path, row_group_size=50_000)
        n_rows += PART
    return n_rows


def table(found: dict[str, Any]) -> str:
    """The same, as the page shows it."""
    lines = [
        f"Limit: {found['limit'] >> 20} MB, of which Python and its libraries take a part. A fit "
        f"has {EPOCHS} epochs of the training rows. Seconds are those of the whole process.",
        "",
        "| command | data | rows | private memory at most | seconds | rows/s |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for run in found["runs"]:
        rounds = 1 if "convert" in run["what"] else EPOCHS
        lines.append(
            f"| {run['what']} | {run['gigabytes']:.1f} GB | {run['rows']:,} | "
            f"{run['private'] / 2**20:,.0f} MB | {run['seconds']:,.0f} | "
            f"{rounds * run['rows'] / run['seconds']:,.0f} |"
        )
    fits = [run for run in found["runs"] if "same_bits" in run]
    if all(run["same_bits"] for run in fits):
        times = ", ".join(f"{run['free_seconds']:,.0f} s" for run in fits)
        lines += [
            "",
            f"The bits of both `train` are those of fits without a limit, which took {times}.",
        ]
    else:
        lines += ["", "**The bits differ from those of fits without a limit.**"]
    return "\n".join(lines)


if __name__ == "__main__":
    print(trained(**json.loads(sys.argv[1])))
