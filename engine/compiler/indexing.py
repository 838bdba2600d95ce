"""Indices of kernels are not counted from the end.

A negative index counts from the end of an array. If the compiler cannot tell that an index is not
negative, Numba lets the code find out at each access: a load takes ten instructions instead of two,
and loops around it are often not vectorised. No kernel counts from the end with an index that is
computed, so here such an index is taken as it is. A constant one may be negative, as in units[-1].

With NUMBA_BOUNDSCHECK=1 a negative index raises IndexError, as any other that is out of bounds.
"""

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import imputils
from numba.np import arrayobj

registry = imputils.Registry("mlp-engine.indexing")


@registry.lower(operator.getitem, types.Array, types.Integer)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return _indexed(arrayobj.getitem_arraynd_intp, context, builder, signature, arguments)


@registry.lower(operator.getitem, types.Array, types.BaseTuple)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return _indexed(arrayobj.getitem_array_tuple, context, builder, signature, arguments)


@registry.lower(operator.setitem, types.Array, types.Integer, types.Any)
@registry.lower(operator.setitem, types.Array, types.BaseTuple, types.Any)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return _indexed(arrayobj.setitem_array, context, builder, signature, arguments)


def _indexed(access: Any, context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """An access as Numba has it, but with unsigned indices, which Numba takes as they are."""
    array_type, index_type, *others = signature.args
    array, index, *values = arguments
    index_type, index = unsigned(context, builder, index_type, index)
    types_of_all = (array_type, index_type, *others)
    return access(context, builder, signature.replace(args=types_of_all), (array, index, *values))


def unsigned(context: Any, builder: Any, kind: Any, index: Any) -> tuple[Any, Any]:
    """Type and value of an index, or of a tuple of indices, as unsigned numbers."""
    if isinstance(kind, types.BaseTuple):
        parts = [
            unsigned(context, builder, one, builder.extract_value(index, place))
            for place, one in enumerate(kind.types)
        ]
        kinds = types.Tuple([one for one, _ in parts])
        return kinds, context.make_tuple(builder, kinds, [value for _, value in parts])
    is_computed = isinstance(kind, types.Integer) and not isinstance(index, ir.Constant)
    if not is_computed or isinstance(kind, types.IntegerLiteral):
        return kind, index
    return types.uintp, context.cast(builder, index, kind, types.intp)
