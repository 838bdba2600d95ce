"""Parts of a whole comparison in which contenders are asked for more than the time of a fit.

Start-up, cost against time, memory and threads: each contender in a process of its own, in turns,
and a marked entry where one fails.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from engine.comparison import measure
from engine.comparison.figures import (
    Curve,
    Curves,
    Memories,
    Memory,
    Scaling,
    Scalings,
    StartUp,
)
from engine.comparison.jobs import PEERS
from engine.comparison.launch import cores_for, fixed_threads
from engine.comparison.problems import Problem, Task
from engine.comparison.processes import Processes
from engine.comparison.progress import announced

T = TypeVar("T")
# Where compiled code is kept, and that JAX keeps all of it.
CACHES = ("NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR")
KEEP_ALL = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
FURTHER_EPOCHS = 20
EPOCHS_ON_THREADS = 5


def or_failed(act: Callable[[], T]) -> T | dict[str, str]:
    """What comes of it, or an entry that says why nothing did."""
    try:
        return act()
    except Exception as error:  # a contender that fails is a result, not the end
        return {"failed": " ".join(str(error).split()) or type(error).__name__}


def start_up(
    task: Task, names: Sequence[str], rounds: int, setting: dict[str, Any]
) -> dict[str, StartUp]:
    """From a new process to one epoch's parameters, with nothing compiled before and after that."""
    found: dict[str, Any] = {}
    for name in announced([(f"start-up: {name}", name) for name in names]):
        found[name] = or_failed(partial(_start_up, task, name, rounds, setting))
    return found


def _start_up(task: Task, name: str, rounds: int, setting: dict[str, Any]) -> StartUp:
    imports, empty, warm, epochs = [], [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="engine-compare-") as folder:
            caches = {"variables": {**dict.fromkeys(CACHES, folder), **KEEP_ALL}}
            empty.append(_first_epoch(task, name, {**setting, **caches})[0])
            first, further = _first_epoch(task, name, {**setting, **caches})
            warm.append(first)
            epochs.append(further)
        imports.append(_imports(name))
    return StartUp(
        imports=measure.spread(imports),
        empty_cache=measure.spread(empty),
        warm_cache=measure.spread(warm),
        epoch=measure.spread(epochs),
    )


def _first_epoch(task: Task, name: str, setting: dict[str, Any]) -> tuple[float, float]:
    """Seconds from a new process to an epoch's end, and seconds of a further epoch."""
    with Processes(**setting) as processes:
        start = time.perf_counter()
        job = processes.job(name, task)
        job.prepare(1, True)()
        first = time.perf_counter() - start
        more = job.prepare(FURTHER_EPOCHS, True)
        more()  # JAX compiles for each number of epochs
        return first, more.seconds() / FURTHER_EPOCHS


def _imports(name: str) -> float:
    """Seconds of a process that imports what a user of it imports, less those of a bare one."""
    imports = f"import {PEERS[name].imports}" if name in PEERS else "from engine import train"
    return _seconds_of(imports) - _seconds_of("pass")


def _seconds_of(code: str) -> float:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise ValueError(f"{code}: {last[0]}")
    return time.perf_counter() - start


def curves(
    task: Task,
    data: str,
    names: Sequence[str],
    epochs: Sequence[int],
    rounds: int,
    setting: dict[str, Any],
) -> Curves:
    """Mean cost on all data after so many epochs, against the seconds that they take."""
    start = task.cost(task.theta)
    entries: dict[str, Any] = {}
    with Processes(**setting) as processes:
        for name in announced([(f"cost against time: {name}", name) for name in names]):

            def of_one(name: str = name) -> Curve:
                job = processes.job(name, task)
                seconds, costs = [0.0], [start]
                for number in epochs:
                    act = job.prepare(number, True)
                    act()  # compiles, where that goes by the number of epochs
                    times = [act.seconds() for _ in range(rounds)]
                    seconds.append(measure.spread(times).median)
                    costs.append(task.cost(job.parameters(act)))
                return Curve(epochs=[0, *epochs], seconds=seconds, costs=costs)

            entries[name] = or_failed(of_one)
    return Curves(problem=task.problem.name, data=data, dtype=task.dtype, entries=entries)


def memory(small: Task, large: Task, names: Sequence[str], setting: dict[str, Any]) -> Memories:
    """Resident memory of a process that trains one epoch, a fresh one for each contender."""
    entries: dict[str, Any] = {}
    for name in announced([(f"memory: {name}", name) for name in names]):

        def of_one(name: str = name) -> Memory:
            with Processes(**setting) as processes:
                job = processes.job(name, small)  # imports, and compiles
                job.prepare(1, True)()
                imports = job.process.ask("resident")
                job = processes.job(name, large)
                act = job.prepare(1, True)
                found = job.process.ask("memory", act=act.number)
                return Memory(
                    imports=imports,
                    on_top=found["peak"] - found["before"],
                    peak=found["peak"],
                )

        entries[name] = or_failed(of_one)
    return Memories(
        problem=large.problem.name,
        n_samples=large.problem.n_samples,
        dtype=large.dtype,
        data=large.data.rows.nbytes + large.data.targets.nbytes,
        entries=entries,
    )


def threads(
    problem: Problem,
    dtype: str,
    names: Sequence[str],
    counts: Sequence[int],
    rounds: int,
    setting: dict[str, Any],
    gemm: dict[str, measure.Spread],
) -> Scalings:
    """Epochs on all samples at once, on one thread and on more, in turns."""
    entries: dict[str, Any] = {}
    for name in announced([(f"threads: {name}", name) for name in names]):
        scaling = partial(_scaling, problem, dtype, name, counts, rounds, setting)
        entries[name] = or_failed(scaling)
    return Scalings(
        problem=problem.name,
        n_samples=problem.n_samples,
        dtype=dtype,
        gemm=gemm,
        entries=entries,
    )


def _scaling(
    problem: Problem,
    dtype: str,
    name: str,
    counts: Sequence[int],
    rounds: int,
    setting: dict[str, Any],
) -> Scaling:
    started, acts = [], {}
    try:
        for count in counts:
            on = {"variables": fixed_threads(count), "cores": tuple(cores_for(count))}
            processes = Processes(**{**setting, **on})
            started.append(processes)
            act = processes.job(name, Task(problem, dtype, count)).prepare(EPOCHS_ON_THREADS, True)
            act()
            acts[str(count)] = act
        seconds = measure.in_turns(acts, rounds)
    finally:
        for processes in started:
            processes.__exit__(None, None, None)
    one = seconds[str(counts[0])]
    return Scaling(
        ms_on_one=1e3 * measure.spread(one).median / EPOCHS_ON_THREADS,
        speed_up={str(n): measure.ratio(one, to=seconds[str(n)]) for n in counts[1:]},
    )
