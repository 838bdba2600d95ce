"""engine/sums/chunks.py: the cut into chunks, and sums over them."""

import functools
import itertools
import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Network, train
from engine.equations.backends import BACKENDS, Backend
from engine.sums import chunks
from engine.sums.chunks import ChunkSums, chunk_bounds, chunk_samples
from engine.sums.samples import Samples
from engine.sums.workers import SPAN_SAMPLES
from tests import oracle

NETWORK = Network((2, 2, 1))
EDGES = [1, 2, 1023, 1024, 1025, 2048, 2500]


@functools.cache
def data(n_samples, seed=0):
    """Random inputs, targets and weights, in numbers that float32 holds; never written to."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(2, n_samples))
    weights = random.uniform(0.5, 2, n_samples)
    Y = (X[:1] + random.normal(size=(1, n_samples)) > 0).astype(float)
    arrays = [np.float64(np.float32(array)) for array in (X, Y, weights)]
    for array in arrays:
        array.flags.writeable = False
    return arrays


# The cut


@given(n_samples=st.integers(0, 20_000))
def test_chunks_cover_all_samples_once_and_in_order(n_samples):
    bounds = chunk_bounds(n_samples)
    covered = [i for start, stop in bounds for i in range(start, stop)]
    assert covered == list(range(n_samples))
    assert all(stop - start == SPAN_SAMPLES for start, stop in bounds[:-1])
    assert all(0 < stop - start <= SPAN_SAMPLES for start, stop in bounds[-1:])


@pytest.mark.parametrize(
    ("n_samples", "bounds"),
    [
        (0, []),
        (1, [(0, 1)]),
        (1023, [(0, 1023)]),
        (1024, [(0, 1024)]),
        (1025, [(0, 1024), (1024, 1025)]),
        (2048, [(0, 1024), (1024, 2048)]),
        (2500, [(0, 1024), (1024, 2048), (2048, 2500)]),
    ],
)
def test_chunks_at_the_edges(n_samples, bounds):
    assert chunk_bounds(n_samples) == bounds


@pytest.mark.parametrize("n_samples", [65_536, 65_537, 1_000_000, 123_456_789])
def test_many_samples_make_larger_chunks_of_whole_spans_and_at_most_64(n_samples):
    assert chunk_samples(n_samples) % SPAN_SAMPLES == 0
    assert len(chunk_bounds(n_samples)) <= 64
    assert (chunk_samples(n_samples) == SPAN_SAMPLES) == (n_samples <= 64 * SPAN_SAMPLES)


# Which samples a backend is asked for at a time


class Asked:
    """A backend that only notes what it is given. A sample's cost is its first input."""

    def __init__(self):
        self.blocks = []

    def backend(self):
        numpy = BACKENDS["numpy"]
        return Backend("noting", self.forward, self.cost, self.gradient, *numpy[4:])

    def forward(self, theta, sizes, units, A):
        self.blocks.append(A[:1].copy())
        A[1:2] = A[:1] + theta[0]

    def cost(self, theta, sizes, units, loss, A, Y, s):
        self.blocks.append(A[:1].copy())
        return float(np.sum(s * (A[0] + Y[0])))

    def gradient(self, theta, sizes, units, loss, A, dZ, Y, s, dtheta):
        assert all(array.flags.c_contiguous for array in (A, dZ, Y, s))
        dtheta[:] = s.size
        return self.cost(theta, sizes, units, loss, A, Y, s)


def noted_by(asked, samples, n_in=1):
    layers = Network((n_in, 1)).layers
    return ChunkSums(asked.backend(), layers, samples)


@pytest.mark.parametrize("n_samples", EDGES)
def test_each_sample_is_summed_once_and_its_place_depends_on_their_number_alone(n_samples):
    X = np.arange(float(n_samples)).reshape(1, -1)
    Y, weights = 2 * X, np.linspace(1, 2, n_samples)
    asked = Asked()
    sums = noted_by(asked, Samples(X, Y, weights=weights))
    total, gradient = sums.cost_and_gradient(np.zeros(2))
    assert np.concatenate(asked.blocks, axis=1).tolist() == X.tolist()
    assert [block.shape[1] for block in asked.blocks] == [
        stop - start for start, stop in chunk_bounds(n_samples)
    ]
    assert total == pytest.approx(3 * np.dot(weights, X[0]), rel=1e-13)
    assert gradient.tolist() == [n_samples] * 2
    assert sums.cost(np.zeros(2)) == total
    assert sums.forward(np.array([5.0, 0])).tolist() == (X + 5).tolist()


