"""Networks as ONNX graphs for other programs, and such files read in order to check them.

Only files that this module could have written are accepted: the graph is rebuilt from the
description and the numbers in the file, and must have the same bytes. No other graph reaches
protobuf or onnxruntime.
"""

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.equations.units import UNITS
from engine.model_files import protobuf, stored_embeddings
from engine.model_files.description import (
    BINARY,
    CLASSIFIER,
    MULTICLASS,
    REGRESSOR,
    Description,
    described,
)
from engine.model_files.errors import ModelFileError, damaged
from engine.model_files.safe_reading import parsed
from engine.model_files.safetensors_file import CHECKSUM, FINGERPRINT
from engine.model_files.stored_network import (
    GIVEN,
    Examples,
    StoredNetwork,
    arrays_of,
    drawn_in_words,
    drawn_rows,
    embedding_parts,
    layers_of,
    require_inputs,
)
from engine.system.extras import installed_by
from engine.training.result import fingerprint_of

OPSET, IR_VERSION = 18, 9  # of 2022 and 2023: read by onnxruntime 1.15 and newer
INPUT, LABEL, PROBABILITIES, VALUES, OUTPUTS = "X", "label", "probabilities", "variable", "outputs"
EXAMPLES_X, EXAMPLES_OUTPUTS, EXAMPLES_ARE = "examples_X", "examples_outputs", "examples"
MOST_BYTES = (1 << 31) - (1 << 20)  # of a protocol buffer
MEAN, SCALE = "scaler.mean", "scaler.scale"
# Numbers of the fields of onnx.proto: of a ModelProto, of an entry of its metadata, of a GraphProto
# and of a TensorProto.
GRAPH, METADATA = 7, 14
KEY, VALUE = 1, 2
INITIALIZER = 5
DIMS, DATA_TYPE, NAME, RAW_DATA, EXTERNAL_DATA, DATA_LOCATION = 1, 2, 8, 9, 13, 14
DTYPES: dict[Any, np.dtype[Any]] = {1: np.dtype("<f4"), 11: np.dtype("<f8")}  # FLOAT, DOUBLE


class Graph(NamedTuple):
    """What an exported file holds: a network, and how its inputs are scaled before.

    Attributes
    ----------
    stored : StoredNetwork
        Its examples are of inputs before they are scaled.
    scaling : dict of ndarray (n_0,)
        "scaler.mean" is subtracted, then "scaler.scale" divides; either may be missing.
    drawn : bool
        Whether the examples are drawn, and not the user's rows.
    """

    stored: StoredNetwork
    scaling: dict[str, NDArray[Any]]
    drawn: bool


def network_bytes(model: Any, theta: Any, X: Any) -> bytes:
    """The bytes of an .onnx file of a network, an estimator, or a StandardScaler and one."""
    return bytes_of_graph(graph_of(model, theta, X))


def bytes_of_graph(graph: Graph) -> bytes:
    """The bytes of a graph; the same graph gives the same bytes."""
    content: bytes = _model_of(graph).SerializeToString(deterministic=True)
    return content


def graph_of(model: Any, theta: Any, X: Any) -> Graph:
    """What is to be written of a model; TypeError for steps that are not exported."""
    from engine.model_files.stored_network import some_rows, stored_model

    if not hasattr(model, "steps"):
        return Graph(stored_model(model, theta, X), {}, X is None)
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(model)
    steps = [step for _, step in model.steps if step not in ("passthrough", None)]
    if len(steps) != 2 or type(steps[0]) is not StandardScaler:
        kinds = [type(step).__name__ for step in steps]
        raise TypeError(
            f"A pipeline of {', '.join(kinds)} cannot be exported to ONNX here: a StandardScaler "
            "and a network can. Save it as .skops, or export it with skl2onnx."
        )
    scaler, network = steps
    rows = drawn_rows(scaler.n_features_in_) if X is None else some_rows(X)
    rows = np.ascontiguousarray(rows, network._dtype)
    stored = stored_model(network, theta, scaler.transform(_named(scaler, rows)))
    names = tuple(map(str, getattr(scaler, "feature_names_in_", ())))
    about = stored.description.renamed(names)
    given = {MEAN: scaler.mean_, SCALE: scaler.scale_}
    wanted = {MEAN: scaler.with_mean, SCALE: scaler.with_std}
    scaling = {name: given[name].astype(network._dtype) for name in given if wanted[name]}
    examples = Examples(rows, stored.examples.outputs)
    return Graph(stored._replace(description=about, examples=examples), scaling, X is None)


