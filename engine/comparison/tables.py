"""What all tables share: what was measured on, and how figures are written."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from engine.comparison.timing import Spread

BEHIND = "bold"  # a figure that speaks against this package is to be seen


def header(console: Console, command: str, found: Mapping[str, Any]) -> None:
    """The command, the machine, the versions and the threads."""
    about = found["about"]
    cores = ", ".join(map(str, about["cores"]))
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    lines = [command, about["processor"], about["system"], versions]
    lines.append(f"{count(about['threads'], 'thread')}, kept to core {cores}")
    if "rounds" in found:
        lines[-1] += f"; {found['rounds']} rounds, contenders in turns"
    lines += found.get("absent", [])
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print()


def table(columns: Sequence[str]) -> Table:
    """A plain table: the first column to the left, figures to the right."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left", no_wrap=True)
    return made


def fits(console: Console, made: Table) -> bool:
    """Whether the table can be shown without a cut."""
    unlimited = console.options.update(max_width=10_000)
    return made.__rich_measure__(console, unlimited).maximum <= console.width


def figure(value: float) -> str:
    """Two or three digits that count, or the whole number.

    >>> [figure(value) for value in (0.0123, 0.5, 2.346, 23.46, 234.6, 2345.0)]
    ['0.012', '0.50', '2.35', '23.5', '235', '2345']
    """
    if value >= 99.95:
        return f"{value:.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.0995 or value == 0 else f"{value:.3f}"


def with_spread(values: Sequence[float], style: str = "") -> str:
    """A median above its quartiles."""
    middle, low, high = Spread(*values)
    median = f"[{style}]{figure(middle)}[/]" if style else figure(middle)
    return f"{median}\n[dim]{figure(low)}-{figure(high)}[/]"


def count(number: int, what: str) -> str:
    """
    >>> count(1, "thread"), count(2, "thread")
    ('1 thread', '2 threads')
    """
    return f"{number} {what}{'s' * (number != 1)}"


def as_json(command: str, found: Mapping[str, Any]) -> str:
    """The report for a program."""
    return json.dumps({"command": command, **finite(found)}, indent=1, allow_nan=False) + "\n"


def finite(value: Any) -> Any:
    """The same for JSON, which has no NaN: a field that is not finite is left out of its object,
    and null in a list.
    """
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items() if not _is_not_finite(item)}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if _is_not_finite(value) else value


def _is_not_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
