"""The one decorator that compiles kernels, and the reason for each compiler flag."""

from collections.abc import Callable
from typing import Any

import numba

from engine._compile_cache import CheckedCache

# Floating-point freedoms that vectorise a sum or fuse a multiply-add. The two that are left out,
# nnan and ninf, would let the compiler assume that no NaN or infinity ever occurs, and with that
# remove the checks by which a diverging training run is noticed.
FASTMATH = {"reassoc", "contract", "nsz", "arcp"}

OPTIONS = {
    "fastmath": FASTMATH,
    # Division by zero gives inf or NaN as in NumPy. With Python's rule each division carries a
    # test for zero, and the loop around it is not vectorised.
    "error_model": "numpy",
    # Kernels touch no Python object, so several Python threads may run them at once.
    "nogil": True,
    # A kernel becomes part of each kernel that calls it. Otherwise the caller's machine code refers
    # to it by name, and a process uses whichever copy of that name it loaded first; copies that
    # were optimised in different surroundings round differently, so that the bits of a result
    # would depend on what had been compiled, or loaded from the cache, before.
    "forceinline": True,
}
# Left alone on purpose: `boundscheck`, so that NUMBA_BOUNDSCHECK=1 can switch it on for a test run;
# `parallel`, whose thread pool neither forks nor nests (docs/decisions/0005-compile-cache.md).


def jit(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `kernel` on its first call, for the types it is called with, and keep it on disk.

    No signature is given, so nothing is compiled while modules are imported. Under
    ``NUMBA_DISABLE_JIT=1`` the kernel comes back as it is, plain Python.
    """
    compiled: Any = numba.njit(**OPTIONS)(kernel)
    if not numba.config.DISABLE_JIT:
        # Instead of njit(cache=True): see _compile_cache.py for what that would leave unchecked.
        compiled._cache = CheckedCache(kernel)
    decorated: Callable[..., Any] = compiled
    return decorated
