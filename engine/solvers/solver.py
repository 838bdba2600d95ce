"""SOLVERS, and the interface between a run and a solver: it is started, then advanced."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.equations.backends import Backend
from engine.solvers.state import (
    ADAM,
    DAMPED,
    MOMENTUM,
    NESTEROV,
    PLAIN,
    STAGNANT,
    Settings,
    State,
)
from engine.solvers.stopping import count_improvement
from engine.sums.chunks import ChunkSums, DistributedSamples
from engine.sums.samples import Layers, Samples

Arrays = dict[str, NDArray[Any]]
# J and dJ/dtheta at a point: evaluated, or taken from the log of an earlier run.
Evaluate = Callable[[NDArray[Any]], tuple[float, NDArray[Any]]]
Evaluated = Callable[[NDArray[Any], Evaluate], tuple[float, NDArray[Any]]]


class Problem(NamedTuple):
    """What is minimised: J of a network on some samples, computed by a backend on some threads.

    `sums` are those over the samples, if they exist already. With `adapts`, steps of minibatches
    are taken on one thread while that is faster.
    """

    backend: Backend
    layers: Layers
    samples: Samples | DistributedSamples
    alpha: float
    n_threads: int
    sums: ChunkSums | None = None
    adapts: bool = False


class Budget(NamedTuple):
    """The limits of one `advance`: about so many seconds (finite), at most so many iterations."""

    seconds: float
    iterations: int


class Progress(NamedTuple):
    """What an `advance` has done.

    Attributes
    ----------
    rows : ndarray (n, 2)
        Cost and norm of the gradient of each iteration that ended. The cost is J before the step;
        over an epoch of minibatches, the mean of their costs, each before its step.
    theta : ndarray (n_parameters,)
        The parameters now, as `Minimisation.theta`. The next `advance` changes them.
    n_steps : int
        Steps taken since the run began.
    before : ndarray or None
        The parameters before the last iteration, whose cost its row holds. None for minibatches.
    cost : float or None
        J at theta, if the solver knows it already.
    costs_after : ndarray (n,) or None
        J after each iteration, as the solver found it when it took the step.
    """

    rows: NDArray[np.float64]
    theta: NDArray[Any]
    n_steps: int
    before: NDArray[Any] | None = None
    cost: float | None = None
    costs_after: NDArray[np.float64] | None = None


class Diverged(ArithmeticError):
    """A cost that is not finite, or has no curvature that a solver can use.

    Attributes
    ----------
    cost : float
    theta : ndarray (n_parameters,)
        The last parameters with a finite cost; the initial ones if there are none.
    epoch, step : int
        Where it happened; step 0 is the initial cost.
    rows : ndarray (n, 2)
        As in `Progress`, of the iterations that had ended in this `advance`.
    why : str
        What to do about it, if the cost itself is finite.
    """

    def __init__(
        self,
        cost: float,
        theta: NDArray[Any],
        epoch: int,
        step: int,
        rows: NDArray[np.float64] = np.empty((0, 2)),  # noqa: B008  # never changed
        why: str = "",
    ) -> None:
        super().__init__(f"{cost}")
        self.why = why
        self.cost, self.theta, self.epoch, self.step, self.rows = cost, theta, epoch, step, rows


class Confirmed(NamedTuple):
    """Where the last `advance` began, once the cost there is known to be finite.

    `n_iter` is the number of finished iterations there; `arrays` returns its arrays.
    """

    n_iter: int
    arrays: Callable[[], Arrays]


class Minimisation(Protocol):
    """A started solver. It does not know who watches it or who saves it."""

    @property
    def state(self) -> State:
        """Its parameters and counts, changed in place."""

    @property
    def n_iter(self) -> int:
        """Finished iterations: epochs of minibatches, or else steps."""

    @property
    def n_steps(self) -> int:
        """Steps taken."""

    @property
    def theta(self) -> NDArray[Any]:
        """The parameters now: their average over the steps, if the settings ask for it."""

    @property
    def stagnant(self) -> bool:
        """Whether the cost has failed to improve for too long."""

    @property
    def result(self) -> Any:
        """SciPy's result, once its loop has ended; None of other solvers."""

    @property
    def ended(self) -> str | None:
        """Why the solver can go no further; None if it can."""

    def advance(self, budget: Budget) -> Progress:
        """Take steps, within the budget. Raises Diverged if the cost stops being finite."""

    def drive(self, budget: Callable[[], Budget], stops: Callable[[Progress], bool]) -> None:
        """Advance until `stops` says so of what an `advance` has done, or until it has ended."""

    def observe(self, cost: float) -> None:
        """Apply the stopping rule to a cost from outside, such as that of validation data."""

    def confirmed(self) -> Confirmed | None:
        """Where the last `advance` began; None if the cost there is not known to be finite."""

    def missed(self, n_iter: int) -> Progress:
        """The iterations after the first `n_iter`, if Ctrl-C kept `advance` from returning them."""

    def arrays(self) -> Arrays:
        """The arrays of where it is now, for a checkpoint."""

    def arrays_at_end(self) -> Arrays:
        """The same for a run that has ended."""

    def cost_of(self, theta: NDArray[Any]) -> float:
        """J at some parameters. Raises Diverged if it is not finite."""

    def resume(self, last_finite: State) -> None:
        """Take back, from a checkpoint of a run that had ended, the last state of finite cost."""

    def replay(self, evaluated: Evaluated) -> None:
        """Let `evaluated` give each evaluation: from a log, or anew."""

    def close(self) -> None:
        """Release threads and files."""


