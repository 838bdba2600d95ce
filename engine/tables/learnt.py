"""The pipeline's first step, fitted by what a survey knows in place of the rows themselves.

scikit-learn's transformers are fitted on a small table in which each column has its categories, the
frequent ones oftener than the rare, and a gap where rows have gaps; then means, medians and
variances are put in that the survey has counted. What comes out is what a fit on all the rows to
learn from would give, to rounding, but for medians of more rows than the survey samples.
"""

from typing import Any

import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer

from engine.tables import pipeline as parts
from engine.tables.columns import MOST_INPUTS, Column
from engine.tables.kinds import BOOLEAN, CATEGORY, NUMBER
from engine.tables.survey import ColumnSurvey, Moments, Survey

LEARNT = 0  # the number of the part that is learnt from


def fitted_preprocessing(columns: list[Column], survey: Survey) -> ColumnTransformer:
    """`pipeline.preprocessing`, as if fitted on the rows to learn from."""
    stand_ins = {column.name: _stand_in(column, survey) for column in columns}
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
        _put_numbers(fitted.named_transformers_[NUMBER], of_kind[NUMBER], survey)
    if of_kind[BOOLEAN]:
        imputer = fitted.named_transformers_[BOOLEAN]
        imputer.statistics_ = np.array([_more_frequent(survey, n) for n in of_kind[BOOLEAN]])
    return fitted


def _stand_in(column: Column, survey: Survey) -> list[Any]:
    """A few values for a column; the first may be repeated."""
    known = survey.columns[column.name]
    gap = known.n_missing_learnt > 0
    if column.kind != CATEGORY:
        filled = known.n_missing_learnt < known.n_learnt
        return [1.0 if filled else float("nan")] + [float("nan")] * gap
    counts = category_counts(known)
    if gap or not counts:
        counts[parts.NO_VALUE] = counts.get(parts.NO_VALUE, 0) + known.n_missing_learnt
    names = sorted(counts)
    # As scikit-learn chooses: of equally frequent ones the last by name.
    by_count = np.argsort([counts[name] for name in names], kind="mergesort")
    frequent = [names[place] for place in by_count[::-1]]
    if (
        len(names) >= MOST_INPUTS
    ):  # of just so many, too, it lets the rarest stand for what is unknown
        frequent = frequent[: MOST_INPUTS - 1]
    rare = [name for name in names if name not in set(frequent)]
    values = [*frequent, *frequent, *rare]
    return [None if gap and value == parts.NO_VALUE else value for value in values]


def category_counts(known: ColumnSurvey) -> dict[str, int]:
    """The categories in the rows to learn from, and how often each comes."""
    values = known.values(CATEGORY)
    assert values is not None
    return {name: counts[LEARNT] for name, counts in values.items() if counts[LEARNT]}


def _more_frequent(survey: Survey, name: str) -> float:
    """1.0 for true, if it is more frequent than false."""
    values = survey.columns[name].values(BOOLEAN) or {}
    n_true, n_false = (values.get(value, [0])[LEARNT] for value in (True, False))
    return float(n_true > n_false)


def _put_numbers(steps: Any, names: list[str], survey: Survey) -> None:
    """Medians into the imputer; means and variances, of what it makes, into the scaler."""
    imputer, scaler = steps.named_steps["simpleimputer"], steps.named_steps["standardscaler"]
    medians = [survey.median(name) for name in names]
    imputer.statistics_ = np.array(medians)
    means, variances = [], []
    for name, median in zip(names, medians, strict=True):
        known = survey.columns[name]
        imputed = Moments(known.moments.n, known.moments.mean, known.moments.squares)
        if known.n_missing_learnt:
            imputed.merge(Moments(known.n_missing_learnt, median, 0.0))
        means.append(imputed.mean)
        variances.append(imputed.squares / imputed.n)
    for place in imputer.indicator_.features_:
        known = survey.columns[names[place]]
        share = known.n_missing_learnt / known.n_learnt
        means.append(share)
        variances.append(share * (1 - share))
    n = survey.rows_of_parts[LEARNT]
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
