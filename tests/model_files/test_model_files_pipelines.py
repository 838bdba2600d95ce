"""Scikit-learn pipelines in .skops files: those that people build, and forged ones."""

import copy
import io
import json
import pickle
import sys
import tracemalloc
import zipfile
from typing import Any

import joblib
import numpy as np
import polars as pl
import pytest
import skops.io
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest, VarianceThreshold, f_regression
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

from engine import (
    MLPClassifier,
    MLPEnsembleClassifier,
    MLPEnsembleRegressor,
    MLPRegressor,
    ModelFileError,
    Network,
    TableClassifier,
    TableRegressor,
    load,
    losses,
    save,
)
from engine.embeddings import Levels, Pieces
from engine.model_files import skops_archive, trusted_types
from engine.model_files.estimator_checks import check_model
from engine.model_files.skops_file import read_model
from engine.model_files.table_columns import TableColumns
from engine.tables.translation import Translation
from tests import own_losses
from tests.processes import result_of

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::engine.TrainingWarning"),
]

GENERATOR = np.random.default_rng(0)
ROWS = GENERATOR.standard_normal((80, 6))
CODES = np.digitize(ROWS[:, 0], [-0.5, 0.5])
HOLES = np.where(GENERATOR.random(ROWS.shape) < 0.1, np.nan, ROWS)
TABLE = pl.DataFrame(
    {
        "a": ROWS[:, 0],
        "b": HOLES[:, 1],
        "c": ["x", "y", None, "z"] * 20,
        "d": [1, 2, 3, 4] * 20,
        "e": [True, False] * 40,
    }
)


def classifier(**settings):
    return MLPClassifier(**{"hidden_layer_sizes": 4, "max_iter": 3, "random_state": 0, **settings})


def regressor(**settings):
    return MLPRegressor(**{"hidden_layer_sizes": 4, "max_iter": 3, "random_state": 0, **settings})


def columns():
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    return ColumnTransformer(
        [
            ("numbers", numbers, ["a", "b"]),
            ("texts", OneHotEncoder(handle_unknown="ignore", min_frequency=2), ["c"]),
            ("ranks", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["d"]),
            ("as they are", "passthrough", ["e"]),
        ]
    )


