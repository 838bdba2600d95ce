"""Descents side by side, one in each lane of a vector: the bits of the same descents alone."""

import gc
import itertools
import platform
import random
import weakref
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest

from engine import Network, losses
from engine.compiler import tiles
from engine.equations.backends import NUMPY, TILED
from engine.solvers import member_descent, mersenne
from engine.solvers.descent import Descent
from engine.solvers.member_descent import KnownSamples, MemberDescents, kind_of
from engine.solvers.solver import Budget, Diverged, Problem
from engine.solvers.state import (
    ADAM,
    ADAPTIVE,
    CONSTANT,
    COSINE,
    INVSCALING,
    MOMENTUM,
    NESTEROV,
    PLAIN,
    POSITION,
    STAGNANT,
    STEPS,
    Settings,
    new_state,
)
from engine.sums.samples import Samples
from tests import cases
from tests.processes import result_of
from tests.side_by_side import assert_same_bits, n_lanes

# Interpreted, a step of many networks takes long.
INTERPRETED = bool(numba.config.DISABLE_JIT)
N_SAMPLES, N_EPOCHS = (9, 2) if INTERPRETED else (40, 4)

NETWORKS = {
    "sigmoid": Network((3, 5, 1)),
    "softmax": Network((3, 4, 2, 3), hidden=("relu", "sigmoid"), output="softmax"),
    "soft targets": Network((3, 3), output="softmax"),
    "identity": Network((3, 4, 2), hidden="identity", output="identity"),
    "quantiles": Network((3, 5, 2), output="identity", loss=losses.Quantile((0.1, 0.75))),
    "huber": Network((3, 5, 2), hidden="relu", output="identity", loss=losses.Huber(0.5)),
    "exp": Network((3, 5, 1), output="exp"),
    "gamma": Network((3, 5, 2), hidden="sigmoid", output="exp", loss="gamma"),
    "wide": Network((70, 9, 1), output="identity"),
}
# A parameter, so that the interpreted pass and that with bounds checked take these tests as well.
tiled_form = pytest.mark.parametrize("backend", [TILED.name])


@pytest.fixture(autouse=True)
def also_where_lanes_do_not_pay(monkeypatch):
    monkeypatch.setattr(member_descent, "PAYS_BELOW", 10**9)


SCHEDULES = {"constant": CONSTANT, "invscaling": INVSCALING, "adaptive": ADAPTIVE}
UPDATES = {"adam": ADAM, "momentum": MOMENTUM, "nesterov": NESTEROV, "plain": PLAIN}


class Case(NamedTuple):
    """What the members have in common."""

    network: str
    dtype: str
    update: str
    batch_size: int
    weights: str = "none"
    data: str = "of each"
    alpha: float = 0.0
    schedule: str = "constant"
    shuffle: str = "of each"

    def __str__(self) -> str:
        return " ".join(str(part) for part in self)


def chosen_cases():
    """A choice of all combinations, each value of each field in many of them."""
    values = {
        "network": list(NETWORKS),
        "dtype": list(cases.DTYPES),
        "update": list(UPDATES),
        "batch_size": [1, 7, 32, N_SAMPLES],
        "weights": ["none", "some", "whole batches"],
        "data": ["of each", "of all", "in columns", "with steps"],
        "alpha": [0.0, 0.5],
        "schedule": list(SCHEDULES),
        "shuffle": ["of each", "Mersenne Twister", "none"],
    }
    choose = random.Random(0)
    decks: dict[str, list[Any]] = {name: [] for name in values}
    chosen = []
    for _ in range(64):
        for name, deck in decks.items():
            if not deck:
                deck += choose.sample(values[name], len(values[name]))
        chosen.append(Case(**{name: deck.pop() for name, deck in decks.items()}))
    return chosen


