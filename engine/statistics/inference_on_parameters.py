"""Inference: standard errors, leverage, intervals and evidence of fitted parameters."""

import math
import warnings
from functools import cached_property
from typing import NamedTuple

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

# Losses whose dispersion is estimated; it is 1 of the others.
WITH_DISPERSION = (SQUARED_ERROR, GAMMA, TWEEDIE)
# Losses for which the whole probability of the targets is known.
WITH_PROBABILITY = (SQUARED_ERROR, CROSS_ENTROPY, POISSON)
# The decrease that a step promises, as a share of the cost: above the first the parameters are no
# minimum, and above the second Laplace's approximation of the evidence means nothing.
NO_MINIMUM, FAR_FROM_MINIMUM = 1e-6, 1e-3
UNEQUAL_NOISE = 2  # ratio of the outputs' own residual variances


class Inference:
    """What is known of fitted parameters, from the curvature of the cost.

    It holds near this minimum: hidden units can change places, or change signs, without any change
    of the network, and other minima have parameters of their own.

    Attributes
    ----------
    theta : ndarray (n_parameters,)
    n_observations : int
        Samples of positive weight, times outputs; of softmax units, whose outputs are one, samples.
    names : list of str
        The parameters by name, as the summary shows them.
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
        self.theta = theta.copy()
        rows = n_counted(samples)
        one = network.layers.units[-1] == SOFTMAX
        self.n_observations = rows if one else rows * network.sizes[-1]
        with one_blas_thread(), np.errstate(all="ignore"):
            self._curvature = Curvature(self.theta, network.layers, samples, alpha)
        self.rank = self._curvature.rank
        self.names = names or parameter_names(network)

    @property
    def network(self) -> Network:
        """The network."""
        return self._network

    @cached_property
    def covariance(self) -> NDArray[np.float64]:
        """The covariance of the parameters (P, P), in theta's order: sigma^2 M G M (N7).

        It is that of each combination of parameters that is identified; the entries of parameters
        that are not identified mean nothing by themselves.
        """
        with one_blas_thread():
            root = self._curvature.root
            return self.residual_variance * (root.T @ root)

    @property
    def standard_errors(self) -> NDArray[np.float64]:
        """The standard error of each parameter (P,); NaN of those that are not identified.

        Without a penalty NaN of all parameters of softmax units, of which only differences between
        classes are identified: `summary` shows these. Parameters `by_penalty` have small errors,
        since they follow the penalty, and not the data.
        """
        errors = np.sqrt(np.diag(self.covariance))
        return np.where(self.unidentified, np.nan, errors)

    def _error_of(self, combination: NDArray[np.float64]) -> float:
        """The standard error of a combination (P,) of parameters; NaN if it is not identified."""
        if not self._curvature.identifies(combination):
            return math.nan
        with one_blas_thread():
            length = float(np.linalg.norm(self._curvature.root @ combination))
        return math.sqrt(self.residual_variance) * length

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
        """How much each sample (m,) pulls its own prediction, summed over outputs (N7).

        Examples
        --------
        A sample far from the others decides alone:

        >>> import numpy as np
        >>> from engine import Network, inference, train
        >>> x, y = np.array([[0.0, 1.0, 2.0, 3.0, 20.0]]), np.array([0.1, 0.9, 2.1, 2.9, 20.0])
        >>> net = Network((1, 1), output="identity")
        >>> inference(net, train(net, x, y, solver="lm"), x, y).leverage.round(2)
        array([0.3 , 0.26, 0.24, 0.22, 0.99])
        """
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
        return float(self._sums_of_squares.sum()) / self.degrees_of_freedom

    @cached_property
    def _sums_of_squares(self) -> NDArray[np.float64]:
        """sum_i s_i (y_i - a_i)^2 / V(a_i) of each output, with the distribution's variance V."""
        loss, total = self._network.loss, np.zeros(self._network.sizes[-1])
        power = {SQUARED_ERROR: 0.0, GAMMA: 2.0}.get(loss.row.code)
        power = loss.numbers[0] if power is None else power
        layers = self._network.layers
        for block, _, output, _ in blocks_of(self.theta, layers, self._samples.X):
            residual = targets_of(self._samples, block, len(output)) - output
            squares = residual * residual / output**power
            total += squares @ weights_of(self._samples, block)
        return total

    @property
    def degrees_of_freedom(self) -> float:
        """Observations less parameters, for Student's t; infinity where sigma^2 is known."""
        if self._network.loss.row.code not in WITH_DISPERSION:
            return math.inf
        return self.n_observations - self.effective_parameters

    @property
    def log_evidence(self) -> float:
        """The logarithm of the probability of the targets, by Laplace's approximation (N6).

        NaN without a penalty, which is the logarithm of the prior distribution of the weights
        (that of the biases is constant, and left out, as are combinations of parameters that are
        not identified), for gamma and Tweedie deviance, and for losses that are no likelihood.
        Infinity if nothing is left over. It means nothing far from a minimum, and warns there.
        """
        found = self._log_evidence
        if not math.isnan(found) and self._left_to_gain > FAR_FROM_MINIMUM:
            warnings.warn(
                "log_evidence means nothing here: the parameters are far from a minimum (a "
                f"Gauss-Newton step would lower the cost by {self._left_to_gain:.2g} of it). Train "
                "on with solver='lm', more iterations and tol=0.",
                UserWarning,
                stacklevel=2,
            )
        return found

    @cached_property
    def _log_evidence(self) -> float:
        code = self._network.loss.row.code
        if self._alpha == 0 or code not in WITH_PROBABILITY:
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
        with one_blas_thread():
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
            Of the output as an estimate of the mean, without the noise of a new observation. Too
            small for samples that need what the training data did not identify, such as inputs
            that were equal in training, and differ here.
        """
        checked = arrays.inputs(X, self._network.sizes[0], dtype=np.float64)
        found, _, std_of_z, slopes = self._predicted(checked)
        return (found, std_of_z * slopes) if return_std else found

    def interval(
        self, X: ArrayLike, level: float = 0.9
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the mean of the target lies, with that probability.

        It is an interval for the mean, and not for a new observation, whose noise comes on top.

        Parameters
        ----------
        X : array_like (n_0, m)
        level : float
            Between 0 and 1.

        Returns
        -------
        low, high : ndarray (n_L, m)
            For sigmoid and exp outputs computed from z, so that they stay within their range.

        Notes
        -----
        For a new observation after a fit with squared error, take the standard deviation
        sqrt(std**2 + residual_variance), and Student's t with `degrees_of_freedom`.

        Examples
        --------
        >>> import numpy as np
        >>> from engine import Network, inference, train
        >>> from scipy.stats import t
        >>> x = np.array([[0.0, 1.0, 2.0, 3.0]])
        >>> y = np.array([1.1, 2.9, 5.2, 6.8])
        >>> net = Network((1, 1), output="identity")
        >>> found = inference(net, train(net, x, y, solver="lm"), x, y)
        >>> low, high = found.interval([[1.5]], level=0.9)
        >>> low.round(2), high.round(2)
        (array([[3.7]]), array([[4.3]]))

        Nine of ten new observations at 1.5 lie between:

        >>> mean, std = found.predict([[1.5]], return_std=True)
        >>> half = t.ppf(0.95, found.degrees_of_freedom) * np.sqrt(std**2 + found.residual_variance)
        >>> (mean - half).round(2), (mean + half).round(2)
        (array([[3.34]]), array([[4.66]]))
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
        unit, sigma = layers.units[-1], math.sqrt(self.residual_variance)
        with one_blas_thread(), np.errstate(all="ignore"):
            root = sigma * self._curvature.root
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
                    std[k, block] = np.linalg.norm(root @ rows, axis=0)
        return found, logits, std, slopes

    @cached_property
    def _left_to_gain(self) -> float:
        """By which share a Gauss-Newton step would lower the cost: 0 at a minimum."""
        objective = Objective(NUMPY, self._network.layers, self._samples, self._alpha)
        cost, gradient = objective.cost_and_gradient(self.theta)
        with one_blas_thread():
            gain = self._curvature.gain_of_step(gradient) * self._weight
        return gain / cost if cost > 0 else 0.0

    @cached_property
    def notes(self) -> list[str]:
        """What to keep in mind about these numbers."""
        found = []
        if self._left_to_gain > NO_MINIMUM:
            found.append(
                "The parameters are not at a minimum: a Gauss-Newton step would lower the cost by "
                f"{self._left_to_gain:.2g} of it. Train on with solver='lm', more iterations and "
                "tol=0; if that does not help, use fewer units or a larger alpha."
            )
            if not math.isnan(self._log_evidence) and self._left_to_gain > FAR_FROM_MINIMUM:
                found[-1] += " The log evidence means nothing here."
        found += self._notes_on_noise()
        if self._network.layers.units[-1] == SOFTMAX:
            found.append(
                "Of the parameters of softmax units, only differences between classes are "
                "identified: the table shows those from the first class."
            )
        lost = self.unidentified & ~self._of_softmax
        if lost.any():
            found.append(
                f"{self._named(lost, 'not identified')} (rank {self.rank} of {self.theta.size}). "
                f"Only combinations of them have a standard error: {self._remedy}."
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

    def _notes_on_noise(self) -> list[str]:
        """That outputs share a residual variance, if their own ones differ."""
        if self._network.loss.row.code != SQUARED_ERROR:
            return []
        own = self._sums_of_squares * (len(self._sums_of_squares) / self.degrees_of_freedom)
        low, high = int(own.argmin()), int(own.argmax())
        if own[high] <= UNEQUAL_NOISE * own[low]:
            return []
        return [
            f"One residual variance is taken for all outputs, but their own ones go from "
            f"{own[low]:.3g} (output {low + 1}) to {own[high]:.3g} (output {high + 1}): scale the "
            "outputs to equal noise, or fit each alone."
        ]

    @property
    def _remedy(self) -> str:
        """What identifies more parameters."""
        remedy = "use fewer units" if self._network.hidden else "leave out redundant inputs"
        return remedy if self._alpha > 0 else f"{remedy}, or a penalty (alpha)"

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


class Evidence(NamedTuple):
    """What `alpha="evidence"` leaves in a result, besides alpha.

    Attributes
    ----------
    effective_parameters : float
        How many parameters the data determine.
    log_evidence : float
        NaN for losses that are no likelihood.
    """

    effective_parameters: float
    log_evidence: float


def evidence_of(
    network: Network, theta: NDArray[np.float64], samples: Samples, alpha: float
) -> Evidence:
    """The evidence at the end of a training, for any loss; no word if it is no minimum."""
    found = Inference(network, theta, samples, alpha)
    return Evidence(found.effective_parameters, found._log_evidence)
