"""Arrays that are mapped from files: which ones are, whether the files are whole, and memory left.

Training reads such arrays where they lie. What would make a copy of one asks here first.
"""

import ctypes
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARE = 0.8  # of the memory left, that a copy of what was mapped may take
REQUEST_BYTES = 1 << 17  # of which Linux reads no more than a device takes at once: often this
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


def check_whole(argument: str, array: Any) -> None:
    """Refuse an array whose file has become shorter: to read beyond its end kills the process."""
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


def check_as_it_lies(argument: str, array: NDArray[Any]) -> None:
    """Refuse what kernels would have to copy, whole, as it is backward or between other bytes."""
    if not array.flags.aligned or any(step < 0 or step % array.itemsize for step in array.strides):
        check_copy_fits(
            argument,
            array,
            array.dtype,
            "It is backward in memory, or its numbers stand between other bytes; pass an array of "
            "a file that holds these numbers alone.",
        )


def conversion_advice(argument: str, dtype: Any) -> str:
    """What to do about a mapped array of a dtype that nothing is trained in."""
    return (
        f"{argument} has dtype {np.dtype(dtype)}; only float32 and float64 in the byte order of "
        "this machine are trained as they lie. Write the file once more in float32, a part at a "
        "time: docs/larger-than-memory.md shows how."
    )


def in_words(n_bytes: float) -> str:
    """A number of bytes.

    >>> in_words(123), in_words(2_500_000), in_words(3e9)
    ('123 bytes', '2.5 MB', '3 GB')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.3g} {name}"
    return f"{n_bytes:.0f} bytes"


def memory_left() -> float:
    """Bytes that this process can still allocate; inf where the system does not say."""
    return max(0.0, min(_of_machine(), _of_group(), *_of_process()))


def ask_for(address: int, n_bytes: int) -> None:
    """Ask the system to read a part of a mapping from the disk, and do not wait for it."""
    page = mmap.PAGESIZE
    last = address + n_bytes
    for first in range(address // page * page, last, REQUEST_BYTES):
        n = min(REQUEST_BYTES, last - first)
        _madvise(ctypes.c_void_p(first), ctypes.c_size_t(n), WILL_NEED)


def expect(address: int, n_bytes: int, at_random: bool) -> None:
    """Say whether what is read of a mapping tells what is read next.

    If not, the system reads the page that is wanted; else, often megabytes around it.
    """
    page = mmap.PAGESIZE
    first = address // page * page
    advice = RANDOM if at_random else NORMAL
    _madvise(ctypes.c_void_p(first), ctypes.c_size_t(address + n_bytes - first), advice)


def can_ask() -> bool:
    """Whether the system takes such requests."""
    return _madvise is not None


def _of_machine() -> float:
    return _number_in("/proc/meminfo", "MemAvailable:", 1024)


def _of_group() -> float:
    """What the control group of this process allows, less what it holds and cannot give back."""
    for limit, used, files in (
        ("memory.max", "memory.current", "file "),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_cache "),
    ):
        root = Path("/sys/fs/cgroup")
        try:
            most = float((root / limit).read_text())
            held = float((root / used).read_text())
        except (OSError, ValueError):  # no such file, or "max"
            continue
        cached = _number_in(str((root / limit).with_name("memory.stat")), files, 1)
        return most - held + (cached if np.isfinite(cached) else 0)
    return np.inf


def _of_process() -> list[float]:
    """What the limits on address space and data allow."""
    try:
        import resource
    except ImportError:  # Windows
        return []
    held = {"RLIMIT_AS": "VmSize:", "RLIMIT_DATA": "VmData:"}
    left = []
    for name, field in held.items():
        most = resource.getrlimit(getattr(resource, name))[0]
        if most != resource.RLIM_INFINITY:
            used = _number_in("/proc/self/status", field, 1024)
            left.append(most - used if np.isfinite(used) else float(most))
    return left


def _number_in(path: str, field: str, unit: int) -> float:
    try:
        with open(path, encoding="ascii") as lines:
            for line in lines:
                if line.startswith(field):
                    return float(line.removeprefix(field).split()[0]) * unit
    except (OSError, ValueError):
        pass
    return np.inf


def _found_madvise() -> Any:
    try:
        return ctypes.CDLL(None, use_errno=True).madvise
    except (AttributeError, OSError, TypeError):  # Windows
        return None


_madvise = _found_madvise()


def address_of(array: NDArray[Any]) -> int:
    """Where its first number lies."""
    return int(array.__array_interface__["data"][0])
