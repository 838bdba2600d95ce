"""The key of the compile cache: the sources, versions and settings that compiled code depends on.

Of the sources, only the folders that hold kernels count: a change elsewhere compiles nothing again.
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
    "ENABLE_AVX",
    "LOOP_VECTORIZE",
    "OPT",
    "SLP_VECTORIZE",
    "USING_SVML",
)


@functools.cache
def cache_key() -> str | None:
    """Version and hash of all that compiled code depends on, except the processor.

    None if the sources cannot be read, as in a zip file: two builds could not be told apart.
    """
    found = sources_in(KERNELS)
    if not found:
        return None
    digest = digest_of(found)
    builders = (numba.__version__, llvmlite.__version__, np.__version__)
    settings = [(name, getattr(config, name, None)) for name in COMPILER_SETTINGS]
    python = (platform.python_version(), sys.implementation.cache_tag, getattr(sys, "abiflags", ""))
    digest.update(repr((python, builders, settings)).encode())
    return f"{__version__}-{digest.hexdigest()[:16]}"


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
