"""From a converted table to a trained model, the same kind of model as from a table in memory."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.estimators.labels import Labels
from engine.losses import Loss
from engine.model_files import table_examples
from engine.model_files.estimator_state import remove_training_state
from engine.tables.converted_table import ConvertedTable, RowsOnDisk
from engine.tables.fitting import (
    INTERRUPTED,
    HeldOutScores,
    estimator_of,
    held_out_scores,
    of_checkpoint,
    resumed_from,
    said_of,
    timed_fit,
    warnings_of,
)
from engine.tables.member_fits import Rows
from engine.tables.metadata import TRAINING
from engine.tables.model import TableModel, loss_of
from engine.tables.scores import Scores, baseline, scored
from engine.tables.target import refuse_outside

LEAST_TO_STOP_BY = 2  # rows
ROWS_AT_A_TIME = 1 << 20
MOST_ROWS = 100_000  # that scores are taken from, of each part,
MOST_NUMBERS = 1 << 23  # and no more inputs of them than this: 32 MB


@dataclass(frozen=True)
class TrainedOnDisk:
    """A trained model, and how it did; scores are those of `rows_judged` rows of each part."""

    model: TableModel
    seconds: float
    compiled: bool
    interrupted: bool
    scores: dict[str, Scores]
    margins: dict[str, float | None]
    shares_up_to: dict[float, float]
    rows_judged: dict[str, int]
    warnings: tuple[str, ...]
    resumed: str

    @property
    def networks(self) -> list[Any]:
        """The fitted networks."""
        found: list[Any] = self.model.estimator.members_
        return found

    @property
    def n_judged(self) -> int:
        """Held-out rows that were scored."""
        return self.rows_judged.get("held_out", 0)


def trained_on_disk(
    table: ConvertedTable,
    settings: Mapping[str, Any],
    early_stopping: bool | None = None,
    progress: bool = False,
    checkpoint: Any = None,
) -> TrainedOnDisk:
    """Fit on the training rows, shuffled by blocks, and judge on those that were held out.

    Parameters
    ----------
    table : ConvertedTable
    settings : mapping
        Parameters of the TableClassifier or TableRegressor.
    early_stopping : bool, optional
        Whether to stop early by the validation rows; None is if there are any.
    progress : bool
        Show a bar on standard error.
    checkpoint : Checkpoint, optional
        Of the first network; the others have files of their own beside it.

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
    stops = validation is not None and early_stopping is not False
    watched = _in_own_units(table, validation, loss) if validation is not None and stops else None
    estimator = estimator_of(task, settings, progress)
    _know_target(estimator, table, training, loss)
    with warnings.catch_warnings(record=True) as caught, timed_fit() as watch:
        warnings.simplefilter("always")
        estimator.fit_learnt(
            table.learnt,
            Rows(*training),
            target=table.target.name,
            validation=None if watched is None else Rows(*watched),
            checkpoint=checkpoint,
        )
    messages = warnings_of(caught)
    resumed = resumed_from(estimator.members_)
    remove_training_state(estimator)
    about = table.facts["about"]
    model = TableModel(
        estimator,
        table.target,
        table.columns,
        [name for name, _ in table.facts["left out"]],
        _baseline(table, loss_of(estimator)),
        list(about["missing"]),
        examples=table_examples.examples_of(estimator, None),
    )
    scores, found, judged = _scores(table, model, settings)
    model = model.told(
        {
            "table": about["source"],
            "missing": about["missing"],
            **said_of(estimator, settings),
            **of_checkpoint(checkpoint),
            "rows": table.facts["rows"][TRAINING] + (0 if watched is None else len(watched.y)),
            "held out": "at random",
            "seconds": round(watch.seconds, 3),
            "scores": scores,
        }
    )
    return TrainedOnDisk(
        model,
        watch.seconds,
        watch.compiled,
        any(INTERRUPTED in message for message in messages),
        scores,
        {} if found is None else found.margins,
        {} if found is None else found.shares_up_to,
        judged,
        messages,
        resumed,
    )


def _know_target(
    estimator: Any, table: ConvertedTable, training: RowsOnDisk, loss: Loss | None
) -> None:
    """Set what `fit` would learn of the target."""
    known = table.facts["target"]
    if table.classes is None:
        as_it_is = loss is not None and loss.output == "exp"
        estimator.y_mean_, estimator.y_scale_ = 0.0, 1.0
        if not as_it_is:
            estimator.y_mean_, estimator.y_scale_ = known["mean"], known["standard deviation"]
        return
    # Three times, as scikit-learn takes a target of distinct values for no classes.
    labels = Labels(np.tile(table.classes, 3))
    of_codes = Labels(np.tile(np.arange(len(table.classes)), 3))
    estimator.know_classes(labels, of_codes, training.y)


def _baseline(table: ConvertedTable, loss: Loss | None) -> dict[str, Any]:
    known = table.facts["target"]
    if table.classes is None:
        found = {"mean": known["mean"]}
        if loss is not None:
            y = _targets(table, spread(table.training).y)
            found = baseline(table.target.task, y, loss) | found
        return found
    shares = np.array(known["counts"]) / sum(known["counts"])
    return {"classes": table.classes, "shares": shares.tolist()}


def spread(part: RowsOnDisk) -> RowsOnDisk:
    """Rows of a part, evenly spread, as many as fit into memory anyway."""
    most = max(1, min(MOST_ROWS, MOST_NUMBERS // part.X.shape[1]))
    step = -(-len(part.y) // most)
    return RowsOnDisk(np.array(part.X[::step]), np.array(part.y[::step]))


def _in_own_units(table: ConvertedTable, part: RowsOnDisk, loss: Loss | None) -> RowsOnDisk:
    """Rows with the target as it is, if the loss takes no standardised one: a copy in memory."""
    if loss is None or loss.output != "exp":
        return part
    y = np.empty(len(part.y), part.X.dtype)
    for start in range(0, len(y), ROWS_AT_A_TIME):
        some = slice(start, start + ROWS_AT_A_TIME)
        y[some] = _targets(table, part.y[some])
    refuse_outside(table.target, float(y.min()), loss)
    return RowsOnDisk(part.X, y)


def _targets(table: ConvertedTable, y: Any) -> Any:
    """Targets of a table in their own units; what was 0 is 0 again, and not nearly 0."""
    known = table.facts["target"]
    found = y.astype(np.float64) * known["standard deviation"] + known["mean"]
    rounding = 4 * float(np.finfo(y.dtype).eps) * abs(known["mean"])
    return np.where(np.abs(found) <= rounding, 0.0, found)


def _scores(
    table: ConvertedTable, model: TableModel, settings: Mapping[str, Any]
) -> tuple[dict[str, Scores], HeldOutScores | None, dict[str, int]]:
    task, loss = model.target.task, model.loss
    parts = {"training": spread(table.training)}
    if table.held_out is not None:
        parts["held_out"] = spread(table.held_out)
    targets = {
        name: _targets(table, rows.y) if table.classes is None else np.array(table.classes)[rows.y]
        for name, rows in parts.items()
    }
    judged = {name: len(rows.y) for name, rows in parts.items()}
    learnt = parts["training"].X, targets["training"]
    scores = {"training": scored(task, learnt[1], model.predict_inputs(learnt[0]), loss)}
    if "held_out" not in parts:
        return scores, None, judged
    found = held_out_scores(model, learnt, parts["held_out"].X, targets["held_out"], settings)
    return scores | found.scores, found, judged
