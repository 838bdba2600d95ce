"""Checkpoints that somebody made or changed are refused before any work, or change nothing.

`make fuzz-checkpoints` resumes from twenty thousand of them (tools/fuzz_checkpoints.py).
"""

import functools
import json
import os
import socket
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from engine import Checkpoint, CheckpointError, MLPClassifier, Network, train
from engine.cli import main
from engine.estimators.fit_identity import in_words
from engine.solvers.state import State
from engine.system.regular_files import new_regular, open_regular
from engine.training import checkpoint_files, checkpoint_restoration, lbfgs_evaluation_log
from engine.training.checkpoint import EVALUATIONS
from engine.training.checkpoint_restoration import Restoring
from tests import processes
from tools import fuzz_checkpoints, fuzz_workers
from tools.fuzz_checkpoint_forgery import CHANGES, FILES

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings(
        "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::engine.TrainingWarning"
    ),
]
NETWORK = Network((3, 4, 1))
ROWS = np.random.default_rng(0).normal(size=(60, 3))
CODES = (ROWS.sum(axis=1) > 0).astype(int)
GOOD = (fuzz_workers.REFUSED, fuzz_workers.UNCHANGED, fuzz_workers.ANOTHER)
JOBS = (
    "adam, weights, float64",
    "adam, validated, float32",
    "sgd, adaptive, float64",
    "gd, validated, float32",
    "lbfgs, float64",
    "MLPClassifier, early stopping, float64",
    "MLPClassifier, no seed, float32",
    "MLPRegressor, lbfgs, validated, float64",
)


def run(path=None, **others):
    settings = {"batch_size": 16, "max_iter": 6, "n_threads": 1, **others}
    return train(NETWORK, ROWS.T, CODES, checkpoint=path, **settings)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.ckpt"


def forged(path, **others):
    """Write a checkpoint again with other arrays or facts, and the right checksum."""
    saved = checkpoint_files.read(path)
    arrays = {**saved.arrays, **others.pop("arrays", {})}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    checkpoint_files.write(path, saved._replace(arrays=arrays, **others))


# Arrays and facts.


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """What a run of six epochs holds after three."""
    path = tmp_path_factory.mktemp("begun") / "run.ckpt"
    run(path, max_iter=3)
    return path.read_bytes()


CHANGED = {
    "first": lambda a: {"state.first": a["state.first"][:5]},
    "second": lambda a: {"state.second": a["state.second"][:5]},
    "theta": lambda a: {"state.theta": a["state.theta"][:5]},
    "no first": lambda a: {"state.first": None},
    "one too many": lambda a: {"x\x1b[2J": a["state.first"]},
    "dtype": lambda a: {"state.theta": a["state.theta"].astype("float32")},
    "no random": lambda a: {"state.random": a["state.random"][:0]},
    "random": lambda a: {"state.random": a["state.random"] + np.uint64(1)},
    "no sums": lambda a: {"state.sums": a["state.sums"][:0]},
    "rate": lambda a: {"state.sums": a["state.sums"] * [2, 1, 1, 1]},
    "lowest": lambda a: {"state.sums": a["state.sums"] * [1, 0.5, 1, 1]},
    "order beyond": lambda a: {"state.order": np.full_like(a["state.order"], 2**30)},
    "order short": lambda a: {"state.order": a["state.order"][:20]},
    "order twice": lambda a: {"state.order": a["state.order"] * 0},
    "another order": lambda a: {"state.order": a["state.order"][::-1].copy()},
    "counts": lambda a: {"state.counts": -a["state.counts"] - 1},
    "steps": lambda a: {"state.counts": a["state.counts"] + [1, 0, 0, 0, 0, 0]},
    "position": lambda a: {"state.counts": a["state.counts"] + [0, 0, 0, 1, 0, 0]},
    "infinite": lambda a: {"state.theta": a["state.theta"] * np.inf},
    "second below 0": lambda a: {"state.second": -a["state.second"] - 1},
    "rows": lambda a: {"watch.rows": a["watch.rows"][:2]},
    "cost": lambda a: {"watch.rows": a["watch.rows"] * [np.nan, 1, 1, 1, 1]},
    "time": lambda a: {"watch.rows": a["watch.rows"] * [1, 1, -1, 1, 1]},
    "result": lambda a: {"result.theta": a["result.theta"] + 1},
    "cost of the result": lambda a: {"result.cost": a["result.cost"] + 1},
}


