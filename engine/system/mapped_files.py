"""Arrays that are mapped from files: which ones are, whether the files are whole, reading ahead.

Training reads such arrays in place. Code that would copy one calls this module first.
"""

import ctypes
import mmap
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.system.free_memory import in_words, memory_left

SHARE = 0.8  # of the memory left, which a copy of a mapped array may take
REQUEST_BYTES = 1 << 17  # Linux reads no more per request than a device can: often this
# MADV_NORMAL, MADV_RANDOM and MADV_WILLNEED: the same numbers on Linux, macOS and the BSDs.
NORMAL, RANDOM, WILL_NEED = 0, 1, 3


def mapping_of(array: Any) -> Any:
    """The np.memmap of the file which `array` is a view of; None where there is none."""
    found = None
    while isinstance(array, np.ndarray):
        below: Any = array.base
        if isinstance(array, np.memmap) and isinstance(below, mmap.mmap):
            found = array
        array = below
    return found


def check_not_truncated(argument: str, array: Any) -> None:
    """Refuse an array whose file was truncated: reading beyond its end kills the process."""
    mapping = mapping_of(array)
    if mapping is None or mapping.filename is None:
        return
    try:
        found = os.stat(mapping.filename).st_size
    except OSError:  # the name is gone; the mapping keeps the file
        return
    wanted = mapping.offset + mapping.nbytes
    if found < wanted:
        raise ValueError(
            f"{argument} is mapped from {mapping.filename}, which had at least {wanted} bytes when "
            f"it was opened and has {found} now. Write the file anew, and open it again."
        )


def check_copy_fits(argument: str, array: Any, dtype: Any, advice: str) -> None:
    """Refuse to make a copy, in `dtype`, of a mapped array that is too large for memory.

    Raises
    ------
    ValueError
        With the sizes, and `advice`.
    """
    if mapping_of(array) is None:
        return
    needed, left = array.size * np.dtype(dtype).itemsize, memory_left()
    if needed > SHARE * left:
        raise ValueError(
            f"{argument} is mapped from a file, and a copy of it in {np.dtype(dtype)} would take "
            f"{in_words(needed)} of the {in_words(left)} of memory that are left. {advice}"
        )


def check_usable_in_place(argument: str, array: NDArray[Any]) -> None:
    """Refuse a mapped array that kernels would have to copy: negative strides, or gaps."""
    if not array.flags.aligned or any(step < 0 or step % array.itemsize for step in array.strides):
        check_copy_fits(
            argument,
            array,
            array.dtype,
            "It is backward in memory, or its numbers stand between other bytes; pass an array of "
            "a file that holds these numbers alone.",
        )


def conversion_advice(argument: str, dtype: Any) -> str:
    """What to do about a mapped array whose dtype cannot be trained on directly."""
    return (
        f"{argument} has dtype {np.dtype(dtype)}; only float32 and float64 in the byte order of "
        "this machine are trained as they lie. Write the file once more in float32, a part at a "
        "time: docs/larger-than-memory.md shows how."
    )


def ask_for(address: int, n_bytes: int) -> None:
    """Ask the system to read a part of a mapping from the disk, and do not wait for it."""
    page = mmap.PAGESIZE
    last = address + n_bytes
    for first in range(address // page * page, last, REQUEST_BYTES):
        n = min(REQUEST_BYTES, last - first)
        _madvise(ctypes.c_void_p(first), ctypes.c_size_t(n), WILL_NEED)


def expect(address: int, n_bytes: int, at_random: bool) -> None:
    """Tell the system whether a mapping is read at random places.

    If so, it reads only the page that is needed; otherwise often megabytes around it.
    """
    page = mmap.PAGESIZE
    first = address // page * page
    advice = RANDOM if at_random else NORMAL
    _madvise(ctypes.c_void_p(first), ctypes.c_size_t(address + n_bytes - first), advice)


def can_ask() -> bool:
    """Whether the system has `madvise`."""
    return _madvise is not None


def _found_madvise() -> Any:
    try:
        return ctypes.CDLL(None, use_errno=True).madvise
    except (AttributeError, OSError, TypeError):  # Windows
        return None


_madvise = _found_madvise()


def address_of(array: NDArray[Any]) -> int:
    """The address of its first number."""
    return int(array.__array_interface__["data"][0])
