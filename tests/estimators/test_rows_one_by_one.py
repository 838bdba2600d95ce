"""`partial_fit` of a few rows, and learners: quick calls leave what the general path leaves."""

import copy
import gc
import pickle
import threading
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from engine import MLPClassifier, MLPRegressor
from engine.embeddings import Pieces
from engine.estimators import prepared_rows
from engine.estimators.labels import Labels
from engine.estimators.prepared_rows import PreparedRows
from engine.losses import Compiled, Huber, Quantile

generator = np.random.default_rng(0)
N, N_FEATURES = 30, 5
ROWS = generator.standard_normal((N, N_FEATURES))
NUMBERS = np.tanh(ROWS @ generator.standard_normal(N_FEATURES))
SEVERAL = np.stack([NUMBERS, NUMBERS**2, -NUMBERS], axis=1)
BINARY = np.where(NUMBERS > 0, "yes", "no")
CLASSES = np.array([7, 3, 5])[np.digitize(NUMBERS, [-0.3, 0.3])]
LABELS = (SEVERAL > 0.1).astype(int)
WEIGHTS = generator.uniform(0.5, 2, N)

SETTINGS = {
    "adam": {},
    "plain": {"solver": "sgd", "momentum": 0},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd"},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 2, "tol": 0.1},
    "alpha": {"alpha": 0.3},
    "average": {"average": 0.8},
    "decay, average": {"weight_decay": 0.1, "average": 0.7, "clip_norm": 0.5},
    "sgd, average": {"solver": "sgd", "average": 0.8},
    "clip_norm": {"solver": "sgd", "clip_norm": 0.1},
    "no shuffle": {"shuffle": False},
    "in order": {"shuffle": "blocks"},
    "two layers": {"hidden_layer_sizes": [4, 3], "activation": ["tanh", "logistic"]},
    "no layer": {"hidden_layer_sizes": ()},
}
TARGETS = {"numbers": NUMBERS, "several": SEVERAL}
LABELLED = {"binary": BINARY, "classes": CLASSES, "labels": LABELS}
ALL = {**TARGETS, **LABELLED}


def made(target, dtype="float64", rows=slice(0, 2), **settings):
    """An estimator after a first call, on rows of that dtype."""
    settings = {
        "hidden_layer_sizes": (6,),
        "learning_rate_init": 0.05,
        "random_state": 0,
        **settings,
    }
    X, y = ROWS[rows].astype(dtype), ALL[target][rows]
    if target in TARGETS:
        return MLPRegressor(**settings).partial_fit(X, y)
    classes = [0, 1, 2] if target == "labels" else np.unique(ALL[target])
    return MLPClassifier(**settings).partial_fit(X, y, classes=classes)


