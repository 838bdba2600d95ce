"""One row of a table as numbers, in microseconds: what an encoding makes of a table with this row.

Each column has a reader of values. A reader gives None for a value of an unusual kind: then a table
decides what the row is.
"""

import math
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from engine.tables import dates, translation
from engine.tables.column_kinds import (
    CATEGORY,
    DIGITS,
    LARGEST,
    NUMBER,
    TRUE_AND_FALSE,
    WHOLE,
)
from engine.tables.number_notation import NumberReading
from engine.tables.row_notation import WrittenDate, WrittenNumber, periodic_parts, stripped
from engine.tables.table_encoding import EncodedColumn, TableEncoding

WHOLE_NUMBER = re.compile(WHOLE)
NO_CATEGORY = re.compile(DIGITS)
PLAIN_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", re.ASCII)

Reader = Callable[[Any], float | None]


class RowValues:
    """What `encoding.encode` makes of a row; None if a table has to decide.

    Parameters
    ----------
    encoding : TableEncoding
    """

    def __init__(self, encoding: TableEncoding) -> None:
        step = encoding.translation
        readings = {} if step is None else step.readings
        missing = {"", *encoding.missing} if encoding.missing else set()
        self._readers: list[Reader] = []
        self._dated: list[tuple[int, dates.DateReading]] = []
        made = encoding.sources
        for place, name in enumerate(encoding.sources):
            stored = readings.get(name)
            reading = translation.TEXT if stored is None else translation.reading_of(stored)
            column = next(one for one in encoding.columns if one.source == name)
            self._readers.append(reader_of(column, reading, missing))
            if isinstance(reading, dates.DateReading) and reading.parts:
                self._dated.append((place, reading))
                made += dates.names_of_derived(name, reading)
        places = [made.index(column.name) for column in encoding.columns]
        self._in_order = None if places == [*range(len(made))] else places

    def __call__(self, values: Sequence[Any]) -> list[float] | None:
        """The numbers (n_columns,) of a row's values, those of the columns `encoding.sources`."""
        found: list[float] = []
        for read, value in zip(self._readers, values, strict=True):
            number = read(value)
            if number is None:
                return None
            found.append(number)
        for place, reading in self._dated:
            found += periodic_parts(found[place], reading)
        if self._in_order is None:
            return found
        return [found[place] for place in self._in_order]


def reader_of(
    column: EncodedColumn, reading: translation.Reading, missing: Collection[str]
) -> Reader:
    """The function that encodes one value of a column that is read so.

    Parameters
    ----------
    column : EncodedColumn
    reading : Reading
        "text" of a column that needs no translation.
    missing : collection of str
        Texts that stand for a missing value.
    """
    if isinstance(reading, dates.DateReading):
        return WrittenDate(reading, missing)
    if isinstance(reading, NumberReading):
        return Numbers(missing, WrittenNumber(reading))
    if column.role == CATEGORY:
        return Levels(column, missing)
    return Numbers(missing, _plain_number) if column.role == NUMBER else _true_or_false


class Numbers:
    """A value as a number; NaN for a missing one."""

    def __init__(self, missing: Collection[str], of_text: Callable[[str], float | None]) -> None:
        self._missing = missing
        self._of_text = of_text

    def __call__(self, value: Any) -> float | None:
        if isinstance(value, float):
            number = float(value)
        elif value is None:
            return math.nan
        elif isinstance(value, str):
            text = stripped(value)
            found = math.nan if text in self._missing else self._of_text(text)
            if found is None:
                return None
            number = found
        elif _is_whole(value) and not isinstance(value, bool):
            if abs(int(value)) >= 2**63:
                return None
            number = float(value)
        elif isinstance(value, np.floating):
            number = float(value)
        else:
            return None
        return number if abs(number) <= LARGEST or number != number else None


def _plain_number(text: str) -> float | None:
    """A number as programs write it."""
    return float(text) if PLAIN_NUMBER.fullmatch(text) else None


class Levels:
    """The code of a category."""

    def __init__(self, column: EncodedColumn, missing: Collection[str]) -> None:
        known = enumerate(column.known, start=1)
        self._codes = {text: float(code) for code, text in known if text not in missing}
        self._missing = float(column.n_levels - 1 if column.had_missing else 0)
        self._words = missing

    def __call__(self, value: Any) -> float | None:
        if value is None:
            return self._missing
        if isinstance(value, str):
            return self._codes.get(value) or self._of_text(stripped(value))
        if isinstance(value, bool | np.bool_):
            value = str(bool(value)).lower()
        elif isinstance(value, float):
            if value != value:
                return self._missing
            number = float(value)
            value = int(number) if number.is_integer() and abs(number) < 2**53 else number
        elif not _is_whole(value):
            return None
        return self._codes.get(str(value))

    def _of_text(self, text: str) -> float | None:
        if text in self._words:
            return self._missing
        found = self._codes.get(text) or self._codes.get(WHOLE_NUMBER.sub(r"\1\2", text))
        # A new category is rare, but a table may refuse what is no category at all.
        looks_odd = NO_CATEGORY.search(text) or text.lower() in TRUE_AND_FALSE
        return found or (None if looks_odd else 0.0)


def _true_or_false(value: Any) -> float | None:
    if isinstance(value, str):
        found = TRUE_AND_FALSE.get(stripped(value).lower())
        return None if found is None else float(found)
    if value is None:
        return math.nan
    if isinstance(value, bool | np.bool_ | float | np.floating) or _is_whole(value):
        return float(value) if value in (0, 1) else math.nan if value != value else None
    return None


def _is_whole(value: Any) -> bool:
    """Whether it is of a type of whole numbers; a duration is not, though NumPy says so."""
    return isinstance(value, int | np.integer) and not isinstance(value, np.timedelta64)
