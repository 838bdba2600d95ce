"""What watches over a training run: its history, its best parameters, and when to stop."""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.training.expected_arrays import ANY, Expected, Verifier
from engine.training.result import DivergedError, History, Iteration

Callback = Callable[[Iteration], Any]

CLOCK = 1e-6  # seconds: rounding may make a time earlier than the one before by so much


class Stagnation:
    """True once a cost has failed to improve by `tol` for `patience` iterations running.

    An iteration improves if its cost is below the lowest before it by at least `tol`
    (as scikit-learn counts, which allows one failure more). tol = 0 never stops.
    """

    def __init__(self, tol: float, patience: int) -> None:
        self._tol = tol
        self._patience = patience
        self._lowest = math.inf
        self._failures = 0

    @property
    def counted(self) -> tuple[float, int]:
        """The lowest cost so far, and the failures since."""
        return self._lowest, self._failures

    @property
    def stops(self) -> bool:
        """The answer of the last call."""
        return self._tol > 0 and self._failures >= self._patience

    def __call__(self, cost: float) -> bool:
        improved = cost <= self._lowest - self._tol and cost < math.inf  # a NaN has not
        self._failures = 0 if improved else self._failures + 1
        if cost < self._lowest:
            self._lowest = cost
        return self.stops


def _without_nan(costs: NDArray[Any]) -> NDArray[Any]:
    """Costs for comparisons: a NaN counts as infinite, so it is never the best."""
    return np.where(np.isnan(costs), math.inf, costs)


def euclidean_norm(vector: NDArray[Any]) -> float:
    """sqrt(sum_p v_p^2) in float64, without overflow on the way.

    Not np.linalg.norm: it goes through BLAS, which may change its bits with its threads.
    """
    largest = float(np.max(np.abs(vector)))
    if not 0 < largest < math.inf:
        return largest  # 0, inf or NaN
    return largest * math.sqrt(np.sum(np.square(vector.astype(np.float64) / largest)))


class Rows:
    """A table that grows, one row an iteration: cost, gradient's norm, seconds, validation cost."""

    def __init__(self) -> None:
        self._table = np.empty((64, 4))
        self.count = 0

    @property
    def table(self) -> NDArray[np.float64]:
        """The rows so far, a view."""
        return self._table[: self.count]

    def append(self, rows: ArrayLike) -> None:
        """Rows (n, 4) more. Ctrl-C in the middle adds none."""
        added = np.asarray(rows, dtype=np.float64)
        count = self.count + len(added)
        if count > len(self._table):
            grown = np.empty((2 * count, 4))
            grown[: self.count] = self.table
            self._table = grown
        self._table[self.count : count] = added
        self.count = count


class Mark(NamedTuple):
    """Where a monitor stands; nothing in it changes later."""

    n_iter: int
    best: tuple[float, NDArray[Any]] | None
    stagnation: tuple[float, int]