def samples_of(case, seed):
    """Random samples, in the memory order that a case asks for."""
    network, dtype = NETWORKS[case.network], case.dtype
    draw = np.random.default_rng(seed)
    n_0, n_L, n = network.sizes[0], network.sizes[-1], N_SAMPLES
    X = draw.normal(size=(n_0, n)).astype(dtype)
    if case.data == "in columns":
        X = np.asfortranarray(X)
    elif case.data == "with steps":
        wider = np.zeros((2 * n_0, 3 * n), dtype)
        wider[::2, ::3] = X
        X = wider[::2, ::3]
    weights = None
    if case.weights == "some":
        weights = draw.choice([0, 0.5, 1, 2.25], n).astype(dtype)
    elif case.weights == "whole batches":  # in order, some are of weight 0 alone
        weights = np.where(np.arange(n) % 17 < 9, 1.5, 0).astype(dtype)
    Y, codes = draw.normal(size=(n_L, n)), None
    if case.network == "softmax":
        return Samples(X, None, draw.integers(0, n_L, n).astype(np.int32), weights)
    if case.network == "soft targets":
        Y = np.abs(Y) / np.abs(Y).sum(axis=0)
    elif case.network == "sigmoid":
        Y = (Y > 0).astype(float)
    elif case.network == "quantiles":
        Y = np.broadcast_to(Y[:1].astype(dtype), Y.shape)  # one column for all levels
        return Samples(X, Y, codes, weights)
    elif case.network in ("exp", "gamma"):
        Y = np.abs(Y) + 0.01
    return Samples(X, Y.astype(dtype), codes, weights)


def settings_of(case, member, **given):
    """The settings of a member: those in which members may differ are its own."""
    draw = np.random.default_rng([5, member])
    of_member = {
        "learning_rate": draw.uniform(0.001, 0.1),
        "momentum": draw.uniform(0.1, 0.9),
        "beta_1": draw.uniform(0.5, 0.95),
        "beta_2": draw.uniform(0.5, 0.999),
        "epsilon": 10 ** draw.uniform(-8, -3),
        "alpha": case.alpha * draw.uniform() * (member % 3 > 0),
        "power_t": draw.uniform(0.1, 0.9),
        "tol": draw.uniform(0, 0.1),
        **given,
    }
    return Settings(
        UPDATES[case.update],
        min(case.batch_size, N_SAMPLES),
        shuffle=int(case.shuffle != "none"),
        schedule=SCHEDULES[case.schedule],
        **of_member,
    )


def descent_of(case, member, samples=None, theta=None, **given):
    """The descent of a member, which begins anew with each call."""
    network, settings = NETWORKS[case.network], settings_of(case, member, **given)
    if samples is None:
        samples = samples_of(case, 0 if case.data == "of all" else member)
    if theta is None:
        theta = network.initial_parameters(member, case.dtype)
    state = new_state(theta.copy(), settings, samples.n_samples, seed=member)
    if case.shuffle == "Mersenne Twister":
        words = mersenne.words_of(np.random.RandomState(member))
        state = state._replace(random=words)
    problem = Problem(TILED, network.layers, samples, settings.alpha, 1)
    return Descent(problem, state, settings)


class Course:
    """What became of a descent."""

    def __init__(self, descent, n_epochs=N_EPOCHS):
        self.descent, self.n_epochs = descent, n_epochs
        self.rows, self.diverged = [], None

    @property
    def goes_on(self):
        stops = self.diverged is not None or self.descent.state.counts[STAGNANT]
        return not stops and self.descent.n_iter < self.n_epochs

    def budget(self, seconds):
        return Budget(seconds, self.n_epochs - self.descent.n_iter)

    def take(self, progress):
        self.rows.append(progress.rows.copy())
        if isinstance(progress, Diverged):
            self.diverged = progress

    def to_its_end(self):
        """Alone."""
        while self.goes_on:
            try:
                progress = self.descent.advance(self.budget(1e-3))
            except Diverged as diverged:
                progress = diverged
            self.take(progress)
        return self


def to_their_ends(courses, seconds=1e-3):
    """Side by side: each joins as soon as there is room, and leaves when it ends."""
    known = KnownSamples()
    kind = kind_of(courses[0].descent, known)
    assert kind is not None
    descents = MemberDescents(kind, courses[0].descent.problem.layers, known)
    waiting = list(courses)
    under_way: dict[Descent, Course] = {}
    while waiting or under_way:
        while waiting and descents.has_room:
            course = waiting.pop(0)
            assert kind_of(course.descent, known) == kind
            descents.join(course.descent)
            under_way[course.descent] = course
        gc.collect(0)
        for descent, progress in descents.advance([c.budget(seconds) for c in under_way.values()]):
            under_way[descent].take(progress)
            if not under_way[descent].goes_on:
                descents.leave(descent)
                del under_way[descent]


