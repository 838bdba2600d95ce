"""What follows from the statistics: target, columns, fitted preprocessing, rows of each part."""

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer

from engine.tables import preprocessing as parts
from engine.tables import target as of_target
from engine.tables.column_kinds import BOOLEAN, CATEGORY, NUMBER, SMALLEST
from engine.tables.column_statistics import (
    SAMPLE_ROWS,
    TRAINING_PART,
    Moments,
    TableStatistics,
)
from engine.tables.columns import MOST_INPUTS, Column, Columns
from engine.tables.messages import counted
from engine.tables.metadata import PARTS, TRAINING, Metadata
from engine.tables.target import CLASSIFICATION, MOST_DISTINCT, Target

FARTHEST = 1e6  # standard deviations from its mean that a target may be predicted


class ConversionPlan(NamedTuple):
    """What was decided before the arrays are written."""

    statistics: TableStatistics
    target: Target
    columns: Columns
    preprocessing: ColumnTransformer
    inputs: list[str]
    classes: list[Any] | None
    mean: float
    standard_deviation: float
    rows: dict[str, int]
    notes: list[str]


def plan_conversion(
    statistics: TableStatistics, task: str | None, notes: list[str], dtype: str
) -> ConversionPlan:
    """Decide on target and columns; ValueError, with advice, where nothing can be learnt."""
    assert statistics.target is not None
    of_target_column = statistics.columns[statistics.target]
    target = of_target.target_of(of_target_column.facts(), task)
    columns = statistics.chosen()
    notes = list(notes)
    notes += of_target.left_out(of_target_column.n_missing, of_target_column.words)
    rows = dict(zip(PARTS, statistics.rows_of_parts, strict=True))
    if rows[TRAINING] < 2:
        raise ValueError(
            f"There are {counted(sum(rows.values()), 'row')} with a target, too few to learn from "
            "with rows held out. Add rows, or hold fewer out."
        )
    classes, mean, standard_deviation = None, 0.0, 1.0
    if target.task == CLASSIFICATION:
        classes, rows = _classes(statistics, target, rows, notes)
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
    preprocessing = fitted_preprocessing(columns.used, statistics)
    inputs = [str(name) for name in preprocessing.get_feature_names_out()]
    return ConversionPlan(
        statistics, target, columns, preprocessing, inputs, classes, mean, standard_deviation, rows,
        notes,
    )  # fmt: skip


