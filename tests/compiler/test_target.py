"""engine/compiler/target.py: kernels for a class of processors, and passed_arrays.py."""

import ctypes
import platform
import warnings

import llvmlite.binding
import numba
import numpy as np
import pytest
from numba import types
from numba.core import registry

from engine import MLPClassifier, Network, fit_many, losses, train
from engine.compiler import target
from engine.compiler.kernels import CFunction
from engine.compiler.target import V2, V3, V4, processor_class
from tests.kernels import compilations
from tests.processes import result_of

pytestmark = pytest.mark.compiled

# What LLVM says of processors, as far as classes ask for it.
SSE4 = "cx16 popcnt sahf sse4.2 ssse3"
AVX = f"{SSE4} avx"
AVX2 = f"{AVX} avx2 bmi bmi2 f16c fma lzcnt movbe"
AVX512 = f"{AVX2} avx512f avx512bw avx512cd avx512dq avx512vl"
needs_x86 = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="classes of x86"
)


@pytest.fixture
def processor(monkeypatch):
    """Make LLVM and Numba's settings say something else for the time of a test."""

    def say(has, triple="x86_64-unknown-linux-gnu", **settings):
        found = dict.fromkeys(has.split(), True)
        features = llvmlite.binding.FeatureMap(found)
        monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: features)
        monkeypatch.setattr(llvmlite.binding, "get_process_triple", lambda: triple)
        monkeypatch.setattr(llvmlite.binding, "get_host_cpu_name", lambda: "this-one")
        for name, value in settings.items():
            monkeypatch.setattr(numba.config, name, value)
        processor_class.cache_clear()
        return processor_class()

    yield say
    processor_class.cache_clear()


@pytest.mark.parametrize(
    ("has", "expected"),
    [(AVX512, V4), (AVX2, V3), (AVX512.replace("avx512vl", ""), V3), (AVX, V2), (SSE4, V2)],
)
def test_the_highest_class_whose_features_a_processor_has(has, expected, processor):
    assert processor(has) == expected


@pytest.mark.parametrize("has", ["", "sse4.2", SSE4.replace("popcnt", "")])
def test_a_processor_below_the_lowest_class_is_compiled_for_as_numba_would(has, processor):
    found = processor(has)
    assert found == (
        "this-one",
        llvmlite.binding.get_host_cpu_features().flatten(),
        16,
        16,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"CPU_NAME": "x86-64-v2"}, V2),
        ({"CPU_NAME": "x86-64-v3"}, V3),
        ({"CPU_NAME": "x86-64-v4"}, V3),  # more than this processor can
        ({"CPU_NAME": "skylake-avx512"}, V3),  # so are its features, which Numba takes from here
        ({"CPU_FEATURES": ",".join(f"+{name}" for name in SSE4.split())}, V2),
        ({"CPU_FEATURES": ",".join(f"+{name}" for name in AVX512.split())}, V3),
        ({"ENABLE_AVX": 0}, V2),
        ({"CPU_NAME": "generic", "CPU_FEATURES": ""}, ("generic", "", 16, 16, False, False)),
    ],
    ids=str,
)
def test_numbas_settings_choose_no_higher_class_than_the_processor_has(
    settings, expected, processor
):
    assert processor(AVX2, **settings) == expected


@pytest.mark.parametrize("triple", ["aarch64-unknown-linux-gnu", "arm64-apple-darwin24"])
def test_arm_is_one_class(triple, processor):
    assert processor("neon", triple) == target.ARM64


def test_another_architecture_is_compiled_for_as_numba_would(processor):
    found = processor("vsx", "powerpc64le-unknown-linux-gnu")
    assert (found.name, found.registers, found.is_fixed) == ("this-one", 32, False)


# Users' functions, and kernels among them.


@numba.njit
def twice(x):
    return x + x


def sum_of_doubles(numbers_at, n):
    numbers, total = numba.carray(numbers_at, n), 0.0
    for i in range(n):
        total += twice(numbers[i])
    return total


def test_a_users_function_that_a_kernel_calls_is_compiled_for_the_class_as_well():
    signature = types.float64(types.CPointer(types.float64), types.int64)
    made = CFunction(sum_of_doubles, signature, {})
    numbers = (ctypes.c_double * 4)(0.0, 1.0, 2.0, 3.0)
    assert made.ctypes(numbers, 4) == 12.0
    assert not twice.overloads  # nothing for the processor at hand
    assert twice(1.5) == 3.0
    (compiled,) = twice.overloads.values()
    assert compiled.library.codegen is registry.cpu_target.target_context.codegen()


# Bits.


def fingerprints():
    """Fits of each kind, the compilations that they took, and the class."""
    data = np.random.default_rng(0)
    X, Y = data.standard_normal((5, 70)), data.standard_normal((2, 70))
    y = (X[0] > 0).astype(int)
    found = []
    warnings.simplefilter("ignore")  # three epochs are few
    with compilations() as compiled:
        for dtype in ("float32", "float64"):
            network = Network((5, 9, 2), output="identity", loss=losses.Huber(0.5))
            told = {"theta": network.initial_parameters(0, dtype), "max_iter": 3}
            for solver, size in (("adam", 16), ("sgd", 1), ("gd", None)):
                ended = train(network, X.astype(dtype), Y, solver=solver, batch_size=size, **told)
                found.append(ended.fingerprint)
        models = [
            MLPClassifier(3, max_iter=30, n_iter_no_change=30, random_state=seed)
            for seed in range(3)
        ]
        found += [model.fingerprint_ for model in fit_many(models, X.T, y)]
    return found, len(compiled), processor_class().name


@needs_x86
@pytest.mark.proof
@pytest.mark.parametrize("name", ["x86-64-v3", "x86-64-v4"])
def test_two_processors_of_a_class_get_the_same_bits_and_share_a_cache(name, tmp_path):
    """Numba is told of two processors: the second compiles nothing, and a third for itself."""
    ours = processor_class()
    if ours not in (V3, V4) or ours.name < name:
        pytest.skip("not a processor of this class")
    lower = {} if name == ours.name else {"NUMBA_CPU_FEATURES": plus(AVX2)}
    one, other = ("haswell", "znver3") if name == "x86-64-v3" else ("skylake-avx512", "znver4")
    here = {**lower, "NUMBA_CACHE_DIR": tmp_path / "here"}
    bits, n_compiled, found = result_of(fingerprints, env={**here, "NUMBA_CPU_NAME": one})
    assert (n_compiled > 0, found) == (True, name)
    there = {**here, "NUMBA_CPU_NAME": other}
    assert result_of(fingerprints, env=there) == [bits, 0, name]
    alone = {**there, "NUMBA_CACHE_DIR": tmp_path / "there"}
    assert result_of(fingerprints, env=alone) == [bits, n_compiled, name]


def plus(has):
    return ",".join(f"+{name}" for name in has.split())
