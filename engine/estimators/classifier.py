"""MLPClassifier."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.callback import with_callbacks
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, unique_labels
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from engine.estimators import parameters, scores
from engine.estimators.base import MultilayerPerceptron
from engine.estimators.class_weights import ClassWeights
from engine.estimators.labels import BINARY, MULTICLASS, MULTILABEL, Labels
from engine.estimators.predictor import RowClassifier
from engine.estimators.rows import Rows


class MLPClassifier(ClassifierMixin, MultilayerPerceptron):
    """DOC"""

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012  # scikit-learn's convention
        **parameters.CONSTRAINTS,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
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
        shuffle: bool = True,
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
        scoring: Any = None,
        continuation: str = "exact",
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
        self.scoring = scoring
        self.continuation = continuation

    @with_callbacks
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
    ) -> "MLPClassifier":
        """DOC"""
        self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))
        return self

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> "MLPClassifier":
        """DOC"""
        before = dict(self.__dict__)
        try:
            if _check_partial_fit_first_call(self, classes):
                labels = np.asarray(y) if _is_multilabel(y) else unique_labels(classes)
                self._set_labels(Labels(labels))
            self._fit(X, y, sample_weight, incremental=True)
        except BaseException:
            if not hasattr(self, "coefs_"):
                self.__dict__.clear()
                self.__dict__.update(before)
            raise
        return self

    def predict(self, X: Any) -> Any:
        """DOC"""
        activations = self._activations(X)
        return self._labels.decode(activations)

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """DOC"""
        activations = self._activations(X)
        if self.n_outputs_ > 1:
            return activations
        both = np.empty((len(activations), 2), activations.dtype)
        both[:, 1] = activations[:, 0]
        both[:, 0] = 1 - activations[:, 0]
        return both

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """DOC"""
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):  # log 0 is -inf
            logarithms: NDArray[Any] = np.log(probabilities, out=probabilities)
        return logarithms

    def predictor(self) -> RowClassifier:
        """DOC"""
        check_is_fitted(self)
        return RowClassifier(self._network, self._theta(), self._labels)

    # What training asks for.

    def _set_labels(self, labels: Labels) -> None:
        self._labels = labels
        self.classes_ = labels.classes

    def _checked_rows(
        self, X: Any, y: Any, sample_weight: Any, *, incremental: bool, reset: bool
    ) -> Rows:
        X, y = self._checked_data(X, y, reset=reset)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._set_labels(Labels(y))
        else:
            self._require_known(y)
        weights = self._weights(y, _checked_weights(sample_weight, X), incremental)
        return Rows(X, self._targets(y), weights)

    def _checked_data(self, X: Any, y: Any, *, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

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

    def _targets(self, y: Any) -> NDArray[Any]:
        if self._labels.kind == MULTILABEL:
            return self._labels.indicators(y)
        codes = self._labels.codes(y)
        return codes[:, None] if self._labels.kind == BINARY else codes

    def _validation_rows(self, X: Any, y: Any, sample_weight: Any) -> Rows:
        X, y = self._checked_data(X, y, reset=False)
        weights = _checked_weights(sample_weight, X)
        unknown = np.setdiff1d(unique_labels(y), self.classes_, assume_unique=True)
        if len(unknown):
            raise ValueError(
                f"y_val has classes that y has not: {unknown}. y has {self.classes_}; leave those "
                "rows out, or train on rows of all classes."
            )
        if self.class_weight is not None:
            of_samples = self._class_weights.of_samples(y)
            weights = of_samples if weights is None else weights * of_samples
        return Rows(X, self._targets(y), weights)

    def _outputs(self, rows: Rows) -> tuple[int, str]:
        output = "softmax" if self._labels.kind == MULTICLASS else "logistic"
        return self._labels.n_outputs, output

    def _stratifies(self) -> bool:
        return self._labels.kind == BINARY

    def _score_of(self, activations: NDArray[Any], rows: Rows) -> float:
        if self._labels.kind == MULTICLASS:
            return scores.accuracy(activations.argmax(axis=1), rows.targets, rows.weights)
        if self._labels.kind == MULTILABEL:
            return scores.accuracy(activations > 0.5, rows.targets, rows.weights)
        codes = self._labels.binary_codes(activations)
        return scores.accuracy(codes, rows.targets[:, 0], rows.weights)

    def _labels_of(self, rows: Rows) -> Any:
        if self._labels.kind == MULTILABEL:
            return rows.targets.astype(int)
        return self.classes_[rows.targets.reshape(-1)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _checked_weights(sample_weight: Any, X: Any) -> Any:
    return None if sample_weight is None else _check_sample_weight(sample_weight, X)


def _is_multilabel(y: Any) -> bool:
    from sklearn.utils.multiclass import type_of_target

    return bool(type_of_target(y).startswith("multilabel"))
