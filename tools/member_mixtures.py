"""Mixtures of estimators, drawn at random, fitted by `fit_many` and by a loop.

tools/fuzz_many.py and tests/many/ compare what both leave.
"""

import math
import random
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import scipy.sparse

from engine import MLPClassifier, MLPRegressor, fit_many, losses
from engine.many import many_estimators
from tools.state_differences import differences

# They tell how a fit was made, and not what came of it: beside others, a network gets one thread.
HOW_IT_WAS_MADE = ("plan_", "n_threads_")

HIDDEN: list[Any] = [(), (1,), (5,), (8,), 12, (4, 3), (9, 6), (17,), (33,), (3, 2, 2)]
ACTIVATIONS: list[Any] = ["relu", "tanh", "logistic", "identity"]
LOSSES: list[Any] = [
    "squared_error",
    "absolute_error",
    "huber",
    "quantile",
    "poisson",
    "gamma",
    losses.Huber(0.5),
    losses.Quantile(0.2),
    losses.Quantile([0.1, 0.5, 0.9]),
    losses.Tweedie(1.5),
]
LABELS = ("binary", "classes", "strings", "multilabel")
NUMBERS = ("numbers", "counts", "several numbers", "column")
SECONDS = 1e6  # a time limit that is never reached


class Drawn:
    """Random choices."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def __call__(self, *values: Any) -> Any:
        """One of these values."""
        return self._random.choice(values)

    def whether(self, probability: float) -> bool:
        return self._random.random() < probability

    def whole(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def power_of_ten(self, low: float, high: float) -> float:
        return float(f"{10 ** self._random.uniform(low, high):.3g}")

    def shuffle(self, values: list[Any]) -> None:
        self._random.shuffle(values)


class Mixture(NamedTuple):
    """Members, and the rows that they are fitted to.

    `members()` makes them anew at each call: equal ones, some of which share a generator.
    """

    seed: int
    members: Callable[[], list[Any]]
    rows: dict[str, Any]


class Fitted(NamedTuple):
    """What fits left: the members, and the warnings and the error of each."""

    members: list[Any]
    warnings: list[list[tuple[type, str]]]
    errors: list[tuple[type, str] | None]
    generator: Any  # the state of NumPy's own


def mixture(seed: int) -> Mixture:
    """The mixture of that number, always the same."""
    drawn = Drawn(f"mixture {seed}")
    kind, rows = drawn_rows(drawn, np.random.default_rng(seed))
    parameters, fitted_before = drawn_parameters(drawn, kind)

    def members() -> list[Any]:
        seed_numpy(seed)
        generators = [np.random.RandomState(seed + k) for k in range(2)]
        made = []
        for (estimator, given), before in zip(parameters, fitted_before, strict=True):
            given = dict(given)
            if isinstance(given["random_state"], str):
                given["random_state"] = generators[int(given["random_state"])]
            member = estimator(**given)
            if before is not None:
                quietly(partial(before_fit, member, before, rows))
            made.append(member)
        return made

    return Mixture(seed, members, rows)


def before_fit(member: Any, max_iter: int, rows: dict[str, Any]) -> None:
    """Fit a member with another number of iterations, so that the next fit starts warm."""
    wanted = member.max_iter
    try:
        member.set_params(max_iter=max_iter).fit(rows["X"], rows["y"])
    finally:
        member.set_params(max_iter=wanted)


def drawn_rows(drawn: Drawn, numbers: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """The kind of the targets, and X, y and what else `fit` takes."""
    n, n_features = drawn(2, 12, 25, 40, 64, 210), drawn(1, 2, 3, 5, 16, 70)
    kind = drawn(*LABELS, *NUMBERS, *NUMBERS)
    dtype = drawn(np.float32, np.float64)
    form = drawn("C", "F", "C", "F", "backward", "csr", "csc", "frame", "list", "int")
    X = (numbers.normal(size=(n, n_features)) * drawn(1, 1, 1, 3, 50)).astype(dtype)
    y = targets(kind, X, numbers)
    rows: dict[str, Any] = {"X": in_form(X, form), "y": y}
    if drawn.whether(0.3):
        rows["sample_weight"] = numbers.integers(0 if drawn.whether(0.5) else 1, 4, n).astype(float)
    if drawn.whether(0.35):
        n_val = drawn(3, 9, 30)
        X_val = numbers.normal(size=(n_val, n_features)).astype(dtype)
        at = numbers.integers(0, n, n_val)
        rows |= {"X_val": in_form(X_val, form), "y_val": y[at]}
        if drawn.whether(0.3):
            rows["sample_weight_val"] = numbers.uniform(0.1, 2, n_val)
    if form == "frame" and y.ndim == 1 and drawn.whether(0.5):
        import pandas

        rows["y"] = pandas.Series(y)
    return kind, rows


def targets(kind: str, X: Any, numbers: np.random.Generator) -> Any:
    """Targets of that kind for the rows X; of classes at least two."""
    Z = np.tanh(X[:, 0]) + 0.3 * numbers.normal(size=len(X))
    if kind == "column":
        return np.exp(Z)[:, None]
    if kind == "counts":
        return numbers.poisson(np.exp(np.clip(Z, -2, 2)))
    if kind == "several numbers":
        return np.column_stack([Z, Z**2 + 0.1])
    if kind == "numbers":
        return np.abs(Z) + 0.01 if numbers.random() < 0.7 else Z
    ranks = Z.argsort().argsort()
    if kind == "binary":
        return (ranks % 2).astype(int)
    if kind == "multilabel":
        return np.column_stack([ranks % 2, Z > 0, ranks < 2]).astype(int)
    codes = ranks * 3 // max(3, len(X)) if len(X) >= 3 else ranks
    return np.array(["no", "so", "yes"])[codes] if kind == "strings" else codes


def in_form(X: Any, form: str) -> Any:
    """X as a user may have it."""
    if form == "F":
        return np.asfortranarray(X)
    if form == "backward":
        return np.ascontiguousarray(X[::-1])[::-1]
    if form in ("csr", "csc"):
        return scipy.sparse.csr_array(X * (np.abs(X) > 0.7)).asformat(form)
    if form == "frame":
        import pandas

        return pandas.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])
    if form == "list":
        return X.tolist()
    return np.rint(X).astype(int) if form == "int" else X


def drawn_parameters(
    drawn: Drawn, kind: str
) -> tuple[list[tuple[type, dict[str, Any]]], list[Any]]:
    """Classes and parameters of the members; the iterations that some were fitted for before."""
    found: list[Any] = []
    for _ in range(drawn(1, 1, 2, 3)):  # families of members that may be trained side by side
        family = of_family(drawn, kind)
        for _ in range(drawn(1, 2, 3, 5, 8, 11, 19)):
            found.append(of_member(drawn, *family))
    drawn.shuffle(found)
    return [(estimator, given) for estimator, given, _ in found], [last for *_, last in found]


def of_family(drawn: Drawn, kind: str) -> tuple[type, dict[str, Any]]:
    """What members have in common."""
    classes = kind in LABELS or (kind == "counts" and drawn.whether(0.4))
    given: dict[str, Any] = {
        "hidden_layer_sizes": drawn(*HIDDEN),
        "activation": drawn(*ACTIVATIONS),
        "solver": drawn(*["adam"] * 6, *["sgd"] * 5, "gd", "lbfgs", "lm"),
        "batch_size": drawn("auto", "auto", 1, 7, 32, 1000),
        "learning_rate": drawn("constant", "constant", "invscaling", "adaptive"),
        "shuffle": drawn(True, True, True, False, "blocks"),
        "early_stopping": drawn.whether(0.3),
        "n_iter_no_change": drawn(1, 2, 3, 10, math.inf),
        "momentum": drawn(0.0, 0.5, 0.9),
        "nesterovs_momentum": drawn.whether(0.5),
    }
    if given["solver"] == "lm":
        given["hidden_layer_sizes"] = drawn((), (3,), (2, 2))
        given["early_stopping"] = False
    if classes:
        given["class_weight"] = drawn(None, None, "balanced")
        return MLPClassifier, given
    given["loss"] = drawn("squared_error", *LOSSES)
    return MLPRegressor, given


def of_member(
    drawn: Drawn, estimator: type, family: dict[str, Any]
) -> tuple[type, dict[str, Any], int | None]:
    """A member of a family, and for how many iterations it was fitted before, or None."""
    given = {
        **family,
        "learning_rate_init": drawn.power_of_ten(-4, -0.5),
        "alpha": drawn(0.0, drawn.power_of_ten(-6, 0)),
        "tol": drawn(0.0, 1e-4, drawn.power_of_ten(-3, -1)),
        "max_iter": drawn.whole(1, 12),
        "power_t": drawn(0.25, 0.5),
        "beta_1": drawn(0.9, 0.5, 0.0),
        "beta_2": drawn(0.999, 0.9),
        "random_state": drawn.whole(0, 5),
        "validation_fraction": drawn(0.1, 0.1, 0.3),
    }
    if family["momentum"]:
        given["momentum"] = drawn(family["momentum"], 0.3)
    if drawn.whether(0.06):
        given["learning_rate_init"] = drawn(1e2, 1e6, 1e30)  # most of these diverge
    if drawn.whether(0.08):
        given["random_state"] = drawn(None, "0", "0", "1")
    unlike: dict[str, Any] = {
        "backend": drawn("loops", "numpy"),
        "learning_rate": drawn("constant", "invscaling", "adaptive"),
        "nesterovs_momentum": drawn.whether(0.5),
        "n_iter_no_change": drawn(1, 4),
        "max_time": SECONDS,
        "n_threads": drawn(1, 2),
        "continuation": "sklearn",
        "shuffle": drawn(True, False),
        "validation_fraction": 0.2,
    }
    for name, value in unlike.items():
        if drawn.whether(0.03):
            given[name] = value
    before = drawn.whole(1, 5) if drawn.whether(0.08) else None
    if before is not None:
        given["warm_start"] = drawn.whether(0.8)
    return estimator, given, before


# Fits.


def seed_numpy(seed: int) -> None:
    """Seed NumPy's own generator, from which members without a seed draw."""
    np.random.seed(seed)  # noqa: NPY002  # it is the one that is looked at


