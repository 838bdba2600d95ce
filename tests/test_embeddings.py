"""engine/embeddings.py and networks with embeddings, from what users pass to what they get."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import scipy.sparse

from engine import Network, compiled_forward, inference, train
from engine.embeddings import Embedding, Levels, Pieces, pieces_of
from engine.training.result import fingerprint
from tests import embedding_cases as cases
from tests.embedding_cases import EmbeddedCase

CASE = EmbeddedCase("all kinds", 17, 2, n_samples=60)
SOLVERS = ("gd", "sgd", "adam", "lbfgs")


def trained(backend=None, n_threads=None, case=CASE, dtype="float64", **settings):
    data = cases.data_of(case)
    settings = {"solver": "adam", "batch_size": 7, "max_iter": 3, **settings}
    return train(
        case.network,
        data.X.astype(dtype),
        data.Y,
        theta=data.theta.astype(dtype),
        learning_rate=0.01,
        backend=backend,
        n_threads=n_threads,
        **settings,
    )


# Embeddings by themselves.


def test_an_embedding_says_what_it_is():
    assert repr(Pieces([0, 1, 3], 4)) == "<2 pieces, width=4>"
    assert repr(Pieces([0, 1], 2, missing=True)) == "<1 pieces, width=2, missing=True>"
    assert repr(Levels(3, 2)) == "Levels(3, width=2)"
    assert repr(CASE.network).startswith(
        "<Network 7-17-3-2: tanh, relu hidden units, identity output, 3 inputs in pieces, "
        "2 inputs in levels, "
    )


@pytest.mark.parametrize(
    ("breakpoints", "message"),
    [
        (
            [1.0],
            r"each larger than the one before; got \[1\.0\]\. np\.unique sorts",
        ),
        ([0, 1, 1], "each larger than the one before"),
        ([2, 1], "each larger than the one before"),
        ([[0, 1]], "at least two numbers"),
        ([0, np.nan], "breakpoints"),
        ([0, np.inf], "breakpoints"),
        ([0, 5e-324], r"2\.22507e-308 or more apart.*Scale the input"),
        ([2.3e-308, 2.4e-308], r"2\.22507e-308 or more apart.*Scale the input"),
        ([-1.7e308, 1.7e308], "by a finite number"),
    ],
)
def test_breakpoints_that_make_no_pieces_are_refused(breakpoints, message):
    with pytest.raises(ValueError, match=message):
        Pieces(breakpoints, 2)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Pieces([0, 1], 0), ValueError, "width must be at least 1; got 0"),
        (lambda: Pieces([0, 1], 1.5), TypeError, "width must be a whole number; got 1.5"),
        (lambda: Pieces([0, 1], 1, missing=2), TypeError, "missing must be True or False; got 2"),
        (lambda: Pieces("ab", 1), TypeError, "breakpoints"),
        (lambda: Levels(0, 1), ValueError, "n_levels must be at least 1; got 0"),
        (lambda: Levels(2, 0), ValueError, "width must be at least 1; got 0"),
        (lambda: Levels(True, 1), TypeError, "n_levels must be a whole number"),
    ],
)
def test_other_arguments_that_make_no_embedding_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_embeddings_are_compared_by_what_they_are():
    alike = [Pieces([0, 1, 2], 3), Pieces(np.array([0.0, 1, 2]), 3)]
    assert alike[0] == alike[1]
    assert hash(alike[0]) == hash(alike[1])
    others = [
        Pieces([0, 1, 3], 3),
        Pieces([0, 1, 2], 4),
        Pieces([0, 1, 2], 3, missing=True),
        Levels(3, 3),
        Levels(3, 2),
        Levels(2, 3),
    ]
    for one, other in itertools.combinations([alike[0], *others], 2):
        assert one != other
    assert Levels(3, 3) != "Levels(3, width=3)"


def test_an_embedding_cannot_be_changed():
    """Else a network would take codes that its parameters do not reach."""
    levels, pieces = Levels(3, 2), Pieces([0, 1], 2)
    with pytest.raises(AttributeError, match="Levels cannot be changed; make another one"):
        levels.n_levels = 100
    with pytest.raises(ValueError, match="read-only"):
        pieces.breakpoints[0] = 0.5
    given = np.array([0.0, 1.0])
    pieces = Pieces(given, 1)
    given[:] = 7
    assert pieces.breakpoints.tolist() == [0, 1]


@pytest.mark.parametrize("entry", [Pieces([0, 0.1, 2], 3, missing=True), Levels(3, 2)])
def test_an_embedding_can_be_pickled_and_copied(entry):
    again = pickle.loads(pickle.dumps(entry))
    assert again == entry
    assert type(again) is type(entry)
    assert copy.deepcopy(entry) is entry is copy.copy(entry)
    if isinstance(again, Pieces):
        assert not again.breakpoints.flags.writeable


def test_pieces_of_are_quantiles_of_what_is_known():
    X = np.array([[0.0, 1, np.nan, 5, 7], [1, 1, 1, 5, 8], [2, 1, 3, 5, np.nan], [4, 1, 2, 5, 7]])
    found = pieces_of(X, n_pieces=2, width=3)
    assert found[0] == Pieces([0, 1.5, 4], 3)
    assert found[1] is None
    assert found[2] == Pieces([1, 2, 3], 3, missing=True)
    assert found[3] is None
    assert found[4] == Pieces([7, 8], 3, missing=True)  # equal quantiles are one
    assert pieces_of(np.full((3, 1), np.nan)) == [None]


def test_pieces_of_by_the_target_are_where_a_tree_splits():
    x = np.linspace(0, 1, 101)[:, None]
    (by_number,) = pieces_of(x, n_pieces=2, y=np.where(x[:, 0] > 0.305, 5.0, 1.0))
    (by_label,) = pieces_of(x, n_pieces=2, y=np.where(x[:, 0] > 0.305, "a", "b"))
    assert by_number == by_label
    assert by_number is not None
    np.testing.assert_allclose(by_number.breakpoints, [0, 0.305, 1])


@pytest.mark.parametrize(
    ("X", "settings", "message"),
    [
        (np.zeros(3), {}, r"X must have shape \(n_samples, n_features\); got shape \(3,\)"),
        (np.zeros((0, 2)), {}, "X must have shape"),
        (np.full((2, 1), np.inf), {}, "X must be finite, or NaN where a value is missing"),
        (np.zeros((2, 1)), {"n_pieces": 0}, "n_pieces must be at least 1"),
        (np.zeros((2, 1)), {"y": [1, 2, 3]}, r"y must have shape \(2,\), a target for each row"),
        (np.array([[0.0], [1.0]]), {"width": 0}, "width must be at least 1"),
    ],
)
def test_pieces_of_what_is_no_table_are_refused(X, settings, message):
    with pytest.raises(ValueError, match=message):
        pieces_of(X, **settings)


# Networks.


@pytest.mark.parametrize(
    ("embeddings", "error", "message"),
    [
        (Levels(2, 1), TypeError, r"must be a list .* got Levels\(2, width=1\)"),
        ("ab", TypeError, "must be a list"),
        (3, TypeError, "must be a list"),
        ([Levels(2, 1)], ValueError, "an entry for each of the 2 inputs.*got 1"),
        ([None, "levels"], TypeError, "a Pieces, a Levels or None; got 'levels'"),
        ([None, Embedding()], TypeError, "a Pieces, a Levels or None"),
    ],
)
def test_embeddings_that_do_not_fit_a_network_are_refused(embeddings, error, message):
    with pytest.raises(error, match=message):
        Network((2, 1), embeddings=embeddings)


def test_a_network_all_of_whose_inputs_are_as_they_are_has_no_embeddings():
    network = Network((2, 3, 1), embeddings=[None, None])
    assert network == Network((2, 3, 1))
    assert network.embeddings is None
    assert network.dense_sizes == network.sizes
    assert network.embedding_views(np.zeros(network.n_parameters)) == [None, None]


def test_networks_are_compared_by_their_embeddings():
    one, other = (Network((1, 1), embeddings=[Levels(n, 2)]) for n in (3, 4))
    again = pickle.loads(pickle.dumps(one))
    assert one == again != other
    assert hash(one) == hash(again)
    assert again.n_parameters == one.n_parameters == 3 + 6
    assert one != Network((1, 1))


def test_views_cover_the_vector_once():
    network = CASE.network
    theta = np.zeros(network.n_parameters)
    parts = [part for layer in network.views(theta) for part in layer]
    for entry in network.embedding_views(theta):
        parts += entry if isinstance(entry, tuple) else [] if entry is None else [entry]
    for part in parts:
        assert part.size == 0 or np.shares_memory(part, theta)
        part += 1
    np.testing.assert_array_equal(theta, 1)


def test_initial_values():
    """I3: uniform, within (of pieces three times) the square root of the width; V of pieces from 0.

    I4: layers within the square root of the units below; the last one from 0.
    """
    embeddings = [Pieces([0, 1, 2], 400, missing=True), Levels(5, 100)]
    network = Network((2, 400, 1), embeddings=embeddings)
    theta = network.initial_parameters(seed=3)
    (c, w, u, V), of_levels = network.embedding_views(theta)
    (W_1, b_1), (W_2, b_2) = network.views(theta)
    for part, r in (
        (c, 3 / 20),
        (w, 3 / 20),
        (u, 3 / 20),
        (of_levels, 1 / 10),
        (W_1, 500**-0.5),
        (b_1, 500**-0.5),
    ):
        assert 0.9 * r < np.abs(part).max() <= r
        assert abs(part.mean()) < r / 5
    assert not np.array_equal(c, w)
    assert (V == 0).all()
    assert (W_2 == 0).all()
    assert b_2 == 0
    np.testing.assert_array_equal(theta, network.initial_parameters(seed=3))
    assert not np.array_equal(theta, network.initial_parameters(seed=4))
    without_hidden = Network((2, 1), embeddings=embeddings)
    assert without_hidden.views(without_hidden.initial_parameters())[0][0].any()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_steps_with_decay_and_average_are_those_of_the_plain_loops(dtype):
    """The fused pass over all parameters takes those of the embeddings in, which do not decay."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((3, 90)).astype(dtype), rng.standard_normal((1, 90))
    X[2] = rng.integers(0, 4, 90)
    embeddings = [Pieces([-1, 0, 1], 5), None, Levels(4, 3)]
    network = Network((3, 7, 1), "tanh", "identity", embeddings=embeddings)
    found = [
        train(
            network, X, Y, batch_size=20, max_iter=4, weight_decay=0.1, average=0.9, clip_norm=0.5,
            learning_rate=0.05, backend=backend,
        ).theta
        for backend in ("numpy", "loops", "tiled")
    ]  # fmt: skip
    rtol = 1e-9 if dtype == "float64" else 1e-3
    for theta in found[1:]:
        np.testing.assert_allclose(theta, found[0], rtol=rtol, atol=rtol / 10)


