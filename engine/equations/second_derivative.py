"""The Hessian of the summed cost times a vector, by the R-operator.

R{f} is the derivative of f(theta + r v) by r at r = 0: how f changes along v. V and v_b are the
parts of v that belong to W and b.

    N8   RZ[l]    = W[l] RA[l-1] + V[l] A[l-1] + v_b[l],   RA[0] = 0
         RA[l]    = RZ[l] o g'(Z[l])
         RdZ[L]   = s o (second derivative of J_i by z) RZ[L]                   N9
         RdA[l-1] = W[l]^T RdZ[l] + V[l]^T dZ[l]
         RdZ[l-1] = RdA[l-1] o g'(Z[l-1]) + dA[l-1] o g''(Z[l-1]) o RZ[l-1]     N10 (activations.py)
         RdW[l]   = RdZ[l] A[l-1]^T + dZ[l] RA[l-1]^T,   Rdb[l] = row sums of RdZ[l]

RdW and Rdb are the parts of H v. Second derivatives of the cost of a sample, of one output unit:

    N9   cross-entropy, sigmoid   a (1 - a)         squared error    1
         Poisson                  a                 Huber            1 where |e| <= delta, else 0
         gamma                    y e^-z
         Tweedie                  (2-p) e^((2-p) z) - (1-p) y e^((1-p) z)
         cross-entropy, softmax   the whole matrix diag(a) - a a^T

The other losses have a kink, or are a user's own: they are refused, here and at the boundary.

    v, product   as theta                    the vector, and receives H v, summed over the samples
    A, dZ        (n_0 + ... + n_L, m)        workspaces, as in passes.py
    RA, RdZ      as dZ                       workspaces for how these two change along v

Source: Pearlmutter 1994, Neural Computation 6, section 4.
"""

import numpy as np

from engine.compiler.jit import compiled_once, in_order, jit
from engine.compiler.views import columns_before, vector_at
from engine.equations import elementary
from engine.equations.activations import (
    activate_loops,
    activate_numpy,
    activate_tiled,
    add_second_derivative_loops,
    add_second_derivative_numpy,
    add_second_derivative_tiled,
    derive_loops,
    derive_numpy,
    derive_tiled,
)
from engine.equations.backward import (
    input_gradient_loops,
    input_gradient_numpy,
    input_gradient_tiled,
    parameter_gradient_loops,
    parameter_gradient_numpy,
    parameter_gradient_tiled,
)
from engine.equations.forward import affine_loops, affine_numpy, affine_tiled
from engine.equations.layout import (
    parameters_of,
    parameters_of_loops,
    scratch_of,
    units_of,
    units_of_loops,
)
from engine.equations.losses import (
    CROSS_ENTROPY,
    GAMMA,
    HUBER,
    POISSON,
    SQUARED_ERROR,
    TWEEDIE,
    UNKNOWN,
    output_gradient_loops,
    output_gradient_numpy,
    output_gradient_tiled,
)
from engine.equations.passes import logits_loops, logits_numpy, logits_tiled
from engine.equations.products import accumulate, accumulate_over_samples
from engine.equations.units import SIGMOID, SOFTMAX

# The losses of N9.
WITH_SECOND_DERIVATIVE = (CROSS_ENTROPY, SQUARED_ERROR, POISSON, HUBER, GAMMA, TWEEDIE)


def output_change_numpy(loss, unit, A, Z, Y, s, RZ, RdZ):
    """RdZ = s o (second derivative of J_i by z) RZ of the output layer.  RdZ may not be RZ."""
    code, number = loss.code, loss.parameter[:, np.newaxis]
    if code == CROSS_ENTROPY and unit == SOFTMAX:
        columns = np.arange(A.shape[1])
        beside = RZ - RZ[A.argmax(axis=0), columns]
        change = A * (beside - (A * beside).sum(axis=0))  # N9
    elif code == CROSS_ENTROPY and unit == SIGMOID:
        e = np.exp(-np.abs(Z))
        change = e / np.square(1 + e) * RZ  # N9
    elif code == SQUARED_ERROR:
        change = RZ  # N9
    elif code == POISSON:
        change = A * RZ  # N9
    elif code == HUBER:
        change = np.where(np.abs(Z - Y) > number.astype(Z.dtype), 0, RZ)  # N9
    elif code == GAMMA:
        change = Y * np.exp(-Z) * RZ  # N9
    elif code == TWEEDIE:
        p_1, p_2 = (1 - number).astype(Z.dtype), (2 - number).astype(Z.dtype)
        of_Y = np.where(Y > 0, Y * np.exp(p_1 * Z), 0)  # 0 e^inf = 0
        change = (p_2 * np.exp(p_2 * Z) - p_1 * of_Y) * RZ  # N9
    else:
        raise ValueError(f"{UNKNOWN}: {code}, {unit}")
    RdZ[:] = np.where(s > 0, s * change, 0)


