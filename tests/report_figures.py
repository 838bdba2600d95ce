"""Figures of a comparison that nobody took: all parts, and all that can go wrong in one."""

import math
from typing import Any

import numpy as np

from engine.comparison.figures import FORMAT, Figures
from engine.comparison.problems import SUITES, Problem, flops_per_sample, parse_shape
from engine.comparison.timing import Spread, spread
from engine.comparison.training_timings import Rates, TrainingEntry, TrainingRow

BASE = "tiled"
LABELS = {
    "tiled": "engine, tiled",
    "numpy": "engine, NumPy",
    "sklearn": "scikit-learn",
    "torch": "PyTorch",
    "torch-compiled": "PyTorch, compiled",
    "jax": "JAX",
}
IDIOMS = {
    "tiled": "engine.train with Adam; the whole call is timed.",
    "numpy": "The same call on the NumPy backend: the equations as matrix algebra.",
    "sklearn": "MLPClassifier or MLPRegressor, fit with warm_start from the same parameters.",
    "torch": "A module of Linear layers, torch.optim.Adam (fused), data in one tensor, no loader.",
    "torch-compiled": "The same module and step under torch.compile, mode max-autotune.",
    "jax": "An epoch is one jitted scan over shuffled batches, with Adam written out.",
}
# Microseconds of a step's overhead, and multiply-adds a microsecond of a sample's arithmetic.
OVERHEAD = {
    "tiled": 1.5,
    "numpy": 60.0,
    "sklearn": 190.0,
    "torch": 230.0,
    "torch-compiled": 95.0,
    "jax": 9.0,
}
RATE = {
    "tiled": 0.78,
    "numpy": 0.42,
    "sklearn": 0.4,
    "torch": 0.7,
    "torch-compiled": 0.74,
    "jax": 0.83,
}
GEMM_RATE = {"float32": 84e9, "float64": 38e9}
TOO_LONG = "took too long: more than 300 seconds on this problem (--limit)"
FAILED = "RuntimeError: backend='inductor' raised: CppCompileError: C++ compile error"
VOID = "cost 0.412873, not 0.398114"
MISSING = "MLX is not installed: pip install mlx"
SIZES = tuple(Problem((100, width, 1), 4096, 128) for width in (8, 16, 32, 64, 128, 256, 512, 1024))


