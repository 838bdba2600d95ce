"""train(): from data to trained parameters."""

import math
import os
import warnings
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.boundary import arrays, settings, update_settings
from engine.equations.backends import NUMPY
from engine.network import Network
from engine.solvers.batches import samples_of_a_block
from engine.solvers.descent import threads_of_run
from engine.solvers.learning_rate import SCHEDULES, steps_of_epochs
from engine.solvers.solver import SOLVERS, Arrays, Minimisation, Problem, Solver
from engine.solvers.state import ADAM, ALPHA, COSINE, DAMPED, Settings, State, new_state
from engine.sums.blas import one_blas_thread
from engine.sums.objective import Objective
from engine.sums.samples import Samples
from engine.training.checkpoint import Checkpoint, Keeper, checkpoint_of, is_over, kept
from engine.training.checkpoint_restoration import expected_of_result
from engine.training.identity import Identity, identity_of_training
from engine.training.plan import plan_of
from engine.training.result import DivergedError, TrainResult, fingerprint
from engine.training.run import Run, begin
from engine.training.watch import Callback, TrainingWatch


def train(
    net: Network,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    solver: str = "adam",
    learning_rate: float = 1e-3,
    batch_size: int | None = None,
    max_iter: int = 200,
    tol: float = 0.0,
    n_iter_no_change: int = 10,
    alpha: float | str = 0.0,
    sample_weight: ArrayLike | None = None,
    X_val: ArrayLike | None = None,
    Y_val: ArrayLike | None = None,
    theta: ArrayLike | None = None,
    schedule: str = "constant",
    power_t: float = 0.5,
    momentum: float = 0.9,
    nesterov: bool = True,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    average: float | None = None,
    clip_norm: float | None = None,
    label_smoothing: float = 0.0,
    shuffle: bool | str = True,
    seed: int = 0,
    backend: str | None = None,
    n_threads: int | None = None,
    callback: Callback | None = None,
    max_time: float | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
) -> TrainResult:
    """Train a network: minimise J over its parameters.

    Parameters
    ----------
    net : Network
    X : array_like (n_0, m)
        Inputs, one sample per column, any memory order (``rows.T`` is fine). float32 is trained in
        float32, all else in float64. Not copied: the data must not change while training lasts.
    Y : array_like (n_L, m), or (m,)
        Targets, as in `Network.cost_and_gradient`.
    solver : "adam", "sgd", "lm", "lbfgs" or "gd"
        Adam (equations U4, U5) or stochastic gradient descent (U1 to U3); or, on all samples at
        once, Levenberg-Marquardt (N1 to N5; for costs other than squared error a generalised
        Gauss-Newton method), SciPy's L-BFGS, or gradient descent (U1). "lm" is the fastest on
        networks of up to a few hundred parameters; it trains in float64, also on float32 data. Use
        smooth hidden units with it, such as tanh: at the kinks of relu it can stop early.
    learning_rate : float
        eta, above 0. Not used by "lm" and "lbfgs", which find the length of each step.
    batch_size : int, optional
        Samples of a step, at least 1. None, or a number above m, takes all samples. Not used by
        "gd", "lm" and "lbfgs". The last batch of an epoch may be shorter.
    max_iter : int
        Epochs for "adam" and "sgd", steps for "gd", "lm" and "lbfgs"; at least 1.
    tol : float
        Stop when the cost has not improved on the lowest so far by `tol` for `n_iter_no_change`
        iterations in a row. 0 never stops early.
    n_iter_no_change : int
        At least 1.
    alpha : float or "evidence"
        Strength of the L2 penalty on the weights, at least 0. "evidence", with "lm" alone, takes
        the alpha for which the targets are most probable (Bayesian regularisation, N6); the result
        then has `alpha`, `effective_parameters` and `log_evidence`, which is NaN for losses that
        are no likelihood, and means nothing if `max_iter` ended the run far from a minimum.
    sample_weight : array_like (m,), optional
    X_val, Y_val : array_like, optional
        Validation data, shaped as X and Y. Their mean cost, without penalty, goes into the
        history. With `tol` above 0, this cost must improve, and the result holds the parameters
        for which it was lowest.
    theta : array_like (n_parameters,), optional
        Parameters to start from, of the dtype that X is trained in; they are copied. None draws
        them from `seed`.
    schedule : "constant", "invscaling", "adaptive" or "cosine"
        The learning rate of "adam" and "sgd": constant; divided by (samples seen + 1)^power_t after
        each epoch (U6); divided by 5 whenever `n_iter_no_change` epochs in a row have not improved
        by `tol`, down to a millionth (U7); or falling with each step to 0 after `max_iter` epochs,
        as half a wave of a cosine (U11).
    power_t : float
        At least 0, for "invscaling".
    momentum : float
        Share of the velocity that "sgd" keeps in each step, at least 0 and below 1; 0 is plain
        gradient descent.
    nesterov : bool
        Whether that momentum is Nesterov's.
    beta_1, beta_2 : float
        Shares of its first and second moment that Adam keeps in each step, at least 0 and below 1.
    epsilon : float
        Above 0; outside Adam's bias correction.
    weight_decay : float
        lambda, at least 0: each step of "adam" also takes the share eta lambda off the weights, not
        off the biases (AdamW, U8). `alpha` stays in the gradient.
    average : float, optional
        d, above 0 and below 1: after each step of "adam", "sgd" or "gd", the average of the
        parameters keeps the share d and takes 1 - d of the new ones (U9); the first step copies.
        The result, the validation costs and the callback have the average. Training itself goes on
        from the parameters. None has no average.
    clip_norm : float, optional
        c, above 0: a gradient of "adam", "sgd" or "gd" that is longer is shortened to c (U10).
        The history has its norm before that. None has no limit.
    label_smoothing : float
        e, at least 0 and below 1, for the cross-entropy: targets become (1 - e) y + e / K with K
        classes, 2 for sigmoid units (L16). The training cost is that of these targets; the
        validation cost is that of the targets as they are.
    shuffle : bool or "blocks"
        Take the samples in a new random order in each epoch, unless a step takes them all. "blocks"
        shuffles blocks of consecutive samples, then the samples within every 256 blocks, for X that
        is read from a disk (docs/larger-than-memory.md).
    seed : int
        Seed of the initial parameters and of the order of the samples. The same seed and data give
        the same bits on processors of one class (`engine info`), whatever the number of threads.
    backend : "tiled", "loops", "numpy" or None
        None is the fastest, "tiled".
    n_threads : int, optional
        Threads that share a step: its samples, if it has more than 1024, else the units of its
        layers. None uses as many as pay; `plan` says how many. Of those that share units there are
        no more than cores, nor than a layer has groups of 8 units; None takes such steps on one
        thread while that is faster, as where other programs use the cores.
    callback : callable, optional
        Called with an `Iteration` after each step of "gd", "lm" and "lbfgs" or epoch of the others;
        return True to stop.
    max_time : float, optional
        Seconds after which no further step begins, compile time included.
    checkpoint : Checkpoint or path, optional
        A file that the run is saved to, every 30 seconds or as the `Checkpoint` says, and at the
        end. If a run was stopped at any moment, the same call resumes it, and it ends with the same
        bits. If it had ended, the same call returns its result again. `max_iter` may be raised;
        `max_time`, `n_threads` and `callback` may differ. `callback` is called only for new
        iterations, and `max_time` counts from this call.

    Returns
    -------
    TrainResult
        theta, history, n_iter, stopped, plan, fingerprint, cost. Ctrl-C returns the best parameters
        so far (the latest for "adam" and "sgd" without validation data), with
        ``stopped="interrupted"``: a loop over many runs must check it.

    Raises
    ------
    CheckpointError
        A ValueError: if the file at `checkpoint` belongs to another run (the message names the
        differences), is damaged, in use, or not a regular file; if such a run cannot have written
        it; or if it cannot be written. A disk that fails later causes a warning: training goes on,
        and the previous checkpoint is kept.
    DivergedError
        When the cost stops being finite; `.theta` holds the last parameters whose cost was.
    ValueError, TypeError
        For arguments out of range, or that the solver or the loss cannot have, and for data that do
        not fit the network.
    NotImplementedError
        For a schedule with "gd", "lm" or "lbfgs".
    MemoryError
        For a network that is too large for "lm".

    Warns
    -----
    UserWarning
        If the derivative of a `losses.Compiled` is far from that of its cost.

    Notes
    -----
    Two to three sum_l n_l n_{l-1} multiply-adds a sample and iteration (two for the first layer,
    whose inputs need no gradient), and one a validation sample; "lbfgs" takes one or more passes an
    iteration, and some 20 numbers a parameter; "lm" takes n_L P^2 / 2 multiply-adds a sample and
    P^3 / 6 an iteration for P parameters, and 2 P^2 numbers or more. "lbfgs" and "lm" minimise
    absolute errors and quantiles by smoothing the kink, by ever less. The arguments are never
    written to. A network keeps the workspace of its last run on one thread for the next run, and
    none of the data. With the NumPy backend or "lbfgs", BLAS uses one thread in the whole process
    while training lasts.

    Examples
    --------
    >>> import numpy as np
    >>> from engine import Network, train
    >>> X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])  # XNOR: four samples, as columns
    >>> Y = np.array([1, 0, 0, 1])
    >>> network = Network((2, 4, 1))
    >>> result = train(network, X, Y, solver="gd", learning_rate=0.5, max_iter=5000)
    >>> network.forward(result.theta, X).round()
    array([[1., 0., 0., 1.]])
    """
    if not isinstance(net, Network):
        raise TypeError(f"net must be an engine.Network; got {type(net).__name__}.")
    row = _available(solver, schedule)
    checkpoint = checkpoint_of(checkpoint)
    seed = settings.whole_number("seed", seed, at_least=0)
    max_iter = settings.whole_number("max_iter", max_iter, at_least=1)
    if max_time is not None:
        max_time = settings.real_number("max_time", max_time, low=0, low_included=False)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function of one Iteration; got {callback!r}.")

    evidence = isinstance(alpha, str) and alpha == "evidence"
    if isinstance(alpha, str) and not evidence:
        raise TypeError(f"alpha must be a number of at least 0, or 'evidence'; got {alpha!r}.")
    if evidence and row.update != DAMPED:
        raise ValueError(f"alpha='evidence' needs solver='lm'; got solver={solver!r}.")
    widened = row.in_float64 and getattr(X, "dtype", None) == np.float32
    if widened:
        X = net.checked_inputs(X, "X", np.float64)
    samples = net.samples(X, Y, sample_weight)
    strength = 0.0 if isinstance(alpha, str) else settings.real_number("alpha", alpha, low=0)
    label_smoothing = settings.share("label_smoothing", label_smoothing)
    update_settings.require_smoothable(label_smoothing, net.loss.name, evidence)
    layers = net.layers.with_label_smoothing(label_smoothing)
    n_threads = settings.thread_count(n_threads)
    chosen = settings.find_backend(backend)
    dtype = samples.dtype
    numbers = _checked_settings(
        row,
        batch_size=batch_size,
        n_samples=samples.n_samples,
        n_features=net.sizes[0],
        shuffle=shuffle,
        learning_rate=learning_rate,
        momentum=momentum,
        nesterov=nesterov,
        beta_1=beta_1,
        beta_2=beta_2,
        epsilon=epsilon,
        weight_decay=weight_decay,
        average=average,
        clip_norm=clip_norm,
        max_iter=max_iter,
        alpha=strength,
        evidence=evidence,
        schedule=schedule,
        power_t=power_t,
        tol=tol,
        n_iter_no_change=n_iter_no_change,
    )
    settings.representable("learning_rate", numbers.learning_rate, dtype)
    if numbers.update == ADAM:
        settings.representable("epsilon", numbers.epsilon, dtype)
    start = _starting_parameters(net, theta, seed, dtype)
    validation = _validation_objective(net, X_val, Y_val, dtype, backend)
    watch = TrainingWatch(
        validation_cost=None if validation is None else validation.cost,
        max_time=math.inf if max_time is None else max_time,
        callback=callback,
        full_batch=row.full_batch,
        # The costs of "gd" are those of theta: they do not say which average is the best.
        never_rises=row.never_rises or numbers.average > 0,
        advice=_advice(row, numbers.learning_rate),
    )
    at_a_time = samples.n_samples if row.full_batch else numbers.batch_size
    threads, shared = threads_of_run(n_threads, row, chosen, layers, samples, numbers)
    if row.uses_blas:
        import scipy.optimize  # noqa: F401  # loads SciPy's own BLAS, which is to be held too
    # A network keeps one thread's memory for its next run; threads are not kept waiting for it.
    keeps = threads.number == 1 and layers is net.layers
    sums = net.spare.take(chosen, layers, samples, 1) if keeps else None
    adapts = n_threads is None
    problem = Problem(chosen, layers, samples, numbers.alpha, threads.number, sums, adapts)
    state = new_state(start.copy(), numbers, samples.n_samples, seed, ordered=not row.full_batch)

    def identity() -> Identity:
        held_out = None if validation is None else validation.samples
        assert held_out is None or isinstance(held_out, Samples)
        return identity_of_training(
            net,
            row,
            chosen.name,
            numbers,
            seed if theta is None else start,
            seed,
            samples,
            held_out,
            label_smoothing,
        )

    if samples.Y is not None and (message := net.loss.wrong_derivative(samples.Y)):
        warnings.warn(message, UserWarning, stacklevel=2)
    with (
        kept(checkpoint, identity, max_iter, row.ends) as keeper,
        one_blas_thread() if row.uses_blas or chosen is NUMPY else nullcontext(),
    ):
        ended = _trained(row, problem, state, numbers, watch, keeper, max_iter)
    if sums is not None:
        net.spare.keep(sums)
    by_evidence = None
    if evidence:
        from engine.statistics.inference_on_parameters import evidence_of

        by_evidence = evidence_of(net, ended.theta, samples, ended.alpha)
    return TrainResult(
        theta=ended.theta,
        history=watch.history,
        n_iter=watch.n_iter,
        stopped=ended.stopped,
        plan=plan_of(
            chosen,
            backend,
            samples.n_samples,
            at_a_time,
            threads,
            "" if keeper is None else keeper.in_words,
            widened,
            shared,
        ),
        fingerprint=fingerprint(net, ended.theta),
        cost=ended.cost,
        alpha=ended.alpha,
        effective_parameters=None if by_evidence is None else by_evidence.effective_parameters,
        log_evidence=None if by_evidence is None else by_evidence.log_evidence,
    )


