"""Models that are saved over older ones, while the process is killed or the disk fails."""

import functools
import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine import MLPRegressor, save
from tools.reliability.children import Child, outcome_of
from tools.reliability.disks import any_folder, can_mount, failing, filled, read_only, small_disk
from tools.reliability.lines import Line

ENDINGS = (".safetensors", ".skops", ".onnx")
WRITING = 0.02  # seconds within which a kill meets a write


def saving_killed(times: int) -> Line:
    """SIGKILL at random moments of a process that saves two models in turns, all the time."""
    line = Line("`save` killed", "SIGKILL at random moments of saves over an older file")
    generator = np.random.default_rng(5)
    found: Counter[int] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for ending in ENDINGS:
            models, contents = _two_models(ending)
            path = folder / f"model{ending}"
            path.write_bytes(contents[0])
            for _ in range(-(-times // len(ENDINGS))):
                child = Child(partial(_saved_all_the_time, path, models), folder)
                while path.read_bytes() != contents[1] and not child.ended(0.0):
                    time.sleep(0.001)
                time.sleep(generator.uniform(0.0, WRITING))
                child.kill()
                line.times += 1
                whole = [number for number in (0, 1) if path.read_bytes() == contents[number]]
                line.expect(len(whole) == 1, f"half a file of {ending}")
                found.update(whole)
            save(path, models[0])
            line.expect(path.read_bytes() == contents[0], f"{ending}: saving again goes wrong")
    line.kept = (
        f"a whole file each time, byte by byte: {found[0]} times one of the two models, {found[1]} "
        "times the other; .safetensors, .skops and .onnx"
    )
    line.lost = "the file that was being written; what there is of it has a hidden name and `.tmp`"
    return line


def saving_fails(times: int) -> Line:
    """Full and read-only disks, and each call of the system failing once."""
    line = Line(
        "`save` on a disk that fails",
        "a file system of 1 MB, filled; a folder without rights; an I/O error (EIO) in each call "
        "of the system, one after the other",
    )
    while line.times < times:
        for ending in ENDINGS:
            if can_mount():
                with small_disk() as disk:
                    _expect_the_older_file(line, disk, ending, partial(filled, disk))
            with any_folder() as folder:
                inner = folder / "inner"
                inner.mkdir()
                folder.chmod(0o755)
                _expect_the_older_file(line, inner, ending, partial(read_only, folder=inner))
                inner.chmod(0o755)
            for number in itertools.count():
                with any_folder() as folder:
                    fail = partial(failing, number=number)
                    if _expect_the_older_file(line, folder, ending, fail):
                        break
    line.kept = (
        "an error that names the file, and says that it is as it was: the older one was whole"
    )
    line.lost = "nothing"
    return line


def _expect_the_older_file(
    line: Line, folder: Path, ending: str, fail: Callable[[Callable[[], Any]], Any]
) -> bool:
    """Save over an older file where something fails; whether there was nothing left to fail."""
    (_, model), (old, new) = _two_models(ending)
    path = folder / f"model{ending}"
    path.write_bytes(old)
    with any_folder() as outside:
        outside.chmod(0o777)
        ended = outcome_of(partial(fail, partial(save, path, model)), outside)
    if isinstance(ended.value, tuple):
        return True
    line.times += 1
    found = path.read_bytes()
    if ended.error is None:  # only that the folder was flushed is not sure
        line.expect(found == new, f"{ending}: no error, and not the new file")
    else:
        said = str(ended.error)
        line.expect(isinstance(ended.error, OSError), f"{ending}: {ended.error!r}")
        line.expect(f"{path} is as it was" in said, f"{ending}: {said}")
        line.expect(found == old, f"{ending}: the older file is damaged")
    left = [one.name for one in folder.iterdir() if one.name.endswith(".tmp")]
    line.expect(not left, f"{left} was left")
    return False


def _saved_all_the_time(path: Path, models: list[Any]) -> None:
    for model in itertools.cycle(reversed(models)):
        save(path, model)


@functools.cache
def _two_models(ending: str) -> tuple[list[Any], list[bytes]]:
    """And what their files hold: the same whenever they are written."""
    X = np.random.default_rng(0).normal(size=(50, 3))
    models, contents = [], []
    for seed in (0, 1):
        model = MLPRegressor(
            hidden_layer_sizes=(8,), solver="lbfgs", max_iter=20, tol=1.0, random_state=seed
        )
        models.append(model.fit(X, X[:, 0] * X[:, 1]))
        with any_folder() as folder:
            path = folder / f"alone{ending}"
            save(path, models[-1])
            contents.append(path.read_bytes())
    return models, contents
