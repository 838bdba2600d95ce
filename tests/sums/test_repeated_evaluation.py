"""`Network.cost_and_gradient` and `train` called again and again, with the data in each call."""

import copy
import gc
import pickle
import threading
import time
import tracemalloc
import weakref

import numpy as np
import pytest

from engine import Network, train
from engine.sums import chunks
from engine.sums.workers import TiledWorker, new_worker

pytestmark = pytest.mark.compiled

NETWORK = Network((5, 7, 3), output="softmax")


def data(n_samples=2500, dtype="float64", seed=0):
    random = np.random.default_rng(seed)
    X = random.standard_normal((5, n_samples)).astype(dtype)
    return X, random.integers(0, 3, n_samples)


def bits(evaluated):
    cost, dtheta = evaluated
    return cost, dtheta.tobytes()


@pytest.mark.parametrize("n_threads", [1, 3])
def test_each_call_has_the_bits_of_an_objective_whatever_came_before(backend, n_threads):
    network = Network(NETWORK.sizes, output="softmax")
    told = {"backend": backend, "n_threads": n_threads, "alpha": 0.1}
    for n_samples, dtype, seed in [
        (2500, "float64", 0),
        (2500, "float64", 1),
        (10, "float64", 2),
        (700, "float64", 3),
        (11, "float32", 4),
        (4000, "float32", 5),
        (2500, "float64", 0),
    ]:
        X, codes = data(n_samples, dtype, seed)
        theta = network.initial_parameters(seed, dtype)
        for layout in (X, np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]):
            weights = np.linspace(0.5, 1.5, n_samples)
            kept = network.objective(layout, codes, sample_weight=weights, **told)
            again = network.cost_and_gradient(theta, layout, codes, sample_weight=weights, **told)
            assert bits(again) == bits(kept.cost_and_gradient(theta))


def test_the_same_arrays_may_hold_other_numbers_in_the_next_call():
    X, codes = data()
    theta = NETWORK.initial_parameters()
    before = bits(NETWORK.cost_and_gradient(theta, X, codes))
    X += 1
    assert bits(NETWORK.cost_and_gradient(theta, X, codes)) != before
    codes[7] = 3
    with pytest.raises(ValueError, match=r"Y\[7\] is 3"):
        NETWORK.cost_and_gradient(theta, X, codes)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("hidden", ["tanh", "relu", "sigmoid"])
def test_inputs_that_are_not_finite_are_refused_in_every_place(wrong, hidden, backend):
    network = Network((4, 3, 2), hidden=hidden, output="sigmoid")
    random = np.random.default_rng(0)
    theta = network.initial_parameters()
    theta[:12] = 1e4 * np.abs(theta[:12])  # units that are saturated, whose derivative is 0
    theta[12:15] = -1e4 if hidden == "relu" else 0  # or that are dead
    for n_samples in (1, 300):
        X, Y = random.standard_normal((4, n_samples)), np.ones((2, n_samples))
        for place in (0, n_samples - 1):
            for feature in range(4):
                spoilt = X.copy()
                spoilt[feature, place] = wrong
                with pytest.raises(ValueError, match=rf"first at X\[{feature}, {place}\]"):
                    network.cost_and_gradient(theta, spoilt, Y, backend=backend)
    weights = np.array([0.0, 1.0])  # nor does a weight of 0 hide it
    with pytest.raises(ValueError, match=r"first at X\[1, 0\]"):
        network.cost_and_gradient(
            theta, [[0, 0], [wrong, 0], [0, 0], [0, 0]], np.ones((2, 2)), sample_weight=weights
        )


def test_parameters_that_take_the_computation_out_of_range_are_no_error():
    network = Network((1, 1), output="identity")
    cost, dtheta = network.cost_and_gradient(np.array([1e300, 0.0]), [[1e300]], [0.0])
    assert cost == np.inf
    assert not np.isfinite(dtheta).all()


@pytest.mark.sample(1)
def test_no_data_are_kept(backend):
    network = Network((50, 4, 1))
    theta = network.initial_parameters()
    network.cost_and_gradient(theta, np.zeros((50, 20_000)), np.zeros(20_000), backend=backend)
    gc.collect()
    tracemalloc.start()
    try:
        X, Y = np.ones((50, 20_000)), np.zeros((1, 20_000))
        weights = np.ones(20_000)
        network.cost_and_gradient(theta, X, Y, sample_weight=weights, backend=backend)
        held = [weakref.ref(array) for array in (X, Y, weights)]
        del X, Y, weights
        gc.collect()
        assert [ref() for ref in held] == [None] * 3
        assert tracemalloc.get_traced_memory()[0] < 2**20  # of 8 MB
    finally:
        tracemalloc.stop()


