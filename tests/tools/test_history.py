"""tools/history.py: which commits are measured, and what is said where that cannot be."""

import functools
import os
import subprocess

import pytest

from tests.processes import ROOT, output
from tests.repositories import committed, git
from tools import asv_runs, history

pytestmark = pytest.mark.compiled

CHOSEN = history.chosen(history.COMMITS.read_text(encoding="utf-8"))


def whole_clone() -> bool:
    try:
        asv_runs.require_history()
    except asv_runs.CannotRun:
        return False
    return True


@pytest.mark.skipif(not whole_clone(), reason="needs the project's history")
def test_the_chosen_commits_are_of_main_s_own_line_oldest_first():
    # asv draws main's first parents alone.
    line = asv_runs.git("rev-list", "--first-parent", "--reverse", asv_runs.MAIN).split()
    places = [line.index(asv_runs.commit(name)) for name in CHOSEN]
    assert places == sorted(places)
    assert places[0] == 0


def test_about_a_dozen_commits_are_chosen_each_for_a_reason():
    assert 10 <= len(CHOSEN) <= 20
    assert all(len(why.split()) >= 1 for why in CHOSEN.values())
    assert len(set(CHOSEN.values())) == len(CHOSEN)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of two commits in place of this one, and what asv is asked to do."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    hashes = [committed(folder, subject) for subject in ("one", "two")]
    listed = tmp_path / "commits.txt"
    listed.write_text(f"# chosen\n\n{hashes[0][:9]} the first\n{hashes[1][:9]} the second\n")
    (tmp_path / ".asv").mkdir()
    monkeypatch.setattr(asv_runs, "FOLDER", tmp_path / ".asv")
    monkeypatch.setattr(history, "COMMITS", listed)
    for name in ("require_history", "commit"):
        there = functools.partial(getattr(asv_runs, name), root=folder)
        monkeypatch.setattr(history, name, there)
    return folder


@pytest.fixture
def asked(repository, tmp_path, monkeypatch):
    """The calls of asv: its arguments, and the hashes in its file."""
    calls = []

    def asv(arguments, config):
        text = (tmp_path / ".asv" / "hashes.txt").read_text(encoding="utf-8")
        calls.append((arguments[:-1], text.split()))
        assert arguments[-1] == f"HASHFILE:{tmp_path / '.asv' / 'hashes.txt'}"
        return 0

    monkeypatch.setattr(asv_runs, "asv", asv)
    return calls


def test_chosen_commits_that_have_results_are_not_measured_again(repository, asked):
    assert history.main([]) == 0
    hashes = git(repository, "rev-list", "--reverse", "main").split()
    assert asked == [(["run", "--machine", "reference", "--skip-existing-successful"], hashes)]
    assert (asv_runs.FOLDER / "home" / ".asv-machine.json").exists()


def test_commits_and_benchmarks_that_are_named_are_measured_anew(repository, asked):
    assert history.main(["main~1", "--machine", "m", "--bench", "training"]) == 0
    assert asked == [
        (
            ["run", "--machine", "m", "--bench", "training"],
            [git(repository, "rev-parse", "main~1")],
        )
    ]


def test_an_unknown_commit_is_a_message_and_nothing_is_measured(repository, asked, capsys):
    assert asv_runs.told(history.main, ["main", "abc123"]) == 3
    assert "no commit 'abc123' in this clone" in capsys.readouterr().err
    assert asked == []


def test_a_clone_without_main_is_a_message(repository, asked, capsys):
    git(repository, "branch", "--move", "main", "trunk")
    assert asv_runs.told(history.main, []) == 3
    assert "git branch main origin/main" in capsys.readouterr().err
    assert asked == []


def test_a_shallow_clone_is_a_message(repository, asked, tmp_path, monkeypatch, capsys):
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository}", str(shallow))
    there = functools.partial(asv_runs.require_history, root=shallow)
    monkeypatch.setattr(history, "require_history", there)
    assert asv_runs.told(history.main, []) == 3
    assert "git fetch --unshallow" in capsys.readouterr().err
    assert asked == []


@pytest.mark.parametrize(("asv_ends", "status"), [(0, 0), (2, 2), (1, 3)])
def test_a_benchmark_that_fails_and_an_asv_that_does_not_run_have_a_status_each(
    asv_ends, status, repository, monkeypatch, capsys
):
    monkeypatch.setattr(asv_runs, "asv", lambda arguments, config: asv_ends)
    assert asv_runs.told(history.main, []) == status
    assert ("asv ended with status" in capsys.readouterr().err) == (status == 3)


def test_make_history_is_that_command():
    if os.name == "nt":
        pytest.skip("needs make")
    done = subprocess.run(
        ["make", "--dry-run", "history"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "python -m tools.history" in done.stdout
    assert "usage: python -m tools.history" in output("-m", "tools.history", "--help")
