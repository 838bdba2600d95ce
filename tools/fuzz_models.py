"""Load a hundred thousand damaged and forged model files, and see that each is refused.

    python -m tools.fuzz_models                      100 000 files, some minutes
    python -m tools.fuzz_models --files 2000 --seed 7 --json build/fuzz.json

All 100 000 of them also make the table of docs/model-files.md; of fewer, it is only printed.

Whole files of every format are damaged byte by byte (tools/fuzz_damage.py), or forged with right
checksums (tools/fuzz_forgery.py). Worker processes write each to a disk and load it as a user
would, under limits of memory and time; what loads goes to `engine check-model`. An outcome is

    refused    ModelFileError
    unchanged  it loads, as the very model that was damaged: what changed is of no consequence
    another    a forgery loads as a model that differs, and predicts: someone may write such a file
    FAILURE    anything else; the file is kept

Ends with 0 if there was no failure, 1 if there was one.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from tools.asv_runs import ROOT
from tools.fuzz_damage import DAMAGES
from tools.fuzz_forgery import FORGERIES
from tools.performance_page import rewrite

PAGE = ROOT / "docs" / "model-files.md"
FILES, SEED = 100_000, 0
MEGABYTE = 1 << 20
MORE_MEMORY = 64 * MEGABYTE  # that a load may take beyond what the process had; files have 20 kB
# What a thread takes at once, be it of a library that has nothing to do, is as much as a load may.
FEW_THREADS = {"MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
SECONDS = 5.0  # for one file
HANG = 60.0  # seconds after which a worker is given up that no alarm reaches
BEGIN = 900.0  # the same before its first file: on a busy machine imports take long
AT_A_TIME = 4000  # files of one worker process
REFUSED, UNCHANGED, ANOTHER, FAILURE = "refused", "unchanged", "another", "FAILURE"
KEPT = Path("build/fuzz")


class Case(NamedTuple):
    """One file to be loaded."""

    ending: str
    kind: str
    content: bytes
    whole: Path
    forged: bool
    must_be_refused: bool


class Asked(NamedTuple):
    """What the command was asked for: how many files, by how many processes, how long for each."""

    files: int
    seed: int
    jobs: int
    seconds: float


class TooLong(BaseException):
    """A load took longer than it may; no `except Exception` takes it for damage."""


def case_of(number: int, seed: int, corpus: list[Path]) -> Case:
    """The file of that number: the same for the same seed."""
    generator = random.Random(f"{seed} {number}")
    whole = generator.choice(corpus)
    content, ending = whole.read_bytes(), whole.suffix
    if generator.random() < 0.5:
        kind = generator.choice(sorted(FORGERIES[ending]))
        forgery = FORGERIES[ending][kind](generator, content)
        return Case(
            ending, f"forged: {kind}", forgery.content, whole, True, forgery.must_be_refused
        )
    kind = generator.choice(sorted(DAMAGES))
    other = generator.choice(corpus).read_bytes()
    damaged = DAMAGES[kind](generator, content, other)
    return Case(ending, kind, damaged, whole, False, False)


def outcome_of(case: Case, path: Path) -> tuple[str, str]:
    """Load the file, which is written to `path`; the outcome, and what went wrong."""
    from engine import ModelFileError
    from engine.model_files.trials import tried

    path.write_bytes(case.content)
    try:
        loaded = loaded_from(path)
    except ModelFileError as error:
        return _refused(error)
    except TooLong:
        return FAILURE, "took longer than it may"
    except BaseException as error:
        return FAILURE, f"{type(error).__name__}: {error}"
    if case.must_be_refused:
        return FAILURE, "loads"
    if same_model(case, loaded):
        return UNCHANGED, ""
    if not case.forged:
        return FAILURE, "loads as another model"
    try:
        use(loaded)
        tried(path)
    except TooLong:
        return FAILURE, "loads, and predicts for longer than it may"
    except BaseException as error:
        return FAILURE, f"loads, and cannot predict: {type(error).__name__}: {error}"
    return ANOTHER, ""


def loaded_from(path: Path) -> Any:
    """What is in a file: by `engine.load`, or as `engine check-model` reads it."""
    from engine import load
    from engine.model_files import onnx_file, pipeline_file
    from engine.model_files.reading import content_of

    if path.suffix == ".onnx":
        return onnx_file.read(path, content_of(path))
    if path.suffix == ".skops":
        return pipeline_file.require_model(path, pipeline_file.read_model(path))
    return load(path)


def same_model(case: Case, loaded: Any) -> bool:
    """Whether it is the model that was damaged, bit by bit."""
    return bool(essence_of(loaded) == essence_of(loaded_from(case.whole)))


def essence_of(loaded: Any) -> Any:
    """All that a loaded file holds, as something that can be compared."""
    from engine.model_files import onnx_file

    if hasattr(loaded, "estimator") and hasattr(loaded, "examples"):
        return _bytes_of(loaded)
    if isinstance(loaded, onnx_file.Graph):
        return onnx_file._model_of(loaded).SerializeToString(deterministic=True)
    return loaded.header  # with fingerprint and checksum


def _bytes_of(stored: Any) -> bytes:
    """A .skops file of what was read from one."""
    import io
    import zipfile

    import skops.io

    from engine.model_files import archive, table_examples

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(stored.estimator))) as archived:
        parts = {name: archived.read(name) for name in archived.namelist()}
    examples = b"" if stored.examples is None else table_examples.written(stored.examples)
    header = json.dumps(stored.header, sort_keys=True).encode()
    return archive.archive_of(archive.renumbered(parts)) + examples + header


def use(loaded: Any) -> None:
    """Let a model predict its examples; raises where that fails."""
    import numpy as np

    from engine import ModelFileError
    from engine.model_files import onnx_file

    if isinstance(loaded, onnx_file.Graph):
        loaded, X = loaded.stored, loaded.stored.examples.X
        from engine.model_files import plain
        from engine.model_files.stored import layers_of

        about = loaded.description
        plain.forward(layers_of(loaded.theta, about.shapes), about.units, X.T)
    elif hasattr(loaded, "estimator") and hasattr(loaded, "examples"):
        if loaded.examples is not None:
            loaded.estimator.predict(loaded.examples.rows())
    else:
        rows = np.zeros((2, loaded._about.sizes[0]))
        loaded.predict(rows)
        if loaded.header["model"] != "network":
            with contextlib.suppress(ModelFileError):  # settings that make no estimator
                loaded.estimator().predict(rows)


def _refused(error: BaseException) -> tuple[str, str]:
    """A refusal must not be made of a lack of memory, or of a limit of time."""
    said: BaseException | None = error
    while said is not None:
        if isinstance(said, MemoryError | TooLong):
            return FAILURE, f"refused only after {type(said).__name__}: {said}"
        said = said.__cause__ or said.__context__
    return REFUSED, ""


# Worker processes.


def work(
    numbers: range, asked: Asked, corpus: list[Path], folder: Path, at: Any, answers: Connection
) -> None:
    """Load the files of these numbers, under limits; `at` says which is under way."""
    from engine.model_files.trials import tried

    warnings.simplefilter("ignore")
    for whole in corpus:  # what is imported and made once, without limits
        use(loaded := loaded_from(whole))
        essence_of(loaded)
        tried(whole)
    signal.signal(signal.SIGALRM, _alarm)
    for number in numbers:
        at.value = number
        case = case_of(number, asked.seed, corpus)
        signal.setitimer(signal.ITIMER_REAL, asked.seconds)
        try:
            with _limited_memory():
                outcome, reason = outcome_of(case, folder / f"file{case.ending}")
        except TooLong:
            outcome, reason = FAILURE, "took longer than it may"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        answers.send((number, case.ending, case.kind, outcome, reason))
    answers.close()


def _alarm(signal_number: int, frame: FrameType | None) -> None:
    raise TooLong


@contextlib.contextmanager
def _limited_memory() -> Iterator[None]:
    """What this process has, and a little more."""
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


def run(asked: Asked, corpus: list[Path], folder: Path) -> Found:
    """Load that many files in worker processes, each of a share of them."""
    context = multiprocessing.get_context("spawn")
    files, seed = asked.files, asked.seed
    waiting = [range(start, min(start + AT_A_TIME, files)) for start in range(0, files, AT_A_TIME)]
    found = Found(Counter(), [])
    at_work: list[_Worker] = []
    done, shown = 0, time.monotonic()
    while waiting or at_work:
        while waiting and len(at_work) < asked.jobs:
            at_work.append(_Worker(context, waiting.pop(0), asked, corpus, folder))
        for worker in list(at_work):
            for answer in worker.answers():
                done += 1
                _count(found, seed, corpus, *answer)
            ended = worker.ended()
            if ended is None:
                continue
            at_work.remove(worker)
            if ended and not worker.began:
                raise ChildProcessError(f"{ended} before its first file; its message stands above")
            if ended:
                number = worker.number
                case = case_of(number, seed, corpus)
                _count(found, seed, corpus, number, case.ending, case.kind, FAILURE, ended)
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
        self, context: Any, numbers: range, asked: Asked, corpus: list[Path], folder: Path
    ) -> None:
        self.numbers = numbers
        self._at = context.Value("q", -1, lock=False)
        self._seen, self._since = -1, time.monotonic()
        self._answers, theirs = context.Pipe(duplex=False)
        own = Path(tempfile.mkdtemp(dir=folder))
        self._process = context.Process(
            target=work, args=(numbers, asked, corpus, own, self._at, theirs), daemon=True
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
    found: Found, seed: int, corpus: list[Path], number: int, ending: str, kind: str,
    outcome: str, reason: str,
) -> None:  # fmt: skip
    found.counts[ending, kind, outcome] += 1
    if outcome != FAILURE:
        return
    case = case_of(number, seed, corpus)
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = KEPT / f"{seed}-{number}{ending}"
    kept.write_bytes(case.content)
    said = {"number": number, "kind": kind, "from": case.whole.name, "reason": reason[:500]}
    found.failures.append({**said, "file": str(kept)})


# The report.


def summary(found: Found, asked: Asked, seconds: float) -> dict[str, Any]:
    """What is written as JSON."""
    by_format: dict[str, Counter[str]] = {}
    by_kind: dict[str, dict[str, Counter[str]]] = {}
    for (ending, kind, outcome), n in sorted(found.counts.items()):
        by_format.setdefault(ending, Counter())[outcome] += n
        by_kind.setdefault(ending, {}).setdefault(kind, Counter())[outcome] += n
    return {
        "files": asked.files,
        "seed": asked.seed,
        "seconds": round(seconds, 1),
        "outcomes": dict(sum(by_format.values(), Counter())),
        "formats": by_format,
        "kinds": by_kind,
        "limits": {
            "megabytes_beyond_start": MORE_MEMORY // MEGABYTE,
            "seconds_a_file": asked.seconds,
        },
        "failures": found.failures,
    }


def report(told: dict[str, Any]) -> str:
    """The same for people."""
    outcomes = (REFUSED, UNCHANGED, ANOTHER, FAILURE)
    lines = [f"{'':44}" + "".join(f"{name:>11}" for name in outcomes)]
    for ending, kinds in told["kinds"].items():
        for kind, counts in kinds.items():
            row = "".join(f"{counts[name]:11,}" for name in outcomes)
            lines.append(f"{ending:14}{kind:30}{row}")
    total = "".join(f"{told['outcomes'].get(name, 0):11,}" for name in outcomes)
    lines += [f"{'all':44}{total}", ""]
    limits = told["limits"]
    lines.append(
        f"{told['files']:,} files, seed {told['seed']}, in {told['seconds']:.0f} s; each within "
        f"{limits['megabytes_beyond_start']} MB and {limits['seconds_a_file']:g} s."
    )
    lines += [
        f"FAILURE {one['file']}: {one['kind']} of {one['from']}: {one['reason']}"
        for one in told["failures"][:50]
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("fuzz_models", description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=FILES, help="how many damaged files")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for one file, at most")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the summary goes")
    told = parser.parse_args(arguments)
    asked = Asked(told.files, told.seed, told.jobs, told.seconds)
    from tools.fuzz_corpus import write_corpus

    os.environ.update(FEW_THREADS)  # for the workers, which begin anew
    folder = Path(tempfile.mkdtemp(prefix="engine-fuzz-"))
    try:
        (folder / "whole").mkdir()
        corpus = write_corpus(folder / "whole")
        start = time.perf_counter()
        found = run(asked, corpus, folder)
        outcomes = summary(found, asked, time.perf_counter() - start)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(report(outcomes))
    if told.json is not None:
        told.json.parent.mkdir(parents=True, exist_ok=True)
        told.json.write_text(json.dumps(outcomes, indent=1) + "\n", encoding="utf-8")
    if (told.files, told.seed) == (FILES, SEED):
        rewrite(PAGE, "fuzz", f"```text\n{report(outcomes)}\n```")
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
