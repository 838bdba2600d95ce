"""Minibatch steps that several threads share (shared_slices.py), where that is faster."""

import time
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.compiler.barrier import new_team
from engine.compiler.kernels import FixedTypes
from engine.compiler.tiles import VECTOR_BYTES
from engine.equations.products import N_COLUMNS
from engine.solvers.shared_slices import N_TOLD, descend_shared_tiled
from engine.solvers.state import EVALUATE, STEPS, Settings, State
from engine.sums.blocks import all_aligned
from engine.sums.samples import Layers, Samples
from engine.sums.thread_team import ThreadTeam


class ThreadsOfSteps:
    """The threads that share steps, and what each of them needs.

    Parameters
    ----------
    of_run : tuple
        Layers, samples, block and workspace, as `descend_tiled` takes them.
    n_threads : int
        With the calling thread.
    """

    def __init__(self, of_run: tuple[Any, ...], n_threads: int, kind: Any) -> None:
        *_, workspace = of_run
        width, dtype = workspace.starts.size, workspace.A.dtype
        panel = N_COLUMNS * VECTOR_BYTES // dtype.itemsize
        self._of_run = of_run
        self._n_threads = n_threads
        self._own = [
            (np.zeros(width, np.int64), all_aligned([(panel, width)], dtype)[0])
            for _ in range(n_threads)
        ]
        self._threads = ThreadTeam()
        self._descend = FixedTypes(descend_shared_tiled, kind)

    def advance(
        self,
        state: State,
        settings: Settings,
        n_steps: int,
        n_epochs: int,
        seconds: float,
        history: NDArray[np.float64],
    ) -> int:
        """Up to `n_steps` steps, or `n_epochs` epochs, in about so many seconds; how it ended."""
        team, told = new_team(), np.zeros(N_TOLD)
        nanoseconds = int(1e9 * seconds)

        def take_part(leads: int, own: tuple[Any, Any]) -> int:
            with np.errstate(all="ignore"):  # an overflow shows in the next cost
                ended, _ = self._descend(
                    team,
                    told,
                    leads,
                    self._n_threads,
                    state,
                    settings,
                    *self._of_run,
                    *own,
                    n_steps,
                    n_epochs,
                    nanoseconds,
                    history,
                )
            return int(ended)

        tasks = self._threads.hand_out([partial(take_part, 0, own) for own in self._own[1:]])
        try:
            return take_part(1, self._own[0])
        finally:
            for task in tasks:
                task.finish()
