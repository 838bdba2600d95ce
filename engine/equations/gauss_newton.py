"""The Gauss-Newton matrix, from one backward pass for each output unit.

    N1  G = sum_i s_i J_i^T H_i J_i,   J_i = dz[L](i)/dtheta  (n_L, n_parameters)

H_i is diag(h_j(i)) (losses.py), and diag(a) - a a^T for softmax units. Row j of sqrt(s_i H_i) J_i
comes from a backward pass that begins with dz[L] = sqrt(s_i h_j) e_j; for softmax units, with
sqrt(s_i a_j) (e_j - a), as diag(a) - a a^T = sum_j a_j (e_j - a) (e_j - a)^T. So

    G_pq = sum_i sum_j row_jp(i) row_jq(i)

The rows of a block of samples are made for one output unit at a time, and added up in G, of which
only the lower triangle counts. The Jacobian is never stored whole.

    rows     (n_parameters, m)           receives the rows of one output unit
    H        (n_L, m)                    s_i h_j(i)
    G        (n_parameters, n_parameters)
"""

import numpy as np

from engine.compiler import tiles
from engine.compiler.jit import compiled_once, jit
from engine.compiler.views import columns_before, matrix_at, rows_at, vector_at
from engine.equations.activations import (
    activate_loops,
    activate_numpy,
    activate_tiled,
    derive_loops,
    derive_numpy,
    derive_tiled,
)
from engine.equations.backward import (
    input_gradient_loops,
    input_gradient_numpy,
    input_gradient_tiled,
)
from engine.equations.layout import parameters_of, parameters_of_loops, units_of, units_of_loops
from engine.equations.losses import curvature_loops, curvature_numpy, curvature_tiled
from engine.equations.passes import (
    backward_pass_tiled,
    cost_pass_tiled,
    gradient_pass_loops,
    gradient_pass_numpy,
)
from engine.equations.products import N_COLUMNS, accumulate, reduce_over_samples
from engine.equations.units import SOFTMAX

SMALLEST_CURVATURE = 1e-200


def output_row_numpy(unit, A, H, k, dZ):
    """dZ[L] with which the rows of output unit k begin."""
    dZ[:] = -A if unit == SOFTMAX else 0  # N1
    dZ[k] += 1
    dZ *= np.sqrt(H[k])


def jacobian_rows_numpy(theta, sizes, units, A, dZ, rows):
    """rows[p, i] = sum_j dz_j(i) dz_j[L](i)/dtheta_p, from dZ[L] and the activations below it."""
    after = theta.size
    for l in range(len(sizes) - 1, 0, -1):
        W, _ = parameters_of(theta, sizes, l)
        of_layer, A_prev = units_of(dZ, sizes, l), units_of(A, sizes, l - 1)
        start, after_W = after - W.size - W.shape[0], after - W.shape[0]
        products = of_layer[:, np.newaxis] * A_prev  # N1
        rows[start:after_W], rows[after_W:after] = products.reshape(W.size, -1), of_layer
        if l > 1:
            below = units_of(dZ, sizes, l - 1)
            input_gradient_numpy(W, of_layer, below)
            derive_numpy(units[l - 2], A_prev, below, below)
        after = start


def normal_pass_numpy(theta, sizes, units, loss, A, dZ, Y, s, dtheta, H, rows, G):
    """The summed cost, its gradient in dtheta; the Gauss-Newton matrix is added to G.

    n_L (2 + n_parameters / 2) n_parameters multiply-adds a sample.
    """
    L = len(sizes) - 1
    cost = gradient_pass_numpy(theta, sizes, units, loss, A, dZ, Y, s, dtheta)
    Z, unit = units_of(A, sizes, L), units[L - 1]
    activate_numpy(unit, Z, H)
    curvature_numpy(loss, unit, H, Z, Y, s, H)
    activate_numpy(unit, Z, Z)
    for k in range(int(sizes[L])):
        output_row_numpy(unit, Z, H, k, units_of(dZ, sizes, L))
        jacobian_rows_numpy(theta, sizes, units, A, dZ, rows)
        G += rows @ rows.T  # N1
    return cost


