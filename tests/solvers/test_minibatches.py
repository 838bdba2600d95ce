"""train(solver="sgd" | "adam"): the steps from batch to batch, what is told, why it ends."""

import functools
import itertools
import math
import time
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine import DivergedError, Network, train
from engine.solvers import batches, descent
from tests import descent_oracle, oracle, processes
from tests.descent_oracle import Rule

BACKENDS = ("numpy", "loops", "tiled")
DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])
RATE = 0.25  # a power of two, which both dtypes hold

# What to pass to train for each row of EQUATIONS.md's table.
UPDATES: dict[str, dict[str, Any]] = {
    "gradient descent": {"solver": "sgd", "momentum": 0.0},
    "momentum": {"solver": "sgd", "momentum": 0.75, "nesterov": False},
    "nesterov": {"solver": "sgd", "momentum": 0.75, "nesterov": True},
    "adam": {"solver": "adam", "beta_1": 0.75, "beta_2": 0.875, "epsilon": 2.0**-10},
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "invscaling": {"power_t": 0.75},
    "adaptive": {"tol": 0.5, "n_iter_no_change": 1},
}
NETWORKS = {
    "sigmoid": Network((2, 3, 1)),
    "softmax": Network((2, 3), output="softmax"),
    "identity": Network((2, 3, 2, 2), hidden=("sigmoid", "tanh"), output="identity"),
    "exp": Network((3, 2, 1), hidden="tanh", output="exp"),
}
NETWORK = NETWORKS["sigmoid"]
# One weight, one bias: with x = 0 only the bias moves, and J = 1/2 (b - y)^2 is known in advance.
LINE = Network((1, 1), output="identity")


class Problem(NamedTuple):
    """A network, data as `train` takes them, and the targets as the oracle does."""

    network: Network
    X: Any
    Y: Any
    matrix: Any
    weights: Any


@functools.cache
def problem(output="sigmoid", n_samples=7, weighted="no"):
    """Samples of the kind that the output unit takes, in numbers that float32 holds."""
    network = NETWORKS[output]
    random = np.random.default_rng(7)
    X = random.normal(size=(network.sizes[0], n_samples)).astype("float32").astype("float64")
    numbers = np.arange(n_samples)
    Y = {
        "sigmoid": (X.sum(axis=0) > 0).astype(float),
        "softmax": numbers * 2 % 3,
        "identity": np.array([numbers % 5 / 4 - 0.5, numbers % 3 / 2]),
        "exp": numbers % 4,
    }[output]
    weights = {
        "no": None,
        "some": np.array([1, 0.5, 2, 0, 1.5, 0.25, 1])[numbers % 7],
        "batch": np.where((numbers < 3) | (numbers > 5), 1.5, 0.0),  # 3, 4 and 5 do not count
    }[weighted]
    if output == "softmax":
        return Problem(network, X, Y, np.eye(3)[:, Y], weights)
    return Problem(network, X, Y, np.atleast_2d(Y), weights)


def initial(network, seed=3, dtype="float64"):
    """Parameters to start from, the same numbers in both dtypes."""
    return network.initial_parameters(seed, "float32").astype(dtype)


def orders(n_samples, n_epochs, seed=0, shuffled=True):
    """The order of each epoch: each shuffles that of the one before."""
    order, state = batches.in_order(n_samples), batches.random_state(seed)
    found = []
    for _ in range(n_epochs):
        if shuffled:
            batches.shuffle(order, state)
        found.append(order.tolist())
    return found


def rule_of(update, learning_rate=RATE, **given):
    """The oracle's rule for what is passed to train."""
    names = {"momentum": "mu", "beta_1": "b1", "beta_2": "b2", "epsilon": "eps", "power_t": "p"}
    others = {"n_iter_no_change": "patience", "schedule": "schedule", "tol": "tol"}
    others |= {"weight_decay": "decay", "average": "average", "clip_norm": "clip"}
    passed = {**UPDATES[update], **given}
    known = {new: passed[old] for old, new in {**names, **others}.items() if old in passed}
    return Rule(update, learning_rate, **known)


def expected(case, rule, n_epochs, batch_size, *, alpha=0.0, shuffle=True, seed=0):
    """The oracle's epochs."""
    network, X, _, Y, weights = case
    described = network.sizes, network.hidden, network.output
    n_samples = X.shape[1]

    def of_batch(function, theta, batch):
        s = None if weights is None else weights[batch]
        return function(theta, *described, X[:, batch], Y[:, batch], s, alpha)

    return descent_oracle.descent(
        rule,
        initial(network).tolist(),
        orders(n_samples, n_epochs, seed, shuffle),
        batch_size,
        [1.0] * n_samples if weights is None else weights.tolist(),
        lambda theta, batch: of_batch(oracle.cost, theta, batch),
        lambda theta, batch: of_batch(oracle.gradient, theta, batch),
        weights_of(network.sizes),
    )


def weights_of(sizes):
    """Which parameters are weights and not biases: W[1] row by row, b[1], and so on."""
    return [
        kind
        for n_in, n_out in itertools.pairwise(sizes)
        for kind in [True] * (n_in * n_out) + [False] * n_out
    ]


def run(case, update="nesterov", dtype="float64", **others):
    """train() on a problem."""
    given = {
        "learning_rate": RATE,
        "sample_weight": case.weights,
        "theta": initial(case.network, dtype=dtype),
        **UPDATES[update],
        **others,
    }
    return train(case.network, case.X.astype(dtype), case.Y, **given)


def followed(case, *arguments, **others):
    """The same; and what the callback was told, with copies of theta."""
    told_of = []
    result = run(
        case, *arguments, callback=lambda told: told_of.append((told, told.theta.copy())), **others
    )
    return result, told_of


