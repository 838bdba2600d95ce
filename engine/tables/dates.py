"""Dates and times of day in the forms that people write, as numbers.

A date, with or without a time, is the days since 1970-01-01 00:00 UTC: the same instant is the same
number in every form. 3/4/2024 is the 3rd of April or the 4th of March; all values of a column
decide, and where they do not, a user has to say it.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

DATE, TIME, DURATION = "date", "time", "duration"
DAY_FIRST, MONTH_FIRST, EITHER = "day-first", "month-first", ""
ORDERS = (DAY_FIRST, MONTH_FIRST)
YEAR, WEEK, CLOCK = "time of year", "day of the week", "time of day"
PARTS = (YEAR, WEEK, CLOCK)
SAMPLE = 1000  # values that are looked at before all are
LEAST_LIKELY = 0.5  # share of them that look like dates, for all to be looked at
MOST_KEPT = 21
DAYS_A_YEAR = 365.2425
LEAST_WEEKS = 2  # for the day of the week

_US_A_DAY = 86_400_000_000
_MONTHS = {  # English and German, by their first three letters
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
_DURATION = (
    r"^(?:(?P<days>[-+]?\d{1,7}) days?)?(?:,?\s*\+?(?P<hour>\d{1,2}):(?P<minute>\d{2}):"
    r"(?P<second>\d{2})(?:\.(?P<fraction>\d{1,9}))?)?$"
)
_END = rf"(?:(?:T|\s*,\s*|\s+){_CLOCK}{_ZONE})?$"
_WEEKDAY = r"^(?:[A-Za-z]{2,9}\.?,?\s+)?"
_FORMS = (
    rf"^(?P<year>\d{{4}})[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}}){_END}",
    rf"^(?P<one>\d{{1,2}})(?P<mark>[-/.])(?P<other>\d{{1,2}})[-/.](?P<year>\d{{4}}){_END}",
    rf"{_WEEKDAY}(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?[-/\s]*{_MONTH},?[-/\s]*(?P<year>\d{{4}}){_END}",
    rf"{_WEEKDAY}{_MONTH}\s*(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}}){_END}",
)
_SHORT = rf"^(?P<one>\d{{1,2}})[-/.](?P<other>\d{{1,2}})[-/.](?P<year>\d{{2}}){_END}"
_SHORT_NAMED = rf"^\d{{1,2}}[-/\s]*{_MONTH},?[-/\s]*\d{{2}}{_END}"
_FIELDS = (
    *("year", "month", "day", "one", "mark", "other", "name"),
    *("hour", "minute", "second", "fraction", "half", "offset"),
)


class Reading(NamedTuple):
    """How a column of dates is read.

    Attributes
    ----------
    kind : "date", "time" (of day) or "duration"
    order : "day-first", "month-first" or ""
        Of 3/4/2024. Empty where training had no such date; then it is not read.
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


def numbers(values: pl.Series, reading: Reading) -> pl.Series:
    """The numbers, float64, and null for what is no such date.

    Examples
    --------
    >>> texts = pl.Series(["1970-01-02", "2.1.1970 12:00", "Jan 2, 1970", "2/1/1970 6:00 PM", "?"])
    >>> numbers(texts, Reading("date", "day-first")).to_list()
    [1.0, 1.5, 1.0, 1.75, None]
    >>> numbers(pl.Series(["2/1/1970"]), Reading("date", "month-first")).to_list()
    [31.0]
    >>> numbers(pl.Series(["12:30", "6:45:00 pm"]), Reading("time")).to_list()
    [12.5, 18.75]
    """
    if reading.kind == TIME:
        return in_hours(times(values) if values.dtype == pl.String else _ticks(values))
    if values.dtype == pl.String:
        dated = reading.kind == DATE
        return in_days(Dates(values).instants(reading.order) if dated else durations(values))
    return in_days(_ticks(values))


def derived(name: str, values: pl.Series, reading: Reading) -> list[pl.Series]:
    """Sine and cosine of the parts of dates, by name; 0 where the date is missing.

    Examples
    --------
    >>> spring, _ = derived("when", pl.Series([365.2425 / 4]), Reading("date", parts=(YEAR,)))
    >>> spring.name, spring.to_list()
    ('when, time of year (sine)', [1.0])
    """
    found = []
    days = (values / 24 if reading.kind == TIME else values).to_numpy()
    for part in reading.parts:
        turns = {YEAR: days / DAYS_A_YEAR, WEEK: np.floor(days) / 7, CLOCK: days - np.floor(days)}
        angle = 2 * np.pi * (turns[part] % 1)
        for what, function in (("sine", np.sin), ("cosine", np.cos)):
            # Rounded, as the sine of half a turn is 0 and not 1e-16, which could be standardised.
            values_of_part = np.nan_to_num(np.round(function(angle), 12))
            found.append(pl.Series(f"{name}, {part} ({what})", values_of_part))
    return found


