"""`engine check-model`: what it says of a file, and how it ends."""

import json
import zipfile

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from engine import MLPClassifier, Network, save
from engine.cli import main
from engine.model_files import check_model, safetensors_file, skops_archive, stored_network
from engine.training.result import fingerprint_of
from tests import processes
from tests.processes import engine

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::engine.TrainingWarning"),
]

ROWS, CODES = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[CODES]


def checked(path, capsys, monkeypatch):
    """Status, standard output and standard error of the command."""
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as ended:
        main.main(["check-model", str(path)])
    out, err = capsys.readouterr()
    return ended.value.code, out, processes.complaints(err)


def model(dtype="float64", **settings):
    told = {"hidden_layer_sizes": (6,), "max_iter": 20, "random_state": 0, **settings}
    return MLPClassifier(**told).fit(ROWS.astype(dtype), NAMES)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("ending", ["safetensors", "skops", "onnx"])
def test_a_whole_file_agrees_in_every_way(tmp_path, capsys, monkeypatch, ending, dtype):
    path = tmp_path / f"flowers.{ending}"
    fitted = model(dtype)
    save(path, fitted, X=ROWS)
    status, told, complaints = checked(path, capsys, monkeypatch)
    assert (status, complaints) == (0, "")
    ways = {
        "safetensors": ["NumPy alone", "numpy", "loops", "tiled"],
        "skops": ["numpy", "loops", "tiled"],
        "onnx": ["NumPy alone", "numpy", "loops", "tiled", "onnxruntime"],
    }[ending]
    for way in ways:
        assert any(line.startswith(way) and line.endswith("ok") for line in told.splitlines()), told
    assert fitted.fingerprint_ in told
    assert "4-6-3: relu hidden units, softmax output" in told
    assert f"All {len(ways)} ways give the outputs that the file expects." in told
    assert "rows of the user's" in told
    if ending != "skops":
        assert "classes      'setosa', 'versicolor', 'virginica'" in told
    (tiled,) = [line for line in told.splitlines() if line.startswith("tiled")]
    assert "same bits" in tiled


def test_a_pipeline_is_tried_as_a_whole(tmp_path, capsys, monkeypatch):
    path = tmp_path / "flowers.skops"
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((6,), max_iter=20, random_state=0))
    save(path, pipeline.fit(ROWS, NAMES))
    status, told, _ = checked(path, capsys, monkeypatch)
    assert status == 0
    assert "StandardScaler, MLPClassifier" in told
    assert "standard normal numbers" in told


def with_other_outputs(path, change):
    metadata, tensors = safetensors_file.read_tensors(path, path.read_bytes())
    tensors["examples.outputs"] = change(tensors["examples.outputs"])
    path.write_bytes(safetensors_file.tensor_bytes(metadata, tensors))


def test_outputs_that_differ_by_more_than_rounding_end_with_1(tmp_path, capsys, monkeypatch):
    path = tmp_path / "flowers.safetensors"
    save(path, model(), X=ROWS)
    with_other_outputs(path, lambda outputs: outputs * (1 + 1e-11))
    status, told, complaints = checked(path, capsys, monkeypatch)
    assert (status, complaints) == (1, "")
    assert told.count("DIFFERS") == 4
    assert "NumPy alone, numpy, loops, tiled: other outputs than the file expects." in told


def test_a_bit_is_rounding(tmp_path, capsys, monkeypatch):
    path = tmp_path / "flowers.safetensors"
    save(path, model(), X=ROWS)
    with_other_outputs(path, lambda outputs: np.nextafter(outputs, 1))
    assert checked(path, capsys, monkeypatch)[0] == 0


def test_one_backend_that_errs_is_named(tmp_path, capsys, monkeypatch):
    path = tmp_path / "flowers.safetensors"
    save(path, model(), X=ROWS)
    forward = Network.forward

    def wrong(self, theta, X, backend=None):
        return forward(self, theta, X, backend) + 1e-9 * (backend == "loops")

    monkeypatch.setattr(Network, "forward", wrong)
    status, told, _ = checked(path, capsys, monkeypatch)
    assert status == 1
    assert told.count("DIFFERS") == 1
    assert told.splitlines()[-1].startswith("loops: other outputs")


def test_other_weights_with_right_checksums_are_found_by_the_examples(
    tmp_path, capsys, monkeypatch
):
    path = tmp_path / "net.safetensors"
    network = Network((2, 3, 1))
    save(path, network, network.initial_parameters(seed=0))
    metadata, tensors = safetensors_file.read_tensors(path, path.read_bytes())
    tensors["layers.0.weight"] = tensors["layers.0.weight"] * 1.001
    layers = [tensors[f"layers.{l}.{part}"] for l in (0, 1) for part in ("weight", "bias")]
    metadata["fingerprint"] = fingerprint_of(layers)
    path.write_bytes(safetensors_file.tensor_bytes(metadata, tensors))
    assert checked(path, capsys, monkeypatch)[0] == 1


def test_labels_of_onnxruntime_count_as_well(tmp_path, capsys, monkeypatch):
    path = tmp_path / "flowers.onnx"
    save(path, model(), X=ROWS)
    monkeypatch.setattr(check_model, "decoded", lambda about, A: np.full(len(A), "rose"))
    status, told, _ = checked(path, capsys, monkeypatch)
    assert status == 1
    assert "DIFFERS: its labels are not those of its probabilities" in told


@pytest.mark.parametrize("ending", ["safetensors", "skops", "onnx"])
def test_a_damaged_file_ends_with_2_and_a_line(tmp_path, capsys, monkeypatch, ending):
    path = tmp_path / f"flowers.{ending}"
    save(path, model(), X=ROWS)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    status, told, complaints = checked(path, capsys, monkeypatch)
    assert (status, told) == (2, "")
    assert complaints.startswith("engine: ")
    assert complaints.count("\n") == 1
    assert str(path) in complaints


