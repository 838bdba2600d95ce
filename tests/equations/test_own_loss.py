"""engine/equations/own_loss.py, engine/compiler/user_functions.py: losses that users write."""

import copy
import ctypes
import gc
import math
import pickle
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import mpmath
import numba
import numpy as np
import pytest
from sklearn.base import clone

from engine import MLPRegressor, Network, losses
from engine.compiler import user_functions
from engine.compiler.user_functions import UnusableLoss
from engine.equations import losses as kernels
from engine.equations import own_loss
from engine.equations.own_loss import digest_of
from engine.equations.units import UNITS
from engine.losses import Compiled
from tests import cases, own_losses, tiled
from tests.conftest import PASS
from tests.processes import output

# What is compiled, and what is refused, by the compiler; and by a look at the bytecode without one.
compiled_pass = pytest.mark.skipif(PASS == "interpreted", reason="needs the compiler")


def network_of(loss, n_out=2):
    return Network((3, 4, n_out), output=loss.output, loss=loss)


def drawn(output, n_out=2, m=9):
    random = np.random.default_rng(0)
    X = random.normal(size=(3, m))
    Y = random.normal(size=(n_out, m))
    counts = random.poisson(1.5, (n_out, m))
    targets = {"sigmoid": Y > 0, "exp": counts, "identity": Y}[output]
    return cases.float32_values(X), cases.float32_values(targets), np.linspace(0.5, 2, m)


def cost_and_gradient(loss, backend, dtype="float64"):
    network = network_of(loss)
    X, Y, weights = drawn(loss.units[0])
    theta = cases.float32_values(network.initial_parameters(seed=1)).astype(dtype)
    return network.cost_and_gradient(
        theta, X.astype(dtype), Y, sample_weight=weights, alpha=0.5, backend=backend
    )


# The same numbers as the losses that are built in, and as mpmath.


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_copies_of_losses_give_what_the_losses_give(dtype, backend):
    """L15 for identity and exponential units, weighted, with a penalty."""
    epsilon = float(np.finfo(dtype).eps)
    for own, built_in in (
        (Compiled(own_losses.huber), losses.Huber(own_losses.DELTA)),
        (Compiled(own_losses.poisson, "exp"), losses.Loss("poisson")),
    ):
        cost, dtheta = cost_and_gradient(own, backend, dtype)
        expected, expected_gradient = cost_and_gradient(built_in, backend, dtype)
        assert dtheta.dtype == dtype
        assert cost == pytest.approx(expected, rel=10 * epsilon)
        np.testing.assert_allclose(dtheta, expected_gradient, rtol=0, atol=20 * epsilon)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_log_cosh_is_right_in_forty_digits(dtype, backend):
    """L15: value, slope; near the minimum, where the cost cancels, to its largest term."""
    epsilon = float(np.finfo(dtype).eps)
    layers = Network((1, 1), output="identity", loss=Compiled(own_losses.log_cosh))
    theta = np.array([1.0, 0.0], dtype)
    for e in (0.0, 1e-6, -0.1, 0.7, -3.0, 40.0, -1e4):
        z, y = float(dtype(e + 1)), 1.0
        cost, dtheta = layers.cost_and_gradient(
            theta, np.array([[z]], dtype), [[y]], backend=backend
        )
        with mpmath.workdps(60):
            exact = mpmath.log(mpmath.cosh(mpmath.mpf(z) - y))
            slope = mpmath.tanh(mpmath.mpf(z) - y)
        assert abs(cost - exact) <= 4 * epsilon * max(1, abs(e))
        assert abs(dtheta[1] - slope) <= 4 * epsilon * abs(slope)


def test_a_loss_of_sigmoid_units_has_the_gradient_of_its_cost(backend):
    """L15: by differences, through a hidden layer."""
    loss = Compiled(own_losses.brier, "sigmoid")
    network = network_of(loss)
    X, Y, weights = drawn("sigmoid")
    theta = network.initial_parameters(seed=1)
    objective = network.objective(X, Y, sample_weight=weights, backend=backend)
    cost, dtheta = objective.cost_and_gradient(theta)
    A = network.forward(theta, X)
    assert cost == pytest.approx(np.average(((A - Y) ** 2 / 2).sum(axis=0), weights=weights))
    for p in range(0, theta.size, 5):
        step = np.zeros_like(theta)
        step[p] = 1e-6
        quotient = (objective.cost(theta + step) - objective.cost(theta - step)) / 2e-6
        assert dtheta[p] == pytest.approx(quotient, abs=1e-8)


