"""train(): weight decay, average, clipping, cosine and smoothed labels, in a whole run."""

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest

from engine import DivergedError, Network, losses, train

NETWORK = Network((3, 4, 3), output="softmax")
RNG = np.random.default_rng(5)
X = RNG.normal(size=(3, 90))
CODES = RNG.integers(0, 3, 90)
STEPS: dict[str, Any] = {"average": 0.75, "clip_norm": 0.0625}
ADAMW: dict[str, Any] = {**STEPS, "weight_decay": 0.5, "schedule": "cosine"}
EACH_SOLVER = pytest.mark.parametrize(
    ("solver", "given"),
    [
        ("adam", {"batch_size": 32, "learning_rate": 0.02, **ADAMW}),
        ("adam", {"learning_rate": 0.02, **ADAMW}),
        ("sgd", {"batch_size": 32, "learning_rate": 0.1, "schedule": "cosine", **STEPS}),
        ("gd", {"learning_rate": 0.5, **STEPS}),
    ],
    ids=["adam", "adam, all samples", "sgd", "gd"],
)


def run(solver="adam", network=NETWORK, targets=CODES, **given):
    return train(network, X, targets, **{"solver": solver, "max_iter": 8, **given})


# What is averaged


def test_steps_of_all_samples_are_those_of_the_equations(backend):
    """U1 U9 U10, by the gradient of the network alone."""
    theta = mean = NETWORK.initial_parameters(0)
    norms = []
    for t in range(1, 6):
        _, dtheta = NETWORK.cost_and_gradient(theta, X, CODES, alpha=0.5, backend=backend)
        norms.append(float(np.linalg.norm(dtheta)))
        theta = theta - 0.5 * dtheta * min(1, 0.0625 / norms[-1])
        mean = theta if t == 1 else 0.75 * mean + 0.25 * theta
    found = run("gd", learning_rate=0.5, alpha=0.5, max_iter=5, backend=backend, **STEPS)
    np.testing.assert_allclose(found.theta, mean, rtol=1e-12)
    np.testing.assert_allclose(found.history["gradient_norm"], norms, rtol=1e-12)
    assert min(norms) > 0.0625
    assert found.cost == pytest.approx(
        NETWORK.cost_and_gradient(mean, X, CODES, alpha=0.5)[0], rel=1e-12
    )


@EACH_SOLVER
def test_all_that_is_told_is_of_the_average(solver, given):
    """The callback, the validation cost, the parameters and the cost that come back."""
    validation = {"X_val": X[:, :30], "Y_val": CODES[:30]}
    objective = NETWORK.objective(X[:, :30], CODES[:30])
    told_of = []
    result = run(
        solver,
        callback=lambda told: told_of.append((told.validation_cost, told.theta.copy())),
        **given,
        **validation,
    )
    last = run(solver, **{**given, "average": None})
    assert told_of[-1][1].tobytes() == result.theta.tobytes() != last.theta.tobytes()
    places = [theta for _, theta in told_of]
    if solver == "gd":  # whose costs are those before the step
        places = [NETWORK.initial_parameters(0), *places[:-1]]
    costs = [objective.cost(theta) for theta in places]
    assert [cost for cost, _ in told_of] == costs == result.history["validation_cost"].tolist()
    assert result.cost == pytest.approx(NETWORK.objective(X, CODES).cost(result.theta), rel=1e-14)


@EACH_SOLVER
def test_with_tol_the_best_average_comes_back(solver, given):
    given = {**given, "X_val": X[:, :30], "Y_val": (CODES[:30] + 1) % 3, "tol": 1e-9}
    told_of = [NETWORK.initial_parameters(0)] if solver == "gd" else []
    given |= {"n_iter_no_change": 99, "callback": lambda told: told_of.append(told.theta.copy())}
    result = run(solver, **given)
    objective = NETWORK.objective(X[:, :30], (CODES[:30] + 1) % 3)
    costs = [objective.cost(theta) for theta in told_of]
    assert result.theta.tobytes() == told_of[int(np.argmin(costs))].tobytes()


