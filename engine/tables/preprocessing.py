"""The scikit-learn pipeline: from a table's columns to what the network takes, and the network."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from engine.equations.losses import CROSS_ENTROPY, HUBER, SQUARED_ERROR
from engine.estimators.classifier import MLPClassifier
from engine.estimators.regressor import MLPRegressor
from engine.losses import Huber, Loss
from engine.model_files.stored_network import drawn_rows
from engine.model_files.table_columns import TableColumns
from engine.tables.column_kinds import BOOLEAN, CATEGORY, NUMBER
from engine.tables.columns import MOST_INPUTS, Column
from engine.tables.target import CLASSIFICATION
from engine.tables.translation import Translation

# The pipeline's steps.
TRANSLATION, TABLE, COLUMNS, NETWORK = "translation", "table", "columns", "network"
NO_VALUE = "(missing)"


def preprocessing(columns: list[Column]) -> ColumnTransformer:
    """Numbers imputed and standardised, categories one-hot, true and false as 1 and 0.

    Where values are missing in the training rows, an input of its own says so. conversion_plan.py
    fills in the same numbers for tables that are read in batches.
    """
    of_kind = {
        kind: [column.name for column in columns if column.kind == kind]
        for kind in (NUMBER, BOOLEAN, CATEGORY)
    }
    steps = {
        NUMBER: make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            StandardScaler(),
        ),
        BOOLEAN: SimpleImputer(
            strategy="most_frequent", add_indicator=True, keep_empty_features=True
        ),
        CATEGORY: make_pipeline(
            SimpleImputer(missing_values=None, strategy="constant", fill_value=NO_VALUE),
            OneHotEncoder(
                handle_unknown="infrequent_if_exist",
                max_categories=MOST_INPUTS,
                sparse_output=False,
            ),
        ),
    }
    return ColumnTransformer(
        [(kind, steps[kind], names) for kind, names in of_kind.items() if names],
        verbose_feature_names_out=False,
    )


def network(task: str, **settings: Any) -> Any:
    """The estimator that learns: a classifier, or a regressor of the standardised target.

    If predictions are exponentials, the target stays as it is, since it must not be negative.
    """
    if task == CLASSIFICATION:
        return MLPClassifier(**settings)
    regressor = MLPRegressor(**settings)
    if is_as_it_is(settings.get("loss")):
        return regressor
    return TransformedTargetRegressor(regressor, transformer=StandardScaler(), check_inverse=False)


def is_as_it_is(loss: Loss | None) -> bool:
    """Whether a loss takes the target without standardising it."""
    return loss is not None and loss.output == "exp"


def assembled(
    columns: Sequence[Column],
    missing: Sequence[str],
    fitted_preprocessing: ColumnTransformer,
    fitted_network: Any,
    translation: Translation | None = None,
) -> Pipeline:
    """One pipeline, of parts that were fitted one after the other.

    `missing` are the texts that stand for missing values in frames that it is given.
    """
    names, kinds = ([getattr(one, what) for one in columns] for what in ("name", "kind"))
    table = TableColumns(names, kinds, list(missing))
    first = []
    if translation is not None:
        first = [(TRANSLATION, translation.set_params(missing=list(missing)))]
    return Pipeline(
        [*first, (TABLE, table), (COLUMNS, fitted_preprocessing), (NETWORK, fitted_network)]
    )


def translation_of(pipeline: Any) -> Translation | None:
    """The translation, if the pipeline begins with one; None otherwise."""
    first = pipeline.steps[0][1] if isinstance(pipeline, Pipeline) else None
    return first if isinstance(first, Translation) else None


def after_translation(pipeline: Pipeline) -> Pipeline:
    """The steps that take numbers and categories."""
    return pipeline if translation_of(pipeline) is None else pipeline[1:]


def fitted_network(pipeline: Pipeline) -> Any:
    """The network within a fitted pipeline."""
    last = pipeline.named_steps[NETWORK]
    return getattr(last, "regressor_", last)


def loss_of(last: Any) -> Loss | None:
    """The loss of the last step, in units of the target; None for classes and squared error."""
    loss: Loss = getattr(last, "regressor_", last)._network.loss
    if loss.row.code in (CROSS_ENTROPY, SQUARED_ERROR):
        return None
    if loss.row.code == HUBER and hasattr(last, "transformer_"):
        return Huber(loss.numbers[0] * float(last.transformer_.scale_[0]))
    return loss


# Made-up rows of a table, which a model file carries as examples to be checked on.
#
# They are made from what the preprocessing has learnt, which the file holds anyway: numbers around
# the means, by the standard deviations; known categories; missing values where columns had some.


def made_up_rows(
    preprocessing: ColumnTransformer, translation: Translation | None = None
) -> pl.DataFrame:
    """Eight rows of the columns that the fitted preprocessing takes, or its translation."""
    names = preprocessing.feature_names_in_.tolist()
    drawn = dict(zip(names, drawn_rows(len(names)).T, strict=True))
    made = {
        name: _MADE[kind](preprocessing.named_transformers_[kind], place, drawn[name])
        for kind, _, taken in preprocessing.transformers_
        if kind in _MADE
        for place, name in enumerate(taken)
    }
    rows = pl.DataFrame({name: made[name] for name in names})
    return rows if translation is None else translation.as_written(rows)


def _numbers(steps: Any, place: int, drawn: NDArray[Any]) -> NDArray[Any]:
    imputer, scaler = steps
    return _with_gap(scaler.mean_[place] + scaler.scale_[place] * drawn, imputer, place)


def _booleans(imputer: Any, place: int, drawn: NDArray[Any]) -> NDArray[Any]:
    return _with_gap((drawn > 0).astype(float), imputer, place)


def _categories(steps: Any, place: int, drawn: NDArray[Any]) -> pl.Series:
    _, encoder = steps
    known = encoder.categories_[place]
    some = [known[number % len(known)] for number in np.argsort(drawn)]
    return pl.Series([None if one == NO_VALUE else one for one in some], dtype=pl.String)


def _with_gap(values: NDArray[Any], imputer: Any, place: int) -> NDArray[Any]:
    """The values, one of them missing if the training rows had missing values."""
    if place in imputer.indicator_.features_:
        values[place % len(values)] = np.nan
    return values


_MADE: dict[str, Callable[[Any, int, NDArray[Any]], Any]] = {
    NUMBER: _numbers,
    BOOLEAN: _booleans,
    CATEGORY: _categories,
}
