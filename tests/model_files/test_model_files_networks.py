"""Networks and estimators in .safetensors files: what is saved is loaded, and nothing else is."""

import json
import math
import os
import pickle
import tracemalloc

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

import engine
from engine import MLPClassifier, MLPRegressor, ModelFileError, Network, load, save, train
from engine.equations import backends
from engine.equations.units import HIDDEN_UNITS, OUTPUT_UNITS
from engine.model_files import description, safetensors_file
from engine.model_files import model as model_files_model
from engine.model_files.stored_network import layers_of
from tests.processes import output, result_of
from tests.test_public_names import modules_after

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::engine.TrainingWarning"),
]

ROWS, CODES = load_iris(return_X_y=True)
SEVERAL = np.stack([CODES > 0, CODES > 1], axis=1).astype(int)
TARGETS = {
    "codes": CODES,
    "texts": np.array(["a", "bé", "c, d"])[CODES],
    "objects": np.array(["a", "b", "c"], dtype=object)[CODES],
    "floats": CODES * 2.0,
    "true or false": CODES > 0,
    "int8": CODES.astype(np.int8),
    "several": SEVERAL,
    "one": np.zeros(len(CODES), int),
}


def fitted(y, dtype="float64", **settings):
    told = {"hidden_layer_sizes": (5,), "max_iter": 10, "random_state": 0, **settings}
    return MLPClassifier(**told).fit(ROWS.astype(dtype), y)


def saved(path, *arguments, **more):
    save(path, *arguments, **more)
    return load(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


# What is saved is loaded.


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS.keys())
def test_an_estimator_comes_back_with_the_same_bits(path, y, dtype):
    model, X = fitted(y, dtype), ROWS.astype(dtype)
    light = saved(path, model, X=X)
    again = light.estimator()
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.predict(X).dtype == model.predict(X).dtype
    assert again.fingerprint_ == model.fingerprint_ == light.header["fingerprint"]
    assert again.classes_.dtype == model.classes_.dtype
    np.testing.assert_array_equal(
        light.predict_proba(X, backend="tiled"), model.predict_proba(X), strict=True
    )
    np.testing.assert_array_equal(light.predict(X, backend="tiled"), model.predict(X), strict=True)
    one = light.predictor()
    np.testing.assert_array_equal(one.predict_proba(X[7]), model.predict_proba(X[7:8])[0])
    np.testing.assert_array_equal(one.predict(X[7]), model.predict(X[7:8])[0])
    # The first answer is NumPy's: to rounding.
    epsilon = np.finfo(dtype).eps
    np.testing.assert_allclose(light.predict_proba(X), model.predict_proba(X), atol=50 * epsilon)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_a_regressor_comes_back_with_the_same_bits(path, loss, n_outputs):
    y = ROWS[:, 0] if n_outputs == 1 else ROWS[:, :2]
    model = MLPRegressor(loss, (5,), max_iter=10, random_state=0).fit(ROWS, y)
    light = saved(path, model)
    np.testing.assert_array_equal(light.estimator().predict(ROWS), model.predict(ROWS), strict=True)
    np.testing.assert_array_equal(light.predict(ROWS, backend="tiled"), model.predict(ROWS))
    np.testing.assert_array_equal(light.predictor().predict(ROWS[3]), model.predict(ROWS[3:4])[0])
    with pytest.raises(AttributeError, match="A regressor has no probabilities"):
        light.predict_proba(ROWS)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_network_comes_back_with_its_parameters(path, dtype):
    network = Network((4, 6, 3, 2), hidden=("tanh", "relu"), output="softmax")
    theta = network.initial_parameters(seed=3, dtype=dtype)
    light = saved(path, network, theta)
    np.testing.assert_array_equal(light.theta, theta, strict=True)
    assert light.network == network
    X = ROWS.astype(dtype)
    np.testing.assert_array_equal(
        light.outputs(X, backend="tiled"), network.forward(theta, X.T).T, strict=True
    )
    with pytest.raises(AttributeError, match="holds a network, and no estimator"):
        light.estimator()


def test_the_result_of_training_stands_for_its_parameters(path):
    network = Network((4, 3, 3), output="softmax")
    result = train(network, ROWS.T, CODES, max_iter=3, batch_size=50)
    light = saved(path, network, result)
    np.testing.assert_array_equal(light.theta, result.theta)
    assert light.header["fingerprint"] == result.fingerprint


