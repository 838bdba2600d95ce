"""The fits of a table's networks: by validation rows, once more on all rows, and after Ctrl-C."""

import warnings
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from engine import Checkpoint, MLPRegressor, TableClassifier, TableRegressor, losses
from engine.many import fits, fits_at_work
from engine.tables import member_fits
from engine.tables.calibration import shifts_of
from engine.tables.column_statistics import TableStatistics
from engine.tables.learnt_columns import LearntColumns
from engine.tables.member_fits import checkpoint_of
from tests.processes import interrupt_after

pytestmark = pytest.mark.compiled

N = 200
draw = np.random.default_rng(0)
TABLE = pl.DataFrame({"size": draw.normal(0, 2, N), "colour": draw.choice(["red", "green"], N)})
Y = (
    np.abs(TABLE["size"].to_numpy())
    + (TABLE["colour"] == "red").to_numpy()
    + draw.normal(0, 0.3, N)
)
MONTHS = np.arange(N) // 10
SMALL = {"n_members": 2, "max_iter": 40, "random_state": 0}


def fitted_with(checkpoint=None, time=None, **given):
    statistics = TableStatistics.of_frame(TABLE, None)
    learnt = LearntColumns.of(statistics.chosen(), statistics, None, [])
    model = TableRegressor(**{**SMALL, **given})
    return model.fit_learnt(learnt, TABLE, Y, target="y", time=time, checkpoint=checkpoint)


def fingerprints(model):
    return [member.fingerprint_ for member in model.members_]


def quietly(fit, *given, **named):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = fit(*given, **named)
    return model, [str(one.message) for one in said]


# Checkpoints and Ctrl-C.


@pytest.mark.parametrize(
    ("time", "few_epochs", "n_fits"), [(None, 5, 2), (MONTHS, 5, 4), (MONTHS, 1000, 6)]
)
def test_each_fit_has_a_checkpoint_of_its_own_and_resumes_to_the_same_bits(
    time, few_epochs, n_fits, tmp_path, monkeypatch
):
    monkeypatch.setattr(member_fits, "FEWEST_EPOCHS", few_epochs)
    third = checkpoint_of(Checkpoint(tmp_path / "run.ckpt", 5.0), 2)
    assert third is not None
    assert (third.path, third.seconds) == (tmp_path / "run.ckpt.3", 5.0)
    kept = Checkpoint(tmp_path / "run.ckpt", 0.0)
    whole = fingerprints(fitted_with(time=time))
    with monkeypatch.context() as stopping:
        interrupt_after(1, stopping)
        stopped, _ = quietly(fitted_with, kept, time)
    assert fingerprints(stopped) != whole
    assert fingerprints(fitted_with(kept, time)) == whole
    names = {f"run.ckpt{number}" for number in ("", ".2", ".3", ".4", ".5", ".6")[:n_fits]}
    kept_names = {path.name.removesuffix(".previous") for path in tmp_path.glob("run.ckpt*")}
    assert kept_names == names


def test_a_network_has_its_own_checkpoint_whichever_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(member_fits, "trained_enough", lambda number, *rest: number == 1)
    model = fitted_with(Checkpoint(tmp_path / "run.ckpt", 0.0), MONTHS)
    assert len(model.members_) == 1
    kept_names = {path.name.removesuffix(".previous") for path in tmp_path.glob("run.ckpt*")}
    assert kept_names == {"run.ckpt", "run.ckpt.2", "run.ckpt.4"}


def test_networks_that_ctrl_c_did_not_let_begin_are_left_out(monkeypatch):
    interrupt_after(1, monkeypatch)
    monkeypatch.setattr(fits_at_work, "FEWEST_MEMBERS", 99)  # one after the other
    model, said = quietly(fitted_with, n_members=3, n_threads=1)
    assert len(model.members_) == len(model.n_validation_rows_) == 1
    assert any("2 of 3 networks had not begun, or not half the epochs" in one for one in said)


def test_a_network_that_ctrl_c_cut_off_long_before_another_is_left_out(monkeypatch):
    monkeypatch.setattr(fits_at_work, "FEWEST_MEMBERS", 99)  # one after the other
    whole = fitted_with(n_threads=1)
    n_epochs = len(whole.members_[0].validation_scores_)
    for more, n_kept in ((2, 1), (n_epochs - 2, 2)):
        with monkeypatch.context() as stopping:
            interrupt_after(n_epochs + more, stopping)
            model, said = quietly(fitted_with, n_threads=1)
        assert fingerprints(model)[0] == fingerprints(whole)[0]
        assert len(model.members_) == len(model.n_validation_rows_) == n_kept
        assert any("or not half the epochs of another" in one for one in said) == (n_kept == 1)


