"""BLAS limited to one thread during a fit: the bits of its sums depend on its number of threads.

In most builds the number of threads is a setting of the process, in others of each thread that
calls. Any thread of the program may change it at any time: docs/decisions/0035-blas-threads.md.
"""

import os
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import threadpoolctl

ATTEMPTS = 100  # another thread may change the number before it is read back

_lock = threading.Lock()
_holders: Counter[int] = Counter()  # for each thread, how many of its fits hold BLAS
_found: dict[str, tuple[Any, int]] = {}  # by file: the BLAS of the process, and its threads before


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit each loaded BLAS to one thread, whichever Python thread calls it.

    If several fits run at once, the last one to end restores the number of threads. NumPy and SciPy
    each bring a BLAS: load what the fit uses before this is called.
    """
    me = threading.get_ident()
    of_this_thread = _limit_this_thread()
    with _lock:
        _holders[me] += 1
        for library in _libraries():
            if not _counts_by_thread(library) and library.filepath not in _found:
                _found[library.filepath] = library, library.get_num_threads()
    try:
        hold_blas()
        yield
    finally:
        with _lock:
            _holders[me] -= 1
            if not _holders[me]:
                del _holders[me]
            if not _holders:
                _give_back()
        for library, number in of_this_thread:
            _set_threads(library, number)


def hold_blas() -> None:
    """While a fit holds BLAS: set it to one thread again if another thread has changed that.

    Call it before each use of BLAS; it takes about a microsecond. At the end, BLAS gets the
    largest number of threads that was found: a lower limit, set by others, has ended meanwhile.
    """
    if not _holders:
        return
    for path, (library, _) in list(_found.items()):
        if library.get_num_threads() != 1:
            with _lock:
                if path in _found:
                    number = library.get_num_threads()
                    _found[path] = library, max(_found[path][1], number)
                    _set_threads(library, 1)


def limit_own_thread() -> None:
    """In a thread that we started: limit each BLAS that has a per-thread setting to one thread."""
    _limit_this_thread()


def _limit_this_thread() -> list[tuple[Any, int]]:
    """Limit each BLAS with a per-thread setting; return these, with their previous numbers."""
    limited = []
    for library in _libraries():
        if _counts_by_thread(library):
            limited.append((library, library.get_num_threads()))
            _set_threads(library, 1)
    return limited


_known: tuple[int, list[Any]] = (0, [])  # how many modules there were, and each BLAS then


def _libraries() -> list[Any]:
    """Each BLAS that is loaded and says how many threads it uses.

    To look through all loaded libraries takes milliseconds, as long as a hundred small networks. A
    BLAS is loaded by a module that is imported: unless there are others, it is not looked for.
    """
    global _known
    n_modules = len(sys.modules)
    if _known[0] != n_modules:
        found = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
        usable = [library for library in found if library.get_num_threads() is not None]
        _known = n_modules, usable
    return _known[1]


def _counts_by_thread(library: Any) -> bool:
    """Whether the number of threads is a setting of the calling thread, not of the process."""
    return library.internal_api == "mkl" or getattr(library, "threading_layer", "") == "openmp"


def _set_threads(library: Any, number: int) -> None:
    """Set the number of threads, and check that it took effect.

    Since threadpoolctl 3.8, one thread controls OpenBLAS, and calls from other threads are silently
    ignored. So control is taken away from that thread first, and given up again afterwards.
    """
    leave_control = getattr(library, "clear_controlling_thread", lambda force: None)
    for _ in range(ATTEMPTS):
        leave_control(force=True)
        library.set_num_threads(number)
        leave_control(force=True)
        if library.get_num_threads() == number:
            return
    warnings.warn(
        f"The number of threads of BLAS ({library.filepath}) could not be set to {number}. Results "
        "of solver='lbfgs' and backend='numpy' may differ in their last bits from those of other "
        "runs. Set OPENBLAS_NUM_THREADS=1 or MKL_NUM_THREADS=1 before the program starts.",
        RuntimeWarning,
        stacklevel=2,
    )


def _give_back() -> None:
    for library, number in _found.values():
        if library.get_num_threads() != number:
            _set_threads(library, number)
    _found.clear()


def _after_fork() -> None:
    """A forked child only has the thread that forked it, and none of the other threads' fits."""
    global _lock
    _lock = threading.Lock()
    me = threading.get_ident()
    for other in [holder for holder in _holders if holder != me]:
        del _holders[other]
    if _found and not _holders:
        _give_back()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
