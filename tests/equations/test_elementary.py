"""Elementary functions: how exact they are, where their edges are, and what they are compiled to.

The proof over every float32 and the dense sweeps take minutes: `make proofs`.
"""

import math
import platform
import re
from typing import Any

import numba
import numpy as np
import pytest

from engine.compiler.jit import OPTIONS, jit
from engine.equations import elementary
from tests.conftest import PASS
from tests.elementary_sweep import (
    BLOCK,
    CASES,
    PATTERNS,
    computed,
    edges,
    float32_blocks,
    neighbours,
    spread,
    ulps_float32,
    worst_float32,
    worst_float64,
    wrong_way,
)
from tests.kernels import loaded_and_compiled
from tests.processes import ROOT, result_of, run

INTERPRETED = PASS == "interpreted"
DTYPES = [np.float32, np.float64]
INF, NAN = math.inf, math.nan
TINY_32, TINY_64 = 2.0**-149, 2.0**-1074

# In ulp, for float32 and float64: the largest error found (docs/elementary.md), and a little room.
LIMITS = {
    "exp": (1.1, 1.1),
    "tanh": (2.0, 2.3),
    "sigmoid": (2.5, 2.5),
    "log": (1.0, 1.0),
    "log1p": (1.5, 1.5),
    "log1p_exp_minus_abs": (1.8, 1.8),
}

every_function = pytest.mark.parametrize("name", CASES)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def limit(name, dtype):
    return LIMITS[name][DTYPES.index(dtype)]


# Exact to a few units in the last place.


@every_function
def test_float32_is_exact_to_a_few_ulp_over_all_bit_patterns(name):
    step = 4099 * 400 if INTERPRETED else 4099
    worst = worst_float32(CASES[name], float32_blocks(CASES[name], 0, step))
    assert worst.ulp <= limit(name, np.float32), worst


@every_function
def test_float32_is_exact_to_a_few_ulp_at_every_edge(name):
    worst = worst_float32(CASES[name], [edges(CASES[name], np.float32)])
    assert worst.ulp <= limit(name, np.float32), worst


@pytest.mark.sample(3)
@every_function
def test_float64_is_exact_to_a_few_ulp_against_mpmath(name):
    x = spread(CASES[name], np.float64, 2000 if INTERPRETED else 4000, seed=1)
    worst = worst_float64(CASES[name], x)
    assert worst.ulp <= limit(name, np.float64), worst


@every_function
def test_float64_is_exact_to_a_few_ulp_at_every_edge(name):
    worst = worst_float64(CASES[name], edges(CASES[name], np.float64))
    assert worst.ulp <= limit(name, np.float64), worst


@pytest.mark.proof
@pytest.mark.compiled
@every_function
def test_float32_is_exact_to_a_few_ulp_at_every_number(name):
    worst = worst_float32(CASES[name], float32_blocks(CASES[name], 0, 1))
    assert worst.ulp <= limit(name, np.float32), worst


@pytest.mark.proof
@pytest.mark.compiled
@every_function
def test_float64_is_exact_to_a_few_ulp_at_many_numbers(name):
    worst = worst_float64(CASES[name], spread(CASES[name], np.float64, 500_000, seed=2))
    assert worst.ulp <= limit(name, np.float64), worst


# Values that have to be exactly what they are.

EXACT = [
    ("exp", 0, 1),
    ("exp", -INF, 0),
    ("exp", INF, INF),
    ("exp", 1e4, INF),
    ("exp", -1e4, 0),
    ("tanh", INF, 1),
    ("tanh", -INF, -1),
    ("tanh", 50, 1),
    ("sigmoid", 0, 0.5),
    ("sigmoid", INF, 1),
    ("sigmoid", -INF, 0),
    ("sigmoid", 50, 1),
    ("sigmoid", -1e4, 0),
    ("log", 0, -INF),
    ("log", -0.0, -INF),
    ("log", 1, 0),
    ("log", INF, INF),
    ("log", -1, NAN),
    ("log", -INF, NAN),
    ("log1p", 0, 0),
    ("log1p", INF, INF),
    ("log1p_exp_minus_abs", INF, 0),
    ("log1p_exp_minus_abs", -INF, 0),
    ("log1p_exp_minus_abs", 1e4, 0),
]


@both_dtypes
@pytest.mark.parametrize(("name", "x", "expected"), EXACT)
def test_exact_values(name, x, expected, dtype):
    (y,) = computed(CASES[name], np.array([x], dtype))
    np.testing.assert_array_equal(y, dtype(expected))


@both_dtypes
@every_function
def test_nan_stays_nan(name, dtype):
    payloads: dict[Any, Any] = {
        np.float32: np.array([0x7FC00000, 0xFFC00000, 0x7FFFFFFF, 0xFFFFFFFF], np.uint32),
        np.float64: np.array([0x7FF8 << 48, 0xFFF8 << 48, (1 << 63) - 1, (1 << 64) - 1], np.uint64),
    }
    assert np.isnan(computed(CASES[name], payloads[dtype].view(dtype))).all()


