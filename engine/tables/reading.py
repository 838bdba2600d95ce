"""Tables in files: CSV and Parquet, by polars, with what is wrong with them in plain words."""

import csv
import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from engine import atomic_files
from engine.tables.words import counted

PARQUET = (".parquet", ".pq")
DELIMITED = (".csv", ".tsv")
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
# How missing values are written in a CSV file, besides nothing at all.
MISSING = ("?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null")
HEADER_BYTES = 1 << 20


class Table(NamedTuple):
    """What a file holds: the columns of a CSV file are all text; and what is worth saying."""

    path: Path
    frame: pl.DataFrame
    notes: tuple[str, ...] = ()


def read_table(path: Path, missing: Sequence[str] = MISSING) -> Table:
    """The table in a CSV or Parquet file.

    Parameters
    ----------
    path : Path
        Its ending says the format: .csv, .tsv, .parquet or .pq.
    missing : sequence of str
        What stands for a missing value in a CSV file, besides nothing at all.

    Raises
    ------
    ValueError
        When the file holds no table, or one that cannot be understood; the message says why.
    OSError
        When it cannot be read.
    """
    check_ending(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a table in it.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty: a table needs a header and rows.")
    table = _read_parquet(path) if is_parquet(path) else _read_delimited(path, missing)
    if table.frame.width == 0:
        raise ValueError(f"{path} has no columns.")
    if table.frame.height == 0:
        raise ValueError(f"{path} has a header and no rows; nothing can be learnt or said of it.")
    return table


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a table in the format that the ending of `path` says, whole or not at all."""
    check_ending(path)
    with atomic_files.replacing(path) as file:
        if is_parquet(path):
            frame.write_parquet(file)
        else:
            frame.write_csv(file, separator="\t" if path.suffix.lower() == ".tsv" else ",")


def sha256_of(path: Path) -> str:
    """What tells this file from all others."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_ending(path: Path) -> None:
    """Raise ValueError if the ending of `path` is not that of a table."""
    if path.suffix.lower() not in (*DELIMITED, *PARQUET):
        raise ValueError(
            f"{path}: a table's file name must end in {', '.join(DELIMITED + PARQUET[:1])} or "
            f"{PARQUET[1]}; got {path.suffix!r}. Save it as CSV or Parquet."
        )


def is_parquet(path: Path) -> bool:
    """Whether the ending of `path` is that of a Parquet file."""
    return path.suffix.lower() in PARQUET


def check_is_parquet(path: Path) -> None:
    """Raise ValueError if the file does not begin and end as Parquet files do."""
    with path.open("rb") as file:
        first = file.read(4)
        file.seek(-min(4, os.fstat(file.fileno()).st_size), os.SEEK_END)
        last = file.read()
    if first != b"PAR1" or last != b"PAR1":
        raise ValueError(f"{path} is no Parquet file, or not the whole of one.")


def _read_parquet(path: Path) -> Table:
    check_is_parquet(path)
    try:
        frame = pl.read_parquet(path, glob=False)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path} cannot be read as Parquet: {first_line(error)}.") from error
    check_named(path, frame.columns)
    return Table(path, without_nan(frame))


def check_named(path: Path, names: Sequence[str]) -> None:
    """Raise ValueError if a column of a Parquet file has no name."""
    if "" in names:
        raise ValueError(f"{path}: its column {names.index('') + 1} has no name; give it one.")


def without_nan(frame: pl.DataFrame) -> pl.DataFrame:
    """NaN is a missing value, too."""
    return frame.with_columns(pl.selectors.float().fill_nan(None))


def _read_delimited(path: Path, missing: Sequence[str]) -> Table:
    separator, header = header_of(path)
    names, notes = column_names(path, header)
    try:
        frame = text_frame(path, separator, missing)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as CSV: {in_words(error)}") from error
    check_width(path, names, frame)
    frame = cleaned(frame.slice(1), names, missing)
    if separator != ",":
        notes.append(f"Columns are separated by a {SEPARATORS[separator]}.")
    kept = without_empty_rows(frame)
    if kept.height < frame.height:
        notes.append(f"{counted(frame.height - kept.height, 'empty row')} left out.")
    return Table(path, kept, tuple(notes))


