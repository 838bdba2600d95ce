"""What an optimiser carries from one call of fit or partial_fit to the next."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.solvers.batches import in_order, no_order
from engine.solvers.state import (
    ADAM,
    ALPHA,
    COSINE,
    DAMPED,
    FAILURES,
    LOWEST,
    N_COUNTS,
    N_SUMS,
    RATE,
    REASON,
    SEEN,
    STEPS,
    Settings,
    State,
    first_memory,
)


@dataclass
class Optimiser:
    """Moments, number of steps, learning rate and the order of the samples.

    Attributes
    ----------
    update : int
        Which optimiser it is: PLAIN, MOMENTUM, NESTEROV or ADAM.
    first, second : ndarray (n_parameters,) or (0,)
        Velocity, or Adam's moments.
    steps : int
    rate_init, schedule : float, int
        The initial learning rate, and the code of its schedule.
    rate : float
        The current learning rate.
    beta_1, beta_2 : float
    order : ndarray (n_samples,)
        The order of the samples after the last shuffle.
    evidence : int
        Whether "lm" took the alpha of the evidence.
    theta, average : ndarray (n_parameters,) or None
        If the estimator has the average of the parameters: the parameters of the last step, from
        which training goes on, and a copy of that average.
    """

    update: int
    first: NDArray[Any]
    second: NDArray[Any]
    steps: int
    rate_init: float
    schedule: int
    rate: float
    beta_1: float
    beta_2: float
    order: NDArray[Any]
    evidence: int = 0
    theta: NDArray[Any] | None = None
    average: NDArray[Any] | None = None

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last step; for Adam, both bias corrections are included."""
        if self.update != ADAM or self.steps == 0:
            return self.rate
        t = self.steps
        return self.rate * math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)

    def fits(self, settings: Settings, n_parameters: int, dtype: Any) -> bool:
        """Whether it can continue with these settings."""
        first = first_memory(settings, n_parameters, dtype)
        return (
            (self.update == ADAM) == (settings.update == ADAM)
            and self.first.size == first.size
            and self.first.dtype == first.dtype
            and (self.update != DAMPED or self._damps(settings))
        )

    def _damps(self, settings: Settings) -> bool:
        """Whether the damping of "lm" can go on: not if it had ended, or had another alpha."""
        if self.first[REASON] or self.evidence != settings.evidence:
            return False
        return bool(settings.evidence or self.first[ALPHA] == settings.alpha)


def new_optimiser(settings: Settings, n_parameters: int, dtype: Any) -> Optimiser:
    """An optimiser before its first step."""
    return Optimiser(
        update=settings.update,
        first=first_memory(settings, n_parameters, dtype),
        second=np.zeros(n_parameters if settings.update == ADAM else 0, dtype),
        steps=0,
        rate_init=settings.learning_rate,
        schedule=settings.schedule,
        rate=settings.learning_rate,
        beta_1=settings.beta_1,
        beta_2=settings.beta_2,
        order=in_order(0),
    )


def state_of(
    optimiser: Optimiser,
    settings: Settings,
    theta: NDArray[Any],
    n_samples: int,
    words: NDArray[np.uint64],
    *,
    same_order: bool,
    ordered: bool,
    seen: int,
    lowest: float,
    failures: int,
) -> State:
    """The state of a descent that continues from here. It holds `theta` itself, not a copy.

    If theta is the average that the optimiser left, the descent goes on from the parameters of its
    last step. Else an average begins here.

    With `same_order`, it continues the order of the samples if their number is as before. If they
    are not `ordered`, since each step takes all of them, no order is kept.
    """
    goes_on = ordered and same_order and settings.shuffle == 1 and optimiser.order.size == n_samples
    counts = np.zeros(N_COUNTS, np.int64)
    counts[STEPS], counts[SEEN], counts[FAILURES] = optimiser.steps, seen, failures
    sums = np.zeros(N_SUMS)
    told_before = (optimiser.rate_init, optimiser.schedule)
    same_rate = told_before == (settings.learning_rate, settings.schedule)
    sums[RATE] = optimiser.rate if same_rate else settings.learning_rate
    sums[LOWEST] = lowest
    if settings.schedule == COSINE:  # which begins anew
        sums[RATE] = settings.learning_rate
    as_they_are = in_order if ordered else no_order
    average = theta.copy() if settings.average > 0 else np.empty(0, theta.dtype)
    goes_on_from = optimiser.theta if settings.average > 0 else None
    if goes_on_from is not None and np.array_equal(optimiser.average, theta):  # type: ignore[arg-type]
        theta = goes_on_from.copy()
    return State(
        theta=theta,
        first=optimiser.first.copy(),
        second=optimiser.second.copy(),
        order=optimiser.order.copy() if goes_on else as_they_are(n_samples),
        random=words,
        counts=counts,
        sums=sums,
        average=average,
    )


def optimiser_of(state: State, settings: Settings) -> Optimiser:
    """The optimiser at the end of a descent; it shares the arrays of the state."""
    return Optimiser(
        update=settings.update,
        first=state.first,
        second=state.second,
        steps=int(state.counts[STEPS]),
        rate_init=settings.learning_rate,
        schedule=settings.schedule,
        rate=float(state.sums[RATE]),
        beta_1=settings.beta_1,
        beta_2=settings.beta_2,
        order=state.order if state.order.flags.writeable else in_order(0),
        evidence=settings.evidence,
        theta=state.theta.copy() if state.average.size else None,
        average=state.average.copy() if state.average.size else None,
    )
