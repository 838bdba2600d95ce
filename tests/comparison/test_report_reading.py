"""Kept figures: what is refused and in which words, and the command that makes their page."""

import json
import re

import pytest

from engine.cli import compare_report
from engine.comparison.report import figures_file, page
from tests.processes import engine
from tests.report_figures import figures, without

pytestmark = pytest.mark.compiled

# Reading.


def spoiled(change):
    whole = json.loads(json.dumps(figures()))
    change(whole)
    return whole


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.clear(), "expected a comparison's figures, with their format"),
        (lambda f: f.update(format=2), "its format is 2; this version of mlp-engine reads 1"),
        (lambda f: f.pop("command"), "command is missing"),
        (lambda f: f["about"].pop("cores"), "about.cores is missing"),
        (lambda f: f.update(rounds="9"), "rounds: expected a whole number; got '9'"),
        (lambda f: f.update(rounds=True), "rounds: expected a whole number; got True"),
        (lambda f: f.update(unequal="none"), "unequal: expected a list; got 'none'"),
        (lambda f: f.update(contenders={}), "contenders: expected at least one"),
        (lambda f: f.update(contenders=[]), "contenders: expected an object"),
        (lambda f: f["training"][0].pop("entries"), "training[0].entries is missing"),
        (lambda f: f["training"].append(3), "training[28]: expected an object; got 3"),
        (
            lambda f: f["training"][0]["entries"]["jax"].update(ratio=[1, 1]),
            "training[0].entries.jax.ratio: expected [median, low, high], three numbers",
        ),
        (
            lambda f: f["training"][0]["entries"]["jax"].update(ratio=[1, 1, float("inf")]),
            "training[0].entries.jax.ratio: expected [median, low, high], three numbers",
        ),
        (
            lambda f: f["training"][0]["entries"]["jax"].update(ratio=[0, 0, 0]),
            "training[0].entries.jax.ratio: expected numbers above 0",
        ),
        (
            lambda f: f["training"][0]["entries"].update(keras={}),
            "training[0]: expected entries of the contenders tiled, ",
        ),
        (
            lambda f: f["sizes"][1].update(problem="large"),
            "sizes[1].problem: expected layer sizes joined by '-'; got 'large'",
        ),
        (
            lambda f: f["curves"][0]["entries"]["jax"]["costs"].pop(),
            "curves[0].entries.jax: epochs, seconds and costs must be equally many",
        ),
        (
            lambda f: f["goals"][0]["entries"]["scipy lm"].update(ratio=[0, 0, 0]),
            "goals[0].entries.scipy lm.ratio: expected numbers above 0",
        ),
        (
            lambda f: f["goals"][0].pop("starts"),
            "goals[0].starts is missing",
        ),
        (
            lambda f: f["threads"][0]["gemm"].update(two=[1, 1, 1]),
            "threads[0]: expected numbers of threads as keys; got 'two'",
        ),
        (
            lambda f: [f.pop(part) for part in figures_file.PARTS],
            "expected at least one of training, sizes, start_up, curves, goals, memory, threads",
        ),
    ],
)
def test_what_is_not_as_agreed_is_said_with_its_place(tmp_path, change, said):
    path = tmp_path / "figures.json"
    path.write_text(json.dumps(spoiled(change)))
    with pytest.raises(ValueError, match=re.escape(said)) as raised:
        figures_file.read(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert figures_file.REMEDY in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"<html>"])
def test_a_file_that_is_no_json_is_said(tmp_path, content):
    path = tmp_path / "figures.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="expected the JSON file of a comparison"):
        figures_file.read(path)


# The command.


@pytest.fixture
def small(tmp_path):
    """A file with one problem and nothing else."""
    whole = without("sizes", "start_up", "curves", "goals", "memory", "threads")
    whole["training"] = whole["training"][:1]
    path = tmp_path / "comparison.json"
    path.write_text(json.dumps(whole))
    return path


def test_the_command_writes_the_page(tmp_path, small):
    done = engine("compare", "page", small.name, "--output", "out.html", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Page: out.html\n"
    assert ">All problems</h2>" in (tmp_path / "out.html").read_text(encoding="utf-8")
    assert {one.name for one in tmp_path.iterdir()} == {small.name, "out.html"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing.json",), "nothing.json: No such file or directory"),
        (("broken.json",), "broken.json: expected the JSON file of a comparison"),
        (
            ("comparison.json", "--output", "none/out.html"),
            "none/out.html: its folder is not there; make it",
        ),
        (("comparison.json", "--output", "."), "is a folder; name a file"),
    ],
)
def test_what_cannot_be_read_or_written_is_one_line_and_no_page(tmp_path, small, arguments, said):
    (tmp_path / "broken.json").write_text("{")
    done = engine("compare", "page", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert re.fullmatch(r"engine: \S.*\n", done.stderr)
    assert said in done.stderr
    assert {one.name for one in tmp_path.iterdir()} == {small.name, "broken.json"}


def test_a_page_that_fails_leaves_the_one_before(tmp_path, small, monkeypatch):
    output = tmp_path / "report.html"
    output.write_text("the page from before")
    monkeypatch.setattr(page, "render", lambda found: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        compare_report.page(small, output, force=True)
    assert output.read_text() == "the page from before"
