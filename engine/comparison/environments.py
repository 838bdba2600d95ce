"""Environments of their own for other libraries that this one does not have, or would clash with.

Each is a virtual environment in the user's cache folder, with the library and NumPy and nothing of
this package: a library's process is given the files that it needs.
"""

import shutil
import subprocess
import sys
import venv
from collections.abc import Collection
from pathlib import Path

from engine.comparison.machine import installed_version
from engine.compiler.cache import cache_root, make_folder, real_path, reason_and_remedy
from engine.system.file_owners import refusal_of_folder

INSTALL_SECONDS = 1800  # a slow network, and a library of gigabytes


def folder() -> Path:
    """Where they lie.

    Raises ValueError where the user has no cache folder.
    """
    root = cache_root()
    if root is None:
        raise ValueError(
            "there is no folder for a user's caches, and so no place for environments: set "
            "NUMBA_CACHE_DIR, or HOME."
        )
    return root / "peers"


def own_python(distribution: str) -> Path | None:
    """The interpreter of another library's own environment; None if there is none.

    Raises ValueError if others could change what is run from there.
    """
    if cache_root() is None:
        return None
    python = _python_in(folder() / distribution)
    if not python.exists():
        return None
    _refuse_what_others_may_change(folder())
    return python


def runs_by(distribution: str, own: Collection[str]) -> Path | None:
    """The interpreter of another library's own environment; None where it runs in this one.

    It runs there if it is one of `own`, or if it is not installed here.
    """
    python = own_python(distribution)
    here = installed_version(distribution) is not None and distribution not in own
    return None if here else python


def make(distribution: str, requirement: str) -> Path:
    """Make another library's environment anew, with what `requirement` says; its interpreter.

    Raises ValueError with pip's last words if the requirement cannot be met; an environment that
    was there before then stays.
    """
    place = folder() / distribution
    _refuse_what_others_may_change(place.parent)
    make_folder(real_path(place.parent))
    new = place.with_name(f"{distribution}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(0o700)  # whatever the umask, others cannot reach the files within
    venv.create(new, with_pip=True)
    command = [str(_python_in(new)), "-m", "pip", "install", "--quiet", "numpy", requirement]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(new, ignore_errors=True)
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise ValueError(
            f"pip could not install {requirement!r}: {(said or ['see above'])[-1]} "
            "Pass --requirement with what pip should install."
        )
    shutil.rmtree(place, ignore_errors=True)
    new.rename(place)
    return _python_in(place)


def remove(distribution: str) -> bool:
    """Remove another library's environment; whether there was one."""
    place = folder() / distribution
    was_there = place.exists()
    shutil.rmtree(place, ignore_errors=True)
    return was_there


def version_in(python: Path, distribution: str) -> str | None:
    """The version of a distribution that an interpreter sees."""
    code = f"from importlib.metadata import version; print(version({distribution!r}))"
    done = subprocess.run(
        [str(python), "-I", "-c", code], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None


def _refuse_what_others_may_change(place: Path) -> None:
    found = refusal_of_folder(real_path(place))
    if found is not None:
        raise ValueError(
            f"nothing is run from {place}, since others could change it: {reason_and_remedy(found)}"
        )


def _python_in(environment: Path) -> Path:
    if sys.platform == "win32":
        return environment / "Scripts" / "python.exe"
    return environment / "bin" / "python"
