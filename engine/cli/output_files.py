"""Files that commands write: a file that exists is replaced with --force only."""

import re
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli.console import Console

Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]


def check_new(path: Path, option: str, force: bool) -> None:
    """Raise now, rather than after the work, if `path` cannot be written, or exists."""
    from engine.system import atomic_files

    atomic_files.check_writable(path)
    refuse_existing(path, option, force)


class ModelPlace:
    """Where a model is saved. An older model of the same target is kept under another name.

    Parameters
    ----------
    path : Path
    target : str
        What the new model predicts.
    force : bool
        Replace any file there, and keep nothing.
    checkpoint : Path, optional
        Of the run that makes the model; a resumed run replaces the model that it saved before.

    Raises
    ------
    ValueError, OSError
        If the model cannot be written, or a file that is no model, or one of another target, is
        there.
    """

    def __init__(
        self, path: Path, target: str, force: bool, checkpoint: Path | None = None
    ) -> None:
        self.path = path
        self._previous: Path | None = None
        header = None if force else header_of_model(path)
        if header is not None:
            self._refuse_another_target(path, header, target)
        if header is not None and not _is_of_run(header, checkpoint):
            self._previous = path.with_name(f"{path.stem}.previous{path.suffix}")
            older = header_of_model(self._previous)
            if older is not None:
                self._refuse_another_target(self._previous, older, target)
            elif self._previous.exists():
                raise ValueError(
                    f"{self._previous} is no model, and {path} would be kept under this name. Move "
                    "it away, name another file with --model, or add --force to keep nothing."
                )
        check_new(path, "--model", force or header is not None)

    def _refuse_another_target(self, path: Path, header: dict[str, Any], target: str) -> None:
        """ValueError if the model at `path`, with that header, predicts something else."""
        known = header.get("target")
        name = known.get("name") if isinstance(known, dict) else None
        if name == target:
            return
        what = "a model that engine train has not saved" if name is None else f"a model of {name!r}"
        part = re.sub(r"\W+", "-", target).strip("-") or "new"
        another = self.path.with_name(f"{self.path.stem}-{part}{self.path.suffix}")
        raise ValueError(
            f"{path} is {what}, and a model of {target!r} would take its place. Name another file, "
            f"such as --model {another}, or add --force to replace it."
        )

    def write(self, model: Any) -> None:
        """Save the model; keep the older one."""
        from engine.system import atomic_files

        if self._previous is not None:
            with self.path.open("rb") as there, atomic_files.replacing(self._previous) as copy:
                shutil.copyfileobj(there, copy)
        model.write(self.path)

    def say(self, console: Console) -> None:
        """Print where the model is, and where the older one is kept."""
        console.print_lines(f"Model: {self.path}")
        if self._previous is not None:
            console.print_lines(f"The model that was there is kept as {self._previous}.")


def header_of_model(path: Path) -> dict[str, Any] | None:
    """The header of a model file; None if `path` is none that commands on tables can read."""
    from engine.model_files import skops_file

    if not path.is_file():
        return None
    try:
        return skops_file.read_model(path).header
    except (OSError, ValueError):
        return None


def _is_of_run(header: dict[str, Any], checkpoint: Path | None) -> bool:
    """Whether a run with that checkpoint has saved the model, and can be resumed."""
    if checkpoint is None or not checkpoint.exists():
        return False
    about = header.get("training")
    return isinstance(about, dict) and about.get("checkpoint") == checkpoint.name


def refuse_existing(path: Path, option: str, force: bool) -> None:
    """ValueError if `path` is no ordinary file, or exists without --force."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no ordinary file; name another one with {option}.")
    if path.exists() and not force:
        raise ValueError(
            f"{path} is there already. Add --force to replace it, or name another one with "
            f"{option}."
        )
