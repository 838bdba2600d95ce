"""engine/compiler/subnormals.py: what takes subnormals for zeros, and what it leaves alone."""

import math

import llvmlite.binding
import numpy as np
import pytest
from llvmlite import ir

from engine import DivergedError, MLPClassifier, Network, train
from engine.compiler import subnormals
from engine.compiler.jit import jit
from engine.equations.backends import BACKENDS
from engine.solvers.descent import steps_of
from engine.solvers.solver import Problem
from engine.solvers.state import ADAM, MOMENTUM, NESTEROV, PLAIN, Settings, new_state
from engine.sums.chunks import ChunkSums
from engine.sums.one_row import OneRow
from engine.sums.samples import Samples

pytestmark = pytest.mark.compiled
DTYPES = ["float32", "float64"]


def subnormal(dtype):
    """A hundredth of the smallest normal number."""
    return np.array(np.finfo(dtype).smallest_normal * np.dtype(dtype).type(0.01), dtype)


def arithmetic_is_the_callers():
    """Whether both bits are off in this thread, as NumPy sees it."""
    for dtype in DTYPES:
        smallest, small = np.finfo(dtype).smallest_normal, np.array([subnormal(dtype)])
        if not (smallest * small.dtype.type(0.5) > 0 and (small * 1000 > 0).all()):
            return False
    return True


@jit
def products(numbers, factors, out):
    before = subnormals.flush_subnormals()
    for p in range(numbers.size):
        out[p] = numbers[p] * factors[p]
    subnormals.restore(before)
    return before


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_and_operands_are_flushed_and_the_caller_is_left_alone(dtype):
    smallest = np.finfo(dtype).smallest_normal
    numbers = np.array([smallest, subnormal(dtype), smallest], dtype)
    factors = np.array([0.5, 1000, 2], dtype)
    out = np.ones(3, dtype)
    first = products(numbers, factors, out)
    np.testing.assert_array_equal(out, [0, 0, 2 * smallest])
    assert (numbers * factors > 0).all()
    flags = 0x3F  # of MXCSR: what has happened since, no setting
    assert products(numbers, factors, out) | flags == first | flags


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("update", [MOMENTUM, NESTEROV, ADAM])
@pytest.mark.parametrize("batch_size", [32, 2000], ids=["slices", "steps"])
def test_moments_that_shrink_become_zero_and_do_not_stay_subnormal(dtype, update, batch_size):
    """No gradient: the targets are what the network says. 0.9 of 4 units in the last place is 4."""
    network = Network((3, 1), output="identity")
    X = np.asarray(np.random.default_rng(0).normal(size=(3, batch_size)), dtype)
    moments = {}
    for backend in ("tiled", "numpy"):
        theta = np.zeros(network.n_parameters, dtype)
        settings = Settings(update, batch_size, 0, 0.01, 0.9, 0.9, 0.999, 1e-8)
        state = new_state(theta, settings, batch_size, seed=0)
        state.first[:] = subnormal(dtype)
        samples = Samples(X, np.zeros((1, batch_size), dtype))
        problem = Problem(BACKENDS[backend], network.layers, samples, 0.0, 1)
        steps_of(problem, settings).advance(state, settings, 1, 1, np.zeros((1, 2)))
        moments[backend] = state.first
        assert arithmetic_is_the_callers()
    assert (moments["numpy"] > 0).all()  # the reference keeps them
    np.testing.assert_array_equal(moments["tiled"], 0)


def small_outputs(dtype):
    """A network and samples whose outputs, sigmoids, are some normal, some subnormal."""
    network = Network((1, 1), output="sigmoid")
    theta = np.array([1, 0], dtype)
    lowest = np.log(np.finfo(dtype).smallest_normal)
    return network, theta, np.linspace(lowest - 10, lowest + 10, 5000, dtype=dtype)[None, :]


@pytest.mark.parametrize("dtype", DTYPES)
def test_outputs_have_the_same_bits_in_all_passes_and_on_all_threads(dtype):
    network, theta, X = small_outputs(dtype)
    passes = [
        ChunkSums(BACKENDS["tiled"], network.layers, Samples(X), n_threads).forward(theta)
        for n_threads in (1, 2, 3)
    ]
    is_zero = passes[0] == 0
    assert 0 < is_zero.sum() < is_zero.size
    assert passes[0][~is_zero].min() >= np.finfo(dtype).smallest_normal
    for other in passes[1:]:
        np.testing.assert_array_equal(other, passes[0])
    one_row = OneRow(network.layers, theta)
    singly = [one_row(X[:, i])[0] for i in range(0, 5000, 50)]
    np.testing.assert_array_equal(singly, passes[0][0, ::50])
    assert arithmetic_is_the_callers()


