"""`engine compare training`: minibatch Adam by each library, verified and then timed."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

from engine.comparison import LIMIT, timing
from engine.comparison.jobs import PEERS, Job, job
from engine.comparison.libraries import available_libraries
from engine.comparison.library_processes import LibraryProcesses
from engine.comparison.machine import GEMM_FLOPS, About, about, gemm
from engine.comparison.problems import Problem, TrainingTask
from engine.comparison.timing import announced, in_one_line

CHECKED_STEPS = 100  # at least, in whole epochs
# A timing lasts as long as so many epochs of the first library, and so many seconds: a fit takes
# hundreds of epochs, beside which what a call does once (checking the data, the cost at the end) is
# little. Over one or two epochs of a wide network it was a third of the time.
EPOCHS_PER_TIMING = 20
SECONDS_PER_TIMING = 0.06
# In a call: as many as the estimators train by default. Training that goes on far beyond its end is
# other work: costs of 1e-8, and numbers so small (subnormal) that some libraries slow down.
MOST_EPOCHS = 200
# Relative differences of the final cost, samples taken in the same order. PyTorch adds epsilon
# inside the bias correction.
SAME_ORDER = {"float32": 1e-4, "float64": 1e-8}
SAME_ORDER_TORCH = 1e-3
NEARLY_NOTHING = 1e-3  # of the cost at the start: below, a cost has no digits to agree in
# With shuffles of its own: of the drop in cost, and of the cost at the start.
OWN_SHUFFLES, OWN_SHUFFLES_AT_LEAST = 0.1, 0.01
GEMM = "gemm"


class TrainingEntry(TypedDict, total=False):
    """What one library did with one task. `failed` stands alone."""

    failed: str
    cost: float  # after the checked steps, samples in order
    cost_shuffled: float
    first_call: float  # seconds that it took more than a later call: compiling, or loading
    void: str  # why its times do not count
    epochs: int  # in a timing
    us_per_step: float
    us_per_sample: timing.Spread
    ratio: timing.Spread  # its time a sample, divided by the first library's in the round


class Rates(TypedDict):
    """Of the library that the others are compared with."""

    gflops: float
    gemm_gflops: float
    share_of_gemm: float  # the time at gemm's rate divided by its time, in the same round
    gemm_us_per_sample: float  # what the arithmetic alone takes at gemm's rate


class TrainingRow(TypedDict):
    """One task. `base` names the library that the others are compared with, if any ran."""

    problem: str
    output: str
    hidden: str
    n_samples: int
    batch_size: int
    dtype: str
    checked_steps: int
    base: str | None
    rates: Rates | None
    entries: dict[str, TrainingEntry]


class TrainingFound(TypedDict):
    """The whole run."""

    about: About
    rounds: int
    absent: list[str]
    rows: list[TrainingRow]


class Checked(TypedDict):
    """A library that went through the checked steps."""

    job: Job
    entry: TrainingEntry
    seconds_per_epoch: float


def measure_all(
    problems: Sequence[dict[str, Any]],
    dtypes: Sequence[str],
    contenders: Sequence[str] | None,
    rounds: int,
    n_threads: int,
    limit: float = LIMIT,
    own_environments: Sequence[str] = (),
) -> TrainingFound:
    """Compare on each problem in each dtype. The arguments are what JSON can hold."""
    names, absent = available_libraries(contenders, own_environments)
    asked = [Problem(**{**fields, "sizes": tuple(fields["sizes"])}) for fields in problems]
    tasks = [(f"{p.name} {dtype}", (p, dtype)) for p in asked for dtype in dtypes]
    with LibraryProcesses(limit=limit, own_environments=tuple(own_environments)) as processes:
        rows = [
            compare(p, dtype, names, rounds, n_threads, processes.job)
            for p, dtype in announced(tasks)
        ]
    peers = [PEERS[name].distribution for name in names if name in PEERS]
    return TrainingFound(about=about(n_threads, peers), rounds=rounds, absent=absent, rows=rows)


def compare(
    problem: Problem,
    dtype: str,
    names: Sequence[str],
    rounds: int,
    n_threads: int,
    hand_over: Callable[[str, TrainingTask], Job] | None = None,
) -> TrainingRow:
    """Verify all libraries on a task, then time those whose costs agree, in turns.

    `hand_over` gives a library the task; if None, all of them are in this process.
    """
    task = TrainingTask(problem, dtype, n_threads)
    epochs = math.ceil(CHECKED_STEPS / problem.steps_per_epoch)
    checked: dict[str, Checked] = {}
    entries: dict[str, TrainingEntry] = {}
    for name in names:
        try:
            checked[name] = _check(task, (hand_over or job)(name, task), epochs)
            entries[name] = checked[name]["entry"]
        except Exception as error:  # a library that fails is a result, not the end
            entries[name] = TrainingEntry(failed=in_one_line(error))
    start = task.cost(task.theta)
    base = next((name for name in checked if _is_finite(entries[name])), None)
    rates = None
    if base is not None:
        mark_void(entries, base, start, dtype)
        rates = _time(task, base, checked, rounds)
        base = base if rates else None
    return TrainingRow(
        problem=problem.name,
        output=problem.output,
        hidden=problem.hidden,
        n_samples=problem.n_samples,
        batch_size=problem.batch_size,
        dtype=dtype,
        checked_steps=epochs * problem.steps_per_epoch,
        base=base,
        rates=rates,
        entries=entries,
    )


def mark_void(entries: dict[str, TrainingEntry], base: str, start: float, dtype: str) -> None:
    """Say why, where a cost is not that of the library that the others are compared with."""
    reference = entries[base]
    scale = max(reference["cost"], NEARLY_NOTHING * start)
    drop = abs(start - reference["cost_shuffled"])
    by_shuffles = OWN_SHUFFLES * drop + OWN_SHUFFLES_AT_LEAST * start
    for name, entry in entries.items():
        if "cost" not in entry:
            continue
        cost, shuffled = entry["cost"], entry["cost_shuffled"]
        allowed = SAME_ORDER_TORCH if "torch" in (name, base) else SAME_ORDER[dtype]
        if not abs(cost - reference["cost"]) <= allowed * scale:
            entry["void"] = f"cost {cost:.6g}, not {reference['cost']:.6g}"
        elif not abs(shuffled - reference["cost_shuffled"]) <= by_shuffles:
            entry["void"] = f"cost {shuffled:.4g} shuffled, not {reference['cost_shuffled']:.4g}"


def _check(task: TrainingTask, library_job: Job, epochs: int) -> Checked:
    """Train with the samples in order, then shuffled; both costs, and what the first call took."""
    found: dict[bool, Any] = {}
    seconds = []
    for shuffle in (False, True):
        took, found[shuffle] = timing.timed(library_job.prepare(epochs, shuffle))
        seconds.append(took)
    entry = TrainingEntry(
        cost=task.cost(library_job.parameters(found[False])),
        cost_shuffled=task.cost(library_job.parameters(found[True])),
        first_call=max(0.0, seconds[0] - seconds[1]),
    )
    return Checked(job=library_job, entry=entry, seconds_per_epoch=seconds[1] / epochs)


def _time(task: TrainingTask, base: str, checked: dict[str, Checked], rounds: int) -> Rates | None:
    """Fill in the times. Each library trains for as many epochs as make a timing long enough.

    One that fails by then is marked, and the others go on; None if it is the base.
    """
    problem = task.problem
    long_enough = max(SECONDS_PER_TIMING, EPOCHS_PER_TIMING * checked[base]["seconds_per_epoch"])
    acts: dict[str, Callable[[], Any]] = {}
    for name, one in checked.items():
        entry = one["entry"]
        if "void" not in entry:
            try:
                entry["epochs"], act = _timing(one, long_enough)
            except Exception as error:  # it is a result, not the end
                _mark_failed(entry, error)
            else:
                acts[name] = Guarded(act, entry)
    acts[GEMM] = gemm(task.dtype)
    acts[GEMM]()
    seconds = timing.in_turns(acts, rounds)
    per_flop = timing.per_unit(seconds.pop(GEMM), GEMM_FLOPS)
    per_sample = {
        name: timing.per_unit(times, checked[name]["entry"]["epochs"] * problem.n_samples)
        for name, times in seconds.items()
        if "failed" not in checked[name]["entry"]
    }
    if base not in per_sample:
        return None
    samples_per_step = problem.n_samples / problem.steps_per_epoch
    for name, times in per_sample.items():
        entry = checked[name]["entry"]
        microseconds = timing.spread([1e6 * time for time in times])
        entry["us_per_sample"] = microseconds
        entry["us_per_step"] = microseconds.median * samples_per_step
        entry["ratio"] = timing.ratio(times, to=per_sample[base])
    own_per_flop = timing.per_unit(per_sample[base], problem.flops_per_sample)
    return Rates(
        gflops=1e-9 / timing.spread(own_per_flop).median,
        gemm_gflops=1e-9 / timing.spread(per_flop).median,
        share_of_gemm=timing.ratio(per_flop, to=own_per_flop).median,
        gemm_us_per_sample=1e6 * timing.spread(per_flop).median * problem.flops_per_sample,
    )


class Guarded:
    """An act of a library in the rounds: its failure is noted, and from then on it takes NaN."""

    def __init__(self, act: Callable[[], Any], entry: Any) -> None:
        self._act, self._entry = act, entry

    def seconds(self) -> float:
        """What it takes."""
        if "failed" in self._entry:
            return math.nan
        try:
            return timing.seconds(self._act)
        except Exception as error:  # it is a result, not the end
            _mark_failed(self._entry, error)
            return math.nan

    def __call__(self) -> None:
        self.seconds()


def _mark_failed(entry: Any, error: Exception) -> None:
    entry.clear()  # what it did before does not count
    entry["failed"] = in_one_line(error)


def _timing(one: Checked, long_enough: float) -> tuple[int, Callable[[], None]]:
    """Epochs that take long enough, and the act of training for so many, in one call or in several.

    The checked run is short, so that what a call does once may be most of it: its seconds an epoch
    are too many, and a timing by them is too short.
    """
    epochs = min(timing.repeats(one["seconds_per_epoch"], long_enough), MOST_EPOCHS)
    act, took = _prepared(one["job"], epochs)
    if took < long_enough / 2 and epochs < MOST_EPOCHS:
        epochs = min(timing.repeats(took / epochs, long_enough), MOST_EPOCHS)
        act, took = _prepared(one["job"], epochs)
    calls = timing.repeats(took, long_enough) if epochs == MOST_EPOCHS else 1
    return epochs * calls, timing.several(act, calls)


def _prepared(job: Job, epochs: int) -> tuple[Callable[[], Any], float]:
    """The act of training for so many epochs, and its seconds once all is compiled for them."""
    act = job.prepare(epochs, shuffle=True)
    act()
    return act, timing.seconds(act)


def _is_finite(entry: TrainingEntry) -> bool:
    return math.isfinite(entry["cost"]) and math.isfinite(entry["cost_shuffled"])
