"""The order in which minibatch descent takes the samples: a shuffle from a seed.

Every backend and every number of threads takes the same order. The numbers come from
xoshiro256++ (Blackman & Vigna 2021), whose four words of state NumPy fills from the seed; a number
below n is drawn without bias as in Lemire 2019, section 3. The exchanges are Fisher's and Yates'.
Or they come from the Mersenne Twister, as NumPy's RandomState draws them (mersenne.py): which of
the two, the length of the state says.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine._jit import compiled_once, inlined
from engine.training.mersenne import draw_order_mersenne_loops, shuffle_mersenne_loops


def random_state(seed: int) -> NDArray[np.uint64]:
    """Four words of state, apart from the stream that initial parameters are drawn from."""
    sequence = np.random.SeedSequence(seed, spawn_key=(1,))
    return sequence.generate_state(4, np.uint64).astype(np.uint64)


def in_order(n_samples: int) -> NDArray[Any]:
    """0, 1, ..., n_samples - 1, in four bytes each where that is enough."""
    return np.arange(n_samples, dtype=np.int32 if n_samples < 2**31 else np.int64)


@inlined
def random_word(state):
    """The next 64 random bits."""
    total = state[0] + state[3]
    word = ((total << np.uint64(23)) | (total >> np.uint64(41))) + state[0]
    shifted = state[1] << np.uint64(17)
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= shifted
    state[3] = (state[3] << np.uint64(45)) | (state[3] >> np.uint64(19))
    return word


@inlined
def random_below(n, state):
    """A whole number in 0 ... n - 1; n is a uint64 of no more than 32 bits."""
    low_half = np.uint64(2**32 - 1)
    product = (random_word(state) >> np.uint64(32)) * n
    if product & low_half < n:
        smallest = (np.uint64(2**32) - n) % n
        while product & low_half < smallest:
            product = (random_word(state) >> np.uint64(32)) * n
    return product >> np.uint64(32)


@compiled_once
def shuffle_loops(order, state):
    """Put `order` into a random order, each of them equally likely."""
    if state.size > 4:
        shuffle_mersenne_loops(order, state)
        return
    for last in range(order.size - 1, 0, -1):
        other = np.int64(random_below(np.uint64(last + 1), state))
        exchanged = order[last]
        order[last] = order[other]
        order[other] = exchanged


def no_order(n_samples: int) -> NDArray[Any]:
    """A stand-in for an order that nobody asks for, since each step takes all samples.

    Read-only, and of no size in memory. A shuffle of it draws the numbers that a shuffle draws.
    """
    return np.broadcast_to(np.int32(0), (n_samples,))


def shuffle(order: NDArray[Any], state: NDArray[np.uint64]) -> None:
    """The same from Python; of what is read-only, only the generator goes on."""
    with np.errstate(over="ignore"):  # words wrap around, which NumPy would warn of
        if order.flags.writeable:
            shuffle_loops(order, state)
        else:
            draw_order_mersenne_loops(order.size, state)
