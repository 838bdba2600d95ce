"""Contenders in processes of their own, from the side of whoever compares them.

Only one of them acts at a time: a question is put when the answer to the one before has come. One
that died is started anew for the next task.
"""

import base64
import shutil
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.comparison.environments import runs_by
from engine.comparison.jobs import PEERS
from engine.comparison.problems import Task
from engine.comparison.process import ContenderFailed, Home, Process, Setting

PACKAGE = Path(__file__).resolve().parents[1]


class RemoteAct:
    """Training by a contender in its process: it brings the time that was taken there."""

    def __init__(self, process: Process, number: int) -> None:
        self.process, self.number = process, number

    def seconds(self) -> float:
        """Train; the seconds by the contender's own clock."""
        took: float = self.process.ask("run", act=self.number)
        return took

    def __call__(self) -> "RemoteAct":
        self.seconds()
        return self


class RemoteJob:
    """A task in the hands of a contender in another process."""

    def __init__(self, process: Process, file: Path) -> None:
        self.process = process
        process.ask("take", file=str(file))

    def prepare(self, epochs: int, shuffle: bool) -> RemoteAct:
        number = self.process.ask("prepare", epochs=epochs, shuffle=shuffle)
        return RemoteAct(self.process, number)

    def parameters(self, result: RemoteAct) -> NDArray[Any]:
        found = self.process.ask("parameters", act=result.number)
        return np.frombuffer(base64.b64decode(found["bytes"]), found["dtype"])


class Processes:
    """The processes of all contenders, for as long as a comparison lasts.

    Parameters are those of `Setting`.
    """

    def __init__(self, **setting: Any) -> None:
        self._setting = Setting(**setting)
        self._processes: dict[str, Process] = {}
        self._folder = tempfile.TemporaryDirectory(
            prefix="engine-compare-", ignore_cleanup_errors=True
        )
        self._task: Task | None = None

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

    def job(self, name: str, task: Task) -> RemoteJob:
        """The task in the hands of a contender, whose process is started if it is not there."""
        process = self._processes.get(name)
        if process is None or not process.is_alive:
            if process is not None:
                process.close()
            process = self._processes[name] = Process(name, self.home_of(name), self._setting)
        return RemoteJob(process, self._file_of(task))

    def make_ready(self, name: str, task: Task) -> None:
        """Write all files that `job` needs, so that a time of it has nothing of that."""
        self.home_of(name)
        self._file_of(task)

    def _file_of(self, task: Task) -> Path:
        """The task's arrays in a file, written once for all contenders."""
        file = Path(self._folder.name) / "task.npz"
        if self._task is not task:
            task.save(file)
            self._task = task
        return file

    def home_of(self, name: str) -> Home:
        """This environment, or the contender's own."""
        if name in PEERS:
            distribution = PEERS[name].distribution
            own = runs_by(distribution, self._setting.own_environments)
            if own is not None:
                return Home(own, self._copied_package())
            if distribution in self._setting.own_environments:
                raise ContenderFailed(
                    f"it has no environment of its own: engine compare environments {distribution}"
                )
        return Home(Path(sys.executable))

    def _copied_package(self) -> str:
        """This package's files alone: its neighbours here are not for other environments."""
        copy = Path(self._folder.name) / "package"
        if not copy.exists():
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(PACKAGE, copy / PACKAGE.name, ignore=leave)
        return str(copy)