STEPS = {
    "standard": StandardScaler(),
    "min max": MinMaxScaler(),
    "robust": RobustScaler(),
    "max abs": MaxAbsScaler(),
    "lengths": Normalizer(),
    "pca": PCA(3),
    "pca by share": PCA(0.9, whiten=True),
    "pca mle": PCA("mle"),
    "products": PolynomialFeatures(2, interaction_only=True),
    "degrees": PolynomialFeatures((2, 3), include_bias=False),
    "variance": VarianceThreshold(0.1),
    "best": SelectKBest(k=3),
    "union": make_union(PCA(2), MinMaxScaler()),
    "slices": make_column_transformer((StandardScaler(), slice(0, 2)), remainder="passthrough"),
    "masks": make_column_transformer((MinMaxScaler(), [True, False] * 3), remainder="drop"),
}
MODELS: dict[str, tuple[Any, Any, Any]] = {
    name: (make_pipeline(step, classifier()), ROWS, CODES) for name, step in STEPS.items()
}
MODELS |= {
    "alone": (classifier(), ROWS, np.array(["l", "m", "h"])[CODES]),
    "float32": (make_pipeline(StandardScaler(), classifier()), ROWS.astype("f"), CODES > 0),
    "holes": (make_pipeline(SimpleImputer(strategy="median"), classifier()), HOLES, CODES),
    "table": (make_pipeline(columns(), classifier()), TABLE, CODES),
    "target": (
        TransformedTargetRegressor(
            make_pipeline(StandardScaler(), regressor()), transformer=StandardScaler()
        ),
        ROWS,
        ROWS[:, 0],
    ),
    "target within": (
        make_pipeline(
            SelectKBest(f_regression, k=2),
            TransformedTargetRegressor(regressor(), transformer=MinMaxScaler()),
        ),
        ROWS,
        ROWS[:, 0],
    ),
    "several outputs": (make_pipeline(StandardScaler(), regressor()), ROWS, ROWS[:, :2]),
    "weights of classes": (classifier(class_weight={0: 1.0, 1: 2.0, 2: 1.5}), ROWS, CODES),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.skops"


@pytest.fixture
def whole(path):
    """A file of a pipeline, and its parts."""
    model = make_pipeline(StandardScaler(), classifier()).fit(ROWS, CODES)
    save(path, model)
    return skops_archive.parts_of(path, path.read_bytes())


def examples_in(path):
    examples = read_model(path).examples
    assert examples is not None
    return examples


# Pipelines that people build.


@pytest.mark.parametrize("name", MODELS)
def test_a_pipeline_comes_back_with_the_same_bits(path, name):
    model, X, y = MODELS[name]
    model.fit(X, y)
    save(path, model, X=X)
    again = load(path)
    method = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    np.testing.assert_array_equal(getattr(again, method)(X), getattr(model, method)(X))
    np.testing.assert_array_equal(again.predict(X), model.predict(X), strict=True)
    assert 0 < len(examples_in(path).outputs) <= 8


@pytest.mark.proof
def test_every_type_that_is_trusted_is_one_that_models_are_made_of(tmp_path):
    asked: dict[str, set[str]] = {}
    models = dict(MODELS)
    more = make_column_transformer(
        (OneHotEncoder(dtype=np.float32), [0]),
        (OneHotEncoder(dtype=np.int32), [1]),
        (OrdinalEncoder(dtype=np.int64), [2]),
        (OneHotEncoder(dtype=np.float64), [3]),
        (SimpleImputer(add_indicator=True), [4]),
    )
    whole = np.round(ROWS[:, :5]).astype(int)
    models["encoders"] = (make_pipeline(more, classifier()), whole, CODES)
    models["counts"] = (
        make_pipeline(SelectKBest(trusted_chi2(), k=2), classifier()),
        abs(ROWS),
        CODES,
    )
    written = pl.DataFrame({"a": [f"{value:.1f}".replace(".", ",") for value in ROWS[:, 0]]})
    models["written"] = (
        make_pipeline(
            Translation({"a": {"kind": "number", "decimal": "comma", "mark": ""}}), classifier()
        ),
        written,
        CODES,
    )
    models["frames"] = (
        make_pipeline(TableColumns(["a"], ["number"], ["NA"]), classifier()),
        pl.DataFrame({"a": ROWS[:, 0]}),
        CODES,
    )
    models["classifiers"] = (MLPEnsembleClassifier(2, estimator=classifier()), ROWS, CODES)
    models["regressors"] = (MLPEnsembleRegressor(2, estimator=regressor()), ROWS, 1.0 * CODES)
    embedded = classifier(embeddings=[Pieces([-1.0, 0.0, 1.0], 2), Levels(3, 2)])
    models["embedded"] = (make_pipeline(embedded), np.column_stack([ROWS[:, 0], CODES]), CODES)
    table = {"n_members": 1, "max_iter": 2}
    models["tables"] = (TableRegressor(**table), pl.DataFrame({"a": ROWS[:, 0]}), 1.0 * CODES)
    models["classes"] = (TableClassifier(**table), pl.DataFrame({"a": ROWS[:, 0]}), CODES)
    own = losses.Compiled(own_losses.log_cosh)
    for loss in ("absolute_error", losses.Huber(), losses.Quantile(), losses.Tweedie(1.5), own):
        models[f"loss {loss}"] = (make_pipeline(regressor(loss=loss)), ROWS, 1 + CODES)
    for number, (model, X, y) in enumerate(models.values()):
        path = tmp_path / f"{number}.skops"
        save(path, model.fit(X, y), X=X)
        schema = json.loads(skops_archive.parts_of(path, path.read_bytes())[skops_archive.SCHEMA])
        for node in skops_archive.nodes_of(schema):
            name = f"{node['__module__']}.{node['__class__']}"
            asked.setdefault(node["__loader__"], set()).add(name)
    scalars = {f"numpy.{name}" for name in ("float32", "float64", "int32", "int64")}
    for loader, known in trusted_types.TYPES.items():
        assert known - asked[loader] <= (scalars if loader != "ObjectNode" else set()), loader


def trusted_chi2():
    from sklearn.feature_selection import chi2

    return chi2


def predicted(path):
    return load(path).predict_proba(ROWS).tolist()


@pytest.mark.proof
def test_another_process_gives_the_same_bits(path, whole):
    assert result_of(predicted, path) == predicted(path)


def test_the_same_model_gives_the_same_bytes(path, whole):
    first = path.read_bytes()
    save(path, make_pipeline(StandardScaler(), classifier()).fit(ROWS, CODES))
    assert path.read_bytes() == first


@pytest.mark.proof
def test_what_belongs_to_a_process_is_left_out_of_the_file_alone(path):
    model = make_pipeline(
        ColumnTransformer([("s", StandardScaler(), [0, 1])], n_jobs=2),
        classifier(random_state=np.random.RandomState(0), scoring=lambda *_, **__: 0.0),
        memory=str(path.parent / "cache"),
    )
    model.fit(ROWS, CODES)
    save(path, model, X=ROWS)
    again = load(path)
    assert (again.memory, again[0].n_jobs, again[1].random_state, again[1].scoring) == (None,) * 4
    assert model.memory
    assert model[0].n_jobs == 2
    assert isinstance(model[1].random_state, np.random.RandomState)
    assert model[1].plan_.n_threads == 1


def test_a_pipeline_of_a_pandas_table_is_tried_on_one(path):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"a": ROWS[:, 0], "c": ["x", "y"] * 40})
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["c"]), (StandardScaler(), ["a"])), classifier()
    )
    save(path, model.fit(table, CODES), X=table)
    np.testing.assert_array_equal(load(path).predict(table), model.predict(table))
    assert examples_in(path).table == "pandas"


