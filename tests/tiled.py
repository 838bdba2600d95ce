"""Arrays as the tiled form takes them: whole vectors of samples, on a boundary of 64 bytes."""

import numpy as np

from engine.compiler import tiles
from engine.equations.layout import SCRATCH_ROWS
from engine.sums.blocks import aligned


def padded(matrix):
    """A copy with columns of zeros up to a whole number of vectors, and one vector more; and m."""
    n_rows, n_columns = matrix.shape
    n_lanes = tiles.lanes(matrix)
    m = -(-n_columns // n_lanes) * n_lanes
    copy = aligned((n_rows, m + n_lanes), matrix.dtype)
    copy[:] = 0
    copy[:, :n_columns] = matrix
    return copy, m


def scratch(matrix):
    """Rows for intermediate results, of the same length."""
    return np.full((SCRATCH_ROWS, matrix.shape[1]), np.nan, matrix.dtype)
