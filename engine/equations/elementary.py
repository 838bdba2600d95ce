"""Elementary functions that a compiler can turn into vector code.

    exp(z)      tanh(z)      sigmoid(z) = 1/(1 + e^-z)
    log(y)      log1p(y) = log(1 + y)      log1p_exp_minus_abs(z) = log(1 + e^-|z|)

Compiled loops would otherwise call the C library, one number at a time. Here there is no call and
no branch, only arithmetic, selects and shifts of bits. The result has the dtype of the argument,
float32 or float64, and all arithmetic is in it. The logarithms are for y >= 0. A NaN stays NaN, and
each function is monotone, number by number.

>>> import numpy as np
>>> tanh(np.float32(0.5)), sigmoid(np.float64(-750.0)), log1p(np.float64(0.0))
(np.float32(0.46211717), np.float64(0.0), np.float64(0.0))

How (Cody and Waite 1980; Muller, Elementary Functions, 3rd ed. 2016, chapters 4 and 11):

    z = k ln 2 + r,  k a whole number, |r| <= ln(2)/2           e^z    = 2^k (1 + (e^r - 1))
    y = 2^k (1 + f),  1/sqrt(2) <= 1 + f <= sqrt(2)             log y  = k ln 2 + log(1 + f)

with polynomials for e^r - 1 and log(1 + f). The errors that docstrings name are the largest found,
over every float32 and over many float64; docs/elementary.md has more, and the speed.
"""

import numpy as np

from engine.compiler.jit import in_order
from engine.equations.elementary_parts import (
    constants,
    expm1,
    exponent,
    log1p_minus_f,
    mantissa,
    power_below,
    power_of_two,
)


@in_order
def exp_parts(z, shifter):
    """e^r - 1 and 2^k of e^z = 2^k e^r; the shifter may move k."""
    c = constants(z)
    shifted = z * c.log2_e + shifter
    k = shifted - shifter
    r = (z - k * c.ln2_high) - k * c.ln2_low
    return expm1(r, c.expm1), power_of_two(shifted)


@in_order
def exp(z):
    """e^z; 0 and infinity where that is too small or too large. To 1.1 ulp in both dtypes."""
    c = constants(z)
    within = c.exp_is_0 if z < c.exp_is_0 else z
    within = c.exp_is_finite if within > c.exp_is_finite else within
    # 2^k alone may be too small or too large for a number of the dtype where e^z is not.
    shift = c.shift if z < c.zero else -c.shift
    back = c.down if z < c.zero else c.up
    p, power = exp_parts(within, c.shifter + shift)
    return c.infinity if z > c.exp_is_finite else (p * power + power) * back


@in_order
def tanh(z):
    """(1 - e^-2|z|) / (1 + e^-2|z|) with the sign of z. To 2.0 ulp in float32, 2.3 in float64."""
    c = constants(z)
    a = abs(z)
    a = c.tanh_is_1 if a > c.tanh_is_1 else a
    shifted = c.shifter - a * c.two_log2_e
    k = shifted - c.shifter
    r = a + k * c.half_ln2
    # Half of numerator and denominator, (1 -+ 2^k e^-2r) / 2, by the polynomial (1 - e^-2r) / 2.
    p, power = expm1(r, c.tanh), power_of_two(shifted)
    numerator = p * power + (c.half - c.half * power)
    denominator = (c.half + c.half * power) - p * power
    return np.copysign(numerator / denominator, z)


@in_order
def sigmoid(z):
    """1 / (1 + e^-z). To 2.5 ulp in both dtypes."""
    c = constants(z)
    within = c.sigmoid_is_1 if z > c.sigmoid_is_1 else z
    within = c.exp_is_0 if within < c.exp_is_0 else within
    # Multiplied by 2^-shift above and below, as e^-z may be too large for the dtype.
    p, power = exp_parts(-within, c.shifter - c.shift)
    return c.down / (c.down + (p * power + power))


@in_order
def log_of(k, f):
    """k ln 2 + log(1 + f)."""
    c = constants(f)
    return k * c.ln2_high + (f + (k * c.ln2_low + log1p_minus_f(f)))


@in_order
def log(y):
    """log y; log 0 = -infinity, and NaN for y < 0. To 1.0 ulp in both dtypes."""
    c = constants(y)
    a = abs(y)
    subnormal = a < c.smallest_normal
    normal = a * c.up if subnormal else a
    k = exponent(normal) - (c.shift if subnormal else c.zero)
    found = log_of(k, mantissa(normal) - c.one)
    found = found if y < c.infinity else y
    return found if y > c.zero else (-c.infinity if y == c.zero else c.nan)


@in_order
def log1p(y):
    """log(1 + y), with all digits where y is small. To 1.5 ulp in both dtypes."""
    c = constants(y)
    a = y if y < c.largest else c.largest
    # Where 2^-k would be too small for a normal number, the 1 does not matter.
    huge = a > c.huge
    a = a * c.down if huge else a
    k, power = exponent(c.one + a), power_below(c.one + a)
    f = a * power + (power - c.one)
    found = log_of(k + (c.shift if huge else c.zero), f)
    return found if y < c.infinity else y


@in_order
def log1p_exp_minus_abs(z):
    """log(1 + e^-|z|). To 1.8 ulp in both dtypes."""
    c = constants(z)
    a = abs(z)
    a = -c.exp_is_0 if a > -c.exp_is_0 else a
    p, power = exp_parts(-a, c.shifter + c.shift)
    e = (p * power + power) * c.down
    above = e > c.sqrt2_minus_1  # there 1 + e = 2 (1 + (e - 1)/2)
    f = c.half * e - c.half if above else e
    return log_of(c.one if above else c.zero, f)
