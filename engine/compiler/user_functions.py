"""A user's function of two numbers, compiled into a loop that kernels call by its address.

The loop runs without Python, in any thread. So a function that allocates memory or may raise an
exception is refused, with a message that says what to do. LLVM's instructions of the loop tell.
"""

import re
from collections.abc import Callable
from typing import Any

from numba import types
from numba.core import config
from numba.core.errors import NumbaError, UnsupportedBytecodeError

from engine.compiler.jit import FASTMATH
from engine.compiler.kernels import CFunction, InlinedKernel

# As kernels are compiled: no test for a division by 0, sums and products in any order.
OPTIONS: dict[str, Any] = {"fastmath": FASTMATH, "error_model": "numpy"}
# What LLVM's optimised instructions hold if there is a way to allocate, or to raise an exception.
ALLOCATES = re.compile(r"call [^\n]*@NRT_(Allocate|MemInfo_(alloc|new|varsize))")
IMPORTING = "IMPORT_NAME"  # an instruction of Python's
RAISES = re.compile(r"store [^\n]*ptr %excinfo")
ADVICE = "Use numbers, if, functions of math, and functions that numba.njit has decorated."


class UnusableLoss(ValueError):
    """A function that cannot be a loss; the message says why, and what to do."""


def compiled_loops(
    function: Callable[..., Any], loop_over: Callable[[Any, int], Callable[..., None]]
) -> tuple[dict[str, Any], int]:
    """Loops over float32 and float64 numbers, and how many results the function has, 2 or 3.

    `loop_over(function, n_results)` makes a loop (task, z_at, y_at, out_at, m) that calls the
    function. The addresses of the loops are valid as long as the loops are alive. Raises
    UnusableLoss.
    """
    name = function.__name__
    one_unit = InlinedKernel(function, {**OPTIONS, "forceinline": True})
    loops: dict[str, Any] = {}
    for dtype in (types.float32, types.float64):
        pointer = types.CPointer(dtype)
        signature = types.void(types.int64, pointer, pointer, pointer, types.int64)
        try:
            n_results = number_of_results(one_unit, dtype, name)
            loop = CFunction(loop_over(one_unit, n_results), signature, OPTIONS)
        except (NumbaError, UnsupportedBytecodeError) as error:
            refuse(name, imports=IMPORTING in str(error))
            raise UnusableLoss(
                f"Numba cannot compile the loss {name!r}: {first_line(error)} {ADVICE}"
            ) from error
        llvm = loop.inspect_llvm()
        # With NUMBA_BOUNDSCHECK=1 each loop may raise, for an index out of bounds.
        raises = RAISES.search(llvm) is not None and not config.BOUNDSCHECK
        refuse(name, allocates=ALLOCATES.search(llvm) is not None, raises=raises)
        loops[dtype.name] = loop
    return loops, n_results


def number_of_results(one_unit: Any, dtype: Any, name: str) -> int:
    """2 or 3: what the function returns for numbers of that type."""
    one_unit.compile((dtype, dtype))
    result = one_unit.overloads[(dtype, dtype)].signature.return_type
    if isinstance(result, types.Optional):
        raise UnusableLoss(wrong_result(name, "nothing on some path"))
    parts = list(result) if isinstance(result, types.BaseTuple) else []
    real = types.Integer | types.Float
    if len(parts) not in (2, 3) or not all(isinstance(one, real) for one in parts):
        raise UnusableLoss(wrong_result(name, str(result)))
    return len(parts)


def wrong_result(name: str, result: str) -> str:
    """The message for a function that returns something else than it should."""
    return (
        f"The loss {name!r} must return two numbers, the cost and its derivative by z, or "
        f"three, with the curvature; it returns {result}."
    )


def first_line(error: Exception) -> str:
    """The part of Numba's message that says what is wrong."""
    text = re.sub(r"\x1b\[[0-9;]*m|\.? Raised from .*", "", str(error))
    lines = [line.lstrip(" >").rstrip() for line in text.splitlines() if line.strip()]
    found = [line for line in lines if not line.startswith(("Failed in", "During", "File"))]
    first, *rest = found or [type(error).__name__]
    if first.endswith(":") and rest:  # "No implementation ... found for signature:"
        first = f"{first} {rest[0]}"
    return first.rstrip(".") + "."


def refuse(
    name: str, *, allocates: bool = False, raises: bool = False, imports: bool = False
) -> None:
    """Raise UnusableLoss, and say what to do, if one of these is so."""
    if imports:
        raise UnusableLoss(
            f"The loss {name!r} imports a module. Import modules outside of the function."
        )
    if allocates:
        raise UnusableLoss(
            f"The loss {name!r} allocates memory for each sample, as lists and arrays do. Use "
            "numbers alone."
        )
    if raises:
        raise UnusableLoss(
            f"The loss {name!r} may raise an exception, which a compiled loop cannot pass on. "
            "Return NaN instead: a cost that is not finite stops training, with a message."
        )
