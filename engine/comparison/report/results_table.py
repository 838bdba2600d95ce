"""The table of all problems: each library's time and ratio, or why there is none."""

from collections.abc import Sequence
from typing import NamedTuple

from engine.comparison.libraries import Library
from engine.comparison.report.formatting import digits, joined, quartiles
from engine.comparison.report.results import NoRatio, fastest, mark, share_of_gemm, title_of
from engine.comparison.timing import Spread
from engine.comparison.training_timings import TrainingRow


class Cell(NamedTuple):
    """What is said of one library on one problem."""

    name: str
    time: str = ""
    time_quartiles: str = ""
    ratio: str = ""
    ratio_quartiles: str = ""
    tone: str = ""  # "ahead" or "behind": of the base
    is_fastest: bool = False
    share: str = ""  # of gemm's rate
    mark: str = ""
    note: int = 0


class TableLine(NamedTuple):
    """A problem's cells, in the order of the libraries."""

    problem: str
    dtype: str
    kind: str
    samples: str
    cells: list[Cell]


class Note(NamedTuple):
    """A reason, said once, with the problems that it holds for."""

    number: int
    label: str
    kind: str
    reason: str
    where: str


class RowTable(NamedTuple):
    """The whole table."""

    names: list[str]
    lines: list[TableLine]
    notes: list[Note]


class Reasons:
    """Each reason once, in the order in which they come up, with whom and where it holds for."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, NoRatio], tuple[dict[str, None], dict[str, None]]] = {}

    def number(self, label: str, said: NoRatio, where: str) -> int:
        """Of a reason, which is kept."""
        # That the base has no time is one reason for all the others.
        key = ("" if said.kind == "no ratio" else label, said)
        labels, places = self._known.setdefault(key, ({}, {}))
        labels[label] = places[where] = None
        return list(self._known).index(key) + 1

    def notes(self, n_rows: int) -> list[Note]:
        return [
            Note(
                number,
                joined(list(labels)),
                said.kind,
                said.reason,
                "all problems" if len(places) == n_rows else ", ".join(places),
            )
            for number, ((_, said), (labels, places)) in enumerate(self._known.items(), start=1)
        ]


def row_table(rows: Sequence[TrainingRow], contenders: dict[str, Library], base: str) -> RowTable:
    """A line for each row, and the reasons below; who has no entry at all has no column."""
    reasons = Reasons()
    names = [name for name in contenders if any(name in row["entries"] for row in rows)]
    lines = [_line(row, names, contenders, base, reasons) for row in rows]
    for name, library in contenders.items():
        if name not in names:
            for row in rows:
                said = mark(row, name, library, base)
                if said is not None:
                    reasons.number(library["label"], said, title_of(row))
    return RowTable(names, lines, reasons.notes(len(rows)))


def _line(
    row: TrainingRow,
    names: Sequence[str],
    contenders: dict[str, Library],
    base: str,
    reasons: Reasons,
) -> TableLine:
    first = fastest(row)
    cells = []
    for name in names:
        said = mark(row, name, contenders[name], base)
        label = contenders[name]["label"]
        number = reasons.number(label, said, title_of(row)) if said else 0
        cells.append(_cell(row, name, base, said, number, name == first))
    return TableLine(
        row["problem"],
        row["dtype"],
        f"{row['hidden']}, {row['output']}",
        f"{row['n_samples']:,} by {row['batch_size']:,}",
        cells,
    )


def _cell(
    row: TrainingRow, name: str, base: str, said: NoRatio | None, number: int, first: bool
) -> Cell:
    entry = row["entries"].get(name, {})
    cell = Cell(name, is_fastest=first, mark=said.kind if said else "", note=number)
    if "us_per_sample" in entry:
        time = Spread(*entry["us_per_sample"])
        cell = cell._replace(time=digits(time.median), time_quartiles=quartiles(time))
        share = share_of_gemm(row, name)
        if share is not None:
            cell = cell._replace(share=f"{share:.0%}")
    if said is None and name != base:
        ratio = Spread(*entry["ratio"])
        tone = "behind" if ratio.median < 1 else "ahead" if ratio.median > 1 else ""
        cell = cell._replace(
            ratio=digits(ratio.median), ratio_quartiles=quartiles(ratio), tone=tone
        )
    return cell
