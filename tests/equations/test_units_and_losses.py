"""engine/equations/units.py and losses.py: the tables, and codes that are in neither."""

import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from engine import Network
from engine.equations import activations, losses
from engine.equations.backends import BACKENDS
from engine.equations.losses import LOSSES, KernelLoss
from engine.equations.units import HIDDEN_UNITS, OUTPUT_UNITS, UNITS
from engine.losses import Quantile, default_for
from engine.sums.chunks import ChunkSums
from engine.sums.objective import Objective
from engine.sums.samples import Layers, Samples
from tests import tiled
from tests.conftest import PASS

NO_UNIT, NO_LOSS = 99, 99
IDENTITY = UNITS["identity"].code
NUMBERS = np.full(2, 0.5)


def test_rows_of_a_table_have_codes_and_names_of_their_own():
    for table in (UNITS, LOSSES):
        assert len({row.code for row in table.values()}) == len(table)
        assert all(name == row.name for name, row in table.items())
    assert len({unit.sklearn for unit in UNITS.values()}) == len(UNITS)


def test_each_output_unit_has_a_loss_by_default_and_no_other_unit_has_any():
    named = {unit for loss in LOSSES.values() for unit in loss.units}
    assert named == set(OUTPUT_UNITS)
    assert [default_for(unit).name for unit in OUTPUT_UNITS] == [
        "cross_entropy",
        "cross_entropy",
        "squared_error",
        "poisson",
    ]


def test_what_saturates_is_within_a_hundredth_of_a_limit_there():
    for name in HIDDEN_UNITS:
        z = UNITS[name].saturation
        if np.isfinite(z):
            A = np.empty((1, 2))
            activations.activate_numpy(UNITS[name].code, np.array([[z, 1e3]]), A)
            assert A[0, 1] - A[0, 0] == pytest.approx(0.01, rel=0.02), name


def matrices(backend, number=4):
    """Arrays (2, 8) as a backend takes them, and its last argument."""
    drawn = np.random.default_rng(0).uniform(0.1, 0.9, (number, 2, 8))
    if backend != "tiled":
        return [*drawn], ()
    padded = [tiled.padded(matrix) for matrix in drawn]
    return [matrix for matrix, _ in padded], (padded[0][1],)


def test_an_unknown_unit_is_an_error(backend):
    (A, B, C, _), m = matrices(backend)
    activate = getattr(activations, f"activate_{backend}")
    derive = getattr(activations, f"derive_{backend}")
    of_activate = (tiled.scratch(A), *m) if m else (B,)
    of_derive = m or (C,)
    for unit in (NO_UNIT, -1):
        with pytest.raises(ValueError, match="no unit has this code"):
            activate(unit, A, *of_activate)
        with pytest.raises(ValueError, match="no unit has this code"):
            derive(unit, A, B, *of_derive)
    for name in ("softmax", "exp"):  # of the output alone
        with pytest.raises(ValueError, match="no unit has this code"):
            derive(UNITS[name].code, A, B, *of_derive)


