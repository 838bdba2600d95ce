"""What all tests share: a look at which of the three passes this is, the sample, the backends."""

import gc
import os
import signal

import hypothesis
import pytest

from engine.equations.backends import BACKENDS, NUMPY, TILED
from tests import grid_sample

PASS = os.environ.get("ENGINE_TEST_PASS", "compiled")

# Shells ignore Ctrl-C in what runs in the background; tests send it to themselves and to others.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine makes no test fail.
hypothesis.settings.register_profile("engine", deadline=None)
hypothesis.settings.load_profile("engine")


# First the files that take longest, so that all cores end at about the same time.
FIRST = (
    "tests/comparison/",
    "tests/tables/",
    "tests/tools/",
    "tests/training/",
    "tests/cli/",
    "tests/",
)


def place(item):
    """Where a test stands in the order of the files."""
    found = (number for number, start in enumerate(FIRST) if item.nodeid.startswith(start))
    return next(found, len(FIRST))


def is_seen_better(item):
    """Whether a test of the sample shows more in this pass than in the compiled one.

    Interpreted, that is the equations, whose coverage is taken, and whatever goes through kernels:
    Python and NumPy check the indices of the plain loops. With bounds checked it is the tiled form.
    """
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    backend = parameters.get("backend", NUMPY.name)
    if PASS == "interpreted":
        return backend != NUMPY.name or item.nodeid.startswith("tests/equations/")
    return PASS != "bounds" or backend == TILED.name


@pytest.hookimpl(trylast=True)  # once `-m` and `-k` have chosen
def pytest_collection_modifyitems(config, items):
    """Leave out what is not in the sample of a large grid, and put the files into their order."""
    at_most = grid_sample.size_of_sample()
    wanted = [item for item in items if at_most is None or is_seen_better(item)]
    kept, _ = grid_sample.split(wanted, at_most)
    chosen = set(kept)
    left_out = [item for item in items if item not in chosen]
    items[:] = sorted(kept, key=place)
    if left_out:
        config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish():
    """Keep what was collected out of each search for garbage: it stays to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(params=list(BACKENDS))
def backend(request):
    """The name of each backend in turn."""
    return request.param
