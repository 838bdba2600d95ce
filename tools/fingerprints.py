"""Do two commits train to the same bits? About 400 small fits, each as a digest.

    python -m tools.fingerprints                   the working tree against its merge base with main
    python -m tools.fingerprints --base 5752bb7    against another commit
    python -m tools.fingerprints --save bits.json  only write the digests of the working tree
    python -m tools.fingerprints --against bits.json   the working tree against digests of before

Digests are compared on one machine: another processor or another NumPy may give other bits. A fit
goes into its digest with parameters, curves, iterations and predictions, or with the error that
ended it. Where a commit changes bits on purpose, it carries a "numerics" fragment in changelog.d/.

Ends with 0 if all digests are equal, and with 1 if not; it names the fits that differ.
"""

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
FEWEST = 300  # fits
Fits = dict[str, Callable[[], list[Any]]]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("fingerprints", description=__doc__.partition("\n")[0])
    parser.add_argument("--base", help="the commit to compare with")
    parser.add_argument("--save", type=Path, help="write the digests here, and compare nothing")
    parser.add_argument("--against", type=Path, help="digests that were saved before")
    parser.add_argument("--only", default="", help="only fits whose name holds this text")
    asked = parser.parse_args(arguments)
    if asked.save:
        asked.save.write_text(json.dumps(digests(asked.only), indent=1))
        return 0
    there = json.loads(asked.against.read_text()) if asked.against else of_commit(asked)
    here = digests(asked.only)
    differ = sorted(name for name in {*there, *here} if there.get(name) != here.get(name))
    differ = [name for name in differ if asked.only in name]
    for name in differ:
        print(f"differs: {name}")
    print(f"{len(here) - len(differ)} of {len(here)} fits have the same bits.")
    return 1 if differ or (len(here) < FEWEST and not asked.only) else 0


def of_commit(asked: argparse.Namespace) -> dict[str, str]:
    """The digests of another commit, in a process of its own."""
    from tools.gate import base_of

    base = asked.base or base_of("HEAD")
    with tempfile.TemporaryDirectory() as folder:
        tree, saved = Path(folder) / "tree", Path(folder) / "bits.json"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", str(tree), base], check=True, capture_output=True)
        try:
            command = [sys.executable, __file__, "--save", str(saved), "--only", asked.only]
            environment = {**os.environ, "PYTHONPATH": str(tree)}
            subprocess.run(command, check=True, cwd=tree, env=environment)
            found: dict[str, str] = json.loads(saved.read_text())
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)
    return found


def digests(only: str = "") -> dict[str, str]:
    """The digest of each fit."""
    chosen = {name: fit for name, fit in all_fits().items() if only in name}
    found: dict[str, str] = {}
    for name, fit in chosen.items():
        found[name] = digest_of(fit)
        if sys.stderr.isatty():
            print(f"\r{len(found)} of {len(chosen)}", end="", file=sys.stderr, flush=True)
    with dask_fits() as fits:
        found |= {name: digest_of(fit) for name, fit in fits.items() if only in name}
    return found


def digest_of(fit: Callable[[], list[Any]]) -> str:
    """A digest of what a fit gives, or of its error."""
    digest = hashlib.sha256()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = fit()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    for value in found:
        if value is None or isinstance(value, str | int):
            digest.update(repr(value).encode())
            continue
        array = np.ascontiguousarray(value)
        digest.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()[:24]


def all_fits() -> Fits:
    """Those of `train` and of the estimators."""
    return {
        **of_train(),
        **of_train_in_other_ways(),
        **of_estimators(),
        **of_estimators_in_other_ways(),
    }


# Data: small, so that a fit takes milliseconds, but of more than one chunk where threads count.


def inputs(n_samples: int, n_features: int = 5, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).normal(size=(n_samples, n_features))


def signal(X: NDArray[Any]) -> NDArray[Any]:
    z: NDArray[Any] = X[:, 0] * X[:, 1] + np.sin(2 * X[:, 2]) + 0.3 * X[:, 3]
    return z


def targets(output: str, X: NDArray[Any]) -> Any:
    """y as rows, for an output unit."""
    z = signal(X)
    if output == "sigmoid":
        return np.where(z > 0, 1.0, 0.0)
    if output == "softmax":
        return np.digitize(z, [-0.7, 0.5])
    if output == "exp":
        return np.random.default_rng(1).poisson(np.exp(np.clip(z, -3, 2))).astype(np.float64)
    return z


def weights_of(kind: str, n_samples: int) -> NDArray[Any] | None:
    if kind == "unweighted":
        return None
    weights = np.random.default_rng(2).uniform(0.2, 2, n_samples)
    weights[::7] = 0
    return weights


