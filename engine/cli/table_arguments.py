"""Arguments that commands on tables share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class DecimalMark(StrEnum):
    """What stands before the decimals."""

    comma = "comma"
    point = "point"


class DateOrder(StrEnum):
    """What stands first in a date."""

    day_first = "day-first"
    month_first = "month-first"


Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model that engine train saved.")]
TASK = typer.Option(metavar="TASK", help="Classification or regression; by the target if left out.")
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
        help="What numbers such as 1,234 have, a decimal comma or a decimal point, where a column "
        "fits both.",
    ),
]
Dates = Annotated[
    DateOrder | None,
    typer.Option(
        metavar="ORDER",
        help="What comes first in dates such as 3/4/2024, day-first or month-first, where a column "
        "fits both.",
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
        help="Is a value in a CSV file, though by itself it stands for a missing one, as NA does. "
        "May be repeated.",
    ),
]
