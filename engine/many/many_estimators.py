"""fit_many: many estimators trained on the same data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.boundary.settings import thread_count
from engine.estimators.base import MultilayerPerceptron
from engine.many.fits import Fit, fit_all
from engine.many.member_messages import listed, name_of, raise_first_error, say, warnings_of
from engine.training.checkpoint import Checkpoint

# What to do with what cannot be fitted beside others, by the names of its class.
ADVICE = {
    "Pipeline": " Fit its other steps first, or use engine.model_selection for searches.",
    **dict.fromkeys(
        ("MLPEnsembleClassifier", "MLPEnsembleRegressor"), " Fit an ensemble by its own fit."
    ),
}


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
    iterations. (`plan_` and `n_threads_` tell how it was made here.) The rows are checked,
    converted and held once for all.

    Parameters
    ----------
    estimators : sequence of MLPClassifier and MLPRegressor
        With any parameters, each object once.
    X, y, sample_weight, X_val, y_val, sample_weight_val
        As for the estimators' `fit`.
    n_threads : int or None
        Threads that share the networks; None takes all cores, or one if the fits are so short that
        threads would wait for each other. The results do not depend on it.

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
    fits = [Fit(member, X, y, sample_weight, X_val, y_val, sample_weight_val) for member in members]
    outcomes = fit_all(fits, n_threads)
    try:
        say(warnings_of(outcomes, "estimator"), stacklevel=2)  # may raise, by the user's filters
    finally:
        raise_first_error(outcomes, "estimator", "The others are fitted.")
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
                f"{number} is {name_of(member)}.{ADVICE.get(type(member).__name__, '')}"
            )
    first_of: dict[int, int] = {}
    first_with: dict[Path, int] = {}
    for number, member in enumerate(members):
        if (first := first_of.setdefault(id(member), number)) != number:
            raise ValueError(
                f"estimators has the same object twice, as numbers {first} and {number}; pass "
                "sklearn.base.clone(estimator) of one."
            )
        try:
            member._validate_params()
        except ValueError as error:
            error.add_note(f"{listed([number], len(members), 'estimator')} has this parameter.")
            raise
        if member.checkpoint is None:
            continue
        kept = member.checkpoint
        path = Path(kept.path if isinstance(kept, Checkpoint) else kept).resolve()
        if (first := first_with.setdefault(path, number)) != number:
            raise ValueError(
                f"The estimators {first} and {number} have the same checkpoint, {path}; give each "
                "a file of its own."
            )
