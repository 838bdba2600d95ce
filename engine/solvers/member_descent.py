"""Many descents side by side, one in each lane of a vector: which can be, and how they advance."""

import time
from collections.abc import Hashable, Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiler import tiles
from engine.compiler.kernels import FixedTypes
from engine.equations.backends import TILED
from engine.equations.layout import SCRATCH_ROWS
from engine.equations.losses import COMPILED
from engine.equations.member_steps import N_RATES
from engine.equations.ordered_sums import TOTALS
from engine.solvers.descent import MOST_EPOCHS_A_SLICE, SECONDS_A_MULTIPLY_ADD, Descent
from engine.solvers.member_slices import (
    AT_HISTORY,
    N_ADDRESSES,
    N_LANE_SUMS,
    N_SETTINGS,
    Lanes,
    Shape,
    descend_members,
)
from engine.solvers.slices import DIVERGED, FINISHED
from engine.solvers.solver import Budget, Diverged, Progress
from engine.solvers.state import ADAM, PLAIN, POSITION, Settings
from engine.sums.blocks import all_aligned, block_for, row_width
from engine.sums.samples import KernelSamples, Layers, Samples

# Multiply-adds of a step of one network, for each lane, from which lanes do not pay: its own kernel
# then has long loops already.
PAYS_BELOW = 1500
# Networks from which lanes pay: a vector takes as long for one as for all its lanes.
FEWEST_MEMBERS = 3
# A state is copied so seldom: it is wanted only if the run diverges.
SECONDS_WITHOUT_COPY = 1.0

OF_EACH = (
    "learning_rate",
    "momentum",
    "beta_1",
    "beta_2",
    "epsilon",
    "alpha",
    "power_t",
    "tol",
    "weight_decay",
    "average",
    "clip_norm",
)  # in the order of the rows of Lanes.settings

# Of these, descents side by side may have each its own, but all or none of them use it.
USED_BY_ALL = ("weight_decay", "average", "clip_norm")
NOT_OF_KIND: dict[str, Any] = dict.fromkeys((*OF_EACH, "gtol", "most_iterations"), 0.0)
OF_KIND = itemgetter(
    *(
        place
        for place, name in enumerate(Settings._fields)
        if name in USED_BY_ALL or name not in NOT_OF_KIND
    )
)


class Kind(NamedTuple):
    """What descents must have in common to advance side by side; compared for equality."""

    sizes: tuple[int, ...]
    units: tuple[int, ...]
    loss: Any
    dtype: np.dtype[Any]
    settings: Settings
    shape: Shape
    block: int


def kind_of(descent: Any, known: "KnownSamples") -> Kind | None:
    """The kind of a descent; None if it cannot advance beside others, or if that does not pay."""
    if type(descent) is not Descent or descent.problem.backend is not TILED:
        return None
    state, problem = descent.state, descent.problem
    if state.counts[POSITION] or not all(can_be_addressed(array) for array in state):
        return None
    # The kernels take one type of order.
    if not isinstance(problem.samples, Samples) or state.order.dtype != np.int32:
        return None
    return known.kind(problem.layers, problem.samples, descent.settings, state.random.size)


def kind_by(
    layers: Layers, samples: Samples, settings: Settings, n_words: int, known: "KnownSamples"
) -> Kind | None:
    """The kind of descents with these settings, whose generator's state has `n_words` numbers."""
    if not isinstance(samples.X, np.ndarray) or layers.loss.code == COMPILED:
        return None
    if layers.embeddings is not None:
        return None
    if settings.full_batch or settings.block:
        return None
    n, batch = samples.n_samples, min(settings.batch_size, samples.n_samples)
    block = block_for(layers, samples.X, batch)
    n_lanes = tiles.VECTOR_BYTES // samples.dtype.itemsize
    # The kernels take batches of one block.
    if batch > block or layers.multiply_adds * batch > PAYS_BELOW * n_lanes:
        return None
    X, Y, codes, weights, *_ = known.for_kernels(samples)
    if not (can_be_addressed(codes) and can_be_addressed(weights)):
        return None
    return Kind(
        tuple(layers.sizes.tolist()),
        tuple(layers.units.tolist()),
        (layers.loss.code, layers.loss.width, layers.loss.parameter.tobytes()),
        samples.dtype,
        settings._replace(
            **NOT_OF_KIND | {name: float(getattr(settings, name) > 0) for name in USED_BY_ALL}
        ),
        Shape(
            n,
            n_words,
            X.numbers.size,
            X.unit_step,
            X.sample_step,
            Y.numbers.size,
            Y.unit_step,
            Y.sample_step,
            int(weights.size > 0),
        ),
        block,
    )


