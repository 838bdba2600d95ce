"""`engine compare estimators`: this package's estimators beside scikit-learn's own."""

from collections.abc import Sequence
from typing import TypedDict

from engine.comparison import call_runs, fit_runs
from engine.comparison.machine import About, about

FITS, CALLS = "fits", "calls"
PARTS = (FITS, CALLS)


class Found(TypedDict):
    """The whole run. What was not asked for is empty."""

    about: About
    rounds: int
    fits: list[fit_runs.Row]
    calls: list[call_runs.Row]


def measure_all(
    parts: Sequence[str],
    data: Sequence[str],
    dtypes: Sequence[str],
    rounds: int,
    seeds: int,
    n_threads: int,
) -> Found:
    """Measure the parts that are asked for."""
    fits = fit_runs.fits(data, dtypes, rounds, seeds, n_threads) if FITS in parts else []
    calls = call_runs.calls(dtypes, rounds, n_threads) if CALLS in parts else []
    described = about(n_threads, ["scikit-learn", "scipy"])
    return Found(about=described, rounds=rounds, fits=fits, calls=calls)
