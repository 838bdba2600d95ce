"""What the bits of a result depend on beside the data: sources, versions, settings, processor.

The compile cache, checkpoints and Dask's workers are held to it: compiled code is used again, and
a run goes on, only where it gives the same bits. Of the sources, only those count from which the
numbers come, so that a change elsewhere neither compiles anew nor refuses a checkpoint.
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
from numba.core import config, registry

from engine import __version__

Identity = dict[str, str]

PACKAGE = Path(__file__).resolve().parents[1]
# Folders of the package that hold all kernels ...
KERNELS = ("compiler", "equations", "sums", "solvers")
# ... and the files that decide where a run begins, how far it goes, and which of its parameters
# come back.
RUNS = (
    *KERNELS,
    "network.py",
    "training/run.py",
    "training/trainer.py",
    "training/watch.py",
    "estimators/draws.py",
    "estimators/optimiser.py",
    "estimators/training.py",
    "estimators/watch.py",
)
FEATURES = "processor's features"
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
def build_identity() -> str | None:
    """Version and hash of all that compiled code depends on, the processor apart.

    None where the sources cannot be read, as in a zip file: nothing would tell two builds apart.
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


def identity() -> Identity:
    """The processor as the compiler sees it, versions, and settings of the compiler, by name."""
    found = {
        "mlp-engine": __version__,
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "numpy": np.__version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "NUMBA_DISABLE_JIT": str(config.DISABLE_JIT),
        **{f"NUMBA_{name}": str(getattr(config, name, None)) for name in COMPILER_SETTINGS},
    }
    if not config.DISABLE_JIT:
        triple, name, features = registry.cpu_target.target_context.codegen().magic_tuple()
        found |= {"system": triple, "processor": name, FEATURES: features}
    return found | {"mlp-engine's sources": sources()}


@functools.cache
def sources() -> str:
    """A hash of the sources that decide on the numbers of a run, where they can be read."""
    found = sources_in(RUNS)
    return digest_of(found).hexdigest()[:12] if found else "unknown"


def sources_in(places: Iterable[str]) -> list[Path]:
    """The source files of some folders of the package, or files by name."""
    found = [PACKAGE / place for place in places if place.endswith(".py")]
    found += [source for place in places for source in (PACKAGE / place).rglob("*.py")]
    return sorted(source for source in found if source.is_file())  # an editor's lock is a link


def digest_of(sources: Iterable[Path]) -> "hashlib._Hash":
    """A digest of files of the package."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.relative_to(PACKAGE).as_posix().encode() + source.read_bytes())
    return digest


def is_numeric(source: Path) -> bool:
    """Whether a source file is one of those that `build_identity` covers."""
    return any(source.is_relative_to(PACKAGE / folder) for folder in KERNELS)


def differences(theirs: Identity, ours: Identity) -> list[str]:
    """What is not the same, in words; none where the bits are the same.

    >>> differences({"numpy": "2.3.0", "processor": "znver3"}, {"numpy": "2.4.6"})
    ['numpy 2.3.0, here 2.4.6', 'processor znver3, here none']
    """
    found = []
    for name in dict.fromkeys((*theirs, *ours)):
        one, other = theirs.get(name, "none"), ours.get(name, "none")
        if one == other:
            continue
        if name == FEATURES:
            found.append(f"{FEATURES}: {of_features(one, other)}")
        else:
            found.append(f"{name} {one}, here {other}")
    return found


def of_features(theirs: str, ours: str) -> str:
    """The features that one has and the other has not, of LLVM's lists.

    >>> of_features("+avx2,-avx512f", "+avx2,+avx512f")
    'without avx512f'
    """
    one, other = (
        {feature[1:] for feature in listed.split(",") if feature.startswith("+")}
        for listed in (theirs, ours)
    )
    more, fewer = sorted(one - other), sorted(other - one)
    parts = [f"with {', '.join(more)}"] if more else []
    parts += [f"without {', '.join(fewer)}"] if fewer else []
    return " and ".join(parts) or "listed otherwise"
