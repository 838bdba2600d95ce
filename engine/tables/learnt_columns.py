"""What is known of a table's columns before networks are trained."""

from collections.abc import Sequence
from typing import NamedTuple

from engine.tables.column_statistics import TableStatistics
from engine.tables.columns import Column, Columns
from engine.tables.network_inputs import TrainingNumbers
from engine.tables.table_encoding import TableEncoding
from engine.tables.translation import Translation


class LearntColumns(NamedTuple):
    """What is known of a table's columns before networks are trained.

    Attributes
    ----------
    encoding : TableEncoding
    numbers : TrainingNumbers
    used, left_out : list of Column
    notes : list of str
    """

    encoding: TableEncoding
    numbers: TrainingNumbers
    used: list[Column]
    left_out: list[Column]
    notes: list[str]

    @classmethod
    def of(
        cls,
        columns: Columns,
        statistics: TableStatistics,
        translation: Translation | None,
        missing: Sequence[str],
        notes: Sequence[str] = (),
    ) -> "LearntColumns":
        """By the training rows, part 0 of the statistics."""
        encoding = TableEncoding.fitted(columns.used, statistics, translation, missing=missing)
        numbers = TrainingNumbers.of_statistics(encoding.columns, statistics)
        return cls(encoding, numbers, columns.used, columns.left_out, [*notes])
