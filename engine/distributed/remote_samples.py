"""Rows that workers hold, in the form in which the estimators' fit takes them."""

from collections.abc import Callable
from operator import itemgetter
from types import SimpleNamespace
from typing import Any

import numpy as np
from distributed import Client
from numpy.typing import NDArray

from engine.boundary.samples import weights as checked_weights
from engine.distributed.partitions import distinct, extremes
from engine.distributed.remote_chunks import RemoteChunks, WorkerFilter
from engine.distributed.sums import DaskSums
from engine.distributed.training_data import TrainingData
from engine.distributed.worker_chunks import Recipe
from engine.equations.backends import Backend
from engine.estimators.base import ROWS_LOOKED_AT
from engine.estimators.input_validation import Derived, embeddings_of, spread_step
from engine.solvers.solver import SOLVERS
from engine.sums.samples import Layers
from engine.sums.thread_count import Threads

# Copies of each label in the representative rows: scikit-learn warns if half are distinct.
COPIES = 3


class RemoteSamples:
    """Samples at workers: `engine.sums.chunks.DistributedSamples`."""

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
        self.n_counted: int = sum(measure.n_counted for measure in measures)
        self.target_sums: NDArray[np.float64] = sum(measure.targets for measure in measures)

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
    """Rows of a fit: what the estimators ask of `Rows`, and no more.

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
    n_outputs : int or None
        As in `Rows`.
    """

    weights = None  # the weights stay with the rows, on the workers

    def __init__(
        self,
        shape: tuple[int, int],
        dtype: Any,
        targets: NDArray[Any],
        hold: Callable[[Any], RemoteChunks],
        begin_pass: Callable[[], Any],
        n_outputs: int | None,
    ) -> None:
        self._shape = shape
        self.n_outputs = n_outputs
        self.n_rows = shape[0]
        self.X = SimpleNamespace(shape=shape, dtype=dtype)
        self.targets = targets
        self._hold = hold
        self._begin_pass = begin_pass
        self._samples: RemoteSamples | None = None
        self._spread: NDArray[Any]

    def samples(self, dtype: Any) -> RemoteSamples:
        """Build the chunks on the workers; copy some rows here, to be examined after the fit."""
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

    def derived(self, name: str, make: Callable[[], Derived]) -> Derived:
        """What `make` derives from the rows; a fit on Dask shares them with no other."""
        return make()

    def evenly_spread(self, most: int, dtype: Any) -> NDArray[Any]:
        """At most `most` rows, as columns: the same ones that a local fit examines."""
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
        self._n_outputs: int | None = None

    def rows(self, reset: bool) -> Any:
        """The rows, after the estimator has checked a few representative ones."""
        X, y, weights = standing_for(self._data, self._estimator)
        local = self._estimator._checked_rows(X, y, weights, incremental=False, reset=reset)
        shape = (self._data.n_rows, local.X.shape[1])
        self._n_outputs = local.n_outputs
        return RemoteRows(
            shape, local.X.dtype, local.targets, self._hold, self._begin_pass, local.n_outputs
        )

    def _hold(self, dtype: Any) -> RemoteChunks:
        estimator, data = self._estimator, self._data
        weighs_classes = getattr(estimator, "class_weight", None) is not None
        recipe = Recipe(
            dtype=np.dtype(dtype),
            labels=getattr(estimator, "_labels", None),
            class_weights=estimator._class_weights if weighs_classes else None,
            n_outputs=self._n_outputs,
            embeddings=embeddings_of(vars(estimator).get("_network", estimator)),
        )
        n_threads = estimator._threads_asked
        self._chunks = RemoteChunks(self._client, data, recipe, n_threads, self._eligible)
        self._chunks.build()
        if weighs_classes or "sample_weight" in data.collections:
            self._check_weights(dtype)
        return self._chunks

    def _check_weights(self, dtype: Any) -> None:
        """Check two weights in place of all: the largest, and the sum of the others."""
        assert self._chunks is not None
        measures = [one for of_worker in self._chunks.each("measures") for one in of_worker]
        largest = max(measure.largest for measure in measures)
        total = sum(measure.weight for measure in measures)
        checked_weights(np.array([largest, max(total - largest, 0.0)]), 2, dtype)

    def _begin_pass(self) -> None:
        self._n_passes += 1

    def where(self, error: Exception) -> str:
        """The message of a cluster error, with the iteration in which it occurred."""
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
        """Release the rows on the workers."""
        if self._chunks is not None:
            self._chunks.release()
        self._data.release()


def standing_for(data: TrainingData, estimator: Any) -> tuple[Any, Any, Any]:
    """A few representative rows of X, y and weights, for the estimator's own checks.

    They contain every label, or the smallest and the largest number of each column; X has the right
    columns, dtype and names. With class_weight="balanced", weights are those of whole classes.
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
