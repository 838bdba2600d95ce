"""The Mersenne Twister MT19937, as NumPy's RandomState draws from it, for compiled shuffles.

Matsumoto & Nishimura 1998. A state is 625 numbers: the 624 words of the generator, and how many of
them have been drawn since they were made. Each word is tempered before it is used. A number below n
consists of the lowest bits of the next word, as many as n - 1 has. Words that give n or more are
skipped.
"""

import ctypes
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.compiler.jit import compiled_once, inlined, jit

WORDS = 624
MIDDLE = 397


def words_of(generator: np.random.RandomState) -> NDArray[np.uint64]:
    """The state (625,) of a RandomState, whose generator must be MT19937."""
    state: Any = generator.get_state(legacy=False)
    words = np.empty(WORDS + 1, np.uint64)
    words[:WORDS], words[WORDS] = state["state"]["key"], state["state"]["pos"]
    return words


def put_words(generator: np.random.RandomState, words: NDArray[np.uint64]) -> None:
    """Set a RandomState to a state (625,). It keeps a normal number that it has drawn ahead."""
    state: Any = generator.get_state(legacy=False)
    state["state"]["key"] = words[:WORDS].astype(np.uint32)
    state["state"]["pos"] = int(words[WORDS])
    generator.set_state(state)


class Borrowed(threading.local):
    """A generator of each thread, with its state in an array.

    To make a RandomState takes NumPy 65 us, and to read or set its state 25 us each: more than the
    rest of the draws of a small network.
    """

    def __init__(self) -> None:
        generator = np.random.MT19937(0)
        self.generator = np.random.RandomState(generator)
        place = (ctypes.c_uint32 * (WORDS + 1)).from_address(generator.ctypes.state_address)
        self._memory = np.ctypeslib.as_array(place)  # the words, and how many have been drawn
        self._is_state = True
        self._is_state = np.array_equal(self.words(), words_of(self.generator))

    def words(self) -> NDArray[np.uint64]:
        """A copy of its state."""
        return self._memory.astype(np.uint64) if self._is_state else words_of(self.generator)

    def put(self, words: NDArray[np.uint64]) -> None:
        """Set its state."""
        if self._is_state:
            self._memory[:] = words
        else:
            put_words(self.generator, words)


borrowed = Borrowed()


def words_of_seed(seed: int) -> NDArray[np.uint64]:
    """The state (625,) of ``RandomState(seed)``."""
    borrowed.generator.seed(seed)
    return borrowed.words()


@inlined
def mixed(high, low, middle):
    """A new word from the top bit of `high`, the lower bits of `low`, and the word `middle`."""
    joined = (high & np.uint64(0x80000000)) | (low & np.uint64(0x7FFFFFFF))
    return middle ^ (joined >> np.uint64(1)) ^ ((joined & np.uint64(1)) * np.uint64(0x9908B0DF))


@compiled_once
def next_words(state):
    """Make the next 624 words."""
    for w in range(WORDS - MIDDLE):
        state[w] = mixed(state[w], state[w + 1], state[w + MIDDLE])
    for w in range(WORDS - MIDDLE, WORDS - 1):
        state[w] = mixed(state[w], state[w + 1], state[w + MIDDLE - WORDS])
    state[WORDS - 1] = mixed(state[WORDS - 1], state[0], state[MIDDLE - 1])
    state[WORDS] = 0


@inlined
def tempered(word):
    """A word as it is drawn."""
    word ^= word >> np.uint64(11)
    word ^= (word << np.uint64(7)) & np.uint64(0x9D2C5680)
    word ^= (word << np.uint64(15)) & np.uint64(0xEFC60000)
    return word ^ (word >> np.uint64(18))


@inlined
def mask_above(last):
    """The smallest 2^k - 1, from 1, that is at least `last`."""
    mask = np.uint64(1)
    while mask < np.uint64(last):
        mask = (mask << np.uint64(1)) | np.uint64(1)
    return mask


@compiled_once
def shuffle_mersenne_loops(order, state):
    """Shuffle `order` as ``RandomState.shuffle`` does.

    Each number is exchanged with one that is drawn below it. Whether a drawn number is small enough
    cannot be predicted; so there is no branch: a number too large exchanges an entry with itself.
    """
    last = order.size - 1
    mask = mask_above(last)
    while last > 0:
        while np.int64(mask >> np.uint64(1)) >= last:
            mask >>= np.uint64(1)
        above = np.int64(mask >> np.uint64(1))  # down to here the mask is the same
        if state[WORDS] == WORDS:
            next_words(state)
        place = np.int64(state[WORDS])
        while place < WORDS and last > above:
            drawn = np.int64(tempered(state[place]) & mask)
            place += 1
            fits = drawn <= last
            other = drawn if fits else last
            exchanged = order[last]
            order[last] = order[other]
            order[other] = exchanged
            last -= np.int64(fits)
        state[WORDS] = place


@jit
def draw_order_mersenne_loops(n_samples, state):
    """Draw the numbers that a shuffle of so many samples draws, without shuffling."""
    last = n_samples - 1
    mask = mask_above(last)
    while last > 0:
        while np.int64(mask >> np.uint64(1)) >= last:
            mask >>= np.uint64(1)
        above = np.int64(mask >> np.uint64(1))
        if state[WORDS] == WORDS:
            next_words(state)
        place = np.int64(state[WORDS])
        while place < WORDS and last > above:
            last -= np.int64(np.int64(tempered(state[place]) & mask) <= last)
            place += 1
        state[WORDS] = place