def test_only_networks_that_were_cut_off_are_left_out():
    def enough(*epochs_and_ends):
        epochs, ends = zip(*epochs_and_ends, strict=True)
        some = [SimpleNamespace(estimator=SimpleNamespace(n_iter_=n)) for n in epochs]
        outcomes = [SimpleNamespace(stopped=end) for end in ends]
        begun = [*range(len(epochs))]
        return [member_fits.trained_enough(n, begun, some, outcomes) for n in begun]

    assert enough((1, "max_time"), (43, "max_time"), (56, "tol")) == [False, True, True]
    assert enough((27, "max_time"), (56, "tol"), (3, "tol")) == [False, True, True]
    assert enough((0, "max_time"), (0, "max_time")) == [True, True]
    assert enough((1, "interrupted"), (1, "interrupted"), (2, "")) == [True, True, True]


@pytest.mark.parametrize("share", [0.9, 0.1])
def test_a_second_fit_that_time_cuts_off_early_stands_only_if_it_had_most_epochs(
    share, monkeypatch
):
    first = TableRegressor(**SMALL)
    with monkeypatch.context() as once:
        once.setattr(member_fits, "fitted_again", lambda made, *rest: made)
        first.fit(TABLE, Y, time=MONTHS)
    ended = fits.fit_all

    def cut_off(fits, n_threads):
        for fit in fits:
            if not fit.estimator.early_stopping:
                fit.estimator.max_iter = max(1, int(share * fit.estimator.max_iter))
        outcomes = ended(fits, n_threads)
        for fit in fits:
            if not fit.estimator.early_stopping:
                fit.estimator.max_iter = round(fit.estimator.n_iter_ / share)
        return outcomes

    monkeypatch.setattr(member_fits, "fit_all", cut_off)
    model = TableRegressor(**SMALL).fit(TABLE, Y, time=MONTHS)
    assert (fingerprints(model) == fingerprints(first)) == (share < 0.5)


def test_ctrl_c_in_the_second_fit_keeps_the_first(monkeypatch):
    first = TableRegressor(**SMALL)
    monkeypatch.setattr("engine.tables.member_fits.fitted_again", lambda made, *rest: made)
    first.fit(TABLE, Y, time=MONTHS)
    monkeypatch.undo()
    n_epochs = sum(len(member.validation_scores_) for member in first.members_)
    interrupt_after(n_epochs + 2, monkeypatch)
    model, said = quietly(TableRegressor(**SMALL).fit, TABLE, Y, time=MONTHS)
    assert fingerprints(model) == fingerprints(first)
    assert any("have not learnt from the latest rows" in one for one in said)


# The second fit, on all rows.


def test_the_latest_rows_choose_the_epochs_and_are_then_trained_on():
    epochs = []
    model = TableRegressor(**SMALL).fit(TABLE, Y, time=MONTHS)
    X = model.inputs_.of(model.encoding_.encode(TABLE))
    for member in model.members_:
        best = int(np.argmax(member.validation_scores_)) + 1
        alone = MLPRegressor(**{**member.get_params(), "max_iter": best, "early_stopping": False})
        quietly(alone.fit, X, model._targets(Y))
        assert [*member.loss_curve_] == alone.loss_curve_
        epochs.append(best)
    assert [member.n_iter_ for member in model.members_] == epochs
    assert max(epochs) < SMALL["max_iter"]
    assert model.n_validation_rows_ == [40, 40]


def test_what_only_the_latest_rows_have_is_learnt(monkeypatch):
    frame = TABLE.with_columns(new=pl.Series(["before"] * 150 + ["after"] * 50))
    y = Y + (frame["new"] == "after").to_numpy()
    errors = []
    for _ in range(2):
        model = TableRegressor(**SMALL, validation_fraction=0.25).fit(frame, y, time=MONTHS)
        errors.append(np.mean((model.predict(frame[150:]) - y[150:]) ** 2))
        monkeypatch.setattr("engine.tables.member_fits.fitted_again", lambda first, *rest: first)
    assert errors[0] < 0.8 * errors[1]


def test_classes_that_only_the_latest_rows_have_are_learnt():
    y = np.where(np.arange(N) < 150, np.where(Y > 2, "large", "small"), "late")
    frame = TABLE.with_columns(day=pl.Series(range(N)))
    model = TableClassifier(**SMALL, validation_fraction=0.4).fit(frame, y, time="day")
    assert [[*member.classes_] for member in model.members_] == [[0, 1, 2]] * 2
    late = model.predict_proba(frame)[:, 1]
    assert late[150:].mean() > 1.5 * late[:150].mean()


