"""What all tests share: a look at which of the three passes this is, and the backends."""

import os

import hypothesis
import pytest

from engine.equations.backends import BACKENDS

PASS = os.environ.get("ENGINE_TEST_PASS", "compiled")

# A busy machine makes no test fail.
hypothesis.settings.register_profile("engine", deadline=None)
hypothesis.settings.load_profile("engine")


@pytest.fixture(params=list(BACKENDS))
def backend(request):
    """The name of each backend in turn."""
    return request.param