# What may stand in X.

WRONG = [
    (0, np.nan, "Input 0 of X must be finite: nothing was missing in training; sample 2 has nan"),
    (0, np.inf, "Input 0 of X must be finite; sample 2 has inf"),
    (1, -np.inf, "Input 1 of X must be finite; sample 2 has -inf"),
    (2, 3, r"Input 2 of X must be codes of levels, 0 to 2; sample 2 has 3\.0"),
    (2, -1, "Input 2 of X must be codes of levels, 0 to 2; sample 2 has -1"),
    (2, 0.5, "Input 2 of X must be codes of levels, 0 to 2; sample 2 has 0.5"),
    (2, np.nan, "Input 2 of X must be codes of levels, 0 to 2; sample 2 has nan"),
    (2, 1e300, "codes of levels"),
    (3, np.inf, "Input 3 of X must be finite, or NaN if it is missing; sample 2 has inf"),
]


@pytest.mark.parametrize(("place", "value", "message"), WRONG)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_inputs_that_an_embedding_does_not_take_are_refused(place, value, message, dtype, backend):
    data = cases.data_of(CASE)
    X = data.X.copy()
    X[place, 2] = value
    with np.errstate(over="ignore"):
        X = X.astype(dtype)
    theta = data.theta.astype(dtype)
    network = CASE.network
    for call in (
        lambda: network.forward(theta, X, backend),
        lambda: network.cost_and_gradient(theta, X, data.Y, backend=backend),
        lambda: network.objective(X, data.Y, backend=backend),
        lambda: train(network, X, data.Y, max_iter=1, backend=backend),
    ):
        with pytest.raises(ValueError, match=message.replace("1e300", "")):
            call()
    with pytest.raises(ValueError, match=message.replace(" of X ", " of X_val ")):
        train(network, data.X, data.Y, X_val=X, Y_val=data.Y, max_iter=1, backend=backend)


