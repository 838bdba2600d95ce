"""engine/equations/second_derivative.py and the Gauss-Newton matrix, through the objective."""

import functools
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from scipy.optimize import minimize

from engine import Network, losses
from engine.equations import activations, second_derivative
from engine.equations.backends import BACKENDS
from engine.equations.losses import LOSSES, KernelLoss
from engine.equations.units import UNITS
from engine.sums.chunks import IN_ORDER, ChunkSums
from engine.sums.normal_equations import allocate_normal, sum_rows_tiled
from engine.sums.samples import Samples
from tests import derivatives_oracle as oracle
from tests import tiled
from tests.conftest import PASS
from tests.derivative_cases import GRID, close, network_of, objective_of, problem_of

# One of each loss, with a hidden layer of tanh or sigmoid units.
EACH_LOSS = [
    case
    for case in GRID
    if (case.depth, case.n_out) == (2, 3) and case.hidden in ("tanh", "sigmoid")
]
KINKED = {
    "absolute_error": losses.Loss("absolute_error"),
    "quantile": losses.Quantile([0.1, 0.9]),
}


def direction(n):
    return np.float32(np.random.default_rng(n).normal(size=n)).astype(float)


@functools.cache
def expected_product(case):
    problem = problem_of(case)
    return oracle.hessian_product(problem, direction(problem.theta.size))


@pytest.mark.parametrize("case", GRID, ids=str)
def test_hessian_product_agrees_with_fifty_digits(case, backend):
    """N8 N9 N10, against second differences of the cost in 60 digits, in either dtype."""
    problem = problem_of(case)
    for dtype in ("float64", "float32"):
        objective = objective_of(problem, backend, dtype)
        found = objective.hessian_product(problem.theta, direction(problem.theta.size))
        assert found.dtype == dtype
        close(found, expected_product(case), dtype)


# What the Gauss-Newton matrix takes where it is not the second derivative: EQUATIONS.md's table.
OTHER_CURVATURE = {
    "huber": lambda number, z, y: 1 if abs(z - y) <= number else number / abs(z - y),
    "gamma": lambda number, z, y: 1,
    "tweedie": lambda number, z, y: mp.exp((2 - mp.mpf(number)) * z),
}


@functools.cache
def expected_matrix(case):
    problem = problem_of(case)
    other = OTHER_CURVATURE.get(problem.loss)
    return oracle.gauss_newton(problem, other and functools.partial(other, problem.number))


@pytest.mark.parametrize("case", GRID, ids=str)
def test_gauss_newton_equals_the_sum_of_its_definition(case, backend):
    """N1: logits and costs differenced in 60 digits; softmax with its whole matrix."""
    problem = problem_of(case)
    for dtype in ("float64", "float32"):
        found = objective_of(problem, backend, dtype).gauss_newton(problem.theta)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, found.T)
        close(found, expected_matrix(case))


@pytest.mark.parametrize("case", GRID, ids=str)
def test_hessian_products_are_symmetric_and_linear(case, backend):
    """u (H v) = v (H u), and H (2 u - v) = 2 H u - H v."""
    problem = problem_of(case)
    objective, theta = objective_of(problem, backend), problem.theta
    u, v = np.random.default_rng(1).normal(size=(2, theta.size))
    along_u, along_v = (objective.hessian_product(theta, one) for one in (u, v))
    close(u @ along_v, v @ along_u)
    close(objective.hessian_product(theta, 2 * u - v), 2 * along_u - along_v)


def differenced(objective, theta, v, h=1e-4):
    """A four-point difference of gradients."""

    def at(steps):
        return objective.cost_and_gradient(theta + steps * h * v)[1]

    return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h)


@pytest.mark.parametrize("n_samples", [1, 129, 1500])
@pytest.mark.parametrize("output", ["sigmoid", "softmax", "identity", "exp"])
def test_hessian_product_equals_differences_of_the_gradient(output, n_samples, backend):
    """In blocks, spans and chunks, with layers that fill tiles and do not."""
    if PASS == "interpreted":
        n_samples = min(n_samples, 20)
    random = np.random.default_rng(0)
    network = Network((9, 13, 8, 3), hidden=("tanh", "sigmoid"), output=output)
    theta = network.initial_parameters(seed=0)
    Y = random.integers(0, 2, (3, n_samples))
    if output == "softmax":
        Y = random.integers(0, 3, n_samples)
    objective = network.objective(
        random.normal(size=(9, n_samples)),
        Y,
        sample_weight=random.uniform(0, 1, n_samples) + (np.arange(n_samples) == 0),
        alpha=0.1,
        backend=backend,
    )
    v = random.normal(size=theta.size)
    expected = differenced(objective, theta, v)
    np.testing.assert_allclose(objective.hessian_product(theta, v), expected, rtol=0, atol=1e-10)


