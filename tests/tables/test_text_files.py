"""CSV files that are compressed, or in another encoding: the same table, or an error."""

import gzip
import re

import numpy as np
import polars as pl
import pytest

from engine import convert_table
from engine.tables import table_files
from engine.tables.csv_and_parquet import read_table, write_table
from engine.tables.text_files import checked_encoding

TABLE = "näme,b,y\n" + "".join(f'"x {k % 7}, é",{k * 1.5},{k % 3}\n' for k in range(400))
ZIPPED = gzip.compress(TABLE.encode(), mtime=0)
LATIN = gzip.compress(TABLE.encode("latin-1"), mtime=0)
FORMS = {
    "table.csv.gz": (gzip.compress(TABLE.encode()), "utf-8"),
    "table.TSV.GZ": (gzip.compress(TABLE.replace(",", "\t").encode()), "utf-8"),
    "latin.csv": (TABLE.encode("latin-1"), "latin-1"),
    "utf-16.csv": (TABLE.encode("utf-16"), "utf-16"),
    "latin.csv.gz": (gzip.compress(TABLE.encode("latin-1")), "latin-1"),
    "quoted.csv": (
        TABLE.replace("é", 'é"', 1).replace('"x 0, é"', "x 0 é").encode("latin-1"),
        "latin-1",
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_table_is_read_whatever_its_encoding_and_if_it_is_compressed(tmp_path, monkeypatch, name):
    content, encoding = FORMS[name]
    path, plain = tmp_path / name, tmp_path / "plain.csv"
    path.write_bytes(content)
    text = gzip.decompress(content) if name.lower().endswith("gz") else content
    plain.write_bytes(text.decode(encoding).encode())
    expected = read_table(plain)
    found = read_table(path, encoding=encoding)
    assert found.frame.equals(expected.frame)
    assert found.notes == expected.notes
    assert found.frame.columns == ["näme", "b", "y"]
    rows = read_table(path, keep_empty_rows=True, encoding=encoding).frame
    assert rows.equals(expected.frame)
    monkeypatch.setattr(table_files, "PART_BYTES", 700)
    batches = table_files.table_files(path, [], encoding).batches()
    assert pl.concat([batch.frame for batch in batches]).equals(expected.frame)


@pytest.mark.compiled
def test_a_compressed_table_is_converted_as_the_table_itself(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(TABLE.encode("latin-1")))
    (tmp_path / "b.csv").write_text(TABLE)
    one = convert_table(tmp_path / "a.csv.gz", tmp_path / "a", "y", encoding="latin1")
    other = convert_table(tmp_path / "b.csv", tmp_path / "b", "y")
    np.testing.assert_array_equal(one.training.X, other.training.X)
    assert one.facts["about"]["asked"]["encoding"] == "iso8859-1"
    assert "encoding" not in other.facts["about"]["asked"]
    again = convert_table(
        tmp_path / "a.csv.gz", tmp_path / "a", "y", encoding="latin-1", reuse=True
    )
    assert again.facts == one.facts
    with pytest.raises(ValueError, match="encoding is 'cp1252' and was 'iso8859-1'"):
        convert_table(tmp_path / "a.csv.gz", tmp_path / "a", "y", encoding="cp1252", reuse=True)


def test_the_rows_of_a_compressed_file_are_estimated_by_its_text(tmp_path):
    path = tmp_path / "table.csv.gz"
    rows = "".join(f"{k % 97},{k * 7919 % 10007}\n" for k in range(300_000))
    path.write_bytes(gzip.compress(("a,b\n" + rows).encode()))
    assert table_files.PART_BYTES * 0.4 < len(rows) < table_files.PART_BYTES
    found = table_files.table_files(path, []).estimated_rows()
    assert abs(found - 300_000) < 30_000


@pytest.mark.parametrize(
    ("name", "content", "encoding", "message"),
    [
        (
            "t.csv",
            TABLE.encode("latin-1"),
            "utf-8",
            "it is not UTF-8 text. Pass the frame of polars",
        ),
        (
            "t.csv",
            TABLE.encode("utf-16"),
            "utf-8",
            'convert_table takes encoding="latin-1"), or save',
        ),
        ("t.csv", TABLE.encode(), "utf-16", "it is not UTF-16 text. Pass the frame of polars"),
        ("t.csv", TABLE.encode(), "ascii", "it is not ASCII text"),
        (
            "t.csv.gz",
            gzip.compress(TABLE.encode("latin-1"), mtime=0),
            "utf-8",
            "it is not UTF-8 text",
        ),
        (
            "t.csv.gz",
            ZIPPED[:-9],
            "utf-8",
            "or not the whole of one",
        ),
        ("t.csv.gz", b"PK" + bytes(99), "utf-8", "is no gzip file"),
        ("t.csv.gz", gzip.compress(b"", mtime=0), "utf-8", "is empty: a table needs a header"),
    ],
)
def test_bytes_of_another_encoding_and_half_a_file_are_refused_with_the_remedy(
    tmp_path, name, content, encoding, message
):
    path = tmp_path / name
    path.write_bytes(content)
    for read in (
        lambda: read_table(path, encoding=encoding),
        lambda: list(table_files.table_files(path, [], encoding).batches()),
    ):
        with pytest.raises(ValueError, match=re.escape(message)) as error:
            read()
        assert str(path) in str(error.value)


@pytest.mark.parametrize("name", ["latin-7000", "base64", "", "rot13"])
def test_an_encoding_that_there_is_not_is_refused(name):
    with pytest.raises(ValueError, match="encoding must be the name of a text encoding, such as"):
        checked_encoding(name)


def test_the_names_of_an_encoding_are_one():
    assert {checked_encoding(name) for name in ("utf-8", "UTF8", "utf_8")} == {"utf-8"}


def test_tables_are_not_written_compressed(tmp_path):
    with pytest.raises(
        ValueError, match=r"end in \.csv, \.tsv, \.parquet or \.pq; got '\.csv\.gz'"
    ):
        write_table(pl.DataFrame({"a": [1]}), tmp_path / "t.csv.gz")
