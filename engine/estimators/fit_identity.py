"""The identity of a fit, for checkpoints: its parameters, its rows, and where it starts."""

import functools
import hashlib
import math
import types
from collections.abc import Mapping, Sequence
from typing import Any

import joblib
import numpy as np

from engine.network import Network
from engine.solvers.solver import SOLVERS
from engine.sums.chunks import DistributedSamples
from engine.sums.samples import Samples
from engine.training.identity import (
    MACHINE,
    Identity,
    identity_of_array,
    identity_of_machine,
    identity_of_network,
    identity_of_samples,
)

# Parameters that may differ when a fit resumes: they change no bits, or only where it ends.
FREE = frozenset(
    {
        "checkpoint",
        "max_fun",
        "max_iter",
        "max_time",
        "n_threads",
        "progress",
        "verbose",
        "warm_start",
    }
)
# Parameters that stand in the identity in another form: as those of the network, as weights.
RESOLVED = frozenset({"activation", "class_weight", "hidden_layer_sizes", "loss"})
BEFORE = "a fit to go on from (warm_start)"


def identity_of_fit(
    kind: str,
    parameters: Mapping[str, Any],
    network: Network,
    samples: Samples | DistributedSamples,
    held_out: Samples | None,
    backend: str,
    batch_size: int,
    earlier: Sequence[Any] | None,
) -> Identity:
    """The identity of a fit.

    Parameters
    ----------
    kind : str
        The estimator's class.
    parameters : mapping
        Those of scikit-learn's get_params.
    network : Network
    samples, held_out : Samples
    backend : str
    batch_size : int
    earlier : sequence or None
        What an earlier fit has left for this one to continue, its parameters first; None for a
        first fit.
    """
    given = {
        name: in_words(value) for name, value in parameters.items() if name not in FREE | RESOLVED
    }
    given["random_state"] = _seed(parameters["random_state"])
    given["backend"], given["batch_size"] = backend, batch_size
    if parameters["learning_rate"] == "cosine":
        given["max_iter"] = parameters["max_iter"]  # each step depends on it
    if not network.hidden:  # then the initial values depend on it
        given["activation"] = in_words(parameters["activation"])
    names_held_out = ("X_val", "y_val", "sample_weight_val")
    blas = SOLVERS[parameters["solver"]].uses_blas or backend == "numpy"
    return {
        "estimator": kind,
        **identity_of_samples(samples, ("X", "y", "sample_weight")),
        **(identity_of_samples(held_out, names_held_out) if held_out is not None else {}),
        **identity_of_network(network),
        **given,
        **({} if earlier is None else {BEFORE: _of_earlier(earlier)}),
        MACHINE: identity_of_machine(blas),
    }


def _of_earlier(left: Sequence[Any]) -> Identity:
    return {**identity_of_array(left[0]), "sha256": joblib.hash(list(left))}


def in_words(value: Any) -> Any:
    """A parameter as JSON holds it: equal in each process, and different for different values.

    Raises RecursionError for objects that are nested too deeply.
    """
    return _words(value, {})


def _words(value: Any, seen: dict[int, tuple[int, Any]]) -> Any:
    """The same. An object that was `seen` before is named by its number: it may hold itself."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return repr(float(value))  # a NaN is not equal to itself
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if id(value) in seen:
        return ["again", seen[id(value)][0]]
    seen[id(value)] = len(seen), value  # kept alive, so that no other object gets its id
    if isinstance(value, list | tuple):
        return [_words(one, seen) for one in value]
    if isinstance(value, Mapping):
        items = sorted(value.items(), key=lambda item: repr(_words(item[0], {})))
        return [[_words(key, seen), _words(one, seen)] for key, one in items]
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, functools.partial):
        return ["partial", *(_words(one, seen) for one in (value.func, value.args, value.keywords))]
    if isinstance(value, types.MethodType):
        return ["method", _words(value.__func__, seen), _words(value.__self__, seen)]
    if isinstance(value, types.FunctionType):
        captured = [_captured(cell) for cell in value.__closure__ or ()]
        parts = (captured, value.__defaults__, value.__kwdefaults__)
        code = [_code(value.__code__), *(_words(part, seen) for part in parts)]
        return f"{value.__module__}.{value.__qualname__} {_digest(code)}"
    try:
        return f"{name} {joblib.hash(value)}"
    except RecursionError:
        raise
    except Exception:  # it cannot be pickled: its attributes describe it
        if isinstance(value, type):
            return f"{value.__module__}.{value.__qualname__}"
        if isinstance(value, types.ModuleType):
            return value.__name__
        held = object.__getstate__(value)  # slots included
        return f"{name} {_digest(_words(held, seen))}"


def _captured(cell: types.CellType) -> Any:
    """The value of a variable that a function captures; "not bound" if it has none yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return "not bound"


def _digest(words: Any) -> str:
    return hashlib.sha256(repr(words).encode()).hexdigest()[:16]


def _code(code: types.CodeType) -> list[Any]:
    """The code of a function, without file names and line numbers."""
    constants: list[Any] = []
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            constants.append(_code(one))
        else:  # a set has another order in each process
            constants.append(sorted(map(repr, one)) if isinstance(one, frozenset) else repr(one))
    return [code.co_code.hex(), constants, code.co_names]


def _seed(random_state: Any) -> Any:
    """random_state in words: a number, a generator with its state, or NumPy's own, without."""
    if random_state is None:
        return "NumPy's own generator"
    if isinstance(random_state, np.random.RandomState):
        return f"a generator in state {joblib.hash(random_state.get_state(legacy=False))}"
    return int(random_state)
