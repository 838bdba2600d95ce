"""Where a command's picture goes."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from engine import plots
from engine.extras import installed_by


def check_can_be_saved(path: Path) -> None:
    """Raise OSError or ValueError now, rather than after the work, if `path` cannot be written.

    A file that stands there already is left as it is.
    """
    plots.check_format(path)
    existed = path.exists()
    if existed and not path.is_file():
        raise ValueError(f"{path}: not a file that a picture could be saved in.")
    with path.open("ab"):
        pass
    if not existed:
        path.resolve().unlink()  # not a link to it


def save(console: Console, draw: Callable[[], None], path: Path) -> None:
    """Draw the picture and say where it is, or that matplotlib is missing."""
    try:
        draw()
    except ImportError:
        console.print(f"No picture: it needs matplotlib. {installed_by('plots')}", markup=False)
    else:
        console.print(f"Picture: {path}", soft_wrap=True, markup=False, emoji=False)
