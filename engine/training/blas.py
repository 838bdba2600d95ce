"""BLAS on one thread while a run that uses it lasts: its sums change bits with its threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_running = 0
_libraries: set[str] = set()  # those that are held
_limits: list[Any] = []


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS at one thread; the last of several runs at once gives it its threads back.

    That is each BLAS that is loaded by now: NumPy and SciPy bring one each. The limit is the
    process's, so a run that ends must not lift it under another, nor take the other's limit for the
    number to restore.
    """
    global _running
    with _lock:
        controller = ThreadpoolController().select(user_api="blas")
        loaded = {library.filepath for library in controller.lib_controllers}
        if not loaded <= _libraries:
            _limits.append(controller.limit(limits=1))
            _libraries.update(loaded)
        _running += 1
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if _running == 0:
                while _limits:  # the latest first, which found the others' limit where theirs was
                    _limits.pop().restore_original_limits()
                _libraries.clear()
