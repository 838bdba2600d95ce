"""Each equation by each backend, on the block that asv's benchmarks take."""

import pytest

from benchmarks.cases import BACKENDS, assert_close
from benchmarks.layer_equations import EQUATIONS, SAMPLES, Draw
from benchmarks.parameter_equations import OVER_PARAMETERS

ALL = {**EQUATIONS, **OVER_PARAMETERS}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("equation", ALL)
def test_equation(equation, backend, timed, benchmark):
    benchmark.group = equation
    act, result, expected = ALL[equation](Draw(), backend)
    act()
    assert_close(result(), expected)
    timed(act, SAMPLES, backend=backend, dtype="float64")
