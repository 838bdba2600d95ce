"""`compiled_forward`: a trained network as a function for the user's own compiled code."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.boundary import arrays
from engine.network import Network
from engine.sums.forward_function import STACK_BYTES, forward_function, stack_bytes


def compiled_forward(model: Any, theta: ArrayLike | None = None) -> Callable[..., None]:
    """A trained network as a function that your own ``@njit`` code can call, without allocation.

    Parameters
    ----------
    model : MLPRegressor, MLPClassifier, Model or Network
        Fitted; a `Model` is what `engine.load` reads from a .safetensors file.
    theta : ndarray (n_parameters,) or TrainResult, optional
        The parameters, where the model is a Network. float32 is computed in float32, all else in
        float64.

    Returns
    -------
    forward : function
        ``forward(x, out)`` leaves the activations of the output layer in ``out`` (n_L,), for the
        sample ``x`` (n_0,). Both are arrays of the dtype of the parameters, of any strides, and may
        be the same memory. It is called from Python and from ``@njit`` code; it takes no lock and
        keeps nothing between calls, so any number of threads may call it.

        The activations are those of `Network.forward`, whatever the model: one probability a class
        of a classifier, or that of the second class alone where there are two; one number an output
        of a regressor, before anything that its `predict` makes of them.

        It is a copy of the network: later training does not change it.

    Raises
    ------
    TypeError
        For anything else, and for a Network without theta.
    ValueError
        For another number of parameters, and for a network whose units take more than 128 KiB: a
        call keeps those of all layers on the stack.
    NotFittedError
        Before `fit`.

    Notes
    -----
    **Errors of forward.** Anything but arrays of that dtype raises TypeError in a call from Python,
    and numba's TypingError when a caller is compiled; other lengths raise ValueError in the call.
    Entries are not checked: a NaN in x makes all outputs NaN.

    **Cost.** sum_l n_l n_{l-1} multiply-adds; docs/compiled-code.md has times. The first call
    compiles, for about a second; a network of other sizes, or other parameters, is compiled again.

    **Accuracy.** The outputs agree with `Network.forward` to rounding: sums are added in another
    order.

    **Caching.** The machine code refers to the copy of the parameters by its address, so Numba does
    not keep it on disk. A function of yours with ``cache=True`` that calls it works, is compiled in
    each process, and Numba warns that it cannot be cached. That is on purpose: Numba would not
    notice that the network has been trained anew, and would go on with the old one.

    Examples
    --------
    The state of a system follows a network, dx/dt = A[L](x), in steps of Euler's method:

    >>> import numpy as np
    >>> from numba import njit
    >>> from engine import Network, compiled_forward
    >>> network = Network((2, 8, 2), output="identity")
    >>> forward = compiled_forward(network, network.initial_parameters(seed=0))
    >>> @njit
    ... def follow(x, step, n_steps):
    ...     slope = np.empty_like(x)
    ...     for _ in range(n_steps):
    ...         forward(x, slope)
    ...         for i in range(x.size):
    ...             x[i] += step * slope[i]
    ...     return x
    >>> follow(np.array([1.0, 0.0]), 0.01, 100).round(3)
    array([ 1.421, -0.366])
    """
    network, parameters = network_and_parameters(model, theta)
    network.require_no_embeddings("compiled_forward")
    needed = stack_bytes(network.layers, parameters.dtype)
    if needed > STACK_BYTES:
        raise ValueError(
            f"compiled_forward keeps the units of all layers on the stack, in at most "
            f"{STACK_BYTES} bytes; those of {network} take {needed}. Pass samples of so large a "
            "network to its forward, many at a time."
        )
    return forward_function(network.layers, parameters)


def network_and_parameters(model: Any, theta: Any) -> tuple[Network, NDArray[Any]]:
    """The network and the parameters of a model of any kind; TypeError for what is none."""
    if isinstance(model, Network):
        values = arrays.theta_of(theta)
        if values is None:
            raise TypeError(
                "A Network has no parameters of its own; pass them, too: "
                "compiled_forward(network, theta)."
            )
        array = arrays.real_array("theta", values)
        dtype = np.float32 if array.dtype == np.float32 else np.float64
        return model, arrays.parameters(array, model.n_parameters, dtype, cast=True)
    kind = type(model).__name__
    if theta is not None:
        raise TypeError(
            f"theta goes with a Network; a {kind} has parameters of its own. Leave it out."
        )
    from engine.model_files.model import Model

    if isinstance(model, Model):
        return model.network, model.theta
    from sklearn.utils.validation import check_is_fitted

    from engine.estimators.base import MultilayerPerceptron

    if not isinstance(model, MultilayerPerceptron):
        raise TypeError(
            "compiled_forward takes engine's MLPRegressor, MLPClassifier or Network, or what "
            f"engine.load gave; got a {kind}. Of a pipeline pass the last step, model[-1], and "
            "scale x in your own code."
        )
    check_is_fitted(model)
    return model._network, model._theta()
