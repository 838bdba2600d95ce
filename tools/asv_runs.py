"""How the project runs asv: on a clone with its history, by a machine's name, out of users' way.

asv keeps what it knows of machines in the user's home. Here its home is a folder of the clone, and
nothing outside the clone is written; git and pip still find the user's settings.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from engine.comparison.machine import processor_name

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".asv"
CONFIG = ROOT / "asv.conf.json"
RESULTS = ROOT / "benchmarks" / "results"
REPORT_FIGURES = "compare.json"  # among the results: those of `engine compare report`
MAIN = "main"

FAILED_BENCHMARK = 2  # asv's exit status where it ran, and a benchmark failed
# Exit statuses of the project's own commands; below them, each has its own.
CANNOT_RUN, BROKEN = 3, 4


class CannotRun(Exception):
    """What stands in the way, in words for whoever typed the command."""


class Arguments(argparse.ArgumentParser):
    """The arguments of a command, whose docstring is its help.

    A wrong argument is one more reason why it cannot run: argparse's own status for it is 2, which
    says here that a benchmark failed.
    """

    def __init__(self, command: str, description: str | None) -> None:
        super().__init__(
            prog=f"python -m tools.{command}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        raise CannotRun(f"{message}. What there is: {self.prog} --help.")


def git(*arguments: str, root: Path = ROOT) -> str:
    """What git prints.

    Raises CannotRun with git's own words.
    """
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CannotRun(f"git {' '.join(arguments)}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def require_whole_clone(root: Path = ROOT) -> None:
    """Refuse what would make asv lose commits without a word: no clone, or a shallow one."""
    try:
        shallow = git("rev-parse", "--is-shallow-repository", root=root)
    except CannotRun as error:
        raise CannotRun(
            f"{root} is not a clone that git can read ({error}). Benchmarks compare commits: take "
            "them from a git clone; where it belongs to somebody else, tell git that it is safe: "
            f"git config --global --add safe.directory {root}"
        ) from error
    if shallow == "true":
        raise CannotRun(
            "this clone is shallow: commits before its first are unknown. Fetch them with "
            "`git fetch --unshallow`; in GitHub Actions, pass `fetch-depth: 0` to actions/checkout."
        )


def require_history(root: Path = ROOT) -> None:
    """Refuse a clone without all commits of a local branch main, which asv's pages follow."""
    require_whole_clone(root)
    if not exists(MAIN, root):
        raise CannotRun(
            f"there is no local branch {MAIN}, whose commits the benchmarks follow. Make it with "
            f"`git branch {MAIN} origin/{MAIN}`."
        )


def exists(name: str, root: Path = ROOT) -> bool:
    """Whether there is a commit of that name."""
    try:
        git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", root=root)
    except CannotRun:
        return False
    return True


def commit(name: str, root: Path = ROOT) -> str:
    """The whole hash of a commit, by any of its names."""
    if not exists(name, root):
        raise CannotRun(
            f"there is no commit {name!r} in this clone. Look at `git log {MAIN}`, or fetch: "
            "git fetch origin."
        )
    return git("rev-parse", "--verify", f"{name}^{{commit}}", root=root)


def asv(arguments: list[str], config: Path = CONFIG, log: Path | None = None) -> int:
    """Run asv; its exit status. With `log`, what it prints goes there as well."""
    # Unbuffered, so that whoever waits sees how far it is.
    command = [sys.executable, "-u", "-m", "asv", *arguments, "--config", str(config)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    kept = [] if log is None else [log.open("w", encoding="utf-8")]
    with process:
        for line in process.stdout:
            for stream in (sys.stdout, *kept):
                stream.write(line)
                stream.flush()
    for file in kept:
        file.close()
    return process.returncode


def run(arguments: list[str], config: Path = CONFIG) -> int:
    """Measure by `asv run`; its status: 0, or FAILED_BENCHMARK.

    Raises CannotRun if asv ends otherwise.
    """
    status = asv(["run", *arguments], config)
    if status not in (0, FAILED_BENCHMARK):
        raise CannotRun(f"asv ended with status {status}; what it said stands above.")
    return status


def these(commits: list[str]) -> str:
    """Those commits, as asv takes them: by a file."""
    FOLDER.mkdir(exist_ok=True)
    listed = FOLDER / "hashes.txt"
    listed.write_text("".join(f"{one}\n" for one in commits), encoding="utf-8")
    return f"HASHFILE:{listed}"


def environment() -> dict[str, str]:
    """The environment of asv: a home of its own, and the user's settings of git and pip."""
    home = FOLDER / "home"
    home.mkdir(parents=True, exist_ok=True)
    users = Path.home()
    settings = {
        "GIT_CONFIG_GLOBAL": users / ".gitconfig",
        "PIP_CONFIG_FILE": users / ".config" / "pip" / "pip.conf",
    }
    found = {name: str(path) for name, path in settings.items() if path.exists()}
    cache = {"PIP_CACHE_DIR": str(users / ".cache" / "pip")}
    return {**found, **cache, **os.environ, "HOME": str(home)}


def describe_machine(name: str) -> None:
    """Tell asv of this machine: by that name, without what changes from one boot to the next.

    asv draws a line of its own for each processor and system. The kernel's version would begin a
    new line after each update, so it is left out.
    """
    about = {
        "machine": name,
        "os": platform.system(),
        "arch": platform.machine(),
        "cpu": processor_name(),
        "num_cpu": str(os.cpu_count()),
        "ram": "",
    }
    environment()  # makes the folder
    path = FOLDER / "home" / ".asv-machine.json"
    path.write_text(json.dumps({"version": 1, name: about}, indent=4), encoding="utf-8")


def derived_config(name: str, **changes: Any) -> Path:
    """asv.conf.json with other settings, such as a folder of results, under .asv/."""
    from asv.util import load_json

    settings = load_json(str(CONFIG), js_comments=True)
    for key in ("repo", "benchmark_dir", "env_dir", "results_dir", "html_dir"):
        settings[key] = str(ROOT / settings[key])
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.conf.json"
    path.write_text(json.dumps({**settings, **changes}, indent=4), encoding="utf-8")
    return path


def told(main: Any, arguments: list[str]) -> int:
    """Run a command's `main`; what stands in its way goes to standard error, with status 3.

    Any other error is told as Python tells it, but with status 4: Python's own is 1, which a
    command may mean something by.
    """
    try:
        status: int = main(arguments)
    except CannotRun as error:
        print(f"error: {error}", file=sys.stderr)
        return CANNOT_RUN
    except Exception:
        traceback.print_exc()
        return BROKEN
    return status
