"""The layers put together: a pass of a block of samples through a whole network.

Arguments, alike in every backend:

    theta    (n_parameters,)          W[1], b[1], W[2], b[2], ... (layout.py)
    sizes    (L + 1,) int64           n_0, ..., n_L
    units    (L,) int64               activation of each layer from 1, the output unit last
    loss     KernelLoss               the loss (losses.py)
    A        (n_0 + ... + n_L, m)     workspace; X is in its first n_0 rows, unchanged
    dZ       as A                     workspace for the backward pass
    Y, s     (n_L, m), (m,)           targets and weights of the samples
    dtheta   as theta                 receives the gradient, summed over the samples

A pass allocates nothing that grows with the samples in its compiled forms. The tiled form takes
one block of samples, in rows that are aligned to vectors, with `SCRATCH_ROWS` more rows below. It
only uses the first m samples, a whole number of vectors; the caller pads with samples of weight 0.

Pass `lowest` to kernels as an np.int64: Numba compiles a separate variant for each literal number.
"""

import numpy as np

from engine.compiler.jit import jit
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
    cost_sum_loops,
    cost_sum_numpy,
    cost_sum_tiled,
    output_gradient_loops,
    output_gradient_numpy,
    output_gradient_tiled,
)


def logits_numpy(theta, sizes, units, A):
    """Leave A[1] ... A[L-1] in the workspace, and Z[L] in the rows of A[L]."""
    L = len(sizes) - 1
    for l in range(1, L + 1):
        W, b = parameters_of(theta, sizes, l)
        Z = units_of(A, sizes, l)
        affine_numpy(W, b, units_of(A, sizes, l - 1), Z)
        if l < L:
            activate_numpy(units[l - 1], Z, Z)


def forward_pass_numpy(theta, sizes, units, A):
    """Leave A[1] ... A[L] in the workspace."""
    logits_numpy(theta, sizes, units, A)
    Z = units_of(A, sizes, len(sizes) - 1)
    activate_numpy(units[-1], Z, Z)


def cost_pass_numpy(theta, sizes, units, loss, A, Y, s):
    """The summed cost."""
    logits_numpy(theta, sizes, units, A)
    Z = units_of(A, sizes, len(sizes) - 1)
    return cost_sum_numpy(loss, units[-1], Z, Y, s)


def gradient_pass_numpy(theta, sizes, units, loss, A, dZ, Y, s, dtheta):
    """The summed cost, and its gradient in dtheta.  2 to 3 multiply-adds a weight and sample.

    The workspace keeps Z[L]; A[L] is only made on the way to dZ[L], in its place.
    """
    L = len(sizes) - 1
    cost = cost_pass_numpy(theta, sizes, units, loss, A, Y, s)
    Z, dZ_output = units_of(A, sizes, L), units_of(dZ, sizes, L)
    activate_numpy(units[L - 1], Z, dZ_output)
    output_gradient_numpy(loss, units[L - 1], dZ_output, Z, Y, s, dZ_output)
    dtheta[:] = 0
    for l in range(L, 0, -1):
        W, _ = parameters_of(theta, sizes, l)
        dW, db = parameters_of(dtheta, sizes, l)
        A_prev, dZ_prev = units_of(A, sizes, l - 1), units_of(dZ, sizes, l - 1)
        parameter_gradient_numpy(units_of(dZ, sizes, l), A_prev, dW, db)
        if l > 1:
            input_gradient_numpy(W, units_of(dZ, sizes, l), dZ_prev)
            derive_numpy(units[l - 2], A_prev, dZ_prev, dZ_prev)
    return cost


@jit
def logits_loops(theta, sizes, units, A):
    """Leave A[1] ... A[L-1] in the workspace, and Z[L] in the rows of A[L]."""
    L = len(sizes) - 1
    for l in range(1, L + 1):
        W, b = parameters_of_loops(theta, sizes, l)
        Z = units_of_loops(A, sizes, l)
        affine_loops(W, b, units_of_loops(A, sizes, l - 1), Z)
        if l < L:
            activate_loops(units[l - 1], Z, Z)


@jit
def forward_pass_loops(theta, sizes, units, A):
    """Leave A[1] ... A[L] in the workspace."""
    logits_loops(theta, sizes, units, A)
    Z = units_of_loops(A, sizes, len(sizes) - 1)
    activate_loops(units[-1], Z, Z)


@jit
def cost_pass_loops(theta, sizes, units, loss, A, Y, s):
    """The summed cost."""
    logits_loops(theta, sizes, units, A)
    Z = units_of_loops(A, sizes, len(sizes) - 1)
    return cost_sum_loops(loss, units[-1], Z, Y, s)


