"""The common part of solvers that take all samples in each step, and so need no order of them."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.solvers.solver import Arrays, Confirmed, Diverged, MinimisationBase, Problem, Progress
from engine.solvers.state import Settings, State
from engine.sums.objective import Objective


class FullBatch(MinimisationBase):
    """A `Minimisation` without its `advance` and `arrays`.

    Parameters
    ----------
    problem : Problem
    state : State
        Its theta is where the run begins; its counts serve the stopping rule. Changed in place.
    settings : Settings

    Attributes
    ----------
    objective : Objective
        J and its gradient, as functions of theta.
    n_iter : int
        Iterations that `advance` has counted.
    ended : str or None
    """

    def __init__(self, problem: Problem, state: State, settings: Settings) -> None:
        super().__init__(state, settings)
        self.objective = Objective(
            problem.backend,
            problem.layers,
            problem.samples,
            problem.alpha,
            problem.n_threads,
            sums=problem.sums,
        )
        self.n_iter = 0
        self._latest: Progress | None = None  # what the latest iteration has done

    @property
    def n_steps(self) -> int:
        return self.n_iter

    def missed(self, n_iter: int) -> Progress:
        """The latest iteration, if it comes after the first `n_iter`."""
        if self._latest is not None and self.n_iter > n_iter:
            return self._latest
        return Progress(np.zeros((0, 2)), self.theta, self.n_iter)

    def confirmed(self) -> Confirmed | None:
        """None, unless a solver overrides it."""
        return None

    def arrays(self) -> Arrays:
        """Its parameters."""
        return {"theta": self.theta}

    def arrays_at_end(self) -> Arrays:
        """The same."""
        return self.arrays()

    def cost_of(self, theta: NDArray[Any]) -> float:
        """J at the parameters to return. Raises Diverged if it is not finite."""
        cost = self.objective.cost(theta)
        if not math.isfinite(cost):
            raise Diverged(cost, self.last_finite_theta().copy(), self.n_iter, self.n_iter)
        return cost

    def last_finite_theta(self) -> NDArray[Any]:
        """The latest parameters whose cost is known to be finite; else the initial ones."""
        return self.theta

    def close(self) -> None:
        """Nothing to release."""
