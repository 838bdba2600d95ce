"""`engine compare page`: the report page of a comparison that was taken and kept."""

from pathlib import Path
from typing import Annotated

import typer


def page(
    figures: Annotated[Path, typer.Argument(help="The JSON file of a comparison.")],
    output: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
) -> None:
    """Make the report page of kept figures: one HTML file with pictures, tables and the figures.

    It needs no network, no script and no other file.
    """
    from engine import atomic_files
    from engine.comparison.report import kept
    from engine.comparison.report.page import render

    found = kept.read(figures)
    if not output.resolve().parent.is_dir():
        raise ValueError(f"{output}: its folder is not there; make it, or name another.")
    atomic_files.check_writable(output)
    text = render(found)
    with atomic_files.replacing(output) as file:
        file.write(text.encode("utf-8"))
    print(f"Page: {output}")
