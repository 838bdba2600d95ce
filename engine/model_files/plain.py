"""The forward pass once more, in NumPy alone: a first answer waits for no compiler.

    F1  Z = W A_prev + b
    F2 ... F7  A = g(Z), as in engine/equations/activations.py

`engine.equations` says the same three times, but its modules load Numba, and that takes longer than
all else between a new process and its first prediction. A test holds this one to the bits of
`backend="numpy"`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Parameters = Sequence[tuple[NDArray[Any], NDArray[Any]]]  # (W, b) of each layer

HIDDEN_UNITS = ("tanh", "sigmoid", "relu", "identity")
OUTPUT_UNITS = ("sigmoid", "softmax", "identity", "exp")


def forward(layers: Parameters, units: Sequence[str], X: NDArray[Any]) -> NDArray[Any]:
    """A[L] (n_L, m) of X (n_0, m), all of one dtype.  sum_l n_l n_{l-1} multiply-adds a sample."""
    A = X
    with np.errstate(all="ignore"):  # what overflows is inf or NaN, and says so itself
        for (W, b), unit in zip(layers, units, strict=True):
            Z = np.matmul(W, A)
            Z += b[:, np.newaxis]  # as F1
            activate(unit, Z)
            A = Z
    return A


def activate(unit: str, Z: NDArray[Any]) -> None:
    """A = g(Z) for a layer of `unit` units, in place."""
    if unit == "tanh":
        np.tanh(Z, out=Z)  # as F2
    elif unit == "sigmoid":
        e = np.exp(-np.abs(Z))
        np.divide(np.where(Z < 0, e, 1), 1 + e, out=Z)  # as F3
    elif unit == "relu":
        np.maximum(0, Z, out=Z)  # as F4
    elif unit == "softmax":
        e = np.exp(Z - Z.max(axis=0))
        np.divide(e, e.sum(axis=0), out=Z)  # as F6
    elif unit == "exp":
        np.exp(Z, out=Z)  # as F7
    # as F5  of identity units: nothing to do, A = Z
