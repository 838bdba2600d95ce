"""Numbers that fitted transformers keep for themselves, and what they would lead to.

scikit-learn works some of them out when it fits, and never looks at them again: they become places
in memory, lengths of arrays, and rounds of loops. From a file they may be anything.
"""

import itertools
import math
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, PolynomialFeatures

from engine.model_files.table_columns import TableColumns, check_columns

LARGEST_DEGREE = 64
WIDEST = 4096  # bytes of a text that stands for what is missing
BYTES_A_FEATURE = 4  # at least, that a model has for each feature that it makes: a float32 weight


def check_transformer(part: BaseEstimator, n_bytes: int) -> None:
    """Raise ValueError, or whatever else it leads to, if what it keeps is not what it would be."""
    if isinstance(part, OneHotEncoder | OrdinalEncoder):
        _require(np.dtype(part.dtype).kind in "biuf", part, f"of {np.dtype(part.dtype)}")
    if isinstance(part, OneHotEncoder) and "categories_" in vars(part):
        _check_one_hot(part)
    if isinstance(part, SimpleImputer) and "_fill_dtype" in vars(part):
        _require(np.dtype(part._fill_dtype).itemsize <= WIDEST, part, "of texts without end")
    if isinstance(part, PolynomialFeatures):
        _check_polynomial(part, n_bytes)
    if isinstance(part, TableColumns):
        check_columns(part)
    if is_translation(part):
        part.check_sound()


def is_translation(part: Any) -> bool:
    """Whether it is a step that `engine.tables` has made; this module is imported by those."""
    return type(part).__module__ == "engine.tables.translation"


def check_widths(model: Any, n_features: int, n_bytes: int) -> None:
    """ValueError if some step makes more features than a file of `n_bytes` has numbers for.

    `n_features` is how many columns go in. Steps of a few bytes that double them, one after the
    other, would make millions of three.
    """
    _width(model, n_features, n_bytes // BYTES_A_FEATURE)


def _width(step: Any, n: int, most: int) -> int:
    """How many features come out of a step at most, for n that go in."""
    found = n
    if step is None or isinstance(step, str):
        found = 0 if step == "drop" else n
    elif isinstance(step, Pipeline):
        for _, part in step.steps:
            found = _width(part, found, most)
    elif isinstance(step, FeatureUnion):
        found = sum(_width(part, n, most) for _, part in step.transformer_list)
    elif isinstance(step, ColumnTransformer):
        found = _width_of_columns(step, n, most)
    elif isinstance(step, TransformedTargetRegressor):
        found = _width(vars(step).get("regressor_"), n, most)
    elif isinstance(step, OneHotEncoder):
        found = sum(vars(step).get("_n_features_outs", ()))
    elif is_translation(step):
        found = step.n_features_out(n)
    elif isinstance(step, PolynomialFeatures):
        found = vars(step).get("n_output_features_", 0)
    elif isinstance(step, SimpleImputer) and step.add_indicator:
        found = n + _width(vars(step).get("indicator_"), n, most)
    else:  # as many as go in, or as it has directions, scores or places
        arrays = [v for v in vars(step).values() if isinstance(v, np.ndarray) and v.ndim]
        found = max([n, *map(len, arrays)])
    if found > most:
        raise ValueError(f"{found} features come out of {type(step).__name__}")
    return found


def _width_of_columns(step: ColumnTransformer, n: int, most: int) -> int:
    """The same where each transformer takes some of the columns, by name, number or mask."""
    found = 0
    passing = vars(step).get("_name_to_fitted_passthrough", {})
    of_names = vars(step).get("_transformer_to_input_indices", {})
    for name, part, columns in vars(step).get("transformers_", ()):
        if isinstance(columns, slice):
            chosen = len(range(*columns.indices(n)))
        else:
            chosen = 1 if np.ndim(columns) == 0 else len(columns)
        chosen = max(chosen, len(of_names.get(name, ())))
        found += _width(passing.get(name, part), chosen, most)
    return found


def _check_one_hot(part: OneHotEncoder) -> None:
    """A code is a place in a row of the output, which scipy writes to wherever it is."""
    n = part.n_features_in_
    none = [None] * n
    grouped = bool(part._infrequent_enabled)
    features = zip(
        part.categories_,
        part._n_features_outs,
        part._infrequent_indices if grouped else none,
        part._default_to_infrequent_mappings if grouped else none,
        none if part._drop_idx_after_grouping is None else part._drop_idx_after_grouping,
        none,
        strict=True,
    )
    for categories, n_outputs, rare, mapping, dropped, _ in features:
        _require(_are_in_order(categories), part, "whose categories are in no order")
        codes = np.arange(len(categories)) if mapping is None else np.asarray(mapping)
        _require(len(codes) == len(categories) > 0 <= codes.min(), part, "of other codes")
        _require((rare is None) == (mapping is None), part, "of other codes")
        if rare is not None:
            _require(0 <= min(rare) <= max(rare) < len(codes), part, "of other codes")
        n_codes = int(codes.max()) + 1
        if dropped is not None:
            _require(0 <= dropped < n_codes, part, f"that drops {dropped!s:.40}")
            n_codes -= 1
        _require(n_outputs == n_codes, part, f"of {n_outputs!r:.40} outputs for {n_codes} codes")


def _are_in_order(categories: Any) -> bool:
    """Whether a search for a category that is there finds one; texts are not searched for."""
    if categories.dtype.kind == "U":
        return True
    numbers = [one for one in categories.tolist() if isinstance(one, Real) and one == one]
    return all(one < other for one, other in itertools.pairwise(numbers))


def _check_polynomial(part: PolynomialFeatures, n_bytes: int) -> None:
    """Degrees and numbers of features, which loops and arrays are made by."""
    part._validate_params()
    names = ("_min_degree", "_max_degree", "n_output_features_", "_n_out_full")
    kept = vars(part)
    if not kept.keys() & set(names):
        return
    degree = part.degree
    least, most = degree if isinstance(degree, tuple | list) else (0, degree)
    if most > LARGEST_DEGREE or least > most:
        raise ValueError(f"polynomials of degree {degree}")
    n, repeats, bias = part.n_features_in_, not part.interaction_only, bool(part.include_bias)

    def number(least: int) -> int:
        degrees = range(max(least, 1), most + 1)
        return bias + sum(math.comb(n + d - 1 if repeats else n, d) for d in degrees)

    if number(0) > n_bytes:
        raise ValueError(f"polynomials of {number(0)} features")
    wanted = [least, most, number(least), number(0)]
    came = [kept[name] for name in names]
    if came != wanted:
        raise ValueError(f"polynomials of {came}, where {wanted} are expected")


def _require(holds: Any, part: BaseEstimator, what: str) -> None:
    if not holds:
        raise ValueError(f"{type(part).__name__} {what}")
