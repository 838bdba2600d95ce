"""The learning rate over the epochs, by `schedule`: constant, invscaling (U6) or adaptive (U7)."""

import numpy as np

from engine.compiler.jit import shared
from engine.solvers.state import ADAPTIVE, CONSTANT, INVSCALING, RATE, SEEN

SCHEDULES = {"constant": CONSTANT, "invscaling": INVSCALING, "adaptive": ADAPTIVE}

ADAPTIVE_DIVISOR = 5  # of an adaptive rate, after too many epochs without improvement
SMALLEST_ADAPTIVE_RATE = 1e-6  # an adaptive rate below is not divided any more


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