class KnownSamples:
    """The samples of descents as kernels take them, made once for each, and where they lie.

    It keeps their arrays alive, and the copies that kernels need of some, until it forgets them.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Samples, KernelSamples, list[int]]] = {}
        # With the layers and samples, so that no others get their addresses.
        self._kinds: dict[Hashable, tuple[Layers, Samples, Kind | None]] = {}

    def kind(
        self, layers: Layers, samples: Samples, settings: Settings, n_words: int
    ) -> Kind | None:
        """What `kind_by` finds, once for the same layers and samples and equal settings."""
        key = id(layers), id(samples), OF_KIND(settings), n_words
        if key not in self._kinds:
            kind = kind_by(layers, samples, settings, n_words, self)
            self._kinds[key] = layers, samples, kind
        return self._kinds[key][2]

    def for_kernels(self, samples: Samples) -> KernelSamples:
        return self._of(samples)[1]

    def addresses(self, samples: Samples) -> list[int]:
        """Of X, Y, class codes and weights."""
        return self._of(samples)[2]

    def forget_all_but(self, in_use: Iterable[Samples]) -> None:
        """Let go of all samples but these; not of the only ones that are known."""
        if len(self._known) <= 1 and len(self._kinds) <= 1:
            return
        kept = {id(samples) for samples in in_use}
        self._known = {key: known for key, known in self._known.items() if key in kept}
        self._kinds = {key: kind for key, kind in self._kinds.items() if id(kind[1]) in kept}

    def _of(self, samples: Samples) -> tuple[Samples, KernelSamples, list[int]]:
        known = self._known.get(id(samples))
        if known is None or known[0] is not samples:
            found = samples.for_kernels()
            arrays = found.X.numbers, found.Y.numbers, found.codes, found.weights
            known = self._known[id(samples)] = samples, found, [address_of(one) for one in arrays]
        return known


class MemberDescents:
    """Descents of one kind that advance side by side, at most `capacity` at a time.

    Kernels find the arrays of each descent by their addresses. The members keep their states alive,
    whose arrays change in place only; `samples` keeps what kernels read of their data.

    Parameters
    ----------
    kind : Kind
    layers : Layers
    samples : KnownSamples
    """

    def __init__(self, kind: Kind, layers: Layers, samples: KnownSamples) -> None:
        self._samples = samples
        self.kind = kind
        self.capacity = tiles.VECTOR_BYTES // kind.dtype.itemsize
        self._layers = layers
        self._lanes = allocate_lanes(kind, layers.n_parameters, self.capacity)
        self._descend = FixedTypes(descend_members)
        work = layers.multiply_adds * min(kind.settings.batch_size, kind.shape.n_samples)
        self._seconds_a_step = 1e-5 + SECONDS_A_MULTIPLY_ADD * work * self.capacity
        self._members: list[Descent] = []
        self._copied = time.perf_counter()

    @property
    def has_room(self) -> bool:
        """Whether another can join: between epochs, if a lane is free."""
        return len(self._members) < self.capacity and not any(
            member.state.counts[POSITION] for member in self._members[:1]
        )

    def join(self, descent: Descent) -> None:
        """Let a descent of this kind advance with the others, in the next lane."""
        samples, lane = samples_of(descent), len(self._members)
        of_state = [address_of(array) for array in descent.state]
        self._lanes.addresses[lane] = [*of_state, 0, *self._samples.addresses(samples)]
        settings = descent.settings
        self._lanes.settings[:, lane] = [getattr(settings, name) for name in OF_EACH]
        self._members.append(descent)

    def leave(self, descent: Descent) -> None:
        """Let a descent go; the last one takes its lane."""
        lane, last = self._members.index(descent), len(self._members) - 1
        lanes = self._lanes
        lanes.addresses[lane] = lanes.addresses[last]
        lanes.settings[:, lane] = lanes.settings[:, last]
        self._members[lane] = self._members[last]
        self._members.pop()
        self._samples.forget_all_but(samples_of(member) for member in self._members)

    def advance(self, budgets: Sequence[Budget]) -> list[tuple[Descent, Progress | Diverged]]:
        """Advance each descent by one step, and then all of them by as many as fit a budget.

        Each gets the budget at its place in the order of joining; the smallest of them counts.
        """
        n_epochs = min(MOST_EPOCHS_A_SLICE, *(max(1, budget.iterations) for budget in budgets))
        seconds = min(budget.seconds for budget in budgets)
        members = list(self._members)
        rows = np.empty((len(members), n_epochs, 2))
        # Steps taken again know of no cost from outside, which may have changed the rate.
        judged = bool(self.kind.settings.judged)
        copies = judged or time.perf_counter() > self._copied + SECONDS_WITHOUT_COPY
        for member, of_member in zip(members, rows, strict=True):
            member.begin_slice(of_member, copies)
        if copies:
            self._copied = time.perf_counter()
        ended = self._steps(rows, 0, 1)
        for member, how in zip(members, ended, strict=True):
            if how != DIVERGED:
                member.confirm_slice()
        if not any(how in (DIVERGED, FINISHED) for how in ended):
            done = members[0].n_iter - members[0].rows_begin
            start = time.perf_counter()
            n_steps = 1 + int(seconds / self._seconds_a_step)
            steps_before = members[0].n_steps
            ended = self._steps(rows, done, n_steps)
            taken = members[0].n_steps - steps_before
            if taken > 100:
                self._seconds_a_step = (time.perf_counter() - start) / taken
        return [
            (member, self._outcome(member, how)) for member, how in zip(members, ended, strict=True)
        ]

    def _steps(self, rows: NDArray[np.float64], done: int, n_steps: int) -> list[int]:
        """Take steps, after `done` epochs of the slice; how the slice of each member ended."""
        lanes, n_members = self._lanes, len(self._members)
        lanes.addresses[n_members:] = lanes.addresses[0]
        first = address_of(rows) + rows[0, :done].nbytes
        lanes.addresses[:n_members, AT_HISTORY] = first + np.arange(n_members) * rows[0].nbytes
        with np.errstate(all="ignore"):  # an overflow shows in the next cost
            self._descend(
                lanes,
                self.kind.shape,
                self.kind.settings,
                self._layers,
                n_members,
                n_steps,
                rows.shape[1] - done,
            )
        ended: list[int] = lanes.ended[:n_members].tolist()
        return ended

    @staticmethod
    def _outcome(member: Descent, ended: int) -> Progress | Diverged:
        try:
            return member.end_slice(ended)
        except Diverged as diverged:
            return diverged


def samples_of(descent: Descent) -> Samples:
    """The samples of a descent of some `Kind`."""
    samples = descent.problem.samples
    assert isinstance(samples, Samples)
    return samples


def can_be_addressed(array: NDArray[Any]) -> bool:
    """Whether its numbers lie one after the other, where the processor expects such numbers."""
    return array.flags.c_contiguous and array.flags.aligned


def address_of(array: NDArray[Any]) -> int:
    """Where the numbers of an array begin. It says nothing that keeps the array alive."""
    address: int = array.__array_interface__["data"][0]
    return address


def allocate_lanes(kind: Kind, n_parameters: int, capacity: int) -> Lanes:
    """The memory of a vector of networks."""
    n_units, n_out = sum(kind.sizes), kind.sizes[-1]
    width = row_width(kind.dtype, kind.block * capacity)
    update = kind.settings.update
    n_first, n_second = n_parameters * (update != PLAIN), n_parameters * (update == ADAM)
    n_average = n_parameters * (kind.settings.average > 0)
    dtype = kind.dtype
    theta, first, second, average, dtheta, A, dZ, Y, s, rates, scale, decay, go = all_aligned(
        (
            (n_parameters, capacity),
            (n_first, capacity),
            (n_second, capacity),
            (n_average, capacity),
            (n_parameters, capacity),
            (n_units + SCRATCH_ROWS, width),
            (n_units, width),
            (n_out, width),
            (width,),
            (N_RATES, capacity),
            (capacity,),
            (capacity,),
            (capacity,),
        ),
        dtype,
    )
    A[:], dZ[:], rates[:] = 0, 0, 0  # lanes without a network compute with what is there
    totals, sums, settings = all_aligned(
        ((TOTALS, capacity), (N_LANE_SUMS, capacity), (N_SETTINGS, capacity)), np.float64
    )
    settings[:] = 0
    return Lanes(
        np.zeros((capacity, N_ADDRESSES), np.int64),
        settings,
        theta,
        first,
        second,
        average,
        dtheta,
        A,
        dZ,
        Y,
        s,
        rates,
        scale,
        decay,
        totals,
        sums,
        go,
        np.zeros(capacity, np.int64),
        np.zeros((2, capacity), np.int64),
        np.empty(0, np.int32),
        np.empty(0, np.uint64),
    )
