"""The shards of a fit: which worker holds which chunks, and new ones for those that are lost."""

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
from engine.distributed.futures import Begun, release
from engine.distributed.placement import near_their_rows, shares
from engine.distributed.training_data import Source
from engine.distributed.worker_chunks import Recipe, Shard, build

Checks = Callable[[Sequence[str]], list[str]]


class Held(NamedTuple):
    """Chunks at a worker, in an actor of Dask's: calls go there, and only results come back."""

    worker: str
    n_threads: int
    numbers: tuple[int, ...]
    future: Future[Any]
    actor: Any


class Holding:
    """All chunks of a fit at the workers.

    Parameters
    ----------
    client : Client
    source : Source
        What chunks are made of, now and whenever one is lost.
    recipe : Recipe
    n_threads : int or None
        Of each worker; None is as many as it has.
    fit_to_take_part : callable
        Those of some workers that may hold chunks.
    """

    def __init__(
        self,
        client: Client,
        source: Source,
        recipe: Recipe,
        n_threads: int | None,
        fit_to_take_part: Checks,
    ) -> None:
        self._client = client
        self._source = source
        self._recipe = recipe
        self._n_threads = n_threads
        self._fit = fit_to_take_part
        self.shards: list[Held] = []
        self._begun: list[Future[Any]] = []  # shards, of which some may be built no further
        self._why = ""

    def build(self) -> None:
        """Have all chunks built. What is begun is let go of by `release`, also after an error."""
        self._place(range(len(self._source.bounds)))

    @property
    def n_workers(self) -> int:
        return len({shard.worker for shard in self.shards})

    @property
    def n_threads(self) -> int:
        """Of all workers together."""
        return sum({shard.worker: shard.n_threads for shard in self.shards}.values())

    def each(self, method: str, *arguments: Any, threaded: bool = False) -> list[Any]:
        """The result of a method of all shards; those of workers that are lost are made anew.

        With `threaded`, the last argument is the number of the worker's threads.
        """
        results: dict[Any, Any] = {}
        losses = 0
        while asked := [shard for shard in self.shards if shard.future.key not in results]:
            calls = [(shard, self._call(shard, method, arguments, threaded)) for shard in asked]
            lost: list[Held] = []
            for shard, call in calls:
                try:
                    results[shard.future.key] = self._result(shard, call)
                except WorkerLost:
                    lost.append(shard)
            calls.clear()
            if lost:
                self._replace(lost)
            losses += len(lost)
            if losses > MOST_LOSSES:
                raise ClusterError(f"{losses} workers of Dask were lost, one after another")
        return [results[shard.future.key] for shard in self.shards]

    def of_one_a_host(self, method: str, *arguments: Any) -> None:
        """Call a method of one shard on each host where there are more; nothing comes of losses."""
        by_host: dict[str, list[Held]] = {}
        for shard in self.shards:
            by_host.setdefault(get_address_host(shard.worker), []).append(shard)
        chosen = [shards[0] for shards in by_host.values() if len(shards) > 1]
        calls = [(shard, self._call(shard, method, arguments, threaded=False)) for shard in chosen]
        for shard, call in calls:
            with contextlib.suppress(WorkerLost):
                self._result(shard, call)

    def _call(self, shard: Held, method: str, arguments: Sequence[Any], threaded: bool) -> Any:
        """A call under way; None where the worker is known to be lost."""
        more = (shard.n_threads,) if threaded else ()
        try:
            return getattr(shard.actor, method)(*arguments, *more)
        except RuntimeError:  # Dask's, for an actor whose worker is gone
            return None

    def _result(self, shard: Held, call: Any) -> Any:
        while call is not None:
            try:
                return call.result(timeout=POLL_SECONDS)
            except TimeoutError:
                there = threads_of_workers(self._client)
                if call.done() or shard.worker not in there or shard.future.status != "finished":
                    break
            except Exception:  # the shard's own errors are answers: the way to it is broken
                break
        raise WorkerLost("a worker went away")

    def _replace(self, lost: Sequence[Held]) -> None:
        """Make the chunks of lost shards anew, at workers that are there."""
        self.shards = [shard for shard in self.shards if shard not in lost]
        self._give_up([shard.future for shard in lost])
        self._place(sorted(number for shard in lost for number in shard.numbers))

    def _place(self, missing: Sequence[int]) -> None:
        """Have these chunks built, each where there is room; tried again while workers vanish."""
        for _ in range(MOST_LOSSES):
            self.shards += self._try_to_place(missing)
            there = threads_of_workers(self._client)
            self.shards = [shard for shard in self.shards if shard.worker in there]
            held = {number for shard in self.shards for number in shard.numbers}
            missing = [n for n in range(len(self._source.bounds)) if n not in held]
            if not missing:
                self._source.release()
                return
            time.sleep(POLL_SECONDS / 4)
        raise ClusterError(f"rows that a worker held could not be had again ({self._why})")

    def _try_to_place(self, numbers: Sequence[int]) -> list[Held]:
        source, client = self._source, self._client
        try:
            threads = self._threads()
            source.compute()
            places = self._places(numbers, threads)
            actors: dict[str, Future[Any]] = {}
            for worker in dict.fromkeys(places):
                mine = [n for n, place in zip(numbers, places, strict=True) if place == worker]
                actors[worker] = self._begin(mine, worker)
        except WorkerLost as lost:
            source.release()
            self._why = str(lost)
            return []
        made = []
        for worker, future in actors.items():
            try:
                actor = value_of(client, future, "rows of a chunk", at=[worker])
            except WorkerLost as lost:
                self._give_up([future])
                source.release()
                self._why = str(lost)
                continue
            held = tuple(n for n, at in zip(numbers, places, strict=True) if at == worker)
            made.append(Held(worker, threads[worker], held, future, actor))
        return made

    def _threads(self) -> dict[str, int]:
        """The threads of each worker that may hold chunks."""
        there = workers_there(self._client)
        fit = self._fit(list(there))
        if not fit:
            raise ClusterError("no worker of Dask is left whose sums have the same bits")
        most = self._n_threads
        return {w: there[w] if most is None else min(most, there[w]) for w in fit}

    def _places(self, numbers: Sequence[int], threads: dict[str, int]) -> list[str]:
        """The worker of each of these chunks: an even share, as near as may be."""
        held = {worker: 0 for worker in threads}
        for shard in self.shards:
            if shard.worker in held:
                held[shard.worker] += len(shard.numbers)
        whole = shares(len(self._source.bounds), threads)
        room = {worker: max(0, share - held[worker]) for worker, share in whole.items()}
        whereabouts = self._source.whereabouts()
        bounds = [self._source.bounds[number] for number in numbers]
        rows_at = [self._source.rows_at(first, last, whereabouts) for first, last in bounds]
        return near_their_rows(rows_at, room)

    def _begin(self, numbers: Sequence[int], worker: str) -> Future[Any]:
        """Let a worker build chunks from their rows, and keep them."""
        begun = Begun(self._client)
        chunks = []
        for number in numbers:
            first, last = self._source.bounds[number]
            X, y = (self._source.pieces(name, first, last) for name in ("X", "y"))
            weighted = "sample_weight" in self._source.collections
            weights = self._source.pieces("sample_weight", first, last) if weighted else []
            rows = number, first, X, y, weights, self._recipe
            chunks.append(begun.submit(build, *rows, workers=[worker]))
        shard = self._client.submit(Shard, *chunks, actor=True, workers=[worker], pure=False)
        self._begun.append(shard)
        begun.release()  # a chunk is held by its shard alone
        return shard

    def _give_up(self, shards: Sequence[Future[Any]]) -> None:
        """Let no worker go on with these shards, nor build them again.

        Nobody but this fit knows their keys. An actor refers to its own future for as long as a
        call does, so they are cancelled, not only let go of.
        """
        self._begun = [future for future in self._begun if future not in shards]
        with contextlib.suppress(*GONE):
            self._client.cancel(list(shards))
        release(self._client, shards)

    def release(self) -> None:
        """Let the workers forget the chunks."""
        self.shards = []
        if self._begun:
            self._give_up(self._begun)
        self._source.release()
