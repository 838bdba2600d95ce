"""Embeddings in model files: each comes back as it was, and forged ones are refused."""

import json

import numpy as np
import pytest

from engine import (
    MLPClassifier,
    MLPEnsembleRegressor,
    MLPRegressor,
    ModelFileError,
    Network,
    load,
    save,
)
from engine.embeddings import Levels, Pieces
from engine.equations.embeddings import embed_numpy
from engine.model_files import onnx_file, safetensors_file, skops_archive, stored_embeddings
from engine.model_files.check_model import check_file
from tests import embedding_cases as cases
from tests.embedding_cases import INPUTS, EmbeddedCase

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::engine.TrainingWarning"),
]

EMBEDDINGS = [Pieces([-1, 0, 0.1, 1], 3, missing=True), Levels(4, 2), None, Pieces([-2, 2], 1)]
random = np.random.default_rng(0)
X = random.normal(size=(60, 4))
X[:, 1] = random.integers(0, 4, 60)
X[::7, 0] = np.nan
Y = np.nan_to_num(X[:, 0]) + (X[:, 1] == 2)
LABELS = np.where(Y > 0, "yes", "no")


def fitted(kind, dtype="float64", **settings):
    usual = {"hidden_layer_sizes": 4, "max_iter": 3, "random_state": 0, "embeddings": EMBEDDINGS}
    y = Y if kind is MLPRegressor else LABELS
    return kind(**{**usual, **settings}).fit(X.astype(dtype), y)


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_numpy_alone_makes_the_same_numbers(inputs, dtype):
    """E itself, with the bits of the package's NumPy form."""
    case = EmbeddedCase(inputs, 3, 1, n_samples=30)
    data, network = cases.data_of(case), case.network
    entries = stored_embeddings.as_json(network.embeddings)
    assert stored_embeddings.are_embeddings(entries, len(INPUTS[inputs]))
    theta, X = data.theta.astype(dtype), data.X.astype(dtype)
    E = np.empty((network.dense_sizes[0], 30), dtype)
    embed_numpy(theta, network.layers.embeddings, X, E)
    n_dense = sum(n * (below + 1) for below, n in zip(network.dense_sizes, network.dense_sizes[1:]))
    parts = stored_embeddings.parts_of(theta, entries, n_dense)
    found = stored_embeddings.embedded(entries, parts, X)
    assert found.dtype == dtype
    assert found.tobytes() == E.tobytes()
    assert sum(part.size for part in parts.values()) + n_dense == network.n_parameters


@pytest.mark.parametrize("ending", ["safetensors", "onnx"])
@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_network_comes_back_and_is_checked_in_every_way(tmp_path, inputs, dtype, ending):
    pytest.importorskip("onnx")
    case = EmbeddedCase(inputs, 17, 2, n_samples=30)
    data, network = cases.data_of(case), case.network
    path = tmp_path / f"network.{ending}"
    theta = data.theta.astype(dtype)
    save(path, network, theta, X=data.X.T)
    found = check_file(path)
    assert found.ok, found
    assert len(found.outcomes) >= 4
    if ending == "onnx":
        assert any("onnxruntime" in outcome.way for outcome in found.outcomes)
    else:
        again = load(path)
        assert again.network == network
        assert again.theta.tobytes() == theta.tobytes()
        expected = network.forward(theta, data.X.astype(dtype), "numpy").T
        assert again.outputs(data.X.T).tobytes() == np.ascontiguousarray(expected).tobytes()
    without_rows = tmp_path / f"drawn.{ending}"
    save(without_rows, network, theta)
    assert check_file(without_rows).ok


