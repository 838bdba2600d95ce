"""Checks of an estimator from a file, before it predicts.

Its types are checked by then, but its attributes may hold anything: parameters whose shapes kernels
would trust, a number of processes to start, a file to write to, and numbers that transformers
compute when they are fitted and never check again, although these become memory addresses, array
lengths and loop counts.
"""

import inspect
import itertools
import math
from collections.abc import Iterator
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
)
from sklearn.utils.validation import check_is_fitted

from engine.embeddings import Pieces
from engine.equations.losses import KernelLoss
from engine.estimators.classifier import MLPClassifier
from engine.estimators.labels import BINARY, MULTICLASS, MULTILABEL, Labels
from engine.estimators.parameters import OUTPUT_UNITS
from engine.estimators.regressor import MLPRegressor
from engine.many.ensemble_base import Ensemble
from engine.model_files.ensemble_checks import check_ensemble
from engine.model_files.table_columns import TableColumns, check_columns
from engine.model_files.table_examples import TableExamples
from engine.network import Network
from engine.sums.samples import Layers

# What must not be set in a model that predicts: where it would write, what it would call or start.
UNSET: dict[type, tuple[str, ...]] = {
    Pipeline: ("memory",),
    ColumnTransformer: ("n_jobs",),
    FeatureUnion: ("n_jobs",),
    FunctionTransformer: ("func", "inverse_func"),
    TransformedTargetRegressor: ("func", "inverse_func"),
    MLPClassifier: ("checkpoint",),
    MLPRegressor: ("checkpoint",),
}

# Numbers that all predictions depend on: if one is not finite, neither are the predictions.
FINITE = ("center_", "components_", "explained_variance_", "max_abs_", "mean_", "min_", "scale_")


def check_model(model: Any, n_bytes: int, examples: TableExamples | None) -> None:
    """Raise ValueError, or another error that it leads to, if a part of the model is invalid.

    `n_bytes` is the length of the file: a valid model has no more features than that.
    """
    for part in objects_of(model):
        _refuse_shadows(part)
        if isinstance(part, Network):
            _check_layers(part)
        if isinstance(part, BaseEstimator):
            _check_features(part, n_bytes)
            _check_finite(part)
            check_transformer(part, n_bytes)
            for kind, names in UNSET.items():
                if isinstance(part, kind):
                    _require_unset(part, names)
        if isinstance(part, MLPClassifier | MLPRegressor):
            check_network(part)
        if isinstance(part, Ensemble):
            check_ensemble(part)
    n_columns = 0 if examples is None else len(examples.columns)
    check_widths(model, max(n_columns, getattr(model, "n_features_in_", 1)), n_bytes)


def check_on_examples(model: Any, examples: TableExamples) -> None:
    """Predict the examples: ValueError if the outputs have another shape, or are not finite.

    Whether the outputs are the same is not checked here: rounding on another processor may change
    an unscaled model's numbers by much, and `engine check-model` says by how much.
    """
    try:
        rows = examples.rows()
    except ImportError:  # without a library for tables nobody can use it here
        return
    actual = np.asarray(getattr(model, examples.method)(rows))
    if actual.shape != examples.outputs.shape or not np.isfinite(actual).all():
        raise ValueError(
            f"for its examples it gives {actual.shape} numbers, not all of them finite, where "
            f"{examples.outputs.shape} are expected"
        )


def objects_of(model: Any) -> Iterator[Any]:
    """Each estimator and each object of this package within a model, itself included."""
    waiting, seen = [model], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple):
            waiting.extend(part)
        elif isinstance(part, np.ndarray) and part.dtype == object:
            waiting.extend(part.flat)
        elif isinstance(part, BaseEstimator | Labels | Network):
            yield part
            waiting.extend(vars(part).values())


def networks_of(model: Any) -> list[Any]:
    """The fitted networks within a model."""
    parts = objects_of(model)
    kinds = (MLPClassifier, MLPRegressor)
    return [part for part in parts if isinstance(part, kinds) and "coefs_" in vars(part)]


