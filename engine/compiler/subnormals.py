"""Subnormal numbers as zeros, while a kernel runs.

Numbers nearer to zero than the smallest normal one (1.2e-38 in float32, 2.2e-308 in float64) take
some processors a hundred cycles an operation. Training arrives there: the moments of a unit that
no longer learns shrink by a factor a step, and stay, rounded, at a few units of the last place. A
processor can take such numbers for zeros, by two bits of a control word that each thread has:

    x86       MXCSR   bit 15, results (FTZ)   bit 6, operands (DAZ)
    aarch64   FPCR    bit 24, both (FZ)

`flush_subnormals` sets them and returns the word as it was, which `restore` puts back before the
kernel ends: no Python, which an interrupt may end anywhere, runs in between. Interpreted, and on
other processors, both do nothing.
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
    """Take subnormals for zeros in this thread from now on. Returns the control word before."""
    return 0


def restore(control_word):
    """Round as the control word says, one that `flush_subnormals` returned."""


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
    """Instructions that set the bits on a processor of that triple; the word before, 64 bits."""
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
    """Instructions that make that word the control word again."""
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
