"""tools/fit_with_errors.py: the picture of docs/second-order.md, and the numbers that it shows."""

from pathlib import Path

import numpy as np

from tools import fit_with_errors


def test_errors_are_widest_where_there_are_no_data_and_the_picture_is_there(tmp_path: Path):
    known = fit_with_errors.fitted()
    _, at_data = known.predict(fit_with_errors.inputs(np.array([2.0, 8.0])), return_std=True)
    _, in_gap = known.predict(fit_with_errors.inputs(np.array([5.0])), return_std=True)
    assert in_gap.min() > 2 * at_data.max()
    x, y = fit_with_errors.samples()
    residual = y - known.predict(fit_with_errors.inputs(x))[0]
    assert 0.1 < residual.std() < 0.2  # the noise is 0.15
    fit_with_errors.draw(known, tmp_path / "errors.svg")
    assert (tmp_path / "errors.svg").read_text().count("<path") > 5
    page = (fit_with_errors.PICTURE.parent / "second-order.md").read_text()
    assert f"]({fit_with_errors.PICTURE.name})" in page
    assert fit_with_errors.PICTURE.is_file()
