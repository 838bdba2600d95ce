"""What MLPEnsembleClassifier and MLPEnsembleRegressor share: from data to members, and averages."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from engine.boundary.settings import thread_count
from engine.estimators.held_out import require_together
from engine.estimators.input_validation import validated_inputs, validated_weights
from engine.estimators.pickled_version import PickledVersion
from engine.many.averages import mean_and_std
from engine.many.fits import Fit, fit_all
from engine.many.greedy_selection import Trials, select
from engine.many.member_messages import listed, name_of, raise_first_error, say, warnings_of
from engine.many.member_rows import MemberRows, bootstrap, folds, held_out, rows_of

SEEDS, BAGGING, FOLDS, GREEDY = "seeds", "bagging", "folds", "greedy"
# What all members have in common: what is minimised, and what the ensemble sets.
NOT_OF_CANDIDATES = ("random_state", "loss", "class_weight", "checkpoint", "embeddings")

# Checked rows: X, y and weights, or None.
Rows = tuple[Any, Any, Any]


class Ensemble(PickledVersion, BaseEstimator, ABC):
    """Several networks, whose predictions are averaged."""

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012  # scikit-learn's convention
        "estimator": [HasMethods(["fit", "predict"]), None],
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "kind": [StrOptions({SEEDS, BAGGING, FOLDS, GREEDY})],
        "cv": ["cv_object"],
        "candidates": ["array-like", None],
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
    }
    _member_type: type
    _outputs_are: str  # what is averaged, in names of attributes
    members_: list[Any]

    def __init__(
        self,
        n_members: int = 8,
        kind: str = SEEDS,
        *,
        estimator: Any = None,
        cv: Any = None,
        candidates: Any = None,
        n_rounds: int = 32,
        validation_fraction: float = 0.2,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_members = n_members
        self.kind = kind
        self.estimator = estimator
        self.cv = cv
        self.candidates = candidates
        self.n_rounds = n_rounds
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.n_threads = n_threads

    # What the classifier and the regressor define.

    @abstractmethod
    def _checked(self, X: Any, y: Any, *, reset: bool) -> tuple[Any, Any]:
        """Checked X and y; with `reset`, features and classes are learnt."""

    @abstractmethod
    def _strata(self, y: Any) -> NDArray[Any] | None:
        """Class numbers (m,) whose shares each part of the rows should have, or None."""

    @abstractmethod
    def _outputs_of(self, member: Any, X: Any) -> NDArray[Any]:
        """What is averaged: predictions or probabilities of a member for checked rows."""

    @abstractmethod
    def _score_of(self, outputs: NDArray[Any], rows: Rows) -> float:
        """The score of averages for rows, of which y and weights count."""

    @abstractmethod
    def _trials(self, outputs: NDArray[np.float64], rows: Rows) -> Callable[[], Trials]:
        """What makes the trials of the greedy selection, from outputs (K, m, n_L) for rows."""

    # From data to members.

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train all members.

        Parameters
        ----------
        X : array_like or sparse matrix (n_samples, n_features)
            float32 is trained in float32, all else in float64. All members of "seeds" share it.
        y : array_like (n_samples,) or (n_samples, n_outputs)
            As the members take it.
        sample_weight : array_like (n_samples,), optional
            Not negative. They count in training and in all scores.
        X_val, y_val, sample_weight_val : array_like, optional
            Your own validation rows: of the greedy selection, which else holds rows out, and of
            each member, as in its own `fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For parameters or data that are refused. If a member fails, its exception, with a note
            that names all members that failed; the ensemble is then as it was before.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning, engine.TrainingWarning
            What members warn of: each kind once, with the numbers of its members.
        """
        before = dict(vars(self))
        try:
            found = self._fit(X, y, sample_weight, X_val, y_val, sample_weight_val)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        # Last: a warning may be raised as an error, which must lose nothing. At the line that
        # called fit, which is outside of scikit-learn's decorator.
        say(found, stacklevel=3)
        return self

    def _fit(
        self, X: Any, y: Any, weights: Any, X_val: Any, y_val: Any, weights_val: Any
    ) -> list[Warning]:
        """Train the members, and compute what the kind gives; returns the warnings to give."""
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)  # of another kind
        X, y = self._checked(X, y, reset=True)
        rows = X, y, validated_weights(weights, X)
        validation = self._own_validation_rows(X_val, y_val, weights_val)
        members, parts = self._unfitted(rows, validation is not None)
        if validation is None and self.kind == GREEDY:
            validation = _taken(rows, parts[0].left_out)
        taken = {id(part): _taken(rows, part.trained) for part in parts}  # shared by equal parts
        of_members = [taken[id(part)] for part in parts] or [rows] * len(members)
        own = () if validation is None else validation
        fits = [Fit(m, *of_m, *own) for m, of_m in zip(members, of_members, strict=True)]
        outcomes = fit_all(fits, thread_count(self.n_threads))
        raise_first_error(outcomes, "member", "The ensemble is as it was before.")
        self.members_ = members
        self.member_rows_ = [part.trained for part in parts] or None
        self._counts = np.ones(len(members), np.int64)
        if self.kind == GREEDY:
            self._select(own)
        elif parts:
            self._try_on_rows_left_out(rows, parts)
        return warnings_of(outcomes, "member")

    def _own_validation_rows(self, X: Any, y: Any, weights: Any) -> Rows | None:
        """The user's own validation rows, checked; or None."""
        require_together(X, y, weights)
        if X is None:
            return None
        X, y = self._checked(X, y, reset=False)
        return X, y, validated_weights(weights, X)

    def _unfitted(self, rows: Rows, own: bool) -> tuple[list[Any], list[MemberRows]]:
        """The members before their fits, and the rows of each; no rows stands for all of them."""
        X, y, _ = rows
        candidates = self._checked_candidates()
        generator = check_random_state(self.random_state)
        (split_seed,) = _seeds(generator, 1)
        parts: list[MemberRows] = []
        if self.kind == FOLDS:
            parts = folds(self.cv, self.n_members, X, y, self._strata(y), split_seed)
            candidates = [{}] * len(parts)
        seeds = _seeds(generator, len(candidates))
        if self.kind == BAGGING:
            parts = [bootstrap(X.shape[0], seed) for seed in seeds]
        if self.kind == GREEDY and not own:
            fraction = self.validation_fraction
            parts = [held_out(X.shape[0], fraction, self._strata(y), split_seed)] * len(seeds)
        self.seeds_ = np.array(seeds)
        members = []
        for number, one in enumerate(zip(candidates, seeds, strict=True)):
            try:
                members.append(self._member(*one))
            except ValueError as error:
                if self.candidates is not None:
                    which = listed([number], len(candidates), "candidate")
                    error.add_note(f"{which} has it; candidates name parameters of the network.")
                raise
        return members, parts

    def _checked_candidates(self) -> list[dict[str, Any]]:
        """Parameters of each candidate; of an ensemble that does not select, none for each."""
        if self.candidates is None:
            return [{}] * self.n_members
        if self.kind != GREEDY:
            raise ValueError(
                f"candidates are for kind='greedy', which selects among them; got kind="
                f"{self.kind!r}."
            )
        candidates = list(self.candidates)
        if not candidates or not all(isinstance(one, dict) for one in candidates):
            raise ValueError(
                "candidates must be a list of dicts, the parameters of each candidate, such as "
                f"[{{'alpha': 0.1}}, {{'alpha': 1}}]; got {self.candidates!r:.80}."
            )
        for name in NOT_OF_CANDIDATES:
            if any(name in one for one in candidates):
                raise ValueError(
                    f"candidates share {name}, so it cannot be a parameter of one of them; set it "
                    "for the estimator, or random_state for the ensemble."
                )
        return candidates

    def _member(self, parameters: dict[str, Any], seed: int) -> Any:
        """A member before its fit."""
        own = self._member_type.__name__
        if self.estimator is not None and not isinstance(self.estimator, self._member_type):
            raise TypeError(
                f"estimator must be an {own}, or None for one with default parameters; got "
                f"{name_of(self.estimator)}. Steps before the network go before the ensemble: "
                f"make_pipeline(StandardScaler(), {type(self).__name__}(...))."
            )
        member = self._member_type() if self.estimator is None else clone(self.estimator)
        if member.checkpoint is not None:
            raise ValueError(
                "A checkpoint is of one fit, and the members would overwrite each other's: leave "
                "the checkpoint of the estimator out."
            )
        member.set_params(**parameters, random_state=seed)
        member._validate_params()
        return member

    # What only some kinds have.

    def _try_on_rows_left_out(self, rows: Rows, parts: list[MemberRows]) -> None:
        """Predict each row by the members that have not seen it, and set what that gives."""
        found: list[NDArray[Any]] = []
        scores = []
        for member, part in zip(self.members_, parts, strict=True):
            X, *others = _taken(rows, part.left_out)
            found.append(self._outputs_of(member, X) if X.shape[0] else np.empty(0))
            if self.kind == FOLDS:
                scores.append(self._score_if_any(found[-1], (X, *others)))
        shape = next((one.shape[1:] for one in found if len(one)), ())
        total, times = np.zeros((rows[0].shape[0], *shape)), np.zeros(rows[0].shape[0], np.int64)
        for outputs, part in zip(found, parts, strict=True):
            if len(outputs):
                total[part.left_out] += outputs
                times[part.left_out] += 1
        with np.errstate(invalid="ignore"):  # a row that all members have seen has none: 0 / 0
            mean = (total.T / times).T.astype(np.result_type(*found))
        seen = np.flatnonzero(times)
        score = self._score_if_any(mean[seen], _taken(rows, seen))
        if self.kind == FOLDS:
            self.fold_scores_ = np.array(scores)
        prefix = "oob" if self.kind == BAGGING else "out_of_fold"
        setattr(self, f"{prefix}_{self._outputs_are}_", mean)
        setattr(self, f"{prefix}_score_", score)

    def _score_if_any(self, outputs: NDArray[Any], rows: Rows) -> float:
        """The score of averages for rows; NaN if there are none, or none with a weight."""
        *_, weights = rows
        counts = len(outputs) > 0 and (weights is None or bool(np.any(weights > 0)))
        return self._score_of(outputs, rows) if counts else float("nan")

    def _select(self, rows: Any) -> None:
        """Select members by their loss on validation rows, and set what that gives."""
        outputs = [self._outputs_of(member, rows[0]) for member in self.members_]
        stacked = np.array(outputs, np.float64).reshape(len(outputs), rows[0].shape[0], -1)
        selection = select(self._trials(stacked, rows), self.n_rounds)
        self.selected_ = np.array(selection.selected)
        self.validation_curve_ = np.array(selection.curve)
        self._counts = np.bincount(self.selected_, minlength=len(outputs))
        mean, _ = mean_and_std(outputs, self._counts.tolist())
        self.validation_score_ = self._score_of(mean, rows)

    # Prediction.

    @property
    def weights_(self) -> NDArray[np.float64]:
        """(n_members,): the share of each member in the averages."""
        check_is_fitted(self)
        weights: NDArray[np.float64] = self._counts / self._counts.sum()
        return weights

    @property
    def embeddings(self) -> Any:
        """Those of the members: what the rows of the ensemble may hold."""
        return getattr(self.estimator, "embeddings", None)

    def _counted(self) -> tuple[list[Any], list[int]]:
        """The members that count, and how many times each does."""
        check_is_fitted(self)
        numbers = np.flatnonzero(self._counts)
        return [self.members_[k] for k in numbers], self._counts[numbers].tolist()

    def _averaged(self, X: Any, with_std: bool = False) -> tuple[Any, Any]:
        """Mean, and standard deviation or None, over the members."""
        members, counts = self._counted()
        X = validated_inputs(self, X, members[0]._dtype)
        outputs = [self._outputs_of(member, X) for member in members]
        return mean_and_std(outputs, counts, with_std=with_std)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _seeds(generator: np.random.RandomState, n: int) -> list[int]:
    """Seeds as scikit-learn draws them for parts of an estimator."""
    return [int(seed) for seed in generator.randint(np.iinfo(np.int32).max, size=n)]


def _taken(rows: Rows, numbers: NDArray[Any]) -> Rows:
    X, y, weights = rows
    return rows_of(X, numbers), rows_of(y, numbers), rows_of(weights, numbers)
