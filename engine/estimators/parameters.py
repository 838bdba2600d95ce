"""What the estimators' parameters may be: scikit-learn 1.9's ranges, and those of our own."""

import functools
import os
from collections.abc import Callable
from numbers import Integral, Real
from operator import attrgetter
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from engine.equations.backends import BACKENDS
from engine.equations.units import UNITS
from engine.solvers.solver import SOLVERS
from engine.training.checkpoint import Checkpoint

# scikit-learn's names of hidden and of output units, and ours.
ACTIVATIONS = {unit.sklearn: unit.name for unit in UNITS.values() if unit.hidden}
OUTPUT_UNITS = {unit.sklearn: unit.name for unit in UNITS.values() if unit.output}

CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(ACTIVATIONS)), "array-like"],
    "solver": [StrOptions(set(SOLVERS))],
    "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"evidence"})],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive", "cosine"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean", StrOptions({"blocks"})],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [
        Interval(Integral, 1, None, closed="left"),
        Options(Real, {np.inf}),
    ],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "backend": [StrOptions(set(BACKENDS)), None],
    "n_threads": [Interval(Integral, 1, None, closed="left"), None],
    "progress": ["boolean"],
    "max_time": [Interval(Real, 0, None, closed="neither"), None],
    "checkpoint": [str, os.PathLike, Checkpoint, None],
    "scoring": [str, callable, None],
    "continuation": [StrOptions({"exact", "sklearn"})],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "average": [Interval(Real, 0, 1, closed="neither"), None],
    "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
    "embeddings": [list, tuple, None],
}


# Sets of values that scikit-learn's checks have found valid: they take a tenth of a millisecond,
# a quarter of a small fit. Values of types whose equals may differ, or change, are not kept.
_valid: set[Any] = set()
MOST_VALID = 1000
PLAIN_ENTRIES = frozenset((int, str))  # of a tuple
PLAIN_TYPES = frozenset((bool, int, float, str, tuple, type(None), np.float64, np.int64, np.bool_))


def are_known_valid(estimator: Any) -> bool:
    """Whether an estimator of this class with these parameters was found valid before."""
    return _question(estimator) in _valid


def remember_valid(estimator: Any) -> None:
    """Remember that the parameters of an estimator are valid."""
    question = _question(estimator)
    if question is not None:
        if len(_valid) >= MOST_VALID:
            _valid.clear()
        _valid.add(question)


def _question(estimator: Any) -> Any:
    """Class and parameters of an estimator, to be looked up; None if they are not all plain."""
    try:
        seed, *others = _values_of(type(estimator))(estimator)  # type: ignore[arg-type]
    except AttributeError:  # a subclass stores a parameter elsewhere
        return None
    if type(seed) is int and 0 <= seed < 2**32:
        seed = 0  # seeds are many
    values = seed, *others
    types = tuple(map(type, values))
    if not PLAIN_TYPES.issuperset(types):
        return None
    tuples = (value for value in values if type(value) is tuple)
    if not all(PLAIN_ENTRIES.issuperset(map(type, entries)) for entries in tuples):
        return None
    return type(estimator), types, values


@functools.cache
def _values_of(kind: Any) -> Callable[[Any], tuple[Any, ...]]:
    """Gives the parameters of estimators of one class, `random_state` first."""
    others = (name for name in kind._get_param_names() if name != "random_state")
    return attrgetter("random_state", *others)


def hidden_sizes(given: Any) -> tuple[int, ...]:
    """Units of each hidden layer, from a number or a sequence of them."""
    sizes = list(given) if hasattr(given, "__iter__") else [given]
    if not all(isinstance(size, Integral) and not isinstance(size, bool) for size in sizes):
        raise TypeError(f"hidden_layer_sizes must be whole numbers, got {sizes}.")
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {[int(size) for size in sizes]}.")
    return tuple(int(size) for size in sizes)


def hidden_units(given: Any, n_hidden: int) -> tuple[str, ...]:
    """The activation of each hidden layer, in the engine's names."""
    names = [given] * n_hidden if isinstance(given, str) else list(given)
    if len(names) != n_hidden:
        raise ValueError(
            f"activation lists {len(names)} names, but there are {n_hidden} hidden layers; pass "
            "one name for all of them, or one for each."
        )
    for name in names:
        if name not in ACTIVATIONS:
            raise ValueError(
                f"activation must name {', '.join(map(repr, ACTIVATIONS))} only; got {name!r}."
            )
    return tuple(ACTIVATIONS[name] for name in names)
