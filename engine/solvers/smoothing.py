"""Losses with a kink, for solvers that need a gradient without jumps: "lbfgs" and "lm".

The kink of absolute error and of quantiles is smoothed by a parabola (`width` in
equations/losses.py), which a solver minimises. Then the width is divided by ten, and so on, from
the mean cost at the start down to 1e-8 of it: the minimum that is left is that of the loss itself,
to about as many digits. The costs that are reported are those of the smoothed loss, which are above
those of the loss by a quarter of the width at most (half, for absolute error).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.equations.losses import WITH_KINK
from engine.solvers.solver import (
    Arrays,
    Budget,
    Confirmed,
    Evaluated,
    Minimisation,
    MinimisationBase,
    Problem,
    Progress,
)
from engine.solvers.state import (
    FAILURES,
    LOWEST,
    STAGES,
    STAGNANT,
    WIDTH,
    Settings,
    State,
    first_memory,
)
from engine.sums.objective import Objective

Start = Callable[[Problem, State, Settings], Minimisation]
N_STAGES, DIVISOR = 9, 10.0


def has_kink(problem: Problem) -> bool:
    """Whether the loss has a kink."""
    return problem.layers.loss.code in WITH_KINK


def widths_of(problem: Problem, start: State) -> dict[int, float]:
    """The width of each stage by the number of stages left, of a run of "lm" from `start`.

    Empty if the loss has no kink.
    """
    if not has_kink(problem):
        return {}
    width, left = first_width(problem, start)
    widths = {left: width}
    while left:
        width, left = width / DIVISOR, left - 1
        widths[left] = width
    return widths


def first_width(problem: Problem, start: State) -> tuple[float, int]:
    """The width that a run begins with, and the stages left after it."""
    if start.first.size > WIDTH and start.first[WIDTH] > 0:
        return float(start.first[WIDTH]), int(start.first[STAGES])
    backend, layers, samples, alpha, n_threads, *_ = problem
    cost = Objective(backend, layers, samples, alpha, n_threads).cost(start.theta)
    width = float(cost) / len(layers.loss.parameter)
    return (width if 0 < width < math.inf else 1.0), N_STAGES - 1


class Smoothed(MinimisationBase):
    """A solver under way on a smoothed loss (a `Minimisation`), width after width.

    Parameters
    ----------
    start : callable
        Starts the solver on a `Problem`.
    problem : Problem
    state : State
    settings : Settings
    """

    def __init__(self, start: Start, problem: Problem, state: State, settings: Settings) -> None:
        super().__init__(state, settings)
        self._start, self._problem = start, problem
        backend, layers, samples, alpha, n_threads, *_ = problem
        self._objective = Objective(backend, layers, samples, alpha, n_threads)
        self._keeps_stage = state.first.size > WIDTH  # "lm", which resumes by its state
        self._width, self._left = first_width(problem, state)
        self._evaluated: Evaluated | None = None
        self._iterations_before = 0  # of the stages that have ended
        self._solver = self._stage()

    def _stage(self) -> Minimisation:
        """The solver at the width of now."""
        if self._keeps_stage:
            self.state.first[WIDTH], self.state.first[STAGES] = self._width, self._left
        layers = self._problem.layers
        loss = layers.loss._replace(width=self._width)
        problem = self._problem._replace(layers=layers._replace(loss=loss), sums=None)
        left = self.settings.most_iterations - self._iterations_before
        solver = self._start(problem, self.state, self.settings._replace(most_iterations=left))
        if self._evaluated is not None:
            solver.replay(self._evaluated)
        return solver

    def _next_stage(self) -> None:
        """Go on with a tenth of the width."""
        self._solver.close()
        if not self._keeps_stage:
            self._iterations_before += self._solver.n_iter
        self._width, self._left = self._width / DIVISOR, self._left - 1
        counts, sums = self.state.counts, self.state.sums
        counts[FAILURES], counts[STAGNANT], sums[LOWEST] = 0, 0, math.inf
        if self._keeps_stage:
            self.state.first[:] = first_memory(self.settings, 0, np.float64)
        self._solver = self._stage()

    @property
    def stagnant(self) -> bool:
        return self._left == 0 and super().stagnant

    @property
    def n_iter(self) -> int:
        return self._iterations_before + self._solver.n_iter

    @property
    def n_steps(self) -> int:
        return self._iterations_before + self._solver.n_steps

    def advance(self, budget: Budget) -> Progress:
        """As the solver; the end of a stage is no end."""
        while True:
            if self._left > 0 and super().stagnant:
                self._next_stage()
            progress = self._counted(self._solver.advance(budget))
            if self._solver.ended is None:
                return progress
            if self._is_over():
                self._end()
                return progress
            self._next_stage()

    def drive(self, budget: Callable[[], Budget], stops: Callable[[Progress], bool]) -> None:
        """As the solver, stage by stage."""
        stopped = False

        def stage_stops(progress: Progress) -> bool:
            nonlocal stopped
            stopped = stops(self._counted(progress))
            return stopped or (self._left > 0 and super(Smoothed, self).stagnant)

        while True:
            self._solver.drive(budget, stage_stops)
            if stopped:
                return
            if self._solver.ended is not None and self._is_over():
                self._end()
                return
            self._next_stage()

    def _is_over(self) -> bool:
        """Whether no stage follows the one that has ended."""
        return self._left == 0 or self.n_iter >= self.settings.most_iterations

    def _end(self) -> None:
        """End as the last stage did; SciPy's result then is that of all stages."""
        self.ended, self.result = self._solver.ended, self._solver.result
        if self.result is not None:
            self.result.nit, self.result.fun = self.n_iter, self.cost_of(self.theta)
            if self._left > 0:
                self.result.success, self.result.status = False, 1
                self.result.message = "STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT"

    def _counted(self, progress: Progress) -> Progress:
        return progress._replace(n_steps=self.n_steps)

    def missed(self, n_iter: int) -> Progress:
        return self._counted(self._solver.missed(n_iter - self._iterations_before))

    def confirmed(self) -> Confirmed | None:
        found = self._solver.confirmed()
        return found and found._replace(n_iter=found.n_iter + self._iterations_before)

    def arrays(self) -> Arrays:
        return self._solver.arrays()

    def arrays_at_end(self) -> Arrays:
        return self._solver.arrays_at_end()

    def cost_of(self, theta: NDArray[Any]) -> float:
        """J of the loss itself."""
        return float(self._objective.cost(theta))

    def resume(self, last_finite: State) -> None:
        self._solver.resume(last_finite)

    def replay(self, evaluated: Evaluated) -> None:
        self._evaluated = evaluated
        self._solver.replay(evaluated)

    def close(self) -> None:
        self._solver.close()