def add_product_numpy(left, right, out):
    """out += left right.  A multiply-add for each entry of left and each column of right."""
    out += left @ right  # N8


def hessian_pass_numpy(theta, v, sizes, units, loss, A, dZ, RA, RdZ, Y, s, product):
    """H v, summed over the samples, in `product`.

    3 multiply-adds for each weight of layer 1 and sample, and 8 above; a gradient takes 2 and 3.
    """
    L = len(sizes) - 1
    logits_numpy(theta, sizes, units, A)
    for l in range(1, L + 1):
        W, _ = parameters_of(theta, sizes, l)
        V, v_b = parameters_of(v, sizes, l)
        RZ = units_of(RA, sizes, l)
        affine_numpy(V, v_b, units_of(A, sizes, l - 1), RZ)
        if l > 1:
            add_product_numpy(W, units_of(RA, sizes, l - 1), RZ)
        if l < L:
            derive_numpy(units[l - 1], units_of(A, sizes, l), RZ, RZ)
    Z, dZ_output, unit = units_of(A, sizes, L), units_of(dZ, sizes, L), units[L - 1]
    activate_numpy(unit, Z, dZ_output)
    RZ, RdZ_output = units_of(RA, sizes, L), units_of(RdZ, sizes, L)
    output_change_numpy(loss, unit, dZ_output, Z, Y, s, RZ, RdZ_output)
    output_gradient_numpy(loss, unit, dZ_output, Z, Y, s, dZ_output)
    product[:] = 0
    for l in range(L, 0, -1):
        W, _ = parameters_of(theta, sizes, l)
        V, _ = parameters_of(v, sizes, l)
        RdW, Rdb = parameters_of(product, sizes, l)
        of_layer, change = units_of(dZ, sizes, l), units_of(RdZ, sizes, l)
        A_prev, RA_prev = units_of(A, sizes, l - 1), units_of(RA, sizes, l - 1)
        parameter_gradient_numpy(change, A_prev, RdW, Rdb)
        if l > 1:
            add_product_numpy(of_layer, RA_prev.T, RdW)
            below, change_below = units_of(dZ, sizes, l - 1), units_of(RdZ, sizes, l - 1)
            input_gradient_numpy(W, of_layer, below)
            input_gradient_numpy(W, change, change_below)
            add_product_numpy(V.T, of_layer, change_below)
            derive_numpy(units[l - 2], A_prev, change_below, change_below)
            add_second_derivative_numpy(units[l - 2], A_prev, RA_prev, below, change_below)
            derive_numpy(units[l - 2], A_prev, below, below)


@jit
def second_derivative(loss, unit, a, z, y, j):
    """The second derivative by z_j of the cost of output unit j; softmax units are left out."""
    code = loss.code
    if code == CROSS_ENTROPY and unit == SIGMOID:
        e = np.exp(-abs(z))
        return e / (1 + e) ** 2  # N9
    if code == SQUARED_ERROR:
        return 1.0  # N9
    if code == POISSON:
        return a  # N9
    if code == HUBER:
        return 0.0 if abs(z - y) > loss.parameter[j] else 1.0  # N9
    if code == GAMMA:
        return y * np.exp(-z)  # N9
    if code == TWEEDIE:
        p_1, p_2 = 1 - loss.parameter[j], 2 - loss.parameter[j]
        of_y = y * np.exp(p_1 * z) if y > 0 else 0.0
        return p_2 * np.exp(p_2 * z) - p_1 * of_y  # N9
    raise ValueError(UNKNOWN)


@jit
def output_change_loops(loss, unit, A, Z, Y, s, RZ, RdZ):
    """RdZ = s o (second derivative of J_i by z) RZ of the output layer.  RdZ may not be RZ."""
    n_out, m = A.shape
    for i in range(m):
        if loss.code == CROSS_ENTROPY and unit == SOFTMAX:
            softmax_change(A, s, RZ, RdZ, i)
        else:
            for j in range(n_out):
                h = second_derivative(loss, unit, A[j, i], Z[j, i], Y[j, i], j)
                RdZ[j, i] = s[i] * h * RZ[j, i] if s[i] > 0 else 0.0


@in_order
def less(x, y):
    """x - y before anything else: no compiler may turn (x - y) - z into x - (y + z)."""
    return x - y


@jit
def softmax_change(A, s, RZ, RdZ, i):
    """(diag(a) - a a^T) rz of sample i.

    Less the rz of the most probable unit, which changes nothing: so no digits cancel where the
    others are improbable.
    """
    n_out, most = A.shape[0], 0
    for j in range(1, n_out):
        if A[j, i] > A[most, i]:
            most = j
    mean = 0.0
    for j in range(n_out):
        mean += A[j, i] * less(RZ[j, i], RZ[most, i])
    for j in range(n_out):
        change = A[j, i] * less(less(RZ[j, i], RZ[most, i]), mean)  # N9
        RdZ[j, i] = s[i] * change if s[i] > 0 else 0.0


