"""Git repositories for tests: empty commits, and this project's files as a new repository."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ROOT


def git(folder: Any, *arguments: str) -> str:
    """Run git there, as somebody with a name; what it prints."""
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def committed(folder: Any, subject: str) -> str:
    """Commit what is staged, if anything is; the hash."""
    git(folder, "commit", "--quiet", "--allow-empty", "-m", subject)
    return git(folder, "rev-parse", "HEAD")


def copy_of_project(folder: Path) -> Path:
    """This project's files, but for kept results, staged in a new repository without commits."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the project's files are not in a git clone")
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("benchmarks/results/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    return folder
