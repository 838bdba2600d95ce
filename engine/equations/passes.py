"""The layers put together: a pass of a block of samples through a whole network.

Arguments, alike in every backend:

    theta    (n_parameters,)          W[1], b[1], W[2], b[2], ... (layout.py)
    sizes    (L + 1,) int64           n_0, ..., n_L
    units    (L,) int64               activation of each layer from 1, the output unit last
    A        (n_0 + ... + n_L, m)     workspace; X stands in its first n_0 rows, and stays
    dZ       as A                     workspace for the backward pass
    Y, s     (n_L, m), (m,)           targets and weights of the samples
    dtheta   as theta                 receives the gradient, summed over the samples

A pass allocates nothing that grows with the samples in its compiled form.
"""

from engine._jit import jit
from engine.equations.activations import (
    activate_loops,
    activate_numpy,
    derive_loops,
    derive_numpy,
)
from engine.equations.backward import (
    input_gradient_loops,
    input_gradient_numpy,
    parameter_gradient_loops,
    parameter_gradient_numpy,
)
from engine.equations.forward import affine_loops, affine_numpy
from engine.equations.layout import (
    parameters_of,
    parameters_of_loops,
    units_of,
    units_of_loops,
)
from engine.equations.losses import (
    cost_sum_loops,
    cost_sum_numpy,
    output_gradient_loops,
    output_gradient_numpy,
)


def logits_numpy(theta, sizes, units, A):
    """Z[L], with A[1] ... A[L-1] left in the workspace; Z[L] stands in the rows of A[L]."""
    L = len(sizes) - 1
    for l in range(1, L + 1):
        W, b = parameters_of(theta, sizes, l)
        Z = units_of(A, sizes, l)
        affine_numpy(W, b, units_of(A, sizes, l - 1), Z)
        if l < L:
            activate_numpy(units[l - 1], Z, Z)
    return units_of(A, sizes, L)


def forward_pass_numpy(theta, sizes, units, A):
    """A[L], in the last rows of the workspace."""
    Z = logits_numpy(theta, sizes, units, A)
    activate_numpy(units[-1], Z, Z)
    return Z


def cost_pass_numpy(theta, sizes, units, A, Y, s):
    """The summed cost."""
    return cost_sum_numpy(units[-1], logits_numpy(theta, sizes, units, A), Y, s)


def gradient_pass_numpy(theta, sizes, units, A, dZ, Y, s, dtheta):
    """The summed cost, and its gradient in dtheta.  2 to 3 multiply-adds a weight and sample."""
    L = len(sizes) - 1
    cost = cost_pass_numpy(theta, sizes, units, A, Y, s)
    output = units_of(A, sizes, L)
    activate_numpy(units[L - 1], output, output)
    output_gradient_numpy(output, Y, s, units_of(dZ, sizes, L))
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
    """Z[L], with A[1] ... A[L-1] left in the workspace; Z[L] stands in the rows of A[L]."""
    L = len(sizes) - 1
    for l in range(1, L + 1):
        W, b = parameters_of_loops(theta, sizes, l)
        Z = units_of_loops(A, sizes, l)
        affine_loops(W, b, units_of_loops(A, sizes, l - 1), Z)
        if l < L:
            activate_loops(units[l - 1], Z, Z)
    return units_of_loops(A, sizes, L)


@jit
def forward_pass_loops(theta, sizes, units, A):
    """A[L], in the last rows of the workspace."""
    Z = logits_loops(theta, sizes, units, A)
    activate_loops(units[-1], Z, Z)
    return Z


@jit
def cost_pass_loops(theta, sizes, units, A, Y, s):
    """The summed cost."""
    return cost_sum_loops(units[-1], logits_loops(theta, sizes, units, A), Y, s)


@jit
def gradient_pass_loops(theta, sizes, units, A, dZ, Y, s, dtheta):
    """The summed cost, and its gradient in dtheta.  2 to 3 multiply-adds a weight and sample."""
    L = len(sizes) - 1
    cost = cost_pass_loops(theta, sizes, units, A, Y, s)
    output = units_of_loops(A, sizes, L)
    activate_loops(units[L - 1], output, output)
    output_gradient_loops(output, Y, s, units_of_loops(dZ, sizes, L))
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
