"""The text of a CSV file as UTF-8, whether it is compressed or in another encoding."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from engine.boundary import remedies

UTF_8 = "utf-8"
GZIP = ".gz"


def ending_of(path: Path) -> str:
    """The ending of a file's name, in lower case, with both parts if it is compressed.

    Examples
    --------
    >>> ending_of(Path("flats.2025.CSV.gz")), ending_of(Path("flats.csv"))
    ('.csv.gz', '.csv')
    """
    ending = path.suffix.lower()
    return path.with_suffix("").suffix.lower() + ending if ending == GZIP else ending


def is_compressed(path: Path) -> bool:
    """Whether the name says that it is compressed."""
    return path.suffix.lower() == GZIP


def checked_encoding(name: str) -> str:
    """The name of a text encoding as Python has it; ValueError for what is none."""
    try:
        found = codecs.lookup(name)
    except (LookupError, TypeError, ValueError):
        found = None
    if found is None or not getattr(found, "_is_text_encoding", True):
        raise ValueError(
            f"encoding must be the name of a text encoding, such as utf-8, latin-1 or utf-16; got "
            f"{name!r}."
        )
    return found.name


def no_text(encoding: str) -> str:
    """What is wrong with text of another encoding, and what to do."""
    return f"it is not {encoding.upper()} text. {remedies.WHICH_ENCODING()}, or save it as UTF-8"


class Utf8Reader:
    """Reads a file as UTF-8, as far as it is whole and of its encoding."""

    def __init__(self, path: Path, raw: BinaryIO, encoding: str) -> None:
        self._path, self._raw, self._encoding = path, raw, encoding
        self._file = gzip.GzipFile(fileobj=raw) if is_compressed(path) else raw
        self._text = None
        if encoding != UTF_8:
            self._text = io.TextIOWrapper(self._file, encoding, newline="")

    def read(self, size: int = -1) -> bytes:
        """About so many bytes; none at the end. ValueError for what cannot be read."""
        try:
            if self._text is not None:
                return self._text.read(size).encode()
            return self._file.read(size)
        except UnicodeError as error:
            raise ValueError(
                f"{self._path} cannot be read as CSV: {no_text(self._encoding)}."
            ) from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(
                f"{self._path} is no gzip file, or not the whole of one ({error})."
            ) from error

    @property
    def n_read(self) -> int:
        """How many bytes of the file itself have been read."""
        return self._raw.tell()


@contextmanager
def utf8_reader(path: Path, encoding: str = UTF_8) -> Iterator[Utf8Reader]:
    """Open a CSV file, compressed or not, to read it as UTF-8."""
    with path.open("rb") as raw:
        yield Utf8Reader(path, raw, encoding)
