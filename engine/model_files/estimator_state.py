"""What a file keeps of a fitted estimator, and how the estimator is restored from it."""

import copy
import math
import re
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils.validation import check_is_fitted

from engine.boundary import settings as settings_in_range
from engine.embeddings import Embedding, checked
from engine.embeddings import of_json as embedding_of_json
from engine.estimators import parameters
from engine.estimators.base import CURVES, OF_EVIDENCE
from engine.estimators.classifier import MLPClassifier
from engine.estimators.labels import Labels
from engine.estimators.parameters import OUTPUT_UNITS
from engine.estimators.regressor import MLPRegressor
from engine.losses import Loss, of_json
from engine.many.ensemble_base import Ensemble
from engine.model_files import stored_embeddings
from engine.model_files.description import CLASSIFIER, NUMBERS, REGRESSOR, Description
from engine.model_files.estimator_checks import objects_of
from engine.model_files.stored_network import StoredNetwork, loss_of, network_of
from engine.network import Network

ESTIMATORS = {CLASSIFIER: MLPClassifier, REGRESSOR: MLPRegressor}
FITTED = (
    *("loss_", "best_loss_", "best_validation_score_"),
    *("n_iter_", "t_", "n_threads_", "_no_improvement_count"),
)
# Settings of a training run that a file does not keep: what they hold belongs to its process.
NOT_KEPT = {"checkpoint": None}


def description_of(estimator: Any) -> Description:
    """What a file says of a fitted MLPClassifier or MLPRegressor.

    Raises NotFittedError before `fit`, and ValueError for labels that a file cannot hold.
    """
    check_is_fitted(estimator)
    network: Network = estimator._network
    labels = getattr(estimator, "_labels", None)
    return Description(
        sizes=network.sizes,
        hidden=network.hidden,
        output=network.output,
        dtype=estimator._dtype.name,
        kind=CLASSIFIER if labels is not None else REGRESSOR,
        labels="" if labels is None else labels.kind,
        classes=None if labels is None else _classes_of(labels),
        sparse=bool(labels is not None and labels.sparse),
        feature_names=tuple(map(str, getattr(estimator, "feature_names_in_", ()))),
        estimator={
            "parameters": parameters_of(estimator),
            "fitted": {
                **{name: json_value(name, getattr(estimator, name, None)) for name in FITTED},
                **{name: json_value(name, one) for name, one in evidence_of(estimator).items()},
            },
        },
        loss=loss_of(network),
        embeddings=stored_embeddings.as_json(network.embeddings),
    )


def parameters_of(estimator: Any) -> dict[str, Any]:
    """The parameters as JSON; some that only training needs are left out."""
    kept = {**estimator.get_params(deep=False)}
    kept |= {name: value for name, value in NOT_KEPT.items() if name in kept}
    if callable(kept.get("scoring")):
        kept["scoring"] = None
    if not isinstance(kept["random_state"], Integral):
        kept["random_state"] = None
    return {name: json_value(name, value) for name, value in kept.items()}


def evidence_of(estimator: Any) -> dict[str, Any]:
    """What alpha="evidence" has found, if that was asked for."""
    return {name: vars(estimator)[name] for name in OF_EVIDENCE if name in vars(estimator)}


def curves_of(estimator: Any) -> dict[str, NDArray[Any]]:
    """The curves that training recorded."""
    found = {name: getattr(estimator, name, None) for name in CURVES}
    return {name: np.array(curve, float) for name, curve in found.items() if curve is not None}


def estimator_of(stored: StoredNetwork) -> Any:
    """The estimator, as after `fit`; ValueError and the like if the contents make none."""
    about = stored.description
    settings, fitted = about.estimator["parameters"], about.estimator["fitted"]
    for name, kept in NOT_KEPT.items():
        if settings.get(name, kept) != kept:
            raise ValueError(f"{name} is {settings[name]!r:.40}, which no file keeps")
    kind = ESTIMATORS[about.kind]
    estimator = kind(**{name: _python_value(name, value) for name, value in settings.items()})
    estimator._validate_params()
    network = network_of(about)
    _require_same_network(estimator, about, network)
    state = {name: _python_value(name, fitted[name]) for name in FITTED}
    for name in OF_EVIDENCE:
        if name in fitted:
            state[name] = settings_in_range.real_number(
                name, _python_value(name, fitted[name]), low=0 if name == "alpha_" else -math.inf
            )
    state |= {name: None for name in CURVES} | {
        name: curve.tolist() for name, curve in stored.curves.items()
    }
    names_of_units = {ours: theirs for theirs, ours in OUTPUT_UNITS.items()}
    state |= {
        "_network": network,
        "n_features_in_": about.sizes[0],
        "n_layers_": len(about.sizes),
        "n_outputs_": about.sizes[-1],
        "out_activation_": names_of_units[about.output],
    }
    if about.feature_names:
        state["feature_names_in_"] = np.array(about.feature_names, dtype=object)
    vars(estimator).update(state)
    if about.kind == CLASSIFIER:
        estimator._set_labels(_labels_of(about))
    estimator._put(stored.theta.copy())
    return estimator


