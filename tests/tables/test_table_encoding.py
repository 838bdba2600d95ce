"""A table's columns as one matrix: values, codes, what is missing, and what is refused."""

import copy
import datetime
import io
import json
import pickle
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest

from engine.tables.column_statistics import TableStatistics
from engine.tables.given_tables import given_table
from engine.tables.table_description import described
from engine.tables.table_encoding import ABSENT, RARE, EncodedColumn, TableEncoding

N = 60
NAN = float("nan")


def table():
    return pl.DataFrame(
        {
            "area": [None if k % 20 == 19 else 20.25 + k * k for k in range(N)],
            "lift": [[True, False, None][k % 3] for k in range(N)],
            "side": [["north", "south", None, "east", "south"][k % 5] for k in range(N)],
            "shop": [k % 3 + 1 for k in range(N)],
            "same": ["x"] * N,
            "gone": pl.Series([None] * N, dtype=pl.String),
        }
    )


def of_training_rows(columns, frame, translation=None, **given):
    """An encoding that is fitted on rows in memory, which are translated already."""
    kinds = {column.name: "category" for column in columns if column.kind == "category"}
    names = [column.name for column in columns]
    statistics = TableStatistics.of_frame(frame.select(names), None, kinds)
    return TableEncoding.fitted(columns, statistics, translation, **given)


def encoding_of(frame, kinds=None, **given):
    found = described(given_table(frame).frame, None, kinds=kinds or {})
    return of_training_rows(found.columns.used, found.frame, found.translation, **given)


@pytest.fixture(scope="module")
def encoding():
    return encoding_of(table(), {"shop": "category"})


def column(encoding, name):
    return next(one for one in encoding.columns if one.name == name)


def test_numbers_stay_as_they_are_and_what_is_missing_is_nan(encoding):
    X = encoding.encode(table())
    area = table()["area"].to_numpy()
    np.testing.assert_array_equal(X[:, 0], area)
    lift = [{True: 1.0, False: 0.0, None: NAN}[one] for one in table()["lift"]]
    np.testing.assert_array_equal(X[:, 1], lift)
    assert X.dtype == np.float64
    assert encoding.encode(table(), "float32").dtype == np.float32
    assert [one.name for one in encoding.columns] == ["area", "lift", "side", "shop"]
    assert [one.role for one in encoding.columns] == ["number", "boolean", "category", "category"]
    assert [one.n_distinct for one in encoding.columns] == [57, 2, 3, 3]
    assert [one.had_missing for one in encoding.columns] == [True, True, True, False]


def test_codes_begin_with_the_most_frequent_level_and_a_missing_value_is_the_last(encoding):
    side = column(encoding, "side")
    assert side.levels == (RARE, "south", "east", "north", ABSENT)
    assert side.counts == (0, 24, 12, 12, 12)
    assert side.n_levels == 5
    X = encoding.encode(table())
    assert X[:5, 2].tolist() == [3, 1, 4, 2, 1]
    shop = column(encoding, "shop")
    assert shop.levels == (RARE, "1", "2", "3")
    assert X[:3, 3].tolist() == [1, 2, 3]


def test_rare_and_unknown_levels_are_code_0_and_so_is_what_was_never_missing():
    texts = ["a"] * 9 + ["b"] * 5 + ["c"] * 4 + ["d"] * 2
    frame = pl.DataFrame({"town": texts, "z": range(3, 43, 2)})
    encoding = encoding_of(frame)
    town = column(encoding, "town")
    assert (town.levels, town.counts, town.n_distinct) == ((RARE, "a", "b"), (6, 9, 5), 4)
    new = pl.DataFrame({"town": ["c", "b", "new", None, " a "], "z": [1, 2, 3, 4, 5]})
    assert encoding.encode(new)[:, 0].tolist() == [0, 2, 0, 0, 1]
    assert column(encoding_of(frame, min_count=1), "town").levels == (RARE, "a", "b", "c", "d")
    few = column(encoding_of(frame, min_count=1, most_levels=2), "town")
    assert (few.levels, few.counts) == ((RARE, "a", "b"), (6, 9, 5))


def test_levels_are_those_of_the_training_rows():
    texts = ["1"] * 10 + ["2"] * 10 + ["x"] * 10
    frame = pl.DataFrame({"a": texts, "b": [k * k for k in range(30)]})
    columns = described(frame, None).columns.used
    encoding = of_training_rows(columns, frame.head(20))
    assert encoding.columns[0].levels == (RARE, "1", "2")
    assert encoding.encode(frame)[:, 0].tolist() == [1] * 10 + [2] * 10 + [0] * 10
    parts = np.repeat([0, 0, 1], 10).astype(np.int8)
    statistics = TableStatistics.of_frame(frame, None, parts=parts)
    assert TableEncoding.fitted(columns, statistics).columns == encoding.columns


