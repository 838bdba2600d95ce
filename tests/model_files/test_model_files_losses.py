"""Losses in model files: each comes back with its numbers, and a forged one is refused."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from engine import MLPRegressor, ModelFileError, Network, load, losses, save
from engine.equations.losses import LOSSES
from engine.model_files import safetensors_file, skops_archive, stored_loss
from engine.model_files.check_model import check_file

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::engine.TrainingWarning"),
]
X = np.random.default_rng(0).standard_normal((60, 3))
Y = np.exp(X[:, 0])
LEVELS = losses.Quantile([0.1, 0.5, 0.9])


def half_square(z, y):
    return (z - y) ** 2 / 2, z - y


OWN = losses.Compiled(half_square, "exp")
KEPT: list[Any] = [
    "absolute_error",
    "huber",
    "quantile",
    "gamma",
    losses.Huber(1 / 3),
    losses.Quantile(0.8),
    LEVELS,
    losses.Tweedie(1.4),
]


def fitted(loss):
    return MLPRegressor(loss, 4, max_iter=2, random_state=0).fit(X, Y)


def estimator_in(path):
    found = load(path)
    return found.estimator() if path.suffix == ".safetensors" else found


@pytest.fixture(params=[".safetensors", ".skops"])
def path(tmp_path, request):
    return tmp_path / f"model{request.param}"


@pytest.mark.parametrize("loss", KEPT, ids=repr)
def test_a_loss_comes_back_with_its_numbers(path, loss):
    model = fitted(loss)
    save(path, model, X=X)
    again = estimator_in(path)
    assert again.get_params()["loss"] == loss
    assert again._network == model._network
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.score(X, Y) == model.score(X, Y)
    assert check_file(path).ok
    more = [one.set_params(warm_start=True, solver="lbfgs").fit(X, Y) for one in (again, model)]
    np.testing.assert_array_equal(more[0].coefs_[0], more[1].coefs_[0])


def test_quantiles_are_in_order_without_numba_and_in_other_programs(tmp_path):
    model = fitted(LEVELS)
    assert (np.diff(model._activations(X), axis=1) < 0).any(), "no row to be put in order"
    save(tmp_path / "m.safetensors", model, X=X)
    light = load(tmp_path / "m.safetensors")
    np.testing.assert_allclose(light.predict(X), model.predict(X), rtol=1e-12)
    np.testing.assert_array_equal(light.predictor().predict(X[3]), model.predict(X[3:4])[0])
    save(tmp_path / "m.onnx", model, X=X)
    assert check_file(tmp_path / "m.onnx").ok
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    found = session.run(["variable"], {"X": X})[0]
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-12)


def test_a_network_has_its_loss_and_its_outputs_are_as_they_are(tmp_path):
    network = Network((3, 3), output="identity", loss=LEVELS)
    theta = network.initial_parameters()
    for name in ("m.safetensors", "m.onnx"):
        save(tmp_path / name, network, theta)
        assert check_file(tmp_path / name).ok
    light = load(tmp_path / "m.safetensors")
    assert light.network == network
    np.testing.assert_allclose(light.predict(X), network.forward(theta, X.T).T, rtol=1e-12)


def test_a_file_keeps_the_name_of_a_function_and_asks_for_the_function(path):
    model = fitted(OWN)
    save(path, model, X=X)
    assert check_file(path).ok
    again = estimator_in(path)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    asked = r"set_params\(loss=losses.Compiled\(half_square, output='exp'\)\)"
    for method in ("fit", "partial_fit", "score"):
        with pytest.raises(ValueError, match=asked):
            getattr(again, method)(X, Y)
    other = losses.Compiled(half_square)
    with pytest.raises(ValueError, match="leave loss, hidden"):
        again.set_params(loss=other).partial_fit(X, Y)
    again.set_params(loss=OWN)
    assert again.score(X, Y) == model.score(X, Y)
    save(path, again, X=X)
    for one in (again, model):
        one.set_params(warm_start=True, solver="lbfgs").fit(X, Y)
    np.testing.assert_array_equal(again.coefs_[0], model.coefs_[0])


def test_a_function_that_can_be_pickled_comes_back_in_a_pickle():
    again = pickle.loads(pickle.dumps(fitted(OWN)))
    assert again.partial_fit(X, Y).get_params()["loss"] == OWN


def test_a_network_without_its_function_predicts_and_no_kernel_runs_it(tmp_path):
    network = Network((3, 1), output="exp", loss=OWN)
    save(tmp_path / "m.safetensors", network, network.initial_parameters())
    light = load(tmp_path / "m.safetensors")
    assert light.predict(X).shape == (60,)
    with pytest.raises(ValueError, match="keeps the name of a loss of your own"):
        light.network.cost_and_gradient(light.theta, X.T, Y)
    samples = network.samples(X.T, Y, None)
    from engine.equations.backends import BACKENDS
    from engine.sums.objective import Objective

    def run(backend):
        return Objective(backend, light.network.layers, samples).cost_and_gradient(light.theta)

    # On a thread of its own: a kernel that ends by an error leaves its thread flushing subnormals.
    with ThreadPoolExecutor(1) as thread:
        for backend in BACKENDS.values():
            with pytest.raises(ValueError, match="no loss of these output units"):
                thread.submit(run, backend).result()


def test_losses_that_files_know_are_those_of_the_equations():
    assert {loss.name: loss.units for loss in LOSSES.values()} == stored_loss.OUTPUTS
    assert stored_loss.LONGEST_NAME == losses.LONGEST_NAME


# Files that someone forged.

FORGED: list[Any] = [
    3,
    {},
    {"name": "quantile"},
    {"name": "gamma", "numbers": []},
    {"name": "squared", "numbers": []},
    {"name": ["quantile"], "numbers": [0.5]},
    {"name": "quantile", "numbers": []},
    {"name": "quantile", "numbers": [0.1, 0.9]},
    {"name": "quantile", "numbers": [0.1, 0.9, 0.5]},
    {"name": "quantile", "numbers": [0.1, 0.5, 1.0]},
    {"name": "quantile", "numbers": ["0.1", 0.5, 0.9]},
    {"name": "quantile", "numbers": [0.1, 0.5, 0.9], "more": 1},
    {"name": "huber", "numbers": [0.0]},
    {"name": "huber", "numbers": [True]},
    {"name": "huber", "numbers": [1.0, 1.0, 1.0]},
    {"name": "absolute_error", "numbers": [1.0]},
    {"name": "compiled", "function": "f\n", "output": "identity"},
    {"name": "compiled", "function": "f", "output": "exp"},
    {"name": "compiled", "function": "f" * 201, "output": "identity"},
]


@pytest.mark.parametrize("loss", FORGED, ids=str)
def test_a_loss_that_makes_no_sense_is_refused(tmp_path, loss):
    path = tmp_path / "m.safetensors"
    save(path, fitted(LEVELS))
    resealed(path, loss=json.dumps(loss))
    with pytest.raises(ModelFileError, match=r"loss .* make no sense"):
        load(path)


@pytest.mark.parametrize("number", ["1.0", "2.0", "1e999", "NaN"])
def test_a_power_that_makes_no_sense_is_refused(tmp_path, number):
    path = tmp_path / "m.safetensors"
    save(path, fitted(losses.Tweedie(1.5)))
    resealed(path, loss=f'{{"name": "tweedie", "numbers": [{number}]}}')
    with pytest.raises(ModelFileError, match="damaged"):
        load(path)


def test_a_loss_of_the_estimator_must_be_that_of_the_network(tmp_path):
    path = tmp_path / "m.safetensors"
    save(path, fitted(losses.Huber(0.5)))
    for forged in ('{"loss": {"name": "huber", "numbers": [0.25]}}', '"absolute_error"'):
        estimator = json.loads(load(path).header["estimator"])
        estimator["parameters"]["loss"] = json.loads(forged)
        resealed(path, estimator=json.dumps(estimator))
        with pytest.raises(ModelFileError, match="is not the estimator of a network"):
            load(path).estimator()


def resealed(path, **texts):
    """The file with other texts, and a checksum that is right."""
    metadata, tensors = safetensors_file.read_tensors(path, path.read_bytes())
    path.write_bytes(safetensors_file.tensor_bytes({**metadata, **texts}, dict(tensors)))


@pytest.mark.parametrize(
    ("loss", "old", "new"),
    [
        (losses.Huber(0.5), "0.5", "-0.5"),
        (losses.Huber(0.5), "0.5", '"0.5"'),
        (losses.Tweedie(1.25), "1.25", "2.25"),
        (LEVELS, "0.9", "0.2"),
        (OWN, '"half_square"', '"\\n"'),
        (OWN, '"exp"', '"softmax"'),
        (OWN, '"exp"', '"identity"'),
    ],
    ids=repr,
)
def test_a_forged_loss_in_a_skops_file_is_refused(tmp_path, loss, old, new):
    path = tmp_path / "m.skops"
    save(path, fitted(loss))
    parts = skops_archive.parts_of(path, path.read_bytes())
    schema = json.loads(parts[skops_archive.SCHEMA])
    found = [
        node
        for node in skops_archive.nodes_of(schema)
        if node["__loader__"] == "ConstructorFromReduceNode"
    ]
    assert found
    for maker in found:
        for node in skops_archive.nodes_of(maker):
            if node.get("content") == old:
                node["content"] = new
    parts[skops_archive.SCHEMA] = json.dumps(schema).encode()
    path.write_bytes(skops_archive.archive_of(parts))
    with pytest.raises(ModelFileError, match="damaged"):
        load(path)


def test_a_file_cannot_have_a_loss_made_of_any_function(tmp_path):
    path = tmp_path / "m.skops"
    save(path, fitted(OWN))
    parts = skops_archive.parts_of(path, path.read_bytes())
    text = parts[skops_archive.SCHEMA].decode().replace("WithoutFunction", "Compiled")
    parts[skops_archive.SCHEMA] = text.encode()
    path.write_bytes(skops_archive.archive_of(parts))
    with pytest.raises(ModelFileError, match=r"asks for engine\.losses\.Compiled"):
        load(path)