def assert_trajectory(result, told_of, epochs, dtype, slack=500):
    """That a run went as the oracle says, epoch by epoch."""
    close = {"rtol": slack * np.finfo(dtype).eps, "atol": slack * np.finfo(dtype).eps}
    assert result.theta.dtype == dtype
    assert len(told_of) == result.n_iter == len(epochs)
    for number, ((told, theta), epoch) in enumerate(zip(told_of, epochs), start=1):
        np.testing.assert_allclose(theta, epoch.theta, err_msg=f"epoch {number}", **close)
        assert (told.epoch, told.step) == (number, epoch.step)
    assert told_of[-1][1].tobytes() == result.theta.tobytes()
    for name in ("cost", "gradient_norm"):
        wanted = [getattr(epoch, name) for epoch in epochs]
        np.testing.assert_allclose(result.history[name], wanted, err_msg=name, **close)
        assert [getattr(told, name) for told, _ in told_of] == result.history[name].tolist()


def facts(result):
    """All of a result but its times, as bytes and numbers."""
    history = {name: column.tobytes() for name, column in result.history.items()}
    del history["seconds"]
    return result.theta.tobytes(), result.fingerprint, result.cost, result.n_iter, history


def line(y=(1.0,), **others):
    """J_i = 1/2 (b - y_i)^2, for samples in their order, one a batch."""
    given = {
        "solver": "sgd",
        "momentum": 0.0,
        "learning_rate": 0.5,
        "batch_size": 1,
        "shuffle": False,
        "theta": np.array([0.0, others.pop("b", 0.0)]),
        **others,
    }
    return train(LINE, np.zeros((1, len(y))), y, **given)


# The steps


@functools.cache
def grid_epochs(update, schedule):
    rule = rule_of(update, schedule=schedule, **SCHEDULES[schedule])
    return expected(problem("sigmoid", 8, "some"), rule, 4, 3, alpha=0.5)


@DTYPES
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("update", UPDATES)
def test_the_steps_are_those_of_the_equations(update, schedule, dtype, backend):
    """U1 to U7, over four epochs of batches of 3, 3 and 2, with weights and a penalty."""
    given = {"schedule": schedule, **SCHEDULES[schedule]}
    case = problem("sigmoid", 8, "some")
    result, told_of = followed(
        case, update, dtype, alpha=0.5, max_iter=4, batch_size=3, backend=backend, **given
    )
    assert_trajectory(result, told_of, grid_epochs(update, schedule), dtype)


MORE: dict[str, dict[str, Any]] = {
    "decay": {"weight_decay": 0.75},
    "average": {"average": 0.625},
    "clipping": {"clip_norm": 0.125},
    "cosine": {"schedule": "cosine"},
    "all": {"weight_decay": 0.75, "average": 0.625, "clip_norm": 0.125, "schedule": "cosine"},
}


def more_of(name, update):
    """Those settings, as far as the solver takes them."""
    return {key: MORE[name][key] for key in MORE[name] if key != "weight_decay" or update == "adam"}


@functools.cache
def epochs_with_more(name, update, batch_size):
    rule = rule_of(update, **more_of(name, update))
    return expected(problem("sigmoid", 8, "some"), rule, 4, batch_size, alpha=0.5)


@DTYPES
@pytest.mark.parametrize("batch_size", [3, None])
@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("name", MORE)
def test_settings_of_each_step_are_those_of_the_equations(name, update, batch_size, dtype, backend):
    """U8 to U11 beside each update, with weights and a penalty; norms are those before clipping."""
    result, told_of = followed(
        problem("sigmoid", 8, "some"),
        update,
        dtype,
        alpha=0.5,
        max_iter=4,
        batch_size=batch_size,
        backend=backend,
        **more_of(name, update),
    )
    assert_trajectory(result, told_of, epochs_with_more(name, update, batch_size), dtype)


@functools.cache
def epochs_of(output, n_samples, weighted, batch_size, alpha, shuffle, update):
    case = problem(output, n_samples, weighted)
    return expected(case, rule_of(update), 3, batch_size, alpha=alpha, shuffle=shuffle)


CASES = [
    # output, samples, weights, batch_size, alpha, shuffle
    ("softmax", 7, "some", 2, 0.5, True),
    ("identity", 7, "no", 3, 0.25, True),
    ("exp", 7, "some", 4, 0.5, True),
    ("sigmoid", 7, "no", 3, 0.0, False),
    ("sigmoid", 7, "no", 1, 0.5, True),
    ("sigmoid", 7, "some", 1, 0.0, True),  # some batches count nothing
    ("sigmoid", 7, "no", 7, 0.0, True),
    ("sigmoid", 7, "some", 100, 0.5, True),  # more than there are
    ("sigmoid", 7, "some", None, 0.5, True),
    ("sigmoid", 1, "no", 1, 0.5, True),
    ("sigmoid", 1, "no", None, 0.0, False),
    ("sigmoid", 10, "batch", 3, 0.5, False),  # the second batch of four counts nothing
    ("sigmoid", 6, "batch", 3, 0.5, False),  # the last one of two
    ("sigmoid", 9, "batch", 2, 0.5, True),
]


@DTYPES
@pytest.mark.parametrize("case", CASES, ids=str)
def test_batches_of_every_kind_are_those_of_the_equations(case, dtype, backend):
    *kind, batch_size, alpha, shuffle = case
    epochs = epochs_of(*case, "nesterov")
    given = {"batch_size": batch_size, "alpha": alpha, "shuffle": shuffle, "max_iter": 3}
    result, told_of = followed(problem(*kind), "nesterov", dtype, backend=backend, **given)
    assert_trajectory(result, told_of, epochs, dtype)


@pytest.mark.sample(1)
@DTYPES
@pytest.mark.parametrize("batch_size", [1025, 1024, None, 1100])
@pytest.mark.compiled
def test_batches_of_more_than_a_span_are_those_of_the_equations(batch_size, dtype, backend):
    epochs = large_epochs(None if batch_size == 1100 else batch_size)
    given = {"batch_size": batch_size, "alpha": 0.5, "max_iter": 2, "backend": backend}
    result, told_of = followed(problem("sigmoid", 1100, "some"), "adam", dtype, **given)
    assert_trajectory(result, told_of, epochs, dtype)


@functools.cache
def large_epochs(batch_size):
    rule = rule_of("adam")
    return expected(problem("sigmoid", 1100, "some"), rule, 2, batch_size, alpha=0.5)


