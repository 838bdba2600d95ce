"""Rows that workers hold, as the estimators' way to a model takes them, and their sums."""

from collections.abc import Callable
from operator import itemgetter
from types import SimpleNamespace
from typing import Any

import numpy as np
from distributed import Client
from numpy.typing import NDArray

from engine.boundary.samples import weights as checked_weights
from engine.distributed.cluster import ClusterError
from engine.distributed.partitions import distinct, extremes
from engine.distributed.remote_chunks import RemoteChunks, WorkerFilter
from engine.distributed.training_data import TrainingData
from engine.distributed.worker_chunks import Answer, Recipe
from engine.equations.backends import Backend
from engine.estimators.base import ROWS_LOOKED_AT
from engine.estimators.rows import spread_step
from engine.solvers.solver import SOLVERS
from engine.sums.blocks import COST, FORWARD, GRADIENT
from engine.sums.chunks import IN_ORDER
from engine.sums.samples import Layers
from engine.sums.threads import Threads


class DaskSums:
    """As `engine.sums.chunks.ChunkSums`, with the same bits: cost and gradient by theta.

    Parameters
    ----------
    backend : Backend
    layers : Layers
    chunks : RemoteChunks
    begin_pass : callable
        Called before each pass.
    """

    def __init__(
        self,
        backend: Backend,
        layers: Layers,
        chunks: RemoteChunks,
        begin_pass: Callable[[], Any] = lambda: None,
    ) -> None:
        self._backend = backend
        self._layers = layers
        self._chunks = chunks
        self._begin_pass = begin_pass
        self._compiled: set[int] = set()  # tasks

    def forward(self, theta: NDArray[Any]) -> NDArray[Any]:
        """A[L] (n_L, m), all of it brought here."""
        parts: dict[int, NDArray[Any]] = {}
        for answer in self._answers(FORWARD, theta):
            alone = answer.numbers[1:] if answer.added else answer.numbers
            numbers = [*range(answer.added), *alone]
            parts |= dict(zip(numbers, answer.activations, strict=True))
        return np.concatenate([parts[number] for number in sorted(parts)], axis=1)

    def cost(self, theta: NDArray[Any]) -> float:
        """sum_i s_i J_i."""
        return self._sum(COST, theta)[0]

    def cost_and_gradient(
        self, theta: NDArray[Any], order: NDArray[Any] = IN_ORDER
    ) -> tuple[float, NDArray[np.float64]]:
        """sum_i s_i J_i and its gradient by theta, over all samples."""
        if order.size:
            raise ValueError("a pass over samples that other processes hold takes all of them")
        return self._sum(GRADIENT, theta)

    def _sum(self, task: int, theta: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
        """Add the chunks up in their order: those from 0 on that one worker has added come first.

        A sum in float64 goes on from there as if all of it were made here.
        """
        rows: list[tuple[int, float, NDArray[np.float64]]] = []
        for answer in self._answers(task, theta):
            rows += zip(answer.numbers, answer.costs.tolist(), answer.gradients, strict=True)
        rows.sort(key=lambda row: row[0])
        cost, gradient = 0.0, np.zeros(theta.size if task == GRADIENT else 0)
        with np.errstate(all="ignore"):
            for _, of_chunk, gradient_sum in rows:
                cost += of_chunk
                gradient += gradient_sum
        return cost, gradient

    def _answers(self, task: int, theta: NDArray[Any]) -> list[Answer]:
        self._begin_pass()
        asked = task, theta, self._backend.name, self._layers
        if task not in self._compiled:  # by one; the others find the machine code on their disk
            self._chunks.of_one_a_host("compile", *asked)
            self._compiled.add(task)
        answers: list[Answer] = self._chunks.each("run", *asked, threaded=True)
        for answer in answers:
            if answer.failed:
                raise ClusterError(f"a worker of Dask failed ({answer.failed})")
        return answers


# Copies of each label that stand for all rows: scikit-learn warns where half of all are distinct.
COPIES = 3


class RemoteSamples:
    """Samples at workers: `engine.sums.chunks.Elsewhere`."""

    def __init__(
        self, chunks: RemoteChunks, n_samples: int, dtype: Any, begin_pass: Callable[[], Any]
    ) -> None:
        self._chunks = chunks
        self._begin_pass = begin_pass
        self.dtype = np.dtype(dtype)
        self.n_samples = n_samples
        measures = [one for of_worker in chunks.each("measures") for one in of_worker]
        measures.sort(key=lambda measure: measure.number)
        self.total_weight: float = sum(measure.weight for measure in measures)

    def threads(self, asked: int | None) -> Threads:
        number, n_workers = self._chunks.n_threads, self._chunks.n_workers
        return Threads(number, f"those of {n_workers} Dask worker{'s' * (n_workers != 1)}")

    def identities(self) -> list[list[Any]]:
        """In the order of the chunks."""
        found = [one for of_worker in self._chunks.each("identities") for one in of_worker]
        return [identities for _, identities in sorted(found, key=itemgetter(0))]

    def sums(self, backend: Backend, layers: Layers) -> DaskSums:
        return DaskSums(backend, layers, self._chunks, self._begin_pass)


class RemoteRows:
    """Rows of a fit: what the estimators ask of `engine.estimators.rows.Rows`, and no more.

    Parameters
    ----------
    shape : tuple of int
        Of X.
    dtype : dtype
        Of X.
    targets : ndarray
        A few that stand for all.
    hold : callable
        Has the chunks built, in the dtype of training, and returns their `RemoteChunks`.
    begin_pass : callable
        Called before each pass over the rows.
    """

    weights = None  # those of the rows are with the rows

    def __init__(
        self,
        shape: tuple[int, int],
        dtype: Any,
        targets: NDArray[Any],
        hold: Callable[[Any], RemoteChunks],
        begin_pass: Callable[[], Any],
    ) -> None:
        self._shape = shape
        self.n_rows = shape[0]
        self.X = SimpleNamespace(shape=shape, dtype=dtype)
        self.targets = targets
        self._hold = hold
        self._begin_pass = begin_pass
        self._samples: RemoteSamples | None = None
        self._spread: NDArray[Any]

    def samples(self, dtype: Any) -> RemoteSamples:
        """The chunks at the workers; some rows of them come here, to be looked at in the end."""
        if self._samples is None:
            self._samples = self._held(dtype)
        assert self._samples.dtype == dtype, "the rows of a fit are held once"
        return self._samples

    def _held(self, dtype: Any) -> RemoteSamples:
        chunks = self._hold(dtype)
        step = spread_step(*self._shape, ROWS_LOOKED_AT)
        found: dict[int, NDArray[Any]] = {}
        for of_worker in chunks.each("spread", step):
            found |= of_worker
        self._spread = np.concatenate([found[number] for number in sorted(found)], axis=1)
        return RemoteSamples(chunks, self.n_rows, dtype, self._begin_pass)

    def evenly_spread(self, most: int, dtype: Any) -> NDArray[Any]:
        """At most so many rows, as columns: those that a fit here looks at."""
        return self._spread[:, :: -(-self._spread.shape[1] // most)].astype(dtype, copy=False)


class RemoteFit:
    """A fit of an estimator on rows at workers: its rows, its passes, and where it failed.

    Parameters
    ----------
    client : Client
    data : TrainingData
    estimator : MLPClassifier or MLPRegressor
    eligible : callable
        Those of some workers that may hold chunks.
    """

    def __init__(
        self, client: Client, data: TrainingData, estimator: Any, eligible: WorkerFilter
    ) -> None:
        self._client = client
        self._data = data
        self._estimator = estimator
        self._eligible = eligible
        self._chunks: RemoteChunks | None = None
        self._n_passes = 0

    def rows(self, reset: bool) -> Any:
        """The rows, after the estimator's own checks of what stands for them."""
        X, y, weights = standing_for(self._data, self._estimator)
        local = self._estimator._checked_rows(X, y, weights, incremental=False, reset=reset)
        shape = (self._data.n_rows, local.X.shape[1])
        return RemoteRows(shape, local.X.dtype, local.targets, self._hold, self._begin_pass)

    def _hold(self, dtype: Any) -> RemoteChunks:
        estimator, data = self._estimator, self._data
        weighs_classes = getattr(estimator, "class_weight", None) is not None
        recipe = Recipe(
            dtype=np.dtype(dtype),
            labels=getattr(estimator, "_labels", None),
            class_weights=estimator._class_weights if weighs_classes else None,
        )
        n_threads = estimator._threads_asked
        self._chunks = RemoteChunks(self._client, data, recipe, n_threads, self._eligible)
        self._chunks.build()
        if weighs_classes or "sample_weight" in data.collections:
            self._check_weights(dtype)
        return self._chunks

    def _check_weights(self, dtype: Any) -> None:
        """By two weights that stand for all: the largest, and the sum of the others."""
        assert self._chunks is not None
        measures = [one for of_worker in self._chunks.each("measures") for one in of_worker]
        largest = max(measure.largest for measure in measures)
        total = sum(measure.weight for measure in measures)
        checked_weights(np.array([largest, max(total - largest, 0.0)]), 2, dtype)

    def _begin_pass(self) -> None:
        self._n_passes += 1

    def where(self, error: Exception) -> str:
        """An error of the cluster, with the place in the fit where it came."""
        said = str(error)
        if self._n_passes == 0:
            return said
        by_steps = SOLVERS[self._estimator.solver].by_steps
        place = "iteration" if by_steps else "evaluation of the loss,"
        return (
            f"The fit on Dask ended in {place} {self._n_passes}: {said}. The estimator is as it "
            "was before."
        )

    def release(self) -> None:
        """Let the workers forget the rows."""
        if self._chunks is not None:
            self._chunks.release()
        self._data.release()


def standing_for(data: TrainingData, estimator: Any) -> tuple[Any, Any, Any]:
    """A few rows of X, y and weights that the estimator's own checks take in place of all.

    Every label is there, or the smallest and the largest number of each column; and X has its
    columns, dtype and names. Weights stand for those of classes, where these are to be balanced.
    """
    summary = data.summaries["y"]
    kinds = distinct if hasattr(estimator, "class_weight") else extremes
    values = kinds(summary.values).astype(summary.dtype, copy=False)
    n_rows = min(data.n_rows, COPIES * len(values))
    y = np.resize(values, (n_rows, *values.shape[1:]))
    weights = None
    if isinstance(getattr(estimator, "class_weight", None), str):
        if values.ndim == 2 and values.shape[1] > 1:
            raise ValueError(
                "class_weight='balanced' is not supported on Dask for several labels; pass a list "
                "of dicts, one for each label."
            )
        weights = np.zeros(n_rows)
        weights[: len(values)] = data.weight_of_classes(values.reshape(-1))
    inputs = data.summaries["X"]
    X: Any = np.zeros((n_rows, *inputs.shape), inputs.dtype)
    like = data.collections["X"].like
    if hasattr(like, "columns"):
        X = type(like)(X, columns=like.columns)
    return X, y, weights
