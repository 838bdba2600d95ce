"""Who is compared on real tables, and how each is driven: with its own defaults.

Each library treats categories and missing values in its own way, or, where it has none, as is
usual with it. What it needs of a frame before `fit`, such as pandas' categories, is made ready
before its clock starts.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.comparison.machine import installed_version
from engine.comparison.table_baselines import BASELINES, BaselineScore, as_categories, measured
from engine.comparison.table_sets import Task

ENGINE, HGB, LIGHTGBM, LINEAR = "engine", "hgb", "lightgbm", "linear"
CATBOOST, REALMLP = "catboost", "realmlp"

# An estimator, and what makes a whole frame ready for it.
Made = tuple[Any, Callable[[Any], Any]]


class TableLibrary(NamedTuple):
    """A library that is compared on tables.

    Attributes
    ----------
    label : str
        As people know it.
    distribution : str
        What pip installs.
    make : callable (task, seed, n_threads) -> Made
        Imports it.
    idiom : str
        How it is driven, in a sentence.
    """

    label: str
    distribution: str
    make: Callable[[Task, int, int], Made]
    idiom: str


def _engine(task: Task, seed: int, n_threads: int) -> Made:
    from engine import TableClassifier, TableRegressor

    kind = TableRegressor if task == "regression" else TableClassifier
    return kind(random_state=seed, n_threads=n_threads), codes_as_categories


def codes_as_categories(X: Any) -> Any:
    """A frame whose strings that are numbers are pandas categories, as all strings are for others.

    Those are the codes of schools and the like. The engine takes any other string for what it is,
    but a number as text for a number.
    """
    import pandas as pd

    codes = [
        name
        for name, column in X.items()
        if column.dtype == object
        and pd.to_numeric(column, errors="coerce").notna().equals(column.notna())
    ]
    return X.astype(dict.fromkeys(codes, "category"))


def _baseline(name: str) -> Callable[[Task, int, int], Made]:
    def make(task: Task, seed: int, n_threads: int) -> Made:
        estimator, prepare = BASELINES[name](task)
        known = estimator.get_params()
        given = {"random_state": seed, "n_jobs": n_threads}
        estimator.set_params(**{one: value for one, value in given.items() if one in known})
        return estimator, prepare

    return make


def _catboost(task: Task, seed: int, n_threads: int) -> Made:
    import catboost

    kind = "Regressor" if task == "regression" else "Classifier"
    made = getattr(catboost, f"CatBoost{kind}")(
        random_seed=seed, thread_count=n_threads, verbose=False, allow_writing_files=False
    )

    def prepare(X: Any) -> Any:
        strings = [name for name in X.columns if X[name].dtype == object]
        made.set_params(cat_features=strings)
        return X.assign(**{name: X[name].fillna("(missing)") for name in strings})

    return made, prepare


def _realmlp(task: Task, seed: int, n_threads: int) -> Made:
    import pytabkit
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    kind = "Regressor" if task == "regression" else "Classifier"
    last = getattr(pytabkit, f"RealMLP_TD_{kind}")(
        device="cpu", random_state=seed, n_threads=n_threads
    )
    filled = make_column_transformer(
        (
            SimpleImputer(strategy="median", add_indicator=True),
            make_column_selector(dtype_exclude="category"),
        ),
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    return make_pipeline(filled, last), as_categories


TABLE_LIBRARIES = {
    ENGINE: TableLibrary(
        "engine",
        "mlp-engine",
        _engine,
        "TableRegressor or TableClassifier, from the frame as the package has it; codes that are "
        "numbers as categories.",
    ),
    HGB: TableLibrary(
        "HistGradientBoosting",
        "scikit-learn",
        _baseline("HistGradientBoosting"),
        "scikit-learn's, categories by their dtype; of a column with more than 254 levels the "
        "rare ones are one.",
    ),
    LIGHTGBM: TableLibrary(
        "LightGBM", "lightgbm", _baseline("LightGBM"), "LGBM's scikit-learn classes, categories "
        "by their dtype.",
    ),
    LINEAR: TableLibrary(
        "linear model",
        "scikit-learn",
        _baseline("linear"),
        "Ridge or LogisticRegression on one-hot, mean-filled and standardised columns, with "
        "indicators of missing values.",
    ),
    CATBOOST: TableLibrary(
        "CatBoost", "catboost", _catboost, "Its classes, with the names of columns of categories."
    ),
    REALMLP: TableLibrary(
        "RealMLP",
        "pytabkit",
        _realmlp,
        "RealMLP_TD_Regressor or RealMLP_TD_Classifier of pytabkit; as it refuses missing "
        "numbers, they are the median, with indicators.",
    ),
}  # fmt: skip


def available(wanted: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Names of those who can take part, and a line on each who cannot.

    Parameters
    ----------
    wanted : sequence of str, optional
        None is all.

    Returns
    -------
    names, absent : list of str

    Raises
    ------
    ValueError
        For an unknown name, and if this package is not among them.
    """
    for name in wanted or ():
        if name not in TABLE_LIBRARIES:
            raise ValueError(f"--libraries must be of {', '.join(TABLE_LIBRARIES)}; got {name!r}.")
    if wanted is not None and ENGINE not in wanted:
        raise ValueError(f"--libraries must have {ENGINE!r} among them: all else is beside it.")
    names, absent = [], []
    for name, library in TABLE_LIBRARIES.items():
        if wanted is not None and name not in wanted:
            continue
        if name == ENGINE or installed_version(library.distribution) is not None:
            names.append(name)
        else:
            absent.append(
                f"{library.label} is not installed, and takes no part: "
                f"pip install {library.distribution}"
            )
    return names, absent


