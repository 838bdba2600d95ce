"""The page's colours, light and dark, and how a library is told from the others.

Pictures are drawn in stand-in colours, which become CSS variables: one drawing serves both themes.
The hues are near those of Okabe and Ito; lightness differs as well, so that people of any colour
vision tell them apart, at 3:1 or more against the background. Markers and dashes say the same.
"""

from typing import Any, NamedTuple

from engine.comparison.figures import Figures

LIGHT = {
    "background": "#ffffff",
    "panel": "#f5f6f8",
    "ink": "#1a1f24",
    "muted": "#57606a",
    "grid": "#dfe3e8",
    "ahead": "#006a86",
    "ahead-tint": "#dcf0f6",
    "behind": "#a33d00",
    "behind-tint": "#fde6d8",
    "link": "#0a58b0",
}
DARK = {
    "background": "#14181c",
    "panel": "#1d2329",
    "ink": "#e8ebee",
    "muted": "#a3adb8",
    "grid": "#333b44",
    "ahead": "#6fd0ea",
    "ahead-tint": "#12343f",
    "behind": "#ffab7a",
    "behind-tint": "#45250f",
    "link": "#7db8ff",
}
SERIES_LIGHT = ("#0a58c4", "#d55e00", "#0a9e6a", "#c860b0", "#6b3a00", "#5b1a8a", "#2b3038")
SERIES_DARK = ("#5b9bf0", "#f0622d", "#2fe3a0", "#c98aa5", "#fce94f", "#9a63ff", "#dbeef5")


class Marker(NamedTuple):
    """A shape, as matplotlib names it and as an SVG path around (0, 0)."""

    name: str
    path: str


MARKERS = (
    Marker("o", "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z"),
    Marker("s", "M-4 -4h8v8h-8z"),
    Marker("^", "M0 -4.5L4.5 4.5H-4.5z"),
    Marker("D", "M0 -5L5 0L0 5L-5 0z"),
    Marker("v", "M0 4.5L4.5 -4.5H-4.5z"),
    Marker("P", "M-1.7 -4.8h3.4v3.1h3.1v3.4h-3.1v3.1h-3.4v-3.1h-3.1v-3.4h3.1z"),
    Marker("X", "M-4.8 -2.4l2.4 -2.4l2.4 2.4l2.4 -2.4l2.4 2.4l-2.4 2.4l2.4 2.4l-2.4 2.4l-2.4 -2.4"
           "l-2.4 2.4l-2.4 -2.4l2.4 -2.4z"),
)  # fmt: skip
DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (6, 2),
    (1.5, 1.5),
    (8, 2, 1.5, 2),
    (3, 2),
    (6, 2, 1.5, 2, 1.5, 2),
    (10, 3),
)
GEMM_DASHES = (2, 3)

# Stand-ins, in the drawings only.
STAND_INS = {"background": "#010000", "ink": "#010001", "muted": "#010002", "grid": "#010003"}
INK, MUTED, GRID = STAND_INS["ink"], STAND_INS["muted"], STAND_INS["grid"]
BACKGROUND = STAND_INS["background"]


def stand_in(number: int) -> str:
    """Of a series' colour."""
    return f"#0200{number:02x}"


class Series(NamedTuple):
    """How one library is drawn, in every picture."""

    name: str
    label: str
    number: int  # of its colour
    marker: Marker
    dashes: tuple[float, ...]
    width: float

    @property
    def colour(self) -> str:
        return stand_in(self.number)

    @property
    def linestyle(self) -> Any:
        # In units of the width, so that a thick line's dashes are as long as a thin one's.
        return (0, tuple(2 * dash / self.width for dash in self.dashes)) if self.dashes else "-"


def all_series(figures: Figures) -> dict[str, Series]:
    """By library; the base has the thickest line."""
    return {
        name: Series(
            name,
            library["label"],
            number % len(SERIES_LIGHT),
            MARKERS[number % len(MARKERS)],
            DASHES[(number + number // len(SERIES_LIGHT)) % len(DASHES)],
            2.6 if number == 0 else 1.7,
        )
        for number, (name, library) in enumerate(figures["contenders"].items())
    }


def variables() -> dict[str, str]:
    """By the stand-in: the CSS value that takes its place."""
    named = {colour: f"var(--{name})" for name, colour in STAND_INS.items()}
    return named | {stand_in(k): f"var(--series-{k})" for k in range(len(SERIES_LIGHT))}


def style_sheet() -> str:
    """The variables in both themes; paper is light."""
    return (
        f":root{{{_values(LIGHT, SERIES_LIGHT)}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_values(DARK, SERIES_DARK)}}}}}"
    )


def _values(named: dict[str, str], series: tuple[str, ...]) -> str:
    values = named | {f"series-{number}": colour for number, colour in enumerate(series)}
    return "".join(f"--{name}:{colour};" for name, colour in values.items())
