"""Ctrl-C at any line of a run: what was reached is kept, and the next call has the same bits."""

import functools
import itertools
import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import engine
from engine import Checkpoint, MLPRegressor, Network, train

ROOMS = tuple(
    str(Path(engine.__file__).parent / room) + os.sep
    for room in ("solvers", "training", "estimators")
)
NETWORK = Network((2, 3, 1), output="identity")
X = np.random.default_rng(0).normal(size=(2, 12))
Y = np.sin(X[:1])
HELD_OUT = {"X_val": X[:, :5] + 0.1, "Y_val": Y[:, :5]}


class Interruption:
    """A trace function that raises KeyboardInterrupt at one line of those rooms; it counts them."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.count = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self.line if frame.f_code.co_filename.startswith(ROOMS) else None

    def line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self.count += 1
            if self.count == self.at:
                raise KeyboardInterrupt
        return self.line


def trained(path, *, learning_rate=0.1, seconds=30.0, **given):
    checkpoint = Checkpoint(path, seconds=seconds)
    result = train(NETWORK, X, Y, learning_rate=learning_rate, checkpoint=checkpoint, **given)
    return result.fingerprint, result.stopped, result.n_iter, len(result.history["cost"])


def fitted(path, *, held_out=False, **given):
    model = MLPRegressor(hidden_layer_sizes=3, random_state=0, checkpoint=Checkpoint(path), **given)
    own = {"X_val": X.T[:5], "y_val": Y[0, :5]} if held_out else {}
    model.fit(X.T, Y[0], **own)
    return model.fingerprint_, model.n_iter_, len(model.loss_curve_)


RUNS = {
    "gd": functools.partial(trained, solver="gd", max_iter=5),
    "gd, validated": functools.partial(trained, solver="gd", max_iter=6, tol=1e-6, **HELD_OUT),
    "sgd, called back": functools.partial(
        trained, solver="sgd", max_iter=4, batch_size=5, callback=lambda told: None
    ),
    "adam": functools.partial(trained, solver="adam", max_iter=5, batch_size=5, seconds=0),
    "lbfgs": functools.partial(trained, solver="lbfgs", max_iter=5, seconds=0),
    "lbfgs, validated": functools.partial(trained, solver="lbfgs", max_iter=5, **HELD_OUT),
    "lm": functools.partial(trained, solver="lm", max_iter=12, seconds=0, alpha=0.1),
    "lm, validated": functools.partial(trained, solver="lm", max_iter=12, tol=1e-9, **HELD_OUT),
    "lm, evidence, called back": functools.partial(
        trained, solver="lm", max_iter=8, alpha="evidence", callback=lambda told: None
    ),
    "fit, lm": functools.partial(fitted, solver="lm", max_iter=12),
    "fit, lbfgs, validated": functools.partial(fitted, solver="lbfgs", max_iter=5, held_out=True),
    "fit, adam, early stopping": functools.partial(
        fitted, solver="adam", max_iter=4, early_stopping=True, batch_size=5
    ),
}


def interrupted(run, path, at):
    """A run that Ctrl-C meets at a line; the number of lines that it came to."""
    interruption = Interruption(at)
    before = sys.gettrace()
    sys.settrace(interruption)
    try:
        run(path)
    except KeyboardInterrupt:
        pass  # nothing to return yet
    finally:
        sys.settrace(before)
    return interruption.count


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "every"),
    [
        pytest.param(name, every, marks=[pytest.mark.proof] if every == 7 else [])
        for name, every in itertools.product(RUNS, (197, 7))
    ],
)
def test_ctrl_c_at_any_line_loses_nothing_and_changes_no_bit(tmp_path, name, every):
    run = RUNS[name]
    expected = run(tmp_path / "whole")
    n_lines = interrupted(run, tmp_path / "counted", None)
    assert n_lines > 300
    for at in range(1, n_lines, every):
        path = tmp_path / str(at)
        interrupted(run, path, at)
        assert run(path) == expected, at
