"""The one loop: advance the solver, let the watch consider its progress, let the keeper save it.

`train`, the estimators and fits on Dask use it. To train many networks at once, advance each run in
turn: one call of `Run.advance` takes about 50 ms.
"""

import math
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from numpy.typing import NDArray

from engine.solvers.solver import Arrays, Diverged, Minimisation, Problem, Progress, Solver
from engine.solvers.state import Settings, State
from engine.training.checkpoint import Keeper, found_by
from engine.training.checkpoint_files import CheckpointError
from engine.training.checkpoint_restoration import replayed, restored_descent, verify_best
from engine.training.checkpoint_verifier import Expected
from engine.training.watch import Mark, Watch

SomeWatch = TypeVar("SomeWatch", bound=Watch)


class Run(Generic[SomeWatch]):
    """A training run.

    Parameters
    ----------
    solver : Minimisation
    watch : Watch
    keeper : Keeper or None
        Of the checkpoint. Solver and watch have already taken over what it has found.
    max_iter : float
        The most iterations.
    """

    def __init__(
        self, solver: Minimisation, watch: SomeWatch, keeper: Keeper | None, max_iter: float
    ) -> None:
        self.solver = solver
        self.watch = watch
        self._keeper = keeper
        self._max_iter = max_iter
        self.cost: float | None = None  # J at the solver's parameters, if it knows it

    def to_its_end(self) -> str:
        """Advance until it stops; returns why."""
        try:
            drive = getattr(self.solver, "drive", None)
            if drive is not None and not getattr(self.solver, "begun", False):
                return self._driven(drive)
            while (reason := self.advance()) is None:
                pass
        except KeyboardInterrupt:  # it may come between an iteration and its record
            self.watch.catch_up(self.solver.missed(self.watch.n_iter))
            raise
        finally:
            self.solver.close()
        return reason

    def advance(self) -> str | None:
        """Advance the solver once; returns the reason to stop, or None.

        Raises the watch's error if the cost stops being finite.
        """
        solver, watch = self.solver, self.watch
        if (reason := self._reason_before()) is not None:
            return reason
        mark = watch.mark()
        try:
            progress = solver.advance(watch.budget(self._most_iterations()))
        except Diverged as found:
            raise self._error(found) from None
        finally:
            self._keep(mark)
        if solver.ended is not None:
            return solver.ended
        return self._considered(progress)

    def _driven(self, drive: Callable[[Callable[[Progress], bool]], None]) -> str:
        """Run to the end a solver that has its own loop and calls back."""
        solver, watch = self.solver, self.watch
        reason = self._reason_before()
        if reason is not None:
            return reason
        mark = watch.mark()

        def between(progress: Progress) -> bool:
            nonlocal reason, mark
            self._keep(mark)
            reason = self._considered(progress) or self._reason_before()
            mark = watch.mark()
            return reason is not None

        try:
            drive(between)
        except Diverged as found:
            raise self._error(found) from None
        finally:
            if reason is None:
                self._keep(mark)
        return reason or solver.ended or "converged"

    def _reason_before(self) -> str | None:
        """Why no further step may begin, or None."""
        if self.solver.stagnant:  # also if max_time was over at the same iteration
            return "tol"
        return "max_iter" if self.solver.n_iter >= self._max_iter else None

    def _considered(self, progress: Progress) -> str | None:
        """The watch's reason to stop, or None."""
        reason = self.watch.consider(self.solver, progress)
        self.cost = progress.cost
        return reason

    def _error(self, found: Diverged) -> Exception:
        """Record the last iterations; returns the watch's error for a cost that is not finite."""
        self.watch.record(found.rows, reported=True)
        return self.watch.diverged(found)

    def cost_of(self, theta: NDArray[Any]) -> float:
        """J at the parameters to return. Raises the watch's error if it is not finite."""
        try:
            return self.solver.cost_of(theta)
        except Diverged as found:
            raise self._error(found) from None

    def _most_iterations(self) -> int:
        """Iterations after which an `advance` must end."""
        left = self._max_iter - self.solver.n_iter
        every = None if self._keeper is None else self._keeper.every_epochs
        most = left if every is None else min(left, every)
        return 1 if math.isinf(most) else int(most)

    def _keep(self, mark: Mark) -> None:
        """Pass the keeper the arrays of where the latest `advance` began.

        If Ctrl-C came before the solver has taken note of that, they are of an earlier place.
        """
        if self._keeper is None or (confirmed := self.solver.confirmed()) is None:
            return
        if confirmed.n_iter == mark.n_iter:
            watch, arrays = self.watch, confirmed.arrays
            self._keeper.reached(mark.n_iter, lambda: {**arrays(), **watch.arrays_at(mark)})

    def keep_end(self, stopped: str, result: Arrays) -> None:
        """Save the end of the run, and its result."""
        if self._keeper is not None:
            solver, watch, mark = self.solver, self.watch, self.watch.mark()
            self._keeper.ended(
                solver.n_iter,
                stopped,
                lambda: {**solver.arrays_at_end(), **watch.arrays_at(mark), **result},
            )


class Begun(NamedTuple):
    """A started solver, and the arrays of the checkpoint that it resumes from, or None."""

    solver: Minimisation
    found: Arrays | None


def begin(
    solver: Solver,
    problem: Problem,
    state: State,
    settings: Settings,
    watch: Watch,
    keeper: Keeper | None = None,
    result: dict[str, Expected] | None = None,
    over: bool = False,
) -> Begun:
    """Start a solver, or resume it from the checkpoint that the keeper has found.

    `result` names the arrays that such a run saves at its end. If the run is `over`, only its
    result is wanted. Raises CheckpointError if the run cannot have written the checkpoint.
    """
    result = result or {}
    if keeper is not None and solver.resumes_by is None:
        raise CheckpointError(
            f"solver={solver.name!r} cannot resume a run. Nothing was trained; pass "
            "checkpoint=None."
        )
    if keeper is not None and solver.resumes_by == "evaluations":
        minimisation = solver.start(problem, state, settings)
        found = replayed(keeper, minimisation, state, settings, watch, result, over)
        return Begun(minimisation, found)
    if keeper is None or found_by(keeper) is None:
        return Begun(solver.start(problem, state, settings), None)
    restored = restored_descent(keeper, state, settings, watch, problem.samples, result)
    minimisation = solver.start(problem, restored.state, settings)
    if settings.full_batch and watch.best is not None and not watch.judges:
        verify_best(keeper.verifier, watch, minimisation)
    if restored.last_finite is not None:
        minimisation.last_finite = restored.last_finite  # type: ignore[attr-defined]
    return Begun(minimisation, restored.arrays)
