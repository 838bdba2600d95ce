"""When a run stops for lack of improvement: `tol`, `n_iter_no_change`, as scikit-learn counts."""

import numpy as np

from engine.compiler.jit import shared
from engine.solvers.learning_rate import divide_rate
from engine.solvers.state import FAILURES, LOWEST, STAGNANT


@shared
def count_improvement(state, settings, cost):
    """Count an epoch that does not improve on the lowest cost by tol, and act on too many in a row.

    An epoch improves if its cost is below the lowest before it by at least tol, or by that share of
    it. Too many that do
    not divide an adaptive learning rate, or end the run if the settings say so.
    """
    counts, sums, least = state.counts, state.sums, settings.tol
    if settings.relative == 1 and settings.judged == 0 and sums[LOWEST] < np.inf:
        least *= abs(sums[LOWEST])
    improved = cost <= sums[LOWEST] - least and cost < np.inf  # a NaN has not
    counts[FAILURES] = 0 if improved else counts[FAILURES] + 1
    if cost < sums[LOWEST]:
        sums[LOWEST] = cost
    if counts[FAILURES] < settings.patience:
        return
    if divide_rate(state, settings):
        counts[FAILURES] = 0
    elif settings.stops == 1:
        counts[STAGNANT] = 1
