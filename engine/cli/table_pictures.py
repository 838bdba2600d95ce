"""The pictures of the commands on tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from engine.tables.fitting import Trained


def draw_training(console: Console, trained: "Trained", folder: Path) -> None:
    """The learning curve, and the held-out rows' predictions."""
    from engine.cli.pictures import save
    from engine.tables import pictures

    network, name = trained.network, trained.model.target.name
    path = folder / "learning-curve.png"
    validation = network.validation_loss_curve_
    which = "rows to stop by" if trained.split.validation else "held-out rows"
    curve = (
        network.loss_curve_,
        () if validation is None else validation,
        which,
        f"Learning to predict {name!r}",
    )
    save(console, lambda: pictures.learning_curve(*curve, path), path)
    if trained.split.held_out and trained.held_out:
        draw_predictions(
            console, trained.model, trained.split.held_out.y, trained.held_out.values, folder, None
        )


def draw_predictions(
    console: Console, model: Any, y: Any, predicted: Any, folder: Path, path: Path | None
) -> None:
    """The confusion matrix or the residuals, at `path` or by their name in `folder`."""
    from engine.cli.pictures import save
    from engine.tables import pictures
    from engine.tables.target import CLASSIFICATION

    is_classification = model.target.task == CLASSIFICATION
    title = f"{model.target.name!r}, {len(y):,} rows" + (" held out" if path is None else "")
    draw = pictures.confusion_matrix if is_classification else pictures.residuals
    name = "confusion-matrix.png" if is_classification else "residuals.png"
    place = path or folder / name
    save(console, lambda: draw(y, predicted, title, place), place)


def check_folder(folder: Path) -> None:
    """Make the folder; raise now, rather than after the work, if nothing can be written there."""
    from engine import atomic_files

    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--pictures {folder} is a file; name a folder.")
    folder.mkdir(parents=True, exist_ok=True)
    atomic_files.check_writable(folder / "learning-curve.png")
