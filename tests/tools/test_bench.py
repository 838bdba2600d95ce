"""`make bench`: what is kept, what is compared, and that it stays out of ordinary tests."""

import itertools
import json
import re
import shlex
import shutil
import subprocess

import pytest

from benchmarks.cases import BACKENDS
from benchmarks.layer_equations import EQUATIONS
from benchmarks.parameter_equations import OVER_PARAMETERS
from benchmarks.sparse_equations import SPARSE
from tests.processes import ROOT, output
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


@pytest.fixture(autouse=True)
def not_in_a_worker(monkeypatch):
    """pytest-benchmark measures nothing in a worker of pytest-xdist, which a variable says."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


def bench_in(folder, *arguments):
    return asv_runs.told(bench.main, ["--folder", str(folder), *arguments])


def test_a_run_is_kept_by_its_name_and_one_without_a_name_is_the_last(tmp_path, measured):
    assert bench_in(tmp_path, "--save", "before") == 0
    assert bench_in(tmp_path) == 0
    assert sorted(path.stem for path in tmp_path.glob("*.json")) == ["before", "last"]


def test_a_clock_that_stood_still_is_no_measurement():
    """Virtual machines may give the same time twice: then the median counts."""
    still = {"fullname": "a", "stats": {"min": 0.0, "median": 2.0}}
    fine = {"fullname": "b", "stats": {"min": 1.0, "median": 2.0}}
    assert bench.minima({"benchmarks": [still, fine]}) == {"a": 2.0, "b": 1.0}
    assert bench.slow_downs({"a": 0.0, "b": 1.0}, {"a": 1.0, "b": 2.0}) == [("b", 2.0)]


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


def test_the_last_run_is_compared_with_although_this_one_takes_its_place(
    tmp_path, measured, capsys
):
    bench_in(tmp_path)
    measured.update(a=2.0)
    assert bench_in(tmp_path, "--compare", "last") == 1
    assert "slower: a: 2.00 times the minimum of 'last'" in capsys.readouterr().out
    assert bench_in(tmp_path, "--compare", "last") == 0


def test_a_run_does_not_take_the_place_of_the_named_one_it_is_compared_with(
    tmp_path, measured, capsys
):
    bench_in(tmp_path, "--save", "before")
    kept = (tmp_path / "before.json").read_text()
    measured.update(a=2.0)
    assert bench_in(tmp_path, "--compare", "before", "--save", "before") == 3
    assert "keep it under another name" in capsys.readouterr().err
    assert (tmp_path / "before.json").read_text() == kept


def test_runs_that_have_nothing_in_common_do_not_pass(tmp_path, measured, capsys):
    run_of(tmp_path, "before", c=1.0)
    assert bench_in(tmp_path, "--compare", "before") == 3
    assert "so nothing was compared" in capsys.readouterr().err


def test_what_the_run_before_does_not_have_is_named_and_the_rest_is_compared(
    tmp_path, measured, capsys
):
    run_of(tmp_path, "before", a=0.5, gone=1.0)
    assert bench_in(tmp_path, "--compare", "before") == 1
    printed = capsys.readouterr().out
    assert "not compared: b: not in 'before'" in printed
    assert "slower: a: 2.00" in printed


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"benchmarks": [{"fullname": "a"}]}'])
def test_a_file_that_is_no_run_is_refused_before_anything_is_measured(tmp_path, content, capsys):
    (tmp_path / "before.json").write_text(content)
    assert bench_in(tmp_path, "--compare", "before") == 3
    assert "is not a run that `make bench` kept" in capsys.readouterr().err


@pytest.mark.parametrize("variable", ["SAVE", "COMPARE", "ONLY"])
def test_make_passes_a_value_with_spaces_on_as_one(variable):
    make = shutil.which("make")
    if make is None:
        pytest.skip("there is no make")
    done = subprocess.run(
        [make, "--dry-run", "bench", f"{variable}=tanh and loops"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    (command,) = [line for line in done.stdout.splitlines() if "tools.bench" in line]
    assert shlex.split(command)[-1] == f"--{variable.lower()}=tanh and loops"


@pytest.mark.proof
@pytest.mark.compiled
def test_a_real_run_leaves_figures_and_a_picture(tmp_path):
    only = ["--only", "test_equation and adam and float32"]
    assert bench_in(tmp_path, *only, "--save", "one") == 0
    kept = json.loads((tmp_path / "one.json").read_text())
    abouts = [entry["extra_info"] for entry in kept["benchmarks"]]
    assert [about["backend"] for about in abouts] == ["numpy", "loops", "tiled"]
    for entry, about in zip(kept["benchmarks"], abouts):
        expected = 1e9 * entry["stats"]["min"] / about["samples"]
        assert about["ns_per_sample"] == pytest.approx(expected)
        assert (about["dtype"], about["threads"]) == ("float32", 1)
    assert "<svg" in (tmp_path / "histogram-adam_float32.svg").read_text()


@pytest.mark.proof
@pytest.mark.compiled
def test_a_real_run_is_compared_in_a_table_with_percentages(tmp_path, capfd):
    part = "test_equation and float32 and numpy"
    assert bench_in(tmp_path, "--only", f"{part} and momentum", "--save", "zero") == 0
    path = tmp_path / "zero.json"
    run = json.loads(path.read_text())
    stats = run["benchmarks"][0]["stats"]
    stats["min"] = stats["median"] / 100  # no machine is so uneven
    path.write_text(json.dumps(run))
    capfd.readouterr()
    both = f"{part} and (momentum or adam)"
    assert bench_in(tmp_path, "--only", both, "--compare", "zero") == 1
    printed = capfd.readouterr()
    assert "from: 'zero'; now: this run" in printed.out
    assert re.search(r"from Min +now Min", printed.out)
    (row,) = re.findall(r"equation\[momentum-.* ([+-])[\d.,]+%", printed.out)
    assert row == "+"  # slower, whatever the earlier run's name
    assert "not compared: tests/benchmarks/test_kernels.py::test_equation[adam-" in printed.out
    assert "slower: tests/benchmarks/test_kernels.py::test_equation[momentum-" in printed.out
    assert "ERROR" not in printed.out + printed.err


@pytest.mark.proof
@pytest.mark.compiled
def test_a_part_that_nothing_is_called_by_is_refused(tmp_path, capfd):
    assert bench_in(tmp_path, "--only", "nothing_of_that_name") == 3
    assert "no measurement is called 'nothing_of_that_name'" in capfd.readouterr().err
    assert not (tmp_path / "last.json").exists()


@pytest.mark.proof
@pytest.mark.compiled
def test_a_part_that_pytest_does_not_understand_is_refused(tmp_path, capfd):
    assert bench_in(tmp_path, "--only", "tanh and (") == 3
    assert "'tanh and (' is not what pytest's -k takes" in capfd.readouterr().err


def test_ordinary_tests_time_nothing(pytestconfig):
    assert pytestconfig.getoption("benchmark_disable")


def test_a_measurement_of_each_kind_is_in_the_suite():
    files = {path.stem for path in (ROOT / bench.SUITE).glob("test_*.py")}
    assert files == {"test_kernels", "test_passes", "test_estimators"}


@pytest.mark.proof
@pytest.mark.compiled
def test_each_equation_that_asv_measures_is_in_the_suite_by_backend_and_dtype():
    """That asv measures each equation of the package, tests/tools/test_benchmarks.py holds."""
    kernels = f"{bench.SUITE}/test_kernels.py"
    whole = {"ENGINE_TEST_GRID": "full"}
    collected = output("-m", "pytest", kernels, "--collect-only", "-q", env=whole).splitlines()
    there = {line.partition("::")[2] for line in collected if "::" in line}
    dense = itertools.product({**EQUATIONS, **OVER_PARAMETERS}, BACKENDS, ("float32", "float64"))
    sparse = itertools.product(SPARSE, ("float32", "float64"))
    wanted = {f"test_equation[{'-'.join(one)}]" for one in dense}
    wanted |= {f"test_sparse_equation[{'-'.join(one)}]" for one in sparse}
    assert there == wanted
