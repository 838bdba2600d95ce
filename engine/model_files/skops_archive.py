"""The zip archive of a .skops file: its parts, with every size checked before it is used.

skops gets a new archive, made of the parts that passed the checks; it never sees the file.
"""

import ast
import functools
import io
import json
import math
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.model_files.errors import ModelFileError, damaged
from engine.model_files.safe_reading import parsed
from engine.model_files.trusted_types import TYPES

HEADER, SCHEMA, EXAMPLES = "mlp-engine.json", "schema.json", "examples.json"
ARRAY = re.compile(r"\d{1,20}\.npy")
# The header of an array in NumPy's format, as numpy.save writes it.
ARRAY_HEADER = re.compile(
    rb"\{'descr': '(?P<dtype>[<|][biufU]\d{1,9})', 'fortran_order': (?:True|False), "
    rb"'shape': (?P<shape>\((?:\d{1,15}, ?)*(?:\d{1,15})?\)), \} *\n"
)


def parts_of(path: Path, content: bytes) -> dict[str, bytes]:
    """Each part of the archive by its name. Checksums are those of zip, which each part has.

    ModelFileError where it is no archive, or has parts that no model has.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            _check_members(path, members, len(content))
            return {member.filename: archive.read(member) for member in members}
    except zipfile.BadZipFile as error:
        raise ModelFileError(
            f"{path} is no model file, or not the whole of one ({error}). Make one by `engine "
            "train`, or engine.save."
        ) from error
    except (ModelFileError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file leads zipfile to
        raise damaged(path, error) from error


def _check_members(path: Path, members: list[zipfile.ZipInfo], n_bytes: int) -> None:
    names = [member.filename for member in members]
    # Stored as they are, one after the other: no part is larger than the file, nor all together.
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ModelFileError(f"{path} is compressed, which model files are not.")
    if HEADER not in names or SCHEMA not in names:
        raise ModelFileError(
            f"{path} is a zip archive, but no model that `engine train` or engine.save wrote: "
            f"it has no {HEADER if HEADER not in names else SCHEMA}."
        )
    if len(set(names)) < len(names):
        raise damaged(path, "two of its parts have one name.")
    if any(member.compress_size != member.file_size for member in members):
        raise damaged(path, "a part has two sizes.")
    if sum(member.file_size for member in members) > n_bytes:
        raise damaged(path, "its parts claim to be larger than the file.")
    for name in names:
        if name not in (HEADER, SCHEMA, EXAMPLES) and not ARRAY.fullmatch(name):
            raise damaged(path, f"it has a part {name!r:.80}, which no model has.")


def check_arrays(path: Path, parts: Mapping[str, bytes]) -> None:
    """Compare the claimed size of each array with its bytes, before NumPy allocates it."""
    for name, part in parts.items():
        if ARRAY.fullmatch(name) and not is_array(part):
            raise damaged(path, f"{name} is no array of numbers or text of the size that it has.")


def is_array(part: bytes) -> bool:
    """Whether these are exactly the bytes of an array that `numpy.save` wrote."""
    if not part.startswith(b"\x93NUMPY\x01\x00") or len(part) < 10:
        return False
    start = 10 + int.from_bytes(part[8:10], "little")
    found = ARRAY_HEADER.fullmatch(part[10:start])
    if found is None:
        return False
    try:
        dtype = np.dtype(found["dtype"].decode())
    except TypeError:
        return False
    size = math.prod(ast.literal_eval(found["shape"].decode()))
    if not (dtype.itemsize or not size) or size * dtype.itemsize != len(part) - start:
        return False
    return _are_values(dtype, part, start)


def _are_values(dtype: np.dtype[Any], part: bytes, start: int) -> bool:
    """Whether all are values of the dtype: most 4-byte numbers are not a Unicode character."""
    if dtype.kind == "U":
        return bool((np.frombuffer(part, "<u4", offset=start) <= sys.maxunicode).all())
    if dtype.kind == "b":
        return bool((np.frombuffer(part, "u1", offset=start) <= 1).all())
    return True


def check_types(path: Path, schema: Any, outcome: str) -> None:
    """Refuse untrusted types before skops reads them: its own list is far longer."""
    for node in nodes_of(schema):
        loader = str(node.get("__loader__"))
        name = f"{node.get('__module__')}.{node.get('__class__')}"
        if name not in TYPES.get(loader, ()):
            raise ModelFileError(
                f"{path}: the model asks for {name} ({loader}), which models of mlp-engine are not "
                f"made of. {outcome}"
            )


def nodes_of(schema: Any) -> Iterator[dict[str, Any]]:
    """Each part of a skops schema that stands for an object, under any name."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if part.keys() & {"__loader__", "__class__", "__module__"}:
                yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def check_schema(path: Path, schema: Any, parts: Mapping[str, bytes]) -> None:
    """Refuse a schema that would make a small file take much memory or time.

    For skops, two parts with the same number are the same object. So a few of them nested in each
    other would take forever to load, and one array that is named a thousand times would fill the
    memory.
    """
    protocol = schema.get("protocol") if isinstance(schema, dict) else None
    if not isinstance(protocol, int) or isinstance(protocol, bool):
        raise damaged(path, f"{SCHEMA} is of no protocol of skops.")
    if protocol != _protocol():
        raise ModelFileError(
            f"{path} was written in protocol {protocol} of skops, and the skops that is installed "
            f"reads {_protocol()}: install another version of it, or train again."
        )
    numbers: set[int] = set()
    read: set[str] = set()
    for node in nodes_of(schema):
        number = node.get("__id__")
        if not isinstance(number, int) or isinstance(number, bool):
            raise damaged(path, "a part of the model has no number.")
        loader = node["__loader__"]
        if number in numbers:
            raise damaged(path, "two parts of the model have one number.")
        numbers.add(number)
        if loader == "JsonNode" and not _is_scalar(node.get("content")):
            raise damaged(path, "a value is neither a text nor a number.")
        file = node.get("file")
        if file is not None and (loader != "NdArrayNode" or file not in parts):
            raise damaged(path, f"an array {file!r:.40} is asked for that is not there.")
        if file in read:
            raise damaged(path, f"{file} is asked for more than once.")
        if file is not None:
            read.add(file)
    unread = {name for name in parts if ARRAY.fullmatch(name)} - read
    if unread:
        raise damaged(path, f"no part of the model asks for {', '.join(sorted(unread)):.80}.")


