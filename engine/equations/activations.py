"""Activations g(z), and their derivatives g' in terms of a = g(z).

    F2  tanh      a = tanh z                      B5  g' = 1 - a^2
    F3  sigmoid   a = 1 / (1 + e^-z)              B6  g' = a (1 - a)
    F4  relu      a = max(0, z)                   B7  g' = 1 where a > 0, else 0
    F5  identity  a = z                           B8  g' = 1
    F6  softmax   a_j = e^z_j / sum_j' e^z_j'     output only, where losses give dZ
    F7  exp       a = e^z                         output only, likewise

    N10 second derivatives g'', by which the slopes above change along a direction:
        tanh  g'' = -2 a g'     sigmoid  g'' = (1 - 2 a) g'     relu, identity  g'' = 0

`units.py` lists the units: the functions take a unit's code, and raise ValueError for any other.
Nothing overflows on the way to a finite result: the sigmoid and softmax only ever take the
exponential of a number that is not positive. A NaN stays NaN.
"""

import numpy as np

from engine.compiler.jit import compiled_once, in_order, jit
from engine.equations import elementary
from engine.equations.ordered_sums import quotient
from engine.equations.units import EXP, IDENTITY, RELU, SIGMOID, SOFTMAX, TANH

WITHOUT_SECOND_DERIVATIVE = (RELU, IDENTITY)  # g'' is 0 wherever it exists
UNKNOWN = "no unit has this code"  # kernels only raise messages that are constants


def activate_numpy(unit, Z, A):
    """A = g(Z) for a layer of `unit` units. A may be Z."""
    if unit == TANH:
        np.tanh(Z, out=A)  # F2
    elif unit == SIGMOID:
        e = np.exp(-np.abs(Z))
        np.divide(np.where(Z < 0, e, 1), 1 + e, out=A)  # F3
    elif unit == RELU:
        np.maximum(0, Z, out=A)  # F4
    elif unit == IDENTITY:
        np.copyto(A, Z)  # F5
    elif unit == SOFTMAX:
        e = np.exp(Z - Z.max(axis=0))
        np.divide(e, e.sum(axis=0), out=A)  # F6
    elif unit == EXP:
        np.exp(Z, out=A)  # F7
    else:
        raise ValueError(f"{UNKNOWN}: {unit}")


def derive_numpy(unit, A, dA, dZ):
    """dZ = dA o g'(Z), g' taken from A = g(Z); hidden units only. dZ may be dA."""
    if unit == TANH:
        np.multiply(dA, 1 - A * A, out=dZ)  # B4 B5
    elif unit == SIGMOID:
        np.multiply(dA, A * (1 - A), out=dZ)  # B4 B6
    elif unit == RELU:
        np.multiply(dA, A > 0, out=dZ)  # B4 B7
    elif unit == IDENTITY:
        np.copyto(dZ, dA)  # B4 B8
    else:
        raise ValueError(f"{UNKNOWN}, of those in hidden layers: {unit}")


def add_second_derivative_numpy(unit, A, RA, dA, RdZ):
    """RdZ += dA o g''(Z) o RZ, from A = g(Z) and RA = g'(Z) o RZ; hidden units only."""
    if unit == TANH:
        RdZ += dA * RA * (-2 * A)  # N10
    elif unit == SIGMOID:
        RdZ += dA * RA * (1 - 2 * A)  # N10
    elif unit not in WITHOUT_SECOND_DERIVATIVE:
        raise ValueError(f"{UNKNOWN}, of those in hidden layers: {unit}")


@jit
def g(unit, z):
    """a = g(z) of one unit whose activation does not depend on the units beside it."""
    if unit == TANH:
        return np.tanh(z)  # F2
    if unit == SIGMOID:
        e = np.exp(-abs(z))
        return e / (1 + e) if z < 0 else 1 / (1 + e)  # F3
    if unit == RELU:
        return 0.0 if z < 0 else z  # F4
    if unit == IDENTITY:
        return z  # F5
    if unit == EXP:
        return np.exp(z)  # F7
    raise ValueError(UNKNOWN)


@jit
def g_prime(unit, a):
    """g'(z) of one hidden unit, from a = g(z)."""
    if unit == TANH:
        return 1 - a * a  # B5
    if unit == SIGMOID:
        return a * (1 - a)  # B6
    if unit == RELU:
        return 1.0 if a > 0 else 0.0  # B7
    if unit == IDENTITY:
        return 1.0  # B8
    raise ValueError(UNKNOWN)


@jit
def g_second(unit, a, ra):
    """g''(z) Rz of one hidden unit, from a = g(z) and ra = g'(z) Rz."""
    if unit == TANH:
        return -2 * a * ra  # N10
    if unit == SIGMOID:
        return (1 - 2 * a) * ra  # N10
    if unit in WITHOUT_SECOND_DERIVATIVE:
        return 0.0  # N10
    raise ValueError(UNKNOWN)


@jit
def softmax_loops(Z, A):
    """a_j(i) = e^(z_j(i) - max) / sum_j' e^(z_j'(i) - max), sample by sample."""
    n_out, m = Z.shape
    for i in range(m):
        largest = Z[0, i]
        for j in range(1, n_out):
            largest = max(largest, Z[j, i])
        total = 0.0
        for j in range(n_out):
            total += np.exp(Z[j, i] - largest)
        for j in range(n_out):
            A[j, i] = np.exp(Z[j, i] - largest) / total  # F6


