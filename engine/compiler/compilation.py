"""How far a compilation is, for those who wait for it.

The kernels that a kernel calls, directly or not, are known before it is compiled: their names stand
in its Python function. So the number of those that are left can be told.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from numba.core import event

from engine.compiler.kernels import Kernel
from engine.compiler.target import KernelDispatcher

Functions = set[Callable[..., Any] | None]


class Compiled(NamedTuple):
    """How many kernels are compiled or loaded, and how many there are; 0 of 0 before the first."""

    done: int
    total: int

    def __str__(self) -> str:
        """In words; empty unless some are left.

        >>> str(Compiled(12, 40)), str(Compiled(40, 40))
        ('compiling 12 of 40 kernels', '')
        """
        return f"compiling {self.done} of {self.total} kernels" if self.done < self.total else ""


OF_EMBEDDINGS = "engine.equations.embeddings"  # left out of kernels without embeddings


def functions_within(kernel: Kernel, with_embeddings: bool = True) -> Functions:
    """The functions of a kernel and of all kernels that it calls."""
    seen: set[KernelDispatcher] = set()
    waiting: list[KernelDispatcher] = [kernel]
    while waiting:
        one = waiting.pop()
        if one in seen or (one.__module__ == OF_EMBEDDINGS and not with_embeddings):
            continue
        seen.add(one)
        names, known = one.py_func.__code__.co_names, one.py_func.__globals__
        called = (known.get(name) for name in names)
        waiting += [other for other in called if isinstance(other, KernelDispatcher)]
    # Helpers that Numba copies into their callers are never compiled by themselves.
    return {one.py_func for one in seen if isinstance(one, Kernel)}


class CompilationWatch(event.Listener):  # type: ignore[misc]
    """Counts kernels while they are compiled.

    Attributes
    ----------
    compiled : Compiled
    """

    def __init__(self) -> None:
        self._functions: Functions = set()
        self._left: Functions = set()
        self._outermost: Any = None

    @property
    def compiled(self) -> Compiled:
        return Compiled(len(self._functions) - len(self._left), len(self._functions))

    def on_start(self, begun: Any) -> None:
        dispatcher = begun.data["dispatcher"]
        if self._outermost is None and isinstance(dispatcher, Kernel):
            self._outermost = dispatcher
            with_embeddings = "KernelEmbeddings" in str(begun.data["args"])
            more = functions_within(dispatcher, with_embeddings) - self._functions
            self._functions |= more
            self._left |= more

    def on_end(self, ended: Any) -> None:
        dispatcher = ended.data["dispatcher"]
        if dispatcher is self._outermost:
            self._outermost, self._left = None, set()  # some are not called after all
        else:
            self._left.discard(getattr(dispatcher, "py_func", None))


@contextmanager
def watching_compilation() -> Iterator[CompilationWatch]:
    """Count the kernels that are compiled meanwhile, in any thread."""
    watch = CompilationWatch()
    with event.install_listener("numba:compile", watch):
        yield watch
