"""What all tests share: a look at which of the three passes this is, the sample, the backends."""

import os

import hypothesis
import pytest

from engine.equations.backends import BACKENDS
from tests import grid_sample

PASS = os.environ.get("ENGINE_TEST_PASS", "compiled")

# A busy machine makes no test fail.
hypothesis.settings.register_profile("engine", deadline=None)
hypothesis.settings.load_profile("engine")


@pytest.hookimpl(trylast=True)  # once `-m` and `-k` have chosen
def pytest_collection_modifyitems(config, items):
    """Leave out what is not in the sample of a large grid."""
    items[:], left_out = grid_sample.split(items, grid_sample.size_of_sample())
    if left_out:
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(params=list(BACKENDS))
def backend(request):
    """The name of each backend in turn."""
    return request.param
