"""Contenders in processes of their own, from the side of whoever compares them.

Only one of them acts at a time: a question is put when the answer to the one before has come. A
contender that dies or takes too long is told of by an exception, and is started anew for the next
task.
"""

import base64
import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from engine.comparison.environments import own_python
from engine.comparison.jobs import PEERS
from engine.comparison.machine import installed_version
from engine.comparison.problems import Task

PROCESS = "engine.comparison.contender_process"
PACKAGE = Path(__file__).resolve().parents[1]
LIMIT = 300.0  # seconds for a single answer, compiling included


class ContenderFailed(Exception):
    """A contender that said that it failed, died, or took too long."""


class Setting(NamedTuple):
    """What all contenders' processes have in common."""

    limit: float = LIMIT  # seconds for one answer: a training run, compiling included
    own_environments: tuple[str, ...] = ()  # distributions that never run in this environment
    variables: Mapping[str, str] = {}  # of the environment, beside those of this process
    cores: tuple[int, ...] = ()  # to keep to; none: those of this process


class Process:
    """One contender's process."""

    def __init__(self, name: str, python: Path, path: str | None, setting: "Setting") -> None:
        self._limit = setting.limit
        environment = {**os.environ, **setting.variables}
        if path is not None:
            environment = {k: v for k, v in environment.items() if not k.startswith("PYTHON")}
            environment["PYTHONPATH"] = path
        self._process = subprocess.Popen(
            [str(python), "-m", PROCESS, name, *map(str, setting.cores)],
            env=environment,
            cwd=path,  # which comes first where modules are looked for
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
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
        return self._process.poll() is None

    def ask(self, what: str, **arguments: Any) -> Any:
        """The answer to a question.

        Raises ContenderFailed if the contender fails, dies, or takes longer than the limit.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"ask": what, "with": arguments}) + "\n")
            self._process.stdin.flush()
            line = self._lines.get(timeout=self._limit)
        except queue.Empty:
            self.close()
            raise ContenderFailed(
                f"took too long: no answer within {self._limit:g} seconds (--limit)"
            ) from None
        except OSError:  # its end of the pipe is gone
            line = ""
        if not line:
            status = self._process.wait()
            raise ContenderFailed(f"its process ended with status {status}")
        answer = json.loads(line)
        if "failed" in answer:
            raise ContenderFailed(answer["failed"])
        return answer["found"]

    def close(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not read by a process that is gone
                pipe.close()


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
        self._folder = tempfile.TemporaryDirectory(prefix="engine-compare-")
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
        if process is not None and not process.is_alive:
            process.close()
        if process is None or not process.is_alive:
            python, path = self._home_of(name)
            process = self._processes[name] = Process(name, python, path, self._setting)
        return RemoteJob(process, self._file_of(task))

    def _file_of(self, task: Task) -> Path:
        """The task's arrays in a file, written once for all contenders."""
        file = Path(self._folder.name) / "task.npz"
        if self._task is not task:
            task.save(file)
            self._task = task
        return file

    def _home_of(self, name: str) -> tuple[Path, str | None]:
        """A contender's interpreter, and the folder of the files that it needs if not here."""
        if name in PEERS:
            distribution = PEERS[name].distribution
            own = own_python(distribution)
            apart = distribution in self._setting.own_environments
            if own is None and apart:
                raise ContenderFailed(
                    f"it has no environment of its own: engine compare environments {distribution}"
                )
            if own is not None and (apart or installed_version(distribution) is None):
                return own, self._copied_package()
        return Path(sys.executable), None

    def _copied_package(self) -> str:
        """This package's files alone: its neighbours here are not for other environments."""
        copy = Path(self._folder.name) / "package"
        if not copy.exists():
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(PACKAGE, copy / PACKAGE.name, ignore=leave)
        return str(copy)
