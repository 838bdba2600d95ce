"""docs/performance.md: every table stands there, under the command that made it."""

import importlib.util

import pytest

from tests.processes import ROOT

spec = importlib.util.spec_from_file_location("page", ROOT / "tools" / "performance_page.py")
assert spec is not None
assert spec.loader is not None
page = importlib.util.module_from_spec(spec)
spec.loader.exec_module(page)

TEXT = page.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", page.COMMANDS)
def test_the_page_shows_what_the_command_printed(name):
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    lines = TEXT[TEXT.index(begin) : TEXT.index(end)].splitlines()
    assert lines[1:3] == ["```text", page.COMMANDS[name]]
    assert len(lines) > 10  # a header and a table
    assert lines[-1] == "```"


def test_a_table_takes_the_place_of_the_one_before_and_of_nothing_else():
    before = "a <!-- x -->\nold\n<!-- end of x --> b <!-- y --><!-- end of y -->"
    after = page.filled(before, "x", "new \\1")
    assert after == before.replace("\nold\n", "\n```text\nnew \\1\n```\n")


def test_a_page_without_a_place_for_the_table_is_refused():
    with pytest.raises(SystemExit, match="has no place for x"):
        page.filled("<!-- x --> but no end", "x", "new")


def test_an_unknown_table_is_refused():
    with pytest.raises(SystemExit, match="no table is called 'speed'"):
        page.main(["speed"])
