"""`verify`: all checks, on a user's own model and data."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from engine.checks import notes
from engine.checks.agreement import check_backends
from engine.checks.differences import check_gradient
from engine.checks.outcomes import Verification
from engine.checks.problems import Problem, problem_of
from engine.checks.thread_bits import check_threads
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

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, or a Pipeline that ends in one
        Fitted or not. It is not changed, nor fitted; nor is NumPy's global generator.
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
    of them, are left out and counted, as are rows so near a kink that backends may rightly disagree
    there. Large networks are checked at some entries of each layer, drawn at random but always
    alike; fewer rows than several threads share are repeated.

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
        gradients = {at: check_gradient(problem, at) for at in problem.points}
        agreements = {at: check_backends(problem, at) for at in problem.points}
        threads = check_threads(problem)
    checks = [compared.check for compared in gradients.values()]
    checks += [check for agreement in agreements.values() for check in agreement.checks]
    told = [
        *notes.on_gradient(problem, gradients),
        *notes.on_backends(problem, agreements),
        *notes.on_threads(problem, threads),
    ]
    found = Verification(
        model=model_of(problem),
        checks=(*checks, *threads.checks),
        notes=tuple(told),
        seconds=time.perf_counter() - start,
    )
    if print_report:
        print(found)
    return found


def model_of(problem: Problem) -> str:
    """What is checked, in two words."""
    shape = "-".join(map(str, problem.network.sizes))
    return f"{type(problem.blank).__name__} {shape}"


@contextmanager
def numpy_generator_kept() -> Iterator[None]:
    """Put NumPy's global generator back, which a user's transformers may draw from."""
    before = np.random.get_state()  # noqa: NPY002  # it is this one that is to be kept
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
