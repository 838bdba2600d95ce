"""A first look at a user's own loss: whether its derivative can be that of its cost.

A wrong derivative trains without an error, to wrong parameters. So five targets of the data are
compared before training, in less than 0.1 ms; `engine.verify` looks closely.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.equations.losses import SLOPE, VALUE, KernelLoss, call_own_loss

APART = np.array([0.37, -0.61, 0.83, -1.19, 1.57])  # of z from the target
FEWEST = 4  # pairs of z and y at which the cost has a slope
FAR_OFF = 0.01  # of the larger of both numbers
SMOOTH = 0.001  # the slopes over two steps agree to this share
STEP, LARGEST = 1e-4, 1e6  # of z, beyond which such steps are mostly rounding
NOISE = 32 * float(np.finfo(np.float64).eps)  # of the cost

# The z of a prediction that equals the target, or is near it where that z would be infinite.
Z_OF: dict[str, Callable[[Any], Any]] = {
    "identity": lambda y: y,
    "exp": lambda y: np.log(np.where(y > 0, y, 1)),
    "sigmoid": lambda y: np.log(np.clip(y, 0.1, 0.9) / (1 - np.clip(y, 0.1, 0.9))),
}


def wrong_derivative(loss: KernelLoss, name: str, output: str, targets: NDArray[Any]) -> str:
    """A message if the derivative is far off for all targets that are compared; else empty.

    Parameters
    ----------
    loss : KernelLoss
    name, output : str
        Of the loss.
    targets : ndarray
        All targets, of any shape.
    """
    places = np.linspace(0, targets.size - 1, len(APART)).astype(np.int64)
    y = targets.flat[places].astype(np.float64)
    with np.errstate(all="ignore"):
        z = Z_OF[output](y) + APART
        returned = results(loss, SLOPE, z, y)
        above = np.concatenate([z + STEP, z + STEP / 2])
        below = np.concatenate([z - STEP, z - STEP / 2])
        both = np.concatenate([y, y])
        up, down = results(loss, VALUE, above, both), results(loss, VALUE, below, both)
        long, short = ((up - down) / (above - below)).reshape(2, -1)
        noise = NOISE * (np.abs(up) + np.abs(down))[len(z) :] / STEP
        is_slope = np.abs(long - short) <= SMOOTH * np.abs(short)  # not for a NaN
        is_slope &= np.abs(z) <= LARGEST
        allowed = FAR_OFF * np.maximum(np.abs(returned), np.abs(short)) + noise
        far = ~(np.abs(returned - short) <= allowed)
    if np.count_nonzero(is_slope) < FEWEST or not far[is_slope].all():
        return ""
    i = int(is_slope.argmax())
    return (
        f"The loss {name!r} returns {returned[i]:.4g} as its derivative at z={z[i]:.4g}, "
        f"y={y[i]:.4g}; from its cost it is {short[i]:.4g}. Its second result must be the "
        "derivative of its first by z."
    )


def results(
    loss: KernelLoss, which: int, z: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A result of the function for each pair: VALUE, SLOPE or CURVATURE."""
    found: NDArray[np.float64] = call_own_loss(loss, which, z[np.newaxis, :], y[np.newaxis, :])[0]
    return found
