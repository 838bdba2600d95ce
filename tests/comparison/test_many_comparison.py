"""`engine compare many`: the same costs and scores, ratios, and what is printed."""

import contextlib
import io
import json
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from engine.comparison import many_tables, many_timings, memory_peaks, search_timings, timing
from engine.comparison.jax_many_job import JaxVmapJob
from engine.comparison.jobs import MANY_OURS, MANY_PEERS, job
from engine.comparison.library_processes import LibraryProcesses
from engine.comparison.many_timings import CASES, LOOP, TOGETHER, Checked, ManyCase, disagreement
from engine.comparison.measuring_process import fixed_threads
from engine.comparison.problems import Problem, TrainingTask
from engine.comparison.search_timings import ENGINE, SKLEARN, SKLEARN_OVER_ENGINE
from tests.comparison.test_comparison import ABOUT
from tests.processes import engine

KINDS = (Problem((3, 4, 1), 40, 16, "identity"), Problem((3, 4, 3), 30, 10, "softmax"))
EPOCHS = 6


# The same work.


def trained(name, task, shuffle=False):
    one = job(name, task)
    return one.parameters(one.prepare(EPOCHS, shuffle)()).reshape(task.theta.shape)


@pytest.mark.parametrize("problem", KINDS, ids=lambda problem: problem.name)
@pytest.mark.parametrize("name", MANY_PEERS)
def test_each_network_of_jax_comes_to_the_cost_of_the_estimator_with_its_seed(name, problem):
    pytest.importorskip("jax")
    task = TrainingTask(problem, "float64", members=3)
    expected = [task.cost(theta) for theta in trained(TOGETHER, task)]
    found = trained(name, task)
    np.testing.assert_allclose([task.cost(theta) for theta in found], expected, rtol=1e-9)
    assert all(np.less(expected, [task.cost(theta) for theta in task.theta]))
    shuffled = trained(name, task, shuffle=True)
    assert not np.isclose(shuffled, found).all(axis=1).any()


def test_each_network_of_jax_has_an_order_of_its_own_in_each_epoch():
    pytest.importorskip("jax")
    one = JaxVmapJob(TrainingTask(KINDS[0], "float32", members=3))
    orders = np.asarray(one._orders(2, shuffle=True)).reshape(6, 40)
    assert len({order.tobytes() for order in orders}) == 6
    np.testing.assert_array_equal(np.sort(orders), np.tile(np.arange(40), (6, 1)))


@pytest.mark.proof
@pytest.mark.parametrize("name", MANY_PEERS)
def test_jaxs_networks_are_the_same_on_two_threads(name):
    pytest.importorskip("jax")
    costs = []
    for count in (1, 2):
        variables = {**fixed_threads(count), "JAX_NUM_CPU_DEVICES": str(count)}
        task = TrainingTask(KINDS[0], "float32", count, members=4)
        with LibraryProcesses(variables=variables) as processes:
            one = processes.job(name, task)
            theta = one.parameters(one.prepare(EPOCHS, True)()).reshape(task.theta.shape)
        costs.append([task.cost(of_member) for of_member in theta])
    np.testing.assert_allclose(*costs, rtol=1e-5)


@pytest.mark.parametrize("problem", KINDS, ids=lambda problem: problem.name)
def test_the_penalty_of_jax_is_that_of_the_estimators(problem, monkeypatch):
    pytest.importorskip("jax")
    for module in ("many_jobs", "jax_many_job"):
        monkeypatch.setattr(f"engine.comparison.{module}.ALPHA", 3.0)
    task = TrainingTask(problem, "float64", members=2)
    ours, jax = (trained(name, task) for name in (TOGETHER, "jax-vmap"))
    np.testing.assert_allclose(jax, ours, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", MANY_OURS)
def test_networks_differ_in_their_seeds_alone_and_no_fit_stops_early(name, monkeypatch):
    monkeypatch.setattr("engine.comparison.many_jobs.LEARNING_RATE", 1.0)  # costs go up and down
    task = TrainingTask(KINDS[0], "float32", members=3)
    one = job(name, task)
    models = one.prepare(EPOCHS, True)()
    assert [model.random_state for model in models] == [0, 1, 2]
    assert {model.n_iter_ for model in models} == {EPOCHS}
    again = one.parameters(one.prepare(EPOCHS, True)())
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, one.parameters(models))


