"""Dates and times of day in tables: which are recognised, what they become, what is refused."""

import datetime
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.tables import dates, fitting
from engine.tables.csv_and_parquet import LoadedTable
from engine.tables.dates import CLOCK, DAY_FIRST, MONTH_FIRST, WEEK, YEAR, DateReading

N = 60
EPOCH = datetime.datetime(1970, 1, 1)
DAYS = [datetime.date(2020, 1, 1) + datetime.timedelta(days=17 * i) for i in range(N)]
INSTANTS = [datetime.datetime(2020, 1, 1) + datetime.timedelta(minutes=1237 * i) for i in range(N)]
NOON = datetime.datetime(1990, 9, 30, 12)


def days_since(instant):
    return (instant - EPOCH) / datetime.timedelta(days=1)


def planned(x, told=(), order=None):
    """A plan of a table with the column x."""
    n = len(x)
    columns = {"y": [i * 1.25 for i in range(n)], "plain": [i * 7 % 11 for i in range(n)], "x": x}
    table = LoadedTable(Path("table.parquet"), pl.DataFrame(columns))
    return fitting.prepared(table, "y", None, told, dates=order)


def used(plan, name="x"):
    return next(column for column in plan.columns.used if column.name == name)


def reason_of(plan, name="x"):
    return {column.name: column.note for column in plan.columns.left_out}[name]


READ = [
    ("1990-09-30 12:00", NOON),
    ("1990-09-30T12:00:00", NOON),
    ("1990-09-30T12:00:00.000Z", NOON),
    ("1990-09-30 14:00:00+02:00", NOON),
    ("1990-09-30T06:30:00-0530", NOON),
    ("1990/09/30 12:00", NOON),
    ("30.9.1990 12:00", NOON),
    ("30.09.1990, 12:00 Uhr", NOON),
    ("9/30/1990 12:00:00", NOON),
    ("9/30/1990 12:00 PM", NOON),
    ("09/30/1990 12:00:00 p.m.", NOON),
    ("30/9/1990 12:00", NOON),
    ("30-09-1990 12:00", NOON),
    ("30 Sep 1990 12:00", NOON),
    ("30. September 1990 12:00", NOON),
    ("Sep 30, 1990 12:00", NOON),
    ("Sunday, September 30th, 1990 12:00 PM", NOON),
    ("Sun, 30 Sep 1990 12:00:00 GMT", NOON),
    ("1. Mai 1990", datetime.datetime(1990, 5, 1)),
    ("3. März 1990", datetime.datetime(1990, 3, 3)),
    ("12/31/1990 12:00:00 AM", datetime.datetime(1990, 12, 31)),
    ("2024-02-29", datetime.datetime(2024, 2, 29)),
    ("1969-12-31", datetime.datetime(1969, 12, 31)),
    ("2024-01-31 12:30:15.5", datetime.datetime(2024, 1, 31, 12, 30, 15, 500_000)),
    ("2024-01-31 12:30:15,123456789", datetime.datetime(2024, 1, 31, 12, 30, 15, 123456)),
    ("2023-02-29", None),
    ("31.4.2024", None),
    ("2024-13-01", None),
    ("2024-01-31 24:01", None),
    ("1/31/2024 13:00 PM", None),
    ("30.9.90", None),
    ("20240131", None),
    ("31 Foo 2024", None),
    ("2024-01-31x", None),
    ("1.2.3", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "instant"), READ)
def test_a_date_is_the_same_number_in_every_form(text, instant):
    found = {
        dates.numbers(pl.Series([text]), DateReading("date", order))[0] for order in dates.ORDERS
    }
    assert found - {None} == (set() if instant is None else {days_since(instant)})


def test_all_days_of_four_centuries_are_those_of_the_calendar():
    first = datetime.date(1800, 1, 1)
    days = pl.Series([first + datetime.timedelta(days=i) for i in range(0, 146_097, 7)])
    texts = days.dt.to_string("%d.%m.%Y")
    assert dates.numbers(texts, DateReading("date")).equals(
        dates.numbers(days, DateReading("date"))
    )


@pytest.mark.parametrize(
    ("text", "hours"),
    [("12:30", 12.5), ("6:45 pm", 18.75), ("12:00 AM", 0), ("23:59:60", None), ("24:00", None)],
)
def test_a_time_of_day_is_hours_since_midnight(text, hours):
    assert dates.numbers(pl.Series([text]), DateReading("time"))[0] == hours


