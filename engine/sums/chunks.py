"""Samples in fixed chunks, and the sums of a network's passes over them, on one thread or several.

The division into chunks only depends on the number of samples, the same code runs a chunk in every
thread, and the sums of the chunks are added in order, in float64. So the bits of a sum do not
depend on the number of threads.
"""

import os
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.equations.backends import NUMPY, Backend
from engine.sums.blas import limit_own_thread
from engine.sums.blocks import (
    COST,
    FORWARD,
    GRADIENT,
    HESSIAN,
    INPUT_JACOBIAN,
    NORMAL,
    PARAMETER_JACOBIAN,
    numbers_of_sums,
)
from engine.sums.samples import Layers, Samples
from engine.sums.thread_team import Task, ThreadTeam
from engine.sums.workers import SPAN_SAMPLES, Worker, new_worker
from engine.system.free_memory import THREAD_BYTES, can_map

if TYPE_CHECKING:
    from engine.sums.thread_count import Threads

MOST_CHUNKS = 64
MOST_ASIDE = 8  # chunks whose sums are kept until their turn: a gradient in float64 each

IN_ORDER = np.empty(0, np.int32)  # no order: the samples one after the other


def chunk_samples(n_samples: int) -> int:
    """Samples of a chunk: whole spans, and no more than 64 chunks.

    >>> chunk_samples(2500), chunk_samples(1_000_000)
    (1024, 16384)
    """
    return SPAN_SAMPLES * max(1, -(-n_samples // (MOST_CHUNKS * SPAN_SAMPLES)))


def number_of_chunks(n_samples: int) -> int:
    """How many chunks so many samples are.

    >>> number_of_chunks(2500), number_of_chunks(1_000_000)
    (3, 62)
    """
    return -(-n_samples // chunk_samples(n_samples))


def chunk_bounds(n_samples: int) -> list[tuple[int, int]]:
    """First sample of each chunk and first of the next.

    >>> chunk_bounds(2500)
    [(0, 1024), (1024, 2048), (2048, 2500)]
    """
    size = chunk_samples(n_samples)
    starts = range(0, n_samples, size)
    return [(start, min(start + size, n_samples)) for start in starts]


class Sums(Protocol):
    """Sums over samples, as functions of theta: `ChunkSums`, or what has the same bits."""

    def forward(self, theta: NDArray[Any]) -> NDArray[Any]:
        """A[L] (n_L, m)."""

    def cost(self, theta: NDArray[Any]) -> float:
        """sum_i s_i J_i."""

    def cost_and_gradient(
        self, theta: NDArray[Any], order: NDArray[Any] = IN_ORDER
    ) -> tuple[float, NDArray[np.float64]]:
        """sum_i s_i J_i and its gradient by theta."""

    def normal_equations(self, theta: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
        """sum_i s_i J_i; its gradient by theta, and the rows of G (N1), in one vector."""


class DistributedSamples(Protocol):
    """Samples that other processes hold, chunk by chunk (engine/distributed/)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""

    @property
    def n_samples(self) -> int:
        """How many there are, in all processes."""

    @property
    def total_weight(self) -> float:
        """S = sum_i s_i, added up as `total_weight` does."""

    @property
    def n_counted(self) -> int:
        """How many have a positive weight."""

    @property
    def target_sums(self) -> NDArray[np.float64]:
        """sum_i s_i y_i of each output, added up as `target_sums` does; empty for classes."""

    def identities(self) -> list[Any]:
        """Digests of the inputs, targets and weights of each chunk (training/identity.py)."""

    def threads(self, asked: int | None) -> "Threads":
        """How many threads share a pass, in all processes, and why."""

    def sums(self, backend: Backend, layers: Layers) -> Sums:
        """Their sums, over all samples: an order is not supported."""


def sums_of(
    backend: Backend, layers: Layers, samples: Samples | DistributedSamples, n_threads: int = 1
) -> Sums:
    """The sums over samples, wherever these are."""
    if isinstance(samples, Samples):
        return ChunkSums(backend, layers, samples, n_threads)
    return samples.sums(backend, layers)


def total_weight(samples: Samples | DistributedSamples) -> float:
    """S = sum_i s_i: summed by chunks, which are added in their order, in float64."""
    if not isinstance(samples, Samples):
        return samples.total_weight
    if samples.weights is None:
        return float(samples.n_samples)
    weights = samples.weights
    return sum(weight_of_chunk(weights[a:b]) for a, b in chunk_bounds(samples.n_samples))


def target_sums(samples: Samples | DistributedSamples) -> NDArray[np.float64]:
    """sum_i s_i y_i of each output (n_L,): by chunks, added in their order, in float64."""
    if not isinstance(samples, Samples):
        return samples.target_sums
    bounds = chunk_bounds(samples.n_samples)
    return sum(target_sums_of_chunk(samples, a, b) for a, b in bounds)  # type: ignore[return-value]


def n_counted(samples: Samples | DistributedSamples) -> int:
    """How many samples have a positive weight."""
    if not isinstance(samples, Samples):
        return samples.n_counted
    weights = samples.weights
    return samples.n_samples if weights is None else int(np.count_nonzero(weights))


def weight_of_chunk(weights: NDArray[Any]) -> float:
    """The sum of a chunk's weights."""
    return float(np.sum(weights, dtype=np.float64))


@np.errstate(over="ignore")
def target_sums_of_chunk(samples: Samples, first: int, last: int) -> NDArray[np.float64]:
    """The same over samples first ... last - 1; none for class codes."""
    if samples.Y is None:
        return np.empty(0)
    Y = np.ascontiguousarray(samples.Y[:, first:last], np.float64)
    if samples.weights is not None:
        Y = Y * samples.weights[first:last]
    sums: NDArray[np.float64] = Y.sum(axis=1)
    return sums


def kind_of(backend: Backend, samples: Samples, n_threads: int) -> tuple[Any, ...]:
    """What sums of one network have in common, if one's memory and threads serve the other."""
    return backend, samples.dtype, n_threads, min(samples.n_samples, SPAN_SAMPLES)


class ChunkSums:
    """Sums over samples of a network's cost and gradient, as functions of theta.

    Parameters
    ----------
    backend : Backend
    layers : Layers
    samples : Samples
    n_threads : int
        Threads that share the chunks: the caller's, and others that belong to this object and end
        with it.
    """

    def __init__(
        self, backend: Backend, layers: Layers, samples: Samples, n_threads: int = 1
    ) -> None:
        self._backend = backend
        self._layers = layers
        self._samples = samples
        self._n_threads = n_threads
        self._workers: list[Worker] = []
        self._workers_have_them = True  # the samples
        self._team: ThreadTeam | None = None
        self._process = os.getpid()
        self.left: Any = None  # memory that a solver leaves for the network's next run

    @property
    def kind(self) -> tuple[Any, ...]:
        """Its backend, and what else its memory and threads depend on."""
        return kind_of(self._backend, self._samples, self._n_threads)

    def set_samples(self, samples: Samples) -> None:
        """Switch to other samples, of the same dtype and with no more samples per span."""
        self._samples = samples
        self._workers_have_them = False  # they get them at the next sum, if there is one

    def drop_samples(self) -> None:
        """Drop the samples; call `set_samples` before the next sum."""
        del self._samples
        for worker in self._workers if self._workers_have_them else []:
            worker.drop_samples()
        self._workers_have_them = False

    def forward(self, theta: NDArray[Any]) -> NDArray[Any]:
        """A[L] (n_L, m)."""
        activations = np.empty((self._layers.sizes[-1], self._samples.n_samples), theta.dtype)
        self._run(FORWARD, theta, IN_ORDER, self._samples.n_samples, activations)
        return activations

    def cost(self, theta: NDArray[Any]) -> float:
        """sum_i s_i J_i."""
        return self._run(COST, theta, IN_ORDER, self._samples.n_samples)[0]

    def cost_and_gradient(
        self, theta: NDArray[Any], order: NDArray[Any] = IN_ORDER
    ) -> tuple[float, NDArray[np.float64]]:
        """sum_i s_i J_i and its gradient by theta, over all samples or over those of an order."""
        return self._run(GRADIENT, theta, order, order.size or self._samples.n_samples)

    def normal_equations(self, theta: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
        """sum_i s_i J_i; its gradient by theta, and the rows of G (N1), in one vector.

        Of G the lower triangle counts. theta and the samples are float64.
        """
        return self._run(NORMAL, theta, IN_ORDER, self._samples.n_samples)

    def hessian_product(self, theta: NDArray[Any], v: NDArray[Any]) -> NDArray[np.float64]:
        """The second derivative of sum_i s_i J_i by theta, times v, of the dtype of theta (N8)."""
        both = np.concatenate((theta, v))
        return self._run(HESSIAN, both, IN_ORDER, self._samples.n_samples)[1]

    def jacobian(self, theta: NDArray[Any], of_parameters: bool) -> NDArray[Any]:
        """dA[L]/dtheta (m, n_L, n_parameters) or dA[L]/dX (m, n_L, n_0), in C order."""
        sizes, n_samples = self._layers.sizes, self._samples.n_samples
        n_columns = theta.size if of_parameters else int(sizes[0])
        jacobian = np.empty((n_samples, int(sizes[-1]), n_columns), theta.dtype)
        task = PARAMETER_JACOBIAN if of_parameters else INPUT_JACOBIAN
        self._run(task, theta, IN_ORDER, n_samples, jacobian)
        return jacobian

    def _run(
        self,
        task: int,
        theta: NDArray[Any],
        order: NDArray[Any],
        n_samples: int,
        activations: NDArray[Any] | None = None,
    ) -> tuple[float, NDArray[np.float64]]:
        if activations is None:
            activations = np.empty((0, 0), theta.dtype)
        n_summed = numbers_summed(task, theta.size)
        if n_samples <= SPAN_SAMPLES:
            return self._run_alone(task, theta, order, n_samples, activations, n_summed)
        chunks = chunk_bounds(n_samples)
        total = Total(n_summed, len(chunks))

        def work(worker: Worker) -> None:
            with np.errstate(all="ignore"):  # a setting of each thread
                try:
                    while (number := total.next_chunk()) is not None:
                        cost = worker.run(task, theta, order, *chunks[number], activations)
                        total.add(number, cost, worker.summed(task))
                except BaseException:
                    total.give_up()
                    raise

        self._prepare(min(self._n_threads, len(chunks)))
        others = self._workers[1 : len(chunks)]
        if others and not can_map(THREAD_BYTES):
            others = []  # the caller does it alone
        handed: list[Task] = []
        try:
            if others:
                handed += self._threads().hand_out([partial(work, worker) for worker in others])
            work(self._workers[0])
            while handed:
                if (error := handed[-1].finish()) is not None:
                    raise error
                handed.pop()
        except BaseException:  # Ctrl-C included: no thread may go on after this call
            total.give_up()
            for one in handed:
                one.finish()
            # Ctrl-C may have come after a task was started and before it was put into the list. A
            # thread that still works keeps its worker; the next evaluation gets new workers.
            self._workers, self._team = [], None
            raise
        finally:
            handed.clear()  # an error's traceback holds this frame, and would keep threads alive
        return total.cost, total.gradient

    @np.errstate(all="ignore")
    def _run_alone(
        self,
        task: int,
        theta: NDArray[Any],
        order: NDArray[Any],
        n_samples: int,
        activations: NDArray[Any],
        n_summed: int,
    ) -> tuple[float, NDArray[np.float64]]:
        """The same for a single chunk, which needs no `Total`: saves a third of a small pass."""
        gradient = np.zeros(n_summed)
        self._prepare(1)
        worker = self._workers[0]
        try:
            cost = worker.run(task, theta, order, 0, n_samples, activations)
        except BaseException:  # Ctrl-C may come while it loads samples
            self._workers, self._team = [], None
            raise
        if n_summed:
            gradient += worker.summed(task)
        return cost, gradient

    def _threads(self) -> ThreadTeam:
        if self._team is None:
            by_numpy = self._backend is NUMPY
            self._team = ThreadTeam(limit_own_thread) if by_numpy else ThreadTeam()
        return self._team

    def _prepare(self, n_threads: int) -> None:
        """Make workers; new ones after a fork, as the child gets the memory but not the threads."""
        if self._process != os.getpid():
            self._workers, self._team, self._process = [], None, os.getpid()
        if not self._workers_have_them:
            for worker in self._workers:
                worker.set_samples(self._samples)
            self._workers_have_them = True
        while len(self._workers) < n_threads:
            self._workers.append(new_worker(self._backend, self._layers, self._samples))


def numbers_summed(task: int, n_numbers: int) -> int:
    """How many numbers a task sums up over the samples, beside the cost, from so many in theta."""
    if task == NORMAL:
        return numbers_of_sums(n_numbers)
    if task == HESSIAN:  # theta and v
        return n_numbers // 2
    return n_numbers if task == GRADIENT else 0


class Total:
    """The sum that threads add their chunks to, in the order of the chunks.

    If a chunk is done before its turn, its sums are set aside, and its thread goes on with the next
    chunk. The thread that adds the chunk before it adds them too. If too many sums are set aside,
    threads wait.
    """

    def __init__(self, n_parameters: int, n_chunks: int) -> None:
        self.cost = 0.0
        self.gradient = np.zeros(n_parameters)
        self._n_chunks = n_chunks
        self._taken = 0
        self._added = 0
        self._given_up = False
        self._turn = threading.Condition()
        self._aside: dict[int, tuple[float, NDArray[np.float64]]] = {}

    def next_chunk(self) -> int | None:
        """The number of a chunk that nobody has taken yet."""
        with self._turn:
            if self._given_up or self._taken == self._n_chunks:
                return None
            self._taken += 1
            return self._taken - 1

    def add(self, number: int, cost: float, gradient_sum: NDArray[np.float64]) -> None:
        """Add a chunk's sums, after those of all chunks before it; or set them aside."""
        with self._turn:
            if self._added < number and len(self._aside) < MOST_ASIDE:
                kept = gradient_sum.copy() if self.gradient.size else gradient_sum
                self._aside[number] = cost, kept
                return
            # Checks once a second: a thread that gives up may lack the memory to notify others.
            while not (self._added == number or self._given_up):
                self._turn.wait(timeout=1)
            if self._given_up:
                return
            self._add(cost, gradient_sum)
            while self._added in self._aside:
                self._add(*self._aside.pop(self._added))
            self._turn.notify_all()

    def _add(self, cost: float, gradient_sum: NDArray[np.float64]) -> None:
        self.cost += cost
        if self.gradient.size:
            self.gradient += gradient_sum
        self._added += 1

    def give_up(self) -> None:
        """Let no thread wait for a turn that will not come."""
        self._given_up = True
        with suppress(MemoryError), self._turn:
            self._turn.notify_all()
