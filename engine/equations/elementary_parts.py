"""What elementary.py is made of, and what differs between float32 and float64.

Constants, polynomials and bit operations are each defined twice, and `by_dtype` gives the two one
name. Numba inlines the one that fits into a kernel; interpreted code selects it at each call.
"""

from typing import Any, NamedTuple

import numpy as np

from engine.compiler.jit import by_dtype
from engine.equations.elementary_coefficients import (
    ATANH_FLOAT64,
    EXPM1_FLOAT32,
    EXPM1_FLOAT64,
    LN2_FLOAT32,
    LN2_FLOAT64,
    LOG1P_FLOAT32,
    TANH_FLOAT32,
    TANH_FLOAT64,
)

# What differs between the two dtypes: numbers, ...


class Constants(NamedTuple):
    """Numbers of one dtype: with Python's own a float32 loop would compute in float64."""

    zero: Any
    half: Any
    one: Any
    infinity: Any
    nan: Any
    largest: Any
    huge: Any  # a number whose inverse is normal
    smallest_normal: Any
    sqrt2_minus_1: Any
    log2_e: Any  # 1 / ln 2
    two_log2_e: Any
    half_ln2: Any
    ln2_high: Any  # ln 2 in two parts, so that z - k ln 2 loses nothing
    ln2_low: Any
    shifter: Any  # z + shifter is z rounded to a whole number k, with k + bias in its last bits
    shift: Any  # by how much k is moved away from the ends of the exponents,
    up: Any  # 2^shift
    down: Any  # 2^-shift
    tanh_is_1: Any  # the bounds beyond which a result stays as it is
    sigmoid_is_1: Any
    exp_is_0: Any
    exp_is_finite: Any
    expm1: Any  # coefficients
    tanh: Any


def constants_in(dtype, precision, expm1, tanh, ln2, **others):
    """The table of one dtype, whose numbers have `precision` digits in base 2."""
    largest_exponent = np.finfo(dtype).maxexp  # as of 2^128, which is one too large
    numbers = {
        "zero": 0,
        "half": 0.5,
        "one": 1,
        "infinity": np.inf,
        "nan": np.nan,
        "largest": np.finfo(dtype).max,
        "huge": 2.0 ** (largest_exponent - 10),
        "smallest_normal": np.finfo(dtype).tiny,
        "sqrt2_minus_1": np.sqrt(2) - 1,
        "log2_e": 1 / np.log(2),
        "two_log2_e": 2 / np.log(2),
        "half_ln2": np.log(2) / 2,
        "ln2_high": ln2[0],
        "ln2_low": ln2[1],
        "shifter": 1.5 * 2.0 ** (precision - 1) + (largest_exponent - 1),
        "up": 2.0 ** others["shift"],
        "down": 2.0 ** -others["shift"],
        **others,
    }
    rounded = {name: dtype(number) for name, number in numbers.items()}
    return Constants(**rounded, expm1=expm1, tanh=tanh)


FLOAT32 = constants_in(
    np.float32,
    precision=24,
    expm1=EXPM1_FLOAT32,
    tanh=TANH_FLOAT32,
    ln2=LN2_FLOAT32,
    shift=32,
    tanh_is_1=10,
    sigmoid_is_1=20,
    exp_is_0=-105,
    exp_is_finite=88.72283,
)
FLOAT64 = constants_in(
    np.float64,
    precision=53,
    expm1=EXPM1_FLOAT64,
    tanh=TANH_FLOAT64,
    ln2=LN2_FLOAT64,
    shift=64,
    tanh_is_1=20,
    sigmoid_is_1=40,
    exp_is_0=-746,
    exp_is_finite=709.782712893384,
)


def constants_float32(x):
    return FLOAT32


def constants_float64(x):
    return FLOAT64


# ... polynomials, ...


def expm1_float32(r, c):
    """r + r^2 (c_0 + c_1 r + ...)"""
    c0, c1, c2, c3, c4 = c
    return r * r * ((((c4 * r + c3) * r + c2) * r + c1) * r + c0) + r


def expm1_float64(r, c):
    """r + r^2 (c_0 + c_1 r + ...), in pairs (Estrin), so that fewer steps wait for one another"""
    c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 = c
    z = r * r
    low = (c3 * r + c2) * z + (c1 * r + c0)
    high = ((c9 * r + c8) * z + (c7 * r + c6)) * z + (c5 * r + c4)
    return z * (high * (z * z) + low) + r


