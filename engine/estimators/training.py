"""The training of a fit: settings from scikit-learn's parameters, and the run of a solver."""

import inspect
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import nullcontext
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.equations.backends import NUMPY
from engine.estimators.watch import FitWatch
from engine.solvers.batches import samples_of_a_block
from engine.solvers.learning_rate import SCHEDULES, steps_of_epochs
from engine.solvers.solver import Minimisation, Problem, Solver
from engine.solvers.state import COST, DAMPED, RATE, WEIGHT, Settings, State
from engine.sums.blas import one_blas_thread
from engine.training.checkpoint import Keeper, is_over
from engine.training.result import DivergedError
from engine.training.run import Run, begin

# SciPy's default, which scikit-learn keeps.
FTOL_OF_SCIPY = 2.2204460492503131e-09


def settings_of(
    solver: Solver,
    given: Mapping[str, Any],
    n_samples: int,
    n_features: int,
    batch_size: int,
) -> Settings:
    """The settings of a run, from the checked parameters of an estimator."""
    shuffle = given["shuffle"] if not solver.full_batch else False
    schedule = given["learning_rate"]
    if not solver.takes_schedule_in_sklearn and schedule != "cosine":
        schedule = "constant"
    cosine_steps = 0
    if schedule == "cosine":
        cosine_steps = steps_of_epochs(given["max_iter"], n_samples, batch_size)
    # scikit-learn stops one epoch later than its n_iter_no_change says.
    patience = min(given["n_iter_no_change"] + 1, sys.maxsize)
    ours = solver.has_own_loop
    evidence = given["alpha"] == "evidence"
    return Settings(
        update=solver.update_for(given["momentum"], given["nesterovs_momentum"]),
        batch_size=n_samples if solver.full_batch else batch_size,
        shuffle=int(bool(shuffle)),
        block=samples_of_a_block(n_features) if shuffle == "blocks" else 0,
        learning_rate=float(given["learning_rate_init"]),
        momentum=float(given["momentum"]),
        beta_1=float(given["beta_1"]),
        beta_2=float(given["beta_2"]),
        epsilon=float(given["epsilon"]),
        alpha=0.0 if evidence else float(given["alpha"]),
        schedule=SCHEDULES[schedule],
        schedule_steps=cosine_steps,
        weight_decay=float(given["weight_decay"]),
        average=float(given["average"] or 0),
        clip_norm=float(given["clip_norm"] or 0),
        power_t=float(given["power_t"]),
        tol=float(given["tol"]),
        relative=int(solver.update == DAMPED),
        patience=int(patience),
        stops=int(ours),
        counts_samples=1,
        counts_after=1,
        ftol=FTOL_OF_SCIPY,
        gtol=float(given["tol"]),
        most_iterations=float(given["max_iter"]),
        most_evaluations=float(given["max_fun"]),
        finite=int(ours),
        evidence=int(evidence),
    )


SomeResult = TypeVar("SomeResult")

# A fit prepares its run, yields it, and is sent the reason why the run has stopped, or the
# exception that ended it; then it stores the result.
Fitting = Generator[Run[FitWatch], str, SomeResult]


