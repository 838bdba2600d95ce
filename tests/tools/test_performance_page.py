"""docs/performance.md and the README: every table stands there, under what made it."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.comparison.estimator_agreement import KINDS
from engine.comparison.tables import finite
from tests import report_figures
from tools import performance_page as page
from tools import reach_table
from tools.asv_runs import CannotRun


@pytest.mark.parametrize("name", page.COMMANDS)
def test_the_page_shows_what_the_command_printed(name):
    text = page.ELSEWHERE.get(name, page.PAGE).read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    lines = text[text.index(begin) : text.index(end)].splitlines()
    assert lines[1:3] == ["```text", page.COMMANDS[name]]
    assert len(lines) > 10 or lines[3] == "not measured yet"  # a header and a table
    assert lines[-1] == "```"


def test_the_readme_shows_a_row_for_each_data_set_and_the_command_that_measured_it():
    text = page.README.read_text(encoding="utf-8")
    begin, end = "<!-- estimators -->\n", "\n<!-- end of estimators -->"
    lines = text[text.index(begin) + len(begin) : text.index(end)].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:-2]]
    assert [row[0] for row in cells[2:]] == [name.replace("_", " ") for name in KINDS]
    assert {len(row) for row in cells} == {10}
    for row in cells[2:]:
        assert re.fullmatch(r"\d+ x \d+", row[1])
        assert all(re.fullmatch(r"(\*\*|R2 )?[\d.]+(\*\*)?", figure) for figure in row[2:]), row
    assert lines[-1].startswith(f"`{page.COMMANDS['estimators']}`, ")


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """Pages with places for two tables, and a folder for figures."""
    for name, tables in (("PAGE", ("reach", "report", "estimators")), ("README", ("estimators",))):
        path = tmp_path / name
        path.write_text("".join(f"{name} <!-- {it} -->old<!-- end of {it} -->" for it in tables))
        monkeypatch.setattr(page, name, path)
    monkeypatch.setattr(page, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(page, "FIGURES", tmp_path / "figures")
    return tmp_path


def test_what_a_run_printed_and_its_figures_go_where_they_belong(pages, monkeypatch):
    monkeypatch.setattr(page, "measured", lambda name: (f"table of {name}", {"figures": 1}))
    monkeypatch.setattr(page, "summary", lambda figures: f"summary of {figures}")
    monkeypatch.setattr(reach_table, "table", lambda figures: f"reached {figures}")
    assert page.main(["estimators"]) == 0
    figures = {"command": page.COMMANDS["estimators"], "figures": 1}
    block = "<!-- {0} -->\n{1}\n<!-- end of {0} -->"
    text = page.PAGE.read_text()
    assert block.format("estimators", "```text\ntable of estimators\n```") in text
    assert block.format("reach", f"reached { ({'estimators': figures}) }") in text
    assert "<!-- report -->old" in text
    summary = block.format("estimators", "summary of {'figures': 1}")
    assert page.README.read_text() == f"README {summary}"
    assert json.loads((pages / "figures/estimators.json").read_text()) == figures


def test_a_report_that_was_taken_is_printed_anew(pages, monkeypatch):
    monkeypatch.setattr(page, "measured", lambda name: pytest.fail("measured again"))
    monkeypatch.setattr(reach_table, "table", lambda figures: "")
    taken = json.loads(json.dumps(report_figures.figures(command="engine --json run.json")))
    (pages / "run.json").write_text(json.dumps(taken))
    assert page.main(["report", "--report", str(pages / "run.json")]) == 0
    lines = page.PAGE.read_text().splitlines()
    assert lines[lines.index("```text") + 1] == "engine compare report"
    for part in ("Start-up, seconds", "Time to the goal / engine lm's"):
        assert any(part in line for line in lines)
    kept = json.loads((pages / "results/compare.json").read_text())
    assert kept == finite({**taken, "command": "engine compare report"})


def test_figures_that_cannot_be_read_are_refused_and_nothing_is_written(pages):
    (pages / "run.json").write_text("not JSON")
    before = page.PAGE.read_text()
    with pytest.raises(CannotRun, match="expected the JSON file of a comparison"):
        page.main(["report", "--report", str(pages / "run.json")])
    assert page.PAGE.read_text() == before
    assert not (pages / "results").exists()
    assert not (pages / "figures").exists()


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
    with pytest.raises(CannotRun, match="has no place for x"):
        page.filled("<!-- x --> but no end", "x", "new")


def test_an_unknown_table_is_refused():
    with pytest.raises(CannotRun, match="no table is called 'speed'"):
        page.main(["speed"])
