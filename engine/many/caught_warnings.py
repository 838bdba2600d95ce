"""Warnings of fits in threads: Python has one place for those of all threads."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_catching = threading.local()


@contextmanager
def caught_warnings() -> Iterator[None]:
    """Let each thread catch its own warnings, by `warnings_of_this_thread`."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        show = warnings.showwarning

        def catch_or_show(message: Any, category: Any, *where: Any) -> None:
            said = getattr(_catching, "said", None)
            if said is None:
                show(message, category, *where)
            else:
                said.append(warnings.WarningMessage(message, category, *where))

        warnings.showwarning = catch_or_show  # type: ignore[assignment]
        yield


@contextmanager
def warnings_of_this_thread(said: list[warnings.WarningMessage]) -> Iterator[None]:
    """Append the warnings of this thread to `said`."""
    before = getattr(_catching, "said", None)
    _catching.said = said
    try:
        yield
    finally:
        _catching.said = before
