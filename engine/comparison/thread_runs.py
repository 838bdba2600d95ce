"""`engine compare threads`: how a full-batch gradient gains from threads, beside gemm itself."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypedDict

import numpy as np
from threadpoolctl import ThreadpoolController

from engine.comparison import measure
from engine.comparison.jobs import OURS
from engine.comparison.machine import GEMM_SIZE, About, about
from engine.comparison.problems import Problem, Task
from engine.comparison.progress import announced
from engine.equations.backends import BACKENDS

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


class Row(TypedDict, total=False):
    """One problem; `speed_up` by number of threads, over one thread in the same round."""

    problem: str
    n_samples: int
    dtype: str
    failed: str
    ms_on_one: float
    speed_up: dict[str, measure.Spread]
    gemm_speed_up: dict[str, float]
    of_gemm: dict[str, float]  # the one divided by the other, round by round
    same_bits: bool


class Found(TypedDict):
    about: About
    rounds: int
    backend: str
    counts: list[int]
    large: list[Row]
    small: list[Row]


def measure_all(dtypes: Sequence[str], rounds: int, n_threads: int) -> Found:
    backend = next(name for name in OURS if name in BACKENDS)
    counts = thread_counts(n_threads)
    large = [Task(problem, dtype) for problem in LARGE for dtype in dtypes]
    small = [Task(problem, dtype) for problem in SMALL for dtype in dtypes]
    return Found(
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


def scaling(task: Task, backend: str, counts: Sequence[int], rounds: int) -> Row:
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
    acts = {f"gradient {count}": measure.several(act, calls) for count, act in gradients.items()}
    for act in yardsticks.values():
        act()
    seconds = measure.in_turns({**acts, **yardsticks}, rounds)
    row["ms_on_one"] = 1e3 * measure.spread(seconds["gradient 1"]).median / calls
    row["speed_up"], row["gemm_speed_up"], row["of_gemm"] = {}, {}, {}
    for count in counts[1:]:
        own = measure.ratio(seconds["gradient 1"], to=seconds[f"gradient {count}"])
        gemm = gemm_speed_up(seconds, count)
        row["speed_up"][str(count)] = own
        row["gemm_speed_up"][str(count)] = gemm.median
        row["of_gemm"][str(count)] = own.median / gemm.median
    return row


def gemm_speed_up(seconds: Mapping[str, Sequence[float]], count: int) -> measure.Spread:
    """Of the faster of the two ways to multiply on that many threads, from times of `gemms`."""
    ways = (seconds[f"gemm {count} {way}"] for way in ("rows", "blas"))
    best = min(ways, key=lambda times: measure.spread(times).median)
    return measure.ratio(seconds["gemm 1 blas"], to=best)


def by_default(task: Task, backend: str, rounds: int) -> Row:
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
    seconds = measure.in_turns(
        {name: measure.several(act, calls) for name, act in acts.items()}, rounds
    )
    row["ms_on_one"] = 1e3 * measure.spread(seconds["one"]).median / calls
    row["speed_up"] = {"default": measure.ratio(seconds["one"], to=seconds["default"])}
    return row


def _row(task: Task) -> Row:
    return Row(problem=task.problem.name, n_samples=task.problem.n_samples, dtype=task.dtype)


def _labelled(task: Task) -> tuple[str, Task]:
    return f"{task.problem.name} x {task.problem.n_samples} {task.dtype}", task


def _evaluation(task: Task, backend: str, n_threads: int | None) -> Callable[[], Any]:
    X = np.ascontiguousarray(task.data.rows.T)
    objective = task.network.objective(X, task.data.targets.T, backend=backend, n_threads=n_threads)
    return lambda: objective.cost_and_gradient(task.theta)


def _calls(act: Callable[[], Any]) -> int:
    return measure.repeats(measure.seconds(act), SECONDS_PER_TIMING)


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
