"""tools/search_picture.py: a search by halving and its picture."""

import pytest

from tools import search_picture

pytestmark = pytest.mark.compiled


def test_the_picture_is_drawn_from_a_search_by_halving_with_the_same_bytes(tmp_path):
    results = search_picture.found(n_rows=150)
    assert list(dict.fromkeys(results["n_resources"])) == [3, 9, 27]
    assert (results["iter"] == 0).sum() == 20
    for name in ("search.svg", "again.svg", "search.png"):
        search_picture.draw(results, tmp_path / name)
    drawn = (tmp_path / "search.svg").read_bytes()
    assert (tmp_path / "again.svg").read_bytes() == drawn
    assert b"round 3" in drawn
    assert b"learning_rate_init" in drawn
    assert search_picture.PICTURE.is_file()
