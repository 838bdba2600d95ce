"""Tables in one or several files, batch by batch, so that memory stays bounded.

A CSV file is cut at the ends of rows, and polars parses each part as it would the whole file; of a
Parquet file, one slice of the rows is read at a time. Each batch has the number of its first row.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import polars as pl

from engine.tables.csv_and_parquet import (
    MOST_ROW_BYTES,
    SEPARATORS,
    MissingTexts,
    check_ending,
    check_is_parquet,
    check_named,
    check_width,
    column_names,
    has_values,
    header_of,
    is_parquet,
    stripped,
    text_frame,
    without_missing,
    without_nan,
    words_in,
)
from engine.tables.csv_errors import end_of_first_row, first_line, wrong_row
from engine.tables.csv_quotation import QuotationError, is_regular, mended
from engine.tables.messages import counted, quoted
from engine.tables.metadata import is_converted
from engine.tables.text_files import UTF_8, Utf8Reader, utf8_reader

PART_BYTES = 4 << 20  # of a CSV file, parsed at a time;
COLUMNS = 256  # another PART_BYTES for each so many columns, as each takes time in each part
CELLS = 1 << 20  # of a Parquet file, read at a time


class Batch(NamedTuple):
    """Some rows of a table; `first_row` is the number of the first, from 1, empty ones left out.

    `words` are the texts that count as missing, by column.
    """

    frame: pl.DataFrame
    first_row: int
    words: Mapping[str, MissingTexts] = MappingProxyType({})


@dataclass
class TableFiles:
    """One table in one or several files of the same columns.

    Attributes
    ----------
    paths : list of Path
    names : list of str
        The columns.
    missing : sequence of str
        What stands for a missing value in a CSV file.
    encoding : str
        Of CSV files.
    notes : list of str
        What is worth saying, once all batches have been read.
    """

    paths: list[Path]
    names: list[str]
    missing: Sequence[str]
    encoding: str = UTF_8
    notes: list[str] = field(default_factory=list)

    @property
    def in_words(self) -> str:
        """The files, for messages."""
        first, *more = self.paths
        return f"{first} (and {counted(len(more), 'file')} more)" if more else str(first)

    def estimated_rows(self) -> int:
        """About how many there are; of CSV by the length of the first ones."""
        if is_parquet(self.paths[0]):
            lazy = pl.scan_parquet(self.paths, glob=False).select(pl.len())
            return int(lazy.collect().item())
        size = sum(path.stat().st_size for path in self.paths)
        with utf8_reader(self.paths[0], self.encoding) as file:
            n_lines = file.read(PART_BYTES).count(b"\n")
            return size * n_lines // max(1, file.n_read)

    def stamps(self) -> list[tuple[int, int]]:
        """Size and time of each file: whether it is still the same."""
        return [(found.st_size, found.st_mtime_ns) for found in map(Path.stat, self.paths)]

    def batches(self) -> Iterator[Batch]:
        """All rows in their order.

        Raises
        ------
        ValueError
            For what cannot be read; the message names the file, and the line or the rows.
        """
        row, n_empty = 1, 0
        for path in self.paths:
            parts = _parquet_parts(path) if is_parquet(path) else self._delimited_parts(path)
            for text in parts:
                columns = {series.name: series for series in text}
                text = pl.DataFrame([columns[name] for name in self.names])  # "*" is a name, too
                frame = text if is_parquet(path) else without_missing(text, self.missing)
                is_kept = has_values(frame)
                kept = frame.filter(is_kept)
                n_empty += frame.height - kept.height
                if kept.height:
                    words = {} if is_parquet(path) else words_in(text.filter(is_kept), kept)
                    yield Batch(kept, row, words)
                row += kept.height
        if n_empty:
            note = f"{counted(n_empty, 'empty row')} left out."
            self.notes += [] if note in self.notes else [note]
        if row == 1:
            raise ValueError(
                f"{self.in_words} has a header and no rows; nothing can be learnt or said of it."
            )

    def _delimited_parts(self, path: Path) -> Iterator[pl.DataFrame]:
        separator, header = header_of(path, self.encoding)
        names, _ = column_names(path, header)
        with utf8_reader(path, self.encoding) as file:
            part_bytes = PART_BYTES * (1 + len(names) // COLUMNS)
            parts = _whole_rows(path, file, part_bytes, separator)
            first = next(parts)
            end = end_of_first_row(first)
            heading, line = first[:end], 1 + first.count(b"\n", 0, end)
            yield from self._parsed(path, separator, names, heading, first[end:], line)
            line += first.count(b"\n", end)
            for part in parts:
                yield from self._parsed(path, separator, names, heading, part, line)
                line += part.count(b"\n")

    def _parsed(
        self,
        path: Path,
        separator: str,
        names: list[str],
        heading: bytes,
        part: bytes,
        line: int,
    ) -> Iterator[pl.DataFrame]:
        if not part.strip():
            return
        try:
            frame = text_frame(heading + part, separator)
        except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
            after_header = line == 1 + heading.count(b"\n")
            said = wrong_row(error, part, line, separator, names, follow_header=after_header)
            raise ValueError(f"{path} cannot be read as CSV, {said}") from error
        check_width(path, names, frame)
        yield stripped(frame.slice(1), names)


def table_files(
    source: Path | Sequence[Path], missing: Sequence[str], encoding: str = UTF_8
) -> TableFiles:
    """The files that a table consists of; their columns must be the same.

    Parameters
    ----------
    source : Path or sequence of Path
        A file, a folder of files (in the order of their names), or several files in their order.
    missing : sequence of str
    encoding : str

    Raises
    ------
    ValueError
        If there is none, or their columns are not the same; the message names the file.
    OSError
        When one cannot be read.
    """
    paths = [source] if isinstance(source, Path) else list(source)
    if isinstance(source, Path) and source.is_dir():
        paths = sorted(
            path for path in source.iterdir() if path.name[0] not in "._" and not is_converted(path)
        )
        if not paths:
            raise ValueError(f"{source} is a folder without tables.")
        if folders := [path.name for path in paths if path.is_dir()]:
            raise ValueError(
                f"{source} has folders in it, {quoted(folders)}, which are not looked into; name "
                "the tables one by one, or move the folders elsewhere."
            )
    if not paths:
        raise ValueError("A table is at least one file; none was given.")
    found = [_columns_of(path, encoding) for path in paths]
    names, notes = found[0]
    for path, (others, _) in zip(paths[1:], found[1:], strict=True):
        if sorted(others) != sorted(names):
            first, second = set(names), set(others)
            differ = [name for name in names if name not in second] or [
                name for name in others if name not in first
            ]
            raise ValueError(
                f"{path} has other columns than {paths[0]}: only one of them has {quoted(differ)}. "
                "Files of one table must have the same columns."
            )
    kinds = {is_parquet(path) for path in paths}
    if len(kinds) > 1:
        raise ValueError("A table is either CSV or Parquet; these files are of both kinds.")
    return TableFiles(paths, names, missing, encoding, notes)


def _columns_of(path: Path, encoding: str) -> tuple[list[str], list[str]]:
    check_ending(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a table in it.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty: a table needs a header and rows.")
    if not is_parquet(path):
        separator, header = header_of(path, encoding)
        names, notes = column_names(path, header)
        if separator != ",":
            notes.append(f"Columns are separated by a {SEPARATORS[separator]}.")
        return names, notes
    check_is_parquet(path)
    try:
        names = list(pl.read_parquet_schema(path))
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path} cannot be read as Parquet: {first_line(error)}.") from error
    if not names:
        raise ValueError(f"{path} has no columns.")
    check_named(path, names)
    return names, []


def _parquet_parts(path: Path) -> Iterator[pl.DataFrame]:
    first = 0
    try:
        lazy = pl.scan_parquet(path, glob=False)
        n_rows = lazy.select(pl.len()).collect().item()
        at_a_time = max(1000, CELLS // len(pl.read_parquet_schema(path)))
        for first in range(0, n_rows, at_a_time):
            yield without_nan(lazy.slice(first, at_a_time).collect())
    except pl.exceptions.PolarsError as error:
        raise ValueError(
            f"{path} cannot be read as Parquet, from its row {first + 1:,} on: {first_line(error)}."
        ) from error


def _whole_rows(path: Path, file: Utf8Reader, part_bytes: int, separator: str) -> Iterator[bytes]:
    """Parts that end with a row: where a line ends and no quoted field is open.

    Fields with quotation marks of their own are quoted.
    """
    rest, line, is_last = b"", 1, False
    while not is_last:
        read = file.read(part_bytes)
        is_last = not read
        part = rest + read
        end = len(part) if is_last else _end_of_rows(part)
        text = part[:end]
        if not is_regular(text, separator) or not text:
            try:
                text, end = mended(part, separator, is_last)
            except QuotationError as error:
                raise ValueError(f"{path} cannot be read as CSV, {error.in_words(line)}") from error
        if not text and len(part) > MOST_ROW_BYTES:
            raise ValueError(
                f"{path} cannot be read as CSV, line {line:,}: a row of more than "
                f"{MOST_ROW_BYTES >> 20} MB. Is a quotation mark opened and not closed?"
            )
        rest = part[end:]
        line += part.count(b"\n", 0, end)
        if text:
            yield text


def _end_of_rows(part: bytes) -> int:
    """The end of the last complete row, in text with regular quotation marks."""
    end = part.rfind(b"\n")
    quotes = part.count(b'"', 0, max(end, 0))
    while end >= 0 and quotes % 2:
        before = part.rfind(b"\n", 0, end)
        quotes -= part.count(b'"', max(before, 0), end)
        end = before
    return end + 1
