"""From a table to a trained model: the rows, the split, the fit and the scores."""

import time as clock
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numba.core import event
from numpy.typing import NDArray
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from engine.compiler.cache import CheckedCache
from engine.estimators.findings import said_at_command_line
from engine.losses import Loss
from engine.model_files import table_examples
from engine.model_files.estimator_state import remove_training_state
from engine.tables import columns as of_columns
from engine.tables import target as of_target
from engine.tables.column_kinds import CATEGORY, SMALLEST
from engine.tables.column_statistics import TableStatistics
from engine.tables.columns import OUT, Columns
from engine.tables.csv_and_parquet import LoadedTable, is_parquet
from engine.tables.given_rows import numbers_of_groups
from engine.tables.learnt_columns import LearntColumns
from engine.tables.linear_model import linear_predictions
from engine.tables.messages import counted, named_column
from engine.tables.model import TableModel, loss_of
from engine.tables.scores import (
    Predicted,
    Scores,
    baseline,
    baseline_predictions,
    scored,
    shares_up_to,
)
from engine.tables.table_classifier import TableClassifier
from engine.tables.table_description import described
from engine.tables.table_regressor import TableRegressor
from engine.tables.target import CLASSIFICATION, Target
from engine.tables.translation import Translation
from engine.tables.validation_rows import LEAST_ROWS, latest_rows, time_values
from engine.tables.verdict import margin

INTERRUPTED = "interrupted"  # in the estimators' warning after Ctrl-C


class PreparedTable(NamedTuple):
    """What was decided about a table, before anything is trained.

    `inputs` are the columns that are learnt from, translated, of the rows with a target; `groups`
    and `time` have a number for each of these rows.
    """

    table: LoadedTable
    target: Target
    columns: Columns
    y: NDArray[Any]
    inputs: pl.DataFrame
    notes: list[str]
    translation: Translation | None = None
    groups: NDArray[Any] | None = None
    time: NDArray[Any] | None = None


class RowsOfTable(NamedTuple):
    """Some of the rows."""

    inputs: pl.DataFrame
    y: NDArray[Any]
    groups: NDArray[Any] | None = None
    time: NDArray[Any] | None = None

    def taken(self, numbers: NDArray[np.int64]) -> "RowsOfTable":
        """The rows with these numbers."""
        return RowsOfTable(
            self.inputs[numbers],
            self.y[numbers],
            None if self.groups is None else self.groups[numbers],
            None if self.time is None else self.time[numbers],
        )


class Split(NamedTuple):
    """Training and held-out rows; `how` says in words how they were divided."""

    training: RowsOfTable
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
    margins: dict[str, float | None]  # of `verdict.margin`, by what the model is compared with
    shares_up_to: dict[float, float]  # of the held-out rows, by the level of each quantile
    held_out: Predicted | None
    warnings: tuple[str, ...]
    resumed: str  # where the training resumed from, in words; empty for a new one

    @property
    def networks(self) -> list[Any]:
        """The fitted networks."""
        found: list[Any] = self.model.estimator.members_
        return found

    @property
    def n_judged(self) -> int:
        """Held-out rows that were scored."""
        return 0 if self.split.held_out is None else len(self.split.held_out.y)