@jit
def output_row_loops(unit, A, H, k, dZ):
    """dZ[L] with which the rows of output unit k begin."""
    n_out, m = A.shape
    for i in range(m):
        for j in range(n_out):
            dz = 1.0 if j == k else 0.0
            if unit == SOFTMAX:
                dz -= A[j, i]
            dZ[j, i] = np.sqrt(H[k, i]) * dz  # N1


@jit
def jacobian_rows_loops(theta, sizes, units, A, dZ, rows):
    """rows[p, i] = sum_j dz_j(i) dz_j[L](i)/dtheta_p, from dZ[L] and the activations below it."""
    m = A.shape[1]
    after = theta.size
    for l in range(len(sizes) - 1, 0, -1):
        W, _ = parameters_of_loops(theta, sizes, l)
        of_layer, A_prev = units_of_loops(dZ, sizes, l), units_of_loops(A, sizes, l - 1)
        n_out, n_in = W.shape
        start = after - n_out * (n_in + 1)
        for i in range(m):
            for j in range(n_out):
                for k in range(n_in):
                    rows[start + j * n_in + k, i] = of_layer[j, i] * A_prev[k, i]  # N1
                rows[start + n_out * n_in + j, i] = of_layer[j, i]  # N1
        if l > 1:
            below = units_of_loops(dZ, sizes, l - 1)
            input_gradient_loops(W, of_layer, below)
            derive_loops(units[l - 2], A_prev, below, below)
        after = start


@jit
def normal_pass_loops(theta, sizes, units, loss, A, dZ, Y, s, dtheta, H, rows, G):
    """The summed cost, its gradient in dtheta; the Gauss-Newton matrix is added to G."""
    L = len(sizes) - 1
    cost = gradient_pass_loops(theta, sizes, units, loss, A, dZ, Y, s, dtheta)
    Z, unit = units_of_loops(A, sizes, L), units[L - 1]
    activate_loops(unit, Z, H)
    curvature_loops(loss, unit, H, Z, Y, s, H)
    activate_loops(unit, Z, Z)
    for k in range(sizes[L]):
        output_row_loops(unit, Z, H, k, units_of_loops(dZ, sizes, L))
        jacobian_rows_loops(theta, sizes, units, A, dZ, rows)
        for i in range(rows.shape[1]):
            for p in range(theta.size):
                for q in range(p + 1):
                    G[p, q] += rows[p, i] * rows[q, i]  # N1
    return cost


@jit
def output_row_tiled(unit, A, H, k, dZ, m):
    """dZ[L] with which the rows of output unit k begin, for the first m samples."""
    one, zero = A.dtype.type(1), A.dtype.type(0)
    for j in range(A.shape[0]):
        here = one if j == k else zero
        if unit == SOFTMAX:
            for i in range(m):
                dZ[j, i] = np.sqrt(H[k, i]) * (here - A[j, i])  # N1
        else:
            for i in range(m):
                dZ[j, i] = np.sqrt(H[k, i]) * here  # N1


@compiled_once
def jacobian_rows_tiled(theta, sizes, units, A, dZ, rows, m):
    """rows[p, i] = sum_j dz_j(i) dz_j[L](i)/dtheta_p of the first m samples, from dZ[L]."""
    after = theta.size
    for l in range(len(sizes) - 1, 0, -1):
        W, _ = parameters_of_loops(theta, sizes, l)
        of_layer, A_prev = units_of_loops(dZ, sizes, l), units_of_loops(A, sizes, l - 1)
        n_out, n_in = W.shape
        start = after - n_out * (n_in + 1)
        for j in range(n_out):
            dz = of_layer[j]
            for k in range(n_in):
                row, a = rows[start + j * n_in + k], A_prev[k]
                for i in range(m):
                    row[i] = dz[i] * a[i]  # N1
            row = rows[start + n_out * n_in + j]
            for i in range(m):
                row[i] = dz[i]  # N1
        if l > 1:
            below = units_of_loops(dZ, sizes, l - 1)
            input_gradient_tiled(W, of_layer, below, m)
            derive_tiled(units[l - 2], A_prev, below, m)
        after = start