TEXT = "area,lift,side,shop\n30,true,north,1\n,,,\n55,false,east,2\n60,,,9\n"
ROWS = pd.read_csv(io.StringIO(TEXT))
PL = pl.read_csv(io.StringIO(TEXT))
EXPECTED = [[30, 1, 3, 1], [NAN, NAN, 4, 0], [55, 0, 2, 2], [60, NAN, 4, 0]]
FRAMES = {
    "pandas": ROWS,
    "objects": ROWS.astype(object),
    "None": ROWS.astype(object).mask(ROWS.isna(), None),
    "pd.NA": ROWS.astype(object).mask(ROWS.isna(), pd.NA),
    "nullable": ROWS.astype(
        {"area": "Int64", "side": "string", "lift": "boolean", "shop": "Int64"}
    ),
    "categories": ROWS.astype({"side": "category", "shop": "category"}),
    "text": pd.read_csv(io.StringIO(TEXT), dtype=str),
    "codes with a point": ROWS.assign(shop=["1.0", None, "2.00", "9"]),
    "true as 1": ROWS.assign(lift=[1, None, 0, None]),
    "another order, and more": ROWS[ROWS.columns[::-1]].assign(more=1).set_index("more"),
    "polars": PL,
    "polars, text": pl.read_csv(io.StringIO(TEXT), infer_schema=False),
    "polars, Enum": PL.with_columns(pl.col("side").cast(pl.Enum(["east", "north"]))),
    "polars, Categorical": PL.with_columns(pl.col("side").cast(pl.Categorical)),
    "polars, NaN": PL.with_columns(pl.col("area").cast(pl.Float64).fill_null(NAN)),
    "dict": ROWS.to_dict(orient="list"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_table_is_encoded_alike_in_whatever_form_it_comes(encoding, name):
    np.testing.assert_array_equal(encoding.encode(FRAMES[name]), EXPECTED)


def test_a_file_is_encoded_as_the_frame_with_its_words_for_missing_values(tmp_path):
    path = tmp_path / "table.csv"
    table().with_columns(pl.col("side").fill_null("NA")).write_csv(path)
    given = given_table(path)
    found = described(given.frame, None, kinds={"shop": "category"})
    encoding = of_training_rows(found.columns.used, found.frame, missing=["NA", "?"])
    X = encoding.encode(path)
    np.testing.assert_array_equal(X, encoding.encode(table()))
    words = table().with_columns(pl.col("side").fill_null("?"), area=pl.lit(" NA "))
    assert np.isnan(encoding.encode(words)[:, 0]).all()
    np.testing.assert_array_equal(encoding.encode(words)[:, 2], X[:, 2])


def dated():
    start = datetime.datetime(2023, 1, 1)
    return pl.DataFrame(
        {
            "when": [(start + datetime.timedelta(hours=k * 211)).isoformat() for k in range(N)],
            "price": [f"{k * 1.5:.2f} €".replace(".", ",") for k in range(N)],
        }
    )


def test_dates_and_numbers_written_for_people_are_numbers_with_their_source():
    encoding = encoding_of(dated())
    assert encoding.sources == ["when", "price"]
    days, price = (column(encoding, name) for name in ("when", "price"))
    assert (days.role, days.source, price.role) == ("number", "when", "number")
    parts = {one.name for one in encoding.columns if one.source == "when"}
    assert parts == {
        "when",
        *(
            f"when, {part} ({function})"
            for part in ("time of year", "day of the week", "time of day")
            for function in ("sine", "cosine")
        ),
    }
    new = {"when": [datetime.datetime(1970, 1, 2, 12), None], "price": ["1.234,50 €", None]}
    for frame in (new, pd.DataFrame(new)):
        X = encoding.encode(frame)
        assert X[0, :2].tolist() == [1.5, 1234.5]
        assert np.isnan(X[1, :2]).all()
        assert (
            X[0, [one.name for one in encoding.columns].index("when, time of day (cosine)")] == -1
        )


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (ROWS.drop(columns=["side"]), "The table lacks a column that training had: 'side'. Add it"),
        (ROWS.drop(columns=["side", "area"]), "lacks 2 columns that training had: 'area', 'side'"),
        (ROWS.assign(area="wide"), "Column 'area' must hold numbers, as in training; came 'wide'"),
        (ROWS.assign(area=True), "Column 'area' must hold numbers"),
        (ROWS.assign(lift=7), "Column 'lift' must hold true and false, as in training; came 7"),
        (
            ROWS.assign(side=[4.5, 2, 3, None]),
            "Column 'side' is of another type: training had categories such as 'south', 'east', "
            "'north', and numbers came",
        ),
        (ROWS.assign(area=np.inf), "Column 'area' is inf in row 1"),
        (ROWS.assign(area=[1, -1e200, 2, 3]), "Column 'area' is -1e+200 in row 2; numbers must be"),
        (ROWS.iloc[:0], "The table has no rows"),
        (ROWS.to_numpy(), "pass a pandas or polars DataFrame; got ndarray"),
    ],
)
def test_a_table_of_other_columns_is_refused_by_name(encoding, frame, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        encoding.encode(frame)


def test_a_number_that_float32_cannot_hold_is_refused_with_its_row(encoding):
    frame = ROWS.assign(area=[1, 2, 1e60, 3])
    assert encoding.encode(frame)[2, 0] == 1e60
    with pytest.raises(ValueError, match=r"'area' is 1e\+60 in row 3, too large for float32"):
        encoding.encode(frame, "float32")


def test_a_batch_is_encoded_with_the_numbers_of_its_rows_in_messages(encoding):
    frame = table().slice(40, 10).with_columns(area=pl.lit(-1e200))
    with pytest.raises(ValueError, match=r"'area' is -1e\+200 in row 41; numbers must be at most"):
        encoding.encode_translated(frame, first_row=41)
    with pytest.raises(ValueError, match=r"'area' is 1e\+60 in row 41, too large for float32"):
        encoding.encode_translated(frame.with_columns(area=pl.lit(1e60)), "float32", 41)


def test_an_encoding_is_the_same_whether_its_rows_came_in_one_batch_or_in_many():
    frame = table()
    parts = (np.arange(N) % 4 == 3).astype(np.int8)
    many = TableStatistics(None, {"shop": "category"}, 2, np.random.default_rng(0))
    for start in range(0, N, 13):
        many.add(frame.slice(start, 13), parts[start : start + 13], start + 1)
    one = TableStatistics.of_frame(frame, None, {"shop": "category"}, parts=parts)
    encodings = [TableEncoding.fitted(found.chosen().used, found) for found in (one, many)]
    assert encodings[0].columns == encodings[1].columns
    rows = [encodings[1].encode_translated(frame.slice(start, 13)) for start in range(0, N, 13)]
    np.testing.assert_array_equal(np.concatenate(rows), encodings[0].encode(frame))
    of_training = of_training_rows(one.chosen().used, frame.filter(parts == 0))
    assert of_training.columns == encodings[0].columns


def test_a_column_without_values_is_left_out_with_the_reason():
    left_out = {one.name: one.note for one in described(table(), None).columns.left_out}
    assert left_out["gone"] == "has no values"


def test_distinct_numbers_are_counted_up_to_a_limit():
    frame = pl.DataFrame(
        {"a": [k * 0.5 for k in range(2000)], "b": [k * k % 7 for k in range(2000)]}
    )
    assert [one.n_distinct for one in encoding_of(frame).columns] == [None, 4]


# As a model file holds it.


@pytest.mark.parametrize("frame", [table(), dated()])
def test_a_description_makes_the_same_encoding_again(frame):
    encoding = encoding_of(frame)
    description, arrays = encoding.to_description()
    again = TableEncoding.from_description(json.loads(json.dumps(description)), arrays)
    assert again.columns == encoding.columns
    assert again.to_description()[0] == description
    np.testing.assert_array_equal(again.encode(frame), encoding.encode(frame))
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(encoding)).encode(frame), encoding.encode(frame)
    )


