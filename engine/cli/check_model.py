"""`engine check-model`: a model file, checked on the examples that it carries."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from engine.cli.console import Console, cell

if TYPE_CHECKING:
    from engine.model_files.check_model import ModelCheck, OutputCheck


def check_model(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A model: .safetensors, .skops or .onnx.")
    ],
) -> None:
    """Check a model file: whether it can be trusted, and still gives the same outputs.

    Says what the model is and who wrote it, then computes the outputs of the example rows in the
    file by every backend, and by onnxruntime for an .onnx file where that is installed. Errors are
    in units in the last place (ulp). Ends with status 0 if all agree, 1 if one does not, 2 if the
    file is damaged or is no model.
    """
    from engine.model_files.check_model import check_file

    check = check_file(file)
    if file.suffix.lower() == ".skops":
        _check_table(file, check)
    console = Console()
    console.print(f"[bold]{cell(str(file))}[/bold]", soft_wrap=True)
    console.print(_facts(check))
    console.print()
    console.print(_outcomes(check))
    console.print()
    for note in check.notes:
        console.print(cell(note))
    console.print(_verdict(check), soft_wrap=True)
    raise typer.Exit(0 if check.ok else 1)


def _check_table(file: Path, check: "ModelCheck") -> None:
    """Check also what `engine predict` needs of a file."""
    from importlib.util import find_spec

    from engine.cli.table_report import in_words
    from engine.model_files.skops_file import read_model

    if "target" not in read_model(file).header:
        return
    if find_spec("polars") is None:
        check.notes.append("polars is not installed: what it says of its table was not checked.")
        return
    from engine.tables.model import read

    scores = read(file).training.get("scores", {}).get("held_out", {})
    if scores:
        check.facts["held-out rows"] = in_words(scores)


def _facts(check: "ModelCheck") -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, said in check.facts.items():
        table.add_row(name, cell(said))
    return table


def _outcomes(check: "ModelCheck") -> Table:
    table = Table("computed by", box=None, pad_edge=False)
    table.add_column("largest error", justify="right")
    table.add_column("allowed by rounding", justify="right")
    table.add_column("")
    for outcome in check.outcomes:
        verdict = "ok" if outcome.ok else f"DIFFERS{': ' * bool(outcome.note)}{outcome.note}"
        table.add_row(outcome.way, *_figures(outcome), verdict)
    return table


def _figures(outcome: "OutputCheck") -> tuple[str, str]:
    if not math.isfinite(outcome.ulps):
        return "no number", _ulps(outcome.allowed)
    return ("same bits" if outcome.ulps == 0 else _ulps(outcome.ulps)), _ulps(outcome.allowed)


def _ulps(number: float) -> str:
    if number >= 1e7:
        return f"{number:.0e} ulp"
    return f"{number:,.1f} ulp" if number < 100 else f"{number:,.0f} ulp"


def _verdict(check: "ModelCheck") -> str:
    n = len(check.outcomes)
    if check.ok:
        return f"All {n} ways give the outputs that the file expects."
    failed = [outcome.way for outcome in check.outcomes if not outcome.ok]
    return (
        f"{', '.join(failed)}: other outputs than the file expects. Do not use this model here; "
        "train it again, or report this text with that of `engine info`."
    )