def test_of_a_linear_network_and_squared_error_both_are_the_normal_matrix(backend):
    """X S X^T / S for each output unit, a row of ones for the biases: to rounding."""
    random = np.random.default_rng(0)
    n_samples, n_in, n_out = 200, 6, 2
    X, s = random.normal(size=(n_in, n_samples)), random.uniform(0.5, 2, n_samples)
    network = Network((n_in, n_out), output="identity")
    Y = random.normal(size=(n_out, n_samples))
    objective = network.objective(X, Y, sample_weight=s, backend=backend)
    theta = random.normal(size=network.n_parameters)
    with_ones = np.vstack([X, np.ones(n_samples)])
    normal = (with_ones * s) @ with_ones.T / s.sum()
    expected = np.zeros((theta.size, theta.size))
    for j in range(n_out):
        of_unit = [*range(j * n_in, (j + 1) * n_in), n_out * n_in + j]
        expected[np.ix_(of_unit, of_unit)] = normal
    hessian = np.array([objective.hessian_product(theta, e) for e in np.eye(theta.size)])
    close(hessian, expected, units=10)
    close(objective.gauss_newton(theta), expected, units=10)


def test_each_loss_agrees_with_differences_of_its_gradient(backend):
    """N8 N9 of all losses at once, whatever the sample of the grid leaves out."""
    for case in EACH_LOSS:
        problem = problem_of(case)
        objective, v = objective_of(problem, backend), direction(problem.theta.size)
        expected = differenced(objective, problem.theta, v)
        found = objective.hessian_product(problem.theta, v)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9, err_msg=str(case))


@pytest.mark.parametrize(
    ("sizes", "n_samples"), [((3, 8, 5, 2), 20), ((7, 8), 20), ((16, 6, 1), 300)]
)
def test_of_squared_error_the_matrix_is_the_product_of_the_jacobian(sizes, n_samples, backend):
    """N1: sum_i s_i J_i^T J_i, with so many parameters that G is summed in panels or not."""
    if PASS == "interpreted":
        n_samples = min(n_samples, 20)
    random = np.random.default_rng(0)
    network = Network(sizes, output="identity")
    theta, X = network.initial_parameters(seed=0), random.normal(size=(sizes[0], n_samples))
    s = random.uniform(0.5, 2, n_samples)
    Y = np.zeros((sizes[-1], n_samples))
    J = network.parameter_jacobian(theta, X, "numpy")
    expected = np.einsum("i, ikp, ikq -> pq", s, J, J) / s.sum()
    objective = network.objective(X, Y, sample_weight=s, backend=backend)
    close(objective.gauss_newton(theta), expected)


def test_rows_that_are_kept_make_the_same_gradient_and_matrix():
    """N1 N2: R rho = g and R R^T = G, which the solver "lm" uses where rows are few."""
    random = np.random.default_rng(0)
    network = Network((2, 4, 3), output="softmax")
    theta, n_samples = network.initial_parameters(seed=0), 6
    samples = Samples(
        random.normal(size=(2, n_samples)), codes=random.integers(0, 3, n_samples, np.int32)
    )
    _, sums = ChunkSums(BACKENDS["numpy"], network.layers, samples).normal_equations(theta)
    n, n_rows = theta.size, 3 * n_samples
    found = np.empty(n + n_rows + n * n_rows)
    workspace = allocate_normal(network.layers, n_samples)
    given = network.layers, samples.for_kernels(), IN_ORDER, n_samples, workspace, found
    sum_rows_tiled(theta, *given)
    g, rho = found[:n], found[n : n + n_rows]
    R = found[n + n_rows :].reshape(n, n_rows)
    np.testing.assert_allclose(g, sums[:n], atol=1e-13)
    np.testing.assert_allclose(R @ rho, sums[:n], atol=1e-13)
    np.testing.assert_allclose(np.tril(R @ R.T), np.tril(sums[n:].reshape(n, n)), atol=1e-13)


def test_where_residuals_vanish_the_hessian_is_the_gauss_newton_matrix(backend):
    network = Network((2, 3, 2), output="identity")
    theta = network.initial_parameters(seed=0)
    X = np.random.default_rng(0).normal(size=(2, 9))
    objective = network.objective(X, network.forward(theta, X), alpha=0.3, backend=backend)
    hessian = np.array([objective.hessian_product(theta, e) for e in np.eye(theta.size)])
    close(hessian, objective.gauss_newton(theta))