def test_examples_keep_their_bits_and_what_is_missing(path):
    model, X, y = MODELS["table"]
    save(path, model.fit(X, y), X=X)
    examples = examples_in(path)
    rows = [0, 11, 23, 34, 45, 56, 68, 79]
    kept = TABLE[rows]
    assert examples.names == TABLE.columns
    np.testing.assert_array_equal(examples.columns[0], kept["a"].to_numpy(), strict=True)
    np.testing.assert_array_equal(examples.columns[1], kept["b"].to_numpy(), strict=True)
    assert examples.columns[2].tolist() == kept["c"].to_list()
    np.testing.assert_array_equal(examples.outputs, model.predict_proba(kept), strict=True)


# What cannot be saved.


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (make_pipeline(StandardScaler(), classifier()), NotFittedError, "not fitted"),
        (StandardScaler().fit(ROWS), TypeError, "holds no fitted MLPClassifier or MLPRegressor"),
        (
            GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2).fit(ROWS, CODES),
            TypeError,
            "not a GridSearchCV: save its best_estimator_",
        ),
        (LogisticRegression().fit(ROWS, CODES), TypeError, "holds no fitted MLPClassifier"),
        (3, TypeError, "got int"),
    ],
    ids=["not fitted", "a scaler", "a search", "another model", "a number"],
)
def test_what_is_no_model_is_refused_and_nothing_is_written(path, model, error, message):
    with pytest.raises(error, match=message):
        save(path, model)
    assert list(path.parent.iterdir()) == []


def test_a_model_that_would_not_load_is_not_said_to_be_damaged(path):
    """Labels of another byte order, as some formats of data have them."""
    model = classifier().fit(ROWS, CODES.astype(">i8"))
    with pytest.raises(ModelFileError, match=r"would not load, and was not saved: .* no array of"):
        save(path, model)
    assert not path.exists()


def test_a_type_that_is_not_known_is_named(path):
    model = make_pipeline(FunctionTransformer(np.abs), classifier()).fit(ROWS, CODES)
    with pytest.raises(ModelFileError, match=r"numpy\.abs.* It was not saved"):
        save(path, model)
    assert not path.exists()


def test_a_model_of_a_table_asks_for_some_of_it(path):
    model, X, y = MODELS["table"]
    with pytest.raises(ValueError, match=r"by name.*save\(path, model, X=table\)"):
        save(path, model.fit(X, y))


def test_a_model_that_takes_no_drawn_rows_asks_for_others(path):
    step = OneHotEncoder(sparse_output=False)
    model = make_pipeline(step, classifier()).fit(np.round(ROWS[:, :1]), CODES)
    with pytest.raises(ValueError, match=r"does not take rows of standard normal numbers"):
        save(path, model)


