"""The table of what was to be reached: yes where it was, and no where it was not."""

import copy
import functools
from typing import Any

import pytest

from tests.comparison.test_table_comparison import row
from tools import reach_table


def training(dtype, **ratios):
    """One row of a comparison, on which gemm alone would take 40 % of tiled's time."""
    entries = {name: {"ratio": [ratio] * 3} for name, ratio in ratios.items()}
    return {
        "problem": "20-100-1",
        "dtype": dtype,
        "base": "tiled",
        "rates": {"share_of_gemm": 0.4},
        "entries": {"tiled": {}, **entries},
    }


def gradient(dtype, share, numpy, counts=True):
    entries = {"tiled": {"share_of_gemm": [share] * 3}, "numpy": {"ratio": [numpy] * 3}}
    facts = {"problem": "100-100-1", "dtype": dtype, "base": "tiled", "counts": counts}
    return {**facts, "entries": entries}


def goal(**ratios):
    """One goal that lm reached from 28 of 30 starts."""
    entries = {name.replace("_", " "): {"ratio": [ratio] * 3} for name, ratio in ratios.items()}
    entries["engine adam, steps known"] = {"ratio": [4.2] * 3}
    return {"problem": "SIN", "starts": 30, "entries": {"engine lm": {"reached": 28}, **entries}}


def timed(ratio):
    return {"us": [1.0] * 3, "ratio": [ratio] * 3}


