"""MLPRegressor."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin, _fit_context
from sklearn.callback import with_callbacks
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight, validate_data

from engine.estimators import parameters, scores
from engine.estimators.base import MultilayerPerceptron
from engine.estimators.rows import Rows


class MLPRegressor(RegressorMixin, MultilayerPerceptron):
    """DOC"""

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012  # scikit-learn's convention
        **parameters.CONSTRAINTS,
        "loss": [StrOptions({"squared_error", "poisson"})],
    }

    def __init__(
        self,
        loss: str = "squared_error",
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
        progress: bool = False,
        max_time: float | None = None,
        scoring: Any = None,
        continuation: str = "exact",
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
    ) -> "MLPRegressor":
        """DOC"""
        self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))
        return self

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "MLPRegressor":
        """DOC"""
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """DOC"""
        activations = self._activations(X)
        return activations[:, 0] if self.n_outputs_ == 1 else activations

    # What training asks for.

    def _checked_rows(
        self, X: Any, y: Any, sample_weight: Any, *, incremental: bool, reset: bool
    ) -> Rows:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        y = y.reshape(len(y), -1)
        if self.loss == "poisson" and y.min() < 0:
            raise ValueError(
                f"loss='poisson' needs y that is not negative; its smallest entry is {y.min():g}."
            )
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        return Rows(X, y, weights)

    def _validation_rows(self, X: Any, y: Any, sample_weight: Any) -> Rows:
        rows = self._checked_rows(X, y, sample_weight, incremental=False, reset=False)
        if rows.targets.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y_val has {rows.targets.shape[1]} outputs, but y has {self.n_outputs_}."
            )
        return rows

    def _outputs(self, rows: Rows) -> tuple[int, str]:
        return rows.targets.shape[1], "exp" if self.loss == "poisson" else "identity"

    def _stratifies(self) -> bool:
        return False

    def _score_of(self, activations: NDArray[Any], rows: Rows) -> float:
        return scores.r2(activations, rows.targets, rows.weights)

    def _labels_of(self, rows: Rows) -> Any:
        return rows.targets[:, 0] if rows.targets.shape[1] == 1 else rows.targets