def small_numbers(dtype):
    """Numbers so small that f(x) = x (1 + x/2 ...) is x itself, subnormal ones too."""
    info = np.finfo(dtype)
    exponents = np.arange(info.minexp - info.nmant, -info.nmant - 3, dtype=dtype)
    rng = np.random.default_rng(0)
    subnormal = rng.integers(1, 2**info.nmant, 500).astype(dtype) * info.smallest_subnormal
    return np.concatenate([np.exp2(exponents), subnormal])


@both_dtypes
@pytest.mark.parametrize("name", ["tanh", "log1p"])
def test_a_small_number_comes_back_unchanged(name, dtype):
    x = small_numbers(dtype)
    np.testing.assert_array_equal(computed(CASES[name], x), x)


@both_dtypes
def test_log1p_exp_minus_abs_is_the_exponential_where_that_is_small(dtype):
    lowest = math.log(np.finfo(dtype).smallest_subnormal)
    z = np.linspace(lowest - 2, -60, 1000).astype(dtype)
    e = computed(CASES["exp"], z)
    assert e[0] == 0
    assert ((e > 0) & (e < np.finfo(dtype).tiny)).sum() > 10
    np.testing.assert_array_equal(computed(CASES["log1p_exp_minus_abs"], z), e)


def bits(x):
    return x.view(np.uint32 if x.dtype == np.float32 else np.uint64)


def samples(name, dtype):
    count = 2000 if INTERPRETED else 200_000
    return np.concatenate([spread(CASES[name], dtype, count, seed=3), edges(CASES[name], dtype)])


@both_dtypes
def test_tanh_is_odd_to_the_last_bit_and_never_above_1(dtype):
    z = np.concatenate([samples("tanh", dtype), [dtype(0)]])
    above, below = computed(CASES["tanh"], z), computed(CASES["tanh"], -z)
    np.testing.assert_array_equal(bits(below), bits(-above))
    assert (np.abs(above) <= 1).all()


@both_dtypes
def test_tanh_keeps_the_sign_of_zero(dtype):
    z = np.array([0.0, -0.0], dtype)
    np.testing.assert_array_equal(bits(computed(CASES["tanh"], z)), bits(z))


@both_dtypes
def test_sigmoid_lies_between_0_and_1(dtype):
    a = computed(CASES["sigmoid"], samples("sigmoid", dtype))
    assert ((a >= 0) & (a <= 1)).all()


@both_dtypes
def test_log1p_exp_minus_abs_is_even_to_the_last_bit(dtype):
    z = samples("log1p_exp_minus_abs", dtype)
    case = CASES["log1p_exp_minus_abs"]
    np.testing.assert_array_equal(bits(computed(case, z)), bits(computed(case, -z)))


# Monotone.


def both_sides(case, x):
    """The numbers, and their negatives where the function is defined there and is not even."""
    x = np.abs(x)
    return x if case.lowest == 0 or case.even else np.concatenate([x, -x])


def neighbours_go_the_wrong_way(case, x):
    with np.errstate(over="ignore"):  # the largest number's neighbour is infinity
        return wrong_way(case, x, np.nextafter(x, x.dtype.type(INF)))


def run_of_floats(dtype, start, count):
    """Numbers next to each other."""
    first = np.array([start], dtype)
    return (bits(first) + np.arange(count, dtype=bits(first).dtype)).view(dtype)


@pytest.mark.sample(4)
@both_dtypes
@every_function
def test_monotone_over_sampled_neighbours(name, dtype):
    case = CASES[name]
    length = 100 if INTERPRETED else 5000
    # Where e^x and the logarithm pass on to the next power of two, and in between.
    starts = [0.1732, 0.3465, 0.5, 0.7071, 1.0397, 1.4142, 5, 17, 87.3, 700]
    runs = [run_of_floats(dtype, start, length) for start in starts]
    x = np.concatenate([samples(name, dtype), *runs])
    assert neighbours_go_the_wrong_way(case, both_sides(case, x)).size == 0


@pytest.mark.proof
@pytest.mark.compiled
@every_function
def test_monotone_over_every_float32(name):
    case = CASES[name]
    for start in range(0, PATTERNS // 2, BLOCK):
        x = np.arange(start, start + BLOCK, dtype=np.uint32).view(np.float32)
        x = x[np.isfinite(x)]
        assert neighbours_go_the_wrong_way(case, both_sides(case, x)).size == 0, start


@pytest.mark.proof
@pytest.mark.compiled
@every_function
def test_monotone_over_many_neighbours_in_float64(name):
    case = CASES[name]
    for seed in range(20):
        x = both_sides(case, spread(case, np.float64, 1_000_000, seed))
        assert neighbours_go_the_wrong_way(case, x).size == 0


# Interpreted, compiled, in vectors: the same function.


@both_dtypes
@every_function
def test_the_plain_function_agrees_with_the_compiled_one_and_gives_no_warning(name, dtype):
    case = CASES[name]
    x = np.concatenate([spread(case, dtype, 400, seed=4), edges(case, dtype)[::7]])
    x = np.concatenate([x, np.array([0, INF, NAN, 1e30], dtype)])
    plain = [case.plain(number) for number in x]
    assert {type(number) for number in plain} == {dtype}
    compiled = computed(case, x).astype(np.longdouble)
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.array(plain) - compiled) / np.spacing(np.abs(np.array(plain)))
    assert (np.where(np.isfinite(compiled), apart, 0) <= 2).all()
    same = np.isfinite(compiled) | (compiled == plain) | np.isnan(compiled) & np.isnan(plain)
    assert same.all()


