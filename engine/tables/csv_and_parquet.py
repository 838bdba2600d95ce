"""Tables in CSV and Parquet files, read by polars, with errors in plain words."""

import csv
import hashlib
import io
import mmap
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import polars as pl

from engine.system import atomic_files
from engine.tables.csv_errors import end_of_first_row, first_line, wrong_row
from engine.tables.csv_quotation import Content, QuotationError, blank_lines, is_regular, mended
from engine.tables.messages import counted, quoted
from engine.tables.text_files import (
    GZIP,
    UTF_8,
    ending_of,
    is_compressed,
    no_text,
    utf8_reader,
)

MissingTexts = Mapping[str, int]  # texts that count as missing, and how often each occurs

PARQUET = (".parquet", ".pq")
DELIMITED = (".csv", ".tsv")
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
# How missing values are written in a CSV file, besides an empty field.
MISSING = ("?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null")
HEADER_BYTES = 1 << 20  # that are read at first; more where the header does not end in them
MOST_ROW_BYTES = 64 << 20  # of a single row


class LoadedTable(NamedTuple):
    """The content of a file (all columns of a CSV file are text), and notes about it."""

    path: Path
    frame: pl.DataFrame
    notes: tuple[str, ...] = ()
    words: Mapping[str, MissingTexts] = MappingProxyType({})  # of the columns that have such


def read_table(
    path: Path,
    missing: Sequence[str] = MISSING,
    keep_empty_rows: bool = False,
    encoding: str = UTF_8,
) -> LoadedTable:
    """The table in a CSV or Parquet file.

    Parameters
    ----------
    path : Path
        Its ending says the format: .csv, .tsv, .csv.gz, .tsv.gz, .parquet or .pq.
    missing : sequence of str
        Texts that stand for a missing value in a CSV file, besides an empty field.
    keep_empty_rows : bool
        Whether to keep rows of a CSV file in which every value is missing, so that each row gets
        a prediction. A blank line is never a row.
    encoding : str
        Of a CSV file.

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
    if is_parquet(path):
        table = _read_parquet(path)
    else:
        table = _read_delimited(path, missing, keep_empty_rows, encoding)
    if table.frame.width == 0:
        raise ValueError(f"{path} has no columns.")
    if table.frame.height == 0:
        raise ValueError(f"{path} has a header and no rows; nothing can be learnt or said of it.")
    return table


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a table in the format that the ending of `path` says, whole or not at all."""
    check_ending(path, for_writing=True)
    with atomic_files.replacing(path) as file:
        if is_parquet(path):
            frame.write_parquet(file)
        else:
            frame.write_csv(file, separator="\t" if path.suffix.lower() == ".tsv" else ",")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_ending(path: Path, for_writing: bool = False) -> None:
    """Raise ValueError if the ending of `path` is not that of a table."""
    compressed = () if for_writing else tuple(ending + GZIP for ending in DELIMITED)
    endings = (*DELIMITED, *compressed, *PARQUET)
    if ending_of(path) not in endings:
        raise ValueError(
            f"{path}: a table's file name must end in {', '.join(endings[:-1])} or "
            f"{endings[-1]}; got {ending_of(path)!r}. Save it as CSV or Parquet."
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


def _read_parquet(path: Path) -> LoadedTable:
    check_is_parquet(path)
    try:
        frame = pl.read_parquet(path, glob=False)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path} cannot be read as Parquet: {first_line(error)}.") from error
    check_named(path, frame.columns)
    return LoadedTable(path, without_nan(frame))


def check_named(path: Path, names: Sequence[str]) -> None:
    """Raise ValueError if a column of a Parquet file has no name."""
    if "" in names:
        raise ValueError(f"{path}: its column {names.index('') + 1} has no name; give it one.")


def without_nan(frame: pl.DataFrame) -> pl.DataFrame:
    """NaN is a missing value, too."""
    return frame.with_columns(pl.selectors.float().fill_nan(None))


def missing_words(missing: Sequence[str], not_missing: Sequence[str]) -> list[str]:
    """What stands for a missing value, by `--missing` and `--not-missing`."""
    for word in not_missing:
        if word in missing:
            raise ValueError(f"--missing and --not-missing both name {word!r}; leave one out.")
        if word not in MISSING:
            raise ValueError(
                f"--not-missing {word!r}: that is no missing value anyway; those are "
                f"{', '.join(MISSING)}, and nothing at all."
            )
    return [*(word for word in MISSING if word not in not_missing), *missing]


