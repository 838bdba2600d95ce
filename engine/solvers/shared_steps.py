"""Minibatch steps that several threads share (shared_slices.py), while that is faster.

How many threads pay follows from a model of a step's time (`threads_that_pay`). It cannot know
whether other programs use the cores: a thread that waits for one that does not run waits for
milliseconds. So where the caller left the number of threads open, both ways are timed now and then,
for some milliseconds each, and the faster one is taken. The bits are the same. If the kernel has to
be compiled first, a thread of its own does that, beside runs that take some seconds.
"""

import functools
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.compiler.barrier import call_off, new_team
from engine.compiler.kernels import FixedTypes, Kernel
from engine.compiler.tiles import VECTOR_BYTES
from engine.equations.products import N_COLUMNS
from engine.solvers.shared_slices import N_TOLD, UNITS_TOGETHER, descend_shared_tiled
from engine.solvers.slices import UNFINISHED, needs_more
from engine.solvers.state import EPOCHS, EVALUATE, STEPS, Settings, State
from engine.sums.blocks import all_aligned
from engine.sums.samples import Inputs, Layers, SparseColumns
from engine.sums.thread_count import Threads, most_threads, trains_beside_others, usable_cores
from engine.sums.thread_team import ThreadTeam

# A model of a step's time: multiply-adds of a thread in a second, for vectors of 64 bytes of
# float32; what thread 0 does alone, in seconds for a sample; and a wait of two threads. With more
# threads a wait takes longer by its logarithm.
MULTIPLY_ADDS_A_SECOND = 6e10
SECONDS_ALONE_A_SAMPLE = 5e-9
SECONDS_A_WAIT = 4e-7
PAYS_BELOW = 0.8  # of the time of one thread, by the model

ALONE_AT_FIRST = 0.1  # seconds: to start threads takes some milliseconds
COMPILES_AFTER = 3.0  # seconds of a run, if the kernel has to be compiled: that takes about as long
TRIAL_SECONDS = 4e-3  # of the way that is not taken
FIRST_PAUSE, LONGEST_PAUSE = 4, 64  # slices from one trial to the next, twice as many each time
FASTER = 0.97  # of the time alone, at most, for steps to be shared
PATIENCE = 1.5  # times what shared steps should take, before a slice ends early


def can_share(settings: Settings, layers: Layers, X: Inputs) -> bool:
    """Whether threads can share the steps: none of decay, average, clipping and cosine."""
    is_dense = layers.embeddings is None and not isinstance(X, SparseColumns)
    return is_dense and not needs_more(settings)


