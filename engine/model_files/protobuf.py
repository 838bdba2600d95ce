"""A reader of protocol buffers that is just enough for .onnx files.

    field     key, then a number, or a length and so many bytes
    key       8 * number of the field + 0 for a number, 2 for bytes
    number    7 bits a byte, the lowest first; the highest bit says that another follows

The protobuf library creates an object for every message in a file, which takes fifty times the
memory of a small message. This reader only creates views of what is looked for.
https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator

NUMBER, BYTES = 0, 2
FEWEST_FIELDS, BYTES_A_FIELD = 1000, 16  # those of a model have more bytes
LONGEST = 10  # bytes of a number of 64 bits

Value = int | memoryview


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field of a message, in order; ValueError for a damaged one.

    Examples
    --------
    >>> [(number, bytes(value)) for number, value in fields(memoryview(b"\\x0a\\x02hi"))]
    [(1, b'hi')]
    """
    place, left = 0, FEWEST_FIELDS + len(message) // BYTES_A_FIELD
    while place < len(message):
        left -= 1
        if left < 0:
            raise ValueError("fields of hardly any bytes")
        key, place = _number(message, place)
        value, place = _number(message, place)
        if key & 7 == NUMBER:
            yield key >> 3, value
        elif key & 7 == BYTES and value <= len(message) - place:
            yield key >> 3, message[place : place + value]
            place += value
        else:
            raise ValueError(f"a field that ends beyond its message, or of kind {key & 7}")


def of_bytes(value: Value) -> memoryview:
    """A value that must be bytes."""
    if isinstance(value, int):
        raise ValueError("a number where bytes are expected")
    return value


def text(value: Value) -> str:
    """A value that must be text in UTF-8."""
    return bytes(of_bytes(value)).decode("utf-8")


def _number(message: memoryview, place: int) -> tuple[int, int]:
    """The number that begins there, and where it ends."""
    found = 0
    for k in range(LONGEST):
        if place + k >= len(message):
            raise ValueError("the end comes within a number")
        byte = message[place + k]
        found |= (byte & 0x7F) << 7 * k
        if byte < 0x80:
            return found, place + k + 1
    raise ValueError("a number without an end")
