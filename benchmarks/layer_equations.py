"""The equations of a layer, prepared to be called: a block of 256 samples and 64 units.

Each `prepare(draw, backend)` gives a call, its result, and what NumPy says the result should be.
"""

import numpy as np

SAMPLES, UNITS, INPUTS = 256, 64, 48
PARAMETERS = UNITS * (INPUTS + 1)

HIDDEN, OUTPUT = "HIDDEN_UNITS", "OUTPUT_UNITS"


def sigmoid(Z):
    return 1 / (1 + np.exp(-Z))


def softmax(Z):
    e = np.exp(Z - Z.max(axis=0))
    return e / e.sum(axis=0)


class Draw:
    """The arrays that the equations need, of the same numbers for every backend."""

    def __init__(self, dtype="float64"):
        generator = np.random.default_rng(0)
        self.Z = generator.standard_normal((UNITS, SAMPLES))
        self.A = np.tanh(self.Z)
        self.dA = generator.standard_normal((UNITS, SAMPLES))
        self.A_prev = generator.standard_normal((INPUTS, SAMPLES))
        self.W = generator.standard_normal((UNITS, INPUTS))
        self.b = generator.standard_normal(UNITS)
        self.s = generator.random(SAMPLES) + 0.5
        self.Y = np.eye(UNITS)[generator.integers(UNITS, size=SAMPLES)].T.copy()
        self.theta, self.dtheta, self.first = generator.standard_normal((3, PARAMETERS))
        self.second = generator.random(PARAMETERS)
        for name, array in vars(self).items():
            setattr(self, name, array.astype(dtype))


def function(module, name, backend):
    import importlib

    try:
        return getattr(importlib.import_module(f"engine.equations.{module}"), f"{name}_{backend}")
    except (ImportError, AttributeError) as absent:
        raise NotImplementedError(str(absent)) from absent


def function_of(name, *modules):
    """A function of the first of these modules that this commit has."""
    import importlib

    for module in modules:
        try:
            return getattr(importlib.import_module(module), name)
        except ImportError:
            continue
    raise NotImplementedError(f"no {name} in {modules}")


def takes(kernel, argument):
    """Whether it does on this commit."""
    import inspect

    return argument in inspect.signature(getattr(kernel, "py_func", kernel)).parameters


def code(table, unit):
    """The unit's code; of older commits that in one of the tables of hidden and output units."""
    try:
        from engine.equations.units import UNITS as units
    except ImportError:
        from engine.equations import activations

        return getattr(activations, table)[unit]
    return units[unit].code


def loss_of(kernel, unit):
    """The loss of output units as a kernel takes it; and its number, for older kernels."""
    if not takes(kernel, "parameter"):  # with `loss`, a KernelLoss
        from engine.losses import default_for

        return default_for(unit).for_kernels(UNITS), ()
    from engine.equations.losses import loss_of

    return loss_of(unit).code, (np.zeros(UNITS),)


def block(matrix):
    """A copy as the tiled form takes it: rows that begin on the boundary of a vector."""
    aligned = function_of("aligned", "engine.sums.blocks", "engine.blocks")
    copy = aligned(matrix.shape, matrix.dtype)
    copy[:] = matrix
    return copy


def activation(table, unit, g):
    """A = g(Z), from Z anew in each call; the tiled form works in place."""

    def prepare(draw, backend):
        activate, which = function("activations", "activate", backend), code(table, unit)
        if backend != "tiled":
            A = np.full_like(draw.Z, np.nan)
            return lambda: activate(which, draw.Z, A), lambda: A, g(draw.Z)
        A, scratch = block(draw.Z), np.full_like(draw.Z[:4], np.nan)

        def act():
            A[:] = draw.Z
            activate(which, A, scratch, SAMPLES)

        return act, lambda: A, g(draw.Z)

    return prepare


def derivative(unit, g_prime):
    def prepare(draw, backend):
        derive, which = function("activations", "derive", backend), code(HIDDEN, unit)
        expected = draw.dA * g_prime(draw.A)
        if backend != "tiled":
            dZ = np.full_like(draw.dA, np.nan)
            return lambda: derive(which, draw.A, draw.dA, dZ), lambda: dZ, expected
        A, dZ = block(draw.A), block(draw.dA)

        def act():
            dZ[:] = draw.dA
            derive(which, A, dZ, SAMPLES)

        return act, lambda: dZ, expected

    return prepare


def second_derivative(unit, bend):
    """RdZ += dA o g''(Z) o RZ, with dA in the place of RA = g'(Z) o RZ; bend is g'' / g'."""

    def prepare(draw, backend):
        add = function("activations", "add_second_derivative", backend)
        which, expected = code(HIDDEN, unit), draw.dA * draw.dA * bend(draw.A)
        tiled = backend == "tiled"
        A, RA, dA, RdZ = (
            block(one) if tiled else one.copy() for one in (draw.A, draw.dA, draw.dA, draw.dA)
        )
        rest = (SAMPLES,) if tiled else ()

        def act():
            RdZ[:] = 0
            add(which, A, RA, dA, RdZ, *rest)

        return act, lambda: RdZ, expected

    return prepare


def cost(unit, costs):
    """sum_i s_i J_i."""

    def prepare(draw, backend):
        cost_sum, which = function("losses", "cost_sum", backend), code(OUTPUT, unit)
        expected = (draw.s * costs(draw.Z, draw.Y).sum(axis=0)).sum()
        rest = (np.full_like(draw.Z[:4], np.nan), SAMPLES) if backend == "tiled" else ()
        kept = np.array(np.nan)

        of = (which,)
        if takes(cost_sum, "loss"):
            loss, number = loss_of(cost_sum, unit)
            of, rest = (loss, which), (*number, *rest)

        def act():
            kept[...] = cost_sum(*of, draw.Z, draw.Y, draw.s, *rest)

        return act, lambda: kept, expected

    return prepare


