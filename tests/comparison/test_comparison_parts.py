"""Parts of `engine compare report`: turns, what is told of those who fail, and what is printed."""

import io
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from engine.comparison import environments, machine, report_tables, report_timings
from engine.comparison import libraries as comparison_libraries
from engine.comparison.library_processes import Interpreter, LibraryFailed
from engine.comparison.machine import installed_version, usable_cores
from engine.comparison.pass_timings import thread_counts
from engine.comparison.problems import Problem, TrainingTask
from engine.comparison.timing import LONGEST, Turns, in_one_line
from tests.fake_peer import fake
from tests.processes import engine

SMALL = Problem((3, 4, 1), 40, 16)
TASK = TrainingTask(SMALL, "float32")
TWO = ["numpy", "sklearn"]


# Turns.


def refusing(*refused):
    """An act that remembers who acted, and one contender after the other that cannot."""
    order = []

    def act(name):
        order.append(name)
        if name in refused:
            raise RuntimeError(f"{name}\nis out of luck")
        return name.upper()

    return act, order


def test_contenders_take_turns_round_by_round():
    act, order = refusing()
    assert Turns("abc").rounds(act, 2) == {"a": ["A", "A"], "b": ["B", "B"], "c": ["C", "C"]}
    assert order == ["a", "b", "c", "a", "b", "c"]


def test_who_fails_is_marked_and_has_no_turn_any_more():
    turns = Turns("abc")
    act, order = refusing("b")
    assert turns.rounds(act, 3) == {"a": ["A"] * 3, "c": ["C"] * 3}
    assert "".join(order) == "abc" + "ac" + "ac"
    assert turns.failed == {"b": "b is out of luck"}
    assert turns.names == ["a", "c"]


def test_who_fails_in_a_later_round_has_no_result():
    act, _ = refusing()
    left = iter([1, 2, None])

    def tires(name):
        if name == "b" and next(left) is None:
            raise RuntimeError
        return act(name)

    turns = Turns("ab")
    assert set(turns.rounds(tires, 3)) == {"a"}
    assert turns.failed == {"b": "RuntimeError"}


def test_a_reason_is_one_line_of_a_length_that_can_be_read():
    assert in_one_line(ValueError("too\n  much")) == "too much"
    assert in_one_line(ValueError()) == "ValueError"
    assert in_one_line(ValueError("x" * 5000)) == "x" * LONGEST + " ..."


# The parts, beside a peer that fails.


@pytest.fixture
def failing(tmp_path, monkeypatch):
    """scikit-learn's process dies when it is to train."""
    fake("os._exit(7)", tmp_path, monkeypatch)
    return {"failed": "its process ended with status 7"}


@pytest.fixture
def idle(tmp_path, monkeypatch):
    """scikit-learn's process trains nobody, and says that it did."""
    fake("pass", tmp_path, monkeypatch)


@pytest.mark.proof
@pytest.mark.compiled
def test_start_up_is_told_of_those_who_start(failing):
    found = report_timings.start_up(TASK, TWO, 1, {})
    assert found["sklearn"] == failing
    numpy = found["numpy"]
    assert list(numpy) == ["imports", "empty_cache", "warm_cache", "epoch"]
    assert numpy["empty_cache"].median > numpy["epoch"].median > 0


@pytest.mark.compiled
def test_start_up_goes_by_turns(monkeypatch):
    order = []

    def start(task, name, setting):
        order.append(name)
        return report_timings.Start(1.0, 4.0, 2.0, float(len(order)))

    monkeypatch.setattr(report_timings, "_start", start)
    found = report_timings.start_up(TASK, TWO, 2, {})
    assert order == TWO * 2
    assert found["sklearn"]["epoch"].median == 3.0  # of 2 and 4


@pytest.mark.compiled
def test_imports_are_those_of_the_contenders_own_python(tmp_path):
    if sys.platform == "win32":
        pytest.skip("the stand-in is a shell script")
    python, note = tmp_path / "python", tmp_path / "note"
    python.write_text(f'#!/bin/sh\necho "$2" >> {note}\n', encoding="utf-8")
    python.chmod(0o755)
    report_timings._imports("jax", Interpreter(python, str(tmp_path)))
    assert note.read_text().splitlines() == ["import jax", "pass"]


