"""Measure all that docs/scale.md shows, and put the tables into it; some minutes.

    python -m tools.scale_page

Each table stands between two comments that name it; what is written around them stays. Figures are
kept in benchmarks/figures/scale.json. Contenders take turns, a figure is the median of the rounds.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster
from distributed.comm import tcp

from engine import Network
from engine.comparison import timing
from engine.comparison.machine import processor_name
from engine.distributed.cluster import EligibleWorkers
from engine.distributed.partitions import collection_of
from engine.distributed.remote_chunks import RemoteChunks
from engine.distributed.remote_samples import RemoteSamples
from engine.distributed.training_data import TrainingData
from engine.distributed.worker_chunks import Recipe
from engine.sums.chunks import chunk_bounds
from engine.sums.objective import Objective
from tools.performance_page import rewrite

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scale.md"
FIGURES = PAGE.parents[1] / "benchmarks" / "figures" / "scale.json"
ROUNDS = 9
REACH = 0.8
# Rows, and layers, of the iterations whose time beyond the arithmetic is looked at.
SIZES = (
    (20_000, (20, 16, 1)),
    (65_536, (20, 16, 1)),
    (65_536, (100, 100, 1)),
    (65_536, (784, 128, 1)),
    (65_536, (1000, 400, 1)),
    (262_144, (100, 100, 1)),
)
SUPPOSED = (  # what the model is asked about: rows, layers
    (1_000_000, (100, 100, 1)),
    (1_000_000, (1000, 400, 1)),
    (100_000_000, (100, 100, 1)),
    (1_000_000_000, (100, 100, 1)),
)
WORKERS = (1, 2, 8, 64, 100, 1000)


class Model(NamedTuple):
    """Seconds of an iteration beside its arithmetic.

    Attributes
    ----------
    latency : float
        Of a call and its answer.
    a_worker : float
        More, for each worker.
    a_byte : float
        Of what comes back.
    """

    latency: float
    a_worker: float
    a_byte: float


class Received:
    """Bytes that come in over connections of Dask."""

    def __init__(self) -> None:
        self.n_bytes = 0
        original = vars(tcp)["from_frames"]

        async def counted(frames: Any, *arguments: Any, **named: Any) -> Any:
            self.n_bytes += sum(getattr(frame, "nbytes", len(frame)) for frame in frames)
            return await original(frames, *arguments, **named)

        vars(tcp)["from_frames"] = counted


@contextlib.contextmanager
def cluster(n_workers: int) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
        ) as local,
        Client(local, direct_to_workers=True, set_as_default=False) as client,
        client.as_current(),
    ):
        yield client


def rows_of(n_rows: int, n_features: int) -> tuple[Any, Any]:
    """float32, and a number to predict: drawn by whoever holds them."""
    X = da.random.default_rng(0).normal(size=(n_rows, n_features), chunks=(n_rows // 16, -1))
    X = X.astype("float32")
    return X, X[:, 0]


@contextlib.contextmanager
def at_workers(client: Client, n_rows: int, network: Network) -> Iterator[Objective]:
    """J of those rows, as a fit on Dask evaluates it."""
    X, y = rows_of(n_rows, network.sizes[0])
    source = TrainingData(client, [collection_of("X", X), collection_of("y", y)], classifies=False)
    source.inspect()
    recipe = Recipe(np.dtype("float32"), None, None)
    holding = RemoteChunks(client, source, recipe, None, EligibleWorkers(client, allow_mixed=False))
    holding.build()
    samples = RemoteSamples(holding, n_rows, "float32", lambda: None)
    try:
        yield objective_on(network, samples)
    finally:
        holding.release()


def here(n_rows: int, network: Network, n_threads: int) -> Objective:
    X, y = (part.compute(scheduler="sync") for part in rows_of(n_rows, network.sizes[0]))
    return network.objective(X.T, y[None], n_threads=n_threads)


def objective_on(network: Network, samples: Any) -> Objective:
    from engine.equations.backends import TILED

    return Objective(TILED, network.layers, samples)


def evaluated(objective: Objective, theta: Any) -> Callable[[], Any]:
    return lambda: objective.cost_and_gradient(theta)


def scaling(clients: dict[int, Client]) -> dict[str, Any]:
    """A million rows on threads and on workers, in turns."""
    network = Network((100, 100, 1), output="identity")
    theta, n_rows = network.initial_parameters(dtype="float32"), 1_000_000
    with contextlib.ExitStack() as stack:
        acts = {f"{n} threads": evaluated(here(n_rows, network, n), theta) for n in (1, 2)}
        for n, client in clients.items():
            if n < 4:
                there = stack.enter_context(at_workers(client, n_rows, network))
                acts[f"{n} workers"] = evaluated(there, theta)
        found = [act() for act in acts.values()]
        assert all(found[0][0] == J and np.array_equal(g, found[0][1]) for J, g in found)
        seconds = timing.in_turns(acts, ROUNDS)
    return {
        "n_rows": n_rows,
        "seconds": {name: timing.spread(times)._asdict() for name, times in seconds.items()},
        "of_threads": {
            str(n): timing.ratio(seconds[f"{n} threads"], to=seconds[f"{n} workers"])._asdict()
            for n in (1, 2)
        },
    }


def overheads(client: Client, received: Received) -> list[dict[str, Any]]:
    """Of each size: time on two threads and on two workers in turns, and bytes that come in."""
    found = []
    for n_rows, sizes in SIZES:
        network = Network(sizes, output="identity")
        theta = network.initial_parameters(dtype="float32")
        with at_workers(client, n_rows, network) as there:
            acts = {
                "threads": evaluated(here(n_rows, network, 2), theta),
                "workers": evaluated(there, theta),
            }
            for act in acts.values():
                act()
            seconds = timing.in_turns(acts, ROUNDS)
            before = received.n_bytes
            acts["workers"]()
            n_bytes = received.n_bytes - before
        found.append(
            {
                "n_rows": n_rows,
                "network": "-".join(map(str, sizes)),
                "n_parameters": network.n_parameters,
                "threads": timing.spread(seconds["threads"]).median,
                "workers": timing.spread(seconds["workers"]).median,
                "more": timing.difference(seconds["workers"], seconds["threads"]).median,
                "gradients": n_gradients(n_rows, 2),
                "n_bytes": n_bytes,
            }
        )
    return found


def latencies(clients: dict[int, Client]) -> dict[str, float]:
    """Seconds of an iteration with next to no arithmetic, by the number of workers."""
    network = Network((2, 1), output="identity")
    theta, n_rows = network.initial_parameters(dtype="float32"), 8192
    with contextlib.ExitStack() as stack:
        acts = {
            str(n): evaluated(stack.enter_context(at_workers(client, n_rows, network)), theta)
            for n, client in clients.items()
        }
        for act in acts.values():
            act()
        seconds = timing.in_turns(acts, 5 * ROUNDS)
    return {name: timing.spread(times).median for name, times in seconds.items()}


def n_gradients(n_rows: int, n_workers: int) -> int:
    """That come back in an iteration: one a chunk, but of the first worker one in all."""
    n_chunks = len(chunk_bounds(n_rows))
    used = min(n_workers, n_chunks)
    return n_chunks - -(-n_chunks // used) + 1


def fitted(found: dict[str, Any]) -> Model:
    """The model's three numbers, by least squares; none is below 0."""
    counts = np.array([float(n) for n in found["latencies"]])
    times = np.array(list(found["latencies"].values()))
    a_worker = max(0.0, float(np.polyfit(counts, times, 1)[0]))
    latency = max(0.0, float(np.mean(times - a_worker * counts)))
    rows = found["overheads"]
    n_bytes = np.array([row["gradients"] * row["n_parameters"] * 8.0 for row in rows])
    more = np.array([row["more"] for row in rows]) - latency - 2 * a_worker
    return Model(latency, a_worker, max(0.0, float((n_bytes @ more) / (n_bytes @ n_bytes))))


