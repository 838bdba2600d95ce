"""Checkpoints of solver="lm": a run resumes with the same bits wherever it was stopped."""

from typing import Any

import numpy as np
import pytest

from engine import Checkpoint, CheckpointError, Network, losses, train
from engine.solvers.damped_step import REASONS
from engine.solvers.state import (
    ALPHA,
    CLOSING,
    CLOSING_STEPS,
    FAILURES,
    LOWEST,
    MOVES,
    MU,
    NU,
    RATE,
    REASON,
    SEEN,
    STAGES,
    STAGNANT,
    UNDAMPED,
    WIDTH,
)
from engine.training import checkpoint_files
from tests.training.test_forged_checkpoints import forged
from tests.training.test_training import at_step, interrupt

pytestmark = pytest.mark.compiled

CHUNK = 1024


def data(n_samples):
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (1, n_samples))
    return x, np.sin(3 * x) + 0.1 * random.normal(size=x.shape)


JOBS: dict[str, Any] = {
    "plain": ({}, None, 60),
    "penalty and tol": ({"alpha": 0.1, "tol": 1e-7, "n_iter_no_change": 3}, None, 60),
    "evidence": ({"alpha": "evidence"}, None, 60),
    "kink": ({"tol": 1e-9}, "absolute_error", 60),
    "quantiles": ({}, losses.Quantile([0.2, 0.8]), 60),
    "several chunks": ({}, None, 2 * CHUNK + 100),
    "chunks and evidence": ({"alpha": "evidence"}, None, CHUNK + 100),
    "dual": ({}, None, 5),
    "numpy": ({"backend": "numpy", "alpha": 0.1}, None, 60),
}


def run(name, path=None, **others):
    settings, loss, n_samples = JOBS[name]
    x, y = data(n_samples)
    n_outputs = 2 if isinstance(loss, losses.Quantile) else 1
    network = Network((1, 4, n_outputs), output="identity", loss=loss)
    settings = {"solver": "lm", "max_iter": 40, "n_threads": 1, **settings, **others}
    checkpoint = None if path is None else Checkpoint(path, epochs=1)
    return train(network, x, y, checkpoint=checkpoint, **settings)


@pytest.mark.sample(9)
@pytest.mark.parametrize("name", JOBS)
def test_a_run_that_was_stopped_resumes_with_the_same_bits(tmp_path, name):
    n_iter = run(name).n_iter
    resumes_after(name, tmp_path, (1, 2, n_iter // 2, n_iter))


@pytest.mark.proof
@pytest.mark.parametrize("name", JOBS)
def test_a_run_stopped_at_each_iteration_resumes_with_the_same_bits(tmp_path, name):
    resumes_after(name, tmp_path, range(1, run(name).n_iter + 1))


def resumes_after(name, tmp_path, steps):
    """Stop a run at each of these steps, and compare what comes of it with the whole run."""
    whole = run(name)
    assert whole.n_iter > 10
    for step in steps:
        path = tmp_path / f"{step}.ckpt"
        assert run(name, path, callback=at_step(step, interrupt)).stopped == "interrupted"
        heard: list[int] = []
        result = run(
            name, path, callback=lambda iteration, heard=heard: heard.append(iteration.step)
        )
        assert heard == list(range(step, whole.n_iter + 1))  # that one is taken again
        assert (result.stopped, result.n_iter) == (whole.stopped, whole.n_iter)
        assert (result.fingerprint, result.cost) == (whole.fingerprint, whole.cost)
        assert (result.alpha, result.log_evidence) == (whole.alpha, whole.log_evidence)
        for column in ("cost", "gradient_norm"):
            assert np.array_equal(result.history[column], whole.history[column])


@pytest.mark.parametrize("name", JOBS)
def test_more_iterations_are_as_if_asked_for_at_once(tmp_path, name):
    path = tmp_path / "run.ckpt"
    run(name, path, max_iter=7)
    result = run(name, path, max_iter=40)
    assert result.fingerprint == run(name).fingerprint
    again = run(name, path, callback=interrupt)  # there is nothing left to do
    assert (again.fingerprint, again.stopped) == (result.fingerprint, result.stopped)


def test_a_run_of_another_alpha_is_refused(tmp_path):
    path = tmp_path / "run.ckpt"
    run("evidence", path, max_iter=5)
    with pytest.raises(CheckpointError, match=r"run: alpha is 0\.0 and was 'evidence'\."):
        run("plain", path, max_iter=5)


FIRST = {  # places in state.first, and numbers that no run leaves there
    "mu below 0": (MU, -0.5),
    "mu no number": (MU, np.nan),
    "nu below 2": (NU, 1.0),
    "nu no power of 2": (NU, 2.5),
    "undamped twice": (UNDAMPED, 2),
    "no such reason": (REASON, max(REASONS) + 1),
    "a reason that ends no run": (REASON, 1),
    "too many closing steps": (CLOSING, CLOSING_STEPS + 1),
    "closing without a reason": (CLOSING, 1),
    "another alpha": (ALPHA, 0.5),
    "alpha of the evidence": (MOVES, 1),
    "a width without a kink": (WIDTH, 0.5),
    "half a stage": (STAGES, 0.5),
}


@pytest.mark.parametrize("name", FIRST)
def test_a_damping_that_no_run_leaves_is_refused(tmp_path, name):
    path = tmp_path / "run.ckpt"
    run("plain", path, max_iter=5)
    place, number = FIRST[name]
    first = checkpoint_files.read(path).arrays["state.first"].copy()
    first[place] = number
    forged(path, arrays={"state.first": first, "finite.first": first})
    with pytest.raises(CheckpointError, match=r"first (is no damping of its run|holds numbers)"):
        run("plain", path)


KINK = {
    "no width": ("first", WIDTH, 0.0),
    "a width of no stage": ("first", WIDTH, 0.123),
    "too many stages left": ("first", STAGES, 9),
    "samples seen": ("counts", SEEN, 1),
    "failures": ("counts", FAILURES, -1),
    "too many failures": ("counts", FAILURES, 10**6),
    "stagnant twice": ("counts", STAGNANT, 2),
    "rate": ("sums", RATE, 0.5),
    "a cost that was not recorded": ("sums", LOWEST, 1e-9),
}


@pytest.mark.parametrize("name", KINK)
def test_a_stage_of_a_kink_that_no_run_leaves_is_refused(tmp_path, name):
    path = tmp_path / "run.ckpt"
    run("kink", path, max_iter=12)
    array, place, number = KINK[name]
    found = checkpoint_files.read(path).arrays[f"state.{array}"].copy()
    found[place] = number
    forged(path, arrays={f"state.{array}": found, f"finite.{array}": found})
    with pytest.raises(CheckpointError, match="not what this run can have written"):
        run("kink", path)