def test_names_of_features_are_kept_and_asked_for(path):
    pl = pytest.importorskip("polars")
    names = ["sepal length", "sepal width", "petal length", "petal width"]
    table = pl.DataFrame(dict(zip(names, ROWS.T)))
    model = MLPClassifier((3,), max_iter=3, random_state=0).fit(table, CODES)
    light = saved(path, model, X=table)
    assert list(light.feature_names) == names
    assert list(light.estimator().feature_names_in_) == names
    np.testing.assert_array_equal(light.predict(table, backend="tiled"), model.predict(table))
    with pytest.raises(
        ValueError, match=r"columns must be those.*got 'petal width', 'sepal length'"
    ):
        light.predict(table.select(["petal width", *names[:3]]))


def test_labels_that_were_sparse_are_sparse_again(path):
    model = MLPClassifier((3,), max_iter=3, random_state=0)
    model.fit(ROWS, scipy.sparse.csr_matrix(SEVERAL))
    light = saved(path, model)
    assert scipy.sparse.issparse(light.estimator().predict(ROWS))
    assert light.predict(ROWS, backend="tiled").tolist() == model.predict(ROWS).toarray().tolist()


@pytest.mark.parametrize("unit", HIDDEN_UNITS)
@pytest.mark.parametrize("output", OUTPUT_UNITS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_first_answer_has_the_bits_of_numpys_backend(unit, output, dtype):
    network = Network((3, 5, 4), hidden=unit, output=output)
    theta = 3 * network.initial_parameters(seed=1, dtype=dtype)
    X = np.random.default_rng(0).standard_normal((3, 50)).astype(dtype)
    light = model_files_model.forward(layers_of(theta, [(5, 3), (4, 5)]), (unit, output), X)
    with np.errstate(all="ignore"):
        reference = network.forward(theta, X, backend="numpy")
    np.testing.assert_array_equal(light, reference, strict=True)


def test_units_that_files_know_are_those_of_the_equations():
    assert set(vars(description)["HIDDEN_UNITS"]) == set(HIDDEN_UNITS)
    known = {unit for units in description.OUTPUTS.values() for unit in units}
    assert known == set(OUTPUT_UNITS) == set(description.OUTPUTS[description.NETWORK])
    assert list(backends.BACKENDS) == ["numpy", "loops", "tiled"]


def test_what_is_kept_of_parameters_and_what_is_not(path):
    def own(estimator, X, y, sample_weight=None):
        return 0.0

    model = fitted(
        CODES,
        class_weight={0: 1.0, 1: 2.0, 2: np.float32(3)},
        scoring=own,
        n_iter_no_change=math.inf,
        random_state=np.random.RandomState(0),
        activation=["tanh"],
    )
    again = saved(path, model).estimator()
    assert again.class_weight == {0: 1.0, 1: 2.0, 2: 3.0}
    assert again.n_iter_no_change == math.inf
    assert again.scoring is None
    assert again.random_state is None
    assert again.activation == ("tanh",)
    assert (again.loss_, again.n_iter_, again.t_) == (model.loss_, model.n_iter_, model.t_)
    assert again.loss_curve_ == model.loss_curve_
    assert model.scoring is own


def test_a_parameter_that_no_file_can_keep_is_named(path):
    model = fitted(CODES)
    model.verbose = object()
    with pytest.raises(ValueError, match=r"verbose is <object .*set_params\(verbose=...\)"):
        save(path, model)


def test_a_loaded_estimator_can_be_cloned_pickled_and_trained_further(path):
    model = fitted(CODES, warm_start=True)
    again = saved(path, model).estimator()
    assert clone(again).get_params() == model.get_params()
    unpickled = pickle.loads(pickle.dumps(again))
    np.testing.assert_array_equal(unpickled.predict_proba(ROWS), model.predict_proba(ROWS))
    before = again.loss_curve_[-1]
    again.fit(ROWS, CODES)
    assert again.loss_curve_[-1] < before
    assert len(again.loss_curve_) == 20
    again.partial_fit(ROWS, CODES)
    assert len(again.loss_curve_) == 21


def test_lbfgs_goes_on_exactly_as_it_does_in_one_process(path):
    told = {"solver": "lbfgs", "max_iter": 5, "warm_start": True}
    model = fitted(CODES, **told)
    again = saved(path, model).estimator()
    np.testing.assert_array_equal(
        again.fit(ROWS, CODES).coefs_[0], model.fit(ROWS, CODES).coefs_[0]
    )


def test_early_stopping_is_remembered(path):
    model = fitted(CODES, early_stopping=True)
    again = saved(path, model).estimator()
    assert again.validation_scores_ == model.validation_scores_
    assert again.best_validation_score_ == model.best_validation_score_
    assert again.best_loss_ is None


# Loading is light.


def test_loading_and_predicting_loads_neither_scikit_learn_nor_numba(path):
    save(path, fitted(CODES))
    asks = "m.predict([[5.0, 3, 4, 1]]); m.predict_proba([[5.0, 3, 4, 1]])"
    loaded = modules_after(f"import engine; m = engine.load({str(path)!r}); {asks}; repr(m)")
    assert loaded & {"sklearn", "numba", "scipy", "onnx", "skops", "pandas", "polars"} == set()
    loaded = modules_after(
        f"import engine; m = engine.load({str(path)!r}); m.predictor().predict([5.0, 3, 4, 1])"
    )
    assert "numba" in loaded
    assert "sklearn" not in loaded


def answers(path):
    light = load(path)
    return [light.predict_proba(ROWS).tolist(), light.predictor().predict_proba(ROWS[0]).tolist()]


@pytest.mark.proof
def test_another_process_gives_the_same_bits(path):
    save(path, fitted(CODES))
    assert result_of(answers, path) == answers(path)


def test_the_same_model_gives_the_same_bytes(path):
    save(path, fitted(CODES))
    first = path.read_bytes()
    save(path, fitted(CODES))
    assert path.read_bytes() == first


def test_any_reader_of_safetensors_reads_it(path):
    from safetensors import safe_open

    model = fitted(CODES, "float32")
    save(path, model)
    with safe_open(path, framework="np") as file:
        np.testing.assert_array_equal(
            file.get_tensor("layers.0.weight"), model.coefs_[0].T, strict=True
        )
        assert json.loads(file.metadata()["classes"]) == [0, 1, 2]


# What cannot be saved.


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((Network((2, 1)),), TypeError, r"save\(path, network, theta\)"),
        ((Network((2, 1)), [1.0, 2.0]), ValueError, r"theta must have shape \(3,\)"),
        ((Network((2, 1)), [1.0, 2.0, math.nan]), ValueError, "must be finite to be saved"),
        ((MLPClassifier(),), NotFittedError, "not fitted"),
        (("a model",), TypeError, "A str cannot be written to this kind of file"),
        ((MLPClassifier(), [1.0]), TypeError, "theta goes with a Network"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_model_is_refused_and_nothing_is_written(path, arguments, error, message):
    with pytest.raises(error, match=message):
        save(path, *arguments)
    assert list(path.parent.iterdir()) == []


def test_what_was_loaded_is_saved_again_as_it_is_told(path):
    save(path, fitted(CODES))
    model, content = load(path), path.read_bytes()
    with pytest.raises(TypeError, match=r"save\(path, model\.estimator\(\)\), or where it was a"):
        save(path, model)
    save(path, model.estimator())
    assert path.read_bytes() == content


def test_rows_to_be_tried_on_must_fit(path):
    model = fitted(CODES)
    with pytest.raises(
        ValueError, match=r"X must have shape \(n_samples, 4\).*got shape \(150, 3\)"
    ):
        save(path, model, X=ROWS[:, :3])
    with pytest.raises(ValueError, match="X must be finite"):
        save(path, model, X=ROWS * np.nan)


def test_outputs_that_are_not_finite_ask_for_other_rows(path):
    network = Network((1, 1), output="exp")
    with pytest.raises(ValueError, match=r"pass rows like those .*save\(path, model, X=rows\)"):
        save(path, network, np.array([1e5, 0.0]))
    save(path, network, np.array([1e5, 0.0]), X=[[1e-5]])


@pytest.mark.parametrize("name", ["model", "model.pkl", "model.safetensors.txt"])
def test_the_ending_says_the_format(tmp_path, name):
    with pytest.raises(ValueError, match=r"must end in \.safetensors, \.skops or \.onnx; got"):
        save(tmp_path / name, Network((2, 1)), np.zeros(3))
    with pytest.raises(ValueError, match=r"must end in \.safetensors, \.skops or \.onnx; got"):
        load(tmp_path / name)


def test_a_save_that_fails_keeps_the_older_file(path, monkeypatch):
    save(path, Network((2, 1)), np.zeros(3))
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(path, Network((2, 1)), np.ones(3))
    assert path.read_bytes() == before
    assert [other.name for other in path.parent.iterdir()] == [path.name]


# What is asked of a loaded model.


def test_rows_of_another_shape_or_kind_are_refused(path):
    light = saved(path, fitted(CODES))
    with pytest.raises(ValueError, match=r"shape \(n_samples, 4\).*For one row, pass \[row\]"):
        light.predict(ROWS[0])
    with pytest.raises(ValueError, match=r"got shape \(150, 3\)"):
        light.predict(ROWS[:, :3])
    with pytest.raises(TypeError, match="X must hold numbers; got dtype <U"):
        light.predict(ROWS.astype(str))
    with pytest.raises(ValueError, match="X must be finite"):
        light.predict(ROWS * np.inf)


def test_many_rows_go_through_in_blocks(path):
    light = saved(path, fitted(CODES))
    many = np.tile(ROWS, (70, 1))
    assert len(many) > 2 * 4096
    np.testing.assert_allclose(
        light.predict_proba(many), np.tile(light.predict_proba(ROWS), (70, 1)), rtol=1e-12
    )
    assert light.predict(scipy.sparse.csr_matrix(ROWS)).tolist() == light.predict(ROWS).tolist()


# Files that cannot be trusted.


def resealed(path, change):
    """The file with other texts and tensors, and a checksum that is right."""
    metadata, tensors = safetensors_file.read_tensors(path, path.read_bytes())
    metadata, tensors = dict(metadata), dict(tensors)
    change(metadata, tensors)
    path.write_bytes(safetensors_file.tensor_bytes(metadata, tensors))


def replaced(**texts):
    return lambda metadata, tensors: metadata.update(texts)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"format": "other"}, "no header says that it is a model of mlp-engine"),
        ({"format_version": "2"}, "format version 2, and this version of mlp-engine reads 1"),
        ({"sizes": "[3, 5, 3]"}, r"layers\.0\.weight has shape \(5, 4\)"),
        ({"sizes": "[4, 1099511627775, 3]"}, r"layers\.0\.weight has shape"),
        ({"sizes": "[4, -5, 3]"}, "sizes of layers"),
        ({"sizes": "[4, 5.0, 3]"}, "sizes of layers"),
        ({"sizes": "[" * 70 + "]" * 70}, "nested too deeply"),
        ({"sizes": "[" * 100_000}, "hardly anything but brackets"),
        ({"sizes": "[4, 5, NaN]"}, "NaN is no number of JSON"),
        ({"sizes": "[4, 5, " + "9" * 5000 + "]"}, "a number of 5000 digits"),
        ({"hidden": '["swish"]'}, "hidden units"),
        ({"hidden": "[]"}, "hidden units"),
        ({"output": "sigmoid"}, "output sigmoid"),
        ({"output": "identity"}, "output identity"),
        ({"dtype": "float16"}, "dtype float16"),
        ({"dtype": "float32"}, "has shape .* and dtype float64"),
        ({"model": "oracle"}, "model oracle"),
        ({"labels": "binary"}, "3 classes and 3 outputs"),
        ({"classes": "[0, 1]"}, "2 classes and 3 outputs"),
        ({"classes": '[0, 1, "2"]'}, "classes of int64"),
        ({"classes": "[0, 1, 99999999999999999999]"}, "classes"),
        ({"classes_type": "<U1000000000"}, "classes of type"),
        ({"feature_names": '["a"]'}, "1 names of 4 features"),
        ({"fingerprint": "0" * 64}, "the fingerprint is not that of the parameters"),
        ({"versions": "3"}, "versions make no sense"),
        ({"predictions": "The price of gold."}, "what predictions mean"),
    ],
    ids=str,
)
def test_texts_that_make_no_sense_are_refused(path, texts, message):
    save(path, fitted(CODES))
    resealed(path, replaced(**texts))
    with pytest.raises(ModelFileError, match=message):
        load(path)


