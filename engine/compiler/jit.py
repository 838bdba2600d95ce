"""The one decorator that compiles kernels, and the reason for each compiler flag."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core.typing.templates import infer_global
from numba.extending import overload

from engine.compiler.kernels import Kernel, TakenIn


def import_arraymath() -> None:
    """Import numba.np.arraymath without scipy.linalg: that takes a third of a warm start.

    Before its first compilation, or its first load from the cache, Numba imports this module, which
    asks whether `np.dot` would find a BLAS by importing scipy.linalg: 0.16 of the 0.4 seconds that
    `train` takes in a process with a warm cache. No kernel here calls `np.dot`; a user's function
    that does makes Numba import scipy.linalg when it is compiled, as ever.
    """
    from numba.np import linalg

    ask = getattr(linalg, "ensure_blas", None)
    if ask is None:
        return  # another version of Numba: nothing to put off
    linalg.ensure_blas = find_blas
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        linalg.ensure_blas = ask


def find_blas() -> None:
    """Raise ImportError, as Numba's own question does, where there is no SciPy."""
    if find_spec("scipy") is None:
        raise ImportError("scipy is required for linear algebra")


import_arraymath()


class FlagSet(set[str]):
    """Flags, written in the same order in every process: Numba writes them into symbols."""

    def __repr__(self) -> str:
        return repr(sorted(self))


# Floating-point freedoms that vectorise a sum or fuse a multiply-add. The two that are left out,
# nnan and ninf, would let the compiler assume that no NaN or infinity ever occurs, and with that
# remove the checks by which a diverging training run is noticed.
FASTMATH = FlagSet({"reassoc", "contract", "nsz", "arcp"})

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
    # No counting of references to arrays: kernels make views and allocate nothing, and each count
    # would be an atomic operation and a call, around which no vector stays in a register. So a
    # kernel that is called from Python returns numbers, never an array.
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
    """A kernel that its callers call, in place of taking it in.

    For the large ones: a kernel that is taken in goes through the compiler with each of its callers
    once more. Its machine code exists once in a process, so its bits do not depend on the caller.
    """
    return kernel if numba.config.DISABLE_JIT else Kernel(kernel, OPTIONS, called=True)


def inlined(part: Callable[..., Any]) -> Callable[..., Any]:
    """A part of kernels, taken into each by Numba itself, before types are inferred.

    For what kernels call in several variants, such as tiles of several shapes: as `jit` functions
    each variant would go through the whole compiler by itself, a tenth of a second or more, only
    to be inlined after that. No more than a few lines: they are copied at each call.
    """
    decorated: Callable[..., Any] = numba.njit(inline="always", **OPTIONS)(part)
    return decorated


# For functions whose rounding is part of their design (equations/elementary.py). A product and a
# sum may be fused, no more: `reassoc` turns (x + shifter) - shifter, which rounds x, into x; `nsz`
# may lose the sign of -0; and `arcp` may make of a division, in vectors only, a multiplication by
# an approximate reciprocal, so that a number's last bits depend on its place in the array.
# Without wrappers for callers from Python, who take the plain function, they compile sooner.
IN_ORDER = {
    **OPTIONS,
    "fastmath": {"contract"},
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}


def in_order(part: Callable[..., Any]) -> Callable[..., Any]:
    """A part of kernels whose operations are done as they are written.

    The function stays plain Python; kernels that call it take it in, and its instructions keep
    their order there, whatever freedom the kernel has.
    """
    return _taken_in(part, IN_ORDER)


def shared(part: Callable[..., Any]) -> Callable[..., Any]:
    """A part of kernels that Python calls, too, with arguments for which compiling would not pay.

    The function stays plain Python; kernels that call it take it in, unfinished.
    """
    unfinished = TakenIn(part, OPTIONS)
    infer_global(part, types.Dispatcher(unfinished))
    SHARED.append(unfinished)  # the type alone would not keep it
    return part


SHARED: list[TakenIn] = []


def _taken_in(part: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    def choose(*arguments: Any) -> Callable[..., Any]:
        return part

    overload(part, jit_options=options, strict=False)(choose)
    return part


def by_dtype(
    for_float32: Callable[..., Any], for_float64: Callable[..., Any]
) -> Callable[..., Any]:
    """One name for two functions, told apart by the dtype of the first argument.

    Kernels take in the one that fits, as with `in_order`.
    """

    def either(x: Any, *arguments: Any) -> Any:
        return (for_float32 if isinstance(x, np.float32) else for_float64)(x, *arguments)

    def choose(x: Any, *arguments: Any) -> Callable[..., Any]:
        return for_float32 if x == numba.float32 else for_float64

    overload(either, jit_options=IN_ORDER, strict=False)(choose)
    return either
