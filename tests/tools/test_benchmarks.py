"""benchmarks/: each runs, verifies its result, and says what asv needs to keep its history."""

import dataclasses
import functools
import importlib
import inspect
import itertools
import json
import os
import pkgutil
import time
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

import engine
from engine import equations as engine_equations
from engine import model_selection
from engine.equations.units import HIDDEN_UNITS, OUTPUT_UNITS
from tests.processes import ROOT, output, run

pytestmark = pytest.mark.compiled

# The package sets variables of the processes that asv starts; those of the tests stay as they are.
with mock.patch.dict(os.environ):
    import benchmarks
    from benchmarks import (
        cases,
        efficiency,
        equations,
        fits,
        layer_equations,
        losses,
        many,
        memory,
        peers,
        prediction,
        quality,
        threads,
        training,
    )

    NAMES = [found.name for found in pkgutil.iter_modules(benchmarks.__path__)]
    MODULES = {name: importlib.import_module(f"benchmarks.{name}") for name in NAMES}

TYPES = ("time", "timeraw", "track", "peakmem")  # the words that a benchmark's name begins with


class Found(NamedTuple):
    """A benchmark: a method of a class, as asv finds it by its name."""

    of: type
    name: str

    def __str__(self) -> str:
        return f"{self.of.__module__.partition('.')[2]}.{self.of.__name__}.{self.name}"

    @property
    def type(self) -> str:
        return self.name.partition("_")[0]

    @property
    def method(self) -> Any:
        return getattr(self.of, self.name)


def benchmarks_of(module: Any) -> list[Found]:
    classes = [
        value
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__ and name[0] != "_"
    ]
    return [
        Found(of, name) for of in classes for name in dir(of) if name.partition("_")[0] in TYPES
    ]


FOUND = [one for module in MODULES.values() for one in benchmarks_of(module)]


def parameters_of(of: type) -> list[tuple[Any, ...]]:
    """Every combination of a benchmark's parameters."""
    params = getattr(of, "params", ())
    if not params:
        return [()]
    lists = params if isinstance(params[0], list | tuple) else [params]
    return list(itertools.product(*lists))


def prepared(of: type, parameters: tuple[Any, ...]) -> Any:
    """An instance that has been set up."""
    instance = of()
    if hasattr(instance, "setup"):
        instance.setup(*parameters)
    return instance


# What asv reads.


def test_every_subject_has_a_module_with_benchmarks():
    subjects = {str(one).partition(".")[0] for one in FOUND}
    assert subjects >= {
        *("equations", "training", "fits", "prediction", "startup"),
        *("memory", "threads", "efficiency", "quality", "peers"),
    }


@pytest.mark.parametrize("one", FOUND, ids=str)
def test_a_benchmark_has_a_version_a_timeout_and_a_unit(one):
    assert isinstance(getattr(one.of, "version", None), str)  # or an edit would orphan its history
    assert 60 <= one.of.timeout <= 600
    # The unit of the others is asv's own: seconds, bytes.
    assert (one.type == "track") == bool(getattr(one.method, "unit", ""))
    assert one.of.__doc__


@pytest.mark.parametrize("one", FOUND, ids=str)
def test_parameters_are_few_and_have_names(one):
    params = getattr(one.of, "params", ())
    lists = params if params and isinstance(params[0], list | tuple) else [params][: len(params)]
    assert len(lists) <= 3
    assert len(getattr(one.of, "param_names", ())) == len(lists)
    assert len(parameters_of(one.of)) <= 60


@pytest.mark.parametrize("one", [one for one in FOUND if one.type == "time"], ids=str)
def test_what_is_timed_is_warm_and_takes_cpu_time(one):
    assert issubclass(one.of, cases.Steady)
    assert one.of.timer is time.process_time
    assert one.of.warmup_time > 0
    assert one.of.number == 1  # asv calls setup before each of several calls


IMPORTS = """
import importlib, pkgutil, sys
for absent in sys.argv[1:]:
    sys.modules[absent] = None  # its import is an ImportError
import benchmarks
for found in pkgutil.iter_modules(benchmarks.__path__):
    importlib.import_module(f"benchmarks.{found.name}")
print([name for name in ("sklearn", "torch", "jax") if name in sys.modules])
"""


@pytest.mark.proof
@pytest.mark.parametrize("absent", [("asv", "asv_runner"), ("engine",)], ids=str)
def test_modules_import_without_asv_on_any_commit_and_load_no_peer(absent):
    # A module that did not import would stop asv on that commit; each benchmark's process inherits
    # what is imported, so that a peer would count as the engine's memory.
    assert output("-c", IMPORTS, *absent) == "[]\n"


