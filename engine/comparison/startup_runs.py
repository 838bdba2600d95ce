"""`engine compare startup`: fresh processes, in units of `import numba` of the same round."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypedDict

from engine.comparison import measure
from engine.comparison.fresh_process import CACHE, answer_of, with_empty_caches
from engine.comparison.machine import About, about
from engine.comparison.progress import announced

XNOR = """
import numpy as np
from engine import Network, train
X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
train(Network((2, 4, 1)), X, np.array([1, 0, 0, 1]), solver={solver!r}, learning_rate=0.1)
"""

BARE, NUMPY, NUMBA = "python, nothing more", "import numpy", "import numba"
ENGINE, WARM, COLD = "import engine", "train XNOR, warm cache", "train XNOR, empty cache"


class Entry(TypedDict):
    """One kind of process."""

    seconds: measure.Spread
    over_bare: float  # seconds more than a process that does nothing, in the same round
    in_numba_imports: measure.Spread


class Found(TypedDict):
    about: About
    rounds: int
    entries: dict[str, Entry]


def measure_all(rounds: int, n_threads: int, solver: str) -> Found:
    """Start each process in turns. The caches are folders of this run alone."""
    trains = XNOR.format(solver=solver)
    with tempfile.TemporaryDirectory(prefix="engine-compare-") as folder:
        warm = {CACHE: str(Path(folder) / "warm")}
        empty = Path(folder) / "empty"
        empty.mkdir()
        acts: dict[str, Callable[[], str]] = {
            BARE: partial(answer_of, "pass"),
            NUMPY: partial(answer_of, "import numpy"),
            NUMBA: partial(answer_of, "import numba"),
            ENGINE: partial(answer_of, "import engine"),
            WARM: partial(answer_of, trains, warm),
            COLD: with_empty_caches(trains, empty),
        }
        for act in announced([(f"first {name}", act) for name, act in acts.items()]):
            act()
        seconds: dict[str, list[float]] = {name: [] for name in acts}
        for _ in announced([(f"round {number + 1}", None) for number in range(rounds)]):
            for name, times in measure.in_turns(acts, rounds=1).items():
                seconds[name] += times
    entries = {
        name: Entry(
            seconds=measure.spread(times),
            over_bare=measure.difference(times, seconds[BARE]).median,
            in_numba_imports=measure.ratio(times, to=seconds[NUMBA]),
        )
        for name, times in seconds.items()
    }
    return Found(about=about(n_threads, []), rounds=rounds, entries=entries)
