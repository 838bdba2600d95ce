"""engine/estimators/diagnosis.py, rates.py: findings with number and remedy, and only then."""

import math
import re
import warnings
from typing import Any

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import d2_tweedie_score, recall_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from engine import MLPClassifier, MLPRegressor, Network, losses
from engine.cli.main import app
from engine.estimators.diagnosis import TrainingWarning, findings, too_high
from engine.estimators.findings import REMEDIES, Finding, at_command_line, in_python
from engine.estimators.prediction_diagnosis import (
    hardly_ever_predicted,
    rare_classes,
    scores_by_other_rows,
    unscaled_targets,
    worse_than_the_mean,
)

DOWN = np.geomspace(1.0, 0.05, 40).tolist()
RNG = np.random.default_rng(7)
SAMPLES = RNG.normal(size=(4, 200))
RATE = 0.001


def network_and_parameters(
    sizes: tuple[int, ...] = (4, 10, 3),
    hidden: str | tuple[str, ...] = "tanh",
    output: str = "softmax",
    dtype: str = "float64",
) -> tuple[Network, NDArray[Any]]:
    network = Network(sizes, hidden=hidden, output=output)
    return network, network.initial_parameters(seed=1, dtype=dtype)


def find(network, theta, X=SAMPLES, curve=DOWN, solver="adam", rate=RATE, names=None):
    found = findings(
        network, theta, X, loss_curve=curve, solver=solver, learning_rate=rate, names=names
    )
    return [in_python(finding) for finding in found]


def only(found):
    """The single message of a list."""
    assert len(found) == 1, found
    return found[0]


def with_biases(network, theta, l, values):
    """theta, the first biases of layer l set to values."""
    theta = theta.copy()
    network.views(theta)[l - 1][1][: len(values)] = values
    return theta


def scaled(factor, k=2):
    """The samples, one feature multiplied."""
    X = SAMPLES.copy()
    X[k] *= factor
    return X


def test_a_training_warning_is_a_user_warning():
    assert issubclass(TrainingWarning, UserWarning)


# Inputs


@pytest.mark.parametrize("factor", [100, 1e6])
def test_a_large_feature_is_named_with_its_numbers_and_the_remedy(factor):
    X = scaled(factor) + 5
    said = find(*network_and_parameters(hidden="identity"), X, names=["a", "b", "size", "d"])[0]
    assert "1 of 4 features has" in said
    assert (
        f"('size') a mean of {X[2].mean():.3g} and a standard deviation of {X[2].std():.3g}" in said
    )
    assert "make_pipeline(StandardScaler(), MLPClassifier(...))" in said


def test_names_may_be_an_array():
    names = np.array(["a", "b", "size", "d"], dtype=object)
    said = only(find(*network_and_parameters(hidden="identity"), scaled(100), names=names))
    assert "'size'" in said


def test_features_without_names_are_numbered_from_0():
    said = only(find(*network_and_parameters(hidden="identity"), SAMPLES * [[1], [99], [1], [999]]))
    assert "2 of 4 features have" in said
    assert "(column 3 of X)" in said


def test_a_feature_far_from_0_is_found_though_it_varies_little():
    X = SAMPLES + np.array([[0], [2000], [0], [0]])
    assert "(column 1 of X) a mean of 2e+03" in only(
        find(*network_and_parameters(hidden="identity"), X)
    )


@pytest.mark.parametrize("output", ["identity", "exp"])
def test_a_regression_is_told_of_the_regressor(output):
    model = network_and_parameters(hidden="identity", output=output)
    assert "MLPRegressor(...))" in only(find(*model, scaled(1000)))


def test_numbers_of_float32_samples_do_not_overflow():
    model = network_and_parameters(hidden="identity", dtype="float32")
    said = only(find(*model, scaled(1e25).astype("float32")))
    assert f"a standard deviation of {SAMPLES[2].std() * 1e25:.3g}" in said