def _is_scalar(content: Any) -> bool:
    if not isinstance(content, str):
        return False
    if content in ("NaN", "Infinity", "-Infinity"):
        return True
    try:
        return not isinstance(parsed(content), dict | list)
    except ValueError:
        return False


def renumbered(parts: Mapping[str, bytes]) -> dict[str, bytes]:
    """The parts that skops wrote, with numbers from 1 in place of addresses in memory.

    Each node has its own number, and each array its own node: shared objects are written twice. The
    same model gives the same bytes.
    """
    schema = json.loads(parts[SCHEMA])
    found: dict[str, bytes] = {}
    for number, node in enumerate(nodes_of(schema), start=1):
        node["__id__"] = number
        if "file" in node:
            name = f"{number}.npy"
            found[name], node["file"] = parts[node["file"]], name
    return {SCHEMA: json.dumps(schema, ensure_ascii=False).encode(), **found}


@functools.cache
def _protocol() -> int:
    """The protocol of the installed skops; older protocols would be read by other code."""
    import skops.io

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(None))) as archive:
        return int(json.loads(archive.read(SCHEMA))["protocol"])


def archive_of(parts: Mapping[str, bytes]) -> bytes:
    """A new archive of these parts, with the same bytes for the same parts."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, part in parts.items():
            archive.writestr(zipfile.ZipInfo(name), part)
    return buffer.getvalue()
