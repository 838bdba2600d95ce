"""Losses: the cost J_i of a sample, its gradient dz by the output layer's z, and its curvature h.

    L1  cross-entropy of sigmoid units
                           J_i = sum_j [ z_j ([z_j > 0] - y_j) + log1p(e^-|z_j|) ]
    L2  cross-entropy of softmax units
                           J_i = sum_j y_j (z_max - z_j) + log1p( sum_{j not max} e^(z_j - z_max) )
    L3  squared error      J_i = 1/2 sum_j (z_j - y_j)^2
    L4  Poisson deviance   J_i = sum_j [ e^z_j - y_j - y_j (z_j - log y_j) ],  0 log 0 = 0
    L5  of these four      dz_j(i) = s_i (a_j(i) - y_j(i))

With e_j = z_j - y_j, and, for exponential units, a_j = e^z_j:

    L7  quantile q_j       J_i = sum_j [ (1 - q_j) e_j where e_j > 0, else -q_j e_j ]
        absolute error     J_i = sum_j |e_j|
    L8  Huber, delta       J_i = sum_j [ e_j^2 / 2 where |e_j| <= delta,
                                         else delta (|e_j| - delta / 2) ]
    L9  gamma deviance     J_i = sum_j [ y_j e^-z_j + z_j - log y_j - 1 ]
    L10 Tweedie deviance, 1 < p < 2
                           J_i = sum_j [ y_j^(2-p) / ((1-p)(2-p)) - y_j e^((1-p) z_j) / (1-p)
                                         + e^((2-p) z_j) / (2-p) ]
    L11 of L7              dz_j = 1 - q_j, -q_j, or 0 where e_j = 0;  sign e_j
    L12 of L8              dz_j = max(-delta, min(delta, e_j))
    L13 of L9              dz_j = 1 - y_j e^-z_j
    L14 of L10             dz_j = e^((2-p) z_j) - y_j e^((1-p) z_j)
    L15 a loss of the user's own: its function gives both
    L16 smoothed targets   y_j <- (1 - e) y_j + e / K, for L1 and L2; K = 2 for sigmoid units, else
                           the number of classes

L7 has a kink at e = 0. Where `width` w is not 0, the cost is a parabola for |e| <= w that meets
both lines with their slopes, and is above L7 by w/4 at most (w/2 for the absolute error).

h_j(i) is the second derivative of J_i by z_j, or its expected value, or, for L7 and L8, that of the
parabola which touches the cost at e_j: the weight of a row of the Gauss-Newton matrix (N1).

LOSSES lists the losses, and the output units that each goes with. The functions take a `KernelLoss`
and the code of a unit, and refuse other codes.

The costs are taken from z, never from a rounded a, so that they stay exact where a saturates.
L1 is -y log a - (1-y) log(1-a); its first term is max(z, 0) - y z without the cancellation. L2 is
-sum_j y_j log a_j for targets that sum to one; the largest term of the log-sum-exp is taken out of
the sum, so that a tiny cost keeps its digits. The sum over samples is a float64 whatever the dtype
of Z. A sample of weight 0 is left out, even where its cost is infinite.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiler.jit import compiled_once, in_order, inlined, jit
from engine.compiler.pointers import call_loss, call_loss_once
from engine.compiler.tile_arithmetic import fused
from engine.equations import elementary
from engine.equations.activations import largest_tiled
from engine.equations.ordered_sums import plus, plus_product, sum_in_order
from engine.equations.units import EXP, IDENTITY, SIGMOID, SOFTMAX

(
    CROSS_ENTROPY,
    SQUARED_ERROR,
    POISSON,
    ABSOLUTE_ERROR,
    HUBER,
    QUANTILE,
    GAMMA,
    TWEEDIE,
    COMPILED,
) = range(9)
WITH_RESIDUAL_SLOPE = (CROSS_ENTROPY, SQUARED_ERROR, POISSON)  # dz = a - y
WITH_KINK = (ABSOLUTE_ERROR, QUANTILE)
WITH_UNIT_CURVATURE = (SQUARED_ERROR, GAMMA)  # h = 1
UNKNOWN = "no loss of these output units has this code"
# What the function of a user's own loss is asked for.
VALUE, SLOPE, CURVATURE = range(3)


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
        Output units that it goes with. The first loss of LOSSES that goes with a unit is the
        default there.
    low, high : float
        The interval of the targets, both ends included.
    low_included : bool
        Whether `low` itself can be a target.
    parameter : float or None
        The default of the loss's number; None if it has none, or no default.
    number : str
        What that number is called; empty if there is none.
    """

    code: int
    name: str
    sklearn: str
    units: tuple[str, ...]
    low: float = -math.inf
    high: float = math.inf
    low_included: bool = True
    parameter: float | None = None
    number: str = ""

    @property
    def has_kink(self) -> bool:
        """Whether its slope jumps where the prediction equals the target."""
        return self.code in WITH_KINK


