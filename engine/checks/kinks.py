"""Rows so near a kink that a small change of the parameters decides on which side they are.

A relu unit has a kink at z = 0, and the losses L7 have one where the prediction equals the target.
At the kink a row may or may not count in the gradient, and neither is wrong.
"""

import math
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from engine.checks.problem import CheckProblem
from engine.checks.rounding import SAFETY
from engine.equations.activations import activate_numpy
from engine.equations.embeddings import embed_numpy
from engine.estimators.input_validation import Rows


def off_kinks(
    problem: CheckProblem,
    theta: NDArray[Any],
    rows: Rows,
    moved: list[NDArray[Any]],
    of_relu: bool = True,
) -> Rows:
    """The rows without a unit that these `moved` parameters could put beyond its kink.

    Without `of_relu`, kinks of the loss alone count.
    """
    network = problem.network
    kinked = [l for l, unit in enumerate(network.hidden) if unit == "relu" and of_relu]
    kinked += [len(network.hidden)] * network.loss.row.has_kink
    if not kinked:
        return rows
    distances = distances_to_kinks(problem, theta, rows)
    near = [distances_to_kinks(problem, other, rows) for other in moved]
    on_kink = np.zeros(rows.n_rows, bool)
    for l in kinked:
        moved_by = max(float(np.abs(other[l] - distances[l]).max()) for other in near)
        margin = SAFETY * math.sqrt(network.dense_sizes[l]) * moved_by
        on_kink |= (np.abs(distances[l]) <= margin).any(axis=0)
    kept = np.flatnonzero(~on_kink)
    if rows.weights is not None and not np.any(rows.weights[kept]):
        return rows
    return rows.chosen(kept) if len(kept) else rows


def distances_to_kinks(
    problem: CheckProblem, theta: NDArray[Any], rows: Rows
) -> list[NDArray[Any]]:
    """Z (n_l, m) of each hidden layer; of the output layer Z - Y, for a loss with a kink."""
    network = problem.network
    X = rows.X.astype(theta.dtype, copy=False)
    A: Any = X.T.tocsc() if scipy.sparse.issparse(X) else X.T
    found = []
    with np.errstate(all="ignore"):
        embeddings = network.layers.embeddings
        if embeddings is not None:
            E = np.empty((network.dense_sizes[0], A.shape[1]), theta.dtype)
            embed_numpy(theta, embeddings, A, E)  # type: ignore[no-untyped-call]
            A = E
        layers = zip(network.views(theta), network.layers.units, strict=True)
        for l, ((W, b), unit) in enumerate(layers):
            Z = (W @ A) + b[:, np.newaxis]
            if l == len(network.hidden):
                is_kinked = network.loss.row.has_kink
                found.append(Z - rows.targets.T.astype(theta.dtype) if is_kinked else Z)
                break
            A = np.empty_like(Z)
            activate_numpy(unit, Z, A)  # type: ignore[no-untyped-call]
            found.append(Z)
    return found
