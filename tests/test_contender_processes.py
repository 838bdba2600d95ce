"""Contenders in processes of their own: same results, own clocks, and nobody takes others along."""

import re
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engine.comparison import contenders, environments, jobs, processes, training_runs
from engine.comparison.problems import Problem, Task
from engine.comparison.processes import PACKAGE, ContenderFailed, Processes
from tests.test_public_names import modules_after

pytestmark = pytest.mark.compiled

SMALL = Problem((3, 4, 1), 40, 16)

# In place of scikit-learn's job: what it does in the call numbered as such, from 1.
FAKE = """
import os, sys, time
import numpy as np

calls = 0

class SklearnJob:
    def __init__(self, task):
        self.task = task

    def prepare(self, epochs, shuffle):
        def run():
            global calls
            calls += 1
            {action}
            return np.asarray(self.task.theta)
        return run

    def parameters(self, result):
        return result
"""
ACTIONS = {
    "raises": 'raise RuntimeError("out of luck\\n  and time")',
    "dies": "os._exit(7)",
    "hangs": "time.sleep(60)",
}


def package_with(folder, action):
    """A copy of this package in which scikit-learn's job does something else."""
    copy = folder / "copy"
    shutil.copytree(PACKAGE, copy / "engine", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "engine" / "comparison" / "sklearn_job.py").write_text(FAKE.format(action=action))
    return copy


@pytest.fixture
def faking(tmp_path, monkeypatch):
    """faking(action): from now on, scikit-learn's process does that."""

    def fake(action):
        home = Processes._home_of
        path = str(package_with(tmp_path, action))

        def home_of(self, name):
            return (Path(sys.executable), path) if name == "sklearn" else home(self, name)

        monkeypatch.setattr(Processes, "_home_of", home_of)

    for name, value in {
        "CHECKED_STEPS": 3,
        "SECONDS_PER_TIMING": 1e-9,
        "EPOCHS_PER_TIMING": 1,
    }.items():
        monkeypatch.setattr(training_runs, name, value)
    return fake


def compared(names, limit=300.0, rounds=2):
    with Processes(limit=limit) as started:
        return training_runs.compare(SMALL, "float64", names, rounds, 1, started.job)


@pytest.mark.parametrize("name", ["tiled", "numpy", "sklearn"])
def test_a_contender_reaches_the_same_bits_in_a_process_of_its_own(name):
    task = Task(SMALL, "float32", seed=3)
    here = jobs.job(name, task)
    expected = here.parameters(here.prepare(4, True)())
    with Processes() as started:
        there = started.job(name, task)
        found = there.parameters(there.prepare(4, True)())
    assert found.tobytes() == expected.tobytes()
    assert found.dtype == expected.dtype


def test_earlier_results_are_kept_beside_later_ones():
    with Processes() as started:
        job = started.job("numpy", Task(SMALL, "float64"))
        few, many = job.prepare(1, False), job.prepare(30, False)
        few(), many()
        assert not np.array_equal(job.parameters(few), job.parameters(many))


def test_the_time_is_the_contenders_own_and_within_the_one_seen_here():
    with Processes() as started:
        act = started.job("numpy", Task(SMALL, "float64")).prepare(20, True)
        act()
        start = time.perf_counter()
        took = act.seconds()
        assert 0 < took < time.perf_counter() - start


def test_a_task_that_is_saved_and_loaded_is_the_same_to_the_bit(tmp_path):
    task = Task(Problem((3, 5, 4), 30, 7, "softmax", "relu"), "float32", n_threads=2, seed=9)
    task.save(tmp_path / "task.npz")
    again = Task.loaded(tmp_path / "task.npz")
    assert again == task
    for one, other in zip((*task.data, task.theta), (*again.data, again.theta), strict=True):
        assert (one.dtype, one.tobytes()) == (other.dtype, other.tobytes())
    views = task.network.views(task.theta)
    for (W, b), (V, c) in zip(again.layers, views, strict=True):
        np.testing.assert_array_equal(W, V)
        np.testing.assert_array_equal(b, c)


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (ACTIONS["raises"], "out of luck and time"),
        (ACTIONS["dies"], "its process ended with status 7"),
        (ACTIONS["hangs"], r"took too long: no answer within 20 seconds \(--limit\)"),
    ],
    ids=ACTIONS,
)
def test_who_fails_dies_or_hangs_is_a_marked_row_and_the_others_have_times(action, reason, faking):
    faking(action)
    row = compared(["numpy", "sklearn"], limit=20)  # neither compiles
    assert row["base"] == "numpy"
    assert list(row["entries"]["sklearn"]) == ["failed"]
    assert re.search(reason, row["entries"]["sklearn"]["failed"])
    assert row["entries"]["numpy"]["ratio"].median > 0