@EACH_SOLVER
def test_so_many_iterations_and_then_one_more_differ_by_a_step_of_the_parameters(solver, given):
    """Without the average, the costs of the run are the same: training goes on from theta."""
    averaged, plain = run(solver, **given), run(solver, **{**given, "average": None})
    np.testing.assert_array_equal(averaged.history["cost"], plain.history["cost"])
    np.testing.assert_array_equal(averaged.history["gradient_norm"], plain.history["gradient_norm"])


@EACH_SOLVER
def test_interrupting_returns_the_average_with_its_own_cost(solver, given):
    told_of = []

    def stop(told):
        told_of.append(told.theta.copy())
        if told.epoch == 5:
            raise KeyboardInterrupt

    result = run(solver, callback=stop, **given)
    assert result.stopped == "interrupted"
    assert result.theta.tobytes() == told_of[-1].tobytes()
    assert result.cost == pytest.approx(NETWORK.objective(X, CODES).cost(result.theta), rel=1e-14)


def test_a_run_that_diverges_has_the_last_finite_average(backend):
    line, x = Network((1, 1), output="identity"), np.ones((1, 4))
    given = {"solver": "sgd", "momentum": 0.0, "learning_rate": 1e4, "batch_size": 2}
    with pytest.raises(DivergedError) as caught:
        train(line, x, np.zeros(4), average=0.5, max_iter=500, backend=backend, **given)
    short = {**given, "max_iter": 500, "backend": backend}
    with pytest.raises(DivergedError) as plain:
        train(line, x, np.zeros(4), **short)
    assert (caught.value.step, caught.value.epoch) == (plain.value.step, plain.value.epoch)
    assert np.isfinite(caught.value.theta).all()
    assert np.abs(caught.value.theta).max() < np.abs(plain.value.theta).max()


# The same bits


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "gd", "lbfgs", "lm"])
def test_bits_do_not_depend_on_the_number_of_threads(solver, dtype):
    m = 3000
    random = np.random.default_rng(1)
    columns = random.normal(size=(3, m)).astype(dtype)
    given: dict[str, Any] = {"label_smoothing": 0.125, "max_iter": 3, "solver": solver}
    if solver in ("adam", "sgd", "gd"):
        given |= STEPS
    if solver in ("adam", "sgd"):
        given |= {"schedule": "cosine", "batch_size": 2500}
    if solver == "adam":
        given["weight_decay"] = 0.5
    results = [train(NETWORK, columns, np.arange(m) % 3, n_threads=n, **given) for n in (1, 2)]
    assert [result.plan.n_threads for result in results] == [1, 2]
    assert results[0].fingerprint == results[1].fingerprint
    assert results[0].history["cost"].tobytes() == results[1].history["cost"].tobytes()


@pytest.mark.parametrize("name", ["weight_decay", "average", "clip_norm", "label_smoothing"])
def test_settings_that_are_not_used_change_no_bit(name, backend):
    unused: dict[str, Any] = {"weight_decay": 0, "average": None, "label_smoothing": 0.0}
    unused["clip_norm"] = 1e9
    for given in ({"batch_size": 16}, {"solver": "gd"}):
        plain = run(backend=backend, **given)
        assert run(backend=backend, **given, **{name: unused[name]}).fingerprint == (
            plain.fingerprint
        )


# Smoothed labels


