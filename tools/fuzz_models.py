"""Load a hundred thousand damaged and forged model files, and see that each is refused.

    python -m tools.fuzz_models                      100 000 files, some minutes
    python -m tools.fuzz_models --files 2000 --seed 7 --json build/fuzz.json

All 100 000 of them also make the table of docs/model-files.md; of fewer, it is only printed.

Whole files of every format are damaged byte by byte (tools/fuzz_damage.py), or forged with right
checksums (tools/fuzz_forgery.py). Worker processes write each to a disk and load it as a user
would, under limits of memory and time; what loads goes to `engine check-model`. An outcome is

    refused    ModelFileError
    unchanged  it loads, as the very model that was damaged: what changed is of no consequence
    another    a forgery loads as a model that differs, and predicts: someone may write such a file
    FAILURE    anything else; the file is kept

Ends with 0 if there was no failure, 1 if there was one.
"""

import contextlib
import json
import random
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tools import fuzz_workers
from tools.asv_runs import ROOT
from tools.fuzz_damage import DAMAGES
from tools.fuzz_forgery import FORGERIES
from tools.fuzz_workers import ANOTHER, FAILURE, REFUSED, UNCHANGED, TooLong, failure_of
from tools.performance_page import rewrite

PAGE = ROOT / "docs" / "model-files.md"


class Case(NamedTuple):
    """One file to be loaded."""

    ending: str
    kind: str
    content: bytes
    whole: Path
    forged: bool
    must_be_refused: bool


def case_of(number: int, seed: int, corpus: list[Path]) -> Case:
    """The file of that number: the same for the same seed."""
    generator = random.Random(f"{seed} {number}")
    whole = generator.choice(corpus)
    content, ending = whole.read_bytes(), whole.suffix
    if generator.random() < 0.5:
        kind = generator.choice(sorted(FORGERIES[ending]))
        forgery = FORGERIES[ending][kind](generator, content)
        return Case(
            ending, f"forged: {kind}", forgery.content, whole, True, forgery.must_be_refused
        )
    kind = generator.choice(sorted(DAMAGES))
    other = generator.choice(corpus).read_bytes()
    damaged = DAMAGES[kind](generator, content, other)
    return Case(ending, kind, damaged, whole, False, False)


def outcome_of(case: Case, path: Path) -> tuple[str, str]:
    """Load the file, which is written to `path`; the outcome, and what went wrong."""
    from engine import ModelFileError
    from engine.model_files import check_model

    path.write_bytes(case.content)
    try:
        loaded = loaded_from(path)
    except ModelFileError as error:
        return _refused(error)
    except BaseException as error:
        return failure_of(error)
    if case.must_be_refused:
        return FAILURE, "loads"
    if same_model(case, loaded):
        return UNCHANGED, ""
    if not case.forged:
        return FAILURE, "loads as another model"
    try:
        use(loaded)
        check_model.check_file(path)
    except BaseException as error:
        return FAILURE, f"loads, and cannot predict: {failure_of(error)[1]}"
    return ANOTHER, ""


def loaded_from(path: Path) -> Any:
    """What is in a file: by `engine.load`, or as `engine check-model` reads it."""
    from engine import load
    from engine.model_files import onnx_file, skops_file
    from engine.model_files.safe_reading import content_of

    if path.suffix == ".onnx":
        return onnx_file.read(path, content_of(path))
    if path.suffix == ".skops":
        return skops_file.require_model(path, skops_file.read_model(path))
    return load(path)


def same_model(case: Case, loaded: Any) -> bool:
    """Whether it is the model that was damaged, bit by bit."""
    return bool(essence_of(loaded) == essence_of(loaded_from(case.whole)))


def essence_of(loaded: Any) -> Any:
    """All that a loaded file holds, as something that can be compared."""
    from engine.model_files import onnx_file

    if hasattr(loaded, "estimator") and hasattr(loaded, "examples"):
        return _bytes_of(loaded)
    if isinstance(loaded, onnx_file.Graph):
        return onnx_file._model_of(loaded).SerializeToString(deterministic=True)
    return loaded.header  # with fingerprint and checksum


def _bytes_of(stored: Any) -> bytes:
    """A .skops file of what was read from one."""
    import io
    import zipfile

    import skops.io

    from engine.model_files import skops_archive, table_examples

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(stored.estimator))) as archived:
        parts = {name: archived.read(name) for name in archived.namelist()}
    examples = b"" if stored.examples is None else table_examples.written(stored.examples)
    header = json.dumps(stored.header, sort_keys=True).encode()
    return skops_archive.archive_of(skops_archive.renumbered(parts)) + examples + header


def use(loaded: Any) -> None:
    """Let a model predict its examples; raises where that fails."""
    import numpy as np

    from engine import ModelFileError
    from engine.model_files import onnx_file

    if isinstance(loaded, onnx_file.Graph):
        loaded, X = loaded.stored, loaded.stored.examples.X
        from engine.model_files import model

        model.outputs_of(loaded.description, loaded.theta, X.T)
    elif hasattr(loaded, "estimator") and hasattr(loaded, "examples"):
        if loaded.examples is not None:
            loaded.estimator.predict(loaded.examples.rows())
    else:
        rows = np.zeros((2, loaded._about.sizes[0]))
        loaded.predict(rows)
        if loaded.header["model"] != "network":
            with contextlib.suppress(ModelFileError):  # settings that make no estimator
                loaded.estimator().predict(rows)


def _refused(error: BaseException) -> tuple[str, str]:
    """A refusal must not be made of a lack of memory, or of a limit of time."""
    said: BaseException | None = error
    while said is not None:
        if isinstance(said, MemoryError | TooLong):
            return FAILURE, f"refused only after {type(said).__name__}: {said}"
        said = said.__cause__ or said.__context__
    return REFUSED, ""


class ModelTrials(NamedTuple):
    """Files of models, for worker processes."""

    seed: int
    corpus: list[Path]

    def prepare(self) -> None:
        """Load what was damaged, as it was."""
        from engine.model_files import check_model

        for whole in self.corpus:
            use(loaded := loaded_from(whole))
            essence_of(loaded)
            check_model.check_file(whole)

    def case_of(self, number: int) -> Case:
        """The file of that number."""
        return case_of(number, self.seed, self.corpus)

    def outcome_of(self, case: Case, folder: Path) -> tuple[str, str]:
        """Load it."""
        return outcome_of(case, folder / f"file{case.ending}")


def trials_in(folder: Path, seed: int) -> ModelTrials:
    """The corpus, written to a folder."""
    from tools.fuzz_corpus import write_corpus

    return ModelTrials(seed, write_corpus(folder))


def publish(outcomes: dict[str, Any]) -> None:
    """Write the report into the page."""
    rewrite(PAGE, "fuzz", f"```text\n{fuzz_workers.report(outcomes)}\n```")


if __name__ == "__main__":
    about = (__doc__ or "").splitlines()[0]
    command = fuzz_workers.Command("fuzz_models", about, 100_000, trials_in, publish)
    sys.exit(command.run(sys.argv[1:]))