@pytest.mark.compiled
@both_dtypes
@every_function
def test_a_number_s_bits_do_not_depend_on_its_place_in_the_array(name, dtype):
    """Vectors, what is left over at their end, and a single number."""
    case = CASES[name]
    x = np.concatenate([spread(case, dtype, 400, seed=5), edges(case, dtype)])
    together = computed(case, x)
    alone = np.concatenate([computed(case, x[i : i + 1]) for i in range(x.size)])
    np.testing.assert_array_equal(bits(together), bits(alone))


X86 = platform.machine() in ("x86_64", "AMD64")


def instructions(name, dtype):
    """Names of the instructions of a loop, compiled here: one that was loaded cannot show them."""
    loop = numba.njit(**OPTIONS)(CASES[name].loop.py_func)
    loop(np.ones(1, dtype), np.ones(1, dtype))
    (assembly,) = loop.inspect_asm().values()
    body = assembly.partition(".Lfunc_end0:")[0]  # without the wrappers for callers from outside
    return set(re.findall(r"^\t([a-z]\w*)", body, re.MULTILINE))


@pytest.mark.sample(2)
@pytest.mark.compiled
@pytest.mark.skipif(not X86, reason="the names of instructions are those of x86")
@both_dtypes
@every_function
def test_a_loop_is_compiled_to_vectors_without_calls(name, dtype):
    found = instructions(name, dtype)
    packed = "ps" if dtype is np.float32 else "pd"
    assert any(re.search(f"(mul|add...){packed}$", op) for op in found), found
    assert not any(op.startswith("call") for op in found), found


@pytest.mark.sample(2)
@pytest.mark.compiled
@pytest.mark.skipif(not X86, reason="the names of instructions are those of x86")
@every_function
def test_a_float32_loop_computes_in_float32_alone(name):
    arithmetic = r"v?(f?n?m?(add|sub|mul|div)\w*|cvt\w+)[sp]d$"
    found = instructions(name, np.float32)
    assert [op for op in found if re.match(arithmetic, op)] == []


@jit
def all_six(x, y):
    for i in range(x.size):
        y[i] = elementary.tanh(x[i]) + elementary.sigmoid(x[i]) + elementary.exp(x[i])
        y[i] += elementary.log1p(x[i]) + elementary.log(x[i])
        y[i] += elementary.log1p_exp_minus_abs(x[i])


def compute_all_six():
    results = []
    for dtype in DTYPES:
        x = np.linspace(0.1, 5, 37).astype(dtype)
        y = np.empty_like(x)
        all_six(x, y)
        results.append(y.tolist())
    return [results, *loaded_and_compiled(all_six)]


@pytest.mark.proof
@pytest.mark.compiled
def test_a_kernel_that_calls_them_is_loaded_by_a_second_process(tmp_path):
    first, second = (
        result_of(compute_all_six, env={"NUMBA_CACHE_DIR": tmp_path}) for _ in range(2)
    )
    assert first == [first[0], 0, 2]
    assert second == [first[0], 2, 0]


# The checks themselves, and the coefficients.


def test_the_error_in_ulp_is_that_of_the_true_value_s_binade():
    y = np.array([1, 1, 2, TINY_32, 0, INF, 1, NAN, 1], np.float32)
    true = np.array([1 + 2**-23, 1 - 2**-25, 2, 1.5 * TINY_32, 1e-99, 1e99, INF, NAN, NAN])
    expected = [1, 0.25, 0, 0.5, 0, 0, INF, 0, INF]
    np.testing.assert_allclose(ulps_float32(y, true), expected, atol=1e-3)


def test_neighbours_are_next_to_each_other():
    x = neighbours(np.array([1.0]), 1)
    assert x.tolist() == [1 - 2**-53, 1, 1 + 2**-52]


def test_a_function_that_falls_would_be_found():
    case = CASES["exp"]._replace(direction=-1)
    assert neighbours_go_the_wrong_way(case, np.array([3.0, 5.0])).tolist() == [3, 5]


@pytest.mark.proof
@pytest.mark.compiled
def test_the_coefficients_are_those_that_the_tool_writes():
    done = run(ROOT / "tools" / "fit_elementary.py", "--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.compiled
def test_the_page_has_every_function():
    page = (ROOT / "docs" / "elementary.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == [*CASES, *CASES]