LOSSES = {
    loss.name: loss
    for loss in (
        Loss(CROSS_ENTROPY, "cross_entropy", "log_loss", ("sigmoid", "softmax"), 0, 1),
        Loss(SQUARED_ERROR, "squared_error", "squared_error", ("identity",)),
        Loss(POISSON, "poisson", "poisson", ("exp",), 0),
        Loss(ABSOLUTE_ERROR, "absolute_error", "absolute_error", ("identity",)),
        Loss(HUBER, "huber", "huber", ("identity",), parameter=1.0, number="delta"),
        Loss(QUANTILE, "quantile", "quantile", ("identity",), parameter=0.5, number="level"),
        Loss(GAMMA, "gamma", "gamma", ("exp",), 0, low_included=False),
        Loss(TWEEDIE, "tweedie", "tweedie", ("exp",), 0, number="power"),
        Loss(COMPILED, "compiled", "compiled", ("identity", "sigmoid", "exp")),
    )
}


class KernelLoss(NamedTuple):
    """A loss as kernels take it.

    Attributes
    ----------
    code : int
    parameter : ndarray (n_L,) float64
        Its number for each output unit, such as the level of a quantile; 0 without one. Of the
        cross-entropy, e of L16: 0 for the targets as they are.
    width : float
        Half the width of the parabola that smooths a kink; 0 for the loss itself.
    for_float32, for_float64 : int
        The addresses of a user's own loss (`engine.compiler.pointers`), for each dtype; else 0.
    has_curvature : int
        Whether h is known: 0 for a user's own loss that does not return it.
    """

    code: int
    parameter: NDArray[np.float64]
    width: float = 0.0
    for_float32: int = 0
    for_float64: int = 0
    has_curvature: int = 1

    def as_numbers(self) -> tuple[Any, ...]:
        """The same as numbers and a list, to be compared."""
        return self.code, self.parameter.tolist(), *self[2:]

    def __reduce__(self) -> tuple[Any, ...]:
        """An address means nothing in another process: there the function is compiled anew."""
        if self.code != COMPILED:
            return type(self), tuple(self)
        return REMADE_BY[self.for_float64], (len(self.parameter),)


# For the address of a user's own loss, what makes a KernelLoss for so many output units.
REMADE_BY: dict[int, Callable[[int], KernelLoss]] = {}


def smooth_targets_numpy(loss, unit, Y, m):
    """Smooth the first m columns of the targets, if the loss says so."""
    e = loss.parameter[0]
    if loss.code == CROSS_ENTROPY and e > 0:
        n_classes = Y.shape[0] if unit == SOFTMAX else 2
        Y[:, :m] = Y.dtype.type(1 - e) * Y[:, :m] + Y.dtype.type(e / n_classes)  # L16


@compiled_once
def smooth_targets_loops(loss, unit, Y, m):
    """Smooth the first m columns of the targets, if the loss says so."""
    e = loss.parameter[0]
    if loss.code == CROSS_ENTROPY and e > 0:
        n_classes = Y.shape[0] if unit == SOFTMAX else 2
        keep, add = Y.dtype.type(1 - e), Y.dtype.type(e / n_classes)
        for j in range(Y.shape[0]):
            for i in range(m):
                Y[j, i] = plus_product(add, keep, Y[j, i])  # L16


