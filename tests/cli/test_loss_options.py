"""`engine train --loss`: what is trained, scored and predicted, in memory and on disk."""

import io
import json
import re

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import d2_pinball_score, d2_tweedie_score, mean_pinball_loss

from engine import losses
from engine.cli.loss_options import LossName
from engine.cli.table_options import OPTIONS
from engine.estimators.regressor import LOSSES_OF_NUMBERS
from engine.tables.model import read
from tests.cli import test_cli_tables
from tests.cli.test_cli_tables import refused

pytestmark = pytest.mark.compiled
N = 400
done = test_cli_tables.done  # a fixture
QUICK = ("--max-iter", "40", "--hidden", "8", "--learning-rate", "0.02")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Prices above 0; claims, many of which are 0; and names."""
    draw = np.random.default_rng(0)
    a = draw.normal(size=N)
    price = np.exp(3 + a / 2) * draw.gamma(4, 0.25, N)
    claim = np.where(draw.random(N) < 0.4, 0, price)
    path = tmp_path_factory.mktemp("losses") / "t.csv"
    columns = {"a": a, "price": price, "claim": claim, "name": draw.choice(["p", "q"], N)}
    pl.DataFrame(columns).write_csv(path)
    return path


def options(loss, target="price"):
    other = "claim" if target == "price" else "price"
    return ("--target", target, "--column", f"{other}=out", "--loss", *loss.split(), *QUICK)


def in_units(loss, scale):
    """Huber's delta is in standard deviations of the target."""
    return losses.Huber(loss.numbers[0] * scale) if loss.name == "huber" else loss


GIVEN = {
    "absolute_error": losses.Loss("absolute_error"),
    "huber --delta 0.5": losses.Huber(0.5),
    "quantile": losses.Quantile(0.5),
    "quantile --quantile 0.1,0.5,0.9": losses.Quantile([0.1, 0.5, 0.9]),
    "poisson": losses.Loss("poisson"),
    "gamma": losses.Loss("gamma"),
    "tweedie --power 1.5": losses.Tweedie(1.5),
}


@pytest.mark.parametrize("where", ["in memory", "on disk"])
@pytest.mark.parametrize("given", GIVEN)
def test_a_loss_is_trained_scored_and_predicted(done, table, tmp_path, given, where):
    model, loss = tmp_path / "m.skops", GIVEN[given]
    target = "claim" if "tweedie" in given else "price"
    on_disk = () if where == "in memory" else ("--on-disk", tmp_path / "d")
    status, out, _ = done("train", table, *options(given, target), "--model", model, *on_disk)
    assert status == 0
    assert "deviance explained" in out
    assert ("pinball loss" in out) == (loss.name == "quantile")
    assert len(re.findall(r"held-out rows up to quantile 0\.\d  +\d+\.\d%", out)) == (
        len(loss.numbers) if loss.name == "quantile" else 0
    )
    saved = read(model)
    assert saved.training["settings"]["loss"] == loss.in_words
    estimator = saved.estimator
    assert estimator.members_[0]._network.loss == loss
    as_it_is = (estimator.y_mean_, estimator.y_scale_) == (0, 1)
    assert as_it_is == (loss.output == "exp"), "no logarithm of what is standardised"
    assert saved.loss == in_units(loss, estimator.y_scale_)

    frame = pl.read_csv(table)
    status, out, _ = done("predict", model, table)
    predicted = pl.read_csv(io.StringIO(out))
    if loss.name == "quantile":
        names = [f"predicted_{target}_quantile_{level}" for level in loss.numbers]
    else:
        names = [f"predicted_{target}"]
    assert predicted.columns == names
    values = predicted.to_numpy()
    assert (np.diff(values, axis=1) >= 0).all()
    assert loss.output != "exp" or (values > 0).all()

    status, out, _ = done("evaluate", model, table)
    explained = float(next(line for line in out.splitlines() if "explained" in line).split()[3])
    y = frame[target].to_numpy()
    assert explained == pytest.approx(by_sklearn(loss, y, values), abs=2e-4)
    if loss.name == "quantile":
        assert f"{loss.numbers[-1]:g}  {np.mean(y <= values[:, -1]):.1%}" in out


def by_sklearn(loss, y, values):
    powers = {"gamma": 2, "poisson": 1}
    if loss.output == "exp":
        power = loss.numbers[0] if loss.numbers else powers[loss.name]
        return d2_tweedie_score(y, values[:, 0], power=power)
    if loss.name == "huber":
        return pytest.approx(0.5, abs=0.5)  # held_out.d2 has tests of its own
    levels = loss.numbers or (0.5,)
    pinball = [mean_pinball_loss(y, values[:, k], alpha=q) for k, q in enumerate(levels)]
    best = [
        pinball[k] / (1 - d2_pinball_score(y, values[:, k], alpha=q)) for k, q in enumerate(levels)
    ]
    return 1 - sum(pinball) / sum(best)


