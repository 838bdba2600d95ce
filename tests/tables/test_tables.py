"""Tables: how they are read, what is inferred from them, and what is refused, in which words."""

import datetime
import re
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tables import (
    column_kinds,
    columns,
    csv_and_parquet,
    fitting,
    model,
    scores,
    table_description,
    target,
)
from engine.tables.column_statistics import TableStatistics
from engine.tables.csv_and_parquet import read_table
from engine.tables.learnt_columns import LearntColumns
from engine.tables.network_inputs import NetworkInputs


def csv_file(tmp_path, text, name="table.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def table_of(**named):
    """As if read from a file."""
    return csv_and_parquet.LoadedTable(Path("table.parquet"), pl.DataFrame(named))


def decided(frame, target, told=None):
    return TableStatistics.of_frame(frame, target, told or {}).chosen()


def described(**named):
    return decided(pl.DataFrame(named), "y")


def target_of(series, task):
    statistics = TableStatistics.of_frame(series.to_frame(), series.name)
    return target.target_of(statistics.columns[series.name].facts(), task)


# Reading.


def test_a_csv_file_is_read_as_text_with_missing_values_and_quotes(tmp_path):
    text = '\ufeffname,"a, b",naïve\r\n x ,"1,5",NA\n"say ""hi""",?,東京\n'
    table = read_table(csv_file(tmp_path, text))
    assert table.frame.to_dict(as_series=False) == {
        "name": ["x", 'say "hi"'],
        "a, b": ["1,5", None],
        "naïve": [None, "東京"],
    }
    assert table.notes == ()


def test_texts_that_stand_for_missing_values_can_be_told(tmp_path):
    path = csv_file(tmp_path, "a,b\n-9,NA\n1,2\n")
    assert read_table(path, ["-9"]).frame["a"].to_list() == [None, "1"]
    assert read_table(path, ["-9"]).frame["b"].to_list() == ["NA", "2"]


@pytest.mark.parametrize(("separator", "word"), [(";", "semicolon"), ("\t", "tab"), ("|", "bar")])
def test_other_separators_are_found_and_said(tmp_path, separator, word):
    table = read_table(csv_file(tmp_path, separator.join("abc") + "\n" + separator.join("123")))
    assert table.frame.columns == ["a", "b", "c"]
    assert table.notes == (f"Columns are separated by a {word}.",)


def test_empty_rows_are_left_out_and_counted(tmp_path):
    table = read_table(csv_file(tmp_path, "a,b\n1,2\n\n,\n3,4\n\n"))
    assert table.frame["a"].to_list() == ["1", "3"]
    assert table.notes == ("3 empty rows left out.",)


def test_columns_without_a_name_get_one_that_is_said(tmp_path):
    table = read_table(csv_file(tmp_path, ",a\n0,1\n"))
    assert table.frame.columns == ["column 1", "a"]
    assert table.notes == ("Columns without a name are called column 1.",)


def test_a_parquet_file_keeps_its_types_and_nan_is_missing(tmp_path):
    path = tmp_path / "table.parquet"
    pl.DataFrame({"a": [1.5, float("nan")], "b": [True, None], "c": [1, 2]}).write_parquet(path)
    assert read_table(path).frame.to_dict(as_series=False) == {
        "a": [1.5, None],
        "b": [True, None],
        "c": [1, 2],
    }


REFUSED_FILES = [
    ("table.csv", b"", "is empty: a table needs a header and rows"),
    ("table.csv", b" \n\n", "is empty"),
    ("table.csv", b"a,b\n", "has a header and no rows"),
    ("table.csv", b"a,b\n\n,\n", "has a header and no rows"),
    ("table.csv", b"\na,b\n1,2\n", "begins with an empty line"),
    ("table.csv", b"a,b,a\n1,2,3\n", "more than one column called 'a'"),
    (
        "table.csv",
        b"a,b\n1,2,3\n",
        "line 2: 3 fields, and the header has 2. Is line 1 ('a', 'b') the header? Remove",
    ),
    ("table.csv", b"Report\n\na,b\n1,2\n", "line 3: 2 fields, and the header has 1. Is line 1"),
    (
        "table.csv",
        b'"a\n";b\n"1\n";2\n1;2;3\n',
        "line 5: 3 fields, and the header has 2. Is there a ';' in a text without quotes around",
    ),
    ("table.csv", b'a,b\n1,"2\n', "a quotation mark is opened and not closed"),
    ("table.csv", "a,b\né,2\n".encode("latin-1"), "it is not UTF-8 text"),
    ("table.csv", "a,b\n1,2\n".encode("utf-16"), "it is not UTF-8 text"),
    ("table.csv", b"PK\x03\x04\x00\x00a,b\n1,2\n", "it holds bytes that are no text"),
    ("table.parquet", b"a,b\n1,2\n", "is no Parquet file, or not the whole of one"),
    ("table.parquet", b"P", "is no Parquet file, or not the whole of one"),
    ("table.parquet", b"PAR1" + bytes(40) + b"PAR1", "cannot be read as Parquet"),
    (
        "table.xlsx",
        b"a,b\n1,2\n",
        "must end in .csv, .tsv, .csv.gz, .tsv.gz, .parquet or .pq; got '.xlsx'",
    ),
    ("table", b"a,b\n1,2\n", ".csv, .tsv, .csv.gz, .tsv.gz, .parquet or .pq; got ''"),
    ("table.gz", b"a,b\n1,2\n", "; got '.gz'"),
    ("table.csv.gz", b"a,b\n1,2\n", "is no gzip file, or not the whole of one"),
]


@pytest.mark.parametrize(("name", "content", "message"), REFUSED_FILES)
def test_a_file_that_is_no_table_is_refused_with_the_reason(tmp_path, name, content, message):
    path = csv_file(tmp_path, content, name)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        read_table(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_half_a_parquet_file_is_refused(tmp_path):
    path = tmp_path / "table.parquet"
    pl.DataFrame({"a": range(1000)}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="not the whole of one"):
        read_table(path)


def test_a_table_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "table.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        read_table(tmp_path / "folder.csv")


@pytest.mark.proof
@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_a_csv_file_holds_it_is_read_or_refused_in_words(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("any") / "table.csv"
    path.write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")
    with suppress(ValueError):
        table = read_table(path)
        assert table.frame.height > 0
        assert set(table.frame.dtypes) == {pl.String}


# Kinds.

DAY = datetime.date(2024, 2, 29)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2.5", " 3e4 ", None], "number"),
        ([1, 2, None], "number"),
        ([1.5, None], "number"),
        (["true", "False", None], "boolean"),
        ([True, None], "boolean"),
        (["yes", "no"], "category"),
        (["1", "two"], "category"),
        (["2024-02-29", "2024-03-01"], "date"),
        (["2024-02-29 12:30:00", "2024-03-01 00:00:00"], "date"),
        (["29.02.2024", "01.03.2024"], "date"),
        ([DAY], "date"),
        ([datetime.timedelta(1)], "date"),
        ([[1], [2]], "other"),
        ([None, None], "empty"),
    ],
)
def test_the_kind_of_a_column_is_what_all_of_its_values_are(values, kind):
    assert column_kinds.kind_of(pl.Series(values)) == kind


def test_values_of_another_kind_are_found_by_their_place():
    converted = column_kinds.as_kind(pl.Series(["1", None, "x", "2", "y"]), "number")
    assert converted.values.to_list() == [1, None, None, 2, None]
    assert converted.wrong.to_list() == [2, 4]
    assert column_kinds.as_kind(pl.Series(["true", "1"]), "boolean").wrong.to_list() == [1]
    assert column_kinds.as_kind(pl.Series([1.0, 2.0]), "boolean").wrong.to_list() == [0, 1]
    assert column_kinds.as_kind(pl.Series([DAY]), "number").wrong.to_list() == [0]


def test_numbers_that_are_categories_have_one_form():
    assert column_kinds.as_kind(pl.Series([1.0, None]), "category").values.to_list() == ["1", None]
    assert column_kinds.as_kind(pl.Series([1, 2]), "category").values.to_list() == ["1", "2"]
    assert column_kinds.as_kind(pl.Series([1.5, 2.0]), "category").values.to_list() == ["1.5", "2"]


# Columns.


def test_columns_that_say_nothing_are_left_out_with_the_reason():
    n = 40
    found = described(
        id=list(range(1, n + 1)),
        joined=[DAY] * n,
        constant=["web"] * n,
        zero=[0.0] * n,
        empty=[None] * n,
        name=[f"person {i}" for i in range(n)],
        nested=[[1]] * n,
        age=[float(i % 7) for i in range(n)],
        y=list(range(n)),
    )
    assert [column.name for column in found.used] == ["age"]
    reasons = {column.name: column.note for column in found.left_out}
    assert reasons["id"] == "numbers the rows (columns={'id': 'number'} overrules)"
    assert reasons["joined"].startswith("holds dates: turn them into numbers")
    assert reasons["constant"] == "is 'web' everywhere"
    assert reasons["zero"] == "is 0 everywhere"
    assert reasons["empty"] == "has no values"
    assert reasons["name"].startswith("is text that is almost all distinct (40 of 40)")
    assert reasons["nested"].startswith("is of type List")


def test_a_number_column_with_a_few_words_names_the_words():
    income = [f"{i}.5" for i in range(99)] + ["unknown"]
    found = described(income=income, a=["x", "y"] * 50, y=list(range(100)))
    assert "also 'unknown'" in found.left_out[0].note
    assert "put None (in a file, nothing) in place of 'unknown'" in found.left_out[0].note


def test_numbers_that_rise_by_one_from_elsewhere_are_no_row_numbers():
    assert described(year=list(range(1990, 2020)), y=[0] * 30).used[0].name == "year"
    assert described(step=[1, 2, 3, 5], y=[0] * 4).used[0].name == "step"


def test_a_column_s_kind_can_be_told():
    frame = pl.DataFrame({"zip": [1, 2, 1, 2], "id": [1, 2, 3, 4], "a": [1, 3, 3, 1], "y": [0] * 4})
    told = columns.parse_kinds(["zip=category", "id=number", "a=out"], frame.columns)
    found = decided(frame, "y", told)
    assert [(column.name, column.kind) for column in found.used] == [
        ("zip", "category"),
        ("id", "number"),
    ]
    assert found.left_out[0].note == "is left out as you asked"
    assert columns.inputs(frame, found.used)["zip"].to_list() == ["1", "2", "1", "2"]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("zip", "--column must be NAME=KIND"),
        ("zip=text", "where KIND is number, category, boolean, date or out; got 'zip=text'"),
        ("zap=number", "--column: the table has no column 'zap'. Did you mean 'zip'?"),
    ],
)
def test_a_kind_that_cannot_be_understood_is_refused(told, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        columns.parse_kinds([told], ["zip", "y"])


def test_a_told_kind_that_does_not_fit_names_row_and_value():
    frame = pl.DataFrame({"a": ["1", "x", "2", "z"], "y": [0] * 4})
    message = "Column 'a' must hold numbers; came 'x' in row 2 (and in 1 other row)."
    with pytest.raises(ValueError, match=re.escape(message)):
        decided(frame, "y", {"a": "number"})


def test_a_table_without_a_column_to_learn_from_is_refused_with_reasons():
    for table, said in (
        ({"a": [1, 1]}, r": 'a' is 1 everywhere"),
        ({}, " besides the target 'y'"),
        ({"a": [*(f"{k}.5" for k in range(30)), "x"]}, ": 'a' holds numbers, but also 'x'"),
    ):
        n = max(map(len, table.values()), default=2)
        frame = pl.DataFrame({**table, "y": [k % 2 for k in range(n)]})
        with pytest.raises(ValueError, match=f"no column to learn from{said}"):
            table_description.described(frame, "y")


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 1e151])
def test_a_number_too_large_to_be_standardised_is_refused_with_its_row(value):
    frame = pl.DataFrame({"a": [1.0, value, 2.0], "y": [0] * 3})
    message = f"Column 'a' is {value:g} in row 2; numbers must be at most 1e+150."
    with pytest.raises(ValueError, match=re.escape(message)):
        decided(frame, "y")
    with pytest.raises(ValueError, match=re.escape(message)):
        columns.inputs(frame, [columns.Column("a", "number")])


