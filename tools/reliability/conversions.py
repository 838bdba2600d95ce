"""A table larger than memory, whose conversion is killed, or meets a full disk."""

import hashlib
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from engine import open_table
from tools.reliability.commands import QUIET, engine_command, killed
from tools.reliability.disks import can_mount, fill, small_disk
from tools.reliability.lines import Line

ROWS = 40_000


def conversion_killed(times: int) -> Line:
    """SIGKILL at random moments: the folder is whole, or it is not there."""
    line = Line("`engine convert` killed", "SIGKILL at random moments of the command")
    generator = np.random.default_rng(3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = _table(folder)
        start = time.perf_counter()
        subprocess.run(_command(table, folder / "reference"), check=True, capture_output=True)
        seconds = time.perf_counter() - start
        expected = _digest(folder / "reference")
        for number in range(max(times // 2, 3)):
            target = folder / f"converted-{number}"
            process = subprocess.Popen(_command(table, target), **QUIET)
            line.times += killed(process, generator.uniform(0.3, 1.1) * seconds)
            if target.exists():
                line.expect(_digest(target) == expected, "half a table that looks whole")
                shutil.rmtree(target)
        subprocess.run(_command(table, folder / "again"), check=True, capture_output=True)
        line.expect(_digest(folder / "again") == expected, "another table")
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
        table = _table(Path(name))
        for number in range(max(times // 2, 4)):
            with small_disk() as folder:
                if number % 2:
                    fill(folder)
                done = subprocess.run(
                    _command(table, folder / "converted"),
                    capture_output=True,
                    text=True,
                    check=False,
                )
                line.times += 1
                line.expect(done.returncode == 2, f"status {done.returncode}")
                clear = "are free. Nothing was written" in done.stderr
                line.expect(clear or "disk is full" in done.stderr, done.stderr)
                left = [path.name for path in folder.iterdir() if path.name != "filler"]
                line.expect(not left, f"{left} was left")
    line.kept = "an error that says so, before the work where the room can be counted"
    line.lost = "nothing; what had been written is removed"
    return line


def _command(table: Path, folder: Path) -> list[str]:
    """In a process of its own, and not forked: the reader of tables has threads."""
    return engine_command("convert", str(table), "--target", "y", "--to", str(folder))


def _table(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    columns = generator.normal(size=(ROWS, 6))
    table = np.column_stack([columns, columns[:, 0] * columns[:, 1]])
    path = folder / "table.csv"
    header = ",".join([*"abcdef", "y"])
    np.savetxt(path, table, delimiter=",", header=header, comments="", fmt="%.6g")
    return path


def _digest(folder: Path) -> str:
    """Of all numbers of a converted table."""
    table = open_table(folder)
    digest = hashlib.sha256()
    for part in (table.training, table.validation, table.held_out):
        if part is not None:
            digest.update(np.ascontiguousarray(part.X).tobytes())
            digest.update(np.ascontiguousarray(part.y).tobytes())
    return digest.hexdigest()
