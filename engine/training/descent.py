"""Descent from minibatch to minibatch, "sgd" and "adam", on every backend.

The tiled backend takes batches of up to one span of samples in compiled slices (slices.py). All
else goes step by step from Python: the other backends, and larger batches, whose chunks may be
shared by threads. Both ways take the same batches, and stop at the same places.
"""

import math
import time
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.equations.backends import TILED, Backend
from engine.equations.mean import mean_cost_numpy
from engine.solvers.batches import shuffle
from engine.solvers.read_ahead import ReadAhead
from engine.solvers.slices import DIVERGED, FINISHED, UNFINISHED, descend_tiled
from engine.solvers.state import (
    ADAM,
    EPOCHS,
    EVALUATE,
    MOMENTUM,
    NESTEROV,
    POSITION,
    RATE,
    STAGNANT,
    STEPS,
    Settings,
    State,
    end_of_step,
    new_state,
    watch,
)
from engine.sums.blocks import allocate, block_for, data_of
from engine.sums.chunks import IN_ORDER, Elsewhere, sums_of, total_weight
from engine.sums.samples import Layers, Samples
from engine.sums.workers import SPAN_SAMPLES
from engine.training.checkpoint import Keeper
from engine.training.checkpoint_files import Arrays
from engine.training.expected_arrays import Expected, Verifier
from engine.training.monitor import euclidean_norm

SLICE_SECONDS = 0.05
# What a step takes, before a slice has shown it: seldom less than it really does.
SECONDS_A_STEP, SECONDS_A_MULTIPLY_ADD = 1e-5, 2e-9
MOST_EPOCHS_A_SLICE = 4096  # rows of history that a slice may fill


class Slices:
    """Compiled slices of the tiled backend, on one thread.

    Attributes
    ----------
    inputs : ndarray or SparseColumns
        X of the samples.
    expected_seconds : float
        Of a step, as far as one knows beforehand.
    """

    def __init__(self, layers: Layers, samples: Samples, batch_size: int) -> None:
        self._layers = layers
        self._samples = samples
        self.inputs = samples.X
        self._data = data_of(*samples)
        dtype = samples.X.dtype
        self._block = block_for(layers.sizes, samples.X, min(batch_size, samples.n_samples))
        self._workspace = allocate(layers.sizes, layers.n_parameters, dtype, self._block)
        work = layers.multiply_adds * min(batch_size, samples.n_samples)
        self.expected_seconds = SECONDS_A_STEP + SECONDS_A_MULTIPLY_ADD * work

    def advance(
        self,
        state: State,
        settings: Settings,
        watched: bool,
        n_steps: int,
        n_epochs: int,
        history: NDArray[np.float64],
    ) -> int:
        """Up to `n_steps` steps or `n_epochs` epochs; returns how it ended."""
        with np.errstate(all="ignore"):  # what overflows shows in the next cost
            ended = descend_tiled(
                state,
                settings,
                self._layers,
                self._data,
                self._block,
                self._workspace,
                int(watched),
                n_steps,
                n_epochs,
                history,
            )
        return int(ended)

    def cost(self, theta: NDArray[Any], alpha: float) -> float:
        """J on all samples; without compiling anything but what the steps need."""
        settings = Settings(update=EVALUATE, batch_size=SPAN_SAMPLES)
        state = new_state(theta, settings, self._samples.n_samples, seed=0)
        history = np.zeros((1, 2))
        self.advance(state, settings, False, self._samples.n_samples, 1, history)
        weight = total_weight(self._samples)
        penalty = mean_cost_numpy(0.0, theta, self._layers.sizes, alpha, weight)
        return float(history[0, 0] + penalty)


