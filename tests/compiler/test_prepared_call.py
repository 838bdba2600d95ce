"""A prepared call is the call of the kernel, with arguments that are unpacked once."""

from typing import NamedTuple

import numpy as np
import pytest

from engine.compiler.jit import jit
from engine.compiler.prepared_call import PreparedCall, call_prepared, words_of


class Pair(NamedTuple):
    """Two arrays, as kernels take them."""

    numbers: np.ndarray
    codes: np.ndarray


@jit
def gather(pair, matrix, share, times, nothing, out):
    """Add to `out`; returns a number of each kind of argument."""
    if nothing is None:
        for i in range(pair.codes.size):
            out[0] += share * matrix[pair.codes[i], 1] * pair.numbers[i]
    out[1] = times
    return np.int64(pair.numbers.size * 1000 + matrix.shape[0] * 100 + matrix.shape[1] * 10 + times)


@jit
def through(call, words):
    """A prepared call from a kernel."""
    return call_prepared(call, words)


def arguments(dtype):
    matrix = np.arange(12.0).reshape(4, 3).astype(dtype)
    pair = Pair(np.array([0.5, 0.25], dtype), np.array([1, 3], np.int32))
    return pair, matrix, 2.0, -3, None, np.zeros(2, dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_it_returns_and_writes_what_the_kernel_does(dtype):
    direct, prepared = arguments(dtype), arguments(dtype)
    call = PreparedCall(gather, prepared)
    for _ in range(3):
        assert through(call.address, call.words) == gather(*direct) == 2427
        np.testing.assert_array_equal(prepared[-1], direct[-1])
    prepared[0].numbers[:] = direct[0].numbers[:] = 7
    assert through(call.address, call.words) == gather(*direct)
    np.testing.assert_array_equal(prepared[-1], direct[-1])
    assert prepared[-1][1] == -3


def test_arguments_are_one_word_each_and_arrays_one_more_for_each_axis():
    _, matrix, share, *_ = found = arguments("float64")
    words = words_of(found)
    assert words[4] == matrix.ctypes.data
    assert words[5:7] == [4, 3]
    assert words[7] == np.array([share]).view(np.uint64)[0]
    assert words[8:10] == [2**64 - 3, 0]
    assert len(words) == 4 + 3 + 1 + 1 + 1 + 2


def test_an_array_that_is_not_in_c_order_is_refused():
    with pytest.raises(ValueError, match="arrays in C order"):
        words_of((np.zeros((4, 3)).T,))
