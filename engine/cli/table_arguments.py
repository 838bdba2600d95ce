"""Arguments that commands on tables share."""

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints

import typer


class Task(StrEnum):
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
    Task | None,
    typer.Option(metavar="TASK", help="Classification or regression; by the target if left out."),
]
TestFraction = Annotated[
    float,
    typer.Option(metavar="SHARE", min=0, max=0.9, help="Rows held out to judge by; 0 for none."),
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


class TableOptions(NamedTuple):
    """Options that say how to read a table: the task, kinds of columns, notations."""

    task: TargetTask = None
    column: ColumnKinds = None
    missing: MissingWords = None
    not_missing: NotMissingWords = None
    decimal: Decimal = None
    dates: Dates = None

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


NOTHING_SAID = TableOptions()


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
