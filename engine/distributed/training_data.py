"""X, y and weights of a fit on Dask, part by part: inspected by workers, never brought here."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from distributed import Client, Future, futures_of
from numpy.typing import NDArray

from engine.distributed.cluster import (
    MOST_LOSSES,
    ClusterError,
    WorkerLost,
    value_of,
    wait_for,
    workers_of,
    workers_there,
)
from engine.distributed.futures import FitFutures
from engine.distributed.partitions import (
    ARRAYS,
    EMBEDDED,
    Collection,
    PartitionSummary,
    cut,
    joined,
    pieces_of,
    summary_of,
    whole_summary,
)
from engine.distributed.placement import in_a_row
from engine.sums.chunks import chunk_bounds

KINDS = {"X": "X", "sample_weight": "sample_weight"}


class TrainingData:
    """The collections of one fit.

    Parameters
    ----------
    client : Client
    collections : list of Collection
        X, y, and weights where there are some.
    classifies : bool
        Whether y holds labels.
    embedded : bool
        Whether X is that of a network with embeddings.

    Attributes
    ----------
    summaries : dict of PartitionSummary
        By name, once `inspect` has been called.
    lengths : dict of list of int
        Rows of each part.
    """

    def __init__(
        self,
        client: Client,
        collections: Sequence[Collection],
        classifies: bool,
        embedded: bool = False,
    ) -> None:
        self._client = client
        self._started = FitFutures(client)
        self.collections = {collection.name: collection for collection in collections}
        self._kinds = {**KINDS, "y": "labels" if classifies else "numbers"}
        if embedded:
            self._kinds["X"] = EMBEDDED
        self._futures: dict[str, list[Future[Any]]] = {}
        self._near: list[str] = []  # workers that parts were to be computed near to
        self.summaries: dict[str, PartitionSummary] = {}
        self.lengths: dict[str, list[int]] = {}

    @property
    def n_rows(self) -> int:
        return self.summaries["X"].n_rows

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """Of the chunks."""
        return chunk_bounds(self.n_rows)

    def inspect(self) -> None:
        """Compute the parts, near to where their chunks will be, and summarise each."""
        for _ in range(MOST_LOSSES):
            workers = workers_there(self._client)
            try:
                self._inspect(workers)
            except WorkerLost as lost:
                why = str(lost)  # the error itself would hold on to futures
                self.release()
                continue
            break
        else:
            raise ClusterError(f"rows could not be computed: {why}")
        n_rows = {name: summary.n_rows for name, summary in self.summaries.items()}
        if len(set(n_rows.values())) > 1:
            listed = ", ".join(f"{name} has {number}" for name, number in n_rows.items())
            raise ValueError(f"X, y and weights must have the same number of rows: {listed}.")
        if self.n_rows == 0:
            raise ValueError("X has no rows: each of its partitions is empty.")

    def _inspect(self, workers: Mapping[str, int]) -> None:
        looking: dict[str, list[Future[Any]]] = {}
        for name, collection in self.collections.items():
            self._futures[name] = self._begin(collection, workers)
            looking[name] = [
                self._started.submit(summary_of, part, self._kinds[name])
                for part in self._futures[name]
            ]
        for name, futures in looking.items():
            wait_for(self._client, futures, at=self._near)
            summaries = [
                value_of(self._client, future, f"{name}, partition {number}", self._near)
                for number, future in enumerate(futures)
            ]
            self.lengths[name] = [summary.n_rows for summary in summaries]
            self.summaries[name] = whole_summary(name, summaries)

    def _begin(self, collection: Collection, workers: Mapping[str, int]) -> list[Future[Any]]:
        """Start computing parts, neighbours on the same worker; persisted parts stay in place."""
        parts = collection.parts
        if futures_of(parts[:1]):  # persisted: they stay where they are
            return self._started.persist(parts)
        futures: list[Future[Any]] = []
        places = zip(wanted_places(collection, workers), parts, strict=True)
        for worker, group in itertools.groupby(places, key=lambda place: place[0]):
            chosen = [part for _, part in group]
            futures += self._started.persist(chosen, near=[worker])
        self._near = list(workers)
        return futures

    def compute(self) -> None:
        """Compute all missing parts, on any worker. Raises an error if one cannot be computed."""
        there = workers_of(self._client)
        # Dask would give some to a worker that is frozen, and wait.
        only_at = list(there.threads) if there.silent else []
        for name, collection in self.collections.items():
            if name not in self._futures:
                self._futures[name] = self._started.persist(collection.parts, only_at=only_at)
        for name, futures in self._futures.items():
            wait_for(self._client, futures, at=self._near)
            for number, future in enumerate(futures):
                if future.status == "error":
                    value_of(self._client, future, f"{name}, partition {number}")

    def release(self) -> None:
        """Release the parts, and all that was to be made of them.

        What is computed again may be computed anywhere.
        """
        self._futures.clear()
        self._near = []
        self._started.release()

    def pieces(self, name: str, first: int, last: int) -> list[Future[Any]]:
        """Rows first ... last - 1 of a collection, each piece where its part lies."""
        found = []
        for piece in pieces_of(self.lengths[name], first, last):
            part = self._futures[name][piece.part]
            whole = piece.first == 0 and piece.last == self.lengths[name][piece.part]
            found.append(
                part if whole else self._started.submit(cut, part, piece.first, piece.last)
            )
        return found

    def whereabouts(self) -> list[str]:
        """The worker that holds each part of X."""
        futures = self._futures["X"]
        at = self._client.who_has(futures)
        return [next(iter(at.get(future.key, ())), "") for future in futures]

    def rows_at(self, first: int, last: int, whereabouts: Sequence[str]) -> dict[str, int]:
        """How many of rows first ... last - 1 of X lie at each worker."""
        found: dict[str, int] = {}
        for part, a, b in pieces_of(self.lengths["X"], first, last):
            found[whereabouts[part]] = found.get(whereabouts[part], 0) + b - a
        return found

    def weight_of_classes(self, classes: NDArray[Any]) -> NDArray[Any]:
        """The weight of each class, 1 a row or as given: added row by row, chunk after chunk."""
        weighted = "sample_weight" in self.collections
        counts: Any = np.zeros(len(classes))
        for first, last in self.bounds:
            y = self.pieces("y", first, last)
            weights = self.pieces("sample_weight", first, last) if weighted else []
            counts = self._started.submit(add_class_weights, counts, y, weights, classes)
        found: NDArray[Any] = value_of(self._client, counts, "the weights of classes")
        return found


def wanted_places(collection: Collection, threads: Mapping[str, int]) -> list[str]:
    """For each part, the worker of the chunk in its middle; without lengths, by part number."""
    lengths = collection.lengths or [1] * len(collection.parts)
    n_rows = sum(lengths)
    chunks = chunk_bounds(n_rows) if collection.lengths and n_rows else []
    size = chunks[0][1] if chunks else 1
    workers = in_a_row(max(1, len(chunks) or n_rows), threads)
    found, start = [], 0
    for length in lengths:
        middle = min(start + length // 2, max(n_rows - 1, 0))
        found.append(workers[middle // size])
        start += length
    return found


def add_class_weights(
    before: NDArray[np.float64],
    y: Sequence[Any],
    weights: Sequence[Any],
    classes: NDArray[Any],
) -> NDArray[Any]:
    """The weight of each class in these rows, added to that of the rows before, one by one."""
    labels = joined([ARRAYS["labels"](piece) for piece in y]).ravel()
    s = np.ones(len(labels))
    if weights:
        s = joined([ARRAYS["sample_weight"](piece) for piece in weights])
    codes = np.searchsorted(classes, labels)
    started = np.arange(len(classes))
    counts: NDArray[Any] = np.bincount(
        np.concatenate([started, codes]), np.concatenate([before, s])
    )
    return counts