@pytest.mark.parametrize("name", ["no.safetensors", "model.pkl"])
def test_a_missing_file_and_another_ending_end_with_2(tmp_path, capsys, monkeypatch, name):
    assert checked(tmp_path / name, capsys, monkeypatch)[0] == 2


def test_a_file_without_examples_cannot_be_tried(tmp_path, capsys, monkeypatch):
    path = tmp_path / "flowers.skops"
    save(path, model(), X=ROWS)
    parts = skops_archive.parts_of(path, path.read_bytes())
    del parts[skops_archive.EXAMPLES]
    path.write_bytes(skops_archive.archive_of(parts))
    status, _, complaints = checked(path, capsys, monkeypatch)
    assert status == 2
    assert "carries no examples" in complaints


@pytest.mark.sample(1)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_models_of_engine_train_are_checked(tmp_path, capsys, monkeypatch, task):
    table = tmp_path / "table.csv"
    lines = ["length,colour,target"]
    lines += [
        f"{k % 7},{['red', 'blue', ''][k % 3]},{'ab'[k % 2] if task[0] == 'c' else k}"
        for k in range(60)
    ]
    table.write_text("\n".join(lines))
    path = tmp_path / "table.skops"
    done = engine("train", table, "--target", "target", "--model", path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    status, told, complaints = checked(path, capsys, monkeypatch)
    assert (status, complaints) == (0, "")
    assert f"{task} of 'target' from a table's columns" in told
    assert "8, made-up rows of the table, tried by" in told
    with zipfile.ZipFile(path) as archived:
        header = json.loads(archived.read(skops_archive.HEADER))
    parts = skops_archive.parts_of(path, path.read_bytes())
    parts[skops_archive.HEADER] = json.dumps({**header, "columns": []}).encode()
    path.write_bytes(skops_archive.archive_of(parts))
    assert checked(path, capsys, monkeypatch)[0] == 2  # as `engine predict` would say


def test_the_unit_is_that_of_the_largest_number():
    one = np.array([[1.0, 1e-9]])
    assert stored_network.last_place(one) == 2**-52
    assert stored_network.last_place(one.astype("f")) == 2**-23
    assert stored_network.last_place(one, one * 2) == 2**-51
    assert stored_network.last_place(one * np.nan, one) == 2**-52
    assert stored_network.last_place(one * 0) == np.finfo(float).smallest_subnormal


def test_outputs_of_another_shape_and_no_numbers_are_infinitely_far():
    one = np.array([[1.0, 1e-9]])
    assert stored_network.largest_difference(one, one + np.array([0.5, 0])) == 0.5
    assert stored_network.largest_difference(one, one[:, :1]) == np.inf
    assert stored_network.largest_difference(one, one * np.nan) == np.inf
    assert stored_network.largest_difference(one, one * np.inf) == np.inf


@pytest.mark.parametrize("expected", [0.0, 5e-324, 1e-300, 1e300])
def test_outputs_that_have_nothing_to_do_with_the_model_are_found(
    tmp_path, capsys, monkeypatch, expected
):
    path = tmp_path / "flowers.safetensors"
    save(path, model(), X=ROWS)
    with_other_outputs(path, lambda outputs: outputs * 0 + expected)
    status, told, _ = checked(path, capsys, monkeypatch)
    assert (status, told.count("DIFFERS")) == (1, 4), told


@pytest.mark.parametrize("ending", ["safetensors", "onnx"])
@pytest.mark.parametrize("z", [-5, -20, -50, -95, -720])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_small_probabilities_are_as_exact_as_they_can_be(
    tmp_path, capsys, monkeypatch, dtype, z, ending
):
    """onnxruntime has them to the last place of 1; kernels take the very smallest numbers for 0."""
    path = tmp_path / f"small.{ending}"
    save(path, Network((1, 1)), np.array([1.0, 0.0], dtype), X=np.array([[z]], dtype))
    status, told, _ = checked(path, capsys, monkeypatch)
    assert status == 0, told


def test_a_file_that_does_not_say_where_its_examples_come_from_ends_with_2(
    tmp_path, capsys, monkeypatch
):
    path = tmp_path / "flowers.safetensors"
    save(path, model(), X=ROWS)
    metadata, tensors = safetensors_file.read_tensors(path, path.read_bytes())
    del metadata["examples"]
    path.write_bytes(safetensors_file.tensor_bytes(metadata, tensors))
    status, _, complaints = checked(path, capsys, monkeypatch)
    assert status == 2
    assert "none that say where they come from" in complaints


def test_what_a_file_says_does_not_move_about_in_the_terminal(tmp_path, capsys, monkeypatch):
    path = tmp_path / "flowers.safetensors"
    save(path, model(), X=ROWS)
    metadata, tensors = safetensors_file.read_tensors(path, path.read_bytes())
    names = ["\x1b[2Jlength", "b", "c", "\ud800"]
    metadata["feature_names"] = json.dumps(names)
    path.write_bytes(safetensors_file.tensor_bytes(metadata, tensors))
    status, told, _ = checked(path, capsys, monkeypatch)
    assert status == 0
    assert r"features     \x1b[2Jlength, b, c, \ud800" in told
    metadata["format_version"] = "2\x1b[2J"
    path.write_bytes(safetensors_file.tensor_bytes(metadata, tensors))
    status, _, complaints = checked(path, capsys, monkeypatch)
    assert status == 2
    assert r"format version 2\x1b[2J" in complaints