@jit
def add_product_loops(left, right, out):
    """out += left right.  A multiply-add for each entry of left and each column of right."""
    for j in range(left.shape[0]):
        for k in range(left.shape[1]):
            for i in range(right.shape[1]):
                out[j, i] += left[j, k] * right[k, i]  # N8


@jit
def hessian_pass_loops(theta, v, sizes, units, loss, A, dZ, RA, RdZ, Y, s, product):
    """H v, summed over the samples, in `product`.

    3 multiply-adds for each weight of layer 1 and sample, and 8 above; a gradient takes 2 and 3.
    """
    L = len(sizes) - 1
    logits_loops(theta, sizes, units, A)
    for l in range(1, L + 1):
        W, _ = parameters_of_loops(theta, sizes, l)
        V, v_b = parameters_of_loops(v, sizes, l)
        RZ = units_of_loops(RA, sizes, l)
        affine_loops(V, v_b, units_of_loops(A, sizes, l - 1), RZ)
        if l > 1:
            add_product_loops(W, units_of_loops(RA, sizes, l - 1), RZ)
        if l < L:
            derive_loops(units[l - 1], units_of_loops(A, sizes, l), RZ, RZ)
    Z, dZ_output, unit = units_of_loops(A, sizes, L), units_of_loops(dZ, sizes, L), units[L - 1]
    activate_loops(unit, Z, dZ_output)
    RZ_output, RdZ_output = units_of_loops(RA, sizes, L), units_of_loops(RdZ, sizes, L)
    output_change_loops(loss, unit, dZ_output, Z, Y, s, RZ_output, RdZ_output)
    output_gradient_loops(loss, unit, dZ_output, Z, Y, s, dZ_output)
    product[:] = 0
    for l in range(L, 0, -1):
        W, _ = parameters_of_loops(theta, sizes, l)
        V, _ = parameters_of_loops(v, sizes, l)
        RdW, Rdb = parameters_of_loops(product, sizes, l)
        of_layer, change = units_of_loops(dZ, sizes, l), units_of_loops(RdZ, sizes, l)
        A_prev, RA_prev = units_of_loops(A, sizes, l - 1), units_of_loops(RA, sizes, l - 1)
        parameter_gradient_loops(change, A_prev, RdW, Rdb)
        if l > 1:
            add_product_loops(of_layer, RA_prev.T, RdW)
            below, change_below = (
                units_of_loops(dZ, sizes, l - 1),
                units_of_loops(RdZ, sizes, l - 1),
            )
            input_gradient_loops(W, of_layer, below)
            input_gradient_loops(W, change, change_below)
            add_product_loops(V.T, of_layer, change_below)
            derive_loops(units[l - 2], A_prev, change_below, change_below)
            add_second_derivative_loops(units[l - 2], A_prev, RA_prev, below, change_below)
            derive_loops(units[l - 2], A_prev, below, below)


@compiled_once
def output_change_tiled(loss, unit, A, Z, Y, s, RZ, RdZ, scratch, m):
    """RdZ = s o (second derivative of J_i by z) RZ of the output layer, for the first m samples.

    RdZ may not be RZ.
    """
    code, dtype = loss.code, Z.dtype.type
    one, zero = dtype(1), dtype(0)
    if code == CROSS_ENTROPY and unit == SOFTMAX:
        softmax_change_tiled(A, RZ, RdZ, scratch, m)
    for j in range(Z.shape[0]):
        a, z, y, change, rz = A[j], Z[j], Y[j], RdZ[j], RZ[j]
        if code == CROSS_ENTROPY and unit == SIGMOID:
            for i in range(m):
                e = elementary.exp(-abs(z[i]))
                change[i] = e / ((one + e) * (one + e)) * rz[i]  # N9
        elif code == SQUARED_ERROR:
            for i in range(m):
                change[i] = rz[i]  # N9
        elif code == POISSON:
            for i in range(m):
                change[i] = a[i] * rz[i]  # N9
        elif code == HUBER:
            delta = dtype(loss.parameter[j])
            for i in range(m):
                change[i] = zero if abs(z[i] - y[i]) > delta else rz[i]  # N9
        elif code == GAMMA:
            for i in range(m):
                change[i] = y[i] * elementary.exp(-z[i]) * rz[i]  # N9
        elif code == TWEEDIE:
            p_1, p_2 = dtype(1 - loss.parameter[j]), dtype(2 - loss.parameter[j])
            for i in range(m):
                of_y = y[i] * elementary.exp(p_1 * z[i]) if y[i] > zero else zero
                change[i] = (p_2 * elementary.exp(p_2 * z[i]) - p_1 * of_y) * rz[i]  # N9
        elif not (code == CROSS_ENTROPY and unit == SOFTMAX):
            raise ValueError(UNKNOWN)
        for i in range(m):
            weighted = s[i] * change[i]
            change[i] = weighted if s[i] > zero else zero


