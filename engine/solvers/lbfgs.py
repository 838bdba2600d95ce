"""L-BFGS on all samples at once: SciPy's optimiser, our cost and gradient.

Limited-memory BFGS keeps the last ten pairs of steps and changes of the gradient, and a line search
tries one or more points a step (Byrd, Lu, Nocedal & Zhu 1995; Zhu et al. 1997, algorithm 778).

SciPy runs its own loop, but a run here is advanced from outside. So SciPy's loop has a thread of
its own, which waits while the caller evaluates a point: only one of the two works at a time. If a
run is not advanced in turns with others, SciPy's loop runs in the caller's thread, which is faster.
"""

import _thread
import math
import os
import weakref
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from engine.solvers.full_batch import FullBatch
from engine.solvers.solver import (
    Arrays,
    Budget,
    Confirmed,
    Diverged,
    Evaluated,
    Problem,
    Progress,
)
from engine.solvers.state import Settings, State, euclidean_norm
from engine.sums.blas import hold_blas, limit_own_thread
from engine.system.free_memory import THREAD_BYTES, can_map

CLOSED = "this run was closed: begin another one"
CHECK_SECONDS = 1.0  # between looks whether SciPy's thread still runs


class LBFGS(FullBatch):
    """L-BFGS under way (a `Minimisation`): an iteration in each `advance`.

    Attributes
    ----------
    ended : str or None
        "converged" once SciPy's loop has ended: its line search finds no lower cost, or one of
        SciPy's own limits was reached.
    result : OptimizeResult or None
        SciPy's result, once its loop has ended.
    n_evaluations : int
    """

    def __init__(self, problem: Problem, state: State, settings: Settings) -> None:
        super().__init__(problem, state, settings)
        self._evaluated: Evaluated = lambda theta, evaluate: evaluate(theta)
        self.n_evaluations = 0
        self._last: Point | None = None  # the point evaluated last
        self._reached: Point | None = None  # at the end of the last iteration
        self._confirmed: Confirmed | None = None
        self._options = {
            "maxiter": settings.most_iterations,
            "maxfun": settings.most_evaluations,
            "ftol": settings.ftol,
            "gtol": settings.gtol,
        }
        self._loop: ScipyLoop | None = None  # SciPy's thread, if the run is advanced
        self._asked: Asked | None = None

    def replay(self, evaluated: Evaluated) -> None:
        self._evaluated = evaluated

    def advance(self, budget: Budget) -> Progress:
        """Run to the end of the next iteration, or of the run. Each point tried is a pass."""
        if self._loop is None:
            loop = ScipyLoop(self.theta.astype(np.float64), self._options)
            self._asked = loop.begin()
            self._loop = loop
        while True:
            asked = self._asked
            assert asked is not None
            if asked.iterate is not None:
                self._asked = asked._replace(iterate=None)
                return self._iteration(asked.iterate)
            if asked.x is None:
                self.result, self.ended = asked.result, "converged"
                return Progress(np.zeros((0, 2)), self.theta, self.n_iter)
            point = self._at(asked.x)
            if self._reached is None:
                self._reached = point
                self._confirmed = self._here()
            self._asked = self._loop.answer(point.cost, point.dtheta.astype(np.float64))

    def drive(self, budget: Callable[[], Budget], stops: Callable[[Progress], bool]) -> None:
        """As of every solver, but SciPy's loop runs in the caller's thread, if it has not begun.

        For a run that is not advanced in turns with others: handing each point to another thread
        and back takes as long as a small network's pass. SciPy catches a StopIteration that a
        user's callback raises; it is raised again here.
        """
        if self._loop is not None:
            super().drive(budget, stops)
            return
        stopped, raised = False, None

        def value(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            point = self._at(x)
            if self._reached is None:
                self._reached = point
                self._confirmed = self._here()
            hold_blas()  # SciPy uses BLAS next
            return point.cost, point.dtheta.astype(np.float64)

        def callback(intermediate_result: Any) -> None:
            nonlocal stopped, raised
            progress = self._iteration(intermediate_result.x)
            try:
                stopped = stops(progress)
            except StopIteration as error:
                raised = error
                raise
            if stopped:
                raise StopIteration
            hold_blas()

        start = self.theta.astype(np.float64)
        result = minimise(value, start, callback, self._options)
        if raised is not None:
            raise raised
        if not stopped:
            self.result, self.ended = result, "converged"

    def _iteration(self, x: NDArray[np.float64]) -> Progress:
        """The progress of an iteration that ended at x."""
        before = self._reached
        assert before is not None
        self._reached = point = self._at(x)
        self.theta[:] = point.theta
        if not self.settings.judged:
            self.observe(before.cost)
        row = np.array([[before.cost, euclidean_norm(before.dtheta)]])
        self._latest = Progress(row, self.theta, self.n_iter + 1, before.theta, point.cost)
        self.n_iter += 1  # Ctrl-C before this leaves the iteration unfinished
        self._confirmed = self._here()
        return self._latest

    def _at(self, x: NDArray[np.float64]) -> "Point":
        """J and its gradient at x, in the dtype of the data; the point evaluated last is kept."""
        theta = x.astype(self.theta.dtype)
        if self._last is None or not np.array_equal(self._last.theta, theta):
            cost, dtheta = self._evaluated(theta, self._evaluate)
            self.n_evaluations += 1
            self._last = Point(theta, cost, dtheta)
        return self._last

    def _evaluate(self, theta: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        cost, dtheta = self.objective.cost_and_gradient(theta)
        if self.settings.finite and not math.isfinite(cost):
            step = 0 if self._last is None else self.n_iter + 1
            raise Diverged(cost, self.last_finite_theta().copy(), step, step)
        return cost, dtheta

    def confirmed(self) -> Confirmed | None:
        """The arrays of where the latest `advance` began."""
        return self._confirmed

    def _here(self) -> Confirmed:
        """Where it is now."""
        arrays = self.arrays()
        return Confirmed(self.n_iter, lambda: arrays)

    def arrays(self) -> Arrays:
        """The parameters, and the number of evaluations so far."""
        return {"theta": self.last_finite_theta(), "evaluations": np.array([self.n_evaluations])}

    def last_finite_theta(self) -> NDArray[Any]:
        return self.theta if self._reached is None else self._reached.theta

    def close(self) -> None:
        """End SciPy's thread, if there is one."""
        if self._loop is not None:
            self._loop.close()


def minimise(
    value: Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]],
    start: NDArray[np.float64],
    callback: Callable[[Any], None],
    options: dict[str, Any],
) -> Any:
    """SciPy's L-BFGS-B."""
    return minimize(value, start, method="L-BFGS-B", jac=True, callback=callback, options=options)


