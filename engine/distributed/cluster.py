"""Dask's client and workers: finding them, checking them, and waiting for results."""

import contextlib
import multiprocessing
import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any, NamedTuple

from distributed import (
    Client,
    Future,
    LocalCluster,
    futures_of,
    get_client,
    get_worker,
    wait,
    worker_client,
)
from distributed.client import ClosedClientError

from engine.sums.thread_count import usable_cores
from engine.training.environment import differences, environment
from engine.training.identity import identity_of_blas

POLL_SECONDS = 1.0  # between checks of which workers are there
SCHEDULER_SECONDS = 30.0  # after which a scheduler that does not answer counts as dead
SILENT_SECONDS = 60.0  # after which a worker counts as lost, if others have reported meanwhile
NEW_WORKER_SECONDS = 30.0  # to wait for a new worker if none is left


IDLE_POLLS = 5
MOST_LOSSES = 20  # of workers, one after another: then something else is wrong
LONGEST_MESSAGE = 1000  # of an error at a worker, which may print an array
DASK_CUT = "Long error message"  # what Dask puts before a message that it has cut


# What Dask raises where it cannot reach a scheduler or a worker (CommClosedError is an OSError).
GONE = (OSError, TimeoutError, RuntimeError, ClosedClientError)


class ClusterError(RuntimeError):
    """A fit on Dask could not continue; the estimator is unchanged."""


class WorkerLost(Exception):
    """A worker was lost, with all that it held."""


@contextlib.contextmanager
def client_of(client: Any, rows: Mapping[str, Any], n_workers: int | None) -> Iterator[Client]:
    """The given client; else the active one, as for Dask's compute(); else a new one.

    A new client belongs to a cluster of local processes, which ends with the block. In a Dask task,
    the active client is the worker's, and the task gives its slot to other tasks meanwhile.

    Raises an error for a client that cannot be used, and for rows that are on another cluster.
    """
    with _in_a_task():
        named = "client" if client is not None else "the active client of Dask"
        client = _active() if client is None else client
        if client is not None:
            _refuse_client(client, named)
        _refuse_rows_elsewhere(client, rows)
        if client is not None:
            with client.as_current():
                yield client
            return
    with (
        processes_here(n_workers or usable_cores()) as cluster,
        Client(cluster, direct_to_workers=True, set_as_default=False) as own,
        own.as_current(),
    ):
        yield own


def _in_a_task() -> contextlib.AbstractContextManager[Any]:
    """In a Dask task, give its slot to other tasks: otherwise a fit would wait for itself."""
    try:
        get_worker()
    except ValueError:
        return contextlib.nullcontext()
    return worker_client()


def _active() -> Client | None:
    """The client that Dask's own compute() would use; None if there is none."""
    try:
        return get_client()
    except ValueError:
        return None


def _refuse_client(client: Any, named: str) -> None:
    if not isinstance(client, Client):
        raise TypeError(
            f"{named} must be a dask.distributed.Client, or None for the active one or, without "
            f"one, processes on this machine; got {type(client).__name__}."
        )
    if client.asynchronous:
        raise TypeError(
            f"{named} is asynchronous; pass client=dask.distributed.Client(address), and call fit "
            "outside of the event loop."
        )
    if client.status in ("closing", "closed"):
        raise ClusterError(f"{named} is closed; pass one that is connected to a scheduler.")


def _refuse_rows_elsewhere(client: Client | None, rows: Mapping[str, Any]) -> None:
    """Raise ValueError if rows were persisted, and not on the cluster that the fit would use."""
    for name, collection in rows.items():
        holders = {future.client for future in futures_of(collection)} - {client, None}
        for holder in holders:
            if holder.status in ("closing", "closed"):
                raise ValueError(
                    f"{name} was persisted by a client that is closed, and was lost with it; make "
                    f"{name} anew, and persist it by the client of the fit."
                )
            there = holder.scheduler.address
            if client is None:
                raise ValueError(
                    f"{name} is held by the cluster at {there}, and no client of Dask is active; "
                    "pass its client as client=."
                )
            here = client.scheduler.address  # type: ignore[union-attr]
            if there != here:
                raise ValueError(
                    f"{name} is held by the cluster at {there}, but the client is that of the "
                    f"cluster at {here}; pass the client that holds the rows as client=."
                )