@pytest.mark.parametrize("text", ["format", "sizes", "predictions", "classes", "fingerprint"])
def test_texts_that_are_missing_are_missed(path, text):
    save(path, fitted(CODES))
    resealed(path, lambda metadata, tensors: metadata.pop(text))
    with pytest.raises(ModelFileError, match="damaged"):
        load(path)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["layers.0.weight", "layers.1.bias", "examples.outputs"])
def test_numbers_that_are_not_finite_are_refused(path, name, value):
    save(path, fitted(CODES))

    def spoil(metadata, tensors):
        tensors[name] = tensors[name].copy()
        tensors[name].flat[0] = value
        layers = [tensors[f"layers.{l}.{part}"] for l in (0, 1) for part in ("weight", "bias")]
        metadata["fingerprint"] = engine.training.result.fingerprint_of(layers)

    resealed(path, spoil)
    with pytest.raises(ModelFileError, match=f"{name} holds NaN or infinity"):
        load(path)


@pytest.mark.parametrize("name", ["layers.0.weight", "layers.1.bias", "examples.X"])
def test_a_tensor_that_is_missing_or_too_many_is_said(path, name):
    save(path, fitted(CODES))
    resealed(path, lambda metadata, tensors: tensors.pop(name))
    with pytest.raises(ModelFileError, match=f"no tensor {name}|0 examples"):
        load(path)
    save(path, fitted(CODES))
    resealed(path, lambda metadata, tensors: tensors.update(more=tensors[name]))
    with pytest.raises(ModelFileError, match="tensors that no model has: more"):
        load(path)


