"""What follows from the statistics: target, columns, inputs of networks, rows of each part."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.tables import target as of_target
from engine.tables.column_kinds import NUMBER, SMALLEST
from engine.tables.column_notation import TableNotation
from engine.tables.column_statistics import TRAINING_PART, Moments, TableStatistics
from engine.tables.columns import Column, refuse_nothing_to_learn_from
from engine.tables.learnt_columns import LearntColumns
from engine.tables.messages import counted
from engine.tables.metadata import PARTS, TRAINING, Metadata
from engine.tables.network_inputs import NetworkInputs
from engine.tables.target import CLASSIFICATION, MOST_DISTINCT, Target


class ConversionPlan(NamedTuple):
    """What was decided before the arrays are written."""

    statistics: TableStatistics
    target: Target
    learnt: LearntColumns
    inputs: NetworkInputs
    classes: list[Any] | None
    mean: float
    standard_deviation: float
    rows: dict[str, int]
    notes: list[str]

    @property
    def names(self) -> list[str]:
        """The columns of the arrays."""
        return [column.name for column in self.learnt.encoding.columns]


def plan_conversion(
    statistics: TableStatistics,
    task: str | None,
    notation: TableNotation,
    missing: Sequence[str],
    notes: Sequence[str],
) -> ConversionPlan:
    """Decide on target and columns; ValueError, with advice, where nothing can be learnt.

    `missing` are the texts that stand for a missing value in tables to come.
    """
    assert statistics.target is not None
    of_target_column = statistics.columns[statistics.target]
    target = of_target.target_of(of_target_column.facts(), task)
    columns = notation.with_notes(statistics.chosen())
    refuse_nothing_to_learn_from(columns, statistics.target)
    said = [*notes, *notation.notes]
    said += of_target.left_out(of_target_column.n_missing, of_target_column.words)
    rows = dict(zip(PARTS, statistics.rows_of_parts, strict=True))
    if rows[TRAINING] < 2:
        raise ValueError(
            f"There are {counted(sum(rows.values()), 'row')} with a target, too few to learn from "
            "with rows held out. Add rows, or hold fewer out."
        )
    classes, mean, standard_deviation = None, 0.0, 1.0
    if target.task == CLASSIFICATION:
        classes, rows = _classes(statistics, target, rows, said)
    else:
        moments = of_target_column.moments
        mean, standard_deviation = moments.mean, _deviation(moments)
        if standard_deviation < SMALLEST:
            raise ValueError(
                "The rows that would be learnt from have one value of the target only, or hardly "
                "another. Try another seed, hold fewer rows out, or add rows."
            )
    step = notation.step_of_model(columns.used)
    learnt = LearntColumns.of(columns, statistics, step, missing, said)
    # What rows become does not depend on the pieces and widths that a training chooses.
    inputs = NetworkInputs.fitted(learnt.encoding.columns, learnt.numbers, 1, 1, 1)
    return ConversionPlan(
        statistics, target, learnt, inputs, classes, mean, standard_deviation, rows, said
    )


def _classes(
    statistics: TableStatistics, target: Target, rows: dict[str, int], notes: list[str]
) -> tuple[list[Any], dict[str, int]]:
    """The classes of the training rows, and rows per part; rows of other classes are left out."""
    values = statistics.columns[target.name].values(target.kind)
    if values is None:
        raise ValueError(
            f"The target {target.name!r} has more than {MOST_DISTINCT:,} classes, the most that "
            "are told apart."
        )
    is_learnt = values[str(TRAINING_PART)] > 0
    classes = values["value"].filter(is_learnt).to_list()
    if len(classes) < 2:
        raise ValueError(
            "The rows that would be learnt from have one value of the target only. Try another "
            "seed, hold fewer rows out, or add rows."
        )
    others = values.filter(~is_learnt)
    of_others = {part: int(others[str(number)].sum()) for number, part in enumerate(rows)}
    if n_others := sum(of_others.values()):
        notes.append(
            f"{counted(n_others, 'row')} left out, of {counted(others.height, 'class')} of which "
            "no row is learnt from."
        )
    kept = {part: count - of_others[part] for part, count in rows.items()}
    if target.kind == NUMBER:  # whole, as fractions are taken for text
        classes = [int(value) for value in classes]
    return classes, kept


def metadata_of(plan: ConversionPlan, about: Metadata) -> Metadata:
    """What stands in columns.json besides target and columns."""
    statistics, learnt = plan.statistics, plan.learnt
    numbers = {
        column.name: {
            "mean": statistics.columns[column.name].moments.mean,
            "standard deviation": _deviation(statistics.columns[column.name].moments),
        }
        for column in learnt.used
        if column.kind == NUMBER
    }
    of_task: dict[str, Any] = {
        "mean": plan.mean,
        "standard deviation": plan.standard_deviation,
    }
    if plan.classes is not None:
        counts = statistics.columns[plan.target.name].in_training(plan.target.kind)
        of_task = {"classes": plan.classes, "counts": [counts[value] for value in plan.classes]}
    encoding, arrays = learnt.encoding.to_description()
    return {
        "about": about,
        "rows": plan.rows,
        "inputs": plan.names,
        "target": of_task,
        "numbers": numbers,
        "missing values": (
            "NaN if rows to learn from lack some, else the mean of these; of a category a level of "
            "its own, or that of rare ones"
        ),
        "encoding": encoding,
        "level counts": arrays["level_counts"].tolist(),
        "left out": [[column.name, column.note] for column in learnt.left_out],
        "notes": plan.notes,
    }


def columns_of(plan: ConversionPlan) -> list[Column]:
    """The columns with what the training rows have."""
    return plan.statistics.as_learnt(plan.learnt.used)


def _deviation(moments: Moments) -> float:
    return float(np.sqrt(moments.squares / moments.n)) if moments.n else 0.0
