"""Contenders in processes of their own: same results, own clocks, and nobody takes others along."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engine.comparison import environments, jobs, libraries, training_timings
from engine.comparison.library_processes import LibraryFailed, LibraryProcesses
from engine.comparison.problems import Problem, TrainingTask
from tests.fake_peer import fake
from tests.processes import start
from tests.test_public_names import modules_after

pytestmark = pytest.mark.compiled

SMALL = Problem((3, 4, 1), 40, 16)

ACTIONS = {
    "raises": 'raise RuntimeError("out of luck\\n  and time")',
    "dies": "os._exit(7)",
    "crashes": "os.kill(os.getpid(), signal.SIGSEGV)",
    "hangs": "time.sleep(60)",
}


@pytest.fixture
def faking(tmp_path, monkeypatch):
    """faking(action): from now on, scikit-learn's process does that in each call."""
    for name, value in {
        "CHECKED_STEPS": 3,
        "SECONDS_PER_TIMING": 1e-9,
        "EPOCHS_PER_TIMING": 1,
    }.items():
        monkeypatch.setattr(training_timings, name, value)
    return lambda action: fake(action, tmp_path, monkeypatch)


def compared(names, limit=300.0, rounds=2):
    with LibraryProcesses(limit=limit) as started:
        return training_timings.compare(SMALL, "float64", names, rounds, 1, started.job)


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["tiled", "numpy", "sklearn"])
def test_a_contender_reaches_the_same_bits_in_a_process_of_its_own(name):
    task = TrainingTask(SMALL, "float32", seed=3)
    here = jobs.job(name, task)
    expected = here.parameters(here.prepare(4, True)())
    with LibraryProcesses() as started:
        there = started.job(name, task)
        found = there.parameters(there.prepare(4, True)())
    assert found.tobytes() == expected.tobytes()
    assert found.dtype == expected.dtype


@pytest.mark.proof
def test_earlier_results_are_kept_beside_later_ones():
    with LibraryProcesses() as started:
        job = started.job("numpy", TrainingTask(SMALL, "float64"))
        few, many = job.prepare(1, False), job.prepare(30, False)
        few(), many()
        assert not np.array_equal(job.parameters(few), job.parameters(many))


@pytest.mark.proof
def test_the_time_is_the_contenders_own_and_within_the_one_seen_here():
    with LibraryProcesses() as started:
        act = started.job("numpy", TrainingTask(SMALL, "float64")).prepare(20, True)
        act()
        start = time.perf_counter()
        took = act.seconds()
        assert 0 < took < time.perf_counter() - start


def test_a_task_that_is_saved_and_loaded_is_the_same_to_the_bit(tmp_path):
    task = TrainingTask(
        Problem((3, 5, 4), 30, 7, "softmax", "relu"), "float32", n_threads=2, seed=9
    )
    task.save(tmp_path / "task.npz")
    again = TrainingTask.loaded(tmp_path / "task.npz")
    assert again == task
    for one, other in zip((*task.data, task.theta), (*again.data, again.theta), strict=True):
        assert (one.dtype, one.tobytes()) == (other.dtype, other.tobytes())
    views = task.network.views(task.theta)
    for (W, b), (V, c) in zip(again.layers, views, strict=True):
        np.testing.assert_array_equal(W, V)
        np.testing.assert_array_equal(b, c)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (ACTIONS["raises"], "out of luck and time"),
        (ACTIONS["dies"], "its process ended with status 7"),
        (ACTIONS["crashes"], "its process was ended by SIGSEGV$"),
        (ACTIONS["hangs"], r"took too long: more than 20 seconds on this problem \(--limit\)"),
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


@pytest.mark.proof
def test_the_limit_is_for_all_that_a_contender_does_with_a_problem(faking):
    faking("time.sleep(2)")  # twice, to be checked
    row = compared(["sklearn"], limit=3)
    assert "took too long: more than 3 seconds" in row["entries"]["sklearn"]["failed"]


