"""docs/larger-than-memory.md shows what `make larger-than-memory` measured."""

import json
import re
import subprocess
import sys

import pytest

from tools import memory_group
from tools.asv_runs import CannotRun
from tools.larger_than_memory import __main__ as page
from tools.larger_than_memory import limits, orders, rates

pytestmark = pytest.mark.compiled


def test_the_page_shows_the_kept_figures(tmp_path, monkeypatch):
    known = json.loads(page.KEPT.read_text(encoding="utf-8"))
    assert set(known) == set(page.TABLES)
    copy = tmp_path / "page.md"
    before = page.PAGE.read_text(encoding="utf-8")
    copy.write_text(before, encoding="utf-8")
    monkeypatch.setattr(page, "PAGE", copy)
    page.write(known)
    assert copy.read_text(encoding="utf-8") == before
    known["memory"]["runs"][0]["rows"] *= 2
    page.write(known)
    assert copy.read_text(encoding="utf-8") != before


def test_every_run_of_the_page_ended_within_the_limit_and_with_the_same_bits():
    found = json.loads(page.KEPT.read_text(encoding="utf-8"))["memory"]
    assert len(found["runs"]) == 5
    for run in found["runs"]:
        assert 0 < run["private"] < found["limit"]
        assert run["gigabytes"] * 1e9 > 2.5 * found["limit"]
        assert run.get("same_bits", True)


@pytest.mark.proof
@pytest.mark.parametrize("way", rates.WAYS)
def test_rates_are_taken_of_each_state_of_the_cache(tmp_path, monkeypatch, way):
    monkeypatch.setattr(rates, "ROUNDS", 1)
    monkeypatch.setattr(rates, "WAYS", {way: rates.WAYS[way]})
    found = rates.rates(tmp_path, 0.01)
    assert found["rows"] == 25_000
    for state in (rates.COLD, rates.CACHED):
        (rate,) = found["rates"][way][state]
        assert 1000 < rate < 1e9
    assert not list(tmp_path.iterdir())
    assert rates.table(found).splitlines()[-1].startswith(f"| {way} | ")


def test_costs_are_taken_after_each_epoch():
    found = orders.costs(20_000)
    lines = [(line["rows"], line["shuffle"]) for line in found["costs"]]
    assert lines[:2] == [("at random", "False"), ("at random", '"blocks"')]
    for line in found["costs"]:
        assert len(line["costs"]) == orders.EPOCHS
    in_order = dict(zip(lines, (line["costs"][-1] for line in found["costs"]), strict=True))
    assert in_order["sorted by class", "False"] > in_order["sorted by class", "True"] + 0.3
    assert orders.table(found).count("\n") == 9


@pytest.mark.proof
def test_a_command_runs_within_the_limit_or_an_error_says_how_it_ended(tmp_path, monkeypatch):
    source, arrays = tmp_path / "source.csv", tmp_path / "arrays"
    monkeypatch.setattr(limits, "PART", 2000)
    assert limits.write_table(source, 1e-3) == 4000
    convert = ["convert", source, "--target", "y", "--to", arrays]
    try:
        found = limits.limited("engine", convert, source)
    except memory_group.NoGroup as reason:
        pytest.skip(f"no control group with a limit of memory: {reason}")
    assert 20e6 < found["private"] < limits.LIMIT
    assert re.search(r"arrays: [0-9.]+ MB$", found["said"])
    with pytest.raises(RuntimeError, match=r"ended with 2: .*exists already"):
        limits.limited("engine", convert, source)
    fits = list(limits.fits(arrays))
    assert [run["rows"] for run in fits] == 3 * [fits[0]["rows"]]
    assert [run.get("same_bits") for run in fits] == [True, True, None]
    monkeypatch.setattr(limits, "LIMIT", 16 << 20)
    with pytest.raises(RuntimeError, match="ended with -9"):
        limits.limited("engine", convert, source)


def test_a_group_holds_what_its_processes_hold_and_goes_away():
    try:
        with memory_group.memory_group(200 << 20) as group:
            code = (
                f"from tools import memory_group as m; m.enter({str(group)!r}); bytearray(90 << 20)"
            )
            subprocess.run([sys.executable, "-c", code], check=True)
            assert 90 << 20 < memory_group.peak(group) < 200 << 20
    except memory_group.NoGroup as reason:
        pytest.skip(f"no control group with a limit of memory: {reason}")
    assert not group.exists()


@pytest.mark.proof
def test_where_no_group_can_be_made_the_reason_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.system.control_groups.folders", lambda controller: [tmp_path])
    with (
        pytest.raises(memory_group.NoGroup, match="no limit of memory can be set below it"),
        memory_group.memory_group(1 << 30),
    ):
        raise AssertionError("there is no such group")
    assert not list(tmp_path.iterdir())
    with pytest.raises(CannotRun, match="no control group with a limit of memory: "):
        page.main(["memory", "--gigabytes", "0.001", "--folder", str(tmp_path)])