def in_days(microseconds: pl.Series) -> pl.Series:
    """The same in days."""
    return microseconds.cast(pl.Float64) / _US_A_DAY


def in_hours(microseconds: pl.Series) -> pl.Series:
    """The same in hours."""
    return microseconds.cast(pl.Float64) / (_US_A_DAY // 24)


def kind_of(dtype: pl.DataType) -> str:
    """The kind of a column that is not text; empty if it has none of these."""
    if _is_date(dtype):
        return DATE
    return {pl.Time: TIME, pl.Duration: DURATION}.get(dtype.base_type(), "")


def _is_date(dtype: pl.DataType) -> bool:
    return dtype == pl.Date or dtype == pl.Datetime


def _ticks(values: pl.Series) -> pl.Series:
    """Microseconds since midnight, or 1970, or of time that passes."""
    if values.dtype == pl.Time:
        return values.to_physical() // 1000
    if values.dtype == pl.Date:
        return values.to_physical().cast(pl.Int64) * _US_A_DAY
    return values.dt.cast_time_unit("us").to_physical()


def times(texts: pl.Series) -> pl.Series:
    """Microseconds since midnight; null for what is no time of day."""
    return _clock(_groups(texts, rf"^{_CLOCK}(?:\s*Uhr)?$"))


def durations(texts: pl.Series) -> pl.Series:
    """Microseconds of '1 day, 2:00:00' or '1 days 02:00:00'; null for what is no such text."""
    fields = _groups(texts, _DURATION).with_columns(pl.lit(None, pl.String).alias("half"))
    days = fields["days"].str.strip_prefix("+").cast(pl.Int64)
    some = fields["days"].is_not_null() | fields["hour"].is_not_null()
    clock = pl.when(fields["hour"].is_null()).then(0).otherwise(_clock(fields))
    return pl.select(pl.when(some).then(days.fill_null(0) * _US_A_DAY + clock)).to_series()


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
        found = [_groups(texts, form) for form in _FORMS]
        self._fields = pl.select(
            pl.coalesce([form[name] for form in found if name in form.columns]).alias(name)
            for name in _FIELDS
        )
        self.two_orders = self._fields["one"].is_not_null()
        self.with_points = (self._fields["mark"] == ".").fill_null(value=False)

    def instants(self, order: str) -> pl.Series:
        """Microseconds since 1970-01-01 UTC; null for what is no date."""
        if order == EITHER:
            day_first, month_first = map(self.instants, ORDERS)
            certain = (day_first == month_first) | self.with_points
            return pl.select(pl.when(certain).then(day_first)).to_series()
        fields = self._fields
        day, month = ("one", "other") if order == DAY_FIRST else ("other", "one")
        named = fields["name"].str.to_lowercase().str.head(3)
        named = named.replace_strict(_MONTHS, default=None, return_dtype=pl.Int64)
        whole = pl.select(
            pl.coalesce(fields["year"].cast(pl.Int64)).alias("year"),
            pl.coalesce(fields["month"].cast(pl.Int64), named, fields[month].cast(pl.Int64)).alias(
                "month"
            ),
            pl.coalesce(fields["day"].cast(pl.Int64), fields[day].cast(pl.Int64)).alias("day"),
        )
        days = _days(whole)
        clock = _clock(fields)
        clock = pl.select(pl.when(fields["hour"].is_null()).then(0).otherwise(clock)).to_series()
        return days * _US_A_DAY + clock - _offset(fields["offset"])


def two_digits(texts: pl.Series) -> bool:
    """Whether all are dates whose years have two digits, such as 30.9.90."""
    present = texts.drop_nulls().str.strip_chars()
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
    """What dates so far have in common.

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
        """Dates more."""
        found = instants.drop_nulls().to_numpy()
        if not len(found):
            return
        weekdays, clocks = found // _US_A_DAY % 7, found % _US_A_DAY
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
        """What may pay besides the number itself: what comes round again and again."""
        if kind == DURATION:
            return ()
        span = (self.last - self.first) / _US_A_DAY
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
class Seen:
    """What is known so far of a column as dates, times of day or durations."""

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
        """Values more."""
        values = values.drop_nulls()
        if self.given_up or not len(values):
            return
        self.n_present += len(values)
        if values.dtype != pl.String:
            self.examples.setdefault("any", str(values[0]))
            self._extent("").add(_ticks(values))
            return
        values = values.str.strip_chars()
        sample = values.gather_every(max(1, len(values) // SAMPLE))
        others = [int(times(sample).count()), int(durations(sample).count())]
        likely = max(*others, *_counts(Dates(sample)))
        if likely < LEAST_LIKELY * len(sample):
            self.given_up = True
            return
        self._add_texts(values)

    def _add_texts(self, texts: pl.Series) -> None:
        dates, clocks, passed = Dates(texts), times(texts), durations(texts)
        of_order = {order: dates.instants(order) for order in ORDERS}
        day_first, month_first = of_order[DAY_FIRST], of_order[MONTH_FIRST]
        either = day_first.is_not_null() | month_first.is_not_null()
        other = (day_first != month_first).fill_null(value=False)
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
        known = either | clocks.is_not_null() | passed.is_not_null()
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
        """Whether all values fit both orders, and are other days in the two, not of points."""
        fit = all(number == self.n_present for number in self.n_of_order.values())
        return fit and self.differ and not self.with_points

    @property
    def mixed(self) -> bool:
        """Whether each is a date in one of the orders, and not all in the same."""
        return (
            self.n_dates == self.n_present
            and not self.ambiguous
            and not any(number == self.n_present for number in self.n_of_order.values())
        )

    @property
    def n_of_kind(self) -> int:
        """Values of the kind that most are of."""
        return max(self.n_times, self.n_durations, *self.n_of_order.values())

    def order(self, told: str | None) -> str:
        """The one that fits most, or the one that is told, where both do."""
        if self.n_of_order[DAY_FIRST] == self.n_of_order[MONTH_FIRST]:
            return told or (DAY_FIRST if self.two_orders and self.with_points else EITHER)
        return max(ORDERS, key=self.n_of_order.__getitem__)

    def reading(self, dtype: pl.DataType, told: str | None) -> Reading:
        """How the column is to be read."""
        if dtype != pl.String:
            kind = kind_of(dtype)
            return Reading(kind, told or EITHER, self._extent("").parts(kind))
        if max(self.n_times, self.n_durations) > self.n_dates:
            if self.n_durations > self.n_times:  # with days, too
                return Reading(DURATION)
            return Reading(TIME, parts=self._extent(TIME).parts(TIME))
        order = self.order(told)
        return Reading(DATE, order, self._extent(order or DAY_FIRST).parts(DATE))


def _counts(dates: Dates) -> list[int]:
    return [int(dates.instants(order).count()) for order in ORDERS]


def _groups(texts: pl.Series, pattern: str) -> pl.DataFrame:
    return texts.str.strip_chars().alias("t").str.extract_groups(pattern).struct.unnest()


def _days(whole: pl.DataFrame) -> pl.Series:
    """Days since 1970-01-01; null where there is no such day."""
    known = pl.all_horizontal(pl.all().is_not_null())
    right = known & (pl.col("year") > 0) & pl.col("month").is_between(1, 12) & (pl.col("day") > 0)
    is_right = whole.select(right).to_series().to_numpy()
    year, month, day = (whole[name].fill_null(1).to_numpy() for name in ("year", "month", "day"))
    months = np.where(is_right, (year - 1970) * 12 + month - 1, 0).astype("M8[M]")
    days = months.astype("M8[D]") + (np.where(is_right, day, 1) - 1).astype("m8[D]")
    is_right &= days.astype("M8[M]") == months
    return _nulled(days.astype(np.int64), is_right)


def _clock(fields: pl.DataFrame) -> pl.Series:
    """Microseconds since midnight; null where there is no such time."""
    hour, minute = (fields[name].cast(pl.Int64) for name in ("hour", "minute"))
    second = fields["second"].cast(pl.Int64).fill_null(0)
    micro = fields["fraction"].str.pad_end(6, "0").str.head(6).cast(pl.Int64).fill_null(0)
    half = fields["half"].str.to_lowercase().str.head(1)
    noon = pl.when(half == "p").then(12).otherwise(0)
    right = (
        (minute < 60)
        & (second < 60)
        & pl.when(half.is_null()).then(hour < 24).otherwise((hour > 0) & (hour <= 12))
    )
    hours = pl.when(half.is_null()).then(hour).otherwise(hour % 12 + noon)
    return pl.select(
        pl.when(right).then(((hours * 60 + minute) * 60 + second) * 1_000_000 + micro)
    ).to_series()


def _offset(texts: pl.Series) -> pl.Series:
    """Microseconds east of UTC."""
    digits = texts.str.replace_all("[+:-]", "")
    minutes = digits.str.slice(0, 2).cast(pl.Int64) * 60 + digits.str.slice(2).replace(
        "", "0"
    ).cast(pl.Int64)
    west = pl.when(texts.str.starts_with("-")).then(-1).otherwise(1)
    return pl.select((minutes * west * 60_000_000).fill_null(0)).to_series()


def _nulled(values: NDArray[np.int64], right: NDArray[np.bool_]) -> pl.Series:
    found = pl.Series(values)
    return pl.select(pl.when(pl.Series(right)).then(found)).to_series()
