"""MLPEnsembleClassifier and MLPEnsembleRegressor."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import r2_score

from engine.equations.losses import COMPILED, SQUARED_ERROR
from engine.estimators import held_out
from engine.estimators.base import with_function
from engine.estimators.classifier import MLPClassifier
from engine.estimators.input_validation import validated, validated_weights
from engine.estimators.labels import MULTILABEL, Labels
from engine.estimators.regressor import SCORED_BY_R2, MLPRegressor
from engine.losses import Loss
from engine.many.averages import RowEnsembleClassifier, RowEnsembleRegressor, aligned, decoded
from engine.many.ensemble_base import Ensemble, Rows
from engine.many.greedy_selection import MeanTrials, SquaredErrorTrials, Trials


class MLPEnsembleRegressor(RegressorMixin, Ensemble):
    """Several networks whose predictions are averaged.

    An ensemble is usually better than one of its members, and the spread of the members shows where
    they are unsure. All members are trained by one call, side by side.

    Parameters
    ----------
    n_members : int, default=8
        Networks to train. Of "folds" with a `cv`, and of "greedy" with `candidates`, their number
        counts instead.
    kind : "seeds", "bagging", "folds" or "greedy", default="seeds"
        "seeds": each member is trained on all rows, from other random numbers. "bagging": each on
        as many rows, drawn with replacement; rows that a member has not drawn give `oob_score_`.
        "folds": each on the training rows of another fold of a cross-validation; the other rows
        give `out_of_fold_score_`. "greedy": all on the same rows; then members are added to the
        average one after the other, each time the one with which the loss of validation rows is
        lowest, and a member may be added again.
    estimator : MLPRegressor or None, default=None
        The members are clones of it, with other seeds; None is ``MLPRegressor()``.
    cv : int, splitter, iterable of splits or None, default=None
        For "folds". None is `n_members` folds; folds given by number are shuffled.
    candidates : list of dict or None, default=None
        For "greedy": parameters that are set on `estimator`, a dict for each network. None is
        `n_members` networks that differ by their seeds.
    n_rounds : int, default=32
        For "greedy": how many times a member is added, at most.
    validation_fraction : float, default=0.2
        For "greedy": share of the rows that is held out, unless `fit` is given `X_val`.
    random_state : int, RandomState or None, default=None
        For the seeds of the members, and for which rows each member gets. The estimator's own
        `random_state` is ignored.
    n_threads : int or None, default=None
        Threads that share the members; None uses all cores, or one if the fits are short. Bits do
        not depend on it.

    Attributes
    ----------
    members_ : list of MLPRegressor
        Each as its own fit leaves it (Notes).
    seeds_ : ndarray (n_members,)
        The `random_state` of each member.
    member_rows_ : list of ndarray, or None
        The numbers of the rows that each member was trained on; None if all rows.
    weights_ : ndarray (n_members,)
        The share of each member in the average: equal, except after "greedy".
    oob_prediction_, oob_score_ : ndarray like y, float
        Of "bagging": the mean prediction for each row by the members that have not drawn it (NaN if
        all have), and its `score`.
    out_of_fold_prediction_, out_of_fold_score_, fold_scores_ : ndarray, float, ndarray (n_folds,)
        Of "folds": the same, and the score of each member on its own test rows.
    selected_, validation_curve_ : ndarray
        Of "greedy": the numbers of the members in the order in which they were added, up to the
        round with the lowest loss; and the loss of the validation rows after each of all rounds.
    validation_score_ : float
        Of "greedy": the score of the ensemble on the validation rows. It is optimistic, as these
        rows have selected the ensemble.
    n_features_in_, feature_names_in_, n_outputs_ : int, ndarray of str, int

    See Also
    --------
    MLPEnsembleClassifier, MLPRegressor

    Notes
    -----
    **A member alone.** Member k has the bits of ``clone(estimator).set_params(**candidates[k],
    random_state=seeds_[k]).fit(X[member_rows_[k]], y[member_rows_[k]])``, with the same share of
    `sample_weight`, and with the validation rows of the ensemble, if there are any, as `X_val` and
    `y_val`. The first members of a larger ensemble have the seeds of a smaller one. Members know no
    feature names: they are trained on arrays.

    Cost: the fits of the members; bagging and folds copy the rows of each. docs/ensembles.md shows
    what each kind gives.

    Sources: Breiman 1996, "Bagging predictors", Machine Learning 24; Caruana et al. 2004, "Ensemble
    selection from libraries of models", ICML, sections 2 to 2.2; Lakshminarayanan et al. 2017,
    "Simple and scalable predictive uncertainty estimation using deep ensembles", NeurIPS, section
    2.4.

    Examples
    --------
    >>> from engine import MLPEnsembleRegressor, MLPRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> X, y = load_diabetes(return_X_y=True)
    >>> network = MLPRegressor(hidden_layer_sizes=5, solver="lbfgs", alpha=10, max_iter=1000)
    >>> ensemble = MLPEnsembleRegressor(4, "bagging", estimator=network, random_state=0)
    >>> ensemble.fit(scale(X), scale(y)).oob_score_ > 0.4
    True
    >>> mean, std = ensemble.predict(scale(X)[:2], return_std=True)
    >>> mean.shape, std.shape
    ((2,), (2,))
    """

    _member_type = MLPRegressor
    _outputs_are = "prediction"

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """The mean of the members' predictions, weighted by `weights_`.

        Parameters
        ----------
        X : array_like or sparse matrix (n_samples, n_features)
        return_std : bool, default=False
            Whether to return the standard deviation over the members as well.

        Returns
        -------
        y : ndarray (n_samples,), or (n_samples, n_outputs)
            Of several quantiles the mean of each level, in order.
        std : ndarray, like y
            sqrt(sum_k w_k (y_k - y)^2), with w = `weights_`: of the members as a population, not
            as a sample. It is the spread of the networks, and knows nothing of the noise in y; one
            member has none.

        Notes
        -----
        The cost of the members' predictions, which are in memory at the same time.
        """
        mean, std = self._averaged(X, return_std)
        return (mean, std) if return_std else mean

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """How good the mean predictions are: R^2, D^2 or minus the loss, as of `MLPRegressor`.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        score : float
        """
        predicted = self.predict(X)
        X, y = self._checked(X, y, reset=False)
        return self._score_of(predicted, (X, y, validated_weights(sample_weight, X)))

    def predictor(self) -> RowEnsembleRegressor:
        """The fitted ensemble for one row at a time, in microseconds a member.

        Returns
        -------
        RowEnsembleRegressor
            Its `predict(row, return_std=False)` takes one row (n_features,), and gives the bits
            that this ensemble gives for it. It is a copy: later training does not change it.
        """
        members, counts = self._counted()
        return RowEnsembleRegressor([member.predictor() for member in members], counts)

    @property
    def n_outputs_(self) -> int:
        """How many numbers are predicted for a row."""
        return int(self.members_[0].n_outputs_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        member = MLPRegressor() if self.estimator is None else self.estimator
        if isinstance(member, MLPRegressor):
            tags.target_tags.positive_only = member.__sklearn_tags__().target_tags.positive_only
        return tags

    # What the base class calls.

    def _checked(self, X: Any, y: Any, *, reset: bool) -> tuple[Any, Any]:
        return validated(self, X, y, reset=reset, y_numeric=True)

    def _strata(self, y: Any) -> None:
        return None

    def _outputs_of(self, member: Any, X: Any) -> NDArray[Any]:
        predictions: NDArray[Any] = member.predict(X)
        return predictions

    @property
    def _loss(self) -> Loss:
        """The loss of the members, with its function, if it is one of the user's own."""
        member = self.members_[0]
        chosen = None if self.estimator is None else self.estimator._chosen_loss
        return with_function(member._network, chosen).loss

    def _targets(self, rows: Rows) -> tuple[NDArray[Any], Any]:
        """y (m, n_targets) and weights, with targets that the loss takes."""
        member = self.members_[0]
        found = member._rows_for(self._loss, *rows, reset=False)
        member._require_outputs(found, ("y", "the y of fit"))
        return found.targets, found.weights

    def _score_of(self, outputs: NDArray[Any], rows: Rows) -> float:
        loss = self._loss
        if loss.row.code in SCORED_BY_R2:
            return float(r2_score(rows[1], outputs, sample_weight=rows[2]))
        targets, weights = self._targets(rows)
        outputs = outputs.reshape(len(targets), -1)
        if loss.row.code == COMPILED:
            return -held_out.mean_cost(loss, outputs, targets, weights)
        if len(targets) < held_out.LEAST_FOR_R2:
            message = "D^2 score is not well-defined with less than two samples."
            warnings.warn(message, UndefinedMetricWarning, stacklevel=3)
        return held_out.d2(loss, outputs, targets, weights)

    def _trials(self, outputs: NDArray[np.float64], rows: Rows) -> Callable[[], Trials]:
        targets, weights = self._targets(rows)
        if self._loss.row.code == SQUARED_ERROR:
            return partial(SquaredErrorTrials, outputs - targets, weights)
        mean_cost = held_out.mean_cost
        return partial(MeanTrials, outputs, lambda A: mean_cost(self._loss, A, targets, weights))


