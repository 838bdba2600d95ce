"""A network in a .safetensors file: texts and tensors, each checked before it is used.

A file is first checked against its layout (engine/system/tensor_layout.py), and then also read by
the `safetensors` library. The check finds names that occur twice, which some readers miss, and
compares the stated sizes with the actual ones before anything is allocated.
"""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.model_files.description import Description, described
from engine.model_files.errors import ModelFileError, damaged
from engine.model_files.safe_reading import parsed
from engine.model_files.stored_embeddings import shapes_of
from engine.model_files.stored_network import (
    GIVEN,
    Examples,
    StoredNetwork,
    arrays_of,
    drawn_in_words,
    embedding_parts,
    layers_of,
    require_inputs,
)
from engine.system.tensor_layout import LENGTH_BYTES, laid_out
from engine.training.result import fingerprint_of

Tensors = dict[str, NDArray[Any]]

DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
CHECKSUM, FINGERPRINT = "checksum", "fingerprint"
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
MOST_DIMENSIONS = 2
LONGEST_HEADER = 1 << 26  # 64 MB; a million names of features take a quarter of it


class Claim(NamedTuple):
    """What a header says of a tensor: it stands at data[begin:end]."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def checksum_of(metadata: Mapping[str, str], tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of all texts except the checksum itself, and of all tensors, in order of names.

    What is hashed, in UTF-8: for each text its name, a zero byte, the text, a zero byte; for each
    tensor its name, a zero byte, "F32" or "F64", a zero byte, its shape as in "4,16", a zero byte,
    and its bytes as they stand in the file.
    """
    digest = hashlib.sha256()
    for name in sorted(metadata):
        if name != CHECKSUM:
            digest.update(f"{name}\0{metadata[name]}\0".encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
        dtype, shape = _NAMES[little_endian.dtype], ",".join(map(str, array.shape))
        digest.update(f"{name}\0{dtype}\0{shape}\0".encode())
        digest.update(little_endian.data if array.size else b"")
    return digest.hexdigest()


def tensor_bytes(metadata: Mapping[str, str], tensors: Tensors) -> bytes:
    """The bytes of a file with these, and their checksum; the same model gives the same bytes."""
    texts = {**metadata, CHECKSUM: checksum_of(metadata, tensors)}
    beginning, in_order = laid_out(texts, tensors)
    return b"".join([beginning, *(tensor.tobytes() for tensor in in_order)])


def read_tensors(path: Path, content: bytes) -> tuple[dict[str, str], Tensors]:
    """The texts and tensors of a file; ModelFileError for one that is not as it was written."""
    try:
        header, start = _header(content)
        metadata = _metadata(header)
        claims = {name: _claim(name, claim) for name, claim in header.items()}
        _require_gapless(claims, len(content) - start)
        tensors = _tensors(content, claims)
    except MemoryError:  # a large file may be valid nevertheless
        raise
    except Exception as error:  # whatever a damaged file leads json, numpy or the library to
        raise _refused(path, error) from error
    if metadata.get(CHECKSUM) != checksum_of(metadata, tensors):
        raise damaged(path, "its contents are not those that its checksum was made of.")
    return metadata, tensors


def _header(content: bytes) -> tuple[dict[str, Any], int]:
    """What the header says, and where the data begin."""
    if len(content) < LENGTH_BYTES:
        raise ValueError(f"{len(content)} bytes are too few")
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    if not 2 <= length <= min(len(content) - LENGTH_BYTES, LONGEST_HEADER):
        raise ValueError(f"a header of {length} bytes is claimed")
    start = LENGTH_BYTES + length
    header = parsed(content[LENGTH_BYTES:start])
    if not isinstance(header, dict):
        raise ValueError("the header holds no names")
    return header, start


def _metadata(header: dict[str, Any]) -> dict[str, str]:
    """The texts, which are removed from the header; the tensors remain in it."""
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("the header has no texts that describe the model")
    return metadata


def _claim(name: str, claim: Any) -> Claim:
    """The description of a tensor, which must not contradict itself."""
    if not isinstance(claim, dict) or claim.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {name!r:.60} is not described")
    dtype, shape, offsets = claim["dtype"], claim["shape"], claim["data_offsets"]
    if dtype not in DTYPES:
        raise ValueError(f"tensor {name!r:.60} has dtype {dtype!r:.20}")
    if not _are_counts(shape) or len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"tensor {name!r:.60} has shape {shape!r:.60}")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise ValueError(f"tensor {name!r:.60} has offsets {offsets!r:.60}")
    if offsets[1] - offsets[0] != math.prod(shape) * DTYPES[dtype].itemsize:
        raise ValueError(f"tensor {name!r:.60} of shape {shape} has offsets {offsets}")
    return Claim(DTYPES[dtype], tuple(shape), *offsets)


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < 1 << 40 for v in values)


