"""What a conversion was asked for, kept beside what it made: a call that is made again finds it."""

from pathlib import Path
from typing import Any

from engine.tables.facts import Facts
from engine.tables.on_disk import ConvertedTable, open_table
from engine.tables.stream import TableFiles
from engine.training.run_identity import differences

TABLES = "tables"


class OtherConversion(ValueError):
    """A folder that another call has made."""

    def __init__(self, folder: Path, differences: list[str]) -> None:
        super().__init__(
            f"{folder} exists already, and was converted otherwise: {'; '.join(differences)}. "
            "Nothing in it was changed; name another folder, or train on it as it is."
        )
        self.differences = differences


def asked_of(files: TableFiles, **given: Any) -> Facts:
    """The tables, with size and time of each, and the arguments, as JSON holds them."""
    stamps = zip(files.paths, files.stamps(), strict=True)
    return {TABLES: [[str(path.resolve()), *stamp] for path, stamp in stamps], **given}


def made_before(folder: Path, asked: Facts) -> ConvertedTable:
    """The table in the folder, if that is what was asked for.

    Raises
    ------
    ValueError
        If not, with what differs, or for a folder that is damaged.
    """
    table = open_table(folder)
    then = table.facts["about"]["asked"]
    differ = differences({**then, TABLES: None}, {**asked, TABLES: None})
    if then.get(TABLES) != asked[TABLES]:
        differ.insert(0, "the tables are others, or have changed")
    if differ:
        raise OtherConversion(folder, differ)
    return table
