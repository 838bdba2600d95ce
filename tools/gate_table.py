"""What asv found of two commits, benchmark by benchmark, and the gate's table of it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tools import asv_failures

SLOWER, FASTER, SAME = "slower", "faster", "the same"
NEW, GONE, FAILED, NOT_CONFIRMED = "new", "n/a now", "fails", "not confirmed"
REPAIRED, FAILED_ON_BOTH = "fails no more", "fails on both"

# What is worth reading first.
ORDER = (SLOWER, FAILED, FAILED_ON_BOTH, NOT_CONFIRMED, FASTER, NEW, REPAIRED, GONE, SAME)


@dataclass(frozen=True)
class Comparison:
    """One benchmark, with its parameters, on both commits; NaN is n/a, None is failed."""

    name: str
    unit: str
    before: float | None
    now: float | None
    verdict: str
    reason: str = ""  # why it failed
    ratio_again: float = math.nan  # of the second measurement, if there was one

    @property
    def compared(self) -> bool:
        """Whether there are numbers of both commits."""
        return not any(one is None or math.isnan(one) for one in (self.before, self.now))

    @property
    def ratio(self) -> float:
        """Now / before; NaN where there is no such number."""
        if not self.before or self.now is None:
            return math.nan
        return self.now / self.before

    def confirmed_by(self, second: "Comparison | None") -> "Comparison":
        """The same after a second measurement: a slow-down counts unless that found none.

        A second measurement that failed has found nothing, and clears nobody.
        """
        if self.verdict != SLOWER or second is None or not second.compared:
            return self
        verdict = SLOWER if second.verdict == SLOWER else NOT_CONFIRMED
        return replace(self, verdict=verdict, ratio_again=second.ratio)


def comparisons(results: Path, base: str, head: str, factor: float) -> list[Comparison]:
    """Of all that was measured on either commit."""
    from asv.util import load_json

    about = load_json(str(results / "benchmarks.json"), 2)
    before, now = dict(rows(results, base)), dict(rows(results, head))
    failed = asv_failures.read(results / asv_failures.FILE).get(head, {})
    found = []
    for name in sorted({**before, **now}):
        unit = about.get(name.partition("(")[0], {}).get("unit", "")
        one = compare(name, unit, before.get(name), now.get(name), factor)
        reason = asv_failures.reason(name, failed) if one.now is None else ""
        found.append(replace(one, reason=reason))
    return sorted(found, key=lambda one: (ORDER.index(one.verdict), -_number(one.ratio)))


def rows(results: Path, commit: str) -> Iterator[tuple[str, Any]]:
    """(name with parameters, (value, (statistics, samples))) of a commit's results."""
    from asv.commands.compare import unroll_result
    from asv.results import iter_results_for_machine_and_hash

    machine = next(path.parent.name for path in results.glob("*/machine.json"))
    for result in iter_results_for_machine_and_hash(str(results), machine, commit):
        for key in result.get_all_result_keys():
            params = result.get_result_params(key)
            parts = (
                result.get_result_value(key, params),
                result.get_result_stats(key, params),
                result.get_result_samples(key, params),
            )
            for name, value, stats, samples in unroll_result(key, params, *parts):
                yield name, (value, (stats, samples))


def compare(name: str, unit: str, before: Any, now: Any, factor: float) -> Comparison:
    """The verdict on one benchmark: by the factor, and by asv's statistics where it has samples."""
    from asv.commands.compare import _is_result_better

    absent = (math.nan, (None, None))
    (old, old_samples), (new, new_samples) = before or absent, now or absent
    one = Comparison(name, unit, old, new, SAME)
    if new is None:
        return replace(one, verdict=FAILED_ON_BOTH if old is None else FAILED)
    if math.isnan(new):
        return replace(one, verdict=GONE)
    if old is None:
        return replace(one, verdict=REPAIRED)
    if math.isnan(old):
        return replace(one, verdict=NEW)
    if _is_result_better(old, new, old_samples, new_samples, factor):
        return replace(one, verdict=SLOWER)
    if _is_result_better(new, old, new_samples, old_samples, factor):
        return replace(one, verdict=FASTER)
    return one


def markdown(found: list[Comparison], base: str, head: str, factor: float) -> str:
    """The table, with its verdict in words above it."""
    lines = [
        f"### {title(found, base, head, factor)}",
        "",
        f"| | benchmark | {base[:8]} | {head[:8]} | now / before (above 1: slower) |",
        "|---|---|--:|--:|--:|",
    ]
    shown = [one for one in found if one.verdict != SAME]
    same = [one for one in found if one.verdict == SAME]
    for one in shown:
        lines.append(row(one))
    if same:
        extremes = (min(same, key=_ratio), max(same, key=_ratio))
        low, high = (f"{one.ratio:.2f}" for one in extremes)
        lines.append(f"| the same | {len(same)} benchmarks | | | {low} to {high} |")
    failing = [one for one in found if one.reason]
    if failing:
        lines += ["", f"Benchmarks that fail on {head[:8]}, apart from what got slower:", ""]
        lines += [f"- {one.name}, {one.verdict}: {code(one.reason)}" for one in failing]
    lines += ["", "<details><summary>All benchmarks</summary>", ""]
    lines += ["| | benchmark | before | now | now / before |", "|---|---|--:|--:|--:|"]
    lines += [row(one) for one in found]
    return "\n".join([*lines, "", "</details>"])


def title(found: list[Comparison], base: str, head: str, factor: float) -> str:
    return f"Speed of {head[:8]} beside {base[:8]}: {summary(found, factor)}"


def summary(found: list[Comparison], factor: float) -> str:
    """In a few words.

    >>> summary([Comparison("a", "s", 1.0, 2.0, SLOWER), Comparison("b", "s", 1.0, 1.0, SAME)], 1.3)
    '1 of 2 benchmarks slower by 1.3 or more'
    """
    slower = sum(one.verdict == SLOWER for one in found)
    failed = sum(one.verdict == FAILED for one in found)
    if not any(one.compared for one in found):
        text = f"nothing could be compared, as none of {len(found)} benchmarks has both numbers"
    else:
        text = f"{slower or 'none'} of {len(found)} benchmarks slower by {factor:g} or more"
    return text + (f", {failed} fail" if failed else "")


def row(one: Comparison) -> str:
    ratio = "" if math.isnan(one.ratio) else f"{one.ratio:.2f}"
    if not math.isnan(one.ratio_again):
        ratio += f", again {one.ratio_again:.2f}"
    state = f"**{one.verdict}**" if one.verdict in (SLOWER, FAILED) else one.verdict
    times = (value(number, one.unit) for number in (one.before, one.now))
    return f"| {' | '.join([state, one.name, *times, ratio])} |"


def code(text: str) -> str:
    """Text as Markdown shows it unchanged.

    >>> code("no `x`")
    '`` no `x` ``'
    """
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def value(number: float | None, unit: str) -> str:
    """A result for people, as asv writes it."""
    from asv.util import human_value

    if number is None:
        return "failed"
    return "n/a" if math.isnan(number) else str(human_value(number, unit))


def _ratio(one: Comparison) -> float:
    return one.ratio


def _number(ratio: float) -> float:
    return 0.0 if math.isnan(ratio) else ratio
