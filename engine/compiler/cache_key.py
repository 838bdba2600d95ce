"""The key of the compile cache: the sources, versions and settings that compiled code depends on.

Of the sources, only the folders that hold kernels count: a change elsewhere compiles nothing again.
Of Python and NumPy, the minor version counts: what kernels know of them stays the same within it.
The processor is part of an entry's name.
"""

import functools
import hashlib
import platform
import sys
from collections.abc import Iterable
from pathlib import Path

import llvmlite
import numba
import numpy as np
from numba.core import config

from engine import __version__

PACKAGE = Path(__file__).resolve().parents[1]
# Folders of the package that hold all kernels.
KERNELS = ("compiler", "equations", "sums", "solvers")
# Numba settings that change the machine code.
COMPILER_SETTINGS = (
    "BOUNDSCHECK",
    "DEBUGINFO_DEFAULT",
    "LOOP_VECTORIZE",
    "OPT",
    "SLP_VECTORIZE",
    "USING_SVML",
)
SOURCES = "sources"


@functools.cache
def cache_key() -> str | None:
    """Version and hash of all that compiled code depends on, except the processor.

    None if the sources cannot be read, as in a zip file: two builds could not be told apart.
    """
    found = dependencies()
    if not found[SOURCES]:
        return None
    return f"{__version__}-{hashlib.sha256(repr(found).encode()).hexdigest()[:16]}"


def dependencies() -> dict[str, str]:
    """All that compiled code depends on, except the processor, by names for messages."""
    found = sources_in(KERNELS)
    return {
        "mlp-engine": __version__,
        "Python": python_version(),
        "NumPy": minor_version(np.__version__),
        "Numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        **{f"NUMBA_{name}": setting(name) for name in COMPILER_SETTINGS},
        SOURCES: digest_of(found).hexdigest()[:16] if found else "",
    }


def setting(name: str) -> str:
    """A setting of Numba's, as users give it: Numba has an object for the level of optimisation."""
    value = getattr(config, name, None)
    return str(getattr(value, "_raw_value", value))


def python_version() -> str:
    """Python's minor version, with the letters of another binary interface: 3.14t."""
    return minor_version(platform.python_version()) + getattr(sys, "abiflags", "")


def minor_version(version: str) -> str:
    """A version up to its second number.

    >>> minor_version("2.4.6"), minor_version("3.15.0b1")
    ('2.4', '3.15')
    """
    return ".".join(version.split(".")[:2])


def sources_in(places: Iterable[str]) -> list[Path]:
    """The source files of some folders of the package, or files by name."""
    found = [PACKAGE / place for place in places if place.endswith(".py")]
    found += [source for place in places for source in (PACKAGE / place).rglob("*.py")]
    return sorted(source for source in found if source.is_file())  # not editors' dangling links


def digest_of(sources: Iterable[Path]) -> "hashlib._Hash":
    """A digest of files of the package."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.relative_to(PACKAGE).as_posix().encode() + source.read_bytes())
    return digest


def is_numeric(source: Path) -> bool:
    """Whether a source file is one of those that `cache_key` covers."""
    return any(source.is_relative_to(PACKAGE / folder) for folder in KERNELS)
