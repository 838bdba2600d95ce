"""What all tests share: a look at which of the three passes this is, the sample, the backends."""

import os
import signal

import hypothesis
import pytest

from engine.equations.backends import BACKENDS
from tests import grid_sample

PASS = os.environ.get("ENGINE_TEST_PASS", "compiled")

# Shells ignore Ctrl-C in what runs in the background; tests send it to themselves and to others.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine makes no test fail.
hypothesis.settings.register_profile("engine", deadline=None)
hypothesis.settings.load_profile("engine")


# The first file compiles kernels that most others need; meanwhile another core takes those that
# need none, or few. Then what takes longest, so that both cores end at about the same time.
FIRST = (
    "tests/solvers/test_minibatches.py",
    "tests/equations/test_equations_document.py",
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


@pytest.hookimpl(trylast=True)  # once `-m` and `-k` have chosen
def pytest_collection_modifyitems(config, items):
    """Leave out what is not in the sample of a large grid, and put the files into their order."""
    items[:], left_out = grid_sample.split(items, grid_sample.size_of_sample())
    items.sort(key=place)
    if left_out:
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(params=list(BACKENDS))
def backend(request):
    """The name of each backend in turn."""
    return request.param