class Point(NamedTuple):
    """J and dJ/dtheta at theta."""

    theta: NDArray[Any]
    cost: float
    dtheta: NDArray[Any]


class Asked(NamedTuple):
    """A request of SciPy's loop: the value at x. If x is None, it has ended with `result`.

    `iterate` is where an iteration has ended since the last request, or None.
    """

    x: NDArray[np.float64] | None
    iterate: NDArray[np.float64] | None = None
    result: Any = None


class Abandoned(BaseException):
    """Raised in SciPy's thread, to end its loop when the run is closed."""


class ScipyLoop:
    """SciPy's L-BFGS-B in its own thread, which waits for the value at each point it requests.

    Parameters
    ----------
    start : ndarray (n_parameters,) float64
    options : dict
        Options of SciPy's L-BFGS-B.
    """

    def __init__(self, start: NDArray[np.float64], options: dict[str, Any]) -> None:
        self._exchange = Exchange(start, options)
        # The thread holds only the exchange, so that this object can be garbage collected.
        self._close = weakref.finalize(self, self._exchange.abandon)
        self._close.atexit = False

    def begin(self) -> Asked:
        """Start the thread; returns its first request."""
        if not can_map(THREAD_BYTES):
            raise MemoryError(
                "There is too little memory left for the thread of L-BFGS: free some."
            )
        for_thread = (Alive(),)
        self._exchange.alive = weakref.ref(for_thread[0])
        try:
            _thread.start_new_thread(self._exchange.run, for_thread)
        except RuntimeError as error:
            raise MemoryError(
                f"The thread that L-BFGS runs in could not be started ({error}): free memory, or "
                "end other threads."
            ) from error
        finally:
            del for_thread
        return self._exchange.wait()

    def answer(self, cost: float, gradient: NDArray[np.float64]) -> Asked:
        """Give SciPy J and its gradient at the requested point; returns its next request."""
        if self._exchange.closed:
            raise RuntimeError(CLOSED)
        hold_blas()  # SciPy uses BLAS next
        self._exchange.answer = cost, gradient
        self._exchange.answered.release()
        return self._exchange.wait()

    def close(self) -> None:
        """End the thread."""
        self._close()


class Alive:
    """An object that only SciPy's thread holds, so that it goes away with the thread."""


class Exchange:
    """What the two threads share. Each waits on a lock that the other one releases."""

    def __init__(self, start: NDArray[np.float64], options: dict[str, Any]) -> None:
        self._start = start
        self._options = options
        self._context = copy_context()
        self._process = os.getpid()
        self.alive: Callable[[], Alive | None] = lambda: None
        self.answer: tuple[float, NDArray[np.float64]] | None = None  # None: the run is closed
        self._question: Asked | BaseException | None = None
        self._iterate: NDArray[np.float64] | None = None
        self.closed = False
        self.answered, self._asked = _thread.allocate_lock(), _thread.allocate_lock()
        self.answered.acquire()
        self._asked.acquire()

    def wait(self) -> Asked:
        """Wait for the next request of SciPy's loop.

        Checks once a second: a thread without memory may end before it can release the lock.
        """
        while not self._asked.acquire(timeout=CHECK_SECONDS):
            if self._process != os.getpid():
                raise RuntimeError("This run belongs to the process that began it: begin another.")
            if self.alive() is None:
                if self._asked.acquire(blocking=False):
                    break  # it has ended just now
                if self.closed:
                    raise RuntimeError(CLOSED)
                raise MemoryError("The thread that L-BFGS runs in has ended: free memory.")
        question, self._question = self._question, None
        if isinstance(question, BaseException):
            raise question
        assert question is not None
        return question

    def abandon(self) -> None:
        """Make the thread end at its next request, or now if it waits for an answer."""
        self.answer, self.closed = None, True
        if self.answered.locked():
            self.answered.release()

    def run(self, _alive: Alive) -> None:
        """What the thread runs."""
        try:
            self._context.run(self._minimise)
        except Abandoned:
            return
        except BaseException as error:  # raised again in the caller's thread
            self._question = error
        self._asked.release()

    def _minimise(self) -> None:
        limit_own_thread()
        result = minimise(self._value, self._start, self._note, self._options)
        self._question = Asked(None, self._taken(), result)

    def _value(self, x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        self._question = Asked(x.copy(), self._taken())
        self._asked.release()
        self.answered.acquire()
        answer, self.answer = self.answer, None
        if answer is None:
            raise Abandoned
        return answer

    def _note(self, intermediate_result: Any) -> None:
        self._iterate = intermediate_result.x.copy()

    def _taken(self) -> NDArray[np.float64] | None:
        iterate, self._iterate = self._iterate, None
        return iterate
