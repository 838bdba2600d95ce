"""A network's layers and checked samples, as Python hands them on and as kernels take them."""

import functools
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from engine.equations.embeddings import KernelEmbeddings
from engine.equations.layout import n_parameters_of
from engine.equations.losses import KernelLoss

# An embedded input costs as much as so many weights for each unit of layer 1: two rows of a table
# are looked up, and are added to again.
WEIGHTS_AN_EMBEDDED_INPUT = 6


class Layers(NamedTuple):
    """A network as kernels see it: `sizes` (L + 1,) and `units` (L,), both int64, and its loss.

    With embeddings, sizes[0] is the length of all their vectors, and their parameters follow those
    of the layers in theta.
    """

    sizes: NDArray[np.int64]
    units: NDArray[np.int64]
    loss: KernelLoss
    embeddings: KernelEmbeddings | None = None

    def with_label_smoothing(self, e: float) -> "Layers":
        """The same layers, but the cross-entropy is that of smoothed targets (L16)."""
        if e == 0:
            return self
        return self._replace(loss=self.loss._replace(parameter=np.full(self.sizes[-1], float(e))))

    @property
    def n_parameters(self) -> int:
        """Length of theta."""
        if self.embeddings is not None:
            return int(self.embeddings.places[-1])
        return n_parameters_of(self.sizes.tolist())

    @property
    def n_inputs(self) -> int:
        """Features of a sample."""
        return int(self.sizes[0] if self.embeddings is None else self.embeddings.kinds.size)

    @property
    def multiply_adds(self) -> int:
        """Those of a gradient for one sample: two per weight of layer 1, three per weight above."""
        weights: list[int] = [n * n_below for n_below, n in pairwise(self.sizes.tolist())]
        if self.embeddings is not None:
            weights[0] = WEIGHTS_AN_EMBEDDED_INPUT * self.n_inputs * int(self.sizes[1])
        return 3 * sum(weights) - weights[0]


# Inputs count as having few entries if fewer than one in so many is not 0.
FEW_ENTRIES = 32


class SparseColumns(NamedTuple):
    """Sparse inputs, sample by sample: the content of a scipy.sparse.csr_array of rows.

    Sample i has `values[p]` at feature `features[p]`, for p from starts[i] to starts[i + 1] - 1;
    duplicate entries are added up.
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
        """Whether a pass over the entries alone is faster than one over all inputs, in tiles."""
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


class Strided(NamedTuple):
    """A matrix (units, samples) of any memory order: numbers[k * unit_step + i * sample_step].

    All memory orders have the same type, so kernels are compiled only once.
    """

    numbers: NDArray[Any]
    unit_step: int
    sample_step: int


class KernelSamples(NamedTuple):
    """Samples as compiled kernels take them; what is absent is an empty array.

    Sparse inputs have their values in X.numbers, and use `features` and `starts` as well;
    `entries_alone` is 1 if layer 1 is computed from the entries, without dense blocks of inputs.
    """

    X: Strided
    Y: Strided
    codes: NDArray[np.int32]
    weights: NDArray[Any]
    features: NDArray[np.int32]
    starts: NDArray[np.int64]
    entries_alone: int


def strided(matrix: NDArray[Any]) -> Strided:
    """A matrix (units, samples) of the same memory, or a copy if steps are negative."""
    itemsize, flags = matrix.itemsize, matrix.flags
    if (
        matrix.size == 0
        or not flags.aligned
        or any(stride % itemsize or stride < 0 for stride in matrix.strides)
    ):
        matrix = np.ascontiguousarray(matrix)
        flags = matrix.flags
    by_unit, by_sample = matrix.strides
    unit_step, sample_step = by_unit // itemsize, by_sample // itemsize
    if flags.c_contiguous:
        numbers = matrix.reshape(-1)
    elif flags.f_contiguous:
        numbers = matrix.T.reshape(-1)
    else:
        n_units, n_samples = matrix.shape
        extent = 1 + (n_units - 1) * unit_step + (n_samples - 1) * sample_step
        numbers = as_strided(matrix, (extent,), (itemsize,))
    return Strided(read_only(numbers), unit_step, sample_step)


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The same memory, always of the type that kernels were compiled for."""
    view = np.ascontiguousarray(array).view()
    view.setflags(write=False)
    return view


@functools.cache
def nothing(dtype: Any) -> NDArray[Any]:
    """What is absent, as kernels take it: an empty array, made once for each dtype."""
    return read_only(np.empty(0, dtype))


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

    def in_float64(self) -> "Samples":
        """The same numbers in float64: a copy, unless they are that already."""
        if self.dtype == np.float64:
            return self
        if isinstance(self.X, SparseColumns):
            X: Inputs = self.X._replace(values=self.X.values.astype(np.float64))
        else:
            X = self.X.astype(np.float64)
        Y, weights = (None if one is None else one.astype(np.float64) for one in self[1::2])
        return Samples(X, Y, self.codes, weights)

    def for_kernels(self) -> KernelSamples:
        """The same arrays as kernels take them; copied only if kernels cannot use their strides."""
        X, Y, codes, weights = self
        features, starts, entries_alone = nothing(np.int32), nothing(np.int64), 0
        if isinstance(X, SparseColumns):
            features, starts = read_only(X.features), read_only(X.starts)
            entries_alone = int(X.has_few_entries)
            X = X.values.reshape(1, -1)
        return KernelSamples(
            strided(X),
            strided(nothing(X.dtype).reshape(0, 0) if Y is None else Y),
            nothing(np.int32) if codes is None else read_only(codes),
            nothing(X.dtype) if weights is None else read_only(weights),
            features,
            starts,
            entries_alone,
        )
