"""A few inputs and what the model gave for them, which a file carries to be tried on."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

N_EXAMPLES = 8
DRAWN = (
    "standard normal numbers, row by row, from NumPy's PCG64 with seed 0, rounded to the dtype "
    "that the model takes"
)
GIVEN = "rows of the user's"


class Examples(NamedTuple):
    """Inputs (rows, n_0), and the activations of the output layer (rows, n_L) for them."""

    X: NDArray[Any]
    outputs: NDArray[Any]


def drawn_rows(n_features: int) -> NDArray[np.float64]:
    """Eight rows of numbers: `numpy.random.Generator(PCG64(0)).standard_normal`."""
    return np.random.Generator(np.random.PCG64(0)).standard_normal((N_EXAMPLES, n_features))


def chosen(n_rows: int) -> NDArray[np.int64]:
    """Numbers of at most eight rows, evenly spread."""
    numbers = np.linspace(0, n_rows - 1, min(n_rows, N_EXAMPLES)).round().astype(np.int64)
    return numbers


def ulps_apart(expected: NDArray[Any], came: NDArray[Any]) -> float:
    """The largest difference, in units in the last place of the largest number expected.

    That is what rounding is to be judged by: a probability of 1e-9 beside one of 0.9 is as exact as
    the sums that both are made of. Infinite for another shape, and where one is not finite.

    Examples
    --------
    >>> ulps_apart(np.array([0.5, 1.0]), np.array([0.5, 1 - 2**-53]))
    0.5
    """
    if expected.shape != came.shape:
        return math.inf
    if expected.size == 0:
        return 0.0
    with np.errstate(all="ignore"):
        unit = float(np.spacing(np.abs(expected).max(), dtype=expected.dtype))
        apart = np.abs(expected.astype(np.float64) - came.astype(np.float64)).max()
    return float(apart / unit) if np.isfinite(apart) else math.inf
