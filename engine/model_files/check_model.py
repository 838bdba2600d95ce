"""A model file checked on its own examples, by every backend: `engine check-model`.

The effect of rounding on these outputs is measured on the model itself, as in `verify`: by moving
each parameter by a unit in its last place.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.checks.rounding import DRAWS, perturbed, tolerance
from engine.equations.backends import BACKENDS
from engine.model_files import model as model_files_model
from engine.model_files import onnx_file, safetensors_file, save_load, skops_file
from engine.model_files.description import BINARY, CLASSIFIER
from engine.model_files.model import decoded
from engine.model_files.safe_reading import content_of
from engine.model_files.stored_network import (
    StoredNetwork,
    largest_difference,
    last_place,
    network_of,
)
from engine.model_files.table_examples import ARRAY

FIRST_ANSWER = "NumPy alone"


@dataclass(frozen=True)
class OutputCheck:
    """One way to compute the examples' outputs.

    Attributes
    ----------
    way : str
    ulps : float
        Largest difference from what the file expects, in units in the last place of the largest
        output, expected or computed; infinite for another shape, NaN or infinity.
    allowed : float
        What rounding may account for.
    note : str
        What else is wrong.
    """

    way: str
    ulps: float
    allowed: float
    note: str = ""

    @property
    def ok(self) -> bool:
        return math.isfinite(self.ulps) and self.ulps <= self.allowed and not self.note


@dataclass(frozen=True)
class ModelCheck:
    """What a file holds, and whether its examples give the outputs that it expects.

    Attributes
    ----------
    facts : dict of str
        What the model is, in words.
    outcomes : list of OutputCheck
    notes : list of str
        What was left out, and why.
    """

    facts: dict[str, str]
    outcomes: list[OutputCheck]
    notes: list[str]

    @property
    def ok(self) -> bool:
        """Whether every way agrees; False where there was none."""
        return bool(self.outcomes) and all(outcome.ok for outcome in self.outcomes)


def check_file(path: Path) -> ModelCheck:
    """Load a file and compute its examples' outputs in every available way.

    Raises
    ------
    ModelFileError
        When it cannot be trusted, or carries no examples.
    ImportError
        Where its format needs a package that is not there.
    OSError
        When it cannot be read.
    """
    ending = save_load.ending_of(path)
    content = content_of(path)
    with np.errstate(all="ignore"):  # of numbers near the end of their range
        return _check_content(path, ending, content)


def _check_content(path: Path, ending: str, content: bytes) -> ModelCheck:
    if ending == save_load.SAFETENSORS:
        return _check_network(safetensors_file.read_network(path, content))
    if ending == save_load.ONNX:
        return _check_graph(onnx_file.read(path, content))
    return _check_pipeline(path, skops_file.read_content(path, content))


class Tolerance(NamedTuple):
    """How far outputs may be from those that a file expects.

    Attributes
    ----------
    expected : ndarray
    unit : float
        In the last place of the largest output.
    allowed : float
        What rounding may account for.
    """

    expected: NDArray[Any]
    unit: float
    allowed: float

    def outcome(self, way: str, actual: NDArray[Any], note: str = "") -> OutputCheck:
        ulps = largest_difference(self.expected, actual) / self.unit
        return OutputCheck(way, ulps, self.allowed / self.unit, note)


def _limit(
    expected: NDArray[Any],
    there: NDArray[Any],
    near: list[NDArray[Any]],
    length: int,
    at_least: float = 0.0,
) -> Tolerance:
    """The tolerance, from outputs that are computed here: `there`, and `near` by moved parameters.

    Sums have `length` terms, and are rounded like numbers of size `at_least` or larger. Numbers
    below the smallest normal one may be 0 as well.
    """
    about = np.finfo(expected.dtype)
    allowed = tolerance(there, near, length, float(about.eps), at_least) + float(about.tiny)
    return Tolerance(expected, last_place(expected, there, *near), allowed)


# Networks.


def _check_network(stored: StoredNetwork) -> ModelCheck:
    X, _ = stored.examples
    limit = _limit_of(stored, X)
    outcomes = [limit.outcome(way, actual) for way, actual in _ways(stored, X)]
    return ModelCheck(_facts(stored, stored.metadata[safetensors_file.EXAMPLES]), outcomes, [])


def _ways(stored: StoredNetwork, X: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """The outputs for X in each way."""
    about, theta = stored.description, stored.theta
    yield FIRST_ANSWER, model_files_model.outputs_of(about, theta, X.T).T
    network = network_of(about)
    for name in BACKENDS:
        yield name, network.forward(theta, X.T, name).T


def _limit_of(stored: StoredNetwork, X: NDArray[Any], at_least: float = 0.0) -> Tolerance:
    """The tolerance of a network's outputs for X."""
    about = stored.description
    there, *near = [
        model_files_model.outputs_of(about, theta, X.T).T
        for theta in [stored.theta, *perturbed(stored.theta)]
    ]
    return _limit(stored.examples.outputs, there, near, max(about.dense_sizes), at_least)


