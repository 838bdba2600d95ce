"""inference(): what is known of a fitted network or estimator, or what to pass instead."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.boundary import arrays, settings
from engine.equations.units import SOFTMAX
from engine.network import Network
from engine.statistics.inference_on_parameters import (
    WITH_DISPERSION,
    WITH_PROBABILITY,
    Inference,
)
from engine.sums.samples import Samples


def inference(
    model: Any,
    *data: ArrayLike,
    alpha: float | None = None,
    sample_weight: ArrayLike | None = None,
) -> Inference:
    """Standard errors, leverage, intervals and evidence of fitted parameters.

    ``inference(net, result, X, Y)`` takes samples as columns, with what `train` returned;
    ``inference(net, theta, X, Y, alpha=0.0)`` takes the parameters of any training, and
    ``inference(estimator, X, y)`` takes rows, as the estimator does.

    Parameters
    ----------
    model : Network, MLPRegressor or MLPClassifier
    *data
        Of a network: theta (n_parameters,) or a TrainResult, X (n_0, m) and Y; of an estimator: X
        and y. The data that it was trained on. Theta is copied; X and Y may not be, and must not
        change while the result is in use.
    alpha : float, optional
        Strength of the L2 penalty in training. Where it is not given: that of the estimator's fit,
        with all rows as one batch; that of the TrainResult; and 0 for an array theta. `train`
        applies the penalty once a batch: after training by minibatches pass alpha times the number
        of batches.
    sample_weight : array_like (m,), optional

    Returns
    -------
    Inference
        .covariance (P, P) and .standard_errors (P,), in theta's order; .leverage (m,), summed over
        outputs; .residual_variance, .effective_parameters, .log_evidence: floats;
        .predict(X, return_std=True); .interval(X, level=0.9); .summary(). Standard errors of
        parameters that are not identified are NaN.

    Raises
    ------
    ValueError
        For losses that are no likelihood of a distribution (absolute error, quantile, Huber, your
        own); if there are fewer residuals than parameters, and no alpha; and for parameters that
        are not finite.
    TypeError
        For models of another kind, such as pipelines; the message says what to pass.

    Notes
    -----
    Equations N6 and N7, in float64: covariance = sigma^2 M G M with M = (G + alpha R)^-1 and the
    Gauss-Newton matrix G, from a triangular factor of the rows of the Jacobian, so that no digits
    are lost to its square. 2 m n_L P^2 multiply-adds. If G + alpha R is singular, as it always is
    for a softmax output, M is a generalised inverse: combinations that are identified, such as
    differences between classes, have the right errors.

    Squared error with several outputs takes one residual variance for all of them: scale the
    outputs to equal noise, or fit each alone; `summary` says so if their own variances differ.

    Sources: MacKay 1992, Neural Computation 4, 415; De Veaux et al. 1998, Technometrics 40,
    273.

    Examples
    --------
    Without a hidden layer it is linear regression:

    >>> import numpy as np
    >>> from engine import Network, inference, train
    >>> x = np.array([[0.0, 1.0, 2.0, 3.0]])
    >>> y = np.array([1.1, 2.9, 5.2, 6.8])
    >>> net = Network((1, 1), output="identity")
    >>> found = inference(net, train(net, x, y, solver="lm"), x, y)
    >>> found.standard_errors.round(4)
    array([0.0906, 0.1694])
    >>> mean, std = found.predict([[1.5]], return_std=True)
    >>> mean.round(3), std.round(4)
    (array([[4.]]), array([[0.1012]]))
    """
    if isinstance(model, Network):
        found = _of_network(model, data, alpha, sample_weight)
    elif hasattr(model, "_for_inference") and not isinstance(model, type):
        found = _of_estimator(model, data, alpha, sample_weight)
    else:
        raise TypeError(
            "inference takes an engine.Network with its parameters, or a fitted MLPRegressor or "
            f"MLPClassifier; got {_kind_and_remedy(model)}"
        )
    _refuse_too_few(found)
    return found


def _of_network(
    network: Network, data: tuple[Any, ...], alpha: float | None, sample_weight: Any
) -> Inference:
    """What is inferred of theta, X and Y."""
    if len(data) != 3:
        raise TypeError(f"inference of a network takes theta, X and Y; got {len(data)} arrays.")
    given, X, Y = data
    refuse_without_distribution(network)
    network.require_no_embeddings("inference")
    theta = arrays.theta_of(given)
    if alpha is None:
        alpha = 0.0 if theta is given else getattr(given, "alpha", 0.0)
    alpha = settings.real_number("alpha", alpha, low=0)
    theta = _finite(arrays.parameters(theta, network.n_parameters, np.float64, cast=True))
    X_double = arrays.inputs(X, network.sizes[0], dtype=np.float64)
    samples = network.objective(X_double, Y, sample_weight=sample_weight).samples
    assert isinstance(samples, Samples)
    return Inference(network, theta, samples, alpha)


def _of_estimator(
    estimator: Any, data: tuple[Any, ...], alpha: float | None, sample_weight: Any
) -> Inference:
    """What is inferred of a fitted estimator, X and y."""
    if len(data) != 2:
        raise TypeError(f"inference of an estimator takes X and y; got {len(data)} arrays.")
    network, theta, samples, of_fit = estimator._for_inference(*data, sample_weight)
    refuse_without_distribution(network)
    alpha = of_fit if alpha is None else settings.real_number("alpha", alpha, low=0)
    return InferenceOfEstimator(estimator, network, _finite(theta), samples, alpha)


def _finite(theta: NDArray[Any]) -> NDArray[np.float64]:
    advice = "; pass the parameters of a training that has ended well"
    return arrays.float_array("theta", theta, np.float64, advice=advice)


def _kind_and_remedy(model: Any) -> str:
    """What came in the place of a model, and what to pass."""
    if isinstance(model, type):
        return f"the class {model.__name__}. Fit one first: pass {model.__name__}().fit(X, y)."
    kind = f"a {type(model).__name__}"
    if hasattr(model, "named_steps"):
        return f"{kind}. Pass its last step, model[-1], with model[:-1].transform(X) and y."
    if hasattr(model, "estimator") and hasattr(model, "theta"):  # as engine.load gave it
        return (
            f"{kind}. Pass model.estimator(), X and y; if it holds a network alone, pass "
            "model.network, model.theta, X and Y."
        )
    return f"{kind}."


def _refuse_too_few(found: Inference) -> None:
    """Refuse fewer residuals than parameters without a penalty."""
    if found._alpha > 0:
        return
    n_residuals, n_parameters = found.n_observations, found.theta.size
    if found.network.layers.units[-1] == SOFTMAX:  # the last class follows from the others
        *_, n_below, n_classes = found.network.sizes
        n_residuals *= n_classes - 1
        n_parameters -= n_below + 1
    if n_residuals < n_parameters:
        raise ValueError(
            f"{n_parameters} parameters are not identified by {n_residuals} residuals. Pass the "
            "alpha that the network was trained with, or use fewer units."
        )
    with_dispersion = found.network.loss.row.code in WITH_DISPERSION
    if with_dispersion and found.n_observations <= found.rank:
        raise ValueError(
            f"{found.n_observations} residuals and {found.rank} parameters leave nothing to "
            "estimate the residual variance from. Pass more samples, or an alpha."
        )


def names_of_features(estimator: Any, network: Network) -> list[str] | None:
    """The features by name, and "intercept", without a hidden layer; None with one."""
    if network.hidden:
        return None
    n_in, n_out = network.sizes
    features = [str(name) for name in getattr(estimator, "feature_names_in_", [])]
    features = features or [f"x{k}" for k in range(n_in)]
    if n_out == 1:
        return [*features, "intercept"]
    classes = getattr(estimator, "classes_", range(n_out))
    outputs = [str(one) for one in classes] if len(classes) == n_out else [*map(str, range(n_out))]
    weights = [f"{output}: {feature}" for output in outputs for feature in features]
    return weights + [f"{output}: intercept" for output in outputs]


def refuse_without_distribution(network: Network) -> None:
    """Refuse a loss that is not the likelihood of a distribution."""
    if network.loss.row.code not in {*WITH_DISPERSION, *WITH_PROBABILITY}:
        raise ValueError(
            f"The loss {network.loss.name!r} has no standard errors: standard errors need a loss "
            "that is the likelihood of a distribution. Fit with squared error, cross-entropy, "
            "Poisson, gamma or Tweedie deviance, or resample the data and fit again."
        )


class InferenceOfEstimator(Inference):
    """The same of a fitted estimator: samples are rows."""

    def __init__(
        self,
        estimator: Any,
        network: Network,
        theta: NDArray[np.float64],
        samples: Samples,
        alpha: float,
    ) -> None:
        super().__init__(network, theta, samples, alpha, names_of_features(estimator, network))
        self._estimator = estimator

    def predict(
        self, X: ArrayLike, return_std: bool = False
    ) -> NDArray[np.float64] | tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As of `Inference`, for rows (n_samples, n_features)."""
        if not return_std:
            return self._as_rows(super().predict(self._columns(X)))
        found, std = super().predict(self._columns(X), return_std=True)
        return self._as_rows(found), self._as_rows(std)

    def interval(
        self, X: ArrayLike, level: float = 0.9
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As of `Inference`, for rows (n_samples, n_features)."""
        low, high = super().interval(self._columns(X), level)
        return self._as_rows(low), self._as_rows(high)

    def _columns(self, X: ArrayLike) -> Any:
        return self._estimator._columns_of(X)

    @staticmethod
    def _as_rows(found: Any) -> NDArray[np.float64]:
        rows: NDArray[np.float64] = found[0] if len(found) == 1 else found.T
        return rows
