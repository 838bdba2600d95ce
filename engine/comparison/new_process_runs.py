"""Start-up, for a whole comparison: from new processes to trained parameters, in turns."""

import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.comparison import measure
from engine.comparison.figures import StartUp
from engine.comparison.jobs import PEERS
from engine.comparison.problems import Task
from engine.comparison.process import ContenderFailed, Home
from engine.comparison.processes import Processes
from engine.comparison.turns import Turns

# Where compiled code is kept, and that JAX keeps all of it.
CACHES = ("NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR")
KEEP_ALL = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
FURTHER_EPOCHS = 20


class Start(NamedTuple):
    """Seconds of one round."""

    imports: float
    empty_cache: float
    warm_cache: float
    epoch: float


def start_up(
    task: Task, names: Sequence[str], rounds: int, setting: Mapping[str, Any]
) -> dict[str, StartUp]:
    """From a new process to one epoch's parameters, with nothing compiled before and after that."""
    turns = Turns(names)
    found = turns.rounds(lambda name: _start(task, name, setting), rounds, "start-up")
    return {
        name: StartUp(failed=turns.failed[name])
        if name in turns.failed
        else StartUp(
            imports=measure.spread([start.imports for start in found[name]]),
            empty_cache=measure.spread([start.empty_cache for start in found[name]]),
            warm_cache=measure.spread([start.warm_cache for start in found[name]]),
            epoch=measure.spread([start.epoch for start in found[name]]),
        )
        for name in names
    }


def _start(task: Task, name: str, setting: Mapping[str, Any]) -> Start:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        caches = {**setting, "variables": {**dict.fromkeys(CACHES, folder), **KEEP_ALL}}
        with Processes(**caches) as processes:
            empty = _first_epoch(task, name, processes)
        with Processes(**caches) as processes:
            warm = _first_epoch(task, name, processes)
            more = processes.job(name, task).prepare(FURTHER_EPOCHS, True)
            more()  # JAX compiles for each number of epochs
            epoch = more.seconds() / FURTHER_EPOCHS
            imports = _imports(name, processes.home_of(name))
    return Start(imports, empty, warm, epoch)


def _first_epoch(task: Task, name: str, processes: Processes) -> float:
    """Seconds from a new process to an epoch's end."""
    processes.make_ready(name, task)
    start = time.perf_counter()
    processes.job(name, task).prepare(1, True)()
    return time.perf_counter() - start


def _imports(name: str, home: Home) -> float:
    """Seconds of a process that imports what a user of it imports, less those of a bare one."""
    imports = f"import {PEERS[name].imports}" if name in PEERS else "from engine import train"
    return _seconds_of(imports, home) - _seconds_of("pass", home)


def _seconds_of(code: str, home: Home) -> float:
    start = time.perf_counter()
    done = subprocess.run(
        [str(home.python), "-c", code],
        env=home.environment({}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    took = time.perf_counter() - start
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise ContenderFailed(f"{code}: {last[0]}")
    return took
