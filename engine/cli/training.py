"""`engine train`: from a table to a trained, scored and saved model."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.console import Console, say
from engine.cli.loss_options import Delta, Levels, LossName, LossOption, Power, loss_of
from engine.cli.output_files import Force, ModelPlace
from engine.cli.table_options import (
    NO_OPTIONS,
    TableOptions,
    TestFraction,
    at_command_line,
    encoding_of,
    takes_table_options,
)

if TYPE_CHECKING:
    from engine.cli.output_files import ModelPlace
    from engine.tables.converted_table import ConvertedTable
    from engine.tables.fitting import PreparedTable, Split
    from engine.tables.fitting_on_disk import TrainedOnDisk
    from engine.tables.target import Target


INTERRUPTED = 130  # as shells report Ctrl-C


class EarlyStopping(StrEnum):
    """Whether rows are set aside for validation, to stop early."""

    auto = "auto"
    yes = "yes"
    no = "no"


class Weights(StrEnum):
    """How much classes count."""

    balanced = "balanced"


# Share of validation rows in a converted table; None: it depends on the number of rows.
VALIDATION_FRACTION = {EarlyStopping.auto: None, EarlyStopping.yes: 0.1, EarlyStopping.no: 0.0}
EARLY_STOPPING = {EarlyStopping.auto: None, EarlyStopping.yes: True, EarlyStopping.no: False}


@takes_table_options
def train(
    context: typer.Context,
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE",
            help="A table: .csv or .tsv (also .gz), .parquet or .pq; or a folder that engine "
            "convert made.",
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The column to be predicted; of a converted table it is known."
        ),
    ] = None,
    on_disk: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="For tables larger than memory: convert to arrays there, and train on those. "
            "Arrays that the same command has made before are used again.",
        ),
    ] = None,
    how: TableOptions = NO_OPTIONS,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where the model goes; if left out, TABLE's name with .skops. A model of the same "
            "target that is there is kept as NAME.previous.skops.",
        ),
    ] = None,
    force: Force = False,
    test_fraction: TestFraction = 0.2,
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A column, such as a patient's number: rows with the same value are never on two "
            "sides, held-out and validation rows included.",
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A column of dates or numbers: the latest rows are held out, and the latest of "
            "the others validate.",
        ),
    ] = None,
    networks: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Networks whose predictions are averaged; by the table."
        ),
    ] = None,
    hidden: Annotated[
        str | None,
        typer.Option(
            metavar="N,N",
            help="Units of the hidden layers, joined by ','; by the table if left out.",
        ),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(
            metavar="X", min=0, help="How much weights shrink at each step; by the table."
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(metavar="X", help="Initial learning rate of Adam; by the table if left out."),
    ] = None,
    max_iter: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Limit of epochs; by the table if left out."),
    ] = None,
    max_time: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Time limit of the training.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Saves the state of training; after any stop, the same command resumes from it. "
            "The second network has FILE.2, and so on.",
        ),
    ] = None,
    checkpoint_every: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, help="How often; every 30 seconds if left out."),
    ] = None,
    early_stopping: Annotated[
        EarlyStopping,
        typer.Option(
            metavar="WHEN",
            help="Whether each network stops by validation rows of its own: yes, no, or auto, "
            "from 10 rows on.",
        ),
    ] = EarlyStopping.auto,
    loss: LossOption = None,
    quantile: Levels = None,
    delta: Delta = None,
    power: Power = None,
    class_weight: Annotated[
        Weights | None,
        typer.Option(
            metavar="HOW",
            help="balanced: each class has the same total weight, so that rare ones are found, "
            "with more false positives. If left out: each row has the same weight.",
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="If left out, as many as are worth it.")
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=2**32 - 1, help="Seed of the split and of the networks."
        ),
    ] = 0,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="For the learning curve and the confusion matrix or residuals."
        ),
    ] = None,
) -> None:
    """Train networks on a table, judge them on rows held out, and save them as one model.

    Prints how it reads the target and each column, and why columns are left out. Each network
    learns pieces of numbers and a vector for each category, and stops by validation rows of its
    own; predictions are averaged. All of that is fitted on the training rows alone. Ctrl-C ends the
    training early: the model so far is scored and saved. With a checkpoint, the same command
    resumes after Ctrl-C or any other end, and replaces the model that it has saved. Any other model
    of the same target there is kept as NAME.previous.skops; a model of another target, or a file
    that is no model, is only replaced with --force.
    """
    from engine import Checkpoint
    from engine.cli.convert import converted, show_converted
    from engine.cli.pictures import check_folder, draw_training
    from engine.cli.table_options import ON_DISK, TIMES_TRAINED, check_fits_memory
    from engine.cli.table_report import show_trained
    from engine.model_files import skops_file
    from engine.system import atomic_files
    from engine.tables import fitting
    from engine.tables.converted_table import open_table
    from engine.tables.csv_and_parquet import read_table, sha256_of
    from engine.tables.metadata import is_converted, read_metadata
    from engine.tables.target import refuse_outside
    from engine.tables.validation_rows import LEAST_ROWS
    from engine.training.checkpoint import place_of

    if table.is_dir() and not is_converted(table) and on_disk is None:
        raise ValueError(
            f"{table} is a folder that engine convert has not made. For a folder of tables: "
            f"engine convert {table} --target NAME --to FOLDER, then engine train FOLDER."
        )
    if is_converted(table):
        name = read_metadata(table)[0].name
    elif target is None:
        raise ValueError("Missing option '--target': name the column to be predicted.")
    else:
        name = target
    model = model or Path(_stem(table.resolve()) + skops_file.ENDING)
    skops_file.check_ending(model)
    place = ModelPlace(model, name, force, checkpoint)
    if checkpoint is not None:
        place_of(Checkpoint(checkpoint))
        atomic_files.check_writable(checkpoint)
    elif checkpoint_every is not None:
        raise ValueError("--checkpoint-every needs --checkpoint FILE: the file to save to.")
    if pictures is not None:
        check_folder(pictures, force)
    words = how.missing_values
    settings: dict[str, Any] = {
        "n_members": networks,
        "hidden_layer_sizes": None if hidden is None else _units(hidden),
        "weight_decay": None if weight_decay is None else _finite("--weight-decay", weight_decay),
        "learning_rate_init": _above_zero("--learning-rate", learning_rate),
        "max_iter": max_iter,
        "max_time": _above_zero("--max-time", max_time),
        "validation_fraction": 0.0 if early_stopping == EarlyStopping.no else None,
        "n_threads": threads,
        "random_state": seed,
    }
    kept = None if checkpoint is None else Checkpoint(checkpoint, checkpoint_every)
    if class_weight is not None:
        settings["class_weight"] = str(class_weight)
    chosen_loss = loss_of(loss, quantile, delta, power)
    if chosen_loss is not None:
        settings["loss"] = chosen_loss
    console = Console()
    if is_converted(table) or on_disk is not None:
        if is_converted(table):
            source = context.get_parameter_source("test_fraction")
            was_given = source is not None and source.name == "COMMANDLINE"
            others = {"--test-fraction": test_fraction if was_given else None, "--on-disk": on_disk,
                      "--pictures": pictures, "--groups": groups, "--time": time}  # fmt: skip
            refuse_given(table, {"--target": target, **how.given, **others})
            converted_table = open_table(table)
        else:
            assert on_disk is not None
            assert target is not None
            if pictures is not None:
                raise ValueError("--pictures cannot be drawn of a table on disk; leave it out.")
            for option, given in (("--groups", groups), ("--time", time)):
                if given is not None:
                    raise ValueError(
                        f"{option} is for tables in memory: the rows of a table on disk are held "
                        "out at random. Leave it, or --on-disk, out."
                    )
            converted_table = converted(
                [table], on_disk, target, how, test_fraction, VALIDATION_FRACTION[early_stopping],
                seed, reuse=True,
            )  # fmt: skip
        show_converted(console, converted_table)
        stopping = EARLY_STOPPING[early_stopping]
        _check_weights(class_weight, converted_table.target)
        _check_loss(loss, converted_table.target)
        on_disk_trained = train_on_disk(console, converted_table, settings, stopping, place, kept)
        finish(on_disk_trained, checkpoint)
        return
    check_fits_memory(table, TIMES_TRAINED, ON_DISK)
    assert target is not None
    read = read_table(table, words, encoding=encoding_of(how.encoding))
    plan = fitting.prepared(
        read, target, how.task and str(how.task), how.column or [],
        how.decimal and str(how.decimal), how.dates and str(how.dates), groups, time,
    )  # fmt: skip
    _check_weights(class_weight, plan.target)
    _check_loss(loss, plan.target)
    if chosen_loss is not None:
        refuse_outside(plan.target, float(plan.y.min()), chosen_loss)
    rows = fitting.split(plan, test_fraction, seed)
    if early_stopping == EarlyStopping.yes and len(rows.training.y) < LEAST_ROWS:
        raise ValueError(
            f"--early-stopping yes needs at least {LEAST_ROWS} training rows, and there "
            f"are {len(rows.training.y)}. Leave it out, or add rows."
        )
    show_plan(console, plan)
    about = {
        "table": table.name,
        "table_sha256": sha256_of(table),
        "missing": words,
    }
    with at_command_line():
        trained = fitting.trained(plan, rows, settings, about, sys.stderr.isatty(), kept)
    place.write(trained.model)
    show_trained(console, trained.model, trained, rows_of(trained.split), {})
    place.say(console)
    if pictures is not None:
        draw_training(console, trained, pictures)
    finish(trained, checkpoint)


def _check_weights(class_weight: Weights | None, target: "Target") -> None:
    from engine.tables.target import CLASSIFICATION

    if class_weight is not None and target.task != CLASSIFICATION:
        raise ValueError(
            f"--class-weight is for classes, and {target.name!r} is learnt as numbers: leave it "
            "out, or pass --task classification."
        )


def _check_loss(loss: LossName | None, target: "Target") -> None:
    from engine.tables.target import CLASSIFICATION

    if loss is not None and target.task == CLASSIFICATION:
        raise ValueError(
            f"--loss is for numbers, and {target.name!r} is learnt as classes: leave it out, or "
            "pass --task regression."
        )


def finish(trained: Any, checkpoint: Path | None) -> None:
    """Print the warnings; after Ctrl-C, end with its status."""
    from engine.tables import fitting

    for message in trained.warnings:
        if fitting.INTERRUPTED not in message:
            say(message)
    if trained.interrupted:
        epochs = max(network.n_iter_ for network in trained.networks)
        go_on = f" The same command goes on from {checkpoint}." if checkpoint else ""
        say(f"stopped by Ctrl-C in epoch {epochs}; what was learnt so far is saved.{go_on}")
        raise SystemExit(INTERRUPTED)  # without the line that main adds


def refuse_given(table: Path, given: dict[str, Any]) -> None:
    """Refuse options that were decided when the table was converted."""
    names = [name for name, value in given.items() if value is not None and value != []]
    if names:
        raise ValueError(
            f"{table} is a converted table, for which {' and '.join(names)} cannot be given: "
            "engine convert has decided on target, columns and rows."
        )


def show_plan(console: Console, plan: "PreparedTable") -> None:
    """Print what was inferred."""
    from engine.cli.table_report import inference_lines
    from engine.tables.messages import counted

    frame, columns = plan.table.frame, plan.columns
    n_missing = sum(column.n_missing for column in columns.used)
    more = f"; {counted(n_missing, 'missing value')}" if n_missing else ""
    left_out = [(column.name, column.note) for column in columns.left_out]
    lines = [
        f"{plan.table.path.name}: {counted(frame.height, 'row')}, {counted(frame.width, 'column')}",
        *inference_lines(plan.target, columns.used, more, left_out, plan.notes),
    ]
    console.print_lines(*lines)
    console.print()


def rows_of(split: "Split") -> str:
    """The numbers of training and held-out rows."""
    held_out = split.held_out
    said = f"{len(held_out.y):,} held out ({split.how})" if held_out else "none held out"
    return f"{len(split.training.y):,} training rows, {said}"


def _stem(table: Path) -> str:
    from engine.tables.text_files import is_compressed

    return (table.with_suffix("") if is_compressed(table) else table).stem


def _units(hidden: str) -> tuple[int, ...]:
    parts = [part.strip() for part in hidden.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"--hidden must be whole numbers above 0, joined by ','; got {hidden!r}.")
    return tuple(map(int, parts))


def _finite(option: str, value: float) -> float:
    if value == float("inf"):
        raise ValueError(f"{option} must be finite.")
    return value


def _above_zero(option: str, value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        raise ValueError(f"{option} must be above 0; got {value:g}.")
    return value


# A table that is converted, or is to be: it is never loaded.


def train_on_disk(
    console: Console,
    table: "ConvertedTable",
    settings: dict[str, Any],
    early_stopping: bool | None,
    place: "ModelPlace",
    checkpoint: Any = None,
) -> "TrainedOnDisk":
    """Train, save, and print the result."""
    from engine.tables.fitting_on_disk import trained_on_disk

    with at_command_line():
        trained = trained_on_disk(table, settings, early_stopping, sys.stderr.isatty(), checkpoint)
    place.write(trained.model)
    _show(console, table, trained)
    place.say(console)
    return trained


def _show(console: Console, table: "ConvertedTable", trained: "TrainedOnDisk") -> None:
    from engine.cli.table_report import show_trained

    rows, judged = table.facts["rows"], trained.rows_judged
    judged_on = [f"{judged['training']:,} training rows"]
    if judged.get("held_out"):
        judged_on.append(f"{judged['held_out']:,} held-out rows")
    console.print()
    show_trained(
        console,
        trained.model,
        trained,
        f"{rows['training']:,} training rows, {rows['validation']:,} validation rows, "
        f"{rows['held-out']:,} held out; shuffled by blocks",
        {"scores": f"from {' and '.join(judged_on)}"},
    )
