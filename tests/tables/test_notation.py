"""Numbers as people write them: what they are read as, what is said, and what is refused."""

import re
from pathlib import Path

import polars as pl
import pytest

from engine.tables import fitting, number_notation
from engine.tables.csv_and_parquet import LoadedTable
from engine.tables.number_notation import COMMA, POINT, NumberReading

N = 60


def planned(y=None, told=(), task=None, decimal=None, **columns):
    """A plan for text as if read from a file; `y` is the target, of plain numbers if left out."""
    y = [f"{i * 1.25}" for i in range(N)] if y is None else y
    table = LoadedTable(Path("table.csv"), pl.DataFrame({"y": y, **columns}))
    return fitting.prepared(table, "y", task, told, decimal)


def with_plain(**columns):
    return {"plain": [f"{i * 7 % 11}.5" for i in range(N)], **columns}


def note_of(plan, name):
    return {column.name: column.note for column in plan.columns.used}[name]


def reason_of(plan, name):
    return {column.name: column.note for column in plan.columns.left_out}[name]


# What each text is with a decimal comma, and with a decimal point; None where it is no number.
READ = [
    ("1,5", 1.5, None),
    ("1.5", None, 1.5),
    ("1,234", 1.234, 1234),
    ("1.234", 1234, 1.234),
    ("0,123", 0.123, None),
    ("1.234,50", 1234.5, None),
    ("1,234.50", None, 1234.5),
    ("1.234.567", 1234567, None),
    ("1,234,567", None, 1234567),
    ("12,34,567", None, 1234567),
    ("1 234,5", 1234.5, None),
    ("1\u00a0234", 1234, 1234),
    ("1\u202f234.5", None, 1234.5),
    ("1\u2009234", 1234, 1234),
    ("1'234.50", None, 1234.5),
    ("1\u2019234", 1234, 1234),
    ("\u22125", -5, -5),
    ("\u20135,5", -5.5, None),
    ("+5", 5, 5),
    ("(5)", -5, -5),
    ("(1,234.50)", None, -1234.5),
    ("12.50-", None, -12.5),
    ("12,50-", -12.5, None),
    ("12,-", 12, 12),
    ("12.\u2014", 12, 12),
    ("12,-7", None, None),
    ("10.-20", None, None),
    ("1e5", 1e5, 1e5),
    ("1,5e-3", 1.5e-3, None),
    ("5-", None, None),  # may be a grade
    ("5-10", None, None),
    ("<5", None, None),
    ("12 kg", None, None),
    ("1,2,3", None, None),
    ("12.34.56", None, None),
    ("(5", None, None),
    ("(-5)", None, None),
    ("--5", None, None),
    ("A1", None, None),
    ("", None, None),
    (".", None, None),
    ("30.9.1990", None, None),
]


@pytest.mark.parametrize(("text", "comma", "point"), READ)
def test_a_number_is_read_by_its_decimal_comma_or_point(text, comma, point):
    for decimal, value in ((COMMA, comma), (POINT, point)):
        assert number_notation.numbers(pl.Series([text]), NumberReading(decimal))[0] == value


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("$12", "$"),
        ("$ 12", "$"),
        ("US$12", "US$"),
        ("12 €", "€"),
        ("12\u00a0€", "€"),
        ("€12", "€"),
        ("£12", "£"),
        ("¥12", "¥"),
        ("CHF 12.-", "CHF"),
        ("12 EUR", "EUR"),
        ("USD12", "USD"),
        ("12 kr", "kr"),
        ("kr. 12", "kr."),
        ("Fr. 12", "Fr."),
        ("12 zł", "zł"),
        ("12 %", "%"),
        ("12%", "%"),
        ("12 ‰", "‰"),
    ],
)
def test_a_currency_or_percent_may_stand_beside_a_number(text, mark):
    assert number_notation.mark_of(text) == mark
    assert number_notation.numbers(pl.Series([text]), NumberReading(POINT, mark)).to_list() == [12]
    assert number_notation.numbers(pl.Series([text]), NumberReading(POINT)).to_list() == [None]


def test_a_sign_may_stand_on_either_side_of_a_currency():
    texts = pl.Series(["-$12", "$-12", "$ -12", "($12)", "\u2212$12"])
    assert number_notation.numbers(texts, NumberReading(POINT, "$")).to_list() == [-12.0] * 5


