"""The plan of a run: what was chosen, and why, in words."""

import functools

from engine.equations.backends import Backend
from engine.sums.chunks import chunk_samples, number_of_chunks
from engine.sums.thread_count import Threads
from engine.training.result import Plan


@functools.lru_cache(maxsize=64)
def plan_of(
    backend: Backend,
    asked: str | None,
    n_samples: int,
    at_a_time: int,
    threads: Threads,
    resumed: str = "",
    widened: bool = False,
    shared: bool = False,
) -> Plan:
    """The plan of a run whose steps take `at_a_time` of `n_samples` samples.

    `asked` is the backend's name as the caller gave it, None for the fastest. `resumed` says which
    checkpoint the run resumed from, if any; `widened`, that float32 data are trained in float64;
    `shared`, that threads share the units of a step, not chunks of its samples.
    """
    chosen = "the fastest" if asked is None else "as asked"
    size, n_chunks = chunk_samples(at_a_time), number_of_chunks(at_a_time)
    number = threads.number if shared else min(threads.number, n_chunks)
    why = threads.why
    if number < threads.number:
        why = f"{threads.number} asked for, and a step has {n_chunks} chunk{'s' * (n_chunks != 1)}"
    return Plan(
        backend=backend.name,
        n_threads=number,
        chunk_samples=size,
        n_chunks=n_chunks,
        why=(
            f"backend {backend.name}: {chosen}; threads {number}: {why}; a step takes {at_a_time} "
            f"of {n_samples} samples, in chunks of {size}"
            f"{'; float32 data are trained in float64' * widened}{resumed}"
        ),
    )