def test_without_skops_it_says_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(ImportError, match="pip install skops onnx"):
        save(path, classifier().fit(ROWS, CODES))
    with pytest.raises(ImportError, match="pip install skops onnx"):
        load(path)


# Files that someone forged.


def refused(path, parts, message):
    path.write_bytes(skops_archive.archive_of(parts))
    with pytest.raises(ModelFileError, match=message):
        load(path)


def array(text, data=b"", version=b"\1\0"):
    header = text.encode() + b"\n"
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + data


def npy(dtype, shape):
    return f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"


def big_array(parts):
    """The name of the largest array."""
    return max((name for name in parts if name.endswith(".npy")), key=lambda n: len(parts[n]))


@pytest.mark.parametrize(
    "part",
    [
        array(npy("<f8", "(1000000000000,)"), bytes(8)),
        array(npy("<f8", "(1048576, 1048576, 1048576)"), bytes(8)),
        array(npy("<U1000000000", "(1,)"), bytes(8)),
        array(npy("<U0", "(1000000000000,)")),
        array(npy("|O", "(1,)"), b"cos\nsystem\n"),
        array(npy("<f8", "(2,)"), bytes(8)),
        array(npy("<f8", "(1,)"), bytes(16)),
        array(npy("<f8", "(-1,)"), bytes(8)),
        array("[" * 5000),
        array("-" * 5000 + "1"),
        array("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }", bytes(8)),
        array(npy("<f8", "(1,)"), bytes(8), b"\2\0"),
        b"",
        b"\x93NUMPY",
        b"not an array",
    ],
    ids=lambda part: repr(part[10:60]),
)
def test_an_array_that_lies_is_refused_before_numpy_believes_it(path, whole, part):
    tracemalloc.start()
    refused(path, {**whole, big_array(whole): part}, "is no array of numbers or text of the size")
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def changed_array(parts, name, change):
    buffer = io.BytesIO()
    np.save(buffer, change(np.load(io.BytesIO(parts[name]))))
    return {**parts, name: buffer.getvalue()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a * np.nan, "parameters that are NaN"),
        (lambda a: a * np.inf, "parameters that are NaN"),
        (lambda a: a[:-1], "parameters of shapes"),
        (lambda a: a.T, "parameters of shapes"),
        (lambda a: a.astype("f"), "parameters of types"),
        (lambda a: a.astype(int), "parameters of types"),
        (lambda a: a.astype("U5"), "damaged"),
    ],
)
def test_parameters_that_are_not_sound_are_refused(path, whole, change, message):
    refused(path, changed_array(whole, big_array(whole), change), message)


@pytest.mark.parametrize("attribute", ["mean_", "scale_"])
def test_a_scaler_with_nan_is_refused(path, whole, attribute):
    schema = json.loads(whole[skops_archive.SCHEMA])
    (name,) = {
        node["content"]["content"][attribute]["file"]
        for node in skops_archive.nodes_of(schema)
        if node["__class__"] == "StandardScaler"
    }
    refused(path, changed_array(whole, name, lambda a: a * np.nan), f"{attribute} holds NaN")


def attributes_of(parts, kind):
    """The schema, and the attributes in it of the first object of that type."""
    schema = json.loads(parts[skops_archive.SCHEMA])
    node = next(n for n in skops_archive.nodes_of(schema) if n["__class__"] == kind)
    return schema, node["content"]


def with_attribute(parts, kind, name, value):
    """An attribute of an object set to a plain value."""
    schema, content = attributes_of(parts, kind)
    free = 1 + max(node["__id__"] for node in skops_archive.nodes_of(schema))
    text = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode"}
    if name not in content["content"]:
        key = {**text, "__loader__": "TypeNode", "__id__": free}
        content["key_types"]["content"].append(key)
    content["content"][name] = {**text, "content": json.dumps(value), "__id__": free + 1}
    return {**parts, skops_archive.SCHEMA: json.dumps(schema).encode()}


