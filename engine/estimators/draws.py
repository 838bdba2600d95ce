"""Random draws as scikit-learn makes them, so that the same random_state gives the same numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from engine.network import Network


def generator_of(random_state: Any) -> np.random.RandomState:
    """The generator for a `random_state`: a new one, the caller's, or NumPy's own for None.

    Shuffles are drawn in compiled code, which knows MT19937 alone; a RandomState of another bit
    generator gives the seed of one.
    """
    generator: np.random.RandomState = check_random_state(random_state)
    state: Any = generator.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        return np.random.RandomState(generator.randint(2**31))
    return generator


def initial_parameters(
    network: Network, generator: np.random.RandomState, dtype: Any, activation: str
) -> NDArray[Any]:
    """scikit-learn's initial values: I1, where f goes by the hidden units, for the output as well.

    Each layer's W is drawn input by input, then its b. The output goes by the last hidden layer;
    `activation` is what it goes by where there is none.
    """
    hidden = network.hidden or (activation,)
    theta = np.empty(network.n_parameters)
    for l, (W, b) in enumerate(network.views(theta)):
        n_out, n_in = W.shape
        factor = 2.0 if hidden[min(l, len(hidden) - 1)] == "sigmoid" else 6.0
        r = np.sqrt(factor / (n_in + n_out))
        W.T[:] = generator.uniform(-r, r, (n_in, n_out))
        b[:] = generator.uniform(-r, r, n_out)
    return theta.astype(dtype)
