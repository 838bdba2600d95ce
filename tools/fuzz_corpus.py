"""Whole model files of every format, small ones, to be damaged by `tools.fuzz_models`."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    StandardScaler,
)

from engine import (
    MLPClassifier,
    MLPRegressor,
    Network,
    TableClassifier,
    TableRegressor,
    losses,
    save,
)
from engine.embeddings import Levels, Pieces
from engine.tables.translation import Translation


def write_corpus(folder: Path) -> list[Path]:
    """Write the files; which, does not depend on anything but the versions of the packages."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that training ended too early
        _networks(folder)
        _estimators(folder)
        _embedded(folder)
        _pipelines(folder)
    return sorted(folder.iterdir())


def _data(dtype: str = "float64") -> tuple[NDArray[Any], NDArray[Any]]:
    generator = np.random.default_rng(0)
    X = generator.standard_normal((60, 3)).astype(dtype)
    return X, np.digitize(X[:, 0], [-0.5, 0.5])


def _settings() -> dict[str, Any]:
    return {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}


def _half_square(z: float, y: float) -> tuple[float, float]:
    return (z - y) ** 2 / 2, z - y


def _networks(folder: Path) -> None:
    network = Network((2, 4, 3, 1), hidden=("tanh", "sigmoid"), output="exp")
    for ending in ("safetensors", "onnx"):
        save(folder / f"network.{ending}", network, network.initial_parameters(seed=0))
        theta = network.initial_parameters(seed=0, dtype="float32")
        save(folder / f"network32.{ending}", network, theta)


def _embedded(folder: Path) -> None:
    X, codes = _data()
    X[:, 1] = codes
    X[::9, 0] = np.nan
    entries = [Pieces([-1, 0, 0.5], 2, missing=True), Levels(3, 2), None]
    network = Network((3, 4, 1), embeddings=entries)
    classifier = MLPClassifier(embeddings=entries, **_settings()).fit(X, codes)
    regressor = MLPRegressor(embeddings=entries, **_settings()).fit(X.astype("float32"), codes)
    for ending in ("safetensors", "onnx"):
        save(folder / f"embedded.{ending}", network, network.initial_parameters(seed=0))
    for ending in ("safetensors", "skops", "onnx"):
        save(folder / f"embedded classes.{ending}", classifier, X=X)
        save(folder / f"embedded numbers.{ending}", regressor, X=X)


def _estimators(folder: Path) -> None:
    X, codes = _data("float32")
    names = np.array(["low", "middle, or so", "höher"])[codes]
    several = np.stack([codes > 0, codes > 1, codes == 0], axis=1).astype(int)
    models = {
        "classes": MLPClassifier(**_settings()).fit(X, names),
        "binary": MLPClassifier(early_stopping=True, **_settings()).fit(X, codes > 0),
        "labels": MLPClassifier(class_weight=None, **_settings()).fit(X, several),
        "numbers": MLPRegressor(**_settings()).fit(X.astype(float), X[:, :2].astype(float)),
        "quantiles": MLPRegressor(losses.Quantile([0.1, 0.9]), **_settings()).fit(X, X[:, 0]),
        "Huber": MLPRegressor(losses.Huber(0.5), **_settings()).fit(X, X[:, 0]),
        "own loss": MLPRegressor(losses.Compiled(_half_square), **_settings()).fit(X, X[:, 0]),
    }
    for name, model in models.items():
        for ending in ("safetensors", "skops", "onnx"):
            save(folder / f"{name}.{ending}", model, X=X)
    scaled = make_pipeline(StandardScaler(), MLPClassifier(**_settings())).fit(X, names)
    save(folder / "scaled.onnx", scaled)


def _pipelines(folder: Path) -> None:
    X, codes = _data()
    table = pl.DataFrame(
        {
            "length": X[:, 0],
            "width": np.where(codes == 1, np.nan, X[:, 1]),
            "colour": ["red", "green", "blue"] * 20,
            "size": [1, 2, 3, 4] * 15,
        }
    )
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    columns = ColumnTransformer(
        [
            ("numbers", numbers, ["length", "width"]),
            ("colours", OneHotEncoder(handle_unknown="ignore"), ["colour"]),
            ("sizes", OrdinalEncoder(), ["size"]),
        ]
    )
    written = pl.DataFrame(
        {
            "price": [f"{value:.2f} €".replace(".", ",") for value in X[:, 0]],
            "day": [
                f"{1 + place % 28}.{1 + place % 12}.2024 {place % 24}:00" for place in range(60)
            ],
            "time": [f"{place % 24}:30" for place in range(60)],
        }
    )
    translation = Translation(
        {
            "price": {"kind": "number", "decimal": "comma", "mark": "€"},
            "day": {"kind": "date", "order": "day-first", "parts": ["time of year", "time of day"]},
            "time": {"kind": "time", "order": "day-first", "parts": []},
        },
        {"kind": "number", "decimal": "point", "mark": ""},
    )
    by_slices = ColumnTransformer([("some", MinMaxScaler(), slice(0, 2))], remainder="passthrough")
    models = {
        "table": (make_pipeline(columns, MLPClassifier(**_settings())), table, codes),
        "written": (
            make_pipeline(translation, StandardScaler(), MLPClassifier(**_settings())),
            written,
            codes,
        ),
        "target": (
            TransformedTargetRegressor(
                make_pipeline(by_slices, MLPRegressor(**_settings())), transformer=StandardScaler()
            ),
            X,
            X[:, 0],
        ),
        "features": (
            make_pipeline(
                PolynomialFeatures(2),
                VarianceThreshold(),
                SelectKBest(k=6),
                make_union(PCA(3), MinMaxScaler()),
                MLPClassifier(**_settings()),
            ),
            X,
            codes,
        ),
    }
    for name, (model, rows, y) in models.items():
        save(folder / f"{name}.skops", model.fit(rows, y), X=rows)
    small = {**_settings(), "n_members": 2, "width": 2, "level_width": 2, "n_pieces": 3}
    classes = TableClassifier(**small).fit(table, np.array(["low", "middle", "high"])[codes])
    save(folder / "table classes.skops", classes)
    numbers_written = TableRegressor(losses.Huber(0.5), dates="day-first", **small)
    save(folder / "table numbers.skops", numbers_written.fit(written, X[:, 1]))
