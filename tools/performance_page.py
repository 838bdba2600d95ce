"""Measure all that docs/performance.md shows, and put the tables into it.

    python tools/performance_page.py              every table, an hour on a quiet machine
    python tools/performance_page.py startup      only those named

Each table is what one `engine compare` command prints. It stands between two comments that name it;
what is written around them stays. The README has a short table of the estimators, of the same run.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE, README = ROOT / "docs" / "performance.md", ROOT / "README.md"
COLUMNS = 132

COMMANDS = {
    "estimators": "engine compare estimators",
    "training": "engine compare training --suite reach --contenders tiled,numpy,sklearn,torch,jax",
    "odd": "engine compare training --suite odd --contenders tiled,numpy,sklearn,torch,jax",
    "loops": "engine compare training --suite small --contenders tiled,loops,numpy",
    "gradient": "engine compare gradient",
    "threads": "engine compare threads",
    "startup": "engine compare startup",
    "memory": "engine compare memory",
}


def main(names: list[str]) -> None:
    for name in names or COMMANDS:
        if name not in COMMANDS:
            sys.exit(f"no table is called {name!r}; there are {', '.join(COMMANDS)}")
        print(f"{name}: {COMMANDS[name]}", flush=True)
        table, figures = measured(name)
        rewrite(PAGE, name, f"```text\n{table}\n```")
        if name == "estimators":
            rewrite(README, name, summary(figures))


def measured(name: str) -> tuple[str, dict[str, Any]]:
    """What the command prints, without colours, and its figures."""
    plain = {"COLUMNS": str(COLUMNS), "NO_COLOR": "1", "TERM": "dumb"}
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "figures.json"
        command = [sys.executable, "-m", *shlex.split(COMMANDS[name]), "--json", str(kept)]
        done = subprocess.run(
            command, env={**os.environ, **plain}, stdout=subprocess.PIPE, text=True, check=True
        )
        figures = json.loads(kept.read_text(encoding="utf-8"))
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    lines[0] = COMMANDS[name]  # which the program knows by its file
    return "\n".join(lines[:-1]).strip(), figures  # the last line says where the figures are


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
        sys.exit(f"the page has no place for {name}: {begin} and {end}")
    new = f"{begin}\n{block}\n{end}"
    return re.sub(f"{re.escape(begin)}.*{re.escape(end)}", lambda _: new, page, flags=re.DOTALL)


if __name__ == "__main__":
    main(sys.argv[1:])
