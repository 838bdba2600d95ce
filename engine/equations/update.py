"""One step on the flat parameter vector.

    U1  gradient descent    theta <- theta - eta dtheta
    U2  momentum            v <- mu v - eta dtheta,   theta <- theta + v
    U3  Nesterov            v <- mu v - eta dtheta,   theta <- theta + mu v - eta dtheta
    U4  Adam's moments      m <- beta_1 m + (1 - beta_1) dtheta
                            v <- beta_2 v + (1 - beta_2) dtheta^2
    U5  Adam                theta <- theta - eta_t m / (sqrt v + epsilon)
                            eta_t = eta sqrt(1 - beta_2^t) / (1 - beta_1^t)

All vectors have the length and the dtype of theta; t counts steps from 1. Adam's epsilon stands
outside the bias correction, as at the end of section 2 of Kingma & Ba 2015 and in scikit-learn.
Nesterov's form is that of Sutskever et al. 2013, in terms of the look-ahead parameters.
"""

import numpy as np

from engine.compiler.jit import in_order, jit
from engine.compiler.subnormals import flush_subnormals, restore
from engine.compiler.tile_arithmetic import fused, root
from engine.equations.ordered_sums import plus


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
def adam_rate(learning_rate, beta_1, beta_2, t):
    """eta sqrt(1 - beta_2^t) / (1 - beta_1^t), the learning rate with both bias corrections."""
    return learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)


def adam_numpy(theta, dtheta, first, second, t, learning_rate, beta_1, beta_2, epsilon):
    """Step t of Adam; `first` and `second` are the moments m and v, 0 before the first step."""
    to = theta.dtype.type
    first *= to(beta_1)
    first += to(1 - beta_1) * dtheta
    second *= to(beta_2)
    second += to(1 - beta_2) * np.square(dtheta)  # U4
    rate = to(adam_rate(learning_rate, beta_1, beta_2, t))
    theta -= rate * first / (np.sqrt(second) + to(epsilon))  # U5


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
    rate, small = to(adam_rate(learning_rate, beta_1, beta_2, t)), to(epsilon)
    for p in range(theta.size):
        first[p] = next_moment(first[p], dtheta[p], keep_1, add_1)
        second[p] = next_square(second[p], dtheta[p], keep_2, add_2)  # U4
        theta[p] = adapted(theta[p], first[p], second[p], rate, small)  # U5


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
