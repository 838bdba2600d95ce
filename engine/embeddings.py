"""Inputs that become several numbers each, learnt with the network: numbers in pieces, and levels.

`Network(..., embeddings=[...])`, `MLPClassifier(embeddings=[...])` and `MLPRegressor` take a list
with an entry for each input:

    Pieces(breakpoints, width)   a number: a piecewise linear function of it for each of `width`
    Levels(n_levels, width)      a code 0 ... n_levels - 1 of a category: a vector for each level
    None                         the input as it is

A network bends a number slowly: it has to combine units for each bend. With pieces it bends at
breakpoints from the first step on, which pays on most tables where some input acts by thresholds or
peaks; on tables of few rows that are nearly linear it costs. `pieces_of` finds breakpoints in the
training rows. docs/embeddings.md shows what each is for.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.boundary import settings
from engine.boundary.arrays import float_array
from engine.equations.embeddings import (
    LEVELS,
    PIECES,
    PLAIN,
    KernelEmbeddings,
    parameters_of_pieces,
    vectors_of_levels,
)

__all__ = ["Embedding", "Levels", "Pieces", "pieces_of"]

# Pieces are divided by their length, and shorter numbers are subnormal, which kernels treat as 0.
SHORTEST = float(np.finfo(np.float64).tiny)


class Embedding:
    """How an input becomes `width` numbers. It cannot be changed, and can be compared and pickled.

    Attributes
    ----------
    width : int
    n_parameters : int
    """

    kind = PLAIN
    width = 1
    n_parameters = 0
    count = 1  # pieces or levels
    missing = False
    n_rows = 1  # of its table in the tiled form

    def views(self, theta: NDArray[Any], embeddings: KernelEmbeddings | None, f: int) -> Any:
        """Its parameters as views of theta, for input f."""
        return None

    def draw(self, views: Any, generator: Any) -> None:
        """Draw initial values of its parameters."""

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the arrays of its parameters."""
        return ()

    @property
    def as_json(self) -> dict[str, Any]:
        """What a model file holds of it; `of_json` makes the embedding of that."""
        raise NotImplementedError

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed; make another one.")

    def __copy__(self) -> "Embedding":
        return self

    def __deepcopy__(self, memo: Any) -> "Embedding":
        return self

    def _identity(self) -> tuple[Any, ...]:
        return self.kind, self.width, self.count, self.missing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Embedding) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())


