"""Losses: the cost J_i of a sample, and the gradient dz by the output layer's z.

    L1  cross-entropy of sigmoid units
                           J_i = sum_j [ z_j ([z_j > 0] - y_j) + log1p(e^-|z_j|) ]
    L2  cross-entropy of softmax units
                           J_i = sum_j y_j (z_max - z_j) + log1p( sum_{j not max} e^(z_j - z_max) )
    L3  squared error      J_i = 1/2 sum_j (z_j - y_j)^2
    L4  Poisson deviance   J_i = sum_j [ e^z_j - y_j - y_j (z_j - log y_j) ],  0 log 0 = 0
    L5  all four           dz_j(i) = s_i (a_j(i) - y_j(i))

LOSSES lists the losses, and the output units that each goes with. The functions take the codes of
a loss and of a unit, and refuse other codes. `parameter` (n_out,) float64 holds the number
that a loss may have, such as the level of a quantile, for each output unit; it is 0 without one.

The costs are taken from z, never from a rounded a, so that they stay exact where a saturates.
L1 is -y log a - (1-y) log(1-a); its first term is max(z, 0) - y z without the cancellation. L2 is
-sum_j y_j log a_j for targets that sum to one; the largest term of the log-sum-exp is taken out of
the sum, so that a tiny cost keeps its digits. The sum over samples is a float64 whatever the dtype
of Z. A sample of weight 0 is left out, even where its cost is infinite.
"""

import math
from typing import NamedTuple

import numpy as np

from engine.compiler.jit import compiled_once, jit
from engine.equations import elementary
from engine.equations.activations import largest_tiled
from engine.equations.units import EXP, IDENTITY, SIGMOID, SOFTMAX

CROSS_ENTROPY, SQUARED_ERROR, POISSON = range(3)
WITH_RESIDUAL_SLOPE = (CROSS_ENTROPY, SQUARED_ERROR, POISSON)  # dz = a - y
UNKNOWN = "no loss of these output units has this code"


class Loss(NamedTuple):
    """A loss.

    Attributes
    ----------
    code : int
        What the functions of this file take.
    name : str
        What users write.
    sklearn : str
        What scikit-learn's estimators call it.
    units : tuple of str
        Output units that it goes with; it is the default of each.
    low, high : float
        The interval of the targets, both ends included.
    parameter : float or None
        The default of the loss's parameter; None if it has none.
    """

    code: int
    name: str
    sklearn: str
    units: tuple[str, ...]
    low: float = -math.inf
    high: float = math.inf
    parameter: float | None = None


LOSSES = {
    loss.name: loss
    for loss in (
        Loss(CROSS_ENTROPY, "cross_entropy", "log_loss", ("sigmoid", "softmax"), 0, 1),
        Loss(SQUARED_ERROR, "squared_error", "squared_error", ("identity",)),
        Loss(POISSON, "poisson", "poisson", ("exp",), 0),
    )
}


def loss_of(output: str) -> Loss:
    """The loss that belongs to output units of that name.

    >>> loss_of("sigmoid").name
    'cross_entropy'
    """
    return next(loss for loss in LOSSES.values() if output in loss.units)


def sample_costs_numpy(loss, unit, Z, Y, parameter):
    """J_i (m,) of each sample, from pre-activations Z and targets Y of the output layer."""
    if loss == CROSS_ENTROPY and unit == SIGMOID:
        cost = Z * ((Z > 0) - Y) + np.log1p(np.exp(-np.abs(Z)))  # L1
        return cost.sum(axis=0)
    if loss == CROSS_ENTROPY and unit == SOFTMAX:
        below_max = Z - Z.max(axis=0)
        e = np.exp(below_max)
        e[below_max.argmax(axis=0), np.arange(Z.shape[1])] = 0
        return np.log1p(e.sum(axis=0)) - (Y * below_max).sum(axis=0)  # L2
    if loss == SQUARED_ERROR and unit == IDENTITY:
        return 0.5 * np.square(Z - Y).sum(axis=0)  # L3
    if loss == POISSON and unit == EXP:
        log_Y = np.log(np.where(Y > 0, Y, 1))
        return (np.exp(Z) - Y - Y * (Z - log_Y)).sum(axis=0)  # L4
    raise ValueError(f"{UNKNOWN}: {loss}, {unit}")


