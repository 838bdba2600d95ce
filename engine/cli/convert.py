"""`engine convert`: tables larger than memory become arrays in a folder."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.console import Console
from engine.cli.table_options import (
    TableOptions,
    TestFraction,
    at_command_line,
    encoding_of,
    takes_table_options,
)

if TYPE_CHECKING:
    from engine.tables.converted_table import ConvertedTable

DOING = {"survey": "Reading once, to decide:", "write": "Reading again, and writing:"}


@takes_table_options
def convert(
    tables: Annotated[
        list[Path],
        typer.Argument(
            metavar="TABLE...",
            help="CSV (also .csv.gz) or Parquet: a file, several of the same columns, or a "
            "folder of them.",
        ),
    ],
    target: Annotated[str, typer.Option(metavar="NAME", help="The column to be predicted.")],
    to: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Made completely or not at all; must not exist.")
    ],
    how: TableOptions,
    test_fraction: TestFraction = 0.2,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, max=2**32 - 1, help="Seed of the split.")
    ] = 0,
) -> None:
    """Turn a table of any size into arrays on disk, in bounded memory.

    engine train FOLDER then trains on them without loading them. Columns are interpreted as in
    engine train. After Ctrl-C, a full disk or a row that cannot be read, nothing is left behind.
    """
    table = converted(tables, to, target, how, test_fraction, None, seed)
    show_converted(Console(), table)


def converted(
    tables: list[Path],
    to: Path,
    target: str,
    how: TableOptions,
    test_fraction: float,
    validation_fraction: float | None,
    seed: int,
    reuse: bool = False,
) -> "ConvertedTable":
    """Convert the table, with the progress on standard error if it is a terminal."""
    from engine.tables.columns import names_and_kinds
    from engine.tables.conversion import convert_table

    missing, kinds = how.missing_values, names_and_kinds(how.column or [])
    with _progress() as progress, at_command_line():
        return convert_table(
            tables,
            to,
            target,
            task=how.task and str(how.task),
            columns=kinds,
            missing=missing,
            test_fraction=test_fraction,
            validation_fraction=validation_fraction,
            seed=seed,
            decimal=how.decimal and str(how.decimal),
            dates=how.dates and str(how.dates),
            encoding=encoding_of(how.encoding),
            reuse=reuse,
            progress=progress,
        )


def show_converted(console: Console, table: "ConvertedTable") -> None:
    """What was inferred, and what was written."""
    from engine.cli.table_report import inference_lines
    from engine.system.free_memory import in_words

    facts = table.facts
    rows = facts["rows"]
    n_bytes = sum(path.stat().st_size for path in table.folder.iterdir())
    lines = [
        *inference_lines(
            table.target,
            table.columns,
            "",
            facts["left out"],
            facts["notes"],
        ),
        f"{rows['training']:,} training rows, {rows['validation']:,} validation rows, "
        f"{rows['held-out']:,} held out (at random)",
        f"{table.folder}: {in_words(n_bytes)}",
    ]
    console.print_lines(*lines)


@contextmanager
def _progress() -> Iterator[Callable[[str, int], Any] | None]:
    if not sys.stderr.isatty():
        yield None
        return
    with Console(stderr=True).status("") as status:
        yield lambda what, rows: status.update(f"{DOING[what]} {rows:,} rows")
