"""How the commands on tables print what they found."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from engine.cli import console

if TYPE_CHECKING:
    from engine.tables.scores import ClassScore

PERCENT = ("accuracy", "balanced accuracy")
MOST_CLASSES = 40


def summary_table(facts: Mapping[str, str]) -> Table:
    """Names and what is to be said of each."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, said in facts.items():
        table.add_row(name, console.cell(said))
    return table


def show_scores(
    out: console.Console, task: str, columns: Mapping[str, Mapping[str, float | None]]
) -> None:
    """The scores, and why some are not defined."""
    from engine.tables.messages import quoted
    from engine.tables.scores import NOT_DEFINED

    out.print(score_table(task, columns))
    for name in next(iter(columns.values())):
        where = [column for column, scores in columns.items() if scores[name] is None]
        if where:
            too_large = columns[where[0]].get("RMSE", 0) is None
            reason = NOT_DEFINED["RMSE" if too_large else name]
            out.print_lines(f"{name} is not defined for {quoted(where)}: {reason}.")


def score_table(task: str, columns: Mapping[str, Mapping[str, float | None]]) -> Table:
    """A row for each score of the task, a column for each set of rows or predictor."""
    from engine.tables.scores import CLASSIFICATION_SCORES, REGRESSION_SCORES
    from engine.tables.target import CLASSIFICATION

    known = CLASSIFICATION_SCORES if task == CLASSIFICATION else REGRESSION_SCORES
    table = Table("score", "better", box=None, pad_edge=False)
    for name in columns:
        table.add_column(console.cell(name), justify="right")
    for name, more_is_better in known.items():
        direction = "higher" if more_is_better else "lower"
        shown = [_shown(name, scores[name]) for scores in columns.values()]
        table.add_row(name, direction, *shown)
    return table


def in_words(scores: Mapping[str, float | None]) -> str:
    """All of some scores."""
    return ", ".join(f"{name} {_shown(name, value)}" for name, value in scores.items())


def baseline_name(known: dict[str, Any]) -> str:
    """What the baseline predicts."""
    from engine.tables.scores import label_of

    if "mean" in known:
        return f"always {known['mean']:.4g}"
    return f"always {label_of(known['classes'][known['shares'].index(max(known['shares']))])}"


def class_table(scores: list["ClassScore"]) -> Table:
    """How well each class is found."""
    table = Table("class", box=None, pad_edge=False)
    for name in ("precision", "recall", "F1", "rows"):
        table.add_column(name, justify="right")
    for score in scores[:MOST_CLASSES]:
        shares = [f"{value:.1%}" for value in (score.precision, score.recall, score.f1)]
        table.add_row(console.cell(score.label), *shares, f"{score.n_rows:,}")
    if len(scores) > MOST_CLASSES:
        table.caption = f"and {len(scores) - MOST_CLASSES:,} more classes"
        table.caption_justify = "left"
    return table


def say(notes: Iterable[str]) -> None:
    """Notes go to standard error, a line each."""
    for note in notes:
        console.say(note)


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return "not defined"
    return f"{value:.1%}" if name in PERCENT else f"{value:.4g}"
