"""From a converted table to a trained model, the same kind of model as from a table in memory."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import StandardScaler

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
    timed_fit,
    warnings_of,
)
from engine.tables.metadata import METADATA_FILE, TRAINING, VALIDATION
from engine.tables.model import TableModel
from engine.tables.preprocessing import made_up_rows
from engine.tables.scores import Predicted, Scores, baseline_predictions, minus_log_loss, scored
from engine.tables.target import CLASSIFICATION
from engine.tables.translation import PART, Translation

LEAST_TO_STOP_BY = 2  # rows; R2 needs them
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
    task, training, validation = table.target.task, table.training, table.validation
    if validation is not None and len(validation.y) < LEAST_TO_STOP_BY:
        validation = None
    if early_stopping and validation is None:
        raise ValueError(
            f"--early-stopping yes needs rows to stop by, and {table.folder} was converted without "
            "any, or with one. Leave it out, or convert more rows."
        )
    table.check_codes()
    translation, preprocessing = _preprocessing(table)
    seen = validation or (None if table.held_out is None else _spread(table.held_out))
    watched = {} if seen is None else {"X_val": seen.X, "y_val": seen.y}
    stopping: dict[str, Any] = {"early_stopping": False}
    if validation is not None and early_stopping is not False:
        scoring = minus_log_loss if task == CLASSIFICATION else "r2"
        stopping = {"early_stopping": True, "scoring": scoring, "n_iter_no_change": PATIENCE}
    whole = parts.network(task, **settings, **stopping, shuffle="blocks", progress=progress)
    network = getattr(whole, "regressor", whole)
    with warnings.catch_warnings(record=True) as caught, timed_fit() as watch:
        warnings.simplefilter("always")
        network.fit(*training, **watched)
    messages = warnings_of(caught, table.classes)
    if table.classes is None:
        _put_together(whole, network, table)
    scores, judged = _scores(table, network)
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
        "settings": {name: value for name, value in settings.items() if name != "checkpoint"},
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
        _baseline(table),
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


def _baseline(table: ConvertedTable) -> dict[str, Any]:
    known = table.facts["target"]
    if table.classes is None:
        return {"mean": known["mean"]}
    shares = np.array(known["counts"]) / sum(known["counts"])
    return {"classes": table.classes, "shares": shares.tolist()}


def _spread(part: RowsOnDisk) -> RowsOnDisk:
    """Rows of a part, evenly spread, as many as fit into memory anyway."""
    most = max(1, min(MOST_ROWS, MOST_NUMBERS // part.X.shape[1]))
    step = -(-len(part.y) // most)
    return RowsOnDisk(np.array(part.X[::step]), np.array(part.y[::step]))


def _scores(table: ConvertedTable, network: Any) -> tuple[dict[str, Scores], dict[str, int]]:
    task, known = table.target.task, table.facts["target"]

    def in_users_terms(y: Any) -> Any:
        if table.classes is not None:
            return np.array(table.classes)[y]
        return y.astype(np.float64) * known["standard deviation"] + known["mean"]

    scores, judged = {}, {}
    for name, part in (("training", table.training), ("held_out", table.held_out)):
        if part is None:
            continue
        rows = _spread(part)
        y = in_users_terms(rows.y)
        if table.classes is None:
            predicted = Predicted(in_users_terms(network.predict(rows.X)))
        else:
            shares = network.predict_proba(rows.X).astype(np.float64)
            shares /= shares.sum(axis=1, keepdims=True)
            classes = np.array(table.classes)
            predicted = Predicted(classes[shares.argmax(axis=1)], classes, shares)
        scores[name] = scored(task, y, predicted)
        judged[name] = len(y)
        if name == "held_out":
            scores["baseline"] = scored(task, y, baseline_predictions(_baseline(table), len(y)))
    return scores, judged
