"""What `engine train` and `engine convert` say of a table, and of a network trained on it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.cli.console import Console

if TYPE_CHECKING:
    from engine.tables.columns import Column
    from engine.tables.model import TableModel
    from engine.tables.target import Target

COMPILED = ", most of it to compile kernels, which the next run loads"
MOST_LEFT_OUT = 20  # columns that are named one by one
KINDS = {
    "number": "numbers",
    "category": "categories",
    "boolean": "true and false",
    "date": "dates",
}


def inferred(
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
    from engine.tables.translation import DATED, PART

    columns = [column for column in columns if column.reading != PART]
    kinds = Counter("date" if column.reading in DATED else column.kind for column in columns)
    said = ", ".join(f"{count:,} of {KINDS[kind]}" for kind, count in kinds.most_common())
    lines = [
        f"Target {target.name!r}: {target.task}, as {target.reason.removeprefix('as ')} "
        "(--task overrules)",
        f"Learnt from {counted(len(columns), 'column')}: {said}{more}",
    ]
    lines += [f"  {column.name!r}: {column.note}" for column in columns if column.note]
    lines += [f"Left out: {name!r} {note}" for name, note in left_out[:MOST_LEFT_OUT]]
    if len(left_out) > MOST_LEFT_OUT:
        lines.append(f"Left out: {len(left_out) - MOST_LEFT_OUT:,} more columns")
    return lines + [f"Note: {note}" for note in notes]


def show_trained(
    console: Console, model: "TableModel", trained: Any, rows: str, more: Mapping[str, str]
) -> None:
    """A summary and the scores; `more` are facts that come last.

    `trained` has `network`, `resumed`, `seconds`, `compiled` and `scores`.
    """
    from engine.cli.table_scores import baseline_name, show_scores, summary_table
    from engine.tables.messages import counted
    from engine.tables.translation import PART

    n_columns = sum(column.reading != PART for column in model.columns)
    network, known, target = trained.network, model.baseline, model.target
    sizes = [network.n_features_in_, *network.hidden_layer_sizes, network.n_outputs_]
    classes = f", {len(known['classes'])} classes" if "classes" in known else ""
    console.print(
        summary_table(
            {
                "rows": rows,
                "columns": f"{n_columns:,}, which make {counted(sizes[0], 'input')}",
                "task": f"{target.task} of {target.name!r}{classes}",
                "network": f"{'-'.join(map(str, sizes))}, {network.activation} hidden units",
                "epochs": f"{network.n_iter_:,} of at most {network.max_iter:,}"
                f"{_best_epoch(network)}{trained.resumed}",
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
            f"{baseline_name(known)}, held-out": scores["baseline"],
        }
    show_scores(console, target.task, columns)
    console.print()


def _best_epoch(network: Any) -> str:
    """The epoch whose parameters were kept, in words."""
    scores = network.validation_scores_
    return "" if scores is None else f"; kept: epoch {scores.argmax() + 1:,}"
