"""engine/compiler/kernels.py: kernels that others call are compiled once, or left to these."""

import gc
import os
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core import config, registry

from engine import Network, train
from engine.compiler import jit as compiler
from engine.compiler.cache import CheckedCache, cache_folder, called_by, is_loaded
from engine.compiler.kernels import FixedTypes, kind_of_arrays
from engine.system.free_memory import of_process
from tests.kernels import loaded_and_compiled
from tests.processes import result_of

pytestmark = pytest.mark.compiled

NUMBERS = np.arange(6.0)
# Seen as what they are, not only as functions.
jit: Any = compiler.jit
compiled_once: Any = compiler.compiled_once


@jit
def doubled(x):
    return x + x


@compiled_once
def double_all(numbers):
    for p in range(numbers.size):
        numbers[p] = doubled(numbers[p])


@jit
def quadruple_all(numbers):
    double_all(numbers)
    double_all(numbers)


def compilation(kernel):
    (found,) = kernel.overloads.values()
    return found


def quadruple():
    """What comes out, and of caller and called whether they were loaded or compiled."""
    numbers = NUMBERS.copy()
    quadruple_all(numbers)
    kernels = (quadruple_all, double_all.within)
    return [numbers.tolist(), [loaded_and_compiled(kernel) for kernel in kernels]]


RESULT = (4 * NUMBERS).tolist()
LOADED, COMPILED = [1, 0], [0, 1]


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_loaded():
    """Machine code that was loaded from the cache cannot be looked into."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CheckedCache, "load_overload", lambda *_: None)
        yield


def test_without_memory_no_kernel_is_loaded(monkeypatch):
    """LLVM would end the process."""

    @jit
    def three_times(x):
        return 3 * x

    with monkeypatch.context() as patched:
        patched.setattr("engine.compiler.kernels.can_map", lambda n_bytes: False)
        with pytest.raises(MemoryError, match="too little memory left to load a kernel: free"):
            three_times(2)
    assert three_times(2) == 6


def test_a_kernel_that_is_compiled_once_stands_outside_its_callers():
    assert quadruple()[0] == RESULT
    library = compilation(quadruple_all).library
    assert [kernel.name for kernel in called_by(library)] == ["double_all"]
    assert "double_all" not in " ".join(f.name for f in library.get_defined_functions())


def test_a_kernel_that_is_inlined_is_part_of_its_caller():
    quadruple()
    instructions = compilation(double_all.within).library.get_llvm_str().splitlines()
    assert not [line for line in instructions if "call" in line and "doubled" in line]
    left = compilation(doubled.within)
    engine = left.library.codegen._engine
    assert not engine.is_symbol_defined(left.fndesc.llvm_func_name)
    called = compilation(double_all.within)
    assert engine.is_symbol_defined(called.fndesc.llvm_func_name)


def test_called_from_python_each_is_a_kernel_as_any_other():
    numbers = NUMBERS.copy()
    double_all(numbers)
    assert numbers.tolist() == (2 * NUMBERS).tolist()
    assert doubled(3.0) == 6.0


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_not_collected_while_a_kernel_is_compiled_and_then_as_before(
    enabled, monkeypatch
):
    seen, compile_as_before = [], registry.CPUDispatcher.compile

    def watched(self, sig):
        seen.append(gc.isenabled())
        return compile_as_before(self, sig)

    monkeypatch.setattr(registry.CPUDispatcher, "compile", watched)
    try:
        if not enabled:
            gc.disable()
        assert jit(doubled.py_func)(2.0) == 4.0
        assert gc.isenabled() == enabled
        with pytest.raises(numba.TypingError):
            jit(doubled.py_func)(None)
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
    assert seen
    assert not any(seen)


@jit
def first_row(matrix):
    total = 0.0
    for k in range(matrix.shape[1]):
        total += matrix[0, k]
    return total


MATRIX = np.arange(12.0).reshape(3, 4)
KINDS = [MATRIX, np.asfortranarray(MATRIX), MATRIX.astype(np.float32), MATRIX[:, ::2]]


def test_fixed_types_call_what_was_compiled_for_them():
    """Each in turns with the others: an entry point for other types would read other numbers."""
    calls = [FixedTypes(first_row) for _ in KINDS]
    for _ in range(3):
        found = [call(matrix) for call, matrix in zip(calls, KINDS, strict=True)]
        assert found == [6, 6, 6, 2]
    assert len({call._call for call in calls}) == len(KINDS)
    assert set(first_row.entry_points) == {call._call for call in calls}
    again = FixedTypes(first_row)
    assert again(KINDS[1]) == again(np.asfortranarray(2 * MATRIX)) / 2 == 6


def test_fixed_types_leave_alone_what_converts_its_arguments():
    """A kernel of read-only matrices takes others, too; Numba finds that out in each call."""
    kernel = jit(first_row.py_func)
    read_only = MATRIX.copy()
    read_only.setflags(write=False)
    kernel(read_only)
    kernel(MATRIX.astype(np.float32))
    kernel.disable_compile()
    call = FixedTypes(kernel)
    assert call(MATRIX) == call(2 * MATRIX) / 2 == 6
    assert call._call is kernel


def test_runs_of_one_kind_look_at_the_types_once(monkeypatch):
    kinds = [kind_of_arrays([matrix]) for matrix in KINDS]
    assert len(set(kinds)) == len(KINDS)
    assert kind_of_arrays([MATRIX.copy()]) == kinds[0]
    for matrix, kind in zip(KINDS, kinds, strict=True):
        FixedTypes(first_row, kind)(matrix)
    monkeypatch.setattr("engine.compiler.kernels.entry_point_for", lambda *_: 1 / 0)
    for matrix, kind, total in zip(KINDS, kinds, [6, 6, 6, 2], strict=True):
        assert FixedTypes(first_row, kind)(matrix) == total
    with pytest.raises(ZeroDivisionError):
        FixedTypes(first_row, "another kind")(MATRIX)


def entries_of(folder: Path, kernel: str) -> list[Path]:
    return [entry for entry in folder.rglob("*.kernel") if f".{kernel}" in entry.name]


def symbol_of_called(n_before):
    """The symbol of a called kernel in a process that has compiled so many kernels before."""
    for _ in range(int(n_before)):
        jit(doubled.py_func)(1.0)
    quadruple()
    return compilation(double_all.within).fndesc.llvm_func_name


@pytest.mark.proof
def test_a_kernel_that_is_called_has_the_same_symbol_in_every_process(tmp_path):
    """Processes that fill a cache at the same time keep callers of each other's kernels."""
    first, second = (
        result_of(symbol_of_called, n, env={"NUMBA_CACHE_DIR": tmp_path / n, "PYTHONHASHSEED": n})
        for n in ("0", "2")
    )
    assert first == second


