"""Jacobians of the outputs: derivatives of A[L] by the inputs and by the parameters.

    B11  da_k/dz_j(i)    = a_k (1 - a_k) [j = k]          sigmoid units, from z
                           1 [j = k]                      identity units
                           a_k [j = k]                    exponential units
                           a_k ([j = k] - a_j)            softmax units
    B12  da_k/dx_q(i)    = sum_j W_jq[1] dz_j[1](i)       dX = W[1]^T dZ[1]
    B13  da_k/dtheta_p(i)  = rows_p(i)                    of gauss_newton.py

For one output unit k at a time, dZ[L] is the row k of B11, and a backward pass (B3, B4) takes it to
dZ[1] of each sample. Nothing is summed over the samples.

    A, dZ      (n_0 + ... + n_L, m)             workspaces, X in the first rows of A
    rows       (n_parameters, m)                workspace
    jacobian   (m, n_L, n_0), or (m, n_L, n_parameters)

The softmax slope a_k (1 - a_k) is the sum of a_k a_j over the other units, which keeps its digits
where a_k is nearly 1.
"""

import numpy as np

from engine.compiler import tiles
from engine.compiler.jit import compiled_once, jit
from engine.compiler.views import matrix_at
from engine.equations import elementary
from engine.equations.activations import (
    UNKNOWN,
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
from engine.equations.gauss_newton import (
    jacobian_rows_loops,
    jacobian_rows_numpy,
    jacobian_rows_tiled,
)
from engine.equations.layout import (
    parameters_of,
    parameters_of_loops,
    scratch_of,
    units_of,
    units_of_loops,
)
from engine.equations.passes import logits_loops, logits_numpy, logits_tiled
from engine.equations.units import EXP, IDENTITY, SIGMOID, SOFTMAX


def output_slopes_numpy(unit, Z, D):
    """D = da_j/dz_j of each output unit, but the activations of softmax units. D may be Z."""
    if unit == SIGMOID:
        e = np.exp(-np.abs(Z))
        np.divide(e, np.square(1 + e), out=D)  # B11
    elif unit == IDENTITY:
        D[:] = 1  # B11
    elif unit in (EXP, SOFTMAX):
        activate_numpy(unit, Z, D)  # B11
    else:
        raise ValueError(f"{UNKNOWN}, of those of the output: {unit}")


def slopes_of_output_numpy(unit, D, k, dZ):
    """dZ[L] = da_k/dZ[L] of output unit k, from what `output_slopes_numpy` gives."""
    dZ[:] = -D * D[k] if unit == SOFTMAX else 0  # B11
    dZ[k] = 0
    dZ[k] = -dZ.sum(axis=0) if unit == SOFTMAX else D[k]  # B11


def input_rows_numpy(theta, sizes, units, A, dZ):
    """Leave dX in the rows of the inputs, from dZ[L] and the activations below it."""
    for l in range(len(sizes) - 1, 0, -1):
        W, _ = parameters_of(theta, sizes, l)
        below = units_of(dZ, sizes, l - 1)
        input_gradient_numpy(W, units_of(dZ, sizes, l), below)
        if l > 1:
            derive_numpy(units[l - 2], units_of(A, sizes, l - 1), below, below)


def input_jacobian_pass_numpy(theta, sizes, units, A, dZ, jacobian):
    """Fill jacobian with dA[L]/dX.  n_L backward passes without parameter gradients."""
    L = len(sizes) - 1
    logits_numpy(theta, sizes, units, A)
    D = units_of(A, sizes, L)
    output_slopes_numpy(units[L - 1], D, D)
    for k in range(int(sizes[L])):
        slopes_of_output_numpy(units[L - 1], D, k, units_of(dZ, sizes, L))
        input_rows_numpy(theta, sizes, units, A, dZ)
        jacobian[:, k] = units_of(dZ, sizes, 0).T  # B12


def parameter_jacobian_pass_numpy(theta, sizes, units, A, dZ, rows, jacobian):
    """Fill jacobian with dA[L]/dtheta.  n_L backward passes, and n_L n_parameters products."""
    L = len(sizes) - 1
    logits_numpy(theta, sizes, units, A)
    D = units_of(A, sizes, L)
    output_slopes_numpy(units[L - 1], D, D)
    for k in range(int(sizes[L])):
        slopes_of_output_numpy(units[L - 1], D, k, units_of(dZ, sizes, L))
        jacobian_rows_numpy(theta, sizes, units, A, dZ, rows)
        jacobian[:, k] = rows.T  # B13


@jit
def output_slope(unit, z):
    """da/dz of one output unit that does not depend on the units beside it."""
    if unit == SIGMOID:
        e = np.exp(-abs(z))
        return e / (1 + e) ** 2  # B11
    if unit == IDENTITY:
        return 1.0  # B11
    if unit == EXP:
        return np.exp(z)  # B11
    raise ValueError(UNKNOWN)


@jit
def output_slopes_loops(unit, Z, D):
    """D = da_j/dz_j of each output unit, but the activations of softmax units. D may be Z."""
    n_out, m = Z.shape
    if unit == SOFTMAX:
        activate_loops(unit, Z, D)
    else:
        for i in range(m):
            for j in range(n_out):
                D[j, i] = output_slope(unit, Z[j, i])


@jit
def slopes_of_output_loops(unit, D, k, dZ):
    """dZ[L] = da_k/dZ[L] of output unit k, from what `output_slopes_loops` gives."""
    n_out, m = D.shape
    for i in range(m):
        dZ[k, i] = 0.0 if unit == SOFTMAX else D[k, i]  # B11
        for j in range(n_out):
            if j != k:
                dZ[j, i] = -D[k, i] * D[j, i] if unit == SOFTMAX else 0.0  # B11
                dZ[k, i] -= dZ[j, i]


@jit
def input_rows_loops(theta, sizes, units, A, dZ):
    """Leave dX in the rows of the inputs, from dZ[L] and the activations below it."""
    for l in range(len(sizes) - 1, 0, -1):
        W, _ = parameters_of_loops(theta, sizes, l)
        below = units_of_loops(dZ, sizes, l - 1)
        input_gradient_loops(W, units_of_loops(dZ, sizes, l), below)
        if l > 1:
            derive_loops(units[l - 2], units_of_loops(A, sizes, l - 1), below, below)


@jit
def input_jacobian_pass_loops(theta, sizes, units, A, dZ, jacobian):
    """Fill jacobian with dA[L]/dX.  n_L backward passes without parameter gradients."""
    L = len(sizes) - 1
    logits_loops(theta, sizes, units, A)
    D, dX = units_of_loops(A, sizes, L), units_of_loops(dZ, sizes, 0)
    output_slopes_loops(units[L - 1], D, D)
    for k in range(sizes[L]):
        slopes_of_output_loops(units[L - 1], D, k, units_of_loops(dZ, sizes, L))
        input_rows_loops(theta, sizes, units, A, dZ)
        for i in range(dX.shape[1]):
            for q in range(dX.shape[0]):
                jacobian[i, k, q] = dX[q, i]  # B12


@jit
def parameter_jacobian_pass_loops(theta, sizes, units, A, dZ, rows, jacobian):
    """Fill jacobian with dA[L]/dtheta.  n_L backward passes, and n_L n_parameters products."""
    L = len(sizes) - 1
    logits_loops(theta, sizes, units, A)
    D = units_of_loops(A, sizes, L)
    output_slopes_loops(units[L - 1], D, D)
    for k in range(sizes[L]):
        slopes_of_output_loops(units[L - 1], D, k, units_of_loops(dZ, sizes, L))
        jacobian_rows_loops(theta, sizes, units, A, dZ, rows)
        for i in range(rows.shape[1]):
            for p in range(rows.shape[0]):
                jacobian[i, k, p] = rows[p, i]  # B13


@compiled_once
def output_slopes_tiled(unit, Z, scratch, m):
    """Z becomes da_j/dz_j of the first m samples, but the activations of softmax units."""
    one = Z.dtype.type(1)
    for j in range(Z.shape[0]):
        if unit == SIGMOID:
            for i in range(m):
                e = elementary.exp(-abs(Z[j, i]))
                Z[j, i] = e / ((one + e) * (one + e))  # B11
        elif unit == IDENTITY:
            for i in range(m):
                Z[j, i] = one  # B11
        elif unit not in (EXP, SOFTMAX):
            raise ValueError(UNKNOWN)
    if unit in (EXP, SOFTMAX):
        activate_tiled(unit, Z, scratch, m)  # B11


@compiled_once
def slopes_of_output_tiled(unit, D, k, dZ, m):
    """dZ[L] = da_k/dZ[L] of output unit k, from what `output_slopes_tiled` gives."""
    zero = D.dtype.type(0)
    for i in range(m):
        dZ[k, i] = zero if unit == SOFTMAX else D[k, i]  # B11
    for j in range(D.shape[0]):
        if j != k and unit == SOFTMAX:
            for i in range(m):
                dZ[j, i] = -D[k, i] * D[j, i]  # B11
                dZ[k, i] -= dZ[j, i]
        elif j != k:
            for i in range(m):
                dZ[j, i] = zero  # B11


@jit
def input_rows_tiled(theta, sizes, units, A, dZ, m):
    """Leave dX of the first m samples in the rows of the inputs, from dZ[L]."""
    for l in range(len(sizes) - 1, 0, -1):
        W, _ = parameters_of_loops(theta, sizes, l)
        below = units_of_loops(dZ, sizes, l - 1)
        input_gradient_tiled(W, units_of_loops(dZ, sizes, l), below, m)
        if l > 1:
            derive_tiled(units[l - 2], units_of_loops(A, sizes, l - 1), below, m)


@jit
def input_jacobian_pass_tiled(theta, sizes, units, A, dZ, jacobian, first, count, m):
    """Fill jacobian[first] ... jacobian[first + count - 1] with dA[L]/dX of a block."""
    L = len(sizes) - 1
    logits_tiled(theta, sizes, units, A, np.int64(1), m)
    D, dX = units_of_loops(A, sizes, L), units_of_loops(dZ, sizes, 0)
    output_slopes_tiled(units[L - 1], D, scratch_of(A, sizes), m)
    for k in range(sizes[L]):
        slopes_of_output_tiled(units[L - 1], D, k, units_of_loops(dZ, sizes, L), m)
        input_rows_tiled(theta, sizes, units, A, dZ, m)
        copy_rows_tiled(dX, jacobian, first, count, k)  # B12


@jit
def parameter_jacobian_pass_tiled(theta, sizes, units, A, dZ, rows, jacobian, first, count, m):
    """Fill jacobian[first] ... jacobian[first + count - 1] with dA[L]/dtheta of a block."""
    L = len(sizes) - 1
    logits_tiled(theta, sizes, units, A, np.int64(1), m)
    D = units_of_loops(A, sizes, L)
    output_slopes_tiled(units[L - 1], D, scratch_of(A, sizes), m)
    for k in range(sizes[L]):
        slopes_of_output_tiled(units[L - 1], D, k, units_of_loops(dZ, sizes, L), m)
        jacobian_rows_tiled(theta, sizes, units, A, dZ, rows, m)
        copy_rows_tiled(rows, jacobian, first, count, k)  # B13


@compiled_once
def copy_rows_tiled(rows, jacobian, first, count, k):
    """jacobian[first + c, k, p] = rows[p, c], in squares of a vector of samples."""
    n_samples, n_out, n = jacobian.shape
    n_lanes = tiles.lanes(rows)
    flat, at = matrix_at(jacobian, 0, n_samples, n_out * n), k * n
    squares = count - count % n_lanes if n >= n_lanes else 0
    for c in range(0, squares, n_lanes):
        for p in range(0, n - n_lanes + 1, n_lanes):
            tiles.copy_square_transposed(rows, p, c, flat, first + c, at + p)
        if n % n_lanes > 0:  # the last square may overlap the one before
            tiles.copy_square_transposed(rows, n - n_lanes, c, flat, first + c, at + n - n_lanes)
    for c in range(squares, count):
        for p in range(n):
            jacobian[first + c, k, p] = rows[p, c]