class Monitor:
    """Called before and after each step of a training run.

    Parameters
    ----------
    validation_cost : callable or None
        theta -> mean cost of the validation data. Where given, it is this cost that decides on
        stagnation and on which parameters are best; else the training cost does.
    stagnation : Stagnation
    max_time : float
        Seconds after which no further step begins.
    callback : callable or None
        Is told of each `Iteration`; returning True stops the run.
    advice : str
        What to do about a run that diverges, a sentence for its message.
    """

    def __init__(
        self,
        validation_cost: Callable[[NDArray[Any]], float] | None,
        stagnation: Stagnation,
        max_time: float,
        callback: Callback | None,
        advice: str,
    ) -> None:
        self._validation_cost = validation_cost
        self._stagnation = stagnation
        self._max_time = max_time
        self._callback = callback
        self._begun = self._start = time.perf_counter()  # the latter earlier, for a run resumed
        self._rows = Rows()
        self._costs_before_step = (math.nan, math.nan, math.nan)
        self._last_finite: NDArray[Any] | None = None
        self._best: tuple[float, NDArray[Any]] | None = None
        self._advice = advice

    @property
    def best(self) -> NDArray[Any] | None:
        """The parameters with the lowest cost so far; None before the first."""
        return None if self._best is None else self._best[1]

    @property
    def n_iter(self) -> int:
        """Steps taken."""
        return self._rows.count

    @property
    def history(self) -> History:
        """The columns of `TrainResult.history`."""
        table = self._rows.table
        names = ("cost", "gradient_norm", "seconds", "validation_cost")
        columns = {name: table[:, c].copy() for c, name in enumerate(names)}
        if self._validation_cost is None:
            columns["validation_cost"] = np.empty(0)
        return columns

    @property
    def last_finite(self) -> NDArray[Any]:
        """The latest full-batch parameters whose cost was finite: not to be written to."""
        assert self._last_finite is not None
        return self._last_finite

    def mark(self) -> Mark:
        """Where it stands now."""
        return Mark(self.n_iter, self._best, self._stagnation.counted)

    def arrays_at(self, mark: Mark) -> dict[str, NDArray[Any]]:
        """What it knew then, as a checkpoint holds it."""
        cost, best = (math.nan, np.empty(0)) if mark.best is None else mark.best
        return {
            "monitor.rows": self._rows.table[: mark.n_iter].copy(),
            "monitor.best": best,
            "monitor.numbers": np.array([cost, *mark.stagnation]),
        }

    def expected(self, n_iter: int, theta: NDArray[Any]) -> dict[str, Expected]:
        """The arrays of a checkpoint of minibatch descent, after so many epochs."""
        return self._expected(n_iter, theta, self.validates and n_iter > 0)

    def expected_of_full_batch(self, n_iter: int, theta: NDArray[Any]) -> dict[str, Expected]:
        """The same for the solvers that take all samples at once."""
        return self._expected(n_iter, theta, True)

    def _expected(self, n_iter: int, theta: NDArray[Any], best: bool) -> dict[str, Expected]:
        return {
            "monitor.rows": Expected(np.float64, (n_iter, 4), numbers=ANY),
            "monitor.best": Expected(*((theta.dtype, theta.shape) if best else (np.float64, (0,)))),
            "monitor.numbers": Expected(np.float64, (3,), numbers=ANY),
        }

    def go_on_from(self, arrays: dict[str, NDArray[Any]], verifier: Verifier) -> None:
        """Take back what a checkpoint of minibatch descent holds, if that can be."""
        rows, best = self._go_on_from_rows(arrays, verifier), arrays["monitor.best"]
        cost, *stagnation = arrays["monitor.numbers"].tolist()
        verifier.require(stagnation == [math.inf, 0], "monitor.numbers are not those of a descent")
        if not best.size:
            verifier.require(math.isnan(cost), "monitor.numbers name a best that is not there")
            return
        lowest = _without_nan(rows[:, 3]).min()
        verifier.require(cost == lowest, "monitor.numbers are not the lowest of monitor.rows")
        self._best = cost, best
        self.verify_best(verifier)

    def go_on_from_full_batch(
        self,
        arrays: dict[str, NDArray[Any]],
        start: NDArray[Any],
        stopped: str | None,
        verifier: Verifier,
    ) -> int | None:
        """The same for a checkpoint of a solver that takes all samples at once.

        Returns the iteration of the best parameters; None if they are the latest ones, whose cost
        is computed again before their step.
        """
        rows, best = self._go_on_from_rows(arrays, verifier), arrays["monitor.best"]
        cost, *kept = arrays["monitor.numbers"].tolist()
        watched = rows[:, 3 if self.validates else 0]
        # A callback that stops a run is asked before its last row is watched.
        for one in watched[: len(rows) - (stopped == "callback")].tolist():
            verifier.require(not self.stagnant, "its run went on after it had ended")
            self._stagnation(one)
        if stopped != "callback":
            can_be = self.stagnant == (stopped == "tol")
            verifier.require(can_be, f"the run cannot have ended by {stopped!r} there")
        known = list(self._stagnation.counted)
        verifier.require(kept == known, "monitor.numbers are not those of monitor.rows")
        costs = _without_nan(watched)
        if len(rows) and cost == costs.min():
            iteration = int(costs.argmin())
            begun = iteration > 0 or np.array_equal(best, start)
            verifier.require(begun, "monitor.best is not where its run began")
            self._best = cost, best
            return iteration
        is_latest = np.array_equal(best, arrays["theta"])
        lower = not len(rows) or cost < costs.min()
        verifier.require(is_latest and lower, "monitor.best is not the best of monitor.rows")
        return None

    def verify_best(self, verifier: Verifier) -> None:
        """Raise CheckpointError unless the best parameters have their validation cost."""
        if self._validation_cost is not None and self._best is not None:
            cost, best = self._best
            computed = _without_nan(np.array([self._validation_cost(best)]))[0]
            verifier.require_result("monitor.best's cost", cost, float(computed))

    @property
    def stagnant(self) -> bool:
        """Whether the costs of a full-batch run have stopped improving."""
        return self._stagnation.stops

    def _go_on_from_rows(
        self, arrays: dict[str, NDArray[Any]], verifier: Verifier
    ) -> NDArray[np.float64]:
        rows: NDArray[np.float64] = arrays["monitor.rows"]
        costs, norms, seconds, validation_costs = rows.T
        can_be = not np.isnan(costs).any() and not np.any(norms < 0)
        verifier.require(can_be, "monitor.rows hold costs or norms that no step has")
        goes_on = np.isfinite(seconds).all() and np.all(seconds >= 0)
        goes_on = goes_on and np.all(np.diff(seconds) >= -CLOCK)
        verifier.require(goes_on, "monitor.rows hold times that go back")
        validated = self.validates or np.isnan(validation_costs).all()
        verifier.require(validated, "monitor.rows hold costs of validation data that are not there")
        self._rows = Rows()
        self._rows.append(rows)
        self._start -= seconds[-1] if len(rows) else 0.0
        return rows

    @property
    def watched(self) -> list[float]:
        """The costs that decide on stagnation."""
        costs: list[float] = self._rows.table[:, 3 if self.validates else 0].tolist()
        return costs

    def verify(self, theta: NDArray[Any], verifier: Verifier) -> None:
        """Raise CheckpointError unless these can be the parameters after the latest epoch."""
        if self._validation_cost is not None:
            kept = float(self._rows.table[-1, 3])
            verifier.require_result("state.theta's cost", kept, self._validation_cost(theta))

    def verify_row(self, n: int, cost: float, dtheta: NDArray[Any], verifier: Verifier) -> None:
        """Raise CheckpointError unless a row has this cost and this gradient's norm."""
        kept_cost, kept_norm = self._rows.table[n, :2].tolist()
        verifier.require(kept_cost == cost, "monitor.rows are not those of its evaluations")
        verifier.require_result("a gradient's norm", kept_norm, euclidean_norm(dtheta))

    def before_step(self, theta: NDArray[Any], cost: float, dtheta: NDArray[Any]) -> None:
        """Take note of theta and its cost. Raises DivergedError if that is not finite."""
        validation_cost = self._consider(theta, cost)
        self._costs_before_step = (cost, euclidean_norm(dtheta), validation_cost)

    def after_step(self, theta: NDArray[Any]) -> str | None:
        """Record the step; the reason to stop, or None."""
        cost, gradient_norm, validation_cost = self._costs_before_step
        now = time.perf_counter()
        seconds = now - self._start
        self._rows.append([(cost, gradient_norm, seconds, validation_cost)])
        if self._callback is not None:
            view = theta.view()
            view.flags.writeable = False
            told = Iteration(
                self.n_iter, cost, gradient_norm, validation_cost, seconds, view, self.n_iter
            )
            answer = self._callback(told)
            if isinstance(answer, bool | np.bool_) and answer:
                return "callback"
        if self._stagnation(cost if self._validation_cost is None else validation_cost):
            return "tol"
        return "max_time" if now - self._begun >= self._max_time else None

    @property
    def validates(self) -> bool:
        """Whether there are validation data."""
        return self._validation_cost is not None

    @property
    def wants_each_epoch(self) -> bool:
        """Whether somebody looks at the parameters after each epoch."""
        return self.validates or self._callback is not None

    @property
    def seconds_left(self) -> float:
        """Until max_time, which counts from the call: a run resumed has all of it again."""
        return self._max_time - (time.perf_counter() - self._begun)

    def validate(self, theta: NDArray[Any]) -> float:
        """The validation cost of theta, which is kept if it is the best."""
        assert self._validation_cost is not None
        validation_cost = self._validation_cost(theta)
        watched = math.inf if math.isnan(validation_cost) else validation_cost
        if self._best is None or watched < self._best[0]:
            self._best = (watched, theta.copy())
        return validation_cost

    def record(
        self, epochs: NDArray[np.float64], validation_cost: float, theta: NDArray[Any], step: int
    ) -> str | None:
        """Take note of epochs that ended, rows of cost and norm; the reason to stop, or None.

        Their ends lie evenly between now and the end of the epoch before: nobody looked at a clock.
        """
        now = time.perf_counter()
        earlier = float(self._rows.table[-1, 2]) if self._rows.count else 0.0
        share = np.arange(1, len(epochs) + 1) / max(len(epochs), 1)
        rows = np.full((len(epochs), 4), validation_cost)
        rows[:, :2] = epochs
        rows[:, 2] = earlier + (now - self._start - earlier) * share
        self._rows.append(rows)
        if len(epochs) and self._callback is not None:
            cost, gradient_norm, seconds, _ = rows[-1].tolist()
            view = theta.view()
            view.flags.writeable = False
            told = Iteration(step, cost, gradient_norm, validation_cost, seconds, view, self.n_iter)
            answer = self._callback(told)
            if isinstance(answer, bool | np.bool_) and answer:
                return "callback"
        return "max_time" if now - self._begun >= self._max_time else None

    @property
    def n_recorded(self) -> int:
        """Epochs in the history."""
        return self._rows.count

    def record_late(self, epochs: NDArray[np.float64]) -> None:
        """Take note of epochs that ended when Ctrl-C came, without telling anybody."""
        now = time.perf_counter() - self._start
        rows = np.full((len(epochs), 4), math.nan)
        rows[:, :2], rows[:, 2] = epochs, now
        self._rows.append(rows)

    def diverged(
        self, cost: float, theta: NDArray[Any], epoch: int, step: int, where: str | None = None
    ) -> DivergedError | ValueError:
        """The error for a cost that is not finite after so many steps; theta is before the last."""
        if step == 0:
            return ValueError(
                f"The cost of the initial parameters is {cost}: scale X and Y (mean 0, variance 1 "
                "for each row), or pass smaller initial parameters."
            )
        where = where or f"step {step}, in epoch {epoch},"
        return DivergedError(
            f"The cost stopped being finite at {where} ({cost}). {self._advice} The last "
            "parameters with a finite cost are in this error's .theta.",
            theta.copy(),
            epoch=epoch,
            step=step,
            history=self.history,
        )

    def after_last_step(self, theta: NDArray[Any], cost: float) -> None:
        """Take note of where the run ended. Raises DivergedError if the cost is not finite."""
        self._consider(theta, cost)

    def _consider(self, theta: NDArray[Any], cost: float) -> float:
        """Keep theta, and keep it as the best if it is; its validation cost, or NaN.

        Raises DivergedError if the cost is not finite.
        """
        self.require_finite(theta, cost, self.n_iter)
        self._last_finite = theta.copy()
        if self._validation_cost is None:
            watched, validation_cost = cost, math.nan
        else:
            watched = validation_cost = self._validation_cost(theta)
        if math.isnan(watched):
            watched = math.inf
        if self._best is None or watched < self._best[0]:
            self._best = (watched, self._last_finite)
        return validation_cost

    def require_finite(self, theta: NDArray[Any], cost: float, step: int) -> None:
        """Raise unless the cost of full-batch step number `step`, 0 for none yet, is finite.

        The error holds the last parameters with a finite cost, or is about the initial `theta`.
        """
        if math.isfinite(cost):
            return
        earlier = theta if self._last_finite is None else self._last_finite
        raise self.diverged(cost, earlier, step, step, where=f"step {step}")