@pytest.mark.proof
@pytest.mark.compiled
def test_curves_are_told_of_those_who_train(failing):
    found = report_timings.curves(TASK, "data", TWO, (1, 3), 1, {})
    assert found["entries"]["sklearn"] == failing
    numpy = found["entries"]["numpy"]
    assert numpy["epochs"] == [0, 1, 3]
    assert numpy["seconds"][0] == 0
    assert min(numpy["seconds"][1:]) > 0
    assert numpy["costs"][0] == TASK.cost(TASK.theta)
    assert numpy["costs"] == sorted(numpy["costs"], reverse=True)


@pytest.mark.proof
@pytest.mark.compiled
def test_memory_is_told_of_those_who_train(failing):
    large = TrainingTask(Problem(SMALL.sizes, 5000, 16), "float32")
    found = report_timings.memory(TASK, large, TWO, {})
    assert found["entries"]["sklearn"] == failing
    numpy = found["entries"]["numpy"]
    assert numpy["peak"] >= numpy["imports"] > 0
    assert found["data"] == 5000 * (3 * 4 + 8)


def scalings():
    counts = thread_counts(min(2, len(usable_cores())))
    return counts, report_timings.threads(SMALL, "float32", TWO, counts, 1, {}, {})


@pytest.mark.proof
@pytest.mark.compiled
def test_threads_are_told_of_those_who_train(failing):
    counts, found = scalings()
    assert found["entries"]["sklearn"] == failing
    numpy = found["entries"]["numpy"]
    assert numpy["ms_on_one"] > 0
    assert list(numpy["speed_up"]) == [str(count) for count in counts[1:]]


@pytest.mark.proof
@pytest.mark.compiled
def test_a_speed_up_of_other_work_does_not_count(idle):
    _, found = scalings()
    assert "cost" in found["entries"]["sklearn"]["failed"]
    assert "failed" not in found["entries"]["numpy"]


def test_the_cost_must_be_that_of_the_first():
    expected: list[float] = []
    report_timings._check(0.5, expected, 1)
    report_timings._check(0.5001, expected, 2)
    with pytest.raises(LibraryFailed, match=r"cost 0\.502 on 2 threads, not 0\.5"):
        report_timings._check(0.502, expected, 2)
    with pytest.raises(LibraryFailed, match="nan"):
        report_timings._check(float("nan"), expected, 2)


# Who takes part.


def test_an_environment_that_is_asked_for_and_not_there_is_a_missing_contender(monkeypatch):
    for module in (comparison_libraries, environments):
        monkeypatch.setattr(module, "own_python", lambda name: None)
    monkeypatch.setattr(comparison_libraries, "installed_version", lambda name: "1.0")
    names, absent = comparison_libraries.available_libraries(["numpy", "jax"], own=["jax"])
    assert names == ["numpy"]
    assert absent == ["jax has no environment of its own: engine compare environments jax"]
    found = comparison_libraries.described(["numpy", "jax"], own=["jax"])
    assert found["jax"]["missing"] == absent[0].removeprefix("jax ")
    assert "missing" not in found["numpy"]


def test_contenders_are_described_with_what_they_are_and_where(monkeypatch, tmp_path):
    for module in (comparison_libraries, environments):
        monkeypatch.setattr(module, "own_python", lambda name: tmp_path if name == "jax" else None)
    monkeypatch.setattr(comparison_libraries, "version_in", lambda python, name: "0.9")
    found = comparison_libraries.described(["tiled", "sklearn", "jax"], own=["jax"])
    assert [one["label"] for one in found.values()] == ["engine, tiled", "scikit-learn", "JAX"]
    assert found["jax"]["python"] == "an environment of its own"
    assert found["jax"]["versions"] == {"jax": "0.9"}
    assert found["sklearn"]["python"] == "this environment"
    assert found["sklearn"]["versions"] == {"scikit-learn": installed_version("scikit-learn")}
    for one in found.values():
        assert one["idiom"].endswith(".")


# What is printed.


