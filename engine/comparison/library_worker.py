"""The process of one library: `python -m engine.comparison.library_worker NAME [CORE ...]`.

It reads a question a line from standard input, JSON, and answers each with a line: what was found,
or why it failed. Times are taken here, around the library's own call and nothing else. Whatever
libraries print goes to standard error. It keeps to the cores that are named.
"""

import base64
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from engine.comparison import resident_memory
from engine.comparison.jobs import Job, job
from engine.comparison.problems import TrainingTask


class LibraryWorker:
    """One library, with the task that it was handed last."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._job: Job | None = None
        self._acts: list[Callable[[], Any]] = []
        self._results: dict[int, Any] = {}

    def take(self, file: str) -> None:
        """Take a task, and forget the one before."""
        self._job, self._acts, self._results = None, [], {}
        self._job = job(self._name, TrainingTask.loaded(Path(file)))

    def prepare(self, epochs: int, shuffle: bool) -> int:
        """Prepare to train; the number by which that is called."""
        assert self._job is not None
        self._acts.append(self._job.prepare(epochs, shuffle))
        return len(self._acts) - 1

    def run(self, act: int) -> float:
        """Train, and keep what comes of it; the seconds that it took."""
        start = time.perf_counter()
        result = self._acts[act]()
        took = time.perf_counter() - start
        self._results[act] = result
        return took

    def memory(self, act: int) -> dict[str, int]:
        """Train, and say what was resident before, in bytes, and the peak."""
        before = resident_memory.start_counting()
        self.run(act)
        return {"before": before, "peak": resident_memory.peak()}

    def resident(self) -> int:
        """Bytes that are resident now."""
        return resident_memory.now()

    def parameters(self, act: int) -> dict[str, str]:
        """The parameters that were reached, as bytes in text."""
        assert self._job is not None
        theta = self._job.parameters(self._results[act])
        return {"dtype": theta.dtype.str, "bytes": base64.b64encode(theta.tobytes()).decode()}


def main(library: Any, *cores: str) -> None:
    """Answer what is asked of the library: by its methods, until nobody asks."""
    # Ctrl-C ends it at once: some libraries catch KeyboardInterrupt and would carry on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, map(int, cores))
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(library, until_nobody_asks(sys.stdin), answers)


def until_nobody_asks(stream: TextIO) -> Iterator[str]:
    """Each line. When the stream ends, so does this process, in the midst of whatever it does:
    whoever would have waited for the answer is gone.
    """
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in stream:
            lines.put(line)
        end()

    threading.Thread(target=listen, daemon=True).start()
    while True:
        yield lines.get()


def end() -> NoReturn:
    """End this process, and those that libraries started from it, such as compilers."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def serve(library: Any, questions: Iterable[str], answers: TextIO) -> None:
    """Answer each question."""
    for line in questions:
        asked = json.loads(line)
        try:
            answer = {"found": getattr(library, asked["ask"])(**asked["with"])}
        except Exception as error:  # a library that fails is a result, not the end
            answer = {"failed": " ".join(str(error).split()) or type(error).__name__}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(LibraryWorker(sys.argv[1]), *sys.argv[2:])