@pytest.mark.parametrize(
    ("kind", "name", "value", "message"),
    [
        ("Pipeline", "memory", "/tmp/elsewhere", r"Pipeline\(memory='/tmp/elsewhere'\)"),
        ("Pipeline", "predict", "x", r"in the place of Pipeline\.predict"),
        ("StandardScaler", "n_features_in_", 10**15, "of 1000000000000000 features"),
        ("StandardScaler", "transform", 3, r"in the place of StandardScaler\.transform"),
        ("StandardScaler", "n_features_in_", 5, "damaged"),
        ("MLPClassifier", "n_features_in_", 5, "parameters of shapes"),
        ("MLPClassifier", "backend", "fastest", "backend"),
        ("MLPClassifier", "n_threads", -1, "n_threads"),
        ("MLPClassifier", "out_activation_", "logistic", "an output 'logistic'"),
        ("Labels", "kind", "binary", "labels for 3 outputs"),
        ("Network", "_output", "sigmoid", "an output"),
        ("Network", "_output", "oracle", "output must be"),
        ("Network", "_layers", 3, "layers that make no sense"),
        ("Network", "more", 3, "layers that make no sense"),
        ("MLPClassifier", "checkpoint", "/etc/passwd", r"checkpoint='/etc/passwd'"),
        ("MLPClassifier", "_parameter_constraints", "x", r"in the place of .*_constraints"),
    ],
)
def test_attributes_that_someone_set_are_refused(path, whole, kind, name, value, message):
    refused(path, with_attribute(whole, kind, name, value), message)


def test_processes_are_not_started_for_a_file(path):
    model, X, y = MODELS["slices"]
    save(path, model.fit(X, y), X=X)
    parts = skops_archive.parts_of(path, path.read_bytes())
    refused(path, with_attribute(parts, "ColumnTransformer", "n_jobs", 1000), r"n_jobs=1000")


def changed(path, model, X, y, change):
    """The parts of a file of a fitted model, to which something was done that `save` refuses."""
    save(path, model.fit(X, y), X=X)
    parts = skops_archive.parts_of(path, path.read_bytes())
    estimator = load(path)
    change(estimator)
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator))) as archived:
        made = {name: archived.read(name) for name in archived.namelist()}
    kept = {name: parts[name] for name in (skops_archive.HEADER, skops_archive.EXAMPLES)}
    return {**kept, **skops_archive.renumbered(made)}


