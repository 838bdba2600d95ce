"""The curvature of the cost at fitted parameters: G + alpha R, its inverse, and its rank.

G is the Gauss-Newton matrix (N1), but it is never formed: rounding it would lose half of the
digits. The rows whose products add up to it are put into a triangular factor, block by block,

    [ rows of the samples; sqrt(alpha) e_p for each weight p ] = Q U,     U^T U = G + alpha R

so that the Jacobian is never stored whole. Only the small U is decomposed further, with columns of
length 1, D = diag(|U_p|), so that nothing depends on the units of inputs:

    U D^-1 = Q S V^T,     half = D^-1 V_r S_r^-1,     M = half half^T

with the r singular values that are not 0. M is the inverse of G + alpha R, or, if that is singular,
a generalised inverse (M A M = M, A M A = A): the same for each function of the parameters that the
data identify. Everything is float64, and BLAS uses one thread, so that the bits are always the
same.
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
# With a penalty: a combination of biases of hidden layers does nothing if its column, less what
# output biases can do as well, is shorter than this share of the longest one. So are the biases of
# units that the penalty has switched off. (Of the squares it is damped_step.LOST_BIASES.)
SWITCHED_OFF = 1e-6
# What moves a parameter by less than this share of the movement leaves it as it is.
NO_PART, NO_PART_OF_SWITCHED_OFF = 1e-6, 1e-3


def blocks_of(
    theta: NDArray[Any], layers: Layers, X: Inputs
) -> Iterator[tuple[slice, NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """For each block of samples: where it is, Z[L], A[L], and a workspace of the activations."""
    sizes, units, _, _ = layers
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
    sizes, units, _, _ = layers
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

    Raises
    ------
    ValueError
        If the curvature is not finite.
    """

    def __init__(
        self, theta: NDArray[np.float64], layers: Layers, samples: Samples, alpha: float
    ) -> None:
        self._theta, self._layers, self._samples, self._alpha = theta, layers, samples, alpha
        self.is_weight = weights_among(layers)
        self._data_factor = factor_of(self._weighted_rows(), theta.size)
        penalty = np.sqrt(alpha) * np.eye(theta.size)[self.is_weight]
        self._rows = np.vstack([self._data_factor, penalty]) if alpha > 0 else self._data_factor
        self._lengths = lengths_of(self._rows)
        self._kept, self._switched_off = np.eye(theta.size), np.zeros((theta.size, 0))
        if alpha > 0:
            self._kept, self._switched_off = self._directions()
        tolerance = max(theta.size, samples.n_samples) * np.finfo(np.float64).eps
        half, null = halves_of(self._rows @ self._kept, tolerance)
        self._half, self._null = self._kept @ half, self._kept @ null
        self.rank = int(half.shape[1])

    def _directions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Directions of theta, as columns: those that count, and those that do nothing.

        The latter are combinations of biases of hidden layers. Their columns also show by how much
        output biases undo them, as shares of the longest column.
        """
        one, n_outputs = np.eye(self._theta.size), int(self._layers.sizes[-1])
        hidden = ~self.is_weight
        hidden[-n_outputs:] = False
        columns, of_outputs = self._data_factor[:, hidden], self._data_factor[:, -n_outputs:]
        lengths = lengths_of(of_outputs)
        longest = np.linalg.norm(columns, axis=0).max(initial=0) or 1.0
        undoing = np.linalg.pinv(of_outputs / lengths, rcond=SWITCHED_OFF) @ columns
        _, s, Vt = np.linalg.svd(columns - (of_outputs / lengths) @ undoing)
        rank = int(np.sum(s > SWITCHED_OFF * longest))
        kept = np.hstack([one[:, ~hidden], one[:, hidden] @ Vt[:rank].T])
        lost = one[:, hidden] - one[:, -n_outputs:] @ undoing / longest
        return kept, lost @ Vt[rank:].T

    @cached_property
    def root(self) -> NDArray[np.float64]:
        """F with F^T F = M G M (N7): the covariance of the parameters for a dispersion of 1."""
        if self._alpha == 0:
            return self._half.T
        found: NDArray[np.float64] = (self._data_factor @ self._half) @ self._half.T
        return found

    @property
    def unidentified(self) -> NDArray[np.bool_]:
        """Which parameters can change without any change of the cost, to first order."""
        moved = np.linalg.norm(self._null, axis=1) * self._lengths > NO_PART
        off = np.linalg.norm(self._switched_off, axis=1) > NO_PART_OF_SWITCHED_OFF
        found: NDArray[np.bool_] = moved | off
        return found

    def identifies(self, combination: NDArray[np.float64]) -> bool:
        """Whether a combination (n_parameters,) of parameters is identified."""
        if np.linalg.norm(combination @ self._switched_off) > NO_PART_OF_SWITCHED_OFF:
            return False
        moved = np.linalg.norm(combination @ self._null)
        return bool(moved <= NO_PART * np.linalg.norm(combination / self._lengths))

    @cached_property
    def _shares_of_penalty(self) -> NDArray[np.float64]:
        """alpha M_pp of each parameter; 0 of biases."""
        found: NDArray[np.float64] = self._alpha * self.is_weight * np.sum(self._half**2, axis=1)
        return found

    @property
    def by_penalty(self) -> NDArray[np.bool_]:
        """Which weights the penalty alone determines: the data add less than a hundredth to it."""
        return self._shares_of_penalty > 0.99

    @property
    def effective_parameters(self) -> float:
        """gamma (N6): how many parameters the data determine."""
        return self.rank - float(np.sum(self._shares_of_penalty))

    @property
    def log_determinant(self) -> float:
        """log det(G + alpha R), without what is not identified: such biases stay as they are."""
        left_out = np.linalg.qr(self._kept.T @ self._null)[0]
        factor: Any = np.linalg.qr(np.vstack([self._rows @ self._kept, left_out.T]), mode="r")
        return float(2 * np.sum(np.log(np.abs(np.diag(factor)))))

    def gain_of_step(self, gradient: NDArray[np.float64]) -> float:
        """By how much a Gauss-Newton step lowers the cost: g^T M g / 2."""
        return float(0.5 * np.sum((gradient @ self._half) ** 2))

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


def factor_of(blocks: Iterator[NDArray[np.float64]], n_parameters: int) -> NDArray[np.float64]:
    """U of all rows (n_parameters, m) that the blocks hold; at most n_parameters rows of its own.

    ValueError if it is not finite.
    """
    factor: Any = np.zeros((0, n_parameters))
    for rows in blocks:
        factor = np.linalg.qr(np.vstack([factor, rows.T]), mode="r")
    if not np.isfinite(factor).all():
        raise ValueError(
            "The derivatives of the outputs by theta are not finite; pass the parameters of a "
            "training that has ended, and inputs of mean 0 and variance 1."
        )
    found: NDArray[np.float64] = factor
    return found


def lengths_of(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """The length of each column; 1 of columns of zeros."""
    lengths = np.linalg.norm(columns, axis=0)
    return np.where(lengths > 0, lengths, 1)


def halves_of(
    rows: NDArray[np.float64], tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """half (n, rank) with M = half half^T, and null (n, n - rank), which the rows send to 0.

    Columns of null have length 1 where the columns of rows have length 1.
    """
    factor: Any = np.linalg.qr(rows, mode="r")
    lengths = lengths_of(factor)[:, np.newaxis]
    _, s, Vt = np.linalg.svd(factor / lengths.T)
    rank = int(np.sum(s > tolerance * s[0]))
    return Vt[:rank].T / s[:rank] / lengths, Vt[rank:].T / lengths


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
