"""Small feed-forward neural networks, trained on a CPU by compiled loops.

The public names are loaded on first use, so that ``import engine`` does no work:

>>> import engine
>>> network = engine.Network((2, 4, 1))
>>> network
<Network 2-4-1: tanh hidden units, sigmoid output, 17 parameters>
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.checks.verification import verify as verify
    from engine.estimators.classifier import MLPClassifier as MLPClassifier
    from engine.estimators.diagnosis import TrainingWarning as TrainingWarning
    from engine.estimators.regressor import MLPRegressor as MLPRegressor
    from engine.many.ensembles import MLPEnsembleClassifier as MLPEnsembleClassifier
    from engine.many.ensembles import MLPEnsembleRegressor as MLPEnsembleRegressor
    from engine.many.many_estimators import fit_many as fit_many
    from engine.model_files.errors import ModelFileError as ModelFileError
    from engine.model_files.save_load import load as load
    from engine.model_files.save_load import save as save
    from engine.network import Network as Network
    from engine.network_function import compiled_forward as compiled_forward
    from engine.statistics.inference_of_models import inference as inference
    from engine.statistics.inference_on_parameters import Inference as Inference
    from engine.tables.conversion import convert_table as convert_table
    from engine.tables.converted_table import open_table as open_table
    from engine.tables.table_classifier import TableClassifier as TableClassifier
    from engine.tables.table_regressor import TableRegressor as TableRegressor
    from engine.training.checkpoint import Checkpoint as Checkpoint
    from engine.training.checkpoint_files import CheckpointError as CheckpointError
    from engine.training.result import DivergedError as DivergedError
    from engine.training.trainer import train as train

__version__ = "0.1.0"

_DEFINED_IN = {
    "Checkpoint": "engine.training.checkpoint",
    "CheckpointError": "engine.training.checkpoint_files",
    "DivergedError": "engine.training.result",
    "Inference": "engine.statistics.inference_on_parameters",
    "MLPClassifier": "engine.estimators.classifier",
    "MLPEnsembleClassifier": "engine.many.ensembles",
    "MLPEnsembleRegressor": "engine.many.ensembles",
    "MLPRegressor": "engine.estimators.regressor",
    "ModelFileError": "engine.model_files.errors",
    "Network": "engine.network",
    "TableClassifier": "engine.tables.table_classifier",
    "TableRegressor": "engine.tables.table_regressor",
    "TrainingWarning": "engine.estimators.diagnosis",
    "compiled_forward": "engine.network_function",
    "convert_table": "engine.tables.conversion",
    "fit_many": "engine.many.many_estimators",
    "inference": "engine.statistics.inference_of_models",
    "load": "engine.model_files.save_load",
    "open_table": "engine.tables.converted_table",
    "save": "engine.model_files.save_load",
    "train": "engine.training.trainer",
    "verify": "engine.checks.verification",
}
# Packages of their own names, loaded on first use as well: engine.distributed.fit.
_PACKAGES = ("distributed", "embeddings", "losses", "model_selection")
__all__ = [
    "Checkpoint",
    "CheckpointError",
    "DivergedError",
    "Inference",
    "MLPClassifier",
    "MLPEnsembleClassifier",
    "MLPEnsembleRegressor",
    "MLPRegressor",
    "ModelFileError",
    "Network",
    "TableClassifier",
    "TableRegressor",
    "TrainingWarning",
    "__version__",
    "compiled_forward",
    "convert_table",
    "fit_many",
    "inference",
    "load",
    "open_table",
    "save",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it, on first use (PEP 562)."""
    if name in _PACKAGES:
        return import_module(f"engine.{name}")
    if name not in _DEFINED_IN:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    value = getattr(import_module(_DEFINED_IN[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__) | set(_PACKAGES))
