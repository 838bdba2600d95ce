"""TableRegressor: a number, or its quantiles, predicted from the columns of a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import _check_sample_weight

from engine.boundary.dates import refuse_dates
from engine.boundary.settings import listed
from engine.equations.losses import COMPILED, HUBER, QUANTILE
from engine.estimators import held_out
from engine.estimators.regressor import LOSSES_OF_NUMBERS, MLPRegressor
from engine.losses import Huber, Loss, did_you_mean, named
from engine.tables.calibration import have_same_rows, shifts_of
from engine.tables.column_kinds import LARGEST, SMALLEST
from engine.tables.given_rows import one_for_each_row
from engine.tables.member_fits import Rows
from engine.tables.table_estimator import TableEstimator
from engine.tables.target import REGRESSION


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
    n_validation_rows_ : list of int
        Of each network.
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
        y = _numbers(one_for_each_row("y", y, len(predicted)))[:, np.newaxis]
        s = None if sample_weight is None else _check_sample_weight(sample_weight, y)
        if self._loss.name == "squared_error":
            return held_out.r2(predicted[:, np.newaxis], y, s)
        predicted, y = self._as_it_takes(predicted.reshape(len(y), -1), y)
        return held_out.d2(self._loss_of_target, predicted, y, s)

    @property
    def _loss(self) -> Loss:
        """That of the fit; before, and while one is made, the parameter."""
        is_fitted = "members_" in vars(self) and hasattr(self, "_parameters_of_fit")
        loss = self._parameters_of_fit["loss"] if is_fitted else self.loss
        if isinstance(loss, Loss):
            return loss
        known = (*LOSSES_OF_NUMBERS, "tweedie")
        if loss not in known:
            raise ValueError(
                f"loss must be {listed(LOSSES_OF_NUMBERS)}, or one of engine.losses, such as "
                f"Tweedie(power); got {loss!r}.{did_you_mean(loss, known)}"
            )
        return named(loss)

    @property
    def _loss_of_target(self) -> Loss:
        """The loss in units of the target."""
        is_huber = self._loss.row.code == HUBER
        return Huber(self._loss.numbers[0] * self.y_scale_) if is_huber else self._loss

    def _as_it_takes(self, *values: NDArray[Any]) -> list[NDArray[Any]]:
        """Targets and predictions as `_loss_of_target` takes them: scaled, if it is a user's own.

        Its numbers, such as a threshold, are those of the scaled target that networks learn.
        """
        if self._loss.row.code != COMPILED:
            return [*values]
        return [(one - self.y_mean_) / self.y_scale_ for one in values]

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

    def _targets(self, y: Any, argument: str = "y") -> NDArray[Any]:
        return ((_numbers(y, argument) - self.y_mean_) / self.y_scale_).astype(np.float32)

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
        if self.calibrate and tried and self._loss.row.code == QUANTILE:
            if have_same_rows(tried):  # then their average is known there
                tried = [(np.mean([outputs for outputs, _ in tried], axis=0), tried[0][1])]
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
        outputs, y = self._as_it_takes(outputs.reshape(len(y), -1), y[:, np.newaxis])
        return held_out.mean_cost(self._loss_of_target, outputs, y, weights)


def _numbers(y: Any, argument: str = "y") -> NDArray[np.float64]:
    """y as finite numbers."""
    refuse_dates(argument, y)
    try:
        if np.iscomplexobj(y):
            raise TypeError
        numbers = np.asarray(y).astype(np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"{argument} must hold numbers; got {np.asarray(y).dtype}. For classes, use a "
            "TableClassifier."
        ) from None
    if not np.isfinite(numbers).all():
        raise ValueError(
            f"{argument} must be finite, but holds NaN or infinity; leave those rows out."
        )
    if len(numbers) and np.abs(numbers).max() > LARGEST:
        raise ValueError(
            f"{argument} must be at most {LARGEST:g}; use another unit, or mend those rows."
        )
    return numbers
