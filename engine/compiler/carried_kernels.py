"""Kernels that the package was installed with: a wheel of `make wheel` carries them.

    compiled_kernels/built_for.json         what they were compiled with, and how many there are
    compiled_kernels/<key>/<class>/         entries of the compile cache, for a class of processors

They stand beside the sources, and are trusted as much as these. The key is that of the compile
cache: with another Numba, Python or NumPy, or with changed sources, the folder has another name.
Then kernels are compiled as without them, and whoever waits for that is told why. Source trees have
no such folder.
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.compiler.cache_key import PACKAGE, SOURCES, cache_key, dependencies
from engine.compiler.target import processor_class

FOLDER = PACKAGE / "compiled_kernels"
DESCRIPTION = "built_for.json"
CLASSES = "classes"
REMEDY = "Install mlp-engine again."

_damaged: set[str] = set()  # entries that this process could not load


@functools.cache
def carried_folder() -> Path | None:
    """The folder with the carried kernels that this process can use, or None."""
    key, processor = cache_key(), processor_class()
    if key is None or not processor.is_fixed:
        return None
    folder = FOLDER / key / processor.name
    return folder if folder.is_dir() else None


def report_damaged(entry: str) -> None:
    """Remember that a carried kernel is compiled since its entry is damaged."""
    _damaged.add(entry)


def why_not_used() -> str | None:
    """Why carried kernels are not used, for a user; None if they are, or if there are none."""
    if carried_folder() is not None:
        return damage_of(_damaged) if _damaged else None
    if not FOLDER.is_dir():
        return None
    try:
        built_for = json.loads((FOLDER / DESCRIPTION).read_text(encoding="utf-8"))
        why = difference(built_for, dependencies())
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return f"The installed kernels cannot be used: {DESCRIPTION} is damaged. {REMEDY}"
    return f"The installed kernels cannot be used: they were built {why}."


def damage_of(entries: set[str]) -> str:
    """What to tell a user of damaged entries."""
    many = len(entries) > 1
    named = f"{len(entries)} installed kernels are" if many else f"The installed {min(entries)} is"
    return f"{named} damaged. {REMEDY}"


def difference(built_for: Mapping[str, Any], here: Mapping[str, str]) -> str:
    """What keeps carried kernels from being used.

    >>> built_for = {"Numba": "0.68.1", "NumPy": "2.4", "sources": "1f", "classes": {"v3": 2}}
    >>> difference(built_for, {"Numba": "0.69.0", "NumPy": "2.4", "sources": "2e"})
    'for Numba 0.68.1, not 0.69.0, and from other sources'
    """
    found = [
        f"for {name} {built_for.get(name, 'none')}, not {value}"
        for name, value in here.items()
        if name != SOURCES and built_for.get(name) != value
    ]
    if built_for.get(SOURCES) != here[SOURCES]:
        found.append("from other sources")
    if not found:
        found.append(f"for {', '.join(built_for[CLASSES])}, not {processor_class().name}")
    return ", and ".join(found)