class TableScore(BaselineScore, total=False):
    """One fit of a library: its score on the test rows, its seconds, and which rows it had."""

    rows: str  # a digest of the training and test rows


def fit_and_score(
    name: str, task: Task, parts: tuple[Any, Any, Any, Any], seed: int, n_threads: int
) -> TableScore:
    """Fit a library on training rows and score it on test rows.

    Parameters
    ----------
    name : str
        A key of `TABLE_LIBRARIES`.
    task : {"regression", "classes"}
    parts : tuple
        As `table_baselines.split` returns them.
    seed, n_threads : int

    Returns
    -------
    TableScore
    """
    made = TABLE_LIBRARIES[name].make(task, seed, n_threads)
    return TableScore(**measured(made, task, parts), rows=digest(parts))


def digest(parts: tuple[Any, Any, Any, Any]) -> str:
    """What only the same rows in the same order have.

    Parameters
    ----------
    parts : tuple
        As `table_baselines.split` returns them.

    Returns
    -------
    str
    """
    import hashlib

    from pandas.util import hash_pandas_object

    found = hashlib.sha256()
    for part in parts:
        found.update(np.asarray(hash_pandas_object(part)).tobytes())
    return found.hexdigest()[:16]


def tiny_table(task: Task, classes: int = 3) -> tuple[Any, Any]:
    """A table of 200 rows with what tables have, to warm a library up.

    Parameters
    ----------
    task : {"regression", "classes"}
    classes : int

    Returns
    -------
    X : pandas.DataFrame
        Numbers, whole numbers, a category, missing values.
    y : pandas.Series
    """
    import pandas

    random = np.random.default_rng(0)
    X = pandas.DataFrame(
        {
            "number": random.normal(size=200),
            "with_gaps": np.where(random.random(200) < 0.1, np.nan, random.normal(size=200)),
            "whole": random.integers(9, size=200),
            "category": pandas.Series(random.choice(["a", "b", "c"], 200), dtype=object),
        }
    )
    y = X["number"] + X["whole"] / 9 + (X["category"] == "a")
    if task == "classes":
        codes = pandas.qcut(y, classes, labels=False)
        y = pandas.Series([f"class {code}" for code in codes], dtype=object)
    return X, y
