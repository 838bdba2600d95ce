"""TableClassifier and TableRegressor: models of tables as they come.

From a frame to predictions: what each column is (table_description.py), one matrix of numbers
(table_encoding.py), inputs of networks (network_inputs.py), several networks trained side by side
(engine/many), and their average.
"""

import copy
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
import polars as pl
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from engine.boundary.dates import refuse_dates
from engine.boundary.settings import listed, thread_count, whole_number
from engine.equations.losses import HUBER
from engine.estimators import held_out
from engine.estimators.base import BY_LOSS
from engine.estimators.class_weights import ClassWeights
from engine.estimators.classifier import MLPClassifier
from engine.estimators.diagnosis import TrainingWarning
from engine.estimators.findings import Finding, in_python
from engine.estimators.labels import Labels
from engine.estimators.parameters import hidden_sizes
from engine.estimators.pickled_version import PickledVersion
from engine.estimators.regressor import LOSSES_OF_NUMBERS, MLPRegressor
from engine.losses import Huber, Loss, Quantile, did_you_mean, named
from engine.many.averages import aligned
from engine.many.member_messages import say, warnings_of
from engine.many.member_rows import MemberRows
from engine.model_files.table_columns import require_columns
from engine.tables import member_fits
from engine.tables.calibration import calibrated, have_same_rows, shifts_of, temperature_of
from engine.tables.column_kinds import LARGEST, SMALLEST
from engine.tables.column_statistics import TableStatistics
from engine.tables.columns import KINDS_TO_GIVE, Column, Columns
from engine.tables.csv_and_parquet import MISSING
from engine.tables.given_tables import GivenTable, given_table, of_values
from engine.tables.member_fits import MemberFits, Rows
from engine.tables.messages import counted, named_column
from engine.tables.network_inputs import NetworkInputs, TrainingNumbers, give_unknown_levels
from engine.tables.recipe import Recipe, recipe_for
from engine.tables.row_predictor import RowPredictor
from engine.tables.stored_estimator import FITTED, fitted_state, made_up_rows, restore
from engine.tables.table_description import (
    TableDescription,
    TargetColumn,
    described,
    described_target,
)
from engine.tables.table_encoding import TableEncoding
from engine.tables.target import CLASSIFICATION, REGRESSION, left_out
from engine.tables.translation import Translation
from engine.tables.validation_rows import time_values, validation_rows
from engine.training.checkpoint import Checkpoint

# Warnings of networks that say nothing to whoever fits a table: the recipe has chosen so.
OF_NETWORKS = re.compile(
    "Maximum iterations|max_time=|Early stopping goes by|learning rate is too high|no longer learn"
)

MOST_NAMED = 10  # columns that a warning names

# Parameters whose default, None, is what the recipe says.
OF_RECIPE = tuple(Recipe._fields)


class LearntColumns(NamedTuple):
    """What is known of a table's columns before networks are trained.

    Attributes
    ----------
    encoding : TableEncoding
    numbers : TrainingNumbers
    used, left_out : list of Column
    notes : list of str
    """

    encoding: TableEncoding
    numbers: TrainingNumbers
    used: list[Column]
    left_out: list[Column]
    notes: list[str]

    @classmethod
    def of(
        cls,
        columns: Columns,
        statistics: TableStatistics,
        translation: Translation | None,
        missing: Sequence[str],
        notes: Sequence[str] = (),
    ) -> "LearntColumns":
        """By the training rows, part 0 of the statistics."""
        encoding = TableEncoding.fitted(columns.used, statistics, translation, missing=missing)
        numbers = TrainingNumbers.of_statistics(encoding.columns, statistics)
        return cls(encoding, numbers, columns.used, columns.left_out, [*notes])


class LearntTable(NamedTuple):
    """What is known of a table before networks are trained.

    Attributes
    ----------
    rows : Rows
    groups, time : ndarray (n_rows,) or None
    of_target : TargetColumn or None
        How the column of the target is written, if it is one.
    warnings : list of Warning
    """

    rows: Rows
    groups: Any
    time: Any
    of_target: TargetColumn | None
    warnings: list[Warning]


