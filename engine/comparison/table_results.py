"""The tables of `engine compare tables`."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from engine.comparison.diamonds import PUBLISHED, SOURCE
from engine.comparison.table_libraries import ENGINE, LIGHTGBM, TABLE_LIBRARIES
from engine.comparison.table_summary import (
    CLEAR,
    FAR,
    Margin,
    far_behind,
    likeness,
    losses,
    margins,
    mean_loss,
    paired,
    seconds,
    standings,
)
from engine.comparison.table_timings import TableRow
from engine.comparison.tables import BEHIND, count, figure, header, table

ON_EQUAL_TERMS = (
    "Each library with its defaults and its own treatment of categories and missing values, on the "
    "same rows, in a process of its own, warmed up on tiny tables before. All libraries on one "
    "split or seed, then on the next. Seconds are medians over them, around `fit` and `predict`; "
    "frames of others are made ready before."
)
SPLITS = "80 % of the rows train, 20 % test, classes in their shares."
STUDY_TERMS = (
    "Published: tuned for this table by 16 % of the rows, which the upper libraries never see; 10 "
    "seeds, seconds on an A100 of those seeds that were read. engine's recipe was chosen with this "
    f"table among others in view. {SOURCE}"
)
SUMMARY_TERMS = (
    "score: 0 is the worst and 1 the best of engine, HistGradientBoosting, LightGBM and the "
    "linear model on a table; a failure is 0; mean over tables. rank: mean, 1 is best. engine "
    "ahead: share of tables on which its mean loss is at most the library's; level: or above it by "
    "at most one standard error of the paired differences, which are corrected for splits that "
    "share rows; "
    f"clearly behind: tables with more than {CLEAR:g} standard errors. Seconds are those of 1,000 "
    "rows, medians over tables."
)


def show(console: Console, command: str, found: dict[str, Any]) -> None:
    """Print what was measured."""
    header(console, command, found)
    _lines(console, [taken(found)])
    _lines(console, warm_ups(found))
    console.print()
    if rows := found["tables"]:
        for part in sorted({row["part"] for row in rows}):
            show_summary(console, part, [row for row in rows if row["part"] == part])
        show_margins(console, rows)
        show_scores(console, rows)
        show_seconds(console, rows)
    for row in found["diamonds"]:
        show_study(console, row)
    _lines(console, failures([*found["tables"], *found["diamonds"]]))
    _terms(console, f"{SPLITS} {ON_EQUAL_TERMS}" if found["tables"] else ON_EQUAL_TERMS)


def taken(found: dict[str, Any]) -> str:
    """When, on which tables, beside what other work."""
    number = len(found["tables"]) or len(found["diamonds"])
    load = found.get("load")  # a machine that cannot tell has none
    other = "" if load is None else f"; other work as it began: {load:.1f} processes"
    return f"{found['date']}, {count(number, 'table')} ({found['part']}){other}"


def warm_ups(found: dict[str, Any]) -> Iterator[str]:
    """What each library took before it was timed."""
    times = {
        each["label"]: each["warm_up"]
        for each in found["libraries"].values()
        if each.get("warm_up") is not None
    }
    if times:
        each = ", ".join(f"{label} {figure(took)}" for label, took in times.items())
        yield f"Warm-up, seconds of imports, compiling and tiny fits, not timed below: {each}"


def label(name: str) -> str:
    """A library as people know it."""
    return TABLE_LIBRARIES[name].label if name in TABLE_LIBRARIES else name


def names_in(rows: Sequence[TableRow]) -> list[str]:
    """Libraries, in the order of the run."""
    return list(dict.fromkeys(name for row in rows for name in row["entries"]))


def show_summary(console: Console, part: str, rows: Sequence[TableRow]) -> None:
    """The libraries over the tables of a part."""
    console.print(f"{count(len(rows), f'{part} table')}; the best mean score first")
    console.print(summary(rows))
    _lines(console, far_lines(rows))
    _terms(console, SUMMARY_TERMS)


def summary(rows: Sequence[TableRow]) -> Table:
    """A row for each library."""
    columns = ["library", "score", "rank", "engine\nahead", "level\nor ahead", "clearly\nbehind"]
    columns += [
        "fit\ns / 1,000",
        "predict\ns / 1,000",
        f"fit: time /\n{label(LIGHTGBM)}'s",
        "failed",
    ]
    made = table(columns)
    for one in standings(rows):
        made.add_row(
            label(one.name),
            f"{one.score:.3f}",
            f"{one.rank:.2f}",
            *("" if share is None else f"{share:.0%}" for share in (one.ahead, one.level)),
            "" if one.clearly_behind is None else str(one.clearly_behind),
            *(
                "" if value is None else figure(value)
                for value in (one.seconds, one.predict_seconds, one.ratio)
            ),
            str(one.failed or ""),
        )
    return made


def far_lines(rows: Sequence[TableRow]) -> Iterator[str]:
    """Tables on which ours is far behind, and the direction of the times."""
    ours = next((one for one in standings(rows) if one.name == ENGINE), None)
    if ours is not None and ours.ratio is not None:
        yield (
            f"engine's seconds of fit / {label(LIGHTGBM)}'s, geometric mean: {figure(ours.ratio)} "
            "(higher: engine is slower)"
        )
    found = far_behind(rows)
    third = "a third" if math.isclose(FAR, 1 / 3) else f"{FAR:.0%}"
    yield (
        f"Far behind, by more than {third} of what separates the better tree from the linear "
        f"model: {count(len(found), 'table')} of {len(rows)}"
    )
    for share, row in found:
        yield f"  {row['table']}: {figure(share) if math.isfinite(share) else 'failed'}"


def show_margins(console: Console, rows: Sequence[TableRow]) -> None:
    console.print(
        "engine beside the best of the others, the worst loss first: score is engine's, margin its "
        "lead in scores"
    )
    found = margins(rows)
    console.print(margins_table(found))
    _lines(console, like_lines(found))
    console.print()


def margins_table(found: Sequence[Margin]) -> Table:
    """A row for each table: what it is like, and how far ours is ahead."""
    columns = ["table", "rows", "cols", "categ.", "missing", "score", "margin", "beside"]
    made = table([*columns, "its loss", "engine's", "lead / standard\nerror"])
    for each in found:
        row = each.row
        pair = paired(row, each.peer)
        in_errors = None if pair is None else pair.in_errors
        ours = mean_loss(row, ENGINE)
        margin = f"{each.margin:+.2f}"
        made.add_row(
            row["table"],
            str(row["rows"]),
            str(row["columns"]),
            f"{row['categories']:.0%}",
            f"{row['missing']:.0%}",
            f"{each.score:.2f}",
            f"[{BEHIND}]{margin}[/]" if each.margin < 0 else margin,
            label(each.peer),
            loss_figure(mean_loss(row, each.peer)),
            loss_figure(ours) if math.isfinite(ours) else "failed",
            "" if in_errors is None else f"{in_errors:+.1f}",
        )
    return made


def like_lines(found: Sequence[Margin]) -> Iterator[str]:
    """What the tables are like that ours lost, and those that it won."""
    for what, chosen in (
        ("behind the best of the others", [each.row for each in found if each.margin < 0]),
        ("ahead or level", [each.row for each in found if each.margin >= 0]),
    ):
        like = likeness(chosen)
        if like is None:
            yield f"engine {what}: no table"
        else:
            yield (
                f"engine {what}: {count(like.tables, 'table')}, {like.regressions} of numbers; "
                f"medians: {like.rows:.0f} rows, {like.columns:.0f} columns, "
                f"{like.categories:.0%} of them categories, {like.missing:.1%} of the cells missing"
            )


def loss_figure(value: float) -> str:
    """Four digits that count, or the whole number.

    >>> [loss_figure(value) for value in (0.012344, 0.5, 23.456, 23456.7)]
    ['0.01234', '0.5000', '23.46', '23457']
    """
    if value == 0 or value >= 1e3:
        return f"{value:.0f}"
    return f"{value:.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"


def show_scores(console: Console, rows: Sequence[TableRow]) -> None:
    console.print(
        "Loss on test rows (RMSE or log loss; lower is better), below it R2 or accuracy: mean and "
        "standard deviation over splits"
    )
    console.print(scores(rows))
    console.print()


def scores(rows: Sequence[TableRow]) -> Table:
    """A row for each table, a column for each library."""
    names = names_in(rows)
    made = table(["table\n  loss, splits", *map(label, names)])
    made.padding = (0, 0, 0, 1)
    for row in rows:
        best = min(mean_loss(row, name) for name in names)
        loss = "RMSE" if row["task"] == "regression" else "log loss"
        cells = [_score(row, name, best) for name in names]
        made.add_row(f"{row['table']}\n[dim]  {loss}, {len(row['seeds'])}[/]", *cells)
    return made


def _score(row: TableRow, name: str, best: float) -> str:
    found = losses(row, name)
    if found is None:
        return "failed" if name in row["entries"] else ""
    what = "r2" if row["task"] == "regression" else "accuracy"
    share = [split[what] for split in row["entries"][name]["splits"]]  # type: ignore[literal-required]
    first = _with_deviation(found, loss_figure)
    if mean_loss(row, name) == best:
        first = f"[bold]{first}[/]"
    return f"{first}\n[dim]{_with_deviation(share, lambda value: f'{value:.3f}')}[/]"


def _with_deviation(values: Sequence[float], written: Callable[[float], str]) -> str:
    middle = written(float(np.mean(values)))
    if len(values) == 1:
        return middle
    digits = len(middle.partition(".")[2])
    return f"{middle}±{np.std(values, ddof=1):.{digits}f}"


def show_seconds(console: Console, rows: Sequence[TableRow]) -> None:
    console.print(
        "Seconds of fit, in brackets those for 1,000 training rows, below them those of predict"
    )
    names = names_in(rows)
    made = table(["table", *map(label, names)])
    made.padding = (0, 0, 0, 1)
    for row in rows:
        made.add_row(row["table"], *(_seconds(row, name) for name in names))
    console.print(made)
    console.print()


def _seconds(row: TableRow, name: str) -> str:
    if losses(row, name) is None:
        return ""
    took = seconds(row, name)
    each = figure(1e3 * took / row["train_rows"])
    return f"{figure(took)} ({each})\n[dim]{figure(seconds(row, name, 'predict_seconds'))}[/]"


def failures(rows: Sequence[TableRow]) -> Iterator[str]:
    """Who has no score on which table, and why."""
    for row in rows:
        for name, entry in row["entries"].items():
            if "failed" in entry:
                yield f"{label(name)} failed on {row['table']}: {entry['failed']}"


def show_study(console: Console, row: TableRow) -> None:
    """The diamonds of the published study, ours first, then what it published."""
    console.print(
        f"Diamonds as a study of optimisers splits them: {row['train_rows']} training rows, "
        f"{row['test_rows']} test rows; RMSE of the standardised price, {len(row['seeds'])} seeds"
    )
    console.print(study(row))
    _terms(console, STUDY_TERMS)


def study(row: TableRow) -> Table:
    """A row for each library, and for each published network."""
    made = table(["model", "RMSE", "deviation\nover seeds", "seconds\nof fit", "R2"])
    for name in row["entries"]:
        found = losses(row, name)
        if found is None:
            made.add_row(label(name), "failed", "", "", "")
            continue
        r2 = float(np.mean([split["r2"] for split in row["entries"][name]["splits"]]))
        deviation = f"{np.std(found, ddof=1):.4f}" if len(found) > 1 else ""
        made.add_row(
            label(name),
            f"{np.mean(found):.4f}",
            deviation,
            figure(seconds(row, name)),
            f"{r2:.4f}",
        )
    for one in sorted(PUBLISHED, key=lambda each: each.rmse):
        took = "" if one.seconds is None else f"{one.seconds[0]:g}-{one.seconds[1]:g} (A100)"
        made.add_row(
            f"published: {one.model}, {one.optimiser}",
            f"{one.rmse:.4f}",
            f"{one.deviation:.4f}",
            took,
            "",
        )
    return made


def _lines(console: Console, lines: Any) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _terms(console: Console, terms: str) -> None:
    console.print(terms, style="dim", markup=False)
    console.print()