def sample_costs_numpy(loss, unit, Z, Y):
    """J_i (m,) of each sample, from pre-activations Z and targets Y of the output layer."""
    code, number = loss.code, loss.parameter[:, np.newaxis]
    if code == CROSS_ENTROPY and unit == SIGMOID:
        cost = Z * ((Z > 0) - Y) + np.log1p(np.exp(-np.abs(Z)))  # L1
        return cost.sum(axis=0)
    if code == CROSS_ENTROPY and unit == SOFTMAX:
        below_max = Z - Z.max(axis=0)
        e = np.exp(below_max)
        e[below_max.argmax(axis=0), np.arange(Z.shape[1])] = 0
        return np.log1p(e.sum(axis=0)) - (Y * below_max).sum(axis=0)  # L2
    if code == SQUARED_ERROR and unit == IDENTITY:
        return 0.5 * np.square(Z - Y).sum(axis=0)  # L3
    if code == POISSON and unit == EXP:
        log_Y = np.log(np.where(Y > 0, Y, 1))
        return (np.exp(Z) - Y - Y * (Z - log_Y)).sum(axis=0)  # L4
    if code in WITH_KINK and unit == IDENTITY:
        e, w, (above, below) = Z - Y, loss.width, slopes_at_kink(loss, Z.dtype)
        parabola = (above + below) / 4 * (e * e / w + w) if w > 0 else 0 * e
        between = parabola + (above - below) / 2 * e
        return np.where(e > w, above * e, np.where(e < -w, -below * e, between)).sum(axis=0)  # L7
    if code == HUBER and unit == IDENTITY:
        e, delta = np.abs(Z - Y), number.astype(Z.dtype)
        return np.where(e > delta, delta * (e - delta / 2), e * e / 2).sum(axis=0)  # L8
    if code == GAMMA and unit == EXP:
        return (Y * np.exp(-Z) + Z - np.log(Y) - 1).sum(axis=0)  # L9
    if code == TWEEDIE and unit == EXP:
        p_1, p_2 = (1 - number).astype(Z.dtype), (2 - number).astype(Z.dtype)
        of_Y = np.where(Y > 0, Y * np.exp(p_1 * Z), 0)  # 0 e^inf = 0
        return (Y**p_2 / (p_1 * p_2) - of_Y / p_1 + np.exp(p_2 * Z) / p_2).sum(axis=0)  # L10
    if code == COMPILED:
        return call_own_loss(loss, VALUE, Z, Y).sum(axis=0)  # L15
    raise ValueError(f"{UNKNOWN}: {code}, {unit}")


def cost_sum_numpy(loss, unit, Z, Y, s):
    """sum_i s_i J_i, a float64."""
    costs = sample_costs_numpy(loss, unit, Z, Y)
    return float(np.sum(np.where(s > 0, s * costs, 0), dtype=np.float64))


def output_gradient_numpy(loss, unit, A, Z, Y, s, dZ):
    """dZ = s o dJ_i/dz, which is s o (A - Y) for the first four losses.  dZ may be A."""
    code, number = loss.code, loss.parameter[:, np.newaxis]
    if code in WITH_RESIDUAL_SLOPE:
        slope = A - Y  # L5
    elif code in WITH_KINK:
        e, w, (above, below) = Z - Y, loss.width, slopes_at_kink(loss, Z.dtype)
        between = (above + below) / 2 * e / w + (above - below) / 2 if w > 0 else 0 * e
        slope = np.where(e > w, above, np.where(e < -w, -below, between))  # L11
    elif code == HUBER:
        delta = number.astype(Z.dtype)
        slope = np.clip(Z - Y, -delta, delta)  # L12
    elif code == GAMMA:
        slope = 1 - Y * np.exp(-Z)  # L13
    elif code == TWEEDIE:
        p_1, p_2 = (1 - number).astype(Z.dtype), (2 - number).astype(Z.dtype)
        slope = np.exp(p_2 * Z) - np.where(Y > 0, Y * np.exp(p_1 * Z), 0)  # L14
    elif code == COMPILED:
        slope = call_own_loss(loss, SLOPE, Z, Y)  # L15
    else:
        raise ValueError(f"{UNKNOWN}: {code}, {unit}")
    dZ[:] = np.where(s > 0, s * slope, 0)


