"""Forward and backward of many networks side by side: each lane of a vector holds a network.

A vector of the processor has K lanes. Where one network has a number, K networks of the same sizes
have a vector, and each operation on numbers becomes one on vectors. Arguments, with the names of
passes.py:

    theta    (n_parameters, K)              parameter p of network k at [p, k]
    sizes, units, loss                      of all networks, as there
    A        (n_0 + ... + n_L, m K)         workspace: sample i of network k in column i K + k; X is
                                            in its first n_0 rows, unchanged
    dZ       as A                           workspace for the backward pass
    Y, s     (n_L, m K), (m K,)             targets and weights of the samples
    dtheta   as theta                       receives the gradients, summed over the samples

m is the number of samples of each network, a whole number of vectors; s is 0 for those that fill
it up. A has `SCRATCH_ROWS` more rows below. K is `tiles.lanes` of any of these arrays.

Each network gets the bits of its own tiled pass, since each sum takes its terms in the same order:

    F1 B3    one unit of the layer below, or above, after the other
    B1 B2    sample i into partial sum i mod K, which one network has in lane i mod K of a vector;
             then upper halves of these K sums to lower halves
    B1       of wide layers one sample after the other, as products.py does with A transposed
    L6       eight totals in turn (ordered_sums.py)

Whatever has no sum over samples or units below is computed by the functions of one network, on
rows that are K times as long: to them, m K samples are just more samples.

A column of A, dZ or Y is called s, as in products.py.
"""

import numpy as np

from engine.compiler import lane_tiles, tiles
from engine.compiler.jit import compiled_once, inlined, jit
from engine.compiler.views import rows_at
from engine.equations.activations import activate_tiled, derive_tiled
from engine.equations.layout import scratch_of, units_of_loops
from engine.equations.losses import output_gradient_tiled, sample_costs_tiled
from engine.equations.ordered_sums import TOTALS, in_pairs, plus, plus_product
from engine.equations.products import COLUMNS, FOUR, N_COLUMNS, ONE, TRANSPOSE_FROM


@inlined
def first_row_of(sizes, l):
    """The row of theta where W[l] begins, row by row, with b[l] after it; l counts from 1."""
    row = 0
    for below in range(l - 1):
        row += sizes[below + 1] * (sizes[below] + 1)
    return row


@jit
def affine_members(theta, sizes, l, A_prev, Z, m):
    """Z = W A_prev + b of layer l.  n_out n_in m multiply-adds a network."""
    n_in, n_out = sizes[l - 1], sizes[l]
    first = first_row_of(sizes, l)
    b = rows_at(theta, first + n_out * n_in, n_out)
    accumulate_members(theta, first, n_in, np.int64(1), b, A_prev, Z, m)  # F1


@jit
def input_gradient_members(theta, sizes, l, dZ, dA_prev, m):
    """dA_prev = W^T dZ of layer l.  n_out n_in m multiply-adds a network."""
    first, no_bias = first_row_of(sizes, l), rows_at(theta, 0, 0)
    accumulate_members(theta, first, np.int64(1), sizes[l - 1], no_bias, dZ, dA_prev, m)  # B3


@compiled_once
def accumulate_members(theta, first, step, step_below, b, A, Z, m):
    """Z = b + W A, or W A where b is empty: `accumulate` of products.py, with a W of each network.

    The weight of a unit of Z is `step` rows of theta above that of the next unit, and
    `step_below` rows above that for the next unit of A. So W and W^T share compiled code.
    """
    n_out, n_lanes = Z.shape[0], tiles.lanes(Z)
    vectors = N_COLUMNS * n_lanes
    stop = m * n_lanes
    whole = stop - stop % vectors
    for s in range(0, whole, vectors):
        for j in range(0, n_out - 3, 4):
            accumulate_tile_members(theta, first, step, step_below, b, A, Z, j, s, FOUR, COLUMNS)
        for j in range(n_out - n_out % 4, n_out):
            accumulate_tile_members(theta, first, step, step_below, b, A, Z, j, s, ONE, COLUMNS)
    for s in range(whole, stop, n_lanes):
        for j in range(n_out):
            accumulate_tile_members(theta, first, step, step_below, b, A, Z, j, s, ONE, ONE)


@inlined
def accumulate_tile_members(theta, first, step, step_below, b, A, Z, j, s, rows, vectors):
    """Units j ... of Z, for the samples of some vectors from column s on."""
    if b.shape[0] > 0:
        tile = lane_tiles.repeat_rows(b, j, rows, vectors)
    else:
        tile = tiles.zeros(Z, rows, vectors)
    for k in range(A.shape[0]):
        row = first + j * step + k * step_below
        tile = lane_tiles.add_outer_product_by_lane(tile, theta, row, step, A, k, s)
    tiles.store(tile, Z, j, s)