def test_a_task_of_several_members_is_loaded_as_it_was_saved(tmp_path):
    task = TrainingTask(KINDS[1], "float32", members=3)
    task.save(tmp_path / "task.npz")
    again = TrainingTask.loaded(tmp_path / "task.npz")
    assert again == task
    assert again.theta.tobytes() == task.theta.tobytes()
    (W, b), _ = again.layers
    assert (W.shape, b.shape) == ((3, 4, 3), (3, 4))
    np.testing.assert_array_equal(W[2], task.network.views(task.theta[2])[0][0])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.problem.name)
def test_batches_divide_the_samples(case):
    assert case.problem.n_samples % case.problem.batch_size == 0


# Whether times count.


def checked(costs=(0.5, 0.6), shuffled=(0.5, 0.6), theta=1.0):
    arrays = (np.full((2, 3), theta), np.array(costs), np.array(shuffled))
    return Checked(lambda: None, *arrays, first_call=0.0)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (checked(), None),
        (checked(costs=(0.50004, 0.6)), None),
        (checked(costs=(0.6, 0.5)), "member 0: cost 0.6, not 0.5"),  # the mean is the same
        (checked(costs=(0.5, 0.60009)), "member 1: cost 0.60009, not 0.6"),
        (checked(shuffled=(0.6, 0.5)), None),
        (checked(shuffled=(0.7, 0.7)), "mean cost 0.7 shuffled, not 0.55"),
        (checked(costs=(0.5, math.nan)), "a cost is not finite"),
    ],
)
def test_costs_agree_network_by_network_in_order_and_in_their_mean_shuffled(one, reason):
    assert disagreement(one, checked(), start=1.0) == reason


def test_a_loop_of_fits_must_reach_the_same_bits():
    other = checked(theta=np.nextafter(1.0, 2.0))
    assert disagreement(other, checked(), 1.0) is None
    assert disagreement(other, checked(), 1.0, same_bits=True) == (
        f"it reaches other bits than {TOGETHER}"
    )


class FakeProcesses:
    """Jobs that train nobody: `cost` of a library that is named is another."""

    def __init__(self, fails=(), off=()):
        self._fails, self._off = fails, off

    def job(self, name, task):
        if name in self._fails:
            raise RuntimeError("it is\nbroken")
        theta = task.theta * (1.5 if name in self._off else 1.0)
        return SimpleNamespace(
            prepare=lambda epochs, shuffle: lambda: theta, parameters=lambda result: result
        )


CASE = ManyCase(4, KINDS[0], 5)  # of 3 steps each
NAMES = (TOGETHER, LOOP, "jax-vmap", "jax-map")
SECONDS = {f"{TOGETHER} 1": 6e-3, f"{LOOP} 1": 12e-3, "jax-vmap 1": 9e-3, "jax-map 1": 3e-3}
SECONDS |= {name.replace("1", "2"): seconds / 3 for name, seconds in SECONDS.items()}


@pytest.fixture
def compared(monkeypatch):
    def in_turns(acts, rounds):
        for act in acts.values():
            act()
        return {name: [SECONDS[name]] * rounds for name in acts}

    def compare(processes, counts=(1, 2)):
        of_count = dict.fromkeys(counts, processes)
        return many_timings.compare_many(CASE, NAMES, counts, 3, of_count)

    monkeypatch.setattr(timing, "in_turns", in_turns)
    return compare


def test_a_time_is_that_of_a_network_and_step_and_a_ratio_is_to_fit_many(compared):
    row = compared(FakeProcesses())
    assert (row["members"], row["steps"]) == (4, 15)
    on_one, on_two = row["entries"]["1"], row["entries"]["2"]
    assert on_one[TOGETHER]["us"].median == pytest.approx(1e6 * 6e-3 / 60)
    assert on_two[TOGETHER]["us"].median == pytest.approx(1e6 * 2e-3 / 60)
    for entries in (on_one, on_two):
        ratios = {name: entry["ratio"].median for name, entry in entries.items()}
        assert ratios == pytest.approx({TOGETHER: 1, LOOP: 2, "jax-vmap": 1.5, "jax-map": 0.5})
    assert row["speed_up"].median == pytest.approx(3)
    assert compared(FakeProcesses(), counts=(1,))["speed_up"] is None


def test_who_fails_or_reaches_another_cost_has_no_time(compared):
    row = compared(FakeProcesses(fails={"jax-vmap"}, off={"jax-map"}))
    entries = row["entries"]["1"]
    assert entries["jax-vmap"] == {"failed": "it is broken"}
    assert entries["jax-map"]["void"].startswith("member ")
    assert not {"us", "ratio"} & set(entries["jax-map"])
    assert entries[LOOP]["ratio"].median == pytest.approx(2)
    text = page(found(networks=[row]))
    assert "jax-vmap failed on 3-4-1, 1 thread: it is broken" in text
    assert "jax-map void on 3-4-1, 2 threads: member " in text


