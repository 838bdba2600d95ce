"""What each measurement has in common."""

import pytest
from threadpoolctl import threadpool_info


def pytest_collection_modifyitems(items):
    """All of this folder is compiled code, and is called `bench`."""
    for item in items:
        if "tests/benchmarks/" in item.nodeid.replace("\\", "/"):
            item.add_marker(pytest.mark.compiled)
            item.add_marker(pytest.mark.bench)


@pytest.fixture
def timed(benchmark):
    """timed(act, samples=..., **about): time calls of an act that is compiled already."""

    def measure(act, samples, **about):
        act()
        # The engine is told to take one thread; how many others take, BLAS says.
        threads = max((pool["num_threads"] for pool in threadpool_info()), default=1)
        benchmark.extra_info.update({"samples": samples, "threads": threads, **about})
        benchmark(act)
        if benchmark.stats:
            benchmark.extra_info["ns_per_sample"] = 1e9 * benchmark.stats.stats.min / samples

    return measure
