"""What several pictures do with their axes: plain numbers on log axes, labels that keep apart."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from engine.comparison.report.colours import BACKGROUND, INK, MUTED, Series
from engine.comparison.report.drawing import FONT_SIZE, plain

# By the decades of an axis: which digits of each are labelled.
FEW_DECADES, SOME_DECADES = 1.9, 3.6
MOST_POWERS = 9
LETTER = 0.6 * FONT_SIZE  # its width, about
LEAST_RANGE = 2.6  # highest over lowest: there is always a 1, a 2 or a 5 between
LABEL_ROOM = 18  # pixels between the axes and the labels at the ends of lines


def number(value: float, _: object = None) -> str:
    """A tick's number, short.

    >>> [number(value) for value in (0.002, 0.5, 20, 3000, 20_000, 5e6, 2e9)]
    ['0.002', '0.5', '20', '3,000', '20 k', '5 M', '2 G']
    """
    for least, unit, letter in ((1e9, 1e9, " G"), (1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if value >= least:
            return f"{value / unit:g}{letter}"
    return f"{value:,.12g}"


def logarithmic(axes: Any, which: str, values: Iterable[float], crowded: bool = False) -> None:
    """A log axis with some room around `values`, which are above 0, and few, plain numbers."""
    from matplotlib.ticker import FixedLocator, NullLocator

    low, high = bounds(values)
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(ticks(low, high, crowded)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(number)


def bounds(values: Iterable[float]) -> tuple[float, float]:
    """Both ends of a log axis for `values`."""
    known = [value for value in values if value > 0 and math.isfinite(value)] or [1.0]
    low, high = min(known), max(known)
    room = max(1.12, (high / low) ** 0.05, math.sqrt(LEAST_RANGE * low / high))
    return low / room, high * room


def ticks(low: float, high: float, crowded: bool = False) -> list[float]:
    """Round numbers between both ends of a log axis.

    >>> ticks(0.5, 12)
    [0.5, 1.0, 2.0, 5.0, 10.0]
    >>> ticks(0.5, 200)
    [1.0, 3.0, 10.0, 30.0, 100.0]
    >>> ticks(1, 1e6)
    [1.0, 10.0, 100.0, 1000.0, 10000.0, 100000.0, 1000000.0]
    """
    decades = math.log10(high / low) * (2 if crowded else 1)
    steps = (1, 2, 5) if decades < FEW_DECADES else (1, 3) if decades < SOME_DECADES else (1,)
    every = max(1, math.ceil(decades / MOST_POWERS))
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [float(f"{step}e{power}") for power in powers if power % every == 0 for step in steps]
    return [value for value in found if low * 0.999 <= value <= high * 1.001]


def apart(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions moved as little as can be, so that none is nearer to another than `gap`.

    >>> apart([10, 12, 50], gap=10, low=0, high=100)
    [6.0, 16.0, 50.0]
    """
    from scipy.optimize import isotonic_regression

    order = sorted(range(len(positions)), key=lambda k: positions[k])
    shifted = [positions[k] - place * gap for place, k in enumerate(order)]
    found = isotonic_regression(shifted).x
    most = max(low, high - gap * (len(order) - 1))
    moved = {
        k: float(min(max(value, low), most)) + place * gap
        for place, (k, value) in enumerate(zip(order, found, strict=True))
    }
    return [moved[k] for k in range(len(positions))]


def label_ends(axes: Any, ends: Sequence[tuple[str, str, float, float, bool]]) -> None:
    """Write (label, colour, x, y, is it bold) to the right of the axes, beside the lines' ends."""
    box = axes.get_position()
    width = axes.figure.get_figwidth() * 72 * box.width
    height = axes.figure.get_figheight() * 72 * box.height
    heights = [float(axes.transData.transform((x, y))[1]) for _, _, x, y, _ in ends]
    bottom = float(axes.transAxes.transform((0, 0))[1])
    scale = 72 / axes.figure.dpi
    places = apart([(y - bottom) * scale for y in heights], FONT_SIZE + 3, 0, height)
    for (label, colour, x, y, bold), place in zip(ends, places, strict=True):
        axes.annotate(
            plain(label),
            xy=(x, y),
            xycoords="data",
            xytext=(1 + LABEL_ROOM / width, place / height),
            textcoords=("axes fraction", "axes fraction"),
            color=INK,
            va="center_baseline",
            ha="left",
            weight="bold" if bold else "normal",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 1,
                "shrinkA": 1,
                "shrinkB": 5,
                "relpos": (0, 0.5),
            },
        )


def with_quartiles(
    axes: Any, x: float, y: float, low: float, high: float, series: Series, along: str = "x"
) -> None:
    """A marker at the median, on a bar from quartile to quartile."""
    ends = ([low, high], [y, y]) if along == "x" else ([x, x], [low, high])
    axes.plot(*ends, color=series.colour, linewidth=2.2, solid_capstyle="butt", zorder=3)
    axes.plot(
        [x],
        [y],
        color=series.colour,
        marker=series.marker.name,
        markersize=7,
        linestyle="",
        zorder=4,
    )


def note(axes: Any, x: float, y: float, text: str, **settings: Any) -> None:
    """A remark on a picture."""
    settings = {"color": MUTED, "fontsize": FONT_SIZE - 1} | settings
    axes.text(x, y, plain(text), **settings)


def name_lines(axes: Any, labels: Sequence[str], is_narrow: bool, above: float) -> None:
    """Name lines 0, 1, ... of a picture: left of the axes, or within, so much above each line."""
    shown = [plain(label) for label in labels]
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(False, axis="y")
    if not is_narrow:
        axes.set_yticks(range(len(labels)), shown)
        axes.tick_params(axis="y", labelcolor=INK)
        return
    axes.set_yticks([])
    across = axes.get_yaxis_transform()
    behind = {"facecolor": BACKGROUND, "edgecolor": "none", "pad": 1}
    for place, label in enumerate(shown):
        axes.text(
            0, place - above, label, color=INK, va="bottom", transform=across, bbox=behind, zorder=5
        )


def room_for(labels: Iterable[str], is_narrow: bool) -> float:
    """Pixels left of the axes for names of lines."""
    return 12.0 if is_narrow else 16 + LETTER * max(map(len, labels))


def room_for_ends(labels: Iterable[str], is_narrow: bool) -> float:
    """Pixels right of the axes for the labels at the ends of lines."""
    if is_narrow:
        return 12.0
    return LABEL_ROOM + 16 + min(300, LETTER * max(map(len, labels)))