class Pieces(Embedding):
    """A number in pieces: `width` piecewise linear functions of it, which bend at breakpoints.

    e_j = c_j + w_j x + sum_t V_tj piece_t(x): piece t goes from 0 at breakpoint t - 1 to 1 at
    breakpoint t; the first and the last one go on outside (equations E1 and E2). The parameters c,
    w and V are learnt.

    Parameters
    ----------
    breakpoints : array_like (T + 1,)
        Increasing and finite, at least two. Outside the outer ones, e goes on in a straight line.
    width : int
        Numbers that the input becomes.
    missing : bool
        Whether the input may be NaN. Then e_j = c_j + u_j, with a vector u of its own.

    Attributes
    ----------
    breakpoints : ndarray (T + 1,) float64
        Not to be changed.
    width, n_parameters : int
        c and w have `width` entries, V T times as many, u as many or none.
    missing : bool

    Raises
    ------
    ValueError, TypeError
        For breakpoints that do not increase, and for a width below 1.

    Notes
    -----
    Keep inputs, and so breakpoints, about 0 and of size 1, as for any network: w x is computed in
    the dtype of X. Source: Gorishniy, Rubachev and Babenko 2022, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from engine import Network
    >>> from engine.embeddings import Pieces
    >>> network = Network((2, 4, 1), embeddings=[Pieces([-1, 0, 1], width=3), None])
    >>> network
    <Network 2-4-1: tanh hidden units, sigmoid output, 1 input in pieces, 37 parameters>
    """

    kind = PIECES
    breakpoints: NDArray[np.float64]

    def __init__(self, breakpoints: ArrayLike, width: int, missing: bool = False) -> None:
        found = float_array("breakpoints", breakpoints, np.float64, advice="")
        flat = found.ravel()
        with np.errstate(over="ignore"):
            lengths = np.diff(flat)
        if found.ndim != 1 or found.size < 2 or not (flat[1:] > flat[:-1]).all():
            raise ValueError(
                "breakpoints must be at least two numbers, each larger than the one before; got "
                f"{breakpoints!r}. np.unique sorts numbers and leaves out those that are equal."
            )
        if not (np.isfinite(lengths) & (lengths >= SHORTEST)).all():
            raise ValueError(
                f"breakpoints must be {SHORTEST:g} or more apart, and by a finite number; got "
                f"{breakpoints!r}. Scale the input."
            )
        own = found.copy()
        own.setflags(write=False)
        vars(self).update(
            breakpoints=own,
            width=settings.whole_number("width", width, at_least=1),
            missing=settings.yes_or_no("missing", missing),
        )

    @property
    def count(self) -> int:  # type: ignore[override]
        """How many pieces there are."""
        return self.breakpoints.size - 1

    @property
    def n_parameters(self) -> int:  # type: ignore[override]
        """The length of c, w, u and V together."""
        return self.width * (2 + self.missing + self.count)

    @property
    def n_rows(self) -> int:  # type: ignore[override]
        """Two for each piece, and two for missing numbers."""
        return 2 * (self.count + self.missing)

    def views(self, theta: NDArray[Any], embeddings: KernelEmbeddings | None, f: int) -> Any:
        """c, w, u and V of input f, as views."""
        return parameters_of_pieces(theta, embeddings, f)  # type: ignore[no-untyped-call]

    def draw(self, views: Any, generator: Any) -> None:
        """Initial values: V from 0, so that the function begins as a straight line."""
        c, w, u, V = views
        r = LARGE * self.width**-0.5
        for part in (c, w, u):
            part[:] = generator.uniform(-r, r, part.shape)  # I3
        V[:] = 0

    def _identity(self) -> tuple[Any, ...]:
        return *super()._identity(), self.breakpoints.tobytes()

    def __repr__(self) -> str:
        missing = ", missing=True" if self.missing else ""
        return f"<{self.count} pieces, width={self.width}{missing}>"

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of c, w, u and V."""
        d = self.width
        return (d,), (d,), (d * self.missing,), (self.count, d)

    @property
    def as_json(self) -> dict[str, Any]:
        """What a model file holds of it."""
        pieces = self.breakpoints.tolist()
        return {"pieces": pieces, "width": self.width, "missing": self.missing}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.breakpoints, self.width, self.missing)


class Levels(Embedding):
    """A category: a learnt vector of `width` numbers for each of its levels.

    Parameters
    ----------
    n_levels : int
        The input is a code, 0 ... n_levels - 1.
    width : int
        Numbers that the input becomes.

    Attributes
    ----------
    n_levels, width, n_parameters : int

    Raises
    ------
    ValueError, TypeError
        For numbers below 1.

    Notes
    -----
    The vector of a level that no training row has stays as it was drawn. Give rare and unknown
    values a level of their own, such as 0, that some training rows have.

    Examples
    --------
    >>> from engine import Network
    >>> from engine.embeddings import Levels
    >>> Network((1, 1), embeddings=[Levels(3, width=2)])
    <Network 1-1: sigmoid output, 1 input in levels, 9 parameters>
    """

    kind = LEVELS
    n_levels: int

    def __init__(self, n_levels: int, width: int) -> None:
        vars(self).update(
            n_levels=settings.whole_number("n_levels", n_levels, at_least=1),
            width=settings.whole_number("width", width, at_least=1),
        )

    @property
    def count(self) -> int:  # type: ignore[override]
        """How many levels there are."""
        return self.n_levels

    @property
    def n_parameters(self) -> int:  # type: ignore[override]
        """A vector for each level."""
        return self.n_levels * self.width

    @property
    def n_rows(self) -> int:  # type: ignore[override]
        """One for each level."""
        return self.n_levels

    def views(self, theta: NDArray[Any], embeddings: KernelEmbeddings | None, f: int) -> Any:
        """The vectors of input f, as a view."""
        return vectors_of_levels(theta, embeddings, f)  # type: ignore[no-untyped-call]

    def draw(self, views: Any, generator: Any) -> None:
        """Initial values."""
        r = self.width**-0.5
        views[:] = generator.uniform(-r, r, views.shape)  # I3

    def __repr__(self) -> str:
        return f"Levels({self.n_levels}, width={self.width})"

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of its vectors."""
        return ((self.n_levels, self.width),)

    @property
    def as_json(self) -> dict[str, Any]:
        """What a model file holds of it."""
        return {"levels": self.n_levels, "width": self.width}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.n_levels, self.width)


