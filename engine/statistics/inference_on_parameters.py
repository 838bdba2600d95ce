"""inference(): standard errors, leverage, intervals and evidence of a fitted network."""

import math
import warnings
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.boundary import arrays, settings
from engine.equations.backends import NUMPY
from engine.equations.losses import (
    CROSS_ENTROPY,
    GAMMA,
    POISSON,
    SQUARED_ERROR,
    TWEEDIE,
)
from engine.equations.units import EXP, SIGMOID, SOFTMAX
from engine.network import Network
from engine.statistics.curvature import Curvature, blocks_of, rows_of, targets_of, weights_of
from engine.statistics.table import summary_table
from engine.sums.blas import one_blas_thread
from engine.sums.chunks import n_counted
from engine.sums.objective import Objective
from engine.sums.samples import Samples

# Losses that a distribution belongs to, so that its standard errors mean something.
OF_A_DISTRIBUTION = (SQUARED_ERROR, CROSS_ENTROPY, POISSON, GAMMA, TWEEDIE)
# Of these the dispersion is estimated; it is 1 of the others.
WITH_DISPERSION = (SQUARED_ERROR, GAMMA, TWEEDIE)
FAR_FROM_MINIMUM = 1e-6  # the decrease that a step promises, as a share of the cost


class Inference:
    """What is known of fitted parameters, from the curvature of the cost.

    It holds near this minimum: hidden units can change places, or change signs, without any change
    of the network, and other minima have parameters of their own.

    Attributes
    ----------
    theta : ndarray (n_parameters,)
    n_observations : int
        Samples of positive weight, times outputs; of softmax units, whose outputs are one, samples.
    rank : int
        How many of the parameters, or of their combinations, the data and the penalty identify.
    """

    def __init__(
        self,
        network: Network,
        theta: NDArray[np.float64],
        samples: Samples,
        alpha: float,
        names: list[str] | None = None,
    ) -> None:
        self._network, self._samples, self._alpha = network, samples, alpha
        self.theta = theta
        rows = n_counted(samples)
        one = network.layers.units[-1] == SOFTMAX
        self.n_observations = rows if one else rows * network.sizes[-1]
        with one_blas_thread(), np.errstate(all="ignore"):
            self._curvature = Curvature(theta, network.layers, samples, alpha)
        self.rank = self._curvature.rank
        self.names = names or parameter_names(network)

    @property
    def network(self) -> Network:
        """The network."""
        return self._network

    @cached_property
    def covariance(self) -> NDArray[np.float64]:
        """The covariance of the parameters (P, P), in theta's order: sigma^2 M G M (N7)."""
        with one_blas_thread():
            return self.residual_variance * self._curvature.of_parameters

    @property
    def standard_errors(self) -> NDArray[np.float64]:
        """The standard error of each parameter (P,)."""
        found: NDArray[np.float64] = np.sqrt(np.maximum(np.diag(self.covariance), 0))
        return found

    @property
    def unidentified(self) -> NDArray[np.bool_]:
        """Which parameters (P,) can change without any change of the cost, to first order."""
        return self._curvature.unidentified

    @property
    def by_penalty(self) -> NDArray[np.bool_]:
        """Which parameters (P,) the penalty determines, and not the data."""
        return self._curvature.by_penalty

    @cached_property
    def leverage(self) -> NDArray[np.float64]:
        """How much each sample (m,) pulls its own prediction, summed over outputs (N7)."""
        with one_blas_thread():
            return self._curvature.leverage()

    @cached_property
    def effective_parameters(self) -> float:
        """gamma: the number of parameters that the data determine; all without a penalty (N6)."""
        found = self._curvature.effective_parameters
        most = self.n_observations - 1
        if found > most:
            warnings.warn(
                f"The data determine {found:.1f} parameters, but there are only "
                f"{self.n_observations} residuals; {most} are counted. The standard errors mean "
                "little: use fewer units, or a larger alpha.",
                UserWarning,
                stacklevel=3,
            )
        return float(min(found, most))

    @cached_property
    def residual_variance(self) -> float:
        """sigma^2, the dispersion (N7); 1 for cross-entropy and Poisson."""
        code = self._network.loss.row.code
        if code not in WITH_DISPERSION:
            return 1.0
        return self._sum_of_squares / (self.n_observations - self.effective_parameters)

    @cached_property
    def _sum_of_squares(self) -> float:
        """sum_i s_i (y_i - a_i)^2 / V(a_i), with the variance function V of the distribution."""
        loss, total = self._network.loss, 0.0
        power = {SQUARED_ERROR: 0.0, GAMMA: 2.0}.get(loss.row.code)
        power = loss.numbers[0] if power is None else power
        layers = self._network.layers
        for block, _, output, _ in blocks_of(self.theta, layers, self._samples.X):
            residual = targets_of(self._samples, block, len(output)) - output
            squares = (residual * residual / output**power).sum(axis=0)
            total += float(np.sum(weights_of(self._samples, block) * squares))
        return total

    @property
    def degrees_of_freedom(self) -> float:
        """Observations less parameters, for Student's t; infinity where sigma^2 is known."""
        if self._network.loss.row.code not in WITH_DISPERSION:
            return math.inf
        return self.n_observations - self.effective_parameters

    @cached_property
    def log_evidence(self) -> float:
        """The logarithm of the probability of the targets, by Laplace's approximation (N6).

        NaN without a penalty, which is the logarithm of the prior distribution of the weights
        (that of the biases is constant, and left out, as are combinations of parameters that are
        not identified), and for gamma and Tweedie deviance. Infinity if nothing is left over.
        """
        code = self._network.loss.row.code
        if self._alpha == 0 or code in (GAMMA, TWEEDIE):
            return math.nan
        if self.residual_variance == 0:
            return math.inf
        layers, n_weights = self._network.layers, int(self._curvature.is_weight.sum())
        cost = Objective(NUMPY, layers, self._samples).cost(self.theta) * self._weight
        squares = float(np.sum(self.theta[self._curvature.is_weight] ** 2))
        precision, constant = 1.0, -self._constant_of_targets()
        if code == SQUARED_ERROR:
            precision = 1 / self.residual_variance
            constant = 0.5 * self.n_observations * math.log(precision / (2 * math.pi))
            constant += 0.5 * self._log_weights
        # Minus the minimum of the exponent, and the integrals of both Gaussians.
        n = self.rank
        log_det = self._curvature.log_determinant + n * math.log(precision)
        prior = 0.5 * n_weights * math.log(precision * self._alpha / (2 * math.pi))
        exponent = precision * (cost + 0.5 * self._alpha * squares)
        return constant - exponent + prior + 0.5 * n * math.log(2 * math.pi) - 0.5 * log_det

    @property
    def _weight(self) -> float:
        weights = self._samples.weights
        return float(self._samples.n_samples if weights is None else weights.sum())

    @property
    def _log_weights(self) -> float:
        """sum_i n_L log s_i: a sample of weight s has the variance sigma^2 / s."""
        weights = self._samples.weights
        if weights is None:
            return 0.0
        return self._network.sizes[-1] * float(np.sum(np.log(weights[weights > 0])))

    def _constant_of_targets(self) -> float:
        """What the cost leaves out of minus the logarithm of the probability."""
        if self._network.loss.row.code != POISSON:
            return 0.0
        from scipy.special import gammaln, xlogy

        everything = slice(0, self._samples.n_samples)
        Y = targets_of(self._samples, everything, self._network.sizes[-1])
        constants = (gammaln(Y + 1) - xlogy(Y, Y) + Y).sum(axis=0)
        return float(np.sum(weights_of(self._samples, everything) * constants))

    def predict(
        self, X: ArrayLike, return_std: bool = False
    ) -> NDArray[np.float64] | tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The outputs for samples X (n_0, m), and their standard errors (delta method).

        Parameters
        ----------
        X : array_like (n_0, m)
        return_std : bool
            Whether to return the standard errors, too.

        Returns
        -------
        A : ndarray (n_L, m)
        std : ndarray (n_L, m)
            Of the output as an estimate of the mean, without the noise of a new observation.
        """
        checked = arrays.inputs(X, self._network.sizes[0], dtype=np.float64)
        found, _, std_of_z, slopes = self._predicted(checked)
        return (found, std_of_z * slopes) if return_std else found

    def interval(
        self, X: ArrayLike, level: float = 0.9
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the mean of the target lies, with that probability.

        Parameters
        ----------
        X : array_like (n_0, m)
        level : float
            Between 0 and 1.

        Returns
        -------
        low, high : ndarray (n_L, m)
            For sigmoid and exp outputs computed from z, so that they stay within their range.
        """
        from scipy.special import expit
        from scipy.stats import t

        level = settings.real_number("level", level, low=0, low_included=False)
        if level >= 1:
            raise ValueError(f"level must be above 0 and below 1; got {level:g}.")
        checked = arrays.inputs(X, self._network.sizes[0], dtype=np.float64)
        quantile = float(t.ppf(0.5 + level / 2, self.degrees_of_freedom))
        found, Z, std_of_z, slopes = self._predicted(checked)
        unit = self._network.layers.units[-1]
        if unit in (SIGMOID, EXP):
            limits = np.stack([Z - quantile * std_of_z, Z + quantile * std_of_z])
            with np.errstate(over="ignore"):
                low, high = np.exp(limits) if unit == EXP else expit(limits)
            return low, high
        half = quantile * std_of_z * slopes
        if unit == SOFTMAX:
            return np.maximum(found - half, 0), np.minimum(found + half, 1)
        return found - half, found + half

    def _predicted(self, X: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Outputs, z, the standard errors of z (of a, for softmax), and the slopes da/dz."""
        n_outputs, layers = self._network.sizes[-1], self._network.layers
        found, logits, std, slopes = (np.empty((n_outputs, X.shape[1])) for _ in range(4))
        unit = layers.units[-1]
        covariance = self.covariance
        with one_blas_thread(), np.errstate(all="ignore"):
            for block, Z, output, A in blocks_of(self.theta, layers, X):
                found[:, block], logits[:, block] = output, Z
                slope = {SIGMOID: output * (1 - output), EXP: output}.get(int(unit))
                slopes[:, block] = 1 if slope is None else slope
                for k in range(n_outputs):
                    dZ = np.zeros_like(output)
                    if unit == SOFTMAX:
                        dZ[:] = -output[k] * output
                        dZ[k] += output[k]
                    else:
                        dZ[k] = 1
                    rows = rows_of(self.theta, layers, A, dZ)
                    variance = np.einsum("pi,pi->i", rows, covariance @ rows)
                    std[k, block] = np.sqrt(np.maximum(variance, 0))
        return found, logits, std, slopes

    @cached_property
    def _left_to_gain(self) -> float:
        """By which share a Gauss-Newton step would lower the cost: 0 at a minimum."""
        objective = Objective(NUMPY, self._network.layers, self._samples, self._alpha)
        cost, gradient = objective.cost_and_gradient(self.theta)
        gain = 0.5 * float(gradient @ self._curvature.inverse @ gradient) * self._weight
        return gain / cost if cost > 0 else 0.0

    @cached_property
    def notes(self) -> list[str]:
        """What to keep in mind about these numbers."""
        found = []
        if self._left_to_gain > FAR_FROM_MINIMUM:
            found.append(
                "The parameters are not at a minimum: a Gauss-Newton step would lower the cost by "
                f"{self._left_to_gain:.2g} of it. Train on, with solver='lm'."
            )
        if self._network.layers.units[-1] == SOFTMAX:
            found.append(
                "Of the parameters of softmax units, only differences between classes are "
                "identified: the table shows those from the first class."
            )
        lost = self.unidentified & ~self._of_softmax
        if lost.any():
            found.append(
                f"{self._named(lost, 'not identified')} (rank {self.rank} of {self.theta.size}). "
                "Only combinations of them have a standard error."
            )
        if self.by_penalty.any():
            found.append(
                f"{self._named(self.by_penalty, 'set by the penalty, and not by the data')}."
            )
        if self._network.hidden:
            found.append(
                "Hidden units can be exchanged, and units of tanh can change their sign, without "
                "a change of the network: the errors of single parameters hold near this minimum."
            )
        return found

    @property
    def _of_softmax(self) -> NDArray[np.bool_]:
        """Which parameters are those of softmax units."""
        found = np.zeros(self.theta.size, bool)
        if self._network.layers.units[-1] == SOFTMAX:
            *_, n_below, n_classes = self._network.sizes
            found[self.theta.size - n_classes * (n_below + 1) :] = True
        return found

    def _named(self, which: NDArray[np.bool_], what: str) -> str:
        """Some of these parameters by name, and that they are so."""
        named = [name for name, yes in zip(self.names, which, strict=True) if yes]
        shown = ", ".join(named[:6]) + (", ..." if len(named) > 6 else "")
        if len(named) == 1:
            return f"A parameter is {what}: {shown}"
        return f"{len(named)} parameters are {what}: {shown}"

    def summary(self) -> str:
        """A table with estimate, standard error and t of each parameter, and what to know of it."""
        return summary_table(self)

    def __repr__(self) -> str:
        return (
            f"<Inference: {self.theta.size} parameters, {self.n_observations} observations, "
            f"residual variance {self.residual_variance:.6g}>"
        )


def parameter_names(network: Network) -> list[str]:
    """W1[1,1], ..., b1[1], ...: layer, unit and unit below, counted from 1 as in the equations."""
    names = []
    for l, (n_in, n_out) in enumerate(zip(network.sizes, network.sizes[1:], strict=False), start=1):
        names += [f"W{l}[{j + 1},{k + 1}]" for j in range(n_out) for k in range(n_in)]
        names += [f"b{l}[{j + 1}]" for j in range(n_out)]
    return names


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
    """Refuse a loss that no distribution with a curvature belongs to."""
    if network.loss.row.code not in OF_A_DISTRIBUTION:
        raise ValueError(
            f"The loss {network.loss!r} has no standard errors here: they follow from the "
            "curvature of the logarithm of a probability, which this loss is not. Fit with "
            "squared error, cross-entropy, Poisson, gamma or Tweedie deviance, or resample."
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


def inference(
    model: Any,
    *data: ArrayLike,
    alpha: float | None = None,
    sample_weight: ArrayLike | None = None,
) -> Inference:
    """Standard errors, leverage, intervals and evidence of fitted parameters.

    ``inference(net, theta, X, Y, alpha=0.0)`` takes samples as columns;
    ``inference(estimator, X, y)`` takes rows, as the estimator does.

    Parameters
    ----------
    model : Network, MLPRegressor or MLPClassifier
    *data
        Of a network: theta (n_parameters,), X (n_0, m) and Y; of an estimator: X and y. The data
        that it was trained on.
    alpha : float, optional
        Strength of the L2 penalty in training; 0 of a network, and that of the estimator, where it
        is not given.
    sample_weight : array_like (m,), optional

    Returns
    -------
    Inference
        .covariance (P, P) and .standard_errors (P,), in theta's order; .leverage (m,), summed over
        outputs; .residual_variance, .effective_parameters, .log_evidence: floats;
        .predict(X, return_std=True); .interval(X, level=0.9); .summary().

    Raises
    ------
    ValueError
        For losses without a distribution (absolute error, quantile, Huber, your own); and if there
        are fewer residuals than parameters, and no alpha.

    Notes
    -----
    Equations N6 and N7, in float64: covariance = sigma^2 M G M with M = (G + alpha R)^-1 and the
    Gauss-Newton matrix G, from a triangular factor of the rows of the Jacobian, so that no digits
    are lost to its square. 2 m n_L P^2 multiply-adds. If G + alpha R is singular, as it always is
    for a softmax output, M is the pseudo-inverse: differences between classes have the right
    errors. Sources: MacKay 1992, Neural Computation 4, 415; De Veaux et al. 1998, Technometrics 40,
    273.

    Examples
    --------
    Without a hidden layer it is linear regression:

    >>> import numpy as np
    >>> from engine import Network, inference, train
    >>> x = np.array([[0.0, 1.0, 2.0, 3.0]])
    >>> y = np.array([1.1, 2.9, 5.2, 6.8])
    >>> net = Network((1, 1), output="identity")
    >>> found = inference(net, train(net, x, y, solver="lm").theta, x, y)
    >>> found.standard_errors.round(4)
    array([0.0906, 0.1694])
    >>> mean, std = found.predict([[1.5]], return_std=True)
    >>> mean.round(3), std.round(4)
    (array([[4.]]), array([[0.1012]]))
    """
    if isinstance(model, Network):
        if len(data) != 3:
            raise TypeError(f"inference of a network takes theta, X and Y; got {len(data)} arrays.")
        theta, X, Y = data
        refuse_without_distribution(model)
        alpha = settings.real_number("alpha", 0.0 if alpha is None else alpha, low=0)
        checked = arrays.parameters(theta, model.n_parameters, np.float64, cast=True)
        X_double = arrays.inputs(X, model.sizes[0], dtype=np.float64)
        samples = model.objective(X_double, Y, sample_weight=sample_weight).samples
        assert isinstance(samples, Samples)
        found = Inference(model, checked, samples, alpha)
    elif hasattr(model, "_for_inference"):
        if len(data) != 2:
            raise TypeError(f"inference of an estimator takes X and y; got {len(data)} arrays.")
        network, theta, samples, used = model._for_inference(*data, sample_weight)
        refuse_without_distribution(network)
        alpha = used if alpha is None else settings.real_number("alpha", alpha, low=0)
        found = InferenceOfEstimator(model, network, theta, samples, alpha)
    else:
        raise TypeError(
            "inference takes an engine.Network with its parameters, or a fitted MLPRegressor or "
            f"MLPClassifier; got {type(model).__name__}."
        )
    _refuse_too_few(found, alpha)
    return found


def _refuse_too_few(found: Inference, alpha: float) -> None:
    """Refuse fewer residuals than parameters without a penalty."""
    if alpha > 0:
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