class FitUnderWay(Generic[SomeResult]):
    """A fit that is made part by part. So whoever has many of them can take their runs in turn.

    Attributes
    ----------
    run : Run or None
        What is to be advanced; None before `begin`, and once the fit has ended.
    result : object
        What the fit returned.
    interrupted : bool
        Whether Ctrl-C ended its run.
    """

    def __init__(self, fitting: Fitting[SomeResult]) -> None:
        self._fitting = fitting
        self.run: Run[FitWatch] | None = None
        self.result: SomeResult
        self.interrupted = False

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it is left to do: there is a result, or it has raised an error."""
        return inspect.getgeneratorstate(self._fitting) == inspect.GEN_CLOSED

    def begin(self) -> None:
        """Prepare the run."""
        self._go_on(self._fitting.__next__)

    def to_its_end(self) -> None:
        """Advance the run to its end, and end the fit."""
        if self.run is None:
            return
        try:
            stopped = self.run.to_its_end()
        except BaseException as error:
            self.fail(error)
        else:
            self.end(stopped)

    def end(self, stopped: str) -> None:
        """End the fit, whose run has stopped for this reason."""
        self._go_on(lambda: self._fitting.send(stopped))

    def fail(self, error: BaseException) -> None:
        """End the fit, whose run has raised this error: the fit handles it or raises it again."""
        self.interrupted = isinstance(error, KeyboardInterrupt)
        self._go_on(lambda: self._fitting.throw(error))

    def interrupt(self) -> None:
        """End the fit where it is, since Ctrl-C came: it keeps what it has reached, if anything."""
        if self.run is not None:
            self.run.catch_up()
        self.fail(KeyboardInterrupt())

    def _go_on(self, call: Callable[[], Run[FitWatch]]) -> None:
        try:
            self.run = call()
        except StopIteration as ended:
            self.run, self.result = None, ended.value
        except RuntimeError as error:  # a generator turns a user's StopIteration into it
            if isinstance(error.__cause__, StopIteration):
                raise error.__cause__ from None
            raise


class Trained(NamedTuple):
    """How a fit's training ended.

    `stopped` is "max_iter", "tol", "callback", "max_time", "converged", "interrupted" or
    "diverged". If it diverged, `error` says where, and theta is the last one with a finite loss.
    """

    theta: NDArray[Any]
    stopped: str
    solver: Minimisation
    error: DivergedError | None

    @property
    def result(self) -> Any:
        """SciPy's result, if its loop has ended by itself; else None."""
        return self.solver.result if self.stopped == "converged" else None


def train(
    solver: Solver,
    problem: Problem,
    state: State,
    settings: Settings,
    watch: FitWatch,
    max_iter: int,
    keeper: Keeper | None,
    why_rate: str | None,
) -> Fitting[Trained]:
    """Prepare a run, yield it, and tell how it ended. Ctrl-C and divergence are not raised.

    With `why_rate`, each change of the learning rate is printed, after this reason. SciPy's loop
    counts its own iterations, so that its result says if there were too many.
    """
    stopped, error = "", None
    blas = solver.uses_blas or problem.backend is NUMPY
    with one_blas_thread() if blas else nullcontext():
        minimisation, found = begin(solver, problem, state, settings, watch, keeper)
        if found is not None and _is_over(solver, keeper, max_iter):
            assert keeper is not None
            assert keeper.found is not None
            minimisation.close()
            return Trained(minimisation.theta, keeper.found.stopped or "", minimisation, None)
        if why_rate is not None:
            running = minimisation.state
            watch.follow(lambda: float(running.sums[RATE]), why_rate)
        run = Run(minimisation, watch, keeper, max_iter if solver.has_own_loop else np.inf)
        steps_before = minimisation.n_steps
        try:
            stopped = yield run
            run.keep_end(stopped, {})
        except KeyboardInterrupt:
            if minimisation.n_steps == steps_before:
                raise  # there is nothing to keep
            if keeper is not None:
                keeper.interrupted()
            stopped = "interrupted"
        except DivergedError as diverged:
            stopped, error = "diverged", diverged
    theta = minimisation.theta if error is None else error.theta
    if stopped == "converged":  # SciPy's result is float64, also if training is in float32
        theta = minimisation.result.x.astype(theta.dtype)
    return Trained(theta, stopped, minimisation, error)


def _is_over(solver: Solver, keeper: Keeper | None, max_iter: int) -> bool:
    """Whether a run that was found has ended for good. SciPy's own end is found by a replay."""
    if solver.has_own_loop:
        return is_over(keeper, max_iter)
    return keeper is not None and keeper.found is not None and keeper.found.stopped == "callback"


def loss_so_far(state: State) -> float | None:
    """The loss of an interrupted epoch so far; None if it has taken no step."""
    weight = float(state.sums[WEIGHT])
    return float(state.sums[COST]) / weight if weight else None