class Ended(NamedTuple):
    """How a run ended: the parameters that come back, their cost, and why it stopped."""

    theta: NDArray[Any]
    cost: float
    stopped: str
    alpha: float = 0.0

    def arrays(self) -> Arrays:
        """For a checkpoint."""
        return {"result.theta": self.theta, "result.cost": np.array([self.cost])}


def _trained(
    solver: Solver,
    problem: Problem,
    state: State,
    numbers: Settings,
    watch: TrainingWatch,
    keeper: Keeper | None,
    max_iter: int,
) -> Ended:
    """The run of `train`, from its start or from a checkpoint, to its end."""
    ended, minimisation = _run(solver, problem, state, numbers, watch, keeper, max_iter)
    found = float(minimisation.state.first[ALPHA]) if numbers.evidence else numbers.alpha
    return ended._replace(alpha=found)


def _run(
    solver: Solver,
    problem: Problem,
    state: State,
    numbers: Settings,
    watch: TrainingWatch,
    keeper: Keeper | None,
    max_iter: int,
) -> tuple[Ended, Minimisation]:
    """The same, and the solver."""
    expected = None if keeper is None else expected_of_result(state.theta)
    over = is_over(keeper, max_iter)
    minimisation, found = begin(solver, problem, state, numbers, watch, keeper, expected, over)
    run = Run(minimisation, watch, keeper, max_iter)
    if keeper is not None and found is not None and "result.theta" in found:
        before = _verified(run, numbers, keeper, found)
        if over:
            minimisation.close()
            return before, minimisation
    try:
        ended = _at_end(run, numbers, run.to_its_end())
        run.keep_end(ended.stopped, ended.arrays())
        return ended, minimisation
    except KeyboardInterrupt:
        if minimisation.n_steps == 0 and minimisation.confirmed() is None:
            raise  # not even the cost of the initial parameters is known
        if keeper is not None:
            keeper.interrupted()
    theta = minimisation.theta if watch.best is None else watch.best
    if run.cost is not None:
        theta = watch.best_with(minimisation.theta, run.cost)
    return Ended(theta, run.cost_of(theta), "interrupted"), minimisation