@compiled_once
def add_products_of_rows(rows, G, scratch, m):
    """G += rows rows^T over the first m samples, its lower triangle at least.

    `scratch` has m numbers for each lane of a tile (`scratch_numbers`), and is overwritten.
    """
    n = G.shape[0]
    n_lanes = tiles.lanes(rows)
    panel = N_COLUMNS * n_lanes
    n_transposed = n - n % n_lanes if n >= panel else 0
    transposed = matrix_at(scratch, 0, m, panel)
    for first in range(0, n_transposed, panel):
        n_columns = min(panel, n_transposed - first)
        for k in range(0, n_columns, n_lanes):
            for i in range(0, m, n_lanes):
                tiles.copy_square_transposed(rows, first + k, i, transposed, i, k)
        no_bias, onto = vector_at(G, 0, 0), np.bool_(True)
        below, G_below = rows_at(rows, first, n - first), rows_at(G, first, n - first)
        accumulate(
            columns_before(below, m), no_bias, transposed, G_below, first, n_columns, onto
        )  # N1
    if n_transposed < n:
        below = rows_at(rows, n_transposed, n - n_transposed)
        G_below = rows_at(G, n_transposed, n - n_transposed)
        reduce_over_samples(below, rows, G_below, n_transposed, m)  # N1


@jit
def curvature_pass_tiled(theta, sizes, units, loss, A, dZ, Y, s, dtheta, H, rows, m):
    """The summed cost; its gradient is added to dtheta. Leaves H, and A[L] in the workspace."""
    L = len(sizes) - 1
    cost = cost_pass_tiled(theta, sizes, units, loss, A, Y, s, m)
    backward_pass_tiled(theta, sizes, units, loss, A, dZ, Y, s, dtheta, np.int64(1), m)
    Z, unit = units_of_loops(A, sizes, L), units[L - 1]
    for j in range(Z.shape[0]):
        for i in range(m):
            H[j, i] = Z[j, i]
    free_rows = rows_at(rows, 0, 2)
    activate_tiled(unit, H, free_rows, m)
    curvature_tiled(loss, unit, H, Z, Y, s, H, m)
    activate_tiled(unit, Z, free_rows, m)
    return cost


@jit
def normal_pass_tiled(theta, sizes, units, loss, A, dZ, Y, s, dtheta, H, rows, G, scratch, m):
    """The summed cost; its gradient is added to dtheta, the Gauss-Newton matrix to G."""
    L = len(sizes) - 1
    cost = curvature_pass_tiled(theta, sizes, units, loss, A, dZ, Y, s, dtheta, H, rows, m)
    for k in range(sizes[L]):
        of_output = units_of_loops(A, sizes, L), H, k, units_of_loops(dZ, sizes, L)
        output_row_tiled(units[L - 1], *of_output, m)
        jacobian_rows_tiled(theta, sizes, units, A, dZ, rows, m)
        add_products_of_rows(rows, G, scratch, m)
    return cost


@jit
def rows_pass_tiled(
    theta, sizes, units, loss, A, dZ, Y, s, dtheta, H, rows, R, rho, first, count, m
):
    """The summed cost; its gradient is added to dtheta. The rows themselves are kept.

    R (n_parameters, n_L n) receives the rows of `count` of n samples from `first` on as its
    columns, those of one output unit beside each other; rho (n_L n,) the numbers for which
    R rho is the gradient: s_i dz_j(i) / sqrt(s_i h_j(i)).
    """
    L, n = len(sizes) - 1, rho.size // sizes[len(sizes) - 1]
    cost = curvature_pass_tiled(theta, sizes, units, loss, A, dZ, Y, s, dtheta, H, rows, m)
    dZ_output = units_of_loops(dZ, sizes, L)
    for k in range(sizes[L]):
        for i in range(count):
            if H[k, i] < SMALLEST_CURVATURE:  # where h underflows, dz need not
                H[k, i] = SMALLEST_CURVATURE
            rho[k * n + first + i] = dZ_output[k, i] / np.sqrt(H[k, i])  # N2
    for k in range(sizes[L]):
        output_row_tiled(units[L - 1], units_of_loops(A, sizes, L), H, k, dZ_output, m)
        jacobian_rows_tiled(theta, sizes, units, A, dZ, rows, m)
        for p in range(theta.size):
            for i in range(count):
                R[p, k * n + first + i] = rows[p, i]  # N1
    return cost


def scratch_numbers(m: int) -> int:
    """How many numbers `add_products_of_rows` overwrites, for blocks of m samples in float64."""
    return m * N_COLUMNS * tiles.VECTOR_BYTES // 8
