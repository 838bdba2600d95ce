"""The regression gate: is this commit slower than the one that it departs from?

    python -m tools.gate                 HEAD against its merge base with main
    python -m tools.gate --base 5752bb7  against another commit

Both commits are measured in turns, in this run, on this machine, and compared by ratio. A slow-down
of 1.3 or more that asv's statistics find significant is measured once more, alone, and counts if it
is there again: a neighbour on the machine does not come back at the same benchmark.

Ends with
  0  nothing got slower
  1  something got slower
  2  nothing got slower, but a benchmark fails that ran before, or that was n/a before
  3  it could not run, or nothing could be compared: it says why, and what to do
  4  an error in the gate itself
Benchmarks are those of the working tree, so that one which is broken in itself fails on both
commits: the table lists it, with the reason, and the status is that of the others.
make itself ends with 2 where this does not end with 0; the status stands in the line above its own.
"""

import argparse
import os
import re
import shutil
import sys
from pathlib import Path

from tools import asv_failures
from tools.asv_runs import (
    CANNOT_RUN,
    FAILED_BENCHMARK,
    FOLDER,
    MAIN,
    ROOT,
    Arguments,
    CannotRun,
    asv,
    commit,
    derived_config,
    describe_machine,
    exists,
    git,
    require_whole_clone,
    these,
    told,
)
from tools.gate_table import FAILED, SLOWER, Comparison, comparisons, markdown, title

# What is measured: one thread, CPU time, and what the package is for; minutes in all. Start-up,
# memory, threads and peers are followed by the dashboard.
GATED = (
    r"^equations\..*'(loops|tiled)'\)$",
    r"^training\..*\('tiled', ",
    r"^prediction\.Forward.*\('tiled', ",
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
    if not any(exists(name, root) for name in (f"origin/{MAIN}", MAIN)):
        raise CannotRun(
            f"there is neither origin/{MAIN} nor {MAIN} here, so where HEAD left it is unknown. "
            f"Fetch it with `git fetch origin {MAIN}:{MAIN}`, or pass --base COMMIT."
        )
    if not exists(f"{head}~1", root):
        raise CannotRun(f"{head[:8]} has no commit before it: pass --base COMMIT.")
    return commit(f"{head}~1", root)


def main(arguments: list[str]) -> int:
    parser = Arguments("gate", __doc__)
    parser.add_argument("--base", help="the commit to compare with")
    parser.add_argument("--head", default="HEAD", help="the commit that is judged")
    parser.add_argument("--factor", type=float, default=FACTOR, help="the slow-down that counts")
    parser.add_argument("--bench", action="append", help="regular expression of benchmarks")
    parser.add_argument("--summary", type=Path, help="also append the table, as Markdown, to it")
    asked = parser.parse_args(arguments)
    if asked.summary is None:
        return judged(asked)
    if not asked.summary.absolute().parent.is_dir():
        raise CannotRun(f"--summary: there is no folder {asked.summary.absolute().parent}.")
    try:
        return judged(asked)
    except CannotRun as error:
        append(asked.summary, f"### Speed: nothing was compared\n\n{error}")
        raise


def judged(asked: argparse.Namespace) -> int:
    """Compare as asked, tell it, and return the exit status."""
    if asked.factor <= 1:
        raise CannotRun(f"--factor must be above 1, a ratio of times; got {asked.factor}.")
    require_whole_clone()
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
        append(asked.summary, table)
    ended = status(found)
    print(f"\n{title(found, base, head, asked.factor)} (status {ended})")
    return ended


def append(summary: Path, text: str) -> None:
    with summary.open("a", encoding="utf-8") as file:
        file.write(text + "\n")


def status(found: list[Comparison]) -> int:
    """The exit status that these comparisons add up to; none at all is no reason to pass."""
    verdicts = {one.verdict for one in found}
    if SLOWER in verdicts:
        return 1
    if FAILED in verdicts:
        return 2
    return 0 if any(one.compared for one in found) else CANNOT_RUN


def compared(base: str, head: str, bench: list[str], factor: float) -> list[Comparison]:
    """Measure both; what seems slower is measured again, and only then counts."""
    shutil.rmtree(FOLDER / "gate", ignore_errors=True)
    found = measured(base, head, bench, factor, "first")
    again = [one.name for one in found if one.verdict == SLOWER]
    if not again:
        return found
    print(f"\n{len(again)} seem slower; they are measured once more.\n", flush=True)
    exactly = [f"^{re.escape(name)}$" for name in again]
    try:
        second = {one.name: one for one in measured(base, head, exactly, factor, "second")}
    except CannotRun as error:
        print(f"note: the second measurement failed, and the first one counts: {error}")
        return found
    return [one.confirmed_by(second.get(one.name)) for one in found]


def measured(base: str, head: str, bench: list[str], factor: float, turn: str) -> list[Comparison]:
    """Both commits' results, measured in turns, in a folder and with a log for each turn."""
    results, log = FOLDER / "gate" / turn, FOLDER / f"gate-{turn}.log"
    # By HEAD, since asv asks for the branches that it knows, and a pull request's clone may have
    # no main.
    config = derived_config(
        "gate", results_dir=str(results), branches=["HEAD"], plugins=[asv_failures.PLUGIN]
    )
    describe_machine(MACHINE)
    chosen = [part for one in bench for part in ("--bench", one)]
    ended = asv(
        [
            "run",
            *("--machine", MACHINE, "--record-samples", "--interleave-rounds", "--show-stderr"),
            *("--attribute", "rounds=4", *chosen, these([base, head])),
        ],
        config,
        log,
    )
    if ended not in (0, FAILED_BENCHMARK) or not any(results.glob("*/*.json")):
        raise CannotRun(
            f"asv ended with status {ended} before there was anything to compare; what it said "
            f"stands above and in {os.path.relpath(log)}."
        )
    return [
        one
        for one in comparisons(results, base, head, factor)
        if any(re.search(part, one.name) for part in bench)
    ]


if __name__ == "__main__":
    sys.exit(told(main, sys.argv[1:]))