@given(
    update=st.sampled_from(list(UPDATES)),
    schedule=st.sampled_from(list(SCHEDULES)),
    numbers=st.fixed_dictionaries(
        {
            "momentum": st.sampled_from([0.25, 0.5, 0.9]),
            "beta_1": st.sampled_from([0.0, 0.5, 0.9]),
            "beta_2": st.sampled_from([0.5, 0.9, 0.999]),
            "epsilon": st.sampled_from([1e-3, 0.25, 1.0]),  # below, steps would be ill-conditioned
            "power_t": st.sampled_from([0.0, 0.5, 1.0, 2.0]),
            "tol": st.sampled_from([0.0, 0.01, 0.5]),
            "n_iter_no_change": st.integers(1, 3),
            "learning_rate": st.sampled_from([0.01, 0.125, 0.5]),
        }
    ),
    n_samples=st.integers(1, 6),
    batch_size=st.none() | st.integers(1, 8),
    weighted=st.sampled_from(["no", "some"]),
    alpha=st.sampled_from([0.0, 0.5]),
    shuffle=st.booleans(),
    seed=st.integers(0, 2**32),
    backend=st.sampled_from(BACKENDS),
)
@settings(max_examples=40)
def test_any_settings_give_the_steps_of_the_equations(
    update, schedule, numbers, n_samples, batch_size, weighted, alpha, shuffle, seed, backend
):
    case = problem("sigmoid", n_samples, weighted)
    given = {**UPDATES[update], **numbers, "schedule": schedule}
    if update == "gradient descent":
        given["momentum"] = 0.0
    rule = rule_of(update, **given_to_rule(given))
    common = {"alpha": alpha, "shuffle": shuffle, "seed": seed}
    epochs = expected(case, rule, 5, batch_size, **common)
    assume(all(epoch.margin > 1e-9 for epoch in epochs))
    result, told_of = followed(
        case, update, max_iter=5, batch_size=batch_size, backend=backend, **common, **given
    )
    assert result.stopped == ("tol" if len(epochs) < 5 else result.stopped)
    assert_trajectory(result, told_of, epochs, "float64", slack=1_000_000)


def given_to_rule(given):
    return {name: value for name, value in given.items() if name not in ("solver", "nesterov")}


def test_momentum_of_zero_is_plain_descent_with_nesterov_or_without(backend):
    plain = run(problem(), "gradient descent", batch_size=3, max_iter=3, backend=backend)
    for nesterov in (True, False):
        given = {"solver": "sgd", "momentum": 0.0, "nesterov": nesterov}
        assert facts(run(problem(), batch_size=3, max_iter=3, backend=backend, **given)) == facts(
            plain
        )


def test_settings_left_alone_are_those_that_the_contract_names(backend):
    """Adam, 1e-3, all samples a batch, 0.9 and 0.999; for sgd Nesterov's momentum of 0.9."""
    case = problem()
    common = {"theta": initial(NETWORK), "max_iter": 3, "backend": backend}
    adam = train(NETWORK, case.X, case.Y, **common)
    rule = Rule("adam", 1e-3, b1=0.9, b2=0.999, eps=1e-8)
    np.testing.assert_allclose(adam.theta, expected(case, rule, 3, None)[-1].theta, rtol=1e-12)
    sgd = train(NETWORK, case.X, case.Y, solver="sgd", batch_size=2, **common)
    rule = Rule("nesterov", 1e-3, mu=0.9)
    np.testing.assert_allclose(sgd.theta, expected(case, rule, 3, 2)[-1].theta, rtol=1e-12)


def test_one_batch_of_all_is_full_batch_descent(backend):
    """But for the order of history: "gd" and "sgd" take the same steps."""
    case = problem("identity", 7, "some")
    given = {"alpha": 0.5, "max_iter": 5, "backend": backend}
    sgd = run(case, "gradient descent", **given)
    gd = run(case, **{**given, "solver": "gd"})
    np.testing.assert_allclose(sgd.theta, gd.theta, rtol=1e-13, atol=1e-15)
    for name in ("cost", "gradient_norm"):
        np.testing.assert_allclose(sgd.history[name], gd.history[name], rtol=1e-12)


def test_class_codes_are_one_hot_columns(backend):
    case = problem("softmax", 7, "some")
    given = {"batch_size": 3, "max_iter": 3, "backend": backend}
    codes, columns = run(case, **given), run(case._replace(Y=case.matrix), **given)
    np.testing.assert_allclose(codes.theta, columns.theta, rtol=1e-13, atol=1e-15)


# Batches that count nothing


def test_a_batch_without_weight_moves_nothing(backend):
    """Parameters, momentum and all: b goes as if it were not there."""
    given = {"momentum": 0.5, "nesterov": False, "max_iter": 2, "backend": backend}
    with_it = line([1.0, 7.0, 2.0], sample_weight=[1, 0, 3], **given)
    without = line([1.0, 2.0], sample_weight=[1, 3], **given)
    assert with_it.theta.tobytes() == without.theta.tobytes()
    assert with_it.history["cost"].tolist() == without.history["cost"].tolist()
    assert with_it.cost == without.cost


def test_adam_corrects_for_as_many_steps_as_its_moments_took(backend):
    """The first step of Adam is eta g / (|g| + ...): all but eta, whatever came before it."""
    result = line(
        [7.0, 1.0], sample_weight=[0, 1], solver="adam", learning_rate=0.5, max_iter=1,
        backend=backend,
    )  # fmt: skip
    assert result.theta[1] == pytest.approx(0.5, rel=1e-6)


# The order of the samples


@pytest.mark.parametrize("n_samples", [1, 2, 3, 10, 1000])
def test_a_shuffle_is_a_permutation(n_samples):
    for order in orders(n_samples, 3):
        assert sorted(order) == list(range(n_samples))


def test_the_same_seed_shuffles_alike_and_another_otherwise():
    assert orders(50, 3, seed=5) == orders(50, 3, seed=5)
    found = {tuple(order) for seed in (*range(5), 2**63, 2**100) for order in orders(50, 3, seed)}
    assert len(found) == 21


