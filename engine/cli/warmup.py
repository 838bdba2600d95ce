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
from engine.cli.warmup_jobs import parts_of_warmup


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
        for part, act in parts_of_warmup(str(name), str(float_type), embeddings)
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
