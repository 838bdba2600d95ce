"""What was to be reached, and what the kept figures say: the first table of docs/performance.md."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from engine.comparison import search_timings
from engine.comparison.estimator_tables import not_reached
from engine.comparison.goal_timings import BASE, STEPS_KNOWN
from engine.comparison.jobs import PEERS
from engine.comparison.loss_timings import COPY
from engine.comparison.many_tables import ratios_to_jax
from engine.comparison.many_timings import ALONE
from engine.comparison.memory_peaks import line
from engine.comparison.pass_tables import counted, shares_of_gemm
from engine.comparison.problems import SUITES
from engine.comparison.second_order_tables import COPY_AT_MOST
from engine.comparison.startup_timings import COLD, ENGINE, WARM
from engine.comparison.table_libraries import ENGINE as ENGINE_OF_TABLES
from engine.comparison.table_libraries import HGB, LIGHTGBM
from engine.comparison.table_summary import Standing, far_behind, mean_loss, seconds, standings
from engine.comparison.tables import figure
from engine.comparison.timing import geometric_mean
from engine.comparison.training_tables import Pair, pairs

Figures = Mapping[str, Any]  # of each command, by the name of its table
Found = tuple[str, bool] | None

ALLOWED_BEHIND, LOWEST_BEHIND = 0.70, 0.9  # share of a peer's time that gemm needs; ratio to a peer


class Aim(NamedTuple):
    """What was to be reached; `found` tells what was, and whether that is enough.

    It tells nothing where all that it looks for failed or did not take part.
    """

    what: str
    reach: str
    needs: tuple[str, ...]
    found: Callable[[Figures], Found]


def table(figures: Figures) -> str:
    """In Markdown. Where the figures that a line needs are not there, it says so."""
    rows = [("what", "reach", "here", "reached"), ("---",) * 4]
    for aim in AIMS:
        missing = [name for name in aim.needs if name not in figures]
        found = None if missing else aim.found(figures)
        if found is None:
            said = f"not measured: {', '.join(missing or aim.needs)}"
            rows.append((aim.what, aim.reach, said, ""))
        else:
            here, enough = found
            rows.append((aim.what, aim.reach, here, "yes" if enough else "**no**"))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


# Minibatch training: single precision is in the report, double precision in a run of its own.


def minibatch_rows(figures: Figures) -> list[dict[str, Any]]:
    names = {problem.name for problem in SUITES["reach"]}
    single = [row for row in figures["report"]["training"] if row["problem"] in names]
    return [*single, *figures["training"]["rows"]]


def mean_of(peer: str, reach: float) -> Callable[[Figures], Found]:
    def found(figures: Figures) -> Found:
        ratios = [pair.ratio for pair in pairs(minibatch_rows(figures)) if pair.name == peer]
        if not ratios:
            return None
        mean = geometric_mean(ratios)
        return f"{figure(mean)} ({len(ratios)} rows)", mean >= reach

    return found


def behind(pair: Pair) -> bool:
    """Whether the peer is faster although gemm's rate leaves room."""
    tight = pair.gemm_over_it >= ALLOWED_BEHIND and pair.ratio >= LOWEST_BEHIND
    return pair.ratio < 1 and not tight


def nowhere_behind(figures: Figures) -> Found:
    with_peers = [pair for pair in pairs(minibatch_rows(figures)) if pair.name in PEERS]
    if not with_peers:
        return None
    said = [
        f"{pair.problem} {pair.dtype} behind {PEERS[pair.name].label}: {pair.ratio:.2f}, "
        f"gemm {pair.gemm_over_it:.0%}"
        for pair in with_peers
        if behind(pair)
    ]
    return "; ".join(said) or "none", not said


# J and its gradient.


def shares(figures: Figures) -> dict[str, list[float]]:
    """By dtype, of the rows that count."""
    rows = figures["gradient"]["rows"]
    found = {d: shares_of_gemm(counted(rows, d)) for d in dict.fromkeys(r["dtype"] for r in rows)}
    return {dtype: of_dtype for dtype, of_dtype in found.items() if of_dtype}


def mean_shares(figures: Figures) -> Found:
    means = {dtype: geometric_mean(of_dtype) for dtype, of_dtype in shares(figures).items()}
    if not means:
        return None
    said = ", ".join(f"{mean:.0%} ({dtype})" for dtype, mean in means.items())
    return said, min(means.values()) >= 0.8


def lowest_share(figures: Figures) -> Found:
    found = shares(figures)
    if not found:
        return None
    lowest = min(min(of_dtype) for of_dtype in found.values())
    slower = [
        f"{row['problem']} {row['dtype']}"
        for row in figures["gradient"]["rows"]
        if row["entries"].get("numpy", {}).get("ratio", [1.0])[0] < 1
    ]
    return f"{lowest:.0%}; {', '.join(slower) or 'nowhere'}", lowest >= 0.65 and not slower


