"""`engine compare report` and `page`, and the options that all comparisons share."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from engine.cli.console import Console
from engine.cli.output_files import Force, check_new
from engine.comparison import LIMIT as LIMIT
from engine.system.atomic_files import replacing

if TYPE_CHECKING:
    from engine.comparison.figures import Figures


Dtype = Annotated[str, typer.Option(help="float32, float64 or both.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds; a figure to publish needs at least 7.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads for every library, on as many cores.")]
Json = Annotated[Path | None, typer.Option(help="Also write all figures to this file.")]
Contenders = Annotated[
    str | None,
    typer.Option(
        help="Names joined by ',': tiled, loops, numpy, sklearn, torch, torch-compiled, jax."
    ),
]
Limit = Annotated[
    float,
    typer.Option(min=1, help="Seconds for each contender and problem, compiling included."),
]
Own = Annotated[
    str | None,
    typer.Option(help="Peers that run in their own environments, though installed here."),
]
Solver = Annotated[str, typer.Option(help="Solver of the runs that are measured: adam, sgd or gd.")]


def names_of(contenders: str | None) -> list[str] | None:
    """Names joined by commas; None is all."""
    return None if contenders is None else [name.strip() for name in contenders.split(",")]


def distributions_of(own_environments: str | None) -> list[str]:
    """Distributions of the libraries that are named."""
    from engine.boundary.settings import one_of
    from engine.comparison.jobs import PEERS

    names = names_of(own_environments) or []
    return [PEERS[one_of("--own-environments", name, PEERS)].distribution for name in names]


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

    Each library runs in its own process, in turns, on one thread except in the part on threads. For
    all libraries, this takes some minutes with --quick, and half an hour without.
    """
    from engine.comparison import report_tables
    from engine.comparison.libraries import available_libraries
    from engine.comparison.machine import usable_cores
    from engine.comparison.measuring_process import cores_for, measured
    from engine.comparison.report.drawing import require_drawing

    names = names_of(contenders)
    own = distributions_of(own_environments)
    available_libraries(names, own)  # refuse a wrong name before a process is started
    most = threads or len(usable_cores())
    cores_for(most)
    for option, path in (("--page", page), ("--json", json)):
        if path is not None:  # refuse now what would fail at the end
            check_new(path, option, force)
    if page is not None:
        require_drawing()
    settings: dict[str, Any] = {
        "contenders": names,
        "rounds": rounds or (3 if quick else 7),
        "limit": limit,
        "own_environments": own,
    }
    found = measured("report", 1, size="quick" if quick else "full", **settings)
    if most > 1:
        found["threads"] = measured("report-threads", most, **settings)
    found["command"] = shlex.join(["engine", *sys.argv[1:]])
    _keep(found, page, json)
    console = Console()
    report_tables.show(console, found["command"], found)
    for what, path in (("Page", page), ("Figures", json)):
        if path is not None:
            console.print_lines(f"{what}: {path}")


def _keep(found: dict[str, Any], page: Path | None, json: Path | None) -> None:
    """Write the files, whole or not at all; figures first, as the page can be made from them."""
    from engine.comparison.tables import as_json

    if json is not None:
        with replacing(json) as file:
            file.write(as_json(found["command"], found).encode())
    if page is not None:
        from engine.comparison.report.page import render

        with replacing(page) as file:
            file.write(render(cast("Figures", found)).encode())


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
    from engine.comparison.report import figures_file
    from engine.comparison.report.page import render
    from engine.system import atomic_files

    found = figures_file.read(figures)
    force, output = force or output is None, output or Path(DEFAULT_PAGE)
    if not output.resolve().parent.is_dir():
        raise ValueError(f"{output}: its folder is not there; make it, or name another.")
    check_new(output, "--output", force)
    text = render(found)
    with atomic_files.replacing(output) as file:
        file.write(text.encode("utf-8"))
    Console().print_lines(f"Page: {output}")
