"""How a fit ended: scikit-learn's warnings and lines, and warnings of our own.

They are said once the estimator holds the result: a warning may be raised as an error, which must
lose nothing. They are not given where they are found, since only the main thread can catch them
safely (caught_warnings.py).
"""

import warnings
from typing import Any, NamedTuple

from sklearn.exceptions import ConvergenceWarning

from engine.estimators.diagnosis import TrainingWarning
from engine.estimators.findings import REMEDIES, Finding, in_python
from engine.estimators.training import Trained
from engine.solvers.solver import SOLVERS
from engine.training.result import DivergedError

# A warning to give, or a line to print.
Message = Warning | str

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


class FitEnd(NamedTuple):
    """How a fit ended.

    Attributes
    ----------
    stopped : str
        As `Trained.stopped`.
    messages : list of Message
    """

    stopped: str
    messages: list[Message]

    def say(self, stacklevel: int) -> None:
        """Say all, at the line that called fit, which is so many calls away."""
        for message in self.messages:
            if isinstance(message, str):
                print(message)
            else:
                warnings.warn(message, stacklevel=stacklevel)


def warning(
    message: str, category: type[Warning] = UserWarning, finding: Finding | None = None
) -> Warning:
    """A warning; `finding` is the same for the command line, which words it differently."""
    said: Any = category(message)
    said.finding = finding
    found: Warning = said
    return found


def of_findings(findings: list[Finding]) -> list[Message]:
    """A TrainingWarning for each finding."""
    return [warning(in_python(finding), TrainingWarning, finding) for finding in findings]


def of_batch_size(estimator: Any, n_samples: int) -> list[Message]:
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


def of_run(estimator: Any, ended: Trained, incremental: bool) -> list[Message]:
    """Messages about why a run ended."""
    if SOLVERS[estimator.solver].has_own_loop:
        return of_descent(estimator, ended.stopped, incremental)
    if ended.result is None:
        return of_limits(estimator, ended.stopped)
    return of_minimum(ended.result, estimator.max_iter)


def of_minimum(result: Any, max_iter: int) -> list[Message]:
    """scikit-learn's warning if SciPy's L-BFGS ended without convergence."""
    if result.status == 0:
        return []
    n_iter = min(result.nit, max_iter)
    more = "\nIncrease the number of iterations to improve the convergence (max_iter={})."
    return [
        warning(
            f"lbfgs failed to converge after {n_iter} iteration(s) (status={result.status}):\n"
            f"{result.message}\n{more.format(max_iter) if n_iter == max_iter else ''}\n"
            "You might also want to scale the data as shown in:\n"
            "    https://scikit-learn.org/stable/modules/preprocessing.html",
            ConvergenceWarning,
        )
    ]


def of_descent(estimator: Any, stopped: str, incremental: bool) -> list[Message]:
    """Messages about why a run of our own loop ended."""
    if stopped == "tol" and estimator.verbose:
        scheduled = SOLVERS[estimator.solver].takes_schedule_in_sklearn
        adaptive = scheduled and estimator.learning_rate == "adaptive"
        too_small = " Learning rate too small." if adaptive else ""
        return [f"{not_improved(estimator)}{too_small} Stopping."]
    ends_there = estimator.learning_rate == "cosine"  # by its own rule, with a rate of 0
    if stopped == "max_iter" and not incremental and not ends_there:
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


def of_limits(estimator: Any, stopped: str) -> list[Message]:
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


def of_divergence(estimator: Any, error: DivergedError) -> list[Message]:
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
