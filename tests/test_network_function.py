"""engine/network_function.py: of which models `compiled_forward` makes a function."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPRegressor as SklearnRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from engine import MLPClassifier, MLPRegressor, Network, compiled_forward, load, save, train
from engine.sums.forward_function import STACK_BYTES

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::engine.TrainingWarning"
)

ROWS = np.random.default_rng(0).normal(size=(30, 3))
SETTINGS = {"hidden_layer_sizes": (4,), "solver": "lbfgs", "random_state": 0, "max_iter": 20}


def outputs(model, n_out, dtype="float64", theta=None):
    """What the function of a model gives for the first of ROWS."""
    out = np.empty(n_out, dtype)
    compiled_forward(model, theta)(ROWS[0].astype(dtype), out)
    return out


@pytest.fixture(scope="module")
def regressor():
    return MLPRegressor(**SETTINGS).fit(ROWS, ROWS[:, :2])


def test_of_a_regressor_it_gives_the_outputs(regressor):
    np.testing.assert_allclose(outputs(regressor, 2), regressor.predict(ROWS[:1])[0], rtol=1e-13)


def test_of_a_poisson_regressor_it_gives_the_mean():
    model = MLPRegressor(loss="poisson", **SETTINGS).fit(ROWS, np.arange(30.0))
    np.testing.assert_allclose(outputs(model, 1), model.predict(ROWS[:1]), rtol=1e-13)


def test_of_two_classes_it_gives_the_probability_of_the_second():
    model = MLPClassifier(**SETTINGS).fit(ROWS, ROWS[:, 0] > 0)
    np.testing.assert_allclose(outputs(model, 1), model.predict_proba(ROWS[:1])[0, 1:], rtol=1e-13)


def test_of_several_classes_it_gives_the_probability_of_each():
    model = MLPClassifier(**SETTINGS).fit(ROWS, ROWS.argmax(axis=1))
    np.testing.assert_allclose(outputs(model, 3), model.predict_proba(ROWS[:1])[0], rtol=1e-13)


def test_of_a_model_trained_in_float32_it_takes_float32():
    model = MLPRegressor(**SETTINGS).fit(ROWS.astype("float32"), ROWS[:, 0].astype("float32"))
    expected = model.predict(ROWS[:1].astype("float32"))
    np.testing.assert_allclose(outputs(model, 1, "float32"), expected, rtol=1e-5)


@pytest.mark.parametrize("ending", ["safetensors", "skops"])
def test_of_a_loaded_model_it_is_that_of_the_one_that_was_saved(regressor, ending, tmp_path):
    save(tmp_path / f"model.{ending}", regressor)
    loaded = load(tmp_path / f"model.{ending}")
    assert outputs(loaded, 2).tolist() == outputs(regressor, 2).tolist()


def test_later_training_does_not_change_it():
    model = MLPRegressor(**{**SETTINGS, "solver": "adam", "max_iter": 1})
    model = model.partial_fit(ROWS, ROWS[:, 0])
    forward, out = compiled_forward(model), np.empty(1)
    forward(ROWS[0], out)
    before = out.tolist()
    model.partial_fit(ROWS, ROWS[:, 0])
    forward(ROWS[0], out)
    assert out.tolist() == before


def test_of_a_network_it_takes_what_train_returned():
    network = Network((3, 4, 1), output="identity")
    result = train(network, ROWS.T, ROWS[:, 0], max_iter=1)
    expected = network.forward(result.theta, ROWS[:1].T)[0]
    np.testing.assert_allclose(outputs(network, 1, theta=result), expected, rtol=1e-13)


def test_parameters_that_are_no_floats_are_computed_in_float64():
    network = Network((3, 1), output="identity")
    assert outputs(network, 1, theta=[1, 2, 3, 4]) == pytest.approx([ROWS[0] @ [1, 2, 3] + 4])


# What is refused.


def test_a_model_that_is_not_fitted_is_refused():
    with pytest.raises(NotFittedError, match="not fitted yet"):
        compiled_forward(MLPRegressor())


def test_a_network_without_parameters_is_refused():
    with pytest.raises(TypeError, match=r"has no parameters of its own.*\(network, theta\)"):
        compiled_forward(Network((2, 1)))


def test_another_number_of_parameters_is_refused():
    with pytest.raises(ValueError, match=r"theta must have shape \(3,\).*got shape \(4,\)"):
        compiled_forward(Network((2, 1)), np.zeros(4))


def test_parameters_beside_an_estimator_are_refused(regressor):
    with pytest.raises(TypeError, match="a MLPRegressor has parameters of its own"):
        compiled_forward(regressor, np.zeros(3))


@pytest.mark.parametrize("model", [SklearnRegressor(), "model.safetensors", None], ids=repr)
def test_what_is_no_model_of_ours_is_refused(model):
    with pytest.raises(TypeError, match=f"takes engine's .* got a {type(model).__name__}"):
        compiled_forward(model)


def test_of_a_pipeline_the_last_step_is_asked_for():
    pipeline = make_pipeline(StandardScaler(), MLPRegressor(**SETTINGS)).fit(ROWS, ROWS[:, 0])
    with pytest.raises(TypeError, match=r"pass the last step, model\[-1\]"):
        compiled_forward(pipeline)
    assert np.isfinite(outputs(pipeline[-1], 1)).all()


@pytest.mark.parametrize(("dtype", "fits"), [("float64", False), ("float32", True)])
def test_units_that_do_not_fit_on_the_stack_are_refused(dtype, fits):
    network = Network((1, STACK_BYTES // 8, 1), output="identity")
    theta = np.full(network.n_parameters, 1e-3, dtype)
    if fits:
        assert np.isfinite(outputs_of_one(network, theta)).all()
    else:
        with pytest.raises(ValueError, match=r"in at most 131072 bytes; .* its forward, many"):
            compiled_forward(network, theta)


def outputs_of_one(network, theta):
    out = np.empty(1, theta.dtype)
    compiled_forward(network, theta)(np.ones(1, theta.dtype), out)
    return out
