"""engine/equations/losses.py, loss by loss: cost, slope and curvature of single output units.

The network is one unit whose z is its input: theta = (1, 0), X = (z). So J of one sample is what
the unit costs, and dJ/db is dz.
"""

import functools
import math
import pickle

import mpmath
import numpy as np
import pytest
from mpmath import mp
from sklearn import _loss as peer

from engine import Network, losses
from engine.equations import losses as kernels
from engine.equations.backends import BACKENDS
from engine.equations.losses import LOSSES
from engine.equations.units import UNITS
from engine.sums.chunks import ChunkSums
from engine.sums.objective import Objective
from engine.sums.samples import Samples
from tests import cases, high_precision, oracle, tiled

QUANTILES, POWERS, DELTAS = (0.05, 0.5, 0.9), (1.01, 1.5, 1.99), (0.5, 1.345)
OF_SIGMOID = [cases.Loss("cross_entropy")]
OF_IDENTITY = [
    *map(cases.Loss, ("squared_error", "absolute_error")),
    *(cases.Loss("huber", (delta,)) for delta in DELTAS),
    *(cases.Loss("quantile", (level,)) for level in QUANTILES),
]
OF_EXP = [
    *map(cases.Loss, ("poisson", "gamma")),
    *(cases.Loss("tweedie", (power,)) for power in POWERS),
]
EVERY_LOSS = [
    *(("sigmoid", loss) for loss in OF_SIGMOID),
    *(("identity", loss) for loss in OF_IDENTITY),
    *(("exp", loss) for loss in OF_EXP),
]
KINKED = ("absolute_error", "quantile")

# Errors: of ordinary size, large, tiny, at the edge of Huber's and beside it; none of them is 0.
ERRORS = (1.0, 2.75, 1e3, 1e6, 1e-3, 1e-8, 0.5, 0.5 + 2**-22, 0.5 - 2**-22, 1.345)
TARGETS = {
    "sigmoid": (0.0, 1.0, 0.25, 1 - 2**-20),
    "identity": (0.0, 1.0, -3.5, 1e3),
    "exp": (0.0, 1.0, 0.3, 7.0, 1e4, 1e-4),
}
# z of exponential units: far away, and from the minimum at log y by so much.
FAR = (0.0, 3.0, -3.0, 12.0, -12.0, 40.0, -40.0)
BESIDE = (1e-1, -1e-1, 1e-3, -1e-3, 1e-6, -1e-6, 0.0)


def points(output, loss, dtype):
    """Pairs (z, y), which are numbers of that dtype."""
    for y in TARGETS[output]:
        if y == 0 and loss.name == "gamma":
            continue
        y = float(dtype(y))
        if output == "identity":
            found = [y + sign * e for e in ERRORS for sign in (1, -1)]
        elif output == "sigmoid":
            found = [sign * z for z in (0.0, 1e-8, 0.7, 18.0, 40.0, 80.0) for sign in (1, -1)]
        else:
            found = [*FAR, *(math.log(y) + step for step in BESIDE if y > 0)]
        yield from ((float(dtype(z)), y) for z in found)


def number_of(loss):
    return loss.numbers[0] if loss.numbers else 0.0


def unit(output, loss, dtype, backend, width=0.0):
    """A function of (z, y) that gives cost and slope by a backend."""
    layers = Network((1, 1), output=output, loss=cases.loss_of(loss)).layers
    layers = layers._replace(loss=cases.loss_of(loss).for_kernels(1, width))
    theta = np.array([1.0, 0.0], dtype)

    def cost_and_slope(z, y):
        samples = Samples(np.array([[z]], dtype), np.array([[y]], dtype))
        cost, dtheta = Objective(BACKENDS[backend], layers, samples).cost_and_gradient(theta)
        return cost, float(dtheta[1])

    return cost_and_slope


def terms(output, loss, z, y, width=0.0):
    """The largest term of a cost, and of its slope: what their errors are measured by."""
    number, e = number_of(loss), abs(z - y)
    a = math.exp(z) if output == "exp" else z
    log_y = abs(math.log(y)) if y > 0 else 0.0
    if loss.name == "cross_entropy":
        return abs(z) + 1, 1.0  # of a - y
    if loss.name == "poisson":
        return max(a, y, y * abs(z), y * log_y), max(a, y)
    if loss.name == "gamma":
        return max(y / a, abs(z), log_y, 1.0), max(y / a, 1.0)
    if loss.name == "tweedie":
        of_z, of_y = a ** (2 - number), y * a ** (1 - number)
        first = y ** (2 - number) / ((number - 1) * (2 - number))
        return max(first, of_y / (number - 1), of_z / (2 - number)), max(of_z, of_y)
    if loss.name == "squared_error":
        return e * e / 2, e
    if loss.name == "huber":
        return (e * e / 2, e) if e <= number else (number * (e - number / 2), number)
    return (e, 1.0) if e > width else (max(e, width), 1.0)


