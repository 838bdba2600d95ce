"""Ctrl-C: by a real signal at random moments, and at every line of what keeps a run."""

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import engine
from engine import Checkpoint, train
from tools.reliability.children import outcome_of, struck
from tools.reliability.jobs import CODES, NETWORK, ROWS, epochs_for, jobs_for
from tools.reliability.lines import Line

SECONDS = 0.4
# What an interruption must not leave half done.
KEEPING = (
    "training/checkpoint",
    "training/evaluations",
    "atomic_files",
    "file_locks",
    "regular_files",
    "tensor_layout",
)
PACKAGE = str(Path(engine.__file__).parent)


def ctrl_c(times: int) -> Line:
    """SIGINT at random moments."""
    line = Line("Ctrl-C", "SIGINT at random moments; started again")
    generator = np.random.default_rng(1)
    returned = 0
    every = jobs_for(times)
    for job in every:
        epochs = epochs_for(job, SECONDS)
        expected = job.call(max_iter=epochs)
        kills = -(-times // len(every))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "run.ckpt")
            resumed = partial(job.call, max_iter=epochs, checkpoint=Checkpoint(path, seconds=0))
            for child in struck(resumed, Path(folder), kills, SECONDS, generator):
                child.interrupt()
                child.ended()
                error = child.outcome.error
                line.times += 1
                returned += error is None
                line.expect(
                    error is None or isinstance(error, KeyboardInterrupt), f"{job.name}: {error!r}"
                )
            ended = outcome_of(partial(job.call, max_iter=epochs, checkpoint=path), Path(folder))
            line.expect(ended.value == expected, f"{job.name}: other bits, {ended.error!r}")
    line.kept = (
        f"{returned} times the run returned what it had reached, else (before a first step, or "
        f"in the checkpoint's own work) `KeyboardInterrupt` came through; all {len(every)} jobs "
        "ended with the bits of an undisturbed run"
    )
    line.lost = "nothing that had been reached, or the steps of a slice (0.05 s)"
    return line


def ctrl_c_everywhere(times: int) -> Line:
    """At each line of the modules that keep a run, up to so many of the times that it runs."""
    line = Line(
        "Ctrl-C within the keeping of a run",
        "`KeyboardInterrupt` at every line that opens, reads, writes, renames, locks or closes",
    )
    for solver in ("adam", "gd", "lbfgs"):
        run = partial(_run, solver)
        expected = run()
        for number in _moments(run, times):
            with tempfile.TemporaryDirectory() as folder:
                kept = Checkpoint(Path(folder, "run.ckpt"), epochs=2)
                with _interrupting(number), contextlib.suppress(KeyboardInterrupt):
                    run(checkpoint=kept)
                line.times += 1
                again = run(checkpoint=kept)
                line.expect(again == expected, f"{solver}, line {number}: other bits")
    line.kept = "each time the next start ended with the bits of an undisturbed run"
    line.lost = "nothing but the steps since the checkpoint before"
    return line


def _run(solver: str, checkpoint: Any = None) -> str:
    result = train(
        NETWORK,
        ROWS[:100].T,
        CODES[:100],
        solver=solver,
        batch_size=50,
        max_iter=5,
        checkpoint=checkpoint,
    )
    return result.fingerprint


def _moments(run: Callable[..., Any], times: int) -> list[int]:
    """Numbers of lines as a run comes to them: of each line, the first ones and the last."""
    numbers: dict[Any, list[int]] = {}
    with tempfile.TemporaryDirectory() as folder, _interrupting(-1) as seen:
        run(checkpoint=Checkpoint(Path(folder, "run.ckpt"), epochs=2))
    for number, place in enumerate(seen):
        numbers.setdefault(place, []).append(number)
    chosen = [[*some[: times - 1], some[-1]] for some in numbers.values()]
    return sorted({number for some in chosen for number in some})


@contextlib.contextmanager
def _interrupting(number: int) -> Iterator[list[tuple[str, int]]]:
    """Ctrl-C at a line, counted from 0; as Python does it, between two instructions.

    Gives the lines of the keeping modules as they come: files and numbers.
    """
    seen: list[tuple[str, int]] = []

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(PACKAGE) or not any(part in name for part in KEEPING):
            return None
        if "__del__" in (frame.f_code.co_name, frame.f_back and frame.f_back.f_code.co_name):
            return None  # where Python itself ignores what is raised
        if event == "line":
            seen.append((name, frame.f_lineno))
            if len(seen) == number + 1:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        yield seen
    finally:
        sys.settrace(None)
