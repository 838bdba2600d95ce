"""docs/scale.md shows what `make scale` measured, and its model is the one that it describes."""

import json

import numpy as np
import pytest

from tools import scale_page
from tools.scale_page import Model, fitted, n_gradients, predicted

pytestmark = pytest.mark.compiled


def test_the_page_shows_the_kept_figures(tmp_path, monkeypatch):
    found = json.loads(scale_page.FIGURES.read_text(encoding="utf-8"))
    page = tmp_path / "scale.md"
    page.write_text(scale_page.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    before = page.read_text(encoding="utf-8")
    monkeypatch.setattr(scale_page, "PAGE", page)
    scale_page.write(found)
    assert page.read_text(encoding="utf-8") == before
    found["scaling"]["seconds"]["2 workers"]["median"] *= 2
    scale_page.write(found)
    assert page.read_text(encoding="utf-8") != before


def test_the_gradients_that_come_back_are_those_of_chunks_that_no_worker_may_add_up():
    assert [n_gradients(64 * 1024, n) for n in (1, 2, 64, 1000)] == [1, 33, 64, 64]
    assert n_gradients(3000, 2) == 2


def test_more_workers_than_chunks_are_of_no_use():
    model = Model(0.001, 0.0, 1e-9)
    times = [predicted(model, 1e10, 10**6, (100, 100, 1), n) for n in (1, 2, 62, 64, 1000)]
    assert times[0] > times[1] > times[2] == times[3] == times[4]


def test_the_model_finds_the_numbers_that_made_its_measurements():
    model = Model(0.002, 0.0005, 1e-9)
    found = {
        "latencies": {str(n): model.latency + n * model.a_worker for n in (1, 2, 4)},
        "overheads": [
            {
                "gradients": 33,
                "n_parameters": p,
                "more": model.latency + 2 * model.a_worker + 33 * p * 8 * model.a_byte,
            }
            for p in (353, 10_201, 400_801)
        ],
    }
    np.testing.assert_allclose(fitted(found), model, rtol=1e-6)
