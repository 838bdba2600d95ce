"""What a fitted model holds for training alone, and a file does without."""

import copy
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from engine.estimators.base import CURVES
from engine.estimators.classifier import MLPClassifier
from engine.estimators.regressor import MLPRegressor
from engine.model_files.soundness import parts_of

# Attributes of a fitted network that going on with training asks for, and prediction does not.
OF_TRAINING = ("_class_weights", "_draws", "_optimizer", "plan_")
OF_PROCESSES = {Pipeline: "memory", ColumnTransformer: "n_jobs", FeatureUnion: "n_jobs"}


def without_training(model: Any) -> Any:
    """A copy of a fitted model with what prediction asks for."""
    kept = copy.deepcopy(model)
    forget_training(kept)
    return kept


def forget_training(model: Any) -> None:
    """Keep what prediction asks for, of all parts of a model, those not fitted included."""
    for part in parts_of(model):
        if isinstance(part, MLPClassifier | MLPRegressor):
            _forget_training_of(part)
        for kind, name in OF_PROCESSES.items():
            if isinstance(part, kind):
                setattr(part, name, None)
        if hasattr(part, "random_state") and not isinstance(part.random_state, Integral):
            part.random_state = None


def _forget_training_of(network: Any) -> None:
    """For smaller files, and fewer types for them to name."""
    network.set_params(progress=False)
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
