"""`engine predict`: a saved model's predictions for the rows of a table."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.output_files import Force, check_new
from engine.cli.table_options import FileEncoding, Model

if TYPE_CHECKING:
    import polars as pl

    from engine.tables.model import TableModel
    from engine.tables.scores import Predicted


def predict(
    model: Model,
    table: Annotated[
        Path,
        typer.Argument(metavar="TABLE", help="A table: .csv or .tsv (also .gz), .parquet or .pq."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where predictions go (.csv, .tsv, .parquet); if left out, to standard output.",
        ),
    ] = None,
    force: Force = False,
    encoding: FileEncoding = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A column of TABLE to copy beside the predictions. May be repeated.",
        ),
    ] = None,
) -> None:
    """Predict the target for each row of a table: CSV on standard output, or a file.

    For classes, the probability of each is added; quantiles have a column for each level. The table
    needs the columns that the model was trained on, in any order. Missing columns and columns of
    another type are refused by name, other columns are ignored, and categories that were not in the
    training rows are counted.
    """
    from engine.cli.table_options import IN_PARTS, TIMES_PREDICTED, check_fits_memory, encoding_of
    from engine.cli.table_report import say_all
    from engine.tables import model as models
    from engine.tables.csv_and_parquet import check_ending, read_table, write_table
    from engine.tables.messages import counted, named_column

    if output is not None:
        check_ending(output, for_writing=True)
        check_new(output, "--output", force)
    loaded = models.read(model)
    check_fits_memory(table, TIMES_PREDICTED, IN_PARTS)
    read = read_table(table, loaded.missing, True, encoding_of(encoding))
    kept = [named_column(name, read.frame.columns, "--keep") for name in keep or []]
    matched = loaded.matched(read.frame)
    say_all([*read.notes, *matched.notes])
    found = predictions(loaded, loaded.predict(matched.inputs), [read.frame[name] for name in kept])
    if output is None:
        sys.stdout.write(found.write_csv())
    else:
        write_table(found, output)
        say_all([f"{counted(found.height, 'prediction')} in {output}"])


def predictions(
    model: "TableModel", predicted: "Predicted", kept: "list[pl.Series]"
) -> "pl.DataFrame":
    """The table of predictions: kept columns, prediction, probabilities."""
    import numpy as np
    import polars as pl

    from engine.equations.losses import QUANTILE
    from engine.tables.messages import quoted
    from engine.tables.scores import label_of

    name = f"predicted_{model.target.name}"
    columns = [*kept]
    if model.loss is not None and model.loss.row.code == QUANTILE:
        of_levels = zip(model.loss.numbers, np.atleast_2d(predicted.values.T), strict=True)
        columns += [pl.Series(f"{name}_quantile_{level}", values) for level, values in of_levels]
    else:
        columns.append(pl.Series(name, predicted.values))
    if predicted.classes is not None and predicted.probabilities is not None:
        columns += [
            pl.Series(f"probability_{label_of(label)}", share)
            for label, share in zip(predicted.classes, predicted.probabilities.T, strict=True)
        ]
    names = [column.name for column in columns]
    twice = {name for name, count in Counter(names).items() if count > 1}
    if twice:
        raise ValueError(
            f"The predictions would have more than one column called {quoted(sorted(twice))}; "
            "rename the one that is kept, or leave --keep out."
        )
    return pl.DataFrame(columns)
