"""Arguments that commands on tables share."""

from pathlib import Path
from typing import Annotated

import typer

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
        help="A column's kind: number, category, boolean or out. May be repeated.",
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