class Steps:
    """Step by step from Python, with any backend and any number of threads."""

    def __init__(
        self, backend: Backend, layers: Layers, samples: Samples | Elsewhere, n_threads: int
    ) -> None:
        self._backend = backend
        self._layers = layers
        self.inputs = samples.X if isinstance(samples, Samples) else None
        self._weights = samples.weights if isinstance(samples, Samples) else None
        self._total_weight = total_weight(samples)
        self._sums = sums_of(backend, layers, samples, n_threads)
        self.expected_seconds = math.inf  # unknown: slices grow by what they took

    def advance(
        self,
        state: State,
        settings: Settings,
        watched: bool,
        n_steps: int,
        n_epochs: int,
        history: NDArray[np.float64],
    ) -> int:
        """Up to `n_steps` steps or `n_epochs` epochs; returns how it ended. As `descend_tiled`."""
        counts = state.counts
        epochs_before = counts[EPOCHS]
        for _ in range(n_steps):
            first = int(counts[POSITION])
            last = min(first + settings.batch_size, state.order.size)
            if first == 0 and settings.shuffle:
                shuffle(state.order, state.random, settings.block)
            row = counts[EPOCHS] - epochs_before
            cost, weight, dtheta = self._mean(state.theta, settings.alpha, state.order, first, last)
            if weight > 0:  # else no sample of the batch counts
                if not math.isfinite(cost):
                    history[row, 0] = cost
                    return DIVERGED
                if last == state.order.size:
                    history[row, 1] = euclidean_norm(dtheta)
                self._update(state, settings, dtheta)
            of_epoch = end_of_step(state, settings, cost, weight, last)
            if last == state.order.size:
                history[row, 0] = of_epoch
                if watched:
                    watch(state, settings, of_epoch)
                if row + 1 == n_epochs or counts[STAGNANT]:
                    return FINISHED
        return UNFINISHED

    def cost(self, theta: NDArray[Any], alpha: float) -> float:
        """J on all samples."""
        with np.errstate(all="ignore"):
            return float(
                self._backend.mean_cost(
                    self._sums.cost(theta),
                    theta,
                    self._layers.sizes,
                    alpha,
                    self._total_weight,
                )
            )

    def _mean(
        self, theta: NDArray[Any], alpha: float, order: NDArray[Any], first: int, last: int
    ) -> tuple[float, float, NDArray[Any]]:
        """J of a batch, its weight S, and dJ/dtheta."""
        everything = last - first == order.size  # in whatever order
        batch = IN_ORDER if everything else order[first:last]
        if everything:
            weight = self._total_weight
        elif self._weights is None:
            weight = float(last - first)
        else:
            weight = float(np.sum(self._weights[batch], dtype=np.float64))
        dtheta = np.empty_like(theta)
        with np.errstate(all="ignore"):  # a cost that overflows is inf or NaN, and says so itself
            if weight == 0:
                return 0.0, weight, dtheta
            cost_sum, gradient_sum = self._sums.cost_and_gradient(theta, batch)
            sizes = self._layers.sizes
            self._backend.mean_gradient(gradient_sum, theta, sizes, alpha, weight, dtheta)
            cost = self._backend.mean_cost(cost_sum, theta, sizes, alpha, weight)
        return float(cost), weight, dtheta

    def _update(self, state: State, settings: Settings, dtheta: NDArray[Any]) -> None:
        theta, rate = state.theta, state.sums[RATE]
        with np.errstate(all="ignore"):  # a step that overflows shows in the next cost
            if settings.update == ADAM:
                self._backend.adam(
                    theta,
                    dtheta,
                    state.first,
                    state.second,
                    int(state.counts[STEPS]) + 1,
                    rate,
                    settings.beta_1,
                    settings.beta_2,
                    settings.epsilon,
                )
            elif settings.update in (MOMENTUM, NESTEROV):
                step = (
                    self._backend.nesterov
                    if settings.update == NESTEROV
                    else self._backend.momentum
                )
                step(theta, dtheta, state.first, rate, settings.momentum)
            else:
                self._backend.gradient_descent(theta, dtheta, rate)


def way_of(
    backend: Backend,
    layers: Layers,
    samples: Samples | Elsewhere,
    batch_size: int,
    n_threads: int,
) -> Slices | Steps:
    """Compiled slices where there are such, for batches that one thread takes; else steps."""
    if backend is TILED and batch_size <= SPAN_SAMPLES and isinstance(samples, Samples):
        return Slices(layers, samples, batch_size)
    return Steps(backend, layers, samples, n_threads)


