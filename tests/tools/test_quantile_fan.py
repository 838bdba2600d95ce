"""tools/quantile_fan.py: the picture of docs/losses.md, and the numbers that it shows."""

import re

import numpy as np
import pytest

from tests.processes import ROOT
from tools import quantile_fan

pytestmark = pytest.mark.compiled


def test_the_picture_is_drawn_from_quantiles_that_hold_their_share_and_do_not_cross(tmp_path):
    theta = quantile_fan.fitted()
    x, y = quantile_fan.wave()
    quantiles = quantile_fan.NETWORK.forward(theta, quantile_fan.inputs(x))
    shares = (y < quantiles).mean(axis=1)
    np.testing.assert_allclose(shares, quantile_fan.LEVELS, atol=0.02)
    assert (np.diff(quantiles, axis=0) > 0).all()
    for name in ("fan.svg", "again.svg", "fan.png"):
        quantile_fan.draw(theta, tmp_path / name)
    drawn = (tmp_path / "fan.svg").read_bytes()
    assert (tmp_path / "again.svg").read_bytes() == drawn
    assert b"25 % to 75 %" in drawn


def test_the_page_trains_the_network_of_the_picture():
    page = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
    assert f"](../{quantile_fan.PICTURE.name})" not in page
    assert f"]({quantile_fan.PICTURE.name})" in page
    assert quantile_fan.PICTURE.is_file()
    levels = re.search(r">>> levels = (\[.*\])", page)
    assert levels
    assert levels[1] == str(list(quantile_fan.LEVELS))
    sizes = re.search(r">>> fan = Network\((\(.*?\))", page)
    assert sizes
    assert sizes[1] == str(quantile_fan.NETWORK.sizes)