def read(path: Path, content: bytes) -> Graph:
    """What an .onnx file of this package holds; ModelFileError for any other."""
    _onnx()
    if len(content) > MOST_BYTES:
        raise damaged(path, "it is larger than an .onnx file can be.")
    try:
        metadata, tensors = _found(memoryview(content))
        if metadata.get("format") is None:
            raise ModelFileError(
                f"{path} is an ONNX file that engine.save did not write; only its own are tried."
            )
        found = _graph(described(metadata), metadata, tensors)
        if bytes_of_graph(found) != content:
            raise ValueError("the graph is not the one that engine.save writes of this network.")
    except (ModelFileError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file leads json, NumPy or onnx to
        raise damaged(path, error) from error
    return found


def _found(content: memoryview) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """The texts and the numbers of a ModelProto."""
    metadata: dict[str, str] = {}
    tensors: dict[str, NDArray[Any]] = {}
    for number, value in protobuf.fields(content):
        if number == METADATA:
            entry = dict(protobuf.fields(protobuf.of_bytes(value)))
            key = protobuf.text(entry[KEY])
            if key in metadata:
                raise ValueError(f"the text {key!r:.40} stands twice")
            metadata[key] = protobuf.text(entry[VALUE])
        elif number == GRAPH:
            for inner, part in protobuf.fields(protobuf.of_bytes(value)):
                if inner == INITIALIZER:
                    _add_tensor(tensors, protobuf.of_bytes(part))
    return metadata, tensors


def _add_tensor(found: dict[str, NDArray[Any]], message: memoryview) -> None:
    """Add a TensorProto of numbers; its data must be in this file, and of the stated size."""
    shape: list[int] = []
    kept: dict[int, protobuf.Value] = {}
    for number, value in protobuf.fields(message):
        if number == DIMS and isinstance(value, int):
            shape.append(value)
        kept[number] = value
    name = protobuf.text(kept.get(NAME, memoryview(b"")))
    if kept.keys() & {EXTERNAL_DATA, DATA_LOCATION}:
        raise ValueError(f"{name:.40} is in another file")
    if name in found:
        raise ValueError(f"{name:.40} stands twice")
    dtype = DTYPES.get(kept.get(DATA_TYPE, 0))
    if dtype is None:
        return  # classes, and constants: the graph that is built anew has them, too
    data = protobuf.of_bytes(kept.get(RAW_DATA, memoryview(b"")))
    if len(shape) > 2 or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"{name:.40} is not of the size that it has")
    found[name] = np.frombuffer(data, dtype).reshape(shape)


def _graph(about: Description, metadata: dict[str, str], given: dict[str, NDArray[Any]]) -> Graph:
    dtype = np.dtype(about.dtype)
    parts = []
    for l, (n_out, n_in) in enumerate(about.shapes):
        parts += [given[f"layers.{l}.weight"], given[f"layers.{l}.bias"]]
        if parts[-2].shape != (n_out, n_in) or parts[-1].shape != (n_out,):
            raise ValueError(f"layer {l} has parameters of shape {parts[-2].shape}")
    for name, shape in stored_embeddings.shapes_of(about.embeddings):
        parts.append(given[name])
        if parts[-1].shape != shape:
            raise ValueError(f"{name} has shape {parts[-1].shape}, for {shape}")
    scaling = {name: given[name] for name in (MEAN, SCALE) if name in given}
    examples = Examples(
        _numbers(metadata[EXAMPLES_X], about.sizes[0], dtype, about.embeddings is not None),
        _numbers(metadata[EXAMPLES_OUTPUTS], about.sizes[-1], dtype),
    )
    require_inputs(_scaled(examples.X, scaling), about)
    arrays = [*parts, *scaling.values(), np.nan_to_num(examples.X), examples.outputs]
    if not all(array.dtype == dtype and np.isfinite(array).all() for array in arrays):
        raise ValueError("NaN, infinity, or numbers of another dtype")
    if any(array.shape != (about.sizes[0],) for array in scaling.values()):
        raise ValueError("a scaler of another number of features")
    if len(examples.X) != len(examples.outputs):
        raise ValueError("examples without outputs")
    if metadata.get(FINGERPRINT) != fingerprint_of(parts):
        raise ValueError("the fingerprint is not that of the parameters")
    theta = np.concatenate([part.ravel() for part in parts])
    stored = StoredNetwork(about, theta, examples, {}, metadata)
    return Graph(stored, scaling, metadata[EXAMPLES_ARE].startswith(_said(True, about)))