@pytest.mark.parametrize("value", [0.0, 1.0, -20.0])
def test_a_constant_feature_of_usual_size_is_harmless(value):
    X = SAMPLES.copy()
    X[0] = value
    assert find(*network_and_parameters(hidden="identity"), X) == []


def test_small_and_rare_features_are_harmless():
    X = scaled(1e-6)
    X[0] = 0
    X[0, 5] = 1  # seen once
    assert find(*network_and_parameters(), X) == []


# Units


@pytest.mark.parametrize("hidden", ["tanh", "sigmoid"])
def test_saturated_units_are_counted_by_layer(hidden):
    model, theta = network_and_parameters((4, 100, 20, 3), hidden)
    theta = with_biases(model, theta, 1, [9, -9] * 46 + [9])
    said = only(find(model, theta))
    assert f"93 of 100 units of hidden layer 1 ({hidden}) are saturated" in said
    assert "learning_rate_init=0.0001 in place of 0.001" in said


@pytest.mark.parametrize(("hidden", "a", "z"), [("tanh", 0.99, 2.6467), ("sigmoid", 0.99, 4.5951)])
def test_saturated_means_within_one_per_cent_of_a_limit(hidden, a, z):
    assert a == pytest.approx(
        math.tanh(z) if hidden == "tanh" else 1 / (1 + math.exp(-z)), abs=1e-4
    )
    model, theta = network_and_parameters(hidden=hidden)
    X = np.zeros((4, 30))
    assert "10 of 10" in only(find(model, with_biases(model, theta, 1, [1.001 * z] * 10), X))
    assert find(model, with_biases(model, theta, 1, [0.999 * z] * 10), X) == []


def test_a_unit_with_a_gradient_for_one_sample_in_twenty_is_not_saturated():
    model, theta = network_and_parameters(hidden="tanh")
    theta[:] = 0
    W = model.views(theta)[0][0]
    W[:, 0] = 9
    X = np.ones((4, 100))
    X[0, :4] = 0
    assert "10 of 10" in only(find(model, theta, X))
    X[0, :6] = 0
    assert find(model, theta, X) == []


def test_dead_units_are_counted_by_layer():
    model, theta = network_and_parameters((4, 20, 100, 3), "relu")
    theta = with_biases(model, theta, 2, [-1e3] * 90)
    said = only(find(model, theta, solver="lbfgs", rate=None))
    number = int(said.split()[0])
    assert 90 <= number < 97  # some are dead by chance
    assert f"{number} of 100 units of hidden layer 2 (relu) are dead" in said
    assert "alpha" in said
    assert "learning_rate" not in said


@pytest.mark.parametrize(("hidden", "z"), [("relu", -99), ("tanh", 99), ("sigmoid", -99)])
def test_a_layer_half_idle_is_normal(hidden, z):
    model, theta = network_and_parameters((4, 100, 3), hidden)
    assert find(model, with_biases(model, theta, 1, [z] * 50)) == []
    assert "95 of 100" in only(find(model, with_biases(model, theta, 1, [z] * 95)))


def test_each_layer_is_judged_by_its_own_activation():
    model, theta = network_and_parameters((4, 10, 10, 10, 3), ("tanh", "relu", "identity"))
    theta = with_biases(model, theta, 1, [99] * 10)
    theta = with_biases(model, theta, 2, [-99] * 10)
    theta = with_biases(model, theta, 3, [-99] * 10)
    saturated, dead = find(model, theta)
    assert "10 of 10 units of hidden layer 1 (tanh) are saturated" in saturated
    assert "10 of 10 units of hidden layer 2 (relu) are dead" in dead


def test_idle_units_of_unscaled_inputs_are_told_to_scale_them():
    unscaled, saturated = find(*network_and_parameters(hidden="tanh"), SAMPLES * 1e4)
    assert "not scaled" in unscaled
    assert "saturated" in saturated
    assert "Standardise the inputs" in saturated


# The rate

