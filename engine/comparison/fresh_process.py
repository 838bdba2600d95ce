"""A fresh process for a few lines of Python, with the compile cache of its own that it is given."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

CACHE = "NUMBA_CACHE_DIR"


def answer_of(code: str, changes: Mapping[str, str] | None = None) -> str:
    """What it prints, with those changes to the environment; ValueError if it fails."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **(changes or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ValueError(f"a fresh process that was timed failed: {reason[0]}")
    return done.stdout


def with_empty_caches(code: str, folder: Path) -> Callable[[], str]:
    """The same as a function, with an empty cache at each call, in that folder."""
    return lambda: answer_of(code, {CACHE: tempfile.mkdtemp(dir=folder)})
