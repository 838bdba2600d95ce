"""A value alone is read with the bits that a column of it has, or left to a column."""

import datetime
import zoneinfo

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.tables import dates, translation
from engine.tables.csv_and_parquet import without_nan
from engine.tables.dates import DATE, DURATION, TIME, DateReading
from engine.tables.given_tables import of_values
from engine.tables.number_notation import NumberReading
from engine.tables.row_notation import WrittenDate, WrittenNumber, periodic_parts
from engine.tables.row_values import Numbers

PARTS = {DATE: dates.PARTS, TIME: (dates.CLOCK,), DURATION: ()}
READINGS = [
    DateReading(kind, order, PARTS[kind]) for kind in PARTS for order in (*dates.ORDERS, "")
]
ZONES = [
    None,
    datetime.UTC,
    zoneinfo.ZoneInfo("Europe/Berlin"),
    zoneinfo.ZoneInfo("America/St_Johns"),
    datetime.timezone(datetime.timedelta(hours=-3, minutes=-30, seconds=-7)),
]
NOTATIONS = [
    "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S.%f", "%Y/%m/%d %H:%M", "%d.%m.%Y", "%m/%d/%Y %I:%M %p",
    "%d-%m-%Y, %H:%M Uhr", "%d %B %Y", "%A, %d. %b %Y", "%b %d, %Y", "%H:%M:%S", "%I:%M p.m.",
    "%Y-%m-%d %H:%M+05:30", "%Y-%m-%d %H:%M -0800", " %d.%m.%Y\u3000", "%d.%m.%y",
    "%j days %H:%M:%S", "-%j days", "%d. März %Y", "%d/13/%Y", "%H:%M:%S,%f", "%Y-%m-%d\x1c",
]  # fmt: skip
MOMENTS = st.datetimes(
    datetime.datetime(1, 1, 2), datetime.datetime(9999, 12, 30), timezones=st.sampled_from(ZONES)
)
PASSED = st.timedeltas(datetime.timedelta(-(10**6)), datetime.timedelta(10**6))
VALUES = st.one_of(
    MOMENTS,
    MOMENTS.map(datetime.datetime.date),
    MOMENTS.map(datetime.datetime.time),
    st.builds(lambda moment, form: moment.strftime(form), MOMENTS, st.sampled_from(NOTATIONS)),
    MOMENTS.map(datetime.datetime.isoformat),
    st.builds(np.datetime64, st.integers(-(2**62), 2**62), st.sampled_from(["ns", "us"])),
    st.builds(np.datetime64, st.integers(-(10**6), 10**6), st.sampled_from(["D", "h", "M"])),
    st.builds(pd.Timestamp, st.integers(-(9 * 10**18), 9 * 10**18)),
    PASSED,
    PASSED.map(str),
    st.builds(pd.Timedelta, st.integers(-(10**15), 10**15), st.sampled_from(["us", "ns"])),
    st.builds(np.timedelta64, st.integers(-(10**12), 10**12), st.sampled_from(["ns", "us", "s"])),
    st.sampled_from([None, float("nan"), pd.NaT, np.datetime64("NaT"), np.timedelta64("NaT")]),
    st.sampled_from(["", "?", "24:00", "2023-02-29", "0000-01-01", "2024-02-29T24:00", 5, True]),
)


def of_column(value, reading):
    """What a column with this value alone becomes; None if it is refused."""
    series = without_nan(pl.DataFrame([of_values("it", [value])]))["it"]
    try:
        numbers = translation.read(series, reading)
    except ValueError:
        return None
    made = [numbers]
    if isinstance(reading, DateReading):
        made += dates.derived("it", numbers, reading)
    return [one.fill_null(float("nan"))[0] for one in made]


def alone(value, reading):
    number = WrittenDate(reading, ())(value)
    return None if number is None else [number, *periodic_parts(number, reading)]


def bits(numbers):
    return None if numbers is None else np.array(numbers, np.float64).view(np.int64).tolist()


@settings(max_examples=300, deadline=None)
@given(VALUES, st.sampled_from(READINGS))
@example(datetime.datetime(1916, 4, 30, 23, tzinfo=ZONES[2]), READINGS[0])  # of no clock
def test_a_date_alone_has_the_bits_of_a_column(value, reading):
    got = alone(value, reading)
    if got is not None:
        assert bits(got) == bits(of_column(value, reading))