N_OUT = {"sigmoid": 1, "softmax": 3, "identity": 1, "exp": 1}
SOLVERS: dict[str, dict[str, Any]] = {
    "gd": {"solver": "gd", "learning_rate": 0.05, "max_iter": 25},
    "sgd": {"solver": "sgd", "learning_rate": 0.02, "momentum": 0.0, "max_iter": 6},
    "momentum": {"solver": "sgd", "learning_rate": 0.01, "nesterov": False, "max_iter": 6},
    "nesterov": {"solver": "sgd", "learning_rate": 0.01, "max_iter": 6},
    "adam": {"solver": "adam", "learning_rate": 0.01, "max_iter": 6},
    "lbfgs": {"solver": "lbfgs", "max_iter": 15},
}
MINIBATCH = ("sgd", "momentum", "nesterov", "adam")
DTYPES = ("float64", "float32")
WEIGHTS = ("unweighted", "weighted")


def trained(
    output: str,
    dtype: str = "float64",
    weights: str = "unweighted",
    stops: bool = False,
    n_samples: int = 400,
    sizes: tuple[int, ...] = (5, 6, 4),
    hidden: Any = "tanh",
    **arguments: Any,
) -> list[Any]:
    """A run of `train`: parameters, history without seconds, iterations, why it stopped, cost."""
    from engine import Network, train

    X = inputs(n_samples).astype(dtype)
    network = Network((*sizes, N_OUT[output]), hidden=hidden, output=output)
    if stops:
        X_val = inputs(150, seed=5).astype(dtype)
        arguments |= {"X_val": X_val.T, "Y_val": targets(output, X_val), "tol": 1e-3}
        arguments |= {"n_iter_no_change": 2}
        arguments["max_iter"] = 3 * arguments["max_iter"]
    result = train(
        network,
        X.T,
        targets(output, X),
        sample_weight=weights_of(weights, n_samples),
        **arguments,
    )
    curves = [result.history[name] for name in ("cost", "gradient_norm", "validation_cost")]
    return [result.theta, *curves, result.n_iter, result.stopped, result.cost]


def of_train() -> Fits:
    """Every solver, dtype and loss, weighted or not, with and without early stopping."""
    fits: Fits = {}
    for name, output, dtype, weights, stops in itertools.product(
        SOLVERS, N_OUT, DTYPES, WEIGHTS, (False, True)
    ):
        arguments: dict[str, Any] = dict(SOLVERS[name])
        if name in MINIBATCH:
            arguments["batch_size"] = 32
        label = f"train {name} {output} {dtype} {weights}{' stopping' if stops else ''}"
        fits[label] = partial(trained, output, dtype, weights, stops, **arguments)
    return fits


def of_train_in_other_ways() -> Fits:
    """Backends, schedules, orders, threads, large batches, shapes, checkpoints."""
    fits: Fits = {}
    for backend, name, output in itertools.product(("numpy", "loops"), SOLVERS, N_OUT):
        arguments = {**SOLVERS[name], "backend": backend, "n_samples": 120}
        fits[f"train {name} {output} by {backend}"] = partial(trained, output, **arguments)
    for name, schedule in itertools.product(MINIBATCH, ("invscaling", "adaptive")):
        arguments = {**SOLVERS[name], "schedule": schedule, "batch_size": 50, "max_iter": 20}
        arguments |= {"tol": 1e-2, "n_iter_no_change": 2}
        fits[f"train {name} {schedule}"] = partial(trained, "identity", **arguments)
    for shuffle, batch_size in itertools.product((False, True, "blocks"), (64, 1500, None)):
        arguments = {**SOLVERS["adam"], "shuffle": shuffle, "batch_size": batch_size}
        arguments |= {"n_samples": 2600, "max_iter": 3}
        fits[f"train shuffle={shuffle} batch_size={batch_size}"] = partial(
            trained, "sigmoid", **arguments
        )
    for name, n_threads in itertools.product(("gd", "lbfgs", "adam"), (1, 2)):
        arguments = {**SOLVERS[name], "n_threads": n_threads, "n_samples": 2600, "max_iter": 4}
        fits[f"train {name} on {n_threads} threads"] = partial(
            trained, "softmax", weights="weighted", alpha=0.1, **arguments
        )
    for sizes, hidden in (
        ((5,), "tanh"),
        ((5, 20, 10, 5), ("relu", "sigmoid", "identity")),
        ((5, 130), "relu"),
        ((5, 7, 3), "sigmoid"),
    ):
        for name in ("gd", "adam", "lbfgs"):
            arguments = {**SOLVERS[name], "sizes": sizes, "hidden": hidden, "alpha": 1e-2}
            fits[f"train {name} {sizes} {hidden}"] = partial(trained, "identity", **arguments)
    for name in SOLVERS:
        fits[f"train {name} resumed"] = partial(resumed_training, **SOLVERS[name])
    fits["train diverges"] = lambda: trained(
        "identity", solver="gd", learning_rate=1e3, max_iter=200
    )
    return fits