def test_the_cut_depends_on_nothing_but_the_number_of_samples():
    cuts = []
    for n_in, dtype, weighted in itertools.product((1, 40), ("float64", "float32"), (0, 1)):
        X = np.ones((n_in, 2500), dtype=dtype, order="F" if weighted else "C")
        asked = Asked()
        sums = noted_by(asked, Samples(X, X[:1], weights=X[0] if weighted else None), n_in)
        sums.cost_and_gradient(np.zeros(n_in + 1, dtype=dtype))
        cuts.append([block.shape[1] for block in asked.blocks])
    assert cuts == [[1024, 1024, 452]] * len(cuts)


def test_class_codes_become_one_hot_columns_one_chunk_at_a_time():
    n_samples, seen = 2500, []
    codes = np.arange(n_samples, dtype=np.int32) % 7 % 3

    def cost(theta, sizes, units, loss, A, Y, s):
        seen.append(Y.copy())
        return 0.0

    backend = BACKENDS["numpy"]._replace(cost_pass=cost)
    network = Network((1, 3), output="softmax")
    sums = ChunkSums(backend, network.layers, Samples(np.zeros((1, n_samples)), codes=codes))
    for _ in range(2):
        sums.cost(np.zeros(network.n_parameters))
    np.testing.assert_array_equal(np.hstack(seen), np.tile(np.eye(3)[:, codes], 2))


def test_sums_of_chunks_are_added_in_float64_whatever_the_data():
    """2^24 + 1 is no float32; nor is a sum that grows past it in steps of 1."""

    def gradient(theta, sizes, units, loss, A, dZ, Y, s, dtheta):
        dtheta[:] = A[0, 0]
        return float(A[0, 0])

    X = np.ones((1, 4 * SPAN_SAMPLES), dtype=np.float32)
    X[0, 0] = 2.0**24
    backend = BACKENDS["numpy"]._replace(gradient_pass=gradient)
    sums = ChunkSums(backend, Network((1, 1)).layers, Samples(X, X))
    total, dtheta = sums.cost_and_gradient(np.zeros(2, dtype=np.float32))
    assert total == 2**24 + 3
    assert dtheta.dtype == np.float64
    assert dtheta.tolist() == [2**24 + 3] * 2


def test_sums_are_added_in_the_order_of_the_chunks():
    """1e16 + 1 - 1e16 is 0, and 1e16 - 1e16 + 1 is 1."""

    def cost(theta, sizes, units, loss, A, Y, s):
        return float(A[0, 0])

    backend = BACKENDS["numpy"]._replace(cost_pass=cost)
    for values, total in [((1e16, 1, -1e16), 0), ((1e16, -1e16, 1), 1)]:
        X = np.repeat(values, SPAN_SAMPLES).reshape(1, -1)
        sums = ChunkSums(backend, Network((1, 1)).layers, Samples(X, X))
        assert sums.cost(np.zeros(2)) == total


def test_data_of_one_chunk_are_copied_once_and_those_of_two_each_time():
    for n_samples, copies in [(1024, 1), (2048, 6)]:
        X = CountsReads(np.ones((1, n_samples)))
        sums = noted_by(Asked(), Samples(X, np.ones((1, n_samples))))
        for _ in range(3):
            sums.cost_and_gradient(np.zeros(2))
        assert X.reads == copies


class CountsReads:
    """Inputs that know how often they were read."""

    def __init__(self, array):
        self._array = array
        self.shape, self.dtype, self.reads = array.shape, array.dtype, 0

    def __getitem__(self, place):
        self.reads += 1
        return self._array[place]


@pytest.mark.parametrize("n_samples", [1030, 2048])
def test_a_chunk_of_which_only_half_was_loaded_is_loaded_anew(n_samples):
    """Ctrl-C, or a full memory, may come between the inputs of a chunk and its weights."""

    class Unreadable:
        armed = False

        def __getitem__(self, place):
            if self.armed and place.start > 0:
                raise KeyboardInterrupt
            return np.ones(n_samples)[place]

    weights = Unreadable()
    X = np.arange(float(n_samples)).reshape(1, -1)
    sums = noted_by(Asked(), Samples(X, X, weights=weights))
    expected = sums.cost_and_gradient(np.zeros(2))[0]
    weights.armed = True
    with pytest.raises(KeyboardInterrupt):
        sums.cost_and_gradient(np.zeros(2))
    weights.armed = False
    assert sums.cost_and_gradient(np.zeros(2))[0] == expected