def with_header(path, change):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    text = change(json.loads(content[8 : 8 + length]))
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


def claiming(**claims):
    def change(header):
        header["layers.0.weight"].update(claims)
        return json.dumps(header).encode()

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (claiming(shape=[1 << 39, 1 << 39]), "has offsets"),
        (claiming(shape=[1 << 62, 4]), "has shape"),
        (claiming(shape=[-5, -4]), "has shape"),
        (claiming(shape=[1] * 10_000), "has shape"),
        (claiming(shape=[True, 4]), "has shape"),
        (claiming(dtype="F16"), "has dtype 'F16'"),
        (claiming(dtype="I64"), "has dtype 'I64'"),
        (claiming(data_offsets=[0, 1 << 62]), "has offsets"),
        (claiming(data_offsets=[1 << 30, (1 << 30) + 160]), "overlap, or leave gaps"),
        (claiming(data_offsets=[8, 168]), "overlap, or leave gaps"),
        (claiming(more=1), "is not described"),
        (lambda h: (json.dumps(h)[:-1] + ', "layers.0.bias": 1}').encode(), "a name stands twice"),
        (lambda h: b'{"__metadata__": ' + b"[" * 10**6 + b"}", "anything but brackets"),
        (lambda h: b"\xff{}", "codec can't decode"),
        (lambda h: b"[]", "the header holds no names"),
        (lambda h: b"{}", "no texts that describe"),
    ],
)
def test_a_header_that_lies_is_refused(path, change, message):
    save(path, fitted(CODES))
    with_header(path, change)
    with pytest.raises(ModelFileError, match=message):
        load(path)


