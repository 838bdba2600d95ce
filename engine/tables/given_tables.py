"""Tables as users have them: files, frames of pandas or polars, dicts of lists."""

import datetime
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from engine.model_files.table_columns import require_columns
from engine.tables.csv_and_parquet import MISSING, MissingTexts, is_parquet, read_table, without_nan
from engine.tables.messages import quoted
from engine.tables.text_files import UTF_8, checked_encoding

DATED = (datetime.date, datetime.time, datetime.timedelta)


class GivenTable(NamedTuple):
    """A table in memory, with null for what is missing.

    Attributes
    ----------
    frame : polars.DataFrame
    notes : tuple of str
        Remarks on how a file was read.
    words : mapping of str to mapping
        Of a CSV file: by column, the words that count as missing, and how often each occurs.
    is_text : bool
        Whether it is a CSV file, whose values are all texts.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...] = ()
    words: Mapping[str, MissingTexts] = MappingProxyType({})
    is_text: bool = False


def given_table(
    table: Any,
    missing: Sequence[str] = MISSING,
    encoding: str = UTF_8,
    *,
    called: str = "The table",
) -> GivenTable:
    """The table that a user passed.

    Parameters
    ----------
    table : pandas or polars DataFrame, dict of lists, or path
        A path is that of a CSV or Parquet file.
    missing : sequence of str
        Texts that stand for a missing value in a CSV file, besides an empty field.
    encoding : str
        Of a CSV file.
    called : str
        What messages call it.

    Raises
    ------
    ValueError, TypeError
        If it is no table, has no rows or no columns, or two columns of one name.

    Examples
    --------
    >>> given_table({"area": [50, None], "side": ["north", None]}).frame.to_dict(as_series=False)
    {'area': [50, None], 'side': ['north', None]}
    """
    if isinstance(table, str | os.PathLike):
        read = read_table(Path(table), missing, encoding=checked_encoding(encoding))
        return GivenTable(read.frame, read.notes, read.words, not is_parquet(read.path))
    frame = _of_dict(table) if isinstance(table, dict) else _of_frame(table)
    if not frame.width:
        raise ValueError(f"{called} has no columns; pass one with the columns to learn from.")
    if not frame.height:
        raise ValueError(f"{called} has no rows; pass one with at least one row.")
    return GivenTable(without_nan(frame))


def _of_dict(table: Mapping[Any, Any]) -> pl.DataFrame:
    _refuse_twice([str(name) for name in table])
    for name, values in table.items():
        if isinstance(values, str) or not hasattr(values, "__len__"):
            raise TypeError(
                f"Column {str(name)!r} must be a list of values, one for each row; got {values!r}. "
                "For one row, pass lists of one value; a fitted model's `predictor()` takes a row "
                "as it is."
            )
    lengths = {str(name): len(values) for name, values in table.items()}
    if len({*lengths.values()}) > 1:
        (first, one), (second, other) = next(
            (pair, another)
            for pair in lengths.items()
            for another in lengths.items()
            if pair[1] != another[1]
        )
        raise ValueError(
            f"Columns must have as many values as each other: {first!r} has {one:,}, and "
            f"{second!r} has {other:,}."
        )
    return pl.DataFrame([of_values(str(name), values) for name, values in table.items()])


def _of_frame(table: Any) -> pl.DataFrame:
    require_columns(table, ())
    if isinstance(table, pl.DataFrame):
        return table
    names = [str(name) for name in table.columns]
    _refuse_twice(names)
    return pl.DataFrame(
        [from_pandas(name, table.iloc[:, place]) for place, name in enumerate(names)]
    )


def _refuse_twice(names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(
            f"The table has more than one column called {quoted(twice)}; give each a name of its "
            "own."
        )


def of_values(name: str, values: Any) -> pl.Series:
    """A column of any kind, with null for what is missing."""
    if isinstance(values, pl.Series):
        return values.alias(name)
    if hasattr(values, "iloc"):
        return from_pandas(name, values)
    if np.ma.isMaskedArray(values):
        gaps, present = np.ma.getmaskarray(values), np.ma.getdata(values).astype(object)
        values = [None if gap else one for gap, one in zip(gaps, present, strict=True)]
    array = np.asarray(values)
    if array.dtype.kind in "biuf":
        return pl.Series(name, array)
    if array.dtype.kind in "mM":
        return pl.Series(name, array.astype(f"{array.dtype.kind}8[us]"))
    return of_objects(name, [None if _is_nan(one) else one for one in values])


def from_pandas(name: str, column: Any) -> pl.Series:
    """A pandas column, with null for every kind of missing value; categories stay categories."""
    if hasattr(column, "dt") and hasattr(column.dt, "to_timestamp"):  # periods, by their beginnings
        column = column.dt.to_timestamp()
    kind = getattr(column.dtype, "kind", "O")
    if kind == "M":
        if getattr(column.dt, "tz", None) is not None:
            column = column.dt.tz_convert("UTC").dt.tz_localize(None)
        return pl.Series(name, column.to_numpy(dtype="datetime64[us]"))
    if kind == "m":
        return pl.Series(name, column.to_numpy(dtype="timedelta64[us]"))
    missing = column.isna().to_numpy()
    if kind in "iuf":
        if not missing.any() and kind != "f":  # as float64 does not hold all of them
            return pl.Series(name, column.to_numpy(dtype=np.dtype(column.dtype.kind + "8")))
        return pl.Series(name, column.to_numpy(dtype=float, na_value=np.nan)).fill_nan(None)
    if hasattr(column, "cat") and hasattr(column.dtype, "categories"):
        labels = [_as_text(label) for label in column.cat.categories]
        codes = pl.Series(column.cat.codes.to_numpy(dtype=np.int64)).set(pl.Series(missing), None)
        return pl.Series(name, labels, dtype=pl.String).gather(codes).cast(pl.Categorical)
    values = column.to_numpy(dtype=object)
    return of_objects(
        name, [None if gap else one for gap, one in zip(missing, values, strict=True)]
    )


def of_objects(name: str, values: list[Any]) -> pl.Series:
    """Texts, booleans, numbers, dates, times or durations; mixtures as text; others as objects."""
    present = [one for one in values if one is not None]
    if all(isinstance(one, str) for one in present):
        return pl.Series(name, values, dtype=pl.String)
    if all(isinstance(one, bool | np.bool_) for one in present):
        return pl.Series(name, [None if one is None else bool(one) for one in values])
    if not any(isinstance(one, bool | np.bool_) for one in present):
        if all(isinstance(one, int | np.integer) and abs(int(one)) < 2**63 for one in present):
            return pl.Series(name, [one if one is None else int(one) for one in values], pl.Int64)
        if all(isinstance(one, int | float | np.number) for one in present):
            return pl.Series(name, [None if one is None else _as_float(one) for one in values])
    if present and (dtype := _dtype_of_dates(present)) is not None:
        try:
            return pl.Series(name, values, dtype=dtype)
        except ValueError:  # an hour that its zone left out, as summer time began
            in_utc = [None if one is None else one.astimezone(datetime.UTC) for one in values]
            return pl.Series(name, in_utc, dtype=dtype)
    if not all(
        isinstance(one, (str, int, float, np.bool_, np.number, Decimal, *DATED)) for one in present
    ):
        return pl.Series(name, values, dtype=pl.Object)
    texts = [None if one is None else _as_text(one) for one in values]
    return pl.Series(name, texts, dtype=pl.String)


def _dtype_of_dates(present: list[Any]) -> pl.DataType | None:
    """What dates, times or durations are in a frame, if they are of one type; else None."""
    for kind, dtype in ((datetime.time, pl.Time()), (datetime.timedelta, pl.Duration("us"))):
        if all(isinstance(one, kind) for one in present):
            return dtype
    if all(type(one) is datetime.date for one in present):
        return pl.Date()
    if all(isinstance(one, datetime.datetime) for one in present):
        zones = {one.tzinfo is None for one in present}
        if len(zones) == 1:
            return pl.Datetime("us", None if zones.pop() else "UTC")
    return None


def _as_float(value: Any) -> float:
    """A number as float64; infinity for a whole number beyond its range."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _as_text(value: Any) -> str:
    """A value as a column of its kind has it as text: dates as ISO writes them, true as "true"."""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime.date) else str(value)


def _is_nan(value: Any) -> bool:
    """Whether it is NaN, NaT or pd.NA: the values that do not equal themselves."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # pd.NA, which is neither; an array
        return type(value).__name__ == "NAType"
