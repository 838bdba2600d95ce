"""A table larger than memory, whose conversion is killed, or meets a full disk."""

import hashlib
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from engine import convert_table, open_table
from tools.reliability.children import Child, outcome_of
from tools.reliability.disks import can_mount, filled, small_disk
from tools.reliability.lines import Line

ROWS = 40_000


def conversion_killed(times: int) -> Line:
    """SIGKILL at random moments: the folder is whole, or it is not there."""
    line = Line("`engine convert` killed", "SIGKILL at random moments of a conversion")
    generator = np.random.default_rng(3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = _table(folder)
        expected = _digest(convert_table(table, folder / "reference", "y").folder)
        whole = 0
        for number in range(times):
            target = folder / f"converted-{number}"
            child = Child(partial(_converted, table, target), folder)
            if not child.ended(generator.uniform(0.0, 1.0)):
                child.kill()
                line.times += 1
            if target.exists():
                whole += 1
                line.expect(_digest(target) == expected, "half a table that looks whole")
        again = folder / "again"
        convert_table(table, again, "y")
        line.expect(_digest(again) == expected, "another table")
    line.kept = (
        "no folder of that name, or a whole one; the source is never written to; what was "
        "unfinished has a name of its own that says so"
    )
    line.lost = "the conversion, which is begun anew"
    return line


def conversion_on_a_full_disk(times: int) -> Line:
    """A disk without room for the arrays."""
    line = Line("`engine convert` on a full disk", "a file system of 1 MB, too small or filled")
    if not can_mount():
        line.provoked += "; left out, since nothing can be mounted here"
        return line
    with tempfile.TemporaryDirectory() as name:
        outside = Path(name)
        table = _table(outside)
        for number in range(times):
            with small_disk() as folder:
                target = folder / "converted"
                convert: Callable[[], str] = partial(_converted, table, target)
                ended = outcome_of(
                    partial(filled, folder, convert) if number % 2 else convert, outside
                )
                line.times += 1
                said = str(ended.error)
                line.expect(isinstance(ended.error, OSError), repr(ended.error))
                line.expect("are free. Nothing was written" in said or "disk is full" in said, said)
                left = [path.name for path in folder.iterdir() if path.name != "filler"]
                line.expect(not left, f"{left} was left")
    line.kept = "an error that says so, before the work where the room can be counted"
    line.lost = "nothing; what had been written is removed"
    return line


def _table(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    columns = generator.normal(size=(ROWS, 6))
    table = np.column_stack([columns, columns[:, 0] * columns[:, 1]])
    path = folder / "table.csv"
    header = ",".join([*"abcdef", "y"])
    np.savetxt(path, table, delimiter=",", header=header, comments="", fmt="%.6g")
    return path


def _converted(table: Path, folder: Path) -> str:
    return str(convert_table(table, folder, "y").folder)


def _digest(folder: Path) -> str:
    """Of all numbers of a converted table."""
    table = open_table(folder)
    digest = hashlib.sha256()
    for part in (table.training, table.validation, table.held_out):
        if part is not None:
            digest.update(np.ascontiguousarray(part.X).tobytes())
            digest.update(np.ascontiguousarray(part.y).tobytes())
    return digest.hexdigest()