@compiled_once
def parameter_gradient_members(dtheta, sizes, l, dZ, A_prev, m):
    """Add dW and db of layer l, summed over the samples.  n_out n_in m multiply-adds a network."""
    n_in, n_out = sizes[l - 1], sizes[l]
    n_lanes = tiles.lanes(dZ)
    first = first_row_of(sizes, l)
    by_sample = 0  # columns of dW that `accumulate_over_samples` computes from A transposed
    if n_out >= TRANSPOSE_FROM and n_in >= N_COLUMNS * n_lanes:
        by_sample = n_in - n_in % n_lanes
    for j in range(n_out):
        row = first + j * n_in
        for k in range(0, by_sample - 3, 4):
            sum_by_sample(dtheta, dZ, A_prev, row, j, k, m, FOUR)
        for k in range(by_sample - by_sample % 4, by_sample):
            sum_by_sample(dtheta, dZ, A_prev, row, j, k, m, ONE)
        for k in range(by_sample, n_in):
            sum_by_lane(dtheta, dZ, A_prev, row, j, k, m)
    for j in range(n_out):
        tile = lane_tiles.zeros_by_lane(dZ)
        for s in range(0, m * n_lanes, n_lanes * n_lanes):
            tile = lane_tiles.add_block(tile, dZ, j, s)
        lane_tiles.add_sum_of_vectors(tile, dtheta, first + n_out * n_in + j)  # B2


@inlined
def sum_by_sample(dtheta, dZ, A_prev, row, j, k, m, weights):
    """Some weights of unit j from k on: the products are added one sample after the other."""
    tile = tiles.load(dtheta, row + k, 0, weights, ONE)
    for s in range(0, m * tiles.lanes(dZ), tiles.lanes(dZ)):
        tile = tiles.add_products(tile, A_prev, k, dZ, j, s)  # B1
    tiles.store(tile, dtheta, row + k, 0)


@inlined
def sum_by_lane(dtheta, dZ, A_prev, row, j, k, m):
    """A weight of unit j: K partial sums, as in the lanes of one network, and then their sum."""
    n_lanes = tiles.lanes(dZ)
    tile = lane_tiles.zeros_by_lane(dZ)
    for s in range(0, m * n_lanes, n_lanes * n_lanes):
        tile = lane_tiles.add_block_products(tile, dZ, j, A_prev, k, s)  # B1
    lane_tiles.add_sum_of_vectors(tile, dtheta, row + k)


@jit
def gradient_pass_members(theta, sizes, units, loss, A, dZ, Y, s, dtheta, m):
    """Add the gradients to dtheta.  2 to 3 multiply-adds a weight, sample and network.

    The first scratch row of A receives s_i J_i of each sample (L1 to L4, L7 to L10).
    """
    L = len(sizes) - 1
    width = m * tiles.lanes(A)
    scratch = scratch_of(A, sizes)
    for l in range(1, L + 1):
        Z = units_of_loops(A, sizes, l)
        affine_members(theta, sizes, l, units_of_loops(A, sizes, l - 1), Z, m)
        if l < L:
            activate_tiled(units[l - 1], Z, scratch, width)
    Z, dZ_output = units_of_loops(A, sizes, L), units_of_loops(dZ, sizes, L)
    for j in range(Z.shape[0]):
        for i in range(width):
            dZ_output[j, i] = Z[j, i]
    activate_tiled(units[L - 1], dZ_output, scratch, width)
    output_gradient_tiled(loss, units[L - 1], dZ_output, Z, Y, s, dZ_output, width)
    for l in range(L, 0, -1):
        A_prev = units_of_loops(A, sizes, l - 1)
        parameter_gradient_members(dtheta, sizes, l, units_of_loops(dZ, sizes, l), A_prev, m)
        if l > 1:
            dZ_prev = units_of_loops(dZ, sizes, l - 1)
            input_gradient_members(theta, sizes, l, units_of_loops(dZ, sizes, l), dZ_prev, m)
            derive_tiled(units[l - 2], A_prev, dZ_prev, width)
    sample_costs_tiled(loss, units[L - 1], Z, Y, s, scratch, width)


# Sums of one number after the other, in float64. `totals` (TOTALS, K) is memory for them. `like` is
# an array of the networks' dtype: by its type the compiler knows K.


@jit
def add_in_order(totals, terms, n, like, sums):
    """sums[k] += the sum of network k's n terms, terms[i K + k], added as by `sum_in_order`."""
    n_lanes = tiles.lanes(like)
    clear(totals)
    rounds = n - n % TOTALS
    for i in range(n):
        place = i % TOTALS if i < rounds else 0
        for k in range(n_lanes):
            totals[place, k] = plus(totals[place, k], np.float64(terms[i * n_lanes + k]))
    for k in range(n_lanes):
        sums[k] += sum_of_totals(totals, k)


@jit
def add_squares_in_order(totals, rows, like, sums):
    """sums[k] += sum_p rows[p, k]^2 of rows (n, K), added as by `sum_of_squares_in_order`."""
    n, n_lanes = rows.shape[0], tiles.lanes(like)
    clear(totals)
    rounds = n - n % TOTALS
    for p in range(n):
        place = p % TOTALS if p < rounds else 0
        for k in range(n_lanes):
            x = np.float64(rows[p, k])
            totals[place, k] = plus_product(totals[place, k], x, x)
    for k in range(n_lanes):
        sums[k] += sum_of_totals(totals, k)


@inlined
def clear(totals):
    for place in range(totals.shape[0]):
        for k in range(totals.shape[1]):
            totals[place, k] = 0.0


@inlined
def sum_of_totals(totals, k):
    """The sum of a network's eight totals."""
    return in_pairs(
        totals[0, k],
        totals[1, k],
        totals[2, k],
        totals[3, k],
        totals[4, k],
        totals[5, k],
        totals[6, k],
        totals[7, k],
    )