def test_without_fit_many_there_are_times_and_no_ratios(compared):
    row = compared(FakeProcesses(fails={TOGETHER}))
    assert row["speed_up"] is None
    for entries in row["entries"].values():
        assert entries[LOOP]["us"].median > 0
        assert not any("ratio" in entry for entry in entries.values())
    assert "fit_many failed on 3-4-1, 1 thread" in page(found(networks=[row]))


def test_jax_that_is_not_there_is_named_with_the_command(monkeypatch):
    seen = []

    def compare_many(case, names, *_):
        seen.append(names)

    monkeypatch.setattr(many_timings, "compare_many", compare_many)
    setting = {"limit": 1.0, "own_environments": ()}
    monkeypatch.setattr(many_timings, "why_missing", lambda *_: "is not installed: pip install jax")
    _, absent = many_timings.time_networks([CASE], [1], 1, setting)
    assert absent == ["jax is not installed: pip install jax"]
    monkeypatch.setattr(many_timings, "why_missing", lambda *_: None)
    assert many_timings.time_networks([CASE], [1], 1, setting)[1] == []
    assert seen == [[*MANY_OURS], [*MANY_OURS, *MANY_PEERS]]


def test_a_process_has_as_many_cores_threads_and_devices_as_are_compared(monkeypatch):
    made = []

    def processes(**setting):
        made.append(setting)
        return contextlib.nullcontext()

    monkeypatch.setattr(many_timings, "LibraryProcesses", processes)
    monkeypatch.setattr(many_timings, "cores_for", lambda count: [5, 7][-count:])
    setting = {"limit": 9.0, "own_environments": ("jax",)}
    many_timings.time_networks([], [1, 2], 1, setting)
    one, two = made
    for found, number, cores in ((one, "1", (7,)), (two, "2", (5, 7))):
        assert (found["limit"], found["cores"]) == (9.0, cores)
        assert found["own_environments"] == ("jax",)
        variables = found["variables"]
        assert (variables["JAX_NUM_CPU_DEVICES"], variables["OMP_NUM_THREADS"]) == (number,) * 2


# Searches.


def search_row(monkeypatch, scores, fails=(), anew=None):
    """A row of fakes, of which each finds those scores: (folds, candidates)."""

    def search(name, whose, n_jobs):
        if whose in fails:
            raise AttributeError("no such class")
        of_folds = np.array(scores[whose])
        splits = {f"split{k}_test_score": of_folds[k] for k in range(search_timings.FOLDS)}
        return lambda: SimpleNamespace(cv_results_=splits, best_score_=of_folds.max())

    def answer_of(code):
        asked = re.search(r"main\('iris', '(.*)', 2\)", code)
        assert asked
        return json.dumps((anew or scores)[asked[1]])

    left = iter(range(1, 1000))
    monkeypatch.setattr(timing, "timed", lambda act, clock=None: (float(next(left)), act()))
    monkeypatch.setattr(search_timings, "search", search)
    monkeypatch.setattr(search_timings, "answer_of", answer_of)
    return search_timings.compare_search("iris", 2, 2)


SAME = [[0.96, 0.9], [0.94, 0.9], [0.98, 0.92]]
ONE_ROW, TWO_ROWS = ([[0.96 - rows / 50, 0.9], *SAME[1:]] for rows in (1, 2))
SCORES = dict.fromkeys((ENGINE, SKLEARN_OVER_ENGINE, SKLEARN), SAME)


def test_searches_take_turns_and_a_ratio_is_to_ours(monkeypatch):
    row = search_row(monkeypatch, SCORES)
    assert (row["base"], row["rows"], row["candidates"], row["folds"]) == (ENGINE, 150, 18, 3)
    entries = row["entries"]
    assert [entry["first"] for entry in entries.values()] == [1, 2, 3]
    # The rounds are 4 5 6, 7 8 9; then those of new processes.
    assert entries[ENGINE]["seconds"].median == pytest.approx((4 + 7) / 2)
    assert entries[SKLEARN]["ratio"].median == pytest.approx((6 / 4 + 9 / 7) / 2)
    assert entries[SKLEARN]["new_process_ratio"].median == pytest.approx((12 / 10 + 15 / 13) / 2)
    assert entries[ENGINE]["best_score"] == 0.98