def of_json(found: dict[str, Any]) -> Embedding:
    """The embedding that a model file describes; an error where it makes none."""
    if "levels" in found:
        return Levels(found["levels"], found["width"])
    return Pieces(found["pieces"], found["width"], found["missing"])


AS_IT_IS = Embedding()

# Of the initial values of c, w and u: on real tables, networks reach more than with 1.
LARGE = 3.0


def in_words(embeddings: Sequence[Embedding | None] | None) -> str:
    """How many inputs have which kind, as a network says it; empty without embeddings."""
    parts = []
    for kind, name in ((Pieces, "pieces"), (Levels, "levels")):
        n = sum(isinstance(entry, kind) for entry in embeddings or ())
        parts += [f"{n} input{'s' * (n > 1)} in {name}, "] if n else []
    return "".join(parts)


def checked(embeddings: Any, n_inputs: int) -> tuple[Embedding | None, ...] | None:
    """Embeddings that a user passes in; None if all inputs are as they are."""
    if embeddings is None:
        return None
    if isinstance(embeddings, Embedding | str) or not isinstance(embeddings, Sequence):
        raise TypeError(
            "embeddings must be a list with a Pieces, a Levels or None for each input; got "
            f"{embeddings!r}."
        )
    if len(embeddings) != n_inputs:
        raise ValueError(
            f"embeddings must have an entry for each of the {n_inputs} inputs, None for one that "
            f"is taken as it is; got {len(embeddings)}."
        )
    for entry in embeddings:
        if not (entry is None or isinstance(entry, Pieces | Levels)):
            raise TypeError(
                f"An entry of embeddings must be a Pieces, a Levels or None; got {entry!r}."
            )
    return None if all(entry is None for entry in embeddings) else tuple(embeddings)


def width_of(embeddings: Sequence[Embedding | None]) -> int:
    """How many numbers all inputs together become."""
    return sum((entry or AS_IT_IS).width for entry in embeddings)


def for_kernels(embeddings: Sequence[Embedding | None], n_dense: int) -> KernelEmbeddings:
    """What kernels take; `n_dense` parameters of layers come before theirs in theta."""
    entries = [entry or AS_IT_IS for entry in embeddings]
    breakpoints = [
        entry.breakpoints if isinstance(entry, Pieces) else np.empty(0) for entry in entries
    ]
    return KernelEmbeddings(
        kinds=_whole(entry.kind for entry in entries),
        counts=_whole(entry.count for entry in entries),
        missing=_whole(entry.missing for entry in entries),
        starts=_ends(entry.width for entry in entries),
        places=n_dense + _ends(entry.n_parameters for entry in entries),
        breaks=_ends(each.size for each in breakpoints)[:-1].copy(),
        breakpoints=np.concatenate(breakpoints),
        rows=_ends(entry.n_rows for entry in entries),
        numbers=_ends(entry.n_rows * entry.width for entry in entries),
    )