def curvature_numpy(loss, unit, A, Z, Y, s, H):
    """H = s o h, the weights of the rows of the Gauss-Newton matrix.  H may be A.

    For softmax units H = s o a, as their rows are those of z_j less their mean (N1).
    """
    code, number = loss.code, loss.parameter[:, np.newaxis]
    if code == CROSS_ENTROPY and unit == SIGMOID:
        h = np.exp(-np.abs(Z)) / np.square(1 + np.exp(-np.abs(Z)))  # N1
    elif code == CROSS_ENTROPY and unit == SOFTMAX:
        h = A  # N1
    elif code in WITH_UNIT_CURVATURE:
        h = np.ones_like(Z)  # N1
    elif code == POISSON:
        h = A  # N1
    elif code in WITH_KINK:
        above, below = slopes_at_kink(loss, Z.dtype)
        h = (above + below) / 2 / np.maximum(np.abs(Z - Y), loss.width)  # N1
    elif code == HUBER:
        delta = number.astype(Z.dtype)
        h = delta / np.maximum(np.abs(Z - Y), delta)  # N1
    elif code == TWEEDIE:
        h = np.exp((2 - number).astype(Z.dtype) * Z)  # N1
    elif code == COMPILED:
        h = call_own_loss(loss, CURVATURE, Z, Y)  # N1
    else:
        raise ValueError(f"{UNKNOWN}: {code}, {unit}")
    H[:] = np.where(s > 0, s * h, 0)


def slopes_at_kink(loss: KernelLoss, dtype: Any) -> tuple[Any, Any]:
    """The slopes above and below the target, both positive: 1 - q and q, or 1 and 1."""
    q = loss.parameter[:, np.newaxis]
    if loss.code == ABSOLUTE_ERROR:
        q = np.ones_like(q)
        return q.astype(dtype), q.astype(dtype)
    return (1 - q).astype(dtype), q.astype(dtype)


def call_own_loss(loss: KernelLoss, task: int, Z: NDArray[Any], Y: NDArray[Any]) -> NDArray[Any]:
    """What the function of a user's own loss gives for each unit and sample."""
    found = np.empty(Z.shape, Z.dtype)
    for j in range(Z.shape[0]):
        z, y = np.ascontiguousarray(Z[j]), np.ascontiguousarray(Y[j])
        call_loss(address_of(loss, z), task, z, y, found[j], z.size)
    return found


def address_of(loss: Any, z: Any) -> Any:
    """The address of the user's own function for numbers of the dtype of z."""
    return loss.for_float32 if z.itemsize == 4 else loss.for_float64


address_of_loops = inlined(address_of)


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
def unit_cost(loss, unit, z, y, j):
    """The cost of output unit j, by the losses that have exponential or identity units."""
    code = loss.code
    if code in WITH_KINK and unit == IDENTITY:
        e, w = z - y, loss.width
        above, below = slopes_at_kink_loops(loss, j)
        if e > w:
            return above * e  # L7
        if e < -w:
            return -below * e  # L7
        parabola = (above + below) / 4 * (e * e / w + w) if w > 0 else 0 * e
        return parabola + (above - below) / 2 * e  # L7
    if code == HUBER and unit == IDENTITY:
        e, delta = abs(z - y), loss.parameter[j]
        return delta * (e - delta / 2) if e > delta else e * e / 2  # L8
    if code == GAMMA and unit == EXP:
        return y * np.exp(-z) + z - np.log(y) - 1  # L9
    if code == TWEEDIE and unit == EXP:
        p_1, p_2 = 1 - loss.parameter[j], 2 - loss.parameter[j]
        of_y = y * np.exp(p_1 * z) if y > 0 else 0.0  # 0 e^inf = 0
        return y**p_2 / (p_1 * p_2) - of_y / p_1 + np.exp(p_2 * z) / p_2  # L10
    raise ValueError(UNKNOWN)


@inlined
def slopes_at_kink_loops(loss, j):
    """The slopes above and below the target, both positive: 1 - q and q, or 1 and 1."""
    if loss.code == ABSOLUTE_ERROR:
        return 1.0, 1.0
    return 1 - loss.parameter[j], loss.parameter[j]


@jit
def call_own_loss_once(loss, task, Z, Y, j, i):
    """What the function of a user's own loss gives for one unit and sample."""
    return call_loss_once(address_of_loops(loss, Z), task, Z[j, i], Y[j, i])


@jit
def sample_cost(loss, unit, Z, Y, i):
    """J_i of sample i, from pre-activations Z and targets Y of the output layer."""
    if loss.code == CROSS_ENTROPY and unit == SIGMOID:
        return sigmoid_cost(Z, Y, i)
    if loss.code == CROSS_ENTROPY and unit == SOFTMAX:
        return softmax_cost(Z, Y, i)
    if loss.code == SQUARED_ERROR and unit == IDENTITY:
        return squared_error(Z, Y, i)
    if loss.code == POISSON and unit == EXP:
        return poisson_deviance(Z, Y, i)
    cost = 0.0
    for j in range(Z.shape[0]):
        if loss.code == COMPILED:
            cost += call_own_loss_once(loss, np.int64(VALUE), Z, Y, j, i)  # L15
        else:
            cost += unit_cost(loss, unit, Z[j, i], Y[j, i], j)
    return cost