# Costs and gradients of more than one chunk


def tolerance(dtype):
    """A constant times epsilon times the root of the longest sum, that of a chunk."""
    return 4 * float(np.finfo(dtype).eps) * math.sqrt(SPAN_SAMPLES)


@functools.cache
def expected(n_samples, weighted):
    X, Y, weights = data(n_samples)
    theta = NETWORK.initial_parameters(seed=1, dtype="float32").astype(float)
    described = (theta, NETWORK.sizes, NETWORK.hidden, NETWORK.output, X, Y)
    weights = weights if weighted else None
    return oracle.cost(*described, weights, 0.5), oracle.gradient(*described, weights, 0.5)


@pytest.mark.sample(2)
@pytest.mark.parametrize(("n_samples", "weighted"), [(1025, True), (2048, False), (2500, True)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_cost_and_gradient_of_several_chunks_equal_the_oracle(n_samples, weighted, dtype, backend):
    X, Y, weights = data(n_samples)
    theta = NETWORK.initial_parameters(seed=1, dtype="float32").astype(dtype)
    J, dtheta = NETWORK.cost_and_gradient(
        theta,
        X.astype(dtype),
        Y,
        sample_weight=weights if weighted else None,
        alpha=0.5,
        backend=backend,
    )
    expected_J, expected_dtheta = expected(n_samples, weighted)
    assert pytest.approx(expected_J, rel=tolerance(dtype)) == J
    np.testing.assert_allclose(dtheta, expected_dtheta, rtol=0, atol=tolerance(dtype))


@pytest.mark.sample(6)
@pytest.mark.parametrize("n_samples", [1025, 2048, 2500])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_cost_and_gradient_are_the_sums_over_chunks_bit_for_bit(n_samples, dtype, backend):
    X, Y, weights = (array.astype(dtype) for array in data(n_samples))
    theta = NETWORK.initial_parameters(seed=2, dtype=dtype)
    layers, chosen = NETWORK.layers, BACKENDS[backend]
    total, gradient = 0.0, np.zeros(theta.size)
    for start, stop in chunk_bounds(n_samples):
        chunk = Samples(X[:, start:stop], Y[:, start:stop], weights=weights[start:stop])
        cost_sum, gradient_sum = ChunkSums(chosen, layers, chunk).cost_and_gradient(theta)
        total += cost_sum
        gradient += gradient_sum
    whole = ChunkSums(chosen, layers, Samples(X, Y, weights=weights))
    cost_sum, gradient_sum = whole.cost_and_gradient(theta)
    assert cost_sum == total == whole.cost(theta)
    assert gradient_sum.tobytes() == gradient.tobytes()
    # And once divided: L6 and B10 for the one bias of the output.
    J, dtheta = NETWORK.cost_and_gradient(theta, X, Y, sample_weight=weights, backend=backend)
    S = float(weights.sum(dtype=float))
    assert pytest.approx(total / S, rel=1e-15) == J
    assert dtheta[-1] == pytest.approx(gradient[-1] / S, rel=float(np.finfo(dtype).eps))


@pytest.mark.parametrize("n_samples", [1025, 2048, 2500])
def test_forward_of_several_chunks_is_that_of_each(n_samples, backend):
    X, _, _ = data(n_samples)
    theta = NETWORK.initial_parameters(seed=3)
    A = NETWORK.forward(theta, X, backend)
    assert A.shape == (1, n_samples)
    for start, stop in chunk_bounds(n_samples):
        assert A[:, start:stop].tobytes() == (
            NETWORK.forward(theta, X[:, start:stop], backend).tobytes()
        )


def test_evaluations_do_not_depend_on_those_before(backend):
    """The workspace, and the chunk that was loaded last, carry nothing over."""
    for n_samples in (5, 1024, 2500):
        X, Y, weights = data(n_samples)
        objective = NETWORK.objective(X, Y, sample_weight=weights, backend=backend)
        one, other = (NETWORK.initial_parameters(seed=seed) for seed in (1, 2))
        J, dtheta = objective.cost_and_gradient(one)
        kept = dtheta.tobytes()
        objective.cost_and_gradient(other)
        objective.cost(np.full_like(one, np.nan))
        assert dtheta.tobytes() == kept
        again = objective.cost_and_gradient(one)
        assert (again[0], again[1].tobytes()) == (J, kept)
        assert objective.cost(one) == J


def test_training_on_several_chunks_is_plain_gradient_descent(backend):
    X, Y, weights = data(2500)
    theta = NETWORK.initial_parameters(seed=1, dtype="float32").astype(float)
    _, slope = expected(2500, True)
    result = train(
        NETWORK,
        X,
        Y,
        solver="gd",
        learning_rate=0.25,
        max_iter=1,
        sample_weight=weights,
        alpha=0.5,
        theta=theta,
        backend=backend,
    )
    np.testing.assert_allclose(
        result.theta, theta - 0.25 * np.array(slope), rtol=0, atol=tolerance("float64")
    )
    assert result.plan.n_chunks == 3


@pytest.mark.compiled
def test_a_float32_cost_over_many_samples_is_that_of_float64(backend):
    """In one float32 sum the error would be of the order of 1e-6; by chunks it stays below 1e-7."""
    n_samples = 300_000
    network = Network((2, 3, 1))
    X, Y, weights = data(n_samples)
    theta = network.initial_parameters(seed=1, dtype="float32")
    common = {"Y": Y, "sample_weight": weights, "backend": backend}
    J, dtheta = network.cost_and_gradient(theta, X.astype("float32"), **common)
    exact, exact_dtheta = network.cost_and_gradient(theta.astype(float), X, **common)
    assert pytest.approx(exact, rel=1e-7) == J
    np.testing.assert_allclose(dtheta, exact_dtheta, rtol=0, atol=1e-7)


def test_an_objective_takes_theta_as_optimisers_pass_it(backend):
    """float64 for float32 data, read-only, strided, other byte order, a list; never written to."""
    X, Y, weights = data(40)
    theta = NETWORK.initial_parameters(seed=1, dtype="float32").astype(float)
    read_only = theta.copy()
    read_only.flags.writeable = False
    strided = np.repeat(theta, 2)[::2]
    for dtype in ("float32", "float64"):
        objective = NETWORK.objective(
            X.astype(dtype), Y, sample_weight=weights.astype(dtype), backend=backend
        )
        J, dtheta = objective.cost_and_gradient(theta.astype(dtype))
        for passed in (theta, read_only, strided, theta.astype(">f8"), theta.tolist()):
            again, slope = objective.cost_and_gradient(passed)
            assert (again, slope.tobytes(), slope.dtype) == (J, dtheta.tobytes(), np.dtype(dtype))
            assert objective.cost(passed) == J
        assert objective.cost(np.full_like(theta, 1e300)) != J  # out of range; no warning
    with pytest.raises(ValueError, match=r"theta must have shape \(\d+,\).*got shape \(3,\)"):
        objective.cost(theta[:3])
    with pytest.raises(TypeError, match="theta has dtype complex128; expected real numbers"):
        objective.cost_and_gradient(theta + 0j)


def test_chunks_are_added_in_their_order_whoever_is_done_first():
    """Of numbers whose sum depends on the order; those set aside are copies."""
    terms = [1.0, 1e16, -1e16]  # 0 in this order, 1 where the first comes last
    for finished in ([0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]):
        total, gradient_sum = chunks.Total(1, 3), np.empty(1)
        assert [total.next_chunk() for _ in range(4)] == [0, 1, 2, None]
        for number in finished:
            gradient_sum[0] = terms[number]
            total.add(number, terms[number], gradient_sum)
        gradient_sum[0] = np.nan
        assert (total.cost, total.gradient.tolist()) == (0.0, [0.0])


def test_a_thread_waits_for_its_turn_where_enough_chunks_lie_aside(monkeypatch):
    monkeypatch.setattr(chunks, "MOST_ASIDE", 1)
    total, added = chunks.Total(0, 3), []

    def add(number):
        total.add(number, float(number + 1), np.empty(0))
        added.append(number)

    add(2)
    waiting = threading.Thread(target=add, args=(1,))
    waiting.start()
    waiting.join(timeout=0.05)
    assert (added, total.cost) == ([2], 0.0)
    add(0)
    waiting.join(timeout=30)
    assert sorted(added) == [0, 1, 2]
    assert total.cost == 6.0
