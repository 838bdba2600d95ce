"""`engine compare memory`: the peak of a training run on top of its data, a process for each."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import NotRequired, TypedDict

import numpy as np

from engine.comparison.machine import About, about
from engine.comparison.problems import Problem
from engine.comparison.timing import announced

PROBE = "engine.comparison.memory_probe"

SHAPES = (((20, 16, 1), "sigmoid"), ((20, 16, 10), "softmax"))
SAMPLES = (100_000, 300_000, 1_000_000)
BATCH = 256


class MemoryRow(TypedDict):
    """One run, in bytes."""

    problem: str
    output: str
    dtype: str
    n_samples: int
    data: int
    members: NotRequired[int]  # networks that are fitted together; else it is one, by `train`
    extra: int  # peak of resident memory while training, less what was resident before


class MemoryFound(TypedDict):
    about: About
    solver: str
    rows: list[MemoryRow]


def measure_all(
    dtypes: Sequence[str], samples: Sequence[int] | None, n_threads: int, solver: str
) -> MemoryFound:
    problems = [
        Problem(sizes, n_samples, BATCH, output)
        for sizes, output in SHAPES
        for n_samples in samples or SAMPLES
    ]
    runs = [(f"{p.name} x {p.n_samples} {dtype}", (p, dtype)) for p in problems for dtype in dtypes]
    rows = [probe(problem, dtype, solver, n_threads) for problem, dtype in announced(runs)]
    return MemoryFound(about=about(n_threads, []), solver=solver, rows=rows)


def probe(
    problem: Problem, dtype: str, solver: str, n_threads: int, members: int | None = None
) -> MemoryRow:
    """Ask a fresh process."""
    asked = {
        "sizes": problem.sizes,
        "output": problem.output,
        "n_samples": problem.n_samples,
        "batch_size": problem.batch_size,
        "dtype": dtype,
        "solver": solver,
        "n_threads": n_threads,
        **({} if members is None else {"members": members}),
    }
    done = subprocess.run(
        [sys.executable, "-m", PROBE, json.dumps(asked)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise ValueError(f"the process that trains on {problem.n_samples} samples: {reason[0]}")
    found = json.loads(done.stdout)
    row = MemoryRow(
        problem=problem.name,
        output=problem.output,
        dtype=dtype,
        n_samples=problem.n_samples,
        data=found["data"],
        extra=found["extra"],
    )
    if members is not None:
        row["members"] = members
    return row


def line(rows: Sequence[MemoryRow]) -> tuple[float, float]:
    """Bytes a sample, and fixed bytes: the straight line through the runs of one problem."""
    samples = [row["n_samples"] for row in rows]
    slope, fixed = np.polyfit(samples, [row["extra"] for row in rows], 1)
    return float(slope), float(fixed)
