"""Total time against epochs: where lines cross, a fast epoch has made up for a slow start."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.comparison.figures import StartUp
from engine.comparison.report.axes import label_ends, logarithmic, room_for_ends
from engine.comparison.report.break_even import Training, break_even, trainings
from engine.comparison.report.colours import BACKGROUND, INK, Series
from engine.comparison.report.drawing import NARROW, Picture, frame, picture

LEAST_EPOCHS, MOST_EPOCHS = 1e3, 1e7
TITLES = {"empty_cache": "empty cache", "warm_cache": "warm cache"}


def totals(
    found: Mapping[str, StartUp], base: str, cache: str, series: dict[str, Series]
) -> Picture | None:
    """A line a contender; rings where the base's line crosses another's."""
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
