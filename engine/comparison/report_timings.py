"""`engine compare report`: all that its page shows, part by part.

Named problems and sizes, start-up, cost against time, memory and threads: each library in a process
of its own, in turns, and a marked entry where one fails.
"""

import datetime
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from engine.comparison import timing
from engine.comparison.figures import (
    FORMAT,
    Curve,
    Curves,
    Figures,
    Memories,
    Memory,
    Scaling,
    Scalings,
    StartUp,
)
from engine.comparison.goal_timings import GOALS, time_goals
from engine.comparison.jobs import KNOWN, OURS, PEERS
from engine.comparison.libraries import UNEQUAL, available_libraries, described
from engine.comparison.library_processes import (
    Interpreter,
    LibraryFailed,
    LibraryProcesses,
    RemoteAct,
    RemoteJob,
)
from engine.comparison.machine import about
from engine.comparison.measuring_process import cores_for, fixed_threads
from engine.comparison.pass_timings import gemm_speed_up, gemms, thread_counts
from engine.comparison.problems import NAMED, SUITES, Problem, TrainingTask
from engine.comparison.timing import Turns, announced
from engine.comparison.training_timings import TrainingRow, compare

QUICK, FULL = "quick", "full"
PROBLEMS = {
    QUICK: (*SUITES["small"], NAMED["iris"]),
    FULL: (*SUITES["reach"], NAMED["iris"], NAMED["breast-cancer"], NAMED["digits"]),
}
WIDTHS = {QUICK: SUITES["sizes"][::2], FULL: SUITES["sizes"]}
EPOCHS = {QUICK: (1, 4, 16), FULL: (1, 2, 4, 8, 16, 32, 64)}
SAMPLES_IN_MEMORY = {QUICK: 20_000, FULL: 200_000}
START_UPS = {QUICK: 1, FULL: 3}
GOALS_OF, STARTS = {QUICK: tuple(GOALS)[:1], FULL: tuple(GOALS)}, {QUICK: 10, FULL: 30}
DTYPE = "float32"
ON_THREADS = Problem((100, 100, 1), 20_000, 20_000)


def measure_all(
    size: str,
    contenders: Sequence[str] | None,
    rounds: int,
    limit: float,
    own_environments: Sequence[str],
    n_threads: int,
) -> Figures:
    """All parts but those on more threads than this process has."""
    names, _ = available_libraries(contenders, own_environments)
    own = tuple(own_environments)
    setting = {"limit": limit, "own_environments": own}
    digits = NAMED["digits"]
    peers = dict.fromkeys(PEERS[name].distribution for name in names if name in PEERS)
    many = SAMPLES_IN_MEMORY[size]
    found = Figures(
        format=FORMAT,
        command="",
        made=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        commit=commit_of_clone(),
        about=about(n_threads, peers),
        rounds=rounds,
        contenders=described(contenders or KNOWN, own),
        unequal=UNEQUAL,
        training=rows(PROBLEMS[size], names, rounds, setting, n_threads),
        sizes=rows(WIDTHS[size], names, rounds, setting, n_threads),
        start_up_problem=f"{digits.name}, {digits.n_samples} samples, {DTYPE}",
        start_up=start_up(
            TrainingTask(digits, DTYPE), names, min(rounds, START_UPS[size]), setting
        ),
        curves=[
            curves(
                TrainingTask(digits, DTYPE),
                "digits of scikit-learn, standardised: 1797 images of 8 x 8",
                names,
                EPOCHS[size],
                rounds,
                setting,
            )
        ],
        memory=[
            memory(
                TrainingTask(Problem((20, 16, 1), 1000, 256), DTYPE),
                TrainingTask(Problem((20, 16, 1), many, 256), DTYPE),
                names,
                setting,
            )
        ],
    )
    if OURS[0] in names:
        found["goals"] = time_goals(GOALS_OF[size], STARTS[size], rounds, n_threads)
    return found


def rows(
    problems: Sequence[Problem],
    names: Sequence[str],
    rounds: int,
    setting: dict[str, Any],
    n_threads: int,
) -> list[TrainingRow]:
    """A row for each problem."""
    with LibraryProcesses(**setting) as processes:
        return [
            compare(problem, DTYPE, names, rounds, n_threads, processes.job)
            for problem in announced([(problem.name, problem) for problem in problems])
        ]


def measure_threads(
    contenders: Sequence[str] | None,
    rounds: int,
    limit: float,
    own_environments: Sequence[str],
    n_threads: int,
) -> list[Any]:
    """The part on one thread and on as many as this process has."""
    names, _ = available_libraries(contenders, own_environments)
    counts = thread_counts(n_threads)
    acts = gemms(DTYPE, counts)
    for act in acts.values():
        act()
    seconds = timing.in_turns(acts, rounds)
    gemm = {str(count): gemm_speed_up(seconds, count) for count in counts[1:]}
    setting = {"limit": limit, "own_environments": tuple(own_environments)}
    return [threads(ON_THREADS, DTYPE, names, counts, rounds, setting, gemm)]