@jit
def activate_loops(unit, Z, A):
    """A = g(Z) for a layer of `unit` units. A may be Z."""
    n_out, m = Z.shape
    if unit == SOFTMAX:
        softmax_loops(Z, A)
    else:
        for i in range(m):
            for j in range(n_out):
                A[j, i] = g(unit, Z[j, i])


@jit
def derive_loops(unit, A, dA, dZ):
    """dZ = dA o g'(Z), g' taken from A = g(Z); hidden units only. dZ may be dA."""
    n_out, m = A.shape
    # forward:  A[j, i] = g(unit, Z[j, i])
    for i in range(m):
        for j in range(n_out):
            dZ[j, i] = dA[j, i] * g_prime(unit, A[j, i])  # B4


@jit
def add_second_derivative_loops(unit, A, RA, dA, RdZ):
    """RdZ += dA o g''(Z) o RZ, from A = g(Z) and RA = g'(Z) o RZ; hidden units only."""
    n_out, m = A.shape
    # forward:  RA[j, i] = RZ[j, i] * g_prime(unit, A[j, i])
    for i in range(m):
        for j in range(n_out):
            RdZ[j, i] += dA[j, i] * g_second(unit, A[j, i], RA[j, i])


@in_order
def rectified(z, zero):
    """max(z, 0), and NaN where z is NaN; `zero` is 0 in the dtype of z.

    Adding zero only changes the sign of -0, but it makes the result another value than z. If z
    itself were stored back, the compiler would store the zeros alone, with masked stores, which
    take three to seven times as long as storing everything.
    """
    return (zero if z < zero else z) + zero


@compiled_once
def activate_tiled(unit, A, scratch, m):
    """A = g(Z) for a layer of `unit` units and the first m samples, in place: A holds Z before.

    One branch for a whole layer; inside, plain loops over contiguous samples, in vectors.
    """
    n_out = A.shape[0]
    zero = A.dtype.type(0)
    # F5  of identity units: nothing to do, A = Z
    if unit == TANH:
        for j in range(n_out):
            for i in range(m):
                A[j, i] = elementary.tanh(A[j, i])  # F2
    elif unit == SIGMOID:
        for j in range(n_out):
            for i in range(m):
                A[j, i] = elementary.sigmoid(A[j, i])  # F3
    elif unit == RELU:
        for j in range(n_out):
            for i in range(m):
                A[j, i] = rectified(A[j, i], zero)  # F4
    elif unit == SOFTMAX:
        softmax_tiled(A, scratch, m)
    elif unit == EXP:
        for j in range(n_out):
            for i in range(m):
                A[j, i] = elementary.exp(A[j, i])  # F7
    elif unit != IDENTITY:
        raise ValueError(UNKNOWN)


@jit
def largest_tiled(Z, largest, m):
    """The largest z_j(i) of each sample, where none is NaN."""
    for i in range(m):
        largest[i] = Z[0, i]
    for j in range(1, Z.shape[0]):
        for i in range(m):
            largest[i] = largest[i] if Z[j, i] <= largest[i] else Z[j, i]


@jit
def softmax_tiled(A, scratch, m):
    """a_j(i) = e^(z_j(i) - max) / sum_j' e^(z_j'(i) - max), in place, unit by unit."""
    n_out = A.shape[0]
    largest, total = scratch[0], scratch[1]
    largest_tiled(A, largest, m)
    for i in range(m):
        total[i] = 0
    for j in range(n_out):
        for i in range(m):
            A[j, i] = elementary.exp(A[j, i] - largest[i])
            total[i] += A[j, i]
    for j in range(n_out):
        for i in range(m):
            A[j, i] = quotient(A[j, i], total[i])  # F6


@compiled_once
def derive_tiled(unit, A, dZ, m):
    """dZ = dA o g'(Z), g' taken from A = g(Z), in place: dZ holds dA before. Hidden units only."""
    n_out = A.shape[0]
    one, zero = A.dtype.type(1), A.dtype.type(0)
    # forward:  A[j, i] = elementary.tanh(A[j, i]), and so on
    # B8  of identity units: nothing to do, dZ = dA
    if unit == TANH:
        for j in range(n_out):
            for i in range(m):
                dZ[j, i] *= one - A[j, i] * A[j, i]  # B4 B5
    elif unit == SIGMOID:
        for j in range(n_out):
            for i in range(m):
                dZ[j, i] *= A[j, i] * (one - A[j, i])  # B4 B6
    elif unit == RELU:
        for j in range(n_out):
            for i in range(m):
                dZ[j, i] *= one if A[j, i] > 0 else zero  # B4 B7
    elif unit != IDENTITY:
        raise ValueError(UNKNOWN)


@compiled_once
def add_second_derivative_tiled(unit, A, RA, dA, RdZ, m):
    """RdZ += dA o g''(Z) o RZ, for the first m samples, from A = g(Z) and RA = g'(Z) o RZ."""
    n_out = A.shape[0]
    one, two = A.dtype.type(1), A.dtype.type(2)
    # forward:  RA[j, i] = RZ[j, i] * (one - A[j, i] * A[j, i]), and so on
    if unit == TANH:
        for j in range(n_out):
            for i in range(m):
                RdZ[j, i] -= dA[j, i] * RA[j, i] * (two * A[j, i])  # N10
    elif unit == SIGMOID:
        for j in range(n_out):
            for i in range(m):
                RdZ[j, i] += dA[j, i] * RA[j, i] * (one - two * A[j, i])  # N10
    elif unit not in WITHOUT_SECOND_DERIVATIVE:
        raise ValueError(UNKNOWN)