def small_gradient(figures: Figures) -> Found:
    found = shares_of_gemm([row for row in figures["gradient"]["rows"] if not row["counts"]])
    if not found:
        return None
    (share,) = found
    return f"{share:.0%}", share >= 0.6


# Memory, threads, estimators, start-up.


def memory(figures: Figures) -> Found:
    rows = figures["memory"]["rows"]
    lines = {
        problem: line([row for row in rows if row["problem"] == problem])
        for problem in dict.fromkeys(row["problem"] for row in rows)
    }
    said = [
        f"{slope:.1f} and {fixed / 1e6:.1f} MB ({name})" for name, (slope, fixed) in lines.items()
    ]
    return ", ".join(said), all(16 * row["n_samples"] + 16e6 >= row["extra"] for row in rows)


def more_threads(figures: Figures) -> Found:
    of_gemm = [row["of_gemm"]["2"] for row in ran(figures["threads"]["large"], "of_gemm", "2")]
    if not of_gemm:
        return None
    return f"{min(of_gemm):.0%} to {max(of_gemm):.0%}", min(of_gemm) >= 0.9


def ran(rows: list[dict[str, Any]], part: str, key: str) -> list[dict[str, Any]]:
    """Those that did not fail; none has figures of two threads where there is one core."""
    return [row for row in rows if key in row.get(part, {})]


def default_threads(figures: Figures) -> Found:
    rows = ran(figures["threads"]["small"], "speed_up", "default")
    if not rows:
        return None
    lowest = min(row["speed_up"]["default"][0] for row in rows)
    return f"lowest {lowest:.2f}", lowest >= 0.95


def fits(figures: Figures) -> Found:
    rows = figures["estimators"]["fits"]
    short = [
        f"{row['data'].replace('_', ' ')} {row['dtype']} {ratio(row)}" for row in not_reached(rows)
    ]
    said = f"{len(rows) - len(short)} of {len(rows)} rows"
    return "; ".join([said, *short]), not short


def ratio(row: dict[str, Any]) -> str:
    """Of a fit, and what was to be reached; or that it has none."""
    if "times" not in row:
        return "without times"
    return f"{figure(row['times']['ratio'][0])} of {figure(row['times']['reach'])}"


def one_row(figures: Figures) -> Found:
    rows = [row for row in figures["estimators"]["calls"] if row["reach"] is not None]
    rows = [row for row in rows if "us" in row]
    if not rows:
        return None
    took = {row["dtype"]: (row["us"]["engine"][0], row["reach"]) for row in rows}
    said = ", ".join(f"{figure(us)} us ({dtype})" for dtype, (us, _) in took.items())
    return said, all(us <= reach for us, reach in took.values())


def in_numba_imports(process: str, reach: float) -> Callable[[Figures], Found]:
    def found(figures: Figures) -> Found:
        times = figures["startup"]["entries"][process]["in_numba_imports"][0]
        return figure(times), times <= reach

    return found


def import_over_bare(figures: Figures) -> Found:
    seconds = figures["startup"]["entries"][ENGINE]["over_bare"]
    return f"{1e3 * seconds:.0f} ms", seconds <= 0.05


# Levenberg-Marquardt.


def goals_reached(figures: Figures) -> Found:
    rows = figures["second-order"]["goals"]
    found = {row["problem"]: row["entries"][BASE].get("reached", 0) for row in rows}
    if not found:
        return None
    enough = all(0.9 * row["starts"] <= found[row["problem"]] for row in rows)
    return f"{_listed(found)} of {rows[0]['starts']}", enough


def goal_ratio(library: str, reach: float) -> Callable[[Figures], Found]:
    """Of the library's time over lm's on each goal; of several methods, the fastest counts."""

    def found(figures: Figures) -> Found:
        ratios = {}
        for row in figures["second-order"]["goals"]:
            ran = [
                one for name, one in row["entries"].items() if f"{name} ".startswith(f"{library} ")
            ]
            here = [one["ratio"][0] for one in ran if "ratio" in one]
            ratios[row["problem"]] = min(here, default=math.inf)
        if all(ratio == math.inf for ratio in ratios.values()):
            return None
        said = {name: "void" if one == math.inf else figure(one) for name, one in ratios.items()}
        return _listed(said), min(ratios.values()) >= reach

    return found


