"""Losses as users write them, in a module of their own, so that they can be pickled."""

import math
import types

import numba
import numpy as np

DELTA = 0.5


def log_cosh(z, y):
    """Two results: cost and slope."""
    e = abs(z - y)
    return e + math.log1p(math.exp(-2 * e)) - math.log(2), math.tanh(z - y)


def log_cosh_with_curvature(z, y):
    e = abs(z - y)
    slope = math.tanh(z - y)
    return e + math.log1p(math.exp(-2 * e)) - math.log(2), slope, 1 - slope * slope


def huber(z, y):
    """The same as losses.Huber(DELTA)."""
    e = z - y
    if abs(e) <= DELTA:
        return e * e / 2, e, 1.0
    return DELTA * (abs(e) - DELTA / 2), math.copysign(DELTA, e), DELTA / abs(e)


def brier(z, y):
    """For sigmoid units: half the squared error of the probability."""
    small = math.exp(-abs(z))
    a = 1 / (1 + small) if z > 0 else small / (1 + small)
    return (a - y) * (a - y) / 2, (a - y) * small / ((1 + small) * (1 + small))


def poisson(z, y):
    """For exponential units: the same as "poisson"."""
    a = math.exp(z)
    log_y = math.log(y) if y > 0 else 0.0
    return a - y - y * (z - log_y), a - y, a


# What a function may use besides its arguments.

SCALE, TABLE, PAIR = 2.0, np.array([1.0, 2.0]), (1.0, (2.0, 3))


@numba.njit
def helper(x, factor=3.0):
    return x * factor


MODULE = types.ModuleType("settings")
vars(MODULE).update(LIMIT=1.0, of_helper=helper, itself=MODULE)


def with_constant(z, y):
    return 2.0 * z, y


def with_global(z, y):
    return SCALE * z, y


def with_table(z, y):
    return TABLE[0] * z, y


def with_tuple(z, y):
    return PAIR[0] * z, y


def with_helper(z, y):
    return helper(z), y


def with_module(z, y):
    return MODULE.LIMIT * z, y


def with_set(z, y):
    return (1.0 if z in {"a", "b", "c", "d", "e", "f"} else z), y


def with_helper_of_module(z, y):
    return MODULE.of_helper(z) + MODULE.itself.LIMIT, y
