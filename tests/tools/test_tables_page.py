"""docs/tables-compared.md, and the short tables elsewhere, show what was measured."""

import json

import pytest

from tests.comparison.test_table_comparison import found, row
from tools import performance_page, tables_page
from tools.asv_runs import CannotRun

NAMES = ("PAGE", "README", "PERFORMANCE")


def copied_pages(folder, monkeypatch):
    """Copies that the tool writes into, by the names of their paths in it."""
    (folder / "docs").mkdir()
    for name in NAMES:
        page = getattr(tables_page, name)
        copy = folder / "docs" / page.name
        copy.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
        monkeypatch.setattr(tables_page, name, copy)


def texts():
    return {name: getattr(tables_page, name).read_text(encoding="utf-8") for name in NAMES}


def between(text, name):
    return text[text.index(f"<!-- {name} -->") : text.index(f"<!-- end of {name} -->")]


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """Copies of the pages, and an empty folder for figures."""
    copied_pages(tmp_path, monkeypatch)
    monkeypatch.setattr(tables_page, "FIGURES", tmp_path / "figures")
    monkeypatch.setattr(performance_page, "FIGURES", tmp_path / "figures")
    (tmp_path / "figures").mkdir()
    return tmp_path


def kept_figures():
    return {
        name: tables_page.read(tables_page.kept(name), name)
        for name in tables_page.COMMANDS
        if tables_page.kept(name).is_file()
    }


def test_the_pages_show_the_kept_figures(tmp_path, monkeypatch):
    figures = kept_figures()
    assert figures
    pictures = {
        name: (tables_page.PAGE.parent / name).read_text(encoding="utf-8")
        for name in tables_page.PICTURES
    }
    copied_pages(tmp_path, monkeypatch)
    before = texts()
    tables_page.write(figures)
    assert texts() == before
    for name, text in pictures.items():
        assert f"({name})" in before["PAGE"]
        names = {one["table"] for one in figures["test"]["tables"]}
        assert "scores" not in name or all(f">{table}<" in text for table in names)
    figures["test"]["tables"][0]["entries"]["engine"] = {"failed": "out of luck"}
    tables_page.write(figures)
    assert "engine failed on" in texts()["PAGE"]
    assert all(before[name] != text for name, text in texts().items())


def test_a_run_that_was_taken_is_kept_and_shown_with_its_losses(pages, monkeypatch):
    monkeypatch.setattr(tables_page, "measured", lambda name: pytest.fail("measured again"))
    rows = [
        row("won", {"engine": 3.0}, engine=1.0, hgb=2.0, lightgbm=3.0, linear=4.0),
        row("lost", {"engine": 3.0}, engine=3.0, hgb=2.0, lightgbm=3.0, linear=4.0),
    ]
    run = pages / "run.json"
    run.write_text(json.dumps({"command": "engine compare tables --json r --force", **found(rows)}))
    assert tables_page.main(["test", "--figures", str(run)]) == 0
    text = texts()["PAGE"]
    results = between(text, "results")
    for part in (
        "2026-01-02, 2 tables (test); other work as it began: 0.2 processes; A Processor",
        "| **engine** | 0.750 | 1.75 |  |  |  | 3.00 |",
        "| LightGBM | 0.417 | 2.75 | 100% | 100% | 0 tables | 1.00 |",
        "- engine is the best of the four that set the scale, or as good, on 1 of 2 tables, and "
        "behind the best on 1.",
        "linear model on 1 table (lost).",
        "- Its fit takes 3.00 times as long as LightGBM's",
        "- The worst losses, in normalised scores: lost (-0.50).",
    ):
        assert part in results, part
    assert "Not the whole run" not in text
    assert "```text\nengine compare tables\nA Processor" in text
    kept = json.loads((pages / "figures" / "tables-test.json").read_text())
    assert kept["command"] == "engine compare tables"
    for name in tables_page.PICTURES:
        assert (pages / "docs" / name).stat().st_size > 1000


def test_the_short_table_has_the_test_tables_and_the_diamonds():
    libraries = {"lightgbm": 3.0, "hgb": 2.0, "linear": 4.0}
    study = row("diamonds", {"engine": 6.0}, engine=[0.13, 0.14], linear="no memory")
    tables = [row(seconds={"engine": 3.0}, engine=1.0, **libraries)]
    block = tables_page.in_short(
        {**found(tables), "command": "t"}, {**found(study=[study]), "command": "d"}
    )
    assert block.splitlines()[2:] == [
        "| **engine** | **1.000** |  | **3.00** | **0.1350** | **6.00** |",
        "| HistGradientBoosting | 0.667 | 100% | 1.00 |  |  |",
        "| LightGBM | 0.333 | 100% | 1.00 |  |  |",
        "| linear model | 0.000 | 100% | 1.00 |  |  |",
        "",
        "1 table: `t`; the diamonds: `d`; A Processor, 1 thread.",
    ]


def test_a_short_table_without_figures_says_so(pages, monkeypatch):
    monkeypatch.setattr(tables_page, "PICTURES", {})
    tables_page.write({"test": {**found([row(engine=1.0, linear=2.0)]), "command": "t"}})
    assert between(texts()["README"], "tables").splitlines()[1:] == [tables_page.NOT_MEASURED]


def test_figures_that_are_not_of_that_part_are_refused_and_nothing_is_written(pages):
    before = texts()
    run = pages / "run.json"
    arguments = ["test", "--figures", str(run)]
    for content, message in (
        ("not JSON", "expected the JSON file of `engine compare tables`"),
        (json.dumps({"command": "c", **found([])}), "has no figures of test"),
        (
            json.dumps({"command": "c", **found([{**row(engine=1.0), "part": "tuning"}])}),
            "has no figures of test, or of other tables as well",
        ),
    ):
        run.write_text(content)
        with pytest.raises(CannotRun, match=message):
            tables_page.main(arguments)
    with pytest.raises(CannotRun, match="no part is called 'speed'"):
        tables_page.main(["speed"])
    with pytest.raises(CannotRun, match="--figures are those of one part"):
        tables_page.main(["--figures", str(run)])
    assert texts() == before
    assert not list((pages / "figures").iterdir())