class Watching(Protocol):
    """What a descent wants of whoever watches over it; `Monitor` is one."""

    @property
    def validates(self) -> bool:
        """Whether validation data decide when to stop."""

    @property
    def wants_each_epoch(self) -> bool:
        """Whether somebody looks at the parameters after each epoch."""

    @property
    def seconds_left(self) -> float:
        """Until no further step may begin."""

    def validate(self, theta: NDArray[Any]) -> float:
        """What is to become low, at theta."""

    def record(
        self, epochs: NDArray[np.float64], validation_cost: float, theta: NDArray[Any], step: int
    ) -> str | None:
        """Take note of epochs that ended, rows of cost and norm; the reason to stop, or None."""

    @property
    def n_recorded(self) -> int:
        """Epochs that it has taken note of."""

    def record_late(self, epochs: NDArray[np.float64]) -> None:
        """Take note of epochs that ended when Ctrl-C came, and do no more."""

    def diverged(self, cost: float, theta: NDArray[Any], epoch: int, step: int) -> Exception:
        """The error for a cost that is not finite after so many steps; theta is before the last."""

    def mark(self) -> Any:
        """Where it stands now; nothing in it changes later."""

    def arrays_at(self, mark: Any) -> Arrays:
        """What it knew then, as a checkpoint holds it."""

    def expected(self, n_epochs: int, theta: NDArray[Any]) -> dict[str, Expected]:
        """Its arrays in a checkpoint, after so many epochs."""

    def go_on_from(self, arrays: Arrays, verifier: Verifier) -> None:
        """Take back what a checkpoint holds. Raises CheckpointError if that cannot be."""

    @property
    def watched(self) -> list[float]:
        """The numbers that are to become low, one an epoch."""

    def verify(self, theta: NDArray[Any], verifier: Verifier) -> None:
        """Raise CheckpointError unless these can be the parameters after the latest epoch."""


