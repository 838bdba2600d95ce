"""From a table to a trained model: the rows, the split, the fit and the scores."""

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numba.core import event
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import train_test_split

from engine.compiler.cache import CheckedCache
from engine.estimators.findings import said_at_command_line
from engine.losses import Loss
from engine.model_files import table_examples
from engine.model_files.estimator_state import remove_training_state
from engine.tables import columns as of_columns
from engine.tables import preprocessing as parts
from engine.tables import target as of_target
from engine.tables.column_kinds import CATEGORY, SMALLEST
from engine.tables.column_statistics import TableStatistics
from engine.tables.columns import Column, Columns
from engine.tables.csv_and_parquet import LoadedTable, is_parquet, without_nan
from engine.tables.linear_model import linear_predictions
from engine.tables.messages import counted, named_column
from engine.tables.model import TableModel
from engine.tables.preprocessing import made_up_rows
from engine.tables.scores import (
    Predicted,
    Scores,
    baseline,
    baseline_predictions,
    minus_log_loss,
    scored,
)
from engine.tables.table_description import described
from engine.tables.target import CLASSIFICATION, Target
from engine.tables.translation import Translation

LEAST_ROWS = 10  # for a split
EARLY_STOPPING_ROWS = 50  # training rows, of which some are set aside for validation
VALIDATION_FRACTION = 0.1
PATIENCE = 20  # epochs without a better validation loss
INTERRUPTED = "interrupted"  # in the estimators' warning after Ctrl-C


class PreparedTable(NamedTuple):
    """What was decided about a table, before anything is trained."""

    table: LoadedTable
    target: Target
    columns: Columns
    y: NDArray[Any]
    inputs: pl.DataFrame
    notes: list[str]
    translation: Translation | None = None


class RowsOfTable(NamedTuple):
    """Some of the rows."""

    inputs: pl.DataFrame
    y: NDArray[Any]


class Split(NamedTuple):
    """Training, validation and held-out rows; `how` says in words how they were divided."""

    training: RowsOfTable
    validation: RowsOfTable | None
    held_out: RowsOfTable | None
    how: str


@dataclass(frozen=True)
class TrainedTable:
    """A trained model, and how it did."""

    model: TableModel
    split: Split
    seconds: float
    compiled: bool  # whether kernels were compiled, which is part of the seconds
    interrupted: bool
    scores: dict[str, Scores]
    held_out: Predicted | None
    warnings: tuple[str, ...]
    resumed: str  # where the training resumed from, in words; empty for a new one

    @property
    def network(self) -> Any:
        """The fitted estimator within the pipeline."""
        return parts.fitted_network(self.model.pipeline)


def prepared(
    table: LoadedTable,
    target: str,
    task: str | None = None,
    kinds: Sequence[str] = (),
    decimal: str | None = None,
    dates: str | None = None,
) -> PreparedTable:
    """Decide on the target and the columns; rows without a target are left out.

    `decimal` ("comma" or "point") and `dates` ("day-first" or "month-first") decide where both fit.
    """
    frame = table.frame
    name = named_column(target, frame.columns, "--target")
    given_kinds = of_columns.parse_kinds(list(kinds), frame.columns)
    if name in given_kinds:
        raise ValueError(f"--column: {name!r} is the target; use --task for it.")
    found = described(frame, name, task, given_kinds, decimal, dates, table.words)
    assert found.target is not None
    known = found.frame[name].is_not_null()
    prepared = of_columns.inputs(found.frame, found.columns.used)
    y = of_target.values_of(found.frame[name].filter(known), found.target)
    notes = [*table.notes, *found.notes]
    return PreparedTable(
        table, found.target, found.columns, y, prepared.filter(known), notes, found.translation
    )


def split(
    plan: PreparedTable, fraction: float, seed: int, early_stopping: bool | None = None
) -> Split:
    """Hold rows out at random, stratified by class if there are enough rows.

    Parameters
    ----------
    plan : PreparedTable
    fraction : float
        Share of the rows that are held out; 0 holds none out.
    seed : int
    early_stopping : bool, optional
        Whether a tenth of the others is set aside for validation; None is where there are enough.

    Raises
    ------
    ValueError
        When there are too few rows for it.
    """
    everything, held_out = RowsOfTable(plan.inputs, plan.y), None
    how = "none held out"
    if fraction > 0:
        if len(plan.y) < LEAST_ROWS:
            raise ValueError(
                f"The table has {counted(len(plan.y), 'row')} with a target, and a split needs at "
                f"least {LEAST_ROWS}. Add rows, or pass --test-fraction 0, which holds none out."
            )
        stratified, how = _stratified(everything, plan.target, _share(everything, fraction))
        everything, held_out = _divided(everything, fraction, seed, stratified)
        if len(np.unique(everything.y)) < 2:
            raise ValueError(
                "The rows that would be learnt from have one value of the target only. Try another "
                "--seed, a smaller --test-fraction, or more rows."
            )
    training, validation = _set_aside(everything, plan.target, seed, early_stopping)
    if plan.target.task != CLASSIFICATION and np.ptp(training.y) < SMALLEST:
        raise ValueError(
            "The rows that would be learnt from have one value of the target only, or hardly "
            "another. Try another --seed, a smaller --test-fraction, or more rows."
        )
    return Split(training, validation, held_out, how)