def test_what_a_model_file_says_of_constants_is_checked(done, table, tmp_path):
    from engine.model_files import skops_archive

    model = tmp_path / "m.skops"
    done("train", table, *options("quantile --quantile 0.1,0.9"), "--model", model)
    parts = skops_archive.parts_of(model, model.read_bytes())
    header = json.loads(parts[skops_archive.HEADER])
    assert len(header["baseline"]["constants"]) == 2
    for forged in (
        {"mean": 1.0, "constants": [1.0, 2.0, 3.0]},
        {"mean": 1.0, "constants": ["1", "2"]},
        {"mean": 1.0, "constants": "12"},
        {"mean": 1.0, "constants": [None, 1.0]},
        {"mean": "1"},
        {"mean": 1.0, "shares": []},
    ):
        header["baseline"] = forged
        parts[skops_archive.HEADER] = json.dumps(header).encode()
        model.write_bytes(skops_archive.archive_of(parts))
        status, _, err = done("predict", model, table)
        assert status != 0
        assert "cannot be understood (baseline)" in err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--target claim --loss gamma", "--loss gamma needs a target that is above 0, and the"),
        ("--target a --loss poisson", "--loss poisson needs a target that is 0 or more"),
        ("--target price --loss tweedie", "--loss tweedie needs --power X, above 1 and below 2"),
        ("--target price --loss tweedie --power 3", "--power must be above 1 and below 2; got 3"),
        ("--target price --loss huber --delta 0", "--delta must be finite and above 0; got 0"),
        ("--target price --delta 1", "--delta goes with --loss huber: add that"),
        ("--target price --power 1.5 --loss gamma", "--power goes with --loss tweedie"),
        ("--target price --quantile 0.5", "--quantile goes with --loss quantile"),
        (
            "--target price --loss quantile --quantile 0.9,0.1",
            "--quantile must be a number, or several that rise from one to the next, such as 0.1",
        ),
        (
            "--target price --loss quantile --quantile 0.5,1",
            "--quantile must be above 0 and below 1; got 1",
        ),
        (
            "--target price --loss quantile --quantile half",
            "--quantile must be numbers, joined by ','; got 'half'",
        ),
        ("--target name --loss gamma", "--loss is for numbers, and 'name' is learnt as classes"),
        ("--target price --loss cubic", "'--loss': 'cubic' is not one of 'squared_error'"),
        ("--target price --loss mae", "Did you mean 'absolute_error'?"),
        ("--target price --task ranking", "'--task': 'ranking' is not one of 'classification'"),
    ],
)
def test_a_loss_that_does_not_go_is_refused_in_the_words_of_the_command(
    done,
    table,
    given,
    said,
):
    assert said in refused(done, "train", table, *given.split())


def test_predictions_that_are_worse_than_the_mean_are_told_of(done, table, tmp_path):
    far = tmp_path / "far.csv"
    pl.read_csv(table).with_columns(pl.col("price") * 1e6).write_csv(far)
    slow = ("--learning-rate", "1e-6", "--early-stopping", "no")
    _, _, err = done("train", far, *options("poisson"), *slow, "--model", tmp_path / "m.skops")
    said = " ".join(err.split())
    assert "The predictions for training rows are worse than the mean of y, " in said
    assert "Divide the target's column by its mean, or raise --max-iter or --learning" in said


def test_an_on_disk_target_that_a_loss_does_not_take_is_refused(done, table, tmp_path):
    done("convert", table, "--target", "claim", "--to", tmp_path / "d")
    status, _, err = done(
        "train", tmp_path / "d", "--loss", "gamma", "--model", tmp_path / "m.skops"
    )
    assert status != 0
    assert "--loss gamma needs a target that is above 0, and the smallest 'claim' is 0" in err


def test_several_quantiles_have_no_picture_of_residuals(done, table, tmp_path):
    pytest.importorskip("matplotlib")
    model, pictures = tmp_path / "m.skops", tmp_path / "pictures"
    quantiles = options("quantile --quantile 0.1,0.9")
    done("train", table, *quantiles, "--model", model, "--pictures", pictures)
    assert [path.name for path in pictures.iterdir()] == ["learning-curve.png"]
    said = refused(done, "evaluate", model, table, "--picture", tmp_path / "x.png")
    assert "--picture shows one prediction a row" in said


def test_a_checkpoint_of_another_loss_is_refused_by_the_option(done, table, tmp_path):
    place = ("--model", tmp_path / "m.skops", "--checkpoint", tmp_path / "run.ckpt")
    done("train", table, *options("huber --delta 0.5"), *place)
    status, _, err = done("train", table, *options("huber --delta 0.25"), *place)
    assert status != 0
    assert "--loss is 'huber 0.25' and was 'huber 0.5'" in err


def test_the_command_knows_the_losses_of_the_estimator():
    assert set(LossName) == {*LOSSES_OF_NUMBERS, "tweedie"}
    assert {OPTIONS[name] for name in ("loss", "delta", "power")} == {
        "--loss",
        "--delta",
        "--power",
    }