def prepared(
    table: LoadedTable,
    target: str,
    task: str | None = None,
    kinds: Sequence[str] = (),
    decimal: str | None = None,
    dates: str | None = None,
    groups: str | None = None,
    time: str | None = None,
) -> PreparedTable:
    """Decide on the target and the columns; rows without a target are left out.

    `decimal` ("comma" or "point") and `dates` ("day-first" or "month-first") decide where both fit.
    `groups` and `time` name columns: that of groups is not learnt from.
    """
    frame = table.frame
    name = named_column(target, frame.columns, "--target")
    given_kinds = of_columns.parse_kinds(list(kinds), frame.columns)
    if name in given_kinds:
        raise ValueError(f"--column: {name!r} is the target; use --task for it.")
    for option, given in (("--groups", groups), ("--time", time)):
        if given is not None and named_column(given, frame.columns, option) == name:
            raise ValueError(f"{option}: {name!r} is the target; name another column.")
    if groups is not None:
        if time is not None:
            raise ValueError(
                "--groups and --time cannot be given together: either whole groups are held out, "
                "or the latest rows."
            )
        given_kinds[groups] = OUT
    found = described(frame, name, task, given_kinds, decimal, dates, table.words)
    assert found.target is not None
    known = found.frame[name].is_not_null()
    inputs = pl.DataFrame([found.frame[column.name] for column in found.columns.used])
    of_columns.inputs(inputs, found.columns.used)  # which refuses values of another kind
    y = of_target.values_of(found.frame[name].filter(known), found.target)
    columns, codes, moments = found.columns, None, None
    if groups is not None:
        columns = columns._replace(
            left_out=[
                replace(one, note="says which group a row is of") if one.name == groups else one
                for one in columns.left_out
            ]
        )
        codes = numbers_of_groups(frame[groups].filter(known))
    if time is not None:
        moments = time_values("--time", frame[time].filter(known), decimal, dates)
    return PreparedTable(
        table, found.target, columns, y, inputs.filter(known),
        [*table.notes, *found.notes], found.translation, codes, moments,
    )  # fmt: skip


def split(plan: PreparedTable, fraction: float, seed: int) -> Split:
    """Hold rows out: the latest, whole groups, or at random, stratified by class if possible.

    Parameters
    ----------
    plan : PreparedTable
    fraction : float
        Share of the rows, or of the groups, that are held out; 0 holds none out.
    seed : int

    Raises
    ------
    ValueError
        When there are too few rows for it.
    """
    training = RowsOfTable(plan.inputs, plan.y, plan.groups, plan.time)
    held_out, how = None, "none held out"
    if fraction > 0:
        if len(plan.y) < LEAST_ROWS:
            raise ValueError(
                f"The table has {counted(len(plan.y), 'row')} with a target, and a split needs at "
                f"least {LEAST_ROWS}. Add rows, or pass --test-fraction 0, which holds none out."
            )
        kept, aside, how = _places(plan, fraction, seed)
        training, held_out = training.taken(kept), training.taken(aside)
        if len(np.unique(training.y)) < 2:
            raise ValueError(
                "The rows that would be learnt from have one value of the target only. Try another "
                "--seed, a smaller --test-fraction, or more rows."
            )
    if plan.target.task != CLASSIFICATION and np.ptp(training.y) < SMALLEST:
        raise ValueError(
            "The rows that would be learnt from have one value of the target only, or hardly "
            "another. Try another --seed, a smaller --test-fraction, or more rows."
        )
    return Split(training, held_out, how)