def precision(output, loss, z, y, dtype):
    """1e-14, or as much less as there are fewer digits; where exponents are products, their size.

    The exponent (1 - p) z of Tweedie's loss is rounded, as a number of its own size.
    """
    digits = 1e-14 * float(np.finfo(dtype).eps) / float(np.finfo(np.float64).eps)
    exponent = abs(z) + abs(math.log(y) if y > 0 else 0.0) if loss.name == "tweedie" else 0.0
    return digits * max(1.0, exponent / 15)


@functools.cache
def in_forty_digits(function, output, loss, z, y, width=0.0):
    """A function of the third table of EQUATIONS.md at z, as a float."""
    with mp.workdps(60 if output == "identity" else 60 + int(2 * abs(z))):
        z, y, number, width = (mp.mpf(one) for one in (z, y, number_of(loss), width))
        (a,) = high_precision._output_units(output, [z])
        return function(loss.name, number, a, y, width)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_cost_and_slope_are_exact_far_from_the_target_and_beside_it(dtype, backend):
    """L1 L3 L4 L7 L8 L9 L10, and L5 L11 L12 L13 L14, in 40 digits: 1e-14 of the largest term."""
    for output, loss in EVERY_LOSS:
        of_unit = unit(output, loss, dtype, backend)
        for z, y in points(output, loss, dtype):
            cost, slope = of_unit(z, y)
            if dtype == np.float32 and not np.isfinite([cost, slope]).all():
                assert terms(output, loss, z, y)[0] > 1e38  # out of the range of float32
                continue
            expected = in_forty_digits(high_precision.unit_cost, output, loss, z, y)
            expected_slope = in_forty_digits(high_precision.unit_slope, output, loss, z, y)
            of_cost, of_slope = terms(output, loss, z, y)
            allowed = precision(output, loss, z, y, dtype)
            where = f"{loss} at z = {z!r}, y = {y!r}"
            assert abs(cost - expected) <= allowed * of_cost, where
            assert abs(slope - expected_slope) <= allowed * of_slope, where


def test_slope_at_a_tie_is_0_and_the_cost_is_0(backend):
    """L7 L11 at e = 0, where every number between the two slopes would do."""
    for dtype in (np.float64, np.float32):
        for loss in OF_IDENTITY:
            assert unit("identity", loss, dtype, backend)(0.75, 0.75) == (0, 0), str(loss)


@pytest.mark.parametrize("width", [1.0, 1e-3, 1e-8])
def test_a_smoothed_kink_is_a_parabola_that_meets_both_lines(width, backend):
    """L7 L11 with a width: value and slope in 40 digits, inside, outside, and at the edges."""
    for loss in OF_IDENTITY:
        if loss.name not in KINKED:
            continue
        of_unit = unit("identity", loss, np.float64, backend, width)
        for e in (0.0, width / 3, width, 1.5 * width, 40 * width):
            for z in (e, -e):
                cost, slope = of_unit(z, 0.0)
                expected = in_forty_digits(
                    high_precision.unit_cost, "identity", loss, z, 0.0, width
                )
                rise = in_forty_digits(high_precision.unit_slope, "identity", loss, z, 0.0, width)
                assert abs(cost - expected) <= 1e-14 * max(e, width), (str(loss), z)
                assert abs(slope - rise) <= 1e-14, (str(loss), z)
        sharp = unit("identity", loss, np.float64, backend)
        above = of_unit(0.0, 0.0)[0] - sharp(0.0, 0.0)[0]
        most = width / 2 if loss.name == "absolute_error" else width / 4
        assert above == pytest.approx(most, rel=1e-14)


# scikit-learn's own losses.

PEERS = {
    "cross_entropy": lambda number: peer.HalfBinomialLoss(),
    "squared_error": lambda number: peer.HalfSquaredError(),
    "absolute_error": lambda number: peer.AbsoluteError(),
    "huber": lambda number: peer.HuberLoss(delta=number),
    "quantile": lambda number: peer.PinballLoss(quantile=number),
    "poisson": lambda number: peer.HalfPoissonLoss(),
    "gamma": lambda number: peer.HalfGammaLoss(),
    "tweedie": lambda number: peer.HalfTweedieLoss(power=number),
}