@pytest.mark.parametrize("ending", ["safetensors", "skops", "onnx"])
@pytest.mark.parametrize("kind", [MLPRegressor, MLPClassifier])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_estimator_comes_back_with_the_same_bits(tmp_path, ending, kind, dtype):
    path = tmp_path / f"model.{ending}"
    model, rows = fitted(kind, dtype), X.astype(dtype)
    save(path, model, X=X)
    found = check_file(path)
    assert found.ok, found
    if ending == "onnx":
        return
    again = load(path)
    if ending == "safetensors":
        assert again.header["fingerprint"] == model.fingerprint_
        one = again.predictor()
        assert one.predict(rows[0]) == model.predict(rows[:1])[0]
        assert "inputs in pieces, 1 input in levels, " in repr(again)
        again = again.estimator()
    assert again.fingerprint_ == model.fingerprint_
    assert again.predict(rows).tolist() == model.predict(rows).tolist()
    assert list(again.get_params()["embeddings"]) == EMBEDDINGS
    assert again._network == model._network
    assert np.isfinite(again.partial_fit(rows, Y if kind is MLPRegressor else LABELS).loss_)


def test_an_ensemble_comes_back(tmp_path):
    path = tmp_path / "ensemble.skops"
    model = MLPEnsembleRegressor(
        2, estimator=MLPRegressor(max_iter=2, embeddings=EMBEDDINGS), random_state=0
    ).fit(X, Y)
    save(path, model, X=X)
    assert load(path).predict(X).tolist() == model.predict(X).tolist()
    assert check_file(path).ok


def test_rows_are_checked_by_a_loaded_model(tmp_path):
    path = tmp_path / "model.safetensors"
    save(path, fitted(MLPRegressor), X=X)
    model = load(path)
    for place, value, message in (
        (1, 4, "Input 1 of X must be codes of levels, 0 to 3; sample 2 has 4"),
        (2, np.nan, "Input 2 of X must be finite"),
        (0, np.inf, "Input 0 of X must be finite, or NaN if it is missing"),
    ):
        wrong = X.copy()
        wrong[2, place] = value
        for predict in (model.predict, lambda X: model.outputs(X, backend="tiled")):
            with pytest.raises(ValueError, match=message):
                predict(wrong)


def test_rows_that_are_drawn_have_codes_and_missing_numbers(tmp_path):
    path = tmp_path / "model.safetensors"
    network = Network((4, 2, 1), embeddings=EMBEDDINGS)
    save(path, network, network.initial_parameters())
    _, tensors = safetensors_file.read_tensors(path, path.read_bytes())
    rows = tensors["examples.X"]
    np.testing.assert_array_equal(rows[:, 1], [0, 1, 2, 3, 0, 1, 2, 3])
    np.testing.assert_array_equal(np.isnan(rows), np.arange(32).reshape(8, 4) == 28)
    assert "modulo the levels" in load(path).header["examples"]


def test_files_of_networks_without_embeddings_say_nothing_of_them(tmp_path):
    path = tmp_path / "model.safetensors"
    network = Network((2, 2, 1))
    save(path, network, network.initial_parameters())
    metadata, _ = safetensors_file.read_tensors(path, path.read_bytes())
    assert "embeddings" not in metadata


# Forged files.


def entries_with(change):
    entries = json.loads(json.dumps(stored_embeddings.as_json(EMBEDDINGS)))
    change(entries)
    return entries