@pytest.mark.parametrize(("n_samples", "n_shuffles"), [(2, 1000), (3, 1200), (4, 4800)])
def test_every_order_is_equally_likely(n_samples, n_shuffles):
    """Chi-square at about 1 in 10^4, for each of the n! orders, with this seed."""
    found = [tuple(order) for order in orders(n_samples, n_shuffles, seed=1)]
    counts = [found.count(order) for order in itertools.permutations(range(n_samples))]
    mean = n_shuffles / len(counts)
    chi_square = sum((count - mean) ** 2 / mean for count in counts)
    assert sum(counts) == n_shuffles
    assert chi_square < {2: 15.1, 6: 25.7, 24: 57.1}[len(counts)]


def test_every_sample_is_equally_likely_in_every_place():
    counts = np.zeros((6, 6))
    for order in orders(6, 3000, seed=2):
        counts[np.arange(6), order] += 1
    assert (np.abs(counts - 500) < 5 * math.sqrt(500)).all()


@pytest.mark.parametrize("n", [1, 2, 3, 7, 3 * 2**30, 2**32 - 1])
def test_a_number_below_n_is_below_n_and_without_bias(n):
    """As the papers have it, in Python's whole numbers; for 3 * 2^30 a quarter is drawn again."""
    state = batches.random_state(4)
    words = plain_words(state.tolist())
    with np.errstate(over="ignore"):  # interpreted, the words wrap around with a warning
        found = []
        for _ in range(200):
            number, *state = batches.random_below(np.uint64(n), *map(np.uint64, state))
            found.append(int(number))
    assert found == list(itertools.islice(below(n, words), 200))
    assert max(found) < n


def plain_words(state):
    """xoshiro256++ in Python's whole numbers, from Blackman & Vigna 2021."""
    mask = 2**64 - 1
    s = list(state)
    while True:
        total = (s[0] + s[3]) & mask
        yield (((total << 23) | (total >> 41)) + s[0]) & mask
        t = (s[1] << 17) & mask
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = ((s[3] << 45) | (s[3] >> 19)) & mask


def below(n, words):
    """Lemire 2019, section 3, with 32 bits: draw again while the low half is below 2^32 mod n."""
    while True:
        product = (next(words) >> 32) * n
        if product % 2**32 >= 2**32 % n:
            yield product >> 32


@pytest.mark.proof
@pytest.mark.compiled
def test_the_order_is_the_same_interpreted_and_compiled():
    interpreted = processes.result_of(orders, 100, 3, 8, env={"NUMBA_DISABLE_JIT": "1"})
    assert interpreted == orders(100, 3, 8)


@pytest.mark.parametrize("shuffle", [True, False])
def test_every_backend_takes_the_same_order(shuffle, backend):
    """Batches of one, no gradient but the sample's own: b says which samples went by, and when."""
    y = [1.0, 2.0, 4.0, 8.0, 16.0]
    given = {"learning_rate": 0.5, "shuffle": shuffle, "seed": 6, "max_iter": 3}
    b = 0.0
    for order in orders(5, 3, seed=6, shuffled=shuffle):
        for i in order:
            b -= 0.5 * (b - y[i])
    assert line(y, backend=backend, **given).theta[1] == pytest.approx(b, rel=1e-14)


def test_without_shuffle_the_seed_changes_nothing(backend):
    case = problem()
    common = {"batch_size": 3, "max_iter": 3, "backend": backend}
    one, other = (run(case, shuffle=False, seed=seed, **common) for seed in (1, 2))
    assert facts(one) == facts(other)
    one, other = (run(case, shuffle=True, seed=seed, **common) for seed in (1, 2))
    assert one.fingerprint != other.fingerprint


# The same bits


@DTYPES
@pytest.mark.parametrize("update", UPDATES)
def test_the_same_seed_gives_the_same_bits_twice(update, dtype, backend):
    common = {"batch_size": 3, "max_iter": 3, "backend": backend, "theta": None}
    case = problem("sigmoid", 7, "some")
    first, again, other = (run(case, update, dtype, seed=seed, **common) for seed in (5, 5, 6))
    assert facts(first) == facts(again)
    assert first.fingerprint != other.fingerprint


@DTYPES
@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("output", NETWORKS)
def test_all_backends_go_the_same_way(output, update, dtype):
    case = problem(output, 7, "some")
    given = {"batch_size": 3, "max_iter": 4, "alpha": 0.25, "learning_rate": RATE / 2}
    results = [run(case, update, dtype, backend=backend, **given) for backend in BACKENDS]
    close = {"rtol": 500 * float(np.finfo(dtype).eps), "atol": 500 * float(np.finfo(dtype).eps)}
    for other in results[1:]:
        np.testing.assert_allclose(other.theta, results[0].theta, **close)
        for name in ("cost", "gradient_norm"):
            np.testing.assert_allclose(other.history[name], results[0].history[name], **close)
        assert other.cost == pytest.approx(results[0].cost, rel=close["rtol"])


@pytest.mark.sample(4)
@pytest.mark.parametrize("update", UPDATES)
def test_how_a_run_is_cut_into_slices_does_not_change_its_bits(update, backend, monkeypatch):
    case = problem("sigmoid", 7, "some")
    given = {
        "batch_size": 3,
        "max_iter": 9,
        "backend": backend,
        "schedule": "adaptive",
        "tol": 0.01,
        "n_iter_no_change": 2,
    }
    whole = facts(run(case, update, **given))
    assert facts(run(case, update, callback=lambda told: None, **given)) == whole
    assert facts(run(case, update, max_time=1000, **given)) == whole
    for seconds, rows in [(0.0, 4096), (1e9, 4096), (1e9, 1), (1e9, 2), (0.0, 1)]:
        monkeypatch.setattr("engine.training.watch.SECONDS_OF_AN_ADVANCE", seconds)
        monkeypatch.setattr(descent, "MOST_EPOCHS_A_SLICE", rows)
        assert facts(run(case, update, **given)) == whole


