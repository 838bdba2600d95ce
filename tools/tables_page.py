"""Measure all that docs/tables-compared.md shows, and put it into the page; some hours.

    python -m tools.tables_page                          test tables, tuning tables, diamonds
    python -m tools.tables_page diamonds                 only those named
    python -m tools.tables_page beside                   CatBoost and RealMLP, if installed
    python -m tools.tables_page test --figures run.json  from a run that was taken already
    python -m tools.tables_page --again                  the page once more, from kept figures

Figures are those of `engine compare tables --json`, kept in benchmarks/figures. What stands between
two comments of the page, and its pictures, are made from them; what is written around them stays.
The README and docs/performance.md have a short table of the same figures.
"""

import io
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from engine.comparison import table_results
from engine.comparison.table_libraries import ENGINE
from engine.comparison.table_pictures import save, scores_figure, seconds_figure
from engine.comparison.table_results import label, taken
from engine.comparison.table_sets import table_sets
from engine.comparison.table_summary import far_behind, margins, mean_loss, seconds, standings
from engine.comparison.tables import as_json, count, figure, header
from tools import reach_table
from tools.asv_runs import ROOT, Arguments, CannotRun, told
from tools.performance_page import COLUMNS, FIGURES, REACH, README, kept_figures, rewrite
from tools.performance_page import PAGE as PERFORMANCE

PAGE = ROOT / "docs" / "tables-compared.md"
SMALL_TABLES = (
    "diabetes", "biomass", "Carseats", "car_prices", "College", "Forbes2000", "OJ", "german",
    "vehicle", "Wage", "bdims", "SaratogaHouses",
)  # fmt: skip
COMMANDS = {
    "test": "engine compare tables",
    "tuning": "engine compare tables --part tuning",
    "diamonds": "engine compare tables --part diamonds",
    # On small test tables, as RealMLP takes minutes on others.
    "beside": " ".join(
        [
            "engine compare tables --splits 2",
            "--libraries engine,hgb,lightgbm,linear,catboost,realmlp",
            *(f"--table {name}" for name in SMALL_TABLES),
        ]
    ),
}
RESULTS, TEST, TUNING, DIAMONDS, BESIDE = "results", *COMMANDS
SHORT = "tables"  # of the README and docs/performance.md
PICTURES = {"tables-scores.svg": scores_figure, "tables-seconds.svg": seconds_figure}
NOT_MEASURED = "Not measured yet."


def main(arguments: list[str]) -> int:
    parser = Arguments("tables_page", __doc__)
    parser.add_argument(
        "names", nargs="*", help=f"parts, of {', '.join(COMMANDS)}; if left out, all but the last"
    )
    parser.add_argument("--figures", type=Path, help="what `engine compare tables --json` wrote")
    parser.add_argument("--again", action="store_true", help="measure nothing; fill the page anew")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.names if name not in COMMANDS]:
        raise CannotRun(f"no part is called {unknown[0]!r}; there are {', '.join(COMMANDS)}")
    if asked.figures is not None and len(asked.names) != 1:
        raise CannotRun("--figures are those of one part: name it.")
    for name in [] if asked.again else asked.names or [*COMMANDS][:-1]:
        if asked.figures is not None:
            figures = read(asked.figures, name)
        else:
            print(f"{name}: {COMMANDS[name]}", flush=True)
            figures = measured(name)
        kept(name).write_text(as_json(figures["command"], figures), encoding="utf-8")
    write({name: read(kept(name), name) for name in COMMANDS if kept(name).is_file()})
    return 0