@pytest.mark.parametrize(
    ("whose", "scores", "is_void"),
    [
        (SKLEARN, ONE_ROW, False),
        (SKLEARN, TWO_ROWS, True),
        (SKLEARN_OVER_ENGINE, ONE_ROW, True),
        (SKLEARN_OVER_ENGINE, [[np.nextafter(0.96, 1), 0.9], *SAME[1:]], True),
        (SKLEARN, [[math.nan, 0.9], *SAME[1:]], True),
    ],
)
def test_scores_are_the_same_over_our_estimators_and_within_a_row_over_sklearns(
    whose, scores, is_void, monkeypatch
):
    row = search_row(monkeypatch, {**SCORES, whose: scores})
    entry = row["entries"][whose]
    assert ("void" in entry, "ratio" in entry) == (is_void, not is_void)
    others = [one for name, one in row["entries"].items() if name != whose]
    assert all("ratio" in one for one in others)
    assert ("void on iris: a score differs by" in page(found(searches=[row]))) == is_void


def test_a_search_that_fails_is_a_result_and_the_others_are_compared_with_the_next(monkeypatch):
    row = search_row(monkeypatch, SCORES, fails={ENGINE})
    assert list(row["entries"]) == list(SCORES)
    assert row["entries"][ENGINE] == {"failed": "no such class"}
    assert row["base"] == SKLEARN_OVER_ENGINE
    assert row["entries"][SKLEARN]["ratio"].median > 1
    assert "engine failed on iris: no such class" in page(found(searches=[row]))


def test_a_new_process_with_other_scores_is_a_failure(monkeypatch):
    row = search_row(monkeypatch, SCORES, anew={**SCORES, SKLEARN: ONE_ROW})
    assert row["entries"][SKLEARN] == {"failed": "a new process comes to other scores"}
    assert row["entries"][ENGINE]["new_process"].median > 0


@pytest.mark.compiled
def test_sklearns_searches_over_both_find_the_same_scores_and_a_new_process_prints_them(
    monkeypatch, capsys
):
    few = search_timings.SearchCase("iris", ((3,),), 3, alphas=(1e-4,))
    monkeypatch.setitem(search_timings.SEARCHES, "iris", few)
    scores = [
        search_timings.scores_of(search_timings.search("iris", whose, 1)())
        for whose in (SKLEARN_OVER_ENGINE, SKLEARN)
    ]
    assert scores[0].shape == (3, 2)
    np.testing.assert_array_equal(*scores)
    search_timings.main("iris", SKLEARN, 1)
    np.testing.assert_array_equal(json.loads(capsys.readouterr().out), scores[1])


# What is printed.


def found(**parts):
    every = {part: parts.get(part, []) for part in many_tables.PARTS}
    return {"about": ABOUT, "rounds": 7, "absent": [], **every}


def page(measured, width=80):
    file = io.StringIO()
    console = Console(file=file, width=width, highlight=False)
    many_tables.show(console, "engine compare many", measured)
    return file.getvalue()


def entry(us, *ratio):
    return {"us": (us, us, us), "ratio": ratio}


def networks_row(**jax):
    entries = {TOGETHER: entry(12345.0, 1.0, 1.0, 1.0), LOOP: entry(99.0, 123.4, 110.1, 130.2)}
    return {
        "problem": "20-100-1",
        "output": "identity",
        "members": 256,
        "n_samples": 1024,
        "batch_size": 200,
        "epochs": 10,
        "steps": 50,
        "entries": {threads: {**entries, **jax} for threads in ("1", "2")},
        "speed_up": (1.95, 1.91, 1.99),
    }


def search_entry(**more):
    seconds = (12.34, 12.11, 13.11)
    times = {"seconds": seconds, "new_process": seconds}
    ratios = {"ratio": (9.24, 8.11, 9.92), "new_process_ratio": (0.51, 0.42, 0.61)}
    return {"best_score": 0.9648, "score_off": 0.0, "first": 3.0, **times, **ratios, **more}


WIDEST = found(
    networks=[
        networks_row(
            **{
                "jax-vmap": entry(30.0, 234.5, 220.1, 240.9),
                "jax-groups": entry(20.0, 123.4, 120.1, 125.9),
            }
        )
    ],
    searches=[
        {
            "search": "breast cancer",
            "rows": 569,
            "candidates": 18,
            "folds": 3,
            "base": ENGINE,
            "entries": dict.fromkeys(SCORES, search_entry()),
        }
    ],
    fit=[
        dict.fromkeys(
            ("ms", "ratio"), dict.fromkeys(("engine, one of 64 in fit_many",), (1.0, 1.0, 1.0))
        )
    ],
    memory=[
        {"members": n, "problem": "20-16-1", "n_samples": 1000, "data": 84_000, "extra": n * 8000}
        for n in (1, 64)
    ],
)


