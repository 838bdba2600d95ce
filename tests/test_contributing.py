"""CONTRIBUTING.md: its worked examples, followed to the letter."""

import re
import shutil

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from engine import CheckpointError, MLPRegressor, Network, train
from engine.solvers.solver import SOLVERS, Solver
from engine.solvers.state import PLAIN
from tests.processes import ROOT, output

EXAMPLES = (ROOT / "CONTRIBUTING.md").read_text().partition("## Worked examples")[2]


def blocks(title: str) -> list[str]:
    """The Python of an example, a text a block."""
    text = EXAMPLES.partition(f"### {title}")[2].partition("\n### ")[0]
    found = re.findall(r"^( *)```python\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(f"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def snippets(block: str) -> dict[str, str]:
    """What an example adds to each function, by its name."""
    parts = re.split(r"^# (\w+)\n", block, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


class Copy:
    """A copy of the package that an example changes."""

    def __init__(self, folder):
        self.folder = folder
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "engine", folder / "engine", ignore=unwanted)

    def change(self, file, old, new):
        path = self.folder / "engine" / file
        source = path.read_text()
        assert source.count(old) == 1, (file, old)
        path.write_text(source.replace(old, new))

    def add(self, file, function, snippet):
        """Put lines before the last word of a function: its `else`, or the error at its end."""
        path = self.folder / "engine" / file
        source = path.read_text()
        start = source.index(f"\ndef {function}(")
        end = source.find("\n\n\n", start + 1)
        end = len(source) if end < 0 else end
        body = source[start:end]
        last = list(re.finditer(LAST, body, re.MULTILINE))[-1]
        place, indent = last.start(), last["indent"]
        lines = "".join(f"{indent}{line}\n" if line else "\n" for line in snippet.splitlines())
        path.write_text(source[:start] + body[:place] + lines + body[place:] + source[end:])

    def run(self, code):
        """Code on this copy, interpreted; what it prints."""
        changes = {"PYTHONPATH": self.folder, "NUMBA_DISABLE_JIT": "1"}
        return output("-c", code, cwd=self.folder, env=changes)


LAST = (
    r"^(?P<indent> +)(el(se|if unit (!= IDENTITY|not in WITHOUT_SECOND_DERIVATIVE)):\n +)?"
    r"raise ValueError"
)

# The gradient by differences of the cost, for each backend in turn.
DIFFERENCES = """
import numpy as np
from engine.equations.backends import BACKENDS
from engine.sums.objective import Objective
from engine.sums.samples import Samples

def compare(layers, Y):
    generator = np.random.default_rng(0)
    X, theta = generator.normal(size=(3, 17)), generator.normal(size=layers.n_parameters)
    costs = []
    for backend in BACKENDS.values():
        objective = Objective(backend, layers, Samples(X, Y))
        cost, gradient = objective.cost_and_gradient(theta)
        for p in range(0, theta.size, 3):
            step = np.zeros_like(theta)
            step[p] = 1e-6
            slope = (objective.cost(theta + step) - objective.cost(theta - step)) / 2e-6
            assert abs(slope - gradient[p]) < 1e-7, (backend.name, p, slope, gradient[p])
        if layers.loss.code == 1:  # squared error
            v = generator.normal(size=theta.size)
            above, below = (objective.cost_and_gradient(theta + h * v)[1] for h in (1e-5, -1e-5))
            expected = (above - below) / 2e-5
            assert np.allclose(objective.hessian_product(theta, v), expected, atol=1e-7)
        costs.append(cost)
    assert np.ptp(costs) < 1e-12, costs
    print("same", costs[0])
"""


@pytest.fixture
def with_softplus(tmp_path):
    """A copy of the package with the example's activation."""
    row, functions = blocks("An activation")
    copy, units = Copy(tmp_path), "equations/units.py"
    copy.change(units, "SOFTMAX, EXP = range(6)", "SOFTMAX, EXP, SOFTPLUS = range(7)")
    copy.change(
        units, '        Unit(RELU, "relu"', f'        {row.strip()},\n        Unit(RELU, "relu"'
    )
    activations = "equations/activations.py"
    copy.change(activations, "SOFTMAX, TANH\n", "SOFTMAX, SOFTPLUS, TANH\n")
    for function, lines in snippets(functions).items():
        copy.add(activations, function, lines)
    return copy


@pytest.mark.compiled
def test_an_activation_is_added_as_it_is_written(with_softplus):
    code = DIFFERENCES + (
        "from engine import Network\n"
        "network = Network((3, 5, 2), hidden='softplus', output='identity')\n"
        "compare(network.layers, np.ones((2, 17)))\n"
    )
    assert re.fullmatch(r"same [\d.]+\n", with_softplus.run(code))


@pytest.mark.proof
@pytest.mark.compiled
def test_the_estimators_know_that_activation(with_softplus):
    code = (
        "import numpy as np\n"
        "from engine import MLPRegressor\n"
        "X = np.linspace(-1, 1, 60)[:, None]\n"
        "model = MLPRegressor(hidden_layer_sizes=4, activation='softplus', solver='lbfgs')\n"
        "y = X[:, 0] ** 2\n"
        "print(model.set_params(random_state=0).fit(X, y).score(X, y) > 0.9)\n"
    )
    assert with_softplus.run(code) == "True\n"


# h against differences of the slope, for each backend in turn.
CURVATURES = """
from engine.equations import losses
from engine.equations.units import IDENTITY
from tests import tiled

def compare_curvatures(loss, Z, Y):
    s = np.ones(Z.shape[1])
    step = 1e-6
    found = []
    for backend in BACKENDS:
        curvature = getattr(losses, f"curvature_{backend}")
        if backend == "tiled":
            (z, m), (y, _), (weights, _) = map(tiled.padded, (Z, Y, s.reshape(1, -1)))
            H = np.zeros_like(z)
            curvature(loss, IDENTITY, z, z, y, weights[0], H, m)
            H = H[:, : Z.shape[1]]
        else:
            H = np.zeros_like(Z)
            curvature(loss, IDENTITY, Z, Z, Y, s, H)
        found.append(H)
        slopes = [np.zeros_like(Z), np.zeros_like(Z)]
        for sign, slope in zip((1, -1), slopes):
            z = Z + sign * step
            losses.output_gradient_numpy(loss, IDENTITY, z, z, Y, s, slope)
        assert np.abs((slopes[0] - slopes[1]) / (2 * step) - H).max() < 1e-7, backend
    assert np.ptp(found, axis=0).max() < 1e-14
"""


@pytest.mark.compiled
def test_a_loss_is_added_as_it_is_written(tmp_path):
    row, values, slopes, curvatures = blocks("A loss")
    copy, losses = Copy(tmp_path), "equations/losses.py"
    copy.change(
        losses, "    COMPILED,\n) = range(9)", "    COMPILED,\n    LOG_COSH,\n) = range(10)"
    )
    last = '        Loss(POISSON, "poisson", "poisson", ("exp",), 0),\n'
    copy.change(losses, last, f"{last}        {row.strip()},\n")
    for block in (values, slopes, curvatures):
        assert len(snippets(block)) == 3
        for function, lines in snippets(block).items():
            copy.add(losses, function, lines)
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("*cache*"))
    code = (DIFFERENCES + CURVATURES) + (
        "from engine import Network\n"
        "network = Network((3, 4, 2), output='identity', loss='log_cosh')\n"
        "random = np.random.default_rng(1)\n"
        "Y = random.normal(0, 3, (2, 17))\n"
        "compare(network.layers, Y)\n"
        "compare(network.layers, 10 * Y)\n"
        "compare_curvatures(network.loss.for_kernels(2), random.normal(0, 3, (2, 17)), Y)\n"
        "try:\n"
        "    Network((3, 2), output='identity', loss='log-cosh')\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    printed = copy.run(code)
    near, far = re.findall(r"same ([\d.]+)", printed)
    assert 1 < float(near) < float(far)
    assert "loss must be 'squared_error', 'log_cosh', 'absolute_error'," in printed


@pytest.fixture
def backtracking(monkeypatch):
    """The example's solver, among the solvers."""
    file, row = blocks("A solver")
    names: dict[str, type] = {}
    exec(file, names)
    known = {"Solver": Solver, "PLAIN": PLAIN, "_backtracking": names["Backtracking"]}
    solver: Solver = eval(row.strip(), known)
    monkeypatch.setitem(SOLVERS, solver.name, solver)
    return solver.name


def test_a_solver_is_added_as_it_is_written(backtracking, tmp_path):
    X = np.random.default_rng(0).normal(size=(3, 80))
    Y = np.sin(X[0]) + X[1] * X[2]
    network = Network((3, 8, 1), output="identity")
    heard = []
    given = {"solver": backtracking, "learning_rate": 4.0, "max_iter": 60}
    result = train(network, X, Y, callback=lambda told: heard.append(told.cost), **given)
    assert (result.n_iter, len(heard)) == (60, 60)
    assert (np.diff(result.history["cost"]) < 0).all()
    assert result.cost < 0.5 * result.history["cost"][0]
    stopped = train(network, X, Y, tol=1e-2, n_iter_no_change=2, **given)
    assert stopped.stopped == "tol"
    assert stopped.n_iter < 60
    with pytest.raises(CheckpointError, match="solver='backtracking' cannot resume a run"):
        train(network, X, Y, checkpoint=tmp_path / "run.ckpt", **given)


def test_the_estimators_know_that_solver(backtracking):
    X = np.random.default_rng(0).normal(size=(80, 3))
    model = MLPRegressor(hidden_layer_sizes=8, learning_rate_init=4.0, max_iter=40, random_state=0)
    constraints = MLPRegressor._parameter_constraints["solver"][0].options
    constraints.add(backtracking)
    try:
        with pytest.warns(ConvergenceWarning):
            model.set_params(solver=backtracking, tol=0).fit(X, X[:, 0])
    finally:
        constraints.discard(backtracking)
    assert model.n_iter_ == 40
    assert (np.diff(model.loss_curve_) < 0).all()
