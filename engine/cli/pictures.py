"""Where a command's picture goes."""

import warnings
from collections.abc import Callable
from pathlib import Path

from engine import plots
from engine.cli.console import Console, say
from engine.cli.output_files import refuse_existing
from engine.system.extras import installed_by

LETTERS_MISSING = "The font of the picture lacks some characters of names; boxes stand for them."


def check_can_be_saved(path: Path, force: bool) -> None:
    """Raise OSError or ValueError now, rather than after the work, if `path` cannot be written.

    Without `force`, a file that exists is refused. Nothing is changed here.
    """
    plots.check_format(path)
    existed = path.exists()
    refuse_existing(path, "--picture", force)
    with path.open("ab"):
        pass
    if not existed:
        path.resolve().unlink()  # not a link to it


def save(console: Console, draw: Callable[[], None], path: Path) -> None:
    """Draw the picture and say where it is, or that matplotlib is missing."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            draw()
    except ImportError:
        console.print(f"No picture: it needs matplotlib. {installed_by('plots')}", markup=False)
        return
    console.print_lines(f"Picture: {path}")
    said = [LETTERS_MISSING if "missing from" in text else text for text in map(_text, caught)]
    for text in dict.fromkeys(said):
        say(text)


def _text(warning: warnings.WarningMessage) -> str:
    return str(warning.message)