def changed(description, *path, to):
    description = copy.deepcopy(description)
    place = description
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return description


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (["format"], 2, "it has format 2, and 1 is read"),
        (["columns"], [], "it has no columns, or two of one name"),
        (["columns", 1, "name"], "when", "two of one name"),
        (["columns", 0, "name"], 3, "columns, 0 name is 3"),
        (["columns", 0, "role"], "code", "column 'when' is of role 'code'"),
        (["columns", 0, "had_missing"], 1, "columns, 0 had_missing is 1"),
        (["columns", 0, "n_distinct"], -1, "has -1 distinct values"),
        (["columns", 0, "levels"], [RARE], "has levels, and is no category"),
        (["columns", 2, "levels"], [], "lacks the levels of rare or missing values"),
        (["columns", 2, "levels"], [RARE, "a", "b"], "lacks the levels of rare or missing values"),
        (["columns", 2, "levels"], [RARE, "a", "a", ABSENT], "column 'town' has a level twice"),
        (["readings"], {}, "it has parts of dates, and reads none"),
        (["readings", "when", "parts"], [], "columns are made of others than it says"),
        (["readings", "when", "order"], "year-first", "a column that is read as"),
        (["readings", "other"], {"kind": "text"}, "columns that the model does not take"),
        (["target_reading"], {"kind": "text"}, "the target is read as"),
        (["missing"], [1], "missing, 0 is 1"),
    ],
)
def test_a_description_that_no_encoding_has_is_refused(path, to, message):
    frame = dated().with_columns(town=pl.Series(["a", "b", None] * (N // 3)))
    description, arrays = encoding_of(frame).to_description()
    assert [one["name"] for one in description["columns"]][:3] == ["when", "price", "town"]
    with pytest.raises(ValueError, match=re.escape(message)):
        TableEncoding.from_description(changed(description, *path, to=to), arrays)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "the counts of levels are no whole numbers"),
        ({"level_counts": np.zeros(9)}, "the counts of levels are no whole numbers"),
        ({"level_counts": np.zeros(2, np.int64)}, "the counts of levels are not 5 numbers of rows"),
        ({"level_counts": np.full(5, -1)}, "the counts of levels are not 5 numbers of rows"),
    ],
)
def test_counts_that_no_encoding_has_are_refused(arrays, message):
    description, _ = encoding_of(table()).to_description()
    with pytest.raises(ValueError, match=message):
        TableEncoding.from_description(description, arrays)


