"""The Mersenne Twister of compiled shuffles draws what NumPy's RandomState draws."""

import numpy as np
import pytest

from engine.solvers.batches import in_order, shuffle
from engine.solvers.mersenne import put_words, words_of


@pytest.mark.parametrize("n_samples", [1, 2, 3, 5, 16, 17, 33, 150, 700])
def test_shuffles_are_those_of_randomstate(n_samples):
    generator = np.random.RandomState(n_samples)
    words, order = words_of(generator), in_order(n_samples)
    expected = np.arange(n_samples)
    for _ in range(3):
        shuffle(order, words)
        generator.shuffle(expected)
        np.testing.assert_array_equal(order, expected)


def test_a_generator_goes_on_where_the_shuffles_ended():
    generator = np.random.RandomState(7)
    words, order = words_of(generator), in_order(400)
    shuffle(order, words)
    other = np.random.RandomState(0)
    put_words(other, words)
    generator.shuffle(np.arange(400))
    assert other.randint(1 << 31) == generator.randint(1 << 31)


def test_the_words_of_a_state_are_not_those_of_the_generator():
    generator = np.random.RandomState(7)
    before = words_of(generator)
    shuffle(in_order(50), words_of(generator))
    np.testing.assert_array_equal(words_of(generator), before)
