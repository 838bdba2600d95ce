"""A loss of the user's own: its second result against differences of its first, and its third.

The slope of the cost in z is found as in `gradient.py`, but of one output unit and sample at a
time. So a failure names the numbers to call the function with.
"""

import math

import numpy as np
from numpy.typing import NDArray

from engine.boundary.own_losses import results
from engine.checks.gradient import EPSILON, STEPS, Slope, slope_of
from engine.checks.kinks import distances_to_kinks
from engine.checks.problem import CheckProblem, evenly_spread
from engine.checks.report import OWN_LOSS, SECOND_RESULT, THIRD_RESULT, Check, worst
from engine.equations.losses import COMPILED, CURVATURE, SLOPE, VALUE, KernelLoss

MOST_PAIRS = 64  # of z and y
NEAR = np.array([0, 1, -1, 2, -2, 3, -3, 4, -4])  # in units of the last place of z
SMALLEST = 64 * EPSILON  # of what is compared

Numbers = NDArray[np.float64]


def check_own_loss(problem: CheckProblem, at: str) -> list[Check]:
    """The results of the function at these parameters; no check for another loss."""
    if problem.network.loss.row.code != COMPILED:
        return []
    loss = problem.network.loss.for_kernels(1)
    z, y = pairs(problem, at)
    checks = second_results(loss, z, y, at)
    if loss.has_curvature:
        checks += third_results(loss, z, y, at)
    return checks


def pairs(problem: CheckProblem, at: str) -> tuple[Numbers, Numbers]:
    """Pre-activations and targets of the output units, for some of the rows."""
    rows = evenly_spread(problem.rows, max(1, MOST_PAIRS // problem.network.sizes[-1]))
    Z = distances_to_kinks(problem, problem.points[at].astype(np.float64), rows)[-1]
    return Z.ravel(), rows.targets.T.astype(np.float64).ravel()


def second_results(loss: KernelLoss, z: Numbers, y: Numbers, at: str) -> list[Check]:
    """The derivative, wherever the cost has a slope; no check if it has none anywhere."""
    checks = []
    found = results(loss, SLOPE, z, y)
    for one, target, returned in zip(z.tolist(), y.tolist(), found.tolist(), strict=True):
        slope = slope_at(loss, one, target)
        if slope is None:
            continue
        apart = abs(returned - slope.value)
        where = f"at z={one:.4g}, y={target:.4g} it is {returned:.4g}, by differences "
        checks.append(
            Check(
                OWN_LOSS,
                at,
                SECOND_RESULT,
                math.inf if math.isnan(apart) else apart,
                slope.tolerance + SMALLEST * abs(slope.value),
                f"{where}{slope.value:.4g}",
            )
        )
    return [worst(checks)] if checks else []


def third_results(loss: KernelLoss, z: Numbers, y: Numbers, at: str) -> list[Check]:
    """h, wherever the cost is finite: it must be finite, and not negative but for rounding."""
    usable = np.isfinite(results(loss, VALUE, z, y))
    h = results(loss, CURVATURE, z, y)
    finite = np.abs(h[np.isfinite(h)])
    tolerance = SMALLEST * max(1.0, float(finite.max(initial=0.0)))
    checks = []
    for i in np.flatnonzero(usable).tolist():
        below = max(0.0, -float(h[i])) if math.isfinite(h[i]) else math.inf
        where = f"at z={z[i]:.4g}, y={y[i]:.4g} it is {h[i]:.4g}"
        checks.append(Check(OWN_LOSS, at, THIRD_RESULT, below, tolerance, where))
    return [worst(checks)] if checks else []


def slope_at(loss: KernelLoss, z: float, y: float) -> Slope | None:
    """The slope of the cost by z, or None where it has none, as at a kink."""
    near = z * (1 + EPSILON * NEAR)
    costs = results(loss, VALUE, near, np.full(len(near), y))
    there = float(costs[0])
    if not np.isfinite(costs).all():
        return None
    # A function may go through numbers of the size of 1, as log(cosh(e)) does.
    noise = max(float(np.abs(costs - there).max()), EPSILON * max(abs(there), 1.0))

    def cost(theta: Numbers) -> float:
        return float(results(loss, VALUE, theta, np.array([y]))[0])

    slopes = (slope_of(cost, np.array([z]), 0, step, there, noise) for step in STEPS)
    return next((slope for slope in slopes if slope is not None), None)
