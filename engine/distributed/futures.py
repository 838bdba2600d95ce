"""The tasks that a fit has started on Dask: when it ends, it releases all of them."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dask.base import annotate
from distributed import Client, Future, futures_of

from engine.distributed.cluster import GONE


class FitFutures:
    """Tasks that a fit has started, and releases explicitly.

    Dask releases a task with the last reference to its future. But errors and actors create cycles
    of references, which may keep rows on the workers for a long time. Tasks are released, not
    cancelled: rows have the keys that Dask gives them, so users may hold the same rows, and must
    not lose them.

    Parameters
    ----------
    client : Client
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._futures: list[Future[Any]] = []

    def submit(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Future[Any]:
        """Start a call, under a key of its own."""
        future: Future[Any] = self._client.submit(function, *arguments, pure=False, **named)
        self._futures.append(future)
        return future

    def persist(
        self, parts: Sequence[Any], near: Sequence[str] = (), only_at: Sequence[str] = ()
    ) -> list[Future[Any]]:
        """Start computing parts of a collection; parts that are persisted already are reused.

        Preferably they are computed on the workers `near`; or only on the workers `only_at`.
        """
        found, workers = [], [*near, *only_at]
        # Set by an annotation; otherwise Dask keeps what was set for the same task before.
        asked = annotate(workers=workers, allow_other_workers=not only_at)
        with asked if workers else contextlib.nullcontext():
            persisted = self._client.persist(parts)
        for part in persisted:
            (future,) = futures_of(part)
            found.append(future)
        self._futures += found
        return found

    def release(self) -> None:
        """Release all, and wait until Dask has been told.

        A part that is started again is then a new task, without the restriction of the first one to
        certain workers. That restriction would keep a task from workers that come later, if for a
        while there was no worker at all (distributed 2026.8).
        """
        release(self._client, self._futures)
        self._futures = []


def release(client: Client, futures: Iterable[Future[Any]]) -> None:
    """Release futures; if the scheduler is gone, there is nothing to do."""
    with contextlib.suppress(*GONE):
        for future in futures:
            future.release()
        client.sync(_after_all_that)


async def _after_all_that() -> None:
    """Runs in the client's event loop after everything that was submitted before."""
