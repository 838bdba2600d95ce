"""What a survey comes to: target and columns, the fitted preprocessing, and rows of each part."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.compose import ColumnTransformer

from engine.tables import target as of_target
from engine.tables.columns import Column, Columns
from engine.tables.facts import PARTS, TRAINING, Facts
from engine.tables.kinds import CATEGORY, NUMBER, SMALLEST
from engine.tables.learnt import LEARNT, category_counts, fitted_preprocessing, scale_of
from engine.tables.survey import MOST_DISTINCT, SAMPLE_ROWS, Moments, Survey
from engine.tables.target import CLASSIFICATION, Target
from engine.tables.words import counted

FARTHEST = 1e6  # standard deviations from its mean that a target may be predicted


class Decided(NamedTuple):
    """What the survey came to."""

    survey: Survey
    target: Target
    columns: Columns
    preprocessing: ColumnTransformer
    inputs: list[str]
    classes: list[Any] | None
    mean: float
    standard_deviation: float
    rows: dict[str, int]
    notes: list[str]


def decided_by_survey(survey: Survey, task: str | None, notes: list[str], dtype: str) -> Decided:
    """Decide on target and columns; ValueError, with advice, where nothing can be learnt."""
    of_target_column = survey.columns[survey.target]
    target = of_target.decided_by(of_target_column.facts(), task)
    columns = survey.decided()
    notes = list(notes)
    notes += of_target.left_out(of_target_column.n_missing, of_target_column.words)
    rows = dict(zip(PARTS, survey.rows_of_parts, strict=True))
    if rows[TRAINING] < 2:
        raise ValueError(
            f"There are {counted(sum(rows.values()), 'row')} with a target, too few to learn from "
            "with rows held out. Add rows, or hold fewer out."
        )
    classes, mean, standard_deviation = None, 0.0, 1.0
    if target.task == CLASSIFICATION:
        classes, rows = _classes(survey, target, rows, notes)
    else:
        moments = of_target_column.moments
        mean = moments.mean
        variances = np.array([moments.squares / moments.n])
        if variances[0] < SMALLEST**2:
            raise ValueError(
                "The rows that would be learnt from have one value of the target only, or hardly "
                "another. Try another seed, hold fewer rows out, or add rows."
            )
        standard_deviation = float(scale_of(variances, np.array([mean]), moments.n)[0])
        _require_predictable(target.name, mean, standard_deviation, np.finfo(dtype))
    preprocessing = fitted_preprocessing(columns.used, survey)
    inputs = [str(name) for name in preprocessing.get_feature_names_out()]
    return Decided(
        survey, target, columns, preprocessing, inputs, classes, mean, standard_deviation, rows,
        notes,
    )  # fmt: skip


def _require_predictable(
    name: str, mean: float, standard_deviation: float, held: np.finfo[Any]
) -> None:
    """Predictions come in that dtype, and so many standard deviations from the mean."""
    largest = abs(mean) + FARTHEST * standard_deviation
    if not (largest <= float(held.max) and standard_deviation >= float(held.tiny)):
        raise ValueError(
            f"The target {name!r} has mean {mean:.2g} and standard deviation "
            f"{standard_deviation:.2g}, out of the range of {held.dtype}. Write it in another "
            'unit, or convert to float64 (--double; in Python dtype="float64").'
        )


def _classes(
    survey: Survey, target: Target, rows: dict[str, int], notes: list[str]
) -> tuple[list[Any], dict[str, int]]:
    """The classes among the rows to learn from; rows of others are of no part."""
    values = survey.columns[target.name].values(target.kind)
    if values is None:
        raise ValueError(
            f"The target {target.name!r} has more than {MOST_DISTINCT:,} classes, the most that "
            "are told apart."
        )
    classes = [value for value, counts in values.items() if counts[LEARNT]]
    if len(classes) < 2:
        raise ValueError(
            "The rows that would be learnt from have one value of the target only. Try another "
            "seed, hold fewer rows out, or add rows."
        )
    others = [counts for counts in values.values() if not counts[LEARNT]]
    n_others = sum(sum(counts[: len(PARTS)]) for counts in others)
    if n_others:
        notes.append(
            f"{counted(n_others, 'row')} left out, of {counted(len(others), 'class')} of which no "
            "row is learnt from."
        )
    kept = {
        part: count - sum(counts[number] for counts in others)
        for number, (part, count) in enumerate(rows.items())
    }
    if target.kind == NUMBER:  # whole, as fractions are taken for text
        classes = [int(value) for value in classes]
    return classes, kept


def known_columns(decided: Decided) -> list[Column]:
    """The columns with what the rows to learn from have, as `columns.as_learnt` says it."""
    known = []
    for column in decided.columns.used:
        survey = decided.survey.columns[column.name]
        texts = tuple(category_counts(survey)) if column.kind == CATEGORY else ()
        known.append(replace(column, n_missing=survey.n_missing_learnt, categories=texts))
    return known


def facts_of(decided: Decided, about: Facts) -> Facts:
    """What stands in columns.json besides target and columns."""
    survey = decided.survey
    numbers = {
        column.name: {
            "mean": survey.columns[column.name].moments.mean,
            "standard deviation": _deviation(survey.columns[column.name].moments),
            "median": survey.median(column.name),
        }
        for column in decided.columns.used
        if column.kind == NUMBER
    }
    of_task: dict[str, Any] = {
        "mean": decided.mean,
        "standard deviation": decided.standard_deviation,
    }
    if decided.classes is not None:
        values = survey.columns[decided.target.name].values(decided.target.kind) or {}
        of_task = {
            "classes": decided.classes,
            "counts": [values[value][LEARNT] for value in decided.classes],
        }
    return {
        "about": about,
        "rows": decided.rows,
        "inputs": decided.inputs,
        "target": of_task,
        "numbers": numbers,
        "missing values": (
            "a number: the median of the rows to learn from (of a sample of "
            f"{SAMPLE_ROWS:,}, if there are more); true or false: the more frequent; a category: "
            f"one of its own; an input more says so, if rows to learn from lack any"
        ),
        "left out": [[column.name, column.note] for column in decided.columns.left_out],
        "notes": decided.notes,
    }


def _deviation(moments: Moments) -> float:
    return float(np.sqrt(moments.squares / moments.n)) if moments.n else 0.0
