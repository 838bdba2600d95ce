"""What makes a fit the fit that it is, for checkpoints: parameters, rows, and where it starts."""

from typing import Any

import numpy as np

from engine.estimators.rows import Rows
from engine.network import Network
from engine.samples import Samples
from engine.training.run_identity import (
    MACHINE,
    Identity,
    identity_of_array,
    identity_of_machine,
    identity_of_network,
    identity_of_samples,
)

# Parameters that may be others when a fit goes on: they change no bits, or only where it ends.
FREE = frozenset(
    {
        "checkpoint",
        "max_fun",
        "max_iter",
        "max_time",
        "n_threads",
        "progress",
        "verbose",
        "warm_start",
    }
)


def identity_of_fit(
    estimator: Any, network: Network, rows: Rows, held_out: Rows | None, first: bool
) -> Identity:
    """The identity of a fit, before anything was drawn or trained."""
    given = estimator.get_params(deep=False)
    told = {name: _in_words(value) for name, value in given.items() if name not in FREE}
    told["random_state"] = _seed(given["random_state"])
    told["backend"] = estimator._backend.name
    samples = rows.samples(rows.X.dtype if first else estimator._dtype)
    return {
        "estimator": type(estimator).__name__,
        **identity_of_samples(samples, ("X", "y", "sample_weight")),
        **(_held_out(held_out, samples) if held_out else {}),
        **identity_of_network(network),
        **told,
        **({} if first else {"the fit before": _start(estimator)}),
        MACHINE: identity_of_machine(),
    }


def _held_out(held_out: Rows, samples: Samples) -> Identity:
    names = ("X_val", "y_val", "sample_weight_val")
    return identity_of_samples(held_out.samples(samples.X.dtype), names)


def _start(estimator: Any) -> Identity:
    """Of what an earlier fit has left to go on from."""
    optimiser = getattr(estimator, "_optimizer", None)
    moments = [] if optimiser is None else [optimiser.first, optimiser.second]
    numbers = [
        getattr(optimiser, "steps", 0),
        getattr(optimiser, "rate", 0.0),
        estimator.t_,
        estimator.best_loss_ or 0.0,
        estimator._no_improvement_count,
    ]
    parts = [estimator._theta(), *moments, np.array(numbers, np.float64)]
    return identity_of_array(np.concatenate([part.astype(np.float64) for part in parts]))


def _in_words(value: Any) -> Any:
    """A parameter as JSON holds it."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if callable(value):
        return f"{value.__module__}.{getattr(value, '__qualname__', type(value).__name__)}"
    return repr(value)


def _seed(random_state: Any) -> Any:
    """A number; or, of a generator, whose state the checkpoint holds, only that it is one."""
    if random_state is None or isinstance(random_state, np.random.RandomState):
        return "a generator"
    return int(random_state)