def test_a_level_may_be_called_as_those_of_rare_and_missing_values_are():
    frame = pl.DataFrame({"a": [RARE, ABSENT, None] * 10, "b": [k * k for k in range(30)]})
    encoding = encoding_of(frame)
    assert encoding.columns[0].levels == (RARE, ABSENT, RARE, ABSENT)
    assert encoding.encode(frame)[:3, 0].tolist() == [2, 1, 3]
    TableEncoding.from_description(*encoding.to_description())
    assert isinstance(encoding.columns[0], EncodedColumn)


MOMENTS = [datetime.datetime(2024, 1, k % 3 + 1, k % 2 * 5, 0, 0, k % 2 * 1000) for k in range(N)]
EAST = datetime.timezone(datetime.timedelta(hours=2))
DATED = {
    "days": [moment.date() for moment in MOMENTS],
    "moments": MOMENTS,
    "midnights": [moment.replace(hour=0, microsecond=0) for moment in MOMENTS],
    "moments of a zone": [moment.replace(tzinfo=EAST) for moment in MOMENTS],
    "times": [moment.time() for moment in MOMENTS],
    "durations": [moment - MOMENTS[0] for moment in MOMENTS],
}


@pytest.mark.parametrize("values", DATED.values(), ids=DATED)
def test_a_date_as_a_category_is_the_same_one_in_a_dict_and_in_a_frame(values):
    tables = [
        {"when": values},
        pl.DataFrame({"when": values}),
        pd.DataFrame({"when": values}),
        pd.DataFrame({"when": pd.Series(values, dtype=object)}),
    ]
    for trained_on in tables:
        encoding = encoding_of(trained_on, {"when": "category"}, min_count=1)
        assert len(encoding.columns[0].known) == len({*values})
        codes = encoding.encode(trained_on)
        assert all(np.array_equal(encoding.encode(one), codes) for one in tables)


def test_a_category_of_texts_knows_dates_that_are_written_so():
    days = DATED["days"]
    encoding = encoding_of({"when": [*map(str, days)]}, {"when": "category"})
    for one in ({"when": days}, pl.DataFrame({"when": days})):
        assert encoding.encode(one).min() > 0


def test_codes_that_have_lost_their_zeros_are_refused():
    frame = pl.DataFrame({"zip": ["00501", "01001", "10001"] * 9})
    encoding = encoding_of(frame, kinds={"zip": "category"})
    with pytest.raises(ValueError, match="codes that begin with 0, such as '00501': read it as te"):
        encoding.encode({"zip": [501, 10001]})
    assert encoding.encode({"zip": ["00501", None]})[0, 0] > 0
    whole = encoding_of(pl.DataFrame({"zip": [10001, 20001] * 9}), kinds={"zip": "category"})
    assert whole.encode({"zip": [10001]})[0, 0] > 0
