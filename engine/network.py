"""A feed-forward network: its shape, its flat parameter vector, and J with its gradient."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.boundary import arrays, settings
from engine.boundary.embedded_inputs import refuse_wrong_inputs
from engine.boundary.samples import checked_samples
from engine.embeddings import Embedding, checked, for_kernels, in_words, width_of
from engine.equations.backends import TILED
from engine.equations.layout import n_parameters_of, views_of
from engine.equations.units import OUTPUT_UNITS, UNITS
from engine.losses import Loss, chosen, default_for
from engine.sums.chunks import ChunkSums
from engine.sums.objective import Objective, ReusableSums, forward, jacobian
from engine.sums.samples import Layers, Samples


class Network:
    """Layers of fully connected units, without their parameters.

    A network computes A[0] = X, Z[l] = W[l] A[l-1] + b[l], A[l] = g_l(Z[l]) for l = 1 ... L
    (equations F1 to F7). It holds no parameters: they are one flat vector `theta` that goes into
    every call, so that optimisers, copies and files have a single array to deal with.

    Parameters
    ----------
    sizes : sequence of int
        Units of each layer (n_0, ..., n_L): inputs first, outputs last. (n_0, n_1) has no hidden
        layer; with a sigmoid output that is logistic regression.
    hidden : str or sequence of str
        Activation of the hidden units, "tanh", "sigmoid", "relu" or "identity": one name for all
        hidden layers, or one for each. Ignored where there is no hidden layer.
    output : str
        Output unit: "sigmoid" (several units are several yes/no labels), "softmax" (one class
        among n_L), "identity" or "exp" (positive numbers).
    loss : str or one of engine.losses, optional
        With "identity": "squared_error" (half of it; the default), "absolute_error", "huber" or
        "quantile"; with "exp": "poisson" (half the deviance; the default), "gamma", or
        `losses.Tweedie(power)`; with "sigmoid" and "softmax": "cross_entropy". Equations L1 to L15.
        A `losses.Quantile` of several levels needs an output unit for each.
    embeddings : sequence of engine.embeddings.Pieces, Levels or None, optional
        For each input how it becomes several numbers, with parameters of its own; None takes it as
        it is. Equations E1 to E5.

    Attributes
    ----------
    sizes : tuple of int
    hidden : tuple of str
        One name for each hidden layer.
    output : str
    loss : engine.losses.Loss
    n_parameters : int
        Length of `theta`: sum over layers of n_l (n_{l-1} + 1), and what embeddings have.

    A network cannot be changed: theta and its views would no longer fit.

    Raises
    ------
    ValueError, TypeError
        For sizes that are not whole and positive, for an unknown activation, and for a loss that
        does not go with the output.

    Examples
    --------
    >>> import numpy as np
    >>> from engine import Network
    >>> network = Network((2, 4, 1), hidden="tanh", output="sigmoid")
    >>> network
    <Network 2-4-1: tanh hidden units, sigmoid output, 17 parameters>
    >>> theta = network.initial_parameters(seed=0)
    >>> X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])  # four samples, as columns
    >>> network.forward(theta, X).shape
    (1, 4)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        hidden: str | Sequence[str] = "tanh",
        output: str = "sigmoid",
        loss: str | Loss | None = None,
        embeddings: Sequence[Embedding | None] | None = None,
    ) -> None:
        self._sizes = settings.layer_sizes(sizes)
        self._hidden = settings.hidden_units(hidden, n_hidden=len(self._sizes) - 2)
        self._output = settings.one_of("output", output, OUTPUT_UNITS)
        self._loss = chosen(loss, self._output)
        self._check_levels()
        self._embeddings = checked(embeddings, self._sizes[0])
        self._n_parameters = self._length_of_theta()
        self._layers: Layers | None = None
        self._spare = ReusableSums()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each layer, inputs first."""
        return self._sizes

    @property
    def hidden(self) -> tuple[str, ...]:
        """Activation of each hidden layer."""
        return self._hidden

    @property
    def output(self) -> str:
        """The output unit."""
        return self._output

    @property
    def loss(self) -> Loss:
        """The loss."""
        return self._loss

    @property
    def embeddings(self) -> tuple[Embedding | None, ...] | None:
        """How each input becomes several numbers; None if none does."""
        return self._embeddings

    @property
    def dense_sizes(self) -> tuple[int, ...]:
        """`sizes`, with the numbers that the inputs become in place of the inputs."""
        if self._embeddings is None:
            return self._sizes
        return width_of(self._embeddings), *self._sizes[1:]

    def _length_of_theta(self) -> int:
        own = sum(entry.n_parameters for entry in self._embeddings or () if entry is not None)
        return int(n_parameters_of(self.dense_sizes)) + own

    def require_no_embeddings(self, what: str) -> None:
        """ValueError if the network has embeddings, which `what` does not go with."""
        if self._embeddings is not None:
            raise ValueError(
                f"{what} is not there for a network with embeddings. Use a network without them."
            )

    def _check_levels(self) -> None:
        needed = self._loss.n_outputs
        if needed not in (None, self._sizes[-1]):
            raise ValueError(
                f"A loss of {needed} quantiles needs {needed} output units, one for each level; "
                f"this network has {self._sizes[-1]}."
            )

    @property
    def n_parameters(self) -> int:
        """Length of theta."""
        return self._n_parameters

    def __repr__(self) -> str:
        shape = "-".join(str(size) for size in self.sizes)
        kinds = dict.fromkeys(self.hidden)  # one name if all are alike
        units = ", ".join(kinds if len(kinds) < 2 else self.hidden) + " hidden units, "
        loss = "" if self.loss == default_for(self.output) else f"{self.loss!r}, "
        return (
            f"<Network {shape}: {units if self.hidden else ''}{self.output} output, {loss}"
            f"{in_words(self.embeddings)}{self.n_parameters} parameters>"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Network):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[Any, ...]:
        return self.sizes, self.hidden, self.output, self.loss, self.embeddings

    @property
    def layers(self) -> Layers:
        """The network in the form that kernels take; made once, and not kept in pickles."""
        if self._layers is None:
            units = [UNITS[name].code for name in (*self.hidden, self.output)]
            embeddings = None
            if self._embeddings is not None:
                embeddings = for_kernels(self._embeddings, n_parameters_of(self.dense_sizes))
            self._layers = Layers(
                sizes=np.array(self.dense_sizes, dtype=np.int64),
                units=np.array(units, dtype=np.int64),
                loss=self.loss.for_kernels(self.sizes[-1]),
                embeddings=embeddings,
            )
        return self._layers

    @property
    def spare(self) -> ReusableSums:
        """The memory and threads of the last call, for the next one."""
        return self._spare

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "_layers": None}
        del state["_spare"], state["_n_parameters"]
        if self.loss == default_for(self.output):  # as in the files of earlier versions
            del state["_loss"]
        if self._embeddings is None:
            del state["_embeddings"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _spare=ReusableSums())
        self.__dict__.setdefault("_loss", default_for(self.output))
        self.__dict__.setdefault("_embeddings", None)
        self._n_parameters = self._length_of_theta()

    def initial_parameters(
        self, seed: int = 0, dtype: Any = "float64", *, scheme: str = "glorot"
    ) -> NDArray[Any]:
        """Random initial values, weights and biases alike.

        Those of a layer are drawn from U(-r, r); "glorot" has r = sqrt(f / (n_in + n_out)) with
        f = 6, or 2 for a layer of sigmoid units (equation I1); "he" has r = sqrt(6 / n_in) for a
        layer of relu units, and I1 for the others (equation I2).

        Parameters
        ----------
        seed : int
            Seed of the generator, not negative. The same seed gives the same bits; float32 values
            are the float64 ones, rounded.
        dtype : "float64" or "float32"
        scheme : "glorot" or "he"

        Returns
        -------
        theta : ndarray (n_parameters,)

        Notes
        -----
        Layer by layer, W row by row, then b, from NumPy's PCG64. Sources: Glorot & Bengio 2010,
        section 4.2.1 (biases drawn like weights: scikit-learn's choice); He et al. 2015, section
        2.2, as a uniform distribution of the same variance.

        Examples
        --------
        >>> from engine import Network
        >>> Network((2, 1)).initial_parameters(seed=0).round(3)
        array([ 0.224, -0.376, -0.75 ])
        """
        settings.whole_number("seed", seed, at_least=0)
        settings.one_of("scheme", scheme, ("glorot", "he"))
        settings.one_of("dtype", np.dtype(dtype).name, ("float32", "float64"))
        generator = np.random.Generator(np.random.PCG64(seed))
        theta = np.empty(self.n_parameters)
        if self._embeddings is not None:
            self.draw_above_embeddings(theta, generator)
            return theta.astype(np.dtype(dtype).newbyteorder("="))
        units = (*self.hidden, self.output)
        for unit, (W, b) in zip(units, self.views(theta), strict=True):
            n_out, n_in = W.shape
            r = np.sqrt(UNITS[unit].gain / (n_in + n_out))  # I1
            if scheme == "he" and unit == "relu":
                r = np.sqrt(6 / n_in)  # I2
            W[:] = generator.uniform(-r, r, W.shape)
            b[:] = generator.uniform(-r, r, b.shape)
        return theta.astype(np.dtype(dtype).newbyteorder("="))

    def draw_above_embeddings(self, theta: NDArray[Any], generator: Any) -> None:
        """Initial values of a network with embeddings, into theta (equations I3 and I4)."""
        for W, b in self.views(theta):
            r = W.shape[1] ** -0.5
            W[:] = generator.uniform(-r, r, W.shape)  # I4
            b[:] = generator.uniform(-r, r, b.shape)
        if self.hidden:  # the first step then changes the last layer alone
            W[:], b[:] = 0, 0
        for entry, views in zip(self.embeddings or (), self.embedding_views(theta), strict=False):
            if entry is not None:
                entry.draw(views, generator)

    def views(self, theta: NDArray[Any]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """The weights and biases of each layer, as views of a flat vector.

        Parameters
        ----------
        theta : ndarray (n_parameters,)
            Any contiguous vector of that length: parameters, a gradient, an optimiser's state.

        Returns
        -------
        list of (W, b)
            In layer order: W (n_l, n_{l-1}) in C order, b (n_l,). Writing to one writes to theta.

        Raises
        ------
        ValueError
            For another length, or a vector that is not contiguous: its views would be copies.

        Examples
        --------
        >>> from engine import Network
        >>> network = Network((2, 4, 1))
        >>> theta = network.initial_parameters()
        >>> [(W.shape, b.shape) for W, b in network.views(theta)]
        [((4, 2), (4,)), ((1, 4), (1,))]
        """
        arrays.require_viewable(theta, self.n_parameters)
        return views_of(theta, self.dense_sizes)

    def embedding_views(self, theta: NDArray[Any]) -> list[Any]:
        """The parameters of each input's embedding, as views of a flat vector.

        Parameters
        ----------
        theta : ndarray (n_parameters,)
            As for `views`.

        Returns
        -------
        list
            An entry for each input: of `Pieces` the tuple (c, w, u, V) of equation E2, with c and w
            (width,), u (width,) or, if nothing may be missing, (0,), and V (T, width); of `Levels`
            the vectors V (n_levels, width); None of an input that is taken as it is.

        Raises
        ------
        ValueError
            For another length, or a vector that is not contiguous.

        Examples
        --------
        >>> from engine import Network
        >>> from engine.embeddings import Levels
        >>> network = Network((2, 1), embeddings=[None, Levels(2, width=1)])
        >>> _, vectors = network.embedding_views(network.initial_parameters())
        >>> vectors.shape
        (2, 1)
        """
        arrays.require_viewable(theta, self.n_parameters)
        return [
            None if entry is None else entry.views(theta, self.layers.embeddings, f)
            for f, entry in enumerate(self.embeddings or [None] * self.sizes[0])
        ]

    def embedding_parts(self, theta: NDArray[Any]) -> list[NDArray[Any]]:
        """The arrays of `embedding_views` that are not empty, in the order of theta."""
        if self._embeddings is None:
            return []
        views = self.embedding_views(theta)
        entries = (view if isinstance(view, tuple) else (view,) for view in views)
        return [part for parts in entries for part in parts if part is not None and part.size]

    def forward(self, theta: ArrayLike, X: ArrayLike, backend: str | None = None) -> NDArray[Any]:
        """Activations of the output layer.

        Parameters
        ----------
        theta : ndarray (n_parameters,)
            Of the dtype that X is computed in.
        X : array_like (n_0, m)
            One sample per column, any memory order. float32 is computed in float32, all else in
            float64.
        backend : "numpy", "loops", "tiled" or None
            None is the fastest, "tiled".

        Returns
        -------
        A : ndarray (n_L, m)
            In C order, of the dtype of theta.

        Raises
        ------
        ValueError, TypeError
            For shapes, dtypes or entries that do not fit; the message says which.

        Notes
        -----
        sum_l n_l n_{l-1} multiply-adds a sample, in chunks of 1024 samples. Equations F1 to F7.

        Examples
        --------
        >>> import numpy as np
        >>> from engine import Network
        >>> Network((2, 1)).forward(np.array([20.0, 20.0, -30.0]), np.array([[1.0], [1.0]]))
        array([[0.9999546]])
        """
        samples = Samples(self.checked_inputs(X))
        parameters = arrays.parameters(theta, self.n_parameters, samples.X.dtype)
        chosen = settings.find_backend(backend)
        return forward(chosen, self.layers, samples, parameters)

    def input_jacobian(
        self, theta: ArrayLike, X: ArrayLike, backend: str | None = None
    ) -> NDArray[Any]:
        """Derivatives of the outputs by the inputs, of each sample.

        Parameters
        ----------
        theta : ndarray (n_parameters,)
            Of the dtype that X is computed in.
        X : array_like (n_0, m)
            One sample per column, any memory order. float32 is computed in float32, all else in
            float64. Not sparse.
        backend : "numpy", "loops", "tiled" or None
            None is the fastest, "tiled".

        Returns
        -------
        jacobian : ndarray (m, n_L, n_0)
            jacobian[i, j, k] is the derivative of output j of sample i by its input k, of the
            activations: the slope of the output unit is included. In C order, of the dtype of
            theta.

        Raises
        ------
        ValueError, TypeError
            For shapes, dtypes or entries that do not fit; the message says which.

        Notes
        -----
        (1 + n_L) sum_l n_l n_{l-1} multiply-adds a sample: a forward pass, and a backward pass for
        each output unit. The slope of a relu unit at its kink is 0. Slopes of sigmoid units come
        from their pre-activations, and so keep their digits where the unit saturates. Equations
        B3 to B8, B11 and B12.

        Examples
        --------
        Of one sigmoid unit it is a (1 - a) W:

        >>> import numpy as np
        >>> from engine import Network
        >>> X = np.array([[0.0], [1.0]])
        >>> Network((2, 1)).input_jacobian(np.array([4.0, 8.0, -8.0]), X)
        array([[[1., 2.]]])
        """
        return self._jacobian(theta, X, backend, of_parameters=False)

    def parameter_jacobian(
        self, theta: ArrayLike, X: ArrayLike, backend: str | None = None
    ) -> NDArray[Any]:
        """Derivatives of the outputs by the parameters, of each sample.

        Parameters
        ----------
        theta : ndarray (n_parameters,)
            Of the dtype that X is computed in.
        X : array_like (n_0, m)
            One sample per column, any memory order. float32 is computed in float32, all else in
            float64. Not sparse.
        backend : "numpy", "loops", "tiled" or None
            None is the fastest, "tiled".

        Returns
        -------
        jacobian : ndarray (m, n_L, n_parameters)
            jacobian[i, j, p] is the derivative of output j of sample i by theta[p], of the
            activations: the slope of the output unit is included. In C order, of the dtype of
            theta. `views` of jacobian[i, j] has the parts of each layer.

        Raises
        ------
        ValueError, TypeError
            For shapes, dtypes or entries that do not fit; the message says which.

        Notes
        -----
        (1 + n_L) sum_l n_l n_{l-1} multiply-adds a sample, and n_L n_parameters products, which
        are all kept: m n_L n_parameters numbers. For many samples, ask for some at a time;
        `Objective.gauss_newton` sums their products without keeping them. Equations B3 to B8, B11
        and B13.

        Examples
        --------
        Of one identity unit it is the input, and 1 for the bias:

        >>> import numpy as np
        >>> from engine import Network
        >>> network = Network((2, 1), output="identity")
        >>> network.parameter_jacobian(np.zeros(3), np.array([[4.0], [5.0]]))
        array([[[4., 5., 1.]]])
        """
        return self._jacobian(theta, X, backend, of_parameters=True)

    def _jacobian(
        self, theta: ArrayLike, X: ArrayLike, backend: str | None, of_parameters: bool
    ) -> NDArray[Any]:
        self.require_no_embeddings("A Jacobian")
        samples = Samples(self.checked_inputs(X))
        parameters = arrays.parameters(theta, self.n_parameters, samples.X.dtype)
        chosen = settings.find_backend(backend)
        with np.errstate(all="ignore"):
            return jacobian(chosen, self.layers, samples, parameters, of_parameters)

    def objective(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        alpha: float = 0.0,
        backend: str | None = None,
        n_threads: int | None = None,
        names: tuple[str, str] = ("X", "Y"),
    ) -> Objective:
        """J on these data as a function of theta alone, for callers that evaluate it many times.

        Arguments as in `cost_and_gradient`, checked once, here; `names` are what messages call X
        and Y. It holds a workspace, so that only one thread may evaluate it at a time. A theta of
        another dtype than X, such as SciPy's optimisers pass, is converted.

        Examples
        --------
        >>> from scipy.optimize import minimize
        >>> from engine import Network
        >>> network = Network((2, 4, 1))
        >>> objective = network.objective([[0, 0, 1, 1], [0, 1, 0, 1]], [1, 0, 0, 1], alpha=0.01)
        >>> start = network.initial_parameters(seed=0)
        >>> found = minimize(objective.cost_and_gradient, start, jac=True, method="L-BFGS-B")
        >>> bool(found.success), bool(found.fun < objective.cost(start))
        (True, True)
        """
        samples = self.samples(X, Y, sample_weight, names)
        alpha = settings.real_number("alpha", alpha, low=0)
        n_threads = settings.thread_count(n_threads)
        chosen = settings.find_backend(backend)
        return Objective(chosen, self.layers, samples, alpha, n_threads)

    def checked_inputs(self, X: ArrayLike, name: str = "X", dtype: Any = None) -> NDArray[Any]:
        """X (n_0, m), checked; float32 if it is that already, else float64 (or of `dtype`)."""
        checked = arrays.inputs(X, self.sizes[0], name, dtype, finite=self._embeddings is None)
        if self.layers.embeddings is not None:
            embeddings = self.layers.embeddings
            refuse_wrong_inputs(name, checked, embeddings.levels, embeddings.missing)
        return checked

    def samples(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        names: tuple[str, str] = ("X", "Y"),
        finite: bool = True,
    ) -> Samples:
        """These data, checked: what `objective` and `train` begin with.

        `names` are what messages call X and Y. With `finite=False`, X may hold NaN and infinity.
        """
        self.loss.require_function()
        if self._embeddings is not None:
            X, finite = self.checked_inputs(X, names[0]), False
        found = checked_samples(
            X,
            Y,
            sample_weight,
            n_in=self.sizes[0],
            n_out=self.sizes[-1],
            output=self.output,
            loss=self.loss.row,
            one_target=self.loss.n_outputs is not None,
            names=names,
            finite=finite,
        )
        return Samples(*found)

    def cost_and_gradient(
        self,
        theta: ArrayLike,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        alpha: float = 0.0,
        backend: str | None = None,
        n_threads: int | None = None,
    ) -> tuple[float, NDArray[Any]]:
        """The mean cost J and its gradient with respect to theta.

        J = (sum_i s_i J_i + alpha/2 sum_l ||W[l]||^2) / sum_i s_i (equation L6).

        Parameters
        ----------
        theta : ndarray (n_parameters,)
            Of the dtype that X is computed in.
        X : array_like (n_0, m)
            One sample per column, any memory order. float32 is computed in float32, all else in
            float64.
        Y : array_like (n_L, m), or (m,)
            Targets, one sample per column; (m,) for one output unit, or class codes 0 ... n_L - 1
            for a softmax output. Sigmoid targets lie between 0 and 1, softmax columns sum to 1,
            exp targets are not negative, or above 0 for "gamma". Several quantiles have one target:
            (m,) or (1, m).
        sample_weight : array_like (m,), optional
            Weights s_i, not negative, not all 0; 1 each where not given.
        alpha : float
            Strength of the L2 penalty on the weights, at least 0; biases are not penalised.
        backend : "numpy", "loops", "tiled" or None
            None is the fastest, "tiled".
        n_threads : int, optional
            Threads that share the chunks of samples; None is as many as are worth their
            overhead. The bits of the result do not depend on it.

        Returns
        -------
        J : float
            inf or NaN where the parameters take the computation out of range.
        dtheta : ndarray (n_parameters,)
            dJ/dtheta, of the dtype of theta.

        Raises
        ------
        ValueError, TypeError
            For shapes, dtypes or entries that do not fit; the message says which.

        Notes
        -----
        Two to three sum_l n_l n_{l-1} multiply-adds a sample: two for layer 1, three above. The
        network keeps the workspaces and threads of its last call for the next. Costs
        come from pre-activations, never from a rounded activation. Sums run over chunks of 1024
        samples in the dtype of theta; the chunk sums are added in float64. NumPy's products go
        through BLAS, whose last bits may change with its number of threads. Equations F1 to F7,
        L1 to L15, B1 to B10.

        Examples
        --------
        With no hidden layer and all parameters 0, J on XNOR is log 2, and no direction lowers it:

        >>> import numpy as np
        >>> from engine import Network
        >>> X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
        >>> J, dtheta = Network((2, 1)).cost_and_gradient(np.zeros(3), X, [1, 0, 0, 1])
        >>> round(J, 6), dtheta
        (0.693147, array([0., 0., 0.]))
        """
        alpha = settings.real_number("alpha", alpha, low=0)
        n_threads = settings.thread_count(n_threads)
        chosen = settings.find_backend(backend)
        # If an entry of X is not finite, a column of dJ/dW[1] is not finite either. So X is only
        # searched for such an entry if the gradient is not finite, which saves a pass over X.
        late = chosen is TILED
        samples = self.samples(X, Y, sample_weight, finite=not late)
        parameters = arrays.parameters(theta, self.n_parameters, samples.dtype)
        objective = Objective(chosen, self.layers, samples, alpha, n_threads, self._spare)
        cost, dtheta = objective.cost_and_gradient(parameters)
        assert isinstance(objective.sums, ChunkSums)  # as samples are arrays here
        self._spare.keep(objective.sums)
        if late and not np.isfinite(dtheta).all():
            self.checked_inputs(X)
        return cost, dtheta