def assert_same(found, expected):
    """The same bits; if interpreted, to rounding: NumPy's powers of its own floats differ."""
    found, expected = np.asarray(found), np.asarray(expected)
    if not INTERPRETED or found.dtype.kind != "f":
        assert_same_bits(found, expected)
        return
    assert found.dtype == expected.dtype
    close = 1000 * float(np.finfo(found.dtype).eps)
    np.testing.assert_allclose(found, expected, rtol=close, atol=close)


def assert_same_courses(together, alone):
    for one, other in zip(together, alone, strict=True):
        assert_same(np.concatenate(one.rows), np.concatenate(other.rows))
        for name, array in one.descent.state._asdict().items():
            assert_same(array, getattr(other.descent.state, name))
        assert (one.diverged is None) == (other.diverged is None)
        if one.diverged is not None:
            assert_same(one.diverged.theta, other.diverged.theta)
            assert_same(one.diverged.cost, other.diverged.cost)
            assert one.diverged.epoch == other.diverged.epoch
            assert one.diverged.step == other.diverged.step


def assert_is_as_alone(begin, n_members, seconds=1e-3):
    """`begin` makes the course of a member. Returns the courses side by side, which have ended."""
    together = [begin(member) for member in range(n_members)]
    to_their_ends(together, seconds)
    assert_same_courses(together, [begin(member).to_its_end() for member in range(n_members)])
    return together


@tiled_form
@pytest.mark.parametrize("case", chosen_cases(), ids=str)
def test_descents_side_by_side_are_those_alone(case, backend):
    """All that a state holds, the costs and the norms; one lane is left without a network."""
    n_members = n_lanes(case.dtype) - 1 or 1

    def begin(member):
        return Course(descent_of(case, member))

    for course in assert_is_as_alone(begin, n_members):
        assert course.descent.n_iter == N_EPOCHS
        assert course.descent.n_steps > 0


SHORT = Case("sigmoid", "float32", "adam", 7, weights="some", alpha=0.1)


@tiled_form
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("update", UPDATES)
def test_descents_join_and_leave_at_any_epoch(update, dtype, backend):
    """More of them than lanes, and each takes a number of epochs of its own."""
    case = SHORT._replace(update=update, dtype=dtype)

    def begin(member):
        return Course(descent_of(case, member), n_epochs=1 + member * 5 % 4)

    assert_is_as_alone(begin, 2 * n_lanes(dtype) + 3)


@tiled_form
@pytest.mark.parametrize("n_members", [1, 2, 3])
def test_a_few_descents_leave_lanes_without_a_network(n_members, backend):
    case = SHORT._replace(dtype="float64", network="softmax", weights="whole batches")
    assert_is_as_alone(lambda member: Course(descent_of(case, member)), n_members)


@tiled_form
@pytest.mark.parametrize("schedule", ["constant", "adaptive"])
def test_patience_stops_some_and_others_go_on(schedule, backend):
    case = SHORT._replace(schedule=schedule, dtype="float64", batch_size=32)

    def begin(member):
        tol = 1e3 if member % 2 else 0.0  # no cost falls by so much
        return Course(descent_of(case, member, tol=tol, patience=2, stops=1), n_epochs=6)

    courses = assert_is_as_alone(begin, n_lanes(case.dtype))
    if schedule == "constant":
        assert [course.descent.n_iter for course in courses][:2] == [6, 3]
        assert courses[1].descent.state.counts[STAGNANT] == 1


@tiled_form
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("batch_size", [1, 7, N_SAMPLES])
def test_one_that_diverges_ends_alone_and_the_others_go_on(batch_size, dtype, backend):
    """By its learning rate, after some steps; its parameters are those of one step earlier."""
    case = Case("identity", dtype, "plain", batch_size, alpha=0.1)

    def begin(member):
        given = {"learning_rate": 20.0 if dtype == "float32" else 1e6} if member == 1 else {}
        return Course(descent_of(case, member, **given), n_epochs=8 if INTERPRETED else 60)

    courses = assert_is_as_alone(begin, 3)
    diverged = courses[1].diverged
    assert diverged is not None
    assert diverged.step > 2
    assert np.isfinite(diverged.theta).all()
    assert [course.diverged for course in courses[::2]] == [None, None]


