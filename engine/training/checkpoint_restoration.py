"""Restores a run from a checkpoint, and refuses one that the run cannot have written.

All that follows from the start of a run is derived again and compared: the order of the samples and
the generator from the same shuffles, the counts from the epochs and the position in the last one,
the learning rate from the recorded costs. Only parameters and moments are taken as they are, since
only the same steps could give them. L-BFGS, whose memory SciPy does not expose, takes its steps
again from a log of its evaluations.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.solvers.batches import shuffle
from engine.solvers.learning_rate import ADAPTIVE_DIVISOR, follow_cosine, scale_rate
from engine.solvers.mersenne import WORDS
from engine.solvers.solver import Budget, Diverged, Minimisation
from engine.solvers.state import (
    ALPHA,
    CLOSING,
    CLOSING_STEPS,
    COSINE,
    COST,
    DAMPED,
    EPOCHS,
    FAILURES,
    INVSCALING,
    LOWEST,
    MOVES,
    MU,
    N_COUNTS,
    N_SUMS,
    NU,
    POSITION,
    RATE,
    REASON,
    SEEN,
    STAGES,
    STAGNANT,
    STEPS,
    UNDAMPED,
    WEIGHT,
    WIDTH,
    Settings,
    State,
)
from engine.solvers.stopping import count_improvement
from engine.sums.chunks import DistributedSamples
from engine.sums.samples import Samples
from engine.training.checkpoint import Keeper
from engine.training.checkpoint_files import Arrays, CheckpointError, Saved
from engine.training.checkpoint_verifier import ANY, NOT_NAN, Expected, Verifier
from engine.training.watch import Watch

# Shuffles are drawn again if that takes a few seconds at most: MOST_DRAWS numbers, where each call
# counts as DRAWS_A_SHUFFLE numbers more. Otherwise an order only has to be a permutation.
MOST_DRAWS, DRAWS_A_SHUFFLE = 2 * 10**8, 300
WORDS_OF_XOSHIRO = 4
NO_KINK: Mapping[int, float] = {}


class Restored(NamedTuple):
    """What a descent resumes from: its state, the last state with a finite cost, all arrays."""

    state: State
    last_finite: State | None
    arrays: Arrays


def expected_of_state(start: State, prefix: str) -> dict[str, Expected]:
    """The arrays of a state of the run that begins with `start`."""
    theta, n_words = start.theta, start.random.size
    largest_word = 2**64 - 1 if n_words == WORDS_OF_XOSHIRO else 2**32 - 1
    expected = dict(
        theta=Expected(theta.dtype, theta.shape),
        first=Expected(theta.dtype, start.first.shape),
        second=Expected(theta.dtype, start.second.shape, low=0, numbers=NOT_NAN),
        order=Expected(
            start.order.dtype, start.order.shape, low=0, high=start.order.size - 1, empty=True
        ),
        random=Expected(np.uint64, (n_words,), low=0, high=largest_word),
        counts=Expected(np.int64, (N_COUNTS,), low=0),
        sums=Expected(np.float64, (N_SUMS,), numbers=NOT_NAN),
        average=Expected(theta.dtype, start.average.shape),
    )
    return {f"{prefix}.{name}": one for name, one in expected.items()}


def expected_of_result(theta: NDArray[Any]) -> dict[str, Expected]:
    """The arrays of a result of `train`."""
    return {
        "result.theta": Expected(theta.dtype, theta.shape),
        "result.cost": Expected(np.float64, (1,), numbers=ANY),
    }


def restored_descent(
    keeper: Keeper,
    start: State,
    settings: Settings,
    watch: Watch,
    samples: Samples | DistributedSamples,
    result: dict[str, Expected],
    widths: Mapping[int, float],
) -> Restored:
    """The state in the checkpoint that the keeper has found, checked. Also restores `watch`.

    `result` names the arrays that a run saves at its end. `widths` are those of a kink of the loss,
    by the number of stages left; empty without a kink. Raises CheckpointError.
    """
    found, verifier = keeper.found, keeper.verifier
    assert found is not None
    ended = found.stopped is not None or "finite.theta" in found.arrays
    arrays = keeper.take(
        {
            **expected_of_state(start, "state"),
            **watch.expected(found.epochs, start.theta),
            **({**expected_of_state(start, "finite"), **result} if ended else {}),
        }
    )
    weights = samples.weights if isinstance(samples, Samples) else None
    at = watch.resume(arrays, verifier)
    restored = Restoring(start, settings, watch.decisive.tolist(), weights, verifier, widths)
    last_finite = restored.state(arrays, "finite") if ended else None
    state = restored.state(arrays, "state")
    counts = state.counts.tolist()
    verifier.require(counts[EPOCHS] == found.epochs, "state.counts are of another epoch")
    stagnant, between = counts[STAGNANT] == 1, counts[POSITION] == 0
    if found.stopped is not None:
        can_be = between and found.epochs > 0 and stagnant == (found.stopped == "tol")
        if found.stopped == "callback":  # it may stop a run in the epoch in which tol would
            can_be = between and found.epochs > 0
        verifier.require(can_be, f"the run cannot have ended by {found.stopped!r} there")
    if settings.full_batch:
        begun = at != 0 or np.array_equal(arrays["watch.best"], start.theta)
        verifier.require(begun, "watch.best is not where its run began")
    elif between and found.epochs > 0:
        watch.verify_latest(state.parameters, verifier)
    return Restored(state, last_finite, arrays)


def verify_best(verifier: Verifier, watch: Watch, solver: Minimisation) -> None:
    """Raise CheckpointError unless the best parameters have the training cost that is kept."""
    assert watch.best is not None
    try:
        cost = solver.cost_of(watch.best)
    except Diverged as found:
        cost = found.cost
    verifier.require_result("watch.best's cost", watch.best_value, cost)


def replayed(
    keeper: Keeper,
    solver: Minimisation,
    start: State,
    settings: Settings,
    watch: Watch,
    result: dict[str, Expected],
    over: bool,
) -> Arrays | None:
    """Replay the steps of a solver from the log of its evaluations, if there is a checkpoint.

    Each step is compared with the checkpoint. New evaluations are added to the log. If the run is
    `over`, no step is replayed, since the checkpoint holds the result. Raises CheckpointError.
    """
    found, verifier = keeper.found, keeper.verifier
    n_iter, arrays, at = 0, None, None
    if found is not None:
        n_iter = found.epochs
        ended = found.stopped is not None or "result.theta" in found.arrays
        arrays = keeper.take(
            {
                "theta": Expected(start.theta.dtype, start.theta.shape),
                "evaluations": Expected(np.int64, (1,), low=n_iter + 1),
                **watch.expected(n_iter, start.theta),
                **(result if ended else {}),
            }
        )
        can_be = n_iter > 0 or found.stopped in (None, "converged")
        verifier.require(can_be, "its run ended before it began")
    if over and arrays is not None:
        at = watch.resume(arrays, verifier)
        begun = at != 0 or np.array_equal(arrays["watch.best"], start.theta)
        verifier.require(begun, "watch.best is not where its run began")
        moved = n_iter > 0 or np.array_equal(arrays["theta"], start.theta)
        verifier.require(moved, "theta is not where its run began")
        for cost in watch.decisive.tolist():
            verifier.require(not solver.stagnant, "its run went on after it had ended")
            solver.observe(cost)
        require_reason(found, solver, verifier)
        start.theta[:] = arrays["theta"]
        return arrays
    log = keeper.evaluations(start.theta.size, start.theta.dtype)
    if log.to_replay > settings.most_evaluations:
        raise CheckpointError(
            f"{keeper} holds {log.to_replay} evaluations, and max_fun is "
            f"{settings.most_evaluations:.0f}. Nothing was changed. Raise max_fun, name another "
            "file, or delete it."
        )
    solver.replay(log.evaluated)
    if arrays is None:
        return None
    at = watch.resume(arrays, verifier)
    for number in range(n_iter):
        verifier.require(not solver.stagnant, "its run went on after it had ended")
        progress = solver.advance(Budget(0.0, 1))
        led = solver.ended is None
        verifier.require(led, "its evaluations do not lead to as many iterations")
        watch.verify_row(number, progress, verifier)
        if watch.judges:
            solver.observe(float(watch.decisive[number]))
        if number == at:
            same = np.array_equal(watch.place_of(progress), arrays["watch.best"])
            verifier.require(same, "watch.best is not what its evaluations lead to")
        if number + 1 == n_iter:
            watch.verify_latest(watch.place_of(progress), verifier)
    same = np.array_equal(solver.theta, arrays["theta"])
    verifier.require(same, "theta is not what its evaluations lead to")
    require_reason(found, solver, verifier)
    return arrays


def require_reason(found: Saved | None, solver: Minimisation, verifier: Verifier) -> None:
    """Raise CheckpointError if a replayed run cannot have ended for the reason that was saved."""
    if found is not None and found.stopped not in (None, "callback"):
        same = solver.stagnant == (found.stopped == "tol")
        verifier.require(same, f"the run cannot have ended by {found.stopped!r} there")


class Restoring:
    """Checks states of one run against its start, its settings, and the watched costs."""

    def __init__(
        self,
        start: State,
        settings: Settings,
        watched: Sequence[float],
        weights: NDArray[Any] | None,
        verifier: Verifier,
        widths: Mapping[int, float] = NO_KINK,
    ) -> None:
        self._widths = widths
        self._start = start
        self._settings = settings
        self._watched = watched
        self._positive = None if weights is None or np.all(weights > 0) else weights > 0
        self._weights = weights
        self._verifier = verifier

    def state(self, arrays: Arrays, prefix: str) -> State:
        """The state whose arrays begin with `prefix`. Raises CheckpointError if it is not valid."""
        state = State(*(arrays[f"{prefix}.{name}"] for name in State._fields))
        epochs, position = (int(state.counts[place]) for place in (EPOCHS, POSITION))
        self._verifier.require(
            epochs <= len(self._watched)
            and position < self._start.order.size
            and position % self._settings.batch_size == 0,
            f"{prefix}.counts name a place where no step ends",
        )
        state = self._with_order(state, prefix, epochs, position)
        if self._settings.update == DAMPED:
            self._check_damping(state.first, prefix)
        self._check_numbers(state, prefix, epochs)
        self._check_epoch(state, prefix, position)
        return state

    def _with_order(self, state: State, prefix: str, epochs: int, position: int) -> State:
        """The state with order and generator checked, by the same shuffles if these are quick."""
        start, settings, require = self._start, self._settings, self._verifier.require
        n_samples = start.order.size
        everything = settings.batch_size >= n_samples
        # A fit on Dask keeps no order, as each of its steps takes all samples.
        none_kept = everything and not state.order.any()
        n_shuffles = epochs + (position > 0)
        if settings.shuffle and n_shuffles * (n_samples + DRAWS_A_SHUFFLE) > MOST_DRAWS:
            order = start.order if everything else state.order
            seen = np.zeros(n_samples, bool)
            seen[state.order.astype(np.int64)] = True
            require(none_kept or seen.all(), f"{prefix}.order is no order of all samples")
            words = state.random
            is_state = words.any() and (words.size == WORDS_OF_XOSHIRO or words[-1] <= WORDS)
            require(is_state, f"{prefix}.random is no state of a generator")
            most = epochs * -(-n_samples // settings.batch_size)
            most += -(-position // settings.batch_size)
            n_steps = int(state.counts[STEPS]) - int(start.counts[STEPS])
            can_be = n_steps == most if self._positive is None else 0 <= n_steps <= most
            require(can_be, f"{prefix}.counts are not those of its epoch")
            return state._replace(order=order)
        order = start.order.copy() if start.order.flags.writeable else start.order
        random, n_steps = start.random.copy(), int(start.counts[STEPS])
        for stop in self._shuffled(order, random, epochs, position):
            n_steps += self._steps_of(order, stop)
        require(np.array_equal(random, state.random), f"{prefix}.random is not that of its epoch")
        # A fit that keeps no order may resume one that began elsewhere and kept it.
        known = order.flags.writeable
        same = none_kept or np.array_equal(order, state.order)
        require(same or not known, f"{prefix}.order is not that of its epoch")
        require(n_steps == state.counts[STEPS], f"{prefix}.counts are not those of its epoch")
        return state._replace(order=order)

    def _shuffled(
        self, order: NDArray[Any], random: NDArray[np.uint64], epochs: int, position: int
    ) -> Iterator[int]:
        """Shuffle for each epoch that began, and yield how many of its samples were taken."""
        for stop in [*[order.size] * epochs, *([position] if position else [])]:
            if self._settings.shuffle:
                shuffle(order, random, self._settings.block)
            yield stop

    def _steps_of(self, order: NDArray[Any], stop: int) -> int:
        """Steps among the first `stop` samples: batches in which some sample has weight."""
        firsts = range(0, stop, self._settings.batch_size)
        if self._positive is None or not order.flags.writeable:
            return len(firsts)
        counted = np.add.reduceat(self._positive[order[:stop]].astype(np.int64), list(firsts))
        return int(np.count_nonzero(counted))

    def _check_numbers(self, state: State, prefix: str, epochs: int) -> None:
        """Check the counts and the learning rate against the recorded costs."""
        settings, require = self._settings, self._verifier.require
        counts, sums = self._start.counts.tolist(), self._start.sums.tolist()
        if self._widths or settings.evidence:
            self._check_numbers_of_stage(state, prefix, epochs)
            return
        derived = SimpleNamespace(counts=counts, sums=sums)
        multiplied = sums[RATE]  # as compiled code divides
        for cost in self._watched[:epochs]:
            require(not counts[STAGNANT], "its run went on after it had ended")
            counts[SEEN] += state.order.size
            before = sums[RATE]
            count_improvement(derived, settings, cost)
            if sums[RATE] != before:
                multiplied *= 1 / ADAPTIVE_DIVISOR
        if epochs:
            with np.errstate(over="ignore"):
                scale_rate(derived, settings)
        if settings.schedule == COSINE and state.counts[STEPS] > counts[STEPS]:
            counts[STEPS] = int(state.counts[STEPS]) - 1  # the rate is that of the latest step
            follow_cosine(derived, settings)
            multiplied = sums[RATE]
        for place in (SEEN, FAILURES, STAGNANT):
            same = state.counts[place] == counts[place]
            require(same, f"{prefix}.counts do not follow from its costs")
        same = state.sums[LOWEST] == sums[LOWEST]
        require(same, f"{prefix}.sums do not follow from its costs")
        rate = float(state.sums[RATE])
        same = rate in (sums[RATE], multiplied)
        if settings.schedule == INVSCALING:  # another function for powers: its last bit may differ
            same = abs(rate - sums[RATE]) <= 1e-15 * sums[RATE]
        require(same, f"{prefix}.sums hold another learning rate")

    def _check_numbers_of_stage(self, state: State, prefix: str, epochs: int) -> None:
        """The same where what counts improvements begins anew, at each width or alpha."""
        require, counts, sums = self._verifier.require, state.counts, state.sums
        seen = int(self._start.counts[SEEN]) + epochs * state.order.size
        can_be = counts[SEEN] == seen and counts[STAGNANT] <= 1
        can_be = can_be and 0 <= counts[FAILURES] <= self._start.counts[FAILURES] + epochs
        require(bool(can_be), f"{prefix}.counts do not follow from its costs")
        lowest = float(sums[LOWEST])
        known = np.isinf(lowest) or lowest == self._start.sums[LOWEST] or lowest in self._watched
        require(bool(known), f"{prefix}.sums do not follow from its costs")
        same = sums[RATE] == self._start.sums[RATE]
        require(bool(same), f"{prefix}.sums hold another learning rate")

    def _check_damping(self, damping: NDArray[Any], prefix: str) -> None:
        """Check what "lm" remembers: each number is one that a run can have."""
        from engine.solvers.damped_step import GOES_ON, REASONS  # takes long to load

        mu, nu, alpha = (float(damping[place]) for place in (MU, NU, ALPHA))
        evidence, reason = bool(self._settings.evidence), damping[REASON]
        whole = {UNDAMPED: 1, CLOSING: CLOSING_STEPS, MOVES: int(evidence)}
        can_be = all(damping[place] in range(most + 1) for place, most in whole.items())
        can_be = can_be and (mu == -1 or mu >= 0) and nu >= 2 and math.frexp(nu)[0] == 0.5
        can_be = can_be and (reason in REASONS or (reason == GOES_ON and damping[CLOSING] == 0))
        can_be = can_be and (alpha >= 0 if evidence else alpha == self._settings.alpha)
        width, left = float(damping[WIDTH]), float(damping[STAGES])
        same_width = width == self._widths.get(int(left)) if self._widths else width == 0 == left
        self._verifier.require(can_be and same_width, f"{prefix}.first is no damping of its run")

    def _check_epoch(self, state: State, prefix: str, position: int) -> None:
        """Check cost and weight of the epoch so far; before the first step, the parameters, too."""
        require, start = self._verifier.require, self._start
        cost, weight = state.sums[COST], state.sums[WEIGHT]
        if not position:
            require(cost == 0 == weight, f"{prefix}.sums are not those of a new epoch")
        elif self._weights is None or (self._settings.counts_samples and self._positive is None):
            require(weight == position, f"{prefix}.sums are not those of its samples")
        elif self._settings.counts_samples:
            require(0 <= weight <= position, f"{prefix}.sums are not those of its samples")
        else:
            total = float(np.sum(self._weights[state.order[:position]], dtype=np.float64))
            close = abs(weight - total) <= 1e-6 * total
            require(close, f"{prefix}.sums are not those of its samples")
        if state.counts[STEPS] == start.counts[STEPS]:
            names = ["theta", "first", "second", "average"]
            if self._settings.update == DAMPED:  # a run sets its damping before the first step
                names.remove("first")
            same = all(np.array_equal(getattr(state, n), getattr(start, n)) for n in names)
            require(same, f"{prefix}.theta is not where its run began")
