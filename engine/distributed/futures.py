"""The tasks that a fit has started on Dask: when it ends, it releases all of them."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dask.base import annotate
from distributed import Client, Future, futures_of

from engine.distributed.cluster import GONE


class FitFutures:
    """Tasks that a fit has started, and releases by itself.

    Dask lets go of a task with the last reference to its future, and errors and actors make circles
    of references, which may keep rows at the workers for long. A task is let go of, not cancelled:
    rows have the keys that Dask gives them, under which users may hold them too, and these keep
    what they hold.

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
        """Start computing parts of a collection, or take them as they are held already.

        They are computed near to some workers, if these are free, or at some and no others.
        """
        found, workers = [], [*near, *only_at]
        # Said by an annotation, since Dask else remembers what was said of a task before.
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

        What is begun again is then another task: without the first one's wish for certain workers,
        which keeps a task from those that come later, if there was no worker at all for a while
        (distributed 2026.8).
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
    """Runs in the client's loop after what was given to it before."""