@pytest.mark.parametrize(
    ("value", "days"),
    [
        (datetime.datetime(1970, 1, 2, 12), 1.5),
        (datetime.datetime(1970, 1, 2, 1, tzinfo=ZONES[2]), 1.0),
        (datetime.date(1969, 12, 31), -1.0),
        (datetime.date(2024, 2, 29), 19782.0),
        (pd.Timestamp("1970-01-02", tz="Europe/Berlin"), 23 / 24),
        (np.datetime64("1970-01-02T06", "h"), 1.25),
        ("1970-01-02T12:00:00Z", 1.5),
        ("2. Januar 1970 6:00 pm", 1.75),
        ("Jan 2, 1970", 1.0),
        ("2/1/1970", 1.0),
        (pd.NaT, float("nan")),
        (None, float("nan")),
    ],
)
def test_usual_dates_are_read_without_a_column(value, days):
    found = WrittenDate(DateReading(DATE), ())(value)
    assert found == pytest.approx(days, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("value", "kind", "number"),
    [
        (datetime.time(12, 30), TIME, 12.5),
        ("6:45:00 pm", TIME, 18.75),
        (datetime.timedelta(days=-1, hours=12), DURATION, -0.5),
        (pd.Timedelta(36, "h"), DURATION, 1.5),
        (np.timedelta64(12, "h"), DURATION, 0.5),
        ("1 day, 6:00:00", DURATION, 1.25),
    ],
)
def test_usual_times_and_durations_are_read_without_a_column(value, kind, number):
    assert WrittenDate(DateReading(kind), ())(value) == pytest.approx(number, abs=1e-12)


def test_words_for_missing_values_are_missing_dates():
    assert np.isnan(WrittenDate(DateReading(DATE), {"", "NA"})(" NA "))
    assert WrittenDate(DateReading(DATE), ())("NA") is None


MARKS = ["", "%", "$", "\u20ac", "EUR", "kr"]
READ_NUMBERS = [
    NumberReading(decimal, mark) for decimal in ("comma", "point", "") for mark in MARKS
]
FORMS = ["{:,.2f}", "{:,.0f}", "{:.2f}", "{:g}", "{:.3f}", "{:e}", "{:.0f},-", "{:.0f}.--"]
WRITTEN = st.builds(
    lambda number, form, swap, whole, mark: whole.format(
        form.format(number).translate(str.maketrans(",.", swap)), mark
    ),
    st.one_of(st.floats(-1e9, 1e9), st.integers(-(10**6), 10**6).map(lambda cents: cents / 100)),
    st.sampled_from(FORMS),
    st.sampled_from([",.", ".,", "',", " ,", "\u202f,", "\u2019."]),
    st.sampled_from(
        ["{}{}", "{1}{0}", "{1} {0}", "{} {}", "({}{})", "{}\u00a0{}", "{0}{1}-", "+{}"]
    ),
    st.sampled_from(MARKS),
)  # fmt: skip
ODD = st.text("0123456789.,'\u2019 -+()%$\u20ac\u2212\u2014eE\u00a0\u0663", max_size=8)


@settings(max_examples=500, deadline=None)
@given(st.one_of(WRITTEN, ODD), st.sampled_from(READ_NUMBERS))
def test_a_number_alone_has_the_bits_of_a_column(text, reading):
    got = Numbers((), WrittenNumber(reading))(text)
    if got is not None:
        assert bits([got]) == bits(of_column(text, reading))


@pytest.mark.parametrize(
    ("text", "reading", "number"),
    [
        ("1.234,50", NumberReading("comma"), 1234.5),
        ("$1,234.50", NumberReading("point", "$"), 1234.5),
        ("1.234,50\u00a0\u20ac", NumberReading("comma", "\u20ac"), 1234.5),
        ("12 %", NumberReading("", "%"), 12.0),
        ("(2.50)", NumberReading("point"), -2.5),
        ("\u22127,-", NumberReading("comma"), -7.0),
        ("12", NumberReading("point", "%"), None),
        ("1,234", NumberReading(""), None),
        ("12 kg", NumberReading("point"), None),
    ],
)
def test_usual_numbers_are_read_without_a_column(text, reading, number):
    assert Numbers((), WrittenNumber(reading))(text) == number
