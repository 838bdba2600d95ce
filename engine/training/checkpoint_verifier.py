"""What the arrays of a checkpoint must be before they are used.

A checksum says that a file is as it was written, but not who wrote it. Kernels trust their
arguments, so each array is first compared with what its run expects.
"""

import math
import reprlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.training.checkpoint_files import Arrays, CheckpointError

# Which numbers an array may hold.
FINITE, NOT_NAN, ANY = range(3)
ROUNDING = 1e-3  # relative, between what two processors compute from the same parameters


class Expected(NamedTuple):
    """What an array must be: dtype, shape, and the range of its numbers, both ends included.

    With `empty`, it may also be an empty float64 array.
    """

    dtype: Any
    shape: tuple[int, ...]
    low: float = -math.inf
    high: float = math.inf
    numbers: int = FINITE
    empty: bool = False

    def fault_of(self, array: NDArray[Any]) -> str | None:
        """How an array differs from this, in words; None if it does not."""
        if self.empty and array.shape == (0,) and array.dtype == np.float64:
            return None
        if array.dtype != self.dtype:
            return f"is {array.dtype} and must be {np.dtype(self.dtype)}"
        if array.shape != self.shape:
            return f"has shape {array.shape} and must have {self.shape}"
        if array.size == 0 or self.numbers == ANY:
            return None
        smallest, largest = array.min().item(), array.max().item()  # NaN if there is one
        if self.numbers == FINITE and not (math.isfinite(smallest) and math.isfinite(largest)):
            return "holds numbers that are not finite"
        if not (self.low <= smallest and largest <= self.high):
            return f"holds numbers out of range ({smallest} to {largest})"
        return None


def fault_of(arrays: Arrays, expected: Mapping[str, Expected]) -> str | None:
    """The first array that is missing, unknown or wrong, in words; None if there is none."""
    for name in sorted({*arrays, *expected}):
        if name not in arrays:
            return f"{name} is missing"
        if name not in expected:
            return f"{reprlib.repr(name)} is no array of such a run"
        if fault := expected[name].fault_of(arrays[name]):
            return f"{name} {fault}"
    return None


class Verifier(NamedTuple):
    """Refuses a checkpoint that contradicts itself, or what its run knows.

    `previous` names the checkpoint before, if there is one; `exact` says whether this machine
    computes the same bits as the one that wrote the file.
    """

    file: str
    previous: str | None
    exact: bool = True

    def wrong(self, fault: str) -> CheckpointError:
        """The error for a fault of the file."""
        instead = "" if self.previous is None else f", or put {self.previous} in its place"
        return CheckpointError(
            f"{self.file} is not what this run can have written: {fault}. Nothing was trained. "
            f"Delete it to start anew{instead}."
        )

    def require(self, holds: Any, fault: str) -> None:
        """Raise CheckpointError unless a condition holds."""
        if not holds:
            raise self.wrong(fault)

    def require_arrays(self, arrays: Arrays, expected: Mapping[str, Expected]) -> None:
        """Raise CheckpointError unless these are exactly the expected arrays."""
        if fault := fault_of(arrays, expected):
            raise self.wrong(fault)

    def require_result(self, name: str, kept: float, computed: float) -> None:
        """Raise CheckpointError unless a saved number equals the one that is computed again."""
        same = kept == computed or (math.isnan(kept) and math.isnan(computed))
        if not self.exact:
            same = same or math.isclose(kept, computed, rel_tol=ROUNDING, abs_tol=ROUNDING)
        self.require(same, f"{name} is {kept}; its parameters give {computed}")
