"""What a file says of a network: the header of a .safetensors file, the metadata of an .onnx file.

Each value is a text, as both formats have it; docs/model-files.md lists them.
"""

import itertools
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import __version__
from engine.equations.units import HIDDEN_UNITS, OUTPUT_UNITS
from engine.model_files import stored_embeddings, stored_loss
from engine.model_files.safe_reading import parsed

FORMAT, FORMAT_VERSION = "mlp-engine", "1"
NETWORK, CLASSIFIER, REGRESSOR = "network", "classifier", "regressor"
BINARY, MULTICLASS, MULTILABEL = "binary", "multiclass", "multilabel-indicator"
TEXT, OBJECT = "text", "text objects"
NUMBERS = (
    *("bool", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64", "float32", "float64"),
)
# The output units that each kind of model may have.
OUTPUTS = {
    BINARY: ("sigmoid",),
    MULTICLASS: ("softmax",),
    MULTILABEL: ("sigmoid",),
    REGRESSOR: ("identity", "exp", "sigmoid"),  # the last with a loss of the user's own
    NETWORK: OUTPUT_UNITS,
}
MOST_WIDE = 1 << 16  # characters of a label that is kept in an array of text


@dataclass(frozen=True)
class Description:
    """A network, what its outputs mean, and what it takes to make its estimator again.

    Attributes
    ----------
    sizes, hidden, output
        As of `engine.Network`.
    dtype : str
        "float32" or "float64".
    kind : str
        "network", "classifier" or "regressor".
    labels : str
        Of a classifier: "binary", "multiclass" or "multilabel-indicator".
    classes : ndarray (n_classes,) or None
    sparse : bool
        Whether a classifier of several labels gives a sparse matrix of them.
    feature_names : tuple of str
        Empty where the model was trained without any.
    estimator : dict
        "parameters" and "fitted" numbers of an estimator, to continue its training.
    versions : dict
        Of the packages that wrote it.
    loss : dict or None
        As in stored_loss.py; None is the one that belongs to the output.
    embeddings : list or None
        As in stored_embeddings.py.
    """

    sizes: tuple[int, ...]
    hidden: tuple[str, ...]
    output: str
    dtype: str
    kind: str = NETWORK
    labels: str = ""
    classes: NDArray[Any] | None = None
    sparse: bool = False
    feature_names: tuple[str, ...] = ()
    estimator: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=lambda: versions())
    loss: dict[str, Any] | None = None
    embeddings: list[dict[str, Any] | None] | None = None

    @property
    def dense_sizes(self) -> tuple[int, ...]:
        """`sizes`, with the numbers that the inputs become in place of the inputs."""
        if self.embeddings is None:
            return self.sizes
        return sum(map(stored_embeddings.width_of, self.embeddings)), *self.sizes[1:]

    @property
    def n_levels(self) -> int:
        """The quantiles that it predicts of one target; 0 if it predicts something else."""
        levels = [] if self.loss is None else self.loss.get("numbers", [])
        return len(levels) if self.kind == REGRESSOR and len(levels) > 1 else 0

    @property
    def units(self) -> tuple[str, ...]:
        """The unit of each layer from 1."""
        return (*self.hidden, self.output)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(n_out, n_in) of each layer from 1."""
        return [(n_out, n_in) for n_in, n_out in itertools.pairwise(self.dense_sizes)]

    @property
    def in_words(self) -> str:
        """The network, as its repr has it."""
        hidden = ", ".join(dict.fromkeys(self.hidden)) + " hidden units, " if self.hidden else ""
        loss = "" if self.loss is None else f"{stored_loss.in_words(self.loss)}, "
        embeddings = stored_embeddings.in_words(self.embeddings)
        shape = "-".join(map(str, self.sizes))
        return f"{shape}: {hidden}{self.output} output, {loss}{embeddings}{self.dtype}"

    @property
    def classes_dtype(self) -> str:
        """The dtype of the classes, empty where there are none."""
        return "" if self.classes is None else self.classes.dtype.name

    def renamed(self, feature_names: tuple[str, ...]) -> "Description":
        """The same with other names of features."""
        return replace(self, feature_names=feature_names)

    def metadata(self) -> dict[str, str]:
        """All of it as texts."""
        found = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "versions": _text(self.versions),
            "model": self.kind,
            "sizes": _text(list(self.sizes)),
            "hidden": _text(list(self.hidden)),
            "output": self.output,
            "dtype": self.dtype,
            "predictions": self.meaning,
        }
        if self.loss is not None:
            found["loss"] = _text(self.loss)
        if self.embeddings is not None:
            found["embeddings"] = _text(self.embeddings)
        if self.classes is not None:
            found["labels"] = self.labels
            found["classes"] = _text(self.classes.tolist())
            found["classes_type"] = _type_of(self.classes)
            found["sparse"] = _text(self.sparse)
        if self.feature_names:
            found["feature_names"] = _text(list(self.feature_names))
        if self.estimator:
            found["estimator"] = _text(self.estimator)
        return found

    @property
    def meaning(self) -> str:
        """What the activations of the output layer are, in words."""
        if self.labels == BINARY:
            return (
                "The output is the probability of the last class. The label is the last class "
                "where it is above 0.5, else the first."
            )
        if self.labels == MULTICLASS:
            return (
                "Output j is the probability of class j, counted from 0. The label is the class of "
                "the largest; the first of them where several are."
            )
        if self.labels == MULTILABEL:
            return "Output j is the probability of label j, which is given where it is above 0.5."
        if self.n_levels:
            return (
                "The outputs, sorted from the lowest, are the quantiles of the levels of the loss."
            )
        if self.kind == REGRESSOR:
            return "Output j is the prediction of target j."
        return "The activations of the output layer."


def described(metadata: Mapping[str, str]) -> Description:
    """The description in a file; ValueError if it is not valid."""
    if metadata.get("format") != FORMAT:
        raise ValueError(f"no header says that it is a model of {FORMAT}")
    _require_version(metadata)
    missing = {"versions", "model", "sizes", "hidden", "output", "dtype", "predictions"}
    missing -= metadata.keys()
    if missing:
        raise ValueError(f"the header has no {' and no '.join(sorted(missing))}")
    sizes = parsed(metadata["sizes"])
    _require(_are_sizes(sizes), f"sizes of layers {metadata['sizes']:.60}")
    hidden = parsed(metadata["hidden"])
    known = isinstance(hidden, list) and all(unit in HIDDEN_UNITS for unit in hidden)
    _require(known and len(hidden) == len(sizes) - 2, f"hidden units {metadata['hidden']:.60}")
    kind, dtype = metadata["model"], metadata["dtype"]
    _require(kind in (NETWORK, CLASSIFIER, REGRESSOR), f"model {kind:.60}")
    _require(dtype in ("float32", "float64"), f"dtype {dtype:.60}")
    classes = _classes(metadata, sizes[-1]) if kind == CLASSIFIER else None
    labels = metadata["labels"] if kind == CLASSIFIER else ""
    _require(metadata["output"] in OUTPUTS[labels or kind], f"output {metadata['output']:.60}")
    loss = parsed(metadata["loss"]) if "loss" in metadata else None
    own = kind != CLASSIFIER and stored_loss.is_loss(loss, metadata["output"], sizes[-1])
    _require(own or "loss" not in metadata, f"loss {metadata.get('loss', ''):.60}")
    _require(loss is not None or (kind, metadata["output"]) != (REGRESSOR, "sigmoid"), "output")
    embeddings = parsed(metadata["embeddings"]) if "embeddings" in metadata else None
    own = embeddings is None or stored_embeddings.are_embeddings(embeddings, sizes[0])
    _require(own and ("embeddings" in metadata) == (embeddings is not None), "embeddings")
    names = _texts("feature_names", metadata.get("feature_names", "[]"))
    _require(len(names) in (0, sizes[0]), f"{len(names)} names of {sizes[0]} features")
    estimator = parsed(metadata.get("estimator", "{}"))
    _require(isinstance(estimator, dict), "the estimator's parameters")
    found = Description(
        sizes=tuple(sizes),
        hidden=tuple(hidden),
        output=metadata["output"],
        dtype=dtype,
        kind=kind,
        labels=labels,
        classes=classes,
        sparse=parsed(metadata.get("sparse", "false")) is True,
        feature_names=names,
        estimator=estimator,
        versions=_versions_of(metadata["versions"]),
        loss=loss,
        embeddings=embeddings,
    )
    _require(found.meaning == metadata["predictions"], "what predictions mean")
    return found


def versions() -> dict[str, str]:
    """Of the packages that computed the numbers."""
    return {
        "mlp-engine": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"{what} make no sense")


def _require_version(metadata: Mapping[str, str]) -> None:
    actual = metadata.get("format_version", "")
    if actual != FORMAT_VERSION:
        wrote = _versions_of(metadata.get("versions", "{}")).get("mlp-engine", "another")
        raise ValueError(
            f"it has format version {actual:.20}, and this version of mlp-engine reads "
            f"{FORMAT_VERSION}; it was written by mlp-engine {wrote:.20}"
        )


def _versions_of(text: str) -> dict[str, str]:
    found = parsed(text)
    right = isinstance(found, dict) and all(isinstance(value, str) for value in found.values())
    _require(right, "versions")
    return dict(found)


def _are_sizes(sizes: Any) -> bool:
    return (
        isinstance(sizes, list)
        and len(sizes) >= 2
        and all(type(size) is int and 0 < size < 1 << 40 for size in sizes)
    )


def _texts(what: str, text: str) -> tuple[str, ...]:
    found = parsed(text)
    _require(isinstance(found, list) and all(isinstance(one, str) for one in found), what)
    return tuple(found)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _type_of(classes: NDArray[Any]) -> str:
    if classes.dtype.kind == "O":
        return OBJECT
    return TEXT if classes.dtype.kind == "U" else classes.dtype.name


def _classes(metadata: Mapping[str, str], n_outputs: int) -> NDArray[Any]:
    """The classes as an array, of a size that the text itself has."""
    missing = {"labels", "classes", "classes_type"} - metadata.keys()
    _require(not missing, f"a classifier's header without {sorted(missing)}")
    labels, kind = metadata["labels"], metadata["classes_type"]
    _require(labels in (BINARY, MULTICLASS, MULTILABEL), f"labels {labels:.60}")
    values = parsed(metadata["classes"])
    _require(isinstance(values, list) and len(values) > 0, "classes")
    n_classes = len(values)
    right = n_classes in (1, 2) and n_outputs == 1 if labels == BINARY else n_classes == n_outputs
    _require(right, f"{n_classes} classes and {n_outputs} outputs")
    if kind in (TEXT, OBJECT):
        _require(all(isinstance(value, str) for value in values), "classes of text")
        return _text_array(values, kind)
    _require(kind in NUMBERS, f"classes of type {kind:.60}")
    wanted = bool if kind == "bool" else (float if kind.startswith("float") else int)
    _require(all(type(value) is wanted for value in values), f"classes of {kind}")
    try:
        return np.array(values, dtype=kind)
    except OverflowError as error:
        raise ValueError(f"classes: {error}") from None


def _text_array(values: Sequence[str], kind: str) -> NDArray[Any]:
    """An array of fixed-width text, or of objects if the longest text would waste much memory."""
    longest = max(map(len, values))
    if kind == TEXT and longest * len(values) <= 4 * sum(map(len, values)) + MOST_WIDE:
        return np.array(values, dtype=f"<U{max(longest, 1)}")
    return np.array(values, dtype=object)