@pytest.mark.proof
def test_a_second_process_loads_the_caller_and_what_it_calls(tmp_path):
    cache = {"NUMBA_CACHE_DIR": tmp_path}
    assert result_of(quadruple, env=cache) == [RESULT, [COMPILED, COMPILED]]
    assert result_of(quadruple, env=cache) == [RESULT, [LOADED, LOADED]]


@pytest.mark.proof
@pytest.mark.parametrize("loss", ["unlink", "truncate"])
def test_a_caller_whose_called_kernel_is_lost_from_the_cache_works(tmp_path, loss):
    """The called one is compiled anew, and if its symbol is another one the caller is, too."""
    cache = {"NUMBA_CACHE_DIR": tmp_path}
    result_of(quadruple, env=cache)
    (entry,) = entries_of(tmp_path, "double_all.called")
    if loss == "unlink":
        entry.unlink()
    else:
        os.truncate(entry, 40)
    result, [_, of_called] = result_of(quadruple, env=cache)
    assert (result, of_called) == (RESULT, COMPILED)
    assert result_of(quadruple, env=cache)[0] == RESULT


@pytest.mark.proof
def test_a_caller_calls_what_another_process_has_compiled_anew(tmp_path):
    result_of(quadruple, env={"NUMBA_CACHE_DIR": tmp_path, "PYTHONHASHSEED": "0"})
    (entry,) = entries_of(tmp_path, "double_all.called")
    entry.unlink()
    again = {"NUMBA_CACHE_DIR": tmp_path, "PYTHONHASHSEED": "1"}
    assert result_of(quadruple, env=again) == [RESULT, [LOADED, COMPILED]]


def test_a_caller_that_refers_to_another_symbol_is_not_used():
    quadruple()
    (called,) = called_by(compilation(quadruple_all).library)
    assert is_loaded(called)
    assert not is_loaded(called._replace(symbol="another"))


@pytest.mark.proof
def test_nothing_is_kept_of_kernels_that_are_inlined(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    result_of(quadruple, env={"NUMBA_CACHE_DIR": tmp_path})
    folder = cache_folder()
    assert folder is not None
    assert not entries_of(folder, "doubled")


def within(megabytes):
    """Train with kernels from the cache, within so many more megabytes of addresses."""
    import resource

    network, X = Network((4, 5, 1)), np.random.default_rng(0).normal(size=(4, 300))
    network.cost_and_gradient(network.initial_parameters(), X, np.zeros(300))
    taken = of_process("VmSize")
    assert taken is not None
    resource.setrlimit(resource.RLIMIT_AS, (taken + megabytes * 2**20,) * 2)
    try:
        return train(network, X, np.zeros(300), batch_size=10, max_iter=2).n_iter
    except MemoryError as error:
        return str(error)


@pytest.mark.proof
@pytest.mark.skipif(sys.platform != "linux", reason="limits and sizes as Linux has them")
def test_a_process_without_memory_for_a_kernel_is_not_ended_by_llvm(tmp_path):
    kept = {"NUMBA_CACHE_DIR": tmp_path}
    assert result_of(within, 2**20, env=kept) == 2  # and fills the cache
    for megabytes in (3, 5, 8, 17, 24, 32, 48, 64):
        assert result_of(within, megabytes, env=kept) in (
            2,
            "There is too little memory left to load a kernel: free some.",
        )
    assert result_of(within, 96, env=kept) == 2
