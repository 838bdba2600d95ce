"""The speed-up by more threads, beside that of the machine's own matrix product."""

from typing import Any

from engine.comparison.figures import Scalings
from engine.comparison.report.axes import name_lines, note, room_for, with_quartiles
from engine.comparison.report.colours import GEMM_DASHES, GRID, INK, Series
from engine.comparison.report.drawing import FONT_SIZE, NARROW, Picture, frame, picture
from engine.comparison.timing import Spread


def counts(found: Scalings) -> list[str]:
    """Numbers of threads, ascending."""
    named = set(found["gemm"])
    for one in found["entries"].values():
        named |= set(one.get("speed_up", {}))
    return sorted(named, key=int)


def scaling(found: Scalings, place: int, series: dict[str, Series]) -> Picture | None:
    """A panel for each number of threads: a dot a contender, and a line where gemm is."""
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
        lambda width: _draw(width, found, names, series),
    )


def _speed_ups(found: Scalings, name: str) -> dict[str, Spread]:
    one = found["entries"].get(name, {})
    if "failed" in one:
        return {}
    return {count: Spread(*spread) for count, spread in one.get("speed_up", {}).items()}


def _draw(width: int, found: Scalings, names: list[str], series: dict[str, Series]) -> Any:
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
