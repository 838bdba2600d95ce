"""The losses that a network can be trained for, beside those that have a name alone.

`Network(..., loss=...)` and `MLPRegressor(loss=...)` take a name or one of these:

    Huber(delta)       squared error near the target, absolute error far from it
    Quantile(level)    a quantile of the target; several levels: an output for each
    Tweedie(power)     deviance of targets that are 0 or positive, such as claims or rain
    Compiled(function) a function of your own

A loss cannot be changed once it is made, can be pickled and compared, and is the same object for
any number of networks. docs/losses.md shows what each is for.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.boundary import settings
from engine.boundary.own_losses import wrong_derivative
from engine.equations.losses import COMPILED, LOSSES, KernelLoss
from engine.equations.losses import Loss as Row
from engine.equations.own_loss import (
    digest_of,
    loss_functions,
    plain_function,
    takes_two_numbers,
)
from engine.equations.units import OUTPUT_UNITS

__all__ = ["Compiled", "Huber", "Loss", "Quantile", "Tweedie"]


class Loss:
    """A loss by name: the base of the others.

    Parameters
    ----------
    name : str
        "squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma" or
        "cross_entropy". "huber" has delta 1, "quantile" is the median.

    Attributes
    ----------
    name : str
    numbers : tuple of float
        The numbers of the loss: delta, levels or power.

    Raises
    ------
    ValueError
        For another name, and for "tweedie", which needs a number.

    Examples
    --------
    >>> from engine import Network, losses
    >>> losses.Loss("huber").numbers
    (1.0,)
    >>> Network((1, 1), output="exp", loss=losses.Loss("gamma"))
    <Network 1-1: exp output, Loss('gamma'), 2 parameters>
    """

    def __init__(self, name: str) -> None:
        row = LOSSES.get(name) if isinstance(name, str) else None
        if row is None or row.code == COMPILED:
            names = settings.listed(one.name for one in LOSSES.values() if needs_only_a_name(one))
            own = " For a function of your own, pass engine.losses.Compiled(function)."
            advice = did_you_mean(name, LOSSES) if row is None else own
            raise ValueError(f"A loss must be {names}; got {name!r}.{advice}")
        if not needs_only_a_name(row):
            raise ValueError(
                f"The loss {name!r} has no default for its {row.number}: pass "
                f"engine.losses.{name.capitalize()}({row.number})."
            )
        self._numbers: tuple[float, ...] = () if row.parameter is None else (row.parameter,)
        self._row = row

    @property
    def name(self) -> str:
        return self._row.name

    @property
    def numbers(self) -> tuple[float, ...]:
        return self._numbers

    @property
    def row(self) -> Row:
        """Its row of LOSSES."""
        return self._row

    @property
    def n_outputs(self) -> int | None:
        """Output units for a target of one column; None if each target has one unit of its own."""
        return None

    def predictions(self, A: NDArray[Any]) -> NDArray[Any]:
        """What the estimators predict for activations A (n_L,) or (m, n_L) of the output layer."""
        return A

    @property
    def in_words(self) -> str:
        """Its name and numbers: the same text for equal losses, in any process."""
        return " ".join([self.name, *map(repr, self.numbers)])

    @property
    def as_json(self) -> dict[str, Any]:
        """What a model file holds of it; `of_json` makes the loss of that."""
        return {"name": self._row.name, "numbers": list(self.numbers)}

    @property
    def output(self) -> str:
        """The output unit that it belongs to, if only one does."""
        return self._row.units[0]

    @property
    def units(self) -> tuple[str, ...]:
        """The output units that it goes with."""
        return self._row.units

    def without_function(self) -> "Loss":
        """The loss as a model file holds it: itself, but for a function of the user's own."""
        return self

    def require_function(self) -> None:
        """ValueError if the loss is known by its name alone."""

    def wrong_derivative(self, targets: NDArray[Any]) -> str:
        """A message if a function of the user's own is far from right for targets; else empty."""
        return ""

    def for_kernels(self, n_outputs: int, width: float = 0.0) -> KernelLoss:
        """What kernels take, for so many output units; `width` smooths a kink."""
        numbers = np.array(self._numbers or (0.0,), np.float64)
        return KernelLoss(self._row.code, np.resize(numbers, n_outputs), width)

    def _identity(self) -> tuple[Any, ...]:
        return self.name, self._numbers

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loss) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        return f"Loss({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name,)

    def __copy__(self) -> "Loss":
        return self

    def __deepcopy__(self, memo: Any) -> "Loss":
        return self


def needs_only_a_name(row: Row) -> bool:
    """Whether the name of a loss says all: it has no function, and no number without a default."""
    return row.code != COMPILED and (row.parameter is not None or not row.number)