def trained(
    plan: PreparedTable,
    rows: Split,
    settings: Mapping[str, Any],
    about: Mapping[str, Any],
    progress: bool = False,
) -> TrainedTable:
    """Fit on the training rows alone, and judge on those that were held out.

    Parameters
    ----------
    plan : PreparedTable
    rows : Split
    settings : mapping
        Arguments of the network.
    about : mapping
        What the model file is to say about the training, besides the scores.
    progress : bool
        Show a bar, with the time left, on standard error.
    """
    training, task, loss = rows.training, plan.target.task, settings.get("loss")
    preprocessing = parts.preprocessing(plan.columns.used)
    X = preprocessing.fit_transform(training.inputs)
    network = parts.network(task, **settings, **_stopping(rows, task, loss), progress=progress)
    seen = rows.validation or rows.held_out  # without validation rows, only for the curve
    watched = {} if seen is None else _validation_data(preprocessing, seen, training, task, loss)
    with warnings.catch_warnings(record=True) as caught, timed_fit() as watch:
        warnings.simplefilter("always")
        network.fit(X, training.y, **watched)
    messages = warnings_of(caught)
    words = list(about.get("missing", ()))
    texts = [] if is_parquet(plan.table.path) else ["", *words]
    pipeline = parts.assembled(plan.columns.used, texts, preprocessing, network, plan.translation)
    resumed = resumed_from(parts.fitted_network(pipeline))
    remove_training_state(pipeline)
    model = TableModel(
        pipeline,
        plan.target,
        _as_learnt(plan.columns.used, training.inputs),
        [column.name for column in plan.columns.left_out],
        baseline(task, training.y, parts.loss_of(network)),
        words,
        examples=table_examples.examples_of(
            pipeline, made_up_rows(preprocessing, plan.translation), made_up=True
        ),
    )
    scores, predicted = _scores(model, rows)
    if rows.held_out is not None:
        weight, X_new = settings.get("class_weight"), preprocessing.transform(rows.held_out.inputs)
        linear = linear_predictions(X, training.y, X_new, task, loss, weight)
        scores["linear"] = scored(task, rows.held_out.y, linear, model.loss)
    n_rows = len(training.y) + (0 if rows.validation is None else len(rows.validation.y))
    facts = {
        **about,
        **of_checkpoint(settings),
        "rows": n_rows,
        "seconds": round(watch.seconds, 3),
        "scores": scores,
    }
    interrupted = any(INTERRUPTED in message for message in messages)
    model = replace(model, training=facts)
    return TrainedTable(
        model,
        rows,
        watch.seconds,
        watch.compiled,
        interrupted,
        scores,
        predicted,
        messages,
        resumed,
    )


def _as_learnt(columns: list[Column], inputs: pl.DataFrame) -> list[Column]:
    """The columns with what the training rows have."""
    given = {column.name: CATEGORY for column in columns if column.kind == CATEGORY}
    return TableStatistics.of_frame(without_nan(inputs), None, given).as_learnt(columns)


def warnings_of(
    caught: Sequence[warnings.WarningMessage], classes: Sequence[Any] | None = None
) -> tuple[str, ...]:
    """What a fit has warned of, with the command's remedies; `classes` if it learnt their codes."""
    messages = [one.message for one in caught if issubclass(one.category, UserWarning)]
    return tuple(said_at_command_line(message, classes) for message in messages)  # type: ignore[arg-type]


def of_checkpoint(settings: Mapping[str, Any]) -> dict[str, str]:
    """The name of the checkpoint's file, by which the same command recognises its model."""
    checkpoint = settings.get("checkpoint")
    return {} if checkpoint is None else {"checkpoint": Path(checkpoint.path).name}


def resumed_from(network: Any) -> str:
    """The checkpoint that a fit resumed from, as its plan has it."""
    _, found, where = network.plan_.why.partition("; went on from ")
    return f"{found}{where}"


@dataclass
class FitTime:
    """How long a fit took, and whether kernels were compiled in it."""

    seconds: float = 0.0
    compiled: bool = False