@pytest.mark.parametrize("name", CHANGED)
def test_arrays_that_no_run_leaves_are_refused_before_anything_is_trained(path, begun, name):
    path.write_bytes(begun)
    forged(path, arrays=CHANGED[name](checkpoint_files.read(path).arrays))
    content = path.read_bytes()
    heard: list[Any] = []
    with pytest.raises(CheckpointError, match=r"not what this run can have written: ") as caught:
        run(path, callback=heard.append)
    said = str(caught.value)
    assert said.isprintable()
    assert said.endswith("Delete it to start anew, or put run.ckpt.previous in its place.")
    assert heard == []
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "name", ["rate", "average", "no average", "average of float32", "infinite average"]
)
def test_an_average_or_a_cosine_that_no_run_leaves_is_refused(path, name):
    given = {"average": 0.9, "schedule": "cosine", "X_val": ROWS[:9].T, "Y_val": CODES[:9]}

    def stop(told):
        if told.epoch == 3:
            raise KeyboardInterrupt

    run(Checkpoint(path, seconds=0), callback=stop, **given)
    arrays = checkpoint_files.read(path).arrays
    average = arrays["state.average"]
    changed = {
        "rate": {"state.sums": arrays["state.sums"] * [1 + 1e-15, 1, 1, 1]},
        "average": {"state.average": average + 0.1},
        "no average": {"state.average": average[:0]},
        "average of float32": {"state.average": average.astype(np.float32)},
        "infinite average": {"state.average": average * np.inf},
    }
    forged(path, arrays=changed[name])
    with pytest.raises(CheckpointError, match="not what this run can have written: "):
        run(path, **given)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"epochs": -1}, "does not say how many epochs"),
        ({"epochs": 3.0}, "does not say how many epochs"),
        ({"epochs": True}, "does not say how many epochs"),
        ({"epochs": "3"}, "does not say how many epochs"),
        ({"epochs": float("nan")}, "does not say how many epochs"),
        ({"epochs": 10**40}, "has reached epoch|watch.rows has shape"),
        ({"epochs": 2}, "watch.rows has shape"),
        ({"stopped": 3}, "does not say why its run ended"),
        ({"stopped": "max_time"}, "such a run cannot end for the reason"),
        ({"stopped": "converged"}, "such a run cannot end for the reason"),
        ({"stopped": "tol"}, "cannot have ended by 'tol'"),
        ({"run": []}, "does not say which run it is of"),
        ({"run": {"X": {"sha256": 3}}}, "belongs to another run"),
        ({"run": {"machine": [[]], "\x1b[2J": {}}}, "belongs to another run"),
    ],
)
def test_facts_that_no_run_leaves_are_refused(path, begun, facts, message):
    path.write_bytes(begun)
    forged(path, **facts)
    path.with_name("run.ckpt.previous").unlink()
    with pytest.raises(CheckpointError, match=message) as caught:
        run(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 3000


def test_arrays_that_lie_over_each_other_are_refused(path, begun):
    """A thousand names for the same bytes would fill the memory."""
    length = int.from_bytes(begun[:8], "little")
    header = json.loads(begun[8 : 8 + length])
    header |= {f"x{n}": header["state.theta"] for n in range(1000)}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + begun[8 + length :])
    with pytest.raises(CheckpointError, match="its arrays are not what follows its header"):
        run(path)


def test_a_range_below_0_does_not_make_up_for_arrays_that_lie_over_each_other(path, begun):
    length = int.from_bytes(begun[:8], "little")
    header = json.loads(begun[8 : 8 + length])
    begin, end = header["state.theta"]["data_offsets"]
    header["x"] = header["state.theta"]
    header["y"] = {"dtype": "F64", "shape": [0], "data_offsets": [end, begin]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + begun[8 + length :])
    with pytest.raises(CheckpointError, match="its arrays are not what follows its header"):
        run(path)


def test_a_value_of_any_length_is_shortened_in_the_message(path, begun):
    path.write_bytes(begun)
    deep: Any = "x" * 100
    for _ in range(3):
        deep = [deep] * 10
    forged(path, run={"solver": deep})
    with pytest.raises(CheckpointError, match=r"solver is 'adam' and was \[.*\.\.\.;") as caught:
        run(path)
    assert len(str(caught.value)) < 5000