def test_who_dies_in_the_rounds_is_a_marked_row_as_well(faking):
    # It trains nobody, so its costs would be void; without a check, it comes to the rounds.
    faking("if calls > 4: os._exit(9)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_runs, "mark_void", lambda *_: None)
        row = compared(["tiled", "sklearn", "numpy"], rounds=5)
    assert row["entries"]["sklearn"] == {"failed": "its process ended with status 9"}
    assert row["entries"]["numpy"]["ratio"].median > 0


def test_where_the_base_dies_in_the_rounds_nobody_is_compared_with_it(faking):
    faking("if calls > 4: os._exit(9)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_runs, "mark_void", lambda *_: None)
        row = compared(["sklearn", "numpy"], rounds=5)
    assert (row["base"], row["rates"]) == (None, None)
    assert "failed" in row["entries"]["sklearn"]
    assert "ratio" not in row["entries"]["numpy"]


def test_who_died_takes_part_again_in_the_next_problem(faking):
    faking("if self.task.seed == 1: os._exit(5)")
    with Processes() as started:
        job = started.job("sklearn", Task(SMALL, "float64", seed=1))
        with pytest.raises(ContenderFailed, match="status 5"):
            job.prepare(1, False)()
        job = started.job("sklearn", Task(SMALL, "float64", seed=2))
        assert job.prepare(1, False)()


def test_what_a_library_prints_is_no_answer(faking, capfd):
    faking('print("{\\"found\\": 1}"); sys.stdout.flush()')
    task = Task(SMALL, "float64")
    with Processes() as started:
        job = started.job("sklearn", task)
        np.testing.assert_array_equal(job.parameters(job.prepare(1, False)()), task.theta)
    assert '{"found": 1}' in capfd.readouterr().err


def test_no_process_is_left_behind():
    with Processes() as started:
        started.job("numpy", Task(SMALL, "float64"))
        process = started._processes["numpy"]
        assert process.is_alive
    assert not process.is_alive


def test_a_peers_process_loads_nothing_that_has_to_be_compiled():
    loaded = modules_after("import engine.comparison.contender_process")
    assert loaded & {"numba", "scipy", "sklearn", "torch", "jax"} == set()


# Environments of their own.


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder for environments that is not the user's."""
    monkeypatch.setattr(environments, "cache_root", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "peers"


@pytest.fixture
def own_sklearn(cache):
    """An environment with scikit-learn: a script that leaves a note, and runs this interpreter."""
    if sys.platform == "win32":
        pytest.skip("the stand-in is a shell script")
    python = cache / "scikit-learn" / "bin" / "python"
    python.parent.mkdir(parents=True)
    note = cache / "note"
    python.write_text(
        f'#!/bin/sh\necho "$PYTHONPATH" >> {note}\nexec {sys.executable} "$@"\n', encoding="utf-8"
    )
    python.chmod(0o755)
    return note


def test_a_peer_that_is_not_here_runs_in_its_own_environment(own_sklearn, monkeypatch):
    monkeypatch.setattr(processes, "installed_version", lambda name: None)
    task = Task(SMALL, "float64")
    here = jobs.job("sklearn", task)
    with Processes() as started:
        there = started.job("sklearn", task)
        found = there.parameters(there.prepare(2, False)())
        given = Path(own_sklearn.read_text().strip())
        assert [path.name for path in given.iterdir()] == ["engine"]  # and no neighbours
    assert found.tobytes() == here.parameters(here.prepare(2, False)()).tobytes()


def test_a_peer_that_is_here_runs_here_unless_told_otherwise(own_sklearn):
    task = Task(SMALL, "float64")
    with Processes() as started:
        started.job("sklearn", task)
    assert not own_sklearn.exists()
    with Processes(own_environments=("scikit-learn",)) as started:
        started.job("sklearn", task)
    assert own_sklearn.exists()


def test_an_environment_that_is_asked_for_and_not_there_is_said_with_the_command(cache):
    with (
        Processes(own_environments=("torch",)) as started,
        pytest.raises(ContenderFailed, match="engine compare environments torch"),
    ):
        started.job("torch", Task(SMALL, "float64"))


def test_a_peer_in_an_environment_of_its_own_takes_part(own_sklearn, monkeypatch):
    monkeypatch.setattr(contenders, "own_python", environments.own_python)
    monkeypatch.setattr(contenders, "installed_version", lambda name: None)
    names, absent = contenders.entrants(["sklearn", "jax"])
    assert names == ["sklearn"]
    assert absent == ["jax is not installed: pip install jax, or engine compare environments jax"]


def test_what_pip_cannot_install_is_said_and_the_environment_before_stays(own_sklearn, monkeypatch):
    def refuse(command, **_):
        assert command[-2:] == ["numpy", "scikit-learn==0"]
        return type("Done", (), {"returncode": 1, "stderr": "x\nERROR: No matching distribution"})

    monkeypatch.setattr("venv.create", lambda path, with_pip: path.mkdir())
    monkeypatch.setattr("subprocess.run", refuse)
    with pytest.raises(ValueError, match=r"could not install 'scikit-learn==0': ERROR: No match"):
        environments.make("scikit-learn", "scikit-learn==0")
    assert environments.own_python("scikit-learn") is not None
    assert [path.name for path in environments.folder().iterdir()] == ["scikit-learn"]


def test_an_environment_is_removed_once(own_sklearn):
    assert environments.remove("scikit-learn")
    assert not environments.remove("scikit-learn")
    assert environments.own_python("scikit-learn") is None
