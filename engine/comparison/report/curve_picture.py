"""Cost against wall time: of training alone, and with the start of a process before it."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.comparison.figures import Curves, StartUp
from engine.comparison.report.axes import logarithmic
from engine.comparison.report.break_even import trainings
from engine.comparison.report.colours import INK, Series
from engine.comparison.report.drawing import NARROW, Picture, frame, picture
from engine.comparison.report.words import duration

WIDE_RANGE = 5.0  # the costs' axis is logarithmic from here on: highest over lowest


class Line(NamedTuple):
    """Costs after so many seconds; those before the first epoch are left out of a log axis."""

    seconds: list[float]
    costs: list[float]


def curves(
    found: Curves, number: int, start_up: Mapping[str, StartUp], series: dict[str, Series]
) -> Picture | None:
    """Side by side: training alone, and after the start-up with a warm cache where it is known."""
    lines = {name: line for name in series if (line := _line(found, name))}
    if not lines:
        return None
    before = {
        name: one.first - one.epoch for name, one in trainings(start_up, "warm_cache").items()
    }
    panels = {"training alone": lines}
    later = {
        name: Line([max(0.0, before[name]) + s for s in line.seconds], line.costs)
        for name, line in lines.items()
        if name in before
    }
    if later:
        panels["with the start of a process, warm cache"] = later
    said = "; ".join(
        f"{series[name].label} ends at {line.costs[-1]:.4g} after {duration(line.seconds[-1])}"
        for name, line in lines.items()
    )
    both = " Second: the same, after the start of a process." if later else ""
    return picture(
        f"curves-{number}",
        f"Line plot, log time axis: cost against seconds of training on {found['problem']}. "
        f"{said}.",
        f"{found['problem']}, {found['data']}, {found['dtype']}: mean cost on all training data "
        f"against wall time; a marker is the end of an epoch that was looked at.{both}",
        lambda width: _draw(width, panels, series),
        key=[series[name] for name in lines],
    )


def _line(found: Curves, name: str) -> Line | None:
    one = found["entries"].get(name, {})
    if "failed" in one or "seconds" not in one or "costs" not in one:
        return None
    pairs = zip(one["seconds"], one["costs"], strict=True)
    # A cost that is not finite is null in a page's own file.
    kept = [(s, cost) for s, cost in pairs if s > 0 and cost is not None and math.isfinite(cost)]
    return Line([s for s, _ in kept], [cost for _, cost in kept]) if kept else None


def _draw(width: int, panels: Mapping[str, Mapping[str, Line]], series: dict[str, Series]) -> Any:
    is_narrow = width == NARROW
    tall = 240 if is_narrow else 340
    rows = len(panels) if is_narrow else 1
    figure, all_axes = frame(
        width, [tall] * rows, left=64, top=30, columns=1 if is_narrow else len(panels), gap=30
    )
    costs = [cost for lines in panels.values() for line in lines.values() for cost in line.costs]
    for number, (axes, (title, lines)) in enumerate(zip(all_axes, panels.items(), strict=True)):
        logarithmic(axes, "x", [s for line in lines.values() for s in line.seconds], crowded=True)
        if min(costs) > 0 and max(costs) / min(costs) > WIDE_RANGE:
            logarithmic(axes, "y", costs)
        for name, line in lines.items():
            one = series[name]
            axes.plot(
                line.seconds,
                line.costs,
                color=one.colour,
                linewidth=one.width,
                linestyle=one.linestyle,
                marker=one.marker.name,
                markersize=5.5,
                markevery=max(1, len(line.seconds) // 8),
            )
        axes.set_title(title, loc="left", fontsize=13, color=INK)
        axes.set_xlabel("wall time [s]")
        if number == 0 or is_narrow:
            axes.set_ylabel("mean cost")
        else:
            axes.tick_params(axis="y", labelleft=False)
            axes.set_ylim(all_axes[0].get_ylim())
    return figure