def _require_gapless(claims: Mapping[str, Claim], n_bytes: int) -> None:
    """ValueError unless each byte of the data belongs to exactly one tensor."""
    reached = 0
    for claim in sorted(claims.values(), key=lambda claim: (claim.begin, claim.end)):
        if claim.begin != reached:
            raise ValueError(f"tensors overlap, or leave gaps, at byte {reached} of the data")
        reached = claim.end
    if reached != n_bytes:
        raise ValueError(f"tensors of {reached} bytes are claimed, and {n_bytes} are there")


def _tensors(content: bytes, claims: Mapping[str, Claim]) -> Tensors:
    """The tensors as the library reads them; they must be those that the header describes."""
    import safetensors

    found = dict(safetensors.deserialize(content))  # type: ignore[no-untyped-call]
    if found.keys() != claims.keys():
        raise ValueError("the safetensors library reads other tensors than the header names")
    return {
        name: np.frombuffer(found[name]["data"], claim.dtype).reshape(claim.shape)
        for name, claim in claims.items()
    }


def _refused(path: Path, error: Exception) -> ModelFileError:
    return ModelFileError(f"{path} is no .safetensors file, or not the whole of one: {error}.")


# The network: which tensors there are, and what they mean.

ENDING = ".safetensors"
WEIGHT, BIAS = "layers.{}.weight", "layers.{}.bias"
INPUTS, OUTPUTS = "examples.X", "examples.outputs"
EXAMPLES = "examples"
CURVES = ("loss_curve_", "validation_loss_curve_", "validation_scores_")
CURVE = "training.{}"
MOST_EXAMPLES = 64


def network_bytes(stored: StoredNetwork, drawn: bool) -> bytes:
    """The bytes of a file; `drawn` says where the examples come from."""
    layers = layers_of(stored.theta, stored.description.shapes)
    tensors: Tensors = {}
    for l, (W, b) in enumerate(layers):
        tensors[WEIGHT.format(l)], tensors[BIAS.format(l)] = W, b
    tensors |= embedding_parts(stored.theta, stored.description)
    tensors[INPUTS], tensors[OUTPUTS] = stored.examples
    for name, curve in stored.curves.items():
        tensors[CURVE.format(name.rstrip("_"))] = curve
    texts = {
        **stored.description.metadata(),
        EXAMPLES: f"{INPUTS}: {drawn_in_words(stored.description) if drawn else GIVEN}.",
        FINGERPRINT: fingerprint_of(arrays_of(stored.theta, stored.description)),
    }
    return tensor_bytes(texts, tensors)


def read_network(path: Path, content: bytes) -> StoredNetwork:
    """What a file holds. ModelFileError where it is not a model, or not as it was written."""
    metadata, tensors = read_tensors(path, content)
    try:
        about = described(metadata)
        return _stored(about, metadata, tensors)
    except ValueError as error:
        raise damaged(path, f"{error}.") from error


def _stored(about: Description, metadata: dict[str, str], tensors: Tensors) -> StoredNetwork:
    dtype = np.dtype(about.dtype)
    parts: list[NDArray[Any]] = []
    left = dict(tensors)
    for l, (n_out, n_in) in enumerate(about.shapes):
        parts.append(_taken(left, WEIGHT.format(l), (n_out, n_in), dtype))
        parts.append(_taken(left, BIAS.format(l), (n_out,), dtype))
    for name, shape in shapes_of(about.embeddings):
        parts.append(_taken(left, name, shape, dtype))
    if metadata.get(FINGERPRINT) != fingerprint_of(parts):
        raise ValueError("the fingerprint is not that of the parameters")
    n_rows = len(left.get(INPUTS, ()))
    if EXAMPLES not in metadata or not 0 < n_rows <= MOST_EXAMPLES:
        raise ValueError(f"{n_rows} examples, or none that say where they come from")
    finite = about.embeddings is None
    examples = Examples(
        _taken(left, INPUTS, (n_rows, about.sizes[0]), dtype, finite),
        _taken(left, OUTPUTS, (n_rows, about.sizes[-1]), dtype),
    )
    require_inputs(examples.X, about)
    curves = {}
    for name in CURVES:
        curve = left.pop(CURVE.format(name.rstrip("_")), None)
        if curve is not None:
            if curve.ndim != 1 or curve.dtype != np.float64:
                raise ValueError(f"a curve of shape {curve.shape} and dtype {curve.dtype}")
            curves[name] = curve.astype(float)
    if left:
        raise ValueError(f"tensors that no model has: {', '.join(sorted(left)):.120}")
    theta = np.concatenate([part.ravel() for part in parts]).astype(dtype, copy=False)
    return StoredNetwork(about, theta, examples, curves, metadata)


def _taken(
    tensors: Tensors,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    finite: bool = True,
) -> NDArray[Any]:
    """A tensor of that shape and dtype, all numbers finite; it is taken out of the others."""
    if name not in tensors:
        raise ValueError(f"there is no tensor {name}")
    tensor = tensors.pop(name)
    if tensor.shape != shape or tensor.dtype != dtype:
        raise ValueError(
            f"{name} has shape {tensor.shape} and dtype {tensor.dtype}, for {shape} and {dtype}"
        )
    if finite and not np.isfinite(tensor).all():
        raise ValueError(f"{name} holds NaN or infinity")
    return tensor
