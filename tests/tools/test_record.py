"""Results on a branch of their own, beside the code and out of its way."""

import pytest

from tests.repositories import committed, git
from tools import record


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "code.txt").write_text("code")
    git(folder, "add", "--all")
    committed(folder, "code")
    return folder


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    (folder / "ci").mkdir(parents=True)
    (folder / "reference").mkdir()
    for name in ("benchmarks.json", "ci/machine.json", "ci/1.json", "reference/0.json"):
        (folder / name).write_text(name)
    return folder


def on_branch(repository, name=record.BRANCH):
    return git(repository, "ls-tree", "-r", "--name-only", name).splitlines()


def test_results_go_to_a_branch_of_their_own_and_the_code_stays(repository, results, tmp_path):
    branch = record.checked_out(repository, tmp_path / "branch")
    assert record.stored(branch, results, "ci", "f" * 40)
    assert on_branch(repository) == ["benchmarks.json", "ci/1.json", "ci/machine.json"]
    assert git(repository, "log", "-1", "--format=%s", record.BRANCH) == f"results of {'f' * 10}"
    assert git(repository, "status", "--porcelain") == ""
    assert on_branch(repository, "main") == ["code.txt"]


def test_the_next_results_are_added_and_the_same_ones_are_no_commit(repository, results, tmp_path):
    record.stored(record.checked_out(repository, tmp_path / "b"), results, "ci", "1" * 40)
    branch = record.checked_out(repository, tmp_path / "b")
    assert not record.stored(branch, results, "ci", "1" * 40)
    (results / "ci" / "2.json").write_text("2")
    assert record.stored(branch, results, "ci", "2" * 40)
    assert "ci/1.json" in on_branch(repository)
    assert "ci/2.json" in on_branch(repository)
    assert git(repository, "rev-list", "--count", record.BRANCH) == "3"  # and an empty one


def test_a_clone_goes_on_with_what_origin_has(repository, results, tmp_path):
    record.stored(record.checked_out(repository, tmp_path / "b"), results, "ci", "1" * 40)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    branch = record.checked_out(clone, tmp_path / "of-clone")
    assert (branch / "ci" / "1.json").read_text() == "ci/1.json"


def test_kept_and_stored_results_lie_together_and_older_leftovers_go(results, tmp_path):
    other = tmp_path / "branch"
    (other / "ci").mkdir(parents=True)
    (other / ".git").write_text("gitdir: elsewhere")
    (other / "ci" / "2.json").write_text("2")
    into = tmp_path / "together"
    into.mkdir()
    (into / "old.json").write_text("old")
    record.together(into, other, results, tmp_path / "missing")
    names = sorted(str(path.relative_to(into)) for path in into.rglob("*.json"))
    assert names == [
        "benchmarks.json",
        "ci/1.json",
        "ci/2.json",
        "ci/machine.json",
        "reference/0.json",
    ]
    assert not (into / ".git").exists()
