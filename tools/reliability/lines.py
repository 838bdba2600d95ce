"""A line of the table of faults: what happened, how it was provoked, how often, what was lost."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Line:
    """One fault.

    Attributes
    ----------
    fault : str
    provoked : str
        How, in words.
    times : int
        How often it was provoked.
    kept : str
        What the message said, and what was there afterwards.
    lost : str
        What was lost, from what was seen.
    failures : list of str
        Times that ended otherwise than they should have; none, if all is well.
    """

    fault: str
    provoked: str
    times: int = 0
    kept: str = ""
    lost: str = ""
    failures: list[str] = field(default_factory=list)

    def expect(self, holds: bool, otherwise: Any) -> None:
        """Note a failure unless something holds."""
        if not holds:
            self.failures.append(str(otherwise))


def table_of(lines: Iterable[Line]) -> str:
    """The lines as a table in Markdown."""
    rows = ["| fault | how it was provoked | times | what was kept | what was lost |"]
    rows.append("|---|---|--:|---|---|")
    for line in lines:
        lost = line.lost
        if line.failures:
            lost = f"**{len(line.failures)} FAILED**: {line.failures[0][:200]}"
        cells = (line.fault, line.provoked, f"{line.times:,}", line.kept, lost)
        rows.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(rows)
