"""What a file of a network holds, once it is checked."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from engine.model_files.description import Description
from engine.model_files.examples import Examples


class Stored(NamedTuple):
    """A network, its parameters, examples, and the curves of its training.

    Attributes
    ----------
    description : Description
    theta : ndarray (n_parameters,)
    examples : Examples
    curves : dict of float64 arrays
        By the names of the estimators' attributes.
    metadata : dict of str
        All that the file says; empty before it is written.
    """

    description: Description
    theta: NDArray[Any]
    examples: Examples
    curves: dict[str, NDArray[Any]]
    metadata: dict[str, str]


def layers_of(
    theta: NDArray[Any], shapes: Sequence[tuple[int, int]]
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """W and b of each layer as views of theta: W[1] row by row, b[1], W[2] row by row, ..."""
    found, start = [], 0
    for n_out, n_in in shapes:
        middle = start + n_out * n_in
        W, b = theta[start:middle].reshape(n_out, n_in), theta[middle : middle + n_out]
        found.append((W, b))
        start = middle + n_out
    return found