@pytest.mark.parametrize("length", [0, 1, 10_000_000, 1 << 40, (1 << 64) - 1])
def test_a_header_of_a_length_that_is_not_there_is_refused(path, length):
    save(path, fitted(CODES))
    content = path.read_bytes()
    path.write_bytes(length.to_bytes(8, "little") + content[8:])
    with pytest.raises(ModelFileError, match=f"a header of {length} bytes is claimed"):
        load(path)


def test_texts_and_numbers_have_one_checksum(path):
    save(path, fitted(TARGETS["texts"]))
    content = path.read_bytes()
    for old, new in [(b"c, d", b"c, e"), (content[-8:], b"\0" * 8)]:
        path.write_bytes(content.replace(old, new))
        with pytest.raises(ModelFileError, match="not those that its checksum was made of"):
            load(path)


def test_bytes_that_follow_are_refused(path):
    save(path, fitted(CODES))
    path.write_bytes(path.read_bytes() + b"PK\3\4")
    with pytest.raises(ModelFileError, match=r"tensors of .* bytes are claimed"):
        load(path)


def test_a_pickle_is_no_safetensors_file(path):
    path.write_bytes(pickle.dumps(fitted(CODES)))
    with pytest.raises(ModelFileError, match=r"is no \.safetensors file"):
        load(path)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"hidden_layer_sizes": [6]}, "is not the estimator of a network"),
        ({"activation": "tanh"}, "is not the estimator of a network"),
        ({"alpha": -1}, "alpha"),
        ({"solver": "os.system"}, "solver"),
        ({"no_such_parameter": 1}, "no_such_parameter"),
        ({"checkpoint": "/etc/passwd"}, "checkpoint is '/etc/passwd', which no file keeps"),
        ({"n_threads": {"pairs": 3}}, "damaged"),
    ],
    ids=str,
)
def test_parameters_that_make_no_estimator_are_refused(path, told, message):
    save(path, fitted(CODES))

    def change(metadata, tensors):
        told_before = json.loads(metadata["estimator"])
        told_before["parameters"].update(told)
        metadata["estimator"] = json.dumps(told_before)

    resealed(path, change)
    light = load(path)  # the network itself is whole
    with pytest.raises(ModelFileError, match=message):
        light.estimator()


