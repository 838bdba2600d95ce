"""Warnings of fits in threads: Python has one place for those of all threads."""

import threading
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Said = list[warnings.WarningMessage]

_catching = threading.local()


class _Asker:
    """One who asks for the catch; forgotten with its frame, if Ctrl-C comes before it is done."""


class _Catch:
    """Python's one place for warnings, taken over while anybody asks for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._askers: weakref.WeakSet[_Asker] = weakref.WeakSet()
        self._python: Any = None

    def take(self, asker: _Asker) -> None:
        with self._lock:
            is_first = not self._askers
            self._askers.add(asker)
            if not is_first:
                return
            python = warnings.catch_warnings()
            python.__enter__()
            self._python = python
            warnings.simplefilter("always")
            show = warnings.showwarning

            def catch_or_show(message: Any, category: Any, *where: Any) -> None:
                said = getattr(_catching, "said", None)
                if said is None:
                    show(message, category, *where)
                else:
                    said.append(warnings.WarningMessage(message, category, *where))

            warnings.showwarning = catch_or_show  # type: ignore[assignment]

    def give_back(self, asker: _Asker) -> None:
        with self._lock:
            self._askers.discard(asker)
            if not self._askers and self._python is not None:
                python, self._python = self._python, None
                python.__exit__(None, None, None)


_catch = _Catch()


@contextmanager
def caught_warnings() -> Iterator[None]:
    """Let each thread catch its own warnings, by `catch_warnings`.

    Another thread that enters or leaves Python's own `warnings.catch_warnings` meanwhile can make
    some of them be shown, or lost. What a fit says at its end is not caught, but handed on.
    """
    asker = _Asker()
    try:
        _catch.take(asker)
        yield
    finally:
        _catch.give_back(asker)


def catch_warnings(said: Said | None) -> Said | None:
    """Append the warnings of this thread to `said`, or show them; returns the list before."""
    before: Said | None = getattr(_catching, "said", None)
    _catching.said = said
    return before


@contextmanager
def repeated_by(said: Said) -> Iterator[None]:
    """Note the warnings of this block, and give them after it."""
    before = catch_warnings(said)
    try:
        yield
    finally:
        catch_warnings(before)
        give(said)


def give(said: Said) -> None:
    """Give warnings that were given before, as from the same lines."""
    for each in said:
        warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
