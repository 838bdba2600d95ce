"""Resume from twenty thousand forged and damaged checkpoints, and see that none does any harm.

    python -m tools.fuzz_checkpoints                  20 000 files, some minutes
    python -m tools.fuzz_checkpoints --files 500 --seed 7 --json build/fuzz.json

All 20 000 of them also make the table of docs/reliability.md; of fewer, it is only printed.

Small runs of each solver and dtype, by `train` and by the estimators
(tools/fuzz_checkpoint_runs.py), are stopped at several points. Their checkpoints are forged with
right checksums (tools/fuzz_checkpoint_forgery.py), or damaged byte by byte (tools/fuzz_damage.py).
Worker processes start each run again, under limits of memory and time. An outcome is

    refused    CheckpointError
    unchanged  the bits of an undisturbed run: the change has no effect
    another    a forgery holds parameters, moments or costs that another run could have had, and the
               run resumes from these: anybody may write such a file
    FAILURE    anything else, also a process that crashed; the file is kept

Ends with 0 if there was no failure, 1 if there was one.
"""

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

from tools.asv_runs import ROOT
from tools.fuzz_damage import DAMAGES
from tools.fuzz_workers import ANOTHER, FAILURE, REFUSED, UNCHANGED, Command, failure_of
from tools.performance_page import FIGURES, rewrite

PAGE = ROOT / "docs" / "reliability.md"
FIGURES_OF_FUZZ = FIGURES / "checkpoints.json"
DAMAGED = 0.1  # the share of files without a right checksum


class Case(NamedTuple):
    """A checkpoint to resume from."""

    ending: str  # "train" or "estimator", and the solver, for the counts
    kind: str
    content: bytes
    log: bytes
    whole: Path
    may_be_another: bool


class CheckpointTrials(NamedTuple):
    """Checkpoints, for worker processes."""

    seed: int
    corpus: list[Path]
    expected: dict[str, str]  # digests of undisturbed runs, by job

    def prepare(self) -> None:
        """Resume from each as it is, so that all is compiled; do not wait for the disk."""
        from tools.fuzz_checkpoint_runs import MAX_ITER, job_of

        os.fsync = lambda fd: None
        for place in self.corpus:
            content, log = _files_in(place)
            job = job_of(place)
            path = _written(place.parent.parent / f"prepare-{os.getpid()}", content, log)
            if job.call(MAX_ITER, path) != self.expected[job.name]:
                raise AssertionError(f"{place.name} does not resume with the same bits")

    def case_of(self, number: int) -> Case:
        """The checkpoint of that number: the same for the same seed and corpus."""
        from tools.fuzz_checkpoint_forgery import CHANGES, FILES, held_in
        from tools.fuzz_checkpoint_runs import job_of

        generator = random.Random(f"{self.seed} {number}")
        place = generator.choice(self.corpus)
        job = job_of(place)
        ending = f"{'estimator' if job.name.startswith('MLP') else 'train'} {job.solver}"
        if generator.random() < DAMAGED:
            kind, (content, log) = generator.choice(sorted(DAMAGES)), _files_in(place)
            other, _ = _files_in(generator.choice(self.corpus))
            return Case(
                ending, "damaged", DAMAGES[kind](generator, content, other), log, place, False
            )
        held = held_in(place, job.solver)
        kind = generator.choice(sorted([*CHANGES, *FILES]))
        if kind in FILES:
            content = FILES[kind](generator, held)
            return Case(ending, kind, content, held.log, place, False)
        may_be_another = CHANGES[kind](generator, held, self.corpus)
        return Case(ending, kind, held.content, held.log, place, may_be_another)

    def outcome_of(self, case: Case, folder: Path) -> tuple[str, str]:
        """Resume from it."""
        from tools.fuzz_checkpoint_runs import MAX_ITER, job_of

        job = job_of(case.whole)
        path = _written(folder, case.content, case.log)
        return outcome_of(lambda: job.call(MAX_ITER, path), self.expected[job.name], case)


def outcome_of(run: Callable[[], str], expected: str, case: Case) -> tuple[str, str]:
    """The outcome of a run that resumes, and what was wrong."""
    from engine import CheckpointError
    from tools.fuzz_checkpoint_runs import DIVERGES

    try:
        digest = run()
    except CheckpointError as error:
        message = str(error)
        if not message.isprintable() or len(message) > 10_000:
            return FAILURE, f"refused with {message[:200]!r}"
        return REFUSED, ""
    except BaseException as error:
        if case.may_be_another and isinstance(error, DIVERGES):
            return ANOTHER, ""
        return failure_of(error)
    if digest == expected:
        return UNCHANGED, ""
    return (ANOTHER, "") if case.may_be_another else (FAILURE, "resumes with other bits")


def _files_in(place: Path) -> tuple[bytes, bytes]:
    log = place / "run.ckpt.evaluations"
    return (place / "run.ckpt").read_bytes(), log.read_bytes() if log.exists() else b""


def _written(folder: Path, content: bytes, log: bytes) -> Path:
    """A folder with these files, and no others."""
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    path = folder / "run.ckpt"
    path.write_bytes(content)
    if log:
        path.with_name("run.ckpt.evaluations").write_bytes(log)
    return path


def trials_in(folder: Path, seed: int, names: Collection[str] = ()) -> CheckpointTrials:
    """Write the corpus to a folder; the runs are those of the named jobs, or all."""
    from tools.fuzz_checkpoint_runs import MAX_ITER, jobs, write_corpus

    chosen = [job for job in jobs().values() if not names or job.name in names]
    expected = {job.name: job.call(MAX_ITER) for job in chosen}
    return CheckpointTrials(seed, write_corpus(folder, chosen), expected)


def table_of(outcomes: dict[str, Any]) -> str:
    """The outcomes of each kind of change, as a table for the page."""
    by_kind: dict[str, Counter[str]] = {}
    for kinds in outcomes["kinds"].values():
        for kind, counts in kinds.items():
            by_kind.setdefault(kind, Counter()).update(counts)
    by_kind["all"] = Counter(outcomes["outcomes"])
    columns = ("times", "`CheckpointError`", "the very same run", "another", "failures")
    lines = [f"| what was changed | {' | '.join(columns)} |", "|---|--:|--:|--:|--:|--:|"]
    for kind, counts in by_kind.items():
        named = (REFUSED, UNCHANGED, ANOTHER, FAILURE)
        numbers = (counts.total(), *(counts[name] for name in named))
        lines.append(f"| {kind} | {' | '.join(f'{number:,}' for number in numbers)} |")
    return "\n".join(lines)


def publish(outcomes: dict[str, Any]) -> None:
    """Write the outcomes into the figures, and their table into the page."""
    FIGURES_OF_FUZZ.write_text(json.dumps(outcomes, indent=1) + "\n", encoding="utf-8")
    rewrite(PAGE, "fuzz", table_of(outcomes))


if __name__ == "__main__":
    about = (__doc__ or "").splitlines()[0]
    command = Command("fuzz_checkpoints", about, 20_000, trials_in, publish)
    sys.exit(command.run(sys.argv[1:]))
