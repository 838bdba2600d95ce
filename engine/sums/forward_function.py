"""The forward pass of one sample as a function of its own, for compiled loops of the user's.

    as F1           Z = W A_prev + b
    as F2 ... F7    A = g(Z), by the functions of engine/equations/activations.py

There is one sample, so a vector holds units: layer l is a row (1, n_l), padded to a whole number of
vectors. The numbers of units are known to the compiler, and the weights are copied into the order
in which they are read. The layers are inlined into one function, which has its workspace on the
stack: it allocates nothing, and any number of threads may be in it at once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types
from numba.core import registry
from numba.core.errors import TypingError
from numba.extending import overload
from numpy.typing import NDArray

from engine.compiler import tiles
from engine.compiler.fixed_arrays import at_address, on_stack
from engine.compiler.jit import OPTIONS, inlined, part
from engine.compiler.kernels import CFunction
from engine.compiler.pointers import call_with_vectors, vector_with_stride
from engine.compiler.views import matrix_at
from engine.equations import elementary
from engine.equations.activations import activate_tiled
from engine.equations.layout import parameters_of
from engine.equations.products import FOUR, ONE
from engine.equations.units import IDENTITY, SOFTMAX
from engine.sums.blocks import aligned
from engine.sums.samples import Layers

# What a call may take of the stack: a quarter of the 512 KiB that a thread has on macOS.
STACK_BYTES = 2**17
# Layers of so few units are sums over the units below, a vector of these at a time. In wider ones
# each number of a vector is a unit. 20-100-1 took 188 ns by the first and 272 by the second.
NARROW = 4

Function = Callable[..., Any]


def stack_bytes(layers: Layers, dtype: Any) -> int:
    """What a call keeps on its stack: the workspace, and the exponentials of softmax."""
    widths = [padded(int(size), dtype) for size in layers.sizes]
    return (sum(widths) + widths[-1]) * int(np.dtype(dtype).itemsize)


def lanes_of(dtype: Any) -> int:
    """Numbers in a vector."""
    return tiles.VECTOR_BYTES // int(np.dtype(dtype).itemsize)


def padded(n_units: int, dtype: Any) -> int:
    """The next whole number of vectors, in numbers."""
    n_lanes = lanes_of(dtype)
    return -(-n_units // n_lanes) * n_lanes


def forward_function(layers: Layers, theta: NDArray[Any]) -> Function:
    """forward(x, out), which leaves A[L] of the sample x (n_0,) in out (n_L,); theta is copied."""
    n_in, n_out = int(layers.sizes[0]), int(layers.sizes[-1])
    wrong = (
        f"forward(x, out) needs x of length {n_in} and out of length {n_out}; got another length"
    )
    dtype = theta.dtype.type
    place = Place(0, padded(n_in, theta.dtype))
    activations = inputs(n_in)
    for l, unit in enumerate(layers.units, start=1):
        W, b = parameters_of(theta, layers.sizes, l)
        below, place = place, Place(place.start + place.width, padded(len(b), b.dtype))
        activations = with_layer(activations, below, place, W, b, unit)
    workspace = on_stack(place.start + place.width, theta.dtype)
    start = place.start

    @part
    def one_sample(x, out):
        A = workspace()
        activations(x, A)
        for j in range(n_out):
            out[j] = A[start + j]

    compute = one_sample
    if not numba.config.DISABLE_JIT:
        compute = called_by_users(one_sample, n_in, n_out, theta.dtype)

    def forward(x, out):
        """Leave the activations of the output layer for the sample x in out."""
        require_vectors(x, out, dtype)
        if x.size != n_in or out.size != n_out:
            raise ValueError(wrong)
        compute(x, out)

    return forward if numba.config.DISABLE_JIT else ForwardFunction(forward, layers, theta.copy())


def called_by_users(one_sample: Function, n_in: int, n_out: int, dtype: Any) -> Function:
    """A function of the user's target that calls one (x, out) of the kernels' target.

    Both have their own code generator, so one calls the other by its address.
    """
    number = numba.from_dtype(np.dtype(dtype))
    pointer = types.CPointer(number)

    def at_addresses(x_at, x_step, out_at, out_step):
        x, out = vector_with_stride(x_at, n_in, x_step), vector_with_stride(out_at, n_out, out_step)
        one_sample(x, out)

    signature = types.void(pointer, types.int64, pointer, types.int64)
    made = CFunction(at_addresses, signature, OPTIONS)
    address = at_address(np.array([made.address]), keeps=made)

    @inlined
    def compute(x, out):
        call_with_vectors(address[0], x, out)

    return compute


class ForwardFunction(registry.CPUDispatcher):  # type: ignore[misc]
    """A compiled `forward`, which is pickled as what it was made of."""

    def __init__(self, forward: Function, layers: Layers, theta: NDArray[Any]) -> None:
        # LLVM decides whether callers call it or inline it.
        options = {"error_model": "numpy", "nogil": True, "_nrt": False, "nopython": True}
        super().__init__(forward, targetoptions=options)
        self._made_of = layers, theta

    def _compile_for_args(self, *arguments: Any, **named: Any) -> Any:
        """Refuse what Python passes and cannot be compiled for, such as lists, by name."""
        if len(arguments) == 2 and not named:
            require_vectors(*arguments, self._made_of[1].dtype.type)
        return super()._compile_for_args(*arguments, **named)

    def __reduce__(self) -> tuple[Any, ...]:
        return forward_function, self._made_of


class Place(NamedTuple):
    """Where a layer lies in the workspace: a whole number of vectors."""

    start: int
    width: int


def inputs(n_in: int) -> Function:
    """(x, A): A[0] = x."""

    @part
    def activations(x, A):
        for k in range(n_in):
            A[k] = x[k]

    return activations


def with_layer(
    below: Function, prev: Place, place: Place, W: NDArray[Any], b: NDArray[Any], unit: int
) -> Function:
    """(x, A): leave A[0] ... A[l] in A; `below` leaves those below l."""
    affine = (affine_narrow if len(b) <= NARROW else affine_wide)(W, b)
    activate = activation(unit, len(b), b.dtype)
    (start_below, width_below), (start, width) = prev, place

    @part
    def activations(x, A):
        below(x, A)
        Z = matrix_at(A, start, 1, width)
        affine(matrix_at(A, start_below, 1, width_below), Z)
        activate(Z)

    return activations


def padded_copy(matrix: NDArray[Any]) -> NDArray[Any]:
    """A copy whose rows are padded to a whole number of vectors, on the boundary of one."""
    n_rows, n_columns = matrix.shape
    copy = aligned((n_rows, padded(n_columns, matrix.dtype)), matrix.dtype)
    copy[:, :n_columns] = matrix
    copy[:, n_columns:] = 0
    return copy


def affine_wide(W: NDArray[Any], b: NDArray[Any]) -> Function:
    """(A_prev, Z): Z = W A_prev + b, some vectors of units at a time.  n_out n_in multiply-adds."""
    weights, bias = at_address(padded_copy(W.T)), at_address(padded_copy(b[np.newaxis, :]))
    width = padded(len(b), b.dtype)
    n_lanes = lanes_of(b.dtype)
    fours = width - width % (4 * n_lanes)

    @inlined
    def affine(A_prev, Z):
        for j in range(0, fours, 4 * n_lanes):
            accumulate_units(weights, bias, A_prev, Z, j, FOUR)
        for j in range(fours, width, n_lanes):
            accumulate_units(weights, bias, A_prev, Z, j, ONE)

    return affine


@inlined
def accumulate_units(W, b, A_prev, Z, j, vectors):
    """Z of the units from j on; W (n_in, n_out) is transposed."""
    tile = tiles.load(b, 0, j, ONE, vectors)
    for k in range(W.shape[0]):
        tile = tiles.add_outer_product(tile, A_prev, 0, k, W, j)  # as F1
    tiles.store(tile, Z, 0, j)


def affine_narrow(W: NDArray[Any], b: NDArray[Any]) -> Function:
    """(A_prev, Z): Z = W A_prev + b, unit by unit.  n_out n_in multiply-adds."""
    weights, bias = at_address(padded_copy(W)), at_address(padded_copy(b[np.newaxis, :]))
    (n_out, n_in), width = W.shape, padded(len(b), b.dtype)
    zero = b.dtype.type(0)

    @inlined
    def affine(A_prev, Z):
        for j in range(width):
            Z[0, j] = bias[0, j]
        for j in range(n_out):
            z = zero
            for k in range(n_in):
                z += weights[j, k] * A_prev[0, k]  # as F1
            Z[0, j] += z

    return affine


def activation(unit: int, n_units: int, dtype: Any) -> Function:
    """(Z): A = g(Z) of a layer, in place."""
    if unit == IDENTITY:
        return nothing
    if unit == SOFTMAX:
        return softmax_of(n_units, dtype)
    # Literals would compile another variant.
    code, m = np.int64(unit), np.int64(padded(n_units, dtype))

    @inlined
    def activate(Z):
        activate_tiled(code, Z, Z, m)

    return activate


@inlined
def nothing(Z):
    """As F5: A = Z."""


def softmax_of(n_units: int, dtype: Any) -> Function:
    """(Z): a_j = e^(z_j - max) / sum_j' e^(z_j' - max), in place."""
    width, zero = padded(n_units, dtype), np.dtype(dtype).type(0)
    numerators = on_stack(width, dtype)

    @inlined
    def activate(Z):
        e, largest, total = numerators(), Z[0, 0], zero
        for j in range(1, n_units):
            largest = largest if Z[0, j] <= largest else Z[0, j]
        for j in range(width):  # whole vectors; the padding is not used
            e[j] = elementary.exp(Z[0, j] - largest)
        for j in range(n_units):
            total += e[j]
        for j in range(n_units):
            Z[0, j] = e[j] / total  # as F6

    return activate


def require_vectors(x: Any, out: Any, dtype: Any) -> None:
    """Refuse x and out that are no vectors of that dtype; compiled, when their types are known."""
    for name, vector in (("x", x), ("out", out)):
        is_array = isinstance(vector, np.ndarray)
        is_vector = is_array and vector.ndim == 1
        if not is_vector or vector.dtype != dtype or (name == "out" and not vector.flags.writeable):
            found = f"{vector.dtype} {vector.shape}" if is_array else type(vector).__name__
            raise TypeError(refusal(name, np.dtype(dtype).name, found))


@overload(require_vectors, jit_options=OPTIONS, strict=False)
def _(x: Any, out: Any, dtype: Any) -> Any:
    number = dtype.dtype
    for name, vector in (("x", x), ("out", out)):
        is_vector = isinstance(vector, types.Array) and vector.ndim == 1
        if not is_vector or vector.dtype != number or (name == "out" and not vector.mutable):
            raise TypingError(refusal(name, number, vector))
    return lambda x, out, dtype: None


def refusal(name: str, dtype: Any, found: Any) -> str:
    """What was expected of an argument, what came, and what to do."""
    what = "an array to write to" if name == "out" else "a sample"
    return (
        f"forward(x, out): {name} must be {what} of one dimension and of dtype {dtype}, the "
        f"network's; got {found}. Make an array of that dtype once, outside of your loop."
    )
