"""How much rounding may change, measured on the data at hand.

A sum of n products that is rounded on the way is the exact sum for factors that are off by some
units in their last place: no more than n, and mostly about sqrt(n) of them (Higham, Accuracy and
Stability of Numerical Algorithms, sections 3.1 and 2.8). So what changes when each parameter is
moved by a unit in its last place, up or down, shows what rounding does to a figure at these
parameters on these data: to the loss of unscaled inputs more than to that of scaled ones.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 8
SAFETY = 8.0  # times what is expected


def perturbed(theta: NDArray[Any], step: float | None = None) -> Iterator[NDArray[Any]]:
    """theta with each entry moved at random by a unit in the last place, up or down.

    With `step`, by so much, or by this share of an entry above 1.
    """
    generator = np.random.default_rng(0)
    epsilon = np.finfo(theta.dtype).eps
    for _ in range(DRAWS):
        signs = generator.integers(0, 2, theta.size) * 2 - 1
        if step is None:
            yield (theta * (1 + signs * epsilon)).astype(theta.dtype)
        else:
            yield theta + signs * step * np.maximum(1, np.abs(theta))


def noise_of(figure: Callable[[NDArray[Any]], float], theta: NDArray[Any]) -> float:
    """How much rounding changes a single figure; at least a unit in its last place."""
    there = figure(theta)
    found = [abs(figure(near) - there) for near in perturbed(theta)]
    return max(*found, float(np.finfo(theta.dtype).eps) * abs(there))


def tolerance(
    there: NDArray[Any],
    near: list[NDArray[Any]],
    length: int,
    epsilon: float,
    at_least: float = 0.0,
) -> float:
    """How much two ways of computing `there`, sums of `length` terms, may differ.

    `near` is the same for moved parameters; `epsilon` is that of the arithmetic, whose last place
    is that of the largest number there, or of `at_least` where that is more.
    """
    moved_by = max(float(np.abs(other - there).max()) for other in near)
    last_place = epsilon * max(float(np.abs(there).max()), at_least)
    return SAFETY * math.sqrt(length) * max(moved_by, last_place)
