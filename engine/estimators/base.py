"""What MLPClassifier and MLPRegressor share: from data to a model, and prediction."""

import copy
import functools
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, _fit_context
from sklearn.callback import CallbackSupportMixin
from sklearn.utils.validation import check_is_fitted

from engine.boundary import settings, update_settings
from engine.equations.backends import NUMPY, Backend
from engine.equations.layout import views_of
from engine.estimators import outcomes, parameters, prepared_rows
from engine.estimators.callbacks import Tasks
from engine.estimators.diagnosis import findings, numbers_alone, unscaled_inputs
from engine.estimators.draws import WORDS, Draws, initial_parameters, words_found
from engine.estimators.findings import Finding
from engine.estimators.fit_identity import identity_of_fit
from engine.estimators.held_out import require_together, scorer_of, split, validation_findings
from engine.estimators.input_validation import Rows, embeddings_of, validated_inputs
from engine.estimators.optimiser import Optimiser, new_optimiser, optimiser_of, state_of
from engine.estimators.pickled_version import PickledVersion
from engine.estimators.predictor import blocks_of
from engine.estimators.progress_bar import Outlook, Report, progress_bar
from engine.estimators.shared_data import SharedData
from engine.estimators.training import (
    Fitting,
    FitUnderWay,
    Trained,
    loss_so_far,
    settings_of,
    train,
)
from engine.estimators.watch import Epoch, FitWatch
from engine.losses import Loss, WithoutFunction
from engine.network import Network
from engine.solvers.descent import threads_of_run
from engine.solvers.smoothing import Smoothed
from engine.solvers.solver import SOLVERS, Problem, Solver
from engine.solvers.state import (
    ADAM,
    ADAPTIVE,
    ALPHA,
    COSINE,
    DAMPED,
    FAILURES,
    SEEN,
    Settings,
)
from engine.statistics.inference_on_parameters import evidence_of
from engine.sums.chunks import DistributedSamples
from engine.sums.objective import Objective, forward
from engine.sums.samples import Layers, Samples
from engine.sums.thread_count import Threads
from engine.training.checkpoint import Keeper, kept
from engine.training.checkpoint_files import CheckpointError
from engine.training.identity import Identity
from engine.training.plan import plan_of
from engine.training.result import Plan, fingerprint
from engine.training.watch import Validation

# Gives the rows of a fit, here or on Dask; the argument says whether to learn the classes anew.
RowsOf = Callable[[bool], Rows]

# Attributes that a fit extends in place; it replaces all others.
CURVES = ("loss_curve_", "validation_loss_curve_", "validation_scores_")

# Attributes of a fit with alpha="evidence" alone.
OF_EVIDENCE = ("alpha_", "effective_parameters_", "log_evidence_")

# The value of `scoring` with which the loss of validation rows decides when to stop.
BY_LOSS = "loss"

# Rows that warnings are based on, at most.
ROWS_LOOKED_AT = 1000
# After fewer epochs, poor predictions are not reported.
FEWEST_EPOCHS = 10


