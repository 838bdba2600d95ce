"""Reading the file of a comparison: what is not as `Figures` describes it is said, and where."""

import itertools
import json
import math
import types
from pathlib import Path
from typing import Any, NotRequired, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

from engine.comparison.figures import FORMAT, Figures
from engine.comparison.problems import sizes_of
from engine.comparison.timing import Spread

PARTS = ("training", "sizes", "start_up", "curves", "goals", "memory", "threads")
REMEDY = "Write the file anew: engine compare report --json FILE"


def read(path: Path) -> Figures:
    """The figures in a file.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no file of figures, or not of this version's format.
    """
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:  # neither JSON nor text
        raise ValueError(f"{path}: expected the JSON file of a comparison; {error}.") from error
    try:
        return checked(found)
    except ValueError as error:
        raise ValueError(f"{path}: {error} {REMEDY}") from error


def checked(found: Any) -> Figures:
    """The same object, once all of it is as `Figures` says."""
    if not isinstance(found, dict) or "format" not in found:
        raise ValueError("expected a comparison's figures, with their format; there is none.")
    if found["format"] != FORMAT:
        raise ValueError(
            f"its format is {found['format']!r}; this version of mlp-engine reads {FORMAT}."
        )
    _check(found, Figures, "")
    figures = cast(Figures, found)
    if not figures["contenders"]:
        raise ValueError("contenders: expected at least one; there is none.")
    if not any(figures.get(part) for part in PARTS):
        raise ValueError(f"expected at least one of {', '.join(PARTS)}; all are absent.")
    _check_sense(figures)
    return figures


def _check_sense(figures: Figures) -> None:
    """What the types do not say: names that are known, times that have a logarithm."""
    for part, rows in (("training", figures.get("training")), ("sizes", figures.get("sizes"))):
        for number, row in enumerate(rows or []):
            where = f"{part}[{number}]"
            _check_names(row["entries"], figures, where)
            try:
                sizes_of(row["problem"])
            except ValueError:
                expected = "layer sizes joined by '-'"
                raise _wrong(f"{where}.problem", expected, row["problem"]) from None
            for name, entry in row["entries"].items():
                for key in ("us_per_sample", "ratio"):
                    _check_positive(entry.get(key), f"{where}.entries.{name}.{key}")
    _check_names(figures.get("start_up", {}), figures, "start_up")
    for number, curve in enumerate(figures.get("curves", [])):
        _check_names(curve["entries"], figures, f"curves[{number}]")
        for name, one in curve["entries"].items():
            lists = (one.get("epochs", []), one.get("seconds", []), one.get("costs", []))
            lengths = {len(numbers) for numbers in lists}
            if len(lengths) > 1:
                where = f"curves[{number}].entries.{name}"
                raise ValueError(f"{where}: epochs, seconds and costs must be equally many.")
    for number, goal in enumerate(figures.get("goals", [])):
        for name, of_goal in goal["entries"].items():
            for key in ("ms", "ratio"):
                _check_positive(of_goal.get(key), f"goals[{number}].entries.{name}.{key}")
    for number, memory in enumerate(figures.get("memory", [])):
        _check_names(memory["entries"], figures, f"memory[{number}]")
    for number, scaling in enumerate(figures.get("threads", [])):
        _check_names(scaling["entries"], figures, f"threads[{number}]")
        by_threads = [one.get("speed_up", {}) for one in scaling["entries"].values()]
        for count in itertools.chain(scaling["gemm"], *by_threads):
            if not count.isdecimal():
                raise _wrong(f"threads[{number}]", "numbers of threads as keys", count)


def _check_names(entries: Any, figures: Figures, where: str) -> None:
    for name in entries:
        if name not in figures["contenders"]:
            known = ", ".join(figures["contenders"])
            raise _wrong(where, f"entries of the contenders {known}", name)


def _check_positive(values: Any, where: str) -> None:
    if values is not None and not all(value > 0 for value in values):
        raise _wrong(where, "numbers above 0", values)


def _check(value: Any, kind: Any, where: str) -> None:
    """Raise ValueError unless `value`, from a JSON file, is of this type."""
    origin = get_origin(kind)
    if origin is NotRequired:
        _check(value, get_args(kind)[0], where)
    elif is_typeddict(kind):
        _check_fields(value, kind, where)
    elif kind is Spread:
        is_spread = isinstance(value, list) and len(value) == 3 and all(map(_is_finite, value))
        if not is_spread or not value[1] <= value[0] <= value[2]:
            raise _wrong(where, "[median, low, high], three numbers", value)
    elif origin in (Union, types.UnionType):
        _check_one_of(value, get_args(kind), where)
    elif origin is list:
        if not isinstance(value, list):
            raise _wrong(where, "a list", value)
        of = get_args(kind)[0]
        for number, item in enumerate(value):
            if not (of is float and item is None):  # JSON has no NaN
                _check(item, of, f"{where}[{number}]")
    elif origin is dict:
        if not isinstance(value, dict):
            raise _wrong(where, "an object", value)
        for key, item in value.items():
            _check(item, get_args(kind)[1], f"{where}.{key}")
    elif not _is(value, kind):
        raise _wrong(where, {str: "a text", int: "a whole number", float: "a number"}[kind], value)


def _check_fields(value: Any, kind: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise _wrong(where or "the file", "an object", value)
    for key, hint in get_type_hints(kind, include_extras=True).items():
        place = f"{where}.{key}" if where else key
        if key in value:
            _check(value[key], hint, place)
        elif key in kind.__required_keys__:
            raise ValueError(f"{place} is missing.")


def _check_one_of(value: Any, kinds: tuple[Any, ...], where: str) -> None:
    if value is None and type(None) in kinds:
        return
    _check(value, next(kind for kind in kinds if kind is not type(None)), where)


def _is(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _is_finite(value: Any) -> bool:
    return _is(value, float) and math.isfinite(value)


def _wrong(where: str, expected: str, value: Any) -> ValueError:
    shown = repr(value)
    return ValueError(
        f"{where}: expected {expected}; got {shown if len(shown) <= 60 else shown[:60] + ' ...'}."
    )
