"""The gate can fail, and pass: it judges commits of a clone of this project.

asv makes its environment once for both tests, which takes a minute or two.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repositories import committed, copy_of_project, git
from tools import asv_runs

pytestmark = [pytest.mark.compiled, pytest.mark.proof]

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


class Breaks(Steady):
    def time_breaks(self):
        from engine.equations import activations

        if hasattr(activations, "marker_of_the_test"):
            raise RuntimeError("since this commit")
"""
NARROW = [
    *("--bench", r"^equations\..*'tanh', '(numpy|loops)'\)$"),
    *("--bench", r"^equations\.(New|Broken|Breaks)"),
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
    assert any(line.startswith("| **fails** | equations.Breaks.time_breaks |") for line in rows)
    assert "- equations.Breaks.time_breaks, fails: `RuntimeError: since this commit`" in table
    assert "- equations.Broken.time_broken, fails on both: `RuntimeError: on purpose`" in table
    assert not any("**slower**" in line and "numpy" in line for line in rows)


def test_a_change_that_slows_nothing_down_passes_as_a_pull_request_has_it(clone):
    changed(
        clone, "comment", {"engine/equations/activations.py": lambda text: text + "# The end.\n"}
    )
    # No branch but origin's, and HEAD on none.
    git(clone, "update-ref", "refs/remotes/origin/main", "main")
    git(clone, "switch", "--quiet", "--detach")
    git(clone, "branch", "--delete", "--force", "main")
    status, printed = run_gate(clone)
    assert status == 0, printed
    assert "none of 2 benchmarks slower by 1.3 or more" in printed


@pytest.fixture(autouse=True, scope="module")
def _no_trace():
    """Nothing of these tests is left in the project's own folder of asv."""
    before = Path(asv_runs.FOLDER).exists()
    yield
    assert Path(asv_runs.FOLDER).exists() == before