def output_gradient(draw, backend):
    kernel = function("losses", "output_gradient", backend)
    dZ, rest = block_or_new(draw.A, backend), samples(backend)
    expected = draw.s * (draw.A - draw.Y)
    if not takes(kernel, "loss"):
        return lambda: kernel(draw.A, draw.Y, draw.s, dZ, *rest), lambda: dZ, expected
    loss, number = loss_of(kernel, "identity")
    of = loss, code(OUTPUT, "identity"), draw.A, draw.Z, draw.Y, draw.s, *number
    return lambda: kernel(*of, dZ, *rest), lambda: dZ, expected


def curvature(draw, backend):
    """H of sigmoid units, whose exponential is taken anew from z."""
    kernel = function("losses", "curvature", backend)
    loss, _ = loss_of(kernel, "sigmoid")
    A = sigmoid(draw.Z)
    H, rest = block_or_new(A, backend), samples(backend)
    of = loss, code(OUTPUT, "sigmoid"), A, draw.Z, draw.Y, draw.s
    return lambda: kernel(*of, H, *rest), lambda: H, draw.s * A * (1 - A)


def smooth_targets(draw, backend):
    """Of softmax units; the tiled form takes the plain loop."""
    form = "loops" if backend == "tiled" else backend
    kernel = function("losses", "smooth_targets", form)
    loss = loss_of(function("losses", "output_gradient", backend), "softmax")[0]
    loss = loss._replace(parameter=np.full(UNITS, 0.1))
    Y = np.full_like(draw.Y, np.nan)

    def act():
        Y[:] = draw.Y
        kernel(loss, code(OUTPUT, "softmax"), Y, SAMPLES)

    return act, lambda: Y, 0.9 * draw.Y + 0.1 / UNITS


def affine(draw, backend):
    kernel = function("forward", "affine", backend)
    A_prev, Z = block_or_same(draw.A_prev, backend), block_or_new(draw.Z, backend)
    expected = draw.W @ draw.A_prev + draw.b[:, np.newaxis]
    return lambda: kernel(draw.W, draw.b, A_prev, Z, *samples(backend)), lambda: Z, expected


def parameter_gradient(draw, backend):
    kernel = function("backward", "parameter_gradient", backend)
    dZ, A_prev = block_or_same(draw.dA, backend), block_or_same(draw.A_prev, backend)
    dW, db = np.full_like(draw.W, np.nan), np.full_like(draw.b, np.nan)
    # Earlier commits call it `room`.
    with_scratch = takes(kernel, "scratch") or takes(kernel, "room")
    scratch = (block(draw.A_prev),) if with_scratch else ()
    rest = (*scratch, *samples(backend))

    def act():
        dW[:], db[:] = 0, 0
        kernel(dZ, A_prev, dW, db, *rest)

    return act, lambda: np.column_stack([dW, db]), sums_over_samples(draw)


def sums_over_samples(draw):
    return np.column_stack([draw.dA @ draw.A_prev.T, draw.dA.sum(axis=1)])


def input_gradient(draw, backend):
    kernel = function("backward", "input_gradient", backend)
    dZ, dA_prev = block_or_same(draw.dA, backend), block_or_new(draw.A_prev, backend)
    return (
        lambda: kernel(draw.W, dZ, dA_prev, *samples(backend)),
        lambda: dA_prev,
        draw.W.T @ draw.dA,
    )


def block_or_same(matrix, backend):
    return block(matrix) if backend == "tiled" else matrix


def block_or_new(matrix, backend):
    return block(matrix) if backend == "tiled" else np.full_like(matrix, np.nan)


def samples(backend):
    return (SAMPLES,) if backend == "tiled" else ()


def cross_entropy_of_classes(Z, Y):
    below = Z - Z.max(axis=0)
    return Y * (np.log(np.exp(below).sum(axis=0)) - below)


def poisson(Z, Y):
    return np.exp(Z) - Y - Y * Z  # y log y is 0 where y is 0 or 1


EQUATIONS = {
    "tanh": activation(HIDDEN, "tanh", np.tanh),
    "sigmoid": activation(HIDDEN, "sigmoid", sigmoid),
    "relu": activation(HIDDEN, "relu", lambda Z: np.maximum(Z, 0)),
    "softmax": activation(OUTPUT, "softmax", softmax),
    "exp": activation(OUTPUT, "exp", np.exp),
    "tanh_prime": derivative("tanh", lambda A: 1 - A**2),
    "sigmoid_prime": derivative("sigmoid", lambda A: A * (1 - A)),
    "relu_prime": derivative("relu", lambda A: A > 0),
    "tanh_second": second_derivative("tanh", lambda A: -2 * A),
    "sigmoid_second": second_derivative("sigmoid", lambda A: 1 - 2 * A),
    "cost_sigmoid": cost("sigmoid", lambda Z, Y: np.logaddexp(0, Z) - Y * Z),
    "cost_softmax": cost("softmax", cross_entropy_of_classes),
    "cost_squared": cost("identity", lambda Z, Y: 0.5 * (Z - Y) ** 2),
    "cost_poisson": cost("exp", poisson),
    "output_gradient": output_gradient,
    "curvature": curvature,
    "smooth_targets": smooth_targets,
    "affine": affine,
    "parameter_gradient": parameter_gradient,
    "input_gradient": input_gradient,
}
