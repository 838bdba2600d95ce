"""Provoke the faults, print what was lost, and put the table into docs/reliability.md.

python -m tools.reliability                  all of them, some minutes
python -m tools.reliability sigkill ctrl_c   some of them, and only printed
python -m tools.reliability --times 6        each fewer times, and only printed
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tools.asv_runs import Arguments, CannotRun
from tools.reliability import disks, interruptions, kills, memory, processes
from tools.reliability.lines import Line, table_of

TIMES = 50
FAULTS: dict[str, Callable[[int], Line]] = {
    "sigkill": kills.sigkill,
    "ctrl_c": interruptions.ctrl_c,
    "ctrl_c_everywhere": interruptions.ctrl_c_everywhere,
    "full_disk": disks.full_disk,
    "lost_permission": disks.lost_permission,
    "failing_calls": disks.failing_calls,
    "two_processes": processes.two_processes,
    "fork": processes.fork,
    "memory": memory.memory,
}


def main(arguments: list[str]) -> int:
    parser = Arguments("reliability", __doc__)
    parser.add_argument("faults", nargs="*", help=f"some of {', '.join(FAULTS)}")
    parser.add_argument("--times", type=int, default=TIMES, help="how often, at least")
    parser.add_argument("--json", type=Path, help="a file for the lines")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.faults if name not in FAULTS]:
        raise CannotRun(f"no fault is called {unknown[0]!r}; there are {', '.join(FAULTS)}")
    lines: list[Line] = []
    for name in asked.faults or FAULTS:
        start = time.perf_counter()
        lines.append(FAULTS[name](asked.times))
        print(f"{name}: {lines[-1].times} times, {time.perf_counter() - start:.0f} s", flush=True)
    print(table_of(lines))
    failures = [failure for line in lines for failure in line.failures]
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    if asked.json:
        asked.json.write_text(json.dumps([asdict(line) for line in lines], indent=1))
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CannotRun as error:
        sys.exit(f"reliability: {error}")
