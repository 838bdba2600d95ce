"""Files that someone made with care: well-formed, checksums right, and not to be trusted.

Each function takes a random generator and the bytes of a whole file, and gives a `Forgery`.
"""

import hashlib
import io
import json
import math
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import skops.io
from sklearn.pipeline import FeatureUnion, Pipeline

from engine.model_files import safetensors_file, skops_archive
from engine.model_files.trusted_types import TRUSTED
from engine.training.result import fingerprint_of

HUGE = (1 << 15, 1 << 31, (1 << 40) - 1, 1 << 62, 1 << 63, 1 << 64, 10**30, -1, 0)
NOT_FINITE = (math.nan, math.inf, -math.inf)
STRANGE: tuple[Any, ...] = (None, True, -1, 0, 1 << 62, 1e308, "", "\0", "../x", [], {}, [[]], "😀")
PATHS = (
    "../../escaped.npy",
    "/etc/passwd",
    "C:\\escaped.npy",
    "a/../../b.npy",
    "~/x.npy",
    "\\\\h\\x",
)
DEEP = 3000


class Forgery(NamedTuple):
    """A file, and whether each reader must refuse it.

    Where it need not, the file may as well be a whole model, another one than it was made from.
    """

    content: bytes
    must_be_refused: bool = True


Forge = Callable[[random.Random, bytes], Forgery]


# .safetensors: sealed anew, with right checksum and fingerprint.


def _opened(content: bytes) -> tuple[dict[str, str], dict[str, Any]]:
    return safetensors_file.read_tensors(Path("whole"), content)


def _sealed(metadata: dict[str, str], tensors: dict[str, Any]) -> bytes:
    layers = [tensors[name] for name in sorted(tensors) if name.startswith("layers.")]
    in_order = [
        tensors[name]
        for l in range(len(layers))
        for name in (f"layers.{l}.weight", f"layers.{l}.bias")
        if name in tensors
    ]
    return safetensors_file.tensor_bytes(
        {**metadata, "fingerprint": fingerprint_of(in_order)}, tensors
    )


def tensor_not_finite(generator: random.Random, content: bytes) -> Forgery:
    metadata, tensors = _opened(content)
    name = generator.choice([name for name in tensors if not name.startswith("training.")])
    changed = tensors[name].copy()
    changed.flat[generator.randrange(changed.size)] = generator.choice(NOT_FINITE)
    return Forgery(_sealed(metadata, {**tensors, name: changed}))


def tensor_of_another_shape(generator: random.Random, content: bytes) -> Forgery:
    metadata, tensors = _opened(content)
    name = generator.choice([name for name in tensors if name.startswith("layers.")])
    old = tensors[name]
    new = generator.choice(
        [old[..., :-1], old[:-1], old.reshape(1, -1, *[1] * (old.ndim - 2)), np.append(old, 0)]
    )
    if new.shape == old.shape:
        new = np.append(old, old)
    return Forgery(_sealed(metadata, {**tensors, name: new}))


def tensor_of_another_dtype(generator: random.Random, content: bytes) -> Forgery:
    metadata, tensors = _opened(content)
    name = generator.choice([name for name in tensors if not name.startswith("training.")])
    dtype = np.float32 if tensors[name].dtype == np.float64 else np.float64
    return Forgery(_sealed(metadata, {**tensors, name: tensors[name].astype(dtype)}))


def tensor_missing_or_more(generator: random.Random, content: bytes) -> Forgery:
    metadata, tensors = _opened(content)
    names = [name for name in tensors if not name.startswith("training.")]
    name, changed = generator.choice(names), dict(tensors)
    moved = changed.pop(name)
    if generator.random() < 0.5:
        changed[generator.choice([name + "x", "../" + name, "", "layers.99.weight"])] = moved
    return Forgery(_sealed(metadata, changed))


def other_text(generator: random.Random, content: bytes) -> Forgery:
    """One thing that the header says is another, or is missing."""
    metadata, tensors = _opened(content)
    name = generator.choice(sorted(metadata))
    texts = [json.dumps(value) for value in STRANGE] + [str(value) for value in HUGE]
    texts += [metadata[generator.choice(sorted(metadata))], "[" * DEEP, "9" * 5000]
    changed = {**metadata, name: generator.choice(texts)}
    if generator.random() < 0.2:
        del changed[name]
    return Forgery(_sealed(changed, tensors), must_be_refused=False)


