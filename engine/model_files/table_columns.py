"""The step of a table's pipeline that gives frames of pandas and polars one form.

Both libraries write a missing value in several ways, and a code as a number or as a text. This step
gives what `engine predict` makes of a file with the same rows: numbers, true and false as float64
with NaN, categories as text with None.
"""

import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

NUMBER, BOOLEAN, CATEGORY = KINDS = ("number", "boolean", "category")
LARGEST = 1e150  # of a number, as in tables that are read from files
WIDEST = 1 << 53  # up to which float64 holds all whole numbers
IN_WORDS = {NUMBER: "numbers", BOOLEAN: "true and false", CATEGORY: "texts or numbers"}


class TableColumns(TransformerMixin, BaseEstimator):
    """Columns of a pandas or polars frame by name, each as one kind.

    Parameters
    ----------
    names, kinds : list of str (n_columns,)
        Kinds are "number", "boolean" and "category".
    missing : list of str
        Texts that stand for a missing value.
    """

    def __init__(self, names: list[str], kinds: list[str], missing: list[str]) -> None:
        self.names = names
        self.kinds = kinds
        self.missing = missing

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        return np.array(self.names, dtype=object)

    @property
    def n_features_in_(self) -> int:
        return len(self.names)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """The same names that go in."""
        return self.feature_names_in_

    def fit(self, X: Any, y: Any = None) -> "TableColumns":
        """Nothing is learnt."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def transform(self, X: Any) -> Any:
        """A frame of the same library with these columns alone.

        Raises
        ------
        ValueError
            Where X is no frame, lacks columns, or has values of another kind.
        """
        require_columns(X, self.names)
        made = _pandas if hasattr(X, "iloc") else _polars
        return made(X, list(zip(self.names, self.kinds, strict=True)), {*self.missing})


def require_columns(X: Any, names: Iterable[str]) -> None:
    """Raise ValueError if X is no frame of pandas or polars, or lacks one of the columns."""
    frames = [base for base in type(X).__mro__ if base.__name__ == "DataFrame"]
    if not any(base.__module__.partition(".")[0] in ("pandas", "polars") for base in frames):
        raise ValueError(
            "The model takes the columns of a table by name: pass a pandas or polars DataFrame; "
            f"got {type(X).__name__}."
        )
    there = set(X.columns)
    absent = [name for name in names if name not in there]
    if absent:
        more = f" and {len(absent) - 5:,} more" if len(absent) > 5 else ""
        raise ValueError(
            f"X lacks columns that the model takes: {', '.join(map(repr, absent[:5]))}{more}. "
            "Add them, with missing values if these are not known."
        )


def check_columns(part: TableColumns) -> None:
    """Raise ValueError if the names, kinds or missing values of a step from a file are damaged."""
    lists = (part.names, part.kinds, part.missing)
    if not all(isinstance(one, list) and all(type(text) is str for text in one) for one in lists):
        raise ValueError("columns whose names, kinds or missing values are no texts")
    if len(part.names) != len(part.kinds) or not {*part.kinds} <= {*KINDS}:
        raise ValueError("columns of kinds that there are not")


def _pandas(X: Any, columns: list[tuple[str, str]], missing: set[str]) -> Any:
    import pandas

    def converted(name: str, kind: str) -> Any:
        series = X[name]
        if isinstance(series.dtype, np.dtype) and kind == NUMBER and series.dtype.kind in "iuf":
            return checked(name, series.to_numpy(np.float64))
        try:
            codes, values = pandas.factorize(series)
        except TypeError as error:
            raise ValueError(f"Column {name!r}: {error}.") from error
        found = _values(name, kind, list(values), missing)
        return checked(name, found[codes]) if kind == NUMBER else found[codes]

    dtypes = {CATEGORY: object}
    return pandas.DataFrame(
        {
            name: pandas.Series(converted(name, kind), dtype=dtypes.get(kind, np.float64))
            for name, kind in columns
        }
    )


def _polars(X: Any, columns: list[tuple[str, str]], missing: set[str]) -> Any:
    import polars

    def converted(name: str, kind: str) -> Any:
        series = X[name]
        if kind == NUMBER and series.dtype.is_numeric():
            numbers = series.cast(polars.Float64).fill_null(math.nan).to_numpy()
            return polars.Series(name, checked(name, numbers))
        dtype = polars.String if kind == CATEGORY else polars.Float64
        values = [one for one in series.unique().to_list() if not _is_nan(one)]
        found = _values(name, kind, values, missing)[:-1].tolist()
        if found == values:
            return series.cast(dtype)
        if isinstance(series.dtype, polars.Categorical | polars.Enum):
            series = series.cast(polars.String)
        new = series.replace_strict(values, found, default=None, return_dtype=dtype)
        return new if kind == CATEGORY else new.fill_null(math.nan)

    return polars.DataFrame([converted(*column) for column in columns])


def _values(name: str, kind: str, values: list[Any], missing: set[str]) -> NDArray[Any]:
    """Each value as that kind; the words for missing values become missing.

    One missing value is appended, which an index of -1 finds.
    """
    nothing = None if kind == CATEGORY else math.nan
    found = []
    for value in values:
        plain = value.strip() if isinstance(value, str) else value
        if isinstance(plain, str) and plain in missing:
            found.append(nothing)
            continue
        made = _MADE[kind](plain)
        if made is None:
            raise ValueError(
                f"Column {name!r} must hold {IN_WORDS[kind]}, as in training; came {value!r}. Mend "
                "the values, or leave them missing."
            )
        found.append(made)
    return np.array([*found, nothing], dtype=object if kind == CATEGORY else np.float64)


def checked(name: str, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """The numbers; ValueError if one is too large, or infinite."""
    with np.errstate(invalid="ignore"):
        beyond = np.flatnonzero(np.abs(numbers) > LARGEST)
    if len(beyond):
        raise ValueError(
            f"Column {name!r} is {numbers[beyond[0]]:g} in row {beyond[0] + 1:,}; numbers must be "
            f"at most {LARGEST:g}. Leave the value missing if it is not known."
        )
    return numbers


def _number(value: Any) -> float | None:
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, Real | Decimal):
        return float(value)
    if not isinstance(value, str) or "_" in value:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _boolean(value: Any) -> float | None:
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower())
    return float(value) if isinstance(value, bool | np.bool_ | Real) and value in (0, 1) else None


def _category(value: Any) -> str | None:
    """A text; a whole number is written without a point, whether it comes as 1, 1.0 or "1.00"."""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        number = float(value)
        if abs(number) < WIDEST and number == round(number):
            return str(round(number))
    if not isinstance(value, str | Real | Decimal):
        return None
    whole, point, fraction = str(value).partition(".")
    digits = whole.removeprefix("-")
    if point and not fraction.strip("0") and digits.isdecimal() and digits.isascii():
        if digits == "0":
            return digits
        if digits[0] != "0":
            return whole
    return str(value)


def _is_nan(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


_MADE: dict[str, Callable[[Any], Any]] = {
    NUMBER: _number,
    BOOLEAN: _boolean,
    CATEGORY: _category,
}