def cost_sum_numpy(loss, unit, Z, Y, s, parameter):
    """sum_i s_i J_i, a float64."""
    costs = sample_costs_numpy(loss, unit, Z, Y, parameter)
    return float(np.sum(np.where(s > 0, s * costs, 0), dtype=np.float64))


def output_gradient_numpy(loss, unit, A, Z, Y, s, parameter, dZ):
    """dZ = s o (A - Y) for the four losses.  dZ may be A."""
    if loss not in WITH_RESIDUAL_SLOPE:
        raise ValueError(f"{UNKNOWN}: {loss}, {unit}")
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
def sample_cost(loss, unit, Z, Y, parameter, i):
    """J_i of sample i, from pre-activations Z and targets Y of the output layer."""
    if loss == CROSS_ENTROPY and unit == SIGMOID:
        return sigmoid_cost(Z, Y, i)
    if loss == CROSS_ENTROPY and unit == SOFTMAX:
        return softmax_cost(Z, Y, i)
    if loss == SQUARED_ERROR and unit == IDENTITY:
        return squared_error(Z, Y, i)
    if loss == POISSON and unit == EXP:
        return poisson_deviance(Z, Y, i)
    raise ValueError(UNKNOWN)


@jit
def cost_sum_loops(loss, unit, Z, Y, s, parameter):
    """sum_i s_i J_i, a float64."""
    total = np.float64(0)
    for i in range(Z.shape[1]):
        if s[i] > 0:
            total += s[i] * sample_cost(loss, unit, Z, Y, parameter, i)
    return total


@jit
def slope(loss, a, z, y, parameter, j):
    """dz_j of one output unit whose activation is a = g(z)."""
    if loss in WITH_RESIDUAL_SLOPE:
        return a - y  # L5
    raise ValueError(UNKNOWN)


@jit
def output_gradient_loops(loss, unit, A, Z, Y, s, parameter, dZ):
    """dZ = s o (A - Y) for the four losses.  dZ may be A."""
    n_out, m = A.shape
    # forward:  total += s[i] * sample_cost(loss, unit, Z, Y, parameter, i)
    for i in range(m):
        for j in range(n_out):
            dz = slope(loss, A[j, i], Z[j, i], Y[j, i], parameter, j)
            dZ[j, i] = s[i] * dz if s[i] > 0 else 0.0  # L5


@compiled_once
def cost_sum_tiled(loss, unit, Z, Y, s, parameter, scratch, m):
    """sum_i s_i J_i of the first m samples, a float64; J_i in the dtype of Z."""
    n_out = Z.shape[0]
    cost = scratch[0]
    for i in range(m):
        cost[i] = 0
    if loss == CROSS_ENTROPY and unit == SIGMOID:
        one, zero = Z.dtype.type(1), Z.dtype.type(0)
        for j in range(n_out):
            for i in range(m):
                z = Z[j, i]
                above = one if z > 0 else zero
                cost[i] += z * (above - Y[j, i]) + elementary.log1p_exp_minus_abs(z)  # L1
    elif loss == CROSS_ENTROPY and unit == SOFTMAX:
        softmax_cost_tiled(Z, Y, cost, scratch, m)
    elif loss == SQUARED_ERROR and unit == IDENTITY:
        half = Z.dtype.type(0.5)
        for j in range(n_out):
            for i in range(m):
                d = Z[j, i] - Y[j, i]
                cost[i] += half * d * d  # L3
    elif loss == POISSON and unit == EXP:
        for j in range(n_out):
            for i in range(m):
                z, y = Z[j, i], Y[j, i]
                y_log_y = y * elementary.log(y) if y > 0 else y
                cost[i] += elementary.exp(z) - y - (y * z - y_log_y)  # L4
    else:
        raise ValueError(UNKNOWN)
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
def output_gradient_tiled(loss, unit, A, Z, Y, s, parameter, dZ, m):
    """dZ = s o (A - Y) for the four losses and the first m samples.  dZ may be A."""
    zero = A.dtype.type(0)
    if loss not in WITH_RESIDUAL_SLOPE:
        raise ValueError(UNKNOWN)
    # forward:  total += s[i] * cost[i]
    for j in range(A.shape[0]):
        for i in range(m):
            weighted = s[i] * (A[j, i] - Y[j, i])
            dZ[j, i] = weighted if s[i] > 0 else zero  # L5
