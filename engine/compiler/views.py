"""Parts of arrays, as views that cost a kernel nothing.

Numba wraps and clips both ends of each slice, and calls a C function for each reshape: in a step of
a small network that was a quarter of the time. Here a view is an address and a shape. Each
function is defined twice: in NumPy, which runs if kernels are interpreted and checks the bounds,
and as LLVM instructions for compiled kernels, which do not check them.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable
from numba.np.arrayobj import populate_array


def vector_at(numbers: Any, start: Any, n: Any) -> Any:
    """n numbers of an array in C order, counted through its rows, from number `start` on."""
    return _whole(numbers.reshape(numbers.size)[start : start + n], n)


def matrix_at(numbers: Any, start: Any, n_rows: Any, n_columns: Any) -> Any:
    """The same as a matrix, row after row."""
    return vector_at(numbers, start, n_rows * n_columns).reshape((n_rows, n_columns))


def rows_at(matrix: Any, first: Any, n: Any) -> Any:
    """n rows of a matrix in C order from `first` on."""
    return _whole(matrix[first : first + n], n)


def columns_before(matrix: Any, n: Any) -> Any:
    """The first n columns of a matrix in any memory order; the view's type leaves the order open.

    So W and W^T share compiled code.
    """
    return matrix[:, :n]


def _whole(found: Any, n: Any) -> Any:
    if len(found) != n:
        raise IndexError(f"a view of {n} reaches over the edge: {len(found)} are left")
    return found


@type_callable(vector_at)
def _(context: Any) -> Any:
    return lambda numbers, start, n: numbers.copy(ndim=1)


@lower_builtin(vector_at, types.Array, types.Integer, types.Integer)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return _view(context, builder, signature, arguments[0], arguments[1], [arguments[2]])


@type_callable(matrix_at)
def _(context: Any) -> Any:
    return lambda numbers, start, n_rows, n_columns: numbers.copy(ndim=2)


@lower_builtin(matrix_at, types.Array, types.Integer, types.Integer, types.Integer)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return _view(context, builder, signature, arguments[0], arguments[1], arguments[2:])


@type_callable(rows_at)
def _(context: Any) -> Any:
    return lambda matrix, first, n: matrix


@lower_builtin(rows_at, types.Array, types.Integer, types.Integer)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    matrix, first, n = arguments
    of_rows = context.make_array(signature.args[0])(context, builder, matrix)
    _, n_columns = cgutils.unpack_tuple(builder, of_rows.shape, 2)
    start = builder.mul(first, n_columns)
    return _view(context, builder, signature, matrix, start, [n, n_columns])


@type_callable(columns_before)
def _(context: Any) -> Any:
    return lambda matrix, n: matrix.copy(layout="A")


@lower_builtin(columns_before, types.Array, types.Integer)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    matrix, n = arguments
    view = context.make_array(signature.args[0])(context, builder, matrix)
    n_rows, _ = cgutils.unpack_tuple(builder, view.shape, 2)
    view.shape = cgutils.pack_array(builder, [n_rows, n])
    return view._getvalue()


def _view(context: Any, builder: Any, signature: Any, array: Any, start: Any, shape: Any) -> Any:
    """An array in C order over the numbers of another in C order, from number `start` on."""
    whole = context.make_array(signature.args[0])(context, builder, array)
    result_type = signature.return_type
    view = context.make_array(result_type)(context, builder)
    bytes_each = context.get_abi_sizeof(context.get_data_type(result_type.dtype))
    step = ir.Constant(ir.IntType(64), bytes_each)
    strides: list[Any] = []
    for length in reversed(list(shape)):
        strides.insert(0, step)
        step = builder.mul(step, length)
    populate_array(
        view,
        data=builder.gep(whole.data, [start]),
        shape=cgutils.pack_array(builder, list(shape)),
        strides=cgutils.pack_array(builder, strides),
        itemsize=ir.Constant(ir.IntType(64), bytes_each),
        meminfo=None,
    )
    return view._getvalue()
