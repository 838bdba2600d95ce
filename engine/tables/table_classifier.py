"""TableClassifier: a class predicted from the columns of a table."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight

from engine.estimators.class_weights import ClassWeights
from engine.estimators.classifier import MLPClassifier
from engine.estimators.findings import in_python
from engine.estimators.labels import Labels
from engine.many.averages import aligned
from engine.tables import column_kinds
from engine.tables.calibration import calibrated, have_same_rows, temperature_of
from engine.tables.column_kinds import BOOLEAN, CATEGORY, NUMBER
from engine.tables.given_rows import one_for_each_row
from engine.tables.given_tables import of_values
from engine.tables.member_fits import Rows
from engine.tables.messages import quoted
from engine.tables.table_estimator import TableEstimator
from engine.tables.target import CLASSIFICATION

# How the column of a target was read, by the dtype of its classes; others are categories.
KIND_OF_CLASSES = {"i": NUMBER, "f": NUMBER, "b": BOOLEAN}


class TableClassifier(ClassifierMixin, TableEstimator):
    """Classes predicted from the columns of a table, as the table comes.

    As `TableRegressor`, with probabilities that are averaged.

    Parameters
    ----------
    class_weight : dict, "balanced" or None, default=None
        How much each class counts: its probability is multiplied by it, and all are divided by
        their sum. "balanced" is the inverse of its share of the rows, so that rare classes are
        found; probabilities are then those of a table with as many rows of each class. Training
        does not change: networks that were trained with such weights predicted worse.
    calibrate : bool, default=True
        Raise probabilities to the power 1 / T that fits validation rows best (T1), if all networks
        have the same ones: your own, the latest, or those of a single network. Else T is 1: the
        mean of networks that were validated on other rows needs none.
    label_smoothing : float, optional
        As of `MLPClassifier`.
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
    classes_ : ndarray (n_classes,)
    members_ : list of MLPClassifier
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
    class_weights_ : ndarray (n_classes,) or None
    temperature_ : float
        T of the calibration.

    See Also
    --------
    TableRegressor, MLPClassifier, engine.embeddings

    Notes
    -----
    As of `TableRegressor`. Classes of few rows are in the training rows of all networks.

    Examples
    --------
    >>> from engine import TableClassifier
    >>> table = {"size": [k % 10 for k in range(300)], "shop": ["abc"[k % 3] for k in range(300)]}
    >>> y = ["dear" if k % 10 > 6 or k % 3 == 2 else "cheap" for k in range(300)]
    >>> model = TableClassifier(random_state=0).fit(table, y)
    >>> model.predict({"size": [9, 1], "shop": ["a", None]})
    array(['dear', 'cheap'], dtype='<U5')
    """

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012
        **TableEstimator._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left"), None],
        "calibrate": ["boolean"],
    }
    _task = CLASSIFICATION

    def __init__(
        self,
        *,
        class_weight: Any = None,
        calibrate: bool = True,
        label_smoothing: float | None = None,
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
        self.class_weight = class_weight
        self.calibrate = calibrate
        self.label_smoothing = label_smoothing
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

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each row."""
        return self._from_average(self._averaged(X))

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability (n_rows, n_classes) of each class, in the order of `classes_`."""
        return self._probabilities(self._averaged(X))

    def _probabilities(self, mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """Averages at the temperature of the validation rows, with the weights of classes."""
        p = calibrated(mean, self.temperature_)
        if self.class_weights_ is not None:
            p = p * self.class_weights_
            p /= p.sum(axis=1, keepdims=True)
        return p

    def _from_average(self, mean: NDArray[np.float64]) -> NDArray[Any]:
        """The most probable classes."""
        found: NDArray[Any] = self.classes_[self._probabilities(mean).argmax(axis=1)]
        return found

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy."""
        predicted = self.predict(X)
        y = self._as_labels(one_for_each_row("y", y, len(predicted)))
        if not np.isin(y, self.classes_).any():
            raise ValueError(
                f"y has none of the classes of training, which are {quoted(self.classes_.tolist())}"
                f"; got {y.tolist()[0]!r}. Pass labels as they were there."
            )
        right = predicted == y
        s = None if sample_weight is None else _check_sample_weight(sample_weight, predicted)
        return float(np.average(right, weights=s))

    def _learn_target(self, y: Any, weights: Any) -> NDArray[Any]:
        _labels_in(y)
        # A column that was named as the target may hold any numbers: the user calls them classes.
        is_named = self.target_name_ is not None and y.dtype.kind == "f"
        labels = Labels.of_classes(np.unique(y)) if is_named else Labels(y)
        if len(labels.classes) < 2:
            raise ValueError(
                f"The target is {labels.classes[0].item()!r} in every row: there is nothing to "
                "learn. Pass rows with other classes."
            )
        if 2 < len(labels.classes) == len(y):
            raise ValueError(
                f"The target has {len(labels.classes):,} classes in {len(y):,} rows, and a class "
                "needs several rows to be learnt from. For numbers, use a TableRegressor."
            )
        self._labels = labels
        self.classes_ = labels.classes
        self._weigh_classes(labels, y, weights)
        return labels.codes(y)

    def _weigh_classes(self, labels: Labels, y: Any, weights: Any) -> None:
        self.class_weights_ = None
        if self.class_weight is not None:
            found = ClassWeights(self.class_weight, labels, y, weights)
            self.class_weights_ = np.array(found.of_classes, np.float64)
            if not (self.class_weights_ >= 0).all() or not 0 < self.class_weights_.sum() < np.inf:
                raise ValueError(
                    "class_weight must have numbers of 0 or more, one of them above 0; got "
                    f"{self.class_weight!r}."
                )

    def know_classes(self, labels: Labels, of_codes: Labels, codes: NDArray[Any]) -> None:
        """Set what `fit` learns of the target, if rows have codes of the classes already."""
        self._labels, self.classes_ = labels, labels.classes
        self._weigh_classes(of_codes, codes, None)

    def _as_labels(self, y: NDArray[Any], argument: str = "y") -> NDArray[Any]:
        """Labels in the type of `classes_`, if these were read from the column of the target.

        That column may have had numbers, or true and false, as texts.
        """
        values = _labels_in(y, argument)
        kind = KIND_OF_CLASSES.get(self.classes_.dtype.kind, CATEGORY)
        if self.target_name_ is None or values.dtype == pl.Object:
            return y
        labels, wrong = column_kinds.as_kind(values, kind)
        if len(wrong):  # which are of no class
            return y
        return np.array(labels.to_list(), str) if kind == CATEGORY else labels.to_numpy()

    def _targets(self, y: Any, argument: str = "y") -> NDArray[Any]:
        y = self._as_labels(y, argument)
        unknown = ~np.isin(y, self.classes_)
        if unknown.any():
            raise ValueError(
                f"{argument} has a class that training had not seen: {y[unknown].tolist()[0]!r}."
            )
        return self._labels.codes(y)

    def _strata(self, y: NDArray[Any]) -> NDArray[Any]:
        return y

    def _member(self, settings: Mapping[str, Any]) -> MLPClassifier:
        return MLPClassifier(**settings)

    def _outputs_of(self, member: Any, X: NDArray[Any]) -> NDArray[Any]:
        p = member.predict_proba(X).astype(np.float64)
        return aligned(p, member.classes_, np.arange(len(self.classes_)))

    def _output_of_row(self, member: Any, predictor: Any, row: NDArray[Any]) -> Any:
        p = predictor.predict_proba(row)[np.newaxis].astype(np.float64)
        return aligned(p, member.classes_, np.arange(len(self.classes_)))[0]

    def _concerns(self, warning: Warning) -> bool:
        """The networks do not know the weights of classes, which count at prediction."""
        remedy = getattr(getattr(warning, "finding", None), "remedy", "")
        return self.class_weights_ is None or remedy != "weigh the classes"

    def _in_labels(self, warning: Warning) -> Warning:
        finding = getattr(warning, "finding", None)
        if finding is None or "label" not in finding.values:
            return warning
        label = self.classes_[int(finding.values["label"])].item()
        finding = finding._replace(values={**finding.values, "label": label})
        whose, _, _ = str(warning).partition(": ")
        said: Any = type(warning)(f"{whose}: {in_python(finding)}")
        said.finding = finding
        return said  # type: ignore[no-any-return]

    def _tune(self, tried: Sequence[tuple[NDArray[Any], Rows]]) -> None:
        # Of rows that each network holds out for itself, no mean over networks is known.
        self.temperature_ = 1.0
        if self.calibrate and have_same_rows(tried):
            mean = np.mean([outputs for outputs, _ in tried], axis=0)
            self.temperature_ = temperature_of(mean, tried[0][1].y, tried[0][1].weights)

    def _mean_loss(self, rows: Rows) -> float:
        p = self._probabilities(self._average(rows.X))
        own = p[np.arange(len(p)), rows.y]
        losses = -np.log(np.maximum(own, np.finfo(np.float64).tiny))
        return float(np.average(losses, weights=rows.weights))


def _labels_in(y: NDArray[Any], argument: str = "y") -> pl.Series:
    """Labels as a column; ValueError for missing ones, and for texts among other labels."""
    values = of_values(argument, y)
    if values.is_null().any() or (values.dtype.is_float() and values.is_nan().any()):
        raise ValueError(
            f"{argument} holds missing labels; leave those rows out, or name the target's column "
            "by target=, which does."
        )
    if values.dtype.is_float() and values.is_infinite().any():
        raise ValueError(f"{argument} holds infinity, which is no label; leave those rows out.")
    firsts = {isinstance(label, str): label for label in y} if y.dtype == object else {}
    if len(firsts) > 1:
        raise ValueError(
            f"y mixes texts and other labels, such as {firsts[True]!r} and {firsts[False]!r}: make "
            "them all texts, or all numbers."
        )
    return values
