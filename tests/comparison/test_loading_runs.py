"""`engine compare loading`: each process gives one and the same answer, and is timed in turns."""

import re

import pytest

from engine.comparison import fresh_process, loading_runs, process_tables
from tests.comparison.test_comparison import page

pytestmark = [pytest.mark.compiled, pytest.mark.proof]


def test_every_process_is_compared_with_scikit_learns():
    found = loading_runs.measure_all(rounds=1, n_threads=1)
    entries = found["entries"]
    assert entries[loading_runs.SKLEARN]["in_sklearns"] == (1.0, 1.0, 1.0)
    first = entries[loading_runs.FIRST]["in_sklearns"][0]
    assert first < 0.6  # a tenth; half leaves room for a machine that is busy
    assert entries[loading_runs.FIRST + loading_runs.EMPTY]["in_sklearns"][0] < 0.6
    text = page(process_tables.show_loading, "c", found)
    assert "(lower is better)" in text
    assert re.search(r"^ scikit-learn, pickle .* 1.00 *$", text, flags=re.MULTILINE)


def test_another_answer_is_no_measurement():
    answers = {loading_runs.BARE: "", loading_runs.SKLEARN: "[0.25, 0.75]", "x": "[0.25, 0.75]"}
    loading_runs.require_one_answer(answers)
    with pytest.raises(ValueError, match=r"x gives \[0\.3, 0\.7\], and scikit-learn"):
        loading_runs.require_one_answer({**answers, "x": "[0.3, 0.7]"})


def test_a_process_that_fails_is_no_measurement():
    with pytest.raises(ValueError, match=r"a fresh process that was timed failed: .*no_such"):
        fresh_process.answer_of("import no_such_module", {})