CACHE = "import os, benchmarks, numba; print(numba.config.CACHE_DIR, os.environ['OMP_NUM_THREADS'])"


def test_kernels_are_kept_by_environment_and_commit_and_blas_has_one_thread(tmp_path):
    asvs = {"ASV_ENV_DIR": tmp_path, "ASV_COMMIT": "abc", "NUMBA_CACHE_DIR": None}
    printed = output("-c", CACHE, env={**asvs, "OMP_NUM_THREADS": None})
    assert printed == f"{tmp_path / 'kernels' / 'abc'} 1\n"


# Each runs.


def runs_here(one: Found) -> bool:
    return one.type != "timeraw" and one.of.__module__ != "benchmarks.equations"


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "one",
    [
        # Eleven fits of each library take long.
        pytest.param(one, marks=[pytest.mark.proof] if "peers" in one.of.__module__ else [])
        for one in filter(runs_here, FOUND)
    ],
    ids=str,
)
def test_it_runs(one, monkeypatch):
    monkeypatch.setattr(cases, "LEAST", 0.0)  # seconds of a timing
    monkeypatch.setattr(threads, "usable_cores", lambda: 2)
    parameters = parameters_of(one.of)[0]
    if hasattr(one.of, "setup_cache"):
        assert one.of().setup_cache() is None  # else it would be the first argument
    figure = getattr(prepared(one.of, parameters), one.name)(*parameters)
    if one.type == "track":
        assert isinstance(figure, float)
        assert np.isfinite(figure)
        assert figure > 0


EQUATIONS = [
    (of, parameters)
    for of in (
        equations.Equations,
        equations.OverParameters,
        equations.Embeddings,
        equations.Sparse,
    )
    for parameters in parameters_of(of)
]


@pytest.mark.sample(6)
@pytest.mark.parametrize(("of", "parameters"), EQUATIONS, ids=str)
def test_every_equation_runs_on_every_backend(of, parameters):
    prepared(of, parameters).act()


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    "one",
    [
        # With an empty cache of kernels it takes long.
        pytest.param(one, marks=[pytest.mark.proof] if "empty_cache" in one.name else [])
        for one in FOUND
        if one.type == "timeraw"
    ],
    ids=str,
)
def test_the_code_of_a_process_of_its_own_runs(one):
    instance = one.of()
    given = [instance.setup_cache()] if hasattr(instance, "setup_cache") else []
    assert output("-c", getattr(instance, one.name)(*given)) == ""


@pytest.mark.proof
def test_the_code_that_trains_in_a_process_of_its_own_checks_what_it_trained():
    from benchmarks import startup

    spoiled = startup.XNOR.format(backend="loops").replace("max_iter=400", "max_iter=1")
    assert "AssertionError" in run("-c", spoiled).stderr


# Each equation is there.


def functions_of(module: str) -> set[tuple[str, str, str]]:
    """(module, equation, form) of what `name_form` stands for in a module of equations."""
    defined = vars(importlib.import_module(f"engine.equations.{module}"))
    parts = {name: name.rpartition("_") for name in defined}
    return {
        (module, base, form)
        for name, (base, _, form) in parts.items()
        if form in ("numpy", "loops", "tiled", "sparse")
        and getattr(defined[name], "__module__", "") == f"engine.equations.{module}"
    }


def equations_of(module: str) -> set[tuple[str, str, str]]:
    """Those that have a NumPy form and a compiled one, or the sparse form."""
    found = functions_of(module)
    forms = {base: {form for _, b, form in found if b == base} for _, base, _ in found}
    complete = {b for b, has in forms.items() if has >= {"numpy", "loops"} or "sparse" in has}
    return {one for one in found if one[1] in complete}


def test_each_equation_of_the_package_is_measured_in_each_form(monkeypatch):
    asked = set()

    def note(module, name, form):
        asked.add((module, name, form))
        raise NotImplementedError

    measured = "layer", "parameter", "embedding", "sparse"
    for module in (f"{group}_equations" for group in measured):
        monkeypatch.setattr(MODULES[module], "function", note)
    for of, parameters in EQUATIONS:
        with pytest.raises(NotImplementedError):
            of().setup(*parameters)
    groups = {found.name for found in pkgutil.iter_modules(engine_equations.__path__)}
    groups -= {"passes", "gauss_newton"}  # whole passes are what training measures
    groups -= {"jacobians", "second_derivative"}  # and benchmarks.derivatives
    there = set().union(*map(equations_of, groups))
    assert len(there) > 25
    assert there - asked == set()


