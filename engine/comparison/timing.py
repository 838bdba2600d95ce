"""How libraries are timed and compared: in turns, by the median of the rounds' ratios.

A machine's speed drifts over minutes, and neighbours come and go. Libraries that take turns meet
the same drift, so the ratio within a round is steadier than either time, and its median over the
rounds is steadier than a ratio of medians or of minima.
"""

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

MIN_ROUNDS = 7  # fewer say little about the spread

Clock = Callable[[], float]


class Spread(NamedTuple):
    """A median with the quartiles around it."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """The median of `values` and their quartiles.

    >>> spread([4.0, 1.0, 2.0, 3.0, 5.0])
    Spread(median=3.0, low=2.0, high=4.0)
    """
    low, middle, high = np.percentile(values, [25, 50, 75])
    return Spread(float(middle), float(low), float(high))


def seconds(act: Callable[[], Any], clock: Clock = time.perf_counter) -> float:
    """What one call takes, by the act's own clock if it has one."""
    return timed(act, clock)[0]


def timed(act: Callable[[], Any], clock: Clock = time.perf_counter) -> tuple[float, Any]:
    """What one call takes, and what it returns.

    An act that is done elsewhere, and timed there, says so by a method `seconds`.
    """
    by_its_own_clock = getattr(act, "seconds", None)
    if by_its_own_clock is not None:
        return by_its_own_clock(), act
    start = clock()
    found = act()
    return clock() - start, found


def in_turns(
    acts: Mapping[str, Callable[[], Any]], rounds: int, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each act in each round: A B C, A B C, ...

    Nothing is warmed up here: call each act once before, and time that apart.
    """
    times: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(rounds):
        for name, act in acts.items():
            times[name].append(seconds(act, clock))
    return times


def ratio(times: Sequence[float], to: Sequence[float]) -> Spread:
    """The rounds' ratios: each time divided by the other's in the same round.

    >>> ratio([2.0, 4.0, 9.0], to=[1.0, 2.0, 3.0])
    Spread(median=2.0, low=2.0, high=2.5)
    """
    return spread([one / other for one, other in zip(times, to, strict=True)])


def difference(times: Sequence[float], less: Sequence[float]) -> Spread:
    """The rounds' differences, in seconds."""
    return spread([one - other for one, other in zip(times, less, strict=True)])


def per_unit(times: Iterable[float], units: float) -> list[float]:
    """Seconds for one of the units that each call did."""
    return [time / units for time in times]


def geometric_mean(values: Sequence[float]) -> float:
    """The mean of ratios: that of the inverse ratios is its inverse.

    >>> geometric_mean([0.5, 2.0])
    1.0
    """
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def repeats(once: float, wanted: float) -> int:
    """How often to repeat what takes `once` seconds for a timing of about `wanted` seconds.

    >>> repeats(once=0.004, wanted=0.05)
    13
    """
    return max(1, math.ceil(wanted / once))


def several(act: Callable[[], Any], calls: int) -> Callable[[], None]:
    """So many calls, as one act to time: by the act's own clock, if it has one."""
    if hasattr(act, "seconds"):
        return SeveralByItsClock(act, calls)

    def in_a_row() -> None:
        for _ in range(calls):
            act()

    return in_a_row


class SeveralByItsClock:
    """So many calls of an act that says itself what it takes."""

    def __init__(self, act: Callable[[], Any], calls: int) -> None:
        self._act, self._calls = act, calls

    def seconds(self) -> float:
        """What they take in all."""
        return sum(seconds(self._act) for _ in range(self._calls))

    def __call__(self) -> None:
        self.seconds()


T = TypeVar("T")


def announced(items: Iterable[tuple[str, T]]) -> Iterator[T]:
    """Each item, after its label is shown in place of the one before."""
    items = list(items)
    for number, (label, item) in enumerate(items, start=1):
        _show(f"{number}/{len(items)}  {label}")
        yield item
    _show("")


def _show(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


LONGEST = 200  # letters of a reason


def in_one_line(error: Exception) -> str:
    """What an error says, for a table."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


class Turns:
    """The libraries of one part of a comparison.

    Attributes
    ----------
    names : list of str
        Those who have not failed.
    failed : dict of str
        Why the others did.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self.failed: dict[str, str] = {}

    def each(self, act: Callable[[str], T], part: str = "") -> dict[str, T]:
        """What comes of `act` for one after another, but for those who fail in it.

        Where the `part` is named, so is each library, on a terminal, before its turn.
        """
        found: dict[str, T] = {}
        named = [(f"{part}: {name}", name) for name in self.names]
        for name in announced(named) if part else list(self.names):
            try:
                found[name] = act(name)
            except Exception as error:  # a library that fails is a result, not the end
                self.names.remove(name)
                self.failed[name] = in_one_line(error)
        return found

    def rounds(self, act: Callable[[str], T], number: int, part: str = "") -> dict[str, list[T]]:
        """The same so often, A B C, A B C: for those who did not fail in any round."""
        labels = [f"{part}, round {one + 1}" if part else "" for one in range(number)]
        found = [self.each(act, label) for label in labels]
        return {name: [one[name] for one in found] for name in self.names}