@pytest.mark.parametrize("width", [80, 132])
def test_no_table_is_cut_at_any_usual_width(width):
    text = page(WIDEST, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert text.count("110-130") == 2
    assert text.count("12.1-13.1") == 6


def test_a_row_has_jaxs_fastest_way_and_says_which():
    text = page(WIDEST)
    assert "time / fit_many's (higher: fit_many is faster)" in text
    lines = [line.split() for line in text.splitlines() if line.startswith(" 256 x 20-100-1")]
    one, two = (line[3:] for line in lines)
    assert one == ["1", "12345", "123", "groups", "123"]
    assert two == ["2", "12345", "123", "groups", "123", "1.95"]


def test_a_loss_to_jax_is_printed_as_plainly_as_a_win_and_means_are_by_threads():
    behind = networks_row(**{"jax-map": entry(5.0, 0.81, 0.8, 0.9)})
    win = {**networks_row(**{"jax-vmap": entry(5.0, 4.0, 4.0, 4.0)}), "problem": "2-4-1"}
    text = page(found(networks=[win, behind]))
    assert "JAX / fit_many, geometric mean on 1 thread: 1.80" in text
    assert "fit_many is behind JAX on 256 x 20-100-1, 2 threads: 0.81" in text
    assert "behind JAX on 256 x 2-4-1" not in text


def test_a_search_has_a_row_for_each_contender_and_no_ratio_to_itself():
    lines = page(WIDEST).splitlines()
    of_engine, over_engine, of_sklearn = (line for line in lines if "0.9648" in line)
    assert of_engine.split() == ["engine", "0.9648", "12.3", "12.3"]
    assert over_engine.split()[:4] == ["scikit-learn", "0.9648", "12.3", "9.24"]
    assert of_sklearn.split() == ["scikit-learn", "0.9648", "12.3", "9.24", "12.3", "0.51"]


def test_memory_is_told_by_the_sample_and_network():
    text = page(WIDEST)
    assert re.search(r"^ 64 x 20-16-1 +1000 +0.084 +0.51 +8.00 *$", text, flags=re.MULTILINE)


def test_parts_that_were_not_asked_for_are_not_printed():
    text = page(found(memory=WIDEST["memory"]))
    assert "Peak memory" in text
    assert "Searches" not in text
    assert "time / " not in text


# All of it.


@pytest.mark.parametrize("part", many_tables.PARTS)
def test_a_part_alone_is_measured(part, monkeypatch):
    asked = []
    for name, named in (
        ("time_networks", "networks"),
        ("compare_search", "searches"),
        ("time_one_fit", "fit"),
        ("memory_of", "memory"),
    ):

        def act(*_, named=named):
            asked.append(named)
            return [[], []][: 2 if named == "networks" else 0]

        monkeypatch.setattr(many_timings, name, act)
    many_timings.measure_all([part], quick=True, rounds=1, n_threads=1)
    assert asked == [part]


@pytest.mark.compiled
def test_a_short_fit_is_timed_alone_and_among_others_beside_sklearns(monkeypatch):
    monkeypatch.setattr(many_timings, "SECONDS_PER_TIMING", 1e-9)
    monkeypatch.setattr(timing, "in_turns", lambda acts, rounds: {name: [0.64] for name in acts})
    row = many_timings.time_one_fit(1)
    assert [ms.median for ms in row["ms"].values()] == pytest.approx([640, 10, 640])
    assert row["ratio"][many_timings.AMONG].median == pytest.approx(1 / 64)


@pytest.mark.proof
@pytest.mark.compiled
def test_memory_of_several_networks_is_that_of_fits_together():
    row = memory_peaks.probe(Problem((20, 4, 1), 5000, 256, "identity"), "float32", "adam", 1, 3)
    assert (row["members"], row["data"]) == (3, 5000 * 84)
    assert 0 <= row["extra"] < 16e6


@pytest.mark.proof
@pytest.mark.compiled
def test_many_networks_are_compared_by_the_command_and_kept_in_a_file(tmp_path):
    arguments = ["compare", "many", "--quick", "--rounds", "1", "--json", "f.json"]
    done = engine(*arguments, "--threads", "1", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    kept = json.loads((tmp_path / "f.json").read_text())
    (row,) = kept["networks"]
    assert list(row["entries"]) == ["1"]
    for name, one in row["entries"]["1"].items():
        assert one["us"][0] > 0, name
    assert kept["searches"][0]["entries"][SKLEARN]["ratio"][0] > 0
    assert [one["members"] for one in kept["memory"]] == [1, 64]
    for part in ("A network and step", "Searches", "One short fit", "Peak memory"):
        assert part in done.stdout
