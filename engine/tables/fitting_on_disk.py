"""From a converted table to a trained model, the same kind of model as from a table in memory."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import StandardScaler

from engine.losses import Loss
from engine.model_files import table_examples
from engine.model_files.estimator_state import remove_training_state
from engine.model_files.skops_file import read_model
from engine.tables import preprocessing as parts
from engine.tables.converted_table import PIPELINE, ConvertedTable, RowsOnDisk
from engine.tables.csv_and_parquet import is_parquet
from engine.tables.fitting import (
    INTERRUPTED,
    PATIENCE,
    of_checkpoint,
    resumed_from,
    said_of,
    score_to_stop_by,
    timed_fit,
    warnings_of,
)
from engine.tables.linear_model import linear_predictions
from engine.tables.metadata import METADATA_FILE, TRAINING, VALIDATION
from engine.tables.model import TableModel
from engine.tables.preprocessing import made_up_rows
from engine.tables.scores import Predicted, Scores, baseline, baseline_predictions, scored
from engine.tables.target import refuse_outside
from engine.tables.translation import PART, Translation

LEAST_TO_STOP_BY = 2  # rows; R2 needs them
ROWS_AT_A_TIME = 1 << 20
MOST_ROWS = 100_000  # that scores are taken from, of each part,
MOST_NUMBERS = 1 << 23  # and no more inputs of them than this: 32 MB


@dataclass(frozen=True)
class TrainedOnDisk:
    """A trained model, and how it did; scores are those of `rows_judged` rows of each part."""

    model: TableModel
    network: Any
    seconds: float
    compiled: bool
    interrupted: bool
    scores: dict[str, Scores]
    rows_judged: dict[str, int]
    warnings: tuple[str, ...]
    resumed: str


def trained_on_disk(
    table: ConvertedTable,
    settings: Mapping[str, Any],
    early_stopping: bool | None = None,
    progress: bool = False,
) -> TrainedOnDisk:
    """Fit on the training rows, shuffled by blocks, and judge on those that were held out.

    Parameters
    ----------
    table : ConvertedTable
    settings : mapping
        Arguments of the network.
    early_stopping : bool, optional
        Whether to stop early by the validation rows; None is if there are any.
    progress : bool
        Show a bar, with the time left, on standard error.

    Raises
    ------
    ValueError
        Before training, when anything in the folder is damaged or does not fit the rest.
    """
    task, loss = table.target.task, settings.get("loss")
    training, validation = _in_own_units(table, table.training, loss), table.validation
    if validation is not None and len(validation.y) < LEAST_TO_STOP_BY:
        validation = None
    if early_stopping and validation is None:
        raise ValueError(
            f"--early-stopping yes needs rows to stop by, and {table.folder} was converted without "
            "any, or with one. Leave it out, or convert more rows."
        )
    table.check_codes()
    translation, preprocessing = _preprocessing(table)
    if validation is not None:
        validation = _in_own_units(table, validation, loss)
    seen = validation
    if seen is None and table.held_out is not None:
        seen = _in_own_units(table, _spread(table.held_out), loss)
    watched = {} if seen is None else {"X_val": seen.X, "y_val": seen.y}
    stopping: dict[str, Any] = {"early_stopping": False}
    if validation is not None and early_stopping is not False:
        scoring = score_to_stop_by(task, loss)
        stopping = {"early_stopping": True, "scoring": scoring, "n_iter_no_change": PATIENCE}
    whole = parts.network(task, **settings, **stopping, shuffle="blocks", progress=progress)
    network = getattr(whole, "regressor", whole)
    with warnings.catch_warnings(record=True) as caught, timed_fit() as watch:
        warnings.simplefilter("always")
        network.fit(*training, **watched)
    messages = warnings_of(caught, table.classes)
    if whole is not network:
        _put_together(whole, network, table)
    known = _baseline(table, parts.loss_of(whole))
    scores, judged = _scores(table, whole, known, settings)
    if table.classes is not None:
        _name_classes(network, table.classes)
    about = table.facts["about"]
    is_text = not is_parquet(Path(about["source"][0]))
    texts = ["", *about["missing"]] if is_text else []
    pipeline = parts.assembled(table.columns, texts, preprocessing, whole, translation)
    resumed = resumed_from(network)
    remove_training_state(pipeline)
    facts = {
        "table": about["source"],
        "missing": about["missing"],
        "settings": said_of(settings),
        **of_checkpoint(settings),
        "rows": table.facts["rows"][TRAINING] + table.facts["rows"][VALIDATION],
        "seconds": round(watch.seconds, 3),
        "scores": scores,
    }
    model = TableModel(
        pipeline,
        table.target,
        table.columns,
        [name for name, _ in table.facts["left out"]],
        known,
        list(about["missing"]),
        facts,
        table_examples.examples_of(
            pipeline, made_up_rows(preprocessing, translation), made_up=True
        ),
    )
    interrupted = any(INTERRUPTED in message for message in messages)
    return TrainedOnDisk(
        model,
        network,
        watch.seconds,
        watch.compiled,
        interrupted,
        scores,
        judged,
        messages,
        resumed,
    )


def _preprocessing(table: ConvertedTable) -> tuple[Translation | None, ColumnTransformer]:
    """What made the inputs of the columns, and makes them of other rows."""
    path = table.folder / PIPELINE
    found = read_model(path).estimator
    translation = parts.translation_of(found)
    taken = [column.name for column in table.columns if column.reading != PART]
    if translation is not None:
        found = found.steps[-1][1] if len(found.steps) == 2 else None
    if not (
        isinstance(found, ColumnTransformer)
        and (translation is None or [*translation.feature_names_in_] == taken)
        and [*found.feature_names_in_] == [column.name for column in table.columns]
        and [*found.get_feature_names_out()] == table.facts["inputs"]
    ):
        raise ValueError(
            f"{path} makes other inputs, or of other columns, than {METADATA_FILE} tells of. "
            "Convert the table again."
        )
    return translation, found


def _put_together(whole: Any, network: Any, table: ConvertedTable) -> None:
    """TransformedTargetRegressor as if it had fitted the network: the target's scale is known."""
    known = table.facts["target"]
    scaler = StandardScaler()
    scaler.mean_ = np.array([known["mean"]])
    scaler.scale_ = np.array([known["standard deviation"]])
    scaler.var_ = scaler.scale_**2
    scaler.n_samples_seen_ = np.float64(table.facts["rows"][TRAINING])
    scaler.n_features_in_ = 1
    whole.transformer_, whole.regressor_, whole._training_dim = scaler, network, 1


