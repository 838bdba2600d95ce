"""Pictures for a page: matplotlib's SVG, in colours that the page decides, in light and in dark.

A figure is drawn in stand-in colours, which become CSS variables in its SVG; PALETTE has what they
mean on a light and on a dark page. Series differ by marker and line style as well, and their
colours are told apart by colour-blind readers (after Okabe & Ito 2008 and Tol 2021).
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Colour(NamedTuple):
    """On a light page, and on a dark one."""

    light: str
    dark: str


PAPER = Colour("#ffffff", "#14181d")
PALETTE = {
    "ink": Colour("#1b1f24", "#e8eaed"),
    "faint": Colour("#5c6670", "#a4adb7"),
    "grid": Colour("#d8dde3", "#343b44"),
    "series-1": Colour("#0068a8", "#5ab4f0"),
    "series-2": Colour("#c24e00", "#ff9a52"),
    "series-3": Colour("#00795a", "#35cfa3"),
    "series-4": Colour("#a03c8c", "#ea9bd6"),
    "series-5": Colour("#856500", "#eddd45"),
    "series-6": Colour("#4a4f57", "#c3c8ce"),
    "series-7": Colour("#3b2a8c", "#b2a6ff"),
}
SERIES = [name for name in PALETTE if name.startswith("series-")]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
LINES = [
    "-",
    (0, (5, 1.5)),
    (0, (1.5, 1.2)),
    (0, (6, 1.5, 1.5, 1.5)),
    (0, (3, 2)),
    "-",
    (0, (8, 2)),
]

# What a figure is drawn in: colours that nothing else has.
STAND_INS = {name: f"#fe{number:02x}fe" for number, name in enumerate(PALETTE)}


class Style(NamedTuple):
    """How a series is drawn."""

    color: str
    marker: str
    linestyle: Any


def style(number: int) -> Style:
    """Of the series with that number, from 0."""
    at = number % len(SERIES)
    return Style(STAND_INS[SERIES[at]], MARKERS[at], LINES[at])


@contextmanager
def drawing() -> Iterator[None]:
    """Settings of matplotlib under which figures for pages are made."""
    import matplotlib

    ink, faint, grid = (STAND_INS[name] for name in ("ink", "faint", "grid"))
    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": "engine",
        "font.family": "sans-serif",
        "font.size": 10,
        "text.color": ink,
        "axes.edgecolor": faint,
        "axes.labelcolor": ink,
        "axes.titlesize": 10.5,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": grid,
        "grid.linewidth": 0.6,
        "xtick.color": faint,
        "ytick.color": faint,
        "xtick.labelcolor": ink,
        "ytick.labelcolor": ink,
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "lines.markersize": 5,
    }
    with matplotlib.rc_context(settings):
        yield


def svg(figure: "Figure", name: str, title: str) -> str:
    """The figure as an SVG element for a page. `name` keeps its ids apart from other pictures'."""
    import html

    kept = io.StringIO()
    figure.savefig(kept, format="svg", metadata={"Date": None, "Creator": None})
    text = kept.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
    for stand_in, what in ((colour, key) for key, colour in STAND_INS.items()):
        text = text.replace(stand_in, f"var(--{what})")
    text = re.sub(r"font: ([^;\"]*?)'[^;\"]*", r"font: \g<1>inherit", text)
    width = re.search(r'width="([\d.]+)pt"', text)
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    label = html.escape(title)
    wide = f"{float(width[1]) * 4 / 3:.0f}px" if width else "100%"
    head = f'<svg role="img" aria-label="{label}" style="max-width: {wide}"'
    return text.replace("<svg", head, 1).replace(">", f"><title>{label}</title>", 1)


def css() -> str:
    """The variables of PALETTE, for both kinds of page."""

    def variables(kind: str) -> str:
        colours = {"paper": PAPER, **PALETTE}
        return "".join(f"--{key}: {getattr(c, kind)}; " for key, c in colours.items())

    return (
        f":root {{ color-scheme: light dark; {variables('light')}}}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {variables('dark')}}} }}"
    )
