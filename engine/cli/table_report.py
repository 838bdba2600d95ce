"""What the commands on tables print: what was inferred, a trained network, scores."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from engine.boundary.remedies import at_command_line
from engine.cli import console
from engine.cli.console import Console

if TYPE_CHECKING:
    from engine.tables.columns import Column
    from engine.tables.model import TableModel
    from engine.tables.scores import ClassScore
    from engine.tables.target import Target


PERCENT = ("accuracy", "balanced accuracy")
MOST_CLASSES = 40


def summary_table(facts: Mapping[str, str]) -> Table:
    """A table of names and facts."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, said in facts.items():
        table.add_row(name, console.cell(said))
    return table


def show_scores(
    out: console.Console,
    names: Mapping[str, bool],
    columns: Mapping[str, Mapping[str, float | None]],
) -> None:
    """The scores, and why some are not defined; `names` are those of `score_names`."""
    from engine.tables.messages import quoted
    from engine.tables.scores import NOT_DEFINED

    out.print(score_table(names, columns))
    for name in names:
        where = [column for column, scores in columns.items() if scores[name] is None]
        if where:
            too_large = columns[where[0]].get("RMSE", 0) is None
            reason = NOT_DEFINED["RMSE" if too_large else name]
            out.print_lines(f"{name} is not defined for {quoted(where)}: {reason}.")


def score_table(
    names: Mapping[str, bool], columns: Mapping[str, Mapping[str, float | None]]
) -> Table:
    """A row for each score, a column for each set of rows or predictor."""
    table = Table(box=None, pad_edge=False)
    table.add_column("score", no_wrap=True)
    table.add_column("better", no_wrap=True)
    for name in columns:
        table.add_column(console.cell(name), justify="right")
    for name, more_is_better in names.items():
        direction = "higher" if more_is_better else "lower"
        shown = [_shown(name, scores[name]) for scores in columns.values()]
        table.add_row(name, direction, *shown)
    return table


def in_words(scores: Mapping[str, float | None]) -> str:
    """The scores in one line."""
    return ", ".join(f"{name} {_shown(name, value)}" for name, value in scores.items())


def baseline_name(known: dict[str, Any]) -> str:
    """What the baseline predicts."""
    from engine.tables.messages import readable
    from engine.tables.scores import label_of

    if "mean" in known:
        constants = known.get("constants", [known["mean"]])
        return f"always {', '.join(map(readable, constants))}"
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


def quantile_table(shares: Mapping[float, float], rows: str) -> Table:
    """How many of the rows are up to each quantile, by its level."""
    return summary_table(
        {f"{rows} up to quantile {level:g}": f"{share:.1%}" for level, share in shares.items()}
    )


def say_all(notes: Iterable[str]) -> None:
    """Print notes on standard error, a line each."""
    for note in notes:
        console.say(at_command_line(note))


def _shown(name: str, value: float | None) -> str:
    from engine.tables.messages import readable

    if value is None:
        return "not defined"
    return f"{value:.1%}" if name in PERCENT else readable(value)


# What `engine train` and `engine convert` say of a table, and of a network trained on it.

COMPILED = ", most of it to compile kernels, which the next run loads"
MOST_LEFT_OUT = 20  # columns that are named one by one
KINDS = {
    "number": "numbers",
    "category": "categories",
    "boolean": "true and false",
    "date": "dates",
}


def names_by_kind(columns: Sequence["Column"]) -> dict[str, list[str]]:
    """The columns of the table, by their kind in words, the most frequent kind first."""
    from engine.tables.translation import DATED, PART

    found: dict[str, list[str]] = {}
    for column in columns:
        if column.reading != PART:
            kind = KINDS["date" if column.reading in DATED else column.kind]
            found.setdefault(kind, []).append(column.name)
    return dict(sorted(found.items(), key=lambda entry: -len(entry[1])))


def inference_lines(
    target: "Target",
    columns: Sequence["Column"],
    more: str,
    left_out: Sequence[tuple[str, str]],
    notes: Iterable[str],
) -> list[str]:
    """What the target and each column were taken for, line by line.

    `more` follows the columns' kinds; `left_out` are names and reasons.
    """
    from engine.tables.messages import counted

    kinds = names_by_kind(columns)
    of_table = {name for names in kinds.values() for name in names}
    columns = [column for column in columns if column.name in of_table]
    said = ", ".join(f"{len(names):,} of {kind}" for kind, names in kinds.items())
    lines = [
        f"Target {target.name!r}: {target.task}, as {target.reason.removeprefix('as ')} "
        "(--task overrules)",
        f"Learnt from {counted(len(columns), 'column')}: {said}{more}",
    ]
    lines += [f"  {column.name!r}: {column.note}" for column in columns if column.note]
    lines += [f"Left out: {name!r} {note}" for name, note in left_out[:MOST_LEFT_OUT]]
    if len(left_out) > MOST_LEFT_OUT:
        lines.append(f"Left out: {len(left_out) - MOST_LEFT_OUT:,} more columns")
    lines += [f"Note: {note}" for note in notes]
    return [at_command_line(line) for line in lines]


