"""Cost of a sample, by output unit, and the gradient that the four units share.

    L1  sigmoid   J_i = sum_j [ z_j ([z_j > 0] - y_j) + log1p(e^-|z_j|) ]
    L2  softmax   J_i = sum_j y_j (z_max - z_j) + log1p( sum_{j not max} e^(z_j - z_max) )
    L3  identity  J_i = 1/2 sum_j (z_j - y_j)^2
    L4  exp       J_i = sum_j [ e^z_j - y_j - y_j (z_j - log y_j) ],  0 log 0 = 0
    L5  all four  dz_j(i) = s_i (a_j(i) - y_j(i))

The costs are taken from z, never from a rounded a, so that they stay exact where a saturates.
L1 is -y log a - (1-y) log(1-a); its first term is max(z, 0) - y z without the cancellation. L2 is
-sum_j y_j log a_j for targets that sum to one; the largest term of the log-sum-exp is taken out of
the sum, so that a tiny cost keeps its digits. The sum over
samples is a float64 whatever the dtype of Z.
"""

import numpy as np

from engine._jit import jit
from engine.equations.activations import IDENTITY, SIGMOID, SOFTMAX


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
    return float(np.sum(s * sample_costs_numpy(unit, Z, Y), dtype=np.float64))


def output_gradient_numpy(A, Y, s, dZ):
    """dZ = s o (A - Y).  dZ may be A."""
    np.subtract(A, Y, out=dZ)
    dZ *= s  # L5


@jit
def sigmoid_cost(Z, Y, i):
    cost = 0.0
    for j in range(Z.shape[0]):
        z = Z[j, i]
        cost += z * ((z > 0) - Y[j, i]) + np.log1p(np.exp(-abs(z)))  # L1
    return cost


@jit
def softmax_cost(Z, Y, i):
    largest = Z[:, i].argmax()
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
        total += s[i] * sample_cost(unit, Z, Y, i)
    return total


@jit
def output_gradient_loops(A, Y, s, dZ):
    """dZ = s o (A - Y).  dZ may be A."""
    n_out, m = A.shape
    # forward:  total += s[i] * sample_cost(unit, Z, Y, i)
    for i in range(m):
        for j in range(n_out):
            dZ[j, i] = s[i] * (A[j, i] - Y[j, i])  # L5