def test_time_that_is_over_is_shared_by_both_fits():
    model, said = quietly(TableRegressor(**SMALL, max_time=1e-9).fit, TABLE, Y, time=MONTHS)
    assert np.isfinite(model.predict(TABLE)).all()
    assert sum("seconds were over" in one for one in said) == 1
    model = TableRegressor(**SMALL, max_time=8.0, n_threads=1).fit(TABLE, Y, time=MONTHS)
    assert [member.max_time for member in model.members_] == [2.0, 2.0]


def test_time_is_not_shared_with_a_second_fit_that_there_is_none_of():
    given = {"max_time": 8.0, "n_threads": 1}
    model = TableRegressor(**SMALL, **given).fit(TABLE[:9], Y[:9], time=MONTHS[:9])
    assert [member.max_time for member in model.members_] == [4.0, 4.0]


@pytest.mark.parametrize(
    ("n_members", "n_threads", "share"),
    [(2, None, 12.0), (2, 1, 6.0), (3, None, 6.0), (3, 2, 6.0), (3, 4, 12.0)],
)
def test_networks_that_run_at_once_have_the_time_of_one(n_members, n_threads, share, monkeypatch):
    monkeypatch.setattr(fits, "threads_that_pay", lambda fits: 2)
    given = {"n_members": n_members, "n_threads": n_threads, "max_iter": 1}
    model = TableRegressor(max_time=12.0, **given).fit(TABLE, Y)
    assert [member.max_time for member in model.members_] == [share] * n_members


STEEP = {"a": np.random.default_rng(0).normal(size=400)}
OVER = STEEP["a"] > 0.3


def test_networks_are_trained_anew_for_the_epochs_that_were_best_and_no_fewer():
    model = TableClassifier(n_members=2, random_state=0).fit(STEEP, OVER, time=np.arange(400))
    best = [int(np.argmax(member.validation_scores_)) + 1 for member in model.members_]
    assert [member.n_iter_ for member in model.members_] == best


def test_networks_without_validation_rows_are_trained_for_all_epochs():
    given = {"n_members": 2, "random_state": 0, "validation_fraction": 0, "max_iter": 60}
    y = STEEP["a"] + np.random.default_rng(1).normal(size=400)
    model = TableRegressor(**given).fit(STEEP, y)
    assert [member.n_iter_ for member in model.members_] == [60, 60]


def test_quantiles_are_shifted_as_the_networks_predict_rows_of_unknown_categories():
    draw = np.random.default_rng(0)
    X = {"a": draw.normal(size=400), "b": draw.choice(list("xyz"), 400)}
    effects = {"x": 6.0, "y": 3.0, "z": 0.0}
    y = X["a"] + [effects[one] for one in X["b"]]
    new = {"a": draw.normal(size=100), "b": ["new"] * 100}
    y_new = new["a"] + draw.choice([*effects.values()], 100)
    loss = losses.Quantile([0.1, 0.9])
    model = TableRegressor(loss, n_members=2, max_iter=20, random_state=0)
    model.fit(X, y, X_val=new, y_val=y_new)
    inputs = model.inputs_.of(model.encoding_.encode(new))
    outputs = np.mean([member.predict(inputs).astype(float) for member in model.members_], axis=0)
    expected = model.y_scale_ * shifts_of(loss, outputs, (y_new - model.y_mean_) / model.y_scale_)
    np.testing.assert_allclose(model.shifts_, expected, rtol=1e-5)


def test_latest_rows_that_contradict_the_earlier_ones_choose_no_epochs():
    x = draw.normal(size=600)
    y = np.where(np.arange(600) < 450, 2 * x, -2 * x)
    model, said = quietly(
        TableRegressor(random_state=0, n_members=2, validation_fraction=0.25).fit,
        {"x": x, "day": np.arange(600)}, y, time="day",
    )  # fmt: skip
    expected = TableRegressor(random_state=0, n_members=2, validation_fraction=0.25)
    expected.fit({"x": x, "day": np.arange(600)}, y)
    assert fingerprints(model) == fingerprints(expected)
    assert sum("The latest rows contradict the earlier ones" in one for one in said) == 1


def test_latest_rows_choose_few_epochs_where_any_rows_would():
    generator = np.random.default_rng(3)
    codes = generator.integers(0, 300, (2000, 2))
    effects = generator.normal(size=300)
    y = effects[codes].sum(axis=1) + 4 * generator.normal(size=2000)
    table = pl.DataFrame(codes, schema=["a", "b"]).cast(pl.String)
    settings = {"random_state": 0, "n_members": 1}
    model, said = quietly(TableRegressor(**settings).fit, table, y, time=np.arange(2000))
    assert not any("contradict" in one for one in said)
    assert model.n_iter_ < 5
    expected = TableRegressor(**settings, validation_fraction=0, max_iter=model.n_iter_)
    assert fingerprints(model) == fingerprints(expected.fit(table, y))
