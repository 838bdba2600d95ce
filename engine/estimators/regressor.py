"""MLPRegressor."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin, _fit_context
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils._param_validation import Hidden, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from engine.boundary.dates import refuse_dates
from engine.boundary.samples import ADVICE_FOR_ZEROS, outside
from engine.equations.losses import COMPILED, GAMMA, LOSSES, POISSON, SQUARED_ERROR, TWEEDIE
from engine.equations.units import UNITS
from engine.estimators import held_out, parameters
from engine.estimators.base import ROWS_LOOKED_AT, MultilayerPerceptron, with_function
from engine.estimators.findings import Finding
from engine.estimators.input_validation import Rows, validated, validated_weights
from engine.estimators.learner import RegressorLearner
from engine.estimators.prediction_diagnosis import (
    is_off_scale,
    unscaled_targets,
    worse_than_the_mean,
)
from engine.estimators.predictor import RowRegressor
from engine.estimators.prepared_rows import with_prepared_rows
from engine.losses import Loss, named, needs_only_a_name
from engine.sums.chunks import DistributedSamples, target_sums, total_weight
from engine.sums.objective import Objective
from engine.sums.samples import Samples

# The losses of a regressor that have a name; the others are for probabilities, or lack a number.
LOSSES_OF_NUMBERS = [
    loss.name for loss in LOSSES.values() if loss.high > 1 and needs_only_a_name(loss)
]
# Losses whose fits begin near the mean of the targets. Poisson fits begin as scikit-learn's.
STARTED_AT_MEAN = (GAMMA, TWEEDIE)
SCORED_BY_R2 = (SQUARED_ERROR, POISSON)  # as in scikit-learn


class MLPRegressor(RegressorMixin, MultilayerPerceptron):
    """A neural network that predicts numbers: scikit-learn's `MLPRegressor`, faster.

    It minimises half the squared error (equation L3), or another loss, for one output or several.
    Parameters, attributes, warnings, errors and numbers are scikit-learn 1.9's: for the same
    `random_state` the losses, coefficients and predictions are equal to rounding.

    Parameters
    ----------
    loss : str or one of engine.losses, default="squared_error"
        "squared_error"; "absolute_error", "huber" (delta 1) and "quantile" (the median), which
        outliers pull less (L7, L8); "poisson" for counts, y >= 0 (L4), and "gamma" for positive
        amounts, y > 0 (L9), whose predictions are positive. Or `losses.Huber(delta)`,
        `losses.Quantile(level)`, `losses.Tweedie(power)` for y >= 0 (L10), or
        `losses.Compiled(function)`, a function of your own (L15). With
        `losses.Quantile([0.1, 0.5, 0.9])`, y has one column, and predictions one for each level.
        With "gamma" and `Tweedie`, which scikit-learn does not have, a new fit (or the first
        `partial_fit`) begins with the logarithm of the mean of y as the intercepts of the output.
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
    progress : bool, default=False
        Show a bar with loss and time left on standard error.
    max_time : float or None, default=None
        Seconds after which no further step begins.
    scoring : str, callable or None, default=None
        The score of early stopping, as in `sklearn.model_selection.cross_val_score`; one of your
        own must take `sample_weight` if there are weights. None is what `score` gives.
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
    embeddings : list of engine.embeddings.Pieces, Levels or None, optional
        For each feature how it becomes several numbers, learnt with the weights: a number in
        pieces, which may be NaN if the pieces say so, or a code of a category. None takes a feature
        as it is. See docs/embeddings.md.

    Attributes
    ----------
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
    MLPClassifier, engine.train, engine.Network

    Notes
    -----
    docs/estimators.md lists what differs from scikit-learn.

    Two to three sum_l n_l n_{l-1} multiply-adds a row and epoch. A fit that fails leaves the
    estimator as it was; if it fails because the loss stops being finite, `coefs_` and `intercepts_`
    are the last ones with a finite loss. Ctrl-C ends a fit with a warning, and keeps what was
    reached. `TrainingWarning` warns of inputs, units and rates that keep a fit from training well.

    Examples
    --------
    >>> from engine import MLPRegressor
    >>> from sklearn.compose import TransformedTargetRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_diabetes(return_X_y=True, scaled=False)
    >>> X = StandardScaler().fit_transform(X)
    >>> network = MLPRegressor(hidden_layer_sizes=5, solver="lbfgs", alpha=10, random_state=0)
    >>> model = TransformedTargetRegressor(network, transformer=StandardScaler())
    >>> model.fit(X, y).score(X, y) > 0.5
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012  # scikit-learn's convention
        **parameters.CONSTRAINTS,
        # The names of other losses are refused by `Loss`, which says what to pass.
        "loss": [StrOptions(set(LOSSES_OF_NUMBERS)), Loss, Hidden(StrOptions(set(LOSSES)))],
    }

    def __init__(
        self,
        loss: str | Loss = "squared_error",
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
        progress: bool = False,
        max_time: float | None = None,
        checkpoint: Any = None,
        scoring: Any = None,
        continuation: str = "exact",
        weight_decay: float = 0.0,
        average: float | None = None,
        clip_norm: float | None = None,
        embeddings: Any = None,
    ) -> None:
        self.loss = loss
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
        self.progress = progress
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.scoring = scoring
        self.continuation = continuation
        self.weight_decay = weight_decay
        self.average = average
        self.clip_norm = clip_norm
        self.embeddings = embeddings

    @available_if(lambda estimator: estimator._check_solver())
    @with_prepared_rows
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "MLPRegressor":
        """Train one epoch more, on these rows, from where the last call ended.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; the rows may be others each time.

        Returns
        -------
        self

        Raises
        ------
        AttributeError
            With solver="lbfgs", which has no epochs.
        """
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The prediction for each row.

        Parameters
        ----------
        X : array_like or sparse matrix (n_samples, n_features)

        Returns
        -------
        y : ndarray (n_samples,), or (n_samples, n_outputs)
            Of the dtype that the network was trained in. Several quantiles of a row are in order.

        Notes
        -----
        sum_l n_l n_{l-1} multiply-adds a row. Rows are taken in blocks, so that only the result
        grows with their number.
        """
        activations = self._activations(X)
        if self.n_outputs_ == 1:
            return activations[:, 0]
        return self._network.loss.predictions(activations)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """How good the predictions for X are; parameters as for `fit`.

        Returns
        -------
        score : float
            With "squared_error" and "poisson" R^2, as in scikit-learn. With other losses the share
            of the deviance that is explained, D^2 = 1 - J(predictions) / J(the best constant), as
            `sklearn.metrics.d2_pinball_score`, `d2_absolute_error_score` and `d2_tweedie_score`;
            of several outputs, their mean; of several quantiles, with J summed over the levels.
            With a `losses.Compiled`, minus its mean.
        """
        refuse_dates("y", y)
        check_is_fitted(self)
        network = with_function(self._network, self._chosen_loss)
        loss = network.loss
        if loss.row.code in SCORED_BY_R2:
            return float(super().score(X, y, sample_weight))
        rows = self._rows_for(loss, X, y, sample_weight, reset=False)
        self._require_outputs(rows, ("y", "the y of fit"))
        if rows.n_rows < held_out.LEAST_FOR_R2 and loss.row.code != COMPILED:
            message = "D^2 score is not well-defined with less than two samples."
            warnings.warn(message, UndefinedMetricWarning, stacklevel=2)
            return float("nan")
        samples = rows.samples(self._dtype)
        objective = Objective(self._backend, network.layers, samples, n_threads=self._threads_asked)
        return self._score_at(objective, self._theta(), rows)

    def predictor(self) -> RowRegressor:
        """The fitted network for one row at a time, in microseconds.

        Returns
        -------
        RowRegressor
            Its `predict(row)` takes one row (n_features,), and gives the bits that this estimator
            gives for it. It is a copy: later training does not change it.

        Examples
        --------
        >>> from engine import MLPRegressor
        >>> model = MLPRegressor(hidden_layer_sizes=3, solver="lbfgs", random_state=0)
        >>> model = model.fit([[0], [1], [2]], [0, 1, 2])
        >>> model.predictor()
        <RowRegressor of <Network 1-3-1: relu hidden units, identity output, 10 parameters>>
        """
        check_is_fitted(self)
        return RowRegressor(self._network, self._theta())

    @available_if(lambda estimator: estimator._check_solver())
    def learner(self) -> RegressorLearner:
        """A function that trains this estimator on one row at a time, in microseconds.

        Returns
        -------
        RegressorLearner
            ``learn(row, number)``, or ``learn(row, number, sample_weight)``, trains on one row
            (n_features,), and returns its loss before the step. It leaves the estimator as
            ``partial_fit([row], [number])`` would, with the same bits, but changes the arrays in
            `coefs_` and `intercepts_` in place. With several outputs, a target is a vector.

        Raises
        ------
        NotFittedError
            Before the first call of `fit` or `partial_fit`.
        AttributeError
            With solver="lbfgs" or "lm", as `partial_fit`.

        Notes
        -----
        As of `MLPClassifier.learner`, which says what it costs.

        Examples
        --------
        >>> import numpy as np
        >>> from engine import MLPRegressor
        >>> model = MLPRegressor(hidden_layer_sizes=4, learning_rate_init=0.01, random_state=0)
        >>> learn = model.partial_fit([[0.0, 1.0]], [0.5]).learner()
        >>> learn
        <RegressorLearner of <Network 2-4-1: relu hidden units, identity output, 17 parameters>>
        >>> row = np.array([1.0, 0.0])
        >>> losses = [learn(row, 2.0) for _ in range(200)]
        >>> losses[-1] < 0.1 < losses[0], losses[-1] == model.loss_, model.t_
        (True, True, 201)
        """
        return RegressorLearner(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        row = self.loss.row if isinstance(self.loss, Loss) else LOSSES.get(str(self.loss))
        tags.target_tags.positive_only = row is not None and row.low == 0
        return tags

    # What the base class calls.

    def _checked_rows(
        self, X: Any, y: Any, sample_weight: Any, *, incremental: bool, reset: bool
    ) -> Rows:
        return self._rows_for(self._chosen_loss, X, y, sample_weight, reset=reset)

    def _rows_depend_on(self) -> tuple[Any, ...]:
        return *super()._rows_depend_on(), self._chosen_loss

    @property
    def _chosen_loss(self) -> Loss:
        loss = self.loss if isinstance(self.loss, Loss) else named(self.loss)
        if loss.row.high <= 1:
            raise ValueError(
                f"loss={loss!r} is for probabilities of classes, which an MLPClassifier learns."
            )
        return loss

    def _rows_for(self, loss: Loss, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Rows:
        """Checked rows with targets that a loss takes."""
        loss.require_function()
        X, y = validated(self, X, y, reset=reset, y_numeric=True)
        y = y.reshape(len(y), -1)
        if outside(y, loss.row):
            wanted = "that is not negative" if loss.row.low_included else f"above {loss.row.low:g}"
            advice = ADVICE_FOR_ZEROS if y.min() == 0 else ""
            raise ValueError(
                f"loss={loss.name!r} needs y {wanted}; its smallest entry is {y.min():g}.{advice}"
            )
        if loss.n_outputs is not None and y.shape[1] > 1:
            raise ValueError(
                f"A loss of {loss.n_outputs} quantiles needs y of one column; y has {y.shape[1]}. "
                "Fit an estimator for each column."
            )
        return Rows(X, y, validated_weights(sample_weight, X), loss.n_outputs)

    def _require_outputs(self, rows: Rows, names: tuple[str, str]) -> None:
        """ValueError if y has other columns than that of the fit; `names` are those of both."""
        n_targets = rows.n_outputs or rows.targets.shape[1]
        if n_targets != self.n_outputs_:
            raise ValueError(
                f"{names[0]} has {n_targets} outputs, but {names[1]} has {self.n_outputs_}."
            )

    def _validation_rows(
        self, X: Any, y: Any, sample_weight: Any, names: tuple[str, str] = ("y_val", "y")
    ) -> Rows:
        rows = self._checked_rows(X, y, sample_weight, incremental=False, reset=False)
        self._require_outputs(rows, names)
        return rows

    def _outputs(self, rows: Rows) -> tuple[int, str]:
        n_outputs = rows.n_outputs or rows.targets.shape[1]
        return n_outputs, UNITS[self._chosen_loss.output].sklearn

    def _start_near(self, samples: Samples | DistributedSamples) -> None:
        if self._network.loss.row.code not in STARTED_AT_MEAN:
            return
        with np.errstate(all="ignore"):
            start = np.log(target_sums(samples) / total_weight(samples))
        usable = np.isfinite(start)  # not if all targets are 0
        self.intercepts_[-1][usable] = start[usable]

    def _poorly_predicted(self, rows: Rows) -> list[Finding]:
        loss = self._network.loss
        if loss.row.code == COMPILED:
            return []  # what it is at best is not known
        X, targets, weights = rows.derived(
            ("looked at", self._dtype), lambda: rows.sample(ROWS_LOOKED_AT, self._dtype)
        )
        if loss.output == "exp":
            predicted = self._outputs_of(X)
            return worse_than_the_mean(targets, predicted, weights, loss, self.solver)
        if not rows.derived("off scale", lambda: is_off_scale(targets, weights)):
            return []  # before the predictions are computed
        other = None if loss.row.code == SQUARED_ERROR else loss
        return unscaled_targets(X, targets, self._outputs_of(X), weights, other)

    def _stratifies(self) -> bool:
        return False

    def _score_at(self, objective: Objective, theta: NDArray[Any], rows: Rows) -> float:
        loss = self._network.loss
        if loss.row.code == COMPILED:
            return -objective.cost(theta)
        predicted = loss.predictions(objective.forward(theta).T)
        if loss.row.code in SCORED_BY_R2:
            return held_out.r2(predicted, rows.targets, rows.weights)
        return held_out.d2(loss, predicted, rows.targets, rows.weights)

    def _require_scorable(self, rows: Rows) -> None:
        code = self._network.loss.row.code
        if code != COMPILED:
            held_out.refuse_too_few(rows.n_rows, "R^2" if code in SCORED_BY_R2 else "D^2")

    def _labels_of(self, rows: Rows) -> Any:
        return rows.targets[:, 0] if rows.targets.shape[1] == 1 else rows.targets
