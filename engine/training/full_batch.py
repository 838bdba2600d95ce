"""Gradient descent on all samples at once, the seed's method."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.objective import Objective
from engine.training.monitor import Monitor


def gradient_descent(
    objective: Objective,
    theta: NDArray[Any],
    learning_rate: float,
    max_iter: int,
    monitor: Monitor,
) -> str:
    """Move theta, in place, by up to `max_iter` steps; returns why it stopped.

    Each step is theta <- theta - eta dJ/dtheta (equation U1). One pass over the data a step.
    """
    for _ in range(max_iter):
        cost, dtheta = objective.cost_and_gradient(theta)
        monitor.before_step(theta, cost, dtheta)
        with np.errstate(all="ignore"):  # a step that overflows shows in the next cost
            objective.backend.gradient_descent(theta, dtheta, learning_rate)
        reason = monitor.after_step(theta)
        if reason is not None:
            return reason
    return "max_iter"
