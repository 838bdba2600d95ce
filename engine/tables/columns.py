"""Which columns the network learns from, as which kind, and why the others are left out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import polars as pl

from engine.boundary import remedies
from engine.tables import column_kinds
from engine.tables.column_kinds import CATEGORY, DATE, EMPTY, INPUT_KINDS, NUMBER
from engine.tables.csv_and_parquet import MissingTexts
from engine.tables.messages import count_as_missing, counted, named_column, quoted

OUT = "out"  # a kind that a user may give a column, as any of
KINDS_TO_GIVE = (*INPUT_KINDS, DATE, OUT)
FEW = 20  # distinct texts that are never too many
ALMOST_ALL = 0.9


@dataclass(frozen=True)
class Column:
    """A column of the table that was learnt from."""

    name: str
    kind: str
    n_missing: int = 0
    note: str = ""
    categories: tuple[str, ...] = ()
    reading: str = ""  # one of `translation.READINGS`: how the table writes it


class OriginalNotation(NamedTuple):
    """How the table writes the numbers of a column that is translated.

    Attributes
    ----------
    example : str
        One of the values, as it stands in the table.
    is_given : bool
        Whether the user gave the column's kind.
    dated : str
        "dates", "times of day" or "durations"; empty for numbers.
    """

    example: str
    is_given: bool
    dated: str


class TranslatedColumns(NamedTuple):
    """What a translation has made of a table.

    Attributes
    ----------
    columns : mapping of str to OriginalNotation
        The columns that are numbers now.
    source_of : mapping of str to str
        The columns that are made of a date, and which date column it is.
    """

    columns: Mapping[str, OriginalNotation] = MappingProxyType({})
    source_of: Mapping[str, str] = MappingProxyType({})


NOT_TRANSLATED = TranslatedColumns()


class Columns(NamedTuple):
    """The columns that are used, and those that are left out, with the reason as their note.

    `doubts` are those whose note a user should read, and whether it changes what is learnt.
    """

    used: list[Column]
    left_out: list[Column]
    doubts: Mapping[str, bool] = MappingProxyType({})


class Reason(NamedTuple):
    """Why a column is left out; `to_mend` if a user may want to mend its values."""

    words: str
    to_mend: bool = True


def without_orphans(found: Columns, translated: TranslatedColumns) -> Columns:
    """Leave out columns that are made of a date column that is left out."""
    absent = {column.name for column in found.left_out}
    left = found._replace(used=[], left_out=[*found.left_out])
    for column in found.used:
        source = translated.source_of.get(column.name)
        if source in absent:
            left.left_out.append(replace(column, note=f"is made of {source!r}"))
        else:
            left.used.append(column)
    return left


def refuse_nothing_to_learn_from(found: Columns, target: str | None) -> None:
    """ValueError, with the reasons, where no column is left."""
    if not found.used:
        reasons = "; ".join(f"{column.name!r} {column.note}" for column in found.left_out[:5])
        besides = "" if target is None else f" besides the target {target!r}"
        said = f": {reasons}" if reasons else besides
        raise ValueError(f"The table has no column to learn from{said}.")


def inputs(
    frame: pl.DataFrame, columns: list[Column], first_row: int | None = None
) -> pl.DataFrame:
    """What the pipeline takes: numbers, true and false as float64 with NaN, and text, by name.

    `first_row` is the number of the frame's first row, for messages, if it is a part of a table.

    Raises
    ------
    ValueError
        When a column holds values of another kind; the message names column, row and value.
    """
    return pl.DataFrame([_input(frame[column.name], column.kind, first_row) for column in columns])


def missing_in(series: pl.Series) -> int:
    """Values that are missing in a column of `inputs`."""
    n_nan = int(series.is_nan().sum()) if series.dtype.is_float() else 0
    return series.null_count() + n_nan


# The reasons, in words.


def not_learnt_from(kind: str, dtype: object, words: MissingTexts) -> str:
    """The reason for a kind that cannot be an input."""
    if kind == EMPTY:
        return "has no values" + (f": {count_as_missing(words)}" if words else "")
    if kind == DATE:
        return "holds dates: turn them into numbers, such as year, month or days since, to use them"
    return f"is of type {dtype}, which is neither a number nor a text"


def constant(value: object) -> str:
    """The reason for a column with one value."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)  # numbers of any type come here as float64
    return f"is {value!r} everywhere"


def numbers_the_rows(name: str) -> str:
    """The reason for a column 0, 1, 2, ..."""
    return f"numbers the rows ({remedies.OVERRULE(name, NUMBER)})"


def almost_numbers(name: str, others: list[str], is_target: bool = False) -> str:
    """The reason for numbers with a few texts among them."""
    return (
        f"holds numbers, but also {quoted(others)}: mend that, or, if it stands for a missing "
        f"value, {remedies.COUNT_AS_MISSING(others[0])}{or_as_they_are(name, is_target)}"
    )


def or_as_they_are(name: str, is_target: bool) -> str:
    """What to do to have the texts of a column as categories, at the end of other advice."""
    if is_target:
        return f", or {remedies.AS_CLASSES()}"
    return f" ({remedies.OVERRULE(name, CATEGORY)})"


