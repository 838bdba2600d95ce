"""Which libraries take part, how each is driven, and what is not equal between them."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, NotRequired, TypedDict

from engine.comparison.environments import own_python, runs_by, version_in
from engine.comparison.jobs import KNOWN, PEERS
from engine.comparison.machine import installed_version
from engine.equations.backends import BACKENDS


class AvailableLibraries(NamedTuple):
    """Names of those who can take part, and a line on each who cannot."""

    names: list[str]
    absent: list[str]


def available_libraries(
    wanted: Sequence[str] | None = None, own: Collection[str] = ()
) -> AvailableLibraries:
    """Those of the `wanted` that can take part; None is all.

    Another library counts as installed if its distribution is, here or in an environment of its
    own; there alone, if it is one of `own`. Nothing is imported to find out.
    """
    for name in wanted or ():
        if name not in KNOWN:
            raise ValueError(f"--contenders must be of {', '.join(KNOWN)}; got {name!r}.")
    names, absent = [], []
    for name in wanted or KNOWN:
        reason = why_missing(name, own)
        if reason is None:
            names.append(name)
        elif name in PEERS or wanted is not None:
            absent.append(f"{name} {reason}")
    if not names:
        raise ValueError(f"there is nobody to compare: {'; '.join(absent)}.")
    return AvailableLibraries(names, absent)


def why_missing(name: str, own: Collection[str] = ()) -> str | None:
    """Why a library cannot take part, and what to do about it; None if it can."""
    if name not in PEERS:
        return None if name in BACKENDS else "is not a backend of this version"
    distribution = PEERS[name].distribution
    if own_python(distribution) is not None:
        return None
    if distribution in own:
        return f"has no environment of its own: engine compare environments {distribution}"
    if installed_version(distribution) is None:
        return (
            f"is not installed: pip install {distribution}, or "
            f"engine compare environments {distribution}"
        )
    return None


class Library(TypedDict):
    """Who takes part, and how it is driven."""

    label: str  # as people know it: "PyTorch, compiled"
    idiom: str  # one sentence: its own best way, as it was used here
    python: str  # "this environment", or "an environment of its own"
    versions: dict[str, str]
    missing: NotRequired[str]  # why it takes no part, and what to do about it


LABELS = {
    "tiled": "engine, tiled",
    "loops": "engine, loops",
    "numpy": "engine, NumPy",
    **{name: peer.label for name, peer in PEERS.items()},
}

IDIOMS = {
    "tiled": "engine.train with its default backend: slices of minibatch descent in one compiled "
    "call.",
    "loops": "engine.train with the equations written out index by index, a compiled call a batch.",
    "numpy": "engine.train with the equations as NumPy matrix algebra, a batch at a time.",
    "sklearn": "One fit of MLPClassifier or MLPRegressor, without early stopping.",
    "torch": "A lean loop around autograd.grad and the fused Adam, on functional layers.",
    "torch-compiled": "Up to five whole steps (batch, gradient, Adam) compiled as one call by "
    "torch.compile.",
    "jax": "The whole fit as one jitted call: a scan over epochs and steps.",
}

UNEQUAL_IN_TRAINING = [
    "Adam's epsilon stands outside the bias correction, but for PyTorch's own Adam (eager), where "
    "it stands inside.",
    "Each contender draws its own shuffles; JAX's are drawn before its clock starts, which favours "
    "it.",
    "scikit-learn and engine.train add up the cost of each epoch, and so must compute it; PyTorch "
    "and JAX need not, which favours them.",
    "The engine's products never go through BLAS, so that the bits do not depend on the number of "
    "threads; the others' do.",
]
UNEQUAL = [
    *UNEQUAL_IN_TRAINING,
    "Compiled code: the engine keeps it on disk for all later processes; PyTorch keeps a part; JAX "
    "keeps what is asked for, as was done for the start with a warm cache, and compiles anew for "
    "each number of epochs.",
    "Memory: JAX and compiled PyTorch compile for each number of samples, within the run whose "
    "peak is taken.",
]


def described(wanted: Sequence[str], own: Collection[str] = ()) -> dict[str, Library]:
    """Who takes part, and who was wanted and does not."""
    return {name: _described(name, own) for name in wanted}


def _described(name: str, own: Collection[str]) -> Library:
    distribution = PEERS[name].distribution if name in PEERS else "mlp-engine"
    python = runs_by(distribution, own) if name in PEERS else None
    if python is None:
        version = installed_version(distribution)
    else:
        version = version_in(python, distribution) or "unknown"
    found = Library(
        label=LABELS[name],
        idiom=IDIOMS[name],
        python="this environment" if python is None else "an environment of its own",
        versions={} if version is None else {distribution: version},
    )
    reason = why_missing(name, own)
    if reason is not None:
        found["missing"] = reason.removeprefix("is ")
    return found
