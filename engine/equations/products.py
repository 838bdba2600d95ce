"""The two micro-kernels, which carry all matrix products of the tiled form.

    accumulate              Z_j(i)  =  b_j + sum_k W_jk A_k(i)     Z; by W^T, dA of the layer below;
                            dW_jk  +=  sum_i dZ_j(i) A_k(i)        by A^T, dW of wide layers
    reduce_over_samples     dW_jk  +=  sum_i dZ_j(i) A_k(i)        dW of narrow layers, and the rest

Both sum into tiles that stay in registers (engine/compiler/tiles.py). The first keeps some units of
some samples while it loops over the units below. The second keeps some weights while it loops over
the samples; its lanes hold partial sums, which are added at the end. For 128 samples, that takes as
long as the products themselves. If A is transposed first, so that samples are its rows, the first
kernel can compute dW as well.

Tiles are 4 x 4 vectors if the processor has 32 registers, and 4 x 2 if it has 16. A multiply-add
takes four cycles, and two can start in each cycle: eight sums in flight hide that latency. With
sixteen, each sum needs fewer loads.

Rows may be longer than the m samples that count, which are a whole number of vectors.
"""

import numpy as np

from engine.compiler import tiles
from engine.compiler.jit import compiled_once, inlined, jit
from engine.compiler.views import columns_before, matrix_at, vector_at

# The length is what counts: it becomes part of a tile's type.
ONE, TWO, FOUR, EIGHT = (0,), (0, 1), (0, 1, 2, 3), (0, 1, 2, 3, 4, 5, 6, 7)

# Columns of the largest tile, which has four rows.
COLUMNS = FOUR if tiles.REGISTERS >= 32 else TWO
N_COLUMNS = len(COLUMNS)

# Cache blocking: units below that are summed before the next ones, and vectors of samples that are
# used for all units above before the next ones. Both stay in the L1 cache: 32 KiB of AVX-512's
# vectors, 16 KiB of AVX2's, where a group has two tiles and so reads W half as often.
UNITS_AT_A_TIME = 128
GROUP = 4

# Columns of dW that are summed for all its rows before the next columns are: their samples, 16 KiB,
# stay in the first-level cache.
COLUMNS_AT_A_TIME = 16

# A is transposed for dW if there are so many units above, and enough units below for a tile.
TRANSPOSE_FROM = 8


@inlined
def accumulate_over_units(W, b, A, Z, m):
    """Z = b + W A, or W A where b is empty, for the first m samples. W is in any memory order."""
    at, onto = np.int64(0), np.bool_(False)  # literals would compile another variant
    accumulate(columns_before(W, W.shape[1]), b, A, Z, at, m, onto)


@compiled_once
def accumulate(W, b, A, Z, at, m, onto):
    """The same, from the columns of A into columns `at` ... of Z; with `onto`, added to Z."""
    n_out, n_in = W.shape
    n_lanes = tiles.lanes(A)
    fours = n_out - n_out % 4
    whole, four_vectors = m - m % (N_COLUMNS * n_lanes), m - m % (4 * n_lanes)
    pairs = m - m % (2 * n_lanes)
    for first in range(0, n_in, UNITS_AT_A_TIME):
        last = min(first + UNITS_AT_A_TIME, n_in)
        for group in range(0, whole, GROUP * n_lanes):
            stop = min(group + GROUP * n_lanes, whole)
            for j in range(0, fours, 4):
                for s in range(group, stop, N_COLUMNS * n_lanes):
                    accumulate_tile(W, b, A, Z, j, s, at, first, last, onto, FOUR, COLUMNS)
        for s in range(whole, pairs, 2 * n_lanes):
            for j in range(0, fours, 4):
                accumulate_tile(W, b, A, Z, j, s, at, first, last, onto, FOUR, TWO)
        for s in range(pairs, m, n_lanes):
            for j in range(0, fours - 7, 8):
                accumulate_tile(W, b, A, Z, j, s, at, first, last, onto, EIGHT, ONE)
            for j in range(fours - fours % 8, fours, 4):
                accumulate_tile(W, b, A, Z, j, s, at, first, last, onto, FOUR, ONE)
        for j in range(fours, n_out):
            for s in range(0, four_vectors, 4 * n_lanes):
                accumulate_tile(W, b, A, Z, j, s, at, first, last, onto, ONE, FOUR)
            for s in range(four_vectors, m, n_lanes):
                accumulate_tile(W, b, A, Z, j, s, at, first, last, onto, ONE, ONE)


