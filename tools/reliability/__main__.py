"""Provoke the faults, print what was lost, and put the table into docs/reliability.md.

    python -m tools.reliability                  all of them, and what checkpoints cost
    python -m tools.reliability sigkill cost     some of them; the others stay as they were last
    python -m tools.reliability --times 6        each fewer times, only printed

What was seen is kept in benchmarks/figures/reliability.json, from which the page is written.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tools.asv_runs import ROOT, Arguments, CannotRun
from tools.performance_page import FIGURES, rewrite
from tools.reliability import (
    clusters,
    conversions,
    cost,
    disks,
    interruptions,
    kills,
    memory,
    model_files,
    processes,
    saved_models,
)
from tools.reliability.lines import Line, table_of

PAGE = ROOT / "docs" / "reliability.md"
FIGURES_OF_FAULTS = FIGURES / "reliability.json"
TIMES, COST = 50, "cost"
FAULTS: dict[str, Callable[[int], Line]] = {
    "sigkill": kills.sigkill,
    "sigkill_command": kills.sigkill_command,
    "ctrl_c": interruptions.ctrl_c,
    "ctrl_c_everywhere": interruptions.ctrl_c_everywhere,
    "full_disk": disks.full_disk,
    "lost_permission": disks.lost_permission,
    "failing_calls": disks.failing_calls,
    "two_processes": processes.two_processes,
    "fork": processes.fork,
    "memory": memory.memory,
    "saving_killed": saved_models.saving_killed,
    "saving_fails": saved_models.saving_fails,
    "damaged_models": model_files.damaged_models,
    "conversion_killed": conversions.conversion_killed,
    "conversion_on_a_full_disk": conversions.conversion_on_a_full_disk,
    "workers_killed": clusters.workers_killed,
    "client_killed": clusters.client_killed,
}


def main(arguments: list[str]) -> int:
    parser = Arguments("reliability", __doc__)
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(FAULTS)}, {COST}")
    parser.add_argument("--times", type=int, default=TIMES, help="how often, at least")
    parser.add_argument("--json", type=Path, help="a file for the lines")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.names if name not in (*FAULTS, COST)]:
        raise CannotRun(f"no fault is called {unknown[0]!r}; there are {', '.join(FAULTS)}, {COST}")
    seen: dict[str, Any] = {}
    for name in asked.names or [*FAULTS, COST]:
        seen[name] = costs() if name == COST else asdict(provoked(name, asked.times))
        if asked.times == TIMES:
            keep(name, seen[name])
    lines = [Line(**told) for name, told in seen.items() if name != COST]
    print(table_of(lines))
    if COST in seen:
        print(seen[COST])
    failures = [failure for line in lines for failure in line.failures]
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    if asked.json:
        asked.json.write_text(json.dumps([asdict(line) for line in lines], indent=1))
    return 1 if failures else 0


def costs() -> str:
    """What checkpoints cost, as a table."""
    return cost.table_of(list(cost.costs(seconds=60.0)))


def keep(name: str, seen: Any) -> None:
    """Put what was seen among the figures, and all figures into the page."""
    known = json.loads(FIGURES_OF_FAULTS.read_text()) if FIGURES_OF_FAULTS.exists() else {}
    known[name] = seen
    FIGURES_OF_FAULTS.write_text(json.dumps(known, indent=1) + "\n")
    lines = [Line(**known[fault]) for fault in FAULTS if fault in known]
    rewrite(PAGE, "faults", table_of(lines))
    if COST in known:
        rewrite(PAGE, COST, known[COST])


def provoked(name: str, times: int) -> Line:
    """A line, and a word on how far we are."""
    start = time.perf_counter()
    line = FAULTS[name](times)
    seconds = time.perf_counter() - start
    failed = f", {len(line.failures)} FAILED" if line.failures else ""
    print(f"{name}: {line.times} times, {seconds:.0f} s{failed}", flush=True)
    return line


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CannotRun as error:
        sys.exit(f"reliability: {error}")
