"""Model files: what is written is read again, and nothing else is."""

import errno
import io
import json
import os
import pickle
import re
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import engine as package
from engine import ModelFileError
from engine.model_files import skops_file, trusted_types
from engine.model_files.skops_archive import HEADER, SCHEMA
from engine.model_files.skops_file import StoredModel, read_model, write_model
from engine.system import atomic_files

HEADER_OF_TEST = {"what": "a test, naïve", "columns": ["a"]}


def scaler() -> Pipeline:
    return make_pipeline(StandardScaler()).fit(np.array([[1.0], [2.0], [6.0]]))


def written(path: Path, header=HEADER_OF_TEST, estimator=None) -> Path:
    write_model(path, StoredModel(header, estimator or scaler()))
    return path


def forged(path: Path, estimator) -> Path:
    """A file as someone else might write it, who has an ordinary one and skops."""
    header = zipfile.ZipFile(written(path)).read(HEADER)
    path.write_bytes(skops.io.dumps(estimator))
    return with_part(path, HEADER, header)


def with_part(path: Path, name: str, content: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    """The same file with one part replaced, or added."""
    with zipfile.ZipFile(path) as archive:
        parts = {other: archive.read(other) for other in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for other, held in {**parts, name: content}.items():
            archive.writestr(other, held)
    return path


def with_header(path: Path, **changes) -> Path:
    with zipfile.ZipFile(path) as archive:
        header = json.loads(archive.read(HEADER))
    return with_part(path, HEADER, json.dumps({**header, **changes}).encode())


# What is written is read again.


def test_a_model_is_read_as_it_was_written(tmp_path):
    path = written(tmp_path / "model.skops")
    header, estimator, _ = read_model(path)
    assert HEADER_OF_TEST.items() <= header.items()
    rows = np.array([[3.0], [-1.0]])
    np.testing.assert_array_equal(estimator.transform(rows), scaler().transform(rows))


def test_what_a_file_says_of_its_model_is_plain_json(tmp_path):
    with zipfile.ZipFile(written(tmp_path / "model.skops")) as archive:
        header = json.loads(archive.read(HEADER))
    assert header["format"] == skops_file.FORMAT
    assert header["versions"]["mlp-engine"] == package.__version__
    assert header["what"] == "a test, naïve"


# Files that cannot be trusted.


class Malicious:
    """Pickled, this touches a file when it is read."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return os.system, (f"touch {self.victim}",)


def test_a_pickle_is_no_model_file_and_is_not_executed(tmp_path):
    path, victim = tmp_path / "model.skops", tmp_path / "victim"
    path.write_bytes(pickle.dumps(Malicious(victim)))
    with pytest.raises(ModelFileError, match="is no model file"):
        read_model(path)
    assert not victim.exists()
    pickle.loads(path.read_bytes())  # what would have happened
    assert victim.exists()


@pytest.mark.parametrize("function", [os.system, partial(os.system, "true"), print, np.sum, len])
def test_a_skops_file_that_names_a_function_is_refused(tmp_path, function):
    estimator = make_pipeline(FunctionTransformer(function))
    path = forged(tmp_path / "model.skops", estimator)
    with pytest.raises(ModelFileError, match="which models of mlp-engine are not made of"):
        read_model(path)


def test_a_type_that_skops_trusts_and_models_are_not_made_of_is_refused(tmp_path):
    from sklearn.linear_model import LogisticRegression

    assert skops.io.get_untrusted_types(data=skops.io.dumps(LogisticRegression())) == []
    path = forged(tmp_path / "model.skops", make_pipeline(LogisticRegression()))
    with pytest.raises(ModelFileError, match=r"asks for sklearn\.linear_model.*LogisticRegression"):
        read_model(path)


def node(loader, module, name, **more):
    return {"__loader__": loader, "__module__": module, "__class__": name, **more}


@pytest.mark.parametrize(
    "schema",
    [
        node("TypeNode", "os", "system"),
        node("FunctionNode", "numpy", "sum"),
        node("MethodNode", "builtins", "dict", content={"func": "pop", "obj": {}}),
        node("OperatorFuncNode", "operator", "methodcaller", attrs={}),
        node("ConstructorFromReduceNode", "builtins", "list", content={}),
        node("ObjectNode", "sklearn.svm._classes", "SVC", content={}),
        node("DictNode", "os", "environ", content={}),
        # Where no object is expected, too: whatever skops makes of it.
        node("SliceNode", "builtins", "slice", content={"start": node("X", "os", "system")}),
        {"__class__": "system", "__module__": "os"},
    ],
    ids=lambda schema: f"{schema.get('__loader__')} {schema['__module__']}.{schema['__class__']}",
)
def test_a_schema_by_hand_that_asks_for_more_is_refused_before_skops_sees_it(
    tmp_path, monkeypatch, schema
):
    path = with_part(written(tmp_path / "model.skops"), SCHEMA, json.dumps(schema).encode())
    monkeypatch.setattr(skops.io, "loads", lambda *_, **__: pytest.fail("skops was called"))
    with pytest.raises(ModelFileError, match="It was not loaded"):
        read_model(path)


def test_an_array_that_is_a_pickle_is_refused(tmp_path):
    path, victim = written(tmp_path / "model.skops"), tmp_path / "victim"
    buffer = io.BytesIO()
    np.save(buffer, np.array([Malicious(victim)], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(path) as archive:
        (name, *_) = [name for name in archive.namelist() if name.endswith(".npy")]
    with_part(path, name, buffer.getvalue())
    with pytest.raises(ModelFileError, match="is damaged"):
        read_model(path)
    assert not victim.exists()


def test_skops_is_never_asked_to_trust_what_a_file_asks_for():
    assert "os.system" not in trusted_types.TRUSTED
    assert all(
        not name.startswith(("os.", "posix.", "subprocess.")) for name in trusted_types.TRUSTED
    )
    assert not {"MethodNode", "OperatorFuncNode", "PartialNode"} & set(trusted_types.TYPES)


# Files that are damaged, of another kind or of another version.


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = written(tmp_path / "model.skops")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelFileError, match="is no model file, or not the whole of one"):
        read_model(path)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    return written(tmp_path_factory.mktemp("whole") / "model.skops").read_bytes()


@settings(max_examples=200)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path_factory, content, place, bit):
    damaged = bytearray(content)
    damaged[int(place * len(content))] ^= 1 << bit
    path = tmp_path_factory.mktemp("flipped") / "model.skops"
    path.write_bytes(damaged)
    try:
        header, estimator, _ = read_model(path)
    except ModelFileError:
        return
    assert HEADER_OF_TEST.items() <= header.items()
    assert estimator.transform([[3.0]]) == scaler().transform([[3.0]])


def test_other_zip_files_are_refused(tmp_path):
    path = tmp_path / "model.skops"
    skops.io.dump(scaler(), path)
    with pytest.raises(ModelFileError, match=f"no model that `engine train` or .*{HEADER}"):
        read_model(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(HEADER, "{}")
    with pytest.raises(ModelFileError, match="it has no schema"):
        read_model(path)


def test_a_compressed_file_is_refused(tmp_path):
    path = with_part(written(tmp_path / "model.skops"), "more", bytes(10**6), zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelFileError, match="is compressed"):
        read_model(path)


@pytest.mark.parametrize(
    ("part", "held"),
    [
        (HEADER, b"[]"),
        (HEADER, b"{"),
        (HEADER, b"\xff"),
        (HEADER, b'{"format": 1}'),
        (HEADER, b'{"versions": {}}'),
        (SCHEMA, b"{}"),
        (SCHEMA, b"3"),
        (SCHEMA, b"[" * 100_000),
    ],
)
def test_parts_that_make_no_sense_are_refused(tmp_path, part, held):
    path = with_part(written(tmp_path / "model.skops"), part, held)
    with pytest.raises(ModelFileError, match="is damaged"):
        read_model(path)


@pytest.mark.parametrize("package", ["mlp-engine", "scikit-learn"])
def test_a_file_from_another_version_says_which(tmp_path, package):
    path = written(tmp_path / "model.skops")
    versions = {**skops_file._versions(), package: "77.1.2"}
    with pytest.raises(ModelFileError, match=rf"written with {package} 77\.1\.2, and this is \d"):
        read_model(with_header(path, versions=versions))


def test_a_patch_of_the_same_version_is_read(tmp_path):
    ours = skops_file._versions()
    patched = {name: ".".join([*version.split(".")[:2], "77"]) for name, version in ours.items()}
    assert patched != ours
    read_model(with_header(written(tmp_path / "model.skops"), versions=patched))


def test_another_format_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match=r"has format 1, and this version .* reads format 2"):
        read_model(with_header(written(tmp_path / "model.skops"), format=1))


def test_folders_and_missing_files_are_named(tmp_path):
    with pytest.raises(ModelFileError, match="is a folder"):
        read_model(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_model(tmp_path / "model.skops")


def test_the_ending_says_the_format(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.skops; got '\.pkl'"):
        written(tmp_path / "model.pkl")
    assert list(tmp_path.iterdir()) == []


# Writing.


def test_a_save_that_fails_keeps_the_older_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = written(tmp_path / "model.skops")
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        written(path, {"what": "another"})
    assert path.read_bytes() == before
    assert [other.name for other in tmp_path.iterdir()] == ["model.skops"]


def test_an_estimator_that_could_not_be_read_is_not_saved(tmp_path):
    path = written(tmp_path / "model.skops")
    before = path.read_bytes()
    with pytest.raises(ModelFileError, match=r"numpy\.sum.* It was not saved"):
        written(path, estimator=make_pipeline(FunctionTransformer(np.sum)))
    assert path.read_bytes() == before


def test_a_model_in_the_place_of_the_path_is_told_where_that_goes():
    with pytest.raises(
        TypeError, match=r"^The path comes first: save\(path, model\); got a Pipeline"
    ):
        package.save(scaler(), "model.skops")


def test_an_older_file_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic_files.replacing(path) as file:
        file.write(b"ne")
        assert path.read_bytes() == b"old"
        file.write(b"w")
    assert path.read_bytes() == b"new"
    assert [other.name for other in tmp_path.iterdir()] == ["file"]


def test_an_error_of_the_system_names_the_file_and_says_what_became_of_it(tmp_path, monkeypatch):
    path, new = tmp_path / "file", tmp_path / "no" / "file"
    path.write_bytes(b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    message = re.escape(f"No space left on device: {path} is as it was")
    with pytest.raises(OSError, match=message), atomic_files.replacing(path) as file:
        file.write(b"new")
    path.unlink()
    with (
        pytest.raises(OSError, match=r"file was not written$"),
        atomic_files.replacing(path) as file,
    ):
        file.write(b"new")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: .*was not written$"):
        atomic_files.replacing(new).__enter__()
    with pytest.raises(OSError, match=r"^mine$"), atomic_files.replacing(path):
        raise OSError("mine")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions and links")
def test_permissions_and_links_are_kept(tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    with atomic_files.replacing(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_name_may_be_as_long_as_names_can_be(tmp_path):
    path = tmp_path / ("ü" * 120 + "x" * 15)  # 255 bytes
    with atomic_files.replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_a_place_that_cannot_be_written_is_said_at_once(tmp_path):
    atomic_files.check_writable(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match=r"no.file cannot be written: No such file"):
        atomic_files.check_writable(tmp_path / "no" / "file")
    with pytest.raises(ValueError, match="is a folder"):
        atomic_files.check_writable(tmp_path)
