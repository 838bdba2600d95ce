"""Disks that fill up, fail, or may not be written to any more."""

import contextlib
import errno
import itertools
import os
import resource
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from engine import Checkpoint, CheckpointError
from tools.reliability.children import Ended, outcome_of
from tools.reliability.jobs import Job, jobs_for
from tools.reliability.lines import Line

EPOCHS = 30
NOBODY = 65534  # the user that folders can be locked against, where we are root


def full_disk(times: int) -> Line:
    """A file system with no room left, from some epoch on; room again later."""
    mounted = can_mount()
    how = "a file system of 1 MB, filled" if mounted else "files may not grow (RLIMIT_FSIZE)"
    line = Line("disk full", f"{how} in the middle of the run")
    for number, job in zip(range(times), itertools.cycle(jobs_for(times)), strict=False):
        expected = job.call(max_iter=EPOCHS)
        with small_disk() if mounted else any_folder() as folder, any_folder() as outside:
            path = Path(folder, "run.ckpt")
            before = 5 + number % 7
            job.call(max_iter=before, checkpoint=path)
            kept = path.read_bytes()
            fill = partial(filled, Path(folder)) if mounted else _limited
            run = partial(job.call, max_iter=EPOCHS, checkpoint=Checkpoint(path, seconds=0))
            ended = outcome_of(partial(fill, run), outside)
            line.times += 1
            _expect_a_warning_and_the_same_bits(line, job, ended, expected, before)
            line.expect(path.read_bytes() == kept, f"{job.name}: the checkpoint before is damaged")
            for filler in Path(folder).glob("filler*"):
                filler.unlink()
            try:
                again = job.call(max_iter=EPOCHS, checkpoint=path)
            except CheckpointError as error:
                again = str(error)
            line.expect(again == expected, f"{job.name}: after room was made, {again}")
    line.kept = (
        "one warning with the reason and the epoch of the checkpoint that is kept; the run went on "
        "to its end, with the same bits; with room again, so did a run from that checkpoint"
    )
    line.lost = "nothing; the checkpoint before stayed as it was, byte by byte"
    return line


def lost_permission(times: int) -> Line:
    """A folder that becomes read-only in the middle, and is so at the start."""
    line = Line(
        "folder read-only, or permission lost",
        "`chmod 555` before the run, and in the middle of one",
    )
    for number, job in zip(range(times), itertools.cycle(jobs_for(times)), strict=False):
        expected = job.call(max_iter=EPOCHS)
        with any_folder() as folder, any_folder() as outside:
            inner = Path(folder, "kept")
            inner.mkdir()
            path = inner / "run.ckpt"
            folder.chmod(0o755)
            outside.chmod(0o777)
            job.call(max_iter=5 + number % 7, checkpoint=path)
            kept = path.read_bytes()
            if os.geteuid() == 0:
                for place in (inner, *inner.iterdir()):
                    os.chown(place, NOBODY, NOBODY)
            checkpoint = Checkpoint(path, seconds=0)
            run = partial(job.call, max_iter=EPOCHS, checkpoint=checkpoint)
            line.times += 1
            if number % 2:
                ended = outcome_of(partial(read_only_later, run, inner), outside)
                _expect_a_warning_and_the_same_bits(line, job, ended, expected, 5 + number % 7)
            else:
                ended = outcome_of(partial(read_only, run, inner), outside)
                refused = isinstance(ended.error, CheckpointError)
                line.expect(refused, f"{job.name}: {ended.error!r}")
                line.expect("Nothing was trained" in str(ended.error), f"{job.name}: {ended.error}")
            line.expect(path.read_bytes() == kept, f"{job.name}: the checkpoint before is damaged")
            inner.chmod(0o755)
            line.expect(
                job.call(max_iter=EPOCHS, checkpoint=path) == expected, f"{job.name}: other bits"
            )
    line.kept = (
        "at the start: an error before any work, which says to name another file; in the middle: "
        "one warning, and the run went on to its end with the same bits"
    )
    line.lost = "nothing"
    return line