def test_huber_bends_up_to_delta_and_not_beyond(backend):
    """N9: 1 at an error of delta itself."""
    network = Network((1, 1), output="identity", loss=losses.Huber(0.5))
    for y, expected in ((0.0, 1), (0.5, 1), (-0.5, 1), (0.75, 0), (-0.75, 0)):
        objective = network.objective([[1.0]], [y], backend=backend)
        np.testing.assert_array_equal(
            objective.hessian_product([0.0, 0.0], [1.0, 0.0]), [expected] * 2
        )


@pytest.mark.parametrize(("output", "likely"), [("sigmoid", 0), ("softmax", 0), ("softmax", 1)])
def test_saturated_units_keep_their_digits(output, likely, backend):
    """N9 at z = 40: a (1 - a) is 4e-18."""
    n_out = 1 if output == "sigmoid" else 2
    network = Network((1, n_out), output=output)
    theta, v = np.zeros(2 * n_out), np.zeros(2 * n_out)
    theta[n_out + likely], v[n_out + likely] = 40.0, 1.0
    objective = network.objective([[0.0]], [1.0] if n_out == 1 else [0], backend=backend)
    bend = np.exp(-40) / (1 + np.exp(-40)) ** 2
    found = objective.hessian_product(theta, v)[n_out:]
    assert found[likely] == pytest.approx(bend, rel=1e-14, abs=0)
    if n_out == 2:
        assert found[1 - likely] == pytest.approx(-bend, rel=1e-14, abs=0)


def test_relu_has_no_second_derivative_at_its_kink(backend):
    """N10: the slope 0 of B7 stays 0."""
    network = Network((1, 1, 1), hidden="relu", output="identity")
    objective = network.objective([[0.0]], [1.0], backend=backend)
    found = objective.hessian_product([1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0])
    np.testing.assert_array_equal(found, [0, 0, 0, 0])


BACKEND = st.sampled_from(["numpy", "loops", "tiled"])
PROPERTY = settings(max_examples=20, derandomize=True)