def json_value(name: str, value: Any) -> Any:
    """A parameter as JSON has it; dicts as pairs, since their keys may be numbers."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Loss):
        return {"loss": value.as_json}
    if isinstance(value, Embedding):
        return {"embedding": value.as_json}
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        return number if np.isfinite(number) else {"float": repr(number)}
    if isinstance(value, np.ndarray | list | tuple):
        return [json_value(name, one) for one in value]
    if isinstance(value, Mapping):
        return {
            "pairs": [[json_value(name, key), json_value(name, one)] for key, one in value.items()]
        }
    raise ValueError(
        f"{name} is {value!r:.80}, a {type(value).__name__}, which a model file does not keep; set "
        f"it to a number, a text or None first: set_params({name}=...)."
    )


def _python_value(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"float"}:
            return float(value["float"])
        if value.keys() == {"loss"}:
            return of_json(value["loss"])
        if value.keys() == {"embedding"}:
            return embedding_of_json(value["embedding"])
        return {_python_value(name, key): _python_value(name, one) for key, one in value["pairs"]}
    if isinstance(value, list):
        values = [_python_value(name, one) for one in value]
        return tuple(values) if name in ("hidden_layer_sizes", "activation") else values
    return value


def _classes_of(labels: Labels) -> NDArray[Any]:
    classes = np.asarray(labels.classes)
    texts = classes.dtype.kind in "UO" and all(isinstance(one, str) for one in classes)
    if not texts and classes.dtype.name not in NUMBERS:
        raise ValueError(
            f"The classes are of dtype {classes.dtype}, which a .safetensors file does not keep; "
            "fit on labels that are numbers or texts."
        )
    return classes


def _labels_of(about: Description) -> Labels:
    labels = Labels.__new__(Labels)
    assert about.classes is not None
    labels.kind, labels.classes, labels.sparse = about.labels, about.classes, about.sparse
    return labels


def _require_same_network(estimator: Any, about: Description, network: Network) -> None:
    """The parameters must describe the stored network, or training could not be resumed."""
    hidden_sizes = parameters.hidden_sizes(estimator.hidden_layer_sizes)
    hidden = parameters.hidden_units(estimator.activation, len(hidden_sizes))
    chosen = estimator._chosen_loss
    loss = chosen is None or chosen.as_json == network.loss.as_json
    same = checked(estimator.embeddings, about.sizes[0]) == network.embeddings
    if (hidden_sizes, hidden) != (about.sizes[1:-1], about.hidden) or not (loss and same):
        raise ValueError(f"{estimator} is not the estimator of a network {about.in_words}")


# What is left out: the state of training.

# Attributes of a fitted network that resuming training needs, and prediction does not.
OF_TRAINING = ("_class_weights", "_draws", "_optimizer", "plan_")
# Of an ensemble: arrays with a number, or a prediction, for each row of the training data.
OF_ROWS = re.compile("member_rows_|(oob|out_of_fold)_(prediction|decision_function)_")
OF_PROCESSES = {Pipeline: "memory", ColumnTransformer: "n_jobs", FeatureUnion: "n_jobs"}


def without_training_state(model: Any) -> Any:
    """A copy of a fitted model with what prediction needs."""
    kept = copy.deepcopy(model)
    remove_training_state(kept)
    return kept


def remove_training_state(model: Any) -> None:
    """Remove the state of training from all parts of a model, also those not fitted."""
    for part in objects_of(model):
        if isinstance(part, MLPClassifier | MLPRegressor):
            _remove_training_state_of(part)
        if isinstance(part, Ensemble):
            _remove_training_state_of_ensemble(part)
        for kind, name in OF_PROCESSES.items():
            if isinstance(part, kind):
                setattr(part, name, None)
        if hasattr(part, "made_up_rows"):  # an estimator of tables
            part.progress = False
            _remove_function_of_loss(part)
        if hasattr(part, "random_state") and not isinstance(part.random_state, Integral):
            part.random_state = None
        if hasattr(part, "_parameters_of_fit"):
            part.remember_parameters()


def _remove_function_of_loss(network: Any) -> None:
    """A file holds the name of a user's own loss in place of its function."""
    if isinstance(getattr(network, "loss", None), Loss):
        network.loss = network.loss.without_function()
    layers = vars(network).get("_network")
    if layers is not None and layers.loss.without_function() is not layers.loss:
        loss = layers.loss.without_function()
        network._network = Network(
            layers.sizes, layers.hidden, layers.output, loss, layers.embeddings
        )


def _remove_training_state_of_ensemble(ensemble: Any) -> None:
    """Numbers of rows, what is predicted for them, and objects that only a fit would use."""
    for name in [name for name in vars(ensemble) if OF_ROWS.fullmatch(name)]:
        vars(ensemble).pop(name)
    if not isinstance(ensemble.cv, Integral):
        ensemble.cv = None
    if ensemble.candidates is not None:
        ensemble.candidates = [
            {name: None if callable(value) else value for name, value in one.items()}
            for one in ensemble.candidates
        ]


def _remove_training_state_of(network: Any) -> None:
    """This makes files smaller, with fewer types in them."""
    network.set_params(progress=False)
    _remove_function_of_loss(network)
    if not isinstance(network.scoring, str):
        network.set_params(scoring=None)
    if "checkpoint" in network.get_params(deep=False):
        network.set_params(checkpoint=None)
    for name in OF_TRAINING:
        vars(network).pop(name, None)
    for name in [name for name in vars(network) if "callback" in name]:
        vars(network).pop(name)
    for name in CURVES:  # as arrays: skops writes an object for each number of a list
        if getattr(network, name, None) is not None:
            setattr(network, name, np.array(getattr(network, name)))
