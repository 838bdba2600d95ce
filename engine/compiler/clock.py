"""The time, in compiled code."""

import ctypes
import sys
import time
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

CLOCK = "mlp_engine_clock"  # the system's function, under a name of ours
WORD, INT32 = ir.IntType(64), ir.IntType(32)
ON_WINDOWS = sys.platform == "win32"


def nanoseconds():
    """Nanoseconds of a clock that never goes back; on Windows it ticks every 16 milliseconds."""
    return time.monotonic_ns()


def system_clock() -> Any:
    """The system's function: milliseconds on Windows, else clock_gettime."""
    if sys.platform == "win32":
        return ctypes.WinDLL("kernel32").GetTickCount64
    return ctypes.CDLL(None).clock_gettime


llvmlite.binding.add_symbol(CLOCK, ctypes.cast(system_clock(), ctypes.c_void_p).value)


@type_callable(nanoseconds)
def _(context: Any) -> Any:
    return lambda: types.int64


@lower_builtin(nanoseconds)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    if ON_WINDOWS:
        kind = ir.FunctionType(WORD, [])
        function = cgutils.get_or_insert_function(builder.module, kind, CLOCK)
        return builder.mul(builder.call(function, []), WORD(1_000_000))
    moment = ir.LiteralStructType([WORD, WORD])  # seconds and nanoseconds
    place = cgutils.alloca_once(builder, moment)
    kind = ir.FunctionType(INT32, [INT32, moment.as_pointer()])
    function = cgutils.get_or_insert_function(builder.module, kind, CLOCK)
    builder.call(function, [INT32(time.CLOCK_MONOTONIC), place])
    seconds, rest = (builder.extract_value(builder.load(place), part) for part in (0, 1))
    return builder.add(builder.mul(seconds, WORD(1_000_000_000)), rest)