def state_of_numpy() -> Any:
    """The state of NumPy's own generator."""
    return np.random.get_state(legacy=False)  # noqa: NPY002


def quietly(call: Callable[[], Any]) -> tuple[list[tuple[type, str]], tuple[type, str] | None]:
    """Make a call; its warnings, and its error or None."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            call()
        except Exception as error:
            return kinds_of(said), (type(error), str(error))
    return kinds_of(said), None


def kinds_of(said: Sequence[warnings.WarningMessage]) -> list[tuple[type, str]]:
    return [(each.category, str(each.message)) for each in said]


def fitted_in_a_loop(members: list[Any], rows: dict[str, Any], seed: int = 0) -> Fitted:
    """Each member's own `fit`, one after the other."""
    seed_numpy(seed)
    ends = [quietly(partial(member.fit, **rows)) for member in members]
    said, errors = zip(*ends, strict=True)
    return Fitted(members, list(said), list(errors), state_of_numpy())


def fitted_together(
    members: list[Any], rows: dict[str, Any], n_threads: int | None, seed: int = 0
) -> Fitted:
    """What `fit_many` leaves, with the warnings and errors of each member by itself."""
    seed_numpy(seed)
    with outcomes_of_fit_many() as outcomes:
        _, raised = quietly(lambda: fit_many(members, **rows, n_threads=n_threads))
    if not outcomes:
        raise AssertionError(f"fit_many made no fits: {raised}")
    errors = [
        None if each.error is None else (type(each.error), str(each.error)) for each in outcomes
    ]
    first = next((error for error in errors if error is not None), None)
    if raised != first:
        raise AssertionError(f"fit_many raised {raised}, and the first error is {first}")
    said = [kinds_of(each.warnings) for each in outcomes]
    return Fitted(members, said, errors, state_of_numpy())


