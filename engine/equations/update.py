"""One step on the flat parameter vector.

    U1  gradient descent    theta <- theta - eta dtheta
    U2  momentum            v <- mu v - eta dtheta,   theta <- theta + v
    U3  Nesterov            v <- mu v - eta dtheta,   theta <- theta + mu v - eta dtheta
    U4  Adam's moments      m <- beta_1 m + (1 - beta_1) dtheta
                            v <- beta_2 v + (1 - beta_2) dtheta^2
    U5  Adam                theta <- theta - eta_t m / (sqrt v + epsilon)
                            eta_t = eta sqrt(1 - beta_2^t) / (1 - beta_1^t)
    U8  weight decay        W <- W - eta lambda W, beside U5
    U9  average             mean <- d mean + (1 - d) theta, after a step; the first one copies
    U10 clipping            dtheta <- dtheta min(1, c / ||dtheta||), before a step

All vectors have the length and the dtype of theta; t counts steps from 1. Adam's epsilon stands
outside the bias correction, as at the end of section 2 of Kingma & Ba 2015 and in scikit-learn.
Nesterov's form is that of Sutskever et al. 2013, in terms of the look-ahead parameters. The decay
is that of Loshchilov & Hutter 2019: it takes the scheduled eta, without the bias corrections, and
the weights before the step; biases, and what follows the dense layers in theta, do not decay.
"""

import numpy as np

from engine.compiler.jit import compiled_once, in_order, jit
from engine.compiler.subnormals import flush_subnormals, restore
from engine.compiler.tile_arithmetic import fused, root
from engine.compiler.views import vector_at
from engine.equations.layout import parameters_of, parameters_of_loops
from engine.equations.ordered_sums import norm_from, plus, quotient, sum_of_squares_in_order


def gradient_descent_numpy(theta, dtheta, learning_rate):
    """Move theta, in place, by one step against its gradient."""
    theta -= theta.dtype.type(learning_rate) * dtheta  # U1


def momentum_numpy(theta, dtheta, velocity, learning_rate, mu):
    """The same with momentum: each step multiplies the velocity by mu."""
    to = theta.dtype.type
    velocity *= to(mu)
    velocity -= to(learning_rate) * dtheta
    theta += velocity  # U2


def nesterov_numpy(theta, dtheta, velocity, learning_rate, mu):
    """The same, looking ahead by one step of the velocity."""
    to = theta.dtype.type
    velocity *= to(mu)
    velocity -= to(learning_rate) * dtheta
    theta += to(mu) * velocity - to(learning_rate) * dtheta  # U3


@in_order
def adam_rate(learning_rate, power_1, power_2):
    """The learning rate with both bias corrections, from beta_1^t and beta_2^t."""
    return learning_rate * np.sqrt(1 - power_2) / (1 - power_1)


def adam_numpy(theta, dtheta, first, second, t, learning_rate, beta_1, beta_2, epsilon):
    """Step t of Adam; `first` and `second` are the moments m and v, 0 before the first step."""
    to = theta.dtype.type
    first *= to(beta_1)
    first += to(1 - beta_1) * dtheta
    second *= to(beta_2)
    second += to(1 - beta_2) * np.square(dtheta)  # U4
    rate = to(adam_rate(learning_rate, beta_1**t, beta_2**t))
    theta -= rate * first / (np.sqrt(second) + to(epsilon))  # U5


def decay_numpy(theta, sizes, share):
    """Shrink the weights, before a step of Adam; `share` is eta lambda."""
    for l in range(1, len(sizes)):
        W, _ = parameters_of(theta, sizes, l)
        W -= theta.dtype.type(share) * W  # U8


@in_order
def kept_share(d, t):
    """The share of the average that step t keeps: 0 in the first step, which copies."""
    return 0.0 if t == 1 else d


def average_numpy(mean, theta, t, d):
    """Take theta after step t into its average."""
    keep = kept_share(d, t)
    mean *= theta.dtype.type(keep)
    mean += theta.dtype.type(1 - keep) * theta  # U9


