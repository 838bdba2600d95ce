"""Each equation by each backend and dtype, on the block that asv's benchmarks take."""

import pytest

from benchmarks.cases import BACKENDS, assert_close
from benchmarks.layer_equations import EQUATIONS, SAMPLES, Draw
from benchmarks.parameter_equations import OVER_PARAMETERS
from benchmarks.sparse_equations import SPARSE

DTYPES = ["float32", "float64"]
ALL = {**EQUATIONS, **OVER_PARAMETERS}


@pytest.mark.sample(6)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("equation", ALL)
def test_equation(equation, backend, dtype, timed, benchmark):
    benchmark.group = f"{equation} {dtype}"
    act, result, expected = ALL[equation](Draw(dtype), backend)
    act()
    assert_close(result(), expected, dtype, scale=100)
    timed(act, SAMPLES, backend=backend, dtype=dtype)


@pytest.mark.sample(2)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("equation", SPARSE)
def test_sparse_equation(equation, dtype, timed, benchmark):
    benchmark.group = f"{equation} {dtype}"
    act, result, expected = SPARSE[equation](Draw(dtype))
    act()
    assert_close(result(), expected, dtype, scale=100)
    timed(act, SAMPLES, backend="tiled, sparse inputs", dtype=dtype)
