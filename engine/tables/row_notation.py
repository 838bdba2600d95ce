"""One value as the table wrote it, in microseconds: dates, and numbers written for people.

It is what `dates` and `number_notation` make of a column with this value, with the same bits. What
is unusual gives None: then a column decides. The patterns are theirs; that of Python may find
fewer characters alike (digits of other scripts), and then finds no match.
"""

import datetime
import math
import re
from collections.abc import Collection
from functools import cache
from typing import Any

import numpy as np

from engine.tables import dates, number_notation
from engine.tables.dates import CLOCK, DATE, TIME, WEEK, YEAR, DateReading
from engine.tables.number_notation import COMMA, EITHER, PERCENT, POINT, NumberReading

# White space as Unicode and polars have it; Python's `strip` takes more for such.
_WHITE = (
    "\t\n\v\f\r \x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005"
    "\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_SYMBOLS = "[$\u00a2-\u00a5\u20a0-\u20bf]"  # most of what Unicode has as signs of currencies
_FIRST_DAY = datetime.date(1970, 1, 1).toordinal()
_US_A_SECOND, _US_A_MINUTE = 1_000_000, 60_000_000
_DECIMALS = 1e12  # of sine and cosine, as `dates.derived` rounds


def stripped(text: str) -> str:
    """The text without white space around it, as polars strips it."""
    return text.strip(_WHITE)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of polars, for Python."""
    white = pattern.replace(r"[-/\s]", rf"[-/{_WHITE}]").replace(r"\s", f"[{_WHITE}]")
    return re.compile(white.replace(r"\p{Sc}", _SYMBOLS), re.ASCII)


class WrittenDate:
    """A date, time of day or duration as a number: `dates.numbers` of one value.

    Parameters
    ----------
    reading : DateReading
    missing : collection of str
        Texts that stand for a missing value.
    """

    def __init__(self, reading: DateReading, missing: Collection[str]) -> None:
        self._reading = reading
        self._missing = missing
        self._unit = dates.HOURS_A_US if reading.kind == TIME else dates.DAYS_A_US

    def __call__(self, value: Any) -> float | None:
        if value is None:
            return math.nan
        if isinstance(value, str):
            text = stripped(value)
            ticks = math.nan if text in self._missing else self._of_text(text)
        else:
            ticks = self._of_type(value)
        return None if ticks is None else float(ticks) * self._unit

    def _of_text(self, text: str) -> float | None:
        kind = self._reading.kind
        if kind == DATE:
            return _instant(text, self._reading.order)
        return _time(text) if kind == TIME else _duration(text)

    def _of_type(self, value: Any) -> float | None:
        """Microseconds of a value that is no text; NaN of a missing one."""
        if isinstance(value, float | np.datetime64 | np.timedelta64 | datetime.date) and (
            value != value
        ):
            return math.nan  # NaN or NaT
        kind = self._reading.kind
        if kind == DATE:
            if isinstance(value, datetime.date):
                return _of_date(value)
            return _of_numpy(value, "M8[us]") if isinstance(value, np.datetime64) else None
        if kind == TIME:
            plain = type(value) is datetime.time and value.tzinfo is None
            return _since_midnight(value) if plain else None
        if isinstance(value, datetime.timedelta):
            # Of pandas, a duration may have nanoseconds.
            plain = type(value) is datetime.timedelta or getattr(value, "nanoseconds", 1) == 0
            if not plain or abs(value.days) >= 10**8:
                return None
            return value.days * dates.US_A_DAY + value.seconds * _US_A_SECOND + value.microseconds
        return _of_numpy(value, "m8[us]") if isinstance(value, np.timedelta64) else None


def _of_numpy(value: Any, dtype: str) -> int:
    return int(value.astype(dtype).astype(np.int64))


def _of_date(value: datetime.date) -> int | None:
    """Microseconds since 1970-01-01 UTC of a date, or of a date and time."""
    if type(value) is datetime.date:
        return (value.toordinal() - _FIRST_DAY) * dates.US_A_DAY
    if type(value) is not datetime.datetime:  # of pandas, whose years may have five digits
        return _instant(value.isoformat(), dates.EITHER)
    ticks = (value.toordinal() - _FIRST_DAY) * dates.US_A_DAY + _since_midnight(value)
    if value.tzinfo is None or (offset := value.utcoffset()) is None:
        return ticks
    east = (offset.days * 86_400 + offset.seconds) * _US_A_SECOND + offset.microseconds
    return None if east % _US_A_MINUTE else ticks - east  # as texts have no seconds there


def _since_midnight(value: datetime.datetime | datetime.time) -> int:
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return seconds * _US_A_SECOND + value.microsecond


def _instant(text: str, order: str) -> int | None:
    """Microseconds since 1970-01-01 UTC: `dates.Dates(...).instants`."""
    found = next(filter(None, (_compiled(form).match(text) for form in dates.FORMS)), None)
    if found is None:
        return None
    parts = found.groupdict()
    day, month = parts.get("day", "0"), parts.get("month", "0")
    if "one" in parts:
        day, month = parts["one"], parts["other"]
        is_certain = order != dates.EITHER or parts["mark"] == "." or int(day) == int(month)
        if not is_certain:
            return None
        if order == dates.MONTH_FIRST:
            day, month = month, day
    if "name" in parts:
        month = str(dates.MONTHS[parts["name"].lower()[:3]])
    try:
        ordinal = datetime.date(int(parts["year"]), int(month), int(day)).toordinal()
    except ValueError:  # there is no such day
        return None
    clock = 0 if parts["hour"] is None else _clock(parts)
    if clock is None:
        return None
    return (ordinal - _FIRST_DAY) * dates.US_A_DAY + clock - _offset(parts["offset"])


def _time(text: str) -> int | None:
    """Microseconds since midnight: `dates.times`."""
    found = _compiled(dates.TIME_TEXT).match(text)
    return None if found is None else _clock(found.groupdict())


def _duration(text: str) -> int | None:
    """Microseconds: `dates.durations`."""
    found = _compiled(dates.DURATION_TEXT).match(text)
    if found is None or not text:
        return None
    parts = found.groupdict()
    clock = 0 if parts["hour"] is None else _clock(parts)
    return None if clock is None else int(parts["days"] or 0) * dates.US_A_DAY + clock


def _clock(parts: dict[str, Any]) -> int | None:
    """Microseconds since midnight; None if there is no such time."""
    hour, minute, second = int(parts["hour"]), int(parts["minute"]), int(parts["second"] or 0)
    half = parts.get("half")
    if minute > 59 or second > 59 or not (hour < 24 if half is None else 0 < hour <= 12):
        return None
    if half is not None:
        hour = hour % 12 + 12 * (half[0] in "pP")
    fraction = int((parts["fraction"] or "0")[:6].ljust(6, "0"))
    return ((hour * 60 + minute) * 60 + second) * _US_A_SECOND + fraction


def _offset(text: str | None) -> int:
    """Microseconds east of UTC."""
    if text is None:
        return 0
    digits = text[1:].replace(":", "")
    minutes = int(digits[:2]) * 60 + int(digits[2:] or 0)
    return (-minutes if text[0] == "-" else minutes) * _US_A_MINUTE


def periodic_parts(number: float, reading: DateReading) -> list[float]:
    """Sine and cosine of each part of a date: `dates.derived` of one number."""
    if number != number:
        return [0.0] * (len(dates.FUNCTIONS) * len(reading.parts))
    days = number * dates.DAYS_AN_HOUR if reading.kind == TIME else number
    whole = float(math.floor(days))
    turns = {YEAR: days / dates.DAYS_A_YEAR, WEEK: whole / 7, CLOCK: days - whole}
    angles = np.array([2 * math.pi * (turns[part] % 1) for part in reading.parts])
    made = [function(angles).tolist() for function in dates.FUNCTIONS.values()]
    return [_rounded(one) for of_part in zip(*made, strict=True) for one in of_part]


def _rounded(value: float) -> float:
    whole = round(value * _DECIMALS)
    return whole / _DECIMALS if whole else value * 0.0  # which has a sign


class WrittenNumber:
    """A number written for people: `number_notation.numbers` of one text.

    Parameters
    ----------
    reading : NumberReading
    """

    def __init__(self, reading: NumberReading) -> None:
        self._reading = reading

    def __call__(self, text: str) -> float | None:
        reading = self._reading
        if not text.isascii():
            text = _compiled(number_notation.DASHES).sub("-", text)
        text = _compiled(number_notation.NO_CENTS).sub(r"\1\2", text, count=1)
        found = _compiled(number_notation.WRITTEN).match(text)
        if found is None:
            return None
        parts = found.groupdict()
        signs = [parts[name] for name in ("open", "sign", "inner", "last") if parts[name]]
        before, body, after = parts["before"], parts["body"], parts["after"]
        if (
            (parts["open"] is None) != (parts["close"] is None)
            or (before and after)
            or len(signs) > 1
            or (parts["last"] and not re.search(r"[.,]\d\d$", body))
        ):
            return None
        value = _of_body(body, reading.decimal)
        mark = before or after or ""
        alone = not mark and (reading.mark not in PERCENT or value == 0)
        if value is None or not (mark == reading.mark or alone):
            return None
        return -value if signs not in ([], ["+"]) else value


def _of_body(body: str, decimal: str) -> float | None:
    """The digits as a number, without its sign."""
    if decimal == EITHER:
        point, comma = _of_body(body, POINT), _of_body(body, COMMA)
        if point is None or comma is None:
            return comma if point is None else point
        return point if point == comma else None
    if not _compiled(number_notation.BODY[decimal]).match(body):
        return None
    digits = body.translate(dict.fromkeys(map(ord, number_notation.APART[decimal])))
    return float(digits.replace(",", ".") if decimal == COMMA else digits)
