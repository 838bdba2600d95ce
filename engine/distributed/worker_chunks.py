"""What a worker of Dask holds: chunks of samples, and their sums at any theta.

The kernels, the chunks and their blocks are those of a local fit: so the sums of a chunk have the
same bits.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.distributed.partitions import ARRAYS, joined
from engine.equations.backends import BACKENDS, NUMPY
from engine.estimators.class_weights import ClassWeights
from engine.estimators.input_validation import require_embeddable, samples_of
from engine.estimators.labels import Labels
from engine.sums.blas import limit_own_thread, one_blas_thread
from engine.sums.blocks import FORWARD
from engine.sums.chunks import (
    IN_ORDER,
    Total,
    n_counted,
    numbers_summed,
    target_sums_of_chunk,
    weight_of_chunk,
)
from engine.sums.samples import Layers, Samples, columns_of
from engine.sums.thread_team import ThreadTeam
from engine.sums.workers import Worker, new_worker
from engine.training.identity import Identity, identities_of_chunk


class Recipe(NamedTuple):
    """How rows of users' data become samples.

    Attributes
    ----------
    dtype : dtype
        That of training.
    labels : Labels or None
        A classifier's; None for a regressor.
    class_weights : ClassWeights or None
    n_outputs : int or None
        As in `engine.estimators.input_validation.Rows`.
    embeddings : sequence or None
        Of the features: what each may hold. Other rows are finite already.
    """

    dtype: np.dtype[Any]
    labels: Labels | None
    class_weights: ClassWeights | None
    n_outputs: int | None = None
    embeddings: Any = None


class Chunk(NamedTuple):
    """A chunk of samples.

    Attributes
    ----------
    number : int
    first : int
        The number of its first row, among all.
    samples : Samples
    """

    number: int
    first: int
    samples: Samples


def build(
    number: int,
    first: int,
    X: Sequence[Any],
    y: Sequence[Any],
    sample_weight: Sequence[Any],
    recipe: Recipe,
) -> Chunk:
    """A chunk from its pieces of rows. Where all of X lies in one part, it is not copied."""
    kind = "numbers" if recipe.labels is None else "labels"
    inputs = joined([ARRAYS["X"](piece) for piece in X])
    targets = joined([ARRAYS[kind](piece) for piece in y])
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    weights = joined([ARRAYS["sample_weight"](w) for w in sample_weight]) if sample_weight else None
    if recipe.class_weights is not None:
        factors = recipe.class_weights.of_samples(targets)
        weights = factors if weights is None else weights * factors
    if recipe.labels is None:
        targets = targets.reshape(len(targets), -1)
    else:
        targets = recipe.labels.targets(targets)
    if weights is not None:
        weights = weights.astype(recipe.dtype)
    try:
        require_embeddable(recipe.embeddings, inputs)
        samples = samples_of(inputs, targets, weights, recipe.dtype, recipe.n_outputs)
        return Chunk(number, first, samples)
    except ValueError as error:
        last = first + len(inputs) - 1
        raise ValueError(f"In rows {first} to {last}, counted from the first: {error}") from None


class ChunkTotals(NamedTuple):
    """What the client needs to know of a chunk: sums, and the largest of its weights."""

    number: int
    weight: float
    largest: float
    n_counted: int  # samples of positive weight
    targets: NDArray[np.float64]  # sum_i s_i y_i of each output; none for class codes


class Answer(NamedTuple):
    """The sums of a worker's chunks.

    Attributes
    ----------
    numbers : list of int
        Of the chunk in each row; of chunks that are already added up, the last one.
    added : int
        Chunks that are added up in the first row: those from number 0 on.
    costs : ndarray (n,)
    gradients : ndarray (n, n_parameters) float64, or (n, 0)
    activations : list of ndarray
        Of each chunk (n_L, its samples), for a forward pass.
    failed : str
        What went wrong, else "".
    """

    numbers: list[int]
    added: int
    costs: NDArray[np.float64]
    gradients: NDArray[np.float64]
    activations: list[NDArray[Any]]
    failed: str = ""


NOTHING = np.empty(0)


class WorkerChunks:
    """The chunks of one worker.

    Parameters
    ----------
    chunks : Chunk
        In the order of their numbers.
    """

    def __init__(self, *chunks: Chunk) -> None:
        self.chunks = chunks
        self._workers: list[Worker] = []
        self._are_for: Any = None

    def measures(self) -> list[ChunkTotals]:
        """The sums of each chunk."""
        found = []
        for number, _, samples in self.chunks:
            weights = samples.weights
            weight = float(samples.n_samples) if weights is None else weight_of_chunk(weights)
            largest = 1.0 if weights is None else float(weights.max())
            targets = target_sums_of_chunk(samples, 0, samples.n_samples)
            found.append(ChunkTotals(number, weight, largest, n_counted(samples), targets))
        return found

    def identities(self) -> list[tuple[int, list[Identity | None]]]:
        """The number of each chunk, and digests of its inputs, targets and weights."""
        return [
            (number, identities_of_chunk(samples, 0, samples.n_samples))
            for number, _, samples in self.chunks
        ]

    def spread(self, step: int) -> dict[int, NDArray[Any]]:
        """Every `step`-th of all rows, as columns; by the number of the chunk."""
        return {
            number: columns_of(samples.X, slice(-first % step, None, step)).copy()
            for number, first, samples in self.chunks
        }

    def run(
        self,
        task: int,
        theta: NDArray[Any],
        backend: str,
        layers: Layers,
        n_threads: int,
    ) -> Answer:
        """Sums at theta: one total of the chunks from number 0 on, and one sum per other chunk."""
        try:
            with one_blas_thread() if BACKENDS[backend] is NUMPY else contextlib.nullcontext():
                return self._run(task, theta, backend, layers, n_threads)
        except Exception as error:  # else Dask would take it for the loss of this worker
            reason = f"{type(error).__name__}: {error}"
            return Answer([], 0, NOTHING, NOTHING.reshape(0, 0), [], reason)

    def compile(self, task: int, theta: NDArray[Any], backend: str, layers: Layers) -> None:
        """Compile the kernels of a pass by a pass of one sample; a real pass raises any errors."""
        with contextlib.suppress(Exception):
            (worker,) = self._workers_for(backend, layers, 1)
            worker.set_samples(self.chunks[0].samples)
            worker.run(task, theta, IN_ORDER, 0, 1, np.empty((layers.sizes[-1], 1), theta.dtype))

    def _run(
        self, task: int, theta: NDArray[Any], backend: str, layers: Layers, n_threads: int
    ) -> Answer:
        n_summed = numbers_summed(task, theta.size)
        n_added = 0
        while n_added < len(self.chunks) and self.chunks[n_added].number == n_added:
            n_added += 1
        total = Total(n_summed, n_added)
        others = len(self.chunks) - n_added
        rows = n_added > 0  # the total's row
        costs, gradients = np.zeros(rows + others), np.zeros((rows + others, n_summed))
        n_out = int(layers.sizes[-1]) if task == FORWARD else 0
        activations = [
            np.empty((n_out, chunk.samples.n_samples if n_out else 0), theta.dtype)
            for chunk in self.chunks
        ]
        turn = threading.Lock()
        rest = iter(range(n_added, len(self.chunks)))

        def next_rest() -> int | None:
            with turn:
                return next(rest, None)

        def one(worker: Worker, place: int) -> float:
            chunk = self.chunks[place].samples
            worker.set_samples(chunk)
            return worker.run(task, theta, IN_ORDER, 0, chunk.n_samples, activations[place])

        def work(worker: Worker) -> None:
            with np.errstate(all="ignore"):  # a setting of each thread
                try:
                    while (place := total.next_chunk()) is not None:
                        total.add(place, one(worker, place), worker.summed(task))
                    while (place := next_rest()) is not None:
                        row = rows + place - n_added
                        costs[row] = one(worker, place)
                        if n_summed:
                            gradients[row] = worker.summed(task)
                except BaseException:
                    total.give_up()
                    raise

        workers = self._workers_for(backend, layers, min(n_threads, len(self.chunks)))
        _all(work, workers)
        if rows:
            costs[0] = total.cost
            gradients[0] = total.gradient
        numbers = [chunk.number for chunk in self.chunks[max(n_added - 1, 0) :]]
        return Answer(numbers, n_added, costs, gradients, activations if n_out else [])

    def _workers_for(self, backend: str, layers: Layers, number: int) -> list[Worker]:
        """The memory of so many threads, kept from one call to the next."""
        asked = backend, layers.sizes.tolist(), layers.units.tolist(), *layers.loss.as_numbers()
        asked += tuple(each.tolist() for each in layers.embeddings or ())
        if self._are_for != asked:
            self._workers, self._are_for = [], asked
        while len(self._workers) < number:
            self._workers.append(
                new_worker(BACKENDS[backend], layers, self.chunks[0].samples, of_more=True)
            )
        return self._workers[:number]


def _all(work: Callable[[Worker], None], workers: Sequence[Worker]) -> None:
    """Run the work for each worker, in a thread of its own."""
    if len(workers) == 1:
        return work(workers[0])
    team = ThreadTeam(limit_own_thread)
    handed = team.hand_out([partial(work, worker) for worker in workers[1:]])
    try:
        work(workers[0])
    finally:
        errors = [task.finish() for task in handed]
    for error in errors:
        if error is not None:
            raise error
    return None
