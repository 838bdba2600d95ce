"""How much memory this process can still allocate, by all limits."""

import math
import mmap
import sys
from pathlib import Path

from engine.system import control_groups

# Without so many bytes, no thread is started: it needs a little, and Numba's dispatcher (0.68)
# crashes where one of its allocations fails.
THREAD_BYTES = 2**20


def memory_left() -> float:
    """Bytes that this process can still allocate; inf where the system does not say."""
    return max(0.0, min(_of_machine(), _of_groups(), *_of_process()))


def can_map(n_bytes: int) -> bool:
    """Whether this process can map so many bytes at this moment. Takes microseconds.

    To be asked before a library allocates that crashes, or ends the process, if it gets no memory.
    The limits of control groups are not seen: the system ends a process that exceeds them.
    """
    try:
        if sys.platform == "win32":
            mmap.mmap(-1, n_bytes).close()
        else:  # private, as limits of data do not count shared memory
            mmap.mmap(-1, n_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        return False
    return True


def of_process(field: str, pid: int | str = "self") -> int | None:
    """A number of bytes that Linux reports of a process, such as "VmRSS"; None if it does not."""
    found = _number_after(f"{field}:", Path(f"/proc/{pid}/status"))
    return None if found is None else 1024 * int(found)


def in_words(n_bytes: float) -> str:
    """A number of bytes.

    >>> in_words(123), in_words(2_500_000), in_words(3e9)
    ('123 bytes', '2.5 MB', '3 GB')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.3g} {name}"
    return f"{n_bytes:.0f} bytes"


def _of_machine() -> float:
    left = _number_after("MemAvailable:", Path("/proc/meminfo"))
    return math.inf if left is None else 1024 * left


def _of_groups() -> float:
    return min(map(_of_group, control_groups.folders("memory")), default=math.inf)


def _of_group(folder: Path) -> float:
    """A control group's limit less its usage, without cached files that the system can drop."""
    for limit, used, files in (
        ("memory.max", "memory.current", ("inactive_file", "active_file")),
        (
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            ("total_inactive_file", "total_active_file"),
        ),
    ):
        most, held = (control_groups.number_in(folder / name) for name in (limit, used))
        if most is not None and held is not None:
            stat = folder / "memory.stat"
            cached = sum(_number_after(f"{name} ", stat) or 0.0 for name in files)
            return most - max(0.0, held - cached)
    return math.inf


def _of_process() -> list[float]:
    """What the limits on address space and data allow."""
    try:
        import resource
    except ImportError:  # Windows
        return []
    left = []
    for name, field in {"RLIMIT_AS": "VmSize", "RLIMIT_DATA": "VmData"}.items():
        most = resource.getrlimit(getattr(resource, name))[0]
        if most != resource.RLIM_INFINITY:
            left.append(float(most - (of_process(field) or 0)))
    return left


def _number_after(field: str, path: Path) -> float | None:
    """The number in the line that begins with `field`."""
    try:
        with path.open(encoding="ascii") as lines:
            for line in lines:
                if line.startswith(field):
                    return float(line.removeprefix(field).split()[0])
    except (OSError, ValueError, IndexError):
        pass
    return None
