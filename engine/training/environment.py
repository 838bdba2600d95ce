"""The environment of a run: the processor, versions, compiler settings and sources.

Checkpoints and Dask's workers compare it: a run is only resumed if it gives the same bits. Only the
sources that affect the numbers count: a change elsewhere does not invalidate a checkpoint.
"""

import functools
import platform

import llvmlite.binding
import numba
import numpy as np
from numba.core import config

from engine import __version__
from engine.compiler.cache_key import COMPILER_SETTINGS, KERNELS, digest_of, sources_in
from engine.compiler.target import processor_class

Environment = dict[str, str]

# The folders with kernels, and the files that decide the initial values of a run, when it stops,
# and which of its parameters it returns.
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


def environment() -> Environment:
    """The class of processors, versions, and settings of the compiler, by name."""
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
        processors = processor_class()
        found |= {"system": llvmlite.binding.get_process_triple(), "processor": processors.name}
        if not processors.is_fixed:
            found[FEATURES] = processors.features
    return found | {"mlp-engine's sources": sources()}


@functools.cache
def sources() -> str:
    """A hash of the sources that determine the numbers of a run; "unknown" if unreadable."""
    found = sources_in(RUNS)
    return digest_of(found).hexdigest()[:12] if found else "unknown"


def differences(theirs: Environment, ours: Environment) -> list[str]:
    """The differences in words; none if the bits of results are the same.

    >>> differences({"numpy": "2.3.0", "processor": "x86-64-v3"}, {"numpy": "2.4.6"})
    ['numpy 2.3.0, here 2.4.6', 'processor x86-64-v3, here none']
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
    """The processor features that only one of two LLVM feature lists has.

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
