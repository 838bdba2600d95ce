"""Models in files that are read without executing code.

A model file is a zip archive: what `skops` writes for a scikit-learn pipeline, and
`mlp-engine.json`, which says in plain words what the model is, for any program to read. Only the
types listed here are made from a file; one that asks for another is refused first.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from engine import __version__, atomic_files

FORMAT = 1
HEADER, SCHEMA = "mlp-engine.json", "schema.json"
ENDING = ".skops"

# All that such a pipeline is made of: for each way in which skops makes an object, of what. None of
# these ways calls a function that the file names. skops trusts many more types by itself.
TYPES: dict[str, frozenset[str]] = {
    "DTypeNode": frozenset({"numpy.dtype"}),
    "DictNode": frozenset({"builtins.dict"}),
    "JsonNode": frozenset({"builtins.str"}),
    "ListNode": frozenset({"builtins.list"}),
    "NdArrayNode": frozenset({"numpy.float64", "numpy.ndarray"}),
    "ObjectNode": frozenset(
        {
            "engine.estimators.classifier.MLPClassifier",
            "engine.estimators.labels.Labels",
            "engine.estimators.regressor.MLPRegressor",
            "engine.network.Network",
            "sklearn.compose._column_transformer.ColumnTransformer",
            "sklearn.compose._target.TransformedTargetRegressor",
            "sklearn.impute._base.MissingIndicator",
            "sklearn.impute._base.SimpleImputer",
            "sklearn.pipeline.Pipeline",
            "sklearn.preprocessing._data.StandardScaler",
            "sklearn.preprocessing._encoders.OneHotEncoder",
        }
    ),
    "SliceNode": frozenset({"builtins.slice"}),
    "TupleNode": frozenset({"builtins.tuple"}),
    "TypeNode": frozenset({"builtins.str", "numpy.float64"}),
}
TRUSTED = sorted(frozenset().union(*TYPES.values()))


class ModelFileError(ValueError):
    """A file that is no model file, is damaged, or cannot be trusted."""


class StoredModel(NamedTuple):
    """What a model file holds: what it says of the model, and the scikit-learn estimator."""

    header: dict[str, Any]
    estimator: Any


def write_model(path: Path, model: StoredModel) -> None:
    """Write a model file, whole or not at all: an older one stays as it was if this fails.

    Raises
    ------
    ModelFileError
        When the estimator is made of other types than `read_model` makes.
    ValueError
        When the ending of `path` is not that of a model file.
    OSError
        When it cannot be written.
    """
    skops = _skops()
    check_ending(path)
    header = {"format": FORMAT, "versions": _versions(), **model.header}
    archive = io.BytesIO(skops.dumps(model.estimator))
    with zipfile.ZipFile(archive, "a") as members:
        _check_types(path, json.loads(members.read(SCHEMA)), "It was not saved.")
        members.writestr(HEADER, json.dumps(header, indent=1, ensure_ascii=False))
    with atomic_files.replacing(path) as file:
        file.write(archive.getbuffer())


def read_model(path: Path) -> StoredModel:
    """Read a model file. No code that it brings along is executed.

    Raises
    ------
    ModelFileError
        When the file is no model file, is damaged, comes from a version whose files cannot be
        read, or asks for a type that models are not made of.
    OSError
        When it cannot be read.
    """
    skops = _skops()
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder; name a model file.")
    content = path.read_bytes()
    header, schema = _parts(path, content)
    _check_versions(path, header)
    _check_types(path, schema, "It was not loaded. Use files only from those whom you trust.")
    try:
        estimator = skops.loads(content, trusted=TRUSTED)
    except Exception as error:  # whatever a damaged file leads skops, numpy or zipfile to
        raise _damaged(path, error) from error
    return StoredModel(header, estimator)


def check_ending(path: Path) -> None:
    """Raise ValueError if the ending of `path` is not that of a model file."""
    if path.suffix.lower() != ENDING:
        raise ValueError(f"{path}: a model's file name must end in {ENDING}; got {path.suffix!r}.")


def _parts(path: Path, content: bytes) -> tuple[dict[str, Any], Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            # Stored as they are: no member is larger than the file.
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ModelFileError(f"{path} is compressed, which model files are not.")
            if HEADER not in names or SCHEMA not in names:
                raise ModelFileError(
                    f"{path} is a zip archive, but no model that `engine train` saved: "
                    f"it has no {HEADER if HEADER not in names else SCHEMA}."
                )
            if len(set(names)) < len(names):
                raise ModelFileError(f"{path} is damaged: two of its parts have one name.")
            header, schema = (json.loads(archive.read(name)) for name in (HEADER, SCHEMA))
    except zipfile.BadZipFile as error:
        raise ModelFileError(
            f"{path} is no model file, or not the whole of one ({error}). Make one by `engine "
            "train`."
        ) from error
    except ModelFileError:
        raise
    except Exception as error:
        raise _damaged(path, error) from error
    if not isinstance(header, dict):
        raise ModelFileError(f"{path} is damaged: {HEADER} must hold names and values.")
    return header, schema


def _check_versions(path: Path, header: dict[str, Any]) -> None:
    versions = header.get("versions")
    if not isinstance(versions, dict) or not isinstance(header.get("format"), int):
        raise ModelFileError(f"{path} is damaged: {HEADER} does not say which version wrote it.")
    for package, here in _versions().items():
        there = str(versions.get(package))
        if _release(there) != _release(here):
            raise ModelFileError(
                f"{path} was written with {package} {there}, and this is {here}: what a fitted "
                f"model consists of may differ. Install {package} {there}, or train again."
            )
    if header["format"] != FORMAT:
        raise ModelFileError(
            f"{path} has format {header['format']}, and this version of mlp-engine reads format "
            f"{FORMAT}. Install mlp-engine {versions['mlp-engine']}, or train again."
        )


def _release(version: str) -> list[str]:
    """Major and minor number: patches keep what a fitted model consists of."""
    return version.split(".")[:2]


def _check_types(path: Path, schema: Any, outcome: str) -> None:
    """Refuse before skops looks at it: its own list of trusted types is far longer."""
    for node in _nodes(schema):
        loader = str(node.get("__loader__"))
        name = f"{node.get('__module__')}.{node.get('__class__')}"
        if name not in TYPES.get(loader, ()):
            raise ModelFileError(
                f"{path} asks for {name} ({loader}), which models of mlp-engine are not made of. "
                f"{outcome}"
            )


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Each part of a skops schema that stands for an object, whatever it is called there."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if part.keys() & {"__loader__", "__class__", "__module__"}:
                yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _damaged(path: Path, error: Exception) -> ModelFileError:
    return ModelFileError(f"{path} is damaged: {type(error).__name__}: {error}")


def _versions() -> dict[str, str]:
    import sklearn

    return {"mlp-engine": __version__, "scikit-learn": sklearn.__version__}


def _skops() -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise ImportError(
            f"Model files need skops, and {error.name} is not installed: "
            "pip install 'mlp-engine[tables]'"
        ) from error
    return skops.io