def show_trained(
    console: Console, model: "TableModel", trained: Any, rows: str, more: Mapping[str, str]
) -> None:
    """A summary and the scores; `more` are facts that come last.

    `trained` has `network`, `resumed`, `seconds`, `compiled` and `scores`.
    """
    from engine.tables.messages import counted
    from engine.tables.scores import score_names
    from engine.tables.translation import PART

    n_columns = sum(column.reading != PART for column in model.columns)
    networks, known, target = trained.networks, model.baseline, model.target
    n_inputs = networks[0].n_features_in_
    how = "on disk" if hasattr(trained, "rows_judged") else model.training.get("held out", "")
    makes = "" if n_inputs == n_columns else f", which make {counted(n_inputs, 'input')}"
    classes = f", {len(known['classes'])} classes" if "classes" in known else ""
    console.print(
        summary_table(
            {
                "rows": rows,
                "columns": f"{n_columns:,}{makes}",
                "task": f"{target.task} of {target.name!r}{classes}",
                **({} if model.loss is None else {"loss": networks[0]._network.loss.in_words}),
                "networks": networks_in_words(networks),
                "validation": validation_in_words(
                    model.estimator.n_validation_rows_, how, _have_second_fit(networks)
                ),
                "epochs": _epochs(networks, model.estimator.recipe_.max_iter) + trained.resumed,
                "time": f"{trained.seconds:.2f} s{COMPILED * trained.compiled}",
                **more,
            }
        )
    )
    console.print()
    scores = trained.scores
    columns = {"training": scores["training"]}
    if "held_out" in scores:
        columns = {
            "held-out": scores["held_out"],
            **columns,
            "linear, held-out": scores["linear"],
            f"{baseline_name(known)}, held-out": scores["baseline"],
        }
    show_scores(console, score_names(target.task, model.loss), columns)
    if trained.shares_up_to:
        console.print()
        console.print(quantile_table(trained.shares_up_to, "held-out rows"))
    if verdict := _verdict(model, trained):
        console.print()
        console.print_lines(verdict)
    console.print()


def _verdict(model: "TableModel", trained: Any) -> str:
    """How the networks compare with a constant and a linear model; empty if clearly better."""
    from engine.tables.verdict import CLEARLY

    rows = "the rows held out"
    constant, linear = baseline_name(model.baseline), "a linear one, which is simpler"
    others = {
        "baseline": (constant, f"This model is useless: on {rows}, it is no better than"),
        "linear": (linear, f"On {rows}, this model is no better than"),
    }
    for name, (other, no_better) in others.items():
        margin = trained.margins.get(name)
        if margin is not None and margin <= 0:
            return f"{no_better} {other}."
        if margin is not None and margin < CLEARLY:
            n_rows = f"{trained.n_judged:,} held-out rows"
            return f"This model is not clearly better than {other}: {n_rows} are too few to tell."
    return ""


def networks_in_words(networks: Sequence[Any]) -> str:
    """How many networks, and their sizes.

    A number of weights says how large they are, as inputs become several numbers.
    """
    network = networks[0]._network
    sizes = "-".join(map(str, network.sizes))
    how_many = "1" if len(networks) == 1 else f"{len(networks)}, averaged, each"
    return f"{how_many} {sizes} with {network.n_parameters:,} parameters"


def validation_in_words(n_rows: Sequence[int], how: str, by_time: bool = False) -> str:
    """What validated the networks; `how` says how rows were held out.

    Examples
    --------
    >>> validation_in_words([64, 64, 63], "at random")
    '63 to 64 rows, others for each network; by their loss'
    >>> validation_in_words([64, 64], "the latest", by_time=True)
    'the latest 64 training rows; by their loss'
    """
    if not any(n_rows):
        return "none: each network is trained for all epochs"
    said = f"{_span(n_rows)} rows"
    if by_time:
        said = f"the latest {_span(n_rows)} training rows"
    elif how.startswith("whole groups"):
        said += ", other groups for each network"
    elif len(n_rows) > 1:
        said += ", for all networks" if how == "on disk" else ", others for each network"
    return f"{said}; by their loss"


def _span(numbers: Iterable[int]) -> str:
    """One number, or the least and the most."""
    found = sorted(numbers)
    ends = dict.fromkeys(f"{number:,}" for number in (found[0], found[-1]))
    return " to ".join(ends)


def _have_second_fit(networks: Sequence[Any]) -> bool:
    """Whether the latest rows chose the epochs of networks that were then trained on all rows."""
    network = networks[0]
    return network.validation_scores_ is not None and not network.early_stopping


def _epochs(networks: Sequence[Any], most: int) -> str:
    """How many epochs there were, and which was the best, in words."""
    scores = [network.validation_scores_ for network in networks]
    best = [int(one.argmax()) + 1 for one in scores if one is not None and len(one)]
    if _have_second_fit(networks):
        ran = _span(len(one) for one in scores)
        return f"{ran} of at most {most:,}; best: {_span(best)}, then as many on all rows"
    kept = f"; kept: epoch {_span(best)}" if best else ""
    return f"{_span(network.n_iter_ for network in networks)} of at most {most:,}{kept}"
