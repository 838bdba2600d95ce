"""Arrays of many networks side by side: a network in each lane of a vector."""

import numpy as np

from engine.compiler import tiles
from engine.sums.blocks import aligned


def n_lanes(dtype):
    """K, the networks of a vector."""
    return tiles.VECTOR_BYTES // np.dtype(dtype).itemsize


def in_lanes(matrices):
    """Matrices (rows, columns) of K networks as one (rows, columns K): column i of k at i K + k."""
    n_rows, n_columns = matrices[0].shape
    found = aligned((n_rows, n_columns * len(matrices)), matrices[0].dtype)
    for k, matrix in enumerate(matrices):
        found[:, k :: len(matrices)] = matrix
    return found


def vectors_in_lanes(vectors):
    """Vectors (n,) of K networks as one array (n, K)."""
    return in_lanes([vector.reshape(-1, 1) for vector in vectors])


def numbers_in_lanes(numbers, dtype):
    """A number of each of K networks as a vector (K,)."""
    found = aligned((len(numbers),), dtype)
    found[:] = numbers
    return found


def of_lane(array, k):
    """The columns of network k."""
    return np.ascontiguousarray(array[:, k :: n_lanes(array.dtype)])


def assert_same_bits(found, expected):
    """Equal, with the same signs of zeros; a NaN is any NaN."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    a_number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found)[a_number], np.signbit(expected)[a_number])
