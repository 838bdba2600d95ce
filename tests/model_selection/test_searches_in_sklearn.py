"""scikit-learn's own tests of its searches pass on ours: only the import changes."""

import re
from functools import cache
from pathlib import Path

import pytest
import sklearn.model_selection

from tests.processes import run

pytestmark = [pytest.mark.proof, pytest.mark.compiled]

TESTS = Path(sklearn.model_selection.__file__).parent / "tests"
SEARCHES = (TESTS / "test_search.py", TESTS / "test_successive_halving.py")
CHOSEN = "cross_validate or cross_val_score or fit_and_score"
VALIDATION = (TESTS / "test_validation.py", "-k", CHOSEN)


@cache
def outcome(*arguments, ours, take_all=False):
    """How many of scikit-learn's tests passed and were skipped, and which way their fits went."""
    plugin = ("-p", "tests.model_selection.sklearn_test_plugin") if ours else ()
    ran = run(
        *("-m", "pytest", "-c", "/dev/null", "-p", "no:cacheprovider", "-q", "-W", "ignore"),
        *(*plugin, *arguments),
        env={"ENGINE_TAKE_ALL": "1" if take_all else None},
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    (numbers,) = re.findall(r"^(\d+ passed.*) in ", ran.stdout, re.MULTILINE)
    calls = re.findall(r"'side by side': (\d+), 'by scikit-learn': (\d+)", ran.stdout)
    return numbers.partition(", ")[0], *(map(int, calls[0]) if calls else ())


@pytest.mark.parametrize("tests", [SEARCHES, VALIDATION], ids=["searches", "validation"])
def test_as_many_of_scikit_learn_s_tests_pass_with_our_names(tests):
    passed, side_by_side, by_scikit_learn = outcome(*tests, ours=True)
    assert passed == outcome(*tests, ours=False)[0]
    assert side_by_side == 0
    assert by_scikit_learn > 200


@pytest.mark.parametrize("tests", [SEARCHES, VALIDATION], ids=["searches", "validation"])
def test_as_many_pass_if_all_their_estimators_are_taken_apart(tests):
    passed, side_by_side, by_scikit_learn = outcome(*tests, ours=True, take_all=True)
    assert passed == outcome(*tests, ours=False)[0]
    assert side_by_side > 200
    assert by_scikit_learn < 50