def _places(
    plan: PreparedTable, fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
    """The numbers of the training rows and of those that are held out, and how, in words."""
    n_rows = len(plan.y)
    n_aside = max(2, round(fraction * n_rows))
    if plan.time is not None:
        return *latest_rows(plan.time, n_aside), "the latest"
    if plan.groups is not None:
        if len(np.unique(plan.groups)) < 2:
            raise ValueError(
                "--groups: all rows are of one group, so that none can be held out. Name another "
                "column, or pass --test-fraction 0."
            )
        splitter = GroupShuffleSplit(1, test_size=fraction, random_state=seed)
        kept, aside = next(splitter.split(plan.y, groups=plan.groups))
        return np.sort(kept), np.sort(aside), "whole groups, at random"
    stratified, how = _stratified(plan, n_aside)
    kept, aside = train_test_split(
        np.arange(n_rows),
        test_size=n_aside,
        random_state=seed,
        stratify=plan.y if stratified else None,
    )
    return np.sort(kept), np.sort(aside), how


def trained(
    plan: PreparedTable,
    rows: Split,
    settings: Mapping[str, Any],
    about: Mapping[str, Any],
    progress: bool = False,
    checkpoint: Any = None,
) -> TrainedTable:
    """Fit on the training rows alone, and judge on those that were held out.

    Parameters
    ----------
    plan : PreparedTable
    rows : Split
    settings : mapping
        Parameters of the TableClassifier or TableRegressor.
    about : mapping
        What the model file is to say about the training, besides the scores.
    progress : bool
        Show a bar on standard error.
    checkpoint : Checkpoint, optional
        Of the first network; the others have files of their own beside it.
    """
    training, task = rows.training, plan.target.task
    words = list(about.get("missing", ()))
    texts = [] if is_parquet(plan.table.path) else ["", *words]
    used = plan.columns.used
    kinds = {column.name: CATEGORY for column in used if column.kind == CATEGORY}
    statistics = TableStatistics.of_frame(training.inputs, None, kinds)
    learnt = LearntColumns.of(plan.columns, statistics, plan.translation, texts, plan.notes)
    estimator = estimator_of(task, settings, progress)
    with warnings.catch_warnings(record=True) as caught, timed_fit() as watch:
        warnings.simplefilter("always")
        estimator.fit_learnt(
            learnt, training.inputs, training.y, target=plan.target.name, groups=training.groups,
            time=training.time, checkpoint=checkpoint,
        )  # fmt: skip
    messages = warnings_of(caught)
    resumed = resumed_from(estimator.members_)
    remove_training_state(estimator)
    loss = loss_of(estimator)
    model = TableModel(
        estimator,
        plan.target,
        statistics.as_learnt(used),
        [column.name for column in plan.columns.left_out],
        baseline(task, training.y, loss),
        words,
        examples=table_examples.examples_of(estimator, None),
    )
    scores, judged = _scores(model, rows, settings)
    model = model.told(
        {
            **about,
            **of_checkpoint(checkpoint),
            **said_of(estimator, settings),
            "rows": len(training.y),
            "held out": rows.how,
            "seconds": round(watch.seconds, 3),
            "scores": scores,
        }
    )
    return TrainedTable(
        model,
        rows,
        watch.seconds,
        watch.compiled,
        any(INTERRUPTED in message for message in messages),
        scores,
        {} if judged is None else judged.margins,
        {} if judged is None else judged.shares_up_to,
        None if judged is None else judged.predicted,
        messages,
        resumed,
    )


def estimator_of(task: str, settings: Mapping[str, Any], progress: bool) -> Any:
    """The estimator of a task, before its fit."""
    kind = TableClassifier if task == CLASSIFICATION else TableRegressor
    given = {name: value for name, value in settings.items() if value is not None}
    return kind(**given, progress=progress)


def warnings_of(caught: Sequence[warnings.WarningMessage]) -> tuple[str, ...]:
    """What a fit has warned of, with the command's remedies."""
    messages = [one.message for one in caught if issubclass(one.category, UserWarning)]
    return tuple(said_at_command_line(message) for message in messages)  # type: ignore[arg-type]


def of_checkpoint(checkpoint: Any) -> dict[str, str]:
    """The name of the checkpoint's file, by which the same command recognises its model."""
    return {} if checkpoint is None else {"checkpoint": Path(checkpoint.path).name}


def resumed_from(networks: Sequence[Any]) -> str:
    """The checkpoints that networks resumed from, in words; empty if they began anew."""
    found = [network.plan_.why.partition("; went on from ") for network in networks]
    resumed = [where for _, said, where in found if said]
    if not resumed:
        return ""
    if len(networks) == 1:
        return f"; went on from {resumed[0]}"
    more = " and the files beside it" if len(resumed) > 1 else ""
    return f"; {len(resumed)} of {len(networks)} networks went on from {resumed[0]}{more}"


@dataclass
class FitTime:
    """How long a fit took, and whether kernels were compiled in it."""

    seconds: float = 0.0
    compiled: bool = False


@contextmanager
def timed_fit() -> Iterator[FitTime]:
    """Time a fit; the record that it yields is filled in when the fit has ended."""
    found = FitTime()
    start = clock.perf_counter()
    with event.install_recorder("numba:compile") as recorder:
        yield found
    found.seconds = clock.perf_counter() - start
    found.compiled = any(
        isinstance(getattr(one.data["dispatcher"], "_cache", None), CheckedCache)
        for _, one in recorder.buffer
    )


def _stratified(plan: PreparedTable, n_aside: int) -> tuple[bool, str]:
    """Whether the split can be stratified by class, and a description of the split."""
    if plan.target.task != CLASSIFICATION:
        return False, "at random"
    classes, counts = np.unique(plan.y, return_counts=True)
    if counts.min() < 2:
        label = classes[counts.argmin()].item()
        return False, f"at random: class {label!r} has one row, so classes cannot be shared out"
    if min(n_aside, len(plan.y) - n_aside) < len(classes):
        return False, f"at random: too few rows to share {len(classes)} classes out"
    return True, "at random, each class in its share"


def said_of(estimator: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a training as a model file says them, when it was, and what validated."""
    recipe = estimator.recipe_._asdict()
    given = {name: value for name, value in settings.items() if value is not None}
    if "loss" in given:
        given["loss"] = given["loss"].in_words
    said = {**given, **recipe, "hidden_layer_sizes": [*recipe["hidden_layer_sizes"]]}
    now = datetime.now(UTC)
    return {
        "at": f"{now:%Y-%m-%d %H:%M} UTC",
        "settings": said,
        "validation rows": [*estimator.n_validation_rows_],
    }


def _scores(
    model: TableModel, rows: Split, settings: Mapping[str, Any]
) -> "tuple[dict[str, Scores], HeldOutScores | None]":
    estimator, y = model.estimator, rows.training.y
    X = estimator._inputs_of_translated(rows.training.inputs, is_new=False)
    scores = {"training": scored(model.target.task, y, model.predict_inputs(X), model.loss)}
    if rows.held_out is None:
        return scores, None
    X_new = estimator._inputs_of_translated(rows.held_out.inputs, is_new=False)
    judged = held_out_scores(model, (X, y), X_new, rows.held_out.y, settings)
    return scores | judged.scores, judged


class HeldOutScores(NamedTuple):
    """Scores of the model, of a constant and of a linear model, and how they compare."""

    scores: dict[str, Scores]
    margins: dict[str, float | None]
    shares_up_to: dict[float, float]
    predicted: Predicted


def held_out_scores(
    model: TableModel,
    learnt: tuple[NDArray[Any], NDArray[Any]],
    X: NDArray[Any],
    y: NDArray[Any],
    settings: Mapping[str, Any],
) -> HeldOutScores:
    """Judge a model on held-out rows, beside simpler ones of the `learnt` rows."""
    task, loss = model.target.task, model.loss
    predicted = model.predict_inputs(X)
    others = {
        "baseline": baseline_predictions(model.baseline, len(y)),
        "linear": linear_beside(model.estimator, *learnt, X, task, settings),
    }
    found = {"held_out": predicted, **others}
    weight = settings.get("class_weight")
    return HeldOutScores(
        {name: scored(task, y, one, loss) for name, one in found.items()},
        {name: margin(task, y, predicted, one, loss, weight) for name, one in others.items()},
        shares_up_to(y, predicted, loss),
        predicted,
    )


def linear_beside(
    estimator: Any,
    X: NDArray[Any],
    y: NDArray[Any],
    X_new: NDArray[Any],
    task: str,
    settings: Mapping[str, Any],
) -> Predicted:
    """What a linear model of the same training rows predicts for new ones."""
    columns = estimator.encoding_.columns
    loss: Loss | None = settings.get("loss")
    class_weight = settings.get("class_weight")
    return linear_predictions(X, y, X_new, task, loss, class_weight, columns)