def seconds_of_step(layers: Layers, batch_size: int, dtype: Any, n_threads: int) -> float:
    """What a step takes, by the model."""
    rate = MULTIPLY_ADDS_A_SECOND * (VECTOR_BYTES / 64) * (4 / np.dtype(dtype).itemsize)
    above = layers.sizes[1:].tolist()
    work = 0.0
    for n_in, n_out in zip(layers.sizes[:-1].tolist(), above, strict=True):
        largest = -(-max(n_out // UNITS_TOGETHER, 1) // n_threads) * UNITS_TOGETHER
        work += 3 * n_in * min(n_out, largest)  # of the thread with the largest part
    waits = (4 + 2 * len(above)) * math.log2(n_threads)
    return float(
        work * batch_size / rate + SECONDS_ALONE_A_SAMPLE * batch_size + SECONDS_A_WAIT * waits
    )


def threads_that_pay(asked: int | None, layers: Layers, batch_size: int, dtype: Any) -> Threads:
    """As many threads as asked for, if layers have units for them; else as many as pay.

    >>> from engine import Network
    >>> wide, narrow = Network((784, 256, 10)).layers, Network((20, 16, 1)).layers
    >>> threads_that_pay(1, wide, 256, "float32")
    Threads(number=1, why='as asked')
    >>> threads_that_pay(3, narrow, 256, "float32")
    Threads(number=2, why='3 asked for, and no layer has units for more than 2')
    """
    most = max(1, max(layers.sizes[1:].tolist()) // UNITS_TOGETHER)
    if asked is not None:
        cores = usable_cores() if min(asked, most) > 1 else most
        if asked > most <= cores:
            return Threads(most, f"{asked} asked for, and no layer has units for more than {most}")
        if asked > cores:  # threads that wait for each other need a core each
            return Threads(cores, f"{asked} asked for, and {cores} of the cores are usable")
        return Threads(asked, "as asked")
    alone = seconds_of_step(layers, batch_size, dtype, 1)
    if trains_beside_others():
        return Threads(1, "other networks train on the other threads")
    if PAYS_BELOW * alone < seconds_of_step(layers, batch_size, dtype, 2):
        return Threads(1, f"a step of about {1e6 * alone:.0f} us is too short to be shared")
    cores = min(cores_in(int(time.monotonic())), most)
    times = {n: seconds_of_step(layers, batch_size, dtype, n) for n in range(1, cores + 1)}
    fastest = min(times, key=lambda n: (times[n], n))
    # The fewest that are nearly as fast as the fastest.
    number = next(n for n in times if times[n] <= 1.05 * times[fastest])
    if number == 1:
        return Threads(1, "one usable core")
    return Threads(number, f"{number} threads share the units of a step, while that is faster")


@functools.lru_cache(maxsize=1)
def cores_in(second: int) -> int:
    """The most threads by default; files are read for that, once a second at most."""
    return most_threads()


class SharedSteps:
    """Compiled slices of the tiled backend, whose steps several threads share.

    Parameters
    ----------
    alone : CompiledSteps
        The same for one thread.
    n_threads : int
        With the calling one.
    adapts : bool
        Whether to take the steps alone while that is faster.
    """

    def __init__(self, alone: Any, n_threads: int, adapts: bool) -> None:
        self._alone, self._adapts = alone, adapts
        self._threads = ThreadTeam()
        self._descend: FixedTypes | None = None
        self.expected_seconds = alone.expected_seconds
        # Of a step, as timed last in each way; and when the other way is tried.
        self._seconds = {1: math.inf, n_threads: math.inf}
        self._n_threads = n_threads
        self._best = 1 if adapts else n_threads
        self._seconds_before = 0.0  # of the run, until the first trial
        self._ready = False  # whether the kernel need not be compiled any more
        self._compiling: threading.Thread | None = None
        self._pause, self._slices_left = FIRST_PAUSE // 2, 0

    def cost(self, theta: NDArray[Any], alpha: float) -> float:
        """J on all samples."""
        return float(self._alone.cost(theta, alpha))

    def advance(
        self,
        state: State,
        settings: Settings,
        n_steps: int,
        n_epochs: int,
        history: NDArray[np.float64],
    ) -> int:
        """Take up to `n_steps` steps, or `n_epochs` epochs; returns how the slice ended."""
        if settings.update == EVALUATE:
            return int(self._alone.advance(state, settings, n_steps, n_epochs, history))
        begun = int(state.counts[EPOCHS])

        def take(n_threads: int, n: int) -> int:
            """Take n steps, and time them."""
            rows = history[int(state.counts[EPOCHS]) - begun : n_epochs]
            before, start = int(state.counts[STEPS]), time.perf_counter()
            if n_threads == 1:
                ended = self._alone.advance(state, settings, n, len(rows), rows)
            else:
                ended = self._together(state, settings, n, rows)
            taken = int(state.counts[STEPS]) - before
            self._seconds[n_threads] = (time.perf_counter() - start) / max(taken, 1)
            return int(ended)

        if not self._adapts:
            return take(self._n_threads, n_steps)
        left = n_steps
        if self._seconds_before < ALONE_AT_FIRST or not self._is_ready(state, settings, history):
            start = time.perf_counter()
            ended = take(1, left)
            self._seconds_before += time.perf_counter() - start
            return ended
        if self._slices_left == 0:
            ended, left = self._tried(take, n_steps)
            if ended != UNFINISHED or left == 0:
                return ended
        else:
            self._slices_left -= 1
        expected = self._seconds[self._best]
        ended = take(self._best, left)
        if self._seconds[self._best] > PATIENCE * expected:
            self._slices_left, self._pause = 0, FIRST_PAUSE // 2
        return ended

    def _tried(self, take: Callable[[int, int], int], n_steps: int) -> tuple[int, int]:
        """Take some steps in the other way, and choose; how they ended, and how many are left."""
        before, other = self._best, 1 if self._best > 1 else self._n_threads
        known = min(self._seconds.values())
        n = min(max(1, int(TRIAL_SECONDS / known)), max(1, n_steps // 4))
        left = n_steps
        for n_taken in (1, n) if other > 1 else (n,):  # the first step waits for threads to start
            ended = take(other, min(n_taken, left))
            left -= n_taken
            if ended != UNFINISHED or left <= 0:
                return ended, max(left, 0)
        is_faster = self._seconds[self._n_threads] < FASTER * self._seconds[1]
        self._best = self._n_threads if is_faster else 1
        longer = min(2 * self._pause, LONGEST_PAUSE)
        self._pause = longer if self._best == before else FIRST_PAUSE
        self._slices_left = self._pause
        return UNFINISHED, left

    def _is_ready(self, state: State, settings: Settings, history: NDArray[np.float64]) -> bool:
        """Whether steps can be shared now; in a long run, see to it that they can be."""
        if self._ready or not isinstance(descend_shared_tiled, Kernel):
            return True
        if self._compiling is not None:
            self._ready = not self._compiling.is_alive()
            return self._ready
        team, told = new_team(), np.zeros(N_TOLD)
        given = self._arguments(team, told, 1, state, settings, self._own[0], 1, 1, history)
        signature = tuple(descend_shared_tiled.typeof_pyval(one) for one in given)
        self._ready = descend_shared_tiled.is_at_hand(signature)
        if not self._ready and self._seconds_before > COMPILES_AFTER:
            compiling = threading.Thread(target=descend_shared_tiled.compile, args=(signature,))
            compiling.start()
            self._compiling = compiling
        return self._ready

    def _arguments(
        self,
        team: NDArray[np.int64],
        told: NDArray[np.float64],
        leads: int,
        state: State,
        settings: Settings,
        own: tuple[Any, Any],
        n_steps: int,
        nanoseconds: int,
        history: NDArray[np.float64],
    ) -> tuple[Any, ...]:
        """What a thread calls the kernel with."""
        of_run = self._alone.of_run
        team_of = team, told, leads, self._n_threads
        return (
            *team_of,
            state,
            settings,
            *of_run,
            *own,
            n_steps,
            len(history),
            nanoseconds,
            history,
        )

    @functools.cached_property
    def _own(self) -> list[tuple[NDArray[np.int64], NDArray[Any]]]:
        """The memory of each thread: where samples begin, and inputs transposed."""
        *_, workspace = self._alone.of_run
        width, dtype = workspace.starts.size, workspace.A.dtype
        panel = N_COLUMNS * VECTOR_BYTES // dtype.itemsize
        return [
            (np.zeros(width, np.int64), all_aligned([(panel, width)], dtype)[0])
            for _ in range(self._n_threads)
        ]

    def _together(
        self, state: State, settings: Settings, n_steps: int, history: NDArray[np.float64]
    ) -> int:
        """Take steps with all threads; if it adapts, they end early where they take too long."""
        if self._descend is None:
            self._descend = FixedTypes(descend_shared_tiled, self._alone.kind(state, settings))
        descend, team, told = self._descend, new_team(), np.zeros(N_TOLD)
        seconds = math.inf
        if self._adapts:
            known = min(self._seconds.values())
            seconds = 1e-3 + PATIENCE * n_steps * min(known, 1.0)
        nanoseconds = int(min(1e9 * seconds, 2.0**62))

        def take_part(leads: int, own: tuple[Any, Any]) -> int:
            given = self._arguments(
                team, told, leads, state, settings, own, n_steps, nanoseconds, history
            )
            with np.errstate(all="ignore"):  # an overflow shows in the next cost
                ended, _ = descend(*given)
            return int(ended)

        calls: list[Callable[[], Any]] = [
            functools.partial(take_part, 0, own) for own in self._own[1:]
        ]
        tasks = self._threads.hand_out(calls)
        try:
            return take_part(1, self._own[0])
        finally:
            call_off(team)  # if Ctrl-C came before the slice began
            for task in tasks:
                task.finish()
