"""The worked examples: XNOR as the seed document has it, and the breast-cancer data."""

import math

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from engine import train
from engine.equations.backends import BACKENDS
from engine.examples import breast_cancer, xnor
from tests.conftest import PASS

GATES = {
    # name: printed table, its last column
    "AND": (xnor.AND, "x1  x2  x1 AND x2\n 0   0          0\n 0   1          0\n"
                      " 1   0          0\n 1   1          1", [0, 0, 0, 1]),
    "NOR": (xnor.NOR, "x1  x2  NOT x1 AND NOT x2\n 0   0                  1\n"
                      " 0   1                  0\n 1   0                  0\n"
                      " 1   1                  0", [1, 0, 0, 0]),
    "OR": (xnor.OR, "x1  x2  x1 OR x2\n 0   0         0\n 0   1         1\n"
                    " 1   0         1\n 1   1         1", [0, 1, 1, 1]),
    "XNOR": (xnor.XNOR, "x1  x2  x1 AND x2  NOT x1 AND NOT x2  a1 OR a2\n"
                        " 0   0          0                  1         1\n"
                        " 0   1          0                  0         0\n"
                        " 1   0          0                  0         0\n"
                        " 1   1          1                  0         1", [1, 0, 0, 1]),
}  # fmt: skip


@pytest.mark.parametrize("name", GATES)
def test_a_hand_set_network_prints_the_document_s_truth_table(name):
    network, table, _ = GATES[name]
    assert str(network) == table


@pytest.mark.parametrize("name", GATES)
def test_the_outputs_of_a_hand_set_network_are_0_or_1_to_four_digits(name, backend):
    hand_set, _, wanted = GATES[name]
    np.testing.assert_allclose(hand_set.outputs(), wanted, rtol=0, atol=5e-5)
    outputs = hand_set.network.forward(hand_set.theta, xnor.X, backend=backend)[0]
    np.testing.assert_allclose(outputs, hand_set.outputs(), rtol=1e-14)


def test_the_samples_are_the_rows_of_the_truth_table():
    assert xnor.X.T.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert xnor.Y.tolist() == [[1, 0, 0, 1]]


def test_xnor_is_or_of_and_and_nor():
    a = np.stack([xnor.AND.outputs(), xnor.NOR.outputs()])
    np.testing.assert_allclose(xnor.OR.outputs(a), xnor.XNOR.outputs(), rtol=1e-14)


def test_a_gate_is_the_sigmoid_of_its_line():
    for x1, x2, a in zip(*xnor.X, xnor.AND.outputs()):
        assert a == pytest.approx(1 / (1 + math.exp(-(20 * x1 + 20 * x2 - 30))), rel=1e-14)


def test_the_hand_set_parameters_are_those_of_the_document():
    (W1, b1), (W2, b2) = xnor.XNOR.network.views(xnor.XNOR.theta)
    assert W1.tolist() == [[20, 20], [-20, -20]]
    assert b1.tolist() == [-30, 10]
    assert W2.tolist() == [[20, 20]]
    assert b2.tolist() == [-10]
    assert xnor.XNOR.network.sizes == (2, 2, 1)
    assert (xnor.XNOR.network.hidden, xnor.XNOR.network.output) == (("sigmoid",), "sigmoid")


def test_the_cost_of_the_hand_set_network_is_the_document_s_cross_entropy():
    J, _ = xnor.XNOR.network.cost_and_gradient(xnor.XNOR.theta, xnor.X, xnor.Y)
    a = xnor.XNOR.outputs()
    by_hand = -np.mean(xnor.Y[0] * np.log(a) + (1 - xnor.Y[0]) * np.log(1 - a))
    assert pytest.approx(by_hand, rel=1e-9) == J
    assert J < 5e-5


