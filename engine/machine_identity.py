"""What the bits of a sum depend on in a process, beside the data.

Workers of Dask are held to it, and runs that go on from a checkpoint.
"""

import functools
import hashlib
import platform
from pathlib import Path

import llvmlite
import numba
import numpy as np
from numba.core import config, registry

import engine
from engine._compile_cache import COMPILER_SETTINGS, PACKAGE, build_identity

Identity = dict[str, str]

FEATURES = "processor's features"


def identity() -> Identity:
    """The processor as the compiler sees it, versions, and settings of the compiler, by name."""
    found = {
        "mlp-engine": engine.__version__,
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
    """A hash of the package's source files, where they can be read."""
    if build_identity() is None:
        return "unknown"
    digest = hashlib.sha256()
    for source in sorted(Path(PACKAGE).rglob("*.py")):
        if source.is_file():
            digest.update(source.relative_to(PACKAGE).as_posix().encode() + source.read_bytes())
    return digest.hexdigest()[:12]


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
