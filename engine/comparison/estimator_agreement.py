"""The two estimators that are compared, their data, and whether they do the same work.

They are made alike but for one import, and fitted on the same parts of the data, seed by seed.
Losses are computed alike from the parameters that each reached. scikit-learn's own `loss_` takes
probabilities below epsilon for epsilon, so that where units saturate it is another number.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

CLASSIFIER, REGRESSOR = "classifier", "regressor"
KINDS = {
    "iris": CLASSIFIER,
    "wine": CLASSIFIER,
    "breast_cancer": CLASSIFIER,
    "digits": CLASSIFIER,
    "diabetes": REGRESSOR,
}


class DataSet(NamedTuple):
    """Samples as rows, and their targets: class codes, or numbers. `dtype` is that of the fits."""

    name: str
    kind: str
    dtype: str
    X: NDArray[Any]
    y: NDArray[Any]


def load_data_set(name: str, dtype: str) -> DataSet:
    """The data set of that name as it comes, in float64."""
    from sklearn import datasets

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return DataSet(name, KINDS[name], dtype, X, y)


def standardised(data: DataSet, training: ArrayLike | slice = slice(None)) -> DataSet:
    """The data in their dtype, inputs and targets that are numbers scaled by the training rows.

    Over these rows each then has mean 0 and variance 1; a column that is constant there, mean 0.
    """
    X = _scaled(data.X, training).astype(data.dtype)
    if data.kind != REGRESSOR:
        return data._replace(X=X)
    return data._replace(X=X, y=_scaled(data.y[:, None], training)[:, 0].astype(data.dtype))


def _scaled(columns: NDArray[Any], training: Any) -> NDArray[Any]:
    from sklearn.preprocessing import StandardScaler

    scaled: NDArray[Any] = StandardScaler().fit(columns[training]).transform(columns)
    return scaled


OURS, THEIRS = "engine", "sklearn"
BOTH = (THEIRS, OURS)


def estimator(whose: str, kind: str, n_threads: int | None = 1, **settings: Any) -> Any:
    """An estimator of that kind with the defaults, but for the settings given.

    The number of threads is ours alone to take: scikit-learn's are those of its BLAS, which the
    process that measures holds to as many.
    """
    made: Callable[..., Any]
    if whose == THEIRS:
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        made = MLPRegressor if kind == REGRESSOR else MLPClassifier
        return made(**settings)
    from engine.estimators.classifier import MLPClassifier as OurClassifier
    from engine.estimators.regressor import MLPRegressor as OurRegressor

    made = OurRegressor if kind == REGRESSOR else OurClassifier
    return made(n_threads=n_threads, **settings)


@contextmanager
def silent() -> Iterator[None]:
    """Without warnings: the defaults reach max_iter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# Relative differences that rounding explains: of the loss after hundreds of epochs, and of a
# regressor's score, 1 - a sum of squares / another.
SAME_LOSS, SAME_SCORE = 1e-6, 1e-6

# What makes an estimator: whose, kind, settings.
Make = Callable[..., Any]


class FitOutcome(NamedTuple):
    """What one fit came to. `score` is on rows that it has not seen, `loss` on those it has."""

    epochs: int
    loss: float
    score: float


class Agreement(TypedDict):
    """Over all seeds. Scores are accuracies, or coefficients of determination."""

    seeds: int
    same_epochs: int  # seeds with as many epochs on both sides
    same_scores: int  # seeds with equal scores
    loss_off: float  # the largest relative difference of the final losses
    scores: dict[str, list[float]]


def outcomes(make: Make, data: DataSet, seeds: int, n_threads: int) -> dict[str, list[FitOutcome]]:
    """Both estimators on the same splits, scaled by their training rows, from the same seeds."""
    from sklearn.model_selection import train_test_split

    found: dict[str, list[FitOutcome]] = {whose: [] for whose in BOTH}
    for seed in range(seeds):
        training, test = train_test_split(np.arange(len(data.X)), random_state=seed)
        _, _, _, X, y = standardised(data, training)
        for whose in BOTH:
            model = make(whose, data.kind, n_threads, random_state=seed)
            with silent():
                model.fit(X[training], y[training])
            score = float(model.score(X[test], y[test]))
            of_fit = loss(model, X[training], y[training])
            found[whose].append(FitOutcome(int(model.n_iter_), of_fit, score))
    return found


def loss(model: Any, X: NDArray[Any], y: NDArray[Any]) -> float:
    """Cross-entropy, or the mean squared error; infinite where a prediction is not finite."""
    from sklearn.metrics import log_loss, mean_squared_error

    classifies = hasattr(model, "predict_proba")
    predicted = model.predict_proba(X) if classifies else model.predict(X)
    if not np.isfinite(predicted).all():
        return math.inf
    return float((log_loss if classifies else mean_squared_error)(y, predicted))


def agreement(found: dict[str, list[FitOutcome]], kind: str) -> Agreement:
    """How far the outcomes are the same."""
    pairs = list(zip(found[THEIRS], found[OURS], strict=True))
    return Agreement(
        seeds=len(pairs),
        same_epochs=sum(theirs.epochs == ours.epochs for theirs, ours in pairs),
        same_scores=sum(_same_score(theirs.score, ours.score, kind) for theirs, ours in pairs),
        loss_off=max(relative(ours.loss, theirs.loss) for theirs, ours in pairs),
        scores={whose: [one.score for one in found[whose]] for whose in BOTH},
    )


def _same_score(theirs: float, ours: float, kind: str) -> bool:
    """Of classifiers to the last bit: a score is a count of rows that were told right."""
    if kind == REGRESSOR:
        return abs(theirs - ours) <= SAME_SCORE * max(1.0, abs(theirs))
    return theirs == ours


def disagreement(agreed: Agreement, dtype: str) -> str | None:
    """Why the times do not count, if they do not.

    In float64 everything is equal to rounding, seed by seed. In float32 rounding alone makes runs
    part: there the mean of our scores lies within the range of scikit-learn's.
    """
    if dtype == "float32":
        return _outside(agreed["scores"][OURS], agreed["scores"][THEIRS])
    seeds = agreed["seeds"]
    if agreed["same_epochs"] < seeds:
        return f"n_iter_ differs with {seeds - agreed['same_epochs']} of {seeds} seeds"
    if not agreed["loss_off"] <= SAME_LOSS:
        return f"the loss is off by {agreed['loss_off']:.1e}"
    if agreed["same_scores"] < seeds:
        return f"test scores differ with {seeds - agreed['same_scores']} of {seeds} seeds"
    return None


def _outside(ours: Sequence[float], theirs: Sequence[float]) -> str | None:
    mean = float(np.mean(ours))
    if min(theirs) <= mean <= max(theirs):
        return None
    return f"mean test score {mean:.3f}, not from {min(theirs):.3f} to {max(theirs):.3f}"


def relative(value: float, reference: float) -> float:
    """The difference in units of the reference; infinite where a value is not finite.

    >>> relative(1.5, 1.0)
    0.5
    >>> relative(float("nan"), 1.0)
    inf
    """
    if value == reference:
        return 0.0
    off = abs(value - reference) / abs(reference) if reference else math.inf
    return off if math.isfinite(off) else math.inf
