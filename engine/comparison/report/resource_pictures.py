"""From a new process to a trained epoch: imports, an empty cache, a warm one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.comparison.figures import Memories, Scalings, StartUp
from engine.comparison.report.axes import (
    logarithmic,
    name_lines,
    note,
    number,
    room_for,
    with_quartiles,
)
from engine.comparison.report.colours import BACKGROUND, GEMM_DASHES, GRID, INK, MUTED, Series
from engine.comparison.report.drawing import FONT_SIZE, NARROW, Picture, frame, picture
from engine.comparison.report.formatting import duration
from engine.comparison.timing import Spread

LEAST = 1e-3  # seconds: an import that takes no measurable time stands here
# Of a line's height, from its middle; where names stand above the dots, lower.
OFFSETS = {"imports": -0.24, "warm cache": 0.02, "empty cache": 0.28}
NARROW_OFFSETS = {"imports": -0.1, "warm cache": 0.12, "empty cache": 0.34}


def start_up(found: Mapping[str, StartUp], series: dict[str, Series]) -> Picture | None:
    """A line a library, with a dot for each stage."""
    lines = {name: line for name in series if (line := _line_start_up(found.get(name, StartUp())))}
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
        lambda width: _draw_start_up(width, lines, series),
    )


def _line_start_up(one: StartUp) -> dict[str, Spread]:
    if "failed" in one:
        return {}
    known = {"imports": one.get("imports"), "warm cache": one.get("warm_cache")}
    known["empty cache"] = one.get("empty_cache")
    return {words: Spread(*spread) for words, spread in known.items() if spread is not None}


def _draw_start_up(
    width: int, lines: Mapping[str, Mapping[str, Spread]], series: dict[str, Series]
) -> Any:
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
    """On the first library's dots."""
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


MEGABYTE = 1e6
OPACITIES = (0.25, 0.55, 1.0)


class Parts(NamedTuple):
    """Of the peak, in MB; they add up to it."""

    imports: float
    data: float  # and whatever else was resident before training
    training: float

    @property
    def peak(self) -> float:
        return sum(self)


def parts(found: Memories, name: str) -> Parts | None:
    """A library's peak, taken apart."""
    one = found["entries"].get(name, {})
    if "failed" in one or not {"imports", "on_top", "peak"} <= one.keys():
        return None
    training = min(one["on_top"], one["peak"])
    imports = min(one["imports"], one["peak"] - training)
    rest = one["peak"] - training - imports
    return Parts(imports / MEGABYTE, rest / MEGABYTE, training / MEGABYTE)


def memory(found: Memories, place: int, series: dict[str, Series]) -> Picture | None:
    """A bar a library, in three parts."""
    bars = {name: bar for name in series if (bar := parts(found, name)) is not None}
    if not bars:
        return None
    said = "; ".join(
        f"{series[name].label} {bar.peak:,.0f} MB, of which training adds {bar.training:,.0f}"
        for name, bar in bars.items()
    )
    return picture(
        f"memory-{place}",
        f"Bar plot: peak of the resident memory on {found['problem']}. {said}.",
        f"{found['problem']}, {found['n_samples']:,} samples, {found['dtype']} "
        f"({found['data'] / MEGABYTE:,.1f} MB of data): peak of the resident memory. From light to "
        "dark: once imported; the data and what came with it; what training adds. At the end of a "
        "bar: the peak, and what training adds.",
        lambda width: _draw_memory(width, bars, series),
    )


