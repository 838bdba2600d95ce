"""Tiles: blocks of numbers that stay in vector registers while a kernel sums into them.

A compiler vectorises the innermost loop, and writes its sums back to memory in each iteration. To
keep a small block of a matrix product in registers through the whole sum, as BLAS does, the loop
has to be written in vectors. So that the kernels still read as the equations do, this
module gives Numba one more type, the tile, and the few operations that the two micro-kernels need:

    tile of Z      rows j ... j + R - 1,  samples s ... s + V LANES - 1         R x V vectors
    tile of dW     rows j ... j + R - 1,  columns k ... k + C - 1               R x C vectors of
                   LANES partial sums each, over samples s, s + LANES, ...

A vector is a register of the processor with 64, 32 or 16 bytes; each of its `lanes` holds a number.
The number of registers limits the size of a tile. The number of rows and columns of a tile is part
of its type; kernels pass it as the length of a tuple, `rows=(0, 1, 2, 3)`, which is part of the
type too.

Each operation is defined twice: in NumPy, which runs if kernels are interpreted and documents what
is computed, and further below as LLVM instructions for compiled kernels. Sums are fused
multiply-adds if the processor has them. Compiled code does not check indices; the NumPy twins do.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, models, register_model, type_callable

from engine.compiler.target import processor_class

CACHE_LINE_BYTES = 64


# A tile that needs more registers than there are is spilled to memory, and the kernel runs at a
# fifth of its speed: tiles for 32 registers reached 18 GF/s with 16 of them, tiles for 16 reach 86.
VECTOR_BYTES, REGISTERS = processor_class().vector_bytes, processor_class().registers
CONTRACT = ("contract",)  # a product and a sum may become one fused multiply-add; no other freedom


def lanes(A):
    """Numbers of A's dtype in a vector."""
    return VECTOR_BYTES // A.itemsize


def zeros(A, rows, columns):
    """A tile of zeros, of A's dtype."""
    return np.zeros((len(rows), len(columns) * lanes(A)), A.dtype)


def spread(b, j, rows, columns):
    """A tile whose row r is b[j + r] throughout."""
    return np.repeat(exactly(b[j : j + len(rows)], len(rows))[:, None], len(columns) * lanes(b), 1)


def load(Z, j, s, rows, columns):
    """The tile of Z from row j and sample s on."""
    return block(Z, j, len(rows), s, len(columns) * lanes(Z)).copy()


def store(tile, Z, j, s):
    """Z[j ..., s ...] = tile."""
    block(Z, j, tile.shape[0], s, tile.shape[1])[:] = tile


def add_outer_product(tile, W, j, k, A, s):
    """tile + W[j ..., k] A[k, s ...]: a column of W times a row of A."""
    column = block(W, j, tile.shape[0], k, 1)
    row = block(A, k, 1, s, tile.shape[1])
    return tile + column * row


def add_products(tile, dZ, j, A, k, s):
    """tile + the products of rows j ... of dZ with rows k ... of A, over one vector of samples."""
    n_columns = tile.shape[1] // lanes(A)
    left = block(dZ, j, tile.shape[0], s, lanes(A))
    right = block(A, k, n_columns, s, lanes(A))
    products = left[:, None, :] * right[None, :, :]
    return tile + products.reshape(tile.shape)


def add_rows(tile, Z, j, s):
    """tile + rows j ... of Z, one for each column of the tile, over one vector of samples."""
    n_columns = tile.shape[1] // lanes(Z)
    return tile + block(Z, j, n_columns, s, lanes(Z)).reshape(tile.shape)


def add_sums_of_lanes(tile, dW, j, k):
    """dW[j ..., k ...] += the sums of the tile's vectors: upper halves to lower halves."""
    n_rows, n_columns = tile.shape[0], tile.shape[1] // lanes(tile)
    sums = tile.reshape(n_rows, n_columns, lanes(tile))
    while sums.shape[2] > 1:
        half = sums.shape[2] // 2
        sums = sums[:, :, :half] + sums[:, :, half:]
    block(dW, j, n_rows, k, n_columns)[:] += sums[:, :, 0]


def copy_transposed(numbers, starts, first, k, A, s):
    """A[k ..., s ...] = a square: a vector of features of each of `lanes` samples.

    The features of a sample are adjacent in `numbers`; sample c begins at starts[c].
    """
    for lane in range(lanes(A)):
        begin = starts[first + lane] + k
        features = exactly(numbers[begin : begin + lanes(A)], lanes(A))
        block(A, k, lanes(A), s + lane, 1)[:] = features[:, None]


def copy_square_transposed(A, k, s, T, i, c):
    """T[i ..., c ...] = the transpose of A[k ..., s ...], a square of as many rows as lanes."""
    block(T, i, lanes(A), c, lanes(A))[:] = block(A, k, lanes(A), s, lanes(A)).T


