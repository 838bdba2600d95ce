"""What is wrong with a CSV file that polars refuses: the line, what was expected, what came."""

import csv
import io
from collections.abc import Sequence

from engine.tables.messages import quoted
from engine.tables.text_files import UTF_8, no_text


def _in_words(error: Exception) -> str:
    """What is wrong with a CSV file, by the error that polars raised."""
    said = str(error)
    if isinstance(error, UnicodeDecodeError) or "utf-8" in said:
        return f"{no_text(UTF_8)}."
    if "more fields" in said:
        return (
            "a row has more fields than the header. Is a comma in a text without quotes around it?"
        )
    return f"{first_line(error)}."


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return str(error).strip().split("\n")[0].rstrip(".:")


def end_of_first_row(part: bytes) -> int:
    """The end of the first row, in text with regular quotation marks."""
    end = part.find(b"\n") + 1 or len(part)
    while part.count(b'"', 0, end) % 2:
        end = part.find(b"\n", end) + 1 or len(part)
    return end


def wrong_row(
    error: Exception,
    rows: bytes,
    line: int,
    separator: str,
    names: Sequence[str],
    *,
    follow_header: bool,
) -> str:
    """The line of the first row that is wrong, and why; or the lines between which it is.

    Parameters
    ----------
    error : Exception
        What polars raised.
    rows : bytes
        Rows without the header.
    line : int
        That of the first of them.
    separator : str
    names : sequence of str
        The header.
    follow_header : bool
        Whether they follow the header. If the first row is wrong, the header may be none.

    Examples
    --------
    >>> said = wrong_row(ValueError(), b"1,2\\n1,2,3\\n", 2, ",", ["a", "b"], follow_header=True)
    >>> said.partition(".")[0]
    'line 3: 3 fields, and the header has 2'
    """
    try:
        text = rows.decode()
    except UnicodeDecodeError as no_utf8:
        line += rows.count(b"\n", 0, no_utf8.start)
        return f"line {line:,}: {no_text(UTF_8)}."
    found = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    begins, is_first = 0, follow_header
    try:
        for row in found:
            if len(row) > len(names):
                said = f"{len(row)} fields, and the header has {len(names)}"
                advice = _advice(names, separator, is_first)
                return f"line {line + begins:,}: {said}. {advice}"
            begins, is_first = found.line_num, is_first and not row
    except csv.Error as wrong:
        return f"line {line + begins:,}: {wrong}."
    last = line + text.count("\n")
    return f"between lines {line:,} and {last:,}: {_in_words(error)}"


def _advice(names: Sequence[str], separator: str, is_first: bool) -> str:
    if is_first:
        return (
            f"Is line 1 ({quoted(names, most=3)}) the header? Remove what stands above the "
            "header, or add one."
        )
    return f"Is there a {separator!r} in a text without quotes around it?"