class MinimisationBase:
    """The part of a `Minimisation` that depends on its state alone."""

    def __init__(self, state: State, settings: Settings) -> None:
        self.state = state
        self.settings = settings
        self.ended: str | None = None
        self.result: Any = None

    @property
    def theta(self) -> NDArray[Any]:
        return self.state.parameters

    @property
    def stagnant(self) -> bool:
        return bool(self.state.counts[STAGNANT])

    def drive(self, budget: Callable[[], Budget], stops: Callable[[Progress], bool]) -> None:
        """Advance until `stops` says so of what an `advance` has done, or until it has ended."""
        while True:
            progress = self.advance(budget())
            if self.ended is not None or stops(progress):
                return

    def resume(self, last_finite: State) -> None:
        """Take back a state. Only of solvers that resume by their state."""
        raise NotImplementedError

    def replay(self, evaluated: Evaluated) -> None:
        """Take evaluations from a log. Only of solvers that resume by their evaluations."""
        raise NotImplementedError

    def advance(self, budget: Budget) -> Progress:
        """Train for a while."""
        raise NotImplementedError

    def observe(self, cost: float) -> None:
        """Apply the stopping rule to a cost from outside."""
        count_improvement(self.state, self.settings, cost)


class Solver(NamedTuple):
    """A row of SOLVERS.

    Attributes
    ----------
    name : str
    starts : callable
        From a `Problem`, a `State` and `Settings` to a `Minimisation`.
    full_batch : bool
        Whether each step takes all samples.
    by_steps : bool
        Whether it has a learning rate, or else chooses the length of each step itself.
    update : int
        Code of its update, without momentum.
    takes_momentum : bool
    takes_schedule : bool
        Whether the learning rate may follow a schedule.
    takes_schedule_in_sklearn : bool
        The same in scikit-learn's estimators.
    smooths_kinks : bool
        Whether it minimises losses with a kink by smoothing them.
    in_float64 : bool
        Whether it trains in float64, also on float32 data.
    never_rises : bool
        Whether no step raises the cost: then the last parameters are the best.
    uses_blas : bool
        Whether the solver itself computes with BLAS.
    resumes_by : str or None
        How it resumes: "state" if a checkpoint holds all of it; "evaluations" if it takes its steps
        again from a log of them; None if it cannot resume.
    ends : tuple of str
        Reasons that end a run for good. After any other reason it can be resumed.
    """

    name: str
    starts: Callable[[Problem, State, Settings], Minimisation]
    full_batch: bool = False
    by_steps: bool = False
    update: int = PLAIN
    takes_momentum: bool = False
    takes_schedule: bool = False
    takes_schedule_in_sklearn: bool = False
    smooths_kinks: bool = False
    in_float64: bool = False
    never_rises: bool = False
    uses_blas: bool = False
    resumes_by: str | None = None
    ends: tuple[str, ...] = ("max_iter", "tol", "callback")

    @property
    def has_own_loop(self) -> bool:
        """Whether the loop is ours, with our stopping rules, and not SciPy's."""
        return self.resumes_by != "evaluations"

    def start(self, problem: Problem, state: State, settings: Settings) -> Minimisation:
        """Start it on a problem."""
        if self.smooths_kinks:
            from engine.solvers.smoothing import Smoothed, has_kink

            if has_kink(problem):
                return Smoothed(self.starts, problem, state, settings)
        return self.starts(problem, state, settings)

    def multiply_adds(self, layers: Layers) -> int:
        """Those of a step, for one sample."""
        if self.update != DAMPED:
            return layers.multiply_adds
        return layers.multiply_adds + int(layers.sizes[-1]) * layers.n_parameters**2 // 2

    def update_for(self, momentum: float, nesterov: bool) -> int:
        """The code of the update, with this momentum."""
        if not self.takes_momentum or momentum == 0:
            return self.update
        return NESTEROV if nesterov else MOMENTUM


def _descent(problem: Problem, state: State, settings: Settings) -> Minimisation:
    from engine.solvers.descent import Descent

    return Descent(problem, state, settings)


def _lbfgs(problem: Problem, state: State, settings: Settings) -> Minimisation:
    from engine.solvers.lbfgs import LBFGS  # loads SciPy

    return LBFGS(problem, state, settings)


def _lm(problem: Problem, state: State, settings: Settings) -> Minimisation:
    from engine.solvers.lm import LevenbergMarquardt

    return LevenbergMarquardt(problem, state, settings)


SOLVERS = {
    solver.name: solver
    for solver in (
        Solver("gd", _descent, full_batch=True, by_steps=True, resumes_by="state"),
        Solver(
            "sgd",
            _descent,
            by_steps=True,
            takes_momentum=True,
            takes_schedule=True,
            takes_schedule_in_sklearn=True,
            resumes_by="state",
        ),
        Solver(
            "adam", _descent, by_steps=True, update=ADAM, takes_schedule=True, resumes_by="state"
        ),
        Solver(
            "lbfgs",
            _lbfgs,
            full_batch=True,
            smooths_kinks=True,
            uses_blas=True,
            resumes_by="evaluations",
            ends=("max_iter", "tol", "callback", "converged"),
        ),
        Solver(
            "lm",
            _lm,
            full_batch=True,
            update=DAMPED,
            smooths_kinks=True,
            in_float64=True,
            never_rises=True,
            resumes_by="state",
            ends=("max_iter", "tol", "callback", "gradient", "step", "cost"),
        ),
    )
}