@inlined
def accumulate_tile(W, b, A, Z, j, s, at, first, last, onto, rows, vectors):
    """One tile of Z, from the units below first ... last - 1."""
    if first > 0 or onto:
        tile = tiles.load(Z, j, at + s, rows, vectors)
    elif b.size > 0:
        tile = tiles.spread(b, j, rows, vectors)
    else:
        tile = tiles.zeros(Z, rows, vectors)
    for k in range(first, last):
        tile = tiles.add_outer_product(tile, W, j, k, A, s)
    tiles.store(tile, Z, j, at + s)


@compiled_once
def accumulate_over_samples(dZ, A, dW, scratch, m):
    """dW += dZ A^T, over the first m samples; `scratch` has rows like A's, and is overwritten.

    Whole vectors of columns of dW are computed from A transposed, as many at a time as a tile has.
    `reduce_over_samples` computes the columns that are left over, and all of dW in narrow layers.
    """
    n_out, n_in = dW.shape
    n_lanes = tiles.lanes(A)
    panel = N_COLUMNS * n_lanes
    n_transposed = n_in - n_in % n_lanes if n_out >= TRANSPOSE_FROM and n_in >= panel else 0
    transposed = matrix_at(scratch, 0, m, min(panel, n_transposed))
    for first in range(0, n_transposed, panel):
        n_columns = min(panel, n_transposed - first)
        for k in range(0, n_columns, n_lanes):
            for s in range(0, m, n_lanes):
                tiles.copy_square_transposed(A, first + k, s, transposed, s, k)
        no_bias, onto = vector_at(dW, 0, 0), np.bool_(True)
        accumulate(columns_before(dZ, m), no_bias, transposed, dW, first, n_columns, onto)
    reduce_over_samples(dZ, A, dW, n_transposed, m)


@jit
def reduce_over_samples(dZ, A, dW, start, m):
    """dW += dZ A^T, over the first m samples; only columns from `start` on."""
    n_out, n_in = dW.shape
    for first in range(start, n_in, COLUMNS_AT_A_TIME):
        last = min(first + COLUMNS_AT_A_TIME, n_in)
        edge, four_columns = last - (last - first) % N_COLUMNS, last - (last - first) % 4
        for j in range(0, n_out - 3, 4):
            for k in range(first, edge, N_COLUMNS):
                reduce_tile(dZ, A, dW, m, j, k, FOUR, COLUMNS)
            for k in range(edge, last):
                reduce_tile(dZ, A, dW, m, j, k, FOUR, ONE)
        for j in range(n_out - n_out % 4, n_out):
            for k in range(first, four_columns, 4):
                reduce_tile(dZ, A, dW, m, j, k, ONE, FOUR)
            for k in range(four_columns, last):
                reduce_tile(dZ, A, dW, m, j, k, ONE, ONE)


@jit
def add_row_sums(dZ, db, m):
    """db += the sums of the rows of dZ over the first m samples, lane by lane as above."""
    n_out = dZ.shape[0]
    sums = matrix_at(db, 0, 1, n_out)
    for j in range(0, n_out - 3, 4):
        add_row_sums_of_tile(dZ, sums, m, j, FOUR)
    for j in range(n_out - n_out % 4, n_out):
        add_row_sums_of_tile(dZ, sums, m, j, ONE)


@inlined
def add_row_sums_of_tile(dZ, sums, m, j, columns):
    """The sums of as many rows of dZ, from row j on."""
    tile = tiles.zeros(dZ, ONE, columns)
    for s in range(0, m, tiles.lanes(dZ)):
        tile = tiles.add_rows(tile, dZ, j, s)
    tiles.add_sums_of_lanes(tile, sums, 0, j)


@inlined
def reduce_tile(dZ, A, dW, m, j, k, rows, columns):
    """One tile of dW."""
    tile = tiles.zeros(A, rows, columns)
    for s in range(0, m, tiles.lanes(A)):
        tile = tiles.add_products(tile, dZ, j, A, k, s)
    tiles.add_sums_of_lanes(tile, dW, j, k)