def _at_end(run: "Run[TrainingWatch]", numbers: Settings, stopped: str) -> Ended:
    """The result of a stopped run: the best parameters if it may stop early, else the last."""
    watch, latest = run.watch, run.solver.theta
    if not numbers.stops or not watch.judges:
        return Ended(latest, run.cost_of(latest), stopped)
    theta = latest
    if numbers.full_batch:
        theta = watch.best_with(latest, run.cost_of(latest))
    elif watch.best is not None:
        theta = watch.best
    return Ended(theta, run.cost_of(theta), stopped)


def _verified(run: "Run[TrainingWatch]", numbers: Settings, keeper: Keeper, found: Arrays) -> Ended:
    """The result in a checkpoint. Raises CheckpointError unless its run gives the same."""
    assert keeper.found is not None
    verifier = keeper.verifier
    try:
        ended = _at_end(run, numbers, keeper.found.stopped or "max_time")
    except (DivergedError, ValueError) as error:
        raise verifier.wrong("result.theta has no finite cost") from error
    same = np.array_equal(found["result.theta"], ended.theta)
    verifier.require(same, "result.theta is not what its run gives")
    kept_cost = float(found["result.cost"][0])
    verifier.require_result("result.cost", kept_cost, ended.cost)
    return ended._replace(cost=kept_cost)


