"""`save` and `load`: the ending of a file's name chooses the format."""

import os
from pathlib import Path
from typing import Any

from engine.model_files import safetensors_file
from engine.model_files.description import NETWORK
from engine.model_files.errors import ModelFileError, would_load
from engine.model_files.model import Model
from engine.model_files.safe_reading import content_of
from engine.system import atomic_files

SAFETENSORS, SKOPS, ONNX = safetensors_file.ENDING, ".skops", ".onnx"
ENDINGS = (SAFETENSORS, SKOPS, ONNX)


def save(path: str | os.PathLike[str], model: Any, theta: Any = None, *, X: Any = None) -> None:
    """Write a model to a file, whole or not at all: an older file stays as it was if this fails.

    A file that is there is replaced.

    Parameters
    ----------
    path : str or path
        Its ending chooses the format. ``.safetensors``: a network or a fitted estimator, for any
        language to read. ``.skops``: a fitted estimator, ensemble, TableClassifier or
        TableRegressor, or a scikit-learn pipeline around one.
        ``.onnx``: a network, a fitted estimator, or a StandardScaler and one, for other programs;
        not to be loaded again.
    model : Network, MLPClassifier, MLPRegressor, or for .skops an ensemble or a pipeline
        Not changed. Settings that belong to this process are left out: a checkpoint, scorers that
        are functions, generators of random numbers, and the state that an optimiser resumes from.
    theta : ndarray (n_parameters,) or TrainResult
        The parameters, where the model is a Network.
    X : array_like (n_samples, n_features) or table, optional
        Rows like those that the model is for. At most eight of them go into the file, with the
        model's outputs for them, for ``engine check-model`` to verify; if left out, these are
        standard normal numbers. A pipeline that takes a table's columns by name needs X.

    Raises
    ------
    ModelFileError
        When the model holds what `load` would refuse: the new file is read back before it replaces
        an older one.
    ValueError, TypeError
        For another ending, a model that this kind of file cannot hold, or parameters that are not
        finite.
    NotFittedError
        Before `fit`.
    ImportError
        Where the format needs a package that is not there: ``pip install skops onnx``.
    OSError
        When the file cannot be written.

    Notes
    -----
    docs/model-files.md says what is in a file, byte by byte.

    Examples
    --------
    >>> import tempfile
    >>> from engine import Network, load, save, train
    >>> network = Network((2, 4, 1))
    >>> result = train(network, [[0, 0, 1, 1], [0, 1, 0, 1]], [1, 0, 0, 1], max_iter=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(folder + "/xnor.safetensors", network, result)
    ...     load(folder + "/xnor.safetensors")
    <Model: network, 2-4-1: tanh hidden units, sigmoid output, float64>
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"The path comes first: save(path, model); got a {type(path).__name__}.")
    target = Path(path)
    ending = ending_of(target)
    content = _content(target, ending, model, theta, X)
    with atomic_files.replacing(target) as file, would_load(target):
        _read(target, ending, atomic_files.written(file, content))


def load(path: str | os.PathLike[str]) -> Any:
    """Read a model that `save` or ``engine train`` wrote. No code in the file is executed.

    Parameters
    ----------
    path : str or path
        A .safetensors or .skops file.

    Returns
    -------
    Model, or for .skops the scikit-learn estimator
        `Model` predicts without scikit-learn; its `estimator()` gives the estimator.

    Raises
    ------
    ModelFileError
        When the file is no model file, is damaged, or asks for more than models are made of.
    ValueError
        For another ending.
    ImportError
        For .skops, where skops is not there: ``pip install skops onnx``.
    OSError
        When the file cannot be read.

    Notes
    -----
    Memory and time are bounded by the length of the file. No check can
    tell whether a model is a good one, or who made it.

    Examples
    --------
    >>> import tempfile
    >>> from engine import MLPRegressor, load, save
    >>> fitted = MLPRegressor(hidden_layer_sizes=3, solver="lbfgs", random_state=0)
    >>> fitted = fitted.fit([[0], [1], [2]], [0, 1, 2])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(folder + "/line.safetensors", fitted)
    ...     model = load(folder + "/line.safetensors")
    >>> model.predict([[1.0]]).round(2), model.estimator().fingerprint_ == fitted.fingerprint_
    (array([1.]), True)
    """
    source = Path(path)
    ending = ending_of(source)
    if ending == SAFETENSORS:
        return Model(safetensors_file.read_network(source, content_of(source)), source)
    if ending == SKOPS:
        from engine.model_files.skops_file import read_estimator

        return read_estimator(source)
    raise ModelFileError(
        f"{source}: .onnx files are for other programs, such as "
        "onnxruntime.InferenceSession(path); `engine check-model` tries one. To load a model here, "
        f"save it as {SAFETENSORS} or {SKOPS} as well."
    )


def ending_of(path: Path) -> str:
    """The ending of a model file's name, in small letters; ValueError for any other."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(
            f"{path}: a model's file name must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}; "
            f"got {path.suffix!r}."
        )
    return ending


def _content(path: Path, ending: str, model: Any, theta: Any, X: Any) -> bytes:
    from engine.model_files.stored_network import stored_model

    if ending == SKOPS:
        from engine.model_files.skops_file import bytes_of_pipeline

        return bytes_of_pipeline(path, model, X)
    if hasattr(model, "made_up_rows"):
        raise ValueError(
            f"A {ending} file holds one network, and a {type(model).__name__} is several, with all "
            f"that they know of the table's columns: save it as {path.stem}{SKOPS}."
        )
    if ending == ONNX:
        from engine.model_files.onnx_file import network_bytes

        return network_bytes(model, theta, X)
    return safetensors_file.network_bytes(stored_model(model, theta, X), drawn=X is None)


def _read(path: Path, ending: str, content: bytes) -> None:
    """ModelFileError if `load`, or a method of what it returns, would refuse the file."""
    if ending == SKOPS:
        from engine.model_files.skops_file import read_content

        read_content(path, content)
    elif ending == ONNX:
        from engine.model_files.onnx_file import read

        read(path, content)
    else:
        stored = safetensors_file.read_network(path, content)
        if stored.description.kind != NETWORK:
            Model(stored, path).estimator()