TOO_HIGH = {
    "the loss is nan in epoch 3": [1.0, 2.0, math.nan],
    "the loss is inf in epoch 1": [math.inf, math.inf],
    "the loss rose from 1.1 in the first epoch to 22.5 later": [1.1, 0.3, 22.5, 9, 2, 1, 0.5],
    "the loss had come down to 0.04, but ended at 0.3": [*DOWN, *[0.04] * 5, *[0.3] * 5],
    "the loss ended at 3, above the 1.1 of a network that gives all classes the same probability": (
        [6, 5, 3, 3.1, 3, 2.9, 3.1, 2.8]
    ),
    "the loss still jumps, 3 times by more than 40% in the last 10 epochs": [
        1.0,
        *[0.4, 0.6, 0.5] * 10,
    ],
}


@pytest.mark.parametrize("seen", TOO_HIGH)
@pytest.mark.parametrize("solver", ["sgd", "adam", "gd"])
def test_a_rate_too_high_is_seen_in_the_curve_and_a_tenth_suggested(seen, solver):
    said = only(find(*network_and_parameters(), curve=TOO_HIGH[seen], solver=solver, rate=2.0))
    assert f"The learning rate is too high: {seen}." in said
    assert "learning_rate_init=0.2 in place of 2." in said


@pytest.mark.parametrize("seen", TOO_HIGH)
def test_lbfgs_is_not_told_about_rates(seen):
    assert find(*network_and_parameters(), curve=TOO_HIGH[seen], solver="lbfgs") == []
    assert find(*network_and_parameters(), curve=TOO_HIGH[seen], rate=None) == []


@pytest.mark.parametrize(
    "curve",
    [
        [],
        [1.0],
        [1.0, 0.9],
        [0.0] * 20,
        [0.7] * 50,
        [*DOWN[:10], 5.0, *DOWN[10:]],  # one bad epoch
        [*DOWN, *[1e-4] * 5, *[5e-4] * 5],  # from nothing to nearly nothing
        [*DOWN, *[1e-3, 5e-3] * 5],  # jumps of nothing
        (0.5 * (1 + 0.15 * np.random.default_rng(1).normal(size=200))).tolist(),  # noise
        np.linspace(90, 40, 50).tolist(),  # a large penalty, coming down
    ],
)
def test_healthy_curves_are_not_blamed_on_the_rate(curve):
    assert find(*network_and_parameters(), curve=curve, rate=0.1) == []


def test_a_loss_above_that_of_a_coin_is_too_high_for_each_label():
    model = network_and_parameters((4, 10, 2), output="sigmoid")
    assert find(*model, curve=[2.5, 2.0, 2.0, 2.1, 2.0, 2.1]) == []
    assert "ended at 2.2, above the 1.39" in only(
        find(*model, curve=[2.5, 2.2, 2.1, 2.2, 2.1, 2.2])
    )


# The target

LINE = np.linspace(-1, 1, 200)
FEATURES = np.stack([LINE, RNG.normal(size=200)])
NOISE = RNG.normal(size=200)
Y = 2 * LINE + 0.3 * NOISE
Y = (Y - Y.mean()) / Y.std()


def of_target(y, predicted, weights=None, X=FEATURES):
    """The messages for a target and predictions, (m,) or (m, n_outputs)."""
    targets, given = (np.asarray(values, float).reshape(200, -1) for values in (y, predicted))
    return [in_python(finding) for finding in unscaled_targets(X, targets, given, weights)]


@pytest.mark.parametrize(
    ("mean", "spread"), [(180_000, 80_000), (0, 500), (2010, 5), (5, 0.2), (0, 1e-6), (0, 1e200)]
)
def test_a_target_that_is_not_scaled_and_predicted_badly_is_named_with_the_remedy(mean, spread):
    y = mean + spread * Y
    said = only(of_target(y, mean + spread * 5 * np.sin(9 * Y)))
    assert f"y has a mean of {mean:.3g} and a standard deviation of {spread:.3g}" in said
    assert "TransformedTargetRegressor(regressor=MLPRegressor(...), transformer=Stand" in said
    assert of_target(y, mean + spread * (Y + 0.3 * NOISE)) == []