def curvature_by(backend, loss, Z, Y):
    """H of identity units."""
    code, of_kernels = UNITS["identity"].code, loss.for_kernels(len(Z))
    s = np.full(Z.shape[1], 2.0)
    if backend != "tiled":
        H = np.empty_like(Z)
        getattr(kernels, f"curvature_{backend}")(of_kernels, code, Z, Z, Y, s, H)
        return H
    (Z_tiled, m), (Y_tiled, _), (s_tiled, _) = map(tiled.padded, (Z, Y, s.reshape(1, -1)))
    H = np.empty_like(Z_tiled)
    kernels.curvature_tiled(of_kernels, code, Z_tiled, Z_tiled, Y_tiled, s_tiled[0], H, m)
    return H[:, : Z.shape[1]]


def test_a_third_result_is_the_curvature_and_without_it_there_is_none(backend):
    Z = np.array([[0.25, -1.0, 0.75], [2.0, 0.0, -0.5]])
    Y = np.zeros_like(Z)
    H = curvature_by(backend, Compiled(own_losses.log_cosh_with_curvature), Z, Y)
    np.testing.assert_allclose(H, 2 * (1 - np.tanh(Z) ** 2), rtol=1e-14)
    assert Compiled(own_losses.log_cosh_with_curvature).has_curvature
    assert np.isnan(curvature_by(backend, Compiled(own_losses.log_cosh), Z, Y)).all()
    assert not Compiled(own_losses.log_cosh).has_curvature


def test_what_is_out_of_range_is_no_number_and_no_error(backend):
    """log of a negative number: NaN or so for the compiler, and a NaN without it."""

    def log_of_error(z, y):
        return math.log(z - y), 1 / (z - y)

    network = Network((1, 1), output="identity", loss=Compiled(log_of_error))
    cost, _ = network.cost_and_gradient(np.array([1.0, 0.0]), [[0.0]], [1.0], backend=backend)
    assert math.isnan(cost)


@pytest.mark.compiled
def test_a_new_loss_compiles_its_own_loop_and_no_kernel():
    every = {id(k): k for names in map(vars, loaded_kernels()) for k in names.values()}
    all_kernels = [k for k in every.values() if hasattr(k, "within")]
    forms = [form for kernel in all_kernels for form in (kernel, kernel.within)]
    both = [cost_and_gradient(losses.Huber(2.0), "tiled", dtype) for dtype in cases.DTYPES]
    before = [form.signatures for form in forms]
    assert sum(map(len, before)) > 10
    for dtype in cases.DTYPES:
        for backend in ("tiled", "loops"):
            cost_and_gradient(losses.Huber(2.0), backend, dtype)
    before = [form.signatures for form in forms]

    def new(z, y):
        e = z - y
        return (e * e / 2, e) if abs(e) <= 2 else (2 * (abs(e) - 1), math.copysign(2, e))

    for dtype, (expected, _) in zip(cases.DTYPES, both):
        for backend in ("tiled", "loops"):
            assert cost_and_gradient(Compiled(new), backend, dtype)[0] == pytest.approx(
                expected, rel=1e-6
            )
    assert [form.signatures for form in forms] == before


def loaded_kernels():
    return [module for name, module in sys.modules.items() if name.startswith("engine.")]


def test_the_loop_for_the_compiler_is_right_in_python_as_well():
    """L15: what numba.cfunc compiles, called with pointers of ctypes."""
    z, y = np.array([0.5, -2.0, 1.0]), np.array([0.0, 1.0, 1.0])
    for function, n_results in ((own_losses.huber, 3), (own_losses.log_cosh, 2)):
        loop = own_loss.loop_over(function, n_results)
        expected = np.array([(*function(*pair), np.nan)[:3] for pair in zip(z, y)])
        for task in range(3):
            out = np.zeros(3)
            pointers = [one.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for one in (z, y, out)]
            loop(task, *pointers, 3)
            np.testing.assert_array_equal(out, expected[:, task])


def test_what_was_compiled_is_known_by_its_addresses_and_kept(monkeypatch):
    class Loop:
        def __init__(self, address):
            self.address = address

    loops = {"float32": Loop(32), "float64": Loop(64)}
    monkeypatch.setattr(own_loss, "compiled_loops", lambda *given: (loops, 3))
    found = own_loss.compiled(own_losses.huber)
    assert tuple(found) == (32, 64, True, loops)
    of_kernels = found.for_kernels(2)
    assert of_kernels.as_numbers() == (kernels.COMPILED, [0, 0], 0.0, 32, 64, 1)


# Refusals.


def raises(z, y):
    if z > 5:
        raise ValueError("too large")
    return z, y