def minima(figures: Figures) -> Found:
    rows = figures["second-order"]["tables"]
    if not rows:
        return None
    short = [
        f"{row['data']} {'-'.join(map(str, row['sizes']))} "
        + (figure(row["ratio"][0]) if "ratio" in row else "void")
        for row in rows
        if row.get("ratio", [0.0])[0] < 2
    ]
    return "; ".join([f"{len(rows) - len(short)} of {len(rows)} rows", *short]), not short


def own_loss(figures: Figures) -> Found:
    rows = figures["second-order"]["losses"]
    copies = {row["dtype"]: row["entries"][COPY] for row in rows if COPY in row["entries"]}
    if not copies:
        return None
    times = {dtype: one.get("to_built_in", [math.inf])[0] for dtype, one in copies.items()}
    said = ", ".join(f"{figure(ratio)} ({dtype})" for dtype, ratio in times.items())
    return said, max(times.values()) <= COPY_AT_MOST


def short_calls(part: str, less: str | None, reach: float) -> Callable[[Figures], Found]:
    """Microseconds of a part of calls by each solver, less those of another part."""

    def found(figures: Figures) -> Found:
        rows = figures["second-order"]["calls"]
        us = {r["solver"]: r[part][0] - (r[less][0] if less else 0.0) for r in rows}
        if not us:
            return None
        return f"{_listed({s: f'{one:.1f}' for s, one in us.items()})}", max(us.values()) <= reach

    return found


# Many networks, and searches.


def many_to_jax(figures: Figures) -> Found:
    by_threads = ratios_to_jax(figures["many"]["networks"])
    if not by_threads:
        return None
    means = {n: geometric_mean(list(ratios.values())) for n, ratios in by_threads.items()}
    said = _listed({f"on {n} thread{'s' * (n != '1')}": figure(mean) for n, mean in means.items()})
    behind = [f"{name} on {n}" for n, of_n in by_threads.items() for name in of_n if of_n[name] < 1]
    return f"{said}; {', '.join(behind) or 'nowhere'}", min(means.values()) >= 2 and not behind


def many_threads(figures: Figures) -> Found:
    gains = [row["speed_up"][0] for row in figures["many"]["networks"] if row["speed_up"]]
    if not gains:
        return None
    return f"{figure(min(gains))} to {figure(max(gains))}", min(gains) >= 1.9


def searches(figures: Figures) -> Found:
    rows = [row for row in figures["many"]["searches"] if row["base"] == search_timings.ENGINE]
    found = {row["search"]: row["entries"][search_timings.SKLEARN] for row in rows}
    ratios = {name: entry["ratio"][0] for name, entry in found.items() if "ratio" in entry}
    if not ratios:
        return None
    enough = all(one >= (10 if name == "digits" else 20) for name, one in ratios.items())
    return _listed({name: figure(one) for name, one in ratios.items()}), enough


def short_fit(figures: Figures) -> Found:
    rows = figures["many"]["fit"]
    if not rows:
        return None
    ms = rows[0]["ms"][ALONE][0]
    return f"{ms:.2f} ms", ms <= 0.9


# Real tables beside other libraries.


def tables_score(figures: Figures) -> Found:
    ours = _of_tables(figures)[ENGINE_OF_TABLES]
    return f"{ours.score:.2f}", ours.score >= 0.80


def tables_level(figures: Figures) -> Found:
    found = _of_tables(figures)
    shares = {name: found[peer].level or 0.0 for peer, name in TREES.items()}
    said = _listed({name: f"{share:.0%}" for name, share in shares.items()})
    return said, all(share >= LEVEL[name] for name, share in shares.items())


def tables_far_behind(figures: Figures) -> Found:
    names = [row["table"] for _, row in far_behind(figures[TEST_TABLES]["tables"])]
    return ", ".join(names) or "none", not names


def tables_seconds(figures: Figures) -> Found:
    ratio = _of_tables(figures)[ENGINE_OF_TABLES].ratio
    return None if ratio is None else (figure(ratio), ratio <= 5)


def diamonds(figures: Figures) -> Found:
    (study,) = figures[DIAMONDS]["diamonds"]
    rmse, took = mean_loss(study, ENGINE_OF_TABLES), seconds(study, ENGINE_OF_TABLES)
    return f"{rmse:.4f}, {took:.1f} s", rmse <= 0.131 and took <= 6


def _of_tables(figures: Figures) -> dict[str, Standing]:
    return {one.name: one for one in standings(figures[TEST_TABLES]["tables"])}


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


