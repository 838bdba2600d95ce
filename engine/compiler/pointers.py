"""What kernels reach by its address: a loss that a user has written, and arrays of many networks.

A kernel that called a user's function by name would be compiled anew for each function. So the
function is compiled by itself, as

    void loss(int64 task, T *z, T *y, T *out, int64 m)

with T = float or double, and kernels get its address as a number. `call_loss` is defined twice, as
are the views of `views.py`: for Python, and as LLVM instructions for compiled kernels.
"""

import ctypes
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable
from numba.np.arrayobj import populate_array

# task, z, y, out, m
C_FUNCTION = ctypes.CFUNCTYPE(
    None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64
)


def call_loss(address: Any, task: Any, z: Any, y: Any, out: Any, m: Any) -> None:
    """Let the function at `address` fill `out` (m,) from z and y (m,), all C-contiguous."""
    C_FUNCTION(int(address))(task, z.ctypes.data, y.ctypes.data, out.ctypes.data, m)


@type_callable(call_loss)
def _(context: Any) -> Any:
    return lambda address, task, z, y, out, m: types.none


@lower_builtin(
    call_loss,
    types.Integer,
    types.Integer,
    types.Array,
    types.Array,
    types.Array,
    types.Integer,
)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    address, task, *arrays, m = arguments
    data = [
        context.make_array(one)(context, builder, array).data
        for one, array in zip(signature.args[2:5], arrays, strict=True)
    ]
    task = context.cast(builder, task, signature.args[1], types.int64)
    m = context.cast(builder, m, signature.args[5], types.int64)
    _call(builder, address, task, data, m)
    return context.get_dummy_value()


def numbers_at(address: Any, n: Any, like: Any) -> Any:
    """The n numbers that lie at an address one after the other, of the dtype of the array `like`.

    So a kernel can take arrays of which there are as many as networks side by side.
    """
    kind = np.ctypeslib.as_ctypes_type(like.dtype)
    return np.ctypeslib.as_array((kind * int(n)).from_address(int(address)))


@type_callable(numbers_at)
def _(context: Any) -> Any:
    return lambda address, n, like: types.Array(like.dtype, 1, "C")


@lower_builtin(numbers_at, types.Integer, types.Integer, types.Array)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    address, n, _ = arguments
    array_type = signature.return_type
    number = context.get_data_type(array_type.dtype)
    itemsize = ir.Constant(ir.IntType(64), array_type.dtype.bitwidth // 8)
    n = context.cast(builder, n, signature.args[1], types.intp)
    data = builder.inttoptr(address, number.as_pointer())
    return _vector(context, builder, array_type, data, n, itemsize)


def call_loss_once(address: Any, task: Any, z: Any, y: Any) -> Any:
    """The same for one pair of numbers, of one dtype; returns what the function fills in."""
    of_z, of_y, found = (np.array([number]) for number in (z, y, z))
    call_loss(address, task, of_z, of_y, found, 1)
    return found[0]


@type_callable(call_loss_once)
def _(context: Any) -> Any:
    return lambda address, task, z, y: z


@lower_builtin(call_loss_once, types.Integer, types.Integer, types.Float, types.Float)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    address, task, z, y = arguments
    places = [cgutils.alloca_once_value(builder, number) for number in (z, y, z)]
    one = ir.Constant(ir.IntType(64), 1)
    task = context.cast(builder, task, signature.args[1], types.int64)
    _call(builder, address, task, places, one)
    return builder.load(places[2])


def _call(builder: Any, address: Any, task: Any, data: list[Any], m: Any) -> None:
    word = ir.IntType(64)
    kind = ir.FunctionType(ir.VoidType(), [word, *(pointer.type for pointer in data), word])
    builder.call(builder.inttoptr(address, kind.as_pointer()), [task, *data, m])


def vector_with_stride(start: Any, n: Any, stride: Any) -> Any:
    """The n numbers from a pointer on, at a distance of so many bytes; for compiled code alone."""
    raise NotImplementedError


@type_callable(vector_with_stride)
def _(context: Any) -> Any:
    return lambda start, n, stride: types.Array(start.dtype, 1, "A")


@lower_builtin(vector_with_stride, types.CPointer, types.Integer, types.Integer)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    start, n, stride = arguments
    n = context.cast(builder, n, signature.args[1], types.intp)
    return _vector(context, builder, signature.return_type, start, n, stride)


def _vector(context: Any, builder: Any, array_type: Any, data: Any, n: Any, stride: Any) -> Any:
    """An array of one dimension: n numbers from a pointer on, at a distance of so many bytes."""
    found = context.make_array(array_type)(context, builder)
    populate_array(
        found,
        data=data,
        shape=cgutils.pack_array(builder, [n]),
        strides=cgutils.pack_array(builder, [stride]),
        itemsize=ir.Constant(ir.IntType(64), array_type.dtype.bitwidth // 8),
        meminfo=None,
    )
    return found._getvalue()


def call_with_vectors(address: Any, x: Any, out: Any) -> None:
    """Call a function of C with address and stride of two vectors; for compiled code alone."""
    raise NotImplementedError


@type_callable(call_with_vectors)
def _(context: Any) -> Any:
    return lambda address, x, out: types.none


@lower_builtin(call_with_vectors, types.Integer, types.Array, types.Array)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    address, *vectors = arguments
    words: list[Any] = []
    for kind, vector in zip(signature.args[1:], vectors, strict=True):
        array = context.make_array(kind)(context, builder, vector)
        words += [array.data, *cgutils.unpack_tuple(builder, array.strides, 1)]
    function_type = ir.FunctionType(ir.VoidType(), [word.type for word in words])
    builder.call(builder.inttoptr(address, function_type.as_pointer()), words)
    return context.get_dummy_value()