def makes_a_list(z, y):
    both = [z - y, y]
    both.append(z)
    return both[0] ** 2, both[1] * 2


def makes_an_array(z, y):
    both = np.zeros(2)
    both[0] = z - y
    return both[0] ** 2, both[0] * 2


def returns_one(z, y):
    return z - y


def returns_text(z, y):
    return "a cost"


def returns_four(z, y):
    return z, y, z, y


def returns_complex(z, y):
    return 1j * z, y


def unknown_name(z, y):
    return nowhere(z), y  # type: ignore[name-defined]  # noqa: F821


def without_decorator(x):
    return x * x


def calls_what_is_not_compiled(z, y):
    return without_decorator(z - y), z


def asks_for_text(z, y):
    return "z" + z, y


def imports_a_module(z, y):
    import math

    return math.exp(z), y


def imports_a_name(z, y):
    from math import exp

    return exp(z), y


def calls_what_imports(z, y):
    return helper_that_imports(z), y


@numba.njit
def helper_that_imports(x):
    import math

    return math.exp(x)


def returns_on_one_path(z, y):
    if z > y:
        return z - y, 1.0
    return None


LAST = 0.0


def writes_a_global(z, y):
    global LAST
    LAST = z
    return z, y


def takes_three(z, y, w):
    return z * w, y


def takes_any(*numbers):
    return numbers


def takes_more(z, y, *others):
    return z, y


def takes_a_name(z, y, *, delta=1.0):
    return z * delta, y


