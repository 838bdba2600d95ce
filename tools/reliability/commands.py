"""Commands of the package, in processes of their own."""

import subprocess
import sys
from typing import Any

QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def engine_command(*arguments: str) -> list[str]:
    """`engine` with these arguments."""
    return [sys.executable, "-m", "engine", *arguments]


def killed(process: "subprocess.Popen[Any]", after: float) -> bool:
    """SIGKILL after so many seconds; whether the process had not ended by itself before."""
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    return False
