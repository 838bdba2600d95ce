"""From the matrix of a table's encoding to what networks take: scaled columns and embeddings.

Numbers are centred and scaled by the training rows, and cut into pieces; categories become learnt
vectors. A number that is missing at prediction alone is taken for the mean of training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.embeddings import Embedding, Levels, Pieces
from engine.tables.column_kinds import BOOLEAN, CATEGORY
from engine.tables.column_statistics import TableStatistics
from engine.tables.table_encoding import EncodedColumn

# The share of the rows, at each end, that are outliers if they are further from the median than so
# many interquartile ranges. In a straight line, one wrong entry would outweigh all others.
OUTLIERS, FURTHEST = 0.001, 4.0

# Fewer rows are too few for a bend of their own, or to know a place that is far outside. Adam makes
# steps of the same size for inputs that few rows have: a handful would move predictions far.
FEWEST_ROWS, LARGEST_SHARE = 16, 0.05  # but no more than this share of the rows

# The length of a piece, as a share of its larger end, is above this: networks take float32, and a
# shorter piece would make a slope of what is rounding there, as between 0.3 and 0.1 + 0.2.
SHORTEST = 64 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class TrainingNumbers:
    """What the training rows hold in the columns of an encoding.

    Attributes
    ----------
    centre, scale : ndarray (n_columns,)
        Mean and standard deviation; 0 and 1 of categories.
    sample : ndarray (n_sample, n_columns)
        Scaled numbers of some training rows, of all if they are few: NaN for a missing one. Of true
        and false, that they occur is all that it says; of categories it is NaN.
    """

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    sample: NDArray[np.float64]

    @classmethod
    def of_statistics(
        cls, columns: Sequence[EncodedColumn], statistics: TableStatistics
    ) -> "TrainingNumbers":
        """By the statistics of the translated table, whose part 0 are the training rows."""
        n = len(columns)
        found = [numbers_of(column, statistics) for column in columns]
        sample = np.full((max(len(values) for _, _, values in found), n), np.nan)
        for place, (centre, scale, values) in enumerate(found):
            sample[: len(values), place] = (values - centre) / scale
        centres, scales = (np.array([one[k] for one in found]) for k in (0, 1))
        return cls(centres, scales, sample)


def numbers_of(
    column: EncodedColumn, statistics: TableStatistics
) -> tuple[float, float, NDArray[np.float64]]:
    """Mean, standard deviation and sampled numbers of a column in the training rows."""
    known = statistics.columns[column.name]
    if column.role == CATEGORY:
        return 0.0, 1.0, np.empty(0)
    if column.role == BOOLEAN:
        counts = known.in_training(BOOLEAN)
        n_true, n_false = counts.get(True, 0), counts.get(False, 0)
        mean = n_true / max(1, n_true + n_false)
        values = np.array([0.0] * (n_false > 0) + [1.0] * (n_true > 0))
        return mean, (mean * (1 - mean)) ** 0.5 or 1.0, values
    moments = known.moments
    scale = float(np.sqrt(moments.squares / max(1, moments.n))) or 1.0
    return moments.mean, scale, statistics.sample.get(column.name, np.empty(0))


@dataclass(frozen=True)
class NetworkInputs:
    """How the columns of an encoding become inputs of networks.

    Attributes
    ----------
    centre, scale : ndarray (n_columns,)
        0 and 1 of categories.
    lowest, highest : ndarray (n_columns,)
        The range of training without outliers. Scaled numbers beyond are taken as these: outside,
        nothing says how a straight line goes on.
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
        numbers: TrainingNumbers,
        n_pieces: int,
        width: int,
        level_width: int,
    ) -> "NetworkInputs":
        """By what the training rows hold; `of` does not depend on the last three."""
        n = len(columns)
        embeddings: list[Embedding | None] = []
        lowest, highest = np.full(n, -np.inf), np.full(n, np.inf)
        for place, column in enumerate(columns):
            if column.role == CATEGORY:
                embeddings.append(levels_of(column, level_width))
                continue
            scaled = numbers.sample[:, place]
            scaled = scaled[~np.isnan(scaled)]
            if scaled.size:
                lowest[place], highest[place] = limits_of(scaled)
            scaled = np.clip(scaled, lowest[place], highest[place])
            embeddings.append(pieces_of_column(scaled, column, n_pieces, width))
        return cls(numbers.centre, numbers.scale, lowest, highest, tuple(embeddings))

    def of(self, matrix: NDArray[Any], dtype: Any = np.float32) -> NDArray[Any]:
        """Rows (m, n_columns) of an encoding as networks take them."""
        scaled = (matrix - self.centre) / self.scale
        scaled.clip(self.lowest, self.highest, out=scaled)
        scaled[np.isnan(scaled) & self._takes_no_missing] = 0
        return scaled.astype(dtype)

    @cached_property
    def _takes_no_missing(self) -> NDArray[np.bool_]:
        """Of which columns a missing value is taken for the mean."""
        return np.array([not getattr(entry, "missing", False) for entry in self.embeddings])


