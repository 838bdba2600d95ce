"""A trained model of a table: the columns that it takes, and predictions for other tables."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.equations.losses import SQUARED_ERROR
from engine.losses import Loss
from engine.model_files.errors import ModelFileError
from engine.model_files.skops_file import StoredModel, read_model, write_model
from engine.model_files.table_examples import TableExamples
from engine.tables import column_kinds, number_notation
from engine.tables.column_kinds import CATEGORY, EMPTY, NUMBER
from engine.tables.columns import Column, inputs, missing_in
from engine.tables.csv_and_parquet import MissingTexts
from engine.tables.messages import counted, named_column, quoted, readable
from engine.tables.scores import Predicted, check_baseline, check_scores
from engine.tables.table_classifier import TableClassifier
from engine.tables.table_estimator import TableEstimator
from engine.tables.target import CLASSIFICATION, REGRESSION, TASKS, Target, left_out, values_of
from engine.tables.translation import PART, READINGS, Translation

COMMA = number_notation.NumberReading(number_notation.COMMA)
FAR = 0.1  # of the range of training, beyond which numbers are said to be outside
UNNAMED = "y"  # a target that a fit in Python had as an array
OF_ARRAYS = (".safetensors", ".onnx")  # endings of model files that know of no table


class Matched(NamedTuple):
    """What the model takes of a table, translated, and notes about how the table fits."""

    inputs: pl.DataFrame
    notes: list[str]


class WithTarget(NamedTuple):
    """Rows of a table whose target is known."""

    frame: pl.DataFrame
    y: NDArray[Any]


@dataclass(frozen=True)
class TableModel:
    """A fitted estimator, and facts about the table that it was fitted on.

    Attributes
    ----------
    estimator : TableClassifier or TableRegressor
    target : Target
    columns : list of Column
        Those that are learnt from.
    left_out : list of str
        Those that were in the table and are not learnt from.
    baseline : dict
        What `scores.baseline` says of the training rows; empty if it was fitted in Python.
    missing : list of str
        What stood for a missing value in a CSV file.
    training : dict
        How it was trained, and how it did; for people to read.
    examples : TableExamples or None
        A few made-up rows, and what it gives for them.
    """

    estimator: Any
    target: Target
    columns: list[Column]
    left_out: list[str]
    baseline: dict[str, Any]
    missing: list[str]
    training: dict[str, Any] = field(default_factory=dict)
    examples: TableExamples | None = field(default=None, repr=False, compare=False)

    @property
    def translation(self) -> Translation | None:
        """How the table was written; None for a table as programs write it."""
        found: Translation | None = self.estimator.encoding_.translation
        return found

    @property
    def loss(self) -> Loss | None:
        """What was minimised; None for classes and the squared error."""
        return loss_of(self.estimator)

    def told(self, training: dict[str, Any]) -> "TableModel":
        """The same, with what is said of its training."""
        return replace(self, training=training)

    def matched(self, frame: pl.DataFrame) -> Matched:
        """Match a table's columns with those of the model; ValueError if they do not fit."""
        _refuse_missing_columns(frame, [c for c in self.columns if c.reading != PART])
        notes = self._extra_columns(frame)
        if self.translation is not None:
            frame = self.translation.translated(frame)
        _refuse_other_kinds(frame, self.columns)
        prepared = inputs(frame, self.columns)
        notes += [*_unknown(prepared, self.columns), *self._far_outside(prepared)]
        return Matched(prepared, notes)

    def predict(self, prepared: pl.DataFrame) -> Predicted:
        """Predictions for what `matched` returned."""
        return self.predict_inputs(self.estimator._inputs_of_translated(prepared, is_new=False))

    def predict_inputs(self, X: NDArray[Any]) -> Predicted:
        """Predictions for rows as the networks take them."""
        estimator = self.estimator
        mean = estimator._average(X)
        values = estimator._from_average(mean)
        if self.target.task != CLASSIFICATION:
            return Predicted(values)
        return Predicted(values, estimator.classes_, estimator._probabilities(mean))

    def rows_with_target(
        self, frame: pl.DataFrame, words: MissingTexts = MappingProxyType({})
    ) -> tuple[WithTarget, list[str]]:
        """The rows with a target, for scoring, and notes about the target.

        `words` are those of the target in a CSV file that count as missing.
        """
        if self.estimator.target_name_ is None and UNNAMED not in frame.columns:
            raise ValueError(
                "The model was fitted in Python to an array, so that its target has no name: call "
                f"that column {UNNAMED!r} in the table, or fit with target=."
            )
        name = named_column(self.target.name, frame.columns, "target")
        known = frame[name].is_not_null()
        if not known.any():
            raise ValueError(f"The target {name!r} has no values in this table.")
        series = frame[name]
        if self.translation is not None:
            series = self.translation.with_target(series.to_frame(), name)[name]
        y = values_of(series.filter(known), self.target)
        notes = left_out(int((~known).sum()), words, "as in training")
        if self.target.task == CLASSIFICATION:
            notes += self._unknown_classes(y)
        return WithTarget(frame.filter(known), y), notes

    def write(self, path: Path) -> None:
        """Save it in a model file."""
        header = {
            "what": f"{self.target.task} of {self.target.name!r} from a table's columns",
            "target": asdict(self.target),
            "columns": [asdict(column) for column in self.columns],
            "left_out": self.left_out,
            "baseline": self.baseline,
            "missing": self.missing,
            "training": self.training,
        }
        stored = StoredModel(header, self.estimator, self.examples)
        write_model(path, stored, check=partial(_model_in, path))

    def _unknown_classes(self, y: NDArray[Any]) -> list[str]:
        strange = ~np.isin(y, self.estimator.classes_)
        if not strange.any():
            return []
        return [
            f"The target has {counted(len(np.unique(y[strange])), 'class')} that training had not "
            f"seen, in {counted(int(strange.sum()), 'row')}, which count as wrong: "
            f"{quoted(np.unique(y[strange]).tolist())}."
        ]

    def _far_outside(self, prepared: pl.DataFrame) -> list[str]:
        """Notes about numbers that the networks take for the nearest one of training."""
        known, notes = self.estimator.inputs_, []
        ends = (end * known.scale + known.centre for end in (known.lowest, known.highest))
        for column, lowest, highest in zip(self.columns, *ends, strict=True):
            if column.kind != NUMBER or column.reading == PART:
                continue
            values = prepared[column.name].to_numpy()
            beyond = np.nan_to_num(np.fmax(lowest - values, values - highest), nan=-np.inf)
            n_far = int((beyond > FAR * (highest - lowest)).sum())
            if n_far:
                found = [lowest, highest, values[beyond.argmax()]]
                first, last, furthest = (self._in_words(column.name, float(one)) for one in found)
                notes.append(
                    f"Column {column.name!r} is far outside the training rows ({first} to {last}) "
                    f"in {counted(n_far, 'row')}, the furthest {furthest}; taken for the nearest "
                    "of these."
                )
        return notes

    def _in_words(self, name: str, value: float) -> str:
        """A number of a column, as the table would write it."""
        step = self.translation
        return readable(value) if step is None else step.in_words(name, value)

    def _extra_columns(self, frame: pl.DataFrame) -> list[str]:
        known = {self.target.name, *self.left_out, *(column.name for column in self.columns)}
        extra = [name for name in frame.columns if name not in known]
        if not extra:
            return []
        said = "a column" if len(extra) == 1 else counted(len(extra), "column")
        return [f"The table has {said} that the model does not know: {quoted(extra)}; ignored."]


