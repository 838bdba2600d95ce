"""What all tests share: a look at which of the three passes this is, and the backends."""

import os

import pytest

from engine.equations.backends import BACKENDS

PASS = os.environ.get("ENGINE_TEST_PASS", "compiled")


@pytest.fixture(params=list(BACKENDS))
def backend(request):
    """The name of each backend in turn."""
    return request.param
