"""What was measured on, and how fast it multiplies matrices."""

import os
import platform
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict

import numpy as np
from threadpoolctl import ThreadpoolController

from engine import __version__

GEMM_SIZE = 1024
GEMM_FLOPS = 2 * GEMM_SIZE**3


class About(TypedDict):
    """What a published measurement has to name."""

    processor: str
    system: str
    cores: list[int]
    threads: int
    versions: dict[str, str]


def about(n_threads: int, distributions: Iterable[str]) -> About:
    """Describe this process: the cores that it may use are those that it was pinned to."""
    found = {name: installed_version(name) for name in ("numpy", "numba", *distributions)}
    found["OpenBLAS"] = openblas()
    versions = {name: number for name, number in found.items() if number is not None}
    return About(
        processor=processor_name(),
        system=f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
        cores=usable_cores(),
        threads=n_threads,
        versions={"mlp-engine": __version__, **versions},
    )


def installed_version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def openblas() -> str | None:
    """Version and kernels of NumPy's OpenBLAS; None where NumPy has another BLAS."""
    for library in ThreadpoolController().select(internal_api="openblas").info():
        return f"{library['version']} (kernels for {library['architecture']})"
    return None


def usable_cores() -> list[int]:
    """Numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def gemm(dtype: str) -> Callable[[], object]:
    """The yardstick: a product of two square matrices, GEMM_FLOPS, by NumPy's BLAS."""
    generator = np.random.default_rng(0)
    A = generator.standard_normal((GEMM_SIZE, GEMM_SIZE)).astype(dtype)
    B = generator.standard_normal((GEMM_SIZE, GEMM_SIZE)).astype(dtype)
    C = np.empty_like(A)
    return lambda: np.matmul(A, B, out=C)
