"""`engine compare gradient` and `threads`: J and its gradient, beside the machine's own gemm.

By each backend, at the rate of gemm; and on more threads, beside what gemm gains from them.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypedDict

import numpy as np
from threadpoolctl import ThreadpoolController

from engine.comparison import timing
from engine.comparison.jobs import OURS
from engine.comparison.machine import GEMM_FLOPS, GEMM_SIZE, About, about, gemm
from engine.comparison.problems import Problem, TrainingTask
from engine.comparison.timing import announced
from engine.equations.backends import BACKENDS

GEMM = "gemm"
SECONDS_PER_GRADIENT = 0.03
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


class GradientEntry(TypedDict, total=False):
    """One backend on one problem. `failed` and `void` stand in place of times."""

    failed: str
    void: str
    n_samples: int  # in a call
    ns_per_sample: float
    gflops: float
    share_of_gemm: timing.Spread
    ratio: timing.Spread  # its time a sample, divided by the first backend's in the round


class GradientRow(TypedDict):
    """One problem in one dtype."""

    problem: str
    n_samples: int
    dtype: str
    counts: bool
    base: str
    gemm_gflops: float
    entries: dict[str, GradientEntry]


class GradientFound(TypedDict):
    about: About
    rounds: int
    rows: list[GradientRow]


def measure_gradient(dtypes: Sequence[str], rounds: int, n_threads: int) -> GradientFound:
    tasks = [TrainingTask(problem, dtype, n_threads) for problem in WIDE for dtype in dtypes]
    tasks.append(TrainingTask(SIMPLE_CHAINS, "float32", n_threads))
    labelled = [(f"{task.problem.name} {task.dtype}", task) for task in tasks]
    rows = [compare(task, rounds) for task in announced(labelled)]
    return GradientFound(about=about(n_threads, []), rounds=rounds, rows=rows)


def compare(task: TrainingTask, rounds: int) -> GradientRow:
    """The gradients of all backends agree, or a backend's times are void; then time in turns."""
    names = [name for name in OURS if name in BACKENDS]
    entries: dict[str, GradientEntry] = {name: GradientEntry() for name in names}
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
        acts[name], units[name] = act_to_time(task, name)
        entries[name]["n_samples"] = min(units[name], task.problem.n_samples)
    acts[GEMM] = gemm(task.dtype)
    acts[GEMM]()
    seconds = timing.in_turns(acts, rounds)
    per_flop = timing.per_unit(seconds[GEMM], GEMM_FLOPS)
    times = {name: timing.per_unit(seconds[name], units[name]) for name in timed}
    flops = task.problem.flops_per_sample
    for name in timed:
        per_sample = timing.spread(times[name]).median
        entries[name]["ns_per_sample"] = 1e9 * per_sample
        entries[name]["gflops"] = 1e-9 * flops / per_sample
        of_flop = timing.per_unit(times[name], flops)
        entries[name]["share_of_gemm"] = timing.ratio(per_flop, to=of_flop)
        entries[name]["ratio"] = timing.ratio(times[name], to=times[timed[0]])
    return GradientRow(
        problem=task.problem.name,
        n_samples=task.problem.n_samples,
        dtype=task.dtype,
        counts=task.problem != SIMPLE_CHAINS,
        base=timed[0] if timed else "",
        gemm_gflops=1e-9 / timing.spread(per_flop).median,
        entries=entries,
    )


def evaluation(task: TrainingTask, backend: str, n_samples: int | None = None) -> Callable[[], Any]:
    """() -> (J, dtheta) on the first samples; X in C order, a feature to a row."""
    X = np.ascontiguousarray(task.data.rows[:n_samples].T)
    Y = task.data.targets[:n_samples].T
    objective = task.network.objective(X, Y, backend=backend, n_threads=task.n_threads)
    return lambda: objective.cost_and_gradient(task.theta)


def act_to_time(task: TrainingTask, backend: str) -> tuple[Callable[[], Any], int]:
    """What is timed, and the number of samples that it goes through."""
    few = min(FEW_SAMPLES, task.problem.n_samples)
    act = evaluation(task, backend, few)
    act()
    per_sample = timing.seconds(act) / few
    affordable = max(few, int(LONGEST_TIMING / per_sample))
    n_samples = min(task.problem.n_samples, affordable)
    once = evaluation(task, backend, n_samples)
    once()
    calls = timing.repeats(timing.seconds(once), SECONDS_PER_GRADIENT)
    return timing.several(once, calls), calls * n_samples


SECONDS_PER_TIMING = 0.05

LARGE = (
    Problem((4, 32, 16, 4), 100_000, 100_000, "identity"),
    Problem((20, 100, 1), 50_000, 50_000),
    Problem((100, 100, 1), 20_000, 20_000),
    Problem((256, 256, 256, 10), 8_000, 8_000, "softmax"),
    Problem((784, 128, 10), 8_000, 8_000, "softmax"),
)
SMALL = (
    Problem((2, 4, 1), 4, 4),
    Problem((2, 4, 1), 1000, 1000),
    Problem((20, 16, 1), 2000, 2000),
    Problem((20, 100, 1), 1000, 1000),
    Problem((30, 16, 1), 10_000, 10_000),
    Problem((100, 100, 1), 2000, 2000),
)


class ThreadRow(TypedDict, total=False):
    """One problem; `speed_up` by number of threads, over one thread in the same round."""

    problem: str
    n_samples: int
    dtype: str
    failed: str
    ms_on_one: float
    speed_up: dict[str, timing.Spread]
    gemm_speed_up: dict[str, float]
    of_gemm: dict[str, float]  # the one divided by the other, round by round
    same_bits: bool


