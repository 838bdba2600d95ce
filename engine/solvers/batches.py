"""The order in which minibatch descent takes the samples: a shuffle from a seed.

Every backend and every number of threads takes the same order. The numbers come from
xoshiro256++ (Blackman & Vigna 2021), whose four words of state NumPy fills from the seed; a number
below n is drawn without bias as in Lemire 2019, section 3. The shuffle is Fisher's and Yates'. If
the state has 625 words, the numbers come from the Mersenne Twister instead, as NumPy's RandomState
draws them (mersenne.py).

A shuffle by blocks has two levels, after CorgiPile (Xu et al. 2022, section 4). It puts blocks of
consecutive samples into a random order. Then it shuffles the samples within each buffer of 256
blocks. So the samples of a buffer can be read from a disk block by block.
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.compiler.jit import compiled_once, inlined
from engine.compiler.views import vector_at
from engine.solvers.mersenne import draw_order_mersenne_loops, shuffle_mersenne_loops

BLOCK_NUMBERS = 2**16  # of X, in a block: 256 KB of float32, 512 KB of float64
BUFFER_BLOCKS = 256  # in a buffer: 64 MB, 128 MB


def samples_of_a_block(n_features: int) -> int:
    """Samples of a block, for inputs of so many features.

    >>> samples_of_a_block(20), samples_of_a_block(100_000)
    (3276, 1)
    """
    return max(1, BLOCK_NUMBERS // n_features)


def random_state(seed: int) -> NDArray[np.uint64]:
    """Four words of state, of another random stream than that of the initial parameters."""
    return np.array(_words_of(seed), np.uint64)


@functools.lru_cache(maxsize=64)
def _words_of(seed: int) -> tuple[int, ...]:
    """Those words; kept, as NumPy takes longer to draw them than a small network for a pass."""
    sequence = np.random.SeedSequence(seed, spawn_key=(1,))
    return tuple(sequence.generate_state(4, np.uint64).tolist())


def in_order(n_samples: int) -> NDArray[Any]:
    """0, 1, ..., n_samples - 1, as int32 if that is enough, else as int64."""
    return np.arange(n_samples, dtype=np.int32 if n_samples < 2**31 else np.int64)


@inlined
def random_word(a, b, c, d):
    """The next 64 random bits of a state of four words, and the next state."""
    total = a + d
    word = ((total << np.uint64(23)) | (total >> np.uint64(41))) + a
    shifted = b << np.uint64(17)
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    return word, a, b, c, (d << np.uint64(45)) | (d >> np.uint64(19))


@inlined
def random_below(n, a, b, c, d):
    """A whole number in 0 ... n - 1, and the next state; n is a uint64 of no more than 32 bits."""
    low_half, half = np.uint64(2**32 - 1), np.uint64(32)
    word, a, b, c, d = random_word(a, b, c, d)
    product = (word >> half) * n
    if product & low_half < n:
        smallest = (np.uint64(2**32) - n) % n
        while product & low_half < smallest:
            word, a, b, c, d = random_word(a, b, c, d)
            product = (word >> half) * n
    return product >> half, a, b, c, d


@compiled_once
def shuffle_loops(order, state):
    """Shuffle `order`; each order is equally likely."""
    if state.size > 4:
        shuffle_mersenne_loops(order, state)
        return
    a, b, c, d = state[0], state[1], state[2], state[3]  # in registers meanwhile
    for last in range(order.size - 1, 0, -1):
        below, a, b, c, d = random_below(np.uint64(last + 1), a, b, c, d)
        other = np.int64(below)
        exchanged = order[last]
        order[last] = order[other]
        order[other] = exchanged
    state[0], state[1], state[2], state[3] = a, b, c, d


@compiled_once
def shuffle_blocks_loops(order, state, block):
    """Write 0 ... n - 1 into `order`: blocks in random order, each buffer of blocks shuffled.

    The result depends on the generator alone, not on what `order` held.
    """
    n_blocks = -(-order.size // block)
    for number in range(n_blocks):
        order[number] = number
    shuffle_loops(vector_at(order, 0, n_blocks), state)
    # Go from the last block to the first, and write samples over the numbers of the blocks. A block
    # has at least one sample, so no number is overwritten before it is read.
    stop = buffer_stop = order.size
    for place in range(n_blocks - 1, -1, -1):
        first = np.int64(order[place]) * block
        n = min(block, order.size - first)
        stop -= n
        for sample in range(n):
            order[stop + sample] = first + sample
        if place % BUFFER_BLOCKS == 0:
            shuffle_loops(vector_at(order, stop, buffer_stop - stop), state)
            buffer_stop = stop


def no_order(n_samples: int) -> NDArray[Any]:
    """A read-only placeholder for the order, for runs in which each step takes all samples.

    It takes no memory. `shuffle` does not change it, but draws the numbers of a real shuffle.
    """
    return np.ndarray((n_samples,), np.int32, bytes(4), strides=(0,))  # read-only as bytes are


def shuffle(order: NDArray[Any], state: NDArray[np.uint64], block: int = 0) -> None:
    """Shuffle `order` from Python: by blocks of so many samples, or all at once if `block` is 0.

    A read-only order stays as it is; only the generator advances.
    """
    with np.errstate(over="ignore"):  # words wrap around, which NumPy would warn of
        if not order.flags.writeable:
            draw_order(order.size, state, block)
        elif block:
            shuffle_blocks_loops(order, state, block)
        else:
            shuffle_loops(order, state)


def draw_order(n_samples: int, state: NDArray[np.uint64], block: int) -> None:
    """Advance the generator as a shuffle of so many samples would."""
    if not block:
        draw_order_mersenne_loops(n_samples, state)
        return
    numbers = in_order(-(-n_samples // block))
    shuffle_loops(numbers, state)
    sizes = np.minimum(block, n_samples - numbers.astype(np.int64) * block)
    for first in range(0, len(sizes), BUFFER_BLOCKS)[::-1]:
        draw_order_mersenne_loops(int(sizes[first : first + BUFFER_BLOCKS].sum()), state)