def test_a_target_that_is_as_badly_predicted_as_by_the_mean_is_told_of_a_straight_line():
    said = only(of_target(1000 * Y, np.zeros(200)))
    assert "R^2 of the predictions for training rows is 0, where a straight line has 0.9" in said


def test_of_several_outputs_the_worst_is_named():
    y = np.stack([Y, 1e5 * Y, Y], axis=1)
    said = only(of_target(y, np.stack([Y, np.zeros(200), Y], axis=1)))
    assert "column 1 of y has a mean" in said
    said = only(of_target(y, np.stack([Y, 1e5 * Y, 20 * NOISE], axis=1)))
    assert "column 2 of y has a mean" in said
    assert "beside one of 1e+05 (column 1)" in said


@pytest.mark.parametrize(
    ("y", "predicted"),
    [
        (Y, 9 * NOISE),  # scaled
        (3 + 5 * Y, np.zeros(200)),  # nearly
        (np.full(200, 0.1), NOISE),  # constant
        (1000 * NOISE, np.zeros(200)),  # there is nothing to find
        (np.full(200, 1e300) * Y, np.full(200, 1e300) * Y),
    ],
)
def test_targets_that_are_scaled_or_well_predicted_or_noise_are_not_blamed(y, predicted):
    assert of_target(y, predicted) == []


def test_rows_without_weight_do_not_count_for_the_target():
    y, weights = Y.copy(), np.ones(200)
    y[::10], weights[::10] = 1e6, 0
    assert of_target(y, 1e7 * NOISE, weights) == []
    assert of_target(y, 1e7 * NOISE) != []


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
def test_predictions_that_are_not_finite_are_bad_ones(value):
    assert "The target is not scaled" in only(of_target(1e6 * Y, np.full(200, value)))


# Rare classes

RARE = np.arange(400) % 20 == 0  # 20 of 400 rows


def of_classes(found, ranked, rare=RARE, telling=True):
    """The messages for a class of which a share is found, and whose rows are ranked so."""
    X = RNG.normal(size=(2, 400)) + (3 * rare if telling else 0)

    def predict(numbers):
        probabilities = np.stack([1 - ranked, ranked], axis=1)[numbers]
        predicted = np.stack([~found, found], axis=1)[numbers]
        return X[:, numbers], probabilities, predicted

    classes = rare_classes(rare.astype(int)[:, None], np.array(["fine", "fraud"]))
    return [in_python(finding) for finding in hardly_ever_predicted(classes, 400, predict, "class")]


NEVER = np.zeros(400, bool)
HIGHER = np.where(RARE, 0.4, 0.1) + RNG.random(400) / 10


def test_a_class_that_is_told_apart_but_never_predicted_is_named_with_its_share_and_recall():
    said = only(of_classes(NEVER, HIGHER))
    assert "hardly ever predicts class 'fraud', 5% of the training rows" in said
    assert "it finds 0 of 20 of them (recall 0%)" in said
    assert 'class_weight="balanced"' in said


@pytest.mark.parametrize(
    ("found", "ranked", "rare", "telling"),
    [
        (RARE & (np.arange(400) < 100), HIGHER, RARE, True),  # a quarter is found
        (NEVER, RNG.random(400), RARE, True),  # not learnt
        (NEVER, HIGHER, RARE, False),  # learnt by heart: there is nothing to find
        (NEVER, HIGHER, RARE & (np.arange(400) > 0), True),  # 19 rows
        (NEVER, HIGHER, np.arange(400) % 2 == 0, True),  # half of the rows
    ],
)
def test_classes_that_are_found_or_cannot_be_or_are_few_or_many_are_not_named(
    found, ranked, rare, telling
):
    assert of_classes(found, ranked, rare, telling) == []


def test_inputs_out_of_range_say_nothing_about_classes():
    for size in (1e200, math.nan):
        assert np.isfinite(scores_by_other_rows(np.full((2, 400), size) * HIGHER, RARE)).all()