@jit
def cost_sum_loops(loss, unit, Z, Y, s):
    """sum_i s_i J_i, a float64."""
    total = np.float64(0)
    for i in range(Z.shape[1]):
        if s[i] > 0:
            total += s[i] * sample_cost(loss, unit, Z, Y, i)
    return total


@jit
def slope(loss, a, z, y, j):
    """dz_j of one output unit whose activation is a = g(z)."""
    code = loss.code
    if code in WITH_RESIDUAL_SLOPE:
        return a - y  # L5
    if code in WITH_KINK:
        e, w = z - y, loss.width
        above, below = slopes_at_kink_loops(loss, j)
        if e > w:
            return above  # L11
        if e < -w:
            return -below  # L11
        return (above + below) / 2 * e / w + (above - below) / 2 if w > 0 else 0 * e  # L11
    if code == HUBER:
        e, delta = z - y, loss.parameter[j]
        if abs(e) > delta:  # a NaN is not, and stays one
            return delta if e > 0 else -delta  # L12
        return e  # L12
    if code == GAMMA:
        return 1 - y * np.exp(-z)  # L13
    if code == TWEEDIE:
        of_y = y * np.exp((1 - loss.parameter[j]) * z) if y > 0 else 0.0
        return np.exp((2 - loss.parameter[j]) * z) - of_y  # L14
    raise ValueError(UNKNOWN)


@jit
def output_gradient_loops(loss, unit, A, Z, Y, s, dZ):
    """dZ = s o dJ_i/dz, which is s o (A - Y) for the first four losses.  dZ may be A."""
    n_out, m = A.shape
    # forward:  total += s[i] * sample_cost(loss, unit, Z, Y, i)
    for i in range(m):
        for j in range(n_out):
            if loss.code == COMPILED:
                dz = call_own_loss_once(loss, np.int64(SLOPE), Z, Y, j, i)  # L15
            else:
                dz = slope(loss, A[j, i], Z[j, i], Y[j, i], j)
            dZ[j, i] = s[i] * dz if s[i] > 0 else 0.0


@jit
def curvature(loss, unit, a, z, y, j):
    """h_j of one output unit whose activation is a = g(z); a itself for softmax units."""
    code = loss.code
    if code == CROSS_ENTROPY and unit == SIGMOID:
        return np.exp(-abs(z)) / (1 + np.exp(-abs(z))) ** 2  # N1
    if code == CROSS_ENTROPY and unit == SOFTMAX:
        return a  # N1
    if code in WITH_UNIT_CURVATURE:
        return 1.0  # N1
    if code == POISSON:
        return a  # N1
    if code in WITH_KINK:
        above, below = slopes_at_kink_loops(loss, j)
        return (above + below) / 2 / max(abs(z - y), loss.width)  # N1
    if code == HUBER:
        return loss.parameter[j] / max(abs(z - y), loss.parameter[j])  # N1
    if code == TWEEDIE:
        return np.exp((2 - loss.parameter[j]) * z)  # N1
    raise ValueError(UNKNOWN)


@jit
def curvature_loops(loss, unit, A, Z, Y, s, H):
    """H = s o h, the weights of the rows of the Gauss-Newton matrix.  H may be A."""
    n_out, m = A.shape
    for i in range(m):
        for j in range(n_out):
            if loss.code == COMPILED:
                h = call_own_loss_once(loss, np.int64(CURVATURE), Z, Y, j, i)  # N1
            else:
                h = curvature(loss, unit, A[j, i], Z[j, i], Y[j, i], j)
            H[j, i] = s[i] * h if s[i] > 0 else 0.0


@jit
def cost_sum_tiled(loss, unit, Z, Y, s, scratch, m):
    """sum_i s_i J_i of the first m samples, a float64; J_i in the dtype of Z."""
    sample_costs_tiled(loss, unit, Z, Y, s, scratch, m)
    return sum_in_order(scratch[0], m)


