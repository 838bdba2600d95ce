"""`verify`: all checks, on a user's own model and data."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from engine.checks.backends import BackendsCheck, check_backends
from engine.checks.gradient import GradientCheck, check_gradient
from engine.checks.own_loss import check_own_loss
from engine.checks.problem import CheckProblem, has_no_output_layer, problem_of
from engine.checks.report import Verification
from engine.checks.threads import BATCH, ThreadsCheck, check_threads
from engine.sums.blas import one_blas_thread


def verify(
    estimator: Any, X: Any, y: Any, *, sample_weight: Any = None, print_report: bool = True
) -> Verification:
    """Check on your own model and data that the engine computes rightly.

    Three things are checked, at the initial values that training would begin with and, for a
    fitted estimator, at its coefficients:

    - the gradient, entry by entry, against central differences of the loss in float64;
    - the backends "numpy", "loops" and "tiled" against each other: loss, gradient, and activations
      of the output, in the dtype of the estimator;
    - one thread against two, and against as many as the machine has: loss, gradient and the
      coefficients after three epochs of training, which must have the same bits.

    Of a `losses.Compiled`, the results of your function are checked as well: the derivative against
    differences of the cost, and h, if it returns one, which must be finite and not negative.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, TableClassifier, TableRegressor, or a Pipeline that \
