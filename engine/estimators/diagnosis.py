"""What went wrong in a fit, in plain words: unscaled inputs, idle units, a rate too high.

Where the thresholds come from: docs/decisions/0016-diagnosis.md.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.embeddings import Levels
from engine.equations.activations import activate_numpy
from engine.equations.embeddings import embed_numpy
from engine.equations.layout import views_of
from engine.equations.losses import COMPILED, CROSS_ENTROPY
from engine.equations.units import UNITS
from engine.estimators.findings import Finding
from engine.network import Network
from engine.solvers.solver import SOLVERS

# A feature is large if its root mean square is above this: standardised, it is 1.
LARGE_FEATURE = 30
# Units are saturated if |z| is beyond these, where tanh and sigmoid are within 1 % of a limit, for
# so many of the samples.
NEARLY_ALL = 0.95
SATURATED = "saturated: within 1 % of a limit for nearly all samples"
# A layer is reported if this share of its units is idle: half of them costs next to nothing.
MANY_UNITS = 0.9
# Over fewer samples, units are idle by chance.
FEWEST_SAMPLES = 20
# So many are looked at first.
FIRST_SAMPLES = 200

Parameters = NDArray[np.floating]
Samples = NDArray[np.floating]


class TrainingWarning(UserWarning):
    """A fit has ended, but something kept it from training well; the message says what to do.

    Its `finding` holds the fact and the remedy of the message.
    """


def findings(
    network: Network,
    theta: Parameters,
    X: Samples,
    *,
    loss_curve: Sequence[float],
    solver: str,
    learning_rate: float | None,
    names: Sequence[str] | None = None,
    unscaled: list[str] | None = None,
) -> list[Finding]:
    """Findings of what kept a fit from training well; empty for a healthy fit.

    Parameters
    ----------
    network : Network
    theta : ndarray (n_parameters,)
        Parameters after training.
    X : ndarray (n_0, m)
        Some of the training samples, evenly spread, one per column; of the dtype of theta. A
        thousand are plenty.
    loss_curve : sequence of float
        The loss of each epoch of this one fit; NaN or infinite at its end if the fit diverged.
    solver : "sgd", "adam", "gd" or "lbfgs"
        The curve of "lbfgs" is not checked: its line search chooses the length of the steps.
    learning_rate : float or None
        None where the solver has none.
    names : sequence of str, optional
        Of the features.
    unscaled : list of str, optional
        What `unscaled_inputs` says of X, if it was asked before.

    Returns
    -------
    list of Finding

    Notes
    -----
    A forward pass over X and a few sums. A fit that is merely unfinished is no finding.

    Examples
    --------
    >>> import numpy as np
    >>> from engine import Network
    >>> from engine.estimators.diagnosis import findings
    >>> from engine.estimators.findings import in_python
    >>> X = np.array([[1500.0, 1700.0, 1600.0], [0.5, 0.7, 0.6]])
    >>> network = Network((2, 1))
    >>> theta = network.initial_parameters()
    >>> curve = [0.9, 0.8]
    >>> said = {"solver": "adam", "learning_rate": 0.001, "names": ["area", "depth"]}
    >>> for finding in findings(network, theta, X, loss_curve=curve, **said):
    ...     print(in_python(finding))
    The inputs are not scaled: 1 of 2 features has values far from 0, the largest ('area') a mean
    of 1.6e+03 and a standard deviation of 81.6. Large inputs drown the others, and saturate or
    switch off hidden units. Standardise them: make_pipeline(StandardScaler(), MLPClassifier(...));
    MaxAbsScaler() leaves sparse X sparse.
    """
    of_classes = network.loss.row.code == CROSS_ENTROPY
    estimator = "MLPClassifier" if of_classes else "MLPRegressor"
    rate = learning_rate if SOLVERS[solver].by_steps else None
    values = {"estimator": estimator, "rate": rate, "lower": None if rate is None else rate / 10}
    with np.errstate(all="ignore"):
        numbers = numbers_alone(network, X)
        facts = unscaled_inputs(numbers, names) if unscaled is None else unscaled
        of_inputs = [Finding(fact, "scale the inputs", values) for fact in facts]
        if of_inputs:
            remedy = "scale the inputs first"
        else:
            remedy = "penalise large weights" if rate is None else "lower the rate"
        idle = [Finding(fact, remedy, values) for fact in _idle_units(network, theta, X)]
    fast = [] if rate is None else too_high(network, loss_curve, rate)
    return of_inputs + idle + fast


def numbers_alone(network: Network, X: Samples) -> Samples:
    """X with 0 in place of the codes of levels and of missing numbers, which have no scale."""
    if network.embeddings is None:
        return X
    codes = [isinstance(entry, Levels) for entry in network.embeddings]
    return np.where(np.isnan(X) | np.array(codes)[:, np.newaxis], 0, X)


def unscaled_inputs(X: Samples, names: Sequence[str] | None) -> list[str]:
    """A sentence if the root mean square of some features is far above 1."""
    mean_squares = np.einsum("ki,ki->k", X, X) / X.shape[1]
    worst = int(mean_squares.argmax())
    if not mean_squares[worst] > LARGE_FEATURE**2:
        return []
    number = np.count_nonzero(mean_squares > LARGE_FEATURE**2)
    values = X[worst].astype(np.float64)
    worst_name = f"column {worst} of X" if names is None else repr(str(names[worst]))
    return [
        f"The inputs are not scaled: {number} of {_counted(len(X), 'feature')} "
        f"{'has' if number == 1 else 'have'} values far from 0, the largest ({worst_name}) a mean "
        f"of {values.mean():.3g} and a standard deviation of {values.std():.3g}. Large inputs "
        f"drown the others, and saturate or switch off hidden units."
    ]


def _idle_units(network: Network, theta: Parameters, X: Samples) -> list[str]:
    """A sentence for each hidden layer in which nearly all units have practically no gradient."""
    n_samples = X.shape[1]
    if n_samples < FEWEST_SAMPLES or not network.hidden:
        return []
    few = X[:, :FIRST_SAMPLES]  # mostly, they show that no layer can have so many idle units
    if not any(_idle_layers(network, theta, few, n_samples)):
        return []
    found = []
    of_layers = zip(_idle_layers(network, theta, X, n_samples), network.hidden, strict=True)
    for l, (number, unit) in enumerate(of_layers, 1):
        if number:
            state = "dead: 0 for every sample" if unit == "relu" else SATURATED
            found.append(
                f"{number} of {_counted(network.sizes[l], 'unit')} of hidden layer {l} ({unit}) "
                f"{'is' if number == 1 else 'are'} {state}. "
                f"Their gradient is practically 0, so that they no longer learn."
            )
    return found


def _idle_layers(network: Network, theta: Parameters, A: Samples, n_samples: int) -> Iterator[int]:
    """The idle units of each hidden layer, 0 unless they are nearly all.

    Of fewer samples than `n_samples`: the most units that can be idle.
    """
    n_hidden, views = len(network.hidden), views_of(theta, network.dense_sizes)
    embeddings = network.layers.embeddings
    if embeddings is not None:
        E = np.empty((network.dense_sizes[0], A.shape[1]), A.dtype)
        embed_numpy(theta, embeddings, A, E)  # type: ignore[no-untyped-call]
        A = E
    for l, ((W, b), unit) in enumerate(zip(views, network.hidden, strict=False), 1):
        Z = W @ A
        Z += b[:, np.newaxis]
        limit = UNITS[unit].saturation
        number = _dead(Z) if unit == "relu" else _saturated(Z, limit, n_samples)
        yield number if number >= MANY_UNITS * len(Z) else 0
        if l < n_hidden:  # of the last hidden layer, only Z is needed
            activate_numpy(UNITS[unit].code, Z, Z)  # type: ignore[no-untyped-call]
            A = Z


def _saturated(Z: Samples, limit: float, n_samples: int) -> int:
    """Units whose |z| is beyond the limit for nearly all samples, Z and as many more as there are.

    All samples that are not in Z are taken to be beyond.
    """
    least = NEARLY_ALL * n_samples - (n_samples - Z.shape[1])
    beyond = np.abs(Z) > limit
    if np.count_nonzero(beyond) < MANY_UNITS * least * len(Z):
        return 0  # or few: the count by unit takes ten times as long, and is for fits in doubt
    return int(np.count_nonzero(np.count_nonzero(beyond, axis=1) >= least))


def _dead(Z: Samples) -> int:
    """Units whose z is not above 0 for any sample."""
    return int(np.count_nonzero(Z.max(axis=1) <= 0))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


# The learning rate is too high in each of these four cases.
# The loss rises to more than this multiple of that of the first epoch.
RISE = 2.0
# It ends at more than this multiple of its lowest, by medians of windows of so many epochs.
FALLBACK, WINDOW = 2.0, 5
# It ends above this multiple of that of a classifier that knows nothing, and does not come down.
UNINFORMED = 1.5
# It rises by more than this share in so many of the last so many epochs.
JUMP, JUMPS, LAST_STEPS = 0.4, 3, 10
# Differences below this share of the first loss do not count.
SMALL = 0.05


def too_high(network: Network, curve: Sequence[float], rate: float) -> list[Finding]:
    """A finding if the loss rose, jumps, or stopped being finite; else none.

    Examples
    --------
    >>> from engine import Network
    >>> from engine.estimators.diagnosis import too_high
    >>> from engine.estimators.findings import in_python
    >>> network = Network((4, 10, 3), output="softmax")
    >>> too_high(network, [1.1, 0.9, 0.7, 0.6, 0.5], 0.01)
    []
    >>> print(in_python(too_high(network, [1.1, 14.0, 9.5, 5.4, 5.0, 3.4], 10.0)[0]))
    The learning rate is too high: the loss rose from 1.1 in the first epoch to 14 later. Steps
    that are too long leap over the minimum. Try learning_rate_init=1 in place of 10.
    """
    seen = _seen(network, curve)
    if seen is None:
        return []
    return [
        Finding(
            f"The learning rate is too high: {seen}. Steps that are too long leap over the "
            "minimum.",
            "try a lower rate",
            {"rate": rate, "lower": rate / 10},
        )
    ]


def _seen(network: Network, curve: Sequence[float]) -> str | None:
    """What the curve shows of a rate that is too high, in words; None if nothing."""
    if not all(map(math.isfinite, curve)):
        epoch, loss = next((t, J) for t, J in enumerate(curve, 1) if not math.isfinite(J))
        return f"the loss is {loss:g} in epoch {epoch}"
    if len(curve) < WINDOW or network.loss.row.code == COMPILED:
        return None  # what a user's own loss is at best is not known: it may be below 0
    first = curve[0]
    if sorted(curve)[-2] > RISE * first:  # one epoch alone may be chance
        return f"the loss rose from {first:.3g} in the first epoch to {max(curve):.3g} later"
    lowest, end = _lowest_and_last(curve)
    if end > FALLBACK * lowest + SMALL * first:
        return f"the loss had come down to {lowest:.3g}, but ended at {end:.3g}"
    steps = list(pairwise(curve[-LAST_STEPS - 1 :]))
    uninformed = _uninformed(network)
    if end > UNINFORMED * uninformed and sum(before < J for before, J in steps[-WINDOW:]) > 1:
        return (
            f"the loss ended at {end:.3g}, above the {uninformed:.3g} of a network that gives all "
            "classes the same probability"
        )
    jumps = sum(J - before > JUMP * max(before, SMALL * first) for before, J in steps)
    if jumps >= JUMPS:
        return (
            f"the loss still jumps, {jumps} times by more than {JUMP:.0%} in the last "
            f"{LAST_STEPS} epochs"
        )
    return None


def _lowest_and_last(curve: Sequence[float]) -> tuple[float, float]:
    """The lowest and the last of the medians of windows, so that no single epoch decides."""
    starts = range(len(curve) % WINDOW, len(curve), WINDOW)
    medians = [sorted(curve[start : start + WINDOW])[WINDOW // 2] for start in starts]
    return min(medians), medians[-1]


def _uninformed(network: Network) -> float:
    """The loss of a classifier that gives all classes the same probability; else infinity."""
    if network.loss.row.code != CROSS_ENTROPY:
        return math.inf
    if network.output == "softmax":
        return math.log(network.sizes[-1])
    return network.sizes[-1] * math.log(2)
