"""What TableClassifier and TableRegressor share: from a table to networks, and to predictions.

From a frame to predictions: what each column is (table_description.py), one matrix of numbers
(table_encoding.py), inputs of networks (network_inputs.py), several networks trained side by side
(member_fits.py), and their average.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from engine.boundary.settings import thread_count, whole_number
from engine.estimators import held_out
from engine.estimators.base import BY_LOSS
from engine.estimators.parameters import hidden_sizes
from engine.estimators.pickled_version import PickledVersion
from engine.many.member_messages import say
from engine.many.member_rows import MemberRows
from engine.model_files.table_columns import require_columns
from engine.tables import member_fits
from engine.tables.columns import KINDS_TO_GIVE
from engine.tables.columns_to_mend import notes_of, to_mend
from engine.tables.csv_and_parquet import MISSING
from engine.tables.given_rows import (
    has_names,
    named_columns,
    numbers_of_groups,
    of_rows,
    one_for_each_row,
    rows_of,
)
from engine.tables.given_tables import GivenTable, given_table
from engine.tables.learnt_columns import LearntColumns
from engine.tables.member_fits import TIMES_AS_LONG, MemberFits, Rows
from engine.tables.member_warnings import (
    warning_without_validation,
    warnings_of_end,
    warnings_of_networks,
)
from engine.tables.messages import counted, named_column
from engine.tables.network_inputs import NetworkInputs, give_unknown_levels
from engine.tables.recipe import Recipe, recipe_for
from engine.tables.row_predictor import RowPredictor
from engine.tables.stored_estimator import FITTED, fitted_state, made_up_rows, restore
from engine.tables.table_description import (
    TableDescription,
    TargetColumn,
    described,
    described_target,
)
from engine.tables.validation_rows import LEAST_ROWS, time_values, validation_rows
from engine.training.checkpoint import Checkpoint

# Parameters whose default, None, is what the recipe says.
OF_RECIPE = tuple(Recipe._fields)


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
    def _targets(self, y: Any, argument: str = "y") -> NDArray[Any]:
        """y of other rows as the networks take it; `argument` is what messages call it."""

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
            No network is trained on some rows of a group and validated on others. The name of a
            column takes that column, which is then not learnt from.
        time : array_like (n_rows,) or str, optional
            The latest rows are the validation rows, in the order of these numbers or dates; or the
            name of a column. They choose the number of epochs; then the networks are trained anew
            on all rows for so many. If they contradict the earlier rows, rows drawn at random
            validate, with a warning. A table of fewer than 10 rows has no validation rows.
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
        for argument, given in (("groups", groups), ("time", time)):
            if given is not None and own[0] is not None:
                raise ValueError(
                    f"Pass X_val or {argument}: X_val is the validation rows, and {argument} says "
                    "which rows to take for that."
                )
            if given is not None and self.validation_fraction == 0:
                raise ValueError(
                    f"{argument} says which rows are validation rows, and validation_fraction=0 "
                    "takes none: leave one of them out."
                )
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
        if len(y) < 2:
            raise ValueError(
                f"One row of {len(known):,} counts, as the others have weight 0, and a model needs "
                "several to learn from. Pass weights above 0 for more rows."
            )
        if of_target is not None and hasattr(self, "feature_names_in_"):  # the target is none
            self.feature_names_in_ = np.array(frame.columns, dtype=object)
            self.n_features_in_ = frame.width
        by_name = groups if isinstance(groups, str) else None
        if groups is not None:
            values = of_rows("groups", groups, frame, known)
            frame = frame if by_name is None else frame.drop(by_name)
            groups = numbers_of_groups(values)
        if time is not None:
            values = of_rows("time", time, frame, known)
            time = time_values("time", values, self.decimal, self.dates)
        found = self._described(frame, table, {target: "target", by_name: "column of groups"})
        y = self._learn_target(y, weights)
        notes = [] if of_target is None else of_target.notes
        self._take_columns(
            LearntColumns.of(
                found.columns, found.statistics, found.translation, self._missing(table),
                [*notes, *found.notes, *notes_of(found.columns)],
            ),
            len(y),
        )  # fmt: skip
        X_train = self._inputs_of_translated(found.frame, is_new=False)
        rows = Rows(X_train, y, weights)
        return LearntTable(rows, groups, time, of_target, to_mend(found.columns))

    def _take_columns(self, learnt: LearntColumns, n_rows: int) -> None:
        """Set what follows from the columns, and the recipe for so many training rows."""
        self.encoding_ = learnt.encoding
        self.columns_, self.left_out_ = learnt.used, learnt.left_out
        self.notes_ = learnt.notes
        self.recipe_ = recipe = self._recipe(n_rows)
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
        table = given_table(named_columns(X))
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
            y = one_for_each_row("y", y, frame.height)[known]
            frame = rows_of(frame, known)
        else:
            name = named_column(target, frame.columns, "target")
            frame = rows_of(frame, known)
            of_target = described_target(
                frame.select(name), self._task, self.decimal, self.dates, table.words
            )
            has_target, y = of_target.values(frame)
            frame = rows_of(frame, has_target).drop(name)
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
        frame = given_table(self._given_again(X), called="X_val").frame
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
            y = one_for_each_row("y_val", y, frame.height, "X_val")
        targets = self._targets(y, "y_val")
        return Rows(self.inputs_.of(self.encoding_.encode(frame)), targets, weights)

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

        def parts_by(time: Any) -> list[MemberRows | None]:
            return validation_rows(
                len(rows.y), recipe.n_members, recipe.validation_fraction, seeds[-1],
                classes=self._strata(rows.y), groups=groups, time=time,
            )  # fmt: skip

        parts = [None] * recipe.n_members if validation is not None else parts_by(time)
        has_second_fit = time is not None and any(part is not None for part in parts)
        settings = {**self._settings(recipe), "shuffle": shuffle}

        def member_of(number: int, n_rows: int, early_stopping: bool, checkpoint: Any) -> Any:
            own = {
                "random_state": seeds[number],
                "batch_size": min(recipe.batch_size, n_rows),
                "early_stopping": early_stopping,
                "checkpoint": checkpoint,
            }
            if not early_stopping:  # the loss of training rows says nothing of when to stop
                own["n_iter_no_change"] = recipe.max_iter
            return self._member({**settings, **own})

        n_threads = thread_count(self.n_threads)
        share = 2 if has_second_fit else 1  # of max_time

        def made_by(parts: Sequence[MemberRows | None], n_before: int = 0) -> MemberFits:
            fits = member_fits.fits_of(member_of, rows, validation, parts, checkpoint, n_before)
            if self.max_time is not None:
                member_fits.share_time(fits, float(self.max_time) / share, n_threads)
            return member_fits.fitted(fits, n_threads)

        made = made_by(parts)
        n_made = len(parts)
        if has_second_fit and made.may_be_contradicted:
            epochs = made.best_after
            at_random, n_made = made_by(parts_by(None), n_made), 2 * n_made
            if at_random.best_after > TIMES_AS_LONG * epochs:
                has_second_fit, made = False, at_random._replace(epochs_by_time=epochs)
        made = self._with_unknown_levels(made)
        self.n_validation_rows_ = [0 if one is None else len(one.y) for one in made.validation]
        self._tune(
            [
                (self._outputs_of(member, held.X), held)
                for member, held in zip(made.members, made.validation, strict=True)
                if held is not None
            ]
        )
        if has_second_fit:
            made = member_fits.fitted_again(made, rows, checkpoint, n_threads, n_made)
            made = self._with_unknown_levels(made)
        self.members_ = made.members
        networks = [
            self._in_labels(one) for one in warnings_of_networks(made) if self._concerns(one)
        ]
        found = [*networks, *warnings_of_end(made, self.max_time)]
        n_without = self.n_validation_rows_.count(0)
        may_hold_out = recipe.validation_fraction > 0 and len(rows.y) >= LEAST_ROWS
        if n_without and validation is None and may_hold_out:
            n_members = len(made.members)
            found.append(warning_without_validation(n_without, n_members, recipe.max_iter))
        return found

    def _with_unknown_levels(self, made: MemberFits) -> MemberFits:
        """The networks, in which levels that no training row has are the mean of the others."""
        for member in made.members:
            if hasattr(member, "embeddings_"):
                give_unknown_levels(self.encoding_.columns, member.embeddings_)
        return made

    def _in_labels(self, warning: Warning) -> Warning:
        """A network's warning, with labels in place of the codes of classes."""
        return warning

    def _concerns(self, warning: Warning) -> bool:
        """Whether a network's warning holds for the estimator."""
        return True

    def _recipe(self, n_rows: int) -> Recipe:
        values = ((name, getattr(self, name, None)) for name in OF_RECIPE)
        given: dict[str, Any] = {name: value for name, value in values if value is not None}
        if "hidden_layer_sizes" in given:
            given["hidden_layer_sizes"] = hidden_sizes(given["hidden_layer_sizes"])
        return recipe_for(n_rows)._replace(**given)

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
            "max_time": self.max_time,
            "progress": self.progress,
            "n_threads": 1,
        }

    @property
    def n_iter_(self) -> int:
        """The most epochs that a network was trained for."""
        return max(int(member.n_iter_) for member in self.members_)

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

    def _given_again(self, X: Any) -> Any:
        table = named_columns(X)
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
            y = self._targets(one_for_each_row("y", y, len(inputs)))
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
            As for `fit`. Pass rows that were not trained on: else columns that only help to
            memorise rows seem to count.
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
        y = self._targets(one_for_each_row("y", y, len(X)))
        s = None
        if sample_weight is not None:
            s = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
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
