"""From the matrix of a table's encoding to what networks take: scaled columns and embeddings.

Numbers are centred and scaled by the training rows, and cut into pieces; categories become learnt
vectors. A number that is missing at prediction alone is taken for the mean of training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.embeddings import Embedding, Levels, Pieces
from engine.tables.column_kinds import CATEGORY
from engine.tables.table_encoding import EncodedColumn

# A number further from the middle than so many times the distance of the outer breakpoints is
# taken as that far: in a straight line, one wrong entry would decide on the prediction.
FURTHEST = 3.0


@dataclass(frozen=True)
class NetworkInputs:
    """How the columns of an encoding become inputs of networks.

    Attributes
    ----------
    centre, scale : ndarray (n_columns,)
        0 and 1 of categories.
    lowest, highest : ndarray (n_columns,)
        Scaled numbers beyond are taken as these.
    embeddings : tuple of Pieces, Levels or None
        One for each column; None of a column that is taken as it is.
    """

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    embeddings: tuple[Embedding | None, ...]

    @classmethod
    def fitted(
        cls,
        columns: Sequence[EncodedColumn],
        matrix: NDArray[np.float64],
        n_pieces: int,
        width: int,
        level_width: int,
    ) -> "NetworkInputs":
        """For the training rows of a matrix (m, n_columns)."""
        n = len(columns)
        centre, scale = np.zeros(n), np.ones(n)
        embeddings: list[Embedding | None] = []
        lowest, highest = np.full(n, -np.inf), np.full(n, np.inf)
        for place, column in enumerate(columns):
            values = matrix[:, place]
            if column.role == CATEGORY:
                embeddings.append(levels_of(column, level_width))
                continue
            known = values[~np.isnan(values)]
            if known.size:
                centre[place], scale[place] = known.mean(), known.std() or 1.0
            scaled = (known - centre[place]) / scale[place]
            entry = pieces_of_column(scaled, column, n_pieces, width)
            embeddings.append(entry)
            if scaled.size:
                ends = np.quantile(scaled, [0, 1])
                lowest[place], highest[place] = ends - (FURTHEST - 1) / 2 * np.diff(ends) * [1, -1]
        return cls(centre, scale, lowest, highest, tuple(embeddings))

    def of(self, matrix: NDArray[Any], dtype: Any = np.float32) -> NDArray[Any]:
        """Rows (m, n_columns) of an encoding as networks take them."""
        scaled = (matrix - self.centre) / self.scale
        scaled = np.clip(scaled, self.lowest, self.highest)
        for place, entry in enumerate(self.embeddings):
            if not getattr(entry, "missing", False):
                column = scaled[:, place]
                column[np.isnan(column)] = 0
        return scaled.astype(dtype)


def levels_of(column: EncodedColumn, width: int) -> Levels:
    """The vectors of a category: as wide as it has levels, if these are few."""
    return Levels(column.n_levels, min(width, column.n_levels))


def pieces_of_column(
    scaled: NDArray[np.float64], column: EncodedColumn, n_pieces: int, width: int
) -> Pieces | None:
    """The pieces of a column of numbers; None if it has two values at most and none missing."""
    distinct = np.unique(scaled)
    if len(distinct) <= n_pieces + 1:
        breakpoints = distinct
    else:
        breakpoints = np.unique(np.quantile(scaled, np.linspace(0, 1, n_pieces + 1)))
    if column.had_missing and len(breakpoints) < 2:
        breakpoints = np.array([0.0, 1.0]) + (breakpoints[0] if len(breakpoints) else 0.0)
    if len(breakpoints) < 2 or (not column.had_missing and len(breakpoints) == 2):
        return None
    return Pieces(breakpoints, width, missing=column.had_missing)