def test_the_checkpoint_before_is_named_only_if_there_is_one(path, begun):
    path.write_bytes(begun)
    forged(path, arrays={"state.first": None})
    path.with_name("run.ckpt.previous").unlink()
    with pytest.raises(CheckpointError, match=r"Delete it to start anew\.$"):
        run(path)


def test_a_checkpoint_that_was_not_renamed_any_more_is_not_lost_at_the_next_write(path, begun):
    """The process was killed between the two renamings, and the next one while it writes."""
    path.with_name("run.ckpt.new").write_bytes(begun)

    def write_half(path, _):
        path.with_name("run.ckpt.new").write_bytes(b"half of it")
        raise KeyboardInterrupt

    with (
        mock.patch("engine.training.checkpoint.write", write_half),
        pytest.raises(KeyboardInterrupt),
    ):
        run(Checkpoint(path, seconds=0))
    assert "epoch 3" in run(path).plan.why


def test_a_message_names_the_file_that_is_of_another_run(path, begun):
    path.with_name("run.ckpt.new").write_bytes(begun)
    with pytest.raises(CheckpointError, match=r"run\.ckpt\.new belongs to another run: learning_r"):
        run(path, learning_rate=0.1)
    path.write_bytes(b"damaged")
    path.with_name("run.ckpt.previous").write_bytes(begun)
    with pytest.raises(CheckpointError, match=r"run\.ckpt\.previous belongs to another run: lear"):
        run(path, learning_rate=0.1)


def test_a_fit_that_converged_at_its_first_point_gives_its_result_again(path):
    model = MLPClassifier((4,), solver="lbfgs", tol=1e3, random_state=0, checkpoint=path)
    fingerprint = model.fit(ROWS, CODES).fingerprint_
    assert model.n_iter_ == 0
    assert model.fit(ROWS, CODES).fingerprint_ == fingerprint


def test_an_order_too_long_to_be_drawn_again_must_be_one_of_all_samples(path, begun, monkeypatch):
    monkeypatch.setattr(checkpoint_restoration, "MOST_DRAWS", 1)
    path.write_bytes(begun)
    assert run(path).fingerprint == run().fingerprint
    for change in ("order twice", "order beyond", "steps", "no random"):
        path.write_bytes(begun)
        forged(path, arrays=CHANGED[change](checkpoint_files.read(path).arrays))
        with pytest.raises(CheckpointError, match="not what this run can have written"):
            run(path)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_draws_of_a_fit_that_no_random_state_gives_are_refused(path, early_stopping):
    """And NumPy's own generator is where it was."""
    settings = {"early_stopping": early_stopping, "max_iter": 3, "checkpoint": path}
    for random_state in (0, None):
        path.unlink(missing_ok=True)
        model = MLPClassifier((4,), random_state=random_state, **settings)
        model.fit(ROWS, CODES)
        words = checkpoint_files.read(path).arrays["draws"]
        for n, other in ((3, 2**40), (624, 625), (3, int(words[3]) ^ 1)):
            changed = words.copy()
            changed[n] = other
            forged(path, arrays={"draws": changed})
            np.random.seed(5)  # noqa: NPY002
            with pytest.raises(CheckpointError, match="not what this run can have written"):
                model.fit(ROWS, CODES)
            assert np.random.randint(2**30) == np.random.RandomState(5).randint(2**30)  # noqa: NPY002


def test_curves_of_a_fit_that_contradict_each_other_are_refused(path):
    settings = {
        "hidden_layer_sizes": (4,),
        "early_stopping": True,
        "random_state": 0,
        "max_iter": 5,
    }

    def fit(**others):
        return MLPClassifier(**settings, **others).fit(ROWS, CODES).fingerprint_

    fit(checkpoint=path)
    content = path.read_bytes()
    arrays = checkpoint_files.read(path).arrays
    assert fit(checkpoint=path) == fit()
    for name in ("rows", "best_value", "best"):
        for changed in (arrays[f"watch.{name}"][:-1], arrays[f"watch.{name}"] + 1):
            path.write_bytes(content)
            forged(path, arrays={f"watch.{name}": changed})
            with pytest.raises(CheckpointError, match="not what this run can have written"):
                fit(checkpoint=path)


