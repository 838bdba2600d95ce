"""Settings and state of a solver: what it is given, and what it carries from step to step."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiler.jit import shared
from engine.equations.ordered_sums import plus_product, quotient
from engine.solvers.batches import in_order, no_order, random_state

EVALUATE, PLAIN, MOMENTUM, NESTEROV, ADAM, DAMPED = range(6)
UPDATES = ("evaluate", "plain", "momentum", "nesterov", "adam", "damped")
CONSTANT, INVSCALING, ADAPTIVE, COSINE = range(4)


class Settings(NamedTuple):
    """The settings of a run as kernels take them: codes, whole numbers and floats."""

    update: int  # one of the codes above; EVALUATE only sums up the costs
    batch_size: int
    shuffle: int = 0
    learning_rate: float = 0.0
    momentum: float = 0.0
    beta_1: float = 0.0
    beta_2: float = 0.0
    epsilon: float = 0.0
    alpha: float = 0.0
    schedule: int = CONSTANT
    power_t: float = 0.0
    tol: float = 0.0
    relative: int = 0  # whether tol is a share of the lowest cost, if the costs are those of J
    patience: int = 1
    stops: int = 0  # whether a cost that does not improve ends the run
    counts_samples: int = 0  # whether an epoch's cost weights batches by their samples, not by S
    block: int = 0  # samples of a block, for a shuffle by blocks; 0 shuffles all at once
    full_batch: int = 0  # whether each step is an iteration, whose cost is J before the step
    evidence: int = 0  # whether "lm" takes the alpha that the evidence asks for
    counts_after: int = 0  # whether "lm" judges an iteration by J after it, and not before it
    judged: int = 0  # whether the costs of the stopping rule come from outside (`observe`)
    weight_decay: float = 0.0  # lambda, of Adam alone
    average: float = 0.0  # the share of the average that a step keeps; 0 without an average
    clip_norm: float = 0.0  # the largest norm of a gradient; 0 without a limit
    schedule_from: int = 0  # steps taken before a cosine begins
    schedule_steps: int = 0  # steps of a whole cosine; 0 without one
    # Of L-BFGS alone.
    ftol: float = 0.0  # stop if the relative change of the cost is smaller
    gtol: float = 0.0  # stop if no entry of the gradient is larger
    most_iterations: float = math.inf
    most_evaluations: float = math.inf
    finite: int = 1  # whether a cost that is not finite is an error, not a point to avoid


# Places in State.counts ...
STEPS, EPOCHS, SEEN, POSITION, FAILURES, STAGNANT, N_COUNTS = range(7)
# ... in State.first of "lm": mu, below 0 until it is chosen; nu; 1 while undamped steps are tried;
# the reason to end, once there is one, and the closing steps that are left; the strength of the
# penalty, and whether the evidence still changes it; the width by which a kink is smoothed, 0
# without one, and the stages with smaller widths that are left ...
(
    MU,
    NU,
    UNDAMPED,
    REASON,
    CLOSING,
    ALPHA,
    MOVES,
    WIDTH,
    STAGES,
    N_DAMPING,
) = range(10)
CLOSING_STEPS = 2
# ... and in State.sums.
RATE, LOWEST, COST, WEIGHT, N_SUMS = range(5)


class State(NamedTuple):
    """All that the next step depends on; every array is changed in place.

    Attributes
    ----------
    theta : ndarray (n_parameters,)
    first, second : ndarray (n_parameters,) or (0,)
        Empty if the update does not use them. Of "lm" `first` is (N_DAMPING,).
    order : ndarray (n_samples,)
        The samples in the order of this epoch; read-only if each step takes all of them.
    random : ndarray (4,) or (625,) uint64
        State of the generator (batches.py).
    counts : ndarray (N_COUNTS,) int64
        Steps taken; epochs finished; samples in those; position in `order`; epochs in a row
        without improvement; 1 if these were too many.
    sums : ndarray (N_SUMS,)
        Learning rate; lowest cost so far; cost and weight summed over this epoch.
    average : ndarray (n_parameters,) or (0,)
        The average of the parameters over the steps (U9), if the settings ask for it: the
        parameters that a run returns. Before the first step it is theta.
    """

    theta: NDArray[Any]
    first: NDArray[Any]  # velocity, Adam's first moment, or the damping of "lm"
    second: NDArray[Any]  # Adam's second moment
    order: NDArray[Any]
    random: NDArray[np.uint64]
    counts: NDArray[np.int64]
    sums: NDArray[np.float64]
    average: NDArray[Any]

    @property
    def parameters(self) -> NDArray[Any]:
        """What is to be evaluated, kept and returned: the average, or theta without one."""
        return self.average if self.average.size else self.theta

    def copy(self, order: NDArray[Any] | None = None) -> "State":
        """A copy of the state. `order` is an existing copy of its order, to be used again.

        A read-only order cannot change, and is shared.
        """
        theta, first, second, own_order, random, counts, sums, average = self
        if order is None:
            order = own_order.copy() if own_order.flags.writeable else own_order
        return State(
            theta.copy(),
            first.copy(),
            second.copy(),
            order,
            random.copy(),
            counts.copy(),
            sums.copy(),
            average.copy(),
        )

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Its arrays by name, as checkpoints hold them; the order is empty where none is kept."""
        arrays = self._asdict()
        if not self.order.flags.writeable:
            arrays["order"] = np.empty(0)
        return {f"{prefix}.{name}": array for name, array in arrays.items()}

    def restore(self, earlier: "State") -> None:
        """Go back to an earlier copy."""
        for now, then in zip(self, earlier, strict=True):
            if now.flags.writeable:
                now[:] = then