def clip_numpy(dtheta, c):
    """Shorten a gradient whose norm is above c to that norm; returns its norm before."""
    largest = float(np.maximum.reduce(np.abs(dtheta)))
    before = largest
    if 0 < largest < np.inf:  # without overflow on the way
        scaled = dtheta.astype(np.float64) / largest
        before *= float(np.sqrt(np.add.reduce(np.square(scaled))))
    if before > c:
        dtheta *= dtheta.dtype.type(c / before)  # U10
    return before


# The step of one parameter, or, of many networks side by side, of a tile of them, to the same bits
# (engine/equations/member_steps.py): so the operations keep their order.
@in_order
def descended(theta, slope, eta):
    return fused(-eta, slope, theta)


@in_order
def next_velocity(v, slope, eta, mu):
    return fused(-eta, slope, mu * v)


@in_order
def looked_ahead(theta, v, slope, eta, mu):
    return theta + fused(-eta, slope, mu * v)


@in_order
def next_moment(m, slope, keep, add):
    return fused(add, slope, keep * m)


@in_order
def next_square(v, slope, keep, add):
    return fused(add * slope, slope, keep * v)


@in_order
def adapted(theta, m, v, rate, epsilon):
    return theta - rate * m / (root(v) + epsilon)


@in_order
def decayed(weight, share):
    return fused(-share, weight, weight)


@in_order
def averaged(mean, theta, keep, add):
    return fused(add, theta, keep * mean)


@jit
def gradient_descent_loops(theta, dtheta, learning_rate):
    """Move theta, in place, by one step against its gradient."""
    eta = theta.dtype.type(learning_rate)
    for p in range(theta.size):
        theta[p] = descended(theta[p], dtheta[p], eta)  # U1


@jit
def momentum_loops(theta, dtheta, velocity, learning_rate, mu):
    """The same with momentum: each step multiplies the velocity by mu."""
    eta, share = theta.dtype.type(learning_rate), theta.dtype.type(mu)
    for p in range(theta.size):
        velocity[p] = next_velocity(velocity[p], dtheta[p], eta, share)
        theta[p] = plus(theta[p], velocity[p])  # U2


@jit
def nesterov_loops(theta, dtheta, velocity, learning_rate, mu):
    """The same, looking ahead by one step of the velocity."""
    eta, share = theta.dtype.type(learning_rate), theta.dtype.type(mu)
    for p in range(theta.size):
        velocity[p] = next_velocity(velocity[p], dtheta[p], eta, share)
        theta[p] = looked_ahead(theta[p], velocity[p], dtheta[p], eta, share)  # U3


@jit
def adam_loops(theta, dtheta, first, second, t, learning_rate, beta_1, beta_2, epsilon):
    """Step t of Adam; `first` and `second` are the moments m and v, 0 before the first step."""
    to = theta.dtype.type
    keep_1, add_1, keep_2, add_2 = to(beta_1), to(1 - beta_1), to(beta_2), to(1 - beta_2)
    rate, small = to(adam_rate(learning_rate, beta_1**t, beta_2**t)), to(epsilon)
    for p in range(theta.size):
        first[p] = next_moment(first[p], dtheta[p], keep_1, add_1)
        second[p] = next_square(second[p], dtheta[p], keep_2, add_2)  # U4
        theta[p] = adapted(theta[p], first[p], second[p], rate, small)  # U5


@jit
def decay_loops(theta, sizes, share):
    """Shrink the weights, before a step of Adam; `share` is eta lambda."""
    shrink = theta.dtype.type(share)
    for l in range(1, len(sizes)):
        W, _ = parameters_of_loops(theta, sizes, l)
        for j in range(W.shape[0]):
            for k in range(W.shape[1]):
                W[j, k] = decayed(W[j, k], shrink)  # U8


@jit
def average_loops(mean, theta, t, d):
    """Take theta after step t into its average."""
    share = kept_share(d, t)
    keep, add = theta.dtype.type(share), theta.dtype.type(1 - share)
    for p in range(theta.size):
        mean[p] = averaged(mean[p], theta[p], keep, add)  # U9