def _checked_settings(
    solver: Solver, batch_size: int | None, n_samples: int, n_features: int, **given: Any
) -> Settings:
    """The checked settings of the solver; each message names the range."""
    nesterov = settings.yes_or_no("nesterov", given["nesterov"])
    momentum = settings.share("momentum", given["momentum"])
    batch_size = n_samples if batch_size is None else batch_size
    batch_size = min(settings.whole_number("batch_size", batch_size, at_least=1), n_samples)
    shuffle = settings.shuffling("shuffle", given["shuffle"])
    if solver.full_batch:
        batch_size, shuffle = n_samples, False
    tol = settings.real_number("tol", given["tol"], low=0)
    weight_decay = settings.real_number("weight_decay", given["weight_decay"], low=0)
    average, clip_norm = given["average"], given["clip_norm"]
    if average is not None:
        average = settings.number_between("average", average, 0, 1)
    if clip_norm is not None:
        clip_norm = settings.real_number("clip_norm", clip_norm, low=0, low_included=False)
    update_settings.require_of_solver(
        solver.name,
        solver.update == ADAM,
        solver.by_steps,
        weight_decay=weight_decay,
        average=average,
        clip_norm=clip_norm,
    )
    schedule = SCHEDULES[settings.one_of("schedule", given["schedule"], SCHEDULES)]
    n_steps = steps_of_epochs(given["max_iter"], n_samples, batch_size)
    return Settings(
        update=solver.update_for(momentum, nesterov),
        batch_size=batch_size,
        shuffle=int(bool(shuffle) and batch_size < n_samples),
        block=samples_of_a_block(n_features) if shuffle == "blocks" else 0,
        learning_rate=settings.real_number(
            "learning_rate", given["learning_rate"], low=0, low_included=False
        ),
        momentum=momentum,
        beta_1=settings.share("beta_1", given["beta_1"]),
        beta_2=settings.share("beta_2", given["beta_2"]),
        epsilon=settings.real_number("epsilon", given["epsilon"], low=0, low_included=False),
        alpha=given["alpha"],
        evidence=int(given["evidence"]),
        schedule=schedule,
        schedule_steps=n_steps if schedule == COSINE else 0,
        weight_decay=weight_decay,
        average=average or 0.0,
        clip_norm=clip_norm or 0.0,
        power_t=settings.real_number("power_t", given["power_t"], low=0),
        tol=tol,
        patience=settings.whole_number("n_iter_no_change", given["n_iter_no_change"], at_least=1),
        stops=int(tol > 0),
        full_batch=int(solver.full_batch),
    )


