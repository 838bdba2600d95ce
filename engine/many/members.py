"""fit_many: many estimators trained on the same data."""

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.boundary.settings import thread_count
from engine.estimators.base import MultilayerPerceptron
from engine.estimators.progress_bar import progress_bar
from engine.estimators.shared_data import SharedData
from engine.many.fits import Fit, Outcome, fit_all
from engine.many.member_messages import of_each_kind
from engine.training.checkpoint import Checkpoint

# Numbers of members that a message lists.
MOST_LISTED = 10


def fit_many(
    estimators: Sequence[Any],
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    sample_weight_val: Any = None,
    n_threads: int | None = None,
) -> list[Any]:
    """Fit many estimators to the same data, side by side.

    Each estimator ends with what its own ``fit(X, y)`` gives: the same bits, curves and number of
    iterations. The rows are checked, converted and held once for all.

    Parameters
    ----------
    estimators : sequence of MLPClassifier and MLPRegressor
        With any parameters, each object once.
    X, y, sample_weight, X_val, y_val, sample_weight_val
        As for the estimators' `fit`.
    n_threads : int or None
        Threads that share the networks; None takes as many as pay. The results do not depend on it.

    Returns
    -------
    list
        The same estimators, fitted.

    Raises
    ------
    TypeError, ValueError
        For what is not one of our estimators, an estimator or a checkpoint's file that comes twice,
        and invalid parameters: before anything is trained.
    Exception
        If estimators fail, such as one that diverges or for which y is not valid: the exception of
        the first of them, with a note that lists all that failed. The others are fitted.

    Warns
    -----
    As `fit` does: one warning for each kind, with the numbers of the estimators.

    See Also
    --------
    engine.model_selection.GridSearchCV, engine.MLPEnsembleRegressor

    Notes
    -----
    Estimators that share a RandomState, or have ``random_state=None``, draw from one generator:
    they are fitted one after the other, as a loop would. Ctrl-C ends all of them with a warning,
    and each keeps what it has reached; if some have not taken a step, KeyboardInterrupt is raised.
    An estimator with callbacks, or with a `fit` of its own, is fitted by itself; if another thread
    does that, Ctrl-C waits until it ends. ``max_time`` counts from when the network's own training
    begins. With ``progress=True`` in one of them, there is one bar for all. Memory: one copy of X
    whatever the number of networks; one under way adds its parameters, its optimiser's memory and a
    block of rows, and with early stopping the rows of its split, unless it has the seed of the one
    before.

    Examples
    --------
    >>> from engine import MLPClassifier, fit_many
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> X = (X - X.mean(axis=0)) / X.std(axis=0)
    >>> models = [
    ...     MLPClassifier(8, learning_rate_init=0.05, tol=1e-2, random_state=seed)
    ...     for seed in range(10)
    ... ]
    >>> models = fit_many(models, X, y)
    >>> min(model.score(X, y) for model in models) > 0.9
    True
    """
    members = listed_members(estimators)
    n_threads = thread_count(n_threads)
    require_members(members)
    shared = SharedData()
    fits = [Fit(member, X, y, sample_weight, X_val, y_val, sample_weight_val) for member in members]
    done: list[int] = []
    with progress_bar(len(fits), any(member.progress for member in members), "Networks") as bar:

        def ended(number: int) -> None:  # from any thread
            done.append(number)
            show()

        def show() -> None:
            loss = getattr(members[done[-1]], "loss_", None)
            bar.update(len(done), math.nan if loss is None else float(loss))

        outcomes = fit_all(fits, n_threads, shared, ended)
        if done:
            show()  # two threads may have come at once
    try:
        warn_of(outcomes)  # which raises, if the user's filters make errors of warnings
    finally:
        raise_first_error(outcomes)
    return members


def listed_members(estimators: Any) -> list[Any]:
    """The estimators in a list."""
    try:
        return list(estimators)
    except TypeError:
        raise TypeError(
            "estimators must be a list of MLPClassifier and MLPRegressor objects; got "
            f"{estimators!r}. To fit one of them, call its fit."
        ) from None


def require_members(members: list[Any]) -> None:
    """Refuse what cannot be fitted side by side, and invalid parameters."""
    if not members:
        raise ValueError("estimators is empty; pass one MLPClassifier or MLPRegressor, or more.")
    for number, member in enumerate(members):
        if not isinstance(member, MultilayerPerceptron):
            raise TypeError(
                "estimators must be MLPClassifier and MLPRegressor objects of engine; number "
                f"{number} is {kind_of(member)}. Fit a Pipeline's other steps first, or use "
                "engine.model_selection for searches."
            )
    first_of: dict[int, int] = {}
    first_with: dict[Path, int] = {}
    for number, member in enumerate(members):
        if (first := first_of.setdefault(id(member), number)) != number:
            raise ValueError(
                f"estimators has the same object twice, as numbers {first} and {number}; pass "
                "sklearn.base.clone(estimator) of one."
            )
        member._validate_params()
        if member.checkpoint is None:
            continue
        kept = member.checkpoint
        path = Path(kept.path if isinstance(kept, Checkpoint) else kept).resolve()
        if (first := first_with.setdefault(path, number)) != number:
            raise ValueError(
                f"The estimators {first} and {number} have the same checkpoint, {path}; give each "
                "a file of its own."
            )


def kind_of(given: Any) -> str:
    """What was given in place of an estimator, in words.

    >>> kind_of("adam"), kind_of(dict)
    ('a builtins.str', 'the class builtins.dict')
    """
    is_class = isinstance(given, type)
    kind = given if is_class else type(given)
    module = kind.__module__.split("._")[0]  # where users import it from
    return f"{'the class' if is_class else 'a'} {module}.{kind.__qualname__}"


def warn_of(outcomes: Sequence[Outcome]) -> None:
    """Give the warnings of fits, each kind once, with the numbers of the fits."""

    def kind(message: Any) -> str:
        finding = getattr(message, "finding", None)
        return str(message) if finding is None else str(finding.remedy)

    for first, numbers in of_each_kind(outcomes, kind):
        whose = listed(numbers, len(outcomes))
        warnings.warn(f"{whose}: {first.message}", first.category, stacklevel=3)


def raise_first_error(outcomes: Sequence[Outcome]) -> None:
    """Raise the error of the first fit that failed, with a note that lists all that did."""
    failed = [number for number, outcome in enumerate(outcomes) if outcome.error is not None]
    if not failed:
        return
    for number in failed:
        if isinstance(outcomes[number].error, KeyboardInterrupt):
            raise KeyboardInterrupt
    error = outcomes[failed[0]].error
    assert error is not None
    kinds = Counter(type(outcomes[number].error).__name__ for number in failed)
    counted = ", ".join(f"{count} {name}" for name, count in kinds.items())
    rest = "" if len(failed) == len(outcomes) else " The others are fitted."
    error.add_note(f"{listed(failed, len(outcomes))} failed ({counted}).{rest}")
    raise error


def listed(numbers: list[int], of: int) -> str:
    """Which estimators of how many, in words.

    >>> listed([3], 8), listed([0, 2], 2)
    ('Estimator 3 of 8', 'All 2 estimators')
    """
    if len(numbers) == of:
        return "The estimator" if of == 1 else f"All {of} estimators"
    shown = ", ".join(map(str, numbers[:MOST_LISTED])) + ", ..." * (len(numbers) > MOST_LISTED)
    if len(numbers) == 1:
        return f"Estimator {shown} of {of}"
    return f"{len(numbers)} of {of} estimators ({shown})"
