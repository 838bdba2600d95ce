"""docs/performance.md and the README: every table stands there, under what made it."""

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.comparison.estimator_data import KINDS
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


def test_the_readme_shows_a_row_for_each_data_set_and_the_command_that_measured_it():
    text = page.README.read_text(encoding="utf-8")
    begin, end = "<!-- estimators -->\n", "\n<!-- end of estimators -->"
    lines = text[text.index(begin) + len(begin) : text.index(end)].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:-2]]
    assert [row[0] for row in cells[2:]] == [name.replace("_", " ") for name in KINDS]
    assert {len(row) for row in cells} == {8}
    for row in cells[2:]:
        assert re.fullmatch(r"\d+ x \d+", row[1])
        assert all(re.fullmatch(r"(\*\*)?[\d.]+(\*\*)?", figure) for figure in row[2:]), row
    assert lines[-1].startswith(f"`{page.COMMANDS['estimators']}`, ")


def test_what_a_run_printed_and_its_figures_go_where_they_belong(tmp_path, monkeypatch):
    for name in ("PAGE", "README"):
        path = tmp_path / name
        path.write_text(f"{name} <!-- estimators -->old<!-- end of estimators -->")
        monkeypatch.setattr(page, name, path)
    monkeypatch.setattr(page, "measured", lambda name: (f"table of {name}", {"figures": 1}))
    monkeypatch.setattr(page, "summary", lambda figures: f"summary of {figures}")
    page.main(["estimators"])
    block = "<!-- estimators -->\n{}\n<!-- end of estimators -->"
    assert page.PAGE.read_text() == "PAGE " + block.format("```text\ntable of estimators\n```")
    assert page.README.read_text() == "README " + block.format("summary of {'figures': 1}")


def test_a_run_s_last_line_which_names_the_file_is_left_out(monkeypatch):
    def run(command, **_):
        assert command[1:4] == ["-m", "engine", "compare"]
        Path(command[command.index("--json") + 1]).write_text('{"rows": []}')
        return SimpleNamespace(stdout="python -m engine\n\na table  \n\nFigures: f.json\n")

    monkeypatch.setattr("subprocess.run", run)
    assert page.measured("startup") == ("engine compare startup\n\na table", {"rows": []})


def test_a_table_takes_the_place_of_the_one_before_and_of_nothing_else():
    before = "a <!-- x -->\nold\n<!-- end of x --> b <!-- y --><!-- end of y -->"
    after = page.filled(before, "x", "new \\1")
    assert after == before.replace("old", "new \\1")


def test_a_page_without_a_place_for_the_table_is_refused():
    with pytest.raises(SystemExit, match="has no place for x"):
        page.filled("<!-- x --> but no end", "x", "new")


def test_an_unknown_table_is_refused():
    with pytest.raises(SystemExit, match="no table is called 'speed'"):
        page.main(["speed"])
