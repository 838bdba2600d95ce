"""After how many epochs a fast epoch has made up for a slow start.

A new process needs `first` seconds until it has trained one epoch, and `epoch` seconds for each
further one: total(n) = first + (n - 1) epoch. Two contenders break even where their totals cross:

    n = 1 + (first_other - first_base) / (epoch_base - epoch_other)
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from engine.comparison.figures import StartUp
from engine.comparison.timing import Spread

ALWAYS, NEVER, FROM, UNTIL, EQUAL = "always", "never", "from", "until", "equal"
CACHES = ("empty_cache", "warm_cache")


class Training(NamedTuple):
    """Seconds from a new process to one epoch, and of each further epoch."""

    first: float
    epoch: float

    def total(self, epochs: float) -> float:
        return self.first + (epochs - 1) * self.epoch


class BreakEven(NamedTuple):
    """When the base is ahead: always, never, from an epoch on, or until one."""

    case: str
    epochs: float | None = None  # where both have taken equally long
    seconds: float | None = None


def break_even(base: Training, other: Training) -> BreakEven:
    """When the base has taken less time than the other.

    >>> break_even(Training(3.0, 1.0), Training(1.0, 2.0))
    BreakEven(case='from', epochs=3.0, seconds=5.0)
    """
    lead = other.first - base.first  # after one epoch
    gain = other.epoch - base.epoch  # in each further one
    if lead == gain == 0:
        return BreakEven(EQUAL)
    if lead >= 0 and gain >= 0:
        return BreakEven(ALWAYS)
    if lead <= 0 and gain <= 0:
        return BreakEven(NEVER)
    epochs = 1 - lead / gain
    return BreakEven(FROM if gain > 0 else UNTIL, epochs, base.total(epochs))


def in_words(found: BreakEven) -> str:
    """When the base is ahead.

    >>> in_words(break_even(Training(3.0, 1.0), Training(1.0, 2.0)))
    'from epoch 3 on'
    """
    if found.case == FROM and found.epochs is not None:
        return f"from epoch {math.ceil(found.epochs):,} on"
    if found.case == UNTIL and found.epochs is not None:
        return f"until epoch {math.floor(found.epochs):,}"
    return {ALWAYS: "from the first epoch on", NEVER: "never", EQUAL: "never, nor behind"}[
        found.case
    ]


def trainings(start_up: Mapping[str, StartUp], cache: str) -> dict[str, Training]:
    """Of all contenders that were measured with this cache, "empty_cache" or "warm_cache"."""
    found = {}
    for name, one in start_up.items():
        first = one.get("empty_cache") if cache == "empty_cache" else one.get("warm_cache")
        if first is not None and "epoch" in one and "failed" not in one:
            found[name] = Training(Spread(*first).median, Spread(*one["epoch"]).median)
    return found