def check_network(network: Any) -> None:
    """ValueError if a fitted estimator's parameters are not those of its layers."""
    if not isinstance(network, MLPClassifier | MLPRegressor):
        raise ValueError(f"a network was expected; came {type(network).__name__}")
    network._validate_params()
    if "coefs_" not in vars(network):
        return  # the one that a TransformedTargetRegressor was made with
    layers: Network = network._network
    if type(layers) is not Network:
        raise ValueError(f"a network was expected; came {type(layers).__name__}")
    if own_network(layers) != layers:
        raise ValueError("layers that make no sense")
    sizes = layers.sizes
    pairs = _parameters(network)
    shapes = [(weights.shape, offsets.shape) for weights, offsets in pairs]
    wanted = [((below, above), (above,)) for below, above in itertools.pairwise(layers.dense_sizes)]
    parts = [*itertools.chain(*pairs), *_of_embeddings(network, layers)]
    if shapes != wanted or (sizes[0], sizes[-1]) != (network.n_features_in_, network.n_outputs_):
        raise ValueError(f"parameters of shapes {shapes} for layers of {sizes}")
    dtypes = {array.dtype.name for array in parts}
    if dtypes not in ({"float32"}, {"float64"}):
        raise ValueError(f"parameters of types {sorted(dtypes)}")
    if not all(np.isfinite(array).all() for array in parts):
        raise ValueError("parameters that are NaN or infinite")
    if OUTPUT_UNITS.get(network.out_activation_) != layers.output:
        raise ValueError(f"an output {network.out_activation_!r:.40} of {layers}")
    if isinstance(network, MLPClassifier):
        _check_labels(network, sizes[-1], layers.output)
    elif layers.loss.row.high <= 1:
        raise ValueError(f"a regressor of {layers}")


def _check_layers(layers: Network) -> None:
    """ValueError for layers that differ from what the sizes and units say."""
    own = own_network(layers)
    # None, or what a network that was used derives from its sizes and units.
    kept: Any = layers._layers
    derived = kept is None or (
        type(kept) is Layers
        and type(kept.loss) is KernelLoss
        and type(kept.embeddings) is type(own.layers.embeddings)
        and all(
            type(part) is type(right)
            and np.asarray(part).dtype == np.asarray(right).dtype
            and np.array_equal(np.asarray(part), np.asarray(right))
            for part, right in zip(_parts(kept), _parts(own.layers), strict=True)
        )
    )
    if vars(layers).keys() != vars(own).keys() or layers != own or not derived:
        raise ValueError("layers that make no sense")


def _parts(layers: Layers) -> list[Any]:
    return [layers.sizes, layers.units, *layers.loss, *(layers.embeddings or ())]


def _check_labels(network: Any, n_outputs: int, output: str) -> None:
    labels = network._labels
    if type(labels) is not Labels or labels.kind not in (BINARY, MULTICLASS, MULTILABEL):
        raise ValueError("labels that make no sense")
    classes = labels.classes
    right_output = "softmax" if labels.kind == MULTICLASS else "sigmoid"
    if (
        not isinstance(classes, np.ndarray)
        or classes.ndim != 1
        or not 0 < len(classes) <= max(2, n_outputs)
        or labels.n_outputs != n_outputs
        or output != right_output
        or not np.array_equal(classes, network.classes_)
    ):
        raise ValueError(f"labels for {n_outputs} outputs of another network")


def _parameters(network: Any) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    return list(zip(network.coefs_, network.intercepts_, strict=True))


def _of_embeddings(network: Any, layers: Network) -> list[NDArray[Any]]:
    """The parameters of all embeddings; ValueError where they are not those of the network."""
    given = vars(network).get("embeddings_")
    if layers.embeddings is None:
        if given is not None:
            raise ValueError(f"embeddings of {layers}, which has none")
        return []
    if not isinstance(given, list) or len(given) != len(layers.embeddings):
        raise ValueError(f"no list of embeddings for {layers}")
    found: list[NDArray[Any]] = []
    for entry, parts in zip(layers.embeddings, given, strict=True):
        if entry is None and parts is None:
            continue
        wanted = () if entry is None else entry.shapes
        arrays = parts if isinstance(entry, Pieces) else (parts,)
        right = isinstance(arrays, tuple) and all(type(part) is np.ndarray for part in arrays)
        if not right or tuple(part.shape for part in arrays) != wanted:
            raise ValueError(f"parameters of other embeddings than those of {layers}")
        found += arrays
    return found


