"""Measure the chosen commits of the project's history, and keep the results in the tree.

    python -m tools.history                     all of benchmarks/commits.txt that have no results
    python -m tools.history HEAD~3 5752bb7      those, whatever has been measured
    python -m tools.history --bench training    only some benchmarks

Ends with 0, or with 2 if a benchmark failed, or 3 if it could not run.
"""

import sys

from tools.asv_runs import (
    ROOT,
    Arguments,
    commit,
    describe_machine,
    require_history,
    run,
    these,
    told,
)

COMMITS = ROOT / "benchmarks" / "commits.txt"


def chosen(text: str) -> dict[str, str]:
    """Names of commits and why they were chosen, from lines such as "d89a80a the first".

    >>> chosen("# a comment\\n\\nd89a80a the first\\n")
    {'d89a80a': 'the first'}
    """
    lines = (line.strip() for line in text.splitlines())
    parts = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    return {name: why for name, _, why in parts}


def main(arguments: list[str]) -> int:
    parser = Arguments("history", __doc__)
    parser.add_argument("commits", nargs="*", help="commits; where none is given, all chosen ones")
    parser.add_argument("--machine", default="reference", help="the name that results are kept by")
    parser.add_argument("--bench", help="only benchmarks that this regular expression finds")
    asked = parser.parse_args(arguments)
    require_history()
    names = asked.commits or list(chosen(COMMITS.read_text(encoding="utf-8")))
    hashes = [commit(name) for name in names]
    describe_machine(asked.machine)
    only = ["--bench", asked.bench] if asked.bench else []
    skip = [] if asked.commits or asked.bench else ["--skip-existing-successful"]
    return run(["--machine", asked.machine, *skip, *only, these(hashes)])


if __name__ == "__main__":
    sys.exit(told(main, sys.argv[1:]))
