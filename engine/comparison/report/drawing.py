"""From a matplotlib figure to an SVG picture that is part of a page.

Text stays text, in the page's font; colours become the page's variables; an id is unique among all
pictures of a page. A unit of the picture is a pixel of the page, and each picture is drawn twice,
for a wide screen and for a narrow one, so that its text is as large as the text around it.
"""

import io
import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from engine.comparison.report.colours import GRID, INK, MUTED, Series, variables
from engine.system.extras import installed_by

WIDE, NARROW = 960, 360
FONT_SIZE = 13
NEEDED = f"the report page needs jinja2 and matplotlib: {installed_by('compare')}"

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}"
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Picture(NamedTuple):
    """A picture as the page shows it."""

    name: str
    alternative: str  # what it shows, in words
    caption: str
    wide: str  # SVG
    narrow: str
    key: tuple[Series, ...] = ()  # to be explained beside it
    key_if_wide: bool = True  # False: there the lines bear their labels


class Frame(NamedTuple):
    """An empty figure and its axes, sized in pixels."""

    figure: Any
    axes: list[Any]


def require_drawing() -> None:
    """Raise ImportError, with what to install, where a page could not be made."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(NEEDED) from error


def picture(
    name: str,
    alternative: str,
    caption: str,
    draw: Callable[[int], Any],
    key: Sequence[Series] = (),
    key_if_wide: bool = True,
) -> Picture:
    """Draw for both widths: `draw` is given the width, in pixels."""
    wide = as_svg(partial(draw, WIDE), f"{name}-wide", alternative)
    narrow = as_svg(partial(draw, NARROW), f"{name}-narrow", alternative)
    return Picture(name, alternative, caption, wide, narrow, tuple(key), key_if_wide)


def frame(
    width: int,
    heights: Sequence[float],
    left: float,
    right: float = 12,
    top: float = 26,
    bottom: float = 46,
    columns: int = 1,
    gap: float = 24,
) -> Frame:
    """Axes in rows of these heights, `columns` to a row, with room around each row."""
    from matplotlib.figure import Figure

    height = sum(heights) + len(heights) * (top + bottom)
    figure = Figure(figsize=(width / 72, height / 72), facecolor="none")
    inner = (width - left - right - (columns - 1) * gap) / columns
    axes, above = [], height
    for tall in heights:
        above -= top + tall
        for column in range(columns):
            x = left + column * (inner + gap)
            box = (x / width, above / height, inner / width, tall / height)
            axes.append(figure.add_axes(box))
        above -= bottom
    for one in axes:
        _quiet(one)
    return Frame(figure, axes)


def plain(text: str) -> str:
    """Text that XML can hold."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def as_svg(draw: Callable[[], Any], prefix: str, alternative: str) -> str:
    """The figure that `draw` makes, as an <svg> element."""
    import matplotlib

    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": prefix,
        "font.size": FONT_SIZE,
        "text.parse_math": False,
        "text.color": INK,
        "path.simplify": False,
    }
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # The page's font draws the text, and not the one that lacks a letter.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        draw().savefig(buffer, format="svg", transparent=True, metadata=nothing, dpi=72)
    return _for_a_page(buffer.getvalue(), prefix, alternative)


def _for_a_page(text: str, prefix: str, alternative: str) -> str:
    root = ElementTree.fromstring(text)
    known = variables()
    used = {
        value.removeprefix("#")
        for element in root.iter()
        for name, value in element.attrib.items()
        if name == f"{_XLINK}href"
    } | set(re.findall(r"url\(#([^)]*)\)", text))
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        element.tail = element.tail if (element.tail or "").strip() else None
        attributes = dict(element.attrib)
        element.attrib.clear()
        for name, value in attributes.items():
            if name == f"{_XLINK}href":
                element.set("href", f"#{prefix}-{value[1:]}")
            elif name == "id":
                if value in used:
                    element.set("id", f"{prefix}-{value}")
            else:
                value = value.replace("url(#", f"url(#{prefix}-")
                element.set(name, _styled(value, known) if name == "style" else _short(value))
    for parent in list(root.iter()):
        for child in list(parent):
            # matplotlib's style would be that of the whole page.
            if child.tag in ("metadata", "style") or (child.tag == "defs" and not _drawn(child)):
                parent.remove(child)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": alternative}
    title = ElementTree.Element("title")
    title.text = plain(alternative)
    root.attrib["aria-label"] = plain(alternative)
    root.insert(0, title)
    return ElementTree.tostring(root, encoding="unicode")


def _drawn(definitions: Any) -> bool:
    return any(child.tag != "style" for child in definitions)


def _styled(style: str, known: dict[str, str]) -> str:
    """Without fonts, which are the page's, and with the page's colours."""
    kept = [part for part in style.split("; ") if not part.startswith("font-family")]
    return re.sub(r"#[0-9a-f]{6}", lambda found: known[found[0]], "; ".join(kept))


def _short(value: str) -> str:
    """A hundredth of a pixel is enough."""
    return re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", value)


def _quiet(axes: Any) -> None:
    """The frame steps back behind what it shows."""
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=FONT_SIZE - 1, length=0, which="both", pad=6)
    axes.grid(True, color=GRID, linewidth=1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_color(MUTED)
        axis.label.set_size(FONT_SIZE)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(MUTED)
    axes.patch.set_visible(False)