def own_network(layers: Network) -> Network:
    """A network made of what these layers say they are."""
    return Network(layers.sizes, layers.hidden, layers.output, layers.loss, layers.embeddings)


def _refuse_shadows(part: Any) -> None:
    """Refuse attributes that would shadow methods, or the rules for parameters, of the type."""
    for name in vars(part):
        if not isinstance(name, str):
            raise ValueError("an attribute without a name")
        if inspect.getattr_static(type(part), name, None) is not None:
            raise ValueError(f"a value in the place of {type(part).__name__}.{name}")


def _check_features(part: Any, n_bytes: int) -> None:
    number = vars(part).get("n_features_in_")
    if number is not None and not (isinstance(number, int) and 0 < number <= n_bytes):
        raise ValueError(f"{type(part).__name__} of {number!r:.40} features")


def _check_finite(part: Any) -> None:
    for name in FINITE:
        if vars(part).get(name) is not None and not np.isfinite(vars(part)[name]).all():
            raise ValueError(f"{type(part).__name__}.{name} holds NaN or infinity")


def _require_unset(part: Any, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(part, name) is not None:
            raise ValueError(f"{type(part).__name__}({name}={getattr(part, name)!r:.40})")


def require_saveable(model: Any) -> None:
    """TypeError for anything but a model with a network; NotFittedError before `fit`."""
    if not isinstance(model, BaseEstimator) or isinstance(model, type):
        raise TypeError(
            f"A .skops file holds a fitted estimator or pipeline; got {type(model).__name__}. A "
            "Network with its parameters goes into .safetensors or .onnx."
        )
    check_is_fitted(model)
    if hasattr(model, "best_estimator_"):
        raise TypeError(
            f"A .skops file holds what predicts, not a {type(model).__name__}: save its "
            "best_estimator_."
        )
    if not networks_of(model):
        raise TypeError(
            f"{type(model).__name__} holds no fitted MLPClassifier or MLPRegressor, and model "
            "files are for those."
        )


# Numbers that fitted transformers keep for themselves.

LARGEST_DEGREE = 64
WIDEST = 4096  # bytes of the text that fills in missing values, at most
BYTES_A_FEATURE = 4  # that a model stores at least per feature it makes: a float32


def check_transformer(part: BaseEstimator, n_bytes: int) -> None:
    """Raise ValueError, or another error, for attributes that fitting would not have made."""
    if isinstance(part, OneHotEncoder | OrdinalEncoder):
        _require(np.dtype(part.dtype).kind in "biuf", part, f"of {np.dtype(part.dtype)}")
    if isinstance(part, OneHotEncoder) and "categories_" in vars(part):
        _check_one_hot(part)
    if isinstance(part, SimpleImputer) and "_fill_dtype" in vars(part):
        _require(np.dtype(part._fill_dtype).itemsize <= WIDEST, part, "of texts without end")
    if isinstance(part, PolynomialFeatures):
        _check_polynomial(part, n_bytes)
    if isinstance(part, TableColumns):
        check_columns(part)
    if is_translation(part):
        part.check_sound()


def is_translation(part: Any) -> bool:
    """Whether it is the step of `engine.tables`, which cannot be imported here: it imports this."""
    return type(part).__module__ == "engine.tables.translation"


def check_widths(model: Any, n_features: int, n_bytes: int) -> None:
    """ValueError if some step makes more features than a file of `n_bytes` has numbers for.

    `n_features` columns go in. A chain of small steps that each double the features would turn
    three columns into millions.
    """
    _width(model, n_features, n_bytes // BYTES_A_FEATURE)


def _width(step: Any, n: int, most: int) -> int:
    """The most features that come out of a step, for n that go in."""
    found = n
    if step is None or isinstance(step, str):
        found = 0 if step == "drop" else n
    elif isinstance(step, Pipeline):
        for _, part in step.steps:
            found = _width(part, found, most)
    elif isinstance(step, FeatureUnion):
        found = sum(_width(part, n, most) for _, part in step.transformer_list)
    elif isinstance(step, ColumnTransformer):
        found = _width_of_columns(step, n, most)
    elif isinstance(step, TransformedTargetRegressor):
        found = _width(vars(step).get("regressor_"), n, most)
    elif isinstance(step, OneHotEncoder):
        found = sum(vars(step).get("_n_features_outs", ()))
    elif hasattr(step, "made_up_rows"):  # an estimator of tables, which has checked itself
        found = 1
    elif is_translation(step):
        found = step.n_features_out(n)
    elif isinstance(step, PolynomialFeatures):
        found = vars(step).get("n_output_features_", 0)
    elif isinstance(step, SimpleImputer) and step.add_indicator:
        found = n + _width(vars(step).get("indicator_"), n, most)
    else:  # as many as go in, or as it has directions, scores or places
        arrays = [v for v in vars(step).values() if isinstance(v, np.ndarray) and v.ndim]
        found = max([n, *map(len, arrays)])
    if found > most:
        raise ValueError(f"{found} features come out of {type(step).__name__}")
    return found


def _width_of_columns(step: ColumnTransformer, n: int, most: int) -> int:
    """The same where each transformer takes some of the columns, by name, number or mask."""
    found = 0
    passing = vars(step).get("_name_to_fitted_passthrough", {})
    of_names = vars(step).get("_transformer_to_input_indices", {})
    for name, part, columns in vars(step).get("transformers_", ()):
        if isinstance(columns, slice):
            chosen = len(range(*columns.indices(n)))
        else:
            chosen = 1 if np.ndim(columns) == 0 else len(columns)
        chosen = max(chosen, len(of_names.get(name, ())))
        found += _width(passing.get(name, part), chosen, most)
    return found


def _check_one_hot(part: OneHotEncoder) -> None:
    """Codes are column indices of the output, to which scipy writes without a bounds check."""
    n = part.n_features_in_
    none = [None] * n
    grouped = bool(part._infrequent_enabled)
    features = zip(
        part.categories_,
        part._n_features_outs,
        part._infrequent_indices if grouped else none,
        part._default_to_infrequent_mappings if grouped else none,
        none if part._drop_idx_after_grouping is None else part._drop_idx_after_grouping,
        none,
        strict=True,
    )
    for categories, n_outputs, rare, mapping, dropped, _ in features:
        _require(_are_in_order(categories), part, "whose categories are in no order")
        codes = np.arange(len(categories)) if mapping is None else np.asarray(mapping)
        _require(len(codes) == len(categories) > 0 <= codes.min(), part, "of other codes")
        _require((rare is None) == (mapping is None), part, "of other codes")
        if rare is not None:
            _require(0 <= min(rare) <= max(rare) < len(codes), part, "of other codes")
        n_codes = int(codes.max()) + 1
        if dropped is not None:
            _require(0 <= dropped < n_codes, part, f"that drops {dropped!s:.40}")
            n_codes -= 1
        _require(n_outputs == n_codes, part, f"of {n_outputs!r:.40} outputs for {n_codes} codes")


def _are_in_order(categories: Any) -> bool:
    """Whether numbers are sorted, as a search for one requires; texts are not searched for."""
    if categories.dtype.kind == "U":
        return True
    numbers = [one for one in categories.tolist() if isinstance(one, Real) and one == one]
    return all(one < other for one, other in itertools.pairwise(numbers))


def _check_polynomial(part: PolynomialFeatures, n_bytes: int) -> None:
    """Degrees and numbers of features, which loops and arrays are made by."""
    part._validate_params()
    names = ("_min_degree", "_max_degree", "n_output_features_", "_n_out_full")
    kept = vars(part)
    if not kept.keys() & set(names):
        return
    degree = part.degree
    least, most = degree if isinstance(degree, tuple | list) else (0, degree)
    if most > LARGEST_DEGREE or least > most:
        raise ValueError(f"polynomials of degree {degree}")
    n, repeats, bias = part.n_features_in_, not part.interaction_only, bool(part.include_bias)

    def number(least: int) -> int:
        degrees = range(max(least, 1), most + 1)
        return bias + sum(math.comb(n + d - 1 if repeats else n, d) for d in degrees)

    if number(0) > n_bytes:
        raise ValueError(f"polynomials of {number(0)} features")
    wanted = [least, most, number(least), number(0)]
    actual = [kept[name] for name in names]
    if actual != wanted:
        raise ValueError(f"polynomials of {actual}, where {wanted} are expected")


def _require(holds: Any, part: BaseEstimator, what: str) -> None:
    if not holds:
        raise ValueError(f"{type(part).__name__} {what}")