def resumed_training(**arguments: Any) -> list[Any]:
    """A run that Ctrl-C stopped in its third iteration, started again from its checkpoint."""
    from engine import Checkpoint

    def stop(iteration: Any) -> None:
        if iteration.epoch == 3:
            raise KeyboardInterrupt

    with tempfile.TemporaryDirectory() as folder:
        kept = Checkpoint(f"{folder}/run.ckpt", epochs=1)
        trained("identity", callback=stop, checkpoint=kept, **arguments)
        return trained("identity", checkpoint=kept, **arguments)


# The estimators.

PROBLEMS = ("binary", "classes", "labels", "squared_error", "poisson")
ESTIMATOR_SOLVERS: dict[str, dict[str, Any]] = {
    "gd": {"solver": "gd", "learning_rate_init": 0.05, "max_iter": 12},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.01, "max_iter": 6},
    "adam": {"solver": "adam", "learning_rate_init": 0.01, "max_iter": 6},
    "lbfgs": {"solver": "lbfgs", "max_iter": 12},
}


def problem(kind: str, n_samples: int = 300, dtype: str = "float64", seed: int = 0) -> Any:
    """An estimator's class, its loss if it has one, X and y."""
    from engine import MLPClassifier, MLPRegressor

    X = inputs(n_samples, seed=seed)
    if kind == "binary":
        return MLPClassifier, {}, X.astype(dtype), np.where(targets("sigmoid", X) > 0, "yes", "no")
    if kind == "classes":
        return MLPClassifier, {}, X.astype(dtype), targets("softmax", X) + 10
    if kind == "labels":
        y = np.column_stack([targets("sigmoid", X), X[:, 4] > 0.2]).astype(int)
        return MLPClassifier, {}, X.astype(dtype), y
    y = targets("exp" if kind == "poisson" else "identity", X)
    return MLPRegressor, {"loss": kind}, X.astype(dtype), y


CURVES = ("loss_curve_", "validation_loss_curve_", "validation_scores_")


def found_by(model: Any, X: Any) -> list[Any]:
    """Parameters, curves, counts and predictions of a fitted estimator."""
    parts = [model.fingerprint_, model.n_iter_, int(model.t_)]
    for name in CURVES:
        curve = getattr(model, name, None)
        parts.append(None if curve is None else np.array(curve, dtype=float))
    parts += [np.array([model.loss_, model.best_loss_ or 0], float), model.plan_.why]
    predicted = model.predict(X[:50])
    parts.append(predicted.toarray() if hasattr(predicted, "toarray") else predicted.astype("U30"))
    if hasattr(model, "predict_proba"):
        parts.append(model.predict_proba(X[:50]))
    return parts


def fitted(
    kind: str,
    dtype: str = "float64",
    weights: str = "unweighted",
    n_samples: int = 300,
    times: int = 1,
    sparse: bool = False,
    held_out: bool = False,
    **parameters: Any,
) -> list[Any]:
    """A fit of an estimator, or several one after the other."""
    estimator, loss, X, y = problem(kind, n_samples, dtype)
    model = estimator(**{"hidden_layer_sizes": (8, 4), "random_state": 3, **loss, **parameters})
    rows: Any = scipy.sparse.csr_matrix(X * (X > 0.5)) if sparse else X
    more = {}
    if held_out:
        _, _, X_val, y_val = problem(kind, 90, dtype, seed=9)
        more = {"X_val": X_val, "y_val": y_val}
    for _ in range(times):
        model.fit(rows, y, weights_of(weights, n_samples), **more)
    return found_by(model, rows)


def of_estimators() -> Fits:
    """Every problem, solver and dtype, weighted or not, with early stopping, and warm starts."""
    fits: Fits = {}
    for kind, name, dtype, weights in itertools.product(
        PROBLEMS, ESTIMATOR_SOLVERS, DTYPES, WEIGHTS
    ):
        given = ESTIMATOR_SOLVERS[name]
        label = f"fit {name} {kind} {dtype} {weights}"
        fits[label] = partial(fitted, kind, dtype, weights, **given)
        if dtype == "float32" and weights == "weighted":
            continue
        if name != "lbfgs":
            early = {**given, "early_stopping": True, "n_iter_no_change": 3, "max_iter": 30}
            early |= {"validation_fraction": 0.2}
            fits[f"{label} early stopping"] = partial(fitted, kind, dtype, weights, **early)
        warm = {**given, "warm_start": True, "times": 3}
        fits[f"{label} warm start"] = partial(fitted, kind, dtype, weights, **warm)
    return fits