def measured(name: str) -> dict[str, Any]:
    """The figures of a command."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        command = [sys.executable, "-m", *shlex.split(COMMANDS[name]), "--json", str(path)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        return read(path, name)


def read(path: Path, name: str) -> dict[str, Any]:
    """Figures of a part, with the command as people type it."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        rows = found["diamonds" if name == DIAMONDS else "tables"]
        found["command"] = command_of(found["command"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotRun(
            f"{path}: expected the JSON file of `engine compare tables`; {error!r}"
        ) from error
    if not rows or any(row["part"] == TUNING for row in rows if name == TEST):
        raise CannotRun(f"{path} has no figures of {name}, or of other tables as well.")
    return found


def command_of(command: str) -> str:
    """A command without what says where its figures go.

    >>> command_of("engine compare tables --splits 2 --json run.json --force")
    'engine compare tables --splits 2'
    """
    words = iter(shlex.split(command))
    kept_words = []
    for word in words:
        if word == "--json":
            next(words, None)
        elif word != "--force":
            kept_words.append(word)
    return shlex.join(kept_words)


def kept(name: str) -> Path:
    """Where the figures of a part lie."""
    return FIGURES / f"tables-{name}.json"


def write(figures: dict[str, dict[str, Any]]) -> None:
    """The page and its pictures, from figures."""
    for name in COMMANDS:
        block = printed(name, figures[name]) if name in figures else NOT_MEASURED
        rewrite(PAGE, name, block)
    rewrite(PAGE, RESULTS, results(figures[TEST]) if TEST in figures else NOT_MEASURED)
    if TEST in figures:
        for file, draw in PICTURES.items():
            save(draw(figures[TEST]["tables"]), PAGE.parent / file)
    both = TEST in figures and DIAMONDS in figures
    block = in_short(figures[TEST], figures[DIAMONDS]) if both else NOT_MEASURED
    for page in (README, PERFORMANCE):
        rewrite(page, SHORT, block)
    rewrite(PERFORMANCE, REACH, reach_table.table(kept_figures()))


def printed(name: str, found: dict[str, Any]) -> str:
    """What the command prints; of the tuning tables, and beside more libraries, the main parts."""
    file = io.StringIO()
    console = Console(file=file, width=COLUMNS, no_color=True)
    if name in (TUNING, BESIDE):
        header(console, found["command"], found)
        console.print(taken(found))
        table_results.show_summary(console, TUNING if name == TUNING else TEST, found["tables"])
        more = {TUNING: table_results.show_margins, BESIDE: table_results.show_scores}
        more[name](console, found["tables"])
    else:
        table_results.show(console, found["command"], found)
    lines = "\n".join(line.rstrip() for line in file.getvalue().splitlines()).strip()
    return f"```text\n{lines}\n```"


def results(found: dict[str, Any]) -> str:
    """The first section of the page: sentences and a table."""
    rows = found["tables"]
    lines = [f"{taken(found)}; {found['about']['processor']}, one thread.", ""]
    if found["command"] != COMMANDS[TEST]:
        whole = len(table_sets("test"))
        part = (
            "" if len(rows) == whole else f"**Not the whole run: {len(rows)} of {whole} tables.** "
        )
        lines += [f"{part}Made by `{found['command']}`.", ""]
    columns = ["library", "mean score", "mean rank", "engine ahead or equal", "level or ahead"]
    columns += ["clearly behind", "seconds / LightGBM's"]
    lines += [_cells(columns), _cells(["---"] * len(columns)), *map(_cells, _standings(rows)), ""]
    return "\n".join([*lines, *(f"- {line}" for line in sentences(rows))])


def _standings(rows: Sequence[Any]) -> Iterator[list[str]]:
    for one in standings(rows):
        name = label(one.name)
        yield [
            f"**{name}**" if one.name == ENGINE else name,
            f"{one.score:.3f}",
            f"{one.rank:.2f}",
            *("" if share is None else f"{share:.0%}" for share in (one.ahead, one.level)),
            "" if one.clearly_behind is None else count(one.clearly_behind, "table"),
            "" if one.ratio is None else figure(one.ratio),
        ]


def in_short(test: dict[str, Any], diamonds: dict[str, Any]) -> str:
    """The libraries over the test tables and on the diamonds: a table, and what made it."""
    (study,) = diamonds["diamonds"]
    columns = ["library", "mean score", "engine is level or ahead", "fit: seconds / LightGBM's"]
    columns += ["diamonds: RMSE", "seconds of fit"]
    lines = [_cells(columns), _cells(["---", *["--:"] * (len(columns) - 1)])]
    for one in standings(test["tables"]):
        scored = "splits" in study["entries"].get(one.name, {})
        cells = [
            label(one.name),
            f"{one.score:.3f}",
            "" if one.level is None else f"{one.level:.0%}",
            "" if one.ratio is None else figure(one.ratio),
            f"{mean_loss(study, one.name):.4f}" if scored else "",
            figure(seconds(study, one.name)) if scored else "",
        ]
        lines.append(
            _cells([f"**{cell}**" if one.name == ENGINE and cell else cell for cell in cells])
        )
    tables = count(len(test["tables"]), "table")
    made = f"{tables}: `{test['command']}`; the diamonds: `{diamonds['command']}`"
    return "\n".join([*lines, "", f"{made}; {test['about']['processor']}, 1 thread."])


def sentences(rows: Sequence[Any]) -> Iterator[str]:
    """What the figures say, losses as plainly as wins."""
    found = margins(rows)
    lost = [each for each in found if each.margin < 0]
    yield (
        "engine is the best of the four that set the scale, or as good, on "
        f"{len(found) - len(lost)} of {count(len(found), 'table')}, and behind the best on "
        f"{len(lost)}."
    )
    far = far_behind(rows)
    names = f" ({', '.join(row['table'] for _, row in far)})" if far else ""
    yield (
        "It loses more than a third of what separates the better tree from the linear model on "
        f"{count(len(far), 'table')}{names}."
    )
    ours = next(one for one in standings(rows) if one.name == ENGINE)
    if ours.ratio is not None:
        yield (
            f"Its fit takes {figure(ours.ratio)} times as long as LightGBM's, in the geometric "
            "mean over tables."
        )
    if lost:
        worst = ", ".join(f"{each.row['table']} ({each.margin:+.2f})" for each in lost[:5])
        yield f"The worst losses, in normalised scores: {worst}."


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(told(main, sys.argv[1:]))
