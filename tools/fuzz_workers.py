"""Files that are tried by the ten thousand, in worker processes under limits of memory and time.

What is tried, a `Trials` says: tools/fuzz_models.py and tools/fuzz_checkpoints.py have one each.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Protocol

MEGABYTE = 1 << 20
MORE_MEMORY = 64 * MEGABYTE  # that a load may take beyond what the process had; files have 20 kB
# What a thread takes at once, be it of a library that has nothing to do, is as much as a load may.
FEW_THREADS = {"MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
SEED = 0
SECONDS = 5.0  # for one file
HANG = 60.0  # seconds after which a worker is given up that no alarm reaches
BEGIN = 900.0  # the same before its first file: on a busy machine imports take long
AT_A_TIME = 4000  # files of one worker process
REFUSED, UNCHANGED, ANOTHER, FAILURE = "refused", "unchanged", "another", "FAILURE"
KEPT = Path("build/fuzz")


class Settings(NamedTuple):
    """How many files, by how many processes, and how long for each."""

    files: int
    seed: int
    jobs: int
    seconds: float


class TooLong(BaseException):
    """A load took longer than it may; no `except Exception` takes it for damage."""


class Trials(Protocol):
    """What is tried; it goes to each worker process."""

    def prepare(self) -> None:
        """Import and make once what is needed, without limits."""

    def case_of(self, number: int) -> Any:
        """The file of that number: `ending`, `kind`, `content`, and `whole`, what it was."""

    def outcome_of(self, case: Any, folder: Path) -> tuple[str, str]:
        """Try it, in a folder; the outcome, and what went wrong."""


# Worker processes.


def work(
    numbers: range, settings: Settings, trials: Trials, folder: Path, at: Any, answers: Connection
) -> None:
    """Try the files of these numbers, under limits; `at` says which is under way."""
    warnings.simplefilter("ignore")
    trials.prepare()
    signal.signal(signal.SIGALRM, _alarm)
    for number in numbers:
        at.value = number
        case = trials.case_of(number)
        signal.setitimer(signal.ITIMER_REAL, settings.seconds)
        try:
            with _limited_memory():
                outcome, reason = trials.outcome_of(case, folder)
        except TooLong as error:
            outcome, reason = failure_of(error)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        answers.send((number, case.ending, case.kind, outcome, reason))
    answers.close()


def _alarm(signal_number: int, frame: FrameType | None) -> None:
    raise TooLong


@contextlib.contextmanager
def _limited_memory() -> Iterator[None]:
    """What this process has, and a little more."""
    import resource  # which is not there on Windows

    pages = Path("/proc/self/statm").read_text().split()
    page = resource.getpagesize()
    before = {}
    for limit, used in ((resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5])):
        before[limit] = resource.getrlimit(limit)
        resource.setrlimit(limit, (int(used) * page + MORE_MEMORY, before[limit][1]))
    try:
        yield
    finally:
        for limit, limits in before.items():
            resource.setrlimit(limit, limits)


class Found(NamedTuple):
    """Outcomes, counted by ending and kind, and the failures."""

    counts: Counter[tuple[str, str, str]]
    failures: list[dict[str, Any]]


def run(settings: Settings, trials: Trials, folder: Path) -> Found:
    """Try that many files in worker processes, each of a share of them."""
    context = multiprocessing.get_context("spawn")
    files = settings.files
    waiting = [range(start, min(start + AT_A_TIME, files)) for start in range(0, files, AT_A_TIME)]
    found = Found(Counter(), [])
    at_work: list[_Worker] = []
    done, shown = 0, time.monotonic()
    while waiting or at_work:
        while waiting and len(at_work) < settings.jobs:
            at_work.append(_Worker(context, waiting.pop(0), settings, trials, folder))
        for worker in list(at_work):
            ended = worker.ended()
            for answer in worker.answers():  # also those of a moment before its end
                done += 1
                _count(found, settings.seed, trials, *answer)
            if ended is None:
                continue
            at_work.remove(worker)
            if ended and not worker.began:
                raise ChildProcessError(f"{ended} before its first file; its message stands above")
            if ended:
                number = worker.number
                case = trials.case_of(number)
                answer = (number, case.ending, case.kind, FAILURE, ended)
                _count(found, settings.seed, trials, *answer)
                rest = range(number + 1, worker.numbers.stop)
                waiting[:0] = [rest] if rest else []
        if time.monotonic() - shown > 10 and sys.stderr.isatty():
            shown = time.monotonic()
            print(f"{done:,} of {files:,}, {len(found.failures)} failures", file=sys.stderr)
        time.sleep(0.05)
    return found


class _Worker:
    """A process with a share of the numbers, watched from outside."""

    def __init__(
        self, context: Any, numbers: range, settings: Settings, trials: Trials, folder: Path
    ) -> None:
        self.numbers = numbers
        self._at = context.Value("q", -1, lock=False)
        self._seen, self._since = -1, time.monotonic()
        self._answers, theirs = context.Pipe(duplex=False)
        own = Path(tempfile.mkdtemp(dir=folder))
        self._process = context.Process(
            target=work, args=(numbers, settings, trials, own, self._at, theirs), daemon=True
        )
        self._process.start()
        theirs.close()

    @property
    def began(self) -> bool:
        """Whether it came to its first file."""
        return int(self._at.value) >= 0

    @property
    def number(self) -> int:
        """Of the file under way."""
        return int(self._at.value)

    def answers(self) -> list[Any]:
        """What it has said since."""
        found = []
        try:
            while self._answers.poll():
                found.append(self._answers.recv())
        except EOFError:
            pass
        return found

    def ended(self) -> str | None:
        """None while it works, empty once it is through, else how it died."""
        if self._at.value != self._seen:
            self._seen, self._since = self._at.value, time.monotonic()
        if self._process.is_alive():
            most = HANG if self.began else BEGIN
            if time.monotonic() - self._since < most:
                return None
            self._process.kill()
            self._process.join()
            return f"hung for {most:g} s"
        self._process.join()
        code = self._process.exitcode
        if code == 0:
            return "" if self.number == self.numbers[-1] else "the process ended early"
        return f"the process ended with {code}"


def _count(
    found: Found, seed: int, trials: Trials, number: int, ending: str, kind: str,
    outcome: str, reason: str,
) -> None:  # fmt: skip
    found.counts[ending, kind, outcome] += 1
    if outcome != FAILURE:
        return
    case = trials.case_of(number)
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = KEPT / f"{seed}-{number}{ending}"
    kept.write_bytes(case.content)
    facts = {"number": number, "kind": kind, "from": case.whole.name, "reason": reason[:500]}
    found.failures.append({**facts, "file": str(kept)})


# The report.


def summary(found: Found, settings: Settings, seconds: float) -> dict[str, Any]:
    """What is written as JSON."""
    by_format: dict[str, Counter[str]] = {}
    by_kind: dict[str, dict[str, Counter[str]]] = {}
    for (ending, kind, outcome), n in sorted(found.counts.items()):
        by_format.setdefault(ending, Counter())[outcome] += n
        by_kind.setdefault(ending, {}).setdefault(kind, Counter())[outcome] += n
    return {
        "files": settings.files,
        "seed": settings.seed,
        "seconds": round(seconds, 1),
        "outcomes": dict(sum(by_format.values(), Counter())),
        "formats": by_format,
        "kinds": by_kind,
        "limits": {
            "megabytes_beyond_start": MORE_MEMORY // MEGABYTE,
            "seconds_a_file": settings.seconds,
        },
        "failures": found.failures,
    }


def report(outcomes: dict[str, Any]) -> str:
    """The same for people."""
    names = (REFUSED, UNCHANGED, ANOTHER, FAILURE)
    lines = [f"{'':44}" + "".join(f"{name:>11}" for name in names)]
    for ending, kinds in outcomes["kinds"].items():
        for kind, counts in kinds.items():
            row = "".join(f"{counts[name]:11,}" for name in names)
            lines.append(f"{ending:14}{kind:30}{row}")
    total = "".join(f"{outcomes['outcomes'].get(name, 0):11,}" for name in names)
    lines += [f"{'all':44}{total}", ""]
    limits = outcomes["limits"]
    lines.append(
        f"{outcomes['files']:,} files, seed {outcomes['seed']}, in {outcomes['seconds']:.0f} s; "
        f"each within {limits['megabytes_beyond_start']} MB and {limits['seconds_a_file']:g} s."
    )
    lines += [
        f"FAILURE {one['file']}: {one['kind']} of {one['from']}: {one['reason']}"
        for one in outcomes["failures"][:50]
    ]
    return "\n".join(lines)


# The command.


class Command(NamedTuple):
    """A command that tries files.

    `trials_in` makes the trials in a folder, from a seed. `publish` writes the outcomes of `files`
    files of seed 0 into a page of the documentation.
    """

    name: str
    about: str
    files: int
    trials_in: Callable[[Path, int], Trials]
    publish: Callable[[dict[str, Any]], None]

    def run(self, arguments: list[str]) -> int:
        """Try as many files as the arguments say; 1 if there was a failure, else 0."""
        parsed = self._parsed(arguments)
        settings = Settings(parsed.files, parsed.seed, parsed.jobs, parsed.seconds)
        outcomes = tried(settings, lambda folder: self.trials_in(folder, parsed.seed))
        print(report(outcomes))
        if parsed.json is not None:
            parsed.json.parent.mkdir(parents=True, exist_ok=True)
            parsed.json.write_text(json.dumps(outcomes, indent=1) + "\n", encoding="utf-8")
        if (parsed.files, parsed.seed) == (self.files, SEED):
            self.publish(outcomes)
        return 1 if outcomes["failures"] else 0

    def _parsed(self, arguments: list[str]) -> argparse.Namespace:
        parser = argparse.ArgumentParser(self.name, description=self.about)
        parser.add_argument("--files", type=int, default=self.files, help="how many files")
        parser.add_argument("--seed", type=int, default=SEED)
        parser.add_argument("--seconds", type=float, default=SECONDS, help="for one file, at most")
        parser.add_argument("--jobs", type=int, default=2, help="worker processes")
        parser.add_argument("--json", type=Path, metavar="FILE", help="where the summary goes")
        return parser.parse_args(arguments)


def failure_of(error: BaseException) -> tuple[str, str]:
    """The outcome of a file that ends in this error, and what went wrong."""
    if isinstance(error, TooLong):
        return FAILURE, "took longer than it may"
    return FAILURE, f"{type(error).__name__}: {error}"


def tried(settings: Settings, trials_in: Callable[[Path], Trials]) -> dict[str, Any]:
    """Make the trials in a new folder, and try them; a summary of what came of them."""
    os.environ.update(FEW_THREADS)  # for the workers, which begin anew
    folder = Path(tempfile.mkdtemp(prefix="engine-fuzz-"))
    try:
        (folder / "whole").mkdir()
        trials = trials_in(folder / "whole")
        start = time.perf_counter()
        found = run(settings, trials, folder)
        return summary(found, settings, time.perf_counter() - start)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
