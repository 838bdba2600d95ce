"""The three passes of the tests are what they say: compiled, interpreted, with bounds checks."""

import re
import threading
import time
from types import FunctionType

import numba
import numpy as np
import pytest

from engine import Network
from engine.compiler.kernels import Kernel
from engine.equations.backends import LOOPS
from tests.conftest import PASS
from tests.kernels import busy, element, is_nan, loaded_and_compiled, quotient
from tests.processes import ROOT, result_of

KERNELS = LOOPS[1:]  # all but the name

# The element past the end of FIVE is NINE[5]: reading it unchecked does no harm.
NINE = np.arange(9.0)
FIVE = NINE[:5]


def test_the_pass_is_one_of_the_three():
    assert PASS in ("compiled", "interpreted", "bounds")


def test_the_compiler_is_set_as_the_name_of_the_pass_says():
    assert bool(numba.config.DISABLE_JIT) == (PASS == "interpreted")
    assert (numba.config.BOUNDSCHECK == 1) == (PASS == "bounds")


@pytest.mark.skipif(PASS == "interpreted", reason="nothing is compiled in this pass")
def test_kernels_are_compiled_by_their_first_call():
    network = Network((2, 3, 1))
    theta = network.initial_parameters()
    network.forward(theta, np.ones((2, 1)), backend="loops")
    network.cost_and_gradient(theta, np.ones((2, 1)), np.ones(1), backend="loops")
    called = (LOOPS.forward_pass, LOOPS.gradient_pass, LOOPS.mean_cost, LOOPS.mean_gradient)
    for kernel in called:
        assert isinstance(kernel, Kernel)
        assert kernel.nopython_signatures


@pytest.mark.skipif(PASS == "interpreted", reason="nothing is compiled in this pass")
def test_every_kernel_of_the_table_is_compiled():
    assert {type(kernel) for kernel in KERNELS} == {Kernel}


@pytest.mark.skipif(PASS != "interpreted", reason="kernels are compiled in this pass")
def test_every_kernel_of_the_table_is_a_plain_function_where_jit_is_off():
    assert {type(kernel) for kernel in KERNELS} == {FunctionType}


@pytest.mark.skipif(PASS != "compiled", reason="indices are checked in this pass")
def test_an_index_past_the_end_goes_unnoticed_without_bounds_checks():
    assert element(FIVE, 5) == NINE[5]


@pytest.mark.skipif(PASS == "compiled", reason="indices are not checked in this pass")
def test_an_index_past_the_end_is_an_error_with_bounds_checks_and_without_jit():
    with pytest.raises(IndexError):
        element(FIVE, 5)


def read_past_the_end():
    """What happens, and how often the kernel was loaded and compiled."""
    try:
        seen = element(FIVE, 5)
    except IndexError:
        seen = "IndexError"
    return [seen, *loaded_and_compiled(element)]


@pytest.mark.proof
@pytest.mark.compiled
def test_code_cached_without_bounds_checks_is_not_loaded_where_checks_are_asked_for(tmp_path):
    unchecked = {"NUMBA_CACHE_DIR": tmp_path}
    checked = {"NUMBA_CACHE_DIR": tmp_path, "NUMBA_BOUNDSCHECK": "1"}
    assert result_of(read_past_the_end, env=unchecked) == [5.0, 0, 1]
    assert result_of(read_past_the_end, env=unchecked) == [5.0, 1, 0]
    assert result_of(read_past_the_end, env=checked) == ["IndexError", 0, 1]
    assert result_of(read_past_the_end, env=checked) == ["IndexError", 1, 0]
    assert result_of(read_past_the_end, env=unchecked) == [5.0, 1, 0]


@pytest.mark.compiled
@pytest.mark.parametrize("target", ["test", "proofs"])
def test_each_pass_has_an_empty_cache_of_its_own(target):
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    (run,) = re.findall(r"^define pass\n(.*)\nendef", recipe, flags=re.MULTILINE)
    assert run.startswith("ENGINE_TEST_PASS=$(1) NUMBA_CACHE_DIR=build/kernels-$(1) ")
    (emptied,) = re.findall(r"^define warm\n(.*)\n.*\nendef", recipe, flags=re.MULTILINE)
    assert emptied.startswith("rm -rf build/kernels-$(1)")
    for name in ("compiled", "interpreted", "bounds"):
        (steps,) = re.findall(rf"^{target}-{name}:.*\n((?:\t.*\n)+)", recipe, flags=re.MULTILINE)
        calls = re.findall(r"\$\(call (\w+),(\w+)(.*)\)$", steps, flags=re.MULTILINE)
        *warmed, (_, _, given) = calls
        assert {called for _, called, _ in calls} == {name}
        assert [kind for kind, _, _ in warmed] == ([] if name == "interpreted" else ["warm"])
        assert ("ENGINE_TEST_GRID=full" in given) == (target == "proofs")
        assert target == "test" or "not proof" not in given


@pytest.mark.compiled
def test_nan_and_infinity_keep_their_meaning_in_compiled_code():
    """Full fastmath would let the compiler assume that there are none."""
    assert is_nan(float("nan"))
    assert not is_nan(1.0)


@pytest.mark.compiled
def test_division_by_zero_is_infinite_as_in_numpy():
    assert quotient(1.0, 0.0) == float("inf")


@pytest.mark.compiled
def test_kernels_let_other_python_threads_run():
    busy(1)
    thread = threading.Thread(target=busy, args=(50_000_000,))
    thread.start()
    turns = 0
    while thread.is_alive() and turns < 1000:
        time.sleep(0)
        turns += 1
    still_running = thread.is_alive()
    thread.join()
    assert still_running, "this thread stood still while the kernel ran"
