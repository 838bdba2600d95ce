"""What checkpoints cost: the share of a fit's time that goes into them.

The functions that a checkpoint adds to a fit are timed within it. A ratio of two fits, with and
without, would drown a hundredth in what one fit differs from the next by.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from engine import Network, train
from engine.training import identity
from engine.training.checkpoint import Keeper
from engine.training.lbfgs_evaluation_log import EvaluationLog

# (what, layers, samples, solver and its settings)
CASES: list[tuple[str, tuple[int, ...], int, dict[str, Any]]] = [
    ("small", (20, 100, 1), 2000, {"solver": "adam", "batch_size": 64}),
    ("images", (784, 128, 10), 60_000, {"solver": "adam", "batch_size": 128}),
    ("many samples, all at once", (100, 100, 1), 1_000_000, {"solver": "gd"}),
    ("large, L-BFGS", (200, 400, 10), 100_000, {"solver": "lbfgs"}),
]


class Cost(NamedTuple):
    """Seconds of a fit, and of these those that went into checkpoints."""

    name: str
    sizes: tuple[int, ...]
    n_samples: int
    solver: str
    seconds: float
    kept: float
    written: int
    largest: int  # bytes of the files

    @property
    def share(self) -> float:
        return self.kept / self.seconds


def costs(seconds: float) -> Iterator[Cost]:
    """Of fits that take about so long, with the checkpoints that users get by the name alone."""
    for name, sizes, n_samples, settings in CASES:
        generator = np.random.default_rng(0)
        X = generator.standard_normal((n_samples, sizes[0]), dtype=np.float32).T
        codes = generator.integers(0, max(2, sizes[-1]), n_samples)
        network = Network(sizes, output="softmax" if sizes[-1] > 1 else "sigmoid")
        train(network, X[:, :2000], codes[:2000], max_iter=2, **settings)  # compiles
        with tempfile.TemporaryDirectory() as folder, timed() as spent:
            start = time.perf_counter()
            train(
                network,
                X,
                codes,
                max_iter=10**7,
                max_time=seconds,
                checkpoint=Path(folder, "run.ckpt"),
                **settings,
            )
            took = time.perf_counter() - start
            largest = sum(file.stat().st_size for file in Path(folder).iterdir())
        yield Cost(
            name, sizes, n_samples, settings["solver"], took, sum(spent), len(spent.writes), largest
        )


class Spent(list[float]):
    """Seconds, call by call; those of writes once more."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[float] = []


@contextlib.contextmanager
def timed() -> Iterator[Spent]:
    """Time all that a checkpoint adds: the data's digest, opening, taking note, writing."""
    spent = Spent()

    def timing(function: Callable[..., Any], calls: list[float]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                calls.append(time.perf_counter() - start)

        return call

    with contextlib.ExitStack() as patches:
        timed = timing(identity.identity_of_training, spent)
        patches.enter_context(mock.patch("engine.training.trainer.identity_of_training", timed))
        for owner, name in [
            (Keeper, "open"),
            (Keeper, "reached"),
            (Keeper, "ended"),
            (Keeper, "close"),
            (Keeper, "interrupted"),
            (EvaluationLog, "add"),
        ]:
            patched = timing(getattr(owner, name), spent)
            patches.enter_context(mock.patch.object(owner, name, patched))
        patches.enter_context(
            mock.patch.object(Keeper, "_write", timing(Keeper._write, spent.writes))
        )
        yield spent


def table_of(measured: list[Cost]) -> str:
    """As Markdown."""
    rows = ["| fit | network | samples | solver | seconds | written | share of the time |"]
    rows.append("|---|---|--:|---|--:|--:|--:|")
    for cost in measured:
        shape = "-".join(map(str, cost.sizes))
        rows.append(
            f"| {cost.name} | {shape} | {cost.n_samples:,} | {cost.solver} | {cost.seconds:.0f} | "
            f"{cost.written} times, {cost.largest / 1e6:.3g} MB | {cost.share:.2%} |"
        )
    return "\n".join(rows)
