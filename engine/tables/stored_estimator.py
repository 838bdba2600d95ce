"""A fitted table estimator as plain descriptions and arrays, and back, with every part checked.

Model files and pickles hold this. Parameters of networks are there, and what a fit would need to go
on is not. Nothing is believed of what is read back: it may come from a forged file.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.embeddings import Embedding, Pieces
from engine.equations.losses import QUANTILE
from engine.estimators import parameters
from engine.estimators.base import CURVES
from engine.estimators.labels import BINARY, Labels
from engine.model_files.safe_reading import parsed
from engine.model_files.stored_network import drawn_rows
from engine.model_files.table_examples import array_of_json, json_of_array
from engine.network import Network
from engine.tables.calibration import HOTTEST
from engine.tables.column_kinds import BOOLEAN, CATEGORY, INPUT_KINDS
from engine.tables.columns import Column
from engine.tables.metadata import NUMBER, wrong_type
from engine.tables.network_inputs import NetworkInputs, levels_of
from engine.tables.recipe import Recipe
from engine.tables.table_encoding import ABSENT, EncodedColumn, TableEncoding
from engine.tables.target import CLASSIFICATION
from engine.tables.translation import READINGS

if TYPE_CHECKING:
    from engine.tables.table_estimator import TableEstimator

FITTED = "fitted"  # of the state, what a fit has found
FORMAT = 1
OF_INPUTS = ("centre", "scale", "lowest", "highest")
NUMBERS_OF_MEMBER = ("n_iter_", "loss_", "best_loss_", "best_validation_score_")
OPTIONAL = (int, float, type(None))

COLUMN: dict[str, Any] = {
    "name": (str,), "kind": (str,), "n_missing": (int,), "note": (str,), "categories": [(str,)],
    "reading": (str,),
}  # fmt: skip
TYPES: dict[str, Any] = {
    "format": (int,),
    "encoding": {},
    "columns": [COLUMN],
    "left_out": [COLUMN],
    "notes": [(str,)],
    "target_name": (str, type(None)),
    "n_features_in": (int,),
    "feature_names_in": (list, type(None)),
    "recipe": {
        name: [(int,)] if name == "hidden_layer_sizes" else NUMBER if kind is float else (kind,)
        for name, kind in Recipe.__annotations__.items()
    },
    "members": [
        {
            "seed": (int,),
            "early_stopping": (bool,),
            "n_validation_rows": (int,),
            "classes": (list, type(None)),
            "numbers": dict.fromkeys(NUMBERS_OF_MEMBER, OPTIONAL),
        }
    ],
}
OF_CLASSES: dict[str, Any] = {
    "temperature": NUMBER,
    "classes": {"kind": (str,), "values": (list,)},
    "class_weights": (list, type(None)),
}
OF_NUMBERS: dict[str, Any] = {"mean": NUMBER, "scale": NUMBER, "shifts": (list, type(None))}


def fitted_state(estimator: "TableEstimator") -> dict[str, Any]:
    """What a fit has found: a description, which is JSON, and arrays by name."""
    found: Any = estimator
    encoding, arrays = found.encoding_.to_description()
    inputs = found.inputs_
    arrays |= {name: getattr(inputs, name) for name in OF_INPUTS}
    pieces = [
        entry.breakpoints if isinstance(entry, Pieces) else np.empty(0)
        for entry in inputs.embeddings
    ]
    arrays["n_breakpoints"] = np.array([len(one) for one in pieces], np.int64)
    arrays["breakpoints"] = np.concatenate(pieces)
    names = getattr(found, "feature_names_in_", None)
    description: dict[str, Any] = {
        "format": FORMAT,
        "encoding": encoding,
        "columns": [asdict(column) for column in found.columns_],
        "left_out": [asdict(column) for column in found.left_out_],
        "notes": [*found.notes_],
        "target_name": found.target_name_,
        "n_features_in": int(found.n_features_in_),
        "feature_names_in": None if names is None else [str(name) for name in names],
        "recipe": _plain(found.recipe_._asdict()),
        "members": [],
    }
    if found._task == CLASSIFICATION:
        weights = found.class_weights_
        of_target = {
            "temperature": found.temperature_,
            "classes": json_of_array(found.classes_),
            "class_weights": None if weights is None else weights.tolist(),
        }
    else:
        shifts = found.shifts_
        of_target = {
            "mean": found.y_mean_,
            "scale": found.y_scale_,
            "shifts": None if shifts is None else shifts.tolist(),
        }
    description["target"] = of_target
    for number, member in enumerate(found.members_):
        arrays[f"theta_{number}"] = member._theta()
        for name in CURVES:
            if getattr(member, name, None) is not None:
                arrays[f"{name}{number}"] = np.array(getattr(member, name), np.float64)
        classes = getattr(member, "classes_", None)
        description["members"].append(
            {
                "seed": int(member.random_state),
                "early_stopping": bool(member.early_stopping),
                "n_validation_rows": int(found.n_validation_rows_[number]),
                "classes": None if classes is None else [int(code) for code in classes],
                "numbers": {name: _number(getattr(member, name)) for name in NUMBERS_OF_MEMBER},
            }
        )
    text = json.dumps(description, ensure_ascii=False, allow_nan=False)
    return {"description": text, "arrays": arrays}


def restore(estimator: "TableEstimator", state: Any) -> None:
    """Set what `fitted_state` has described; ValueError and the like if that cannot be."""
    found: Any = estimator
    if not isinstance(state, dict) or state.keys() != {"description", "arrays"}:
        raise ValueError("a state without description or arrays")
    if not isinstance(state["description"], str) or not isinstance(state["arrays"], dict):
        raise ValueError("a description or arrays that are none")
    found._validate_params()
    about, arrays = parsed(state["description"]), dict(state["arrays"])
    is_class = found._task == CLASSIFICATION
    types = {**TYPES, "target": OF_CLASSES if is_class else OF_NUMBERS}
    _require(not (wrong := wrong_type(about, types, "")), wrong)
    _require(about["format"] == FORMAT, f"format {about['format']}, and {FORMAT} is read")
    encoding = TableEncoding.from_description(about["encoding"], arrays)
    arrays.pop("level_counts")
    recipe = _recipe(about["recipe"])
    names = about["feature_names_in"]
    if names is not None:
        _require(all(type(name) is str for name in names), "names of columns that are no texts")
        _require(len(names) == about["n_features_in"] > 0, "another number of columns")
    used = [_column(one, encoding) for one in about["columns"]]
    made = [column.name for column in encoding.columns]
    _require([column.name for column in used] == made, "columns that are encoded otherwise")
    found.encoding_, found.recipe_ = encoding, recipe
    found.inputs_ = _inputs(encoding.columns, arrays, recipe)
    found.columns_, found.left_out_ = used, [_column(one) for one in about["left_out"]]
    found.notes_, found.target_name_ = about["notes"], about["target_name"]
    found.n_features_in_ = about["n_features_in"]
    if names is not None:
        found.feature_names_in_ = np.array(names, dtype=object)
    _restore_target(found, about["target"])
    members = about["members"]
    _require(0 < len(members) <= recipe.n_members, f"{len(members)} networks")
    found.n_validation_rows_ = [member["n_validation_rows"] for member in members]
    found.members_ = [
        _member(found, member, number, arrays) for number, member in enumerate(members)
    ]
    _require(not arrays, f"an array {next(iter(arrays), '')!r:.40} that nothing asks for")


def _restore_target(found: Any, about: Mapping[str, Any]) -> None:
    if found._task != CLASSIFICATION:
        found.y_mean_, found.y_scale_ = float(about["mean"]), float(about["scale"])
        is_right = math.isfinite(found.y_mean_) and 0 < found.y_scale_ < math.inf
        _require(is_right, "a target that is scaled by no number")
        found.shifts_ = None
        if about["shifts"] is not None:
            levels = found._loss.numbers if found._loss.row.code == QUANTILE else ()
            found.shifts_ = np.array(about["shifts"], np.float64)
            _require(found.shifts_.shape == (len(levels),), "shifts of other quantiles")
            _require(bool(np.isfinite(found.shifts_).all()), "shifts that are no numbers")
        return
    classes = array_of_json(about["classes"]["kind"], about["classes"]["values"])
    _require(len(classes) > 1 and np.array_equal(np.unique(classes), classes), "classes")
    found._labels, found.classes_ = Labels.of_classes(classes), classes
    found.class_weights_ = None
    if about["class_weights"] is not None:
        found.class_weights_ = np.array(about["class_weights"], np.float64)
        are_right = len(found.class_weights_) == len(classes) and bool(
            (np.isfinite(found.class_weights_) & (found.class_weights_ >= 0)).all()
        )
        _require(are_right and found.class_weights_.sum() > 0, "weights of classes")
    found.temperature_ = float(about["temperature"])
    cool = 0.99 / HOTTEST <= found.temperature_ <= 1.01 * HOTTEST
    _require(cool, f"temperature {found.temperature_}")


def _recipe(about: Mapping[str, Any]) -> Recipe:
    recipe = Recipe(**{name: about[name] for name in Recipe._fields})
    recipe = recipe._replace(hidden_layer_sizes=tuple(recipe.hidden_layer_sizes))
    counts = [recipe.n_members, recipe.n_pieces, recipe.width, recipe.level_width]
    counts += [*recipe.hidden_layer_sizes]
    _require(min(counts) > 0, "a recipe of nothing")
    _require(recipe.learning_rate in ("constant", "cosine"), "a learning rate of no kind")
    return recipe


def _column(about: Mapping[str, Any], encoding: TableEncoding | None = None) -> Column:
    if encoding is not None:
        _require(about["kind"] in INPUT_KINDS, f"a column of kind {about['kind']!r:.40}")
    _require(about["reading"] in READINGS, f"a column that is read as {about['reading']!r:.40}")
    known = {name: about[name] for name in COLUMN}
    return Column(**{**known, "categories": tuple(about["categories"])})


def _inputs(
    columns: Sequence[EncodedColumn], arrays: dict[str, Any], recipe: Recipe
) -> NetworkInputs:
    n = len(columns)
    centre, scale, lowest, highest = (_floats(arrays.pop(name), n, name) for name in OF_INPUTS)
    _require(bool(np.isfinite(centre).all() and np.isfinite(scale).all()), "numbers without scale")
    _require(bool((scale > 0).all() and (lowest <= highest).all()), "numbers without scale")
    counts = arrays.pop("n_breakpoints")
    is_right = isinstance(counts, np.ndarray) and counts.dtype == np.int64 and counts.shape == (n,)
    _require(is_right and bool((counts >= 0).all()), "pieces of no number")
    breakpoints = _floats(arrays.pop("breakpoints"), sum(counts.tolist()), "breakpoints")
    embeddings: list[Embedding | None] = []
    start = 0
    for column, count in zip(columns, counts.tolist(), strict=True):
        some = breakpoints[start : start + count]
        start += count
        is_category = column.role == CATEGORY
        _require(not (is_category and count), "a category in pieces")
        _require(count > 0 or is_category or not column.had_missing, "a column without pieces")
        if is_category:
            embeddings.append(levels_of(column, recipe.level_width))
        else:
            entry = Pieces(some, recipe.width, missing=column.had_missing) if count else None
            embeddings.append(entry)
    return NetworkInputs(centre, scale, lowest, highest, tuple(embeddings))


def _member(found: Any, about: Mapping[str, Any], number: int, arrays: dict[str, Any]) -> Any:
    """A network as its fit left it, without what only training needs."""
    settings = found._settings(found.recipe_)
    settings |= {"random_state": about["seed"], "early_stopping": about["early_stopping"]}
    member = found._member(settings)
    member._validate_params()
    n_outputs, output = _outputs_of(found, member, about["classes"])
    sizes = len(found.encoding_.columns), *found.recipe_.hidden_layer_sizes, n_outputs
    hidden = parameters.hidden_units(member.activation, len(sizes) - 2)
    network = Network(sizes, hidden, output, member._chosen_loss, found.inputs_.embeddings)
    theta = arrays.pop(f"theta_{number}")
    is_right = isinstance(theta, np.ndarray) and theta.dtype in (np.float32, np.float64)
    _require(is_right and theta.shape == (network.n_parameters,), f"parameters of {network}")
    _require(bool(np.isfinite(theta).all()), "parameters that are NaN or infinite")
    state: dict[str, Any] = {}
    for name in NUMBERS_OF_MEMBER:
        state[name] = about["numbers"][name]
    _require(type(state["n_iter_"]) is int and state["n_iter_"] >= 0, "a number of epochs")
    for name in CURVES:
        curve = arrays.pop(f"{name}{number}", None)
        if curve is not None:
            curve = _floats(curve, np.size(curve), name, finite=False)
        state[name] = curve
    member.__dict__.update(
        state,
        _network=network,
        n_features_in_=sizes[0],
        n_layers_=len(sizes),
        n_outputs_=n_outputs,
        out_activation_=UNITS_BY_NAME[output],
        t_=0,
        n_threads_=1,
        _no_improvement_count=0,
    )
    member._put(theta.copy())
    return member


UNITS_BY_NAME = {ours: theirs for theirs, ours in parameters.OUTPUT_UNITS.items()}


def _outputs_of(found: Any, member: Any, classes: Any) -> tuple[int, str]:
    """The number and the kind of a network's output units; sets the classes that it knows."""
    if found._task != CLASSIFICATION:
        _require(classes is None, "classes of numbers")
        return found._loss.n_outputs or 1, found._loss.output
    codes = array_of_json("int32", classes)
    n_classes = len(found.classes_)
    is_right = len(codes) and np.array_equal(np.unique(codes), codes)
    _require(bool(is_right) and 0 <= codes[0] <= codes[-1] < n_classes, "classes of a network")
    labels = Labels.of_classes(codes)
    member._set_labels(labels)
    return labels.n_outputs, "sigmoid" if labels.kind == BINARY else "softmax"


