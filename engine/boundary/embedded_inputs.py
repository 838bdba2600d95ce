"""Inputs of a network with embeddings: numbers that may be missing, and codes of levels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.equations.embeddings import LEVELS, KernelEmbeddings


def refuse_wrong_inputs(argument: str, X: NDArray[Any], embeddings: KernelEmbeddings) -> None:
    """ValueError for the first input of X (n, m) with an entry that its embedding does not take."""
    for f, x in enumerate(X):
        if embeddings.kinds[f] == LEVELS:
            wrong = ~((x >= 0) & (x < embeddings.counts[f]) & (x == np.floor(x)))
            wanted = f"codes of levels, 0 to {embeddings.counts[f] - 1}"
        else:
            wrong = ~(np.isfinite(x) | np.isnan(x)) if embeddings.missing[f] else ~np.isfinite(x)
            wanted = "finite" + (", or NaN if it is missing" if embeddings.missing[f] else "")
            if not embeddings.missing[f] and np.isnan(x).any():
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
