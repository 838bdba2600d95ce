"""Parts of a whole comparison in which contenders are asked for more than the time of a fit.

Cost against time, memory and threads: each contender in a process of its own, in turns, and a
marked entry where one fails.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from engine.comparison import measure
from engine.comparison.figures import Curve, Curves, Memories, Memory, Scaling, Scalings
from engine.comparison.launch import cores_for, fixed_threads
from engine.comparison.problems import Problem, Task
from engine.comparison.process import ContenderFailed
from engine.comparison.processes import Processes, RemoteAct, RemoteJob
from engine.comparison.progress import announced
from engine.comparison.turns import Turns

EPOCHS_ON_THREADS = 5
SAME_COST = 1e-3  # relative; PyTorch's epsilon stands elsewhere, so that no more can be asked


class Point(NamedTuple):
    """What a contender reached after so many epochs."""

    seconds: float
    cost: float


def curves(
    task: Task,
    data: str,
    names: Sequence[str],
    epochs: Sequence[int],
    rounds: int,
    setting: Mapping[str, Any],
) -> Curves:
    """Mean cost on all data after so many epochs, against the seconds that they take."""
    turns = Turns(names)
    points = {name: [Point(0.0, task.cost(task.theta))] for name in names}
    with Processes(**setting) as processes:
        jobs = turns.each(lambda name: processes.job(name, task))
        for number in announced([(f"cost after {number} epochs", number) for number in epochs]):
            for name, point in _after(number, task, jobs, turns, rounds).items():
                points[name].append(point)
    entries: dict[str, Curve] = {}
    for name in names:
        if name in turns.failed:
            entries[name] = Curve(failed=turns.failed[name])
            continue
        entries[name] = Curve(
            epochs=[0, *epochs],
            seconds=[point.seconds for point in points[name]],
            costs=[point.cost for point in points[name]],
        )
    return Curves(problem=task.problem.name, data=data, dtype=task.dtype, entries=entries)


def _after(
    epochs: int, task: Task, jobs: Mapping[str, RemoteJob], turns: Turns, rounds: int
) -> dict[str, Point]:
    acts = turns.each(lambda name: jobs[name].prepare(epochs, True))
    turns.each(lambda name: acts[name]())  # compiles, where that goes by the number of epochs
    seconds = turns.rounds(lambda name: acts[name].seconds(), rounds)
    costs = turns.each(lambda name: task.cost(jobs[name].parameters(acts[name])))
    return {name: Point(measure.spread(seconds[name]).median, costs[name]) for name in costs}


def memory(small: Task, large: Task, names: Sequence[str], setting: Mapping[str, Any]) -> Memories:
    """Resident memory of a process that trains one epoch, a fresh one for each contender."""

    def of_one(name: str) -> Memory:
        with Processes(**setting) as processes:
            job = processes.job(name, small)  # imports, and compiles
            job.prepare(1, True)()
            imports = job.process.ask("resident")
            job = processes.job(name, large)
            act = job.prepare(1, True)
            found = job.process.ask("memory", act=act.number)
        on_top = found["peak"] - found["before"]
        return Memory(imports=imports, on_top=on_top, peak=found["peak"])

    turns = Turns(names)
    found = turns.each(of_one, "memory")
    data = large.data.rows.nbytes + large.data.targets.nbytes
    entries = {n: found[n] if n in found else Memory(failed=turns.failed[n]) for n in names}
    return Memories(
        problem=large.problem.name,
        n_samples=large.problem.n_samples,
        dtype=large.dtype,
        data=data,
        entries=entries,
    )


def threads(
    problem: Problem,
    dtype: str,
    names: Sequence[str],
    counts: Sequence[int],
    rounds: int,
    setting: Mapping[str, Any],
    gemm: dict[str, measure.Spread],
) -> Scalings:
    """Epochs on all samples at once, on one thread and on more, in turns."""
    turns = Turns(names)
    expected: list[float] = []  # the cost that the first reached
    found = turns.each(
        lambda name: _scaling(problem, dtype, name, counts, rounds, setting, expected), "threads"
    )
    entries = {n: found[n] if n in found else Scaling(failed=turns.failed[n]) for n in names}
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
    setting: Mapping[str, Any],
    expected: list[float],
) -> Scaling:
    with ExitStack() as stack:
        acts: dict[str, RemoteAct] = {}
        for count in counts:
            on = {"variables": fixed_threads(count), "cores": tuple(cores_for(count))}
            processes = stack.enter_context(Processes(**{**setting, **on}))
            task = Task(problem, dtype, count)
            job = processes.job(name, task)
            acts[str(count)] = act = job.prepare(EPOCHS_ON_THREADS, True)
            act()
            _check(task.cost(job.parameters(act)), expected, count)
        seconds = measure.in_turns(acts, rounds)
    one = seconds[str(counts[0])]
    return Scaling(
        ms_on_one=1e3 * measure.spread(one).median / EPOCHS_ON_THREADS,
        speed_up={str(n): measure.ratio(one, to=seconds[str(n)]) for n in counts[1:]},
    )


def _check(cost: float, expected: list[float], count: int) -> None:
    """All take the same steps, on any number of threads."""
    if not expected:
        expected.append(cost)
    if not abs(cost - expected[0]) <= SAME_COST * expected[0]:
        raise ContenderFailed(f"cost {cost:.6g} on {count} threads, not {expected[0]:.6g}")
