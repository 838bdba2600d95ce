"""Files that commands write: what is there already is not replaced, unless --force says so."""

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli.console import Console

Force = Annotated[bool, typer.Option("--force", help="Replace files that are there already.")]


def check_new(path: Path, option: str, force: bool) -> None:
    """Raise now, rather than after the work, if `path` cannot be written, or has a file already."""
    from engine import atomic_files

    atomic_files.check_writable(path)
    refuse_existing(path, option, force)


class ModelPlace:
    """Where a model goes. A model that is there already is kept beside, under another name.

    Parameters
    ----------
    path : Path
    force : bool
        Replace whatever file is there, and keep nothing.
    checkpoint : Path, optional
        Of the run that makes the model. If there is one, a model that the same run has saved
        before is replaced.

    Raises
    ------
    ValueError, OSError
        Where nothing can be written, or a file is there that is no model.
    """

    def __init__(self, path: Path, force: bool, checkpoint: Path | None = None) -> None:
        self.path = path
        self._previous: Path | None = None
        header = None if force else header_of_model(path)
        if header is not None and not _is_of_run(header, checkpoint):
            self._previous = path.with_name(f"{path.stem}.previous{path.suffix}")
            if self._previous.exists() and header_of_model(self._previous) is None:
                raise ValueError(
                    f"{self._previous} is no model, and {path} would be kept under this name. Move "
                    "it away, name another file with --model, or add --force to keep nothing."
                )
        check_new(path, "--model", force or header is not None)

    def write(self, model: Any) -> None:
        """Write the model, and keep the one that was there."""
        from engine import atomic_files

        if self._previous is not None:
            with self.path.open("rb") as there, atomic_files.replacing(self._previous) as copy:
                shutil.copyfileobj(there, copy)
        model.write(self.path)

    def say(self, console: Console) -> None:
        """Where the model is, and the one that was there."""
        console.print_lines(f"Model: {self.path}")
        if self._previous is not None:
            console.print_lines(f"The model that was there is kept as {self._previous}.")


def header_of_model(path: Path) -> dict[str, Any] | None:
    """What a model says of itself; None if there is none that commands on tables can read."""
    from engine.model_files import pipeline_file

    if not path.is_file():
        return None
    try:
        return pipeline_file.read_model(path).header
    except (OSError, ValueError):
        return None


def _is_of_run(header: dict[str, Any], checkpoint: Path | None) -> bool:
    """Whether a run with that checkpoint has saved the model, and can go on."""
    if checkpoint is None or not checkpoint.exists():
        return False
    about = header.get("training")
    return isinstance(about, dict) and about.get("checkpoint") == checkpoint.name


def refuse_existing(path: Path, option: str, force: bool) -> None:
    """ValueError if there is a file that --force has not given up, or what is no file."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no ordinary file; name another one with {option}.")
    if path.exists() and not force:
        raise ValueError(
            f"{path} is there already. Add --force to replace it, or name another one with "
            f"{option}."
        )