def laid_out(X):
    """The same numbers in other orders and strides of memory."""
    n_in, m = X.shape
    wide = np.full((2 * n_in, 3 * m), np.nan, X.dtype)
    wide[::2, ::3] = X
    upright = np.full((2 * m, n_in), np.nan, X.dtype)
    upright[::2] = X.T
    read_only = X.copy()
    read_only.flags.writeable = False
    return {
        "rows.T": np.ascontiguousarray(X.T).T,
        "strided": wide[::2, ::3],
        "strided rows.T": upright[::2].T,
        "samples backwards": X[:, ::-1].copy()[:, ::-1],
        "features backwards": X[::-1].copy()[::-1],
        "read-only": read_only,
    }


@DTYPES
@pytest.mark.parametrize("n_samples", [7, pytest.param(1100, marks=pytest.mark.compiled)])
def test_the_layout_of_X_does_not_change_the_bits(n_samples, dtype, backend):
    case = problem("sigmoid", n_samples, "some")
    X = case.X.astype(dtype)
    common = {"batch_size": 3 if n_samples == 7 else 1050, "max_iter": 2, "backend": backend}
    wanted = facts(run(case, dtype=dtype, **common))
    for name, other in laid_out(X).items():
        assert np.array_equal(other, X)
        given = {**UPDATES["nesterov"], **common, "learning_rate": RATE}
        result = train(
            case.network,
            other,
            case.Y,
            sample_weight=case.weights,
            theta=initial(case.network, dtype=dtype),
            **given,
        )
        assert facts(result) == wanted, name


@DTYPES
@pytest.mark.parametrize("writeable", [True, False])
@pytest.mark.parametrize("update", UPDATES)
def test_what_the_caller_passes_is_left_as_it_is(update, writeable, dtype, backend):
    case = problem("softmax", 7, "some")
    arrays = {
        "X": case.X.astype(dtype),
        "Y": case.Y.copy(),
        "sample_weight": case.weights.astype(dtype),
        "theta": initial(case.network, dtype=dtype),
        "X_val": case.X.astype(dtype),
        "Y_val": case.Y.copy(),
    }
    before = {name: array.copy() for name, array in arrays.items()}
    for array in arrays.values():
        array.flags.writeable = writeable
    others = {"batch_size": 3, "max_iter": 2, "backend": backend, **UPDATES[update]}
    result = train(case.network, **arrays, **others)
    assert not np.shares_memory(result.theta, arrays["theta"])
    assert result.theta.flags.writeable
    for name, array in arrays.items():
        assert array.tobytes() == before[name].tobytes(), name


@pytest.mark.compiled
def test_the_number_of_threads_does_not_change_the_bits(backend):
    case = problem("sigmoid", 3000, "some")
    for batch_size in (2100, 500, None):
        given = {"batch_size": batch_size, "max_iter": 2, "backend": backend}
        one, two = (facts(run(case, n_threads=n_threads, **given)) for n_threads in (1, 2))
        assert one == two


# What comes back


@DTYPES
@pytest.mark.parametrize("batch_size", [3, None])
def test_cost_is_that_of_all_samples_at_the_parameters_that_come_back(batch_size, dtype, backend):
    case = problem("sigmoid", 7, "some")
    given = {"batch_size": batch_size, "alpha": 0.5, "max_iter": 2, "backend": backend}
    result = run(case, dtype=dtype, **given)
    network = case.network
    described = (network.sizes, network.hidden, network.output, case.X, case.matrix, case.weights)
    assert type(result.cost) is float
    assert result.cost == pytest.approx(
        oracle.cost(result.theta, *described, 0.5), rel=20 * float(np.finfo(dtype).eps)
    )


@pytest.mark.parametrize("validated", [True, False])
def test_history_has_a_number_for_each_epoch(validated, backend):
    case = problem()
    given = {"X_val": case.X, "Y_val": case.Y} if validated else {}
    result = run(case, batch_size=3, max_iter=6, backend=backend, **given)
    assert (result.stopped, result.n_iter) == ("max_iter", 6)
    assert set(result.history) == {"cost", "gradient_norm", "seconds", "validation_cost"}
    for name, column in result.history.items():
        assert column.dtype == np.float64
        assert column.shape == ((0,) if name == "validation_cost" and not validated else (6,))
    seconds = result.history["seconds"]
    assert seconds[0] > 0
    assert (np.diff(seconds) > 0).all()


def test_validation_cost_is_that_after_the_epoch_without_penalty_or_weights(backend):
    case, other = problem("sigmoid", 7, "some"), problem("sigmoid", 5)
    result, told_of = followed(
        case, batch_size=3, alpha=0.5, max_iter=4, X_val=other.X, Y_val=other.Y, backend=backend
    )
    for (told, theta), came in zip(told_of, result.history["validation_cost"], strict=True):
        wanted = oracle.cost(theta, (2, 3, 1), ("tanh",), "sigmoid", other.X, other.matrix)
        assert told.validation_cost == came == pytest.approx(wanted, rel=1e-14)


def test_validation_data_do_not_change_the_steps(backend):
    case, other = problem(), problem("sigmoid", 5)
    given = {"batch_size": 3, "max_iter": 4, "backend": backend}
    with_them = run(case, X_val=other.X, Y_val=other.Y, **given)
    assert with_them.fingerprint == run(case, **given).fingerprint


def test_the_callback_is_told_of_each_epoch(backend):
    told_of = []

    def callback(told):
        told_of.append(told)
        assert not told.theta.flags.writeable

    result = run(problem(), batch_size=2, max_iter=5, callback=callback, backend=backend)
    assert [told.epoch for told in told_of] == [1, 2, 3, 4, 5]
    assert [told.step for told in told_of] == [4, 8, 12, 16, 20]
    assert [told.seconds for told in told_of] == result.history["seconds"].tolist()
    assert all(math.isnan(told.validation_cost) for told in told_of)


# Why it stopped


def test_stops_when_the_callback_returns_true(backend):
    case = problem()
    given = {"batch_size": 3, "backend": backend}
    result = run(case, callback=lambda told: told.epoch == 3, max_iter=50, **given)
    assert (result.stopped, result.n_iter, len(result.history["cost"])) == ("callback", 3, 3)
    assert result.fingerprint == run(case, max_iter=3, **given).fingerprint
    for value in (1, "yes", 1.0, None, False):
        other = run(case, callback=lambda told, value=value: value, max_iter=2, **given)
        assert other.stopped == "max_iter"


