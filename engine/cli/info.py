"""`engine info`: what a bug report or a published measurement needs to name."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.table import Table

from engine.cli.console import Console, cell

PACKAGES = (
    "numpy",
    "numba",
    "llvmlite",
    "scipy",
    "scikit-learn",
    "threadpoolctl",
    "matplotlib",
    "polars",
    "safetensors",
    "skops",
    "onnx",
    "onnxruntime",
)


def info() -> None:
    """Show versions, processor, threads, installed kernels and the folder of the compile cache.

    Please add this to a bug report, and to any measurement that you publish.
    """
    import numpy  # noqa: F401  (loads the BLAS that threadpoolctl is asked about)
    from llvmlite import binding
    from threadpoolctl import threadpool_info

    from engine import __version__
    from engine.compiler.target import processor_class
    from engine.sums.thread_count import most_threads, usable_cores

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("mlp-engine", cell(f"{__version__}  ({Path(__file__).resolve().parents[1]})"))
    table.add_row("Python", f"{platform.python_version()}, {platform.platform()}")
    for package in PACKAGES:
        table.add_row(package, _version_of(package))
    table.add_row("processor", f"{_processor_name()} (LLVM: {binding.get_host_cpu_name()})")
    table.add_row("kernels for", processor_class().name)
    table.add_row("cores", f"{usable_cores()} usable of {os.cpu_count()}")
    table.add_row("engine threads", f"{most_threads()} at most, by default")
    for library in threadpool_info():
        name = f"{library['internal_api']} {library.get('version') or ''}".strip()
        kernels = library.get("architecture", "")
        table.add_row("BLAS threads", f"{library['num_threads']} ({name} {kernels})")
    table.add_row("installed kernels", cell(installed_kernels()))
    table.add_row("compile cache", cell(_cache_state()))
    Console().print(table)


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def installed_kernels() -> str:
    """Whether the package was installed with compiled kernels, and whether they are used."""
    from engine.compiler.cache_entries import damaged_entries
    from engine.compiler.carried_kernels import carried_folder, damage_of, why_not_used

    folder = carried_folder()
    if folder is None:
        return why_not_used() or "none"
    try:
        n_kernels, damaged = len(list(folder.iterdir())), damaged_entries(folder)
    except OSError as error:
        return f"{folder}  (not used: {error.strerror})"
    return f"{n_kernels}, used" + (f"; {damage_of(damaged)}" if damaged else "")


def _cache_state() -> str:
    from engine.compiler.cache import cache_folder, can_be_added_to, why_unused
    from engine.compiler.carried_kernels import carried_folder

    folder = cache_folder()
    if folder is None:
        return "none: there is no home folder; kernels are compiled in every process"
    try:
        problem = why_unused(folder)
        kept = [entry.lstat().st_size for entry in folder.glob("*.kernel")]
    except OSError as error:
        return f"{folder}  (not used: {error.strerror}; kernels are compiled in every process)"
    if problem is not None:
        return f"not used. {problem}"
    cannot_add = "" if can_be_added_to(folder) else "; nothing can be added"
    if not kept:
        compiles = "" if carried_folder() else ": the first call compiles"
        return f"{folder}  (empty{cannot_add or compiles})"
    return f"{folder}  ({len(kept)} kernels, {sum(kept) / 1e6:.1f} MB{cannot_add})"