@pytest.mark.parametrize("what", ["cost", "gradient", "count"])
def test_evaluations_of_someone_else_are_refused(path, what):
    """Of the last one no later point depends: it is computed once more."""
    run(path, solver="lbfgs", batch_size=None, max_iter=3)
    log = path.with_name("run.ckpt" + EVALUATIONS)
    n = 4 + 8 + 8 * NETWORK.n_parameters + 4
    record = bytearray(log.read_bytes()[-n:-4])
    record[{"cost": 5, "gradient": 13, "count": 0}[what]] ^= 1
    crc = lbfgs_evaluation_log.CHECKSUM.pack(zlib.crc32(bytes(record)))
    if what == "count":
        forged(path, arrays={"evaluations": np.array([-5])})
    else:
        log.write_bytes(log.read_bytes()[:-n] + bytes(record) + crc)
    with pytest.raises(CheckpointError):
        run(path, solver="lbfgs", batch_size=None)


@pytest.mark.parametrize("solver", ["adam", "gd", "lbfgs"])
def test_a_run_that_a_callback_ended_gives_its_result_again(path, solver):
    settings = {"solver": solver, "tol": 1e-9}
    ended = run(path, callback=lambda iteration: iteration.epoch == 4, **settings)
    assert ended.stopped == "callback"
    again = run(path, **settings)
    assert (again.fingerprint, again.stopped) == (ended.fingerprint, "callback")


def test_the_best_of_gradient_descent_must_have_its_cost(path):
    """Ctrl-C would give it back; no other number depends on it."""
    run(path, solver="gd", max_iter=3)
    best = checkpoint_files.read(path).arrays["watch.best"]
    forged(path, arrays={"watch.best": best + 1})
    with pytest.raises(CheckpointError, match=r"watch\.best's cost is"):
        run(path, solver="gd")


def test_a_run_that_had_ended_by_tol_does_not_go_on(path):
    for solver in ("gd", "adam", "lbfgs"):
        path.unlink(missing_ok=True)
        settings = {"solver": solver, "tol": 1.0, "n_iter_no_change": 3, "max_iter": 50}
        ended = run(path, **settings)
        assert ended.stopped == "tol"
        forged(path, stopped=None)
        again = run(path, **settings)
        assert (again.stopped, again.n_iter) == ("tol", ended.n_iter)
        assert again.fingerprint == ended.fingerprint


# As many as take a second or two.


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    return fuzz_checkpoints.trials_in(tmp_path_factory.mktemp("whole"), 0, JOBS)


def tried(trials, number, folder):
    with warnings.catch_warnings(), mock.patch.object(os, "fsync"):
        warnings.simplefilter("ignore")
        case = trials.case_of(number)
        return case, trials.outcome_of(case, folder)


@pytest.mark.proof
def test_a_checkpoint_of_any_seed_is_refused_or_of_no_consequence(trials, tmp_path):
    kinds = set()
    for number in range(250):
        case, (outcome, reason) = tried(trials, number, tmp_path / "run")
        assert outcome in GOOD, f"{case.kind} of {case.whole.name}: {reason}"
        kinds.add(case.kind)
    assert kinds == {*CHANGES, *FILES, "damaged"}


@pytest.mark.proof
def test_an_engine_that_believes_a_checkpoint_is_found_out(trials, tmp_path):
    def believing(self, arrays, prefix):
        return State(*(arrays[f"{prefix}.{name}"] for name in State._fields))

    exchanged = [
        number
        for number in range(4000, 4600)
        if (case := trials.case_of(number)).kind == "another order"
        and case.whole.name.startswith(("adam, validated", "sgd"))
        and case.whole.name.endswith(("middle", "late"))
    ]
    with mock.patch.object(Restoring, "state", believing):
        seen = []
        for number in exchanged:
            case = trials.case_of(number)
            if sorted(checkpoint_files_order(case)) == list(range(40)):
                seen.append(tried(trials, number, tmp_path / "run")[1])
    assert (fuzz_workers.FAILURE, "resumes with other bits") in seen


def checkpoint_files_order(case):
    """The order in a forged file: what is none would be written beyond."""
    import safetensors.numpy

    arrays = safetensors.numpy.load(case.content)
    return arrays["state.order"].tolist() if "state.order" in arrays else []


