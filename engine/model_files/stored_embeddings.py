"""The embeddings that a file describes, checked and computed without Numba.

A file holds a list with an entry for each input: {"pieces": [b_0, ..., b_T], "width": d,
"missing": false}, {"levels": n, "width": d}, or null for an input as it is; nothing at all for a
network without embeddings. `Embedding.of_json` makes the objects.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engine.embeddings import Embedding

Entry = dict[str, Any] | None  # as it stands in a file
PIECES, LEVELS = "pieces", "levels"
MOST = 1 << 40  # of a width, or of levels: more than any file has numbers
SHORTEST = float(np.finfo(np.float64).tiny)  # as in engine/embeddings.py


def are_embeddings(found: Any, n_inputs: int) -> bool:
    """Whether this is a list of embeddings for so many inputs, at least one of which has one."""
    if not isinstance(found, list) or len(found) != n_inputs:
        return False
    return all(_is_entry(entry) for entry in found) and any(entry is not None for entry in found)


def _is_entry(entry: Any) -> bool:
    if entry is None:
        return True
    if not isinstance(entry, dict) or not _is_count(entry.get("width")):
        return False
    if entry.keys() == {LEVELS, "width"}:
        return _is_count(entry[LEVELS])
    if entry.keys() != {PIECES, "width", "missing"} or type(entry["missing"]) is not bool:
        return False
    breakpoints = entry[PIECES]
    if not isinstance(breakpoints, list) or len(breakpoints) < 2:
        return False
    if not all(type(b) is float and math.isfinite(b) for b in breakpoints):
        return False
    return all(SHORTEST <= above - b < math.inf for b, above in pairwise(breakpoints))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value < MOST


def as_json(embeddings: Sequence["Embedding | None"] | None) -> list[Entry] | None:
    """What a file says of the embeddings of a network."""
    if embeddings is None:
        return None
    return [None if entry is None else entry.as_json for entry in embeddings]


def made(entries: Sequence[Entry] | None) -> list["Embedding | None"] | None:
    """The objects that a file describes; loads Numba."""
    from engine.embeddings import of_json

    return None if entries is None else [None if one is None else of_json(one) for one in entries]


def width_of(entry: Entry) -> int:
    """How many numbers an input becomes."""
    return 1 if entry is None else int(entry["width"])


def shapes_of(entries: Sequence[Entry] | None) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The name in a file and the shape of each array of parameters, in the order of theta."""
    for f, entry in enumerate(entries or ()):
        if entry is None:
            continue
        d = entry["width"]
        if LEVELS in entry:
            yield f"embeddings.{f}.V", (entry[LEVELS], d)
            continue
        for part in ("c", "w", "u")[: 2 + entry["missing"]]:
            yield f"embeddings.{f}.{part}", (d,)
        yield f"embeddings.{f}.V", (len(entry[PIECES]) - 1, d)


def parts_of(
    theta: NDArray[Any], entries: Sequence[Entry] | None, n_dense: int
) -> dict[str, NDArray[Any]]:
    """The arrays of parameters by name, views of theta; those of the layers come first there."""
    found, start = {}, n_dense
    for name, shape in shapes_of(entries):
        stop = start + math.prod(shape)
        found[name] = theta[start:stop].reshape(shape)
        start = stop
    return found


def levels_and_missing(entries: Sequence[Entry]) -> tuple[list[int], list[bool]]:
    """How many levels each input has, 0 of a number; and whether it may be missing."""
    levels = [0 if entry is None else entry.get(LEVELS, 0) for entry in entries]
    return levels, [entry is not None and entry.get("missing", False) for entry in entries]


def drawn(rows: NDArray[Any], entries: Sequence[Entry] | None) -> NDArray[Any]:
    """The rows with codes in place of levels, and NaN in the last row of what may be missing."""
    rows = rows.copy()
    for f, (n, missing) in enumerate(zip(*levels_and_missing(entries or ()), strict=True)):
        if n > 0:
            rows[:, f] = np.arange(len(rows)) % n
        elif missing:
            rows[-1, f] = np.nan
    return rows


def embedded(
    entries: Sequence[Entry], parts: dict[str, NDArray[Any]], X: NDArray[Any]
) -> NDArray[Any]:
    """E (numbers of all vectors, m) of X (n, m): as `embed_numpy`, with its bits."""
    E = np.empty((sum(map(width_of, entries)), X.shape[1]), X.dtype)
    start = 0
    for f, (entry, x) in enumerate(zip(entries, X, strict=True)):
        stop = start + width_of(entry)
        if entry is None:
            E[start] = x
        elif LEVELS in entry:
            E[start:stop] = parts[f"embeddings.{f}.V"][x.astype(np.int64)].T  # as E3
        else:
            E[start:stop] = _of_pieces(entry, f, parts, x)
        start = stop
    return E


def _of_pieces(
    entry: dict[str, Any], f: int, parts: dict[str, NDArray[Any]], x: NDArray[Any]
) -> NDArray[Any]:
    c, w, V = (parts[f"embeddings.{f}.{part}"] for part in ("c", "w", "V"))
    b, missing = np.array(entry[PIECES])[:, np.newaxis], np.isnan(x)
    pieces = (x.astype(np.float64) - b[:-1]) / (b[1:] - b[:-1])
    pieces[1:] = np.maximum(pieces[1:], 0)
    pieces[:-1] = np.minimum(pieces[:-1], 1)  # as E1
    pieces[:, missing] = 0
    found: NDArray[Any] = c[:, np.newaxis] + np.outer(w, np.nan_to_num(x))
    found = found + V.T @ pieces.astype(V.dtype)  # as E2
    if entry["missing"]:
        found += np.outer(parts[f"embeddings.{f}.u"], missing)
    return found


def in_words(entries: Sequence[Entry] | None) -> str:
    """How many inputs have which kind; empty without embeddings."""
    found = []
    for kind in (PIECES, LEVELS):
        n = sum(entry is not None and kind in entry for entry in entries or ())
        found += [f"{n} input{'s' * (n > 1)} in {kind}, "] if n else []
    return "".join(found)