def test_cost_and_slope_are_those_of_scikit_learn(backend):
    """L1 L3 L4 L7 L8 L9 L10 and L5 L11 L12 L13 L14, but for ties, where its slopes are not 0."""
    for output, loss in EVERY_LOSS:
        of_unit, theirs = (
            unit(output, loss, np.float64, backend),
            PEERS[loss.name](number_of(loss)),
        )
        for z, y in points(output, loss, np.float64):
            cost, slope = of_unit(z, y)
            at = np.array([y]), np.array([z])
            constant = 0.0  # what ours have more than theirs; nothing of a cross-entropy
            if output != "sigmoid":
                constant = float(theirs.constant_to_optimal_zero(at[0])[0])
            expected = float(theirs.loss(*at)[0]) + constant
            expected_slope = float(theirs.gradient(*at)[0])
            of_cost, of_slope = terms(output, loss, z, y)
            of_cost = max(of_cost, abs(constant))
            allowed = 2 * precision(output, loss, z, y, np.float64)  # theirs are rounded as well
            where = f"{loss} at z = {z!r}, y = {y!r}"
            assert abs(cost - expected) <= allowed * of_cost, where
            assert abs(slope - expected_slope) <= allowed * of_slope, where


# Whole networks: cases.GRID has more of them.


def test_cost_and_gradient_of_each_loss_equal_the_oracle(backend):
    """L7 L8 L9 L10 with L11 L12 L13 L14: weights, penalty, dtypes, several quantiles."""
    for case in cases.EACH_LOSS:
        network = cases.network_of(case)
        for weighted, alpha, dtype in cases.settings():
            data = cases.data_of(case, weighted, alpha)
            cost, dtheta = network.cost_and_gradient(
                data.theta.astype(dtype),
                data.X.astype(dtype),
                data.Y,
                sample_weight=data.sample_weight,
                alpha=data.alpha,
                backend=backend,
            )
            expected = cases.expected_cost(case, weighted, alpha)
            expected_gradient = cases.expected_gradient(case, weighted, alpha)
            assert abs(cost - expected) <= cases.tolerance(case, dtype, expected), str(case)
            allowed = cases.tolerance(case, dtype, expected_gradient)
            np.testing.assert_allclose(
                dtheta, expected_gradient, rtol=0, atol=allowed, err_msg=str(case)
            )


def test_each_unit_has_the_level_of_its_own(backend):
    """L7 L11: dJ/db_j of three quantiles, of one target above and one below all outputs."""
    network = Network((1, 3), output="identity", loss=losses.Quantile([0.25, 0.5, 0.875]))
    for y, slopes in ((1.0, [-0.25, -0.5, -0.875]), (-1.0, [0.75, 0.5, 0.125])):
        cost, dtheta = network.cost_and_gradient(np.zeros(6), [[0.0]], [y], backend=backend)
        np.testing.assert_array_equal(dtheta[3:], slopes)
        assert cost == sum(np.abs(slopes))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_sample_without_weight_counts_for_nothing_even_if_it_costs_inf(dtype, backend):
    """L9 L10 L13 L14 out of range: neither cost nor gradient becomes NaN."""
    for loss in OF_EXP:
        if loss.name == "poisson":
            continue
        network = Network((1, 1), output="exp", loss=cases.loss_of(loss))
        X = np.array([[1.0, -5000.0]], dtype)
        theta = np.array([1.0, 0.0], dtype)
        with np.errstate(over="ignore"):
            both = network.cost_and_gradient(
                theta, X, [2.0, 2.0], sample_weight=[1, 0], backend=backend
            )
        alone = network.cost_and_gradient(theta, X[:, :1], [2.0], backend=backend)
        assert both[0] == alone[0]
        np.testing.assert_array_equal(both[1], alone[1])


def test_a_target_of_0_costs_nothing_but_the_mean_itself(backend):
    """L10 L14 at y = 0: a^(2-p) / (2-p), though a^(1-p) is infinite far below."""
    for power in POWERS:
        of_unit = unit("exp", cases.Loss("tweedie", (power,)), np.float64, backend)
        with np.errstate(over="ignore"):
            cost, slope = of_unit(-4e4, 0.0)
        expected = math.exp((2 - power) * -4e4)
        assert slope == pytest.approx(expected, rel=1e-11)
        assert cost == pytest.approx(expected / (2 - power), rel=1e-11)


def test_a_prediction_that_is_no_number_is_no_cost(backend):
    """L7 L8 L9 L10 L11 L12 L13 L14: a NaN that became a number would hide that a run diverges."""
    for output, loss in EVERY_LOSS:
        if output == "sigmoid":
            continue
        cost, slope = unit(output, loss, np.float64, backend)(math.nan, 1.0)
        assert math.isnan(cost), str(loss)
        assert math.isnan(slope), str(loss)


