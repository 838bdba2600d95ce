"""Which fits can be made side by side with the results that scikit-learn's own order gives."""

from collections.abc import Mapping
from numbers import Number
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from engine.estimators.base import MultilayerPerceptron
from engine.many.fits import Fit

# Arguments of `fit` that a `Fit` can hold.
ARGUMENTS = frozenset(Fit._fields) - {"estimator", "X", "y"}
# Modules whose estimators and functions do the same at each call. Steps that draw from NumPy's own
# generator, which some of scikit-learn's do, are found when they do.
DETERMINISTIC = ("sklearn.", "numpy.", "builtins.")
WITH_GENERATORS = "numpy.random."
PLAIN = (type(None), Number, str, slice, np.ndarray, np.generic, np.dtype)


def network_of(estimator: Any) -> Any:
    """The estimator of ours that is fitted: itself, or the last step of a pipeline; else None."""
    if type(estimator) is Pipeline:
        estimator = estimator.steps[-1][1] if estimator.steps else None
    if isinstance(estimator, MultilayerPerceptron):
        return estimator if type(estimator).fit is MultilayerPerceptron.fit else None
    return None


def can_share(estimator: Any, fit_params: Mapping[str, Any]) -> bool:
    """Whether its fit may be taken apart, and its network be trained beside others.

    A network that prints, calls back, saves itself or looks at the clock is left to scikit-learn.
    So is a pipeline with steps of other libraries: nobody knows what a second fit of them does.
    """
    network = network_of(estimator)
    if network is None or _calls_back(network):
        return False
    watched = (network.verbose, network.progress, network.checkpoint, network.max_time)
    if any(watched):
        return False
    if network is estimator:
        return set(fit_params) <= ARGUMENTS
    *others, (last, _) = estimator.steps
    given = {name.removeprefix(f"{last}__") for name in fit_params if name.startswith(f"{last}__")}
    return (
        given <= ARGUMENTS
        and estimator.memory is None
        and not estimator.verbose
        and not _calls_back(estimator)
        and all(_is_deterministic(step) for _, step in others)
    )


def draws_from_numpy(estimator: Any) -> bool:
    """Whether the network draws from NumPy's own generator, which all such fits share."""
    return network_of(estimator).random_state is None


def _calls_back(estimator: Any) -> bool:
    return bool(getattr(estimator, "_skl_callbacks", None))


def _is_deterministic(value: Any) -> bool:
    """Whether a step, or a parameter of one, is scikit-learn's or NumPy's own, or plain data.

    A generator is not: a second fit draws other numbers from it. Nor is a step with copy=False,
    which writes into the rows that it is given.
    """
    if isinstance(value, BaseEstimator):
        is_known = type(value).__module__.startswith("sklearn.") and not _calls_back(value)
        return is_known and _is_deterministic(value.get_params(deep=False))
    if isinstance(value, dict):
        if any(str(name).startswith("copy") and not entry for name, entry in value.items()):
            return False
        value = list(value.values())
    if isinstance(value, list | tuple | set):
        return all(map(_is_deterministic, value))
    if isinstance(value, PLAIN):
        return True
    module = f"{getattr(value, '__module__', None) or type(value).__module__}."
    return module.startswith(DETERMINISTIC) and not module.startswith(WITH_GENERATORS)