def block(matrix, row, n_rows, column, n_columns):
    """A view of exactly that many rows and columns; interpreted, an IndexError beyond an edge."""
    found = matrix[row : row + n_rows, column : column + n_columns]
    return exactly(found, n_rows, n_columns)


def exactly(found, *shape):
    if found.shape != shape:
        raise IndexError(f"a tile of shape {shape} reaches over the edge: {found.shape} are left")
    return found


class Tile(types.Type):  # type: ignore[misc]
    """The type of a tile in compiled code: rows x columns vectors of a dtype."""

    def __init__(self, dtype: Any, rows: int, columns: int) -> None:
        self.dtype, self.rows, self.columns = dtype, rows, columns
        super().__init__(name=f"Tile({dtype}, {rows}, {columns})")

    @property
    def lanes(self) -> int:
        return VECTOR_BYTES * 8 // int(self.dtype.bitwidth)

    @property
    def cells(self) -> list[tuple[int, int, int]]:
        """Row, column and place in the array of vectors."""
        shape = np.ndindex(self.rows, self.columns)
        return [(row, column, cell) for cell, (row, column) in enumerate(shape)]


@register_model(Tile)
class TileModel(models.PrimitiveModel):  # type: ignore[misc]
    """A tile is an LLVM array of vectors; LLVM gives each vector a register."""

    def __init__(self, manager: Any, tile: Tile) -> None:
        vector = ir.VectorType(manager.lookup(tile.dtype).get_value_type(), tile.lanes)
        super().__init__(manager, tile, ir.ArrayType(vector, tile.rows * tile.columns))


def address(context: Any, builder: Any, array_type: Any, array: Any, *index: Any) -> Any:
    """Pointer to an entry of an array; indices as they are, neither wrapped nor checked."""
    struct = context.make_array(array_type)(context, builder, array)
    return cgutils.get_item_pointer(context, builder, array_type, struct, index, wraparound=False)


def offset(builder: Any, index: Any, by: int) -> Any:
    return builder.add(index, index.type(by), flags=("nsw",)) if by else index


def vector_address(context: Any, builder: Any, array_type: Any, array: Any, *index: Any) -> Any:
    """Pointer to the vector that begins at an entry of an array."""
    entry = address(context, builder, array_type, array, *index)
    lanes_of = VECTOR_BYTES * 8 // array_type.dtype.bitwidth
    vector = ir.VectorType(context.get_value_type(array_type.dtype), lanes_of)
    return builder.bitcast(entry, vector.as_pointer())


def load_vector(context: Any, builder: Any, array_type: Any, array: Any, *index: Any) -> Any:
    pointer = vector_address(context, builder, array_type, array, *index)
    return builder.load(pointer, align=array_type.dtype.bitwidth // 8)


def broadcast(builder: Any, number: Any, n_lanes: int) -> Any:
    """A vector that has one number in all its lanes."""
    undefined = ir.Constant(ir.VectorType(number.type, n_lanes), ir.Undefined)
    first = builder.insert_element(undefined, number, ir.IntType(32)(0))
    return shuffle(builder, first, first, [0] * n_lanes)


def shuffle(builder: Any, a: Any, b: Any, chosen: list[int]) -> Any:
    """A vector of chosen lanes, counted through a and then b."""
    return builder.shuffle_vector(
        a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(chosen)), chosen)
    )


def add(builder: Any, a: Any, b: Any) -> Any:
    """a + b, in its place: Numba gives all flags of the kernel to an addition without any."""
    return builder.fadd(a, b, flags=CONTRACT)


def multiply_add(builder: Any, a: Any, b: Any, total: Any) -> Any:
    product = builder.fmul(a, b, flags=CONTRACT)
    return builder.fadd(total, product, flags=CONTRACT)


@type_callable(lanes)
def _(context: Any) -> Any:
    return lambda A: types.intp


