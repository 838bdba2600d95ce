"""Build the site: `site/index.html`, asv's pages in `site/asv/`, the comparison in `site/compare/`.

    python -m tools.dashboard               the kept results and a quick measurement of HEAD
    python -m tools.dashboard --kept-only   the kept results alone, in seconds

Open site/index.html by a server, since asv's pages load their figures by script:
python -m http.server --directory site. Ends with 0, 2 if a benchmark failed, 3 if it could not run.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools import front_page
from tools.asv_runs import (
    FOLDER,
    MAIN,
    REPORT_FIGURES,
    RESULTS,
    ROOT,
    Arguments,
    CannotRun,
    asv,
    commit,
    derived_config,
    describe_machine,
    git,
    require_history,
    run,
    told,
)
from tools.vendor import vendor

SITE = ROOT / "site"
MACHINE = "reference"  # whose results are kept
TODAY = "today"  # this machine, in a quick measurement

# A few benchmarks of each subject, few samples of each.
QUICK = (
    r"^training\.",
    r"^fits\.",
    r"^prediction\.",
    r"^startup\.(Imports|FirstResult)",
    r"^efficiency\.Gradient",
    r"^quality\.CostAtBudget",
)
FEW = ("rounds=1", "repeat=(1,3,0.2)", "warmup_time=0")


def main(arguments: list[str]) -> int:
    parser = Arguments("dashboard", __doc__)
    parser.add_argument("--kept-only", action="store_true", help="measure nothing")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the kept results")
    parser.add_argument("--machine", default=MACHINE, help="whose results make the headlines")
    parser.add_argument("--site", type=Path, default=SITE, help="the folder to build")
    asked = parser.parse_args(arguments)
    require_history()
    head = commit("HEAD")
    require_results(asked.results, asked.machine)
    working = FOLDER / "dashboard"
    shutil.rmtree(working, ignore_errors=True)
    results = working / "results"
    shutil.copytree(asked.results, results)
    config = derived_config(
        "dashboard",
        results_dir=str(results),
        html_dir=str(working / "html"),
        branches=branches(head),
    )
    status = 0 if asked.kept_only else measure(config)
    publish(config, working / "html")
    build(asked.site, working / "html", results, asked.machine, head, asked.kept_only)
    print(f"The site is {asked.site}: python -m http.server --directory {asked.site}")
    return status


def require_results(results: Path, machine: str) -> None:
    """Refuse to build pages that would be empty."""
    if not (results / "benchmarks.json").exists() or not front_page.kept(results, machine):
        there = sorted(path.parent.name for path in results.glob("*/machine.json"))
        raise CannotRun(
            f"{results} has no results of a machine called {machine!r}: it has "
            f"{', '.join(map(repr, there)) or 'none'}. Measure with `make history`, or pass "
            "--machine."
        )


def branches(head: str) -> list[str]:
    """What asv draws: main, and HEAD where main does not have it."""
    return [MAIN] if git("merge-base", head, MAIN) == head else [MAIN, "HEAD"]


def measure(config: Path) -> int:
    """A quick measurement of HEAD; asv's status."""
    describe_machine(TODAY)
    bench = [part for one in QUICK for part in ("--bench", one)]
    few = [part for one in FEW for part in ("--attribute", one)]
    return run(["--machine", TODAY, *bench, *few, "HEAD^!"], config)


def publish(config: Path, pages: Path) -> None:
    """asv's pages, with their scripts beside them."""
    status = asv(["publish"], config)
    if status != 0 or not (pages / "index.json").exists():
        raise CannotRun(f"asv publish ended with status {status}; what it said stands above.")
    if not json.loads((pages / "index.json").read_text(encoding="utf-8"))["graph_param_list"]:
        raise CannotRun(
            "asv found none of the results' commits in this clone's history, and its pages would "
            "be empty. Are the results of another repository, or is the history cut off?"
        )
    try:
        vendor(pages / "index.html")
        vendor(pages / "error.html")
    except ValueError as error:
        raise CannotRun(f"asv's pages cannot be made to work without a network: {error}") from error


def build(site: Path, pages: Path, results: Path, machine: str, head: str, kept_only: bool) -> None:
    """Put the site together: in a folder beside it first, so that a failure leaves the old one."""
    new = site.with_name(f"{site.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(pages, new / "asv")
    found = json.loads((pages / "regressions.json").read_text(encoding="utf-8"))["regressions"]
    today = about(head, kept_only)
    links = compare(new / "compare", results, kept_only)
    page = front_page.render(results, machine, today, steps_upwards(found), links)
    (new / "index.html").write_text(page, encoding="utf-8")
    log = git("log", "--first-parent", "--format=%H%x09%ad%x09%s", "--date=short", head)
    commits = front_page.commits_page(line.split("\t", 2) for line in log.splitlines())
    (new / "commits.html").write_text(commits, encoding="utf-8")
    shutil.rmtree(site, ignore_errors=True)
    new.rename(site)


def compare(folder: Path, results: Path, kept_only: bool) -> dict[str, str]:
    """The report of the kept comparison, and a quick one of today; links to them, and their words.

    The kept one was measured with care, with all peers; today's has the peers that are installed.
    """
    folder.mkdir()
    links = {}
    kept = results / REPORT_FIGURES
    if kept.exists():
        engine(folder, "compare", "page", str(kept), "--output", "index.html")
        links["compare/index.html"] = (
            "Beside other libraries: scikit-learn, PyTorch and JAX at the same work: wins and "
            "losses, size, start-up, memory, threads."
        )
    if not kept_only:
        engine(folder, "compare", "report", "--quick", "--page", "today.html")
        links["compare/today.html"] = (
            "Today's commit beside other libraries: a quick comparison with those that are "
            "installed here."
        )
    return links


def engine(folder: Path, *arguments: str) -> None:
    """Run a command of the package in a folder: its page shows the command, and no one's paths.

    Raises CannotRun if it fails; what it says stands above.
    """
    done = subprocess.run(
        [sys.executable, "-m", "engine", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    if done.returncode != 0:
        raise CannotRun(f"engine {' '.join(arguments[:2])} ended with status {done.returncode}.")


def about(head: str, kept_only: bool) -> dict[str, str]:
    """What the front page says of today's commit."""
    date, subject = git("log", "-1", "--format=%ad%x09%s", "--date=short", head).split("\t", 1)
    quick = (
        "Nothing was measured today."
        if kept_only
        else "Today's commit was measured quickly, with few samples of a part of the benchmarks, "
        f"on the machine that asv's pages call {TODAY!r}: good for a look, not for a claim."
    )
    return {"commit": head, "date": date, "subject": subject, "quick": quick}


def steps_upwards(found: list[list[Any]]) -> list[tuple[str, float]]:
    """(benchmark, now / best before) of asv's regressions, each once, the largest first."""
    steps = {(str(entry[0]), entry[4] / entry[5]) for entry in found if entry[5]}
    return sorted(steps, key=lambda step: -step[1])


if __name__ == "__main__":
    sys.exit(told(main, sys.argv[1:]))