# The target.


@pytest.mark.parametrize(
    ("values", "task", "reason"),
    [
        (["a", "b"] * 9, "classification", "the target is text"),
        ([True, False] * 9, "classification", "the target is true or false"),
        ([0, 1] * 2, "classification", "the target has 2 distinct whole numbers"),
        (["0.0", "1.0", "2.0"] * 9, "classification", "the target has 3 distinct whole numbers"),
        ([0.5, 1.0] * 9, "regression", "the target has numbers with fractions"),
        (list(range(18)), "regression", "the target has 18 distinct whole numbers"),
        (list(range(25)) * 9, "regression", "the target has 25 distinct whole numbers"),
    ],
)
def test_the_task_is_inferred_from_the_target_and_the_reason_said(values, task, reason):
    found = target_of(pl.Series("y", values), None)
    assert (found.task, found.reason) == (task, reason)


def test_the_task_can_be_told():
    whole, fractions = pl.Series("y", [0, 1, 2] * 9), pl.Series("y", [0.5, 1.0] * 9)
    found = target_of(whole, "regression")
    assert (found.task, found.reason) == ("regression", "as you asked")
    assert target.values_of(whole, found).dtype == np.float64
    found = target_of(fractions, "classification")
    assert set(target.values_of(fractions, found)) == {"0.5", "1"}


