"""What makes a run the run that it is: data, settings, versions and processor, to be compared.

Two runs with the same identity end with the same bits, so one may go on where the other stopped.
An identity is a dict of what JSON can hold. Arrays stand in it as shape, dtype and a SHA-256 of
their numbers, whatever their memory order; samples as a SHA-256 of those of their chunks, so that
they may be told where they are, and a run begun on a cluster may go on here.
"""

import hashlib
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from engine.compiler.identity import FEATURES, identity, of_features
from engine.network import Network
from engine.solvers.learning_rate import SCHEDULES
from engine.solvers.solver import Solver
from engine.solvers.state import UPDATES, Settings
from engine.sums.chunks import Elsewhere, chunk_bounds
from engine.sums.samples import Inputs, Samples, SparseColumns

Identity = dict[str, Any]

MACHINE = "machine"  # versions and processor: only the bits depend on these
# Settings that follow from the solver, or say where a run ends.
DERIVED = frozenset(
    {"finite", "ftol", "full_batch", "gtol", "judged", "most_evaluations", "most_iterations"}
)
BYTES_AT_A_TIME = 4_000_000  # that are copied to be hashed, where the layout asks for it


def identity_of_training(
    network: Network,
    solver: Solver,
    backend: str,
    told: Settings,
    start: NDArray[Any] | int,
    seed: int,
    samples: Samples,
    validation: Samples | None,
) -> Identity:
    """The identity of a call of `train`. `start` are the parameters given, or their seed."""
    drawn = isinstance(start, int)
    return {
        **identity_of_samples(samples, ("X", "Y", "sample_weight")),
        **(identity_of_samples(validation, ("X_val", "Y_val", "")) if validation else {}),
        **identity_of_network(network),
        "solver": solver.name,
        "backend": backend,
        **identity_of_settings(told),
        "seed": seed,
        "theta": None if drawn else identity_of_array(start),
        MACHINE: identity_of_machine(solver.uses_blas or backend == "numpy"),
    }


def identity_of_network(network: Network) -> Identity:
    """Sizes and units."""
    return {
        "sizes": list(network.sizes),
        "hidden": list(network.hidden),
        "output": network.output,
    }


def identity_of_settings(told: Settings) -> Identity:
    """The numbers that users have given, by the names that they know."""
    names = {name: value for name, value in told._asdict().items() if name not in DERIVED}
    schedules = {code: name for name, code in SCHEDULES.items()}
    names["schedule"] = schedules[told.schedule]
    names["update"] = UPDATES[told.update]
    names["n_iter_no_change"] = names.pop("patience")
    names["shuffle"] = "blocks" if names.pop("block") else bool(names["shuffle"])
    return names


def identity_of_samples(samples: Samples | Elsewhere, names: Sequence[str]) -> Identity:
    """Inputs, targets and weights, by the names that the caller has for them."""
    if isinstance(samples, Samples):
        bounds = chunk_bounds(samples.n_samples)
        chunks = [identities_of_chunk(samples, first, last) for first, last in bounds]
    else:
        chunks = samples.identities()
    of_each = zip(names, zip(*chunks, strict=True), strict=True)
    return {name: _joined(parts) for name, parts in of_each if parts[0] is not None}


def identities_of_chunk(samples: Samples, first: int, last: int) -> list[Identity | None]:
    """Inputs, targets and weights of some samples; None where there are no weights."""
    X, Y, codes, weights = samples
    targets = identity_of_array(codes[first:last]) if codes is not None else None
    if Y is not None:
        targets = identity_of_inputs(Y[:, first:last])
    weighed = None if weights is None else identity_of_array(weights[first:last])
    return [identity_of_inputs(_some_of(X, first, last)), targets, weighed]


def _some_of(X: Inputs, first: int, last: int) -> Inputs:
    if not isinstance(X, SparseColumns):
        return X[:, first:last]
    begin, end = X.starts[first], X.starts[last]
    starts = X.starts[first : last + 1] - begin
    return SparseColumns(X.values[begin:end], X.features[begin:end], starts, X.n_features)


def _joined(parts: Iterable[Identity]) -> Identity:
    """Of an array, by the identities of its parts; samples are the last axis."""
    parts = list(parts)
    digest = hashlib.sha256("".join(part["sha256"] for part in parts).encode())
    n_samples = sum(part["shape"][-1] for part in parts)
    shape = [*parts[0]["shape"][:-1], n_samples]
    return {**parts[0], "shape": shape, "sha256": digest.hexdigest()}