def test_an_estimator_of_another_version_says_which(path):
    save(path, fitted(CODES))

    def change(metadata, tensors):
        told = json.loads(metadata["estimator"])
        told["parameters"]["of_the_future"] = 1
        metadata["estimator"] = json.dumps(told)
        metadata["versions"] = json.dumps({"mlp-engine": "7.0"})

    resealed(path, change)
    light = load(path)
    assert light.predict(ROWS[:9]).tolist() == fitted(CODES).predict(ROWS[:9]).tolist()
    with pytest.raises(ModelFileError, match=r"written by mlp-engine 7\.0, and this is 0"):
        light.estimator()


def test_labels_of_very_different_lengths_take_no_more_than_the_text_has():
    texts = [str(k) for k in range(2000)] + ["x" * 100_000]
    tracemalloc.start()
    array = description._text_array(texts, description.TEXT)
    assert tracemalloc.get_traced_memory()[1] < 10 * 200_000
    tracemalloc.stop()
    assert array.tolist() == texts


def test_reading_takes_a_few_times_the_memory_of_the_file(path):
    network = Network((1000, 500, 10))
    save(path, network, network.initial_parameters(seed=0))
    size = path.stat().st_size
    assert size > 4_000_000
    tracemalloc.start()
    load(path)
    assert tracemalloc.get_traced_memory()[1] < 5 * size
    tracemalloc.stop()


@pytest.mark.proof
@pytest.mark.parametrize("value", ["[]", "{}", "1", "[1,2]"])
def test_a_header_takes_a_few_times_its_own_memory(path, value):
    """A pair of brackets takes thirty times the memory of its two letters."""
    text = f'{{"__metadata__":[{",".join([value] * 1_000_000)}]}}'.encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    tracemalloc.start()
    with pytest.raises(ModelFileError):
        load(path)
    assert tracemalloc.get_traced_memory()[1] < 8 * len(text)
    tracemalloc.stop()


# Files of other kinds.


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_a_pipe_and_a_device_are_not_waited_for(tmp_path):
    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    with pytest.raises(ModelFileError, match="no ordinary file"):
        load(pipe)
    endless = tmp_path / "endless.safetensors"
    endless.symlink_to("/dev/zero")
    with pytest.raises(ModelFileError, match="no ordinary file"):
        load(endless)


def test_folders_empty_and_missing_files_are_named(tmp_path):
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    with pytest.raises(ModelFileError, match="is a folder"):
        load(folder)
    (tmp_path / "empty.safetensors").touch()
    with pytest.raises(ModelFileError, match="is empty"):
        load(tmp_path / "empty.safetensors")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing.safetensors")


def test_the_error_is_a_value_error_and_says_where_it_stands():
    assert issubclass(ModelFileError, ValueError)
    assert output("-c", "import engine; print(engine.ModelFileError.__module__)").strip() == (
        "engine.model_files.errors"
    )
