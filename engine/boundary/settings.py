"""Names and numbers that users pass in."""

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from engine.equations.backends import BACKENDS, FASTEST, Backend
from engine.equations.units import HIDDEN_UNITS


def listed(names: Iterable[str]) -> str:
    """Names for a message: 'a', 'b' or 'c'."""
    *most, last = [repr(name) for name in names]
    return f"{', '.join(most)} or {last}" if most else last


def one_of(argument: str, value: Any, known: Iterable[str]) -> str:
    """`value`, if it is one of the `known` names."""
    known = list(known)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{argument} must be {listed(known)}; got {value!r}.")
    return value


def whole_number(argument: str, value: Any, at_least: int) -> int:
    """`value` as an int, if it is a whole number not below `at_least`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{argument} must be a whole number; got {value!r}.") from None
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{argument} must be a whole number; got {value!r}.")
    if number < at_least:
        raise ValueError(f"{argument} must be at least {at_least}; got {number}.")
    return number


def any_number(argument: str, value: Any) -> float:
    """`value` as a float, if it is a number: NaN and infinity, too."""
    try:
        # Most are floats, and are not made into an array to find that out.
        is_real = isinstance(value, float) or (
            np.asarray(value).dtype.kind in "iuf" and np.ndim(value) == 0
        )
        number = float(value) if is_real else math.nan
    except (TypeError, ValueError):  # a ragged list
        is_real = False
    if not is_real:
        raise TypeError(f"{argument} must be a number; got {value!r}.")
    return number


def real_number(argument: str, value: Any, low: float, low_included: bool = True) -> float:
    """`value` as a float, if it is finite and not below `low` (or, above it)."""
    number = any_number(argument, value)
    in_range = number >= low if low_included else number > low
    if not (in_range and math.isfinite(number)):
        wanted = "at least" if low_included else "above"
        raise ValueError(f"{argument} must be finite and {wanted} {low:g}; got {number:g}.")
    return number


def share(argument: str, value: Any) -> float:
    """`value` as a float, if it is at least 0 and below 1."""
    number = real_number(argument, value, low=0)
    if number >= 1:
        raise ValueError(f"{argument} must be at least 0 and below 1; got {number:g}.")
    return number


def number_between(argument: str, value: Any, low: float, high: float) -> float:
    """`value` as a float, if it is above `low` and below `high`."""
    number = any_number(argument, value)
    if not low < number < high:
        raise ValueError(f"{argument} must be above {low:g} and below {high:g}; got {number:g}.")
    return number


def yes_or_no(argument: str, value: Any) -> bool:
    """`value` as a bool, if it is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{argument} must be True or False; got {value!r}.")
    return bool(value)


def shuffling(argument: str, value: Any) -> bool | str:
    """`value`, if it is True, False or "blocks"."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be True, False or 'blocks'; got {value!r}.")
    if value != "blocks":
        raise ValueError(f"{argument} must be True, False or 'blocks'; got {value!r}.")
    return value


def representable(argument: str, value: float, dtype: Any) -> None:
    """Refuse a positive number that would become 0 or inf in `dtype`."""
    limits = np.finfo(dtype)
    smallest, largest = float(limits.tiny), float(limits.max)
    if not smallest <= value <= largest:
        raise ValueError(
            f"{argument} must be between {smallest:g} and {largest:g} for {np.dtype(dtype)} data; "
            f"got {value:g}."
        )


def layer_sizes(sizes: Any) -> tuple[int, ...]:
    """Units of each layer, inputs and outputs at least."""
    is_sequence = isinstance(sizes, Sequence | np.ndarray) and not isinstance(sizes, str | bytes)
    if not is_sequence or getattr(sizes, "ndim", 1) != 1 or len(sizes) < 2:
        raise ValueError(
            "sizes must list the units of at least two layers, inputs and outputs, such as "
            f"(2, 4, 1); got {sizes!r}."
        )
    return tuple(whole_number(f"sizes[{l}]", size, at_least=1) for l, size in enumerate(sizes))


def hidden_units(hidden: Any, n_hidden: int) -> tuple[str, ...]:
    """The activation of each hidden layer, from one name for all or one for each."""
    one_for_each = isinstance(hidden, Sequence) and not isinstance(hidden, str) and n_hidden > 0
    names = tuple(hidden) if one_for_each else (hidden,) * n_hidden
    if len(names) != n_hidden:
        raise ValueError(
            f"hidden must be one name, or one for each of the {n_hidden} hidden layers; "
            f"got {len(names)} names."
        )
    return tuple(one_of("hidden", name, HIDDEN_UNITS) for name in names)


def find_backend(name: str | None) -> Backend:
    """The backend of that name; None is the fastest one."""
    return FASTEST if name is None else BACKENDS[one_of("backend", name, BACKENDS)]


def thread_count(n_threads: int | None) -> int | None:
    """The given number of threads; None leaves it open."""
    return None if n_threads is None else whole_number("n_threads", n_threads, at_least=1)
