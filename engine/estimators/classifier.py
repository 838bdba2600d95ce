"""MLPClassifier."""

from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    type_of_target,
    unique_labels,
)
from sklearn.utils.validation import check_is_fitted

from engine.boundary import update_settings
from engine.estimators import held_out, parameters
from engine.estimators.base import MultilayerPerceptron
from engine.estimators.class_weights import ClassWeights
from engine.estimators.findings import Finding
from engine.estimators.input_validation import Rows, validated, validated_weights
from engine.estimators.labels import BINARY, MULTICLASS, MULTILABEL, Labels
from engine.estimators.learner import ClassifierLearner
from engine.estimators.prediction_diagnosis import (
    MOST_FEATURES,
    hardly_ever_predicted,
    rare_classes,
)
from engine.estimators.predictor import RowClassifier
from engine.estimators.prepared_rows import with_prepared_rows
from engine.sums.objective import Objective
from engine.sums.samples import Layers


class MLPClassifier(ClassifierMixin, MultilayerPerceptron):
    """A neural network that classifies: scikit-learn's `MLPClassifier`, faster.

    It minimises the cross-entropy of a softmax output over classes (equation L2), or of a sigmoid
    output (L1) for two classes or, one each, for several labels. Parameters, attributes, warnings,
    errors and numbers are scikit-learn 1.9's: for the same `random_state` the losses, coefficients
    and predictions are equal to rounding.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; () for none.
    activation : str or sequence of str, default="relu"
        Hidden units, "identity", "logistic", "tanh" or "relu": one name for all hidden layers, or
        one for each.
    solver : "adam", "sgd", "lm", "lbfgs" or "gd", default="adam"
        Adam (equations U4, U5) or stochastic gradient descent (U1 to U3) on minibatches; or, on all
        rows at once, Levenberg-Marquardt (N1 to N5), SciPy's L-BFGS-B or plain gradient descent
        (U1). "lm" is the fastest on networks of up to a few hundred parameters; it trains in
        float64, also on float32 data. Use smooth hidden units with it, such as tanh: at the kinks
        of relu it can stop early.
    alpha : float or "evidence", default=0.0001
        Strength of the L2 penalty on the weights; it is divided by the number of rows of a step, or
        the sum of their weights (L6). "evidence", with "lm" alone, takes the alpha for which the
        targets are most probable (Bayesian regularisation, N6).
    batch_size : int or "auto", default="auto"
        Rows of a step of "adam" and "sgd"; "auto" is min(200, n_samples).
    learning_rate : "constant", "invscaling", "adaptive" or "cosine", default="constant"
        The learning rate of "sgd": constant; divided by (rows seen + 1)^power_t after each epoch
        (U6); or divided by 5 whenever `n_iter_no_change` epochs in a row have not improved (U7).
        "cosine", also for "adam": falling with each step to 0 after `max_iter` epochs (U11). Each
        fit has a cosine of its own, also with `warm_start`; `partial_fit` refuses it.
    learning_rate_init : float, default=0.001
        The learning rate of "adam" and "gd", and the initial one of "sgd".
    power_t : float, default=0.5
        For "invscaling".
    max_iter : int, default=200
        Epochs of "adam" and "sgd", iterations of "lm", "lbfgs" and "gd", at most.
    shuffle : bool or "blocks", default=True
        Take the rows in a new random order in each epoch of "adam" and "sgd". "blocks" shuffles
        blocks of consecutive rows, and the rows of 256 blocks at a time among themselves: for X
        that is read from a disk (docs/larger-than-memory.md).
    random_state : int, RandomState or None, default=None
        For the initial parameters, the split for early stopping, and the shuffles. They draw the
        same numbers as scikit-learn.
    tol : float, default=1e-4
        "adam", "sgd" and "gd" stop, or divide an adaptive rate, when the training loss (with early
        stopping the score) has not improved by it for more than `n_iter_no_change` epochs in a row;
        "lbfgs" stops when no entry of the gradient is larger.
    verbose : bool or int, default=False
        Print the loss of each epoch.
    warm_start : bool, default=False
        Continue from the last fit, as `continuation` says.
    momentum : float, default=0.9
        Share of the velocity that "sgd" keeps in each step.
    nesterovs_momentum : bool, default=True
        Whether that momentum is Nesterov's.
    early_stopping : bool, default=False
        Hold validation rows out (or use `X_val`), stop when their score no longer improves, and
        keep the parameters with the best score. For "adam", "sgd", "gd" and "lm".
    validation_fraction : float, default=0.1
        Share of the rows that early stopping holds out. Rows of weight 0 are left out first.
    beta_1, beta_2 : float, default=0.9, 0.999
        Shares of its first and second moment that Adam keeps in each step.
    epsilon : float, default=1e-8
        Adam's; outside the bias correction.
    n_iter_no_change : int or inf, default=10
        Epochs in a row without improvement that are allowed. One more stops the fit, as in
        scikit-learn.
    max_fun : int, default=15000
        The most evaluations of the loss by "lbfgs".
    backend : "tiled", "loops", "numpy" or None, default=None
        Which form of the equations computes; None is the fastest, "tiled".
    n_threads : int or None, default=None
        Threads that share a step: its rows, if it has more than 1024, else the units of its layers.
        None uses as many as pay. The bits of the results do not depend on it.
    class_weight : dict, "balanced", list of dicts or None, default=None
        Weights of the classes, which multiply those of the samples. "balanced" gives each class the
        same total weight. They also count in the score of early stopping.
    progress : bool, default=False
        Show a bar with loss and time left on standard error.
    max_time : float or None, default=None
        Seconds after which no further step begins.
    scoring : str, callable or None, default=None
        The score of early stopping, as in `sklearn.model_selection.cross_val_score`; one of your
        own must take `sample_weight` if there are weights. None is
        accuracy.
    checkpoint : Checkpoint or path, default=None
        A file that `fit` is saved to, every 30 seconds or as the `engine.Checkpoint` says. If a fit
        was stopped at any moment, the same call with the same data and parameters resumes it, and
        it ends with the same bits. If it had ended, the same call gives its result again. The file
        of another fit, such as another fold of a cross-validation, raises an
        `engine.CheckpointError`. `partial_fit` ignores it.
    continuation : "exact" or "sklearn", default="exact"
        What `warm_start` and `partial_fit` continue from. "exact": from all that the last call
        ended with, including optimiser, generator and order of the rows, so that n and then m
        epochs have the bits of n + m at once. "sklearn": from the parameters, with a new generator
        of `random_state` and, for `warm_start`, a new optimiser. With early stopping both do the
        latter, with the same split of the rows in each fit; if no epoch of a refit beats the best
        score so far, "exact" keeps the parameters of that score, "sklearn" those of the last epoch.
    weight_decay : float, default=0.0
        lambda: each step of "adam" also takes the share eta lambda off the weights, not off the
        intercepts (AdamW, U8). `alpha` stays in the gradient: pass alpha=0 for AdamW alone.
    average : float or None, default=None
        d, above 0 and below 1: `coefs_`, predictions, scores and early stopping have an average of
        the parameters, which keeps the share d in each step of "adam", "sgd" or "gd" (U9). Training
        goes on from the parameters of the last step, also with `warm_start` and `partial_fit`
        unless `coefs_` were changed.
    clip_norm : float or None, default=None
        c: a gradient of "adam", "sgd" or "gd" that is longer is shortened to c (U10).
    label_smoothing : float, default=0.0
        e, at least 0 and below 1: training takes (1 - e) y + e / K for the labels, with K classes,
        2 for each of several labels (L16). `loss_` is of these; scores and the loss of validation
        rows are of the labels as they are.
    embeddings : list of engine.embeddings.Pieces, Levels or None, optional
        For each feature how it becomes several numbers, learnt with the weights: a number in
        pieces, which may be NaN if the pieces say so, or a code of a category. None takes a feature
        as it is. See docs/embeddings.md.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    coefs_, intercepts_ : list of ndarray
        Of each layer: weights (inputs, units) and intercepts (units,), float32 or float64 as X.
        You may change or replace them: predictions and further fits use what they hold.
    embeddings_ : list
        Only with `embeddings`: the parameters of each, as `Network.embedding_views` has them.
    loss_ : float
        Of the last epoch: the mean over its batches, each before its step, penalty included. Of
        "lbfgs" and "lm": at the end.
    loss_curve_ : list of float
        `loss_` of each epoch, or iteration.
    best_loss_ : float or None
        The lowest; None with early stopping.
    validation_loss_curve_ : list of float or None
        Loss of the validation rows after each epoch, without penalty; None if no fit had such rows.
    validation_scores_, best_validation_score_ : list of float, float; or None
        Of early stopping.
    n_iter_, t_ : int
        Epochs, or iterations, of the last fit; rows seen in all.
    n_layers_, n_outputs_, out_activation_ : int, int, str
    n_features_in_, feature_names_in_ : int, ndarray of str
    n_threads_, plan_ : int, Plan
        What was chosen for the fit, and why.
    fingerprint_ : str
        SHA-256 of the parameters: the same for the same bits.
    alpha_, effective_parameters_, log_evidence_ : float
        Only after a fit with ``alpha="evidence"``: the strength of the penalty that it found, how
        many parameters the data determine, and the logarithm of the probability of the targets
        (N6; NaN for losses that are no likelihood). On Dask `alpha_` alone.

    See Also
    --------
    MLPRegressor, engine.train, engine.Network

    Notes
    -----
    docs/estimators.md lists what differs from scikit-learn.

    Two to three sum_l n_l n_{l-1} multiply-adds a row and epoch. A fit that fails leaves the
    estimator as it was; if it fails because the loss stops being finite, `coefs_` and `intercepts_`
    are the last ones with a finite loss. Ctrl-C ends a fit with a warning, and keeps what was
    reached. `TrainingWarning` warns of inputs, units and rates that keep a fit from training well.

    Examples
    --------
    >>> from engine import MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), MLPClassifier(max_iter=500, random_state=0))
    >>> model.fit(X, y).score(X, y) > 0.95
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012  # scikit-learn's convention
        **parameters.CONSTRAINTS,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    }
    loss = "log_loss"

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool | str = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: int = 15000,
        backend: str | None = None,
        n_threads: int | None = None,
        class_weight: Any = None,
        progress: bool = False,
        max_time: float | None = None,
        checkpoint: Any = None,
        scoring: Any = None,
        continuation: str = "exact",
        weight_decay: float = 0.0,
        average: float | None = None,
        clip_norm: float | None = None,
        label_smoothing: float = 0.0,
        embeddings: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.backend = backend
        self.n_threads = n_threads
        self.class_weight = class_weight
        self.progress = progress
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.scoring = scoring
        self.continuation = continuation
        self.weight_decay = weight_decay
        self.average = average
        self.clip_norm = clip_norm
        self.label_smoothing = label_smoothing
        self.embeddings = embeddings

    @available_if(lambda estimator: estimator._check_solver())
    @with_prepared_rows
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> "MLPClassifier":
        """Train one epoch more, on these rows, from where the last call ended.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; the rows may be others each time.
        classes : array_like (n_classes,), optional
            All classes of all calls; required in the first call.

        Returns
        -------
        self

        Raises
        ------
        AttributeError
            With solver="lbfgs", which has no epochs.
        """
        before = dict(self.__dict__)
        try:
            if _check_partial_fit_first_call(self, classes):
                self._set_labels(
                    Labels(_of_several(y) if _is_multilabel(y) else unique_labels(classes))
                )
            self._fit(X, y, sample_weight, incremental=True)
        except BaseException:
            if not hasattr(self, "coefs_"):
                self.__dict__.clear()
                self.__dict__.update(before)
            raise
        return self

    def predict(self, X: Any) -> Any:
        """The label with the highest probability, for each row.

        Parameters
        ----------
        X : array_like or sparse matrix (n_samples, n_features)

        Returns
        -------
        y : ndarray (n_samples,), or (n_samples, n_labels) of 0 and 1

        Notes
        -----
        sum_l n_l n_{l-1} multiply-adds a row. Rows are taken in blocks, so that only the result
        grows with their number.
        """
        blocks = self._blocks(X)
        return self._labels.joined([self._labels.decode(block) for block in blocks])

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """The probability of each class, for each row.

        Parameters
        ----------
        X : array_like or sparse matrix (n_samples, n_features)

        Returns
        -------
        p : ndarray (n_samples, n_classes)
            Columns as in `classes_`; for several labels the probability of each. Of the dtype that
            the network was trained in.
        """
        activations = self._activations(X)
        if self.n_outputs_ > 1:
            return activations
        both = np.empty((len(activations), 2), activations.dtype)
        both[:, 1] = activations[:, 0]
        both[:, 0] = 1 - activations[:, 0]
        return both

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """The logarithm of `predict_proba`, -inf for a probability of 0; X and shape as there."""
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):  # log 0 is -inf
            logarithms: NDArray[Any] = np.log(probabilities, out=probabilities)
        return logarithms

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy: the share of rows whose label, or all of whose labels, are predicted.

        Parameters
        ----------
        X : array_like or sparse matrix (n_samples, n_features)
        y : array_like (n_samples,) or (n_samples, n_labels)
        sample_weight : array_like (n_samples,), optional

        Returns
        -------
        score : float
            As of `sklearn.metrics.accuracy_score`, to the bit.

        Notes
        -----
        The cost of `predict`. For plain arrays of labels it leaves out the checks of
        `accuracy_score`, which take a millisecond, far longer than a small network.
        """
        return held_out.accuracy_of(y, self.predict(X), sample_weight)

    def predictor(self) -> RowClassifier:
        """The fitted network for one row at a time, in microseconds.

        Returns
        -------
        RowClassifier
            Its `predict_proba(row)` and `predict(row)` take one row (n_features,), and give the
            bits that this estimator gives for it. It is a copy: later training does not change it.

        Examples
        --------
        >>> from engine import MLPClassifier
        >>> model = MLPClassifier((4,), solver="lbfgs", random_state=0)
        >>> predictor = model.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [1, 0, 0, 1]).predictor()
        >>> predictor
        <RowClassifier of <Network 2-4-1: relu hidden units, sigmoid output, 17 parameters>>
        >>> predictor.predict_proba([1.0, 1.0]).shape
        (2,)
        """
        check_is_fitted(self)
        return RowClassifier(self._network, self._theta(), self._labels)

    @available_if(lambda estimator: estimator._check_solver())
    def learner(self) -> ClassifierLearner:
        """A function that trains this estimator on one row at a time, in microseconds.

        Returns
        -------
        ClassifierLearner
            ``learn(row, label)``, or ``learn(row, label, sample_weight)``, trains on one row
            (n_features,), and returns its loss before the step. It leaves the estimator as
            ``partial_fit([row], [label])`` would, with the same bits, but changes the arrays in
            `coefs_` and `intercepts_` in place. With several labels, a target is their 0 and 1.

        Raises
        ------
        NotFittedError
            Before the first call of `fit` or `partial_fit`.
        AttributeError
            With solver="lbfgs" or "lm", as `partial_fit`.

        Notes
        -----
        Two to three sum_l n_l n_{l-1} multiply-adds a call, and a microsecond. That is for "adam"
        and "sgd" on the tiled backend, with parameters as numbers, texts or tuples. What takes as
        long as `partial_fit` of many rows is `class_weight`, `embeddings`, a `losses.Compiled`,
        `verbose`, `max_time`, ``continuation="sklearn"``, a `RandomState` as `random_state` and a
        step that threads share. So does the first call, and one after parameters have changed.

        Examples
        --------
        >>> import numpy as np
        >>> from engine import MLPClassifier
        >>> model = MLPClassifier((4,), learning_rate_init=0.01, random_state=0)
        >>> model = model.partial_fit([[0.0, 1.0]], ["no"], classes=["no", "yes"])
        >>> learn = model.learner()
        >>> learn
        <ClassifierLearner of <Network 2-4-1: relu hidden units, sigmoid output, 17 parameters>>
        >>> row = np.array([1.0, 0.0])
        >>> losses = [learn(row, "yes") for _ in range(100)]
        >>> losses[-1] < losses[0], losses[-1] == model.loss_, model.t_
        (True, True, 101)
        """
        return ClassifierLearner(self)

    # What the base class calls.

    def _set_labels(self, labels: Labels) -> None:
        self._labels = labels
        self.classes_ = labels.classes

    def _checked_rows(
        self, X: Any, y: Any, sample_weight: Any, *, incremental: bool, reset: bool
    ) -> Rows:
        X, y = validated(self, X, y, reset=reset)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._set_labels(Labels(y))
        else:
            self._require_kind(y, ("y", "the y of the last fit"))
            self._require_known(y)
        weights = self._weights(y, validated_weights(sample_weight, X), incremental)
        return Rows(X, self._labels.targets(y), weights)

    @property
    def _layers_to_train(self) -> Layers:
        return self._network.layers.with_label_smoothing(float(self.label_smoothing))

    def _require_consistent(self) -> None:
        super()._require_consistent()
        loss = self._network.loss.name if hasattr(self, "_network") else "cross_entropy"
        evidence = isinstance(self.alpha, str)
        update_settings.require_smoothable(self.label_smoothing, loss, evidence)

    def _rows_depend_on(self) -> tuple[Any, ...]:
        return *super()._rows_depend_on(), repr(self.class_weight)

    def _require_kind(self, y: Any, names: tuple[str, str]) -> None:
        """Refuse y with one label a row if that of the fit had several, and the other way round."""
        columns = (self._labels.n_outputs,) if self._labels.kind == MULTILABEL else ()
        if y.shape[1:] != columns:
            before = f"(n_samples, {columns[0]})" if columns else "(n_samples,)"
            raise ValueError(
                f"{names[0]} has shape {y.shape}, but that of {names[1]} was {before}; pass labels "
                "of the same kind."
            )

    def _require_known(self, y: Any) -> None:
        classes = unique_labels(y)
        if self.warm_start:
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous "
                    f"call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _weights(self, y: Any, weights: Any, incremental: bool) -> Any:
        """Sample weights times class weights."""
        if self.class_weight is None:
            return weights
        if incremental and isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} is not supported for partial_fit, which does "
                "not see all of y: compute the weights from the whole of it, with "
                "sklearn.utils.class_weight.compute_class_weight, and pass them as a dict."
            )
        self._class_weights = ClassWeights(self.class_weight, self._labels, y, weights)
        of_samples = self._class_weights.of_samples(y)
        return of_samples if weights is None else weights * of_samples

    def _validation_rows(
        self, X: Any, y: Any, sample_weight: Any, names: tuple[str, str] = ("y_val", "y")
    ) -> Rows:
        X, y = validated(self, X, y, reset=False)
        weights = validated_weights(sample_weight, X)
        self._require_kind(y, names)
        unknown = np.setdiff1d(unique_labels(y), self.classes_, assume_unique=True)
        if len(unknown):
            raise ValueError(
                f"{names[0]} has classes that {names[1]} has not: {unknown}. {names[1]} has "
                f"{self.classes_}; leave those rows out, or train on rows of all classes."
            )
        if self.class_weight is not None:
            known = getattr(self, "_class_weights", None)
            if known is None:  # of an estimator that has not been fitted
                known = ClassWeights(self.class_weight, self._labels, y, weights)
            of_samples = known.of_samples(y)
            weights = of_samples if weights is None else weights * of_samples
        return Rows(X, self._labels.targets(y), weights)

    def _outputs(self, rows: Rows) -> tuple[int, str]:
        output = "softmax" if self._labels.kind == MULTICLASS else "logistic"
        return self._labels.n_outputs, output

    def _poorly_predicted(self, rows: Rows) -> list[Finding]:
        if isinstance(self.class_weight, str) or rows.X.shape[1] > MOST_FEATURES:
            return []  # balanced already, or with too many features to be judged
        kind = self._labels.kind

        def predict(numbers: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
            X = rows.chosen(numbers).evenly_spread(len(numbers), self._dtype)
            probabilities = self._outputs_of(X)
            if kind == MULTILABEL:
                return X, probabilities, probabilities > 0.5
            if kind == BINARY:
                probabilities = np.hstack([1 - probabilities, probabilities])
            codes = probabilities.argmax(axis=1)
            return X, probabilities, codes[:, None] == np.arange(len(self.classes_))

        rare = rows.derived(
            "rare classes", lambda: rare_classes(rows.targets, self.classes_, rows.weights)
        )
        return hardly_ever_predicted(
            rare, rows.n_rows, predict, "label" if kind == MULTILABEL else "class"
        )

    def _stratifies(self) -> bool:
        return self._labels.kind == BINARY

    def _score_at(self, objective: Objective, theta: NDArray[Any], rows: Rows) -> float:
        activations = objective.forward(theta).T
        if self._labels.kind == MULTICLASS:
            return held_out.accuracy(activations.argmax(axis=1), rows.targets, rows.weights)
        if self._labels.kind == MULTILABEL:
            return held_out.accuracy(activations > 0.5, rows.targets, rows.weights)
        codes = self._labels.binary_codes(activations)
        return held_out.accuracy(codes, rows.targets[:, 0], rows.weights)

    def _labels_of(self, rows: Rows) -> Any:
        if self._labels.kind == MULTILABEL:
            return rows.targets.astype(int)
        return self.classes_[rows.targets.reshape(-1)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _is_multilabel(y: Any) -> bool:
    return bool(type_of_target(y).startswith("multilabel"))


def _of_several(y: Any) -> Any:
    return y if scipy.sparse.issparse(y) else np.asarray(y)
