"""Tiles of many networks side by side: each lane of a vector belongs to another network.

    Z        row j, vectors of columns      unit j: the vector of each sample, one after the other
    W        rows, one vector each          a weight of each network in every row

The operations of tiles.py take the lanes of a vector for samples of one network, and so they
broadcast a weight, and add up the lanes of a sum. Here the lanes never meet. What one network
finds in the lanes of a vector stands in as many vectors here: `zeros_by_lane` makes a tile of
partial sums, a vector for each lane that one network would use, and `add_sum_of_vectors` adds
these vectors in the order in which `tiles.add_sums_of_lanes` adds those lanes. So each network gets
the bits of its own kernels (engine/equations/members.py).

As in tiles.py, each operation is defined twice: in NumPy, and as LLVM instructions.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import lower_builtin, type_callable

from engine.compiler.tiles import (
    VECTOR_BYTES,
    Tile,
    add,
    block,
    lanes,
    load_vector,
    multiply_add,
    offset,
    plus_outer_product,
    row_of_vectors,
    vector_address,
)


def zeros_by_lane(A):
    """A tile of zeros, of A's dtype: one row of as many vectors as a vector has lanes."""
    return np.zeros((1, lanes(A) ** 2), A.dtype)


def repeat_rows(Z, j, rows, columns):
    """A tile whose row r has the first vector of row j + r of Z in each column."""
    return np.tile(block(Z, j, len(rows), 0, lanes(Z)), (1, len(columns)))


def add_block(tile, Z, j, s):
    """tile + Z[j ..., s ...], a block of the tile's shape."""
    return tile + block(Z, j, tile.shape[0], s, tile.shape[1])


def add_block_products(tile, Z, j, A, k, s):
    """tile + Z[j ..., s ...] o A[k ..., s ...], blocks of the tile's shape."""
    left = block(Z, j, tile.shape[0], s, tile.shape[1])
    return tile + left * block(A, k, tile.shape[0], s, tile.shape[1])


def add_outer_product_by_lane(tile, W, first, step, A, k, s):
    """tile + the first vectors of rows first, first + step ... of W, times the vectors A[k, s ...].

    Lane by lane: each lane has a W of its own.
    """
    n_lanes = lanes(A)
    rows = [block(W, first + row * step, 1, 0, n_lanes) for row in range(tile.shape[0])]
    columns = np.tile(np.concatenate(rows), (1, tile.shape[1] // n_lanes))
    return tile + columns * block(A, k, 1, s, tile.shape[1])


def add_sum_of_vectors(tile, dW, row):
    """The first vector of a row of dW += the sum of the tile's vectors: upper half to lower half.

    So vectors are added as `add_sums_of_lanes` adds the lanes of one.
    """
    n_lanes = lanes(tile)
    sums = tile.reshape(-1, n_lanes)
    while len(sums) > 1:
        half = len(sums) // 2
        sums = sums[:half] + sums[half:]
    block(dW, row, 1, 0, n_lanes)[:] += sums


@type_callable(zeros_by_lane)
def _(context: Any) -> Any:
    return lambda A: Tile(A.dtype, 1, VECTOR_BYTES * 8 // A.dtype.bitwidth)


@lower_builtin(zeros_by_lane, types.Array)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return ir.Constant(context.get_value_type(signature.return_type), None)


@type_callable(repeat_rows)
def _(context: Any) -> Any:
    return lambda Z, j, rows, columns: Tile(Z.dtype, len(rows), len(columns))


@lower_builtin(repeat_rows, types.Array, types.Integer, types.BaseTuple, types.BaseTuple)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    tile_type, (Z, j, _, _) = signature.return_type, arguments
    tile, zero = ir.Constant(context.get_value_type(tile_type), ir.Undefined), j.type(0)
    for row, _, cell in tile_type.cells:
        vector = load_vector(context, builder, signature.args[0], Z, offset(builder, j, row), zero)
        tile = builder.insert_value(tile, vector, cell)
    return tile


@type_callable(add_block)
def _(context: Any) -> Any:
    return lambda tile, Z, j, s: tile


@lower_builtin(add_block, Tile, types.Array, types.Integer, types.Integer)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    (tile_type, Z_type, *_), (tile, Z, j, s) = signature.args, arguments
    for row, column, cell in tile_type.cells:
        index = offset(builder, j, row), offset(builder, s, column * tile_type.lanes)
        vector = load_vector(context, builder, Z_type, Z, *index)
        total = add(builder, builder.extract_value(tile, cell), vector)
        tile = builder.insert_value(tile, total, cell)
    return tile


@type_callable(add_block_products)
def _(context: Any) -> Any:
    return lambda tile, Z, j, A, k, s: tile


@lower_builtin(
    add_block_products, Tile, types.Array, types.Integer, types.Array, types.Integer, types.Integer
)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    tile_type, Z_type, _, A_type, _, _ = signature.args
    tile, Z, j, A, k, s = arguments
    for row, column, cell in tile_type.cells:
        at = offset(builder, s, column * tile_type.lanes)
        left = load_vector(context, builder, Z_type, Z, offset(builder, j, row), at)
        right = load_vector(context, builder, A_type, A, offset(builder, k, row), at)
        total = multiply_add(builder, left, right, builder.extract_value(tile, cell))
        tile = builder.insert_value(tile, total, cell)
    return tile


@type_callable(add_outer_product_by_lane)
def _(context: Any) -> Any:
    return lambda tile, W, first, step, A, k, s: tile


@lower_builtin(
    add_outer_product_by_lane,
    Tile,
    types.Array,
    types.Integer,
    types.Integer,
    types.Array,
    types.Integer,
    types.Integer,
)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    tile_type, W_type, _, _, A_type, _, _ = signature.args
    tile, W, first, step, A, k, s = arguments
    of_samples = row_of_vectors(context, builder, tile_type, A_type, A, k, s)
    of_units, place = [], first
    for _ in range(tile_type.rows):
        of_units.append(load_vector(context, builder, W_type, W, place, first.type(0)))
        place = builder.add(place, step, flags=("nsw",))
    return plus_outer_product(builder, tile_type, tile, of_units, of_samples)


@type_callable(add_sum_of_vectors)
def _(context: Any) -> Any:
    return lambda tile, dW, row: types.none


@lower_builtin(add_sum_of_vectors, Tile, types.Array, types.Integer)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    (tile_type, dW_type, _), (tile, dW, row) = signature.args, arguments
    sums = [builder.extract_value(tile, cell) for *_, cell in tile_type.cells]
    while len(sums) > 1:
        half = len(sums) // 2
        sums = [add(builder, a, b) for a, b in zip(sums[:half], sums[half:], strict=True)]
    index = row, row.type(0)
    pointer = vector_address(context, builder, dW_type, dW, *index)
    align = tile_type.dtype.bitwidth // 8
    builder.store(add(builder, builder.load(pointer, align=align), sums[0]), pointer, align=align)
    return context.get_dummy_value()