def several_units(name: str, units: list[str]) -> str:
    """The reason for numbers with units that differ."""
    return (
        f"holds numbers with the units {quoted(units)}: write the numbers alone, all in one unit "
        f"({remedies.OVERRULE(name, CATEGORY)})"
    )


def leading_zeros(name: str, example: str) -> str:
    """A remark on codes of digits that are read as numbers."""
    return (
        f"has leading zeros, such as {example!r}, and is read as numbers "
        f"({remedies.OVERRULE(name, CATEGORY)})"
    )


def too_many_texts(name: str, how_many: str) -> str:
    """The reason for text that is almost all distinct."""
    return (
        f"is text that is almost all distinct ({how_many}): a name or free "
        f"text ({remedies.OVERRULE(name, CATEGORY)})"
    )


def remark(column: Column, a_value: object, n_distinct: int, words: MissingTexts) -> str:
    """What is worth saying of a column that is learnt from."""
    said = counted(n_distinct, "category") if column.kind == CATEGORY else ""
    if n_distinct == 1:
        missing = f"or missing, in {counted(column.n_missing, 'row')}, and both are learnt from"
        nothing = "everywhere, of which nothing can be learnt"
        said = f"{a_value!r} {missing if column.n_missing else nothing}"
    if column.kind == CATEGORY and words:
        said += f"; {count_as_missing(words)}"
    return said


def refuse_no_values(name: str, kind: str, given: str, words: MissingTexts) -> None:
    """ValueError for a column without values that a user gave a kind."""
    if kind == EMPTY:
        raise ValueError(
            f"Column {name!r} {not_learnt_from(kind, None, words)}; it cannot be used as {given}, "
            "as you asked. Fill values in, or leave it out."
        )


def no_spread(reason: str, written: OriginalNotation | None) -> str:
    """Why a column of numbers cannot be scaled, in the words of the table; empty if it can."""
    if reason and written is not None and written.dated:
        return (
            f"holds {written.dated} too close together to be told apart: give the time since the "
            "first of them as a number"
        )
    return reason


def too_large(name: str, row: int, value: float) -> ValueError:
    """The error for a number whose square is not finite."""
    return ValueError(
        f"Column {name!r} is {value:g} in row {row:,}; numbers must be at most "
        f"{column_kinds.LARGEST:g}. Leave the value empty if it is not known."
    )


def refuse_as_number(name: str, reason: str) -> None:
    """ValueError for a column that a user wants as numbers and that cannot be scaled."""
    if reason:
        raise ValueError(f"Column {name!r} {reason}, or leave the column out.")


def _input(series: pl.Series, kind: str, first_row: int | None) -> pl.Series:
    values = checked(series, kind, first_row)
    if kind == CATEGORY:
        return values
    numbers = values.cast(pl.Float64)
    with np.errstate(invalid="ignore"):
        beyond = np.flatnonzero(np.abs(numbers.to_numpy()) > column_kinds.LARGEST)
    if len(beyond):
        raise too_large(series.name, int(beyond[0]) + (first_row or 1), numbers[int(beyond[0])])
    return numbers.fill_null(float("nan")) if numbers.null_count() else numbers


def checked(series: pl.Series, kind: str, first_row: int | None = None) -> pl.Series:
    """The values as those of a kind; ValueError, naming column, row and value, if they are not.

    With a `first_row`, it is a part of a table, so the number of other wrong rows is unknown.
    """
    converted = column_kinds.as_kind(series, kind)
    n_wrong = len(converted.wrong)
    if n_wrong:
        row = int(converted.wrong[0])
        actual = (
            f"{series[row]!r} in row {row + (first_row or 1):,}"
            if series.dtype == pl.String
            else f"{column_kinds.IN_WORDS[column_kinds.kind_of(series)]} ({series.dtype})"
        )
        more = ""
        if n_wrong > 1 and first_row is None:
            more = f" (and in {counted(n_wrong - 1, 'other row')})"
        raise ValueError(
            f"Column {series.name!r} must hold {column_kinds.IN_WORDS[kind]}; came {actual}{more}."
        )
    return converted.values


def parse_kinds(given: list[str], names: list[str]) -> dict[str, str]:
    """What `--column NAME=KIND` says, checked against the table's columns."""
    return {
        named_column(name, names, "--column"): kind for name, kind in names_and_kinds(given).items()
    }


def names_and_kinds(given: list[str]) -> dict[str, str]:
    """The kind of each column that is named; ValueError where one is given two."""
    found: dict[str, str] = {}
    for name, kind in map(name_and_kind, given):
        if found.setdefault(name, kind) != kind:
            raise ValueError(f"--column gives {name!r} two kinds, {found[name]} and {kind}.")
    return found


def name_and_kind(given: str) -> tuple[str, str]:
    """Name and kind in NAME=KIND."""
    name, equals, kind = given.rpartition("=")
    if not equals or kind not in KINDS_TO_GIVE:
        raise ValueError(
            "--column must be NAME=KIND, where KIND is number, category, boolean, date or out; "
            f"got {given!r}."
        )
    return name, kind