@pytest.mark.parametrize(
    ("values", "dtype"),
    [(["1", "2"] * 5, np.int64), ([1.0, 2.0] * 5, np.int64), ([True, False] * 5, np.bool_)],
)
def test_classes_keep_their_type(values, dtype):
    series = pl.Series("y", values)
    assert target.values_of(series, target_of(series, None)).dtype == dtype


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        ([None] * 9, None, "The target 'y' has no values"),
        ([7] * 9, None, "The target 'y' is 7.0 in every row; there is nothing to learn"),
        (["a", None] * 9, None, "is 'a' in every row"),
        (["a", "b", None, None, None], None, "missing in 3 of 5 rows, more than half"),
        ([DAY, DAY], None, "holds dates, which cannot be predicted"),
        ([[1], [2]], None, "which cannot be predicted"),
        (
            [f"text {i}" for i in range(9)],
            None,
            "is text that is almost always another: 9 distinct",
        ),
        (["a", "b"] * 9, "regression", "holds text; regression needs numbers"),
        (list(range(99)), "classification", "Use a TableRegressor"),
        ([1.0, float("inf"), 2.5], None, "is beyond 1e+150 in some rows"),
    ],
)
def test_a_target_that_cannot_be_predicted_is_refused_with_advice(values, task, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        target_of(pl.Series("y", values), task)


# A value against nothing, codes, words that count as missing, and numbers out of the ordinary.


@pytest.mark.parametrize(
    "values", [["yes", None], ["7", None], ["true", None], [7.5, None], [5.3, None]]
)
@pytest.mark.parametrize("kind", [None, "obeyed"])
def test_one_value_or_none_is_learnt_from(values, kind):
    frame = pl.DataFrame({"a": values * 10, "y": range(20)})
    told = {} if kind is None else {"a": column_kinds.kind_of(frame["a"])}
    (column,) = decided(frame, "y", told).used
    assert column.note == (
        f"{column_kinds.as_kind(frame['a'], column.kind).values[0]!r} or missing, in 10 rows, and "
        "both are learnt from"
    )
    assert len(np.unique(np.nan_to_num(inputs_of(frame, [column]), nan=9), axis=0)) == 2


def test_a_kind_that_is_told_is_obeyed_or_refused():
    frame = pl.DataFrame({"same": ["x"] * 4, "empty": [None] * 4, "a": [1, 3, 3, 1], "y": [0] * 4})
    (column, _) = decided(frame, "y", {"same": "category"}).used
    assert column.note == "'x' everywhere, of which nothing can be learnt"
    with pytest.raises(ValueError, match="Column 'empty' has no values; it cannot be used as num"):
        decided(frame, "y", {"empty": "number"})
    with pytest.raises(ValueError, match="--column gives 'a' two kinds, number and category"):
        columns.parse_kinds(["a=number", "a=category"], frame.columns)


@pytest.mark.parametrize(
    "values",
    [
        ["1", "2", None], ["1.0", "2.0", None], ["1.", "2.00", None], [1, 2, None],
        [1.0, 2.0, None], pl.Series([1, 2, None], dtype=pl.Float32),
    ],
)  # fmt: skip
@pytest.mark.parametrize("beside", [[], ["word"], ["01"], ["1e0"], ["-3"]])
def test_a_whole_number_is_one_code_in_whichever_spelling(values, beside):
    series = pl.Series(values)
    if series.dtype == pl.String:
        series = pl.concat([series, pl.Series(beside, dtype=pl.String)])
    found = column_kinds.as_kind(series, "category").values.to_list()
    assert found[:3] == ["1", "2", None]
    assert found[3:] == (beside if series.dtype == pl.String else [])
    y = target_of(pl.Series("y", (series.drop_nulls().to_list()) * 9), "classification")
    assert {str(one) for one in target.values_of(series.drop_nulls(), y)} >= {"1", "2"}


def test_whole_numbers_that_floats_cannot_hold_stay_apart():
    found = column_kinds.as_kind(pl.Series([2**60, 2**60 + 1]), "category").values.to_list()
    assert found == [str(2**60), str(2**60 + 1)]


def test_words_that_take_values_away_are_said_with_the_way_round_it(tmp_path):
    rows = [f"{i % 5},{'NA' if i % 2 else 'EU'},{'?' if i % 4 else 'x'},{i * i}" for i in range(40)]
    table = read_table(csv_file(tmp_path, "a,area,b,y\n" + "\n".join(rows)))
    assert table.words == {"area": {"NA": 20}, "b": {"?": 30}}
    message = (
        "The target 'area' is 'EU' in every row that has a value: 'NA' counts as missing in 20 "
        "rows (a frame of polars.read_csv has 'NA' as a value); there is nothing to learn."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        fitting.prepared(table, "area")
    notes = {column.name: column.note for column in fitting.prepared(table, "y").columns.used}
    assert notes["area"].endswith(
        "; 'NA' counts as missing in 20 rows (a frame of polars.read_csv has 'NA' as a value)"
    )
    kept = read_table(table.path, csv_and_parquet.missing_words([], ["NA"]))
    assert fitting.prepared(kept, "area").target.task == "classification"


def test_rows_that_a_word_leaves_without_a_target_are_said_to_be_that(tmp_path):
    rows = [f"{i % 5},{['p', 'q', 'NA'][i % 3]}" for i in range(60)]
    plan = fitting.prepared(read_table(csv_file(tmp_path, "a,y\n" + "\n".join(rows))), "y")
    (note,) = plan.notes
    assert note.startswith("20 rows without a target left out: 'NA' counts as missing in 20 rows (")


@pytest.mark.parametrize(
    ("missing", "not_missing", "message"),
    [
        (["NA"], ["NA"], "--missing and --not-missing both name 'NA'"),
        ([], ["EU"], "--not-missing 'EU': that is no missing value anyway; those are ?, NA"),
    ],
)
def test_words_that_are_both_missing_and_not_are_refused(missing, not_missing, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        csv_and_parquet.missing_words(missing, not_missing)


SPREADS = [
    ([k * 1e-170 for k in range(40)], "varies by less than 1e-150, too little to be scaled"),
    ([k * 1e-312 for k in range(40)], "varies by less than 1e-150, too little to be scaled"),
    ([7 + k * 1e-15 for k in range(40)], "varies around 7 by no more than rounding"),
    ([1e9 + k * 1e-7 for k in range(40)], "varies around 1e+09 by no more than rounding"),
]


@pytest.mark.parametrize(("values", "message"), SPREADS)
def test_numbers_that_cannot_be_scaled_are_refused_or_left_out_in_words(values, message):
    frame = pl.DataFrame({"x": values, "a": [k % 7 for k in range(40)]})
    with pytest.raises(ValueError, match=re.escape(f"The target 'x' {message}")):
        target_of(frame["x"], "regression")
    (out,) = described(x=values, a=frame["a"], y=list(range(40))).left_out
    assert out.note.startswith(message)
    with pytest.raises(ValueError, match=re.escape(f"Column 'x' {message}")):
        decided(frame, "a", {"x": "number"})


@pytest.mark.parametrize("values", [[k * 1e-140 for k in range(40)], [1e9 + k for k in range(40)]])
def test_small_and_large_numbers_are_scaled(values):
    (column,) = described(x=values[::-1], y=list(range(40))).used
    X = inputs_of(pl.DataFrame({"x": values}), [column])
    np.testing.assert_allclose(X.std(), 1, rtol=1e-6)


@pytest.mark.parametrize("n", [20_000])
def test_names_of_many_columns_are_read_at_once(n):
    start = time.process_time()
    csv_and_parquet.column_names(Path("x.csv"), [f"c{k}" for k in range(n)])
    frame = pl.DataFrame({f"c{k}": [0.0] for k in range(n)})
    model._refuse_missing_columns(frame, [columns.Column(f"c{k}", "number") for k in range(n)])
    assert time.process_time() - start < 2  # half a minute, where each name looks through all


# A plan, and the split.


def test_a_plan_leaves_rows_without_a_target_out_and_says_so():
    table = table_of(a=[1, 2, 4, 7, 9], y=["p", "q", None, "p", "q"])
    plan = fitting.prepared(table, "y")
    assert plan.inputs["a"].to_list() == [1, 2, 7, 9]
    assert plan.y.tolist() == ["p", "q", "p", "q"]
    assert plan.notes == ["1 row without a target left out."]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("specis", "the table has no column 'specis'. Did you mean 'species'?"),
        ("SPECIES", "Did you mean 'species'?"),
        ("zzz", "It has 'a', 'species'."),
    ],
)
def test_a_target_that_the_table_lacks_is_refused_with_near_names(name, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        fitting.prepared(table_of(a=[1, 2], species=["p", "q"]), name)


def test_a_target_is_no_column_to_be_told():
    with pytest.raises(ValueError, match="'y' is the target; use --task for it"):
        fitting.prepared(table_of(a=[1, 2], y=["p", "q"]), "y", None, ["y=out"])


def split_of(y, fraction=0.2, seed=0):
    plan = fitting.prepared(table_of(a=[i * i for i in range(len(y))], y=y), "y")
    return plan, fitting.split(plan, fraction, seed)


def test_a_split_holds_rows_out_with_the_classes_in_their_shares():
    plan, rows = split_of(["p"] * 80 + ["q"] * 20)
    assert rows.held_out is not None
    assert sorted(rows.held_out.y) == ["p"] * 16 + ["q"] * 4
    parts = (rows.training, rows.held_out)
    together = [value for part in parts for value in part.inputs["a"]]
    assert sorted(together) == plan.inputs["a"].to_list()
    assert rows.how == "at random, each class in its share"


def test_a_split_goes_by_its_seed():
    y = ["p", "q"] * 50
    first, again, other = (split_of(y, seed=seed)[1].training for seed in (0, 0, 1))
    assert first.inputs.equals(again.inputs)
    assert not first.inputs.equals(other.inputs)


def test_the_latest_rows_are_held_out_by_time():
    days = [f"{1 + k * 7 % 28}.{1 + k * 5 % 12}.2024" for k in range(40)]
    table = table_of(a=[k * k for k in range(40)], day=days, y=[k / 3 for k in range(40)])
    plan = fitting.prepared(table, "y", time="day")
    rows = fitting.split(plan, 0.2, 0)
    assert rows.held_out is not None
    assert rows.training.time is not None
    assert rows.held_out.time is not None
    assert (rows.how, len(rows.held_out.y)) == ("the latest", 8)
    assert rows.training.time.max() <= rows.held_out.time.min()
    written = [int(day.split(".")[1]) * 100 + int(day.split(".")[0]) for day in days]
    latest = np.argsort(written, kind="stable")[-8:]
    assert sorted(rows.held_out.y) == sorted(latest / 3)


def test_rows_of_one_group_are_on_one_side():
    group = ["p", "q", None, "r", "s", "t"] * 10
    table = table_of(a=[k * k for k in range(60)], group=group, y=[k / 3 for k in range(60)])
    plan = fitting.prepared(table, "y", groups="group")
    assert [column.name for column in plan.columns.used] == ["a"]
    rows = fitting.split(plan, 0.3, 0)
    assert rows.how == "whole groups, at random"
    assert rows.training.groups is not None
    assert rows.held_out is not None
    assert rows.held_out.groups is not None
    sides = [{*groups.tolist()} for groups in (rows.training.groups, rows.held_out.groups)]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 6


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"groups": "grup"}, "--groups: the table has no column 'grup'. Did you mean 'group'?"),
        ({"time": "y"}, "--time: 'y' is the target; name another column"),
        ({"time": "group"}, "--time: column 'group' is 'p' in row 1 (60 such rows in all); each"),
        ({"time": "gaps"}, "--time: column 'gaps' has no value in row 2 (30 such rows in all)"),
        ({"time": "a", "groups": "group"}, "--groups and --time cannot be given together"),
    ],
)
def test_columns_of_time_and_groups_that_do_not_go_are_refused(given, message):
    columns = {"a": range(60), "group": ["p", "q"] * 30, "gaps": [1, None] * 30}
    table = table_of(**columns, y=[k / 3 for k in range(60)])
    with pytest.raises(ValueError, match=re.escape(message)):
        fitting.prepared(table, "y", **given)