@contextmanager
def timed_fit() -> Iterator[FitTime]:
    """Time a fit; the record that it yields is filled in when the fit has ended."""
    found = FitTime()
    start = time.perf_counter()
    with event.install_recorder("numba:compile") as recorder:
        yield found
    found.seconds = time.perf_counter() - start
    found.compiled = any(
        isinstance(getattr(one.data["dispatcher"], "_cache", None), CheckedCache)
        for _, one in recorder.buffer
    )


def _share(part: RowsOfTable, fraction: float) -> int:
    return max(2, round(fraction * len(part.y)))


def _stratified(part: RowsOfTable, target: Target, n_aside: int) -> tuple[bool, str]:
    """Whether the split can be stratified by class, and a description of the split."""
    if target.task != CLASSIFICATION:
        return False, "at random"
    classes, counts = np.unique(part.y, return_counts=True)
    if counts.min() < 2:
        label = classes[counts.argmin()].item()
        return False, f"at random: class {label!r} has one row, so classes cannot be shared out"
    if min(n_aside, len(part.y) - n_aside) < len(classes):
        return False, f"at random: too few rows to share {len(classes)} classes out"
    return True, "at random, each class in its share"


def _divided(
    part: RowsOfTable, fraction: float, seed: int, stratified: bool
) -> tuple[RowsOfTable, RowsOfTable]:
    places = train_test_split(
        np.arange(len(part.y)),
        test_size=_share(part, fraction),
        random_state=seed,
        stratify=part.y if stratified else None,
    )
    kept, aside = (RowsOfTable(part.inputs[rows], part.y[rows]) for rows in map(np.sort, places))
    return kept, aside


def _set_aside(
    part: RowsOfTable, target: Target, seed: int, wanted: bool | None
) -> tuple[RowsOfTable, RowsOfTable | None]:
    """Training rows, and a tenth of them set aside for validation."""
    n_aside = _share(part, VALIDATION_FRACTION)
    stratified, how = _stratified(part, target, n_aside)
    possible = stratified or target.task != CLASSIFICATION
    if wanted is None:
        wanted = possible and len(part.y) >= EARLY_STOPPING_ROWS
    if not wanted:
        return part, None
    if not possible or len(part.y) < LEAST_ROWS:
        reason = how.removeprefix("at random: ") if not possible else "there are too few rows"
        raise ValueError(f"--early-stopping yes needs rows to stop by, and {reason}.")
    return _divided(part, VALIDATION_FRACTION, seed, stratified)


def said_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a network as a model file says them."""
    said = {name: value for name, value in settings.items() if name != "checkpoint"}
    return said | ({"loss": said["loss"].in_words} if "loss" in said else {})


def score_to_stop_by(task: str, loss: Loss | None) -> Any:
    """The score of early stopping; None is that of the loss."""
    if task == CLASSIFICATION:
        return minus_log_loss
    return "r2" if loss is None else None


def _stopping(rows: Split, task: str, loss: Loss | None) -> dict[str, Any]:
    """Stop by the loss: on few rows, accuracy stops changing long before training has converged."""
    if rows.validation is None:
        return {"early_stopping": False}
    scoring = score_to_stop_by(task, loss)
    return {"early_stopping": True, "scoring": scoring, "n_iter_no_change": PATIENCE}


def _validation_data(
    preprocessing: ColumnTransformer,
    seen: RowsOfTable,
    training: RowsOfTable,
    task: str,
    loss: Loss | None,
) -> dict[str, Any]:
    """Validation data for the network, transformed like its training data."""
    y = seen.y
    if task == CLASSIFICATION:
        known = np.isin(y, training.y)  # a class of one row may be held out
        seen, y = RowsOfTable(seen.inputs.filter(known), y[known]), y[known]
    elif not parts.is_as_it_is(loss):
        # As TransformedTargetRegressor does.
        y = (y - training.y.mean()) / (training.y.std() or 1.0)
    return {"X_val": preprocessing.transform(seen.inputs), "y_val": y} if len(y) else {}


def _scores(model: TableModel, rows: Split) -> tuple[dict[str, Scores], Predicted | None]:
    task, loss = model.target.task, model.loss
    predicted = model.predict(rows.training.inputs)
    scores = {"training": scored(task, rows.training.y, predicted, loss)}
    if rows.held_out is None:
        return scores, None
    predicted = model.predict(rows.held_out.inputs)
    scores["held_out"] = scored(task, rows.held_out.y, predicted, loss)
    plain = baseline_predictions(model.baseline, len(rows.held_out.y))
    scores["baseline"] = scored(task, rows.held_out.y, plain, loss)
    return scores, predicted