def test_threads_that_share_a_network_do_not_share_its_memory(monkeypatch):
    problems = [data(seed=seed) for seed in range(4)]
    thetas = [NETWORK.initial_parameters(seed) for seed in range(4)]
    alone = [bits(NETWORK.cost_and_gradient(t, *d)) for t, d in zip(thetas, problems)]
    found, run = {}, TiledWorker.run

    def slow(worker, *arguments):
        time.sleep(0.003)  # so that the calls overlap
        return run(worker, *arguments)

    monkeypatch.setattr(TiledWorker, "run", slow)

    def work(number):
        found[number] = {
            bits(NETWORK.cost_and_gradient(thetas[number], *problems[number], n_threads=n))
            for n in (1, 2, 1, 2)
        }

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: {alone[number]} for number in range(4)}


def test_a_call_that_fails_leaves_the_next_one_right(monkeypatch):
    X, codes = data()
    theta = NETWORK.initial_parameters()
    network = Network(NETWORK.sizes, output="softmax")
    expected = bits(network.cost_and_gradient(theta, X, codes))
    with monkeypatch.context() as patch:
        patch.setattr(TiledWorker, "run", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            network.cost_and_gradient(theta, X, codes)
    assert bits(network.cost_and_gradient(theta, X, codes)) == expected


def test_a_network_that_has_evaluated_can_be_pickled_and_copied():
    X, codes = data(10)
    theta = NETWORK.initial_parameters()
    before = bits(NETWORK.cost_and_gradient(theta, X, codes))
    for twin in (pickle.loads(pickle.dumps(NETWORK)), copy.deepcopy(NETWORK), copy.copy(NETWORK)):
        assert bits(twin.cost_and_gradient(theta, X, codes)) == before


def test_an_objective_that_has_evaluated_can_be_pickled_and_copied(backend):
    X, codes = data(10)
    theta = NETWORK.initial_parameters()
    objective = NETWORK.objective(X, codes, backend=backend)
    before = [bits(objective.cost_and_gradient(theta)) for _ in range(2)]
    twins = pickle.loads(pickle.dumps(objective)), copy.deepcopy(objective), copy.copy(objective)
    for twin in twins:
        assert [bits(twin.cost_and_gradient(theta)) for _ in range(2)] == before


def test_the_next_call_has_the_workspace_of_the_last_one(monkeypatch):
    made = []

    def counted(*arguments):
        made.append(arguments)
        return new_worker(*arguments)

    monkeypatch.setattr(chunks, "new_worker", counted)
    network = Network(NETWORK.sizes, output="softmax")
    theta = network.initial_parameters()
    for seed in range(3):
        network.cost_and_gradient(theta, *data(seed=seed), n_threads=2)
    assert len(made) == 2


def trained(network, X, codes, *, backend=None, n_threads=None):
    return train(
        network, X, codes, solver="gd", max_iter=3, backend=backend, n_threads=n_threads
    ).fingerprint


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_run_has_the_bits_of_a_networks_first_one_whatever_came_before(backend, n_threads):
    network = Network(NETWORK.sizes, output="softmax")
    told = {"backend": backend, "n_threads": n_threads}
    for n_samples, dtype, seed in [
        (2500, "float64", 0),
        (10, "float64", 1),
        (10, "float32", 2),
        (10, "float64", 3),
        (2500, "float64", 0),
    ]:
        given = data(n_samples, dtype, seed)
        first = trained(Network(NETWORK.sizes, output="softmax"), *given, **told)
        assert trained(network, *given, **told) == first
        network.cost_and_gradient(network.initial_parameters(0, dtype), *given, **told)
        assert trained(network, *given, **told) == first


def test_the_next_run_has_the_workspace_of_the_last_one(monkeypatch):
    made = []

    def counted(*arguments):
        made.append(arguments)
        return new_worker(*arguments)

    monkeypatch.setattr(chunks, "new_worker", counted)
    network = Network(NETWORK.sizes, output="softmax")
    for seed in range(3):
        trained(network, *data(10, seed=seed))
    assert len(made) == 1


@pytest.mark.sample(1)
def test_a_run_keeps_no_data_and_no_threads(backend):
    network = Network((50, 4, 1))
    X, Y = np.ones((50, 5000)), np.zeros((1, 5000))
    held = [weakref.ref(array) for array in (X, Y)]
    before = threading.active_count()
    for n_threads in (1, 2):
        trained(network, X, Y, backend=backend, n_threads=n_threads)
    del X, Y
    # A thread that has ended its task may still have to run to let go of it.
    until = time.monotonic() + 5
    while any(ref() is not None for ref in held) and time.monotonic() < until:
        gc.collect()
        time.sleep(0.01)
    assert [ref() is None for ref in held] == [True, True]
    assert threading.active_count() == before


def test_a_run_within_the_callback_of_another_one_changes_neither():
    X, codes = data(10)
    alone = trained(NETWORK, X, codes)
    within = []

    def callback(iteration):
        within.append(trained(NETWORK, X, codes))

    outer = train(NETWORK, X, codes, solver="gd", max_iter=3, callback=callback)
    assert {outer.fingerprint, *within} == {alone}