class ThreadFound(TypedDict):
    about: About
    rounds: int
    backend: str
    counts: list[int]
    large: list[ThreadRow]
    small: list[ThreadRow]


def measure_threads(dtypes: Sequence[str], rounds: int, n_threads: int) -> ThreadFound:
    backend = next(name for name in OURS if name in BACKENDS)
    counts = thread_counts(n_threads)
    large = [TrainingTask(problem, dtype) for problem in LARGE for dtype in dtypes]
    small = [TrainingTask(problem, dtype) for problem in SMALL for dtype in dtypes]
    return ThreadFound(
        about=about(n_threads, []),
        rounds=rounds,
        backend=backend,
        counts=counts,
        large=[scaling(t, backend, counts, rounds) for t in announced(map(_labelled, large))],
        small=[by_default(t, backend, rounds) for t in announced(map(_labelled, small))],
    )


def thread_counts(most: int) -> list[int]:
    """1, 2, 4, ... and the most.

    >>> thread_counts(6)
    [1, 2, 4, 6]
    """
    return sorted({1, most, *(2**power for power in range(1, most.bit_length()))} - {0})


def scaling(task: TrainingTask, backend: str, counts: Sequence[int], rounds: int) -> ThreadRow:
    """The speed-up of the gradient and of gemm, all of them in the same rounds."""
    row = _row(task)
    try:
        gradients = {count: _evaluation(task, backend, count) for count in counts}
        found = [gradient() for gradient in gradients.values()]
    except Exception as error:  # it is a result, not the end
        row["failed"] = " ".join(str(error).split())
        return row
    J, dtheta = found[0]
    row["same_bits"] = all(cost == J and np.array_equal(g, dtheta) for cost, g in found)
    calls = _calls(gradients[1])
    yardsticks = gemms(task.dtype, counts)
    acts = {f"gradient {count}": timing.several(act, calls) for count, act in gradients.items()}
    for act in yardsticks.values():
        act()
    seconds = timing.in_turns({**acts, **yardsticks}, rounds)
    row["ms_on_one"] = 1e3 * timing.spread(seconds["gradient 1"]).median / calls
    row["speed_up"], row["gemm_speed_up"], row["of_gemm"] = {}, {}, {}
    for count in counts[1:]:
        own = timing.ratio(seconds["gradient 1"], to=seconds[f"gradient {count}"])
        gemm = gemm_speed_up(seconds, count)
        row["speed_up"][str(count)] = own
        row["gemm_speed_up"][str(count)] = gemm.median
        row["of_gemm"][str(count)] = own.median / gemm.median
    return row


def gemm_speed_up(seconds: Mapping[str, Sequence[float]], count: int) -> timing.Spread:
    """Of the faster of the two ways to multiply on that many threads, from times of `gemms`."""
    ways = (seconds[f"gemm {count} {way}"] for way in ("rows", "blas"))
    best = min(ways, key=lambda times: timing.spread(times).median)
    return timing.ratio(seconds["gemm 1 blas"], to=best)


def by_default(task: TrainingTask, backend: str, rounds: int) -> ThreadRow:
    """The number of threads that is taken where none is given, against one."""
    row = _row(task)
    try:
        acts = {"one": _evaluation(task, backend, 1), "default": _evaluation(task, backend, None)}
        for act in acts.values():
            act()
    except Exception as error:  # it is a result, not the end
        row["failed"] = " ".join(str(error).split())
        return row
    calls = _calls(acts["one"])
    seconds = timing.in_turns(
        {name: timing.several(act, calls) for name, act in acts.items()}, rounds
    )
    row["ms_on_one"] = 1e3 * timing.spread(seconds["one"]).median / calls
    row["speed_up"] = {"default": timing.ratio(seconds["one"], to=seconds["default"])}
    return row


def _row(task: TrainingTask) -> ThreadRow:
    return ThreadRow(problem=task.problem.name, n_samples=task.problem.n_samples, dtype=task.dtype)


def _labelled(task: TrainingTask) -> tuple[str, TrainingTask]:
    return f"{task.problem.name} x {task.problem.n_samples} {task.dtype}", task


def _evaluation(task: TrainingTask, backend: str, n_threads: int | None) -> Callable[[], Any]:
    X = np.ascontiguousarray(task.data.rows.T)
    objective = task.network.objective(X, task.data.targets.T, backend=backend, n_threads=n_threads)
    return lambda: objective.cost_and_gradient(task.theta)


def _calls(act: Callable[[], Any]) -> int:
    return timing.repeats(timing.seconds(act), SECONDS_PER_TIMING)


def gemms(dtype: str, counts: Sequence[int]) -> dict[str, Callable[[], object]]:
    """A product of two square matrices on that many threads: of BLAS, or of Python by rows."""
    generator = np.random.default_rng(0)
    A, B = generator.standard_normal((2, GEMM_SIZE, GEMM_SIZE)).astype(dtype)
    C = np.empty_like(A)
    blas = ThreadpoolController().select(user_api="blas")

    def by_blas(count: int) -> None:
        with blas.limit(limits=count):
            np.matmul(A, B, out=C)

    def by_rows(count: int, pool: ThreadPoolExecutor) -> None:
        cuts = np.linspace(0, GEMM_SIZE, count + 1).astype(int)
        with blas.limit(limits=1):
            parts = [
                pool.submit(np.matmul, A[start:stop], B, out=C[start:stop])
                for start, stop in itertools.pairwise(cuts)
            ]
            for part in parts:
                part.result()

    acts: dict[str, Callable[[], object]] = {"gemm 1 blas": partial(by_blas, 1)}
    for count in counts[1:]:
        acts[f"gemm {count} blas"] = partial(by_blas, count)
        acts[f"gemm {count} rows"] = partial(by_rows, count, ThreadPoolExecutor(count))
    return acts