TRAINED, GRADIENT = ("report", "training"), ("gradient",)
SECOND_ORDER, MANY = ("second-order",), ("many",)
TEST_TABLES, DIAMONDS = "tables-test", "tables-diamonds"
TREES = {HGB: "HistGradientBoosting", LIGHTGBM: "LightGBM"}
LEVEL = {"HistGradientBoosting": 0.6, "LightGBM": 0.5}
AIMS = (
    Aim(
        "minibatch Adam, geometric mean of scikit-learn's time / tiled's",
        "15",
        TRAINED,
        mean_of("sklearn", 15),
    ),
    Aim("... of PyTorch's", "18", TRAINED, mean_of("torch", 18)),
    Aim("... of JAX's", "2.5", TRAINED, mean_of("jax", 2.5)),
    Aim(
        "rows behind a peer where gemm's rate alone would take less than 70 % of the peer's time, "
        "or below 0.9",
        "none",
        TRAINED,
        nowhere_behind,
    ),
    Aim(
        "J and its gradient, layers of 100 and more, geometric mean of gemm's rate",
        "80 %",
        GRADIENT,
        mean_shares,
    ),
    Aim("... the lowest; behind NumPy", "65 %; nowhere", GRADIENT, lowest_share),
    Aim(
        "4-32-16-4, 10 000 samples, all at once, of sgemm's rate", "60 %", GRADIENT, small_gradient
    ),
    Aim("memory on top of the data, bytes a sample", "16 and 16 MB", ("memory",), memory),
    Aim("two threads, full batch, of gemm's own speed-up", "90 %", ("threads",), more_threads),
    Aim("no shape below 0.95 of one thread by default", "0.95", ("threads",), default_threads),
    Aim(
        "`fit` of the estimators, scikit-learn's time / ours",
        "10, or half of the ceiling where that is less",
        ("estimators",),
        fits,
    ),
    Aim("one row by `predictor()`, 20-100-1", "5 us", ("estimators",), one_row),
    Aim(
        "XNOR in a fresh process, warm cache, in units of `import numba`",
        "2.5",
        ("startup",),
        in_numba_imports(WARM, 2.5),
    ),
    Aim(
        "... empty cache",
        "20",
        ("startup",),
        in_numba_imports(COLD, 20),
    ),
    Aim("`import engine` over bare Python", "50 ms", ("startup",), import_over_bare),
    Aim(
        "`lm` to a small error: random starts, of 30, that reach it",
        "27 each",
        SECOND_ORDER,
        goals_reached,
    ),
    Aim(
        "... time of SciPy's `least_squares`, its fastest method / lm's",
        "5 each",
        SECOND_ORDER,
        goal_ratio("scipy", 5),
    ),
    Aim("... of L-BFGS / lm's", "4 each", SECOND_ORDER, goal_ratio("engine lbfgs", 4)),
    Aim(
        "... of Adam that a callback stops / lm's",
        "4 each",
        SECOND_ORDER,
        goal_ratio("engine adam", 4),
    ),
    Aim(
        "... of Adam that is told how many steps it will need / lm's",
        "4 each",
        SECOND_ORDER,
        goal_ratio(STEPS_KNOWN, 4),
    ),
    Aim(
        "small regression tables, expected time of L-BFGS to a minimum as good / lm's",
        "2 each",
        SECOND_ORDER,
        minima,
    ),
    Aim(
        "a loss of the user's own, time of an epoch / that of the built-in one",
        "1.10",
        SECOND_ORDER,
        own_loss,
    ),
    Aim(
        "a call of `train` for one step of 1-5-1, microseconds",
        "100",
        SECOND_ORDER,
        short_calls("one_step", None, 100),
    ),
    Aim(
        "... what a callback adds to a further step",
        "5",
        SECOND_ORDER,
        short_calls("told", "step", 5),
    ),
    Aim(
        "many networks, time of JAX's fastest way / `fit_many`'s, geometric mean; behind",
        "2; nowhere",
        MANY,
        many_to_jax,
    ),
    Aim("... its time on one thread / on two", "1.9 each", MANY, many_threads),
    Aim(
        "`GridSearchCV` on two cores, time of scikit-learn's over its own MLP / ours",
        "10 (digits), 20 (others)",
        MANY,
        searches,
    ),
    Aim("`fit` of 2-4-1 for one epoch", "0.9 ms", MANY, short_fit),
    Aim(
        "tables that the defaults were not chosen on: mean normalised score of four libraries",
        "0.80",
        (TEST_TABLES,),
        tables_score,
    ),
    Aim(
        "... at least level with",
        _listed({n: f"{s:.0%}" for n, s in LEVEL.items()}),
        (TEST_TABLES,),
        tables_level,
    ),
    Aim(
        "... behind by more than a third of what separates the better tree from the linear model",
        "none",
        (TEST_TABLES,),
        tables_far_behind,
    ),
    Aim("... seconds of fit / LightGBM's, geometric mean", "5", (TEST_TABLES,), tables_seconds),
    Aim("diamonds: RMSE, seconds of fit", "0.131, 6 s", (DIAMONDS,), diamonds),
)
