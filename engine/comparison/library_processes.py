"""Libraries in processes of their own, from the side of whoever compares them.

Only one of them acts at a time: a question is put when the answer to the one before has come. One
that dies or takes too long is told of by an exception, what it started itself ends with it, and it
is started anew for the next task.
"""

import base64
import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from engine.comparison import LIMIT
from engine.comparison.environments import runs_by
from engine.comparison.jobs import ALL_PEERS
from engine.comparison.problems import TrainingTask

PROCESS = "engine.comparison.library_worker"
NEW_CLOCK = ("take", "fit")  # questions from which on the limit counts
SECONDS_TO_END = 10.0  # of a process that has closed its end of the pipe


class LibraryFailed(Exception):
    """A library that said that it failed, died, or took too long."""


class ProcessSettings(NamedTuple):
    """What all libraries' processes have in common."""

    limit: float = LIMIT  # seconds for each task, compiling included
    own_environments: tuple[str, ...] = ()  # distributions that never run in this environment
    variables: Mapping[str, str] = {}  # of the environment, beside those of this process
    cores: tuple[int, ...] = ()  # to keep to; none: those of this process
    module: str = PROCESS  # what each process runs


class Interpreter(NamedTuple):
    """A library's interpreter, and the folder of this package's files if it has its own."""

    python: Path
    folder: str | None = None

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Environment variables: another Python is told nothing of this one's modules."""
        known = {**os.environ, **variables}
        if self.folder is None:
            return known
        kept = {name: value for name, value in known.items() if not name.startswith("PYTHON")}
        return {**kept, "PYTHONPATH": self.folder}


class LibraryProcess:
    """One library's process."""

    def __init__(self, name: str, home: Interpreter, setting: ProcessSettings) -> None:
        self._limit = self._seconds_left = setting.limit
        self._process = subprocess.Popen(
            [str(home.python), "-m", setting.module, name, *map(str, setting.cores)],
            env=home.environment(setting.variables),
            cwd=home.folder,  # which comes first where modules are looked for
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # so that what it starts can be ended with it
        )
        self._is_closed = False
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")  # it is over

    @property
    def is_alive(self) -> bool:
        return not self._is_closed and self._process.poll() is None

    def ask(self, what: str, **arguments: Any) -> Any:
        """The answer to a question.

        Raises LibraryFailed if the library fails, dies, or takes longer than the limit with all
        that it was asked since it took its task, or with one fit of a table.
        """
        assert self._process.stdin is not None
        if what in NEW_CLOCK:
            self._seconds_left = self._limit
        start = time.monotonic()
        try:
            self._process.stdin.write(json.dumps({"ask": what, "with": arguments}) + "\n")
            self._process.stdin.flush()
            line = self._lines.get(timeout=max(0.0, self._seconds_left))
        except queue.Empty:
            self.close()
            raise LibraryFailed(
                f"took too long: more than {self._limit:g} seconds on this problem (--limit)"
            ) from None
        except OSError:  # its end of the pipe is gone
            line = ""
        self._seconds_left -= time.monotonic() - start
        if not line:
            raise LibraryFailed(self._last_words())
        answer = json.loads(line)
        if "failed" in answer:
            raise LibraryFailed(answer["failed"])
        return answer["found"]

    def _last_words(self) -> str:
        """How a process ended that answers no more."""
        try:
            status = self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            return "its process closed the pipe"
        finally:
            self.close()
        if status >= 0:
            return f"its process ended with status {status}"
        return f"its process was ended by {signal.Signals(-status).name}" + (
            ", as where memory runs out" if -status == signal.SIGKILL else ""
        )

    def close(self) -> None:
        """End it, whatever it is doing, and those that it started."""
        if self._is_closed:  # its number may be another's by now
            return
        self._is_closed = True
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not read by a process that is gone
                pipe.close()


PACKAGE = Path(__file__).resolve().parents[1]


class RemoteAct:
    """Training by a library in its process: it brings the time that was taken there."""

    def __init__(self, process: LibraryProcess, number: int) -> None:
        self.process, self.number = process, number

    def seconds(self) -> float:
        """Train; the seconds by the library's own clock."""
        took: float = self.process.ask("run", act=self.number)
        return took

    def __call__(self) -> "RemoteAct":
        self.seconds()
        return self


class RemoteJob:
    """A task in the hands of a library in another process."""

    def __init__(self, process: LibraryProcess, file: Path) -> None:
        self.process = process
        process.ask("take", file=str(file))

    def prepare(self, epochs: int, shuffle: bool) -> RemoteAct:
        number = self.process.ask("prepare", epochs=epochs, shuffle=shuffle)
        return RemoteAct(self.process, number)

    def parameters(self, result: RemoteAct) -> NDArray[Any]:
        found = self.process.ask("parameters", act=result.number)
        return np.frombuffer(base64.b64decode(found["bytes"]), found["dtype"])


class LibraryProcesses:
    """The processes of all libraries, for as long as a comparison lasts.

    Parameters are those of `Setting`.
    """

    def __init__(self, **setting: Any) -> None:
        self._setting = ProcessSettings(**setting)
        self._processes: dict[str, LibraryProcess] = {}
        self._folder = tempfile.TemporaryDirectory(
            prefix="engine-compare-", ignore_cleanup_errors=True
        )
        self._task: TrainingTask | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes.values():
            process.close()
        self._folder.cleanup()

    def process(self, name: str) -> LibraryProcess:
        """A library's process, which is started if it is not there."""
        process = self._processes.get(name)
        if process is None or not process.is_alive:
            if process is not None:
                process.close()
            process = self._processes[name] = LibraryProcess(
                name, self.home_of(name), self._setting
            )
        return process

    def job(self, name: str, task: TrainingTask) -> RemoteJob:
        """The task in the hands of a library, whose process is started if it is not there."""
        return RemoteJob(self.process(name), self._file_of(task))

    def make_ready(self, name: str, task: TrainingTask) -> None:
        """Write all files that `job` needs, so that a time of it has nothing of that."""
        self.home_of(name)
        self._file_of(task)

    def _file_of(self, task: TrainingTask) -> Path:
        """The task's arrays in a file, written once for all libraries."""
        file = Path(self._folder.name) / "task.npz"
        if self._task is not task:
            task.save(file)
            self._task = task
        return file

    def home_of(self, name: str) -> Interpreter:
        """This environment, or the library's own."""
        if name in ALL_PEERS:
            distribution = ALL_PEERS[name].distribution
            own = runs_by(distribution, self._setting.own_environments)
            if own is not None:
                return Interpreter(own, self._copied_package())
            if distribution in self._setting.own_environments:
                raise LibraryFailed(
                    f"it has no environment of its own: engine compare environments {distribution}"
                )
        return Interpreter(Path(sys.executable))

    def _copied_package(self) -> str:
        """This package's files alone: its neighbours here are not for other environments."""
        copy = Path(self._folder.name) / "package"
        if not copy.exists():
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(PACKAGE, copy / PACKAGE.name, ignore=leave)
        return str(copy)