def _read_delimited(
    path: Path, missing: Sequence[str], keep_empty_rows: bool, encoding: str
) -> LoadedTable:
    separator, header = header_of(path, encoding)
    names, notes = column_names(path, header)
    source = original = _regular(path, separator, encoding)
    if separator != ",":
        notes.append(f"Columns are separated by a {SEPARATORS[separator]}.")
    if keep_empty_rows:
        source, said = _without_blank_lines(path, source, separator, len(names))
        notes += said
    try:
        text = text_frame(source, separator)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise _unreadable(path, original, separator, names, error) from error
    check_width(path, names, text)
    text = stripped(text.slice(1), names)
    frame = without_missing(text, missing)
    if not keep_empty_rows:
        is_kept = has_values(frame)
        n_empty = int((~is_kept).sum())
        if n_empty:
            notes.append(f"{counted(n_empty, 'empty row')} left out.")
            text, frame = text.filter(is_kept), frame.filter(is_kept)
    return LoadedTable(path, frame, tuple(notes), words_in(text, frame))


def _unreadable(
    path: Path, source: Path | bytes, separator: str, names: list[str], error: Exception
) -> ValueError:
    """The error for a file that polars cannot read, with the line, if it can be found."""
    text = source if isinstance(source, bytes) else source.read_bytes()
    end = end_of_first_row(text)
    line = 1 + text.count(b"\n", 0, end)
    said = wrong_row(error, text[end:], line, separator, names, follow_header=True)
    return ValueError(f"{path} cannot be read as CSV, {said}")


def _regular(path: Path, separator: str, encoding: str) -> Path | bytes:
    """The file if polars can read it as it is, or else a copy as text.

    A copy is made of what is compressed, of other encodings, and if a quotation mark is only a
    character.
    """
    source: Path | bytes = path
    text: Content
    if encoding != UTF_8 or is_compressed(path):
        with utf8_reader(path, encoding) as reader:
            source = text = reader.read()
    else:
        with path.open("rb") as file:
            text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return source if is_regular(text, separator) else mended(text, separator).text
    except QuotationError as error:
        raise ValueError(f"{path} cannot be read as CSV, {error.in_words()}") from error


def _without_blank_lines(
    path: Path, source: Path | bytes, separator: str, n_columns: int
) -> tuple[Path | bytes, list[str]]:
    """The text without blank lines, and notes about the lines that were removed.

    pandas, R and Python's csv.DictReader skip blank lines too. But in a table of one column, some
    programs write a missing value as a blank line.
    """
    text = source if isinstance(source, bytes) else source.read_bytes()
    found = blank_lines(text, separator)
    if not found:
        return source, []
    last_row = text.rstrip().count(b"\n") + 1
    between = [line for line, _, _ in found if line <= last_row]
    if between and n_columns == 1:
        raise ValueError(
            f"{path}: line {between[0]:,} is blank, which may be a missing value or no row in a "
            "table of one column. Write NA for a missing value, or remove the line."
        )
    places = [0, *(place for _, begin, end in found for place in (begin, end)), len(text)]
    rows = b"".join(text[begin:end] for begin, end in zip(places[::2], places[1::2], strict=True))
    if not between:
        return rows, []
    lines = quoted(between, most=3) if len(between) > 1 else f"{between[0]:,}"
    is_one = len(between) == 1
    return rows, [
        f"{counted(len(between), 'blank line')} ({'line' if is_one else 'lines'} {lines}) "
        f"{'is no row' if is_one else 'are no rows'}, and {'has' if is_one else 'have'} no "
        "prediction."
    ]


def text_frame(source: Path | bytes, separator: str) -> pl.DataFrame:
    """A CSV file, or a part of one that begins with the header, as text, header included.

    The kind of a column is decided later, by all of its values. The header is read as a row, since
    polars silently renames columns that have the same name.
    """
    return pl.read_csv(
        source, separator=separator, has_header=False, infer_schema=False, glob=False
    )