ALLOCATES = "allocates memory for each sample, as lists and arrays do. Use numbers alone."
MAY_RAISE = "may raise an exception, which a compiled loop cannot pass on. Return NaN instead"
IMPORTS = "imports a module. Import modules outside of the function."
MUST_RETURN = "must return two numbers, the cost and its derivative by z, or three, with the curv"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (makes_a_list, ALLOCATES),
        pytest.param(makes_an_array, ALLOCATES, marks=compiled_pass),
        (imports_a_module, IMPORTS),
        (imports_a_name, IMPORTS),
        pytest.param(calls_what_imports, IMPORTS, marks=compiled_pass),
        pytest.param(
            returns_on_one_path,
            "three, with the curvature; it returns nothing on some path.",
            marks=compiled_pass,
        ),
        pytest.param(writes_a_global, "opcode (STORE_GLOBAL) found. Use numb", marks=compiled_pass),
        (returns_one, MUST_RETURN),
        (returns_text, MUST_RETURN),
        (returns_four, MUST_RETURN),
        (returns_complex, MUST_RETURN),
        (unknown_name, "NameError: name 'nowhere' is not defined. Use numbers, if, functions of m"),
        (asks_for_text, "Use numbers, if, functions of math, and functions that numba.njit has"),
        pytest.param(
            calls_what_is_not_compiled,
            "Untyped global name 'without_decorator': Cannot determine Numba type of <class 'funct",
            marks=compiled_pass,
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_function_that_cannot_be_a_loss_is_refused_and_told_why(function, message):
    with pytest.raises(UnusableLoss) as caught:
        Compiled(function)
    assert f"loss {function.__name__!r}" in str(caught.value)
    assert message in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.skipif(PASS == "bounds", reason="with bounds checked, each loop may raise")
def test_a_function_that_may_raise_is_refused_and_told_what_to_return():
    with pytest.raises(UnusableLoss, match=MAY_RAISE):
        Compiled(raises)


@pytest.mark.parametrize(
    "function",
    [takes_three, takes_any, takes_more, takes_a_name, math.log, len, "log_cosh", None, Compiled],
)
def test_what_is_no_function_of_two_numbers_is_refused(function):
    expected = "A loss must be a function of two numbers (z, y); got "
    with pytest.raises(TypeError) as caught:
        Compiled(function)
    assert str(caught.value) == f"{expected}{function!r}."


def test_a_function_that_fails_for_each_number_is_refused_without_a_compiler():
    def fails(z, y):
        return math.log(-1 - abs(z)), y

    if PASS == "interpreted":
        with pytest.raises(UnusableLoss, match="The loss 'fails' fails: ValueError"):
            Compiled(fails)
    else:
        Compiled(fails)


def test_a_function_with_a_mistake_is_refused_without_a_compiler_too():
    def mistaken(z, y):
        return z.no_such_name, z - y

    with pytest.raises(ValueError, match="mistaken"):
        losses.Compiled(mistaken)


def test_an_unknown_output_unit_is_refused():
    with pytest.raises(ValueError, match="output must be 'identity', 'sigmoid' or 'exp'; got 'so"):
        Compiled(own_losses.log_cosh, "softmax")


def test_messages_of_numba_are_shortened_to_what_is_wrong():
    def shortened(text):
        return user_functions.first_line(ValueError(text))

    assert shortened("Failed in nopython mode\n\x1b[1mUntyped name 'f'\x1b[0m\nFile x") == (
        "Untyped name 'f'."
    )
    assert shortened("No implementation found for signature:\n \n >>> clip(float32)\n \nThere") == (
        "No implementation found for signature: clip(float32)."
    )
    assert shortened("") == "ValueError."


# Identity.


def test_equal_functions_are_equal_losses_and_compiled_once():
    def make(delta):
        def loss(z, y):
            return delta * (z - y), delta

        return loss

    one, same, other = (Compiled(make(delta)) for delta in (1.5, 1.5, 2.5))
    assert one == same
    assert hash(one) == hash(same)
    assert one.for_kernels(1).as_numbers() == same.for_kernels(1).as_numbers()
    assert one != other
    assert one.for_kernels(1).as_numbers() != other.for_kernels(1).as_numbers()
    assert one != losses.Huber()
    assert Compiled(make(1.5), "exp") != one
    assert Network((1, 1), output="identity", loss=one) == Network(
        (1, 1), output="identity", loss=same
    )


def test_copies_are_equal_and_have_the_same_loops():
    loss = Compiled(own_losses.huber, "exp")
    assert copy.deepcopy(loss) is loss
    assert copy.copy(loss) is loss
    other = pickle.loads(pickle.dumps(loss))
    assert other == loss
    assert other.output == "exp"
    assert other.for_kernels(2).as_numbers() == loss.for_kernels(2).as_numbers()
    network = network_of(loss)
    assert pickle.loads(pickle.dumps(network)) == network
    layers = pickle.loads(pickle.dumps(network.layers))
    assert layers.loss.as_numbers() == network.layers.loss.as_numbers()


def test_estimators_are_cloned_with_the_same_loss():
    loss = losses.Quantile([0.1, 0.9])
    model = MLPRegressor()
    model.set_params(loss=loss)
    assert clone(model).get_params()["loss"] == loss


@pytest.mark.compiled
def test_a_loss_that_was_pickled_is_compiled_anew_in_another_process():
    """And is equal to what it was: the digests of functions do not depend on the process."""
    network = network_of(Compiled(own_losses.huber))
    names = sorted(name for name in vars(own_losses) if name.startswith("with_"))
    given = [[0.25] * 26, [[1.0]] * 3, [[2.0]] * 2]
    code = (
        "import pickle\n"
        "from tests import own_losses\n"
        "from engine.equations.own_loss import digest_of\n"
        f"layers = pickle.loads({pickle.dumps(network.layers)!r})\n"
        f"network = pickle.loads({pickle.dumps(network)!r})\n"
        "assert layers.loss.as_numbers() == network.layers.loss.as_numbers()\n"
        f"print(network.cost_and_gradient(*{given}, backend='numpy')[0])\n"
        f"print(network.loss.in_words, [digest_of(getattr(own_losses, one)) for one in {names}])"
    )
    cost, _ = network.cost_and_gradient(*given, backend="numpy")
    here = [digest_of(getattr(own_losses, one)) for one in names]
    # A set of texts has another order there.
    assert (
        output("-c", code, env={"PYTHONHASHSEED": "1"})
        == f"{cost!r}\n{network.loss.in_words} {here}\n"
    )


def changed(function, **globals_):
    """The same code with other globals."""
    everything = {**vars(own_losses), **globals_}
    return types.FunctionType(function.__code__, everything, function.__name__)


def of_module(**names):
    module = types.ModuleType("settings")
    vars(module).update(vars(own_losses.MODULE) | {"itself": module} | names)
    return module


def other_default(x, factor=4.0):
    return x * factor


def other_code(x, factor=3.0):
    return x + factor


def by_name(x, *, factor=3.0):
    return x * factor


def by_other_name(x, *, factor=4.0):
    return x * factor


def test_the_digest_changes_with_what_the_function_uses():
    for function, globals_ in (
        (own_losses.with_global, {"SCALE": 2.5}),
        (own_losses.with_global, {"SCALE": 2}),
        (own_losses.with_table, {"TABLE": np.array([1.0, 2.5])}),
        (own_losses.with_table, {"TABLE": np.array([1, 2])}),
        (own_losses.with_table, {"TABLE": np.array([[1.0, 2.0]])}),
        (own_losses.with_tuple, {"PAIR": (1.0, (2.0, 4))}),
        (own_losses.with_tuple, {"PAIR": (1.0, 2.0, 3)}),
        (own_losses.with_helper, {"helper": numba.njit(other_default)}),
        (own_losses.with_helper, {"helper": numba.njit(other_code)}),
        (own_losses.with_module, {"MODULE": of_module(LIMIT=2.0)}),
        (own_losses.with_helper_of_module, {"MODULE": of_module(of_helper=numba.njit(other_code))}),
    ):
        if PASS == "interpreted" and function is own_losses.with_helper_of_module:
            continue  # of a module's functions, those alone count that Numba has compiled
        assert digest_of(changed(function)) == digest_of(function)
        assert digest_of(changed(function, UNUSED=1.0)) == digest_of(function)
        assert digest_of(changed(function, **globals_)) != digest_of(function), (function, globals_)


def test_the_digest_changes_with_code_constants_and_defaults_alone():
    def other_constant(z, y):
        return 2.5 * z, y

    def with_set(z, y):
        return (1.0 if z in {1.0, 2.0, "a", "b", "c"} else 0.0), y

    def with_inner(z, y):
        def inner(x):
            return 2.0 * x

        return inner(z), y

    def with_other_inner(z, y):
        def inner(x):
            return 2.5 * x

        return inner(z), y

    of_helper = [by_name, by_other_name, other_default, math.sin, np.float32, "text"]
    functions = [own_losses.with_constant, other_constant, with_set, with_inner, with_other_inner]
    functions += [changed(own_losses.with_helper, helper=one) for one in of_helper]
    digests = [digest_of(one) for one in functions]
    assert len(set(digests)) == len(digests)
    assert all(len(digest) == 16 for digest in digests)


def test_the_digest_changes_with_what_a_function_captures():
    def make(number):
        def loss(z, y):
            return number * z, y

        return loss

    assert digest_of(make(1.0)) == digest_of(make(1.0))
    assert digest_of(make(1.0)) != digest_of(make(2.0))

    def early():
        def loss(z, y):
            return later * z, y

        first = digest_of(loss)  # `later` has no value yet
        later = 2.0
        return first, digest_of(loss)

    first, second = early()
    assert first != second


def test_a_function_that_calls_itself_has_a_digest():
    def make():
        def loss(z, y):
            return (z, y) if z < 1 else loss(z / 2, y)

        return loss

    assert digest_of(make()) == digest_of(make())


def test_numbas_decorator_makes_no_difference():
    assert Compiled(numba.njit(own_losses.huber)) == Compiled(own_losses.huber)


@compiled_pass  # without a compiler, it is the function that is called
def test_a_loss_keeps_the_values_that_it_was_made_with(backend):
    """A network whose kernels are asked for later has them, and not those of that moment."""
    own = types.ModuleType("own")
    exec("SCALE = 2.0\ndef loss(z, y):\n    return SCALE * z, SCALE\n", vars(own))
    network = Network((1, 1), output="identity", loss=Compiled(own.loss))
    vars(own)["SCALE"] = 3.0
    assert network.cost_and_gradient([0.0, 1.0], [[1.0]], [1.0], backend=backend)[0] == 2.0
    later = Network((1, 1), output="identity", loss=Compiled(own.loss))
    assert later != network
    # The loops live as long as kernels may call them, whoever holds the loss.
    layers = later.layers
    del own, later
    gc.collect()
    again = Network((1, 1), output="identity")
    again._layers = layers
    assert again.cost_and_gradient([0.0, 1.0], [[1.0]], [1.0], backend=backend)[0] == 3.0


# Lifetime.


def test_two_threads_that_make_the_same_loss_get_the_same_loops(monkeypatch):
    """The loops of the second, which nobody holds, are let go: no kernel may have their address."""
    made, both = [], threading.Barrier(2, timeout=60)
    name = "interpreted" if PASS == "interpreted" else "compiled"
    make = getattr(own_loss, name)

    def together(function):
        loops = make(function)
        made.append(loops)
        both.wait()
        return loops

    monkeypatch.setattr(own_loss, name, together)

    def loss(z, y):
        return 0.125 * (z - y) ** 2, 0.25 * (z - y)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(Compiled, (loss, loss))
    assert len(made) == 2
    addresses = one.for_kernels(1).for_float64, other.for_kernels(1).for_float64
    assert addresses[0] == addresses[1]
    assert addresses[0] in [loops.for_float64 for loops in made]
    assert own_loss.COMPILED_LOSSES[digest_of(loss)].for_float64 == addresses[0]