def _whole(numbers: Any) -> NDArray[np.int64]:
    return np.array(list(numbers), np.int64)


def _ends(lengths: Any) -> NDArray[np.int64]:
    """Where each begins, if they stand one after the other, and where the last one ends."""
    return np.concatenate(([0], np.cumsum(_whole(lengths)))).astype(np.int64)


def pieces_of(
    X: ArrayLike, n_pieces: int = 32, width: int = 16, *, y: ArrayLike | None = None
) -> list[Pieces | None]:
    """Pieces for each column of a table of numbers, with breakpoints from its rows.

    Parameters
    ----------
    X : array_like (m, n_features)
        Training rows, one sample a row. NaN is a missing value: its column gets ``missing=True``.
    n_pieces : int
        Pieces of a column at most: columns with fewer distinct values have fewer.
    width : int
        Numbers that each column becomes.
    y : array_like (m,), optional
        The target: numbers, or labels. Then breakpoints are where a small decision tree on the
        column alone splits, as many as it needs.

    Returns
    -------
    list of Pieces or None
        None for a column of one value, or of values that hardly differ: it has no pieces.

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit, and for infinity.

    Notes
    -----
    Without y breakpoints are quantiles, equally many rows from one to the next; equal ones are
    merged, as are those less than 2.3e-308 apart. A tree needs scikit-learn. Source: Gorishniy,
    Rubachev and Babenko 2022, sections 3.2.1 and 3.2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from engine.embeddings import pieces_of
    >>> pieces = pieces_of(np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0], [4.0, 5.0]]), n_pieces=2)
    >>> pieces, pieces[0].breakpoints
    ([<2 pieces, width=16>, None], array([0. , 1.5, 4. ]))
    """
    X = float_array("X", X, np.float64, finite=False)
    settings.whole_number("n_pieces", n_pieces, at_least=1)
    if X.ndim != 2 or not len(X):
        raise ValueError(f"X must have shape (n_samples, n_features); got shape {X.shape}.")
    if np.isinf(X).any():
        raise ValueError("X must be finite, or NaN where a value is missing; it holds infinity.")
    targets = None if y is None else np.asarray(y)
    if targets is not None and targets.shape != (len(X),):
        raise ValueError(
            f"y must have shape ({len(X)},), a target for each row of X; got {targets.shape}."
        )
    found: list[Pieces | None] = []
    for column in X.T:
        known = ~np.isnan(column)
        values = column[known]
        if not values.size or values.min() == values.max():
            found.append(None)
            continue
        if targets is None:
            breakpoints = np.quantile(values, np.linspace(0, 1, n_pieces + 1))
        else:
            breakpoints = _splits_of_tree(values, targets[known], n_pieces)
        kept = _far_enough(np.unique(breakpoints))
        pieces = Pieces(kept, width, missing=not known.all()) if kept.size > 1 else None
        found.append(pieces)
    return found


def _far_enough(breakpoints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Increasing breakpoints without those too close to the one before."""
    kept = [*breakpoints[:1]]
    for one in breakpoints[1:]:
        if one - kept[-1] >= SHORTEST:
            kept.append(one)
    return np.array(kept)


def _splits_of_tree(
    values: NDArray[np.float64], y: NDArray[Any], n_pieces: int
) -> NDArray[np.float64]:
    """Where a tree of at most `n_pieces` leaves splits, between the smallest and largest value."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind = DecisionTreeRegressor if y.dtype.kind == "f" else DecisionTreeClassifier
    tree = kind(max_leaf_nodes=max(2, n_pieces), random_state=0)
    tree.fit(values[:, np.newaxis], y)
    inner = tree.tree_.threshold[tree.tree_.children_left >= 0]
    return np.concatenate(([values.min()], inner, [values.max()]))
