"""Training on a few rows, or on one, in microseconds.

A call of `partial_fit` takes a hundred times as long as a step of a small network: it checks rows,
parameters and attributes, and makes a run. `PreparedRows` keeps what a call has found out. As long
as all of it holds, the next call is one compiled call. Else it refuses, and the call takes the
general path, the only one that raises errors and warns. Both leave the same bits and attributes.

A call goes on from what the estimator holds: its parameters (`get_params`), `coefs_` and
`intercepts_`, also if they were changed in place, and its counts. A copy of an estimator shares
arrays with it, so `__getstate__` forgets what is prepared.
"""

import functools
import math
import threading
import weakref
from collections.abc import Callable
from itertools import islice
from operator import is_
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.boundary.samples import outside
from engine.equations.backends import TILED
from engine.equations.layout import views_of
from engine.equations.losses import COMPILED
from engine.estimators.input_validation import FLOATS, PLAIN_TARGETS
from engine.estimators.labels import MULTILABEL, Labels
from engine.estimators.optimiser import optimiser_of, state_of
from engine.estimators.parameters import PLAIN_ENTRIES, PLAIN_TYPES
from engine.estimators.training import settings_of
from engine.losses import Loss
from engine.solvers.prepared_steps import PreparedSteps
from engine.solvers.slices import FINISHED
from engine.solvers.solver import SOLVERS
from engine.solvers.state import FAILURES, LOWEST, RATE, SEEN, STEPS, State
from engine.sums.samples import Samples
from engine.sums.workers import SPAN_SAMPLES

# What is prepared is kept as long as the estimator: at most so many rows, numbers of X, parameters.
MOST_ROWS, MOST_NUMBERS, MOST_PARAMETERS = SPAN_SAMPLES, 100_000, 200_000
# Weights between these need no check of their sum.
LEAST_WEIGHT, MOST_WEIGHT = 1e-30, 1e30

# What is prepared, by the estimator's id. Not among its attributes: those are what a fit has found.
PREPARED: dict[int, "PreparedRows"] = {}


def prepare(estimator: Any) -> None:
    """Prepare for the next calls, after one that took the general path."""
    known = PREPARED.get(id(estimator))
    if known is None or not known.knows(estimator) or known.dtype != estimator._dtype:
        forget(estimator)
        found = PreparedRows.of(estimator)
        if found is not None:
            PREPARED[id(estimator)] = found


def forget(estimator: Any) -> None:
    """Drop what is prepared, as another object shares the estimator's arrays, or will."""
    PREPARED.pop(id(estimator), None)


def with_prepared_rows(general: Any) -> Any:
    """A method `partial_fit` that takes the general path only where it has to."""

    @functools.wraps(general)
    def partial_fit(self: Any, *arguments: Any, **named: Any) -> Any:
        prepared = PREPARED.get(id(self))
        if prepared is not None:
            try:
                rows = rows_of(*arguments, **named)
            except TypeError:  # which the general path words better
                rows = None
            if rows is not None and prepared.train(self, *rows):
                return self
        general(self, *arguments, **named)
        prepare(self)
        return self

    return partial_fit


