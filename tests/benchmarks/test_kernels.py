"""Each equation by each backend, on the block that asv's benchmarks take."""

import pytest

from benchmarks.cases import BACKENDS, assert_close
from benchmarks.equations import EQUATIONS, SAMPLES, Draw


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("equation", EQUATIONS)
def test_equation(equation, backend, timed, benchmark):
    benchmark.group = equation
    act, result, expected = EQUATIONS[equation](Draw(), backend)
    act()
    assert_close(result(), expected)
    timed(act, SAMPLES, backend=backend, dtype="float64")
