"""The regression gate: which commits it compares, what it says of them, and that it can fail."""

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repositories import committed, copy_of_project, git
from tools import asv_runs, gate
from tools.gate_table import (
    FAILED,
    FASTER,
    GONE,
    NEW,
    NOT_CONFIRMED,
    SAME,
    SLOWER,
    Comparison,
    compare,
    markdown,
)

NO_SAMPLES = (None, None)


# Which commits.


@pytest.fixture
def repository(tmp_path):
    """A repository with three empty commits on main."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    for subject in ("one", "two", "three"):
        committed(folder, subject)
    return folder


def test_a_branch_is_compared_with_the_commit_where_it_left_main(repository):
    left_at = git(repository, "rev-parse", "main")
    git(repository, "switch", "--quiet", "--create", "work")
    committed(repository, "work")
    head = committed(repository, "more work")
    git(repository, "switch", "--quiet", "main")
    committed(repository, "main goes on")
    assert gate.base_of(head, repository) == left_at


def test_a_commit_of_main_is_compared_with_the_one_before(repository):
    head = git(repository, "rev-parse", "main")
    assert gate.base_of(head, repository) == git(repository, "rev-parse", "main~1")


def test_where_main_was_pulled_later_than_origin_s_the_branch_left_origin_s(repository, tmp_path):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    left_at = git(clone, "rev-parse", "origin/main")
    head = committed(clone, "on the clone's main")
    assert gate.base_of(head, clone) == left_at


def test_the_first_commit_has_nothing_to_be_compared_with(repository):
    first = git(repository, "rev-list", "--max-parents=0", "main")
    with pytest.raises(asv_runs.CannotRun, match=r"no commit before it: pass --base"):
        gate.base_of(first, repository)


def test_a_shallow_clone_is_refused_with_the_remedy(repository, tmp_path):
    clone = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository}", str(clone))
    with pytest.raises(asv_runs.CannotRun, match=r"shallow.*git fetch --unshallow.*fetch-depth: 0"):
        asv_runs.require_history(clone)


def test_a_clone_without_main_is_refused_with_the_remedy(repository):
    git(repository, "branch", "--move", "main", "trunk")
    with pytest.raises(asv_runs.CannotRun, match="git branch main origin/main"):
        asv_runs.require_history(repository)


def test_a_folder_that_is_no_clone_is_refused(tmp_path):
    with pytest.raises(asv_runs.CannotRun, match=r"not a clone.*safe\.directory"):
        asv_runs.require_history(tmp_path)


def test_an_unknown_commit_is_refused_by_its_name(repository):
    with pytest.raises(asv_runs.CannotRun, match="no commit 'abc123'"):
        asv_runs.commit("abc123", repository)


def test_a_whole_history_is_accepted(repository):
    asv_runs.require_history(repository)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--base", "HEAD"], "nothing to compare"),
        (["--base", "nonsense"], "no commit 'nonsense'"),
        (["--factor", "0.9"], "must be above 1"),
    ],
)
def test_what_cannot_be_compared_ends_with_status_3_and_a_message(
    arguments, message, repository, monkeypatch, capsys
):
    for module in (asv_runs, gate):
        monkeypatch.setattr(module, "ROOT", repository)
    monkeypatch.setattr(gate, "require_history", lambda: None)
    monkeypatch.setattr(gate, "commit", lambda name: asv_runs.commit(name, repository))
    assert asv_runs.told(gate.main, arguments) == 3
    assert message in capsys.readouterr().err


# What it says.


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (1.0, 1.0, SAME),
        (1.0, 1.29, SAME),
        (1.0, 1.31, SLOWER),
        (1.31, 1.0, FASTER),
        (math.nan, 1.0, NEW),
        (None, 1.0, NEW),
        (1.0, math.nan, GONE),
        (1.0, None, FAILED),
        (math.nan, None, FAILED),
        (math.nan, math.nan, GONE),
    ],
)
def test_a_verdict_goes_by_the_ratio_and_by_what_is_missing(before, now, verdict):
    found = compare("b", "seconds", (before, NO_SAMPLES), (now, NO_SAMPLES), 1.3)
    assert found.verdict == verdict


def test_a_slow_down_within_the_samples_spread_is_none():
    wide = [1.0, 2.0, 1.2, 1.9, 1.1]
    stats = {"ci_99_a": 0.9, "ci_99_b": 2.1, "q_25": 1.0, "q_75": 2.0, "repeat": 5, "number": 1}
    before, now = (1.2, (stats, wide)), (1.7, (stats, wide[::-1]))
    assert compare("b", "seconds", before, now, 1.3).verdict == SAME


def test_a_slow_down_counts_only_if_it_is_there_again():
    one = Comparison("b", "seconds", 1.0, 2.0, SLOWER)
    assert one.confirmed_by(one).verdict == SLOWER
    assert one.confirmed_by(Comparison("b", "seconds", 1.0, 1.1, SAME)).verdict == NOT_CONFIRMED
    assert one.confirmed_by(None).verdict == NOT_CONFIRMED


def test_what_is_not_slower_needs_no_second_measurement():
    failed = Comparison("b", "seconds", 1.0, None, FAILED)
    assert failed.confirmed_by(None) is failed


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ([SAME, FASTER, NEW, GONE, NOT_CONFIRMED], 0),
        ([SAME, FAILED], 2),
        ([SAME, FAILED, SLOWER], 1),
    ],
)
def test_the_status_is_that_of_the_worst(verdicts, status):
    found = [Comparison(f"b{at}", "seconds", 1.0, 1.0, one) for at, one in enumerate(verdicts)]
    assert gate.status(found) == status


def test_the_table_says_which_way_the_ratio_goes_and_names_what_counts():
    found = [
        Comparison("training.time", "seconds", 1.0, 2.0, SLOWER),
        Comparison("fits.time", "seconds", 1.0, None, FAILED),
        Comparison("memory.peak", "bytes", 1e6, 1e6, SAME),
    ]
    table = markdown(found, "a" * 40, "b" * 40, 1.3)
    first = table.splitlines()[0]
    assert first.endswith("1 of 3 benchmarks slower by 1.3 or more, 1 fail")
    assert "now / before (above 1: slower)" in table
    assert "| **slower** | training.time | 1.00±0s | 2.00±0s | 2.00 |".replace("±0", "") in table
    assert "| **fails** | fits.time |" in table
    assert "| failed |" in table


# That it can fail: a clone of this project, with a slow-down in a kernel.

SLOW = (
    "        for i in range(m):\n"
    "            for j in range(n_out):\n"
    "                A[j, i] = g(unit, Z[j, i])\n",
    "        for _ in range(5):\n"
    "            for i in range(m):\n"
    "                for j in range(n_out):\n"
    "                    A[j, i] = g(unit, Z[j, i])\n",
)
# Benchmarks of what the commit before does not have, and of what does not work.
ADDED = """
from benchmarks.layer_equations import function


