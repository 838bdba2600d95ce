"""Several processes with one checkpoint: started twice, started while another dies, forked."""

import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from engine import Checkpoint, CheckpointError, train
from tools.reliability.children import Child, outcome_of
from tools.reliability.jobs import CODES, NETWORK, ROWS, epochs_for, jobs
from tools.reliability.lines import Line


def two_processes(times: int) -> Line:
    """Two at once; the second is refused, until the first has ended or was killed."""
    line = Line("two processes with one checkpoint", "started side by side; then one is killed")
    every = list(jobs())
    for number in range(times):
        job = every[number % len(every)]
        epochs = epochs_for(job, 0.3)
        expected = job.call(max_iter=epochs)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "run.ckpt")
            run = partial(job.call, max_iter=epochs, checkpoint=Checkpoint(path, seconds=0.02))
            first, refused = (Child(run, Path(folder)) for _ in range(2))
            while not (first.ended(0.001) or refused.ended(0.001)):
                pass
            if first.ended(0.0) and first.outcome.error is not None:
                first, refused = refused, first
            refused.ended()
            error = refused.outcome.error
            came_late = refused.outcome.value == expected  # the first had ended by then
            line.expect(
                came_late or (isinstance(error, CheckpointError) and "under way" in str(error)),
                f"{job.name}: {error!r}",
            )
            line.times += 1
            if number % 2:
                first.kill()
            else:
                first.ended()
                line.expect(first.outcome.value == expected, f"{job.name}: {first.outcome.error!r}")
            ended = outcome_of(partial(job.call, max_iter=epochs, checkpoint=path), Path(folder))
            line.expect(ended.value == expected, f"{job.name}: {ended.error!r}")
    line.kept = (
        "the second was refused with an error that says so, before any work; the first ended with "
        "the same bits; after a kill the next start took over at once"
    )
    line.lost = "nothing"
    return line


def fork(times: int) -> Line:
    """A process that forks in the middle, both to train on."""
    line = Line("fork in the middle", "`os.fork()` in a callback; parent and child both train on")
    for number in range(times):
        solver = ("adam", "gd", "lbfgs")[number % 3]
        expected = _forked(solver)[0]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "run.ckpt")
            run = partial(_forked, solver, 2 + number % 5, Checkpoint(path, epochs=3))
            ended = outcome_of(run, Path(folder))
            line.times += 1
            line.expect(ended.error is None, repr(ended.error))
            parent, child = ended.value or ("", "")
            line.expect(parent == child == expected, f"{solver}: other bits")
            line.expect(not ended.warned, f"{solver}: the parent warned {ended.warned}")
            line.expect(
                _forked(solver, checkpoint=path)[0] == expected, f"{solver}: other bits, resumed"
            )
    line.kept = "both ended with the same bits; the child left the file to its parent, and said so"
    line.lost = "nothing"
    return line


def _forked(solver: str, epoch: int = 0, checkpoint: Any = None) -> tuple[str, str]:
    """The fingerprints of a run and of its child, which forks off after so many epochs."""
    receive, send = os.pipe()
    pids: list[int] = []

    def fork_once(told: Any) -> bool:
        if told.epoch == epoch:
            pids.append(os.fork())
        return False

    result = train(
        NETWORK,
        ROWS[:200].T,
        CODES[:200],
        solver=solver,
        batch_size=50,
        max_iter=12,
        checkpoint=checkpoint,
        callback=fork_once if epoch else None,
    )
    if not pids:
        return result.fingerprint, ""
    if pids[0] == 0:
        os.write(send, result.fingerprint.encode())
        os._exit(0)
    os.waitpid(pids[0], 0)
    return result.fingerprint, os.read(receive, 64).decode()
