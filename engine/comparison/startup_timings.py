"""`engine compare startup` and `loading`: fresh processes, in turns.

Each runs a few lines of Python, with a compile cache of its own: imports and a first training, in
units of `import numba` of the same round; and a saved model's first answer.
"""

import json
import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

import numpy as np

from engine.comparison import timing
from engine.comparison.machine import About, about
from engine.comparison.timing import announced

CACHE = "NUMBA_CACHE_DIR"


def answer_of(code: str, changes: Mapping[str, str] | None = None) -> str:
    """What it prints, with those changes to the environment; ValueError if it fails."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **(changes or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ValueError(f"a fresh process that was timed failed: {reason[0]}")
    return done.stdout


def with_empty_caches(code: str, folder: Path) -> Callable[[], str]:
    """The same as a function, with an empty cache at each call, in that folder."""
    return lambda: answer_of(code, {CACHE: tempfile.mkdtemp(dir=folder)})


XNOR = """
import numpy as np
from engine import Network, train
X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
train(Network((2, 4, 1)), X, np.array([1, 0, 0, 1]), solver={solver!r}, learning_rate=0.1)
"""

BARE, NUMPY, NUMBA = "python, nothing more", "import numpy", "import numba"
ENGINE, WARM, COLD = "import engine", "train XNOR, warm cache", "train XNOR, empty cache"


class StartupEntry(TypedDict):
    """One kind of process."""

    seconds: timing.Spread
    over_bare: float  # seconds more than a process that does nothing, in the same round
    in_numba_imports: timing.Spread


class StartupFound(TypedDict):
    about: About
    rounds: int
    entries: dict[str, StartupEntry]


def measure_startup(rounds: int, n_threads: int, solver: str) -> StartupFound:
    """Start each process in turns. The caches are folders of this run alone."""
    trains = XNOR.format(solver=solver)
    with tempfile.TemporaryDirectory(prefix="engine-compare-") as folder:
        warm = {CACHE: str(Path(folder) / "warm")}
        empty = Path(folder) / "empty"
        empty.mkdir()
        acts: dict[str, Callable[[], str]] = {
            BARE: partial(answer_of, "pass"),
            NUMPY: partial(answer_of, "import numpy"),
            NUMBA: partial(answer_of, "import numba"),
            ENGINE: partial(answer_of, "import engine"),
            WARM: partial(answer_of, trains, warm),
            COLD: with_empty_caches(trains, empty),
        }
        for act in announced([(f"first {name}", act) for name, act in acts.items()]):
            act()
        seconds: dict[str, list[float]] = {name: [] for name in acts}
        for _ in announced([(f"round {number + 1}", None) for number in range(rounds)]):
            for name, times in timing.in_turns(acts, rounds=1).items():
                seconds[name] += times
    entries = {
        name: StartupEntry(
            seconds=timing.spread(times),
            over_bare=timing.difference(times, seconds[BARE]).median,
            in_numba_imports=timing.ratio(times, to=seconds[NUMBA]),
        )
        for name, times in seconds.items()
    }
    return StartupFound(about=about(n_threads, []), rounds=rounds, entries=entries)


SKLEARN = "scikit-learn, pickle"
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


class LoadingEntry(TypedDict):
    """One kind of process."""

    seconds: timing.Spread
    in_sklearns: timing.Spread  # as a share of scikit-learn's of the same round


class LoadingFound(TypedDict):
    about: About
    rounds: int
    network: str
    megabytes: float
    entries: dict[str, LoadingEntry]


def measure_loading(rounds: int, n_threads: int) -> LoadingFound:
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
            for name, times in timing.in_turns(acts, rounds=1).items():
                seconds[name] += times
        size = files["safetensors"].stat().st_size / 1e6
    entries = {
        name: LoadingEntry(
            seconds=timing.spread(times),
            in_sklearns=timing.ratio(times, to=seconds[SKLEARN]),
        )
        for name, times in seconds.items()
    }
    return LoadingFound(
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
