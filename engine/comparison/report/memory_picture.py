"""Resident memory of a process that trains: what is there before, and what training adds."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.comparison.figures import Memories
from engine.comparison.report.axes import name_lines, number, room_for
from engine.comparison.report.colours import BACKGROUND, INK, Series
from engine.comparison.report.drawing import FONT_SIZE, NARROW, Picture, frame, picture

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
    """A contender's peak, taken apart."""
    one = found["entries"].get(name, {})
    if "failed" in one or not {"imports", "on_top", "peak"} <= one.keys():
        return None
    training = min(one["on_top"], one["peak"])
    imports = min(one["imports"], one["peak"] - training)
    rest = one["peak"] - training - imports
    return Parts(imports / MEGABYTE, rest / MEGABYTE, training / MEGABYTE)


def memory(found: Memories, place: int, series: dict[str, Series]) -> Picture | None:
    """A bar a contender, in three parts."""
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
        lambda width: _draw(width, bars, series),
    )


def _draw(width: int, bars: Mapping[str, Parts], series: dict[str, Series]) -> Any:
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