def processes_here(n_workers: int) -> LocalCluster:
    """A cluster of single-threaded local processes. Raises ClusterError if they do not start."""
    advice = (
        "In a script, what calls fit must stand under the line "
        'if __name__ == "__main__": since each new process loads the script anew.'
    )
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise ClusterError(f"A new process called fit while it was loading the script. {advice}")
    try:
        return LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            preload="engine.distributed.worker_signals",
        )
    except RuntimeError as error:
        raise ClusterError(
            "The processes of a cluster on this machine did not start "
            f"({in_words(error)}). {advice}"
        ) from None


class Workers(NamedTuple):
    """The workers of a cluster.

    Attributes
    ----------
    threads : dict of int
        The number of threads of each worker that reports.
    silent : list of str
        Workers that have not reported for a while: frozen, or cut off.
    """

    threads: dict[str, int]
    silent: list[str]


def workers_of(client: Client) -> Workers:
    """The workers as the scheduler sees them now. Raises ClusterError if it does not answer.

    A worker reports to the scheduler every few seconds, also while it computes. Dask itself
    drops a worker that does not report, but only after five to ten minutes.
    """
    try:
        scheduler: Any = client.scheduler
        found = client.sync(scheduler.identity, callback_timeout=SCHEDULER_SECONDS)["workers"]
    except GONE as error:
        raise ClusterError(
            f"the scheduler of Dask does not answer ({type(error).__name__}: {error})"
        ) from None
    latest = max((worker["last_seen"] for worker in found.values()), default=0.0)
    silent = [
        address
        for address, worker in found.items()
        if latest - worker["last_seen"] > SILENT_SECONDS
    ]
    threads = {w: worker["nthreads"] for w, worker in found.items() if w not in silent}
    return Workers(threads, silent)


def threads_of_workers(client: Client) -> dict[str, int]:
    """The threads of each worker that reports now. Raises as `workers_of`."""
    return workers_of(client).threads


def workers_there(client: Client) -> dict[str, int]:
    """The same; if there are none, wait for new ones, and ask an adaptive cluster for some."""
    start = time.monotonic()
    asking: Future[Any] | None = None
    try:
        while not (found := threads_of_workers(client)):
            if asking is None:  # an adaptive cluster begins workers where there is work
                asking = client.submit(int, pure=False)
            if time.monotonic() - start > NEW_WORKER_SECONDS:
                raise ClusterError(
                    f"no worker of Dask is left, and none came in {NEW_WORKER_SECONDS:g} seconds; "
                    "wait for some with client.wait_for_workers(1), then fit"
                )
            time.sleep(POLL_SECONDS / 4)
    finally:
        if asking is not None:
            asking.release()
    return found


def wait_for(client: Client, futures: Sequence[Future[Any]], at: Sequence[str] = ()) -> None:
    """Wait until each future has finished or failed. Raises WorkerLost if that cannot happen.

    That is the case if a worker in `at` is lost, if no worker is left, if Dask cancels a future, or
    if a future stays undone for a while although all workers are idle.
    """
    idle = 0
    while True:
        try:
            wait(futures, timeout=POLL_SECONDS)
        except TimeoutError:
            pass
        except CancelledError as error:
            threads_of_workers(client)  # raises ClusterError if the scheduler is lost
            raise WorkerLost(given_up(error)) from None
        states = {future.status for future in futures}
        if not states - {"finished", "error"}:
            return
        if "cancelled" in states:
            raise WorkerLost("Dask gave up what it was to compute")
        there = threads_of_workers(client)
        if not there or any(worker not in there for worker in at):
            raise WorkerLost("a worker went away")
        busy = any(client.sync(client.scheduler.processing, workers=None).values())  # type: ignore[union-attr]
        idle = 0 if busy else idle + 1
        if idle == IDLE_POLLS:
            raise WorkerLost("Dask left it undone")


def given_up(error: CancelledError) -> str:
    """Why Dask has cancelled something, in a few words."""
    reason = re.search(r"for reason: ([^\n]+?)\.?\n", f"{error}\n")
    return f"Dask gave it up: {reason[1] if reason else type(error).__name__}"


