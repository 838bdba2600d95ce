"""Calls of a kernel whose arguments are unpacked once, for kernels that are called very often.

Numba's wrapper for Python unpacks each argument in each call: 1 us for the 40 arrays of a training
step, which takes less than that for a small network. Arrays that stay where they are need it once.
Their addresses and lengths are written into a block of words, and a small function in machine code
loads them and calls the kernel's own machine code. So nothing is compiled anew but that function
(some milliseconds a process and signature), and the bits are those of any other call.

`call_prepared` makes such a call, from Python or from another kernel.
"""

import functools
import struct
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import lower_builtin, type_callable

from engine.compiler.kernels import Kernel
from engine.compiler.target import target_of_kernels

WORD = ir.IntType(64)
FAILED = -1  # what a call returns if the kernel raised an error, as with bounds checks
NAME = "call_with_words"


class PreparedCall:
    """A call of a kernel, which returns a whole number, with these arguments.

    Parameters
    ----------
    kernel : Kernel or function
        A function under ``NUMBA_DISABLE_JIT=1``.
    arguments : tuple
        Arrays in C order, numbers, None, and tuples of these. Whoever makes calls keeps the
        arrays: their memory is what the kernel reads and writes, without counting references.

    Attributes
    ----------
    address : int or callable
        Of the function that makes the call; the function itself where nothing is compiled.
    words : int
        The address of the arguments; 0 where nothing is compiled.
    """

    def __init__(self, kernel: Any, arguments: tuple[Any, ...]) -> None:
        self.arguments = arguments
        if not isinstance(kernel, Kernel):
            self.address: Any = lambda words: int(kernel(*arguments))
            self.words = 0
            return
        signature = tuple(kernel.typeof_pyval(argument) for argument in arguments)
        self.address = address_for(kernel, signature)
        self._memory = np.array(words_of(arguments), np.uint64)
        self.words = address_of(self._memory)


def call_prepared(address: Any, words: Any) -> Any:
    """Make a prepared call; returns what the kernel does."""
    return address(words)


@type_callable(call_prepared)
def _(context: Any) -> Any:
    return lambda address, words: types.int64


@lower_builtin(call_prepared, types.Integer, types.Integer)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    address, words = arguments
    kind = ir.FunctionType(WORD, [WORD])
    return builder.call(builder.inttoptr(address, kind.as_pointer()), [words])


def words_of(value: Any) -> list[int]:
    """A kernel's argument as words: of an array its address and its lengths.

    In the order of `engine.compiler.passed_arrays`.
    """
    if isinstance(value, tuple):
        return [word for part in value for word in words_of(part)]
    if isinstance(value, np.ndarray):
        if not value.flags.c_contiguous:
            raise ValueError("A prepared call takes arrays in C order.")
        return [address_of(value), *value.shape]
    if isinstance(value, float):
        return [int.from_bytes(struct.pack("<d", value), "little")]
    return [0 if value is None else int(value) % 2**64]


def address_of(array: Any) -> int:
    """The address of an array's numbers."""
    address: int = array.__array_interface__["data"][0]
    return address


@functools.cache
def address_for(kernel: Kernel, signature: tuple[Any, ...]) -> int:
    """The address of the function that loads arguments of these types, and calls the kernel."""
    if signature not in kernel.overloads:
        kernel.compile(signature)
    compiled = kernel.overloads[signature]
    with global_compiler_lock:
        library, address = library_of(compiled)
    _libraries.append(library)
    return address


_libraries: list[Any] = []  # machine code lives as long as its library


def library_of(compiled: Any) -> tuple[Any, int]:
    """The machine code of that function, and its address."""
    context, description = target_of_kernels.target_context, compiled.fndesc
    callee = compiled.library.get_pointer_to_function(description.llvm_func_name)
    kind = context.call_conv.get_function_type(description.restype, description.argtypes)
    library = context.codegen().create_library(NAME)
    module = library.create_ir_module(NAME)
    function = ir.Function(module, ir.FunctionType(WORD, [WORD]), f"{NAME}_{len(_libraries)}")
    builder = ir.IRBuilder(function.append_basic_block())
    words = builder.inttoptr(function.args[0], WORD.as_pointer())
    of_result, of_error = kind.args[:2]
    result, error = builder.alloca(of_result.pointee), builder.alloca(of_error.pointee)
    arguments = [
        argument_from(builder, builder.load(builder.gep(words, [WORD(place)])), type_)
        for place, type_ in enumerate(kind.args[2:])
    ]
    pointer = builder.inttoptr(WORD(callee), kind.as_pointer())
    status = builder.call(pointer, [result, error, *arguments])
    fine = builder.icmp_signed("==", status, status.type(0))
    builder.ret(builder.select(fine, builder.load(result), WORD(FAILED)))
    library.add_ir_module(module)
    library.finalize()
    return library, library.get_pointer_to_function(function.name)


def argument_from(builder: Any, word: Any, type_: Any) -> Any:
    """A word as an argument of that type."""
    if isinstance(type_, ir.PointerType):
        return builder.inttoptr(word, type_)
    if isinstance(type_, ir.DoubleType):
        return builder.bitcast(word, type_)
    if isinstance(type_, ir.IntType):
        return word if type_.width == WORD.width else builder.trunc(word, type_)
    raise TypeError(f"A prepared call takes no argument of type {type_}.")
