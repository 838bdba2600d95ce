"""What makes short fits short, and must change nothing: what is found once, or not looked at."""

import threading

import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from engine import MLPClassifier, MLPRegressor, Network
from engine.estimators import diagnosis, parameters
from engine.estimators.draws import Draws
from engine.estimators.shared_data import SharedData
from engine.solvers import mersenne

X = np.random.default_rng(0).normal(size=(60, 3))
Y = X[:, 0] > 0


# Parameters that were valid before.


def valid(**given):
    estimator = MLPRegressor(**given)
    estimator._validate_params()
    return estimator


def test_equal_parameters_are_validated_once(monkeypatch):
    valid(alpha=0.123, random_state=1)
    monkeypatch.setattr("sklearn.base.BaseEstimator._validate_params", lambda self: 1 / 0)
    valid(alpha=0.123, random_state=2)  # whatever the seed
    with pytest.raises(ZeroDivisionError):
        valid(alpha=0.124)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"max_iter": 7}, {"max_iter": 7.0}),
        ({"shuffle": True}, {"shuffle": 1.5}),
        ({"hidden_layer_sizes": (3,)}, {"hidden_layer_sizes": "3"}),
        ({"random_state": 0}, {"random_state": -1}),
        ({"random_state": 0}, {"random_state": 2**32}),
        ({"max_iter": 1}, {"max_iter": True + 0.5}),
        ({"alpha": 1}, {"alpha": "1"}),
    ],
)
def test_values_that_look_like_valid_ones_are_refused_all_the_same(good, bad):
    valid(**good)
    with pytest.raises(InvalidParameterError):
        valid(**bad)


def test_what_may_change_is_validated_each_time():
    known = parameters._question
    for given in ({"hidden_layer_sizes": [3]}, {"random_state": np.random.RandomState(0)}):
        assert known(MLPRegressor(**given)) is None
    assert known(MLPRegressor()) != known(MLPClassifier())


def test_few_sets_of_parameters_are_remembered(monkeypatch):
    monkeypatch.setattr(parameters, "_valid", set())
    monkeypatch.setattr(parameters, "MOST_VALID", 3)
    for number in range(10):
        valid(max_iter=1 + number)
    assert len(parameters._valid) <= 3


# Draws without a new generator.


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, np.int64(5)])
def test_a_seed_gives_the_numbers_of_a_new_generator(seed):
    draws, reference = Draws(seed), np.random.RandomState(int(seed))
    drawn = draws.draw(lambda generator: generator.uniform(-1, 2, (3, 4)))
    np.testing.assert_array_equal(drawn, reference.uniform(-1, 2, (3, 4)))
    np.testing.assert_array_equal(draws.words(), mersenne.words_of(reference))
    assert draws.generator.randint(1000) == reference.randint(1000)


def test_draws_of_two_estimators_do_not_mix():
    a, b = Draws(1), Draws(2)
    for draws, seed in ((a, 1), (b, 2)):
        first = draws.draw(lambda generator: generator.uniform(size=2))
        np.testing.assert_array_equal(first, np.random.RandomState(seed).uniform(size=2))
    second = a.draw(lambda generator: generator.uniform(size=2))
    np.testing.assert_array_equal(second, np.random.RandomState(1).uniform(size=4)[2:])


def test_each_thread_borrows_a_generator_of_its_own():
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(mersenne.borrowed.generator)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
        thread.join()
    assert len({id(one) for one in [*found, mersenne.borrowed.generator]}) == 3


def test_a_generator_whose_memory_is_laid_out_otherwise_is_asked_for_its_state():
    borrowed = mersenne.Borrowed()
    borrowed._is_state = False
    borrowed._memory[:] = 0
    borrowed.generator.seed(3)
    expected = mersenne.words_of(np.random.RandomState(3))
    np.testing.assert_array_equal(borrowed.words(), expected)
    borrowed.generator.uniform(size=9)
    borrowed.put(expected)
    assert borrowed.generator.uniform() == np.random.RandomState(3).uniform()


# A look at few samples first.


@pytest.mark.parametrize("hidden", ["tanh", "sigmoid", "relu"])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.9, 0.949, 0.96, 1.0])
def test_a_look_at_few_samples_hides_no_idle_units(hidden, share, monkeypatch):
    """However the samples are ordered, the finding is that of a look at all of them."""
    n = 1000
    network = Network((1, 20, 1), hidden, "identity")
    theta = np.zeros(network.n_parameters)
    theta[:20] = -1000.0 if hidden == "relu" else 1000.0
    inputs = np.where(np.arange(n) < share * n, 1.0, -1e-9 if hidden == "relu" else 1e-9)
    for order in (np.arange(n), np.arange(n)[::-1], np.random.default_rng(0).permutation(n)):
        samples = inputs[order][None, :]
        found = diagnosis._idle_units(network, theta, samples)
        with monkeypatch.context() as change:
            change.setattr(diagnosis, "FIRST_SAMPLES", n)
            assert found == diagnosis._idle_units(network, theta, samples)
        limit = 1.0 if hidden == "relu" else diagnosis.NEARLY_ALL
        assert bool(found) == (share >= limit)


# What fits on the same data share.


def test_rows_are_checked_once_and_each_estimator_learns_of_them():
    shared = SharedData()
    first, second = MLPClassifier(random_state=0), MLPClassifier(random_state=1, alpha=1.0)
    rows = shared.rows(first, X, Y, None)
    assert shared.rows(second, X, Y, None) is rows
    assert second.n_features_in_ == 3
    np.testing.assert_array_equal(second.classes_, first.classes_)
    assert shared.rows(MLPClassifier(class_weight="balanced"), X, Y, None) is not rows
    assert shared.rows(MLPClassifier(), X.copy(), Y, None) is not rows


def test_equal_seeds_that_follow_each_other_share_a_split():
    shared, made = SharedData(), []
    rows = shared.rows(MLPClassifier(), X, Y, None)

    def make():
        made.append(1)
        return (rows, rows), np.full(625, len(made), np.uint64)

    words = [mersenne.words_of_seed(seed) for seed in (0, 1)]
    for seed in (0, 0, 1, 0):
        shared.split(rows, (0.1, True), words[seed], make)
    assert len(made) == 3  # only the latest is kept
    shared.split(rows, (0.2, True), words[0], make)
    assert len(made) == 4