def test_one_group_cannot_be_held_out():
    table = table_of(a=[k * k for k in range(20)], group=["p"] * 20, y=[k / 3 for k in range(20)])
    with pytest.raises(ValueError, match="--groups: all rows are of one group"):
        fitting.split(fitting.prepared(table, "y", groups="group"), 0.2, 0)


def test_rows_to_learn_from_need_two_values_of_the_target():
    y = [1.5] + [k * 1e-160 for k in range(39)]
    with pytest.raises(ValueError, match="have one value of the target only, or hardly another"):
        [split_of(y, seed=seed) for seed in range(20)]


def test_a_class_of_one_row_is_split_at_random_and_said():
    _, rows = split_of(["p"] * 9 + ["q"] * 9 + ["r"])
    assert rows.how == "at random: class 'r' has one row, so classes cannot be shared out"


def test_too_few_rows_for_a_split_are_refused_with_advice():
    with pytest.raises(ValueError, match="9 rows with a target, and a split needs at least 10"):
        split_of(["p", "q", "q"] * 3)
    _, rows = split_of(["p", "q", "q"] * 3, fraction=0)
    assert rows.held_out is None
    assert len(rows.training.y) == 9


# What networks get.


def inputs_of(frame, used):
    """Rows of a frame as networks take them, learnt from these rows."""
    kinds = {column.name: "category" for column in used if column.kind == "category"}
    statistics = TableStatistics.of_frame(frame, None, kinds)
    learnt = LearntColumns.of(columns.Columns(used, []), statistics, None, [])
    encoding = learnt.encoding
    inputs = NetworkInputs.fitted(encoding.columns, learnt.numbers, 4, 3, 2)
    return inputs.of(encoding.encode_translated(frame))