@PROPERTY
@given(st.sampled_from(GRID), BACKEND, st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_a_whole_weight_is_as_many_equal_columns(case, backend, counts):
    """Weight 0 is the column left out."""
    if not any(counts):
        return
    problem = problem_of(case)._replace(weights=np.array(counts, float))
    columns = np.repeat(np.arange(5), counts)
    repeated = problem._replace(
        X=problem.X[:, columns], Y=problem.Y[:, columns], weights=np.ones(len(columns))
    )
    v = direction(problem.theta.size)
    one, other = (objective_of(each, backend) for each in (problem, repeated))
    close(one.hessian_product(problem.theta, v), other.hessian_product(problem.theta, v))
    close(one.gauss_newton(problem.theta), other.gauss_newton(problem.theta))


def test_a_sample_of_weight_zero_counts_for_nothing_even_if_it_overflows(backend):
    network = Network((1, 1), output="exp", loss="gamma")
    objective = network.objective(
        [[0.0, 1e3]], [1.0, 2.0], sample_weight=[1.0, 0.0], backend=backend
    )
    theta = [-2.0, 0.5]  # y e^-z of the second sample is infinite
    np.testing.assert_allclose(
        objective.hessian_product(theta, [0.0, 1.0]), [0, np.exp(-0.5)], rtol=1e-14
    )


def test_what_is_not_finite_stays_so(backend):
    network = Network((1, 2, 2), output="identity", loss=losses.Huber(1.0))
    objective = network.objective([[1.0]], np.zeros((2, 1)), backend=backend)
    theta = np.full(network.n_parameters, np.nan)
    assert np.isnan(objective.hessian_product(theta, np.ones(theta.size))).all()
    assert np.isnan(objective.gauss_newton(theta)).any()


@pytest.mark.parametrize("name", list(KINKED))
def test_losses_with_a_kink_are_refused(name):
    network = Network((1, 2), output="identity", loss=KINKED[name])
    objective = network.objective([[1.0]], [[0.0]] if name == "quantile" else [[0.0], [0.0]])
    with pytest.raises(ValueError, match=f"hessian_product needs .* the loss '{name}' has a kink"):
        objective.hessian_product(np.zeros(4), np.zeros(4))
    with pytest.raises(ValueError, match=f"gauss_newton needs a curvature, and the loss '{name}'"):
        objective.gauss_newton(np.zeros(4))


def half_square(z, y):
    return (z - y) ** 2 / 2, z - y


def half_square_with_curvature(z, y):
    return (z - y) ** 2 / 2, z - y, 3.0


def test_a_loss_of_the_users_own_has_the_curvature_that_it_returns_and_no_hessian(backend):
    def objective_for(function):
        network = Network((1, 1), output="identity", loss=losses.Compiled(function))
        return network.objective([[2.0]], [0.0], backend=backend)

    for function in (half_square, half_square_with_curvature):
        with pytest.raises(ValueError, match=r"known for .*; this network has a loss of your own"):
            objective_for(function).hessian_product([0.0, 0.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="the function of your loss returns two numbers"):
        objective_for(half_square).gauss_newton([0.0, 0.0])
    found = objective_for(half_square_with_curvature).gauss_newton([0.0, 0.0])
    np.testing.assert_allclose(found, [[12, 6], [6, 3]], rtol=1e-14)


def test_vectors_of_another_shape_are_refused():
    objective = Network((2, 1)).objective([[0.0], [1.0]], [1.0])
    with pytest.raises(ValueError, match=r"v must have shape \(3,\), one entry per weight"):
        objective.hessian_product(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match=r"theta must have shape \(3,\)"):
        objective.hessian_product(np.zeros(4), np.zeros(3))
    with pytest.raises(ValueError, match=r"theta must have shape \(3,\)"):
        objective.gauss_newton(np.zeros(4))
    with pytest.raises(TypeError, match="v has dtype complex128; expected real numbers"):
        objective.hessian_product(np.zeros(3), np.zeros(3, complex))


def test_every_loss_has_a_second_derivative_or_is_refused():
    """A new loss is one or the other: its code stands in the table, or the boundary refuses it."""
    kinked_or_own = {"absolute_error", "quantile", "compiled"}
    known = second_derivative.WITH_SECOND_DERIVATIVE
    assert {name for name, row in LOSSES.items() if row.code not in known} == kinked_or_own


def test_other_codes_are_errors(backend):
    """Of losses in N9, and of units in N10, in each form."""
    drawn = np.random.default_rng(0).uniform(0.1, 0.9, (5, 2, 8))
    rest: tuple[Any, ...] = ()
    of_change: tuple[Any, ...] = ()
    matrices = list(drawn)
    if backend == "tiled":
        padded = [tiled.padded(matrix) for matrix in drawn]
        matrices, m = [matrix for matrix, _ in padded], padded[0][1]
        rest, of_change = (m,), (tiled.scratch(matrices[0]), m)
    A, Z, Y, RZ, RdZ = matrices
    change = getattr(second_derivative, f"output_change_{backend}")
    add = getattr(activations, f"add_second_derivative_{backend}")
    s = np.ones(A.shape[1])
    for name in ("absolute_error", "quantile", "compiled"):
        loss = KernelLoss(LOSSES[name].code, np.full(2, 0.5))
        with pytest.raises(ValueError, match="no loss of these output units has this code"):
            change(loss, UNITS["identity"].code, A, Z, Y, s, RZ, RdZ, *of_change)
    for unit in ("softmax", "exp"):
        with pytest.raises(ValueError, match="no unit has this code"):
            add(UNITS[unit].code, A, RZ, Y, RdZ, *rest)


def test_scipy_finds_a_minimum_with_these_products():
    """Newton-CG within a trust region, until the gradient is 0 to rounding."""
    random = np.random.default_rng(0)
    network = Network((2, 5, 3), output="softmax")
    objective = network.objective(
        random.normal(size=(2, 60)), random.integers(0, 3, 60), alpha=0.5, backend="numpy"
    )
    found = minimize(
        objective.cost_and_gradient,
        network.initial_parameters(seed=0),
        jac=True,
        hessp=objective.hessian_product,
        method="trust-ncg",
        options={"gtol": 1e-10, "maxiter": 200},
    )
    assert found.success
    assert np.linalg.norm(objective.cost_and_gradient(found.x)[1]) < 1e-10
    curvature = [objective.hessian_product(found.x, e) for e in np.eye(found.x.size)]
    assert np.linalg.eigvalsh(np.array(curvature)).min() > -1e-12


def test_the_grid_has_each_value_of_each_field():
    fields = [{getattr(case, name) for case in GRID} for name in ("hidden", "depth", "loss")]
    assert [len(values) for values in fields] == [4, 4, 6]
    both = {(case.weighted, bool(case.alpha)) for case in GRID}
    assert both == set(itertools.product((False, True), repeat=2))
    assert all(network_of(problem_of(case)).hidden == (case.hidden,) * case.depth for case in GRID)
