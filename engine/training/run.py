"""The one loop: advance the solver, let the watch consider its progress, let the keeper save it.

`train`, the estimators and fits on Dask use it. To train many networks at once, advance each run in
turn: one call of `Run.advance` takes about 50 ms.
"""

import math
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from numpy.typing import NDArray

from engine.solvers.smoothing import widths_of
from engine.solvers.solver import Arrays, Budget, Diverged, Minimisation, Problem, Progress, Solver
from engine.solvers.state import Settings, State
from engine.training.checkpoint import Keeper, found_by
from engine.training.checkpoint_files import CheckpointError
from engine.training.checkpoint_restoration import replayed, restored_descent, verify_best
from engine.training.checkpoint_verifier import Expected
from engine.training.watch import Mark, Watch

SomeWatch = TypeVar("SomeWatch", bound=Watch)
SomeResult = TypeVar("SomeResult")


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
        self.interrupted = False  # set by another thread, for which Ctrl-C came
        self._mark: Mark | None = None  # where the watch stood when the latest `advance` began

    def to_its_end(self) -> str:
        """Advance until it stops; returns why."""
        reason = self._reason_before()

        def stops(progress: Progress) -> bool:
            nonlocal reason
            reason = self._after(progress)
            return reason is not None

        try:
            if reason is None:
                self._guarded(lambda: self.solver.drive(self._budget, stops))
                reason = reason or self.solver.ended
        except KeyboardInterrupt:  # it may come between an iteration and its record
            self.catch_up()
            raise
        finally:
            self.solver.close()
        assert reason is not None
        return reason

    @property
    def is_saved(self) -> bool:
        """Whether a checkpoint keeps it."""
        return self._keeper is not None

    def next_budget(self) -> Budget | str:
        """The budget of the next `advance`; or why there can be none.

        For whoever advances the solver of this run beside others: `took` takes what it did.
        """
        return self._reason_before() or self._budget()

    def took(self, progress: Progress | Diverged) -> str | None:
        """Record what an `advance` did; the reason to stop, or None.

        Raises the watch's error if the cost was not finite.
        """
        if isinstance(progress, Diverged):
            raise self._error(progress) from None
        return self.solver.ended or self._after(progress)

    def catch_up(self) -> None:
        """Record what the solver has done, as Ctrl-C came before it was recorded."""
        self.watch.catch_up(self.solver.missed(self.watch.n_iter))

    def advance(self) -> str | None:
        """Advance the solver once; returns the reason to stop, or None.

        Raises the watch's error if the cost stops being finite.
        """
        if (reason := self._reason_before()) is not None:
            return reason
        progress = self._guarded(lambda: self.solver.advance(self._budget()))
        return self.solver.ended or self._after(progress)

    def _guarded(self, act: Callable[[], SomeResult]) -> SomeResult:
        """Let the solver act. However that ends, the keeper is passed where it began."""
        self._mark = self._marked()
        try:
            return act()
        except Diverged as found:
            raise self._error(found) from None
        finally:
            self._keep()

    def _after(self, progress: Progress) -> str | None:
        """Save where an `advance` began, and record what it did; the reason to stop, or None.

        Raises KeyboardInterrupt if the run was interrupted, when all that is done.
        """
        self._keep()
        self.cost = None  # until the watch knows all
        reason = self.watch.consider(self.solver, progress)
        self.cost = progress.cost
        if reason in (None, "max_time"):
            reason = self._reason_before() or reason
        self._mark = self._marked()
        if self.cost is not None:  # so the state now is known to be finite, too
            self._keep()
        if self.interrupted and reason is None:
            raise KeyboardInterrupt
        return reason

    def _reason_before(self) -> str | None:
        """Why no further step may begin, or None."""
        if self.solver.stagnant:  # also if max_time was over at the same iteration
            return "tol"
        return "max_iter" if self.solver.n_iter >= self._max_iter else None

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

    def _budget(self) -> Budget:
        """For the next `advance`: no more iterations than are left, and than a checkpoint waits."""
        left = self._max_iter - self.solver.n_iter
        every = None if self._keeper is None else self._keeper.every_epochs
        most = left if every is None else min(left, every)
        return self.watch.budget(1 if math.isinf(most) else int(most))

    def _marked(self) -> Mark | None:
        """Where the watch is, if a keeper wants to know."""
        return None if self._keeper is None else self.watch.mark()

    def _keep(self) -> None:
        """Pass the keeper the arrays of where the latest `advance` began, once.

        If Ctrl-C came before the solver has taken note of that, they are of an earlier place.
        """
        mark, self._mark = self._mark, None
        if self._keeper is None or mark is None:
            return
        confirmed = self.solver.confirmed()
        if confirmed is not None and confirmed.n_iter == mark.n_iter:
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
    if settings.evidence and watch.judges:
        raise ValueError(
            "alpha='evidence' finds the penalty for the parameters at the end, and validation data "
            "choose others. Pass no validation data (and early_stopping=False), or a number as "
            "alpha."
        )
    if settings.judged != watch.judges:
        settings = settings._replace(judged=int(watch.judges))
    if keeper is not None and solver.resumes_by is None:
        raise CheckpointError(
            f"solver={solver.name!r} cannot resume a run. Nothing was trained; pass "
            "checkpoint=None."
        )
    if keeper is not None and solver.resumes_by == "evaluations":
        minimisation = solver.start(problem, state, settings)
        try:
            found = replayed(keeper, minimisation, state, settings, watch, result, over)
        except BaseException:
            minimisation.close()
            raise
        return Begun(minimisation, found)
    if keeper is None or found_by(keeper) is None:
        return Begun(solver.start(problem, state, settings), None)
    widths = widths_of(problem, state) if solver.smooths_kinks else {}
    restored = restored_descent(keeper, state, settings, watch, problem.samples, result, widths)
    minimisation = solver.start(problem, restored.state, settings)
    if settings.full_batch and watch.best is not None and not watch.judges:
        verify_best(keeper.verifier, watch, minimisation)
    if restored.last_finite is not None:
        minimisation.resume(restored.last_finite)
    return Begun(minimisation, restored.arrays)
