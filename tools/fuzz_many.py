"""Fit hundreds of random mixtures of estimators by `fit_many`, and see that a loop gives the same.

    python -m tools.fuzz_many                          600 mixtures on 1, 2 and 3 threads, minutes
    python -m tools.fuzz_many --mixtures 50 --seed 7000
    python -m tools.fuzz_many --mixtures 1 --seed 7023 --verbose    repeats one, and shows it

A mixture has 1 to 57 classifiers and regressors with parameters drawn at random, and rows of a
random kind (tools/member_mixtures.py). What is compared: the bits of all attributes, warnings and
errors of each member, NumPy's own generator, and all that once more after a further fit of each.

Ends with 0 if nothing differs, 1 if something does; each mixture with a difference is printed with
the seed that repeats it.
"""

import argparse
import sys
import time
import traceback
from collections import Counter

from tools.member_mixtures import Mixture, described, differences_of, mixture

MIXTURES = 600
MOST_LINES = 10  # of one mixture


def main(arguments: list[str] | None = None) -> int:
    """Compare as many mixtures as the arguments say; 1 if something differs, else 0."""
    given = parsed(arguments)
    counts: Counter[str] = Counter()
    start, shown = time.perf_counter(), time.monotonic()
    for seed in range(given.seed, given.seed + given.mixtures):
        mixed = mixture(seed)
        if given.verbose:
            print(described(mixed))
        lines = lines_of(mixed, given.threads)
        counts["mixtures"] += 1
        counts["members"] += len(mixed.members())
        if lines:
            counts["that differ"] += 1
            print(f"DIFFERENCE in the mixture of seed {seed}, {len(lines)} in all:")
            print("\n".join(f"    {line}" for line in lines[:MOST_LINES]), flush=True)
        if time.monotonic() - shown > 10 and sys.stderr.isatty():
            shown = time.monotonic()
            print(f"{counts['mixtures']:,} of {given.mixtures:,}", file=sys.stderr)
    seconds = time.perf_counter() - start
    threads = ", ".join(map(str, given.threads))
    print(
        f"{counts['mixtures']:,} mixtures of {counts['members']:,} members, seeds from "
        f"{given.seed}, on {threads} threads: {counts['that differ']} differ; {seconds:.0f} s."
    )
    return 1 if counts["that differ"] else 0


def lines_of(mixed: Mixture, threads: list[int]) -> list[str]:
    """What differs; an error outside of the fits is a difference, too."""
    try:
        return differences_of(mixed, threads)
    except Exception:
        return traceback.format_exc().splitlines()


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser("fuzz_many", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mixtures", type=int, default=MIXTURES, help="how many mixtures")
    parser.add_argument("--seed", type=int, default=0, help="of the first; each has the next one")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, 2, 3], help="numbers of threads to compare"
    )
    parser.add_argument("--verbose", action="store_true", help="print each mixture")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
