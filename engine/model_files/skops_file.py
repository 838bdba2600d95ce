"""Scikit-learn pipelines in files that are read without executing code.

A .skops file is a zip archive: what `skops` writes for a scikit-learn pipeline, `mlp-engine.json`,
which says in plain words what the model is, for any program to read, and `examples.json`, a few
rows with what the model gave for them. Only the types in `trusted_types.py` are made from a file;
a file that asks for another type is refused.
"""

import io
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from engine import __version__
from engine.model_files import table_examples
from engine.model_files.errors import ModelFileError, damaged, would_load
from engine.model_files.safe_reading import content_of, parsed, without_nan
from engine.model_files.skops_archive import (
    EXAMPLES,
    HEADER,
    SCHEMA,
    archive_of,
    check_arrays,
    check_schema,
    check_types,
    parts_of,
    renumbered,
)
from engine.model_files.table_examples import TableExamples
from engine.model_files.trusted_types import TRUSTED
from engine.system import atomic_files
from engine.system.extras import installed_by

FORMAT = 2
ENDING = ".skops"


class StoredModel(NamedTuple):
    """What a model file holds.

    Attributes
    ----------
    header : dict
        What it says of the model.
    estimator : scikit-learn estimator
    examples : TableExamples or None
    """

    header: dict[str, Any]
    estimator: Any
    examples: TableExamples | None = None


def write_model(
    path: Path, model: StoredModel, check: Callable[[StoredModel], Any] | None = None
) -> None:
    """Write a model file, whole or not at all: an older one stays as it was if this fails.

    The new file is read back before it replaces an older one. `check` is called with what was read,
    and raises ModelFileError if that is not acceptable.

    Raises
    ------
    ModelFileError
        When the estimator is made of other types than `read_model` makes, or the file would not
        load.
    ValueError
        When the ending of `path` is not that of a model file.
    OSError
        When it cannot be written.
    """
    check_ending(path)
    content = bytes_of_model(path, model)
    with atomic_files.replacing(path) as file, would_load(path):
        stored = read_content(path, atomic_files.written(file, content))
        if check is not None:
            check(stored)


def bytes_of_model(path: Path, model: StoredModel) -> bytes:
    """The bytes of a model file; `path` is for messages."""
    skops = _skops()
    header = {"format": FORMAT, "versions": _versions(), **model.header}
    try:
        content = skops.dumps(model.estimator)
    except Exception as error:  # UnsupportedTypeException, and what objects of any type raise
        raise ModelFileError(
            f"{path}: the model holds what .skops files cannot ({error}). It was not saved."
        ) from error
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = renumbered({name: archive.read(name) for name in archive.namelist()})
    check_types(path, json.loads(parts[SCHEMA]), "It was not saved.")
    text = json.dumps(without_nan(header), indent=1, ensure_ascii=False, allow_nan=False)
    parts[HEADER] = text.encode()
    if model.examples is not None:
        parts[EXAMPLES] = table_examples.written(model.examples)
    return archive_of(parts)


def bytes_of_pipeline(path: Path, model: Any, X: Any) -> bytes:
    """The bytes of a file of a fitted estimator or pipeline, tried on rows of X."""
    from engine.model_files.estimator_checks import networks_of, require_saveable
    from engine.model_files.estimator_state import without_training_state

    _skops()
    require_saveable(model)
    kept = without_training_state(model)
    header = {
        "what": f"{type(model).__name__} fitted in Python",
        "networks": [str(network._network) for network in networks_of(kept)],
        "fingerprints": [network.fingerprint_ for network in networks_of(kept)],
    }
    return bytes_of_model(path, StoredModel(header, kept, table_examples.examples_of(kept, X)))


def read_model(path: Path) -> StoredModel:
    """Read a model file. No code in it is executed.

    Raises
    ------
    ModelFileError
        When the file is no model file, is damaged, comes from a version whose files cannot be
        read, or asks for a type that models are not made of.
    OSError
        When it cannot be read.
    """
    _skops()
    return read_content(path, content_of(path))


