"""Words that the messages about tables share."""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence

from engine.boundary import remedies

IRREGULAR = {"category": "categories", "class": "classes"}


def counted(number: int, thing: str) -> str:
    """A number and a noun.

    Examples
    --------
    >>> counted(1, "row"), counted(1200, "row"), counted(2, "category")
    ('1 row', '1,200 rows', '2 categories')
    """
    many = IRREGULAR.get(thing, f"{thing}s")
    return f"{number:,} {thing if number == 1 else many}"


def quoted(values: Iterable[object], most: int = 5) -> str:
    """The first of some names.

    Examples
    --------
    >>> quoted("abcd", most=2)
    "'a', 'b' and 2 more"
    """
    values = list(values)
    said = ", ".join(repr(value) for value in values[:most])
    return f"{said} and {len(values) - most:,} more" if len(values) > most else said


def readable(value: float, sign: str = "") -> str:
    """A number in at least four digits, and without an exponent unless it is huge or tiny.

    Examples
    --------
    >>> readable(123456.78), readable(558.49), readable(0.00004321), readable(2.0), readable(3e21)
    ('123457', '558.5', '0.00004321', '2', '3e+21')
    """
    if not 1e-7 <= abs(value) < 1e15:
        return f"{value:{sign}.4g}"
    decimals = max(0, 3 - math.floor(math.log10(abs(value))))
    said = f"{value:{sign}.{decimals}f}"
    return said.rstrip("0").rstrip(".") if decimals else said


def count_as_missing(words: Mapping[str, int], how: str = "") -> str:
    """Which words of a CSV file are taken for missing values, and why, or what to do about it.

    Examples
    --------
    >>> print(count_as_missing({"NA": 50}))
    'NA' counts as missing in 50 rows (a frame of polars.read_csv has 'NA' as a value)
    """
    said = " and ".join(map(repr, words))
    verb = "counts" if len(words) == 1 else "count"
    return (
        f"{said} {verb} as missing in {counted(sum(words.values()), 'row')} "
        f"({how or remedies.COUNT_AS_VALUE(next(iter(words)))})"
    )


def names_near(name: str, names: Iterable[str]) -> list[str]:
    """Names that `name` may be a misspelling of, the nearest first.

    >>> names_near("side", ["Side", "area", "size"])
    ['Side', 'size']
    """
    lower = {other.lower(): other for other in names}
    return [lower[found] for found in difflib.get_close_matches(name.lower(), lower, cutoff=0.6)]


def named_column(name: str, names: Sequence[str], option: str) -> str:
    """`name`, if it is one of the table's columns; if not, a message with names that are near."""
    if name in names:
        return name
    near = names_near(name, names)
    advice = (
        f"Did you mean {' or '.join(map(repr, near))}?"
        if near
        else f"It has {quoted(names, most=10)}."
    )
    raise ValueError(f"{option}: the table has no column {name!r}. {advice}")
