"""Other processes, for what one process cannot show: imports, caches, commands, Ctrl-C."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from numba.core import config

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 300  # seconds; a process that takes longer hangs

Completed = subprocess.CompletedProcess[str]
# Changes to the environment; None takes a variable away.
Changes = Mapping[str, str | Path | None]

# A new process takes the package from the tree that the tests stand in, compiles without bounds
# checks, and prints plain text, whatever test pass, terminal and service the tests run in.
FRESH: Changes = {
    "COLUMNS": "300",
    "FORCE_COLOR": None,
    "GITHUB_ACTIONS": None,
    "NUMBA_BOUNDSCHECK": None,
    "NUMBA_DISABLE_JIT": None,
    "PYTHONIOENCODING": "utf-8",
    "PYTHONPATH": ROOT,
    "PY_COLORS": None,
    "TTY_COMPATIBLE": None,
}


def environment(changes: Changes | None = None) -> dict[str, str]:
    """The environment of a new process. It shares this one's compile cache, unless changed."""
    cache = os.environ.get("NUMBA_CACHE_DIR")
    wanted = {"NUMBA_CACHE_DIR": Path(cache).absolute() if cache else None, **FRESH}
    variables: dict[str, Any] = {**os.environ, **wanted, **(changes or {})}
    return {name: str(value) for name, value in variables.items() if value is not None}


def run(*arguments: str | Path, cwd: Path = ROOT, env: Changes | None = None) -> Completed:
    """Run this Python with arguments, and see how it ends."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )


def start(*arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """This Python with arguments, under way, its output and its messages to be read."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def complaints(said: str) -> str:
    """What a command said on standard error, but that kernels are compiled: that is the cache's."""
    return re.sub(r"^engine: Compiling kernels.*\n", "", said, flags=re.MULTILINE)


def output(*arguments: str | Path, cwd: Path = ROOT, env: Changes | None = None) -> str:
    """What a process prints that ends well and complains of nothing."""
    done = run(*arguments, cwd=cwd, env=env)
    assert (done.returncode, complaints(done.stderr)) == (0, ""), done.stderr
    return done.stdout


def run_function(
    function: Callable[..., Any], *arguments: Any, cwd: Path = ROOT, env: Changes | None = None
) -> Completed:
    """Call a function of a test module in a new process; it prints the result as JSON, last."""
    code = (
        "import importlib, json, sys\n"
        "module, name, arguments = json.loads(sys.argv[1])\n"
        "function = getattr(importlib.import_module(module), name)\n"
        "print(json.dumps(function(*arguments)))\n"
    )
    call = json.dumps([function.__module__, function.__name__, arguments], default=str)
    return run("-c", code, call, cwd=cwd, env=env)


def result_of(
    function: Callable[..., Any], *arguments: Any, cwd: Path = ROOT, env: Changes | None = None
) -> Any:
    """What a function of a test module returns in a new process that complains of nothing."""
    done = run_function(function, *arguments, cwd=cwd, env=env)
    assert (done.returncode, complaints(done.stderr)) == (0, ""), done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def engine_process(*arguments: str | Path, cwd: Path, env: Changes | None = None) -> Completed:
    """Run a command of the package in a new process, as users do."""
    return run("-m", "engine", *arguments, cwd=cwd, env=env)


def engine(*arguments: str | Path, cwd: Path, env: Changes | None = None) -> Completed:
    """Run a command of the package, and see how it ends.

    This process runs it, which saves the imports. Changes to the environment are for a new process,
    since modules read most variables as they are imported.
    """
    if env:
        return engine_process(*arguments, cwd=cwd, env=env)
    from engine.cli import main

    argv = ["engine", *map(str, arguments)]
    printed, said = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n") for _ in range(2))
    with (
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, environment(), clear=True),
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(said),
        warnings.catch_warnings(),
    ):
        _filter_warnings_as_a_new_process()
        with pytest.raises(SystemExit) as end:
            main.main()
    config.reload_config()  # Numba's settings follow the environment, but at a compilation alone
    out, err = (_written(stream) for stream in (printed, said))
    return Completed(argv, int(end.value.code or 0), out, err)


def engine_output(*arguments: str | Path, cwd: Path) -> str:
    """What a command prints that ends well and complains of nothing."""
    done = engine(*arguments, cwd=cwd)
    assert (done.returncode, complaints(done.stderr)) == (0, ""), done.stderr
    return done.stdout


def _filter_warnings_as_a_new_process() -> None:
    """Show each warning once a place, but for those that are meant for developers."""
    warnings.resetwarnings()
    for category in (
        *(DeprecationWarning, PendingDeprecationWarning),
        *(ImportWarning, ResourceWarning),
    ):
        warnings.simplefilter("ignore", category)


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


def interrupt_after(n_times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ctrl-C come once the networks have stopped to look at it so many times."""
    from engine.estimators.watch import FitWatch

    times, consider = [0], FitWatch.consider

    def interrupted(*told: Any) -> str | None:
        times[0] += 1
        if times[0] == n_times:
            signal.raise_signal(signal.SIGINT)
        return consider(*told)

    monkeypatch.setattr(FitWatch, "consider", interrupted)