def test_stops_by_tol_after_so_many_epochs_without_enough_improvement(backend):
    """b = 1/2, 3/4, 7/8 ...: costs 1/2, 1/8, 1/32, 1/128: with tol 0.05 the fourth is the first."""
    for patience, n_iter in [(1, 4), (2, 5), (5, 8)]:
        for others in ({}, {"callback": lambda told: None}):
            result = line(
                tol=0.05, n_iter_no_change=patience, max_iter=50, backend=backend, **others
            )
            assert (result.stopped, result.n_iter) == ("tol", n_iter)
            assert result.theta[1] == 1 - 0.5**n_iter
    result = line(tol=0.05, n_iter_no_change=5, max_iter=7, backend=backend)
    assert (result.stopped, result.n_iter) == ("max_iter", 7)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_tol_of_zero_never_stops(schedule, backend):
    """Not even where no epoch but the first improves: validation wants the b = 0 that is left."""
    for validation in ({}, {"X_val": [[0.0]], "Y_val": [0.0]}):
        result = line(
            n_iter_no_change=1, max_iter=60, schedule=schedule, backend=backend, **validation
        )
        assert (result.stopped, result.n_iter) == ("max_iter", 60)


def test_an_adaptive_rate_is_divided_by_five_down_to_its_limit_and_then_the_run_ends(backend):
    """1/2 -> ... -> 1.28e-6 -> 2.56e-7, which is below 1e-6 and the last: eight divisions."""
    seen = []
    result = line(
        schedule="adaptive",
        tol=10.0,
        n_iter_no_change=2,
        max_iter=100,
        callback=lambda told: seen.append(told.theta[1]),
        backend=backend,
    )
    rates, before = [], 0.0
    for b in seen:
        rates.append((b - before) / (1 - before))
        before = b
    # The first cost has nothing to improve on, and so improves.
    wanted = [0.5] + [0.5 / 5**n for n in range(10) for _ in range(2)]
    assert result.stopped == "tol"
    np.testing.assert_allclose(rates, wanted[: len(rates)], rtol=1e-7)
    n_rates = 1 + next(n for n in range(20) if 0.5 / 5**n <= 1e-6)
    assert result.n_iter == 1 + 2 * n_rates


def test_an_adaptive_rate_with_tol_of_zero_stays_at_its_limit(backend):
    """Training moves b from 0 towards 1, validation wants 0: no epoch after the first improves."""
    result, seen = visited(
        X_val=[[0.0]],
        Y_val=[0.0],
        schedule="adaptive",
        n_iter_no_change=1,
        max_iter=20,
        backend=backend,
    )
    assert (result.stopped, result.n_iter) == ("max_iter", 20)
    rates = [(after - b) / (1 - b) for b, after in itertools.pairwise([0.0, *seen])]
    wanted = [0.5, *(0.5 / 5 ** min(n, 9) for n in range(19))]
    np.testing.assert_allclose(rates, wanted, rtol=1e-7)


def visited(**others):
    """A result on the parabola, and b after each of its epochs."""
    seen = []
    result = line(callback=lambda told: seen.append(told.theta[1]), **others)
    return result, seen


@pytest.mark.parametrize("y_val", [0.6, 0.8, 1.0, -1.0])
def test_with_tol_those_of_the_lowest_validation_cost_come_back(y_val, backend):
    result, seen = visited(
        X_val=[[0.0]],
        Y_val=[y_val],
        tol=1e-3,
        n_iter_no_change=3,
        max_iter=50,
        backend=backend,
    )
    costs = [0.5 * (b - y_val) ** 2 for b in seen]
    assert result.stopped == "tol"
    np.testing.assert_allclose(result.history["validation_cost"], costs, rtol=1e-14)
    assert result.theta[1] == seen[int(np.argmin(costs))]
    assert result.cost == pytest.approx(0.5 * (result.theta[1] - 1) ** 2, rel=1e-14)
    lowest, failures, n_iter = math.inf, 0, 0
    while failures < 3:
        failures = failures + 1 if costs[n_iter] > lowest - 1e-3 else 0
        lowest = min(lowest, costs[n_iter])
        n_iter += 1
    assert result.n_iter == n_iter


def test_without_tol_the_last_parameters_come_back(backend):
    result, seen = visited(X_val=[[0.0]], Y_val=[0.5], max_iter=6, backend=backend)
    assert result.theta[1] == seen[-1]
    assert result.history["validation_cost"].argmin() == 0


def test_an_adaptive_rate_looks_at_the_validation_cost_where_there_is_one(backend):
    """Training wants b = 1, validation b = 0: no epoch after the first improves on that."""
    _, seen = visited(
        X_val=[[0.0]],
        Y_val=[0.0],
        schedule="adaptive",
        n_iter_no_change=1,
        max_iter=3,
        backend=backend,
    )
    b = [0.5]
    for rate in (0.5, 0.1):
        b.append(b[-1] + rate * (1 - b[-1]))
    np.testing.assert_allclose(seen, b, rtol=1e-14)


def test_stops_after_max_time_but_takes_a_step(backend):
    """One step and a slice of one more, and no epoch, which has seven."""
    case = problem()
    result = run(case, batch_size=1, max_iter=10**9, max_time=1e-9, backend=backend)
    assert (result.stopped, result.n_iter) == ("max_time", 0)
    assert all(len(column) == 0 for column in result.history.values())
    assert math.isfinite(result.cost)
    moved = result.theta.tobytes() != initial(NETWORK).tobytes()
    assert moved


def test_a_run_with_max_time_ends_about_then_and_its_steps_are_the_same(backend):
    case = problem()
    run(case, batch_size=2, max_iter=1, backend=backend)  # compiles
    began = time.perf_counter()
    result = run(case, batch_size=2, max_iter=10**9, max_time=0.2, backend=backend)
    elapsed = time.perf_counter() - began
    assert result.stopped == "max_time"
    assert 0.2 <= elapsed < 2.0
    n_iter = min(result.n_iter, 50)
    other = run(case, batch_size=2, max_iter=n_iter, backend=backend)
    assert other.history["cost"].tolist() == result.history["cost"][:n_iter].tolist()
    assert (np.diff(result.history["seconds"]) > 0).all()
    assert len(result.history["cost"]) == result.n_iter


