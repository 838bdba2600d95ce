"""Processes that are killed (SIGKILL) at random moments, and started again until they end."""

import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

from engine import Checkpoint
from tools.reliability.children import RENAMING, WRITING, Child, outcome_of
from tools.reliability.jobs import Job, epochs_for, jobs
from tools.reliability.lines import Line

SECONDS = 0.5  # that an undisturbed run takes, about


def sigkill(times: int) -> Line:
    """Kill each job's process again and again, at least so many times in all."""
    every = list(jobs())
    line = Line(
        "process killed",
        "SIGKILL at random moments of runs that write as often as they can; started again",
    )
    generator = np.random.default_rng(0)
    phases: Counter[int] = Counter()
    most_lost = 0.0
    runs = 0
    for job in every:
        lost = _kill_until_it_ends(job, -(-times // len(every)), generator, phases, line)
        most_lost = max(most_lost, lost)
        runs += 1
    line.times = phases.total()
    line.kept = (
        f"all {runs} runs ({len(every)} jobs: solvers, dtypes, `train` and estimators) ended with "
        f"the bits of an undisturbed one; {phases[WRITING] + phases[RENAMING]} of the kills came "
        f"during a write, {phases[RENAMING]} of these between its two renamings"
    )
    line.lost = f"at most {most_lost:.2f} s of training each time"
    return line


def _kill_until_it_ends(
    job: Job, kills: int, generator: np.random.Generator, phases: Counter[int], line: Line
) -> float:
    """The most that was lost, in seconds."""
    epochs = epochs_for(job, SECONDS)
    expected = job.call(max_iter=epochs)
    most_lost = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.ckpt")
        resumed = partial(job.call, max_iter=epochs, checkpoint=Checkpoint(path, seconds=0))
        for _ in range(kills):
            child = Child(resumed, Path(folder))
            # Most of the work is still there after each kill, so that the next has a run to hit.
            if child.ended(generator.uniform(0.0, SECONDS / kills)):
                break
            phase, lost = child.kill()
            phases[phase] += 1
            most_lost = max(most_lost, lost)
        ended = outcome_of(partial(job.call, max_iter=epochs, checkpoint=path), Path(folder))
        line.expect(ended.error is None, f"{job.name}: {ended.error!r}")
        line.expect(ended.value == expected, f"{job.name}: other bits")
        line.expect(not ended.warned, f"{job.name}: {ended.warned[:1]}")
    return most_lost
