"""What the checks found, for people: 80 columns of plain text."""

import textwrap
from io import StringIO

from engine.checks.outcomes import BACKENDS, GRADIENT, THREADS, Check, Verification

WIDTH = 80
TITLES = {
    GRADIENT: "Gradient against measured slopes of the loss",
    BACKENDS: "Three implementations against each other",
    THREADS: "One thread against several",
}


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
    told = [wrapped(f"Verification of {verification.model}"), "", *lines, "", *conclusion(verification)]
    return "\n".join([*told, *([""] if notes else []), *(wrapped(note, "  ") for note in notes)])


def figures(check: Check) -> tuple[str, str]:
    """Deviation and tolerance; where none is tolerated, bits are what counts."""
    if check.deviation != check.deviation:
        return "not comparable", ""
    if check.tolerance > 0:
        return f"{check.deviation:.1e}", f"{check.tolerance:.1e}"
    return ("same bits" if check.ok else f"{check.deviation:.1e}"), "same bits"


def verdict(check: Check) -> str:
    """One word."""
    return "ok" if check.ok else "FAILED"


def conclusion(verification: Verification) -> list[str]:
    """All is well, or what is not and where."""
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
    if any(check.deviation == check.deviation for check in failed):
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
