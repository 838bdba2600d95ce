"""Forged checkpoints: the checksums are right, but the content is not that of the run.

Each function takes a random generator and what a folder of `tools.fuzz_checkpoint_runs` holds, and
changes it. It returns whether the run may then end with other bits: if only numbers are changed
that steps alone could give (parameters, moments, costs of a history), no check can tell.
"""

import json
import math
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import __version__
from engine.solvers.state import COST, FAILURES, RATE
from engine.system.tensor_layout import NAMES, laid_out
from engine.training import checkpoint_files, lbfgs_evaluation_log
from tools.fuzz_forgery import DEEP, FORGERIES, HUGE, NOT_FINITE, STRANGE, with_another

HEADERS = ("huge claim", "overlapping claims", "a name twice", "deep nesting", "huge header")
DTYPES = sorted(NAMES)
TEXTS = ("max_iter", "tol", "callback", "converged", "max_time", "interrupted", "", "\x1b[2J")


@dataclass
class Held:
    """What a checkpoint holds: its facts, its arrays and its log."""

    place: Path
    solver: str
    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    log: bytes
    n_log_bytes: int  # of a record

    @property
    def content(self) -> bytes:
        """The file, with the right checksum."""
        return sealed(json.dumps(self.facts), self.arrays)


Forge = Callable[[random.Random, Held, list[Path]], bool]


def held_in(place: Path, solver: str) -> Held:
    """What is in a folder."""
    saved = checkpoint_files.read(place / "run.ckpt")
    log = place / "run.ckpt.evaluations"
    facts = {"run": saved.run, "stopped": saved.stopped, "epochs": saved.epochs}
    count = int(saved.arrays["evaluations"][0]) if "evaluations" in saved.arrays else 0
    content = log.read_bytes() if log.exists() else b""
    record = 0
    if count:  # the log may go on beyond what counts
        record = next(n for n in range(20, len(content) + 1) if _is_record(content, n))
    return Held(place, solver, facts, dict(saved.arrays), content, record)


def _is_record(content: bytes, n: int) -> bool:
    return zlib.crc32(content[: n - 4]) == int.from_bytes(content[n - 4 : n], "little")


def sealed(facts: str, arrays: dict[str, NDArray[Any]], **about: str) -> bytes:
    """A file with these arrays and facts, and the right checksum."""
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    texts = {
        "mlp-engine": f"checkpoint {checkpoint_files.FORMAT}",
        "version": __version__,
        "facts": facts,
        "sha256": checkpoint_files._checksum(facts, whole),
        **about,
    }
    beginning, in_order = laid_out(texts, whole)
    return b"".join([beginning, *(array.tobytes() for array in in_order)])


def is_plain(held: Held, name: str, place: int | None = None) -> bool:
    """Whether nothing determines the numbers of an array, or the one at a place."""
    kind = name.rpartition(".")[2]
    lbfgs = held.solver == "lbfgs"
    of_counting = kind == "sums" or (kind == "counts" and place in (None, FAILURES))
    if of_counting and ("kink" in held.place.name or "evidence" in held.place.name):
        return True  # what counts improvements begins anew, at each width and while alpha changes
    if name == "state.sums" or name == "finite.sums":
        # A power, whose last bit another function may give otherwise.
        return place == COST or (place == RATE and "invscaling" in held.place.name)
    if name == "watch.rows":
        return True
    if name == "draws":
        return "no seed" in held.place.name
    return kind in ("theta", "first", "second", "average", "best") and not lbfgs


def _some(generator: random.Random, held: Held, with_numbers: bool = True) -> str:
    names = [name for name, one in held.arrays.items() if one.size or not with_numbers]
    return generator.choice(sorted(names))


def array_missing(generator: random.Random, held: Held, others: list[Path]) -> bool:
    del held.arrays[_some(generator, held, False)]
    return False


def array_too_many(generator: random.Random, held: Held, others: list[Path]) -> bool:
    name = _some(generator, held, False)
    other = generator.choice(
        [name + "x", "", "../x", "state.x", "\x1b[2J", "x" * 5000, "evaluations"]
    )
    held.arrays[other] = held.arrays[name]
    return False


def another_dtype(generator: random.Random, held: Held, others: list[Path]) -> bool:
    name = _some(generator, held, False)
    old = held.arrays[name]
    dtype = generator.choice([dtype for dtype in DTYPES if dtype != old.dtype.name])
    with np.errstate(all="ignore"):
        held.arrays[name] = old.astype(dtype)
    return False