def log1p_minus_f_float32(f):
    """log(1 + f) - f = -f^2/2 + f^3 (c_0 + c_1 f + ...)"""
    c0, c1, c2, c3, c4, c5, c6, c7, c8 = LOG1P_FLOAT32
    p = (((c8 * f + c7) * f + c6) * f + c5) * f + c4
    p = (((p * f + c3) * f + c2) * f + c1) * f + c0
    return f * f * (p * f - np.float32(0.5))


def log1p_minus_f_float64(f):
    """log(1 + f) - f = s (f^2/2 + s^2 (c_0 + c_1 s^2 + ...)) - f^2/2,  s = f / (2 + f)"""
    c0, c1, c2, c3, c4, c5, c6 = ATANH_FLOAT64
    s = f / (f + 2.0)
    w = s * s
    v = w * w
    p = ((c6 * w + c5) * v + (c4 * w + c3)) * v + (c2 * w + c1)
    half_square = 0.5 * f * f
    return s * ((p * w + c0) * w + half_square) - half_square


# ... and bits.

ONE_32, ROOT_HALF_32 = np.array([1, np.sqrt(0.5)], np.float32).view(np.uint32)
ONE_64, ROOT_HALF_64 = np.array([1, np.sqrt(0.5)], np.float64).view(np.uint64)
EXPONENT_32, FRACTION_32 = map(np.uint32, (255 << 23, (1 << 23) - 1))
EXPONENT_64, FRACTION_64 = map(np.uint64, (2047 << 52, (1 << 52) - 1))
TWO_ONES_32, TWO_ONES_64 = np.uint32(2 * int(ONE_32)), np.uint64(2 * int(ONE_64))
TWO_TO_23 = np.float32(2**23).view(np.uint32)
TWO_TO_52 = np.float64(2**52).view(np.uint64)


def power_of_two_float32(k):
    """2^k, where k + bias stands in the last bits of a float32"""
    return np.float32(np.uint32(np.float32(k).view(np.uint32) << np.uint32(23)).view(np.float32))


def power_of_two_float64(k):
    """2^k, where k + bias stands in the last bits of a float64"""
    return np.float64(np.uint64(np.float64(k).view(np.uint64) << np.uint64(52)).view(np.float64))


# Added to the bits of y, it brings the bits of sqrt(1/2) 2^k to those of 2^k.
CENTRE_32, CENTRE_64 = np.uint32(ONE_32 - ROOT_HALF_32), np.uint64(ONE_64 - ROOT_HALF_64)


def exponent_float32(y):
    """k of a normal y = 2^k m > 0 with 1/sqrt(2) <= m < sqrt(2)"""
    biased = np.uint32(np.uint32(np.float32(y).view(np.uint32) + CENTRE_32) >> np.uint32(23))
    return np.uint32(biased | TWO_TO_23).view(np.float32) - np.float32(2**23 + 127)


def exponent_float64(y):
    """k of a normal y = 2^k m > 0 with 1/sqrt(2) <= m < sqrt(2)"""
    biased = np.uint64(np.uint64(np.float64(y).view(np.uint64) + CENTRE_64) >> np.uint64(52))
    return np.uint64(biased | TWO_TO_52).view(np.float64) - np.float64(2**52 + 1023)


def mantissa_float32(y):
    """m of the same"""
    bits = np.uint32(np.float32(y).view(np.uint32) + CENTRE_32)
    return np.uint32(np.uint32(bits & FRACTION_32) + ROOT_HALF_32).view(np.float32)


def mantissa_float64(y):
    """m of the same"""
    bits = np.uint64(np.float64(y).view(np.uint64) + CENTRE_64)
    return np.uint64(np.uint64(bits & FRACTION_64) + ROOT_HALF_64).view(np.float64)


def power_below_float32(y):
    """2^-k of the same, for k <= 126"""
    bits = np.uint32(np.float32(y).view(np.uint32) + CENTRE_32)
    return np.uint32(TWO_ONES_32 - np.uint32(bits & EXPONENT_32)).view(np.float32)


def power_below_float64(y):
    """2^-k of the same, for k <= 1022"""
    bits = np.uint64(np.float64(y).view(np.uint64) + CENTRE_64)
    return np.uint64(TWO_ONES_64 - np.uint64(bits & EXPONENT_64)).view(np.float64)


constants = by_dtype(constants_float32, constants_float64)
expm1 = by_dtype(expm1_float32, expm1_float64)
log1p_minus_f = by_dtype(log1p_minus_f_float32, log1p_minus_f_float64)
power_of_two = by_dtype(power_of_two_float32, power_of_two_float64)
exponent = by_dtype(exponent_float32, exponent_float64)
mantissa = by_dtype(mantissa_float32, mantissa_float64)
power_below = by_dtype(power_below_float32, power_below_float64)
