"""Damaged and forged model files, a thousand of them; `make fuzz` loads a hundred thousand."""

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.processes import run
from tools import fuzz_models, fuzz_workers
from tools.fuzz_corpus import write_corpus
from tools.fuzz_damage import DAMAGES
from tools.fuzz_forgery import FORGERIES

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore"),  # of zipfile and scikit-learn, about what is damaged
]

ENDINGS = (".safetensors", ".skops", ".onnx")
GOOD = (fuzz_workers.REFUSED, fuzz_workers.UNCHANGED, fuzz_workers.ANOTHER)
SETTINGS = settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


def loaded(case, folder):
    outcome, reason = fuzz_models.outcome_of(case, folder / f"file{case.ending}")
    assert outcome in GOOD, f"{case.kind} of {case.whole.name}: {reason}"
    return outcome


@pytest.mark.proof
@SETTINGS
@given(number=st.integers(0, 10**9))
def test_a_file_of_any_seed_is_refused_or_whole(corpus, folder, number):
    loaded(fuzz_models.case_of(number, 0, corpus), folder)


@pytest.mark.proof
@SETTINGS
@given(data=st.data())
def test_a_file_that_hypothesis_damages_is_refused_or_whole(corpus, folder, data):
    """What is cut, put in and flipped, hypothesis chooses, and shrinks what fails."""
    whole = data.draw(st.sampled_from(corpus))
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.sampled_from([0, 1, 8, 64]))
        content[place : place + length] = data.draw(st.binary(max_size=16))
        content = content or bytearray(b"\0")
    case = fuzz_models.Case(whole.suffix, "hypothesis", bytes(content), whole, False, False)
    loaded(case, folder)


def test_every_format_is_in_the_corpus(corpus):
    assert {path.suffix for path in corpus} == set(ENDINGS) == set(FORGERIES)
    assert len(corpus) >= 15


@pytest.mark.proof
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_way_to_damage_and_to_forge_is_tried_and_does_something(corpus, folder, ending):
    wholes = [path for path in corpus if path.suffix == ending]
    for name, damage in DAMAGES.items():
        generator = random.Random(name)
        content = wholes[0].read_bytes()
        changed = {damage(generator, content, wholes[1].read_bytes()) for _ in range(9)}
        assert changed - {content}, name
    for name, forge in FORGERIES[ending].items():
        outcomes = []
        for seed in range(12):
            generator = random.Random(f"{name} {seed}")
            whole = generator.choice(wholes)
            forgery = forge(generator, whole.read_bytes())
            case = fuzz_models.Case(
                ending, name, forgery.content, whole, True, forgery.must_be_refused
            )
            outcomes.append(loaded(case, folder))
        assert fuzz_workers.REFUSED in outcomes, name


def case_with(whole, content, **told):
    return fuzz_models.Case(whole.suffix, "by hand", content, whole, **told)


def test_what_is_not_refused_and_not_whole_is_a_failure(corpus, folder):
    one, other = [path for path in corpus if path.suffix == ".safetensors"][:2]
    damaged = case_with(one, other.read_bytes(), forged=False, must_be_refused=False)
    place = folder / "file.safetensors"
    assert fuzz_models.outcome_of(damaged, place) == ("FAILURE", "loads as another model")
    forged = case_with(one, other.read_bytes(), forged=True, must_be_refused=False)
    assert fuzz_models.outcome_of(forged, place) == ("another", "")
    whole = case_with(one, one.read_bytes(), forged=False, must_be_refused=False)
    assert fuzz_models.outcome_of(whole, place) == ("unchanged", "")
    must = case_with(one, one.read_bytes(), forged=True, must_be_refused=True)
    assert fuzz_models.outcome_of(must, place) == ("FAILURE", "loads")


@pytest.mark.parametrize("error", [MemoryError("64 GB"), RecursionError("deep"), SystemExit(1)])
def test_any_other_error_is_a_failure(corpus, folder, monkeypatch, error):
    def raises(path):
        raise error

    monkeypatch.setattr(fuzz_models, "loaded_from", raises)
    case = case_with(corpus[0], b"x", forged=False, must_be_refused=False)
    outcome, reason = fuzz_models.outcome_of(case, folder / f"file{corpus[0].suffix}")
    assert outcome == "FAILURE"
    assert type(error).__name__ in reason


def test_a_refusal_for_lack_of_memory_is_a_failure(corpus, folder, monkeypatch):
    from engine import ModelFileError

    def raises(path):
        try:
            raise MemoryError("64 GB")
        except MemoryError as error:
            raise ModelFileError("it is damaged") from error

    monkeypatch.setattr(fuzz_models, "loaded_from", raises)
    case = case_with(corpus[0], b"x", forged=False, must_be_refused=False)
    outcome, reason = fuzz_models.outcome_of(case, folder / f"file{corpus[0].suffix}")
    assert (outcome, "refused only after MemoryError" in reason) == ("FAILURE", True)


@pytest.mark.proof
def test_the_command_counts_what_it_found(tmp_path):
    counts = tmp_path / "fuzz.json"
    done = run("-m", "tools.fuzz_models", "--files", "200", "--seed", "3", "--json", counts)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(counts.read_text())
    assert found["files"] == 200
    assert sum(found["outcomes"].values()) == 200
    assert found["outcomes"]["refused"] > 150
    assert found["failures"] == []
    assert set(found["formats"]) == set(ENDINGS)
    assert "200 files, seed 3" in done.stdout
