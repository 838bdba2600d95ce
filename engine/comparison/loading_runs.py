"""`engine compare loading`: from a fresh process to a saved model's first answer, in turns."""

import json
import pickle
import tempfile
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

import numpy as np

from engine.comparison import measure
from engine.comparison.fresh_process import CACHE, answer_of, with_empty_caches
from engine.comparison.machine import About, about
from engine.comparison.progress import announced

BARE, SKLEARN = "python, nothing more", "scikit-learn, pickle"
FIRST = "engine.load, predict_proba"
KERNELS = "engine.load, predictor()"
EMPTY = ", empty cache"
PIPELINE = "engine.load of a .skops file"

BY_PICKLE = """
import pickle
with open({file!r}, "rb") as file:
    model = pickle.load(file)
print(model.predict_proba([{row}])[0].tolist())
"""
BY_LOAD = """
import engine
print(engine.load({file!r}).predict_proba([{row}])[0].tolist())
"""
BY_KERNELS = """
import engine
print(engine.load({file!r}).predictor().predict_proba({row}).tolist())
"""


class Entry(TypedDict):
    """One kind of process."""

    seconds: measure.Spread
    in_sklearns: measure.Spread  # as a share of scikit-learn's of the same round


class Found(TypedDict):
    about: About
    rounds: int
    network: str
    megabytes: float
    entries: dict[str, Entry]


def measure_all(rounds: int, n_threads: int) -> Found:
    """Save one model for each, and start each process in turns; all must give one answer."""
    with tempfile.TemporaryDirectory(prefix="engine-compare-") as name:
        folder = Path(name)
        files, row = saved_models(folder)
        codes = {
            SKLEARN: BY_PICKLE.format(file=str(files["pickle"]), row=row),
            FIRST: BY_LOAD.format(file=str(files["safetensors"]), row=row),
            KERNELS: BY_KERNELS.format(file=str(files["safetensors"]), row=row),
        }
        if "skops" in files:
            codes[PIPELINE] = BY_LOAD.format(file=str(files["skops"]), row=row)
        warm = {CACHE: str(folder / "warm")}
        acts: dict[str, Callable[[], str]] = {BARE: partial(answer_of, "pass", warm)}
        acts |= {name: partial(answer_of, code, warm) for name, code in codes.items()}
        for name in (FIRST, KERNELS):
            acts[name + EMPTY] = with_empty_caches(codes[name], folder)
        firsts = announced([(f"first {name}", (name, act)) for name, act in acts.items()])
        require_one_answer({name: act() for name, act in firsts})
        seconds: dict[str, list[float]] = {name: [] for name in acts}
        for _ in announced([(f"round {number + 1}", None) for number in range(rounds)]):
            for name, times in measure.in_turns(acts, rounds=1).items():
                seconds[name] += times
        size = files["safetensors"].stat().st_size / 1e6
    entries = {
        name: Entry(
            seconds=measure.spread(times),
            in_sklearns=measure.ratio(times, to=seconds[SKLEARN]),
        )
        for name, times in seconds.items()
    }
    return Found(
        about=about(n_threads, []),
        rounds=rounds,
        network="30-100-1, float64",
        megabytes=size,
        entries=entries,
    )


def saved_models(folder: Path) -> tuple[dict[str, Path], list[float]]:
    """scikit-learn's model in a pickle, ours in files, trained alike; and a row to ask them for."""
    from sklearn import neural_network
    from sklearn.datasets import load_breast_cancer

    from engine import MLPClassifier, save

    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    endings = ["pickle", "safetensors"] + ["skops"] * (find_spec("skops") is not None)
    files = {ending: folder / f"model.{ending}" for ending in endings}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that five epochs are few
        theirs = neural_network.MLPClassifier(max_iter=5, random_state=0).fit(X, y)
        ours = MLPClassifier(max_iter=5, random_state=0).fit(X, y)
    files["pickle"].write_bytes(pickle.dumps(theirs))
    for ending in endings[1:]:
        save(files[ending], ours, X=X)
    return files, X[0].tolist()


def require_one_answer(answers: Mapping[str, str]) -> None:
    """ValueError unless all that were asked give the same probabilities, to rounding."""
    given = {name: json.loads(answer) for name, answer in answers.items() if name != BARE}
    for name, answer in given.items():
        if not np.allclose(answer, given[SKLEARN], rtol=1e-9, atol=1e-12):
            raise ValueError(f"{name} gives {answer}, and {SKLEARN} {given[SKLEARN]}")