def read(path: Path) -> TableModel:
    """The model in a file; ModelFileError if it cannot be trusted, or is not of a table."""
    stored = None if path.suffix.lower() in OF_ARRAYS else read_model(path)
    if stored is not None and isinstance(stored.estimator, TableEstimator):
        return _model_in(path, stored) if "target" in stored.header else _fitted_in_python(stored)
    if stored is not None and "target" in stored.header:
        raise ModelFileError(
            f"{path} was written by an earlier version of mlp-engine, whose models of tables were "
            "other ones. Train again: engine train TABLE --target NAME."
        )
    raise ModelFileError(
        f"{path} does not say which columns of a table its model takes, as models of engine train "
        "do, and a TableClassifier or TableRegressor that engine.save wrote. In Python, "
        "engine.load reads it."
    )


def _fitted_in_python(stored: StoredModel) -> TableModel:
    """A model that `engine.save` wrote: what its estimator knows of the table."""
    estimator = stored.estimator
    encoded = {column.name: column for column in estimator.encoding_.columns}
    columns = [
        replace(
            column,
            categories=encoded[column.name].known,
            n_missing=max(column.n_missing, encoded[column.name].had_missing),
        )
        for column in estimator.columns_
    ]
    labels = pl.Series(getattr(estimator, "classes_", np.zeros(1)))
    task = CLASSIFICATION if isinstance(estimator, TableClassifier) else REGRESSION
    target = Target(estimator.target_name_ or UNNAMED, column_kinds.kind_of(labels), task)
    left_out = [column.name for column in estimator.left_out_]
    return TableModel(
        estimator,
        target,
        columns,
        left_out,
        {},
        [*estimator.encoding_.missing_in_files],
        examples=stored.examples,
    )


def loss_of(estimator: Any) -> Loss | None:
    """The loss, in units of the target; None for classes and squared error."""
    if isinstance(estimator, TableClassifier):
        return None
    loss: Loss = estimator._loss_of_target
    return None if loss.row.code == SQUARED_ERROR else loss


def _model_in(path: Path, stored: StoredModel) -> TableModel:
    header = stored.header
    try:
        target = Target(**header["target"])
        columns = [
            Column(**{**column, "categories": tuple(column["categories"])})
            for column in header["columns"]
        ]
        said = {name: header[name] for name in ("left_out", "baseline", "missing", "training")}
        model = TableModel(stored.estimator, target, columns, **said, examples=stored.examples)
        _check(model)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{path} is damaged: what it says of the model cannot be understood ({error})."
        ) from error
    return model


