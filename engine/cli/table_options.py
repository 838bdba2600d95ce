"""Options that commands on tables share, what errors call them, and whether a table fits memory."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints

import typer


class LearningTask(StrEnum):
    """What is learnt."""

    classification = "classification"
    regression = "regression"


class DecimalMark(StrEnum):
    """The decimal mark."""

    comma = "comma"
    point = "point"


class DateOrder(StrEnum):
    """The order of day and month in a date."""

    day_first = "day-first"
    month_first = "month-first"


Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model that engine train saved.")]
TargetTask = Annotated[
    LearningTask | None,
    typer.Option(metavar="TASK", help="Classification or regression; by the target if left out."),
]
TestFraction = Annotated[
    float,
    typer.Option(metavar="SHARE", min=0, max=0.9, help="Rows held out for scoring; 0 for none."),
]
ColumnKinds = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=KIND",
        help="A column's kind: number, category, boolean, date or out. May be repeated.",
    ),
]
Decimal = Annotated[
    DecimalMark | None,
    typer.Option(
        metavar="MARK",
        help="How to read numbers such as 1,234, with a decimal comma or a decimal point, if a "
        "column fits both.",
    ),
]
Dates = Annotated[
    DateOrder | None,
    typer.Option(
        metavar="ORDER",
        help="How to read dates such as 3/4/2024, day-first or month-first, if a column fits both.",
    ),
]
MissingWords = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT", help="Also stands for a missing value in a CSV file. May be repeated."
    ),
]
NotMissingWords = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        help="Keeps a text as a value that otherwise stands for a missing one, such as NA. May be "
        "repeated.",
    ),
]


FileEncoding = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Encoding of a CSV file, such as latin-1 or utf-16; utf-8 if left out.",
    ),
]


class TableOptions(NamedTuple):
    """Options that say how to read a table: the task, kinds of columns, notations."""

    task: TargetTask = None
    column: ColumnKinds = None
    missing: MissingWords = None
    not_missing: NotMissingWords = None
    decimal: Decimal = None
    dates: Dates = None
    encoding: FileEncoding = None

    @property
    def missing_values(self) -> list[str]:
        """The texts that stand for a missing value in a CSV file."""
        from engine.tables.csv_and_parquet import missing_words

        return missing_words(self.missing or [], self.not_missing or [])

    @property
    def given(self) -> dict[str, Any]:
        """What was given, by the names of the options."""
        values = self._asdict().items()
        return {f"--{name.replace('_', '-')}": value for name, value in values if value}


NO_OPTIONS = TableOptions()


def takes_table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command, with each field of `TableOptions` as an option in place of its `how`."""
    signature = inspect.signature(command)
    places = {
        name: inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=TableOptions._field_defaults[name],
            annotation=annotation,
        )
        for name, annotation in get_type_hints(TableOptions, include_extras=True).items()
    }
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        parameters += places.values() if name == "how" else [parameter]
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]

    @functools.wraps(command)
    def with_options(**given: Any) -> Any:
        how = TableOptions(**{name: given.pop(name) for name in places})
        return command(how=how, **given)

    with_options.__dict__["__signature__"] = signature.replace(parameters=parameters)
    with_options.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_options


# Errors of the library name parameters of Python; those of commands name options.

# The options for parameters of `convert_table` and of the estimators.
OPTIONS = {
    "target": "--target",
    "task": "--task",
    "columns": "--column",
    "missing": "--missing, with what counts as missing by itself,",
    "decimal": "--decimal",
    "dates": "--dates",
    "encoding": "--encoding",
    "test_fraction": "--test-fraction",
    "seed": "--seed",
    "random_state": "--seed",
    "n_members": "--networks",
    "hidden_layer_sizes": "--hidden",
    "weight_decay": "--weight-decay",
    "learning_rate_init": "--learning-rate",
    "max_iter": "--max-iter",
    "class_weight": "--class-weight",
    "loss": "--loss",
    "delta": "--delta",
    "power": "--power",
    "level": "--quantile",
}
# Other things in which a checkpoint or a converted table may differ.
PARTS = {
    "validation_fraction": "the share that --early-stopping sets aside",
    "sizes": "the network's shape",
    "estimator": "the task's network",
    "X": "the table to learn from",
    "y": "its target",
    "X_val": "the table to stop by",
    "y_val": "its target",
    "sample_weight": "the weight of each row",
    "sample_weight_val": "the weight of each row to stop by",
}
ANOTHER_CHECKPOINT = (
    "Give the options that it was made with, name another file with --checkpoint, or delete it."
)


@contextmanager
def at_command_line() -> Iterator[None]:
    """Raise errors with the names of options, and with the command's own remedies."""
    try:
        yield
    except ValueError as error:
        said = with_option_names(error)
        if said == str(error):
            raise
        raise ValueError(said) from None


def encoding_of(given: str | None) -> str:
    """The encoding by `--encoding`; ValueError for what is none."""
    from engine.tables.text_files import UTF_8, checked_encoding

    with at_command_line():
        return checked_encoding(given or UTF_8)


def with_option_names(error: ValueError) -> str:
    """The message of an error, in the words of the command line."""
    from engine.estimators import findings

    finding = getattr(error, "finding", None)
    if finding is not None:
        return findings.at_command_line(finding)
    said = str(error)
    for difference in getattr(error, "differences", ()):
        said = said.replace(difference, named(difference, OPTIONS | PARTS), 1)
    if advice := getattr(error, "advice", ""):
        said = said.replace(advice, ANOTHER_CHECKPOINT)
    return named(said, OPTIONS)


def named(text: str, names: Mapping[str, str]) -> str:
    """The text, with the name that it begins with replaced by the option.

    Examples
    --------
    >>> named("test_fraction is 0.3 and was 0.2", OPTIONS)
    '--test-fraction is 0.3 and was 0.2'
    >>> named("columns: 'y' is the target.", OPTIONS)
    "--column: 'y' is the target."
    """
    first = text.partition(" ")[0].rstrip(":")
    return names[first] + text[len(first) :] if first in names else text


# Whether a table fits into memory, before memory runs out.

# A table in memory takes about so many times what its file does, with what is made of it.
TIMES_TRAINED = {".parquet": 10, ".pq": 10, ".csv": 5, ".tsv": 5}
TIMES_PREDICTED = {".parquet": 15, ".pq": 15, ".csv": 8, ".tsv": 8}

ON_DISK = (
    "Add --on-disk FOLDER: the table is converted to arrays in that folder, and trained on from "
    "there in bounded memory."
)
COMPRESSED = 6  # times smaller, about, is a CSV file in gzip
IN_PARTS = "A table is read as a whole here: divide it into several files, and take one at a time."


def check_fits_memory(table: Path, times: dict[str, int], advice: str) -> None:
    """ValueError, with `advice`, if the table would take more memory than is left."""
    from engine.system.free_memory import in_words, memory_left
    from engine.tables.text_files import is_compressed

    if not table.is_file():
        return
    is_gzip = is_compressed(table)
    ending = (table.with_suffix("") if is_gzip else table).suffix.lower()
    needed = times.get(ending, 1) * table.stat().st_size * (COMPRESSED if is_gzip else 1)
    left = memory_left()
    if needed > left:
        raise ValueError(
            f"{table} would take about {in_words(needed)} of memory, and {in_words(left)} are left."
            f" {advice}"
        )
