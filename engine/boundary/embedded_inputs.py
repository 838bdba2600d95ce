"""Inputs of a network with embeddings: numbers that may be missing, and codes of levels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def refuse_wrong_inputs(
    argument: str, X: NDArray[Any], levels: Sequence[int], missing: Sequence[bool]
) -> None:
    """ValueError for the first input of X (n, m) with an entry that its embedding does not take.

    `levels` says of each input how many levels it has, 0 of a number; `missing`, whether it may be
    NaN.
    """
    for f, x in enumerate(X):
        if levels[f]:
            wrong = ~((x >= 0) & (x < levels[f]) & (x == np.floor(x)))
            wanted = f"codes of levels, 0 to {levels[f] - 1}"
        else:
            wrong = ~(np.isfinite(x) | np.isnan(x)) if missing[f] else ~np.isfinite(x)
            wanted = "finite" + (", or NaN if it is missing" if missing[f] else "")
            if not missing[f] and np.isnan(x).any():
                wanted += ": nothing was missing in training"
        if wrong.any():
            i = int(wrong.argmax())
            raise ValueError(f"Input {f} of {argument} must be {wanted}; sample {i} has {x[i]}.")


def require_no_embeddings(layers: Any, what: str) -> None:
    """ValueError if a network has embeddings, which `what` does not go with."""
    if layers.embeddings is not None:
        raise ValueError(
            f"{what} is not there for a network with embeddings: use a network without them, or "
            "another solver."
        )
