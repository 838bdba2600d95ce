"""`engine compare page`: the report page of a comparison that was taken and kept."""

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.console import Console
from engine.cli.output_files import Force, check_new

DEFAULT_PAGE = "report.html"


def page(
    figures: Annotated[Path, typer.Argument(help="The JSON file of a comparison.")],
    output: Annotated[
        Path | None,
        typer.Option(help="The page to write; if left out, report.html, which is replaced."),
    ] = None,
    force: Force = False,
) -> None:
    """Make the report page of kept figures: one HTML file with pictures, tables and the figures.

    It needs no network, no script and no other file.
    """
    from engine.comparison.report import kept
    from engine.comparison.report.page import render
    from engine.system import atomic_files

    found = kept.read(figures)
    force, output = force or output is None, output or Path(DEFAULT_PAGE)
    if not output.resolve().parent.is_dir():
        raise ValueError(f"{output}: its folder is not there; make it, or name another.")
    check_new(output, "--output", force)
    text = render(found)
    with atomic_files.replacing(output) as file:
        file.write(text.encode("utf-8"))
    Console().print_lines(f"Page: {output}")
