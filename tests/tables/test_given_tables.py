"""Tables as users have them become polars frames, or are refused in words."""

import datetime
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest

from engine.tables.column_kinds import kind_of
from engine.tables.given_tables import given_table

DAY = datetime.datetime(2024, 2, 29, 6)
NAN = float("nan")
# What a column becomes: its type, and its values.
COLUMNS = {
    "integers": (pd.Series([1, 2**60 + 1]), pl.Int64, [1, 2**60 + 1]),
    "integers as objects": (pd.Series([1, 2**60 + 1], dtype=object), pl.Int64, [1, 2**60 + 1]),
    "unsigned": (pd.Series([1, 2], dtype="uint8"), pl.UInt64, [1, 2]),
    "floats": (pd.Series([1.5, NAN]), pl.Float64, [1.5, None]),
    "nullable integers": (pd.Series([1, pd.NA], dtype="Int64"), pl.Float64, [1.0, None]),
    "booleans": (pd.Series([True, False]), pl.Boolean, [True, False]),
    "nullable booleans": (pd.Series([True, pd.NA], dtype="boolean"), pl.Boolean, [True, None]),
    "booleans as objects": (pd.Series([True, None], dtype=object), pl.Boolean, [True, None]),
    "texts": (pd.Series(["a", None], dtype=object), pl.String, ["a", None]),
    "strings": (pd.Series(["a", pd.NA], dtype="string"), pl.String, ["a", None]),
    "NaN among texts": (pd.Series(["a", NAN], dtype=object), pl.String, ["a", None]),
    "categories": (pd.Series(["a", None], dtype="category"), pl.Categorical, ["a", None]),
    "categories of numbers": (pd.Series([7, 3], dtype="category"), pl.Categorical, ["7", "3"]),
    "numbers as objects": (pd.Series([1, 2.5], dtype=object), pl.Float64, [1.0, 2.5]),
    "numbers and texts": (pd.Series([1, "a", np.float64(2.5)]), pl.String, ["1", "a", "2.5"]),
    "times": (pd.Series([DAY, pd.NaT]), pl.Datetime("us"), [DAY, None]),
    "time zone": (
        pd.Series([DAY]).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
        pl.Datetime("us"),
        [DAY],
    ),
    "periods": (
        pd.Series([pd.Period("2024-02"), pd.NaT]),
        pl.Datetime("us"),
        [DAY.replace(day=1, hour=0), None],
    ),
    "durations": (pd.Series([datetime.timedelta(1)]), pl.Duration("us"), [datetime.timedelta(1)]),
    "lists": (pd.Series([[1], [2]]), pl.Object, [[1], [2]]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_pandas_column_keeps_its_values_and_what_they_are(name):
    column, dtype, values = COLUMNS[name]
    for table in (pd.DataFrame({"a": column}), {"a": column}):
        found = given_table(table).frame["a"]
        assert (found.dtype, found.to_list()) == (dtype, values)


def test_a_category_of_numbers_stays_a_category():
    assert (
        kind_of(given_table(pd.DataFrame({"a": pd.Categorical([7, 3])})).frame["a"]) == "category"
    )


@pytest.mark.parametrize("missing", [None, NAN, pd.NA, pd.NaT])
def test_a_dict_of_lists_is_a_table_with_any_missing_value(missing):
    found = given_table({"a": ["x", missing], "b": [1, missing], "c": np.arange(2)}).frame
    assert found["a"].to_list() == ["x", None]
    assert found["b"].to_list() == [1, None]
    assert found["c"].dtype == pl.Int64


def test_nan_of_polars_is_missing():
    assert given_table(pl.DataFrame({"a": [1.0, NAN]})).frame["a"].to_list() == [1.0, None]


def test_a_path_is_a_file_with_its_notes_and_words(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a;b\n1;NA\n2;x\n")
    found = given_table(path)
    assert found.frame["b"].to_list() == [None, "x"]
    assert found.notes == ("Columns are separated by a semicolon.",)
    assert (found.words, found.is_text) == ({"b": {"NA": 1}}, True)
    assert given_table(str(path), missing=()).frame["b"].to_list() == ["NA", "x"]
    found.frame.write_parquet(tmp_path / "table.parquet")
    assert not given_table(tmp_path / "table.parquet").is_text


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.zeros((2, 2)), "pass a pandas or polars DataFrame; got ndarray"),
        (pl.DataFrame({"a": [1]}).lazy(), "pass a pandas or polars DataFrame; got LazyFrame"),
        (pd.DataFrame({"a": []}), "The table has no rows; pass one with at least one row."),
        (pl.DataFrame({"a": []}), "The table has no rows"),
        ({}, "The table has no columns"),
        (pd.DataFrame(index=range(3)), "The table has no columns"),
        (
            pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]),
            "has more than one column called 'a'; give each a name of its own.",
        ),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), "more than one column called '1'"),
        ({"a": [1, 2], "b": [1]}, "'a' has 2, and 'b' has 1"),
    ],
)
def test_what_is_no_table_is_refused_in_words(table, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        given_table(table)