def figures(**changes: Any) -> Figures:
    """A whole run: wins, losses, a void row, a failure, a contender that is missing."""
    generator = np.random.default_rng(5)
    rows = [_row(problem, dtype, generator) for problem in SUITES["reach"] for dtype in GEMM_RATE]
    _spoil(rows)
    whole = Figures(
        format=FORMAT,
        command="engine compare report --rounds 9 --threads 1 --json comparison.json",
        made="2026-03-14T09:26:53+00:00",
        commit="f83ccf0f2b1c4d5e6f708192a3b4c5d6e7f80912",
        about={
            "processor": "AMD EPYC 7B13",
            "system": "Python 3.11.7, Linux x86_64",
            "cores": [0],
            "threads": 1,
            "versions": {"mlp-engine": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1"},
        },
        rounds=9,
        contenders={
            name: {
                "label": label,
                "idiom": IDIOMS[name],
                "python": "this environment" if name != "jax" else "an environment of its own",
                "versions": {name: "1.2.3"},
            }
            for name, label in LABELS.items()
        },
        unequal=[
            "PyTorch adds epsilon inside the bias correction, the others outside it.",
            "JAX draws its shuffles before its clock starts, which favours it.",
            "torch.compile keeps its code by shape: a short last batch is compiled once more.",
        ],
        training=rows,
        sizes=[_row(problem, "float32", generator) for problem in SIZES],
        start_up_problem="20-100-1, 1,000 samples, float32",
        start_up={
            "tiled": _start(generator, 0.35, 9.2, 0.62, 0.0021),
            "numpy": _start(generator, 0.16, 0.21, 0.21, 0.011),
            "sklearn": _start(generator, 1.15, 1.31, 1.30, 0.0190),
            "torch": _start(generator, 1.62, 1.80, 1.79, 0.0240),
            "torch-compiled": _start(generator, 1.63, 31.0, 12.4, 0.0105),
            "jax": _start(generator, 0.71, 1.9, 1.15, 0.0031),
        },
        curves=[_curves()],
        goals=[_goal()],
        memory=[_memory("784-32-10", 60_000), _memory("20-100-1", 300_000)],
        threads=[_threads(generator)],
    )
    whole["contenders"]["mlx"] = {
        "label": "MLX",
        "idiom": "A jitted step over whole batches.",
        "python": "an environment of its own",
        "versions": {},
        "missing": MISSING,
    }
    whole.update(changes)  # type: ignore[typeddict-item]
    return whole


def two_rows(first: float, second: float) -> Figures:
    """Figures of two problems, with these medians of JAX's ratio."""
    whole = figures()
    rows = whole["training"][:2]
    for row, ratio in zip(rows, (first, second)):
        row["entries"] = {name: row["entries"][name] for name in (BASE, "jax")}
        row["entries"]["jax"]["ratio"] = Spread(ratio, 0.95 * ratio, 1.05 * ratio)
    whole["training"] = rows
    return whole


def without(*parts: str) -> Figures:
    """The same run, where these parts were not asked for."""
    whole: dict[str, Any] = dict(figures())
    for part in parts:
        del whole[part]
    return whole  # type: ignore[return-value]


def _row(problem: Problem, dtype: str, generator: np.random.Generator) -> TrainingRow:
    flops = flops_per_sample(parse_shape(problem.name))
    gemm = 1e6 * flops / GEMM_RATE[dtype]
    times = {
        name: (OVERHEAD[name] / problem.batch_size + gemm / RATE[name] + 0.02)
        * generator.lognormal(0, 0.15)
        * generator.lognormal(0, 0.03, 9)
        for name in LABELS
    }
    entries = {
        name: TrainingEntry(
            cost=0.4,
            cost_shuffled=0.4,
            first_call=0.1,
            epochs=20,
            us_per_step=float(np.median(time)) * problem.batch_size,
            us_per_sample=spread(list(time)),
            ratio=spread(list(time / times[BASE])),
        )
        for name, time in times.items()
    }
    own = entries[BASE]["us_per_sample"].median
    return TrainingRow(
        problem=problem.name,
        output=problem.output,
        hidden=problem.hidden,
        n_samples=problem.n_samples,
        batch_size=problem.batch_size,
        dtype=dtype,
        checked_steps=100,
        base=BASE,
        rates=Rates(
            gflops=flops / own / 1e3,
            gemm_gflops=GEMM_RATE[dtype] / 1e9,
            share_of_gemm=gemm / own,
            gemm_us_per_sample=gemm,
        ),
        entries=entries,
    )


def _spoil(rows: list[TrainingRow]) -> None:
    rows[3]["entries"]["sklearn"] = TrainingEntry(
        cost=0.412873, cost_shuffled=float("nan"), void=VOID
    )
    for number in (4, 5):
        rows[number]["entries"]["torch-compiled"] = TrainingEntry(failed=FAILED)
    rows[11]["entries"]["torch-compiled"] = TrainingEntry(failed=TOO_LONG)
    # The base fails once: the others have times, and nothing to compare them with.
    rows[6]["base"] = rows[6]["rates"] = None
    rows[6]["entries"][BASE] = TrainingEntry(failed="MemoryError: 12 GB asked for")
    for entry in rows[6]["entries"].values():
        entry.pop("ratio", None)


def _start(
    generator: np.random.Generator, imports: float, empty: float, warm: float, epoch: float
) -> Any:
    def around(seconds: float) -> Spread:
        return spread(list(seconds * generator.lognormal(0, 0.05, 7)))

    return {
        "imports": around(imports),
        "empty_cache": around(empty),
        "warm_cache": around(warm),
        "epoch": around(epoch),
    }


def _curves() -> Any:
    milliseconds = {
        "tiled": 2.1,
        "numpy": 11,
        "sklearn": 19,
        "torch": 24,
        "torch-compiled": 10.5,
        "jax": 3.1,
    }
    epochs = sorted({round(x) for x in np.geomspace(1, 200, 24)})
    entries: dict[str, Any] = {
        name: {
            "epochs": [0, *epochs],
            "seconds": [0.0, *(ms * 1e-3 * epoch for epoch in epochs)],
            "costs": [0.71, *(_cost(epoch, place) for epoch in epochs)],
        }
        for place, (name, ms) in enumerate(milliseconds.items())
    }
    return {
        "problem": "20-100-1",
        "data": "1,000 samples, answered by a random network, with noise",
        "dtype": "float32",
        "entries": entries,
    }


def _cost(epoch: int, place: int) -> float:
    return 0.69 * math.pow(1 + epoch / 4, -0.55) * (1 + place * 0.006)


def _goal() -> Any:
    """A goal with a win, a loss, a void entry and a failure."""

    def entry(reached: int, steps: int, ms: float, ratio: float) -> Any:
        spreads = {"ms": spread([ms, 1.1 * ms]), "ratio": spread([ratio, 1.2 * ratio])}
        return {"reached": reached, "steps": float(steps), **spreads}

    return {
        "problem": "PARITY",
        "sizes": [3, 10, 10, 1],
        "rows": 8,
        "n_parameters": 161,
        "goal": 0.001,
        "starts": 30,
        "entries": {
            "engine lm": entry(29, 4, 0.21, 1.0),
            "scipy lm": entry(30, 7, 4.2, 18.0),
            "scipy dogbox": entry(28, 3, 0.15, 0.7),
            "torch lm": {"failed": FAILED},
            "engine lbfgs": {
                "reached": 3,
                "steps": 900.0,
                "void": "it reached the goal too seldom",
            },
            "engine adam": {**entry(30, 380, 3.1, 14.0), "setting": "learning rate 0.03"},
        },
    }


def _memory(problem: str, n_samples: int) -> Any:
    data = n_samples * 4 * (int(problem.split("-")[0]) + 1)
    megabytes = {
        "tiled": (118, 17),
        "numpy": (31, 260),
        "sklearn": (112, 41),
        "torch": (228, 63),
        "torch-compiled": (231, 310),
        "jax": (161, 205),
    }
    entries: dict[str, Any] = {
        name: {
            "imports": round(imports * 1e6),
            "on_top": round(on_top * 1e6),
            "peak": round((imports + on_top + 9) * 1e6) + data,
        }
        for name, (imports, on_top) in megabytes.items()
    }
    entries["torch-compiled"] = {"failed": FAILED}
    return {
        "problem": problem,
        "n_samples": n_samples,
        "dtype": "float32",
        "data": data,
        "entries": entries,
    }


def _threads(generator: np.random.Generator) -> Any:
    gains = {"tiled": 1.82, "numpy": 1.31, "torch": 1.64, "torch-compiled": 1.7, "jax": 1.42}

    def around(gain: float) -> Spread:
        return spread(list(gain * generator.lognormal(0, 0.03, 9)))

    entries: dict[str, Any] = {
        name: {"ms_on_one": 40.0 + 10 * place, "speed_up": {"2": around(gain)}}
        for place, (name, gain) in enumerate(gains.items())
    }
    entries["sklearn"] = {"failed": "it has no number of threads to set"}
    return {
        "problem": "784-128-1",
        "n_samples": 5000,
        "dtype": "float32",
        "gemm": {"2": around(1.93)},
        "entries": entries,
    }
