"""Quotation marks and blank lines in the bytes of a CSV file, before polars reads it.

polars takes each quotation mark for the beginning or the end of a quoted field. For Python's csv
module and pandas, a mark within a field that does not begin with one is a character: 5" pipe.
`mended` quotes such fields, so that polars reads what they read. A field that no reader can make
sense of is refused with its line.
"""

import mmap
import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Content = bytes | mmap.mmap

BOM = b"\xef\xbb\xbf"
QUOTE, LF, CR = b'"', b"\n", b"\r"
QUOTED = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"')
AT_A_TIME = 1 << 24  # bytes that are searched at a time


class QuotationError(ValueError):
    """A quotation mark that makes no sense.

    `line` is its line, and `opened` the line in which its field begins.
    """

    def __init__(self, line: int, reason: str, opened: int) -> None:
        super().__init__(reason)
        self.line, self.reason, self.opened = line, reason, opened

    def in_words(self, first_line: int = 1) -> str:
        """Line and reason; `first_line` is the file's line in which the text begins."""
        line, opened = (first_line + one - 1 for one in (self.line, self.opened))
        where = "" if opened == line else f" of a text that begins in line {opened:,}"
        return f"line {line:,}: {self.reason.format(where)}"


class Mended(NamedTuple):
    """Text whose quotation marks all belong to quoted fields, and how much of it was read."""

    text: bytes
    n_read: int


def is_regular(text: Content, separator: str) -> bool:
    """Whether every quotation mark begins a field, ends one, or stands twice within one.

    Examples
    --------
    >>> [is_regular(row, ",") for row in (b'1,"a ""b"", c"', b'1,5" pipe', b'1,"a"b', b'1,"a')]
    [True, False, False, False]
    """
    quotes = _places(text, QUOTE)
    if len(quotes) % 2:
        return False
    data = np.frombuffer(text, np.uint8)
    opened, closed = quotes[::2], quotes[1::2]
    start = len(BOM) if text[: len(BOM)] == BOM else 0
    before = data[np.maximum(opened - 1, 0)]
    begins = (opened == start) | (before == ord(separator)) | (before == ord(LF))
    begins[1:] |= opened[1:] == closed[:-1] + 1
    last = len(data) - 1
    after = data[np.minimum(closed + 1, last)]
    in_two = data[np.minimum(closed + 2, last)]
    ends = (closed == last) | (after == ord(separator)) | (after == ord(LF))
    ends |= (after == ord(CR)) & ((in_two == ord(LF)) | (closed + 1 == last))
    ends[:-1] |= opened[1:] == closed[:-1] + 1
    return bool(begins.all() and ends.all())


def mended(text: Content, separator: str, is_whole: bool = True) -> Mended:
    """The rows, with each field quoted in which a quotation mark is a character.

    `text` begins with a row. If it is not the whole of a file, it is read up to the end of its last
    complete row; `n_read` is 0 if no row is complete.

    Raises
    ------
    QuotationError
        If a quoted field does not end, or more text follows it.

    Examples
    --------
    >>> mended(b'a,b\\n5" pipe,"x, y"\\n', ",").text
    b'a,b\\n"5"" pipe","x, y"\\n'
    """
    sep = separator.encode()
    end_of_rows = len(text) if is_whole else text.rfind(LF) + 1
    start = at = len(BOM) if text[: len(BOM)] == BOM else 0
    copied = row = 0
    found: list[bytes] = []
    while 0 <= (quote := text.find(QUOTE, at)) < end_of_rows:
        row = max(row, text.rfind(LF, at, quote) + 1)
        if quote == start or text[quote - 1 : quote] in (sep, LF):
            match = QUOTED.match(text, quote)
            if not is_whole and (match is None or match.end() >= end_of_rows):
                return Mended(mended(text[:row], separator).text, row)
            if match is None:
                line = _line(text, quote)
                reason = "a quotation mark is opened and not closed."
                raise QuotationError(line, reason, line)
            at = match.end()
            if at < len(text) and text[at : at + 1] not in (sep, LF, CR):
                reason = (
                    "something follows the closing quotation mark{}. Within a text in quotation "
                    "marks, write each one twice."
                )
                raise QuotationError(_line(text, at - 1), reason, _line(text, quote))
            continue
        begin = 1 + max(text.rfind(sep, at, quote), text.rfind(LF, at, quote), at - 1)
        ends = [end for end in (text.find(sep, quote), text.find(LF, quote)) if end >= 0]
        at = min(ends, default=len(text))
        if text[at - 1 : at] == CR:
            at -= 1
        doubled = text[begin:at].replace(QUOTE, QUOTE * 2)
        found += [text[copied:begin], QUOTE, doubled, QUOTE]
        copied = at
    return Mended(b"".join([*found, text[copied:end_of_rows]]), end_of_rows)


def _line(text: Content, place: int) -> int:
    return 1 + text[:place].count(LF)


def blank_lines(text: bytes, separator: str) -> list[tuple[int, int, int]]:
    """Blank lines of regular text that are not in a quoted field.

    Each is a line number, from 1, and where the line begins and ends.

    Examples
    --------
    >>> blank_lines(b'a,b\\n\\n1,"2\\n\\n3"\\n  \\n', ",")
    [(2, 4, 5), (6, 14, 17)]
    """
    data = np.frombuffer(text, np.uint8)
    begins = np.concatenate([[0], _places(text, LF) + 1])
    ends = np.append(begins[1:], len(data))
    blanks = [ord(blank) for blank in " \t\r\n" if blank != separator]
    may_be = np.flatnonzero(
        (ends > begins) & np.isin(data[np.minimum(begins, len(data) - 1)], blanks)
    )
    quotes = _places(text, QUOTE)
    is_within = np.searchsorted(quotes, begins[may_be]) % 2 == 1
    keep = bytes(blanks)
    return [
        (line + 1, int(begins[line]), int(ends[line]))
        for line in may_be[~is_within].tolist()
        if not text[begins[line] : ends[line]].strip(keep)
    ]


def _places(text: Content, wanted: bytes) -> NDArray[np.int64]:
    """The places of a byte."""
    data = np.frombuffer(text, np.uint8)
    parts = range(0, max(1, len(data)), AT_A_TIME)
    return np.concatenate(
        [first + np.flatnonzero(data[first : first + AT_A_TIME] == ord(wanted)) for first in parts]
    )