class MultilayerPerceptron(PickledVersion, CallbackSupportMixin, BaseEstimator, ABC):
    """A feed-forward network as a scikit-learn estimator."""

    _parameter_constraints: dict[str, list[Any]] = parameters.CONSTRAINTS
    _optimizer: Optimiser
    loss_: Any
    n_iter_: int
    validation_loss_curve_: Any

    # What the classifier and the regressor define.

    @abstractmethod
    def _checked_rows(
        self, X: Any, y: Any, sample_weight: Any, *, incremental: bool, reset: bool
    ) -> Rows:
        """Checked rows to train on; with `reset`, features and classes are learnt anew."""

    def _rows_depend_on(self) -> tuple[Any, ...]:
        """The parameters that the checked rows of a new fit depend on, hashable."""
        return (None if self.embeddings is None else tuple(self.embeddings),)

    @abstractmethod
    def _validation_rows(
        self, X: Any, y: Any, sample_weight: Any, names: tuple[str, str] = ("y_val", "y")
    ) -> Rows:
        """Checked rows that are not trained on; the estimator does not change.

        `names` are the names of their y, and of the y of the fit, in messages.
        """

    @abstractmethod
    def _outputs(self, rows: Rows) -> tuple[int, str]:
        """Number of output units, and scikit-learn's name for them."""

    @abstractmethod
    def _score_at(self, objective: Objective, theta: NDArray[Any], rows: Rows) -> float:
        """The default score of rows, of which `objective` is the loss, for parameters theta."""

    def _require_scorable(self, rows: Rows) -> None:
        """ValueError if the default score is not defined for so few rows."""

    @abstractmethod
    def _labels_of(self, rows: Rows) -> Any:
        """y of checked rows, as a scorer takes it."""

    @abstractmethod
    def _stratifies(self) -> bool:
        """Whether the split for early stopping keeps the shares of the classes."""

    def _start_near(self, samples: Samples | DistributedSamples) -> None:
        """Move the initial parameters of a new fit to where its targets are, if the loss asks."""

    @abstractmethod
    def _poorly_predicted(self, rows: Rows) -> list[Finding]:
        """Findings on the predictions for training rows."""

    # From data to a model.

    @_fit_context(prefer_skip_nested_validation=True)
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
        """Train on X and y: anew, or with `warm_start` from where the last fit ended.

        Parameters
        ----------
        X : array_like or sparse matrix (n_samples, n_features)
            float32 is trained in float32, all else in float64. Never written to, and copied only
            if early stopping splits it, or if it is not float32 or float64, or backward in memory.
            Of a sparse matrix at most a block of rows is dense at a time.
        y : array_like (n_samples,) or (n_samples, n_outputs)
            For a classifier: labels, which are numbers or text, or a column of 0 and 1 for each of
            several labels. For a regressor: numbers.
        sample_weight : array_like (n_samples,), optional
            Not negative. They count in the loss, and in the score of early stopping.
        X_val, y_val, sample_weight_val : array_like, optional
            Your own validation rows. Their loss goes into `validation_loss_curve_`, and early
            stopping uses them in place of a share of X.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For data or parameters that scikit-learn refuses, and a loss that stops being finite.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If `max_iter`, or `max_time`, ended the fit.
        engine.TrainingWarning
            If inputs or the target are not scaled, units saturated or dead, the rate too high, a
            class is never found, predictions of a positive target are worse than its mean, or a
            score is taken from very few rows.
        UserWarning
            If the derivative of a `losses.Compiled` is far from that of its cost.
        """
        self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))
        return self

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        incremental: bool = False,
        validation: tuple[Any, Any, Any] = (None, None, None),
        rows_of: RowsOf | None = None,
    ) -> None:
        """Fit on X, y and weights, or on the rows that `rows_of` gives, which may be on Dask."""
        fitting = self._fitting(
            X, y, sample_weight, incremental=incremental, validation=validation, rows_of=rows_of
        )
        fit = FitUnderWay(fitting)
        fit.begin()
        fit.to_its_end()
        fit.result.say(stacklevel=6 if incremental else 5)

    def _fitting(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        incremental: bool = False,
        validation: tuple[Any, Any, Any] = (None, None, None),
        rows_of: RowsOf | None = None,
        shared: SharedData | None = None,
    ) -> Fitting[outcomes.FitEnd]:
        """A fit that yields its run; `shared` is what it shares with others."""
        before = Snapshot(self)
        try:
            return (
                yield from self._fit_on(
                    X, y, sample_weight, incremental, validation, rows_of, shared
                )
            )
        except outcomes.DivergedFit as diverged:
            error: Any = ValueError(str(diverged))
            error.finding = diverged.finding
            raise error from None
        except BaseException:  # a fit that fails leaves the estimator as it was
            before.put_back(self)
            raise

    def _fit_on(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        incremental: bool,
        validation: tuple[Any, Any, Any],
        rows_of: RowsOf | None,
        shared: SharedData | None,
    ) -> Fitting[outcomes.FitEnd]:
        """Train, so that the estimator holds the result."""
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        if self.alpha == "evidence":  # also where scikit-learn's checks are switched off
            self._require_consistent()
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if incremental and self.learning_rate == "cosine":
            raise ValueError(
                "partial_fit does not support learning_rate='cosine', which ends after max_iter "
                "epochs, and partial_fit trains one. Pass another learning_rate, or call fit."
            )
        # Not of a fit that goes on with classes that the last one has learnt.
        goes_on = not first or (self.warm_start and hasattr(self, "classes_"))
        shared_rows = None if goes_on else shared
        if rows_of is not None:
            rows = rows_of(first)
        elif shared_rows is not None:
            rows = shared_rows.rows(self, X, y, sample_weight)
        else:
            rows = self._checked_rows(X, y, sample_weight, incremental=incremental, reset=first)
        network = self._network_for(rows, shared)
        if not first:
            self._require_same(network)
        if shared_rows is not None:
            own = shared_rows.validation_rows(self, rows, validation)
        else:
            own = self._own_held_out(validation)

        def identity() -> Identity:
            return self._identity(network, rows, own, first)

        checkpoint = None if incremental else self.checkpoint
        if checkpoint is None:
            self._set_draws(first)
            return (yield from self._fit_rows(rows, own, network, first, incremental, None, shared))
        ends = SOLVERS[self.solver].ends
        with kept(checkpoint, identity, self.max_iter, ends) as keeper:
            assert keeper is not None
            with self._drawing(first, keeper):
                return (
                    yield from self._fit_rows(
                        rows, own, network, first, incremental, keeper, shared
                    )
                )

    def _identity(self, network: Network, rows: Rows, own: Rows | None, first: bool) -> Identity:
        """The identity of a fit, before a number is drawn or a step is taken."""
        samples = rows.samples(self._dtype_to_train(rows, first))
        earlier = None
        if not first:
            optimiser = vars(self._optimizer) if hasattr(self, "_optimizer") else None
            best = [self.t_, self.best_loss_, self.best_validation_score_]
            draws = self._draws.words()
            earlier = [self._theta(), optimiser, draws, best, self._no_improvement_count]
        return identity_of_fit(
            type(self).__name__,
            self.get_params(deep=False),
            network,
            samples,
            None if own is None else own.samples(samples.dtype),
            self._backend.name,
            self._batch_size(rows.n_rows),
            earlier,
        )

    def _set_draws(self, first: bool) -> bool:
        """Set the generator: a new one, or that of the last fit. Whether it is the latter."""
        draws: Draws | None = None if first else getattr(self, "_draws", None)
        goes_on = draws is not None and self._continues and draws.are_of(self.random_state)
        if draws is None or not goes_on:
            draws = Draws(self.random_state)
        self._draws = draws
        return goes_on

    @contextmanager
    def _drawing(self, first: bool, keeper: Keeper) -> Iterator[None]:
        """Set the generator, to draw the numbers again that a checkpoint holds."""
        goes_on = self._set_draws(first)
        draws = self._draws
        known = draws.words()
        if keeper.found is not None:  # draw the same numbers again
            words = words_found(keeper.found.arrays, keeper.verifier)
            same = np.array_equal(words, known) or (self.random_state is None and not goes_on)
            keeper.verifier.require(same, f"{WORDS} is not what its random_state gives")
            draws.go_on_from(words)
        keeper.always[WORDS] = draws.words()
        try:
            yield
        except CheckpointError:
            draws.go_on_from(known)  # others may use NumPy's own generator, too
            raise

    def _fit_rows(
        self,
        rows: Rows,
        own: Rows | None,
        network: Network,
        first: bool,
        incremental: bool,
        keeper: Keeper | None,
        shared: SharedData | None,
    ) -> Fitting[outcomes.FitEnd]:
        """Train on checked rows, from the start or from what a checkpoint holds."""
        if message := network.loss.wrong_derivative(rows.targets):
            # At the line that called fit or partial_fit.
            warnings.warn(message, UserWarning, stacklevel=10 if incremental else 9)
        dtype = self._dtype_to_train(rows, first)
        theta = self._begin(network, dtype) if first else self._resume(dtype)
        rows, held_out = self._held_out(rows, own, shared)
        tasks = None if incremental else self._tasks(rows)
        shows_bar = self.progress and not incremental
        with progress_bar(self.max_iter) if shows_bar else nullcontext(Report()) as bar:
            watch = FitWatch(
                validation=self._validation(held_out),
                best_score=self.best_validation_score_ if self._scored else -math.inf,
                max_time=math.inf if self.max_time is None else float(self.max_time),
                verbose=bool(self.verbose),
                listeners=[] if tasks is None else [tasks.tell],
                update_bar=bar.update,
            )
            bar.outlook = lambda: Outlook(seconds_left=watch.seconds_until(self.max_iter))
            samples = rows.samples(self._dtype)
            if first:
                self._start_near(samples)
            widened = rows.X.dtype == np.float32 and self._dtype == np.float64
            end, theta = yield from self._train(theta, samples, watch, incremental, keeper, widened)
        if tasks is not None:
            tasks.close(Epoch(self.n_iter_, float(self.loss_ or 0), math.nan, theta))
        if incremental:
            return end
        found = self._found(theta, rows, held_out, own is not None)
        return end._replace(messages=end.messages + found)

    def _network_for(self, rows: Rows, shared: SharedData | None = None) -> Network:
        """The network for these rows."""
        self.n_outputs_, self.out_activation_ = self._outputs(rows)
        ends = rows.X.shape[1], self.n_outputs_

        def make() -> Network:
            hidden_sizes = parameters.hidden_sizes(self.hidden_layer_sizes)
            hidden = parameters.hidden_units(self.activation, len(hidden_sizes))
            output = parameters.OUTPUT_UNITS[self.out_activation_]
            sizes = ends[0], *hidden_sizes, ends[1]
            return Network(sizes, hidden, output, self._chosen_loss, self.embeddings)

        if shared is None:
            return make()
        hidden = str(self.hidden_layer_sizes), str(self.activation)
        embeddings = None if self.embeddings is None else tuple(self.embeddings)
        network: Network = shared.once(
            (*ends, *hidden, self.out_activation_, self._chosen_loss, embeddings), make
        )
        return network

    @property
    def _chosen_loss(self) -> Loss | None:
        """The loss that the parameters ask for; None is the one of the output units."""
        return None

    @property
    def _layers_to_train(self) -> Layers:
        """The network's layers, with the loss that is trained on."""
        return self._network.layers

    @property
    def _stochastic(self) -> bool:
        return SOLVERS[self.solver].by_steps

    @property
    def _scored(self) -> bool:
        """Whether a score on validation rows decides when to stop."""
        return bool(self.early_stopping) and SOLVERS[self.solver].has_own_loop

    @property
    def _continues(self) -> bool:
        """Whether a fit that is not the first continues exactly where the last one ended."""
        return self.continuation == "exact" and not self._scored

    @property
    def _threads_asked(self) -> int | None:
        return settings.thread_count(self.n_threads)

    @property
    def _backend(self) -> Backend:
        return settings.find_backend(self.backend)

    def _begin(self, network: Network, dtype: Any) -> NDArray[Any]:
        """Set the attributes of a new fit, before its first step; its initial theta."""
        named = isinstance(self.activation, str)
        fallback = parameters.hidden_units(self.activation, 1)[0] if named else "relu"
        self._network = network
        theta = self._draws.draw(
            lambda generator: initial_parameters(network, generator, dtype, fallback)
        )
        self._put(theta)
        self.n_iter_, self.t_, self.n_layers_ = 0, 0, len(network.sizes)
        self.loss_curve_: list[float] = []
        self.validation_loss_curve_ = None
        self.validation_scores_: list[float] | None = [] if self._scored else None
        self.best_validation_score_: Any = -math.inf if self._scored else None
        self.best_loss_: Any = None if self._scored else math.inf
        self._no_improvement_count = 0
        self.__dict__.pop("_optimizer", None)
        return theta

    def _dtype_to_train(self, rows: Rows, first: bool) -> np.dtype[Any]:
        """That of the rows, or of the parameters so far; some solvers take float64 alone."""
        if SOLVERS[self.solver].in_float64:
            return np.dtype(np.float64)
        return rows.X.dtype if first else self._dtype

    def _resume(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Set them for a fit that continues; a copy of its theta.

        Early stopping may have been switched on or off.
        """
        if dtype != self._dtype:
            self._put(self._theta().astype(dtype))
        was_scored = self.best_loss_ is None
        if self._scored != was_scored:
            self.validation_scores_ = [] if self._scored else None
            self.best_validation_score_ = -math.inf if self._scored else None
            self.best_loss_ = None if self._scored else math.inf
            self._no_improvement_count = 0
        for name in CURVES:  # a model file holds arrays
            if getattr(self, name) is not None:
                setattr(self, name, list(getattr(self, name)))
        return self._theta()

    def _require_same(self, network: Network) -> None:
        known = with_function(self._network, network.loss)
        if network != known:
            loss = "loss, " if network.loss != known.loss else ""
            loss += "embeddings, " if network.embeddings != known.embeddings else ""
            raise ValueError(
                f"This estimator was fitted as {known} and cannot continue as {network}; "
                f"leave {loss}hidden_layer_sizes, activation, and the number of features and "
                "outputs as they were, or fit anew with warm_start=False."
            )
        self._network = known

    def _own_held_out(self, validation: tuple[Any, Any, Any]) -> Rows | None:
        """The user's own validation rows, checked; or None."""
        require_together(*validation)
        X_val, y_val, sample_weight_val = validation
        return None if X_val is None else self._validation_rows(X_val, y_val, sample_weight_val)

    def _held_out(
        self, rows: Rows, own: Rows | None, shared: SharedData | None
    ) -> tuple[Rows, Rows | None]:
        """Training and validation rows; the latter are the user's own, or held out of the rows."""
        if own is not None or not self._scored:
            return rows, own
        settings = self.validation_fraction, self._stratifies()

        def halves() -> tuple[Rows, Rows]:
            return split(rows, settings[0], self._draws.generator, settings[1])

        if shared is None:
            return halves()
        found, words = shared.split(
            rows, settings, self._draws.words(), lambda: (halves(), self._draws.words())
        )
        self._draws.go_on_from(words.copy())
        return found

    def _validation(self, held_out: Rows | None) -> Validation | None:
        if held_out is None:
            return None
        if self.validation_loss_curve_ is None:
            self.validation_loss_curve_ = []
        objective = Objective(
            self._backend,
            self._network.layers,
            held_out.samples(self._dtype),
            n_threads=self._threads_asked,
        )
        if not self._scored:
            return Validation(objective.cost)
        if self.scoring == BY_LOSS:
            return Validation(objective.cost, loss_decides=True)
        if self.scoring is not None:
            y, labels = self._labels_of(held_out), getattr(self, "_labels", None)
            score = scorer_of(self.scoring, self._as_of, self._theta(), held_out, y, labels)
            return Validation(objective.cost, score)
        self._require_scorable(held_out)

        def default_score(theta: NDArray[Any]) -> float:
            with np.errstate(all="ignore"):  # squares that overflow
                return self._score_at(objective, theta, held_out)

        return Validation(objective.cost, default_score)

    def _tasks(self, rows: Rows) -> Tasks | None:
        """The tasks for scikit-learn's callbacks; None if there are no callbacks."""
        if not getattr(self, "_skl_callbacks", []):
            return None
        context = self._init_callback_context(max_subtasks=self.max_iter)
        metadata = None if rows.weights is None else {"sample_weight": rows.weights}
        data = {"X": rows.X, "y": self._labels_of(rows), "metadata": metadata}
        name = "epoch" if self._stochastic else "iteration"
        return Tasks(self, self._network, context, name, self.max_iter, data)

    def _planned(
        self,
        samples: Samples | DistributedSamples,
        numbers: Settings,
        keeper: Keeper | None,
        widened: bool,
    ) -> Threads:
        """Set `plan_` and `n_threads_`; returns the threads of a step."""
        resumed = "" if keeper is None else keeper.in_words
        self.plan_, threads = self._plan_of(samples, numbers, resumed, widened)
        self.n_threads_ = self.plan_.n_threads
        return threads

    def _plan_of(
        self,
        samples: Samples | DistributedSamples,
        numbers: Settings,
        resumed: str,
        widened: bool,
    ) -> tuple[Plan, Threads]:
        """The plan of a run with these settings, and the threads of a step."""
        solver, shared = SOLVERS[self.solver], False
        if isinstance(samples, Samples):
            asked, layers = self._threads_asked, self._layers_to_train
            threads, shared = threads_of_run(asked, solver, self._backend, layers, samples, numbers)
        else:
            threads = samples.threads(self._threads_asked)
        plan = plan_of(
            self._backend,
            self.backend,
            samples.n_samples,
            samples.n_samples if solver.full_batch else numbers.batch_size,
            threads,
            resumed,
            widened,
            shared,
        )
        return plan, threads

    def _train(
        self,
        theta: NDArray[Any],
        samples: Samples | DistributedSamples,
        watch: FitWatch,
        incremental: bool,
        keeper: Keeper | None,
        widened: bool,
    ) -> Fitting[tuple[outcomes.FitEnd, NDArray[Any]]]:
        """Train from theta, in place; returns how that ended, and theta at the end."""
        solver = SOLVERS[self.solver]
        if solver.update == ADAM:
            settings.representable("epsilon", self.epsilon, samples.dtype)
        numbers = settings_of(
            solver,
            vars(self),
            samples.n_samples,
            self._network.sizes[0],
            self._batch_size(samples.n_samples),
        )
        optimiser = self._optimiser(solver, numbers, incremental)
        if numbers.schedule == COSINE:
            numbers = numbers._replace(schedule_from=optimiser.steps)
        lowest = math.inf if self.best_loss_ is None else self.best_loss_
        failures = self._no_improvement_count
        if solver.update == DAMPED:  # they may be those of another alpha, or of other samples
            lowest, failures = math.inf, 0
        state = state_of(
            optimiser,
            numbers,
            theta,
            samples.n_samples,
            self._draws.words(),
            same_order=self._continues,
            ordered=isinstance(samples, Samples) and solver.by_steps,
            seen=self.t_,
            lowest=-watch.best_score if self._scored else lowest,
            failures=failures,
        )
        start = state.parameters.copy() if self._scored else state.parameters
        threads = self._planned(samples, numbers, keeper, widened)
        problem = Problem(
            self._backend,
            self._layers_to_train,
            samples,
            numbers.alpha,
            threads.number,
            adapts=self._threads_asked is None,
        )
        max_iter = 1 if incremental else self.max_iter
        told = self.verbose and numbers.schedule == ADAPTIVE
        why_rate = outcomes.not_improved(self) if told else None
        ended = yield from train(solver, problem, state, numbers, watch, max_iter, keeper, why_rate)
        if ended.error is not None and ended.error.step == optimiser.steps:
            raise ValueError(f"{outcomes.NON_FINITE} The loss of the first batch is {ended.error}.")
        theta = ended.theta
        if self._scored:
            theta = watch.best if watch.best is not None else self._without_better(start, ended)
        if not np.isfinite(theta).all():
            raise ValueError(outcomes.NON_FINITE)
        self._put(theta)
        self._penalty = numbers.alpha, None if solver.full_batch else numbers.batch_size
        for name in OF_EVIDENCE:
            self.__dict__.pop(name, None)
        if numbers.evidence:
            self._take_evidence(samples, ended)
        if solver.has_own_loop:
            self._take(watch, ended, numbers)
        else:
            self._take_minimum(watch, ended)
        messages = outcomes.of_batch_size(self, samples.n_samples)
        if ended.error is None:
            messages += outcomes.of_run(self, ended, incremental)
        elif self._scored:
            messages += outcomes.of_divergence(self, ended.error)
        else:
            raise outcomes.diverged(self, ended.error)
        return outcomes.FitEnd(ended.stopped, messages), theta

    def _without_better(self, start: NDArray[Any], ended: Trained) -> NDArray[Any]:
        """The parameters that early stopping keeps if no epoch beat the best score so far.

        They are those of that score, from which this fit started. In a second fit, scikit-learn
        overwrites them, and keeps those of its last epoch. If there was no time for an epoch, so
        that nothing has been scored yet, they are the latest.
        """
        if ended.stopped == "max_time" and self.best_validation_score_ == -math.inf:
            return ended.theta
        refit = self.t_ > 0 and self.continuation == "sklearn"
        return ended.theta if refit and ended.error is None else start

    def _take(self, watch: FitWatch, ended: Trained, numbers: Settings) -> None:
        """Store the curves of a descent, and what the next fit continues from."""
        state = ended.solver.state
        self._draws.go_on_from(state.random)
        self._optimizer, self.t_ = optimiser_of(state, numbers), int(state.counts[SEEN])
        self._no_improvement_count = int(state.counts[FAILURES])
        if ended.error is not None:
            watch.record(np.full((1, 2), math.nan))
        losses = watch.losses
        self.n_iter_ = len(losses)
        self.loss_ = losses[-1] if losses else loss_so_far(state)
        if isinstance(ended.solver, Smoothed) and ended.error is None:
            self.loss_ = ended.solver.cost_of(ended.theta)
        self._extend_curves(watch)
        if self._scored:
            self.best_validation_score_ = watch.best_score
        else:
            known = losses if self.loss_ is None else [*losses, self.loss_]
            finite = [loss for loss in known if math.isfinite(loss)]
            self.best_loss_ = min([*finite, self.best_loss_])

    def _take_evidence(self, samples: Samples | DistributedSamples, ended: Trained) -> None:
        """Store what the evidence has found; on Dask the strength of the penalty alone."""
        self.alpha_ = float(ended.solver.state.first[ALPHA])
        if isinstance(samples, Samples):
            theta = self._theta().astype(np.float64)
            found = evidence_of(self._network, theta, samples, self.alpha_)
            self.effective_parameters_, self.log_evidence_ = found

    def _extend_curves(self, watch: FitWatch) -> None:
        self.loss_curve_ += watch.losses
        if self.validation_scores_ is not None:
            self.validation_scores_ += watch.scores
        if self.validation_loss_curve_ is not None:
            self.validation_loss_curve_ += watch.validation_losses

    def _take_minimum(self, watch: FitWatch, ended: Trained) -> None:
        """Store the loss and the curves of L-BFGS."""
        result = ended.result
        self.n_iter_ = ended.solver.n_iter
        self.loss_ = watch.losses[-1] if result is None else float(result.fun)
        if isinstance(ended.solver, Smoothed):
            self.loss_ = ended.solver.cost_of(ended.theta)
        self.best_loss_ = min(self.loss_, math.inf if self.best_loss_ is None else self.best_loss_)
        self.__dict__.pop("_optimizer", None)  # whose moments belong to other parameters
        self._extend_curves(watch)

    def _batch_size(self, n_samples: int) -> int:
        if SOLVERS[self.solver].full_batch:
            return n_samples
        if self.batch_size == "auto":
            return min(200, n_samples)
        return min(int(self.batch_size), n_samples)

    def _optimiser(self, solver: Solver, numbers: Settings, incremental: bool) -> Optimiser:
        """The optimiser of the last fit, if it continues, or a new one."""
        n_parameters, dtype = self._network.n_parameters, self._dtype
        goes_on = (incremental or self._continues) and hasattr(self, "_optimizer")
        if goes_on and solver.has_own_loop and self._optimizer.fits(numbers, n_parameters, dtype):
            return self._optimizer
        return new_optimiser(numbers, n_parameters, dtype)

    def _found(
        self, theta: NDArray[Any], rows: Rows, held_out: Rows | None, own: bool
    ) -> list[outcomes.Message]:
        """Warnings of what kept the fit from training well; `own` as in `validation_findings`."""
        X = rows.evenly_spread(ROWS_LOOKED_AT, theta.dtype)
        names = getattr(self, "feature_names_in_", None)
        numbers = numbers_alone(self._network, X)
        found = findings(
            self._network,
            theta,
            X,
            unscaled=rows.derived("unscaled inputs", lambda: unscaled_inputs(numbers, names)),
            loss_curve=self.loss_curve_[-self.n_iter_ :] if self.n_iter_ else [],
            solver=self.solver,
            learning_rate=self.learning_rate_init if self._stochastic else None,
            names=names,
        )
        few_epochs = self.n_iter_ == self.max_iter < FEWEST_EPOCHS
        if not few_epochs and isinstance(rows, Rows):  # not for rows on Dask
            found += self._poorly_predicted(rows)
        if held_out is not None and self._scored:
            scores = self.validation_scores_ or []
            found += validation_findings(
                scores[-self.n_iter_ :] if self.n_iter_ else [],
                held_out,
                rows.n_rows + held_out.n_rows,
                getattr(self, "_labels", None),
                self.validation_fraction,
                own,
            )
        return outcomes.of_findings(found)

    def _outputs_of(self, X: NDArray[Any]) -> NDArray[Any]:
        """A[L] (m, n_outputs) of a few samples X (n_0, m), without a kernel to compile."""
        theta = self._theta()
        with np.errstate(all="ignore"):
            return forward(NUMPY, self._network.layers, Samples(X), theta, 1).T

    # Parameters, as scikit-learn shows them and as the engine takes them.

    def _put(self, theta: NDArray[Any]) -> None:
        """Set coefs_ (inputs, units), intercepts_ (units,) and embeddings_ to views of theta."""
        network = self._network
        layers = views_of(theta, network.dense_sizes)
        self.coefs_ = [W.T for W, _ in layers]
        self.intercepts_ = [b for _, b in layers]
        self.__dict__.pop("embeddings_", None)  # of another fit
        if network.embeddings is not None:
            self.embeddings_ = network.embedding_views(theta)

    @property
    def _dtype(self) -> np.dtype[Any]:
        """The dtype of training and predictions: float32 if all of coefs_ are, else float64."""
        is_single = all(coef.dtype == np.float32 for coef in self.coefs_)
        return np.dtype(np.float32 if is_single else np.float64)

    def _theta(self) -> NDArray[Any]:
        """What coefs_, intercepts_ and embeddings_ hold, as a new vector (n_parameters,)."""
        theta = np.empty(self._network.n_parameters, self._dtype)
        views = views_of(theta, self._network.dense_sizes)
        layers = zip(views, self.coefs_, self.intercepts_, strict=True)
        for (W, b), coef, intercept in layers:
            W[:], b[:] = coef.T, intercept
        if self._network.embeddings is not None:
            put_embeddings(self.embeddings_, self._network.embedding_views(theta))
        return theta

    def _as_of(self, theta: NDArray[Any]) -> Self:
        """A copy of this estimator with the parameters theta, and without feature names."""
        fitted = copy.copy(self)
        fitted.__dict__.pop("feature_names_in_", None)
        fitted._put(theta)
        return fitted

    @property
    def fingerprint_(self) -> str:
        """SHA-256 of the shapes, dtypes and little-endian bytes of the parameters."""
        if "coefs_" not in self.__dict__:
            raise AttributeError("fingerprint_: this estimator is not fitted yet.")
        return fingerprint(self._network, self._theta())

    def __getstate__(self) -> dict[str, Any]:
        prepared_rows.forget(self)  # whoever asks may share the arrays
        return super().__getstate__()

    # Prediction.

    def _activations(self, X: Any) -> NDArray[Any]:
        """A[L] (m, n_outputs) of the rows X."""
        blocks = list(self._blocks(X))
        return np.ascontiguousarray(blocks[0]) if len(blocks) == 1 else np.concatenate(blocks)

    def _blocks(self, X: Any) -> Iterator[NDArray[Any]]:
        """The same, block by block."""
        if "coefs_" not in self.__dict__:
            check_is_fitted(self)
        theta = self._theta()
        X = validated_inputs(self, X, theta.dtype)
        return blocks_of(self._network, theta, X, self._backend, self._threads_asked)

    # Inference (engine/statistics/).

    def _for_inference(
        self, X: Any, y: Any, sample_weight: Any
    ) -> tuple[Network, NDArray[np.float64], Samples, float]:
        """The network, theta, the samples, and the fit's alpha as if all samples were one batch."""
        check_is_fitted(self)
        self._network.require_no_embeddings("inference")
        rows = self._validation_rows(X, y, sample_weight, names=("y", "y of the fit"))
        n = rows.n_rows
        # A model file has no _penalty: it has the parameters that the fit had, we must suppose.
        alpha, of_batch = vars(self).get("_penalty", (self.alpha, self._batch_size(n)))
        n_batches = n / min(n, of_batch or n)
        return (
            self._network,
            self._theta().astype(np.float64),
            rows.samples(np.dtype(np.float64)),
            float(getattr(self, "alpha_", alpha)) * n_batches,
        )

    def _columns_of(self, X: Any) -> Any:
        """Checked rows as columns."""
        return validated_inputs(self, X, np.dtype(np.float64)).T

    # scikit-learn's conventions.

    @classmethod
    @functools.cache
    def _get_param_names(cls) -> list[str]:
        """Cached: scikit-learn reads them from __init__, which takes longer than a small fit."""
        names: list[str] = super()._get_param_names()
        return names

    def _validate_params(self) -> None:
        if not parameters.are_known_valid(self):
            super()._validate_params()
            self._require_consistent()
            parameters.remember_valid(self)

    def _require_consistent(self) -> None:
        """ValueError or TypeError for parameters that are valid alone, but not together."""
        sizes = parameters.hidden_sizes(self.hidden_layer_sizes)
        parameters.hidden_units(self.activation, len(sizes))
        if embeddings_of(self) is not None and SOLVERS[self.solver].update == DAMPED:
            raise ValueError(
                "solver='lm' is not there for embeddings; pass 'adam', 'sgd', 'gd' or 'lbfgs'."
            )
        if self.alpha == "evidence" and SOLVERS[self.solver].update != DAMPED:
            raise ValueError(f"alpha='evidence' needs solver='lm'; got solver={self.solver!r}.")
        solver = SOLVERS[self.solver]
        update_settings.require_of_solver(
            solver.name,
            solver.update == ADAM,
            solver.by_steps,
            weight_decay=self.weight_decay,
            average=self.average,
            clip_norm=self.clip_norm,
        )
        if self.learning_rate == "cosine" and not solver.takes_schedule:
            raise ValueError(
                f"learning_rate='cosine' needs solver='adam' or 'sgd'; got solver={self.solver!r}. "
                "Pass learning_rate='constant'."
            )

    def _check_solver(self) -> bool:
        if not self._stochastic:
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def with_function(network: Network, loss: Loss | None) -> Network:
    """The network of a model file with the function of its loss, if that is what was passed."""
    known = network.loss
    if loss is None or not isinstance(known, WithoutFunction) or known.as_json != loss.as_json:
        return network
    return Network(network.sizes, network.hidden, network.output, loss, network.embeddings)


def put_embeddings(parameters: list[Any], views: list[Any]) -> None:
    """Copy the parameters of embeddings into views of a flat vector."""
    for given, view in zip(parameters, views, strict=True):
        if isinstance(view, tuple):
            for part, numbers in zip(view, given, strict=True):
                part[:] = numbers
        elif view is not None:
            view[:] = given


class Snapshot:
    """The state of an estimator before a fit, to be restored if the fit fails.

    It holds the attributes, the lengths of the curves, and the state of the generator.
    """

    def __init__(self, estimator: Any) -> None:
        self._attributes = dict(vars(estimator))
        curves = {name: self._attributes.get(name) for name in CURVES}
        self._lengths = {name: len(curve) for name, curve in curves.items() if curve is not None}
        self._draws = self._attributes.get("_draws")
        self._words = None if self._draws is None else self._draws.words()

    def put_back(self, estimator: Any) -> None:
        """Undo a fit, except for what scikit-learn needs to end its callbacks."""
        attributes = vars(estimator)
        callbacks = {name: value for name, value in attributes.items() if "callback" in name}
        attributes.clear()
        attributes.update(self._attributes | callbacks)
        for name, length in self._lengths.items():
            if len(attributes[name]) > length:
                attributes[name] = attributes[name][:length]
        if self._draws is not None:
            self._draws.go_on_from(self._words)
