"""Time a sample against the size of the network, and what the arithmetic alone would take."""

from collections.abc import Sequence
from typing import Any

from engine.comparison.report.axes import label_ends, logarithmic, room_for_ends
from engine.comparison.report.colours import GEMM_DASHES, INK, Series
from engine.comparison.report.drawing import FONT_SIZE, NARROW, Picture, frame, picture
from engine.comparison.report.limits import multiply_adds
from engine.comparison.timing import Spread
from engine.comparison.training_timings import Row

GEMM = "at gemm's rate"


def sizes(rows: Sequence[Row], dtype: str, series: dict[str, Series]) -> Picture | None:
    """A line a contender, of the rows of one dtype."""
    of_dtype = sorted((row for row in rows if row["dtype"] == dtype), key=multiply_adds)
    lines = {name: line for name in series if (line := _line(of_dtype, name))}
    if not lines:
        return None
    shown = [series[name] for name in lines]
    sized = f"{multiply_adds(of_dtype[0]):,.0f} to {multiply_adds(of_dtype[-1]):,.0f}"
    return picture(
        f"sizes-{dtype}",
        f"Line plot, log axes: microseconds a sample of {len(shown)} contenders in {dtype}, for "
        f"networks of {sized} multiply-adds a sample, and the line of what these multiply-adds "
        "take at the machine's gemm rate.",
        f"Time a sample against the network's size, {dtype}; bars from quartile to quartile. "
        "The dotted line is the arithmetic alone, at this machine's gemm rate in the same rounds: "
        "what is above it is not matrix products, or products slower than BLAS's.",
        lambda width: _draw(width, of_dtype, lines, series),
        key=shown,
        key_if_wide=False,
    )


def _line(rows: Sequence[Row], name: str) -> list[tuple[float, Spread]]:
    entries = ((row, row["entries"].get(name, {})) for row in rows)
    return [
        (multiply_adds(row), Spread(*entry["us_per_sample"]))
        for row, entry in entries
        if "us_per_sample" in entry
    ]


def _draw(
    width: int,
    rows: Sequence[Row],
    lines: dict[str, list[tuple[float, Spread]]],
    series: dict[str, Series],
) -> Any:
    is_narrow = width == NARROW
    right = room_for_ends([series[name].label for name in lines], is_narrow)
    figure, (axes,) = frame(width, [300 if is_narrow else 440], left=58, right=right, top=14)
    gemm = [(multiply_adds(r), r["rates"]["gemm_us_per_sample"]) for r in rows if r["rates"]]
    points = [point for line in lines.values() for point in line]
    logarithmic(axes, "x", [x for x, _ in points], crowded=is_narrow)
    times = [value for _, spread in points for value in spread] + [y for _, y in gemm]
    logarithmic(axes, "y", times)
    ends = []
    if gemm:
        axes.plot(*zip(*gemm, strict=True), color=INK, linewidth=1.5, dashes=GEMM_DASHES)
        ends.append((GEMM, INK, *gemm[-1], False))
    for number, (name, line) in enumerate(lines.items()):
        one = series[name]
        x = [size for size, _ in line]
        middle, low, high = zip(*(spread for _, spread in line), strict=True)
        axes.vlines(x, low, high, color=one.colour, linewidth=2)
        axes.plot(
            x,
            middle,
            color=one.colour,
            linewidth=one.width,
            linestyle=one.linestyle,
            marker=one.marker.name,
            markersize=6.5,
        )
        ends.append((one.label, one.colour, x[-1], middle[-1], number == 0))
    axes.set_xlabel("multiply-adds a sample, forward and backward")
    axes.set_ylabel("time a sample [µs]")
    if not is_narrow:
        label_ends(axes, ends)
    elif gemm:
        axes.annotate(
            GEMM,
            gemm[len(gemm) // 2],
            xytext=(8, -6),
            textcoords="offset points",
            va="top",
            color=INK,
            fontsize=FONT_SIZE - 1,
        )
    return figure