@tiled_form
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("place", [0, N_SAMPLES // 2, N_SAMPLES - 1])
def test_inputs_that_overflow_end_one_in_the_middle_of_an_epoch(place, dtype, backend):
    """At the first step, within an epoch and at its last sample."""
    case = Case("identity", dtype, "nesterov", 1, shuffle="none")

    def begin(member):
        samples = samples_of(case, member)
        if member in (0, 2):
            samples.X[:, place] = np.finfo(dtype).max / 4
        return Course(descent_of(case, member, samples, learning_rate=1e-3))

    courses = assert_is_as_alone(begin, 5 if n_lanes(dtype) > 4 else 4)
    for member, course in enumerate(courses):
        assert (course.diverged is not None) == (member in (0, 2))
    assert courses[0].diverged.step == place


@tiled_form
def test_slices_that_end_within_an_epoch_go_on_where_they_were(backend):
    case = SHORT._replace(batch_size=1, network="gamma")
    assert_is_as_alone(lambda member: Course(descent_of(case, member)), 5, seconds=0.0)


@tiled_form
@pytest.mark.parametrize("size", [1e-170, 1e160])
def test_norms_whose_squares_underflow_or_overflow(size, backend):
    """The gradient of |z - y| is x, so large or small, or a residual of that size; and 0."""
    network = Network((3, 1), output="identity", loss="absolute_error" if size > 1 else None)
    layers = network.layers

    def begin(member):
        draw = np.random.default_rng(member)
        X, Y = draw.normal(size=(3, 9)), draw.normal(size=(1, 9))
        X, Y = (X * size, Y) if size > 1 else (X, Y * size)
        if member == 2:
            X[:], Y[:] = 0, 0
        samples = Samples(X, Y)
        rate = 0.1 if size < 1 else 1e-170
        settings = Settings(PLAIN, 4, shuffle=1, learning_rate=rate * (1 + member))
        theta = np.zeros(4)
        state = new_state(theta, settings, 9, seed=member)
        return Course(Descent(Problem(TILED, layers, samples, 0.0, 1), state, settings))

    courses = assert_is_as_alone(begin, 4)
    norms = [np.concatenate(course.rows)[:, 1] for course in courses]
    for member in (0, 1, 3):
        assert (norms[member] > 1e-200).all()
        assert np.isfinite(norms[member]).all()
        assert ((norms[member] < 1e-160) if size < 1 else (norms[member] > 1e155)).all()


@pytest.mark.compiled  # too many inputs for interpreted loops
@pytest.mark.proof
def test_inputs_that_span_more_numbers_than_an_int32_counts(tmp_path):
    """Of a file with holes: three samples, 2^30 numbers apart."""
    n, step = 3, 2**30
    numbers = np.memmap(tmp_path / "X", np.float32, "w+", shape=(2 * step + 3,))
    X = np.lib.stride_tricks.as_strided(numbers, (3, n), (4, 4 * step))
    X[:] = np.random.default_rng(0).normal(size=X.shape)
    Y = np.random.default_rng(1).normal(size=(2, n)).astype("float32")
    case = SHORT._replace(network="identity", weights="none", batch_size=2)
    samples = Samples(X, Y)
    assert_is_as_alone(lambda member: Course(descent_of(case, member, samples)), 3)


# Settings of each step.

MORE: dict[str, Any] = {
    "decay": ("weight_decay",),
    "average": ("average",),
    "clipping": ("clip_norm",),
    "cosine": ("schedule",),
    "labels": ("label_smoothing",),
    "all": ("weight_decay", "average", "clip_norm", "schedule", "label_smoothing"),
}


def with_more(case, member, names):
    """A descent with settings of each step, in which members may differ."""
    draw = np.random.default_rng([7, member])
    of_member = {
        "weight_decay": draw.uniform(0.1, 2),
        "average": draw.uniform(0.1, 0.9),
        "clip_norm": 10 ** draw.uniform(-2, 0),
    }
    given = {name: number for name, number in of_member.items() if name in names}
    if case.update != "adam":
        given.pop("weight_decay", None)
    made = descent_of(case, member, **given)
    settings, state, problem = made.settings, made.state, made.problem
    if "schedule" in names:
        settings = settings._replace(schedule=COSINE, schedule_from=0, schedule_steps=24)
    if "label_smoothing" in names:
        problem = problem._replace(layers=problem.layers.with_label_smoothing(0.2))
    return Descent(problem, state, settings)


@tiled_form
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("update", ["adam", "nesterov", "plain"])
@pytest.mark.parametrize("network", ["sigmoid", "softmax", "soft targets"])
@pytest.mark.parametrize("more", MORE)
def test_settings_of_each_step_are_those_alone(more, network, update, dtype, backend):
    """U8, U9, U10, U11 and L16; some batches have no weight, and slices end anywhere."""
    case = Case(network, dtype, update, 7, weights="whole batches", alpha=0.3)

    def begin(member):
        return Course(with_more(case, member, MORE[more]))

    courses = assert_is_as_alone(begin, max(n_lanes(dtype) - 1, 3))
    state = courses[0].descent.state
    assert (state.average.size > 0) == ("average" in MORE[more])
    if "average" in MORE[more]:
        assert not np.array_equal(state.average, state.theta)
        assert courses[0].descent.theta is state.average


@tiled_form
def test_descents_with_a_setting_of_each_step_and_without_are_of_two_kinds(backend):
    known = KnownSamples()
    plain = kind_of(descent_of(SHORT, 0), known)
    for more in MORE:
        kind = kind_of(with_more(SHORT, 0, MORE[more]), known)
        assert kind is not None
        assert kind != plain
        assert kind_of(with_more(SHORT, 1, MORE[more]), known) == kind
    samples = samples_of(SHORT, 0)  # of both, so that what is known of them is looked up
    of_both = [descent_of(SHORT, 0, samples, average=average) for average in (0.0, 0.5)]
    assert kind_of(of_both[0], known) != kind_of(of_both[1], known)
    longer = with_more(SHORT, 0, MORE["cosine"])
    longer.settings = longer.settings._replace(schedule_steps=25)
    assert kind_of(longer, known) != kind_of(with_more(SHORT, 0, MORE["cosine"]), known)


# Which descents are of one kind.


@tiled_form
def test_kinds_differ_in_what_the_kernels_share_and_in_nothing_else(backend):
    known = KnownSamples()
    kind = kind_of(descent_of(SHORT, 0), known)
    assert kind is not None
    assert kind_of(descent_of(SHORT, 1, alpha=0.0, tol=1.0), known) == kind
    others = [
        SHORT._replace(network="soft targets"),
        SHORT._replace(dtype="float64"),
        SHORT._replace(update="plain"),
        SHORT._replace(batch_size=8),
        SHORT._replace(weights="none"),
        SHORT._replace(data="in columns"),
        SHORT._replace(schedule="adaptive"),
        SHORT._replace(shuffle="none"),
        SHORT._replace(shuffle="Mersenne Twister"),
    ]
    kinds = [kind, *(kind_of(descent_of(other, 0), known) for other in others)]
    assert None not in kinds
    for one, other in itertools.combinations(kinds, 2):
        assert one != other


@tiled_form
def test_a_kind_is_not_taken_for_that_of_other_layers_settings_or_states_on_the_same_rows(backend):
    samples = samples_of(SHORT, 0)

    def of(known, **other):
        return kind_of(descent_of(SHORT._replace(**other), 0, samples), known)

    known = KnownSamples()
    for other in ({}, {"network": "exp"}, {"update": "plain"}, {"shuffle": "Mersenne Twister"}):
        assert of(known, **other) == of(KnownSamples(), **other) is not None
        assert of(known) == of(KnownSamples())


def unaligned(array):
    """A copy that begins one byte after where it should."""
    memory = np.frombuffer(bytearray(array.nbytes + 1), np.uint8)[1:]
    found = memory.view(array.dtype).reshape(array.shape)
    found[:] = array
    assert not found.flags.aligned
    return found


@tiled_form
def test_what_the_kernels_cannot_address_or_what_does_not_pay_advances_alone(backend, monkeypatch):
    def of(settings=(), state=(), problem=(), samples=None):
        descent = descent_of(SHORT, 0, samples, **dict(settings))
        descent.state = descent.state._replace(**dict(state))
        descent.problem = descent.problem._replace(**dict(problem))
        return kind_of(descent, KnownSamples())

    samples, state = samples_of(SHORT, 0), descent_of(SHORT, 0).state
    assert of(samples=samples) is not None
    assert of(samples=samples._replace(weights=unaligned(samples.weights))) is None
    assert of(state={"theta": unaligned(state.theta)}) is None
    assert of(state={"theta": np.repeat(state.theta, 2)[::2]}) is None
    assert of(state={"order": state.order.astype(np.int64)}) is None
    assert of(settings={"block": 4}) is None
    assert of(problem={"backend": NUMPY}) is None
    counts = state.counts.copy()
    counts[POSITION] = 7
    assert of(state={"counts": counts}) is None
    monkeypatch.setattr(member_descent, "PAYS_BELOW", 0)
    assert of() is None


@tiled_form
def test_data_that_only_the_members_hold_stay_where_they_are(backend):
    """States, and copies that kernels need of X: nothing else keeps them alive."""
    case = SHORT._replace(dtype="float64")

    def begin(member):
        samples = samples_of(case, member)
        backwards = samples._replace(X=samples.X[:, ::-1])  # kernels take a copy
        return Course(descent_of(case, member, backwards))

    assert_is_as_alone(begin, 5)


@tiled_form
def test_data_of_descents_that_have_left_are_let_go(backend):
    known, descents, inputs = KnownSamples(), [], []
    for member in range(3):
        descents.append(descent_of(SHORT, member))
        inputs.append(weakref.ref(descents[-1].problem.samples.X))
    together = MemberDescents(kind_of(descents[0], known), descents[0].problem.layers, known)
    for descent in descents:
        together.join(descent)
    together.leave(descents[1])
    together.advance([Budget(0.0, 9)] * 2)
    del descent, descents
    gc.collect()
    assert [one() is None for one in inputs] == [False, True, False]


@tiled_form
def test_there_is_room_for_as_many_as_lanes_and_between_epochs_only(backend):
    known, case = KnownSamples(), SHORT._replace(dtype="float64", batch_size=1)
    first = descent_of(case, 0)
    descents = MemberDescents(kind_of(first, known), first.problem.layers, known)
    assert descents.capacity == n_lanes("float64")
    for member in range(descents.capacity):
        assert descents.has_room
        descents.join(descent_of(case, member))
    assert not descents.has_room
    outcomes = descents.advance([Budget(0.0, 9)] * descents.capacity)
    descents.leave(outcomes[0][0])
    assert outcomes[1][0].state.counts[STEPS] > 0
    assert not descents.has_room


# On the same processor, told to do without its longer vectors.

# Numba's name of a processor, and the bytes of its vectors.
PROCESSORS = {"generic": 16, "x86-64-v2": 16, "x86-64-v3": 32}


def all_of_this_processor():
    """Each descent and each kernel against the same alone; the bytes of a vector."""
    from tests.equations import test_member_steps, test_members

    member_descent.PAYS_BELOW = 10**9
    for case in chosen_cases():
        test_descents_side_by_side_are_those_alone(case, TILED.name)
    for dtype in cases.DTYPES:
        for update in UPDATES:
            test_descents_join_and_leave_at_any_epoch(update, dtype, TILED.name)
        for case in test_members.CASES[::5]:
            test_members.test_a_pass_has_the_bits_of_each_network_alone(case, 2, dtype, TILED.name)
        for case in test_members.WIDE:
            test_members.test_a_pass_of_wide_layers_has_the_bits_of_each_network_alone(case, dtype)
        for (n_out, n_in), vectors in itertools.product(test_members.SHAPES, test_members.VECTORS):
            for name, test in vars(test_members).items():
                if name.endswith("_have_the_bits_of_each_network_alone"):
                    test(n_out, n_in, vectors, dtype, TILED.name)
        for sizes in test_member_steps.SHAPES:
            test_member_steps.test_adam_has_the_bits_of_each_network_alone(sizes, dtype, TILED.name)
    return tiles.VECTOR_BYTES


@pytest.mark.proof
@pytest.mark.compiled
@pytest.mark.parametrize("name", PROCESSORS)
def test_lanes_of_shorter_vectors_have_the_bits_of_each_network_alone(name, tmp_path):
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("not a processor of this kind")
    env = {"NUMBA_CPU_NAME": name, "NUMBA_CACHE_DIR": tmp_path}
    assert result_of(all_of_this_processor, env=env) == PROCESSORS[name]
