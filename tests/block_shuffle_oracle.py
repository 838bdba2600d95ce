"""The shuffle by blocks a second time, with Python's own whole numbers; nothing of the package.

Written from docs/larger-than-memory.md, Blackman & Vigna 2021 and Lemire 2019.
"""

from collections.abc import Callable, Sequence

BUFFER_BLOCKS = 256
WORD = 2**64

Shuffle = Callable[[list[int]], None]


class Xoshiro:
    """xoshiro256++, from four words of state."""

    def __init__(self, words: Sequence[int]) -> None:
        self.s = [int(word) for word in words]

    def word(self) -> int:
        s = self.s
        result = (rotated((s[0] + s[3]) % WORD, 23) + s[0]) % WORD
        t = (s[1] << 17) % WORD
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotated(s[3], 45)
        return result

    def below(self, n: int) -> int:
        """Lemire's method on the upper 32 bits of a word."""
        while True:
            product = (self.word() >> 32) * n
            if product % 2**32 >= 2**32 % n:
                return product >> 32

    def shuffle(self, items: list[int]) -> None:
        """Fisher and Yates, from the end."""
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]


def rotated(word: int, by: int) -> int:
    return ((word << by) | (word >> (64 - by))) % WORD


def block_order(n_samples: int, block: int, shuffle: Shuffle) -> list[int]:
    """An epoch's order: blocks at random, then, from the last buffer to the first, its samples."""
    numbers = list(range(-(-n_samples // block)))
    shuffle(numbers)
    buffers = []
    for start in range(0, len(numbers), BUFFER_BLOCKS):
        buffers.append(
            [
                sample
                for number in numbers[start : start + BUFFER_BLOCKS]
                for sample in range(number * block, min((number + 1) * block, n_samples))
            ]
        )
    for buffer in reversed(buffers):
        shuffle(buffer)
    return [sample for buffer in buffers for sample in buffer]