def failing_calls(times: int) -> Line:
    """Each call of the system that a write makes fails once, one after the other."""
    line = Line(
        "write interrupted by the disk",
        "an I/O error (EIO) in each call of open, write, fsync and rename, one after the other",
    )
    for job in jobs_for(times):
        expected = job.call(max_iter=EPOCHS)
        for number in itertools.count():
            with any_folder() as folder:
                path = Path(folder, "run.ckpt")
                job.call(max_iter=5, checkpoint=path)
                run = partial(job.call, max_iter=EPOCHS, checkpoint=Checkpoint(path, epochs=12))
                ended = outcome_of(partial(failing, run, number), folder)
                if isinstance(ended.value, tuple):  # fewer calls than that
                    line.expect(ended.value[0] == expected, f"{job.name}: other bits")
                    break
                line.times += 1
                refused = isinstance(ended.error, CheckpointError)
                line.expect(
                    ended.value == expected or (refused and "Nothing was" in str(ended.error)),
                    f"{job.name}, call {number}: {ended.error!r}",
                )
                line.expect(len(ended.warned) <= 1, f"{job.name}: {ended.warned}")
                again = job.call(max_iter=EPOCHS, checkpoint=path)
                line.expect(again == expected, f"{job.name}, call {number}: other bits")
    line.kept = (
        "a warning, and the same bits in the end; or, where the file could not be opened at the "
        "start, an error before any work; the next start read a whole checkpoint"
    )
    line.lost = "nothing"
    return line


def _expect_a_warning_and_the_same_bits(
    line: Line, job: Job, ended: Ended, expected: str, epoch: int
) -> None:
    line.expect(ended.value == expected, f"{job.name}: {ended.error!r}")
    said = [text for text in ended.warned if "No checkpoint could be written" in text]
    line.expect(len(said) == 1, f"{job.name}: warned {ended.warned}")
    for text in said:
        line.expect(f"the one of epoch {epoch} is kept" in text, f"{job.name}: {text}")


@contextlib.contextmanager
def any_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def can_mount() -> bool:
    with any_folder() as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
            capture_output=True,
            check=False,
        )
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return mounted.returncode == 0


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    with any_folder() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)


def filled(folder: Path, run: Callable[[], Any]) -> Any:
    """Run on a disk without room."""
    fill(folder)
    return run()


def fill(folder: Path) -> None:
    """Leave no room on the disk of a folder."""
    with contextlib.suppress(OSError), Path(folder, "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


def _limited(run: Callable[[], Any]) -> Any:
    """Run where no file may grow."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        return run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def _become_nobody() -> None:
    if os.geteuid() == 0:
        os.setegid(NOBODY)
        os.seteuid(NOBODY)


def read_only(run: Callable[[], Any], folder: Path) -> Any:
    folder.chmod(0o555)
    _become_nobody()
    try:
        return run()
    finally:
        _become_root()


def _become_root() -> None:
    if os.getuid() == 0:
        os.seteuid(0)
        os.setegid(0)


def read_only_later(run: Callable[[], Any], folder: Path) -> Any:
    """The folder cannot be written to from the first checkpoint on."""
    _become_nobody()
    replace = Path.replace

    def replace_no_more(path: Path, target: Path) -> Path:
        folder.chmod(0o555)
        return replace(path, target)

    try:
        with mock.patch.object(Path, "replace", replace_no_more):
            return run()
    finally:
        _become_root()


def failing(run: Callable[[], Any], number: int) -> Any:
    """Run with an I/O error in one call; what it returned, in a tuple if no call was the one."""
    count, failed = itertools.count(), []

    def once(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if next(count) == number:
                failed.append(function)
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return function(*arguments, **named)

        return call

    with (
        mock.patch.object(os, "fsync", once(os.fsync)),
        mock.patch.object(Path, "replace", once(Path.replace)),
        mock.patch.object(Path, "open", once(Path.open)),
        mock.patch.object(os, "open", once(os.open)),
        mock.patch.object(Path, "chmod", once(Path.chmod)),
    ):
        ended = run()
    return ended if failed else (ended,)
