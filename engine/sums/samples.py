"""A network's layers and checked samples, as the modules below the boundary hand them on."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Layers(NamedTuple):
    """A network as kernels see it: `sizes` (L + 1,) and `units` (L,), both int64, and its loss.

    `parameter` (n_L,) float64 is the loss's number for each output unit.
    """

    sizes: NDArray[np.int64]
    units: NDArray[np.int64]
    loss: int
    parameter: NDArray[np.float64]

    @property
    def n_parameters(self) -> int:
        """Length of theta."""
        return int(self.sizes[1:] @ (self.sizes[:-1] + 1))

    @property
    def multiply_adds(self) -> int:
        """Those of a gradient for one sample: two a weight of layer 1, three above."""
        weights = self.sizes[1:] * self.sizes[:-1]
        return int(3 * weights.sum() - weights[0])


# Inputs have few entries where less than one in so many is not 0.
FEW_ENTRIES = 32


class SparseColumns(NamedTuple):
    """Inputs of which most are 0, sample by sample: what a scipy.sparse.csr_array of rows holds.

    Sample i has `values[p]` at feature `features[p]`, for p from starts[i] to starts[i + 1] - 1;
    what stands there twice is added up.
    """

    values: NDArray[Any]
    features: NDArray[np.int32]
    starts: NDArray[np.int64]
    n_features: int

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.dtype

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_features, len(self.starts) - 1

    @property
    def has_few_entries(self) -> bool:
        """Whether a pass over the entries alone is shorter than one over all inputs, in tiles."""
        return FEW_ENTRIES * self.values.size < self.shape[0] * self.shape[1]

    def dense(self, samples: NDArray[Any]) -> NDArray[Any]:
        """The columns of those samples, 0s included."""
        counts = np.diff(self.starts)[samples]
        columns = np.repeat(np.arange(len(counts)), counts)
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        places = np.repeat(self.starts[:-1][samples], counts) + offsets
        X = np.zeros((self.n_features, len(counts)), self.dtype)
        np.add.at(X, (self.features[places], columns), self.values[places])
        return X


Inputs = NDArray[Any] | SparseColumns


def columns_of(X: Inputs, samples: slice | NDArray[Any]) -> NDArray[Any]:
    """The columns of some samples, dense."""
    if not isinstance(X, SparseColumns):
        return X[:, samples]
    if isinstance(samples, slice):
        samples = np.arange(*samples.indices(X.shape[1]))
    return X.dense(samples)


class Samples(NamedTuple):
    """Checked data, samples as columns, all floats of one dtype.

    Targets stand in `Y` (n_L, m), or, for softmax, as class codes in `codes` (m,) int32: then Y is
    None, since a one-hot matrix of all samples may be larger than X itself.
    """

    X: Inputs
    Y: NDArray[Any] | None = None
    codes: NDArray[np.int32] | None = None
    weights: NDArray[Any] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.X.dtype

    @property
    def n_samples(self) -> int:
        return int(self.X.shape[1])
