"""What a column holds: numbers, categories, true and false, or dates; and its values as such."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl

NUMBER, CATEGORY, BOOLEAN, DATE, OTHER, EMPTY = (
    "number",
    "category",
    "boolean",
    "date",
    "other",
    "empty",
)
INPUT_KINDS = (NUMBER, CATEGORY, BOOLEAN)
LARGEST = 1e150  # of a number: squares of such are still finite
WHOLE = r"^(?:-?(0)|(-?[1-9][0-9]*))\.0*$"
SMALLEST = 1e-150  # by which numbers may vary: squares of such are still above 0
IN_WORDS = {
    NUMBER: "numbers",
    CATEGORY: "text",
    BOOLEAN: "true and false",
    DATE: "dates",
    OTHER: "lists or other nested values",
    EMPTY: "no values at all",
}


class Converted(NamedTuple):
    """A column as one kind; `wrong` are the places, from 0, of values that are not of that kind."""

    values: pl.Series
    wrong: pl.Series


def kind_of(column: pl.Series) -> str:
    """The kind of a column, by all of its values.

    Examples
    --------
    >>> kind_of(pl.Series(["1", "2.5", None, "-3e2"]))
    'number'
    >>> kind_of(pl.Series(["1", "2.5", "three"]))
    'category'
    >>> kind_of(pl.Series(["2024-02-29", "2024-03-01"]))
    'date'
    """
    if column.null_count() == len(column):
        return EMPTY
    if column.dtype != pl.String:
        return kind_of_type(column.dtype)
    for kind in (NUMBER, BOOLEAN):
        if not len(as_kind(column, kind).wrong):
            return kind
    return DATE if all_dates(column) else CATEGORY


def as_kind(column: pl.Series, kind: str) -> Converted:
    """The values of a column as numbers (float64), categories (text) or true and false.

    Examples
    --------
    >>> converted = as_kind(pl.Series(["1", "x", None]), "number")
    >>> converted.values.to_list(), converted.wrong.to_list()
    ([1.0, None, None], [1])
    """
    values = _CONVERTED[kind](column)
    return Converted(values, (values.is_null() & column.is_not_null()).arg_true())


def _numbers(column: pl.Series) -> pl.Series:
    if kind_of_type(column.dtype) not in (NUMBER, CATEGORY):
        return _all_wrong(column, pl.Float64())
    if kind_of_type(column.dtype) == NUMBER:
        return column.cast(pl.Float64, strict=False)
    # "NAN", "-nan": words, which stand for a missing value only where a user says so.
    return _text(column).cast(pl.Float64, strict=False).fill_nan(None)


def _booleans(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Boolean:
        return column
    if kind_of_type(column.dtype) != CATEGORY:
        return _all_wrong(column, pl.Boolean())
    known = {"true": True, "false": False}
    return (
        _text(column)
        .str.to_lowercase()
        .replace_strict(known, default=None, return_dtype=pl.Boolean)
    )


def _categories(column: pl.Series) -> pl.Series:
    """Text; of whole numbers 1, 1.0 and 1.00 are 1, as table tools write 1.0 beside gaps.

    01 and 1e0 are texts of their own.
    """
    kind = kind_of_type(column.dtype)
    if kind not in (NUMBER, CATEGORY, BOOLEAN):
        return _all_wrong(column, pl.String())
    text = _text(column)
    if column.dtype.is_float():
        is_whole = (column == column.round()) & (column.abs() < 2**53)
        text = column.cast(pl.Int64, strict=False).cast(pl.String).zip_with(is_whole, text)
        return text.set(column.is_nan(), None)
    return text.str.replace(WHOLE, "${1}${2}")


_CONVERTED: dict[str, Callable[[pl.Series], pl.Series]] = {
    NUMBER: _numbers,
    BOOLEAN: _booleans,
    CATEGORY: _categories,
}


def kind_of_type(dtype: pl.DataType) -> str:
    """The kind of a column of another type than text."""
    if dtype.is_numeric():
        return NUMBER
    if dtype == pl.Boolean:
        return BOOLEAN
    if dtype.is_temporal():
        return DATE
    return CATEGORY if isinstance(dtype, pl.String | pl.Categorical | pl.Enum) else OTHER


def _text(column: pl.Series) -> pl.Series:
    return column.cast(pl.String).str.strip_chars()


def _all_wrong(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    return pl.Series(column.name, [None] * len(column), dtype=dtype)


def all_dates(column: pl.Series) -> bool:
    """Whether all values of a column of text are dates, or times of day."""
    for parse in (column.str.to_datetime, column.str.to_time):
        try:
            if parse(strict=False).null_count() == column.null_count():
                return True
        except pl.exceptions.PolarsError:  # no format fits
            pass
    return False


def no_spread_of(values: pl.Series) -> str:
    """Why numbers cannot be standardised, though not all are the same; empty if they can be.

    Examples
    --------
    >>> no_spread_of(pl.Series([1e9, 1e9 + 1e-7]))
    'varies around 1e+09 by no more than rounding: subtract that from it'
    """
    numbers = values.drop_nulls().to_numpy()
    if np.abs(numbers).max() > LARGEST:
        return ""  # which is refused
    return no_spread(len(numbers), np.ptp(numbers), numbers.mean(), numbers.var())


def no_spread(n: int, spread: float, mean: float, variance: float) -> str:
    """The same, by what is known of n numbers."""
    if 0 < spread < SMALLEST:
        return f"varies by less than {SMALLEST:g}, too little to be scaled: use another unit"
    rounding = np.finfo(np.float64).eps
    # What StandardScaler takes for a constant.
    if 0 < variance <= n * rounding * variance + (n * mean * rounding) ** 2:
        return f"varies around {mean:.6g} by no more than rounding: subtract that from it"
    return ""