def test_sparse_inputs_are_refused():
    network = Network((2, 1), embeddings=[Levels(2, 1), None])
    with pytest.raises((TypeError, ValueError), match="X"):
        network.forward(np.zeros(network.n_parameters), scipy.sparse.eye(2).tocsr())


REFUSED = {
    "lm": lambda n, d: train(n, d.X, d.Y, solver="lm", max_iter=1),
    "hessian_product": lambda n, d: n.objective(d.X, d.Y).hessian_product(d.theta, d.theta),
    "gauss_newton": lambda n, d: n.objective(d.X, d.Y).gauss_newton(d.theta),
    "input_jacobian": lambda n, d: n.input_jacobian(d.theta, d.X),
    "parameter_jacobian": lambda n, d: n.parameter_jacobian(d.theta, d.X),
    "inference": lambda n, d: inference(n, d.theta, d.X, d.Y),
    "compiled_forward": lambda n, d: compiled_forward(n, d.theta),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_there_for_embeddings_says_so(name):
    data = cases.data_of(CASE)
    with pytest.raises(ValueError, match="is not there for a network with embeddings"):
        REFUSED[name](CASE.network, data)


# Threads, blocks, orders.


@pytest.mark.parametrize("n_samples", [5, 1024, 5000])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_number_of_threads_does_not_change_the_bits(n_samples, dtype, backend):
    if backend == "loops" and n_samples > 1024:
        n_samples = 2100
    case = CASE._replace(n_samples=n_samples, weighted=True, alpha=0.5)
    data = cases.data_of(case)
    found = [
        case.network.cost_and_gradient(
            data.theta.astype(dtype),
            data.X.astype(dtype),
            data.Y,
            sample_weight=data.sample_weight,
            alpha=data.alpha,
            backend=backend,
            n_threads=n_threads,
        )
        for n_threads in (1, 2, 3)
    ]
    for cost, gradient in found[1:]:
        assert cost == found[0][0]
        assert gradient.tobytes() == found[0][1].tobytes()


def test_the_layout_of_X_does_not_change_the_bits(backend):
    case = CASE._replace(n_samples=200)
    data = cases.data_of(case)
    layouts = [
        data.X,
        np.asfortranarray(data.X),
        np.repeat(data.X, 2, axis=1)[:, ::2],
        np.repeat(data.X, 2, axis=0)[::2],
        data.X[::-1].copy()[::-1],
    ]
    found = [case.network.forward(data.theta, X, backend) for X in layouts]
    for A in found[1:]:
        assert A.tobytes() == found[0].tobytes()


# Training.


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_all_backends_go_the_same_way(solver, dtype):
    """Compiled slices of minibatches against the backends that go step by step."""
    batch = {} if solver == "gd" else {"batch_size": 7, "alpha": 0.1}
    found = {
        backend: trained(backend, solver=solver, dtype=dtype, **{"batch_size": None, **batch})
        for backend in ("numpy", "loops", "tiled")
    }
    atol = 1e-11 if dtype == "float64" else 2e-4
    assert np.abs(found["numpy"].theta - cases.data_of(CASE).theta).max() > 0.01
    for backend in ("loops", "tiled"):
        assert found[backend].theta.dtype == dtype
        np.testing.assert_allclose(found[backend].theta, found["numpy"].theta, rtol=0, atol=atol)


def test_lbfgs_lowers_the_cost_of_each_backend(backend):
    found = trained(backend, solver="lbfgs", batch_size=None, max_iter=20)
    assert found.cost < 0.5 * found.history["cost"][0]


@pytest.mark.parametrize("solver", SOLVERS)
def test_training_has_the_same_bits_on_any_number_of_threads(solver):
    case = CASE._replace(n_samples=2100)
    batch = {"batch_size": 1100} if solver in ("sgd", "adam") else {"batch_size": None}
    one, two = (trained(n_threads=n, case=case, solver=solver, **batch) for n in (1, 2))
    assert one.fingerprint == two.fingerprint
    assert one.cost == two.cost


def test_the_fingerprint_is_of_all_parameters():
    """Each by itself: a step of training would change all of them."""
    network, theta = CASE.network, cases.data_of(CASE).theta
    found = {fingerprint(network, theta)}
    for p in range(theta.size):
        other = theta.copy()
        other[p] += 1
        found.add(fingerprint(network, other))
    assert len(found) == 1 + theta.size
    assert trained(max_iter=1).fingerprint == fingerprint(network, trained(max_iter=1).theta)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_checkpoint_goes_on_with_the_same_bits(solver, tmp_path):
    batch = {} if solver in ("sgd", "adam") else {"batch_size": None}
    whole = trained(solver=solver, max_iter=6, **batch)
    path = tmp_path / "run.checkpoint"
    trained(solver=solver, max_iter=3, checkpoint=path, **batch)
    resumed = trained(solver=solver, max_iter=6, checkpoint=path, **batch)
    assert resumed.fingerprint == whole.fingerprint
    np.testing.assert_array_equal(resumed.history["cost"], whole.history["cost"])


def test_a_checkpoint_of_other_embeddings_is_refused(tmp_path):
    network = Network((1, 2, 1), embeddings=[Pieces([0, 1, 2], 3)])
    X, Y = np.linspace(0, 2, 20)[None], np.linspace(0, 1, 20)[None]
    path = tmp_path / "run.checkpoint"
    train(network, X, Y, max_iter=2, checkpoint=path)
    for other in ([Pieces([0, 1.5, 2], 3)], [Pieces([0, 2], 3, missing=True)], [Levels(3, 5)]):
        X_other = np.floor(X) if isinstance(other[0], Levels) else X
        with pytest.raises(ValueError, match=r"embeddings|run\.checkpoint"):
            train(Network((1, 2, 1), embeddings=other), X_other, Y, max_iter=4, checkpoint=path)


@pytest.mark.parametrize("output", ["exp", "softmax", "sigmoid"])
def test_other_outputs_and_losses_train(output, backend):
    case = EmbeddedCase("all kinds", 3, 1, output="softmax" if output == "softmax" else "sigmoid")
    case = case._replace(n_samples=40)
    data = cases.data_of(case)
    network = Network(case.sizes, "relu", output, embeddings=case.network.embeddings)
    found = train(
        network, data.X, data.Y, solver="adam", learning_rate=0.01, max_iter=30, backend=backend
    )
    assert found.cost < found.history["cost"][0]


def test_one_step_of_descent_moves_each_parameter_by_its_gradient(backend):
    data = cases.data_of(CASE)
    _, gradient = CASE.network.cost_and_gradient(data.theta, data.X, data.Y, backend=backend)
    found = trained(backend, solver="gd", batch_size=None, max_iter=1)
    expected = data.theta - 0.01 * gradient
    np.testing.assert_allclose(found.theta, expected, rtol=0, atol=1e-13)


def test_pieces_learn_a_step_that_a_straight_line_cannot():
    """What they are for: a threshold, by a network without hidden layers."""
    x = np.linspace(-1, 1, 201)[None]
    y = np.where(x > 0.25, 1.0, 0.0)
    pieces = Network((1, 1), output="identity", embeddings=[Pieces([-1, 0.245, 0.255, 1], 2)])
    line = Network((1, 1), output="identity")
    costs = [train(one, x, y, solver="lbfgs", max_iter=300).cost for one in (pieces, line)]
    assert costs[0] < 1e-3 < 0.02 < costs[1]


@pytest.mark.parametrize(
    ("values", "breakpoints"), [([0, 1e-310, 1, 2], [0, 1, 2]), ([0, 1e-310, 2e-310], None)]
)
def test_breakpoints_of_data_that_are_too_close_to_divide_by_are_dropped(values, breakpoints):
    (found,) = pieces_of(np.array(values)[:, np.newaxis], n_pieces=len(values) - 1)
    assert (None if found is None else found.breakpoints.tolist()) == breakpoints