def _scaled(X: NDArray[Any], scaling: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Rows as the network takes them."""
    with np.errstate(all="ignore"):
        if MEAN in scaling:
            X = X - scaling[MEAN]
        return X / scaling[SCALE] if SCALE in scaling else X


def _as_lists(rows: NDArray[Any]) -> list[list[float | None]]:
    """Rows as JSON has them: None for NaN."""
    return [[None if np.isnan(one) else float(one) for one in row] for row in rows]


def _numbers(
    text: str, n_columns: int, dtype: np.dtype[Any], may_be_missing: bool = False
) -> NDArray[Any]:
    rows = parsed(text)
    right = isinstance(rows, list) and 0 < len(rows) <= 64
    if not right or not all(isinstance(row, list) and len(row) == n_columns for row in rows):
        raise ValueError("examples of another shape")
    if may_be_missing:
        rows = [[math.nan if one is None else one for one in row] for row in rows]
    if not all(type(one) in (int, float) for row in rows for one in row):
        raise ValueError("examples that are no numbers")
    return np.array(rows, dtype)


def _said(drawn: bool, about: Description) -> str:
    return f"{EXAMPLES_X}: {drawn_in_words(about) if drawn else GIVEN}"


def _model_of(graph: Graph) -> Any:
    """The ModelProto; the same graph always gives the same one."""
    onnx = _onnx()
    from onnx import TensorProto, helper

    stored = graph.stored
    about = stored.description
    layers = layers_of(stored.theta, about.shapes)
    nodes, constants = _nodes(graph, layers)
    element = TensorProto.FLOAT if about.dtype == "float32" else TensorProto.DOUBLE
    inputs = [helper.make_tensor_value_info(INPUT, element, [None, about.sizes[0]])]
    proto = helper.make_model(
        helper.make_graph(nodes, "network", inputs, _outputs(about, element), constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="mlp-engine",
        producer_version=about.versions.get("mlp-engine", ""),
        doc_string=about.in_words,
    )
    texts = {
        **about.metadata(),
        FINGERPRINT: fingerprint_of(arrays_of(stored.theta, about)),
        EXAMPLES_ARE: f"{_said(graph.drawn, about)}.",
        EXAMPLES_X: json.dumps(_as_lists(stored.examples.X)),
        EXAMPLES_OUTPUTS: json.dumps(stored.examples.outputs.tolist()),
    }
    n_bytes = stored.theta.nbytes + sum(map(len, texts.values()))
    if n_bytes > MOST_BYTES:  # before protobuf says so in its own words
        raise ValueError("The network is too large for an .onnx file; save it as .safetensors.")
    for name in sorted(texts):
        proto.metadata_props.add(key=name, value=texts[name])
    content = proto.SerializeToString(deterministic=True)
    proto.metadata_props.add(key=CHECKSUM, value=hashlib.sha256(content).hexdigest())
    onnx.checker.check_model(proto)
    return proto


def _nodes(
    graph: Graph, layers: list[tuple[NDArray[Any], NDArray[Any]]]
) -> tuple[list[Any], list[Any]]:
    """The operations of the graph, from X to the outputs, and its constants."""
    from onnx import helper, numpy_helper

    about = graph.stored.description
    nodes, constants = [], []

    def constant(name: str, values: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def result(operation: str, *inputs: str, name: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operation, list(inputs), [name], name=name, **attributes))
        return name

    A = INPUT
    if MEAN in graph.scaling:
        A = result("Sub", A, constant(MEAN, graph.scaling[MEAN]), name="centred")
    if SCALE in graph.scaling:
        A = result("Div", A, constant(SCALE, graph.scaling[SCALE]), name="scaled")
    if about.embeddings is not None:
        A = _embedded(about, embedding_parts(graph.stored.theta, about), A, constant, result)
    last = {CLASSIFIER: PROBABILITIES, REGRESSOR: VALUES}.get(about.kind, OUTPUTS)
    last = OUTPUTS if about.n_levels else last
    for l, ((W, b), unit) in enumerate(zip(layers, about.units, strict=True)):
        Wl, bl = constant(f"layers.{l}.weight", W), constant(f"layers.{l}.bias", b)
        is_last = l == len(layers) - 1
        of_one = is_last and about.labels == BINARY
        name = ("probability" if of_one else last) if is_last else f"A{l + 1}"
        A = result("Gemm", A, Wl, bl, name=f"Z{l + 1}", transB=1)  # as F1
        over_units = {"axis": 1} if unit == "softmax" else {}
        A = result(UNITS[unit].onnx, A, name=name, **over_units)  # as F2 F3 F4 F5 F6 F7
    if about.n_levels:
        k = constant("levels", np.array([about.n_levels], np.int64))
        found = [VALUES, "places"]
        nodes.append(helper.make_node("TopK", [A, k], found, VALUES, axis=1, largest=0, sorted=1))
    if about.kind != CLASSIFIER:
        return nodes, constants
    classes = _classes_of(about)
    if about.labels == MULTICLASS:
        codes = result("ArgMax", A, name="code", axis=1, keepdims=0)
        result("Gather", constant("classes", classes), codes, name=LABEL)
        return nodes, constants
    half = constant("half", np.array(0.5, about.dtype))
    above = result("Greater", A, half, name="above")
    if about.labels == BINARY:
        one = constant("one", np.array(1, about.dtype))
        other = result("Sub", one, A, name="other")
        result("Concat", other, A, name=PROBABILITIES, axis=1)
        axis = constant("axis", np.array([1], np.int64))
        flat = result("Squeeze", result("Cast", above, name="codes", to=7), axis, name="code")
        if len(classes) == 1:  # all labels are alike
            flat = result("Mul", flat, constant("none", np.array(0, np.int64)), name="first")
        result("Gather", constant("classes", classes), flat, name=LABEL)
    else:
        result("Cast", above, name=LABEL, to=7)  # INT64
    return nodes, constants


def _embedded(
    about: Description,
    parts: dict[str, NDArray[Any]],
    X: str,
    constant: Callable[[str, Any], str],
    result: Callable[..., str],
) -> str:
    """E, a row for each sample, from X: the numbers of all inputs side by side."""
    entries = about.embeddings or []
    zero = constant("embeddings.zero", np.array(0, about.dtype))
    columns = []
    for f, entry in enumerate(entries):
        name = f"embeddings.{f}"
        place = constant(f"{name}.input", np.array([f], np.int64))
        x = result("Gather", X, place, name=f"{name}.x", axis=1)
        own = {part: parts[f"{name}.{part}"] for part in "cwuV" if f"{name}.{part}" in parts}
        if entry is None:
            columns.append(x)
        elif stored_embeddings.LEVELS in entry:
            axis = constant(f"{name}.axis", np.array([1], np.int64))
            code = result("Squeeze", result("Cast", x, name=f"{name}.codes", to=7), axis,
                          name=f"{name}.code")  # fmt: skip
            columns.append(
                result("Gather", constant(f"{name}.V", own["V"]), code, name=f"{name}.e", axis=0)
            )  # as E3
        else:
            columns.append(_in_pieces(name, entry, own, x, zero, constant, result))
    return result("Concat", *columns, name="embedded", axis=1)


def _in_pieces(
    name: str,
    entry: dict[str, Any],
    own: dict[str, NDArray[Any]],
    x: str,
    zero: str,
    constant: Callable[[str, Any], str],
    result: Callable[..., str],
) -> str:
    """The numbers of an input in pieces, which are computed in float64 as everywhere."""
    b, largest = np.array(entry[stored_embeddings.PIECES]), np.finfo(np.float64).max
    V = own["V"]
    element = {"float32": 1, "float64": 11}[V.dtype.name]
    absent = ""
    if entry["missing"]:
        absent = result("IsNaN", x, name=f"{name}.absent")
        x = result("Where", absent, zero, x, name=f"{name}.known")
    low, lengths = constant(f"{name}.low", b[:-1]), constant(f"{name}.lengths", b[1:] - b[:-1])
    share = result("Cast", x, name=f"{name}.wide", to=11)
    share = result("Sub", share, low, name=f"{name}.above")
    share = result("Div", share, lengths, name=f"{name}.shares")
    if len(b) > 2:  # the outer pieces go on outside
        least, most = np.zeros(len(b) - 1), np.ones(len(b) - 1)
        least[0], most[-1] = -largest, largest
        share = result("Max", share, constant(f"{name}.least", least), name=f"{name}.raised")
        share = result("Min", share, constant(f"{name}.most", most), name=f"{name}.pieces")
    share = result("Cast", share, name=f"{name}.narrow", to=element)  # as E1
    if absent:
        share = result("Where", absent, zero, share, name=f"{name}.known_pieces")
    line = result("Mul", x, constant(f"{name}.w", own["w"]), name=f"{name}.slope")
    line = result("Add", line, constant(f"{name}.c", own["c"]), name=f"{name}.line")
    bent = result("MatMul", share, constant(f"{name}.V", V), name=f"{name}.bends")
    e = result("Add", line, bent, name=f"{name}.sum" if absent else f"{name}.e")  # as E2
    if absent:
        u = result("Where", absent, constant(f"{name}.u", own["u"]), zero, name=f"{name}.of_absent")
        e = result("Add", e, u, name=f"{name}.e")
    return e


def _classes_of(about: Description) -> NDArray[Any]:
    """The classes as ONNX has them: whole numbers, floats, True and False, or texts."""
    classes = about.classes
    assert classes is not None
    if classes.dtype.kind in "iu":
        if int(classes.max()) > np.iinfo(np.int64).max:
            raise ValueError(
                f"The label {classes.max()} is larger than those of an .onnx file, which are "
                "int64; save the model as .safetensors, or fit on smaller numbers or texts."
            )
        return classes.astype(np.int64)
    return classes.astype(object) if classes.dtype.kind == "U" else classes


def _outputs(about: Description, element: int) -> list[Any]:
    from onnx import TensorProto, helper

    n_outputs = about.sizes[-1]
    if about.kind != CLASSIFIER:
        name = VALUES if about.kind == REGRESSOR else OUTPUTS
        return [helper.make_tensor_value_info(name, element, [None, n_outputs])]
    kinds = {"i": TensorProto.INT64, "b": TensorProto.BOOL, "O": TensorProto.STRING}
    kinds["f"] = TensorProto.FLOAT if about.classes_dtype == "float32" else TensorProto.DOUBLE
    several = about.labels not in (BINARY, MULTICLASS)
    labels = TensorProto.INT64 if several else kinds[_classes_of(about).dtype.kind]
    shape = [None, n_outputs] if several else [None]
    width = 2 if about.labels == BINARY else n_outputs
    return [
        helper.make_tensor_value_info(LABEL, labels, shape),
        helper.make_tensor_value_info(PROBABILITIES, element, [None, width]),
    ]


def _named(scaler: Any, rows: NDArray[Any]) -> Any:
    """Rows in the form that a scaler fitted on a table takes."""
    from engine.model_files.table_examples import PANDAS, table_of

    names = getattr(scaler, "feature_names_in_", None)
    if names is None:
        return rows
    return table_of(PANDAS, {str(name): rows[:, k] for k, name in enumerate(names)})


def _onnx() -> Any:
    try:
        import onnx
        import onnx.checker
    except ImportError as error:
        raise ImportError(
            f".onnx files need onnx, and {error.name} is not installed: {installed_by('models')}"
        ) from error
    return onnx
