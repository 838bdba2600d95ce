"""engine/compiler/indexing.py: computed indices are taken as they are."""

from typing import Any

import numpy as np
import pytest
from numba import types

from engine.compiler import jit as compiler
from tests.kernels import element
from tests.processes import result_of

pytestmark = pytest.mark.compiled
jit: Any = compiler.jit


@jit
def at_place(matrix, j, k):
    matrix[j, k] = matrix[j, k] + 1


@jit
def last_of(numbers):
    return numbers[-1]


def llvm_of(kernel, *argument_types):
    kernel.compile(argument_types)
    return kernel.inspect_llvm(argument_types)


def test_a_computed_index_is_not_compared_with_0():
    vector, matrix = types.Array(types.float64, 1, "C"), types.Array(types.float64, 2, "C")
    for llvm in (
        llvm_of(element, vector, types.int64),
        llvm_of(at_place, matrix, types.int64, types.int64),
    ):
        _, _, body = llvm.partition("define")
        assert "ashr" not in body.partition("cpython")[0]
        assert "icmp slt i64" not in body.partition("cpython")[0]


def test_a_constant_index_may_count_from_the_end():
    assert last_of(np.arange(3.0)) == 2.0


def refusals():
    found = []
    for place in (-1, 3, 2):
        try:
            found.append(float(element(np.arange(3.0), place)))
        except IndexError:
            found.append("refused")
    return found


def test_with_bounds_checked_a_negative_index_is_out_of_bounds():
    assert result_of(refusals, env={"NUMBA_BOUNDSCHECK": "1"}) == ["refused", "refused", 2.0]
