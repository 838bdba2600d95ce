"""After how many epochs a fast epoch has made up for a slow start.

A new process needs `first` seconds until it has trained one epoch, and `epoch` seconds for each
further one: total(n) = first + (n - 1) epoch. Two libraries break even where their totals cross:

    n = 1 + (first_other - first_base) / (epoch_base - epoch_other)
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from engine.comparison.figures import StartUp
from engine.comparison.report.axes import label_ends, logarithmic, room_for_ends
from engine.comparison.report.colours import BACKGROUND, INK, Series
from engine.comparison.report.drawing import NARROW, Picture, frame, picture
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
    """Of all libraries that were measured with this cache, "empty_cache" or "warm_cache"."""
    found = {}
    for name, one in start_up.items():
        first = one.get("empty_cache") if cache == "empty_cache" else one.get("warm_cache")
        if first is not None and "epoch" in one and "failed" not in one:
            found[name] = Training(Spread(*first).median, Spread(*one["epoch"]).median)
    return found


LEAST_EPOCHS, MOST_EPOCHS = 1e3, 1e7
TITLES = {"empty_cache": "empty cache", "warm_cache": "warm cache"}


def totals(
    found: Mapping[str, StartUp], base: str, cache: str, series: dict[str, Series]
) -> Picture | None:
    """A line a library; rings where the base's line crosses another's."""
    known = trainings(found, cache)
    if base not in known or len(known) < 2:
        return None
    lines = {name: known[name] for name in series if name in known}
    crossings = _crossings(lines, base)
    label = series[base].label
    said = "; ".join(
        f"with {series[name].label} at epoch {epochs:,.0f}" for name, epochs in crossings.items()
    )
    return picture(
        f"totals-{cache.replace('_', '-')}",
        f"Line plot, log axes: seconds from a new process until so many epochs are trained, "
        f"{TITLES[cache]}. {label}'s line crosses {'; '.join([said]) if said else 'no other'}.",
        f"Time from a new process until so many epochs are trained, {TITLES[cache]}. A ring is "
        f"where {label} and another have taken equally long.",
        lambda width: _draw(width, lines, base, crossings, series),
        key=[series[name] for name in lines],
        key_if_wide=False,
    )


def _crossings(lines: Mapping[str, Training], base: str) -> dict[str, float]:
    found = {name: break_even(lines[base], one) for name, one in lines.items() if name != base}
    return {name: one.epochs for name, one in found.items() if one.epochs is not None}


def _draw(
    width: int,
    lines: Mapping[str, Training],
    base: str,
    crossings: Mapping[str, float],
    series: dict[str, Series],
) -> Any:
    is_narrow = width == NARROW
    right = room_for_ends([series[name].label for name in lines], is_narrow)
    figure, (axes,) = frame(width, [280 if is_narrow else 380], left=62, right=right, top=14)
    within = [3 * epochs for epochs in crossings.values() if epochs < MOST_EPOCHS]
    farthest = max([LEAST_EPOCHS, *within])
    most = min(MOST_EPOCHS, 10 ** math.ceil(math.log10(farthest)))
    epochs = np.geomspace(1, most, 60)
    shown = {name: [one.total(n) for n in epochs] for name, one in lines.items()}
    logarithmic(axes, "x", [1, most], crowded=is_narrow)
    axes.set_xlim(1, most)
    logarithmic(axes, "y", [value for line in shown.values() for value in line])
    for name, line in reversed(shown.items()):
        one = series[name]
        axes.plot(
            epochs,
            line,
            color=one.colour,
            linewidth=one.width,
            linestyle=one.linestyle,
            marker=one.marker.name,
            markersize=6,
            markevery=(4 + 2 * one.number % 10, 12),
        )
    for at in crossings.values():
        if at <= most:
            axes.plot(
                [at],
                [lines[base].total(at)],
                linestyle="",
                color=INK,
                marker="o",
                markersize=11,
                markerfacecolor=BACKGROUND,
                markeredgewidth=1.8,
                zorder=5,
            )
    axes.set_xlabel("epochs")
    axes.set_ylabel("total time [s]")
    if not is_narrow:
        ends = [
            (series[name].label, series[name].colour, epochs[-1], line[-1], name == base)
            for name, line in shown.items()
        ]
        label_ends(axes, ends)
    return figure
