"""Random draws as scikit-learn makes them, so that the same random_state gives the same numbers."""

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from engine.equations.layout import views_of
from engine.equations.units import UNITS
from engine.network import Network
from engine.solvers.mersenne import WORDS as N_WORDS
from engine.solvers.mersenne import borrowed, put_words, words_of, words_of_seed
from engine.training.checkpoint_files import Arrays
from engine.training.checkpoint_verifier import Expected, Verifier

# The generator's state before a fit, in a checkpoint.
WORDS = "draws"


class Draws:
    """The generator of an estimator, from which NumPy and compiled shuffles draw in turn.

    Parameters
    ----------
    random_state : int, RandomState or None
        A new generator, the caller's, or NumPy's own. Compiled shuffles only have MT19937: from a
        RandomState of another bit generator, the seed of a new MT19937 is drawn.
    """

    def __init__(self, random_state: Any) -> None:
        self._random_state = random_state
        self._shared = random_state is None or isinstance(random_state, np.random.RandomState)
        self._words: NDArray[np.uint64] | None = None  # newer than the generator
        self._generator: np.random.RandomState | None = None
        if isinstance(random_state, Integral):
            self._words = words_of_seed(int(random_state))
            return
        self._generator = check_random_state(random_state)
        state: Any = self._generator.get_state(legacy=False)
        if state["bit_generator"] != "MT19937":
            self._generator = np.random.RandomState(self._generator.randint(2**31))
            self._shared = False

    @property
    def are_shared(self) -> bool:
        """Whether other code may use the generator, too."""
        return self._shared

    def are_of(self, random_state: Any) -> bool:
        """Whether they come from this `random_state`: the same object, or an equal number."""
        if random_state is self._random_state:
            return True
        return not self._shared and bool(np.array_equal(random_state, self._random_state))

    @property
    def generator(self) -> np.random.RandomState:
        """The generator, for draws by NumPy."""
        if self._generator is None:
            self._generator = np.random.RandomState(0)
        if self._words is not None:
            put_words(self._generator, self._words)
            self._words = None
        return self._generator

    def draw(self, draw: Callable[[np.random.RandomState], NDArray[Any]]) -> NDArray[Any]:
        """What `draw` takes from the generator, in uniform numbers; it must not keep it."""
        if self._generator is not None or self._words is None:
            return draw(self.generator)
        borrowed.put(self._words)
        drawn = draw(borrowed.generator)
        self._words = borrowed.words()
        return drawn

    def words(self) -> NDArray[np.uint64]:
        """A copy of its state, for compiled shuffles."""
        return words_of(self.generator) if self._words is None else self._words.copy()

    def go_on_from(self, words: NDArray[np.uint64]) -> None:
        """Take over the state after shuffles; at once if other code may use the generator."""
        self._words = words
        if self._shared:
            _ = self.generator


def words_found(arrays: Arrays, verifier: Verifier) -> NDArray[np.uint64]:
    """The state in a checkpoint. Raises CheckpointError unless a generator can have it."""
    expected = {WORDS: Expected(np.uint64, (N_WORDS + 1,), low=0, high=2**32 - 1)}
    verifier.require_arrays({name: arrays[name] for name in expected if name in arrays}, expected)
    words = arrays[WORDS]
    is_state = words[N_WORDS] <= N_WORDS and words[:N_WORDS].any()
    verifier.require(is_state, f"{WORDS} is no state of a generator")
    return words


def initial_parameters(
    network: Network, generator: np.random.RandomState, dtype: Any, activation: str
) -> NDArray[Any]:
    """theta (n_parameters,) with scikit-learn's initial values (I1); with embeddings, those of I4.

    Each layer's W is drawn input by input, then its b. The output layer has the factor f of the
    last hidden layer or, if there is none, that of `activation`.
    """
    hidden = network.hidden or (activation,)
    theta = np.empty(network.n_parameters)
    if network.embeddings is not None:
        network.draw_above_embeddings(theta, generator)
        return theta.astype(dtype)
    for l, (W, b) in enumerate(views_of(theta, network.dense_sizes)):
        n_out, n_in = W.shape
        factor = UNITS[hidden[min(l, len(hidden) - 1)]].gain
        r = math.sqrt(factor / (n_in + n_out))
        drawn = generator.uniform(-r, r, W.size + n_out)
        W.T[:], b[:] = drawn[: W.size].reshape(n_in, n_out), drawn[W.size :]
    return theta.astype(dtype)
