"""Epochs of descent over a few samples, which others replace before each epoch.

For training on samples as they come. The samples, the parameters and what the optimiser remembers
stay in the same places, so the call of the compiled slice is prepared once. Then an epoch costs one
compiled call.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.compiler.jit import jit
from engine.compiler.kernels import Kernel
from engine.compiler.prepared_call import PreparedCall, call_prepared
from engine.compiler.views import vector_at
from engine.solvers.slices import FINISHED, descend_tiled
from engine.solvers.state import SEEN, Settings, State
from engine.sums.blocks import allocate, block_for
from engine.sums.samples import Layers, Samples

# How an epoch ended, beside what slices.py has.
NOT_FINITE = -2  # a sample is NaN or infinite: no step was taken
OVERFLOWED = -3  # the parameters after the epoch are


@jit
def take_epoch_tiled(X, Y, memory, before, shown, counts, call, words):
    """An epoch by a prepared call of `descend_tiled`; returns how it ended.

    The rows of `memory` are theta, the moments and the average. Unless the epoch ends with finite
    parameters, they are put back, and so is the number of samples seen. With an average, `shown` is
    what it was after the last epoch: if it is another one now, the parameters go on from it.
    """
    if not (all_finite(vector_at(X, 0, X.size)) and all_finite(vector_at(Y, 0, Y.size))):
        return NOT_FINITE
    n = memory.shape[1]
    numbers, kept = vector_at(memory, 0, memory.size), vector_at(before, 0, memory.size)
    for p in range(numbers.size):
        kept[p] = numbers[p]
    parameters = vector_at(memory, memory.size - n if shown.size > 0 else 0, n)
    n_changed = 0
    for p in range(shown.size):
        n_changed += parameters[p] != shown[p]
    if n_changed > 0:
        for p in range(shown.size):
            numbers[p] = parameters[p]
    seen = counts[SEEN]
    ended = call_prepared(call, words)
    if ended == FINISHED and all_finite(parameters):
        for p in range(shown.size):
            shown[p] = parameters[p]
        return ended
    for p in range(numbers.size):
        numbers[p] = kept[p]
    counts[SEEN] = seen
    return OVERFLOWED if ended == FINISHED else ended


@jit
def all_finite(numbers):
    """Whether no number is NaN or infinite."""
    total = numbers.dtype.type(0)
    for p in range(numbers.size):
        total += numbers[p] * numbers.dtype.type(0)  # NaN, if it is NaN or infinite
    return total == 0


class PreparedSteps:
    """A descent over samples that are written into its arrays before each epoch.

    Parameters
    ----------
    layers : Layers
        Without embeddings.
    settings : Settings
    state : State
        Where it begins; its arrays are copied. Its order has as many samples as an epoch.
    n_outputs : int or None
        How many output units have the same target, of one column; None if each has its own.
    in_codes : bool
        Whether targets are class codes.

    Attributes
    ----------
    X : ndarray (n_samples, n_features)
    targets : ndarray (n_samples, n_targets), or (n_samples,) int32 of class codes
    weights : ndarray (n_samples,)
        1 each at first. None may be 0.
    state : State
        What the next epoch begins with, and what the last one ended with.
    history : ndarray (1, 2)
        The cost of the last epoch, and the norm of its last gradient.
    shown : ndarray (n_parameters,) or (0,)
        With an average, a copy of what it was after the last epoch.
    take : callable
        Takes an epoch; returns FINISHED, or NOT_FINITE, OVERFLOWED or DIVERGED. Then parameters,
        moments and the number of samples seen are as before. It costs a tenth of a microsecond
        besides the arithmetic.
    """

    def __init__(
        self,
        layers: Layers,
        settings: Settings,
        state: State,
        n_outputs: int | None,
        in_codes: bool,
    ) -> None:
        n_samples, dtype, n_out = state.order.size, state.theta.dtype, int(layers.sizes[-1])
        self.X = np.zeros((n_samples, layers.n_inputs), dtype)
        self.weights = np.ones(n_samples, dtype)
        numbers = np.zeros((n_samples, 0 if in_codes else n_out if n_outputs is None else 1), dtype)
        codes = np.zeros(n_samples, np.int32) if in_codes else None
        self.targets: NDArray[Any] = numbers if codes is None else codes
        Y = None if in_codes else np.broadcast_to(numbers.T, (n_out, n_samples))
        samples = Samples(self.X.T, Y, codes, self.weights)
        self.state = self._with_memory(state)
        self.shown = self.state.average.copy()
        self.history = np.zeros((1, 2))
        batch_size = min(settings.batch_size, n_samples)
        block = block_for(layers, samples.X, batch_size)
        n_steps = -(-n_samples // batch_size)
        self._call = PreparedCall(
            descend_tiled,
            (
                self.state,
                settings,
                layers,
                samples.for_kernels(),
                block,
                allocate(layers, dtype, block),
                n_steps,
                1,
                self.history,
            ),
        )
        self.take: Callable[[], int] = called_with(
            take_epoch_tiled,
            (
                self.X,
                numbers,
                self._memory,
                np.zeros_like(self._memory),
                self.shown,
                self.state.counts,
                self._call.address,
                self._call.words,
            ),
        )
        # The kernel writes to memory that it knows by its address: it lives as long as `take` does.
        vars(self.take)["keeps"] = self._call

    def _with_memory(self, state: State) -> State:
        """A copy of a state whose vectors of parameters are the rows of one array."""
        names = ("theta", "first", "second", "average")
        used = [name for name in names if getattr(state, name).size]
        self._memory = np.array([getattr(state, name) for name in used])
        return state.copy()._replace(**dict(zip(used, self._memory, strict=True)))

    def load(self, state: State) -> None:
        """Go on from another state with arrays of the same shapes."""
        for mine, given in zip(self.state, state, strict=True):
            mine[:] = given


def called_with(kernel: Any, arguments: tuple[Any, ...]) -> Callable[[], Any]:
    """A kernel with these arguments, whose types are looked at once."""
    if not isinstance(kernel, Kernel):  # interpreted, it would warn of what overflows
        return np.errstate(all="ignore")(functools.partial(kernel, *arguments))
    signature = tuple(kernel.typeof_pyval(argument) for argument in arguments)
    if signature not in kernel.overloads:
        kernel.compile(signature)
    return functools.partial(kernel.overloads[signature].entry_point, *arguments)
