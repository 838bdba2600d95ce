"""The identity of a run: data, settings, versions and processor.

Two runs with the same identity end with the same bits, so one may resume where the other stopped.
An identity is a dict that JSON can hold. It holds the shape, the dtype and a SHA-256 of the numbers
of each array, whatever its memory order. For samples this is a SHA-256 over those of their chunks:
workers of a cluster can compute these, and a run that began there can resume here.
"""

import hashlib
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

import llvmlite.binding
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from engine.equations.units import OUTPUT_UNITS
from engine.losses import default_for
from engine.network import Network
from engine.solvers.learning_rate import SCHEDULES
from engine.solvers.solver import Solver
from engine.solvers.state import UPDATES, Settings
from engine.sums.chunks import DistributedSamples, chunk_bounds
from engine.sums.samples import Inputs, Samples, SparseColumns
from engine.training.environment import FEATURES, environment, of_features

Identity = dict[str, Any]

LOSS = "loss"
MACHINE = "machine"  # versions and processor: only the bits depend on these
# Settings that follow from the solver, or say where a run ends.
DERIVED = frozenset(
    {"finite", "ftol", "full_batch", "gtol", "judged", "most_evaluations", "most_iterations"}
)
BYTES_AT_A_TIME = 4_000_000  # that are copied to be hashed, if the memory order needs a copy


def identity_of_training(
    network: Network,
    solver: Solver,
    backend: str,
    settings: Settings,
    start: NDArray[Any] | int,
    seed: int,
    samples: Samples,
    validation: Samples | None,
    label_smoothing: float = 0.0,
) -> Identity:
    """The identity of a call of `train`. `start` are the parameters given, or their seed."""
    drawn = isinstance(start, int)
    return {
        **identity_of_samples(samples, ("X", "Y", "sample_weight")),
        **(identity_of_samples(validation, ("X_val", "Y_val", "")) if validation else {}),
        **identity_of_network(network),
        "solver": solver.name,
        "backend": backend,
        **identity_of_settings(settings),
        "label_smoothing": label_smoothing,
        "seed": seed,
        "theta": None if drawn else identity_of_array(start),
        MACHINE: identity_of_machine(solver.uses_blas or backend == "numpy"),
    }


def identity_of_network(network: Network) -> Identity:
    """Sizes, units and loss."""
    return {
        "sizes": list(network.sizes),
        "hidden": list(network.hidden),
        "output": network.output,
        LOSS: network.loss.in_words,
        **({} if network.embeddings is None else {"embeddings": _digest(network)}),
    }


def _digest(network: Network) -> Any:
    """Of the embeddings: their kinds, widths and breakpoints."""
    return identity_of_array(np.concatenate([*network.layers.embeddings]))  # type: ignore[misc]


def with_loss(run: Identity) -> Identity:
    """The same, with the default loss of its output units where a file is of a time without one."""
    output = run.get("output")
    if LOSS in run or not isinstance(output, str) or output not in OUTPUT_UNITS:
        return run
    return {**run, LOSS: default_for(output).in_words}


def identity_of_settings(settings: Settings) -> Identity:
    """The settings that bits depend on, by the names of the parameters of `train`."""
    names = {name: value for name, value in settings._asdict().items() if name not in DERIVED}
    schedules = {code: name for name, code in SCHEDULES.items()}
    names["schedule"] = schedules[settings.schedule]
    names["update"] = UPDATES[settings.update]
    for name in ("average", "clip_norm"):
        names[name] = names[name] or None
    del names["schedule_from"]
    if n_steps := names.pop("schedule_steps"):  # without a cosine, max_iter may be raised
        names["steps of the cosine (max_iter epochs)"] = n_steps
    names["n_iter_no_change"] = names.pop("patience")
    if names.pop("evidence"):
        names["alpha"] = "evidence"
    names["shuffle"] = "blocks" if names.pop("block") else bool(names["shuffle"])
    return names


def identity_of_samples(samples: Samples | DistributedSamples, names: Sequence[str]) -> Identity:
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
    """The identity of an array from those of its parts; samples are the last axis."""
    parts = list(parts)
    digest = hashlib.sha256("".join(part["sha256"] for part in parts).encode())
    n_samples = sum(part["shape"][-1] for part in parts)
    shape = [*parts[0]["shape"][:-1], n_samples]
    return {**parts[0], "shape": shape, "sha256": digest.hexdigest()}


def identity_of_inputs(X: Inputs) -> Identity:
    """The identity of a matrix with samples as columns, dense or sparse."""
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
    """The identity of an array of any shape, hashed in C order."""
    array = np.ascontiguousarray(array)
    return _identity(array.shape, array.dtype, hashlib.sha256(array.data))


def _identity(shape: tuple[int, ...], dtype: Any, digest: Any) -> Identity:
    return {"shape": list(shape), "dtype": np.dtype(dtype).name, "sha256": digest.hexdigest()}


def identity_of_machine(blas: bool) -> Identity:
    """The versions and the processor, on which bits depend; and BLAS, if it is used."""
    import scipy

    found = {**environment(), "scipy": scipy.__version__}
    return {**found, **({"BLAS": identity_of_blas()} if blas else {})}


def identity_of_blas() -> list[str]:
    """The BLAS libraries that NumPy and SciPy bring, the kernels that they chose, the processor."""
    import scipy.linalg  # noqa: F401  # loads SciPy's BLAS, so that each process lists the same

    libraries = [found for found in threadpool_info() if found["user_api"] == "blas"]
    names = ("internal_api", "version", "architecture")
    described = {" ".join(str(found.get(name, "")) for name in names) for found in libraries}
    return [*sorted(described), f"on {llvmlite.binding.get_host_cpu_name()}"]


def differences(then: Identity, now: Identity, any_machine: bool = False) -> list[str]:
    """What differs between two identities, in words; with `any_machine`, apart from the machine."""
    found = []
    then, now = with_loss(then), with_loss(now)
    for name in dict.fromkeys([*then, *now]):
        earlier, here = then.get(name), now.get(name)
        if earlier == here:
            continue
        if not _is_text(name):  # a file may hold any name
            name = _shown(name)
        if name == MACHINE and isinstance(earlier, dict) and isinstance(here, dict):
            found += [] if any_machine else differences(earlier, here)
        elif name == FEATURES and _is_text(earlier, 20_000) and _is_text(here, 20_000):
            found.append(f"{FEATURES}: {of_features(here, earlier)}")
        elif _is_array(earlier) or _is_array(here):
            found.append(_difference_of_arrays(name, earlier, here))
        else:
            found.append(f"{name} is {_shown(here)} and was {_shown(earlier)}")
    return found


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
        return f"{name} was not given in that run"
    if not _is_array(here):
        return f"{name} was given in that run"
    if (layouts := (here.get("layout", "dense"), earlier.get("layout", "dense")))[0] != layouts[1]:
        return f"{name} is {layouts[0]} and was {layouts[1]}"
    if earlier["shape"] != here["shape"]:
        return f"{name} has shape {tuple(here['shape'])} and had {tuple(earlier['shape'])}"
    if earlier["dtype"] != here["dtype"]:
        return f"{name} is {here['dtype']} and was {earlier['dtype']}"
    return f"{name} holds other numbers"