@pytest.mark.parametrize(
    ("text", "days"),
    [("1 day, 12:00:00", 1.5), ("-1 days +12:00:00", -0.5), ("2 days", 2), ("6:00:00", 0.25)],
)
def test_a_duration_is_days(text, days):
    assert dates.numbers(pl.Series([text]), DateReading("duration"))[0] == days


FORMS = {
    "ISO": [day.isoformat() for day in DAYS],
    "US": [f"{day.month}/{day.day}/{day.year} 0:00:00" for day in DAYS],
    "US, am and pm": [f"{day:%m/%d/%Y} 12:00:00 AM" for day in DAYS],
    "German": [f"{day.day}.{day.month}.{day.year}" for day in DAYS],
    "British": [f"{day:%d/%m/%Y}" for day in DAYS],
    "names": [f"{day:%d %b %Y}" for day in DAYS],
    "zones": [f"{day.isoformat()}T02:00:00+02:00" for day in DAYS],
    "Date": DAYS,
    "Datetime": [datetime.datetime(day.year, day.month, day.day) for day in DAYS],
    "with zone": [
        datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC) for day in DAYS
    ],
}


@pytest.mark.parametrize("form", FORMS)
def test_a_column_of_dates_is_learnt_from_and_it_is_said(form):
    plan, iso = planned(FORMS[form]), planned(FORMS["ISO"])
    assert plan.inputs.equals(iso.inputs)
    assert plan.inputs["x"].to_list() == [(day - EPOCH.date()).days for day in DAYS]
    said = used(plan).note
    assert said.startswith("dates, such as '")
    assert said.endswith(": days since 1970-01-01, time of year, day of the week")
    assert ("month first" in said, "day first" in said) == (
        form.startswith("US"),
        form in ("German", "British"),
    )


def test_what_comes_round_is_an_angle_where_it_varies():
    def parts_of(values):
        return used(planned(values)).note.rpartition("1970-01-01")[2]

    def every(**step):
        return [EPOCH + datetime.timedelta(**step) * i for i in range(N)]

    assert parts_of(every(hours=5)) == f", {CLOCK}"
    assert parts_of(every(days=1)) == f", {WEEK}"
    assert parts_of(every(days=7)) == f", {YEAR}"
    assert parts_of(every(days=8, hours=1)) == f", {YEAR}, {WEEK}, {CLOCK}"


def test_angles_are_sine_and_cosine_of_year_week_and_day():
    values = pl.Series([0.0, 365.2425 / 4, 7.75, None])
    found = {
        series.name: series.to_list()
        for series in dates.derived("x", values, DateReading("date", parts=(YEAR, WEEK, CLOCK)))
    }
    assert list(found) == [
        f"x, {part} ({what})" for part in (YEAR, WEEK, CLOCK) for what in ("sine", "cosine")
    ]
    assert found["x, time of year (sine)"][:2] == [0, 1]
    np.testing.assert_allclose(found["x, day of the week (cosine)"][2], 1)
    assert found["x, time of day (sine)"][2] == -1
    assert all(column[3] == 0 for column in found.values())  # where no date is


def test_missing_dates_are_missing_numbers():
    plan = planned([None if i % 4 == 0 else day.isoformat() for i, day in enumerate(DAYS)])
    assert used(plan).n_missing == 15
    assert plan.inputs["x"].null_count() == 15
    assert not any(plan.inputs[f"x, {WEEK} (sine)"].is_nan())


MONTHLY = [f"{i % 12 + 1}/1/{2000 + i // 12}" for i in range(N)]