def _require_predictable(
    name: str, mean: float, standard_deviation: float, held: np.finfo[Any]
) -> None:
    """ValueError if that dtype cannot hold all predictions (see `FARTHEST`)."""
    largest = abs(mean) + FARTHEST * standard_deviation
    if not (largest <= float(held.max) and standard_deviation >= float(held.tiny)):
        raise ValueError(
            f"The target {name!r} has mean {mean:.2g} and standard deviation "
            f"{standard_deviation:.2g}, out of the range of {held.dtype}. Write it in another "
            'unit, or convert to float64 (--double; in Python dtype="float64").'
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
    statistics = plan.statistics
    numbers = {
        column.name: {
            "mean": statistics.columns[column.name].moments.mean,
            "standard deviation": _deviation(statistics.columns[column.name].moments),
            "median": statistics.median(column.name),
        }
        for column in plan.columns.used
        if column.kind == NUMBER
    }
    of_task: dict[str, Any] = {
        "mean": plan.mean,
        "standard deviation": plan.standard_deviation,
    }
    if plan.classes is not None:
        counts = statistics.columns[plan.target.name].in_training(plan.target.kind)
        of_task = {"classes": plan.classes, "counts": [counts[value] for value in plan.classes]}
    return {
        "about": about,
        "rows": plan.rows,
        "inputs": plan.inputs,
        "target": of_task,
        "numbers": numbers,
        "missing values": (
            "a number: the median of the rows to learn from (of a sample of "
            f"{SAMPLE_ROWS:,}, if there are more); true or false: the more frequent; a category: "
            f"one of its own; an input more says so, if rows to learn from lack any"
        ),
        "left out": [[column.name, column.note] for column in plan.columns.left_out],
        "notes": plan.notes,
    }


def _deviation(moments: Moments) -> float:
    return float(np.sqrt(moments.squares / moments.n)) if moments.n else 0.0


# The preprocessing, fitted by the statistics in place of the rows themselves.
#
# scikit-learn's transformers are fitted on a small table in which each column has its categories,
# the frequent ones more often than the rare, and a missing value if some rows lack one. Then means,
# medians and variances are replaced by those of the statistics. The result equals a fit on all
# training rows up to rounding, except for medians if there are more rows than are sampled.


def fitted_preprocessing(columns: list[Column], statistics: TableStatistics) -> ColumnTransformer:
    """`preprocessing.preprocessing`, as if fitted on the training rows."""
    stand_ins = {column.name: _stand_in(column, statistics) for column in columns}
    length = max(len(values) for values in stand_ins.values())
    frame = pl.DataFrame(
        [
            pl.Series(
                column.name,
                stand_ins[column.name] + stand_ins[column.name][:1] * (length - len(values)),
                dtype=pl.String if column.kind == CATEGORY else pl.Float64,
            )
            for column, values in zip(columns, stand_ins.values(), strict=True)
        ]
    )
    fitted = parts.preprocessing(columns).fit(frame)
    of_kind = {kind: [c.name for c in columns if c.kind == kind] for kind in (NUMBER, BOOLEAN)}
    if of_kind[NUMBER]:
        _put_numbers(fitted.named_transformers_[NUMBER], of_kind[NUMBER], statistics)
    if of_kind[BOOLEAN]:
        imputer = fitted.named_transformers_[BOOLEAN]
        imputer.statistics_ = np.array([_more_frequent(statistics, n) for n in of_kind[BOOLEAN]])
    return fitted


def _stand_in(column: Column, statistics: TableStatistics) -> list[Any]:
    """A few values for a column; the first may be repeated."""
    known = statistics.columns[column.name]
    gap = known.n_missing_training > 0
    if column.kind != CATEGORY:
        filled = known.n_missing_training < known.n_training
        return [1.0 if filled else float("nan")] + [float("nan")] * gap
    counts = known.in_training(CATEGORY)
    if gap or not counts:
        counts[parts.NO_VALUE] = counts.get(parts.NO_VALUE, 0) + known.n_missing_training
    names = sorted(counts)
    # As scikit-learn chooses: of equally frequent ones the last by name.
    by_count = np.argsort([counts[name] for name in names], kind="mergesort")
    frequent = [names[place] for place in by_count[::-1]]
    if (
        len(names) >= MOST_INPUTS
    ):  # even with exactly that many, the rarest one stands for unknown ones
        frequent = frequent[: MOST_INPUTS - 1]
    rare = [name for name in names if name not in set(frequent)]
    values = [*frequent, *frequent, *rare]
    return [None if gap and value == parts.NO_VALUE else value for value in values]


def _more_frequent(statistics: TableStatistics, name: str) -> float:
    """1.0 for true, if it is more frequent than false."""
    counts = statistics.columns[name].in_training(BOOLEAN)
    return float(counts.get(True, 0) > counts.get(False, 0))


def _put_numbers(steps: Any, names: list[str], statistics: TableStatistics) -> None:
    """Medians into the imputer; means and variances, of what it makes, into the scaler."""
    imputer, scaler = steps.named_steps["simpleimputer"], steps.named_steps["standardscaler"]
    medians = [statistics.median(name) for name in names]
    imputer.statistics_ = np.array(medians)
    means, variances = [], []
    for name, median in zip(names, medians, strict=True):
        known = statistics.columns[name]
        imputed = Moments(known.moments.n, known.moments.mean, known.moments.squares)
        if known.n_missing_training:
            imputed.merge(Moments(known.n_missing_training, median, 0.0))
        means.append(imputed.mean)
        variances.append(imputed.squares / imputed.n)
    for place in imputer.indicator_.features_:
        known = statistics.columns[names[place]]
        share = known.n_missing_training / known.n_training
        means.append(share)
        variances.append(share * (1 - share))
    n = statistics.rows_of_parts[TRAINING_PART]
    scaler.mean_, scaler.var_ = np.array(means), np.array(variances)
    scaler.scale_ = scale_of(scaler.var_, scaler.mean_, n)
    scaler.n_samples_seen_ = np.float64(n)


def scale_of(variances: Any, means: Any, n: int) -> Any:
    """Standard deviations; 1 where a variance is no more than rounding, as in StandardScaler."""
    rounding = np.finfo(np.float64).eps
    constant = variances <= n * rounding * variances + (n * means * rounding) ** 2
    scale = np.sqrt(variances)
    scale[constant] = 1.0
    return scale