@pytest.mark.parametrize(
    "given",
    [
        {"solver": "adam", "batch_size": 20},
        {"solver": "sgd", "learning_rate": 0.1},
        {"solver": "gd", "learning_rate": 0.5},
        {"solver": "lbfgs", "alpha": 0.1},
        {"solver": "lm", "alpha": 0.1},
    ],
    ids=lambda given: given["solver"],
)
@pytest.mark.parametrize("output", ["softmax", "soft targets", "sigmoid"])
def test_a_run_with_smoothed_labels_is_that_on_smoothed_targets(output, given, backend):
    e, K = 0.25, 2 if output == "sigmoid" else 3
    network = Network((3, 2, 3), output="sigmoid" if output == "sigmoid" else "softmax")
    Y = np.eye(3)[:, CODES]
    targets = CODES if output == "softmax" else Y
    weights = np.random.default_rng(0).uniform(0, 2, 90)
    shared = {"max_iter": 4, "sample_weight": weights, "backend": backend, **given}
    shared |= {"X_val": X[:, :9], "Y_val": targets[..., :9]}
    found = train(network, X, targets, label_smoothing=e, **shared)
    expected = train(network, X, (1 - e) * Y + e / K, **shared)
    np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(found.history["cost"], expected.history["cost"], rtol=1e-9)
    assert found.cost == pytest.approx(expected.cost, rel=1e-9)
    # Validation is on the labels as they are.
    plain = network.objective(X[:, :9], targets[..., :9])
    if given["solver"] in ("adam", "sgd"):
        assert found.history["validation_cost"][-1] == pytest.approx(
            plain.cost(found.theta), rel=1e-12
        )


@pytest.mark.parametrize("smoothed_first", [False, True])
@pytest.mark.parametrize("solver", ["gd", "lbfgs", "lm"])
def test_the_memory_of_the_last_run_is_not_that_of_other_labels(solver, smoothed_first):
    """A network keeps it for the next run, with the layers that it was made for."""
    network = Network((3, 4, 3), output="softmax")
    for e in (0.5, 0.0, 0.5) if smoothed_first else (0.0, 0.5, 0.0):
        found = run(solver, network, label_smoothing=e)
        other = Network((3, 4, 3), output="softmax")
        assert found.fingerprint == run(solver, other, label_smoothing=e).fingerprint
        cost = network.cost_and_gradient(found.theta, X, CODES)[0]
        assert cost == NETWORK.cost_and_gradient(found.theta, X, CODES)[0]