@pytest.mark.parametrize("update", ["nesterov", "adam"])
def test_interrupting_returns_what_was_reached(update, backend):
    case = problem()
    given = {"batch_size": 3, "backend": backend, "alpha": 0.25}

    def at_third(told):
        if told.epoch == 3:
            raise KeyboardInterrupt

    result = run(case, update, callback=at_third, max_iter=50, **given)
    shorter = run(case, update, max_iter=3, **given)
    assert (result.stopped, result.n_iter) == ("interrupted", 3)
    assert facts(result) == facts(shorter)


def test_interrupting_with_validation_data_returns_those_of_the_lowest_validation_cost(backend):
    """Training goes to b = 1, validation wants 1/2: reached at once, and left behind."""

    def at_fifth(told):
        if told.epoch == 5:
            raise KeyboardInterrupt

    result = line(X_val=[[0.0]], Y_val=[0.5], max_iter=9, callback=at_fifth, backend=backend)
    assert (result.stopped, result.n_iter) == ("interrupted", 5)
    assert result.theta[1] == 1 / 2
    assert result.cost == 1 / 8


def class_of_steps(backend):
    """The class whose methods take the steps of that backend's small batches."""
    return descent.CompiledSteps if backend == "tiled" else descent.PythonSteps


def interrupted_at_call(monkeypatch, backend, method, number):
    """Ctrl-C at the so many-th call of a method; the ones before and after it go on."""
    way = class_of_steps(backend)
    original, calls = getattr(way, method), itertools.count(1)

    def called(self, *arguments):
        if next(calls) == number:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(way, method, called)


def test_interrupting_within_an_epoch_returns_what_was_reached(backend, monkeypatch):
    """After one or two steps, with the others of the epoch's 7 still to come."""
    case = problem()
    monkeypatch.setattr("engine.training.watch.SECONDS_OF_AN_ADVANCE", 0.0)
    interrupted_at_call(monkeypatch, backend, "advance", 2)
    taken = 2 if backend == "tiled" else 1  # by the first call
    result = run(case, batch_size=1, max_iter=50, backend=backend)
    assert (result.stopped, result.n_iter) == ("interrupted", 0)
    first = orders(7, 1)[0][:taken]
    only = Problem(case.network, case.X[:, first], case.Y[first], case.matrix[:, first], None)
    wanted = expected(only, rule_of("nesterov"), 1, 1, shuffle=False)[-1].theta
    np.testing.assert_allclose(result.theta, wanted, rtol=1e-13)
    described = (NETWORK.sizes, NETWORK.hidden, NETWORK.output, case.X, case.matrix)
    assert result.cost == pytest.approx(oracle.cost(result.theta, *described), rel=1e-14)


def test_interrupting_the_last_cost_returns_what_was_reached(backend, monkeypatch):
    case = problem()
    whole = run(case, batch_size=3, max_iter=4, backend=backend)
    interrupted_at_call(monkeypatch, backend, "cost", 1)
    try:
        result = run(case, batch_size=3, max_iter=4, backend=backend)
    except KeyboardInterrupt:  # which would end pytest as well
        pytest.fail("the run is lost")
    assert result.stopped == "interrupted"
    assert facts(result) == facts(whole)


def test_interrupting_before_the_first_step_is_passed_on(backend, monkeypatch):
    interrupted_at_call(monkeypatch, backend, "advance", 1)
    with pytest.raises(KeyboardInterrupt):
        run(problem(), batch_size=3, backend=backend)


def test_an_error_in_the_callback_is_passed_on(backend):
    def fail(told):
        raise LookupError("of the user's own")

    with pytest.raises(LookupError, match="of the user's own"):
        run(problem(), batch_size=3, callback=fail, backend=backend)


# Runs that diverge


def diverge(y, **others):
    """b <- b - 1e60 (b - y): |b| is 1e60, 1e120, 1e180, and 1e180 squared is too much."""
    given = {"learning_rate": 1e60, "max_iter": 50, **others}
    with pytest.raises(DivergedError) as caught:
        line(y, **given)
    return caught.value


@pytest.mark.parametrize(
    ("n_samples", "epoch"),
    [(7, 1), (4, 1), (3, 2), (2, 2), (1, 4)],  # the epoch of the batch whose cost is not finite
)
@pytest.mark.parametrize("watched", [False, True])
def test_a_run_that_diverges_says_at_which_step_and_epoch(n_samples, epoch, watched, backend):
    """And leaves the parameters one step earlier, of which there was a finite cost."""
    others = {"callback": lambda told: None} if watched else {}
    error = diverge([1.0] * n_samples, backend=backend, **others)
    assert (error.step, error.epoch) == (3, epoch)
    assert f"step 3, in epoch {epoch}," in str(error)
    assert "The learning rate 1e+60 is probably too large: try 1e+59" in str(error)
    two_steps = line([1.0] * 2, learning_rate=1e60, max_iter=1, backend=backend)
    assert error.theta.tobytes() == two_steps.theta.tobytes()
    assert error.theta[1] == pytest.approx(-1e120)
    assert error.history["cost"].shape == (epoch - 1,)
    assert np.isfinite(error.history["cost"]).all()