def _facts(stored: StoredNetwork, examples: str) -> dict[str, str]:
    about, metadata = stored.description, stored.metadata
    facts = {"model": f"{about.kind}, {about.in_words}"}
    if about.classes is not None:
        shown = [repr(one) for one in about.classes[:6].tolist()]
        more = [f"{len(about.classes) - 6} more"] * (len(about.classes) > 6)
        facts["classes"] = ", ".join(shown + more)
    if about.feature_names:
        more = [f"{len(about.feature_names) - 6} more"] * (len(about.feature_names) > 6)
        facts["features"] = ", ".join([*about.feature_names[:6], *more])
    facts["written by"] = ", ".join(f"{name} {at}" for name, at in about.versions.items())
    facts["fingerprint"] = metadata["fingerprint"]
    if "checksum" in metadata:
        facts["checksum"] = f"{metadata['checksum']} (right)"
    facts["examples"] = f"{len(stored.examples.X)}, {examples.partition(': ')[2].rstrip('.')}"
    return facts


# Graphs.


def _check_graph(graph: onnx_file.Graph) -> ModelCheck:
    stored, X = graph.stored, graph.stored.examples.X
    scaled = X
    if onnx_file.MEAN in graph.scaling:
        scaled = scaled - graph.scaling[onnx_file.MEAN]
    if onnx_file.SCALE in graph.scaling:
        scaled = scaled / graph.scaling[onnx_file.SCALE]
    limit = _limit_of(stored, scaled)
    outcomes = [limit.outcome(way, actual) for way, actual in _ways(stored, scaled)]
    facts = _facts(stored, stored.metadata[onnx_file.EXAMPLES_ARE])
    if graph.scaling:
        facts["before it"] = "StandardScaler"
    if find_spec("onnxruntime") is None:
        return ModelCheck(facts, outcomes, ["onnxruntime is not installed, and was left out."])
    # It computes 1 / (1 + e^-z) to the last place of 1, however small that is.
    at_least = 1.0 if stored.description.output == "sigmoid" else 0.0
    outcomes.append(_by_onnxruntime(graph, _limit_of(stored, scaled, at_least)))
    return ModelCheck(facts, outcomes, [])


def _by_onnxruntime(graph: onnx_file.Graph, limit: Tolerance) -> OutputCheck:
    import onnxruntime

    stored, content = graph.stored, onnx_file.bytes_of_graph(graph)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    about = stored.description
    names = [output.name for output in session.get_outputs()]
    inputs = {onnx_file.INPUT: stored.examples.X}
    actual = dict(zip(names, session.run(names, inputs), strict=True))
    way = f"onnxruntime {onnxruntime.__version__}"
    if about.n_levels:
        limit = limit._replace(expected=np.sort(limit.expected, axis=1))
    if about.kind != CLASSIFIER:
        return limit.outcome(way, actual[names[0]])
    A = actual[onnx_file.PROBABILITIES]
    A = A[:, 1:] if about.labels == BINARY else A
    right = actual[onnx_file.LABEL].tolist() == decoded(about, A).tolist()
    note = "" if right else "its labels are not those of its probabilities"
    return limit.outcome(way, A, note)


# Pipelines.


def _check_pipeline(path: Path, model: skops_file.StoredModel) -> ModelCheck:
    from engine.model_files.estimator_checks import networks_of

    examples = skops_file.require_model(path, model).examples
    assert examples is not None
    networks = networks_of(model.estimator)
    rows, expected = examples.rows(), examples.outputs

    def computed(backend: str, draw: int | None = None) -> Any:
        changed = copy.deepcopy(model.estimator)
        for network in networks_of(changed):
            network.set_params(backend=backend)
            if draw is not None:
                network._put(list(perturbed(network._theta()))[draw])
        return np.asarray(getattr(changed, examples.method)(rows))

    near = [computed("numpy", draw) for draw in range(DRAWS)]
    dtype = np.float32 if any(n._dtype == np.float32 for n in networks) else np.float64
    expected = expected.astype(dtype) if expected.dtype.kind == "f" else expected.astype(float)
    there, *near = [np.asarray(one, expected.dtype) for one in [computed("numpy"), *near]]
    length = max(max(network._network.dense_sizes) for network in networks)
    limit = _limit(expected, there, near, length)
    outcomes = [limit.outcome(name, computed(name).astype(expected.dtype)) for name in BACKENDS]
    return ModelCheck(_facts_of_pipeline(model, networks), outcomes, [])


def _facts_of_pipeline(model: skops_file.StoredModel, networks: list[Any]) -> dict[str, str]:
    header, examples = model.header, model.examples
    assert examples is not None
    facts = {"model": str(header.get("what", type(model.estimator).__name__))}
    for network in networks:
        facts["network"] = f"{type(network).__name__}, {str(network._network).strip('<>')}"
        facts["fingerprint"] = network.fingerprint_
    steps = getattr(model.estimator, "steps", [])
    if steps:
        facts["steps"] = ", ".join(type(step).__name__ for _, step in steps)
    facts["written by"] = ", ".join(f"{name} {at}" for name, at in header["versions"].items())
    kind = f"rows of the user's ({examples.table})"
    if examples.drawn:
        kind = "standard normal numbers" if examples.table == ARRAY else "made-up rows of the table"
    facts["examples"] = f"{len(examples.outputs)}, {kind}, tried by {examples.method}"
    return facts
