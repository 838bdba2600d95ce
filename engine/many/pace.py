"""How long fits side by side will take at most, by the pace of those that have ended an epoch."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine.estimators.progress_bar import Outlook

if TYPE_CHECKING:
    from engine.many.fits import Fit


class PaceOfFits:
    """The pace of fits, for a bar.

    Parameters
    ----------
    fits : sequence of Fit
    """

    def __init__(self, fits: "Sequence[Fit]") -> None:
        self._fits = fits
        self._pace: dict[int, float] = {}  # seconds of a multiply-add, by the number of the fit

    def outlook(self, under_way: Mapping[int, Any], waiting: Sequence[int]) -> Outlook:
        """What a bar shows of fits under way, by the watch of each, while others wait."""
        if not under_way:
            return Outlook()
        most = [self._most_epochs(number) for number in under_way]
        done = [watch.n_iter for watch in under_way.values()]
        epochs = sorted(min(n_iter + 1, n) for n_iter, n in zip(done, most, strict=True))
        span = " to ".join(map(str, dict.fromkeys((epochs[0], epochs[-1]))))
        part = sum(n_iter / n for n_iter, n in zip(done, most, strict=True))
        left = self._seconds_left(under_way, waiting)
        return Outlook(part, f"epoch {span} of {max(most)}", left)

    def _seconds_left(self, under_way: Mapping[int, Any], waiting: Sequence[int]) -> float | None:
        """Until all have ended, at most; None before the first epoch, and for several solvers.

        First those under way end, then as many at once of those that wait.
        """
        for number, watch in under_way.items():
            if (each := watch.seconds_each) is not None:
                self._pace[number] = each * self._most_epochs(number) / self._work[number]
        if not self._pace or len({getattr(fit.estimator, "solver", "") for fit in self._fits}) > 1:
            return None
        pace = max(self._pace.values())
        left = max(
            pace * self._work[number]
            if (seconds := watch.seconds_until(self._most_epochs(number))) is None
            else float(seconds)
            for number, watch in under_way.items()
        )
        rounds = -(-len(waiting) // len(under_way))
        longest = max((self._most_seconds(number, pace) for number in waiting), default=0.0)
        return left + rounds * longest

    def _most_seconds(self, number: int, pace: float) -> float:
        """Of a fit that waits."""
        most = getattr(self._fits[number].estimator, "max_time", None)
        return min(pace * self._work[number], math.inf if most is None else float(most))

    def _most_epochs(self, number: int) -> int:
        return int(self._fits[number].estimator.max_iter)

    @cached_property
    def _work(self) -> list[float]:
        """Of each fit, in multiply-adds."""
        return [fit.multiply_adds for fit in self._fits]
