"""UNITS: each kind of unit, with its names in other libraries and the facts on its activation.

The functions that compute it are in `activations.py`, and take its code. This module does not
import Numba, so that a model file can be read without the compiler.
"""

import math
from typing import NamedTuple

TANH, SIGMOID, RELU, IDENTITY, SOFTMAX, EXP = range(6)


class Unit(NamedTuple):
    """A kind of unit.

    Attributes
    ----------
    code : int
        What the functions of `activations.py` take.
    name : str
        What users write.
    sklearn : str
        What scikit-learn calls it.
    onnx : str
        The operator of ONNX.
    hidden, output : bool
        Whether hidden layers, and the output layer, can have it.
    gain : float
        f of equation I1: initial values are drawn from U(-r, r), r = sqrt(f / (n_in + n_out)).
    saturation : float
        The |z| from which on the activation is within 1 % of a limit; infinity where it has none.
    """

    code: int
    name: str
    sklearn: str
    onnx: str
    hidden: bool = False
    output: bool = False
    gain: float = 6.0
    saturation: float = math.inf


UNITS = {
    unit.name: unit
    for unit in (
        Unit(TANH, "tanh", "tanh", "Tanh", hidden=True, saturation=math.atanh(0.99)),
        Unit(
            SIGMOID,
            "sigmoid",
            "logistic",
            "Sigmoid",
            hidden=True,
            output=True,
            gain=2.0,
            saturation=math.log(99),
        ),
        Unit(RELU, "relu", "relu", "Relu", hidden=True),
        Unit(SOFTMAX, "softmax", "softmax", "Softmax", output=True),
        Unit(IDENTITY, "identity", "identity", "Identity", hidden=True, output=True),
        Unit(EXP, "exp", "exp", "Exp", output=True),
    )
}
# The names that users write, in the order in which messages list them.
HIDDEN_UNITS = tuple(unit.name for unit in UNITS.values() if unit.hidden)
OUTPUT_UNITS = tuple(unit.name for unit in UNITS.values() if unit.output)