def test_rows_without_weight_do_not_count_for_a_class():
    codes, classes = np.repeat([0, 1], [400, 40]), np.arange(2)
    weights = np.ones(440)
    weights[410:] = 0
    assert len(rare_classes(codes, classes)) == 1
    assert rare_classes(codes, classes, weights) == []
    weights[410:425] = 1
    (judged,) = rare_classes(codes, classes, weights)
    np.testing.assert_array_equal(judged.rows, np.arange(400, 425))


def test_the_rarest_of_many_classes_are_judged():
    codes = np.repeat(np.arange(9), [900, 25, 24, 23, 22, 21, 20, 19, 30])
    judged = rare_classes(codes, np.arange(9))
    assert [one.label for one in judged] == [6, 5, 4, 3, 2]
    assert [len(one.rows) for one in judged] == [20, 21, 22, 23, 24]
    columns = np.stack([codes == 0, codes == 6], axis=1)
    assert [one.label for one in rare_classes(columns, np.arange(2))] == [1]


# Remedies

TRAIN: Any = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
PYTHON_WORDS = re.compile(r"[A-Z][a-z]+[A-Z]|_|\(\.\.\.\)|early_|[a-z]=[^o]")


@pytest.mark.parametrize("name", REMEDIES)
def test_the_command_line_is_told_of_its_own_options_alone(name):
    values = {"rate": 1.0, "lower": 0.1, "estimator": "MLPClassifier", "fraction": 0.2,
              "and_target": "", "scaler": "StandardScaler", "label": 1}  # fmt: skip
    finding = Finding("Of {label}.", name, values)
    said = at_command_line(finding, classes=["a", "b"])
    assert said.startswith("Of 'b'. ")
    assert not PYTHON_WORDS.search(said), said
    options = set(re.findall(r"--[a-z-]+", said))
    known = {option for one in TRAIN.params
             for option in one.opts}  # fmt: skip
    assert options <= known
    assert in_python(finding).startswith("Of 1.")
    assert "--" not in in_python(finding)


# What must not make it stumble


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
@pytest.mark.parametrize("hidden", ["tanh", "sigmoid", "relu", "identity"])
def test_parameters_that_are_not_finite_raise_nothing(value, hidden):
    model, theta = network_and_parameters((4, 10, 10, 3), hidden)
    find(model, np.full_like(theta, value))
    find(model, np.where(np.arange(len(theta)) == 3, value, theta))


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
def test_samples_out_of_range_raise_nothing(value):
    said = find(*network_and_parameters(), np.full((4, 3), value))
    assert len(said) == (not math.isnan(value))  # of NaN there is nothing to say


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(4, 3), (4, 1), (4, 1, 1), (4, 5000, 3), (4, 5, 5, 5, 3)])
@pytest.mark.parametrize("m", [1, 200])
def test_healthy_networks_of_any_shape_pass(sizes, m, dtype):
    for hidden in ("tanh", "sigmoid", "identity"):
        model, theta = network_and_parameters(sizes, hidden, dtype=dtype)
        assert find(model, theta, SAMPLES[:, :m].astype(dtype)) == []


def test_a_few_samples_say_nothing_about_units():
    model, theta = network_and_parameters((4, 10, 3), "relu")
    theta = with_biases(model, theta, 1, [-99] * 10)
    assert find(model, theta, SAMPLES[:, :19]) == []
    assert "10 of 10" in only(find(model, theta, SAMPLES[:, :20]))


def test_neither_samples_nor_parameters_are_changed():
    model, theta = network_and_parameters((4, 10, 10, 3), ("identity", "tanh"))
    X, before = SAMPLES.copy(), theta.copy()
    find(model, theta, X)
    np.testing.assert_array_equal(X, SAMPLES)
    np.testing.assert_array_equal(theta, before)