def commit_of_clone() -> str | None:
    """The commit of the clone that this package lies in, "+" where files had changed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    git = ["git", "-C", str(root)]
    try:
        found = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip() + ("+" if changes.stdout.strip() else "")


EPOCHS_ON_THREADS = 5
SAME_COST = 1e-3  # relative; PyTorch's epsilon stands elsewhere, so that no more can be asked


class Point(NamedTuple):
    """What a library reached after so many epochs."""

    seconds: float
    cost: float


def curves(
    task: TrainingTask,
    data: str,
    names: Sequence[str],
    epochs: Sequence[int],
    rounds: int,
    setting: Mapping[str, Any],
) -> Curves:
    """Mean cost on all data after so many epochs, against the seconds that they take."""
    turns = Turns(names)
    points = {name: [Point(0.0, task.cost(task.theta))] for name in names}
    with LibraryProcesses(**setting) as processes:
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
    epochs: int, task: TrainingTask, jobs: Mapping[str, RemoteJob], turns: Turns, rounds: int
) -> dict[str, Point]:
    acts = turns.each(lambda name: jobs[name].prepare(epochs, True))
    turns.each(lambda name: acts[name]())  # compiles, where that goes by the number of epochs
    seconds = turns.rounds(lambda name: acts[name].seconds(), rounds)
    costs = turns.each(lambda name: task.cost(jobs[name].parameters(acts[name])))
    return {name: Point(timing.spread(seconds[name]).median, costs[name]) for name in costs}


def memory(
    small: TrainingTask, large: TrainingTask, names: Sequence[str], setting: Mapping[str, Any]
) -> Memories:
    """Resident memory of a process that trains one epoch, a fresh one for each library."""

    def of_one(name: str) -> Memory:
        with LibraryProcesses(**setting) as processes:
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
    gemm: dict[str, timing.Spread],
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
            processes = stack.enter_context(LibraryProcesses(**{**setting, **on}))
            task = TrainingTask(problem, dtype, count)
            job = processes.job(name, task)
            acts[str(count)] = act = job.prepare(EPOCHS_ON_THREADS, True)
            act()
            _check(task.cost(job.parameters(act)), expected, count)
        seconds = timing.in_turns(acts, rounds)
    one = seconds[str(counts[0])]
    return Scaling(
        ms_on_one=1e3 * timing.spread(one).median / EPOCHS_ON_THREADS,
        speed_up={str(n): timing.ratio(one, to=seconds[str(n)]) for n in counts[1:]},
    )


def _check(cost: float, expected: list[float], count: int) -> None:
    """All take the same steps, on any number of threads."""
    if not expected:
        expected.append(cost)
    if not abs(cost - expected[0]) <= SAME_COST * expected[0]:
        raise LibraryFailed(f"cost {cost:.6g} on {count} threads, not {expected[0]:.6g}")


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
    task: TrainingTask, names: Sequence[str], rounds: int, setting: Mapping[str, Any]
) -> dict[str, StartUp]:
    """From a new process to one epoch's parameters, with nothing compiled before and after that."""
    turns = Turns(names)
    found = turns.rounds(lambda name: _start(task, name, setting), rounds, "start-up")
    return {
        name: StartUp(failed=turns.failed[name])
        if name in turns.failed
        else StartUp(
            imports=timing.spread([start.imports for start in found[name]]),
            empty_cache=timing.spread([start.empty_cache for start in found[name]]),
            warm_cache=timing.spread([start.warm_cache for start in found[name]]),
            epoch=timing.spread([start.epoch for start in found[name]]),
        )
        for name in names
    }


def _start(task: TrainingTask, name: str, setting: Mapping[str, Any]) -> Start:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        caches = {**setting, "variables": {**dict.fromkeys(CACHES, folder), **KEEP_ALL}}
        with LibraryProcesses(**caches) as processes:
            empty = _first_epoch(task, name, processes)
        with LibraryProcesses(**caches) as processes:
            warm = _first_epoch(task, name, processes)
            more = processes.job(name, task).prepare(FURTHER_EPOCHS, True)
            more()  # JAX compiles for each number of epochs
            epoch = more.seconds() / FURTHER_EPOCHS
            imports = _imports(name, processes.home_of(name))
    return Start(imports, empty, warm, epoch)


def _first_epoch(task: TrainingTask, name: str, processes: LibraryProcesses) -> float:
    """Seconds from a new process to an epoch's end."""
    processes.make_ready(name, task)
    start = time.perf_counter()
    processes.job(name, task).prepare(1, True)()
    return time.perf_counter() - start


def _imports(name: str, home: Interpreter) -> float:
    """Seconds of a process that imports what a user of it imports, less those of a bare one."""
    imports = f"import {PEERS[name].imports}" if name in PEERS else "from engine import train"
    return _seconds_of(imports, home) - _seconds_of("pass", home)


def _seconds_of(code: str, home: Interpreter) -> float:
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
        raise LibraryFailed(f"{code}: {last[0]}")
    return took