def _check(model: TableModel) -> None:
    texts = [model.target.name, *model.left_out, *model.missing]
    for column in model.columns:
        texts += [column.name, *column.categories]
        if column.kind not in column_kinds.INPUT_KINDS:
            raise ValueError(f"column {column.name!r} is of kind {column.kind!r}")
        if column.reading not in READINGS:
            raise ValueError(f"column {column.name!r} is read as {column.reading!r}")
    if not model.columns or not all(isinstance(text, str) for text in texts):
        raise ValueError("columns must have names")
    check_scores(model.target.task, model.training.get("scores", {}), model.loss)
    if [column.name for column in model.columns] != [
        column.name for column in model.estimator.encoding_.columns
    ]:
        raise ValueError("columns that are encoded otherwise")
    is_class = isinstance(model.estimator, TableClassifier)
    if is_class != (model.target.task == CLASSIFICATION):
        raise ValueError("an estimator of another task")
    made = {column.name for column in model.columns if column.reading == PART}
    taken = [column.name for column in model.columns if column.reading != PART]
    known = model.translation
    if (made and known is None) or (
        known is not None
        and (not made <= known.source_of().keys() or [*known.feature_names_in_] != taken)
    ):
        raise ValueError("columns that are translated otherwise")
    if model.target.task not in TASKS or model.target.kind not in column_kinds.INPUT_KINDS:
        raise ValueError(f"target {model.target}")
    classes = getattr(model.estimator, "classes_", None)
    n_outputs = model.estimator.members_[0].n_outputs_
    check_baseline(model.target.task, model.baseline, classes, n_outputs)


def _refuse_missing_columns(frame: pl.DataFrame, columns: Sequence[Column]) -> None:
    there, wanted = set(frame.columns), {column.name for column in columns}
    absent = [column.name for column in columns if column.name not in there]
    if not absent:
        return
    extra = [name for name in frame.columns if name not in wanted]
    one = len(absent) == 1
    raise ValueError(
        f"The table lacks {'a column' if one else counted(len(absent), 'column')} that the model "
        f"takes: {quoted(absent, most=10)}. Its other columns: {quoted(extra, most=10) or 'none'}"
        f"; add {'it' if one else 'them'}, empty if the values are not known, or mend the names."
    )


def _refuse_other_kinds(frame: pl.DataFrame, columns: Sequence[Column]) -> None:
    wrong = [said for column in columns if (said := _other_kind(frame[column.name], column))]
    if wrong:
        more = f" ({len(wrong) - 1:,} more such columns.)" if len(wrong) > 1 else ""
        raise ValueError(f"{wrong[0]}{more}")


def _other_kind(series: pl.Series, column: Column) -> str:
    """Empty if the column is of the kind that the model was fitted on."""
    actual = column_kinds.kind_of(series)
    if actual in (EMPTY, column.kind):
        return ""
    converted = column_kinds.as_kind(series, column.kind)
    if len(converted.wrong):
        row = int(converted.wrong[0])
        n_wrong = counted(len(converted.wrong), "row")
        commas = column.kind == NUMBER and series.dtype == pl.String
        commas = commas and number_notation.numbers(series[row : row + 1], COMMA)[0] is not None
        expected = column_kinds.IN_WORDS[column.kind] + " with a decimal point" * bool(commas)
        return (
            f"Column {column.name!r} is of another type: the model expects {expected}, and "
            f"{series[row]!r} came in row {row + 1} ({n_wrong} "
            "in all). Mend the values, or leave them empty."
        )
    if (
        column.kind == CATEGORY
        and not converted.values.is_in(list(column.categories)).any()
        and column_kinds.kind_of(pl.Series(column.categories, dtype=pl.String)) != actual
    ):
        return (
            f"Column {column.name!r} is of another type: the model expects categories such as "
            f"{quoted(column.categories, most=3)}, and {column_kinds.IN_WORDS[actual]} came."
        )
    return ""


def _unknown(prepared: pl.DataFrame, columns: Sequence[Column]) -> list[str]:
    """Notes about missing values and categories that the training rows did not have."""
    notes = []
    for column in columns:
        series = prepared[column.name]
        n_missing = missing_in(series)
        if n_missing and not column.n_missing:
            stand_in = "a rare category" if column.kind == CATEGORY else "the mean"
            notes.append(
                f"Column {column.name!r} has {counted(n_missing, 'missing value')}, and had none "
                f"in training; taken for {stand_in}."
            )
        if column.kind == CATEGORY:
            present = series.drop_nulls()
            strange = present.filter(~present.is_in(list(column.categories)))
            if len(strange):
                notes.append(
                    f"Column {column.name!r} has {counted(strange.n_unique(), 'category')} that "
                    f"training had not seen, in {counted(len(strange), 'row')}: "
                    f"{quoted(strange.unique(maintain_order=True))}."
                )
    return notes