class New(Steady):
    def setup(self):
        self.marker = function("activations", "marker", "of_the_test")

    def time_new(self):
        for _ in range(1000):
            self.marker()


class Broken(Steady):
    def time_broken(self):
        raise RuntimeError("on purpose")
"""
NARROW = [
    *("--bench", r"^equations\..*'tanh', '(numpy|loops)'\)$"),
    *("--bench", r"^equations\.(New|Broken)"),
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """This project's files as a repository of its own: one commit on main."""
    if sys.platform != "linux" or shutil.which("python3.11") is None:
        pytest.skip("asv's environments are of Python 3.11, and made on Linux here")
    folder = copy_of_project(tmp_path_factory.mktemp("gate") / "project")
    committed(folder, "the project as it is")
    return folder


def changed(clone, branch, changes):
    """A commit on a new branch off main, with other text in some files."""
    git(clone, "switch", "--quiet", "--create", branch, "main")
    for name, change in changes.items():
        path = clone / name
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    git(clone, "add", "--all")
    return committed(clone, branch)


def slowed(text):
    assert text.count(SLOW[0]) == 1
    return text.replace(*SLOW) + "\n\ndef marker_of_the_test():\n    return 0\n"


def run_gate(clone, *arguments):
    """The gate on the clone's HEAD: status and what it prints."""
    kept = ("PATH", "HOME", "LANG", "SYSTEMROOT", "TEMP", "TMP")
    environment = {
        name: value for name, value in os.environ.items() if name in kept or "PIP" in name
    }
    done = subprocess.run(
        [sys.executable, "-m", "tools.gate", *NARROW, *arguments],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.compiled
def test_a_slow_down_fails_and_new_and_broken_benchmarks_do_not_hide_it(clone, tmp_path):
    changed(
        clone,
        "slow",
        {
            "engine/equations/activations.py": slowed,
            "benchmarks/equations.py": lambda text: text + ADDED,
        },
    )
    summary = tmp_path / "summary.md"
    status, printed = run_gate(clone, "--summary", str(summary))
    assert status == 1, printed
    table = summary.read_text(encoding="utf-8")
    assert table.strip() in printed
    rows = [line for line in table.splitlines() if line.startswith("|")]
    slower = [line for line in rows if line.startswith("| **slower** |")]
    assert slower
    assert all("'tanh', 'loops'" in line for line in slower)
    assert any(line.startswith("| new | equations.New.time_new |") for line in rows)
    assert any(line.startswith("| **fails** | equations.Broken.time_broken |") for line in rows)
    assert not any("slower" in line and "numpy" in line for line in rows[1:])


@pytest.mark.compiled
def test_a_change_that_slows_nothing_down_passes(clone):
    changed(
        clone, "comment", {"engine/equations/activations.py": lambda text: text + "# The end.\n"}
    )
    status, printed = run_gate(clone)
    assert status == 0, printed
    assert "none of 2 benchmarks slower by 1.3 or more" in printed


@pytest.fixture(autouse=True, scope="module")
def _no_trace():
    """Nothing of these tests is left in the project's own folder of asv."""
    before = Path(asv_runs.FOLDER).exists()
    yield
    assert Path(asv_runs.FOLDER).exists() == before