def test_each_unit_is_measured():
    units = {*HIDDEN_UNITS, *OUTPUT_UNITS} - {"identity"}  # Z itself
    assert units - set(layer_equations.EQUATIONS) == set()
    primes = {f"{unit}_prime" for unit in HIDDEN_UNITS} - {"identity_prime"}
    assert primes - set(layer_equations.EQUATIONS) == set()
    costs = [name for name in layer_equations.EQUATIONS if name.startswith("cost_")]
    assert len(costs) == len(OUTPUT_UNITS)


def test_an_equation_that_a_commit_lacks_is_none_of_its_results():
    with pytest.raises(NotImplementedError, match="no_such"):
        layer_equations.function("no_such", "affine", "loops")
    with pytest.raises(NotImplementedError, match="no_such_loops"):
        layer_equations.function("forward", "no_such", "loops")
    with pytest.raises(NotImplementedError, match="no backend other"):
        cases.require_backend("other")
    with pytest.raises(NotImplementedError, match="NoSuchEstimator"):
        cases.required("engine", "NoSuchEstimator")


# A wrong result is found before it is timed.


@pytest.mark.sample(6)
@pytest.mark.parametrize(("of", "parameters"), EQUATIONS, ids=str)
def test_an_equation_with_a_wrong_result_is_refused(of, parameters, monkeypatch):
    right = layer_equations.function

    def function(module, name, form):
        real = right(module, name, form)

        def wrong(*arguments):
            real(*arguments)
            for array in arguments:
                if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.size > 1:
                    array *= 1.001
            return 0.0

        wrong.__signature__ = inspect.signature(getattr(real, "py_func", real))  # type: ignore[attr-defined]
        return wrong

    groups = "layer", "parameter", "embedding", "sparse"
    for module in (f"{group}_equations" for group in groups):
        monkeypatch.setattr(MODULES[module], "function", function)
    with pytest.raises(AssertionError, match="off by"):
        of().setup(*parameters)


engine_train, engine_fit_many = engine.train, engine.fit_many
right_gradient, right_forward = engine.Network.cost_and_gradient, engine.Network.forward
right_function = engine.compiled_forward


def wrong_training(*arguments, backend=None, **settings):
    """Training of all backends but NumPy's comes back where it began."""
    result = engine_train(*arguments, backend=backend, **settings)
    if backend == "numpy":
        return result
    cost = np.full_like(result.history["cost"], result.history["cost"][0])
    return dataclasses.replace(
        result, theta=settings.get("theta", result.theta), history={"cost": cost}
    )


def wrong_gradient(self, theta, X, Y, *, backend=None, **settings):
    J, dtheta = right_gradient(self, theta, X, Y, backend=backend, **settings)
    return (J, dtheta) if backend == "numpy" else (1.1 * J, dtheta)


def wrong_direction(self, theta, X, Y, *, backend=None, **settings):
    J, dtheta = right_gradient(self, theta, X, Y, backend=backend, **settings)
    return (J, dtheta) if backend == "numpy" else (J, 1.1 * dtheta)


def wrong_outputs(self, theta, X, backend=None):
    return 1.01 * right_forward(self, theta, X, backend)


def wrong_function(network, theta):
    return right_function(network, 1.01 * theta)


class WrongClassifier(engine.MLPClassifier):
    def fit(self, rows, classes):
        super().fit(rows, classes)
        self.loss_curve_ = [1.02 * loss for loss in self.loss_curve_]
        return self

    def predict_proba(self, rows):
        return 1.01 * super().predict_proba(rows)

    def predict(self, rows):
        return super().predict(rows)[::-1]

    def score(self, X, y, sample_weight=None):
        return 0.5


class WrongRegressor(engine.MLPRegressor):
    def partial_fit(self, X, y):
        super().partial_fit(X, y)
        self.coefs_[0][0, 0] += 1e-3
        return self


class WrongLearner(engine.MLPRegressor):
    def learner(self):
        return lambda row, target: super(WrongLearner, self).partial_fit([row], [1.01 * target])


def wrong_networks(estimators, X, y, n_threads=None):
    fitted = engine_fit_many(estimators, X, y, n_threads=n_threads)
    fitted[-1].coefs_ = [np.nextafter(W, 1) for W in fitted[-1].coefs_]
    return fitted


def untrained_networks(estimators, X, y, n_threads=None):
    return engine_fit_many([one.set_params(max_iter=1) for one in estimators], X, y)


def wrong_search(*arguments, **settings):
    search = GridSearchCV(*arguments, **settings)

    def fit(rows, classes):
        search.fit(rows, classes).cv_results_["split2_test_score"][3] += 1e-9
        return search

    return SimpleNamespace(fit=fit)


