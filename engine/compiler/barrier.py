"""Threads that wait for each other inside compiled code.

A team is an array of 64-bit words, each in a cache line of its own. Kernels that take part are
called by several Python threads at once, without Python's lock:

    me = join(team)                 the others join; 0 for one that came too late
    n = lead(team)                  the leader closes the team and says how many there are
    n = wait_to_begin(team)         the others
    turn = wait(team, n, turn)      until all n threads have called it as often; begin with turn 0

To wait costs a quarter of a microsecond if the others are about to come. A thread that waits looks
again and again; from some microseconds on it lets other threads of the machine go first.

In interpreted code each function does the same with Python's locks.
"""

import ctypes
import sys
import threading
import time
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable
from numpy.typing import NDArray

from engine.compiler.clock import nanoseconds
from engine.compiler.jit import jit

WORDS_APART = 8  # a cache line
# Words of a team: how many have joined, and CLOSED once nobody else may; its size, 0 until it is
# closed; how many have come to a barrier, in all; barriers that all have passed.
JOINED, SIZE, ARRIVED, PASSED = (place * WORDS_APART for place in range(4))
N_WORDS = 4 * WORDS_APART
CLOSED = 2**32

LOOKS = 4000  # before a thread lets others go first
LONGEST_START = 2_000_000  # nanoseconds in which threads have to join


def new_team() -> NDArray[np.int64]:
    """The words of a team, for one run of its threads."""
    return np.zeros(N_WORDS, np.int64)


@jit
def join(team):
    """Take part: the number of this thread, from 1 on; 0 if the team is closed."""
    before = add_to(team, JOINED, 1)
    return before + 1 if before < CLOSED else 0


@jit
def lead(team, n_expected):
    """Wait for the others, but not long; the number of threads, with this one, that take part."""
    looks, until = 0, nanoseconds() + LONGEST_START
    while look_at(team, JOINED) < n_expected - 1 and nanoseconds() < until:
        looks = look_again(looks)
    n = add_to(team, JOINED, CLOSED) + 1
    add_to(team, SIZE, n)
    return n


def call_off(team: NDArray[np.int64]) -> None:
    """Let threads go that have joined, if there will be no leader."""
    if team[SIZE] == 0:
        team[SIZE] = -1


@jit
def wait_to_begin(team):
    """Wait until the team is closed; the number of threads, below 0 if it was called off."""
    looks = 0
    while look_at(team, SIZE) == 0:
        looks = look_again(looks)
    return look_at(team, SIZE)


@jit
def wait(team, n, turn):
    """Wait until all n threads of the team have come here; the next turn."""
    if n == 1:
        return turn
    if add_to(team, ARRIVED, 1) == n * (turn + 1) - 1:
        add_to(team, PASSED, 1)
    else:
        looks = 0
        while look_at(team, PASSED) <= turn:
            looks = look_again(looks)
    return turn + 1


@jit
def look_again(looks):
    """Pause before the next look: shortly at first, then let others go first."""
    if looks < LOOKS:
        pause()
    else:
        let_others_go()
    return looks + 1


# What the processor and the system do, in Python and as instructions.

_lock = threading.Lock()


def add_to(team: Any, place: Any, n: Any) -> Any:
    """Add to a word, and return what it was: as one operation, whatever other threads do."""
    with _lock:
        before = int(team[place])
        team[place] += n
    return before


def look_at(team: Any, place: Any) -> Any:
    """A word as it is now; what was written before it is visible, too."""
    return int(team[place])


def pause() -> None:
    """Tell the processor that this thread waits."""
    time.sleep(0)


def let_others_go() -> None:
    """Tell the system that other threads may run here."""
    time.sleep(0)


@type_callable(add_to)
def _(context: Any) -> Any:
    return lambda team, place, n: types.int64


@lower_builtin(add_to, types.Array, types.Integer, types.Integer)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    team, place, n = arguments
    n = context.cast(builder, n, signature.args[2], types.int64)
    return builder.atomic_rmw(
        "add", word_of(context, builder, signature, team, place), n, "seq_cst"
    )


@type_callable(look_at)
def _(context: Any) -> Any:
    return lambda team, place: types.int64


@lower_builtin(look_at, types.Array, types.Integer)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    pointer = word_of(context, builder, signature, *arguments)
    return builder.load_atomic(pointer, "acquire", 8)


def word_of(context: Any, builder: Any, signature: Any, team: Any, place: Any) -> Any:
    """Where a word lies."""
    array = context.make_array(signature.args[0])(context, builder, team)
    place = context.cast(builder, place, signature.args[1], types.intp)
    return builder.gep(array.data, [place])


@type_callable(pause)
@type_callable(let_others_go)
def _(context: Any) -> Any:
    return lambda: types.none


@lower_builtin(pause)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    triple = llvmlite.binding.get_process_triple()
    if triple.startswith(("x86_64", "i686")):
        call(builder, "llvm.x86.sse2.pause", ir.VoidType())
    return context.get_dummy_value()


YIELD = "mlp_engine_let_others_go"  # the system's function, under a name of ours
if sys.platform == "win32":
    system_yield = ctypes.WinDLL("kernel32").SwitchToThread
else:
    system_yield = ctypes.CDLL(None).sched_yield
llvmlite.binding.add_symbol(YIELD, ctypes.cast(system_yield, ctypes.c_void_p).value)


@lower_builtin(let_others_go)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    call(builder, YIELD, ir.IntType(32))
    return context.get_dummy_value()


def call(builder: Any, name: str, result: Any) -> None:
    """Call a function without arguments."""
    kind = ir.FunctionType(result, [])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])
