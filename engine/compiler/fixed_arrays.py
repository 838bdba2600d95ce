"""Arrays that a compiled function has without being passed them.

    at_address(array)       an array that machine code finds at its address
    on_stack(n, dtype)      a function that gives n numbers on the stack of the call

Neither allocates, nor counts references, and the compiler knows the shape.

Numba itself copies an array that a function refers to into the machine code, byte by byte, which
takes long for large arrays. It then keeps the bytes in the caches of `@njit(cache=True)`, where it
does not notice that they have changed. With an address in it, it keeps no machine code.
"""

import functools
import weakref
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_constant
from numba.extending import intrinsic, models, register_model, typeof_impl
from numba.np.arrayobj import populate_array
from numpy.typing import NDArray

CACHE_LINE_BYTES = 64
INT64 = ir.IntType(64)


class AtAddress:
    """A constant of compiled functions: an array in C order, which they must not write to."""

    def __init__(self, array: NDArray[Any], keeps: Any) -> None:
        self.array, self.keeps = array, keeps


def at_address(array: NDArray[Any], keeps: Any = None) -> Any:
    """`array` as compiled functions refer to it; it lives as long as their machine code.

    So does what it `keeps`, as its numbers may be addresses.
    """
    return array if numba.config.DISABLE_JIT else AtAddress(array, keeps)


class AddressedArray(types.Array):  # type: ignore[misc]
    """The type of such a constant."""

    def __init__(self, dtype: Any, ndim: int) -> None:
        name = f"AddressedArray({dtype}, {ndim})"
        super().__init__(dtype, ndim, "C", readonly=True, name=name)

    def copy(self, *changes: Any, **named_changes: Any) -> Any:
        """As Numba's, which asks for a read-only copy of each constant: this is one already."""
        changed = super().copy(*changes, **named_changes)
        return self if changed.key == self.key else changed


register_model(AddressedArray)(models.ArrayModel)


@typeof_impl.register(AtAddress)
def _(constant: AtAddress, context: Any) -> AddressedArray:
    return AddressedArray(numba.from_dtype(constant.array.dtype), constant.array.ndim)


@lower_constant(AddressedArray)
def _(context: Any, builder: Any, array_type: Any, constant: AtAddress) -> Any:
    array = constant.array
    address = context.add_dynamic_addr(builder, array.ctypes.data, info="at_address")
    # The libraries of callers keep this one, which their machine code was made of.
    weakref.finalize(context.active_code_library, release, array, constant.keeps).atexit = False
    return view(context, builder, array_type, address, array.shape)


def release(array: NDArray[Any], keeps: Any) -> None:
    """Called once no machine code refers to an array; until then both are kept for this call."""


@functools.cache  # Numba keeps each of these functions
def on_stack(n: int, dtype: Any) -> Callable[[], Any]:
    """A function that gives an array (n,) of any content, on the boundary of a cache line.

    A function that is inlined uses the stack of its caller.
    """
    if numba.config.DISABLE_JIT:
        return lambda: np.empty(n, dtype)

    def memory(context: Any) -> Any:
        return types.Array(numba.from_dtype(np.dtype(dtype)), 1, "C")(), lower

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.get_value_type(signature.return_type.dtype)
        address = cgutils.alloca_once(builder, number, size=n)
        address.align = CACHE_LINE_BYTES
        return view(context, builder, signature.return_type, address, (n,))

    found: Callable[[], Any] = intrinsic(memory)
    return found


def view(context: Any, builder: Any, array_type: Any, address: Any, shape: tuple[int, ...]) -> Any:
    """An array in C order of that shape, at an address."""
    found = context.make_array(array_type)(context, builder)
    itemsize = array_type.dtype.bitwidth // 8
    strides = [itemsize * int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    populate_array(
        found,
        data=builder.bitcast(address, found.data.type),
        shape=cgutils.pack_array(builder, [INT64(length) for length in shape]),
        strides=cgutils.pack_array(builder, [INT64(stride) for stride in strides]),
        itemsize=INT64(itemsize),
        meminfo=None,
    )
    return found._getvalue()
