"""Cost of a sample, by output unit, and the gradient that the four units share.

    L1  sigmoid   J_i = sum_j [ z_j ([z_j > 0] - y_j) + log1p(e^-|z_j|) ]
    L2  softmax   J_i = sum_j y_j (z_max - z_j) + log1p( sum_{j not max} e^(z_j - z_max) )
    L3  identity  J_i = 1/2 sum_j (z_j - y_j)^2
    L4  exp       J_i = sum_j [ e^z_j - y_j - y_j (z_j - log y_j) ],  0 log 0 = 0
    L5  all four  dz_j(i) = s_i (a_j(i) - y_j(i))

The costs are taken from z, never from a rounded a, so that they stay exact where a saturates.
L1 is -y log a - (1-y) log(1-a); its first term is max(z, 0) - y z without the cancellation. L2 is
-sum_j y_j log a_j for targets that sum to one; the largest term of the log-sum-exp is taken out of
the sum, so that a tiny cost keeps its digits. The sum over samples is a float64 whatever the dtype
of Z. A sample of weight 0 is left out, even where its cost is infinite.
"""

import numpy as np

from engine.compiler.jit import compiled_once, jit
from engine.equations import elementary
from engine.equations.activations import IDENTITY, SIGMOID, SOFTMAX, largest_tiled


def sample_costs_numpy(unit, Z, Y):
    """J_i (m,) of each sample, from pre-activations Z and targets Y of the output layer."""
    if unit == SIGMOID:
        cost = Z * ((Z > 0) - Y) + np.log1p(np.exp(-np.abs(Z)))  # L1
        return cost.sum(axis=0)
    if unit == SOFTMAX:
        below_max = Z - Z.max(axis=0)
        e = np.exp(below_max)
        e[below_max.argmax(axis=0), np.arange(Z.shape[1])] = 0
        return np.log1p(e.sum(axis=0)) - (Y * below_max).sum(axis=0)  # L2
    if unit == IDENTITY:
        return 0.5 * np.square(Z - Y).sum(axis=0)  # L3
    log_Y = np.log(np.where(Y > 0, Y, 1))
    return (np.exp(Z) - Y - Y * (Z - log_Y)).sum(axis=0)  # L4


def cost_sum_numpy(unit, Z, Y, s):
    """sum_i s_i J_i, a float64."""
    costs = sample_costs_numpy(unit, Z, Y)
    return float(np.sum(np.where(s > 0, s * costs, 0), dtype=np.float64))


def output_gradient_numpy(A, Y, s, dZ):
    """dZ = s o (A - Y).  dZ may be A."""
    dZ[:] = np.where(s > 0, s * (A - Y), 0)  # L5


@jit
def sigmoid_cost(Z, Y, i):
    cost = 0.0
    for j in range(Z.shape[0]):
        z = Z[j, i]
        cost += z * ((z > 0) - Y[j, i]) + np.log1p(np.exp(-abs(z)))  # L1
    return cost


@jit
def softmax_cost(Z, Y, i):
    largest = 0
    for j in range(1, Z.shape[0]):
        if Z[j, i] > Z[largest, i]:
            largest = j
    cost, rest = 0.0, 0.0
    for j in range(Z.shape[0]):
        below_max = Z[j, i] - Z[largest, i]
        cost -= Y[j, i] * below_max
        if j != largest:
            rest += np.exp(below_max)
    return cost + np.log1p(rest)  # L2


@jit
def squared_error(Z, Y, i):
    cost = 0.0
    for j in range(Z.shape[0]):
        cost += 0.5 * (Z[j, i] - Y[j, i]) ** 2  # L3
    return cost


@jit
def poisson_deviance(Z, Y, i):
    cost = 0.0
    for j in range(Z.shape[0]):
        z, y = Z[j, i], Y[j, i]
        log_y = np.log(y) if y > 0 else 0.0
        cost += np.exp(z) - y - y * (z - log_y)  # L4
    return cost


