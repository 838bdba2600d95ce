"""A user's own loss: a function of (z, y), compiled into a loop over a block of samples.

L15 of losses.py: the function gives the cost of one output unit, its derivative by z, and perhaps
the curvature h. Kernels call the compiled loop by its address, once a block, so that a new loss
compiles its own loop only. `task` says which of the three it fills `out` with. Each has a loop of
its own, in which the compiler drops what is not asked for.
"""

import ctypes
import hashlib
import re
import types
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import carray
from numba import types as numba_types
from numba.core import config
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError

from engine.compiler.jit import FASTMATH
from engine.compiler.pointers import C_FUNCTION
from engine.equations.losses import COMPILED, CURVATURE, REMADE_BY, SLOPE, VALUE, KernelLoss

# As kernels are compiled: no test for a division by 0, sums and products in any order.
OPTIONS: dict[str, Any] = {"fastmath": FASTMATH, "error_model": "numpy"}
# What LLVM's optimised instructions hold if there is a way to allocate, or to raise an exception.
ALLOCATES = re.compile(r"call [^\n]*@NRT_(MemInfo_)?[aA]lloc")
RAISES = re.compile(r"store [^\n]*ptr %excinfo")


class LossFunctions(NamedTuple):
    """The compiled loops of a loss. The addresses are valid as long as `keeps` is alive."""

    for_float32: int
    for_float64: int
    has_curvature: bool
    keeps: Any


class UnusableLoss(ValueError):
    """A function that cannot be a loss; the message says why, and what to do."""


def plain_function(function: Any) -> Any:
    """The Python function that the user wrote, without Numba's decorator."""
    return function.py_func if isinstance(function, Dispatcher) else function


# What was compiled, by the digest of its code. It stays in memory for as long as the process:
# kernels hold the addresses.
COMPILED_LOSSES: dict[str, LossFunctions] = {}


def loss_functions(function: Callable[..., Any]) -> LossFunctions:
    """The compiled loops of a function, each function once. Raises UnusableLoss."""
    digest = digest_of(function)
    if digest not in COMPILED_LOSSES:
        found = interpreted(function) if config.DISABLE_JIT else compiled(function)
        COMPILED_LOSSES[digest] = found
        REMADE_BY[found.for_float64] = partial(kernel_loss_of, function)
    return COMPILED_LOSSES[digest]


def kernel_loss_of(function: Callable[..., Any], n_outputs: int) -> KernelLoss:
    """The loss as kernels take it, for so many output units."""
    found = loss_functions(function)
    none = np.zeros(n_outputs)
    return KernelLoss(COMPILED, none, 0.0, found.for_float32, found.for_float64)


def returns_curvature(loss: KernelLoss) -> bool:
    """Whether the function of that loss returns h as well."""
    known = COMPILED_LOSSES.values()
    return any(found.has_curvature for found in known if found.for_float64 == loss.for_float64)


def compiled(function: Callable[..., Any]) -> LossFunctions:
    """Compile a function of (z, y) for both dtypes."""
    name = function.__name__
    one_unit = numba.njit(forceinline=True, **OPTIONS)(function)
    addresses, loops = [], []
    n_results = 0
    for dtype in (numba_types.float32, numba_types.float64):
        try:
            n_results = number_of_results(one_unit, dtype, name)
            loop = numba.cfunc(
                numba_types.void(
                    numba_types.int64,
                    *[numba_types.CPointer(dtype)] * 3,
                    numba_types.int64,
                ),
                **OPTIONS,
            )(loop_over(one_unit, n_results))
        except NumbaError as error:
            raise UnusableLoss(
                f"Numba cannot compile the loss {name!r}: {first_line(error)} Write it as a "
                "function of two numbers (z, y), with arithmetic, if, and functions of math."
            ) from error
        refuse_what_kernels_cannot_call(loop.inspect_llvm(), name)
        addresses.append(int(loop.address))
        loops.append(loop)
    return LossFunctions(addresses[0], addresses[1], n_results == 3, (one_unit, loops))


def number_of_results(one_unit: Any, dtype: Any, name: str) -> int:
    """2 or 3: what the function returns for numbers of that type."""
    one_unit.compile((dtype, dtype))
    result = one_unit.overloads[(dtype, dtype)].signature.return_type
    parts = list(result) if isinstance(result, numba_types.BaseTuple) else []
    if len(parts) not in (2, 3) or not all(isinstance(one, numba_types.Number) for one in parts):
        raise UnusableLoss(
            f"The loss {name!r} must return two numbers, the cost and its derivative by z, or "
            f"three, with the curvature; it returns {result}."
        )
    return len(parts)


