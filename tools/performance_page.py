"""Measure all that docs/performance.md shows, and put the tables into it.

    python -m tools.performance_page                    every table, an hour and a half
    python -m tools.performance_page startup memory     only those named
    python -m tools.performance_page report --report run.json   from a run that was taken already

Each table is what one `engine compare` command prints. It stands between two comments that name it;
what is written around them stays. Figures are kept in benchmarks/figures, those of the report in
benchmarks/results; the page's first table, of what was to be reached, is made from all that are
there. The README has a short table of the estimators, of the same run; how soon a saved model
answers stands in docs/model-files.md.
"""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from tools import reach_table
from tools.asv_runs import REPORT_FIGURES, RESULTS, ROOT, Arguments, CannotRun, told

PAGE, README = ROOT / "docs" / "performance.md", ROOT / "README.md"
# Not among the results, where asv expects a machine's description in each folder.
FIGURES = ROOT / "benchmarks" / "figures"
COLUMNS = 132
REPORT, REACH = "report", "reach"

COMMANDS = {
    REPORT: "engine compare report",
    "training": "engine compare training --suite reach --dtype float64 "
    "--contenders tiled,numpy,sklearn,torch,jax",
    "estimators": "engine compare estimators",
    "second-order": "engine compare second-order",
    "many": "engine compare many",
    "odd": "engine compare training --suite odd --contenders tiled,numpy,sklearn,torch,jax",
    "gradient": "engine compare gradient",
    "threads": "engine compare threads",
    "startup": "engine compare startup",
    "memory": "engine compare memory",
    "loading": "engine compare loading",
}
ELSEWHERE = {"loading": ROOT / "docs" / "model-files.md"}


def main(arguments: list[str]) -> int:
    parser = Arguments("performance_page", __doc__)
    parser.add_argument("names", nargs="*", help=f"tables; without any, all: {', '.join(COMMANDS)}")
    parser.add_argument("--report", type=Path, help="figures that `engine compare report` wrote")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.names if name not in COMMANDS]:
        raise CannotRun(f"no table is called {unknown[0]!r}; there are {', '.join(COMMANDS)}")
    for name in asked.names or COMMANDS:
        print(f"{name}: {COMMANDS[name]}", flush=True)
        taken = name == REPORT and asked.report is not None
        printed, figures = shown(asked.report) if taken else measured(name)
        keep(name, figures)
        rewrite(ELSEWHERE.get(name, PAGE), name, f"```text\n{printed}\n```")
        if name == "estimators":
            rewrite(README, name, summary(figures))
    rewrite(PAGE, REACH, reach_table.table(kept_figures()))
    return 0


def measured(name: str) -> tuple[str, dict[str, Any]]:
    """What the command prints, without colours, and its figures."""
    plain = {"COLUMNS": str(COLUMNS), "NO_COLOR": "1", "TERM": "dumb"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        command = [sys.executable, "-m", *shlex.split(COMMANDS[name]), "--json", str(path)]
        done = subprocess.run(
            command, env={**os.environ, **plain}, stdout=subprocess.PIPE, text=True, check=True
        )
        figures = json.loads(path.read_text(encoding="utf-8"))
    lines = done.stdout.splitlines()[:-1]  # the last one says where the figures are
    return under_its_command(name, lines), figures


def shown(path: Path) -> tuple[str, dict[str, Any]]:
    """The same of a report that was taken before: its tables printed anew."""
    from engine.comparison import report_tables
    from engine.comparison.report import figures_file as kept_report

    try:
        figures: dict[str, Any] = {**kept_report.read(path)}
    except (OSError, ValueError) as error:
        raise CannotRun(str(error)) from error
    printed = io.StringIO()
    report_tables.show(Console(file=printed, width=COLUMNS, no_color=True), "", figures)
    return under_its_command(REPORT, printed.getvalue().splitlines()), figures


def under_its_command(name: str, lines: list[str]) -> str:
    """What was printed, with the command as people type it in its first line."""
    return "\n".join([COMMANDS[name], *(line.rstrip() for line in lines[1:])]).strip()


def kept(name: str) -> Path:
    """Where the figures of a table lie: those of the report where the dashboard finds them."""
    return RESULTS / REPORT_FIGURES if name == REPORT else FIGURES / f"{name}.json"


def keep(name: str, figures: dict[str, Any]) -> None:
    from engine.comparison.tables import as_json

    path = kept(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    figures = {**figures, "command": COMMANDS[name]}
    path.write_text(as_json(figures["command"], figures), encoding="utf-8")


def kept_figures() -> dict[str, Any]:
    """Of each command whose figures are there."""
    return {
        name: json.loads(kept(name).read_text(encoding="utf-8"))
        for name in (*COMMANDS, reach_table.TEST_TABLES, reach_table.DIAMONDS)
        if kept(name).is_file()
    }


def summary(figures: dict[str, Any]) -> str:
    """The README's table of the estimators."""
    from engine.comparison import estimator_tables

    return estimator_tables.summary(COMMANDS["estimators"], figures)


def rewrite(path: Path, name: str, block: str) -> None:
    path.write_text(filled(path.read_text(encoding="utf-8"), name, block), encoding="utf-8")


def filled(page: str, name: str, block: str) -> str:
    """The page with that block between its two comments.

    >>> filled("a <!-- x -->old<!-- end of x --> b", "x", "new")
    'a <!-- x -->\\nnew\\n<!-- end of x --> b'
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise CannotRun(f"the page has no place for {name}: {begin} and {end}")
    new = f"{begin}\n{block}\n{end}"
    return re.sub(f"{re.escape(begin)}.*{re.escape(end)}", lambda _: new, page, flags=re.DOTALL)


if __name__ == "__main__":
    sys.exit(told(main, sys.argv[1:]))