@lower_builtin(lanes, types.Array)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return ir.Constant(ir.IntType(64), VECTOR_BYTES * 8 // signature.args[0].dtype.bitwidth)


@type_callable(zeros)
def _(context: Any) -> Any:
    return lambda A, rows, columns: Tile(A.dtype, len(rows), len(columns))


@lower_builtin(zeros, types.Array, types.BaseTuple, types.BaseTuple)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return ir.Constant(context.get_value_type(signature.return_type), None)


@type_callable(spread)
def _(context: Any) -> Any:
    return lambda b, j, rows, columns: Tile(b.dtype, len(rows), len(columns))


@lower_builtin(spread, types.Array, types.Integer, types.BaseTuple, types.BaseTuple)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    tile_type, (b, j, _, _) = signature.return_type, arguments
    tile = ir.Constant(context.get_value_type(tile_type), ir.Undefined)
    for row, _, cell in tile_type.cells:
        entry = address(context, builder, signature.args[0], b, offset(builder, j, row))
        tile = builder.insert_value(
            tile, broadcast(builder, builder.load(entry), tile_type.lanes), cell
        )
    return tile


@type_callable(load)
def _(context: Any) -> Any:
    return lambda Z, j, s, rows, columns: Tile(Z.dtype, len(rows), len(columns))


@lower_builtin(load, types.Array, types.Integer, types.Integer, types.BaseTuple, types.BaseTuple)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    tile_type, (Z, j, s, _, _) = signature.return_type, arguments
    tile = ir.Constant(context.get_value_type(tile_type), ir.Undefined)
    for row, column, cell in tile_type.cells:
        index = offset(builder, j, row), offset(builder, s, column * tile_type.lanes)
        vector = load_vector(context, builder, signature.args[0], Z, *index)
        tile = builder.insert_value(tile, vector, cell)
    return tile


@type_callable(store)
def _(context: Any) -> Any:
    return lambda tile, Z, j, s: types.none


@lower_builtin(store, Tile, types.Array, types.Integer, types.Integer)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    (tile_type, Z_type, *_), (tile, Z, j, s) = signature.args, arguments
    for row, column, cell in tile_type.cells:
        index = offset(builder, j, row), offset(builder, s, column * tile_type.lanes)
        pointer = vector_address(context, builder, Z_type, Z, *index)
        builder.store(
            builder.extract_value(tile, cell), pointer, align=tile_type.dtype.bitwidth // 8
        )
    return context.get_dummy_value()


@type_callable(add_outer_product)
def _(context: Any) -> Any:
    return lambda tile, W, j, k, A, s: tile


@lower_builtin(
    add_outer_product, Tile, types.Array, types.Integer, types.Integer, types.Array, types.Integer
)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    tile_type, W_type, _, _, A_type, _ = signature.args
    tile, W, j, k, A, s = arguments
    of_samples = row_of_vectors(context, builder, tile_type, A_type, A, k, s)
    of_units = [
        broadcast(
            builder,
            builder.load(address(context, builder, W_type, W, offset(builder, j, row), k)),
            tile_type.lanes,
        )
        for row in range(tile_type.rows)
    ]
    return plus_outer_product(builder, tile_type, tile, of_units, of_samples)


def plus_outer_product(
    builder: Any, tile_type: Tile, tile: Any, of_rows: list[Any], of_columns: list[Any]
) -> Any:
    """tile + the vector of its row times that of its column, for each of its vectors."""
    for row, column, cell in tile_type.cells:
        total = builder.extract_value(tile, cell)
        total = multiply_add(builder, of_rows[row], of_columns[column], total)
        tile = builder.insert_value(tile, total, cell)
    return tile


def row_of_vectors(
    context: Any, builder: Any, tile_type: Tile, A_type: Any, A: Any, k: Any, s: Any
) -> list[Any]:
    """The vectors A[k, s ...], one for each column of a tile."""
    return [
        load_vector(context, builder, A_type, A, k, offset(builder, s, column * tile_type.lanes))
        for column in range(tile_type.columns)
    ]


@type_callable(add_products)
def _(context: Any) -> Any:
    return lambda tile, dZ, j, A, k, s: tile


@lower_builtin(
    add_products, Tile, types.Array, types.Integer, types.Array, types.Integer, types.Integer
)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    tile_type, dZ_type, _, A_type, _, _ = signature.args
    tile, dZ, j, A, k, s = arguments
    left = [
        load_vector(context, builder, dZ_type, dZ, offset(builder, j, row), s)
        for row in range(tile_type.rows)
    ]
    right = [
        load_vector(context, builder, A_type, A, offset(builder, k, column), s)
        for column in range(tile_type.columns)
    ]
    return plus_outer_product(builder, tile_type, tile, left, right)


@type_callable(add_rows)
def _(context: Any) -> Any:
    return lambda tile, Z, j, s: tile


@lower_builtin(add_rows, Tile, types.Array, types.Integer, types.Integer)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    (tile_type, Z_type, *_), (tile, Z, j, s) = signature.args, arguments
    for _, column, cell in tile_type.cells:
        vector = load_vector(context, builder, Z_type, Z, offset(builder, j, column), s)
        total = add(builder, builder.extract_value(tile, cell), vector)
        tile = builder.insert_value(tile, total, cell)
    return tile


@type_callable(add_sums_of_lanes)
def _(context: Any) -> Any:
    return lambda tile, dW, j, k: types.none


@lower_builtin(add_sums_of_lanes, Tile, types.Array, types.Integer, types.Integer)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    (tile_type, dW_type, *_), (tile, dW, j, k) = signature.args, arguments
    n, columns = tile_type.rows * tile_type.columns, tile_type.columns
    at_a_time = min(n, tile_type.lanes)  # sums that make one vector
    of_a_row = min(columns, at_a_time)
    for first in range(0, n, at_a_time):
        vectors = [builder.extract_value(tile, first + place) for place in range(at_a_time)]
        sums = sums_of_lanes(builder, vectors)
        for place in range(0, at_a_time, of_a_row):
            part = shuffle(builder, sums, sums, list(range(place, place + of_a_row)))
            row, column = divmod(first + place, columns)
            index = offset(builder, j, row), offset(builder, k, column)
            entry = address(context, builder, dW_type, dW, *index)
            pointer = builder.bitcast(entry, part.type.as_pointer())
            align = tile_type.dtype.bitwidth // 8
            total = add(builder, builder.load(pointer, align=align), part)
            builder.store(total, pointer, align=align)
    return context.get_dummy_value()


def sums_of_lanes(builder: Any, vectors: list[Any]) -> Any:
    """The sums over the lanes of 1, 2, 4 ... vectors (at most `lanes` of them), in one vector.

    The order is fixed. First, pairs of vectors are folded into vectors that take half of their
    lanes from each; then each part of the last vector is folded until one lane is left.
    """
    n_lanes, parts = vectors[0].type.count, 1
    while len(vectors) > 1:
        vectors = [
            fold(builder, a, b, n_lanes, parts)
            for a, b in zip(vectors[::2], vectors[1::2], strict=True)
        ]
        parts *= 2
    (total,) = vectors
    while total.type.count > parts:
        size = total.type.count // parts
        starts = range(0, total.type.count, size)
        low = [start + i for start in starts for i in range(size // 2)]
        high = [lane + size // 2 for lane in low]
        total = add(
            builder, shuffle(builder, total, total, low), shuffle(builder, total, total, high)
        )
    return total


def fold(builder: Any, a: Any, b: Any, n_lanes: int, parts: int) -> Any:
    """Each of the parts of a, then of b, with its upper half added to its lower half."""
    size = n_lanes // parts
    starts = [start for start in range(0, 2 * n_lanes, size)]
    low = [start + i for start in starts for i in range(size // 2)]
    high = [lane + size // 2 for lane in low]
    return add(builder, shuffle(builder, a, b, low), shuffle(builder, a, b, high))


@type_callable(copy_transposed)
def _(context: Any) -> Any:
    return lambda numbers, starts, first, k, A, s: types.none


@lower_builtin(
    copy_transposed,
    types.Array,
    types.Array,
    types.Integer,
    types.Integer,
    types.Array,
    types.Integer,
)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    numbers_type, starts_type, _, _, A_type, _ = signature.args
    numbers, starts, first, k, A, s = arguments
    align = A_type.dtype.bitwidth // 8
    vectors = []
    for lane in range(VECTOR_BYTES // align):
        entry = address(context, builder, starts_type, starts, offset(builder, first, lane))
        begin = builder.add(builder.load(entry), k)
        vectors.append(load_vector(context, builder, numbers_type, numbers, begin))
    for lane, vector in enumerate(transposed(builder, vectors)):
        pointer = vector_address(context, builder, A_type, A, offset(builder, k, lane), s)
        builder.store(vector, pointer, align=align)
    return context.get_dummy_value()


@type_callable(copy_square_transposed)
def _(context: Any) -> Any:
    return lambda A, k, s, T, i, c: types.none


@lower_builtin(
    copy_square_transposed,
    types.Array,
    types.Integer,
    types.Integer,
    types.Array,
    types.Integer,
    types.Integer,
)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    A_type, _, _, T_type, _, _ = signature.args
    A, k, s, T, i, c = arguments
    align = A_type.dtype.bitwidth // 8
    vectors = [
        load_vector(context, builder, A_type, A, offset(builder, k, lane), s)
        for lane in range(VECTOR_BYTES // align)
    ]
    for lane, vector in enumerate(transposed(builder, vectors)):
        pointer = vector_address(context, builder, T_type, T, offset(builder, i, lane), c)
        builder.store(vector, pointer, align=align)
    return context.get_dummy_value()


def transposed(builder: Any, vectors: list[Any]) -> list[Any]:
    """n vectors of n lanes, rows and columns exchanged in log2 n rounds.

    A round with distance d exchanges the upper right and the lower left quarter of each square of
    2 d vectors and lanes.
    """
    n = distance = len(vectors)
    while distance > 1:
        distance //= 2
        for i in range(n):
            if i & distance:
                continue
            a, b = vectors[i], vectors[i + distance]
            upper = [lane if not lane & distance else n + lane - distance for lane in range(n)]
            lower = [lane + distance if not lane & distance else n + lane for lane in range(n)]
            vectors[i] = shuffle(builder, a, b, upper)
            vectors[i + distance] = shuffle(builder, a, b, lower)
    return vectors