@jit
def sample_cost(unit, Z, Y, i):
    """J_i of sample i, from pre-activations Z and targets Y of the output layer."""
    if unit == SIGMOID:
        return sigmoid_cost(Z, Y, i)
    if unit == SOFTMAX:
        return softmax_cost(Z, Y, i)
    if unit == IDENTITY:
        return squared_error(Z, Y, i)
    return poisson_deviance(Z, Y, i)


@jit
def cost_sum_loops(unit, Z, Y, s):
    """sum_i s_i J_i, a float64."""
    total = np.float64(0)
    for i in range(Z.shape[1]):
        if s[i] > 0:
            total += s[i] * sample_cost(unit, Z, Y, i)
    return total


@jit
def output_gradient_loops(A, Y, s, dZ):
    """dZ = s o (A - Y).  dZ may be A."""
    n_out, m = A.shape
    # forward:  total += s[i] * sample_cost(unit, Z, Y, i)
    for i in range(m):
        for j in range(n_out):
            dZ[j, i] = s[i] * (A[j, i] - Y[j, i]) if s[i] > 0 else 0.0  # L5


@compiled_once
def cost_sum_tiled(unit, Z, Y, s, scratch, m):
    """sum_i s_i J_i of the first m samples, a float64; J_i in the dtype of Z."""
    n_out = Z.shape[0]
    cost = scratch[0]
    for i in range(m):
        cost[i] = 0
    if unit == SIGMOID:
        one, zero = Z.dtype.type(1), Z.dtype.type(0)
        for j in range(n_out):
            for i in range(m):
                z = Z[j, i]
                above = one if z > 0 else zero
                cost[i] += z * (above - Y[j, i]) + elementary.log1p_exp_minus_abs(z)  # L1
    elif unit == SOFTMAX:
        softmax_cost_tiled(Z, Y, cost, scratch, m)
    elif unit == IDENTITY:
        half = Z.dtype.type(0.5)
        for j in range(n_out):
            for i in range(m):
                d = Z[j, i] - Y[j, i]
                cost[i] += half * d * d  # L3
    else:
        for j in range(n_out):
            for i in range(m):
                z, y = Z[j, i], Y[j, i]
                y_log_y = y * elementary.log(y) if y > 0 else y
                cost[i] += elementary.exp(z) - y - (y * z - y_log_y)  # L4
    total = 0.0
    for i in range(m):
        weighted = np.float64(s[i] * cost[i])
        total += weighted if s[i] > 0 else 0.0
    return total


@jit
def softmax_cost_tiled(Z, Y, cost, scratch, m):
    """Add J_i to `cost`, the first row of scratch."""
    one, zero = Z.dtype.type(1), Z.dtype.type(0)
    largest, rest, ties = scratch[1], scratch[2], scratch[3]
    largest_tiled(Z, largest, m)
    for i in range(m):
        rest[i], ties[i] = 0, 0
    for j in range(Z.shape[0]):
        for i in range(m):
            below_max = Z[j, i] - largest[i]
            cost[i] -= Y[j, i] * below_max
            e = elementary.exp(below_max)
            e = zero if below_max == zero else e
            # Of the largest terms one is left out; others that equal it are counted.
            rest[i] += e
            ties[i] += one if below_max == zero else zero
    for i in range(m):
        # Only where there are ties, so that the sum is never taken as (rest + ties) - 1.
        others = rest[i] + (ties[i] - one)
        cost[i] += elementary.log1p(others if ties[i] > one else rest[i])  # L2


@compiled_once
def output_gradient_tiled(A, Y, s, dZ, m):
    """dZ = s o (A - Y), for the first m samples.  dZ may be A."""
    zero = A.dtype.type(0)
    # forward:  total += s[i] * cost[i]
    for j in range(A.shape[0]):
        for i in range(m):
            weighted = s[i] * (A[j, i] - Y[j, i])
            dZ[j, i] = weighted if s[i] > 0 else zero  # L5
