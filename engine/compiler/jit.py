"""The one decorator that compiles kernels, and the reason for each compiler flag."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core.typing.templates import infer_global
from numba.extending import overload

from engine.compiler.kernels import InlinedKernel, Kernel
from engine.compiler.target import KernelDispatcher


def import_arraymath() -> None:
    """Import numba.np.arraymath without scipy.linalg, which takes a third of a warm start.

    Numba imports this module before its first compilation or cache load. The module imports
    scipy.linalg to find out whether `np.dot` has a BLAS: 0.16 of the 0.4 seconds that `train` takes
    in a process with a warm cache. No kernel here calls `np.dot`. If a user's function calls it,
    Numba still imports scipy.linalg when it compiles that function.
    """
    from numba.np import linalg

    ask = getattr(linalg, "ensure_blas", None)
    if ask is None:
        return  # a version of Numba without this check
    linalg.ensure_blas = find_blas
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        linalg.ensure_blas = ask


def find_blas() -> None:
    """Raise ImportError if SciPy is not installed, as Numba's own check does."""
    if find_spec("scipy") is None:
        raise ImportError("scipy is required for linear algebra")


import_arraymath()


class FlagSet(set[str]):
    """Flags, written in the same order in every process: Numba writes them into symbols."""

    def __repr__(self) -> str:
        return repr(sorted(self))


# Fast-math flags that allow vectorised sums and fused multiply-adds. The two that are left out,
# nnan and ninf, would let the compiler assume that no NaN or infinity ever occurs, and so remove
# the checks that detect a diverging training run.
FASTMATH = FlagSet({"reassoc", "contract", "nsz", "arcp"})

OPTIONS = {
    "fastmath": FASTMATH,
    # Division by zero gives inf or NaN as in NumPy. With Python's rule each division carries a
    # test for zero, and the loop around it is not vectorised.
    "error_model": "numpy",
    # Kernels touch no Python object, so several Python threads may run them at once.
    "nogil": True,
    # Each kernel is inlined into its callers. Otherwise the caller's machine code refers to it by
    # name, and a process uses whichever copy of that name it loaded first. Copies that were
    # optimised in different contexts round differently, so the bits of a result would depend on
    # what was compiled, or loaded from the cache, before.
    "forceinline": True,
    # No reference counting of arrays: kernels make views and allocate nothing, and each count would
    # be a call and an atomic operation, across which no vector stays in a register. So a kernel
    # that is called from Python returns numbers, never an array.
    "_nrt": False,
}
# Left alone on purpose: `boundscheck`, so that NUMBA_BOUNDSCHECK=1 can switch it on for a test run;
# `parallel`, whose thread pool neither forks nor nests (docs/decisions/0005-compile-cache.md).


def jit(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `kernel` on its first call, for the types it is called with, and keep it on disk.

    No signature is given, so nothing is compiled while modules are imported. Under
    ``NUMBA_DISABLE_JIT=1`` the kernel comes back as it is, plain Python.
    """
    return kernel if numba.config.DISABLE_JIT else Kernel(kernel, OPTIONS, called=False)


def compiled_once(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `kernel` once and let other kernels call it, instead of inlining it.

    For large kernels: an inlined kernel is compiled again with each of its callers. The machine
    code exists once in a process, so its bits do not depend on the caller.
    """
    return kernel if numba.config.DISABLE_JIT else Kernel(kernel, OPTIONS, called=True)


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that only other compiled functions call; they inline its unoptimised instructions.

    It is not kept on disk, so it may be a closure.
    """
    return function if numba.config.DISABLE_JIT else InlinedKernel(function, OPTIONS)


def inlined(part: Callable[..., Any]) -> Callable[..., Any]:
    """Let Numba inline `part` into each kernel before types are inferred.

    For helpers that kernels call in several variants, such as tiles of several shapes: with `jit`,
    each variant would go through the whole compiler, a tenth of a second or more, only to be
    inlined after that. Keep such helpers to a few lines: they are copied at each call.
    """
    options = {**OPTIONS, "inline": "always", "nopython": True}
    return part if numba.config.DISABLE_JIT else KernelDispatcher(part, targetoptions=options)


# For functions whose rounding is part of their design (equations/elementary.py). A product and a
# sum may be fused, nothing else: `reassoc` turns (x + shifter) - shifter, which rounds x, into x;
# `nsz` may lose the sign of -0; and `arcp` may replace a division, in vectors only, by a
# multiplication with an approximate reciprocal, so that a number's last bits depend on its position
# in the array. Without wrappers they compile faster; Python calls the plain function.
IN_ORDER = {
    **OPTIONS,
    "fastmath": {"contract"},
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}


def in_order(part: Callable[..., Any]) -> Callable[..., Any]:
    """Keep the floating-point operations of `part` in the order in which they are written.

    The function stays plain Python. Kernels that call it inline it, and its instructions keep
    their order there, whatever fast-math flags the kernel has.
    """

    def choose(*arguments: Any) -> Callable[..., Any]:
        return part

    overload(part, jit_options=IN_ORDER, strict=False)(choose)
    return part


SHARED: list[InlinedKernel] = []  # the types that Numba keeps do not keep them alive


def shared(part: Callable[..., Any]) -> Callable[..., Any]:
    """A function for kernels that Python calls too, with arguments not worth compiling for.

    The function stays plain Python; kernels that call it inline its unoptimised instructions.
    """
    unfinished = InlinedKernel(part, OPTIONS)
    infer_global(part, types.Dispatcher(unfinished))
    SHARED.append(unfinished)
    return part


def by_dtype(
    for_float32: Callable[..., Any], for_float64: Callable[..., Any]
) -> Callable[..., Any]:
    """One name for two functions; the dtype of the first argument selects one of them.

    Kernels inline the selected one, as with `in_order`.
    """

    def either(x: Any, *arguments: Any) -> Any:
        return (for_float32 if isinstance(x, np.float32) else for_float64)(x, *arguments)

    def choose(x: Any, *arguments: Any) -> Callable[..., Any]:
        return for_float32 if x == numba.float32 else for_float64

    overload(either, jit_options=IN_ORDER, strict=False)(choose)
    return either
