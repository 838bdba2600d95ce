"""Columns that are not learnt from as a user may mean, and what a fit says of them."""

from engine.estimators.diagnosis import TrainingWarning
from engine.tables.columns import Columns
from engine.tables.messages import counted

MOST_NAMED = 10  # columns that a warning names


def notes_of(columns: Columns) -> list[str]:
    """Remarks on columns that are learnt from, perhaps otherwise than is meant."""
    return [
        f"{column.name!r} {column.note}."
        for column in columns.used
        if column.name in columns.doubts
    ]


def to_mend(columns: Columns) -> list[Warning]:
    """A warning of all columns that a user may want to mend; none if there are no such columns."""
    said = []
    for what, some in (
        ("Left out", columns.left_out),
        ("Learnt from, perhaps not as you mean", columns.used),
    ):
        notes = [f"{one.name!r} {one.note}" for one in some if columns.doubts.get(one.name)]
        more = f" and {counted(len(notes) - MOST_NAMED, 'column')} more" * (len(notes) > MOST_NAMED)
        said += [f"{what}: {'; '.join(notes[:MOST_NAMED])}{more}."] if notes else []
    if not said:
        return []
    name = next(name for name, to_mend in columns.doubts.items() if to_mend)
    used = {column.name: column.kind for column in columns.used}
    kind = used.get(name, "out")
    said.append(f"If that is meant, give the kind of each column: columns={{{name!r}: {kind!r}}}.")
    return [TrainingWarning(" ".join(said))]