def identity_of_inputs(X: Inputs) -> Identity:
    """Of a matrix with samples as columns, dense or sparse."""
    if isinstance(X, SparseColumns):
        digest = hashlib.sha256()
        for part in (X.values, X.features, X.starts):
            digest.update(np.ascontiguousarray(part).data)
        return {**_identity(X.shape, X.dtype, digest), "layout": "sparse"}
    digest = hashlib.sha256()
    at_a_time = max(1, BYTES_AT_A_TIME // max(1, X.shape[0] * X.itemsize))
    for first in range(0, X.shape[1], at_a_time):
        digest.update(np.ascontiguousarray(X[:, first : first + at_a_time].T).data)
    return _identity(X.shape, X.dtype, digest)


def identity_of_array(array: Any) -> Identity:
    """Of an array of any shape, in C order."""
    array = np.ascontiguousarray(array)
    return _identity(array.shape, array.dtype, hashlib.sha256(array.data))


def _identity(shape: tuple[int, ...], dtype: Any, digest: Any) -> Identity:
    return {"shape": list(shape), "dtype": np.dtype(dtype).name, "sha256": digest.hexdigest()}


def identity_of_machine(blas: bool) -> Identity:
    """What the bits of a sum depend on beside the data; and BLAS, if it takes part."""
    import scipy

    found = {**identity(), "scipy": scipy.__version__}
    return {**found, **({"BLAS": identity_of_blas()} if blas else {})}


def identity_of_blas() -> list[str]:
    """The BLAS libraries that NumPy and SciPy bring, and the kernels that they have chosen."""
    import scipy.linalg  # noqa: F401  # brings its own: it is there in every process, then

    libraries = [found for found in threadpool_info() if found["user_api"] == "blas"]
    names = ("internal_api", "version", "architecture")
    told = {" ".join(str(found.get(name, "")) for name in names) for found in libraries}
    return sorted(told)


def differences(then: Identity, now: Identity, any_machine: bool = False) -> list[str]:
    """What differs between two identities, in words; with `any_machine`, apart from the machine."""
    told = []
    for name in dict.fromkeys([*then, *now]):
        earlier, here = then.get(name), now.get(name)
        if earlier == here:
            continue
        if not _is_text(name):  # a file may hold any name
            name = _shown(name)
        if name == MACHINE and isinstance(earlier, dict) and isinstance(here, dict):
            told += [] if any_machine else differences(earlier, here)
        elif name == FEATURES and _is_text(earlier, 20_000) and _is_text(here, 20_000):
            told.append(f"{FEATURES}: {of_features(here, earlier)}")
        elif _is_array(earlier) or _is_array(here):
            told.append(_difference_of_arrays(name, earlier, here))
        else:
            told.append(f"{name} is {_shown(here)} and was {_shown(earlier)}")
    return told


_shorten = reprlib.Repr()
_shorten.maxstring = _shorten.maxother = 200
_shorten.maxlist = _shorten.maxdict = 20
LONGEST_VALUE = 500  # letters


def _shown(value: Any) -> str:
    """A value for a message: in a file, a value may have any length and depth."""
    text = _shorten.repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def _is_text(value: Any, most: int = 64) -> TypeGuard[str]:
    """Whether a value is a short text without control characters."""
    return isinstance(value, str) and value.isprintable() and len(value) <= most


def _is_array(value: Any) -> bool:
    """Whether a value is the identity of an array: a file may hold anything in its place."""
    if not isinstance(value, dict):
        return False
    texts = (value.get("sha256"), value.get("dtype"), value.get("layout", ""))
    shape = value.get("shape")
    return (
        all(_is_text(text) for text in texts)
        and isinstance(shape, list)
        and len(shape) <= 2
        and all(type(n) is int for n in shape)
    )


def _difference_of_arrays(name: str, earlier: Any, here: Any) -> str:
    if not _is_array(earlier):
        return f"{name} was not given then"
    if not _is_array(here):
        return f"{name} is not given, and was then"
    if (layouts := (here.get("layout", "dense"), earlier.get("layout", "dense")))[0] != layouts[1]:
        return f"{name} is {layouts[0]} and was {layouts[1]}"
    if earlier["shape"] != here["shape"]:
        return f"{name} has shape {tuple(here['shape'])} and had {tuple(earlier['shape'])}"
    if earlier["dtype"] != here["dtype"]:
        return f"{name} is {here['dtype']} and was {earlier['dtype']}"
    return f"{name} holds other numbers"
