"""Quotation marks and blank lines in CSV files: read as Python's csv module reads them."""

import csv
import io

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tables import table_files as tables_table_files
from engine.tables.csv_and_parquet import MISSING, read_table
from engine.tables.csv_quotation import QuotationError, is_regular, mended
from engine.tables.table_files import table_files

PIECES = ['"', '""', ",", "a", "\n", "\r\n", '","', '"\n"']


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=14), st.integers(1, 20))
def test_fields_are_those_of_the_csv_module_however_the_text_is_cut(pieces, size):
    text = "".join(pieces)
    content = text.encode()
    try:
        expected = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        with pytest.raises(QuotationError):
            mended(content, ",")
        return
    found = mended(content, ",").text
    assert list(csv.reader(io.StringIO(found.decode(), newline=""), strict=True)) == expected
    assert is_regular(found, ",")
    assert found == content or not is_regular(content, ",")
    rest, parts = b"", b""
    for first in range(0, len(content) + size, size):
        rest += content[first : first + size]
        part = mended(rest, ",", is_whole=first >= len(content))
        parts, rest = parts + part.text, rest[part.n_read :]
    assert parts == found


ROWS = [f"std,{i % 7},{i}" for i in range(300)]
READ = {  # rows of their own among the others, the header first
    "one": {21: '5" pipe,6,12'},
    "the first": {1: '5" pipe,6,12'},
    "the last": {300: '5" pipe,6,12'},
    "two": {21: '5" pipe,6,12', 90: 'a"b"c,"6",12'},
    "the last field": {21: 'std,6,12"'},
    "the header": {0: '5" size,x,"y"'},
    "beside quoted fields": {21: '5",6,12', 22: '"a, ""b""\nc",6,12', 23: '"x\ny",1,2'},
    "after a space": {21: ' "5", "6",12'},
    "every row": {i: f'5",{i},2' for i in range(1, 301)},
}


def written(path, rows, ending="\n"):
    lines = ["size,x,y", *ROWS]
    for place, row in rows.items():
        lines[place] = row
    path.write_bytes(ending.join(lines).encode())
    return path


def in_parts(path, monkeypatch, size):
    monkeypatch.setattr(tables_table_files, "PART_BYTES", size)
    return pl.concat(batch.frame for batch in table_files(path, MISSING).batches())


@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("rows", READ.values(), ids=READ)
def test_a_quotation_mark_within_a_field_is_a_character(tmp_path, monkeypatch, rows, ending):
    path = written(tmp_path / "table.csv", rows, ending)
    with path.open(newline="") as file:
        header, *expected = ([one.strip() for one in row] for row in csv.reader(file, strict=True))
    found = [read_table(path).frame, *(in_parts(path, monkeypatch, size) for size in (200, 4000))]
    for frame in found:
        assert frame.columns == header
        assert [list(row) for row in frame.rows()] == expected


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({21: '"5 pipe,6,12'}, "line 22: a quotation mark is opened and not closed."),
        ({300: '",6,12'}, "line 301: a quotation mark is opened and not closed."),
        ({21: '"5" pipe,6,12'}, "line 22: something follows the closing quotation mark. Within"),
        (
            {21: '"5 pipe,6,12', 40: '"7 pipe,6,12'},
            "line 41: something follows .* quotation mark of a text that begins in line 22",
        ),
    ],
)
def test_a_quotation_mark_that_makes_no_sense_is_refused_with_its_line(
    tmp_path, monkeypatch, rows, message
):
    path = written(tmp_path / "table.csv", rows)
    with pytest.raises(ValueError, match=f"table.csv cannot be read as CSV, {message}"):
        read_table(path)
    for size in (200, 4000):
        with pytest.raises(ValueError, match=f"table.csv cannot be read as CSV, {message}"):
            in_parts(path, monkeypatch, size)


def test_rows_without_values_are_kept_for_predictions_and_blank_lines_are_no_rows(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('a,b\n1,2\n\n,\nNA,\n  \n"x\n\ny",3\n\n \n')
    table = read_table(path, keep_empty_rows=True)
    assert table.frame["a"].to_list() == ["1", None, None, "x\n\ny"]
    assert table.notes == ("2 blank lines (lines 3, 6) are no rows, and have no prediction.",)
    path.write_text("a\tb\n1\t2\n\t\n \n3\t4\n")
    table = read_table(path, keep_empty_rows=True)
    assert table.frame["a"].to_list() == ["1", None, "3"]
    assert "1 blank line (line 4) is no row, and has no prediction." in table.notes


def test_a_blank_line_in_a_table_of_one_column_is_refused_as_nobody_knows_what_it_is(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a\n1\n\n3\n")
    with pytest.raises(ValueError, match=r"table.csv: line 3 is blank, .* Write NA for a missing"):
        read_table(path, keep_empty_rows=True)
    path.write_text('a\n1\nNA\n""\n3\n\n\n')
    table = read_table(path, keep_empty_rows=True)
    assert (table.frame["a"].to_list(), table.notes) == (["1", None, None, "3"], ())


def test_a_header_of_several_megabytes_is_read(tmp_path):
    path = tmp_path / "table.csv"
    names = [f"{k}{'x' * 1000}" for k in range(2000)]
    path.write_text(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    assert read_table(path).frame.columns == names
