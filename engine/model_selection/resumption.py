"""Halving over max_iter: the networks that survive a round continue from where they are.

A network that has trained n epochs and continues with m more has the bits of one that is trained
for n + m at once (docs/decisions/0015-continuation.md). That holds if nothing but the number of
epochs depends on max_iter, and if both draw the same random numbers.
"""

from typing import Any, NamedTuple

from sklearn.exceptions import ConvergenceWarning

from engine.many.fits import Fit, Outcome, fit_all
from engine.model_selection.folds import Fold
from engine.solvers.solver import SOLVERS

# The learning rates that depend on the epochs so far, and not on those to come, as "cosine" does.
SCHEDULES = ("constant", "invscaling", "adaptive")
# The parameters with which a fit is known to continue exactly. Others, which the estimators get
# later, must have their defaults until they are added here, and to the test of it.
# fmt: off
KNOWN = {
    "hidden_layer_sizes", "activation", "solver", "alpha", "batch_size", "learning_rate",
    "learning_rate_init", "power_t", "max_iter", "shuffle", "random_state", "tol", "verbose",
    "warm_start", "momentum", "nesterovs_momentum", "early_stopping", "validation_fraction",
    "beta_1", "beta_2", "epsilon", "n_iter_no_change", "max_fun", "backend", "n_threads",
    "class_weight", "progress", "max_time", "checkpoint", "scoring", "continuation", "loss",
    "weight_decay", "average", "clip_norm", "label_smoothing", "embeddings",
}
# fmt: on


class Ended(NamedTuple):
    """A fit that ended without an error.

    Fold and parameters are held because it is known by their addresses.
    """

    network: Any
    fold: Fold
    outcome: Outcome
    parameters: Any


class Resumption:
    """A fit that begins with the result of a fit for fewer epochs.

    Parameters
    ----------
    ended : Ended
    fresh : estimator
        The network that is to be fitted, before its fit.
    arguments : dict
        Of its `fit`.
    epochs : int
        How many more are to be trained. 0: the network had stopped by itself.
    """

    def __init__(self, ended: Ended, fresh: Any, arguments: dict[str, Any], epochs: int) -> None:
        self.network = ended.network
        self._fresh, self._arguments, self._ended = fresh, arguments, ended
        self._epochs, self._n_iter = epochs, ended.network.n_iter_
        if epochs:
            self.network.set_params(max_iter=epochs, warm_start=True, continuation="exact")

    @property
    def fit(self) -> Fit | None:
        """The fit of the epochs that are left; None if there are none."""
        return Fit(self.network, **self._arguments) if self._epochs else None

    def finish(self, outcome: Outcome | None, n_threads: int | None) -> Outcome:
        """Give the network what a fit of all epochs leaves; returns how that would have ended."""
        if outcome is None:
            outcome = self._ended.outcome._replace(seconds=0.0)
        elif outcome.error is not None:  # its message counts epochs and steps
            self.network = self._fresh
            return fit_all([Fit(self._fresh, **self._arguments)], n_threads)[0]
        else:
            self.network.n_iter_ += self._n_iter
            for said in outcome.warnings:
                self._count_all_epochs(said)
        asked = {name: getattr(self._fresh, name) for name in ("max_iter", "warm_start")}
        self.network.set_params(**asked, continuation=self._fresh.continuation)
        return outcome

    def _count_all_epochs(self, said: Any) -> None:
        """Name max_iter in the warning that it was reached, and not the epochs of this round."""
        if said.category is ConvergenceWarning:
            wrong, right = f"({self._epochs})", f"({self._fresh.max_iter})"
            said.message = ConvergenceWarning(str(said.message).replace(wrong, right))


def resume(ended: Ended | None, fresh: Any, arguments: dict[str, Any]) -> Resumption | None:
    """The fit of `fresh` as one that resumes; None if the result might be another.

    `ended` is a fit of the same candidate, but for max_iter, on the same fold.
    """
    if ended is None or not SOLVERS[fresh.solver].by_steps or fresh.random_state is None:
        return None
    epochs = int(fresh.max_iter) - int(ended.network.max_iter)
    if epochs < 0:
        return None
    if epochs == 0 or ended.outcome.stopped != "max_iter":
        return Resumption(ended, fresh, arguments, 0)
    return Resumption(ended, fresh, arguments, epochs) if _continues(fresh) else None


def _continues(network: Any) -> bool:
    """Whether n epochs and m more have the bits of n + m at once."""
    defaults = type(network)().get_params()
    return (
        not network.early_stopping
        and network.learning_rate in SCHEDULES
        and all(getattr(network, name) is defaults[name] for name in defaults if name not in KNOWN)
    )