def another_shape(generator: random.Random, held: Held, others: list[Path]) -> bool:
    name = _some(generator, held, False)
    old = held.arrays[name]
    changed = [
        old[: old.shape[0] // 2],
        old[:0],
        old[1:],
        np.concatenate([old, old]),
        np.concatenate([old, np.zeros((1, *old.shape[1:]), old.dtype)]),
        old[None],
        old.reshape(-1, 1),
        old.reshape(-1)[: 1 if old.size else 0].reshape(()) if old.size == 1 else old[None],
        np.zeros((0, 2**40), old.dtype),
        np.resize(old, 3000) if old.size else np.ones(3000, old.dtype),
    ]
    held.arrays[name] = generator.choice([one for one in changed if one.shape != old.shape])
    return False


def one_number(generator: random.Random, held: Held, others: list[Path]) -> bool:
    """One number is not finite, extreme, or another of the same size."""
    name = _some(generator, held)
    changed = held.arrays[name].copy()
    place = generator.randrange(changed.size)
    old = changed.flat[place]
    if changed.dtype.kind == "f":
        size = abs(float(old)) if math.isfinite(old) and old else 1.0
        numbers = [*NOT_FINITE, 0.0, -1.0, 1e30, -old, size * generator.gauss(0, 1)]
        numbers += [np.nextafter(old, changed.dtype.type(9)), size * (1 + 1e-3)]
        number = generator.choice(numbers)
        with np.errstate(all="ignore"):
            changed.flat[place] = number
    else:
        limits = np.iinfo(changed.dtype)
        numbers = [0, 1, limits.min, limits.max, int(old) + 1, int(old) - 1, 2**30, 40, 625]
        number = generator.choice([*numbers, generator.randrange(1 << 31)])
        changed.flat[place] = min(max(number, limits.min), limits.max)
    held.arrays[name] = changed
    return is_plain(held, name, place)


def all_numbers(generator: random.Random, held: Held, others: list[Path]) -> bool:
    """All numbers of an array are others."""
    name = _some(generator, held)
    old = held.arrays[name]
    if old.dtype.kind == "f":
        changed = generator.choice(
            [
                old[..., ::-1],
                np.zeros_like(old),
                np.full_like(old, generator.choice([*NOT_FINITE, 1.0, -1.0, 1e30])),
                old + np.array([generator.gauss(0, 1) for _ in range(old.size)]).reshape(old.shape),
                -old,
            ]
        ).astype(old.dtype)
    else:
        changed = generator.choice(
            [
                old[::-1],
                np.roll(old, 1),
                np.zeros_like(old),
                np.full_like(old, generator.choice([2**30, 1, old.size, 2**31 - 1])),
                old + 1 if old.dtype.kind == "i" else old ^ np.uint64(1),
                np.array([generator.randrange(1 << 31) for _ in range(old.size)], old.dtype),
            ]
        )
    held.arrays[name] = np.ascontiguousarray(changed)
    return is_plain(held, name)


def another_order(generator: random.Random, held: Held, others: list[Path]) -> bool:
    """Two samples exchanged, one twice, or one beyond the data."""
    kept = sorted(n for n, array in held.arrays.items() if n.endswith(".order") and array.size)
    name = generator.choice(kept or ["-"])
    if name == "-":
        return one_number(generator, held, others)
    order = held.arrays[name].copy()
    a, b = generator.sample(range(order.size), 2)
    what = generator.choice(["exchanged", "twice", "beyond", "negative"])
    if what == "exchanged":
        order[[a, b]] = order[[b, a]]
    elif what == "twice":
        order[a] = order[b]
    else:
        order[a] = -1 if what == "negative" else generator.choice([order.size, 2**30])
    held.arrays[name] = order
    return False


def arrays_exchanged(generator: random.Random, held: Held, others: list[Path]) -> bool:
    a, b = (_some(generator, held, False) for _ in range(2))
    held.arrays[a], held.arrays[b] = held.arrays[b], held.arrays[a]
    same_kind = held.arrays[a].shape == held.arrays[b].shape
    return same_kind and is_plain(held, a) and is_plain(held, b)


def array_of_another(generator: random.Random, held: Held, others: list[Path]) -> bool:
    """An array of another checkpoint, most often of the same run."""
    same_run = held.place.name.rpartition("; ")[0]
    stages = [place for place in others if place.name.rpartition("; ")[0] == same_run]
    place = generator.choice(stages if generator.random() < 0.7 else others)
    arrays = checkpoint_files.read(place / "run.ckpt").arrays
    name = generator.choice(sorted(arrays))
    held.arrays[name] = arrays[name]
    return is_plain(held, name)


def another_end(generator: random.Random, held: Held, others: list[Path]) -> bool:
    """Another number of epochs, or another reason to have ended."""
    if generator.random() < 0.5:
        old = checkpoint_files.read(held.place / "run.ckpt").epochs
        numbers: list[Any] = [
            *HUGE,
            old + 1,
            old - 1,
            0,
            10,
            math.nan,
            math.inf,
            1.5,
            "5",
            True,
            None,
            [5],
            {},
        ]
        held.facts["epochs"] = generator.choice(numbers)
        return False
    held.facts["stopped"] = generator.choice([*TEXTS, None, 0, [], {}, "x" * 10**5])
    return held.facts["stopped"] in ("callback", "converged")


def another_identity(generator: random.Random, held: Held, others: list[Path]) -> bool:
    """One value of what the run was told and given is another."""
    what = generator.random()
    if what < 0.2:
        held.facts["run"] = generator.choice([*STRANGE, *HUGE])
    elif what < 0.4:
        held.facts["run"][generator.choice(["x", "\x1b[2J", "", "x" * 10**5])] = [[1]]
    else:
        held.facts = with_another(generator, held.facts)
        if held.facts.get("stopped") in ("callback", "converged"):
            return True
    return False


def another_log(generator: random.Random, held: Held, others: list[Path]) -> bool:
    """Another number of evaluations, or others in the log of L-BFGS, with right checksums."""
    if not held.log:
        return one_number(generator, held, others)
    what, n = generator.choice(["count", "record", "order", "short", "none"]), held.n_log_bytes
    count = int(held.arrays["evaluations"][0])
    if what == "count":
        counts = [0, -1, 1, count - 1, count + 1, count // 2, 2**40, 2**62, -(2**62)]
        held.arrays["evaluations"] = np.array([generator.choice(counts)])
    elif what == "short":
        held.log = held.log[: generator.randrange(len(held.log))]
    elif what == "none":
        held.log = b""
    else:
        records = [held.log[i : i + n] for i in range(0, len(held.log) - n + 1, n)]
        a, b = (generator.randrange(len(records)) for _ in range(2))
        if what == "order":
            records[a], records[b] = records[b], records[a]
        else:
            begin = generator.choice([0, 4, 12])  # digest, cost, gradient
            record = bytearray(records[a][:-4])
            place = generator.randrange(begin, len(record))
            record[place] ^= 1 << generator.randrange(8)
            records[a] = bytes(record) + lbfgs_evaluation_log.CHECKSUM.pack(
                zlib.crc32(bytes(record))
            )
        held.log = b"".join(records)
    return False


def several(generator: random.Random, held: Held, others: list[Path]) -> bool:
    """Some of the others at once."""
    simple = [one_number, another_order, array_of_another, another_end, all_numbers]
    # A list, as all of them are to be made.
    may_be = [
        generator.choice(simple)(generator, held, others) for _ in range(generator.randint(2, 3))
    ]
    return any(may_be)


CHANGES: dict[str, Forge] = {
    "an array missing": array_missing,
    "an array too many": array_too_many,
    "wrong dtype": another_dtype,
    "wrong shape": another_shape,
    "one number": one_number,
    "all numbers of an array": all_numbers,
    "another order": another_order,
    "two arrays exchanged": arrays_exchanged,
    "an array of another one": array_of_another,
    "another end": another_end,
    "another run's identity": another_identity,
    "another log": another_log,
    "several changes": several,
}


def other_facts(generator: random.Random, held: Held) -> bytes:
    """Facts that are no facts, under a right checksum; or another kind or version of file."""
    text = json.dumps(held.facts)
    about = generator.choice([{}, {}, {"mlp-engine": "checkpoint 2"}, {"version": "\x1b[2J"}])
    texts = ["[" * DEEP, "9" * 5000, "{}", "null", '"x"', text + text, text[:-1], '{"run":' * 500]
    texts += [json.dumps(one) for one in STRANGE]
    return sealed(text if about else generator.choice(texts), held.arrays, **about)


def other_header(generator: random.Random, held: Held) -> bytes:
    """A header that lies, above the same arrays."""
    kind = generator.choice(HEADERS)
    return FORGERIES[".safetensors"][kind](generator, held.content).content


FILES: dict[str, Callable[[random.Random, Held], bytes]] = {
    "facts that are none": other_facts,
    "a header that lies": other_header,
}