def test_an_unknown_loss_or_one_of_other_units_is_an_error(backend):
    (Z, Y, A, dZ), m = matrices(backend)
    s = tiled.padded(np.ones((1, 8)))[0][0] if m else np.ones(8)
    cost_sum = getattr(losses, f"cost_sum_{backend}")
    gradient = getattr(losses, f"output_gradient_{backend}")
    curvature = getattr(losses, f"curvature_{backend}")
    rest = (tiled.scratch(Z), *m) if m else ()
    for loss in (NO_LOSS, -1):
        with pytest.raises(ValueError, match="no loss of these output units has this code"):
            cost_sum(KernelLoss(loss, NUMBERS), IDENTITY, Z, Y, s, *rest)
        with pytest.raises(ValueError, match="no loss of these output units has this code"):
            gradient(KernelLoss(loss, NUMBERS), IDENTITY, A, Z, Y, s, dZ, *m)
        with pytest.raises(ValueError, match="no loss of these output units has this code"):
            curvature(KernelLoss(loss, NUMBERS), IDENTITY, A, Z, Y, s, dZ, *m)
    for row in LOSSES.values():
        for unit in UNITS.values():
            if unit.name not in row.units and row.name != "compiled":
                with pytest.raises(ValueError, match="no loss of these output units"):
                    cost_sum(KernelLoss(row.code, NUMBERS), unit.code, Z, Y, s, *rest)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_errors_of_codes_come_through_whole_passes(backend, dtype):
    """Also from kernels that others call, and from threads."""
    right = Network((2, 3, 2), output="identity").layers
    samples = Samples(np.ones((2, 1500), dtype), np.zeros((2, 1500), dtype))
    theta = np.zeros(right.n_parameters, dtype)
    hidden, output = np.array([[NO_UNIT, IDENTITY], [IDENTITY, NO_UNIT]])
    wrong_gradients = (
        right._replace(units=hidden),
        right._replace(units=output),
        right._replace(loss=KernelLoss(NO_LOSS, NUMBERS)),
    )

    def raised(call):
        """Its error, in a thread: an error leaves the processor to take subnormals for zeros."""
        with ThreadPoolExecutor(1) as pool:
            return str(pool.submit(call).exception())

    for wrong in wrong_gradients:
        objective = Objective(BACKENDS[backend], wrong, samples, n_threads=2)
        said = raised(partial(objective.cost_and_gradient, theta))
        assert re.match(r"no (unit|loss of these output units) has this code", said)
    sums = ChunkSums(BACKENDS[backend], right._replace(units=output), samples)
    assert raised(partial(sums.forward, theta)).startswith("no unit has this code")


def test_the_number_of_a_loss_reaches_the_passes_of_arrays():
    """With one for each output unit, as several quantiles have."""
    seen = []

    def cost_pass(theta, sizes, units, loss, A, Y, s):
        seen.append((loss.code, loss.parameter.tolist()))
        return 0.0

    layers = Network((2, 2), output="identity", loss=Quantile([0.1, 0.9])).layers
    samples = Samples(np.ones((2, 5)), np.zeros((2, 5)))
    backend = BACKENDS["numpy"]._replace(cost_pass=cost_pass)
    ChunkSums(backend, layers, samples).cost(np.zeros(layers.n_parameters))
    assert seen == [(LOSSES["quantile"].code, [0.1, 0.9])]


@pytest.mark.skipif(PASS != "interpreted", reason="puts other functions in the place of kernels")
def test_the_number_of_a_loss_reaches_the_tiled_cost_and_gradient(monkeypatch):
    from engine.equations import passes
    from engine.sums import blocks

    seen = []

    def cost_sum(loss, unit, Z, Y, s, scratch, m):
        seen.append(("cost", loss.parameter.tolist()))
        return 0.0

    def gradient(loss, unit, A, Z, Y, s, dZ, m):
        seen.append(("gradient", loss.parameter.tolist()))

    layers: Layers = Network((1, 2), output="identity", loss=Quantile([0.1, 0.9])).layers
    data = Samples(np.ones((1, 3)), np.zeros((2, 3))).for_kernels()
    block = blocks.block_samples(layers.sizes, np.float64, 3)
    workspace = blocks.allocate(layers, np.float64, block)
    monkeypatch.setattr(blocks, "cost_sum_tiled", cost_sum)
    monkeypatch.setattr(passes, "output_gradient_tiled", gradient)
    no_order, theta = np.empty(0, np.int32), np.zeros(layers.n_parameters)
    where = data, no_order, 0, 3, block, workspace
    blocks.run_blocks_tiled(blocks.GRADIENT, theta, layers, *where, theta)
    assert seen == [("cost", [0.1, 0.9]), ("gradient", [0.1, 0.9])]
