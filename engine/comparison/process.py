"""One contender's process, from the side of whoever asks it.

A contender that dies or takes too long is told of by an exception. What it started itself ends with
it.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

PROCESS = "engine.comparison.contender_process"
LIMIT = 300.0  # seconds for all that a contender does with one task, compiling included
SECONDS_TO_END = 10.0  # of a process that has closed its end of the pipe


class ContenderFailed(Exception):
    """A contender that said that it failed, died, or took too long."""


class Setting(NamedTuple):
    """What all contenders' processes have in common."""

    limit: float = LIMIT  # seconds for each task, compiling included
    own_environments: tuple[str, ...] = ()  # distributions that never run in this environment
    variables: Mapping[str, str] = {}  # of the environment, beside those of this process
    cores: tuple[int, ...] = ()  # to keep to; none: those of this process


class Home(NamedTuple):
    """A contender's interpreter, and the folder of this package's files if it has its own."""

    python: Path
    folder: str | None = None

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Environment variables: another Python is told nothing of this one's modules."""
        known = {**os.environ, **variables}
        if self.folder is None:
            return known
        kept = {name: value for name, value in known.items() if not name.startswith("PYTHON")}
        return {**kept, "PYTHONPATH": self.folder}


class Process:
    """One contender's process."""

    def __init__(self, name: str, home: Home, setting: Setting) -> None:
        self._limit = self._seconds_left = setting.limit
        self._process = subprocess.Popen(
            [str(home.python), "-m", PROCESS, name, *map(str, setting.cores)],
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

        Raises ContenderFailed if the contender fails, dies, or takes longer than the limit with all
        that it was asked since it took its task.
        """
        assert self._process.stdin is not None
        if what == "take":
            self._seconds_left = self._limit
        start = time.monotonic()
        try:
            self._process.stdin.write(json.dumps({"ask": what, "with": arguments}) + "\n")
            self._process.stdin.flush()
            line = self._lines.get(timeout=max(0.0, self._seconds_left))
        except queue.Empty:
            self.close()
            raise ContenderFailed(
                f"took too long: more than {self._limit:g} seconds on this problem (--limit)"
            ) from None
        except OSError:  # its end of the pipe is gone
            line = ""
        self._seconds_left -= time.monotonic() - start
        if not line:
            raise ContenderFailed(self._last_words())
        answer = json.loads(line)
        if "failed" in answer:
            raise ContenderFailed(answer["failed"])
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
