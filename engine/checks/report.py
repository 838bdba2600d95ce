"""What the checks found: as numbers, and as a report in 80 columns of plain text."""

import math
import textwrap
from dataclasses import dataclass, field
from io import StringIO

OWN_LOSS, GRADIENT, BACKENDS, THREADS = "own loss", "gradient", "backends", "threads"
SECOND_RESULT, THIRD_RESULT = "second result", "third result"

WIDTH = 80
# What to do about the results of a function of the user's own.
ADVICE = {
    SECOND_RESULT: "The second result of {!r} is not the derivative of its first by z: correct the "
    "function",
    THIRD_RESULT: "The third result of {!r} must be finite and not negative: return the second "
    "derivative by z only where that is positive, else a positive number in its place",
}
TITLES = {
    OWN_LOSS: "Your own loss against measured slopes of it",
    GRADIENT: "Gradient against measured slopes of the loss",
    BACKENDS: "Three implementations against each other",
    THREADS: "One thread against several",
}


@dataclass(frozen=True)
class Check:
    """One comparison: its worst deviation, and what is tolerated.

    Attributes
    ----------
    name : str
        "gradient", "backends" or "threads"; "own loss" for a `losses.Compiled`.
    at : str
        At which parameters: "initial values" or "fitted values"; or "training".
    what : str
        What was compared: "loss", "gradient", "loss and gradient", "activations" of the output, or
        "coefficients"; "second result" or "third result" of a function.
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
    own_loss : str
        The name of the function of a `losses.Compiled`; else empty.
    """

    model: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = field(default=())
    seconds: float = 0.0
    own_loss: str = ""

    @property
    def ok(self) -> bool:
        """Whether every check is within its tolerance."""
        return all(check.ok for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that are not."""
        return tuple(check for check in self.checks if not check.ok)

    def __str__(self) -> str:
        return report(self)

    def __repr__(self) -> str:
        n = len(self.checks)
        said = f"all {n} checks passed" if self.ok else f"{len(self.failed)} of {n} checks FAILED"
        return f"<Verification of {self.model}: {said}>"


def report(verification: Verification) -> str:
    """The table, the verdict and the notes."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("deviation", justify="right", no_wrap=True)
    table.add_column("tolerance", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for name, title in TITLES.items():
        table.add_row(title)
        for check in verification.checks:
            if check.name == name:
                table.add_row(f"  {check.what}, {check.at}", *figures(check), verdict(check))
    console = Console(file=StringIO(), width=WIDTH, color_system=None, highlight=False)
    console.print(table)
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.rstrip() for line in drawn.rstrip().splitlines()]
    notes = [f"- {note}" for note in verification.notes]
    lines = [
        wrapped(f"Verification of {verification.model}"),
        "",
        *lines,
        "",
        *conclusion(verification),
    ]
    return "\n".join([*lines, *([""] if notes else []), *(wrapped(note, "  ") for note in notes)])


def figures(check: Check) -> tuple[str, str]:
    """Deviation and tolerance as text; without a tolerance, bits must be the same."""
    if check.deviation != check.deviation:
        return "not comparable", ""
    if check.tolerance > 0:
        return f"{check.deviation:.1e}", f"{check.tolerance:.1e}"
    return ("same bits" if check.ok else f"{check.deviation:.1e}"), "same bits"


def verdict(check: Check) -> str:
    """Whether a check passed, in one word."""
    return "ok" if check.ok else "FAILED"


def conclusion(verification: Verification) -> list[str]:
    """That all checks passed, or which failed and where."""
    n, took = len(verification.checks), f"in {verification.seconds:.1f} seconds"
    if verification.ok:
        return [f"All {n} checks passed, {took}: what deviates is rounding."]
    failed = verification.failed
    lines = [f"{len(failed)} of {n} checks FAILED, {took}:"]
    for check in failed:
        lines.append(wrapped(f"  {check.name}: {check.what}, {check.at}: {check.where}", "    "))
    if any(check.deviation != check.deviation for check in failed):
        lines.append(
            wrapped(
                "Where the loss is not finite nothing can be compared: scale the inputs to mean 0 "
                "and variance 1 (StandardScaler)."
            )
        )
    of_loss = {check.what for check in failed if check.name == OWN_LOSS}
    lines += [wrapped(f"{ADVICE[what]}.".format(verification.own_loss)) for what in sorted(of_loss)]
    excused = (OWN_LOSS, GRADIENT) if SECOND_RESULT in of_loss else (OWN_LOSS,)
    ours = [check for check in failed if check.name not in excused]
    if any(check.deviation == check.deviation for check in ours):
        lines.append(
            wrapped(
                "Do not trust this model's numbers here. Please report it, with this text and that "
                "of the command `engine info`."
            )
        )
    return lines


def wrapped(text: str, indent: str = "") -> str:
    """Text in lines of 80 columns."""
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False)
