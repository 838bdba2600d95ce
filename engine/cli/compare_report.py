"""`engine compare report`: every part of a comparison, its figures and its page."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from engine.cli.compare_options import (
    LIMIT,
    Contenders,
    Json,
    Limit,
    Own,
    distributions_of,
    names_of,
)
from engine.cli.console import Console
from engine.cli.output_files import Force, check_new
from engine.system.atomic_files import replacing

if TYPE_CHECKING:
    from engine.comparison.figures import Figures


def report(
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer and smaller problems, for a first look.")
    ] = False,
    page: Annotated[Path | None, typer.Option(help="Write the page, one HTML file, here.")] = None,
    json: Json = None,
    force: Force = False,
    contenders: Contenders = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds; where not given 7, or 3 with --quick.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Most threads; all usable cores where not given.")
    ] = None,
    limit: Limit = LIMIT,
    own_environments: Own = None,
) -> None:
    """Compare in every respect, and write a page: speed, size, start-up, quality, memory, threads.

    Each contender in a process of its own, in turns, on one thread but in the part on threads. With
    all peers: some minutes with --quick, half an hour without.
    """
    from engine.comparison import whole_tables
    from engine.comparison.contenders import entrants
    from engine.comparison.launch import cores_for, measured
    from engine.comparison.machine import usable_cores
    from engine.comparison.report.drawing import require_drawing

    names = names_of(contenders)
    own = distributions_of(own_environments)
    entrants(names, own)  # a wrong name is said before a process is started
    most = threads or len(usable_cores())
    cores_for(most)
    for option, path in (("--page", page), ("--json", json)):
        if path is not None:  # what would stop the end is said before the work
            check_new(path, option, force)
    if page is not None:
        require_drawing()
    told: dict[str, Any] = {
        "contenders": names,
        "rounds": rounds or (3 if quick else 7),
        "limit": limit,
        "own_environments": own,
    }
    found = measured("report", 1, size="quick" if quick else "full", **told)
    if most > 1:
        found["threads"] = measured("report-threads", most, **told)
    found["command"] = shlex.join(["engine", *sys.argv[1:]])
    _keep(found, page, json)
    console = Console()
    whole_tables.show(console, found["command"], found)
    for what, path in (("Page", page), ("Figures", json)):
        if path is not None:
            console.print_lines(f"{what}: {path}")


def _keep(found: dict[str, Any], page: Path | None, json: Path | None) -> None:
    """Write the files whole or not at all; the figures first, from which a page can be made."""
    from engine.comparison.tables import as_json

    if json is not None:
        with replacing(json) as file:
            file.write(as_json(found["command"], found).encode())
    if page is not None:
        from engine.comparison.report.page import render

        with replacing(page) as file:
            file.write(render(cast("Figures", found)).encode())