def test_a_reason_is_printed_below_its_table():
    entries = {
        "numpy": {"epochs": [0, 1, 2], "seconds": [0, 0.5, 1.25], "costs": [2, 1.5, 0.25]},
        "jax": {"failed": "out of luck"},
    }
    file = io.StringIO()
    console = Console(file=file, width=100, highlight=False)
    console.print(report_tables.curves(entries))
    report_tables.reasons(console, entries)
    lines = [line.split() for line in file.getvalue().splitlines() if line.strip()]
    assert lines[0] == ["epochs", "1", "2"]
    assert lines[2:] == [
        ["numpy", "0.50", "1.25"],
        ["1.5000", "0.2500"],
        ["jax", "failed"],
        ["jax", "failed:", "out", "of", "luck"],
    ]


# Environments, by the command.


@pytest.mark.proof
@pytest.mark.compiled
def test_environments_are_listed_with_what_is_here(tmp_path):
    done = engine("compare", "environments", cwd=tmp_path, env={"NUMBA_CACHE_DIR": tmp_path})
    assert (done.returncode, done.stderr) == (0, "")
    here = installed_version("scikit-learn")
    assert f"scikit-learn: here {here}; environment of its own: none\n" in done.stdout
    assert str(tmp_path) in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.proof
@pytest.mark.compiled
@pytest.mark.parametrize("name", ["sklearn", "scikit-learn"])
def test_an_environment_goes_by_the_name_of_contender_or_distribution(tmp_path, name):
    place = tmp_path / "mlp-engine" / "peers" / "scikit-learn"
    place.mkdir(parents=True)
    arguments = ("compare", "environments", name, "--remove")
    done = engine(*arguments, cwd=tmp_path, env={"NUMBA_CACHE_DIR": tmp_path})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("scikit-learn: removed\n")
    assert not place.exists()


@pytest.mark.proof
@pytest.mark.compiled
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tensorflow"], "PEERS must be 'scikit-learn', 'torch' or 'jax'; got 'tensorflow'"),
        (["torch", "jax", "--requirement", "torch==1"], "--requirement is for one peer; 2 are"),
        (["--remove"], "--remove needs the names of peers: scikit-learn, torch, jax"),
    ],
)
def test_wrong_use_of_environments_is_one_line(tmp_path, arguments, message):
    done = engine(
        "compare", "environments", *arguments, cwd=tmp_path, env={"NUMBA_CACHE_DIR": tmp_path}
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.proof
@pytest.mark.compiled
def test_a_problem_is_taken_by_its_name(tmp_path):
    done = engine(
        *("compare", "training", "--problem", "iris", "--rounds", "1", "--dtype", "float32"),
        *("--contenders", "numpy,sklearn", "--json", "found.json"),
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (row,) = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert (row["problem"], row["n_samples"]) == ("iris 4-16-3", 150)
    assert row["entries"]["sklearn"]["ratio"][0] > 0
    assert not list(Path(tmp_path).glob("engine-compare-*"))


def test_the_head_names_the_kernels_of_openblas_and_no_other_blas(monkeypatch):
    found = [{"architecture": "Haswell", "version": "0.3.31"}]
    libraries = SimpleNamespace(info=lambda: found)
    controller = SimpleNamespace(select=lambda internal_api: libraries)
    monkeypatch.setattr(machine, "ThreadpoolController", lambda: controller)
    assert machine.about(1, [])["versions"]["OpenBLAS"] == "0.3.31 (kernels for Haswell)"
    found.clear()
    assert "OpenBLAS" not in machine.about(1, [])["versions"]


@pytest.mark.compiled
def test_the_kernels_named_are_those_that_openblas_was_told_of():
    if machine.openblas() is None or platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("no OpenBLAS, or none that has these kernels")
    asked = "from engine.comparison import machine; print(machine.openblas())"
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, "OPENBLAS_CORETYPE": "Nehalem"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().endswith("(kernels for Nehalem)")


def test_goals_are_part_of_a_report_in_which_the_first_backend_takes_part(monkeypatch):
    for part in ("rows", "start_up", "curves", "memory"):
        monkeypatch.setattr(report_timings, part, lambda *_: [])
    monkeypatch.setattr(report_timings, "time_goals", lambda *asked: [asked])
    for size, names, n_starts in (
        ("quick", ("SIN",), 10),
        ("full", ("SIN", "PARITY", "Franke"), 30),
    ):
        found: Any = report_timings.measure_all(size, ["tiled"], 3, 1.0, [], 1)
        assert found["goals"] == [(names, n_starts, 3, 1)]
    assert "goals" not in report_timings.measure_all("quick", ["numpy"], 3, 1.0, [], 1)
