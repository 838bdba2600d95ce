"""Resident memory of this process, and its peak since a moment.

The peak is that of `VmHWM`, set back at that moment; where there is no /proc, that of getrusage,
which never falls, so that what came before may hide a part.
"""

import sys
from pathlib import Path

from engine.system.free_memory import of_process

STATUS = Path("/proc/self/status")


def now() -> int:
    """Bytes that are resident; where that is not known, the most that ever were."""
    return _field("VmRSS") if STATUS.exists() else peak()


def start_counting() -> int:
    """Resident bytes now; the peak counts from here, where the system lets it be set back."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return peak()
    return now()


def peak() -> int:
    """The most bytes that were resident."""
    if STATUS.exists():
        return _field("VmHWM")
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _field(name: str) -> int:
    found = of_process(name)
    if found is None:
        raise OSError(f"{STATUS} has no {name}")
    return found
