"""Provoke the faults, print what was lost, and put the table into docs/reliability.md.

python -m tools.reliability                  all of them, and what checkpoints cost; the page
python -m tools.reliability sigkill ctrl_c   some of them, only printed
python -m tools.reliability --times 6        each fewer times, only printed
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tools.asv_runs import ROOT, Arguments, CannotRun
from tools.performance_page import rewrite
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
)
from tools.reliability.lines import Line, table_of

PAGE = ROOT / "docs" / "reliability.md"
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
    "damaged_models": model_files.damaged_models,
    "conversion_killed": conversions.conversion_killed,
    "conversion_on_a_full_disk": conversions.conversion_on_a_full_disk,
    "workers_killed": clusters.workers_killed,
}


def main(arguments: list[str]) -> int:
    parser = Arguments("reliability", __doc__)
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(FAULTS)}, {COST}")
    parser.add_argument("--times", type=int, default=TIMES, help="how often, at least")
    parser.add_argument("--json", type=Path, help="a file for the lines")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.names if name not in (*FAULTS, COST)]:
        raise CannotRun(f"no fault is called {unknown[0]!r}; there are {', '.join(FAULTS)}, {COST}")
    whole = not asked.names and asked.times == TIMES
    names = asked.names or list(FAULTS)
    lines = [provoked(name, asked.times) for name in names if name != COST]
    if lines:
        print(table_of(lines))
    if whole or COST in names:
        measured = cost.table_of(list(cost.costs(seconds=60.0)))
        print(measured)
    failures = [failure for line in lines for failure in line.failures]
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    if asked.json:
        asked.json.write_text(json.dumps([asdict(line) for line in lines], indent=1))
    if whole:
        rewrite(PAGE, "faults", table_of(lines))
        rewrite(PAGE, COST, measured)
    return 1 if failures else 0


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
