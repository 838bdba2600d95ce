"""What a fit says when it ends: scikit-learn's warnings and words, and reasons of our own."""

import warnings
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from engine.estimators.diagnosis import TrainingWarning
from engine.training.result import DivergedError

NON_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)


class DivergedFit(ValueError):
    """The loss stopped being finite; the estimator keeps the last parameters for which it was."""


def say(estimator: Any, stopped: str, n_iter: int, incremental: bool) -> None:
    """Print or warn why a run by steps ended."""
    if stopped == "tol" and estimator.verbose:
        what, verb = (
            ("Validation score", "did not improve")
            if estimator.early_stopping
            else (
                "Training loss",
                "did not improve",
            )
        )
        too_small = " Learning rate too small." if estimator.learning_rate == "adaptive" else ""
        print(
            f"{what} {verb} more than tol={estimator.tol:f} for {estimator.n_iter_no_change} "
            f"consecutive epochs.{too_small} Stopping."
        )
    elif stopped == "max_iter" and not incremental:
        warnings.warn(
            f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the "
            "optimization hasn't converged yet.",
            ConvergenceWarning,
            stacklevel=2,
        )
    elif stopped == "interrupted":
        warnings.warn("Training interrupted by user.", stacklevel=2)
    say_of_time(estimator, stopped, n_iter)


def say_of_time(estimator: Any, stopped: str, n_iter: int) -> None:
    """Warn of a run that its time limit ended."""
    if stopped == "max_time":
        warnings.warn(
            f"max_time={estimator.max_time:g} seconds were over after {n_iter} iterations, and the "
            "optimization hasn't converged yet.",
            ConvergenceWarning,
            stacklevel=2,
        )


def where(error: DivergedError) -> str:
    """Where a loss stopped being finite."""
    return f"The loss stopped being finite ({error}) at step {error.step}, in epoch {error.epoch}."


def remedy(estimator: Any) -> str:
    """What to do about it."""
    rate = estimator.learning_rate_init
    return (
        f"Scale the inputs to mean 0 and variance 1 (StandardScaler), or lower the rate: "
        f"learning_rate_init={rate / 10:g} in place of {rate:g}."
    )


def diverged(estimator: Any, error: DivergedError) -> DivergedFit:
    """The error for a fit without early stopping."""
    return DivergedFit(
        f"{NON_FINITE} {where(error)} coefs_ and intercepts_ are the last ones with a finite loss. "
        f"{remedy(estimator)}"
    )


def warn_of_divergence(estimator: Any, error: DivergedError) -> None:
    """With early stopping there are parameters to fall back on."""
    warnings.warn(
        f"{where(error)} The parameters with the best validation score are kept. "
        f"{remedy(estimator)}",
        TrainingWarning,
        stacklevel=2,
    )
