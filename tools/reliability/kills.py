"""Processes that are killed (SIGKILL) at random moments, and started again until they end."""

import subprocess
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

from engine import Checkpoint
from engine.tables.messages import counted
from tools.reliability.children import RENAMING, WRITING, outcome_of, struck
from tools.reliability.commands import QUIET, engine_command, killed
from tools.reliability.jobs import Job, epochs_for, jobs_for
from tools.reliability.lines import Line

SECONDS = 0.5  # that an undisturbed run takes, about


def sigkill(times: int) -> Line:
    """Kill each job's process again and again, at least so many times in all."""
    every = jobs_for(times)
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
        for child in struck(resumed, Path(folder), kills, SECONDS, generator):
            phase, lost = child.kill()
            phases[phase] += 1
            most_lost = max(most_lost, lost)
        ended = outcome_of(partial(job.call, max_iter=epochs, checkpoint=path), Path(folder))
        line.expect(ended.error is None, f"{job.name}: {ended.error!r}")
        line.expect(ended.value == expected, f"{job.name}: other bits")
        line.expect(not ended.warned, f"{job.name}: {ended.warned[:1]}")
    return most_lost


def sigkill_command(times: int) -> Line:
    """`engine train` as users start it, killed and started again."""
    line = Line(
        "`engine train --checkpoint` killed",
        "SIGKILL at random moments of the command, from its start on; started again",
    )
    generator = np.random.default_rng(2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = np.random.default_rng(0).normal(size=(2000, 8))
        table = np.column_stack([rows, rows[:, 0] * rows[:, 1] + rows[:, 2]])
        header = ",".join([*"abcdefgh", "y"])
        np.savetxt(folder / "table.csv", table, delimiter=",", header=header, comments="")
        seconds = _trained(folder, "reference.skops")
        expected = _predictions(folder, "reference.skops")
        runs = 0
        while line.times < max(times // 4, 3):
            runs += 1
            for file in folder.glob("run.*"):
                file.unlink()
            for _ in range(4):
                process = subprocess.Popen(_command("run.skops"), cwd=folder, **QUIET)
                if not killed(process, generator.uniform(0.3, 1.0) * seconds):
                    break
                line.times += 1
                whole = not (folder / "run.skops").exists()
                line.expect(whole or _predictions(folder, "run.skops") == expected, "half a model")
            _trained(folder, "run.skops")
            line.expect(_predictions(folder, "run.skops") == expected, "other predictions")
    line.kept = (
        f"{counted(runs, 'model')} predicted what that of an undisturbed run does, digit by digit"
    )
    line.lost = "the start-up of each process, and the epochs since its last checkpoint"
    return line


def _command(model: str) -> list[str]:
    told = ["--target", "y", "--max-iter", "1500", "--early-stopping", "no", "--hidden", "60,40"]
    kept = ["--checkpoint", f"{Path(model).stem}.ckpt", "--checkpoint-every", "0.1"]
    return engine_command("train", "table.csv", *told, "--model", model, *kept)


def _trained(folder: Path, model: str) -> float:
    """Train to the end; how long it took."""
    start = time.perf_counter()
    subprocess.run(_command(model), cwd=folder, check=True, **QUIET)
    return time.perf_counter() - start


def _predictions(folder: Path, model: str) -> bytes:
    command = engine_command("predict", model, "table.csv")
    return subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout
