"""`engine compare many`: many networks on the same data, by `fit_many` and beside it.

Networks that are fitted together are compared member by member: from the same initial parameters,
with the samples in order, all come to the same costs; with shuffles of their own, to the same mean.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from engine.comparison import LIMIT, timing
from engine.comparison.estimator_agreement import REGRESSOR, THEIRS, estimator, silent
from engine.comparison.jobs import MANY_OURS, MANY_PEERS, Job
from engine.comparison.libraries import why_missing
from engine.comparison.library_processes import LibraryProcesses
from engine.comparison.machine import About, about
from engine.comparison.many_jobs import estimators_of
from engine.comparison.measuring_process import cores_for, fixed_threads
from engine.comparison.memory_peaks import MemoryRow, probe
from engine.comparison.problems import Problem, TrainingTask
from engine.comparison.search_timings import SEARCHES, SearchRow, compare_search
from engine.comparison.timing import announced, in_one_line
from engine.comparison.training_timings import (
    NEARLY_NOTHING,
    OWN_SHUFFLES,
    OWN_SHUFFLES_AT_LEAST,
    SAME_ORDER,
    Guarded,
)
from engine.many.many_estimators import fit_many

TOGETHER, LOOP = MANY_OURS
DTYPE = "float32"


class ManyCase(NamedTuple):
    """So many networks, for so many epochs."""

    members: int
    problem: Problem
    epochs: int


CASES = (
    ManyCase(256, Problem((2, 4, 1), 200, 25, "identity"), 18),
    ManyCase(64, Problem((8, 16, 1), 1024, 32, "identity"), 9),
    ManyCase(64, Problem((20, 16, 1), 1000, 40, "identity"), 10),
    ManyCase(64, Problem((4, 16, 3), 150, 15, "softmax"), 20),
    ManyCase(64, Problem((20, 100, 1), 1000, 200, "identity"), 10),
    ManyCase(64, Problem((64, 64, 1), 1024, 64, "identity"), 3),
)
QUICK_CASES = (ManyCase(16, CASES[0].problem, 2),)


class ManyEntry(TypedDict, total=False):
    """What one library did on one number of threads. `failed` stands alone."""

    failed: str
    void: str  # why its times do not count
    cost: float  # mean of the members, samples in order
    cost_shuffled: float
    first_call: float  # seconds that it took more than a later call: compiling, or loading
    us: timing.Spread  # a network and step
    ratio: timing.Spread  # its time, divided by that of fit_many in the round


class ManyRow(TypedDict):
    """One case. `entries` by number of threads, then by library."""

    problem: str
    output: str
    members: int
    n_samples: int
    batch_size: int
    epochs: int
    steps: int  # of each network
    entries: dict[str, dict[str, ManyEntry]]
    speed_up: timing.Spread | None  # of fit_many: its time on one thread / on the most


class Checked(NamedTuple):
    """A library that trained all members in order, then shuffled; `act` does the latter again."""

    act: Callable[[], Any]
    in_order: NDArray[Any]  # parameters, a row a member
    costs: NDArray[Any]  # of each member
    costs_shuffled: NDArray[Any]
    first_call: float


def compare_many(
    case: ManyCase,
    names: Sequence[str],
    counts: Sequence[int],
    rounds: int,
    processes: Mapping[int, LibraryProcesses],
) -> ManyRow:
    """Verify all libraries on each number of threads; then time those that agree, in turns."""
    steps = case.epochs * case.problem.steps_per_epoch
    entries: dict[int, dict[str, ManyEntry]] = {}
    acts: dict[str, Callable[[], Any]] = {}
    for count in counts:
        task = TrainingTask(case.problem, DTYPE, count, members=case.members)
        entries[count], found = _checked(task, names, case.epochs, processes[count].job)
        for name, act in found.items():
            acts[f"{name} {count}"] = Guarded(act, entries[count][name])
    seconds = timing.in_turns(acts, rounds)
    for count, of_count in entries.items():
        own = seconds.get(f"{TOGETHER} {count}")
        for name, entry in of_count.items():
            if f"{name} {count}" in seconds and "failed" not in entry:
                times = seconds[f"{name} {count}"]
                entry["us"] = timing.spread(timing.per_unit(times, 1e-6 * case.members * steps))
                if own is not None and "failed" not in of_count[TOGETHER]:
                    entry["ratio"] = timing.ratio(times, to=own)
    return ManyRow(
        problem=case.problem.name,
        output=case.problem.output,
        members=case.members,
        n_samples=case.problem.n_samples,
        batch_size=case.problem.batch_size,
        epochs=case.epochs,
        steps=steps,
        entries={str(count): of_count for count, of_count in entries.items()},
        speed_up=_speed_up([entries[count].get(TOGETHER, {}) for count in counts], counts, seconds),
    )


def _speed_up(
    entries: Sequence[ManyEntry], counts: Sequence[int], seconds: Mapping[str, Sequence[float]]
) -> timing.Spread | None:
    if len(counts) == 1 or not all("us" in entry for entry in entries):
        return None
    one, most = (seconds[f"{TOGETHER} {count}"] for count in (counts[0], counts[-1]))
    return timing.ratio(one, to=most)


def _checked(
    task: TrainingTask, names: Sequence[str], epochs: int, hand_over: Callable[..., Job]
) -> tuple[dict[str, ManyEntry], dict[str, Callable[[], Any]]]:
    """What each came to, and the acts of those whose times count."""
    entries: dict[str, ManyEntry] = {}
    checked: dict[str, Checked] = {}
    for name in names:
        try:
            one = checked[name] = _check(task, hand_over(name, task), epochs)
        except Exception as error:  # a library that fails is a result, not the end
            entries[name] = ManyEntry(failed=in_one_line(error))
            continue
        entries[name] = ManyEntry(
            cost=float(one.costs.mean()),
            cost_shuffled=float(one.costs_shuffled.mean()),
            first_call=one.first_call,
        )
    start = float(np.mean([task.cost(theta) for theta in task.theta]))
    reference = next(iter(checked.values()), None)
    for name, one in checked.items():
        assert reference is not None
        reason = disagreement(one, reference, start, same_bits=name == LOOP)
        if reason is not None:
            entries[name]["void"] = reason
    counts = {name: one.act for name, one in checked.items() if "void" not in entries[name]}
    return entries, counts


def _check(task: TrainingTask, job: Job, epochs: int) -> Checked:
    acts = [job.prepare(epochs, shuffle) for shuffle in (False, True)]
    seconds, results = zip(*map(timing.timed, acts), strict=True)
    found = [job.parameters(result).reshape(task.theta.shape) for result in results]
    costs, costs_shuffled = (np.array([*map(task.cost, members)]) for members in found)
    first_call = max(0.0, seconds[0] - seconds[1])
    return Checked(acts[1], found[0], costs, costs_shuffled, first_call)


def disagreement(
    one: Checked, reference: Checked, start: float, same_bits: bool = False
) -> str | None:
    """Why the times of one do not count, if they do not. `start` is the mean cost before."""
    if not np.isfinite([*one.costs, *one.costs_shuffled]).all():
        return "a cost is not finite"
    if same_bits and not np.array_equal(one.in_order, reference.in_order):
        return f"it reaches other bits than {TOGETHER}"
    allowed = SAME_ORDER[DTYPE] * np.maximum(reference.costs, NEARLY_NOTHING * start)
    off = np.abs(one.costs - reference.costs) / allowed
    if not off.max() <= 1:
        worst = int(off.argmax())
        return f"member {worst}: cost {one.costs[worst]:.6g}, not {reference.costs[worst]:.6g}"
    mean, expected = one.costs_shuffled.mean(), reference.costs_shuffled.mean()
    if not abs(mean - expected) <= OWN_SHUFFLES * abs(start - expected) + (
        OWN_SHUFFLES_AT_LEAST * start
    ):
        return f"mean cost {mean:.4g} shuffled, not {expected:.4g}"
    return None


def time_networks(
    cases: Sequence[ManyCase], counts: Sequence[int], rounds: int, setting: Mapping[str, Any]
) -> tuple[list[ManyRow], list[str]]:
    """All cases, and who is absent. Each library has a process for each number of threads."""
    missing = why_missing("jax", setting["own_environments"])
    names = [*MANY_OURS, *(MANY_PEERS if missing is None else ())]
    with ExitStack() as stack:
        processes = {
            count: stack.enter_context(
                LibraryProcesses(
                    variables={**fixed_threads(count), "JAX_NUM_CPU_DEVICES": str(count)},
                    cores=tuple(cores_for(count)),
                    **setting,
                )
            )
            for count in counts
        }
        labelled = [(f"{case.members} x {case.problem.name}", case) for case in cases]
        rows = [
            compare_many(case, names, counts, rounds, processes) for case in announced(labelled)
        ]
    return rows, [] if missing is None else [f"jax {missing}"]


class FitRow(TypedDict):
    """One fit of 2-4-1 for one epoch."""

    ms: dict[str, timing.Spread]
    ratio: dict[str, timing.Spread]  # to the first


ALONE, AMONG, SKLEARN = "engine", "engine, one of 64 in fit_many", "scikit-learn"
SECONDS_PER_TIMING = 0.05


def time_one_fit(rounds: int) -> FitRow:
    """What a fit costs beside its steps, of which there are few."""
    task = TrainingTask(CASES[0].problem, DTYPE, members=64)
    X, y = task.data
    many = estimators_of(task, epochs=1)
    settings = many[0].get_params()
    theirs = estimator(THEIRS, REGRESSOR)
    theirs.set_params(**{name: settings[name] for name in theirs.get_params()})
    acts: dict[str, Callable[[], Any]] = {
        ALONE: lambda: many[0].fit(X, y),
        AMONG: lambda: fit_many(many, X, y, n_threads=1),
        SKLEARN: lambda: theirs.fit(X, y),
    }
    with silent():
        for act in acts.values():
            act()
        once = {name: timing.seconds(act) for name, act in acts.items()}
        calls = {name: timing.repeats(took, SECONDS_PER_TIMING) for name, took in once.items()}
        seconds = timing.in_turns(
            {name: timing.several(act, calls[name]) for name, act in acts.items()}, rounds
        )
    fits = {name: calls[name] * (64 if name == AMONG else 1) for name in acts}
    each = {name: timing.per_unit(times, fits[name]) for name, times in seconds.items()}
    return FitRow(
        ms={name: timing.spread(timing.per_unit(times, 1e-3)) for name, times in each.items()},
        ratio={name: timing.ratio(times, to=each[ALONE]) for name, times in each.items()},
    )


MEMBERS = (1, 64)
LARGE = Problem((20, 16, 1), 300_000, 256, "identity")


def memory_of(n_samples: int, n_threads: int) -> list[MemoryRow]:
    """The peak of fitting one network, and of many, on the same data."""
    problem = Problem(LARGE.sizes, n_samples, LARGE.batch_size, LARGE.output)
    labelled = [(f"memory of {members}", members) for members in MEMBERS]
    return [probe(problem, DTYPE, "adam", n_threads, members) for members in announced(labelled)]


class ManyFound(TypedDict):
    """The whole run. A part that was not asked for is empty."""

    about: About
    rounds: int
    absent: list[str]
    networks: list[ManyRow]
    searches: list[SearchRow]
    fit: list[FitRow]
    memory: list[MemoryRow]


def measure_all(
    parts: Sequence[str],
    quick: bool,
    rounds: int,
    n_threads: int,
    limit: float = LIMIT,
    own_environments: Sequence[str] = (),
) -> ManyFound:
    """Measure the parts that are asked for: on one thread, and on so many."""
    rows: list[ManyRow] = []
    absent: list[str] = []
    if "networks" in parts:
        setting = {"limit": limit, "own_environments": tuple(own_environments)}
        counts = sorted({1, n_threads})
        rows, absent = time_networks(QUICK_CASES if quick else CASES, counts, rounds, setting)
    names = list(SEARCHES)[: 1 if quick else None] if "searches" in parts else []
    labelled = [(f"search {name}", name) for name in names]
    return ManyFound(
        about=about(n_threads, ["scikit-learn", "joblib", "jax"]),
        rounds=rounds,
        absent=absent,
        networks=rows,
        searches=[compare_search(name, rounds, n_threads) for name in announced(labelled)],
        fit=[time_one_fit(rounds)] if "fit" in parts else [],
        memory=memory_of(20_000 if quick else LARGE.n_samples, n_threads)
        if "memory" in parts
        else [],
    )
