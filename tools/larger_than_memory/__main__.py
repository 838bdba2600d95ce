"""Measure all that docs/larger-than-memory.md shows, and put the tables into it.

    python -m tools.larger_than_memory                    each table; half an hour
    python -m tools.larger_than_memory memory disk        some of them
    python -m tools.larger_than_memory --gigabytes 0.5    less data, only printed

`memory` converts and trains within a hard limit, which needs the rights to make a control group;
`disk` tells rows a second; `order` what the shuffles are worth on sorted rows. Figures are kept in
benchmarks/figures/larger_than_memory.json.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from engine.comparison.machine import processor_name
from engine.sums.thread_count import usable_cores
from tools.asv_runs import ROOT, Arguments, CannotRun, told
from tools.larger_than_memory import limits, orders, rates
from tools.memory_group import NoGroup
from tools.performance_page import FIGURES, rewrite

PAGE = ROOT / "docs" / "larger-than-memory.md"
KEPT = FIGURES / "larger_than_memory.json"
ORDER_ROWS = 4_000_000


class Table(NamedTuple):
    """How its figures are taken, with so many gigabytes of data, and how the page shows them."""

    measured: Callable[[Path, float], dict[str, Any]]
    shown: Callable[[dict[str, Any]], str]
    gigabytes: float


TABLES = {
    "memory": Table(limits.runs, limits.table, 6.0),
    "disk": Table(rates.rates, rates.table, 8.0),
    "order": Table(lambda *_: orders.costs(ORDER_ROWS), orders.table, 0.0),
}


def main(arguments: list[str]) -> int:
    parser = Arguments("larger_than_memory", __doc__)
    parser.add_argument("names", nargs="*", help=f"tables; without any, all: {', '.join(TABLES)}")
    parser.add_argument("--gigabytes", type=float, help="of data; the table is only printed")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.names if name not in TABLES]:
        raise CannotRun(f"no table is called {unknown[0]!r}; there are {', '.join(TABLES)}")
    for name in asked.names or TABLES:
        table = TABLES[name]
        try:
            found = table.measured(asked.folder, asked.gigabytes or table.gigabytes)
        except NoGroup as reason:
            raise CannotRun(f"no control group with a limit of memory: {reason}") from reason
        print(f"\n{table.shown(found)}\n", flush=True)
        if asked.gigabytes is None:
            machine = {"processor": processor_name(), "cores": usable_cores()}
            keep(name, {**machine, **found})
    return 0


def keep(name: str, found: dict[str, Any]) -> None:
    known = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    known[name] = found
    KEPT.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    write(known)


def write(known: dict[str, Any]) -> None:
    """The page's tables, from figures."""
    for name, found in known.items():
        where = f"{found['processor']}, {found['cores']} cores. "
        rewrite(PAGE, name, where + TABLES[name].shown(found))


if __name__ == "__main__":
    sys.exit(told(main, sys.argv[1:]))