class MLPEnsembleClassifier(ClassifierMixin, Ensemble):
    """Several networks whose probabilities are averaged.

    An ensemble is usually better than one of its members, and its probabilities are less extreme
    where the members disagree. All members are trained by one call, side by side.

    Parameters
    ----------
    n_members, kind, candidates, n_rounds, validation_fraction, random_state, n_threads
        As of `MLPEnsembleRegressor`. "greedy" selects by cross-entropy. Its held-out rows and
        folds given by number have the same share of each class, if each row has one class.
    estimator : MLPClassifier or None, default=None
        The members are clones of it, with other seeds; None is ``MLPClassifier()``.
    cv : int, splitter, iterable of splits or None, default=None
        For "folds". None is `n_members` folds; folds given by number are shuffled and stratified.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
        A class that is in none of a member's rows has probability 0 by that member.
    members_ : list of MLPClassifier
        Each as its own fit leaves it.
    seeds_, member_rows_, weights_, selected_, validation_curve_, validation_score_, fold_scores_
        As of `MLPEnsembleRegressor`, with accuracy for scores, and cross-entropy for losses.
    oob_decision_function_, oob_score_ : ndarray (n_samples, n_classes), float
        Of "bagging": mean probabilities by the members that have not drawn the row (NaN if all
        have), and their accuracy.
    out_of_fold_decision_function_, out_of_fold_score_ : ndarray (n_samples, n_classes), float
        Of "folds": the same.
    n_features_in_, feature_names_in_ : int, ndarray of str

    See Also
    --------
    MLPEnsembleRegressor, MLPClassifier

    Notes
    -----
    How to make a member alone, costs and sources: see `MLPEnsembleRegressor`.

    Examples
    --------
    >>> from engine import MLPClassifier, MLPEnsembleClassifier
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import scale
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier(8, solver="lbfgs", alpha=1, max_iter=1000)
    >>> ensemble = MLPEnsembleClassifier(3, "folds", estimator=network, random_state=0)
    >>> ensemble.fit(scale(X), y).out_of_fold_score_ > 0.9
    True
    """

    _member_type = MLPClassifier
    _outputs_are = "decision_function"

    def predict(self, X: Any) -> Any:
        """The label with the highest mean probability, for each row.

        Parameters
        ----------
        X : array_like or sparse matrix (n_samples, n_features)

        Returns
        -------
        y : ndarray (n_samples,), or (n_samples, n_labels) of 0 and 1
        """
        return decoded(self._averaged(X)[0], self._labels)

    def predict_proba(self, X: Any, return_std: bool = False) -> Any:
        """The mean of the members' probabilities of each class, weighted by `weights_`.

        Parameters
        ----------
        X : array_like or sparse matrix (n_samples, n_features)
        return_std : bool, default=False
            Whether to return the standard deviation over the members as well.

        Returns
        -------
        p : ndarray (n_samples, n_classes)
            Columns as in `classes_`; for several labels the probability of each.
        std : ndarray (n_samples, n_classes)
            sqrt(sum_k w_k (p_k - p)^2), with w = `weights_`: of the members as a population.
        """
        mean, std = self._averaged(X, return_std)
        return (mean, std) if return_std else mean

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """The logarithm of `predict_proba`, -inf for a probability of 0; X and shape as there."""
        with np.errstate(divide="ignore"):  # log 0 is -inf
            logarithms: NDArray[Any] = np.log(self.predict_proba(X))
        return logarithms

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy of `predict`; parameters and result as of `MLPClassifier.score`."""
        return held_out.accuracy_of(y, self.predict(X), sample_weight)

    def predictor(self) -> RowEnsembleClassifier:
        """The fitted ensemble for one row at a time, in microseconds a member.

        Returns
        -------
        RowEnsembleClassifier
            Its `predict_proba(row, return_std=False)` and `predict(row)` take one row
            (n_features,), and give the bits that this ensemble gives for it. It is a copy: later
            training does not change it.
        """
        members, counts = self._counted()
        rows = [member.predictor() for member in members]
        known = [member.classes_ for member in members]
        return RowEnsembleClassifier(rows, counts, self._labels, known)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    # What the base class calls.

    def _checked(self, X: Any, y: Any, *, reset: bool) -> tuple[Any, Any]:
        X, y = validated(self, X, y, reset=reset)
        if reset:
            self._labels = Labels(y)
            self.classes_ = self._labels.classes
        return X, y

    def _strata(self, y: Any) -> NDArray[Any] | None:
        return None if self._labels.kind == MULTILABEL else self._labels.codes(y)

    def _outputs_of(self, member: Any, X: Any) -> NDArray[Any]:
        return aligned(member.predict_proba(X), member.classes_, self.classes_)

    def _score_of(self, outputs: NDArray[Any], rows: Rows) -> float:
        _, y, weights = rows
        if self._labels.kind == MULTILABEL:
            return held_out.accuracy(outputs > 0.5, self._labels.indicators(y), weights)
        return held_out.accuracy(self.classes_[outputs.argmax(axis=1)], y, weights)

    def _trials(self, outputs: NDArray[np.float64], rows: Rows) -> Callable[[], Trials]:
        _, y, weights = rows
        of_classes = vars(self.members_[0]).get("_class_weights")
        if of_classes is not None:
            weights = of_classes.of_samples(y) * (1 if weights is None else weights)
        Y = self._labels.targets(y)
        if self._labels.kind != MULTILABEL:
            Y = np.eye(len(self.classes_), dtype=bool)[self._labels.codes(y)]
        eps = np.finfo(self.members_[0]._dtype).eps
        s = np.ones(len(Y)) if weights is None else weights
        several = self._labels.kind == MULTILABEL

        def cross_entropy(p: NDArray[np.float64]) -> float:
            p = np.clip(p, eps, 1 - eps)  # as sklearn.metrics.log_loss: an error may be certain
            costs = -np.log(np.where(Y, p, 1 - p) if several else p[Y, None]).sum(axis=1)
            return float(s @ costs / s.sum())

        return partial(MeanTrials, outputs, cross_entropy)
