"""Measure HEAD in full, and keep the result on a branch of results beside the code.

    python -m tools.record --machine ci          measure, and commit to the branch asv-results
    python -m tools.record --machine ci --push   and push that branch to origin

The branch holds results alone; results that main keeps are put beside them, and both lie in
.asv/record/results/ afterwards, for `python -m tools.dashboard --results`. Ends with 0, 2 if a
benchmark failed (what was measured is kept), 3 if it could not run.
"""

import shutil
import sys
from pathlib import Path

from tools.asv_runs import (
    FOLDER,
    RESULTS,
    ROOT,
    Arguments,
    commit,
    derived_config,
    describe_machine,
    exists,
    git,
    require_history,
    run,
    told,
)

BRANCH = "asv-results"
WHO = ("-c", "user.name=asv", "-c", "user.email=asv@localhost")


def main(arguments: list[str]) -> int:
    parser = Arguments("record", __doc__)
    parser.add_argument("--machine", default="ci", help="the name that results are kept by")
    parser.add_argument("--push", action="store_true", help="push the branch to origin")
    asked = parser.parse_args(arguments)
    require_history()
    head = commit("HEAD")
    branch = checked_out(ROOT, FOLDER / "record" / "branch")
    results = FOLDER / "record" / "results"
    together(results, branch, RESULTS)
    describe_machine(asked.machine)
    config = derived_config("record", results_dir=str(results))
    status = run(["--machine", asked.machine, "--skip-existing-successful", "HEAD^!"], config)
    stored(branch, results, asked.machine, head)
    if asked.push:
        git("push", "--quiet", "origin", f"HEAD:refs/heads/{BRANCH}", root=branch)
    return status


def checked_out(root: Path, folder: Path) -> Path:
    """The branch of results in a working tree of its own; a new branch where there is none."""
    git("worktree", "prune", root=root)
    if folder.exists():
        git("worktree", "remove", "--force", str(folder), root=root)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for name in (f"origin/{BRANCH}", BRANCH):
        if exists(name, root):
            git("worktree", "add", "--quiet", "-B", BRANCH, str(folder), name, root=root)
            return folder
    empty = git("hash-object", "-t", "tree", "-w", "--stdin", root=root)
    first = git(*WHO, "commit-tree", empty, "-m", "results of benchmarks", root=root)
    git("worktree", "add", "--quiet", "-B", BRANCH, str(folder), first, root=root)
    return folder


def together(results: Path, *folders: Path) -> None:
    """Copies of those results in one folder, from nothing."""
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    for folder in folders:
        if folder.exists():
            unlike_git = shutil.ignore_patterns(".git")
            shutil.copytree(folder, results, dirs_exist_ok=True, ignore=unlike_git)


def stored(branch: Path, results: Path, machine: str, head: str) -> bool:
    """Commit a machine's results to the branch; whether there was anything new."""
    for name in (machine, "benchmarks.json"):
        source = results / name
        if source.is_dir():
            shutil.copytree(source, branch / name, dirs_exist_ok=True)
        else:
            shutil.copy(source, branch / name)
    git("add", "--all", root=branch)
    if not git("status", "--porcelain", root=branch):
        return False
    git(*WHO, "commit", "--quiet", "-m", f"results of {head[:10]}", root=branch)
    return True


if __name__ == "__main__":
    sys.exit(told(main, sys.argv[1:]))
