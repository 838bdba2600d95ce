"""The solvers "sgd", "adam" and "gd": settings from parameters, and a run of descent."""

import sys
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.equations.backends import NUMPY, Backend
from engine.estimators.optimiser import Optimiser, optimiser_of
from engine.estimators.watch import Watch
from engine.solvers.batches import samples_of_a_block
from engine.solvers.state import (
    ADAM,
    COST,
    FAILURES,
    MOMENTUM,
    NESTEROV,
    PLAIN,
    SCHEDULES,
    SEEN,
    STEPS,
    WEIGHT,
    Settings,
    State,
)
from engine.sums.blas import one_blas_thread
from engine.sums.chunks import Elsewhere
from engine.sums.samples import Layers, Samples
from engine.sums.threads import Threads
from engine.training.checkpoint import Keeper, is_over
from engine.training.descent import Descent, way_of
from engine.training.restoration import restored_descent
from engine.training.result import DivergedError


class Descended(NamedTuple):
    """How a descent ended.

    `stopped` is "max_iter", "tol", "callback", "max_time", "interrupted" or "diverged"; then
    `error` says where, and theta is the last one with a finite cost.
    """

    theta: NDArray[Any]
    optimiser: Optimiser
    words: NDArray[np.uint64]
    stopped: str
    failures: int
    seen: int
    loss: float | None  # of the epoch that was interrupted
    error: DivergedError | None


def settings_of(estimator: Any, n_samples: int, n_features: int, batch_size: int) -> Settings:
    """The settings of a descent, from an estimator's parameters, which were checked."""
    gd = estimator.solver == "gd"
    if estimator.solver == "adam":
        update = ADAM
    elif gd or estimator.momentum == 0:
        update = PLAIN
    else:
        update = NESTEROV if estimator.nesterovs_momentum else MOMENTUM
    schedule = estimator.learning_rate if estimator.solver == "sgd" else "constant"
    # scikit-learn stops at one failure more than it says.
    patience = min(estimator.n_iter_no_change + 1, sys.maxsize)
    return Settings(
        update=update,
        batch_size=n_samples if gd else batch_size,
        shuffle=int(bool(estimator.shuffle) and not gd),
        block=samples_of_a_block(n_features) if estimator.shuffle == "blocks" else 0,
        learning_rate=float(estimator.learning_rate_init),
        momentum=float(estimator.momentum),
        beta_1=float(estimator.beta_1),
        beta_2=float(estimator.beta_2),
        epsilon=float(estimator.epsilon),
        alpha=float(estimator.alpha),
        schedule=SCHEDULES[schedule],
        power_t=float(estimator.power_t),
        tol=float(estimator.tol),
        patience=int(patience),
        stops=1,
        counts_samples=1,
    )


def restored(
    backend: Backend,
    keeper: Keeper,
    start: State,
    settings: Settings,
    watch: Watch,
    samples: Samples | Elsewhere,
) -> tuple[State, State | None]:
    """The state that a checkpoint holds, and the last one with a finite loss, once it has ended."""
    with one_blas_thread() if backend is NUMPY else nullcontext():
        found = restored_descent(keeper, start, settings, watch, samples, {})
    return found.state, found.last_finite


def descend(
    backend: Backend,
    layers: Layers,
    samples: Samples | Elsewhere,
    threads: Threads,
    state: State,
    settings: Settings,
    watch: Watch,
    max_epochs: int,
    keeper: Keeper | None = None,
    last_finite: State | None = None,
) -> Descended:
    """Up to `max_epochs` epochs; Ctrl-C and divergence are outcomes, not errors.

    `last_finite` is as for `Descent`.
    """
    error, steps_before = None, int(state.counts[STEPS])
    if is_over(keeper, max_epochs):
        assert keeper.found is not None
        assert keeper.found.stopped is not None
        return descended(state, settings, keeper.found.stopped, None)
    with one_blas_thread() if backend is NUMPY else nullcontext():
        way = way_of(backend, layers, samples, settings.batch_size, threads.number)
        try:
            descent = Descent(way, state, settings, watch, keeper, last_finite)
            stopped = descent.run(max_epochs)
            descent.keep_end(stopped, {})
        except KeyboardInterrupt:
            if state.counts[STEPS] == steps_before:
                raise  # nothing was reached that could be kept
            if keeper is not None:
                keeper.interrupted()
            stopped = "interrupted"
        except DivergedError as diverged:
            stopped, error = "diverged", diverged
    return descended(state, settings, stopped, error)


def descended(
    state: State, settings: Settings, stopped: str, error: DivergedError | None
) -> Descended:
    """How a descent ended, from the state that it ended in."""
    weight = float(state.sums[WEIGHT])
    return Descended(
        theta=state.theta if error is None else error.theta,
        optimiser=optimiser_of(state, settings),
        words=state.random,
        stopped=stopped,
        failures=int(state.counts[FAILURES]),
        seen=int(state.counts[SEEN]),
        loss=float(state.sums[COST]) / weight if weight else None,
        error=error,
    )
