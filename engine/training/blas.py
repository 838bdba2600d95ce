"""BLAS on one thread while a NumPy-backed run lasts: its sums change bits with its threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

_lock = threading.Lock()
_running = 0
_limit: threadpool_limits | None = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS at one thread; the last of several runs at once gives it its threads back.

    The limit is the process's, so a run that ends must not lift it under another, nor take the
    other's limit for the number to restore.
    """
    global _running, _limit
    with _lock:
        if _running == 0:
            _limit = threadpool_limits(limits=1, user_api="blas")
        _running += 1
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if _running == 0 and _limit is not None:
                _limit.restore_original_limits()
                _limit = None
