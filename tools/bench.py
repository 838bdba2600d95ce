"""Time kernels and estimators here and now, by pytest-benchmark; compare with a saved run.

    python -m tools.bench                                    table; JSON, histograms in build/bench/
    python -m tools.bench --save before                      keeps the run under that name
    python -m tools.bench --compare before                   percentages beside that run, or `last`
    python -m tools.bench --only tanh                        a part, as pytest's -k has it

Ends with 0, 1 if a compared minimum is slower by 30 % or more, 2 if a measurement failed, 3 if it
could not run.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tools.asv_runs import ROOT, Arguments, CannotRun, told

SUITE = "tests/benchmarks"
FACTOR = 1.3
COLUMNS = "min,median,iqr"  # few, so that a table fits a terminal
LAST = "last"  # the name of a run that was given none

Run = dict[str, Any]  # a file of pytest-benchmark's


def main(arguments: list[str]) -> int:
    parser = Arguments("bench", __doc__)
    parser.add_argument("--save", help="keep this run under a name")
    parser.add_argument("--compare", help="a name that a run was kept under")
    parser.add_argument("--only", help="a part of the suite")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench", help="for files")
    asked = parser.parse_args(arguments)
    asked.folder.mkdir(parents=True, exist_ok=True)
    kept = asked.folder / f"{LAST if asked.save is None else checked(asked.save)}.json"
    # Read now: a run that cannot be compared with is refused before anything is measured, and
    # where it is the last run, this one takes its place.
    before = None if asked.compare is None else run_in(saved(asked.folder, asked.compare))
    if asked.compare is not None and asked.compare == asked.save:
        raise CannotRun(
            f"this run would take the place of {asked.compare!r}, with which it is compared: keep "
            "it under another name."
        )
    measure(asked.folder, kept, asked.only)
    print(f"\nfigures: {kept}\npictures: {asked.folder / 'histogram*.svg'}")
    if before is None:
        return 0
    return compare(before, run_in(kept), asked.compare)


def compare(before: Run, now: Run, name: str) -> int:
    """Print the percentages of what both runs have, and what became slower; the exit status."""
    earlier, later = minima(before), minima(now)
    if not earlier.keys() & later.keys():
        raise CannotRun(
            f"nothing that was measured now is in {name!r}, so nothing was compared. Keep a run of "
            f"the same part with `make bench SAVE={name}`, with the same ONLY."
        )
    print(f"\nfrom: {name!r}; now: this run", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        # The table takes the first by name as what the percentages are of, and shows four letters
        # of it; it stops at what only one of the two runs has.
        files = [Path(folder) / "from.json", Path(folder) / "now.json"]
        for path, run, other in zip(files, (before, now), (later, earlier), strict=True):
            both = [one for one in run["benchmarks"] if one["fullname"] in other]
            path.write_text(json.dumps({**run, "benchmarks": both}), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "pytest_benchmark",
            "compare",
            "--between=min",
            "--name=short",
        ]
        subprocess.run([*command, *map(str, files)], check=True)
    for new in sorted(later.keys() - earlier.keys()):
        print(f"not compared: {new}: not in {name!r}")
    slower = slow_downs(earlier, later)
    for key, ratio in slower:
        print(f"slower: {key}: {ratio:.2f} times the minimum of {name!r}")
    return 1 if slower else 0


def checked(name: str) -> str:
    """A name that a file can have."""
    if not re.fullmatch(r"[\w.-]+", name) or name in (".", ".."):
        raise CannotRun(f"a name must be of letters, digits, '_', '.' and '-'; got {name!r}.")
    return name


def saved(folder: Path, name: str) -> Path:
    """The file of a run that was kept."""
    path = folder / f"{checked(name)}.json"
    if not path.exists():
        there = sorted(one.stem for one in folder.glob("*.json"))
        raise CannotRun(
            f"no run was kept under {name!r}: there are {', '.join(there) or 'none'}. Keep one "
            f"with `make bench SAVE={name}` before the change."
        )
    return path


def measure(folder: Path, kept: Path, only: str | None) -> None:
    """Run the suite on one thread; its figures go to `kept`, its pictures to the folder."""
    part = ["-k", only] if only else []
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    for old in folder.glob("histogram*.svg"):
        old.unlink()
    partial = kept.with_suffix(".partial")
    sys.stdout.flush()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", SUITE, "-q", *part),
            "-Wdefault::pytest_benchmark.logger.PytestBenchmarkWarning",
            *("--benchmark-enable", "--benchmark-only", f"--benchmark-columns={COLUMNS}"),
            # CPU time: on the wall, what others do on the same core can double a time.
            *("--benchmark-timer=time.process_time", "--benchmark-name=short"),
            *("--benchmark-sort=name", "--benchmark-warmup=on", "--benchmark-max-time=0.3"),
            f"--benchmark-storage=file://{folder / 'storage'}",
            f"--benchmark-json={partial}",
            f"--benchmark-histogram={folder / 'histogram'}",
        ],
        cwd=ROOT,
        env={**os.environ, **one_thread, "ENGINE_TEST_GRID": "full"},
        check=False,
    )
    if only and done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise CannotRun(f"no measurement is called {only!r}.")
    if only and done.returncode == pytest.ExitCode.USAGE_ERROR:
        raise CannotRun(f"{only!r} is not what pytest's -k takes: names, `and`, `or`, `not`.")
    if done.returncode != 0 or not partial.exists():
        sys.exit(2)
    partial.replace(kept)


def run_in(path: Path) -> Run:
    """What a file holds, once it is known to be a run."""
    try:
        found: Run = json.loads(path.read_text(encoding="utf-8"))
        minima(found)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise CannotRun(
            f"{path} is not a run that `make bench` kept ({error}): delete it, and keep another "
            f"with `make bench SAVE={path.stem}`."
        ) from error
    return found


def minima(run: Run) -> dict[str, float]:
    """The least seconds of each measurement, or the median if the clock stood still for once."""
    measured = ((one["fullname"], one["stats"]) for one in run["benchmarks"])
    return {name: stats["min"] or stats["median"] for name, stats in measured}


def slow_downs(before: dict[str, float], now: dict[str, float]) -> list[tuple[str, float]]:
    """(name, now / before) of those that are slower by FACTOR or more, the slowest first.

    >>> slow_downs({"a": 1.0, "b": 1.0, "gone": 1.0}, {"a": 1.2, "b": 2.0, "new": 1.0})
    [('b', 2.0)]
    """
    ratios = [(name, time / before[name]) for name, time in now.items() if before.get(name)]
    slower = [(name, ratio) for name, ratio in ratios if ratio >= FACTOR]
    return sorted(slower, key=lambda pair: -pair[1])


if __name__ == "__main__":
    sys.exit(told(main, sys.argv[1:]))
