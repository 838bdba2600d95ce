"""Damage to the bytes of a file, as disks, networks and people do it; no format is known here.

Each function takes a random generator, the bytes, and those of another file, and gives other bytes.
"""

import random
import re
from collections.abc import Callable

Damage = Callable[[random.Random, bytes, bytes], bytes]

EXTREMES = [b"\0", b"\xff", b"\x7f", b"\x80"]


def truncated(generator: random.Random, content: bytes, other: bytes) -> bytes:
    return content[: generator.randrange(len(content))]


def flipped_bits(generator: random.Random, content: bytes, other: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(generator.choice([1, 1, 1, 2, 8, 64])):
        changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
    return bytes(changed)


def other_bytes(generator: random.Random, content: bytes, other: bytes) -> bytes:
    start, end = _range(generator, content)
    return content[:start] + generator.randbytes(end - start) + content[end:]


def extreme_bytes(generator: random.Random, content: bytes, other: bytes) -> bytes:
    """A number of 1, 2, 4 or 8 bytes becomes 0, -1, or the largest."""
    length = generator.choice([1, 2, 4, 8])
    start = generator.randrange(len(content))
    value = generator.choice(EXTREMES) * length
    return content[:start] + value + content[start + length :]


def swapped_ranges(generator: random.Random, content: bytes, other: bytes) -> bytes:
    a, b, c, d = sorted(generator.randrange(len(content) + 1) for _ in range(4))
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def deleted_range(generator: random.Random, content: bytes, other: bytes) -> bytes:
    start, end = _range(generator, content)
    return content[:start] + content[end:]


def doubled_range(generator: random.Random, content: bytes, other: bytes) -> bytes:
    start, end = _range(generator, content)
    return content[:end] + content[start:end] * generator.choice([1, 1, 2, 50]) + content[end:]


def inserted_bytes(generator: random.Random, content: bytes, other: bytes) -> bytes:
    start = generator.randrange(len(content) + 1)
    return content[:start] + generator.randbytes(generator.randrange(1, 64)) + content[start:]


def spliced(generator: random.Random, content: bytes, other: bytes) -> bytes:
    """The beginning of one file and the end of another."""
    return content[: generator.randrange(len(content))] + other[generator.randrange(len(other)) :]


def patched(generator: random.Random, content: bytes, other: bytes) -> bytes:
    """A range of another file at the same place."""
    start, end = _range(generator, content)
    return content[:start] + other[start:end] + content[end:]


def other_digits(generator: random.Random, content: bytes, other: bytes) -> bytes:
    """A number that is written out becomes another: sizes, shapes, offsets, versions."""
    numbers = list(re.finditer(rb"\d+", content))
    found = generator.choice(numbers)
    wide = len(found[0])
    value = generator.choice(
        [
            b"0",
            b"9" * wide,
            b"9" * generator.choice([5, 12, 19, 25, 5000]),
            b"-1",
            str(generator.randrange(10**wide)).encode(),
            b"1e9",
        ]
    )
    return content[: found.start()] + value + content[found.end() :]


def nothing_left(generator: random.Random, content: bytes, other: bytes) -> bytes:
    """Another kind of content altogether."""
    length = generator.choice([0, 1, 8, len(content)])
    return generator.choice([bytes(length), generator.randbytes(length), b" " * length])


DAMAGES: dict[str, Damage] = {
    "truncated": truncated,
    "flipped bits": flipped_bits,
    "other bytes": other_bytes,
    "extreme numbers": extreme_bytes,
    "swapped ranges": swapped_ranges,
    "a range deleted": deleted_range,
    "a range doubled": doubled_range,
    "bytes inserted": inserted_bytes,
    "two files spliced": spliced,
    "a part of another file": patched,
    "other digits": other_digits,
    "nothing left of it": nothing_left,
}


def _range(generator: random.Random, content: bytes) -> tuple[int, int]:
    """A range that is short more often than long."""
    start = generator.randrange(len(content))
    longest = max(1, int(len(content) * generator.random() ** 4))
    return start, min(len(content), start + generator.randrange(1, longest + 1))