@contextmanager
def outcomes_of_fit_many() -> Any:
    """A list to which the outcomes of the members are added when `fit_many` has made their fits."""
    found: list[Any] = []
    make = vars(many_estimators)["fit_all"]

    def noting(*arguments: Any) -> Any:
        found.extend(make(*arguments))
        return found

    with mock.patch.object(many_estimators, "fit_all", noting):
        yield found


def fitted_further(fitted: Fitted, rows: dict[str, Any], seed: int = 1) -> Fitted:
    """One more fit of each member by itself, which starts where the last one ended."""
    seed_numpy(seed)

    def further(member: Any) -> None:
        if member.solver in ("adam", "sgd") and not member.early_stopping:
            given = {name: rows[name] for name in ("sample_weight",) if name in rows}
            member.partial_fit(rows["X"], rows["y"], **given)
        else:
            member.set_params(warm_start=True, max_iter=2).fit(**rows)

    said, errors = zip(*(quietly(partial(further, each)) for each in fitted.members), strict=True)
    return Fitted(fitted.members, list(said), list(errors), state_of_numpy())


def differences_of(mixed: Mixture, n_threads: Sequence[int]) -> list[str]:
    """What `fit_many` does otherwise than a loop, on so many threads each: nothing, we hope."""
    loop = fitted_in_a_loop(mixed.members(), mixed.rows)
    together = {n: fitted_together(mixed.members(), mixed.rows, n) for n in n_threads}
    found = [
        line for n, fitted in together.items() for line in compared(loop, fitted, f"{n} threads")
    ]
    if not found:
        loop = fitted_further(loop, mixed.rows)
        for n, fitted in together.items():
            later = fitted_further(fitted, mixed.rows)
            found += compared(loop, later, f"{n} threads, one more fit")
    return found


def compared(loop: Fitted, fitted: Fitted, where: str) -> list[str]:
    """What differs between two lists of fits, with `where` before each line."""
    found = differences(loop.generator, fitted.generator, "np.random")
    for k, (one, other) in enumerate(zip(loop.members, fitted.members, strict=True)):
        named = f"member {k}"
        found += differences(loop.errors[k], fitted.errors[k], f"{named}, error")
        found += differences(loop.warnings[k], fitted.warnings[k], f"{named}, warnings")
        found += differences(one, other, named, HOW_IT_WAS_MADE)
    return [f"{where}: {line}" for line in found]


def described(mixed: Mixture) -> str:
    """The members of a mixture, a line each."""
    lines = [
        f"{name}: {type(value).__name__} {np.shape(value)}" for name, value in mixed.rows.items()
    ]
    return "\n".join([*lines, *(f"{k}: {member!r}" for k, member in enumerate(mixed.members()))])