def limits_of(scaled: NDArray[np.float64]) -> tuple[float, float]:
    """The smallest and the largest number, without outliers.

    >>> limits_of(np.array([*range(1000), 1e6]))
    (0.0, 984.0)
    """
    first, median, third = np.quantile(scaled, [0.25, 0.5, 0.75])
    reach = FURTHEST * (third - first or 1.0)
    lowest, highest = float(scaled.min()), float(scaled.max())
    if lowest < median - reach:
        share = _share_outside(int(np.count_nonzero(scaled < median - reach)), len(scaled))
        lowest = float(np.quantile(scaled, share, method="higher"))
    if highest > median + reach:
        share = _share_outside(int(np.count_nonzero(scaled > median + reach)), len(scaled))
        highest = float(np.quantile(scaled, 1 - share, method="lower"))
    return lowest, highest


def _share_outside(n_far: int, n_rows: int) -> float:
    """The share of the rows beyond a limit: of few that are far outside, all; of many, outliers."""
    fewest = fewest_rows(n_rows)
    return OUTLIERS if n_far >= fewest else max(OUTLIERS, fewest / n_rows)


def fewest_rows(n_rows: int) -> int:
    """The fewest of so many rows that a number is learnt from."""
    return max(1, min(FEWEST_ROWS, int(LARGEST_SHARE * n_rows)))


def levels_of(column: EncodedColumn, width: int) -> Levels:
    """The vectors of a category: as wide as it has levels, if these are few."""
    return Levels(column.n_levels, min(width, column.n_levels))


def give_unknown_levels(columns: Sequence[EncodedColumn], vectors: Sequence[Any]) -> None:
    """Make the vector of unknown levels the mean of the others, where no training row has one.

    Each level counts by its rows.

    Else it would stay as it was drawn, and each network would make something else of an unknown
    level.

    Parameters
    ----------
    columns : sequence of EncodedColumn
    vectors : sequence
        `embeddings_` of a network: of a category, the vectors (n_levels, width) of its levels.
    """
    for column, of_levels in zip(columns, vectors, strict=True):
        if column.role == CATEGORY and not column.counts[0] and any(column.counts):
            of_levels[0] = np.average(of_levels, axis=0, weights=column.counts)


def pieces_of_column(
    scaled: NDArray[np.float64], column: EncodedColumn, n_pieces: int, width: int
) -> Pieces | None:
    """The pieces of a column of numbers; None if it has two values at most and none missing."""
    distinct = np.unique(scaled)
    if len(distinct) <= n_pieces + 1:
        breakpoints = distinct
    else:
        breakpoints = np.unique(np.quantile(scaled, np.linspace(0, 1, n_pieces + 1)))
    breakpoints = _apart(_with_rows(breakpoints, np.sort(scaled)))
    if column.had_missing and len(breakpoints) < 2:
        breakpoints = np.array([0.0, 1.0]) + (breakpoints[0] if len(breakpoints) else 0.0)
    if len(breakpoints) < 2 or (not column.had_missing and len(breakpoints) == 2):
        return None
    return Pieces(breakpoints, width, missing=column.had_missing)


def _with_rows(
    breakpoints: NDArray[np.float64], ordered: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fewer breakpoints, so that each piece has enough of the numbers."""
    fewest = fewest_rows(len(ordered))
    up_to = np.searchsorted(ordered, breakpoints, "right")  # numbers up to each breakpoint
    kept: list[int] = []
    for k in range(len(breakpoints)):
        if not kept or up_to[k] - up_to[kept[-1]] >= fewest:
            kept.append(k)
    if kept and kept[-1] != len(breakpoints) - 1:  # too few are left for a piece at the end
        kept[max(1, len(kept) - 1) :] = [len(breakpoints) - 1]
    return breakpoints[kept]


def _apart(breakpoints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without those that are hardly above the one before."""
    kept: list[float] = []
    for one in breakpoints.tolist():
        if not kept or one - kept[-1] > SHORTEST * max(abs(one), abs(kept[-1])):
            kept.append(one)
    return np.array(kept)
