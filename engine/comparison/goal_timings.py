"""`engine compare second-order`: the time until the squared error is as small as was wanted.

All libraries begin at the same random starts and stop where the goal is reached. The mean squared
error is computed alike for all, by NumPy, from the parameters at which they stopped; a start from
which a library does not reach the goal has no time.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from statistics import median
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from engine.comparison import timing
from engine.comparison.least_squares import (
    MOST_STEPS,
    NO_TOLERANCE,
    Outcome,
    Residuals,
    by_scipy,
    by_torch,
)
from engine.comparison.machine import installed_version
from engine.comparison.timing import Turns, announced

if TYPE_CHECKING:
    from engine.network import Network

BASE = "engine lm"
STEPS_KNOWN = "engine adam, steps known"
TORCH, TORCH_PACKAGE = "torch lm", "torch-levenberg-marquardt"
MOST_ITERATIONS = {"lm": 500, "lbfgs": 5000, "adam": 20_000}
RATES = (0.003, 0.01, 0.03, 0.1)  # Adam takes the best of them
STARTS_FOR_RATES = 10
# Relative, above the goal. Adam ends a step after the one for which it was stopped; that step may
# lead up.
ROUNDING, ONE_STEP = 1e-9, 0.05

ON_EQUAL_TERMS = (
    "Same starts, data and goal, a mean squared error computed alike for all; tanh units below an "
    "identity output, float64. Times, ratios and their quartiles are of the starts from which the "
    f"library and {BASE} both reached the goal. The engine is stopped by a callback, which sees "
    "the cost of Adam one step late; SciPy where it evaluates the residuals, with tolerances of "
    f"{NO_TOLERANCE:g}. At most {MOST_STEPS} steps of lm and of SciPy, {MOST_ITERATIONS['lbfgs']} "
    f"of L-BFGS, {MOST_ITERATIONS['adam']} of Adam. A step of SciPy is a point that it tries. "
    "SciPy's least_squares gets the exact Jacobian from a vectorised backward pass in NumPy. Its "
    "lm refuses fewer residuals than parameters: on PARITY zeros are appended to the residuals, "
    "which changes no step; its trf and dogbox take such problems as they are, and are shown as "
    f"well. Adam has the best learning rate of {', '.join(f'{rate:g}' for rate in RATES)} on the "
    f"first {STARTS_FOR_RATES} starts, which favours it. Its steps are shorter than a call of the "
    "callback; so it is shown a second time, without one, for as many steps as it needed, which "
    "nobody knows beforehand."
)


@dataclass(frozen=True)
class Goal:
    """A network of tanh units with one identity output, its data, and the error to reach.

    Attributes
    ----------
    name : str
    sizes : tuple of int
    X : ndarray (n_0, m)
    y : ndarray (m,)
    goal : float
        Mean squared error.
    """

    name: str
    sizes: tuple[int, ...]
    X: NDArray[np.float64]
    y: NDArray[np.float64]
    goal: float

    @cached_property
    def network(self) -> "Network":
        from engine.network import Network

        return Network(self.sizes, output="identity")

    @property
    def methods(self) -> tuple[str, ...]:
        """SciPy's, that take part: those that go without as many residuals as parameters too."""
        fewer = len(self.y) < self.network.n_parameters
        return ("lm", "trf", "dogbox") if fewer else ("lm",)

    def is_reached(self, theta: NDArray[np.float64], allowed: float) -> bool:
        """Whether the mean squared error at theta is at most the goal, by NumPy."""
        r = Residuals(self.network, self.X, self.y)(theta)
        return float(r @ r) / len(r) <= self.goal * (1 + allowed)


def sine() -> Goal:
    """sin(pi x) at 41 points."""
    x = np.linspace(-1, 1, 41)
    return Goal("SIN", (1, 5, 1), x[np.newaxis], np.sin(np.pi * x), 0.002)


def parity() -> Goal:
    """The product of three signs: 8 rows for 161 parameters."""
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=3))).T
    return Goal("PARITY", (3, 10, 10, 1), corners.copy(), corners.prod(axis=0), 0.001)