RATIOS = {"sklearn": 20.0, "torch": 30.0, "jax": 3.0}
FIGURES: dict[str, Any] = {
    "report": {"training": [training("float32", **RATIOS), {"problem": "iris 4-16-3"}]},
    "training": {"rows": [training("float64", **RATIOS)]},
    "gradient": {
        "rows": [
            gradient("float32", 0.85, 1.2),
            gradient("float64", 0.85, 1.2),
            gradient("float32", 0.61, 4.0, counts=False),
        ]
    },
    "memory": {
        "rows": [
            {"problem": "20-16-1", "n_samples": n, "extra": 12 * n + 1_000_000}
            for n in (100_000, 1_000_000)
        ]
    },
    "threads": {
        "large": [{"of_gemm": {"2": 0.95}}],
        "small": [{"speed_up": {"default": [0.99, 0.9, 1.0]}}],
    },
    "estimators": {
        "fits": [
            {
                "data": "breast_cancer",
                "dtype": "float64",
                "times": {"ratio": [12.0] * 3, "reach": 10.0, "reached": True},
            }
        ],
        "calls": [{"dtype": "float64", "reach": 5.0, "us": {"engine": [4.0] * 3}}],
    },
    "startup": {
        "entries": {
            "import engine": {"over_bare": 0.006},
            "train XNOR, warm cache": {"in_numba_imports": [2.0] * 3},
            "train XNOR, empty cache": {"in_numba_imports": [15.0] * 3},
        }
    },
    "second-order": {
        "goals": [goal(scipy_lm=9.0, scipy_trf=5.5, engine_lbfgs=4.5, engine_adam=4.5)],
        "tables": [{"data": "rock", "sizes": [3, 5, 1], "ratio": [2.5] * 3}],
        "losses": [
            {"dtype": "float32", "entries": {"Compiled (huber)": {"to_built_in": [1.05] * 3}}},
            {"dtype": "float32", "entries": {"poisson": {}}},
        ],
        "calls": [{"solver": "lm", "one_step": [90.0], "step": [3.0], "told": [7.0]}],
    },
    "many": {
        "networks": [
            {
                "members": 64,
                "problem": "8-16-1",
                "entries": {"1": {"jax-map": timed(2.1)}, "2": {"jax-map": timed(2.2)}},
                "speed_up": [1.95] * 3,
            }
        ],
        "searches": [
            {
                "search": name,
                "base": "engine",
                "entries": {"scikit-learn": {"ratio": [ratio] * 3}},
            }
            for name, ratio in (("iris", 25.0), ("digits", 11.0))
        ],
        "fit": [{"ms": {"engine": [0.8] * 3}}],
    },
    "tables-test": {
        "tables": [row("rents", {"engine": 4.9}, engine=1.0, hgb=2.0, lightgbm=2.1, linear=4.0)]
    },
    "tables-diamonds": {"diamonds": [row("diamonds", {"engine": 5.9}, engine=0.13)]},
}
OF_RENTS = "tables-test.tables.0.entries.engine.splits.0"
OF_DIAMONDS = "tables-diamonds.diamonds.0.entries.engine.splits.0"
# What of a line is changed so that it says no, and what stands there then.
SHORT = [
    (0, "training.rows.0.entries.sklearn.ratio.0", 1.0, "4.47 (2 rows)"),
    (1, "training.rows.0.entries.torch.ratio.0", 1.0, "5.48 (2 rows)"),
    (2, "training.rows.0.entries.jax.ratio.0", 1.0, "1.73 (2 rows)"),
    (3, "training.rows.0.entries.jax.ratio.0", 0.95, "float64 behind JAX: 0.95, gemm 42%"),
    (4, "gradient.rows.1.entries.tiled.share_of_gemm.0", 0.79, "85% (float32), 79% (float64)"),
    (5, "gradient.rows.1.entries.tiled.share_of_gemm.0", 0.64, "64%; nowhere"),
    (5, "gradient.rows.0.entries.numpy.ratio.0", 0.99, "85%; 100-100-1 float32"),
    (6, "gradient.rows.2.entries.tiled.share_of_gemm.0", 0.59, "59%"),
    (7, "memory.rows.1.extra", 33_000_000, "34.2 and -1.2 MB"),
    (8, "threads.large.0.of_gemm.2", 0.89, "89% to 89%"),
    (9, "threads.small.0.speed_up.default.0", 0.94, "lowest 0.94"),
    (10, "estimators.fits.0.times.reached", False, "0 of 1 rows; breast cancer float64 12.0 of"),
    (11, "estimators.calls.0.us.engine.0", 5.1, "5.10 us"),
    (12, "startup.entries.train XNOR, warm cache.in_numba_imports.0", 2.6, "2.60"),
    (13, "startup.entries.train XNOR, empty cache.in_numba_imports.0", 21.0, "21.0"),
    (14, "startup.entries.import engine.over_bare", 0.051, "51 ms"),
    (15, "second-order.goals.0.entries.engine lm.reached", 26, "SIN 26 of 30"),
    (16, "second-order.goals.0.entries.scipy trf.ratio.0", 4.9, "SIN 4.90"),
    (17, "second-order.goals.0.entries.engine lbfgs.ratio.0", 3.9, "SIN 3.90"),
    (18, "second-order.goals.0.entries.engine adam.ratio.0", 3.9, "SIN 3.90"),
    (19, "second-order.goals.0.entries.engine adam, steps known.ratio.0", 3.9, "SIN 3.90"),
    (20, "second-order.tables.0.ratio.0", 1.9, "0 of 1 rows; rock 3-5-1 1.90"),
    (21, "second-order.losses.0.entries.Compiled (huber).to_built_in.0", 1.11, "1.11 (float32)"),
    (22, "second-order.calls.0.one_step.0", 101.0, "lm 101.0"),
    (23, "second-order.calls.0.told.0", 8.1, "lm 5.1"),
    (24, "many.networks.0.entries.1.jax-map.ratio.0", 0.9, "1 thread 0.90, on 2 threads 2.20; 64"),
    (24, "many.networks.0.entries.2.jax-map.ratio.0", 1.9, "on 2 threads 1.90; nowhere"),
    (25, "many.networks.0.speed_up.0", 1.89, "1.89 to 1.89"),
    (26, "many.searches.0.entries.scikit-learn.ratio.0", 19.0, "iris 19.0, digits 11.0"),
    (26, "many.searches.1.entries.scikit-learn.ratio.0", 9.9, "iris 25.0, digits 9.90"),
    (27, "many.fit.0.ms.engine.0", 0.91, "0.91 ms"),
    (28, f"{OF_RENTS}.rmse", 2.7, "0.65"),
    (29, f"{OF_RENTS}.rmse", 2.05, "HistGradientBoosting 0%, LightGBM 100%"),
    (30, f"{OF_RENTS}.rmse", 2.7, "rents"),
    (31, f"{OF_RENTS}.seconds", 5.1, "5.10"),
    (32, f"{OF_DIAMONDS}.rmse", 0.1311, "0.1311, 5.9 s"),
    (32, f"{OF_DIAMONDS}.seconds", 6.1, "0.1300, 6.1 s"),
]


