"""`engine compare report`: all that its page shows, part by part."""

import datetime
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.comparison import measure, new_process_runs, part_runs
from engine.comparison.contenders import entrants
from engine.comparison.figures import FORMAT, Figures
from engine.comparison.idioms import UNEQUAL, described
from engine.comparison.jobs import KNOWN, PEERS
from engine.comparison.machine import about
from engine.comparison.problems import NAMED, SUITES, Problem, Task
from engine.comparison.processes import Processes
from engine.comparison.progress import announced
from engine.comparison.thread_runs import gemm_speed_up, gemms, thread_counts
from engine.comparison.training_runs import Row, compare

QUICK, FULL = "quick", "full"
PROBLEMS = {
    QUICK: (*SUITES["small"], NAMED["iris"]),
    FULL: (*SUITES["reach"], NAMED["iris"], NAMED["breast-cancer"], NAMED["digits"]),
}
WIDTHS = {QUICK: SUITES["sizes"][::2], FULL: SUITES["sizes"]}
EPOCHS = {QUICK: (1, 4, 16), FULL: (1, 2, 4, 8, 16, 32, 64)}
SAMPLES_IN_MEMORY = {QUICK: 20_000, FULL: 200_000}
START_UPS = {QUICK: 1, FULL: 3}
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
    names, _ = entrants(contenders, own_environments)
    own = tuple(own_environments)
    setting = {"limit": limit, "own_environments": own}
    digits = NAMED["digits"]
    peers = dict.fromkeys(PEERS[name].distribution for name in names if name in PEERS)
    many = SAMPLES_IN_MEMORY[size]
    return Figures(
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
        start_up=new_process_runs.start_up(
            Task(digits, DTYPE), names, min(rounds, START_UPS[size]), setting
        ),
        curves=[
            part_runs.curves(
                Task(digits, DTYPE),
                "digits of scikit-learn, standardised: 1797 images of 8 x 8",
                names,
                EPOCHS[size],
                rounds,
                setting,
            )
        ],
        memory=[
            part_runs.memory(
                Task(Problem((20, 16, 1), 1000, 256), DTYPE),
                Task(Problem((20, 16, 1), many, 256), DTYPE),
                names,
                setting,
            )
        ],
    )


def rows(
    problems: Sequence[Problem],
    names: Sequence[str],
    rounds: int,
    setting: dict[str, Any],
    n_threads: int,
) -> list[Row]:
    """A row for each problem."""
    with Processes(**setting) as processes:
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
    names, _ = entrants(contenders, own_environments)
    counts = thread_counts(n_threads)
    acts = gemms(DTYPE, counts)
    for act in acts.values():
        act()
    seconds = measure.in_turns(acts, rounds)
    gemm = {str(count): gemm_speed_up(seconds, count) for count in counts[1:]}
    setting = {"limit": limit, "own_environments": tuple(own_environments)}
    return [part_runs.threads(ON_THREADS, DTYPE, names, counts, rounds, setting, gemm)]


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
