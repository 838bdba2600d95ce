"""All that a wheel's kernels are for, once each: a script that prints what was compiled, or loaded.

It imports nothing of the tests, so that an installed package can be asked.
"""

import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from numba.core import event
from scipy.sparse import csc_array, csr_array

import engine
from engine import (
    MLPClassifier,
    MLPEnsembleClassifier,
    MLPEnsembleRegressor,
    MLPRegressor,
    Network,
    TableClassifier,
    TableRegressor,
    fit_many,
    inference,
    load,
    save,
    train,
)
from engine.compiler.cache import CheckedCache
from engine.compiler.kernels import Kernel
from engine.compiler.target import processor_class
from engine.embeddings import Levels, Pieces
from engine.equations.losses import COMPILED, LOSSES
from engine.equations.units import HIDDEN_UNITS
from engine.losses import Huber, Loss, Quantile, Tweedie, needs_only_a_name
from engine.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score
from engine.solvers.solver import SOLVERS

DTYPES = ("float64", "float32")
MANY = 2300  # samples of several chunks, also of a batch of half of them
draws = np.random.default_rng(0)


def losses_with_units():
    """Each loss with each of its output units."""
    found = [Loss(one.name) for one in LOSSES.values() if needs_only_a_name(one)]
    found = [loss for loss in found if loss.row.code != COMPILED]
    found += [Huber(0.5), Quantile(0.3), Quantile([0.1, 0.9]), Tweedie(1.5)]
    return [(loss, unit) for loss in found for unit in loss.units]


def targets(unit, n_outputs, n_samples):
    """Targets that every loss with this unit takes."""
    if unit == "softmax":
        return np.arange(n_samples) % n_outputs
    if unit == "sigmoid":
        return np.resize([0.0, 1.0], (n_outputs, n_samples))
    return draws.uniform(0.5, 2, (n_outputs, n_samples))