def franke() -> Goal:
    """Franke's surface (1979), hills and a dip over the unit square, at 15 x 15 points."""
    u, v = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 1, 15), np.linspace(0, 1, 15)))
    y = (
        0.75 * np.exp(-((9 * u - 2) ** 2 + (9 * v - 2) ** 2) / 4)
        + 0.75 * np.exp(-((9 * u + 1) ** 2) / 49 - (9 * v + 1) / 10)
        + 0.5 * np.exp(-((9 * u - 7) ** 2 + (9 * v - 3) ** 2) / 4)
        - 0.2 * np.exp(-((9 * u - 4) ** 2) - (9 * v - 7) ** 2)
    )
    return Goal("Franke", (2, 10, 1), 2 * np.vstack([u, v]) - 1, y, 0.004)


GOALS: dict[str, Callable[[], Goal]] = {"SIN": sine, "PARITY": parity, "Franke": franke}


class Library(NamedTuple):
    """What trains from theta until the goal is reached."""

    train: Callable[[NDArray[np.float64]], Outcome]
    setting: str = ""
    allowed: float = ROUNDING


def libraries_for(
    goal: Goal, starts: Sequence[NDArray[np.float64]], n_threads: int
) -> dict[str, Library]:
    """Who takes part, this package's "lm" first."""
    found = {BASE: Library(partial(by_engine, goal, n_threads, "lm"))}
    for method in goal.methods:
        of_goal = (goal.network, goal.X, goal.y, goal.goal)
        found[f"scipy {method}"] = Library(partial(by_scipy, *of_goal, method=method))
    if installed_version(TORCH_PACKAGE) is not None:
        found[TORCH] = Library(partial(by_torch, goal.network, goal.X, goal.y, goal.goal))
    found["engine lbfgs"] = Library(partial(by_engine, goal, n_threads, "lbfgs"))
    rate = best_rate(goal, starts[:STARTS_FOR_RATES], n_threads)
    found["engine adam"] = _adam(goal, n_threads, rate)
    without = WithoutCallback(goal, n_threads, rate)
    found[STEPS_KNOWN] = found["engine adam"]._replace(train=without, allowed=ROUNDING)
    return found


def by_engine(
    goal: Goal,
    n_threads: int,
    solver: str,
    theta: NDArray[np.float64],
    learning_rate: float = 1e-3,
) -> Outcome:
    """`engine.train` with a callback that stops it; J is half of the mean squared error."""
    from engine.training.result import DivergedError
    from engine.training.trainer import train

    enough = goal.goal / 2
    try:
        result = train(
            goal.network,
            goal.X,
            goal.y,
            solver=solver,
            theta=theta,
            max_iter=MOST_ITERATIONS[solver],
            learning_rate=learning_rate,
            callback=lambda i: i.cost_after <= enough or i.cost <= enough,
            n_threads=n_threads,
        )
    except DivergedError as error:
        return Outcome(error.theta, error.step)
    return Outcome(result.theta, result.n_iter)


def best_rate(goal: Goal, starts: Sequence[NDArray[np.float64]], n_threads: int) -> float:
    """The learning rate with which Adam reaches the goal most often, then in the fewest steps."""

    def merit(rate: float) -> tuple[int, float]:
        adam = _adam(goal, n_threads, rate)
        outcomes = [adam.train(theta) for theta in starts]
        steps = [one.steps for one in outcomes if goal.is_reached(one.theta, ONE_STEP)]
        return len(steps), -median(steps) if steps else 0.0

    return max(RATES, key=merit)


def _adam(goal: Goal, n_threads: int, rate: float) -> Library:
    trains = partial(by_engine, goal, n_threads, "adam", learning_rate=rate)
    return Library(trains, f"learning rate {rate:g}", ONE_STEP)


