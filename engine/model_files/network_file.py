"""A network in a .safetensors file: tensors, and what they mean."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.model_files import tensor_file
from engine.model_files.description import Description, described
from engine.model_files.errors import damaged
from engine.model_files.examples import DRAWN, GIVEN, Examples
from engine.model_files.stored import Stored, layers_of
from engine.model_files.tensor_file import FINGERPRINT, Tensors
from engine.training.result import fingerprint_of

ENDING = ".safetensors"
WEIGHT, BIAS = "layers.{}.weight", "layers.{}.bias"
INPUTS, OUTPUTS = "examples.X", "examples.outputs"
EXAMPLES = "examples"
CURVES = ("loss_curve_", "validation_loss_curve_", "validation_scores_")
CURVE = "training.{}"
MOST_EXAMPLES = 64


def written(stored: Stored, drawn: bool) -> bytes:
    """The bytes of a file; `drawn` says where the examples come from."""
    layers = layers_of(stored.theta, stored.description.shapes)
    tensors: Tensors = {}
    for l, (W, b) in enumerate(layers):
        tensors[WEIGHT.format(l)], tensors[BIAS.format(l)] = W, b
    tensors[INPUTS], tensors[OUTPUTS] = stored.examples
    for name, curve in stored.curves.items():
        tensors[CURVE.format(name.rstrip("_"))] = curve
    texts = {
        **stored.description.metadata(),
        EXAMPLES: f"{INPUTS}: {DRAWN if drawn else GIVEN}.",
        FINGERPRINT: fingerprint_of(array for layer in layers for array in layer),
    }
    return tensor_file.written(texts, tensors)


def read(path: Path, content: bytes) -> Stored:
    """What a file holds. ModelFileError where it is not a model, or not as it was written."""
    metadata, tensors = tensor_file.read(path, content)
    try:
        about = described(metadata)
        return _stored(about, metadata, tensors)
    except ValueError as error:
        raise damaged(path, f"{error}.") from error


def _stored(about: Description, metadata: dict[str, str], tensors: Tensors) -> Stored:
    dtype = np.dtype(about.dtype)
    parts: list[NDArray[Any]] = []
    left = dict(tensors)
    for l, (n_out, n_in) in enumerate(about.shapes):
        parts.append(_taken(left, WEIGHT.format(l), (n_out, n_in), dtype))
        parts.append(_taken(left, BIAS.format(l), (n_out,), dtype))
    if metadata.get(FINGERPRINT) != fingerprint_of(parts):
        raise ValueError("the fingerprint is not that of the parameters")
    n_rows = len(left.get(INPUTS, ()))
    if EXAMPLES not in metadata or not 0 < n_rows <= MOST_EXAMPLES:
        raise ValueError(f"{n_rows} examples, or none that say where they come from")
    examples = Examples(
        _taken(left, INPUTS, (n_rows, about.sizes[0]), dtype),
        _taken(left, OUTPUTS, (n_rows, about.sizes[-1]), dtype),
    )
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
    return Stored(about, theta, examples, curves, metadata)


def _taken(
    tensors: Tensors, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """A tensor of that shape and dtype, all numbers finite; it is taken out of the others."""
    if name not in tensors:
        raise ValueError(f"there is no tensor {name}")
    tensor = tensors.pop(name)
    if tensor.shape != shape or tensor.dtype != dtype:
        raise ValueError(
            f"{name} has shape {tensor.shape} and dtype {tensor.dtype}, for {shape} and {dtype}"
        )
    if not np.isfinite(tensor).all():
        raise ValueError(f"{name} holds NaN or infinity")
    return tensor
