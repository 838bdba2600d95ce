"""The backends against each other: the same equations in matrix algebra, as loops, and tiled."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.checks.kinks import off_kinks
from engine.checks.problem import CheckProblem, evenly_spread, parts_of
from engine.checks.report import BACKENDS, Check, unusable, worst
from engine.checks.rounding import DRAWS, perturbed, tolerance
from engine.equations import backends
from engine.equations.backends import Backend
from engine.sums.chunks import ChunkSums
from engine.sums.samples import Samples
from engine.sums.workers import SPAN_SAMPLES

LOSS, GRADIENT, ACTIVATIONS = "loss", "gradient", "activations"
MOST_ROWS, FEWEST_ROWS = 4096, 64
MULTIPLY_ADDS = 500_000_000  # of a gradient on all rows: half a second in plain loops

Figures = dict[str, dict[str, NDArray[Any]]]  # what is compared, place by place


class BackendsCheck(NamedTuple):
    """The checks, their number of rows, and how many rows were left out at a kink."""

    checks: list[Check]
    n_rows: int
    on_kinks: int


def check_backends(problem: CheckProblem, at: str) -> BackendsCheck:
    """J, gradient and output activations of all backends, in the estimator's dtype."""
    theta = problem.points[at]
    most = MULTIPLY_ADDS // problem.network.layers.multiply_adds
    rows = evenly_spread(problem.rows, min(max(most, FEWEST_ROWS), MOST_ROWS))
    kept = off_kinks(problem, theta, rows, list(perturbed(theta)))
    on_kinks = rows.n_rows - kept.n_rows
    samples = kept.samples(theta.dtype)
    found = {
        name: figures(problem, backend, samples, theta)
        for name, backend in backends.BACKENDS.items()
    }
    reference = found["numpy"]
    if not all(
        np.isfinite(array).all() for places in reference.values() for array in places.values()
    ):
        there = float(reference[LOSS][LOSS])
        checks = [unusable(BACKENDS, at, what, there) for what in reference]
        return BackendsCheck(checks, rows.n_rows, on_kinks)
    numpy = backends.BACKENDS["numpy"]
    near = [
        figures(problem, numpy, moved, other)
        for moved, other in zip(with_moved_targets(samples), perturbed(theta), strict=True)
    ]
    checks = [compare(problem, at, what, found, near, theta.dtype) for what in reference]
    return BackendsCheck(checks, rows.n_rows, on_kinks)


def with_moved_targets(samples: Samples) -> Iterator[Samples]:
    """The samples with each target moved by a unit in its last place.

    An output near its target is rounded to the target's last place, and what remains of both is no
    more exact than that: all that a float32 output of 0.9999 says of its distance from 1.
    """
    if samples.Y is None:
        yield from itertools.repeat(samples, DRAWS)
        return
    for flat in perturbed(samples.Y.reshape(-1)):
        yield samples._replace(Y=flat.reshape(samples.Y.shape))


def figures(
    problem: CheckProblem, backend: Backend, samples: Samples, theta: NDArray[Any]
) -> Figures:
    """J, the gradient by parts, and the activations by output units."""
    cost, dtheta = problem.objective(samples, backend).cost_and_gradient(theta)
    with np.errstate(all="ignore"):
        activations = ChunkSums(backend, problem.network.layers, samples).forward(theta)
    return {
        LOSS: {LOSS: np.array(cost)},
        GRADIENT: {part.name: dtheta[part.entries] for part in parts_of(problem.network)},
        ACTIVATIONS: {f"output {j}": row for j, row in enumerate(activations)},
    }


def compare(
    problem: CheckProblem,
    at: str,
    what: str,
    found: dict[str, Figures],
    near: list[Figures],
    dtype: Any,
) -> Check:
    """The place where two backends differ most, in units of what rounding may change there."""
    length = max(*problem.network.dense_sizes, min(problem.rows.n_rows, SPAN_SAMPLES))
    epsilon = float(np.finfo(dtype).eps)
    checks = []
    for place, there in found["numpy"][what].items():
        allowed = tolerance(there, [other[what][place] for other in near], length, epsilon)
        for one, other in itertools.combinations(found, 2):
            apart = np.abs(found[one][what][place] - found[other][what][place])
            where = f"{place}, {one} and {other}" if place != what else f"{one} and {other}"
            deviation = float(apart.max())
            checks.append(Check(BACKENDS, at, what, deviation, allowed, where))
    return worst(checks)
