"""Gradient descent on all samples at once, the seed's method."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.sums.objective import Objective
from engine.training.checkpoint import Keeper
from engine.training.monitor import Monitor


def gradient_descent(
    objective: Objective,
    theta: NDArray[Any],
    learning_rate: float,
    max_iter: int,
    monitor: Monitor,
    keeper: Keeper | None = None,
) -> str:
    """Move theta, in place, by steps until `max_iter` were taken; returns why it stopped.

    Each step is theta <- theta - eta dJ/dtheta (equation U1). One pass over the data a step.
    """
    for _ in range(monitor.n_iter, max_iter):
        cost, dtheta = objective.cost_and_gradient(theta)
        monitor.before_step(theta, cost, dtheta)
        if keeper is not None:
            keep(keeper, monitor)
        with np.errstate(all="ignore"):  # a step that overflows shows in the next cost
            objective.backend.gradient_descent(theta, dtheta, learning_rate)
        reason = monitor.after_step(theta)
        if reason is not None:
            return reason
    return "max_iter"


def keep(keeper: Keeper, monitor: Monitor, **more: NDArray[Any]) -> None:
    """Tell the keeper of parameters that the monitor has just been told of, before their step."""
    theta, mark = monitor.last_finite, monitor.mark()
    keeper.reached(mark.n_iter, lambda: {"theta": theta, **more, **monitor.arrays_at(mark)})