@jit
def softmax_change_tiled(A, RZ, RdZ, scratch, m):
    """(diag(a) - a a^T) rz, from the rz less that of the most probable unit."""
    n_out = A.shape[0]
    most, of_most, mean = scratch[0], scratch[1], scratch[2]
    for i in range(m):
        most[i], of_most[i], mean[i] = A[0, i], RZ[0, i], 0
    for j in range(1, n_out):
        for i in range(m):
            above = A[j, i] > most[i]
            of_most[i] = RZ[j, i] if above else of_most[i]
            most[i] = A[j, i] if above else most[i]
    for j in range(n_out):
        for i in range(m):
            mean[i] += A[j, i] * less(RZ[j, i], of_most[i])
    for j in range(n_out):
        for i in range(m):
            RdZ[j, i] = A[j, i] * less(less(RZ[j, i], of_most[i]), mean[i])  # N9


@jit
def add_product_tiled(left, right, out, m):
    """out += left right, for the first m samples, which are the columns of right and out."""
    no_bias, onto = vector_at(right, 0, 0), np.bool_(True)
    everything = columns_before(left, left.shape[1])
    accumulate(everything, no_bias, right, out, np.int64(0), m, onto)  # N8


@jit
def hessian_pass_tiled(theta, v, sizes, units, loss, A, dZ, RA, RdZ, Y, s, product, m):
    """H v, summed over the first m samples, is added to `product`.

    3 multiply-adds for each weight of layer 1 and sample, and 8 above; a gradient takes 2 and 3.
    """
    L = len(sizes) - 1
    logits_tiled(theta, sizes, units, A, np.int64(1), m)
    for l in range(1, L + 1):
        W, _ = parameters_of_loops(theta, sizes, l)
        V, v_b = parameters_of_loops(v, sizes, l)
        RZ = units_of_loops(RA, sizes, l)
        affine_tiled(V, v_b, units_of_loops(A, sizes, l - 1), RZ, m)
        if l > 1:
            add_product_tiled(W, units_of_loops(RA, sizes, l - 1), RZ, m)
        if l < L:
            derive_tiled(units[l - 1], units_of_loops(A, sizes, l), RZ, m)
    output_changes_tiled(sizes, units, loss, A, dZ, RA, RdZ, Y, s, m)
    for l in range(L, 0, -1):
        W, _ = parameters_of_loops(theta, sizes, l)
        V, _ = parameters_of_loops(v, sizes, l)
        RdW, Rdb = parameters_of_loops(product, sizes, l)
        of_layer, change = units_of_loops(dZ, sizes, l), units_of_loops(RdZ, sizes, l)
        A_prev, RA_prev = units_of_loops(A, sizes, l - 1), units_of_loops(RA, sizes, l - 1)
        below, change_below = units_of_loops(dZ, sizes, l - 1), units_of_loops(RdZ, sizes, l - 1)
        parameter_gradient_tiled(change, A_prev, RdW, Rdb, change_below, m)
        if l > 1:
            accumulate_over_samples(of_layer, RA_prev, RdW, change_below, m)  # N8
            input_gradient_tiled(W, of_layer, below, m)
            input_gradient_tiled(W, change, change_below, m)
            add_product_tiled(V.T, of_layer, change_below, m)
            derive_tiled(units[l - 2], A_prev, change_below, m)
            add_second_derivative_tiled(units[l - 2], A_prev, RA_prev, below, change_below, m)
            derive_tiled(units[l - 2], A_prev, below, m)


@jit
def output_changes_tiled(sizes, units, loss, A, dZ, RA, RdZ, Y, s, m):
    """dZ[L] and RdZ[L], from Z[L] and RZ[L] in the workspaces."""
    L = len(sizes) - 1
    Z, dZ_output, unit = units_of_loops(A, sizes, L), units_of_loops(dZ, sizes, L), units[L - 1]
    RZ, RdZ_output = units_of_loops(RA, sizes, L), units_of_loops(RdZ, sizes, L)
    scratch = scratch_of(A, sizes)
    for j in range(Z.shape[0]):
        for i in range(m):
            dZ_output[j, i] = Z[j, i]
    activate_tiled(unit, dZ_output, scratch, m)
    output_change_tiled(loss, unit, dZ_output, Z, Y, s, RZ, RdZ_output, scratch, m)
    output_gradient_tiled(loss, unit, dZ_output, Z, Y, s, dZ_output, m)