@pytest.mark.parametrize("batch_size", [4, 2000], ids=["slices", "steps"])
def test_a_run_that_diverges_leaves_the_callers_arithmetic(batch_size):
    X = np.random.default_rng(0).normal(size=(2, 2000))
    with pytest.raises(DivergedError):
        train(
            Network((2, 3, 1), output="identity"),
            X,
            X[0],
            solver="sgd",
            learning_rate=1e6,
            batch_size=batch_size,
            max_iter=500,
            seed=0,
        )
    assert arithmetic_is_the_callers()


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_epsilon_that_would_be_zero_is_refused(dtype):
    """Adam divides 0 by it where a parameter has no gradient."""
    X, Y = np.ones((1, 8), dtype), np.zeros(8, dtype)
    small = float(subnormal(dtype))
    with pytest.raises(ValueError, match="epsilon must be between"):
        train(Network((1, 1)), X, Y, solver="adam", epsilon=small)
    train(Network((1, 1)), X, Y, solver="sgd", epsilon=small, max_iter=1)  # which has none
    model = MLPClassifier(solver="adam", epsilon=small, max_iter=1)
    with pytest.raises(ValueError, match="epsilon must be between"):
        model.fit(X.T, np.arange(8) % 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("total", ["subnormal weights", "subnormal 1 / S"])
def test_weights_that_would_be_zeros_or_have_no_mean_are_refused(dtype, total):
    n, info = 1280, np.finfo(dtype)
    weight = float(subnormal(dtype)) if total == "subnormal weights" else float(info.max) / 2 / n
    X, Y = np.ones((1, n), dtype), np.zeros(n, dtype)
    with pytest.raises(ValueError, match="scale the weights"):
        train(Network((1, 1)), X, Y, sample_weight=np.full(n, weight))
    largest = 0.9 / float(info.tiny) / n
    train(Network((1, 1)), X, Y, sample_weight=np.full(n, largest), max_iter=1)


@pytest.mark.parametrize("largest", [1e308, 1e-150])
def test_the_norm_of_a_gradient_out_of_the_range_of_squares_is_right_in_a_slice(largest):
    """Of one sample x, two equal inputs, and a target of 1: dW = -x, -x; db = -1."""
    network = Network((2, 1), output="identity")
    settings = Settings(PLAIN, 1, 0, 1e-300, 0.0, 0.0, 0.0, 1e-8)
    target = 1.0 if largest > 1 else 1e-160
    samples = Samples(np.full((2, 1), largest / 2), np.full((1, 1), target))
    history = np.zeros((1, 2))
    state = new_state(np.zeros(3), settings, 1, seed=0)
    problem = Problem(BACKENDS["tiled"], network.layers, samples, 0.0, 1)
    steps_of(problem, settings).advance(state, settings, 1, 1, history)
    assert history[0, 1] == pytest.approx(target * math.hypot(largest / 2, largest / 2, 1))


@pytest.mark.parametrize(
    ("triple", "instructions"),
    [
        ("x86_64-unknown-linux-gnu", ["stmxcsr", "ldmxcsr", "ldmxcsr"]),
        ("aarch64-unknown-linux-gnu", ["mrs", "msr", "msr"]),
        ("arm64-apple-macosx", ["mrs", "msr", "msr"]),
        ("powerpc64le-unknown-linux-gnu", []),
    ],
)
def test_instructions_of_each_processor(triple, instructions):
    """Of a function that sets the bits and puts the word back, in the processor's own assembly."""
    module = ir.Module()
    module.triple = triple
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), []), "flush_and_restore")
    builder = ir.IRBuilder(function.append_basic_block())
    before = subnormals.set_bits(builder, triple)
    subnormals.put_back(builder, triple, before)
    builder.ret_void()
    llvmlite.binding.initialize_all_targets()
    llvmlite.binding.initialize_all_asmprinters()
    machine = llvmlite.binding.Target.from_triple(triple).create_target_machine()
    assembly = machine.emit_assembly(llvmlite.binding.parse_assembly(str(module)))
    of_control_word = ("stmxcsr", "ldmxcsr", "vstmxcsr", "vldmxcsr", "mrs", "msr")
    words = [line.split()[0] for line in assembly.splitlines() if line.split()]
    assert [word.removeprefix("v") for word in words if word in of_control_word] == instructions
