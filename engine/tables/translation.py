"""The step of a model that turns dates, and numbers written for people, into numbers.

It is the first step of the pipeline if the training table had such columns. A loaded model then
takes a table as people write it.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator

from engine.model_files.table_columns import require_columns
from engine.tables import dates, number_notation
from engine.tables.column_kinds import CATEGORY, kind_of_type
from engine.tables.csv_and_parquet import without_missing
from engine.tables.given_tables import from_pandas
from engine.tables.messages import counted, readable

NUMBER, TEXT = "number", "text"  # readings besides those of `dates`
DATED = (dates.DATE, dates.TIME, dates.DURATION)
PART = "part"  # what is made of a date besides its number
READINGS = ("", NUMBER, *DATED, PART)

Reading = number_notation.NumberReading | dates.DateReading | str


class Translation(BaseEstimator):  # type: ignore[misc]
    """Reads columns as the training table wrote them.

    Parameters
    ----------
    readings : dict of dict
        By column: ``{"kind": "number", "decimal": "comma", "mark": "%"}``; ``{"kind": "date",
        "order": "day-first", "parts": ["time of year"]}``, or of kind "time" or "duration"; or
        ``{"kind": "text"}``. Other columns stay as they are.
    target : dict, optional
        The reading of the target.
    missing : list of str, optional
        Texts that stand for a missing value, as they did in the table.

    Attributes
    ----------
    feature_names_in_ : ndarray of str
        The columns that the model takes.

    Examples
    --------
    >>> readings = {"price": {"kind": "number", "decimal": "comma", "mark": ""}}
    >>> step = Translation(readings).fit(pl.DataFrame({"price": ["1.234,5"]}))
    >>> step.transform(pl.DataFrame({"price": ["-7,25", None]}))["price"].to_list()
    [-7.25, None]
    """

    def __init__(self, readings: Any = None, target: Any = None, missing: Any = None) -> None:
        self.readings = readings
        self.target = target
        self.missing = missing

    def fit(self, X: Any, y: object = None) -> "Translation":
        """Note the columns."""
        return self.of_columns([str(name) for name in X.columns])

    def of_columns(self, names: Sequence[str]) -> "Translation":
        """Note the columns, by name."""
        self.feature_names_in_ = np.array(names, dtype=object)
        self.n_features_in_ = len(names)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return "feature_names_in_" in vars(self)

    def transform(self, X: Any) -> Any:
        """The table, of pandas or polars, with numbers in place of what was written for people.

        Raises
        ------
        ValueError
            When X is no frame or lacks columns, or a column holds what is not written as it was in
            training; the message names column, row and value.
        """
        require_columns(X, self.feature_names_in_)
        if isinstance(X, pl.DataFrame):
            return self.translated(self._with_gaps(X))
        names = [*self.readings]
        frame = pl.DataFrame([from_pandas(name, X[name]) for name in names])
        found = self.translated(self._with_gaps(frame))
        # Texts as objects with None, numbers as float64 with NaN: what the next step takes.
        made = {
            series.name: series.to_numpy()
            if series.dtype.is_numeric()
            else np.array(series.to_list(), dtype=object)
            for series in found
        }
        return X.assign(**made)

    def _with_gaps(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with null for each text that stands for a missing value."""
        if not self.missing:
            return frame
        columns = (frame[name] for name in self.readings)  # pl.col("*") would be all of them
        texts = pl.DataFrame(
            [
                column.cast(pl.String).str.strip_chars()
                for column in columns
                if kind_of_type(column.dtype) == CATEGORY
            ]
        )
        return frame.with_columns(*without_missing(texts, self.missing))

    def translated(self, frame: pl.DataFrame, first_row: int | None = None) -> pl.DataFrame:
        """The frame with columns read as numbers, and with the parts of dates as more columns."""
        made: list[pl.Series] = []
        there = set(frame.columns)
        for name, stored in self.readings.items():
            if name not in there:
                continue
            reading = reading_of(stored)
            values = read(frame[name], reading, first_row)
            made.append(values)
            if isinstance(reading, dates.DateReading):
                made += dates.derived(name, values, reading)
        return frame.with_columns(made) if made else frame

    def with_target(
        self, frame: pl.DataFrame, target: str | None, first_row: int | None = None
    ) -> pl.DataFrame:
        """The same, with the target's column read as well."""
        frame = self.translated(frame, first_row)
        if self.target is None or target is None or target not in frame.columns:
            return frame
        return frame.with_columns(read(frame[target], reading_of(self.target), first_row))

    def source_of(self) -> dict[str, str]:
        """The columns that are added, and the date column that each is made of."""
        readings = ((name, reading_of(stored)) for name, stored in self.readings.items())
        return {
            made: name
            for name, reading in readings
            if isinstance(reading, dates.DateReading)
            for made in dates.names_of_derived(name, reading)
        }

    def as_written(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The inverse: texts that `translated` reads as these numbers."""
        frame = frame.drop(*self.source_of(), strict=False)
        return frame.with_columns(
            pl.Series(name, [_written(one, reading_of(stored)) for one in frame[name].to_list()],
                      dtype=pl.String)
            for name, stored in self.readings.items()
        )  # fmt: skip

    def in_words(self, name: str, value: float) -> str:
        """A number of a translated column, for messages: as the table would write it.

        >>> readings = {"price": {"kind": "number", "decimal": "comma", "mark": "€"}}
        >>> Translation(readings).in_words("price", 123.5)
        '123,5 €'
        """
        reading = reading_of(self.readings[name]) if name in self.readings else TEXT
        if isinstance(reading, dates.DateReading):
            a_second = round(value * 86400) / 86400 if reading.kind == dates.DATE else value
            return (_written(a_second, reading) or "").removesuffix("T00:00:00")
        said = readable(value)
        if isinstance(reading, str):
            return said
        said = said.replace(".", ",") if reading.decimal == number_notation.COMMA else said
        return f"{said} {reading.mark}".strip()

    def n_features_out(self, n_features: int) -> int:
        """The number of columns that come out if `n_features` go in."""
        return n_features + len(self.source_of())

    def check_sound(self) -> None:
        """Raise an error if training could not have made its readings: a file may be forged."""
        names = self.feature_names_in_.tolist()
        if len(names) != self.n_features_in_ or len({*names}) < len(names):
            raise ValueError(f"a translation of {self.n_features_in_!r:.40} columns")
        if not isinstance(self.readings, dict) or not {*self.readings} <= {*names}:
            raise ValueError("a translation of columns that the model does not take")
        words = [] if self.missing is None else self.missing
        if not isinstance(words, list) or not all(type(word) is str for word in words):
            raise ValueError("a translation whose words for missing values are no texts")
        for name, stored in self.readings.items():
            if not isinstance(name, str) or stored_form(reading_of(stored)) != stored:
                raise ValueError(f"column {name!r:.40} is read as {stored!r:.80}")
        if self.source_of().keys() & {*names}:
            raise ValueError("a translation that makes columns which are there")
        if self.target is not None and not isinstance(
            reading_of(self.target), number_notation.NumberReading
        ):
            raise ValueError(f"the target is read as {self.target!r:.80}")


def reading_of(stored: Mapping[str, Any]) -> Reading:
    """A reading, of the form in which it is stored; ValueError for what is none."""
    kind = stored["kind"]
    if kind == TEXT:
        return TEXT
    if kind == NUMBER:
        decimal, mark = stored["decimal"], stored["mark"]
        if (
            decimal in (*number_notation.DECIMALS, number_notation.EITHER)
            and type(mark) is str
            and len(mark) <= number_notation.LONGEST_MARK
        ):
            return number_notation.NumberReading(decimal, mark)
    if kind in DATED:
        order, parts = stored["order"], stored["parts"]
        known = type(parts) is list and all(part in dates.PARTS for part in parts)
        if order in (*dates.ORDERS, dates.EITHER) and known and len(parts) <= len(dates.PARTS):
            return dates.DateReading(kind, order, tuple(parts))
    raise ValueError(f"a column that is read as {stored!r:.80}")


def stored_form(reading: Reading) -> dict[str, Any]:
    """A reading as it is stored: of plain types."""
    if isinstance(reading, number_notation.NumberReading):
        return {"kind": NUMBER, "decimal": reading.decimal, "mark": reading.mark}
    if isinstance(reading, dates.DateReading):
        return {"kind": reading.kind, "order": reading.order, "parts": list(reading.parts)}
    return {"kind": TEXT}


def read(series: pl.Series, reading: Reading, first_row: int | None = None) -> pl.Series:
    """The numbers in a column; ValueError, naming column, row and value, for what is none."""
    if series.dtype.is_float():
        series = series.fill_nan(None)
    if kind_of_type(series.dtype) == CATEGORY:
        series = series.cast(pl.String)
    if isinstance(reading, str):
        return _as_text(series)
    values = _values(series, reading)
    wrong = (values.is_null() & series.is_not_null()).arg_true()
    if len(wrong):
        row = int(wrong[0])
        more = ""
        if len(wrong) > 1 and first_row is None:  # of a part of a table nobody knows how many
            more = f" (and in {counted(len(wrong) - 1, 'other row')})"
        text = series.dtype == pl.String
        actual = f"{series[row]!r}" if text else f"{series[row]!s} ({series.dtype})"
        raise ValueError(
            f"Column {series.name!r} must hold {reading.in_words}; came {actual} in row "
            f"{row + (first_row or 1):,}{more}. Mend the values, or leave them empty if they are "
            "not known."
        )
    return values.alias(series.name)


def _values(
    series: pl.Series, reading: number_notation.NumberReading | dates.DateReading
) -> pl.Series:
    dtype = series.dtype
    if isinstance(reading, number_notation.NumberReading):
        if dtype.is_numeric():
            return series.cast(pl.Float64)
        if dtype == pl.String:
            return number_notation.numbers(series, reading)
    elif dtype == pl.String or dates.kind_of(dtype) == reading.kind:
        return dates.numbers(series, reading)
    return pl.Series(series.name, [None] * len(series), dtype=pl.Float64)


def _as_text(series: pl.Series) -> pl.Series:
    """Dates as ISO writes them, so that a date is the same category in whatever type it comes.

    Times and durations are as Python writes them.
    """
    if isinstance(series.dtype, pl.Datetime):
        plain = series.dt.convert_time_zone("UTC") if series.dtype.time_zone else series
        texts = plain.dt.cast_time_unit("us").dt.to_string("%Y-%m-%d %H:%M:%S%.f")
        return texts.str.strip_suffix(" 00:00:00")
    if series.dtype in (pl.Time, pl.Duration):
        written = [None if one is None else str(one) for one in series.to_list()]
        return pl.Series(series.name, written, dtype=pl.String)
    return series.cast(pl.String)


def _written(value: float, reading: Reading) -> str | None:
    """A number in the form of a reading."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(reading, number_notation.NumberReading):
        text = f"{value:.6f}"  # three decimals might be thousands
        text = text.replace(".", ",") if reading.decimal == number_notation.COMMA else text
        return f"{text} {reading.mark}".strip()
    if isinstance(reading, str):
        return str(value)
    if reading.kind == dates.TIME:
        seconds = int(value % 24 * 3600)
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if reading.kind == dates.DURATION:
        return f"{int(min(max(value, -1e6), 1e6))} days"
    first = datetime.datetime(1970, 1, 1)
    days = min(max(value, -719_000.0), 2_932_000.0)
    return (first + datetime.timedelta(days=days)).isoformat(timespec="seconds")
