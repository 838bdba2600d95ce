"""The chunks of a fit on the workers: which worker holds which, and rebuilding lost ones."""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from distributed import Client, Future
from distributed.comm.addressing import get_address_host

from engine.distributed.cluster import (
    GONE,
    MOST_LOSSES,
    POLL_SECONDS,
    ClusterError,
    WorkerLost,
    threads_of_workers,
    value_of,
    workers_there,
)
from engine.distributed.futures import FitFutures, release
from engine.distributed.placement import near_their_rows, shares
from engine.distributed.training_data import TrainingData
from engine.distributed.worker_chunks import Recipe, WorkerChunks, build

WorkerFilter = Callable[[Sequence[str]], list[str]]


class ChunkHolder(NamedTuple):
    """Chunks at a worker, in an actor of Dask's: calls go there, and only results come back."""

    worker: str
    n_threads: int
    numbers: tuple[int, ...]
    future: Future[Any]
    actor: Any


class RemoteChunks:
    """All chunks of a fit at the workers.

    Parameters
    ----------
    client : Client
    data : TrainingData
        What chunks are made of, now and whenever one is lost.
    recipe : Recipe
    n_threads : int or None
        Of each worker; None is as many as it has.
    eligible : callable
        Those of some workers that may hold chunks.
    """

    def __init__(
        self,
        client: Client,
        data: TrainingData,
        recipe: Recipe,
        n_threads: int | None,
        eligible: WorkerFilter,
    ) -> None:
        self._client = client
        self._data = data
        self._recipe = recipe
        self._n_threads = n_threads
        self._eligible = eligible
        self.holders: list[ChunkHolder] = []
        self._started: list[Future[Any]] = []  # holders, of which some may not be built to the end
        self._why = ""

    def build(self) -> None:
        """Have all chunks built. What is started is released by `release`, also after an error."""
        self._place(range(len(self._data.bounds)))

    @property
    def n_workers(self) -> int:
        return len({holder.worker for holder in self.holders})

    @property
    def n_threads(self) -> int:
        """Of all workers together."""
        return sum({holder.worker: holder.n_threads for holder in self.holders}.values())

    def each(self, method: str, *arguments: Any, threaded: bool = False) -> list[Any]:
        """Call a method of all holders; return the results. Chunks of lost workers are rebuilt.

        With `threaded`, the last argument is the number of the worker's threads.
        """
        results: dict[Any, Any] = {}
        losses = 0
        while asked := [holder for holder in self.holders if holder.future.key not in results]:
            calls = [(holder, self._call(holder, method, arguments, threaded)) for holder in asked]
            lost: list[ChunkHolder] = []
            for holder, call in calls:
                try:
                    results[holder.future.key] = self._result(holder, call)
                except WorkerLost:
                    lost.append(holder)
            calls.clear()
            if lost:
                self._replace(lost)
            losses += len(lost)
            if losses > MOST_LOSSES:
                raise ClusterError(f"{losses} workers of Dask were lost, one after another")
        return [results[holder.future.key] for holder in self.holders]

    def of_one_a_host(self, method: str, *arguments: Any) -> None:
        """Call a method of one holder on each host that has several; lost workers are ignored."""
        by_host: dict[str, list[ChunkHolder]] = {}
        for holder in self.holders:
            by_host.setdefault(get_address_host(holder.worker), []).append(holder)
        chosen = [holders[0] for holders in by_host.values() if len(holders) > 1]
        calls = [
            (holder, self._call(holder, method, arguments, threaded=False)) for holder in chosen
        ]
        for holder, call in calls:
            with contextlib.suppress(WorkerLost):
                self._result(holder, call)

    def _call(
        self, holder: ChunkHolder, method: str, arguments: Sequence[Any], threaded: bool
    ) -> Any:
        """Start a call; None if the worker is known to be lost."""
        more = (holder.n_threads,) if threaded else ()
        try:
            return getattr(holder.actor, method)(*arguments, *more)
        except RuntimeError:  # Dask's, for an actor whose worker is gone
            return None

    def _result(self, holder: ChunkHolder, call: Any) -> Any:
        while call is not None:
            try:
                return call.result(timeout=POLL_SECONDS)
            except TimeoutError:
                there = threads_of_workers(self._client)
                if call.done() or holder.worker not in there or holder.future.status != "finished":
                    break
            except Exception:  # the chunks' own errors come as answers: so the connection is broken
                break
        raise WorkerLost("a worker went away")

    def _replace(self, lost: Sequence[ChunkHolder]) -> None:
        """Rebuild the chunks of lost workers on workers that are there."""
        self.holders = [holder for holder in self.holders if holder not in lost]
        self._give_up([holder.future for holder in lost])
        self._place(sorted(number for holder in lost for number in holder.numbers))

    def _place(self, missing: Sequence[int]) -> None:
        """Build these chunks on workers that have room; try again if workers are lost."""
        for _ in range(MOST_LOSSES):
            self.holders += self._try_to_place(missing)
            there = threads_of_workers(self._client)
            self.holders = [holder for holder in self.holders if holder.worker in there]
            held = {number for holder in self.holders for number in holder.numbers}
            missing = [n for n in range(len(self._data.bounds)) if n not in held]
            if not missing:
                self._data.release()
                return
            time.sleep(POLL_SECONDS / 4)
        raise ClusterError(f"rows that a lost worker held could not be recovered ({self._why})")

    def _try_to_place(self, numbers: Sequence[int]) -> list[ChunkHolder]:
        data, client = self._data, self._client
        try:
            threads = self._threads()
            data.compute()
            places = self._places(numbers, threads)
            actors: dict[str, Future[Any]] = {}
            for worker in dict.fromkeys(places):
                mine = [n for n, place in zip(numbers, places, strict=True) if place == worker]
                actors[worker] = self._begin(mine, worker)
        except WorkerLost as lost:
            data.release()
            self._why = str(lost)
            return []
        made = []
        for worker, future in actors.items():
            try:
                actor = value_of(client, future, "rows of a chunk", at=[worker])
            except WorkerLost as lost:
                self._give_up([future])
                data.release()
                self._why = str(lost)
                continue
            held = tuple(n for n, at in zip(numbers, places, strict=True) if at == worker)
            made.append(ChunkHolder(worker, threads[worker], held, future, actor))
        return made

    def _threads(self) -> dict[str, int]:
        """The threads of each worker that may hold chunks."""
        there = workers_there(self._client)
        fit = self._eligible(list(there))
        if not fit:
            raise ClusterError("no worker of Dask is left whose sums have the same bits")
        most = self._n_threads
        return {w: there[w] if most is None else min(most, there[w]) for w in fit}

    def _places(self, numbers: Sequence[int], threads: dict[str, int]) -> list[str]:
        """The worker of each of these chunks: even shares, and as near to the rows as possible."""
        held = {worker: 0 for worker in threads}
        for holder in self.holders:
            if holder.worker in held:
                held[holder.worker] += len(holder.numbers)
        whole = shares(len(self._data.bounds), threads)
        room = {worker: max(0, share - held[worker]) for worker, share in whole.items()}
        whereabouts = self._data.whereabouts()
        bounds = [self._data.bounds[number] for number in numbers]
        rows_at = [self._data.rows_at(first, last, whereabouts) for first, last in bounds]
        return near_their_rows(rows_at, room)

    def _begin(self, numbers: Sequence[int], worker: str) -> Future[Any]:
        """Let a worker build chunks from their rows, and keep them."""
        started = FitFutures(self._client)
        chunks = []
        for number in numbers:
            first, last = self._data.bounds[number]
            X, y = (self._data.pieces(name, first, last) for name in ("X", "y"))
            weighted = "sample_weight" in self._data.collections
            weights = self._data.pieces("sample_weight", first, last) if weighted else []
            rows = number, first, X, y, weights, self._recipe
            chunks.append(started.submit(build, *rows, workers=[worker]))
        holder = self._client.submit(
            WorkerChunks, *chunks, actor=True, workers=[worker], pure=False
        )
        self._started.append(holder)
        started.release()  # a chunk is held by its holder alone
        return holder

    def _give_up(self, holders: Sequence[Future[Any]]) -> None:
        """Cancel these holders, so that no worker continues with them or builds them again.

        Only this fit knows their keys, so nobody else loses them. Releasing them is not enough: an
        actor keeps its own future as long as a call refers to it.
        """
        self._started = [future for future in self._started if future not in holders]
        with contextlib.suppress(*GONE):
            self._client.cancel(list(holders))
        release(self._client, holders)

    def release(self) -> None:
        """Release the chunks on the workers."""
        self.holders = []
        if self._started:
            self._give_up(self._started)
        self._data.release()