# Curvature.


def curvature(output, loss, dtype, backend, width, Z, Y, s):
    """H by a backend, of pre-activations (n_out, m)."""
    of_kernels, code = cases.loss_of(loss).for_kernels(len(Z), width), UNITS[output].code
    A = np.array(oracle_activations(output, Z), dtype)
    Z, Y, s = (np.array(one, dtype) for one in (Z, Y, s))
    if backend != "tiled":
        H = np.full_like(Z, np.nan)
        getattr(kernels, f"curvature_{backend}")(of_kernels, code, A, Z, Y, s, H)
        return H
    (A, m), (padded, _), (Y, _), (s, _) = map(tiled.padded, (A, Z, Y, s.reshape(1, -1)))
    H = np.full_like(padded, np.nan)
    kernels.curvature_tiled(of_kernels, code, A, padded, Y, s[0], H, m)
    return H[:, : Z.shape[1]]


def oracle_activations(output, Z):
    columns = [oracle._output_activations(output, list(z)) for z in zip(*Z)]
    return [list(row) for row in zip(*columns)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_curvature_is_that_of_the_table(dtype, backend):
    """In 40 digits; weighted; from z, so that a saturated sigmoid unit keeps its digits."""
    for output, loss in EVERY_LOSS:
        for width in (0.0, 0.7) if loss.name in KINKED else (0.0,):
            Z, Y = np.array(list(points(output, loss, dtype))).T.reshape(2, 1, -1)
            s = np.array([1.0, 0.5, 0.0, 2.0] * Z.size)[: Z.size]
            with np.errstate(divide="ignore", invalid="ignore"):
                H = curvature(output, loss, dtype, backend, width, Z, Y, s)
            for z, y, weight, h in zip(Z[0], Y[0], s, H[0]):
                if z == y and loss.name in KINKED and not width:
                    continue  # by float32 alone
                found = in_forty_digits(
                    high_precision.unit_curvature, output, loss, float(z), float(y), width
                )
                allowed = 2 * precision(output, loss, z, y, dtype) * weight * found
                where = f"{loss} at z = {z!r}, y = {y!r}"
                if np.isinf(h):
                    assert found > np.finfo(dtype).max, where
                else:
                    assert abs(h - weight * found) <= allowed, where


def test_curvature_of_softmax_units_is_a(backend):
    """Its matrix diag(a) - a a^T has rows whose weights are a."""
    Z = np.random.default_rng(0).normal(0, 3, (4, 9))
    s = np.array([1, 2, 0.5, 0, 1, 1, 3, 1, 1.0])
    H = curvature("softmax", cases.Loss("cross_entropy"), np.float64, backend, 0, Z, Z, s)
    np.testing.assert_allclose(H, s * np.array(oracle_activations("softmax", Z)), rtol=1e-14)


def test_a_kink_has_no_curvature_at_a_tie_unless_it_is_smoothed(backend):
    def h(loss, width):
        return curvature("identity", loss, np.float64, backend, width, [[2.0]], [[2.0]], [1])

    with np.errstate(divide="ignore", invalid="ignore"):
        assert h(cases.Loss("absolute_error"), 0.0) == np.inf
    assert h(cases.Loss("quantile", (0.3,)), 0.25) == 2.0


def test_curvature_where_a_prediction_is_no_number_is_no_number(backend):
    for output, loss in (*(("identity", one) for one in OF_IDENTITY), ("exp", OF_EXP[-1])):
        if loss.name != "squared_error":
            H = curvature(output, loss, np.float64, backend, 0.1, [[math.nan]], [[1.0]], [1])
            assert np.isnan(H).all(), str(loss)


def test_a_loss_of_kernels_can_be_pickled():
    loss = losses.Quantile([0.1, 0.9]).for_kernels(2, 0.5)
    copy = pickle.loads(pickle.dumps(loss))
    assert type(copy) is type(loss)
    assert (
        copy.as_numbers()
        == loss.as_numbers()
        == (LOSSES["quantile"].code, [0.1, 0.9], 0.5, 0, 0, 1)
    )


def test_losses_with_a_kink_are_known():
    assert tuple(name for name, row in LOSSES.items() if row.has_kink) == KINKED


def test_the_loss_of_an_output_unit_is_its_first_one():
    for output in ("sigmoid", "softmax", "identity", "exp"):
        first = next(row.name for row in LOSSES.values() if output in row.units)
        assert losses.default_for(output).name == first


def test_every_named_loss_is_tested_here():
    assert {loss.name for _, loss in EVERY_LOSS} | {"compiled"} == set(LOSSES)


# The oracles against each other: each has its own way to a cost and to a slope.


def test_the_oracles_agree_with_each_other():
    for output, loss in EVERY_LOSS:
        number = number_of(loss)
        for z, y in points(output, loss, np.float64):
            where = f"{loss} at z = {z!r}, y = {y!r}"
            of_cost, of_slope = terms(output, loss, z, y)
            allowed = precision(output, loss, z, y, np.float64)
            expected = in_forty_digits(high_precision.unit_cost, output, loss, z, y)
            cost = oracle.unit_cost(loss.name, number, z, y)
            assert abs(cost - expected) <= allowed * of_cost, where
            slope = oracle.unit_slope(loss.name, number, z, y)
            wanted = in_forty_digits(high_precision.unit_slope, output, loss, z, y)
            assert abs(slope - wanted) <= allowed * of_slope, where
            wanted = in_forty_digits(high_precision.unit_curvature, output, loss, z, y)
            h = oracle.unit_curvature(loss.name, number, z, y)
            assert h == pytest.approx(float(wanted), rel=1e-13), where


def test_slopes_of_the_oracle_are_differences_of_its_costs():
    """The slopes of the table, too, are derivatives of the costs of the table."""
    for output, loss in EVERY_LOSS:
        for z, y in points(output, loss, np.float64):
            if output == "identity" and loss.name != "squared_error" and abs(z - y) < 1e-2:
                continue  # a kink, or its neighbourhood
            if loss.name == "huber" and abs(abs(z - y) - number_of(loss)) < 1e-2:
                continue
            with mp.workdps(80):
                h = mp.mpf(10) ** -20
                number, z_, y_ = (mp.mpf(one) for one in (number_of(loss), z, y))

                def cost(z, loss=loss, number=number, y=y_, output=output):
                    (a,) = high_precision._output_units(output, [z])
                    return high_precision.unit_cost(loss.name, number, a, y)

                quotient = (cost(z_ + h) - cost(z_ - h)) / (2 * h)
                (a,) = high_precision._output_units(output, [z_])
                slope = high_precision.unit_slope(loss.name, number, a, y_)
                size = max(mpmath.mpf(terms(output, loss, z, y)[0]), 1)
                assert abs(quotient - slope) <= mpmath.mpf(10) ** -18 * size


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_smoothed_targets_by_hand(dtype, backend):
    """L16 with e = 1/4: K = 4 classes of softmax units, and 2 for each sigmoid unit."""
    Y = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 0], [0, 0, 0]], dtype)
    for output, K in (("softmax", 4), ("sigmoid", 2)):
        layers = Network((2, 4), output=output).layers
        found = Y.copy()
        arguments = layers.units[-1], found, 2  # the last column is not one of the samples
        BACKENDS[backend].smooth_targets(layers.loss, *arguments)
        np.testing.assert_array_equal(found, Y)
        BACKENDS[backend].smooth_targets(layers.with_label_smoothing(0.25).loss, *arguments)
        np.testing.assert_array_equal(found[:, :2], 0.75 * Y[:, :2] + 0.25 / K)
        np.testing.assert_array_equal(found[:, 2], Y[:, 2])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("targets", ["codes", "softmax", "sigmoid"])