@in_order
def gamma_cost(e, z, y, log_y, one):
    """(y e - log y) + (z - 1); in this order, likewise."""
    return fused(y, e, -log_y) + (z - one)


@in_order
def poisson_cost(a, z, y, y_log_y):
    """a - y - (y z - y log y); in this order, whichever part of a loop the sample falls into."""
    return (a - y) - fused(y, z, -y_log_y)


@compiled_once
def sample_costs_tiled(loss, unit, Z, Y, s, scratch, m):
    """s_i J_i of the first m samples, in the first row of scratch and the dtype of Z."""
    n_out = Z.shape[0]
    code = loss.code
    cost, zero = scratch[0], Z.dtype.type(0)
    for i in range(m):
        cost[i] = 0
    if code == CROSS_ENTROPY and unit == SIGMOID:
        one = Z.dtype.type(1)
        for j in range(n_out):
            for i in range(m):
                z = Z[j, i]
                above = one if z > 0 else zero
                cost[i] += z * (above - Y[j, i]) + elementary.log1p_exp_minus_abs(z)  # L1
    elif code == CROSS_ENTROPY and unit == SOFTMAX:
        softmax_cost_tiled(Z, Y, cost, scratch, m)
    elif code == SQUARED_ERROR and unit == IDENTITY:
        half = Z.dtype.type(0.5)
        for j in range(n_out):
            for i in range(m):
                d = Z[j, i] - Y[j, i]
                cost[i] += half * d * d  # L3
    elif code == POISSON and unit == EXP:
        for j in range(n_out):
            for i in range(m):
                z, y = Z[j, i], Y[j, i]
                y_log_y = y * elementary.log(y) if y > 0 else y
                cost[i] += poisson_cost(elementary.exp(z), z, y, y_log_y)  # L4
    else:
        for j in range(n_out):
            unit_costs_tiled(loss, unit, Z[j], Y[j], cost, scratch[1], j, m)
    for i in range(m):
        weighted = s[i] * cost[i]
        cost[i] = weighted if s[i] > 0 else zero


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
def unit_costs_tiled(loss, unit, z, y, cost, scratch, j, m):
    """Add the costs of output unit j to `cost`, by the losses L7 to L10 and L15."""
    code, dtype = loss.code, z.dtype.type
    one, half, zero = dtype(1), dtype(0.5), dtype(0)
    if code in WITH_KINK and unit == IDENTITY:
        above_64, below_64 = slopes_at_kink_loops(loss, j)
        above, below, w = dtype(above_64), dtype(below_64), dtype(loss.width)
        quarter, tilt = dtype((above_64 + below_64) / 4), dtype((above_64 - below_64) / 2)
        by_w = one / w if w > zero else zero
        for i in range(m):
            e = z[i] - y[i]
            between = quarter * (e * e * by_w + w) + tilt * e
            outside = above * e if e > w else -below * e
            cost[i] += outside if abs(e) > w else between  # L7
    elif code == HUBER and unit == IDENTITY:
        delta = dtype(loss.parameter[j])
        for i in range(m):
            e = abs(z[i] - y[i])
            cost[i] += delta * (e - half * delta) if e > delta else half * e * e  # L8
    elif code == GAMMA and unit == EXP:
        for i in range(m):
            log_y = elementary.log(y[i]) if y[i] > zero else zero  # 0 fills a block up
            cost[i] = plus(cost[i], gamma_cost(elementary.exp(-z[i]), z[i], y[i], log_y, one))  # L9
    elif code == TWEEDIE and unit == EXP:
        p = loss.parameter[j]
        p_1, p_2, by_both = dtype(1 - p), dtype(2 - p), dtype(1 / ((1 - p) * (2 - p)))
        by_1, by_2 = dtype(1 / (1 - p)), dtype(1 / (2 - p))
        for i in range(m):
            to_y = elementary.exp(p_2 * elementary.log(y[i])) * by_both
            of_y = (to_y - y[i] * elementary.exp(p_1 * z[i]) * by_1) if y[i] > zero else zero
            cost[i] += of_y + elementary.exp(p_2 * z[i]) * by_2  # L10
    elif code == COMPILED:
        call_loss(address_of_loops(loss, z), VALUE, z, y, scratch, m)
        for i in range(m):
            cost[i] += scratch[i]  # L15
    else:
        raise ValueError(UNKNOWN)


