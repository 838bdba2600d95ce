"""engine/compiler/compilation.py: how many kernels are compiled, and how many are left."""

from typing import Any

import numpy as np
import pytest
from numba.core import event

from engine.compiler import jit as compiler
from engine.compiler.compilation import Compiled, functions_within, watching_compilation
from engine.solvers.slices import descend_tiled
from tests.processes import result_of

pytestmark = pytest.mark.compiled
jit: Any = compiler.jit
compiled_once: Any = compiler.compiled_once


@jit
def innermost(x):
    return x + 1


@compiler.inlined
def copied(x):
    return innermost(x)


@compiled_once
def by_symbol(numbers):
    for p in range(numbers.size):
        numbers[p] = copied(numbers[p])


@jit
def outermost(numbers):
    by_symbol(numbers)
    return innermost(numbers[0])


def names(functions):
    return {function.__name__ for function in functions}


def test_the_kernels_that_a_kernel_calls_are_known_before_it_is_compiled():
    """Without helpers, which Numba copies into their callers."""
    assert names(functions_within(outermost)) == {"outermost", "by_symbol", "innermost"}


def test_kernels_of_embeddings_count_where_there_are_embeddings():
    plain = functions_within(descend_tiled, with_embeddings=False)
    more = functions_within(descend_tiled, with_embeddings=True) - plain
    assert {"load_block", "activate_tiled"} <= names(plain)
    assert {function.__module__ for function in more} == {"engine.equations.embeddings"}


class Counts(event.Listener):  # type: ignore[misc]
    """What the watch says after each event."""

    def __init__(self, watch):
        self.watch, self.seen = watch, []

    def on_start(self, begun):
        self.seen.append(list(self.watch.compiled))

    on_end = on_start


def counted():
    """The counts while `outermost` is compiled, and then for another type and not at all."""
    with watching_compilation() as watch:
        counts = Counts(watch)
        with event.install_listener("numba:compile", counts):
            before = list(watch.compiled)
            outermost(np.arange(3.0))
            first, counts.seen = counts.seen, []
            outermost(np.arange(3.0))
            again, counts.seen = counts.seen, []
            outermost(np.arange(3, dtype=np.float32))
    return before, first, again, counts.seen


def test_kernels_are_counted_as_they_are_compiled(tmp_path):
    before, first, again, other = result_of(counted, env={"NUMBA_CACHE_DIR": tmp_path})
    assert before == [0, 0]
    assert (first[0], first[-1]) == ([0, 3], [3, 3])
    assert [done for done, _ in first] == sorted(done for done, _ in first)
    assert {done for done, _ in first} == {0, 1, 2, 3}
    assert again == []
    assert {tuple(counts) for counts in other} == {(3, 3)}


@pytest.mark.parametrize(
    ("compiled", "said"),
    [((0, 0), ""), ((0, 3), "compiling 0 of 3 kernels"), ((3, 3), "")],
)
def test_what_is_said_while_some_are_left(compiled, said):
    assert str(Compiled(*compiled)) == said