# Refused


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weight_decay": -1}, "weight_decay must be finite and at least 0; got -1."),
        ({"average": 0}, "average must be above 0 and below 1; got 0."),
        ({"average": 1.0}, "average must be above 0 and below 1; got 1."),
        ({"clip_norm": 0.0}, "clip_norm must be finite and above 0; got 0."),
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1; got 1."),
        (
            {"solver": "sgd", "weight_decay": 0.1},
            "weight_decay=0.1 needs solver='adam'; got solver='sgd'. Pass weight_decay=0, or alpha "
            "for a penalty in the gradient.",
        ),
        (
            {"solver": "lbfgs", "average": 0.9},
            "average=0.9 needs solver='adam', 'sgd' or 'gd'; got solver='lbfgs', which chooses the "
            "length of its steps itself. Pass average=None.",
        ),
        (
            {"solver": "lm", "clip_norm": 1.0},
            "clip_norm=1.0 needs solver='adam', 'sgd' or 'gd'; got solver='lm', which chooses the "
            "length of its steps itself. Pass clip_norm=None.",
        ),
        (
            {"network": Network((3, 1), output="identity"), "label_smoothing": 0.1},
            "label_smoothing=0.1 needs loss 'cross_entropy', whose targets are labels; got "
            "'squared_error'. Pass label_smoothing=0.",
        ),
        (
            {"solver": "lm", "alpha": "evidence", "label_smoothing": 0.1},
            "alpha='evidence' takes the labels as they are: pass label_smoothing=0, or a number as "
            "alpha.",
        ),
    ],
    ids=lambda one: ",".join(one) if isinstance(one, dict) else "",
)
def test_settings_out_of_range_are_refused(given, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run(**given)


@pytest.mark.parametrize("solver", ["gd", "lbfgs", "lm"])
def test_a_cosine_is_for_adam_and_sgd(solver):
    message = f"schedule='cosine' is not available for solver='{solver}'; pass schedule="
    with pytest.raises(NotImplementedError, match=re.escape(message)):
        run(solver, schedule="cosine")


def test_a_loss_of_the_users_own_is_not_smoothed():
    own = losses.Compiled(lambda z, y: (z * z - 2 * y * z, 2 * (z - y)), output="sigmoid")
    network = Network((3, 1), output="sigmoid", loss=own)
    with pytest.raises(ValueError, match=r"label_smoothing=0\.1 needs loss 'cross_entropy'"):
        train(network, X, CODES > 0, label_smoothing=0.1)


# PyTorch


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("solver", ["adam", "plain", "momentum", "nesterov"])
def test_runs_are_those_of_pytorch(solver, output, backend):
    """In float64, with its own AdamW, SGD, clip_grad_norm_, AveragedModel, CosineAnnealingLR and
    label smoothing. Its epsilon is inside the bias correction, and here it is 0 but for rounding;
    its clipping adds 1e-6 to the norm, which c makes up for at each step. Its velocity is not
    multiplied by the rate before the step is taken: so the rate stays as it is with momentum.
    """
    torch = pytest.importorskip("torch")
    n_epochs, size, m, e, d, c = 6, 30, 90, 0.2, 0.8, 0.125
    sigmoid = output == "sigmoid"
    network = Network((3, 4, 3), output=output)
    labels = np.eye(3)[:, CODES]
    Y = np.maximum(labels, labels[::-1] * (X[0] > 0)) if sigmoid else CODES
    start = network.initial_parameters(2)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))
    model = model.double()
    layers = model[0], model[2]
    with torch.no_grad():
        for layer, (W, b) in zip(layers, network.views(start), strict=True):
            layer.weight.copy_(torch.tensor(W))
            layer.bias.copy_(torch.tensor(b))
    decays = [{"params": [layer.weight for layer in layers], "weight_decay": 0.5}]
    stays = [{"params": [layer.bias for layer in layers], "weight_decay": 0.0}]
    if solver == "adam":
        steps = torch.optim.AdamW(decays + stays, lr=0.05, eps=1e-14)
    else:
        momentum, nesterov = 0.75 * (solver != "plain"), solver == "nesterov"
        steps = torch.optim.SGD(model.parameters(), lr=0.2, momentum=momentum, nesterov=nesterov)
    if solver in ("adam", "plain"):
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(steps, n_epochs * 3)
    else:
        schedule = torch.optim.lr_scheduler.ConstantLR(steps, 1.0)
    mean = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(d)
    )
    inputs = torch.tensor(X.T)
    targets = torch.tensor(Y.T if sigmoid else Y)
    cross_entropy = torch.nn.CrossEntropyLoss(label_smoothing=e)
    for _, first in itertools.product(range(n_epochs), range(0, m, size)):
        z, y = model(inputs[first : first + size]), targets[first : first + size]
        steps.zero_grad()
        if sigmoid:
            smoothed = y * (1 - e) + e / 2
            cost = torch.nn.functional.binary_cross_entropy_with_logits(
                z, smoothed, reduction="sum"
            )
            cost = cost / size
        else:
            cost = cross_entropy(z, y)
        cost.backward()
        norm = math.sqrt(sum(float((p.grad**2).sum()) for p in model.parameters()))
        torch.nn.utils.clip_grad_norm_(model.parameters(), c * (norm + 1e-6) / norm)
        steps.step()
        schedule.step()
        mean.update_parameters(model)
    given: dict[str, Any] = {"clip_norm": c, "average": d}
    given["schedule"] = "cosine" if solver in ("adam", "plain") else "constant"
    given |= {"label_smoothing": e, "max_iter": n_epochs, "batch_size": size, "shuffle": False}
    if solver == "adam":
        given |= {"learning_rate": 0.05, "weight_decay": 0.5, "epsilon": 1e-14}
    else:
        given |= {"learning_rate": 0.2, "momentum": momentum, "nesterov": nesterov}
    result = train(
        network,
        X,
        Y,
        theta=start,
        solver="adam" if solver == "adam" else "sgd",
        backend=backend,
        **given,
    )
    found = [part for W, b in network.views(result.theta) for part in (W, b)]
    of_torch = [part for layer in (mean.module[0], mean.module[2]) for part in layer.parameters()]
    for ours, theirs in zip(found, of_torch, strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-9, atol=1e-10)