def _floats(values: Any, n: int, what: str, finite: bool = True) -> NDArray[np.float64]:
    is_right = isinstance(values, np.ndarray) and values.dtype == np.float64
    _require(is_right and values.shape == (n,), f"{what} of another shape")
    _require(not (finite and np.isnan(values).any()), f"{what} that are NaN")
    found: NDArray[np.float64] = values
    return found


def _plain(about: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: [int(one) for one in value] if name == "hidden_layer_sizes"
        else Recipe.__annotations__[name](value)
        for name, value in about.items()
    }  # fmt: skip


def _number(value: Any) -> float | int | None:
    if value is None or isinstance(value, int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"a table's model that makes no sense: {what}")


# Made-up rows of a table, which a model file carries as examples to be checked on.


def made_up_rows(encoding: TableEncoding, inputs: NetworkInputs) -> pl.DataFrame:
    """Eight rows of the table that an encoding takes, from what the model holds anyway."""
    columns = encoding.columns
    drawn = drawn_rows(len(columns)).T
    made = [
        _made(column, drawn[place], inputs.centre[place], inputs.scale[place], place)
        for place, column in enumerate(columns)
    ]
    rows = pl.DataFrame(made)
    return rows if encoding.translation is None else encoding.translation.as_written(rows)


def _made(
    column: EncodedColumn, drawn: NDArray[Any], centre: float, scale: float, place: int
) -> pl.Series:
    if column.role == CATEGORY:
        known: list[Any] = [*column.known, *[None] * column.had_missing] or [ABSENT]
        texts = [known[number % len(known)] for number in np.argsort(drawn)]
        return pl.Series(column.name, texts, dtype=pl.String)
    values = (drawn > 0).astype(float) if column.role == BOOLEAN else centre + scale * drawn
    gaps = [number == place % len(drawn) and column.had_missing for number in range(len(drawn))]
    made = [None if gap else float(value) for gap, value in zip(gaps, values, strict=True)]
    return pl.Series(column.name, made, dtype=pl.Float64)
