"""Which part of the rows each row is: to learn from, to stop by, or held out; each by itself."""

import numpy as np
from numpy.typing import NDArray

from engine.boundary import settings
from engine.tables.facts import PARTS
from engine.tables.stream import Batch, TableFiles

VALIDATION_SHARE = 0.1  # of the rows that are not held out, to stop by,
VALIDATION_ROWS = 100_000  # or, of a large table, about so many
LEAST_ROWS = 50
OUTSIDE = -1  # the part of a row without a target


def shares_of(
    files: TableFiles, test_fraction: float, validation_fraction: float | None
) -> tuple[float, float]:
    """Shares of all rows: held out, and set aside to stop by."""
    held_out = settings.share("test_fraction", test_fraction)
    if validation_fraction is None:
        n_rows = files.estimated_rows() * (1 - held_out)
        aside = min(VALIDATION_SHARE, VALIDATION_ROWS / max(1.0, n_rows))
        aside *= n_rows >= LEAST_ROWS
    else:
        aside = settings.share("validation_fraction", validation_fraction)
    return held_out, (1 - held_out) * aside


class Dealer:
    """The part of each row: a random number for each, the same ones in every pass."""

    def __init__(self, target: str, shares: tuple[float, float], seed: int) -> None:
        self._target = target
        self._bounds = np.cumsum(shares)
        self._generator = np.random.Generator(np.random.PCG64(seed))

    def parts(self, batch: Batch) -> NDArray[np.int8]:
        """Numbers of PARTS, or OUTSIDE for rows without a target."""
        drawn = self._generator.random(batch.frame.height)
        # Held out, to stop by, to learn from: in PARTS from the last to the first.
        parts = (len(PARTS) - 1 - np.searchsorted(self._bounds, drawn, side="right")).astype(
            np.int8
        )
        parts[batch.frame[self._target].is_null().to_numpy()] = OUTSIDE
        return parts