def test_where_both_orders_fit_the_option_decides():
    message = (
        "Column 'x' holds dates such as '2/1/2000', in which the day or the month comes first. Say "
        'which: dates="day-first" or dates="month-first"'
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        planned(MONTHLY)
    second = {order: planned(MONTHLY, order=order).inputs["x"][1] for order in dates.ORDERS}
    assert second == {DAY_FIRST: 10958, MONTH_FIRST: 10988}
    assert planned([*MONTHLY[:-1], "1/13/2004"]).inputs["x"][1] == 10988  # one decides for all
    assert planned([*MONTHLY[:-1], "13/1/2004"]).inputs["x"][1] == 10958
    assert planned([one.replace("/", ".") for one in MONTHLY]).inputs["x"][1] == 10958
    assert planned([f"{i % 12 + 1}/{i % 12 + 1}/{2000 + i}" for i in range(N)]).inputs["x"][0]


LEFT_OUT = {
    "some of either order": (
        [f"{i % 12 + 1}/20/2000" if i % 2 else f"20/{i % 12 + 1}/2000" for i in range(N)],
        "some have the day and some the month first",
    ),
    "years of two digits": (
        [f"{day:%d.%m.%y}" for day in DAYS],
        "years of two digits, such as '01",
    ),
    "a word": (
        ["unknown" if i == 3 else day.isoformat() for i, day in enumerate(DAYS)],
        "holds dates, but also 'unknown': mend that, or, if it stands for a missing value, put ",
    ),
    "one date": (["31.1.2024"] * N, "is '31.1.2024' everywhere"),
    "microseconds": (
        [NOON + datetime.timedelta(microseconds=i % 3) for i in range(N)],
        "holds dates too close together to be told apart",
    ),
    "one word in twenty": (
        ["unknown" if i % 20 == 0 else DAYS[i % N].isoformat() for i in range(20_000)],
        "holds dates, but also 'unknown'",
    ),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_dates_that_cannot_be_used_are_left_out_in_words(name):
    values, message = LEFT_OUT[name]
    plan = planned(values)
    assert message in reason_of(plan)
    assert [column.name for column in plan.columns.used] == ["plain"]
    assert plan.translation is None


def test_a_kind_that_is_told_is_obeyed():
    for form in ("ISO", "US", "Date", "Datetime"):
        assert reason_of(planned(FORMS[form], ["x=out"])) == "is left out as you asked"
        assert used(planned(FORMS[form], ["x=date"])).reading == "date"
        assert used(planned(FORMS[form], ["x=category"])).kind == "category"
    for form in ("ISO", "Date", "Datetime"):  # the same category in every type
        assert planned(FORMS[form], ["x=category"]).inputs["x"][0] == "2020-01-01"
    assert used(planned(LEFT_OUT["one date"][0], ["x=date"])).reading == "date"
    with pytest.raises(ValueError, match="holds dates too close together to be told apart"):
        planned(LEFT_OUT["microseconds"][0], ["x=date"])
    for values, came in ((LEFT_OUT["a word"][0], "'unknown' in row 4"), (list(range(N)), "Int64")):
        message = f"Column 'x' must hold dates; came {came}"
        with pytest.raises(ValueError, match=re.escape(message)):
            planned(values, ["x=date"])


@pytest.mark.parametrize("value", ["31.1.2024", "2024-01-31", "2024-01-31 12:30", "5 €"])
def test_one_value_is_named_as_the_table_writes_it(value):
    assert used(planned([value, None] * (N // 2))).note.startswith(f"{value!r} or missing, in 30")
    told = "number" if "€" in value else "date"
    note = used(planned([value] * N, [f"x={told}"])).note
    assert note.startswith(f"{value!r} everywhere, of which nothing can be learnt; ")


@pytest.mark.parametrize("form", FORMS)
def test_dates_are_no_target(form):
    table = LoadedTable(Path("t.parquet"), pl.DataFrame({"y": FORMS[form], "x": range(N)}))
    for task in (None, "regression"):
        with pytest.raises(ValueError, match="'y' holds dates, which cannot be predicted"):
            fitting.prepared(table, "y", task)


def test_times_and_durations_of_either_type_are_numbers():
    times = [instant.time() for instant in INSTANTS]
    spans = [datetime.timedelta(minutes=1237 * i) for i in range(N)]
    for values, kind, fourth in ((times, "time", 3711 / 60 % 24), (spans, "duration", 3711 / 1440)):
        typed, text = planned(values), planned([str(value) for value in values])
        assert used(typed).reading == used(text).reading == kind
        assert typed.inputs.equals(text.inputs)
        np.testing.assert_allclose(typed.inputs["x"][3], fourth)


def test_a_name_that_a_date_would_take_is_refused():
    table = LoadedTable(
        Path("t.parquet"),
        pl.DataFrame({"y": range(N), "x": DAYS, "x, time of year (sine)": range(N)}),
    )
    with pytest.raises(ValueError, match="would be made of a date; rename them"):
        fitting.prepared(table, "y")


def test_what_training_did_not_tell_is_not_guessed_later():
    either = DateReading("date", dates.EITHER)
    texts = pl.Series(["1970-01-02", "2.1.1970", "2 Jan 1970", "2/2/1970", "3/4/1970"])
    assert dates.numbers(texts, either).to_list() == [1, 1, 1, 32, None]
    orders = {
        form: planned(FORMS[form]).translation.readings["x"]["order"]
        for form in ("ISO", "US", "Date")
    }
    assert orders == {"ISO": "", "US": "month-first", "Date": ""}
    assert planned(FORMS["Date"], order=DAY_FIRST).translation.readings["x"]["order"] == DAY_FIRST
