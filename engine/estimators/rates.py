"""Whether the learning rate of a fit was too high, by its loss curve.

Where the thresholds come from: docs/decisions/0016-diagnosis.md.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from engine.estimators.remedies import Finding
from engine.network import Network

# Too high if the loss rises to so many times that of the first epoch,
RISE = 2.0
# ends at so many times its lowest, by medians of windows of so many epochs,
FALLBACK, WINDOW = 2.0, 5
# ends at so many times that of a classifier that knows nothing, and does not come down,
UNINFORMED = 1.5
# or rises by more than a share in so many of the last epochs.
JUMP, JUMPS, LAST_STEPS = 0.4, 3, 10
# Below this share of the first loss, differences are small.
SMALL = 0.05


def too_high(network: Network, curve: Sequence[float], rate: float) -> list[Finding]:
    """A finding if the loss rose, jumps, or stopped being finite; else none.

    Examples
    --------
    >>> from engine import Network
    >>> from engine.estimators.rates import too_high
    >>> from engine.estimators.remedies import in_python
    >>> network = Network((4, 10, 3), output="softmax")
    >>> too_high(network, [1.1, 0.9, 0.7, 0.6, 0.5], 0.01)
    []
    >>> print(in_python(too_high(network, [1.1, 14.0, 9.5, 5.4, 5.0, 3.4], 10.0)[0]))
    The learning rate is too high: the loss rose from 1.1 in the first epoch to 14 later. Steps
    that are too long leap over the minimum. Try learning_rate_init=1 in place of 10.
    """
    seen = _seen(network, curve)
    if seen is None:
        return []
    return [
        Finding(
            f"The learning rate is too high: {seen}. Steps that are too long leap over the "
            "minimum.",
            "try a lower rate",
            {"rate": rate, "lower": rate / 10},
        )
    ]


def _seen(network: Network, curve: Sequence[float]) -> str | None:
    """What the curve shows that a good rate would not, or None."""
    if not all(map(math.isfinite, curve)):
        epoch, loss = next((t, J) for t, J in enumerate(curve, 1) if not math.isfinite(J))
        return f"the loss is {loss:g} in epoch {epoch}"
    if len(curve) < WINDOW:
        return None
    first = curve[0]
    if sorted(curve)[-2] > RISE * first:  # one epoch alone may be chance
        return f"the loss rose from {first:.3g} in the first epoch to {max(curve):.3g} later"
    lowest, end = _lowest_and_last(curve)
    if end > FALLBACK * lowest + SMALL * first:
        return f"the loss had come down to {lowest:.3g}, but ended at {end:.3g}"
    steps = list(pairwise(curve[-LAST_STEPS - 1 :]))
    uninformed = _uninformed(network)
    if end > UNINFORMED * uninformed and sum(before < J for before, J in steps[-WINDOW:]) > 1:
        return (
            f"the loss ended at {end:.3g}, above the {uninformed:.3g} of a network that gives all "
            "classes the same probability"
        )
    jumps = sum(J - before > JUMP * max(before, SMALL * first) for before, J in steps)
    if jumps >= JUMPS:
        return (
            f"the loss still jumps, {jumps} times by more than {JUMP:.0%} in the last "
            f"{LAST_STEPS} epochs"
        )
    return None


def _lowest_and_last(curve: Sequence[float]) -> tuple[float, float]:
    """Of the medians of windows, so that neither is a matter of one epoch."""
    windows = np.array(curve[len(curve) % WINDOW :]).reshape(-1, WINDOW)
    windows.sort(axis=1)
    medians = windows[:, WINDOW // 2]
    return float(medians.min()), float(medians[-1])


def _uninformed(network: Network) -> float:
    """The loss of a classifier that gives all classes the same probability; else no bound."""
    if network.output == "softmax":
        return math.log(network.sizes[-1])
    return network.sizes[-1] * math.log(2) if network.output == "sigmoid" else math.inf
