"""`engine check-model`: a model file, checked on the examples that it carries."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from engine.cli.console import Console, cell

if TYPE_CHECKING:
    from engine.model_files.check_model import ModelCheck, OutputCheck
    from engine.tables.model import TableModel


def check_model(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A model: .safetensors, .skops or .onnx.")
    ],
) -> None:
    """Check a model file: whether it can be trusted, and still gives the same outputs.

    Says what the model is and who wrote it; of a table's model its columns, how it was trained, and
    its scores. Then it computes the outputs of the example rows in the file by every backend, and
    by onnxruntime for an .onnx file where that is installed. Errors are in units in the last place
    (ulp). Ends with status 0 if all agree, 1 if one does not, 2 if the file is damaged or is no
    model. It executes nothing that the file brings along.
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

    from engine.model_files.skops_file import read_model

    stored = read_model(file)
    if "target" not in stored.header and not hasattr(stored.estimator, "made_up_rows"):
        return
    if find_spec("polars") is None:
        check.notes.append("polars is not installed: what it says of its table was not checked.")
        return
    from engine.tables.model import read

    model = check.facts.pop("model")
    others = {**check.facts}
    check.facts.clear()
    check.facts.update({"model": model, **_facts_of_table(read(file)), **others})


def _facts_of_table(model: "TableModel") -> dict[str, str]:
    """What a model file says of its table, of the training and of the scores.

    What it says of the training is for people: it may be of any type.
    """
    from engine.cli.table_report import in_words, names_by_kind, networks_in_words
    from engine.tables.messages import quoted

    said, kinds = model.training, names_by_kind(model.columns)
    facts = {
        "columns": "; ".join(f"{kind}: {quoted(names, 10)}" for kind, names in kinds.items()),
        "left out": quoted(model.left_out, 10),
        "loss": "" if model.loss is None else model.estimator.members_[0]._network.loss.in_words,
        "networks": networks_in_words(model.estimator.members_),
    }
    if said:  # engine.save says nothing of it
        facts |= {
            "trained on": f"{said.get('rows')} rows of {_listed(said.get('table'))}",
            "trained": f"{said.get('at')}, in {said.get('seconds')} s",
            "held out": str(said.get("held out")).removesuffix(" held out"),
            "settings": _listed(said.get("settings")),
        }
    names = {
        "held_out": "held-out rows",
        "training": "training rows",
        "linear": "linear, held-out",
        "baseline": "constant, held-out",
    }
    scores = said.get("scores", {})
    facts |= {names[part]: in_words(scores[part]) for part in names if part in scores}
    return {name: text for name, text in facts.items() if text}


def _listed(values: Any) -> str:
    """Values of any type, joined by commas, with their names if they have some."""
    if isinstance(values, dict):
        return ", ".join(f"{name} {value}" for name, value in values.items())
    return ", ".join(map(_listed, values)) if isinstance(values, list) else str(values)


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
