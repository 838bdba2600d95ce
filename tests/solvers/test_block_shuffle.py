"""The shuffle by blocks: which orders it gives, that all go by them, and what is read ahead."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Checkpoint, MLPClassifier, MLPRegressor, Network, train
from engine.solvers.batches import (
    BLOCK_NUMBERS,
    BUFFER_BLOCKS,
    in_order,
    random_state,
    samples_of_a_block,
    shuffle,
)
from engine.solvers.mersenne import words_of
from engine.solvers.read_ahead import ReadAhead
from engine.system.mapped_files import ask_for
from tests import block_shuffle_oracle as oracle

WIDE = 2000  # features: 32 samples a block
NETWORK = Network((WIDE, 2, 1))


def rows(n_samples=100, dtype=np.float32):
    """Rows that are long, and few: several blocks of them."""
    X = np.random.default_rng(3).standard_normal((n_samples, WIDE)).astype(dtype)
    return X, (X[:, 0] > 0).astype(int)


def orders(n_samples, block, n_epochs, seed=0):
    state, order = random_state(seed), in_order(n_samples)
    for _ in range(n_epochs):
        shuffle(order, state, block)
        yield order.copy()


# Samples and block: one of each, a short block, several buffers with a short one, short blocks.
SIZES = [(1, 1), (1, 5), (5, 2), (7, 7), (8, 7), (300, 1), (700, 2), (1500, 3), (4000, 7)]


@pytest.mark.parametrize(("n_samples", "block"), SIZES)
def test_the_order_is_that_of_the_oracle(n_samples, block):
    generator = oracle.Xoshiro(random_state(0))
    for order in orders(n_samples, block, n_epochs=2):
        assert order.tolist() == oracle.block_order(n_samples, block, generator.shuffle)


@pytest.mark.parametrize(("n_samples", "block"), SIZES)
def test_the_order_is_that_of_the_oracle_with_the_mersenne_twister(n_samples, block):
    generator = np.random.RandomState(4)
    words, order = words_of(generator), in_order(n_samples)
    for _ in range(2):
        shuffle(order, words, block)
        assert order.tolist() == oracle.block_order(n_samples, block, generator.shuffle)


@given(n_samples=st.integers(1, 900), block=st.integers(1, 1000), seed=st.integers(0, 2**32))
def test_each_epoch_has_each_sample_once(n_samples, block, seed):
    for order in orders(n_samples, block, n_epochs=2, seed=seed):
        np.testing.assert_array_equal(np.sort(order), np.arange(n_samples))


def test_an_order_depends_on_the_generator_alone_and_not_on_the_last_order():
    one, other = in_order(1000), in_order(1000)[::-1].copy()
    for order in (one, other):
        shuffle(order, random_state(5), 3)
    np.testing.assert_array_equal(one, other)
    first, second = orders(1000, 3, n_epochs=2)
    assert not np.array_equal(first, second)


def test_a_buffer_has_the_samples_of_whole_blocks():
    block, n_blocks = 3, 3 * BUFFER_BLOCKS
    (order,) = orders(block * n_blocks, block, n_epochs=1)
    seen: list[int] = []
    for buffer in order.reshape(3, -1):
        numbers, counts = np.unique(buffer // block, return_counts=True)
        assert len(numbers) == BUFFER_BLOCKS
        assert set(counts) == {block}
        seen.extend(numbers)
    assert sorted(seen) == list(range(n_blocks))


def test_with_few_samples_every_order_is_equally_likely():
    found = [tuple(order) for order in orders(4, 2, n_epochs=4800, seed=1)]
    counts = [found.count(order) for order in set(found)]
    assert len(counts) == 24
    chi_squared = sum((count - 200) ** 2 / 200 for count in counts)
    assert chi_squared < 49.7  # 0.1 % of 23 degrees of freedom lie beyond


@pytest.mark.proof
def test_every_sample_is_equally_likely_in_every_buffer():
    block, n_blocks, n_epochs = 2, 2 * BUFFER_BLOCKS, 400
    half = block * n_blocks // 2
    in_first = np.zeros(2 * half)
    for order in orders(2 * half, block, n_epochs):
        in_first[order[:half]] += 1
    deviation = (in_first - n_epochs / 2) / np.sqrt(n_epochs / 4)
    assert np.abs(deviation).max() < 4.5
    np.testing.assert_array_equal(in_first[::2], in_first[1::2])  # a block stays together


def test_a_block_has_so_many_numbers_whatever_the_dtype():
    assert samples_of_a_block(1) == BLOCK_NUMBERS
    assert samples_of_a_block(WIDE) == 32
    assert samples_of_a_block(BLOCK_NUMBERS + 1) == 1


# What trains by it.


@pytest.mark.compiled
@pytest.mark.parametrize("batch_size", [7, 1500])
def test_every_backend_and_number_of_threads_takes_this_order(batch_size):
    X, y = rows(3000 if batch_size > 1000 else 100)
    given = {"batch_size": batch_size, "max_iter": 2, "shuffle": "blocks", "seed": 2}
    tiled = train(NETWORK, X.T, y, **given)
    for backend, n_threads in (("loops", 1), ("numpy", 1), ("tiled", 2)):
        other = train(NETWORK, X.T, y, **given, backend=backend, n_threads=n_threads)
        np.testing.assert_allclose(other.theta, tiled.theta, rtol=1e-4, atol=1e-6)
    assert other.fingerprint == tiled.fingerprint  # that of two threads


@pytest.mark.compiled
def test_the_steps_take_the_samples_in_the_order_of_the_oracle():
    X, y = rows()
    result = train(
        NETWORK, X.T, y, solver="sgd", momentum=0, batch_size=7, max_iter=2, shuffle="blocks"
    )
    theta, generator = NETWORK.initial_parameters(0, np.float32), oracle.Xoshiro(random_state(0))
    for _ in range(2):
        order = oracle.block_order(100, samples_of_a_block(WIDE), generator.shuffle)
        for first in range(0, 100, 7):
            batch = order[first : first + 7]
            _, dtheta = NETWORK.cost_and_gradient(theta, X[batch].T, y[batch])
            theta = theta - np.float32(1e-3) * dtheta
    np.testing.assert_allclose(result.theta, theta, rtol=1e-5, atol=1e-7)
    whole = train(NETWORK, X.T, y, solver="sgd", momentum=0, batch_size=7, max_iter=2)
    assert np.abs(whole.theta - theta).max() > 1e-5  # another order would have been noticed


@pytest.mark.compiled
def test_a_stopped_run_goes_on_with_the_same_bits(tmp_path):
    X, y = rows()
    given = {"batch_size": 7, "max_iter": 6, "shuffle": "blocks"}
    kept = Checkpoint(tmp_path / "run.ckpt", epochs=1)

    def stop(told):
        if told.epoch == 3:
            raise KeyboardInterrupt

    assert train(NETWORK, X.T, y, **given, checkpoint=kept, callback=stop).stopped == "interrupted"
    with pytest.raises(ValueError, match=r"shuffle is True and was 'blocks'"):
        train(NETWORK, X.T, y, **{**given, "shuffle": True}, checkpoint=kept)
    resumed = train(NETWORK, X.T, y, **given, checkpoint=kept)
    assert resumed.fingerprint == train(NETWORK, X.T, y, **given).fingerprint


@pytest.mark.compiled
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_estimators_go_on_exactly(kind):
    X, y = rows()
    given = {
        "hidden_layer_sizes": 2, "activation": "identity", "batch_size": 8,
        "shuffle": "blocks", "random_state": 0,
        "tol": 0, "n_iter_no_change": 100,
    }  # fmt: skip
    with pytest.warns(match="Maximum iterations"):
        whole = kind(**given, max_iter=5).fit(X, y)
    parts = kind(**given)
    for _ in range(5):
        parts.partial_fit(X, y, **({"classes": [0, 1]} if kind is MLPClassifier else {}))
    assert parts.fingerprint_ == whole.fingerprint_


def test_estimators_refuse_another_word():
    with pytest.raises(ValueError, match="The 'shuffle' parameter of MLPClassifier must be"):
        MLPClassifier(shuffle="rows").fit(*rows(10))


# What is read ahead.


@pytest.fixture
def mapped(tmp_path):
    X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float32, (1000, 3))
    X[:] = np.random.default_rng(0).standard_normal(X.shape)
    return X


@pytest.fixture
def asked(monkeypatch):
    """The parts that were asked for, as address and length."""
    parts = []
    monkeypatch.setattr(
        "engine.solvers.read_ahead.ask_for", lambda address, n: parts.append((address, n))
    )
    return parts


def test_the_next_buffer_is_asked_for_while_steps_go_through_one(mapped, asked):
    block = 1
    ahead = ReadAhead.of(mapped.T, block)
    assert ahead is not None
    (order,) = orders(1000, block, n_epochs=1)
    start = mapped.__array_interface__["data"][0]

    def samples():
        ahead.wait()
        found = sorted((address - start) // 12 for address, _ in asked)
        asked.clear()
        return found

    ahead.follow(order, 0, 0)
    assert samples() == []  # at 0 the order is that of the epoch before
    ahead.follow(order, 10, 0)
    assert samples() == sorted(order[:512].tolist())
    ahead.follow(order, 200, 0)
    assert samples() == []  # once
    ahead.follow(order, 300, 0)
    assert samples() == sorted(order[512:768].tolist())
    ahead.follow(order, 990, 0)
    assert samples() == []  # after the last there is none
    ahead.follow(order, 20, 1)
    assert samples() == sorted(order[:512].tolist())


@pytest.mark.parametrize("block", [7, 64, 5000])
def test_no_more_is_asked_for_than_there_is(mapped, asked, block):
    ahead = ReadAhead.of(mapped.T, block)
    assert ahead is not None
    (order,) = orders(1000, block, n_epochs=1)
    for position in range(5, 1000, 100):
        ahead.follow(order, position, 0)
    ahead.wait()
    start = mapped.__array_interface__["data"][0]
    assert min(address for address, _ in asked) == start
    assert max(address + n for address, n in asked) == start + mapped.nbytes


def test_nothing_is_asked_for_without_blocks_a_file_or_rows_in_one_piece(mapped):
    assert ReadAhead.of(mapped.T, 64) is not None
    assert ReadAhead.of(mapped[100:].T, 64) is not None
    assert ReadAhead.of(mapped.T, 0) is None
    assert ReadAhead.of(np.array(mapped).T, 64) is None
    assert ReadAhead.of(mapped, 64) is None
    assert ReadAhead.of(mapped[::2].T, 64) is None


def test_asking_for_a_part_of_a_mapping_changes_nothing(mapped):
    before = np.array(mapped)
    ask_for(mapped.__array_interface__["data"][0] + 100, 1000)
    np.testing.assert_array_equal(mapped, before)


@pytest.mark.compiled
def test_a_run_asks_for_what_it_takes(tmp_path, asked):
    X, y = rows(2000)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    given = {"batch_size": 64, "max_iter": 2, "shuffle": "blocks"}
    result = train(NETWORK, mapped.T, y, **given)
    assert len(asked) == 2 * -(-2000 // 32)  # each block once an epoch
    assert result.fingerprint == train(NETWORK, X.T, y, **given).fingerprint