def test_sums_with_smoothed_targets_are_those_of_the_smoothed_ones(targets, weighted, backend):
    """L16: cost, gradient and normal equations, over several blocks."""
    random, m, e = np.random.default_rng(3), 300, 0.2
    X = random.normal(size=(2, m))
    codes = random.integers(0, 3, m).astype(np.int32)
    Y = np.eye(3)[:, codes] if targets != "sigmoid" else random.integers(0, 2, (3, m)).astype(float)
    network = Network((2, 3), output="sigmoid" if targets == "sigmoid" else "softmax")
    weights = random.uniform(0, 2, m) if weighted else None
    K = 2 if targets == "sigmoid" else 3
    given = Samples(X, None, codes, weights) if targets == "codes" else Samples(X, Y, None, weights)
    smoothed = Samples(X, (1 - e) * Y + e / K, None, weights)
    theta = network.initial_parameters(1)
    table = BACKENDS[backend]
    found = ChunkSums(table, network.layers.with_label_smoothing(e), given)
    expected = ChunkSums(table, network.layers, smoothed)
    close = {"rtol": 1e-13, "atol": 1e-11}
    np.testing.assert_allclose(found.cost(theta), expected.cost(theta), **close)
    for sums in ("cost_and_gradient", "normal_equations"):
        for one, other in zip(getattr(found, sums)(theta), getattr(expected, sums)(theta)):
            np.testing.assert_allclose(one, other, **close)
