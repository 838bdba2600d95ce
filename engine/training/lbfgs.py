"""L-BFGS on all samples at once: SciPy's optimiser, our cost and gradient.

Limited-memory BFGS keeps the last ten pairs of steps and changes of the gradient, and a line search
tries one or more points a step (Byrd, Lu, Nocedal & Zhu 1995; Zhu et al. 1997, algorithm 778).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.objective import Objective
from engine.training.monitor import Monitor


class Evaluations:
    """The objective as SciPy wants it, in float64; it remembers the last point."""

    def __init__(self, objective: Objective, dtype: Any, monitor: Monitor) -> None:
        self._objective = objective
        self._dtype = dtype
        self._monitor = monitor
        self._last: tuple[NDArray[Any], float, NDArray[Any]] | None = None

    def __call__(self, x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """J and dJ/dtheta at x."""
        _, cost, dtheta = self.at(x)
        return cost, dtheta.astype(np.float64)

    def at(self, x: NDArray[np.float64]) -> tuple[NDArray[Any], float, NDArray[Any]]:
        """x as theta, and J and dJ/dtheta there. Raises where J is not finite."""
        theta = x.astype(self._dtype)
        if self._last is None or not np.array_equal(self._last[0], theta):
            cost, dtheta = self._objective.cost_and_gradient(theta)
            step = 0 if self._last is None else self._monitor.n_iter + 1
            self._monitor.require_finite(theta, cost, step)
            self._last = theta, cost, dtheta
        return self._last


def minimise_lbfgs(
    objective: Objective, theta: NDArray[Any], max_iter: int, monitor: Monitor
) -> str:
    """Move theta, in place, by up to `max_iter` steps of L-BFGS; returns why it stopped.

    That is "converged" where the line search finds no lower cost: at a minimum, as far as the
    rounding of J lets one see. Each point tried is a pass over the data.
    """
    # Here, so that runs with other solvers need not load it.
    from scipy.optimize import minimize

    evaluations = Evaluations(objective, theta.dtype, monitor)
    reason = "converged"

    def after_step(intermediate_result: Any) -> None:
        nonlocal reason
        reached, cost, dtheta = evaluations.at(intermediate_result.x)
        theta[:] = reached
        stop = monitor.after_step(theta)
        if stop is None and monitor.n_iter == max_iter:
            stop = "max_iter"
        if stop is not None:
            reason = stop
            raise StopIteration
        monitor.before_step(theta, cost, dtheta)

    start = theta.astype(np.float64)
    monitor.before_step(*evaluations.at(start))
    minimize(
        evaluations,
        start,
        method="L-BFGS-B",
        jac=True,
        callback=after_step,
        # When to stop is for the monitor to say, as with every solver.
        options={"maxiter": max_iter, "maxfun": math.inf, "ftol": 0, "gtol": 0},
    )
    return reason
