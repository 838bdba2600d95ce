"""Checkpoints: a run that was stopped resumes, and ends with the bits of one that was not.

A `Checkpoint` says where and how often to save a run. A `Keeper` holds the file while the run
lasts. The run decides what to save: it passes arrays, and gets them back.
"""

import errno
import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from engine.boundary import settings
from engine.system.atomic_files import new_of
from engine.system.file_locks import FileLock, InUse
from engine.system.regular_files import other_kind
from engine.training.checkpoint_files import (
    Arrays,
    CheckpointError,
    DamagedCheckpoint,
    Saved,
    damaged_of,
    previous_of,
    read,
    write,
)
from engine.training.checkpoint_verifier import Expected, Verifier
from engine.training.identity import Identity, differences
from engine.training.lbfgs_evaluation_log import EvaluationLog
from engine.training.result import DivergedError

SECONDS = 30.0  # between checkpoints, by default
SHARE = 0.01  # of the time that writing checkpoints may take, by default

# A run that stopped for one of these reasons resumes. Any other reason ends it for good.
GOES_ON = ("interrupted", "max_time")
GO_ON = "goes on from there"
MOST_NAMED = 30  # differences between two runs, in a message
LOCK, EVALUATIONS = ".lock", ".evaluations"


@dataclass(frozen=True)
class Checkpoint:
    """Where a run is saved, and how often.

    A run that finds its own checkpoint resumes from it, and ends with the same bits as one that was
    never stopped. If the run had ended, it returns its result again. The checkpoint of another run
    is refused, since other data, settings or versions, or another processor, give other bits. To
    start anew, delete the file.

    Parameters
    ----------
    path : str or path
        The file. Beside it are, while they are needed, `.previous` (the checkpoint before), `.new`,
        `.lock` and, for "lbfgs", `.evaluations`. If `path` is a link, all files are where it leads.
        The files beside it must not be links, and none may be a pipe, device or folder.
    seconds : float, optional
        Between checkpoints, at least 0; 0 saves as often as possible. None is 30, or more if
        writing would take more than a hundredth of the time.
    epochs : int, optional
        Also save after so many epochs (iterations of "gd" and "lbfgs"), at least 1. A write takes
        some milliseconds, and longer with more parameters, samples and epochs.
    any_machine : bool
        Also resume from a file that another processor has written, or other versions of
        mlp-engine, Numba, NumPy or SciPy. The result then has the bits of neither.

    Raises
    ------
    ValueError, TypeError
        For numbers out of range.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from engine import Checkpoint, Network, train
    >>> X, Y = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]]), np.array([1, 0, 0, 1])
    >>> network, folder = Network((2, 4, 1)), tempfile.TemporaryDirectory()
    >>> kept = Checkpoint(f"{folder.name}/run.ckpt", epochs=100)
    >>> def stop(iteration):  # in place of a power cut
    ...     if iteration.epoch == 300:
    ...         raise KeyboardInterrupt
    >>> train(network, X, Y, max_iter=1000, checkpoint=kept, callback=stop).stopped
    'interrupted'
    >>> resumed = train(network, X, Y, max_iter=1000, checkpoint=kept)
    >>> resumed.fingerprint == train(network, X, Y, max_iter=1000).fingerprint
    True
    >>> folder.cleanup()
    """

    path: str | os.PathLike[str]
    seconds: float | None = None
    epochs: int | None = None
    any_machine: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | os.PathLike) or not os.fspath(self.path):
            raise TypeError(f"checkpoint must be the name of a file; got {self.path!r}.")
        if self.seconds is not None:
            settings.real_number("seconds", self.seconds, low=0)
        if self.epochs is not None:
            settings.whole_number("epochs", self.epochs, at_least=1)
        settings.yes_or_no("any_machine", self.any_machine)


def checkpoint_of(given: Any) -> Checkpoint | None:
    """What a caller gave for `checkpoint`: a `Checkpoint`, the name of a file, or None."""
    return given if given is None or isinstance(given, Checkpoint) else Checkpoint(given)


def place_of(checkpoint: Checkpoint) -> Path:
    """The path of the file, without links. Raises CheckpointError if no file can be there."""
    given = Path(os.fsdecode(checkpoint.path))
    try:
        with suppress(PermissionError):  # opening the file will report it
            if kind := other_kind(given, follow=True):
                raise CheckpointError(f"{given} is {kind}; name a file. Nothing was trained.")
        path = given.resolve()
    except CheckpointError:
        raise
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL
        raise CheckpointError(f"{checkpoint.path!r} is no name for a file: {error}.") from error
    beside = [new_of(path), previous_of(path), damaged_of(path)]
    for other in (*beside, _beside(path, LOCK), _beside(path, EVALUATIONS)):
        try:
            if kind := other_kind(other):
                raise CheckpointError(
                    f"{other}, which belongs to the checkpoint {path.name}, is {kind} and must be "
                    "a file. Nothing was trained; remove it, or name another checkpoint."
                )
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                continue  # opening the file will report it
            raise CheckpointError(
                f"The name {path.name} is too long: the file beside it, whose name ends in "
                f"{other.name[len(path.name) :]}, cannot be made. Choose a shorter name."
            ) from error
    return path


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