def rows_of(X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> tuple[Any, ...]:
    """The arguments of `partial_fit`."""
    return X, y, sample_weight, classes


def kept_for_comparison(value: Any) -> Any:
    """A parameter as it is now, to be compared with what it is later. TypeError if it may change.

    A change of what compares as equal, such as of 1 to 1.0, changes no bit.
    """
    if isinstance(value, Loss):
        return value
    entries = value if type(value) in (tuple, list) else ()
    if type(value) not in PLAIN_TYPES and type(value) is not list:
        raise TypeError
    if not PLAIN_ENTRIES.issuperset(map(type, entries)):
        raise TypeError
    return list(value) if type(value) is list else value


class PreparedRows:
    """What an estimator's last call of `partial_fit` has found out, for the next ones.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Just after a call that took the general path.

    Attributes
    ----------
    dtype : dtype
        Of the parameters.
    lock : Lock
        Held by whoever trains.
    learn_quickly : callable or None
        What a learner tries before `learn`, once steps for one row are prepared.
    """

    def __init__(self, estimator: Any) -> None:
        self.lock = threading.Lock()
        key = id(estimator)
        self._owner = weakref.ref(estimator, lambda _: PREPARED.pop(key, None))
        attributes = vars(estimator)
        names, places = estimator._get_param_names(), {name: i for i, name in enumerate(attributes)}
        self._n_first = 1 + max(places[name] for name in names)  # of the attributes
        first = dict(islice(attributes.items(), self._n_first))
        self._first = [
            kept_for_comparison(value) if name in names else value for name, value in first.items()
        ]
        self._network = estimator._network
        self._labels: Labels | None = attributes.get("_labels")
        self._classes = attributes.get("classes_")
        self._draws = estimator._draws
        self.dtype = estimator._dtype
        self._steps: PreparedSteps | None = None
        self._optimiser: Any = None  # an Optimiser whose arrays are those of the steps
        self._codes = None if self._labels is None else codes_of(self._labels)
        row = self._network.loss.row
        self._has_limit = self._labels is None and row.low > -math.inf
        # The arrays that the estimator holds, and the vector whose views they are; its counts.
        self._coefs: list[Any] = []
        self._intercepts: list[Any] = []
        self._theta: Any = None
        self._t: Any = None
        self._best: Any = None
        self._is_quick = False  # whether a learner has made the last call
        self.learn_quickly: Any = None
        self._batch_size = estimator.batch_size

    @classmethod
    def of(cls, estimator: Any) -> "PreparedRows | None":
        """That of an estimator; None where only the general path will do."""
        network = estimator._network
        if (
            not SOLVERS[estimator.solver].takes_schedule  # "sgd" and "adam"
            or estimator._backend is not TILED
            or estimator.verbose
            or estimator.max_time is not None
            or estimator.early_stopping
            or not estimator._continues
            or network.embeddings is not None
            or network.loss.row.code == COMPILED
            or network.n_parameters > MOST_PARAMETERS
            or network.sizes[0] > MOST_NUMBERS
        ):
            return None
        labels = vars(estimator).get("_labels")
        if labels is not None and (estimator.warm_start or codes_of(labels) is None):
            return None
        try:
            return cls(estimator)
        except (TypeError, KeyError):  # a parameter that may change unseen, or stands elsewhere
            return None

    # A call of partial_fit.

    def train(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> bool:
        """Train one epoch on these rows, if all is as it was; else False, and nothing is done."""
        if not self.knows(estimator) or "feature_names_in_" in estimator.__dict__:
            return False
        if type(X) is not np.ndarray or X.dtype not in FLOATS:
            X = plain_rows(X)
        if X is None or X.ndim != 2 or (classes is not None and not self._has_classes(classes)):
            return False
        n_rows = X.shape[0]
        if self._batch_size != "auto" and self._batch_size > n_rows:
            return False  # there is a warning for that
        if not self.lock.acquire(blocking=False):
            return False
        try:
            steps = self._steps_for(estimator, n_rows)
            if steps is None or X.shape != steps.X.shape:
                return False
            if not self._put_targets(steps, y) or not self._put_weights(steps, sample_weight):
                return False
            put(steps.X, X)
            return self._epoch(estimator, steps, self._widens(X), in_place=False) is not None
        finally:
            self.lock.release()

    def knows(self, estimator: Any) -> bool:
        """Whether this is the estimator, with the parameters and network of the last call."""
        attributes = estimator.__dict__
        try:
            return (
                [*attributes.values()][: self._n_first] == self._first
                and attributes.get("_network") is self._network
                and attributes.get("_labels") is self._labels
                and attributes.get("classes_") is self._classes
                and attributes.get("_draws") is self._draws
                and "coefs_" in attributes
                and self._owner() is estimator
            )
        except ValueError:  # an array is a parameter now
            return False

    def _widens(self, X: NDArray[Any]) -> bool:
        """Whether these float32 rows are trained on in float64."""
        return X.dtype == np.float32 and self.dtype == np.float64

    def _has_classes(self, classes: Any) -> bool:
        """Whether an argument of `partial_fit` names the classes that are known."""
        if type(classes) is np.ndarray:
            classes = classes.tolist()
        known = self._codes
        if type(classes) is not list or known is None or len(classes) != len(known):
            return False
        try:
            return [known.get(label) for label in classes] == list(range(len(known)))
        except TypeError:
            return False

    def _steps_for(self, estimator: Any, n_rows: int) -> PreparedSteps | None:
        """The steps for so many rows; None if only the general path will do."""
        if self._steps is None or len(self._steps.X) != n_rows:
            many = n_rows > MOST_ROWS or n_rows * self._network.sizes[0] > MOST_NUMBERS
            shuffles = n_rows > 1 and estimator.shuffle
            if n_rows == 0 or many or (shuffles and self._draws.are_shared):
                return None
            self._prepare(estimator, n_rows)
        return self._steps

    def _prepare(self, estimator: Any, n_rows: int) -> None:
        """Prepare the steps for so many rows, if one thread takes them."""
        self._steps = None  # also if there is no memory for others
        solver, network = SOLVERS[estimator.solver], self._network
        batch_size = estimator._batch_size(n_rows)
        self._settings = settings_of(solver, vars(estimator), n_rows, network.sizes[0], batch_size)
        rows = Samples(np.zeros((network.sizes[0], n_rows), self.dtype))
        plans, threads = zip(
            *(estimator._plan_of(rows, self._settings, "", widened) for widened in (False, True)),
            strict=True,
        )
        if threads[0].number > 1:
            return  # the general path lets them share a step
        self._shuffles = n_rows > 1 and self._settings.shuffle == 1
        in_codes = self._labels is not None and network.output == "softmax"
        state = self._state_of(estimator, n_rows)
        steps = PreparedSteps(
            estimator._layers_to_train, self._settings, state, network.loss.n_outputs, in_codes
        )
        self._steps, self._optimiser = steps, None
        self._theta = None
        self._counts, self._sums = steps.state.counts.data, steps.state.sums.data
        self._cost = steps.history[0].data
        self._weighted = False
        self._parameters = steps.state.parameters
        layers = self._views(self._parameters)
        self._in_place = [W.T for W, _ in layers], [b for _, b in layers]
        self._record = self._made_record()
        self.learn_quickly = self._made_quick(steps) if n_rows == 1 else None
        self._of_fit = [
            {
                "plan_": plan,
                "n_threads_": plan.n_threads,
                "_penalty": (self._settings.alpha, self._settings.batch_size),
            }
            for plan in plans
        ]

    def _views(self, theta: NDArray[Any]) -> list[tuple[Any, Any]]:
        return views_of(theta, self._network.sizes)

    def _state_of(self, estimator: Any, n_rows: int) -> State:
        """The state that the general path would begin with."""
        solver = SOLVERS[estimator.solver]
        return state_of(
            estimator._optimiser(solver, self._settings, True),
            self._settings,
            estimator._theta(),
            n_rows,
            self._draws.words(),
            same_order=True,
            ordered=True,
            seen=estimator.t_,
            lowest=estimator.best_loss_,
            failures=estimator._no_improvement_count,
        )

    def _put_targets(self, steps: PreparedSteps, y: Any) -> bool:
        """Write y as targets; False if the general path has to look at it."""
        if type(y) is not np.ndarray:
            if type(y) is not list:
                return False
            y = np.asarray(y)
        targets = steps.targets
        if self._labels is None:
            columns = targets.shape[1]
            right = y.ndim == 1 if columns == 1 else y.ndim == 2 and y.shape[1] == columns
            if not right or y.dtype not in PLAIN_TARGETS or len(y) != len(targets):
                return False
            if self._has_limit and outside(y, self._network.loss.row):
                return False
            put(targets, y.reshape(targets.shape))
            return True
        if self._labels.kind == MULTILABEL:
            right = y.shape == targets.shape and y.dtype.kind in "biuf"
            if not right or not np.all((y == 0) | (y == 1)):
                return False
            targets[:] = y
            return True
        if y.shape != (len(targets),) or y.dtype.kind not in "biufU":
            return False
        assert self._codes is not None
        try:
            codes = [self._codes[label] for label in y.tolist()]
        except KeyError:
            return False
        if len(codes) == 1:
            targets[0] = codes[0]
        else:
            targets.reshape(-1)[:] = codes
        return True

    def _put_weights(self, steps: PreparedSteps, sample_weight: Any) -> bool:
        """Write the weights; False if the general path has to look at them."""
        if sample_weight is None:
            if self._weighted:
                steps.weights[:] = 1
                self._weighted = False
            return True
        weights = np.asarray(sample_weight)
        if weights.shape != steps.weights.shape or weights.dtype not in FLOATS:
            return False
        if not weights.min() > LEAST_WEIGHT or not weights.max() < MOST_WEIGHT:
            return False
        self._weighted = True
        steps.weights[:] = weights
        return True

    # What both have in common.

    def _epoch(
        self, estimator: Any, steps: PreparedSteps, widened: bool, in_place: bool
    ) -> float | None:
        """Take an epoch from what the estimator holds, and give it the result.

        Returns the loss; None if the epoch failed, and then nothing has changed.
        """
        attributes = estimator.__dict__
        order = steps.state.order.copy() if self._shuffles else None
        if not self._load(estimator, steps):
            return None
        try:
            if steps.take() == FINISHED:
                return self._give(attributes, steps, widened, in_place)
        except KeyboardInterrupt:  # it may come between the epoch and its record
            if self._counts[SEEN] != attributes["t_"]:
                self._give(attributes, steps, widened, in_place)
            raise
        self._is_quick = False
        if order is not None:
            steps.state.order[:] = order
        return None

    def _load(self, estimator: Any, steps: PreparedSteps) -> bool:
        """Go on from what the estimator holds; False if that is of another dtype."""
        attributes = estimator.__dict__
        optimiser = attributes.get("_optimizer")
        if optimiser is not self._optimiser or not self._holds(attributes):
            if estimator._dtype != self.dtype:
                return False
            steps.load(self._state_of(estimator, len(steps.X)))
            steps.shown[:] = steps.state.average
            self._optimiser = optimiser_of(steps.state, self._settings)
            if steps.shown.size:
                self._optimiser.theta, self._optimiser.average = steps.state.theta, steps.shown
            self._theta = None
            return True
        if self._theta is not self._parameters:
            self._parameters[:] = self._theta
        counts, sums = self._counts, self._sums
        counts[STEPS], counts[SEEN] = optimiser.steps, attributes["t_"]
        counts[FAILURES] = attributes["_no_improvement_count"]
        sums[RATE], sums[LOWEST] = optimiser.rate, attributes["best_loss_"]
        if self._shuffles:
            steps.state.random[:] = self._draws.words()
        return True

    def _holds(self, attributes: dict[str, Any]) -> bool:
        """Whether coefs_ and intercepts_ hold the arrays that the last call left."""
        found = [*attributes["coefs_"], *attributes["intercepts_"]]
        held = [*self._coefs, *self._intercepts]
        return len(found) == len(held) and all(map(is_, found, held))

    def _give(
        self, attributes: dict[str, Any], steps: PreparedSteps, widened: bool, in_place: bool
    ) -> float:
        """Let the estimator hold what an epoch ended with; returns its loss.

        Its `coefs_` and `intercepts_` are new arrays or, `in_place`, those that change.
        """
        if not in_place or self._theta is not self._parameters:
            self._show(attributes, in_place)
        if self._shuffles:
            self._draws.go_on_from(steps.state.random.copy())
        of_fit = self._of_fit[widened]
        if attributes["plan_"] is not of_fit["plan_"]:
            attributes.update(of_fit)
        attributes["_optimizer"] = self._optimiser
        self._is_quick = in_place and not widened and not self._weighted
        loss: float = self._record(attributes)
        return loss

    def _show(self, attributes: dict[str, Any], in_place: bool) -> None:
        """Give the estimator coefs_ and intercepts_."""
        if in_place:
            self._theta = self._parameters
            coefs, intercepts = self._in_place
        else:
            self._theta = self._parameters.copy()
            layers = self._views(self._theta)
            coefs, intercepts = [W.T for W, _ in layers], [b for _, b in layers]
        self._coefs, self._intercepts = coefs, intercepts
        attributes["coefs_"], attributes["intercepts_"] = list(coefs), list(intercepts)

    # A call of a learner.

    def learn(self, estimator: Any, row: NDArray[Any], target: Any, weight: float) -> float | None:
        """Train in place on a row (n_features,); its loss before, or None, and nothing is done.

        `target` is a number, a class code or a vector of targets that the dtype can hold.
        """
        with self.lock:
            if not self.knows(estimator):
                return None
            steps = self._steps_for(estimator, 1)
            if steps is None:
                return None
            steps.X[0] = row
            steps.targets[0] = target
            steps.weights[0], self._weighted = weight, weight != 1
            return self._epoch(estimator, steps, self._widens(row), in_place=True)

    def _made_quick(self, steps: PreparedSteps) -> Any:
        """`learn` in as few steps as Python can take: a closure, whose variables are found faster.

        For a row of the network's dtype and weight 1. It takes the estimator's attributes, the row
        and its target; it returns None unless the last call was of a learner, and all stands.
        """
        take, record, lock = steps.take, self._record, self.lock
        numbers, counts = steps.X[0], self._counts
        one = steps.targets.size == 1
        targets: Any = steps.targets.reshape(-1).data if one else steps.targets
        n_first, first = self._n_first, self._first
        coefs, intercepts = self._in_place
        # Lists of the same arrays are equal; those of others have no truth, or have one number.
        last, compares = intercepts[-1], min(map(np.size, [*coefs, *intercepts[:-1]])) > 1

        def learn(attributes: dict[str, Any], row: NDArray[Any], target: Any) -> Any:
            with lock:
                try:
                    if not (
                        self._is_quick
                        and attributes["t_"] is self._t
                        and attributes["best_loss_"] is self._best
                        and attributes.get("_optimizer") is self._optimiser
                        and attributes["coefs_"] == coefs
                        and attributes["intercepts_"] == intercepts
                        and attributes["intercepts_"][-1] is last
                        and [*attributes.values()][:n_first] == first
                    ):
                        return None
                except (ValueError, KeyError):
                    return None
                numbers[:] = row
                targets[0] = target
                try:
                    if take() == FINISHED:
                        return record(attributes)
                except KeyboardInterrupt:  # as in `_epoch`
                    if counts[SEEN] != attributes["t_"]:
                        record(attributes)
                    raise
                return None  # and `learn` will see why

        return learn if compares else None

    def _made_record(self) -> Callable[[dict[str, Any]], Any]:
        """A function that writes down in an estimator's attributes what an epoch came to."""
        counts, sums, cost = self._counts, self._sums, self._cost

        def record(attributes: dict[str, Any]) -> Any:
            optimiser = self._optimiser
            optimiser.steps, optimiser.rate = counts[STEPS], sums[RATE]
            attributes["loss_"] = loss = cost[0]
            if loss < attributes["best_loss_"]:
                attributes["best_loss_"] = loss
            self._best = attributes["best_loss_"]
            attributes["_no_improvement_count"] = counts[FAILURES]
            attributes["n_iter_"] = 1
            attributes["t_"] = self._t = counts[SEEN]  # last: after it Ctrl-C leaves nothing to do
            attributes["loss_curve_"].append(loss)
            return loss

        return record


def put(numbers: NDArray[Any], given: NDArray[Any]) -> None:
    """Copy numbers; what overflows is infinite, without a warning."""
    if numbers.dtype == given.dtype:
        numbers[:] = given
    else:
        with np.errstate(over="ignore"):
            numbers[:] = given


def plain_rows(X: Any) -> NDArray[Any] | None:
    """A list of rows, or whole numbers, in float64; None if it is anything else."""
    if type(X) is list:
        try:
            X = np.asarray(X)
        except ValueError:  # rows of different lengths
            return None
    if type(X) is not np.ndarray or X.dtype.kind not in "biuf":
        return None
    rows: NDArray[Any] = X if X.dtype in FLOATS else X.astype(np.float64)
    return rows


def codes_of(labels: Labels) -> dict[Any, int] | None:
    """The code of each class, by its label; None if labels are to be looked at by scikit-learn."""
    if labels.kind == MULTILABEL:
        return {}
    known = labels.classes.tolist()
    if labels.classes.dtype.kind == "f" and not all(label.is_integer() for label in known):
        return None
    if labels.classes.dtype.kind == "O" and not all(type(label) is str for label in known):
        return None
    return {label: code for code, label in enumerate(known)}