def value_of(client: Client, future: Future[Any], what: str, at: Sequence[str] = ()) -> Any:
    """The result of a future. Raises WorkerLost as `wait_for` does.

    An error in the data is raised as ValueError or TypeError, any other as ClusterError. A result
    that was ready may still be lost, with its worker, before it is fetched.
    """
    while True:
        wait_for(client, [future], at)
        try:
            if future.status == "finished":
                return future.result(timeout=POLL_SECONDS)
            if future.status == "error":
                error = future.exception()
                break
        except TimeoutError:
            pass
        except CancelledError as cancelled:
            raise WorkerLost(given_up(cancelled)) from None
    for kind in (ValueError, TypeError):
        if isinstance(error, kind):  # the plain type: a subclass may need more arguments
            raise kind(f"{what}: {in_words(error)}") from error
    message = f"{what} could not be computed ({in_words(error, named=True)})"
    if isinstance(error, MemoryError):
        message += "; the workers together must hold all rows: start more, or give each more memory"
    raise ClusterError(message) from error


def in_words(error: BaseException, named: bool = False) -> str:
    """An error's message, with its type if that says more; a long message is cut.

    >>> in_words(ValueError("no number")), in_words(KeyError("a"))
    ('no number', "KeyError: 'a'")
    """
    message = str(error.args[-1] if error.args[:1] == (DASK_CUT,) else error)
    message = message or ", ".join(map(str, error.args))  # UnicodeDecodeError's is lost on the way
    if len(message) > LONGEST_MESSAGE:
        message = f"{message[:LONGEST_MESSAGE]} ..."
    plain = type(error) in (ValueError, TypeError, Exception) and not named
    return message if plain else f"{type(error).__name__}: {message}"


class EligibleWorkers:
    """Selects the workers that may hold rows: those whose sums have the bits of local sums.

    Parameters
    ----------
    client : Client
    allow_mixed : bool
        Whether all workers may hold rows, whatever their bits.
    blas : bool
        Whether BLAS computes the sums.
    """

    def __init__(self, client: Client, allow_mixed: bool, blas: bool = False) -> None:
        self._client = client
        self._allow_mixed = allow_mixed
        self._blas = blas
        self._ours = identity_of_worker(blas)
        self._known: dict[str, list[str]] = {}

    def refuse_others(self) -> None:
        """Raise ClusterError, or warn where mixed bits are allowed, if some worker differs."""
        for _ in range(MOST_LOSSES):
            with contextlib.suppress(WorkerLost):  # then ask the workers that are there now
                self(list(workers_there(self._client)))
                break
        else:
            raise ClusterError("workers went away, one after another, while they were asked")
        said: dict[str, list[str]] = {}
        for worker, differing in self._known.items():
            if differing:
                said.setdefault("; ".join(differing), []).append(worker)
        if not said:
            return
        which = ". ".join(
            f"Worker{'s' * (len(names) > 1)} {', '.join(names)}: {what}"
            for what, names in said.items()
        )
        if not self._allow_mixed:
            raise ClusterError(
                f"Not all workers compute the same bits as this process. {which}. Use workers "
                "with the same environment, or accept other bits with allow_mixed=True."
            )
        warnings.warn(
            f"The bits of this fit may not be those of a fit here (allow_mixed=True). {which}.",
            UserWarning,
            stacklevel=6,
        )

    def __call__(self, workers: Sequence[str]) -> list[str]:
        """Those of these workers that may hold rows."""
        if new := [worker for worker in workers if worker not in self._known]:
            self._ask(new)
            if not any(worker in self._known for worker in workers):
                raise WorkerLost("workers went away while they were asked what they are")
        return [
            worker
            for worker in workers
            if worker in self._known and (self._allow_mixed or not self._known[worker])
        ]

    def _ask(self, workers: Sequence[str]) -> None:
        # An adaptive cluster ends workers that neither compute nor hold anything. A worker that is
        # asked seems idle while it imports the package: so each gets something to hold.
        held = [self._client.submit(bytes, workers=[one], pure=False) for one in workers]
        try:
            found = self._client.run(
                identity_of_worker, self._blas, workers=list(workers), on_error="return"
            )
        except (OSError, ValueError):  # one has gone meanwhile: it is asked again, if it is there
            return
        finally:
            for future in held:
                future.release()
        for worker, theirs in found.items():
            if isinstance(theirs, dict):
                self._known[worker] = differences(theirs, self._ours)
            elif not isinstance(theirs, OSError):  # an OSError is a lost connection
                raise ClusterError(
                    f"Worker {worker} cannot load mlp-engine ({in_words(theirs)}); "
                    "install it for all workers, in the version that is installed here."
                )


def identity_of_worker(blas: bool) -> dict[str, str]:
    """What the bits of sums depend on in this process; with its BLAS, if that takes part."""
    return {**environment(), **({"BLAS": ", ".join(identity_of_blas())} if blas else {})}
