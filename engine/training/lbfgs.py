"""L-BFGS on all samples at once: SciPy's optimiser, our cost and gradient.

Limited-memory BFGS keeps the last ten pairs of steps and changes of the gradient, and a line search
tries one or more points a step (Byrd, Lu, Nocedal & Zhu 1995; Zhu et al. 1997, algorithm 778).
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.sums.objective import Objective
from engine.training.checkpoint import Keeper
from engine.training.evaluations import EvaluationLog
from engine.training.expected_arrays import Verifier
from engine.training.full_batch import keep
from engine.training.monitor import Monitor
from engine.training.scipy_lbfgs import minimise_by_scipy


class Evaluations:
    """The objective as SciPy wants it, in float64; it remembers the last point.

    With a log, what that holds is given again first, and what comes after is added.
    """

    def __init__(
        self, objective: Objective, dtype: Any, monitor: Monitor, log: EvaluationLog | None = None
    ) -> None:
        self._objective = objective
        self._dtype = dtype
        self._monitor = monitor
        self._log = log
        self._last: tuple[NDArray[Any], float, NDArray[Any]] | None = None

    def __call__(self, x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """J and dJ/dtheta at x."""
        _, cost, dtheta = self.at(x)
        return cost, dtheta.astype(np.float64)

    def at(self, x: NDArray[np.float64]) -> tuple[NDArray[Any], float, NDArray[Any]]:
        """x as theta, and J and dJ/dtheta there. Raises where J is not finite."""
        theta = x.astype(self._dtype)
        if self._last is None or not np.array_equal(self._last[0], theta):
            if self._log is None:
                self._last = theta, *self._evaluated(theta)
            else:
                self._last = theta, *self._log.evaluated(theta, self._evaluated)
        return self._last

    def _evaluated(self, theta: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        cost, dtheta = self._objective.cost_and_gradient(theta)
        step = 0 if self._last is None else self._monitor.n_iter + 1
        self._monitor.require_finite(theta, cost, step)
        return cost, dtheta


class Replayed(NamedTuple):
    """What a checkpoint says about the steps that are taken again.

    `theta` are the parameters after these steps; `best` is the iteration of the best parameters.
    """

    n_iter: int
    theta: NDArray[Any]
    best: int | None
    verifier: Verifier


def minimise_lbfgs(
    objective: Objective,
    theta: NDArray[Any],
    max_iter: int,
    monitor: Monitor,
    keeper: Keeper | None = None,
    log: EvaluationLog | None = None,
    replayed: Replayed | None = None,
) -> str:
    """Move theta, in place, by up to `max_iter` steps of L-BFGS; returns why it stopped.

    That is "converged" where the line search finds no lower cost: at a minimum, as far as the
    rounding of J lets one see. Each point tried is a pass over the data. `theta` are the initial
    parameters, also if a run is resumed: its steps are taken again, from the log, and compared with
    what the checkpoint says about them.
    """
    evaluations = Evaluations(objective, theta.dtype, monitor, log)
    reason = "converged"
    to_repeat, repeated = monitor.n_iter, 0  # steps that the monitor was told of before

    def verify(reached: NDArray[Any], cost: float, dtheta: NDArray[Any]) -> None:
        if replayed is None:
            return
        require = replayed.verifier.require
        if repeated < replayed.n_iter:
            monitor.verify_row(repeated, cost, dtheta, replayed.verifier)
        else:
            same = np.array_equal(reached, replayed.theta)
            require(same, "theta is not what its evaluations lead to")
        if repeated == replayed.best:
            assert monitor.best is not None
            same = np.array_equal(reached, monitor.best)
            require(same, "monitor.best is not what its evaluations lead to")

    def before_step(reached: NDArray[Any], cost: float, dtheta: NDArray[Any]) -> None:
        monitor.before_step(reached, cost, dtheta)
        if keeper is not None and log is not None and not log.replays:
            keep(keeper, monitor, evaluations=np.array([log.count]))

    def after_step(at: Any) -> bool:
        nonlocal reason, repeated
        reached, cost, dtheta = evaluations.at(at.x)
        theta[:] = reached
        if repeated < to_repeat:
            repeated += 1
            verify(reached, cost, dtheta)
            if repeated == to_repeat:
                if to_repeat == max_iter:  # its time was over at the same step
                    reason = "max_iter"
                    return True
                before_step(reached, cost, dtheta)
            return False
        stop = monitor.after_step(theta)
        if stop is None and monitor.n_iter == max_iter:
            stop = "max_iter"
        if stop is not None:
            reason = stop
            return True
        before_step(reached, cost, dtheta)
        return False

    start = theta.astype(np.float64)
    first = evaluations.at(start)
    verify(*first)
    if not to_repeat:
        before_step(*first)
    # When to stop is for the monitor to say, as with every solver.
    options = {"maxiter": max_iter, "maxfun": math.inf, "ftol": 0, "gtol": 0}
    minimise_by_scipy(evaluations, start, after_step, options)
    if replayed is not None:
        led = repeated == to_repeat
        replayed.verifier.require(led, "its evaluations do not lead to as many iterations")
    return reason
