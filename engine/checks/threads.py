"""One thread against several: J, its gradient and trained coefficients must have the same bits."""

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from engine.checks.problem import CheckProblem, evenly_spread, parts_of
from engine.checks.report import THREADS, Check, unusable, worst
from engine.estimators.input_validation import Rows
from engine.sums.thread_count import usable_cores
from engine.sums.workers import SPAN_SAMPLES

MOST_ROWS, FEWEST_ROWS = 4 * SPAN_SAMPLES, SPAN_SAMPLES + 32  # four chunks, two chunks
MULTIPLY_ADDS = 500_000_000  # of a gradient on all rows
EPOCHS = 3
BATCH = 2 * SPAN_SAMPLES  # two chunks a step: fewer rows are one thread's work


class ThreadsCheck(NamedTuple):
    """The checks, and the data that they used.

    Attributes
    ----------
    checks : list of Check
    others : list of int
        Numbers of threads besides one.
    n_rows, n_different : int
        Rows, and how many of them are no repetition.
    n_epochs : int
        Of training, or iterations.
    """

    checks: list[Check]
    others: list[int]
    n_rows: int
    n_different: int
    n_epochs: int


def check_threads(problem: CheckProblem) -> ThreadsCheck:
    """J and gradient at all points, and a short training run, bit by bit."""
    rows, n_different = shared_rows(problem)
    others = sorted({2, usable_cores()} - {1})
    checks = [check_gradients(problem, at, rows, others) for at in problem.points]
    small = problem.network.layers.multiply_adds * rows.n_rows <= MULTIPLY_ADDS
    n_epochs = EPOCHS if small else 1
    checks.append(check_training(problem, rows, others, n_epochs))
    return ThreadsCheck(checks, others, rows.n_rows, n_different, n_epochs)


def shared_rows(problem: CheckProblem) -> tuple[Rows, int]:
    """As many rows as several threads share, and how many different ones."""
    n_rows = MULTIPLY_ADDS // problem.network.layers.multiply_adds
    n_rows = min(max(n_rows, FEWEST_ROWS), MOST_ROWS)
    different = evenly_spread(problem.rows, n_rows)
    return different.chosen(np.arange(n_rows) % different.n_rows), different.n_rows


def check_gradients(problem: CheckProblem, at: str, rows: Rows, others: list[int]) -> Check:
    """J and its gradient at these parameters."""
    theta = problem.points[at]
    samples = rows.samples(theta.dtype)
    what = "loss and gradient"
    one_J, one = problem.objective(samples, problem.backend, 1).cost_and_gradient(theta)
    if not math.isfinite(one_J):
        return unusable(THREADS, at, what, one_J)
    checks = []
    for n_threads in others:
        objective = problem.objective(samples, problem.backend, n_threads)
        other_J, other = objective.cost_and_gradient(theta)
        checks.append(same_bits(at, what, f"loss, {n_threads} threads", one_J, other_J))
        for part in parts_of(problem.network):
            where = f"{part.name}, {n_threads} threads"
            checks.append(same_bits(at, what, where, one[part.entries], other[part.entries]))
    return worst(checks)


def check_training(problem: CheckProblem, rows: Rows, others: list[int], n_epochs: int) -> Check:
    """The coefficients after a few epochs from the initial values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that so few epochs are not enough, and the like
        one = trained(problem, rows, 1, n_epochs)
        found = {other: trained(problem, rows, other, n_epochs) for other in others}
    checks = [
        same_bits("training", "coefficients", f"{name}, {n_threads} threads", one[name], array)
        for n_threads, other in found.items()
        for name, array in other.items()
    ]
    if not checks:
        why = "training diverged at its first step"
        return Check(THREADS, "training", "coefficients", math.nan, math.nan, why)
    return worst(checks)


def trained(
    problem: CheckProblem, rows: Rows, n_threads: int, n_epochs: int
) -> dict[str, NDArray[Any]]:
    """Coefficients and intercepts of a copy after a few epochs in batches that threads share."""
    copy = clone(problem.blank)
    wanted = {"max_iter": n_epochs, "n_threads": n_threads, "batch_size": min(BATCH, rows.n_rows)}
    quiet = {"verbose": False, "progress": False, "warm_start": False, "early_stopping": False}
    unlimited = {"max_time": None, "checkpoint": None, "class_weight": None}  # weights hold these
    settings = wanted | quiet | unlimited
    copy.set_params(**{name: settings[name] for name in settings.keys() & copy.get_params().keys()})
    try:
        copy.fit(rows.X, problem.blank._labels_of(rows), sample_weight=rows.weights)
    except ValueError:  # it diverged, and keeps the last finite ones; none if there were none
        if not hasattr(copy, "coefs_"):
            return {}
    found = {f"coefs_[{l}]": W for l, W in enumerate(copy.coefs_)}
    found |= {f"intercepts_[{l}]": b for l, b in enumerate(copy.intercepts_)}
    theta = copy._theta()
    parts = parts_of(copy._network)[len(found) :]
    return found | {part.name: theta[part.entries] for part in parts}


def same_bits(at: str, what: str, where: str, one: Any, other: Any) -> Check:
    """How far apart two arrays are that should have the same bits."""
    one, other = np.asarray(one), np.asarray(other)
    same = one.shape == other.shape and one.tobytes() == other.tobytes()
    apart = 0.0 if same else float(np.abs(one - other).max())
    return Check(THREADS, at, what, apart if same or apart else math.nan, 0.0, where)