WRONG = [
    (engine, "train", wrong_training, training.MinibatchAdam),
    (engine, "train", wrong_training, training.FullBatch),
    (engine, "train", wrong_training, training.SmallRuns),
    (engine, "train", wrong_training, training.LevenbergMarquardt),
    (engine, "train", wrong_training, efficiency.Training),
    (engine, "train", wrong_training, peers.OverNumpyPath),
    (engine, "train", wrong_training, quality.CostAtBudget),
    (engine, "train", wrong_training, memory.Peak),
    (engine.Network, "cost_and_gradient", wrong_gradient, training.Gradient),
    (engine.Network, "cost_and_gradient", wrong_direction, training.Gradient),
    (engine.Network, "cost_and_gradient", wrong_gradient, efficiency.Gradient),
    (engine.Network, "cost_and_gradient", wrong_direction, efficiency.Gradient),
    (engine.Network, "cost_and_gradient", wrong_gradient, threads.Scaling),
    (engine.Network, "forward", wrong_outputs, prediction.Forward),
    (engine, "MLPClassifier", WrongClassifier, prediction.Estimators),
    (engine, "MLPClassifier", WrongClassifier, prediction.Predictor),
    (engine, "compiled_forward", wrong_function, prediction.CompiledForward),
    (engine, "MLPClassifier", WrongClassifier, fits.Fits),
    (engine, "MLPRegressor", WrongRegressor, fits.PartialFit),
    (engine, "MLPRegressor", WrongLearner, fits.Learner),
    (engine, "fit_many", wrong_networks, many.FitMany),
    (engine, "fit_many", untrained_networks, many.FitManyRatios),
    (model_selection, "GridSearchCV", wrong_search, many.Search),
    (engine, "MLPClassifier", WrongClassifier, peers.OverSklearn),
]


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("where", "name", "wrong", "of"), WRONG, ids=lambda one: getattr(one, "__name__", one)
)
def test_a_wrong_result_is_refused(where, name, wrong, of, monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: 2)
    parameters = next(one for one in parameters_of(of) if "numpy" not in one)
    prepared(of, parameters)  # right as it is
    monkeypatch.setattr(where, name, wrong)
    with pytest.raises(AssertionError):
        of().setup(*parameters)


def test_an_error_that_is_no_error_rate_is_refused(monkeypatch):
    monkeypatch.setattr(engine, "MLPClassifier", WrongClassifier)
    instance = prepared(quality.ErrorAtBudget, ("breast_cancer",))
    with pytest.raises(AssertionError):
        instance.track_error("breast_cancer")


def test_a_loss_that_is_no_copy_is_refused(monkeypatch):
    monkeypatch.setattr(losses, "huber", lambda z, y: ((z - y) ** 2, 2 * (z - y)))
    with pytest.raises(AssertionError, match="off by"):
        losses.OwnLoss().setup("float64")


def test_threads_that_change_the_bits_are_refused(monkeypatch):
    def by_threads(self, theta, X, Y, *, n_threads=None, **settings):
        J, dtheta = right_gradient(self, theta, X, Y, n_threads=n_threads, **settings)
        return J, dtheta * (1 + 1e-6 * n_threads)

    monkeypatch.setattr(threads, "usable_cores", lambda: 2)
    monkeypatch.setattr(engine.Network, "cost_and_gradient", by_threads)
    with pytest.raises(AssertionError, match="other bits on two threads"):
        threads.Scaling().setup("20-100-1")


# Ratios.


def test_a_ratio_is_the_time_of_the_first_over_that_of_the_second():
    now = [0.0]

    def taking(seconds):
        def act():
            now[0] += seconds

        return act

    ratio = functools.partial(cases.ratio_in_turns, clock=lambda: now[0])
    assert ratio(taking(3.0), taking(1.5)) == pytest.approx(2.0)
    assert ratio(taking(1.5), taking(3.0)) == pytest.approx(0.5)


def test_a_core_is_needed_for_each_thread(monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: 1)
    with pytest.raises(NotImplementedError, match="one core"):
        threads.Scaling().setup("20-100-1")


def test_asv_s_configuration_leads_to_the_benchmarks_and_pins_what_the_figures_rest_on():
    load_json = pytest.importorskip("asv.util").load_json
    settings = load_json(str(ROOT / "asv.conf.json"), js_comments=True)
    assert settings["benchmark_dir"] == "benchmarks"
    pinned = settings["matrix"]["req"]
    assert {"numpy", "numba", "scipy", "scikit-learn"} <= set(pinned)
    assert all(len(versions) == 1 for versions in pinned.values()), json.dumps(pinned)