def check_width(path: Path, names: list[str], frame: pl.DataFrame) -> None:
    """Raise ValueError if the frame is not as wide as the header, which was read separately."""
    if frame.width != len(names):
        raise ValueError(
            f"{path}: the header has {len(names)} columns, but the rows have {frame.width}."
        )


def stripped(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Text under the header's names, without spaces around it."""
    frame.columns = names
    return frame.with_columns(pl.all().str.strip_chars())


def without_missing(text: pl.DataFrame, missing: Sequence[str]) -> pl.DataFrame:
    """Text with null where it is missing."""
    return text.with_columns(
        pl.when(pl.all().is_in(["", *missing])).then(None).otherwise(pl.all()).name.keep()
    )


def words_in(text: pl.DataFrame, frame: pl.DataFrame) -> dict[str, dict[str, int]]:
    """By column, the words of MISSING that are null in `frame`, and how often each occurs.

    Other texts are not listed, as the user has declared them as missing values.
    """
    n_before, n_after = text.null_count().row(0), frame.null_count().row(0)
    found = {}
    for name, before, after in zip(text.columns, n_before, n_after, strict=True):
        if before != after:
            words = text[name].filter(frame[name].is_null())
            counts = words.filter(words.is_in(MISSING)).value_counts(sort=True)
            if len(counts):
                found[name] = dict(counts.iter_rows())
    return found


def has_values(frame: pl.DataFrame) -> pl.Series:
    """Whether each row has a value."""
    return frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series()


def header_of(path: Path, encoding: str = UTF_8) -> tuple[str, list[str]]:
    """The separator (the one that cuts the header into the most columns), and the header."""
    start = b""
    with utf8_reader(path, encoding) as file:
        while (
            b"\n" not in start
            and len(start) < MOST_ROW_BYTES
            and (more := file.read(max(HEADER_BYTES, len(start))))
        ):
            start += more
        is_whole = not file.read(1)
    try:
        text = start.decode("utf-8-sig", errors="strict" if is_whole else "ignore")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} cannot be read as CSV: {no_text(UTF_8)}.") from error
    if "\0" in text:
        raise ValueError(f"{path} is no CSV file: it holds bytes that are no text.")
    if not text.strip():
        raise ValueError(f"{path} is empty: a table needs a header and rows.")
    if "\n" not in text and "\r" in text.strip():
        raise ValueError(f"{path} cannot be read as CSV: its lines end with CR; save it with LF.")
    if "\n" not in text and not is_whole:
        raise ValueError(
            f"{path} cannot be read as CSV: its header is longer than {MOST_ROW_BYTES >> 20} MB."
        )
    rows, errors = {}, []
    for separator in SEPARATORS:
        try:
            rows[separator] = _first_row(text, separator)
        except csv.Error as error:  # a name that is too long, if it is the wrong separator
            errors.append(error)
    separator = max(rows, key=lambda separator: len(rows[separator]), default=",")
    if errors and len(rows.get(separator, [])) < 2:
        reason = (
            "a quotation mark in the header is not closed, or text follows a closing one. Within a "
            "name in quotation marks, write each one twice."
            if '"' in text.partition("\n")[0]
            else f"its header, {errors[0]}."
        )
        raise ValueError(f"{path} cannot be read as CSV, line 1: {reason}") from errors[0]
    if not rows[separator]:
        raise ValueError(f"{path} begins with an empty line; the header must be the first one.")
    return separator, rows[separator]


def _first_row(text: str, separator: str) -> list[str]:
    lines = io.StringIO(text, newline="")  # which end as those of files do, and nowhere else
    return [name.strip() for name in next(csv.reader(lines, delimiter=separator, strict=True))]


def column_names(path: Path, header: list[str]) -> tuple[list[str], list[str]]:
    """The columns' names, which must be distinct, and notes about them."""
    names = [name or f"column {place}" for place, name in enumerate(header, start=1)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(
            f"{path} has more than one column called {', '.join(map(repr, twice[:5]))}; "
            "give each a name of its own."
        )
    unnamed = [name for name, given in zip(names, header, strict=True) if not given]
    notes = [f"Columns without a name are called {', '.join(unnamed)}."] if unnamed else []
    return names, notes
