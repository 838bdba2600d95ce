"""`engine warmup`: compile now what the first runs of later processes would wait for."""

import tempfile
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from engine.cli.console import Console

UPDATES: list[dict[str, Any]] = [
    {"solver": "adam"},
    {"solver": "sgd"},
    {"solver": "sgd", "nesterov": False},
    {"solver": "sgd", "momentum": 0.0},
    {
        "solver": "adam",
        "weight_decay": 0.1,
        "average": 0.9,
        "clip_norm": 1.0,
        "label_smoothing": 0.1,
        "schedule": "cosine",
    },
]


class Dtype(StrEnum):
    """What data are trained in."""

    float64 = "float64"
    float32 = "float32"


class CompiledBackend(StrEnum):
    """The backends that compile."""

    tiled = "tiled"
    loops = "loops"


def warmup(
    dtype: Annotated[
        list[Dtype] | None, typer.Option(help="Only this one; may be given twice.")
    ] = None,
    backend: Annotated[
        list[CompiledBackend] | None,
        typer.Option(help="tiled, the default, or loops; may be given twice."),
    ] = None,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Those of networks with embeddings, too.")
    ] = False,
) -> None:
    """Compile the kernels, and keep them for the processes to come.

    For containers and CI: run it while an image is built, as the user who will train. Later
    processes then compile nothing, whatever the network, the solver, and the layout of the data;
    they load what is kept, in some tenths of a second. What is already kept is not compiled again.
    Networks with embeddings have kernels of their own, which take ten seconds more for each dtype.
    """
    console = Console()
    start = time.perf_counter()
    import numba

    of_numba = time.perf_counter() - start
    if numba.config.DISABLE_JIT:
        raise ValueError("NUMBA_DISABLE_JIT is set, so nothing is compiled; unset it to warm up.")
    folder = _writable_folder()
    parts = [
        (f"{name}: {part}", str(float_type), act)
        for name in backend or [CompiledBackend.tiled]
        for float_type in dtype or list(Dtype)
        for part, act in _parts(str(name), str(float_type), embeddings)
    ]
    table = Table("part", "dtype", "seconds", "kernels", box=None, pad_edge=False)
    table.columns[2].justify = "right"
    table.add_row("import numba", "", f"{of_numba:.2f}", "")
    total = of_numba
    for part, float_type, act in parts:
        with console.status(f"compiling {part}, {float_type}"):
            start = time.perf_counter()
            n_compiled = _compiled_and_kept(act, folder)
            seconds = time.perf_counter() - start
        total += seconds
        state = f"{n_compiled} compiled" if n_compiled else "kept before"
        table.add_row(part, float_type, f"{seconds:.2f}", state)
    table.add_row("total", "", f"{total:.2f}", "")
    console.print(table)
    kept = list(folder.glob("*.kernel"))
    size = sum(entry.stat().st_size for entry in kept)
    console.print_lines("", f"{len(kept)} kernels, {size / 1e6:.1f} MB, in {folder}")


def _parts(
    backend: str, dtype: str, embeddings: bool = False
) -> list[tuple[str, Callable[[], Any]]]:
    """A small job for each group of calls with machine code of its own."""
    import numpy as np

    from engine import Network, train

    X = np.array([[0, 0, 1, 1], [0, 1, 0, 1]], dtype)
    Y = np.array([1, 0, 0, 1])
    network = Network((2, 4, 1))
    theta = network.initial_parameters(0, dtype)
    options: dict[str, Any] = {"backend": backend, "max_iter": 1}

    def minibatches() -> None:
        for settings in UPDATES:
            train(network, X, Y, batch_size=2, **settings, **options)
        if backend == "tiled":
            _one_by_one(network, theta)

    def whole_batches() -> None:
        train(network, X, Y, solver="gd", **options)
        network.cost_and_gradient(theta, X, Y, backend=backend)
        network.forward(theta, X, backend=backend)
        # Kernels that are inlined into those of minibatches, called separately.
        _large_batches(network, dtype, options)

    def embedded() -> None:
        from engine.embeddings import Levels, Pieces
        from engine.sums.one_row import OneRow

        inputs = [Pieces([0.0, 0.5, 1.0], 2, missing=True), Levels(2, 2)]
        wide = Network((2, 4, 1), embeddings=inputs)
        for settings in UPDATES:
            train(wide, X, Y, batch_size=2, **settings, **options)
        train(wide, X, Y, solver="gd", **options)
        wide.forward(wide.initial_parameters(0, dtype), X, backend=backend)
        _large_batches(wide, dtype, options)
        if backend == "tiled":
            OneRow(wide.layers, wide.initial_parameters(0, dtype))(X[:, 0])

    def second_order() -> None:
        from engine.sums.workers import SPAN_SAMPLES

        train(network, X, Y, solver="lm", **options)
        n_samples = SPAN_SAMPLES + 1  # of several chunks, whose sums are called from Python
        columns, targets = np.zeros((network.sizes[0], n_samples)), np.arange(n_samples) % 2
        train(network, columns, targets, solver="lm", **options)

    parts = [
        ("sgd and adam", minibatches),
        ("gd, lbfgs, gradients, prediction", whole_batches),
    ]
    if backend == "tiled":
        parts.append(("many networks side by side", lambda: _side_by_side(network, X, Y)))
    if embeddings:
        parts.append(("embeddings", embedded))
    return parts + ([("lm", second_order)] if dtype == "float64" else [])  # always in float64


