"""Small kernels, for tests of the compiler's flags and of its cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba.core import event

from engine.compiler.cache import CheckedCache
from engine.compiler.jit import jit


@jit
def element(numbers, i):
    return numbers[i]


@jit
def total(numbers):
    result = 0.0
    for i in range(numbers.size):
        result += element(numbers, i)
    return result


@jit
def largest(numbers):
    result = numbers[0]
    for i in range(1, numbers.size):
        result = max(result, numbers[i])
    return result


@jit
def is_nan(x):
    return x != x


@jit
def quotient(x, y):
    return x / y


@jit
def busy(n):
    x = 1.0
    for _ in range(n):
        x = np.sin(x)
    return x


def loaded_and_compiled(kernel: Any) -> list[int]:
    """How many of a kernel's compilations came from the cache, and how many from the compiler."""
    stats = kernel.stats
    return [sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]


@contextmanager
def compilations() -> Iterator[list[Any]]:
    """The kernels that are compiled meanwhile, without those that are parts of others."""
    found: list[Any] = []
    with event.install_recorder("numba:compile") as recorder:
        yield found
    kernels = [one.data["dispatcher"] for _, one in recorder.buffer if one.is_start]
    found += [kernel for kernel in kernels if isinstance(kernel._cache, CheckedCache)]
