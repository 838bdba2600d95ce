"""tests/grid_sample.py: which cases of a large grid an everyday run takes."""

import itertools
import re
from collections import Counter
from typing import NamedTuple

import pytest

from tests import grid_sample
from tests.processes import run

GRID = list(itertools.product("abcdef", range(5), (True, False)))
AT_MOST = 12


class Shape(NamedTuple):
    """A parameter with fields."""

    depth: int
    width: int


class Items:
    """Collected items of a parametrised function, as far as the sample looks at them."""

    class Item:
        def __init__(self, nodeid, params=None, marks=()):
            self.nodeid, self.marks = nodeid, marks
            if params is not None:
                self.nodeid = f"{nodeid}[{'-'.join(map(str, params.values()))}]"
                self.callspec = type("CallSpec", (), {"params": params})()
                self.callspec.id = "-".join(map(str, params.values()))

        def iter_markers(self, name):
            assert name == "sample"
            return iter(self.marks)

    @classmethod
    def of(cls, function, cases, marks=()):
        return [cls.Item(function, dict(zip("xyz", case)), marks) for case in cases]


def cases_of(grid):
    return {str(case): {(k, value) for k, value in enumerate(case)} for case in grid}


def test_a_sample_takes_each_value_of_each_parameter():
    kept = grid_sample.sample(cases_of(GRID), AT_MOST)
    assert len(kept) == AT_MOST
    taken = [case for case in GRID if str(case) in kept]
    for values, of_grid in zip(zip(*taken), zip(*GRID)):
        assert set(values) == set(of_grid)


def test_a_sample_does_not_depend_on_the_order_of_the_grid():
    kept = grid_sample.sample(cases_of(GRID), AT_MOST)
    assert grid_sample.sample(cases_of(GRID[::-1]), AT_MOST) == kept
    assert grid_sample.sample(cases_of(sorted(GRID, key=str)), AT_MOST) == kept


def test_a_sample_is_the_same_on_each_machine():
    """Fixed here, since Python's own hash of a text changes from process to process."""
    kept = grid_sample.sample(cases_of(GRID), 3)
    assert kept == {"('b', 3, False)", "('c', 2, True)", "('d', 4, True)"}


def test_fields_of_a_named_tuple_count_as_parameters():
    found = grid_sample.values_of({"shape": Shape(2, 5), "backend": "loops", "pair": (1, 2)})
    assert found == {
        ("shape.depth", "2"),
        ("shape.width", "5"),
        ("backend", "'loops'"),
        ("pair", "(1, 2)"),
    }


def test_small_grids_and_tests_without_parameters_are_whole():
    small = Items.of("t.py::test_small", GRID[:AT_MOST])
    large = Items.of("t.py::test_large", GRID)
    items = [*small, Items.Item("t.py::test_alone"), *large]
    kept, left_out = grid_sample.split(items, AT_MOST)
    names = Counter(item.nodeid.partition("[")[0] for item in kept)
    assert names == {
        "t.py::test_small": AT_MOST,
        "t.py::test_alone": 1,
        "t.py::test_large": AT_MOST,
    }
    assert set(left_out) == set(items) - set(kept)
    assert [item for item in items if item in kept] == kept


def test_a_test_whose_cases_take_long_has_a_sample_of_its_own():
    for n, n_kept in ((5, 5), (AT_MOST + 1, AT_MOST)):
        items = Items.of("t.py::test_it", GRID, [pytest.mark.sample(n).mark])
        assert len(grid_sample.split(items, AT_MOST)[0]) == n_kept
        assert grid_sample.split(items, None) == (items, [])


def test_functions_of_one_name_in_two_files_are_two_grids():
    items = Items.of("a.py::test_it", GRID) + Items.of("b.py::test_it", GRID)
    kept, _ = grid_sample.split(items, AT_MOST)
    assert len(kept) == 2 * AT_MOST


def test_the_environment_says_how_many():
    assert grid_sample.size_of_sample({}) == grid_sample.AT_MOST
    assert grid_sample.size_of_sample({"ENGINE_TEST_GRID": "7"}) == 7
    assert grid_sample.size_of_sample({"ENGINE_TEST_GRID": "full"}) is None
    for wrong in ("all", "0", "-1", ""):
        with pytest.raises(ValueError, match="ENGINE_TEST_GRID must be 'full' or a whole number"):
            grid_sample.size_of_sample({"ENGINE_TEST_GRID": wrong})


@pytest.mark.sample(1)
@pytest.mark.compiled
@pytest.mark.parametrize(("size", "n_run"), [("10", 10), ("full", 60)])
def test_pytest_runs_the_sample_or_the_whole_grid(tmp_path, size, n_run):
    hook = "from tests.conftest import pytest_collection_modifyitems\n"
    (tmp_path / "conftest.py").write_text(hook)
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('x', range(6))\n"
        "@pytest.mark.parametrize('y', range(10))\n"
        "def test_it(x, y): pass\n"
    )
    done = run("-m", "pytest", tmp_path, cwd=tmp_path, env={"ENGINE_TEST_GRID": size})
    assert re.search(rf"\b{n_run} passed\b", done.stdout), done.stdout
    assert (f"{60 - n_run} deselected" in done.stdout) == (n_run < 60)
