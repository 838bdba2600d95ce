"""The two estimators that are compared, made alike but for one import."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from engine.comparison.estimator_data import REGRESSOR

OURS, THEIRS = "engine", "sklearn"
BOTH = (THEIRS, OURS)


def estimator(whose: str, kind: str, n_threads: int = 1, **settings: Any) -> Any:
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