def other_value(generator: random.Random, content: bytes) -> Forgery:
    """One value within a text of JSON is another."""
    metadata, tensors = _opened(content)
    name = generator.choice([n for n in sorted(metadata) if metadata[n][:1] in "[{"])
    value = with_another(generator, json.loads(metadata[name]))
    return Forgery(_sealed({**metadata, name: json.dumps(value)}, tensors), must_be_refused=False)


# .safetensors: a header that lies, above the same data.


def _with_header(content: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    changed = change(header)
    text = changed if isinstance(changed, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def huge_claim(generator: random.Random, content: bytes) -> Forgery:
    def change(header: dict[str, Any]) -> None:
        claim = header[generator.choice([name for name in header if name != "__metadata__"])]
        size = generator.choice(HUGE)
        if generator.random() < 0.5:
            claim["shape"] = [size] * generator.choice([1, 2, 40])
        else:
            claim["data_offsets"][generator.randrange(2)] = size if size else 1
        if generator.random() < 0.3:
            claim["dtype"] = generator.choice(["F16", "I64", "F8_E4M3", "C64", "x", None])
        if generator.random() < 0.3:
            claim["data_offsets"] = [0, math.prod(claim["shape"]) * 8]

    changed = _with_header(content, change)
    same = changed == _with_header(content, lambda header: None)
    return huge_claim(generator, content) if same else Forgery(changed)


def overlapping_claims(generator: random.Random, content: bytes) -> Forgery:
    def change(header: dict[str, Any]) -> None:
        names = [name for name in header if name != "__metadata__"]
        one, other = generator.sample(names, 2)
        header[one] = dict(header[other])

    return Forgery(_with_header(content, change))


def name_twice(generator: random.Random, content: bytes) -> Forgery:
    def change(header: dict[str, Any]) -> bytes:
        name = generator.choice(list(header))
        again = json.dumps({name: header[name]})[1:-1]
        return (json.dumps(header)[:-1] + ", " + again + "}").encode()

    return Forgery(_with_header(content, change))


def deep_header(generator: random.Random, content: bytes) -> Forgery:
    depth = generator.choice([70, DEEP, 200_000])
    opening, closing = generator.choice([("[", "]"), ('{"a":', "}")])
    text = f'{{"__metadata__": {opening * depth}1{closing * depth}}}'.encode()
    return Forgery(_with_header(content, lambda header: text))


def huge_header(generator: random.Random, content: bytes) -> Forgery:
    length = generator.choice([0, 1, len(content), 1 << 26, 1 << 32, 1 << 63, (1 << 64) - 1])
    return Forgery(length.to_bytes(8, "little") + content[8:])


# .skops


def _parts(content: bytes) -> dict[str, bytes]:
    return skops_archive.parts_of(Path("whole"), content)


def array_that_lies(generator: random.Random, content: bytes) -> Forgery:
    """The header of an array claims another shape or type than is there."""
    parts = _parts(content)
    name = generator.choice([n for n in parts if n.endswith(".npy") and len(parts[n]) > 128])
    dtype = generator.choice(["<f8", "|O", "<U1000000000", "<U0", "|V8", "<c16", "<M8[ns]", ">f8"])
    shape = generator.choice([(size,) for size in HUGE] + [(1 << 20, 1 << 20), "(1,)*9**9"])
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    if generator.random() < 0.2:
        header = generator.choice(["[" * 9000, "{" * 300, "__import__('os')", "-" * 9000 + "1"])
    text = header.encode() + b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    version = generator.choice([b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00"])
    length = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    data = parts[name].partition(b"\n")[2]
    return Forgery(_zipped({**parts, name: b"\x93NUMPY" + version + length + text + data}))


def array_not_finite(generator: random.Random, content: bytes) -> Forgery:
    """A parameter of a network is NaN, or another array holds what it should not."""
    parts = _parts(content)
    name = _array(generator, parts)
    array = np.load(io.BytesIO(parts[name]))
    if array.dtype.kind != "f" or array.size == 0:
        return Forgery(_zipped({**parts, name: _saved(array[:0])}), must_be_refused=False)
    array.flat[generator.randrange(array.size)] = generator.choice(NOT_FINITE)
    return Forgery(_zipped({**parts, name: _saved(array)}), must_be_refused=False)


def array_of_another_shape(generator: random.Random, content: bytes) -> Forgery:
    parts = _parts(content)
    name = _array(generator, parts)
    old = np.load(io.BytesIO(parts[name]))
    new = generator.choice(
        [old.ravel(), old[..., np.newaxis], old.ravel()[:0], np.append(old, old), old.astype("U9")]
    )
    return Forgery(_zipped({**parts, name: _saved(new)}), must_be_refused=False)


def other_schema_value(generator: random.Random, content: bytes) -> Forgery:
    parts = _parts(content)
    schema = with_another(generator, json.loads(parts["schema.json"]))
    changed = {**parts, "schema.json": json.dumps(schema).encode()}
    return Forgery(_zipped(changed), must_be_refused=False)


def other_description(generator: random.Random, content: bytes) -> Forgery:
    """A value in the description of a table's model, if it is one, is another."""
    parts = _parts(content)
    schema = json.loads(parts["schema.json"])
    texts = [n for n in skops_archive.nodes_of(schema) if isinstance(n.get("content"), str)]
    described = [n for n in texts if "target_reading" in n["content"]]
    if not described:
        return other_schema_value(generator, content)
    value = with_another(generator, json.loads(json.loads(described[0]["content"])))
    described[0]["content"] = json.dumps(json.dumps(value))
    changed = {**parts, "schema.json": json.dumps(schema).encode()}
    return Forgery(_zipped(changed), must_be_refused=False)


def other_kept_number(generator: random.Random, content: bytes) -> Forgery:
    """A whole number that a part keeps, alone or in an array, is another: most are never seen."""
    parts = _parts(content)
    schema = json.loads(parts["schema.json"])
    nodes = [
        n for n in skops_archive.nodes_of(schema) if str(n.get("content", "")).lstrip("-").isdigit()
    ]
    arrays = [n for n in parts if b"'descr': '<i8'" in parts[n][:60] and len(parts[n]) > 128]
    if arrays and generator.random() < 0.3:
        name = generator.choice(arrays)
        array = np.load(io.BytesIO(parts[name]))
        near = int(array.flat[0]) + generator.choice([-1, 1, 7])
        array.flat[generator.randrange(array.size)] = generator.choice([near, 10**6, -(2**62), -1])
        return Forgery(_zipped({**parts, name: _saved(array)}), must_be_refused=False)
    node = generator.choice(nodes)
    near = int(node["content"]) + generator.choice([-1, 1, 7])
    node["content"] = str(generator.choice([near, *HUGE, 10**6, 10**9]))
    changed = {**parts, "schema.json": json.dumps(schema).encode()}
    return Forgery(_zipped(changed), must_be_refused=False)


def doubling_steps(generator: random.Random, content: bytes) -> Forgery:
    """Steps of a few bytes, in a row, each of which doubles its features."""
    parts = _parts(content)
    estimator = skops.io.loads(skops_archive.archive_of(_of_skops(parts)), trusted=TRUSTED)
    twice = FeatureUnion([("one", "passthrough"), ("other", "passthrough")])
    steps = [(f"step {k}", twice) for k in range(generator.choice([12, 20, 40]))]
    made = skops.io.dumps(Pipeline([*steps, ("model", estimator)]))
    with zipfile.ZipFile(io.BytesIO(made)) as archived:
        schema = skops_archive.renumbered(
            {name: archived.read(name) for name in archived.namelist()}
        )
    kept = {name: parts[name] for name in (skops_archive.HEADER, skops_archive.EXAMPLES)}
    return Forgery(_zipped({**kept, **schema}))


def _of_skops(parts: dict[str, bytes]) -> dict[str, bytes]:
    return {
        n: p for n, p in parts.items() if n not in (skops_archive.HEADER, skops_archive.EXAMPLES)
    }


def other_node(generator: random.Random, content: bytes) -> Forgery:
    """A part of the model is of another type, or made in another way; or two are swapped."""
    parts = _parts(content)
    schema = json.loads(parts["schema.json"])
    node, other = (generator.choice(list(skops_archive.nodes_of(schema))) for _ in range(2))
    types = [
        "os.system",
        "builtins.eval",
        "numpy.ndarray",
        "builtins.str",
        "sklearn.svm._classes.SVC",
    ]
    loaders = ["TypeNode", "FunctionNode", "MethodNode", "ObjectNode", "ListNode", "CachedNode"]
    change = generator.randrange(5)
    if change == 0:
        node["__module__"], _, node["__class__"] = generator.choice(types).rpartition(".")
    elif change == 1:
        node["__loader__"] = generator.choice(loaders)
    elif change == 2:
        node["__id__"] = other["__id__"]
    elif change == 3:
        kept = json.loads(json.dumps(other))
        node.clear()
        node.update(kept)
    else:
        del node[generator.choice(list(node))]
    changed = {**parts, "schema.json": json.dumps(schema).encode()}
    return Forgery(_zipped(changed), must_be_refused=False)


def laughing_schema(generator: random.Random, content: bytes) -> Forgery:
    """Parts within parts that would take for ever, or one large array that is named many times.

    They stand where skops makes parts of them and then leaves them out.
    """
    parts = _parts(content)
    schema = json.loads(parts["schema.json"])
    kept = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode"}
    if generator.random() < 0.5:
        parts["777777.npy"] = _saved(np.zeros(12_500))
        array = {"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode"}
        array |= {"type": "numpy", "file": "777777.npy"}
        nodes = [{**array, "__id__": 10**6 + k} for k in range(2000)]
        part = {**kept, "__id__": 10**7, "content": nodes}
    else:
        part = {**kept, "__id__": 10**6, "content": []}
        for level in range(24):
            again = {**kept, "__id__": 10**6 + level, "content": []}
            part = {**kept, "__id__": 10**6 + level + 1, "content": [part, again]}
    schema["content"]["content"]["more"] = part
    changed = {**parts, "schema.json": json.dumps(schema).encode()}
    return Forgery(_zipped(changed))


def deep_part(generator: random.Random, content: bytes) -> Forgery:
    parts = _parts(content)
    name = generator.choice(["schema.json", "mlp-engine.json", "examples.json"])
    depth = generator.choice([70, DEEP, 200_000])
    text = generator.choice(["[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth])
    return Forgery(_zipped({**parts, name: text.encode()}))


def other_header_or_examples(generator: random.Random, content: bytes) -> Forgery:
    parts = _parts(content)
    name = generator.choice(["mlp-engine.json", "examples.json"])
    value = with_another(generator, json.loads(parts[name]))
    return Forgery(_zipped({**parts, name: json.dumps(value).encode()}), must_be_refused=False)


def path_trick(generator: random.Random, content: bytes) -> Forgery:
    """A part whose name leads out of the archive, or that is a link."""
    parts = _parts(content)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archived:
        for name, part in parts.items():
            archived.writestr(zipfile.ZipInfo(name), part)
        entry = zipfile.ZipInfo(generator.choice(PATHS))
        if generator.random() < 0.3:
            entry = zipfile.ZipInfo("1.npy.link")
            entry.external_attr = 0o120777 << 16
        archived.writestr(entry, b"/etc/passwd")
    return Forgery(buffer.getvalue())


def array_elsewhere(generator: random.Random, content: bytes) -> Forgery:
    """An array is asked for by a path."""
    parts = _parts(content)
    schema = json.loads(parts["schema.json"])
    nodes = [node for node in skops_archive.nodes_of(schema) if "file" in node]
    generator.choice(nodes)["file"] = generator.choice([*PATHS, "schema.json", "mlp-engine.json"])
    return Forgery(_zipped({**parts, "schema.json": json.dumps(schema).encode()}))


def zip_bomb(generator: random.Random, content: bytes) -> Forgery:
    parts = _parts(content)
    name = generator.choice([_array(generator, parts), "schema.json", "examples.json"])
    size = generator.choice([10**5, 10**7])
    method = generator.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
    return Forgery(_zipped({**parts, name: bytes(size)}, method))


def part_twice(generator: random.Random, content: bytes) -> Forgery:
    parts = _parts(content)
    name = generator.choice(list(parts))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archived:
        for other, part in [*parts.items(), ("twice", parts[name])]:
            archived.writestr(zipfile.ZipInfo(other), part)
    # zipfile warns of a name that stands twice; so it is put there afterwards.
    again = buffer.getvalue().replace(b"twice", name.ljust(5, "x")[:5].encode())
    return Forgery(again)


def zip_sizes_that_lie(generator: random.Random, content: bytes) -> Forgery:
    """A part claims to be elsewhere, or far larger, in the list at the end of the archive."""
    changed = bytearray(content)
    entries = [
        start for start in range(len(content) - 46) if content[start : start + 4] == b"PK\1\2"
    ]
    start = generator.choice(entries)
    field = generator.choice([20, 24, 42])  # compressed size, size, place
    changed[start + field : start + field + 4] = (1 << 31).to_bytes(4, "little")
    return Forgery(bytes(changed))


def _array(generator: random.Random, parts: dict[str, bytes]) -> str:
    return generator.choice([name for name in parts if name.endswith(".npy")])


def _saved(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _zipped(parts: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archived:
        for name, part in parts.items():
            archived.writestr(zipfile.ZipInfo(name), part, method)
    return buffer.getvalue()


# .onnx


def other_graph(generator: random.Random, content: bytes) -> Forgery:
    proto = onnx.load_model_from_string(content)
    tensors = proto.graph.initializer
    tensor = generator.choice([tensor for tensor in tensors if tensor.raw_data])
    node = generator.choice(proto.graph.node)
    change = generator.randrange(9)
    if change == 0:
        tensor.dims[:] = [generator.choice([1 << 31, 1 << 62, 3, -1])] * generator.choice([1, 2, 9])
    elif change == 1:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=generator.choice(PATHS))
    elif change == 2:
        node.op_type = generator.choice(["Loop", "If", "Scan", "Tanh", "Neg", "x"])
    elif change == 3:
        node.attribute.extend([onnx.helper.make_attribute("then_branch", proto.graph)])
    elif change == 4:
        proto.graph.node.extend([node] * generator.choice([1, 1000]))
    elif change == 5:
        tensor.raw_data = tensor.raw_data[:-1] + generator.choice([b"", b"\0\0"])
    elif change == 6:
        del proto.graph.node[generator.randrange(len(proto.graph.node))]
    elif change == 7:
        proto.functions.add(name="f", domain="d")
    else:
        proto.opset_import.add(domain="com.microsoft", version=1)
    changed = proto.SerializeToString()
    return other_graph(generator, content) if changed == content else Forgery(changed)


def graph_not_finite(generator: random.Random, content: bytes) -> Forgery:
    proto = onnx.load_model_from_string(content)
    tensor = generator.choice([t for t in proto.graph.initializer if t.name.startswith("layers.")])
    dtype = np.float32 if tensor.data_type == onnx.TensorProto.FLOAT else np.float64
    values = np.frombuffer(tensor.raw_data, dtype).copy()
    values[generator.randrange(len(values))] = generator.choice(NOT_FINITE)
    tensor.raw_data = values.tobytes()
    return Forgery(proto.SerializeToString())


def other_graph_text(generator: random.Random, content: bytes) -> Forgery:
    proto = onnx.load_model_from_string(content)
    entry = generator.choice(proto.metadata_props)
    try:
        entry.value = json.dumps(with_another(generator, json.loads(entry.value)))
    except ValueError:
        entry.value = generator.choice(["", "9" * 5000, "[" * DEEP, json.dumps(STRANGE)])
    kept = [entry for entry in proto.metadata_props if entry.key != "checksum"]
    del proto.metadata_props[:]
    proto.metadata_props.extend(kept)
    checksum = hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()
    proto.metadata_props.add(key="checksum", value=checksum)
    return Forgery(proto.SerializeToString(), must_be_refused=False)


FORGERIES: dict[str, dict[str, Forge]] = {
    ".safetensors": {
        "NaN or infinity": tensor_not_finite,
        "wrong shape": tensor_of_another_shape,
        "wrong dtype": tensor_of_another_dtype,
        "tensor missing or more": tensor_missing_or_more,
        "another text": other_text,
        "another value": other_value,
        "huge claim": huge_claim,
        "overlapping claims": overlapping_claims,
        "a name twice": name_twice,
        "deep nesting": deep_header,
        "huge header": huge_header,
    },
    ".skops": {
        "an array that lies": array_that_lies,
        "NaN or infinity": array_not_finite,
        "wrong shape": array_of_another_shape,
        "another value": other_schema_value,
        "another kept number": other_kept_number,
        "another description": other_description,
        "another type": other_node,
        "parts within parts": laughing_schema,
        "steps that double": doubling_steps,
        "deep nesting": deep_part,
        "another text": other_header_or_examples,
        "path trick": path_trick,
        "array elsewhere": array_elsewhere,
        "zip bomb": zip_bomb,
        "a name twice": part_twice,
        "huge claim": zip_sizes_that_lie,
    },
    ".onnx": {
        "another graph": other_graph,
        "NaN or infinity": graph_not_finite,
        "another text": other_graph_text,
    },
}


def with_another(generator: random.Random, value: Any) -> Any:
    """The same JSON with one value in it replaced."""
    places: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict | list):
            keys = part.keys() if isinstance(part, dict) else range(len(part))
            places += [(part, key) for key in keys]
            waiting += [part[key] for key in keys]
    if not places:
        return generator.choice(STRANGE)
    part, key = generator.choice(places)
    if isinstance(part[key], int) and generator.random() < 0.5:
        part[key] = generator.choice(HUGE)
    elif isinstance(part[key], str) and generator.random() < 0.3:
        part[key] = generator.choice(["NaN", "[" * 100, "1" * 4000, '"' + "x" * 9, "null", "[1]"])
    else:
        part[key] = generator.choice(STRANGE)
    return value
