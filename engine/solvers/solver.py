"""SOLVERS, and what a run asks of a solver: to start, and to be advanced step by step."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.equations.backends import Backend
from engine.solvers.state import (
    ADAM,
    MOMENTUM,
    NESTEROV,
    PLAIN,
    STAGNANT,
    Settings,
    State,
)
from engine.solvers.stopping import count_improvement
from engine.sums.chunks import Elsewhere
from engine.sums.samples import Layers, Samples

Arrays = dict[str, NDArray[Any]]


class Problem(NamedTuple):
    """What is minimised: J of a network on some samples, by a backend, on so many threads."""

    backend: Backend
    layers: Layers
    samples: Samples | Elsewhere
    alpha: float
    n_threads: int


class Budget(NamedTuple):
    """How far to go in one `advance`: seconds, about, and iterations, at most."""

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
        The parameters now. The next `advance` changes them.
    n_steps : int
        Steps taken since the run began.
    before : ndarray or None
        Where the last iteration began: the parameters that its row is of. None for minibatches.
    cost : float or None
        J at theta, if the solver knows it already.
    """

    rows: NDArray[np.float64]
    theta: NDArray[Any]
    n_steps: int
    before: NDArray[Any] | None = None
    cost: float | None = None


class Diverged(ArithmeticError):
    """A cost that is not finite.

    Attributes
    ----------
    cost : float
    theta : ndarray (n_parameters,)
        The last parameters with a finite cost; the initial ones if there are none.
    epoch, step : int
        Where; step 0 is the initial cost.
    rows : ndarray (n, 2)
        As in `Progress`, of the iterations that had ended in this `advance`.
    """

    def __init__(
        self,
        cost: float,
        theta: NDArray[Any],
        epoch: int,
        step: int,
        rows: NDArray[np.float64] = np.empty((0, 2)),  # noqa: B008  # never changed
    ) -> None:
        super().__init__(f"{cost}")
        self.cost, self.theta, self.epoch, self.step, self.rows = cost, theta, epoch, step, rows


class Minimisation(Protocol):
    """A solver at work. It knows neither who watches it nor who keeps what it has reached."""

    @property
    def state(self) -> State:
        """Its parameters and counts, changed in place."""

    @property
    def n_iter(self) -> int:
        """Iterations that have ended: epochs of minibatches, or steps."""

    @property
    def n_steps(self) -> int:
        """Steps taken."""

    @property
    def theta(self) -> NDArray[Any]:
        """The parameters now."""

    @property
    def stagnant(self) -> bool:
        """Whether the cost has failed to improve for too long."""

    @property
    def ended(self) -> str | None:
        """Why the solver can go no further; None if it can."""

    def advance(self, budget: Budget) -> Progress:
        """Go on for a while. Raises Diverged if the cost stops being finite."""

    def observe(self, cost: float) -> None:
        """Count an iteration by a cost from elsewhere, such as that of validation data."""

    def confirmed(self) -> Callable[[], Arrays] | None:
        """What gives the arrays of where the last `advance` began.

        None if it has not shown that the cost there is finite.
        """

    def missed(self, n_iter: int) -> Progress:
        """The iterations after these, if Ctrl-C came before `advance` could return them."""

    def arrays(self) -> Arrays:
        """The arrays of where it is now, for a checkpoint."""

    def arrays_at_end(self) -> Arrays:
        """The same for a run that has ended."""

    def cost_of(self, theta: NDArray[Any]) -> float:
        """J at some parameters. Raises Diverged if it is not finite."""

    def close(self) -> None:
        """Let go of threads and files."""


class OfState:
    """What every `Minimisation` here says of its state, which is changed in place."""

    def __init__(self, state: State, settings: Settings) -> None:
        self.state = state
        self.settings = settings

    @property
    def theta(self) -> NDArray[Any]:
        return self.state.theta

    @property
    def stagnant(self) -> bool:
        return bool(self.state.counts[STAGNANT])

    def observe(self, cost: float) -> None:
        """Count an iteration by a cost from elsewhere."""
        count_improvement(self.state, self.settings, cost)


class Solver(NamedTuple):
    """A row of SOLVERS.

    Attributes
    ----------
    name : str
    start : callable
        From a `Problem`, a `State` and `Settings` to a `Minimisation`.
    full_batch : bool
        Whether each step takes all samples.
    update : int or None
        What moves the parameters by a step of a given length; None if there is no such length.
    takes_momentum : bool
    takes_schedule : bool
        Whether the learning rate may follow a schedule.
    takes_schedule_in_sklearn : bool
        The same in scikit-learn's estimators.
    uses_blas : bool
        Whether the solver itself computes with BLAS.
    resumes_by : str or None
        What it resumes by: "state", of which a checkpoint holds all; "evaluations", from whose log
        it takes its steps again; None if it cannot.
    ends : tuple of str
        Reasons for which a run may end, beside those for which it may be resumed.
    """

    name: str
    start: Callable[[Problem, State, Settings], Minimisation]
    full_batch: bool = False
    update: int | None = None
    takes_momentum: bool = False
    takes_schedule: bool = False
    takes_schedule_in_sklearn: bool = False
    uses_blas: bool = False
    resumes_by: str | None = None
    ends: tuple[str, ...] = ("max_iter", "tol", "callback")

    @property
    def by_steps(self) -> bool:
        """Whether it goes by steps of a given length."""
        return self.update is not None

    def update_for(self, momentum: float, nesterov: bool) -> int:
        """The code of the update, with this momentum."""
        if self.update is None:
            return PLAIN
        if not self.takes_momentum or momentum == 0:
            return self.update
        return NESTEROV if nesterov else MOMENTUM


def _descent(problem: Problem, state: State, settings: Settings) -> Minimisation:
    from engine.solvers.descent import Descent

    return Descent(problem, state, settings)


def _lbfgs(problem: Problem, state: State, settings: Settings) -> Minimisation:
    from engine.solvers.lbfgs import LBFGS  # loads SciPy

    return LBFGS(problem, state, settings)


SOLVERS = {
    solver.name: solver
    for solver in (
        Solver("gd", _descent, full_batch=True, update=PLAIN, resumes_by="state"),
        Solver(
            "sgd",
            _descent,
            update=PLAIN,
            takes_momentum=True,
            takes_schedule=True,
            takes_schedule_in_sklearn=True,
            resumes_by="state",
        ),
        Solver("adam", _descent, update=ADAM, takes_schedule=True, resumes_by="state"),
        Solver(
            "lbfgs",
            _lbfgs,
            full_batch=True,
            uses_blas=True,
            resumes_by="evaluations",
            ends=("max_iter", "tol", "callback", "converged"),
        ),
    )
}