@pytest.mark.parametrize("n_samples", [1, 3])
def test_a_run_that_diverges_on_its_very_last_step_leaves_parameters_with_a_finite_cost(
    n_samples, backend
):
    error = diverge([1.0] * n_samples, max_iter=3 // n_samples, backend=backend)
    assert error.step == 3
    assert error.theta[1] == pytest.approx(-1e120)


@pytest.mark.parametrize("seconds", [0.0, 1e9])
@pytest.mark.parametrize("update", ["gradient descent", "momentum", "nesterov"])
@DTYPES
def test_a_long_run_that_diverges_goes_back_to_the_step_before(
    update, seconds, dtype, backend, monkeypatch
):
    """The parameters that come back are those of the undisturbed run, as the oracle has it."""
    monkeypatch.setattr("engine.training.watch.SECONDS_OF_AN_ADVANCE", seconds)
    X, Y = np.array([[0.5, 1.0, -0.25, 0.75, -1.0]]), np.array([1.0, -1.0, 0.5, 2.0, 0.25])
    given = {**UPDATES[update], "learning_rate": 8.0, "max_iter": 10_000, "backend": backend}
    theta = np.array([0.5, -0.25], dtype)
    with pytest.raises(DivergedError) as caught:
        train(LINE, X.astype(dtype), Y, batch_size=2, theta=theta, **given)
    error = caught.value
    assert error.step > 20
    assert error.epoch == error.step // 3 + 1  # of the batch after that step
    assert len(error.history["cost"]) == error.epoch - 1
    assert np.isfinite(error.theta).all()
    taken = error.step - 1
    epochs, rest = divmod(taken, 3)
    batch_orders = orders(5, epochs + 1)
    cut = [batch_orders[e] for e in range(epochs)]
    if rest:
        cut.append(batch_orders[epochs][: 2 * rest])

    def of_batch(function, theta, batch):
        return function(theta, (1, 1), (), "identity", X[:, batch], Y[None, batch])

    wanted = descent_oracle.descent(
        rule_of(update, learning_rate=8.0),
        theta.tolist(),
        cut,
        2,
        [1.0] * 5,
        lambda theta, batch: of_batch(oracle.cost, theta, batch),
        lambda theta, batch: of_batch(oracle.gradient, theta, batch),
    )[-1].theta
    np.testing.assert_allclose(error.theta, wanted, rtol=1e4 * np.finfo(dtype).eps)
    batch = descent_oracle.batches(batch_orders[epochs], 2)[rest]  # of the step that diverged
    J, _ = LINE.cost_and_gradient(error.theta, X[:, batch].astype(dtype), Y[batch])
    assert math.isfinite(J)


def test_a_step_without_weight_is_not_the_one_that_diverged(backend):
    """b = 0, 1e60, 1e120, 1e180; then a batch without weight; then the cost is seen to be inf."""
    y, s = [1.0, 1.0, 1.0, 7.0, 1.0], [1, 1, 1, 0, 1]
    error = diverge(y, sample_weight=s, backend=backend)
    assert error.theta[1] == pytest.approx(-1e120)


@pytest.mark.parametrize("batch_size", [1, 2, None])
def test_initial_parameters_without_a_finite_cost_are_refused_with_advice(batch_size, backend):
    for solver in ("sgd", "adam"):
        with pytest.raises(ValueError, match="The cost of the initial parameters is inf") as caught:
            line([1.0] * 5, b=1e200, solver=solver, batch_size=batch_size, backend=backend)
        assert caught.type is ValueError
        assert "scale X" in str(caught.value)


def test_initial_parameters_without_a_finite_cost_are_refused_after_a_batch_without_weight(backend):
    with pytest.raises(ValueError, match="The cost of the initial parameters is inf"):
        line([1.0, 1.0], b=1e200, sample_weight=[0, 1], backend=backend)


# Settings out of range

WRONG = [
    *(
        (name, value, rf"{name} must be (finite and )?at least 0( and below 1)?; got {value:g}")
        for name in ("momentum", "beta_1", "beta_2")
        for value in (-0.1, math.nan)
    ),
    *(
        (name, value, f"{name} must be at least 0 and below 1; got {value:g}")
        for name in ("momentum", "beta_1", "beta_2")
        for value in (1.0, 1.5)
    ),
    *(
        (name, value, f"{name} must be finite and above 0; got {value:g}")
        for name in ("epsilon", "learning_rate")
        for value in (0.0, -1.0, math.inf, math.nan)
    ),
    *(
        (name, value, f"{name} must be at least 1; got {value}")
        for name in ("batch_size", "n_threads", "n_iter_no_change", "max_iter")
        for value in (0, -3)
    ),
    *(
        (name, value, f"{name} must be finite and at least 0; got {value:g}")
        for name in ("power_t", "alpha", "tol")
        for value in (-0.5, math.inf, math.nan)
    ),
    (
        "schedule",
        "linear",
        "schedule must be 'constant', 'invscaling', 'adaptive' or 'cosine'; got 'linear'",
    ),
    ("schedule", None, "'constant', 'invscaling', 'adaptive' or 'cosine'; got None"),
    ("shuffle", "yes", "shuffle must be True, False or 'blocks'; got 'yes'"),
    ("solver", "sdg", "solver must be 'gd', 'sgd', 'adam', 'lbfgs' or 'lm'; got 'sdg'"),
]


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_a_setting_out_of_range_is_refused_with_its_range(name, value, message, solver):
    with pytest.raises(ValueError, match=message):
        train(NETWORK, problem().X, problem().Y, **{"solver": solver, name: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *(("nesterov", value, f"nesterov must be True or False; got {value!r}")
          for value in (1, 0, "yes", None, [True])),
        *(("shuffle", value, f"shuffle must be True, False or 'blocks'; got {value!r}")
          for value in (1, 0, None, [True])),
        *((name, value, f"{name} must be a number") for name in
          ("momentum", "beta_1", "beta_2", "epsilon", "power_t", "alpha", "tol", "learning_rate")
          for value in ("0.5", None, [0.5], True)),
        *((name, value, f"{name} must be a whole number; got") for name in
          ("batch_size", "n_threads", "n_iter_no_change") for value in (2.0, "2", True)),
    ],
)  # fmt: skip
def test_a_setting_of_another_type_is_refused(name, value, message):
    with pytest.raises(TypeError) as caught:
        train(NETWORK, problem().X, problem().Y, **{"solver": "sgd", name: value})
    assert message in str(caught.value)


def test_settings_at_the_ends_of_their_ranges_are_taken(backend):
    ends = {"momentum": 0, "beta_1": 0, "beta_2": 0, "power_t": 0, "alpha": 0, "tol": 0}
    for solver in ("sgd", "adam"):
        given = {"solver": solver, "batch_size": 1, "schedule": "invscaling", **ends}
        assert math.isfinite(run(problem(), max_iter=2, backend=backend, **given).cost)
