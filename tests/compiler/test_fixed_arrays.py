"""engine/compiler/fixed_arrays.py: arrays that compiled code has without being passed them."""

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

from engine.compiler.fixed_arrays import CACHE_LINE_BYTES, at_address, on_stack
from engine.compiler.jit import OPTIONS

pytestmark = pytest.mark.compiled
compiled = numba.njit(**OPTIONS)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(6,), (2, 3), (2, 1, 3)])
def test_compiled_code_reads_an_array_where_it_is(shape, dtype):
    array = np.arange(6, dtype=dtype).reshape(shape)
    constant = at_address(array)

    @compiled
    def weighted():
        total = 0.0
        for position, index in enumerate(np.ndindex(constant.shape)):
            total += position * constant[index]
        return total, constant.strides

    assert weighted() == (55, array.strides)
    array *= 2
    assert weighted() == (110, array.strides)


def test_writing_to_it_is_refused():
    constant = at_address(np.zeros(3))

    @compiled
    def write():
        constant[0] = 1

    with pytest.raises(TypingError, match="Cannot modify readonly array"):
        write()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_array_on_the_stack_holds_what_was_written_and_begins_a_cache_line(dtype):
    odd, memory = on_stack(3, dtype), on_stack(100, dtype)

    @compiled
    def total(numbers):
        before, array = odd(), memory()
        before[:] = 1
        for i in range(array.size):
            array[i] = numbers[i]
        result = before.sum()
        for i in range(array.size):
            result += array[i]
        return result, array.ctypes.data

    result, address = total(np.arange(100, dtype=dtype))
    assert result == 3 + 4950
    assert address % CACHE_LINE_BYTES == 0
