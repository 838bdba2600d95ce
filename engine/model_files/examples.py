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


def last_place(*outputs: NDArray[Any]) -> float:
    """The unit in the last place of the largest number of all, which must be of one dtype.

    That is what rounding is to be judged by: a probability of 1e-9 beside one of 0.9 is as exact as
    the sums that both are made of. Numbers that are not finite do not count, nor do those below the
    smallest that has all its bits, which kernels take for 0.

    Examples
    --------
    >>> last_place(np.array([0.5, 1.0])) == 2**-52
    True
    """
    dtype = outputs[0].dtype
    finite = [np.abs(array[np.isfinite(array)]).max(initial=0) for array in outputs]
    return float(np.spacing(max(*finite, np.finfo(dtype).tiny), dtype=dtype))


def apart(expected: NDArray[Any], came: NDArray[Any]) -> float:
    """The largest difference; infinite for another shape, and where one is not finite.

    Examples
    --------
    >>> apart(np.array([0.5, 1.0]), np.array([0.5, 0.75]))
    0.25
    """
    if expected.shape != came.shape:
        return math.inf
    with np.errstate(all="ignore"):
        found = np.abs(expected.astype(np.float64) - came.astype(np.float64)).max(initial=0)
    return float(found) if np.isfinite(found) else math.inf