def test_a_network_that_was_used_is_sound_and_is_saved_and_copied(path):
    """It keeps what it has derived from its sizes, and memory for the next evaluation."""
    X, y = ROWS[:, :2], (ROWS[:, 0] > 0).astype(float)
    model = regressor().fit(X, y)
    network, before = model._network, joblib.hash(model)
    for _ in range(2):
        network.cost_and_gradient(model._theta(), X.T, y)
    check_model(model, 10**6, None)
    save(path, model, X=X)
    copies = [load(path), copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    assert {one.fingerprint_ for one in copies} == {model.fingerprint_}
    assert {one._network for one in copies} == {network}
    assert joblib.hash(model) == before
    assert clone(model).get_params() == model.get_params()
    network._layers = network._layers._replace(sizes=network._layers.sizes * 2)
    with pytest.raises(ValueError, match="layers that make no sense"):
        check_model(model, 10**6, None)


def test_other_layers_than_those_that_are_seen_do_not_reach_kernels(path, monkeypatch):
    """A pipeline is a sequence, too: of sizes and units, if someone puts them there."""

    def change(estimator):
        def state(self):
            return {name: value for name, value in vars(self).items() if name != "_spare"}

        monkeypatch.setattr(Network, "__getstate__", state)
        layers = estimator._network.layers
        kept = Pipeline([("sizes", layers.sizes * 10**8), ("units", layers.units)])
        vars(kept).update(sizes=layers.sizes, units=layers.units, multiply_adds=1)
        estimator._network._layers = kept

    parts = changed(path, classifier(), ROWS, CODES, change)
    monkeypatch.undo()
    refused(path, parts, "layers that make no sense")


CHOICES = np.array([["x", "a"], ["y", "a"], ["z", "b"], ["z", "c"]] * 20)


@pytest.mark.parametrize(
    ("settings", "change", "message"),
    [
        ({}, {"_n_features_outs": [10**12, 6 - 10**12]}, "1000000000000 outputs for 3 codes"),
        ({}, {"_n_features_outs": [3, 2]}, "of 2 outputs for 3 codes"),
        ({}, {"_n_features_outs": [6]}, "damaged"),
        ({}, {"_drop_idx_after_grouping": np.array([3, 0])}, "that drops 3"),
        ({}, {"_infrequent_enabled": True}, "_infrequent_indices"),
        ({"drop": "first"}, {"_drop_idx_after_grouping": None}, "of 2 outputs for 3 codes"),
        ({"min_frequency": 30}, {"_infrequent_indices": [np.array([10**9])] * 2}, "other codes"),
        ({"min_frequency": 30}, {"_infrequent_indices": [None, None]}, "other codes"),
        (
            {"min_frequency": 30},
            {"_default_to_infrequent_mappings": [np.array([0, 1, 10**9])] * 2},
            "of 2 outputs for 1000000001 codes",
        ),
        (
            {"min_frequency": 30},
            {"_default_to_infrequent_mappings": [np.array([0, 1, -(10**9)])] * 2},
            "other codes",
        ),
        ({"dtype": np.float32}, {"dtype": "U100000000"}, "of <U100000000"),
    ],
    ids=str,
)
def test_codes_that_would_be_places_beyond_the_output_are_refused(path, settings, change, message):
    model = make_pipeline(OneHotEncoder(**settings), classifier())
    parts = changed(path, model, CHOICES, CODES, lambda m: vars(m.steps[0][1]).update(change))
    refused(path, parts, message)


@pytest.mark.parametrize(
    "categories", [np.array([2.0, 1.0, 3.0]), np.array([2, 1, 3], object), np.array([1, 1, 2])]
)
def test_categories_that_no_search_would_find_are_refused(path, categories):
    rows = np.array([[1.0], [2.0], [3.0], [1.0]] * 20)
    model = make_pipeline(OneHotEncoder(), classifier())
    there = {"categories_": [categories]}
    parts = changed(path, model, rows, CODES, lambda m: vars(m.steps[0][1]).update(there))
    refused(path, parts, "whose categories are in no order")


def test_a_text_that_stands_for_what_is_missing_is_no_larger_than_texts_are(path):
    model = make_pipeline(SimpleImputer(), classifier())
    there = {"_fill_dtype": "U100000000"}
    parts = changed(path, model, HOLES, CODES, lambda m: vars(m.steps[0][1]).update(there))
    refused(path, parts, "of texts without end")


@pytest.mark.parametrize(
    "change", [{"_n_out_full": 10**11}, {"_max_degree": 10**10}, {"_min_degree": 0}]
)
def test_what_polynomials_keep_is_what_they_were_asked_for(path, change):
    model = make_pipeline(PolynomialFeatures((1, 2), interaction_only=True), classifier())
    parts = changed(path, model, ROWS, CODES, lambda m: vars(m.steps[0][1]).update(change))
    refused(path, parts, r"polynomials of \[")


@pytest.mark.parametrize("include_bias", [True, False])
@pytest.mark.parametrize("interaction_only", [True, False])
@pytest.mark.parametrize("degree", [1, 3, (0, 2), (1, 2), (2, 3)], ids=str)
def test_polynomials_of_all_kinds_come_back(path, degree, interaction_only, include_bias):
    step = PolynomialFeatures(degree, interaction_only=interaction_only, include_bias=include_bias)
    model = make_pipeline(step, classifier()).fit(ROWS, CODES)
    save(path, model)
    assert (load(path).predict_proba(ROWS) == model.predict_proba(ROWS)).all()


def doubled(step):
    return FeatureUnion([("one", step), ("other", "passthrough")])


@pytest.mark.proof
@pytest.mark.parametrize(
    "step",
    [
        doubled("passthrough"),
        make_column_transformer(("passthrough", slice(0, None)), ("passthrough", slice(0, None))),
        doubled(Pipeline([("within", "passthrough")])),
    ],
    ids=["union", "columns", "pipeline"],
)
def test_steps_that_double_their_features_do_not_make_millions(path, step):
    """Thirty in a row, each of a few bytes."""
    step.fit(ROWS)

    def change(model):
        model.steps[:1] = [(f"step {k}", copy.deepcopy(step)) for k in range(30)]

    model = make_pipeline(StandardScaler(), classifier())
    parts = changed(path, model, ROWS, CODES, change)
    tracemalloc.start()
    refused(path, parts, "features come out of")
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_directions_that_someone_added_count_as_features(path):
    """PCA gives as many as it has; each of them costs a file no more than a number a feature."""

    def change(model):
        model.steps[0][1].components_ = np.ones((6000, 1))
        model.steps[1:1] = [(f"step {k}", doubled("passthrough")) for k in range(10)]

    model = make_pipeline(PCA(1), classifier())
    refused(path, changed(path, model, ROWS[:, :1], CODES, change), "features come out of")


@pytest.mark.parametrize("model", ["a text", StandardScaler().fit(ROWS), classifier()], ids=repr)
def test_a_file_of_no_model_is_not_loaded(path, whole, model):
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as archived:
        made = {name: archived.read(name) for name in archived.namelist()}
    parts = {skops_archive.HEADER: whole[skops_archive.HEADER], **skops_archive.renumbered(made)}
    refused(path, parts, "holds no fitted MLPClassifier or MLPRegressor")


def test_a_model_without_examples_is_not_loaded(path, whole):
    refused(path, {n: p for n, p in whole.items() if n != skops_archive.EXAMPLES}, "no examples")


def test_texts_are_made_of_letters_and_answers_of_yes_and_no(path):
    model = classifier()
    for y, bad in [(np.array(["l", "m"])[CODES % 2], b"\xff\xff\xff\x7f"), (CODES > 0, b"\2")]:
        save(path, model.fit(ROWS, y))
        parts = skops_archive.parts_of(path, path.read_bytes())
        kind = b"<U1" if y.dtype.kind == "U" else b"|b1"
        name = next(n for n, part in parts.items() if kind in part[:40])
        part = parts[name][: -len(bad)] + bad
        refused(path, {**parts, name: part}, "no array of numbers or text")


@pytest.mark.proof
def test_a_long_text_is_not_as_long_in_every_column(path):
    """Texts side by side in one array take as much as the longest of them, each."""
    rows = np.array([["x" * 1000] + ["y"] * 299] * 80)
    model = make_pipeline(OneHotEncoder(), classifier()).fit(rows, CODES)
    save(path, model, X=rows)
    assert examples_in(path).rows().nbytes < 300 * 8 * 4 * 33


@pytest.mark.parametrize(
    ("name", "value"), [("degree", 60), ("degree", 10**6), ("n_features_in_", 4000)]
)
def test_a_few_features_do_not_become_millions(path, name, value):
    model = make_pipeline(PolynomialFeatures(2), StandardScaler(), classifier()).fit(ROWS, CODES)
    save(path, model)
    parts = skops_archive.parts_of(path, path.read_bytes())
    refused(path, with_attribute(parts, "PolynomialFeatures", name, value), "polynomials of")


def test_parts_within_parts_that_share_a_number_are_refused_at_once(path, whole):
    schema, content = attributes_of(whole, "Pipeline")
    kept = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode"}
    part = {**kept, "__id__": 10**6, "content": []}
    for level in range(24):
        again = {**kept, "__id__": 10**6 + level, "content": []}
        part = {**kept, "__id__": 10**6 + level + 1, "content": [part, again]}
    content["content"]["more"] = part
    parts = {**whole, skops_archive.SCHEMA: json.dumps(schema).encode()}
    refused(path, parts, "two parts of the model have one number")


def test_one_array_is_read_once(path, whole):
    schema = json.loads(whole[skops_archive.SCHEMA])
    one, other, *_ = [node for node in skops_archive.nodes_of(schema) if "file" in node]
    other["file"] = one["file"]
    parts = {**whole, skops_archive.SCHEMA: json.dumps(schema).encode()}
    refused(path, parts, "is asked for more than once")


@pytest.mark.parametrize("name", ["../../x.npy", "/etc/passwd", "C:\\x", "schema.json"])
def test_an_array_is_not_looked_for_elsewhere(path, whole, name):
    schema = json.loads(whole[skops_archive.SCHEMA])
    next(node for node in skops_archive.nodes_of(schema) if "file" in node)["file"] = name
    parts = {**whole, skops_archive.SCHEMA: json.dumps(schema).encode()}
    refused(path, parts, "is asked for that is not there|is asked for more than once|no part of")


@pytest.mark.parametrize("name", ["../../x.npy", "/etc/passwd", "1.npy/", "x.py"])
def test_parts_that_no_model_has_are_refused(path, whole, name):
    refused(path, {**whole, name: b"x"}, "which no model has")


def test_an_array_that_no_part_asks_for_is_refused(path, whole):
    parts = {**whole, "99999.npy": whole[big_array(whole)]}
    refused(path, parts, r"no part of the model asks for 99999\.npy")


@pytest.mark.proof
def test_a_bomb_is_refused_unread(path, whole):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archived:
        for name, part in whole.items():
            archived.writestr(name, part)
        archived.writestr("1000000.npy", bytes(100_000_000))
    tracemalloc.start()
    with pytest.raises(ModelFileError, match="is compressed"):
        load(path)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_parts_that_lie_over_each_other_are_refused(path, whole):
    """Many names for the same bytes: the list at the end points at one part again and again."""
    content = path.read_bytes()
    start = content.index(b"PK\1\2")
    end = content.index(b"PK\5\6")
    first = content[start : content.index(b"PK\1\2", start + 4)]
    name = zipfile.ZipFile(path).namelist()[0].encode()
    assert name in first
    entries = b"".join(
        first.replace(name, f"{k:0{len(name) - 4}}.npy".encode()) for k in range(2000)
    )
    count = 2000 + len(whole)
    tail = bytearray(content[end:])
    tail[8:12] = count.to_bytes(2, "little") * 2
    tail[12:16] = (end - start + len(entries)).to_bytes(4, "little")
    path.write_bytes(content[:end] + entries + bytes(tail))
    assert len(zipfile.ZipFile(path).namelist()) == count
    with pytest.raises(ModelFileError, match=r"claim to be larger than the file|damaged"):
        load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": 3}, "examples.json"),
        ({"method": "__reduce__"}, "examples make no sense"),
        ({"method": "fit"}, "examples make no sense"),
        ({"table": "os"}, "examples make no sense"),
        ({"columns": []}, "examples"),
        ({"outputs": {"kind": "float64", "values": [], "shape": [10**12]}}, "examples.json"),
        ({"outputs": {"kind": "<U1000000000", "values": [["a"]], "shape": [1]}}, "values of kind"),
        (
            {"outputs": {"kind": "float64", "values": [[{"float": "nan"}]], "shape": [1]}},
            "examples",
        ),
    ],
    ids=str,
)
def test_examples_that_make_no_sense_are_refused(path, whole, change, message):
    value = {**json.loads(whole[skops_archive.EXAMPLES]), **change}
    refused(path, {**whole, skops_archive.EXAMPLES: json.dumps(value).encode()}, message)