def read_content(path: Path, content: bytes) -> StoredModel:
    """The same for the bytes of a file; `path` is for messages."""
    parts = parts_of(path, content)
    header = _parsed(path, parts, HEADER)
    if not isinstance(header, dict):
        raise damaged(path, f"{HEADER} must hold names and values.")
    _check_versions(path, header)
    try:
        examples = table_examples.read(parts[EXAMPLES]) if EXAMPLES in parts else None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise damaged(path, f"{EXAMPLES}: {type(error).__name__}: {error}.") from error
    return StoredModel(header, _made(path, parts, examples), examples)


def read_estimator(path: Path) -> Any:
    """The estimator in a model file; errors as of `read_model`, and for a file of no model."""
    return require_model(path, read_model(path)).estimator


def require_model(path: Path, stored: StoredModel) -> StoredModel:
    """ModelFileError for a file without a fitted network, or without examples to check it on."""
    from engine.model_files.estimator_checks import networks_of

    if not networks_of(stored.estimator):
        raise ModelFileError(f"{path} holds no fitted MLPClassifier or MLPRegressor.")
    if stored.examples is None:
        raise ModelFileError(f"{path} carries no examples, and cannot be tried.")
    return stored


def check_ending(path: Path) -> None:
    """Raise ValueError if the ending of `path` is not that of a model file."""
    if path.suffix.lower() != ENDING:
        raise ValueError(f"{path}: a model's file name must end in {ENDING}; got {path.suffix!r}.")


def _made(path: Path, parts: dict[str, bytes], examples: TableExamples | None) -> Any:
    """The estimator of these parts: checked, made by skops, checked again, and tried."""
    from engine.model_files.estimator_checks import check_model, check_on_examples

    schema = _parsed(path, parts, SCHEMA)
    check_types(path, schema, "It was not loaded. Use files only from those whom you trust.")
    check_arrays(path, parts)
    n_bytes = sum(map(len, parts.values()))
    try:
        check_schema(path, schema, parts)
        kept = {name: part for name, part in parts.items() if name not in (HEADER, EXAMPLES)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other patches of scikit-learn
            estimator = _skops().loads(archive_of(kept), trusted=TRUSTED)
            check_model(estimator, n_bytes, examples)
            if examples is not None:
                check_on_examples(estimator, examples)
    except (ModelFileError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file leads skops, numpy or scikit-learn to
        raise damaged(path, error) from error
    return estimator


def _parsed(path: Path, parts: dict[str, bytes], name: str) -> Any:
    try:
        return parsed(parts[name])
    except ValueError as error:
        raise damaged(path, f"{name}: {error}.") from error


def _check_versions(path: Path, header: dict[str, Any]) -> None:
    versions = header.get("versions")
    if not isinstance(versions, dict) or not isinstance(header.get("format"), int):
        raise damaged(path, f"{HEADER} does not say which version wrote it.")
    for package, here in _versions().items():
        there = str(versions.get(package))
        if _release(there) != _release(here):
            raise ModelFileError(
                f"{path} was written with {package} {there:.40}, and this is {here}: what a fitted "
                f"model consists of may differ. Install {package} {there:.40}, or train again."
            )
    if header["format"] != FORMAT:
        raise ModelFileError(
            f"{path} has format {header['format']}, and this version of mlp-engine reads format "
            f"{FORMAT}. Install mlp-engine {versions['mlp-engine']}, or train again."
        )


def _release(version: str) -> list[str]:
    """Major and minor number: patches keep what a fitted model consists of."""
    return version.split(".")[:2]


def _versions() -> dict[str, str]:
    import sklearn

    return {"mlp-engine": __version__, "scikit-learn": sklearn.__version__}


def _skops() -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise ImportError(
            f".skops files need skops, and {error.name} is not installed: {installed_by('models')}"
        ) from error
    return skops.io
