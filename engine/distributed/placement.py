"""Which worker holds which chunks: balanced by threads, and near to where the rows already are."""

from collections.abc import Mapping, Sequence


def shares(n_chunks: int, threads: Mapping[str, int]) -> dict[str, int]:
    """How many chunks each worker holds, by its threads; workers without any are left out.

    >>> shares(5, {"a": 1, "b": 1}), shares(3, {"a": 1, "b": 2})
    ({'a': 3, 'b': 2}, {'a': 1, 'b': 2})
    """
    total = sum(threads.values())
    exact = {worker: n_chunks * number / total for worker, number in threads.items()}
    found = {worker: int(share) for worker, share in exact.items()}
    by_rest = sorted(threads, key=lambda worker: found[worker] - exact[worker])
    for worker in by_rest[: n_chunks - sum(found.values())]:
        found[worker] += 1
    return {worker: share for worker, share in found.items() if share}


def in_a_row(n_chunks: int, threads: Mapping[str, int]) -> list[str]:
    """The worker of each chunk, such that neighbouring chunks stay together.

    >>> in_a_row(5, {"a": 1, "b": 1})
    ['a', 'a', 'a', 'b', 'b']
    """
    return [worker for worker, share in shares(n_chunks, threads).items() for _ in range(share)]


def near_their_rows(rows_at: Sequence[Mapping[str, int]], room: Mapping[str, int]) -> list[str]:
    """The worker of each chunk, by the workers that hold its rows, and the room of each worker.

    Chunks with the most rows on one worker choose first. A chunk that finds no room there goes to
    any worker with room left.

    >>> near_their_rows([{"a": 9}, {"a": 2, "b": 7}, {"a": 9}, {"a": 4}], {"a": 2, "b": 2})
    ['a', 'b', 'a', 'b']
    """
    room = dict(room)
    wishes = sorted(
        (-rows, number, worker) for number, at in enumerate(rows_at) for worker, rows in at.items()
    )
    found: dict[int, str] = {}
    for _, number, worker in wishes:
        if number not in found and room.get(worker, 0) > 0:
            found[number] = worker
            room[worker] -= 1
    left = iter([worker for worker, share in room.items() for _ in range(share)])
    return [found[n] if n in found else next(left) for n in range(len(rows_at))]