def test_a_model_that_cannot_predict_its_examples_is_refused(path, whole):
    value = json.loads(whole[skops_archive.EXAMPLES])
    value["columns"] = value["columns"][:-1]
    refused(path, {**whole, skops_archive.EXAMPLES: json.dumps(value).encode()}, "X has 5 features")


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (0, "in protocol 0 of skops, and the skops that is installed reads"),
        (99, "in protocol 99 of skops, and the skops that is installed reads"),
        (True, "is of no protocol of skops"),
        ("2", "is of no protocol of skops"),
    ],
)
def test_another_protocol_of_skops_is_refused(path, whole, protocol, message):
    schema = json.loads(whole[skops_archive.SCHEMA])
    text = json.dumps({**schema, "protocol": protocol}).encode()
    refused(path, {**whole, skops_archive.SCHEMA: text}, message)


def test_skops_sees_nothing_of_a_file_but_what_passed(path, whole, monkeypatch):
    """What is handed to it was made anew."""
    seen = []
    loads = skops.io.loads

    def watched(data, **told):
        seen.append(data)
        return loads(data, **told)

    monkeypatch.setattr(skops.io, "loads", watched)
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes() + b"")
    load(path)
    assert seen[0].startswith(b"PK")
    names = zipfile.ZipFile(io.BytesIO(seen[0])).namelist()
    assert skops_archive.HEADER not in names
    assert skops_archive.EXAMPLES not in names