@compiled_once
def clip_loops(dtheta, c):
    """Shorten a gradient whose norm is above c to that norm; returns its norm before."""
    before = norm_from(sum_of_squares_in_order(dtheta), dtheta)
    if before > c:
        share = dtheta.dtype.type(quotient(c, before))
        for p in range(dtheta.size):
            dtheta[p] *= share  # U10
    return before


@compiled_once
def adam_and_more_tiled(
    theta,
    dtheta,
    first,
    second,
    mean,
    sizes,
    start,
    stop,
    t,
    learning_rate,
    beta_1,
    beta_2,
    epsilon,
    weight_decay,
    d,
):
    """Step t of Adam with decay and average, in one pass over parameters start ... stop - 1.

    The bits are those of `decay_loops`, `adam_loops` and `average_loops`, one after the other.
    """
    at = 0
    for l in range(1, len(sizes)):
        after_W = at + sizes[l] * sizes[l - 1]
        adam_of_part_tiled(
            theta,
            dtheta,
            first,
            second,
            mean,
            max(at, start),
            min(after_W, stop),
            t,
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            learning_rate * weight_decay,
            d,
        )
        at = after_W + sizes[l]
        adam_of_part_tiled(
            theta,
            dtheta,
            first,
            second,
            mean,
            max(after_W, start),
            min(at, stop),
            t,
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            0.0,
            d,
        )
    adam_of_part_tiled(  # parameters that no dense layer has
        theta,
        dtheta,
        first,
        second,
        mean,
        max(at, start),
        stop,
        t,
        learning_rate,
        beta_1,
        beta_2,
        epsilon,
        0.0,
        d,
    )


@compiled_once
def adam_of_part_tiled(
    theta,
    dtheta,
    first,
    second,
    mean,
    start,
    stop,
    t,
    learning_rate,
    beta_1,
    beta_2,
    epsilon,
    shrink,
    d,
):
    """The same for parameters start ... stop - 1, which all decay by the share `shrink`."""
    n = stop - start
    if n <= 0:
        return
    # Views, so that the loops begin at 0 and are vectorised (mean.py).
    x, slope = vector_at(theta, start, n), vector_at(dtheta, start, n)
    m, v = vector_at(first, start, n), vector_at(second, start, n)
    to = theta.dtype.type
    keep_1, add_1, keep_2, add_2 = to(beta_1), to(1 - beta_1), to(beta_2), to(1 - beta_2)
    rate, small = to(adam_rate(learning_rate, beta_1**t, beta_2**t)), to(epsilon)
    share = to(shrink)
    if mean.size == 0:
        for p in range(x.size):
            m[p] = next_moment(m[p], slope[p], keep_1, add_1)
            v[p] = next_square(v[p], slope[p], keep_2, add_2)  # U4
            x[p] = adapted(decayed(x[p], share), m[p], v[p], rate, small)  # U5, U8
        return
    kept = kept_share(d, t)
    keep, add, average = to(kept), to(1 - kept), vector_at(mean, start, n)
    for p in range(x.size):
        m[p] = next_moment(m[p], slope[p], keep_1, add_1)
        v[p] = next_square(v[p], slope[p], keep_2, add_2)  # U4
        x[p] = adapted(decayed(x[p], share), m[p], v[p], rate, small)  # U5, U8
        average[p] = averaged(average[p], x[p], keep, add)  # U9


# Velocities and moments of units that no longer learn shrink to subnormal numbers and stay there.
@jit
def momentum_tiled(theta, dtheta, velocity, learning_rate, mu):
    control_word = flush_subnormals()
    momentum_loops(theta, dtheta, velocity, learning_rate, mu)
    restore(control_word)


@jit
def nesterov_tiled(theta, dtheta, velocity, learning_rate, mu):
    control_word = flush_subnormals()
    nesterov_loops(theta, dtheta, velocity, learning_rate, mu)
    restore(control_word)


@jit
def adam_tiled(theta, dtheta, first, second, t, learning_rate, beta_1, beta_2, epsilon):
    control_word = flush_subnormals()
    adam_loops(theta, dtheta, first, second, t, learning_rate, beta_1, beta_2, epsilon)
    restore(control_word)
