"""How the page writes numbers, times and lists."""

from collections.abc import Sequence
from datetime import UTC, datetime

from engine.comparison.timing import Spread

DIGITS = 3
UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
DASH = "\N{EN DASH}"  # between quartiles


def digits(value: float) -> str:
    """Three digits that count, or the whole number.

    >>> [digits(value) for value in (0.01234, 0.5, 2.3456, 23.456, 234.56, 23456)]
    ['0.0123', '0.500', '2.35', '23.5', '235', '23,456']
    """
    shown = f"{value:#.{DIGITS}g}"
    return f"{value:,.0f}" if "e+" in shown or shown.endswith(".") else shown


def quartiles(spread: Spread) -> str:
    return f"{digits(spread.low)}{DASH}{digits(spread.high)}"


def duration(seconds: float) -> str:
    """
    >>> [duration(value) for value in (2e-6, 0.0123, 5.0, 300, 7200)]
    ['2.00 µs', '12.3 ms', '5.00 s', '5.00 min', '2.00 h']
    """
    size, unit = _unit(seconds)
    return f"{digits(seconds / size)} {unit}"


def durations(spread: Spread) -> str:
    """Quartiles, in the unit of the median.

    >>> durations(Spread(1.0, 0.98, 1.1)).split(DASH)
    ['0.980', '1.10 s']
    """
    size, unit = _unit(spread.median)
    return f"{digits(spread.low / size)}{DASH}{digits(spread.high / size)} {unit}"


def joined(parts: Sequence[str]) -> str:
    """
    >>> joined(["a"]), joined(["a", "b", "c"]), joined(["a, x", "b, y", "c"])
    ('a', 'a, b and c', 'a, x; b, y; and c')
    """
    *most, last = parts
    if not most:
        return last
    if any("," in part for part in parts):
        return f"{'; '.join(most)}; and {last}"
    return f"{', '.join(most)} and {last}"


def moment(text: str) -> str:
    """
    >>> moment("2026-03-14T10:26:53+01:00"), moment("yesterday")
    ('2026-03-14 09:26 UTC', 'yesterday')
    """
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return text


def _unit(seconds: float) -> tuple[float, str]:
    # A minute and a half is better known as 90 s.
    known = (one for one in UNITS if abs(seconds) >= (one[0] if one[0] <= 1 else 2 * one[0]))
    return next(known, UNITS[-1])
