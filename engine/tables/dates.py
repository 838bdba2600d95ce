"""Dates and times of day in the forms that people write, as numbers.

A date, with or without a time, is the days since 1970-01-01 00:00 UTC: the same instant is the same
number in every form. 3/4/2024 is the 3rd of April or the 4th of March: all values of a column
decide, and if they fit both orders, the user has to.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np
import polars as pl

from engine.tables import column_kinds

DATE, TIME, DURATION = "date", "time", "duration"
DAY_FIRST, MONTH_FIRST, EITHER = "day-first", "month-first", ""
ORDERS = (DAY_FIRST, MONTH_FIRST)
YEAR, WEEK, CLOCK = "time of year", "day of the week", "time of day"
PARTS = (YEAR, WEEK, CLOCK)
SAMPLE = 1000  # values that are tried before all are
LEAST_LIKELY = 0.5  # share of the sample that must look like dates
MOST_KEPT = 21
DAYS_A_YEAR = 365.2425
FUNCTIONS = {"sine": np.sin, "cosine": np.cos}
LEAST_WEEKS = 2  # for the day of the week

US_A_DAY = 86_400_000_000
# Factors, as polars divides a column by a number so. A row alone must have the same bits.
DAYS_A_US = 1 / US_A_DAY
HOURS_A_US = 1 / (US_A_DAY // 24)
DAYS_AN_HOUR = 1 / 24
MONTHS = {  # English and German, by their first three letters
    "jan": 1, "feb": 2, "mar": 3, "mär": 3, "mrz": 3, "apr": 4, "may": 5, "mai": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "okt": 10, "nov": 11, "dec": 12, "dez": 12,
}  # fmt: skip
_MONTH = (
    r"(?P<name>(?i:jan(?:uary?|uar)?|feb(?:ruary?|ruar)?|mar(?:ch)?|märz?|mrz|apr(?:il)?|may|mai|"
    r"june?|juni|july?|juli|aug(?:ust)?|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|"
    r"de[cz](?:ember)?))\.?"
)
_CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?"
)
_ZONE = r"\s*(?:Uhr|Z|UTC|GMT|(?P<offset>[+-]\d{2}:?(?:\d{2})?))?"
DURATION_TEXT = (
    r"^(?:(?P<days>[-+]?\d{1,7}) days?)?(?:,?\s*\+?(?P<hour>\d{1,2}):(?P<minute>\d{2}):"
    r"(?P<second>\d{2})(?:\.(?P<fraction>\d{1,9}))?)?$"
)
_END = rf"(?:(?:T|\s*,\s*|\s+){_CLOCK}{_ZONE})?$"
_WEEKDAY = r"^(?:[A-Za-z]{2,9}\.?,?\s+)?"
FORMS = (
    rf"^(?P<year>\d{{4}})[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}}){_END}",
    rf"^(?P<one>\d{{1,2}})(?P<mark>[-/.])(?P<other>\d{{1,2}})[-/.](?P<year>\d{{4}}){_END}",
    rf"{_WEEKDAY}(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?[-/\s]*{_MONTH},?[-/\s]*(?P<year>\d{{4}}){_END}",
    rf"{_WEEKDAY}{_MONTH}\s*(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}}){_END}",
)
_SHORT = rf"^(?P<one>\d{{1,2}})[-/.](?P<other>\d{{1,2}})[-/.](?P<year>\d{{2}}){_END}"
_SHORT_NAMED = rf"^\d{{1,2}}[-/\s]*{_MONTH},?[-/\s]*\d{{2}}{_END}"
TIME_TEXT = rf"^{_CLOCK}(?:\s*Uhr)?$"


def _one_of(patterns: Sequence[str]) -> str:
    """A pattern for texts that fit one of the patterns, without names for its groups."""
    return "|".join(f"(?:{re.sub('[(][?]P<[a-z]+>', '(?:', pattern)})" for pattern in patterns)


_ANY = _one_of([*FORMS, TIME_TEXT, DURATION_TEXT])
_ANY_SHORT = _one_of([_SHORT, _SHORT_NAMED])
_FIELDS = (
    *("year", "month", "day", "one", "mark", "other", "name"),
    *("hour", "minute", "second", "fraction", "half", "offset"),
)


class DateReading(NamedTuple):
    """How a column of dates is read.

    Attributes
    ----------
    kind : "date", "time" (of day) or "duration"
    order : "day-first", "month-first" or ""
        Of 3/4/2024. Empty if the training table had no such date; then 3/4/2024 is not read.
    parts : tuple of str
        What the network gets besides the number itself: "time of year", "day of the week", "time of
        day", each as sine and cosine.
    """

    kind: str
    order: str = DAY_FIRST
    parts: tuple[str, ...] = ()

    @property
    def in_words(self) -> str:
        """What the column holds, for messages."""
        return {DATE: "dates", TIME: "times of day", DURATION: "durations"}[self.kind]

    @property
    def unit(self) -> str:
        """What the number is."""
        return {
            DATE: "days since 1970-01-01",
            TIME: "hours since midnight",
            DURATION: "days",
        }[self.kind]


def numbers(values: pl.Series, reading: DateReading) -> pl.Series:
    """The numbers, float64, and null for what is no such date.

    Examples
    --------
    >>> texts = pl.Series(["1970-01-02", "2.1.1970 12:00", "Jan 2, 1970", "2/1/1970 6:00 PM", "?"])
    >>> numbers(texts, DateReading("date", "day-first")).to_list()
    [1.0, 1.5, 1.0, 1.75, None]
    >>> numbers(pl.Series(["2/1/1970"]), DateReading("date", "month-first")).to_list()
    [31.0]
    >>> numbers(pl.Series(["12:30", "6:45:00 pm"]), DateReading("time")).to_list()
    [12.5, 18.75]
    """
    if reading.kind == TIME:
        return in_hours(times(values) if values.dtype == pl.String else _ticks(values))
    if values.dtype == pl.String:
        dated = reading.kind == DATE
        return in_days(Dates(values).instants(reading.order) if dated else durations(values))
    return in_days(_ticks(values))


def derived(name: str, values: pl.Series, reading: DateReading) -> list[pl.Series]:
    """Sine and cosine of the parts of dates, by name; 0 where the date is missing.

    Examples
    --------
    >>> spring, _ = derived("when", pl.Series([365.2425 / 4]), DateReading("date", parts=(YEAR,)))
    >>> spring.name, spring.to_list()
    ('when, time of year (sine)', [1.0])
    """
    days = (values * DAYS_AN_HOUR if reading.kind == TIME else values).to_numpy()
    turns = {YEAR: days / DAYS_A_YEAR, WEEK: np.floor(days) / 7, CLOCK: days - np.floor(days)}
    angles = [2 * np.pi * (turns[part] % 1) for part in reading.parts]
    # Rounded, as the sine of half a turn is 0 and not 1e-16, which could be standardised.
    made = [
        np.nan_to_num(np.round(function(angle), 12))
        for angle in angles
        for function in FUNCTIONS.values()
    ]
    return [*map(pl.Series, names_of_derived(name, reading), made)]


def names_of_derived(name: str, reading: DateReading) -> list[str]:
    """The names of what `derived` makes of a column."""
    return [f"{name}, {part} ({what})" for part in reading.parts for what in FUNCTIONS]


def in_days(microseconds: pl.Series) -> pl.Series:
    """The same in days."""
    return microseconds.cast(pl.Float64) * DAYS_A_US


def in_hours(microseconds: pl.Series) -> pl.Series:
    """The same in hours."""
    return microseconds.cast(pl.Float64) * HOURS_A_US


def kind_of(dtype: pl.DataType) -> str:
    """The kind of a column that is not text; empty if it has none of these."""
    if _is_date(dtype):
        return DATE
    return {pl.Time: TIME, pl.Duration: DURATION}.get(dtype.base_type(), "")


def _is_date(dtype: pl.DataType) -> bool:
    return dtype == pl.Date or dtype == pl.Datetime


def _ticks(values: pl.Series) -> pl.Series:
    """Microseconds since midnight, since 1970, or of a duration."""
    if values.dtype == pl.Time:
        return values.to_physical() // 1000
    if values.dtype == pl.Date:
        return values.to_physical().cast(pl.Int64) * US_A_DAY
    return values.dt.cast_time_unit("us").to_physical()


def times(texts: pl.Series) -> pl.Series:
    """Microseconds since midnight; null for what is no time of day."""
    return _groups(texts, TIME_TEXT).select(_clock(pl.col("half"))).to_series()


def durations(texts: pl.Series) -> pl.Series:
    """Microseconds of '1 day, 2:00:00' or '1 days 02:00:00'; null for what is no such text."""
    days = pl.col("days").str.strip_prefix("+").cast(pl.Int64)
    some = pl.col("days").is_not_null() | pl.col("hour").is_not_null()
    clock = _clock_or_midnight(half=pl.lit(None, pl.String))
    passed = pl.when(some).then(days.fill_null(0) * US_A_DAY + clock)
    return _groups(texts, DURATION_TEXT).select(passed.alias("passed")).to_series()


@cache  # building them takes longer than applying them to a hundred texts
def _expressions() -> tuple[list[pl.Expr], list[pl.Expr], list[pl.Expr]]:
    """From texts to the groups of each form, to the fields of a date, to numbers."""
    text = pl.col("text").str.strip_chars()
    forms = [
        text.str.extract_groups(form).alias(f"form {number}") for number, form in enumerate(FORMS)
    ]
    fields = [
        pl.coalesce(
            pl.col(f"form {number}").struct.field(name)
            for number, form in enumerate(FORMS)
            if f"(?P<{name}>" in form
        ).alias(name)
        for name in _FIELDS
    ]
    named = pl.col("name").str.to_lowercase().str.head(3)
    named = named.replace_strict(MONTHS, default=None, return_dtype=pl.Int64)
    values = [
        *(pl.col(name).cast(pl.Int64) for name in ("year", "day", "one", "other")),
        pl.coalesce(pl.col("month").cast(pl.Int64), named).alias("month"),
        (_clock_or_midnight(pl.col("half")) - _offset(pl.col("offset"))).alias("clock"),
        pl.col("one").is_not_null().alias("two_orders"),
        (pl.col("mark") == ".").fill_null(value=False).alias("with_points"),
    ]
    return forms, fields, values


class Dates:
    """A column of text as dates.

    Attributes
    ----------
    two_orders : Series of bool
        Whether it is day/month/year or month/day/year.
    with_points : Series of bool
        Whether it is that with points, as day.month.year is written.
    """

    def __init__(self, texts: pl.Series) -> None:
        forms, fields, values = _expressions()
        self._found = texts.to_frame("text").select(forms).select(fields).select(values)
        self.two_orders, self.with_points = self._found["two_orders"], self._found["with_points"]

    def instants(self, order: str) -> pl.Series:
        """Microseconds since 1970-01-01 UTC; null for what is no date."""
        if order == EITHER:
            day_first, month_first = map(self.instants, ORDERS)
            certain = (day_first == month_first) | self.with_points
            return pl.select(pl.when(certain).then(day_first)).to_series()
        day, month = ("one", "other") if order == DAY_FIRST else ("other", "one")
        days = _days(
            self._found.select(
                "year",
                pl.coalesce("month", month).alias("month"),
                pl.coalesce("day", day).alias("day"),
            )
        )
        return days * US_A_DAY + self._found["clock"]


def two_digits(texts: pl.Series) -> bool:
    """Whether all are dates whose years have two digits, such as 30.9.90."""
    if not all(re.match(_ANY_SHORT, text) for text in column_kinds.first_texts(texts)):
        return False
    present = column_kinds.present(texts).str.strip_chars()
    if not len(present):
        return False
    parts = _groups(present, _SHORT)
    if not (parts["one"].is_not_null() | present.str.contains(_SHORT_NAMED)).all():
        return False
    one, other = (parts[name].cast(pl.Int64) for name in ("one", "other"))
    possible = (
        (first.is_between(1, 31) & second.is_between(1, 12)).fill_null(value=True)
        for first, second in ((one, other), (other, one))
    )
    return any(bool(each.all()) for each in possible)


@dataclass
class Extent:
    """The range of the dates seen so far.

    Attributes
    ----------
    first, last : int
        In microseconds.
    n : int
    """

    n: int = 0
    first: int = 0
    last: int = 0
    weekdays: tuple[int, int] = (0, 0)  # the least and the greatest
    clocks: tuple[int, int] = (0, 0)

    def add(self, instants: pl.Series) -> None:
        """Take more dates into account."""
        found = instants.drop_nulls().to_numpy()
        if not len(found):
            return
        weekdays, clocks = found // US_A_DAY % 7, found % US_A_DAY
        first, last = int(found.min()), int(found.max())
        of_days = int(weekdays.min()), int(weekdays.max())
        of_clocks = int(clocks.min()), int(clocks.max())
        if self.n:
            first, last = min(first, self.first), max(last, self.last)
            of_days = _wider(of_days, self.weekdays)
            of_clocks = _wider(of_clocks, self.clocks)
        self.n += len(found)
        self.first, self.last, self.weekdays, self.clocks = first, last, of_days, of_clocks

    def parts(self, kind: str) -> tuple[str, ...]:
        """Which periodic parts vary, so that the network may learn from them."""
        if kind == DURATION:
            return ()
        span = (self.last - self.first) / US_A_DAY
        varies = self.clocks[0] != self.clocks[1]
        if kind == TIME:
            return (CLOCK,) if varies else ()
        pays = {
            YEAR: span > DAYS_A_YEAR,
            WEEK: span >= 7 * LEAST_WEEKS and self.weekdays[0] != self.weekdays[1],
            CLOCK: varies,
        }
        return tuple(part for part in PARTS if pays[part])


def _wider(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return min(one[0], other[0]), max(one[1], other[1])


@dataclass
class DateSurvey:
    """The values of a column seen so far, as dates, times of day or durations."""

    n_present: int = 0
    n_dates: int = 0  # in either order
    n_of_order: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ORDERS, 0))
    n_times: int = 0
    n_durations: int = 0
    differ: bool = False
    with_points: bool = True
    two_orders: bool = False
    given_up: bool = False
    extents: dict[str, Extent] = field(default_factory=dict)
    others: dict[str, None] = field(default_factory=dict)
    distinct: set[str] = field(default_factory=set)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, values: pl.Series) -> None:
        """Look at more values."""
        values = column_kinds.present(values)
        if self.given_up or not len(values):
            return
        self.n_present += len(values)
        if values.dtype != pl.String:
            self.examples.setdefault("any", str(values[0]))
            self._extent("").add(_ticks(values))
            return
        look = pl.col("text").str.strip_chars().str.contains(_ANY).mean()
        if (
            column_kinds.sample_of(values, SAMPLE).to_frame("text").select(look).item()
            < LEAST_LIKELY
        ):
            self.given_up = True
            return
        self._add_texts(values.str.strip_chars())

    def add_no_dates(self, n: int) -> None:
        """Count values that are known to be no dates."""
        if not self.given_up:
            self.n_present += n
        self.given_up = True

    def _add_texts(self, texts: pl.Series) -> None:
        dates = Dates(texts)
        of_order = {order: dates.instants(order) for order in ORDERS}
        day_first, month_first = of_order[DAY_FIRST], of_order[MONTH_FIRST]
        either = day_first.is_not_null() | month_first.is_not_null()
        other = (day_first != month_first).fill_null(value=False)
        undated = texts if not either.all() else texts.clear()  # the kinds exclude each other
        clocks, passed = times(undated), durations(undated)
        self.n_dates += int(either.sum())
        self.n_times += int(clocks.count())
        self.n_durations += int(passed.count())
        self.differ |= bool(other.any())
        self.with_points &= bool((dates.with_points | ~dates.two_orders).all())
        self.two_orders |= bool(dates.two_orders.any())
        for order, instants in of_order.items():
            self.n_of_order[order] += int(instants.count())
            self._extent(order).add(instants)
        self._extent(TIME).add(clocks)
        known = either if not len(undated) else either | clocks.is_not_null() | passed.is_not_null()
        for name, chosen in (("any", known), ("two", other)):
            if name not in self.examples and chosen.any():
                self.examples[name] = texts.filter(chosen)[0]
        if len(self.others) < MOST_KEPT:
            strange = texts.filter(~known).unique(maintain_order=True).head(MOST_KEPT)
            self.others.update(dict.fromkeys(strange.to_list()))
        if len(self.distinct) < MOST_KEPT:
            self.distinct.update(texts.filter(known).unique().head(MOST_KEPT).to_list())

    def _extent(self, name: str) -> Extent:
        return self.extents.setdefault(name, Extent())

    @property
    def ambiguous(self) -> bool:
        """Whether all values fit both orders and mean different days, without points in them."""
        fit = all(number == self.n_present for number in self.n_of_order.values())
        return fit and self.differ and not self.with_points

    @property
    def mixed(self) -> bool:
        """Whether each value is a date, but neither order fits all of them."""
        return (
            self.n_dates == self.n_present
            and not self.ambiguous
            and not any(number == self.n_present for number in self.n_of_order.values())
        )

    @property
    def n_of_kind(self) -> int:
        """How many values fit the kind that fits most."""
        return max(self.n_times, self.n_durations, *self.n_of_order.values())

    def order(self, given: str | None) -> str:
        """The order that fits most values; if both fit as many, the one that the user gave."""
        if self.n_of_order[DAY_FIRST] == self.n_of_order[MONTH_FIRST]:
            return given or (DAY_FIRST if self.two_orders and self.with_points else EITHER)
        return max(ORDERS, key=self.n_of_order.__getitem__)

    def reading(self, dtype: pl.DataType, given: str | None) -> DateReading:
        """How to read the column."""
        if kind := kind_of(dtype):
            return DateReading(kind, given or EITHER, self._extent("").parts(kind))
        if max(self.n_times, self.n_durations) > self.n_dates:
            if self.n_durations > self.n_times:  # with days, too
                return DateReading(DURATION)
            return DateReading(TIME, parts=self._extent(TIME).parts(TIME))
        order = self.order(given)
        return DateReading(DATE, order, self._extent(order or DAY_FIRST).parts(DATE))


def _groups(texts: pl.Series, pattern: str) -> pl.DataFrame:
    found = pl.col("text").str.strip_chars().str.extract_groups(pattern)
    return texts.to_frame("text").select(found).unnest("text")


def _days(whole: pl.DataFrame) -> pl.Series:
    """Days since 1970-01-01; null where there is no such day."""
    known = pl.all_horizontal(pl.all().is_not_null())
    right = known & (pl.col("year") > 0) & pl.col("month").is_between(1, 12) & (pl.col("day") > 0)
    found = whole.select(pl.all().fill_null(1), right.alias("right"))
    year, month, day, is_right = (series.to_numpy() for series in found)
    months = np.where(is_right, (year - 1970) * 12 + month - 1, 0).astype("M8[M]")
    days = months.astype("M8[D]") + (np.where(is_right, day, 1) - 1).astype("m8[D]")
    is_right = is_right & (days.astype("M8[M]") == months)
    return pl.Series(days.astype(np.int64)).set(pl.Series(~is_right), None)


def _clock(half: pl.Expr) -> pl.Expr:
    """Microseconds since midnight; null where there is no such time."""
    hour, minute = (pl.col(name).cast(pl.Int64) for name in ("hour", "minute"))
    second = pl.col("second").cast(pl.Int64).fill_null(0)
    fraction = pl.col("fraction").str.pad_end(6, "0").str.head(6)
    half = half.str.to_lowercase().str.head(1)
    noon = pl.when(half == "p").then(12).otherwise(0)
    right = (
        (minute < 60)
        & (second < 60)
        & pl.when(half.is_null()).then(hour < 24).otherwise((hour > 0) & (hour <= 12))
    )
    hours = pl.when(half.is_null()).then(hour).otherwise(hour % 12 + noon)
    seconds = (hours * 60 + minute) * 60 + second
    return pl.when(right).then(seconds * 1_000_000 + fraction.cast(pl.Int64).fill_null(0))


def _clock_or_midnight(half: pl.Expr) -> pl.Expr:
    """The same; 0 where no time is given."""
    return pl.when(pl.col("hour").is_null()).then(0).otherwise(_clock(half))


def _offset(text: pl.Expr) -> pl.Expr:
    """Microseconds east of UTC."""
    digits = text.str.replace_all("[+:-]", "")
    minutes = digits.str.slice(0, 2).cast(pl.Int64) * 60 + digits.str.slice(2).replace(
        "", "0"
    ).cast(pl.Int64)
    west = pl.when(text.str.starts_with("-")).then(-1).otherwise(1)
    return (minutes * west * 60_000_000).fill_null(0)
