"""Descent by steps of a given length: "gd", "sgd" and "adam", on every backend.

The tiled backend takes batches of up to one span of samples in compiled slices (slices.py). The
other backends, and larger batches, whose chunks threads may share, go step by step from Python.
Both take the same batches and stop at the same places.
"""

import functools
import math
import time
from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.compiler.kernels import FixedTypes, kind_of_arrays
from engine.equations.backends import TILED, Backend
from engine.equations.mean import mean_cost_numpy
from engine.solvers.batches import shuffle
from engine.solvers.learning_rate import follow_cosine
from engine.solvers.read_ahead import ReadAhead
from engine.solvers.shared_steps import SharedSteps, can_share, threads_that_pay
from engine.solvers.slices import (
    DIVERGED,
    FINISHED,
    UNFINISHED,
    descend_tiled,
    finish_step,
)
from engine.solvers.solver import (
    Arrays,
    Budget,
    Confirmed,
    Diverged,
    MinimisationBase,
    Problem,
    Progress,
    Solver,
)
from engine.solvers.state import (
    ADAM,
    EPOCHS,
    EVALUATE,
    MOMENTUM,
    NESTEROV,
    POSITION,
    RATE,
    STEPS,
    Settings,
    State,
    euclidean_norm,
    new_state,
)
from engine.sums.blocks import allocate, block_for
from engine.sums.chunks import (
    IN_ORDER,
    DistributedSamples,
    Sums,
    number_of_chunks,
    sums_of,
    total_weight,
)
from engine.sums.samples import Layers, Samples, SparseColumns
from engine.sums.thread_count import Threads, choose
from engine.sums.workers import SPAN_SAMPLES

# Estimated seconds of a step, until a slice was timed; a step seldom takes longer.
SECONDS_A_STEP, SECONDS_A_MULTIPLY_ADD = 1e-5, 5e-10
# Of the time of a slice, the share that the first one takes by the estimate, which may be far off.
FIRST_SHARE = 0.1
MOST_COPIED_BYTES = 2**22
MOST_EPOCHS_A_SLICE = 4096  # rows of history that a slice may fill


class CompiledSteps:
    """Compiled slices of the tiled backend, on one thread.

    Attributes
    ----------
    expected_seconds : float
        Of a step, estimated before any was timed.
    of_run : tuple
        Layers, samples, block and workspace, as kernels take them.
    """

    def __init__(self, layers: Layers, samples: Samples, batch_size: int) -> None:
        samples = with_samples_side_by_side(samples)
        self._layers = layers
        self._samples = samples
        block = block_for(layers, samples.X, min(batch_size, samples.n_samples))
        workspace = allocate(layers, samples.X.dtype, block)
        self.of_run = layers, samples.for_kernels(), block, workspace
        self._descend: FixedTypes | None = None
        work = layers.multiply_adds * min(batch_size, samples.n_samples)
        self.expected_seconds = SECONDS_A_STEP + SECONDS_A_MULTIPLY_ADD * work

    def advance(
        self,
        state: State,
        settings: Settings,
        n_steps: int,
        n_epochs: int,
        history: NDArray[np.float64],
    ) -> int:
        """Take up to `n_steps` steps, or `n_epochs` epochs; returns how the slice ended."""
        if self._descend is None:
            self._descend = FixedTypes(descend_tiled, self.kind(state, settings))
        with np.errstate(all="ignore"):  # an overflow shows in the next cost
            return int(self._descend(state, settings, *self.of_run, n_steps, n_epochs, history))

    def kind(self, state: State, settings: Settings) -> Hashable:
        """What the types of the arguments of a slice depend on, besides the dtype."""
        # KernelSamples have one type for each dtype.
        embedded = self._layers.embeddings is not None
        return kind_of_arrays(state), tuple(map(type, settings)), embedded

    def cost(self, theta: NDArray[Any], alpha: float) -> float:
        """J on all samples, by the kernels of the steps, so that no other one is compiled."""
        settings = Settings(update=EVALUATE, batch_size=SPAN_SAMPLES, judged=1)
        state = new_state(theta, settings, self._samples.n_samples, seed=0)
        history, n_steps = np.zeros((1, 2)), self._samples.n_samples
        with np.errstate(all="ignore"):
            descend_tiled(state, settings, *self.of_run, n_steps, 1, history)
        weight = total_weight(self._samples)
        penalty = mean_cost_numpy(0.0, theta, self._layers.sizes, alpha, weight)
        return float(history[0, 0] + penalty)