ends in one
        Fitted or not. It is not changed, nor fitted; nor is NumPy's global generator. Of an
        estimator of tables, one of its networks is checked: the first one if it is fitted, else
        one that `fit` would train.
    X, y
        Data as `fit` takes them: best those that it took. Of many rows some thousands are taken.
    sample_weight : array-like of shape (n_samples,), optional
    print_report : bool
        Print what was found.

    Returns
    -------
    Verification
        `.ok` says whether all is well, `.checks` has the numbers, `str()` is the report.

    Raises
    ------
    TypeError
        For another kind of estimator.
    ValueError
        For data or parameters that `fit` would refuse.

    Notes
    -----
    What rounding may do is measured, not guessed: by what changes when each parameter is moved by a
    unit in its last place. A step of a difference is shortened until the slopes of two steps agree;
    entries for which none is short enough, since a sample crosses a kink of a relu unit within each
    of them, are left out and counted, as are rows so near a kink, of a relu unit or of the loss,
    that backends may rightly disagree there. Large networks are checked at some entries of each
    layer, drawn at random but always alike; fewer rows than several threads share are repeated.

    Examples
    --------
    >>> import engine
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = engine.MLPClassifier(hidden_layer_sizes=5, random_state=0)
    >>> found = engine.verify(classifier, X, y, print_report=False)
    >>> found.ok
    True
    >>> found
    <Verification of MLPClassifier 4-5-3: all 6 checks passed>
    >>> gradient = found.checks[0]
    >>> gradient.name, gradient.at, gradient.deviation < gradient.tolerance < 1e-7
    ('gradient', 'initial values', True)
    """
    start = time.perf_counter()
    with numpy_generator_kept(), one_blas_thread():
        problem = problem_of(estimator, X, y, sample_weight)
        own_loss = {at: check_own_loss(problem, at) for at in problem.points}
        gradients = {at: check_gradient(problem, at) for at in problem.points}
        agreements = {at: check_backends(problem, at) for at in problem.points}
        threads = check_threads(problem)
    checks = [check for of_loss in own_loss.values() for check in of_loss]
    checks += [compared.check for compared in gradients.values()]
    checks += [check for agreement in agreements.values() for check in agreement.checks]
    notes = [
        *on_gradient(problem, gradients),
        *on_backends(problem, agreements),
        *on_threads(problem, threads),
    ]
    found = Verification(
        model=model_of(problem),
        checks=(*checks, *threads.checks),
        notes=tuple(notes),
        seconds=time.perf_counter() - start,
        own_loss=problem.network.loss.name if any(own_loss.values()) else "",
    )
    if print_report:
        print(found)
    return found


def model_of(problem: CheckProblem) -> str:
    """The type and the layers of the model."""
    shape = "-".join(map(str, problem.network.sizes))
    return f"{problem.kind} {shape}"


@contextmanager
def numpy_generator_kept() -> Iterator[None]:
    """Restore NumPy's global generator, which a user's transformers may draw from."""
    before = np.random.get_state()  # noqa: NPY002  # it is this one that is to be kept
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def on_gradient(problem: CheckProblem, found: dict[str, GradientCheck]) -> list[str]:
    """How many entries were checked, on which rows, and which entries had no slope."""
    first = next(iter(found.values()))
    looked_at, total = sum(count for count, _ in first.layers), problem.network.n_parameters
    if looked_at == total:
        entries = f"all {total} entries"
    else:
        of_layer = [f"{count} of {size}" for count, size in first.layers]
        if problem.network.embeddings is not None:
            of_layer[-1] += " of embeddings"
        entries = (
            f"{looked_at} of {total} entries, drawn at random but always alike (by layer: "
            f"{', '.join(of_layer)})"
        )
    notes = [
        f"Gradient: {entries}, by central differences in float64 of the loss on "
        f"{rows(first.n_rows, problem)}."
    ]
    if has_no_output_layer(problem.network):
        notes.append(
            "Initial values: a fit starts with output weights of 0, through which no gradient "
            "passes; here they are drawn at random."
        )
    for at, compared in found.items():
        if compared.on_ties:
            n = compared.on_ties
            notes.append(
                f"Gradient, {at}: {n} row{'s' * (n != 1)} left out, whose prediction is so near "
                "the target that a step crosses the kink of the loss."
            )
        if compared.rough:
            why = (
                "each step there crosses a kink of a relu unit"
                if "relu" in problem.network.hidden
                else "no step there is short enough"
            )
            n = compared.rough
            notes.append(f"Gradient, {at}: {n} {'entry' if n == 1 else 'entries'} left out: {why}.")
        if compared.blind:
            notes.append(
                f"Gradient, {at}: in {', '.join(compared.blind)} it is so small that differences "
                "cannot tell it from 0."
            )
    return notes


def on_backends(problem: CheckProblem, found: dict[str, BackendsCheck]) -> list[str]:
    """How many rows were checked, in which dtype, and how many were left out."""
    first = next(iter(found.values()))
    notes = [
        f"Implementations: matrix algebra (numpy), plain loops (loops), blocked loops (tiled), in "
        f"{problem.dtype}, on {rows(first.n_rows, problem)}."
    ]
    for at, agreement in found.items():
        n = agreement.on_kinks
        if n:
            notes.append(
                f"Implementations, {at}: {n} row{'s' * (n != 1)} left out, so near a kink of "
                f"{kinks_of(problem)} that rounding decides on which side."
            )
    return notes


def kinks_of(problem: CheckProblem) -> str:
    """Where the network or its loss has a kink."""
    of_loss = ["the loss"] * problem.network.loss.row.has_kink
    return " or ".join(["a relu unit"] * ("relu" in problem.network.hidden) + of_loss)


def on_threads(problem: CheckProblem, found: ThreadsCheck) -> list[str]:
    """What the threads shared."""
    many = " and ".join(map(str, found.others))
    shared = rows(found.n_different, problem)
    if found.n_rows > found.n_different:
        shared += f", repeated to {found.n_rows} since so few are one thread's work"
    stochastic = problem.blank.solver in ("sgd", "adam")
    n = found.n_epochs
    run = f"{n} epoch{'s' * (n != 1)} in batches of {min(BATCH, found.n_rows)}"
    if not stochastic:
        run = f"{n} iteration{'s' * (n != 1)}"
    return [f"Threads: 1 against {many}, on {shared}; training is {run}."]


def rows(n: int, problem: CheckProblem) -> str:
    """So many of the user's rows."""
    total = problem.rows.n_rows
    return f"all {total} rows" if n == total else f"{n} of {total} rows, evenly spread"