def _one_by_one(network: Any, theta: Any) -> None:
    """Take a step on a sample that comes alone."""
    from engine.solvers.prepared_steps import PreparedSteps
    from engine.solvers.state import ADAM, Settings, new_state

    settings = Settings(ADAM, batch_size=1, shuffle=1)
    state = new_state(theta.copy(), settings, n_samples=1, seed=0)
    PreparedSteps(network.layers, settings, state, n_outputs=None, in_codes=False).take()


def _side_by_side(network: Any, X: Any, Y: Any) -> None:
    """Take a step of two networks at once."""
    from engine.equations.backends import TILED
    from engine.solvers.descent import Descent
    from engine.solvers.member_descent import KnownSamples, MemberDescents, kind_of
    from engine.solvers.solver import Budget, Problem
    from engine.solvers.state import ADAM, Settings, new_state
    from engine.sums.samples import Samples

    samples = Samples(X, Y.reshape(1, -1).astype(X.dtype))
    problem = Problem(TILED, network.layers, samples, 0.0, n_threads=1)
    settings, known = Settings(ADAM, batch_size=2, shuffle=1), KnownSamples()
    networks = []
    for seed in range(2):
        theta = network.initial_parameters(seed, X.dtype)
        state = new_state(theta, settings, samples.n_samples, seed)
        networks.append(Descent(problem, state, settings))
    kind = kind_of(networks[0], known)
    assert kind is not None
    together = MemberDescents(kind, network.layers, known)
    for descent in networks:
        together.join(descent)
    together.advance([Budget(0.0, 1)] * len(networks))


def _large_batches(network: Any, dtype: str, options: dict[str, Any]) -> None:
    """Train in batches of several chunks, whose steps are taken from Python."""
    import numpy as np

    from engine import train
    from engine.sums.workers import SPAN_SAMPLES

    n_samples = SPAN_SAMPLES + 1
    X, Y = np.zeros((network.sizes[0], n_samples), dtype), np.arange(n_samples) % 2
    for settings in UPDATES:
        train(network, X, Y, **settings, **options)


def _compiled_and_kept(act: Callable[[], Any], folder: Path) -> int:
    """The number of kernels that `act` compiles; ValueError if one cannot be kept in the cache."""
    from numba.core import event

    from engine.compiler.cache import CheckedCache

    before = _entries(folder)
    with event.install_recorder("numba:compile") as recorder:
        act()
    kernels = [e.data["dispatcher"] for _, e in recorder.buffer if e.is_start]
    # Without the parts that Numba puts into kernels itself: these have no entries.
    n_compiled = sum(isinstance(kernel._cache, CheckedCache) for kernel in kernels)
    n_kept = len(_entries(folder) - before)
    if n_kept < n_compiled:
        raise ValueError(
            f"{n_compiled} kernels were compiled, but only {n_kept} could be kept in {folder}. Is "
            "the disk full? Make room, or set NUMBA_CACHE_DIR to a folder on another one."
        )
    return n_compiled


def _entries(folder: Path) -> set[tuple[str, int]]:
    """Names and times: a damaged entry is written again under its own name."""
    return {(entry.name, entry.stat().st_mtime_ns) for entry in folder.glob("*.kernel")}


def _writable_folder() -> Path:
    from engine.compiler.cache import cache_folder, make_folder, real_path, why_unused

    folder = cache_folder()
    advice = "Set NUMBA_CACHE_DIR to a folder that can be written."
    if folder is None:
        raise ValueError(f"there is no home folder to keep compiled kernels in. {advice}")
    try:
        problem = why_unused(folder)
        if problem is not None:
            raise ValueError(problem)
        make_folder(real_path(folder))
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"compiled kernels cannot be kept in {folder}: {error.strerror}. {advice}"
        ) from error
    return folder