def _draw_memory(width: int, bars: Mapping[str, Parts], series: dict[str, Series]) -> Any:
    is_narrow = width == NARROW
    labels = [series[name].label for name in bars]
    left = room_for(labels, is_narrow)
    tall = 56 if is_narrow else 38
    figure, (axes,) = frame(width, [tall * len(bars)], left=left, right=100, top=10)
    for place, (name, bar) in enumerate(bars.items()):
        start = 0.0
        middle, thick = place + (0.12 if is_narrow else 0), 0.42 if is_narrow else 0.56
        axes.barh(middle, bar.peak, height=thick, color=BACKGROUND)
        for part, opacity in zip(bar, OPACITIES, strict=True):
            axes.barh(
                middle,
                part,
                left=start,
                height=thick,
                color=series[name].colour,
                alpha=opacity,
                linewidth=0,
            )
            start += part
            axes.vlines(start, middle - thick / 2, middle + thick / 2, color=series[name].colour)
        outline = {"facecolor": "none", "edgecolor": series[name].colour, "linewidth": 1}
        axes.barh(middle, bar.peak, height=thick, **outline)
        axes.annotate(
            f"{bar.peak:,.0f} (+{bar.training:,.0f})",
            (bar.peak, middle),
            xytext=(6, 0),
            textcoords="offset points",
            va="center_baseline",
            color=INK,
            fontsize=FONT_SIZE - 1,
            annotation_clip=False,
        )
    axes.set_xlim(0, 1.02 * max(bar.peak for bar in bars.values()))
    axes.xaxis.set_major_formatter(number)
    axes.xaxis.set_major_locator(_few(4 if is_narrow else 8))
    name_lines(axes, labels, is_narrow, above=0.14)
    axes.set_xlabel("resident memory [MB]")
    return figure


def _few(most: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(most, steps=[1, 2, 5, 10])


def counts(found: Scalings) -> list[str]:
    """Numbers of threads, ascending."""
    named = set(found["gemm"])
    for one in found["entries"].values():
        named |= set(one.get("speed_up", {}))
    return sorted(named, key=int)


def scaling(found: Scalings, place: int, series: dict[str, Series]) -> Picture | None:
    """A panel for each number of threads: a dot a library, and a line where gemm is."""
    names = [name for name in series if _speed_ups(found, name)]
    if not names:
        return None
    said = "; ".join(
        f"on {count} threads: "
        + ", ".join(
            f"{series[name].label} {spread.median:.2f}"
            for name in names
            if (spread := _speed_ups(found, name).get(count))
        )
        for count in counts(found)
    )
    return picture(
        f"threads-{place}",
        f"Dot plot: speed-ups of full-batch training of {found['problem']} {said}.",
        f"{found['problem']}, {found['n_samples']:,} samples, {found['dtype']}: time on one thread "
        "over time on more, full batch, with quartiles. The dotted line is gemm's own speed-up on "
        "this machine; the solid one is no gain at all.",
        lambda width: _draw_scaling(width, found, names, series),
    )


def _speed_ups(found: Scalings, name: str) -> dict[str, Spread]:
    one = found["entries"].get(name, {})
    if "failed" in one:
        return {}
    return {count: Spread(*spread) for count, spread in one.get("speed_up", {}).items()}


def _draw_scaling(width: int, found: Scalings, names: list[str], series: dict[str, Series]) -> Any:
    is_narrow = width == NARROW
    labels = [series[name].label for name in names]
    left = room_for(labels, is_narrow)
    tall = (48 if is_narrow else 32) * len(names)
    shown = counts(found)
    figure, all_axes = frame(width, [tall] * len(shown), left=left, right=30, top=44)
    gemm = {count: Spread(*spread) for count, spread in found["gemm"].items()}
    values = [
        value
        for spreads in (gemm, *(_speed_ups(found, name) for name in names))
        for spread in spreads.values()
        for value in spread
    ]
    least, most = min(values), max(values)
    for axes, count in zip(all_axes, shown, strict=True):
        axes.set_title(f"{count} threads", loc="left", fontsize=FONT_SIZE, color=INK, pad=22)
        axes.axvline(1, color=INK, linewidth=1.5, zorder=1)
        if count in gemm:
            at = gemm[count].median
            axes.axvline(at, color=INK, linewidth=1.5, dashes=GEMM_DASHES, zorder=1)
            note(axes, at, -0.55, f"gemm {at:.2f}", va="bottom", ha="center", color=INK)
        for place, name in enumerate(names):
            spread = _speed_ups(found, name).get(count)
            if spread is not None:
                middle, low, high = spread
                with_quartiles(axes, middle, place, low, high, series[name])
        name_lines(axes, labels, is_narrow, above=0.16)
        axes.set_xlim(min(0.9, 0.95 * least), 1.06 * most)
        for edge in range(1, len(names)):
            axes.axhline(edge - 0.5, color=GRID, linewidth=1, zorder=0)
        axes.set_xlabel("speed-up over one thread")
    return figure
