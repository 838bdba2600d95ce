"""What goes side by side, and what is left to scikit-learn."""

import re

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.callback import ProgressBar
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, StandardScaler, scale

from engine import MLPClassifier
from engine.model_selection import GridSearchCV
from engine.model_selection.eligibility import can_share
from engine.training.checkpoint import Checkpoint
from tests.model_selection.searches import X, Y, both, quiet

pytestmark = quiet

NETWORK = MLPClassifier((3,), max_iter=4, random_state=0)


class Renamed(MLPClassifier):
    """A subclass that leaves `fit` as it is."""


class WithOwnFit(MLPClassifier):
    """A subclass with a `fit` of its own."""

    def fit(self, X, y):
        return super().fit(2 * X, y)


class OwnStep(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer of nobody knows what."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X

    def __sklearn_is_fitted__(self):
        return True


class OwnPipeline(Pipeline):  # type: ignore[misc]
    """A subclass of a pipeline."""


class Ended:
    """A callback that counts fits."""

    n = 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        Ended.n += 1

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        return False


def twice(X):
    return 2 * X


def piped(*steps, network=NETWORK, **options):
    names = [f"step{number}" for number in range(len(steps))]
    return Pipeline([*zip(names, steps), ("mlp", clone(network))], **options)


def described(estimator):
    """An estimator in one line, the same in every process."""
    return re.sub(r" at 0x\w+", "", " ".join(repr(estimator).split()))


def n_side_by_side(estimator, name="alpha", values=(1e-4, 1.0), **options):
    """How many of the 6 fits of a search were made side by side; its results are checked."""
    if isinstance(estimator, Pipeline) and name == "alpha":
        name = f"{estimator.steps[-1][0]}__alpha"
    return both(GridSearchCV, estimator, {name: list(values)}, cv=3, refit=False, **options)[
        0
    ].n_fits


@pytest.mark.parametrize(
    "estimator",
    [
        NETWORK,
        Renamed((3,), max_iter=4, random_state=0),
        piped(),
        piped(StandardScaler(), PCA(2)),
        piped(FunctionTransformer(np.tanh), FunctionTransformer()),
        piped(ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", "passthrough", [2])])),
        piped(ColumnTransformer([("a", KBinsDiscretizer(dtype=np.float64), [0])])),
        piped(PCA(2, svd_solver="randomized", random_state=0)),
        piped(make_pipeline(StandardScaler(), PCA(2))),
    ],
    ids=described,
)
def test_networks_and_pipelines_of_scikit_learn_s_steps_go_side_by_side(estimator):
    assert n_side_by_side(estimator) == 6


@pytest.mark.parametrize(
    "estimator",
    [
        WithOwnFit((3,), max_iter=4, random_state=0),
        piped(OwnStep()),
        piped(FunctionTransformer(twice)),
        piped(FunctionTransformer(lambda X: X)),
        piped(make_pipeline(OwnStep())),
        piped(PCA(2, svd_solver="randomized", random_state=np.random.RandomState(0))),
        piped(network=WithOwnFit((3,), max_iter=4, random_state=0)),
        piped(StandardScaler(copy=False)),
        piped(ColumnTransformer([("a", StandardScaler(copy=False), slice(0, 4))])),
        piped(FunctionTransformer(scale, kw_args={"copy": False})),
        OwnPipeline([("mlp", NETWORK)]),
        piped(StandardScaler(), verbose=True),
        clone(NETWORK).set_params(verbose=True),
        clone(NETWORK).set_params(max_time=100.0),
    ],
    ids=described,
)
def test_what_may_act_otherwise_is_left_to_scikit_learn(estimator):
    assert n_side_by_side(estimator) == 0


@pytest.mark.parametrize("name", ["C", "svc__C"])
def test_other_estimators_are_left_to_scikit_learn(name):
    estimator = LogisticRegression() if name == "C" else Pipeline([("svc", LogisticRegression())])
    search = GridSearchCV(estimator, {name: [0.1, 1.0]}, n_jobs=1).fit(X, Y)
    assert search.best_score_ > 0.5


def test_pipelines_with_a_memory_are_left_to_scikit_learn(tmp_path):
    assert n_side_by_side(piped(StandardScaler(), memory=str(tmp_path))) == 0


def test_networks_with_a_checkpoint_are_left_to_scikit_learn(tmp_path):
    network = clone(NETWORK).set_params(checkpoint=Checkpoint(tmp_path / "fit"))
    search = GridSearchCV(network, {"alpha": [1e-4]}, cv=2, error_score="raise")
    with pytest.raises(Exception, match="another"):
        search.fit(X, Y)


def test_a_search_with_callbacks_is_left_to_scikit_learn(monkeypatch):
    monkeypatch.setattr("engine.model_selection.parallel_fits.fit_all", None)
    search = GridSearchCV(clone(NETWORK), {"alpha": [1e-4, 1.0]}, cv=2)
    search.set_callbacks(ProgressBar()).fit(X, Y)
    network = clone(NETWORK).set_callbacks(Ended())
    GridSearchCV(network, {"alpha": [1e-4, 1.0]}, cv=2).fit(X, Y)
    assert Ended.n == 5


def test_pipelines_and_steps_with_callbacks_are_not_eligible():
    pipeline = piped(LogisticRegression())
    assert can_share(pipeline, {})
    assert not can_share(clone(pipeline).set_callbacks(Ended()), {})
    pipeline.steps[0][1].set_callbacks(Ended())
    assert not can_share(pipeline, {})


def test_functions_in_the_arguments_of_functions_are_seen():
    assert can_share(piped(FunctionTransformer(np.clip, kw_args={"min": 0.0})), {})
    assert not can_share(piped(FunctionTransformer(np.clip, kw_args={"min": twice})), {})


def test_one_candidate_with_another_estimator_leaves_all_to_scikit_learn():
    networks = [clone(NETWORK), LogisticRegression()]
    assert n_side_by_side(piped(StandardScaler()), "mlp", networks) == 0


def test_steps_that_draw_from_numpy_s_generator_draw_in_scikit_learn_s_order():
    steps = PCA(2, svd_solver="randomized"), StandardScaler()
    for network in (NETWORK, clone(NETWORK).set_params(random_state=None)):
        assert n_side_by_side(piped(*steps, network=network)) == 0
        # The first candidate's steps draw nothing: its fits go side by side.
        solvers = ["full", "randomized"]
        assert n_side_by_side(piped(*steps, network=network), "step0__svd_solver", solvers) == 3


def test_an_argument_that_fit_does_not_have_is_refused_as_by_scikit_learn():
    options = {"fails": True, "error_score": "raise"}
    for estimator, step in ((NETWORK, ""), (piped(), "mlp__")):
        grid, given = {f"{step}alpha": [1e-4]}, {f"{step}weights": Y}
        ran, theirs = both(GridSearchCV, estimator, grid, fit_params=given, **options)
        assert str(ran.error) == str(theirs.error)
        assert ran.n_fits == 0
