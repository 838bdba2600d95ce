"""A table in memory: how it is written, what is predicted, and which columns are learnt from."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.tables import target as of_target
from engine.tables.column_notation import NotationSurvey, TableNotation
from engine.tables.column_statistics import TableStatistics
from engine.tables.columns import Columns, refuse_nothing_to_learn_from
from engine.tables.csv_and_parquet import MissingTexts
from engine.tables.target import Target
from engine.tables.translation import Translation


class TableDescription(NamedTuple):
    """What was decided about a table.

    Attributes
    ----------
    frame : polars.DataFrame
        The translated table: dates, and numbers written for people, are numbers.
    target : Target or None
        None if the table has no column that is to be predicted.
    columns : Columns
    translation : Translation or None
        What has translated the columns that are used, and the target.
    notes : list of str
        Remarks for the user.
    statistics : TableStatistics
        Of the translated table.
    """

    frame: pl.DataFrame
    target: Target | None
    columns: Columns
    translation: Translation | None
    notes: list[str]
    statistics: TableStatistics


class TargetColumn(NamedTuple):
    """How a table has its target: what it is, how it is written, and remarks for the user."""

    target: Target
    notation: TableNotation
    notes: list[str]

    def values(self, frame: pl.DataFrame) -> tuple[NDArray[np.bool_], NDArray[Any]]:
        """Which rows of a table have a target, and what it is in these."""
        name = self.target.name
        series = self.notation.translate(frame.select(name), name)[name]
        known = series.is_not_null()
        return known.to_numpy(), of_target.values_of(series.filter(known), self.target)


def described_target(
    column: pl.DataFrame,
    task: str | None,
    decimal: str | None = None,
    dates: str | None = None,
    words: Mapping[str, MissingTexts] = MappingProxyType({}),
) -> TargetColumn:
    """Decide on the target alone, the one column of a frame; the rest as `described`."""
    name = column.columns[0]
    survey = NotationSurvey(name, {}, task, decimal, dates)
    survey.add(column)
    notation = survey.notation()
    translated = notation.translate(column, name)
    statistics = TableStatistics.of_frame(
        translated, name, notation.kinds, words, notation.translated
    )
    of_column = statistics.columns[name]
    facts = of_column.facts()
    # Numbers as classes stay numbers: scikit-learn's scores compare labels with those of a user.
    found = replace(of_target.target_of(facts, task), kind=facts.kind)
    return TargetColumn(found, notation, of_target.left_out(of_column.n_missing, of_column.words))


def described(
    frame: pl.DataFrame,
    target: str | None,
    task: str | None = None,
    kinds: Mapping[str, str] = MappingProxyType({}),
    decimal: str | None = None,
    dates: str | None = None,
    words: Mapping[str, MissingTexts] = MappingProxyType({}),
) -> TableDescription:
    """Decide on the target and the columns of a table.

    Parameters
    ----------
    frame : polars.DataFrame
        With null, not NaN, for missing values.
    target : str or None
    task : "classification" or "regression", optional
        Inferred from the target if left out.
    kinds : mapping of str to str
        Those of some columns, as the user gave them.
    decimal : "comma" or "point", optional
        Decides if all numbers of a column fit both.
    dates : "day-first" or "month-first", optional
        Decides if all dates of a column fit both.
    words : mapping of str to mapping
        By column, the words of a CSV file that count as missing.

    Raises
    ------
    ValueError
        For a target that cannot be predicted, a table without a column to learn from, and what the
        user has to decide.

    Examples
    --------
    >>> table = {"area": ["1,5", "2,25", "3,0"], "row": [1, 2, 3], "listed": ["2024-01-31"] * 3}
    >>> found = described(pl.DataFrame(table), None)
    >>> [(column.name, column.note) for column in found.columns.used]
    [('area', "numbers with a decimal comma: '2,25' is 2.25")]
    >>> [column.name for column in found.columns.left_out]
    ['row', 'listed']
    """
    survey = NotationSurvey(target, kinds, task, decimal, dates)
    survey.add(frame)
    notation = survey.notation()
    frame = notation.translate(frame, target)
    statistics = TableStatistics.of_frame(frame, target, notation.kinds, words, notation.translated)
    found, notes = None, [*notation.notes]
    if target is not None:
        of_column = statistics.columns[target]
        found = of_target.target_of(of_column.facts(), task)
        notes += of_target.left_out(of_column.n_missing, of_column.words)
    columns = notation.with_notes(statistics.chosen())
    refuse_nothing_to_learn_from(columns, target)
    return TableDescription(
        frame, found, columns, notation.step_of_model(columns.used), notes, statistics
    )