def _shown(number: float) -> str:
    """A number as short as it can be, with all of its digits."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


# What losses are called elsewhere.
OTHER_NAMES = {
    **dict.fromkeys(("mse", "rmse", "l2", "mean_squared_error", "squared_loss"), "squared_error"),
    **dict.fromkeys(("mae", "l1", "mean_absolute_error", "absolute_loss"), "absolute_error"),
    **dict.fromkeys(("log_cosh", "logcosh", "smooth_l1", "huber_loss"), "huber"),
    **dict.fromkeys(("pinball", "pinball_loss", "median"), "quantile"),
    **dict.fromkeys(("log_loss", "bce", "crossentropy"), "cross_entropy"),
}


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """A question that names the known loss of another name, or one that is spelt like it.

    >>> did_you_mean("MSE", LOSSES), did_you_mean("gama", LOSSES), did_you_mean("x", LOSSES)
    (" Did you mean 'squared_error'?", " Did you mean 'gamma'?", '')
    """
    plain = str(name).lower().replace("-", "_").replace(" ", "_")
    near = get_close_matches(OTHER_NAMES.get(plain, plain), [*known], n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


@functools.cache
def named(name: str) -> Loss:
    """The loss of a name, made once."""
    return Loss(name)


class Huber(Loss):
    """Half the squared error up to delta, and the absolute error beyond (L8).

    Outliers pull less than by the squared error, and small errors count as with it. Scale targets
    to variance 1 first.

    Parameters
    ----------
    delta : float
        Above this error the loss grows linearly; above 0, in units of the target.

    Notes
    -----
    J_i = sum_j [ e_j^2 / 2 where |e_j| <= delta, else delta (|e_j| - delta / 2) ],  e = a - y.
    Source: Huber 1964, Annals of Mathematical Statistics 35, section 4.

    Examples
    --------
    >>> from engine import Network, losses
    >>> network = Network((1, 1), output="identity", loss=losses.Huber(delta=0.5))
    >>> network.cost_and_gradient([0.0, 0.0], [[1.0]], [3.0])
    (1.375, array([-0.5, -0.5]))
    """

    def __init__(self, delta: float = 1.0) -> None:
        super().__init__("huber")
        self._numbers = (settings.real_number("delta", delta, low=0, low_included=False),)

    @property
    def delta(self) -> float:
        """Above this error the loss grows linearly."""
        return self._numbers[0]

    def __repr__(self) -> str:
        return f"Huber(delta={_shown(self.delta)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.delta,)


class Quantile(Loss):
    """The pinball loss, whose minimum is a quantile of the target (L7).

    Parameters
    ----------
    level : float, or sequence of float
        The level of the quantile, between 0 and 1; 0.5 is the median. With several levels, which
        must rise, the network has an output unit for each, and the target has one column.

    Notes
    -----
    J_i = sum_j max(q_j (y - a_j), (q_j - 1)(y - a_j)). The estimators' `predict` sorts the
    quantiles of each row, so that they never cross (Chernozhukov, Fernandez-Val & Galichon 2010,
    Econometrica 78, section 2); `Network.forward` gives the outputs as they are. Source: Koenker &
    Bassett 1978, Econometrica 46, section 3.

    Examples
    --------
    >>> from engine import Network, losses
    >>> network = Network((1, 3), output="identity", loss=losses.Quantile([0.1, 0.5, 0.9]))
    >>> cost, _ = network.cost_and_gradient([0.0] * 6, [[1.0]], [2.0])
    >>> round(cost, 12)  # 2 (0.1 + 0.5 + 0.9)
    3.0
    """

    def __init__(self, level: float | Sequence[float] | NDArray[Any] = 0.5) -> None:
        super().__init__("quantile")
        is_sequence = isinstance(level, Sequence | np.ndarray) and not isinstance(level, str)
        several = is_sequence and np.ndim(level) > 0
        given: Any = level if several else [level]
        levels = tuple(settings.number_between("level", one, 0, 1) for one in given)
        if not levels or not all(one < other for one, other in pairwise(levels)):
            raise ValueError(
                "level must be a number, or several that rise from one to the next, such as "
                f"0.1, 0.5 and 0.9; got {level!r}."
            )
        self._numbers = levels
        self._several = several

    @property
    def levels(self) -> tuple[float, ...]:
        """The level of each output, or the one level of all."""
        return self._numbers

    @property
    def n_outputs(self) -> int | None:
        return len(self._numbers) if len(self._numbers) > 1 else None

    def predictions(self, A: NDArray[Any]) -> NDArray[Any]:
        """The quantiles of each row, in order."""
        return A if self.n_outputs is None else np.sort(A, axis=-1)

    def __repr__(self) -> str:
        shown = list(self._numbers) if len(self._numbers) > 1 else self._numbers[0]
        return f"Quantile({shown})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._numbers if self._several else self._numbers[0],)


class Tweedie(Loss):
    """Half the Tweedie deviance, for targets that are 0 or positive (L10).

    Sums of a random number of positive amounts: rain in a day, the claims of a year.

    Parameters
    ----------
    power : float
        p of Var[y] ~ mean^p, between 1 and 2: nearer to 1 many small amounts, nearer to 2 few.

    Notes
    -----
    J_i = sum_j [ y^(2-p) / ((1-p)(2-p)) - y a^(1-p) / (1-p) + a^(2-p) / (2-p) ], a = e^z.
    Source: Jorgensen 1987, JRSS B 49, section 4.

    Examples
    --------
    >>> from engine import Network, losses
    >>> network = Network((1, 1), output="exp", loss=losses.Tweedie(1.5))
    >>> network.cost_and_gradient([0.0, 0.0], [[1.0]], [0.0])
    (2.0, array([1., 1.]))
    """

    def __init__(self, power: float) -> None:
        self._row = LOSSES["tweedie"]
        named = {0: "squared_error", 1: "poisson", 2: "gamma"}
        if settings.any_number("power", power) in named:
            raise ValueError(
                f"power must be above 1 and below 2; got {power:g}. For 0, 1 and 2 the losses are "
                f"{settings.listed(named.values()).replace(' or ', ' and ')}."
            )
        self._numbers = (settings.number_between("power", power, 1, 2),)

    @property
    def power(self) -> float:
        """p of Var[y] ~ mean^p."""
        return self._numbers[0]

    def __repr__(self) -> str:
        return f"Tweedie({_shown(self.power)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.power,)


class Compiled(Loss):
    """A loss of your own: a function that Numba compiles (L15).

    Parameters
    ----------
    function : callable
        Of two numbers (z, y): the pre-activation of an output unit, and its target. It returns two
        numbers, the cost of this unit and its derivative by z; or a third number h, which
        solver="lm" needs: the second derivative by z where that is positive everywhere, or else a
        positive number in its place, such as derivative / error. Numbers are float32 or float64,
        as the data. The function may use arithmetic, `if`, `math`, and
        functions that `numba.njit` has decorated; it needs no decorator itself. It may not
        allocate, or raise. What it uses of other variables is taken as it is when the loss is
        made.
    output : "identity", "sigmoid" or "exp"
        The output unit of the network, which turns z into a prediction.

    Raises
    ------
    TypeError
        If it is no function of two arguments.
    ValueError
        If Numba cannot compile the function, if it allocates or may raise, or if it returns other
        than two or three numbers.

    Notes
    -----
    It is compiled once, in about half a second, as a loop over a block of samples, which the
    kernels call by its address. The kernels are not compiled anew. Training warns of a derivative
    that is far from that of the cost; `engine.verify` checks it and h closely. A model file holds
    the name of the function, not the function: the model predicts, and can be trained on after
    `set_params(loss=...)`.

    Examples
    --------
    >>> import math
    >>> from engine import Network, losses
    >>> def log_cosh(z, y):
    ...     e = z - y
    ...     return math.log(math.cosh(e)), math.tanh(e), 1 - math.tanh(e) ** 2
    >>> network = Network((1, 1), output="identity", loss=losses.Compiled(log_cosh))
    >>> cost, gradient = network.cost_and_gradient([0.0, 0.0], [[1.0]], [2.0])
    >>> round(cost, 6), gradient.round(6)
    (1.325003, array([-0.964028, -0.964028]))
    """

    def __init__(self, function: Callable[..., Any], output: str = "identity") -> None:
        self._row = LOSSES["compiled"]
        self._numbers = ()
        self._output = settings.one_of("output", output, self._row.units)
        self._function = plain_function(function)
        if not takes_two_numbers(self._function):
            raise TypeError(f"A loss must be a function of two numbers (z, y); got {function!r}.")
        self._digest = digest_of(self._function)
        self._loops = loss_functions(self._function)

    @property
    def name(self) -> str:
        """The name of the function."""
        return str(self._function.__name__)

    @property
    def output(self) -> str:
        return self._output

    @property
    def units(self) -> tuple[str, ...]:
        return (self._output,)

    @property
    def has_curvature(self) -> bool:
        """Whether the function returns h as well."""
        return self._loops.has_curvature

    def wrong_derivative(self, targets: NDArray[Any]) -> str:
        return wrong_derivative(self.for_kernels(1), self.name, self._output, targets)

    def for_kernels(self, n_outputs: int, width: float = 0.0) -> KernelLoss:
        return self._loops.for_kernels(n_outputs)

    @property
    def in_words(self) -> str:
        return f"{self!r}, whose code is {self._digest}"

    @property
    def as_json(self) -> dict[str, Any]:
        return self.without_function().as_json

    def without_function(self) -> Loss:
        return WithoutFunction(self.name, self._output)

    def _identity(self) -> tuple[Any, ...]:
        return "compiled", self.name, self._output, self._digest

    def __repr__(self) -> str:
        return f"Compiled({self.name}, output={self._output!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._function, self._output)


class WithoutFunction(Loss):
    """A `Compiled` loss as a model file has it: by the name of its function alone.

    Its network predicts. Training and scores need the function.

    Parameters
    ----------
    name : str
        Of the function.
    output : "identity", "sigmoid" or "exp"
    """

    def __init__(self, name: str, output: str) -> None:
        if not (isinstance(name, str) and name.isprintable() and 0 < len(name) <= LONGEST_NAME):
            raise ValueError(f"The name of a function must be a short text; got {name!r:.60}.")
        self._row = LOSSES["compiled"]
        self._numbers = ()
        self._name = name
        self._output = settings.one_of("output", output, self._row.units)

    @property
    def name(self) -> str:
        """The name of the function."""
        return self._name

    @property
    def output(self) -> str:
        return self._output

    @property
    def units(self) -> tuple[str, ...]:
        return (self._output,)

    @property
    def in_words(self) -> str:
        return repr(self)

    @property
    def as_json(self) -> dict[str, Any]:
        return {"name": "compiled", "function": self._name, "output": self._output}

    def require_function(self) -> None:
        """Raise a ValueError that says how to pass the function."""
        raise ValueError(
            f"A model file keeps the name of a loss of your own, {self._name!r}, and not the "
            "function. The model predicts; to train or score it, pass the function: set_params("
            f"loss=losses.Compiled({self._name}{_output_of(self._output)})), or the same loss for "
            "a Network."
        )

    def for_kernels(self, n_outputs: int, width: float = 0.0) -> KernelLoss:
        """A code that kernels refuse, for whoever asks for more than a forward pass."""
        return KernelLoss(NO_LOSS, np.zeros(n_outputs), width)

    def _identity(self) -> tuple[Any, ...]:
        return "without function", self._name, self._output

    def __repr__(self) -> str:
        return f"WithoutFunction({self._name!r}, {self._output!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._name, self._output)


LONGEST_NAME = 200
NO_LOSS = -1


def _output_of(output: str) -> str:
    return "" if output == "identity" else f", output={output!r}"


def of_json(words: Any) -> Loss:
    """The loss of what a file holds; ValueError, or another error, if that is none."""
    name = words["name"]
    if name == "compiled":
        return WithoutFunction(words["function"], words["output"])
    numbers = words["numbers"]
    kinds: dict[str, Callable[..., Loss]] = {
        "huber": Huber,
        "tweedie": Tweedie,
        "quantile": lambda *levels: Quantile(levels if len(levels) > 1 else levels[0]),
    }
    return kinds[name](*numbers) if name in kinds else Loss(name)


def default_for(output: str) -> Loss:
    """The loss that belongs to output units of that name.

    >>> default_for("sigmoid")
    Loss('cross_entropy')
    """
    settings.one_of("output", output, OUTPUT_UNITS)
    return Loss(next(row.name for row in LOSSES.values() if output in row.units))


def chosen(loss: Any, output: str) -> Loss:
    """The loss that a user passed for these output units: a name, an object, or None."""
    if loss is None:
        return default_for(output)
    if isinstance(loss, str):
        return _named(loss, output)
    if isinstance(loss, type) and issubclass(loss, Loss):
        raise TypeError(
            f"loss must be an object, such as losses.Huber(1.0); got the class {loss.__name__}."
        )
    if not isinstance(loss, Loss):
        advice = " For a function of your own, pass losses.Compiled(function)." * callable(loss)
        raise TypeError(
            f"loss must be a name or one of engine.losses; got {type(loss).__name__}.{advice}"
        )
    if output not in loss.units:
        advice = "Choose another output or another loss."
        if output in loss.row.units:  # of a function, for any of these
            advice = f"Pass losses.Compiled({loss.name}, output={output!r})."
        raise ValueError(
            f"The loss {loss!r} goes with {settings.listed(loss.units)} output units; this network "
            f"has {output} output units. {advice}"
        )
    return loss


def _named(name: str, output: str) -> Loss:
    """The loss of that name, if it goes with these output units."""
    rows = [row for row in LOSSES.values() if output in row.units and row.code != COMPILED]
    if name in (row.name for row in rows):
        return Loss(name)
    known = settings.listed(row.name for row in rows if needs_only_a_name(row))
    advice, other = "", LOSSES.get(name)
    if other is not None and other.code != COMPILED:
        advice = f" {name!r} goes with {settings.listed(other.units)} output units."
    raise ValueError(
        f"loss must be {known} for {output} output units, or one of engine.losses; got {name!r}."
        f"{advice}"
    )
