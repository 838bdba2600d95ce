"""What a column holds (numbers, categories, true and false, dates), and its values as such."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

NUMBER, CATEGORY, BOOLEAN, DATE, OTHER, EMPTY = (
    "number",
    "category",
    "boolean",
    "date",
    "other",
    "empty",
)
INPUT_KINDS = (NUMBER, CATEGORY, BOOLEAN)
KINDS_OF_TEXT = (NUMBER, BOOLEAN, DATE)  # besides categories
LARGEST = 1e150  # of a number: squares of such are still finite
WHOLE = r"^(?:-?(0)|(-?[1-9][0-9]*))\.0*$"
SMALLEST = 1e-150  # range of numbers that vary: its square is still above 0
IN_WORDS = {
    NUMBER: "numbers",
    CATEGORY: "text",
    BOOLEAN: "true and false",
    DATE: "dates",
    OTHER: "lists or other nested values",
    EMPTY: "no values at all",
}


NOWHERE = pl.Series([], dtype=pl.UInt32)  # as `Series.arg_true` has it
TRUE_AND_FALSE = {"true": True, "false": False}
DIGITS = r"(?i)[0-9]|inf|nan"  # or what is a number without any
FIRST = 20  # values that are looked at before all are


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
    return next(iter(still_possible(KINDS_OF_TEXT, column)), CATEGORY)


def still_possible(kinds_so_far: Sequence[str], texts: pl.Series) -> list[str]:
    """The kinds that also fit all of these texts, which exclude each other."""
    if not kinds_so_far or texts.null_count() == len(texts):
        return [*kinds_so_far]
    if not have_digits(texts):
        return [kind for kind in kinds_so_far if kind == BOOLEAN and all_are(texts, kind)]
    if all_are(texts, NUMBER):
        return [kind for kind in kinds_so_far if kind == NUMBER]
    return [kind for kind in kinds_so_far if kind != NUMBER and all_are(texts, kind)]


def all_are(column: pl.Series, kind: str) -> bool:
    """Whether all values of a column of text are numbers, true and false, or dates."""
    if kind == BOOLEAN and not {*map(str.lower, first_texts(column))} <= TRUE_AND_FALSE.keys():
        return False
    if kind == DATE:
        return all_dates(column)
    return _CONVERTED[kind](column).null_count() == column.null_count()


def have_digits(texts: pl.Series) -> bool:
    """Whether some of these texts may be a number or a date, in any notation: a quick look.

    >>> have_digits(pl.Series(["north", None, "south"])), have_digits(pl.Series(["no. 5", "inf"]))
    (False, True)
    """
    return bool(texts.str.contains(DIGITS).any())


def first_texts(column: pl.Series) -> list[str]:
    """The first few values of a column of text: they rule most kinds out at little cost."""
    return [text.strip() for text in column.head(FIRST).to_list() if text is not None]


def present(column: pl.Series) -> pl.Series:
    """The values that are not missing."""
    return column.drop_nulls() if column.null_count() else column


def sample_of(values: pl.Series, most: int) -> pl.Series:
    """At most `most` of the values, drawn at random, but always the same ones."""
    if len(values) <= most:
        return values
    generator = np.random.Generator(np.random.PCG64(0))
    return values.gather(np.sort(generator.integers(len(values), size=most)))


def as_kind(column: pl.Series, kind: str) -> Converted:
    """The values of a column as numbers (float64), categories (text) or true and false.

    Examples
    --------
    >>> converted = as_kind(pl.Series(["1", "x", None]), "number")
    >>> converted.values.to_list(), converted.wrong.to_list()
    ([1.0, None, None], [1])
    """
    values = _CONVERTED[kind](column)
    if values.null_count() == column.null_count():  # which is far quicker to ask
        return Converted(values, NOWHERE)
    return Converted(values, (values.is_null() & column.is_not_null()).arg_true())


def with_nan(numbers: pl.Series) -> NDArray[np.float64]:
    """Numbers as float64, with NaN where one is missing."""
    found: NDArray[np.float64] = numbers.to_numpy()
    return found if found.dtype == np.float64 else found.astype(np.float64)


def _numbers(column: pl.Series) -> pl.Series:
    if kind_of_type(column.dtype) not in (NUMBER, CATEGORY):
        return _all_wrong(column, pl.Float64())
    if kind_of_type(column.dtype) == NUMBER:
        return column.cast(pl.Float64, strict=False)
    values = column.cast(pl.Float64, strict=False)
    if values.null_count() > column.null_count():  # texts, or spaces around numbers
        values = _text(column).cast(pl.Float64, strict=False)
    if not math.isnan(values.sum() or 0):  # as of inf and -inf, too
        return values
    # "NAN", "-nan": words, which stand for a missing value only where a user says so.
    return values.fill_nan(None)


def _booleans(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Boolean:
        return column
    if kind_of_type(column.dtype) != CATEGORY:
        return _all_wrong(column, pl.Boolean())
    lower = _text(column).str.to_lowercase()
    return lower.replace_strict(TRUE_AND_FALSE, default=None, return_dtype=pl.Boolean)


def _categories(column: pl.Series) -> pl.Series:
    """Text. 1.0 and 1.00 become 1, as table tools write 1.0 in columns with missing values.

    01 and 1e0 stay as they are.
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
    """The kind of a column whose type is not text."""
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
    first = first_texts(column)
    if not all(any(map(str.isdecimal, text)) for text in first):
        return False
    return any(
        _is_parsed(pl.Series(first), parse) and _is_parsed(column, parse)
        for parse in ("to_datetime", "to_time")
    )


def _is_parsed(texts: pl.Series, parse: str) -> bool:
    """Whether polars reads all of them as dates, or as times of day."""
    try:
        read: pl.Series = getattr(texts.str, parse)(strict=False)
    except pl.exceptions.PolarsError:  # no format fits
        return False
    return read.null_count() == texts.null_count()


def no_spread(n: int, spread: float, mean: float, variance: float) -> str:
    """Why n numbers cannot be standardised, though not all are the same; empty if they can be.

    Examples
    --------
    >>> no_spread(2, spread=1e-7, mean=1e9, variance=2.5e-15)
    'varies around 1e+09 by no more than rounding: subtract that from it'
    """
    if not spread > 0:
        return ""  # one value, whose variance need not be 0, by rounding
    if spread < SMALLEST:
        return f"varies by less than {SMALLEST:g}, too little to be scaled: use another unit"
    rounding = np.finfo(np.float64).eps
    # What StandardScaler takes for a constant.
    if 0 < variance <= n * rounding * variance + (n * mean * rounding) ** 2:
        return f"varies around {mean:.6g} by no more than rounding: subtract that from it"
    return ""
