"""Columns that a user may want to mend: what a fit warns of, and what it says in `notes_`."""

import warnings

import numpy as np
import pandas as pd
import pytest

from engine import TableRegressor, TrainingWarning

N = 200
Y = np.arange(N) % 50 + 0.5
NUMBERS = [f"{k * 37 % 1000 / 10}" for k in range(N)]


def fitted(table, **settings):
    """The model, and what its fit has warned of."""
    model = TableRegressor(n_members=1, max_iter=1, random_state=0, **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit({"plain": Y + 1, **table}, Y)
    assert all(one.category is TrainingWarning for one in caught)
    assert all(one.filename == __file__ for one in caught)
    return model, [str(one.message) for one in caught]


LEFT_OUT = {
    "a word in the last row": ([*NUMBERS[:-1], "Total"], "holds numbers, but also 'Total': mend"),
    "an object column": ([*map(float, NUMBERS[:-1]), "Total"], "holds numbers, but also 'Total'"),
    "some with %": ([f"{x} %" for x in NUMBERS[:99]] + NUMBERS[99:], "mixes numbers with and wi"),
    "two currencies": ([f"{x} {'$€'[k % 2]}" for k, x in enumerate(NUMBERS)], "mixes $ and €"),
    "a unit": ([f"{x} kg" for x in NUMBERS], "holds numbers with a unit, such as '0.0 kg'"),
    "two units": (
        [f"{x} {('kg', 'g')[k % 2]}" for k, x in enumerate(NUMBERS)],
        "holds numbers with the units 'g', 'kg': write the numbers alone, all in one unit",
    ),
    "many words": (
        [x if k % 3 else "unknown" for k, x in enumerate(NUMBERS)],
        "holds numbers, but also 'unknown': mend that",
    ),
    "two orders of dates": (
        ["13/04/2024", "04/13/2024"] * (N // 2),
        "holds dates of which some have the",
    ),
    "lists": (pd.Series([[1]] * N), "is of type Object, which is neither"),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_a_column_that_is_left_out_for_its_values_is_warned_of(case):
    values, reason = LEFT_OUT[case]
    model, (said,) = fitted({"c": values})
    assert said.startswith(f"Left out: 'c' {reason}")
    assert said.endswith("If that is meant, give the kind of each column: columns={'c': 'out'}.")
    assert "--" not in said
    assert [column.name for column in model.left_out_] == ["c"]
    assert fitted({"c": values}, columns={"c": "out"})[1] == []


def test_all_columns_to_mend_are_in_one_warning():
    table = {f"c{k}": [*NUMBERS[:-1], f"word {k}"] for k in range(12)}
    table["few"] = [*(f"{k % 9}" for k in range(N - 1)), "Total"]
    _, (said,) = fitted(table)
    assert "'c0' holds numbers, but also 'word 0'" in said
    assert "'c9' holds" in said
    assert "'c10' holds" not in said
    assert " and 2 columns more. Learnt from, perhaps not as you mean: 'few' 10 categ" in said


def test_a_column_that_is_learnt_from_otherwise_is_warned_of_with_its_kind():
    _, (said,) = fitted({"c": [f"{k % 40:03d}" for k in range(N)]})
    assert said.endswith("give the kind of each column: columns={'c': 'number'}.")


def test_columns_that_nobody_would_mend_are_not_warned_of():
    table = {
        "same": ["x"] * N,
        "row": list(range(N)),
        "empty": [None] * N,
        "name": [f"person {k}" for k in range(N)],
        "flat": [f"{k % 9}{'ab'[k % 2]}" for k in range(N)],
        "month": [f"{k % 12 + 1:02}" for k in range(N)],
        "same unit": ["12 kg"] * N,
    }
    model, said = fitted(table)
    assert said == []
    assert model.notes_ == [
        "'month' has leading zeros, such as '01', and is read as numbers (columns={'month': "
        "'category'} overrules)."
    ]
    left_out = {column.name: column.note for column in model.left_out_}
    assert left_out.keys() == {"same", "row", "empty", "name", "same unit"}
    assert left_out["same unit"] == "is '12 kg' everywhere"


@pytest.mark.parametrize(
    ("values", "note", "is_warned_of"),
    [
        ([*(f"{k % 12}" for k in range(N - 1)), "Total"], "numbers, but also 'Total'", True),
        ([f"{k % 5}" if k % 9 else "none" for k in range(N)], "numbers, but also 'none'", False),
        (
            [f"{k % 31}" if k % 5 else "none" for k in range(N)],
            "numbers, but also 'none'",
            True,
        ),
        ([f"{k % 50 + 990:05}" for k in range(N)], "has leading zeros, such as '00990'", True),
        ([f"{k % 12 + 1:02}" for k in range(N)], "has leading zeros, such as '01'", False),
    ],
)
def test_columns_that_are_learnt_from_otherwise_than_may_be_meant_are_noted(
    values, note, is_warned_of
):
    model, said = fitted({"c": values})
    (of_column,) = model.notes_
    assert of_column.startswith("'c' ")
    assert note in of_column
    assert len(said) == is_warned_of
    assert all(note in one for one in said)
    assert fitted({"c": values}, columns={"c": "category"})[0].notes_ == []


def test_a_file_says_which_words(tmp_path):
    path = tmp_path / "flats.csv"
    pd.DataFrame({"plain": Y + 1, "c": [*NUMBERS[:-1], "Total"], "y": Y}).to_csv(path, index=False)
    with pytest.warns(TrainingWarning, match=r"in a file, nothing\) in place of 'Total'"):
        TableRegressor(n_members=1, max_iter=1).fit(path, target="y")
