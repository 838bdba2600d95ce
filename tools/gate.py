"""The regression gate: is this commit slower than the one that it departs from?

    python -m tools.gate                 HEAD against its merge base with main
    python -m tools.gate --base 5752bb7  against another commit

Both commits are measured in turns, in this run, on this machine, and compared by ratio. A slow-down
of 1.3 or more that asv's statistics find significant is measured once more, alone, and counts if it
is there again: a neighbour on the machine does not come back at the same benchmark.

Ends with 0 if nothing got slower, 1 if something did, 2 if nothing did but a benchmark fails that
ran before (or every new one that fails), 3 if it could not run.
"""

import argparse
import os
import re
import shutil
import sys
from pathlib import Path

from tools.asv_runs import (
    FAILED_BENCHMARK,
    FOLDER,
    MAIN,
    ROOT,
    CannotRun,
    asv,
    commit,
    derived_config,
    describe_machine,
    exists,
    git,
    require_history,
    told,
)
from tools.gate_table import FAILED, SLOWER, Comparison, comparisons, markdown

# What is measured: one thread, CPU time, and what the package is for; minutes in all. Start-up,
# memory, threads and peers are followed by the dashboard.
GATED = (
    r"^equations\..*'(loops|tiled)'\)$",
    r"^training\..*'tiled'\)$",
    r"^prediction\.Forward.*'tiled'\)$",
    r"^(fits|prediction\.(Estimators|Predictor))\.",
    r"^quality\.CostAtBudget\.",
)
FACTOR = 1.3
MACHINE = "gate"


def base_of(head: str, root: Path = ROOT) -> str:
    """The commit to compare with: where HEAD left main; on main itself, the commit before.

    `origin/main` is asked first: a pull request's clone may have no newer one.
    """
    for name in (f"origin/{MAIN}", MAIN):
        if not exists(name, root):
            continue
        base = git("merge-base", head, name, root=root)
        if base != head:
            return base
    if not exists(f"{head}~1", root):
        raise CannotRun(f"{head[:8]} has no commit before it: pass --base COMMIT.")
    return commit(f"{head}~1", root)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.gate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--base", help="the commit to compare with")
    parser.add_argument("--head", default="HEAD", help="the commit that is judged")
    parser.add_argument("--factor", type=float, default=FACTOR, help="the slow-down that counts")
    parser.add_argument("--bench", action="append", help="regular expression of benchmarks")
    parser.add_argument("--summary", type=Path, help="also append the table, as Markdown, to it")
    asked = parser.parse_args(arguments)
    if asked.factor <= 1:
        raise CannotRun(f"--factor must be above 1, a ratio of times; got {asked.factor}.")
    require_history()
    head = commit(asked.head)
    base = commit(asked.base) if asked.base else base_of(head)
    if base == head:
        raise CannotRun(f"{asked.base} is {asked.head}: there is nothing to compare.")
    if asked.head == "HEAD" and git("status", "--porcelain", "--untracked-files=no"):
        print("note: files have changed since HEAD; the commit is measured, not these changes.")
    found = compared(base, head, asked.bench or list(GATED), asked.factor)
    table = markdown(found, base, head, asked.factor)
    print(table)
    if asked.summary:
        with asked.summary.open("a", encoding="utf-8") as file:
            file.write(table + "\n")
    return status(found)


def status(found: list[Comparison]) -> int:
    """The exit status that these comparisons add up to."""
    verdicts = {one.verdict for one in found}
    return 1 if SLOWER in verdicts else 2 if FAILED in verdicts else 0


def compared(base: str, head: str, bench: list[str], factor: float) -> list[Comparison]:
    """Measure both; what seems slower is measured again, and only then counts."""
    found = measured(base, head, bench, factor)
    again = [one.name for one in found if one.verdict == SLOWER]
    if not again:
        return found
    print(f"\n{len(again)} seem slower; they are measured once more.\n", flush=True)
    exactly = [f"^{re.escape(name)}$" for name in again]
    second = {one.name: one for one in measured(base, head, exactly, factor)}
    return [one.confirmed_by(second.get(one.name)) for one in found]


def measured(base: str, head: str, bench: list[str], factor: float) -> list[Comparison]:
    """Both commits' results, measured in turns, from an empty folder."""
    results = FOLDER / "gate"
    shutil.rmtree(results, ignore_errors=True)
    config = derived_config("gate", results_dir=str(results))
    describe_machine(MACHINE)
    listed = FOLDER / "hashes.txt"
    listed.write_text(f"{base}\n{head}\n", encoding="utf-8")
    chosen = [part for one in bench for part in ("--bench", one)]
    ended = asv(
        [
            "run",
            *("--machine", MACHINE, "--record-samples", "--interleave-rounds", "--show-stderr"),
            *("--attribute", "rounds=4", *chosen, f"HASHFILE:{listed}"),
        ],
        config,
        FOLDER / "gate.log",
    )
    if ended not in (0, FAILED_BENCHMARK) or not any(results.glob("*/*.json")):
        raise CannotRun(
            f"asv ended with status {ended} before there was anything to compare; what it said "
            f"stands above and in {os.path.relpath(FOLDER / 'gate.log')}."
        )
    return [
        one
        for one in comparisons(results, base, head, factor)
        if any(re.search(part, one.name) for part in bench)
    ]


if __name__ == "__main__":
    sys.exit(told(main, sys.argv[1:]))
