"""From a new process to a trained epoch: imports, an empty cache, a warm one."""

from collections.abc import Mapping
from typing import Any

from engine.comparison.figures import StartUp
from engine.comparison.report.axes import logarithmic, name_lines, room_for
from engine.comparison.report.colours import BACKGROUND, GRID, MUTED, Series
from engine.comparison.report.drawing import FONT_SIZE, NARROW, Picture, frame, picture
from engine.comparison.report.words import duration
from engine.comparison.timing import Spread

LEAST = 1e-3  # seconds: an import that takes no measurable time stands here
# Of a line's height, from its middle; where names stand above the dots, lower.
OFFSETS = {"imports": -0.24, "warm cache": 0.02, "empty cache": 0.28}
NARROW_OFFSETS = {"imports": -0.1, "warm cache": 0.12, "empty cache": 0.34}


def start_up(found: Mapping[str, StartUp], series: dict[str, Series]) -> Picture | None:
    """A line a contender, with a dot for each stage."""
    lines = {name: line for name in series if (line := _line(found.get(name, StartUp())))}
    if not lines:
        return None
    said = "; ".join(
        f"{series[name].label}: "
        + ", ".join(f"{words} {duration(spread.median)}" for words, spread in line.items())
        for name, line in lines.items()
    )
    return picture(
        "start-up",
        f"Dot plot, log axis: seconds from a new process to one trained epoch. {said}.",
        "A new process, in seconds of wall time: what its imports take (hollow), and until it has "
        "trained one epoch, with what it compiled before still there (warm cache, half filled) and "
        "with nothing compiled before (empty cache, filled).",
        lambda width: _draw(width, lines, series),
    )


def _line(one: StartUp) -> dict[str, Spread]:
    if "failed" in one:
        return {}
    known = {"imports": one.get("imports"), "warm cache": one.get("warm_cache")}
    known["empty cache"] = one.get("empty_cache")
    return {words: Spread(*spread) for words, spread in known.items() if spread is not None}


def _draw(width: int, lines: Mapping[str, Mapping[str, Spread]], series: dict[str, Series]) -> Any:
    is_narrow = width == NARROW
    labels = [series[name].label for name in lines]
    left = room_for(labels, is_narrow)
    tall = 88 if is_narrow else 50
    figure, (axes,) = frame(width, [tall * len(lines)], left=left, right=92, top=10)
    offsets = NARROW_OFFSETS if is_narrow else OFFSETS
    spreads = [spread for line in lines.values() for spread in line.values()]
    times = [max(LEAST, value) for spread in spreads for value in spread]
    logarithmic(axes, "x", times, crowded=is_narrow)
    for place, (name, line) in enumerate(lines.items()):
        one = series[name]
        if place:
            axes.axhline(place - 0.5, color=GRID, linewidth=1, zorder=1)
        for words, spread in line.items():
            level = place + offsets[words]
            axes.hlines(
                level,
                max(LEAST, spread.low),
                max(LEAST, spread.high),
                color=one.colour,
                linewidth=2.2,
                zorder=2,
            )
            fill = "left" if words == "warm cache" else "full"
            axes.plot(
                [max(LEAST, spread.median)],
                [level],
                color=one.colour,
                marker="o",
                markersize=9,
                markeredgewidth=2,
                markerfacecolor=BACKGROUND if words == "imports" else one.colour,
                markerfacecoloralt=BACKGROUND,
                fillstyle=fill,
                linestyle="",
                zorder=3,
            )
    name_lines(axes, labels, is_narrow, above=0.22)
    _name_stages(axes, lines, offsets)
    less = "" if is_narrow else " (imports: less a bare Python's)"
    axes.set_xlabel(f"seconds from the start of a process{less}")
    return figure


def _name_stages(
    axes: Any, lines: Mapping[str, Mapping[str, Spread]], offsets: Mapping[str, float]
) -> None:
    """On the first contender's dots."""
    for words, spread in next(iter(lines.values())).items():
        axes.annotate(
            words,
            (max(LEAST, spread.high), offsets[words]),
            xytext=(9, 0),
            textcoords="offset points",
            va="center_baseline",
            color=MUTED,
            fontsize=FONT_SIZE - 1,
        )