def with_samples_side_by_side(samples: Samples) -> Samples:
    """The numbers of each sample one after the other, if a copy is small: batches load faster."""
    X = samples.X
    if isinstance(X, SparseColumns) or X.nbytes > MOST_COPIED_BYTES:
        return samples
    return samples._replace(X=np.asfortranarray(X))  # no copy if they lie so already


class PythonSteps:
    """Step by step from Python, with any backend and any number of threads."""

    def __init__(
        self,
        backend: Backend,
        layers: Layers,
        samples: Samples | DistributedSamples,
        n_threads: int,
        sums: Sums | None = None,
    ) -> None:
        self._backend = backend
        self._layers = layers
        self._weights = samples.weights if isinstance(samples, Samples) else None
        self._total_weight = total_weight(samples)
        self._sums = sums or sums_of(backend, layers, samples, n_threads)
        self.expected_seconds = math.inf  # unknown: slices grow by their measured times

    @np.errstate(all="ignore")  # what overflows shows in a cost
    def advance(
        self,
        state: State,
        settings: Settings,
        n_steps: int,
        n_epochs: int,
        history: NDArray[np.float64],
    ) -> int:
        """Take up to `n_steps` steps, or `n_epochs` epochs, as `descend_tiled`; how it ended."""
        counts = state.counts
        epochs_before = counts[EPOCHS]
        for _ in range(n_steps):
            first = int(counts[POSITION])
            last = min(first + settings.batch_size, state.order.size)
            if first == 0 and settings.shuffle:
                shuffle(state.order, state.random, settings.block)
            row = counts[EPOCHS] - epochs_before
            cost, weight, dtheta = self._mean(state.theta, settings.alpha, state.order, first, last)
            if weight > 0:  # at weight 0, the batch counts for nothing
                if not math.isfinite(cost):
                    history[row, 0] = cost
                    return DIVERGED
                if last == state.order.size:
                    history[row, 1] = euclidean_norm(dtheta)
                self._update(state, settings, dtheta)
            if finish_step(state, settings, cost, weight, last, row, n_epochs, history) == FINISHED:
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
        everything = last - first == order.size  # then the order does not matter
        batch = IN_ORDER if everything else order[first:last]
        if everything:
            weight = self._total_weight
        elif self._weights is None:
            weight = float(last - first)
        else:
            weight = float(np.sum(self._weights[batch], dtype=np.float64))
        dtheta = np.empty_like(theta)
        if weight == 0:
            return 0.0, weight, dtheta
        cost_sum, gradient_sum = self._sums.cost_and_gradient(theta, batch)
        sizes = self._layers.sizes
        self._backend.mean_gradient(gradient_sum, theta, sizes, alpha, weight, dtheta)
        cost = self._backend.mean_cost(cost_sum, theta, sizes, alpha, weight)
        return float(cost), weight, dtheta

    def _update(self, state: State, settings: Settings, dtheta: NDArray[Any]) -> None:
        follow_cosine(state, settings)
        backend, theta, rate = self._backend, state.theta, float(state.sums[RATE])
        t = int(state.counts[STEPS]) + 1
        if settings.clip_norm > 0:
            backend.clip(dtheta, settings.clip_norm)
        if settings.update == ADAM:
            if settings.weight_decay > 0:
                backend.decay(theta, self._layers.sizes, rate * settings.weight_decay)
            backend.adam(
                theta,
                dtheta,
                state.first,
                state.second,
                t,
                rate,
                settings.beta_1,
                settings.beta_2,
                settings.epsilon,
            )
        elif settings.update in (MOMENTUM, NESTEROV):
            step = backend.nesterov if settings.update == NESTEROV else backend.momentum
            step(theta, dtheta, state.first, rate, settings.momentum)
        else:
            backend.gradient_descent(theta, dtheta, rate)
        if settings.average > 0:
            backend.average(state.average, theta, t, settings.average)


def steps_of(problem: Problem, settings: Settings) -> CompiledSteps | SharedSteps | PythonSteps:
    """Compiled slices, if the backend has them for batches of that size; else steps.

    If each step is an iteration, it sums by chunks, in float64, even over few samples.
    """
    backend, layers, samples, _, n_threads, sums, adapts = problem
    if isinstance(samples, Samples) and in_slices(
        backend, settings.full_batch, settings.batch_size
    ):
        steps = CompiledSteps(layers, samples, settings.batch_size)
        if n_threads > 1 and can_share(settings, layers, samples.X):
            return SharedSteps(steps, n_threads, adapts)
        return steps
    return PythonSteps(backend, layers, samples, n_threads, sums)