class WithoutCallback:
    """Adam for as many steps as reach the goal, which a first call from each start finds out.

    A step of a small network takes less than the callback that is told of it.
    """

    def __init__(self, goal: Goal, n_threads: int, rate: float) -> None:
        self._goal, self._n_threads, self._rate = goal, n_threads, rate
        self._steps: dict[bytes, int] = {}

    def __call__(self, theta: NDArray[np.float64]) -> Outcome:
        from engine.training.result import DivergedError
        from engine.training.trainer import train

        start = theta.tobytes()
        if start not in self._steps:
            found = by_engine(self._goal, self._n_threads, "adam", theta, self._rate)
            self._steps[start] = max(1, found.steps - 1)  # it was told of the goal a step late
        try:
            result = train(
                self._goal.network,
                self._goal.X,
                self._goal.y,
                solver="adam",
                theta=theta,
                max_iter=self._steps[start],
                learning_rate=self._rate,
                n_threads=self._n_threads,
            )
        except DivergedError as error:
            return Outcome(error.theta, error.step)
        return Outcome(result.theta, result.n_iter)


class GoalEntry(TypedDict, total=False):
    """What one library did. `failed` stands alone; `void` says why there is no ratio.

    Spreads are over the starts from which this library and the base both reached the goal.
    """

    failed: str
    void: str
    setting: str
    reached: int  # starts
    steps: float  # median
    ms: timing.Spread
    ratio: timing.Spread  # its time / that of the base


class GoalRow(TypedDict):
    """One problem."""

    problem: str
    sizes: list[int]
    rows: int
    n_parameters: int
    goal: float
    starts: int
    entries: dict[str, GoalEntry]


def time_goals(names: Sequence[str], n_starts: int, rounds: int, n_threads: int) -> list[GoalRow]:
    """Every problem in turn."""
    named = [(f"goals: {name}", name) for name in names]
    return [compare_goal(GOALS[name](), n_starts, rounds, n_threads) for name in announced(named)]


def compare_goal(
    goal: Goal,
    n_starts: int,
    rounds: int,
    n_threads: int,
    take_part: Callable[..., dict[str, Library]] = libraries_for,
) -> GoalRow:
    """Train once from each start, to see who reaches the goal; then time those, in turns."""
    starts = [goal.network.initial_parameters(seed) for seed in range(n_starts)]
    libraries = take_part(goal, starts, n_threads)
    turns = Turns(libraries)
    outcomes = turns.each(lambda name: [libraries[name].train(theta) for theta in starts])
    reached = {
        name: [goal.is_reached(one.theta, libraries[name].allowed) for one in of_name]
        for name, of_name in outcomes.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in outcomes}
    ratios: dict[str, list[float]] = {name: [] for name in outcomes}
    for start, theta in enumerate(starts):
        together = [name for name in outcomes if reached[name][start]]
        if BASE not in together:
            continue
        acts = {name: partial(libraries[name].train, theta) for name in together}
        for name, times in (found := timing.in_turns(acts, rounds)).items():
            seconds[name].append(median(times))
            ratios[name].append(timing.ratio(times, to=found[BASE]).median)
    entries = {name: GoalEntry(failed=reason) for name, reason in turns.failed.items()}
    for name in outcomes:
        ended = zip(outcomes[name], reached[name], strict=True)
        steps = [one.steps for one, is_there in ended if is_there]
        entries[name] = _entry(libraries[name], steps, n_starts, seconds[name], ratios[name])
    return GoalRow(
        problem=goal.name,
        sizes=list(goal.sizes),
        rows=len(goal.y),
        n_parameters=goal.network.n_parameters,
        goal=goal.goal,
        starts=n_starts,
        entries={name: entries[name] for name in libraries},
    )


def _entry(
    library: Library,
    steps: Sequence[int],
    n_starts: int,
    seconds: Sequence[float],
    ratios: Sequence[float],
) -> GoalEntry:
    entry = GoalEntry(reached=len(steps))
    if library.setting:
        entry["setting"] = library.setting
    if steps:
        entry["steps"] = float(median(steps))
    if 2 * len(seconds) < n_starts:
        entry["void"] = (
            f"it and {BASE} both reached the goal from {len(seconds)} of {n_starts} starts only"
        )
        return entry
    entry["ms"] = timing.spread(timing.per_unit(seconds, 1e-3))
    entry["ratio"] = timing.spread(ratios)
    return entry