@compiled_once
def output_gradient_tiled(loss, unit, A, Z, Y, s, dZ, m):
    """dZ = s o dJ_i/dz for the first m samples, s o (A - Y) for the first four losses.

    dZ may be A.
    """
    zero = A.dtype.type(0)
    # forward:  total += s[i] * cost[i]
    if loss.code in WITH_RESIDUAL_SLOPE:
        for j in range(A.shape[0]):
            for i in range(m):
                weighted = s[i] * (A[j, i] - Y[j, i])
                dZ[j, i] = weighted if s[i] > 0 else zero  # L5
    else:
        for j in range(A.shape[0]):
            slopes_tiled(loss, Z[j], Y[j], dZ[j], j, m)
            for i in range(m):
                weighted = s[i] * dZ[j, i]
                dZ[j, i] = weighted if s[i] > 0 else zero


@compiled_once
def slopes_tiled(loss, z, y, dz, j, m):
    """dz of output unit j, without weights, by the losses whose slope is not a - y."""
    code, dtype = loss.code, z.dtype.type
    one, zero = dtype(1), dtype(0)
    if code in WITH_KINK:
        above_64, below_64 = slopes_at_kink_loops(loss, j)
        above, below, w = dtype(above_64), dtype(below_64), dtype(loss.width)
        by_w = dtype((above_64 + below_64) / 2) / w if w > zero else zero
        tilt = dtype((above_64 - below_64) / 2) if w > zero else zero
        for i in range(m):
            e = z[i] - y[i]
            outside = above if e > w else -below
            dz[i] = outside if abs(e) > w else e * by_w + tilt  # L11
    elif code == HUBER:
        delta = dtype(loss.parameter[j])
        for i in range(m):
            e = z[i] - y[i]
            below_delta = delta if e > delta else e
            dz[i] = -delta if e < -delta else below_delta  # L12
    elif code == GAMMA:
        for i in range(m):
            dz[i] = one - y[i] * elementary.exp(-z[i])  # L13
    elif code == TWEEDIE:
        p_1, p_2 = dtype(1 - loss.parameter[j]), dtype(2 - loss.parameter[j])
        for i in range(m):
            of_y = y[i] * elementary.exp(p_1 * z[i]) if y[i] > zero else zero
            dz[i] = elementary.exp(p_2 * z[i]) - of_y  # L14
    elif code == COMPILED:
        call_loss(address_of_loops(loss, z), SLOPE, z, y, dz, m)  # L15
    else:
        raise ValueError(UNKNOWN)


@compiled_once
def curvature_tiled(loss, unit, A, Z, Y, s, H, m):
    """H = s o h for the first m samples, the weights of the rows of the Gauss-Newton matrix.

    H may be A. Of a user's own loss, an h below 0 is NaN.
    """
    code, dtype = loss.code, Z.dtype.type
    one, zero = dtype(1), dtype(0)
    for j in range(Z.shape[0]):
        a, z, y, h = A[j], Z[j], Y[j], H[j]
        if code == CROSS_ENTROPY and unit == SIGMOID:
            for i in range(m):
                e = elementary.exp(-abs(z[i]))
                h[i] = e / ((one + e) * (one + e))  # N1
        elif (code == CROSS_ENTROPY and unit == SOFTMAX) or code == POISSON:
            for i in range(m):
                h[i] = a[i]  # N1
        elif code in WITH_UNIT_CURVATURE:
            for i in range(m):
                h[i] = one  # N1
        elif code in WITH_KINK:
            above, below = slopes_at_kink_loops(loss, j)
            mean, w = dtype((above + below) / 2), dtype(loss.width)
            for i in range(m):
                e = abs(z[i] - y[i])
                h[i] = mean / (w if e < w else e)  # N1
        elif code == HUBER:
            delta = dtype(loss.parameter[j])
            for i in range(m):
                e = abs(z[i] - y[i])
                h[i] = delta / (delta if e < delta else e)  # N1
        elif code == TWEEDIE:
            p_2 = dtype(2 - loss.parameter[j])
            for i in range(m):
                h[i] = elementary.exp(p_2 * z[i])  # N1
        elif code == COMPILED:
            call_loss(address_of_loops(loss, z), CURVATURE, z, y, h, m)  # N1
        else:
            raise ValueError(UNKNOWN)
        for i in range(m):
            weighted = s[i] * h[i]
            h[i] = weighted if s[i] > zero else zero
