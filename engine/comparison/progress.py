"""A line on a terminal's standard error, between measurements and never during one."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def announced(items: Iterable[tuple[str, T]]) -> Iterator[T]:
    """Each item, after its label is shown in place of the one before."""
    items = list(items)
    for number, (label, item) in enumerate(items, start=1):
        _show(f"{number}/{len(items)}  {label}")
        yield item
    _show("")


def _show(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
