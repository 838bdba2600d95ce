"""The watch of a run: it records the curves, keeps the best parameters, calls back, and stops.

`Watch` is what all runs share. Its subclasses say how an iteration is measured and reported:
`TrainingWatch` has the rules of `train`, and engine/estimators/watch.py has those of scikit-learn.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.solvers.solver import Arrays, Budget, Diverged, Minimisation, Progress
from engine.training.checkpoint_verifier import ANY, Expected, Verifier
from engine.training.result import DivergedError, History, Iteration

Callback = Callable[[Iteration], Any]

# Columns of the table: one row an iteration.
COST, NORM, SECONDS, VALIDATION, SCORE, N_COLUMNS = range(6)
# Of an `advance`: so often time limits and Ctrl-C are seen to, and progress is told.
SECONDS_OF_AN_ADVANCE = 0.05
CLOCK = 1e-6  # seconds by which rounding may put a time before the previous one


class Validation(NamedTuple):
    """Held-out data, as functions of theta.

    `score` is None unless a score decides when to stop: higher is better. With `loss_decides`, the
    loss itself does, as a score below 0.
    """

    loss: Callable[[NDArray[Any]], float]
    score: Callable[[NDArray[Any]], float] | None = None
    loss_decides: bool = False

    @property
    def decides(self) -> bool:
        """Whether a score decides when to stop."""
        return self.score is not None or self.loss_decides


class Mark(NamedTuple):
    """A snapshot of a watch, for a checkpoint; later iterations do not change it."""

    n_iter: int
    best_value: float
    best: NDArray[Any] | None


class Table:
    """A table that grows by one row an iteration."""

    def __init__(self) -> None:
        self._rows = np.empty((64, N_COLUMNS))
        self.count = 0

    @property
    def rows(self) -> NDArray[np.float64]:
        """The rows so far, a view."""
        return self._rows[: self.count]

    def room_for(self, n: int) -> NDArray[np.float64]:
        """The n rows after those so far, to be filled and then `added`: a view."""
        count = self.count + n
        if count > len(self._rows):
            grown = np.empty((2 * count, N_COLUMNS))
            grown[: self.count] = self.rows
            self._rows = grown
        return self._rows[self.count : count]

    def added(self, n: int) -> None:
        """Count n more rows, now that they are filled. If Ctrl-C came before, none is added."""
        self.count += n


class Watch(ABC):
    """Receives the progress of a run, and decides when it stops.

    Parameters
    ----------
    validation : Validation or None
    max_time : float
        Seconds after which no further step begins.
    best_value : float
        The lowest value of the earlier runs that this one continues.
    """

    def __init__(
        self, validation: Validation | None, max_time: float, best_value: float = math.inf
    ) -> None:
        self._validation = validation
        self._max_time = max_time
        self._begun = self._start = time.perf_counter()  # _start is earlier if a run is resumed
        self._table = Table()
        self._best: NDArray[Any] | None = None
        self._best_value = self._earlier_best = best_value

    # The rules.

    keeps_first = False  # whether the first parameters are kept, whatever their value

    @property
    @abstractmethod
    def judges(self) -> bool:
        """Whether validation data decide when to stop, and not the training cost."""

    @property
    @abstractmethod
    def wants_each_iteration(self) -> bool:
        """Whether the parameters are needed after each iteration."""

    @abstractmethod
    def _judge(self, progress: Progress, row: NDArray[np.float64]) -> float | None:
        """Evaluate the validation data, and write the results into `row`.

        Keeps the parameters if they are the best so far. Returns the value that is to become low;
        None unless `judges`.
        """

    @abstractmethod
    def place_of(self, progress: Progress) -> NDArray[Any]:
        """The parameters that the row of an iteration belongs to."""

    def rows_of(self, progress: Progress) -> NDArray[np.float64]:
        """Cost and norm of each iteration, as the curves have them."""
        return progress.rows

    @abstractmethod
    def _tell(self, progress: Progress, rows: NDArray[np.float64]) -> bool:
        """Report iterations to the user's callbacks; whether one of them asks to stop."""

    @abstractmethod
    def values(self) -> NDArray[np.float64]:
        """The value of each iteration, which is to become low; empty if no best is kept."""

    @abstractmethod
    def diverged(self, found: Diverged) -> Exception:
        """The error for a cost that is not finite."""

    # The run.

    @property
    def n_iter(self) -> int:
        """Recorded iterations."""
        return self._table.count

    @property
    def rows(self) -> NDArray[np.float64]:
        """The table (n_iter, N_COLUMNS), with the columns above; a view."""
        return self._table.rows

    @property
    def best(self) -> NDArray[Any] | None:
        """The parameters with the lowest value so far; None if none is kept."""
        return self._best

    @property
    def best_value(self) -> float:
        """The value of `best`."""
        return self._best_value

    @property
    def seconds_left(self) -> float:
        """Seconds until max_time, which counts from this call, also if the run is resumed."""
        return self._max_time - (time.perf_counter() - self._begun)

    @property
    def seconds_each(self) -> float | None:
        """Seconds of an iteration, on average; None before the first has ended."""
        return float(self.rows[-1, SECONDS]) / self.n_iter if self.n_iter else None

    def seconds_until(self, n_iter: float) -> float | None:
        """Seconds until so many iterations have ended, or max_time is over; None if unknown."""
        each = self.seconds_each
        if each is None:
            return None
        at_this_pace = each * n_iter - (time.perf_counter() - self._start)
        return max(0.0, min(at_this_pace, self.seconds_left))

    def put_off(self, seconds: float) -> None:
        """Leave so many seconds out of its times, in which the run has waited for others."""
        self._begun += seconds
        self._start += seconds

    def budget(self, iterations: int) -> Budget:
        """The budget of the next `advance`, with at most so many iterations."""
        seconds = min(SECONDS_OF_AN_ADVANCE, max(self.seconds_left, 0.0))
        return Budget(seconds, 1 if self.wants_each_iteration else iterations)

    def consider(self, solver: Minimisation, progress: Progress) -> str | None:
        """Record finished iterations; returns the reason to stop, or None.

        Their times were not measured: they are spread evenly from the last recorded one to now.
        """
        rows = self._new_rows(self.rows_of(progress))
        if len(rows):
            value = self._judge(progress, rows[-1])
            if value is not None:
                solver.observe(value)
        self._record(rows)
        if self._tell(progress, rows):
            return "callback"
        return "max_time" if self.seconds_left <= 0 else None

    def record(self, rows: NDArray[np.float64], reported: bool = False) -> None:
        """Record iterations as the run ends by an error or Ctrl-C, without calling back."""
        found = self._new_rows(rows)
        self._record(found)
        if reported:
            self._print(found)

    def _print(self, rows: NDArray[np.float64]) -> None:  # noqa: B027  # not all print
        """Print the latest rows, if that is wanted."""

    def catch_up(self, missed: Progress) -> None:
        """Record iterations that had ended, but were not yet recorded, when Ctrl-C came."""
        self.record(self.rows_of(missed) if len(missed.rows) else missed.rows)

    def _new_rows(self, costs_and_norms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows (n, N_COLUMNS) with these costs and norms (n, 2), and NaN for what is not known yet.

        They lie in the table already, and count once they are recorded.
        """
        rows = self._table.room_for(len(costs_and_norms))
        rows[:, : NORM + 1], rows[:, SECONDS:] = costs_and_norms, math.nan
        return rows

    def _record(self, rows: NDArray[np.float64]) -> None:
        """Record new rows: iterations that ended evenly between the last recorded one and now."""
        now = time.perf_counter() - self._start
        if len(rows) == 1:
            rows[0, SECONDS] = now
        elif len(rows):
            earlier = float(self.rows[-1, SECONDS]) if self.n_iter else 0.0
            share = np.arange(1, len(rows) + 1) / len(rows)
            rows[:, SECONDS] = earlier + (now - earlier) * share
        self._table.added(len(rows))

    def _keep_if_best(self, value: float, theta: NDArray[Any]) -> None:
        """Keep a copy of theta if its value is the lowest so far; NaN never is."""
        if value < self._best_value or (self.keeps_first and self._best is None):
            self._best_value, self._best = math.inf if math.isnan(value) else value, theta.copy()

    # Checkpoints.

    def mark(self) -> Mark:
        """A snapshot of it now."""
        return Mark(self.n_iter, self._best_value, self._best)

    def arrays_at(self, mark: Mark) -> Arrays:
        """The arrays of a snapshot, for a checkpoint."""
        return {
            "watch.rows": self.rows[: mark.n_iter].copy(),
            "watch.best_value": np.array([mark.best_value]),
            "watch.best": np.empty(0) if mark.best is None else mark.best,
        }

    def expected(self, n_iter: int, theta: NDArray[Any]) -> dict[str, Expected]:
        """What its arrays in a checkpoint must be after so many iterations."""
        return {
            "watch.rows": Expected(np.float64, (n_iter, N_COLUMNS), numbers=ANY),
            "watch.best_value": Expected(np.float64, (1,), numbers=ANY),
            "watch.best": Expected(theta.dtype, theta.shape, empty=True),
        }

    def resume(self, arrays: Arrays, verifier: Verifier) -> int | None:
        """Restore it from a checkpoint. Raises CheckpointError if the arrays are contradictory.

        Returns the iteration whose value is the best; None if no parameters are kept.
        """
        rows = arrays["watch.rows"]
        costs, norms, seconds, validation, scores = rows.T
        can_be = not np.isnan(costs).any() and not np.any(norms < 0)
        verifier.require(can_be, "watch.rows hold costs or norms that no step has")
        forward = np.isfinite(seconds).all() and np.all(seconds >= 0)
        forward = forward and np.all(np.diff(seconds) >= -CLOCK)
        verifier.require(forward, "watch.rows hold times that go back")
        for column, there in ((validation, self._validation is not None), (scores, self._scored)):
            none = np.isnan(column).all()
            verifier.require(there or none, "watch.rows hold results of absent validation data")
        self._table = Table()
        self._table.room_for(len(rows))[:] = rows
        self._table.added(len(rows))
        self._start -= seconds[-1] if len(rows) else 0.0
        at = self._iteration_of_best()
        self._best = arrays["watch.best"] if arrays["watch.best"].size else None
        verifier.require(
            float(arrays["watch.best_value"][0]) == self._best_value,
            "watch.best_value is not the lowest of watch.rows",
        )
        known = (at is None) == (self._best is None)
        verifier.require(known, "watch.best is not the best of watch.rows")
        if at is not None and self._validation is not None:
            assert self._best is not None
            kept, computed = float(validation[at]), self._validation.loss(self._best)
            verifier.require_result("watch.best's cost", kept, computed)
        return at

    @property
    def _scored(self) -> bool:
        """Whether a score decides when to stop."""
        return self._validation is not None and self._validation.decides

    def _iteration_of_best(self) -> int | None:
        """Derive the best iteration and its value from the rows."""
        self._best_value, found = self._earlier_best, None
        for number, value in enumerate(self.values().tolist()):
            if value < self._best_value or (self.keeps_first and found is None):
                self._best_value, found = math.inf if math.isnan(value) else value, number
        return found

    @property
    def decisive(self) -> NDArray[np.float64]:
        """The number of each iteration that the stopping rule applies to."""
        return self.values() if self.judges else self.rows[:, COST]

    def verify_row(self, n: int, progress: Progress, verifier: Verifier) -> None:
        """Raise CheckpointError unless a row has the cost and norm of its repeated iteration."""
        kept_cost, kept_norm = self.rows[n, : NORM + 1].tolist()
        cost, norm = self.rows_of(progress)[-1].tolist()
        verifier.require(kept_cost == cost, "watch.rows are not those of its evaluations")
        verifier.require_result("a gradient's norm", kept_norm, norm)

    def verify_latest(self, theta: NDArray[Any], verifier: Verifier) -> None:
        """Raise CheckpointError unless these can be the parameters after the latest iteration."""
        if self._validation is not None:
            kept = float(self.rows[-1, VALIDATION])
            verifier.require_result("the validation cost", kept, self._validation.loss(theta))


class TrainingWatch(Watch):
    """The rules of `train`.

    The mean cost of the validation data decides when to stop, and which parameters are best.
    Without validation data the training cost decides.

    Parameters
    ----------
    validation_cost : callable or None
        theta -> mean cost of the validation data.
    max_time : float
        Seconds after which no further step begins.
    callback : callable or None
        Called with each `Iteration`; if it returns True, the run stops.
    full_batch : bool
        Whether a row belongs to the parameters before a step, as if steps take all samples.
    advice : str
        What to do if the run diverges: a sentence for the error message.
    never_rises : bool
        Whether no step raises the cost, so that the last parameters are the best.
    """

    def __init__(
        self,
        validation_cost: Callable[[NDArray[Any]], float] | None,
        max_time: float,
        callback: Callback | None,
        full_batch: bool,
        advice: str,
        never_rises: bool = False,
    ) -> None:
        super().__init__(None if validation_cost is None else Validation(validation_cost), max_time)
        self._callback = callback
        self._full_batch = full_batch
        self._keeps_lowest = full_batch and not never_rises
        self._advice = advice

    keeps_first = True

    @property
    def judges(self) -> bool:
        return self._validation is not None

    @property
    def wants_each_iteration(self) -> bool:
        return self._keeps_lowest or self._callback is not None or self.judges

    def values(self) -> NDArray[np.float64]:
        if self._validation is not None:
            return self.rows[:, VALIDATION]
        return self.rows[:, COST] if self._keeps_lowest else np.empty(0)

    def place_of(self, progress: Progress) -> NDArray[Any]:
        return progress.theta if progress.before is None else progress.before

    def _judge(self, progress: Progress, row: NDArray[np.float64]) -> float | None:
        theta = self.place_of(progress)
        if self._validation is not None:
            row[VALIDATION] = value = self._validation.loss(theta)
            self._keep_if_best(value, theta)
            return value
        if self._keeps_lowest:
            self._keep_if_best(float(row[COST]), theta)
        return None

    def _tell(self, progress: Progress, rows: NDArray[np.float64]) -> bool:
        if not len(rows) or self._callback is None:
            return False
        cost, gradient_norm, seconds, validation_cost, _ = rows[-1].tolist()
        cost_after = math.nan if progress.cost is None else progress.cost
        view = progress.theta.view()
        view.setflags(write=False)
        answer = self._callback(
            Iteration(
                progress.n_steps,
                cost,
                cost_after,
                gradient_norm,
                validation_cost,
                seconds,
                view,
                self.n_iter,
            )
        )
        return isinstance(answer, bool | np.bool_) and bool(answer)

    def catch_up(self, missed: Progress) -> None:
        super().catch_up(missed)
        if (
            len(missed.rows)
            and missed.before is not None
            and self._keeps_lowest
            and not self.judges
        ):
            self._keep_if_best(float(missed.rows[-1, COST]), missed.before)

    def best_with(self, theta: NDArray[Any], cost: float) -> NDArray[Any]:
        """The best parameters, if `theta`, where the run ended, may also be the best."""
        if self._full_batch:
            at_end = cost if self._validation is None else self._validation.loss(theta)
            if self._best is None or at_end < self._best_value:
                return theta
        return theta if self._best is None else self._best

    @property
    def history(self) -> History:
        """The columns of `TrainResult.history`."""
        names = ("cost", "gradient_norm", "seconds", "validation_cost")
        rows = self.rows
        columns = {name: rows[:, c].copy() for c, name in enumerate(names)}
        if self._validation is None:
            columns["validation_cost"] = np.empty(0)
        return columns

    def diverged(self, found: Diverged) -> DivergedError | ValueError:
        if found.step == 0:
            return ValueError(
                found.why
                or f"The cost of the initial parameters is {found.cost}: scale X and Y (mean 0, "
                "variance 1 for each row), or pass smaller initial parameters."
            )
        where = f"step {found.step}"
        if not self._full_batch:
            where += f", in epoch {found.epoch},"
        what = found.why or (
            f"The cost stopped being finite at {where} ({found.cost}). {self._advice}"
        )
        return DivergedError(
            f"{what} The last parameters with a finite cost are in this error's .theta.",
            found.theta,
            epoch=found.epoch,
            step=found.step,
            history=self.history,
        )
