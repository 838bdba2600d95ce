"""Dates, times and records in users' data, which libraries silently turn into numbers."""

import datetime
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

NUMBERS = ("b", "i", "u", "f", "c")  # kinds of dtypes, in NumPy and pandas
# What a column holds, by the beginning of its type's name in NumPy, pandas, polars and Arrow, and
# what it could be turned into.
KINDS = {
    "timedelta": ("time differences", "their length in days or seconds"),
    "duration": ("time differences", "their length in days or seconds"),
    "datetime": ("dates", "days since a given day, the month or the weekday"),
    "timestamp": ("dates", "days since a given day, the month or the weekday"),
    "date": ("dates", "days since a given day, the month or the weekday"),
    "period": ("periods", "months since a given month"),
    "interval": ("intervals", "their middle"),
    "time": ("times of day", "hours since midnight"),
    "void": ("records", "a column for each field"),
    "record": ("records", "a column for each field"),
}
# The same for entries of arrays and columns of objects; the more special types first.
TYPES: dict[type, str] = {
    np.timedelta64: "timedelta",
    datetime.timedelta: "timedelta",
    np.datetime64: "datetime",
    datetime.date: "date",
    datetime.time: "time",
    np.void: "void",
}


def refuse_dates(argument: str, values: Any) -> None:
    """Raise a TypeError if some of the values are dates, times or records.

    Examples
    --------
    >>> refuse_dates("X", np.array(["2020-01-01"], dtype="datetime64[D]"))
    Traceback (most recent call last):
    ...
    TypeError: X holds dates (datetime64[D]); expected numbers. Turn them into numbers first, such
    as days since a given day, the month or the weekday.
    """
    for place, dtype, entries in _columns(argument, values):
        if getattr(dtype, "kind", None) in NUMBERS:
            continue  # the fast path, as most columns are numbers
        found, name = _kind_of(dtype), _name(dtype)
        if found is None and name in ("object", "category"):
            found, name = _kind_of_entries(entries())
        if found is not None:
            what, instead = KINDS[found]
            raise TypeError(
                f"{place} holds {what} ({name}); expected numbers. Turn them into numbers first, "
                f"such as {instead}."
            )


def _columns(argument: str, values: Any) -> Iterator[tuple[str, Any, Callable[[], Any]]]:
    """The name of each column, or of all at once, its dtype, and a function for its entries."""
    if isinstance(values, list | tuple):
        try:
            values = np.asarray(values)
        except Exception:  # it is no array, which is refused elsewhere
            return
    if isinstance(values, np.ndarray):
        if values.dtype == object and values.ndim == 2:
            for k in range(values.shape[1]):
                yield f"{argument}[:, {k}]", values.dtype, partial(values.__getitem__, (..., k))
        else:
            yield argument, values.dtype, partial(values.reshape, -1)
    elif hasattr(values, "column_names") and hasattr(values, "schema"):  # Arrow's tables
        for name, dtype in zip(values.column_names, values.schema.types, strict=True):
            yield f"{argument}: column {name!r}", dtype, tuple
    elif hasattr(values, "dtypes") and hasattr(values, "columns"):
        names, dtypes = list(values.columns), list(values.dtypes)
        for k, (name, dtype) in enumerate(zip(names, dtypes, strict=True)):
            entries = partial(_column, values, k)  # slow: only where the dtype does not decide
            yield f"{argument}: column {name!r}", dtype, entries
    elif hasattr(values, "dtype"):
        yield argument, values.dtype, lambda: values


def _column(frame: Any, k: int) -> Any:
    return frame.iloc[:, k] if hasattr(frame, "iloc") else ()


def _name(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype))


def _kind_of(dtype: Any) -> str | None:
    categories = getattr(dtype, "categories", None)  # pandas' categories of dates are dates
    name = _name(getattr(categories, "dtype", dtype)).lower()
    return next((kind for kind in KINDS if name.startswith(kind)), None)


def _kind_of_entries(entries: Any) -> tuple[str | None, str]:
    """The first kind among the entries of objects, and the name of its type."""
    for entry_type in sorted(set(map(type, entries)), key=lambda one: one.__name__):
        name = f"{entry_type.__module__.partition('.')[0]}.{entry_type.__name__}"
        for known, kind in TYPES.items():
            if issubclass(entry_type, known):
                return kind, name
        if entry_type.__name__ in ("Period", "Interval"):  # pandas'
            return entry_type.__name__.lower(), name
    return None, ""