def lines(figures):
    """Without the header, in cells."""
    found = reach_table.table(figures).splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found]


def changed(path, value):
    """The figures with another value at one place; a list's places are numbers."""
    figures = copy.deepcopy(FIGURES)
    *parents, last = path.split(".")

    def within(place: Any, key: str) -> Any:
        return place[int(key)] if isinstance(place, list) else place[key]

    place: Any = functools.reduce(within, parents, figures)
    place[int(last) if isinstance(place, list) else last] = value
    return figures


def test_all_is_reached():
    assert [line[-1] for line in lines(FIGURES)] == ["yes"] * len(reach_table.AIMS)


@pytest.mark.parametrize(("number", "path", "value", "here"), SHORT)
def test_a_line_says_what_falls_short(number, path, value, here):
    line = lines(changed(path, value))[number]
    assert line[-1] == "**no**"
    assert here in line[2]


def test_every_line_can_fall_short():
    assert {number for number, *_ in SHORT} == set(range(len(reach_table.AIMS)))


def test_a_row_behind_is_allowed_where_gemm_leaves_no_room():
    figures = changed("training.rows.0.entries.jax.ratio.0", 0.95)
    figures["training"]["rows"][0]["rates"]["share_of_gemm"] = 0.7
    assert lines(figures)[3][2:] == ["none", "yes"]


def test_what_was_not_measured_is_said():
    figures = {name: found for name, found in FIGURES.items() if name not in ("training", "memory")}
    found = lines(figures)
    assert found[0][2:] == ["not measured: training", ""]
    assert found[7][2:] == ["not measured: memory", ""]
    assert found[8][-1] == "yes"


@pytest.mark.parametrize(
    ("numbers", "part", "found"),
    [
        ({0, 1, 2, 3}, "report", {"training": []}),
        ({4, 5, 6}, "gradient", {"rows": [gradient("float32", 0.9, 1.0)]}),
        ({8, 9}, "threads", {"large": [{"failed": "it"}], "small": [{"failed": "it"}]}),
        ({8}, "threads", {**FIGURES["threads"], "large": [{"of_gemm": {}}]}),  # one core
        (set(range(15, 24)), "second-order", dict(goals=[], tables=[], losses=[], calls=[])),
        ({24, 25, 26, 27}, "many", dict(networks=[], searches=[], fit=[])),
        ({11}, "estimators", {**FIGURES["estimators"], "calls": [{"reach": 5.0, "void": "it"}]}),
    ],
)
def test_where_nothing_ran_nothing_was_measured(numbers, part, found):
    figures = copy.deepcopy({**FIGURES, part: found})
    if part == "report":
        figures["training"] = {"rows": [{**training("float64"), "base": None}]}
    if part == "gradient":
        figures["gradient"]["rows"][0]["entries"] = {"tiled": {"failed": "it"}}
    said = lines(figures)
    assert {number for number, line in enumerate(said) if line[2].startswith("not")} == numbers


def test_what_is_void_falls_short():
    figures = copy.deepcopy(FIGURES)
    found: Any = figures["second-order"]
    del found["tables"][0]["ratio"]
    del found["losses"][0]["entries"]["Compiled (huber)"]["to_built_in"]
    del found["goals"][0]["entries"]["engine lm"]["reached"]
    said = lines(figures)
    assert said[15][2:] == ["SIN 0 of 30", "**no**"]
    assert said[20][2:] == ["0 of 1 rows; rock 3-5-1 void", "**no**"]
    assert said[21][2:] == ["inf (float32)", "**no**"]


def test_a_library_without_times_on_one_goal_is_void_there():
    figures = copy.deepcopy(FIGURES)
    found: Any = figures["second-order"]
    found["goals"].append({**goal(engine_lbfgs=4.5), "problem": "Franke"})
    assert lines(figures)[16][2:] == ["SIN 5.50, Franke void", "yes"]
    del found["goals"][0]
    assert lines(figures)[16][2:] == ["not measured: second-order", ""]


def test_a_fit_without_times_falls_short():
    figures = copy.deepcopy(FIGURES)
    del figures["estimators"]["fits"][0]["times"]
    assert lines(figures)[10][2:] == ["0 of 1 rows; breast cancer float64 without times", "**no**"]
