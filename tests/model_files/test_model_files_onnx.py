"""ONNX files: onnxruntime computes what the engine does, to rounding; no other graph is read."""

import math
import tracemalloc

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from engine import MLPClassifier, MLPRegressor, ModelFileError, Network, load, save
from engine.equations.units import HIDDEN_UNITS, OUTPUT_UNITS
from engine.model_files import onnx_file, protobuf
from engine.model_files.safe_reading import content_of
from tests.processes import run

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::engine.TrainingWarning"),
]

ROWS, CODES = load_iris(return_X_y=True)
TARGETS = {
    "codes": CODES,
    "texts": np.array(["a", "bé", "c"])[CODES],
    "objects": np.array(["a", "b", "c"], dtype=object)[CODES],
    "floats": CODES * 2.0,
    "two texts": np.array(["no", "yes"])[(CODES > 0) * 1],
    "true or false": CODES > 0,
    "uint8": CODES.astype(np.uint8),
    "several": np.stack([CODES > 0, CODES > 1], axis=1).astype(int),
    "one": np.full(len(CODES), 7),
}


def asked(path, X):
    """What onnxruntime gives for rows, by the names of the outputs."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == ["X"]
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"X": X})))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("output", OUTPUT_UNITS)
@pytest.mark.parametrize("hidden", HIDDEN_UNITS)
def test_every_unit_is_computed_to_rounding(path, hidden, output, dtype):
    network = Network((5, 7, 6, 3), hidden=hidden, output=output)
    theta = network.initial_parameters(seed=1, dtype=dtype)
    X = np.random.default_rng(0).standard_normal((300, 5)).astype(dtype)
    save(path, network, theta)
    came, wanted = asked(path, X)["outputs"], network.forward(theta, X.T).T
    assert came.dtype == dtype
    np.testing.assert_allclose(came, wanted, atol=20 * np.finfo(dtype).eps * np.abs(wanted).max())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scaled", [False, True], ids=["alone", "scaled"])
@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS.keys())
def test_classifiers_give_labels_and_probabilities(path, y, scaled, dtype):
    model = MLPClassifier((8,), max_iter=20, random_state=1)
    model = make_pipeline(StandardScaler(), model) if scaled else model
    X = ROWS.astype(dtype)
    save(path, model.fit(X, y))
    came = asked(path, X)
    assert list(came) == ["label", "probabilities"]
    wanted = model.predict_proba(X)
    assert came["probabilities"].dtype == dtype
    np.testing.assert_allclose(came["probabilities"], wanted, atol=100 * np.finfo(dtype).eps)
    near = np.abs(wanted - 0.5).min(axis=1) if y.ndim == 2 else np.ones(len(y))
    sure = near > 1e-4  # elsewhere rounding may decide
    np.testing.assert_array_equal(came["label"][sure], model.predict(X)[sure])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_regressors_give_values(path, loss, n_outputs, dtype):
    X = ROWS.astype(dtype)
    y = ROWS[:, 0] if n_outputs == 1 else ROWS[:, :2]
    model = MLPRegressor(loss, (8,), max_iter=20, random_state=1).fit(X, y)
    save(path, model)
    came, wanted = asked(path, X)["variable"], model.predict(X).reshape(-1, n_outputs)
    np.testing.assert_allclose(came, wanted, rtol=500 * np.finfo(dtype).eps)


@pytest.mark.parametrize("settings", [{"with_mean": False}, {"with_std": False}], ids=str)
def test_half_a_scaler_is_exported_as_half(path, settings):
    model = make_pipeline(StandardScaler(**settings), MLPRegressor(hidden_layer_sizes=3))
    model.fit(ROWS, ROWS[:, 0])
    save(path, model, X=ROWS)
    np.testing.assert_allclose(asked(path, ROWS)["variable"][:, 0], model.predict(ROWS), rtol=1e-9)


def test_a_pipeline_of_named_columns_keeps_the_names(path):
    table = pl.DataFrame({name: ROWS[:, k] for k, name in enumerate("abcd")})
    model = make_pipeline(StandardScaler(), MLPClassifier((3,), max_iter=3)).fit(table, CODES)
    save(path, model, X=table)
    graph = onnx_file.read(path, content_of(path))
    assert graph.stored.description.feature_names == ("a", "b", "c", "d")


def test_other_steps_are_refused_by_name(path):
    model = make_pipeline(MinMaxScaler(), MLPClassifier((3,), max_iter=3)).fit(ROWS, CODES)
    with pytest.raises(TypeError, match=r"A pipeline of MinMaxScaler, MLPClassifier cannot be"):
        save(path, model)
    assert not path.exists()


def test_labels_that_onnx_cannot_hold_are_refused(path):
    y = np.array([1, 2, 2**63 + 5], np.uint64)[CODES]
    model = MLPClassifier((3,), max_iter=3, random_state=0).fit(ROWS, y)
    with pytest.raises(ValueError, match="The label 9223372036854775813 is larger than those of"):
        save(path, model)
    assert not path.exists()


def test_a_network_that_no_onnx_file_can_hold_is_refused(path, monkeypatch):
    monkeypatch.setattr(onnx_file, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match=r"too large for an \.onnx file; save it as \.safetensors"):
        save(path, Network((20, 20)), np.zeros(420))


def test_the_graph_passes_onnxs_own_checks_and_says_what_it_is(path):
    save(path, MLPClassifier((3,), max_iter=3, random_state=0).fit(ROWS, CODES))
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.opset_import[0].version == 18
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert metadata["classes"] == "[0, 1, 2]"
    assert metadata["predictions"].startswith("Output j is the probability of class j")


def test_the_same_model_gives_the_same_bytes(path):
    model = MLPClassifier((3,), max_iter=3, random_state=0).fit(ROWS, CODES)
    save(path, model)
    first = path.read_bytes()
    save(path, model)
    assert path.read_bytes() == first


def test_loading_one_says_what_to_do_instead(path):
    save(path, Network((2, 1)), np.zeros(3))
    with pytest.raises(ModelFileError, match=r"for other programs.*save it as \.safetensors"):
        load(path)


# Only what is written here is read.


@pytest.fixture
def proto(path):
    save(path, MLPClassifier((3,), max_iter=3, random_state=0).fit(ROWS, CODES))
    return onnx.load(path)


def refused(path, proto, message):
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelFileError, match=message):
        onnx_file.read(path, path.read_bytes())


def test_another_graph_is_refused(path, proto):
    proto.graph.node[0].op_type = "Loop"
    refused(path, proto, "not the one that engine.save writes")


def test_numbers_in_another_file_are_not_looked_for(path, proto):
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    refused(path, proto, "is in another file")


@pytest.mark.parametrize("dims", [[1 << 40, 1 << 20], [-1, 4], [3, 5], [12]], ids=str)
def test_shapes_that_are_not_there_are_refused(path, proto, dims):
    proto.graph.initializer[0].dims[:] = dims
    refused(path, proto, "damaged")


def test_weights_that_are_not_finite_are_refused(path, proto):
    tensor = proto.graph.initializer[0]
    tensor.raw_data = np.array(math.nan).tobytes() + tensor.raw_data[8:]
    refused(path, proto, "NaN, infinity")


def test_other_texts_are_refused_by_the_checksum(path, proto):
    (entry,) = [entry for entry in proto.metadata_props if entry.key == "classes"]
    entry.value = "[0, 1, 3]"
    for tensor in proto.graph.initializer:
        if tensor.name == "classes":
            tensor.raw_data = np.array([0, 1, 3]).tobytes()
    refused(path, proto, "not the one that engine.save writes")


def test_the_graphs_of_others_are_said_to_be_that(path, proto):
    del proto.metadata_props[:]
    refused(path, proto, "an ONNX file that engine.save did not write")


@pytest.mark.parametrize(
    "more",
    [b"\x08\x09", b"\x3a\x00", b"\x72\x00", b"\xf8\x07\x01", b"\x08"],
    ids=["ir_version twice", "graph twice", "an empty text", "unknown", "an end"],
)
def test_bytes_that_two_readers_might_read_differently_are_refused(path, proto, more):
    path.write_bytes(proto.SerializeToString() + more)
    with pytest.raises(ModelFileError, match="damaged"):
        onnx_file.read(path, path.read_bytes())


@pytest.mark.proof
@pytest.mark.parametrize("message", [b"\x0a\x00", b"\x2a\x00", b"\x0a\x02\x2a\x00"], ids=repr)
def test_a_graph_of_hardly_anything_is_refused_before_protobuf_sees_it(path, message):
    graph = message * 500_000
    length = bytes([len(graph) & 127 | 128, len(graph) >> 7 & 127 | 128, len(graph) >> 14])
    content = b"\x3a" + length + graph
    tracemalloc.start()
    with pytest.raises(ModelFileError, match=r"fields of hardly any bytes|stands twice"):
        onnx_file.read(path, content)
    assert tracemalloc.get_traced_memory()[1] < len(content)
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"\x0a\x05hi", "beyond its message"),
        (b"\x0b\x00", "of kind 3"),
        (b"\x0a", "the end comes within a number"),
        (b"\xff" * 11, "a number without an end"),
    ],
    ids=repr,
)
def test_what_is_no_message_is_refused(message, said):
    with pytest.raises(ValueError, match=said):
        list(protobuf.fields(memoryview(message)))


@pytest.mark.proof
def test_without_onnx_it_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "import numpy as np, engine\n"
        f"engine.save({str(tmp_path / 'm.onnx')!r}, engine.Network((2, 1)), np.zeros(3))"
    )
    done = run("-c", code)
    assert "pip install skops onnx" in done.stderr
    assert list(tmp_path.iterdir()) == []
