"""From a table to a trained model: the rows, the split, the fit and the scores."""

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from engine.tables import columns as of_columns
from engine.tables import pipeline as parts
from engine.tables import target as of_target
from engine.tables.columns import Columns
from engine.tables.model import TableModel
from engine.tables.reading import Table
from engine.tables.scores import Predicted, baseline, baseline_predictions, scored
from engine.tables.target import CLASSIFICATION, Target
from engine.tables.words import counted, named_column

LEAST_ROWS = 10  # for a split
EARLY_STOPPING_ROWS = 1000  # from which the network sets rows of its own aside to stop by


class Plan(NamedTuple):
    """What was decided about a table, before anything is trained."""

    table: Table
    target: Target
    columns: Columns
    y: NDArray[Any]
    inputs: pl.DataFrame
    notes: list[str]


class Part(NamedTuple):
    """Some of the rows."""

    inputs: pl.DataFrame
    y: NDArray[Any]


class Split(NamedTuple):
    """Rows to learn from, and rows to be judged by; `how` is for people to read."""

    training: Part
    held_out: Part | None
    how: str


@dataclass(frozen=True)
class Trained:
    """A trained model, and how it did."""

    model: TableModel
    split: Split
    seconds: float
    interrupted: bool
    scores: dict[str, dict[str, float]]
    held_out: Predicted | None
    warnings: tuple[str, ...]

    @property
    def network(self) -> Any:
        """The fitted estimator within the pipeline."""
        return parts.fitted_network(self.model.pipeline)


def planned(table: Table, target: str, task: str | None = None, told: Sequence[str] = ()) -> Plan:
    """Decide on the target and the columns; rows without a target are left out."""
    frame = table.frame
    name = named_column(target, frame.columns, "--target")
    found = of_target.decided(frame[name], task)
    notes = list(table.notes)
    kinds_told = of_columns.parse_told(list(told), frame.columns)
    if name in kinds_told:
        raise ValueError(f"--column: {name!r} is the target; use --task for it.")
    columns = of_columns.described(frame, name, kinds_told)
    prepared = of_columns.inputs(frame, columns.used)
    known = frame[name].is_not_null()
    if not known.all():
        notes.append(f"{counted(int((~known).sum()), 'row')} without a target left out.")
    y = of_target.values_of(frame[name].filter(known), found)
    return Plan(table, found, columns, y, prepared.filter(known), notes)


def split(plan: Plan, fraction: float, seed: int) -> Split:
    """Hold rows out at random, the classes in equal shares where there are rows enough."""
    if fraction == 0:
        return Split(Part(plan.inputs, plan.y), None, "no rows held out")
    n_rows = len(plan.y)
    if n_rows < LEAST_ROWS:
        raise ValueError(
            f"The table has {counted(n_rows, 'row')} with a target, and a split needs at least "
            f"{LEAST_ROWS}. Add rows, or pass --test-fraction 0, which holds none out."
        )
    places, n_held_out = np.arange(n_rows), max(2, round(fraction * n_rows))
    stratify, how = _stratified(plan, n_held_out)
    training, held_out = train_test_split(
        places, test_size=n_held_out, random_state=seed, stratify=stratify
    )
    if len(np.unique(plan.y[training])) < 2:
        raise ValueError(
            "The rows that would be learnt from have one value of the target only. Try another "
            "--seed, a smaller --test-fraction, or more rows."
        )
    chosen = [Part(plan.inputs[rows], plan.y[rows]) for rows in map(np.sort, (training, held_out))]
    return Split(chosen[0], chosen[1], how)


def trained(
    plan: Plan, rows: Split, settings: Mapping[str, Any], about: Mapping[str, Any]
) -> Trained:
    """Fit on the training rows alone, and judge on both parts.

    Parameters
    ----------
    plan : Plan
    rows : Split
    settings : mapping
        Arguments of the network.
    about : mapping
        What the model file is to say about the training, besides the scores.
    """
    training = rows.training
    preprocessing = parts.preprocessing(plan.columns.used)
    X = preprocessing.fit_transform(training.inputs)
    network = parts.network(plan.target.task, **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        network.fit(X, training.y)
        seconds = time.perf_counter() - start
    said = tuple(str(one.message) for one in caught if issubclass(one.category, UserWarning))
    columns = of_columns.as_learnt(plan.columns.used, training.inputs)
    model = TableModel(
        parts.assembled(preprocessing, network),
        plan.target,
        columns,
        [column.name for column in plan.columns.left_out],
        baseline(plan.target.task, training.y),
        list(about.get("missing", ())),
    )
    scores, predicted = _scores(model, rows)
    facts = {**about, "rows": len(training.y), "seconds": round(seconds, 3), "scores": scores}
    interrupted = any("interrupted" in message for message in said)
    return Trained(
        replace(model, training=facts), rows, seconds, interrupted, scores, predicted, said
    )


def _stratified(plan: Plan, n_held_out: int) -> tuple[NDArray[Any] | None, str]:
    if plan.target.task != CLASSIFICATION:
        return None, "at random"
    classes, counts = np.unique(plan.y, return_counts=True)
    if counts.min() < 2:
        label = classes[counts.argmin()].item()
        return None, f"at random: class {label!r} has one row, so classes cannot be shared out"
    if min(n_held_out, len(plan.y) - n_held_out) < len(classes):
        return None, f"at random: too few rows to share {len(classes)} classes out"
    return plan.y, "at random, each class in its share"


def _scores(model: TableModel, rows: Split) -> tuple[dict[str, dict[str, float]], Predicted | None]:
    task = model.target.task
    scores = {"training": scored(task, rows.training.y, model.predict(rows.training.inputs))}
    if rows.held_out is None:
        return scores, None
    predicted = model.predict(rows.held_out.inputs)
    scores["held_out"] = scored(task, rows.held_out.y, predicted)
    plain = baseline_predictions(model.baseline, len(rows.held_out.y))
    scores["baseline"] = scored(task, rows.held_out.y, plain)
    return scores, predicted
