"""How many threads share a computation: as asked for, or as many as are worth it."""

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from engine.system import control_groups

# Multiply-adds of one evaluation from which a second thread pays: about a millisecond of work,
# against the tens of microseconds that it takes to hand chunks to threads.
PAYS_FROM = 50_000_000


_limits = threading.local()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """In this thread, computations get one thread where none was asked for: others run beside."""
    before = getattr(_limits, "one", False)
    _limits.one = True
    try:
        yield
    finally:
        _limits.one = before


def trains_beside_others() -> bool:
    """Whether this thread is in `one_thread_each`."""
    return bool(getattr(_limits, "one", False))


class Threads(NamedTuple):
    """A number of threads, and why that one."""

    number: int
    why: str


def usable_cores() -> int:
    """Cores that this process may use, by its affinity and the CPU quota of its control groups."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    granted = min(map(quota, control_groups.folders("cpu")), default=math.inf)
    return max(1, math.ceil(min(cores, granted)))


def quota(group: Path) -> float:
    """The CPU quota of a control group (version 2 or 1), in cores; infinity if it has none."""
    try:
        if (group / "cpu.max").exists():
            granted, period = (group / "cpu.max").read_text().split()
        else:
            granted = (group / "cpu.cfs_quota_us").read_text()
            period = (group / "cpu.cfs_period_us").read_text()
        return float(granted) / float(period) if float(granted) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # no such files, "max", or nonsense
        return math.inf


def most_threads() -> int:
    """The most threads to use by default: the usable cores, or OMP_NUM_THREADS if that is less.

    joblib sets that variable in its worker processes, so that together they do not use too many
    threads. In a list, with a number for each level of nested parallelism, the first one counts.
    """
    cores = usable_cores()
    try:
        return max(1, min(cores, int(os.environ["OMP_NUM_THREADS"].split(",")[0])))
    except (KeyError, ValueError):
        return cores


def choose(asked: int | None, multiply_adds: int, n_chunks: int) -> Threads:
    """As many threads as asked for, else as many as are worth it for an evaluation of that size."""
    if asked is not None:
        return Threads(asked, "as asked")
    if n_chunks == 1:
        return Threads(1, "all samples of a step fit into one chunk")
    if multiply_adds < PAYS_FROM:
        return Threads(
            1, f"{multiply_adds:,} multiply-adds a step are fewer than the {PAYS_FROM:,} that pay"
        )
    if trains_beside_others():
        return Threads(1, "other networks train on the other threads")
    most = most_threads()  # it reads files, so not for small work
    return Threads(min(most, n_chunks), f"{n_chunks} chunks, {most} usable cores")