@pytest.mark.proof
def test_who_dies_in_the_rounds_is_a_marked_row_as_well(faking):
    # It trains nobody, so its costs would be void; without a check, it comes to the rounds.
    faking("if calls > 4: os._exit(9)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_timings, "mark_void", lambda *_: None)
        row = compared(["tiled", "sklearn", "numpy"], rounds=5)
    assert row["entries"]["sklearn"] == {"failed": "its process ended with status 9"}
    assert row["entries"]["numpy"]["ratio"].median > 0


@pytest.mark.proof
def test_where_the_base_dies_in_the_rounds_nobody_is_compared_with_it(faking):
    faking("if calls > 4: os._exit(9)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_timings, "mark_void", lambda *_: None)
        row = compared(["sklearn", "numpy"], rounds=5)
    assert (row["base"], row["rates"]) == (None, None)
    assert "failed" in row["entries"]["sklearn"]
    assert "ratio" not in row["entries"]["numpy"]


def test_who_died_takes_part_again_in_the_next_problem(faking):
    faking("if self.task.seed == 1: os._exit(5)")
    with LibraryProcesses() as started:
        job = started.job("sklearn", TrainingTask(SMALL, "float64", seed=1))
        with pytest.raises(LibraryFailed, match="status 5"):
            job.prepare(1, False)()
        job = started.job("sklearn", TrainingTask(SMALL, "float64", seed=2))
        assert job.prepare(1, False)()


def test_what_a_library_prints_is_no_answer(faking, capfd):
    faking('print("{\\"found\\": 1}"); sys.stdout.flush()')
    task = TrainingTask(SMALL, "float64")
    with LibraryProcesses() as started:
        job = started.job("sklearn", task)
        np.testing.assert_array_equal(job.parameters(job.prepare(1, False)()), task.theta)
    assert '{"found": 1}' in capfd.readouterr().err


def test_no_process_is_left_behind():
    with LibraryProcesses() as started:
        started.job("numpy", TrainingTask(SMALL, "float64"))
        process = started._processes["numpy"]
        assert process.is_alive
    assert not process.is_alive


def gone(number):
    """Whether a process is over, or will be within a minute."""
    for _ in range(600):
        status = Path(f"/proc/{number}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are seen in /proc")
def test_what_a_contender_started_ends_with_it(faking, tmp_path):
    note = tmp_path / "note"
    faking(f"open({str(note)!r}, 'w').write(str(subprocess.Popen(['sleep', '600']).pid))")
    with LibraryProcesses() as started:
        started.job("sklearn", TrainingTask(SMALL, "float64")).prepare(1, False)()
        assert Path(f"/proc/{note.read_text()}").exists()
    assert gone(note.read_text())


def hang(note):
    """Start a contender that notes its number and hangs, and wait for it."""
    with pytest.MonkeyPatch.context() as patch:
        action = f"open({note!r} + '.new', 'w').write(str(os.getpid()))"
        action += f"; os.rename({note!r} + '.new', {note!r}); time.sleep(600)"
        fake(action, Path(note).parent, patch)
        with LibraryProcesses() as started:
            started.job("sklearn", TrainingTask(SMALL, "float64")).prepare(1, False)()


@pytest.mark.proof
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are seen in /proc")
@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
def test_contenders_end_with_the_one_who_asks(how, tmp_path):
    note = tmp_path / "note"
    code = f"from tests.comparison.test_contender_processes import hang; hang({str(note)!r})"
    asking = start("-c", code, cwd=tmp_path)
    try:
        while not note.exists():
            assert asking.poll() is None, asking.communicate()
            time.sleep(0.05)
        assert not asking.poll()
        asking.send_signal(getattr(signal, how))
        assert gone(note.read_text())
    finally:
        asking.kill()
        if note.exists() and Path(f"/proc/{note.read_text()}").exists():
            os.kill(int(note.read_text()), signal.SIGKILL)
        asking.communicate()


def test_a_peers_process_loads_nothing_that_has_to_be_compiled():
    loaded = modules_after("import engine.comparison.library_worker")
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


@pytest.mark.proof
def test_a_peer_that_is_not_here_runs_in_its_own_environment(own_sklearn, monkeypatch):
    monkeypatch.setattr(environments, "installed_version", lambda name: None)
    task = TrainingTask(SMALL, "float64")
    here = jobs.job("sklearn", task)
    with LibraryProcesses() as started:
        there = started.job("sklearn", task)
        found = there.parameters(there.prepare(2, False)())
        given = Path(own_sklearn.read_text().strip())
        assert [path.name for path in given.iterdir()] == ["engine"]  # and no neighbours
    assert found.tobytes() == here.parameters(here.prepare(2, False)()).tobytes()


@pytest.mark.proof
def test_a_peer_that_is_here_runs_here_unless_told_otherwise(own_sklearn):
    task = TrainingTask(SMALL, "float64")
    with LibraryProcesses() as started:
        started.job("sklearn", task)
    assert not own_sklearn.exists()
    with LibraryProcesses(own_environments=("scikit-learn",)) as started:
        started.job("sklearn", task)
    assert own_sklearn.exists()


def test_an_environment_that_is_asked_for_and_not_there_is_said_with_the_command(cache):
    with (
        LibraryProcesses(own_environments=("torch",)) as started,
        pytest.raises(LibraryFailed, match="engine compare environments torch"),
    ):
        started.job("torch", TrainingTask(SMALL, "float64"))


def test_a_peer_in_an_environment_of_its_own_takes_part(own_sklearn, monkeypatch):
    monkeypatch.setattr(libraries, "own_python", environments.own_python)
    monkeypatch.setattr(libraries, "installed_version", lambda name: None)
    names, absent = libraries.available_libraries(["sklearn", "jax"])
    assert names == ["sklearn"]
    assert absent == ["jax is not installed: pip install jax, or engine compare environments jax"]


def test_what_pip_cannot_install_is_said_and_the_environment_before_stays(own_sklearn, monkeypatch):
    def refuse(command, **_):
        assert command[-2:] == ["numpy", "scikit-learn==0"]
        return type("Done", (), {"returncode": 1, "stderr": "x\nERROR: No matching distribution"})

    monkeypatch.setattr("venv.create", lambda path, with_pip: None)
    monkeypatch.setattr("subprocess.run", refuse)
    with pytest.raises(ValueError, match=r"could not install 'scikit-learn==0': ERROR: No match"):
        environments.make("scikit-learn", "scikit-learn==0")
    assert environments.own_python("scikit-learn") is not None
    assert [path.name for path in environments.folder().iterdir()] == ["scikit-learn"]


def test_an_environment_is_removed_once(own_sklearn):
    assert environments.remove("scikit-learn")
    assert not environments.remove("scikit-learn")
    assert environments.own_python("scikit-learn") is None