def text_frame(source: Path | bytes, separator: str, missing: Sequence[str]) -> pl.DataFrame:
    """A CSV file, or a part of one that begins with the header, as text, header included.

    What a column holds is decided later, by all of it, and told with reasons. The header is read as
    a row, as polars renames columns of one name without a word.
    """
    return pl.read_csv(
        source,
        separator=separator,
        has_header=False,
        infer_schema=False,
        null_values=["", *missing],
        glob=False,
    )


def check_width(path: Path, names: list[str], frame: pl.DataFrame) -> None:
    """Raise ValueError if the header as it was read apart is not that of the frame."""
    if frame.width != len(names):
        raise ValueError(
            f"{path}: the header has {len(names)} columns, but the rows have {frame.width}."
        )


def cleaned(frame: pl.DataFrame, names: list[str], missing: Sequence[str]) -> pl.DataFrame:
    """Text under the header's names, without spaces around it, and null where it is missing."""
    frame = frame.rename(dict(zip(frame.columns, names, strict=True)))
    frame = frame.with_columns(pl.all().str.strip_chars())
    return frame.with_columns(
        pl.when(pl.all().is_in(["", *missing])).then(None).otherwise(pl.all()).name.keep()
    )


def without_empty_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows in which anything stands."""
    return frame.filter(pl.any_horizontal(pl.all().is_not_null()))


def header_of(path: Path) -> tuple[str, list[str]]:
    """The separator, which is the one that cuts the header into most columns, and the header."""
    with path.open("rb") as file:
        start = file.read(HEADER_BYTES)
    try:
        text = start.decode("utf-8-sig", errors="strict" if len(start) < HEADER_BYTES else "ignore")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} cannot be read as CSV: {in_words(error)}") from error
    if "\0" in text:
        raise ValueError(f"{path} is no CSV file: it holds bytes that are no text.")
    if not text.strip():
        raise ValueError(f"{path} is empty: a table needs a header and rows.")
    if "\n" not in text and "\r" in text.strip():
        raise ValueError(f"{path} cannot be read as CSV: its lines end with CR; save it with LF.")
    if "\n" not in text and len(start) == HEADER_BYTES:
        raise ValueError(
            f"{path} cannot be read as CSV: its header is longer than {HEADER_BYTES:,} bytes."
        )
    rows, errors = {}, []
    for separator in SEPARATORS:
        try:
            rows[separator] = _first_row(text, separator)
        except csv.Error as error:  # a name that is too long, if it is the wrong separator
            errors.append(error)
    separator = max(rows, key=lambda separator: len(rows[separator]), default=",")
    if errors and len(rows.get(separator, [])) < 2:
        raise ValueError(f"{path} cannot be read as CSV: its header, {errors[0]}.") from errors[0]
    if not rows[separator]:
        raise ValueError(f"{path} begins with an empty line; the header must be the first one.")
    return separator, rows[separator]


def _first_row(text: str, separator: str) -> list[str]:
    lines = io.StringIO(text, newline="")  # which end as those of files do, and nowhere else
    return [name.strip() for name in next(csv.reader(lines, delimiter=separator, strict=True))]


def column_names(path: Path, header: list[str]) -> tuple[list[str], list[str]]:
    """The columns' names, each of its own, and what is worth saying about them."""
    names = [name or f"column {place}" for place, name in enumerate(header, start=1)]
    twice = list(dict.fromkeys(name for name in names if names.count(name) > 1))
    if twice:
        raise ValueError(
            f"{path} has more than one column called {', '.join(map(repr, twice[:5]))}; "
            "give each a name of its own."
        )
    unnamed = [name for name, given in zip(names, header, strict=True) if not given]
    notes = [f"Columns without a name are called {', '.join(unnamed)}."] if unnamed else []
    return names, notes


def in_words(error: Exception) -> str:
    """What is wrong with a CSV file, by the error that polars raised."""
    said = str(error)
    if isinstance(error, UnicodeDecodeError) or "utf-8" in said:
        return "it is not UTF-8 text. Save it with that encoding."
    if "more fields" in said:
        return (
            "a row has more fields than the header. Is a comma in a text without quotes around it?"
        )
    if "could not parse" in said:
        return "a quotation mark is opened and not closed."
    return f"{first_line(error)}."


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return str(error).strip().split("\n")[0].rstrip(".:")