def test_without_percent_beside_percent_only_0_is_certain():
    texts = pl.Series(["12%", "0", "0.3"])
    assert number_notation.numbers(texts, NumberReading(POINT, "%")).to_list() == [12, 0, None]


COLUMNS: dict[str, tuple[list[str | None], float, str]] = {
    "comma": ([f"{i},5" for i in range(N)], 3.5, "numbers with a decimal comma: '10,5' is 10.5"),
    "german": (["1.234,50", *(f"{i},00" for i in range(1, N))], 3, "'1.234,50' is 1234.5"),
    "us": (["1,234.50", *(f"{i}.00" for i in range(1, N))], 3, "'1,234.50' is 1234.5"),
    "millions": (["1,234,567", *(str(i) for i in range(1, N))], 3, "'1,234,567' is 1234567"),
    "spaces": ([f"{i} 000" for i in range(1, N + 1)], 4000, "'10 000' is 10000"),
    "narrow": ([f"{i}\u202f000" for i in range(1, N + 1)], 4000, "is 10000"),
    "swiss": ([f"{i}'000.50" for i in range(1, N + 1)], 4000.5, "is 10000.5"),
    "percent": ([f"{i} %" for i in range(N)], 3, "numbers in %: '10 %' is 10"),
    "dollars": ([f"${i}.50" for i in range(N)], 3.5, "numbers in $: '$10.50' is 10.5"),
    "some dollars": ([f"${i}" if i % 2 else f"{i}" for i in range(N)], 3, "'$11' is 11"),
    "euros": ([f"{i},50 €" for i in range(N)], 3.5, "decimal comma in €: '10,50 €' is 10.5"),
    "accounts": ([f"({i}.5)" if i % 3 == 0 else f"{i}.5" for i in range(N)], -3.5, "is -12.5"),
    "minus": ([f"\u2212{i}.5" if i % 3 == 0 else f"{i}.5" for i in range(N)], -3.5, "is -12.5"),
    "gaps": ([None if i % 5 == 0 else f"{i},5" for i in range(N)], 3.5, "'11,5' is 11.5"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_such_numbers_is_learnt_from_and_it_is_said(name):
    texts, fourth, said = COLUMNS[name]
    plan = planned(x=texts)
    assert plan.inputs["x"][3] == fourth
    assert said in note_of(plan, "x")
    assert plan.columns.used[0].kind == "number"


@pytest.mark.parametrize("name", COLUMNS)
def test_such_numbers_are_a_regression_s_target_and_it_is_said(name):
    texts, fourth, said = COLUMNS[name]
    plan = planned(texts, **with_plain())
    assert plan.target.task == "regression"
    assert plan.y[3 - texts.count(None) // 12] == fourth
    assert any("The target 'y' holds numbers" in note and said in note for note in plan.notes)


def test_categories_of_text_stay_what_they_are():
    plan = planned(x=[f"A{i % 3}" for i in range(N)], z=[f"{i % 3}-{i % 3 + 5}" for i in range(N)])
    assert [(column.kind, column.note) for column in plan.columns.used] == [
        ("category", "3 categories")
    ] * 2
    assert plan.translation is None


AMBIGUOUS = [f"{i},{i * 7 % 1000:03}" for i in range(1, N + 1)]


def test_where_both_readings_fit_the_option_decides():
    message = (
        "Column 'x' holds numbers such as '10,070', which is 10.07 or 10070. Say which: "
        'decimal="comma" or decimal="point".'
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        planned(x=AMBIGUOUS)
    with pytest.raises(ValueError, match=re.escape("The target 'y' holds numbers such as")):
        planned(AMBIGUOUS, **with_plain())
    assert planned(x=AMBIGUOUS, decimal=COMMA).inputs["x"][1] == 2.014
    assert planned(x=AMBIGUOUS, decimal=POINT).inputs["x"][1] == 2014
    assert planned(AMBIGUOUS, decimal=POINT, **with_plain()).y[1] == 2014


def test_one_value_that_fits_one_reading_decides_for_all():
    assert planned(x=[*AMBIGUOUS[:-1], "3,5"]).inputs["x"][1] == 2.014
    assert planned(x=[*AMBIGUOUS[:-1], "1,234,567"]).inputs["x"][1] == 2014


def test_a_plain_number_that_may_be_a_thousand_is_in_doubt_beside_decimal_commas():
    thousands = [text.replace(",", ".") for text in AMBIGUOUS]
    assert float(planned(x=thousands).inputs["x"][1]) == 2.014  # alone it is a plain number
    commas = [f"{i},5" for i in range(N)]
    message = "Column 'z' has decimal commas, and 'x' holds numbers such as '1.007', which is 1007"
    with pytest.raises(ValueError, match=re.escape(message)):
        planned(x=thousands, z=commas)
    assert planned(x=thousands, z=commas, decimal=COMMA).inputs["x"][1] == 2014
    assert float(planned(x=thousands, z=commas, decimal=POINT).inputs["x"][1]) == 2.014
    assert planned(x=thousands, decimal=COMMA).inputs["x"][1] == 2014


MIXED = {
    "decimals": (
        [f"{i},5" if i % 2 else f"{i}.5" for i in range(N)],
        "mixes decimal commas and decimal points, such as '11,5' and '10.5'",
    ),
    "percent": ([f"{i}%" if i % 2 else f"0.{i + 1:02}" for i in range(N)], "with and without %"),
    "currencies": ([f"${i}" if i % 2 else f"{i} €" for i in range(N)], "mixes $ and €"),
    "parentheses": ([f"({i}.5)" for i in range(N)], "all numbers in parentheses"),
    "words": (
        [f"{i},5" if i > 2 else f"<{i}" for i in range(N)],
        "holds numbers, but also '<0', '<1', '<2': mend that",
    ),
    "units": ([f"{i} kg" for i in range(N)], "numbers with a unit, such as '0 kg': write the num"),
}


@pytest.mark.parametrize("name", MIXED)
def test_what_is_not_certain_is_left_out_or_refused_in_words(name):
    texts, message = MIXED[name]
    plan = planned(x=texts, **with_plain())
    assert message in reason_of(plan, "x")
    for task in (None, "regression"):
        with pytest.raises(ValueError, match=re.escape(message)):
            planned(texts, task=task, **with_plain())
    kept = planned(x=texts, told=["x=category"], **with_plain())
    assert kept.columns.used[0].kind == "category"


def test_few_categories_with_a_unit_are_learnt_from_with_a_word():
    plan = planned(x=[f"{i % 5} kg" for i in range(N)])
    assert note_of(plan, "x").startswith("5 categories; holds numbers with a unit, such as '0 kg'")


def test_a_kind_that_is_told_is_obeyed():
    texts = COLUMNS["comma"][0]
    assert planned(x=texts, told=["x=category"]).inputs["x"][1] == "1,5"
    assert planned(x=texts, told=["x=number"]).inputs["x"][1] == 1.5
    assert reason_of(planned(x=texts, told=["x=out"], **with_plain()), "x").startswith(
        "is left out"
    )
    message = "Column 'x' must hold numbers with a decimal comma; came 'a' in row 60"
    with pytest.raises(ValueError, match=re.escape(message)):
        planned(x=[*texts[:-1], "a"], told=["x=number"])
    labels = [f"{i % 3},5" for i in range(N)]
    assert planned(labels, task="classification", **with_plain()).y[0] == "0,5"


def test_plain_tables_are_not_translated():
    plan = planned(x=["1e5", "-3", "+4", " 5 ", ".5", "5."] * 10)
    assert plan.translation is None
    assert [float(x) for x in plan.inputs["x"][:6]] == [1e5, -3, 4, 5, 0.5, 5]


def test_what_training_did_not_tell_is_not_guessed_later():
    either = NumberReading(number_notation.EITHER, "%")
    texts = pl.Series(["12 %", "1,5 %", "1.5 %", "1,234 %", "1.234 %"])
    assert number_notation.numbers(texts, either).to_list() == [12, 1.5, 1.5, None, None]
    plan = planned(x=[f"{i} %" for i in range(N)])
    assert plan.translation.readings["x"]["decimal"] == ""
    assert planned(x=[f"{i} %" for i in range(N)], decimal=COMMA).translation.readings["x"] == {
        "kind": "number",
        "decimal": "comma",
        "mark": "%",
    }