class Keeper:
    """The checkpoint of a run while the run lasts: what was found in the file, and what is saved.

    Attributes
    ----------
    found : Saved or None
        What an earlier process has saved.
    always : dict of arrays
        Saved with every checkpoint of the run.
    every_epochs : int or None
        Epochs after which to call `reached`, at the latest.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._path = place_of(checkpoint)
        self._run: Identity = {}
        self._process = os.getpid()
        self._log: EvaluationLog | None = None
        self.always: Arrays = {}
        self._latest: tuple[int, Callable[[], Arrays]] | None = None
        self._failing = False
        self._seconds_to_write = 0.0
        self.every_epochs = checkpoint.epochs
        self.found: Saved | None = None
        self._lock: FileLock | None = None
        self.is_open = False
        self._written = time.monotonic()
        self._epochs_written = 0

    def open(self, run: Callable[[], Identity]) -> None:
        """Lock the file, and read the checkpoint in it, which must be that run's."""
        self._lock = self._locked()
        try:
            self._run = run()  # reads all data, so only once the file is locked
            json.dumps(self._run)  # an error should come now, not at the first write
        except RecursionError:
            raise CheckpointError(
                "A parameter holds objects that are nested too deeply for a checkpoint. Nothing "
                "was trained; pass a simpler one, or checkpoint=None."
            ) from None
        self.found = self._found()
        self._epochs_written = self.found.epochs if self.found else 0
        self.is_open = True

    def __str__(self) -> str:
        return str(self._checkpoint.path)

    @property
    def in_words(self) -> str:
        """Where the run resumed from, for its plan; empty for a new run."""
        return f"; went on from {self}, epoch {self.found.epochs}" if self.found else ""

    def kept_in_words(self, same_call: str) -> str:
        """A note for an error that ends the run: what is saved, and what the same call does."""
        if self._epochs_written:
            return f"{self} holds epoch {self._epochs_written}: the same call {same_call}."
        return f"{self} holds nothing of this run yet."

    def reached(self, epochs: int, arrays: Callable[[], Arrays]) -> None:
        """Remember where the run is, and save it if that is due.

        `arrays` returns what the run can resume from; it is valid until the next call.
        """
        self._latest = epochs, arrays
        waited = time.monotonic() - self._written
        if self._checkpoint.seconds is None:
            due = waited >= max(SECONDS, self._seconds_to_write / SHARE)
        else:
            due = waited >= self._checkpoint.seconds
        if self.every_epochs is not None and epochs - self._epochs_written >= self.every_epochs:
            due = True
        if due:
            self._write(epochs, None, arrays)
            self._latest = None

    def interrupted(self) -> None:
        """Save what was reached last."""
        if self._latest is not None:
            epochs, arrays = self._latest
            self._latest = None
            self._write(epochs, None, arrays)

    def ended(self, epochs: int, stopped: str, arrays: Callable[[], Arrays]) -> None:
        """Save the end of the run, and the reason for it."""
        self._latest = None
        self._write(epochs, None if stopped in GOES_ON else stopped, arrays)

    def take(self, expected: Mapping[str, Expected]) -> Arrays:
        """The arrays that were found. Raises CheckpointError unless they are as expected."""
        assert self.found is not None
        self.verifier.require_arrays(self.found.arrays, {**expected, **self._expected_always()})
        return self.found.arrays

    def _expected_always(self) -> dict[str, Expected]:
        return {name: Expected(one.dtype, one.shape) for name, one in self.always.items()}

    @property
    def verifier(self) -> Verifier:
        """Checks what was found, and refuses what is wrong."""
        exact = self.found is None or not differences(self.found.run, self._run)
        previous = previous_of(self._path)
        return Verifier(str(self), previous.name if previous.exists() else None, exact)

    def evaluations(self, n_parameters: int, dtype: Any) -> EvaluationLog:
        """The log of evaluations beside this checkpoint; each save flushes the log first.

        Call `take` before: it checks how many evaluations count.
        """
        path = _beside(self._path, EVALUATIONS)
        count = int(self.found.arrays["evaluations"][0]) if self.found else 0
        try:
            self._log = EvaluationLog(path, n_parameters, dtype, count, self.verifier.exact)
        except OSError as error:
            raise CheckpointError(
                f"{path} cannot be opened: {error.strerror}. Nothing was trained, nothing changed."
            ) from error
        return self._log

    def close(self) -> None:
        """Release the file."""
        try:
            if self._log is not None:
                self._log.close()
        finally:
            if self._lock is not None:
                self._lock.release()

    def _locked(self) -> FileLock:
        try:
            return FileLock(_beside(self._path, LOCK))
        except InUse:
            raise CheckpointError(
                f"{self} belongs to a run that is under way, in another process or thread. Wait "
                "for its end, or name another file."
            ) from None
        except OSError as error:
            raise self._cannot_be_written(error) from error

    def _cannot_be_written(self, error: OSError) -> CheckpointError:
        return CheckpointError(
            f"{self} cannot be written: {error.strerror}. Nothing was trained; name a file in a "
            "folder that exists and can be written to."
        )

    def _found(self) -> Saved | None:
        """The run's checkpoint, if there is one. If it is damaged, the one before it.

        If it is missing, `.new` may hold one that was not renamed any more.
        """
        try:
            return self._own(self._path)
        except FileNotFoundError:
            new = new_of(self._path)
            try:
                found = self._own(new)
            except (FileNotFoundError, DamagedCheckpoint):
                return None
            with suppress(OSError):  # the next write begins by removing what has this name
                new.replace(self._path)
            return found
        except DamagedCheckpoint as error:
            previous, aside = previous_of(self._path), damaged_of(self._path)
            try:
                earlier = self._own(previous)
            except (FileNotFoundError, DamagedCheckpoint):
                raise CheckpointError(
                    f"{error} Nothing was trained, nothing changed. Name another file; or delete "
                    "it, if it is a checkpoint, to start anew."
                ) from None
            try:
                write(self._path, earlier, aside)
            except OSError as failed:
                raise self._cannot_be_written(failed) from failed
            warnings.warn(
                f"{error} It is now called {aside.name}; the run goes on from {previous.name}, of "
                f"epoch {earlier.epochs}.",
                UserWarning,
                stacklevel=2,
            )
            return earlier

    def _own(self, path: Path) -> Saved:
        """What a file holds, if it is this run's."""
        found = read(path)
        differ = differences(found.run, self._run, self._checkpoint.any_machine)
        if differ:
            only_machine = not differences(found.run, self._run, any_machine=True)
            advice = (
                "The result may have other bits; Checkpoint(..., any_machine=True) resumes anyway."
                if only_machine
                else "Pass what it was made with, name another file, or delete it. (Fits of a "
                "search or of a cross-validation cannot share one: pass checkpoint=None there.)"
            )
            named = "; ".join(differ[:MOST_NAMED])
            name = self if path == self._path else path
            error = CheckpointError(
                f"{name} belongs to another run: {named}. Nothing was changed. {advice}"
            )
            error.differences, error.advice = differ[:MOST_NAMED], advice
            raise error
        return found

    def _write(self, epochs: int, stopped: str | None, arrays: Callable[[], Arrays]) -> None:
        if self._process != os.getpid():  # the file is the parent's
            self._say("it belongs to the process that this one was forked from")
            return
        began = time.monotonic()
        try:
            if self._log is not None:
                self._log.flush()
            write(self._path, Saved(self._run, stopped, epochs, self.always | arrays()))
        except (OSError, MemoryError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self._say(reason)
        else:
            self._failing = False
            self._epochs_written = epochs
        self._written = time.monotonic()
        self._seconds_to_write = self._written - began

    def _say(self, reason: str) -> None:
        """Warn that a checkpoint was not saved: once, until one is saved again."""
        if self._failing:
            return
        self._failing = True
        kept = f"the one of epoch {self._epochs_written} is kept"
        if self._epochs_written == 0:
            kept = "none was written before"
        message = f"No checkpoint could be written to {self}: {reason}. Training goes on; {kept}."
        try:
            warnings.warn(message, UserWarning, stacklevel=2)
        except UserWarning:  # warnings are errors here; but this must not end the run
            logging.getLogger("mlp-engine").warning(message)


@contextmanager
def kept(
    checkpoint: Any, run: Callable[[], Identity], max_epochs: int, ends: Collection[str]
) -> Iterator[Keeper | None]:
    """The keeper of a run, or None without a checkpoint. Afterwards its file is free again.

    `ends` are the reasons that end such a run for good. If an error or Ctrl-C ends the run, what
    was reached is saved first.
    """
    asked = checkpoint_of(checkpoint)
    if asked is None:
        yield None
        return
    keeper = Keeper(asked)
    try:
        keeper.open(run)
        if keeper.found and keeper.found.stopped not in (None, *ends):
            raise keeper.verifier.wrong("such a run cannot end for the reason that it names")
        if keeper.found and keeper.found.epochs > max_epochs:
            raise CheckpointError(
                f"{keeper} has reached epoch {keeper.found.epochs}, and max_iter is {max_epochs}. "
                "Nothing was changed. Raise max_iter, name another file, or delete it."
            )
        yield keeper
    except CheckpointError:
        raise  # its message says what is in the file
    except BaseException as error:
        if keeper.is_open:
            keeper.interrupted()
            diverged = isinstance(error, DivergedError)
            error.add_note(keeper.kept_in_words("would come to this again" if diverged else GO_ON))
        raise
    finally:
        keeper.close()


def found_by(keeper: Keeper | None) -> Saved | None:
    """The checkpoint that a run resumes from, or None."""
    return None if keeper is None else keeper.found


def is_over(keeper: Keeper | None, max_epochs: int) -> TypeGuard[Keeper]:
    """Whether the run that was found has ended for good, so that its result is returned again."""
    found = found_by(keeper)
    if found is None or found.stopped is None:
        return False
    return found.stopped != "max_iter" or found.epochs >= max_epochs