def first_line(error: Exception) -> str:
    """The part of Numba's message that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    found = [line for line in lines if not line.startswith(("Failed in", "During", "File"))]
    text = found[0] if found else type(error).__name__
    return re.sub(r"\x1b\[[0-9;]*m", "", text).rstrip(".") + "."


def refuse_what_kernels_cannot_call(llvm: str, name: str) -> None:
    """Refuse a loop that allocates memory or may raise: it runs without Python, in any thread."""
    if ALLOCATES.search(llvm):
        raise UnusableLoss(
            f"The loss {name!r} allocates memory for each sample, as lists and arrays do. Use "
            "numbers alone."
        )
    if RAISES.search(llvm):
        raise UnusableLoss(
            f"The loss {name!r} may raise an exception, which a compiled loop cannot pass on. "
            "Return NaN instead: a cost that is not finite stops training, with a message."
        )


def loop_over(one_unit: Any, n_results: int) -> Callable[..., None]:
    """The loop over a block of samples, for Numba to compile."""
    if n_results == 2:

        def loop(task, z_at, y_at, out_at, m):
            z, y, out = carray(z_at, m), carray(y_at, m), carray(out_at, m)
            if task == VALUE:
                for i in range(m):
                    out[i] = one_unit(z[i], y[i])[0]  # L15
            elif task == SLOPE:
                for i in range(m):
                    out[i] = one_unit(z[i], y[i])[1]  # L15

    else:

        def loop(task, z_at, y_at, out_at, m):
            z, y, out = carray(z_at, m), carray(y_at, m), carray(out_at, m)
            if task == VALUE:
                for i in range(m):
                    out[i] = one_unit(z[i], y[i])[0]  # L15
            elif task == SLOPE:
                for i in range(m):
                    out[i] = one_unit(z[i], y[i])[1]  # L15
            elif task == CURVATURE:
                for i in range(m):
                    out[i] = one_unit(z[i], y[i])[2]  # L15

    return loop


def interpreted(function: Callable[..., Any]) -> LossFunctions:
    """The same without a compiler (NUMBA_DISABLE_JIT=1): loops in Python, called the same way."""
    n_results = len(function(0.5, 0.5))
    loops = [python_loop(function, dtype) for dtype in (np.float32, np.float64)]
    addresses = [_address_of(loop) for loop in loops]
    return LossFunctions(addresses[0], addresses[1], n_results == 3, loops)


def python_loop(function: Callable[..., Any], dtype: Any) -> Any:
    """A C function that calls `function` for each number."""
    kind = ctypes.c_float if dtype == np.float32 else ctypes.c_double

    def loop(task: int, z_at: int, y_at: int, out_at: int, m: int) -> None:
        z, y, out = (
            np.ctypeslib.as_array((kind * m).from_address(at)) for at in (z_at, y_at, out_at)
        )
        for i in range(m):
            out[i] = function(z[i], y[i])[task]

    return C_FUNCTION(loop)


def _address_of(loop: Any) -> int:
    address = ctypes.cast(loop, ctypes.c_void_p).value
    assert address is not None
    return address


def digest_of(function: Callable[..., Any]) -> str:
    """A digest of a function's code and of all that it uses: equal for equal functions."""
    code = repr(_code_of(function.__code__, function, ()))
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def _code_of(code: types.CodeType, function: Any, inside: tuple[Any, ...]) -> list[Any]:
    constants = [
        _code_of(one, function, inside) if isinstance(one, types.CodeType) else repr(one)
        for one in code.co_consts
    ]
    captured = dict(zip(code.co_freevars, function.__closure__ or (), strict=False))
    used: list[Any] = []
    for name in (*code.co_names, *code.co_freevars):
        value = function.__globals__.get(name)
        if name in captured:
            value = captured[name].cell_contents
        value = plain_function(value)
        if isinstance(value, types.FunctionType) and value not in inside:
            used.append([name, _code_of(value.__code__, value, (*inside, function, value))])
        elif isinstance(value, bool | int | float | tuple | np.generic):
            used.append([name, repr(value)])
    return [code.co_code.hex(), constants, list(code.co_names), used]
