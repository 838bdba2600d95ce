"""Measure all that docs/performance.md shows, and put the tables into it.

    python tools/performance_page.py              every table, an hour on a quiet machine
    python tools/performance_page.py startup      only those named

Each table is what one `engine compare` command prints. It stands between two comments that name it;
what is written around them stays.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
COLUMNS = 132

COMMANDS = {
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
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), name, printed(name)), "utf-8")


def printed(name: str) -> str:
    """What the command prints, without colours."""
    command = [sys.executable, "-m", *shlex.split(COMMANDS[name])]
    plain = {"COLUMNS": str(COLUMNS), "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        command, env={**os.environ, **plain}, stdout=subprocess.PIPE, text=True, check=True
    )
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    lines[0] = COMMANDS[name]  # which the program knows by its file
    return "\n".join(lines).strip()


def filled(page: str, name: str, table: str) -> str:
    """The page with that table between its two comments.

    >>> filled("a <!-- x -->old<!-- end of x --> b", "x", "new")
    'a <!-- x -->\\n```text\\nnew\\n```\\n<!-- end of x --> b'
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        sys.exit(f"{PAGE} has no place for {name}: {begin} and {end}")
    block = f"{begin}\n```text\n{table}\n```\n{end}"
    return re.sub(f"{re.escape(begin)}.*{re.escape(end)}", lambda _: block, page, flags=re.DOTALL)


if __name__ == "__main__":
    main(sys.argv[1:])