def pair(target, dtype="float64", **settings):
    """Two estimators that are alike."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return made(target, dtype, **settings), made(target, dtype, **settings)


@pytest.fixture
def generally(monkeypatch):
    """generally(model, ...): `partial_fit` by the general path."""

    def train(model, *rows, **named):
        with monkeypatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            patch.setattr(PreparedRows, "train", lambda *_, **__: False)
            patch.setattr(prepared_rows, "prepare", lambda _: None)
            return model.partial_fit(*rows, **named)

    return train


@pytest.fixture
def quick(monkeypatch):
    """A list that receives what each call of the quick path of `partial_fit` said."""
    said, train = [], PreparedRows.train

    def noted(*arguments):
        said.append(train(*arguments))
        return said[-1]

    monkeypatch.setattr(PreparedRows, "train", noted)
    return said


def prepared_for(model) -> Any:
    return prepared_rows.PREPARED.get(id(model))


def words_of_numpy() -> Any:
    """The state of the generator that others use."""
    return np.random.get_state(legacy=False)["state"]["key"].tobytes()  # noqa: NPY002


def state_of(model):
    """All that an estimator holds, as bytes."""
    found = {}
    for name, value in vars(model).items():
        if name in model._get_param_names():
            continue
        if name == "_draws":
            found[name] = value.words().tobytes()
        elif name == "_optimizer":
            for part, held in vars(value).items():
                found[f"optimiser.{part}"] = (
                    held.tobytes() if hasattr(held, "tobytes") else repr(held)
                )
        elif name in ("coefs_", "intercepts_"):
            found[name] = [(part.shape, part.dtype.str, part.tobytes()) for part in value]
        elif isinstance(value, np.ndarray):
            found[name] = value.tobytes()
        elif name not in ("_network", "_labels"):
            found[name] = repr(value)
    return found


def require_same(one, other):
    assert state_of(one) == state_of(other)
    np.testing.assert_array_equal(one.predict(ROWS), other.predict(ROWS))


def one_row(target, i):
    return ROWS[i : i + 1], ALL[target][i : i + 1]


# The bits.


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("target", ALL)
def test_one_row_at_a_time_has_the_bits_of_the_general_path(
    target, settings, dtype, generally, quick
):
    model, other = pair(target, dtype, **SETTINGS[settings])
    learned = pair(target, dtype, **SETTINGS[settings])[0]
    learn = learned.learner()
    for i in range(2, N):
        X, y = one_row(target, i)
        X = X.astype(dtype)
        model.partial_fit(X, y)
        generally(other, X, y)
        assert learn(X[0], y[0]) == other.loss_
        require_same(model, other)
        require_same(learned, other)
    assert quick == [True] * len(quick)
    assert len(quick) >= N - 2


def test_one_row_draws_nothing_from_a_generator_of_others(generally, quick):
    model = made("numbers", random_state=None)
    other = copy.deepcopy(model)
    learn = model.learner()
    before = words_of_numpy()
    for i in range(9):
        model.partial_fit(*one_row("numbers", i))
        learn(ROWS[i], 0.5)
        generally(other, *one_row("numbers", i))
        generally(other, ROWS[i : i + 1], [0.5])
        assert model.fingerprint_ == other.fingerprint_
    assert all(quick)
    assert words_of_numpy() == before


@pytest.mark.parametrize("target", ALL)
def test_weights_count_as_in_the_general_path(target, generally, quick):
    model, other = pair(target)
    learned = pair(target)[0]
    learn = learned.learner()
    for i in range(2, N):
        X, y = one_row(target, i)
        weights = None if i % 3 == 0 else WEIGHTS[i : i + 1]
        model.partial_fit(X, y, weights)
        generally(other, X, y, weights)
        learn(X[0], y[0], None if weights is None else weights[0])
        require_same(model, other)
        require_same(learned, other)
    assert all(quick)


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize(
    "settings",
    [{}, {"batch_size": 2}, {"shuffle": False}, {"average": 0.9, "batch_size": 3}],
    ids=str,
)
def test_a_few_rows_have_the_bits_of_the_general_path(target, settings, generally, quick):
    model, other = pair(target, **settings)
    for first, last in ((0, 4), (4, 8), (8, 12), (12, 19), (19, 26), (1, 5)):
        rows = ROWS[first:last], ALL[target][first:last], WEIGHTS[first:last]
        model.partial_fit(*rows)
        generally(other, *rows)
        require_same(model, other)
    assert all(quick)


@pytest.mark.parametrize(
    "loss", [Huber(0.3), Quantile([0.1, 0.5, 0.9]), "poisson", "gamma"], ids=str
)
def test_losses(loss, generally, quick):
    models = [
        MLPRegressor(loss, (4,), random_state=0).partial_fit(ROWS[:1], NUMBERS[:1] ** 2)
        for _ in range(3)
    ]
    learn = models[2].learner()
    for i in range(1, N):
        X, y = ROWS[i : i + 1], NUMBERS[i : i + 1] ** 2
        models[0].partial_fit(X, y)
        generally(models[1], X, y)
        learn(X[0], y[0])
        require_same(models[0], models[1])
        require_same(models[2], models[1])
    assert all(quick)


def test_lists_and_whole_numbers_are_quick_too(generally, quick):
    model, other = pair("binary")
    for X, y in (
        (ROWS[3:4].tolist(), ["yes"]),
        ((10 * ROWS[4:5]).astype(int), np.array(["no"])),
        (ROWS[5:6].astype(np.float32), np.array(["no"], object).astype(str)),
        (np.asfortranarray(ROWS[6:9]), BINARY[6:9]),
        (ROWS[::-1][:2], BINARY[::-1][:2]),
    ):
        model.partial_fit(X, y)
        generally(other, X, y)
        require_same(model, other)
    model.partial_fit(ROWS[:1], BINARY[:1], classes=["no", "yes"])
    model.partial_fit(X=ROWS[:1], y=BINARY[:1], classes=np.array(["no", "yes"]))
    assert quick == [True] * 7


# What changes between calls.


def changes():
    """Changes of an estimator, by name."""

    def in_place(model):
        model.coefs_[0][1, 2] += 0.5
        model.intercepts_[-1][:] = 0.25

    def replaced(model):
        model.coefs_ = [2 * W for W in model.coefs_]

    def replaced_one(model):
        model.coefs_[1] = model.coefs_[1] / 2

    def single(model):
        model.coefs_ = [W.astype("float32") for W in model.coefs_]

    def last_intercept(model):
        model.intercepts_[-1] = model.intercepts_[-1].copy()

    def first_intercept(model):
        model.intercepts_[0] = model.intercepts_[0] + 1

    def counts(model):
        model.best_loss_, model.loss_curve_ = 0.001, [1.0]

    return {
        "in place": in_place,
        "replaced": replaced,
        "one replaced": replaced_one,
        "in float32": single,
        "the first intercepts": first_intercept,
        "the last intercept": last_intercept,
        "counts": counts,
        "rows seen": lambda model: setattr(model, "t_", 100),
        "epochs": lambda model: setattr(model, "n_iter_", 100),
        "no optimiser": lambda model: model.__dict__.pop("_optimizer"),
        "no weights": lambda model: model.__dict__.pop("coefs_"),
        "one row by fit": lambda model: model.set_params(max_iter=3, warm_start=True).fit(
            ROWS[:1], NUMBERS[:1]
        ),
        "rate": lambda model: model.set_params(learning_rate_init=0.2),
        "alpha": lambda model: setattr(model, "alpha", 0.7),
        "solver": lambda model: model.set_params(solver="sgd"),
        "average": lambda model: model.set_params(average=0.6),
        "seed": lambda model: model.set_params(random_state=3),
        "verbose": lambda model: model.set_params(verbose=True),
        "fit": lambda model: model.set_params(max_iter=3).fit(ROWS, model._y),
        "many rows": lambda model: model.partial_fit(ROWS, model._y),
        "two rows": lambda model: model.partial_fit(ROWS[:2], model._y[:2]),
        "copied": lambda model: (copy.copy(model), copy.deepcopy(model), clone(model)),
        "pickled": lambda model: model.__dict__.update(vars(pickle.loads(pickle.dumps(model)))),
    }


@pytest.mark.parametrize("settings", ["adam", "average", "invscaling"])
@pytest.mark.filterwarnings("ignore")
def test_changes_between_calls_count(settings, generally, capsys):
    for name, change in changes().items():
        models = [made("numbers", **SETTINGS[settings]) for _ in range(3)]
        learn = models[2].learner()
        for i in range(2, 14):
            X, y = one_row("numbers", i)
            if i in (6, 9):
                for model in models:
                    model._y = NUMBERS
                    change(model)
            models[0].partial_fit(X, y)
            generally(models[1], X, y)
            learn(X[0], y[0])
            assert state_of(models[0]) == state_of(models[1]), name
            assert state_of(models[2]) == state_of(models[1]), name


def test_learners_partial_fit_and_predict_take_turns(generally):
    model, other = pair("classes")
    first, second = model.learner(), model.learner()
    for i in range(2, 20):
        X, y = one_row("classes", i)
        act = (first, second, lambda row, label: model.partial_fit([row], [label]))[i % 3]
        act(X[0], y[0])
        generally(other, X, y)
        require_same(model, other)


def test_a_learner_goes_on_after_fit_on_other_classes_and_features():
    model = made("classes")
    learn = model.learner()
    learn(ROWS[0], 3)
    model.fit(ROWS[:, :3], BINARY)
    learn(ROWS[0, :3], "yes")
    with pytest.raises(ValueError, match="one of the classes 'no', 'yes'; got 3"):
        learn(ROWS[0, :3], 3)
    with pytest.raises(ValueError, match=r"must have shape \(3,\)"):
        learn(ROWS[0], "no")


def test_a_copy_is_not_trained_along():
    model = made("numbers")
    learn = model.learner()
    for _ in range(3):
        learn(ROWS[0], 1.0)
    shallow = copy.copy(model)
    before = state_of(shallow)
    for _ in range(3):
        learn(ROWS[1], 1.0)
        model.partial_fit(ROWS[:1], NUMBERS[:1])
    after = state_of(shallow)
    assert before == after
    shallow.partial_fit(ROWS[:1], NUMBERS[:1])
    assert shallow.t_ == int(before["t_"]) + 1


def test_partial_fit_puts_new_arrays_and_a_learner_changes_those_that_are_there():
    model = made("numbers")
    model.partial_fit(ROWS[:1], NUMBERS[:1])
    W = model.coefs_[0]
    before = W.copy()
    model.partial_fit(ROWS[:1], NUMBERS[:1])
    np.testing.assert_array_equal(W, before)
    learn = model.learner()
    for _ in range(3):
        learn(ROWS[0], 1.0)
    W = model.coefs_[0]
    before = W.copy()
    learn(ROWS[1], 1.0)
    assert W is model.coefs_[0]
    assert (before != W).any()


def test_a_pickled_learner_goes_on_with_a_copy():
    model = made("binary")
    learn = model.learner()
    learn(ROWS[0], "yes")
    other = pickle.loads(pickle.dumps(learn))
    assert other(ROWS[1], "no") == learn(ROWS[1], "no")
    assert other._estimator is not model
    require_same(other._estimator, model)
    assert copy.copy(learn)._estimator is model


def test_what_is_prepared_goes_with_its_estimator():
    model = made("numbers")
    key = id(model)
    assert prepared_for(model) is not None
    assert not any("prepared" in name for name in vars(model))
    del model
    gc.collect()
    assert key not in prepared_rows.PREPARED


def test_threads_share_a_learner():
    model = made("numbers")
    learn = model.learner()
    learn(ROWS[0], 0.5)
    curve = len(model.loss_curve_)

    def act():
        for _ in range(300):
            learn(ROWS[0], 0.5)

    threads = [threading.Thread(target=act) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other = made("numbers")
    again = other.learner()
    for _ in range(1201):
        again(ROWS[0], 0.5)
    assert len(model.loss_curve_) == curve + 1200
    require_same(model, other)


# What the quick path leaves to the general one.


GENERAL: tuple[dict[str, Any], ...] = (
    {"verbose": True},
    {"max_time": 5.0},
    {"continuation": "sklearn"},
    {"backend": "numpy"},
    {"batch_size": 8},
    {"solver": "gd"},
    {"random_state": np.random.RandomState(0)},
    {"loss": Compiled(lambda z, y: ((z - y) ** 2 / 2, z - y))},
    {"loss": "poisson", "embeddings": [None, Pieces([-1.0, 0.0, 1.0], 2), None, None, None]},
)


@pytest.mark.filterwarnings("ignore")
def test_what_takes_the_general_path(quick, capsys):
    for settings in GENERAL:
        model = made("numbers", rows=slice(3, 5), **settings)
        for _ in range(3):
            model.partial_fit(ROWS[3:4], abs(NUMBERS[3:4]))
        learn = model.learner()
        assert learn(ROWS[0], 0.5) == model.loss_
        assert not any(quick), settings
    model = made("numbers", random_state=None)
    for _ in range(3):
        model.partial_fit(ROWS[:2], NUMBERS[:2])  # which are shuffled
    assert not any(quick)
    quick.clear()
    model = made("classes", class_weight={3: 2.0})
    other = made("classes")
    for _ in range(3):
        model.partial_fit(ROWS[:1], [3])
        other.partial_fit(ROWS[:1], [3], [2.0])
    assert all(quick)  # of the other
    assert model.fingerprint_ == other.fingerprint_
    assert model.learner()(ROWS[0], 3) == model.loss_
    model = made("classes")
    with pytest.raises(ValueError, match="warm_start can only be used where"):
        model.set_params(warm_start=True).partial_fit(ROWS[:1], [3])
    model.partial_fit(ROWS, CLASSES)
    with pytest.raises(ValueError, match="warm_start can only be used where"):
        model.partial_fit(ROWS[:1], [3])
    model.warm_start = False
    model.partial_fit(ROWS[:1], [3])
    model.classes_ = model.classes_ + 0.5
    with pytest.raises(ValueError, match="not in"):
        model.partial_fit(ROWS[:1], [3])


def test_a_learner_says_nothing_of_the_batch_size_and_of_names(recwarn):
    pandas = pytest.importorskip("pandas")
    model = MLPRegressor(hidden_layer_sizes=3, batch_size=8, random_state=0)
    model.fit(pandas.DataFrame(ROWS).rename(columns=str), NUMBERS)
    recwarn.clear()
    learn = model.learner()
    for i in range(4):
        learn(ROWS[i], NUMBERS[i])
    assert not recwarn
    assert model.feature_names_in_.tolist() == list("01234")
    with pytest.warns(UserWarning, match="valid feature names"):
        model.partial_fit(ROWS[:8], NUMBERS[:8])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((ROWS[:1, :4], NUMBERS[:1]), "X has 4 features"),
        ((ROWS[:1] * np.nan, NUMBERS[:1]), "NaN"),
        ((ROWS[:1], NUMBERS[:1] + np.inf), "Input y contains infinity"),
        ((ROWS[0], NUMBERS[:1]), "2D array"),
        ((ROWS[:1], NUMBERS[:2]), "inconsistent numbers of samples"),
        ((ROWS[:1], NUMBERS[:1], [-1.0]), "must not be negative"),
        ((ROWS[:1], NUMBERS[:1], [1.0, 1.0]), "sample_weight"),
        ((1e300 * ROWS[:1], NUMBERS[:1]), "loss of the first batch"),
        ((ROWS[:1], NUMBERS[:1] * 1e200), "loss of the first batch"),
        ((ROWS[:0], NUMBERS[:0]), "0 sample"),
    ],
)
def test_errors_are_those_of_the_general_path_and_change_nothing(rows, message, generally):
    model, other = pair("numbers")
    model.partial_fit(ROWS[:1], NUMBERS[:1])
    generally(other, ROWS[:1], NUMBERS[:1])
    found = []
    for train in (model.partial_fit, lambda *rows: generally(other, *rows)):
        with pytest.raises(ValueError, match=message) as error:
            train(*rows)
        found.append(str(error.value))
    assert found[0] == found[1]
    require_same(model, other)
    model.partial_fit(ROWS[:1], NUMBERS[:1])
    generally(other, ROWS[:1], NUMBERS[:1])
    require_same(model, other)


@pytest.mark.parametrize("settings", [{}, {"batch_size": 2}], ids=str)
def test_a_few_rows_that_diverge_leave_what_the_general_path_leaves(settings, generally):
    model, other = pair("numbers", **settings)
    wrong = NUMBERS[:6] + np.array([0, 0, 0, 0, 0, 1e200])
    for _ in range(3):
        for y in (NUMBERS[:6], wrong, NUMBERS[:6]):
            for train in (model.partial_fit, lambda *rows: generally(other, *rows)):
                if y is not wrong:
                    train(ROWS[:6], y)
                    continue
                with pytest.raises(ValueError, match="loss"):
                    train(ROWS[:6], y)
            require_same(model, other)


def test_rows_of_the_other_dtype(generally):
    model, other = pair("numbers")
    learn = model.learner()
    for i in range(9):
        X = ROWS[i : i + 1].astype("float32" if i % 3 else "float64")
        learn(X[0], NUMBERS[i])
        generally(other, X, NUMBERS[i : i + 1])
        require_same(model, other)
    assert "float32" in repr(model.plan_)


def test_what_scikit_learn_has_to_look_at():
    assert prepared_rows.codes_of(Labels.of_classes(np.array([0.5, 1.5]))) is None
    assert prepared_rows.codes_of(Labels.of_classes(np.array([1, None]))) is None
    assert prepared_rows.codes_of(Labels.of_classes(np.array([0.0, 2.0]))) == {0: 0, 2: 1}
    assert prepared_rows.plain_rows([[1.0], [1.0, 2.0]]) is None
    assert prepared_rows.plain_rows([["1"]]) is None
    rows = prepared_rows.plain_rows(np.array([[2**60 + 1]]))
    assert rows is not None
    assert rows.dtype == np.float64


def test_a_list_of_parameters_that_was_changed_in_place():
    model = made("numbers", hidden_layer_sizes=[6])
    learn = model.learner()
    for _ in range(3):
        learn(ROWS[0], 0.5)
    model.hidden_layer_sizes.append(3)
    for train in (lambda: learn(ROWS[0], 0.5), lambda: model.partial_fit(ROWS[:1], [0.5])):
        with pytest.raises(ValueError, match="cannot continue"):
            train()


def test_wrong_labels_and_arguments_of_partial_fit():
    model = made("binary")
    for label in ("maybe", 1, None):
        with pytest.raises((ValueError, TypeError)):
            model.partial_fit(ROWS[:1], [label])
    with pytest.raises(ValueError, match="not the same as on last call"):
        model.partial_fit(ROWS[:1], BINARY[:1], classes=["no", "maybe"])
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):
        model.partial_fit(ROWS[:1])
    with pytest.raises(TypeError, match="classes"):
        made("numbers").partial_fit(ROWS[:1], NUMBERS[:1], classes=[0])
    with pytest.raises(ValueError, match="early_stopping"):
        model.set_params(early_stopping=True).partial_fit(ROWS[:1], BINARY[:1])
    with pytest.raises(ValueError, match="cosine"):
        model.set_params(early_stopping=False, learning_rate="cosine").partial_fit(
            ROWS[:1], BINARY[:1]
        )
    with pytest.raises(ValueError, match="cannot continue"):
        model.set_params(learning_rate="constant", hidden_layer_sizes=(3,)).partial_fit(
            ROWS[:1], BINARY[:1]
        )


def test_a_warning_names_the_line_that_called_partial_fit():
    model = made("numbers", rows=slice(0, 9), batch_size=8)
    with pytest.warns(UserWarning, match="batch_size") as caught:
        model.partial_fit(ROWS[:1], NUMBERS[:1])
    assert caught[0].filename == __file__


# What a learner refuses.


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        (
            ROWS[0, :4],
            ValueError,
            r"must have shape \(5,\), one number per feature; got shape \(4,\)",
        ),
        (ROWS[:1], ValueError, r"got shape \(1, 5\)"),
        (np.nan, ValueError, r"got shape \(\)"),
        ([0, 1, np.nan, 3, 4], ValueError, "must hold finite numbers; got"),
        (ROWS[0] + np.array([0, np.inf, 0, 0, 0]), ValueError, "must hold finite numbers; got"),
        (["a"] * 5, TypeError, "must hold numbers; got dtype <U1"),
        (np.array([None] * 5), TypeError, "must hold numbers; got dtype object"),
        (np.zeros(5, "M8[D]"), TypeError, "date"),
        (np.zeros(5, "m8[D]"), TypeError, "time difference"),
        (ROWS[0] + 1j, TypeError, "got dtype complex128"),
    ],
)
@pytest.mark.parametrize("calls", [0, 3])
def test_wrong_rows_are_refused_and_change_nothing(row, error, message, calls):
    model = made("numbers")
    learn = model.learner()
    for _ in range(calls):
        learn(ROWS[0], 0.5)
    before = state_of(model)
    with pytest.raises(error, match=message):
        learn(row, 0.5)
    assert state_of(model) == before
    learn(ROWS[0], 0.5)
    assert model.t_ == int(before["t_"]) + 1


@pytest.mark.parametrize(
    ("target", "wrong", "error", "message"),
    [
        ("numbers", np.nan, ValueError, "must be finite; got nan"),
        ("numbers", np.inf, ValueError, "must be finite; got inf"),
        ("numbers", "1", TypeError, "must be a number; got '1'"),
        ("numbers", None, TypeError, "must be a number; got None"),
        ("numbers", np.timedelta64(1, "s"), TypeError, "must be a number"),
        ("numbers", [1.0, 2.0], ValueError, r"one number; got shape \(2,\)"),
        ("numbers", 10**400, TypeError, "must be a number"),
        ("several", 1.0, ValueError, r"must have shape \(3,\), one number per output; got shape"),
        ("several", [1.0, 2.0, np.nan], ValueError, "must be finite; got"),
        ("several", ["a", "b", "c"], TypeError, "must hold numbers"),
        ("binary", "maybe", ValueError, "one of the classes 'no', 'yes'; got 'maybe'"),
        ("binary", ["no"], ValueError, "one of the classes"),
        ("classes", 4, ValueError, "one of the classes 3, 5, 7; got 4"),
        ("classes", np.nan, ValueError, "one of the classes 3, 5, 7; got nan"),
        ("labels", [1, 0], ValueError, r"must have shape \(3,\), a 0 or 1 for each label"),
        ("labels", [1, 0, 2], ValueError, "a 0 or 1 for each label; got"),
    ],
)
def test_wrong_targets_are_refused_and_change_nothing(target, wrong, error, message):
    model = made(target)
    learn = model.learner()
    for i in range(3):
        learn(ROWS[i], ALL[target][i])
    before = state_of(model)
    with pytest.raises(error, match=message):
        learn(ROWS[0], wrong)
    assert state_of(model) == before


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        (0, ValueError, "must be above 0 and finite; got 0"),
        (-1.0, ValueError, "got -1"),
        (np.nan, ValueError, "got nan"),
        ("1", TypeError, "must be a number; got '1'"),
        ([1.0, 2.0], TypeError, "must be a number"),
        (1e-300, ValueError, "scale the weights"),
    ],
)
def test_wrong_weights_are_refused_and_change_nothing(weight, error, message):
    model = made("numbers", "float32")
    learn = model.learner()
    learn(ROWS[0], 0.5)
    before = state_of(model)
    with pytest.raises(error, match=message):
        learn(ROWS[0], 0.5, weight)
    assert state_of(model) == before


def test_numbers_that_float32_cannot_hold():
    model = made("numbers", "float32")
    learn = model.learner()
    for _ in range(2):
        learn(ROWS[0], 0.5)
    with pytest.raises(ValueError, match="finite in float32; got 1e\\+39"):
        learn(ROWS[0], 1e39)
    with pytest.raises(ValueError, match="finite numbers"):
        learn(1e39 * ROWS[0], 1)


def test_targets_that_the_loss_does_not_take():
    for loss, wrong, message in (
        ("poisson", -1, "finite and at least 0; got -1"),
        ("gamma", 0, "finite and above 0; got 0"),
    ):
        model = MLPRegressor(loss, (3,), random_state=0).partial_fit(ROWS[:1], [1.0])
        learn = model.learner()
        learn(ROWS[0], 2)
        model.partial_fit(ROWS[:1], [2.0])
        with pytest.raises(ValueError, match="needs y"):
            model.partial_fit(ROWS[:1], [float(wrong)])
        with pytest.raises(ValueError, match=message):
            learn(ROWS[0], wrong)


def test_a_loss_that_is_not_finite_changes_nothing():
    model = made("numbers", activation="identity")
    learn = model.learner()
    for _ in range(3):
        learn(ROWS[0], 0.5)
    before = state_of(model)
    for _ in range(2):
        with pytest.raises(ValueError, match="The loss of the first batch is"):
            learn(ROWS[0] * 1e300, 0.5)
        assert state_of(model) == before


@pytest.mark.parametrize("learns", ["partial_fit", "a learner", "with a weight"])
def test_parameters_that_overflow_are_put_back(learns, generally):
    settings = {"activation": "identity", "solver": "sgd", "momentum": 0.5}
    model, other = pair("numbers", learning_rate_init=1e300, hidden_layer_sizes=(), **settings)
    learn = model.learner()

    def train(row):
        if learns == "partial_fit":
            model.partial_fit(row[np.newaxis], [0.0])
        elif learns == "with a weight" and abs(row).max() > 1e3:
            learn(row, 0.0, 1.5)
        else:
            learn(row, 0.0)

    def train_both():
        for one in (model, other):
            one.coefs_[0][:], one.intercepts_[0][:] = 1e-300, 0
        train(ROWS[0])
        generally(other, ROWS[:1], [0.0])
        require_same(model, other)

    for _ in range(3):
        train_both()
    model.coefs_[0][:], model.intercepts_[0][:] = 1e5, 0
    assert prepared_for(model).knows(model)
    before = state_of(model)
    for _ in range(2):
        with pytest.raises(
            ValueError, match=r"^Solver produced non-finite parameter weights"
        ) as error:
            train(1e5 * ROWS[0])
        assert "loss of the first batch" not in str(error.value)
        assert state_of(model) == before
    for _ in range(2):
        train_both()


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_before_a_fit_and_with_solvers_without_steps(kind):
    with pytest.raises(
        NotFittedError, match=f"This {kind.__name__} is not fitted yet.*partial_fit"
    ):
        kind().learner()
    with pytest.raises(AttributeError, match="has no attribute 'learner'"):
        kind(solver="lbfgs").fit(ROWS, NUMBERS > 0).learner()
    assert not hasattr(kind(solver="lm"), "learner")
    assert repr(made("numbers").learner()).startswith("<RegressorLearner of <Network 5-6-1: relu")


def test_ctrl_c_before_an_epoch_begins_changes_nothing(generally, monkeypatch):
    model = made("numbers")
    learn = model.learner()
    for _ in range(3):
        learn(ROWS[0], 0.5)
    generally(model, ROWS[:1], NUMBERS[:1])  # which leaves other counts
    before = state_of(model)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PreparedRows, "_state_of", interrupted)
        with pytest.raises(KeyboardInterrupt):
            learn(ROWS[0], 0.5)
    assert state_of(model) == before


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("learns", [True, False])
def test_ctrl_c_leaves_an_epoch_whole(place, learns, monkeypatch):
    model, other = pair("numbers")
    learn = model.learner()

    def train(one, row):
        one.partial_fit(ROWS[row : row + 1], NUMBERS[row : row + 1])

    for row in range(3):
        learn(ROWS[row], NUMBERS[row]) if learns else train(model, row)
        train(other, row)
    prepared = prepared_for(model)
    steps, take = prepared._steps, prepared._steps.take

    def interrupted():
        if place == "after":
            take()
        raise KeyboardInterrupt

    steps.take = interrupted
    prepared.learn_quickly = prepared._made_quick(steps)
    with pytest.raises(KeyboardInterrupt):
        learn(ROWS[3], NUMBERS[3]) if learns else train(model, 3)
    if place == "after":
        train(other, 3)
    require_same(model, other)
    steps.take = take
    prepared.learn_quickly = prepared._made_quick(steps)
    learn(ROWS[4], NUMBERS[4]) if learns else train(model, 4)
    train(other, 4)
    require_same(model, other)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("target", ALL)
def test_a_learner_is_quick_from_the_third_call_on(target, dtype, monkeypatch):
    model = made(target, dtype)
    learn = model.learner()
    for i in range(2):
        learn(ROWS[i].astype(dtype), ALL[target][i])
    monkeypatch.setattr(PreparedRows, "learn", None)
    for i in range(9):
        learn(ROWS[i].astype(dtype), ALL[target][i])
    assert len(model.loss_curve_) == 12


def test_partial_fit_is_quick_again_in_another_dtype(quick):
    model = made("numbers")
    for _ in range(2):
        model.partial_fit(ROWS[:1], NUMBERS[:1])
    model.coefs_ = [W.astype("float32") for W in model.coefs_]
    for _ in range(3):
        model.partial_fit(ROWS[:1], NUMBERS[:1])
    assert quick == [True, True, False, True, True]
    assert model.coefs_[0].dtype == np.float32


@pytest.mark.parametrize("units", [6, 200])
def test_with_two_threads_too(units, generally, quick):
    model, other = pair("several", n_threads=2, hidden_layer_sizes=(units,))
    learn = model.learner()
    for i in range(2, 8):
        model.partial_fit(ROWS[:9], SEVERAL[:9])
        generally(other, ROWS[:9], SEVERAL[:9])
        require_same(model, other)
        learn(ROWS[i], SEVERAL[i])
        generally(other, *one_row("several", i))
        require_same(model, other)
    assert model.n_threads_ == (1 if units == 6 else 2)
    assert set(quick) == {units == 6}  # two threads share a step of the other