def in_slices(backend: Backend, full_batch: int | bool, batch_size: int) -> bool:
    """Whether steps are taken in compiled slices."""
    return backend is TILED and not full_batch and batch_size <= SPAN_SAMPLES


def threads_of_run(
    asked: int | None,
    solver: Solver,
    backend: Backend,
    layers: Layers,
    samples: Samples,
    settings: Settings,
) -> tuple[Threads, bool]:
    """How many threads share a step; and whether they share units, instead of chunks of samples."""
    at_a_time = samples.n_samples if solver.full_batch else settings.batch_size
    if (
        solver.by_steps
        and in_slices(backend, solver.full_batch, at_a_time)
        and can_share(settings, layers, samples.X)
    ):
        return threads_that_pay(asked, layers, at_a_time, samples.dtype), True
    n_chunks = number_of_chunks(at_a_time)
    work = solver.multiply_adds(layers) * at_a_time if n_chunks > 1 else 0
    return choose(asked, work, n_chunks), False


class Descent(MinimisationBase):
    """A descent under way (a `Minimisation`): a slice of steps in each `advance`.

    Parameters
    ----------
    problem : Problem
    state : State
        Where it begins or resumes. Each step changes it in place.
    settings : Settings

    Attributes
    ----------
    last_finite : State
        The latest copied state whose cost is known to be finite.
    """

    def __init__(self, problem: Problem, state: State, settings: Settings) -> None:
        super().__init__(state, settings)
        self._order: tuple[int, NDArray[Any]] | None = None  # an epoch, and a copy of its order
        self.last_finite = self._begun = self._copied_state()
        self._is_copied = True  # `last_finite` is the state, until the first slice begins
        self.problem = problem
        samples = problem.samples
        inputs = samples.X if isinstance(samples, Samples) else None
        self._ahead = ReadAhead.of(inputs, settings.block)
        self._confirmed: State | None = None
        self._rows, self.rows_begin = np.zeros((0, 2)), 0  # of the latest slice
        self._n_steps, self._taken, self._seconds = 0, 0, math.inf

    @property
    def n_iter(self) -> int:
        return int(self.state.counts[EPOCHS])

    @property
    def n_steps(self) -> int:
        return int(self.state.counts[STEPS])

    def resume(self, last_finite: State) -> None:
        self.last_finite = last_finite
        self._is_copied = False

    def advance(self, budget: Budget) -> Progress:
        """Take one step, and as many more as fit into the budget."""
        steps_before = self.n_steps
        n_epochs = 1 if self._ahead is not None else max(1, budget.iterations)
        self.begin_slice(np.empty((min(n_epochs, MOST_EPOCHS_A_SLICE), 2)))
        if self._n_steps:
            by_the_clock = self._taken * budget.seconds / max(self._seconds, 1e-6)
            # By the estimate, too: the time of the first steps may include compiling.
            most = max(10 * self._n_steps, budget.seconds / self._steps.expected_seconds)
            self._n_steps = 1 + int(min(most, by_the_clock))
        else:
            seconds = FIRST_SHARE * budget.seconds
            self._n_steps = 1 + int(seconds / self._steps.expected_seconds)
        ended, self._seconds = self._slice(self._n_steps, self._rows)
        self._taken = self.n_steps - steps_before
        return self.end_slice(ended)

    def begin_slice(self, rows: NDArray[np.float64], copies: bool = True) -> None:
        """Begin a slice, which writes cost and norm of the epochs that end into `rows`.

        Unless it `copies` its state, more steps have to be taken again if it diverges.
        """
        rows[:, 0], rows[:, 1] = math.nan, 0  # no cost yet
        self._rows, self.rows_begin, self._confirmed = rows, self.n_iter, None
        copies = copies and not self._is_copied
        self._begun = self._copied_state() if copies else self.last_finite
        self._is_copied = False

    def confirm_slice(self) -> None:
        """Its first step has shown that the cost is finite where the slice began."""
        self.last_finite = self._confirmed = self._begun

    def end_slice(self, ended: int) -> Progress:
        """What the slice did. Raises Diverged if a cost was not finite."""
        n_iter = self.n_iter
        rows = self._rows[: n_iter - self.rows_begin]
        if ended == DIVERGED:
            raise self._diverged(float(self._rows[len(rows), 0]), n_iter + 1, rows)
        before = self.last_finite.parameters if self.settings.full_batch else None
        return Progress(rows, self.theta, self.n_steps, before)

    def missed(self, n_iter: int) -> Progress:
        """The epochs after the first `n_iter`, if the latest slice ended them."""
        rows = self._rows[n_iter - self.rows_begin : self.n_iter - self.rows_begin]
        rows = rows[~np.isnan(rows[:, 0])]  # Ctrl-C may come before a cost is written
        before = self._begun.parameters if self.settings.full_batch else None
        return Progress(rows, self.theta, self.n_steps, before)

    def confirmed(self) -> Confirmed | None:
        """Where the latest `advance` began, once its first step has been taken."""
        state = self._confirmed
        if state is None:
            return None
        return Confirmed(int(state.counts[EPOCHS]), lambda: state.arrays("state"))

    def arrays(self) -> Arrays:
        """Its state."""
        return self.state.arrays("state")

    def arrays_at_end(self) -> Arrays:
        """Its state, and the last one with a finite cost."""
        return {**self.arrays(), **self.last_finite.arrays("finite")}

    def cost_of(self, theta: NDArray[Any]) -> float:
        """J at the parameters to return. Raises Diverged if it is not finite."""
        cost = self._steps.cost(theta, self.settings.alpha)
        if not math.isfinite(cost):
            begun = self.state.counts[POSITION] > 0
            raise self._diverged(cost, int(self.n_iter + begun))
        return cost

    def close(self) -> None:
        """Stop reading ahead."""
        if self._ahead is not None:
            self._ahead.close()

    @functools.cached_property
    def _steps(self) -> CompiledSteps | SharedSteps | PythonSteps:
        """Takes the steps; made when it is needed, since many networks may take theirs together."""
        return steps_of(self.problem, self.settings)

    def _slice(self, n_steps: int, history: NDArray[np.float64]) -> tuple[int, float]:
        """Take one step, and up to n_steps more; how the slice ended, and its seconds."""
        steps, start = self._steps, time.perf_counter()
        if isinstance(steps, CompiledSteps | SharedSteps) and self._ahead is None:
            # In one call: other threads may hold Python's lock when it returns.
            before = self.n_steps
            ended = steps.advance(self.state, self.settings, 1 + n_steps, len(history), history)
            if ended != DIVERGED or self.n_steps > before:
                self.confirm_slice()
            return ended, time.perf_counter() - start
        ended = steps.advance(self.state, self.settings, 1, len(history), history)
        self._read_ahead()
        seconds = time.perf_counter() - start
        if ended == DIVERGED:
            return ended, seconds
        self.confirm_slice()
        if ended == UNFINISHED:
            rest = history[self.n_iter - self.rows_begin :]
            if self._ahead is not None:
                position, batch_size = int(self.state.counts[POSITION]), self.settings.batch_size
                n_steps = min(n_steps, self._ahead.steps_left(position, batch_size))
            start = time.perf_counter()
            ended = steps.advance(self.state, self.settings, n_steps, len(rest), rest)
            seconds += time.perf_counter() - start
            self._read_ahead()
        return ended, seconds

    def _copied_state(self) -> State:
        """A copy of the state; of a long order only once an epoch, since it takes long."""
        state = self.state
        if self.settings.full_batch:  # nothing else changes
            return state._replace(
                theta=state.theta.copy(),
                counts=state.counts.copy(),
                sums=state.sums.copy(),
                average=state.average.copy(),
            )
        epoch, position = (int(state.counts[place]) for place in (EPOCHS, POSITION))
        if position and self._order is not None and self._order[0] == epoch:
            return state.copy(self._order[1])
        copied = state.copy()
        self._order = (epoch, copied.order) if position else None  # at 0, the next step shuffles
        return copied

    def _read_ahead(self) -> None:
        if self._ahead is not None:
            position, epoch = (int(self.state.counts[place]) for place in (POSITION, EPOCHS))
            self._ahead.follow(self.state.order, position, epoch)

    def _diverged(
        self, cost: float, epoch: int, rows: NDArray[np.float64] | None = None
    ) -> Diverged:
        """The error for a cost that is not finite, with the parameters one step earlier.

        They are computed again from `last_finite`.
        """
        state = self.state
        step = int(state.counts[STEPS])
        if step > 0:
            state.restore(self.last_finite)
            nowhere = np.zeros((1, 2))
            while state.counts[STEPS] < step - 1:
                self._steps.advance(state, self.settings, 1, 1, nowhere)
        if self.settings.full_batch:
            epoch = step
        return Diverged(
            cost, state.parameters.copy(), epoch, step, np.zeros((0, 2)) if rows is None else rows
        )
