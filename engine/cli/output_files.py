"""Files that commands write: what is there already is not replaced, unless --force says so."""

from pathlib import Path
from typing import Annotated

import typer

Force = Annotated[bool, typer.Option("--force", help="Replace files that are there already.")]


def check_new(path: Path, option: str, force: bool) -> None:
    """Raise now, rather than after the work, if `path` cannot be written, or has a file already."""
    from engine import atomic_files

    atomic_files.check_writable(path)
    refuse_existing(path, option, force)


def refuse_existing(path: Path, option: str, force: bool) -> None:
    """ValueError if there is a file that --force has not given up, or what is no file."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no ordinary file; name another one with {option}.")
    if path.exists() and not force:
        raise ValueError(
            f"{path} is there already. Add --force to replace it, or name another one with "
            f"{option}."
        )
