"""`make bench`: what is kept, what is compared, and that it stays out of ordinary tests."""

import json

import pytest

from tests.processes import ROOT
from tools import asv_runs, bench


def run_of(folder, name, **minima):
    """The file of a run, with no more in it than what is compared."""
    entries = [{"fullname": key, "stats": {"min": value}} for key, value in minima.items()]
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"benchmarks": entries}))
    return path


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """A measurement that takes no time: what it finds is set by the test."""
    found = {"a": 1.0, "b": 1.0}

    def measure(folder, kept, only):
        run_of(folder, kept.stem, **found)

    monkeypatch.setattr(bench, "measure", measure)
    monkeypatch.setattr("subprocess.run", lambda *_, **__: None)  # the table
    return found


def bench_in(folder, *arguments):
    return asv_runs.told(bench.main, ["--folder", str(folder), *arguments])


def test_a_run_is_kept_by_its_name_and_one_without_a_name_is_the_last(tmp_path, measured):
    assert bench_in(tmp_path, "--save", "before") == 0
    assert bench_in(tmp_path) == 0
    assert sorted(path.stem for path in tmp_path.glob("*.json")) == ["before", "last"]


def test_a_minimum_slower_by_thirty_per_cent_is_named_and_ends_with_1(tmp_path, measured, capsys):
    bench_in(tmp_path, "--save", "before")
    measured.update(a=1.29, b=1.31)
    assert bench_in(tmp_path, "--compare", "before") == 1
    printed = capsys.readouterr().out
    assert "slower: b: 1.31 times the minimum of 'before'" in printed
    assert "slower: a" not in printed


def test_a_run_as_fast_as_the_one_before_ends_with_0(tmp_path, measured):
    bench_in(tmp_path, "--save", "before")
    measured.update(a=0.5, b=1.2)
    assert bench_in(tmp_path, "--compare", "before") == 0


def test_a_run_that_was_not_kept_is_refused_before_anything_is_measured(tmp_path, capsys):
    run_of(tmp_path, "before")
    assert bench_in(tmp_path, "--compare", "other") == 3
    error = capsys.readouterr().err
    assert "no run was kept under 'other': there are before" in error
    assert "make bench SAVE=other" in error


@pytest.mark.parametrize("option", ["--save", "--compare"])
def test_a_name_that_is_a_path_is_refused(tmp_path, option, measured, capsys):
    assert bench_in(tmp_path, option, "../elsewhere") == 3
    assert "a name must be of letters" in capsys.readouterr().err


@pytest.mark.compiled
def test_a_real_run_leaves_figures_and_a_picture(tmp_path):
    only = ["--only", "test_equation and adam"]
    assert bench_in(tmp_path, *only, "--save", "one") == 0
    kept = json.loads((tmp_path / "one.json").read_text())
    names = {entry["name"] for entry in kept["benchmarks"]}
    assert names == {f"test_equation[adam-{backend}]" for backend in ("numpy", "loops", "tiled")}
    for entry in kept["benchmarks"]:
        about = entry["extra_info"]
        expected = 1e9 * entry["stats"]["min"] / about["samples"]
        assert about["ns_per_sample"] == pytest.approx(expected)
        assert about["dtype"] == "float64"
    assert "<svg" in (tmp_path / "histogram-adam.svg").read_text()


@pytest.mark.compiled
def test_a_part_that_nothing_is_called_by_is_refused(tmp_path, capfd):
    assert bench_in(tmp_path, "--only", "nothing_of_that_name") == 3
    assert "no measurement is called 'nothing_of_that_name'" in capfd.readouterr().err
    assert not (tmp_path / "last.json").exists()


def test_ordinary_tests_time_nothing(pytestconfig):
    assert pytestconfig.getoption("benchmark_disable")


def test_a_measurement_of_each_kind_is_in_the_suite():
    files = {path.stem for path in (ROOT / bench.SUITE).glob("test_*.py")}
    assert files == {"test_kernels", "test_passes", "test_estimators"}
