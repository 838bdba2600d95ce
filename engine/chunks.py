"""Samples in fixed chunks, and the sums of a network's passes over them.

The cut depends on the number of samples alone. Each chunk is summed by the backend in the dtype of
the data (the loops take some steps in float64); chunk sums are added in float64, in order. So the
workspace stays small, and a sum over a million float32 samples loses no more than one over a chunk.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.equations.backends import Backend
from engine.equations.layout import units_of

CHUNK_SAMPLES = 1024  # docs/decisions/0003-chunks.md


class Layers(NamedTuple):
    """A network as kernels see it: `sizes` (L + 1,) and `units` (L,), both int64."""

    sizes: NDArray[np.int64]
    units: NDArray[np.int64]


class Samples(NamedTuple):
    """Checked data, samples as columns, all floats of one dtype.

    Targets stand in `Y` (n_L, m), or, for softmax, as class codes in `codes` (m,) int32: then Y is
    None, since a one-hot matrix of all samples may be larger than X itself.
    """

    X: NDArray[Any]
    Y: NDArray[Any] | None = None
    codes: NDArray[np.int32] | None = None
    weights: NDArray[Any] | None = None

    @property
    def n_samples(self) -> int:
        return int(self.X.shape[1])

    @property
    def total_weight(self) -> float:
        """S = sum_i s_i."""
        if self.weights is None:
            return float(self.n_samples)
        return float(np.sum(self.weights, dtype=np.float64))


class Block(NamedTuple):
    """Workspace of one chunk, with its samples in it: the arrays that a pass takes."""

    A: NDArray[Any]
    dZ: NDArray[Any]
    Y: NDArray[Any]
    s: NDArray[Any]


def chunk_bounds(n_samples: int) -> list[tuple[int, int]]:
    """First sample of each chunk and first of the next.

    >>> chunk_bounds(2500)
    [(0, 1024), (1024, 2048), (2048, 2500)]
    """
    starts = range(0, n_samples, CHUNK_SAMPLES)
    return [(start, min(start + CHUNK_SAMPLES, n_samples)) for start in starts]


class ChunkSums:
    """Sums over samples of a network's cost and gradient, as functions of theta.

    Parameters
    ----------
    backend : Backend
    layers : Layers
    samples : Samples
    """

    def __init__(self, backend: Backend, layers: Layers, samples: Samples) -> None:
        self._backend = backend
        self._layers = layers
        self._samples = samples
        self._chunks = chunk_bounds(samples.n_samples)
        self._loaded: tuple[int, int] | None = None
        self._block: Block

    def forward(self, theta: NDArray[Any]) -> NDArray[Any]:
        """A[L] (n_L, m)."""
        activations = np.empty((self._layers.sizes[-1], self._samples.n_samples), theta.dtype)
        for start, stop in self._chunks:
            block = self._load(start, stop)
            activations[:, start:stop] = self._backend.forward_pass(theta, *self._layers, block.A)
        return activations

    def cost(self, theta: NDArray[Any]) -> float:
        """sum_i s_i J_i."""
        total = 0.0
        for start, stop in self._chunks:
            A, _, Y, s = self._load(start, stop)
            total += self._backend.cost_pass(theta, *self._layers, A, Y, s)
        return total

    def cost_and_gradient(self, theta: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
        """sum_i s_i J_i and its gradient by theta."""
        total, gradient = 0.0, np.zeros(theta.size)
        of_chunk = np.empty_like(theta)
        for start, stop in self._chunks:
            block = self._load(start, stop)
            total += self._backend.gradient_pass(theta, *self._layers, *block, of_chunk)
            gradient += of_chunk
        return total, gradient

    def _load(self, start: int, stop: int) -> Block:
        """The samples of a chunk in C-ordered arrays, whatever the layout of the caller's.

        A pass leaves X, Y and s as they are, so the chunk that was loaded last is not copied again.
        """
        if self._loaded == (start, stop):
            return self._block
        X, Y, codes, weights = self._samples
        count = stop - start
        fits = self._loaded is not None and self._block.s.size == count
        self._loaded = None  # until all of it is: Ctrl-C may come between
        if not fits:
            n_units, n_out = int(self._layers.sizes.sum()), int(self._layers.sizes[-1])
            self._block = Block(
                A=np.zeros((n_units, count), X.dtype),
                dZ=np.zeros((n_units, count), X.dtype),
                Y=np.empty((n_out, count), X.dtype),
                s=np.ones(count, X.dtype),
            )
        block = self._block
        units_of(block.A, self._layers.sizes, 0)[:] = X[:, start:stop]
        if Y is not None:
            block.Y[:] = Y[:, start:stop]
        elif codes is not None:
            block.Y[:] = 0
            block.Y[codes[start:stop], np.arange(count)] = 1
        if weights is not None:
            block.s[:] = weights[start:stop]
        self._loaded = (start, stop)
        return block