class TableEstimator(PickledVersion, BaseEstimator, ABC):
    """Networks for a table, whose predictions are averaged."""

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012  # scikit-learn's convention
        "n_members": [Interval(Integral, 1, None, closed="left"), None],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left"), None],
        "n_pieces": [Interval(Integral, 1, None, closed="left"), None],
        "width": [Interval(Integral, 1, None, closed="left"), None],
        "level_width": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
        "learning_rate": [StrOptions({"constant", "cosine"}), None],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither"), None],
        "weight_decay": [Interval(Real, 0, None, closed="left"), None],
        "average": [Interval(Real, 0, 1, closed="neither"), None],
        "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
        "validation_fraction": [Interval(Real, 0, 0.5, closed="both"), None],
        "columns": [Mapping, None],
        "decimal": [StrOptions({"comma", "point"}), None],
        "dates": [StrOptions({"day-first", "month-first"}), None],
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "progress": ["boolean"],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }
    _task: str

    # What the classifier and the regressor define.

    @abstractmethod
    def _learn_target(self, y: Any, weights: Any) -> NDArray[Any]:
        """y as the networks take it; what is learnt of it is stored."""

    @abstractmethod
    def _targets(self, y: Any) -> NDArray[Any]:
        """y of other rows as the networks take it."""

    @abstractmethod
    def _strata(self, y: NDArray[Any]) -> NDArray[Any] | None:
        """Class codes whose shares each part of the rows should have, or None."""

    @abstractmethod
    def _member(self, settings: Mapping[str, Any]) -> Any:
        """A network before its fit."""

    @abstractmethod
    def _outputs_of(self, member: Any, X: NDArray[Any]) -> NDArray[Any]:
        """What is averaged, of a member, in float64."""

    @abstractmethod
    def _mean_loss(self, rows: Rows) -> float:
        """The mean loss of rows, by the average of the members."""

    def _tune(self, tried: Sequence[tuple[NDArray[Any], Rows]]) -> None:
        """Learn from networks' outputs for their validation rows."""

    # From a table to networks.

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        target: str | None = None,
        groups: Any = None,
        time: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train on a table.

        Parameters
        ----------
        X : pandas or polars DataFrame, dict of columns, array (n_rows, n_columns), or path
            The table; a path is that of a CSV or Parquet file. Columns may be numbers, texts,
            booleans, dates and times, in any mixture, with missing values.
        y : array_like (n_rows,), optional
            The target; or name its column by `target`.
        sample_weight : array_like (n_rows,), optional
            Not negative. They count in training, validation and scores. A row of weight 0 counts
            nowhere, as if it were not there.
        target : str, optional
            The column of X to be predicted; not of an array, whose columns have no names. Rows
            without it are left out.
        groups : array_like (n_rows,) or str, optional
            Rows of one group are never trained on by a network that is validated on others of it.
            The name of a column takes that column, which is then not learnt from.
        time : array_like (n_rows,) or str, optional
            The latest rows are the validation rows, in the order of these numbers or dates; or the
            name of a column. They choose the number of epochs; then the networks are trained anew
            on all rows for so many.
        X_val, y_val, sample_weight_val : optional
            Your own validation rows, as X, y and sample_weight; with `target`, X_val has the target
            too.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For a table without rows or without columns to learn from, a target that is missing or
            has one value, and parameters that are refused. The estimator is then as it was before.

        Warns
        -----
        engine.TrainingWarning, sklearn.exceptions.ConvergenceWarning
            Columns that you may want to mend, in one warning; what the networks warn of, once each.
        """
        self._validate_params()
        with self._as_before_if_it_fails():
            found = self._fit(
                X, y, sample_weight, target, groups, time, (X_val, y_val, sample_weight_val)
            )
        say(found, stacklevel=2)
        return self

    @contextmanager
    def _as_before_if_it_fails(self) -> Iterator[None]:
        """A fit: an error leaves the estimator as it was; else its parameters are remembered."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        self.remember_parameters()

    def remember_parameters(self) -> None:
        """Note the parameters as those of the fit, with which a fitted model is saved."""
        given = self.get_params(deep=False).items()
        self._parameters_of_fit = {name: copy.copy(value) for name, value in given}

    def _fit(
        self, X: Any, y: Any, weights: Any, target: Any, groups: Any, time: Any, own: Any
    ) -> list[Warning]:
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)
        learnt = self._learn_table(X, y, weights, target, groups, time)
        validation = self._own_validation_rows(*own, of_target=learnt.of_target)
        found = self._fit_rows(learnt.rows, validation, learnt.groups, learnt.time)
        return [*learnt.warnings, *found]

    def _learn_table(
        self, X: Any, y: Any, weights: Any, target: Any = None, groups: Any = None, time: Any = None
    ) -> LearntTable:
        """All that is learnt of a table before networks are trained, and its rows for them."""
        table = self._given(X)
        if groups is not None and time is not None:
            raise ValueError(
                "Pass groups or time: either whole groups are validation rows, or the latest rows."
            )
        if target is not None and not has_names(X):
            raise ValueError(
                f"target={target!r} names a column, and those of an array have no names: pass X "
                "without the target, and the target as y."
            )
        frame, y, weights, known, of_target = self._with_target(table, y, weights, target)
        if of_target is not None and hasattr(self, "feature_names_in_"):  # the target is none
            self.feature_names_in_ = np.array(frame.columns, dtype=object)
            self.n_features_in_ = frame.width
        by_name = groups if isinstance(groups, str) else None
        if groups is not None:
            values = _of_rows("groups", groups, frame, known)
            frame = frame if by_name is None else frame.drop(by_name)
            groups = _numbers_of_groups(values)
        if time is not None:
            values = _of_rows("time", time, frame, known)
            time = time_values("time", values, self.decimal, self.dates)
        found = self._described(frame, table, {target: "target", by_name: "column of groups"})
        y = self._learn_target(y, weights)
        without = 0 if of_target is None else int((~of_target.values(table.frame)[0]).sum())
        notes = left_out(without, table.words.get(target, {}))
        self._take_columns(
            LearntColumns.of(
                found.columns, found.statistics, found.translation, self._missing(table),
                [*notes, *found.notes, *_notes_of(found.columns)],
            ),
            len(y),
        )  # fmt: skip
        X_train = self._inputs_of_translated(found.frame, is_new=False)
        rows = Rows(X_train, y, weights)
        return LearntTable(rows, groups, time, of_target, _to_mend(found.columns))

    def _take_columns(self, learnt: LearntColumns, n_rows: int) -> None:
        """Set what follows from the columns, and the recipe for so many training rows."""
        self.encoding_ = learnt.encoding
        self.columns_, self.left_out_ = learnt.used, learnt.left_out
        self.notes_ = learnt.notes
        self.recipe_ = recipe = self._recipe(n_rows, len(learnt.encoding.columns))
        self.inputs_ = NetworkInputs.fitted(
            learnt.encoding.columns, learnt.numbers, recipe.n_pieces, recipe.width,
            recipe.level_width,
        )  # fmt: skip

    def _inputs_of_translated(self, frame: pl.DataFrame, is_new: bool = True) -> NDArray[Any]:
        """Rows of a translated table as networks take them."""
        return self.inputs_.of(self.encoding_.encode_translated(frame, is_new=is_new))

    def fit_learnt(
        self,
        learnt: LearntColumns,
        rows: pl.DataFrame | Rows,
        y: Any = None,
        *,
        target: str,
        validation: Rows | None = None,
        groups: Any = None,
        time: Any = None,
        checkpoint: Checkpoint | None = None,
    ) -> Self:
        """Train on rows of a table whose columns are known: what the commands do.

        Parameters
        ----------
        learnt : LearntColumns
        rows : polars.DataFrame or Rows
            Training rows of a translated table and their y; or rows as networks take them, which
            may be mapped from files. Then no rows are held out of them, and what `fit` learns of
            the target is there already.
        target : str
        validation : Rows, optional
        groups, time : ndarray (n_rows,), optional
        checkpoint : Checkpoint, optional
            Of the first network; that of the second has the name FILE.2, and so on.
        """
        self._validate_params()
        with self._as_before_if_it_fails():
            found = self._fit_learnt(learnt, rows, y, target, validation, groups, time, checkpoint)
        say(found, stacklevel=2)
        return self

    def _fit_learnt(
        self,
        learnt: LearntColumns,
        rows: pl.DataFrame | Rows,
        y: Any,
        target: str,
        validation: Rows | None,
        groups: Any,
        time: Any,
        checkpoint: Checkpoint | None,
    ) -> list[Warning]:
        self.target_name_: str | None = target
        names = learnt.encoding.sources
        self.n_features_in_ = len(names)
        self.feature_names_in_ = np.array(names, dtype=object)
        shuffle: bool | str = True
        if isinstance(rows, Rows):
            self._take_columns(learnt, len(rows.y))
            self.recipe_ = self.recipe_._replace(validation_fraction=0.0)
            shuffle = "blocks"
        else:
            y = self._learn_target(y, None)
            self._take_columns(learnt, len(y))
            rows = Rows(self._inputs_of_translated(rows, is_new=False), y)
        return self._fit_rows(
            rows, validation, groups, time, checkpoint=checkpoint, shuffle=shuffle
        )

    def _given(self, X: Any) -> GivenTable:
        """X as a table; of an array, columns get names, and nothing says what they are called."""
        self.__dict__.pop("feature_names_in_", None)
        table = given_table(_named_columns(X))
        self.n_features_in_ = table.frame.width
        if table.frame.height < 2:
            raise ValueError(
                "The table has n_samples=1 row, and a model needs several to learn from."
            )
        if has_names(X):
            self.feature_names_in_ = np.array(table.frame.columns, dtype=object)
        return table

    def _with_target(
        self, table: GivenTable, y: Any, weights: Any, target: str | None
    ) -> tuple[pl.DataFrame, Any, Any, NDArray[np.bool_], TargetColumn | None]:
        """The rows that count, without the target, their target and their weights.

        Also which rows of the table these are, and, if the target is a column, how it is written.
        """
        frame, of_target = table.frame, None
        if y is None and target is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: pass "
                "y, or name the target's column by target=."
            )
        if y is not None and target is not None:
            raise ValueError("Pass the target as y, or name its column by target=; both came.")
        self.target_name_ = target
        known = np.ones(frame.height, bool)
        if weights is not None:
            weights = _check_sample_weight(
                weights, frame, dtype=np.float64, ensure_non_negative=True
            )
            known = weights > 0
        if target is None:
            y = _one_for_each_row("y", y, frame.height)[known]
            frame = _rows_of(frame, known)
        else:
            name = named_column(target, frame.columns, "target")
            frame = _rows_of(frame, known)
            of_target = described_target(
                frame.select(name), self._task, self.decimal, self.dates, table.words
            )
            has_target, y = of_target.values(frame)
            frame = _rows_of(frame, has_target).drop(name)
            known[known] = has_target
        return frame, y, None if weights is None else weights[known], known, of_target

    def _described(
        self, frame: pl.DataFrame, table: GivenTable, others: Mapping[str | None, str]
    ) -> TableDescription:
        """What was decided about the columns; `others` are not among them, and what they are."""
        kinds = dict(self.columns or {})
        for name, kind in kinds.items():
            if name in others:
                raise ValueError(
                    f"columns: {name!r} is the {others[name]}, which is not learnt from anyway: "
                    "leave it out of columns."
                )
            named_column(name, frame.columns, "columns")
            if kind not in KINDS_TO_GIVE:
                raise ValueError(
                    f"columns: {name!r} is to be {kind!r}; pass one of "
                    f"{', '.join(map(repr, KINDS_TO_GIVE))}."
                )
        return described(frame, None, None, kinds, self.decimal, self.dates, table.words)

    def _missing(self, table: GivenTable) -> tuple[str, ...]:
        """Texts that stand for a missing value in tables to come."""
        return ("", *MISSING) if table.is_text else ()

    def _own_validation_rows(
        self, X: Any, y: Any, weights: Any, *, of_target: TargetColumn | None
    ) -> Rows | None:
        """The user's own validation rows, encoded; of a target's column, those that have one."""
        if X is None or (y is None and of_target is None):
            held_out.require_together(X, y, weights)
            return None
        frame = given_table(self._given_again(X)).frame
        if weights is not None:
            weights = _check_sample_weight(
                weights, frame, dtype=np.float64, ensure_non_negative=True
            )
        if y is None and of_target is not None:
            named_column(of_target.target.name, frame.columns, "target")
            known, y = of_target.values(frame)
            if not known.any():
                raise ValueError(
                    f"X_val has no row with a target: {of_target.target.name!r} is missing in all "
                    f"{counted(len(known), 'row')}. Pass rows that have it."
                )
            frame, weights = frame.filter(known), None if weights is None else weights[known]
        else:
            y = _one_for_each_row("y_val", y, frame.height, "X_val")
        return Rows(self.inputs_.of(self.encoding_.encode(frame)), self._targets(y), weights)

    def _fit_rows(
        self,
        rows: Rows,
        validation: Rows | None,
        groups: Any = None,
        time: Any = None,
        *,
        checkpoint: Checkpoint | None = None,
        shuffle: bool | str = True,
    ) -> list[Warning]:
        """Train on rows as networks take them.

        Parameters
        ----------
        rows, validation : Rows
            Without validation rows, each network holds some of the rows out.
        groups, time : ndarray (n_rows,), optional
        checkpoint : Checkpoint, optional
            Of the first network; the others have FILE.2, FILE.3 and so on.
        shuffle : bool or "blocks"

        Returns
        -------
        list of Warning
            What the networks warn of. A network that Ctrl-C did not let begin is left out.
        """
        recipe = self.recipe_
        generator = check_random_state(self.random_state)
        seeds = generator.randint(np.iinfo(np.int32).max, size=recipe.n_members + 1).tolist()
        parts: list[MemberRows | None] = [None] * recipe.n_members
        if validation is None:
            parts = validation_rows(
                len(rows.y), recipe.n_members, recipe.validation_fraction, seeds[-1],
                classes=self._strata(rows.y), groups=groups, time=time,
            )  # fmt: skip
        has_second_fit = time is not None and validation is None
        settings = {**self._settings(recipe), "shuffle": shuffle}
        if has_second_fit and settings["max_time"] is not None:
            settings["max_time"] /= 2

        def member_of(number: int, n_rows: int, **given: Any) -> Any:
            batch_size = min(recipe.batch_size, n_rows)
            own = {"random_state": seeds[number], "batch_size": batch_size, **given}
            return self._member({**settings, **own})

        n_threads = thread_count(self.n_threads)
        fits = member_fits.fits_of(member_of, rows, validation, parts, checkpoint)
        made = member_fits.fitted(fits, n_threads)
        self.n_validation_rows_ = [0 if one is None else len(one.y) for one in made.validation]
        self._tune(
            [
                (self._outputs_of(member, held.X), held)
                for member, held in zip(made.members, made.validation, strict=True)
                if held is not None
            ]
        )
        if has_second_fit:
            made = member_fits.fitted_again(made, rows, checkpoint, n_threads)
        self.members_ = made.members
        for member in self.members_:
            if hasattr(member, "embeddings_"):
                give_unknown_levels(self.encoding_.columns, member.embeddings_)
        return self._warnings_of(made)

    def _in_labels(self, warning: Warning) -> Warning:
        """A network's warning, with labels in place of the codes of classes."""
        return warning

    def _concerns(self, warning: Warning) -> bool:
        """Whether a network's warning holds for the estimator."""
        return True

    def _warnings_of(self, made: MemberFits) -> list[Warning]:
        """What networks warn of, in terms of this estimator's parameters."""
        found = [
            self._in_labels(one)
            for one in warnings_of(made.outcomes, "network")
            if not OF_NETWORKS.search(str(one)) and self._concerns(one)
        ]
        if made.out_of_time:
            epochs = min(int(member.n_iter_) for member in self.members_)
            said: Any = ConvergenceWarning(
                f"max_time={self.max_time:g} seconds were over before all networks had "
                f"converged; one was trained for {epochs} whole epochs. The model is the best "
                "so far: give it more time, or fewer networks by n_members."
            )
            said.finding = Finding(
                f"Training ended when its {self.max_time:g} seconds were over, and one network "
                f"had been trained for {epochs} whole epochs. The model is the best so far.",
                "allow more time",
            )
            found.append(said)
        if made.lacks_second:
            found.append(
                UserWarning(
                    "Training interrupted by user: the networks have not learnt from the latest "
                    "rows, which validated them."
                )
            )
        elif len(made.fits) < made.n_wanted:
            found.append(
                UserWarning(
                    f"Training interrupted by user: {made.n_wanted - len(made.fits)} of "
                    f"{made.n_wanted} networks had not begun, and are left out."
                )
            )
        return found

    def _recipe(self, n_rows: int, n_inputs: int) -> Recipe:
        values = ((name, getattr(self, name, None)) for name in OF_RECIPE)
        given: dict[str, Any] = {name: value for name, value in values if value is not None}
        if "hidden_layer_sizes" in given:
            given["hidden_layer_sizes"] = hidden_sizes(given["hidden_layer_sizes"])
        return recipe_for(n_rows, n_inputs)._replace(**given)

    def _settings(self, recipe: Recipe) -> dict[str, Any]:
        """Parameters of each network."""
        settings = recipe._asdict()
        for name in ("n_members", "n_pieces", "width", "level_width", "validation_fraction"):
            del settings[name]
        return {
            **settings,
            "alpha": 0.0,
            "solver": "adam",
            "scoring": BY_LOSS,
            "tol": 0.0,
            "embeddings": list(self.inputs_.embeddings),
            "max_time": self._seconds_each(recipe),
            "progress": self.progress,
            "n_threads": 1,
        }

    @property
    def n_iter_(self) -> int:
        """The most epochs that a network was trained for."""
        return max(int(member.n_iter_) for member in self.members_)

    def _seconds_each(self, recipe: Recipe) -> float | None:
        """The share of `max_time` that each network has."""
        if self.max_time is None:
            return None
        at_once = min(recipe.n_members, thread_count(self.n_threads) or 1)
        return float(self.max_time) / recipe.n_members * at_once

    # As a model file and a pickle hold it.

    def __getstate__(self) -> dict[str, Any]:
        """Parameters; of a fitted estimator those of the fit, a description and arrays."""
        state = super().__getstate__()
        if "members_" not in vars(self):
            return state
        names = {*self.get_params(deep=False), "_engine_version"}
        kept = {name: value for name, value in state.items() if name in names}
        return {**kept, **self._parameters_of_fit, FITTED: fitted_state(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """ValueError, TypeError or KeyError if the description cannot be that of a fit."""
        kept = {name: value for name, value in state.items() if name != FITTED}
        super().__setstate__(kept)
        if FITTED in state:
            names = {*self.get_params(deep=False)}
            if vars(self).keys() != names:
                raise ValueError(f"a {type(self).__name__} of other parameters")
            restore(self, state[FITTED])
            self.remember_parameters()

    def made_up_rows(self) -> pl.DataFrame:
        """Eight rows of a table as the model takes it, made of what it has learnt of the columns.

        They are numbers around the means, known categories, and missing values where the training
        rows lacked some: `engine check-model` tries a model on such rows.
        """
        check_is_fitted(self, "members_")
        return made_up_rows(self.encoding_, self.inputs_)

    # Predictions.

    def _averaged(self, X: Any) -> NDArray[np.float64]:
        """The mean over the networks."""
        check_is_fitted(self, "members_")
        return self._average(self.inputs_.of(self.encoding_.encode(self._given_again(X))))

    def _averaged_of_translated(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        """The same of a translated table."""
        return self._average(self._inputs_of_translated(frame))

    def _given_again(self, X: Any) -> Any:
        table = _named_columns(X)
        if table is not X and hasattr(self, "feature_names_in_"):
            require_columns(X, ())
        if table is not X and len(table) != self.n_features_in_:
            raise ValueError(
                f"X has {len(table)} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input: rows like those of the fit."
            )
        return table

    def _average(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """The mean over the networks, of rows as they take them."""
        total: Any = 0.0
        for member in self.members_:
            total = total + self._outputs_of(member, X)
        mean: NDArray[np.float64] = total / len(self.members_)
        return mean

    def predictor(self) -> RowPredictor:
        """The fitted model for one row at a time, in microseconds.

        Returns
        -------
        RowPredictor
            Its `predict(row)` takes a dict from names of columns to values; that of a classifier
            has `predict_proba` as well. The bits are those of a table with this row. It is a copy.

        Notes
        -----
        By four networks of 96-96 units, a row of numbers takes 30 us, and one with a date 40 us.

        Dates, times and durations may be those of Python, NumPy or pandas, or texts in the notation
        of the training table; so may numbers. A value of an unusual kind, such as a date in another
        notation, takes milliseconds: then the row is read as a table.
        """
        check_is_fitted(self, "members_")
        return RowPredictor(self)

    def network_and_rows(self, X: Any, y: Any, sample_weight: Any = None) -> tuple[Any, Rows]:
        """A network of this estimator, and rows as it takes them: what `engine.verify` checks.

        It is the first network of a fitted estimator. Of one that is not fitted, it is a network
        that `fit` would train. The estimator stays as it is.
        """
        if hasattr(self, "members_"):
            inputs = self.inputs_.of(self.encoding_.encode(self._given_again(X)))
            y = self._targets(_one_for_each_row("y", y, len(inputs)))
            return self.members_[0], Rows(inputs, y, sample_weight)
        learner = clone(self)
        learner._validate_params()
        rows = learner._learn_table(X, y, sample_weight).rows
        settings = {**learner._settings(learner.recipe_), "random_state": self.random_state}
        return learner._member(settings), rows

    def feature_importances(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        n_repeats: int = 5,
        random_state: Any = 0,
    ) -> dict[str, float]:
        """How much worse predictions become if a column's values are exchanged between rows.

        Parameters
        ----------
        X, y, sample_weight
            Rows that were not trained on, as for `fit`: then columns that only help to remember
            training rows count nothing.
        n_repeats : int
            Exchanges of each column, whose mean is given.
        random_state : int, RandomState or None

        Returns
        -------
        dict of str to float
            By column of the table, the rise of the mean loss: cross-entropy, or half the squared
            error, or what `loss` says, in units of the target. The largest first. A column that is
            not learnt from has 0.

        Notes
        -----
        Columns that say the same share their importance: each is small. Source: Breiman 2001,
        "Random forests", section 10.
        """
        check_is_fitted(self, "members_")
        whole_number("n_repeats", n_repeats, at_least=1)
        X = self.inputs_.of(self.encoding_.encode(self._given_again(X)))
        y = self._targets(_one_for_each_row("y", y, len(X)))
        s = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        generator = check_random_state(random_state)
        base = self._mean_loss(Rows(X, y, s))
        found = {}
        for source in self.encoding_.sources:
            places = [k for k, one in enumerate(self.encoding_.columns) if one.source == source]
            rises = []
            for _ in range(n_repeats):
                exchanged = X.copy()
                exchanged[:, places] = X[generator.permutation(len(X))][:, places]
                rises.append(self._mean_loss(Rows(exchanged, y, s)) - base)
            found[source] = float(np.mean(rises))
        for column in self.left_out_:
            found.setdefault(column.name, 0.0)
        return dict(sorted(found.items(), key=lambda entry: -entry[1]))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


def _notes_of(columns: Columns) -> list[str]:
    """Remarks on columns that are learnt from, perhaps otherwise than is meant."""
    return [
        f"{column.name!r} {column.note}."
        for column in columns.used
        if column.name in columns.doubts
    ]


def _to_mend(columns: Columns) -> list[Warning]:
    """A warning of all columns that a user may want to mend; none if there are no such columns."""
    said = []
    for what, some in (
        ("Left out", columns.left_out),
        ("Learnt from, perhaps not as you mean", columns.used),
    ):
        notes = [f"{one.name!r} {one.note}" for one in some if columns.doubts.get(one.name)]
        more = f" and {counted(len(notes) - MOST_NAMED, 'column')} more" * (len(notes) > MOST_NAMED)
        said += [f"{what}: {'; '.join(notes[:MOST_NAMED])}{more}."] if notes else []
    if not said:
        return []
    name = next(name for name, to_mend in columns.doubts.items() if to_mend)
    said.append(f"If that is meant, give the kind of each column: columns={{{name!r}: 'out'}}.")
    return [TrainingWarning(" ".join(said))]


def has_names(X: Any) -> bool:
    """Whether its columns have names of their own."""
    return hasattr(X, "columns") or isinstance(X, dict | str | os.PathLike)


def _named_columns(X: Any) -> Any:
    """An array, or what can be made one, as a table with names for its columns; else X itself."""
    if scipy.sparse.issparse(X):
        raise TypeError(
            "Sparse data was passed for X, but dense data is required: a table has a value, or "
            "none, in each place. Pass X.toarray()."
        )
    if has_names(X):
        return X
    if hasattr(X, "to_frame") and hasattr(X, "index"):
        raise ValueError(
            "X must be a table: rows and columns. Got a Series. Reshape your data: "
            "frame.iloc[[0]] is a table of one row, series.to_frame() one of one column."
        )
    X = np.asarray(X)
    if X.ndim != 2:
        raise ValueError(
            f"X must be a table: rows and columns. Got an array of {X.ndim} dimension"
            f"{'s' * (X.ndim != 1)}. Reshape your data: X.reshape(-1, 1) is one column, "
            "X.reshape(1, -1) one row."
        )
    if X.dtype.kind == "c":
        raise ValueError("Complex data not supported: pass real numbers.")
    if X.shape[1] == 0:
        raise ValueError(f"0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
    return {f"x{k}": X[:, k] for k in range(X.shape[1])}


def _one_for_each_row(argument: str, y: Any, n_rows: int, of_table: str = "X") -> NDArray[Any]:
    """y as an array (n_rows,)."""
    if isinstance(y, str):
        raise TypeError(
            f"{argument} must have one entry for each of the {n_rows:,} rows of {of_table}; got "
            f"the text {y!r}. Pass the values of that column; `fit` takes its name as target={y!r}."
        )
    found: NDArray[Any] = np.asarray(y)
    if found.ndim == 2 and found.shape[1] == 1:
        found = column_or_1d(found, warn=True)
    if found.shape != (n_rows,):
        raise ValueError(
            f"{argument} must have one entry for each of the {n_rows:,} rows of {of_table}; got "
            f"shape {found.shape}."
        )
    return found


def _rows_of(frame: pl.DataFrame, which: NDArray[np.bool_]) -> pl.DataFrame:
    """Some rows of a frame; the frame itself if these are all."""
    return frame if which.all() else frame.filter(which)


def _of_rows(argument: str, given: Any, frame: pl.DataFrame, known: NDArray[np.bool_]) -> pl.Series:
    """A value for each row of the frame: its column, or what came for each row of the table."""
    if isinstance(given, str):
        return frame[named_column(given, frame.columns, argument)]
    n_rows = len(known)
    if np.shape(given) != (n_rows,):
        raise ValueError(
            f"{argument} must have one entry for each of the {n_rows:,} rows; got shape "
            f"{np.shape(given)}."
        )
    values = of_values(argument, given)
    values = values.fill_nan(None) if values.dtype.is_float() else values
    return values.filter(pl.Series(known))


def _numbers_of_groups(values: pl.Series) -> NDArray[np.int64]:
    """The number of each row's group; rows without one are a group together."""
    if values.null_count() == len(values):
        raise ValueError(
            "groups has no value in any row: pass the group of each row, or leave groups out."
        )
    texts = [str(one) for one in values] if values.dtype == pl.Object else values
    texts = pl.Series(texts).cast(pl.String).fill_null("")
    numbers: NDArray[np.int64] = np.unique(texts.to_numpy(), return_inverse=True)[1]
    return numbers


class TableRegressor(RegressorMixin, TableEstimator):
    """A number predicted from the columns of a table, as the table comes.

    Numbers, texts, booleans, dates and times may have gaps and may be written for people. Several
    networks with embeddings are trained, each on other rows, and their predictions are averaged.

    Parameters
    ----------
    loss : str or one of engine.losses, default="squared_error"
        As of `MLPRegressor`: "absolute_error", "huber", "quantile", "poisson", "gamma",
        `losses.Quantile([0.1, 0.9])` and so on. The target is standardised within, but for the
        three of positive numbers: the delta of Huber's loss is in its standard deviations.
    calibrate : bool, default=True
        Shift quantiles so that as many validation rows are below each as its level says (T2).
    n_members : int, optional
        Networks whose predictions are averaged. This and the parameters down to
        `validation_fraction` have None for what the recipe says for so many rows: `recipe_`.
    hidden_layer_sizes : int or sequence of int, optional
    n_pieces, width, level_width : int, optional
        Pieces of a column of numbers, and numbers that it becomes; numbers that a category becomes,
        at most (docs/embeddings.md).
    batch_size, max_iter, n_iter_no_change : int, optional
        Rows of a step; epochs at most; epochs without a better validation loss before training
        stops.
    learning_rate : "constant" or "cosine", optional
    learning_rate_init, weight_decay, average, clip_norm : float, optional
        Of each network, as of `MLPRegressor`.
    validation_fraction : float, optional
        Share of the rows that each network holds out, and stops by: others for each; at most 0.5.
        The rows are dealt into 1 / share equal parts, a whole number: 0.3 holds a third out. 0
        holds none out; then each network is trained for `max_iter` epochs.
    columns : dict of str to str, optional
        The kind of some columns: "number", "category", "boolean", "date", or "out". All others are
        decided by their values.
    decimal : "comma" or "point", optional
        Decides if all numbers of a column of text fit both.
    dates : "day-first" or "month-first", optional
        Decides if all dates of a column of text fit both.
    max_time : float, optional
        Seconds after which no further step begins.
    progress : bool, default=False
        Show a bar on standard error.
    n_threads : int, optional
        Threads that share the networks; None is as many as pay. The bits do not depend on it.
    random_state : int, RandomState or None, default=None
        Draws the folds, and each network's initial values and shuffles.

    Attributes
    ----------
    members_ : list of MLPRegressor
        The fitted networks.
    recipe_ : Recipe
        The numbers that were chosen or given.
    encoding_ : TableEncoding
        What each column of the networks' matrix is.
    columns_, left_out_ : list of Column
        The columns that are learnt from, and those that are not, with the reason as their `note`.
    notes_ : list of str
        Remarks on how the table was read.
    n_features_in_, feature_names_in_, n_iter_ : int, ndarray of str, int
    y_mean_, y_scale_ : float
        Of the training targets: networks learn (y - mean) / scale.
    shifts_ : ndarray (n_levels,) or None
        What is added to each quantile, in units of the target.

    See Also
    --------
    TableClassifier, MLPRegressor, engine.embeddings

    Notes
    -----
    docs/tables.md says what is decided about columns, and docs/tables-compared.md what the model
    reaches on real tables, in what time. A category that training had in fewer than 5 rows, or
    not at all, counts as rare. A number beyond those of training is taken for the nearest of them.
    Time and memory grow with rows times columns: float32 copies of the rows, and for each fold one
    more.

    Examples
    --------
    >>> import pandas as pd
    >>> from engine import TableRegressor
    >>> flats = pd.DataFrame(
    ...     {
    ...         "area": [25.0 + k % 90 for k in range(400)],
    ...         "district": ["Seefeld" if k % 3 == 0 else "Altstadt" for k in range(400)],
    ...         "lift": [k % 7 < 3 or None for k in range(400)],
    ...     }
    ... )
    >>> rent = 400 + 14 * flats["area"] + 500 * (flats["district"] == "Seefeld")
    >>> model = TableRegressor(random_state=0).fit(flats[:300], rent[:300])
    >>> model.score(flats[300:], rent[300:]) > 0.99
    True
    >>> list(model.feature_importances(flats[300:], rent[300:]))[:2]
    ['area', 'district']
    """

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012
        **TableEstimator._parameter_constraints,
        "loss": [str, Loss],
        "calibrate": ["boolean"],
    }
    _task = REGRESSION

    def __init__(
        self,
        loss: str | Loss = "squared_error",
        *,
        calibrate: bool = True,
        n_members: int | None = None,
        hidden_layer_sizes: Any = None,
        n_pieces: int | None = None,
        width: int | None = None,
        level_width: int | None = None,
        batch_size: int | None = None,
        max_iter: int | None = None,
        n_iter_no_change: int | None = None,
        learning_rate: str | None = None,
        learning_rate_init: float | None = None,
        weight_decay: float | None = None,
        average: float | None = None,
        clip_norm: float | None = None,
        validation_fraction: float | None = None,
        columns: Mapping[str, str] | None = None,
        decimal: str | None = None,
        dates: str | None = None,
        max_time: float | None = None,
        progress: bool = False,
        n_threads: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.loss = loss
        self.calibrate = calibrate
        self.n_members = n_members
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_pieces = n_pieces
        self.width = width
        self.level_width = level_width
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.n_iter_no_change = n_iter_no_change
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.average = average
        self.clip_norm = clip_norm
        self.validation_fraction = validation_fraction
        self.columns = columns
        self.decimal = decimal
        self.dates = dates
        self.max_time = max_time
        self.progress = progress
        self.n_threads = n_threads
        self.random_state = random_state

    def predict(self, X: Any) -> NDArray[np.float64]:
        """The prediction for each row: (n_rows,), or (n_rows, n_levels) of several quantiles."""
        return self._from_average(self._averaged(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R^2, or of other losses D^2."""
        predicted = self.predict(X)
        y = _numbers(_one_for_each_row("y", y, len(predicted)))[:, np.newaxis]
        s = None if sample_weight is None else _check_sample_weight(sample_weight, y)
        if self._loss.name == "squared_error":
            return held_out.r2(predicted[:, np.newaxis], y, s)
        return held_out.d2(self._loss_of_target, predicted.reshape(len(y), -1), y, s)

    @property
    def _loss(self) -> Loss:
        if isinstance(self.loss, Loss):
            return self.loss
        known = (*LOSSES_OF_NUMBERS, "tweedie")
        if self.loss not in known:
            raise ValueError(
                f"loss must be {listed(LOSSES_OF_NUMBERS)}, or one of engine.losses, such as "
                f"Tweedie(power); got {self.loss!r}.{did_you_mean(self.loss, known)}"
            )
        return named(self.loss)

    @property
    def _loss_of_target(self) -> Loss:
        """The loss in units of the target."""
        is_huber = self._loss.row.code == HUBER
        return Huber(self._loss.numbers[0] * self.y_scale_) if is_huber else self._loss

    def _learn_target(self, y: Any, weights: Any) -> NDArray[Any]:
        y = _numbers(y)
        if len(y) and y.min() == y.max():
            raise ValueError(
                f"The target is {y[0]:g} in every row: there is nothing to learn. Pass rows with "
                "other values."
            )
        if len(y) and np.ptp(y) < SMALLEST:
            raise ValueError(
                f"y varies by less than {SMALLEST:g}, too little to be scaled; use another unit."
            )
        self.y_mean_, self.y_scale_ = 0.0, 1.0
        if self._loss.output != "exp":
            self.y_mean_ = float(np.average(y, weights=weights))
            self.y_scale_ = float(np.sqrt(np.average((y - self.y_mean_) ** 2, weights=weights)))
            if not 0 < self.y_scale_ < np.inf:
                self.y_scale_ = 1.0
        return self._targets(y)

    def _targets(self, y: Any) -> NDArray[Any]:
        return ((_numbers(y) - self.y_mean_) / self.y_scale_).astype(np.float32)

    def _strata(self, y: NDArray[Any]) -> None:
        return None

    def _member(self, settings: Mapping[str, Any]) -> MLPRegressor:
        settings = {name: one for name, one in settings.items() if name != "label_smoothing"}
        return MLPRegressor(self._loss, **settings)

    def _outputs_of(self, member: Any, X: NDArray[Any]) -> NDArray[Any]:
        outputs: NDArray[Any] = member.predict(X).astype(np.float64)
        return outputs

    def _output_of_row(self, member: Any, predictor: Any, row: NDArray[Any]) -> Any:
        return predictor.predict(row).astype(np.float64)

    def _from_average(self, mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """Averages in units of the target."""
        found = mean * self.y_scale_ + self.y_mean_
        if self.shifts_ is not None:
            found = self._loss.predictions(found + self.shifts_)
        return found

    def _tune(self, tried: Sequence[tuple[NDArray[Any], Rows]]) -> None:
        self.shifts_ = None
        if self.calibrate and tried and isinstance(self._loss, Quantile):
            outputs = np.concatenate([outputs for outputs, _ in tried])
            y = np.concatenate([rows.y for _, rows in tried])
            s = None
            if tried[0][1].weights is not None:
                s = np.concatenate([rows.weights for _, rows in tried if rows.weights is not None])
            self.shifts_ = self.y_scale_ * shifts_of(self._loss, outputs, y, s)

    def _mean_loss(self, rows: Rows) -> float:
        outputs = self._from_average(self._average(rows.X))
        y = rows.y * self.y_scale_ + self.y_mean_
        weights = rows.weights
        return held_out.mean_cost(
            self._loss_of_target, outputs.reshape(len(y), -1), y[:, np.newaxis], weights
        )


class TableClassifier(ClassifierMixin, TableEstimator):
    """Classes predicted from the columns of a table, as the table comes.

    As `TableRegressor`, with probabilities that are averaged.

    Parameters
    ----------
    class_weight : dict, "balanced" or None, default=None
        How much each class counts: its probability is multiplied by it, and all are divided by
        their sum. "balanced" is the inverse of its share of the rows, so that rare classes are
        found; probabilities are then those of a table with as many rows of each class. Training
        does not change: networks that were trained with such weights predicted worse.
    calibrate : bool, default=True
        Raise probabilities to the power 1 / T that fits validation rows best (T1), if all networks
        have the same ones: your own, or the latest. Else T is 1: the mean of networks that were
        validated on other rows needs none.
    label_smoothing : float, optional
        As of `MLPClassifier`.
    n_members : int, optional
        Networks whose predictions are averaged. This and the parameters down to
        `validation_fraction` have None for what the recipe says for so many rows: `recipe_`.
    hidden_layer_sizes : int or sequence of int, optional
    n_pieces, width, level_width : int, optional
        Pieces of a column of numbers, and numbers that it becomes; numbers that a category becomes,
        at most (docs/embeddings.md).
    batch_size, max_iter, n_iter_no_change : int, optional
        Rows of a step; epochs at most; epochs without a better validation loss before training
        stops.
    learning_rate : "constant" or "cosine", optional
    learning_rate_init, weight_decay, average, clip_norm : float, optional
        Of each network, as of `MLPRegressor`.
    validation_fraction : float, optional
        Share of the rows that each network holds out, and stops by: others for each; at most 0.5.
        The rows are dealt into 1 / share equal parts, a whole number: 0.3 holds a third out. 0
        holds none out; then each network is trained for `max_iter` epochs.
    columns : dict of str to str, optional
        The kind of some columns: "number", "category", "boolean", "date", or "out". All others are
        decided by their values.
    decimal : "comma" or "point", optional
        Decides if all numbers of a column of text fit both.
    dates : "day-first" or "month-first", optional
        Decides if all dates of a column of text fit both.
    max_time : float, optional
        Seconds after which no further step begins.
    progress : bool, default=False
        Show a bar on standard error.
    n_threads : int, optional
        Threads that share the networks; None is as many as pay. The bits do not depend on it.
    random_state : int, RandomState or None, default=None
        Draws the folds, and each network's initial values and shuffles.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    members_ : list of MLPClassifier
        The fitted networks.
    recipe_ : Recipe
        The numbers that were chosen or given.
    encoding_ : TableEncoding
        What each column of the networks' matrix is.
    columns_, left_out_ : list of Column
        The columns that are learnt from, and those that are not, with the reason as their `note`.
    notes_ : list of str
        Remarks on how the table was read.
    n_features_in_, feature_names_in_, n_iter_ : int, ndarray of str, int
    class_weights_ : ndarray (n_classes,) or None
    temperature_ : float
        T of the calibration.

    See Also
    --------
    TableRegressor, MLPClassifier, engine.embeddings

    Notes
    -----
    As of `TableRegressor`. Classes of few rows are in the training rows of all networks.

    Examples
    --------
    >>> from engine import TableClassifier
    >>> table = {"size": [k % 10 for k in range(300)], "shop": ["abc"[k % 3] for k in range(300)]}
    >>> y = ["dear" if k % 10 > 6 or k % 3 == 2 else "cheap" for k in range(300)]
    >>> model = TableClassifier(random_state=0).fit(table, y)
    >>> model.predict({"size": [9, 1], "shop": ["a", None]})
    array(['dear', 'cheap'], dtype='<U5')
    """

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012
        **TableEstimator._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left"), None],
        "calibrate": ["boolean"],
    }
    _task = CLASSIFICATION

    def __init__(
        self,
        *,
        class_weight: Any = None,
        calibrate: bool = True,
        label_smoothing: float | None = None,
        n_members: int | None = None,
        hidden_layer_sizes: Any = None,
        n_pieces: int | None = None,
        width: int | None = None,
        level_width: int | None = None,
        batch_size: int | None = None,
        max_iter: int | None = None,
        n_iter_no_change: int | None = None,
        learning_rate: str | None = None,
        learning_rate_init: float | None = None,
        weight_decay: float | None = None,
        average: float | None = None,
        clip_norm: float | None = None,
        validation_fraction: float | None = None,
        columns: Mapping[str, str] | None = None,
        decimal: str | None = None,
        dates: str | None = None,
        max_time: float | None = None,
        progress: bool = False,
        n_threads: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.class_weight = class_weight
        self.calibrate = calibrate
        self.label_smoothing = label_smoothing
        self.n_members = n_members
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_pieces = n_pieces
        self.width = width
        self.level_width = level_width
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.n_iter_no_change = n_iter_no_change
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.average = average
        self.clip_norm = clip_norm
        self.validation_fraction = validation_fraction
        self.columns = columns
        self.decimal = decimal
        self.dates = dates
        self.max_time = max_time
        self.progress = progress
        self.n_threads = n_threads
        self.random_state = random_state

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each row."""
        return self._from_average(self._averaged(X))

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability (n_rows, n_classes) of each class, in the order of `classes_`."""
        return self._probabilities(self._averaged(X))

    def _probabilities(self, mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """Averages at the temperature of the validation rows, with the weights of classes."""
        p = calibrated(mean, self.temperature_)
        if self.class_weights_ is not None:
            p = p * self.class_weights_
            p /= p.sum(axis=1, keepdims=True)
        return p

    def _from_average(self, mean: NDArray[np.float64]) -> NDArray[Any]:
        """The most probable classes."""
        found: NDArray[Any] = self.classes_[self._probabilities(mean).argmax(axis=1)]
        return found

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy."""
        predicted = self.predict(X)
        right = predicted == _one_for_each_row("y", y, len(predicted))
        s = None if sample_weight is None else _check_sample_weight(sample_weight, predicted)
        return float(np.average(right, weights=s))

    def _learn_target(self, y: Any, weights: Any) -> NDArray[Any]:
        _refuse_what_is_no_label(y)
        # A column that was named as the target may hold any numbers: the user calls them classes.
        is_named = self.target_name_ is not None and y.dtype.kind == "f"
        labels = Labels.of_classes(np.unique(y)) if is_named else Labels(y)
        if len(labels.classes) < 2:
            raise ValueError(
                f"The target is {labels.classes[0].item()!r} in every row: there is nothing to "
                "learn. Pass rows with other classes."
            )
        if len(labels.classes) > max(2, len(y) // 2) and len(labels.classes) == len(y):
            raise ValueError(
                f"The target has {len(labels.classes):,} classes in {len(y):,} rows, and a class "
                "needs several rows to be learnt from. For numbers, use a TableRegressor."
            )
        self._labels = labels
        self.classes_ = labels.classes
        self._weigh_classes(labels, y, weights)
        return self._targets(y)

    def _weigh_classes(self, labels: Labels, y: Any, weights: Any) -> None:
        self.class_weights_ = None
        if self.class_weight is not None:
            found = ClassWeights(self.class_weight, labels, y, weights)
            self.class_weights_ = np.array(found.of_classes, np.float64)
            if not (self.class_weights_ >= 0).all() or not 0 < self.class_weights_.sum() < np.inf:
                raise ValueError(
                    "class_weight must have numbers of 0 or more, one of them above 0; got "
                    f"{self.class_weight!r}."
                )

    def know_classes(self, labels: Labels, of_codes: Labels, codes: NDArray[Any]) -> None:
        """Set what `fit` learns of the target, if rows have codes of the classes already."""
        self._labels, self.classes_ = labels, labels.classes
        self._weigh_classes(of_codes, codes, None)

    def _targets(self, y: Any) -> NDArray[Any]:
        unknown = ~np.isin(y, self.classes_)
        if unknown.any():
            raise ValueError(
                f"y has a class that training had not seen: {np.asarray(y)[unknown].tolist()[0]!r}."
            )
        return self._labels.codes(y)

    def _strata(self, y: NDArray[Any]) -> NDArray[Any]:
        return y

    def _member(self, settings: Mapping[str, Any]) -> MLPClassifier:
        return MLPClassifier(**settings)

    def _outputs_of(self, member: Any, X: NDArray[Any]) -> NDArray[Any]:
        p = member.predict_proba(X).astype(np.float64)
        return aligned(p, member.classes_, np.arange(len(self.classes_)))

    def _output_of_row(self, member: Any, predictor: Any, row: NDArray[Any]) -> Any:
        p = predictor.predict_proba(row)[np.newaxis].astype(np.float64)
        return aligned(p, member.classes_, np.arange(len(self.classes_)))[0]

    def _concerns(self, warning: Warning) -> bool:
        """The networks do not know the weights of classes, which count at prediction."""
        remedy = getattr(getattr(warning, "finding", None), "remedy", "")
        return self.class_weights_ is None or remedy != "weigh the classes"

    def _in_labels(self, warning: Warning) -> Warning:
        finding = getattr(warning, "finding", None)
        if finding is None or "label" not in finding.values:
            return warning
        label = self.classes_[int(finding.values["label"])].item()
        finding = finding._replace(values={**finding.values, "label": label})
        whose, _, _ = str(warning).partition(": ")
        said: Any = type(warning)(f"{whose}: {in_python(finding)}")
        said.finding = finding
        return said  # type: ignore[no-any-return]

    def _tune(self, tried: Sequence[tuple[NDArray[Any], Rows]]) -> None:
        # Of rows that each network holds out for itself, no mean over networks is known.
        self.temperature_ = 1.0
        if self.calibrate and have_same_rows(tried):
            mean = np.mean([outputs for outputs, _ in tried], axis=0)
            self.temperature_ = temperature_of(mean, tried[0][1].y, tried[0][1].weights)

    def _mean_loss(self, rows: Rows) -> float:
        p = self._probabilities(self._average(rows.X))
        own = p[np.arange(len(p)), rows.y]
        losses = -np.log(np.maximum(own, np.finfo(np.float64).tiny))
        return float(np.average(losses, weights=rows.weights))


def _refuse_what_is_no_label(y: NDArray[Any]) -> None:
    """ValueError for missing labels, and for texts among other labels."""
    values = of_values("y", y)
    if values.is_null().any() or (values.dtype.is_float() and values.is_nan().any()):
        raise ValueError(
            "y holds missing labels; leave those rows out, or name the target's column by "
            "target=, which does."
        )
    firsts = {isinstance(label, str): label for label in y} if y.dtype == object else {}
    if len(firsts) > 1:
        raise ValueError(
            f"y mixes texts and other labels, such as {firsts[True]!r} and {firsts[False]!r}: make "
            "them all texts, or all numbers."
        )


def _numbers(y: Any) -> NDArray[np.float64]:
    """y as finite numbers."""
    refuse_dates("y", y)
    try:
        if np.iscomplexobj(y):
            raise TypeError
        numbers = np.asarray(y).astype(np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"y must hold numbers; got {np.asarray(y).dtype}. For classes, use a TableClassifier."
        ) from None
    if not np.isfinite(numbers).all():
        raise ValueError("y must be finite, but holds NaN or infinity; leave those rows out.")
    if len(numbers) and np.abs(numbers).max() > LARGEST:
        raise ValueError(f"y must be at most {LARGEST:g}; use another unit, or mend those rows.")
    return numbers