def _name_classes(network: Any, classes: list[Any]) -> None:
    """The classifier has learnt codes: give it the labels that they stand for."""
    labels = np.array(classes)
    network._labels.classes = network.classes_ = labels


def _baseline(table: ConvertedTable, loss: Loss | None) -> dict[str, Any]:
    known = table.facts["target"]
    if table.classes is None:
        found = {"mean": known["mean"]}
        if loss is not None:
            y = _targets(table, _spread(table.training).y)
            found = baseline(table.target.task, y, loss) | found
        return found
    shares = np.array(known["counts"]) / sum(known["counts"])
    return {"classes": table.classes, "shares": shares.tolist()}


def _spread(part: RowsOnDisk) -> RowsOnDisk:
    """Rows of a part, evenly spread, as many as fit into memory anyway."""
    most = max(1, min(MOST_ROWS, MOST_NUMBERS // part.X.shape[1]))
    step = -(-len(part.y) // most)
    return RowsOnDisk(np.array(part.X[::step]), np.array(part.y[::step]))


def _in_own_units(table: ConvertedTable, part: RowsOnDisk, loss: Loss | None) -> RowsOnDisk:
    """Rows with the target as it is, if the loss takes no standardised one: a copy in memory."""
    if loss is None or not parts.is_as_it_is(loss):
        return part
    y = np.empty(len(part.y), part.X.dtype)
    for start in range(0, len(y), ROWS_AT_A_TIME):
        some = slice(start, start + ROWS_AT_A_TIME)
        y[some] = _targets(table, part.y[some])
    refuse_outside(table.target, float(y.min()), loss)
    return RowsOnDisk(part.X, y)


def _in_users_terms(table: ConvertedTable, y: Any) -> Any:
    """What is standardised, in units of the target."""
    known = table.facts["target"]
    return y.astype(np.float64) * known["standard deviation"] + known["mean"]


def _targets(table: ConvertedTable, y: Any) -> Any:
    """Targets of a table in their own units; what was 0 is 0 again, and not nearly 0."""
    found = _in_users_terms(table, y)
    rounding = 4 * np.finfo(y.dtype).eps * abs(table.facts["target"]["mean"])
    return np.where(np.abs(found) <= rounding, 0.0, found)


def _scores(
    table: ConvertedTable, whole: Any, baseline: dict[str, Any], settings: Mapping[str, Any]
) -> tuple[dict[str, Scores], dict[str, int]]:
    task, loss = table.target.task, parts.loss_of(whole)
    network = getattr(whole, "regressor_", whole)
    scores, judged = {}, {}
    learnt: tuple[Any, Any] = ((), ())
    for name, part in (("training", table.training), ("held_out", table.held_out)):
        if part is None:
            continue
        rows = _spread(part)
        if table.classes is None:
            y = _targets(table, rows.y)
            values = network.predict(rows.X).astype(np.float64)
            predicted = Predicted(values if whole is network else _in_users_terms(table, values))
        else:
            y = np.array(table.classes)[rows.y]
            shares = network.predict_proba(rows.X).astype(np.float64)
            shares /= shares.sum(axis=1, keepdims=True)
            classes = np.array(table.classes)
            predicted = Predicted(classes[shares.argmax(axis=1)], classes, shares)
        scores[name] = scored(task, y, predicted, loss)
        judged[name] = len(y)
        if name == "training":
            learnt = rows.X, y
        else:
            scores["baseline"] = scored(task, y, baseline_predictions(baseline, len(y)), loss)
            how = settings.get("loss"), settings.get("class_weight")
            linear = linear_predictions(*learnt, rows.X, task, *how)
            scores["linear"] = scored(task, y, linear, loss)
    return scores, judged