def _advice(solver: Solver, learning_rate: float) -> str:
    """What to do if a run diverges, for the error message."""
    if not solver.by_steps:
        return "Try inputs of mean 0 and variance 1, and smaller initial parameters."
    return (
        f"The learning rate {learning_rate:g} is probably too large: try {learning_rate / 10:g}, "
        "and inputs of mean 0 and variance 1."
    )


def _available(name: str, schedule: str) -> Solver:
    """The solver of that name, if it can follow the schedule."""
    solver = SOLVERS[settings.one_of("solver", name, SOLVERS)]
    scheduled = settings.one_of("schedule", schedule, SCHEDULES) != "constant"
    if scheduled and not solver.takes_schedule:
        raise NotImplementedError(
            f"schedule={schedule!r} is not available for solver={name!r}; pass "
            "schedule='constant', or solver='sgd' or 'adam'."
        )
    return solver


def _starting_parameters(
    net: Network, theta: ArrayLike | None, seed: int, dtype: Any
) -> NDArray[Any]:
    if theta is None:
        return net.initial_parameters(seed, dtype)
    start = arrays.parameters(theta, net.n_parameters, dtype)
    return arrays.float_array("theta", start, dtype, advice="")


def _validation_objective(
    net: Network,
    X_val: ArrayLike | None,
    Y_val: ArrayLike | None,
    dtype: Any,
    backend: str | None,
) -> Objective | None:
    if X_val is None and Y_val is None:
        return None
    if X_val is None or Y_val is None:
        raise ValueError("X_val and Y_val go together: pass both, or neither.")
    X_as_trained = net.checked_inputs(X_val, "X_val", dtype)
    return net.objective(X_as_trained, Y_val, backend=backend, names=("X_val", "Y_val"))
