"""Subnormal numbers are treated as zeros while a kernel runs.

With numbers closer to zero than the smallest normal one (1.2e-38 in float32, 2.2e-308 in float64),
some processors take a hundred cycles for an operation. Training produces them: the moments of a
unit that no longer learns shrink by a constant factor in each step, and rounding then keeps them at
a few units in the last place. Two bits of a per-thread control word make a processor treat such
numbers as zeros:

    x86       MXCSR   bit 15, results (FTZ)   bit 6, operands (DAZ)
    aarch64   FPCR    bit 24, both (FZ)

`flush_subnormals` sets them and returns the previous word, which `restore` puts back before the
kernel ends. No Python code runs in between, where an interrupt could leave the bits set. In
interpreted code, and on other processors, both functions do nothing.
"""

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

FTZ_DAZ = 1 << 15 | 1 << 6
FZ = 1 << 24

INT32, INT64 = ir.IntType(32), ir.IntType(64)


def flush_subnormals():
    """Treat subnormals as zeros in this thread from now on; return the previous control word."""
    return 0


def restore(control_word):
    """Set the control word that `flush_subnormals` returned."""


@type_callable(flush_subnormals)
def _(context: Any) -> Any:
    return lambda: types.int64


@lower_builtin(flush_subnormals)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return set_bits(builder, llvmlite.binding.get_process_triple())


@type_callable(restore)
def _(context: Any) -> Any:
    return lambda control_word: types.none


@lower_builtin(restore, types.Integer)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    put_back(builder, llvmlite.binding.get_process_triple(), arguments[0])
    return context.get_dummy_value()


def set_bits(builder: Any, triple: str) -> Any:
    """Instructions that set the bits on that target; returns the previous word, 64 bits."""
    if is_x86(triple):
        place = cgutils.alloca_once(builder, INT32)
        access_mxcsr(builder, "st", place)
        before = builder.load(place)
        builder.store(builder.or_(before, INT32(FTZ_DAZ)), place)
        access_mxcsr(builder, "ld", place)
        return builder.zext(before, INT64)
    if is_aarch64(triple):
        before = builder.call(intrinsic(builder, "aarch64.get.fpcr", INT64, []), [])
        write_fpcr(builder, builder.or_(before, INT64(FZ)))
        return before
    return INT64(0)


def put_back(builder: Any, triple: str, control_word: Any) -> None:
    """Instructions that set the control word to a previous one."""
    if is_x86(triple):
        place = cgutils.alloca_once(builder, INT32)
        builder.store(builder.trunc(control_word, INT32), place)
        access_mxcsr(builder, "ld", place)
    elif is_aarch64(triple):
        write_fpcr(builder, control_word)


def is_x86(triple: str) -> bool:
    return triple.startswith(("x86_64", "i686"))


def is_aarch64(triple: str) -> bool:
    return triple.startswith(("aarch64", "arm64"))


def access_mxcsr(builder: Any, way: str, place: Any) -> None:
    """Store ("st") the control word in memory, or load ("ld") it from there."""
    pointer = ir.IntType(8).as_pointer()
    function = intrinsic(builder, f"x86.sse.{way}mxcsr", ir.VoidType(), [pointer])
    builder.call(function, [builder.bitcast(place, pointer)])


def write_fpcr(builder: Any, control_word: Any) -> None:
    function = intrinsic(builder, "aarch64.set.fpcr", ir.VoidType(), [INT64])
    builder.call(function, [control_word])


def intrinsic(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """One of LLVM's functions that become a single instruction."""
    function_type = ir.FunctionType(result, arguments)
    return cgutils.get_or_insert_function(builder.module, function_type, f"llvm.{name}")