def new_state(
    theta: NDArray[Any], settings: Settings, n_samples: int, seed: int, ordered: bool = True
) -> State:
    """The state before the first step. It holds `theta` itself, not a copy.

    If the samples are not `ordered`, since each step takes all of them, no order is kept.
    """
    squares = theta.size if settings.update == ADAM else 0
    sums = np.zeros(N_SUMS)
    sums[RATE], sums[LOWEST] = settings.learning_rate, math.inf
    return State(
        theta,
        first_memory(settings, theta.size, theta.dtype),
        np.zeros(squares, theta.dtype),
        in_order(n_samples) if ordered else no_order(n_samples),
        random_state(seed),
        np.zeros(N_COUNTS, np.int64),
        sums,
        theta.copy() if settings.average > 0 else np.empty(0, theta.dtype),
    )


def first_memory(settings: Settings, n_parameters: int, dtype: Any) -> NDArray[Any]:
    """`State.first` before the first step."""
    if settings.update == DAMPED:
        damping = np.zeros(N_DAMPING)
        damping[MU], damping[NU], damping[UNDAMPED], damping[ALPHA] = -1, 2, 1, settings.alpha
        return damping
    remembers = settings.update in (MOMENTUM, NESTEROV, ADAM)
    return np.zeros(n_parameters if remembers else 0, dtype)


@shared
def end_of_step(state, settings, cost, weight, last):
    """Count a step whose batch ended at `last`. Returns the cost of an epoch that ended, or NaN."""
    counts, sums = state.counts, state.sums
    counts[STEPS] += 1 if weight > 0 else 0  # at weight 0, no parameter has changed
    if settings.counts_samples == 1:
        weight = float(last - counts[POSITION]) if weight > 0 else 0.0
    counts[POSITION] = last
    sums[COST] = plus_product(sums[COST], cost, weight)
    sums[WEIGHT] += weight
    if last < state.order.size:
        return np.nan
    of_epoch = cost if settings.full_batch == 1 else quotient(sums[COST], sums[WEIGHT])
    counts[EPOCHS] += 1
    counts[SEEN] += state.order.size
    counts[POSITION] = 0
    sums[COST] = 0
    sums[WEIGHT] = 0
    return of_epoch


def euclidean_norm(vector: NDArray[Any]) -> float:
    """sqrt(sum_p v_p^2) in float64, without overflow on the way.

    Not np.linalg.norm: it goes through BLAS, which may change its bits with its threads.
    """
    largest = float(np.maximum.reduce(np.abs(vector)))
    if not 0 < largest < math.inf:
        return largest  # 0, inf or NaN
    return largest * math.sqrt(np.add.reduce(np.square(vector.astype(np.float64) / largest)))