FORGED = {
    "one less": lambda e: e.pop(),
    "one more": lambda e: e.append(None),
    "none at all": lambda e: e.__setitem__(slice(None), [None] * 4),
    "wider": lambda e: e[0].update(width=4),
    "narrower": lambda e: e[0].update(width=1),
    "of no width": lambda e: e[1].update(width=0),
    "of a broken width": lambda e: e[1].update(width=2.0),
    "of a width that is True": lambda e: e[3].update(width=True),
    "of endless width": lambda e: e[1].update(width=1 << 62),
    "more levels": lambda e: e[1].update(levels=5),
    "fewer levels": lambda e: e[1].update(levels=3),
    "endless levels": lambda e: e[1].update(levels=10**40),
    "no levels": lambda e: e[1].update(levels=-1),
    "one breakpoint more": lambda e: e[0]["pieces"].append(9.0),
    "one breakpoint less": lambda e: e[0]["pieces"].pop(),
    "breakpoints that fall": lambda e: e[0].update(pieces=[-1.0, 0.1, 0.0, 1.0]),
    "equal breakpoints": lambda e: e[0].update(pieces=[-1.0, 0.0, 0.0, 1.0]),
    "breakpoints that are NaN": lambda e: e[0].update(pieces=[-1.0, 0.0, float("nan"), 1.0]),
    "infinite breakpoints": lambda e: e[0].update(pieces=[-1.0, 0.0, 1.0, float("inf")]),
    "breakpoints too close": lambda e: e[3].update(pieces=[0.0, 5e-324]),
    "breakpoints too far apart": lambda e: e[3].update(pieces=[-1.7e308, 1.7e308]),
    "breakpoints of text": lambda e: e[3].update(pieces=["-2", "2"]),
    "whole breakpoints": lambda e: e[3].update(pieces=[-2, 2]),
    "no breakpoints": lambda e: e[3].update(pieces=None),
    "never missing": lambda e: e[0].update(missing=False),
    "missing, too": lambda e: e[3].update(missing=True),
    "missing by number": lambda e: e[0].update(missing=1),
    "both kinds": lambda e: e[1].update(pieces=[0.0, 1.0]),
    "another name": lambda e: e[1].update(name="x"),
    "text for an entry": lambda e: e.__setitem__(2, "levels"),
    "pieces for a plain input": lambda e: e.__setitem__(2, {"levels": 2, "width": 1}),
    "a plain input for pieces": lambda e: e.__setitem__(3, None),
    "another order": lambda e: e.reverse(),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_file_with_other_embeddings_is_refused(tmp_path, what):
    """Each forged file has a right checksum."""
    path = tmp_path / "model.safetensors"
    save(path, fitted(MLPRegressor), X=X)
    metadata, tensors = safetensors_file.read_tensors(path, path.read_bytes())
    metadata["embeddings"] = json.dumps(entries_with(FORGED[what]))
    path.write_bytes(safetensors_file.tensor_bytes(metadata, tensors))
    with pytest.raises(ModelFileError):
        load(path).estimator()


@pytest.mark.parametrize("text", ["null", "[]", "3", '{"pieces": []}', "[[", "[null, null, null]"])
def test_a_file_with_no_list_of_embeddings_is_refused(tmp_path, text):
    path = tmp_path / "model.safetensors"
    save(path, fitted(MLPRegressor), X=X)
    metadata, tensors = safetensors_file.read_tensors(path, path.read_bytes())
    metadata["embeddings"] = text
    path.write_bytes(safetensors_file.tensor_bytes(metadata, tensors))
    with pytest.raises(ModelFileError):
        load(path)


def test_examples_with_codes_that_no_level_has_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save(path, fitted(MLPRegressor), X=X)
    metadata, tensors = safetensors_file.read_tensors(path, path.read_bytes())
    tensors["examples.X"] = tensors["examples.X"].copy()
    tensors["examples.X"][0, 1] = 4
    path.write_bytes(safetensors_file.tensor_bytes(metadata, tensors))
    with pytest.raises(ModelFileError, match="codes of levels"):
        load(path)


@pytest.mark.parametrize("name", ["embeddings.0.u", "embeddings.1.V", "embeddings.3.c"])
@pytest.mark.parametrize("how", ["missing", "shape", "dtype", "NaN", "another"])
def test_forged_parameters_are_refused(tmp_path, name, how):
    path = tmp_path / "model.safetensors"
    save(path, fitted(MLPRegressor), X=X)
    metadata, tensors = safetensors_file.read_tensors(path, path.read_bytes())
    part = tensors.pop(name)
    if how == "shape":
        tensors[name] = part[:-1]
    elif how == "dtype":
        tensors[name] = part.astype("float32")
    elif how in ("NaN", "another"):
        tensors[name] = part.copy()
        tensors[name].flat[0] = np.nan if how == "NaN" else 17
    path.write_bytes(safetensors_file.tensor_bytes(metadata, tensors))
    with pytest.raises(ModelFileError):
        load(path)


@pytest.mark.parametrize(
    "forge",
    [
        lambda m: m.embeddings_.pop(),
        lambda m: m.embeddings_.__setitem__(1, m.embeddings_[1][:3]),
        lambda m: m.embeddings_.__setitem__(1, None),
        lambda m: m.embeddings_.__setitem__(2, np.zeros(3)),
        lambda m: m.embeddings_.__setitem__(0, m.embeddings_[0][:3]),
        lambda m: m.embeddings_.__setitem__(0, list(m.embeddings_[0])),
        lambda m: m.embeddings_.__setitem__(1, np.full((4, 2), np.nan)),
        lambda m: m.embeddings_.__setitem__(1, m.embeddings_[1].astype("float32")),
        lambda m: m.__dict__.pop("embeddings_"),
        lambda m: vars(m._network).update(_embeddings=(Levels(4, 2),) * 4),
        lambda m: vars(m._network).update(
            _embeddings=(EMBEDDINGS[0], Levels(5, 2), *EMBEDDINGS[2:])
        ),
        lambda m: vars(m._network).update(_embeddings=list(EMBEDDINGS)),
        lambda m: vars(m._network).update(_embeddings=None),
        lambda m: vars(m._network).update(_embeddings="abcd"),
    ],
)
@pytest.mark.parametrize("kind", [MLPRegressor, MLPClassifier])
def test_a_forged_skops_file_is_refused(tmp_path, kind, forge):
    from engine.model_files import skops_file

    path, forged = tmp_path / "model.skops", tmp_path / "forged.skops"
    model = fitted(kind)
    save(path, model, X=X)
    stored = skops_file.read_content(path, path.read_bytes())
    forge(stored.estimator)
    forged.write_bytes(skops_file.bytes_of_model(forged, stored))
    with pytest.raises(ModelFileError):
        load(forged)


def test_embeddings_of_a_network_that_has_none_are_refused(tmp_path):
    from engine.model_files import skops_file

    path = tmp_path / "model.skops"
    model = MLPRegressor(max_iter=2).fit(X[:, 1:], Y)
    save(path, model, X=X[:, 1:])
    stored = skops_file.read_content(path, path.read_bytes())
    stored.estimator.embeddings_ = [None] * 3
    path.write_bytes(skops_file.bytes_of_model(path, stored))
    with pytest.raises(ModelFileError):
        load(path)


def test_a_forged_graph_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "model.onnx"
    save(path, fitted(MLPRegressor), X=X)
    assert onnx_file.read(path, path.read_bytes()).stored.description.embeddings is not None
    for number, (name, change) in enumerate(
        [
            ("embeddings.1.V", lambda array: array[:3]),
            ("embeddings.0.u", lambda array: array * np.nan),
            ("embeddings.0.low", lambda array: array - 1),
            ("embeddings.0.lengths", lambda array: array * 0),
            ("embeddings.1.input", lambda array: array + 1),
        ]
    ):
        proto = onnx.load(path)
        for tensor in proto.graph.initializer:
            if tensor.name == name:
                array = onnx.numpy_helper.to_array(tensor)
                changed = onnx.numpy_helper.from_array(change(array.copy()), name)
                tensor.CopyFrom(changed)
        other = tmp_path / f"forged {number}.onnx"
        onnx.save(proto, other)
        with pytest.raises(ModelFileError):
            check_file(other)


def test_onnx_s_own_evaluator_agrees(tmp_path):
    """Standard operators alone, of a row with NaN and rows at breakpoints and outside them."""
    pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    path = tmp_path / "network.onnx"
    for dtype, atol in (("float64", 1e-13), ("float32", 2e-5)):
        case = EmbeddedCase("all kinds", 5, 1, n_samples=40)
        data, network = cases.data_of(case), case.network
        save(path, network, data.theta.astype(dtype), X=data.X.T)
        outputs = ReferenceEvaluator(str(path)).run(None, {"X": data.X.T.astype(dtype)})
        got = np.asarray(*outputs)
        expected = network.forward(data.theta, data.X).T
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=0, atol=atol * np.abs(expected).max())


def test_schemas_of_skops_files_name_embeddings_by_their_constructors(tmp_path):
    import zipfile

    path = tmp_path / "model.skops"
    save(path, fitted(MLPRegressor), X=X)
    with zipfile.ZipFile(path) as archive:
        nodes = list(skops_archive.nodes_of(json.loads(archive.read(skops_archive.SCHEMA))))
    loaders = {n["__loader__"] for n in nodes if n["__module__"] == "engine.embeddings"}
    assert loaders == {"ConstructorFromReduceNode"}
