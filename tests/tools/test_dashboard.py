"""The site: built from results, and opened in a browser; what cannot be built is said."""

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests import report_figures
from tests.browser import visit
from tests.repositories import committed, copy_of_project, git
from tools import asv_runs, dashboard, front_page

PARAMS = [["'20-100-1'"], ["'numpy'", "'tiled'"]]
NAME = "training.MinibatchAdam.time_epochs"
MACHINE = {
    "machine": "reference",
    "os": "Linux",
    "arch": "x",
    "cpu": "a",
    "num_cpu": "2",
    "ram": "",
}


def result(commit, date, values):
    """What asv keeps of one commit: two lines of one benchmark."""
    return {
        "commit_hash": commit,
        "env_name": "virtualenv-py3.11",
        "date": date,
        "params": MACHINE,
        "python": "3.11",
        "requirements": {"numpy": "2.4.6"},
        "env_vars": {},
        "result_columns": ["result", "params", "version", "started_at", "duration"],
        "results": {NAME: [values, PARAMS, "1", date, 1.0]},
        "durations": {},
        "version": 2,
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project's files as a repository with a history of its own, and results of it."""
    folder = copy_of_project(tmp_path_factory.mktemp("dashboard") / "project")
    commits = [committed(folder, f"commit {number}") for number in range(12)]
    results = folder / "benchmarks" / "results"
    (results / "reference").mkdir(parents=True)
    # The seventh commit makes the first line three times as slow, for good.
    for number, commit in enumerate(commits):
        date = int(git(folder, "log", "-1", "--format=%ct", commit)) * 1000
        values = [0.3 if number >= 6 else 0.1, 0.01]
        kept = result(commit, date, values)
        path = results / "reference" / f"{commit[:8]}-virtualenv-py3.11.json"
        path.write_text(json.dumps(kept))
    (results / "reference" / "machine.json").write_text(json.dumps(MACHINE | {"version": 1}))
    benchmark = {
        "code": "",
        "name": NAME,
        "param_names": ["network", "backend"],
        "params": PARAMS,
        "timeout": 60,
        "type": "time",
        "unit": "seconds",
        "version": "1",
    }
    (results / "compare.json").write_text(json.dumps(report_figures.figures()))
    (results / "benchmarks.json").write_text(json.dumps({NAME: benchmark, "version": 2}))
    return folder


def build(project, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "tools.dashboard", "--kept-only", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(project):
    done = build(project)
    assert done.returncode == 0, done.stdout + done.stderr
    return project / "site"


DRAWN = """() => [...document.querySelectorAll('canvas')].map(canvas => {
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return pixels.filter((value, at) => at % 4 == 3 && value > 0).length;
})"""


@pytest.mark.proof
@pytest.mark.compiled
def test_every_page_draws_in_a_browser_that_hears_no_error_and_asks_nobody(site):
    with visit(site, viewport={"width": 1280, "height": 900}) as browser:
        browser.go("index.html")
        pictures = browser.page.locator(".pictures svg")
        assert pictures.count() >= 1
        assert pictures.first.bounding_box()["height"] > 150
        assert (
            browser.page.locator("text=1 steps upwards").count()
            or browser.page.locator("text=Steps upwards").count()
        )

        browser.go("asv/index.html#/")
        browser.page.wait_for_selector(".benchmark-container canvas")
        assert max(browser.page.evaluate(DRAWN)) > 200  # a line in the grid

        browser.go(f"asv/index.html#/{NAME}")
        browser.page.wait_for_selector("#main-graph canvas.flot-base")
        browser.page.wait_for_timeout(500)
        assert max(browser.page.evaluate(DRAWN)) > 2000
        assert "tiled" in browser.page.inner_text("body")

        browser.go("asv/index.html#/regressions")
        browser.page.wait_for_selector("#regressions-body table tbody tr")
        assert NAME in browser.page.inner_text("#regressions-body")

        browser.go("asv/index.html#/summarylist")
        browser.page.wait_for_selector("#summarylist-body table tbody tr")

        browser.go("compare/index.html")
        shown = browser.page.locator("svg[role=img]:visible")
        assert shown.count() >= 6
        assert all(picture.bounding_box()["height"] > 40 for picture in shown.all())

        browser.go("commits.html")
        assert browser.page.locator("tr").count() == 12
        assert browser.errors == []
        assert browser.failed == []
        assert browser.outside == []


@pytest.mark.proof
@pytest.mark.compiled
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_the_front_page_fits_its_window_in_light_and_in_dark(site, scheme, width):
    size = {"width": width, "height": 900}
    with visit(site, color_scheme=scheme, viewport=size) as browser:
        browser.go("index.html")
        assert browser.page.evaluate("document.documentElement.scrollWidth") <= width
        colours = [
            browser.page.evaluate(f"getComputedStyle(document.body).{which}")
            for which in ("color", "backgroundColor")
        ]
        light, dark = "rgb(255, 255, 255)", "rgb(20, 24, 28)"
        assert colours[1] == (light if scheme == "light" else dark)
        assert colours[0] != colours[1]


@pytest.mark.proof
def test_the_headlines_are_lines_over_the_commits_in_their_order(project):
    by_commit = front_page.kept(project / "benchmarks" / "results", "reference")
    order = front_page.first_parents(project)
    found = front_page.lines(front_page.HEADLINES[0], by_commit, order)
    assert [line.label for line in found] == ["numpy", "tiled"]
    assert found[0].values == pytest.approx([100.0] * 6 + [300.0] * 6)
    assert found[1].values == pytest.approx([10.0] * 12)


@pytest.mark.proof
def test_a_machine_without_results_is_refused_and_the_ones_there_are_named(project):
    done = build(project, "--machine", "laptop")
    assert done.returncode == 3
    assert "no results of a machine called 'laptop': it has 'reference'" in done.stderr


@pytest.mark.proof
@pytest.mark.compiled
def test_where_no_comparison_is_kept_the_front_page_says_so_and_links_to_none(project, tmp_path):
    kept = tmp_path / "results"
    shutil.copytree(project / "benchmarks" / "results", kept)
    (kept / "compare.json").unlink()
    done = build(project, "--results", str(kept), "--site", str(tmp_path / "site"))
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "there is no comparison with other libraries." in page
    assert 'href="compare/' not in page


@pytest.mark.proof
def test_a_folder_without_results_is_refused(project, tmp_path):
    done = build(project, "--results", str(tmp_path))
    assert done.returncode == 3
    assert "it has none. Measure with `make history`" in done.stderr


@pytest.mark.proof
@pytest.mark.compiled
def test_results_of_another_history_are_refused_and_the_old_site_stays(project, site, tmp_path):
    kept = tmp_path / "results"
    shutil.copytree(project / "benchmarks" / "results", kept)
    for path in (kept / "reference").glob("*-virtualenv*.json"):
        other = json.loads(path.read_text()) | {"commit_hash": "0" * 40}
        path.write_text(json.dumps(other))
    done = build(project, "--results", str(kept))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "none of the results' commits in this clone's history" in done.stderr
    assert (site / "index.html").exists()


@pytest.mark.proof
def test_a_shallow_clone_is_refused(project, tmp_path):
    clone = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{project}", str(clone))
    done = build(clone)
    assert done.returncode == 3
    assert "git fetch --unshallow" in done.stderr
    assert not (clone / "site").exists()


def test_a_commit_off_main_is_drawn_beside_it(project):
    head = git(project, "rev-parse", "main")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dashboard, "git", lambda *a: asv_runs.git(*a, root=project))
        assert dashboard.branches(head) == ["main"]
        git(project, "switch", "--quiet", "--create", "work")
        work = committed(project, "work")
        git(project, "switch", "--quiet", "main")
        assert dashboard.branches(work) == ["main", "HEAD"]


def test_regressions_are_told_by_their_ratio_the_largest_first():
    found: list[list[Any]] = [["a", "", {}, None, 2.0, 1.0, []], ["b", "", {}, None, 9.0, 3.0, []]]
    assert dashboard.steps_upwards(found) == [("b", 3.0), ("a", 2.0)]
