"""`engine train` on a table that is converted, or is to be: it is never loaded."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from engine.tables.fitting_on_disk import TrainedOnDisk
    from engine.tables.on_disk import ConvertedTable

# A table in memory takes about so many times what its file does, training included.
TIMES_THE_FILE = {".parquet": 10, ".pq": 10, ".csv": 5, ".tsv": 5}


def check_fits_memory(table: Path) -> None:
    """Say what to do about a table that is larger than memory, before memory runs out."""
    from engine.mapped_files import in_words, memory_left

    if not table.is_file():
        return
    needed = TIMES_THE_FILE.get(table.suffix.lower(), 1) * table.stat().st_size
    left = memory_left()
    if needed > left:
        raise ValueError(
            f"{table} would take about {in_words(needed)} of memory, and {in_words(left)} are left."
            f" Add --on-disk FOLDER: the table is converted to arrays in that folder, and trained "
            "on from there in bounded memory."
        )


def train_on_disk(
    console: Console, table: "ConvertedTable", settings: dict[str, Any], model: Path
) -> "TrainedOnDisk":
    """Train, save, and say how it went."""
    from engine.tables.fitting_on_disk import trained_on_disk

    trained = trained_on_disk(table, settings, progress=sys.stderr.isatty())
    trained.model.write(model)
    _show(console, table, trained)
    console.print(f"Model: {model}", soft_wrap=True, markup=False, emoji=False)
    return trained


def _show(console: Console, table: "ConvertedTable", trained: "TrainedOnDisk") -> None:
    from engine.cli.table_scores import baseline_name, score_table, summary_table
    from engine.cli.table_train import COMPILED, best_epoch
    from engine.tables.words import counted

    network, rows = trained.network, table.facts["rows"]
    sizes = [network.n_features_in_, *network.hidden_layer_sizes, network.n_outputs_]
    classes = "" if table.classes is None else f", {len(table.classes)} classes"
    judged = ", ".join(
        f"{count:,} {name}"
        for name, count in (
            ("of those to learn from", trained.rows_judged["training"]),
            ("of those held out", trained.rows_judged.get("held_out")),
        )
        if count
    )
    console.print()
    console.print(
        summary_table(
            {
                "rows": f"{rows['training']:,} to learn from, {rows['validation']:,} to stop by, "
                f"{rows['held-out']:,} held out; shuffled by blocks",
                "columns": f"{len(table.columns):,}, which make {counted(sizes[0], 'input')}",
                "task": f"{table.target.task} of {table.target.name!r}{classes}",
                "network": f"{'-'.join(map(str, sizes))}, {network.activation} hidden units",
                "epochs": f"{network.n_iter_:,} of at most {network.max_iter:,}"
                f"{best_epoch(network)}",
                "time": f"{trained.seconds:.2f} s{COMPILED * trained.compiled}",
                "scores": f"from {judged}",
            }
        )
    )
    console.print()
    columns = {"training": trained.scores["training"]}
    if "held_out" in trained.scores:
        name = baseline_name(trained.model.baseline)
        columns = {
            "held-out": trained.scores["held_out"],
            **columns,
            f"{name}, held-out": trained.scores["baseline"],
        }
    console.print(score_table(table.target.task, columns))
    console.print()
