"""The pictures that commands save: where they go, and those of the commands on tables."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import plots
from engine.cli.console import Console, say
from engine.cli.output_files import refuse_existing
from engine.system.extras import installed_by

if TYPE_CHECKING:
    from engine.tables.fitting import TrainedTable


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


# The pictures of the commands on tables.

PNG = b"\x89PNG\r\n\x1a\n"  # how such files begin
LONGEST = 30  # letters of a target's name in a title
NAMES = LEARNING_CURVE, CONFUSION_MATRIX, RESIDUALS = (
    "learning-curve.png",
    "confusion-matrix.png",
    "residuals.png",
)


def draw_training(console: Console, trained: "TrainedTable", folder: Path) -> None:
    """The learning curve, and the held-out rows' predictions if there is one for each row."""
    from engine.tables import pictures

    name = pictures.shown_name(trained.model.target.name, LONGEST)
    path = folder / LEARNING_CURVE
    curves = [
        (network.loss_curve_, () if validation is None else validation)
        for network in trained.networks
        for validation in [network.validation_loss_curve_]
    ]
    title = f"Learning to predict '{name}'"
    save(console, lambda: pictures.learning_curves(curves, "validation rows", title, path), path)
    if trained.split.held_out and trained.held_out and trained.held_out.values.ndim == 1:
        draw_predictions(
            console, trained.model, trained.split.held_out.y, trained.held_out.values, folder, None
        )


def draw_predictions(
    console: Console, model: Any, y: Any, predicted: Any, folder: Path, path: Path | None
) -> None:
    """The confusion matrix or the residuals, at `path` or by their name in `folder`."""
    from engine.tables import pictures
    from engine.tables.target import CLASSIFICATION

    is_classification = model.target.task == CLASSIFICATION
    name = pictures.shown_name(model.target.name, LONGEST)
    title = f"'{name}', {len(y):,} rows" + (" held out" if path is None else "")
    draw = pictures.confusion_matrix if is_classification else pictures.residuals
    place = path or folder / (CONFUSION_MATRIX if is_classification else RESIDUALS)
    save(console, lambda: draw(y, predicted, title, place), place)


def check_folder(folder: Path, force: bool) -> None:
    """Make the folder; raise now, rather than after the work, if nothing can be written there."""
    from engine.cli.output_files import check_new

    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--pictures {folder} is a file; name a folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:  # which the same command makes again
        check_new(folder / name, "--pictures", force or is_png(folder / name))


def is_png(path: Path) -> bool:
    """Whether there is a picture, as the command draws them."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(PNG)) == PNG
