"""What the checks found, as numbers."""

import math
from dataclasses import dataclass, field

GRADIENT, BACKENDS, THREADS = "gradient", "backends", "threads"


@dataclass(frozen=True)
class Check:
    """One comparison: its worst deviation, and what is tolerated.

    Attributes
    ----------
    name : str
        "gradient", "backends" or "threads".
    at : str
        At which parameters: "initial values" or "fitted values"; or "training".
    what : str
        What was compared: "loss", "gradient", "loss and gradient", "activations" of the output, or
        "coefficients".
    deviation, tolerance : float
        Of the place that came closest to its tolerance, or exceeded it most. Tolerances differ
        from place to place, so another place may deviate more. NaN where there was nothing to
        compare.
    where : str
        That place.
    """

    name: str
    at: str
    what: str
    deviation: float
    tolerance: float
    where: str

    @property
    def ok(self) -> bool:
        """Whether the deviation is within the tolerance; a NaN never is."""
        return self.deviation <= self.tolerance

    @property
    def excess(self) -> float:
        """The deviation in tolerances; infinite for a NaN, and for any where none is tolerated."""
        if self.deviation <= 0:
            return 0.0
        if math.isnan(self.deviation) or self.tolerance <= 0:
            return math.inf
        return self.deviation / self.tolerance


def worst(checks: list[Check]) -> Check:
    """The one with the largest excess."""
    return max(checks, key=lambda check: check.excess)


def unusable(name: str, at: str, what: str, loss: float) -> Check:
    """The outcome where the loss, or what follows from it, is not finite."""
    return Check(name, at, what, math.nan, math.nan, f"the loss is {loss:g}")


@dataclass(frozen=True)
class Verification:
    """What `engine.verify` found. `str()` of it is the report.

    Attributes
    ----------
    model : str
        What was checked.
    checks : tuple of Check
    notes : tuple of str
        What a reader should know: what was left out, and why.
    seconds : float
        What it took.
    """

    model: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = field(default=())
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every check is within its tolerance."""
        return all(check.ok for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that are not."""
        return tuple(check for check in self.checks if not check.ok)

    def __str__(self) -> str:
        from engine.checks.report import report

        return report(self)

    def __repr__(self) -> str:
        n = len(self.checks)
        said = f"all {n} checks passed" if self.ok else f"{len(self.failed)} of {n} checks FAILED"
        return f"<Verification of {self.model}: {said}>"