def of_estimators_in_other_ways() -> Fits:
    """Continuations, partial_fit, schedules, sparse rows, own held-out rows, checkpoints."""
    fits: Fits = {}
    both = itertools.product(PROBLEMS, ("adam", "sgd"))
    for kind, name in both:
        given = ESTIMATOR_SOLVERS[name]
        variants: dict[str, dict[str, Any]] = {
            "sklearn's continuation": {
                "warm_start": True,
                "times": 2,
                "continuation": "sklearn",
                "early_stopping": name == "adam",
            },
            "sparse": {"sparse": True},
            "held out": {"held_out": True},
            "held out, early stopping": {"held_out": True, "early_stopping": True},
            "large batches": {"n_samples": 2600, "batch_size": 1500, "max_iter": 3},
            "by numpy": {"backend": "numpy", "max_iter": 3},
        }
        if kind in ("binary", "classes"):
            variants["balanced"] = {"class_weight": "balanced"}
        for variant, more in variants.items():
            fits[f"fit {name} {kind} {variant}"] = partial(fitted, kind, **{**given, **more})
        fits[f"partial_fit {name} {kind}"] = partial(partly_fitted, kind, **given)
        fits[f"fit {name} {kind} resumed"] = partial(resumed_fit, kind, **given)
    for kind in ("binary", "squared_error"):
        given = ESTIMATOR_SOLVERS["lbfgs"]
        fits[f"fit lbfgs {kind} resumed"] = partial(resumed_fit, kind, **given)
        for schedule, momentum in itertools.product(("invscaling", "adaptive"), (0, 0.9)):
            given = {**ESTIMATOR_SOLVERS["sgd"], "learning_rate": schedule, "momentum": momentum}
            given |= {"max_iter": 30, "tol": 1e-2, "n_iter_no_change": 2}
            fits[f"fit sgd {kind} {schedule} {momentum}"] = partial(fitted, kind, **given)
    fits["fit sgd diverges"] = lambda: fitted(
        "squared_error", solver="sgd", learning_rate_init=1e4, max_iter=5
    )
    return fits


def partly_fitted(kind: str, **parameters: Any) -> list[Any]:
    """Four calls of partial_fit on other rows each."""
    estimator, loss, X, y = problem(kind)
    model = estimator(hidden_layer_sizes=(8,), random_state=3, **loss, **parameters)
    for part in range(4):
        rows = slice(60 * part, 60 * part + 75)
        first = part == 0 and not loss
        more = {"classes": range(2) if kind == "labels" else np.unique(y)} if first else {}
        model.partial_fit(X[rows], y[rows], **more)
    return found_by(model, X)


def resumed_fit(kind: str, **parameters: Any) -> list[Any]:
    """A fit of few epochs, and one of more that goes on from its checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        for max_iter in (3, 9):
            estimator, loss, X, y = problem(kind)
            given = {**loss, **parameters, "max_iter": max_iter}
            model = estimator(
                (8,) if not loss else loss["loss"],
                **({"hidden_layer_sizes": (8,)} if loss else {}),
                random_state=3,
                checkpoint=f"{folder}/fit.ckpt",
                **{name: value for name, value in given.items() if name != "loss"},
            )
            model.fit(X, y)
        parts = found_by(model, X)
    return [part for part in parts if not (isinstance(part, str) and folder in part)]


@contextlib.contextmanager
def dask_fits() -> Iterator[Fits]:
    """Fits on two workers of a cluster in this process."""
    import dask.array as da
    from distributed import Client, LocalCluster

    from engine import distributed

    def on_dask(kind: str, dtype: str, weights: str, **parameters: Any) -> list[Any]:
        estimator, loss, X, y = problem(kind, 2600, dtype)
        y = y.astype("U3") if y.dtype.kind == "U" else y
        model = estimator(hidden_layer_sizes=(6,), random_state=3, **loss, **parameters)
        s = weights_of(weights, 2600)
        y_parts = (700, *y.shape[1:])
        distributed.fit(
            model,
            da.from_array(X, chunks=(500, 5)),
            da.from_array(y, chunks=y_parts),
            None if s is None else da.from_array(s, chunks=900),
            client=client,
        )
        return found_by(model, X)

    fits: Fits = {}
    for kind, name, dtype, weights in itertools.product(PROBLEMS, ("gd", "lbfgs"), DTYPES, WEIGHTS):
        given = {**ESTIMATOR_SOLVERS[name], "max_iter": 4}
        fits[f"dask {name} {kind} {dtype} {weights}"] = partial(
            on_dask, kind, dtype, weights, **given
        )
    for kind in PROBLEMS:
        given = {**ESTIMATOR_SOLVERS["adam"], "batch_size": 2600, "max_iter": 4}
        fits[f"dask adam {kind}"] = partial(on_dask, kind, "float64", "unweighted", **given)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield fits


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