def predicted(model: Model, rate: float, n_rows: int, sizes: tuple[int, ...], n: int) -> float:
    """Seconds of an iteration on so many workers of one thread; rate is multiply-adds a second."""
    network = Network(sizes)
    n_chunks = len(chunk_bounds(n_rows))
    used = min(n, n_chunks)
    share = -(-n_chunks // used) * chunk_bounds(n_rows)[0][1]
    arithmetic = network.layers.multiply_adds * min(share, n_rows) / rate
    n_bytes = n_gradients(n_rows, n) * network.n_parameters * 8
    return arithmetic + model.latency + model.a_worker * used + model.a_byte * n_bytes


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def workers_table(found: dict[str, Any]) -> str:
    scaling = found["scaling"]
    rows = []
    for name, spread in scaling["seconds"].items():
        number, kind = name.split()
        of = ""
        if kind == "workers":
            ratio = scaling["of_threads"][number]
            of = f"{ratio['median']:.0%} ({ratio['low']:.0%} to {ratio['high']:.0%})"
        rate = scaling["n_rows"] / spread["median"] / 1e6
        told = name if number != "1" else name.removesuffix("s")
        rows.append([told, f"{1e3 * spread['median']:.0f}", f"{rate:.2f}", of])
    head = ["100-100-1, a million rows", "ms an iteration", "million rows a second"]
    reached = scaling["of_threads"]["2"]["median"]
    verdict = f"To be reached: {REACH:.0%} of two threads' rate; here {reached:.0%}, "
    verdict += "reached." if reached >= REACH else "**not reached**."
    return f"{table([*head, 'of as many threads'], rows)}\n\n{verdict}"


def overhead_table(found: dict[str, Any]) -> str:
    head = ["rows", "network", "parameters", "2 threads, ms", "2 workers, ms", "more, ms"]
    rows = [
        [
            f"{row['n_rows']:,}",
            row["network"],
            f"{row['n_parameters']:,}",
            f"{1e3 * row['threads']:.1f}",
            f"{1e3 * row['workers']:.1f}",
            f"{1e3 * row['more']:.1f}",
            str(row["gradients"]),
            f"{row['n_bytes'] / 1e6:.2f}",
        ]
        for row in found["overheads"]
    ]
    return table([*head, "gradients", "MB that come back"], rows)


def model_table(found: dict[str, Any]) -> str:
    model = Model(**found["model"])
    network = Network((100, 100, 1))
    seconds = found["scaling"]["seconds"]["1 workers"]["median"]
    rate = found["scaling"]["n_rows"] * network.layers.multiply_adds / seconds
    rows = []
    for n_rows, sizes in SUPPOSED:
        one = predicted(model, rate, n_rows, sizes, 1)
        line = [f"{n_rows:,}", "-".join(map(str, sizes))]
        for n in WORKERS:
            t = predicted(model, rate, n_rows, sizes, n)
            line.append(f"{1e3 * t:,.0f} ms ({one / t:.1f})")
        rows.append(line)
    said = (
        f"Latency {1e3 * model.latency:.1f} ms, {1e3 * model.a_worker:.2f} ms more a worker, "
        f"{1e9 * model.a_byte:.2f} ns a byte ({1e-6 / max(model.a_byte, 1e-15):,.0f} MB a second); "
        f"{rate / 1e9:.0f} thousand million multiply-adds a second and worker."
    )
    heads = [f"{n} worker" if n == 1 else f"{n} workers" for n in WORKERS]
    return f"{said}\n\n{table(['rows', 'network', *heads], rows)}"


def measured() -> dict[str, Any]:
    received = Received()
    load = os.getloadavg()[0]
    with contextlib.ExitStack() as stack:
        clients = {n: stack.enter_context(cluster(n)) for n in (1, 2, 4)}
        found: dict[str, Any] = {
            "processor": processor_name(),
            "cores": len(os.sched_getaffinity(0)),
            "load": load,
            "scaling": scaling(clients),
            "latencies": latencies(clients),
            "overheads": overheads(clients[2], received),
        }
    return {**found, "model": fitted(found)._asdict()}


def main() -> int:
    found = measured()
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    FIGURES.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    write(found)
    return 0


def write(found: dict[str, Any]) -> None:
    """The page's tables, from figures."""
    about = (
        f"{found['processor']}, {found['cores']} cores; {ROUNDS} rounds in turns, medians; other "
        f"work on the machine as it began: {found['load']:.1f} processes."
    )
    rewrite(PAGE, "about", about)
    rewrite(PAGE, "workers", workers_table(found))
    rewrite(PAGE, "overhead", overhead_table(found))
    rewrite(PAGE, "model", model_table(found))


if __name__ == "__main__":
    sys.exit(main())
