"""columns.json, which describes a converted table: written last, checked before it is used.

Training may take hours, and needs these facts at its end. So they are checked when the folder is
opened: whether all of them are there, have the right types, and agree with each other.
"""

import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine import __version__
from engine.tables.columns import Column
from engine.tables.target import CLASSIFICATION, TASKS, Target

FORMAT = 2
METADATA_FILE = "columns.json"
TRAINING, VALIDATION, HELD_OUT = PARTS = ("training", "validation", "held-out")

Metadata = dict[str, Any]

# Types of the values: {name: ...} are those of a mapping, [...] those of each of a list.
NUMBER, LABEL = (int, float), (str, int, float, bool)
TYPES: Metadata = {
    "about": {
        "asked": {},
        "missing": [(str,)],
        "seed": (int,),
        "source": [(str,)],
    },
    "columns": [
        {
            "name": (str,),
            "kind": (str,),
            "n_missing": (int,),
            "note": (str,),
            "categories": [(str,)],
        }
    ],
    "encoding": {},
    "inputs": [(str,)],
    "level counts": [(int,)],
    "left out": [[(str,)]],
    "missing values": (str,),
    "notes": [(str,)],
    "numbers": {},
    "rows": dict.fromkeys(PARTS, (int,)),
    "target": {"name": (str,), "kind": (str,), "task": (str,), "reason": (str,)},
}
TYPES_OF_CLASSES: Metadata = {"classes": [LABEL], "counts": [(int,)]}
TYPES_OF_NUMBERS: Metadata = {"mean": NUMBER, "standard deviation": NUMBER}


def is_converted(folder: Path) -> bool:
    """Whether a folder is what `convert_table` has written."""
    return (folder / METADATA_FILE).is_file()


def write_metadata(folder: Path, target: Target, columns: list[Column], facts: Metadata) -> None:
    """Write what the files hold, for people and for `read_metadata`."""
    all_facts = {
        "format": FORMAT,
        "mlp-engine": __version__,
        **facts,
        "target": {**asdict(target), **facts["target"]},
        "columns": [asdict(column) for column in columns],
    }
    with (folder / METADATA_FILE).open("w", encoding="utf-8") as file:
        json.dump(all_facts, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())


def read_metadata(folder: Path) -> tuple[Target, list[Column], Metadata]:
    """Target, columns and all that is said of them.

    Raises
    ------
    ValueError
        When something is lacking, is of another type, or does not fit the rest; or was written by a
        version with another format.
    """
    path = folder / METADATA_FILE
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        found = facts["format"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error!r}); convert the table again.") from error
    if type(found) is not int or found != FORMAT:
        raise ValueError(
            f"{folder} has format {found!r}, and this version of mlp-engine reads format {FORMAT}; "
            "convert the table again."
        )
    if wrong := (
        wrong_type(facts, TYPES, "")
        or _wrong_reading(facts["columns"])
        or _wrong_target(facts["target"])
        or _unfit(facts)
    ):
        raise ValueError(f"{path} is damaged: {wrong}. Convert the table again.")
    target = Target(**{name: facts["target"][name] for name in TYPES["target"]})
    return target, [_column(stored) for stored in facts["columns"]], facts


def _column(stored: Metadata) -> Column:
    known = {name: stored[name] for name in TYPES["columns"][0]}
    reading = stored.get("reading", "")
    return Column(**{**known, "categories": tuple(stored["categories"]), "reading": reading})


def _wrong_reading(columns: list[Metadata]) -> str:
    """A reading that is not text, in words; columns need not have a reading."""
    readings = [column.get("reading", "") for column in columns]
    wrong = [reading for reading in readings if type(reading) is not str]
    return f"a column's reading is {wrong[0]!r}" if wrong else ""


def wrong_type(value: Any, types: Any, place: str) -> str:
    """What is not of its type, in words; empty if all is."""
    if isinstance(types, dict):
        if not isinstance(value, dict):
            return f"{place or 'it'} is no mapping"
        lacking = [name for name in types if name not in value]
        if lacking:
            return f"{place or 'it'} has no {lacking[0]!r}"
        parts = [(value[name], types[name], f"{place} {name}".strip()) for name in types]
    elif isinstance(types, list):
        if not isinstance(value, list):
            return f"{place} is no list"
        parts = [(one, types[0], f"{place}, {number}") for number, one in enumerate(value)]
    else:
        return "" if type(value) in types else f"{place} is {value!r}"
    return next(filter(None, (wrong_type(*part) for part in parts)), "")


def _wrong_target(target: Metadata) -> str:
    if target["task"] not in TASKS:
        return f"target task is {target['task']!r}"
    is_class = target["task"] == CLASSIFICATION
    wrong = wrong_type(target, TYPES_OF_CLASSES if is_class else TYPES_OF_NUMBERS, "target")
    if wrong:
        return wrong
    if not is_class:
        finite = math.isfinite(target["mean"]) and 0 < target["standard deviation"] < math.inf
        return "" if finite else "the target's mean and standard deviation are none"
    classes, counts = target["classes"], target["counts"]
    if len(set(classes)) != len(classes) or len(classes) < 2 or len({*map(type, classes)}) > 1:
        return "the target's classes are not two or more different ones of a type"
    return "" if len(counts) == len(classes) and min(counts) > 0 else "each class needs its count"


def _unfit(facts: Metadata) -> str:
    rows, target = facts["rows"], facts["target"]
    if min(rows.values()) < 0 or not rows[TRAINING]:
        return f"rows are {rows}"
    if not facts["columns"] or not facts["inputs"]:
        return "it has no columns, or no inputs"
    if any(len(one) != 2 for one in facts["left out"]):
        return "a column is left out without a reason"
    if target["task"] == CLASSIFICATION and sum(target["counts"]) != rows[TRAINING]:
        return (
            f"the classes have {sum(target['counts'])} rows, and {rows[TRAINING]} are learnt from"
        )
    return ""
