"""The equations that go over the parameters, prepared to be called: the mean, and the optimisers.

As in layer_equations.py. A call goes on from where the last one led: its work does not depend on
the numbers, and nothing is copied.
"""

import numpy as np

from benchmarks.layer_equations import INPUTS, PARAMETERS, UNITS, function, takes

RATE, MU, BETA_1, BETA_2, EPSILON, T = 1e-3, 0.9, 0.9, 0.999, 1e-8, 10


def own_or_loops(module, name, backend):
    """Tiled takes the plain loop where it has no form of its own; on older commits it had none."""
    try:
        return function(module, name, backend)
    except NotImplementedError:
        if backend != "tiled":
            raise
        return function(module, name, "loops")


def update(name, arguments, expected):
    """One step, on and on from where the last one led: the work does not depend on the numbers."""

    def prepare(draw, backend):
        step = own_or_loops("update", name, backend)
        theta, first, second = draw.theta.copy(), draw.first.copy(), draw.second.copy()
        given = arguments(first, second)
        return lambda: step(theta, draw.dtheta, *given), lambda: theta, expected(draw)

    return prepare


def after_momentum(draw):
    return draw.theta + MU * draw.first - RATE * draw.dtheta


def after_nesterov(draw):
    velocity = MU * draw.first - RATE * draw.dtheta
    return draw.theta + MU * velocity - RATE * draw.dtheta


def after_adam(draw):
    m = BETA_1 * draw.first + (1 - BETA_1) * draw.dtheta
    v = BETA_2 * draw.second + (1 - BETA_2) * draw.dtheta**2
    rate = RATE * np.sqrt(1 - BETA_2**T) / (1 - BETA_1**T)
    return draw.theta - rate * m / (np.sqrt(v) + EPSILON)


ALPHA, COST, S = 0.1, 100.0, 1.0  # a mean in place, on and on, stays of a size where S is 1
LAYER = np.array([INPUTS, UNITS])


def penalised(draw):
    """theta, without the biases."""
    return np.where(np.arange(PARAMETERS) < UNITS * INPUTS, draw.theta, 0)


def mean_cost(draw, backend):
    kernel = own_or_loops("mean", "mean_cost", backend)
    kept = np.array(np.nan)

    def act():
        kept[...] = kernel(COST, draw.theta, LAYER, ALPHA, S)

    return act, lambda: kept, (COST + 0.5 * ALPHA * (penalised(draw) ** 2).sum()) / S


def mean_gradient(draw, backend):
    """From a sum; the tiled form works in place."""
    kernel = function("mean", "mean_gradient", backend)
    expected = (draw.dtheta + ALPHA * penalised(draw)) / S
    if backend != "tiled":
        dtheta, sums = np.full_like(draw.dtheta, np.nan), draw.dtheta.astype(np.float64)
        given = (sums, draw.theta, LAYER, ALPHA, S, dtheta)
        return lambda: kernel(*given), lambda: dtheta, expected
    dtheta, part = draw.dtheta.copy(), (0, PARAMETERS) if takes(kernel, "start") else ()
    return lambda: kernel(dtheta, draw.theta, LAYER, ALPHA, S, *part), lambda: dtheta, expected


def decay(draw, backend):
    kernel, theta = own_or_loops("update", "decay", backend), draw.theta.copy()
    expected = draw.theta - RATE * penalised(draw)
    return lambda: kernel(theta, LAYER, RATE), lambda: theta, expected


def average(draw, backend):
    kernel, mean = own_or_loops("update", "average", backend), draw.first.copy()
    expected = MU * draw.first + (1 - MU) * draw.theta
    return lambda: kernel(mean, draw.theta, T, MU), lambda: mean, expected


def clip(draw, backend):
    kernel, dtheta = own_or_loops("update", "clip", backend), draw.dtheta.copy()
    return lambda: kernel(dtheta, 1.0), lambda: dtheta, draw.dtheta / np.linalg.norm(draw.dtheta)


OVER_PARAMETERS = {
    "mean_cost": mean_cost,
    "mean_gradient": mean_gradient,
    "gradient_descent": update(
        "gradient_descent", lambda m, v: (RATE,), lambda draw: draw.theta - RATE * draw.dtheta
    ),
    "momentum": update("momentum", lambda m, v: (m, RATE, MU), after_momentum),
    "nesterov": update("nesterov", lambda m, v: (m, RATE, MU), after_nesterov),
    "decay": decay,
    "average": average,
    "clip": clip,
    "adam": update("adam", lambda m, v: (m, v, T, RATE, BETA_1, BETA_2, EPSILON), after_adam),
}