@jit
def gradient_pass_loops(theta, sizes, units, loss, A, dZ, Y, s, dtheta):
    """The summed cost, and its gradient in dtheta.  2 to 3 multiply-adds a weight and sample.

    The workspace keeps Z[L]; A[L] is only made on the way to dZ[L], in its place.
    """
    L = len(sizes) - 1
    cost = cost_pass_loops(theta, sizes, units, loss, A, Y, s)
    Z, dZ_output = units_of_loops(A, sizes, L), units_of_loops(dZ, sizes, L)
    activate_loops(units[L - 1], Z, dZ_output)
    output_gradient_loops(loss, units[L - 1], dZ_output, Z, Y, s, dZ_output)
    dtheta[:] = 0
    for l in range(L, 0, -1):
        W, _ = parameters_of_loops(theta, sizes, l)
        dW, db = parameters_of_loops(dtheta, sizes, l)
        A_prev, dZ_prev = units_of_loops(A, sizes, l - 1), units_of_loops(dZ, sizes, l - 1)
        parameter_gradient_loops(units_of_loops(dZ, sizes, l), A_prev, dW, db)
        if l > 1:
            input_gradient_loops(W, units_of_loops(dZ, sizes, l), dZ_prev)
            derive_loops(units[l - 2], A_prev, dZ_prev, dZ_prev)
    return cost


@jit
def logits_tiled(theta, sizes, units, A, lowest, m):
    """Leave A[lowest] ... A[L-1] in the workspace, and Z[L] in the rows of A[L]."""
    L = len(sizes) - 1
    for l in range(lowest, L + 1):
        W, b = parameters_of_loops(theta, sizes, l)
        Z = units_of_loops(A, sizes, l)
        affine_tiled(W, b, units_of_loops(A, sizes, l - 1), Z, m)
        if l < L:
            activate_tiled(units[l - 1], Z, scratch_of(A, sizes), m)


@jit
def forward_pass_tiled(theta, sizes, units, A, m):
    """Leave A[1] ... A[L] in the workspace."""
    logits_tiled(theta, sizes, units, A, np.int64(1), m)
    Z = units_of_loops(A, sizes, len(sizes) - 1)
    activate_tiled(units[-1], Z, scratch_of(A, sizes), m)


@jit
def cost_pass_tiled(theta, sizes, units, loss, A, Y, s, m):
    """The summed cost."""
    logits_tiled(theta, sizes, units, A, np.int64(1), m)
    Z = units_of_loops(A, sizes, len(sizes) - 1)
    return cost_sum_tiled(loss, units[-1], Z, Y, s, scratch_of(A, sizes), m)


@jit
def gradient_pass_tiled(theta, sizes, units, loss, A, dZ, Y, s, dtheta, m):
    """The summed cost; its gradient is added to dtheta.  2 to 3 multiply-adds a weight, sample."""
    cost = cost_pass_tiled(theta, sizes, units, loss, A, Y, s, m)
    backward_pass_tiled(theta, sizes, units, loss, A, dZ, Y, s, dtheta, np.int64(1), m)
    return cost


@jit
def backward_pass_tiled(theta, sizes, units, loss, A, dZ, Y, s, dtheta, lowest, m):
    """Add the gradient to dtheta, from Z[L] and the activations below it in the workspace.

    Down to layer `lowest`; the dZ of the layer below it is left in the workspace.
    """
    L = len(sizes) - 1
    Z, dZ_output = units_of_loops(A, sizes, L), units_of_loops(dZ, sizes, L)
    for j in range(Z.shape[0]):
        for i in range(m):
            dZ_output[j, i] = Z[j, i]
    activate_tiled(units[L - 1], dZ_output, scratch_of(A, sizes), m)
    output_gradient_tiled(loss, units[L - 1], dZ_output, Z, Y, s, dZ_output, m)
    for l in range(L, lowest - 1, -1):
        W, _ = parameters_of_loops(theta, sizes, l)
        dW, db = parameters_of_loops(dtheta, sizes, l)
        A_prev, dZ_prev = units_of_loops(A, sizes, l - 1), units_of_loops(dZ, sizes, l - 1)
        parameter_gradient_tiled(units_of_loops(dZ, sizes, l), A_prev, dW, db, dZ_prev, m)
        if l > 1:
            input_gradient_tiled(W, units_of_loops(dZ, sizes, l), dZ_prev, m)
            derive_tiled(units[l - 2], A_prev, dZ_prev, m)
