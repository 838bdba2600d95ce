"""How this project runs asv: its command, its machine file, and what the clone has to be for it.

    python tools/asv_runs.py run --quick HEAD^!    asv, with a description of this machine

asv itself reads such a description from one file in the user's home folder, and writes to it. Here
the file is `.asv/machine.json` in the clone, and holds what the results depend on: not the kernel's
version or the free memory, with each of which asv would begin a new line in every graph.
"""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".asv"  # environments, and all else that can be made again
CONFIGURATION = ROOT / "asv.conf.json"
RESULTS = ROOT / "benchmarks" / "results"
MAIN = "main"


class Refusal(Exception):
    """What is missing, and what to do about it: for whoever called the command."""


# This machine.


def processor() -> str:
    """The processor's name: machines of different ones share no graph."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def machine() -> dict[str, str]:
    """asv's description of this machine, its name made of the rest."""
    cores = str(os.cpu_count() or 1)
    words = re.findall(r"[a-z0-9]+", processor().lower())
    return {
        "machine": "-".join([*words, cores, "cores"]),
        "os": platform.system(),
        "arch": platform.machine(),
        "cpu": processor(),
        "num_cpu": cores,
        "ram": "",
    }


def machine_file() -> Path:
    """Write the description where `python tools/asv_runs.py` has asv look for it."""
    about = machine()
    path = FOLDER / "machine.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"version": 1, about["machine"]: about}, indent=4), encoding="utf-8")
    return path


# The clone.


def git(*arguments: str, cwd: Path = ROOT) -> str | None:
    """What git says; None where it refuses."""
    done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def require_history(cwd: Path = ROOT) -> None:
    """Refuse a clone in which asv would find no history, and say nothing."""
    shallow = git("rev-parse", "--is-shallow-repository", cwd=cwd)
    if shallow is None:
        raise Refusal(f"{cwd} is no git clone, and benchmarks run on commits; clone the project.")
    if shallow == "true":
        raise Refusal(
            "this clone is shallow: it lacks the commits that the results belong to. "
            "Run: git fetch --unshallow"
        )
    if git("rev-parse", "--verify", "--quiet", f"refs/heads/{MAIN}", cwd=cwd) is None:
        raise Refusal(
            f"there is no local branch {MAIN!r}, whose history asv shows. "
            f"Run: git branch {MAIN} origin/{MAIN}"
        )


def commit(name: str, cwd: Path = ROOT) -> str:
    """The full hash of a commit."""
    found = git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", cwd=cwd)
    if found is None:
        raise Refusal(f"unknown commit {name!r}; `git log --oneline {MAIN}` lists those there are.")
    return found


def history(cwd: Path = ROOT) -> list[str]:
    """The commits of main that asv draws, oldest first: no commits of merged branches."""
    found = git("rev-list", "--reverse", "--first-parent", MAIN, cwd=cwd)
    return (found or "").split()


# asv.


def configuration(results: Path) -> Path:
    """A copy of asv.conf.json that keeps results elsewhere."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    settings = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    for name in ("repo", "benchmark_dir", "env_dir", "html_dir"):
        settings[name] = str(ROOT / settings[name])
    settings["results_dir"] = str(results)
    path = FOLDER / f"asv-{results.name}.conf.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(settings, indent=4), encoding="utf-8")
    return path


def command(*arguments: str, results: Path = RESULTS) -> list[str]:
    """The command line of asv; results are kept under `results`."""
    chosen = () if results == RESULTS else ("--config", str(configuration(results)))
    return [sys.executable, str(Path(__file__).resolve()), *chosen, *arguments]


def asv(
    *arguments: str, results: Path = RESULTS, log: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run asv, to the terminal or into a file; its exit code is the caller's to judge."""
    if log is None:
        return subprocess.run(
            command(*arguments, results=results), cwd=ROOT, text=True, check=False
        )
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as written:
        return subprocess.run(
            command(*arguments, results=results),
            cwd=ROOT,
            text=True,
            stdout=written,
            stderr=subprocess.STDOUT,
            check=False,
        )


def require_asv() -> None:
    """Refuse to go on where asv is not installed."""
    try:
        import asv  # noqa: F401
    except ImportError as absent:
        raise Refusal("asv is not installed here; run: pip install -e '.[benchmarks]'") from absent


def main(arguments: Iterable[str]) -> int:
    """asv's own command line, with this project's machine file in place of the user's."""
    try:
        require_asv()
    except Refusal as refusal:
        sys.exit(f"asv_runs: {refusal}")
    from asv import machine as asv_machine
    from asv import main as asv_main

    path = str(machine_file())
    asv_machine.MachineCollection.get_machine_file_path = staticmethod(lambda: path)
    asv_machine.Machine.hardcoded_machine_name = machine()["machine"]
    os.chdir(ROOT)
    sys.argv = ["asv", *arguments]
    code = asv_main.main()
    return int(code or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