class Descent:
    """A run of minibatch descent: epoch after epoch, watched over by a monitor.

    Parameters
    ----------
    way : Slices or Steps
    state : State
        Changed in place, all the time.
    settings : Settings
    monitor : Watching
        Hears of each epoch. Slices end with an epoch only where somebody wants to look at the
        parameters then: a callback, or validation data.
    keeper : Keeper, optional
        Of the checkpoint. What it has found, state and monitor hold already.
    last_finite : State, optional
        Of a run that had ended: the last state with a finite cost. None: that is `state`.
    """

    def __init__(
        self,
        way: Slices | Steps,
        state: State,
        settings: Settings,
        monitor: Watching,
        keeper: Keeper | None = None,
        last_finite: State | None = None,
    ) -> None:
        self._way = way
        self._ahead = ReadAhead.of(way.inputs, settings.block)
        self._order: tuple[int, NDArray[Any]] | None = None  # a copy, and its epoch
        self._state = state
        self._settings = settings
        self._monitor = monitor
        self._keeper = keeper
        self._last_finite = state.copy() if last_finite is None else last_finite
        self._epochs_before, self._history = 0, np.zeros((0, 2))  # of the latest slice

    def run(self, max_epochs: int) -> str:
        """Up to `max_epochs` epochs; returns why it stopped."""
        try:
            return self._run(max_epochs)
        except KeyboardInterrupt:  # which may come between a slice and its record
            ended = int(self._state.counts[EPOCHS])
            missing = ended - self._monitor.n_recorded
            if missing > 0:
                last = ended - self._epochs_before
                self._monitor.record_late(self._history[last - missing : last])
            raise
        finally:
            if self._ahead is not None:
                self._ahead.close()

    def _run(self, max_epochs: int) -> str:
        counts, monitor = self._state.counts, self._monitor
        n_steps = 1
        # Steps of a slice by what they should take: the first ones may have compiled.
        expected_steps = SLICE_SECONDS / self._way.expected_seconds
        while True:
            if counts[STAGNANT]:  # also of a run whose time was over at the same epoch
                return "tol"
            if counts[EPOCHS] >= max_epochs:
                return "max_iter"
            epochs_before, steps_before = (int(counts[place]) for place in (EPOCHS, STEPS))
            n_epochs = self._epochs_of_slice(max_epochs - epochs_before)
            history = np.zeros((min(n_epochs, MOST_EPOCHS_A_SLICE), 2))
            self._epochs_before, self._history = epochs_before, history
            ended, seconds = self._slice(n_steps, history)
            n_ended = int(counts[EPOCHS]) - epochs_before
            validation_cost = math.nan
            if ended == DIVERGED:
                monitor.record(history[:n_ended], validation_cost, self._state.theta, steps_before)
                raise self._diverged(float(history[n_ended, 0]), int(counts[EPOCHS]) + 1)
            if n_ended and monitor.validates:
                validation_cost = monitor.validate(self._state.theta)
                watch(self._state, self._settings, validation_cost)
            reason = monitor.record(
                history[:n_ended], validation_cost, self._state.theta, int(counts[STEPS])
            )
            if reason is not None:
                return reason
            n_taken = int(counts[STEPS]) - steps_before
            limit = min(SLICE_SECONDS, max(monitor.seconds_left, 0.0))
            by_the_clock = n_taken * limit / max(seconds, 1e-6)
            n_steps = 1 + int(min(max(10 * n_steps, expected_steps), by_the_clock))

    def final_cost(self, theta: NDArray[Any]) -> float:
        """J at the parameters that come back; raises DivergedError if it is not finite."""
        cost = self._way.cost(theta, self._settings.alpha)
        if not math.isfinite(cost):
            counts = self._state.counts
            raise self._diverged(cost, int(counts[EPOCHS] + (counts[POSITION] > 0)))
        return cost

    def _epochs_of_slice(self, left: int) -> int:
        """Epochs after which a slice must end, of those that are left."""
        if self._monitor.wants_each_epoch or self._ahead is not None:
            return 1
        if self._keeper is not None and self._keeper.every_epochs is not None:
            return min(left, self._keeper.every_epochs)
        return left

    def _slice(self, n_steps: int, history: NDArray[np.float64]) -> tuple[int, float]:
        """One step, and up to n_steps more; how it ended, and the seconds that it took."""
        watched = not self._monitor.validates
        epochs_before = int(self._state.counts[EPOCHS])
        before, mark = self._copied_state(), self._monitor.mark()
        start = time.perf_counter()
        ended = self._way.advance(self._state, self._settings, watched, 1, len(history), history)
        self._read_ahead()
        seconds = time.perf_counter() - start
        if ended == DIVERGED:
            return ended, seconds
        self._last_finite = before  # that its cost is finite, only the step after it has shown
        if self._keeper is not None:
            self._keeper.reached(epochs_before, lambda: self._arrays(before, mark))
        if ended == UNFINISHED:
            rest = history[int(self._state.counts[EPOCHS]) - epochs_before :]
            if self._ahead is not None:
                position, batch_size = int(self._state.counts[POSITION]), self._settings.batch_size
                n_steps = min(n_steps, self._ahead.steps_left(position, batch_size))
            start = time.perf_counter()
            ended = self._way.advance(
                self._state, self._settings, watched, n_steps, len(rest), rest
            )
            seconds += time.perf_counter() - start
            self._read_ahead()
        return ended, seconds

    def _copied_state(self) -> State:
        """A copy, of the order once an epoch: that of many samples takes longer than a slice."""
        epoch, position = (int(self._state.counts[place]) for place in (EPOCHS, POSITION))
        if position and self._order is not None and self._order[0] == epoch:
            return self._state.copy(self._order[1])
        copied = self._state.copy()
        self._order = (epoch, copied.order) if position else None  # at 0, a new one is to come
        return copied

    def _read_ahead(self) -> None:
        if self._ahead is not None:
            position, epoch = (int(self._state.counts[place]) for place in (POSITION, EPOCHS))
            self._ahead.follow(self._state.order, position, epoch)

    def _arrays(self, state: State, mark: Any) -> Arrays:
        """What a run can go on from."""
        return {**state.arrays("state"), **self._monitor.arrays_at(mark)}

    def keep_end(self, stopped: str, result: Arrays) -> None:
        """Write the end of the run down, and what came of it."""
        if self._keeper is not None:
            mark = self._monitor.mark()
            self._keeper.ended(
                int(self._state.counts[EPOCHS]),
                stopped,
                lambda: {
                    **self._arrays(self._state, mark),
                    **self._last_finite.arrays("finite"),
                    **result,
                },
            )

    def _diverged(self, cost: float, epoch: int) -> Exception:
        """The error for a cost that is not finite, with the parameters one step earlier.

        They are computed again, from the copy that was made when the slice began.
        """
        state = self._state
        step = int(state.counts[STEPS])
        if step > 0:
            state.restore(self._last_finite)
            nowhere = np.zeros((1, 2))
            while state.counts[STEPS] < step - 1:
                watched = not self._monitor.validates
                self._way.advance(state, self._settings, watched, 1, 1, nowhere)
        return self._monitor.diverged(cost, state.theta, epoch, step)
