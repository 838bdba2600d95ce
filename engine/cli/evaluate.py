"""`engine evaluate`: a saved model's scores on a table that has the target."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.console import Console
from engine.cli.output_files import Force
from engine.cli.table_options import FileEncoding, Model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.tables.model import TableModel
    from engine.tables.scores import Predicted


def evaluate(
    model: Model,
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="A table with the target's column as well.")
    ],
    picture: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where the confusion matrix or the residuals go (.png, .svg, .pdf).",
        ),
    ] = None,
    force: Force = False,
    encoding: FileEncoding = None,
) -> None:
    """Score a saved model on a table that has the target's true values.

    Prints the scores beside a baseline that ignores the columns, and how well each class is found,
    or how large the errors are.
    """
    from engine.cli.pictures import check_can_be_saved, draw_predictions
    from engine.cli.table_options import IN_PARTS, TIMES_PREDICTED, check_fits_memory, encoding_of
    from engine.cli.table_report import baseline_name, say_all, show_scores
    from engine.tables import model as models
    from engine.tables.csv_and_parquet import read_table, sha256_of
    from engine.tables.messages import counted
    from engine.tables.scores import baseline_predictions, score_names, scored

    if picture is not None:
        check_can_be_saved(picture, force)
    loaded = models.read(model)
    loss = loaded.loss
    if picture is not None and loss is not None and loss.n_outputs is not None:
        raise ValueError(
            f"--picture shows one prediction a row, and {model.name} gives {loss.n_outputs} "
            "quantiles: leave it out."
        )
    check_fits_memory(table, TIMES_PREDICTED, IN_PARTS)
    read = read_table(table, loaded.missing, encoding=encoding_of(encoding))
    words = read.words.get(loaded.target.name, {})
    rows, notes = loaded.rows_with_target(read.frame, words)
    matched = loaded.matched(rows.frame)
    say_all([*read.notes, *notes, *matched.notes])
    if loaded.training.get("table_sha256") == sha256_of(table):
        n_rows = loaded.training.get("rows")  # of any type: it is said for people
        seen = counted(n_rows, "row") if type(n_rows) is int else "rows"
        say_all(
            [
                f"{table} is the table that the model was trained on: it has seen {seen} of it, "
                "so these scores are too good."
            ]
        )
    task, predicted = loaded.target.task, loaded.predict(matched.inputs)
    console = Console()
    console.print_lines(
        f"{model.name} on {table.name}: {counted(len(rows.y), 'row')}, {task} of "
        f"{loaded.target.name!r}",
        "",
    )
    columns = {"model": scored(task, rows.y, predicted, loss)}
    if loaded.baseline:
        plain = baseline_predictions(loaded.baseline, len(rows.y))
        columns[baseline_name(loaded.baseline)] = scored(task, rows.y, plain, loss)
    if "held_out" in loaded.training.get("scores", {}):
        columns["held-out, in training"] = loaded.training["scores"]["held_out"]
    show_scores(console, score_names(task, loss), columns)
    console.print()
    console.print(_details(loaded, rows.y, predicted))
    if picture is not None:
        console.print()
        draw_predictions(console, loaded, rows.y, predicted.values, picture.parent, picture)


def _details(model: "TableModel", y: "NDArray[Any]", predicted: "Predicted") -> Any:
    """Scores of each class, or the sizes of errors."""
    import numpy as np

    from engine.cli.table_report import class_table, quantile_table, summary_table
    from engine.tables.messages import readable
    from engine.tables.scores import class_scores, shares_up_to
    from engine.tables.target import CLASSIFICATION

    if model.target.task == CLASSIFICATION:
        return class_table(class_scores(y, predicted.values))
    if shares := shares_up_to(y, predicted, model.loss):
        return quantile_table(shares, "rows")
    values = predicted.values
    errors = np.abs(y - values)
    worst = int(errors.argmax())
    half, most = np.quantile(errors, [0.5, 0.9])
    return summary_table(
        {
            "half of the errors are below": readable(half),
            "nine tenths are below": readable(most),
            "the largest": f"{readable(errors[worst])} ({readable(values[worst])} for "
            f"{readable(y[worst])})",
            "on average": f"{readable(np.mean(values - y), '+')} (above 0: too high)",
        }
    )
