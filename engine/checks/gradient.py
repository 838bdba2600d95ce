"""The gradient against central differences of J, in float64.

    D(h) = (J(theta_p + h) - J(theta_p - h)) / 2h

D is off by its truncation, J''' h^2 / 6, and by the rounding of J, some noise / h. Two steps are
taken, h and h/2. Where D(h) and D(h/2) agree but for rounding, the truncation, of which they show
three quarters, is hidden by it, and D(h/2) is the slope. Where they do not, h is too long: J''' is
large, or a sample crosses the kink of a relu unit within the step. Then h is made shorter, until
they agree or no step is left.

If the loss has a kink where the prediction equals the target, rows that are within reach of it are
left out beforehand: a fit ends at a point where many are.

A kink at theta_p itself gives the same D at all steps; there the second differences tell: those of
a smooth function are halved with h,

    S(h) = (J(theta_p + h) - 2 J(theta_p) + J(theta_p - h)) / h = 2 S(h/2).

None of this looks at the gradient that is checked, so no wrong entry of it is excused.
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.checks.kinks import off_kinks
from engine.checks.problem import CheckProblem, Part, evenly_spread, parts_of
from engine.checks.report import GRADIENT, Check, unusable, worst
from engine.checks.rounding import noise_of, perturbed

Cost = Callable[[NDArray[np.float64]], float]

EPSILON = float(np.finfo(np.float64).eps)
# The longest balances both errors where J''' is as large as J.
STEPS = [EPSILON ** (1 / 3) / 8**n for n in range(5)]
# In noise / h, some ten standard deviations each: rounding of D(h) - D(h/2), S(h) - 2 S(h/2), and
# of D(h/2) with what a kink that stays hidden below those two may add.
DIFFERENCE, SECOND_DIFFERENCE, SLOPE = 12.0, 60.0, 48.0

MOST_ROWS, FEWEST_ROWS = 512, 32
FEWEST_ENTRIES = 8  # of a part
MULTIPLY_ADDS = 2_000_000_000  # for all evaluations of J at one point: about a second
MULTIPLY_ADDS_A_CALL = 50_000  # as many would take the time that a call takes besides


class Slope(NamedTuple):
    """dJ/dtheta_p by differences, and how much rounding may have changed it."""

    value: float
    tolerance: float


class GradientCheck(NamedTuple):
    """The result for the entries that were checked.

    Attributes
    ----------
    check : Check
        The worst of them.
    n_rows : int
        Rows that J was taken of.
    layers : list of (int, int)
        Of each layer, how many entries were checked, of how many; of all embeddings at last.
    rough : int
        Entries left out since no step was short enough.
    blind : list of str
        Parts of which no difference stands out from its rounding.
    on_ties : int
        Rows left out since their prediction is so near the target, where the loss has a kink.
    """

    check: Check
    n_rows: int
    layers: list[tuple[int, int]]
    rough: int = 0
    blind: list[str] = []  # noqa: RUF012  # never written to
    on_ties: int = 0


def check_gradient(problem: CheckProblem, at: str) -> GradientCheck:
    """The gradient at these parameters, entry by entry."""
    theta = problem.points[at].astype(np.float64)
    parts = parts_of(problem.network)
    n_rows, n_entries = affordable(problem)
    chosen = selection(parts, n_entries)
    counts = [(len(entries), part.size) for part, entries in zip(parts, chosen, strict=True)]
    n = 2 * len(problem.network.layers.units)  # arrays of layers; those of embeddings follow
    layers = [(W[0] + b[0], W[1] + b[1]) for W, b in zip(counts[:n:2], counts[1:n:2], strict=True)]
    if problem.network.embeddings is not None:
        layers.append((sum(count for count, _ in counts[n:]), sum(size for _, size in counts[n:])))
    rows = evenly_spread(problem.rows, n_rows)
    kept = off_kinks(problem, theta, rows, list(perturbed(theta, STEPS[0])), of_relu=False)
    on_ties = rows.n_rows - kept.n_rows
    objective = problem.objective(kept.samples(np.float64), problem.backend)
    there, dtheta = objective.cost_and_gradient(theta)
    if not (math.isfinite(there) and np.isfinite(dtheta).all()):
        return GradientCheck(unusable(GRADIENT, at, "gradient", there), n_rows, layers)
    noise = noise_of(objective.cost, theta)
    found: list[Check] = []
    blind = []
    for part, entries in zip(parts, chosen, strict=True):
        slopes = slopes_of(objective.cost, theta, entries, noise)
        smallest = 64 * EPSILON * float(np.abs(dtheta[part.entries]).max())
        for p, slope in slopes.items():
            deviation = abs(slope.value - float(dtheta[p]))
            allowed = slope.tolerance + smallest
            found.append(Check(GRADIENT, at, "gradient", deviation, allowed, part.entry(p)))
        if slopes and all(abs(slope.value) <= 10 * slope.tolerance for slope in slopes.values()):
            blind.append(part.name)
    rough = sum(len(entries) for entries in chosen) - len(found)
    if not found:
        why = "no step was short enough"
        found.append(Check(GRADIENT, at, "gradient", math.nan, math.nan, why))
    return GradientCheck(worst(found), n_rows, layers, rough, blind, on_ties)


def affordable(problem: CheckProblem) -> tuple[int, int]:
    """How many rows, and how many entries of the gradient in all."""
    sizes = problem.network.dense_sizes
    weights = sum(n_in * n_out for n_in, n_out in itertools.pairwise(sizes))
    fewest = FEWEST_ENTRIES * len(parts_of(problem.network))
    n_rows = MULTIPLY_ADDS // (4 * fewest * weights)
    n_rows = min(max(n_rows, FEWEST_ROWS), MOST_ROWS, problem.rows.n_rows)
    a_call = n_rows * weights + MULTIPLY_ADDS_A_CALL
    return n_rows, max(MULTIPLY_ADDS // (4 * a_call), fewest)


def selection(parts: list[Part], n_entries: int) -> list[NDArray[np.int64]]:
    """About so many entries of theta, equally many of each part if possible; always alike."""
    generator = np.random.default_rng(0)
    share = {part: 0 for part in parts}
    left = n_entries
    for number, part in enumerate(sorted(parts, key=lambda part: part.size)):
        share[part] = min(part.size, max(1, left // (len(parts) - number)))
        left -= share[part]
    return [np.sort(part.first + generator.permutation(part.size)[: share[part]]) for part in parts]


def slopes_of(
    cost: Cost, theta: NDArray[np.float64], entries: NDArray[np.int64], noise: float
) -> dict[int, Slope]:
    """The slopes along the entries that have one."""
    found: dict[int, Slope] = {}
    there = cost(theta)
    longest = 0  # no step longer than those that were of use is tried again in this part
    for p in entries.tolist():
        for number in range(longest, len(STEPS)):
            slope = slope_of(cost, theta, p, STEPS[number], there, noise)
            if slope is not None:
                found[p] = slope
                if len(found) == 1:
                    longest = number
                break
    return found


def slope_of(
    cost: Cost, theta: NDArray[np.float64], p: int, step: float, there: float, noise: float
) -> Slope | None:
    """The slope along entry p, or None where the two steps do not agree."""
    h = step * max(1.0, abs(float(theta[p])))
    D, S = central_differences(cost, theta, p, h, there)
    D_half, S_half = central_differences(cost, theta, p, h / 2, there)
    smooth = (
        abs(D - D_half) <= DIFFERENCE * noise / h
        and abs(S - 2 * S_half) <= SECOND_DIFFERENCE * noise / h
    )
    return Slope(D_half, SLOPE * noise / h) if smooth else None


def central_differences(
    cost: Cost, theta: NDArray[np.float64], p: int, h: float, there: float
) -> tuple[float, float]:
    """D(h) and S(h) along entry p; theta is restored."""
    centre = float(theta[p])
    above, below = centre + h, centre - h
    try:
        theta[p] = above
        up = cost(theta)
        theta[p] = below
        down = cost(theta)
    finally:
        theta[p] = centre
    return (up - down) / (above - below), (up - 2 * there + down) / h