def test_networks_get_scaled_numbers_codes_and_gaps():
    frame = pl.DataFrame(
        {
            "a": [1.0, 2.0, 9.0, None] * 5,
            "b": ["x", "y", None, "x"] * 5,
            "c": [True, None, True, False] * 5,
        }
    )
    used = TableStatistics.of_frame(frame, None).chosen().used
    a, b, c = inputs_of(frame, used)[:4].T
    np.testing.assert_allclose(a, [-3 / 12.6667**0.5, -2 / 12.6667**0.5, 5 / 12.6667**0.5, np.nan],
                               rtol=1e-4)  # fmt: skip
    assert b.tolist() == [1, 2, 3, 1]
    np.testing.assert_allclose(c, [0.5**0.5, np.nan, 0.5**0.5, -(2**0.5)], rtol=1e-6)


# Scores.


def test_scores_of_classes_are_those_of_hand_arithmetic():
    y = np.array(["p", "p", "p", "q"])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.5, 0.5]])
    predicted = scores.Predicted(
        np.array(["p", "p", "q", "q"]), np.array(["p", "q"]), probabilities
    )
    found = scores.scored("classification", y, predicted)
    assert found["accuracy"] == 0.75
    assert found["balanced accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["log loss"] == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.5]).mean())
    first, second = scores.class_scores(y, predicted.values)
    assert tuple(first) == ("p", 1.0, pytest.approx(2 / 3), pytest.approx(0.8), 3)
    assert tuple(second) == ("q", 0.5, 1.0, pytest.approx(2 / 3), 1)


def test_a_class_that_was_not_learnt_counts_as_wrong():
    predicted = scores.Predicted(np.array(["p", "p"]), np.array(["p", "q"]), np.full((2, 2), 0.5))
    found = scores.scored("classification", np.array(["p", "new"]), predicted)
    assert found["accuracy"] == 0.5
    assert found["log loss"] is None


def test_scores_of_numbers_are_those_of_hand_arithmetic():
    found = scores.scored(
        "regression", np.array([1.0, 3.0]), scores.Predicted(np.array([1.0, 2.0]))
    )
    assert found == {"RMSE": pytest.approx(0.5**0.5), "MAE": 0.5, "R2": 0.5}
    for y in ([1.0], [1e-170, 2e-170]):
        alone = scores.scored("regression", np.array(y), scores.Predicted(np.full(len(y), 2.0)))
        assert alone["R2"] is None


def test_the_baseline_is_the_most_frequent_class_or_the_mean():
    known = scores.baseline("classification", np.array(["p", "q", "q"]))
    predicted = scores.baseline_predictions(known, 2)
    assert predicted.values.tolist() == ["q", "q"]
    np.testing.assert_allclose(predicted.probabilities, [[1 / 3, 2 / 3]] * 2)
    known = scores.baseline("regression", np.array([1.0, 2.0]))
    assert scores.baseline_predictions(known, 2).values.tolist() == [1.5, 1.5]
