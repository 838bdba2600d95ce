"""One cluster for all tests that need no other."""

import pytest

from tests.dask_clusters import two_workers


@pytest.fixture(scope="session")
def client():
    """The client of two workers of a thread each."""
    with two_workers() as one:
        yield one
