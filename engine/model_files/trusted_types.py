"""All types that models in .skops files may contain.

skops has about thirty loaders, and by default trusts several hundred types and functions. Models
need only a few of these: `TYPES` lists what each loader may make. None of these loaders calls a
function that a file names, but for the constructors of our losses and embeddings, and none of the
functions is called when a model predicts.
"""

PREPROCESSING = frozenset(
    {
        "engine.model_files.table_columns.TableColumns",
        "sklearn.compose._column_transformer.ColumnTransformer",
        "sklearn.compose._target.TransformedTargetRegressor",
        "sklearn.decomposition._pca.PCA",
        "sklearn.feature_selection._univariate_selection.SelectKBest",
        "sklearn.feature_selection._variance_threshold.VarianceThreshold",
        "sklearn.impute._base.MissingIndicator",
        "sklearn.impute._base.SimpleImputer",
        "sklearn.pipeline.FeatureUnion",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.MaxAbsScaler",
        "sklearn.preprocessing._data.MinMaxScaler",
        "sklearn.preprocessing._data.Normalizer",
        "sklearn.preprocessing._data.RobustScaler",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.preprocessing._encoders.OneHotEncoder",
        "sklearn.preprocessing._encoders.OrdinalEncoder",
        "sklearn.preprocessing._function_transformer.FunctionTransformer",
        "sklearn.preprocessing._polynomial.PolynomialFeatures",
    }
)
# Our own step checks itself: estimator_checks.py calls its `check_sound`. The estimators of tables
# are made from descriptions, which their `__setstate__` checks.
TABLES = frozenset(
    {
        "engine.tables.table_classifier.TableClassifier",
        "engine.tables.table_regressor.TableRegressor",
        "engine.tables.translation.Translation",
    }
)
NETWORKS = frozenset(
    {
        "engine.estimators.classifier.MLPClassifier",
        "engine.estimators.labels.Labels",
        "engine.estimators.regressor.MLPRegressor",
        "engine.many.ensembles.MLPEnsembleClassifier",
        "engine.many.ensembles.MLPEnsembleRegressor",
        "engine.network.Network",
    }
)
# Made by their constructors, which check their arguments.
LOSSES = frozenset(
    f"engine.losses.{name}" for name in ("Huber", "Loss", "Quantile", "Tweedie", "WithoutFunction")
)
EMBEDDINGS = frozenset({"engine.embeddings.Levels", "engine.embeddings.Pieces"})
SCALARS = frozenset(f"numpy.{name}" for name in ("float32", "float64", "int32", "int64"))

TYPES: dict[str, frozenset[str]] = {
    "ConstructorFromReduceNode": LOSSES | EMBEDDINGS,
    "DTypeNode": frozenset({"numpy.dtype"}),
    "DictNode": frozenset({"builtins.dict"}),
    "FunctionNode": frozenset(
        f"sklearn.feature_selection._univariate_selection.{name}"
        for name in ("chi2", "f_classif", "f_regression")
    ),
    "JsonNode": frozenset({"builtins.str"}),
    "ListNode": frozenset({"builtins.list"}),
    "NdArrayNode": frozenset({"numpy.ndarray"}) | SCALARS,
    "ObjectNode": NETWORKS | PREPROCESSING | TABLES,
    "SliceNode": frozenset({"builtins.slice"}),
    "TupleNode": frozenset({"builtins.tuple"}),
    "TypeNode": frozenset({"builtins.int", "builtins.str"}) | SCALARS,
}
TRUSTED = sorted(frozenset().union(*TYPES.values()))
