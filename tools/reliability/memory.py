"""Memory that runs out: a limit on the address space, a little above what there is."""

import ctypes
import resource
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine import Checkpoint, Network, train
from tools.reliability.children import outcome_of
from tools.reliability.lines import Line

# Large enough that every array of a run is a mapping of its own.
NETWORK = Network((400, 2000, 10), output="softmax")
EPOCHS = 6
MMAP_THRESHOLD = -3  # of mallopt, in glibc


def memory(times: int) -> Line:
    """Limits from none to spare to enough, in steps."""
    line = Line("memory runs out", "the address space limited to a little more than is in use")
    X = np.random.default_rng(0).normal(size=(400, 300)).astype(np.float32)
    Y = np.arange(300) % 10
    failed = warned = 0
    for solver in ("adam", "lbfgs"):
        for step in range(-(-times // 2)):
            run = partial(
                train, NETWORK, X, Y, solver=solver, batch_size=100, n_threads=1, backend="tiled"
            )
            expected = run(max_iter=EPOCHS).fingerprint
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "run.ckpt")
                kept = Checkpoint(path, epochs=1)
                before = 2 + step % 3
                run(max_iter=before, checkpoint=kept)
                limited = partial(_limited, partial(run, max_iter=EPOCHS, checkpoint=kept), step)
                ended = outcome_of(limited, Path(folder))
                line.times += 1
                if ended.error is not None:
                    failed += 1
                    line.expect(
                        isinstance(ended.error, MemoryError), f"{solver}, {step}: {ended.error!r}"
                    )
                    notes = getattr(ended.error, "__notes__", [""])
                    said = "run.ckpt holds epoch" in notes[0] and "goes on from there" in notes[0]
                    line.expect(said, f"{solver}, {step}: {notes}")
                else:
                    warned += bool(ended.warned)
                    line.expect(ended.value == expected, f"{solver}, {step}: other bits")
                again = run(max_iter=EPOCHS, checkpoint=path)
                line.expect(again.fingerprint == expected, f"{solver}, {step}: other bits")
                line.expect("went on from" in again.plan.why, f"{solver}, {step}: from the start")
    line.kept = (
        f"{failed} times the run ended with a `MemoryError` that says what is kept where, {warned} "
        "times it went on without checkpoints, and warned, else there was enough; the next start "
        "ended with the same bits"
    )
    line.lost = "the steps since the last checkpoint; what had been saved stayed"
    return line


def _limited(run: Callable[[], Any], step: int) -> str:
    """Run with so many times 4 MB more of address space than there are now."""
    allocator = ctypes.CDLL(None)
    allocator.mallopt(MMAP_THRESHOLD, 65536)  # what is freed goes back to the system,
    allocator.malloc_trim(0)  # and what was
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + step * 2**22, hard))
    try:
        fingerprint: str = run().fingerprint
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return fingerprint