def test_one_unit_is_spoken_of_in_the_singular():
    model, theta = network_and_parameters((4, 1, 3), "relu")
    said = only(find(model, with_biases(model, theta, 1, [-99])))
    assert said.startswith("1 of 1 unit of hidden layer 1 (relu) is dead")


# Fits

RAW = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
    "diabetes": datasets.load_diabetes,
}
ACTIVATIONS = {"relu": "relu", "tanh": "tanh", "logistic": "sigmoid"}


def rows_and_targets(name, standardised=True):
    rows, targets = RAW[name](return_X_y=True)
    return StandardScaler().fit_transform(rows) if standardised else rows, targets


def of_fit(rows, targets, **parameters):
    """The findings of a fit with the defaults but for the parameters."""
    kind = MLPRegressor if len(np.unique(targets)) > 10 else MLPClassifier
    estimator = kind(random_state=0, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", TrainingWarning)
        estimator.fit(rows, targets)
    sizes = [rows.shape[1], *(len(b) for b in estimator.intercepts_)]
    output = {"logistic": "sigmoid"}.get(estimator.out_activation_, estimator.out_activation_)
    network = Network(sizes, hidden=ACTIVATIONS[estimator.activation], output=output)
    layers = zip(estimator.coefs_, estimator.intercepts_)
    theta = np.concatenate([np.ravel(part) for W, b in layers for part in (W.T, b)])
    found = findings(
        network,
        theta,
        rows.T,
        loss_curve=getattr(estimator, "loss_curve_", []),
        solver=estimator.solver,
        learning_rate=estimator.learning_rate_init,
    )
    return [in_python(finding) for finding in found]


@pytest.mark.compiled
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", ["iris", "wine"])
def test_standardised_data_and_usual_rates_have_no_findings(name, activation):
    for rate in (0.001, 0.01):
        for solver in ("adam", "sgd"):
            parameters = {"learning_rate_init": rate, "solver": solver, "max_iter": 50}
            assert of_fit(*rows_and_targets(name), activation=activation, **parameters) == []


@pytest.mark.compiled
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", ["wine", "cancer"])
def test_raw_data_of_wine_and_breast_cancer_are_found_unscaled(name, activation):
    said = of_fit(*rows_and_targets(name, standardised=False), activation=activation, max_iter=20)
    assert said[0].startswith("The inputs are not scaled")


@pytest.mark.compiled
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_raw_iris_has_no_findings(activation):
    assert of_fit(*rows_and_targets("iris", standardised=False), activation=activation) == []


@pytest.mark.compiled
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_rate_of_10_is_found_too_high(solver):
    rows, targets = rows_and_targets("wine")
    with np.errstate(all="ignore"):
        said = of_fit(rows, targets, solver=solver, learning_rate_init=10.0, activation="tanh")
    assert any("The learning rate is too high" in finding for finding in said)


@pytest.mark.compiled
def test_tanh_units_at_inputs_of_1000_are_found_saturated():
    rows, targets = rows_and_targets("iris")
    unscaled, saturated = of_fit(rows * 1000, targets, activation="tanh")
    assert unscaled.startswith("The inputs are not scaled: 4 of 4 features")
    assert "of 100 units of hidden layer 1 (tanh) are saturated" in saturated


def warned(model, *rows):
    """What a fit warns of in plain words."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(*rows)
    return [str(one.message) for one in caught if one.category is TrainingWarning]


@pytest.mark.sample(1)
@pytest.mark.compiled
@pytest.mark.parametrize("seed", [0, 1])
def test_the_raw_target_of_diabetes_is_found_and_a_standardised_one_is_healthy(seed):
    rows, y = rows_and_targets("diabetes")
    model = MLPRegressor(random_state=seed)
    assert "y has a mean of 152 and a standard deviation of 77" in only(warned(model, rows, y))
    assert warned(model, rows, (y - y.mean()) / y.std()) == []
    poor = {"learning_rate_init": 1e-6, "max_iter": 10, "random_state": seed}
    assert "The target is not scaled" in only(warned(MLPRegressor(**poor), rows, y))
    assert "worse than the mean of y, 152" in only(warned(MLPRegressor("poisson", **poor), rows, y))
    assert warned(model.set_params(solver="lbfgs", max_iter=1000), rows, y) == []
    assert "deviation of 7.7e-05" in only(warned(model, rows, y * 1e-6))


@pytest.mark.compiled
def test_neither_a_fit_of_few_epochs_nor_partial_fit_is_told_of_its_target():
    rows, y = rows_and_targets("diabetes")
    assert warned(MLPRegressor(max_iter=9, random_state=0), rows, y) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MLPRegressor(random_state=0).partial_fit(rows, y).partial_fit(rows, y)


@pytest.mark.compiled
def test_a_rare_class_is_named_unless_it_is_weighed_or_noise():
    draw = np.random.default_rng(0)
    X = draw.normal(size=(1500, 3))
    y = X[:, 0] + X[:, 1] + 1.6 * draw.normal(size=1500) > 4.4
    model = MLPClassifier(max_iter=40, random_state=0)
    assert "hardly ever predicts class True" in only(warned(model, X, y))
    assert warned(MLPClassifier(max_iter=40, class_weight="balanced", random_state=0), X, y) == []
    noise, random = draw.normal(size=(600, 10)), np.arange(600) % 20 == 0
    learnt = MLPClassifier(max_iter=100, random_state=0)
    assert warned(learnt, noise, random) == []
    assert roc_auc_score(random, learnt.predict_proba(noise)[:, 1]) > 0.7
    assert recall_score(random, learnt.predict(noise)) < 0.1
    labels = np.stack([y, X[:, 0] > 0, X[:, 1] > 0], axis=1)
    assert "hardly ever predicts label 0" in only(warned(model.set_params(max_iter=80), X, labels))


@pytest.mark.compiled
@pytest.mark.proof
@pytest.mark.parametrize("hidden", [(100,), (30, 20)], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", RAW)
def test_standardised_data_and_defaults_never_have_findings(name, activation, hidden):
    fit = {"activation": activation, "hidden_layer_sizes": hidden}
    rows, targets = rows_and_targets(name)
    if name == "diabetes" and activation == "tanh":
        # Raw, of mean 152, it saturates units indeed on some machines.
        targets = (targets - targets.mean()) / targets.std()
    assert of_fit(rows, targets, **fit) == []
    if name in ("iris", "digits"):
        assert of_fit(*rows_and_targets(name, standardised=False), **fit) == []


# Other losses.

ROWS = np.random.default_rng(0).standard_normal((1, 400))
OFF = np.random.default_rng(1).standard_normal(400)
SKEWED = 1000 + 100 * ROWS[0] + 200 * np.exp(0.5 * OFF)  # its mean is far above its median
CENTRE = 1000 + 100 * ROWS[0]
AT = {
    "absolute_error": CENTRE + 200,
    losses.Huber(0.5): CENTRE + 200,
    losses.Quantile(0.1): CENTRE + 200 * np.exp(-0.5 * 1.2816),
    losses.Quantile([0.1, 0.5]): [CENTRE + 200 * np.exp(-0.5 * 1.2816), CENTRE + 200],
}


@pytest.mark.parametrize("loss", AT, ids=str)
def test_a_target_that_is_predicted_as_the_loss_asks_is_no_finding(loss):
    of_loss = losses.Loss(loss) if isinstance(loss, str) else loss
    predicted = np.atleast_2d(AT[loss]).T
    y = SKEWED[:, None]
    assert unscaled_targets(ROWS, y, predicted, None, of_loss) == []
    far_off = predicted * 0
    (found,) = unscaled_targets(ROWS, y, far_off, None, of_loss)
    assert found.fact.startswith("The target is not scaled: y has a mean of 1.")
    assert "and D^2 of the predictions for training rows is -" in found.fact


def test_the_median_of_a_skewed_target_would_be_one_by_r2():
    predicted = AT[losses.Quantile(0.1)][:, None]
    assert unscaled_targets(ROWS, SKEWED[:, None], predicted)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("loss", ["absolute_error", losses.Quantile([0.1, 0.9]), "huber"], ids=str)
def test_a_fit_on_a_target_that_is_not_scaled_warns(loss):
    X = ROWS.T
    with pytest.warns(TrainingWarning, match="The target is not scaled: y has a mean of"):
        MLPRegressor(loss, 5, max_iter=20, random_state=0).fit(X, 1e5 + 2e4 * X[:, 0])


PRICES = np.exp(6 + 0.5 * ROWS[0])[:, None]
OF_EXP = [losses.Loss("poisson"), losses.Loss("gamma"), losses.Tweedie(1.5)]


@pytest.mark.parametrize("predicted", [0.1 * PRICES, np.ones_like(PRICES), np.inf * PRICES])
@pytest.mark.parametrize("loss", OF_EXP, ids=str)
def test_positive_predictions_that_are_worse_than_the_mean_are_found(loss, predicted):
    mean = f"worse than the mean of y, {PRICES.mean():.3g}: D^2 is "
    for solver in ("adam", "lbfgs"):
        (found,) = worse_than_the_mean(PRICES, predicted, None, loss, solver)
        said = in_python(found)
        assert mean in said
        assert ("solver='lbfgs'" in said) == (solver == "adam")
        assert ("Divide y by its mean" in said) == (loss.name == "poisson")
    if np.isfinite(predicted).all():
        power = {"poisson": 1, "gamma": 2}.get(loss.name, 1.5)
        d2 = d2_tweedie_score(PRICES[:, 0], predicted[:, 0], power=power)
        assert f"D^2 is {d2:.3g}." in said
    both, other = np.hstack([PRICES, PRICES]), np.hstack([PRICES, predicted])
    (found,) = worse_than_the_mean(both, other, None, loss, "adam")
    assert "the mean of column 1 of y" in found.fact


@pytest.mark.parametrize("loss", OF_EXP, ids=str)
def test_positive_predictions_that_are_as_good_as_the_mean_are_no_finding(loss):
    mean = np.full_like(PRICES, PRICES.mean())
    for predicted in (PRICES, mean, 1.05 * mean):
        assert worse_than_the_mean(PRICES, predicted, None, loss, "adam") == []
    constant = np.ones((9, 1))
    assert worse_than_the_mean(constant, 3 * constant, None, loss, "adam") == []
    weights = np.where(np.arange(400) % 2, 0.0, 1.0)
    far_off = np.where(weights > 0, PRICES[:, 0], 1e9)[:, None]
    assert worse_than_the_mean(PRICES, far_off, weights, loss, "adam") == []
    assert worse_than_the_mean(PRICES, far_off, 0 * weights, loss, "adam") == []
    assert worse_than_the_mean(PRICES, far_off, None, loss, "adam")


def log_likelihood(z, y):
    """Of a normal distribution of deviance 0.01: far below 0 where it is good."""
    return 5000 * (z - y) ** 2 - 3.7, 10000 * (z - y)


def test_a_loss_of_your_own_may_be_below_0():
    own = losses.Compiled(log_likelihood)
    network = Network((1, 1), output="identity", loss=own)
    falling = [-0.1, -1.0, -2.0, -3.0, -3.5, -3.6, -3.6, -3.6, -3.6, -3.6, -3.6, -3.6]
    assert too_high(network, falling, 0.01) == []
    assert too_high(network, [*falling, math.nan], 0.01)
    sigmoid = Network((1, 1), output="sigmoid", loss=losses.Compiled(log_likelihood, "sigmoid"))
    unscaled = 1000 * np.ones((1, 30))
    said = {"loss_curve": [9.0] * 12, "solver": "adam", "learning_rate": 0.01}
    (found,) = findings(sigmoid, sigmoid.initial_parameters(), unscaled, **said)
    assert found.values["estimator"] == "MLPRegressor"
