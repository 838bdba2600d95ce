"""The curvature of the cost at fitted parameters: G + alpha R, its inverse, and its rank.

G is the Gauss-Newton matrix (N1), but it is never formed: rounding it would lose half of the
digits. The rows whose products add up to it are put into a triangular factor, block by block,

    [ rows of the samples; sqrt(alpha) e_p for each weight p ] = Q U,     U^T U = G + alpha R

so that the Jacobian is never stored whole. Only the small U is decomposed further, by its singular
values. Everything is float64, and BLAS uses one thread, so that the bits are always the same.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.equations.activations import activate_numpy
from engine.equations.gauss_newton import jacobian_rows_numpy, output_row_numpy
from engine.equations.layout import units_of
from engine.equations.losses import KernelLoss, curvature_numpy
from engine.equations.passes import logits_numpy
from engine.sums.samples import Inputs, Layers, Samples, columns_of

ROWS_AT_A_TIME = 512  # samples of a block
# With a penalty: the bias of a unit that the penalty has switched off is not identified. Its
# singular value is less than this share of the largest one (its square: damped_step.LOST_BIASES).
SWITCHED_OFF = 1e-6


def blocks_of(
    theta: NDArray[Any], layers: Layers, X: Inputs
) -> Iterator[tuple[slice, NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """For each block of samples: where it is, Z[L], A[L], and a workspace of the activations."""
    sizes, units, _ = layers
    L, n_samples = len(units), X.shape[1]
    for first in range(0, n_samples, ROWS_AT_A_TIME):
        block = slice(first, min(first + ROWS_AT_A_TIME, n_samples))
        A = np.empty((int(sizes.sum()), block.stop - first))
        units_of(A, sizes, 0)[:] = columns_of(X, block)
        logits_numpy(theta, sizes, units, A)
        output = units_of(A, sizes, L)
        Z = output.copy()
        activate_numpy(units[L - 1], Z, output)
        yield block, Z, output, A


def rows_of(
    theta: NDArray[Any], layers: Layers, A: NDArray[Any], output_rows: NDArray[Any]
) -> NDArray[Any]:
    """rows (n_parameters, m) of a backward pass that begins with dZ[L] = output_rows (n_L, m)."""
    sizes, units, _ = layers
    dZ, rows = np.empty_like(A), np.empty((theta.size, A.shape[1]))
    units_of(dZ, sizes, len(units))[:] = output_rows
    jacobian_rows_numpy(theta, sizes, units, A, dZ, rows)
    return rows


def weights_among(layers: Layers) -> NDArray[np.bool_]:
    """Which parameters are weights: R of the penalty; biases are not penalised."""
    sizes = layers.sizes.tolist()
    kinds = [[True] * (n_in * n_out) + [False] * n_out for n_in, n_out in pairwise(sizes)]
    return np.array([one for of_layer in kinds for one in of_layer])


class Curvature:
    """G + alpha R at theta.

    Parameters
    ----------
    theta : ndarray (n_parameters,) float64
    layers : Layers
    samples : Samples, float64
    alpha : float

    Attributes
    ----------
    rank : int
        Of G + alpha R: less than n_parameters if some are not identified.
    """

    def __init__(
        self, theta: NDArray[np.float64], layers: Layers, samples: Samples, alpha: float
    ) -> None:
        self._theta, self._layers, self._samples, self._alpha = theta, layers, samples, alpha
        self.is_weight = weights_among(layers)
        self._data_factor: Any = np.zeros((0, theta.size))
        for rows in self._weighted_rows():
            self._data_factor = np.linalg.qr(np.vstack([self._data_factor, rows.T]), mode="r")
        penalty = np.sqrt(alpha) * np.eye(theta.size)[self.is_weight]
        whole = np.vstack([self._data_factor, penalty]) if alpha > 0 else self._data_factor
        factor: Any = np.linalg.qr(whole, mode="r")
        scales, tolerance = np.ones(theta.size), SWITCHED_OFF
        if alpha == 0:  # columns of length 1, so that the rank does not depend on inputs' units
            lengths = np.linalg.norm(factor, axis=0)
            scales = np.where(lengths > 0, lengths, 1)
            tolerance = max(theta.size, samples.n_samples) * np.finfo(np.float64).eps
        values = np.linalg.svd(factor / scales, compute_uv=False)
        self.rank = int(np.sum(values > tolerance * values[0])) if values.size else 0
        if self.rank == theta.size:
            _, s, Vt = np.linalg.svd(factor / scales, full_matrices=False)
            self._half: Any = Vt.T / s / scales[:, np.newaxis]
            self._null: Any = np.zeros((theta.size, 0))
        else:
            _, s, Vt = np.linalg.svd(factor, full_matrices=True)
            self._half = Vt[: self.rank].T / s[: self.rank]
            self._null = Vt[self.rank :].T

    @cached_property
    def inverse(self) -> NDArray[np.float64]:
        """M = (G + alpha R)^-1, a pseudo-inverse if that is singular."""
        inverse: NDArray[np.float64] = self._half @ self._half.T
        return inverse

    @cached_property
    def of_parameters(self) -> NDArray[np.float64]:
        """M G M (N7): the covariance of the parameters for a dispersion of 1."""
        if self._alpha == 0:
            return self.inverse
        spread = self._data_factor @ self.inverse
        found: NDArray[np.float64] = spread.T @ spread
        return found

    @property
    def unidentified(self) -> NDArray[np.bool_]:
        """Which parameters can change without any change of the cost, to first order."""
        found: NDArray[np.bool_] = np.linalg.norm(self._null, axis=1) > 1e-6
        return found

    @property
    def by_penalty(self) -> NDArray[np.bool_]:
        """Which weights the penalty alone determines: the data add less than a hundredth to it."""
        share: NDArray[np.float64] = self._alpha * np.diag(self.inverse)
        return self.is_weight & (share > 0.99)

    @property
    def effective_parameters(self) -> float:
        """gamma (N6): how many parameters the data determine."""
        shrunk = self._alpha * float(np.sum(np.diag(self.inverse)[self.is_weight]))
        return self.rank - shrunk

    @property
    def log_determinant(self) -> float:
        """log det(G + alpha R), without the combinations of parameters that are not identified."""
        s = np.linalg.svd(self._half, compute_uv=False)
        return float(-2 * np.sum(np.log(s)))

    def leverage(self) -> NDArray[np.float64]:
        """h_i (m,): the trace of s_i J_i M J_i^T H_i (N7)."""
        found = np.zeros(self._samples.n_samples)
        n_outputs = int(self._layers.sizes[-1])
        for number, rows in enumerate(self._weighted_rows()):
            first = number // n_outputs * ROWS_AT_A_TIME
            found[first : first + rows.shape[1]] += np.sum((self._half.T @ rows) ** 2, axis=0)
        return found

    def _weighted_rows(self) -> Iterator[NDArray[np.float64]]:
        """The rows (n_parameters, m) of each block, for one output unit after the other."""
        loss, unit = self._layers.loss, self._layers.units[-1]
        for block, Z, output, A in blocks_of(self._theta, self._layers, self._samples.X):
            H = weighted_curvature(loss, unit, Z, output, self._samples, block)
            for k in range(len(H)):
                dZ = np.empty_like(output)
                output_row_numpy(unit, output, H, k, dZ)
                yield rows_of(self._theta, self._layers, A, dZ)


def weighted_curvature(
    loss: KernelLoss,
    unit: Any,
    Z: NDArray[Any],
    output: NDArray[Any],
    samples: Samples,
    block: slice,
) -> NDArray[Any]:
    """s_i h_j(i) of a block of samples."""
    H = np.empty_like(Z)
    curvature_numpy(
        loss, unit, output, Z, targets_of(samples, block, len(Z)), weights_of(samples, block), H
    )
    return H


def targets_of(samples: Samples, block: slice, n_outputs: int) -> NDArray[Any]:
    """The targets of a block, class codes as one-hot columns."""
    if samples.codes is None:
        assert samples.Y is not None
        return samples.Y[:, block]
    return np.eye(n_outputs)[samples.codes[block]].T


def weights_of(samples: Samples, block: slice) -> NDArray[Any]:
    """The weights of a block; 1 each if there are none."""
    if samples.weights is None:
        return np.ones(min(block.stop, samples.n_samples) - block.start)
    return samples.weights[block]
