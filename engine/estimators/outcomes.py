"""Messages at the end of a fit: scikit-learn's warnings and lines, and warnings of our own.

Each function returns messages as functions without arguments, which print or warn. They are called
once the estimator holds the result.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.optimize import _check_optimize_result

from engine.estimators.diagnosis import TrainingWarning
from engine.estimators.findings import REMEDIES, Finding, in_python
from engine.estimators.training import Trained
from engine.solvers.solver import SOLVERS
from engine.training.result import DivergedError

ToSay = list[Callable[[], Any]]

NON_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)

INTERRUPTED = "Training interrupted by user."


class DivergedFit(ValueError):
    """The loss stopped being finite; the estimator keeps the last parameters with a finite one.

    `finding` is the same for the command line, which words it differently.
    """

    def __init__(self, message: str, finding: Finding) -> None:
        super().__init__(message)
        self.finding = finding


def warning(
    message: str, category: type[Warning] = UserWarning, finding: Finding | None = None
) -> Callable[[], None]:
    """A warning at the line that called fit, which is outside of scikit-learn's decorator.

    `finding` is the same for the command line, which words it differently.
    """
    said: Any = category(message)
    said.finding = finding
    return partial(warnings.warn, said, stacklevel=4)


def of_findings(findings: list[Finding]) -> ToSay:
    """A TrainingWarning for each finding."""
    return [warning(in_python(finding), TrainingWarning, finding) for finding in findings]


def of_batch_size(estimator: Any, n_samples: int) -> ToSay:
    """A warning if batch_size is larger than the number of samples."""
    asked = estimator.batch_size
    if SOLVERS[estimator.solver].full_batch or asked == "auto" or asked <= n_samples:
        return []
    return [
        warning(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped"
        )
    ]


def not_improved(estimator: Any) -> str:
    """The line that says which score or loss has not improved, and for how long."""
    watched = "Validation score" if estimator.early_stopping else "Training loss"
    return (
        f"{watched} did not improve more than tol={estimator.tol:f} for "
        f"{estimator.n_iter_no_change} consecutive epochs."
    )


def of_run(estimator: Any, ended: Trained, incremental: bool) -> ToSay:
    """Messages about why a run ended."""
    if SOLVERS[estimator.solver].has_own_loop:
        return of_descent(estimator, ended.stopped, incremental)
    if ended.result is None:
        return of_limits(estimator, ended.stopped)
    return [partial(_check_optimize_result, "lbfgs", ended.result, estimator.max_iter)]


def of_descent(estimator: Any, stopped: str, incremental: bool) -> ToSay:
    """Messages about why a run of our own loop ended."""
    if stopped == "tol" and estimator.verbose:
        scheduled = SOLVERS[estimator.solver].takes_schedule_in_sklearn
        adaptive = scheduled and estimator.learning_rate == "adaptive"
        too_small = " Learning rate too small." if adaptive else ""
        return [partial(print, f"{not_improved(estimator)}{too_small} Stopping.")]
    if stopped == "max_iter" and not incremental:
        kind = "Stochastic Optimizer" if SOLVERS[estimator.solver].by_steps else "Optimizer"
        return [
            warning(
                f"{kind}: Maximum iterations ({estimator.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
                Finding(
                    f"Training had not converged after {estimator.max_iter} epochs, the most that "
                    "were allowed.",
                    "train for longer",
                ),
            )
        ]
    return of_limits(estimator, stopped)


def of_limits(estimator: Any, stopped: str) -> ToSay:
    """A warning if the time limit or Ctrl-C ended the run."""
    if stopped == "interrupted":
        return [warning(INTERRUPTED)]
    if stopped == "max_time":
        return [
            warning(
                f"max_time={estimator.max_time:g} seconds were over after {estimator.n_iter_} "
                "iterations, and the optimization hasn't converged yet.",
                ConvergenceWarning,
                Finding(
                    f"Training had not converged when its {estimator.max_time:g} seconds were "
                    f"over, after {estimator.n_iter_} epochs.",
                    "allow more time",
                ),
            )
        ]
    return []


def where(error: DivergedError) -> str:
    """Where a loss stopped being finite."""
    return f"The loss stopped being finite ({error}) at step {error.step}, in epoch {error.epoch}."


def diverged(estimator: Any, error: DivergedError) -> DivergedFit:
    """The error for a fit without early stopping."""
    finding = _of_divergence(estimator, where(error))
    remedy = REMEDIES[finding.remedy][0].format_map(finding.values)
    return DivergedFit(
        f"{NON_FINITE} {where(error)} coefs_ and intercepts_ are the last ones with a finite loss. "
        f"{remedy}",
        finding,
    )


def of_divergence(estimator: Any, error: DivergedError) -> ToSay:
    """The warning for a fit with early stopping, which keeps its best parameters."""
    kept = "The parameters with the best validation score are kept."
    return of_findings([_of_divergence(estimator, f"{where(error)} {kept}")])


def _of_divergence(estimator: Any, fact: str) -> Finding:
    rate, regression = estimator.learning_rate_init, estimator.out_activation_ == "identity"
    values = {
        "rate": rate,
        "lower": rate / 10,
        "and_target": " and the target" if regression else "",
        "scaler": "StandardScaler" + ", TransformedTargetRegressor" * regression,
    }
    return Finding(fact, "scale all, or lower the rate", values)
