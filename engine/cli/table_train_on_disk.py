"""`engine train` on a table that is converted, or is to be: it is never loaded."""

import sys
from typing import TYPE_CHECKING, Any

from engine.cli.console import Console
from engine.cli.option_names import at_command_line

if TYPE_CHECKING:
    from engine.cli.output_files import ModelPlace
    from engine.tables.converted_table import ConvertedTable
    from engine.tables.fitting_on_disk import TrainedOnDisk


def train_on_disk(
    console: Console,
    table: "ConvertedTable",
    settings: dict[str, Any],
    early_stopping: bool | None,
    place: "ModelPlace",
) -> "TrainedOnDisk":
    """Train, save, and say how it went."""
    from engine.tables.fitting_on_disk import trained_on_disk

    with at_command_line():
        trained = trained_on_disk(table, settings, early_stopping, progress=sys.stderr.isatty())
    place.write(trained.model)
    _show(console, table, trained)
    place.say(console)
    return trained


def _show(console: Console, table: "ConvertedTable", trained: "TrainedOnDisk") -> None:
    from engine.cli.table_words import show_trained

    rows, judged = table.facts["rows"], trained.rows_judged
    told = [f"{judged['training']:,} of those to learn from"]
    if judged.get("held_out"):
        told.append(f"{judged['held_out']:,} of those held out")
    console.print()
    show_trained(
        console,
        trained.model,
        trained,
        f"{rows['training']:,} to learn from, {rows['validation']:,} to stop by, "
        f"{rows['held-out']:,} held out; shuffled by blocks",
        {"scores": f"from {', '.join(told)}"},
    )