def test_the_example_s_data_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        xnor.X[0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        xnor.Y[0, 0] = 0.0


# The reference backend learns fast enough in every pass; the loops where they are compiled.
SEEDS = range(3) if PASS == "compiled" else range(2)
LEARNING_BACKENDS = list(BACKENDS) if PASS == "compiled" else ["numpy"]


@pytest.mark.sample(1)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("learner", LEARNING_BACKENDS)
def test_logistic_regression_ends_at_log_2_and_one_half(seed, learner):
    trained = xnor.fit(xnor.LOGISTIC_REGRESSION, seed, learner)
    assert trained.cost == pytest.approx(math.log(2), abs=1e-9, rel=0)
    outputs = xnor.LOGISTIC_REGRESSION.forward(trained.theta, xnor.X)
    np.testing.assert_allclose(outputs, 0.5, rtol=0, atol=1e-4)


@pytest.mark.sample(1)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("learner", LEARNING_BACKENDS)
def test_the_seed_s_network_learns_xnor(seed, learner):
    trained = xnor.fit(xnor.TRAINED_NETWORK, seed, learner)
    assert trained.cost < xnor.LEARNED == 0.05
    outputs = xnor.TRAINED_NETWORK.forward(trained.theta, xnor.X)
    assert np.array_equal(np.round(outputs), xnor.Y)


def test_the_trained_network_is_the_document_s():
    assert xnor.TRAINED_NETWORK.sizes == (2, 4, 1)
    assert xnor.TRAINED_NETWORK.hidden == ("tanh",)
    assert xnor.TRAINED_NETWORK.output == "sigmoid"


def test_the_seeds_counted_are_those_whose_cost_ends_below_the_threshold(monkeypatch):
    costs = {0: 0.01, 1: 0.06, 2: 0.0499, 3: 0.05}
    fits = []

    def fit(network, seed):
        fits.append((network, seed))
        return type("Result", (), {"cost": costs[seed]})

    monkeypatch.setattr(xnor, "fit", fit)
    assert xnor.seeds_that_learn(4) == 2
    assert fits == [(xnor.TRAINED_NETWORK, seed) for seed in range(4)]


# The breast-cancer data.


@pytest.fixture(scope="module")
def split():
    return breast_cancer.split(0)


@pytest.mark.compiled
def test_a_quarter_is_held_out_and_no_sample_is_lost(split):
    assert split.X.shape == (30, 426)
    assert split.X_test.shape == (30, 143)
    assert split.Y.shape == (426,)
    assert split.Y_test.shape == (143,)


@pytest.mark.compiled
@pytest.mark.parametrize("seed", range(4))
def test_both_parts_have_the_classes_in_proportion(seed):
    data = breast_cancer.split(seed)
    benign = (data.Y.sum() + data.Y_test.sum()) / 569
    assert data.Y.mean() == pytest.approx(benign, abs=1 / 426)
    assert data.Y_test.mean() == pytest.approx(benign, abs=1 / 143)


@pytest.mark.compiled
def test_the_training_part_is_standardised_and_the_held_out_part_only_nearly(split):
    np.testing.assert_allclose(split.X.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(split.X.std(axis=1), 1, rtol=1e-12)
    assert np.all(np.abs(split.X_test.mean(axis=1)) > 1e-6)
    assert np.all(np.abs(split.X_test.std(axis=1) - 1) > 1e-6)


@pytest.mark.compiled
def test_held_out_samples_do_not_influence_the_scaling(split, monkeypatch):
    rows, labels = load_breast_cancer(return_X_y=True)
    places = np.arange(len(labels))
    _, held_out = train_test_split(
        places, test_size=breast_cancer.HELD_OUT, stratify=labels, random_state=0
    )
    changed = rows.copy()
    changed[held_out] = 1000 * changed[held_out] + 7
    monkeypatch.setattr(breast_cancer, "load_breast_cancer", lambda **_: (changed, labels))
    other = breast_cancer.split(0)
    assert np.array_equal(other.X, split.X)
    assert not np.any(np.isclose(other.X_test, split.X_test))


@pytest.mark.compiled
def test_every_seed_is_another_split_and_the_same_each_time(split):
    again, other = breast_cancer.split(0), breast_cancer.split(1)
    assert np.array_equal(again.X, split.X)
    assert np.array_equal(again.Y_test, split.Y_test)
    assert not np.array_equal(other.X_test, split.X_test)


@pytest.mark.compiled
def test_the_network_classifies_held_out_samples_about_as_well_as_logistic_regression(split):
    trained = breast_cancer.fit(split)
    accuracy = breast_cancer.test_accuracy(split, trained.theta)
    assert accuracy >= 0.94
    assert breast_cancer.logistic_regression_accuracy(split) >= 0.94
    says_1 = breast_cancer.NETWORK.forward(trained.theta, split.X_test)[0] >= 0.5
    assert accuracy == np.mean(says_1 == (split.Y_test == 1))


@pytest.mark.compiled
def test_accuracy_is_judged_on_the_held_out_part(split):
    # All parameters 0: every output is 1/2, which counts as 1.
    nothing = np.zeros(breast_cancer.NETWORK.n_parameters)
    assert breast_cancer.test_accuracy(split, nothing) == split.Y_test.mean()


@pytest.mark.compiled
def test_the_held_out_cost_is_recorded_and_does_not_change_the_result(split):
    trained = breast_cancer.fit(split, max_iter=5)
    assert trained.history["validation_cost"].shape == (5,)
    alone = train(
        breast_cancer.NETWORK, split.X, split.Y, solver="gd", max_iter=5,
        learning_rate=breast_cancer.LEARNING_RATE, alpha=breast_cancer.ALPHA,
    )  # fmt: skip
    assert alone.fingerprint == trained.fingerprint


@pytest.mark.compiled
def test_each_backend_is_timed_on_the_same_run(split, monkeypatch):
    monkeypatch.setattr(breast_cancer, "ROUNDS", 1)
    numpy, loops = breast_cancer.time_backends(split, ["numpy", "loops"])
    assert (numpy.backend, loops.backend) == ("numpy", "loops")
    assert numpy.cost == pytest.approx(loops.cost, rel=1e-12)
    for timed in (numpy, loops):
        assert timed.per_iteration > 0
        assert timed.first_call >= 0


# The figures that the project promises; `make demo` prints them.


@pytest.mark.proof
@pytest.mark.compiled
def test_at_least_95_of_100_seeds_learn_xnor():
    assert xnor.seeds_that_learn(100) >= 95


@pytest.mark.proof
@pytest.mark.compiled
def test_the_median_accuracy_over_20_splits_is_at_least_96_percent():
    accuracies = []
    for seed in range(20):
        data = breast_cancer.split(seed)
        accuracies.append(breast_cancer.test_accuracy(data, breast_cancer.fit(data, seed).theta))
    assert np.median(accuracies) >= 0.96