@pytest.mark.proof
def test_the_command_finds_nothing(tmp_path):
    counts = tmp_path / "fuzz.json"
    arguments = ("--files", "3000", "--seed", "5", "--json", counts)
    done = processes.run("-m", "tools.fuzz_checkpoints", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(counts.read_text())
    assert sum(found["outcomes"].values()) == 3000
    assert found["failures"] == []


# Special files.

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")


def pipe(place):
    os.mkfifo(place)


def link(place):
    (place.parent / "elsewhere").write_bytes(b"of somebody")
    place.symlink_to(place.parent / "elsewhere")


def dangling_link(place):
    place.symlink_to(place.parent / "nowhere")


def folder(place):
    place.mkdir()


def bound_socket(place):
    with socket.socket(socket.AF_UNIX) as bound:
        before = Path.cwd()
        os.chdir(place.parent)  # the name of a socket must be short
        try:
            bound.bind(place.name)
        finally:
            os.chdir(before)


KINDS = {
    "a pipe": pipe,
    "a symbolic link": link,
    "a dangling link": dangling_link,
    "a folder": folder,
    "a socket": bound_socket,
}


@posix
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", [".new", ".previous", ".evaluations", ".lock", ".damaged"])
def test_what_is_no_file_beside_a_checkpoint_is_refused_at_once(path, ending, kind):
    other = path.with_name(path.name + ending)
    KINDS[kind](other)
    name = kind.replace("dangling", "symbolic")
    with pytest.raises(CheckpointError, match=rf"run.ckpt{ending}, which .* is {name} and must be"):
        run(path, solver="lbfgs")
    if kind == "a symbolic link":
        assert other.read_bytes() == b"of somebody"
    assert not path.with_name("nowhere").exists()
    assert not path.exists()


@posix
@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a socket"])
@pytest.mark.parametrize("by_a_link", [False, True])
def test_what_is_no_file_is_no_checkpoint(path, kind, by_a_link):
    KINDS[kind](path)
    named = path
    if by_a_link:
        named = path.with_name("link")
        named.symlink_to(path)
    with pytest.raises(CheckpointError, match=rf"{named.name} is {kind}; name a file\. Nothing"):
        run(named)


@posix
def test_the_command_refuses_a_pipe_before_it_reads_the_table(path, capsys):
    os.mkfifo(path)
    table = path.with_name("t.csv")
    table.write_text("x,y\n1,2\n")
    with pytest.raises(SystemExit) as ended:
        main.main(["train", str(table), "--target", "y", "--checkpoint", str(path)])
    assert ended.value.code == main.WRONG_USE
    said = " ".join(capsys.readouterr().err.split())
    assert "is a pipe; name a file. Nothing was trained." in said


@posix
@pytest.mark.parametrize("name", ["/dev/null", "/dev/fd/{}"])
def test_devices_and_pipes_of_a_shell_are_refused(name):
    reading, writing = os.pipe()
    with pytest.raises(CheckpointError, match=r"is a (device|pipe); name a file"):
        run(name.format(writing))
    os.close(reading)
    os.close(writing)


@posix
@pytest.mark.parametrize("exists", [False, True])
def test_the_files_of_a_link_stand_where_it_leads(tmp_path, exists):
    (tmp_path / "disk").mkdir()
    target, named = tmp_path / "disk" / "own.ckpt", tmp_path / "run.ckpt"
    named.symlink_to(target)
    if exists:
        run(target, max_iter=3)
    assert run(named).fingerprint == run().fingerprint
    assert named.is_symlink()
    assert "went on from" in run(target).plan.why
    assert sorted(os.listdir(tmp_path)) == ["disk", "run.ckpt"]


@posix
def test_a_pipe_that_comes_later_ends_no_run(path):
    def come(iteration):
        if iteration.epoch == 3:
            os.mkfifo(f"{path}.new")

    with pytest.warns(UserWarning, match="written to .*: it is a pipe and no regular file. Train"):
        result = run(Checkpoint(path, epochs=1), callback=come)
    assert result.fingerprint == run().fingerprint


def test_other_names_of_a_file_keep_its_contents(path):
    other = path.with_name("other")
    other.write_bytes(b"of somebody")
    for ending in (".new", ".evaluations"):
        os.link(other, f"{path}{ending}")
    run(path, solver="lbfgs")
    assert other.read_bytes() == b"of somebody"


@posix
def test_a_link_or_a_pipe_of_a_moment_ago_is_not_opened(path):
    link(path)
    for opened in (functools.partial(open_regular, flags=os.O_RDWR), new_regular):
        with pytest.raises(OSError, match="it is a symbolic link and no regular file"):
            opened(path)
    path.unlink()
    pipe(path)
    for flags in (os.O_RDONLY, os.O_RDWR, os.O_WRONLY):
        with pytest.raises(OSError, match="it is a pipe and no regular file"):
            open_regular(path, flags)


@pytest.mark.parametrize("letter", ["x", "ü", "語"])
def test_a_name_too_long_for_the_files_beside_it_is_refused_at_the_start(tmp_path, letter):
    most = 255 - len(EVALUATIONS)
    fits = letter * (most // len(letter.encode()))
    assert run(tmp_path / fits, max_iter=2).n_iter == 2
    with pytest.raises(CheckpointError, match=r"is too long: .* shorter name"):
        run(tmp_path / (fits + letter * 3))
    assert len(os.listdir(tmp_path)) == 1


# Functions of users.


def of_itself():
    def scorer(model, X, y, again=True):
        return scorer(model, X, y, False) if again else float((model.predict(X) == y).mean())

    return scorer


def of_each_other():
    def one(model, X, y, again=True):
        return other(model, X, y) if again else float((model.predict(X) == y).mean())

    def other(model, X, y):
        return one(model, X, y, False)

    return one


def of_a_name_that_comes_later(comes=False):
    def scorer(model, X, y):
        return later if X is None else float((model.predict(X) == y).mean())

    if comes:
        later = 1.0
    return scorer


class Holding:
    """Holds itself, and what cannot be pickled."""

    def __init__(self, add=0.0):
        self.me = [self]
        self.lock = threading.Lock()
        self.more = lambda score: score + add

    def __call__(self, model, X, y):
        return self.more(float((model.predict(X) == y).mean()))

    def method(self, model, X, y):
        return self(model, X, y)


class Slots:
    """Has no dictionary."""

    __slots__ = ("add", "me")

    def __init__(self, add=0.0):
        self.add = lambda: add
        self.me = self

    def __call__(self, model, X, y):
        return self.add() + float((model.predict(X) == y).mean())


def of_a_partial():
    return functools.partial(of_itself(), again=True)


def of_a_method():
    return Holding().method


SCORERS = [of_itself, of_each_other, of_a_name_that_comes_later, Holding, Slots, of_a_partial]
SCORERS.append(of_a_method)


@pytest.mark.parametrize("make", SCORERS)
def test_a_scorer_that_names_itself_fits_as_without_a_checkpoint(path, make):
    def fit(checkpoint, max_iter=4):
        settings = {"hidden_layer_sizes": (3,), "random_state": 0, "early_stopping": True}
        return MLPClassifier(
            **settings, max_iter=max_iter, scoring=make(), checkpoint=checkpoint
        ).fit(ROWS, CODES)

    fit(path, 2)
    resumed = fit(path)
    assert "went on from" in resumed.plan_.why
    assert resumed.fingerprint_ == fit(None).fingerprint_


def test_scorers_that_cannot_be_pickled_are_told_apart():
    scorers = [Holding(), Holding(1.0), Slots(), Slots(1.0), Holding().method, Holding(1.0).method]
    words = [json.dumps(in_words(scorer)) for scorer in scorers]
    assert len(set(words)) == len(words)
    assert [json.dumps(in_words(scorer)) for scorer in scorers] == words


def test_an_argument_that_is_no_number_is_equal_to_itself():
    scorer = functools.partial(print, float("nan"))
    assert in_words(scorer) == json.loads(json.dumps(in_words(scorer)))


def test_a_scorer_of_objects_within_objects_is_refused_in_plain_words(path):
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    scorer = functools.partial(of_itself(), X=deep)
    settings = {"early_stopping": True, "checkpoint": path, "max_iter": 2}
    with pytest.raises(CheckpointError, match=r"nested too deeply for .*checkpoint=None"):
        MLPClassifier((3,), scoring=scorer, **settings).fit(ROWS, CODES)
    while deep:
        deep = deep[0]


def test_a_fit_that_began_on_dask_knows_its_order_here(path):
    """There none is kept, as each step takes all samples; a later fit here shuffles its own."""
    settings = {"hidden_layer_sizes": (4,), "batch_size": 60, "random_state": 0, "warm_start": True}
    here = MLPClassifier(**settings, max_iter=2).fit(ROWS, CODES)
    MLPClassifier(**settings, max_iter=2, checkpoint=path).fit(ROWS, CODES)
    order = checkpoint_files.read(path).arrays["state.order"]
    forged(path, arrays={"state.order": order * 0, "finite.order": order * 0})
    resumed = MLPClassifier(**settings, max_iter=2, checkpoint=path).fit(ROWS, CODES)
    np.testing.assert_array_equal(resumed._optimizer.order, here._optimizer.order)
    assert sorted(order.tolist()) == list(range(60))
