"""The learning rate, by `schedule`: constant, invscaling (U6), adaptive (U7) or cosine (U11)."""

import numpy as np

from engine.compiler.jit import compiled_once, shared
from engine.solvers.state import (
    ADAPTIVE,
    CONSTANT,
    COSINE,
    INVSCALING,
    RATE,
    SEEN,
    STEPS,
)

SCHEDULES = {
    "constant": CONSTANT,
    "invscaling": INVSCALING,
    "adaptive": ADAPTIVE,
    "cosine": COSINE,
}

MOST_STEPS = 2**62  # of a cosine, so that kernels can count and double them

ADAPTIVE_DIVISOR = 5  # of an adaptive rate, after too many epochs without improvement
SMALLEST_ADAPTIVE_RATE = 1e-6  # an adaptive rate below is not divided any more


def steps_of_epochs(n_epochs: int, n_samples: int, batch_size: int) -> int:
    """The steps of so many epochs: those of a whole cosine.

    >>> steps_of_epochs(200, n_samples=100, batch_size=32)
    800
    """
    return min(int(n_epochs) * -(-n_samples // batch_size), MOST_STEPS)


@shared
def scale_rate(state, settings):
    """The rate of the next epoch, if it falls with the samples seen so far."""
    if settings.schedule == INVSCALING:
        seen = np.float64(state.counts[SEEN] + 1)
        state.sums[RATE] = settings.learning_rate / seen**settings.power_t  # U6


@shared
def divide_rate(state, settings):
    """Divide an adaptive rate, unless it is too small already; whether it was divided."""
    divides = settings.schedule == ADAPTIVE and state.sums[RATE] > SMALLEST_ADAPTIVE_RATE
    if divides:
        state.sums[RATE] /= ADAPTIVE_DIVISOR  # U7
    return divides


@shared
def follow_cosine(state, settings):
    """The rate of the step that comes next, if it follows a cosine; called before that step."""
    if settings.schedule == COSINE:
        taken = state.counts[STEPS] - settings.schedule_from
        state.sums[RATE] = cosine_rate(settings.learning_rate, taken, settings.schedule_steps)


@compiled_once
def cosine_rate(learning_rate, taken, n_steps):
    """The rate after `taken` of `n_steps` steps, in float64: the one given at first, 0 at the end.

    eta_0 (1 + cos(pi x)) / 2 with x = taken / n_steps. That is eta_0 cos^2(pi x / 2), or
    eta_0 sin^2(pi (1 - x) / 2), which keeps its digits near the end. Both series are exact to
    rounding up to pi/4. Python calls the compiled function, too, and no library's cosine: so the
    bits are the same on each backend.
    """
    left = max(n_steps - taken, 0)
    if 2 * taken <= n_steps:
        square = (0.5 * np.pi * (taken / n_steps)) ** 2
        series = 1.0
        for n in range(16, 0, -2):  # 1 - y^2 / 2! + y^4 / 4! - ...
            series = 1.0 - series * square / (n * (n - 1))
        return learning_rate * (series * series)  # U11
    angle = 0.5 * np.pi * (left / n_steps)
    square, series = angle * angle, 1.0
    for n in range(17, 1, -2):  # 1 - y^2 / 3! + y^4 / 5! - ..., times y
        series = 1.0 - series * square / (n * (n - 1))
    return learning_rate * (series * angle * (series * angle))  # U11
