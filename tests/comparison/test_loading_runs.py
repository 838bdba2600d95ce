"""`engine compare loading`: each process gives one and the same answer, and is timed in turns."""

import re

import pytest

from engine.comparison import startup_and_memory_tables, startup_timings
from tests.comparison.test_comparison import page

pytestmark = [pytest.mark.compiled, pytest.mark.proof]


def test_every_process_is_compared_with_scikit_learns():
    found = startup_timings.measure_loading(rounds=1, n_threads=1)
    entries = found["entries"]
    assert entries[startup_timings.SKLEARN]["in_sklearns"] == (1.0, 1.0, 1.0)
    first = entries[startup_timings.FIRST]["in_sklearns"][0]
    assert first < 0.6  # a tenth; half leaves room for a machine that is busy
    assert entries[startup_timings.FIRST + startup_timings.EMPTY]["in_sklearns"][0] < 0.6
    text = page(startup_and_memory_tables.show_loading, "c", found)
    assert "(lower is better)" in text
    assert re.search(r"^ scikit-learn, pickle .* 1.00 *$", text, flags=re.MULTILINE)


def test_another_answer_is_no_measurement():
    answers = {
        startup_timings.BARE: "",
        startup_timings.SKLEARN: "[0.25, 0.75]",
        "x": "[0.25, 0.75]",
    }
    startup_timings.require_one_answer(answers)
    with pytest.raises(ValueError, match=r"x gives \[0\.3, 0\.7\], and scikit-learn"):
        startup_timings.require_one_answer({**answers, "x": "[0.3, 0.7]"})


def test_a_process_that_fails_is_no_measurement():
    with pytest.raises(ValueError, match=r"a fresh process that was timed failed: .*no_such"):
        startup_timings.answer_of("import no_such_module", {})
