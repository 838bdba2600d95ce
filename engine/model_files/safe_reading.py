"""Bytes and JSON of files that may hold anything, in memory bounded by the length of the file."""

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from engine.model_files.errors import ModelFileError

DEEPEST = 64  # brackets within brackets; what is written here has at most a third of that
# A pair of brackets takes thirty times the memory of its two letters: so their number is limited.
FEWEST_BRACKETS, LETTERS_A_BRACKET = 1000, 8


def content_of(path: Path) -> bytes:
    """The bytes of an ordinary file: a pipe or a device may have no end.

    Raises ModelFileError for a folder, another kind of file and an empty one, OSError for one that
    cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder; name a model file.")
    with open(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError(f"{path} is no ordinary file; name a model file.")
        content = file.read(status.st_size)
    if not content:
        raise ModelFileError(f"{path} is empty; a model file was expected.")
    return content


def parsed(text: str | bytes) -> Any:
    """A JSON value without repeated names; ValueError for anything else.

    Programs disagree about a name that occurs twice in an object; NaN and Infinity are not JSON,
    and integers with thousands of digits cannot be counts.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if text.count("[") + text.count("{") > FEWEST_BRACKETS + len(text) // LETTERS_A_BRACKET:
        raise ValueError("it holds hardly anything but brackets")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_without_twins,
            parse_constant=_no_number,
            parse_int=_whole_number,
        )
    except RecursionError:
        raise ValueError("brackets are nested too deeply") from None
    if isinstance(value, dict | list) and _deeper(value, DEEPEST):
        raise ValueError("brackets are nested too deeply")
    return value


def without_nan(value: Any) -> Any:
    """A value as JSON can hold it: None where a number is NaN or infinite."""
    if isinstance(value, dict):
        return {name: without_nan(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _whole_number(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _deeper(value: Any, most: int) -> bool:
    waiting = [(value, 0)]
    while waiting:
        part, depth = waiting.pop()
        if depth > most:
            return True
        inner = part.values() if isinstance(part, dict) else part
        waiting.extend((one, depth + 1) for one in inner if isinstance(one, dict | list))
    return False
