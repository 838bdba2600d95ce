"""engine/sums/forward_function.py: the forward pass of one sample, for compiled loops."""

import gc
import pickle
import re
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.errors import NumbaWarning, TypingError
from numba.core.runtime import _nrt_python, rtsys

from engine import Network, compiled_forward
from engine.sums import forward_function
from tests import cases
from tests.processes import output

# Each hidden unit, output and depth; fewer widths, as each case is compiled; and layers that take
# several tiles and single vectors after them.
CASES = [
    *(case for case in cases.GRID if case.n_samples == 7 and case.sizes[-1] == 5),
    *(case for case in cases.GRID if case.n_samples == 7 and len(case.sizes) == 2),
    *(cases.Case((40, 70, 37, 6), ("tanh", "sigmoid"), output, 2) for output in cases.OUTPUTS),
]


def outputs_of(forward, X, n_out):
    """A[L] (n_L, m), sample by sample."""
    A = np.full((n_out, X.shape[1]), np.nan, X.dtype)
    for i in range(X.shape[1]):
        forward(np.ascontiguousarray(X[:, i]), A[:, i])
    return A


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_outputs_are_those_of_the_oracle(case, dtype):
    data = cases.data_of(case, False, 0.0)
    forward = compiled_forward(cases.network_of(case), data.theta.astype(dtype))
    found = outputs_of(forward, data.X.astype(dtype), case.sizes[-1])
    expected = cases.expected_forward(case)
    tolerance = cases.tolerance(case, dtype, expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("output", cases.OUTPUTS)
def test_outputs_agree_with_network_forward_to_1e_14(output):
    network = Network((8, 64, 64, 5), output=output)
    theta = network.initial_parameters(seed=0)
    X = np.random.default_rng(0).normal(size=(8, 20))
    expected = network.forward(theta, X, backend="numpy")
    found = outputs_of(compiled_forward(network, theta), X, 5)
    assert np.abs(found - expected).max() <= 1e-14 * np.abs(expected).max()


# Numbers that are not finite, and large ones.


@pytest.mark.parametrize("hidden", cases.HIDDEN)
@pytest.mark.parametrize("output", cases.OUTPUTS)
def test_a_nan_stays_nan(hidden, output):
    network = Network((3, 10, 3), hidden=hidden, output=output)
    forward, out = compiled_forward(network, network.initial_parameters(seed=0)), np.zeros(3)
    forward(np.array([0.5, np.nan, 0.5]), out)
    assert np.isnan(out).all()


@pytest.mark.parametrize("n_out", [2, 9])
def test_an_infinite_input_of_saturated_units_leaves_outputs_finite(n_out):
    network = Network((2, 10, n_out), output="identity")
    theta = network.initial_parameters(seed=0)
    X = np.array([[np.inf], [1.0]])
    with np.errstate(invalid="ignore"):
        found = outputs_of(compiled_forward(network, theta), X, n_out)
        (W, b), (V, c) = network.views(theta)
        expected = V @ np.tanh(W @ X + b[:, None]) + c[:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("sign", [1, -1])
def test_probabilities_of_huge_pre_activations_do_not_overflow(dtype, sign):
    theta = np.array([1e4, -1e4, 0, 0], dtype)
    x, out = np.array([sign], dtype), np.empty(2, dtype)
    for unit in ("softmax", "sigmoid"):
        compiled_forward(Network((1, 2), output=unit), theta)(x, out)
        assert out.tolist() == [max(sign, 0), max(-sign, 0)]
    compiled_forward(Network((1, 2), output="softmax"), np.abs(theta))(x, out)  # the same twice
    assert out.tolist() == [0.5, 0.5]


# The arguments of forward.


@pytest.fixture(scope="module")
def network():
    return Network((3, 5, 2), output="softmax")


@pytest.fixture(scope="module")
def theta(network):
    return network.initial_parameters(seed=0)


@pytest.fixture(scope="module")
def forward(network, theta):
    return compiled_forward(network, theta)


def test_x_and_out_may_have_any_strides(network, theta, forward):
    x, out = np.array([0.1, 0.2, 0.3]), np.zeros(2)
    forward(x, out)
    apart, between = np.zeros(6), np.zeros(4)
    apart[::2] = x
    forward(apart[::2], between[1::2])
    assert between.tolist() == [0, out[0], 0, out[1]]


@pytest.mark.parametrize("sizes", [(3, 3), (3, 4, 3)])
def test_x_and_out_may_be_the_same_memory(sizes):
    network = Network(sizes, output="identity")
    forward = compiled_forward(network, network.initial_parameters(seed=0))
    x, out = np.array([0.1, 0.2, 0.3]), np.zeros(3)
    forward(x, out)
    forward(x, x)
    assert x.tolist() == out.tolist()


@pytest.mark.parametrize(("n_in", "n_out"), [(2, 2), (4, 2), (3, 1), (3, 3), (0, 2)])
def test_other_lengths_are_refused(forward, n_in, n_out):
    with pytest.raises(ValueError, match=r"needs x of length 3 and out of length 2; got another"):
        forward(np.zeros(n_in), np.zeros(n_out))


def read_only(n):
    array = np.zeros(n)
    array.setflags(write=False)
    return array


@pytest.mark.parametrize(
    ("x", "out", "name"),
    [
        (np.zeros(3, "float32"), np.zeros(2), "x must be a sample"),
        (np.zeros(3, int), np.zeros(2), "x must be a sample"),
        (np.zeros((3, 1)), np.zeros(2), "x must be a sample"),
        (0.5, np.zeros(2), "x must be a sample"),
        ([0.5, 0.5, 0.5], np.zeros(2), "x must be a sample"),
        (np.zeros(3), [0.0, 0.0], "out must be an array to write to"),
        (np.zeros(3), np.zeros(2, "float32"), "out must be an array to write to"),
        (np.zeros(3), read_only(2), "out must be an array to write to"),
        (np.zeros(3), None, "out must be an array to write to"),
    ],
    ids=str,
)
def test_other_arrays_are_refused_by_name(forward, x, out, name):
    with pytest.raises(TypeError, match=rf"{name} of one dimension and of dtype float64.*; got "):
        forward(x, out)
    with pytest.raises(TypeError, match=rf"{name} of one dimension and of dtype"):
        forward(x=x, out=out)


def test_a_caller_with_arrays_of_another_dtype_is_not_compiled(forward):
    with pytest.raises((TypeError, TypingError), match="x must be a sample of one dimension"):
        numba.njit(lambda x, out: forward(x, out))(np.zeros(3, "float32"), np.zeros(2))


def test_x_may_be_read_only(forward):
    out = np.zeros(2)
    forward(read_only(3), out)
    assert out.sum() == pytest.approx(1)


def test_parameters_are_copied(network, theta):
    changing = theta.copy()
    forward, x, out = compiled_forward(network, changing), np.ones(3), np.zeros(2)
    forward(x, out)
    before = out.tolist()
    changing[:] = 0
    forward(x, out)
    assert out.tolist() == before


# In compiled code.


def caller_of(forward):
    """forward, called so many times in a compiled loop."""

    @numba.njit(nogil=True)
    def call(x, out, n_calls):
        for _ in range(n_calls):
            forward(x, out)

    return call


@pytest.mark.compiled
def test_compiled_loops_call_it(network, theta, forward):
    x, out = np.array([0.1, 0.2, 0.3]), np.zeros(2)
    caller_of(forward)(x, out, 3)
    np.testing.assert_allclose(out, network.forward(theta, x[:, None])[:, 0], rtol=1e-14)


@pytest.mark.compiled
@pytest.mark.parametrize("output", cases.OUTPUTS)
def test_its_machine_code_calls_nothing_but_activations(output):
    network = Network((4, 16, 2), output=output)
    forward: Any = compiled_forward(network, network.initial_parameters(seed=0))
    forward(np.zeros(4), np.zeros(2))
    (text,) = forward.inspect_llvm().values()
    functions = re.findall(r"^define .*?^}", text, re.MULTILINE | re.DOTALL)
    wrapper = r"[^\n]*@(_ZN7cpython|cfunc\.)"  # for callers from Python and C
    (body,) = (one for one in functions if not re.match(f"define{wrapper}", one))
    called = re.findall(r'call [^@\n]*@"?([\w.]+)', body)
    assert [name for name in called if not re.search(r"^llvm\.|activate_tiled", name)] == []


@pytest.mark.compiled
def test_calls_allocate_nothing(forward):
    call, x, out = caller_of(forward), np.zeros(3), np.zeros(2)
    call(x, out, 1)
    _nrt_python.memsys_enable_stats()
    try:
        counts = []
        for n_calls in (1, 1000):
            before = rtsys.get_allocation_stats()
            call(x, out, n_calls)
            after = rtsys.get_allocation_stats()
            counts.append([late - early for late, early in zip(after, before)])
    finally:
        _nrt_python.memsys_disable_stats()
    assert counts[0] == counts[1]  # those of the arguments


@pytest.mark.compiled
def test_threads_call_it_at_once_and_get_the_outputs_of_one():
    network = Network((8, 64, 64, 4), output="softmax")
    forward = compiled_forward(network, network.initial_parameters(seed=0))

    @numba.njit(nogil=True)
    def others(x, expected, n_calls):
        out, found = np.empty(expected.size), 0
        for _ in range(n_calls):
            forward(x, out)
            found += int(np.any(out != expected))
        return found

    X, expected = np.random.default_rng(0).normal(size=(4, 8)), np.empty((4, 4))
    for i in range(4):
        caller_of(forward)(X[i], expected[i], 1)
        assert others(X[i], expected[i], 1) == 0
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(others, X, expected, [50_000] * 4)) == [0, 0, 0, 0]


def callback_of(forward):
    """forward as a C function of two addresses."""

    @numba.cfunc("void(CPointer(float64), CPointer(float64))")
    def call(x, out):
        forward(numba.carray(x, 3), numba.carray(out, 2))

    return call


@pytest.mark.compiled
def test_parameters_are_kept_as_long_as_machine_code_refers_to_them(network, theta, monkeypatch):
    copies = []

    def copy(matrix):
        copies.append(weakref.ref(found := padded_copy(matrix)))
        return found

    def there():
        gc.collect()
        return [one() is not None for one in copies]

    padded_copy = forward_function.padded_copy
    monkeypatch.setattr(forward_function, "padded_copy", copy)
    call = callback_of(compiled_forward(network, theta))
    call._pyfunc.__closure__[0].cell_contents = None  # as if the name stood for another function
    assert there() == [True] * 4
    x, out = np.ones(3), np.zeros(2)
    call.ctypes(*(array.ctypes.data_as(call.ctypes.argtypes[0]) for array in (x, out)))
    np.testing.assert_allclose(out, network.forward(theta, x[:, None])[:, 0], rtol=1e-14)
    del call
    assert there() == [False] * 4


INTERPRETED = """
import numpy as np
from engine import Network, compiled_forward
network = Network((3, 10, 2), output="softmax")
theta, x, out = network.initial_parameters(seed=0), np.ones(3), np.empty(2)
forward = compiled_forward(network, theta)
forward(x, out)
assert np.allclose(out, network.forward(theta, x[:, None], backend="numpy")[:, 0], rtol=1e-14)
print(type(forward).__name__)
"""


@pytest.mark.compiled
def test_without_a_compiler_it_is_a_plain_function():
    assert output("-c", INTERPRETED, env={"NUMBA_DISABLE_JIT": "1"}) == "function\n"


UNPICKLED = """
import pickle, sys
import numpy as np
with open(sys.argv[1], "rb") as file:
    forward = pickle.load(file)
out = np.empty(2)
forward(np.ones(3), out)
print(out.tolist())
"""


@pytest.mark.compiled
def test_another_process_can_unpickle_it(forward, tmp_path):
    path, out = tmp_path / "forward.pickle", np.empty(2)
    path.write_bytes(pickle.dumps(forward))
    forward(np.ones(3), out)
    assert output("-c", UNPICKLED, path) == f"{out.tolist()}\n"


CACHED = """
import numba

@numba.njit(cache=True)
def call(x, out):
    forward(x, out)
"""


@pytest.mark.compiled
def test_a_caller_that_numba_would_cache_never_goes_on_with_an_older_network(
    network, theta, tmp_path, monkeypatch
):
    path = tmp_path / "caller.py"
    path.write_text(CACHED)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    for parameters in (theta, -theta):  # the second time as a process would that starts later
        module: dict[str, Any] = {"__name__": "caller", "__file__": str(path)}
        module["forward"] = compiled_forward(network, parameters)
        exec(compile(CACHED, path, "exec"), module)
        out = np.zeros(2)
        with pytest.warns(NumbaWarning, match="Cannot cache compiled function"):
            module["call"](np.ones(3), out)
        expected = network.forward(parameters, np.ones((3, 1)))[:, 0]
        np.testing.assert_allclose(out, expected, rtol=1e-14)


@pytest.mark.compiled
def test_a_c_callback_can_call_it():
    from scipy import LowLevelCallable
    from scipy.integrate import quad

    network = Network((1, 8, 1), output="identity")
    theta = network.initial_parameters(seed=0)
    forward = compiled_forward(network, theta)

    @numba.cfunc("float64(intc, CPointer(float64))")
    def integrand(n, x):
        out = np.empty(1)
        forward(numba.carray(x, 1), out)
        return out[0]

    found, error = quad(LowLevelCallable(integrand.ctypes), -1, 1)
    expected, _ = quad(lambda x: network.forward(theta, [[x]])[0, 0], -1, 1)
    assert found == pytest.approx(expected, rel=1e-12)
    assert error < 1e-8
