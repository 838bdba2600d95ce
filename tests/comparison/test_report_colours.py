"""The report page's colours: contrast in both themes, and told apart at any colour vision."""

import copy
import itertools

import numpy as np
import pytest

from engine.comparison.report.colours import DARK, LIGHT, SERIES_DARK, SERIES_LIGHT, all_series
from tests.report_figures import BASE, figures


def luminance(colour):
    channels = linear(colour)
    return float(np.dot([0.2126, 0.7152, 0.0722], channels))


def linear(colour):
    values = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """As WCAG 2 defines it."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


THEMES = pytest.mark.parametrize(
    ("theme", "series"), [(LIGHT, SERIES_LIGHT), (DARK, SERIES_DARK)], ids=["light", "dark"]
)


@THEMES
def test_lines_have_3_to_1_against_the_background_and_text_4_5(theme, series):
    assert min(contrast(colour, theme["background"]) for colour in series) >= 3
    for colour in ("ink", "muted", "link"):
        for behind in ("background", "panel"):
            assert contrast(theme[colour], theme[behind]) >= 4.5, (colour, behind)
    for tone in ("ahead", "behind"):
        assert contrast(theme[tone], theme[f"{tone}-tint"]) >= 4.5, tone


# Machado, Oliveira and Fernandes 2009, table 1: no red, no green, no blue cones.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def lab(rgb):
    """CIE L*a*b* of a linear sRGB colour."""
    ratios = np.array(TO_XYZ) @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    x, y, z = np.where(ratios > 0.008856, np.cbrt(ratios), 7.787 * ratios + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@THEMES
@pytest.mark.parametrize("blindness", BLINDNESS)
def test_series_differ_by_15_in_lab_at_any_colour_vision(theme, series, blindness):
    seen = [lab(np.array(BLINDNESS[blindness]) @ linear(colour)) for colour in series]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) >= 15


def test_fourteen_contenders_all_look_different():
    found = figures()
    whole = copy.copy(found)
    whole["contenders"] = {f"c{k}": found["contenders"][BASE] for k in range(14)}
    looks = {(one.number, one.marker, one.dashes) for one in all_series(whole).values()}
    assert len(looks) == 14