def fits_of_networks(dtype):
    for (loss, unit), solver in product(losses_with_units(), SOLVERS):
        n_outputs = loss.n_outputs or (3 if unit == "softmax" else 1)
        network = Network((3, 4, n_outputs), output=unit, loss=loss)
        X = draws.standard_normal((3, 30)).astype(dtype)
        Y = targets(unit, 1 if loss.n_outputs else n_outputs, 30)
        train(network, X, Y, solver=solver, max_iter=2)
    for hidden, solver in product(HIDDEN_UNITS, SOLVERS):
        network = Network((3, 4, 2, 2), hidden=hidden, output="softmax")
        X = np.asfortranarray(draws.standard_normal((3, 40)).astype(dtype))
        weights = np.linspace(0.5, 2, 40)
        Y = targets("softmax", 2, 40)
        train(network, X, Y, solver=solver, max_iter=2, sample_weight=weights, alpha=0.1)
        train(network, X[:, ::2], Y[::2], solver=solver, max_iter=2, X_val=X, Y_val=Y)
    X, Y = draws.standard_normal((3, MANY)).astype(dtype), draws.integers(0, 2, (1, MANY))
    network = Network((3, 5, 1))
    settings = (
        {"weight_decay": 0.1, "average": 0.9, "clip_norm": 1.0, "label_smoothing": 0.1},
        {"schedule": "cosine"},
        {"solver": "sgd", "schedule": "invscaling"},
        {"solver": "sgd", "schedule": "adaptive", "momentum": 0.0},
        {"solver": "sgd", "nesterov": False},
        {"solver": "gd", "label_smoothing": 0.1},
        {"solver": "lm", "alpha": "evidence"},
        {"solver": "lbfgs", "n_threads": 2},
        {"shuffle": "blocks"},
        {"shuffle": False},
    )
    for one in settings:
        sizes = (
            (1, 32, MANY // 2, None) if one.get("solver", "adam") in ("adam", "sgd") else (None,)
        )
        for size in sizes:
            n = 50 if size == 1 else MANY
            train(network, X[:, :n], Y[:, :n], batch_size=size, max_iter=2, **one)


def derivatives_and_predictions(dtype):
    X, Y = draws.standard_normal((3, MANY)).astype(dtype), draws.integers(0, 2, MANY)
    for sizes, output in (((3, 4, 1), "sigmoid"), ((3, 4, 2), "softmax"), ((3, 1), "sigmoid")):
        for columns in (X[:, :20], X):
            network, codes = Network(sizes, output=output), Y[: columns.shape[1]]
            theta = network.initial_parameters(0, dtype)
            network.forward(theta, columns)
            network.cost_and_gradient(theta, columns, codes)
            network.input_jacobian(theta, columns)
            network.parameter_jacobian(theta, columns)
            objective = network.objective(columns, codes, sample_weight=np.ones(len(codes)))
            objective.cost(theta)
            objective.hessian_product(theta, theta)
            objective.gauss_newton(theta)
            found = inference(network, theta, columns, codes, alpha=0.1)
            found.predict(columns, return_std=True)
            found.summary()
            _ = found.leverage, found.log_evidence, found.unidentified


def fits_of_estimators(dtype):
    X = draws.standard_normal((MANY, 4)).astype(dtype)
    y, labels = np.abs(X[:, 0]) + 0.1, (X[:, 1] > 0).astype(int)
    thin = X * (draws.uniform(size=X.shape) < 0.01)
    wide = np.eye(60, 90, dtype=dtype)
    for solver, size in product(SOLVERS, ("auto", MANY)):
        told = {"hidden_layer_sizes": 3, "solver": solver, "max_iter": 2, "batch_size": size}
        for rows in (X, csr_array(X), csc_array(thin), csr_array(wide)):
            n = rows.shape[0]
            for model, target in ((MLPRegressor(**told), y), (MLPClassifier(**told), labels)):
                model.fit(rows, target[:n])
                model.predict(rows)
                model.score(rows, target[:n])
    for one in ({"shuffle": "blocks"}, {"shuffle": False}, {"early_stopping": True},
                {"solver": "sgd", "learning_rate": "adaptive"}, {"warm_start": True}):  # fmt: skip
        for size in (16, MANY):
            model = MLPClassifier(3, max_iter=2, batch_size=size, random_state=0, **one)
            model.fit(X, labels).fit(X, labels)
            if not model.early_stopping:
                model.partial_fit(X, labels)
    model = MLPClassifier((3,), max_iter=2, class_weight="balanced").fit(X, labels)
    model.predictor().predict_proba(X[0])
    MLPClassifier((16,), max_iter=2, n_threads=2).fit(X, labels)  # threads share its steps
    plain = MLPClassifier((3,), max_iter=2).fit(X, labels)
    for _ in range(3):
        plain.partial_fit(X[:1], labels[:1])
    learn = plain.learner()
    for row, label in zip(X[:3], labels[:3], strict=True):
        learn(row, label)
    regressor = MLPRegressor(hidden_layer_sizes=(3, 2), max_iter=2)
    regressor.fit(X[:50], np.c_[y, y][:50]).predictor().predict(X[0])
    kept = Path(tempfile.mkdtemp())
    save(kept / "model.safetensors", model)
    load(kept / "model.safetensors").estimator().predict(X)
    for loss, solver in product(("squared_error", "poisson"), ("adam", "lbfgs")):
        told = {"solver": solver, "max_iter": 3, "checkpoint": kept / f"{loss}-{solver}"}
        model = MLPRegressor(loss, hidden_layer_sizes=3, **told)
        model.fit(X, y).fit(X, y)


def many_fits(dtype):
    X = draws.standard_normal((90, 4)).astype(dtype)
    y, labels = np.abs(X[:, 0]) + 0.1, (X[:, 1] > 0).astype(int)
    for solver in SOLVERS:
        told = {"hidden_layer_sizes": (3,), "solver": solver, "max_iter": 3}
        fit_many([MLPRegressor(random_state=k, **told) for k in range(5)], X, y)
        weights = np.linspace(1, 2, 90)
        models = [MLPClassifier(random_state=k, **told) for k in range(5)]
        fit_many(models, X, labels, sample_weight=weights)
    for one in ({"solver": "sgd", "momentum": 0.0}, {"solver": "sgd", "nesterovs_momentum": False},
                {"weight_decay": 0.1, "average": 0.9, "clip_norm": 1.0},
                {"loss": "gamma", "early_stopping": True}):  # fmt: skip
        fit_many([MLPRegressor(hidden_layer_sizes=3, max_iter=3, **one) for _ in range(5)], X, y)
    for kind in ("seeds", "bagging", "folds", "greedy"):
        member = MLPRegressor(hidden_layer_sizes=3, max_iter=3)
        ensemble = MLPEnsembleRegressor(4, kind=kind, estimator=member).fit(X, y)
        ensemble.predict(X, return_std=True)
    classifier = MLPEnsembleClassifier(4, estimator=MLPClassifier(3, max_iter=3)).fit(X, labels)
    classifier.predict_proba(X[:1])
    classifier.predictor().predict(X[0])
    alphas = {"alpha": [0.1, 0.01, 0.001]}
    GridSearchCV(MLPRegressor(hidden_layer_sizes=3, max_iter=3), alphas).fit(X, y)
    halving = {"resource": "max_iter", "max_resources": 9, "min_resources": 3}
    HalvingGridSearchCV(MLPClassifier(3), alphas, **halving).fit(X, labels)
    cross_val_score(MLPRegressor(hidden_layer_sizes=3, max_iter=3), X, y)


def fits_of_embeddings(dtype):
    X = draws.standard_normal((MANY, 3)).astype(dtype)
    X[:, 1] = np.arange(MANY) % 5
    embeddings = [Pieces([-1, 0, 1], 7, missing=True), Levels(5, 3), None]
    for solver, size in product(("adam", "sgd", "lbfgs", "gd"), (32, MANY)):
        told = {"solver": solver, "max_iter": 2, "batch_size": size, "embeddings": embeddings}
        for hidden in ((4,), ()):
            model = MLPRegressor(hidden_layer_sizes=hidden, **told).fit(X, X[:, 0])
            model.predict(X)
            model.predictor().predict(X[0])
    told = {"hidden_layer_sizes": 3, "max_iter": 2, "embeddings": embeddings}
    fit_many([MLPRegressor(random_state=k, **told) for k in range(4)], X[:80], X[:80, 0])


def fits_of_tables():
    path = Path(tempfile.mkdtemp()) / "table.csv"
    rows = [f"{i % 7},{'abc'[i % 3]},{i / 10},{i % 2},{i % 11 * 0.5}" for i in range(300)]
    path.write_text("\n".join(["a,b,c,yes,y", *rows]))
    told = {"random_state": 0, "max_iter": 3, "n_members": 3}
    for model, target in ((TableClassifier(**told), "yes"), (TableRegressor(**told), "y")):
        model.fit(path, target=target)
        model.predict(path)
        model.predictor().predict({"a": 1, "b": "c", "c": 0.5, "yes": 1, "y": 0.5})


BY_DTYPE = (
    fits_of_networks,
    derivatives_and_predictions,
    fits_of_estimators,
    many_fits,
    fits_of_embeddings,
)


def compiled():
    """The kernels that all of it compiles, with the part that did."""
    parts: list[tuple[str, Callable[[], object]]] = [("fits_of_tables", fits_of_tables)]
    parts += [(act.__name__, partial(act, dtype)) for act in BY_DTYPE for dtype in DTYPES]
    found = []
    for name, act in parts:
        with event.install_recorder("numba:compile") as recorder:
            act()
        kernels = [one.data["dispatcher"] for _, one in recorder.buffer if one.is_start]
        found += [
            [name, kernel.py_func.__name__]
            for kernel in kernels
            if isinstance(kernel._cache, CheckedCache)
        ]
    return found


def loaded():
    """The kernels that were taken from the disk, however often a kernel was."""
    modules = [vars(module) for name, module in sys.modules.items() if name.startswith("engine.")]
    kernels = {one for names in modules for one in names.values() if isinstance(one, Kernel)}
    forms = [form for kernel in kernels for form in (kernel, kernel.within)]
    taken = [form for form in forms if sum(form.stats.cache_hits.values())]
    return sorted({form._cache._kernel_name for form in taken})


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of fits that have not converged
    print(json.dumps([engine.__file__, processor_class().name, compiled(), loaded()]))
