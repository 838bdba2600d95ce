"""`engine compare gradient`: J and its gradient by each backend, beside the rate of gemm."""

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import numpy as np

from engine.comparison import measure
from engine.comparison.jobs import OURS
from engine.comparison.machine import GEMM_FLOPS, About, about, gemm
from engine.comparison.problems import Problem, Task
from engine.comparison.progress import announced
from engine.equations.backends import BACKENDS

GEMM = "gemm"
SECONDS_PER_TIMING = 0.03
LONGEST_TIMING = 0.5  # seconds: a slow backend gets fewer samples
FEW_SAMPLES = 256  # for the check of the gradients, and to find out who is slow
SAME_GRADIENT = {"float32": 1e-4, "float64": 1e-11}  # relative, in norm

SIMPLE_CHAINS = Problem((4, 32, 16, 4), 10_000, 10_000, "identity")
# Those with 100 and more on both sides count towards the geometric mean.
WIDE = (
    Problem((784, 128, 10), 4000, 4000, "softmax"),
    Problem((256, 256, 256, 10), 4000, 4000, "softmax"),
    Problem((100, 100, 1), 4000, 4000),
    Problem((1000, 400, 1), 4000, 4000),
    Problem((2000, 100, 10), 4000, 4000, "softmax"),
    Problem((300, 300, 300, 1), 4000, 4000),
    Problem((500, 200, 100, 10), 4000, 4000, "softmax"),
)


class Entry(TypedDict, total=False):
    """One backend on one problem. `failed` and `void` stand in place of times."""

    failed: str
    void: str
    n_samples: int  # in a call
    ns_per_sample: float
    gflops: float
    share_of_gemm: measure.Spread
    ratio: measure.Spread  # its time a sample, divided by the first backend's in the round


class Row(TypedDict):
    """One problem in one dtype."""

    problem: str
    n_samples: int
    dtype: str
    counts: bool
    base: str
    gemm_gflops: float
    entries: dict[str, Entry]


class Found(TypedDict):
    about: About
    rounds: int
    rows: list[Row]


def measure_all(dtypes: Sequence[str], rounds: int, n_threads: int) -> Found:
    tasks = [Task(problem, dtype, n_threads) for problem in WIDE for dtype in dtypes]
    tasks.append(Task(SIMPLE_CHAINS, "float32", n_threads))
    labelled = [(f"{task.problem.name} {task.dtype}", task) for task in tasks]
    rows = [compare(task, rounds) for task in announced(labelled)]
    return Found(about=about(n_threads, []), rounds=rounds, rows=rows)


def compare(task: Task, rounds: int) -> Row:
    """The gradients of all backends agree, or a backend's times are void; then time in turns."""
    names = [name for name in OURS if name in BACKENDS]
    entries: dict[str, Entry] = {name: Entry() for name in names}
    reference = evaluation(task, "numpy", FEW_SAMPLES)()[1]
    for name in names:
        try:
            gradient = evaluation(task, name, FEW_SAMPLES)()[1]
        except Exception as error:  # a backend that fails is a result, not the end
            entries[name]["failed"] = " ".join(str(error).split())
            continue
        off = np.linalg.norm(gradient - reference) / np.linalg.norm(reference)
        if not off <= SAME_GRADIENT[task.dtype]:
            entries[name]["void"] = f"its gradient is off by {off:.1e}"
    timed = [name for name in names if not entries[name]]
    acts, units = {}, {}
    for name in timed:
        acts[name], units[name] = timing(task, name)
        entries[name]["n_samples"] = min(units[name], task.problem.n_samples)
    acts[GEMM] = gemm(task.dtype)
    acts[GEMM]()
    seconds = measure.in_turns(acts, rounds)
    per_flop = measure.per_unit(seconds[GEMM], GEMM_FLOPS)
    times = {name: measure.per_unit(seconds[name], units[name]) for name in timed}
    flops = task.problem.flops_per_sample
    for name in timed:
        per_sample = measure.spread(times[name]).median
        entries[name]["ns_per_sample"] = 1e9 * per_sample
        entries[name]["gflops"] = 1e-9 * flops / per_sample
        of_flop = measure.per_unit(times[name], flops)
        entries[name]["share_of_gemm"] = measure.ratio(per_flop, to=of_flop)
        entries[name]["ratio"] = measure.ratio(times[name], to=times[timed[0]])
    return Row(
        problem=task.problem.name,
        n_samples=task.problem.n_samples,
        dtype=task.dtype,
        counts=task.problem != SIMPLE_CHAINS,
        base=timed[0] if timed else "",
        gemm_gflops=1e-9 / measure.spread(per_flop).median,
        entries=entries,
    )


def evaluation(task: Task, backend: str, n_samples: int | None = None) -> Callable[[], Any]:
    """() -> (J, dtheta) on the first samples; X in C order, a feature to a row."""
    X = np.ascontiguousarray(task.data.rows[:n_samples].T)
    Y = task.data.targets[:n_samples].T
    objective = task.network.objective(X, Y, backend=backend, n_threads=task.n_threads)
    return lambda: objective.cost_and_gradient(task.theta)


def timing(task: Task, backend: str) -> tuple[Callable[[], Any], int]:
    """What is timed, and the number of samples that it goes through."""
    few = min(FEW_SAMPLES, task.problem.n_samples)
    act = evaluation(task, backend, few)
    act()
    per_sample = measure.seconds(act) / few
    affordable = max(few, int(LONGEST_TIMING / per_sample))
    n_samples = min(task.problem.n_samples, affordable)
    once = evaluation(task, backend, n_samples)
    once()
    calls = measure.repeats(measure.seconds(once), SECONDS_PER_TIMING)
    return measure.several(once, calls), calls * n_samples
